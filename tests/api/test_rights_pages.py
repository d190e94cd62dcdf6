"""Requests through the doors: a person's page behind the second step, HR's queue, holds."""

import io
import re

import pytest
from pypdf import PdfReader

from domain import vault
from domain.candidate import Candidate
from domain.erasure import Erasure, LegalHold
from domain.flows.person import hold as holds
from domain.rights_request import RightsRequest
from tests.api.test_provision_register import Desk
from tests.applications import one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import make_world
from tests.own_page import at_own_page
from tests.pages.seed import enter
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
HERE = "/dashboard/privacy/requests"


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


@pytest.fixture
async def visitor(client, person):
    return await at_own_page(client, person)


async def desk(runtime, world, client, *roles):
    cookie = await enter(runtime, "-".join(roles), company_id=world.company.id, roles=list(roles))
    return Desk(client, cookie)


async def held(person):
    runtime, company_id = person.runtime, person.world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        candidate = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        await holds.hold(
            db, runtime.tools, candidate, reason="係争中", actor="mem_1", now=runtime.clock()
        )


async def test_the_page_needs_the_second_step(visitor, person):
    looked = await visitor.get("/requests")
    link = await visitor.get()

    assert (looked.status_code, looked.headers["location"]) == (
        303, f"{visitor.path}/code?to=requests",
    )  # fmt: skip
    assert f"{visitor.path}/requests" in link.text
    assert await rows(person.runtime, person.world.company.id, RightsRequest) == []


async def test_a_person_asks_sees_the_day_and_takes_it_back(visitor, person):
    await visitor.prove("requests")
    sent = await visitor.press("/requests", on="/requests", kind="correction",
                               words="カナは「シケン」です <b>")  # fmt: skip
    page = await visitor.get("/requests?done=sent")
    row = await one(person.runtime, person.world.company.id, RightsRequest)
    again = await visitor.press(f"/requests/{row.id}/withdraw", on="/requests")
    after = await one(person.runtime, person.world.company.id, RightsRequest)

    assert (sent.status_code, again.status_code) == (303, 303)
    assert (row.kind, row.channel, row.state) == ("correction", "my_page", "verified")
    assert "2026年6月16日" in page.text
    assert "カナは「シケン」です &lt;b&gt;" in page.text
    assert "ご請求を承りました" in page.text
    assert after.state == "withdrawn"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"kind": ""}, 422, "請求の内容を選んでください"),
        ({"kind": "erase"}, 422, "請求の内容を選んでください"),
        ({"kind": "correction"}, 422, "どこをどう改めるか"),
        ({"kind": "disclosure", "submission_id": "x"}, 403, "もう一度お試しください"),
        ({"kind": "disclosure", "csrf": "forged"}, 403, "もう一度お試しください"),
    ],
)
async def test_what_is_no_request_is_refused_and_nothing_is_noted(
    visitor, person, fields, status, words
):
    await visitor.prove("requests")
    answer = await visitor.press("/requests", on="/requests", **fields)

    assert answer.status_code == status
    assert words in answer.text
    assert await rows(person.runtime, person.world.company.id, RightsRequest) == []


async def test_ten_open_requests_are_enough(visitor, person):
    await visitor.prove("requests")
    for _ in range(10):
        await visitor.press("/requests", on="/requests", kind="purpose_notice")
    answer = await visitor.press("/requests", on="/requests", kind="purpose_notice")

    assert answer.status_code == 409
    assert len(await rows(person.runtime, person.world.company.id, RightsRequest)) == 10


async def test_erasing_while_a_hold_stands_becomes_a_request(visitor, person):
    await held(person)
    await visitor.prove("erase")
    answer = await visitor.press("/erase", on="/erase", erase="yes")
    page = await visitor.get("/requests?done=held")

    assert (answer.status_code, answer.headers["location"]) == (
        303, f"{visitor.path}/requests?done=held",
    )  # fmt: skip
    assert "ただちには消去できません" in page.text
    assert await rows(person.runtime, person.world.company.id, Erasure) == []


async def test_hr_answers_and_the_person_reads_the_reason(visitor, person, runtime, world, client):
    await visitor.prove("requests")
    await visitor.press("/requests", on="/requests", kind="stop_use", words="使わないでください")
    hr = await desk(runtime, world, client, "head")
    listed = await hr.get(HERE)
    row = await one(runtime, world.company.id, RightsRequest)
    detail = await hr.get(f"{HERE}/{row.id}")
    faulty = await hr.post(f"{HERE}/{row.id}/answer", result="refused", channel="my_page")
    done = await hr.post(
        f"{HERE}/{row.id}/answer", result="refused", channel="my_page",
        reason="法令上必要な記録です", answer="記録だけを残します",
    )  # fmt: skip
    twice = await hr.post(
        f"{HERE}/{row.id}/answer", result="granted", channel="my_page", answer="やはり"
    )
    page = await visitor.get("/requests")
    kept = (await visitor.get("/data.json")).json()["rights_requests"][0]
    printed = PdfReader(io.BytesIO((await visitor.get("/data.pdf")).content)).pages
    text = "".join("".join(part.extract_text() for part in printed).split())

    assert (kept["words"], kept["reason"], kept["answer"]) == (
        "使わないでください", "法令上必要な記録です", "記録だけを残します",
    )  # fmt: skip
    assert all(one in text for one in (kept["words"], kept["reason"], kept["answer"]))
    assert row.id in listed.text
    assert "試験 花子" in listed.text
    assert "使わないでください" in detail.text
    assert faulty.status_code == 422
    assert 'id="answer-reason-error"' in faulty.text
    assert (done.status_code, twice.status_code) == (303, 409)
    assert "法令上必要な記録です" in page.text
    assert "記録だけを残します" in page.text
    assert (await person.reload()).restricted_from is None


async def test_what_came_on_paper_is_recorded_recognised_and_disclosed(
    person, runtime, world, client
):
    hr = await desk(runtime, world, client, "privacy_officer")
    number = person.application.candidate_id
    form = await hr.get(f"{HERE}/new?candidate={number}")
    unknown = await hr.post(HERE, candidate="cnd_nobody", kind="disclosure", channel="paper")
    made = await hr.post(
        HERE, candidate=number, kind="disclosure", channel="paper", words="全部見せてください"
    )
    row = await one(runtime, world.company.id, RightsRequest)
    early = await hr.get(f"{HERE}/{row.id}/document.pdf")
    verified = await hr.post(f"{HERE}/{row.id}/verify", identity="document")
    document = await hr.get(f"{HERE}/{row.id}/document.pdf")
    await hr.post(f"{HERE}/{row.id}/answer", result="granted", channel="paper")
    after = await one(runtime, world.company.id, RightsRequest)

    assert "試験 花子" in form.text
    assert unknown.status_code == 422
    assert (made.headers["location"], row.state) == (f"{HERE}/{row.id}?done=recorded", "received")
    assert (early.status_code, verified.status_code) == (404, 303)
    assert document.content.startswith(b"%PDF-")
    assert document.headers["cache-control"] == "no-store"
    assert (after.result, after.answer_channel) == ("granted", "paper")
    assert re.fullmatch("[0-9a-f]{64}", after.answer_sha256)


async def test_what_was_disclosed_is_proven_by_every_copy(visitor, runtime, world, client):
    """The paper HR prints, the answer's record and the person's own file name one content."""
    await visitor.prove("requests")
    await visitor.press("/requests", on="/requests", kind="disclosure", words="")
    hr = await desk(runtime, world, client, "privacy_officer")
    row = await one(runtime, world.company.id, RightsRequest)
    printed = await hr.get(f"{HERE}/{row.id}/document.pdf")
    await hr.post(f"{HERE}/{row.id}/answer", result="granted", channel="my_page")
    forward(runtime.clock, minutes=5)
    own = (await visitor.get("/data.json")).json()
    answered = await one(runtime, world.company.id, RightsRequest)
    pages = PdfReader(io.BytesIO(printed.content)).pages
    text = "".join("".join(page.extract_text() for page in pages).split())

    assert answered.answer_sha256 == own["content_sha256"]
    assert answered.answer_sha256 in text


async def test_holds_are_set_and_released_by_the_officer(person, runtime, world, client):
    officer = await desk(runtime, world, client, "privacy_officer")
    number = person.application.candidate_id
    empty = await officer.post("/dashboard/privacy/holds", candidate=number, reason="")
    made = await officer.post("/dashboard/privacy/holds", candidate=number, reason="監督官庁の調査")
    twice = await officer.post("/dashboard/privacy/holds", candidate=number, reason="もう一度")
    page = await officer.get("/dashboard/privacy/holds")
    row = await one(runtime, world.company.id, LegalHold)
    unsure = await officer.post(f"/dashboard/privacy/holds/{row.id}/release")
    standing = (await one(runtime, world.company.id, LegalHold)).released_at
    released = await officer.post(f"/dashboard/privacy/holds/{row.id}/release", sure="yes")
    again = await officer.post(f"/dashboard/privacy/holds/{row.id}/release", sure="yes")

    assert (unsure.status_code, standing) == (422, None)
    assert f'id="sure-{row.id}-error"' in unsure.text
    assert (empty.status_code, made.status_code, twice.status_code) == (422, 303, 409)
    assert "監督官庁の調査" in page.text
    assert (released.status_code, again.status_code) == (303, 409)
    assert (await one(runtime, world.company.id, LegalHold)).released_at is not None


async def test_an_erasure_is_granted_with_both_eyes_open(person, runtime, world, client):
    hr = await desk(runtime, world, client, "privacy_officer")
    await hr.post(
        HERE, candidate=PROFILE["email"], kind="erase", channel="paper", identity="document"
    )
    row = await one(runtime, world.company.id, RightsRequest)
    unsure = await hr.post(f"{HERE}/{row.id}/answer", result="granted", channel="paper")
    before = await rows(runtime, world.company.id, Erasure)
    sure = await hr.post(f"{HERE}/{row.id}/answer", result="granted", channel="paper", sure="yes")

    assert row.candidate_id == person.application.candidate_id
    assert (unsure.status_code, before, sure.status_code) == (422, [], 303)
    assert 'id="answer-sure-error"' in unsure.text
    assert (await one(runtime, world.company.id, Erasure)).rule == "request"


async def test_what_was_wrong_is_put_right_where_the_request_is_answered(
    person, runtime, world, client
):
    hr = await desk(runtime, world, client, "head")
    await hr.post(
        HERE, candidate=person.application.id, kind="correction", channel="phone",
        identity="document", words="電話番号が違います",
    )  # fmt: skip
    row = await one(runtime, world.company.id, RightsRequest)
    path = f"{HERE}/{row.id}/correct"
    wrong = await hr.post(path, name="試験 花子", phone="12345")
    done = await hr.post(path, name="試験 花子", phone="090-1234-5678")
    same = await hr.post(path, name="試験 花子", phone="090-1234-5678")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        profile = await vault.profile_of(db, runtime.tools.sealer, await person.reload())
    await hr.post(f"{HERE}/{row.id}/answer", result="granted", channel="phone")
    over = await hr.post(path, name="別人", phone="")

    assert (wrong.status_code, over.status_code) == (422, 404)
    assert 'id="correct-phone-error"' in wrong.text
    assert done.headers["location"] == f"{HERE}/{row.id}?done=corrected"
    assert same.headers["location"] == f"{HERE}/{row.id}?done=unchanged"
    assert profile["phone"] == "+819012345678"


async def test_only_a_correction_opens_the_form_for_it(person, runtime, world, client):
    hr = await desk(runtime, world, client, "head")
    await hr.post(
        HERE, candidate=person.application.candidate_id, kind="disclosure", channel="mail",
        identity="document",
    )  # fmt: skip
    row = await one(runtime, world.company.id, RightsRequest)
    answer = await hr.post(f"{HERE}/{row.id}/correct", name="別人")

    assert answer.status_code == 404
    assert "correct-name" not in (await hr.get(f"{HERE}/{row.id}")).text


@pytest.mark.parametrize(
    "case",
    [
        ("recruiter", HERE, 403),
        ("head", HERE, 200),
        ("head", "/dashboard/privacy/holds", 403),
        ("privacy_officer", HERE, 200),
        ("privacy_officer", "/dashboard/privacy/holds", 200),
    ],
)
async def test_who_may_come_in(runtime, world, client, case):
    role, path, status = case
    assert (await (await desk(runtime, world, client, role)).get(path)).status_code == status


async def test_another_companys_request_is_nobodys(visitor, runtime, world, client):

    await visitor.prove("requests")
    await visitor.press("/requests", on="/requests", kind="disclosure")
    row = await one(runtime, world.company.id, RightsRequest)
    strangers = await make_world(runtime, slug="stranger", agencies=0)
    cookie = await enter(runtime, "other", company_id=strangers.company.id,
                         roles=["privacy_officer"])  # fmt: skip
    other = Desk(client, cookie)

    assert (await other.get(f"{HERE}/{row.id}")).status_code == 404
    assert (await other.post(f"{HERE}/{row.id}/verify", identity="document")).status_code == 404
    assert (
        await other.post(f"{HERE}/{row.id}/answer", result="granted", channel="mail")
    ).status_code == 404


async def test_looking_writes_nothing(visitor, runtime, world, client):
    await visitor.prove("requests")
    await visitor.press("/requests", on="/requests", kind="disclosure")
    before = await rows(runtime, world.company.id, RightsRequest)
    hr = await desk(runtime, world, client, "privacy_officer")
    row = before[0]
    for path in (HERE, f"{HERE}?which=done", f"{HERE}/new", f"{HERE}/{row.id}",
                 f"{HERE}/{row.id}/document.pdf", "/dashboard/privacy/holds"):  # fmt: skip
        assert (await hr.get(path)).status_code == 200
    await visitor.get("/requests")

    assert await rows(runtime, world.company.id, RightsRequest) == before
