"""Our side of a vendor's API: what we poll, its words that need a meaning, the notes we leave."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

POLLS = ("recent", "full")
"""`recent`: every few minutes, with an overlap. `full`: every night, thirty days back."""
WORDS = ("reason", "status")
NOTES = ("told", "opted_in", "withdrew")
NOTE_STATES = ("pending", "sent", "failed", "cancelled")

OVERLAP = timedelta(hours=1)
FULL_DAYS = timedelta(days=30)
LEASE = timedelta(minutes=10)
"""For how long a worker may be silent about a poll before another one takes it over."""

_BACK_OFF = (1, 2, 5, 15, 30, 60)


def back_off(tries: int, asked: timedelta | None = None) -> timedelta:
    """How long to wait after so many failures: minutes that grow to an hour, or what was asked."""
    ours = timedelta(minutes=_BACK_OFF[min(tries, len(_BACK_OFF)) - 1])
    return max(ours, min(asked or timedelta(), timedelta(days=1)))


class AtsPoll(Row, table=True):
    """One of the two polls of a connection. `cursor` is where it stands; it survives a crash.

    `due_at` is the next run or, while one goes on, when its worker counts as lost. `until` is the
    moment the last complete run looked up to. `found` counts what only polling told us.
    """

    __tablename__ = "ats_poll"
    __table_args__ = (
        one_of("kind", POLLS),
        Index("uq_ats_poll_connection", "company_id", "connection_id", "kind", unique=True),
        Index("ix_ats_poll_due_at", "due_at", postgresql_where="due_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    connection_id: str
    kind: str
    due_at: datetime | None = instant(default=None)
    since: datetime | None = instant(default=None)
    started_at: datetime | None = instant(default=None)
    cursor: dict[str, Any] | None = document(default=None)
    until: datetime | None = instant(default=None)
    finished_at: datetime | None = instant(default=None)
    failures: int = 0
    error: str | None = None
    found: int = 0


class VendorWord(Row, table=True):
    """A reason or a status in the vendor's own words, for the maps HR fills in.

    `suggestion` is what we would offer; what counts stands in the connection's settings.
    """

    __tablename__ = "vendor_word"
    __table_args__ = (one_of("kind", WORDS),)

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    connection_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    word_id: str = Field(primary_key=True)
    text: str
    suggestion: str | None = None
    seen_at: datetime = instant()


class VendorNote(Row, table=True):
    """A note and a tag to be left with the vendor, once per application and occasion."""

    __tablename__ = "vendor_note"
    __table_args__ = (
        one_of("kind", NOTES),
        one_of("state", NOTE_STATES),
        Index("uq_vendor_note_about", "company_id", "application_id", "kind", "about", unique=True),
        Index("ix_vendor_note_due_at", "due_at", postgresql_where="state = 'pending'"),
        Index("ix_vendor_note_connection", "company_id", "connection_id", "id"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    connection_id: str
    application_id: str
    kind: str
    about: str
    state: str = "pending"
    due_at: datetime | None = instant(default=None)
    happened_at: datetime = instant()
    attempts: int = 0
    error: str | None = None
    sent_at: datetime | None = instant(default=None)
    created_at: datetime = instant()
