"""A consent is carried out by a relay: one that goes on, or a new one after the grace."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.company import Company
from domain.consent import (
    Consent,
)
from domain.flows.consent.withdraw_consent import was_stopped
from domain.flows.relay.announce import announce
from domain.flows.relay.spread_correction import held_by, tell_corrected
from domain.ids import new_id
from domain.ports import Tools
from domain.relay import Relay, is_open, may_be_read


async def carry_out(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    consent: Consent,
    taken_back: set[str],
    *,
    now: datetime,
) -> None:
    """Let the relay that is there go on with the consent as it is now, or queue a new one.

    `taken_back`: items the agency was allowed before and is no longer.
    """
    if not await _goes_on(session, tools, company, consent, taken_back, now=now):
        await _new_relay(session, consent, now)


async def _goes_on(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    consent: Consent,
    taken_back: set[str],
    *,
    now: datetime,
) -> bool:
    """Whether a relay carries the consent on as it is now: one that waits, or one at work.

    Its agency is told. An item it holds and may have no longer is told like a correction: it says
    that it has let go of it.
    """
    wanted = (
        select(Relay)
        .where(col(Relay.company_id) == consent.company_id, col(Relay.consent_id) == consent.id)
        .with_for_update()
    )
    for relay in (await session.scalars(wanted)).all():
        if relay.state == "queued":
            relay.forward_at = max(relay.forward_at, consent.provision_not_before)
            return True
        if await _carries_on(session, relay, consent):
            if taken_back & await held_by(session, relay):
                await tell_corrected(session, tools, company, relay, now)
            else:
                await announce(session, relay, "relay.updated", now)
            return True
    return False


async def _carries_on(session: AsyncSession, relay: Relay, consent: Consent) -> bool:
    """Whether the agency is at work on it; or the person has started, and it is about the same no.

    A yes after another no, or after the agency was told to stop, is a new relay.
    """
    if is_open(relay.state):
        return True
    same = relay.application_id == consent.application_id
    return same and may_be_read(relay.state) and not await was_stopped(session, relay)


async def _new_relay(session: AsyncSession, consent: Consent, now: datetime) -> None:
    """It waits for the grace."""
    session.add(
        Relay(
            company_id=consent.company_id, id=new_id("rly"), agency_id=consent.agency_id,
            application_id=consent.application_id, candidate_id=consent.candidate_id,
            consent_id=consent.id, forward_at=consent.provision_not_before, created_at=now,
        )
    )  # fmt: skip
    await session.flush()
