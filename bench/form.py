"""What the form costs a server: its median beside the page of an empty template.

Both are asked for in turn, over ASGI and without a network: the empty template is the same frame
with the same words round it, and nothing looked up. Told are both medians, their ratio (the aim is
four), and the bytes of a first visit with everything it loads.
"""

import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import httpx2
import uvloop
from fastapi import Request
from fastapi.responses import Response
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncSession

from api.app import create_app
from api.pages import page
from api.runtime import Runtime
from bench.stage import Stage, stage
from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.flows.office import open_account
from domain.flows.ways_in.invite import invite
from domain.ids import new_id

_EMPTY = "/bench/empty"
_PACKED = {"accept-encoding": "gzip"}


@dataclass(frozen=True)
class Plan:
    """How often each page is asked for, and how many agencies are on the form."""

    pages: int = 300
    agencies: int = 8
    warm_up: int = 20


@dataclass(frozen=True)
class Found:
    """Medians in milliseconds, and the bytes of a first visit, packed."""

    form: float
    empty: float
    transferred: int


def measure(plan: Plan, console: Console) -> Found:
    """Run it, and tell it."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder, stage(Path(folder)) as there:
        found = uvloop.run(_measure(plan, there))
    table = Table("page", "p50, ms", title=f"The form, {plan.agencies} agencies")
    table.add_row("form", f"{found.form:.2f}")
    table.add_row("empty template", f"{found.empty:.2f}")
    table.add_row("form to empty", f"{found.form / found.empty:.1f}")
    table.add_row("bytes of a first visit", f"{found.transferred:,}")
    console.print(table)
    return found


async def _measure(plan: Plan, there: Stage) -> Found:
    runtime = Runtime.build(there.settings)
    app = create_app(runtime)

    @app.get(_EMPTY)
    async def empty(request: Request) -> Response:
        return page(request, "candidate/stale.html", token="")

    try:
        path = await _invited(runtime, there.company_id, plan.agencies)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://bench.test"
        ) as http:
            took = await _in_turn(http, (path, _EMPTY), plan)
            bytes_ = await _first_visit(http, path)
    finally:
        await runtime.database.close()
    return Found(took[path], took[_EMPTY], bytes_)


async def _in_turn(
    http: httpx2.AsyncClient, paths: tuple[str, ...], plan: Plan
) -> dict[str, float]:
    """The median of each path, in milliseconds; one after the other, so that both share the day."""
    took: dict[str, list[float]] = {path: [] for path in paths}
    for number in range(plan.warm_up + plan.pages):
        for path in paths:
            begun = time.perf_counter()
            answer = await http.get(path, headers={"accept-encoding": "identity"})
            seconds = time.perf_counter() - begun
            answer.raise_for_status()
            if number >= plan.warm_up:
                took[path].append(1000 * seconds)
    return {path: statistics.median(found) for path, found in took.items()}


async def _first_visit(http: httpx2.AsyncClient, path: str) -> int:
    """The bytes of the page and of everything it loads, as they go over the wire."""
    words = (await http.get(path)).text
    loaded = [path, *dict.fromkeys(re.findall(r'(?:href|src)="(/static/[^"]+)"', words))]
    sizes = []
    for one in loaded:
        async with http.stream("GET", one, headers=_PACKED) as answer:
            sizes.append(sum([len(part) async for part in answer.aiter_raw()]))
    return sum(sizes)


async def _invited(runtime: Runtime, company_id: str, agencies: int) -> str:
    """A rejected person with a link; the path of their form."""
    now = runtime.clock()
    async with runtime.database.transaction(company_id=company_id) as db:
        for number in range(agencies):
            await _agency(db, company_id, number, now)
    async with runtime.database.transaction(company_id=company_id) as db:
        candidate = Candidate(company_id=company_id, id=new_id("cnd"), created_at=now)
        db.add(candidate)
        await db.flush()
        await vault.make_keys(db, runtime.tools.sealer, candidate)
        facts = {"display_name": "試験 花子", "email": "hanako@mail.example", "skills": "営業"}
        await vault.set_profile(db, runtime.tools.sealer, candidate, facts)
        application = Application(
            company_id=company_id, id=new_id("app"), external_id=new_id("A"),
            candidate_id=candidate.id, job_title="法人営業", stage="二次面接", outcome="rejected",
            source="company_site", outcome_at=now, created_at=now,
        )  # fmt: skip
        db.add(application)
        await db.flush()
        company = await db.get_one(Company, company_id)
        url = await invite(db, runtime.tools, company, application, now)
    return "/c/" + url.rpartition("/")[2]


async def _agency(db: AsyncSession, company_id: str, number: int, now: datetime) -> None:
    agency = await open_account.open_agency(
        db, now=now, name=f"見本キャリア{number}株式会社", address="東京都港区芝1-2-3",
        representative="代表取締役 見本 二郎", license_number=f"13-ユ-{number:06}",
        license_valid_until=date(2040, 3, 31), privacy_url="https://agency.example/privacy",
    )  # fmt: skip
    await open_account.agree(
        db, company_id, agency.id, number=f"bench-{number}", effective_on=date(2020, 1, 1), now=now
    )
