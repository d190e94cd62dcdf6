"""A person's own page and HR's queue in a real browser, in every state, errors too."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL

from api.clock import Clock
from api.runtime import Runtime
from domain.company import Company
from tests.applications import an_application, reject
from tests.conftest import START, own_database, settings_for
from tests.consents import Person
from tests.factories import make_world, work
from tests.own_page import at_own_page
from tests.pages.seed import enter
from tests.pages.test_pages import VIEWS, Site, looked_at, prove, pytestmark
from tests.relays import PROFILE

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
async def site(server: URL, template: str, worker_id: str) -> AsyncIterator[Site]:
    """Two people who heard a no, at a company that takes requests for feedback."""
    url = await own_database(server, template, f"relay_my_page_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    world = await make_world(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        company.feedback_requests = True
        db.add(company)
    people = {}
    for name, _ in VIEWS:
        application = await an_application(
            runtime, world, profile=dict(PROFILE), job_title="経理(課長候補)", stage="最終面接"
        )
        await reject(runtime, application)
        people[name] = Person(runtime, world, application, "")
    runtime.clock.offset += timedelta(hours=3)
    await work(runtime)
    async with looked_at(runtime, world, people) as seen:
        yield seen


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_the_own_page_before_and_after_the_step(site: Site, size: str, locale: str) -> None:
    page, person = await site.visit(size, locale), site.people[size]
    nobody: Any = None
    own = (await at_own_page(nobody, person)).path
    await site.open(page, own, f"my_page_locked-{size}-{locale}")
    await site.open(page, f"{own}/code", f"code-{size}-{locale}")
    await page.click("[action$='/code'] button")
    await site.hold(page, f"code_sent-{size}-{locale}")
    await page.fill("#code", "x")
    await page.click("[action$=enter] button")
    await site.hold(page, f"code_wrong-{size}-{locale}")
    await prove(site, page, own)
    await site.hold(page, f"my_page_proven-{size}-{locale}")
    await site.open(page, f"{own}/correct", f"correct-{size}-{locale}")
    await page.fill("#name", "")
    await page.fill("#phone", "12")
    await page.click("[action$=correct] button")
    await site.hold(page, f"correct_refused-{size}-{locale}")
    notes = f"{own}/reflection/{person.application.id}"
    await site.open(page, notes, f"reflection-{size}-{locale}")
    await page.check("#check-1-yes")
    await page.fill("#questions", "志望の理由")
    await page.locator("form.c-form button").click()
    await site.hold(page, f"reflection_kept-{size}-{locale}")
    await page.goto(site.url + own)
    await page.click("[action$=feedback] button")
    await site.hold(page, f"feedback_asked-{size}-{locale}")


async def test_notes_that_came_too_late_are_not_lost(site: Site) -> None:
    page, person, nobody = await site.visit("phone", "ja"), site.people["phone"], None
    own = (await at_own_page(nobody, person)).path  # type: ignore[arg-type]
    await prove(site, page, own)
    notes = f"{site.url}{own}/reflection/{person.application.id}"
    await page.goto(notes)
    await page.fill("#questions", "退職の理由")
    await page.check("#check-2-yes")
    await page.context.clear_cookies(name="relay_proof")
    await page.locator("#notes button").click()
    await page.wait_for_selector("[action$='/code']")
    kept = await page.evaluate("JSON.stringify(sessionStorage)")
    await prove(site, page, own)
    await page.goto(notes)
    await page.wait_for_selector("#unsaved:not([hidden])")
    back = (await page.input_value("#questions"), await page.is_checked("#check-2-yes"))
    await site.hold(page, "reflection_unsaved-phone-ja")
    await page.locator("#notes button").click()
    await page.wait_for_url("**?kept=1")
    await page.wait_for_function("sessionStorage.length === 0")

    assert back == ("退職の理由", True)
    assert own.removeprefix("/c/") not in kept


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_the_queue_of_requests(site: Site, size: str, locale: str) -> None:
    cookie = await enter(
        site.runtime, f"hr-{size}", company_id=site.world.company.id, roles=["recruiter", "head"]
    )
    page = await site.visit(size, locale, cookie)
    await site.open(page, "/dashboard/feedback-requests", f"hr_feedback-{size}-{locale}")
    box = page.locator("textarea").first
    await box.fill("短い。")
    await page.locator("button[value=send]").first.click()
    await page.wait_for_selector("[role=alert]")
    await site.hold(page, f"hr_feedback_refused-{size}-{locale}")
