"""Imports as people and programs look at them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.imports import Import, ImportFault

PAGE = 20


async def imports(
    session: AsyncSession, company_id: str, *, before: str | None = None
) -> Sequence[Import]:
    """The company's files, newest first."""
    wanted = select(Import).where(col(Import.company_id) == company_id)
    if before is not None:
        wanted = wanted.where(col(Import.id) < before)
    return (await session.scalars(wanted.order_by(col(Import.id).desc()).limit(PAGE))).all()


async def faults(
    session: AsyncSession, run: Import, *, limit: int | None = None
) -> Sequence[ImportFault]:
    """What is wrong with which row, from the top."""
    wanted = (
        select(ImportFault)
        .where(col(ImportFault.company_id) == run.company_id, col(ImportFault.import_id) == run.id)
        .order_by(col(ImportFault.row), col(ImportFault.field), col(ImportFault.code))
    )
    return (await session.scalars(wanted.limit(limit) if limit is not None else wanted)).all()


async def fault_counts(session: AsyncSession, run: Import) -> Sequence[Any]:
    """How many rows have which fault, the most frequent first: (field, code, count)."""
    count = func.count().label("count")
    wanted = (
        select(col(ImportFault.field), col(ImportFault.code), count)
        .where(col(ImportFault.company_id) == run.company_id, col(ImportFault.import_id) == run.id)
        .group_by(col(ImportFault.field), col(ImportFault.code))
        .order_by(count.desc(), col(ImportFault.field), col(ImportFault.code))
    )
    return (await session.execute(wanted)).all()
