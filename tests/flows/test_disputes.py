"""Disputes: what is frozen stands still, and the end puts everything where it was decided."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.dispute_cli import harmless
from domain.flows.earn import dispute_credit
from tests.ledger_doors import ENDS, TODAY
from tests.relays import forwarded

pytestmark = pytest.mark.anyio


async def dispute(table, side="company", **more):
    api = table.company if side == "company" else table.agency
    other = table.world.agency.id if side == "company" else table.world.company.id
    body = {"counterparty_id": other, "reason": "other", "note": "別の方です。", **more}
    return await api.post(f"/v1/{side}/disputes", json=body)


async def step(table, opened, door, side="company", **body):
    api = table.company if side == "company" else table.agency
    return await api.post(f"/v1/{side}/disputes/{opened['id']}/{door}", json=body or None)


async def decide(table, opened, outcome, who="operator-1"):
    """The operator's command."""
    async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
        await dispute_credit.decide(
            db, table.runtime.tools, table.world.company.id, opened["id"], outcome,
            note="双方の記録を確認しました。", actor=who, now=table.clock(),
        )  # fmt: skip


async def test_a_frozen_guarantee_waits_and_goes_on_with_later_dates(table):
    placement = await table.start()
    opened = await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    assert opened.status_code == 201, opened.text
    assert await table.balance() == {"frozen": 1}

    await table.to(TODAY + timedelta(days=10))
    ended = await step(table, opened.json(), "concede", "agency")

    assert (ended.json()["state"], ended.json()["outcome"]) == ("final", "for_company")
    assert await table.balance() == {"pending": 1}
    (credit,) = await table.credits()
    assert credit["guarantee_end_on"] == "2026-12-11"  # ten days later
    await table.to(date(2026, 12, 11))
    assert await table.balance() == {"pending": 1}
    await table.to(date(2026, 12, 12))
    assert await table.balance() == {"available": 1}
    (credit,) = await table.credits()
    assert (credit["available_on"], credit["expires_on"]) == ("2026-12-12", "2027-12-11")
    assert await table.sound()


async def test_frozen_days_do_not_shorten_the_time_of_use(table):
    await table.terms(validity_from="start")
    placement = await table.start()
    opened = await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    await table.to(TODAY + timedelta(days=10))
    await step(table, opened.json(), "concede", "agency")
    await table.to(date(2026, 12, 12))
    (credit,) = await table.credits()

    assert credit["expires_on"] == "2027-06-11"  # twelve months from the start, and ten days


async def test_frozen_days_go_on_to_the_credit_that_takes_its_place(table):
    placement = await table.start()
    (credit,) = await table.credits()
    opened = (await dispute(table, "agency", subject="credit", credit_ids=[credit["id"]])).json()
    await table.to(TODAY + timedelta(days=10))
    await step(table, opened, "concede", "agency")
    await table.placement(placement, "corrections", started_on="2026-06-03")
    *_, anew = await table.credits()

    assert (anew["state"], anew["guarantee_end_on"]) == ("pending", "2026-12-12")
    await table.to(date(2026, 12, 13))
    assert await table.balance() == {"available": 1, "reversed": 1}
    *_, anew = await table.credits()
    assert anew["available_on"] == "2026-12-13"
    assert await table.sound()


async def test_a_start_corrected_meanwhile_holds_for_what_was_frozen(table):
    placement = await table.start()
    opened = (
        await dispute(
            table, subject="placement", reason="wrong_start", placement_id=placement["id"]
        )
    ).json()
    await table.to(TODAY + timedelta(days=10))
    await table.placement(placement, "corrections", started_on="2026-06-08")
    assert await table.balance() == {"frozen": 1}
    await step(table, opened, "concede", "agency")
    *_, anew = await table.credits()

    assert await table.balance() == {"pending": 1, "reversed": 1}
    assert anew["guarantee_end_on"] == "2026-12-17"  # six months from the 8th, and ten days
    assert await table.sound()


async def test_what_is_stale_and_what_is_too_much_go_back_in_one_posting(table):
    await table.terms(credits_per_placement=3)
    placement = await table.start()
    await table.to(TODAY + timedelta(days=1))
    ids = [one["id"] for one in await table.credits()]
    await dispute(table, "agency", subject="credit", credit_ids=ids[:2])
    await table.terms(credits_per_placement=1)
    corrected = await table.placement(placement, "corrections", started_on="2026-06-03")

    assert corrected.status_code == 200, corrected.text
    assert await table.balance() == {"frozen": 1, "reversed": 2}
    assert await table.sound()


async def test_a_credit_struck_by_its_own_dispute_does_not_come_back_with_a_correction(table):
    placement = await table.start()
    (credit,) = await table.credits()
    opened = (await dispute(table, "agency", subject="credit", credit_ids=[credit["id"]])).json()
    await step(table, opened, "concede", "company")
    await table.placement(placement, "corrections", employment_term="fixed")

    assert await table.balance() == {"reversed": 1}


async def test_a_credit_of_two_disputes_stays_frozen_until_both_are_over(table):
    placement = await table.start()
    (credit,) = await table.credits()
    first = (await dispute(table, "agency", subject="credit", credit_ids=[credit["id"]])).json()
    await table.to(TODAY + timedelta(days=3))
    second = (await dispute(table, subject="placement", placement_id=placement["id"])).json()
    await table.to(TODAY + timedelta(days=5))
    await step(table, first, "concede", "agency")

    assert second["credit_ids"] == [credit["id"]]
    assert await table.balance() == {"frozen": 1}

    await table.to(TODAY + timedelta(days=10))
    await step(table, second, "concede", "agency")
    (credit,) = await table.credits()

    assert await table.balance() == {"pending": 1}
    assert credit["guarantee_end_on"] == "2026-12-11"  # ten days later, counted from the first
    assert await table.sound()


async def test_what_was_said_is_not_said_otherwise(table):
    placement = await table.start()
    await dispute(table, subject="placement", placement_id=placement["id"])
    for change in (
        "UPDATE dispute_note SET party = 'operator'", "DELETE FROM dispute_note",
        "TRUNCATE dispute_note",
    ):  # fmt: skip
        with pytest.raises(DBAPIError, match="permission denied"):
            async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
                await db.execute(text(change))


async def test_a_held_credit_waits_with_its_hold(table):
    await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    (credit,) = await table.credits()
    opened = await dispute(table, "agency", subject="credit", credit_ids=[credit["id"]])
    refused = await table.hold(held, "use", hired_on="2026-12-02")
    release = await table.hold(held, "release")

    assert await table.balance() == {"frozen": 1}
    assert (refused.json()["code"], release.json()["code"]) == ("credit_frozen", "credit_frozen")
    await table.to(date(2027, 2, 15))  # past the sixty days of the hold
    assert await table.balance() == {"frozen": 1}

    await step(table, opened.json(), "concede", "agency")
    after = (await table.company.get(f"/v1/company/credits/reservations/{held['id']}")).json()

    assert await table.balance() == {"reserved": 1}
    assert after["holds_until"] == "2027-04-16"  # 31 January, and 75 days
    assert (await table.hold(held, "use", hired_on="2027-02-15")).status_code == 200
    assert await table.sound()


async def test_given_up_by_the_company_the_placement_is_struck(table):
    placement = await table.start()
    opened = await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    await step(table, opened.json(), "concede", "company")
    there = (await table.agency.get(f"/v1/agency/placements/{placement['id']}")).json()

    assert await table.balance() == {"reversed": 1}
    assert (await table.kinds())[-1] == "reversed:dispute"
    assert (there["state"], there["history"][-1]["reason"]) == ("withdrawn", "dispute")
    assert await table.sound()


async def test_a_struck_placement_whose_credit_was_used_is_owed(table):
    await table.terms(credits_per_placement=2)
    placement = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-02")
    opened = await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    assert await table.balance() == {"frozen": 1, "used": 1}
    await step(table, opened.json(), "concede", "company")

    assert await table.balance() == {"used": 1, "reversed": 2, "owed": -1}
    assert await table.sound()


async def test_a_withdrawn_placement_comes_back_when_the_company_is_right(table):
    placement = await table.start()
    await table.placement(placement, "withdraw", reason="cancelled")
    opened = await dispute(table, subject="placement", placement_id=placement["id"])
    await step(table, opened.json(), "concede", "agency")

    assert await table.balance() == {"pending": 1, "reversed": 1}
    assert (await table.kinds())[-1] == "granted:decided"
    assert await table.sound()


async def test_an_early_leave_that_was_none_by_decision(table):
    placement = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    await table.placement(placement, "early-leave", last_day_employed="2026-11-30")
    opened = await dispute(table, subject="early_leave", placement_id=placement["id"])
    assert await table.balance() == {"frozen": 1}  # asked back, and now nobody's for a while

    await step(table, opened.json(), "concede", "agency")

    assert await table.balance() == {"reserved": 1}
    after = (await table.company.get(f"/v1/company/credits/reservations/{held['id']}")).json()
    assert (after["state"], after["release_by"]) == ("reserved", None)
    assert await table.sound()


async def test_an_early_leave_that_stands_takes_the_frozen_credit_and_ends_its_hold(table):
    placement = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    await table.placement(placement, "early-leave", last_day_employed="2026-11-30")
    opened = await dispute(table, subject="early_leave", placement_id=placement["id"])
    await step(table, opened.json(), "concede", "company")
    after = (await table.company.get(f"/v1/company/credits/reservations/{held['id']}")).json()

    assert await table.balance() == {"reversed": 1}
    assert after["state"] == "released"
    assert await table.sound()


async def test_a_declaration_that_did_not_hold(table):
    relay = await forwarded(table.runtime, table.world)
    await table.agency.post(
        f"/v1/agency/relays/{relay.id}/events",
        json={
            "type": "declined", "reason": "already_registered", "at": table.clock().isoformat(),
            "registered_on": "2025-01-10", "last_contact_on": "2026-05-01",
        },
    )  # fmt: skip
    opened = await dispute(table, subject="already_registered", relay_id=relay.id)
    assert (await table.report(relay, TODAY)).json()["code"] == "not_attributed"
    await step(table, opened.json(), "concede", "agency")

    assert (await table.report(relay, TODAY)).status_code == 201
    assert await table.balance() == {"pending": 1}


async def test_the_operator_decides_and_another_one_the_appeal(table):
    placement = await table.start()
    opened = (
        await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    ).json()
    answered = await step(table, opened, "notes", note="入社日の記録があります。")
    assert answered.json()["state"] == "evidence"
    await decide(table, opened, "for_agency")
    assert await table.balance() == {"frozen": 1}  # until nobody can appeal any more

    won = await step(table, opened, "appeal", "agency", note="もう一度")
    assert (won.status_code, won.json()["code"]) == (422, "not_yours_to_appeal")
    appealed = await step(table, opened, "appeal", note="書類を添えます。")
    assert appealed.json()["state"] == "appealed"
    with pytest.raises(dispute_credit.Conflict) as same:
        await decide(table, opened, "for_company")
    assert same.value.code == "another_person_needed"
    await decide(table, opened, "for_company", who="operator-2")

    seen = (await table.agency.get(f"/v1/agency/disputes/{opened['id']}")).json()
    assert (seen["state"], seen["outcome"]) == ("final", "for_company")
    assert [(one["party"], one["step"]) for one in seen["notes"]] == [
        ("agency", "opened"), ("company", "evidence"), ("operator", "decided"),
        ("company", "appealed"), ("operator", "decided"),
    ]  # fmt: skip
    assert await table.balance() == {"pending": 1}
    late = await step(table, opened, "notes", note="まだあります。")
    assert late.json()["code"] == "dispute_ended"


async def test_silence_opens_the_evidence_and_accepts_the_decision(table):
    placement = await table.start()
    opened = (
        await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    ).json()
    assert opened["due_on"] == "2026-06-09"  # five business days after a Tuesday
    await table.to(date(2026, 6, 10))
    seen = (await table.company.get(f"/v1/company/disputes/{opened['id']}")).json()
    assert (seen["state"], seen["due_on"]) == ("evidence", "2026-06-24")
    await decide(table, opened, "for_agency")
    await table.to(date(2026, 6, 24))
    assert await table.balance() == {"frozen": 1}
    await table.to(date(2026, 6, 25))

    assert await table.balance() == {"reversed": 1}


async def test_what_was_decided_for_the_company_is_not_reported_away(table):
    placement = await table.start()
    opened = (
        await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    ).json()
    await step(table, opened, "concede", "agency")
    gone = await table.placement(placement, "withdraw", reason="other")
    later = await table.placement(placement, "corrections", started_on="2027-01-05")
    term = await table.placement(placement, "corrections", employment_term="fixed")

    assert (gone.json()["code"], later.json()["code"]) == ("decided_in_dispute",) * 2
    assert term.status_code == 200
    assert await table.balance() == {"pending": 1}


async def test_a_leave_that_was_none_is_not_reported_again_but_a_later_one_is(table):
    placement = await table.start()
    await table.to(date(2026, 9, 1))
    await table.placement(placement, "early-leave", last_day_employed="2026-08-31")
    opened = (await dispute(table, subject="early_leave", placement_id=placement["id"])).json()
    await step(table, opened, "concede", "agency")
    same = await table.placement(placement, "early-leave", last_day_employed="2026-08-31")
    assert same.json()["code"] == "decided_in_dispute"

    await table.to(date(2026, 10, 1))
    new = await table.placement(placement, "early-leave", last_day_employed="2026-09-30")
    back = await table.placement(
        placement, "early-leave/corrections", last_day_employed="2026-08-31"
    )
    assert (new.status_code, back.json()["code"]) == (200, "decided_in_dispute")
    assert (await dispute(table, subject="early_leave", placement_id=placement["id"])).json()[
        "state"
    ] == "opened"


async def test_who_lost_does_not_freeze_the_same_again(table):
    placement = await table.start()
    (credit,) = await table.credits()
    about = (
        {"subject": "placement", "placement_id": placement["id"]},
        {"subject": "credit", "credit_ids": [credit["id"]]},
    )
    for matter in about:
        opened = (await dispute(table, "agency", **matter)).json()
        await step(table, opened, "concede", "agency")
        again = await dispute(table, "agency", **matter)
        assert (again.status_code, again.json()["code"]) == (409, "dispute_decided")

    assert await table.balance() == {"pending": 1}
    assert await table.sound()


async def test_the_company_disputes_what_was_reported_since_it_lost(table):
    placement = await table.start()
    await table.to(date(2026, 9, 1))
    await table.placement(placement, "early-leave", last_day_employed="2026-08-31")
    about = {"subject": "early_leave", "placement_id": placement["id"]}
    await step(table, (await dispute(table, **about)).json(), "concede")
    again = await dispute(table, **about)
    assert again.json()["code"] == "dispute_decided"

    await table.to(date(2026, 9, 2))
    await table.placement(placement, "early-leave/corrections", last_day_employed="2026-08-30")
    assert (await dispute(table, **about)).status_code == 201


@pytest.mark.parametrize(
    ("side", "subject", "status", "code"),
    [
        ("agency", "early_leave", 409, "nothing_to_dispute"),
        ("company", "already_registered", 409, "nothing_to_dispute"),
        ("company", "credit", 409, "nothing_to_dispute"),
    ],
)
async def test_what_is_not_there_is_not_disputed(table, side, subject, status, code):
    placement = await table.start()
    refused = await dispute(
        table, side, subject=subject, placement_id=placement["id"], relay_id=placement["relay_id"]
    )

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert await table.balance() == {"pending": 1}


async def test_one_dispute_at_a_time_and_nobody_elses_placement(table):
    placement = await table.start()
    await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    again = await dispute(table, subject="placement", placement_id=placement["id"])
    body = {
        "counterparty_id": table.world.agencies[1].id, "subject": "placement", "reason": "other",
        "note": "x", "placement_id": placement["id"],
    }  # fmt: skip
    foreign = await table.company.post("/v1/company/disputes", json=body)

    assert again.json()["code"] == "dispute_open"
    assert foreign.status_code == 404


async def test_notes_are_sealed(table):
    placement = await table.start()
    await dispute(table, "agency", subject="placement", placement_id=placement["id"])
    async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
        (sealed,) = (await db.execute(text("SELECT sealed FROM dispute_note"))).scalars().all()

    assert "別の方です。".encode() not in bytes(sealed)


async def test_what_a_side_wrote_does_not_steer_the_operators_terminal(table):
    note = "正しい。\x1b[2K\x1b]52;c;eA==\x07\r\u202e\n次の行"
    placement = await table.start()
    about = {"subject": "placement", "placement_id": placement["id"], "note": note}
    opened = (await dispute(table, "agency", **about)).json()
    told = opened["notes"][0]["note"]

    assert harmless(told) == "正しい。�[2K�]52;c;eA==���\n次の行"


async def test_a_rehearsed_dispute_shows_what_it_would_freeze_and_leaves_nothing(table):
    placement = await table.start()
    body = {
        "counterparty_id": table.world.company.id, "subject": "placement", "reason": "other",
        "note": "x", "placement_id": placement["id"],
    }  # fmt: skip
    shown = await table.agency.post("/v1/agency/disputes?dry_run=true", json=body)

    assert shown.status_code == 200, shown.text
    assert [one["kind"] for one in shown.json()["postings"]] == ["frozen"]
    assert shown.json()["balances_after"][0]["frozen"] == 1
    assert shown.json()["would_answer"]["state"] == "opened"
    assert await table.balance() == {"pending": 1}
    assert (await table.agency.get("/v1/agency/disputes")).json()["data"] == []
