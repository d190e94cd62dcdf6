"""Whatever happens in whatever order: no hand-over without a standing consent, all on record."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import select

from domain.application import Application
from domain.company import Company
from domain.consent import Consent, ConsentEvent, broken_at
from domain.errors import Forbidden, Gone, NotFound
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.relay.provide_package import provide_package
from domain.flows.ways_in.invite import invite
from domain.ids import new_id
from domain.relay import Provision, Relay, StopNotice
from tests.applications import rows
from tests.conftest import forward
from tests.consents import Person, invited
from tests.factories import work

pytestmark = pytest.mark.anyio


async def applied_again(person):
    """The same person, turned down for another job and invited once more."""
    runtime, company_id = person.runtime, person.world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        again = Application(
            company_id=company_id, id=new_id("app"), external_id=new_id("A"), job_title="経理",
            candidate_id=person.application.candidate_id, source="company_site",
            outcome="rejected", outcome_at=runtime.clock(), created_at=runtime.clock(),
        )  # fmt: skip
        db.add(again)
        await db.flush()
        company = await db.get_one(Company, company_id)
        url = await invite(db, runtime.tools, company, again, runtime.clock())
    return Person(runtime, person.world, again, url.rpartition("/")[2])


async def read_all(person):
    """Every agency asks for everything it was ever given."""
    runtime, clock = person.runtime, person.runtime.clock
    for relay in await rows(runtime, person.world.company.id, Relay):
        try:
            async with runtime.database.transaction() as db:
                await provide_package(
                    db, runtime.tools, relay.agency_id, relay.id, channel="api",
                    client_id="crc_x", now=clock(),
                )  # fmt: skip
        except (Gone, Forbidden, NotFound):
            continue


async def step(person, chance):
    """One thing a person, an agency or time may do."""
    runtime, clock = person.runtime, person.runtime.clock
    what = chance.choice(["give", "withdraw", "read", "read", "wait", "long"])
    if what == "give":
        other = await applied_again(person)
        agencies = chance.sample(person.world.agencies, chance.randint(1, 2))
        items = ("name", "email", *chance.sample(["phone", "name_kana", "birth_date"], 2))
        await other.give(*(one.id for one in agencies), items=items, submission_id=new_id("s"))
    elif what == "withdraw":
        chosen = chance.choice([None, [chance.choice(person.world.agencies).id]])
        async with runtime.database.transaction(company_id=person.world.company.id) as db:
            opened = await person.open(db)
            await withdraw(db, runtime.tools, opened.candidate, chosen, clock())
    elif what == "read":
        await read_all(person)
    else:
        forward(clock, minutes=chance.choice([5, 31]) if what == "wait" else 60 * 24 * 100)
        await work(runtime)


@pytest.mark.parametrize("seed", range(6))
async def test_no_order_of_events_hands_over_what_nobody_agreed_to(runtime, world, seed):
    person, chance = await invited(runtime, world), random.Random(seed)  # noqa: S311
    await person.give(*(agency.id for agency in world.agencies))
    forward(runtime.clock, minutes=31)
    await work(runtime)
    await read_all(person)
    for _ in range(14):
        await step(person, chance)

    company_id = world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        events = list((await db.scalars(select(ConsentEvent).order_by(ConsentEvent.seq))).all())
    given = {event.id: event for event in events}
    provisions = await rows(runtime, company_id, Provision)
    stops = {(stop.relay_id, stop.kind) for stop in await rows(runtime, company_id, StopNotice)}
    states = {one.id: one.state for one in await rows(runtime, company_id, Consent)}

    assert provisions
    assert broken_at(events) is None
    assert len(await rows(runtime, company_id, Consent)) <= len(world.agencies)
    for record in provisions:
        event = given[record.consent_event_id]
        ends = [
            later.at
            for later in events
            if later.seq > event.seq
            and later.agency_id == record.agency_id
            and later.kind in {"withdrawn", "expired"}
        ]
        assert event.kind in {"given", "renewed", "items_changed"}
        assert event.agency_id == record.agency_id
        assert set(record.items) <= set(event.items)
        assert event.at <= record.provided_at < event.expires_at
        assert record.last_provided_at < min([event.expires_at, *ends])
        if event.kind == "given":
            assert record.provided_at >= event.at + timedelta(minutes=30)
        if states[record.consent_id] == "withdrawn":
            assert (record.relay_id, "withdrawn") in stops
