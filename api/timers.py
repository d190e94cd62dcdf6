"""The sweeps: what is due is found by an index, looked at again under lock, and acted on.

Cost follows what is due, not what exists. A timer is a column with a due time and a partial index.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.runtime import Runtime
from domain.access import as_system
from domain.ports import Tools

Act = Callable[..., Awaitable[Any]]
"""`act(session, tools, tenant_id, row_id, now)`: locks the row, looks again, acts or lets be."""

_LIMIT = 500


@dataclass(frozen=True)
class Timer:
    """A due time somewhere: `due_sql` selects (tenant, id) of rows due by `:now`, oldest first."""

    name: str
    due_sql: str
    next_sql: str
    act: Act
    tenant: str = "company"
    steps: bool = True


TIMERS: list[Timer] = []


def timer(
    name: str,
    *,
    table: str,
    column: str,
    act: Act,
    where: str = "true",
    tenant: str = "company",
    steps: bool = True,
) -> None:
    """Register a sweep over `table.column`. `where` repeats the partial index's condition.

    `tenant` names the key's column: `company`, `agency`, or `tenant` where it may be either.
    `steps`: the demo's clock stops at it on its way; not for what makes up for its absence.
    """
    key = f"{tenant}_id"
    TIMERS.append(
        Timer(
            name=name,
            due_sql=(
                f"SELECT {key}, id FROM {table} WHERE {where} AND {column} <= :now "  # noqa: S608
                f"ORDER BY {column}, id LIMIT {_LIMIT}"
            ),
            next_sql=f"SELECT min({column}) FROM {table} WHERE {where}",  # noqa: S608
            act=act,
            tenant=tenant,
            steps=steps,
        )
    )


async def sweep(runtime: Runtime, now: datetime) -> int:
    """One round over all timers; the number of rows looked at.

    While the demo's clock is on its way: only those it stops at, the others when it has arrived.

    One statement finds everything due. A row that fails does not keep the others waiting; what
    failed is raised at the end, together.
    """
    due, failed = await _due(runtime, now), []
    for number, tenant_id, row_id in due:
        one = TIMERS[number]
        try:
            async with _tenant(runtime, one, tenant_id) as session:
                await one.act(session, runtime.tools, tenant_id, row_id, now)
        except Exception as error:  # noqa: BLE001 - all of them, and raised below
            error.add_note(f"timer {one.name}, row {row_id}")
            failed.append(error)
    if failed:
        message = "rows that are due could not be acted on"
        raise ExceptionGroup(message, failed)
    return len(due)


async def next_due(runtime: Runtime) -> datetime | None:
    """The earliest moment at which any timer has something to do (the demo's clock steps there)."""
    parts = " UNION ALL ".join(f"({one.next_sql})" for one in TIMERS if one.steps)
    async with runtime.database.transaction() as session, as_system(session):
        earliest = await session.execute(text(f"SELECT min(due.min) FROM ({parts}) AS due"))  # noqa: S608
        found: datetime | None = earliest.scalar()
    return found


async def _due(runtime: Runtime, now: datetime) -> list[tuple[int, str, str]]:
    parts = " UNION ALL ".join(
        f"(SELECT {number} AS timer, due.* FROM ({one.due_sql}) AS due)"  # noqa: S608
        for number, one in enumerate(TIMERS)
        if one.steps or not runtime.clock.on_the_way
    )
    async with runtime.database.transaction() as session, as_system(session):
        rows = (await session.execute(text(parts), {"now": now})).all()
    # By timer, in the order they were registered; within one, oldest first.
    return sorted(((row[0], row[1], row[2]) for row in rows), key=lambda row: row[0])


def _tenant(runtime: Runtime, one: Timer, tenant_id: str) -> Any:
    if one.tenant == "agency" or tenant_id.startswith("agy_"):
        return runtime.database.transaction(agency_id=tenant_id)
    return runtime.database.transaction(company_id=tenant_id)


__all__ = ["TIMERS", "AsyncSession", "Timer", "Tools", "next_due", "sweep", "timer"]
