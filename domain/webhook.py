"""Standard Webhooks to agencies: endpoints and the messages that wait for them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of


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
    created_at: datetime = instant()


class WebhookMessage(Row, table=True):
    """One event for one endpoint. Holds no body: what is sent is read at each attempt."""

    __tablename__ = "webhook_message"
    __table_args__ = (
        one_of("state", ("pending", "delivered", "failed", "cancelled")),
        ForeignKeyConstraint(
            ["agency_id", "endpoint_id"],
            ["webhook_endpoint.agency_id", "webhook_endpoint.id"],
            ondelete="CASCADE",
        ),
        Index("ix_webhook_message_endpoint", "agency_id", "endpoint_id", "id"),
        Index("ix_webhook_message_due", "next_attempt_at", postgresql_where="state = 'pending'"),
    )

    agency_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    endpoint_id: str
    type: str
    company_id: str | None = None
    relay_id: str | None = None
    urgent: bool = False
    state: str = "pending"
    attempts: int = 0
    next_attempt_at: datetime | None = instant(default=None)
    last_attempt_at: datetime | None = instant(default=None)
    last_status: int | None = None
    last_error: str | None = None
    created_at: datetime = instant()
    delivered_at: datetime | None = instant(default=None)
