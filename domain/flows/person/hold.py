"""A legal hold: as long as it stands, nothing of the person is erased, by nobody and no clock."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.candidate import Candidate
from domain.erasure import LegalHold
from domain.errors import Conflict, Gone, Invalid
from domain.flows.consent.append_consent_event import lock_candidate, surviving
from domain.ids import new_id
from domain.ports import Sealer, Tools
from domain.store import add_once, find

LONGEST = 1_000
"""Letters of a reason."""


async def hold(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> LegalHold:
    """Let nothing of this person be erased until somebody releases it.

    Raises `Gone` (`data_erased`), `Invalid` (`reason_missing`), `Conflict` (`already_held`).
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if candidate.erased_at is not None:
        raise Gone(code="data_erased")
    if not 1 <= len(reason) <= LONGEST:
        raise Invalid(code="reason_missing")
    row = LegalHold(
        company_id=candidate.company_id, id=new_id("hld"), candidate_id=candidate.id, reason=b"",
        set_by=actor, set_at=now,
    )  # fmt: skip
    row.reason = await vault.seal(
        session, tools.sealer, candidate, "record", reason, about=f"hold:{row.id}"
    )
    if not await add_once(session, row):
        raise Conflict(code="already_held")
    candidate.review_at = None
    session.add(candidate)
    await session.flush()
    return row


async def release(
    session: AsyncSession, company_id: str, hold_id: str, *, actor: str, now: datetime
) -> LegalHold:
    """The reason is gone. What is due since is looked at with the next sweep.

    Raises `Conflict` (`not_held`) where it was released before.
    """
    seen = await find(session, LegalHold, company_id, hold_id)
    if seen is None:
        raise Conflict(code="not_held")
    candidate = await lock_candidate(session, company_id, seen.candidate_id)
    row = await find(session, LegalHold, company_id, hold_id, for_update=True)
    if row is None or row.released_at is not None:
        raise Conflict(code="not_held")
    row.released_by, row.released_at = actor, now
    person = await surviving(session, candidate)
    person.review_at = now
    session.add_all([row, person])
    await session.flush()
    return row


async def is_held(session: AsyncSession, candidate: Candidate) -> bool:
    """Whether a hold stands over the person, under whichever of their merged records."""
    one = candidate.merged_into_id or candidate.id
    records = select(Candidate.id).where(
        col(Candidate.company_id) == candidate.company_id,
        or_(col(Candidate.id) == one, col(Candidate.merged_into_id) == one),
    )
    standing = select(LegalHold.id).where(
        col(LegalHold.company_id) == candidate.company_id,
        col(LegalHold.candidate_id).in_(records),
        col(LegalHold.released_at).is_(None),
    )
    return (await session.scalars(standing.limit(1))).first() is not None


async def reason_of(session: AsyncSession, sealer: Sealer, row: LegalHold) -> str | None:
    """Why it stands; null once the person's records have ended."""
    candidate = await session.get_one(Candidate, (row.company_id, row.candidate_id))
    try:
        reason: str = await vault.unseal(
            session, sealer, candidate, "record", row.reason, about=f"hold:{row.id}"
        )
    except Gone:
        return None
    return reason


async def holds_of(session: AsyncSession, company_id: str) -> Sequence[LegalHold]:
    """The company's holds, those that stand first, then the newest."""
    wanted = (
        select(LegalHold)
        .where(col(LegalHold.company_id) == company_id)
        .order_by(col(LegalHold.released_at).is_not(None), col(LegalHold.id).desc())
        .limit(200)
    )
    return (await session.scalars(wanted)).all()
