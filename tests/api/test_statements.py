"""Monthly statements at both sides' doors: the same month, the same bytes, answered once."""

import csv
import io
from datetime import date
from hashlib import sha256

import pytest
from pypdf import PdfReader

from api.statement_shapes import StatementOut
from tests.conftest import api_client
from tests.factories import make_world, token_for, work
from tests.flows.ledger_story import at, earn, leave, terms_are
from tests.statements import check, close_due

pytestmark = pytest.mark.anyio

APRIL, OCTOBER = date(2026, 4, 1), date(2026, 10, 1)
FIFTH = at(date(2026, 5, 5))
ZEROS = dict.fromkeys(
    ("pending", "available", "reserved", "frozen", "used", "expired", "reversed", "owed"), 0
)
HERE, THERE = "/v1/company/credits/statements", "/v1/agency/credits/statements"


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


@pytest.fixture
async def closed(runtime, world, clock):
    """April, with one credit granted, was closed on the fifth of May."""
    placement = await earn(runtime, world, APRIL)
    await close_due(runtime, world, FIFTH)
    clock.move_to(FIFTH)
    return placement


async def one_of(api, path, **params):
    answer = await api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_company_without_a_book_is_told_zeros(company_api, world):
    said = await one_of(company_api, f"{HERE}/2026-04")

    assert (said["month"], said["final"]) == ("2026-04", False)
    assert [one["agency_id"] for one in said["agreements"]] == [
        agency.id for agency in world.agencies
    ]
    for one in said["agreements"]:
        assert (one["opening"], one["closing"], one["signed"]) == (ZEROS, ZEROS, None)
        assert (one["movements"], one["entries"], one["head"]) == ({}, [], {"seq": 0, "hash": None})


async def test_a_month_that_runs_is_told_as_it_stands(company_api, runtime, world):
    await earn(runtime, world, APRIL)
    await earn(runtime, world, APRIL, agency=1)
    said = await one_of(company_api, f"{HERE}/2026-04")

    assert said["final"] is False
    assert [one["closing"]["pending"] for one in said["agreements"]] == [1, 1]
    assert [one["movements"] for one in said["agreements"]] == [{"granted": 1}] * 2
    # The description holds for every field of it.
    assert StatementOut.model_validate(said).model_dump(mode="json") == said


async def test_a_month_is_final_when_it_is_closed(company_api, closed):
    april = await one_of(company_api, f"{HERE}/2026-04")
    may = await one_of(company_api, f"{HERE}/2026-05")
    first = april["agreements"][0]

    assert (april["final"], may["final"]) == (True, False)
    assert (first["final"], first["signed"]["answer_due_on"]) == (True, "2026-05-20")
    assert may["agreements"][0]["opening"] == first["closing"] == {**ZEROS, "pending": 1}
    assert StatementOut.model_validate(april).model_dump(mode="json") == april
    assert first["entries"][0]["placement_id"] == closed


@pytest.mark.usefixtures("closed")
async def test_both_sides_are_told_the_same(company_api, agency_api, world):
    mine = await one_of(company_api, f"{HERE}/2026-04", agency_id=world.agency.id)
    theirs = await one_of(agency_api, f"{THERE}/2026-04", company_id=world.company.id)
    all_of_theirs = await one_of(agency_api, f"{THERE}/2026-04")
    documents = [
        await company_api.get(mine["agreements"][0]["signed"].pop("document")),
        await agency_api.get(theirs["agreements"][0]["signed"].pop("document")),
    ]
    all_of_theirs["agreements"][0]["signed"].pop("document")

    assert mine == theirs == all_of_theirs
    assert len(mine["agreements"]) == 1
    assert documents[0].content == documents[1].content


@pytest.mark.usefixtures("closed")
async def test_a_running_month_is_the_same_for_both_sides(company_api, agency_api, world):
    mine = await one_of(company_api, f"{HERE}/2026-05", agency_id=world.agency.id)
    theirs = await one_of(agency_api, f"{THERE}/2026-05")

    assert mine == theirs


@pytest.mark.usefixtures("closed")
async def test_the_signed_bytes_are_handed_out(company_api, world):
    said = await one_of(company_api, f"{HERE}/2026-04", agency_id=world.agency.id)
    signed = said["agreements"][0]["signed"]
    answer = await company_api.get(signed["document"])
    [listed] = (await one_of(company_api, HERE))["data"]

    assert answer.headers["content-type"] == "application/json"
    assert sha256(answer.content).hexdigest() == signed["sha256"] == listed["sha256"]
    assert answer.headers["x-jws-signature"] == signed["signature"] == listed["signature"]
    assert check(signed["signature"], answer.content)["typ"] == "credit-statement+json"
    assert answer.headers["repr-digest"].startswith("sha-256=:")
    assert {**answer.json(), "signed": signed} == said["agreements"][0]


@pytest.mark.usefixtures("closed")
async def test_closed_months_are_listed_newest_first(
    company_api, agency_api, runtime, world, clock
):
    await earn(runtime, world, date(2026, 5, 2), agency=1)
    clock.move_to(at(date(2026, 6, 5)))
    await close_due(runtime, world, at(date(2026, 6, 5)))
    every = (await one_of(company_api, HERE))["data"]
    of_second = (await one_of(company_api, HERE, agency_id=world.agencies[1].id))["data"]
    first = await one_of(company_api, HERE, limit=2)
    rest = await one_of(company_api, HERE, limit=2, cursor=first["next_cursor"])
    theirs = (await one_of(agency_api, THERE))["data"]

    assert sorted(one["month"] for one in every) == ["2026-04", "2026-05", "2026-05"]
    assert every[-1]["month"] == "2026-04"
    assert [one["month"] for one in of_second] == ["2026-05"]
    assert first["data"] + rest["data"] == every
    assert [one["month"] for one in theirs] == ["2026-05", "2026-04"]


@pytest.mark.parametrize("lang", ["ja", "en"])
async def test_a_statement_on_paper(company_api, world, closed, lang):
    params = {"agency_id": world.agency.id, "lang": lang}
    asked = await company_api.get(f"{HERE}/2026-04", params={**params, "format": "pdf"})
    accepted = await company_api.get(
        f"{HERE}/2026-04", params=params, headers={"accept": "application/pdf"}
    )
    signed = (await one_of(company_api, HERE))["data"][0]
    words = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(asked.content)).pages)
    expected = {
        "ja": ["無償紹介枠 月次明細書", "2026年4月分", "株式会社みらい製作所", "2026年5月20日(水)",
               "許可番号 13-ユ-300000", "付与元 → 保証期間中", "参考値"],
        "en": ["Monthly statement of free referral credits", "April 2026", "Mirai Works K.K.",
               "licence 13-ユ-300000", "Agency → In guarantee", "参考値", "Wed 20 May 2026"],
    }[lang]  # fmt: skip

    assert asked.headers["content-type"] == "application/pdf"
    assert f"credits-2026-04-{lang}.pdf" in asked.headers["content-disposition"]
    assert asked.content == accepted.content
    assert [one for one in expected if one not in words] == []
    assert signed["sha256"] in words.replace("\n", "")
    assert [one for one in ("報酬", "対価", "紹介料", "買い取り", "買取") if one in words] == []
    assert closed


@pytest.mark.usefixtures("closed")
async def test_a_running_month_on_paper_says_that_it_is_not_closed(company_api, world):
    answer = await company_api.get(
        f"{HERE}/2026-05", params={"agency_id": world.agency.id, "format": "pdf"}
    )
    words = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)

    assert "2026年5月分・締め前の試算" in words
    assert "未締め" in words
    assert "SHA-256" not in words


async def test_paper_is_of_one_book(company_api, agency_api):
    for api, path in ((company_api, HERE), (agency_api, THERE)):
        for door in ("2026-04?format=pdf", "2026-04/document"):
            answer = await api.get(f"{path}/{door}")

            assert (answer.status_code, answer.json()["code"]) == (422, "counterparty_required")


@pytest.mark.usefixtures("closed")
async def test_a_statement_as_a_table(company_api):
    asked = await company_api.get(f"{HERE}/2026-04?format=csv")
    accepted = await company_api.get(f"{HERE}/2026-04", headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(asked.text)))

    assert asked.text == accepted.text
    assert asked.headers["content-type"] == "text/csv; charset=utf-8"
    assert asked.headers["content-disposition"] == 'attachment; filename="credits-2026-04.csv"'
    shown = ("kind", "quantity", "to_bucket", "effective_on")
    assert [tuple(row[name] for name in shown) for row in rows] == [
        ("granted", "1", "pending", "2026-04-01"),
        ("closing", "1", "pending", "2026-04-30"),
    ]  # fmt: skip


async def test_a_month_is_japans(company_api, runtime, world, clock):
    """Midnight on the first of May in Tokyo is still April in UTC."""
    clock.move_to(at(date(2026, 5, 1), hour=0))
    await earn(runtime, world, date(2026, 5, 1))
    april = await one_of(company_api, f"{HERE}/2026-04")
    may = await one_of(company_api, f"{HERE}/2026-05")

    assert april["agreements"][0]["movements"] == {}
    assert may["agreements"][0]["movements"] == {"granted": 1}


async def test_balances_as_of_a_last_day_are_the_closing(
    company_api, runtime, world, clock, closed
):
    clock.move_to(at(OCTOBER))
    await work(runtime)
    await close_due(runtime, world, at(OCTOBER))
    for month, last in (
        ("2026-04", "2026-04-30"),
        ("2026-09", "2026-09-30"),
        ("2026-10", "2026-10-31"),
    ):
        said = await one_of(company_api, f"{HERE}/{month}", agency_id=world.agency.id)
        look = await one_of(company_api, "/v1/company/credits", as_of=last)
        shown = {name: look["agreements"][0][name] for name in ZEROS}

        assert shown == said["agreements"][0]["closing"]
    known = await one_of(
        company_api, "/v1/company/credits", as_of="2026-10-31", known_at="2026-09-30T00:00:00Z"
    )
    assert (known["total"]["pending"], known["total"]["available"]) == (1, 0)
    assert closed


async def test_a_month_that_is_closed_never_changes(company_api, runtime, world, clock, closed):
    before = await company_api.get(f"{HERE}/2026-04")
    clock.move_to(at(date(2026, 5, 6)))
    await leave(runtime, world, closed, date(2026, 4, 28), clock())
    after = await company_api.get(f"{HERE}/2026-04")
    may = await one_of(company_api, f"{HERE}/2026-05")

    assert after.content == before.content
    assert may["agreements"][0]["movements"] == {"reversed": 1}
    [entry] = may["agreements"][0]["entries"]
    assert (entry["reason"], entry["effective_on"]) == ("late_fact", "2026-05-06")


async def answer(api, path, other, said="accepted", month="2026-04", **headers):
    return await api.post(
        f"{path}/{month}/answer", json={"counterparty_id": other, "answer": said}, headers=headers
    )


@pytest.mark.usefixtures("closed")
async def test_each_side_answers_a_closed_month_once(company_api, agency_api, world):
    yes = await answer(company_api, HERE, world.agency.id)
    no = await answer(agency_api, THERE, world.company.id, "contested")
    other = await answer(company_api, HERE, world.agency.id, "contested")
    [listed] = (await one_of(company_api, HERE))["data"]

    assert (yes.status_code, yes.json()["company_answer"], yes.json()["agency_answer"]) == (
        200, "accepted", None,
    )  # fmt: skip
    assert (no.status_code, no.json()["agency_answer"]) == (200, "contested")
    assert (other.status_code, other.json()["code"]) == (409, "answered_already")
    assert (listed["company_answer"], listed["agency_answer"]) == ("accepted", "contested")


@pytest.mark.usefixtures("closed")
async def test_silence_is_told_as_silence(company_api, world, clock):
    clock.move_to(at(date(2026, 5, 20)))
    before = (await one_of(company_api, HERE))["data"][0]
    clock.move_to(at(date(2026, 5, 21)))
    late = await answer(company_api, HERE, world.agency.id)
    after = (await one_of(company_api, HERE))["data"][0]

    assert (before["company_answer"], before["agency_answer"]) == (None, None)
    assert (late.status_code, late.json()["code"]) == (409, "answer_too_late")
    assert (after["company_answer"], after["agency_answer"]) == ("silent", "silent")


async def test_an_open_month_is_not_answered_and_has_no_document(company_api, runtime, world):
    await earn(runtime, world, APRIL)
    answers = [
        await answer(company_api, HERE, world.agency.id),
        await company_api.get(f"{HERE}/2026-04/document?agency_id={world.agency.id}"),
    ]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (409, "statement_not_closed")
    ] * 2


@pytest.mark.usefixtures("closed")
async def test_strangers_find_nothing(runtime, world):
    other = await make_world(runtime, slug="other")
    async with (
        api_client(runtime, other.company_client) as company,
        api_client(runtime, other.agency_clients[0]) as agency,
    ):
        answers = [
            await company.get(f"{HERE}/2026-04?agency_id={world.agency.id}"),
            await company.get(f"{HERE}/2026-04/document?agency_id={world.agency.id}"),
            await answer(company, HERE, world.agency.id),
            await agency.get(f"{THERE}/2026-04?company_id={world.company.id}"),
            await agency.get(f"{THERE}/2026-04/document?company_id={world.company.id}"),
            await answer(agency, THERE, world.company.id),
        ]
        lists = [(await one_of(company, HERE))["data"], (await one_of(agency, THERE))["data"]]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(404, "not_found")] * 6
    assert lists == [[], []]


@pytest.mark.usefixtures("closed")
async def test_the_second_agency_sees_nothing_of_the_first(runtime, world):
    async with api_client(runtime, world.agency_clients[1]) as second:
        said = await one_of(second, f"{THERE}/2026-04")
        listed = await one_of(second, THERE)

    assert [one["agency_id"] for one in said["agreements"]] == [world.agencies[1].id]
    assert said["agreements"][0]["closing"] == ZEROS
    assert listed["data"] == []


@pytest.mark.parametrize(
    ("month", "code"),
    [("2026-05", "month_in_future"), ("2026-13", "invalid"), ("april", "invalid"),
     ("0000-01", "invalid"), ("2999-12", "month_in_future")],
)  # fmt: skip
async def test_a_month_that_is_none_is_refused(company_api, month, code):
    refused = await company_api.get(f"{HERE}/{month}")

    assert (refused.status_code, refused.json()["code"]) == (422, code)


@pytest.mark.usefixtures("closed")
async def test_reading_does_not_allow_answering(client, world):
    token = await token_for(client, world.company_client, "credits:read")
    headers = {"authorization": f"Bearer {token}", "idempotency-key": "k"}
    refused = await answer(client, HERE, world.agency.id, **headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


async def test_the_reference_value_is_told_apart(company_api, runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, reference_value_jpy=1_500_000)
    await earn(runtime, world, APRIL)
    said = (await one_of(company_api, f"{HERE}/2026-04"))["agreements"][0]

    assert said["reference_value"] == {
        "label": "参考値",
        "closing_jpy": {**ZEROS, "pending": 1_500_000},
        "avoided_fees_jpy": 0,
        "avoided_fees_known": 0,
    }
