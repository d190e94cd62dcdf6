"""`relay disputes`: what waits for the operator's decision, and the decision."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlmodel import col, select

from api import logs
from api.runtime import Runtime
from api.settings import Settings
from domain.access import as_company, as_system
from domain.dispute import Dispute, DisputeNote
from domain.errors import Refusal
from domain.flows.earn.dispute_credit import decide

console = Console()
commands = typer.Typer(
    no_args_is_help=True, help="Disputes about credits: the operator, who is neither side, decides."
)


class Side(StrEnum):
    """For whom it is decided."""

    COMPANY = "company"
    AGENCY = "agency"


@commands.command("list")
def list_disputes() -> None:
    """Disputes that are not over, oldest first."""
    rows = asyncio.run(_with_runtime(_open))
    table = Table("id", "subject", "reason", "opened by", "state", "due")
    for row in rows:
        table.add_row(row.id, row.subject, row.reason, row.opened_by, row.state, str(row.due_on))
    console.print(table if rows else "No dispute is open.")


@commands.command("show")
def show(dispute_id: Annotated[str, typer.Argument(help="dsp_…")]) -> None:
    """What both sides said."""
    for line in asyncio.run(_with_runtime(lambda runtime: _said(runtime, dispute_id))):
        console.print(harmless(line), markup=False)


@commands.command("decide")
def decide_dispute(
    dispute_id: Annotated[str, typer.Argument(help="dsp_…")],
    side: Annotated[Side, typer.Option("--for", help="For whom.", prompt=True)],
    by: Annotated[str, typer.Option(help="Who decides; an appeal needs another one.", prompt=True)],
    note: Annotated[str, typer.Option(help="Why; both sides read it.", prompt=True)],
) -> None:
    """Decide. Ten business days later, or after an appeal, it is posted."""
    try:
        state = asyncio.run(
            _with_runtime(lambda runtime: _decide(runtime, dispute_id, side, by, note))
        )
    except Refusal as why:
        console.print(f"[red]{why.code}[/]: {why.detail}")
        raise typer.Exit(1) from None
    console.print(f"{dispute_id} is {state}.")


def harmless(words: str) -> str:
    """What the sides wrote, without letters a terminal obeys: they could hide or fake words."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in words)


async def _with_runtime(work: Any) -> Any:
    logs.set_up()
    runtime = Runtime.build(Settings())
    try:
        return await work(runtime)
    finally:
        await runtime.database.close()


async def _open(runtime: Runtime) -> list[Dispute]:
    async with runtime.database.transaction() as db, as_system(db):
        wanted = select(Dispute).where(col(Dispute.state) != "final").order_by(col(Dispute.id))
        return list((await db.scalars(wanted)).all())


async def _company_of(runtime: Runtime, dispute_id: str) -> str:
    async with runtime.database.transaction() as db, as_system(db):
        wanted = select(Dispute.company_id).where(col(Dispute.id) == dispute_id)
        found = (await db.scalars(wanted)).first()
    if found is None:
        console.print(f"[red]{dispute_id}: not_found[/]")
        raise typer.Exit(1)
    return found


async def _said(runtime: Runtime, dispute_id: str) -> list[str]:
    company_id = await _company_of(runtime, dispute_id)
    async with runtime.database.transaction() as db:
        await as_company(db, company_id)
        wanted = (
            select(DisputeNote)
            .where(
                col(DisputeNote.company_id) == company_id,
                col(DisputeNote.dispute_id) == dispute_id,
            )
            .order_by(col(DisputeNote.id))
        )
        open_note = runtime.tools.sealer.open
        return [
            f"{one.created_at:%Y-%m-%d %H:%M} {one.party} ({one.step}): "
            + open_note(one.sealed, about=f"dispute-note:{one.id}").decode()
            for one in (await db.scalars(wanted)).all()
        ]


async def _decide(runtime: Runtime, dispute_id: str, side: Side, by: str, note: str) -> str:
    company_id = await _company_of(runtime, dispute_id)
    async with runtime.database.transaction(company_id=company_id) as db:
        decided = await decide(
            db, runtime.tools, company_id, dispute_id, f"for_{side}",
            note=note, actor=f"operator:{by}", now=runtime.clock(),
        )  # fmt: skip
        return decided.state
