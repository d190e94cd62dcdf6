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


TIMERS: list[Timer] = []


def timer(
    name: str, *, table: str, column: str, act: Act, where: str = "true", tenant: str = "company"
) -> None:
    """Register a sweep over `table.column`. `where` repeats the partial index's condition.

    `tenant` names the key's column: `company`, `agency`, or `tenant` where it may be either.
    """
    key = f"{tenant}_id"
    TIMERS.append(
        Timer(
            name=name,
            due_sql=(
                f"SELECT {key}, id FROM {table} WHERE {where} AND {column} <= :now "  # noqa: S608
                f"ORDER BY {column} LIMIT {_LIMIT}"
            ),
            next_sql=f"SELECT min({column}) FROM {table} WHERE {where}",  # noqa: S608
            act=act,
            tenant=tenant,
        )
    )


async def sweep(runtime: Runtime, now: datetime) -> int:
    """One round over all timers; the number of rows looked at.

    A row that fails does not keep the others waiting; what failed is raised at the end, together.
    """
    looked, failed = 0, []
    for one in TIMERS:
        for tenant_id, row_id in await _due(runtime, one, now):
            try:
                async with _tenant(runtime, one, tenant_id) as session:
                    await one.act(session, runtime.tools, tenant_id, row_id, now)
            except Exception as error:  # noqa: BLE001 - all of them, and raised below
                error.add_note(f"timer {one.name}, row {row_id}")
                failed.append(error)
            looked += 1
    if failed:
        message = "rows that are due could not be acted on"
        raise ExceptionGroup(message, failed)
    return looked


async def next_due(runtime: Runtime) -> datetime | None:
    """The earliest moment at which any timer has something to do (the demo's clock steps there)."""
    async with runtime.database.transaction() as session, as_system(session):
        moments = [(await session.execute(text(one.next_sql))).scalar() for one in TIMERS]
    return min((moment for moment in moments if moment is not None), default=None)


async def _due(runtime: Runtime, one: Timer, now: datetime) -> list[tuple[str, str]]:
    async with runtime.database.transaction() as session, as_system(session):
        rows = (await session.execute(text(one.due_sql), {"now": now})).all()
    return [(row[0], row[1]) for row in rows]


def _tenant(runtime: Runtime, one: Timer, tenant_id: str) -> Any:
    if one.tenant == "agency" or tenant_id.startswith("agy_"):
        return runtime.database.transaction(agency_id=tenant_id)
    return runtime.database.transaction(company_id=tenant_id)


__all__ = ["TIMERS", "AsyncSession", "Timer", "Tools", "next_due", "sweep", "timer"]
