"""Asking for feedback: one polite request per application, where the company allows it."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.errors import StepNotAllowed

STATES = ("asked", "to_approve", "answered", "standard", "void")
REMIND_DAYS = 10
"""Business days after which HR is reminded, once."""

NEXT = {
    ("asked", "answer"): "answered",
    ("asked", "propose"): "to_approve",
    ("asked", "standard"): "standard",
    ("asked", "void"): "void",
    ("to_approve", "approve"): "answered",
    ("to_approve", "return"): "asked",
    ("to_approve", "standard"): "standard",
    ("to_approve", "void"): "void",
}


def advance(state: str, step: str) -> str:
    """The state after a step; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


class FeedbackRequest(Row, table=True):
    """The request and its answer; what the guard stops waits for a second person."""

    __tablename__ = "feedback_request"
    __table_args__ = (
        one_of("state", STATES),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("uq_feedback_request_application", "company_id", "application_id", unique=True),
        Index("ix_feedback_request_candidate", "company_id", "candidate_id"),
        Index(
            "ix_feedback_request_open", "company_id", "id",
            postgresql_where="state IN ('asked', 'to_approve')",
        ),
        Index("ix_feedback_request_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    candidate_id: str
    state: str = "asked"
    draft: bytes | None = None
    answer: bytes | None = None
    drafted_by: str | None = None
    approved_by: str | None = None
    asked_at: datetime = instant()
    answered_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
