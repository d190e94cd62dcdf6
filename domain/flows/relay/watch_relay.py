"""An open relay needs a word from its agency every so often (ledger rules 22)."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from domain.business_days import local_day, long_date
from domain.flows.earn.agree_terms import version_on
from domain.flows.tell.tell_members import tell_agency
from domain.jobs import later
from domain.ledger import day_after
from domain.ports import Tools
from domain.relay import Relay, is_open
from domain.store import find, lock
from domain.terms import terms_of


async def note_word(session: AsyncSession, relay: Relay, now: datetime) -> None:
    """The agency has said something about a relay, or it ended: the next word is due later.

    The caller holds the relay locked and works for its company.
    """
    if relay.status_missed_on is not None:  # what paused for it may go on
        await later(session, "relay.look_again", relay.agency_id)
    relay.status_missed_on = None
    relay.status_due_on, relay.look_at = None, None
    if is_open(relay.state):
        today = local_day(now)
        version = await version_on(session, relay.company_id, relay.agency_id, today)
        days = terms_of(version.terms).duties.status_days
        relay.status_due_on = today + timedelta(days=days)
        relay.look_at = day_after(relay.status_due_on)
    session.add(relay)
    await session.flush()


async def miss_word(
    session: AsyncSession, tools: Tools, company_id: str, relay_id: str, now: datetime
) -> None:
    """Timer `relay.look_at`: a word is missing. The agency is told; what follows is agreed."""
    there = await find(session, Relay, company_id, relay_id)
    if there is None or there.look_at is None or there.look_at > now:
        return
    relay = await lock(session, Relay, company_id, relay_id)
    due = relay.status_due_on
    if relay.look_at is None or due is None:
        return
    relay.look_at = None
    if is_open(relay.state):
        relay.status_missed_on = due + timedelta(days=1)
    session.add(relay)
    await session.flush()
    if not is_open(relay.state):
        return
    agency_id = relay.agency_id
    await tell_agency(
        session, tools, agency_id, "status_missing",
        lambda locale: {
            "relay_id": relay_id, "due_on": long_date(due, locale),
            "portal_url": f"{tools.public_url}/agency",
        },
        about=f"status:{relay_id}:{due}", now=now,
    )  # fmt: skip
