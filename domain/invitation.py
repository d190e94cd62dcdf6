"""The invitation to opt in, and the links a candidate holds. Only hashes of links are stored."""

from datetime import datetime, time, timedelta

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.business_days import Calendar, after, at, local_day
from domain.errors import StepNotAllowed

STATES = ("invited", "given", "declined", "lapsed", "cancelled")
PURPOSES = ("optin", "my_page", "join")
REMIND_AFTER_DAYS = 5
"""Business days that pass in full before the one reminder (domain rules 17.7)."""
_MORNING = time(10)

NEXT = {
    ("invited", "invite"): "invited",
    ("invited", "give"): "given",
    ("invited", "decline"): "declined",
    ("invited", "lapse"): "lapsed",
    ("invited", "cancel"): "cancelled",
    ("given", "give"): "given",
    ("given", "decline"): "declined",
    ("declined", "decline"): "declined",
    ("declined", "give"): "given",  # the same link, while it lives: a change of mind is welcome
    ("cancelled", "invite"): "invited",
}


def advance(state: str, step: str) -> str:
    """The state after a step; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


def remind_at(calendar: Calendar, invited_at: datetime) -> datetime:
    """The morning after five whole business days."""
    return at(after(calendar, local_day(invited_at), REMIND_AFTER_DAYS + 1), _MORNING)


class Invitation(Row, table=True):
    """One per application. Answered by consent or decline, or it lapses after thirty days.

    `mail_at` is when it goes out in a mail of its own (the ATS told the result); null: the link is
    in the notice, or a person handed it over, or that mail has been written.
    """

    __tablename__ = "invitation"
    __table_args__ = (
        one_of("state", STATES),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("uq_invitation_application", "company_id", "application_id", unique=True),
        Index("ix_invitation_candidate", "company_id", "candidate_id"),
        Index("ix_invitation_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    candidate_id: str
    state: str = "invited"
    expires_at: datetime = instant()
    mail_at: datetime | None = instant(default=None)
    reminded_at: datetime | None = instant(default=None)
    answered_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()

    def open(self, calendar: Calendar, now: datetime, valid: timedelta) -> None:
        """Invite, for this long; the one reminder comes in between."""
        self.state = advance(self.state, "invite")
        self.expires_at, self.reminded_at = now + valid, None
        self.look_at = min(remind_at(calendar, now), self.expires_at)


class CandidateLink(Row, table=True):
    """A link in a mail: 256 random bits, stored as SHA-256, bound to one purpose."""

    __tablename__ = "candidate_link"
    __table_args__ = (
        one_of("purpose", PURPOSES),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("uq_candidate_link_token_hash", "token_hash", unique=True),
        Index("ix_candidate_link_candidate", "company_id", "candidate_id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    token_hash: bytes
    candidate_id: str
    application_id: str | None = None
    purpose: str
    expires_at: datetime | None = instant(default=None)
    revoked_at: datetime | None = instant(default=None)
    handed_over: bool = False
    """HR handed it over: that it was followed does not prove an address."""
    created_at: datetime = instant()
