"""No day shows a credit taken from a place it had not reached by then."""

from datetime import date

import pytest

from tests.factories import work
from tests.flows.ledger_story import at, earn, leave

pytestmark = pytest.mark.anyio


async def test_a_leave_told_in_the_days_before_closing(company_api, runtime, world, clock):
    clock.offset += at(date(2026, 4, 1)) - clock()
    placement = await earn(runtime, world, date(2026, 4, 1))
    clock.move_to(at(date(2026, 10, 3)))
    await work(runtime)
    await leave(runtime, world, placement, date(2026, 9, 20), clock())
    answers = [
        await company_api.get(f"/v1/company/credits?as_of={day}")
        for day in ("2026-09-30", "2026-10-01")
    ]
    shown = [{k: n for k, n in one.json()["total"].items() if n} for one in answers]

    assert [one.status_code for one in answers] == [200, 200]
    assert shown == [{"pending": 1}, {"reversed": 1}]


async def test_a_leave_in_a_closed_month_is_dated_today_wherever_the_credit_stood(
    company_api, runtime, world, clock
):
    clock.offset += at(date(2026, 4, 1)) - clock()
    placement = await earn(runtime, world, date(2026, 4, 1))
    clock.move_to(at(date(2026, 10, 6)))
    await work(runtime)
    await leave(runtime, world, placement, date(2026, 9, 20), clock())
    [entry, *_] = (await company_api.get("/v1/company/credits/entries")).json()["data"]

    assert (entry["kind"], entry["effective_on"], entry["reason"]) == (
        "reversed", "2026-10-06", "late_fact",
    )  # fmt: skip
    assert (entry["request"]["fact_on"], entry["request"]["fact"]) == ("2026-09-20", "early_leave")
