"""Credits through their whole life, on the real database and with the real sweeps."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from domain.credits import Credit, Reservation
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.earn import use_credit
from domain.flows.earn.agree_terms import end_agreement
from domain.flows.earn.earn_credits import settle_placement
from domain.flows.earn.verify_ledger import verify
from domain.placement import Placement
from domain.relay import FeedItem, Relay
from tests.factories import make_world, work
from tests.flows.ledger_story import (
    at,
    balance,
    count,
    earn,
    kinds,
    leave,
    place,
    terms_are,
)

pytestmark = pytest.mark.anyio

APRIL = date(2026, 4, 1)


@pytest.fixture(autouse=True)
def spring(clock):
    """Stories start on the first of April 2026, 10:00 in Tokyo."""
    clock.offset += at(APRIL) - clock()


@pytest.fixture
def to(runtime, clock):
    """Let time pass until ten o'clock of a day, with everything that falls due on the way."""

    async def move(day: date) -> datetime:
        clock.move_to(at(day))
        await work(runtime)
        return clock()

    return move


async def the_credits(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return (await db.scalars(select(Credit).order_by(col(Credit.id)))).all()


async def reserve(runtime, world, now, opening="経理"):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return await use_credit.reserve(
            db,
            world.company.id,
            agency_id=world.agency.id,
            opening=use_credit.Opening(opening),
            actor="crc_1",
            now=now,
        )


async def settle(db, runtime, placement, now):
    return await settle_placement(db, runtime.tools, placement, because="started", now=now)


async def use(runtime, world, held, hired_on, now):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return await use_credit.use(
            db, world.company.id, held.id, hired_on=hired_on, actor="crc_1", now=now
        )


async def release(runtime, world, held, now):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return await use_credit.release(db, world.company.id, held.id, actor="crc_1", now=now)


async def test_a_credit_lives_from_april_to_the_september_after_next(runtime, world, to):
    placement_id = await earn(runtime, world, APRIL)
    await work(runtime)
    (credit,) = await the_credits(runtime, world)

    assert (credit.guarantee_end_on, credit.available_on) == (date(2026, 9, 30), None)
    assert await balance(runtime, world) == {"pending": 1}

    await to(date(2026, 9, 30))
    assert await balance(runtime, world) == {"pending": 1}

    await to(date(2026, 10, 1))
    (credit,) = await the_credits(runtime, world)
    assert await balance(runtime, world) == {"available": 1}
    assert (credit.available_on, credit.expires_on) == (date(2026, 10, 1), date(2027, 9, 30))
    assert credit.look_at == datetime(2027, 9, 30, 15, 0, tzinfo=UTC)

    await to(date(2027, 9, 30))
    assert await balance(runtime, world) == {"available": 1}

    await to(date(2027, 10, 1))
    assert await balance(runtime, world) == {"expired": 1}
    assert await kinds(runtime, world) == ["granted", "became_available", "expired"]
    async with runtime.database.transaction(company_id=world.company.id) as db:
        days = (await db.execute(text("SELECT effective_on FROM ledger_tx ORDER BY seq"))).scalars()
        assert list(days) == [APRIL, date(2026, 10, 1), date(2027, 10, 1)]
        assert (await db.scalars(select(Placement.state))).one() == "guaranteed"
        assert placement_id == credit.placement_id


async def test_a_passed_guarantee_is_told_to_the_agency(runtime, world, to):
    await earn(runtime, world, APRIL)

    await to(date(2026, 10, 1))

    async with runtime.database.transaction(company_id=world.company.id) as db:
        relay = (await db.scalars(select(Relay))).one()
        item = (await db.scalars(select(FeedItem))).one()
    assert (relay.state, relay.version) == ("guaranteed", 2)
    assert (item.relay_id, item.version, item.op) == (relay.id, 2, "upsert")


async def test_midnight_is_japans(runtime, world, clock):
    await earn(runtime, world, APRIL)
    clock.move_to(datetime(2026, 9, 30, 14, 59, 50, tzinfo=UTC))
    await work(runtime)
    before = await balance(runtime, world)
    clock.move_to(datetime(2026, 9, 30, 15, 0, 1, tzinfo=UTC))
    await work(runtime)

    assert before == {"pending": 1}
    assert await balance(runtime, world) == {"available": 1}


async def test_a_late_sweep_posts_under_the_day_it_was_true(runtime, world, to):
    await earn(runtime, world, APRIL)

    await to(date(2028, 1, 15))

    assert await balance(runtime, world) == {"expired": 1}
    async with runtime.database.transaction(company_id=world.company.id) as db:
        days = (await db.execute(text("SELECT effective_on FROM ledger_tx ORDER BY seq"))).scalars()
    assert list(days) == [APRIL, date(2026, 10, 1), date(2027, 10, 1)]


async def test_the_worked_example_row_by_row(runtime, world, to):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, credits_per_placement=2)
    placement_a = await earn(runtime, world, APRIL)
    rows = [await balance(runtime, world)]
    now = await to(date(2026, 10, 1))
    rows.append(await balance(runtime, world))
    held = await reserve(runtime, world, now)
    await use(runtime, world, held, now.date(), now)
    rows.append(await balance(runtime, world))
    now = await to(date(2027, 10, 1))
    rows.append(await balance(runtime, world))
    await leave(runtime, world, placement_a, date(2026, 6, 15), now)
    rows.append(await balance(runtime, world))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, credits_per_placement=1)
    await earn(runtime, world, date(2027, 10, 1))
    await to(date(2028, 4, 1))
    rows.append(await balance(runtime, world))

    assert rows == [
        {"pending": 2},
        {"available": 2},
        {"available": 1, "used": 1},
        {"used": 1, "expired": 1},
        {"used": 1, "expired": 1, "reversed": 1, "owed": -1},
        {"used": 1, "expired": 1, "reversed": 1},
    ]
    assert (await kinds(runtime, world))[-4:] == [
        "granted", "became_available", "clawback_settled", "clawback_settled",
    ]  # fmt: skip
    async with runtime.database.transaction() as db:
        report = await verify(db)
    assert (report.findings, report.books) == ([], 1)


async def test_a_grant_said_twice_is_one_grant(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        placement = await place(db, world, APRIL)
        first = await settle(db, runtime, placement, at(APRIL))
        again = await settle(db, runtime, placement, at(APRIL, hour=18))

    assert [credit.id for credit in first] == [credit.id for credit in again]
    assert await count(runtime, world, "ledger_tx") == 1


async def test_a_start_that_is_only_expected_earns_nothing(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        placement = await place(db, world, date(2026, 4, 2))
        placement.state = "expected"
        earned = await settle(db, runtime, placement, at(APRIL))

    assert earned == []
    assert await count(runtime, world, "book") == 0


async def test_agreements_that_count_relays_grant_nothing_for_a_start(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, accrual_rule="per_n_relays")
    await earn(runtime, world, APRIL)

    assert await balance(runtime, world) == {}


async def test_credits_may_be_usable_from_the_start(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start", validity_from="start")
    await earn(runtime, world, APRIL)
    (credit,) = await the_credits(runtime, world)

    assert await kinds(runtime, world) == ["granted", "became_available"]
    assert (credit.available_on, credit.expires_on) == (APRIL, date(2027, 3, 31))


async def test_a_grant_above_the_cap_expires_at_once(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, credits_per_placement=3, max_open=2)
    await earn(runtime, world, APRIL)

    assert await balance(runtime, world) == {"pending": 2, "expired": 1}


async def test_the_oldest_expiry_is_reserved_first(runtime, world, to):
    await earn(runtime, world, APRIL)
    await to(date(2026, 5, 1))
    await earn(runtime, world, date(2026, 5, 1))
    now = await to(date(2026, 11, 2))
    first, second = await the_credits(runtime, world)

    held = [await reserve(runtime, world, now), await reserve(runtime, world, now)]

    assert [one.credit_id for one in held] == [first.id, second.id]
    with pytest.raises(Conflict) as refused:
        await reserve(runtime, world, now)
    assert refused.value.code == "no_credit_available"
    assert await count(runtime, world, "reservation") == 2


async def test_nothing_to_reserve_before_anything_was_granted(runtime, world, clock):
    with pytest.raises(Conflict) as refused:
        await reserve(runtime, world, clock())

    assert refused.value.code == "no_credit_available"


async def test_a_credit_past_its_last_day_is_not_reserved_even_before_the_sweep(
    runtime, world, to, clock
):
    await earn(runtime, world, APRIL)
    await to(date(2026, 10, 1))
    clock.move_to(at(date(2027, 10, 1)))

    with pytest.raises(Conflict) as refused:
        await reserve(runtime, world, clock())
    assert refused.value.code == "no_credit_available"
    assert await balance(runtime, world) == {"available": 1}


async def test_a_released_credit_can_be_reserved_again(runtime, world, to):
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 1))
    held = await reserve(runtime, world, now)
    released = await release(runtime, world, held, now)
    again = await reserve(runtime, world, now, "営業")

    assert (released.state, again.credit_id) == ("released", held.credit_id)
    assert await balance(runtime, world) == {"reserved": 1}


async def test_a_reservation_ends_once(runtime, world, to):
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 1))
    held = await reserve(runtime, world, now)
    await use(runtime, world, held, now.date(), now)
    for step in (
        use(runtime, world, held, now.date(), now),
        release(runtime, world, held, now),
    ):
        with pytest.raises(Conflict) as refused:
            await step
        assert refused.value.code == "reservation_not_open"

    assert await balance(runtime, world) == {"used": 1}
    assert await count(runtime, world, "ledger_tx") == 4


@pytest.mark.parametrize(
    ("hired_on", "code"),
    [(date(2026, 10, 6), "hired_in_future"), (date(2026, 9, 30), "hired_before_available")],
)
async def test_a_hire_outside_the_credits_time_is_refused(runtime, world, to, hired_on, code):
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 5))
    held = await reserve(runtime, world, now)
    with pytest.raises(Invalid) as refused:
        await use(runtime, world, held, hired_on, now)

    assert refused.value.code == code
    assert await balance(runtime, world) == {"reserved": 1}


async def test_a_hire_before_the_hold_is_dated_with_the_hold(runtime, world, to):
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 11, 4))
    held = await reserve(runtime, world, now)
    used = await use(runtime, world, held, date(2026, 10, 30), now)

    async with runtime.database.transaction(company_id=world.company.id) as db:
        days = text("SELECT effective_on FROM ledger_tx ORDER BY seq DESC LIMIT 1")
        assert (await db.execute(days)).scalar_one() == date(2026, 11, 4)
    assert used.hired_on == date(2026, 10, 30)


async def test_a_hold_ends_by_itself_after_sixty_days(runtime, world, to):
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 1))
    held = await reserve(runtime, world, now)
    assert held.holds_until == date(2026, 11, 30)

    await to(date(2026, 11, 30))
    assert await balance(runtime, world) == {"reserved": 1}
    await to(date(2026, 12, 1))

    assert await balance(runtime, world) == {"available": 1}
    async with runtime.database.transaction(company_id=world.company.id) as db:
        kept = (await db.scalars(select(Reservation))).one()
        reason = text("SELECT reason_code FROM ledger_tx ORDER BY seq DESC LIMIT 1")
        assert (await db.execute(reason)).scalar_one() == "hold_ended"
    assert (kept.state, kept.look_at) == ("released", None)


async def test_a_hold_stops_the_expiry_and_a_release_after_it_expires_at_once(runtime, world, to):
    await earn(runtime, world, APRIL)
    now = await to(date(2027, 9, 30))
    held = await reserve(runtime, world, now)
    now = await to(date(2027, 10, 15))
    assert await balance(runtime, world) == {"reserved": 1}

    await release(runtime, world, held, now)

    assert (await kinds(runtime, world))[-2:] == ["released", "expired"]
    assert await balance(runtime, world) == {"expired": 1}


async def test_a_hold_that_does_not_stop_the_expiry_ends_with_it(runtime, world, to):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, reservation_stops_expiry=False)
    await earn(runtime, world, APRIL)
    now = await to(date(2027, 9, 30))
    held = await reserve(runtime, world, now)
    await to(date(2027, 10, 1))

    assert held.holds_until == date(2027, 9, 30)
    assert await balance(runtime, world) == {"expired": 1}


async def test_such_a_hold_ends_too_when_the_last_day_came_closer(runtime, world, to):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, reservation_stops_expiry=False, tail_months=0)
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 1))
    held = await reserve(runtime, world, now)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await end_agreement(
            db, world.company.id, world.agreements[0].id, ends_on=date(2026, 10, 5),
            actor="usr_1", now=now,
        )  # fmt: skip
    now = await to(date(2026, 10, 6))
    with pytest.raises(Conflict) as refused:
        await use(runtime, world, held, date(2026, 10, 6), now)

    assert refused.value.code == "reservation_expired"


async def test_a_hold_that_has_ended_cannot_be_used_even_before_the_sweep(
    runtime, world, to, clock
):
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 1))
    held = await reserve(runtime, world, now)
    clock.move_to(at(date(2026, 12, 1)))
    with pytest.raises(Conflict) as refused:
        await use(runtime, world, held, date(2026, 12, 1), clock())

    assert refused.value.code == "reservation_expired"
    assert await balance(runtime, world) == {"reserved": 1}


async def test_an_early_leave_takes_back_what_is_pending(runtime, world, to):
    placement = await earn(runtime, world, APRIL)
    now = await to(date(2026, 6, 20))
    await leave(runtime, world, placement, date(2026, 6, 15), now)
    await leave(runtime, world, placement, date(2026, 6, 15), now)
    await to(date(2026, 10, 1))

    assert await kinds(runtime, world) == ["granted", "reversed"]
    assert await balance(runtime, world) == {"reversed": 1}
    async with runtime.database.transaction(company_id=world.company.id) as db:
        last = text("SELECT effective_on, reason_code, actor FROM ledger_tx WHERE seq = 2")
        row = (await db.execute(last)).one()
        kept = (await db.scalars(select(Placement))).one()
    assert tuple(row) == (date(2026, 6, 15), "early_leave", world.agency.id)
    assert (kept.state, kept.look_at) == ("early_left", None)


async def test_an_early_leave_reported_late_takes_back_what_is_available(runtime, world, to):
    placement = await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 3))
    await leave(runtime, world, placement, date(2026, 9, 30), now)

    assert await kinds(runtime, world) == ["granted", "became_available", "reversed"]


async def test_an_early_leave_asks_a_reserved_credit_back_and_takes_it_after_five_days(
    runtime, world, to
):
    placement = await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 5))  # a Monday
    held = await reserve(runtime, world, now)
    await leave(runtime, world, placement, date(2026, 9, 30), now)
    assert await balance(runtime, world) == {"reserved": 1}

    await to(date(2026, 10, 13))  # 12 October is a holiday: five business days end on the 13th
    assert await balance(runtime, world) == {"reserved": 1}
    now = await to(date(2026, 10, 14))

    assert (await kinds(runtime, world))[-3:] == ["reserved", "released", "reversed"]
    assert await balance(runtime, world) == {"reversed": 1}
    with pytest.raises(Conflict) as refused:
        await use(runtime, world, held, now.date(), now)
    assert refused.value.code == "reservation_not_open"


async def test_a_credit_asked_back_goes_back_when_hr_lets_it_go(runtime, world, to):
    placement = await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 5))
    held = await reserve(runtime, world, now)
    await leave(runtime, world, placement, date(2026, 9, 30), now)
    await release(runtime, world, held, now)

    assert (await kinds(runtime, world))[-2:] == ["released", "reversed"]
    assert await balance(runtime, world) == {"reversed": 1}


async def test_a_credit_asked_back_and_used_all_the_same_is_owed(runtime, world, to):
    placement = await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 5))
    held = await reserve(runtime, world, now)
    await leave(runtime, world, placement, date(2026, 9, 30), now)
    await use(runtime, world, held, now.date(), now)

    assert (await kinds(runtime, world))[-2:] == ["used", "clawback_owed"]
    assert await balance(runtime, world) == {"used": 1, "reversed": 1, "owed": -1}


async def test_half_of_a_grant_goes_back_and_the_rest_lives_on(runtime, world, to):
    tiers = [{"unit": "month", "up_to": 6, "percent": 50}]
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, credits_per_placement=2, early_leave_tiers=tiers)
    placement = await earn(runtime, world, APRIL)
    await leave(runtime, world, placement, date(2026, 6, 15), await to(date(2026, 6, 20)))
    await to(date(2026, 10, 1))

    assert await balance(runtime, world) == {"available": 1, "reversed": 1}


async def test_each_agency_has_its_own_book_and_credits_stay_there(runtime, world, to):
    await earn(runtime, world, APRIL, agency=1)
    now = await to(date(2026, 10, 1))
    with pytest.raises(Conflict):
        await reserve(runtime, world, now)

    assert await balance(runtime, world) == {"available": 1}


async def test_another_companys_reservation_does_not_exist(runtime, world, to):
    await earn(runtime, world, APRIL)
    now = await to(date(2026, 10, 1))
    held = await reserve(runtime, world, now)
    other = await make_world(runtime, slug="other")
    with pytest.raises(NotFound):
        await release(runtime, other, held, now)

    assert await balance(runtime, world) == {"reserved": 1}
