"""Hear: read the deliveries that were kept, and look after those nobody read."""

import traceback

import structlog
from sqlalchemy.exc import DBAPIError

from api.jobs import job
from api.runtime import Runtime
from api.timers import timer
from domain.flows.understand_delivery import JOB, give_up, look_again, understand_delivery

log = structlog.get_logger()

_PASSING = ("08", "40", "53", "55P03", "57")
"""SQLSTATEs of troubles that pass: connection, conflict, resources, lock timeout, shutdown."""
_TRIES = 3


@job(JOB)
async def read_delivery(runtime: Runtime, ids: list[str]) -> None:
    """Read one delivery. What breaks us is noted on it and can be replayed; nothing is lost."""
    company_id, delivery_id = ids
    for left in reversed(range(_TRIES)):
        try:
            async with runtime.database.transaction(company_id=company_id) as session:
                await understand_delivery(
                    session, runtime.tools, company_id, delivery_id, runtime.clock()
                )
        except Exception as error:
            passing = _passes(error)
            if passing and left:
                continue
            if passing:
                raise  # still `received`: the sweep asks again
            _say(error, delivery_id)
            async with runtime.database.transaction(company_id=company_id) as session:
                await give_up(session, company_id, delivery_id, runtime.clock())
        return


def _passes(error: Exception) -> bool:
    if isinstance(error, OSError | TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or "08"
    return error.connection_invalidated or state.startswith(_PASSING)


def _say(error: Exception, delivery_id: str) -> None:
    """Kind and place only: the message of an error may quote what somebody wrote."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    log.error(
        "delivery_unread",
        delivery_id=delivery_id,
        kind=type(error).__name__,
        place=f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}",
    )


timer(
    "delivery.look", table="delivery", column="look_at", where="look_at IS NOT NULL", act=look_again
)
