"""Consent as evidence: events are only ever added; one current row per candidate and agency."""

import calendar
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.business_days import Calendar, after, at, due_before, local_day
from domain.canonical import canon, moment, sha256
from domain.errors import StepNotAllowed

STATES = ("given", "declined", "withdrawn", "expired", "superseded")
EVENTS = (
    "invited", "opened", "given", "declined", "withdrawn", "renewed",
    "items_changed", "superseded", "expired", "lapsed", "invalidated",
)  # fmt: skip
GIVING = ("given", "renewed", "items_changed")
"""The events a hand-over may rest on."""
GRACE = timedelta(minutes=30)
"""Between a consent and the first possible hand-over: time to think again."""
RENEW_BEFORE = timedelta(days=14)
RENEW_HOUR = time(10)
GENESIS = "0" * 64
WORD = "consent-v1"
FORM = "consent-v2"
"""The canonical form of what is added today: it also covers who acted, for what, and on what basis.
Its hash of an address lies under the person's own record key."""
PURPOSE = "relay_to_agencies"

NEXT = {
    ("invited", "given"): "given",
    ("given", "renewed"): "given",
    ("given", "items_changed"): "given",
    ("withdrawn", "given"): "given",
    ("expired", "given"): "given",
    ("declined", "given"): "given",
    ("superseded", "given"): "given",
    ("given", "withdrawn"): "withdrawn",
    # What an agency got before the end is stopped as well when the person asks for it.
    ("expired", "withdrawn"): "withdrawn",
    ("given", "expired"): "expired",
    # The recipient, the text or the record it was given under changed: it carries nothing more.
    ("given", "superseded"): "superseded",
    ("superseded", "withdrawn"): "withdrawn",
    # What was recorded as given turned out not to be what the person said.
    ("given", "invalidated"): "withdrawn",
}
"""(state, event) → state of one candidate × agency. What is not listed is refused."""


def advance(state: str, event: str) -> str:
    """The state after an event; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, event]
    except KeyError:
        raise StepNotAllowed(state, event) from None


def expires_at(given_at: datetime, months: int) -> datetime:
    """The end (exclusive): the same day in Japan `months` later is the last one (民法 143)."""
    day = local_day(given_at)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return due_before(date(year, month + 1, min(day.day, last)))


def last_day(expires: datetime) -> date:
    """The last day in Japan on which a consent holds."""
    return local_day(expires - timedelta(seconds=1))


def renew_ask_at(calendar: Calendar, expires: datetime) -> datetime:
    """When the one question is asked (domain rules 17.3): two weeks before, in office hours."""
    day = local_day(expires) - RENEW_BEFORE
    return at(day if calendar.is_open(day) else after(calendar, day, 1), RENEW_HOUR)


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


class ConsentTextEnd(Row, table=True):
    """A version of the text that no longer carries a hand-over from this day on (append-only)."""

    __tablename__ = "consent_text_end"
    __table_args__ = (Index("ix_consent_text_end_version", "company_id", "version"),)

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    version: str
    ends_on: date
    reason: str
    set_by: str
    created_at: datetime = instant()


class ConsentEvent(Row, table=True):
    """One fact about a consent, chained per candidate (append-only, guarded by the database)."""

    __tablename__ = "consent_event"
    __table_args__ = (
        one_of("kind", EVENTS),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("uq_consent_event_seq", "company_id", "candidate_id", "seq", unique=True),
        Index(
            "uq_consent_event_submission", "company_id", "candidate_id", "submission_id",
            "agency_id", unique=True, postgresql_where="submission_id IS NOT NULL",
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
    text_sha256: str | None = None
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
    form: str = Field(default=WORD, sa_column_kwargs={"server_default": WORD})
    """The canonical form it is hashed in: what was hashed once stays as it was."""
    actor: str | None = None
    purpose_code: str | None = None
    guardian_consent_id: str | None = None
    cross_border_basis: str | None = None
    superseded_by: str | None = None
    prev_hash: str
    hash: str

    def sealed_hash(self) -> str:
        """The hash over everything this row says and the hash before it (canonical form)."""
        recipient = sorted((self.recipient or {}).items())
        return sha256(
            canon(
                self.form, self.prev_hash, self.company_id, self.candidate_id, self.seq, self.kind,
                self.agency_id, self.application_id, self.text_sha256,
                len(recipient), *(str(part) for pair in recipient for part in pair),
                len(self.shown), *self.shown, len(self.items), *self.items,
                self.locale, self.method, self.channel, self.identity_check, self.ip_hash,
                self.user_agent_family, self.submission_id, moment(self.at),
                moment(self.expires_at), *self._added(),
            )
        )  # fmt: skip

    def _added(self) -> tuple[str | None, ...]:
        """What the second form covers besides; the first one knew nothing of it."""
        if self.form == WORD:
            return ()
        return (
            self.actor, self.purpose_code, self.guardian_consent_id, self.cross_border_basis,
            self.superseded_by,
        )  # fmt: skip


def broken_at(events: Sequence[ConsentEvent]) -> int | None:
    """The first place in a person's chain (by `seq`) that does not fit; null: all of it does."""
    previous = GENESIS
    for seq, event in enumerate(events, start=1):
        if (event.seq, event.prev_hash, event.hash) != (seq, previous, event.sealed_hash()):
            return seq
        previous = event.hash
    return None


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
        Index(
            "ix_consent_renew_ask_at",
            "renew_ask_at",
            postgresql_where="state = 'given' AND renew_ask_at IS NOT NULL",
        ),
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
    renew_ask_at: datetime | None = instant(default=None)
    """When the one question is asked whether it shall go on; null once it was."""
    renewal_asked_at: datetime | None = instant(default=None)
    superseded_by: str | None = None
