"""Asking for a link oneself, at `/join/{company}`: the address is proven by mail before anything.

Whoever asks gets the same answer, whether we know the address or not.
"""

from datetime import datetime, timedelta

from sqlalchemy import Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.errors import StepNotAllowed

STATES = ("asked", "matched", "held", "refused", "expired")
PROVE_WITHIN = timedelta(hours=48)
HELD_DAYS = 30
"""So long HR may find the application of somebody whose address we did not know."""

NEXT = {
    ("asked", "match"): "matched",
    ("asked", "hold"): "held",
    ("asked", "expire"): "expired",
    ("held", "match"): "matched",
    ("held", "refuse"): "refused",
    ("held", "expire"): "expired",
}


def advance(state: str, step: str) -> str:
    """The state after a step; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


class JoinRequest(Row, table=True):
    """An address somebody typed, sealed, until it was proven and led somewhere."""

    __tablename__ = "join_request"
    __table_args__ = (
        one_of("state", STATES),
        Index("uq_join_request_token_hash", "token_hash", unique=True),
        Index("ix_join_request_address", "company_id", "email_hmac", "created_at"),
        Index("ix_join_request_held", "company_id", "id", postgresql_where="state = 'held'"),
        Index("ix_join_request_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    token_hash: bytes
    email_hmac: bytes
    sealed: bytes | None = None
    """The address and what the person told HR to be found by; emptied when it has ended."""
    locale: str = "ja"
    state: str = "asked"
    candidate_id: str | None = None
    application_id: str | None = None
    answered_by: str | None = None
    proven_at: datetime | None = instant(default=None)
    ended_at: datetime | None = instant(default=None)
    expires_at: datetime = instant()
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()
