"""Add one fact to a person's chain of consent events. The candidate row must be locked."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.candidate import Candidate
from domain.consent import FORM, PURPOSE, ConsentEvent
from domain.ids import new_id


async def append(
    session: AsyncSession, candidate: Candidate, kind: str, now: datetime, **facts: Any
) -> ConsentEvent:
    """The new last event of the chain. `facts` are columns of `ConsentEvent`.

    Who acted is the person, unless it says otherwise or no person was there; what names an agency
    is about handing over to it.
    """
    facts.setdefault("actor", "system" if facts.get("channel") == "system" else "candidate")
    facts.setdefault("purpose_code", PURPOSE if facts.get("agency_id") is not None else None)
    event = ConsentEvent(
        company_id=candidate.company_id, id=new_id("cev"), candidate_id=candidate.id,
        seq=candidate.consent_seq + 1, kind=kind, at=now, prev_hash=candidate.consent_head,
        form=FORM, hash="", **facts,
    )  # fmt: skip
    event.hash = event.sealed_hash()
    session.add(event)
    candidate.consent_seq, candidate.consent_head = event.seq, event.hash
    session.add(candidate)
    await session.flush()
    return event


async def lock_candidate(session: AsyncSession, company_id: str, candidate_id: str) -> Candidate:
    """The person, locked against other changes; rows that only refer to the person may be added.

    A hand-over holds the consent and adds a link for the person: a full lock here, taken before the
    consent, would make the two wait for each other.
    """
    wanted = (
        select(Candidate)
        .where(col(Candidate.company_id) == company_id, col(Candidate.id) == candidate_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    candidate = (await session.scalars(wanted)).one()
    vault.look_again(session)
    return candidate


async def surviving(session: AsyncSession, candidate: Candidate) -> Candidate:
    """The record the person has today: what was merged into another one is that other one."""
    while candidate.merged_into_id is not None:
        candidate = await session.get_one(
            Candidate, (candidate.company_id, candidate.merged_into_id)
        )
    return candidate
