"""An application (candidate × job) and its interviews, as the company's ATS tells them."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

OUTCOMES = ("active", "rejected", "withdrawn", "hired")
INTERVIEW_STATES = ("scheduled", "completed", "cancelled", "no_show")


class Application(Row, table=True):
    """Where one person stands with one job. `outcome_at` is the vendor time of the latest change."""

    __tablename__ = "application"
    __table_args__ = (
        one_of("outcome", OUTCOMES),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("uq_application_external", "company_id", "connection_id", "external_id", unique=True),
        Index("ix_application_company_id_external_id", "company_id", "external_id"),
        Index("ix_application_not_before", "not_before", postgresql_where="not_before IS NOT NULL"),
        Index("ix_application_company_id_candidate_id", "company_id", "candidate_id"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    connection_id: str = ""
    external_id: str
    candidate_id: str
    job_title: str = ""
    department: str = ""
    stage: str = ""
    source: str | None = None
    applicant_type: str = "general"
    outcome: str = "active"
    outcome_at: datetime = instant()
    initiated_by: str | None = None
    rejection_reason: str | None = None
    holds: list[str] = document(default_factory=list)
    not_before: datetime | None = instant(default=None)
    last_event_key: str = ""
    applied_at: datetime | None = instant(default=None)
    created_at: datetime = instant()


class Interview(Row, table=True):
    """A meeting. Once completed it has a deadline, whatever the result."""

    __tablename__ = "interview"
    __table_args__ = (
        one_of("status", INTERVIEW_STATES),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("uq_interview_external", "company_id", "application_id", "external_id", unique=True),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    external_id: str
    stage: str = ""
    starts_at: datetime | None = instant(default=None)
    ends_at: datetime | None = instant(default=None)
    status: str = "scheduled"
    told_at: datetime = instant()
    created_at: datetime = instant()
