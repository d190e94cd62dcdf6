"""A consent on paper: the same evidence as the form's, with the way it came and who recorded it."""

import re
from datetime import timedelta

import pytest

from domain.application import Application
from domain.company import Company
from domain.consent import GRACE, Consent, ConsentEvent, broken_at
from domain.errors import Conflict, Invalid
from domain.flows.consent.record_paper_consent import Paper, paper_statement, record_paper_consent
from domain.relay import Relay
from tests.api.test_provision_register import Desk
from tests.applications import an_application, an_interview, one, reject, rows
from tests.conftest import forward
from tests.factories import work
from tests.pages.seed import enter
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def application(runtime, world, clock):
    there = await an_application(runtime, world, profile=dict(PROFILE))
    await an_interview(runtime, there)
    await reject(runtime, there)
    forward(clock, hours=3)
    await work(runtime)
    return there


async def printed(runtime, application):
    async with runtime.database.transaction(company_id=application.company_id) as db:
        company = await db.get_one(Company, application.company_id)
        there = await db.get_one(Application, (application.company_id, application.id))
        return await paper_statement(db, runtime.tools, company, there, runtime.clock())


async def record(runtime, application, paper):
    async with runtime.database.transaction(company_id=application.company_id) as db:
        return await record_paper_consent(
            db, runtime.tools, application.company_id, application.id, paper, actor="mbr_officer",
            now=runtime.clock(),
        )  # fmt: skip


async def nothing_kept(runtime, world):
    given = [
        event
        for event in await rows(runtime, world.company.id, ConsentEvent)
        if event.kind == "given"
    ]
    return not given and await rows(runtime, world.company.id, Consent) == []


async def test_what_was_signed_is_evidence_like_any_other(runtime, world, application, clock):
    statement = await printed(runtime, application)
    choices = {world.agency.id: ["name", "email", "phone"]}
    paper = Paper("2026-P-0007", statement.sha256, choices)

    made = await record(runtime, application, paper)
    again = await record(runtime, application, paper)
    consent = await one(runtime, world.company.id, Consent)
    events = await rows(runtime, world.company.id, ConsentEvent)
    [given] = [event for event in events if event.kind == "given"]
    relay = await one(runtime, world.company.id, Relay)

    assert (made, again) == (True, False)
    assert (given.channel, given.method, given.identity_check, given.actor) == (
        "paper", "paper_form", "in_person", "mbr_officer",
    )  # fmt: skip
    assert (given.submission_id, given.text_sha256) == ("paper-2026-P-0007", statement.sha256)
    assert (given.items, given.agency_id) == (["name", "email", "phone"], world.agency.id)
    assert broken_at(sorted(events, key=lambda event: event.seq)) is None
    assert consent.provision_not_before - consent.given_at == GRACE
    assert relay.forward_at == consent.provision_not_before
    assert clock() - consent.given_at < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"filed_as": "試験 花子の同意書"}, "paper_unnamed"),
        ({"filed_as": ""}, "paper_unnamed"),
        ({"text_sha256": "0" * 64}, "text_changed"),
        ({"choices": {}}, "nothing_chosen"),
        ({"choices": {"agy_nobody": ["name", "email"]}}, "agency_not_offered"),
    ],
)
async def test_what_was_not_signed_like_this_is_no_consent(
    runtime, world, application, changed, refused
):
    statement = await printed(runtime, application)
    paper = {
        "filed_as": "P-1", "text_sha256": statement.sha256,
        "choices": {world.agency.id: ["name", "email"]},
    }  # fmt: skip

    with pytest.raises((Invalid, Conflict)) as refusal:
        await record(runtime, application, Paper(**{**paper, **changed}))

    assert refusal.value.code == refused
    assert await nothing_kept(runtime, world)


async def test_who_is_not_eligible_cannot_consent_on_paper_either(runtime, world):
    application = await an_application(runtime, world, profile=dict(PROFILE), source="agency")
    statement = await printed(runtime, application)
    paper = Paper("P-1", statement.sha256, {world.agency.id: ["name", "email"]})

    with pytest.raises(Conflict) as refusal:
        await record(runtime, application, paper)

    assert refusal.value.code == "not_eligible"
    assert await nothing_kept(runtime, world)


async def test_the_paper_in_english_is_recorded_in_the_words_that_were_signed(
    runtime, world, application, client
):
    cookie = await enter(runtime, "o", company_id=world.company.id, roles=["privacy_officer"])
    officer = Desk(client, cookie)
    people = f"/dashboard/privacy/people/{application.candidate_id}"
    path, agency = f"{people}/paper/{application.id}", world.agency.id
    page = await officer.get(f"{path}?wording=en")
    digest = re.search(r'name="text" value="([0-9a-f]{64})"', page.text)[1]
    paper = {
        "text": digest, "wording": "en", "filed_as": "P-7", "agency": agency,
        f"items.{agency}": ["name", "email"],
    }  # fmt: skip
    unsigned = await officer.post(path, **paper)
    other = await officer.post(path, **{**paper, "wording": "ja", "signed": "yes"})
    empty = await nothing_kept(runtime, world)
    done = await officer.post(path, **paper, signed="yes")
    events = await rows(runtime, world.company.id, ConsentEvent, kind="given")

    assert 'lang="en"' in page.text
    assert "☐" in page.text
    assert (unsigned.status_code, other.status_code, empty) == (422, 409, True)
    assert f'name="agency" value="{agency}" checked' in unsigned.text
    assert done.headers["location"] == f"{people}?done=paper_recorded"
    assert [(one.locale, one.channel, one.text_sha256) for one in events] == [
        ("en", "paper", digest)
    ]
