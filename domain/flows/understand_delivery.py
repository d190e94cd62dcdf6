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
from domain.views.deliveries import events_about

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
    connection = await _connection_of(session, delivery)
    try:
        incoming = await open_delivery(session, tools.sealer, delivery)
        reading = tools.adapters[delivery.provider].read(incoming, view_of(connection))
    except (Unreadable, Gone) as why:
        fail(delivery, getattr(why, "code", None) or str(why), now)
        session.add(delivery)
        return
    delivery.provider_event = (reading.provider_event or "")[:100] or None
    await _apply(session, tools, delivery, connection=connection, reading=reading, now=now)


async def _apply(
    session: AsyncSession,
    tools: Tools,
    delivery: Delivery,
    *,
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
            session, tools, company, connection_id=connection.id, external_id=reading.unhired,
            as_of=reading.as_of, now=now,
        )  # fmt: skip
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
    """Put body and events under the person's own key, or keep them for thirty days at most.

    About a person who was erased only what names nobody is kept.
    """
    about = events_about(delivery.id)
    if candidate is not None and candidate.erased_at is None:
        body = (await open_delivery(session, sealer, delivery)).body.decode()
        delivery.body = await vault.seal(
            session, sealer, candidate, "profile", body, about=f"delivery:{delivery.id}"
        )
        delivery.events = await vault.seal(
            session, sealer, candidate, "profile", emitted, about=about
        )
        delivery.candidate_id, delivery.look_at = candidate.id, None
        session.add(delivery)
        return
    if candidate is not None:
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
