"""Requests as those see them who asked, and those who answer; and what a disclosure hands over."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.company import Company
from domain.flows.consent.withdraw_consent import records_of
from domain.ports import Sealer
from domain.rights_request import OPEN, RightsRequest
from domain.views.my_file import NOT_THE_COMPANYS, my_file

PAGE = 50
Which = Literal["open", "done"]


async def queue(
    session: AsyncSession, company_id: str, which: Which, *, before: str | None = None
) -> Sequence[RightsRequest]:
    """Open requests, the one that is due first on top; or answered ones, newest first."""
    wanted = select(RightsRequest).where(col(RightsRequest.company_id) == company_id)
    if which == "open":
        wanted = wanted.where(col(RightsRequest.state).in_(OPEN))
        wanted = wanted.order_by(col(RightsRequest.due_on), col(RightsRequest.id))
    else:
        wanted = wanted.where(col(RightsRequest.state).not_in(OPEN))
        if before is not None:
            wanted = wanted.where(col(RightsRequest.id) < before)
        wanted = wanted.order_by(col(RightsRequest.id).desc())
    return (await session.scalars(wanted.limit(PAGE))).all()


async def requests_of(session: AsyncSession, candidate: Candidate) -> Sequence[RightsRequest]:
    """Everything a person ever asked, newest first."""
    wanted = select(RightsRequest).where(
        col(RightsRequest.company_id) == candidate.company_id,
        col(RightsRequest.candidate_id).in_(await records_of(session, candidate)),
    )
    return (await session.scalars(wanted.order_by(col(RightsRequest.id).desc()))).all()


async def disclosure(
    session: AsyncSession, sealer: Sealer, company: Company, candidate: Candidate, now: datetime
) -> dict[str, Any]:
    """What is handed to a person who asks: their data, and every record of a hand-over (33).

    As the person takes it along, without what is theirs alone.
    """
    content = await my_file(session, sealer, company, candidate, now)
    return {**content, **{name: [] for name in NOT_THE_COMPANYS}}
