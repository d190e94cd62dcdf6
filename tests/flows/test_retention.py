"""People whose time is over are erased by the clock, and nobody else."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from domain.business_days import local_day
from domain.candidate import Candidate
from domain.consent import Consent
from domain.deadline import Deadline
from domain.delivery import Delivery
from domain.erasure import Erasure
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.withdraw_consent import supersede, withdraw
from domain.flows.person import hold as holds
from domain.flows.person.change_person import merge
from domain.flows.person.retain import forget_unclaimed, review
from domain.invitation import CandidateLink
from domain.notice import Mail
from domain.relay import StopNotice
from domain.retention import look_on
from tests.applications import an_application, an_interview, one, reject, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import work

pytestmark = pytest.mark.anyio


async def due(runtime, application):
    """Let the sweep look at this person now."""
    async with runtime.database.transaction(company_id=application.company_id) as db:
        await db.execute(
            text("UPDATE candidate SET review_at = :now WHERE id = :id"),
            {"now": runtime.clock(), "id": application.candidate_id},
        )
    await work(runtime)
    return await person_of(runtime, application)


async def person_of(runtime, application):
    async with runtime.database.transaction(company_id=application.company_id) as db:
        return await db.get_one(Candidate, (application.company_id, application.candidate_id))


async def test_six_months_after_the_notice_the_data_is_erased(runtime, clock, world):
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    await reject(runtime, application)
    forward(clock, hours=30)
    await work(runtime)
    there = await due(runtime, application)
    told = clock()
    assert there.erased_at is None
    assert there.review_at.isoformat() == "2026-08-02T18:00:00+00:00"  # its link is forgotten

    forward(clock, seconds=(there.review_at - clock()).total_seconds() + 60)
    await work(runtime)
    there = await person_of(runtime, application)
    assert there.review_at.isoformat() == "2026-12-03T18:00:00+00:00"

    forward(clock, seconds=(there.review_at - clock()).total_seconds() - 60)
    await work(runtime)
    assert (await person_of(runtime, application)).erased_at is None
    forward(clock, minutes=2)
    await work(runtime)
    gone = await person_of(runtime, application)
    certificate = await one(
        runtime, world.company.id, Erasure, candidate_id=application.candidate_id,
        key_kind="profile",
    )  # fmt: skip

    assert told < gone.erased_at
    assert (gone.profile, gone.review_at) == (None, None)
    assert (certificate.rule, certificate.actor) == ("retention", "system")
    assert await rows(runtime, world.company.id, Mail, template="erased_farewell") == []


async def test_who_is_still_under_decision_is_looked_at_again(runtime, clock, world):
    application = await an_application(runtime, world)
    forward(clock, days=400)
    there = await due(runtime, application)

    assert there.erased_at is None
    assert timedelta(days=30) < there.review_at - clock() < timedelta(days=32)


async def test_a_consent_keeps_the_data_and_thirty_days_more(runtime, clock, world):
    person = await invited(runtime, world)
    await person.give(world.agency.id)
    forward(clock, days=150)
    await work(runtime)
    assert (await due(runtime, person.application)).erased_at is None

    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = await db.get_one(Candidate, (world.company.id, person.application.candidate_id))
        await withdraw(db, runtime.tools, candidate, None, clock())
    stops = len(await rows(runtime, world.company.id, StopNotice))
    forward(clock, days=29)
    kept = await due(runtime, person.application)
    assert kept.erased_at is None
    forward(clock, seconds=(kept.review_at - clock()).total_seconds() + 60)
    await work(runtime)
    gone = await person_of(runtime, person.application)

    assert gone.erased_at is not None
    assert len(await rows(runtime, world.company.id, StopNotice)) == stops


async def test_a_consent_that_carries_nothing_any_more_has_ended(runtime, clock, world):
    """Superseded, it does not keep the data until the day on which it would have expired."""
    person = await invited(runtime, world)
    forward(clock, days=25)
    await person.give(world.agency.id)
    forward(clock, days=1)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await lock_candidate(db, world.company.id, person.application.candidate_id)
        consent = await db.scalar(select(Consent))
        await supersede(db, runtime.tools, consent, clock(), why="recipient_changed")
    there = await due(runtime, person.application)
    forward(clock, days=190)
    gone = await due(runtime, person.application)

    assert (there.erased_at, gone.erased_at is not None) == (None, True)


async def test_a_company_may_keep_longer(runtime, world):
    application = await an_application(runtime, world, outcome="rejected")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(
            text("UPDATE company SET retention = CAST(:rules AS jsonb)"),
            {"rules": '{"application_months": 12}'},
        )
    there = await due(runtime, application)

    assert there.review_at.isoformat() == "2027-06-02T18:00:00+00:00"


async def test_a_hold_has_no_end(runtime, clock, world):
    application = await an_application(runtime, world, outcome="rejected")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        there = await db.get_one(Candidate, (world.company.id, application.candidate_id))
        await holds.hold(db, runtime.tools, there, reason="係争中", actor="mem_1", now=clock())
    forward(clock, days=1000)
    held = await due(runtime, application)

    assert (held.erased_at, held.review_at) == (None, None)


async def test_whoever_was_merged_goes_with_the_record_that_stays(runtime, clock, world):
    first = await an_application(runtime, world, outcome="rejected", external_id="A")
    second = await an_application(runtime, world, outcome="rejected", external_id="B")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        absorbed = await db.get_one(Candidate, (world.company.id, first.candidate_id))
        survivor = await db.get_one(Candidate, (world.company.id, second.candidate_id))
        await merge(db, runtime.tools, absorbed, survivor)
    alone = await due(runtime, first)
    assert (alone.erased_at, alone.review_at) == (None, None)

    forward(clock, days=200)
    await due(runtime, second)
    people = await rows(runtime, world.company.id, Candidate)

    assert [one.erased_at is not None for one in people] == [True, True]


async def test_looking_too_early_does_nothing(runtime, clock, world):
    application = await an_application(runtime, world, outcome="rejected")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await review(db, runtime.tools, world.company.id, application.candidate_id, clock())
        await review(db, runtime.tools, world.company.id, "cnd_nobody", clock())

    assert (await person_of(runtime, application)).review_at is None


async def test_links_nobody_used_go_some_time_after_their_end(runtime, clock, world):
    person = await invited(runtime, world)
    forward(clock, days=45)
    await due(runtime, person.application)
    assert len(await rows(runtime, world.company.id, CandidateLink)) == 1
    forward(clock, days=20)
    there = await due(runtime, person.application)

    assert await rows(runtime, world.company.id, CandidateLink) == []
    assert there.erased_at is None


async def test_a_link_nobody_used_goes_by_the_clock_long_before_the_person(runtime, clock, world):
    person = await invited(runtime, world)
    there = await due(runtime, person.application)
    (link,) = await rows(runtime, world.company.id, CandidateLink)
    last = local_day(link.expires_at + timedelta(days=30))
    forward(clock, seconds=(there.review_at - clock()).total_seconds() + 60)
    await work(runtime)
    left = await person_of(runtime, person.application)

    assert there.review_at == look_on(last)
    assert await rows(runtime, world.company.id, CandidateLink) == []
    assert (left.erased_at, left.review_at > clock() + timedelta(days=90)) == (None, True)


async def test_deliveries_nobody_was_found_for_are_emptied_after_ninety_days(runtime, clock, world):
    connection = world.connections["greenhouse"]
    async with runtime.database.transaction(company_id=world.company.id) as db:
        for number, age in ((1, 91), (2, 89)):
            db.add(
                Delivery(
                    company_id=world.company.id, id=f"dlv_{number}", connection_id=connection.id,
                    provider="greenhouse", key=bytes([number]), body=b"sealed", status="failed",
                    received_at=clock() - timedelta(days=age),
                )
            )  # fmt: skip
        await db.flush()
        done = await forget_unclaimed(db, world.company.id, clock())
        left = await db.execute(text("SELECT id FROM delivery WHERE body IS NOT NULL"))
        ids = list(left.scalars())

    assert (done, ids) == (1, ["dlv_2"])


async def test_nothing_owed_is_left_behind(runtime, clock, world):
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    forward(clock, days=10)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(text("UPDATE application SET outcome = 'withdrawn'"))
    forward(clock, days=300)
    await due(runtime, application)
    deadline = await one(runtime, world.company.id, Deadline)

    assert deadline.state in {"void", "missed"}
    assert (await person_of(runtime, application)).erased_at is not None
