"""The ledger watches itself: a checkpoint every full hour, a look at what changed, all at night.

Each is a row of `ledger_watch` with a due time, and a job: a long look keeps no timer waiting.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api import checkpoint_files
from api.jobs import job
from api.ledger_keys import ledger_keys
from api.runtime import Runtime
from api.timers import TIMERS, Timer
from api.verification import keep, verify_everything
from domain.checkpoint import LedgerVerification, LedgerWatch
from domain.flows.earn.build_checkpoint import build_checkpoint, newest_checkpoint, next_hour
from domain.flows.earn.verify_ledger import EVERYTHING, Scope
from domain.jobs import later
from domain.ledger import day_after, today_in_japan

log = structlog.get_logger()
CHECKPOINT_JOB = "ledger.checkpoint"
CHANGED_JOB = "ledger.verify_changed"
WHOLE_JOB = "ledger.verify_whole"
_NIGHT = timedelta(hours=2, minutes=30)
"""After midnight in Japan, when the day's dates have taken effect."""
_FEW_MINUTES = timedelta(minutes=5)


def _tonight(now: datetime) -> datetime:
    return day_after(today_in_japan(now - _NIGHT)) + _NIGHT


_DUTIES = {
    "checkpoint": (CHECKPOINT_JOB, next_hour),
    "verify_changed": (CHANGED_JOB, lambda now: next_hour(now) + _FEW_MINUTES),
    "verify_whole": (WHOLE_JOB, _tonight),
}
"""By the row's name: the job, and when it is due again."""


async def _ask(session: AsyncSession, _: Any, __: str, name: str, now: datetime) -> None:
    """Ask for the duty that is due; whoever holds the row does it."""
    wanted = select(LedgerWatch).where(
        col(LedgerWatch.name) == name, col(LedgerWatch.due_at) <= now
    )
    due = (await session.scalars(wanted.with_for_update(skip_locked=True))).first()
    if due is None:
        return
    work, again = _DUTIES[name]
    due.due_at = again(now)
    session.add(due)
    await later(session, work)


TIMERS.append(
    Timer(
        name="ledger.watch",
        due_sql="SELECT '', name FROM ledger_watch WHERE due_at <= :now ORDER BY due_at",
        # Nobody waits for it: the demo's clock need not stop here.
        next_sql="SELECT CAST(NULL AS timestamptz)",
        steps=False,
        act=_ask,
    )
)


@job(CHECKPOINT_JOB)
async def checkpoint(runtime: Runtime, _: list[str]) -> None:
    """Build a checkpoint over what changed, and copy it outside of the database."""
    async with runtime.database.transaction() as session:
        made = await build_checkpoint(session, ledger_keys(runtime.settings), runtime.clock())
    if made is not None:
        log.info("ledger_checkpoint", n=made.n, books=made.leaf_count)
    async with runtime.database.transaction() as session:
        where = checkpoint_files.folder(runtime.settings)
        await checkpoint_files.write_missing(session, where)


@job(CHANGED_JOB)
async def verify_changed(runtime: Runtime, _: list[str]) -> None:
    """Recount what came after the checkpoint at which the last look stood; nothing new, no look."""
    async with runtime.database.transaction() as session:
        newest = await newest_checkpoint(session)
        since = await _looked_through(session)
    if since is None:
        await verify_whole(runtime, [])
    elif newest > since:
        started_at = runtime.clock()
        outcome = await verify_everything(runtime, Scope(since=since), halting=True)
        await keep(runtime, "changed", outcome, started_at)


@job(WHOLE_JOB)
async def verify_whole(runtime: Runtime, _: list[str]) -> None:
    """Recount everything from the first transaction on."""
    started_at = runtime.clock()
    outcome = await verify_everything(runtime, EVERYTHING, halting=True)
    await keep(runtime, "whole", outcome, started_at)


async def _looked_through(session: AsyncSession) -> int | None:
    """The newest checkpoint of the last look that found nothing; none before the first."""
    clean = select(LedgerVerification.checkpoint).where(col(LedgerVerification.mismatches) == 0)
    newest = clean.order_by(col(LedgerVerification.finished_at).desc()).limit(1)
    return (await session.scalars(newest)).first()
