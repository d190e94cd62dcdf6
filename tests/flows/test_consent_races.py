"""All at once, on connections of their own: a withdrawal is before a hand-over or after it."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from api.clock import Clock
from api.runtime import Runtime
from domain import consent_text
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentEvent, broken_at
from domain.errors import Refusal
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.join_consents import join_consents
from domain.flows.consent.keep_consent import Answer
from domain.flows.consent.record_consent import give
from domain.flows.consent.renew_consent import renew
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.hear.apply_event import Said, apply_event
from domain.flows.hear.meet_applicant import meet
from domain.flows.office.check_provisions import check_provisions
from domain.flows.person.change_person import delete, merge
from domain.flows.person.keep_file import keep_file
from domain.flows.relay.ask_gate import ask_gate
from domain.flows.relay.forward_relay import forward_relay
from domain.flows.relay.provide_file import provide_file, refs_for
from domain.flows.relay.provide_package import provide_package
from domain.flows.relay.spread_correction import spread_correction
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.ids import new_id
from domain.relay import FeedItem, Provision, Relay, StopNotice
from domain.store import lock
from tests.applications import one, rows
from tests.conftest import forward, settings_for
from tests.consents import BASICS, invited
from tests.documents import pdf
from tests.factories import work
from tests.flows.consent_facts import what_must_never_be

pytestmark = pytest.mark.anyio
LOCK_NOT_AVAILABLE = "55P03"


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


# ---- two processes, each with connections and a clock of its own ----------------------------

ALL = (*BASICS, "phone", "resume_file")
ROUNDS = 8


@pytest.fixture
async def processes(runtime, database_url):
    """Two, and the clock of the second is half a second off, now ahead and now behind."""
    other = Runtime.build(settings_for(database_url), Clock(runtime.clock.offset))
    yield [runtime, other]
    await other.database.close()


@pytest.fixture
async def owner(database_url):
    """Looks past the product."""
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    made = await asyncpg.connect(dsn)
    yield made
    await made.close()


class Contest:
    """One person, one agency, two processes; every step waits until all are ready."""

    def __init__(self, processes, person, chance):
        self.processes, self.person, self.chance = processes, person, chance
        self.company_id, self.agency = person.world.company.id, person.world.agency
        self.relay = self.file = None
        self.taken: list[str] = []

    def there(self, process):
        return process.database.transaction(company_id=self.company_id)

    async def candidate(self, db):
        return await db.get_one(Candidate, (self.company_id, self.person.application.candidate_id))

    async def begin(self, *, forwarded):
        """All items are given; the relay is due, or has gone out as well."""
        process = self.processes[0]
        async with self.there(process) as db:
            candidate = await self.candidate(db)
            candidate.external_id = self.person.application.external_id
            await keep_file(
                db, process.tools, candidate, "resume_file", pdf(), name="a.pdf",
                now=process.clock(),
            )  # fmt: skip
        await self.say(give, ALL, process)
        forward(process.clock, minutes=31)
        if forwarded:
            await work(process)
        self.processes[1].clock.offset = process.clock.offset + timedelta(
            seconds=self.chance.choice([-0.5, 0.5])
        )
        self.relay = await one(
            process, self.company_id, Relay, candidate_id=self.person.application.candidate_id
        )
        async with self.there(process) as db:
            consent = await db.get_one(Consent, (self.company_id, self.relay.consent_id))
            (self.file,) = await refs_for(db, process.tools, self.relay, consent, process.clock())

    async def say(self, step, items, process):
        async with process.database.transaction() as db:
            opened = await self.person.open(db)
            statement = consent_text.build(opened.company, [self.agency], ALL, "ja")
            answer = Answer(f"said-{step.__name__}-{len(items)}-12345", {self.agency.id: items})
            await step(db, process.tools, opened, statement, answer, now=process.clock())

    async def withdraws(self, process):
        async with self.there(process) as db:
            candidate = await self.candidate(db)
            await withdraw(db, process.tools, candidate, None, process.clock())

    async def is_erased(self, process):
        async with self.there(process) as db:
            candidate = await self.candidate(db)
            await delete(db, process.tools, candidate, process.clock(), rule="request")

    async def is_deleted(self, process):
        """By the ATS, which knows the person by a number."""
        now = process.clock()
        event = {
            "type": "candidate.deleted", "dedupe_key": new_id("k"), "occurred_at": now.isoformat(),
            "candidate": {"external_id": self.person.application.external_id}, "deletion": None,
            "rejection": None, "interview": None, "holds": [],
        }  # fmt: skip
        async with self.there(process) as db:
            company = await db.get_one(Company, self.company_id)
            said = Said(event, now, "standard-webhooks")
            await apply_event(db, process.tools, company, said, now)

    async def gives_all_again(self, process):
        await self.say(renew, ALL, process)

    async def gives_less(self, process):
        await self.say(renew, BASICS, process)

    async def goes_out(self, process):
        async with self.there(process) as db:
            await forward_relay(db, process.tools, self.company_id, self.relay.id, process.clock())

    async def reads(self, process, channel="api"):
        async with process.database.transaction() as db:
            provided = await provide_package(
                db, process.tools, self.agency.id, self.relay.id, channel=channel,
                client_id="ocl_x", now=process.clock(),
            )  # fmt: skip
        self.taken.append(provided.package["package_id"])
        return set(provided.package["candidate"])

    async def opens(self, process):
        query = parse_qs(urlsplit(self.file["url"]).query)
        async with process.database.transaction() as db:
            await provide_file(
                db, process.tools, self.agency.id, self.relay.id, self.file["id"],
                expires=int(query["expires"][0]), sig=query["sig"][0], client_id="ocl_x",
                now=process.clock(),
            )  # fmt: skip

    async def at_once(self, *steps):
        """All of them, each in one of the processes; what ended otherwise than by a refusal."""
        line = asyncio.Barrier(len(steps))

        async def wait_and(step, more):
            await line.wait()
            await asyncio.sleep(self.chance.random() / 60)
            process = self.chance.choice(self.processes)
            try:
                await step(process, *more)
            except DBAPIError as late:  # a machine that stood still: the door says "try later"
                if late.orig.sqlstate != LOCK_NOT_AVAILABLE:
                    raise
                await step(process, *more)

        ended = await asyncio.wait_for(
            asyncio.gather(
                *(wait_and(step, more) for step, *more in steps), return_exceptions=True
            ),
            30,
        )  # fmt: skip
        return [one for one in ended if one is not None and not isinstance(one, Refusal)]


@pytest.mark.parametrize("ends", ["withdraws", "is_erased", "is_deleted", "gives_less"])
async def test_an_end_is_before_a_hand_over_or_after_it_and_never_between(
    processes, owner, world, ends
):
    company_id, seen = world.company.id, Counter()
    for seed in range(ROUNDS):
        chance = random.Random(f"{ends}{seed}")  # noqa: S311
        person = await invited(processes[0], world, external_id=f"A-{seed}")
        contest = Contest(processes, person, chance)
        await contest.begin(forwarded=seed % 4 != 0)
        steps = [
            (getattr(contest, ends),), (contest.goes_out,), (contest.opens,), (contest.opens,),
            *((contest.reads, channel) for channel in ("api", "api", "feed", "webhook")),
        ]  # fmt: skip
        chance.shuffle(steps)
        strange = await contest.at_once(*steps)
        mine = {"candidate_id": person.application.candidate_id}
        provisions = await rows(processes[0], company_id, Provision, **mine)
        stops = await rows(processes[0], company_id, StopNotice, **mine)
        packages = {record.id for record in provisions if not record.file_sha256}
        seen["handed over"] += bool(provisions)
        seen["all refused"] += not provisions

        assert strange == []
        assert await what_must_never_be(owner) == {}
        assert packages == set(contest.taken)
        if ends == "gives_less":
            # Who holds what was taken back is asked to let go of it, like of a wrong fact.
            more = any(set(record.items) - set(BASICS) for record in provisions)
            assert [stop.kind for stop in stops] in ([], ["corrected"])
            assert more >= bool(stops)
            await contest.goes_out(processes[0])
            assert await contest.reads(processes[0]) == set(BASICS)
            with pytest.raises(Refusal) as refused:
                await contest.opens(processes[0])
            assert refused.value.code == "not_found"
        else:
            assert [stop.kind for stop in stops] == (
                ["withdrawn" if ends == "withdraws" else "erased"] if provisions else []
            )
            for process in processes:
                with pytest.raises(Refusal):
                    await contest.reads(process)
                with pytest.raises(Refusal):
                    await contest.opens(process)

    assert seen["handed over"] > 0


async def waits(owner):
    """Until somebody waits for a lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while not await owner.fetchval(waiting):  # noqa: ASYNC110 - the database alone knows
        await asyncio.sleep(0.01)


async def test_a_deletion_that_comes_in_the_midst_of_a_hand_over_waits_for_its_end(
    processes, owner, world
):
    """And the hand-over does not wait for the deletion, which holds the person already."""
    first, second = processes
    contest = Contest(processes, await invited(first, world, external_id="A-1"), random.Random(0))  # noqa: S311
    await contest.begin(forwarded=True)
    async with asyncio.TaskGroup() as group, contest.there(first) as db:
        await ask_gate(db, contest.relay, first.clock())
        group.create_task(contest.is_deleted(second))
        await asyncio.wait_for(waits(owner), 10)
        await new_my_page_link(db, first.tools, await contest.candidate(db), first.clock())

    assert (await one(first, contest.company_id, Relay)).state == "withdrawn"
    assert (await contest.person.reload()).erased_at is not None


async def test_a_yes_and_a_word_of_the_ats_about_the_application_do_not_wait_for_each_other(
    processes, owner, world
):
    """The yes holds the person and refers to the application; the other holds it and wants both."""
    first, second = processes
    person = await invited(first, world, external_id="A-1")
    answer = Answer("a-submission-of-mine", {world.agency.id: list(BASICS)})
    said = Said({"application": {"external_id": "A-1"}, "candidate": None}, first.clock(), "any")

    async def hear():
        async with second.database.transaction(company_id=world.company.id) as db:
            await meet(db, second.tools, world.company, said, second.clock())

    async with asyncio.TaskGroup() as group, first.database.transaction() as db:
        opened, statement = await person.open(db), await person.statement(db)
        await lock_candidate(db, world.company.id, person.application.candidate_id)
        group.create_task(hear())
        await asyncio.wait_for(waits(owner), 10)
        assert await give(db, first.tools, opened, statement, answer, now=first.clock())

    assert (await one(first, world.company.id, Relay)).state == "queued"


async def test_whoever_waited_for_a_lock_stands_in_the_order_of_the_locks(processes, owner, world):
    """A read began before a renewal and came after it; a withdrawal began before that read."""
    first, second = processes
    contest = Contest(processes, await invited(first, world), random.Random(0))  # noqa: S311
    await contest.begin(forwarded=True)
    await contest.opens(first)
    second.clock.offset = first.clock.offset - timedelta(seconds=2)
    await contest.gives_all_again(first)
    await contest.reads(second)
    await contest.opens(second)
    await contest.reads(first)
    await contest.withdraws(second)
    events = await rows(first, world.company.id, ConsentEvent)
    given, renewed, withdrawn = sorted(events, key=lambda event: event.seq)
    records = await rows(first, world.company.id, Provision)
    async with contest.there(first) as db:
        found = await check_provisions(db, world.company.id, first.clock())

    assert await what_must_never_be(owner) == {}
    assert (found.provisions, found.uncovered) == (3, 0)
    assert sorted((record.consent_event_id, record.items) for record in records) == sorted([
        (given.id, ["resume_file"]), (renewed.id, ["resume_file"]),
        (renewed.id, ["name", "email", "phone"]),
    ])  # fmt: skip
    assert max(record.last_provided_at for record in records) < withdrawn.at


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
