"""The end of data: who is due is looked at and erased, and every night it is proven."""

from datetime import datetime

import structlog

from api import erasure_files
from api.jobs import job
from api.runtime import Runtime
from api.timers import timer
from domain.business_days import local_day
from domain.flows.person.erase_candidate import end_records
from domain.flows.person.prove_erasures import Readable, prove, sample_erased
from domain.flows.person.retain import NIGHT_JOB, forget_unclaimed, record_keys_due, review

log = structlog.get_logger()

# Thousands of people may fall due in a night, and nobody waits for it: the demo's clock need not
# stop there.
timer(
    "candidate.review_at",
    table="candidate",
    column="review_at",
    where="review_at IS NOT NULL AND erased_at IS NULL",
    act=review,
    steps=False,
)


@job("erasure.log")
async def log_erasure(runtime: Runtime, ids: list[str]) -> None:
    """Note an erasure outside of the database."""
    company_id, erasure_id = ids
    await erasure_files.note(runtime, company_id, erasure_id)


@job(NIGHT_JOB)
async def night(runtime: Runtime, ids: list[str]) -> None:
    """One company's night: records whose time is over, unclaimed deliveries, the proof.

    What an erased person left readable fails the job: it is held, and shown to operators.
    """
    company_id, now = ids[0], runtime.clock()
    await _end_records(runtime, company_id, now)
    forgotten = 1
    while forgotten:
        async with runtime.database.transaction(company_id=company_id) as session:
            forgotten = await forget_unclaimed(session, company_id, now)
    await erasure_files.write_missing(runtime, company_id)
    found = await _prove(runtime, company_id)
    for one in found:
        log.error("erasure_not_proven", company=company_id, person=one.candidate_id,
                  place=one.place)  # fmt: skip
    if found:
        message = f"{len(found)} places of erased people can be read"
        raise RuntimeError(message)


async def _end_records(runtime: Runtime, company_id: str, now: datetime) -> None:
    async with runtime.database.transaction(company_id=company_id) as session:
        due = await record_keys_due(session, company_id, local_day(now))
    for candidate_id in due:
        async with runtime.database.transaction(company_id=company_id) as session:
            await end_records(session, company_id, candidate_id, now)


async def _prove(runtime: Runtime, company_id: str) -> list[Readable]:
    async with runtime.database.transaction(company_id=company_id) as session:
        people = await sample_erased(session, company_id)
        return await prove(session, runtime.tools.sealer, company_id, people)
