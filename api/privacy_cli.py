"""`relay incident` and `relay privacy`: what the operator does for the companies' promises."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlmodel import col, select

from api import logs
from api.cli_words import MOMENT
from api.runtime import Runtime
from api.settings import Settings
from domain.access import as_system
from domain.errors import NotFound, Refusal
from domain.flows.office import rotate_keys as rotate
from domain.flows.office.check_provisions import call_officers, check_provisions
from domain.flows.office.end_text import end_text
from domain.flows.office.open_incident import Report, open_incident
from domain.flows.office.set_cross_border import set_cross_border
from domain.ids import new_id
from domain.incident import Incident

T = TypeVar("T")
console = Console()
incidents = typer.Typer(
    no_args_is_help=True, help="Incidents with personal data: registered, listed, with their days."
)
commands = typer.Typer(no_args_is_help=True, help="Checks of hand-overs, and recipients abroad.")


@incidents.command("open")
def open_(
    *,
    known_at: Annotated[datetime, MOMENT],
    outline: Annotated[str, typer.Option(prompt=True, help="What happened, as far as known.")],
    by: Annotated[str, typer.Option(prompt=True, help="Who registers it.")],
    all_companies: Annotated[bool, typer.Option("--all-companies", help="Every company.")] = False,
    company: Annotated[list[str] | None, typer.Option(help="cmp_…; may be repeated.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="special_care, property_damage, wrongful_purpose; may be repeated."),
    ] = None,
    persons: Annotated[int, typer.Option(min=0, help="How many people, as far as known.")] = 0,
    encrypted: Annotated[bool, typer.Option(help="Encrypted to a high standard.")] = False,
    origin: Annotated[
        str, typer.Option(help="Your number for it. Given again, nothing is written twice.")
    ] = "",
) -> None:
    """Tell every company concerned: one row each, with its own clocks and mails.

    A processor that has told its principals is freed from its own report (個人情報保護法 26(1)).
    """
    if all_companies == bool(company):
        console.print("Name companies, or say --all-companies.")
        raise typer.Exit(2)
    report = Report(known_at, tuple(kind or ()), encrypted, persons, {"outline": outline})
    number = origin or new_id("opi")

    async def work(runtime: Runtime) -> list[Incident]:
        async with runtime.database.transaction() as db:
            everyone, _ = await rotate.tenants(db)
        made = []
        for company_id in everyone if all_companies else _known(company or [], everyone):
            async with runtime.database.transaction(company_id=company_id) as db:
                made.append(
                    await open_incident(
                        db, runtime.tools, company_id, report,
                        actor=f"operator:{by}", now=runtime.clock(), origin=number,
                    )
                )  # fmt: skip
        return made

    made = _run(work)
    console.print(f"{number}: {len(made)} companies told.", soft_wrap=True)
    for one in made:
        console.print(
            f"{one.company_id} {one.id} first report {one.preliminary_due_on},"
            f" full report {one.final_due_on}", soft_wrap=True,
        )  # fmt: skip


@incidents.command("list")
def list_() -> None:
    """Incidents that are not closed, over all companies, by the day of knowing."""

    async def work(runtime: Runtime) -> list[Incident]:
        async with runtime.database.transaction() as db, as_system(db):
            wanted = select(Incident).where(col(Incident.state) != "closed")
            rows = await db.scalars(wanted.order_by(col(Incident.known_at), col(Incident.id)))
            return list(rows.all())

    rows = _run(work)
    table = Table("id", "company", "state", "reportable", "first report", "full report", "origin")
    for row in rows:
        table.add_row(
            row.id, row.company_id, row.state, "yes" if row.reportable else "no",
            str(row.preliminary_due_on), str(row.final_due_on), row.origin or "",
        )  # fmt: skip
    console.print(table if rows else "No incident is open.")


@commands.command("check")
def check() -> None:
    """Look at every hand-over and its evidence now. Exit code 1 when one does not fit."""

    async def work(runtime: Runtime) -> tuple[int, list[str]]:
        async with runtime.database.transaction() as db:
            companies, _ = await rotate.tenants(db)
        looked, found = 0, []
        for company_id in companies:
            async with runtime.database.transaction(company_id=company_id) as db:
                one = await check_provisions(db, company_id, runtime.clock())
                await call_officers(db, runtime.tools, one, runtime.clock())
            looked += one.provisions
            found += [f"{company_id} {finding}" for finding in one.findings]
        return looked, found

    looked, found = _run(work)
    for one in found:
        console.print(f"[red]does not fit: {one}[/]", soft_wrap=True)
    console.print(f"{looked} hand-overs looked at.")
    if found:
        raise typer.Exit(1)


@commands.command("end-text")
def end_text_(
    *,
    version: Annotated[str, typer.Argument(help="The version of the words, e.g. 2025-10.")],
    on: Annotated[
        date, typer.Option(parser=date.fromisoformat, metavar="DAY", help="The first day without.")
    ],
    reason: Annotated[str, typer.Option(prompt=True, help="Why; names nobody.")],
    by: Annotated[str, typer.Option(prompt=True, help="Who decided it.")],
    company: Annotated[list[str], typer.Option(help="cmp_…; may be repeated.")],
) -> None:
    """Consents given under these words carry nothing from that day on; people are asked anew."""

    async def work(runtime: Runtime) -> None:
        async with runtime.database.transaction() as db:
            everyone, _ = await rotate.tenants(db)
        for company_id in _known(company, everyone):
            async with runtime.database.transaction(company_id=company_id) as db:
                await end_text(
                    db, company_id, version, on, reason=reason, actor=f"operator:{by}",
                    now=runtime.clock(),
                )  # fmt: skip

    _run(work)
    console.print(f"{version} ends on {on}.")


@commands.command("abroad")
def abroad(
    agency_id: Annotated[str, typer.Argument(help="agy_…")],
    country: Annotated[str, typer.Option(prompt=True, help="ISO 3166, e.g. DE; JP takes it back.")],
    facts: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False,
            help="JSON: basis (consent_28, designated_country, equivalent_system), and under ja and"
            " en: country, regime, measures (規則 17). Without it nobody is offered to the agency.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """On what hand-overs to an agency abroad rest, and what people are told of it."""
    told: Any = json.loads(facts.read_text("utf-8")) if facts is not None else None

    async def work(runtime: Runtime) -> None:
        async with runtime.database.transaction() as db:
            await set_cross_border(db, agency_id, country.upper(), told)

    _run(work)
    console.print(f"{agency_id} stands in {country.upper()}.")


def _known(named: list[str], everyone: list[str]) -> list[str]:
    """The companies that were named; nobody hears half of it where one of them is unknown."""
    unknown = sorted({*named} - {*everyone})
    if unknown:
        raise NotFound(", ".join(unknown), code="company_unknown")
    return named


def _run(work: Callable[[Runtime], Awaitable[T]]) -> T:
    async def whole() -> T:
        logs.set_up()
        runtime = Runtime.build(Settings())
        try:
            return await work(runtime)
        finally:
            await runtime.database.close()

    try:
        return asyncio.run(whole())
    except Refusal as why:
        console.print(f"[red]{why.code}[/]: {why.detail}")
        raise typer.Exit(1) from None
