"""How people come in and go out: claim link, mail link, code, session, forms."""

import json
import re
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Form
from sqlalchemy import func, text
from sqlmodel import col, select

from api.app import create_app
from api.deps import Db
from api.session import SignedIn, local_path, signed_in
from domain.flows.office import open_account
from domain.flows.tell.write_mail import open_mail
from domain.notice import Mail
from tests.conftest import forward
from tests.factories import work

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("member")]

EMAIL = "jinji.hanako@mirai.example"
HTML = {"accept": "text/html", "accept-language": "ja"}


@pytest.fixture
async def member(runtime, world):
    async with runtime.database.transaction() as db:
        return await open_account.register_member(
            db, runtime.tools.sealer, email=EMAIL, name="人事 花子", roles=["recruiter"],
            now=runtime.clock(), company_id=world.company.id,
        )  # fmt: skip


@pytest.fixture
def app(runtime):
    router = APIRouter(include_in_schema=False)

    @router.get("/t/company")
    async def company_page(
        person: Annotated[SignedIn, signed_in("company")], db: Db
    ) -> dict[str, Any]:
        seen = await db.execute(text("SELECT id FROM ats_connection"))
        return {"name": person.name, "rows": len(seen.all()), "csrf": person.csrf}

    @router.get("/t/head")
    async def head_page(person: Annotated[SignedIn, signed_in("company", "head")]) -> str:
        return person.name

    @router.get("/t/agency")
    async def agency_page(person: Annotated[SignedIn, signed_in("agency")]) -> str:
        return person.name

    @router.post("/t/company")
    async def company_form(
        person: Annotated[SignedIn, signed_in("company")], wish: Annotated[str, Form()]
    ) -> dict[str, Any]:
        return {"name": person.name, "wish": wish}

    made = create_app(runtime)
    made.include_router(router)
    return made


@pytest.fixture
async def browser(app):
    async with new_browser(app) as made:
        yield made


def new_browser(app):
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://relay.test", headers=HTML)


async def letters(runtime, tenant_id):
    async with runtime.database.transaction(company_id=tenant_id) as db:
        rows = (await db.scalars(select(Mail).order_by(col(Mail.id)))).all()
    return [open_mail(runtime.tools, row) for row in rows if row.template == "sign_in_link"]


async def asked(browser, runtime, world, **more):
    """Ask for a link; what the mail says."""
    answer = await browser.post("/login", data={"email": EMAIL, **more})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/sent")
    letter = (await letters(runtime, world.company.id))[-1]
    path = re.search(r"http://relay\.test(/login/m/\S+)", letter["text"])[1]
    code = re.search(r"確認コード: (\d{6})", letter["text"])[1]
    return path, code


async def sessions(runtime):
    async with runtime.database.transaction() as db:
        found = await db.execute(text("SELECT count(*) FROM login_session"))
        return found.scalar_one()


async def claimed(browser, runtime, member):
    """Sign in with a claim link."""
    async with runtime.database.transaction() as db:
        token = await open_account.claim_link(db, member, now=runtime.clock())
    answer = await browser.post("/login/claim", data={"token": token})
    assert answer.status_code == 303, answer.text
    return answer


async def test_a_claim_link_lets_in_once(browser, app, runtime, member):
    async with runtime.database.transaction() as db:
        token = await open_account.claim_link(db, member, now=runtime.clock())
    page = await browser.get("/login/claim")
    first = await browser.post(
        "/login/claim", data={"token": f" http://relay.test/login/claim#{token} "}
    )
    inside = await browser.get("/t/company")
    async with new_browser(app) as other:
        second = await other.post("/login/claim", data={"token": token})

    assert page.status_code == 200
    assert (first.status_code, first.headers["location"]) == (303, "/dashboard")
    assert (inside.json()["name"], inside.json()["rows"]) == ("人事 花子", 2)
    assert second.status_code == 410
    assert "このリンクは使えません" in second.text
    assert await sessions(runtime) == 1


async def test_an_address_that_is_a_key_is_kept_by_nobody(browser):
    for place in (f"/login/m/{'A' * 43}", f"/join/mirai/{'A' * 43}"):
        answer = await browser.get(place)

        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex"


async def test_a_claim_link_ends_after_an_hour(browser, runtime, member, clock):
    async with runtime.database.transaction() as db:
        token = await open_account.claim_link(db, member, now=runtime.clock())
    forward(clock, minutes=60)

    answer = await browser.post("/login/claim", data={"token": token})

    assert answer.status_code == 410
    assert await sessions(runtime) == 0


async def test_the_cookie_is_closed_to_scripts_and_other_sites(browser, runtime, member):
    answer = await claimed(browser, runtime, member)

    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("relay_session"))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    value = cookie.split(";")[0].partition("=")[2]
    assert len(value) >= 43
    async with runtime.database.transaction() as db:
        kept = (await db.execute(text("SELECT token_hash FROM login_session"))).scalar_one()
    assert value.encode() not in kept


async def test_a_mail_link_works_after_the_button_in_the_browser_that_asked(
    browser, app, runtime, world
):
    path, _ = await asked(browser, runtime, world, next="/t/company?x=1")
    async with new_browser(app) as scanner:
        looked = await scanner.get(path)
        pressed = await scanner.post(path)
    page = await browser.get(path)
    entered = await browser.post(path)
    again = await browser.post(path)

    assert looked.status_code == 200
    assert "<form" not in looked.text
    assert (pressed.status_code, "このブラウザでは使えない" in pressed.text) == (410, True)
    assert f'action="{path}"' in page.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/t/company?x=1")
    assert again.status_code == 410
    assert await sessions(runtime) == 1


async def test_the_code_is_for_reading_the_mail_on_another_device(browser, runtime, world):
    _, code = await asked(browser, runtime, world)
    page = await browser.get("/login/sent")
    entered = await browser.post("/login/code", data={"code": f" {code} "})
    again = await browser.post("/login/code", data={"code": code})

    assert 'name="code"' in page.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/dashboard")
    assert again.status_code == 422
    assert await sessions(runtime) == 1


async def test_a_code_is_worth_nothing_in_another_browser(browser, app, runtime, world):
    _, code = await asked(browser, runtime, world)
    async with new_browser(app) as other:
        bare = await other.post("/login/code", data={"code": code})
        await other.post("/login", data={"email": "nobody@mirai.example"})
        unknown = await other.post("/login/code", data={"code": code})

    assert (bare.status_code, unknown.status_code) == (422, 422)
    assert await sessions(runtime) == 0


async def test_a_link_and_a_code_end_after_fifteen_minutes(browser, runtime, world, clock):
    path, code = await asked(browser, runtime, world)
    forward(clock, minutes=15)

    by_link = await browser.post(path)
    by_code = await browser.post("/login/code", data={"code": code})

    assert (by_link.status_code, by_code.status_code) == (410, 422)
    assert await sessions(runtime) == 0


async def test_guessing_codes_ends_after_five_tries(browser, runtime, world):
    path, code = await asked(browser, runtime, world)
    wrong = f"{(int(code) + 1) % 10**6:06d}"

    tries = [await browser.post("/login/code", data={"code": wrong}) for _ in range(5)]
    right = await browser.post("/login/code", data={"code": code})
    by_link = await browser.post(path)

    assert {answer.status_code for answer in tries} == {422}
    assert right.status_code == 422
    assert by_link.status_code == 303


async def test_guessing_over_many_links_ends_after_ten_tries_a_day(browser, runtime, world, clock):
    for _ in range(2):
        _, code = await asked(browser, runtime, world)
        wrong = f"{(int(code) + 1) % 10**6:06d}"
        for _ in range(5):
            await browser.post("/login/code", data={"code": wrong})
    _, code = await asked(browser, runtime, world)
    today = await browser.post("/login/code", data={"code": code})
    forward(clock, hours=25)
    _, code = await asked(browser, runtime, world)
    tomorrow = await browser.post("/login/code", data={"code": code})

    assert (today.status_code, tomorrow.status_code) == (422, 303)


async def test_an_unknown_address_gets_the_same_answers_and_no_mail(browser, app, runtime, world):
    async with new_browser(app) as other:
        known = await browser.post("/login", data={"email": EMAIL})
        unknown = await other.post("/login", data={"email": "nobody@mirai.example"})
        shapes = []
        for one, answer in ((browser, known), (other, unknown)):
            cookies = sorted(
                re.sub(r"=[^;]*", "=…", cookie, count=1)
                for cookie in answer.headers.get_list("set-cookie")
            )
            wrong = await one.post("/login/code", data={"code": "x"})
            shapes.append((answer.status_code, answer.headers["location"], cookies, wrong.text))

    assert shapes[0] == shapes[1]
    assert len(await letters(runtime, world.company.id)) == 1


async def test_a_disabled_person_neither_gets_a_link_nor_stays(browser, runtime, world, member):
    await claimed(browser, runtime, member)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(text("UPDATE member SET enabled = false"))

    inside = await browser.get("/t/company")
    await browser.post("/login", data={"email": EMAIL})

    assert (inside.status_code, inside.headers["location"]) == (303, "/login?next=%2Ft%2Fcompany")
    assert await letters(runtime, world.company.id) == []


async def test_nobody_gets_more_than_twenty_links_an_hour(browser, runtime, world):
    for _ in range(22):
        answer = await browser.post("/login", data={"email": EMAIL.upper()})
        assert answer.status_code == 303

    assert len(await letters(runtime, world.company.id)) == 20


async def test_one_address_may_try_thirty_times_a_minute(browser):
    answers = [await browser.post("/login/claim", data={"token": "x"}) for _ in range(31)]

    assert [answer.status_code for answer in answers] == [410] * 30 + [429]
    assert answers[-1].headers["retry-after"] == "2"
    assert "少し時間をおいて" in answers[-1].text


@pytest.mark.parametrize("email", ["", "hanako", "a b@c", "@", "a@", "x\0@y", "a@b@c"])
async def test_what_is_no_address_is_explained(browser, email):
    answer = await browser.post("/login", data={"email": email})

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert "email-error" in answer.text


async def test_without_signing_in_people_are_sent_to_the_door_and_back(browser):
    answer = await browser.get("/t/company?tab=open&q=%E5%B1%B1")
    form = await browser.get(answer.headers["location"])
    sent = await browser.post("/t/company", data={"wish": "x"})

    assert answer.status_code == 303
    assert (
        answer.headers["location"]
        == "/login?next=%2Ft%2Fcompany%3Ftab%3Dopen%26q%3D%25E5%25B1%25B1"
    )
    assert 'name="next" value="/t/company?tab=open&amp;q=%E5%B1%B1"' in form.text
    assert (sent.status_code, sent.headers["location"]) == (303, "/login")


async def test_a_session_ends_after_twelve_idle_hours(browser, runtime, member, clock):
    await claimed(browser, runtime, member)
    seen = []
    for hours in (11, 11, 12):
        forward(clock, hours=hours)
        seen.append((await browser.get("/t/company")).status_code)

    assert seen == [200, 200, 303]


async def test_a_session_ends_after_fourteen_days_of_use(browser, runtime, member, clock):
    await claimed(browser, runtime, member)
    seen = []
    for _ in range(34):
        forward(clock, hours=10)
        seen.append((await browser.get("/t/company")).status_code)

    assert seen == [200] * 33 + [303]


async def test_signing_out_ends_the_session_for_whoever_has_the_cookie(
    browser, app, runtime, member
):
    await claimed(browser, runtime, member)
    csrf = (await browser.get("/t/company")).json()["csrf"]
    cookie = browser.cookies["relay_session"]
    refused = await browser.post("/logout")
    still = await browser.get("/t/company")
    out = await browser.post("/logout", data={"csrf": csrf})
    async with new_browser(app) as thief:
        thief.cookies.set("relay_session", cookie)
        after = await thief.get("/t/company")

    assert (refused.status_code, still.status_code) == (403, 200)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert "relay_session" not in browser.cookies
    assert after.status_code == 303


async def test_signing_in_again_ends_the_old_session(browser, app, runtime, member):
    await claimed(browser, runtime, member)
    old = browser.cookies["relay_session"]
    await claimed(browser, runtime, member)
    async with new_browser(app) as thief:
        thief.cookies.set("relay_session", old)
        after = await thief.get("/t/company")

    assert browser.cookies["relay_session"] != old
    assert after.status_code == 303


@pytest.mark.parametrize(
    ("headers", "csrf", "status"),
    [
        ({}, True, 200),
        ({"sec-fetch-site": "same-origin"}, True, 200),
        ({"origin": "http://relay.test"}, True, 200),
        ({}, False, 403),
        ({"sec-fetch-site": "same-origin"}, False, 403),
        ({"sec-fetch-site": "cross-site"}, True, 403),
        ({"sec-fetch-site": "same-site"}, True, 403),
        ({"origin": "https://evil.example"}, True, 403),
        ({"origin": "null"}, True, 403),
    ],
)
async def test_a_form_must_come_from_our_own_page(  # noqa: PLR0917 - parameters and fixtures
    browser, runtime, member, headers, csrf, status
):
    await claimed(browser, runtime, member)
    token = (await browser.get("/t/company")).json()["csrf"]
    form = {"wish": "月", "csrf": token if csrf else "x"}

    answer = await browser.post("/t/company", data=form, headers=headers)

    assert answer.status_code == status
    if status == 403:
        assert "画面の有効期限が切れました" in answer.text
    else:
        assert answer.json() == {"name": "人事 花子", "wish": "月"}


async def test_other_sites_cannot_sign_a_browser_in(browser, runtime, member):
    async with runtime.database.transaction() as db:
        token = await open_account.claim_link(db, member, now=runtime.clock())

    answer = await browser.post(
        "/login/claim", data={"token": token}, headers={"sec-fetch-site": "cross-site"}
    )

    assert answer.status_code == 403
    assert await sessions(runtime) == 0


async def test_a_company_person_sees_no_agency_page_and_roles_count(browser, runtime, member):
    await claimed(browser, runtime, member)

    agency = await browser.get("/t/agency")
    head = await browser.get("/t/head")
    program = await browser.get("/t/head", headers={"accept": "application/json"})

    assert (agency.status_code, head.status_code) == (403, 403)
    assert "この操作はできません" in head.text
    assert program.json()["code"] == "role"


async def test_an_agency_person_starts_at_the_portal(browser, runtime, world):
    async with runtime.database.transaction() as db:
        person = await open_account.register_member(
            db, runtime.tools.sealer, email="tanto@aozora.example", name="担当 次郎",
            roles=["consultant"], now=runtime.clock(), agency_id=world.agency.id,
        )  # fmt: skip

    answer = await claimed(browser, runtime, person)
    inside = await browser.get("/t/agency")

    assert answer.headers["location"] == "/agency"
    assert inside.json() == "担当 次郎"


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a b", "/\n", "/" * 600],
)
async def test_nobody_is_sent_elsewhere(browser, runtime, world, path):
    link, _ = await asked(browser, runtime, world, next=path)

    answer = await browser.post(link)

    assert local_path(path) is None
    assert answer.headers["location"] == "/dashboard"


async def test_no_token_code_or_address_is_kept_in_the_clear(browser, runtime, world):
    path, code = await asked(browser, runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        found = []
        for name in ("sign_in_link", "member", "mail"):
            rows = await db.execute(select(func.to_jsonb(text("t"))).select_from(text(name + " t")))
            found += [str(row[0]) for row in rows]

    kept = json.dumps(found)
    assert path.rpartition("/")[2] not in kept
    assert code not in re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]*|[0-9a-f]{40,}", "", kept)
    assert EMAIL not in kept


async def test_used_links_and_ended_sessions_are_cleared_away(browser, runtime, world, clock):
    path, _ = await asked(browser, runtime, world)
    await browser.post(path)
    forward(clock, days=15)

    await work(runtime)

    async with runtime.database.transaction() as db:
        links = (await db.execute(text("SELECT count(*) FROM sign_in_link"))).scalar_one()
    assert (links, await sessions(runtime)) == (0, 0)


@pytest.mark.parametrize("path", ["/nothing", "/login/m/" + "x" * 43, "/login/m/short"])
async def test_pages_speak_the_visitors_language(browser, path):
    japanese = await browser.get(path)
    english = await browser.get(path, headers={"accept-language": "en"})

    assert 'lang="ja"' in japanese.text
    assert 'lang="en"' in english.text
    assert japanese.headers["content-type"] == "text/html; charset=utf-8"
