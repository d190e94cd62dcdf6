"""Work asked for in the transaction that is its reason: a rollback leaves no job, a commit all."""

from typing import Any

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence import qb
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings
from sqlalchemy.ext.asyncio import AsyncSession

SETTINGS = DBSettings(db_schema="pgq")


def queries(driver: AsyncpgDriver) -> Queries:
    """PgQueuer's statements for our schema."""
    return Queries(
        driver,
        qbe=qb.QueryBuilderEnvironment(SETTINGS),
        qbq=qb.QueryQueueBuilder(SETTINGS),
        qbs=qb.QuerySchedulerBuilder(SETTINGS),
    )


def queries_on(connection: Any) -> Queries:
    """The same on an asyncpg connection."""
    return queries(AsyncpgDriver(connection))


async def later(session: AsyncSession, job: str, *ids: str, priority: int = 0) -> None:
    """Ask for a job once this transaction commits. The payload is ids only, first the tenant's.

    The same job asked for twice while it waits is one job.
    """
    payload = " ".join(ids)
    raw = (await (await session.connection()).get_raw_connection()).driver_connection
    if raw is None:  # pragma: no cover - a session always has a driver
        message = "no connection"
        raise RuntimeError(message)
    await queries_on(raw).enqueue(
        job, payload.encode(), priority, dedupe_key=f"{job} {payload}", on_conflict="skip"
    )
