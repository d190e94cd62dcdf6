"""What arrives from an ATS: the connection, the kept delivery, and the event it meant."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

STATES = ("received", "processed", "ignored", "failed")
ORIGINS = ("webhook", "poll")
READ_AGAIN_AFTER = timedelta(seconds=60)
"""A delivery still unread after this long lost its worker: the sweep asks again."""
KEPT_UNKNOWN = timedelta(days=30)
"""How long the contents of deliveries about nobody we know are kept, for replay."""


class AtsConnection(Row, table=True):
    """One ATS of one company. Secrets are sealed; several are valid at once during a rotation.

    `greeted_at`: when the vendor last tried the URL (a handshake, or a test before the secret).
    """

    __tablename__ = "ats_connection"
    __table_args__ = (Index("uq_ats_connection_id", "id", unique=True),)

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    provider: str
    name: str
    secrets: bytes
    public_keys: list[str] = document(default_factory=list)
    settings: dict[str, Any] = document(default_factory=dict)
    enabled: bool = True
    refused_signatures: int = 0
    greeted_at: datetime | None = instant(default=None)
    created_at: datetime = instant()


class Delivery(Row, table=True):
    """A raw delivery, kept sealed before anybody reads it. `key` tells a repetition from news.

    Once we know whose it is (`candidate_id`), body and events lie under that person's own key, so
    that erasing the person makes them unreadable too. `look_at` is when the sweep looks again:
    soon, while it was not read (a worker may have died); after thirty days, to empty what belongs
    to nobody we know. While an answer of the vendor's API is missing it is the next try.

    `origin` is `poll` for what we found by asking; its body are the facts the vendor's API gave.
    `also_about` names the others where one delivery speaks of several people: erasing any of them
    empties it.

    `nonce` is set where a vendor signs only its id of a delivery, not the body. `effects` tells
    what each event did, without personal data.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        one_of("status", STATES),
        one_of("origin", ORIGINS),
        # No foreign key to the connection: every delivery would lock its connection's row, and
        # sixteen at once would wait for each other. The door has just looked it up.
        Index("uq_delivery_key", "company_id", "connection_id", "key", unique=True),
        Index("ix_delivery_connection", "company_id", "connection_id", "id"),
        Index(
            "ix_delivery_candidate", "company_id", "candidate_id",
            postgresql_where="candidate_id IS NOT NULL",
        ),
        Index(
            "ix_delivery_nonce", "company_id", "connection_id", "nonce",
            postgresql_where="nonce IS NOT NULL",
        ),
        Index("ix_delivery_failed", "company_id", "connection_id", "id",
              postgresql_where="status = 'failed'"),
        Index(
            "ix_delivery_also_about", "also_about", postgresql_using="gin",
            postgresql_ops={"also_about": "jsonb_path_ops"}, postgresql_where="also_about <> '[]'",
        ),
        Index("ix_delivery_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    connection_id: str
    provider: str
    provider_event: str | None = None
    origin: str = "webhook"
    key: bytes
    nonce: bytes | None = None
    candidate_id: str | None = None
    also_about: list[str] = document(default_factory=list)
    body: bytes | None = None
    headers: bytes | None = None
    status: str = "received"
    events: bytes | None = None
    effects: list[dict[str, Any]] = document(default_factory=list)
    attempts: int = 0
    error: str | None = None
    received_at: datetime = instant()
    processed_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)


class AtsEvent(Row, table=True):
    """A canonical event that took effect, once: the key is made of the effect, not the delivery.

    A correction of the same effect (another reason, another end) has the key with `#1`, `#2` …
    `connection_id` and `delivery_id` are empty for what came through the company's own API.
    `meaning` is a digest of what may be corrected; `as_of` is the vendor's time of that statement.
    """

    __tablename__ = "ats_event"
    __table_args__ = (Index("ix_ats_event_application", "company_id", "application_id"),)

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    dedupe_key: str = Field(primary_key=True)
    connection_id: str
    delivery_id: str
    type: str
    application_id: str | None = None
    supersedes: str | None = None
    effect: str = ""
    meaning: str = ""
    as_of: datetime = instant()
    occurred_at: datetime = instant()
    applied_at: datetime = instant()
