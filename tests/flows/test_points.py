"""Where relays count: n of them earn a credit, and only while the person's consent stands."""

from datetime import timedelta

import pytest

from tests.ledger_doors import TODAY
from tests.relays import take_back

pytestmark = pytest.mark.anyio


async def accept(table, relay, kind="accepted"):
    return await table.agency.post(
        f"/v1/agency/relays/{relay.id}/events",
        json={"type": kind, "at": table.clock().isoformat()},
    )


async def points(table):
    agreements = (await table.company.get("/v1/company/credits")).json()["agreements"]
    return next(one["points"] for one in agreements if one["agency_id"] == table.world.agency.id)


async def test_every_third_relay_earns_a_credit_that_may_be_used_at_once(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 3})
    for _ in range(4):
        relay = await table.somebody()
        assert (await accept(table, relay)).status_code == 200

    assert await table.balance() == {"available": 1}
    assert await points(table) == 1
    assert await table.kinds() == [
        *["point_counted"] * 3, "granted:points", "granted:points", "became_available",
        "point_counted",
    ]  # fmt: skip
    (credit,) = await table.credits()
    assert (credit["available_on"], credit["expires_on"]) == ("2026-06-02", "2027-06-01")
    assert (credit["placement_id"], credit["relay_id"]) == (None, None)
    assert (await table.reserve()).status_code == 201
    assert await table.sound()


async def test_a_rehearsed_word_shows_what_it_would_count_and_counts_nothing(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 3})
    relay = await table.somebody()
    shown = await table.agency.post(
        f"/v1/agency/relays/{relay.id}/events?dry_run=true",
        json={"type": "accepted", "at": table.clock().isoformat()},
    )
    there = (await table.agency.get(f"/v1/agency/relays/{relay.id}")).json()

    assert shown.json()["would_answer"]["state"] == "accepted"
    assert [one["kind"] for one in shown.json()["postings"]] == ["point_counted"]
    assert (there["state"], await points(table)) == ("forwarded", 0)


async def test_a_relay_counts_once_however_often_it_is_reported(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 3})
    relay = await table.somebody()
    for kind in ("accepted", "accepted", "met", "offered"):
        await accept(table, relay, kind)

    assert await points(table) == 1


async def test_it_counts_when_the_agreed_step_is_reached_also_by_a_later_one(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 5, "counted_event": "met"})
    relay = await table.somebody()
    await accept(table, relay, "contacted")
    assert await points(table) == 0
    await accept(table, relay, "offered")

    assert await points(table) == 1


async def test_a_start_counts_as_well_when_the_agency_said_nothing_before(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 3, "counted_event": "met"})
    relay = await table.somebody()
    await table.start(TODAY, relay)
    ahead = await table.somebody()
    await table.start(TODAY + timedelta(days=5), ahead)
    gone = await table.somebody()
    await take_back(table.runtime, gone)
    await table.start(TODAY, gone)

    assert await points(table) == 2
    assert await table.balance() == {}
    assert await table.sound()


async def test_points_gathered_under_a_higher_number_all_count_under_a_lower_one(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 10})
    for _ in range(4):
        await accept(table, await table.somebody())
    await table.terms(per_n_relays={"n": 2})
    await accept(table, await table.somebody())

    assert (await table.balance(), await points(table)) == ({"available": 2}, 1)
    assert await table.sound()


async def test_a_withdrawal_takes_the_point_out_and_one_before_never_counts(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 2})
    relay = await table.somebody()
    await accept(table, relay)
    await take_back(table.runtime, relay)
    other = await table.somebody()
    await take_back(table.runtime, other)
    refused = await accept(table, other)

    assert refused.json()["code"] == "relay_withdrawn"
    assert await points(table) == 0
    assert await table.kinds() == ["point_counted", "point_removed:withdrawn"]
    explained = await table.company.get(f"/v1/company/credits/entries?relay_id={relay.id}")
    assert [one["kind"] for one in explained.json()["data"]] == ["point_removed", "point_counted"]
    assert await table.sound()


async def test_a_point_that_became_part_of_a_credit_stays(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 1})
    relay = await table.somebody()
    await accept(table, relay)
    await take_back(table.runtime, relay)

    assert await table.balance() == {"available": 1}
    assert await table.sound()


async def test_mixed_counts_both(table):
    await table.terms(accrual_rule="mixed", per_n_relays={"n": 1})
    relay = await table.somebody()
    await accept(table, relay)
    await table.start(TODAY, relay)

    assert await table.balance() == {"available": 1, "pending": 1}


async def test_such_an_agreement_is_shown_with_its_warning(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 10})
    shown = (await table.company.get("/v1/company/agreements")).json()["data"]
    warnings = {one["agency_id"]: one["in_force"]["warning"] for one in shown}

    assert "volume of personal data" in warnings[table.world.agencies[0].id]
    assert warnings[table.world.agencies[1].id] is None


async def test_the_limit_of_open_credits_holds_for_points_too(table):
    await table.terms(accrual_rule="per_n_relays", per_n_relays={"n": 1}, max_open=1)
    for _ in range(2):
        await accept(table, await table.somebody())

    assert await table.balance() == {"available": 1, "expired": 1}
    assert (await table.kinds())[-1] == "expired:cap"
    await table.to(TODAY + timedelta(days=1))
    assert await table.sound()
