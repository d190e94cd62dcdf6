"""Verification of the ledger as a whole: books, checkpoints, business; halted, counted, kept.

Each company is read in a transaction of its own, at one moment and without locks; what does not
agree is halted in another. Nothing here repairs anything.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime

import structlog

from api import checkpoint_files
from api.ledger_keys import ledger_keys
from api.runtime import Runtime
from domain.checkpoint import LedgerVerification
from domain.flows.earn.build_checkpoint import newest_checkpoint
from domain.flows.earn.check_credits import Unresolved, check_credits, unresolved
from domain.flows.earn.verify_checkpoints import rewritten, verify_checkpoints
from domain.flows.earn.verify_ledger import (
    Report,
    Scope,
    companies,
    halt_broken,
    missing_guards,
    steady,
    verify_company,
)
from domain.flows.earn.verify_statements import verify_statements
from domain.ids import new_id
from domain.recount import Finding

log = structlog.get_logger()
_KEPT = 100
Progress = Callable[[int], None]


@dataclass
class Outcome:
    """What one run found. `report` is arithmetic and chains: books in it that disagree are halted.

    `business` is for people to look at; `overdue` counts what stands too long.
    """

    report: Report = field(default_factory=Report)
    business: list[Finding] = field(default_factory=list)
    overdue: list[Unresolved] = field(default_factory=list)
    guards: list[str] = field(default_factory=list)
    checkpoint: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything agrees. What is overdue is no disagreement."""
        return self.report.ok and not self.business and not self.guards


async def verify_everything(
    runtime: Runtime, scope: Scope, *, halting: bool, tell: Progress | None = None
) -> Outcome:
    """Check what is in scope, company by company, in this process."""
    outcome = Outcome()
    async with runtime.database.transaction() as session:
        chosen = await companies(session, scope)
        outcome.checkpoint = await newest_checkpoint(session)
    for company_id, _ in chosen:
        outcome.report.add(await read_company(runtime, company_id, scope, tell))
    await finish(runtime, scope, outcome, [company_id for company_id, _ in chosen], halting=halting)
    return outcome


async def read_company(
    runtime: Runtime, company_id: str, scope: Scope, tell: Progress | None = None
) -> Report:
    """Recount one company's books, as they stand at one moment."""
    async with runtime.database.transaction() as session:
        await steady(session)
        return await verify_company(session, company_id, scope, tell)


async def finish(
    runtime: Runtime, scope: Scope, outcome: Outcome, chosen: list[str], *, halting: bool
) -> None:
    """What follows the books: checkpoints, business, ages; then halt what does not agree."""
    narrow = scope.company_id is not None or scope.book_id is not None
    after = scope.since or 0
    async with runtime.database.transaction() as session:
        outcome.report.findings += await rewritten(
            session, company_id=scope.company_id, book_id=scope.book_id, after=after
        )
        if not narrow:
            copies = checkpoint_files.read(checkpoint_files.folder(runtime.settings))
            behind = {n: copy for n, copy in copies.items() if n > after}
            outcome.report.findings += await verify_checkpoints(
                session, ledger_keys(runtime.settings), behind, after
            )
            outcome.guards = await missing_guards(session)
        outcome.overdue = list(await unresolved(session, runtime.clock()))
    for company_id in chosen:
        async with runtime.database.transaction() as session:
            found = await check_credits(session, company_id, runtime.clock())
            if scope.since is None:
                keys = ledger_keys(runtime.settings)
                found += await verify_statements(session, keys, company_id)
        outcome.business += [one for one in found if scope.book_id in {None, one.book_id}]
    if halting and outcome.report.findings:
        async with runtime.database.transaction() as session:
            await halt_broken(session, outcome.report.findings)


async def keep(runtime: Runtime, kind: str, outcome: Outcome, started_at: datetime) -> None:
    """Write down what a scheduled run found, and say loudly what disagrees: ids only."""
    found = [*outcome.report.findings, *outcome.business]
    found += [Finding("", "", "guard", None, guard) for guard in outcome.guards]
    for one in found:
        log.error("ledger_mismatch", **asdict(one))
    async with runtime.database.transaction() as session:
        session.add(
            LedgerVerification(
                id=new_id("lvr"),
                started_at=started_at,
                finished_at=runtime.clock(),
                scope=kind,
                checkpoint=outcome.checkpoint,
                books=outcome.report.books,
                transactions=outcome.report.transactions,
                mismatches=len(found),
                findings=[asdict(one) for one in found[:_KEPT]],
                unresolved={
                    one.bucket: {"count": one.count, "oldest_days": one.oldest_days}
                    for one in outcome.overdue
                },
            )
        )
