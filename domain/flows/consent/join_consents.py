"""Two records turned out to be one person: one consent stands per agency, the newer one."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.candidate import Candidate
from domain.consent import Consent
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.withdraw_consent import consents_of, records_of, supersede
from domain.jobs import later
from domain.ports import Tools
from domain.store import find


async def ask_to_join(session: AsyncSession, kept: Candidate, other: Candidate) -> None:
    """By a job: whoever merges holds both persons already, in another order than is kept here."""
    if kept.consent_seq and other.consent_seq:
        await later(session, "consent.merged", kept.company_id, kept.id)


async def ask_to_join_new(session: AsyncSession, candidate: Candidate) -> None:
    """The same after a consent was given: the older one may stand under a record merged before."""
    if len(await records_of(session, candidate)) > 1:
        await later(session, "consent.merged", candidate.company_id, candidate.id)


async def join_consents(
    session: AsyncSession, tools: Tools, company_id: str, candidate_id: str, now: datetime
) -> list[str]:
    """Supersede what a newer consent of the same person stands for; the ids of what ended.

    Nothing is moved: each event stays in the chain of the record it was given under.
    """
    candidate = await find(session, Candidate, company_id, candidate_id)
    if candidate is None:
        return []
    standing: dict[str, list[Consent]] = {}
    for number in await records_of(session, candidate):
        record = await lock_candidate(session, company_id, number)
        for consent in await consents_of(session, record):
            if consent.state == "given":
                standing.setdefault(consent.agency_id, []).append(consent)
    ended = []
    for consents in standing.values():
        *older, newest = sorted(consents, key=lambda one: (one.given_at, one.id))
        for consent in older:
            await supersede(session, tools, consent, now, why="merged", by=newest.id)
            ended.append(consent.id)
    return ended
