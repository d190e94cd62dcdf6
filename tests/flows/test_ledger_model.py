"""Any story against a small model in memory: the ledger and the model never disagree."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import col, select

from api import timers
from api.clock import Clock
from api.runtime import Runtime
from domain.credits import Bucket, Credit, LedgerTx, Reservation
from domain.errors import Refusal
from domain.flows import use_credit
from domain.flows.earn_credits import settle_placement
from domain.flows.verify_ledger import verify
from domain.ids import new_id
from domain.placement import Placement
from tests.conftest import _admin, settings_for
from tests.factories import make_world
from tests.flows.ledger_story import at, balance, earn, leave, terms_are

SPRING = date(2026, 4, 1)
NUMBERS = st.integers(min_value=0, max_value=3)


@dataclass
class Known:
    """What the model knows of a credit."""

    placement: str
    started: date
    state: str = "pending"
    ends: date = date.max
    expires: date | None = None
    held_until: date | None = None


def months_later(day: date, months: int) -> date:
    """The same day of a later month; stories use days up to the 28th only."""
    number = day.month - 1 + months
    return day.replace(year=day.year + number // 12, month=number % 12 + 1)


class Stories(RuleBasedStateMachine):
    """One company at one agency: two credits per start, short periods so that much happens."""

    runner: asyncio.Runner
    runtime: Runtime

    def run(self, step):
        return self.runner.run(step)

    @initialize(share=st.sampled_from([50, 100]))
    def begin(self, share):
        self.runtime.clock.offset += at(SPRING) - self.runtime.clock()
        self.today, self.share = SPRING, share
        self.known: dict[str, Known] = {}
        self.placements: list[str] = []
        self.reservations: list[str] = []
        self.owed: list[str] = []
        self.left: set[str] = set()
        self.holds: dict[str, str] = {}
        self.transactions = 0
        self.world = self.run(
            make_world(self.runtime, slug=new_id("s").replace("_", "-"), agencies=1)
        )

        async def agree():
            async with self.runtime.database.transaction(company_id=self.world.company.id) as db:
                tiers = [{"unit": "month", "up_to": 6, "percent": share}]
                await terms_are(
                    db, self.world, credits_per_placement=2, early_leave_tiers=tiers,
                    guarantee={"months": 1}, validity_months=3,
                )  # fmt: skip

        self.run(agree())
        for days in (10, 31):
            self.start()
            self.pass_days(days)
        # Every story begins with something used, something held and something free.
        self.hold_one()
        self.spend(self.reservations[0])
        self.hold_one()

    def there(self):
        return self.runtime.database.transaction(company_id=self.world.company.id)

    @rule()
    def start(self):
        async def look(placement):
            async with self.there() as db:
                wanted = select(Credit.id).where(col(Credit.placement_id) == placement)
                return (await db.scalars(wanted)).all()

        placement = self.run(earn(self.runtime, self.world, self.today))
        ends = months_later(self.today, 1) - timedelta(days=1)
        for number in self.run(look(placement)):
            self.known[number] = Known(placement, self.today, ends=ends)
        self.placements.append(placement)
        self.transactions += 1

    @rule(number=NUMBERS)
    def say_the_start_again(self, number):
        placement = self.placements[number % len(self.placements)]

        async def again():
            async with self.there() as db:
                row = (
                    await db.scalars(select(Placement).where(col(Placement.id) == placement))
                ).one()
                await settle_placement(
                    db, self.runtime.tools, row, because="started", now=self.runtime.clock()
                )

        self.run(again())

    @rule(days=st.sampled_from([1, 10, 10, 20, 31, 61]))
    def time_passes(self, days):
        self.pass_days(days)

    def pass_days(self, days):
        self.today += timedelta(days=days)
        if self.today.day > 28:
            self.today = (self.today + timedelta(days=4)).replace(day=1)
        self.runtime.clock.move_to(at(self.today))
        while self.run(timers.sweep(self.runtime, self.runtime.clock())):
            pass
        self.fall_due()

    def fall_due(self):
        """What the calendar does, in the order of its days and then of the credits."""
        for credit in self.known.values():
            if credit.state == "reserved" and credit.held_until < self.today:
                self.move(credit, "available")
                credit.held_until = None
        due = [name for name, one in self.known.items() if one.state == "pending"]
        for name in sorted(due, key=lambda name: self.known[name].ends):
            credit = self.known[name]
            if credit.ends < self.today:
                self.move(credit, "available")
                credit.expires = months_later(credit.ends + timedelta(days=1), 3) - timedelta(1)
                if self.owed:
                    self.owed.pop(0)
                    self.move(credit, "reversed")
        for credit in self.known.values():
            if credit.state == "available" and credit.expires < self.today:
                self.move(credit, "expired")

    def move(self, credit, state):
        credit.state = state
        self.transactions += 1

    @rule()
    def reserve(self):
        self.hold_one()

    @rule()
    def reserve_and_use(self):
        before = len(self.reservations)
        self.hold_one()
        for held in self.reservations[before:]:
            self.spend(held)

    def hold_one(self):
        async def hold():
            async with self.there() as db:
                return await use_credit.reserve(
                    db, self.world.company.id, agency_id=self.world.agency.id,
                    opening=use_credit.Opening("経理"),
                    actor="crc_1", now=self.runtime.clock(),
                )  # fmt: skip

        usable = [one.expires for one in self.known.values() if one.state == "available"]
        if not usable:
            assert self.refused(hold()) == "no_credit_available"
            return
        held = self.run(hold())
        credit = self.known[held.credit_id]
        assert (credit.state, credit.expires) == ("available", min(usable))
        self.move(credit, "reserved")
        credit.held_until = self.today + timedelta(days=60)
        self.holds[held.id] = held.credit_id
        self.reservations.append(held.id)

    def refused(self, step):
        with pytest.raises(Refusal) as no:
            self.run(step)
        return no.value.code

    def end(self, held, state, step):
        credit = self.known[self.holds[held]] if held in self.holds else None
        if credit is None or credit.state != "reserved":
            assert self.refused(step) == "reservation_not_open"
            return
        self.run(step)
        self.move(credit, state)
        credit.held_until = None
        self.holds.pop(held)
        if state == "available" and credit.expires < self.today:
            self.move(credit, "expired")

    @precondition(lambda self: self.reservations)
    @rule(number=NUMBERS)
    def use(self, number):
        self.spend(self.reservations[-1 - number % len(self.reservations)])

    def spend(self, held):
        async def hire():
            async with self.there() as db:
                await use_credit.use(
                    db, self.world.company.id, held, hired_on=self.today, actor="crc_1",
                    now=self.runtime.clock(),
                )  # fmt: skip

        self.forget_ended(held)
        self.end(held, "used", hire())

    @precondition(lambda self: self.reservations)
    @rule(number=NUMBERS)
    def release(self, number):
        held = self.reservations[-1 - number % len(self.reservations)]

        async def let_go():
            async with self.there() as db:
                await use_credit.release(
                    db, self.world.company.id, held, actor="crc_1", now=self.runtime.clock()
                )

        self.forget_ended(held)
        self.end(held, "available", let_go())

    def forget_ended(self, held):
        """A hold that ended by itself is over, also when its credit was reserved again since."""

        async def state():
            async with self.there() as db:
                wanted = select(Reservation).where(col(Reservation.id) == held)
                return (await db.scalars(wanted)).one().state

        if self.run(state()) != "reserved":
            self.holds.pop(held, None)

    @rule(number=NUMBERS)
    def leave_early(self, number):
        placement = self.placements[number % len(self.placements)]
        mine = [one for one in self.known.values() if one.placement == placement]
        last = min(self.today, mine[0].ends)
        self.run(leave(self.runtime, self.world, placement, last, self.runtime.clock()))
        if placement in self.left:
            return
        self.left.add(placement)
        order = ("pending", "available", "expired", "reserved", "used")
        takable = sorted((one for one in self.known.items() if one[1].placement == placement
                          and one[1].state in order),
                         key=lambda one: (order.index(one[1].state), one[0]))  # fmt: skip
        taken = takable[: 2 * self.share // 100]
        owed = [name for name, one in taken if one.state == "used"]
        self.owed += owed
        self.transactions += bool(owed)
        back = [one for _, one in taken if one.state not in {"used", "expired"}]
        self.transactions += bool(back)
        for credit in back:
            self.transactions += credit.state == "reserved"
            credit.state, credit.held_until = "reversed", None

    @invariant()
    def the_ledger_says_the_same(self):
        if not hasattr(self, "world"):
            return
        expected = Counter(one.state for one in self.known.values())
        expected["reversed"] += len(self.owed)
        expected["owed"] = -len(self.owed)
        shown = self.run(balance(self.runtime, self.world))

        assert shown == {name: number for name, number in expected.items() if number}
        # L12: what was granted is what stands somewhere.
        assert sum(shown.values()) == len(self.known)

    @invariant()
    def the_books_are_sound(self):
        """L1-L5, L11, L13 and the chain: everything is recomputed from the entries."""
        if not hasattr(self, "world"):
            return

        async def look():
            async with self.runtime.database.transaction() as db:
                report = await verify(db, company_id=self.world.company.id)
            async with self.there() as db:
                credits_now = (await db.scalars(select(Credit))).all()
                count = len((await db.scalars(select(LedgerTx.id))).all())
            return report, credits_now, count

        report, credits_now, count = self.run(look())

        assert report.findings == []
        assert {one.id: Bucket(one.bucket).name.lower() for one in credits_now} == {
            name: one.state for name, one in self.known.items()
        }
        assert count == self.transactions


def test_any_story_leaves_the_ledger_and_the_model_in_agreement(server, template, worker_id):
    name = f"relay_model_{worker_id}"
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    asyncio.run(_admin(server, drop, f"CREATE DATABASE {name} TEMPLATE {template}"))
    url = server.set(database=name, drivername="postgresql+asyncpg")
    with asyncio.Runner() as runner:
        Stories.runner = runner
        Stories.runtime = Runtime.build(settings_for(url), Clock())
        try:
            run_state_machine_as_test(
                Stories,
                settings=settings(
                    max_examples=15, stateful_step_count=25, deadline=None,
                    suppress_health_check=list(HealthCheck), derandomize=True, database=None,
                ),
            )  # fmt: skip
        finally:
            runner.run(Stories.runtime.database.close())
    asyncio.run(_admin(server, drop))
