"""What a company and an agency have agreed (提携契約): versions, from a day on, never changed."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

PROPOSAL_STATES = ("proposed", "accepted", "declined", "cancelled")


class Agreement(Row, table=True):
    """A company and an agency work together. What they agreed is in the versions."""

    __tablename__ = "agreement"
    __table_args__ = (
        one_of("state", ("active", "ended")),
        CheckConstraint("state = 'active' OR ends_on IS NOT NULL", name="ended_on_a_day"),
        Index("uq_agreement_company_id_agency_id", "company_id", "agency_id", unique=True),
        Index("ix_agreement_agency_id", "agency_id"),
        Index("ix_agreement_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
        Index("ix_agreement_attest_at", "attest_at", postgresql_where="attest_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id")
    number: str
    state: str = "active"
    ends_on: date | None = None
    """Its last day, once somebody has given notice."""
    ended_by: str | None = None
    look_at: datetime | None = instant(default=None)
    """When that day has passed."""
    attest_at: datetime | None = instant(default=None)
    """When the next month ends, for which the agency owes its attestation."""
    created_at: datetime = instant()


class AgreementVersion(Row, table=True):
    """Terms of an agreement from a day on (append-only; the next version follows)."""

    __tablename__ = "agreement_version"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "agreement_id"], ["agreement.company_id", "agreement.id"]
        ),
    )

    company_id: str = Field(primary_key=True)
    agreement_id: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    agency_id: str
    terms: dict[str, Any] = document()
    effective_on: date
    created_at: datetime = instant()


class TermProposal(Row, table=True):
    """Terms one side offers for the next version; the other side's yes makes the version."""

    __tablename__ = "term_proposal"
    __table_args__ = (
        one_of("state", PROPOSAL_STATES),
        one_of("party", ("company", "agency")),
        CheckConstraint("(state = 'accepted') = (version IS NOT NULL)", name="accepted_version"),
        ForeignKeyConstraint(
            ["company_id", "agreement_id"], ["agreement.company_id", "agreement.id"]
        ),
        Index(
            "uq_term_proposal_open", "company_id", "agreement_id",
            unique=True, postgresql_where="state = 'proposed'",
        ),
        Index("ix_term_proposal_agency", "agency_id", "id"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agreement_id: str
    agency_id: str
    party: str
    terms: dict[str, Any] = document()
    effective_on: date
    state: str = "proposed"
    version: int | None = None
    proposed_by: str
    proposed_at: datetime = instant()
    answered_by: str | None = None
    answered_at: datetime | None = instant(default=None)
