"""One attempt at a webhook: what is true is read now, the call happens elsewhere, then it is noted.

The two halves are two transactions; none is open during the call. A worker that dies between them
leaves a claim that ends: the message is tried again, twice at worst, never not at all.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_agency, relay_of_agency
from domain.company import Company
from domain.errors import Refusal
from domain.flows.relay.announce import URGENT_PRIORITY
from domain.flows.relay.ask_gate import ask_gate
from domain.flows.relay.manage_endpoint import open_secrets
from domain.flows.relay.provide_package import Provided, provide_package
from domain.flows.tell.tell_members import tell_agency
from domain.jobs import later
from domain.ports import Tools
from domain.relay import Relay
from domain.relay_package import instant_text
from domain.webhook import (
    BUSY_PAUSE,
    IN_FLIGHT,
    PING,
    SLOT,
    STOP_MAIL_AFTER,
    Outcome,
    WebhookEndpoint,
    WebhookMessage,
)

_TAKES_PACKAGE = ("relay.created", "relay.updated", "relay.corrected")


@dataclass(frozen=True)
class Attempt:
    """What a worker needs to call: address, secrets, the body's content, a package to seal in."""

    url: str
    secrets: list[str]
    message_id: str
    body: dict[str, Any]
    provided: Provided | None = None
    encryption_key: dict[str, Any] | None = None


async def ask_for_delivery(
    session: AsyncSession, tools: Tools, agency_id: str, message_id: str, now: datetime
) -> None:
    """Timer `webhook_message.next_attempt_at`: a message is due, a worker shall try it."""
    del tools
    message = await session.get(WebhookMessage, (agency_id, message_id))
    if message is not None and message.due(now):
        await later(
            session, "webhook.send", agency_id, message_id,
            priority=URGENT_PRIORITY if message.urgent else 0,
        )  # fmt: skip


async def take_attempt(
    session: AsyncSession, tools: Tools, agency_id: str, message_id: str, now: datetime
) -> Attempt | None:
    """Claim one attempt and read what is true now; null when there is nothing to try.

    The transaction works for the agency. In sealed mode the package is a hand-over: its record is
    written here, before anything is sent. A closed gate sends the event without a package.
    """
    found = await _both(session, agency_id, message_id)
    if found is None or not found[0].due(now):
        return None
    message, endpoint = found
    if endpoint.state == "disabled":
        message.cancel("endpoint_disabled")
        return None
    busy_until = await _busy_until(session, endpoint, message, now)
    if busy_until is not None:
        message.postpone(busy_until)
        return None
    message.claim(now)
    endpoint.next_slot_at = now + SLOT if endpoint.state == "degraded" else None
    await session.flush()
    body = await _body(session, tools, endpoint, message)
    provided = None
    if endpoint.payload_mode == "sealed" and message.type in _TAKES_PACKAGE:
        provided = await _package(session, tools, message, now)
    return Attempt(
        url=endpoint.url,
        secrets=_signing(tools, endpoint, now),
        message_id=message.id,
        body=body,
        provided=provided,
        encryption_key=endpoint.encryption_key,
    )


async def may_leave(session: AsyncSession, agency_id: str, message_id: str, now: datetime) -> bool:
    """One more look right before a sealed package is sent: no stop was committed meanwhile.

    The record was written with the gate open; between that commit and the call a person may take
    the consent back. What is left after this look is the call itself (decision record 0011).
    """
    seen = await session.get(WebhookMessage, (agency_id, message_id))
    if seen is None or seen.state != "pending" or seen.relay_id is None:
        return False
    try:
        relay = await relay_of_agency(session, agency_id, seen.relay_id)
    except Refusal:
        return False
    _, closed = await ask_gate(session, relay, now)
    return closed is None


async def note_outcome(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    message_id: str,
    outcome: Outcome,
    *,
    now: datetime,
) -> None:
    """What came of an attempt: taken, to be tried again, given up, or an endpoint that is gone."""
    found = await _both(session, agency_id, message_id)
    if found is None or found[0].state != "pending":
        return
    message, endpoint = found
    message.last_status, message.last_error = outcome.status, outcome.error
    message.last_answer, message.last_duration_ms = outcome.answer, outcome.duration_ms
    was = endpoint.state
    if outcome.taken:
        message.deliver(now)
        endpoint.note_success(now)
    else:
        message.fail(now, retry_after=outcome.retry_after)
        endpoint.note_failure(now, gone=outcome.gone)
    _obey(message, endpoint, outcome)
    if endpoint.state == "disabled":
        message.cancel("endpoint_disabled")
    await session.flush()
    await _tell_people(session, tools, endpoint, message, was=was, now=now)


def _obey(message: WebhookMessage, endpoint: WebhookEndpoint, outcome: Outcome) -> None:
    """A receiver may ask us to stop; not where the message itself says that it must stop."""
    if message.urgent:
        return
    if outcome.asked == "disable":
        endpoint.state = "disabled"
    elif outcome.asked == "abort-message" and message.state == "pending":
        message.cancel("aborted_by_receiver")


async def _tell_people(
    session: AsyncSession,
    tools: Tools,
    endpoint: WebhookEndpoint,
    message: WebhookMessage,
    *,
    was: str,
    now: datetime,
) -> None:
    if endpoint.state != was and endpoint.state in {"degraded", "disabled"}:
        # Once per spell of failures, however often it recovers in between.
        spell = instant_text(endpoint.first_failure_at or now)
        await tell_agency(
            session, tools, endpoint.agency_id, f"endpoint_{endpoint.state}",
            lambda _: {"endpoint_id": endpoint.id, "url": tools.public_url},
            about=f"endpoint-{endpoint.state}:{endpoint.id}:{spell}", now=now,
        )  # fmt: skip
    unheard = message.urgent and message.state != "delivered"
    if unheard and (now - message.created_at >= STOP_MAIL_AFTER or message.state != "pending"):
        await tell_agency(
            session, tools, endpoint.agency_id, "stop_request",
            lambda _: {
                "relay_id": message.relay_id, "url": tools.public_url,
                "corrected": message.type == "relay.corrected",
            },
            about=f"stop-request:{message.relay_id}:{message.type}", now=now,
        )  # fmt: skip


async def _both(
    session: AsyncSession, agency_id: str, message_id: str
) -> tuple[WebhookMessage, WebhookEndpoint] | None:
    """The message with its endpoint, locked: the endpoint first, as everywhere else."""
    wanted = select(WebhookMessage).where(
        col(WebhookMessage.agency_id) == agency_id, col(WebhookMessage.id) == message_id
    )
    seen = (await session.scalars(wanted)).first()
    if seen is None:
        return None
    endpoint = select(WebhookEndpoint).where(
        col(WebhookEndpoint.agency_id) == agency_id, col(WebhookEndpoint.id) == seen.endpoint_id
    )
    fresh = {"populate_existing": True}
    held = (await session.scalars(endpoint.with_for_update().execution_options(**fresh))).first()
    message = (await session.scalars(wanted.with_for_update().execution_options(**fresh))).first()
    return (message, held) if message is not None and held is not None else None


async def _busy_until(
    session: AsyncSession, endpoint: WebhookEndpoint, message: WebhookMessage, now: datetime
) -> datetime | None:
    """When the endpoint has room again; null when it has room now.

    A stop waits for nothing but a package of its own relay that is on its way there: else the data
    would come in after the word that it must go.
    """
    if message.urgent:
        overtaking = endpoint.payload_mode == "sealed" and await _under_way(session, message, now)
        return now + BUSY_PAUSE if overtaking else None
    if endpoint.next_slot_at is not None and endpoint.next_slot_at > now:
        return endpoint.next_slot_at
    in_flight = (
        select(func.count())
        .select_from(WebhookMessage)
        .where(
            col(WebhookMessage.agency_id) == endpoint.agency_id,
            col(WebhookMessage.endpoint_id) == endpoint.id,
            col(WebhookMessage.claimed_until).is_not(None),
            col(WebhookMessage.claimed_until) > now,
        )
    )
    if (await session.execute(in_flight)).scalar_one() >= IN_FLIGHT:
        return now + BUSY_PAUSE
    return None


async def _under_way(session: AsyncSession, message: WebhookMessage, now: datetime) -> bool:
    """Whether something else about this relay is being sent to this endpoint right now."""
    wanted = select(WebhookMessage.id).where(
        col(WebhookMessage.agency_id) == message.agency_id,
        col(WebhookMessage.endpoint_id) == message.endpoint_id,
        col(WebhookMessage.relay_id) == message.relay_id,
        col(WebhookMessage.id) != message.id,
        col(WebhookMessage.claimed_until) > now,
    )
    return (await session.scalars(wanted)).first() is not None


async def _body(
    session: AsyncSession, tools: Tools, endpoint: WebhookEndpoint, message: WebhookMessage
) -> dict[str, Any]:
    """Thin: ids, state, version and a link; no names of people, no addresses, no reasons."""
    head = {"type": message.type, "timestamp": instant_text(message.created_at)}
    if message.type == PING or message.relay_id is None:
        return {**head, "data": {"endpoint_id": endpoint.id}}
    relay = (await session.scalars(select(Relay).where(col(Relay.id) == message.relay_id))).one()
    company = await session.get(Company, relay.company_id)
    return {
        **head,
        "data": {
            "relay_id": relay.id,
            "company": {"id": relay.company_id, "name": company.name if company else ""},
            "state": relay.state,
            "version": relay.version,
            "url": f"{tools.public_url}/v1/agency/relays/{relay.id}",
        },
    }


async def _package(
    session: AsyncSession, tools: Tools, message: WebhookMessage, now: datetime
) -> Provided | None:
    try:
        return await provide_package(
            session, tools, message.agency_id, message.relay_id or "",
            channel="webhook", client_id=message.endpoint_id, now=now,
        )  # fmt: skip
    except Refusal:
        return None
    finally:
        await session.flush()
        await as_agency(session, message.agency_id)


def _signing(tools: Tools, endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """The newest secret, and the one before while its day of overlap lasts."""
    secrets = open_secrets(tools.sealer, endpoint)
    overlap = endpoint.previous_secret_until is not None and now < endpoint.previous_secret_until
    return secrets if overlap else secrets[:1]
