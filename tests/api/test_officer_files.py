"""A person's document in the officer's room: opened for a reason, seen by the person."""

import re

import pytest

from domain.candidate import Candidate
from domain.candidate_file import CandidateFile, FileAccess
from domain.flows.person.keep_file import keep_file, remove_file
from tests.api.test_provision_register import Desk, an_officer
from tests.applications import rows
from tests.consents import invited
from tests.documents import pdf
from tests.own_page import at_own_page
from tests.pages.seed import enter

pytestmark = pytest.mark.anyio
PAPER = pdf()


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


@pytest.fixture
async def officer(runtime, world, client):
    return await an_officer(runtime, world, client)


@pytest.fixture
async def own_page(client, person):
    return await at_own_page(client, person)


async def owner(db, person):
    return await db.get_one(Candidate, (person.world.company.id, person.application.candidate_id))


@pytest.fixture
async def file(runtime, person):
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        return await keep_file(
            db, runtime.tools, await owner(db, person), "resume_file", PAPER,
            name="試験花子.pdf", now=runtime.clock(),
        )  # fmt: skip


def place(file):
    return f"/dashboard/privacy/people/{file.candidate_id}/files/{file.id}"


async def readings(runtime, world):
    return await rows(runtime, world.company.id, FileAccess)


async def test_a_document_is_opened_for_a_reason_and_the_person_sees_it(
    runtime, world, officer, own_page, file
):
    before = await officer.get(f"/dashboard/privacy/people/{file.candidate_id}")
    opened = await officer.post(place(file), reason="rights_request")
    after = await officer.get(f"/dashboard/privacy/people/{file.candidate_id}")
    page = await own_page.get()
    kept = await readings(runtime, world)

    assert "試験花子.pdf" in before.text
    assert (opened.status_code, opened.content) == (200, PAPER)
    assert opened.headers["content-disposition"].startswith("attachment; ")
    assert [(one.reader, one.reason, one.file_id) for one in kept] == [
        ("officer", "rights_request", file.id)
    ]
    assert kept[0].actor.startswith("mbr_")
    assert re.search(r"履歴書・[^<]*・ご本人の請求への対応</li>", after.text)
    assert (
        "の個人情報保護の担当者が履歴書を開きました。 理由: ご本人からのご請求への対応" in page.text
    )
    assert kept[0].actor not in page.text


@pytest.mark.parametrize("reason", ["", "curiosity"])
async def test_without_a_reason_nothing_is_opened(runtime, world, officer, file, reason):
    answer = await officer.post(place(file), reason=reason)

    assert answer.status_code == 422
    assert f'id="reason-{file.id}-error"' in answer.text
    assert PAPER not in answer.content
    assert await readings(runtime, world) == []


@pytest.mark.parametrize("role", ["recruiter", "head", "interviewer", "feedback_approver"])
async def test_nobody_else_opens_it(runtime, world, client, file, role):
    cookie = await enter(runtime, role, company_id=world.company.id, roles=[role])
    answer = await Desk(client, cookie).post(place(file), reason="rights_request")

    assert answer.status_code == 403
    assert await readings(runtime, world) == []


async def test_it_is_the_persons_own_document_or_none(runtime, world, officer, file):
    other = await invited(runtime, world, email="taro@mail.example")
    elsewhere = place(file).replace(file.candidate_id, other.application.candidate_id)
    answer = await officer.post(elsewhere, reason="incident")

    assert answer.status_code == 404
    assert await readings(runtime, world) == []


async def test_what_was_taken_back_or_found_bad_stays_closed(runtime, world, person, officer, file):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        there = await db.get_one(CandidateFile, (world.company.id, file.id))
        there.scan = "infected"
        db.add(there)
    infected = await officer.post(place(file), reason="incident")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await remove_file(db, await owner(db, person), file.id, runtime.clock())
        there = await db.get_one(CandidateFile, (world.company.id, file.id))
        there.scan = "clean"
        db.add(there)
    removed = await officer.post(place(file), reason="incident")

    assert (infected.status_code, removed.status_code) == (409, 410)
    assert "ウイルス" in infected.text
    assert "取り下げられています" in removed.text
    assert await readings(runtime, world) == []
