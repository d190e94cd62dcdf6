"""The ways in and the form in a real browser: each state readable, with and without a script."""

from collections.abc import AsyncIterator
from io import BytesIO

import pytest
import zxingcpp
from PIL import Image
from playwright.async_api import Page
from sqlalchemy import URL

from api.clock import Clock
from api.runtime import Runtime
from domain.consent_text import MOST_AGENCIES
from domain.flows.office import open_account
from domain.flows.office.sign_in import enter_by_claim
from domain.flows.ways_in import join
from domain.join_request import JoinRequest
from tests.api.test_candidate_pages import told_person
from tests.applications import mailbox, rows
from tests.conftest import START, own_database, settings_for
from tests.consents import invited
from tests.factories import make_world, work
from tests.pages.test_pages import MIXES, Site, looked_at, pytestmark

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
async def site(server: URL, template: str, worker_id: str) -> AsyncIterator[Site]:
    """A company with three screens of agencies, and a browser to look at its pages."""
    url = await own_database(server, template, f"relay_form_pages_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    world = await make_world(runtime, agencies=2 * MOST_AGENCIES + 3)
    people = {name: await invited(runtime, world) for name in ("undecided", "used", "drafting")}
    await people["used"].give(world.agency.id)
    async with looked_at(runtime, world, people) as seen:
        yield seen


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_states_of_the_form(site: Site, size: str, locale: str) -> None:
    page = await site.visit(size, locale)
    path = f"/c/{site.people['undecided'].token}"
    await site.open(page, path, f"screen-{size}-{locale}")
    await page.locator(".c-agency-check input").first.check()
    await page.click("button[value=screen-2]")
    await site.hold(page, f"screen_2-{size}-{locale}")
    await page.click("button[value=consent]")
    await site.hold(page, f"screen_refused-{size}-{locale}")
    for box in await page.locator(".c-items").first.locator("input").all():
        await box.check()
    await page.fill("#desired_job", "宗教法人の経理 / religion")
    await page.click("button[value=consent]")
    await site.hold(page, f"confirm_warned-{size}-{locale}")
    await site.open(page, f"/c/{site.people['used'].token}", f"used-{size}-{locale}", 410)
    await site.open(page, f"/c/{site.people['used'].token}/again", f"again-{size}-{locale}")


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_states_of_the_public_link(site: Site, size: str, locale: str) -> None:
    runtime, world = site.runtime, site.world
    page, address = await site.visit(size, locale), f"{size}.{locale}@mail.example"
    await site.open(page, "/join/mirai", f"join-{size}-{locale}")
    await page.fill("#email", address)
    await page.click("main button")
    await site.hold(page, f"join_sent-{size}-{locale}")
    await work(runtime)
    path = (await mailbox(runtime, world.company.id, address))[-1]["links"][0]
    await site.open(page, path.removeprefix("http://relay.test"), f"join_prove-{size}-{locale}")
    await page.click("main button")
    await site.hold(page, f"join_held-{size}-{locale}")
    await page.click("main button")
    await site.hold(page, f"join_refused-{size}-{locale}")
    await page.fill("#name", "試験 花子")
    await page.click("main button")
    await site.hold(page, f"join_told-{size}-{locale}")
    await site.open(page, f"/join/mirai/{'A' * 43}", f"join_over-{size}-{locale}", 410)


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_pages_of_hr(site: Site, size: str, locale: str) -> None:
    runtime, world = site.runtime, site.world
    await waiting(site, f"hr.{size}.{locale}@mail.example")
    told = await told_person(runtime, world)
    page = await site.visit(size, locale, await recruiter(site, f"{size}.{locale}"))
    await site.open(page, "/dashboard/joins", f"joins-{size}-{locale}")
    await page.locator("form[action$=match] button").first.click()
    await page.wait_for_selector(".error-summary")
    await site.hold(page, f"joins_refused-{size}-{locale}")
    await site.open(page, "/dashboard/join-link", f"poster-{size}-{locale}")
    assert await printed(page) == "http://relay.test/join/mirai"
    await page.goto(f"{site.url}/dashboard/applications/{told.id}")
    await page.click("#link-make")
    await page.wait_for_selector(".qr")
    await site.hold(page, f"handed-{size}-{locale}")
    link = await page.input_value("#link-made")
    assert await printed(page) == link
    assert link.startswith("http://relay.test/c/")


async def printed(page: Page) -> str:
    """What a camera reads from the code as it stands on the screen."""
    picture = Image.open(BytesIO(await page.locator(".qr").screenshot())).convert("L")
    (read,) = zxingcpp.read_barcodes(picture)
    return read.text


async def waiting(site: Site, address: str) -> None:
    """Somebody with a proven address waits for HR."""
    runtime, now = site.runtime, site.runtime.clock()
    async with runtime.database.transaction(company_id=site.world.company.id) as db:
        company = site.world.company
        await join.ask_to_join(db, runtime.tools, company, address, locale="ja", now=now)
    asked = (await rows(runtime, site.world.company.id, JoinRequest))[-1]
    async with runtime.database.transaction(company_id=site.world.company.id) as db:
        assert await join.prove_join(db, runtime.tools, asked, now) is None


async def recruiter(site: Site, who: str) -> str:
    """The cookie of somebody of HR."""
    runtime, company_id, now = site.runtime, site.world.company.id, site.runtime.clock()
    async with runtime.database.transaction(company_id=company_id) as db:
        member = await open_account.register_member(
            db, runtime.tools.sealer, email=f"{who}@people.example", name="採用 花子",
            roles=["recruiter"], now=now, company_id=company_id, agency_id=None,
        )  # fmt: skip
        token = await open_account.claim_link(db, member, now=now)
    async with runtime.database.transaction() as db:
        return await enter_by_claim(db, token, now=now)


async def typed(page: Page) -> tuple[str, bool]:
    """What stands in the form: a wish, and whether the first agency is ticked."""
    box = page.locator(".c-agency-check input").first
    return await page.input_value("#desired_job"), await box.is_checked()


async def test_a_draft_stays_on_the_device_and_comes_back_only_when_asked_for(site: Site) -> None:
    person, sent = site.people["drafting"], []
    page = await site.visit("phone", "ja")
    await page.goto(f"{site.url}/c/{person.token}")
    page.on("request", lambda request: sent.append(request.url))
    before = await typed(page)
    await page.fill("#desired_job", "倉庫の仕事")
    await page.locator(".c-agency-check input").first.check()
    wrote = [url for url in sent if "/static/" not in url]  # the mark may still be on its way
    await page.goto(f"{site.url}/c/{person.token}")
    await page.wait_for_selector("#draft:not([hidden])")
    again = await typed(page)
    await site.hold(page, "draft-phone-ja")
    await page.click("[data-draft=restore]")
    back = await typed(page)
    kept = await page.evaluate("JSON.stringify(localStorage)")
    await page.click("#form button[value=decline]")
    await page.wait_for_url("**/done")
    await page.wait_for_function("localStorage.length === 0")

    assert wrote == []
    assert (again, back) == (before, ("倉庫の仕事", True))
    assert person.token not in kept


async def test_the_form_works_without_a_script(site: Site) -> None:
    person = await invited(site.runtime, site.world)
    context = await site.browser.new_context(java_script_enabled=False, locale="ja-JP")
    page = await context.new_page()
    await page.goto(f"{site.url}/c/{person.token}")
    await page.locator(".c-agency-check input").first.check()
    for box in await page.locator(".c-items").first.locator("input").all():
        await box.check()
    await page.click("button[value=consent]")
    await page.click("button[value=confirm]")

    assert page.url.endswith("/done")
    assert "お申し込みを受け付けました" in await page.inner_text("h1")
