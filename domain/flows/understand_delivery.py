"""Read a kept delivery, apply what it means once, and note how it went."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.candidate import Candidate
from domain.company import Company
from domain.delivery import KEPT_UNKNOWN, READ_AGAIN_AFTER, AtsConnection, Delivery
from domain.errors import Conflict, Gone
from domain.flows.apply_event import Said, apply_event, take_hire_back
from domain.jobs import later
from domain.ports import ConnectionView, Incoming, Reading, Sealer, Tools, Unreadable
from domain.store import find, lock

JOB = "delivery.read"


async def understand_delivery(
    session: AsyncSession, tools: Tools, company_id: str, delivery_id: str, now: datetime
) -> None:
    """Read one delivery in one transaction: its events, their effects and its status, or none.

    Safe to run twice: only a delivery still `received` is read.
    """
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.status != "received":
        return
    connection = await lock_free(session, delivery)
    try:
        incoming = await open_delivery(session, tools.sealer, delivery)
        reading = tools.adapters[delivery.provider].read(incoming, view_of(connection))
    except (Unreadable, Gone) as why:
        fail(delivery, getattr(why, "code", None) or str(why), now)
        session.add(delivery)
        return
    delivery.provider_event = (reading.provider_event or "")[:100] or None
    await _apply(session, tools, delivery, connection, reading, now)


async def _apply(
    session: AsyncSession,
    tools: Tools,
    delivery: Delivery,
    connection: AtsConnection,
    reading: Reading,
    now: datetime,
) -> None:
    company = await session.get_one(Company, delivery.company_id)
    emitted: list[dict[str, Any]] = []
    candidate: Candidate | None = None
    changed = False
    for event in reading.events:
        said = Said(
            event=event,
            as_of=reading.as_of or delivery.received_at,
            provider=delivery.provider,
            connection_id=connection.id,
            delivery_id=delivery.id,
            settings=connection.settings,
        )
        applied = await apply_event(session, tools, company, said, now)
        candidate = applied.candidate or candidate
        emitted += [applied.event] if applied.event else []
    if reading.unhired is not None and reading.as_of is not None:
        changed = await take_hire_back(
            session, tools, company, connection.id, reading.unhired, reading.as_of, now
        )
    delivery.status = "processed" if emitted or changed else "ignored"
    delivery.error, delivery.processed_at = None, now
    await _keep_result(session, tools.sealer, delivery, candidate, emitted)


async def _keep_result(
    session: AsyncSession,
    sealer: Sealer,
    delivery: Delivery,
    candidate: Candidate | None,
    emitted: list[dict[str, Any]],
) -> None:
    """Put body and events under the person's own key, or keep them for thirty days at most."""
    assert delivery.processed_at is not None
    if candidate is None:
        delivery.look_at = delivery.processed_at + KEPT_UNKNOWN
        delivery.events = sealer.seal(_json(emitted), about=f"delivery-events:{delivery.id}")
        session.add(delivery)
        return
    body = (await open_delivery(session, sealer, delivery)).body.decode()
    delivery.look_at = None
    if candidate.erased_at is not None:
        delivery.body = delivery.headers = delivery.events = None
    else:
        delivery.body = await vault.seal(
            session, sealer, candidate, "profile", body, about=f"delivery:{delivery.id}"
        )
        delivery.events = await vault.seal(
            session, sealer, candidate, "profile", emitted, about=f"delivery-events:{delivery.id}"
        )
    delivery.candidate_id = candidate.id
    session.add(delivery)


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


async def replay_delivery(
    session: AsyncSession, company_id: str, delivery_id: str, now: datetime
) -> Delivery:
    """Read a delivery again. What took effect before takes none again."""
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.body is None:
        detail = "the delivery's contents are no longer kept"
        raise Conflict(detail, code="contents_gone")
    if delivery.status != "received":
        delivery.status, delivery.error, delivery.processed_at = "received", None, None
        delivery.look_at = now + READ_AGAIN_AFTER
        session.add(delivery)
    await session.flush()
    await later(session, JOB, company_id, delivery_id)
    return delivery


async def look_again(
    session: AsyncSession, tools: Tools, company_id: str, delivery_id: str, now: datetime
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


async def lock_free(session: AsyncSession, delivery: Delivery) -> AtsConnection:
    """The delivery's connection."""
    found = await find(session, AtsConnection, delivery.company_id, delivery.connection_id)
    assert found is not None
    return found


def view_of(connection: AtsConnection) -> ConnectionView:
    """What `read` may know of a connection: everything but its secrets."""
    return ConnectionView(
        id=connection.id, public_keys=connection.public_keys, settings=connection.settings
    )


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
    return text.encode()


async def events_of(
    session: AsyncSession, sealer: Sealer, delivery: Delivery
) -> list[dict[str, Any]]:
    """The canonical events a delivery brought; none after its person was erased."""
    if delivery.events is None:
        return []
    about = f"delivery-events:{delivery.id}"
    if delivery.candidate_id is None:
        opened: list[dict[str, Any]] = json.loads(sealer.open(delivery.events, about=about))
        return opened
    owner = await find(session, Candidate, delivery.company_id, delivery.candidate_id)
    assert owner is not None
    try:
        opened = await vault.unseal(session, sealer, owner, "profile", delivery.events, about=about)
    except Gone:
        return []
    return opened


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
