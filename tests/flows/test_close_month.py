"""Months are closed one after the other; what was signed stays, and every opening is a closing."""

import asyncio
import itertools
import json
from dataclasses import asdict
from datetime import date, timedelta
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from api.clock import Clock
from api.runtime import Runtime
from domain.credits import Book, Reservation
from domain.errors import Conflict, Invalid, NotFound, Refusal
from domain.flows.earn import answer_statement, use_credit
from domain.flows.earn.adjust_credits import Wish, agree, approve, request_adjustment
from domain.flows.earn.close_month import close_month
from domain.flows.earn.dispute_credit import Matter, open_dispute
from domain.flows.earn.earn_credits import settle_placement
from domain.flows.earn.use_credit import Opening
from domain.flows.office import open_account
from domain.flows.relay.count_relay import count_relay, uncount_relay
from domain.flows.tell.write_mail import open_mail
from domain.ids import new_id
from domain.ledger import credits_of
from domain.month import Month
from domain.notice import Mail
from domain.relay import Relay
from domain.statement import Statement
from domain.store import lock
from domain.views import credits as view
from domain.views.statement import statements
from domain.views.statement_document import canonical
from tests.conftest import _admin, settings_for
from tests.factories import make_world, work
from tests.flows.ledger_story import at, balance, earn, leave, place, terms_are
from tests.statements import check, close_due

pytestmark = pytest.mark.anyio

APRIL = date(2026, 4, 1)
FIFTH = at(date(2026, 5, 5))
CLOSING = timedelta(minutes=10)
ZEROS = dict.fromkeys(
    ("pending", "available", "reserved", "frozen", "used", "expired", "reversed", "owed"), 0
)


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


async def month_of(runtime, world, name, agency=0):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        [told] = await statements(
            db, Month.named(name), runtime.clock(),
            company_id=world.company.id, agency_id=world.agencies[agency].id,
        )  # fmt: skip
    return told


async def book_of(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return (await db.scalars(select(Book))).one()


async def signed(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        wanted = select(Statement).order_by(col(Statement.month))
        return (await db.scalars(wanted)).all()


async def move(runtime, world, clock, moment):
    """Let time pass up to a moment, and close what is due by then; the months with a statement."""
    clock.move_to(moment)
    await work(runtime)
    await close_due(runtime, world, moment)
    return [f"{row.month:%Y-%m}" for row in await signed(runtime, world)]


async def test_a_month_is_closed_ten_past_midnight_on_the_fifth(runtime, world):
    await earn(runtime, world, APRIL)
    moment = at(date(2026, 5, 5), 0) + CLOSING
    early = await close_due(runtime, world, moment - timedelta(seconds=1))
    made = await close_due(runtime, world, moment)
    again = await close_due(runtime, world, moment)
    [row] = await signed(runtime, world)
    book = await book_of(runtime, world)

    assert (early, made, again) == ([], ["2026-04"], [])
    assert (book.closed_through, book.close_at) == (
        date(2026, 4, 30), at(date(2026, 6, 5), 0) + CLOSING,
    )  # fmt: skip
    assert (row.month, row.seq, row.head_hash) == (APRIL, 1, book.head_hash)
    assert row.closed_at == moment
    # Ten business days after Children's Day; the sixth is a holiday in lieu.
    assert row.answer_due_on == date(2026, 5, 20)


async def test_the_document_is_canonical_and_signed(runtime, world, clock):
    await earn(runtime, world, APRIL)
    await move(runtime, world, clock, FIFTH)
    [row] = await signed(runtime, world)
    document = json.loads(row.document)

    assert row.document == canonical(document)
    assert row.sha256 == sha256(row.document).hexdigest()
    assert check(row.signature, row.document) == {
        "alg": "EdDSA", "kid": runtime.tools.signer.key_id, "typ": "credit-statement+json",
    }  # fmt: skip
    assert b", " not in row.document
    assert "株式会社みらい製作所".encode() in row.document


async def test_a_statement_says_the_whole_month(runtime, world):
    placement = await earn(runtime, world, APRIL)
    await close_due(runtime, world, FIFTH)
    [row] = await signed(runtime, world)
    book = await book_of(runtime, world)
    said = json.loads(row.document)
    [credit] = said["credits"]
    [entry] = said["entries"]

    assert {name: said[name] for name in sorted(set(said) - {"credits", "entries"})} == {
        "form": "credit-statement-v1",
        "month": "2026-04",
        "first_day": "2026-04-01",
        "last_day": "2026-04-30",
        "final": True,
        "closed_at": "2026-05-05T01:00:00Z",
        "company_id": world.company.id,
        "agency_id": world.agency.id,
        "agreement_id": world.agreements[0].id,
        "book_id": book.id,
        "company": {"name": "株式会社みらい製作所", "name_en": "Mirai Works K.K."},
        "agency": {
            "name": "あおぞらキャリア株式会社", "name_en": "Aozora Career K.K.",
            "license_number": "13-ユ-300000",
        },
        "agreement": {"number": "mirai-0", "versions_cited": [1]},
        "opening": ZEROS,
        "closing": {**ZEROS, "pending": 1},
        "movements": {"granted": 1},
        "points": dict.fromkeys(("opening", "closing", "counted", "removed", "converted"), 0),
        "date_changes": [],
        "expiring": [],
        "owed": [],
        "adjustments": [],
        "disputes": [],
        "reference_value": {
            "label": "参考値", "closing_jpy": ZEROS, "avoided_fees_jpy": 0, "avoided_fees_known": 0,
        },
        "head": {"seq": 1, "hash": book.head_hash.hex()},
        "checkpoint": None,
    }  # fmt: skip
    assert credit == {
        "id": credit["id"], "state": "pending", "agreement_version": 1,
        "relay_id": credit["relay_id"], "placement_id": placement,
        "guarantee_end_on": "2026-09-30", "available_on": None, "expires_on": None,
        "reference_value_jpy": 0,
    }  # fmt: skip
    assert (entry["credit_id"], entry["kind"], entry["effective_on"], entry["at"]) == (
        credit["id"], "granted", "2026-04-01", "2026-04-01T01:00:00Z",
    )  # fmt: skip


async def test_both_sides_are_told_and_nobody_is_named(runtime, world, clock):
    async with runtime.database.transaction() as db:
        for locale, party in (
            ("ja", {"company_id": world.company.id}), ("en", {"agency_id": world.agency.id}),
        ):  # fmt: skip
            member = await open_account.register_member(
                db, runtime.tools.sealer, email=f"{locale}@people.example", name="見本 花子",
                roles=["admin"], now=clock(), **party,
            )  # fmt: skip
            member.locale = locale
            await db.flush()
    await earn(runtime, world, APRIL)
    await close_due(runtime, world, FIFTH)
    [row] = await signed(runtime, world)
    told = []
    for whose in ({"company_id": world.company.id}, {"agency_id": world.agency.id}):
        async with runtime.database.transaction(**whose) as db:
            [mail] = (await db.scalars(select(Mail))).all()
            told.append(open_mail(runtime.tools, mail))

    assert [one["to"] for one in told] == ["ja@people.example", "en@people.example"]
    assert [one["subject"] for one in told] == [
        "2026年4月の無償紹介枠 月次明細書",
        "Statement of free referral credits for April 2026",
    ]
    assert "あおぞらキャリア株式会社" in told[0]["text"]
    assert "Mirai Works K.K." in told[1]["text"]
    assert "2026年5月20日(水)" in told[0]["text"]
    page = "statements/2026-04?with="
    assert f"http://relay.test/dashboard/{page}{world.agency.id}" in told[0]["text"]
    assert f"http://relay.test/agency/{page}{world.company.id}" in told[1]["text"]
    for one in told:
        assert row.id in one["text"]
        assert "花子" not in one["text"]


async def test_months_that_fell_behind_are_closed_in_turn(runtime, world, clock):
    await earn(runtime, world, APRIL)
    made = await move(runtime, world, clock, at(date(2026, 11, 20)))
    book = await book_of(runtime, world)
    october = (await month_of(runtime, world, "2026-10")).document

    assert made == ["2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"]
    assert book.closed_through == date(2026, 10, 31)
    assert october["movements"] == {"became_available": 1}
    assert october["credits"][0]["expires_on"] == "2027-09-30"


async def test_a_start_before_the_book_was_opened_gets_its_month(runtime, world, clock):
    """Reported in June, true in April: April and May are stated, oldest first."""
    clock.move_to(at(date(2026, 6, 2)))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        placement = await place(db, world, APRIL)
        await settle_placement(db, runtime.tools, placement, because="started", now=clock())
    made = await move(runtime, world, clock, at(date(2026, 7, 5)))

    assert made == ["2026-04", "2026-05", "2026-06"]
    assert (await month_of(runtime, world, "2026-04")).document["movements"] == {"granted": 1}


async def test_a_month_with_nothing_to_say_is_closed_in_silence(runtime, world, clock):
    placement = await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 4, 20)))
    await leave(runtime, world, placement, date(2026, 4, 20), clock())
    made = await move(runtime, world, clock, at(date(2026, 7, 5)))
    book = await book_of(runtime, world)
    june = await month_of(runtime, world, "2026-06")

    assert made == ["2026-04"]
    assert book.closed_through == date(2026, 6, 30)
    assert (june.statement, june.document["final"]) == (None, True)
    assert june.document["closing"] == {**ZEROS, "reversed": 1}
    assert (june.document["entries"], june.document["credits"]) == ([], [])


async def test_a_halted_book_waits(runtime, world, clock):
    await earn(runtime, world, APRIL)
    book = await book_of(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(text("SELECT ledger_halt(:c, :b)"), {"c": world.company.id, "b": book.id})
    clock.move_to(FIFTH)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        made = await close_month(db, runtime.tools, world.company.id, book.id, clock())

    assert made is None
    assert await signed(runtime, world) == []
    assert (await book_of(runtime, world)).closed_through is None


async def test_a_late_fact_is_dated_today_and_the_statement_stands(runtime, world, clock):
    placement = await earn(runtime, world, APRIL)
    await move(runtime, world, clock, at(date(2026, 7, 5)))
    before = [(row.document, row.signature) for row in await signed(runtime, world)]
    clock.move_to(at(date(2026, 7, 6)))
    await leave(runtime, world, placement, date(2026, 6, 30), clock())
    after = [(row.document, row.signature) for row in await signed(runtime, world)]
    july = (await month_of(runtime, world, "2026-07")).document
    [entry] = july["entries"]

    assert after == before
    assert (entry["kind"], entry["effective_on"], entry["reason"]) == (
        "reversed", "2026-07-06", "late_fact",
    )  # fmt: skip
    assert (entry["request"]["fact_on"], entry["request"]["fact"]) == ("2026-06-30", "early_leave")
    assert july["opening"] == {**ZEROS, "pending": 1}
    assert july["closing"] == {**ZEROS, "reversed": 1}


async def test_before_the_closing_a_fact_goes_to_its_own_month(runtime, world, clock):
    placement = await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 5, 3)))
    await leave(runtime, world, placement, date(2026, 4, 30), clock())
    await move(runtime, world, clock, FIFTH)
    [row] = await signed(runtime, world)

    assert json.loads(row.document)["closing"] == {**ZEROS, "reversed": 1}


async def test_what_is_recorded_after_the_month_is_not_in_it(runtime, world, clock):
    """Closed on the fifth: what became true on the first of May is in the head, not in April."""
    await earn(runtime, world, APRIL)
    await earn(runtime, world, date(2026, 5, 1))
    await move(runtime, world, clock, FIFTH)
    [row] = await signed(runtime, world)
    said = json.loads(row.document)

    assert said["closing"] == {**ZEROS, "pending": 1}
    assert (len(said["credits"]), said["head"]["seq"], row.seq) == (1, 2, 2)


async def test_a_used_credit_and_its_reference_value(runtime, world, clock):
    fee = {"rate_percent": "35", "rounding": "floor"}
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start", reference_value_jpy=1_000_000, fee=fee)
    await earn(runtime, world, APRIL)
    await earn(runtime, world, APRIL)
    company = world.company.id
    async with runtime.database.transaction(company_id=company) as db:
        held = await use_credit.reserve(
            db, company, agency_id=world.agency.id, actor="crc_a", now=clock(),
            opening=Opening("経理", annual_salary_jpy=5_000_000),
        )  # fmt: skip
        await use_credit.use(db, company, held.id, hired_on=APRIL, actor="crc_a", now=clock())
    said = (await month_of(runtime, world, "2026-04")).document

    assert said["closing"] == {**ZEROS, "available": 1, "used": 1}
    assert said["reference_value"] == {
        "label": "参考値",
        "closing_jpy": {**ZEROS, "available": 1_000_000, "used": 1_000_000},
        "avoided_fees_jpy": 1_750_000,
        "avoided_fees_known": 1,
    }
    assert said["agreement"]["versions_cited"] == [2]
    assert [one["state"] for one in said["credits"]] == ["used", "available"]


async def test_credits_about_to_expire_are_counted_by_their_last_day(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start", validity_months=3)
    await earn(runtime, world, date(2026, 4, 2))
    await earn(runtime, world, date(2026, 4, 2))
    await earn(runtime, world, date(2026, 4, 30))
    clock.move_to(at(date(2026, 4, 30)))
    said = (await month_of(runtime, world, "2026-04")).document

    # 90 days after the thirtieth of April is the twenty-ninth of July.
    assert said["expiring"] == [
        {"expires_on": "2026-07-01", "credits": 2}, {"expires_on": "2026-07-29", "credits": 1},
    ]  # fmt: skip


async def test_dates_are_told_as_they_stood_at_the_end_of_the_month(runtime, world, clock):
    await earn(runtime, world, APRIL)
    await move(runtime, world, clock, at(date(2026, 10, 1)))
    september = (await month_of(runtime, world, "2026-09")).document
    october = (await month_of(runtime, world, "2026-10")).document

    assert [(one["state"], one["available_on"]) for one in september["credits"]] == [
        ("pending", None)
    ]
    assert [
        (one["state"], one["available_on"], one["expires_on"]) for one in october["credits"]
    ] == [("available", "2026-10-01", "2027-09-30")]
    assert [(one["field"], one["old"], one["new"]) for one in october["date_changes"]] == [
        ("available_on", None, "2026-10-01"), ("expires_on", None, "2027-09-30"),
    ]  # fmt: skip


async def test_what_is_owed_is_told_by_its_credit(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start")
    placement = await earn(runtime, world, APRIL)
    company = world.company.id
    async with runtime.database.transaction(company_id=company) as db:
        held = await use_credit.reserve(
            db,
            company,
            agency_id=world.agency.id,
            opening=Opening("経理"),
            actor="crc_a",
            now=clock(),
        )
        await use_credit.use(db, company, held.id, hired_on=APRIL, actor="crc_a", now=clock())
    clock.move_to(at(date(2026, 4, 20)))
    await leave(runtime, world, placement, date(2026, 4, 19), clock())
    april = (await month_of(runtime, world, "2026-04")).document

    assert april["closing"] == {**ZEROS, "used": 1, "reversed": 1, "owed": -1}
    assert april["owed"] == [held.credit_id]
    assert [one["state"] for one in april["credits"]] == ["used"]


async def test_a_dispute_is_told_in_every_month_it_was_open(runtime, world, clock):
    placement = await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 5, 20)))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        made = await open_dispute(
            db, runtime.tools, world.company.id, world.agency.id,
            Matter("placement", "wrong_start", "…", placement_id=placement),
            party="company", actor="crc_a", now=clock(),
        )  # fmt: skip
    april = (await month_of(runtime, world, "2026-04")).document
    may = (await month_of(runtime, world, "2026-05")).document

    assert april["disputes"] == []
    assert may["disputes"] == [
        {
            "id": made.id, "subject": "placement", "reason": "wrong_start", "opened_by": "company",
            "opened_on": "2026-05-20", "ended_on": None, "outcome": None,
            "credit_ids": made.credit_ids,
        }
    ]  # fmt: skip
    assert may["movements"] == {"frozen": 1}
    assert may["closing"] == {**ZEROS, "frozen": 1}


async def test_corrections_by_hand_stand_apart(runtime, world, clock):
    await earn(runtime, world, APRIL)
    company, now = world.company.id, at(date(2026, 4, 10))
    clock.move_to(now)
    async with runtime.database.transaction(company_id=company) as db:
        wish = Wish("issue", "goodwill", "…", count=2)
        asked = await request_adjustment(
            db, runtime.tools, company, world.agency.id, wish,
            party="company", actor="crc_a", now=now,
        )  # fmt: skip
        await approve(db, runtime.tools, company, asked.id, party="company", actor="crc_b", now=now)
        await agree(db, company, asked.id, party="agency", actor="crc_c", now=now)
    april = (await month_of(runtime, world, "2026-04")).document
    issued = [one["credit_id"] for one in april["entries"] if one["kind"] == "adjusted"]

    assert april["adjustments"] == [
        {
            "id": asked.id, "kind": "issue", "reason": "goodwill", "requested_by": "crc_a",
            "approved_by": "crc_b", "agreed_by": "crc_c", "effective_on": "2026-04-10", "seq": 2,
            "credit_ids": sorted(issued),
        }
    ]  # fmt: skip
    assert april["movements"] == {"adjusted": 2, "granted": 1}
    assert april["closing"] == {**ZEROS, "pending": 1, "available": 2}


async def test_changed_terms_are_told_though_nothing_moves(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start")
    placement = await earn(runtime, world, APRIL)
    company, now = world.company.id, at(date(2026, 5, 6))
    await close_due(runtime, world, FIFTH)
    clock.move_to(now)
    async with runtime.database.transaction(company_id=company) as db:
        [credit] = await credits_of(db, company, placement_id=placement)
        wish = Wish("extend", "goodwill", "…", credit_ids=[credit.id], expires_on=date(2028, 1, 31))
        asked = await request_adjustment(
            db, runtime.tools, company, world.agency.id, wish,
            party="company", actor="crc_a", now=now,
        )  # fmt: skip
        await approve(db, runtime.tools, company, asked.id, party="company", actor="crc_b", now=now)
        await agree(db, company, asked.id, party="agency", actor="crc_c", now=now)
    may = (await month_of(runtime, world, "2026-05")).document
    april = (await month_of(runtime, world, "2026-04")).document

    assert (may["movements"], may["entries"]) == ({"term_changed": 1}, [])
    assert [(one["field"], one["old"], one["new"]) for one in may["date_changes"]] == [
        ("expires_on", "2027-03-31", "2028-01-31")
    ]
    assert [one["id"] for one in may["adjustments"]] == [asked.id]
    assert april["credits"][0]["expires_on"] == "2027-03-31"
    assert may["credits"][0]["expires_on"] == "2028-01-31"


async def test_points_are_told_apart_from_credits(runtime, world):
    per_n = {"accrual_rule": "per_n_relays", "per_n_relays": {"n": 3, "counted_event": "accepted"}}
    company = world.company.id
    async with runtime.database.transaction(company_id=company) as db:
        await terms_are(db, world, **per_n)
        relays = []
        for _ in range(5):
            placement = await place(db, world, APRIL)
            relays.append(await lock(db, Relay, company, placement.relay_id))
        for day, relay in zip((3, 4, 5, 6, 7), relays, strict=True):
            await count_relay(db, relay, at(date(2026, 4, day)))
        await uncount_relay(db, relays[4], at(date(2026, 4, 8)))
    april = (await month_of(runtime, world, "2026-04")).document

    assert april["points"] == {
        "opening": 0, "closing": 1, "counted": 5, "removed": 1, "converted": 3,
    }  # fmt: skip
    assert april["movements"]["granted"] == 1
    assert "point_counted" not in april["movements"]
    assert april["closing"] == {**ZEROS, "available": 1}


async def test_not_even_the_owner_changes_what_was_signed(runtime, world, clock):
    await earn(runtime, world, APRIL)
    await move(runtime, world, clock, FIFTH)
    for change in ("document = 'x'", "sha256 = 'x'", "seq = 9", "answer_due_on = '2030-01-01'"):
        with pytest.raises(DBAPIError, match="stands as it was signed"):
            async with runtime.database.transaction(company_id=world.company.id) as db:
                await db.execute(text(f"UPDATE statement SET {change}"))  # noqa: S608

    [row] = await signed(runtime, world)
    assert row.seq == 1


async def answer(runtime, world, said, now, *, party="company", month="2026-04"):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return await answer_statement.answer(
            db, world.company.id, world.agency.id, Month.named(month), said,
            party=party, actor="crc_a", now=now,
        )  # fmt: skip


async def test_each_side_answers_once(runtime, world, clock):
    await earn(runtime, world, APRIL)
    await move(runtime, world, clock, FIFTH)
    before = (await signed(runtime, world))[0].document
    await answer(runtime, world, "accepted", FIFTH)
    await answer(runtime, world, "contested", FIFTH, party="agency")
    await answer(runtime, world, "accepted", FIFTH + timedelta(days=1))
    with pytest.raises(Conflict) as refused:
        await answer(runtime, world, "contested", FIFTH)
    [row] = await signed(runtime, world)

    assert refused.value.code == "answered_already"
    assert (row.company_answer, row.agency_answer) == ("accepted", "contested")
    assert (row.company_answered_by, row.company_answered_at) == ("crc_a", FIFTH)
    assert row.document == before


async def test_after_ten_business_days_silence_stands(runtime, world, clock):
    await earn(runtime, world, APRIL)
    await move(runtime, world, clock, FIFTH)
    await answer(runtime, world, "accepted", at(date(2026, 5, 20), 23), party="agency")
    with pytest.raises(Conflict) as refused:
        await answer(runtime, world, "accepted", at(date(2026, 5, 21), 0))
    [row] = await signed(runtime, world)

    assert refused.value.code == "answer_too_late"
    assert (row.company_answer, row.agency_answer) == (None, "accepted")


async def test_an_open_month_cannot_be_answered(runtime, world):
    await earn(runtime, world, APRIL)
    with pytest.raises(Conflict) as refused:
        await answer(runtime, world, "accepted", at(date(2026, 5, 4)))

    assert refused.value.code == "statement_not_closed"


async def test_a_month_without_a_statement_cannot_be_answered(runtime, world, clock):
    placement = await earn(runtime, world, APRIL)
    await leave(runtime, world, placement, APRIL, clock())
    await move(runtime, world, clock, at(date(2026, 6, 5)))

    with pytest.raises(NotFound):
        await answer(runtime, world, "accepted", clock(), month="2026-05")


async def test_a_month_ahead_is_refused(runtime, world):
    with pytest.raises(Invalid) as refused:
        await month_of(runtime, world, "2026-05")

    assert refused.value.code == "month_in_future"


async def test_the_same_rows_make_the_same_bytes(runtime, world):
    await earn(runtime, world, APRIL)
    await earn(runtime, world, date(2026, 4, 9))
    first, second = [
        canonical((await month_of(runtime, world, "2026-04")).document) for _ in range(2)
    ]

    assert first == second


async def test_a_month_costs_the_same_queries_for_many_books(runtime, world, clock):
    await earn(runtime, world, APRIL)
    counts = []
    for _ in range(2):
        said = []
        listen = lambda *args, said=said: said.append(args[2])  # noqa: E731
        event.listen(runtime.database.engine.sync_engine, "before_cursor_execute", listen)
        async with runtime.database.transaction(company_id=world.company.id) as db:
            said.clear()
            await statements(db, Month.named("2026-04"), clock(), company_id=world.company.id)
            counts.append(len(said))
        event.remove(runtime.database.engine.sync_engine, "before_cursor_execute", listen)
        await earn(runtime, world, date(2026, 4, 2), agency=1)

    assert counts == [8, 8]


# Any story


STEPS = st.sampled_from(
    ["start", "start", "hold", "use", "release", "leave", "back", "days", "days", "weeks", "months"]
)


class Story:
    """A company at one agency; what cannot be done is refused and changes nothing."""

    def __init__(self, runtime, world):
        self.runtime, self.world = runtime, world
        self.today, self.placements = APRIL, []

    def there(self):
        return self.runtime.database.transaction(company_id=self.world.company.id)

    async def take(self, step, number):
        try:
            await getattr(self, step)(number)
        except Refusal:
            return

    async def start(self, number):
        day = self.today - timedelta(days=number % 3)
        self.placements.append(await earn(self.runtime, self.world, day))

    async def hold(self, _):
        async with self.there() as db:
            await use_credit.reserve(
                db, self.world.company.id, agency_id=self.world.agency.id, opening=Opening("経理"),
                actor="crc_a", now=self.runtime.clock(),
            )  # fmt: skip

    async def held(self, db, state, number):
        wanted = select(Reservation).where(col(Reservation.state) == state)
        found = (await db.scalars(wanted.order_by(col(Reservation.id)))).all()
        if not found:
            raise Conflict
        return found[number % len(found)]

    async def use(self, number):
        async with self.there() as db:
            held = await self.held(db, "reserved", number)
            await use_credit.use(
                db, held.company_id, held.id, hired_on=self.today - timedelta(days=number),
                actor="crc_a", now=self.runtime.clock(),
            )  # fmt: skip

    async def release(self, number):
        async with self.there() as db:
            held = await self.held(db, "reserved", number)
            await use_credit.release(
                db, held.company_id, held.id, actor="crc_a", now=self.runtime.clock()
            )

    async def back(self, number):
        async with self.there() as db:
            held = await self.held(db, "used", number)
            await use_credit.restore(
                db, held.company_id, held.id, last_day_employed=self.today, actor="crc_a",
                now=self.runtime.clock(),
            )  # fmt: skip

    async def leave(self, number):
        if self.placements:
            placement = self.placements[number % len(self.placements)]
            day = self.today - timedelta(days=number)
            await leave(self.runtime, self.world, placement, day, self.runtime.clock())

    async def days(self, number):
        await self.pass_days(2 + number)

    async def weeks(self, number):
        await self.pass_days(14 + number)

    async def months(self, number):
        await self.pass_days(45 + number)

    async def pass_days(self, days):
        self.today += timedelta(days=days)
        self.runtime.clock.move_to(at(self.today))
        await work(self.runtime)
        await close_due(self.runtime, self.world, at(self.today))


async def tell(story, steps):
    """Live it; then every month's statement, and what the balances say of its last day."""
    async with story.there() as db:
        await terms_are(
            db, story.world, credits_per_placement=2, guarantee={"months": 1}, validity_months=2
        )
    for step, number in steps:
        await story.take(step, number)
    told, month = [], Month.of(APRIL).before
    while month <= Month.of(story.today):
        document = (await month_of(story.runtime, story.world, month.name)).document
        async with story.there() as db:
            look = view.AsOf(month.last)
            found = await view.balances(db, story.world.company.id, as_of=look)
        told.append((document, asdict(found.total)))
        month = month.next
    return told


def the_months_join(told):
    assert told[0][0]["opening"] == ZEROS
    for (one, as_of), (following, _) in itertools.pairwise(told):
        assert following["opening"] == one["closing"] == as_of
        assert following["points"]["opening"] == one["points"]["closing"]


def test_every_opening_is_the_closing_before_it(server, template, worker_id):
    name = f"relay_months_{worker_id}"
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    asyncio.run(_admin(server, drop, f"CREATE DATABASE {name} TEMPLATE {template}"))
    url = server.set(database=name, drivername="postgresql+asyncpg")
    with asyncio.Runner() as runner:
        runtime = Runtime.build(settings_for(url), Clock())

        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(steps=st.lists(st.tuples(STEPS, st.integers(0, 6)), min_size=12, max_size=25))
        def run(steps):
            runtime.clock.offset += at(APRIL) - runtime.clock()
            slug = new_id("s").replace("_", "-")
            world = runner.run(make_world(runtime, slug=slug, agencies=1))
            story = Story(runtime, world)
            told = runner.run(tell(story, steps))

            the_months_join(told)
            shown = runner.run(balance(runtime, world))
            assert {name: n for name, n in told[-1][0]["closing"].items() if n} == shown

        run()
        runner.run(runtime.database.close())
