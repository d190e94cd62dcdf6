"""The partner placement agency (人材紹介会社) and the versioned agreement it has with a company."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

AGENCY_STATES = ("pending_verification", "active", "suspended", "expired", "terminated")


class Agency(Row, table=True):
    """A licensed placement business. The directory is the same for every company."""

    __tablename__ = "agency"
    __table_args__ = (one_of("state", AGENCY_STATES),)

    id: str = Field(primary_key=True)
    name: str
    name_en: str = ""
    address: str
    representative: str
    license_number: str
    license_valid_until: date
    country: str = "JP"
    purpose: str = "求人のご紹介および就職・転職のご支援"
    purpose_en: str = "Introducing vacancies and supporting you in finding a job"
    required_items: list[str] = document(default_factory=lambda: ["name", "email"])
    """Item codes without which it cannot work for a person; marked as such on the form."""
    privacy_url: str
    contact_days: int = 3
    state: str = "active"
    feed_read_at: datetime | None = instant(default=None)
    """When it last looked at its feed: with a webhook endpoint the other way it hears of a stop."""
    created_at: datetime = instant()

    def may_receive(self, today: date) -> bool:
        """Whether new people may be handed over on this day (職業安定法 30: a licence in force)."""
        return self.state == "active" and self.license_valid_until >= today


class Agreement(Row, table=True):
    """A company and an agency work together. What they agreed is in the versions."""

    __tablename__ = "agreement"
    __table_args__ = (
        one_of("state", ("active", "ended")),
        Index("uq_agreement_company_id_agency_id", "company_id", "agency_id", unique=True),
        Index("ix_agreement_agency_id", "agency_id"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id")
    number: str
    state: str = "active"
    created_at: datetime = instant()


class AgreementVersion(Row, table=True):
    """Terms of an agreement from a day on. Never changed; the next version follows."""

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
