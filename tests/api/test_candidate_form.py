"""The form's own rules: eight agencies on a screen, facts put right, and who may answer when."""

import gzip
import re
from datetime import date

import pytest

from api.masked import carries, masked
from api.pages import STATIC
from domain import vault
from domain.agency import Agency
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentEvent
from domain.consent_text import MOST_AGENCIES
from domain.data_items import CODES
from domain.flows.ways_in.invite import invite
from domain.flows.ways_in.open_candidate_link import newest_form
from domain.ids import new_id
from domain.notice import Mail
from domain.relay import Relay
from tests.api.test_candidate_pages import (
    choose,
    consent,
    fields,
    form_of,
    post,
    ticks_for,
    told_person,
)  # fmt: skip
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.consents import Person, invited
from tests.factories import make_world, work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
PAGES = "candidate/**/*.html"
FIRST_VISIT = 60_000
"""Bytes the form may cost on a first visit, with everything it loads."""


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


async def set_on(runtime, kind, company_id, row_id, **facts):
    """Something about a row is different now."""
    async with runtime.database.transaction(company_id=company_id) as db:
        row = await db.get_one(kind, row_id if kind is Company else (company_id, row_id))
        for name, value in facts.items():
            setattr(row, name, value)
        db.add(row)


async def profile_of(person):
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        candidate = await db.get_one(
            Candidate, (person.world.company.id, person.application.candidate_id)
        )
        return await vault.profile_of(db, person.runtime.tools.sealer, candidate)


async def confirm(client, person, shown):
    data = fields(form_of(shown, "confirm"))
    return await post(client, f"/c/{person.token}", [*data, ("decision", "confirm")])


async def test_declining_is_possible_before_the_first_word(client, person):
    page = await client.get(f"/c/{person.token}")
    head = page.text.split('id="form"')[0]
    done = await post(
        client, f"/c/{person.token}", [*fields(form_of(page, "decline")), ("decision", "decline")]
    )

    assert 'value="decline"' in head
    assert 'value="consent"' not in head
    assert done.status_code == 303
    assert [event.kind for event in await rows(person.runtime, person.world.company.id,
                                               ConsentEvent)][-1:] == ["declined"]  # fmt: skip


@pytest.fixture
async def crowd(runtime):
    """A company with nineteen agencies: three screens."""
    world = await make_world(runtime, slug="crowd", agencies=2 * MOST_AGENCIES + 3)
    return await invited(runtime, world)


async def test_every_agency_is_offered_eight_on_a_screen(client, crowd):
    agencies = [agency.id for agency in crowd.world.agencies]
    last = agencies[-1]
    page = await client.get(f"/c/{crowd.token}")
    seen = [offered(page)]
    ticks = ticks_for(agencies[0], "name", "email")
    for number in (2, 3):
        data = fields(form_of(page, "consent"), ticks)
        page = await post(
            client, f"/c/{crowd.token}", [*data, ("decision", f"screen-{number}")]
        )  # fmt: skip
        seen.append(offered(page))
        ticks = ()
    data = fields(form_of(page, "consent"), ticks_for(last, "name", "email"))
    shown = await post(client, f"/c/{crowd.token}", [*data, ("decision", "consent")])
    await confirm(client, crowd, shown)
    given = {one_.agency_id for one_ in await rows(crowd.runtime, crowd.world.company.id, Consent)}

    assert seen == [agencies[:8], agencies[8:16], agencies[16:]]
    assert page.text.count("<h2") == page.text.count("</h2>")
    assert given == {agencies[0], last}


def offered(page):
    """The agencies with a box on this screen."""
    return [
        value
        for name, value, kind in form_of(page, "consent")["fields"]
        if name == "agency" and kind == "checkbox"
    ]


async def test_a_fault_on_another_screen_is_shown_on_that_screen(client, crowd):
    second = crowd.world.agencies[MOST_AGENCIES].id
    page = await choose(client, crowd, [("agency", second)])

    assert page.status_code == 422
    assert second in offered(page)
    assert f'href="#items-{second}-name"' in page.text


@pytest.mark.parametrize(("boxes", "status"), [(200 * 24, 422), (6_001, 403)])
async def test_every_box_of_two_hundred_agencies_is_read_and_more_get_a_page(
    client, crowd, boxes, status
):
    ticks = [(f"items.agy_{number % 200:026d}", f"item_{number // 200}") for number in range(boxes)]
    page = await choose(client, crowd, ticks)

    assert page.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1" in page.text
    assert await rows(crowd.runtime, crowd.world.company.id, ConsentEvent) == []


@pytest.mark.parametrize("screen", ["screen-0", "screen-99", "screen-x", "screen-1e9"])
async def test_a_screen_that_is_none_shows_a_screen(client, crowd, screen):
    page = await choose(client, crowd, [], decision="consent", screen=screen)

    assert page.status_code == 422
    assert offered(page)


async def test_what_is_typed_now_can_be_ticked_and_is_kept_in_one_form(client, person):
    agency_id = person.world.agency.id
    wishes = ("desired_location", "desired_salary", "available_from")
    shown = await choose(
        client, person, ticks_for(agency_id, "name", "email", "phone", *wishes),
        phone="０９０−１２３４−９９９９", name_kana="しけん　はなこ", desired_location="在宅",
        desired_salary="450万円", available_from="即日",
    )  # fmt: skip
    done = await confirm(client, person, shown)
    profile = await profile_of(person)

    assert "¥4,500,000" in shown.text
    assert done.status_code == 303
    assert profile["phone"] == "+819012349999"
    assert profile["name_kana"] == "シケン ハナコ"
    assert profile["desired_salary"] == 4_500_000
    assert (profile["desired_location"], profile["available_from"]) == ("在宅", "即日")


@pytest.mark.parametrize(("code", "typed"), [("phone", "12345"), ("desired_salary", "応相談")])
async def test_a_fact_in_no_known_form_is_asked_about(client, person, code, typed):
    ticks = ticks_for(person.world.agency.id, "name", "email")
    page = await choose(client, person, ticks, **{code: typed})

    assert page.status_code == 422
    assert f'id="{code}-error"' in page.text
    assert f'value="{typed}"' in page.text


async def test_what_the_person_left_as_it_was_is_not_held_against_them(client, person):
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        candidate = await db.get_one(
            Candidate, (person.world.company.id, person.application.candidate_id)
        )
        profile = {**PROFILE, "phone": "内線 12"}
        await vault.set_profile(db, person.runtime.tools.sealer, candidate, profile)
    shown = await choose(client, person, ticks_for(person.world.agency.id, "name", "email"))

    assert form_of(shown, "confirm")


async def test_words_that_hint_at_special_care_are_warned_about_and_not_refused(client, person):
    ticks = ticks_for(person.world.agency.id, "name", "email", "desired_job")
    shown = await choose(client, person, ticks, desired_job="うつ病の通院に配慮のある経理")
    plain = await choose(client, person, ticks, desired_job="経理")
    done = await confirm(client, person, shown)

    assert "希望職種：うつ病、通院" in shown.text
    assert "配慮を要する個人情報にあたるかもしれない" not in plain.text
    assert done.status_code == 303


@pytest.mark.parametrize("facts", [
    {"outcome": "active"}, {"source": "agency"}, {"applicant_type": "high_school"},
    {"applicant_type": "minor"},
])  # fmt: skip
async def test_what_changed_since_the_invitation_counts_at_the_answer(client, person, facts):
    person_id = person.application.id
    if facts.get("applicant_type") == "minor":
        async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
            candidate = await db.get_one(
                Candidate, (person.world.company.id, person.application.candidate_id)
            )
            known = {key: value for key, value in PROFILE.items() if key != "birth_date"}
            await vault.set_profile(db, person.runtime.tools.sealer, candidate, known)
    shown = await choose(client, person, ticks_for(person.world.agency.id, "name", "email"))
    await set_on(person.runtime, Application, person.world.company.id, person_id, **facts)
    done = await confirm(client, person, shown)

    assert done.status_code == 410
    assert "お申し込みを受け付けられませんでした" in done.text
    assert await rows(person.runtime, person.world.company.id, Consent) == []
    assert await rows(person.runtime, person.world.company.id, Relay) == []


async def test_after_a_withdrawal_the_form_comes_again_by_mail(runtime, client, world, clock):
    told = await told_person(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = await db.get_one(Candidate, (world.company.id, told.candidate_id))
        url = await newest_form(db, runtime.tools, candidate, runtime.clock())
    person = Person(runtime, world, told, url.rpartition("/")[2])
    await consent(client, person, world.agency.id)
    page = await client.get(f"/c/{person.token}")
    csrf = re.search(r'name="csrf" value="(\w+)"', page.text)[1]
    await post(client, f"/c/{person.token}/withdraw", [("csrf", csrf), ("agency", "all")])
    forward(clock, minutes=1)
    sent = await post(client, f"/c/{person.token}/again", [("csrf", csrf)])
    await work(runtime)
    mails = await mailbox(runtime, world.company.id, PROFILE["email"])
    mail = next(mail for mail in mails if "お申し込みページ" in mail["subject"])
    again = Person(runtime, world, told, mail["links"][0].rpartition("/")[2])
    done = await consent(client, again, world.agency.id)
    used = await client.get(f"/c/{again.token}")
    kinds = [event.kind for event in await rows(runtime, world.company.id, ConsentEvent)]

    assert sent.status_code == 200
    assert done.status_code == 303
    assert used.status_code == 410
    assert [kind for kind in kinds if kind in {"given", "withdrawn"}] == [
        "given", "withdrawn", "given",
    ]  # fmt: skip


async def invited_again(person):
    """The same person, turned down and invited for another application."""
    runtime, company_id, now = person.runtime, person.world.company.id, person.runtime.clock()
    async with runtime.database.transaction(company_id=company_id) as db:
        application = Application(
            company_id=company_id, id=new_id("app"), external_id=new_id("A"),
            candidate_id=person.application.candidate_id, job_title="経理", source="company_site",
            outcome="rejected", outcome_at=now, created_at=now,
        )  # fmt: skip
        db.add(application)
        await db.flush()
        company = await db.get_one(Company, company_id)
        url = await invite(db, runtime.tools, company, application, now)
    return Person(runtime, person.world, application, url.rpartition("/")[2])


async def test_an_expired_link_withdraws_what_was_given_elsewhere(runtime, client, world, clock):
    first = await invited(runtime, world)
    await first.give(world.agency.id)
    second = await invited_again(first)
    forward(clock, days=31)
    page = await client.get(f"/c/{second.token}")
    csrf = re.search(r'name="csrf" value="(\w+)"', page.text)[1]
    data = [("csrf", csrf), ("agency", "all")]
    done = await post(client, f"/c/{second.token}/withdraw", data)
    shown = await client.get(done.headers["location"])

    assert (page.status_code, done.status_code) == (410, 303)
    assert "同意の撤回を承りました" in shown.text
    assert (await one(runtime, world.company.id, Consent)).state == "withdrawn"


async def test_used_and_expired_links_look_the_same(runtime, client, world, clock):
    used = await invited(runtime, world, profile={**PROFILE, "email": "a@mail.example"})
    expired = await invited(runtime, world, profile={**PROFILE, "email": "b@mail.example"})
    await used.give(world.agency.id)
    forward(clock, days=31)
    pages = [await client.get(f"/c/{one_.token}") for one_ in (used, expired)]
    texts = {
        re.sub(r'value="[0-9a-f]{64,}"|/c/[\w-]{43}', "", page.text) for page in pages
    }  # fmt: skip

    assert [page.status_code for page in pages] == [410, 410]
    assert len(texts) == 1


def test_a_hidden_word_is_never_written_the_same_way_twice():
    word = "ab" * 32
    written = {masked(word) for _ in range(20)}

    assert len(written) == 20
    assert all(carries(one_, word) for one_ in written)
    assert not any(carries(one_, "ac" * 32) for one_ in written)
    assert not carries(word, word)
    assert not carries("zz", word)
    assert not carries("", word)


@pytest.mark.parametrize(("asked", "packed"), [
    ("gzip", True), ("gzip, deflate, br", True), ("br;q=1.0, gzip;q=0.2", True),
    ("gzip;q=0", False), ("identity", False), ("", False),
])  # fmt: skip
async def test_pages_are_packed_where_it_was_asked_for(client, person, asked, packed):
    request = client.build_request(
        "GET", f"/c/{person.token}", headers={"accept-encoding": asked}
    )  # fmt: skip
    page = await client.send(request)

    assert (page.headers.get("content-encoding") == "gzip") is packed
    assert "Accept-Encoding" in page.headers["vary"]
    assert "お申し込み" in page.text


async def test_eight_agencies_and_all_items_fit_a_first_visit(runtime, client):
    world = await make_world(runtime, slug="many", agencies=MOST_AGENCIES)
    full = {code: f"とても長い内容 {code}" for code in CODES} | PROFILE
    person = await invited(runtime, world, profile=full)
    page = await client.get(f"/c/{person.token}")
    boxes = [f for f in form_of(page, "consent")["fields"] if f[0].startswith("items.")]
    loaded = [f"/c/{person.token}", *re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)]
    sizes = {}
    for path in dict.fromkeys(loaded):
        async with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        sizes[path] = len(raw)
        if answer.headers.get("content-encoding") == "gzip":
            assert gzip.decompress(raw)

    # All but the feedback of the interview: it is offered where some was sent.
    assert len(boxes) == MOST_AGENCIES * (len(CODES) - 1)
    assert sum(sizes.values()) < FIRST_VISIT, sizes
    assert len(sizes) == 4, sizes


def declared(css):
    """Every declaration of a style sheet, with its selector and its medium."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    medium = re.compile(r"@media([^{]+)\{((?:[^{}]*\{[^{}]*\})*\s*)\}")
    return {
        (where.strip(), selector.strip(), " ".join(declaration.split()))
        for where, rules in [("", medium.sub("", css)), *medium.findall(css)]
        for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", rules)
        for selector in re.split(r",\s*(?![^()]*\))", selectors)
        for declaration in body.split(";")
    }


async def test_the_style_sheet_says_what_every_page_says():
    own = (STATIC / "candidate.css").read_text()
    shared = own.split("/* shared with app.css */")[1].split("/* end of what is shared */")[0]

    assert len(declared(shared)) > 200
    assert declared(shared) - declared((STATIC / "app.css").read_text()) == set()


async def test_the_style_sheet_says_nothing_that_no_page_needs():
    css = (STATIC / "candidate.css").read_text()
    pages = "".join(page.read_text() for page in (STATIC.parent / "templates").glob(PAGES))
    classes = {name for _, selector, _ in declared(css) for name in
               re.findall(r"\.([a-z][\w-]*)", selector)}  # fmt: skip
    values = set(re.findall(r"(--[\w-]+):", css))

    assert "c-held" in classes
    assert classes - {"wide"} - set(re.findall(r"[a-z][\w-]*", pages)) <= {
        f"badge-{tone}" for tone in re.findall(r'"(\w+)"', pages)
    }
    assert {one for one in values if f"var({one})" not in css} == set()


async def test_a_licence_that_ended_takes_an_agency_off_the_form(runtime, client, person):
    async with runtime.database.transaction(agency_id=person.world.agency.id) as db:
        agency = await db.get_one(Agency, person.world.agency.id)
        agency.license_valid_until = date(2020, 1, 1)
        db.add(agency)
    page = await client.get(f"/c/{person.token}")

    assert offered(page) == [person.world.agencies[1].id]
    assert await rows(runtime, person.world.company.id, Mail) == []
