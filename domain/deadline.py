"""The promise: a result by the end of the third business day after the interview (domain rules 2)."""

from datetime import date, datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of

STATES = ("open", "due_soon", "met", "missed", "void")


class Deadline(Row, table=True):
    """One per completed interview. `look_at` is when the sweep has to look again; null: never."""

    __tablename__ = "deadline"
    __table_args__ = (
        one_of("state", STATES),
        ForeignKeyConstraint(
            ["company_id", "interview_id"], ["interview.company_id", "interview.id"]
        ),
        Index("uq_deadline_interview", "company_id", "interview_id", unique=True),
        Index("ix_deadline_application", "company_id", "application_id"),
        Index("ix_deadline_company_id_state_due_on", "company_id", "state", "due_on"),
        Index("ix_deadline_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    interview_id: str
    interview_ended_at: datetime = instant()
    due_on: date
    due_before: datetime = instant()
    provisional: bool = False
    calendar_version: int
    state: str = "open"
    met_at: datetime | None = instant(default=None)
    missed_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
    reminders_sent: int = 0
    created_at: datetime = instant()
