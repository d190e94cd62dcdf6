"""The privacy officer's pages in a real browser: nothing overflows, axe finds nothing."""

import asyncio
import json
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
from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.feedback_request import FeedbackRequest
from domain.flows.office.change_privacy_settings import Settings, change_privacy_settings
from domain.flows.office.check_provisions import check_provisions
from domain.flows.office.open_file import open_file
from domain.flows.office.open_incident import Report, open_incident
from domain.flows.office.override_source import Allowance, override_source
from domain.flows.person.hold import hold
from domain.flows.person.keep_file import keep_file
from domain.flows.person.open_rights_request import open_request
from domain.flows.relay.provide_package import provide_package
from domain.ids import new_id
from domain.join_request import JoinRequest
from domain.privacy import PrivacyCheck
from domain.relay import Relay
from tests.applications import an_application
from tests.conftest import START, own_database, settings_for
from tests.documents import pdf
from tests.factories import World, make_world, work
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
    requests: dict[str, str]
    """Kind → number of a request that is open; `received`: of nobody recognised yet."""
    hr: str
    """The session of somebody with every role."""


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
            consent_events=12, broken=1, findings=[new_id("prv"), f"{relay.candidate_id}, 3"],
        ))  # fmt: skip
    requests = await _requests(runtime, world, relay)
    await _waits(runtime, world, relay)
    await _traces(runtime, relay)
    await work(runtime)
    hr = await enter(runtime, "hr", company_id=company_id, roles=["admin"])
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
        yield Room(site, cookie, relay, incident.id, late.id, requests, hr)
        await browser.close()
    server_.should_exit = True
    await running
    await runtime.database.close()


async def _requests(runtime: Runtime, world: World, relay: Relay) -> dict[str, str]:
    """One open request of each kind the page shows in its own way, and a hold."""
    made, now = {}, runtime.clock()
    second = await an_application(
        runtime, world, external_id="F-1", profile={"display_name": "試験 次郎"}
    )
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        person = await db.get_one(Candidate, (relay.company_id, relay.candidate_id))
        for kind, identity, days in (
            ("disclosure", "document", 20), ("correction", "in_person", 11),
            ("purpose_notice", "document", 1), ("stop_use", None, 0),
        ):  # fmt: skip
            row = await open_request(
                db, runtime.tools, person, kind, words="電話番号が違います", channel="phone",
                identity_check=identity, submission_id=None, now=now - timedelta(days=days),
            )  # fmt: skip
            made[kind if identity else "received"] = row.id
        await hold(db, runtime.tools, person, reason="監督官庁の調査", actor="mem_1", now=now)
        other = await db.get_one(Candidate, (relay.company_id, second.candidate_id))
        row = await open_request(
            db, runtime.tools, other, "erase", words="", channel="paper",
            identity_check="document", submission_id=None, now=now,
        )  # fmt: skip
        made["erase"] = row.id
    return made


async def _traces(runtime: Runtime, relay: Relay) -> None:
    """A document somebody opened, and settings somebody changed."""
    now, company_id = runtime.clock(), relay.company_id
    wish = Settings(
        "人事部長", "hogo@mirai.example", "なし", "None", 12, {"consent_days": 45}, True
    )
    async with runtime.database.transaction(company_id=company_id) as db:
        person = await db.get_one(Candidate, (company_id, relay.candidate_id))
        file = await keep_file(
            db, runtime.tools, person, "resume_file", pdf(), name="履歴書_試験花子.pdf", now=now
        )
        await open_file(
            db, runtime.tools, company_id, person.id, file.id,
            reason="rights_request", actor="mbr_x", now=now,
        )  # fmt: skip
        await change_privacy_settings(db, company_id, wish, actor="mbr_x", now=now)


async def _waits(runtime: Runtime, world: World, relay: Relay) -> None:
    """Somebody from the public link, and two who ask for feedback, one stopped by the guard."""
    now, company_id = runtime.clock(), world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        company = await db.get_one(Company, company_id)
        company.feedback_requests = True
        joined = JoinRequest(
            company_id=company_id, id=new_id("jrq"), token_hash=b"t", email_hmac=b"e", locale="ja",
            state="held", proven_at=now, expires_at=now, look_at=now + timedelta(days=30),
            created_at=now,
        )  # fmt: skip
        facts = {"email": "a.rather.long.address@somewhere.example", "name": "試験 三郎", "job": ""}
        joined.sealed = runtime.tools.sealer.seal(
            json.dumps(facts).encode(), about=f"join:{joined.id}"
        )
        db.add_all([company, joined])
        person = await db.get_one(Candidate, (company_id, relay.candidate_id))
        for state in ("asked", "to_approve"):
            application = await db.get_one(Application, (company_id, relay.application_id))
            if state == "to_approve":
                application = Application(
                    company_id=company_id, id=new_id("app"), candidate_id=person.id,
                    external_id="F-2", job_title="経理", outcome="rejected", outcome_at=now,
                    created_at=now,
                )  # fmt: skip
                db.add(application)
                await db.flush()
            asked = FeedbackRequest(
                company_id=company_id, id=new_id("fbr"), application_id=application.id,
                candidate_id=person.id, state=state, asked_at=now,
            )  # fmt: skip
            if state == "to_approve":
                asked.drafted_by = "mem_other"
                asked.draft = await vault.seal(
                    db, runtime.tools.sealer, person, "profile", "宗教法人での経理のご経験です。",
                    about=f"feedback_request:{asked.id}:draft",
                )  # fmt: skip
            db.add(asked)
        await db.flush()


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
        ("paper_en", f"{home}/people/{person}/paper/{room.relay.application_id}?wording=en"),
        ("settings", "/dashboard/settings/privacy"), ("overview", "/dashboard"),
        ("requests", f"{home}/requests"), ("requests_done", f"{home}/requests?which=done"),
        ("request_new", f"{home}/requests/new"), ("holds", f"{home}/holds"),
        *((f"request_{kind}", f"{home}/requests/{one}") for kind, one in room.requests.items()),
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
        ("find", home, "[action$=people] button"),
        ("request", f"{home}/requests/new", "[action$=requests] button"),
        ("answer", f"{home}/requests/{room.requests['disclosure']}", "[action$=answer] button"),
        ("hold", f"{home}/holds", "[action$=holds] button"),
        ("release", f"{home}/holds", "[action$=release] button"),
        ("source", f"{home}/sources", "[action$=sources] button"),
        ("guardian", f"{home}/people/{person}", "[action$=guardian] button"),
        ("paper", f"{home}/people/{person}/paper/{room.relay.application_id}",
         "[action*='/paper/'] button"),
        ("file", f"{home}/people/{person}", "[action*='/files/'] button"),
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


async def test_a_document_is_taken_as_a_file_where_a_script_runs(room: Room) -> None:
    page = await room.site.visit("phone", "ja", room.cookie)
    await page.goto(f"{room.site.url}/dashboard/privacy/people/{room.relay.candidate_id}")
    await page.select_option("[action*='/files/'] select", "person_asked")

    async with page.expect_download() as waiting:
        await page.click("[action*='/files/'] button")
    handed = await waiting.value

    assert handed.suggested_filename == "履歴書_試験花子.pdf"
    await page.context.close()


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_grave_acts_ask_once_more(room: Room, size: str, locale: str) -> None:
    page = await room.site.visit(size, locale, room.cookie)
    requests = f"{room.site.url}/dashboard/privacy/requests"
    await page.goto(f"{requests}/{room.requests['erase']}")
    await page.select_option("#answer-result", "granted")
    await page.click("[action$=answer] button")
    await page.wait_for_selector("#answer-sure-error")
    await room.site.hold(page, f"privacy_unsure_erase-{size}-{locale}")
    await page.goto(f"{requests}/{room.requests['correction']}")
    await page.fill("#correct-phone", "123")
    await page.click("[action$=correct] button")
    await page.wait_for_selector("#correct-phone-error")
    await room.site.hold(page, f"privacy_refused_correct-{size}-{locale}")
    await page.goto(f"{room.site.url}/dashboard/settings/privacy")
    await page.fill("#settings-retention_months", "2")
    await page.click("main form .button")
    await page.wait_for_selector("#settings-sure")
    await room.site.hold(page, f"privacy_unsure_shorter-{size}-{locale}")
    await page.context.close()


@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_the_pages_of_those_who_answer(room: Room, size: str, locale: str) -> None:
    page = await room.site.visit(size, locale, room.hr)
    for name, path in (
        ("overview", "/dashboard"), ("joins", "/dashboard/joins"),
        ("poster", "/dashboard/join-link"), ("feedback", "/dashboard/feedback-requests"),
        ("application", f"/dashboard/applications/{room.relay.application_id}"),
    ):  # fmt: skip
        await room.site.open(page, path, f"privacy_hr_{name}-{size}-{locale}")
    await page.goto(f"{room.site.url}/dashboard/joins")
    application = await page.evaluate(
        "document.querySelector('[action$=match] input[type=text]').id"
    )
    await page.click("[action$=match] button")
    await page.wait_for_selector(".error-summary")
    await room.site.hold(page, f"privacy_refused_match-{size}-{locale}")
    # Axe leaves marks on a page that the next swap would carry over: a fresh one.
    await page.goto(f"{room.site.url}/dashboard/joins")
    await page.fill(f"#{application}", "F-2")
    await page.click("[action$=match] button")
    await page.wait_for_selector(".notice-warning")
    await room.site.hold(page, f"privacy_found_match-{size}-{locale}")
    await page.goto(f"{room.site.url}/dashboard/feedback-requests")
    await page.fill(
        "textarea", "ご家族の支えが伝わりました。次の機会にもぜひお話を聞かせてください。"
    )
    await page.click("[action$=answer] button")
    await page.wait_for_selector(".error-summary")
    await room.site.hold(page, f"privacy_refused_feedback-{size}-{locale}")
    await page.context.close()


async def test_the_head_finds_the_requests_and_nothing_that_is_not_theirs(room: Room) -> None:
    cookie = await enter(
        room.site.runtime, "head", company_id=room.site.world.company.id, roles=["head"]
    )
    page = await room.site.visit("phone", "ja", cookie)
    await page.goto(f"{room.site.url}/dashboard")
    await page.click("nav a[href='/dashboard/privacy/requests']")
    await page.wait_for_selector(".tabs")
    tabs = page.locator(".tabs").first.locator("a")
    await room.site.hold(page, "privacy_head-phone-ja")

    assert await tabs.all_inner_texts() == ["本人からの請求"]
    await page.context.close()
