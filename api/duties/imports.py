"""Imports: files of applications are taken over in steps, and looked after when a worker dies."""

from api.imports import work
from api.jobs import job
from api.runtime import Runtime
from api.timers import timer
from domain.flows.hear.import_file import JOB, look_again


@job(JOB)
async def take_over(runtime: Runtime, ids: list[str]) -> None:
    """Take over rows of a file from the given one on, unless somebody else has."""
    company_id, import_id, next_row = ids
    await work(runtime, company_id, import_id, int(next_row))


timer(
    "import.look",
    table="import_run",
    column="look_at",
    where="look_at IS NOT NULL",
    act=look_again,
)
