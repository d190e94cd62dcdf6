"""Where an application may come from to be relayed: the company's own sources and exceptions."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.company import Company
from domain.privacy import SourceOverride, in_force


async def overrides_of(session: AsyncSession, company_id: str) -> Sequence[SourceOverride]:
    """Every exception a company ever set, newest first."""
    wanted = select(SourceOverride).where(col(SourceOverride.company_id) == company_id)
    return (await session.scalars(wanted.order_by(col(SourceOverride.created_at).desc()))).all()


async def allowed_sources(session: AsyncSession, company: Company, today: date) -> frozenset[str]:
    """The sources whose applicants may be relayed on this day in Japan."""
    return frozenset(company.allowed_sources) | in_force(
        await overrides_of(session, company.id), today
    )
