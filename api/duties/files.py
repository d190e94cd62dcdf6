"""Files are scanned: when they come in, when there was no verdict, and again every week."""

from api.jobs import Lane, job
from api.runtime import Runtime
from api.timers import timer
from domain.candidate_file import SCAN_JOB
from domain.errors import Gone
from domain.flows.person.scan_file import ask_for_scan, note_scan, to_scan

timer(
    "candidate_file.look_at",
    table="candidate_file",
    column="look_at",
    where="look_at IS NOT NULL",
    act=ask_for_scan,
    # It makes up for a lost job or looks anew: nobody waits for it.
    steps=False,
)


@job(SCAN_JOB, Lane.FILES)
async def scan_file(runtime: Runtime, ids: list[str]) -> None:
    """Have one file scanned. Safe to run twice: the verdict is the file's, not the job's."""
    company_id, file_id = ids
    tools = runtime.tools
    if tools.scanner is None:
        return
    try:
        async with runtime.database.transaction(company_id=company_id) as session:
            content = await to_scan(session, tools, company_id, file_id)
    except Gone:  # erased meanwhile
        return
    if content is None:
        return
    verdict = await tools.scanner.scan(content)
    async with runtime.database.transaction(company_id=company_id) as session:
        await note_scan(
            session, tools, company_id, file_id, verdict, by=tools.scanner.name,
            now=runtime.clock(),
        )  # fmt: skip
