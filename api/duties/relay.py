"""Relays on their way: forward what is due, tell agencies, watch that stops are acknowledged."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.jobs import job
from api.runtime import Runtime
from api.timers import TIMERS, Timer, timer
from domain.flows.consent.acknowledge_stop import watch_stop
from domain.flows.relay.forward_relay import forward_relay, look_again, waiting_for
from domain.flows.relay.manage_endpoint import write_messages
from domain.ports import Tools
from domain.relay import Relay
from domain.views.feed import REMOVED_LONG_AGO, forget_line

timer(
    "relay.forward_at",
    table="relay",
    column="forward_at",
    where="state = 'queued'",
    act=forward_relay,
)
timer(
    "stop_notice.look_at",
    table="stop_notice",
    column="look_at",
    where="look_at IS NOT NULL",
    act=watch_stop,
)


@job("relay.announce")
async def announce_relay(runtime: Runtime, ids: list[str]) -> None:
    """Write one message per endpoint that wants to know; each is then sent by its own job."""
    agency_id, relay_id, kind, version = ids
    async with runtime.database.transaction(agency_id=agency_id) as session:
        relay = (await session.scalars(select(Relay).where(col(Relay.id) == relay_id))).first()
        if relay is not None:
            await write_messages(session, agency_id, relay, kind, int(version), now=runtime.clock())


@job("relay.look_again")
async def look_at_waiting(runtime: Runtime, ids: list[str]) -> None:
    """An agency can be reached again: what waited for that is due now."""
    (agency_id,) = ids
    async with runtime.database.transaction() as session:
        waiting = await waiting_for(session, agency_id)
    for company_id, relay_id in waiting:
        async with runtime.database.transaction(company_id=company_id) as session:
            await look_again(session, runtime.tools, company_id, relay_id, runtime.clock())


async def _forget(
    session: AsyncSession, tools: Tools, agency_id: str, relay_id: str, now: datetime
) -> None:
    del tools
    await forget_line(session, agency_id, relay_id, now)


TIMERS.append(
    Timer(
        name="feed_item.forget",
        due_sql=REMOVED_LONG_AGO,
        # Nobody waits for it: the demo's clock need not stop here.
        next_sql="SELECT CAST(NULL AS timestamptz)",
        act=_forget,
        tenant="agency",
    )
)
