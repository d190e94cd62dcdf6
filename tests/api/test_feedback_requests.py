"""Asking why, once and politely; and HR's queue with the guard and the second person."""

import pytest

from api.demo.visitor import _Forms
from domain.application import Application
from domain.company import Company
from domain.feedback_request import FeedbackRequest
from domain.store import lock
from tests.applications import an_application, mailbox, one, reject, rows
from tests.conftest import forward
from tests.consents import Person
from tests.factories import work
from tests.own_page import at_own_page, form_in, post
from tests.pages.seed import enter
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
QUEUE = "/dashboard/feedback-requests"
KIND = (
    "落ち着いた受け答えが印象に残りました。今回の募集では海外との折衝の経験を重く見ました。"
    "次は具体的な数字を添えてお話しください。"
)
VIEW = (
    "※ 今回の選考における所見であり、試験 花子様ご自身の能力や適性を評価するものではございません。"
)
CHURCH = (
    "宗教法人での経理のご経験を具体的にお話しくださり、印象に残りました。今回の募集では製造業の"
    "原価計算の経験を重く見ました。"
)


@pytest.fixture
async def person(runtime, world, clock):
    """Somebody who heard the result, at a company that takes requests."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        company.feedback_requests = True
        db.add(company)
    application = await an_application(
        runtime, world, profile=dict(PROFILE), job_title="経理", stage="二次面接"
    )
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    return Person(runtime, world, application, "")


@pytest.fixture
async def visitor(client, person):
    made = await at_own_page(client, person)
    await made.prove()
    return made


@pytest.fixture
async def asked(visitor):
    assert (await visitor.press("/feedback")).status_code == 303
    return await request_of(visitor)


async def request_of(visitor):
    person = visitor.person
    return await one(person.runtime, person.world.company.id, FeedbackRequest)


class Desk:
    """Somebody of HR at the queue."""

    def __init__(self, client, cookie):
        self.client, self.cookie = client, cookie

    async def queue(self):
        self.client.cookies.set("relay_session", self.cookie)
        return await self.client.get(QUEUE)

    async def press(self, action, **values):
        form = form_in(await self.queue(), action)
        csrf = next(value for name, value, _ in form["fields"] if name == "csrf")
        return await post(self.client, form["action"], [("csrf", csrf), *values.items()])


@pytest.fixture
async def recruiter(runtime, client, world):
    cookie = await enter(runtime, "hr", company_id=world.company.id, roles=["recruiter"])
    return Desk(client, cookie)


async def approver(runtime, client, world, *roles):
    cookie = await enter(
        runtime, "second", company_id=world.company.id, roles=["feedback_approver", *roles]
    )
    return Desk(client, cookie)


async def last_mail(person, word):
    await work(person.runtime)
    mails = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])
    return [mail for mail in mails if word in mail["subject"]]


async def test_one_press_asks_once(visitor, asked):
    again = await visitor.client.get(visitor.path)
    forms = [form["action"] for form in _Forms(again.text).forms]

    assert asked.state == "asked"
    assert f"{visitor.path}/feedback" not in forms
    assert "お願いしました" in again.text


async def test_pressing_twice_is_one_request(visitor):
    form = await visitor.form("/feedback")
    answers = [(await visitor.send(form)).status_code for _ in range(2)]

    assert answers == [303, 303]
    assert (await request_of(visitor)).state == "asked"


@pytest.mark.parametrize("wrong", ["app_00000000000000000000000000", "", "\0"])
async def test_only_ones_own_application_is_asked_about(visitor, wrong):
    answer = await visitor.press("/feedback", application=wrong)
    person = visitor.person

    assert answer.status_code == 403
    assert await rows(person.runtime, person.world.company.id, FeedbackRequest) == []


async def test_where_the_company_takes_none_nothing_is_offered(runtime, visitor, world):
    form = await visitor.form("/feedback")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        company.feedback_requests = False
        db.add(company)
    page = await visitor.get()
    forced = await visitor.send(form)

    assert "フィードバックのお願い" not in page.text
    assert forced.status_code == 403
    assert await rows(runtime, world.company.id, FeedbackRequest) == []


async def test_an_answer_goes_out_and_stands_on_the_page(visitor, asked, recruiter):
    sent = await recruiter.press("/answer", words=KIND, step="send")
    mails = await last_mail(visitor.person, "フィードバックのご連絡")
    page, kept = await visitor.get(), await request_of(visitor)

    assert sent.headers["location"] == f"{QUEUE}?done=answered"
    assert (kept.state, kept.draft, kept.look_at) == ("answered", None, None)
    assert f"{KIND}\n{VIEW}\n" in mails[0]["text"]
    assert KIND in page.text
    assert "あなたの能力や適性を評価するものではありません" in page.text
    assert KIND.encode() not in kept.answer
    assert asked.id == kept.id


async def test_the_kind_reply_is_one_press(visitor, asked, recruiter):
    sent = await recruiter.press("/standard")
    mails = await last_mail(visitor.person, "フィードバックのご依頼について")
    page = await visitor.get()

    assert sent.headers["location"] == f"{QUEUE}?done=standard"
    assert "お人柄やご経験の価値を表すものではございません" in mails[0]["text"]
    assert "個別の内容についてのお答えは控えるとのことです" in page.text
    assert (await request_of(visitor)).answer is None
    assert asked.state == "asked"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (CHURCH, '見直してください。 <span class="small">(宗教)</span>'),
        ("短い。", "30〜400文字で書いてください。</p>"),
        (f"{KIND}家族、年収は別です。", '<span class="small">(家族 / 年収)</span>'),
    ],
)
async def test_what_the_guard_stops_is_not_sent(visitor, asked, recruiter, words, said):
    answer = await recruiter.press("/answer", words=words, step="send")

    assert answer.status_code == 422
    assert said in answer.text
    assert words in answer.text
    assert (await request_of(visitor)).state == asked.state
    assert await last_mail(visitor.person, "フィードバックのご連絡") == []


async def test_a_second_person_may_find_it_harmless(  # noqa: PLR0917
    runtime, client, world, visitor, asked, recruiter
):
    proposed = await recruiter.press("/answer", words=CHURCH, step="propose")
    waiting, alone = await request_of(visitor), await recruiter.queue()
    told = (await visitor.get("/data.json")).json()["feedback_requests"]
    second = await approver(runtime, client, world)
    shown = await second.queue()
    approved = await second.press("/approve")
    mails = await last_mail(visitor.person, "フィードバックのご連絡")
    kept = await request_of(visitor)

    assert proposed.headers["location"] == f"{QUEUE}?done=to_approve"
    assert waiting.state == "to_approve"
    assert [one["state"] for one in told] == ["asked"]
    assert "/approve" not in alone.text
    assert CHURCH in shown.text
    assert "見直してください。 (宗教)" in shown.text
    assert approved.headers["location"] == f"{QUEUE}?done=answered"
    assert CHURCH in mails[0]["text"]
    assert kept.approved_by not in {None, kept.drafted_by}
    assert asked.id == kept.id


async def test_nobody_approves_what_they_wrote(runtime, client, world, visitor, asked):
    both = await approver(runtime, client, world, "recruiter")
    await both.press("/answer", words=CHURCH, step="propose")
    page = await both.queue()
    form = form_in(page, "/standard")
    answer = await post(
        client, f"{QUEUE}/{asked.id}/approve",
        [(name, value) for name, value, _ in form["fields"]],
    )  # fmt: skip

    assert "/approve" not in page.text
    assert answer.status_code == 403
    assert (await request_of(visitor)).state == "to_approve"
    assert await last_mail(visitor.person, "フィードバックのご連絡") == []


async def test_a_recruiter_without_the_role_approves_nothing(client, visitor, asked, recruiter):
    await recruiter.press("/answer", words=CHURCH, step="propose")
    form = form_in(await recruiter.queue(), "/standard")
    answer = await post(
        client, f"{QUEUE}/{asked.id}/approve",
        [(name, value) for name, value, _ in form["fields"]],
    )  # fmt: skip

    assert answer.status_code == 403
    assert (await request_of(visitor)).state == "to_approve"


async def test_what_is_handed_back_can_be_changed(  # noqa: PLR0917
    runtime, client, world, visitor, asked, recruiter
):
    await recruiter.press("/answer", words=CHURCH, step="propose")
    second = await approver(runtime, client, world)
    back = await second.press("/return")
    page = await recruiter.queue()
    sent = await recruiter.press("/answer", words=KIND, step="send")

    assert back.headers["location"] == f"{QUEUE}?done=asked"
    assert CHURCH in page.text
    assert sent.headers["location"] == f"{QUEUE}?done=answered"
    assert (await request_of(visitor)).id == asked.id


async def test_whoever_may_approve_is_told_by_mail_without_a_name_or_a_word_of_it(  # noqa: PLR0917
    runtime, client, world, visitor, asked, recruiter
):
    await approver(runtime, client, world)
    await recruiter.press("/answer", words=CHURCH, step="propose")
    await work(runtime)
    (told,) = await mailbox(runtime, world.company.id, "second@people.example")

    assert told["subject"] == "フィードバックの確認をお願いします"
    assert "対象の職種: 経理" in told["text"]
    assert "宗教" not in told["text"]
    assert "試験" not in told["text"]
    assert (await request_of(visitor)).id == asked.id


async def test_whoever_wrote_it_may_take_it_back(visitor, asked, recruiter):
    await recruiter.press("/answer", words=CHURCH, step="propose")
    back = await recruiter.press("/return")
    page = await recruiter.queue()

    assert back.headers["location"] == f"{QUEUE}?done=asked"
    assert f"{QUEUE}/{asked.id}/answer" in page.text
    assert CHURCH in page.text
    assert (await request_of(visitor)).state == "asked"


async def test_a_length_is_no_matter_of_opinion(visitor, asked, recruiter):
    answer = await recruiter.press("/answer", words="短い。", step="propose")

    assert answer.status_code == 422
    assert (await request_of(visitor)).state == asked.state


async def test_whoever_is_not_turned_down_any_more_is_told_nothing(
    runtime, visitor, asked, recruiter
):
    company = visitor.person.world.company.id
    async with runtime.database.transaction(company_id=company) as db:
        application = await lock(db, Application, company, asked.application_id)
        application.outcome = "active"
        db.add(application)
    answer = await recruiter.press("/answer", words=KIND, step="send")

    assert answer.headers["location"] == f"{QUEUE}?done=void"
    assert (await request_of(visitor)).state == "void"
    assert await last_mail(visitor.person, "フィードバックのご連絡") == []


async def test_hr_is_reminded_once_after_ten_business_days(  # noqa: PLR0917
    runtime, clock, world, visitor, asked, recruiter
):
    found = []
    for days in (13, 1, 30):
        forward(clock, days=days)
        await work(runtime)
        mails = await mailbox(runtime, world.company.id, "hr@people.example")
        found.append(sum("フィードバックのご依頼が未回答" in mail["subject"] for mail in mails))
    texts = " ".join(mail["text"] for mail in mails)

    assert found == [0, 1, 1]
    assert PROFILE["display_name"] not in texts
    assert (await request_of(visitor)).look_at is None
    assert recruiter.cookie
    assert asked.look_at is not None


async def test_the_head_opens_and_closes_the_door(runtime, client, world):
    cookie = await enter(runtime, "head", company_id=world.company.id, roles=["head"])
    head = Desk(client, cookie)
    on = await head.press("/switch", allowed="yes")
    taken = (await one(runtime, world.company.id, Company)).feedback_requests
    off = await head.press("/switch", allowed="no")

    assert (on.status_code, off.status_code) == (303, 303)
    assert taken is True
    assert (await one(runtime, world.company.id, Company)).feedback_requests is False


async def test_an_agency_and_a_stranger_see_no_queue(runtime, client, world):
    cookie = await enter(runtime, "agency", agency_id=world.agency.id, roles=["consultant"])
    stranger = await client.get(QUEUE)
    agency = await Desk(client, cookie).queue()

    assert (stranger.status_code, agency.status_code) == (303, 403)
