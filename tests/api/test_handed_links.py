"""Links HR hands over: shown once, taken back when they reached the wrong person."""

import re

import pytest

from domain.application import Application
from domain.company import Company
from domain.flows.ways_in.invite import invite
from domain.flows.ways_in.open_candidate_link import open_candidate_link
from domain.invitation import CandidateLink, Invitation
from tests.api.test_provision_register import Desk
from tests.applications import an_application, an_interview, one, reject, rows
from tests.conftest import forward
from tests.consents import Person
from tests.factories import work
from tests.pages.seed import enter
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world, clock):
    """Somebody who was told, with another link than the one in the notice."""
    application = await an_application(runtime, world, profile=dict(PROFILE))
    await an_interview(runtime, application)
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        there = await db.get_one(Application, (world.company.id, application.id))
        url = await invite(db, runtime.tools, company, there, clock())
    return Person(runtime, world, application, url.rpartition("/")[2])


@pytest.fixture
async def hr(runtime, world, client):
    cookie = await enter(runtime, "hr", company_id=world.company.id, roles=["recruiter"])
    return Desk(client, cookie)


def place(person):
    return f"/dashboard/applications/{person.application.id}"


async def test_a_link_taken_back_leads_to_nothing_and_the_invitation_goes_on(
    person, hr, world, client
):
    made = await hr.post(f"{place(person)}/invitation")
    url = re.search(r'value="http://[^"/]+(/c/[^"]+)"', made.text)[1]
    opened = await client.get(url)
    newest = max(
        await rows(person.runtime, world.company.id, CandidateLink), key=lambda one: one.id
    )
    listed = await hr.get(place(person))
    taken = await hr.post(f"{place(person)}/links/{newest.id}/revoke")
    again = await hr.post(f"{place(person)}/links/{newest.id}/revoke")
    closed = await client.get(url)
    other = await client.get(f"/c/{person.token}")
    after = await hr.get(place(person))

    assert (opened.status_code, taken.status_code, again.status_code) == (200, 303, 303)
    assert (closed.status_code, other.status_code) == (410, 200)
    assert f"/links/{newest.id}/revoke" in listed.text
    assert f"/links/{newest.id}/revoke" not in after.text
    assert (await one(person.runtime, world.company.id, Invitation)).state == "invited"


async def test_the_evidence_tells_a_handed_link_from_a_mailed_one(person, hr):
    made = await hr.post(f"{place(person)}/invitation")
    token = re.search(r'value="http://[^"/]+/c/([^"]+)"', made.text)[1]
    found = []
    for one_link in (person.token, token):
        async with person.runtime.database.transaction() as db:
            opened = await open_candidate_link(db, one_link)
            found += [opened.identity_check(proven=proven) for proven in (False, True)]

    assert found == [
        "mail_link", "mail_link_plus_code", "handed_link", "handed_link_plus_code",
    ]  # fmt: skip


@pytest.mark.parametrize("answer", ["give", "decline"])
async def test_after_the_answer_a_link_is_the_persons_own(person, hr, world, answer):
    links = await rows(person.runtime, world.company.id, CandidateLink, purpose="optin")
    await (person.give(world.agency.id) if answer == "give" else person.decline())
    page = await hr.get(place(person))
    refused = await hr.post(f"{place(person)}/links/{links[0].id}/revoke")
    after = await rows(person.runtime, world.company.id, CandidateLink, purpose="optin")

    assert refused.status_code == 409
    assert "/revoke" not in page.text
    assert [one.revoked_at for one in after] == [None, None]


@pytest.mark.parametrize("case", ["officer", "another application", "unknown"])
async def test_nobody_else_takes_it_back(  # noqa: PLR0917
    person, hr, runtime, world, client, case
):
    link = (await rows(runtime, world.company.id, CandidateLink))[0]
    desk, path = hr, f"{place(person)}/links/{link.id}/revoke"
    if case == "officer":
        cookie = await enter(runtime, "o", company_id=world.company.id, roles=["privacy_officer"])
        desk = Desk(client, cookie)
    elif case == "another application":
        path = f"/dashboard/applications/app_{'0' * 26}/links/{link.id}/revoke"
    else:
        path = f"{place(person)}/links/lnk_{'0' * 26}/revoke"
    answer = await desk.post(path)
    links = await rows(runtime, world.company.id, CandidateLink)

    assert answer.status_code == (403 if case == "officer" else 404)
    assert [one.revoked_at for one in links] == [None, None]
