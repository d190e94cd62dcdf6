"""`relay ledger`: verify, prove, list checkpoints, let a halted book go on."""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Connection, text
from sqlmodel import col, select

from api import checkpoint_files, logs, schema, serve
from api.ledger_keys import ledger_keys
from api.proof import stream
from api.runtime import Runtime, owner_url
from api.settings import Settings
from api.verification import Outcome, finish, read_company
from domain.checkpoint import LedgerCheckpoint
from domain.errors import Invalid, NotFound
from domain.flows.earn.build_checkpoint import build_checkpoint, newest_checkpoint
from domain.flows.earn.verify_ledger import Report, Scope, companies
from domain.recount import Finding
from domain.views import proof as view

group = typer.Typer(no_args_is_help=True, help="The ledger of credits.")
console = Console()
log = structlog.get_logger()
_WORTH_MORE_PROCESSES = 200_000
"""Transactions below which starting processes takes longer than it saves."""
_RESUME = text("SELECT ledger_resume(:company, :book)")
_AS_COMPANY = text("SELECT set_config('relay.company_id', :company, true)")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return serve.run(work)


def _runtime() -> Runtime:
    logs.set_up()
    return Runtime.build(Settings())


@group.command("verify")
def verify_ledger(
    company: Annotated[str | None, typer.Option(help="Only this company's books.")] = None,
    book: Annotated[str | None, typer.Option(help="Only this book.")] = None,
    since: Annotated[
        int | None, typer.Option(min=1, help="Only what came after this checkpoint.")
    ] = None,
    halt: Annotated[bool, typer.Option("--halt", help="Halt books that do not agree.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="How many recount at once.")] = (
        os.cpu_count() or 1
    ),
) -> None:
    """Recompute every book from its entries. Exit code 1 when anything does not agree."""
    outcome = _run(_verify(_runtime(), Scope(company, book, since), processes, halting=halt))
    _show(outcome)
    if not outcome.ok:
        raise typer.Exit(1)


async def _verify(runtime: Runtime, scope: Scope, processes: int, *, halting: bool) -> Outcome:
    outcome = Outcome()
    try:
        async with runtime.database.transaction() as session:
            chosen = await companies(session, scope)
            outcome.checkpoint = await newest_checkpoint(session)
        if scope.since is not None and scope.since > outcome.checkpoint:
            message = f"the newest checkpoint is {outcome.checkpoint}"
            raise typer.BadParameter(message, param_hint="--since")
        total = sum(count for _, count in chosen)
        with _bar() as bar:
            task = bar.add_task("Recounting", total=None if scope.since else total)
            tell: Callable[[int], None] = lambda done: bar.advance(task, done)  # noqa: E731
            if processes > 1 and len(chosen) > 1 and total > _WORTH_MORE_PROCESSES:
                outcome.report = await _in_processes(scope, chosen, processes, tell)
            else:
                for company_id, _ in chosen:
                    outcome.report.add(await read_company(runtime, company_id, scope, tell))
        names = [company_id for company_id, _ in chosen]
        await finish(runtime, scope, outcome, names, halting=halting)
    finally:
        await runtime.database.close()
    return outcome


def _bar() -> Progress:
    """Only for people: in a log there is no bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


async def _in_processes(
    scope: Scope, chosen: list[tuple[str, int]], processes: int, tell: Callable[[int], None]
) -> Report:
    """The largest companies first, each in the next process that is free."""
    report, loop = Report(), asyncio.get_running_loop()
    ordered = sorted(chosen, key=lambda one: -one[1])
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(ordered)), mp_context=fresh) as pool:
        work = [loop.run_in_executor(pool, _recount, name, scope) for name, _ in ordered]
        for done in asyncio.as_completed(work):
            found = await done
            report.add(found)
            tell(found.transactions)
    return report


def _recount(company_id: str, scope: Scope) -> Report:
    """In a process of its own: one company, over a connection of its own."""

    async def read() -> Report:
        runtime = Runtime.build(Settings(pool_size=1))
        try:
            return await read_company(runtime, company_id, scope)
        finally:
            await runtime.database.close()

    return serve.run(read())


def _show(outcome: Outcome) -> None:
    for finding in (*outcome.report.findings, *outcome.business):
        console.print(f"[red]{_words(finding)}[/]", soft_wrap=True)
    for guard in outcome.guards:
        console.print(f"[red]missing in the database: {guard}[/]")
    for one in outcome.overdue:
        if one.count:
            console.print(f"[yellow]{one.bucket}: {one.count} overdue, {one.oldest_days} days[/]")
    report = outcome.report
    console.print(f"{report.books} books, {report.transactions} postings verified.")


def _words(finding: Finding) -> str:
    place = " ".join(one for one in (finding.company_id, finding.book_id) if one)
    number = f" seq {finding.seq}" if finding.seq is not None else ""
    return f"{finding.check}: {place or 'checkpoint'}{number}: {finding.detail}"


@group.command("proof")
def prove(
    book: Annotated[str, typer.Option(help="The book (bok_…).")],
    credit: Annotated[str | None, typer.Option(help="Since this credit was granted.")] = None,
    first: Annotated[int | None, typer.Option("--from", min=1, help="First number.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Last number.")] = None,
    checkpoints_from: Annotated[
        int | None, typer.Option(min=1, help="List the checkpoints from this one on.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file; none: standard output.")] = None,
) -> None:
    """Write what docs/verify_proof.py checks offline: transactions, path, checkpoints, keys."""
    wish = view.Wish(book, first, last, credit, checkpoints_from)
    try:
        _run(_prove(_runtime(), wish, out))
    except (NotFound, Invalid) as why:
        Console(stderr=True).print(f"[red]{book}: {why.code} {why.detail}[/]")
        raise typer.Exit(1) from None


async def _prove(runtime: Runtime, wish: view.Wish, out: Path | None) -> None:
    async with AsyncExitStack() as ending:
        ending.push_async_callback(runtime.database.close)
        async with runtime.database.transaction() as session:
            company_id = await view.company_of(session, wish.book_id)
        target = sys.stdout if out is None else ending.enter_context(_opened(out))
        async for line in stream(runtime, wish, company_id=company_id):
            target.write(line)


def _opened(out: Path) -> Any:
    return out.open("w", encoding="utf-8")


@group.command("checkpoints")
def checkpoints(
    count: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    build: Annotated[bool, typer.Option("--build", help="Build one now, if due or not.")] = False,
) -> None:
    """The newest checkpoints, and whether each has its copy outside of the database."""
    rows, copies = _run(_checkpoints(_runtime(), count, build=build))
    table = Table("n", "built at", "books", "chain", "copy")
    for row in rows:
        copy = "yes" if row.n in copies else "[red]no[/]"
        table.add_row(str(row.n), row.built_at.isoformat(), str(row.leaf_count),
                      row.chain.hex(), copy)  # fmt: skip
    console.print(table if rows else "There is no checkpoint yet.")


async def _checkpoints(
    runtime: Runtime, count: int, *, build: bool
) -> tuple[list[LedgerCheckpoint], set[int]]:
    where = checkpoint_files.folder(runtime.settings)
    try:
        if build:
            async with runtime.database.transaction() as session:
                await build_checkpoint(session, ledger_keys(runtime.settings), runtime.clock())
        async with runtime.database.transaction() as session:
            await checkpoint_files.write_missing(session, where)
            newest = select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.n).desc())
            rows = list((await session.scalars(newest.limit(count))).all())
        return rows, set(checkpoint_files.read(where))
    finally:
        await runtime.database.close()


@group.command("resume")
def resume(
    book: Annotated[str, typer.Option(help="The halted book (bok_…).")],
    yes: Annotated[bool, typer.Option(help="Do not ask.")] = False,
) -> None:
    """Let a halted book be posted to again, once somebody has looked and written down what it was.

    It is recounted first. Only whoever has the owner's connection (`DATABASE_URL`) can do this.
    """
    runtime = _runtime()
    outcome = _run(_verify(runtime, Scope(book_id=book), 1, halting=False))
    _show(outcome)
    if outcome.report.books == 0:
        console.print(f"[red]{book}: not_found[/]")
        raise typer.Exit(1)
    question = "It agrees." if outcome.ok else "It does not agree."
    if not yes:
        typer.confirm(f"{question} Let it go on?", abort=True)
    _run(_resume(runtime, book))
    log.warning("ledger_resumed", book_id=book, findings=[
        asdict(one) for one in outcome.report.findings
    ])  # fmt: skip
    console.print(f"{book} goes on.")


async def _resume(runtime: Runtime, book_id: str) -> None:
    fresh = Runtime.build(runtime.settings, runtime.clock)
    async with fresh.database.transaction() as session:
        company_id = await view.company_of(session, book_id)
    await fresh.database.close()

    def go_on(connection: Connection) -> None:
        connection.execute(_AS_COMPANY, {"company": company_id})
        connection.execute(_RESUME, {"company": company_id, "book": book_id})

    await schema.with_owner(owner_url(runtime.settings), go_on)
