"""A company in the middle of its work, made through the real flows, for looking at its pages."""

from dataclasses import dataclass
from datetime import date, timedelta

from sqlmodel import col, select

from api.runtime import Runtime
from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.flows import open_account
from domain.flows.sign_in import enter_by_claim
from domain.flows.use_credit import reserve
from tests.applications import an_application, an_interview, reject
from tests.factories import World, work
from tests.flows.ledger_story import earn

PEOPLE = (
    "試験 花子", "見本 太郎", "長谷川・ド・サンミゲル アレクサンドリア・マリア・フェルナンダ",
    "例 次郎", "仮名 結衣",
)  # fmt: skip
JOBS = (
    "法人営業",
    "組込みエンジニア",
    "経理(課長候補)",
    "海外事業開発・アライアンス推進マネージャー",
)


@dataclass
class Seeded:
    """What a test needs to know."""

    open: Application
    held: Application
    undecided: Application
    company_cookie: str
    agency_cookie: str


async def seed(runtime: Runtime, world: World) -> Seeded:
    """Months of interviews, people waiting today, credits of every kind."""
    number = 0
    for _ in range(4):
        for _ in range(2):
            application = await _applicant(runtime, world, number)
            await an_interview(runtime, application, stage="一次面接")
            late = number == 3
            runtime.clock.offset += timedelta(days=6 if late else 1)
            if not late:
                await reject(runtime, application)
            await work(runtime)
            runtime.clock.offset += timedelta(hours=5)
            await work(runtime)
            if late:
                await reject(runtime, application)
                runtime.clock.offset += timedelta(hours=30)
                await work(runtime)
            number += 1
        runtime.clock.offset += timedelta(days=26)
    await earn(runtime, world, date(2025, 8, 1))
    await earn(runtime, world, date(2025, 9, 1))
    await earn(runtime, world, date(2026, 7, 1), agency=1)
    await work(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        nameless = await db.scalars(select(Candidate).where(col(Candidate.profile).is_(None)))
        for candidate, name in zip(nameless.all(), PEOPLE, strict=False):
            await vault.make_keys(db, runtime.tools.sealer, candidate)
            await vault.set_profile(db, runtime.tools.sealer, candidate, {"display_name": name})
        await reserve(
            db, world.company.id, agency_id=world.agency.id, opening="経理(課長候補)", actor="seed",
            now=runtime.clock(),
        )  # fmt: skip
    now = runtime.clock()
    waiting = [await _applicant(runtime, world, n) for n in range(4)]
    held = await _applicant(runtime, world, 4)
    for days, application in zip((0, 1, 3, 8), waiting, strict=True):
        ended = now - timedelta(days=days, minutes=30)
        await an_interview(runtime, application, ended_at=ended, stage="最終面接")
    await work(runtime)
    await reject(runtime, waiting[0])
    await an_interview(runtime, held, ended_at=now - timedelta(days=1), stage="二次面接")
    await reject(runtime, held, holds=["reason_unclassified"])
    return Seeded(
        waiting[0], held, waiting[1],
        await enter(runtime, "hr", company_id=world.company.id, roles=["recruiter", "head"]),
        await enter(runtime, "agency", agency_id=world.agency.id, roles=["consultant"]),
    )  # fmt: skip


async def _applicant(runtime: Runtime, world: World, number: int) -> Application:
    name = PEOPLE[number % len(PEOPLE)]
    family, _, given = name.partition(" ")
    profile = {
        "display_name": name, "family_name": family, "given_name": given,
        "email": f"person{number}@mail.example",
    }  # fmt: skip
    return await an_application(
        runtime, world, profile=profile, job_title=JOBS[number % len(JOBS)], stage="一次面接"
    )


async def enter(
    runtime: Runtime, kind: str, *, roles: list[str], company_id: str | None = None,
    agency_id: str | None = None,
) -> str:  # fmt: skip
    """Somebody who signs in with a claim link; the cookie."""
    now = runtime.clock()
    async with runtime.database.transaction(company_id=company_id, agency_id=agency_id) as db:
        member = await open_account.register_member(
            db, runtime.tools.sealer, email=f"{kind}@people.example", name="人事 太郎",
            roles=roles, now=now, company_id=company_id, agency_id=agency_id,
        )  # fmt: skip
        token = await open_account.claim_link(db, member, now=now)
    async with runtime.database.transaction() as db:
        return await enter_by_claim(db, token, now=now)
