"""Corrections by hand: two people, the other side's yes, and the database that insists on both."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from domain import ledger
from domain.credits import Bucket, Kind
from domain.errors import Conflict
from domain.flows.office import open_account
from domain.posting import Move, Posting
from tests.conftest import api_client
from tests.ledger_doors import ENDS, TODAY

pytestmark = pytest.mark.anyio


@pytest.fixture
async def second(runtime, world):
    """A second client of the company, and of the agency: other people than the first."""
    async with runtime.database.transaction() as db:
        made = [
            await open_account.register_client(
                db, name="second", now=runtime.clock(), company_id=world.company.id
            ),
            await open_account.register_client(
                db, name="second", now=runtime.clock(), agency_id=world.agency.id
            ),
        ]
    async with (
        api_client(runtime, (made[0][0].id, made[0][1])) as company,
        api_client(runtime, (made[1][0].id, made[1][1])) as agency,
    ):
        yield {"company": company, "agency": agency}


def sides(table):
    return {"company": table.company, "agency": table.agency}


async def ask(table, side, kind, **more):
    other = table.world.agency.id if side == "company" else table.world.company.id
    body = {"counterparty_id": other, "kind": kind, "reason": "correction", "note": "訂正", **more}
    return await sides(table)[side].post(f"/v1/{side}/adjustments", json=body)


async def answer(api, side, asked, word):
    return await api.post(f"/v1/{side}/adjustments/{asked.json()['id']}/{word}")


async def test_more_credits_need_two_of_the_company_and_a_yes_of_the_agency(table, second):
    asked = await ask(table, "company", "issue", count=2)
    alone = await answer(table.company, "company", asked, "approve")
    early = await answer(table.agency, "agency", asked, "agree")
    approved = await answer(second["company"], "company", asked, "approve")
    own = await answer(second["company"], "company", asked, "agree")
    assert await table.balance() == {}
    agreed = await answer(table.agency, "agency", asked, "agree")

    assert asked.status_code == 201, asked.text
    assert (alone.json()["code"], early.json()["code"]) == (
        "second_person_needed", "step_not_allowed",
    )  # fmt: skip
    assert (approved.json()["state"], own.json()["code"]) == ("approved", "not_yours_to_answer")
    assert agreed.json()["state"] == "posted"
    assert await table.balance() == {"available": 2}
    assert await table.kinds() == ["adjusted:correction"] * 2
    credit = (await table.credits())[0]
    assert (credit["available_on"], credit["expires_on"]) == ("2026-06-02", "2027-06-01")
    assert (await table.reserve()).status_code == 201
    assert await table.sound()


async def test_the_agency_gives_more_without_asking_but_not_with_one_person(table, second):
    asked = await ask(table, "agency", "issue", count=1)
    assert (await answer(table.agency, "agency", asked, "approve")).status_code == 409
    given = await answer(second["agency"], "agency", asked, "approve")

    assert given.json()["state"] == "posted"
    assert await table.balance() == {"available": 1}


async def test_fewer_credits_need_the_companys_yes(table, second):
    await table.start()
    (credit,) = await table.credits()
    asked = await ask(table, "agency", "take", credit_ids=[credit["id"]])
    await answer(second["agency"], "agency", asked, "approve")
    assert await table.balance() == {"pending": 1}
    no = await answer(table.company, "company", asked, "decline")
    late = await answer(table.company, "company", asked, "agree")

    assert (no.json()["state"], late.json()["code"]) == ("declined", "step_not_allowed")
    assert await table.balance() == {"pending": 1}

    again = await ask(table, "agency", "take", credit_ids=[credit["id"]])
    await answer(second["agency"], "agency", again, "approve")
    await answer(table.company, "company", again, "agree")

    assert await table.balance() == {"reversed": 1}
    assert (await table.kinds())[-1] == "adjusted:correction"
    assert await table.sound()


async def test_what_was_taken_by_hand_does_not_come_back_with_a_correction(table, second):
    placement = await table.start()
    (credit,) = await table.credits()
    asked = await ask(table, "agency", "take", credit_ids=[credit["id"]])
    await answer(second["agency"], "agency", asked, "approve")
    await answer(table.company, "company", asked, "agree")
    await table.placement(placement, "corrections", employment_term="fixed")

    assert await table.balance() == {"reversed": 1}


async def test_a_later_last_day_is_a_changed_term_both_accept(table, second):
    await table.start()
    await table.to(ENDS + timedelta(days=1))
    (credit,) = await table.credits()
    body = {"credit_ids": [credit["id"]], "expires_on": "2028-03-31"}
    asked = await ask(table, "company", "extend", **body)
    await answer(second["company"], "company", asked, "approve")
    await answer(table.agency, "agency", asked, "agree")
    (after,) = await table.credits()

    assert (credit["expires_on"], after["expires_on"]) == ("2027-12-01", "2028-03-31")
    assert after["life"][-1]["kind"] == "term_changed"
    assert after["life"][-1]["text_en"].endswith("Its last day is Fri 31 March 2028.")
    await table.to(date(2028, 4, 1))
    assert await table.balance() == {"expired": 1}
    assert await table.sound()


async def test_what_is_owed_may_be_paid_for_outside_the_ledger(table, second):
    await table.terms(settle_owed="invoice")
    placement = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = (await table.reserve()).json()
    await table.hold(held, "use", hired_on="2026-12-02")
    await table.placement(placement, "early-leave", last_day_employed="2026-11-30")
    await table.start(date(2026, 12, 2))
    await table.to(date(2027, 6, 2))
    assert await table.balance() == {"used": 1, "available": 1, "reversed": 1, "owed": -1}
    owing = held["credit_id"]
    asked = await ask(table, "agency", "settle", credit_ids=[owing], reason="invoice_paid")
    await answer(second["agency"], "agency", asked, "approve")
    twice = await ask(table, "agency", "settle", credit_ids=[owing], reason="invoice_paid")

    assert await table.balance() == {"used": 1, "available": 1}
    assert twice.json()["code"] == "credit_moved"
    assert await table.sound()


async def test_a_debt_is_paid_for_once_however_often_it_was_asked(table, second):
    """The second yes finds the debt paid, and does not pay another credit's with it."""
    await table.terms(settle_owed="invoice", credits_per_placement=2)
    placement = await table.start()
    await table.to(ENDS + timedelta(days=1))
    held = [(await table.reserve()).json() for _ in range(2)]
    for one in held:
        await table.hold(one, "use", hired_on="2026-12-02")
    await table.placement(placement, "early-leave", last_day_employed="2026-11-30")
    owing = held[0]["credit_id"]
    first = await ask(table, "agency", "settle", credit_ids=[owing], reason="invoice_paid")
    again = await ask(table, "agency", "settle", credit_ids=[owing], reason="invoice_paid")
    paid = await answer(second["agency"], "agency", first, "approve")
    refused = await answer(second["agency"], "agency", again, "approve")

    assert paid.json()["state"] == "posted"
    assert (refused.status_code, refused.json()["code"]) == (409, "credit_moved")
    assert await table.balance() == {"used": 2, "reversed": 1, "owed": -1}
    assert await table.sound()


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("issue", {}),
        ("issue", {"count": 1, "credit_ids": ["crd_" + "0" * 26]}),
        ("take", {"count": 1}),
        ("extend", {"credit_ids": ["crd_" + "0" * 26]}),
        ("settle", {}),
    ],
)
async def test_a_wish_that_does_not_fit_its_kind_is_refused(table, kind, more):
    refused = await ask(table, "company", kind, **more)

    assert (refused.status_code, refused.json()["code"]) == (422, "adjustment_invalid")


async def test_a_credit_of_nobody_or_in_the_wrong_place(table):
    await table.start()
    (credit,) = await table.credits()
    unknown = await ask(table, "company", "take", credit_ids=["crd_" + "0" * 26])
    pending = await ask(
        table, "company", "extend", credit_ids=[credit["id"]], expires_on="2028-01-01"
    )

    assert (unknown.status_code, pending.json()["code"]) == (404, "credit_moved")


async def test_a_dispute_decided_for_one_takes_the_place_of_the_others_yes(table, second):
    placement = await table.start()
    body = {
        "counterparty_id": table.world.company.id, "subject": "placement", "reason": "other",
        "note": "x", "placement_id": placement["id"],
    }  # fmt: skip
    opened = (await table.agency.post("/v1/agency/disputes", json=body)).json()
    open_still = await ask(table, "company", "issue", count=1, dispute_id=opened["id"])
    await table.agency.post(f"/v1/agency/disputes/{opened['id']}/concede")
    wrong = await ask(table, "agency", "issue", count=1, dispute_id=opened["id"])
    asked = await ask(table, "company", "issue", count=1, dispute_id=opened["id"])
    done = await answer(second["company"], "company", asked, "approve")

    assert open_still.json()["code"] == wrong.json()["code"] == "dispute_not_decided"
    assert done.json()["state"] == "posted"
    assert await table.balance() == {"pending": 1, "available": 1}


async def won(table, **about):
    """A dispute the agency opened and gave up."""
    body = {"counterparty_id": table.world.company.id, "reason": "other", "note": "x", **about}
    opened = (await table.agency.post("/v1/agency/disputes", json=body)).json()
    await table.agency.post(f"/v1/agency/disputes/{opened['id']}/concede")
    return opened["id"]


async def test_a_won_dispute_is_no_blank_cheque(table, second):
    """One correction, for what the dispute was about; for more the other side is asked."""
    placement = await table.start()
    await table.start()
    mine, foreign = await table.credits()
    dispute = await won(table, subject="placement", placement_id=placement["id"])
    many = await ask(table, "company", "issue", count=2, dispute_id=dispute)
    other = await ask(table, "company", "take", credit_ids=[foreign["id"]], dispute_id=dispute)
    assert [many.json()["code"], other.json()["code"]] == ["beyond_dispute"] * 2

    first = await ask(table, "company", "take", credit_ids=[mine["id"]], dispute_id=dispute)
    twice = await ask(table, "company", "issue", count=1, dispute_id=dispute)
    assert (first.status_code, twice.json()["code"]) == (201, "dispute_used")

    await answer(table.company, "company", first, "cancel")
    again = await ask(table, "company", "issue", count=1, dispute_id=dispute)
    await answer(second["company"], "company", again, "approve")
    assert await table.balance() == {"pending": 2, "available": 1}
    assert await table.sound()


@pytest.mark.parametrize(
    "change",
    [
        "approved_by = requested_by, state = 'approved'",
        "state = 'assented', approved_by = 'crc_2'",
        "state = 'approved'",
    ],
)
async def test_the_database_itself_wants_two_persons_and_the_assent(table, change):
    asked = await ask(table, "company", "issue", count=1)
    with pytest.raises(DBAPIError, match="ck_adjustment"):
        async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
            await db.execute(text(f"UPDATE adjustment SET {change}"))  # noqa: S608

    assert (await table.company.get(f"/v1/company/adjustments/{asked.json()['id']}")).json()[
        "state"
    ] == "requested"


async def test_a_key_that_names_an_adjustment_is_not_enough(table):
    """Even when everybody agreed, nothing else than what was agreed is posted under its name."""
    asked = await ask(table, "agency", "issue", count=1)
    await table.start(TODAY)
    (credit,) = await table.credits()
    async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
        await db.execute(text("UPDATE adjustment SET state = 'assented', approved_by = 'crc_x'"))
    move = Move(credit["id"], Bucket.PENDING, Bucket.REVERSED)
    key = f"adjust:{asked.json()['id']}"

    assert await refused(table, posting(Kind.ADJUSTED, key, [move, move])) == "not_assented"
    assert await refused(table, posting(Kind.ADJUSTED, key, [move])) == "not_assented"
    assert await refused(table, posting(Kind.REVERSED, key, [move])) == "not_assented"
    assert await table.balance() == {"pending": 1}


@pytest.mark.parametrize("outcome", [None, "for_agency"])
async def test_a_dispute_that_was_not_won_carries_nothing_whatever_the_row_says(table, outcome):
    """As if the app itself were turned: the posting function looks at the dispute again."""
    placement = await table.start(TODAY)
    dispute_id = "dsp_" + "0" * 26
    if outcome is not None:
        dispute_id = await won(table, subject="placement", placement_id=placement["id"])
    asked = await ask(table, "agency", "take", credit_ids=[(await table.credits())[0]["id"]])
    async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
        await db.execute(
            text(
                "UPDATE adjustment SET state = 'assented', approved_by = 'crc_x',"
                " dispute_id = :dispute"
            ),
            {"dispute": dispute_id},
        )
        credit_id = (await table.credits())[0]["id"]
    move = Move(credit_id, Bucket.PENDING, Bucket.REVERSED)
    key = f"adjust:{asked.json()['id']}"

    assert await refused(table, posting(Kind.ADJUSTED, key, [move])) == "not_assented"


def posting(kind, key, moves):
    return Posting(kind=kind, key=key, effective_on=TODAY, actor="crc_x", moves=moves)


async def refused(table, wrong):
    with pytest.raises(Conflict) as no:
        await try_posting(table, wrong)
    return no.value.code


async def try_posting(table, wrong):
    company = table.world.company.id
    async with table.runtime.database.transaction(company_id=company) as db:
        book = await ledger.book_of(db, company, table.world.agency.id)
        await ledger.post(db, book, wrong, table.clock())
