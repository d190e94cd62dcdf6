"""What an agency owes even when nothing happens: a word about open relays, a monthly attestation.

The ledger is only complete if silence is noticed (ledger rules 22). What follows from silence is
agreed: after some business days no new relays.
"""

from datetime import date, datetime, time, timedelta

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.business_days import JST

ATTESTATION_STATES = ("due", "given", "overdue")
QUESTION_DAYS = (30, 90, 180)
"""Days after the hand-over at which a person who agreed to it is asked whether they started."""
ANSWERS = ("started", "not_started", "stop_asking")


class Attestation(Row, table=True):
    """「未報告の成約はありません」: for one month and one company, by the placement manager."""

    __tablename__ = "attestation"
    __table_args__ = (
        one_of("state", ATTESTATION_STATES),
        CheckConstraint("(state = 'given') = (given_at IS NOT NULL)", name="given_once"),
        Index("uq_attestation_month", "company_id", "agency_id", "month", unique=True),
        Index("ix_attestation_agency", "agency_id", "month"),
        Index("ix_attestation_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id")
    month: date
    """Its first day."""
    due_on: date
    state: str = "due"
    open_relays: int = 0
    """How many stood open when it was given."""
    placements: int = 0
    """How many starts in the month had been reported when it was given."""
    given_by: str | None = None
    manager: bytes | None = None
    """The placement manager (職業紹介責任者) who stands by it, sealed: it is a name."""
    given_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()


class PlacementQuestion(Row, table=True):
    """One question to a person who agreed to be asked; the answer is theirs to give or not."""

    __tablename__ = "placement_question"
    __table_args__ = (
        one_of("state", ("planned", "asked", "answered", "void")),
        CheckConstraint(
            "answer IS NULL OR answer IN ('started', 'not_started', 'stop_asking')",
            name="answer_known",
        ),
        CheckConstraint("(state = 'answered') = (answer IS NOT NULL)", name="answered"),
        ForeignKeyConstraint(["company_id", "relay_id"], ["relay.company_id", "relay.id"]),
        Index("uq_placement_question", "company_id", "relay_id", "days", unique=True),
        Index("uq_placement_question_token", "token_hash", unique=True),
        Index("ix_placement_question_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
        Index("ix_placement_question_candidate", "company_id", "candidate_id"),
        Index(
            "ix_placement_question_started", "company_id", "agency_id", "relay_id",
            postgresql_where="answer = 'started'",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    candidate_id: str
    relay_id: str
    consent_event_id: str
    """The evidence that the person agreed to be asked."""
    days: int
    state: str = "planned"
    token_hash: bytes | None = None
    answer: str | None = None
    answered_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def first_moment(day: date) -> datetime:
    """When a day begins in Japan."""
    return datetime.combine(day, time(), JST)
