"""One person's whole way, in a real browser: from the link in the mail to taking everything back.

On a phone and at a desk, in both languages, with and without a script.
"""

import re
from collections.abc import AsyncIterator
from itertools import product

import pytest
from playwright.async_api import Page
from sqlalchemy import URL

from api.clock import Clock
from api.pages import words
from api.runtime import Runtime
from domain import vault
from domain.candidate_file import CandidateFile
from domain.consent import Consent
from tests.applications import mailbox, rows
from tests.conftest import START, own_database, settings_for
from tests.consents import Person, invited
from tests.documents import pdf
from tests.factories import make_world, work
from tests.pages.test_pages import MIXES, Site, looked_at, pytestmark
from tests.relays import PROFILE

__all__ = ["pytestmark"]
WAYS = [(*mix, script) for mix, script in product(MIXES, ("script", "plain"))]


@pytest.fixture(scope="module")
async def site(server: URL, template: str, worker_id: str) -> AsyncIterator[Site]:
    """Somebody new for each way."""
    url = await own_database(server, template, f"relay_journey_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    world = await make_world(runtime)
    people = {
        "-".join(way): await invited(
            runtime, world, profile=PROFILE | {"email": f"{'.'.join(way)}@mail.example"}
        )
        for way in WAYS
    }
    async with looked_at(runtime, world, people) as seen:
        yield seen


async def newest_mail(site: Site, way: str, pattern: str) -> re.Match[str]:
    """The first match in the newest mail to this person that has one."""
    await work(site.runtime)
    sent = await mailbox(
        site.runtime, site.world.company.id, f"{way.replace('-', '.')}@mail.example"
    )
    found = [match for mail in sent if (match := re.search(pattern, mail["text"]))]
    return found[-1]


async def consents_of(site: Site, person: Person) -> dict[str, tuple[str, set[str]]]:
    """Agency → how the person's consent to it stands, and to which items."""
    there = await rows(site.runtime, site.world.company.id, Consent)
    return {
        one.agency_id: (one.state, set(one.items))
        for one in there
        if one.candidate_id == person.application.candidate_id
    }


async def files_of(site: Site, person: Person) -> list[tuple[str, bool]]:
    """The kind of every document of the person, and whether it stands."""
    there = await rows(site.runtime, site.world.company.id, CandidateFile)
    return [
        (one.kind, one.removed_at is None)
        for one in there
        if one.candidate_id == person.application.candidate_id
    ]


async def tick(page: Page, agency_id: str, *items: str) -> None:
    """Choose an agency and what it may receive."""
    await page.check(f"#agency-{agency_id}")
    for code in items:
        await page.check(f"#items-{agency_id}-{code}")


@pytest.mark.parametrize(("size", "locale", "script"), WAYS)
async def test_the_whole_way_of_one_person(site: Site, size: str, locale: str, script: str) -> None:
    way, t = f"{size}-{locale}-{script}", words(locale)
    person, (first, second) = site.people[way], site.world.agencies
    page = await site.visit(size, locale, script=script == "script")

    async def arrived(step: str) -> None:
        await site.hold(page, f"journey_{step}-{script}-{size}-{locale}")

    # The link of the invitation opens the form; nothing is ticked, and a mistake comes back.
    await page.goto(f"{site.url}/c/{person.token}")
    await arrived("form")
    assert await page.locator("input:checked").count() == 0
    await page.check(f"#items-{first.id}-name")
    await page.fill("#phone", "12")
    await page.click("#form button[value=consent]")
    await arrived("refused")
    assert await page.locator(".error-summary li").count() == 2
    assert await consents_of(site, person) == {}

    # Put right, looked over, confirmed.
    await tick(page, first.id, "email", "phone")
    await tick(page, second.id, "name", "email")
    await page.fill("#phone", "090-1234-5678")
    await page.click("#form button[value=consent]")
    await arrived("confirm")
    assert await consents_of(site, person) == {}
    await page.click("button[value=confirm]")
    await arrived("done")
    assert await page.inner_text("h1") == t("candidate.done_given_title")
    assert await consents_of(site, person) == {
        first.id: ("given", {"name", "email", "phone"}), second.id: ("given", {"name", "email"}),
    }  # fmt: skip

    # The receipt leads to the person's own page; what it guards is opened by a code.
    own = (await newest_mail(site, way, r"http://relay\.test(/c/[\w-]{43})\s"))[1]
    await page.goto(site.url + own)
    await arrived("own_page")
    assert await page.locator(".c-held").count() == 2
    assert await page.locator("[action$='/withdraw']").count() == 3
    await page.goto(f"{site.url}{own}/correct")
    await arrived("code")
    await page.click("[action$='/code'] button")
    code = (await newest_mail(site, way, r"(?:確認コード|Code): (\d{6})\n"))[1]
    await page.fill("#code", "123" if code != "123" else "124")
    await page.click("[action$=enter] button")
    await arrived("code_wrong")
    await page.fill("#code", code)
    await page.click("[action$=enter] button")
    await arrived("correct")

    # Put right, add a document.
    await page.fill("#desired_location", "東京都")
    await page.click("[action$=correct] button")
    await arrived("corrected")
    async with site.runtime.database.transaction(company_id=site.world.company.id) as db:
        profile = await vault.profile_of(db, site.runtime.tools.sealer, await person.reload())
    assert profile["desired_location"] == "東京都"
    await page.click("a[href$='/files']")
    await page.set_input_files(
        "#file-resume_file", {"name": "履歴書.pdf", "mimeType": "", "buffer": pdf()}
    )
    await page.click("form:has(#file-resume_file) button")
    await arrived("document")
    assert await files_of(site, person) == [("resume_file", True)]

    # One step takes one agency back, one more the rest.
    await page.goto(site.url + own)
    await page.click(f"form:has([value='{first.id}']) button")
    await arrived("withdrawn_one")
    assert {key: state for key, (state, _) in (await consents_of(site, person)).items()} == {
        first.id: "withdrawn", second.id: "given",
    }  # fmt: skip
    await page.click(f"form:has([value='{second.id}']) button")
    await arrived("withdrawn_all")
    assert await page.locator("[action$='/withdraw']").count() == 0
    assert {state for state, _ in (await consents_of(site, person)).values()} == {"withdrawn"}
    await page.context.close()
