"""What arrives from an ATS: the connection, the kept delivery, and the event it meant."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

STATES = ("received", "processed", "ignored", "failed")


class AtsConnection(Row, table=True):
    """One ATS of one company. Secrets are sealed; several are valid at once during a rotation."""

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
    last_delivery_at: datetime | None = instant(default=None)
    created_at: datetime = instant()


class Delivery(Row, table=True):
    """A raw delivery, kept sealed before anybody reads it. `key` tells a repetition from news."""

    __tablename__ = "delivery"
    __table_args__ = (
        one_of("status", STATES),
        ForeignKeyConstraint(
            ["company_id", "connection_id"], ["ats_connection.company_id", "ats_connection.id"]
        ),
        Index("uq_delivery_key", "company_id", "connection_id", "key", unique=True),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    connection_id: str
    provider: str
    provider_event: str | None = None
    key: bytes
    body: bytes | None = None
    headers: bytes | None = None
    status: str = "received"
    events: bytes | None = None
    error: str | None = None
    received_at: datetime = instant()
    processed_at: datetime | None = instant(default=None)


class AtsEvent(Row, table=True):
    """A canonical event that took effect, once: the key is made of the effect, not the delivery."""

    __tablename__ = "ats_event"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "connection_id"], ["ats_connection.company_id", "ats_connection.id"]
        ),
        Index("ix_ats_event_application", "company_id", "application_id"),
    )

    company_id: str = Field(primary_key=True)
    dedupe_key: str = Field(primary_key=True)
    connection_id: str
    delivery_id: str
    type: str
    application_id: str | None = None
    supersedes: str | None = None
    effect: str = ""
    occurred_at: datetime = instant()
    applied_at: datetime = instant()
