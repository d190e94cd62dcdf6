"""Connections: what HR asked for that goes through many rows, page by page."""

from datetime import datetime

from api.jobs import job
from api.runtime import Runtime
from domain.flows.hear import map_sources, replay_range


@job(map_sources.JOB)
async def follow_sources(runtime: Runtime, ids: list[str]) -> None:
    """Sources have a meaning now: the applications known so far take it over."""
    company_id, connection_id = ids
    after: str | None = ""
    while after is not None:
        async with runtime.database.transaction(company_id=company_id) as session:
            after = await map_sources.follow_sources(session, company_id, connection_id, after)


@job(replay_range.JOB)
async def replay(runtime: Runtime, ids: list[str]) -> None:
    """Read many deliveries again. Run twice, it reads them twice, and that changes nothing."""
    company_id, connection_id, status, first, last = ids
    span = (None if first == replay_range.ANY else datetime.fromisoformat(first),
            datetime.fromisoformat(last))  # fmt: skip
    chosen = None if status == replay_range.ANY else status
    after = ""
    while True:
        async with runtime.database.transaction(company_id=company_id) as session:
            page = await replay_range.replay_range(
                session, connection_id,
                status=chosen, span=span, after=after, now=runtime.clock(),
            )  # fmt: skip
        if not page:
            return
        after = page[-1]
