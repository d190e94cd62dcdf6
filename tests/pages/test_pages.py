"""The pages in a real browser: nothing overflows, all of it is accessible, the CSP holds."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from api.app import create_app
from api.runtime import Runtime
from tests.factories import World
from tests.pages.seed import Seeded, seed

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
DASHBOARD = (
    "", "/deadlines", "/applications", "/applications?show=held", "/notices", "/relays",
    "/credits", "/agencies", "/ats",
)  # fmt: skip

pytestmark = pytest.mark.anyio
needs_browser = pytest.mark.skipif(
    shutil.which(CHROMIUM) is None, reason=f"no Chromium at {CHROMIUM}: set CHROMIUM"
)


@dataclass
class Site:
    """The real app on a loopback port, and a browser to look at it."""

    url: str
    browser: Browser
    seeded: Seeded
    runtime: Runtime
    faults: list[str] = field(default_factory=list)

    async def visit(self, cookie: str | None, size: str, locale: str) -> Page:
        width, height = SIZES[size]
        context = await self.browser.new_context(
            viewport={"width": width, "height": height}, locale=f"{locale}-JP"
        )
        if cookie:
            await context.add_cookies([
                {"name": "relay_session", "value": cookie, "url": self.url},
                {"name": "relay_lang", "value": locale, "url": self.url},
            ])  # fmt: skip
        page = await context.new_page()
        page.on("console", lambda said: self.faults.append(said.text) if said.type in {"error", "warning"} else None)  # fmt: skip  # noqa: E501
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        return page


@pytest.fixture
async def site(runtime: Runtime, world: World) -> AsyncIterator[Site]:
    seeded = await seed(runtime, world)
    server = uvicorn.Server(
        uvicorn.Config(create_app(runtime), port=0, log_level="error", lifespan="off", ws="none")
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield Site(f"http://127.0.0.1:{port}", browser, seeded, runtime)
        await browser.close()
    server.should_exit = True
    await running


async def look(site: Site, page: Page, path: str, name: str, shots: Path) -> None:
    """Open a page and hold it to every rule."""
    answer = await page.goto(site.url + path)
    assert answer is not None
    assert answer.status == 200, f"{path}: {answer.status}"
    await page.screenshot(path=shots / f"{name}.png", full_page=True)
    found = await Axe().run(page, options={"runOnly": RULES})
    assert not found.response["violations"], f"{name}: {found.generate_report()}"
    sideways = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert sideways <= 0, f"{name} scrolls sideways by {sideways} px"
    assert not site.faults, f"{name}: {site.faults}"


@needs_browser
async def test_every_page_of_hr_and_agencies_holds_the_rules(site: Site, tmp_path: Path) -> None:
    shots = Path(os.environ.get("RELAY_SHOTS", tmp_path))
    seeded = site.seeded
    for size in SIZES:
        for locale in ("ja", "en"):
            hr = await site.visit(seeded.company_cookie, size, locale)
            for path in DASHBOARD:
                name = re.sub(r"\W", "_", path) or "_overview"
                await look(site, hr, f"/dashboard{path}", f"hr{name}-{size}-{locale}", shots)
            for which in ("open", "held"):
                number = getattr(seeded, which).id
                await look(site, hr, f"/dashboard/applications/{number}",
                           f"hr_application_{which}-{size}-{locale}", shots)  # fmt: skip
            agency = await site.visit(seeded.agency_cookie, size, locale)
            await look(site, agency, "/agency", f"agency-{size}-{locale}", shots)
            nobody = await site.visit(None, size, locale)
            await look(site, nobody, f"/?lang={locale}", f"home-{size}-{locale}", shots)
            await look(site, nobody, f"/login?lang={locale}", f"login-{size}-{locale}", shots)
