"""The pages in a real browser: nothing overflows, all of it is accessible, the CSP holds."""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright
from sqlalchemy import URL
from sqlmodel import col, select

from api.app import create_app
from api.clock import Clock
from api.runtime import Runtime
from domain.duty import PlacementQuestion
from domain.flows.office.open_account import token_hash
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.ids import new_id
from domain.relay import Relay
from tests.applications import mailbox
from tests.conftest import START, own_database, settings_for
from tests.consents import Person, invited
from tests.factories import World, make_world, work
from tests.pages.seed import Seeded, seed

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
VIEWS = (("phone", "ja"), ("desk", "en"))
"""Each size and each language is held to every rule; all four mixes to not overflowing."""
MIXES = (*VIEWS, ("phone", "en"), ("desk", "ja"))
DASHBOARD = (
    "", "/deadlines", "/applications", "/applications?show=held", "/notices", "/relays",
    "/agencies",
)  # fmt: skip
LEDGER = (
    "/credits", "/disputes", "/disputes/{dispute}", "/disputes/{dispute}/concede",
    "/disputes/new?credit={available}", "/corrections", "/corrections/new?kind=issue&with={other}",
    "/corrections/new?kind=extend&with={other}", "/agreements", "/agreements/{agreement}",
    "/agreements/{agreement}/propose", "/agreements/{agreement}/end", "/statements",
    "/statements/2026-08?with={other}",
)  # fmt: skip
"""The pages both sides have of the ledger."""
AGENCY = (
    "", "/placements", "/placements/{placement}", "/relays/{relay}", "/attestations", "/companies",
    "/companies/{other}", "/credits", "/disputes/{dispute}", "/corrections",
    "/agreements/{agreement}", "/statements/2026-08?with={other}",
)  # fmt: skip
"""An agency's own pages, and those shared ones that differ from the company's."""
FIRST_VISIT = 60_000
"""Bytes the form may cost somebody on the move, before compression."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        shutil.which(CHROMIUM) is None, reason=f"no Chromium at {CHROMIUM}: set CHROMIUM"
    ),
]


@dataclass
class Site:
    """The real app on a loopback port, and a browser to look at it."""

    url: str
    browser: Browser
    runtime: Runtime
    world: World
    seeded: Seeded
    people: dict[str, Person]
    shots: Path | None
    """Where to leave pictures of everything, for people who want to look: `RELAY_SHOTS`."""
    faults: list[str] = field(default_factory=list)
    plain: set[Page] = field(default_factory=set)
    """Pages of browsers that run no script: axe, which is one, looks at the others."""

    async def visit(
        self, size: str, locale: str, cookie: str | None = None, *, script: bool = True
    ) -> Page:
        """A browser of somebody, with the session cookie if they are signed in."""
        width, height = SIZES[size]
        context = await self.browser.new_context(
            viewport={"width": width, "height": height}, locale=f"{locale}-JP",
            java_script_enabled=script,
        )  # fmt: skip
        cookies = {"relay_lang": locale} | ({"relay_session": cookie} if cookie else {})
        await context.add_cookies([
            {"name": name, "value": value, "url": self.url} for name, value in cookies.items()
        ])  # fmt: skip
        page = await context.new_page()
        if not script:
            self.plain.add(page)
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        return page

    async def open(self, page: Page, path: str, name: str, status: int = 200) -> None:
        """Open a page and hold it to the rules."""
        answer = await page.goto(self.url + path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        await self.hold(page, name)

    async def hold(self, page: Page, name: str) -> None:
        """What is on the screen now: nothing overflows, axe finds nothing, no complaint."""
        # A click returns when the next page is on its way, which may be before its first tag.
        await page.wait_for_load_state()
        if self.shots is not None:
            await page.screenshot(path=self.shots / f"{name}.png", full_page=True)
        sideways = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert sideways <= 0, f"{name} scrolls sideways by {sideways} px"
        if page not in self.plain and name.endswith(tuple("-".join(view) for view in VIEWS)):
            found = await Axe().run(page, options={"runOnly": RULES})
            assert not found.response["violations"], f"{name}: {found.generate_report()}"
        assert not self.faults, f"{name}: {self.faults}"

    def _hear(self, kind: str, said: str) -> None:
        # A refusal is an answer with a page; the browser notes its status all the same.
        if kind in {"error", "warning"} and "Failed to load resource" not in said:
            self.faults.append(said)


@asynccontextmanager
async def looked_at(
    runtime: Runtime, world: World, people: dict[str, Person], seeded: Any = None
) -> AsyncIterator[Site]:
    """The app on a port of its own, and a browser to look at it; both are closed at the end."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(runtime), port=0, log_level="error", lifespan="off", ws="none")
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    shots = Path(os.environ["RELAY_SHOTS"]) if "RELAY_SHOTS" in os.environ else None
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield Site(f"http://127.0.0.1:{port}", browser, runtime, world, seeded, people, shots)
        await browser.close()
    server.should_exit = True
    await running
    await runtime.database.close()


@pytest.fixture(scope="module")
async def site(server: URL, template: str, worker_id: str) -> AsyncIterator[Site]:
    """Seeded once for all tests here: they look, and what they change is their own person's."""
    url = await own_database(server, template, f"relay_pages_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    world = await make_world(runtime)
    seeded = await seed(runtime, world)
    people = {name: await invited(runtime, world) for name in (
        "undecided", "agreed", "agreed_en", "declined", "erasing",
    )}  # fmt: skip
    await people["erasing"].give(world.agency.id)
    await people["declined"].decline()
    await work(runtime)
    async with looked_at(runtime, world, people, seeded) as seen:
        yield seen


async def own_page(site: Site, who: str) -> str:
    """The address of a person's own page, as the mails have it."""
    return await own_page_of(site, site.people[who])


async def own_page_of(site: Site, person: Person) -> str:
    async with site.runtime.database.transaction() as db:
        opened = await person.open(db)
        url = await new_my_page_link(db, site.runtime.tools, opened.candidate, site.runtime.clock())
    return url.removeprefix(site.runtime.tools.public_url)


async def prove(site: Site, page: Page, own: str) -> None:
    """Take the second step: the code of the newest mail."""
    await page.goto(f"{site.url}{own}/code")
    await page.click("[action$='/code'] button")
    await work(site.runtime)
    mails = await mailbox(site.runtime, site.world.company.id)
    codes = (re.search(r"(?:確認コード|Code): (\d{6})\n", mail["text"]) for mail in mails)
    await page.fill("#code", [found[1] for found in codes if found is not None][-1])
    await page.click("[action$=enter] button")
    await page.wait_for_selector("#settings")


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_pages_of_hr_and_agencies(site: Site, size: str, locale: str) -> None:
    seeded = site.seeded
    hr = await site.visit(size, locale, seeded.company_cookie)
    for path in DASHBOARD:
        name = re.sub(r"\W", "_", path) or "_overview"
        await site.open(hr, f"/dashboard{path}", f"hr{name}-{size}-{locale}")
    for which in ("open", "held", "undecided"):
        number = getattr(seeded, which).id
        path = f"/dashboard/applications/{number}"
        await site.open(hr, path, f"hr_application_{which}-{size}-{locale}")
    await site.open(hr, "/agency", f"error_403-{size}-{locale}", 403)


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_pages_of_the_ledger_on_both_sides(site: Site, size: str, locale: str) -> None:
    ledger, company, agency = site.seeded.ledger, site.world.company.id, site.world.agency.id
    for who, home, cookie, other, paths in (
        ("hr", "/dashboard", site.seeded.company_cookie, agency, (*LEDGER, "/agencies/{other}")),
        ("agency", "/agency", site.seeded.agency_cookie, company, AGENCY),
    ):
        page = await site.visit(size, locale, cookie)
        for place in paths:
            name = re.sub(r"\W+", "_", place.partition("?with")[0]) or "_portal"
            path = home + place.format(other=other, **vars(ledger))
            await site.open(page, path, f"ledger_{who}{name}-{size}-{locale}")
        await page.goto(f"{site.url}{home}/credits")
        await page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        await site.hold(page, f"ledger_{who}_credits_open-{size}-{locale}")
        await page.context.close()


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_forms_of_hr_that_are_refused_or_show_something_once(
    site: Site, size: str, locale: str
) -> None:
    hr = await site.visit(size, locale, site.seeded.company_cookie)
    await hr.goto(f"{site.url}/dashboard/applications/{site.seeded.undecided.id}")
    await hr.click("[action$=interim] button")
    await hr.wait_for_selector("[role=alert]")
    await site.hold(hr, f"hr_interim_refused-{size}-{locale}")
    await hr.goto(f"{site.url}/dashboard/credits")
    await hr.click("[action$=reserve] button")
    await hr.wait_for_selector("[role=alert]")
    await site.hold(hr, f"hr_reserve_refused-{size}-{locale}")


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_forms_of_the_ledger_that_are_refused(site: Site, size: str, locale: str) -> None:
    ledger, company = site.seeded.ledger, site.world.company.id
    for who, cookie, path, button in (
        ("hr", site.seeded.company_cookie,
         f"/dashboard/disputes/new?credit={ledger.asked_back_credit}", "[action$=disputes] button"),
        ("hr", site.seeded.company_cookie, f"/dashboard/disputes/{ledger.dispute}",
         "[action$=notes] button"),
        ("hr", site.seeded.company_cookie, f"/dashboard/agreements/{ledger.agreement}/end",
         "[action$=end] button"),
        ("agency", site.seeded.agency_cookie, f"/agency/corrections/new?kind=take&with={company}",
         "[action$=corrections] button"),
        ("agency", site.seeded.agency_cookie, f"/agency/relays/{ledger.relay}",
         "[action$=placement] button"),
        ("agency", site.seeded.agency_cookie, "/agency/attestations",
         "[action*='attestations/'] button"),
    ):  # fmt: skip
        page = await site.visit(size, locale, cookie)
        await page.goto(site.url + path)
        await page.click(button)
        await page.wait_for_selector("[role=alert]")
        name = re.sub(r"\W+", "_", path.partition("?")[0].rpartition("/")[0])
        await site.hold(page, f"refused_{who}{name}-{size}-{locale}")
        await page.context.close()


async def test_a_file_is_handed_out_also_where_a_script_changes_pages_in_place(site: Site) -> None:
    page = await site.visit("desk", "ja", site.seeded.company_cookie)
    await page.goto(f"{site.url}/dashboard/statements/2026-08?with={site.world.agency.id}")

    async with page.expect_download() as waiting:
        await page.click("a[href$='format=csv']")
    handed = await waiting.value

    assert handed.suggested_filename == "credits-2026-08.csv"
    assert "/statements/2026-08?with=" in page.url
    await page.close()


async def test_a_refused_form_comes_back_in_place(site: Site) -> None:
    """Where there is a script the page stays: htmx puts the answer into it, refusals too."""
    page = await site.visit("desk", "ja", site.seeded.company_cookie)
    await page.goto(f"{site.url}/dashboard/credits")
    await page.evaluate("window.stayed = true")

    await page.click("[action$=reserve] button")
    await page.wait_for_selector("[role=alert]")

    assert await page.evaluate("window.stayed") is True
    await page.close()


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_pages_anybody_may_open(site: Site, size: str, locale: str) -> None:
    page = await site.visit(size, locale)
    for name, path, status in (
        ("home", "/", 200), ("login", "/login", 200), ("claim", "/login/claim", 200),
        ("error_404", "/nowhere", 404), ("link_unknown", f"/c/{'x' * 43}", 404),
        ("join", "/join/mirai", 200), ("mailbox", "/dev/mailbox", 200),
    ):  # fmt: skip
        await site.open(page, path, f"{name}-{size}-{locale}", status)
    await page.goto(f"{site.url}/login")
    await page.click("main button")
    await site.hold(page, f"login_refused-{size}-{locale}")
    await page.fill("#email", "hr@people.example")
    await page.click("main button")
    await site.hold(page, f"sent-{size}-{locale}")
    await page.goto(f"{site.url}/join/mirai")
    await page.click("main button")
    await site.hold(page, f"join_refused-{size}-{locale}")


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_candidates_form(site: Site, size: str, locale: str) -> None:
    page = await site.visit(size, locale)
    path = f"/c/{site.people['undecided'].token}"
    await site.open(page, path, f"form-{size}-{locale}")
    accept, decline = [
        await page.locator(f"#form button[value={one}]").bounding_box()
        for one in ("consent", "decline")
    ]
    assert accept is not None
    assert decline is not None
    assert (accept["width"], accept["height"]) == (decline["width"], decline["height"])
    assert await page.locator("input:checked").count() == 0
    await page.locator(".c-items input").first.check()
    await page.fill("#name", "")
    await page.click("button[value=consent]")
    await site.hold(page, f"form_refused-{size}-{locale}")
    await page.goto(site.url + path)
    for box in await page.locator("input[type=checkbox]").all():
        await box.check()
    await page.click("button[value=consent]")
    await site.hold(page, f"confirm-{size}-{locale}")


@pytest.mark.parametrize(("size", "locale", "who"), [
    ("phone", "ja", "agreed"), ("desk", "en", "agreed_en"),
])  # fmt: skip
async def test_saying_yes_seeing_who_has_what_and_taking_it_back(
    site: Site, size: str, locale: str, who: str
) -> None:
    page, person = await site.visit(size, locale), site.people[who]
    await page.goto(f"{site.url}/c/{person.token}")
    for box in await page.locator("input[type=checkbox]").all():
        await box.check()
    await page.click("button[value=consent]")
    await page.click("button[value=confirm]")
    await site.hold(page, f"done-{size}-{locale}")
    await site.open(page, f"/c/{person.token}", f"answered-{size}-{locale}", 410)
    own = await own_page(site, who)
    await site.open(page, own, f"my_page-{size}-{locale}")
    await page.locator("[action$=withdraw] button").last.click()
    await site.hold(page, f"my_page_withdrawn-{size}-{locale}")


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_no_and_never_again(site: Site, size: str, locale: str) -> None:
    page = await site.visit(size, locale)
    declined = site.people["declined"].token
    await site.open(page, f"/c/{declined}", f"declined-{size}-{locale}", 410)
    await site.open(page, f"/c/{declined}/done", f"declined_done-{size}-{locale}")
    await site.open(page, f"/c/{declined}/stop", f"stop-{size}-{locale}")
    own = await own_page(site, "erasing")
    await prove(site, page, own)
    await site.open(page, f"{own}/erase", f"erase-{size}-{locale}")
    await page.evaluate("document.querySelector('#erase').required = false")
    await page.locator("main form button").first.click()
    await site.hold(page, f"erase_refused-{size}-{locale}")


async def question(site: Site, person: Person, **facts: Any) -> str:
    """The page behind a question mail, for somebody who is asked about two agencies."""
    token, now = secrets.token_urlsafe(32), site.runtime.clock()
    company_id = person.world.company.id
    async with site.runtime.database.transaction(company_id=company_id) as db:
        wanted = select(Relay).where(col(Relay.candidate_id) == person.application.candidate_id)
        for number, relay in enumerate((await db.scalars(wanted)).all()):
            db.add(
                PlacementQuestion(
                    company_id=company_id, id=new_id("pqn"), agency_id=relay.agency_id,
                    candidate_id=relay.candidate_id, relay_id=relay.id, consent_event_id="cev_x",
                    days=30, token_hash=token_hash(token) if number == 0 else None,
                    look_at=now + timedelta(days=9), created_at=now, **facts,
                )
            )  # fmt: skip
    return f"/c/{token}/started"


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_asking_whether_somebody_started(site: Site, size: str, locale: str) -> None:
    page, person = await site.visit(size, locale), await invited(site.runtime, site.world)
    await person.give(*(agency.id for agency in site.world.agencies), followup=True)
    await site.open(page, await own_page_of(site, person), f"my_page_asked-{size}-{locale}")
    await page.click("[action$=followup] button")
    await site.hold(page, f"my_page_unasked-{size}-{locale}")
    await site.open(page, await question(site, person, state="asked"), f"asked-{size}-{locale}")
    await page.locator("button[value=not_started]").first.click()
    await page.locator("button[value=started]").first.click()
    await site.hold(page, f"asked_answered-{size}-{locale}")


async def test_a_question_that_is_closed(site: Site) -> None:
    person = await invited(site.runtime, site.world)
    await person.give(site.world.agency.id, followup=True)
    path = await question(site, person, state="void")
    for size, locale in VIEWS:
        page = await site.visit(size, locale)
        await site.open(page, path, f"asked_closed-{size}-{locale}", 410)


async def test_the_description_of_the_api_shows_itself(site: Site) -> None:
    page = await site.visit("desk", "en")
    await page.goto(f"{site.url}/docs")
    await page.wait_for_selector(".opblock-tag")

    assert site.faults == []


async def test_the_form_costs_little_on_a_first_visit(site: Site) -> None:
    page, sizes = await site.visit("phone", "ja"), []
    page.on("response", lambda answer: sizes.append(answer))  # noqa: PLW0108 - it wants a function
    await page.goto(f"{site.url}/c/{site.people['undecided'].token}", wait_until="networkidle")
    transferred = [(await one.request.sizes())["responseBodySize"] for one in sizes]

    assert len(transferred) >= 4
    assert sum(transferred) <= FIRST_VISIT
    assert all("?v=" in one.url for one in sizes if "/static/" in one.url)


async def test_the_keyboard_reaches_the_decision_and_shows_where_it_is(site: Site) -> None:
    page = await site.visit("phone", "ja")
    await page.goto(f"{site.url}/c/{site.people['undecided'].token}")
    await page.focus("#form button[value=decline]")
    await page.keyboard.press("Shift+Tab")
    width = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")

    assert await page.evaluate("document.activeElement.value") == "consent"
    assert width == "4px"
