"""The sweep that throws expired rows away."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.timers import TIMERS, Timer
from domain.flows.office.clear_expired import KEPT, clear_expired


async def _clear(session: AsyncSession, _: Any, __: str, ___: str, now: datetime) -> None:
    await clear_expired(session, now)


def _due_sql() -> str:
    """One row when anything is due. The rows belong to no tenant, so none is named."""
    any_due = " OR ".join(
        f"EXISTS (SELECT FROM {table} WHERE {column} <= CAST(:now AS timestamptz)"
        f" - interval '{stay.total_seconds():.0f} seconds')"
        for table, (column, stay) in KEPT.items()
    )
    return f"SELECT '', 'expired' WHERE {any_due}"


TIMERS.append(
    Timer(
        name="housekeeping",
        due_sql=_due_sql(),
        # Nobody waits for it: the demo's clock need not stop here.
        next_sql="SELECT CAST(NULL AS timestamptz)",
        steps=False,
        act=_clear,
    )
)
