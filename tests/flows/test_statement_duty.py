"""The timer that closes months: at its moment, in turn, and never for a halted book."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from api import timers
from domain.credits import Book
from domain.statement import Statement
from tests.factories import work
from tests.flows.ledger_story import at, earn

pytestmark = pytest.mark.anyio
APRIL = date(2026, 4, 1)
MOMENT = at(date(2026, 5, 5), 0) + timedelta(minutes=10)


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


async def months(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        wanted = select(Statement.month).order_by(col(Statement.month))
        return [f"{month:%Y-%m}" for month in (await db.scalars(wanted)).all()]


async def test_a_month_is_closed_when_its_moment_has_come(runtime, world, clock):
    await earn(runtime, world, APRIL)
    clock.move_to(MOMENT - timedelta(seconds=30))
    await work(runtime)
    before, due = await months(runtime, world), await timers.next_due(runtime)
    clock.move_to(MOMENT)
    await work(runtime)

    assert (before, due) == ([], MOMENT)
    assert await months(runtime, world) == ["2026-04"]


async def test_a_sweep_after_a_long_absence_closes_one_month_after_the_other(runtime, world, clock):
    await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 7, 10)))
    seen = []
    for _ in range(4):
        await timers.sweep(runtime, clock())
        seen.append(await months(runtime, world))

    assert seen == [
        ["2026-04"], ["2026-04", "2026-05"],
        ["2026-04", "2026-05", "2026-06"], ["2026-04", "2026-05", "2026-06"],
    ]  # fmt: skip


async def test_a_halted_book_neither_closes_nor_keeps_the_clock(runtime, world, clock):
    await earn(runtime, world, APRIL)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = (await db.scalars(select(Book))).one()
        await db.execute(text("SELECT ledger_halt(:c, :b)"), {"c": book.company_id, "b": book.id})
    clock.move_to(MOMENT)
    await work(runtime)

    assert await months(runtime, world) == []
    assert await timers.next_due(runtime) != MOMENT
