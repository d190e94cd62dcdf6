"""An agency manages where its webhooks go. A secret is shown once, when it is made."""

import json
import secrets
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.errors import Conflict, Invalid, NotFound
from domain.flows.relay.announce import URGENT_PRIORITY
from domain.ids import new_id
from domain.jobs import later
from domain.ports import Sealer
from domain.relay import EVENT_KINDS, URGENT_KINDS, Relay
from domain.store import add_once
from domain.webhook import PING, ROTATION_OVERLAP, WebhookEndpoint, WebhookMessage, message_key

MOST_ENDPOINTS = 20
SECRET_BYTES = 32


@dataclass(frozen=True)
class EndpointWish:
    """What an endpoint shall be."""

    url: str
    event_types: list[str] | None = None
    payload_mode: str = "thin"
    encryption_key: dict[str, Any] | None = None


async def register_endpoint(
    session: AsyncSession, sealer: Sealer, agency_id: str, wish: EndpointWish, now: datetime
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret. It is used at once; a `webhook.ping` goes out first.

    Raises `Invalid` (`unknown_event_type`, `encryption_key_required`) and `Conflict`
    (`too_many_endpoints`).
    """
    check_wish(wish)
    mine = select(WebhookEndpoint.id).where(col(WebhookEndpoint.agency_id) == agency_id)
    if len((await session.scalars(mine)).all()) >= MOST_ENDPOINTS:
        detail = f"an agency has at most {MOST_ENDPOINTS} endpoints"
        raise Conflict(detail, code="too_many_endpoints")
    secret = new_secret()
    endpoint = WebhookEndpoint(
        agency_id=agency_id, id=new_id("whe"), url=wish.url, event_types=wish.event_types,
        payload_mode=wish.payload_mode, encryption_key=wish.encryption_key, secrets=b"",
        created_at=now,
    )  # fmt: skip
    endpoint.secrets = seal_secrets(sealer, endpoint.id, [secret])
    session.add(endpoint)
    await session.flush()
    await ping(session, endpoint, now)
    await later(session, "relay.look_again", agency_id)
    return endpoint, secret


async def change_endpoint(
    session: AsyncSession,
    agency_id: str,
    endpoint_id: str,
    changes: dict[str, Any],
    *,
    now: datetime,
) -> WebhookEndpoint:
    """Change what is named; `enabled: true` brings a disabled one back. A new URL is pinged."""
    endpoint = await lock_endpoint(session, agency_id, endpoint_id)
    before = endpoint.url
    for name in ("url", "event_types", "payload_mode", "encryption_key"):
        if name in changes:
            setattr(endpoint, name, changes[name])
    check_wish(
        EndpointWish(
            endpoint.url, endpoint.event_types, endpoint.payload_mode, endpoint.encryption_key
        )
    )
    if changes.get("enabled") is True:
        endpoint.enable()
        await later(session, "relay.look_again", agency_id)
    elif changes.get("enabled") is False:
        endpoint.state = "disabled"
    session.add(endpoint)
    await session.flush()
    if endpoint.url != before or changes.get("enabled") is True:
        await ping(session, endpoint, now)
    return endpoint


async def rotate_secret(
    session: AsyncSession, sealer: Sealer, agency_id: str, endpoint_id: str, now: datetime
) -> tuple[WebhookEndpoint, str]:
    """A new secret, shown once. The one before signs too for 24 hours."""
    endpoint = await lock_endpoint(session, agency_id, endpoint_id)
    secret = new_secret()
    newest = open_secrets(sealer, endpoint)[0]
    endpoint.secrets = seal_secrets(sealer, endpoint.id, [secret, newest])
    endpoint.previous_secret_until = now + ROTATION_OVERLAP
    session.add(endpoint)
    return endpoint, secret


async def remove_endpoint(session: AsyncSession, agency_id: str, endpoint_id: str) -> None:
    """Remove an endpoint with everything that waits for it. The feed still holds all of it."""
    endpoint = await lock_endpoint(session, agency_id, endpoint_id)
    await session.delete(endpoint)
    await session.flush()


async def redeliver(
    session: AsyncSession, agency_id: str, endpoint_id: str, message_id: str, now: datetime
) -> WebhookMessage:
    """Send a message again under its id, with what is true now.

    Raises `Conflict`: `delivery_pending` while it is still being tried, `endpoint_disabled`.
    """
    endpoint = await lock_endpoint(session, agency_id, endpoint_id)
    wanted = (
        select(WebhookMessage)
        .where(
            col(WebhookMessage.agency_id) == agency_id,
            col(WebhookMessage.endpoint_id) == endpoint_id,
            col(WebhookMessage.id) == message_id,
        )
        .with_for_update()
    )
    message = (await session.scalars(wanted)).first()
    if message is None:
        raise NotFound
    if endpoint.state == "disabled":
        detail = "enable the endpoint first"
        raise Conflict(detail, code="endpoint_disabled")
    if message.state == "pending":
        detail = "this delivery is still being tried"
        raise Conflict(detail, code="delivery_pending")
    message.again(now)
    session.add(message)
    await session.flush()
    await _send(session, message)
    return message


async def ping(session: AsyncSession, endpoint: WebhookEndpoint, now: datetime) -> WebhookMessage:
    """A signed `webhook.ping`, sent like any other message."""
    message_id = new_id("msg")
    message = WebhookMessage(
        agency_id=endpoint.agency_id, id=message_id, endpoint_id=endpoint.id, type=PING,
        key=f"{endpoint.id}:{message_id}", next_attempt_at=now, created_at=now,
    )  # fmt: skip
    session.add(message)
    await session.flush()
    await _send(session, message)
    return message


async def write_messages(
    session: AsyncSession, agency_id: str, relay: Relay, kind: str, version: int, *, now: datetime
) -> list[str]:
    """One message for each endpoint that wants the event. Run twice it writes nothing new."""
    endpoints = await session.scalars(
        select(WebhookEndpoint).where(col(WebhookEndpoint.agency_id) == agency_id)
    )
    written = []
    for endpoint in endpoints.all():
        message = WebhookMessage(
            agency_id=agency_id, id=new_id("msg"), endpoint_id=endpoint.id, type=kind,
            company_id=relay.company_id, relay_id=relay.id, version=version,
            key=message_key(endpoint.id, relay.id, kind, version),
            urgent=kind in URGENT_KINDS, next_attempt_at=now, created_at=now,
        )  # fmt: skip
        if endpoint.wants(kind) and await add_once(session, message):
            await _send(session, message)
            written.append(message.id)
    return written


def check_wish(wish: EndpointWish) -> None:
    """Whether an endpoint can be as asked for. URL and key are checked where they are used."""
    unknown = set(wish.event_types or ()) - set(EVENT_KINDS)
    if unknown:
        detail = "known types: " + ", ".join(EVENT_KINDS)
        raise Invalid(detail, code="unknown_event_type")
    if wish.payload_mode == "sealed" and wish.encryption_key is None:
        detail = "sealed mode needs `encryption_key`"
        raise Invalid(detail, code="encryption_key_required")


async def lock_endpoint(session: AsyncSession, agency_id: str, endpoint_id: str) -> WebhookEndpoint:
    """An agency's endpoint, to be changed."""
    wanted = (
        select(WebhookEndpoint)
        .where(col(WebhookEndpoint.agency_id) == agency_id, col(WebhookEndpoint.id) == endpoint_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    endpoint = (await session.scalars(wanted)).first()
    if endpoint is None:
        raise NotFound
    return endpoint


def new_secret() -> str:
    """A Standard Webhooks secret: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal_secrets(sealer: Sealer, endpoint_id: str, given: list[str]) -> bytes:
    """The endpoint's secrets as one sealed list, newest first."""
    return sealer.seal(json.dumps(given).encode(), about=f"webhook:{endpoint_id}")


def open_secrets(sealer: Sealer, endpoint: WebhookEndpoint) -> list[str]:
    """The endpoint's secrets, newest first."""
    opened: list[str] = json.loads(sealer.open(endpoint.secrets, about=f"webhook:{endpoint.id}"))
    return opened


async def _send(session: AsyncSession, message: WebhookMessage) -> None:
    await later(
        session, "webhook.send", message.agency_id, message.id,
        priority=URGENT_PRIORITY if message.urgent else 0,
    )  # fmt: skip
