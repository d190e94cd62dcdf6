"""The company's public link: proof by mail, the form, or a wait for HR. It tells nothing."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from api.routes.join import ASKS_A_MINUTE
from domain.application import Application
from domain.flows.office import open_account
from domain.flows.office.sign_in import enter_by_claim
from domain.flows.ways_in.join import MOST_A_DAY
from domain.invitation import CandidateLink
from domain.join_request import JoinRequest
from domain.notice import Mail
from tests.api.test_candidate_pages import consent, form_of, post, snapshot, told_person
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
STRANGER = "nobody@mail.example"


async def ask(client, world, email=PROFILE["email"], **headers):
    return await post(client, f"/join/{world.company.slug}", [("email", email)], **headers)


async def mailed(runtime, world, address=PROFILE["email"]):
    """The path in the newest mail that proves this address."""
    await work(runtime)
    mails = await mailbox(runtime, world.company.id, address)
    return mails[-1]["links"][0].removeprefix("http://relay.test")


async def held(runtime, client, world, address=STRANGER):
    """Somebody with a proven address we do not know."""
    await ask(client, world, address)
    path = await mailed(runtime, world, address)
    return path, await post(client, path, [])


async def test_the_answer_and_the_work_are_the_same_for_every_address(runtime, client, world):
    await told_person(runtime, world)
    said = []
    engine = runtime.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *facts: said.append(facts[2]))
    known = await ask(client, world, PROFILE["email"].upper())
    first, said[:] = list(said), []
    unknown = await ask(client, world, STRANGER)
    await work(runtime)
    mails = await mailbox(runtime, world.company.id)

    assert (known.status_code, unknown.status_code) == (200, 200)
    assert known.text == unknown.text
    assert first == said[: len(first)]
    assert {mail["to"] for mail in mails} == {"HANAKO.SHIKEN@mail.example", STRANGER}
    assert len({mail["subject"] for mail in mails}) == 1


async def test_a_proven_address_leads_to_the_form(runtime, client, world):
    told = await told_person(runtime, world)
    await ask(client, world)
    path = await mailed(runtime, world)
    shown = await client.get(path)
    led = await post(client, path, [])
    page = await client.get(led.headers["location"])
    again = await post(client, path, [])
    asked = await one(runtime, world.company.id, JoinRequest)

    assert (shown.status_code, led.status_code, again.status_code) == (200, 303, 303)
    assert form_of(page, "consent")
    assert (asked.state, asked.candidate_id, asked.sealed) == ("matched", told.candidate_id, None)


async def test_opening_the_mailed_link_changes_nothing(runtime, client, world, database_url):
    await told_person(runtime, world)
    await ask(client, world)
    path = await mailed(runtime, world)
    before = await snapshot(database_url)
    for _ in range(2):
        await client.get(path)
        await client.head(path)

    assert await snapshot(database_url) == before


async def test_an_address_gets_one_mail_an_hour_and_few_a_day(runtime, client, world, clock):
    for _ in range(MOST_A_DAY + 3):
        await ask(client, world, STRANGER)
        await ask(client, world, f" {STRANGER.upper()} ")
        forward(clock, minutes=61)
    mails = await rows(runtime, world.company.id, Mail)

    assert len(mails) == MOST_A_DAY


async def test_a_network_that_asks_too_often_waits(runtime, client, world):
    answers = []
    while 429 not in answers and len(answers) < 3 * ASKS_A_MINUTE:
        answers.append((await ask(client, world, f"a{len(answers)}@mail.example")).status_code)

    assert answers[-1] == 429
    assert len(answers) > ASKS_A_MINUTE
    assert len(await rows(runtime, world.company.id, JoinRequest)) == len(answers) - 1


@pytest.mark.parametrize("facts", [{}, {"source": "agency"}, {"applicant_type": "high_school"}])
async def test_who_may_not_be_relayed_waits_for_hr_like_a_stranger(runtime, client, world, facts):
    if facts:
        await invited(runtime, world)
        await change(runtime, world, **facts)
    path, answer = await held(runtime, client, world, PROFILE["email"] if facts else STRANGER)
    told = await post(client, path, [("name", "試験 花子"), ("job", "法人営業")])
    asked = await one(runtime, world.company.id, JoinRequest)

    assert answer.status_code == 200
    assert "メールアドレスを確認しました" in answer.text
    assert told.status_code == 200
    assert (asked.state, asked.candidate_id) == ("held", None)
    assert STRANGER.encode() not in asked.sealed


async def change(runtime, world, **facts):
    """Something about the only application is different now."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        known = await one(runtime, world.company.id, Application)
        application = await db.get_one(Application, (world.company.id, known.id))
        for name, value in facts.items():
            setattr(application, name, value)
        db.add(application)


async def test_somebody_who_consented_is_led_to_their_own_page(runtime, client, world):
    person = await invited(runtime, world)
    await consent(client, person, world.agency.id)
    await ask(client, world)
    led = await post(client, await mailed(runtime, world), [])
    page = await client.get(led.headers["location"])

    assert (led.status_code, page.status_code) == (303, 200)
    assert world.agency.name in page.text


@pytest.mark.parametrize("case", ["late", "forged", "short", "foreign"])
async def test_a_link_that_proves_nothing_says_so(runtime, client, world, clock, case):
    await ask(client, world, STRANGER)
    path = await mailed(runtime, world, STRANGER)
    if case == "late":
        forward(clock, hours=49)
    tokens = {"forged": "A" * 43, "short": "abc"}
    path = path.rpartition("/")[0] + "/" + tokens.get(case, path.rpartition("/")[2])
    if case == "foreign":
        path = path.replace(f"/join/{world.company.slug}/", "/join/another/")
    shown, pressed = await client.get(path), await post(client, path, [])
    asked = await one(runtime, world.company.id, JoinRequest)

    wanted = 404 if case == "foreign" else 410
    assert (shown.status_code, pressed.status_code) == (wanted, wanted)
    assert (asked.state, asked.proven_at) == ("asked", None)


@pytest.mark.parametrize("address", ["", "nobody", "a@", "@b.example", "a" * 300 + "@b.example"])
async def test_only_addresses_are_taken(runtime, client, world, address):
    answer = await ask(client, world, address)

    assert answer.status_code == 422
    assert await rows(runtime, world.company.id, Mail) == []


async def test_an_old_browser_that_calls_our_origin_null_may_ask(runtime, client, world):
    answer = await ask(client, world, origin="null")

    assert answer.status_code == 200
    assert len(await rows(runtime, world.company.id, JoinRequest)) == 1


async def test_another_site_cannot_ask_for_somebody(runtime, client, world):
    answer = await ask(client, world, **{"sec-fetch-site": "cross-site"})

    assert answer.status_code == 403
    assert await rows(runtime, world.company.id, JoinRequest) == []


async def test_an_unknown_company_has_no_public_link(client, world):
    for slug in ("nobody", "%00", world.company.slug + "x"):
        assert (await client.get(f"/join/{slug}")).status_code == 404
        assert (await post(client, f"/join/{slug}", [("email", "a@b.example")])).status_code == 404


@pytest.fixture
async def desk(runtime, client, world):
    """A recruiter at the dashboard: path → page, and forms with the session's word."""
    now = runtime.clock()
    async with runtime.database.transaction(company_id=world.company.id) as db:
        member = await open_account.register_member(
            db, runtime.tools.sealer, email="hr@mirai.example", name="採用 花子",
            roles=["recruiter"], now=now, company_id=world.company.id,
        )  # fmt: skip
        token = await open_account.claim_link(db, member, now=now)
    async with runtime.database.transaction() as db:
        entered = await enter_by_claim(db, token, now=now)
    client.cookies.set("relay_session", entered)
    return client


async def act(desk, path, **values):
    page = await desk.get("/dashboard/joins")
    csrf = page.text.split('name="csrf" value="')[1].split('"')[0]
    return await post(desk, path, [("csrf", csrf), *values.items()])


async def test_hr_finds_the_application_and_the_form_goes_to_the_proven_address(
    runtime, client, world, desk
):
    told = await told_person(runtime, world)
    await held(runtime, client, world)
    asked = await one(runtime, world.company.id, JoinRequest)
    wrong = await act(desk, f"/dashboard/joins/{asked.id}/match", number="nothing")
    seen = await act(desk, f"/dashboard/joins/{asked.id}/match", number=told.external_id)
    unsent = await one(runtime, world.company.id, JoinRequest)
    done = await act(
        desk, f"/dashboard/joins/{asked.id}/match", number=told.external_id, sure="yes"
    )
    page = await client.get(await mailed(runtime, world, STRANGER))
    asked = await one(runtime, world.company.id, JoinRequest)

    assert (wrong.status_code, seen.status_code, done.status_code) == (409, 200, 303)
    assert (PROFILE["display_name"] in seen.text, unsent.state) == (True, "held")
    assert form_of(page, "consent")
    assert (asked.state, asked.application_id, asked.sealed) == ("matched", told.id, None)


async def test_hr_finds_nobody_and_the_address_is_forgotten(runtime, client, world, desk):
    await held(runtime, client, world)
    asked = await one(runtime, world.company.id, JoinRequest)
    done = await act(desk, f"/dashboard/joins/{asked.id}/close")
    twice = await post(desk, f"/dashboard/joins/{asked.id}/close", [])
    await work(runtime)
    asked = await one(runtime, world.company.id, JoinRequest)

    assert (done.status_code, twice.status_code) == (303, 403)
    assert (asked.state, asked.sealed, asked.answered_by[:4]) == ("refused", None, "mbr_")
    assert len(await mailbox(runtime, world.company.id, STRANGER)) == 2
    assert await rows(runtime, world.company.id, CandidateLink) == []


async def test_what_nobody_proves_or_answers_is_forgotten_on_its_day(runtime, client, world, clock):
    await ask(client, world, "unproven@mail.example")
    await held(runtime, client, world)
    forward(clock, hours=49)
    await work(runtime)
    soon = {one_.state for one_ in await rows(runtime, world.company.id, JoinRequest)}
    forward(clock, days=29)
    await work(runtime)
    later = await rows(runtime, world.company.id, JoinRequest)
    clock.offset += timedelta(days=31)
    await work(runtime)

    assert soon == {"expired", "held"}
    assert {one_.state for one_ in later} == {"expired"}
    assert all(one_.sealed is None for one_ in later)
    assert await rows(runtime, world.company.id, JoinRequest) == []
