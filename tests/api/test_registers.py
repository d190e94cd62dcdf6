"""The agency's fee register: a line for every hire made with a credit, and nothing is ever run."""

import csv
import io
import zipfile
from datetime import date, datetime

import pytest
from sqlalchemy import text

from domain.flows.earn import use_credit
from domain.flows.earn.use_credit import Opening
from integrations.tables import read_book
from integrations.tables_out import as_csv, as_xlsx
from tests.conftest import START, api_client
from tests.factories import make_world, token_for
from tests.flows.ledger_story import at, earn, terms_are

pytestmark = pytest.mark.anyio

APRIL = date(2026, 4, 1)
HERE = "/v1/agency/registers/fees"
PERIOD = {"from": "2026-04-01", "to": "2026-04-30"}
HEADS = [
    "手数料を支払う者の氏名又は名称", "徴収年月日", "手数料の種類", "手数料の額（円）",
    "手数料の算出根拠（賃金、割合等）", "備考",
]  # fmt: skip


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


async def hire(runtime, world, on, *, left=None):
    """A hire made with a fresh credit; the credit's id and the reservation's."""
    company, now = world.company.id, runtime.clock()
    await earn(runtime, world, on)
    async with runtime.database.transaction(company_id=company) as db:
        held = await use_credit.reserve(
            db, company, agency_id=world.agency.id, opening=Opening("経理"), actor="crc_a", now=now
        )
        await use_credit.use(db, company, held.id, hired_on=on, actor="crc_a", now=now)
        if left is not None:
            await use_credit.restore(
                db, company, held.id, last_day_employed=left, actor="crc_a", now=now
            )
        return held.credit_id, held.id


@pytest.fixture
async def hires(runtime, world, clock):
    """One hire stays; the other leaves inside the guarantee, and its credit comes back."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start", restore_on_early_leave=True)
    first = await hire(runtime, world, APRIL)
    clock.move_to(at(date(2026, 4, 20)))
    return [first, await hire(runtime, world, date(2026, 4, 20), left=date(2026, 4, 20))]


async def test_a_line_for_every_hire(agency_api, world, hires):
    answer = await agency_api.get(HERE, params=PERIOD)
    (kept, kept_hire), (back, _) = hires
    lines = answer.json()["data"]

    assert answer.status_code == 200
    assert lines[0] == {
        "payer": "株式会社みらい製作所", "collected_on": "2026-04-01", "fee_kind": "無償紹介枠",
        "fee_jpy": 0, "basis": "無償紹介枠適用（契約番号 mirai-0）", "remarks": kept,
        "company_id": world.company.id, "credit_id": kept, "reservation_id": kept_hire,
        "restored_on": None,
    }  # fmt: skip
    assert (lines[1]["credit_id"], lines[1]["restored_on"]) == (back, "2026-04-20")
    assert lines[1]["remarks"] == f"{back} 復活 2026-04-20"
    assert len(lines) == 2


@pytest.mark.usefixtures("hires")
async def test_only_the_hires_of_the_period(agency_api):
    days = [
        ("2026-04-02", "2026-04-19"),
        ("2026-04-01", "2026-04-01"),
        ("2026-04-20", "2026-04-30"),
    ]
    counts = [
        len((await agency_api.get(HERE, params={"from": a, "to": b})).json()["data"])
        for a, b in days
    ]

    assert counts == [0, 1, 1]


async def test_the_register_as_csv(agency_api, hires):
    asked = await agency_api.get(HERE, params={**PERIOD, "format": "csv"})
    accepted = await agency_api.get(HERE, params=PERIOD, headers={"accept": "text/csv"})
    rows = list(csv.reader(io.StringIO(asked.content.decode("utf-8-sig"))))

    assert asked.content.startswith(b"\xef\xbb\xbf")
    assert asked.content == accepted.content
    assert b"\r\n" in asked.content
    assert rows[0] == HEADS
    assert rows[1] == [
        "株式会社みらい製作所", "2026-04-01", "無償紹介枠", "0",
        "無償紹介枠適用（契約番号 mirai-0）", hires[0][0],
    ]  # fmt: skip
    assert len(rows) == 3
    assert asked.headers["content-disposition"] == (
        'attachment; filename="fee-register-2026-04-01-2026-04-30.csv"'
    )


async def test_the_register_as_xlsx(agency_api, hires):
    answer = await agency_api.get(HERE, params={**PERIOD, "format": "xlsx"})
    [sheet] = read_book(answer.content).sheets
    rows = [cells for _, cells in sheet.rows()]

    assert answer.headers["content-type"].endswith("spreadsheetml.sheet")
    assert sheet.name == "手数料管理簿"
    assert rows[0] == HEADS
    assert rows[1] == [
        "株式会社みらい製作所", date(2026, 4, 1), "無償紹介枠", 0,
        "無償紹介枠適用（契約番号 mirai-0）", hires[0][0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+81", "-1", "@SUM(A1)", "\t=1", " =1", "＝1+1", "＋1", "＠A", "\r=1"],
)
def test_a_name_is_never_run(name):
    table = as_csv(["name"], [[name]])
    book = as_xlsx("表", ["name"], [[name]], made_at=START)
    [_, [cell]] = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))
    parts = zipfile.ZipFile(io.BytesIO(book))

    assert cell == f"'{name}"
    assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")
    assert b't="s"' in parts.read("xl/worksheets/sheet1.xml")


async def test_a_company_that_is_called_like_a_formula(agency_api, runtime, world, hires):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(text("UPDATE company SET name = '=HYPERLINK(\"x\")'"))
    table = await agency_api.get(HERE, params={**PERIOD, "format": "csv"})
    book = await agency_api.get(HERE, params={**PERIOD, "format": "xlsx"})
    rows = list(csv.reader(io.StringIO(table.content.decode("utf-8-sig"))))
    [sheet] = read_book(book.content).sheets

    assert rows[1][0] == '\'=HYPERLINK("x")'
    assert next(cells for number, cells in sheet.rows() if number == 2)[0] == '=HYPERLINK("x")'
    assert hires


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [
        ("2026-04-02", "2026-04-01", "period_invalid"),
        ("2020-01-01", "2026-04-01", "period_too_long"),
        ("april", "2026-04-01", "invalid"),
        ("2026-04-01", "2026-02-30", "invalid"),
    ],
)
async def test_a_period_that_is_none_is_refused(agency_api, first, last, code):
    answer = await agency_api.get(HERE, params={"from": first, "to": last})

    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.usefixtures("hires")
async def test_another_agency_has_a_register_of_its_own(runtime, world, client):
    other = await make_world(runtime, slug="other")
    async with (
        api_client(runtime, world.agency_clients[1]) as second,
        api_client(runtime, other.agency_clients[0]) as stranger,
        api_client(runtime, world.company_client) as company,
    ):
        found = [(await one.get(HERE, params=PERIOD)).json()["data"] for one in (second, stranger)]
        refused = await company.get(HERE, params=PERIOD)
    token = await token_for(client, world.agency_clients[0], "relays:read")
    unscoped = await client.get(HERE, params=PERIOD, headers={"authorization": f"Bearer {token}"})

    assert found == [[], []]
    assert refused.status_code == 403
    assert (unscoped.status_code, unscoped.json()["code"]) == (403, "insufficient_scope")


def test_a_workbook_says_when_it_was_made_by_the_time_it_was_given():
    made = [as_xlsx("表", ["a"], [["b"]], made_at=datetime(2026, 4, 1)) for _ in range(2)]  # noqa: DTZ001

    assert b"2026-04-01T00:00:00Z" in zipfile.ZipFile(io.BytesIO(made[0])).read("docProps/core.xml")
    assert made[0] == made[1]
