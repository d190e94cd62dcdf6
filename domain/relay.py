"""A relay: one consent being carried out at one agency."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Identity, Index, text
from sqlmodel import Field

from domain.base import Row, Xid8, document, instant, one_of
from domain.errors import StepNotAllowed

STATES = (
    "queued", "forwarded", "accepted", "declined", "contacted", "met", "recommended", "offered",
    "placed", "guaranteed", "early_left", "withdrawn", "closed_no_placement", "expired",
)  # fmt: skip
DECLINE_REASONS = (
    "already_registered", "out_of_scope", "no_capacity", "unreachable", "candidate_declined",
    "other",
)  # fmt: skip

EVENT_KINDS = (
    "relay.created", "relay.updated", "relay.withdrawn", "relay.corrected", "relay.erased",
)  # fmt: skip
URGENT_KINDS = frozenset({"relay.withdrawn", "relay.corrected", "relay.erased"})
"""Told to every endpoint of the agency, whatever it subscribed to, and before anything else."""
REPORTS = ("accepted", "declined", "contacted", "met", "recommended", "offered", "closed")
"""What an agency may report besides a placement."""

_PROGRESS = ("forwarded", "accepted", "contacted", "met", "recommended", "offered")
"""The way to an offer. A report names how far it got, so the furthest one decides."""
_OPEN = ("queued", *_PROGRESS)
STARTED = ("placed", "guaranteed", "early_left")
"""Somebody has started. How it went on is the placement's matter."""
_ENDED = ("declined", "closed_no_placement", "expired", *STARTED)

NEXT: dict[tuple[str, str], str] = {
    ("queued", "forwarded"): "forwarded",
    # Progress in any order, also with steps left out: the furthest stands.
    **{
        (state, fact): max(state, fact, key=_PROGRESS.index)
        for state in _PROGRESS
        for fact in _PROGRESS[1:]
    },
    # A refusal is an answer to the hand-over, not a way out later: that is `closed`.
    ("forwarded", "declined"): "declined",
    ("declined", "declined"): "declined",
    **{(state, "closed"): "closed_no_placement" for state in (*_PROGRESS, "closed_no_placement")},
    # Facts that arrive after the end change nothing.
    **{("closed_no_placement", fact): "closed_no_placement" for fact in _PROGRESS[1:]},
    **{(state, fact): state for state in STARTED for fact in _PROGRESS[1:]},
    # A start inside the ownership window counts, also when the relay had ended before.
    **{(state, "placed"): "placed" for state in _PROGRESS},
    **{(state, "placed"): "placed" for state in ("declined", "closed_no_placement", "expired")},
    ("placed", "guaranteed"): "guaranteed",
    ("placed", "early_left"): "early_left",
    # The agency may report late that somebody left inside the guarantee.
    ("guaranteed", "early_left"): "early_left",
    # A report is corrected: another start, no leave after all, or no start (yet).
    **{(state, "placed"): "placed" for state in STARTED},
    ("early_left", "early_left"): "early_left",
    **{
        (state, "not_started"): "offered"
        for state in (*_PROGRESS, "declined", "closed_no_placement", "expired", *STARTED)
    },
    # Credit rights survive a withdrawal: the relay stays withdrawn, its placement counts.
    **{
        ("withdrawn", fact): "withdrawn"
        for fact in ("placed", "guaranteed", "early_left", "not_started")
    },
    # A withdrawal ends what is open. What has ended keeps its result; its data is stopped all the
    # same (stop notice, feed, package): credit rights survive a withdrawal, data does not.
    **{(state, "withdrawn"): "withdrawn" for state in (*_OPEN, "withdrawn")},
    **{(state, "withdrawn"): state for state in _ENDED},
    **{(state, "expired"): "expired" for state in (*_OPEN, "expired")},
    **{(state, "expired"): state for state in ("withdrawn", *_ENDED) if state != "expired"},
}
"""(state, fact) → state. What is not listed is refused."""


def advance(state: str, fact: str) -> str:
    """The state after a fact; raises `StepNotAllowed` (409) where the table has no line."""
    try:
        return NEXT[state, fact]
    except KeyError:
        raise StepNotAllowed(state, fact) from None


def declaration_stands(
    forwarded_on: date, registered_on: date | None, last_contact_on: date | None, contact_days: int
) -> bool:
    """Whether 「既登録」 is proven: known before the hand-over, in touch not long ago (rules 12).

    Two-way contact within `contact_days` before the hand-over; without both days it is not proven.
    A contact after the hand-over proves nothing: the relay itself may have led to it.
    """
    if registered_on is None or last_contact_on is None:
        return False
    since = (forwarded_on - last_contact_on).days
    return registered_on < forwarded_on and 0 <= since <= contact_days


def is_open(state: str) -> bool:
    """Whether the agency is still at work on it."""
    return state in _PROGRESS


def has_reached(state: str, step: str) -> bool:
    """Whether a relay has got at least as far as a step on the way to an offer."""
    if state in STARTED:
        return True
    return state in _PROGRESS and _PROGRESS.index(state) >= _PROGRESS.index(step)


def may_be_read(state: str) -> bool:
    """Whether the agency has a use for the package: at work on it, or the person has started."""
    return state in _PROGRESS or state in {"placed", "guaranteed"}


class Relay(Row, table=True):
    """Carries ids and states only. `version` grows with every change an agency can see."""

    __tablename__ = "relay"
    __table_args__ = (
        one_of("state", STATES),
        ForeignKeyConstraint(["company_id", "consent_id"], ["consent.company_id", "consent.id"]),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("ix_relay_application", "company_id", "application_id"),
        Index("ix_relay_candidate", "company_id", "candidate_id"),
        Index("ix_relay_agency", "agency_id", "id"),
        Index("ix_relay_forward_at", "forward_at", postgresql_where="state = 'queued'"),
        Index("ix_relay_waiting", "agency_id", postgresql_where="state = 'queued'"),
        Index("ix_relay_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
        Index(
            "ix_relay_open", "company_id", "agency_id", "id",
            postgresql_where="state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended',"
            " 'offered')",
        ),
        Index("ix_relay_forwarded", "company_id", "agency_id", "forwarded_at"),
        Index(
            "ix_relay_missed", "company_id", "agency_id",
            postgresql_where="status_missed_on IS NOT NULL",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id")
    application_id: str
    candidate_id: str
    consent_id: str
    state: str = "queued"
    version: int = 1
    reason: str | None = None
    forward_at: datetime = instant()
    forwarded_at: datetime | None = instant(default=None)
    closed_at: datetime | None = instant(default=None)
    status_due_on: date | None = None
    """By the end of this day the agency owes a word about an open relay."""
    status_missed_on: date | None = None
    """The first day on which that word was missing; null once it was given."""
    look_at: datetime | None = instant(default=None)
    """When that word would be missing."""
    created_at: datetime = instant()


class RelayEvent(Row, table=True):
    """A fact the agency reported, or that the platform noted, about a relay (append-only)."""

    __tablename__ = "relay_event"
    __table_args__ = (
        ForeignKeyConstraint(["company_id", "relay_id"], ["relay.company_id", "relay.id"]),
        Index("ix_relay_event_relay", "company_id", "relay_id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    relay_id: str
    type: str
    reason: str | None = None
    registered_on: date | None = None
    last_contact_on: date | None = None
    at: datetime = instant()
    actor: str
    noted_at: datetime = instant()


class FeedItem(Row, table=True):
    """The one current line of a relay in its agency's feed. A change gives it a new place.

    Read in (xid, position) order below the snapshot's xmin: only that order loses nothing while
    transactions commit out of turn.
    """

    __tablename__ = "feed_item"
    __table_args__ = (
        one_of("op", ("upsert", "remove")),
        Index("ix_feed_item_order", "agency_id", "xid", "position"),
        Index("ix_feed_item_removed", "changed_at", postgresql_where="op = 'remove'"),
    )

    agency_id: str = Field(primary_key=True)
    relay_id: str = Field(primary_key=True)
    company_id: str
    xid: int = Field(
        sa_column=Column(Xid8, nullable=False, server_default=text("pg_current_xact_id()"))
    )
    position: int = Field(sa_column=Column(BigInteger, Identity(always=False), nullable=False))
    op: str
    version: int
    reason: str | None = None
    changed_at: datetime = instant()


class Provision(Row, table=True):
    """The statutory record of a hand-over: who, what, to whom (個人情報保護法 29, 規則 19-21).

    `person` is the candidate's name sealed with the record key; it survives erasure of the rest.
    Reads of the same package version extend `last_provided_at` of one record (規則 19: batch).
    """

    __tablename__ = "provision"
    __table_args__ = (
        ForeignKeyConstraint(["company_id", "relay_id"], ["relay.company_id", "relay.id"]),
        Index(
            "uq_provision_package",
            "company_id",
            "relay_id",
            "content_sha256",
            "channel",
            unique=True,
        ),
        Index("ix_provision_candidate", "company_id", "candidate_id"),
        Index("ix_provision_agency", "agency_id", "relay_id"),
        Index("ix_provision_retention", "company_id", "retention_until"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    relay_id: str
    candidate_id: str
    consent_id: str
    consent_event_id: str
    consent_text_sha256: str
    recipient_name: str
    recipient_address: str
    recipient_representative: str
    person: bytes
    items: list[str] = document()
    channel: str
    client_id: str
    package_version: int
    content_sha256: str
    provided_at: datetime = instant()
    last_provided_at: datetime = instant()
    retention_until: date
    use_until: datetime | None = instant(default=None)
    """The lease: until then the agency may use what it got; a new read extends it."""
    recipient_license: str = Field(default="", sa_column_kwargs={"server_default": ""})
    file_sha256: list[str] = document(
        default_factory=list, sa_column_kwargs={"server_default": "[]"}
    )


class StopNotice(Row, table=True):
    """An agency that holds data is told to stop, and must say that it has."""

    __tablename__ = "stop_notice"
    __table_args__ = (
        one_of("kind", ("withdrawn", "erased", "corrected")),
        one_of("state", ("notified", "acknowledged", "overdue")),
        ForeignKeyConstraint(["company_id", "relay_id"], ["relay.company_id", "relay.id"]),
        Index("uq_stop_notice_relay", "company_id", "relay_id", "kind", "version", unique=True),
        Index("ix_stop_notice_agency", "agency_id", "relay_id"),
        Index("ix_stop_notice_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    relay_id: str
    candidate_id: str
    kind: str
    version: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Of the package that a correction made; 0: a stop is told once."""
    state: str = "notified"
    due_on: date
    answer: str | None = None
    acknowledged_at: datetime | None = instant(default=None)
    escalated_at: datetime | None = instant(default=None)
    """From here on nothing new goes to this agency until it has answered."""
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()
