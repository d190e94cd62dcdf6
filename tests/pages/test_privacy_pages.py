"""The privacy officer's pages in a real browser: nothing overflows, axe finds nothing."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.async_api import async_playwright
from sqlalchemy import URL

from api.app import create_app
from api.clock import Clock
from api.runtime import Runtime
from domain.flows.check_provisions import check_provisions
from domain.flows.open_incident import Report, open_incident
from domain.flows.override_source import Allowance, override_source
from domain.flows.provide_package import provide_package
from domain.ids import new_id
from domain.privacy import PrivacyCheck
from domain.relay import Relay
from tests.conftest import START, own_database, settings_for
from tests.factories import make_world, work
from tests.pages.seed import enter
from tests.pages.test_pages import ARGS, CHROMIUM, VIEWS, Site
from tests.relays import forwarded

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        shutil.which(CHROMIUM) is None, reason=f"no Chromium at {CHROMIUM}: set CHROMIUM"
    ),
]


@dataclass
class Room:
    """The site, and what its pages show."""

    site: Site
    cookie: str
    relay: Relay
    incident: str
    late: str


@pytest.fixture(scope="module")
async def room(server: URL, template: str, worker_id: str) -> AsyncIterator[Room]:
    url = await own_database(server, template, f"relay_privacy_pages_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    world = await make_world(runtime)
    relay = await forwarded(runtime, world)
    now, company_id = runtime.clock(), world.company.id
    async with runtime.database.transaction() as db:
        await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel="api", client_id="ocl_x", now=now
        )
    async with runtime.database.transaction(company_id=company_id) as db:
        said = Report(now, ("wrongful_purpose",), persons=1200, items={"outline": "名簿の誤送信"})
        facts: Any = {"actor": "operator:x", "now": now}
        incident = await open_incident(db, runtime.tools, company_id, said, **facts)
        old = Report(now - timedelta(days=50), ("special_care",))
        late = await open_incident(db, runtime.tools, company_id, old, **facts)
        await override_source(
            db, company_id, Allowance("agency", "第8条第2項", "2026-014", now.date()), **facts
        )
        await check_provisions(db, company_id, now)
        db.add(PrivacyCheck(
            company_id=company_id, id=new_id("pck"), started_at=now,
            finished_at=now + timedelta(minutes=1), provisions=9, uncovered=1,
            findings=[new_id("prv")],
        ))  # fmt: skip
    await work(runtime)
    cookie = await enter(runtime, "officer", company_id=company_id, roles=["privacy_officer"])
    app = create_app(runtime)
    server_ = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none")
    )
    running = asyncio.create_task(server_.serve())
    while not server_.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.02)
    port = server_.servers[0].sockets[0].getsockname()[1]
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        shots = Path(os.environ["RELAY_SHOTS"]) if "RELAY_SHOTS" in os.environ else None
        nothing: Any = None
        site = Site(f"http://127.0.0.1:{port}", browser, runtime, world, nothing, {}, shots)
        yield Room(site, cookie, relay, incident.id, late.id)
        await browser.close()
    server_.should_exit = True
    await running
    await runtime.database.close()


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_the_pages_of_the_privacy_officer(room: Room, size: str, locale: str) -> None:
    page = await room.site.visit(size, locale, room.cookie)
    home, person = "/dashboard/privacy", room.relay.candidate_id
    for name, path in (
        ("room", home), ("register", f"{home}/register"), ("incidents", f"{home}/incidents"),
        ("incident_new", f"{home}/incidents/new"),
        ("incident", f"{home}/incidents/{room.incident}"),
        ("incident_late", f"{home}/incidents/{room.late}"), ("sources", f"{home}/sources"),
        ("person", f"{home}/people/{person}"),
        ("paper", f"{home}/people/{person}/paper/{room.relay.application_id}"),
        ("settings", "/dashboard/settings/privacy"), ("overview", "/dashboard"),
    ):  # fmt: skip
        await room.site.open(page, path, f"privacy_{name}-{size}-{locale}")
    await page.context.close()


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_forms_of_the_privacy_officer_that_are_refused(
    room: Room, size: str, locale: str
) -> None:
    page = await room.site.visit(size, locale, room.cookie)
    home, person = "/dashboard/privacy", room.relay.candidate_id
    for name, path, button in (
        ("incident", f"{home}/incidents/{room.incident}", "[action$=final] button"),
        ("source", f"{home}/sources", "[action$=sources] button"),
        ("guardian", f"{home}/people/{person}", "[action$=guardian] button"),
        ("paper", f"{home}/people/{person}/paper/{room.relay.application_id}",
         "[action*='/paper/'] button"),
    ):  # fmt: skip
        await page.goto(room.site.url + path)
        await page.click(button)
        await page.wait_for_selector(".error-summary")
        await room.site.hold(page, f"privacy_refused_{name}-{size}-{locale}")
    await page.context.close()


async def test_the_register_is_taken_as_a_file_where_a_script_runs(room: Room) -> None:
    page = await room.site.visit("desk", "ja", room.cookie)
    await page.goto(f"{room.site.url}/dashboard/privacy/register")

    async with page.expect_download() as waiting:
        await page.click("[action$=export] button")
    handed = await waiting.value

    assert handed.suggested_filename.startswith("provision-register-")
    assert page.url.endswith("/dashboard/privacy/register")
    await page.context.close()
