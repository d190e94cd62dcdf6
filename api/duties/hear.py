"""Hear: read the deliveries that were kept, and look after those nobody read."""

import traceback

import structlog

from api.jobs import job, passes
from api.runtime import Runtime
from api.timers import timer
from domain.flows.understand_delivery import JOB, give_up, look_again, understand_delivery

log = structlog.get_logger()


@job(JOB)
async def read_delivery(runtime: Runtime, ids: list[str]) -> None:
    """Read one delivery. What breaks us is noted on it and can be replayed; nothing is lost."""
    company_id, delivery_id = ids
    try:
        async with runtime.database.transaction(company_id=company_id) as session:
            await understand_delivery(
                session, runtime.tools, company_id, delivery_id, runtime.clock()
            )
    except Exception as error:
        if passes(error):
            raise  # still `received`: should it last, the sweep asks again
        _say(error, delivery_id)
        async with runtime.database.transaction(company_id=company_id) as session:
            await give_up(session, company_id, delivery_id, runtime.clock())


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
