"""Forward a relay: from here on the agency sees it and is told. Its data still waits to be read.

A hand-over in the sense of the law is the first answered read of the package (`provide_package`);
forwarding only says that there is something to read.
"""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_company, as_system
from domain.agency import Agency
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.withdraw_consent import supersede
from domain.flows.earn.attest import expect_attestation
from domain.flows.earn.attribute import mark_person
from domain.flows.relay.announce import announce
from domain.flows.relay.ask_candidate import plan_questions_for
from domain.flows.relay.ask_gate import ask_gate
from domain.flows.relay.watch_relay import note_word
from domain.gate import ASK_ANEW, FEED_READ_FRESH
from domain.ids import new_id
from domain.jobs import later
from domain.ports import Tools
from domain.relay import Relay, RelayEvent, advance
from domain.store import find

SOONEST, LATEST = timedelta(minutes=15), timedelta(days=1)
"""When a closed gate is looked at again: a quarter of the time waited so far, within these."""
_ENDINGS = {
    "consent_expired": "expired", "consent_superseded": "expired",
    "consent_withdrawn": "withdrawn", "candidate_erased": "withdrawn",
}  # fmt: skip
FEED_READ_NOTED = timedelta(minutes=10)
_WAITING = text("SELECT company_id, id FROM relay WHERE agency_id = :agency AND state = 'queued'")


async def forward_relay(
    session: AsyncSession, tools: Tools, company_id: str, relay_id: str, now: datetime
) -> None:
    """Timer `relay.forward_at`: forward what is queued and due, or note why not and look again."""
    relay = await find(session, Relay, company_id, relay_id)
    if relay is not None and relay.forward_at <= now:
        await _look(session, tools, relay, now)


async def note_feed_read(session: AsyncSession, agency_id: str, now: datetime) -> None:
    """The agency read its feed, so it can hear a stop. What waited for that is looked at again."""
    agency = await session.get_one(Agency, agency_id)
    before = agency.feed_read_at
    if before is not None and now - before < FEED_READ_NOTED:
        return
    agency.feed_read_at = now
    session.add(agency)
    await session.flush()
    if before is None or now - before > FEED_READ_FRESH:
        await later(session, "relay.look_again", agency_id)


async def waiting_for(session: AsyncSession, agency_id: str) -> list[tuple[str, str]]:
    """(company, relay) of everything queued for an agency, across its companies."""
    async with as_system(session):
        rows = (await session.execute(_WAITING, {"agency": agency_id})).all()
    return [(row[0], row[1]) for row in rows]


async def look_again(
    session: AsyncSession, tools: Tools, company_id: str, relay_id: str, now: datetime
) -> None:
    """Something about the agency changed: a gate found closed is tried before its time."""
    await as_company(session, company_id)
    relay = await find(session, Relay, company_id, relay_id)
    if relay is not None and relay.reason is not None:
        await _look(session, tools, relay, now)


async def _look(session: AsyncSession, tools: Tools, seen: Relay, now: datetime) -> None:
    if seen.state != "queued":
        return
    # A consent that no longer stands for what it was given for is superseded in the person's chain.
    await lock_candidate(session, seen.company_id, seen.candidate_id)
    facts, closed = await ask_gate(session, seen, now, to_change=True, holidays=tools.holidays)
    relay = facts.relay
    if relay.state != "queued":
        return
    if closed is None:
        await _forward(session, relay, now)
        await mark_person(session, tools.sealer, relay, facts.candidate, facts.consent)
        await note_word(session, relay, now)
        await plan_questions_for(session, relay, facts.consent, now)
        await expect_attestation(session, relay, now)
    elif closed in _ENDINGS:
        relay.state, relay.closed_at = advance(relay.state, _ENDINGS[closed]), now
    elif closed in ASK_ANEW:
        await supersede(session, tools, facts.consent, now, why=closed)
    else:
        relay.reason = closed
        relay.forward_at = _next_look(relay, facts.consent.provision_not_before, now)
    session.add(relay)


async def _forward(session: AsyncSession, relay: Relay, now: datetime) -> None:
    relay.state = advance(relay.state, "forwarded")
    relay.forwarded_at, relay.reason = now, None
    session.add(
        RelayEvent(
            company_id=relay.company_id, id=new_id("rev"), agency_id=relay.agency_id,
            relay_id=relay.id, type="forwarded", at=now, actor="system", noted_at=now,
        )
    )  # fmt: skip
    await announce(session, relay, "relay.created", now)


def _next_look(relay: Relay, not_before: datetime, now: datetime) -> datetime:
    if not_before > now:
        return not_before
    return now + min(max((now - relay.created_at) / 4, SOONEST), LATEST)
