"""Many at once: exactly one wins, and the same thing said by many is one thing."""

import asyncio
from collections import Counter
from datetime import date

import pytest
from sqlmodel import col, select

from api.database import Database
from api.runtime import app_url
from domain import ledger
from domain.credits import Bucket, Kind, LedgerTx
from domain.errors import Conflict
from domain.flows.earn import settle_credits, use_credit
from domain.flows.earn.verify_ledger import verify
from domain.ids import new_id
from domain.posting import Move, NewCredit, Posting
from tests.conftest import settings_for
from tests.factories import work
from tests.flows.ledger_story import at, balance, count, earn, kinds, leave

pytestmark = pytest.mark.anyio

APRIL, OCTOBER = date(2026, 4, 1), date(2026, 10, 1)
MANY = 16


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


@pytest.fixture
async def crowd(database_url):
    """Sixteen connections."""
    made = Database(app_url(settings_for(database_url)), pool_size=MANY)
    yield made
    await made.close()


@pytest.fixture
async def one_available(runtime, world, clock):
    placement = await earn(runtime, world, APRIL)
    clock.move_to(at(OCTOBER))
    await work(runtime)
    return placement


async def at_once(step):
    """Everybody's answer: what came back, or the code of the refusal."""

    async def answer(number):
        try:
            return await step(number)
        except Conflict as refused:
            return refused.code

    return await asyncio.gather(*(answer(number) for number in range(MANY)))


async def sound(runtime):
    async with runtime.database.transaction() as db:
        report = await verify(db)
    return report.findings == []


@pytest.mark.usefixtures("one_available")
async def test_of_sixteen_who_want_the_last_credit_exactly_one_gets_it(
    runtime, world, clock, crowd
):
    async def reserve(number):
        async with crowd.transaction(company_id=world.company.id) as db:
            await use_credit.reserve(
                db, world.company.id, agency_id=world.agency.id,
                opening=use_credit.Opening(f"{number}"),
                actor="crc_1", now=clock(),
            )  # fmt: skip
        return "got it"

    answers = await at_once(reserve)

    assert Counter(answers) == {"got it": 1, "no_credit_available": MANY - 1}
    assert await balance(runtime, world) == {"reserved": 1}
    assert await count(runtime, world, "reservation") == 1
    assert await sound(runtime)


async def test_sixteen_postings_of_the_same_event_are_one_transaction(runtime, world, crowd):
    async def post(_):
        credit = NewCredit(
            id=new_id("crd"), agreement_id="agr_1", agreement_version=1, placement_id="plc_1",
            relay_id="rly_1", terms={}, started_on=APRIL, guarantee_end_on=date(2026, 9, 30),
        )  # fmt: skip
        grant = Posting(
            kind=Kind.GRANTED, key="granted:plc_1", effective_on=APRIL, actor="agy_1",
            moves=[Move(credit.id, Bucket.ISSUED, Bucket.PENDING)], credits=[credit],
        )  # fmt: skip
        async with crowd.transaction(company_id=world.company.id) as db:
            book = await ledger.open_book(db, world.company.id, world.agency.id, at(APRIL))
            return await ledger.post(db, book, grant, at(APRIL))

    answers = await at_once(post)

    assert Counter(one.replayed for one in answers) == {False: 1, True: MANY - 1}
    assert len({(one.tx_id, one.seq) for one in answers}) == 1
    assert await count(runtime, world, "book") == 1
    assert await count(runtime, world, "credit") == 1
    assert await sound(runtime)


@pytest.mark.usefixtures("one_available")
async def test_a_reservation_is_used_or_released_never_both(runtime, world, clock, crowd):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        held = await use_credit.reserve(
            db, world.company.id, agency_id=world.agency.id,
            opening=use_credit.Opening("経理"), actor="crc_1",
            now=clock(),
        )  # fmt: skip

    async def end(number):
        async with crowd.transaction(company_id=world.company.id) as db:
            if number % 2:
                ended = await use_credit.release(
                    db, world.company.id, held.id, actor="crc_1", now=clock()
                )
            else:
                ended = await use_credit.use(
                    db, world.company.id, held.id, hired_on=OCTOBER, actor="crc_1", now=clock()
                )
        return ended.state

    answers = Counter(await at_once(end))

    assert answers["reservation_not_open"] == MANY - 1
    assert answers["used"] + answers["released"] == 1
    assert await sound(runtime)


async def test_sweeps_of_many_workers_post_a_date_once(runtime, world, clock, crowd):
    await earn(runtime, world, APRIL)
    clock.move_to(at(OCTOBER))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        tx = (await db.scalars(select(LedgerTx))).one()
        credit_id = (
            await ledger.credits_of(
                db, world.company.id, placement_id=tx.business_key.split(":")[1]
            )
        )[0].id

    async def look(_):
        async with crowd.transaction(company_id=world.company.id) as db:
            await settle_credits.look_at_credit(
                db, runtime.tools, world.company.id, credit_id, clock()
            )

    assert await at_once(look) == [None] * MANY
    assert await kinds(runtime, world) == ["granted", "became_available"]


async def test_a_leave_and_a_use_at_the_same_moment_leave_a_sound_book(
    runtime, world, clock, crowd, one_available
):
    """Whichever came first: the credit went back, or it was used and is owed. No deadlock."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        held = await use_credit.reserve(
            db, world.company.id, agency_id=world.agency.id,
            opening=use_credit.Opening("経理"), actor="crc_1",
            now=clock(),
        )  # fmt: skip

    async def use():
        async with crowd.transaction(company_id=world.company.id) as db:
            await use_credit.use(
                db, world.company.id, held.id, hired_on=OCTOBER, actor="crc_1", now=clock()
            )

    answers = await asyncio.gather(
        use(),
        leave(runtime, world, one_available, date(2026, 9, 30), clock()),
        return_exceptions=True,
    )

    assert answers[1] is None
    used = answers[0] is None
    assert used or answers[0].code == "reservation_not_open"
    assert await balance(runtime, world) == (
        {"used": 1, "reversed": 1, "owed": -1} if used else {"reversed": 1}
    )
    assert await sound(runtime)


async def test_the_order_of_a_book_is_the_order_of_its_chain(runtime, world, crowd):
    async def post(number):
        counted = Posting(
            kind=Kind.POINT_COUNTED, key=f"point:{number}", effective_on=APRIL, actor="system",
            moves=[Move(None, Bucket.ISSUED, Bucket.AVAILABLE, unit=2)],
        )  # fmt: skip
        async with crowd.transaction(company_id=world.company.id) as db:
            book = await ledger.open_book(db, world.company.id, world.agency.id, at(APRIL))
            return (await ledger.post(db, book, counted, at(APRIL))).seq

    answers = await at_once(post)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        rows = (
            await db.execute(select(LedgerTx.id, LedgerTx.seq).order_by(col(LedgerTx.id)))
        ).all()

    assert sorted(answers) == list(range(1, MANY + 1))
    assert [row.seq for row in rows] == list(range(1, MANY + 1))
    assert await sound(runtime)
