"""`relay`: everything an operator does, on one page."""

import asyncio
import secrets as random
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from api import dispute_cli, erasure_cli, ledger_cli, logs, privacy_cli, schema, serve
from api.cli_words import MOMENT
from api.demo import place
from api.import_cli import Wish, run_import
from api.runtime import Runtime, app_password, owner_url
from api.settings import Settings
from domain import jobs as queue
from domain.caller import ROLES
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.consent.verify_consents import Evidence, verify_consents
from domain.flows.hear.replay_range import replay_one, replay_range
from domain.flows.office import open_account
from domain.flows.office import rotate_keys as rotate
from domain.ids import is_id
from integrations.ed25519 import new_key

# Typer's own tracebacks print variables, and those hold secrets.
cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False
)
keys = typer.Typer(no_args_is_help=True, help="The instance's key ring.")
jobs = typer.Typer(no_args_is_help=True, help="Jobs that were given up and held.")
audit = typer.Typer(no_args_is_help=True, help="The chains of consent evidence.")
bench = typer.Typer(
    no_args_is_help=True, help="Measurements, as ratios to a floor of the same run."
)
for name, group in {
    "keys": keys, "jobs": jobs, "ledger": ledger_cli.group, "audit": audit,
    "disputes": dispute_cli.commands, "incident": privacy_cli.incidents,
    "privacy": privacy_cli.commands, "erasures": erasure_cli.group, "bench": bench,
}.items():  # fmt: skip
    cli.add_typer(group, name=name)
console = Console()


def _runtime() -> Runtime:
    logs.set_up()
    return Runtime.build(Settings())


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@cli.command()
def dev(
    history: Annotated[bool, typer.Option(help="Play a year of hiring on the first start.")] = True,
) -> None:
    """The demo: embedded database, API and worker in one process, invented people, own clock."""
    from api.demo.show import Demo  # noqa: PLC0415 - production never loads the demo

    logs.set_up(level="ERROR")
    # One job at a time: whoever moves the demo's clock waits for each to be noted as done.
    settings = Settings(mode="demo", allow_private_networks=True, worker_batch=1)
    Demo(settings, console, with_history=history).run()


@cli.command("serve")
def serve_command() -> None:
    """The API. Start as many as you like on one PostgreSQL."""
    serve.run(serve.serve(_runtime()))


@cli.command()
def worker() -> None:
    """A worker: jobs and sweeps. Start as many as you like on one PostgreSQL."""
    serve.run(serve.work(_runtime()))


@cli.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="`head`, or `base` to take all back.")] = "head",
) -> None:
    """Bring the database's schema to a revision."""
    settings = Settings()
    if revision == "base":
        asyncio.run(schema.downgrade(owner_url(settings)))
    else:
        asyncio.run(schema.upgrade(owner_url(settings), app_password(settings), revision))
    console.print(f"The schema stands at {revision}.")


@cli.command()
def bootstrap(
    company: Annotated[str, typer.Option(prompt=True, help="The company's name.")],
    slug: Annotated[str, typer.Option(prompt=True, help="Short name for its /join link.")],
    address: Annotated[str, typer.Option(prompt=True)],
    representative: Annotated[str, typer.Option(prompt=True)],
    contact: Annotated[str, typer.Option(prompt=True, help="Recruiting desk in signatures.")],
    harassment_contact: Annotated[str, typer.Option(prompt=True)],
    privacy_officer: Annotated[str, typer.Option(prompt=True)],
    privacy_contact: Annotated[str, typer.Option(prompt=True)],
    admin_email: Annotated[str, typer.Option(prompt=True, help="Who signs in first.")],
    admin_name: Annotated[str, typer.Option(prompt=True)],
) -> None:
    """The first company, its API client and its administrator. Secrets are shown once."""
    facts = {
        "name": company, "slug": slug, "address": address, "representative": representative,
        "contact": contact, "harassment_contact": harassment_contact,
        "privacy_officer": privacy_officer, "privacy_contact": privacy_contact,
    }  # fmt: skip
    _run(_bootstrap(_runtime(), facts, admin_email, admin_name))


async def _bootstrap(runtime: Runtime, facts: dict[str, str], email: str, name: str) -> None:
    now, sealer = runtime.clock(), runtime.tools.sealer
    async with runtime.database.transaction() as db:
        company = await open_account.open_company(db, now=now, **facts)
        client, secret = await open_account.register_client(
            db, name="first client", now=now, company_id=company.id
        )
        member = await open_account.register_member(
            db, sealer, email=email, name=name, roles=["admin", "head", "recruiter"], now=now,
            company_id=company.id,
        )  # fmt: skip
        token = await open_account.claim_link(db, member, now=now)
    await runtime.database.close()
    _show_once({
        "company": company.id,
        "client_id": client.id,
        "client_secret": secret,
        "sign in (once, one hour)": f"{runtime.settings.base_url}/login/claim#{token}",
    })  # fmt: skip


@cli.command()
def agency(
    company_id: Annotated[str, typer.Option(prompt=True, help="The company it works with.")],
    agency_name: Annotated[str, typer.Option("--name", prompt=True)],
    address: Annotated[str, typer.Option(prompt=True)],
    representative: Annotated[str, typer.Option(prompt=True)],
    license_number: Annotated[str, typer.Option(prompt=True, help="e.g. 13-ユ-300001")],
    license_valid_until: Annotated[str, typer.Option(prompt=True, help="yyyy-mm-dd")],
    privacy_url: Annotated[str, typer.Option(prompt=True)],
    agreement_number: Annotated[str, typer.Option(prompt=True)],
    effective_on: Annotated[str, typer.Option(prompt=True, help="yyyy-mm-dd")],
    guarantee_months: Annotated[int, typer.Option(prompt=True)] = 6,
) -> None:
    """A partner agency, its agreement with a company and its API client. Secrets are shown once."""
    facts = {
        "name": agency_name, "address": address, "representative": representative,
        "license_number": license_number, "privacy_url": privacy_url,
        "license_valid_until": date.fromisoformat(license_valid_until),
    }  # fmt: skip
    terms = {"guarantee": {"months": guarantee_months}}
    agreement = (company_id, agreement_number, date.fromisoformat(effective_on), terms)
    _run(_agency(_runtime(), facts, agreement))


async def _agency(
    runtime: Runtime, facts: dict[str, Any], agreement: tuple[str, str, date, dict[str, Any]]
) -> None:
    now = runtime.clock()
    company_id, number, effective_on, terms = agreement
    async with runtime.database.transaction() as db:
        made = await open_account.open_agency(db, now=now, **facts)
        await open_account.agree(
            db, company_id, made.id, number=number, effective_on=effective_on, now=now, terms=terms
        )
        client, secret = await open_account.register_client(
            db, name="first client", now=now, agency_id=made.id
        )
    await runtime.database.close()
    _show_once({"agency": made.id, "client_id": client.id, "client_secret": secret})


@cli.command()
def member(
    owner: Annotated[str, typer.Option(prompt=True, help="The company or agency: cmp_… or agy_…")],
    email: Annotated[str, typer.Option(prompt=True)],
    name: Annotated[str, typer.Option(prompt=True)],
    role: Annotated[list[str], typer.Option(help=f"Once for each: {', '.join(ROLES)}.")],
) -> None:
    """Somebody who may sign in. The same address again: these are the roles from now on."""
    _run(_member(_runtime(), owner, email, name, role))


async def _member(runtime: Runtime, owner: str, email: str, name: str, roles: list[str]) -> None:
    now, sealer = runtime.clock(), runtime.tools.sealer
    try:
        async with runtime.database.transaction() as db:
            made = await open_account.let_in(
                db, sealer, owner, email=email, name=name, roles=roles, now=now
            )
            token = await open_account.claim_link(db, made, now=now)
    except (Conflict, Invalid, NotFound) as refusal:
        console.print(f"Not done: {refusal}", soft_wrap=True)
        raise typer.Exit(1) from None
    finally:
        await runtime.database.close()
    _show_once({"sign in (once, one hour)": f"{runtime.settings.base_url}/login/claim#{token}"})


@cli.command("claim-link")
def claim_link(email: Annotated[str, typer.Option(prompt=True)]) -> None:
    """A fresh single-use sign-in link for somebody who has an account."""
    _run(_claim_link(_runtime(), email))


async def _claim_link(runtime: Runtime, email: str) -> None:
    async with runtime.database.transaction() as db:
        member = await open_account.member_by_email(db, runtime.tools.sealer, email)
        if member is None:
            console.print("Nobody has an account with this address.")
            raise typer.Exit(1)
        token = await open_account.claim_link(db, member, now=runtime.clock())
    await runtime.database.close()
    _show_once({"sign in (once, one hour)": f"{runtime.settings.base_url}/login/claim#{token}"})


@cli.command()
def openapi(
    path: Annotated[Path, typer.Argument()] = Path("openapi/openapi.json"),
) -> None:
    """Write the API's description."""
    from api.openapi import dump  # noqa: PLC0415 - builds the whole app

    dump(path)
    console.print(f"{path} is written.")


@cli.command("import")
def import_(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV or XLSX.")],
    company: Annotated[str, typer.Option(help="The company's short name.")],
    dry_run: Annotated[bool, typer.Option(help="Only show what it would do.")] = False,
    yes: Annotated[bool, typer.Option(help="Do not ask; rows with problems are left out.")] = False,
    answer: Annotated[
        list[str] | None, typer.Option(help="e.g. leading_zero=restore; may be repeated.")
    ] = None,
) -> None:
    """Applications out of a file: shows first what it will do, then does it here."""
    answers = dict(one.partition("=")[::2] for one in answer or [])
    wish = Wish(path, company, dry_run, yes, answers)
    raise typer.Exit(_run(run_import(_runtime(), console, wish)))


class _Which(StrEnum):
    """Which deliveries are read again."""

    FAILED = "failed"
    IGNORED = "ignored"
    PROCESSED = "processed"
    ALL = "all"


@cli.command()
def replay(
    what: Annotated[
        str, typer.Argument(help="A delivery (dlv_…), or a connection (ats_…): all of its.")
    ],
    status: Annotated[_Which, typer.Option(help="Which of a connection's.")] = _Which.FAILED,
    since: Annotated[datetime | None, MOMENT] = None,
    until: Annotated[datetime | None, MOMENT] = None,
) -> None:
    """Read kept deliveries again, e.g. after a mapping was corrected. Effects happen once.

    Of a connection, those received from `since` on and before `until`.
    """
    try:
        done = _run(_replay(_runtime(), what, status, (since, until)))
    except (NotFound, Conflict) as why:
        console.print(f"[red]{what}: {why.code}[/]")
        raise typer.Exit(1) from None
    console.print(f"Read again: {done}")


async def _replay(
    runtime: Runtime,
    what: str,
    which: _Which,
    span: tuple[datetime | None, datetime | None],
) -> int:
    status = None if which is _Which.ALL else which.value
    try:
        if is_id(what, "dlv"):
            async with runtime.database.transaction() as db:
                await replay_one(db, what, runtime.clock())
            return 1
        done, page = 0, [""]
        while page:
            async with runtime.database.transaction() as db:
                page = await replay_range(
                    db, what, status=status, span=span, after=page[-1], now=runtime.clock()
                )
            done += len(page)
        return done
    finally:
        await runtime.database.close()


@audit.command("verify")
def verify_audit() -> None:
    """Recompute every person's chain of consent events. Exit code 1 when one does not fit."""
    found = _run(_verify_consents(_runtime()))
    for broken in found.broken:
        console.print(f"[red]broken: {broken}[/]")
    console.print(f"{found.people} people, {found.events} events verified.")
    if found.broken:
        raise typer.Exit(1)


async def _verify_consents(runtime: Runtime) -> Evidence:
    whole = Evidence()
    async with runtime.database.transaction() as db:
        companies, _ = await rotate.tenants(db)
    for company_id in companies:
        async with runtime.database.transaction(company_id=company_id) as db:
            found = await verify_consents(db, company_id)
        whole.people, whole.events = whole.people + found.people, whole.events + found.events
        whole.broken += found.broken
    await runtime.database.close()
    return whole


@keys.command("new")
def new_keys() -> None:
    """Fresh secrets for the environment: a ring key, a pepper, a signing key. Nothing is stored."""
    console.print(f"RELAY_KEYS={place.new_ring_key()}", soft_wrap=True)
    console.print(f"RELAY_PEPPER={random.token_urlsafe(32)}", soft_wrap=True)
    console.print(f'RELAY_SIGNING_KEY="{place.new_signing_key()}"', soft_wrap=True)
    console.print(f'RELAY_LEDGER_KEY="{new_key()}"', soft_wrap=True)


@keys.command("rotate")
def rotate_keys() -> None:
    """Re-wrap everything under the newest ring key; then older keys may leave `RELAY_KEYS`."""
    console.print(f"{_run(_rotate(_runtime()))} values re-wrapped.")


async def _rotate(runtime: Runtime) -> int:
    async with runtime.database.transaction() as db:
        companies, agencies = await rotate.tenants(db)
    done = 0
    for where in rotate.PLACES:
        whose: dict[str, list[dict[str, str]]] = {
            "company": [{"company_id": one} for one in companies],
            "agency": [{"agency_id": one} for one in agencies],
            "nobody": [{}],
        }
        whose["either"] = whose["company"] + whose["agency"]
        for tenant in whose[where.tenant]:
            done += await _rotate_place(runtime, where, tenant)
    await runtime.database.close()
    return done


async def _rotate_place(runtime: Runtime, where: rotate.Place, tenant: dict[str, str]) -> int:
    done = 0
    while True:
        async with runtime.database.transaction(**tenant) as db:
            found = await rotate.rewrap(db, runtime.tools.sealer, where)
        if not found:
            return done
        done += found


@bench.command("ingest")
def bench_ingest(
    seconds: Annotated[
        float, typer.Option(help="Of each throughput; a constant rate goes on five times as long.")
    ] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="In turn; the median is told.")] = 3,
    only: Annotated[str, typer.Option(help="Vendors, parted by commas; none: all.")] = "",
    part: Annotated[
        str, typer.Option(help="throughput, latency, burst or stored; none: all four.")
    ] = "",
    stored: Annotated[int, typer.Option(min=1, help="Deliveries in the large database.")] = (
        1_000_000
    ),
) -> None:
    """The door under load: ratios to a bare route, by vendor, at a rate, at once, when full."""
    from bench import ingest  # noqa: PLC0415 - measurements are no part of the product

    plan = ingest.Plan(seconds=seconds, rounds=rounds, many=stored)
    chosen = _chosen(only, plan.only, "--only"), _chosen(part, plan.parts, "--part")
    ingest.measure(replace(plan, only=chosen[0], parts=chosen[1]), console)


@bench.command("ledger")
def bench_ledger(
    seconds: Annotated[int, typer.Option(min=1, help="Of each measurement.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="In turn; the median is told.")] = 3,
    part: Annotated[
        str, typer.Option(help="posting, full, balance or verification; none: all.")
    ] = "",
    entries: Annotated[int, typer.Option(min=1_000, help="In the full tables.")] = 10_000_000,
) -> None:
    """Postings a second: ratios to pgbench's own bank; with full tables; reading a balance."""
    from bench import ledger as postings  # noqa: PLC0415 - measurements are no part of the product

    plan = postings.Plan(seconds=seconds, rounds=rounds, entries=entries)
    postings.measure(replace(plan, parts=_chosen(part, plan.parts, "--part")), console)


@bench.command("erasure")
def bench_erasure(
    people: Annotated[int, typer.Option(min=1, help="Erased in each round.")] = 40,
    others: Annotated[int, typer.Option(min=1, help="People in the full database.")] = 200_000,
) -> None:
    """Erasing one person: in an empty database, and among many."""
    from bench import erasure  # noqa: PLC0415 - measurements are no part of the product

    erasure.measure(erasure.Plan(people=people, others=others), console)


@bench.command("form")
def bench_form(
    pages: Annotated[int, typer.Option(min=1, help="Asked for of each kind.")] = 300,
    agencies: Annotated[int, typer.Option(min=1, help="On the form.")] = 8,
) -> None:
    """The candidate's form beside an empty template, and the bytes of a first visit."""
    from bench import form  # noqa: PLC0415 - measurements are no part of the product

    form.measure(form.Plan(pages=pages, agencies=agencies), console)


def _chosen(told: str, known: Sequence[str], option: str) -> Sequence[str]:
    names = [one.strip() for one in told.split(",") if one.strip()]
    unknown = set(names) - set(known)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; known: {', '.join(known)}",
                                 param_hint=option)  # fmt: skip
    return names or known


@jobs.command("list")
def list_jobs() -> None:
    """Jobs that failed and are held."""
    held = _run(_on_queue(lambda q: q.list_failed_jobs(limit=1000)))
    table = Table("id", "job", "since", "attempts")
    for job in held:
        table.add_row(str(job.id), job.entrypoint, job.created.isoformat(), str(job.attempts))
    console.print(table if held else "No job is held.")


@jobs.command("requeue")
def requeue_jobs(
    ids: Annotated[list[int] | None, typer.Argument(help="Which; none: all that are held.")] = None,
) -> None:
    """Let held jobs run again."""

    async def again(q: Any) -> int:
        chosen = ids or [job.id for job in await q.list_failed_jobs(limit=100_000)]
        await q.requeue_jobs(chosen)
        return len(chosen)

    console.print(f"{_run(_on_queue(again))} jobs run again.")


async def _on_queue(work: Any) -> Any:
    runtime = _runtime()
    try:
        async with runtime.database.engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            return await work(queue.queries_on(raw))
    finally:
        await runtime.database.close()


def _show_once(facts: dict[str, str]) -> None:
    for what, value in facts.items():
        console.print(f"[bold]{what}[/]: {value}", soft_wrap=True)
    console.print("[dim]Secrets are not stored and will not be shown again.[/]")


def main() -> None:
    """`python -m api.cli`."""
    sys.exit(cli())


if __name__ == "__main__":
    main()
