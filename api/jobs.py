"""The jobs: each reads, calls out with no transaction open, writes. Each may run twice.

A trouble of the database that passes (a lock, a lost connection) is no reason to put a job aside:
it is run again at once, a few times.
"""

import functools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from pgqueuer import PgQueuer
from pgqueuer.domain.models import Job
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncSession

from api.runtime import Runtime
from domain.flows.hear.import_file import JOB as IMPORT

Handler = Callable[[Runtime, list[str]], Awaitable[None]]
"""What to do with the ids of a job's payload (the tenant's id first)."""


class Lane(StrEnum):
    """Whom a job waits for. Who is slow keeps only the jobs of his own lane waiting."""

    OURS = "ours"
    """Nobody but our own database."""
    MAIL = "mail"
    AGENCIES = "agencies"
    VENDORS = "vendors"
    FILES = "files"
    """The scanner of files."""


@dataclass(frozen=True)
class Duty:
    """A handler and the lane its jobs take."""

    handler: Handler
    lane: Lane


DUTIES: dict[str, Duty] = {}
"""By the name flows ask for a job by (`domain.jobs.later`)."""

_PASSING = ("08", "40", "53", "55P03", "57")
"""SQLSTATEs of troubles that pass: connection, conflict, resources, lock timeout, shutdown."""
_TRIES = 3


def job(name: str, lane: Lane = Lane.OURS) -> Callable[[Handler], Handler]:
    """Register a handler under the name flows ask for it by, in the lane of whom it calls."""

    def keep(handler: Handler) -> Handler:
        DUTIES[name] = Duty(_patient(handler), lane)
        return DUTIES[name].handler

    return keep


def passes(error: Exception) -> bool:
    """Whether this is a trouble that passes by itself."""
    if isinstance(error, OSError | TimeoutError | NoConnection):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or "08"
    return error.connection_invalidated or state.startswith(_PASSING)


def register(queue: PgQueuer, runtime: Runtime, lanes: Iterable[Lane]) -> None:
    """Give a queue the handlers of its lanes.

    A job that fails is held, listed and requeued by the CLI.
    """
    for name, duty in DUTIES.items():
        if duty.lane in lanes:
            bound = _bound(duty.handler, runtime)
            queue.entrypoint(name, on_failure="hold", accepts_context=False)(bound)


def _patient(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def run(runtime: Runtime, ids: list[str]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                return await handler(runtime, ids)
            except Exception as error:
                if not (left and passes(error)):
                    raise
        return None

    return run


def _bound(handler: Handler, runtime: Runtime) -> Callable[[Job], Awaitable[None]]:
    async def run(job: Job) -> None:
        await handler(runtime, (job.payload or b"").decode().split())

    return run


async def run_now(runtime: Runtime, name: str, *ids: str) -> None:
    """Run one job in this task, as the worker would."""
    await DUTIES[name].handler(runtime, list(ids))


async def waiting(session: AsyncSession) -> int:
    """How many jobs are queued or in hand; a long import is not waited for."""
    found = await session.execute(
        text(
            "SELECT count(*) FROM pgq.pgqueuer"
            " WHERE status IN ('queued', 'picked') AND entrypoint <> :long"
        ),
        {"long": IMPORT},
    )
    return int(found.scalar_one())
