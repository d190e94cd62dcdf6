"""The pages of the ledger: who may act, what is refused with values kept, and what was done."""

import re
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import URL, text

from api.clock import Clock
from api.pages import catalogues, words
from api.routes import (
    ledger_pages,
    ledger_pages_agreements,
    ledger_pages_corrections,
    ledger_pages_disputes,
    ledger_pages_placements,
    ledger_pages_statements,
)
from api.runtime import Runtime
from api.term_words import SECTIONS, changes, sections
from domain import adjustment, dispute, placement
from domain.adjustment import Adjustment
from domain.agreement import Agreement, AgreementVersion, TermProposal
from domain.business_days import local_day
from domain.credits import Bucket, Credit, Kind, Reservation
from domain.dispute import Dispute
from domain.duty import Attestation
from domain.placement import Placement
from domain.relay import RelayEvent
from domain.statement import Statement
from domain.views.completeness import KINDS
from tests.applications import one, rows
from tests.conftest import START, own_database, settings_for
from tests.factories import World, make_world
from tests.flows.ledger_story import balance
from tests.pages.seed import Seeded, enter, seed, walked
from tests.relays import forwarded

pytestmark = pytest.mark.anyio
SUBJECTS = (
    ledger_pages, ledger_pages_agreements, ledger_pages_corrections, ledger_pages_disputes,
    ledger_pages_placements, ledger_pages_statements,
)  # fmt: skip


@pytest.fixture(scope="module")
async def runtime(server: URL, template: str, worker_id: str) -> AsyncIterator[Runtime]:
    """One office for all tests of this file: each works on things of its own."""
    url = await own_database(server, template, f"relay_ledger_pages_{worker_id}")
    made = Runtime.build(settings_for(url), Clock(START - Clock()()))
    yield made
    await made.database.close()


@pytest.fixture(scope="module")
async def world(runtime: Runtime) -> World:
    return await make_world(runtime)


@pytest.fixture(scope="module")
async def seeded(runtime: Runtime, world: World) -> Seeded:
    return await seed(runtime, world)


class Desk:
    """Somebody signed in, at the company or at the agency."""

    def __init__(self, client: httpx2.AsyncClient, cookie: str, home: str) -> None:
        self.client, self.home = client, home
        self.headers = {"cookie": f"relay_session={cookie}", "accept": "text/html"}

    async def get(self, path: str) -> Any:
        return await self.client.get(f"{self.home}{path}", headers=self.headers)

    async def post(self, path: str, **fields: Any) -> Any:
        page = await self.get("")
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token is not None
        return await self.client.post(
            f"{self.home}{path}", headers=self.headers, data={"csrf": token[1], **fields}
        )


@pytest.fixture
def hr(client: httpx2.AsyncClient, seeded: Seeded) -> Desk:
    return Desk(client, seeded.company_cookie, "/dashboard")


@pytest.fixture
def agency(client: httpx2.AsyncClient, seeded: Seeded) -> Desk:
    return Desk(client, seeded.agency_cookie, "/agency")


def doors() -> list[tuple[str, str]]:
    """Every page and form of the ledger: method and path, with ids that nobody has."""
    found = []
    for module in SUBJECTS:
        for route in walked(module.router):
            path: str = route.path
            for name, kind in (
                ("reservation", "rsv"), ("dispute", "dsp"), ("adjustment", "adj"),
                ("agreement", "agr"), ("proposal", "prp"), ("relay", "rly"), ("placement", "plc"),
            ):  # fmt: skip
                path = path.replace(f"{{{name}_id}}", f"{kind}_{'0' * 26}")
            answers = "approve" if "corrections" in path else "accept"
            path = path.replace("{month}", "2026-09").replace("{answer}", answers)
            found += [(method, path) for method in route.methods]
    return found


FORMS = sorted({path for method, path in doors() if method == "POST"})


def pages_of(seeded: Seeded, world: World, home: str) -> list[str]:
    """Every page there is something to see on."""
    ledger = seeded.ledger
    other = world.agency.id if home == "/dashboard" else world.company.id
    shared = [
        "/credits", "/credits?show=used", f"/credits?with={other}", "/disputes",
        f"/disputes/{ledger.dispute}", f"/disputes/{ledger.dispute}/concede",
        f"/disputes/new?credit={ledger.available}", "/corrections",
        *(f"/corrections/new?kind={kind}&with={other}" for kind in adjustment.KINDS),
        "/agreements", f"/agreements/{ledger.agreement}", f"/agreements/{ledger.agreement}/propose",
        f"/agreements/{ledger.agreement}/end", "/statements", f"/statements/2026-08?with={other}",
        f"/statements/2026-10?with={other}",
    ]  # fmt: skip
    if home == "/dashboard":
        return [*shared, f"/agencies/{other}"]
    return [
        *shared, "", "/placements", f"/placements/{ledger.placement}", f"/relays/{ledger.relay}",
        f"/disputes/new?placement={ledger.placement}", "/attestations", "/companies",
        f"/companies/{other}",
    ]  # fmt: skip


async def stock(runtime: Runtime, world: World) -> dict[str, int]:
    """How many rows there are of everything a form here could write."""
    tables = (
        "ledger_tx", "reservation", "dispute", "dispute_note", "adjustment", "term_proposal",
        "agreement_version", "placement", "placement_report", "relay_event",
    )  # fmt: skip
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return {
            table: (await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()  # noqa: S608
            for table in tables
        }


async def test_every_page_opens_on_both_sides_and_changes_nothing(
    runtime: Runtime, world: World, seeded: Seeded, hr: Desk, agency: Desk
) -> None:
    before = await stock(runtime, world)

    seen = {
        f"{desk.home}{path}": (await desk.get(path)).status_code
        for desk in (hr, agency)
        for path in pages_of(seeded, world, desk.home)
    }

    assert {path: status for path, status in seen.items() if status != 200} == {}
    assert len(seen) == 47
    assert await stock(runtime, world) == before


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_without_the_sessions_token_is_refused(
    path: str, runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    cookie = seeded.company_cookie if path.startswith("/dashboard") else seeded.agency_cookie
    before = await stock(runtime, world)

    answer = await client.post(
        f"{path}?with={world.agency.id if path.startswith('/dashboard') else world.company.id}",
        headers={"cookie": f"relay_session={cookie}", "accept": "text/html"}, data={"reason": "x"},
    )  # fmt: skip

    assert answer.status_code == 403
    assert await stock(runtime, world) == before


@pytest.mark.parametrize(("role", "allowed"), [
    ("privacy_officer", ()), ("recruiter", ("credits", "disputes", "statements")),
])  # fmt: skip
@pytest.mark.usefixtures("seeded")
async def test_each_form_of_hr_needs_its_role(
    role: str, allowed: tuple[str, ...], runtime: Runtime, world: World,
    client: httpx2.AsyncClient,
) -> None:  # fmt: skip
    cookie = await enter(runtime, role, company_id=world.company.id, roles=[role])
    desk = Desk(client, cookie, "/dashboard")

    answers = {}
    for path in FORMS:
        if path.startswith("/dashboard"):
            subject = path.split("/")[2]
            answer = await desk.post(f"{path.removeprefix('/dashboard')}?with={world.agency.id}")
            answers[path] = (subject in allowed, answer.status_code == 403)

    assert len(answers) == 14
    assert {path for path, (may, refused) in answers.items() if may == refused} == set()


async def test_nobody_is_offered_what_they_may_not_do(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    cookie = await enter(runtime, "looker", company_id=world.company.id, roles=["privacy_officer"])
    desk, ledger = Desk(client, cookie, "/dashboard"), seeded.ledger

    offered = [
        found
        for path in ("/credits", f"/disputes/{ledger.dispute}", "/corrections",
                     f"/agreements/{ledger.agreement}")
        for found in re.findall(r'action="(/dashboard[^"]*)"', (await desk.get(path)).text)
    ]  # fmt: skip

    assert offered == []
    assert (await desk.get("/corrections/new")).status_code == 403


async def test_the_other_agency_and_the_other_side_find_nothing(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    cookie = await enter(runtime, "rival", agency_id=world.agencies[1].id, roles=["consultant"])
    desk, ledger = Desk(client, cookie, "/agency"), seeded.ledger

    paths = (
        f"/disputes/{ledger.dispute}", f"/agreements/{ledger.agreement}",
        f"/placements/{ledger.placement}", f"/relays/{ledger.relay}",
        f"/disputes/new?credit={ledger.available}",
    )  # fmt: skip
    seen = [(await desk.get(path)).status_code for path in paths]
    refused = await desk.post(f"/corrections/{ledger.adjustments['assent']}/cancel")
    page = await desk.get("/credits")

    assert seen == [404] * 5
    assert refused.status_code == 404
    assert ledger.available not in page.text
    assert page.text.count('class="card credit"') == 1


# ---- credits ---------------------------------------------------------------------------------


async def test_a_credit_asked_back_is_told_with_its_day_and_what_follows(
    runtime: Runtime, world: World, seeded: Seeded, hr: Desk, agency: Desk
) -> None:
    held = await one(runtime, world.company.id, Reservation, id=seeded.ledger.asked_back)

    pages = [(await desk.get("/credits")).text for desk in (hr, agency)]

    assert held.release_by == date(2026, 10, 9)
    for page in pages:
        assert "2026年10月9日(金)までに予約を解いてください" in page
    assert "自動で予約が解かれ、枠は取り消されます" in pages[0]
    assert pages[0].count("/dashboard/applications/app_") == 4
    assert "/applications/" not in pages[1]


async def test_every_state_is_explained_and_lived_through_in_sentences(hr: Desk) -> None:
    page = (await hr.get("/credits")).text

    for said in (
        "保証期間が2026年12月31日(木)に終わると", "いま使えます。期限は2027年10月1日(金)です。",
        "「経理(課長候補)」のために2026年12月1日(火)まで予約されています。",
        "異議申立てのため保留しています。", "の採用(2026年10月2日(金))に使われました。",
        "求人のために予約されました。",
        "異議申立てのため、保留されました。期限の進行も止まります。",
        "契約 mirai-0 第1版",
    ):  # fmt: skip
        assert said in page, said


async def test_a_reservation_keeps_what_was_typed_until_it_can_be_read(
    runtime: Runtime, world: World, hr: Desk
) -> None:
    before = await stock(runtime, world)
    typed = {"agency_id": world.agency.id, "opening": "品質保証", "job_type": "製造",
             "employment_term": "fixed", "annual_salary": "五百万"}  # fmt: skip

    nowhere = await hr.post("/credits/reserve", **{**typed, "agency_id": "x"})
    unnamed = await hr.post("/credits/reserve", **{**typed, "opening": "", "annual_salary": ""})
    unread = await hr.post("/credits/reserve", **typed)

    assert [one_.status_code for one_ in (nowhere, unnamed, unread)] == [422, 422, 422]
    assert "年収は、円単位の数字で入力してください。" in unread.text
    for kept in ('value="品質保証"', 'value="製造"', 'value="五百万"', 'value="fixed" selected'):
        assert kept in unread.text
    assert await stock(runtime, world) == before


async def test_a_hire_made_with_a_credit_and_its_early_end(
    runtime: Runtime, world: World, hr: Desk
) -> None:
    today = local_day(runtime.clock()).isoformat()
    kept = await hr.post("/credits/reserve", agency_id=world.agency.id, opening="購買",
                         annual_salary="５,０00,000")  # fmt: skip
    held = await one(runtime, world.company.id, Reservation, opening="購買")
    path = f"/credits/reservations/{held.id}"
    undated = await hr.post(f"{path}/use", hired_on="", annual_salary="6000000")
    used = await hr.post(f"{path}/use", hired_on=today, annual_salary="")
    unsaid = await hr.post(f"{path}/early-leave", last_day_employed="")
    early = await hr.post(f"{path}/early-leave", last_day_employed="2020-01-01")
    back = await hr.post(f"{path}/early-leave", last_day_employed=today)

    assert kept.headers["location"] == "/dashboard/credits?done=reserved"
    assert held.annual_salary_jpy == 5_000_000
    assert (undated.status_code, unsaid.status_code, early.status_code) == (422, 422, 409)
    assert 'value="6000000"' in undated.text
    assert "最終在籍日が、入社日より前になっています。" in early.text
    assert 'value="2020-01-01"' in early.text
    assert used.headers["location"] == "/dashboard/credits?done=used"
    assert back.headers["location"] == "/dashboard/credits?done=restored"
    restored = await one(runtime, world.company.id, Reservation, id=held.id)
    assert restored.state == "restored"
    assert (await hr.get("/credits?done=restored")).text.count("枠が戻りました。") == 1


async def test_the_list_can_be_narrowed_to_one_agency_and_to_a_state(
    world: World, seeded: Seeded, hr: Desk
) -> None:
    theirs = (await hr.get(f"/credits?with={world.agencies[1].id}")).text
    used = (await hr.get("/credits?show=used")).text

    assert theirs.count('class="card credit"') == 1
    assert "あおぞらキャリア株式会社1 <span" in theirs
    assert seeded.ledger.available not in used
    assert "に使われました。" in used


async def test_a_message_is_never_taken_from_the_address(hr: Desk) -> None:
    page = await hr.get("/credits?done=anything")

    assert 'role="status"' not in page.text


# ---- disputes --------------------------------------------------------------------------------


async def test_a_dispute_from_its_form_to_its_end(runtime: Runtime, world: World, hr: Desk) -> None:
    company = world.company.id
    (credit,) = [
        row for row in await rows(runtime, company, Credit, agency_id=world.agencies[1].id)
        if row.bucket == Bucket.PENDING
    ]  # fmt: skip
    about = {"credit_id": credit.id, "placement_id": "", "relay_id": ""}

    unnamed = await hr.post("/disputes", **about, reason="terms", note="期限が違います。")
    unsaid = await hr.post("/disputes", **about, subject="credit", reason="terms", note="")
    opened = await hr.post("/disputes", **about, subject="credit", reason="terms",
                           note="期限が違います。")  # fmt: skip
    again = await hr.post("/disputes", **about, subject="credit", reason="terms", note="もう一度")
    made = await one(runtime, company, Dispute, agency_id=world.agencies[1].id)
    there = f"/disputes/{made.id}"

    assert (unnamed.status_code, unsaid.status_code, again.status_code) == (422, 422, 409)
    assert ">期限が違います。</textarea>" in unnamed.text
    assert 'value="terms" selected' in unsaid.text
    assert opened.headers["location"] == f"/dashboard{there}?done=dispute_opened"
    assert (made.subject, made.credit_ids) == ("credit", [credit.id])
    assert (await one(runtime, company, Credit, id=credit.id)).bucket == Bucket.FROZEN

    silent = await hr.post(f"{there}/notes", note="")
    said = await hr.post(f"{there}/notes", note="契約書の写しを\n確認しました。")
    too_early = await hr.post(f"{there}/appeal", note="早すぎる求め")
    asked = await hr.get(f"{there}/concede")
    ended = await hr.post(f"{there}/concede")
    after = await hr.get(there)
    late = await hr.post(f"{there}/notes", note="もう終わっています。")

    assert (silent.status_code, said.status_code, too_early.status_code) == (422, 303, 409)
    assert "この操作は取り消せません。" in asked.text
    assert ended.headers["location"] == f"/dashboard{there}?done=dispute_conceded"
    assert "契約書の写しを\n確認しました。" in after.text
    assert "相手方の主張が認められました。" in after.text
    assert "<textarea" not in after.text
    assert late.status_code == 409
    assert (await one(runtime, company, Credit, id=credit.id)).bucket == Bucket.REVERSED


async def test_both_sides_read_the_same_words_and_know_whose_they_are(
    seeded: Seeded, hr: Desk, agency: Desk
) -> None:
    ours, theirs = [
        (await desk.get(f"/disputes/{seeded.ledger.dispute}")).text for desk in (hr, agency)
    ]

    for page in (ours, theirs):
        assert "この枠の期限は契約と違います。" in page
        assert "契約第1版のとおりに計算しています。" in page
        assert "2026年10月19日(月)" in page
    assert "に自社から申し立てました" in ours
    assert "人事 太郎" in ours
    assert "に相手方から申し立てがありました" in theirs
    assert theirs.count("人事 太郎") == 1  # their own name in the head of the page


async def test_an_agency_disputes_a_placement_but_not_its_own_leave(
    seeded: Seeded, agency: Desk, hr: Desk
) -> None:
    page = (await agency.get(f"/disputes/new?placement={seeded.ledger.placement}")).text
    refused = await agency.post(
        "/disputes", credit_id="", relay_id="", placement_id=seeded.ledger.placement,
        subject="early_leave", reason="wrong_leave", note="退職していません。",
    )  # fmt: skip

    assert re.findall(r'name="subject" value="(\w+)"', page) == ["placement"]
    assert refused.status_code in {409, 422}
    assert (await hr.get("/disputes/new")).status_code == 404


# ---- corrections -----------------------------------------------------------------------------


async def test_who_asked_for_a_correction_is_told_to_find_somebody_else(
    runtime: Runtime, world: World, seeded: Seeded, hr: Desk
) -> None:
    own = seeded.ledger.adjustments["own"]
    page = (await hr.get("/corrections")).text

    refused = await hr.post(f"/corrections/{own}/approve")

    assert f"/corrections/{own}/approve" not in page
    assert "申請した本人は承認できません。" in page
    assert refused.status_code == 409
    assert "ほかの担当者に依頼してください。" in refused.text
    assert (await one(runtime, world.company.id, Adjustment, id=own)).state == "requested"


async def test_more_credits_wait_for_a_second_person_and_then_for_the_agency(
    runtime: Runtime, world: World, seeded: Seeded, hr: Desk, agency: Desk
) -> None:
    asked = seeded.ledger.adjustments["approval"]
    before = (await balance(runtime, world))["available"]

    early = await agency.post(f"/corrections/{asked}/agree")
    approved = await hr.post(f"/corrections/{asked}/approve")
    agreed = await agency.post(f"/corrections/{asked}/agree")

    assert early.status_code == 409
    assert approved.headers["location"] == "/dashboard/corrections?done=correction_approve"
    assert agreed.headers["location"] == "/agency/corrections?done=correction_posted"
    assert (await balance(runtime, world))["available"] == before + 2
    assert (await one(runtime, world.company.id, Adjustment, id=asked)).state == "posted"


async def test_the_other_side_declines_what_burdens_it(
    runtime: Runtime, world: World, seeded: Seeded, hr: Desk
) -> None:
    asked = seeded.ledger.adjustments["assent"]

    declined = await hr.post(f"/corrections/{asked}/decline")
    page = (await hr.get("/corrections")).text

    assert declined.headers["location"] == "/dashboard/corrections?done=correction_decline"
    assert (await one(runtime, world.company.id, Adjustment, id=asked)).state == "declined"
    assert "に断られました。" in page


async def test_a_request_for_a_correction_keeps_what_was_chosen(
    runtime: Runtime, world: World, seeded: Seeded, agency: Desk
) -> None:
    credit, company = seeded.ledger.available, world.company.id
    asked: dict[str, Any] = {
        "kind": "extend", "other": company, "credit_ids": [credit], "expires_on": "2030-01-31",
        "reason": "goodwill", "note": "延長します。", "count": "", "dispute_id": "",
    }  # fmt: skip
    before = await stock(runtime, world)
    for left_out, said in (
        ({"credit_ids": []}, "対象の枠を一つ以上選んでください。"),
        ({"expires_on": ""}, "新しい期限を入力してください。"),
        ({"reason": ""}, "理由を選んでください。"),
        ({"note": ""}, "説明を入力してください(2,000文字まで)。"),
        ({"kind": "issue", "count": "51"}, "件数を1から50の数字で入力してください。"),
    ):
        answer = await agency.post("/corrections", **{**asked, **left_out})

        assert answer.status_code == 422, left_out
        assert said in answer.text
    unsaid = await agency.post("/corrections", **{**asked, "note": ""})

    assert f'value="{credit}" checked' in unsaid.text
    assert 'value="2030-01-31"' in unsaid.text
    assert await stock(runtime, world) == before

    made = await agency.post("/corrections", **asked)
    row = await one(runtime, company, Adjustment, kind="extend")

    assert made.headers["location"] == "/agency/corrections?done=correction_asked"
    assert (row.credit_ids, row.expires_on) == ([credit], date(2030, 1, 31))


# ---- agreements ------------------------------------------------------------------------------


def usual(**more: str) -> dict[str, str]:
    """The form of the usual terms as it comes, with what is changed in it."""
    return {
        "accrual_rule": "on_placement", "n": "10", "counted_event": "accepted",
        "credits_per_placement": "1", "guarantee_number": "6", "guarantee_unit": "months",
        "validity_months": "12", "reservation_days": "60", "tail_months": "6",
        "ownership_window_months": "12", "effective_on": "2026-12-01", **more,
    }  # fmt: skip


async def test_a_proposal_is_told_as_old_and_new_and_accepted_into_a_version(
    runtime: Runtime, world: World, seeded: Seeded, hr: Desk, agency: Desk
) -> None:
    path, proposal = f"/agreements/{seeded.ledger.agreement}", seeded.ledger.proposal
    page = (await hr.get(path)).text

    assert "使えるようになった日から12か月" in page
    assert "<strong>使えるようになった日から18か月</strong>" in page
    assert "件数のために紹介を勧めたり急がせたりしないでください。" in page

    own = await agency.post(f"/agreements/proposals/{proposal}/accept")
    second = await hr.post(f"{path}/propose", **usual(validity_months="24"))
    accepted = await hr.post(f"/agreements/proposals/{proposal}/accept")
    again = await hr.post(f"/agreements/proposals/{proposal}/decline")
    versions = await rows(
        runtime, world.company.id, AgreementVersion, agreement_id=seeded.ledger.agreement
    )

    assert (own.status_code, second.status_code, again.status_code) == (422, 409, 409)
    assert "ほかの提案が回答待ちです。" in second.text
    assert accepted.headers["location"] == f"/dashboard{path}?done=terms_accept"
    assert sorted(one_.version for one_ in versions) == [1, 2]
    assert versions[-1].terms["validity_months"] == 18
    assert "第2版(2026年11月1日(日)から)" in (await agency.get(path)).text


async def test_only_what_was_changed_is_proposed(runtime: Runtime, world: World, hr: Desk) -> None:
    agreement = world.agreements[1].id
    path = f"/agreements/{agreement}/propose"

    same = await hr.post(path, **usual())
    undated = await hr.post(path, **usual(tail_months="9", effective_on=""))
    wild = await hr.post(path, **usual(credits_per_placement="6"))
    past = await hr.post(path, **usual(tail_months="9", effective_on="2020-01-01"))
    made = await hr.post(
        path, **usual(tail_months="0", guarantee_number="90", guarantee_unit="days")
    )
    row = await one(runtime, world.company.id, TermProposal, agreement_id=agreement)
    first = await one(runtime, world.company.id, AgreementVersion, agreement_id=agreement)
    cancelled = await hr.post(f"/agreements/proposals/{row.id}/cancel")

    assert [answer.status_code for answer in (same, undated, wild, past)] == [422] * 4
    assert "いまの条件と同じです。" in same.text
    assert 'value="9"' in undated.text
    assert 'value="6"' in wild.text
    assert made.status_code == 303
    assert {name: now for name, now in row.terms.items() if first.terms.get(name) != now} == {
        "tail_months": 0, "guarantee": {"days": 90},
    }  # fmt: skip
    assert cancelled.headers["location"] == f"/dashboard/agreements/{agreement}?done=terms_cancel"


async def test_notice_is_given_by_somebody_who_is_sure_and_never_put_off(
    runtime: Runtime, world: World, hr: Desk
) -> None:
    agreement = world.agreements[1].id
    path = f"/agreements/{agreement}/end"

    undated = await hr.post(path, ends_on="", sure="yes")
    unsure = await hr.post(path, ends_on="2026-12-31")
    past = await hr.post(path, ends_on="2020-01-01", sure="yes")
    never = await hr.post(path, ends_on="9999-12-31", sure="yes")
    there = await one(runtime, world.company.id, Agreement, id=agreement)
    given = await hr.post(path, ends_on="2026-12-31", sure="yes")
    again = await hr.post(path, ends_on="2027-01-31", sure="yes")
    page = (await hr.get(f"/agreements/{agreement}")).text

    assert [answer.status_code for answer in (undated, unsure, past, never)] == [422] * 4
    assert 'value="2026-12-31"' in unsure.text
    assert there.ends_on is None
    assert given.headers["location"].endswith("?done=agreement_ended")
    assert again.status_code == 409
    assert (
        "この契約は2026年12月31日(木)に終わります。枠は遅くとも2027年6月30日(水)まで使えます。"
        in page
    )
    sooner = await hr.post(path, ends_on="2026-11-30", sure="yes")
    assert f"/agreements/{agreement}/end" in page
    assert sooner.headers["location"].endswith("?done=agreement_ended")


# ---- the agency's reports --------------------------------------------------------------------


async def test_a_start_is_reported_corrected_left_and_taken_back(
    runtime: Runtime, world: World, agency: Desk
) -> None:
    relay = await forwarded(runtime, world, email="start@mail.example", phone="", birth_date="")
    company, day = world.company.id, local_day(runtime.clock())
    path = f"/relays/{relay.id}/placement"
    start = {"started_on": day.isoformat(), "employment_term": "permanent", "attestation": "yes"}

    undated = await agency.post(path, **{**start, "started_on": ""})
    termless = await agency.post(path, **{**start, "employment_term": ""})
    unattested = await agency.post(path, **{**start, "attestation": ""})
    before = await agency.post(path, **{**start, "started_on": "2026-01-05"})

    assert [one_.status_code for one_ in (undated, termless, unattested, before)] == [
        422, 422, 422, 409,
    ]  # fmt: skip
    assert f'value="{day}"' in unattested.text
    assert "入社日が、紹介の引き渡しより前になっています。" in before.text
    assert await rows(runtime, company, Placement, relay_id=relay.id) == []

    reported = await agency.post(path, **start)
    made = await one(runtime, company, Placement, relay_id=relay.id)
    there = f"/placements/{made.id}"
    unreasoned = await agency.post(f"{there}/corrections", started_on=day.isoformat(),
                                   employment_term="fixed", reason="")  # fmt: skip
    corrected = await agency.post(f"{there}/corrections", started_on=day.isoformat(),
                                  employment_term="fixed", reason="correction")  # fmt: skip
    early = await agency.post(f"{there}/early-leave", last_day_employed="2026-01-05")
    left = await agency.post(f"{there}/early-leave", last_day_employed=day.isoformat())
    neither = await agency.post(f"{there}/leave-corrections", last_day_employed="")
    stayed = await agency.post(f"{there}/leave-corrections", last_day_employed="", nobody="yes")
    unsure = await agency.post(f"{there}/withdraw", reason="cancelled")
    withdrawn = await agency.post(f"{there}/withdraw", reason="cancelled", sure="yes")
    page = (await agency.get(there)).text

    assert reported.headers["location"] == f"/agency{there}?done=placement_reported"
    assert [one_.status_code for one_ in (unreasoned, early, neither, unsure)] == [
        422, 409, 422, 422,
    ]  # fmt: skip
    assert 'value="2026-01-05"' in early.text
    assert [one_.headers["location"].partition("=")[2] for one_ in (corrected, left, stayed)] == [
        "placement_corrected", "leave_reported", "leave_corrected",
    ]  # fmt: skip
    assert withdrawn.headers["location"] == f"/agency{there}?done=placement_withdrawn"
    found = await one(runtime, company, Placement, id=made.id)
    assert (found.state, found.employment_term, found.reports) == ("withdrawn", "fixed", 5)
    for said in ("報告を取り下げました。", "早期離職を報告しました", "入社を報告しました"):
        assert said in page
    assert "/withdraw" not in page


async def test_what_a_report_would_do_is_shown_and_taken_back(
    runtime: Runtime, world: World, seeded: Seeded, agency: Desk
) -> None:
    path = f"/placements/{seeded.ledger.placement}"
    before = await stock(runtime, world), await balance(runtime, world)

    shown = await agency.post(f"{path}/early-leave", last_day_employed="2026-09-30", preview="yes")
    same = await agency.post(
        f"{path}/corrections", started_on="2026-07-01", employment_term="permanent",
        reason="correction", preview="yes",
    )  # fmt: skip
    refused = await agency.post(f"{path}/early-leave", last_day_employed="2020-01-01",
                                preview="yes")  # fmt: skip

    assert (shown.status_code, same.status_code, refused.status_code) == (200, 200, 409)
    assert "まだ記録していません。" in shown.text
    assert shown.text.count("枠が取り消されます。</li>") == 1
    assert "保証期間中 0件" in shown.text
    assert 'value="2026-09-30"' in shown.text
    assert "枠は動きません。" in same.text
    assert "まだ記録していません。" not in refused.text
    assert (await stock(runtime, world), await balance(runtime, world)) == before


async def test_nothing_new_is_a_word_too(
    runtime: Runtime, world: World, seeded: Seeded, agency: Desk
) -> None:
    relay, company = seeded.ledger.relay, world.company.id
    late = (await agency.get("/placements")).text

    said = await agency.post(f"/relays/{relay}/unchanged")
    page = (await agency.get(f"/relays/{relay}")).text

    assert "期限を過ぎています" in late
    assert said.headers["location"] == f"/agency/relays/{relay}?done=word_given"
    assert [row.type for row in await rows(runtime, company, RelayEvent, relay_id=relay)][-1] == (
        "unchanged"
    )
    assert "期限を過ぎています" not in page


async def test_a_month_is_attested_by_name_and_once(
    runtime: Runtime, world: World, agency: Desk
) -> None:
    nameless = await agency.post("/attestations/2026-09", statement="yes", manager="")
    unstated = await agency.post("/attestations/2026-09", manager="見本 責任者")
    nothing = await agency.post("/attestations/2025-01", statement="yes", manager="見本 責任者")
    owed = await one(runtime, world.company.id, Attestation, month=date(2026, 9, 1))

    assert (nameless.status_code, unstated.status_code, nothing.status_code) == (422, 422, 404)
    assert 'value="見本 責任者"' in unstated.text
    assert owed.state == "due"

    given = await agency.post("/attestations/2026-09", statement="yes", manager="見本 責任者")
    other = await agency.post("/attestations/2026-09", statement="yes", manager="別の 責任者")
    page = (await agency.get("/attestations")).text

    assert given.headers["location"] == "/agency/attestations?done=attested"
    assert other.status_code == 409
    assert "見本 責任者" in page
    assert "いま確認をお願いしている月はありません。" in page


# ---- statements ------------------------------------------------------------------------------


async def test_a_closed_month_is_answered_once_and_handed_out_in_three_forms(
    runtime: Runtime, world: World, hr: Desk, agency: Desk
) -> None:
    ours, theirs = world.agency.id, world.company.id
    page = (await hr.get(f"/statements/2026-08?with={ours}")).text
    silent = await hr.post(f"/statements/2026-08/answer?with={ours}", answer="")
    said = await hr.post(f"/statements/2026-08/answer?with={ours}", answer="accepted")
    again = await hr.post(f"/statements/2026-08/answer?with={ours}", answer="contested")
    contested = await agency.post(f"/statements/2026-08/answer?with={theirs}", answer="contested")
    files = {
        kind: await hr.get(f"/statements/2026-08/file?with={ours}&format={kind}")
        for kind in ("pdf", "csv", "json")
    }
    [row] = [
        one_ for one_ in await rows(runtime, theirs, Statement, month=date(2026, 8, 1))
        if one_.agency_id == ours
    ]  # fmt: skip

    assert "2026年10月19日(月)までに、内容をご確認ください。" in page
    assert (silent.status_code, again.status_code) == (422, 409)
    assert said.headers["location"] == (
        f"/dashboard/statements/2026-08?done=statement_accepted&with={ours}"
    )
    assert contested.status_code == 303
    assert (row.company_answer, row.agency_answer) == ("accepted", "contested")
    assert files["json"].content == row.document
    assert files["pdf"].content.startswith(b"%PDF-")
    assert files["csv"].text.splitlines()[0].startswith("id,kind,seq")
    assert files["pdf"].headers["content-disposition"] == (
        'attachment; filename="credits-2026-08.pdf"'
    )


async def test_a_month_ahead_and_one_with_somebody_else_are_not_there(
    runtime: Runtime, world: World, hr: Desk
) -> None:
    ahead = (local_day(runtime.clock()) + timedelta(days=40)).strftime("%Y-%m")

    assert (await hr.get(f"/statements/{ahead}?with={world.agency.id}")).status_code == 422
    assert (await hr.get(f"/statements/2026-08?with=agy_{'0' * 26}")).status_code == 404
    assert (await hr.get("/statements/2026-08")).status_code == 404


# ---- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_everything_that_can_happen_has_words(locale: str) -> None:
    known = catalogues()[locale]["ledger"]
    wanted = {
        *(f"move_{kind.name.lower()}" for kind in Kind),
        *(f"state_{bucket.name.lower()}" for bucket in Bucket),
        *(f"life_{bucket.name.lower()}" for bucket in Bucket if 0 < bucket < 8),
        *(f"dispute_{state}" for state in dispute.STATES),
        *(f"subject_{subject}" for subject in dispute.SUBJECTS),
        *(f"about_{subject}" for subject in dispute.SUBJECTS),
        *(f"dispute_about_{subject}" for subject in dispute.SUBJECTS),
        *(f"reason_{reason}" for reason in dispute.REASONS),
        *(f"said_{step}" for step in ("opened", "evidence", "decided", "appealed")),
        *(f"correction_{kind}" for kind in adjustment.KINDS),
        *(f"kind_means_{kind}" for kind in adjustment.KINDS),
        *(f"correction_state_{state}" for state in adjustment.STATES),
        *(f"correction_reason_{reason}" for reason in adjustment.REASONS),
        *(f"placement_{state}" for state in placement.PLACEMENT_STATES),
        *(f"placement_means_{state}" for state in placement.PLACEMENT_STATES),
        *(f"report_{kind}" for kind in placement.REPORT_KINDS),
        *(f"finding_{kind}" for kind in KINDS),
        *(f"section_{name}" for name in SECTIONS),
        *(f"term_{key}" for keys in SECTIONS.values() for key in keys),
    }

    assert wanted - set(known) == set()
    assert "dot" in known
    assert words(locale)("ledger.dot") in {"・", "; "}


def test_no_word_makes_money_of_a_credit() -> None:
    said = " ".join(catalogues()["ja"]["ledger"].values())

    for never in ("報酬", "対価", "紹介料", "買い取り", "買取"):
        assert never not in said


FULL = {
    "accrual_rule": "mixed", "per_n_relays": {"n": 20, "counted_event": "met"},
    "credits_per_placement": 2, "guarantee": {"days": 90}, "available_after": "start",
    "validity_months": 18, "validity_from": "start", "value_cap_jpy": 1_500_000,
    "scope": {"job_types": ["営業", "経理"], "employment_terms": ["permanent"],
              "salary_cap_jpy": 6_000_000},
    "early_leave_tiers": [{"unit": "month", "up_to": 3, "percent": 50},
                          {"unit": "day", "up_to": 30, "percent": 100}],
    "early_leave_rounding": "half_up", "reservation_days": 30, "reservation_stops_expiry": False,
    "reserve_while_owed": False, "restore_on_early_leave": False, "max_open": 5,
    "settle_owed": "invoice", "tail_months": 3, "attribution": "shared",
    "reapplication_exempt_months": 12, "reference_value_jpy": 1_750_000,
    "fee": {"rate_percent": "32.5", "tax_rounding": "half_up"},
    "refund": {"tiers": [{"unit": "month", "up_to": 1, "percent": 80}],
               "excluded_reasons": ["会社都合"], "replacement_allowed": True},
    "duties": {"attestation": False, "pause": False},
}  # fmt: skip


def test_terms_are_told_in_sentences() -> None:
    told = {line.key: line.text for lines in sections(FULL, "ja").values() for line in lines}

    assert told["rule"] == "就職1件につき2件付与します。面談に至った紹介20件ごとに1件付与します。"
    assert told["guarantee"] == "入社日を1日目として90日"
    assert told["scope"] == "職種:営業、経理。雇用形態:無期雇用。理論年収:6,000,000円まで。"
    assert told["early_leave"] == (
        "取り消す割合:30日以内 100%、3か月以内 50%。端数は四捨五入します。"
    )
    assert told["fee"] == "理論年収の32.5%。円未満は切り捨て、消費税は四捨五入。"
    assert told["refund"] == (
        "1か月以内 80%。入社日を1日目とします。対象:自己都合の退職、本人の責めによる解雇。"
        "対象外:会社都合。30日以内に請求します。代わりの方の紹介によることもできます。"
    )
    assert told["restore"] == "枠は戻りません。"
    assert told["reservation"] == "30日で自動的に解かれます。予約中も期限は変わりません。"
    assert len(told) == 24


def test_only_what_differs_is_told_of_two_versions() -> None:
    found = changes({}, {"validity_months": 18, "max_open": 3}, "en")

    assert [(one_.key, one_.old, one_.new) for one_ in found] == [
        ("max_open", "None", "3 at a time; what goes beyond expires at once."),
        ("validity", "12 months from the day it can be used",
         "18 months from the day it can be used"),
    ]  # fmt: skip
    assert [one_.key for one_ in changes({"duties": {"pause": True}}, FULL, "ja")] == [
        key for keys in SECTIONS.values() for key in keys
        if key not in {"credit_unit", "ownership", "registered", "words"}
    ]  # fmt: skip
