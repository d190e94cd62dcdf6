"""What happens to a book when the facts about a placement change, told by the agency's door."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text

from tests.ledger_doors import ENDS, TODAY
from tests.relays import forwarded, take_back

pytestmark = pytest.mark.anyio


async def test_a_start_ahead_is_expected_and_earns_on_its_day(table):
    placement = await table.start(TODAY + timedelta(days=28))
    relay = (await table.agency.get(f"/v1/agency/relays/{placement['relay_id']}")).json()
    ahead = (await table.company.get("/v1/company/credits")).json()["agreements"]

    assert (placement["state"], relay["state"]) == ("expected", "offered")
    assert await table.balance() == {}
    assert [one["expected"] for one in ahead] == [1, 0]

    await table.to(TODAY + timedelta(days=28))

    assert await table.balance() == {"pending": 1}
    relay = (await table.agency.get(f"/v1/agency/relays/{placement['relay_id']}")).json()
    assert relay["state"] == "placed"
    (credit,) = await table.credits()
    assert credit["guarantee_end_on"] == "2026-12-29"
    assert await table.sound()


async def test_a_postponed_start_takes_the_credit_back_until_it_comes(table):
    placement = await table.start()
    later = (TODAY + timedelta(days=10)).isoformat()
    postponed = await table.placement(
        placement, "corrections", started_on=later, reason="postponed"
    )

    assert (postponed.status_code, postponed.json()["state"]) == (200, "expected")
    assert await table.balance() == {"reversed": 1}

    await table.to(TODAY + timedelta(days=10))

    assert await table.kinds() == ["granted", "reversed:postponed", "granted:started"]
    assert await table.balance() == {"pending": 1, "reversed": 1}
    assert [one["guarantee_end_on"] for one in await table.credits()] == [
        ENDS.isoformat(), "2026-12-11",
    ]  # fmt: skip
    assert await table.sound()


async def test_an_expected_start_follows_the_version_in_force_on_its_day(table):
    placement = await table.start(TODAY + timedelta(days=28))
    await table.terms(credits_per_placement=2, guarantee={"months": 3})
    await table.to(TODAY + timedelta(days=28))

    assert await table.balance() == {"pending": 2}
    there = (await table.agency.get(f"/v1/agency/placements/{placement['id']}")).json()
    assert (placement["agreement_version"], there["agreement_version"]) == (1, 2)
    assert there["guarantee_end_on"] == "2026-09-29"
    assert {one["agreement_version"] for one in await table.credits()} == {2}
    assert await table.sound()


async def test_a_leave_that_a_corrected_start_puts_behind_the_guarantee_is_no_early_one(table):
    relay = await table.somebody()
    placement = await table.start(TODAY, relay)
    await table.to(date(2026, 6, 20))
    await table.placement(placement, "corrections", started_on="2026-06-20")
    await table.to(date(2026, 12, 12))
    await table.placement(placement, "early-leave", last_day_employed="2026-12-10")
    assert await table.balance() == {"reversed": 2}

    corrected = await table.placement(placement, "corrections", started_on="2026-06-05")
    seen = (await table.agency.get(f"/v1/agency/relays/{relay.id}")).json()

    assert (corrected.json()["state"], corrected.json()["guarantee_end_on"]) == (
        "guaranteed", "2026-12-04",
    )  # fmt: skip
    assert seen["state"] == "guaranteed"
    await table.to(date(2026, 12, 13))
    assert await table.balance() == {"available": 1, "reversed": 2}
    again = await table.placement(placement, "corrections", started_on="2026-06-20")
    assert again.json()["state"] == "early_left"
    assert await table.balance() == {"reversed": 3}
    assert await table.sound()


async def test_a_corrected_start_replaces_an_untouched_credit_and_says_why(table):
    await table.to(TODAY + timedelta(days=9))
    relay = await forwarded(table.runtime, table.world)
    await table.to(TODAY + timedelta(days=12))
    placement = await table.start(TODAY + timedelta(days=12), relay)
    corrected = await table.placement(
        placement, "corrections", started_on=(TODAY + timedelta(days=10)).isoformat()
    )

    assert corrected.json()["guarantee_end_on"] == "2026-12-11"
    assert await table.kinds() == ["granted", "reversed:corrected", "granted:corrected"]
    history = (await table.agency.get(f"/v1/agency/placements/{placement['id']}")).json()["history"]
    assert [(one["no"], one["kind"], one["started_on"]) for one in history] == [
        (1, "reported", "2026-06-14"), (2, "corrected", "2026-06-12"),
    ]  # fmt: skip
    assert await table.sound()


async def test_the_same_correction_twice_is_one(table):
    placement = await table.start()
    for _ in range(2):
        said = await table.placement(placement, "corrections", employment_term="fixed")

    assert (said.status_code, said.json()["reports"]) == (200, 2)
    assert await table.kinds() == ["granted"]


async def test_a_correction_leaves_a_held_credit_where_it_is(table):
    placement = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    await table.placement(placement, "corrections", started_on="2026-06-03")

    assert await table.balance() == {"reserved": 1}
    assert (await table.hold(held, "use", hired_on="2026-12-02")).status_code == 200
    assert await table.sound()


async def test_a_placement_taken_back_earns_nothing_and_may_be_reported_again(table):
    relay = await forwarded(table.runtime, table.world)
    placement = await table.start(relay=relay)
    again = await table.report(relay, TODAY)
    gone = await table.placement(placement, "withdraw", reason="cancelled")
    twice = await table.placement(placement, "withdraw", reason="cancelled")

    assert (again.status_code, again.json()["code"]) == (409, "placement_exists")
    assert (gone.json()["state"], twice.json()["reports"]) == ("withdrawn", 2)
    assert await table.balance() == {"reversed": 1}
    second = await table.start(relay=relay)
    assert second["id"] != placement["id"]
    assert await table.kinds() == ["granted", "reversed:withdrawn", "granted"]
    left = await table.placement(placement, "early-leave", last_day_employed=TODAY.isoformat())
    assert (left.status_code, left.json()["code"]) == (409, "placement_withdrawn")
    assert await table.sound()


async def test_a_placement_taken_back_after_the_credit_was_used_is_owed_and_settled(table):
    first = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-02")
    await table.placement(first, "withdraw", reason="wrong_person")

    assert await table.balance() == {"used": 1, "reversed": 1, "owed": -1}

    second = await table.start(date(2026, 12, 2))
    assert second["state"] == "placed"
    await table.to(date(2027, 6, 2))

    assert await table.balance() == {"used": 1, "reversed": 1}
    assert await table.sound()


async def test_a_correction_after_a_withdrawal_moves_no_day_it_does_not_name(table):
    relay = await table.somebody()
    placement = await table.start(TODAY + timedelta(days=28), relay)
    await take_back(table.runtime, relay)
    corrected = await table.placement(placement, "corrections", employment_term="fixed")

    assert (corrected.json()["started_on"], corrected.json()["state"]) == ("2026-06-30", "expected")
    assert await table.balance() == {}


async def test_a_leave_may_say_why_and_the_history_keeps_it(table):
    placement = await table.start()
    await table.to(date(2026, 6, 20))
    left = {"last_day_employed": "2026-06-15"}
    wordy = await table.placement(placement, "early-leave", **left, reason_code="He is at Acme.")
    told = await table.placement(placement, "early-leave", **left, reason_code="voluntary_leave")
    there = (await table.agency.get(f"/v1/agency/placements/{placement['id']}")).json()

    assert (wordy.status_code, told.status_code) == (422, 200)
    assert [(one["kind"], one["reason"]) for one in there["history"]] == [
        ("reported", None), ("early_leave", "voluntary_leave"),
    ]  # fmt: skip


async def test_an_early_leave_that_was_none_grants_anew(table):
    await table.terms(credits_per_placement=2)
    placement = await table.start()
    await table.to(date(2026, 6, 20))
    await table.placement(placement, "early-leave", last_day_employed="2026-06-15")
    assert await table.balance() == {"reversed": 2}

    mended = await table.placement(placement, "early-leave/corrections", last_day_employed=None)

    assert (mended.json()["state"], mended.json()["left_on"]) == ("placed", None)
    assert await table.balance() == {"pending": 2, "reversed": 2}
    assert (await table.kinds())[-2:] == ["granted:leave_corrected"] * 2
    relay = (await table.agency.get(f"/v1/agency/relays/{placement['relay_id']}")).json()
    assert relay["state"] == "placed"
    await table.to(ENDS + timedelta(days=1))
    assert await table.balance() == {"available": 2, "reversed": 2}
    assert await table.sound()


async def test_another_last_day_counts_the_share_anew(table):
    tiers = [
        {"unit": "month", "up_to": 1, "percent": 100},
        {"unit": "month", "up_to": 6, "percent": 50},
    ]
    await table.terms(credits_per_placement=2, early_leave_tiers=tiers)
    placement = await table.start()
    await table.to(date(2026, 8, 3))
    await table.placement(placement, "early-leave", last_day_employed="2026-07-31")
    assert await table.balance() == {"pending": 1, "reversed": 1}

    told_again = await table.placement(placement, "early-leave", last_day_employed="2026-06-20")
    assert told_again.json()["code"] == "reported_differently"
    await table.placement(placement, "early-leave/corrections", last_day_employed="2026-06-20")
    assert await table.balance() == {"reversed": 2}
    await table.placement(placement, "early-leave/corrections", last_day_employed="2026-08-01")

    assert await table.balance() == {"pending": 1, "reversed": 2}
    assert await table.sound()


async def test_a_correction_lets_a_credit_stay_that_was_asked_back(table):
    placement = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    await table.placement(placement, "early-leave", last_day_employed="2026-11-30")
    asked = (await table.company.get(f"/v1/company/credits/reservations/{held['id']}")).json()
    await table.placement(placement, "early-leave/corrections", last_day_employed=None)
    kept = (await table.company.get(f"/v1/company/credits/reservations/{held['id']}")).json()

    assert (asked["release_by"], kept["release_by"]) == ("2026-12-09", None)
    await table.to(date(2026, 12, 11))
    assert await table.balance() == {"reserved": 1}
    assert await table.sound()


@pytest.mark.parametrize(
    ("door", "body", "code"),
    [
        ("corrections", {"started_on": "2026-06-01"}, "started_before_forwarding"),
        ("corrections", {"started_on": "2027-06-03"}, "outside_ownership_window"),
        ("corrections", {}, "nothing_corrected"),
        ("early-leave", {"last_day_employed": "2026-06-01"}, "left_before_start"),
        ("early-leave", {"last_day_employed": "2026-06-03"}, "not_left_yet"),
        ("early-leave/corrections", {"last_day_employed": "2026-06-02"}, "no_leave_reported"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_written(table, door, body, code):
    placement = await table.start()
    refused = await table.placement(placement, door, **body)

    assert refused.json()["code"] == code
    assert await table.kinds() == ["granted"]
    detail = (await table.agency.get(f"/v1/agency/placements/{placement['id']}")).json()
    assert [one["no"] for one in detail["history"]] == [1]


async def test_a_credit_that_paid_a_debt_is_as_good_as_used(table):
    """A correction does not earn it again; and when its start was none, it is owed in turn."""
    first = await table.start()
    await table.to(date(2026, 6, 20))
    second = await table.start(date(2026, 6, 20))
    await table.to(date(2026, 12, 10))
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-10")
    await table.placement(first, "early-leave", last_day_employed="2026-11-30")
    await table.to(date(2026, 12, 20))
    assert await table.balance() == {"used": 1, "reversed": 1}  # paid for with the second one's

    await table.placement(second, "corrections", employment_term="fixed")
    assert await table.balance() == {"used": 1, "reversed": 1}
    await table.placement(second, "withdraw", reason="other")
    assert await table.balance() == {"used": 1, "reversed": 2, "owed": -1}
    assert await table.sound()


async def test_a_leave_after_the_guarantee_is_not_early(table):
    placement = await table.start()
    await table.to(date(2026, 12, 10))
    refused = await table.placement(placement, "early-leave", last_day_employed="2026-12-02")

    assert refused.json()["code"] == "outside_guarantee"
    assert await table.balance() == {"available": 1}


async def test_credit_rights_survive_a_withdrawal_and_only_the_month_is_kept(table):
    relay = await forwarded(table.runtime, table.world)
    await take_back(table.runtime, relay)
    await table.to(date(2026, 7, 20))
    placement = await table.start(date(2026, 7, 16), relay)
    seen = (await table.agency.get(f"/v1/agency/relays/{relay.id}")).json()

    assert (placement["started_on"], placement["state"]) == ("2026-07-01", "placed")
    assert seen["state"] == "withdrawn"
    assert await table.balance() == {"pending": 1}
    async with table.runtime.database.transaction(company_id=relay.company_id) as db:
        ops = (await db.execute(text("SELECT op FROM feed_item"))).scalars().all()
    assert ops == ["remove"]
