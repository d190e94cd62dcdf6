"""Database idioms with a name: write once, lock, page."""

from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.base import Row
from domain.errors import NotFound

R = TypeVar("R", bound=Row)


async def add_once(session: AsyncSession, row: Row) -> bool:
    """Insert unless a unique key says it is there already. True: this call made it.

    New or not is decided by the database, never by looking first.
    """
    table = type(row).__table__  # type: ignore[attr-defined]
    values = {name: value for name, value in row.model_dump().items() if name in table.c}
    made = (
        insert(table)
        .values(values)
        .on_conflict_do_nothing()
        .returning(table.primary_key.columns[0])
    )
    return (await session.execute(made)).first() is not None


async def lock(session: AsyncSession, kind: type[R], company_id: str, row_id: str) -> R:
    """Load a company's row to change it; nobody else changes it until this transaction ends."""
    row = await find(session, kind, company_id, row_id, for_update=True)
    if row is None:
        raise NotFound
    return row


async def find(
    session: AsyncSession, kind: type[R], company_id: str, row_id: str, *, for_update: bool = False
) -> R | None:
    """A company's row by id, or nothing. Locked, it still may be referred to by new rows.

    No id ever changes: whoever adds a row that names this one need not wait for its writer, and
    the two never wait for each other.
    """
    table: Any = kind
    wanted: Select[Any] = select(kind).where(
        col(table.company_id) == company_id, col(table.id) == row_id
    )
    if for_update:
        locked = wanted.with_for_update(key_share=True)
        wanted = locked.execution_options(populate_existing=True)
    found: R | None = (await session.scalars(wanted)).first()
    return found
