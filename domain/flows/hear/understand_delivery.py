"""Read a kept delivery, apply what it means once, and note how it went."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.ats_secrets import api_view, view_of
from domain.candidate import Candidate
from domain.company import Company
from domain.delivery import KEPT_UNKNOWN, READ_AGAIN_AFTER, AtsConnection, Delivery
from domain.errors import Gone
from domain.flows.hear.apply_reading import apply_reading, since_connected
from domain.flows.hear.map_words import note_words
from domain.flows.hear.replay_delivery import JOB
from domain.jobs import later
from domain.ports import (
    ConnectionView,
    Incoming,
    Lookup,
    Masked,
    Reading,
    Sealer,
    Tools,
    Unreadable,
)
from domain.store import find, lock
from domain.vendor import back_off
from domain.views.deliveries import events_about

ASK_JOB = "delivery.ask"
POLLED = "poll"
"""What stands where a webhook would have the vendor's event name."""
ASKED_FOR = timedelta(days=3)
"""For how long a delivery waits for an answer of the vendor's API."""


@dataclass(frozen=True, repr=False)
class Ask(Masked):
    """What must be asked of the vendor's API before a delivery can be understood.

    `optional`: it says something by itself, or the answer is an extra; when the vendor will not
    answer, `understand_delivery(…, alone=True)`.
    """

    provider: str
    connection: ConnectionView
    lookup: Lookup
    optional: bool = False
    attempts: int = 0


@dataclass(frozen=True, repr=False)
class _Told(Masked):
    """A delivery with its connection and what it was understood to say."""

    delivery: Delivery
    connection: AtsConnection
    reading: Reading


async def understand_delivery(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    delivery_id: str,
    now: datetime,
    *,
    facts: Mapping[str, Any] | None = None,
    alone: bool = False,
) -> Ask | None:
    """Read one delivery in one transaction: its events, their effects and its status, or none.

    Where the vendor must be asked first, nothing changes and the question is given back; call
    again with the answer (`facts`), or without one (`alone`). Safe to run twice: only a delivery
    still `received` is read.
    """
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.status != "received":
        return None
    connection = await _connection_of(session, delivery)
    try:
        incoming = await open_delivery(session, tools.sealer, delivery)
        await _refuse_other_body(session, tools, delivery, incoming)
        reading = _read(tools, delivery, incoming, connection, facts)
    except (Unreadable, Gone) as why:
        fail(delivery, getattr(why, "code", None) or str(why), now)
        session.add(delivery)
        return None
    optional = bool(reading.events) or not (reading.lookup and reading.lookup.needed)
    if reading.lookup is not None and not (alone and optional):
        view = api_view(tools.sealer, connection)
        if delivery.provider in tools.apis and view.settings.get("api_key"):
            return Ask(delivery.provider, view, reading.lookup, optional, delivery.attempts)
    if not optional:
        fail(delivery, "api_key_missing", now)
        session.add(delivery)
        return None
    await _apply(session, tools, _Told(delivery, connection, reading), now=now)
    return None


def _read(
    tools: Tools,
    delivery: Delivery,
    incoming: Incoming,
    connection: AtsConnection,
    facts: Mapping[str, Any] | None,
) -> Reading:
    view = view_of(connection)
    if delivery.origin == "poll":
        known = json.loads(incoming.body)
        api = tools.apis[delivery.provider]
        reading = api.understand(known, _without_body(incoming), view, POLLED)
        return since_connected(reading, connection)
    reading = tools.adapters[delivery.provider].read(incoming, view)
    delivery.provider_event = (reading.provider_event or "")[:100] or None
    if reading.lookup is None or facts is None:
        return reading
    api = tools.apis[delivery.provider]
    return api.understand(facts, incoming, view, reading.provider_event or "")


def _without_body(incoming: Incoming) -> Incoming:
    return Incoming(b"", {}, incoming.received_at)


async def _refuse_other_body(
    session: AsyncSession, tools: Tools, delivery: Delivery, incoming: Incoming
) -> None:
    """Where only the id is signed, another body under an id seen before is spliced together."""
    adapter = tools.adapters.get(delivery.provider)
    if delivery.origin == "poll" or adapter is None or not adapter.ONE_BODY_PER_ID:
        return
    number = adapter.delivery_id(incoming)
    if number is None:
        raise Unreadable("delivery_id_missing")
    delivery.nonce = hashlib.sha256(number.encode()).digest()
    session.add(delivery)
    await session.flush()
    where = (col(Delivery.company_id), col(Delivery.connection_id), col(Delivery.nonce))
    await session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(delivery.nonce.hex(), 0)))
    )
    others = select(Delivery.id).where(
        where[0] == delivery.company_id, where[1] == delivery.connection_id,
        where[2] == delivery.nonce, col(Delivery.id) < delivery.id,
    )  # fmt: skip
    if (await session.scalars(others.limit(1))).first() is not None:
        raise Unreadable("id_reused")


async def put_off(
    session: AsyncSession,
    company_id: str,
    delivery_id: str,
    *,
    code: str,
    retry_after: timedelta | None,
    now: datetime,
) -> None:
    """The vendor's API did not answer: the delivery waits and is tried again, for three days."""
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.status != "received":
        return
    delivery.attempts += 1
    if now - delivery.received_at > ASKED_FOR:
        fail(delivery, code, now)
    else:
        delivery.error, delivery.look_at = code, now + back_off(delivery.attempts, retry_after)
    session.add(delivery)


async def refuse(
    session: AsyncSession, company_id: str, delivery_id: str, code: str, now: datetime
) -> None:
    """It cannot be understood before a person has changed something: kept, replayable."""
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.status == "received":
        fail(delivery, code, now)
        session.add(delivery)


async def _apply(session: AsyncSession, tools: Tools, told: _Told, *, now: datetime) -> None:
    delivery, reading = told.delivery, told.reading
    company = await session.get_one(Company, delivery.company_id)
    await note_words(session, told.connection, reading, now)
    if reading.unmapped and not reading.events:
        fail(delivery, "word_unmapped", now)  # read again as soon as HR says what it means
        session.add(delivery)
        return
    done = await apply_reading(
        session, tools, company, told.connection, reading,
        provider=delivery.provider, delivery_id=delivery.id, at=delivery.received_at, now=now,
    )  # fmt: skip
    delivery.status = "processed" if done.emitted or done.changed else "ignored"
    delivery.error, delivery.processed_at, delivery.effects = None, now, done.effects
    await keep_result(session, tools.sealer, delivery, done.people, done.emitted)


async def keep_result(
    session: AsyncSession,
    sealer: Sealer,
    delivery: Delivery,
    people: Sequence[Candidate],
    emitted: list[dict[str, Any]],
) -> None:
    """Put body and events under the person's own key, or keep them for thirty days at most.

    About people of whom one was erased only what names nobody is kept.
    """
    about = events_about(delivery.id)
    if not people and delivery.candidate_id is not None:  # read again, and no news any more
        people = [await session.get_one(Candidate, (delivery.company_id, delivery.candidate_id))]
    if people and all(one.erased_at is None for one in people):
        candidate = people[0]
        # Byte for byte as it came (it may be packed): latin-1 has a letter for each.
        body = (await open_delivery(session, sealer, delivery)).body.decode("latin-1")
        delivery.body = await vault.seal(
            session, sealer, candidate, "profile", body, about=f"delivery:{delivery.id}"
        )
        delivery.events = await vault.seal(
            session, sealer, candidate, "profile", emitted, about=about
        )
        delivery.candidate_id, delivery.look_at = candidate.id, None
        delivery.also_about = [one.id for one in people[1:]]
        session.add(delivery)
        return
    if people:
        delivery.body = delivery.headers = delivery.candidate_id = None
        emitted = [without_person(event) for event in emitted]
    assert delivery.processed_at is not None
    delivery.look_at = delivery.processed_at + KEPT_UNKNOWN
    plain = json.dumps(emitted, ensure_ascii=False).encode()
    delivery.events = sealer.seal(plain, about=about)
    session.add(delivery)


def without_person(event: dict[str, Any]) -> dict[str, Any]:
    """The event without anything that says who the person is."""
    empty: dict[str, Any] = {"emails": [], "phones": [], "tags": []}
    empty |= dict.fromkeys(("display_name", "given_name", "family_name", "primary_email", "url"))
    nameless = {**(event["candidate"] or {}), **empty} if event["candidate"] else None
    application = event["application"]
    if application is not None:
        application = {**application, "url": None, "custom_fields": {}}
    return {**event, "candidate": nameless, "application": application, "attachments": []}


def fail(delivery: Delivery, code: str, now: datetime) -> None:
    """Note why it could not be read: a code without personal data. It can be replayed."""
    delivery.status, delivery.error, delivery.processed_at = "failed", code, now
    delivery.look_at = now + KEPT_UNKNOWN if delivery.candidate_id is None else None


async def give_up(session: AsyncSession, company_id: str, delivery_id: str, now: datetime) -> None:
    """Reading it broke us: note that, so that it stands in the list and can be replayed."""
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.status == "received":
        fail(delivery, "internal_error", now)
        session.add(delivery)


async def look_again(
    session: AsyncSession, _: Tools, company_id: str, delivery_id: str, now: datetime
) -> None:
    """The sweep: ask once more for what nobody read; empty what belongs to nobody we know."""
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.look_at is None or delivery.look_at > now:
        return
    if delivery.status == "received":
        delivery.look_at = now + READ_AGAIN_AFTER
        session.add(delivery)
        await session.flush()
        await later(session, JOB, company_id, delivery_id)
        return
    delivery.body = delivery.headers = delivery.events = delivery.look_at = None
    session.add(delivery)


async def _connection_of(session: AsyncSession, delivery: Delivery) -> AtsConnection:
    """The delivery's connection."""
    found = await find(session, AtsConnection, delivery.company_id, delivery.connection_id)
    assert found is not None
    return found


async def open_delivery(session: AsyncSession, sealer: Sealer, delivery: Delivery) -> Incoming:
    """The delivery as it arrived. `Gone` when its person was erased or its time is over."""
    if delivery.body is None:
        raise Gone(code="contents_gone")
    headers: dict[str, str] = {}
    if delivery.headers is not None:
        opened = sealer.open(delivery.headers, about=f"delivery-headers:{delivery.id}")
        headers = json.loads(opened)
    body = await _open(session, sealer, delivery, delivery.body)
    return Incoming(body=body, headers=headers, received_at=delivery.received_at)


async def _open(session: AsyncSession, sealer: Sealer, delivery: Delivery, body: bytes) -> bytes:
    about = f"delivery:{delivery.id}"
    if delivery.candidate_id is None:
        return sealer.open(body, about=about)
    owner = await find(session, Candidate, delivery.company_id, delivery.candidate_id)
    assert owner is not None
    text: str = await vault.unseal(session, sealer, owner, "profile", body, about=about)
    return text.encode("latin-1")
