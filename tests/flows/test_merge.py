"""Two records turn out to be one person: what was said under either of them holds for both."""

import pytest
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentEvent
from domain.eligibility import failing_reasons
from domain.flows.consent.record_guardian import (
    Guardian,
    guardian_facts,
    guardian_of,
    record_guardian,
    revoke_guardian,
)
from domain.flows.person.change_person import merge
from domain.views.provision_register import Wish, count_lines, provision_register
from tests.applications import an_application, one, rows
from tests.conftest import START, forward
from tests.consents import invited
from tests.factories import work

pytestmark = pytest.mark.anyio
MOTHER = Guardian("試験 保子", "母", "B-3")


async def merged(runtime, world, absorbed, survivor, prepare=None):
    """The first application's person becomes the second's; the record that stays."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        first = await db.get_one(Candidate, (world.company.id, absorbed.candidate_id))
        second = await db.get_one(Candidate, (world.company.id, survivor.candidate_id))
        if prepare is not None:
            await prepare(db, first)
        return await merge(db, runtime.tools, first, second)


async def test_who_wanted_no_more_invitations_gets_none_under_the_other_number(
    runtime, world, clock
):
    absorbed = await an_application(runtime, world, outcome="rejected", external_id="A")
    survivor = await an_application(runtime, world, outcome="rejected", external_id="B")
    wished_at = clock()

    async def opt_out(_, person):
        person.opted_out_at = wished_at

    kept = await merged(runtime, world, absorbed, survivor, opt_out)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        failing = await failing_reasons(db, company, survivor, clock())

    assert (kept.id, kept.opted_out_at) == (survivor.candidate_id, wished_at)
    assert "opted_out" in failing


async def test_a_guardians_word_holds_for_the_record_that_stays(runtime, world, clock):
    absorbed = await an_application(runtime, world, outcome="rejected", external_id="A")
    survivor = await invited(runtime, world, external_id="B")
    company_id = world.company.id

    async def agree(db, person):
        await record_guardian(
            db, runtime.tools.sealer, company_id, person.id, MOTHER,
            method="paper", actor="mbr_x", now=clock(),
        )  # fmt: skip

    kept = await merged(runtime, world, absorbed, survivor.application, agree)
    assert await survivor.give(world.agency.id)
    async with runtime.database.transaction(company_id=company_id) as db:
        there = await db.get_one(Candidate, (company_id, kept.id))
        row = await guardian_of(db, there)
        said = await guardian_facts(db, runtime.tools.sealer, row)
        wanted = select(ConsentEvent).where(col(ConsentEvent.kind) == "given")
        (event,) = (await db.scalars(wanted)).all()
        agencies = await revoke_guardian(
            db, runtime.tools, company_id, row.id, actor="mbr_x", now=clock()
        )
    consent = await one(runtime, company_id, Consent)
    people = await rows(runtime, company_id, Candidate)

    assert (row.candidate_id, said) == (absorbed.candidate_id, MOTHER)
    assert event.guardian_consent_id == row.id
    assert agencies == [world.agency.id]
    assert consent.state == "withdrawn"
    assert [person.guardian_consent_at for person in people] == [None, None]


async def test_the_register_of_a_person_has_the_hand_overs_of_both_records(
    runtime, world, clock, agency_api
):
    person = await invited(runtime, world, external_id="A")
    await person.give(world.agency.id)
    forward(clock, minutes=31)
    await work(runtime)
    (relay,) = (await agency_api.get("/v1/agency/relays")).json()["data"]
    package = await agency_api.get(f"/v1/agency/relays/{relay['id']}/package")
    other = await an_application(runtime, world, external_id="B")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        now_a = await db.get_one(Candidate, (world.company.id, other.candidate_id))
        now_a.consent_seq = 1  # evidence of its own: it stays the record that survives
    kept = await merged(runtime, world, person.application, other)
    today = START.date()
    async with runtime.database.transaction(company_id=world.company.id) as db:
        wish = Wish(today, today, candidate_id=kept.id)
        found = await provision_register(db, world.company.id, wish)
        lines = await count_lines(db, world.company.id, wish)

    assert package.status_code == 200
    assert kept.id == other.candidate_id
    assert [record.candidate_id for record in found] == [person.application.candidate_id]
    assert lines == 1
