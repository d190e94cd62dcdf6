"""The person puts right what we hold about them; agencies that were handed it hear of it."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain import data_items, vault
from domain.candidate import Candidate
from domain.errors import Gone
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.relay.spread_correction import spread_correction
from domain.ports import Tools


async def correct_profile(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    facts: Mapping[str, str],
    now: datetime,
) -> list[str]:
    """Take over what the person typed; the items that say something else now, none if nothing does.

    An emptied field is forgotten and stays so, whatever the ATS tells later. Raises `Gone`
    (`data_erased`) once the data was erased.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if candidate.erased_at is not None:
        detail = "the person's data was erased"
        raise Gone(detail, code="data_erased")
    before = await vault.profile_of(session, tools.sealer, candidate)
    after = data_items.corrected(before, facts)
    items = data_items.changed(before, after)
    if after == before:
        return []
    await vault.set_profile(session, tools.sealer, candidate, after)
    await session.flush()
    await spread_correction(session, tools, candidate, items, now)
    return items
