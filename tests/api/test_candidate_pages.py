"""The pages behind a candidate's link: polite, complete, and a GET changes nothing."""

import re
from urllib.parse import urlencode

import asyncpg
import pytest

from api.demo.visitor import _Forms
from domain import vault
from domain.agency import Agency
from domain.candidate import Candidate
from domain.consent import Consent, ConsentEvent, ConsentText
from domain.contact import dialled
from domain.duty import PlacementQuestion
from domain.flows.person.change_person import delete
from domain.flows.relay.provide_package import provide_package
from domain.ids import new_id
from domain.notice import Notice
from domain.relay import Relay
from tests.applications import an_application, mailbox, one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import make_world, work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
HOSTILE = (
    "<script>alert(1)</script>",
    "\0\x07花子",
    "😀 𠮷野家 👩‍👩‍👧",
    "\u202etxt.exe\u202c",
    "'; DROP TABLE consent; --",
    "{{ 7*7 }}{name}%s",
)


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


def form_of(page, button):
    """The form of a page that has this decision."""
    found = (form for form in _Forms(page.text).forms if ("decision", button) in form["buttons"])
    return next(found)


def fields(form, ticks=(), **changed):
    """What a browser sends: text fields as they stand, the boxes ticked on purpose."""
    kept = [
        (name, changed.pop(name, value))
        for name, value, kind in form["fields"]
        if kind != "checkbox"
    ]
    return [*kept, *changed.items(), *ticks]


def ticks_for(agency_id, *items):
    return [("agency", agency_id), *((f"items.{agency_id}", item) for item in items)]


async def post(client, path, data, **more):
    return await client.post(
        path, content=urlencode(data).encode(),
        headers={"content-type": "application/x-www-form-urlencoded", **more},
    )  # fmt: skip


async def choose(client, person, ticks, decision="consent", **changed):
    page = await client.get(f"/c/{person.token}")
    data = fields(form_of(page, decision), ticks, **changed)
    return await post(client, f"/c/{person.token}", [*data, ("decision", decision)])


async def consent(client, person, *agency_ids, items=("name", "email")):
    ticks = [tick for agency_id in agency_ids for tick in ticks_for(agency_id, *items)]
    shown = await choose(client, person, ticks)
    assert shown.status_code == 200, shown.text
    data = fields(form_of(shown, "confirm"))
    return await post(client, f"/c/{person.token}", [*data, ("decision", "confirm")])


async def my_page(runtime, person):
    """The path in the receipt."""
    await work(runtime)
    mails = await mailbox(runtime, person.world.company.id, PROFILE["email"])
    receipt = next(mail for mail in mails if "控え" in mail["subject"])
    return next(url for url in receipt["links"] if "/c/" in url).removeprefix("http://relay.test")


async def snapshot(database_url):
    """Every row of every table, as text."""
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables "
            "WHERE table_schema IN ('public', 'pgq') AND table_type = 'BASE TABLE'"
        )
        found = {}
        for table in tables:
            lines = await connection.fetch(f"SELECT t::text AS line FROM {table['name']} t")  # noqa: S608
            found[table["name"]] = sorted(line["line"] for line in lines)
        return found
    finally:
        await connection.close()


async def nothing_recorded(person):
    for kind in (Consent, ConsentEvent, ConsentText, Relay):
        if await rows(person.runtime, person.world.company.id, kind):
            return False
    return True


@pytest.mark.parametrize("lang", ["ja", "en"])
async def test_the_form_says_everything_before_the_first_question_and_ticks_nothing(
    client, person, lang
):
    page = await client.get(f"/c/{person.token}?lang={lang}")
    before_the_form = page.text.split('id="form"')[0]
    async with person.runtime.database.transaction() as db:
        said = (await person.statement(db, lang)).content

    assert page.status_code == 200
    for key in (
        "provider_name", "provider_address", "provider_representative", "privacy_officer",
        "purpose", "means", "voluntary", "free_of_charge", "company_benefit", "withdrawal",
        "validity", "retention", "rights_contact", "processors", "special_care_warning",
    ):  # fmt: skip
        assert said[key] in before_the_form, key
    for recipient in said["recipients"]:
        for fact in ("name", "address", "representative", "licence", "purpose", "privacy_url"):
            assert recipient[fact] in before_the_form
    for item in said["data_items"]:
        assert item["label"] in before_the_form
    assert " checked" not in page.text
    boxes = [name for name, _, kind in form_of(page, "consent")["fields"] if kind == "checkbox"]
    assert boxes.count("agency") == 2


async def test_saying_no_is_as_easy_as_saying_yes(client, person):
    page = await client.get(f"/c/{person.token}")
    form = page.text.split('id="form"')[1]
    buttons = re.findall(r'<button [^>]*name="decision" value="(\w+)" class="(\w+)"', form)

    assert buttons == [("consent", "button"), ("decline", "button")]


async def test_pages_are_not_kept_and_name_no_other_site(client, person):
    page = await client.get(f"/c/{person.token}")

    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert re.findall(r"<script[^>]*>[^<]+", page.text) == []
    assert "style=" not in page.text


@pytest.mark.parametrize(
    ("method", "place", "status"),
    [
        ("GET", "stop", 200), ("POST", "stop", 200), ("GET", "nowhere", 404), ("PUT", "done", 405),
        ("POST", "erase", 303), ("GET", "started", 404), ("HEAD", "", 200),
    ],
)  # fmt: skip
async def test_whatever_a_link_answers_is_kept_by_nobody(client, person, method, place, status):
    path = f"/c/{person.token}/{place}".rstrip("/")
    for accept in ("text/html", "application/json"):
        answer = await client.request(method, path, headers={"accept": accept})

        assert answer.status_code == status
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("place", ["/c/{token}/", "/join/mirai/", "/login/"])
async def test_no_answer_leads_to_the_host_that_was_named(client, person, place):
    answer = await client.get(place.format(token=person.token), headers={"host": "evil.example"})

    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize("second", ["decline", "consent", "edit"])
async def test_two_decisions_at_once_are_none(client, person, second):
    ticks = ticks_for(person.world.agency.id, "name", "email")
    shown = await choose(client, person, ticks)
    data = fields(form_of(shown, "confirm"))
    both = [("decision", second), ("decision", "confirm")]
    answer = await post(client, f"/c/{person.token}", [*data, *both])

    assert answer.status_code == 422
    assert await nothing_recorded(person)


async def test_consenting_takes_ticks_a_look_and_a_button(client, person):
    agency_id = person.world.agency.id
    shown = await choose(client, person, ticks_for(agency_id, "name", "email", "phone"))

    assert shown.status_code == 200
    assert "まだお申し込みは完了していません" in shown.text
    assert dialled(PROFILE["phone"]) in shown.text
    assert await nothing_recorded(person)

    data = fields(form_of(shown, "confirm"))
    done = await post(client, f"/c/{person.token}", [*data, ("decision", "confirm")])
    thanks = await client.get(done.headers["location"])
    given = await one(person.runtime, person.world.company.id, Consent)

    assert (done.status_code, done.headers["location"]) == (303, f"/c/{person.token}/done")
    assert thanks.status_code == 200
    assert "お申し込みを受け付けました" in thanks.text
    assert (given.agency_id, given.items) == (agency_id, ["name", "email", "phone"])


async def test_confirming_twice_is_one_event_and_the_same_answer(client, person):
    shown = await choose(client, person, ticks_for(person.world.agency.id, "name", "email"))
    data = [*fields(form_of(shown, "confirm")), ("decision", "confirm")]
    first = await post(client, f"/c/{person.token}", data)
    second = await post(client, f"/c/{person.token}", data)
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)

    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    assert len(events) == 1


async def test_without_ticks_it_is_neither_yes_nor_no(client, person):
    page = await choose(client, person, [], phone="03-9999-0000")

    assert page.status_code == 422
    assert "提供先の会社が選択されていません" in page.text
    assert 'value="03-9999-0000"' in page.text
    assert await nothing_recorded(person)


@pytest.mark.parametrize(
    ("ticks", "words"),
    [
        (["name"], "この会社への提供に必要"),
        ([], "この会社への提供に必要"),
    ],
)
async def test_an_item_the_agency_needs_must_be_ticked(client, person, ticks, words):
    page = await choose(client, person, ticks_for(person.world.agency.id, *ticks))

    assert page.status_code == 422
    assert words in page.text.split("c-statement")[0]
    assert f'value="{person.world.agency.id}" checked' in page.text
    assert await nothing_recorded(person)


async def test_items_without_their_agency_are_asked_about(client, person):
    page = await choose(client, person, ticks_for(person.world.agency.id, "name", "email")[1:])

    assert page.status_code == 422
    assert "会社が選択されていません" in page.text
    assert await nothing_recorded(person)


@pytest.mark.parametrize("decision", ["consent", "confirm"])
@pytest.mark.parametrize(
    "extra",
    [
        [("agency", "agy_00000000000000000000000000")],
        [("items.agy_00000000000000000000000000", "name")],
        "current_salary",
        "no_such_item",
    ],
)
async def test_what_was_not_on_the_form_is_not_recorded(client, person, decision, extra):
    agency_id = person.world.agency.id
    added = [(f"items.{agency_id}", extra)] if isinstance(extra, str) else extra
    page = await client.get(f"/c/{person.token}")
    data = fields(form_of(page, "consent"), [*ticks_for(agency_id, "name", "email"), *added])
    answer = await post(client, f"/c/{person.token}", [*data, ("decision", decision)])

    assert answer.status_code == 422
    assert await nothing_recorded(person)


async def test_a_changed_statement_is_shown_again_and_no_tick_survives(client, person):
    page = await client.get(f"/c/{person.token}")
    ticks = ticks_for(person.world.agency.id, "name", "email")
    data = fields(form_of(page, "consent"), ticks, text="0" * 64)
    answer = await post(client, f"/c/{person.token}", [*data, ("decision", "confirm")])

    assert answer.status_code == 422
    assert "もう一度ご確認ください" in answer.text
    assert " checked" not in answer.text
    assert await nothing_recorded(person)


@pytest.mark.parametrize("decision", ["consent", "confirm", "decline"])
async def test_a_form_from_elsewhere_is_refused(client, person, decision):
    page = await client.get(f"/c/{person.token}")
    ticks = ticks_for(person.world.agency.id, "name", "email")
    good = fields(form_of(page, "consent"), ticks)
    bad = fields(form_of(page, "consent"), ticks, csrf="0" * 64)
    forged = await post(client, f"/c/{person.token}", [*bad, ("decision", decision)])
    crossed = await post(
        client, f"/c/{person.token}", [*good, ("decision", decision)],
        **{"sec-fetch-site": "cross-site"},
    )  # fmt: skip

    assert (forged.status_code, crossed.status_code) == (403, 403)
    assert forged.headers["content-type"].startswith("text/html")
    assert await nothing_recorded(person)


async def test_feedback_the_person_was_sent_may_be_handed_over_if_they_want_it(
    client, person, clock
):
    """Off by default, as it was told to the person, and said to reveal where they applied."""
    runtime, company_id, number = person.runtime, person.world.company.id, person.application
    words = "論点の整理が的確でした。"
    async with runtime.database.transaction(company_id=company_id) as db:
        there = await db.get_one(Candidate, (company_id, number.candidate_id))
        notice = Notice(
            company_id=company_id, id=new_id("ntc"), application_id=number.id,
            candidate_id=there.id, kind="rejected", state="sent", sent_at=clock(),
            created_at=clock(),
        )  # fmt: skip
        notice.feedback = await vault.seal(
            db, runtime.tools.sealer, there, "profile", words, about=f"feedback:{notice.id}"
        )
        db.add(notice)
    page = await client.get(f"/c/{person.token}")
    boxes = [value for _, value, kind in form_of(page, "consent")["fields"] if kind == "checkbox"]
    wanted = ("name", "email", "interview_feedback")
    shown = await choose(client, person, ticks_for(person.world.agency.id, *wanted))
    await post(
        client, f"/c/{person.token}", [*fields(form_of(shown, "confirm")), ("decision", "confirm")]
    )
    forward(clock, minutes=31)
    await work(runtime)
    relay = await one(runtime, company_id, Relay)
    async with runtime.database.transaction() as db:
        provided = await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel="api", client_id="crc_x",
            now=clock(),
        )  # fmt: skip

    assert boxes.count("interview_feedback") == 2
    assert " checked" not in page.text
    assert words in shown.text
    assert provided.package["candidate"]["interview_feedback"] == words


async def test_an_old_browser_that_calls_our_origin_null_may_answer(client, person):
    """Our pages send no referrer: then a form names no origin, and only new browsers say more."""
    page = await client.get(f"/c/{person.token}")
    form = form_of(page, "decline")
    said = [*fields(form), ("decision", "decline")]
    forged = [*fields(form, csrf="0" * 128), ("decision", "decline")]
    foreign = {"origin": "null", "sec-fetch-site": "cross-site"}
    refused = [
        await post(client, f"/c/{person.token}", forged, origin="null"),
        await post(client, f"/c/{person.token}", said, **foreign),
    ]
    unheard = await nothing_recorded(person)
    taken = await post(client, f"/c/{person.token}", said, origin="null")

    assert [one.status_code for one in refused] == [403, 403]
    assert unheard
    assert (taken.status_code, taken.headers["location"]) == (303, f"/c/{person.token}/done")


@pytest.mark.parametrize("nothing", ["\u200b\u2060", "\u061c", "\u2028\u2029", "\u3000\ufeff"])
async def test_a_name_nobody_can_see_is_no_name(client, person, nothing):
    ticks = ticks_for(person.world.agency.id, "name", "email")
    page = await choose(client, person, ticks, name=nothing)

    assert page.status_code == 422
    assert 'href="#name"' in page.text
    assert await nothing_recorded(person)


async def test_a_no_is_thanked_and_nothing_follows(client, person):
    done = await choose(client, person, [], decision="decline")
    thanks = await client.get(done.headers["location"])
    later = await client.get(f"/c/{person.token}")
    await work(person.runtime)

    assert done.status_code == 303
    assert "「申し込まない」とのご回答を承りました" in thanks.text
    assert later.status_code == 410
    assert await mailbox(person.runtime, person.world.company.id) == []
    assert await rows(person.runtime, person.world.company.id, Relay) == []


async def test_whoever_said_no_may_come_back_on_their_own(client, person):
    await choose(client, person, [], decision="decline")
    page = await client.get(f"/c/{person.token}?again=1")
    ticks = ticks_for(person.world.agency.id, "name", "email")
    data = fields(form_of(page, "consent"), ticks)
    shown = await post(client, f"/c/{person.token}", [*data, ("decision", "consent")])
    done = await post(
        client, f"/c/{person.token}", [*fields(form_of(shown, "confirm")), ("decision", "confirm")]
    )
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)

    assert done.status_code == 303
    assert [event.kind for event in events] == ["declined", "given"]


@pytest.mark.parametrize("token", ["A" * 43, "short", "%00", "..%2F..", "é" * 43, "A" * 5000])
@pytest.mark.parametrize("page", ["", "/done", "/receipt.json", "/data.json", "/erase"])
async def test_unknown_links_get_one_neutral_answer(client, person, token, page):
    answer = await client.get(f"/c/{token}{page}")
    usual = await client.get("/c/" + "B" * 43)

    assert answer.status_code == 404
    if answer.headers["content-type"].startswith("text/html"):
        shown = re.sub(r'href="\?[^"]*"', "", answer.text)
        assert shown == re.sub(r'href="\?[^"]*"', "", usual.text)
    assert person.world.company.name not in answer.text


async def test_an_expired_link_says_so_and_nothing_of_its_person(client, person, clock):
    forward(clock, days=31)
    page = await client.get(f"/c/{person.token}")
    answer = await post(client, f"/c/{person.token}", [("decision", "decline")])

    assert (page.status_code, answer.status_code) == (410, 410)
    assert "使用済みか、有効期限が過ぎています" in page.text
    assert "情報は提供されていません" not in page.text
    assert await nothing_recorded(person)


async def test_a_used_link_offers_the_way_back_even_long_after(client, person, clock):
    await consent(client, person, person.world.agency.id)
    forward(clock, days=40)
    page = await client.get(f"/c/{person.token}")
    forms = {form["action"].rpartition("/")[2]: form for form in _Forms(page.text).forms}
    hidden = [(name, value) for name, value, _ in forms["withdraw"]["fields"]]
    done = await post(client, f"/c/{person.token}/withdraw", hidden)
    shown = await client.get(done.headers["location"])
    state = (await one(person.runtime, person.world.company.id, Consent)).state

    assert page.status_code == 410
    assert (done.status_code, state) == (303, "withdrawn")
    assert "同意の撤回を承りました" in shown.text


async def test_a_used_link_mails_the_way_to_the_own_page_once_an_hour(client, person, clock):
    await consent(client, person, person.world.agency.id)
    page = await client.get(f"/c/{person.token}")
    forms = {form["action"].rpartition("/")[2]: form for form in _Forms(page.text).forms}
    hidden = [(name, value) for name, value, _ in forms["my-page"]["fields"]]
    for _ in range(3):
        answer = await post(client, f"/c/{person.token}/my-page", hidden)
        assert answer.status_code == 200
    await work(person.runtime)
    first = await mailbox(person.runtime, person.world.company.id)
    forward(clock, minutes=61)
    await post(client, f"/c/{person.token}/my-page", hidden)
    await work(person.runtime)
    second = await mailbox(person.runtime, person.world.company.id)

    for _ in range(12):
        forward(clock, minutes=61)
        await post(client, f"/c/{person.token}/my-page", hidden)
    await work(person.runtime)
    many = await mailbox(person.runtime, person.world.company.id)

    assert [mail["subject"][:3] for mail in first] == ["【控え", "マイペ"]
    assert len(second) == 3
    assert len(many) == 6


async def test_the_own_page_shows_who_holds_what(runtime, client, person, clock):
    await consent(client, person, person.world.agency.id, items=("name", "email", "phone"))
    path = await my_page(runtime, person)
    waiting = await client.get(path)
    forward(clock, minutes=31)
    await work(runtime)
    page = await client.get(path)

    assert waiting.status_code == 200
    assert "どこにも提供しません" in waiting.text
    assert person.world.agency.name in page.text
    assert "氏名、メールアドレス、電話番号" in page.text
    assert "会社にご紹介をお知らせしました" in page.text
    assert "まだ何もお渡ししていません" in page.text


async def test_withdrawing_takes_one_press_and_is_confirmed(runtime, client, person):
    await consent(client, person, person.world.agency.id)
    path = await my_page(runtime, person)
    page = await client.get(path)
    form = next(form for form in _Forms(page.text).forms if "withdraw" in form["action"])
    hidden = [(name, value) for name, value, _ in form["fields"] if name != "agency"]
    first = await post(client, form["action"], [*hidden, ("agency", "all")])
    again = await post(client, form["action"], [*hidden, ("agency", "all")])
    shown = await client.get(first.headers["location"])
    await work(runtime)
    mails = await mailbox(runtime, person.world.company.id)

    assert (first.status_code, again.status_code) == (303, 303)
    assert "撤回を承りました" in shown.text
    assert [mail["subject"] for mail in mails][1:] == ["【受付完了】同意の撤回を承りました"]


@pytest.mark.parametrize("agency", [[], [("agency", "agy_00000000000000000000000000")]])
async def test_a_withdrawal_must_name_an_agency_of_theirs(runtime, client, person, agency):
    await consent(client, person, person.world.agency.id)
    path = await my_page(runtime, person)
    page = await client.get(path)
    form = next(form for form in _Forms(page.text).forms if "withdraw" in form["action"])
    hidden = [(name, value) for name, value, _ in form["fields"] if name != "agency"]
    answer = await post(client, form["action"], [*hidden, *agency])

    assert answer.status_code == 403
    assert (await one(runtime, person.world.company.id, Consent)).state == "given"


async def test_opening_every_page_twice_changes_no_row(runtime, client, person, database_url):
    fresh = await invited(runtime, person.world, profile={**PROFILE, "email": "b@mail.example"})
    declined = await invited(runtime, person.world, profile={**PROFILE, "email": "c@mail.example"})
    await declined.decline()
    await consent(client, person, person.world.agency.id)
    path = await my_page(runtime, person)
    pages = [
        *(f"/c/{one.token}" for one in (person, fresh, declined)),
        f"/c/{declined.token}?again=1", f"/c/{fresh.token}?lang=en", f"/c/{'A' * 43}",
        path, *(f"{path}/{page}" for page in ("done", "erase", "receipt.json", "data.json")),
        f"/c/{person.token}/done", f"/join/{person.world.company.slug}", "/join/nobody",
        f"/c/{fresh.token}/withdraw", f"{path}/withdraw",
    ]  # fmt: skip
    before = await snapshot(database_url)
    for page in pages * 2:
        await client.get(page)
        await client.head(page)
    after = await snapshot(database_url)

    assert after == before


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_what_people_write_is_kept_as_text_and_shown_as_text(client, person, hostile):
    shown = await choose(
        client, person, ticks_for(person.world.agency.id, "name", "email", "desired_job"),
        desired_job=hostile, name=f"試験 {hostile}",
    )  # fmt: skip
    data = fields(form_of(shown, "confirm"))
    done = await post(client, f"/c/{person.token}", [*data, ("decision", "confirm")])
    path = await my_page(person.runtime, person)
    page = await client.get(path)

    assert (shown.status_code, done.status_code, page.status_code) == (200, 303, 200)
    for answer in (shown, page):
        assert "<script>alert" not in answer.text
        assert "\u202e" not in answer.text
        assert "\0" not in answer.text
    if hostile.startswith("😀"):
        assert "𠮷野家" in page.text


async def told_person(runtime, world):
    """Somebody who has heard the result."""
    application = await an_application(
        runtime, world, profile=dict(PROFILE), outcome="rejected", stage="二次面接"
    )
    now = runtime.clock()
    async with runtime.database.transaction(company_id=world.company.id) as db:
        db.add(
            Notice(
                company_id=world.company.id, id=new_id("ntc"), application_id=application.id,
                candidate_id=application.candidate_id, kind="rejected", state="sent", sent_at=now,
                created_at=now,
            )
        )  # fmt: skip
    return application


async def test_a_company_without_agencies_asks_nothing(runtime, client):
    other = await make_world(runtime, slug="alone", agencies=1)
    lonely = await invited(runtime, other, profile={**PROFILE, "email": "d@mail.example"})
    async with runtime.database.transaction(agency_id=other.agency.id) as db:
        agency = await db.get_one(Agency, other.agency.id)
        agency.state = "suspended"
        db.add(agency)
    page = await client.get(f"/c/{lonely.token}")

    assert page.status_code == 410
    assert "ただいま受け付けていません" in page.text


@pytest.mark.parametrize("page", ["/done", "/erase", "/receipt.json", "/data.json"])
async def test_a_link_to_the_form_leads_to_the_form(client, person, page):
    answer = await client.get(f"/c/{person.token}{page}")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/c/{person.token}"


async def test_a_link_to_the_own_page_takes_no_answer_to_the_form(runtime, client, person):
    await consent(client, person, person.world.agency.id)
    path = await my_page(runtime, person)
    answer = await post(client, path, [("decision", "consent")])

    assert (answer.status_code, answer.headers["location"]) == (303, path)


FOLLOWUP = ("followup", "yes")


async def consent_and_be_asked(client, person):
    shown = await choose(
        client, person, [*ticks_for(person.world.agency.id, "name", "email"), FOLLOWUP]
    )
    data = fields(form_of(shown, "confirm"))
    done = await post(client, f"/c/{person.token}", [*data, ("decision", "confirm")])
    assert done.status_code == 303, done.text
    return shown


async def followup_events(person):
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)
    return [one for one in sorted(events, key=lambda one: one.seq) if one.items == ["followup"]]


@pytest.mark.parametrize("lang", ["ja", "en"])
async def test_being_asked_later_is_a_box_of_its_own_and_not_ticked(client, person, lang):
    page = await client.get(f"/c/{person.token}?lang={lang}")
    async with person.runtime.database.transaction() as db:
        said = (await person.statement(db, lang)).content
    boxes = [field for field in form_of(page, "consent")["fields"] if field[0] == "followup"]

    assert boxes == [("followup", "yes", "checkbox")]
    assert said["followup_agreement"] in page.text
    assert said["followup"] in page.text.split('id="form"')[0]
    assert " checked" not in page.text


async def test_the_box_is_shown_again_and_recorded_on_its_own(client, person):
    shown = await consent_and_be_asked(client, person)
    async with person.runtime.database.transaction() as db:
        said = (await person.statement(db)).content
    given = await one(person.runtime, person.world.company.id, Consent)
    (event,) = await followup_events(person)

    assert said["followup_agreement"] in shown.text
    assert ("followup", "yes", "hidden") in form_of(shown, "confirm")["fields"]
    assert given.items == ["name", "email"]
    assert (event.kind, event.agency_id) == ("given", None)


async def test_without_the_tick_the_last_look_does_not_speak_of_it(client, person):
    shown = await choose(client, person, ticks_for(person.world.agency.id, "name", "email"))
    names = [name for name, _, _ in form_of(shown, "confirm")["fields"]]
    await consent(client, person, person.world.agency.id)

    assert "followup" not in names
    assert await followup_events(person) == []


async def test_the_box_alone_is_asked_about_and_stays_ticked(client, person):
    page = await choose(client, person, [FOLLOWUP])

    assert page.status_code == 422
    assert "提供先の会社が選択されていません" in page.text
    assert page.text.count(" checked") == 1
    assert await nothing_recorded(person)


async def test_the_box_and_a_no_record_a_no(client, person):
    await choose(client, person, [FOLLOWUP], decision="decline")

    assert await followup_events(person) == []
    assert await rows(person.runtime, person.world.company.id, Consent) == []


async def test_going_back_to_the_form_keeps_the_tick(client, person):
    shown = await choose(
        client, person, [*ticks_for(person.world.agency.id, "name", "email"), FOLLOWUP]
    )
    data = fields(form_of(shown, "confirm"))
    form = await post(client, f"/c/{person.token}", [*data, ("decision", "edit")])

    assert form.text.count(" checked") == 4


async def test_not_to_be_asked_takes_one_step_on_the_own_page(runtime, client, person):
    await consent_and_be_asked(client, person)
    path = await my_page(runtime, person)
    before = await client.get(path)
    form = next(one for one in _Forms(before.text).forms if one["action"].endswith("/followup"))
    forged = await post(client, form["action"], [("csrf", "0" * 64)])
    hidden = [(name, value) for name, value, _ in form["fields"]]
    done = await post(client, form["action"], hidden)
    after = await client.get(done.headers["location"])
    given = await one(runtime, person.world.company.id, Consent)

    assert forged.status_code == 403
    assert (done.status_code, done.headers["location"]) == (303, f"{path}?unasked=1")
    assert "メールをやめました" in after.text
    assert not any(one["action"].endswith("/followup") for one in _Forms(after.text).forms)
    assert [event.kind for event in await followup_events(person)] == ["given", "withdrawn"]
    assert given.state == "given"


async def test_whoever_did_not_tick_it_is_not_told_of_it_on_the_own_page(runtime, client, person):
    await consent(client, person, person.world.agency.id)
    page = await client.get(await my_page(runtime, person))

    assert page.status_code == 200
    assert "就職の確認のメール" not in page.text


async def asked(runtime, client, clock, person):
    """The person was asked after thirty days; the path of the page in the mail."""
    await consent_and_be_asked(client, person)
    forward(clock, minutes=31)
    await work(runtime)
    forward(clock, days=30)
    await work(runtime)
    mails = await mailbox(runtime, person.world.company.id, PROFILE["email"])
    links = [link for mail in mails for link in mail["links"] if link.endswith("/started")]
    assert len(links) == 1
    return links[0].removeprefix("http://relay.test")


async def press(client, path, button, **changed):
    page = await client.get(path)
    (form,) = _Forms(page.text).forms
    hidden = [(name, changed.get(name, value)) for name, value, _ in form["fields"]]
    return await post(client, path, [*hidden, ("answer", button)])


async def test_the_question_is_a_page_with_three_buttons(runtime, client, clock, person):
    path = await asked(runtime, client, clock, person)
    page = await client.get(path)
    (form,) = _Forms(page.text).forms

    assert page.status_code == 200
    assert form["buttons"] == [
        ("answer", "not_started"), ("answer", "started"), ("answer", "stop_asking"),
    ]  # fmt: skip
    assert person.world.agency.name in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text


@pytest.mark.parametrize("button", ["started", "not_started", "stop_asking"])
async def test_a_button_is_the_answer_and_is_thanked_for(runtime, client, clock, person, button):
    path = await asked(runtime, client, clock, person)
    done = await press(client, path, button)
    thanks = await client.get(path)
    stored = await rows(runtime, person.world.company.id, PlacementQuestion, state="answered")

    assert (done.status_code, done.headers["location"]) == (303, path)
    assert (thanks.status_code, "お答えをいただきました" in thanks.text) == (200, True)
    assert [one.answer for one in stored] == [button]
    assert _Forms(thanks.text).forms == []


async def test_looking_at_the_question_changes_nothing(
    runtime, client, clock, person, database_url
):
    path = await asked(runtime, client, clock, person)
    before = await snapshot(database_url)
    for _ in range(2):
        for address in (path, f"{path}/stop", f"{path}?answer=started", f"{path}?lang=en"):
            await client.get(address)
            await client.head(address)

    assert await snapshot(database_url) == before


@pytest.mark.parametrize(
    ("button", "changed", "status"),
    [
        ("maybe", {}, 422), ("", {}, 422), ("started", {"csrf": "0" * 64}, 403),
        ("started", {"question": "pqn_" + "0" * 26}, 410), ("started", {"question": "\0"}, 410),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_refused_kindly(  # noqa: PLR0917
    runtime, client, clock, person, button, changed, status
):
    path = await asked(runtime, client, clock, person)
    answer = await press(client, path, button, **changed)
    answered = await rows(runtime, person.world.company.id, PlacementQuestion, state="answered")

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answered == []


async def test_one_click_in_the_mail_program_ends_the_questions(runtime, client, clock, person):
    path = await asked(runtime, client, clock, person)
    done = await post(client, f"{path}/stop", [("List-Unsubscribe", "One-Click")])
    again = await post(client, f"{path}/stop", [("List-Unsubscribe", "One-Click")])
    page = await client.get(path)
    left = await rows(runtime, person.world.company.id, PlacementQuestion)

    assert (done.status_code, again.status_code, page.status_code) == (303, 303, 410)
    assert {one.state for one in left} == {"void"}
    assert [event.kind for event in await followup_events(person)] == ["given", "withdrawn"]


@pytest.mark.parametrize("token", ["A" * 43, "short", "%00", "é" * 43])
async def test_an_unknown_question_gets_the_neutral_answer(client, token):
    for path in (f"/c/{token}/started", f"/c/{token}/started/stop"):
        assert (await client.get(path)).status_code == 404
        assert (await post(client, path, [("answer", "started")])).status_code == 404


async def test_whoever_was_erased_is_asked_nothing_more(runtime, client, clock, person):
    path = await asked(runtime, client, clock, person)
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        await delete(db, runtime.tools, opened.candidate, clock())
    page = await client.get(path)
    answer = await post(client, path, [("answer", "started")])

    assert page.status_code == 410
    assert "データは消去されています" in page.text
    assert answer.status_code == 403
