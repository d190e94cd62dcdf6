"""`relay import`: a file taken over from the command line, with the same preview."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from sqlmodel import col, select

from api import imports
from api.pages import words
from api.runtime import Runtime
from domain.access import as_company, as_system
from domain.company import Company
from domain.errors import Refusal
from domain.flows.hear import import_file
from domain.imports import Import
from domain.store import find
from domain.views.imports import fault_counts

_ACTOR = "relay import"
_PLAIN = 20
"""Kinds of faults shown."""


@dataclass(frozen=True)
class Wish:
    """What the operator asked for."""

    path: Path
    slug: str
    dry_run: bool
    yes: bool
    answers: dict[str, str]


async def run_import(runtime: Runtime, console: Console, wish: Wish) -> int:
    """Show what a file would do and, if it is wanted, do it here. Gives the exit code."""
    try:
        return await _run(runtime, console, wish)
    except Refusal as refusal:
        console.print(f"[red]{refusal.detail or refusal.code}[/] ({refusal.code})")
        return 1
    finally:
        await runtime.database.close()


async def _run(runtime: Runtime, console: Console, wish: Wish) -> int:
    content = wish.path.read_bytes()
    async with runtime.database.transaction() as db:
        async with as_system(db):
            found = await db.scalars(select(Company.id).where(col(Company.slug) == wish.slug))
            company_id = found.first()
        if company_id is None:
            console.print(f"[red]No company has the short name {wish.slug}.[/]")
            return 1
        await as_company(db, company_id)
        run = await imports.upload(
            db, runtime.tools, company_id, content,
            name=wish.path.name, connection_id="", actor=_ACTOR, now=runtime.clock(),
        )  # fmt: skip
        run = await _answer(runtime, db, console, run, wish)
        await _show(db, console, run)
        if wish.dry_run or not _wanted(console, run, wish):
            await import_file.discard(db, company_id, run.id)
            console.print("Nothing was imported.")
            return 0 if wish.dry_run or not run.open_questions else 1
        await import_file.start(
            db, company_id, run.id, skip_bad=True, now=runtime.clock(), ask=False
        )
    return await _take_over(runtime, console, run)


async def _answer(runtime: Runtime, db: Any, console: Console, run: Import, wish: Wish) -> Import:
    """Answers given with the command; the others are asked, unless nobody is there to answer."""
    answers = dict(wish.answers)
    for one in run.questions:
        if one["code"] in answers or not one["choices"] or wish.yes or wish.dry_run:
            continue
        console.print(_t(f"ask_{one['code']}", count=one["count"]))
        answers[one["code"]] = typer.prompt(" / ".join(one["choices"]))
    if not answers:
        return run
    run = await import_file.say(
        db, runtime.tools, run.company_id, run.id, told={"answers": answers}, history_before=None
    )
    return await imports.look(db, runtime.tools, run)


async def _show(db: Any, console: Console, run: Import) -> None:
    table = Table("", "", show_header=False)
    table.add_row("file", f"{run.format} {run.encoding or ''}".strip())
    table.add_row("rows", f"{run.rows_total:,} ({run.rows_bad:,} with problems)")
    for name, label in (
        ("tell", "will_tell_short"), ("history", "will_history"), ("withdraw", "will_withdraw"),
        ("hire", "will_hire"), ("active", "will_active"), ("interviews", "will_interviews"),
        ("unchanged", "will_unchanged"),
    ):  # fmt: skip
        table.add_row(_t(label), f"{run.will[name]:,}")
    console.print(table)
    for field, code, count in (await fault_counts(db, run))[:_PLAIN]:
        console.print(f"[yellow]{count:,}[/] {field or '-'}: {code}")
    for code in run.open_questions:
        console.print(f"[yellow]to be answered[/]: --answer {code}=…")
    if run.duplicate_of:
        console.print(f"The same file was imported before ({run.duplicate_of}).")


def _wanted(console: Console, run: Import, wish: Wish) -> bool:
    if run.open_questions or not run.rows_good:
        return False
    if wish.yes:
        return True
    said = f"Import {run.rows_good:,} rows? {run.will['tell']:,} candidates will be told."
    return bool(typer.confirm(said, default=False)) if console.is_terminal else False


async def _take_over(runtime: Runtime, console: Console, run: Import) -> int:
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("rows", total=run.rows_total, completed=run.done)
        await imports.work(
            runtime, run.company_id, run.id, run.next_row,
            seconds=float("inf"), progress=lambda count: bar.advance(task, count),
        )  # fmt: skip
    async with runtime.database.transaction(company_id=run.company_id) as db:
        done = await find(db, Import, run.company_id, run.id)
        assert done is not None  # noqa: S101 - it was just worked on
        console.print(
            f"{done.state}: {done.changed:,} changed, {done.unchanged:,} unchanged, "
            f"{done.failed:,} failed, {done.rows_bad:,} left out."
        )
        return 0 if done.state == "done" and not done.failed else 1


def _t(key: str, **values: Any) -> str:
    return words("en")(f"imports.{key}", **values)
