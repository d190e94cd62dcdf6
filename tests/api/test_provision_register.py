"""The register of hand-overs: seen and taken by the privacy officer alone, and that is kept."""

import csv
import io
import re
from datetime import timedelta

import pikepdf
import pytest
from sqlalchemy import update
from sqlmodel import col, select

from domain.agency import Agency
from domain.caller import Member
from domain.candidate import Candidate
from domain.company import Company
from domain.flows.person.change_person import delete
from domain.flows.relay.provide_package import provide_package
from domain.ids import new_id
from domain.notice import Mail
from domain.privacy import PrivacyCheck, RegisterExport
from domain.relay import Provision
from integrations.tables import read_book
from tests.applications import rows
from tests.conftest import forward
from tests.factories import make_world, work
from tests.pages.seed import enter
from tests.relays import forwarded

pytestmark = pytest.mark.anyio
HERE = "/dashboard/privacy/register"
HEADS = [
    "記録ID", "提供日時", "最終提供日時", "提供先の名称", "提供先の住所", "提供先の代表者",
    "許可番号", "候補者ID", "本人の氏名", "個人データの項目", "ファイルのSHA-256", "同意ID",
    "同意の記録ID", "同意文面のSHA-256", "提供の方法", "保存期限",
]  # fmt: skip


class Desk:
    """Somebody signed in at the company."""

    def __init__(self, client, cookie):
        self.client = client
        self.headers = {"cookie": f"relay_session={cookie}", "accept": "text/html"}

    async def get(self, path):
        return await self.client.get(path, headers=self.headers)

    async def post(self, path, **fields):
        page = await self.get("/dashboard")
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
        return await self.client.post(path, headers=self.headers, data={"csrf": token, **fields})


async def an_officer(runtime, world, client, name="officer"):
    cookie = await enter(runtime, name, company_id=world.company.id, roles=["privacy_officer"])
    return Desk(client, cookie)


@pytest.fixture
async def officer(runtime, world, client):
    return await an_officer(runtime, world, client)


async def read(runtime, relay, channel="api"):
    async with runtime.database.transaction() as db:
        await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel=channel, client_id="ocl_x",
            now=runtime.clock(),
        )  # fmt: skip


def table_of(content):
    text = content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


async def exported(runtime, world):
    return await rows(runtime, world.company.id, RegisterExport)


async def test_the_whole_record_leaves_as_csv_and_that_is_kept(runtime, world, officer, clock):
    hostile = '=HYPERLINK("http://x.example")'
    relay = await forwarded(runtime, world, display_name=hostile, family_name="", given_name="")
    await read(runtime, relay)
    forward(clock, hours=2)
    await read(runtime, relay)
    [record] = await rows(runtime, world.company.id, Provision)

    answer = await officer.post(f"{HERE}/export", first="2026-06-02", last="2026-06-02", form="csv")
    heads, line = table_of(answer.content)
    [kept] = await exported(runtime, world)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="provision-register-2026-06-02-2026-06-02.csv"'
    )
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.content.count(b"\r\n") == 2
    assert heads == HEADS
    told = dict(zip(heads, line, strict=True))
    assert told["記録ID"] == record.id
    assert (told["提供日時"][:10], told["最終提供日時"][:13]) == ("2026-06-02", "2026-06-02 12")
    assert told["提供先の名称"] == "あおぞらキャリア株式会社"
    assert told["提供先の代表者"] == "代表取締役 見本 二郎"
    assert told["本人の氏名"] == "'" + hostile
    assert told["個人データの項目"] == ("氏名、氏名(カナ)、メールアドレス、電話番号、希望職種")
    assert told["同意ID"] == relay.consent_id
    assert told["同意文面のSHA-256"] == record.consent_text_sha256
    assert (told["提供の方法"], told["保存期限"]) == ("API", "2029-06-02")
    assert (kept.form, kept.lines, kept.register_name) == ("csv", 1, "provision")
    assert (kept.first_on.isoformat(), kept.last_on.isoformat()) == ("2026-06-02", "2026-06-02")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        assert kept.actor == (await db.scalars(select(Member.id).where(
            col(Member.company_id) == world.company.id))).one()  # fmt: skip


async def test_it_leaves_as_a_book_and_as_pages_too(runtime, world, officer):
    await read(runtime, await forwarded(runtime, world))
    period = {"first": "2026-06-01", "last": "2026-06-30"}

    book = await officer.post(f"{HERE}/export", form="xlsx", **period)
    pages = await officer.post(f"{HERE}/export", form="pdf", **period)
    [sheet] = read_book(book.content).sheets
    with pikepdf.open(io.BytesIO(pages.content)) as pdf:
        count = len(pdf.pages)

    assert sheet.name == "第三者提供記録簿"
    assert count == 1
    assert [one.form for one in await exported(runtime, world)] == ["xlsx", "pdf"]


async def test_a_record_names_the_recipient_as_it_was_at_each_hand_over(runtime, world, clock):
    """Reads extend one record; once the agency has moved they begin another one."""
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    mails = len(await rows(runtime, world.company.id, Mail, template="provision_report"))
    forward(clock, days=1)
    await read(runtime, relay)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(update(Company).values(retention={"evidence_years": 5}))
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        moved = {"address": "大阪府大阪市北区例2-3-4", "representative": "代表取締役 後任 三郎"}
        await db.execute(update(Agency).values(moved))
    for _ in range(2):
        forward(clock, days=1)
        await read(runtime, relay)
    before, after = await rows(runtime, world.company.id, Provision)
    told = await rows(runtime, world.company.id, Mail, template="provision_report")

    assert (before.recipient_address, before.recipient_representative) == (
        world.agency.address, world.agency.representative,
    )  # fmt: skip
    assert (after.recipient_address, after.recipient_representative) == (
        "大阪府大阪市北区例2-3-4", "代表取締役 後任 三郎",
    )  # fmt: skip
    assert [(one.last_provided_at - one.provided_at).days for one in (before, after)] == [1, 1]
    assert [one.retention_until.year for one in (before, after)] == [2029, 2031]
    assert len(told) == mails == 1


async def test_looking_shows_no_names_and_keeps_nothing(runtime, world, officer):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)

    page = await officer.get(f"{HERE}?first=2026-06-01&last=2026-06-30")

    assert page.status_code == 200
    assert "あおぞらキャリア株式会社" in page.text
    assert relay.candidate_id in page.text
    assert "試験" not in page.text.replace("代表取締役 試験", "")
    assert await exported(runtime, world) == []


async def test_it_is_narrowed_by_period_agency_and_person(runtime, world, client, clock):
    early = await forwarded(runtime, world)
    await read(runtime, early)
    forward(clock, days=40)
    late = await forwarded(runtime, world, agency=1)
    await read(runtime, late)
    officer = await an_officer(runtime, world, client)
    everything = {"first": "2026-01-01", "last": "2026-12-31", "form": "csv"}

    async def people(**wish):
        answer = await officer.post(f"{HERE}/export", **{**everything, **wish})
        return [line[7] for line in table_of(answer.content)[1:]]

    assert await people() == [late.candidate_id, early.candidate_id]
    assert await people(last="2026-06-30") == [early.candidate_id]
    assert await people(first="2026-06-03") == [late.candidate_id]
    assert await people(agency=late.agency_id) == [late.candidate_id]
    assert await people(candidate=early.candidate_id) == [early.candidate_id]
    assert await people(first="2026-08-01") == []


async def test_the_record_survives_the_erasure_of_the_rest(runtime, world, client, clock):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    forward(clock, days=1)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = await db.get_one(Candidate, (world.company.id, relay.candidate_id))
        await delete(db, runtime.tools, candidate, clock())
    await work(runtime)
    officer = await an_officer(runtime, world, client)

    answer = await officer.post(f"{HERE}/export", first="2026-06-01", last="2026-06-30", form="csv")

    assert table_of(answer.content)[1][8] == "試験 花子"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"first": "", "last": "2026-06-02", "form": "csv"}, "日付を入力してください"),
        ({"first": "2026-06-03", "last": "2026-06-02", "form": "csv"}, "開始日以後"),
        ({"first": "2020-06-03", "last": "2026-06-02", "form": "csv"}, "4年分まで"),
        ({"first": "2026-06-01", "last": "2026-06-02", "form": "exe"}, "形式を選んで"),
    ],
)
async def test_what_is_no_period_is_refused_and_keeps_nothing(runtime, world, officer, wish, words):
    answer = await officer.post(f"{HERE}/export", **wish)

    assert answer.status_code == 422
    assert words in answer.text
    assert await exported(runtime, world) == []


@pytest.mark.parametrize("roles", [["recruiter"], ["head"], ["recruiter", "head"]])
async def test_nobody_else_comes_in(runtime, world, client, roles):
    await read(runtime, await forwarded(runtime, world))
    desk = Desk(client, await enter(runtime, "hr", company_id=world.company.id, roles=roles))
    period = {"first": "2026-06-01", "last": "2026-06-30", "form": "csv"}

    paths = (
        "/dashboard/privacy", HERE, "/dashboard/privacy/sources", "/dashboard/privacy/incidents",
        "/dashboard/privacy/incidents/new", "/dashboard/settings/privacy",
    )  # fmt: skip
    assert [(await desk.get(path)).status_code for path in paths] == [403] * len(paths)
    assert (await desk.post(f"{HERE}/export", **period)).status_code == 403
    assert await exported(runtime, world) == []
    assert 'href="/dashboard/privacy"' not in (await desk.get("/dashboard")).text


async def test_an_agency_and_a_stranger_do_not_come_in(runtime, world, client):
    agency = Desk(
        client, await enter(runtime, "agency", agency_id=world.agency.id, roles=["consultant"])
    )
    nobody = await client.get(HERE, headers={"accept": "text/html"})

    assert (await agency.get(HERE)).status_code == 403
    assert nobody.status_code == 303


async def test_a_form_without_the_sessions_token_takes_nothing(runtime, world, officer):
    await read(runtime, await forwarded(runtime, world))

    answer = await officer.client.post(
        f"{HERE}/export", headers=officer.headers,
        data={"first": "2026-06-01", "last": "2026-06-30", "form": "csv"},
    )  # fmt: skip

    assert answer.status_code == 403
    assert await exported(runtime, world) == []


async def test_another_companys_records_are_not_in_it(runtime, world, client):
    await read(runtime, await forwarded(runtime, world))
    other = await make_world(runtime, slug="betsu", agencies=1)
    desk = Desk(
        client,
        await enter(runtime, "other", company_id=other.company.id, roles=["privacy_officer"]),
    )

    answer = await desk.post(f"{HERE}/export", first="2026-06-01", last="2026-06-30", form="csv")

    assert len(table_of(answer.content)) == 1


async def test_the_alarm_stands_in_the_room(runtime, world, officer, clock):
    await work(runtime)
    quiet = await officer.get("/dashboard/privacy")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        db.add(PrivacyCheck(
            company_id=world.company.id, id=new_id("pck"), started_at=clock(),
            finished_at=clock() + timedelta(minutes=1), provisions=7, uncovered=2,
            findings=["prv_one", "prv_two"],
        ))  # fmt: skip
    alarmed = await officer.get("/dashboard/privacy")

    assert "notice-error" not in quiet.text
    assert "有効な同意を確認できない提供が2件あります" in alarmed.text
    assert "prv_one" in alarmed.text
