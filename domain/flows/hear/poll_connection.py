"""Ask a vendor what its webhooks lost, and what they never carry: step by step, crash-safe.

A step reads one page with no transaction open; what each of its facts says is applied in a
transaction of its own; then the place where to go on is kept. Whoever resumes reads at most one
page twice, and that changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application, Interview
from domain.ats_secrets import api_view, open_secrets, view_of
from domain.business_days import JST
from domain.company import Company
from domain.delivery import KEPT_UNKNOWN, AtsConnection, Delivery
from domain.flows.hear.apply_event import ENDED
from domain.flows.hear.apply_reading import apply_reading, since_connected
from domain.flows.hear.map_words import note_words
from domain.flows.hear.understand_delivery import POLLED, Ask, keep_result
from domain.ids import new_id
from domain.jobs import later
from domain.ports import (
    ConnectionView,
    Incoming,
    Lookup,
    Masked,
    Tools,
    Unreadable,
    Window,
)
from domain.store import add_once, find, lock
from domain.vendor import FULL_DAYS, LEASE, OVERLAP, POLLS, AtsPoll, back_off

JOB = "ats.poll"
ASK_JOB = "ats.interview"
NIGHT = time(2, 0)
"""When the look at thirty days begins (JST); spread over an hour, connection by connection."""
_CURSOR_LOST = {
    "api_refused", "api_missing", "api_paging_stuck", "api_unauthorised", "internal_error",
}  # fmt: skip
_ASKED_FOR = timedelta(days=2)
_ASK_AGAIN = timedelta(minutes=30)


@dataclass(frozen=True, repr=False)
class Step(Masked):
    """The next page of a poll: what to ask, from where on."""

    provider: str
    connection: ConnectionView
    window: Window
    cursor: dict[str, Any] | None


async def plan_polls(
    session: AsyncSession, tools: Tools, connection: AtsConnection, now: datetime
) -> None:
    """Polling begins with a credential for the vendor's API, and ends without one.

    Thirty days are looked through at once where the connection has been polled before: words that
    had no meaning then may have one now.
    """
    api_key = open_secrets(tools.sealer, connection).get("api_key")
    wanted = connection.enabled and connection.provider in tools.apis and bool(api_key)
    for kind in POLLS:
        fresh = AtsPoll(
            company_id=connection.company_id, id=new_id("pol"), connection_id=connection.id,
            kind=kind,
        )  # fmt: skip
        if wanted:
            await add_once(session, fresh)
        poll = await _poll_of(session, connection, kind)
        if poll is None:
            continue
        if not wanted:
            poll.due_at = None
        elif poll.due_at is None or poll.error is not None:
            poll.due_at = now if kind == "recent" else next_night(connection.id, now)
        elif kind == "full" and poll.started_at is None:
            poll.due_at = now
        session.add(poll)
    await session.flush()


async def poll_now(
    session: AsyncSession, tools: Tools, company_id: str, connection_id: str, now: datetime
) -> None:
    """Somebody wants to know at once."""
    connection = await lock(session, AtsConnection, company_id, connection_id)
    await plan_polls(session, tools, connection, now)
    poll = await _poll_of(session, connection, "recent")
    if poll is not None and poll.due_at is not None and poll.started_at is None:
        poll.due_at = now
        session.add(poll)
        await session.flush()
        await later(session, JOB, company_id, poll.id)


async def ask_for_poll(
    session: AsyncSession, _: Tools, company_id: str, poll_id: str, now: datetime
) -> None:
    """Timer `ats_poll.due_at`: time for a poll, or its worker was lost."""
    poll = await lock(session, AtsPoll, company_id, poll_id)
    if poll.due_at is not None and poll.due_at <= now:
        await later(session, JOB, company_id, poll_id)


async def take_step(
    session: AsyncSession, tools: Tools, company_id: str, poll_id: str, now: datetime
) -> Step | None:
    """Claim the next page of a poll that is due; null: it is not, or another worker has it."""
    poll = await lock(session, AtsPoll, company_id, poll_id)
    connection = await find(session, AtsConnection, company_id, poll.connection_id)
    if poll.due_at is None or poll.due_at > now or connection is None:
        return None
    if poll.started_at is None:
        earliest = (poll.until or connection.created_at) - OVERLAP
        poll.started_at, poll.cursor = now, None
        poll.since = now - FULL_DAYS if poll.kind == "full" else earliest
    assert poll.since is not None
    poll.due_at = now + LEASE
    session.add(poll)
    window = Window(since=poll.since, until=poll.started_at, full=poll.kind == "full")
    view = api_view(tools.sealer, connection)
    return Step(connection.provider, view, window, poll.cursor)


async def end_step(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    poll_id: str,
    *,
    cursor: dict[str, Any] | None,
    found: int,
    now: datetime,
) -> bool:
    """Keep where the poll stands after a page; true while it goes on. The next page is due now."""
    poll = await lock(session, AtsPoll, company_id, poll_id)
    poll.cursor = cursor
    poll.found += found
    poll.due_at = now
    if cursor is None:  # not before the end: the first pages may go well again and again
        poll.failures, poll.error = 0, None
        every = tools.apis[await _provider(session, poll)].POLL_EVERY
        night = next_night(poll.connection_id, now)
        poll.due_at = night if poll.kind == "full" else now + every
        poll.until, poll.started_at, poll.finished_at = poll.started_at, None, now
    session.add(poll)
    return cursor is not None


async def put_off_poll(
    session: AsyncSession,
    company_id: str,
    poll_id: str,
    *,
    code: str,
    retry_after: timedelta | None,
    now: datetime,
) -> None:
    """The vendor did not answer, or refused: the same page again later; HR sees why."""
    poll = await lock(session, AtsPoll, company_id, poll_id)
    poll.failures, poll.error = poll.failures + 1, code
    poll.due_at = now + back_off(poll.failures, retry_after)
    if code in _CURSOR_LOST:
        # The vendor has forgotten it, or refuses one part of many: the others are asked once more,
        # and up to the next attempt, which may be long after this one.
        poll.cursor = poll.started_at = None
    session.add(poll)


async def keep_found(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    connection_id: str,
    *,
    facts: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Let what the vendor's API says act; true if an end was in it that nobody had told us.

    What was news is kept like a delivery, for people to see and to replay; so is what could not be
    understood, once.
    """
    connection = await find(session, AtsConnection, company_id, connection_id)
    assert connection is not None
    api = tools.apis[connection.provider]
    body = json.dumps(facts, sort_keys=True).encode()
    delivery = _found(tools, connection, body, now)
    try:
        reading = api.understand(facts, Incoming(b"", {}, now), view_of(connection), POLLED)
    except Unreadable as why:
        await _keep_unread(session, delivery, body, str(why), now)
        return False
    await note_words(session, connection, reading, now)
    company = await session.get_one(Company, company_id)
    done = await apply_reading(
        session, tools, company, connection, since_connected(reading, connection),
        provider=connection.provider, delivery_id=delivery.id, at=now, now=now,
    )  # fmt: skip
    if not done.news:
        return False
    delivery.status, delivery.processed_at, delivery.effects = "processed", now, done.effects
    session.add(delivery)
    await session.flush()
    await keep_result(session, tools.sealer, delivery, done.people, done.emitted)
    return any(one["effect"] == "applied" and one["type"] in ENDED for one in done.effects)


async def keep_broken(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    connection_id: str,
    *,
    facts: Mapping[str, Any],
    now: datetime,
) -> None:
    """Understanding it broke us: kept like a delivery that failed, once."""
    connection = await find(session, AtsConnection, company_id, connection_id)
    assert connection is not None
    body = json.dumps(facts, sort_keys=True).encode()
    await _keep_unread(session, _found(tools, connection, body, now), body, "internal_error", now)


# ---- did the interview take place? -----------------------------------------------------------


async def ask_about_interview(
    session: AsyncSession, tools: Tools, company_id: str, interview_id: str, now: datetime
) -> None:
    """Timer `interview.ask_at`: its time is over; ask the vendor, and again if nobody answers."""
    interview = await lock(session, Interview, company_id, interview_id)
    if interview.ask_at is None or interview.ask_at > now:
        return
    ends_at = interview.ends_at or interview.starts_at or now
    still = interview.status == "scheduled" and now < ends_at + _ASKED_FOR
    interview.ask_at = now + _ASK_AGAIN if still else None
    session.add(interview)
    if still and await interview_question(session, tools, company_id, interview_id) is not None:
        await later(session, ASK_JOB, company_id, interview_id)


async def interview_question(
    session: AsyncSession, tools: Tools, company_id: str, interview_id: str
) -> Ask | None:
    """What to ask about an interview; null where nobody can be asked."""
    interview = await find(session, Interview, company_id, interview_id)
    if interview is None or interview.status != "scheduled":
        return None
    application = await find(session, Application, company_id, interview.application_id)
    assert application is not None
    connection = await find(session, AtsConnection, company_id, application.connection_id)
    if connection is None or connection.provider not in tools.apis:
        return None
    view = api_view(tools.sealer, connection)
    if not view.settings.get("api_key"):
        return None
    about = {"kind": "interviews", "application_id": application.external_id}
    return Ask(connection.provider, view, Lookup(about))


# ---- leaves ---------------------------------------------------------------------------------


def next_night(connection_id: str, now: datetime) -> datetime:
    """The next start of a connection's nightly poll."""
    minutes = hashlib.sha256(connection_id.encode()).digest()[0] % 60
    local = now.astimezone(JST)
    start = datetime.combine(local.date(), NIGHT, JST) + timedelta(minutes=minutes)
    return start if start > local else start + timedelta(days=1)


async def _poll_of(session: AsyncSession, connection: AtsConnection, kind: str) -> AtsPoll | None:
    wanted = select(AtsPoll).where(
        col(AtsPoll.company_id) == connection.company_id,
        col(AtsPoll.connection_id) == connection.id,
        col(AtsPoll.kind) == kind,
    )
    return (await session.scalars(wanted.with_for_update())).first()


async def _provider(session: AsyncSession, poll: AtsPoll) -> str:
    connection = await find(session, AtsConnection, poll.company_id, poll.connection_id)
    assert connection is not None
    return connection.provider


def _found(tools: Tools, connection: AtsConnection, body: bytes, now: datetime) -> Delivery:
    number = new_id("dlv")
    return Delivery(
        company_id=connection.company_id, id=number, connection_id=connection.id,
        provider=connection.provider, provider_event=POLLED, origin="poll",
        key=hashlib.sha256(number.encode()).digest(),
        body=tools.sealer.seal(body, about=f"delivery:{number}"), received_at=now,
    )  # fmt: skip


async def _keep_unread(
    session: AsyncSession, delivery: Delivery, body: bytes, code: str, now: datetime
) -> None:
    delivery.key = hashlib.sha256(b"poll\0" + body).digest()
    delivery.status, delivery.error, delivery.processed_at = "failed", code, now
    delivery.look_at = now + KEPT_UNKNOWN
    await add_once(session, delivery)
