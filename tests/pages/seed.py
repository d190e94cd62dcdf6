"""A company in the middle of its work, made through the real flows, for looking at its pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlmodel import col, select

from api.runtime import Runtime
from domain import vault
from domain.application import Application
from domain.business_days import local_day
from domain.caller import Member
from domain.candidate import Candidate
from domain.credits import Bucket, Credit
from domain.duty import Attestation
from domain.flows.earn import adjust_credits, agree_terms, dispute_credit
from domain.flows.earn.adjust_credits import Wish
from domain.flows.earn.dispute_credit import Matter
from domain.flows.earn.use_credit import Opening, reserve, use
from domain.flows.office import open_account
from domain.flows.office.sign_in import enter_by_claim
from domain.ids import new_id
from domain.store import add_once
from tests.applications import an_application, an_interview, reject
from tests.factories import World, work
from tests.flows.ledger_story import earn, leave
from tests.relays import forwarded
from tests.statements import close_due

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
    ledger: "Ledger"


@dataclass
class Ledger:
    """Ids of what the ledger's pages show: one of everything that waits for somebody."""

    asked_back: str
    """The reservation."""
    asked_back_credit: str
    frozen: str
    available: str
    dispute: str
    adjustments: dict[str, str]
    """By what it waits for: `approval` of the company, its `assent`, `own` to be approved."""
    proposal: str
    agreement: str
    placement: str
    relay: str


def walked(router: Any) -> Iterator[Any]:
    """The routes of a router and of those inside it."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        yield from [route] if inner is None else walked(inner)


async def seed(runtime: Runtime, world: World) -> Seeded:
    """Months of interviews, people waiting today, credits of every kind."""
    number = 0
    for month in range(4):
        if month == 3:
            relay = await forwarded(runtime, world)
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
    runtime.clock.offset += timedelta(days=2)
    earned = [await earn(runtime, world, date(2025, month, 1)) for month in (8, 9)]
    placement = await earn(runtime, world, date(2026, 7, 1))
    await earn(runtime, world, date(2026, 7, 1), agency=1)
    await work(runtime)
    await close_due(runtime, world, runtime.clock())
    async with runtime.database.transaction(company_id=world.company.id) as db:
        nameless = await db.scalars(select(Candidate).where(col(Candidate.profile).is_(None)))
        for candidate, name in zip(nameless.all(), PEOPLE, strict=False):
            await vault.make_keys(db, runtime.tools.sealer, candidate)
            await vault.set_profile(db, runtime.tools.sealer, candidate, {"display_name": name})
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
    company = await enter(runtime, "hr", company_id=world.company.id, roles=["recruiter", "head"])
    agency = await enter(runtime, "agency", agency_id=world.agency.id, roles=["consultant"])
    ledger = await _ledger(runtime, world, earned)
    ledger.placement, ledger.relay = placement, relay.id
    return Seeded(waiting[0], held, waiting[1], company, agency, ledger)


async def _ledger(runtime: Runtime, world: World, earned: list[str]) -> Ledger:
    """A credit in each state, and something in each list that waits for an answer."""
    company, agency, tools, now = (
        world.company.id, world.agency.id, runtime.tools, runtime.clock(),
    )  # fmt: skip
    pair: Any = {"session": None, "tools": tools, "company_id": company, "agency_id": agency}
    opening = Opening("経理(課長候補)")
    async with runtime.database.transaction(company_id=company) as db:
        pair["session"] = db
        me = (await db.scalars(select(Member.id).where(col(Member.company_id) == company))).one()
        gift = await adjust_credits.request_adjustment(
            **pair, wish=Wish("issue", "goodwill", "不足分です。", 2), party="agency",
            actor="crc_first", now=now,
        )  # fmt: skip
        await adjust_credits.approve(
            db, tools, company, gift.id, party="agency", actor="crc_second", now=now
        )
        there = await db.scalars(select(Credit).where(col(Credit.agency_id) == agency))
        of = {one.placement_id: one for one in there}
        frozen = of[earned[1]]
        matter = Matter("credit", "terms", "この枠の期限は契約と違います。", credit_ids=[frozen.id])
        dispute = await dispute_credit.open_dispute(
            **pair, matter=matter, party="company", actor=me, now=now
        )
        await dispute_credit.say(
            db, tools, company, dispute.id, "契約第1版のとおりに計算しています。",
            party="agency", actor="seed", now=now,
        )  # fmt: skip
        held = [
            await reserve(db, company, agency_id=agency, opening=opening, actor=me, now=now)
            for _ in range(2)
        ]
        await use(db, company, held[1].id, hired_on=local_day(now), actor=me, now=now)
        free = await db.scalars(select(Credit.id).where(
            col(Credit.agency_id) == agency, col(Credit.bucket) == Bucket.AVAILABLE,
        ))  # fmt: skip
        available = free.one()
        wishes = {
            "approval": (
                "company", "crc_other",
                Wish("issue", "agreed_outside", "移行分です。", 2),
            ),
            "own": ("company", me, Wish("issue", "goodwill", "不足分の補填をお願いします。", 1)),
            "assent": (
                "agency", "crc_first",
                Wish("take", "correction", "二重に付与されていました。",
                     credit_ids=[available]),
            ),
        }  # fmt: skip
        asked = {
            name: await adjust_credits.request_adjustment(
                **pair, wish=wish, party=party, actor=actor, now=now
            )
            for name, (party, actor, wish) in wishes.items()
        }
        await adjust_credits.approve(
            db, tools, company, asked["assent"].id, party="agency", actor="crc_second", now=now
        )
        await add_once(db, Attestation(
            company_id=company, id=new_id("att"), agency_id=agency, month=date(2026, 9, 1),
            due_on=local_day(now) + timedelta(days=5), created_at=now,
        ))  # fmt: skip
        proposal = await agree_terms.propose_terms(
            db, tools, company, world.agreements[0].id,
            {"validity_months": 18, "accrual_rule": "mixed",
             "per_n_relays": {"n": 20, "counted_event": "met"}},
            effective_on=local_day(now) + timedelta(days=30), party="agency", actor="seed", now=now,
        )  # fmt: skip
    await leave(runtime, world, earned[0], date(2025, 12, 10), runtime.clock())
    return Ledger(
        held[0].id, held[0].credit_id, frozen.id, available, dispute.id,
        {name: one.id for name, one in asked.items()}, proposal.id, world.agreements[0].id, "", "",
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
