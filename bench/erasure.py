"""What erasing one person costs, in an empty database and in a full one.

The same people, with an application, a notice, mails, deliveries and links each, are erased one
after the other: first where there is nobody else, then among many. The cost of an erasure is the
person's own rows; what others have must not matter. Told is the median, and the ratio of the two
with that of one bare transaction beside it: a ratio near one is the claim.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from api.runtime import Runtime
from bench.stage import Stage, stage
from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.delivery import Delivery
from domain.flows.person.erase_candidate import erase
from domain.ids import new_id
from domain.invitation import CandidateLink
from domain.notice import Mail, Notice

_OF_EACH = 2
"""Mails, deliveries and links of a person."""
_COPIED: dict[str, dict[str, str]] = {
    "candidate": {"id": "'cnd_c' || n"},
    "subject_key": {"candidate_id": "'cnd_c' || n"},
    "application": {"id": "'app_c' || n", "candidate_id": "'cnd_c' || n",
                    "external_id": "'C' || n"},
    "notice": {"id": "'ntc_c' || n", "candidate_id": "'cnd_c' || n",
               "application_id": "'app_c' || n"},
    "mail": {"id": "'mai_c' || n || one.id", "candidate_id": "'cnd_c' || n",
             "about": "'c' || n || one.about"},
    "delivery": {"id": "'dlv_c' || n || one.id", "candidate_id": "'cnd_c' || n",
                 "key": "sha256(convert_to(n || one.id, 'UTF8'))"},
    "candidate_link": {"id": "'lnk_c' || n || one.id", "candidate_id": "'cnd_c' || n",
                       "token_hash": "sha256(convert_to(n || one.id, 'UTF8'))"},
}  # fmt: skip
"""Table → what differs from one copy of a person to the next."""


@dataclass(frozen=True)
class Plan:
    """How many are erased in each round, and among how many."""

    people: int = 40
    others: int = 200_000
    warm_up: int = 5


@dataclass(frozen=True)
class Found:
    """Medians in milliseconds: of an erasure and of a bare transaction, empty and full."""

    empty: float
    full: float
    bare_empty: float
    bare_full: float
    rows: int


def measure(plan: Plan, console: Console) -> Found:
    """Run it, and tell it."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder, stage(Path(folder)) as there:
        found = uvloop.run(_measure(plan, there))
    table = Table("database", "an erasure, ms", "a bare transaction, ms", title="Erasure")
    table.add_row("empty", f"{found.empty:.1f}", f"{found.bare_empty:.2f}")
    table.add_row(f"{found.rows:,} rows of others", f"{found.full:.1f}", f"{found.bare_full:.2f}")
    table.add_row(
        "full to empty", f"{found.full / found.empty:.2f}",
        f"{found.bare_full / found.bare_empty:.2f}",
    )  # fmt: skip
    console.print(table)
    return found


async def _measure(plan: Plan, there: Stage) -> Found:
    runtime = Runtime.build(there.settings)
    try:
        await _round(runtime, there, plan.warm_up)
        empty, bare_empty = await _round(runtime, there, plan.people)
        rows = await _fill(runtime, there, plan.others)
        await _round(runtime, there, plan.warm_up)
        full, bare_full = await _round(runtime, there, plan.people)
    finally:
        await runtime.database.close()
    return Found(empty, full, bare_empty, bare_full, rows)


async def _round(runtime: Runtime, there: Stage, people: int) -> tuple[float, float]:
    """Erase so many people one by one, each beside a bare transaction."""
    now, took, bare = runtime.clock(), list[float](), list[float]()
    ids = [await _person(runtime, there.company_id, now) for _ in range(people)]
    for number in ids:
        begun = time.perf_counter()
        async with runtime.database.transaction(company_id=there.company_id) as session:
            await session.execute(text("SELECT 1"))
        between = time.perf_counter()
        async with runtime.database.transaction(company_id=there.company_id) as session:
            candidate = await session.get_one(Candidate, (there.company_id, number))
            await erase(session, runtime.tools, candidate, rule="ats", actor="bench", now=now)
        bare.append(between - begun)
        took.append(time.perf_counter() - between)
    await there.run("TRUNCATE pgq.pgqueuer")
    return 1000 * statistics.median(took), 1000 * statistics.median(bare)


async def _person(runtime: Runtime, company_id: str, now: datetime) -> str:
    """Somebody whose application has ended and whom a mail has told it."""
    sealer = runtime.tools.sealer
    async with runtime.database.transaction(company_id=company_id) as session:
        candidate = Candidate(company_id=company_id, id=new_id("cnd"), created_at=now)
        session.add(candidate)
        await session.flush()
        await vault.make_keys(session, sealer, candidate)
        profile = {"display_name": "bench", "email": f"{candidate.id}@mail.example"}
        await vault.set_profile(session, sealer, candidate, profile)
        application = Application(
            company_id=company_id, id=new_id("app"), external_id=candidate.id,
            candidate_id=candidate.id, outcome="rejected", outcome_at=now, created_at=now,
        )  # fmt: skip
        session.add(application)
        await session.flush()
        session.add_all(_belongings(company_id, candidate.id, application.id, now))
    return candidate.id


def _belongings(
    company_id: str, candidate_id: str, application_id: str, now: datetime
) -> Sequence[Any]:
    made: list[Any] = [
        Notice(
            company_id=company_id, id=new_id("ntc"), application_id=application_id,
            candidate_id=candidate_id, kind="rejected", state="sent", sent_at=now, created_at=now,
        )
    ]  # fmt: skip
    for _ in range(_OF_EACH):
        number = new_id("mai")
        made += [
            Mail(tenant_id=company_id, id=number, candidate_id=candidate_id, about=number,
                 template="bench", sealed=b"x" * 2000, state="sent", created_at=now),
            Delivery(company_id=company_id, id=new_id("dlv"), connection_id="ats_bench",
                     provider="bench", key=number.encode(), candidate_id=candidate_id,
                     body=b"x" * 2000, status="processed", received_at=now),
            CandidateLink(company_id=company_id, id=new_id("lnk"), token_hash=number.encode(),
                          candidate_id=candidate_id, purpose="my_page", created_at=now),
        ]  # fmt: skip
    return made


async def _fill(runtime: Runtime, there: Stage, others: int) -> int:
    """Copy one person so many times; the number of rows that were made."""
    pattern, rows = await _person(runtime, there.company_id, runtime.clock()), 0
    for table, changed in _COPIED.items():
        whose = "id" if table == "candidate" else "candidate_id"
        new = ", ".join(f"'{column}', {value}" for column, value in changed.items())
        copied = await there.run(
            f"WITH made AS (INSERT INTO {table} SELECT (jsonb_populate_record(one,"
            f" jsonb_build_object({new}))).* FROM {table} one, generate_series(1, {others}) AS n"
            f" WHERE one.{whose} = '{pattern}' RETURNING 1) SELECT count(*) FROM made"
        )
        rows += copied[0][0]
    await there.run("VACUUM ANALYZE")
    return int(rows)
