"""What a person put right goes to every agency that may read it, and it must say that it has it.

個人情報保護法 34: whoever was given the data before holds the wrong data until it reads again.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.company import Company
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.withdraw_consent import (
    consents_of,
    records_of,
    relays_of,
    was_stopped,
    write_stop,
)
from domain.flows.relay.announce import announce
from domain.jobs import later
from domain.ports import Tools
from domain.relay import Provision, Relay, may_be_read


async def spread_correction(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    items: Collection[str],
    now: datetime,
) -> list[str]:
    """Tell the agencies that these items changed; the relays that were told of it.

    Who was handed one of them hears `relay.corrected`, and acknowledges it like a stop. Who read
    the package before there was such an item hears that there is more. Whoever has not read yet
    reads the right data the first time. Locks: person, consents, relays.
    """
    if not items:
        return []
    company = await session.get_one(Company, candidate.company_id)
    told: list[str] = []
    for number in await records_of(session, candidate):
        record = await lock_candidate(session, candidate.company_id, number)
        for consent in await consents_of(session, record):
            if consent.state != "given" or not set(items) & set(consent.items):
                continue
            for relay in await relays_of(session, consent):
                if not may_be_read(relay.state) or await was_stopped(session, relay):
                    continue
                held = await held_by(session, relay)
                if held & set(items):
                    await tell_corrected(session, tools, company, relay, now)
                    told.append(relay.id)
                elif held:
                    await announce(session, relay, "relay.updated", now)
    return told


async def tell_corrected(
    session: AsyncSession, tools: Tools, company: Company, relay: Relay, now: datetime
) -> None:
    """The agency hears that what it holds is not so any more, and must say that it has changed it.

    The caller holds the relay.
    """
    await announce(session, relay, "relay.corrected", now)
    await write_stop(session, tools, company, relay, "corrected", now=now, version=relay.version)


async def ask_to_spread(
    session: AsyncSession, candidate: Candidate, items: Collection[str]
) -> None:
    """The same by a job, for a caller that may hold persons already, in another order than here.

    Whoever never agreed to anything has nobody to be told.
    """
    if items and candidate.consent_seq:
        await later(session, "candidate.corrected", candidate.company_id, candidate.id, *items)


async def held_by(session: AsyncSession, relay: Relay) -> set[str]:
    """The items the agency was ever handed."""
    wanted = select(Provision.items).where(
        col(Provision.company_id) == relay.company_id, col(Provision.relay_id) == relay.id
    )
    return {code for codes in (await session.scalars(wanted)).all() for code in codes}
