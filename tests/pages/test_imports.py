"""The way in for files, in a real browser: accessible, nothing overflows, no script needed."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.async_api import async_playwright
from sqlalchemy import URL

from api.app import create_app
from api.clock import Clock
from api.runtime import Runtime
from domain.application import Application
from domain.imports import Import
from tests.applications import rows
from tests.conftest import START, own_database, settings_for
from tests.factories import make_world, work
from tests.pages.seed import enter
from tests.pages.test_pages import ARGS, CHROMIUM, MIXES, VIEWS, Site, pytestmark  # noqa: F401

COLUMNS = (
    "応募ID", "氏名", "フリガナ", "メールアドレス", "電話番号", "求人名", "応募経路", "応募日",
    "面接日時", "選考結果", "結果日", "備考",
)  # fmt: skip
PEOPLE = (
    ("00123", "髙橋 花子", "ﾀｶﾊｼ ﾊﾅｺ", "hanako@mail.example", "9012345678", "法人営業", "自社HP",
     "2026/05/11", "2026/06/01 10:00", "不採用", "2026/06/01", ""),
    ("124", "見本 太郎", "ミホン タロウ", "taro@mail.example", "090-1111-2222", "法人営業",
     "採用ナビ", "2026/05/01", "2026/05/10 10:00", "不採用", "2026/05/12", ""),
    ("00125", "仮名 結衣", "カメイ ユイ", "yui@mail.example", "", "経理(課長候補)", "自社HP",
     "2026/05/12", "2026/06/01 15:00", "選考中", "", ""),
    ("00126", "例 次郎", "レイ ジロウ", "not-an-address", "", "経理(課長候補)", "自社HP",
     "2026/05/12", "", "辞退検討中", "", ""),
    ("00127", "試験 三郎", "シケン サブロウ", "saburo@mail.example", "", "組込みエンジニア",
     "社員紹介", "2026/05/12", "", "辞退", "2026/05/30", ""),
)  # fmt: skip
HEAD = ",".join(COLUMNS) + "\r\n"
LINES = "".join(",".join(one) + "\r\n" for one in PEOPLE)
FILE = (HEAD + LINES).encode("cp932")


@pytest.fixture(scope="module")
async def site(server: URL, template: str, worker_id: str) -> AsyncIterator[Site]:
    url = await own_database(server, template, f"relay_imports_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    world = await make_world(runtime)
    cookie = await enter(runtime, "hr", company_id=world.company.id, roles=["recruiter"])
    web = uvicorn.Server(
        uvicorn.Config(create_app(runtime), port=0, log_level="error", lifespan="off", ws="none")
    )
    running = asyncio.create_task(web.serve())
    while not web.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.02)
    port = web.servers[0].sockets[0].getsockname()[1]
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        shots = Path(os.environ["RELAY_SHOTS"]) if "RELAY_SHOTS" in os.environ else None
        seeded: Any = {"cookie": cookie, "company": world.company.id}
        yield Site(f"http://127.0.0.1:{port}", browser, runtime, world, seeded, {}, shots)
        await browser.close()
    web.should_exit = True
    await running
    await runtime.database.close()


async def upload(site: Site, page: Any, content: bytes = FILE) -> str:
    """Choose a file and send it; the address it leads to."""
    await page.goto(f"{site.url}/dashboard/imports")
    file = {"name": "応募者一覧.csv", "mimeType": "text/csv", "buffer": content}
    await page.set_input_files("#file", files=[file])
    await page.click("main button[type=submit]")
    await page.wait_for_selector("#check")
    return str(page.url)


@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_from_the_file_to_the_result(site: Site, size: str, locale: str) -> None:
    page = await site.visit(size, locale, site.seeded["cookie"])
    await site.open(page, "/dashboard/imports", f"imports-{size}-{locale}")
    await page.click("main button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    await site.hold(page, f"imports_refused-{size}-{locale}")
    address = await upload(site, page)
    await site.hold(page, f"import_preview-{size}-{locale}")
    await page.goto(address)  # axe leaves traces that the CSP complains of when htmx copies them
    await page.click("#start button")
    await page.wait_for_selector("[role=alert]")
    await site.hold(page, f"import_start_refused-{size}-{locale}")

    await page.goto(address)
    await page.check("input[name='answer.leading_zero'][value=restore]")
    await page.check("input[name='answer.id_width'][value='5']")
    await page.select_option("select[name='outcome.0']", "active")
    await page.click("#check button")
    await page.wait_for_selector(".question-open", state="detached")
    await site.hold(page, f"import_checked-{size}-{locale}")
    await page.goto(address)
    await page.check("#skip-bad")
    await page.click("#start button")
    await page.wait_for_selector("#progress")
    await site.hold(page, f"import_running-{size}-{locale}")
    await page.goto(address)
    await work(site.runtime)
    await page.wait_for_selector("#progress a[href='/dashboard/applications']")
    await site.hold(page, f"import_done-{size}-{locale}")
    await site.open(page, "/dashboard/imports", f"imports_list-{size}-{locale}")

    known = await rows(site.runtime, site.seeded["company"], Application)
    assert {one.external_id: one.outcome for one in known} == {
        "00123": "rejected", "00124": "rejected", "00125": "active", "00127": "withdrawn",
    }  # fmt: skip
    assert {one.external_id: one.holds for one in known}["00124"] == ["history"]


async def test_the_same_without_a_script(site: Site) -> None:
    """Every step is a form or a link; a second upload of the file says so, and can be deleted."""
    context = await site.browser.new_context(java_script_enabled=False, locale="ja-JP")
    cookies = {"relay_lang": "ja", "relay_session": site.seeded["cookie"]}
    await context.add_cookies([
        {"name": name, "value": value, "url": site.url} for name, value in cookies.items()
    ])  # fmt: skip
    page = await context.new_page()
    before = await rows(site.runtime, site.seeded["company"], Import)
    await upload(site, page, FILE + b"00128,a,,b@mail.example,,,,,,,,\r\n")
    await page.select_option("select[name='column.12']", "reason")
    await page.click("#check button")
    assert await page.input_value("select[name='column.12']") == "reason"
    await page.click("form[action$=discard] button")

    assert "ファイルを削除しました" in await page.inner_text("main")
    assert len(await rows(site.runtime, site.seeded["company"], Import)) == len(before)
    await context.close()


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_a_file_imported_before_says_so(site: Site, size: str, locale: str) -> None:
    page = await site.visit(size, locale, site.seeded["cookie"])
    content = HEAD.encode() + f"B-{size},例,,{size}@mail.example,,,,,,,,\r\n".encode()
    first = await upload(site, page, content)
    await page.click("#start button")
    await page.wait_for_selector("#progress")
    await work(site.runtime)

    await upload(site, page, content)
    await site.hold(page, f"import_again-{size}-{locale}")

    earlier = page.locator(".notice-warning a")
    assert await earlier.get_attribute("href") == first.removeprefix(site.url)
    assert await page.locator(".figures-will dd").nth(6).inner_text() == "1"
