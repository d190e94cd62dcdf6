"""All at once, on connections of their own: a withdrawal is before a hand-over or after it."""

import asyncio
import random

import pytest
from sqlalchemy import select

from domain import consent_text
from domain.candidate import Candidate
from domain.consent import Consent, ConsentEvent, broken_at
from domain.errors import Refusal
from domain.flows.change_person import merge
from domain.flows.forward_relay import forward_relay
from domain.flows.join_consents import join_consents
from domain.flows.provide_package import provide_package
from domain.flows.record_consent import Answer
from domain.flows.renew_consent import renew
from domain.flows.spread_correction import spread_correction
from domain.flows.withdraw_consent import withdraw
from domain.relay import FeedItem, Provision, Relay, StopNotice
from domain.store import lock
from tests.applications import one, rows
from tests.conftest import forward
from tests.consents import BASICS, invited
from tests.factories import work

pytestmark = pytest.mark.anyio


class Race:
    """One person and one agency; each step is a transaction on a connection of its own."""

    def __init__(self, person, relay, chance):
        self.person, self.relay, self.chance = person, relay, chance
        self.runtime, self.company_id = person.runtime, person.world.company.id

    async def some_time(self):
        await asyncio.sleep(self.chance.random() / 50)

    async def withdraw(self):
        await self.some_time()
        async with self.runtime.database.transaction(company_id=self.company_id) as db:
            opened = await self.person.open(db)
            await withdraw(db, self.runtime.tools, opened.candidate, None, self.runtime.clock())

    async def read(self, channel="api"):
        await self.some_time()
        async with self.runtime.database.transaction() as db:
            await provide_package(
                db, self.runtime.tools, self.relay.agency_id, self.relay.id, channel=channel,
                client_id="crc_x", now=self.runtime.clock(),
            )  # fmt: skip
            await self.some_time()

    async def forward(self):
        await self.some_time()
        async with self.runtime.database.transaction(company_id=self.company_id) as db:
            await forward_relay(
                db, self.runtime.tools, self.company_id, self.relay.id, self.runtime.clock()
            )

    async def correct(self):
        await self.some_time()
        async with self.runtime.database.transaction(company_id=self.company_id) as db:
            candidate = await db.get_one(Candidate, (self.company_id, self.relay.candidate_id))
            await spread_correction(
                db, self.runtime.tools, candidate, ["name"], self.runtime.clock()
            )

    async def renew(self):
        await self.some_time()
        async with self.runtime.database.transaction() as db:
            opened = await self.person.open(db)
            statement = consent_text.build(
                opened.company, [self.person.world.agency], ["name", "email"], "ja"
            )
            choices = {self.person.world.agency.id: list(BASICS)}
            await renew(
                db, self.runtime.tools, opened, statement, Answer("a-renewal-of-mine", choices),
                now=self.runtime.clock(),
            )  # fmt: skip

    async def join(self):
        await self.some_time()
        async with self.runtime.database.transaction(company_id=self.company_id) as db:
            await join_consents(
                db, self.runtime.tools, self.company_id, self.relay.candidate_id,
                self.runtime.clock(),
            )  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
async def test_nothing_overtakes_a_withdrawal_and_nothing_waits_for_ever(runtime, world, seed):
    chance = random.Random(seed)  # noqa: S311
    person = await invited(runtime, world)
    await person.give(world.agency.id)
    forward(runtime.clock, minutes=31)
    if seed % 2:
        await work(runtime)
    race = Race(person, await one(runtime, world.company.id, Relay), chance)
    steps = [
        race.withdraw(), race.withdraw(), race.read(), race.read("feed"), race.read("webhook"),
        race.forward(), race.correct(), race.renew(), race.join(),
    ]  # fmt: skip
    chance.shuffle(steps)
    ended = await asyncio.wait_for(asyncio.gather(*steps, return_exceptions=True), 30)
    strange = [one for one in ended if one is not None and not isinstance(one, Refusal)]
    with pytest.raises(Refusal) as refused:
        await race.read()

    company_id = world.company.id
    events = await rows(runtime, company_id, ConsentEvent)
    events.sort(key=lambda event: event.seq)
    consent = await one(runtime, company_id, Consent)
    provisions = await rows(runtime, company_id, Provision)
    stops = [stop.kind for stop in await rows(runtime, company_id, StopNotice)]
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        feed = [item.op for item in (await db.scalars(select(FeedItem))).all()]
    kinds = [event.kind for event in events]

    assert strange == []
    relay = await one(runtime, company_id, Relay)
    seen = relay.forwarded_at is not None  # a relay that never went out is nobody's to read
    assert refused.value.code == ("consent_withdrawn" if seen else "not_found")
    assert consent.state == "withdrawn"
    assert broken_at(events) is None
    assert kinds in (["given", "withdrawn"], ["given", "renewed", "withdrawn"])
    assert stops.count("withdrawn") == bool(provisions)
    assert set(feed) <= {"remove"}
    for record in provisions:
        event = next(event for event in events if event.id == record.consent_event_id)
        assert event.kind in {"given", "renewed"}
        assert set(record.items) <= set(event.items)


async def test_two_records_of_one_person_end_with_one_consent_per_agency(runtime, world):
    first, second = await invited(runtime, world), await invited(runtime, world)
    await first.give(world.agency.id, submission_id="the-first-submission")
    forward(runtime.clock, minutes=31)
    await work(runtime)
    await second.give(world.agency.id, submission_id="the-second-submission")
    company_id = world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        absorbed = await lock(db, Candidate, company_id, first.application.candidate_id)
        survivor = await lock(db, Candidate, company_id, second.application.candidate_id)
        kept = await merge(db, runtime.tools, absorbed, survivor)
    await work(runtime)

    consents = await rows(runtime, company_id, Consent)
    states = {consent.candidate_id: consent for consent in consents}
    older, newer = states[first.application.candidate_id], states[kept.id]
    relays = {relay.consent_id: relay.state for relay in await rows(runtime, company_id, Relay)}
    chain = await rows(runtime, company_id, ConsentEvent, candidate_id=older.candidate_id)
    chain.sort(key=lambda event: event.seq)

    assert (older.state, older.superseded_by, newer.state) == ("superseded", newer.id, "given")
    assert [event.kind for event in chain] == ["given", "superseded"]
    assert (chain[-1].method, chain[-1].superseded_by) == ("merged", newer.id)
    assert broken_at(chain) is None
    assert relays == {older.id: "expired", newer.id: "queued"}
