"""Credits at HR's door: what it sees, what it spends, what it is refused."""

import csv
import io
from datetime import date

import pytest
from sqlalchemy import text

from tests.conftest import api_client
from tests.factories import make_world, token_for, work
from tests.flows.ledger_story import at, count, earn

pytestmark = pytest.mark.anyio

APRIL, OCTOBER = date(2026, 4, 1), date(2026, 10, 1)
ZEROS = dict.fromkeys(
    ("pending", "available", "reserved", "used", "expired", "reversed", "frozen", "owed"), 0
)
HERE = "/v1/company/credits"


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


@pytest.fixture
async def available(runtime, world, clock):
    """One credit that may be used since the first of October 2026."""
    placement = await earn(runtime, world, APRIL)
    clock.move_to(at(OCTOBER))
    await work(runtime)
    return placement


async def hold(company_api, world, opening="経理"):
    return await company_api.post(
        f"{HERE}/reservations", json={"agency_id": world.agency.id, "opening": opening}
    )


async def total(company_api):
    return (await company_api.get(HERE)).json()["total"]


async def test_a_company_without_credits_sees_zeros_for_every_agreement(company_api, world):
    answer = await company_api.get(HERE)

    assert answer.status_code == 200
    found = answer.json()
    assert (found["total"], found["as_of"], found["known_at"]) == (ZEROS, None, None)
    assert found["agreements"] == [
        {
            "agreement_id": agreement.id, "company_id": world.company.id,
            "agency_id": agreement.agency_id, **ZEROS, "book_id": None, "seq": 0,
            "head_hash": None, "halted": False, "closed_through": None, "points": 0,
            "expected": 0, "expiring_30d": 0, "expiring_60d": 0, "expiring_90d": 0,
        }
        for agreement in world.agreements
    ]  # fmt: skip


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00"])
async def test_a_time_that_utc_does_not_have_is_refused(company_api, at):
    refused = await company_api.get(HERE, params={"known_at": at})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


async def test_credits_are_counted_agency_by_agency(company_api, runtime, world):
    await earn(runtime, world, APRIL)
    await earn(runtime, world, APRIL)
    await earn(runtime, world, APRIL, agency=1)
    body = (await company_api.get(HERE)).json()

    assert body["total"] == {**ZEROS, "pending": 3}
    assert [one["pending"] for one in body["agreements"]] == [2, 1]


async def test_a_credit_is_reserved_and_used_once(company_api, world, available):
    held = await hold(company_api, world)
    during = await total(company_api)
    used = await company_api.post(
        f"{HERE}/reservations/{held.json()['id']}/use", json={"hired_on": "2026-10-01"}
    )
    twice = await company_api.post(
        f"{HERE}/reservations/{held.json()['id']}/use", json={"hired_on": "2026-10-01"}
    )

    assert held.status_code == 201
    assert held.json()["state"] == "reserved"
    assert held.json()["credit_id"].startswith("crd_")
    assert (held.json()["reserved_on"], held.json()["holds_until"]) == ("2026-10-01", "2026-11-30")
    assert during == {**ZEROS, "reserved": 1}
    assert (used.status_code, used.json()["state"]) == (200, "used")
    assert used.json()["hired_on"] == "2026-10-01"
    assert (twice.status_code, twice.json()["code"]) == (409, "reservation_not_open")
    assert await total(company_api) == {**ZEROS, "used": 1}
    assert available


@pytest.mark.usefixtures("available")
async def test_a_reservation_is_released(company_api, world):
    held = (await hold(company_api, world)).json()
    released = await company_api.post(f"{HERE}/reservations/{held['id']}/release")
    again = await company_api.post(f"{HERE}/reservations/{held['id']}/release")

    assert (released.status_code, released.json()["state"]) == (200, "released")
    assert (again.status_code, again.json()["code"]) == (409, "reservation_not_open")
    assert await total(company_api) == {**ZEROS, "available": 1}


@pytest.mark.usefixtures("available")
async def test_the_same_request_again_holds_one_credit(company_api, runtime, world):
    body = {"agency_id": world.agency.id, "opening": "経理"}
    headers = {"idempotency-key": "hold-1"}
    first = await company_api.post(f"{HERE}/reservations", json=body, headers=headers)
    again = await company_api.post(f"{HERE}/reservations", json=body, headers=headers)

    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(runtime, world, "reservation") == 1


async def test_nothing_is_held_where_no_credit_can_be_used(company_api, runtime, world):
    await earn(runtime, world, APRIL)
    pending, none = await hold(company_api, world), await company_api.post(
        f"{HERE}/reservations", json={"agency_id": world.agencies[1].id, "opening": "経理"}
    )  # fmt: skip

    for answer in (pending, none):
        assert (answer.status_code, answer.json()["code"]) == (409, "no_credit_available")
    assert await count(runtime, world, "reservation") == 0


@pytest.mark.usefixtures("available")
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"hired_on": "2026-10-02"}, 422, "hired_in_future"),
        ({"hired_on": "2026-09-30"}, 422, "hired_before_available"),
        ({"hired_on": "yesterday"}, 422, "invalid"),
        ({}, 422, "invalid"),
    ],
)
async def test_a_hire_that_cannot_be_is_refused(company_api, world, body, status, code):
    held = (await hold(company_api, world)).json()
    answer = await company_api.post(f"{HERE}/reservations/{held['id']}/use", json=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await total(company_api) == {**ZEROS, "reserved": 1}


@pytest.mark.usefixtures("available")
@pytest.mark.parametrize("opening", ["", "   ", "x" * 201, "a\0b"])
async def test_an_opening_has_a_name(company_api, runtime, world, opening):
    answer = await hold(company_api, world, opening)

    assert answer.status_code == 422
    assert await count(runtime, world, "reservation") == 0


@pytest.mark.usefixtures("available")
async def test_reservations_are_listed_and_read(company_api, world):
    held = (await hold(company_api, world, "経理")).json()
    await company_api.post(f"{HERE}/reservations/{held['id']}/release")
    second = (await hold(company_api, world, "営業")).json()
    every = (await company_api.get(f"{HERE}/reservations")).json()
    open_ones = (await company_api.get(f"{HERE}/reservations?state=reserved")).json()
    one = await company_api.get(f"{HERE}/reservations/{second['id']}")

    assert [row["opening"] for row in every["data"]] == ["営業", "経理"]
    assert [row["id"] for row in open_ones["data"]] == [second["id"]]
    assert one.json() == second


@pytest.mark.usefixtures("available")
async def test_another_companys_reservation_is_not_found(company_api, runtime, world):
    held = (await hold(company_api, world)).json()
    other = await make_world(runtime, slug="other")
    async with api_client(runtime, other.company_client) as stranger:
        path = f"{HERE}/reservations/{held['id']}"
        answers = [
            await stranger.get(path),
            await stranger.post(f"{path}/release"),
            await stranger.post(f"{path}/use", json={"hired_on": "2026-10-01"}),
        ]
        entries = (await stranger.get(f"{HERE}/entries")).json()
        seen = (await stranger.get(HERE)).json()["total"]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(404, "not_found")] * 3
    assert (entries["data"], seen) == ([], ZEROS)
    assert await total(company_api) == {**ZEROS, "reserved": 1}


async def test_entries_explain_a_number(company_api, runtime, world, available):
    other = await earn(runtime, world, OCTOBER, agency=1)
    await hold(company_api, world)
    every = (await company_api.get(f"{HERE}/entries")).json()["data"]
    relay = every[-1]["relay_id"]
    of_relay = (await company_api.get(f"{HERE}/entries?relay_id={relay}")).json()["data"]
    of_agency = (
        await company_api.get(f"{HERE}/entries?agency_id={world.agencies[1].id}")
    ).json()["data"]  # fmt: skip
    first = every[-1]

    assert [one["kind"] for one in every] == ["reserved", "granted", "became_available", "granted"]
    assert [one["kind"] for one in of_relay] == ["reserved", "became_available", "granted"]
    assert [(one["kind"], one["placement_id"]) for one in of_agency] == [("granted", other)]
    assert first == {
        "id": first["id"],
        "kind": "granted",
        "seq": 1,
        "unit": "credit",
        "quantity": 1,
        "credit_id": first["credit_id"],
        "company_id": world.company.id,
        "agency_id": world.agency.id,
        "agreement_id": world.agreements[0].id,
        "agreement_version": 1,
        "relay_id": relay,
        "placement_id": available,
        "from_bucket": "issued",
        "to_bucket": "pending",
        "effective_on": "2026-04-01",
        "at": "2026-04-01T01:00:00Z",
        "reason": None,
        "actor": world.agency.id,
        "request": {
            "agreement_id": world.agreements[0].id, "agreement_version": 1,
            "placement_id": available, "report": 1,
        },
    }  # fmt: skip
    assert every[0]["actor"] == world.company_client[0]
    assert (every[0]["from_bucket"], every[0]["to_bucket"]) == ("available", "reserved")
    assert len({one["id"] for one in every}) == 4


async def test_entries_come_in_pages_that_join_without_a_gap(company_api, runtime, world):
    for _ in range(5):
        await earn(runtime, world, APRIL)
    whole = (await company_api.get(f"{HERE}/entries?limit=200")).json()
    seen, cursor = [], ""
    while cursor is not None:
        page = (await company_api.get(f"{HERE}/entries?limit=2{cursor}")).json()
        seen += page["data"]
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None

    assert seen == whole["data"]
    assert (len(seen), whole["next_cursor"]) == (5, None)


@pytest.mark.parametrize("cursor", ["%21", "bHRlX3h4", "bHRlX3p6enp6enp6enp6enp6enp6enp6enp6enp6"])
async def test_a_cursor_that_is_not_ours_is_refused(company_api, cursor):
    answer = await company_api.get(f"{HERE}/entries?cursor={cursor}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_entries_as_a_table(company_api, runtime, world):
    await earn(runtime, world, APRIL)
    entry = (await company_api.get(f"{HERE}/entries")).json()["data"][0]
    asked = await company_api.get(f"{HERE}/entries?format=csv")
    accepted = await company_api.get(f"{HERE}/entries", headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(asked.text)))

    assert asked.headers["content-type"] == "text/csv; charset=utf-8"
    assert asked.text == accepted.text
    entry.pop("request")
    assert rows == [{key: "" if value is None else str(value) for key, value in entry.items()}]


async def test_reading_does_not_allow_spending(client, runtime, world):
    token = await token_for(client, world.company_client, "credits:read")
    headers = {"authorization": f"Bearer {token}", "idempotency-key": "k"}
    body = {"agency_id": world.agency.id, "opening": "経理"}
    answer = await client.post(f"{HERE}/reservations", json=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert await count(runtime, world, "reservation") == 0


async def test_an_agencys_program_has_no_door_here(agency_api):
    answers = [await agency_api.get(path) for path in (HERE, f"{HERE}/entries")]

    assert [one.status_code for one in answers] == [403, 403]


@pytest.mark.usefixtures("available")
async def test_no_word_of_an_opening_enters_the_ledger(company_api, runtime, world):
    await hold(company_api, world, "山田花子の後任")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        found = {
            table: (
                await db.execute(
                    text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%山田%'")  # noqa: S608
                )
            ).scalar_one()
            for table in ("book", "credit", "ledger_tx", "ledger_entry", "credit_date_change",
                          "ledger_balance", "reservation")
        }  # fmt: skip

    assert {table for table, hits in found.items() if hits} == {"reservation"}
