"""Files of applications between the doors and the domain: read in a thread, worked off in steps.

Reading a hundred thousand rows takes seconds: never in the event loop, and few at a time.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from anyio import CapacityLimiter, to_thread
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.jobs import passes
from api.runtime import Runtime
from domain.errors import Refusal
from domain.flows.hear import import_file, import_run
from domain.import_rows import Reader, Row
from domain.import_survey import survey
from domain.imports import Import
from domain.ports import Tools
from integrations.tables import read_book

log = structlog.get_logger()
STEP_SECONDS = 20.0
"""How long one job works on a file before it asks for the next: others wait for workers, too."""
_AT_ONCE = CapacityLimiter(2)
_SIGN_OF_LIFE_SECONDS = 5

Chunk = list[tuple[int, Row | None]]
Progress = Callable[[int], None]


async def upload(
    db: AsyncSession, tools: Tools, company_id: str, content: bytes, *, name: str,
    connection_id: str, actor: str, now: Any,
) -> Import:  # fmt: skip
    """Keep a file and look at it. Raises what `read_book`, `survey` and `keep_file` raise."""
    book = await _meanwhile(db, read_book, content)
    run = await import_file.keep_file(
        db, tools, company_id, book, content,
        name=name, connection_id=connection_id, actor=actor, now=now,
    )  # fmt: skip
    return await _look(db, tools, run, book)


async def look(db: AsyncSession, tools: Tools, run: Import) -> Import:
    """Look at a kept file again, after a person has said how to read it."""
    content = await import_file.content_of(db, tools.sealer, run)
    return await _look(db, tools, run, await _meanwhile(db, read_book, content))


async def _look(db: AsyncSession, tools: Tools, run: Import, book: Any) -> Import:
    rules = await import_file.rules_of(db, tools.sealer, run)
    width = await import_file.known_width(db, run)
    found = await _meanwhile(db, survey, book, rules, width)
    await import_file.take_look(db, tools, run, rules, found)
    return run


async def work(
    runtime: Runtime,
    company_id: str,
    import_id: str,
    next_row: int,
    *,
    seconds: float = STEP_SECONDS,
    progress: Progress | None = None,
) -> None:
    """Take over rows for a while, batch by batch; then ask for another job, or be done.

    What breaks it is noted on the import, and a person may start it again where it stopped.
    """
    try:
        await _work(runtime, company_id, import_id, next_row, seconds, progress)
    except Exception as error:
        if passes(error):
            raise  # the job is tried again; should it last, the sweep asks again
        log.exception("import_stopped", import_id=import_id)
        code = error.code if isinstance(error, Refusal) else "broke"
        async with runtime.database.transaction(company_id=company_id) as db:
            await import_run.stop(db, company_id, import_id, code, runtime.clock())


async def _work(  # noqa: PLR0917 - as `work`
    runtime: Runtime, company_id: str, import_id: str, next_row: int, seconds: float,
    progress: Progress | None,
) -> None:  # fmt: skip
    database, tools, begun = runtime.database, runtime.tools, time.monotonic()
    async with database.transaction(company_id=company_id) as db:
        task = await import_run.take_up(
            db, tools, company_id, import_id, next_row=next_row, now=runtime.clock()
        )
    if task is None:
        return
    book = await _in_thread(read_book, task.content)
    chunks, at = _chunks(Reader(book, task.rules), next_row), next_row
    while chunk := await _in_thread(next, chunks, None):
        pause = time.monotonic() - begun > seconds
        async with database.transaction(company_id=company_id) as db:
            reached = await import_run.run_batch(
                db, tools, company_id, import_id, chunk,
                rules=task.rules, next_row=at, pause=pause, now=runtime.clock(),
            )  # fmt: skip
        if progress is not None:
            progress(len(chunk))
        if reached is None or pause:
            return
        at = reached
    async with database.transaction(company_id=company_id) as db:
        await import_run.finish(db, company_id, import_id, at, runtime.clock())


def _chunks(reader: Reader, first: int) -> Iterator[Chunk]:
    chunk: Chunk = []
    for number, row, _ in reader.rows(first):
        chunk.append((number, row))
        if len(chunk) == import_run.BATCH:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _in_thread(work: Callable[..., Any], *given: Any) -> Any:
    return await to_thread.run_sync(work, *given, limiter=_AT_ONCE)


async def _meanwhile(db: AsyncSession, work: Callable[..., Any], *given: Any) -> Any:
    """The same while a transaction is open: the database ends one it hears nothing of."""
    working = asyncio.create_task(_in_thread(work, *given))
    while not working.done():
        await asyncio.wait([working], timeout=_SIGN_OF_LIFE_SECONDS)
        await db.execute(text("SELECT 1"))
    return working.result()
