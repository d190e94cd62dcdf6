"""Before a consent ends, one question; and what a correction sets off at the agencies."""

from datetime import date, timedelta

import pytest
from sqlalchemy import update

from domain import consent_text, data_items, vault
from domain.agency import Agency
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.consent import Consent, ConsentEvent, broken_at
from domain.errors import Conflict, Gone, Invalid
from domain.flows.consent.acknowledge_stop import acknowledge_stop
from domain.flows.consent.keep_consent import Answer
from domain.flows.consent.renew_consent import renew, renewable
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.person.change_person import merge
from domain.flows.relay.provide_package import provide_package
from domain.flows.relay.spread_correction import spread_correction
from domain.flows.ways_in.invite import new_link
from domain.invitation import Invitation
from domain.relay import Relay, StopNotice
from domain.store import lock
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.consents import BASICS, invited
from tests.factories import work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


async def at_work(person, *agencies):
    """Consents whose packages were read."""
    await person.give(*(one.id for one in agencies))
    forward(person.runtime.clock, minutes=31)
    await work(person.runtime)
    for relay in await rows(person.runtime, person.world.company.id, Relay):
        await read(person, relay)


async def read(person, relay):
    runtime = person.runtime
    async with runtime.database.transaction() as db:
        return await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel="api", client_id="crc_x",
            now=runtime.clock(),
        )  # fmt: skip


async def two_weeks_before(person):
    consent = (await rows(person.runtime, person.world.company.id, Consent))[0]
    clock = person.runtime.clock
    forward(clock, seconds=(consent.renew_ask_at - clock()).total_seconds() + 1)
    await work(person.runtime)


async def go_on(person, choices, submission_id="a-renewal-of-mine"):
    runtime = person.runtime
    async with runtime.database.transaction() as db:
        opened = await person.open(db)
        held = await renewable(db, opened.candidate, runtime.clock())
        agencies = [one for one in person.world.agencies if one.id in {c.agency_id for c in held}]
        items = data_items.in_order({*BASICS, "phone", *(code for c in held for code in c.items)})
        statement = consent_text.build(
            opened.company, agencies or [person.world.agency], items, "ja"
        )
        return await renew(
            db, runtime.tools, opened, statement, Answer(submission_id, choices),
            now=runtime.clock(),
        )  # fmt: skip


async def kinds(person):
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)
    events = sorted(events, key=lambda event: event.seq)
    assert broken_at(events) is None
    return [event.kind for event in events]


async def questions(person):
    mails = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])
    return [mail for mail in mails if "有効期間がまもなく終わります" in mail["subject"]]


async def test_one_question_about_everything_that_ends_then_silence_ends_it(person):
    await at_work(person, *person.world.agencies)
    await two_weeks_before(person)
    asked_on = local_day(person.runtime.clock())
    forward(person.runtime.clock, days=5)
    await work(person.runtime)
    (asked,) = await questions(person)
    forward(person.runtime.clock, days=12)
    await work(person.runtime)

    assert asked_on == date(2026, 11, 19)
    for agency in person.world.agencies:
        assert f"・{agency.name}: 2026年12月2日(水)まで" in asked["text"]
    assert asked["links"][0].endswith("/renew")
    assert len(await questions(person)) == 1
    assert sorted(await kinds(person)) == ["expired", "expired", "given", "given"]


async def test_going_on_renews_what_was_chosen_and_the_agency_reads_on(person):
    first, second = person.world.agencies
    await at_work(person, first, second)
    await two_weeks_before(person)
    before = {c.agency_id: c for c in await rows(person.runtime, person.world.company.id, Consent)}

    assert await go_on(person, {first.id: list(BASICS)})
    assert not await go_on(person, {first.id: list(BASICS)})
    forward(person.runtime.clock, days=20)
    await work(person.runtime)

    after = {c.agency_id: c for c in await rows(person.runtime, person.world.company.id, Consent)}
    relays = {r.agency_id: r for r in await rows(person.runtime, person.world.company.id, Relay)}
    assert (after[first.id].state, after[second.id].state) == ("given", "expired")
    assert after[first.id].expires_at > before[first.id].expires_at + timedelta(days=150)
    assert after[first.id].renewal_asked_at is None
    assert relays[first.id].state == "forwarded"
    assert (await read(person, relays[first.id])).package["consent"]["expires_at"] is not None
    assert (await kinds(person)).count("renewed") == 1
    receipts = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])
    assert len([mail for mail in receipts if mail["subject"].startswith("【控え】")]) == 2


@pytest.mark.parametrize(
    ("state", "relays"), [("placed", 1), ("guaranteed", 1), ("early_left", 2), ("declined", 2)]
)
async def test_going_on_after_a_start_is_no_second_introduction(person, state, relays):
    """The agency that found the job goes on with the same relay; after an end a new one begins."""
    runtime, company_id = person.runtime, person.world.company.id
    await at_work(person, person.world.agency)
    await two_weeks_before(person)
    async with runtime.database.transaction(company_id=company_id) as db:
        await db.execute(update(Relay).values(state=state))
    await go_on(person, {person.world.agency.id: list(BASICS)})

    found = await rows(runtime, company_id, Relay)
    assert sorted(one.state for one in found) == sorted([state, "queued"][:relays])


async def test_what_stands_under_a_record_merged_since_goes_on_where_it_stands(runtime, world):
    """Whoever turned out to be the same person is asked once, and no second relay begins."""
    first, second = world.agencies
    older, person = await invited(runtime, world), await invited(runtime, world, external_id="B-2")
    await older.give(first.id, submission_id="the-first-submission")
    await at_work(person, second)
    company_id = world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        absorbed = await lock(db, Candidate, company_id, older.application.candidate_id)
        survivor = await lock(db, Candidate, company_id, person.application.candidate_id)
        survivor = await merge(db, runtime.tools, absorbed, survivor)
        await vault.set_profile(
            db, runtime.tools.sealer, survivor, PROFILE | {"email": "new@mail.example"}
        )
    await two_weeks_before(person)
    mails = await mailbox(runtime, company_id, "new@mail.example")
    asked = [mail for mail in mails if mail["links"][0].endswith("/renew")]
    choices = {first.id: list(BASICS), second.id: list(BASICS)}

    assert await go_on(person, choices)
    assert not await go_on(person, choices)
    await work(runtime)

    consents = await rows(runtime, company_id, Consent)
    relays = await rows(runtime, company_id, Relay)
    chains = [
        await rows(runtime, company_id, ConsentEvent, candidate_id=one.application.candidate_id)
        for one in (older, person)
    ]
    receipts = await mailbox(runtime, company_id, "new@mail.example")
    assert len(asked) == 1
    assert all(f"・{agency.name}: " in asked[0]["text"] for agency in (first, second))
    assert [[event.kind for event in chain] for chain in chains] == [["given", "renewed"]] * 2
    assert [broken_at(chain) for chain in chains] == [None, None]
    assert [one.state for one in consents] == ["given", "given"]
    assert [one.state for one in relays] == ["forwarded", "forwarded"]
    assert [mail["subject"][:4] for mail in receipts].count("【控え】") == 1


async def test_going_on_with_more_is_a_change_and_waits_for_the_grace(person):
    await at_work(person, person.world.agency)
    await two_weeks_before(person)
    await go_on(person, {person.world.agency.id: [*BASICS, "phone"]})
    consent = await one(person.runtime, person.world.company.id, Consent)

    assert await kinds(person) == ["given", "items_changed"]
    assert consent.provision_not_before == consent.given_at + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        ({}, "nothing_chosen"),
        ({"agy_x": ["name", "email"]}, "agency_not_offered"),
        ({0: ["name"]}, "required_item_missing"),
    ],
)
async def test_what_was_not_offered_is_not_renewed(person, choices, code):
    await at_work(person, person.world.agency)
    await two_weeks_before(person)
    with pytest.raises(Invalid) as refused:
        await go_on(
            person, {person.world.agency.id if k == 0 else k: v for k, v in choices.items()}
        )

    assert refused.value.code == code
    assert await kinds(person) == ["given"]


async def test_a_consent_withdrawn_meanwhile_is_not_renewed(person):
    await at_work(person, person.world.agency)
    await two_weeks_before(person)
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        await withdraw(db, person.runtime.tools, opened.candidate, None, person.runtime.clock())
    with pytest.raises(Gone) as refused:
        await go_on(person, {person.world.agency.id: list(BASICS)})

    assert refused.value.code == "consent_ended"
    assert await kinds(person) == ["given", "withdrawn"]


async def test_nobody_is_asked_about_an_agency_that_can_no_longer_be_chosen(person):
    await at_work(person, person.world.agency)
    async with person.runtime.database.transaction(agency_id=person.world.agency.id) as db:
        await db.execute(update(Agency).values(state="suspended"))
    await two_weeks_before(person)
    consent = await one(person.runtime, person.world.company.id, Consent)

    assert await questions(person) == []
    assert (consent.renew_ask_at, consent.renewal_asked_at is None) == (None, False)


async def spread(person, *items):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        candidate = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        return await spread_correction(
            db, person.runtime.tools, candidate, items, person.runtime.clock()
        )


async def acknowledge(person, relay, answer):
    async with person.runtime.database.transaction() as db:
        return await acknowledge_stop(
            db, relay.agency_id, relay.id, answer, at=None, now=person.runtime.clock()
        )


async def test_a_correction_goes_to_whoever_was_handed_the_item_and_is_acknowledged(person):
    await at_work(person, person.world.agency)
    before = await one(person.runtime, person.world.company.id, Relay)
    told, not_theirs = await spread(person, "name"), await spread(person, "phone")
    stop = await one(person.runtime, person.world.company.id, StopNotice)
    relay = await one(person.runtime, person.world.company.id, Relay)
    await acknowledge(person, relay, "corrected")
    answered = await one(person.runtime, person.world.company.id, StopNotice)

    assert (told, not_theirs) == ([relay.id], [])
    assert relay.version == before.version + 1
    assert (stop.kind, stop.version, stop.state) == ("corrected", relay.version, "notified")
    assert stop.due_on == date(2026, 6, 5)
    assert (answered.state, answered.answer) == ("acknowledged", "corrected")
    assert (await read(person, relay)).package["candidate"]["email"] == PROFILE["email"]


async def test_each_correction_asks_anew_and_a_correction_is_no_answer_to_a_stop(person):
    await at_work(person, person.world.agency)
    relay = await one(person.runtime, person.world.company.id, Relay)
    with pytest.raises(Conflict):
        await acknowledge(person, relay, "corrected")
    await spread(person, "name")
    await spread(person, "email")
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        await withdraw(db, person.runtime.tools, opened.candidate, None, person.runtime.clock())
    await acknowledge(person, relay, "corrected")
    stops = await rows(person.runtime, person.world.company.id, StopNotice)
    states = sorted((stop.kind, stop.state) for stop in stops)

    assert states == [
        ("corrected", "acknowledged"), ("corrected", "acknowledged"), ("withdrawn", "notified"),
    ]  # fmt: skip
    assert await spread(person, "name") == []


async def test_a_correction_on_the_form_reaches_who_already_reads(person):
    first, second = person.world.agencies
    await at_work(person, first)
    relay = await one(person.runtime, person.world.company.id, Relay)
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        invitation = (await rows(person.runtime, person.world.company.id, Invitation))[0]
        url = await new_link(db, person.runtime.tools, invitation, person.runtime.clock())
    person.token = url.rpartition("/")[2]
    await person.give(
        second.id, submission_id="the-second-submission", corrections={"name": "試験 はな子"}
    )
    await work(person.runtime)
    stop = await one(person.runtime, person.world.company.id, StopNotice)
    package = (await read(person, relay)).package

    assert (stop.relay_id, stop.kind) == (relay.id, "corrected")
    assert package["candidate"]["name"] == "試験 はな子"
