"""Spending a credit: scope, the free hire who leaves, rehearsals, and the agreement itself."""

from datetime import date, timedelta

import pytest

from tests.conftest import api_client
from tests.factories import make_world
from tests.ledger_doors import ENDS, TODAY

pytestmark = pytest.mark.anyio
USABLE = ENDS + timedelta(days=1)


async def test_a_scope_is_asked_for_and_kept(table):
    await table.terms(
        scope={
            "job_types": ["営業"],
            "employment_terms": ["permanent"],
            "salary_cap_jpy": 6_000_000,
        }
    )
    await table.start()
    await table.to(USABLE)
    fits = {"job_type": "営業", "employment_term": "permanent", "annual_salary_jpy": 6_000_000}
    silent = await table.reserve()
    other_job = await table.reserve(**{**fits, "job_type": "経理"})
    too_dear = await table.reserve(**{**fits, "annual_salary_jpy": 6_000_001})
    held = await table.reserve(**fits)

    assert [one.json()["code"] for one in (silent, other_job, too_dear)] == ["out_of_scope"] * 3
    assert "job_type_missing" in silent.json()["detail"]
    assert held.status_code == 201
    dearer = await table.hold(
        held.json(), "use", hired_on=USABLE.isoformat(), annual_salary_jpy=7_000_000
    )
    assert dearer.json()["code"] == "out_of_scope"
    assert await table.balance() == {"reserved": 1}


async def test_among_several_the_oldest_that_fits_is_taken(table):
    await table.terms(scope={"job_types": ["営業"]})
    await table.start()
    await table.to(TODAY + timedelta(days=1))
    await table.terms(scope={})
    await table.start(TODAY + timedelta(days=1))
    await table.to(date(2026, 12, 10))
    narrow, wide = await table.credits()

    held = (await table.reserve()).json()
    second = (await table.reserve(job_type="営業")).json()

    assert (held["credit_id"], second["credit_id"]) == (wide["id"], narrow["id"])


async def test_the_fee_it_stands_for_is_a_reference_only(table):
    await table.terms(fee={"rate_percent": "35"}, value_cap_jpy=1_500_000)
    await table.start()
    await table.to(USABLE)
    held = (await table.reserve(annual_salary_jpy=4_000_000)).json()
    assert held["list_fee_jpy"] == 1_400_000
    used = await table.hold(held, "use", hired_on=USABLE.isoformat(), annual_salary_jpy=5_000_000)

    assert used.json()["list_fee_jpy"] == 1_500_000  # 1,750,000, of which the cap is waived


async def test_a_free_hire_who_leaves_gives_the_credit_back_for_three_months_at_least(table):
    await table.start()
    await table.to(date(2027, 11, 20))
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2027-11-20")
    await table.to(date(2027, 12, 20))
    back = await table.hold(held, "early-leave", last_day_employed="2027-12-15")
    again = await table.hold(held, "early-leave", last_day_employed="2027-12-15")
    (credit,) = await table.credits()

    assert (back.json()["state"], back.json()["left_on"]) == ("restored", "2027-12-15")
    assert again.json()["code"] == "reservation_not_used"
    assert await table.balance() == {"available": 1}
    assert credit["expires_on"] == "2028-03-19"
    assert (await table.reserve()).status_code == 201
    assert await table.sound()


@pytest.mark.parametrize(
    ("months", "expires_on"),
    [(0, "2027-01-10"), (1, "2027-01-19")],  # the tail; or longer, as long as was promised
)
async def test_a_credit_that_comes_back_after_the_agreements_end_keeps_its_tail(
    table, months, expires_on
):
    await table.terms(tail_months=1, restore_min_months=months)
    await table.start()
    await table.to(USABLE)
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-02")
    agreement = table.world.agreements[0].id
    await table.company.post(
        f"/v1/company/agreements/{agreement}/end", json={"ends_on": "2026-12-10"}
    )
    await table.to(date(2026, 12, 20))
    await table.hold(held, "early-leave", last_day_employed="2026-12-15")
    (credit,) = await table.credits()

    assert (credit["state"], credit["expires_on"]) == ("available", expires_on)
    assert await table.sound()


async def test_the_numbers_count_starts_that_stand_and_the_list_fees_that_were_avoided(table):
    await table.terms(fee={"rate_percent": "35"}, reference_value_jpy=1_000_000)
    relays = [await table.somebody() for _ in range(4)]
    said = {"type": "accepted", "at": table.clock().isoformat()}
    for relay in relays:
        await table.agency.post(f"/v1/agency/relays/{relay.id}/events", json=said)
    days = (TODAY, TODAY, TODAY, date(2027, 1, 10))
    started = [await table.start(day, one) for day, one in zip(days, relays, strict=True)]
    await table.to(USABLE)
    await table.placement(started[2], "withdraw", reason="cancelled")
    for pay in ({"annual_salary_jpy": 5_000_000}, {}):
        held = (await table.reserve(**pay)).json()
        await table.hold(held, "use", hired_on="2026-12-02")
    path = "/v1/company/metrics?from=2026-06-01&to=2026-12-31"
    numbers = (await table.company.get(path)).json()

    assert numbers["placement_rate"] == {"value": 0.5, "part": 2, "whole": 4}
    assert (numbers["credits_used"], numbers["avoided_fee_reference_jpy"]) == (2, 2_750_000)


@pytest.mark.parametrize(
    ("day", "code"),
    [
        ("2026-12-01", "left_before_start"),
        ("2027-06-02", "outside_guarantee"),
        ("2027-06-10", "not_left_yet"),
    ],
)
async def test_a_leave_that_gives_nothing_back(table, day, code):
    await table.start()
    await table.to(USABLE)
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-02")
    await table.to(date(2027, 6, 5))
    refused = await table.hold(held, "early-leave", last_day_employed=day)

    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert await table.balance() == {"used": 1}


async def test_where_it_was_not_agreed_nothing_comes_back(table):
    await table.terms(restore_on_early_leave=False)
    await table.start()
    await table.to(USABLE)
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-02")
    refused = await table.hold(held, "early-leave", last_day_employed="2026-12-02")

    assert refused.json()["code"] == "restore_not_agreed"


async def test_who_owes_may_be_kept_from_reserving(table):
    await table.terms(credits_per_placement=2, reserve_while_owed=False, settle_owed="invoice")
    first = await table.start()
    await table.start()
    await table.to(USABLE)
    for _ in range(2):
        held = (await table.reserve()).json()
        await table.hold(held, "use", hired_on="2026-12-02")
    await table.placement(first, "withdraw", reason="other")
    refused = await table.reserve()

    assert (await table.balance())["owed"] < 0
    assert (refused.status_code, refused.json()["code"]) == (409, "credit_owed")


async def test_a_rehearsal_takes_the_real_path_and_leaves_nothing(table):
    await table.start()
    await table.to(USABLE)
    body = {"agency_id": table.world.agency.id, "opening": "経理"}
    door, key = "/v1/company/credits/reservations", {"idempotency-key": "rehearsed"}
    shown = await table.company.post(f"{door}?dry_run=true", json=body, headers=key)
    assert shown.status_code == 200, shown.text
    found = shown.json()

    assert shown.headers["dry-run"] == "true"
    assert found["would_answer"]["state"] == "reserved"
    assert found["postings"] == [
        {
            "kind": "reserved", "seq": 3, "agency_id": table.world.agency.id,
            "effective_on": "2026-12-02", "reason": None,
        }
    ]  # fmt: skip
    assert found["balances_after"][0]["reserved"] == 1
    assert await table.balance() == {"available": 1}
    assert (await table.company.get("/v1/company/credits/reservations")).json()["data"] == []
    refused = await table.company.post(
        "/v1/company/credits/reservations?dry_run=true",
        json={**body, "agency_id": table.world.agencies[1].id},
    )
    assert refused.json()["code"] == "no_credit_available"
    real = await table.company.post(door, json=body, headers=key)
    assert (real.status_code, "idempotency-replayed" in real.headers) == (201, False)


async def test_a_rehearsed_placement_and_then_the_real_one(table):
    relay = await table.somebody()
    body = {"started_on": "2026-06-02", "employment_term": "permanent", "attestation": True}
    shown = await table.agency.post(
        f"/v1/agency/relays/{relay.id}/placement?dry_run=true", json=body
    )

    assert [one["kind"] for one in shown.json()["postings"]] == ["granted"]
    assert await table.balance() == {}
    assert (await table.start(relay=relay))["state"] == "placed"


async def test_the_life_of_a_credit_in_sentences(table):
    await table.start()
    await table.to(USABLE)
    held = (await table.reserve()).json()
    await table.hold(held, "release")
    (credit,) = await table.credits()

    assert [step["text_en"] for step in credit["life"]] == [
        "Tue 2 June 2026: Granted.",
        (
            "Wed 2 December 2026: May be used from here on."
            " It may be used from Wed 2 December 2026. Its last day is Wed 1 December 2027."
        ),
        "Wed 2 December 2026: Reserved for an opening.",
        "Wed 2 December 2026: Released, because the reservation was cancelled.",
    ]
    assert credit["life"][1]["text_ja"].endswith(
        "使えるようになりました。2026年12月2日(水)から使えます。期限は2027年12月1日(水)です。"
    )
    agency = await table.agency.get(f"/v1/agency/credits/{credit['id']}")
    assert agency.json() == credit


async def test_a_life_tells_a_settled_debt_and_a_late_fact_by_its_cause(table):
    first = await table.start()
    await table.to(USABLE)
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-02")
    await table.placement(first, "withdraw", reason="wrong_person")
    second = await table.start(USABLE)
    third = await table.start(USABLE)
    await table.to(date(2027, 6, 2))
    await table.to(date(2027, 7, 6))
    await table.placement(third, "early-leave", last_day_employed="2027-05-31")
    lives = {
        one["placement_id"]: [step["text_en"] for step in one["life"]]
        for one in await table.credits()
    }

    assert lives[first["id"]][-2:] == [
        "Wed 2 December 2026: Owed, because it was to be taken back after it had been used.",
        "Wed 2 June 2027: What was owed for it was settled with another credit.",
    ]
    assert lives[second["id"]][-1] == "Wed 2 June 2027: Used to settle what was owed."
    assert lives[third["id"]][-1] == (
        "Tue 6 July 2027: Taken back, because the person left within the guarantee. Reported after"
        " the month was closed, so it is posted on the day it was heard (true since Mon 31 May"
        " 2027)."
    )


async def test_balances_as_of_either_time(table):
    placement = await table.start()
    await table.to(USABLE)
    await table.to(date(2026, 12, 4))
    await table.placement(placement, "early-leave", last_day_employed="2026-11-30")

    async def at(**when):
        found = (await table.company.get("/v1/company/credits", params=when)).json()
        return {name: count for name, count in found["total"].items() if count}

    assert await at(as_of="2026-11-29") == {"pending": 1}
    assert await at(as_of="2026-12-02") == {"reversed": 1}
    assert await at(as_of="2026-12-02", known_at="2026-12-03T00:00:00Z") == {"available": 1}
    assert await at(known_at="2026-12-03T00:00:00Z") == {"available": 1}
    assert await at(as_of="2026-06-01") == {}


async def test_another_agency_and_another_company_see_nothing(table, runtime):

    await table.start()
    (credit,) = await table.credits()
    stranger = await make_world(runtime, slug="stranger")
    async with (
        api_client(runtime, table.world.agency_clients[1]) as agency,
        api_client(runtime, stranger.company_client) as company,
    ):
        seen = [
            await agency.get(f"/v1/agency/credits/{credit['id']}"),
            await company.get(f"/v1/company/credits/{credit['id']}"),
            await agency.get(f"/v1/agency/credits/entries?company_id={stranger.company.id}"),
        ]
        entries = await agency.get(
            f"/v1/agency/credits/entries?company_id={table.world.company.id}"
        )
        unnamed = await agency.get("/v1/agency/credits/entries")

    assert [one.status_code for one in seen] == [404, 404, 404]
    assert entries.json()["data"] == []
    assert unnamed.json()["code"] == "company_id_required"
