"""Who may be relayed: every rule that fails is named (domain rules 4)."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from domain.agency import Agency
from domain.agreement import Agreement
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.eligibility import REASONS, failing_reasons, reasons_of
from domain.invitation import Invitation
from tests.applications import an_application, an_interview, reject
from tests.conftest import forward
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio


async def told(runtime, world, clock, **facts):
    application = await an_application(runtime, world, **facts)
    await an_interview(runtime, application)
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    return application


async def reasons(runtime, world, application, now, change=None):
    """The failing codes, after something was changed for a moment."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        if change is not None:
            await change(db)
            await db.flush()
        company = await db.get_one(Company, world.company.id)
        there = await db.get_one(Application, (world.company.id, application.id))
        return await failing_reasons(db, company, there, now)


async def test_who_was_told_may_be_relayed(runtime, world, clock):
    application = await told(runtime, world, clock)

    assert await reasons(runtime, world, application, clock()) == []


async def test_every_failing_rule_is_named_at_once(runtime, clock):
    world = await make_world(runtime, agencies=0)
    application = await an_application(
        runtime, world, source="agency", applicant_type="high_school"
    )

    assert await reasons(runtime, world, application, clock()) == [
        "decision_not_rejected", "notice_not_sent", "source_not_allowed",
        "applicant_type_not_allowed", "no_active_agency",
    ]  # fmt: skip


async def test_the_person_decides(runtime, world, clock):
    application = await told(runtime, world, clock)
    person = (world.company.id, application.candidate_id)

    async def stop(db):
        (await db.get_one(Candidate, person)).opted_out_at = clock()

    async def erase(db):
        candidate = await db.get_one(Candidate, person)
        candidate.opted_out_at = candidate.restricted_from = None
        candidate.erased_at, candidate.profile = clock(), None

    async def restrict(db):
        candidate = await db.get_one(Candidate, person)
        candidate.opted_out_at, candidate.restricted_from = None, "provision"

    assert await reasons(runtime, world, application, clock(), stop) == ["opted_out"]
    assert await reasons(runtime, world, application, clock(), restrict) == ["opted_out"]
    assert await reasons(runtime, world, application, clock(), erase) == ["data_erased"]


@pytest.mark.parametrize(
    ("state", "codes"),
    [("declined", ["opted_out"]), ("lapsed", ["link_expired"]), ("given", []), ("cancelled", [])],
)
async def test_an_answer_counts(runtime, world, clock, state, codes):
    application = await told(runtime, world, clock)

    async def answer(db):
        (await db.scalars(select(Invitation))).one().state = state

    assert await reasons(runtime, world, application, clock(), answer) == codes


async def test_after_thirty_days_the_link_has_expired(runtime, world, clock):
    application = await told(runtime, world, clock)
    later = clock() + timedelta(days=30)

    assert await reasons(runtime, world, application, later) == ["link_expired"]


async def test_a_guardian_may_consent_for_a_minor(runtime, world, clock):
    application = await told(runtime, world, clock, applicant_type="minor")

    async def consent(db):
        person = (world.company.id, application.candidate_id)
        (await db.get_one(Candidate, person)).guardian_consent_at = clock()

    assert await reasons(runtime, world, application, clock()) == ["guardian_consent_missing"]
    assert await reasons(runtime, world, application, clock(), consent) == []


async def test_agencies_count_while_agreement_and_licence_are_in_force(runtime, clock):
    world = await make_world(runtime, agencies=1)
    application = await told(runtime, world, clock)
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        (await db.get_one(Agency, world.agency.id)).license_valid_until = date(2026, 6, 2)

    assert await reasons(runtime, world, application, clock()) == []
    forward(clock, days=1)
    assert await reasons(runtime, world, application, clock()) == ["no_active_agency"]

    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        (await db.get_one(Agency, world.agency.id)).license_valid_until = date(2030, 3, 31)
    assert await reasons(runtime, world, application, clock()) == []

    async def end(db):
        agreement = await db.get_one(Agreement, (world.company.id, world.agreements[0].id))
        agreement.state, agreement.ends_on = "ended", date(2026, 6, 2)

    assert await reasons(runtime, world, application, clock(), end) == ["no_active_agency"]


async def test_a_page_of_applications_is_judged_together(runtime, world, clock):
    one = await told(runtime, world, clock)
    other = await an_application(runtime, world, source="agency")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        found = await reasons_of(db, company, [one, other], clock())
        single = await failing_reasons(db, company, other, clock())
        none = await reasons_of(db, company, [], clock())

    assert found[other.id] == single
    assert set(single) <= set(REASONS)
    assert none == {}
