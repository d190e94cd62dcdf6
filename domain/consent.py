"""Consent as evidence: events are only ever added; one current row per candidate and agency."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

STATES = ("given", "declined", "withdrawn", "expired", "superseded")
EVENTS = (
    "invited", "opened", "given", "declined", "withdrawn", "renewed",
    "items_changed", "superseded", "expired", "lapsed", "invalidated",
)  # fmt: skip


class ConsentText(Row, table=True):
    """What was shown, word by word, under its hash. Immutable."""

    __tablename__ = "consent_text"
    __table_args__ = (
        Index("ix_consent_text_company_id_sha256", "company_id", "sha256", unique=True),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    sha256: str
    version: str
    locale: str
    content: dict[str, Any] = document()
    effective_on: date
    created_at: datetime = instant()


class ConsentEvent(Row, table=True):
    """One fact about a consent, chained per candidate (append-only, guarded by the database)."""

    __tablename__ = "consent_event"
    __table_args__ = (
        one_of("kind", EVENTS),
        ForeignKeyConstraint(["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]),
        Index("uq_consent_event_seq", "company_id", "candidate_id", "seq", unique=True),
        Index(
            "uq_consent_event_submission", "company_id", "candidate_id", "submission_id", "agency_id",
            unique=True, postgresql_where="submission_id IS NOT NULL",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    application_id: str | None = None
    agency_id: str | None = None
    seq: int
    kind: str
    text_id: str | None = None
    recipient: dict[str, Any] | None = document(default=None)
    shown: list[str] = document(default_factory=list)
    items: list[str] = document(default_factory=list)
    locale: str = "ja"
    method: str = ""
    channel: str = "web"
    identity_check: str = "mail_link"
    ip_hash: str = ""
    user_agent_family: str = ""
    submission_id: str | None = None
    at: datetime = instant()
    expires_at: datetime | None = instant(default=None)
    prev_hash: str
    hash: str


class Consent(Row, table=True):
    """The current state between a candidate and an agency, derived from the events."""

    __tablename__ = "consent"
    __table_args__ = (
        one_of("state", STATES),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index(
            "uq_consent_candidate_agency", "company_id", "candidate_id", "agency_id", unique=True
        ),
        Index("ix_consent_expires_at", "expires_at", postgresql_where="state = 'given'"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    agency_id: str = Field(foreign_key="agency.id")
    application_id: str
    state: str
    event_id: str
    text_id: str
    items: list[str] = document(default_factory=list)
    given_at: datetime = instant()
    expires_at: datetime = instant()
    provision_not_before: datetime = instant()
    withdrawn_at: datetime | None = instant(default=None)
