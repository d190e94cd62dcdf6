"""The privacy officer's clocks: the nightly look at every hand-over, and what incidents owe."""

from datetime import datetime
from typing import Any

import structlog

from api.jobs import job
from api.runtime import Runtime
from api.timers import TIMERS, Timer, timer
from domain.flows.office.check_provisions import JOB, ask_check, call_officers, check_provisions
from domain.flows.office.report_incident import remind

log = structlog.get_logger()

TIMERS.append(
    Timer(
        name="company.privacy_look_at",
        # A company nobody has looked at yet is due as well.
        due_sql=(
            "SELECT id, id FROM company"
            " WHERE privacy_look_at <= CAST(:now AS timestamptz) OR privacy_look_at IS NULL"
            " ORDER BY privacy_look_at, id LIMIT 500"
        ),
        next_sql="SELECT CAST(NULL AS timestamptz)",
        # Nobody waits for it: the demo's clock need not stop here.
        steps=False,
        act=ask_check,
    )
)
timer(
    "incident.look_at",
    table="incident",
    column="look_at",
    where="look_at IS NOT NULL",
    act=remind,
    # It says again what stands in the officer's room.
    steps=False,
)


@job(JOB)
async def check(runtime: Runtime, ids: list[str]) -> None:
    """Tonight's look at one company's hand-overs."""
    (company_id,) = ids
    now: datetime = runtime.clock()
    async with runtime.database.transaction(company_id=company_id) as session:
        found: Any = await check_provisions(session, company_id, now)
        await call_officers(session, runtime.tools, found, now)
    if found.alarming:
        log.error("privacy_check_alarms", company_id=company_id, check_id=found.id,
                  uncovered=found.uncovered, broken=found.broken)  # fmt: skip
