"""The second step before a person's data is shown or changed: a code by mail (consent rules 17.7).

Whoever holds a link may see who holds what and take a consent back; the rest needs the code.
"""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant

DIGITS, TRIES = 6, 5
VALID = timedelta(minutes=10)
NOT_AGAIN_WITHIN = timedelta(seconds=30)
"""A code is on its way so long: a button pressed twice mails one."""
SESSION = timedelta(minutes=30)
A_DAY = 5
"""Codes mailed to one person in 24 hours."""


class AccessProof(Row, table=True):
    """One code that was mailed, and the visit it opened."""

    __tablename__ = "access_proof"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("ix_access_proof_candidate", "company_id", "candidate_id", "created_at"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    link_id: str
    """The visit holds for the link it began with, and for no other."""
    code_hash: bytes
    tries: int = 0
    expires_at: datetime = instant()
    proven_at: datetime | None = instant(default=None)
    session_hash: bytes | None = None
    session_until: datetime | None = instant(default=None)
    created_at: datetime = instant()

    def works(self, now: datetime) -> bool:
        """Whether the code may still be typed in: it works once."""
        return self.proven_at is None and self.tries < TRIES and now < self.expires_at
