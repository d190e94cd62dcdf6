"""Standard Webhooks to agencies: endpoints, the messages that wait for them, and their schedule.

Endpoint health: healthy → degraded (five failures in a row: one request a second) → disabled (no
success for 120 hours, or 410). Enabling again is a person's decision.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.relay import URGENT_KINDS

PING = "webhook.ping"

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
WAITS = (
    5 * _SECOND, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR,
    20 * _HOUR, 24 * _HOUR,
)  # fmt: skip
"""Between one try and the next: ten tries over 75 hours and 35 minutes."""
URGENT_WAITS = (5 * _SECOND, 30 * _SECOND, 2 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE)
URGENT_LIFE = timedelta(days=7)
"""A stop is tried faster and then hourly for a week."""
_JITTER = 0.1  # so that a thousand agencies do not come back in the same second
LONGEST_RETRY_AFTER = timedelta(hours=24)

CLAIM = timedelta(seconds=60)
"""How long an attempt belongs to the worker that took it; a call may take 15 seconds."""
IN_FLIGHT = 5
"""Attempts under way at once per endpoint, so that a slow agency does not delay the others."""
SLOT = timedelta(seconds=1)
"""A degraded endpoint gets one request in this time."""
BUSY_PAUSE = timedelta(seconds=1)

DEGRADED_AFTER = 5
DISABLED_AFTER = timedelta(hours=120)
DISABLED_TRIES = 20
DISABLED_SPREAD = timedelta(hours=12)
STOP_MAIL_AFTER = timedelta(hours=1)
"""A stop that no endpoint has taken for this long is also mailed (no personal data)."""

ROTATION_OVERLAP = timedelta(hours=24)
"""The secret before the last one signs too for this long after a rotation."""

_GONE = 410


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt."""

    status: int | None = None
    error: str | None = None
    answer: str = ""
    """The beginning of the body, for the endpoint's owner."""
    retry_after: timedelta | None = None
    asked: str = ""
    """The receiver's own wish, from the header `webhook-delivery`."""
    duration_ms: int = 0

    @property
    def taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004

    @property
    def gone(self) -> bool:
        """Whether nobody lives there any more."""
        return self.status == _GONE


class WebhookEndpoint(Row, table=True):
    """An address of an agency. `secrets` is a sealed list; two sign for a day after a rotation."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        one_of("payload_mode", ("thin", "sealed")),
        one_of("state", ("healthy", "degraded", "disabled")),
    )

    agency_id: str = Field(primary_key=True, foreign_key="agency.id")
    id: str = Field(primary_key=True)
    url: str
    event_types: list[str] | None = document(default=None)
    payload_mode: str = "thin"
    encryption_key: dict[str, Any] | None = document(default=None)
    secrets: bytes
    previous_secret_until: datetime | None = instant(default=None)
    state: str = "healthy"
    failures: int = 0
    first_failure_at: datetime | None = instant(default=None)
    last_success_at: datetime | None = instant(default=None)
    next_slot_at: datetime | None = instant(default=None)
    created_at: datetime = instant()

    def wants(self, kind: str) -> bool:
        """Whether this endpoint is told of an event. A stop is told to everyone who can hear."""
        if self.state == "disabled":
            return False
        return self.event_types is None or kind in URGENT_KINDS or kind in self.event_types

    def note_success(self, now: datetime) -> None:
        """One 2xx makes an endpoint healthy again."""
        self.state, self.failures, self.first_failure_at = "healthy", 0, None
        self.last_success_at, self.next_slot_at = now, None

    def note_failure(self, now: datetime, *, gone: bool) -> None:
        """Count a failure; `gone` (410) disables at once."""
        self.failures += 1
        self.first_failure_at = self.first_failure_at or now
        if gone or self._given_up(now):
            self.state = "disabled"
        elif self.failures >= DEGRADED_AFTER:
            self.state = "degraded"

    def enable(self) -> None:
        """A person says it works again: counting starts anew."""
        self.state, self.failures, self.first_failure_at = "healthy", 0, None
        self.next_slot_at = None

    def _given_up(self, now: datetime) -> bool:
        since = self.last_success_at or self.created_at
        first = self.first_failure_at or now
        return (
            self.failures >= DISABLED_TRIES
            and now - since >= DISABLED_AFTER
            and now - first >= DISABLED_SPREAD
        )


class WebhookMessage(Row, table=True):
    """One event for one endpoint. Holds no body: what is sent is read at each attempt.

    `key` names endpoint, relay, kind and version: an event asked for twice is one message.
    """

    __tablename__ = "webhook_message"
    __table_args__ = (
        one_of("state", ("pending", "delivered", "failed", "cancelled")),
        ForeignKeyConstraint(
            ["agency_id", "endpoint_id"],
            ["webhook_endpoint.agency_id", "webhook_endpoint.id"],
            ondelete="CASCADE",
        ),
        Index("uq_webhook_message_key", "agency_id", "key", unique=True),
        Index("ix_webhook_message_endpoint", "agency_id", "endpoint_id", "id"),
        Index("ix_webhook_message_due", "next_attempt_at", postgresql_where="state = 'pending'"),
        Index(
            "ix_webhook_message_claimed", "agency_id", "endpoint_id",
            postgresql_where="claimed_until IS NOT NULL",
        ),
    )  # fmt: skip

    agency_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    endpoint_id: str
    type: str
    company_id: str | None = None
    relay_id: str | None = None
    version: int = 0
    key: str
    urgent: bool = False
    state: str = "pending"
    attempts: int = 0
    next_attempt_at: datetime | None = instant(default=None)
    claimed_until: datetime | None = instant(default=None)
    last_attempt_at: datetime | None = instant(default=None)
    last_status: int | None = None
    last_error: str | None = None
    last_answer: str | None = None
    last_duration_ms: int | None = None
    created_at: datetime = instant()
    delivered_at: datetime | None = instant(default=None)

    def due(self, now: datetime) -> bool:
        """Whether it may be tried now: waiting, its time has come, nobody else is at it."""
        return (
            self.state == "pending"
            and self.next_attempt_at is not None
            and self.next_attempt_at <= now
        )

    def claim(self, now: datetime) -> None:
        """Take one attempt. If the worker dies, the message is due again when the claim ends."""
        self.attempts += 1
        self.last_attempt_at = now
        self.next_attempt_at = self.claimed_until = now + CLAIM

    def postpone(self, until: datetime) -> None:
        """Not now, and not an attempt: the endpoint has enough in hand."""
        self.next_attempt_at = until

    def deliver(self, now: datetime) -> None:
        """It was taken with a 2xx."""
        self.state, self.delivered_at = "delivered", now
        self.next_attempt_at = self.claimed_until = None

    def fail(self, now: datetime, *, retry_after: timedelta | None = None) -> None:
        """It was not taken: wait for the next try, or give up (it stays readable by the feed)."""
        self.claimed_until = None
        pause = wait_after(self.id, self.attempts, urgent=self.urgent, age=now - self.created_at)
        if pause is None:
            self.state, self.next_attempt_at = "failed", None
            return
        self.next_attempt_at = now + max(pause, min(retry_after or pause, LONGEST_RETRY_AFTER))

    def cancel(self, why: str) -> None:
        """Nobody is there to take it any more."""
        self.state, self.last_error = "cancelled", why
        self.next_attempt_at = self.claimed_until = None

    def again(self, now: datetime) -> None:
        """Redeliver: the same id, a new series of tries."""
        self.state, self.attempts, self.next_attempt_at = "pending", 0, now
        self.claimed_until = self.delivered_at = None


def wait_after(message_id: str, attempts: int, *, urgent: bool, age: timedelta) -> timedelta | None:
    """The pause after this many tries, jitter included; null when it is given up.

    The jitter comes from the message's id: the same message waits the same, two differ.
    """
    if urgent:
        if age >= URGENT_LIFE:
            return None
        pause = URGENT_WAITS[attempts - 1] if attempts <= len(URGENT_WAITS) else _HOUR
    elif attempts > len(WAITS):
        return None
    else:
        pause = WAITS[attempts - 1]
    return pause * (1 + _JITTER * _noise(f"{message_id}:{attempts}"))


def message_key(endpoint_id: str, relay_id: str, kind: str, version: int) -> str:
    """What makes an event for an endpoint one and the same."""
    return f"{endpoint_id}:{relay_id}:{kind}:{version}"


def _noise(seed: str) -> float:
    """A number in [-1, 1] that only depends on the seed."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    return number / 0x7FFFFFFF - 1
