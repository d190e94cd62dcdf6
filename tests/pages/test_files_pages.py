"""The page of documents in a real browser: each state readable, with and without a script."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from api.clock import Clock
from api.runtime import Runtime
from tests.conftest import START, own_database, settings_for
from tests.consents import invited
from tests.documents import docx, pdf
from tests.factories import make_world
from tests.pages.test_pages import MIXES, Site, looked_at, pytestmark

__all__ = ["pytestmark"]
WHO = [f"{size}-{locale}" for size, locale in MIXES]


@pytest.fixture(scope="module")
async def site(server: URL, template: str, worker_id: str) -> AsyncIterator[Site]:
    """Invited people, and a browser to send their documents."""
    url = await own_database(server, template, f"relay_files_pages_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    world = await make_world(runtime)
    people = {name: await invited(runtime, world) for name in (*WHO, "plain")}
    async with looked_at(runtime, world, people) as seen:
        yield seen


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_states_of_the_documents(site: Site, size: str, locale: str) -> None:
    mix = f"{size}-{locale}"
    page = await site.visit(size, locale)
    await site.open(page, f"/c/{site.people[mix].token}", f"files_form-{mix}")
    await page.click("a[href$='/files']")
    await site.hold(page, f"files_none-{mix}")
    await page.set_input_files(
        "#file-resume_file",
        {"name": "履歴書.pdf", "mimeType": "application/pdf", "buffer": b"no document"},
    )
    await page.click("form:has(#file-resume_file) button")
    await site.hold(page, f"files_refused-{mix}")
    assert await page.get_attribute("#file-resume_file", "aria-invalid") == "true"
    await page.set_input_files(
        "#file-resume_file", {"name": "履歴書.pdf", "mimeType": "", "buffer": pdf()}
    )
    await page.click("form:has(#file-resume_file) button")
    await site.hold(page, f"files_kept-{mix}")
    await page.set_input_files(
        "#file-cv_file", {"name": "a" * 200 + ".docx", "mimeType": "", "buffer": docx()}
    )
    await page.click("form:has(#file-cv_file) button")
    await site.hold(page, f"files_both-{mix}")
    await page.click("form[action$='/remove'] button >> nth=0")
    await site.hold(page, f"files_removed-{mix}")


async def test_a_photograph_too_large_gets_a_page_and_not_a_broken_connection(site: Site) -> None:
    """Without a script, and over a real connection: the browser sends all of it, then reads."""
    context = await site.browser.new_context(java_script_enabled=False, locale="ja-JP")
    page = await context.new_page()
    await page.goto(f"{site.url}/c/{site.people['plain'].token}/files")
    await page.set_input_files(
        "#file-cv_file",
        {"name": "scan.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-" + bytes(20_000_000)},
    )
    await page.click("form:has(#file-cv_file) button")

    assert "大きすぎます" in await page.inner_text(".error-summary")
    await context.close()
