"""Add one fact to a person's chain of consent events. The candidate row must be locked."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain.candidate import Candidate
from domain.consent import ConsentEvent
from domain.ids import new_id


async def append(
    session: AsyncSession, candidate: Candidate, kind: str, now: datetime, **facts: Any
) -> ConsentEvent:
    """The new last event of the chain. `facts` are columns of `ConsentEvent`."""
    event = ConsentEvent(
        company_id=candidate.company_id, id=new_id("cev"), candidate_id=candidate.id,
        seq=candidate.consent_seq + 1, kind=kind, at=now, prev_hash=candidate.consent_head,
        hash="", **facts,
    )  # fmt: skip
    event.hash = event.sealed_hash()
    session.add(event)
    candidate.consent_seq, candidate.consent_head = event.seq, event.hash
    session.add(candidate)
    await session.flush()
    return event
