"""What a consent was given for has changed: nothing more goes out, and the person is asked."""

from datetime import date, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from domain.agency import Agency
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentEvent, ConsentTextEnd, broken_at
from domain.consent_text import VERSION
from domain.errors import Forbidden, Gone
from domain.flows.consent.withdraw_consent import invalidate, withdraw
from domain.flows.person.change_person import merge
from domain.flows.person.restrict_person import restrict
from domain.flows.relay.provide_package import provide_package
from domain.flows.ways_in.invite import invite_again
from domain.guardian import GuardianConsent
from domain.ids import new_id
from domain.notice import Notice
from domain.relay import FeedItem, Provision, Relay, StopNotice
from domain.store import find, lock
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


async def told(person):
    """The person has heard the result: only then a form is offered again."""
    now = person.runtime.clock()
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        db.add(
            Notice(
                company_id=person.world.company.id, id=new_id("ntc"),
                application_id=person.application.id, candidate_id=person.application.candidate_id,
                kind="rejected", state="sent", sent_at=now, created_at=now,
            )
        )  # fmt: skip


async def consented(person, **answer):
    """The relay of a consent whose grace is over; nothing has looked at it yet."""
    await person.give(person.world.agency.id, **answer)
    forward(person.runtime.clock, minutes=31)
    return await one(person.runtime, person.world.company.id, Relay)


async def read(person, relay):
    runtime = person.runtime
    async with runtime.database.transaction() as db:
        return await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel="api", client_id="crc_x",
            now=runtime.clock(),
        )  # fmt: skip


async def kinds(person):
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)
    events = sorted(events, key=lambda event: event.seq)
    assert broken_at(events) is None
    return [event.kind for event in events]


async def renamed(person):
    async with person.runtime.database.transaction(agency_id=person.world.agency.id) as db:
        await db.execute(update(Agency).values(name="合併後キャリア株式会社"))


async def repurposed(person):
    async with person.runtime.database.transaction(agency_id=person.world.agency.id) as db:
        await db.execute(update(Agency).values(purpose="求人のご紹介および広告の配信"))


async def text_ended(person):
    company_id, now = person.world.company.id, person.runtime.clock()
    async with person.runtime.database.transaction(company_id=company_id) as db:
        db.add(
            ConsentTextEnd(
                company_id=company_id, id=new_id("cte"), version=VERSION,
                ends_on=date(2026, 6, 2), reason="wrong", set_by="usr_1", created_at=now,
            )
        )  # fmt: skip


CHANGES = [
    (renamed, "recipient_changed"), (repurposed, "recipient_changed"), (text_ended, "text_ended"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), CHANGES)
async def test_a_consent_for_something_else_is_superseded_and_the_person_asked_anew(
    person, change, why
):
    await told(person)
    await consented(person)
    await change(person)
    await work(person.runtime)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    consent = await one(person.runtime, person.world.company.id, Consent)
    mails = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])

    assert (relay.state, relay.forwarded_at) == ("expired", None)
    assert consent.state == "superseded"
    assert await kinds(person) == ["given", "superseded"]
    last = (await rows(person.runtime, person.world.company.id, ConsentEvent))[-1]
    assert (last.method, last.actor, last.channel) == (why, "system", "system")
    (asked,) = [mail for mail in mails if mail["subject"].startswith("【お知らせ】")]
    assert len([link for link in asked["links"] if "/c/" in link]) == 2
    assert await rows(person.runtime, person.world.company.id, Provision) == []


@pytest.mark.parametrize(("change", "why"), CHANGES)
async def test_what_was_forwarded_before_the_change_is_not_handed_out_after_it(person, change, why):
    relay = await consented(person)
    await work(person.runtime)
    await read(person, relay)
    await change(person)

    with pytest.raises(Forbidden) as refused:
        await read(person, relay)

    assert refused.value.code == why
    assert len(await rows(person.runtime, person.world.company.id, Provision)) == 1


async def test_a_text_that_ends_tomorrow_carries_a_hand_over_today(person):
    relay = await consented(person)
    company_id, now = person.world.company.id, person.runtime.clock()
    async with person.runtime.database.transaction(company_id=company_id) as db:
        for version, ends_on in ((VERSION, date(2026, 6, 3)), ("2025-10", date(2026, 1, 1))):
            db.add(
                ConsentTextEnd(
                    company_id=company_id, id=new_id("cte"), version=version, ends_on=ends_on,
                    reason="new", set_by="usr_1", created_at=now,
                )
            )  # fmt: skip
    await work(person.runtime)

    assert (await read(person, relay)).package["candidate"]["email"] == PROFILE["email"]


async def test_a_new_address_representative_and_licence_are_the_same_recipient(person):
    relay = await consented(person)
    async with person.runtime.database.transaction(agency_id=person.world.agency.id) as db:
        await db.execute(
            update(Agency).values(
                address="大阪府大阪市北区1-1", representative="代表取締役 次の 人",
                license_number="27-ユ-999999",
            )
        )  # fmt: skip
    await work(person.runtime)
    await read(person, relay)
    record = await one(person.runtime, person.world.company.id, Provision)
    consent = await one(person.runtime, person.world.company.id, Consent)

    assert (record.recipient_address, record.recipient_license) == (
        "大阪府大阪市北区1-1", "27-ユ-999999",
    )  # fmt: skip
    assert consent.state == "given"


async def test_a_decision_taken_back_stops_what_waits_and_not_what_was_forwarded(runtime, world):
    waiting, gone = await invited(runtime, world), await invited(runtime, world, external_id="B-2")
    await consented_of(waiting, "a-submission-of-mine-1")
    sent = await consented_of(gone, "a-submission-of-mine-2", agency=1)
    forward(runtime.clock, minutes=31)
    await only(runtime, waiting, outcome="active")
    await work(runtime)
    await only(runtime, gone, outcome="active")
    held = await one(
        runtime, world.company.id, Relay, candidate_id=waiting.application.candidate_id
    )

    assert (held.state, held.reason) == ("queued", "decision_reverted")
    assert (await read(gone, sent)).package["candidate"]["email"] == PROFILE["email"]


async def consented_of(person, submission_id, agency=0):
    await person.give(person.world.agencies[agency].id, submission_id=submission_id)
    return await one(
        person.runtime, person.world.company.id, Relay,
        candidate_id=person.application.candidate_id,
    )  # fmt: skip


async def only(runtime, person, **values):
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        await db.execute(
            update(Application).where(col(Application.id) == person.application.id).values(**values)
        )


async def test_a_relay_that_was_stopped_is_not_read_again_when_the_consent_is_given_anew(person):
    """Somebody started, withdrew, and agreed again: the new relay can be stopped once more."""
    runtime, company_id = person.runtime, person.world.company.id
    await told(person)
    first = await consented(person)
    await work(runtime)
    await read(person, first)
    async with runtime.database.transaction(company_id=company_id) as db:
        (await lock(db, Relay, company_id, first.id)).state = "placed"
    assert (await read(person, first)).package["relay_id"] == first.id
    async with runtime.database.transaction(company_id=company_id) as db:
        opened = await person.open(db)
        await withdraw(db, runtime.tools, opened.candidate, None, runtime.clock())
        company = await db.get_one(Company, company_id)
        there = await db.get_one(Application, (company_id, person.application.id))
        form = await invite_again(db, runtime.tools, company, there, runtime.clock())
    person.token = form.rpartition("/")[2]
    await person.give(person.world.agency.id, submission_id="the-second-submission")
    forward(runtime.clock, minutes=31)
    await work(runtime)
    _, second = await rows(runtime, company_id, Relay)
    with pytest.raises(Gone) as refused:
        await read(person, first)

    assert refused.value.code == "relay_ended"
    assert (await read(person, second)).package["relay_id"] == second.id


async def test_what_the_surviving_record_has_restricted_is_restricted_for_those_merged(
    runtime, world
):
    merged, kept = await invited(runtime, world), await invited(runtime, world, external_id="B-2")
    relay = await consented(merged)
    await kept.give(world.agencies[1].id, submission_id="another-submission")
    await work(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        survivor = await lock(db, Candidate, world.company.id, kept.application.candidate_id)
        await restrict(db, runtime.tools, survivor, scope="provision", now=runtime.clock())
        absorbed = await lock(db, Candidate, world.company.id, relay.candidate_id)
        stays = await merge(db, runtime.tools, absorbed, survivor)

    with pytest.raises(Forbidden) as refused:
        await read(merged, relay)
    assert (stays.id, refused.value.code) == (kept.application.candidate_id, "restricted")


@pytest.mark.parametrize("scope", ["provision", "all"])
async def test_nothing_is_handed_over_while_the_person_has_it_restricted(person, scope):
    relay = await consented(person)
    await work(person.runtime)
    company_id, now = person.world.company.id, person.runtime.clock()
    async with person.runtime.database.transaction(company_id=company_id) as db:
        await db.execute(update(Candidate).values(restricted_from=scope, restricted_at=now))

    with pytest.raises(Forbidden) as refused:
        await read(person, relay)
    assert refused.value.code == "restricted"

    async with person.runtime.database.transaction(company_id=company_id) as db:
        await db.execute(update(Candidate).values(restricted_from=None, restricted_at=None))
    assert (await read(person, relay)).package["candidate"]["email"] == PROFILE["email"]


async def test_a_consent_rests_on_the_guardians_and_ends_with_it(runtime, world):
    person = await invited(runtime, world)
    company_id, now = world.company.id, runtime.clock()
    guardian = GuardianConsent(
        company_id=company_id, id=new_id("grd"), candidate_id=person.application.candidate_id,
        sealed=b"", method="paper", recorded_by="usr_1", at=now,
    )  # fmt: skip
    async with runtime.database.transaction(company_id=company_id) as db:
        db.add(guardian)
    relay = await consented(person)
    event = await one(runtime, company_id, ConsentEvent)
    await work(runtime)
    async with runtime.database.transaction(company_id=company_id) as db:
        (await lock(db, GuardianConsent, company_id, event.guardian_consent_id)).revoked_at = now

    with pytest.raises(Forbidden) as refused:
        await read(person, relay)
    assert refused.value.code == "guardian_consent_revoked"


async def test_the_evidence_says_who_acted_for_what_and_hashes_the_address_under_the_persons_key(
    person,
):
    other = await invited(person.runtime, person.world, external_id="B-2")
    await person.give(person.world.agency.id, address="203.0.113.7")
    await other.give(
        person.world.agency.id, submission_id="another-person-01", address="203.0.113.7"
    )
    first, second = await rows(person.runtime, person.world.company.id, ConsentEvent)
    pepper = person.runtime.tools.sealer.blind(
        "consent-evidence", f"{first.candidate_id}:203.0.113.7"
    ).hex()

    assert (first.form, first.actor, first.purpose_code) == (
        "consent-v2", "candidate", "relay_to_agencies",
    )  # fmt: skip
    assert len(first.ip_hash) == 64
    assert first.ip_hash not in {second.ip_hash, pepper}


async def test_a_lease_is_kept_and_a_new_read_extends_it(person):
    relay = await consented(person)
    await work(person.runtime)
    first = (await read(person, relay)).package["use_until"]
    record = await one(person.runtime, person.world.company.id, Provision)
    forward(person.runtime.clock, days=3)
    again = (await read(person, relay)).package["use_until"]
    later = await one(person.runtime, person.world.company.id, Provision)

    assert (record.id, record.recipient_license) == (later.id, person.world.agency.license_number)
    assert record.use_until - record.provided_at == timedelta(days=35)
    assert later.use_until - later.last_provided_at == timedelta(days=35)
    assert later.use_until - record.use_until >= timedelta(days=3)
    assert first < again


async def test_what_was_handed_over_on_a_superseded_consent_is_stopped_when_it_is_withdrawn(person):
    relay = await consented(person)
    await work(person.runtime)
    await read(person, relay)
    await supersede_now(person)
    before = await rows(person.runtime, person.world.company.id, StopNotice)
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        ended = await withdraw(
            db, person.runtime.tools, opened.candidate, None, person.runtime.clock()
        )

    stop = await one(person.runtime, person.world.company.id, StopNotice)
    assert (before, ended, stop.kind) == ([], [person.world.agency.id], "withdrawn")
    assert await kinds(person) == ["given", "superseded", "withdrawn"]


async def supersede_now(person):
    from domain.flows.consent.append_consent_event import lock_candidate  # noqa: PLC0415
    from domain.flows.consent.withdraw_consent import supersede  # noqa: PLC0415

    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        await lock_candidate(db, company_id, person.application.candidate_id)
        consent = (await rows(person.runtime, company_id, Consent))[0]
        there = await lock(db, Consent, company_id, consent.id)
        await supersede(
            db, person.runtime.tools, there, person.runtime.clock(), why="recipient_changed"
        )


async def test_whoever_is_asked_anew_can_consent_anew_and_a_new_relay_goes_out(person):
    await told(person)
    await consented(person)
    await renamed(person)
    await work(person.runtime)
    mails = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])
    asked = next(mail for mail in mails if mail["subject"].startswith("【お知らせ】"))
    person.token = next(link for link in asked["links"] if "/c/" in link).rpartition("/")[2]
    await person.give(person.world.agency.id, submission_id="the-second-submission")
    forward(person.runtime.clock, minutes=31)
    await work(person.runtime)
    relays = await rows(person.runtime, person.world.company.id, Relay)
    consent = await one(person.runtime, person.world.company.id, Consent)

    assert [relay.state for relay in relays] == ["expired", "forwarded"]
    assert consent.state == "given"
    assert (await read(person, relays[1])).package["consent"]["id"] == consent.id


async def test_a_consent_that_was_none_ends_with_a_stop_at_whoever_received_something(person):
    relay = await consented(person)
    await work(person.runtime)
    await read(person, relay)
    company_id, now = person.world.company.id, person.runtime.clock()
    async with person.runtime.database.transaction(company_id=company_id) as db:
        consent = await find(db, Consent, company_id, relay.consent_id, for_update=True)
        await invalidate(db, person.runtime.tools, consent, now, actor="usr_9")

    events = await rows(person.runtime, company_id, ConsentEvent)
    last = max(events, key=lambda event: event.seq)
    stop = await one(person.runtime, company_id, StopNotice)
    with pytest.raises(Gone):
        await read(person, relay)
    assert (last.kind, last.actor, stop.kind) == ("invalidated", "usr_9", "withdrawn")
    async with person.runtime.database.transaction(agency_id=relay.agency_id) as db:
        from sqlalchemy import select  # noqa: PLC0415

        assert [item.op for item in (await db.scalars(select(FeedItem))).all()] == ["remove"]
