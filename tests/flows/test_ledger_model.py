"""Any story against a small model in memory: the ledger and the model never disagree."""

import asyncio
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func
from sqlmodel import col, select

from api import timers
from api.clock import Clock
from api.runtime import Runtime
from domain.business_days import after, calendar_of
from domain.credits import Bucket, Credit, LedgerTx, Reservation
from domain.errors import Refusal
from domain.flows.earn import adjust_credits, dispute_credit, use_credit
from domain.flows.earn.correct_placement import restate
from domain.flows.earn.earn_credits import settle_placement
from domain.flows.earn.verify_ledger import verify
from domain.ids import new_id
from domain.placement import Placement
from domain.relay import Relay
from domain.store import lock
from tests.conftest import _admin, settings_for
from tests.factories import make_world
from tests.flows.ledger_model import DAY, Fact, Model, months_later
from tests.flows.ledger_story import at, balance, earn, terms_are

SPRING = date(2026, 4, 1)
WHICH = st.integers(min_value=0, max_value=5)


class Stories(RuleBasedStateMachine):
    """One company at one agency, short periods so that much happens, every step said twice."""

    runner: asyncio.Runner
    runtime: Runtime
    steps_done = 0

    def run(self, step):
        return self.runner.run(step)

    def there(self):
        return self.runtime.database.transaction(company_id=self.world.company.id)

    @property
    def now(self):
        return self.runtime.clock()

    @initialize(share=st.sampled_from([50, 100]))
    def begin(self, share):
        self.runtime.clock.offset += at(SPRING) - self.runtime.clock()
        self.today = SPRING
        self.model = Model(share)
        self.holds: dict[str, str] = {}
        self.disputes: dict[str, str] = {}
        self.lost: set[str] = set()
        self.world = self.run(make_world(self.runtime, slug=new_id("s").replace("_", "-")))
        self.run(self.agree(share))
        self.start()
        self.pass_days(10)
        self.start()
        self.pass_days(31)
        # Every story begins with something used, something held and something free.
        self.reserve_one()
        self.use(0)
        self.reserve_one()

    async def agree(self, share):
        async with self.there() as db:
            await terms_are(
                db, self.world, credits_per_placement=2, guarantee={"months": 1},
                early_leave_tiers=[{"unit": "month", "up_to": 6, "percent": share}],
                validity_months=3,
            )  # fmt: skip

    # The calendar

    @rule(days=st.sampled_from([1, 10, 10, 20, 31, 61]))
    def pass_days(self, days):
        self.today += timedelta(days=days)
        if self.today.day > 28:
            self.today = (self.today + timedelta(days=4)).replace(day=1)
        self.runtime.clock.move_to(at(self.today))
        while self.run(timers.sweep(self.runtime, self.now)):
            pass
        self.model.fall_due(self.today)

    # The agency

    @rule()
    def start(self):
        placement = self.run(earn(self.runtime, self.world, self.today))
        ends = months_later(self.today, 1) - DAY
        self.model.placements[placement] = Fact(self.today, ends)
        self.model.postings += 1
        self.model.granted(self.run(self.unknown(placement)), placement)

    async def unknown(self, placement):
        async with self.there() as db:
            wanted = select(Credit.id).where(col(Credit.placement_id) == placement)
            found = (await db.scalars(wanted.order_by(col(Credit.id)))).all()
        return [one for one in found if one not in self.model.credits]

    def change(self, number, because, facts):
        """Restate a placement with these facts, twice: the second time nothing happens."""
        name = list(self.model.placements)[number % len(self.model.placements)]
        fact = self.model.placements[name]
        if not facts(fact):
            return
        self.run(self.tell(name, fact, because))
        missing = self.model.settle(name, self.five_days())
        new = self.run(self.unknown(name))
        assert len(new) == missing
        self.model.granted(new, name)

    async def tell(self, name, fact, because):
        async with self.there() as db:
            placement = await lock(db, Placement, self.world.company.id, name)
            relay = await lock(db, Relay, self.world.company.id, placement.relay_id)
            placement.left_on = fact.left
            if fact.withdrawn:
                placement.state = "withdrawn"
            await restate(
                db, self.runtime.tools, relay, placement, because, actor="crc_a", reason="other",
                now=self.now,
            )  # fmt: skip
            await settle_placement(db, self.runtime.tools, placement, because=because, now=self.now)

    def five_days(self):
        calendar = calendar_of(self.world.company.calendar, self.runtime.tools.holidays)
        return after(calendar, self.today, 5)

    @rule(number=WHICH)
    def leave_early(self, number):
        def left(fact):
            fresh = fact.left is None and not fact.withdrawn
            if fresh:
                fact.left = min(self.today, fact.ends)
            return fresh

        self.change(number, "early_leave", left)

    @rule(number=WHICH)
    def nobody_left_after_all(self, number):
        def mended(fact):
            told = fact.left is not None and not fact.withdrawn
            if told:
                fact.left = None
            return told

        self.change(number, "leave_corrected", mended)

    @rule(number=WHICH)
    def take_a_placement_back(self, number):
        def gone(fact):
            there = not fact.withdrawn
            fact.withdrawn = True
            return there

        # Never all of them: stories need something to talk about.
        if sum(not one.withdrawn for one in self.model.placements.values()) > 1:
            self.change(number, "withdrawn", gone)

    # HR

    def refused(self, step):
        with pytest.raises(Refusal) as no:
            self.run(step)
        return no.value.code

    @rule()
    def reserve_one(self):
        async def hold():
            async with self.there() as db:
                return await use_credit.reserve(
                    db, self.world.company.id, agency_id=self.world.agency.id,
                    opening=use_credit.Opening("経理"), actor="crc_1", now=self.now,
                )  # fmt: skip

        usable = self.model.usable(self.today)
        if not usable:
            assert self.refused(hold()) == "no_credit_available"
            return
        held = self.run(hold())
        first = self.model.credits[usable[0]].expires
        assert self.model.credits[held.credit_id].expires == first
        assert held.credit_id in usable
        self.model.reserve(held.credit_id, self.today)
        self.holds[held.id] = held.credit_id

    def end(self, number, step, move):
        if not self.holds:
            return
        held = list(self.holds)[-1 - number % len(self.holds)]
        credit = self.model.credits[self.holds[held]]
        state = self.run(self.state_of(held))
        if state != "reserved":
            assert self.refused(step(held)) == "reservation_not_open"
            self.holds.pop(held)
        elif credit.state == "frozen":
            assert self.refused(step(held)) == "credit_frozen"
        else:
            self.run(step(held))
            move(self.holds[held], self.today)
            assert self.refused(step(held)) == "reservation_not_open"

    async def state_of(self, held):
        async with self.there() as db:
            return (
                (await db.scalars(select(Reservation).where(col(Reservation.id) == held)))
                .one()
                .state
            )

    @rule(number=WHICH)
    def use(self, number):
        async def hire(held):
            async with self.there() as db:
                await use_credit.use(
                    db, self.world.company.id, held, hired_on=self.today, actor="crc_1",
                    now=self.now,
                )  # fmt: skip

        self.end(number, hire, self.model.use)

    @rule(number=WHICH)
    def release(self, number):
        async def let_go(held):
            async with self.there() as db:
                await use_credit.release(
                    db, self.world.company.id, held, actor="crc_1", now=self.now
                )

        self.end(number, let_go, self.model.release)

    @rule(number=WHICH)
    def a_free_hire_leaves(self, number):
        used = [held for held, name in self.holds.items()
                if self.model.credits[name].state == "used" and self.hired(held, name)]  # fmt: skip
        if not used:
            return
        held = used[number % len(used)]

        async def back():
            async with self.there() as db:
                await use_credit.restore(
                    db, self.world.company.id, held, last_day_employed=self.today, actor="crc_1",
                    now=self.now,
                )  # fmt: skip

        hired = self.model.credits[self.holds[held]].hired
        if self.today > months_later(hired, 1) - DAY:
            assert self.refused(back()) == "outside_guarantee"
            return
        self.run(back())
        self.model.restore(self.holds[held], self.today)
        assert self.refused(back()) == "reservation_not_used"

    def hired(self, held, name):
        return self.run(self.state_of(held)) == "used" and self.model.credits[name].hired

    # Disputes and corrections

    @rule(number=WHICH)
    def dispute(self, number):
        free = [name for name, one in self.model.credits.items()
                if one.state in {"pending", "available", "reserved"}]  # fmt: skip
        if not free:
            return
        name = free[number % len(free)]

        async def open_one():
            async with self.there() as db:
                matter = dispute_credit.Matter("credit", "other", "x", credit_ids=[name])
                return await dispute_credit.open_dispute(
                    db, self.runtime.tools, self.world.company.id, self.world.agency.id, matter,
                    party="agency", actor="crc_a", now=self.now,
                )  # fmt: skip

        if name in self.lost:
            assert self.refused(open_one()) == "dispute_decided"
            return
        made = self.run(open_one())
        self.disputes[made.id] = name
        self.model.freeze(name, self.today)
        assert self.refused(open_one()) == "nothing_to_dispute"

    @precondition(lambda self: self.disputes)
    @rule(number=WHICH, party=st.sampled_from(["company", "agency"]))
    def give_way(self, number, party):
        name = list(self.disputes)[number % len(self.disputes)]

        async def concede():
            async with self.there() as db:
                await dispute_credit.concede(
                    db, self.runtime.tools, self.world.company.id, name, party=party,
                    actor="crc_x", now=self.now,
                )  # fmt: skip

        self.run(concede())
        credit = self.disputes.pop(name)
        if party == "agency":
            self.model.thaw(credit, self.today)
            self.lost.add(credit)
        else:
            self.model.strike(credit)
        assert self.refused(concede()) == "dispute_ended"

    @rule(count=st.integers(min_value=1, max_value=2))
    def give_by_hand(self, count):
        async def give():
            async with self.there() as db:
                wish = adjust_credits.Wish("issue", "goodwill", "x", count=count)
                asked = await adjust_credits.request_adjustment(
                    db, self.runtime.tools, self.world.company.id, self.world.agency.id, wish,
                    party="agency", actor="crc_a", now=self.now,
                )  # fmt: skip
                await adjust_credits.approve(
                    db, self.runtime.tools, self.world.company.id, asked.id, party="agency",
                    actor="crc_b", now=self.now,
                )  # fmt: skip

        self.run(give())
        self.model.issued(self.run(self.unknown(None)), self.today)

    # What must hold after every step

    @invariant()
    def the_ledger_says_the_same(self):
        if not hasattr(self, "model"):
            return
        shown = self.run(balance(self.runtime, self.world))
        credits_now, count = self.run(self.rows())

        assert shown == self.model.balance()
        assert credits_now == {name: one.state for name, one in self.model.credits.items()}
        assert count == self.model.postings
        # L12: what was granted is what stands somewhere.
        assert sum(shown.values()) == len(self.model.credits)

    async def rows(self):
        async with self.there() as db:
            found = (await db.execute(select(Credit.id, Credit.bucket))).all()
            count = (await db.execute(select(func.count()).select_from(LedgerTx))).scalar_one()
        return {name: Bucket(bucket).name.lower() for name, bucket in found}, count

    @invariant()
    def the_dates_are_the_same(self):
        if not hasattr(self, "model"):
            return
        found = self.run(self.dates())
        for name, one in self.model.credits.items():
            ends, expires = found[name]
            if one.state == "pending":
                assert ends == one.ends
            elif one.state in {"available", "reserved"}:
                assert expires == one.expires

    async def dates(self):
        async with self.there() as db:
            wanted = select(Credit.id, Credit.guarantee_end_on, Credit.expires_on)
            return {row[0]: (row[1], row[2]) for row in (await db.execute(wanted)).all()}

    @invariant()
    def the_books_are_sound(self):
        """L1-L5, L11, L13 and the chain: everything is recomputed from the entries."""
        if not hasattr(self, "model"):
            return
        Stories.steps_done += 1

        async def look():
            async with self.runtime.database.transaction() as db:
                return await verify(db, company_id=self.world.company.id)

        assert self.run(look()).findings == []


def test_any_story_leaves_the_ledger_and_the_model_in_agreement(server, template, worker_id):
    name = f"relay_model_{worker_id}"
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    asyncio.run(_admin(server, drop, f"CREATE DATABASE {name} TEMPLATE {template}"))
    url = server.set(database=name, drivername="postgresql+asyncpg")
    with asyncio.Runner() as runner:
        Stories.runner, Stories.steps_done = runner, 0
        Stories.runtime = Runtime.build(settings_for(url), Clock())
        try:
            run_state_machine_as_test(
                Stories,
                settings=settings(
                    max_examples=12, stateful_step_count=40, deadline=None,
                    suppress_health_check=list(HealthCheck), derandomize=True, database=None,
                    phases=(Phase.generate,),
                ),
            )  # fmt: skip
        finally:
            runner.run(Stories.runtime.database.close())
    asyncio.run(_admin(server, drop))

    assert Stories.steps_done >= 200
