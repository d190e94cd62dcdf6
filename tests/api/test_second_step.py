"""The second step: a link alone shows who holds what; everything else needs a code by mail."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from api import second_step
from api.app import create_app
from domain.access_proof import AccessProof
from domain.candidate import Candidate
from domain.consent import Consent
from tests.applications import mailbox, one, rows
from tests.conftest import forward, settings_for
from tests.consents import invited
from tests.factories import work
from tests.own_page import at_own_page, form_in, post
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
BEHIND = ("data.json", "correct", "erase")


@pytest.fixture
async def person(runtime, world):
    made = await invited(runtime, world)
    await made.give(world.agency.id)
    return made


@pytest.fixture
async def visitor(client, person):
    return await at_own_page(client, person)


async def other_browser(visitor):
    """The same link in a browser that took no step."""
    transport = httpx2.ASGITransport(create_app(visitor.person.runtime), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://relay.test")


@pytest.mark.parametrize("place", BEHIND)
async def test_a_link_alone_leads_to_the_code_and_back_again(visitor, place):
    answer = await visitor.get(f"/{place}")
    asked = await visitor.get(answer.headers["location"].removeprefix(visitor.path))
    shown = await visitor.send(form_in(asked, "/code"))
    code = (await visitor.codes())[-1]
    entered = await visitor.send(form_in(shown, "/code/enter"), code=code)
    opened = await visitor.get(f"/{place}")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"{visitor.path}/code?to={place}"
    assert PROFILE["phone"] not in asked.text
    assert (entered.status_code, entered.headers["location"]) == (303, f"{visitor.path}/{place}")
    assert opened.status_code == 200


@pytest.mark.parametrize("place", BEHIND)
async def test_a_scanner_that_opens_what_is_behind_gets_nothing_and_mails_nothing(visitor, place):
    before = await rows(visitor.person.runtime, visitor.person.world.company.id, AccessProof)
    answers = [
        await visitor.client.request(method, f"{visitor.path}/{where}", follow_redirects=True)
        for method in ("GET", "HEAD")
        for where in (place, "code", f"code?to={place}")
    ]

    assert {answer.status_code for answer in answers} <= {200, 405}
    assert all(PROFILE["phone"] not in answer.text for answer in answers)
    assert await visitor.codes() == []
    assert (
        await rows(visitor.person.runtime, visitor.person.world.company.id, AccessProof) == before
    )


async def test_the_list_of_agencies_and_withdrawing_need_no_code(visitor):
    page = await visitor.get()
    taken = await visitor.press("/withdraw")

    assert visitor.person.world.agency.name in page.text
    assert PROFILE["phone"] not in page.text
    assert "data.json" not in page.text
    assert taken.status_code == 303
    consent = await one(visitor.person.runtime, visitor.person.world.company.id, Consent)
    assert consent.state == "withdrawn"


async def test_the_code_goes_to_the_address_we_hold_and_is_nowhere_else(visitor):
    shown = await visitor.ask_code()
    await work(visitor.person.runtime)
    mails = await mailbox(visitor.person.runtime, visitor.person.world.company.id)
    code = (await visitor.codes())[0]
    proof = await one(visitor.person.runtime, visitor.person.world.company.id, AccessProof)

    assert shown.status_code == 200
    assert code not in shown.text
    assert [mail["to"] for mail in mails if code in mail["text"]] == [PROFILE["email"]]
    assert code not in " ".join(mail["subject"] for mail in mails)
    assert code.encode() not in proof.code_hash
    assert "/c/" not in next(mail["text"] for mail in mails if code in mail["text"])


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(visitor):
    answer = await visitor.prove()
    cookie = answer.headers["set-cookie"].lower()

    assert cookie.startswith("relay_proof=")
    for word in ("httponly", "samesite=lax", "path=/", "max-age=1800"):
        assert word in cookie
    assert answer.headers["cache-control"] == "no-store"


async def test_over_https_the_cookie_is_bound_to_the_host(database_url):
    settings = settings_for(database_url, public_url="https://relay.example")

    assert second_step.cookie_name(settings) == "__Host-relay_proof"


@pytest.mark.parametrize("typed", [" {0} ", "{wide}", "{spaced}"])
async def test_wide_digits_and_blanks_are_understood(visitor, typed):
    shown = await visitor.ask_code()
    code = (await visitor.codes())[0]
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)
    answer = await visitor.send(
        form_in(shown, "/code/enter"),
        code=typed.format(code, wide=wide, spaced=f"{code[:3]} {code[3:]}"),
    )

    assert answer.status_code == 303


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06d}"


async def test_after_five_wrong_tries_the_right_code_works_no_more(visitor):
    shown = await visitor.ask_code()
    form, code = form_in(shown, "/code/enter"), (await visitor.codes())[0]
    tries = [await visitor.send(form, code=wrong(code)) for _ in range(5)]
    late = await visitor.send(form, code=code)

    assert [answer.status_code for answer in tries] == [422] * 5
    assert "確認コードが正しくないか" in tries[0].text
    assert late.status_code == 422
    assert (await visitor.get("/data.json")).status_code == 303


async def test_four_wrong_tries_do_no_harm(visitor):
    shown = await visitor.ask_code()
    form, code = form_in(shown, "/code/enter"), (await visitor.codes())[0]
    for _ in range(4):
        await visitor.send(form, code=wrong(code))

    assert (await visitor.send(form, code=code)).status_code == 303


@pytest.mark.parametrize(("minutes", "status"), [(9, 303), (10, 422)])
async def test_a_code_works_for_ten_minutes(visitor, clock, minutes, status):
    shown = await visitor.ask_code()
    code = (await visitor.codes())[0]
    forward(clock, minutes=minutes)

    assert (await visitor.send(form_in(shown, "/code/enter"), code=code)).status_code == status


async def test_a_code_works_once(visitor):
    shown = await visitor.ask_code()
    form, code = form_in(shown, "/code/enter"), (await visitor.codes())[0]
    first = await visitor.send(form, code=code)
    async with await other_browser(visitor) as stranger:
        again = await replace(visitor, client=stranger).send(form, code=code)

    assert (first.status_code, again.status_code) == (303, 422)


async def test_the_same_code_sent_twice_leads_on_where_it_opened(visitor):
    shown = await visitor.ask_code("data.json")
    form, code = form_in(shown, "/code/enter"), (await visitor.codes())[0]
    await visitor.send(form, code=code)
    again = await visitor.send(form, code=code)

    assert again.status_code == 303
    assert again.headers["location"] == f"{visitor.path}/data.json"


async def test_pressed_twice_it_mails_one_code(visitor):
    form = await visitor.form("/code", on="/code")
    answers = await asyncio.gather(*(visitor.send(form) for _ in range(6)))
    code, *others = await visitor.codes()
    entered = await visitor.send(form_in(answers[0], "/code/enter"), code=code)

    assert [answer.status_code for answer in answers] == [200] * 6
    assert others == []
    assert entered.status_code == 303


@pytest.mark.parametrize(("seconds", "codes"), [(29, 1), (30, 2)])
async def test_who_waits_for_the_mail_gets_another(visitor, clock, seconds, codes):
    await visitor.ask_code()
    forward(clock, seconds=seconds)
    await visitor.ask_code()

    assert len(await visitor.codes()) == codes


async def test_a_code_spent_on_wrong_tries_is_followed_by_another_at_once(visitor):
    shown = await visitor.ask_code()
    code = (await visitor.codes())[0]
    for _ in range(5):
        await visitor.send(form_in(shown, "/code/enter"), code=wrong(code))
    await visitor.ask_code()

    assert len(await visitor.codes()) == 2


async def test_a_new_code_ends_the_one_before(visitor, clock):
    shown = await visitor.ask_code()
    forward(clock, minutes=1)
    again = await visitor.send(form_in(shown, "/code"))
    old, new = await visitor.codes()
    answers = [
        (await visitor.send(form_in(again, "/code/enter"), code=code)).status_code
        for code in (old, new)
    ]

    assert old == new or answers == [422, 303]


async def test_five_codes_a_day_and_then_tomorrow(visitor, clock):
    shown, answers = await visitor.ask_code(), []
    for _ in range(5):
        forward(clock, minutes=1)
        answers.append(await visitor.send(form_in(shown, "/code")))
    mailed = await visitor.codes()
    forward(clock, hours=24)
    tomorrow = await visitor.send(form_in(shown, "/code"))

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    assert "24時間に5回まで" in answers[-1].text
    assert len(mailed) == 5
    assert tomorrow.status_code == 200
    kept = await rows(visitor.person.runtime, visitor.person.world.company.id, AccessProof)
    assert len(kept) == 1


async def test_the_step_holds_for_its_link_alone(client, person, visitor):
    await visitor.prove()
    other = await at_own_page(client, person)

    assert (await visitor.get("/data.json")).status_code == 200
    assert (await other.get("/data.json")).status_code == 303


async def test_a_code_for_one_link_opens_no_other(client, person, visitor):
    other = await at_own_page(client, person)
    await other.ask_code()
    code = (await visitor.codes())[0]
    shown = await visitor.ask_code()
    mailed = await visitor.codes()
    crossed = await other.send(form_in(shown, "/code/enter") | {
        "action": f"{other.path}/code/enter"
    }, csrf=(await other.form("/code"))["fields"][0][1], code=mailed[-1])  # fmt: skip

    assert mailed[0] == code
    assert crossed.status_code == (303 if mailed[-1] == code else 422)


async def test_another_browser_with_the_same_link_takes_the_step_itself(visitor):
    await visitor.prove()
    async with await other_browser(visitor) as stranger:
        answer = await stranger.get(f"{visitor.path}/data.json")

    assert answer.status_code == 303


@pytest.mark.parametrize(("minutes", "status"), [(29, 200), (30, 303)])
async def test_the_step_holds_for_thirty_minutes(visitor, clock, minutes, status):
    await visitor.prove()
    forward(clock, minutes=minutes)

    assert (await visitor.get("/data.json")).status_code == status


async def test_a_form_sent_too_late_changes_nothing_and_says_so(visitor, clock):
    await visitor.prove()
    form = await visitor.form("/erase", on="/erase")
    forward(clock, minutes=31)
    answer = await visitor.send(form, ("erase", "yes"))

    assert answer.status_code == 403
    assert "何も変更されていません" in answer.text
    kept = await one(visitor.person.runtime, visitor.person.world.company.id, Candidate)
    assert kept.erased_at is None


async def test_finishing_locks_every_browser(visitor):
    await visitor.prove()
    cookie = visitor.client.cookies["relay_proof"]
    answer = await visitor.press("/code/end")
    visitor.client.cookies.set("relay_proof", cookie)

    assert answer.status_code == 303
    assert (await visitor.get("/data.json")).status_code == 303


async def test_after_erasure_the_step_opens_nothing(visitor):
    await visitor.prove()
    await visitor.press("/erase", ("erase", "yes"), on="/erase")

    assert (await visitor.get("/data.json")).status_code == 410


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "../../login", "a/../../b", "DATA", "a" * 200],
)  # fmt: skip
async def test_the_way_on_leads_nowhere_else(visitor, to):
    answer = await visitor.prove(to)

    assert answer.headers["location"] == visitor.path


async def test_a_form_without_the_links_word_is_refused(visitor):
    form = await visitor.form("/code")
    for action in ("/code", "/code/enter", "/code/end"):
        sent = form | {"action": visitor.path + action}
        assert (await visitor.send(sent, csrf="0" * 64, code="000000")).status_code == 403
    assert await visitor.codes() == []


async def test_without_an_address_there_is_no_code(runtime, client, world):
    profile = {"display_name": "試験 花子"}
    person = await invited(runtime, world, profile=profile)
    visitor = await at_own_page(client, person)
    answer = await visitor.ask_code()

    assert answer.status_code == 409
    assert "メールアドレスがありません" in answer.text


async def test_unknown_links_have_no_code(client):
    path = f"/c/{'x' * 43}"
    answers = [await client.get(f"{path}/code"), await post(client, f"{path}/code", [])]

    assert [answer.status_code for answer in answers] == [404, 404]
