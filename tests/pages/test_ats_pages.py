"""The room for applicant tracking systems: connect, see it work, map words, look inside."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from playwright.async_api import Page, async_playwright
from sqlalchemy import URL

from api.app import create_app
from api.clock import Clock
from api.pages import catalogues
from api.runtime import Runtime
from domain.application import HOLDS, Application
from domain.ats_secrets import open_secrets
from domain.delivery import AtsConnection, Delivery
from domain.flows.hear.change_connection import begin_asking
from domain.flows.office import open_account
from domain.vendor import AtsPoll, VendorWord
from integrations.ats import ADAPTERS, APIS
from integrations.ats.setup import SETUPS
from tests.applications import one, rows
from tests.conftest import START, own_database, settings_for
from tests.deliveries import Ats, greenhouse_headers, person, rejection, sample
from tests.factories import World, make_world, work
from tests.pages.seed import Seeded, enter
from tests.pages.test_forms import Desk
from tests.pages.test_pages import ARGS, CHROMIUM, MIXES, VIEWS, Site
from tests.vendors import Said, VendorStub, vendor_stub

pytestmark = pytest.mark.anyio
in_a_browser = pytest.mark.skipif(
    shutil.which(CHROMIUM) is None, reason=f"no Chromium at {CHROMIUM}: set CHROMIUM"
)


@dataclass
class Room:
    """A company with connections of every state, and who may look at them."""

    runtime: Runtime
    world: World
    ats: Ats
    client: httpx2.AsyncClient
    cookie: str
    reader: str
    made: dict[str, AtsConnection]
    stub: VendorStub

    @property
    def company(self) -> str:
        return self.world.company.id

    @property
    def desk(self) -> Desk:
        return Desk(self.client, self.cookie)

    def page(self, name: str) -> str:
        return f"/dashboard/ats/connections/{self.made[name].id}"

    async def connection(self, name: str) -> AtsConnection:
        found: AtsConnection = await one(
            self.runtime, self.company, AtsConnection, id=self.made[name].id
        )
        return found

    async def secrets(self, number: str) -> dict[str, Any]:
        found = await one(self.runtime, self.company, AtsConnection, id=number)
        return open_secrets(self.runtime.tools.sealer, found)


@pytest.fixture(scope="module")
async def room(server: URL, template: str, worker_id: str) -> AsyncIterator[Room]:
    """One room for all tests of this file: each changes what is its own."""
    url = await own_database(server, template, f"relay_room_{worker_id}")
    runtime = Runtime.build(settings_for(url, mode="demo"), Clock(START - Clock()()))
    transport = httpx2.ASGITransport(create_app(runtime), raise_app_exceptions=False)
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as client,
        vendor_stub() as stub,
    ):
        world = await make_world(runtime)
        ats = Ats(client, runtime, world)
        made = {**world.connections, **await _more_connections(runtime, world, stub)}
        cookie = await enter(
            runtime, "hr", company_id=world.company.id, roles=["recruiter", "head"]
        )
        reader = await enter(
            runtime, "privacy", company_id=world.company.id, roles=["privacy_officer"]
        )
        await _deliver(ats)
        yield Room(runtime, world, ats, client, cookie, reader, made, stub)
    await runtime.database.close()


async def _more_connections(
    runtime: Runtime, world: World, stub: VendorStub
) -> dict[str, AtsConnection]:
    """Systems that wait, that were refused, and two that are asked: one answers, one does not."""
    stub.lay("GET", "/api/v1/candidates", [])
    stub.lay("GET", "/hire/v1/candidacies", Said({}, 401))
    asked = {"api_key": "key-for-tests", "api_base": stub.base}
    wanted: dict[str, dict[str, Any]] = {
        "lever": {"name": "営業職(Lever)"}, "recruitee": {"name": "欧州拠点"},
        "teamtailor": {"name": "新規事業・海外アライアンス推進部の中途採用(テスト用の長い名前)"},
        "talentio": {"name": "本社(Talentio)", "settings": asked},
        "herp-hire": {"name": "エンジニア採用", "settings": asked},
        "bullhorn": {"name": "Bullhorn"},
    }  # fmt: skip
    found = {}
    async with runtime.database.transaction(company_id=world.company.id) as db:
        for provider, values in wanted.items():
            found[provider] = await open_account.connect_ats(
                db, runtime.tools.sealer, world.company.id,
                provider=provider, secrets=[], now=runtime.clock(), **values,
            )  # fmt: skip
            await begin_asking(db, runtime.tools, found[provider], runtime.clock())
    await work(runtime)
    return found


async def _deliver(ats: Ats) -> None:
    """An end nobody can classify, one that counts, something unreadable, something unimportant."""
    await ats.greenhouse(sample("reject_candidate_no_reason_type"))
    await ats.told("application.rejected", {**person(), **rejection(ats.runtime.clock())})
    await ats.tell_raw(b"{", "msg_broken")
    await ats.tell("webhook.ping", {})
    await work(ats.runtime)


# ---- every system ----------------------------------------------------------------------------


def test_every_system_we_speak_to_has_a_setup_and_words_for_it() -> None:
    said, steps = catalogues()["ja"]["ats"], catalogues()["ja"]["ats_steps"]
    wanted: set[str] = set()
    for provider, setup in SETUPS.items():
        wanted |= {f"{provider}_w{n + 1}" for n in range(len(setup.webhook))}
        wanted |= {f"{provider}_a{n + 1}" for n in range(setup.api)}
        wanted |= {f"{provider}_e{n + 1}" for n in range(len(setup.events))}
        assert {f"system_{provider}", f"what_{provider}"} <= set(said)

    assert {*ADAPTERS, *APIS} <= set(SETUPS)
    assert {one for one in ADAPTERS if SETUPS[one].maker == "none"} == set()
    assert {one for one in APIS if not SETUPS[one].api} == set()
    assert set(steps) == wanted


def test_every_hold_has_words() -> None:
    assert {f"hold_{hold}" for hold in HOLDS} <= set(catalogues()["ja"]["dashboard"])


@pytest.mark.parametrize("provider", sorted({*ADAPTERS, *APIS}))
async def test_every_system_can_be_connected_by_hand(room: Room, provider: str) -> None:
    desk, setup = room.desk, SETUPS[provider]
    asked = await desk.get(f"/dashboard/ats/new/{provider}")
    answer = await desk.post(f"/dashboard/ats/new/{provider}", name=f"{provider} を試す")
    made = await one(room.runtime, room.company, AtsConnection, name=f"{provider} を試す")
    shown = await desk.get(f"/dashboard/ats/connections/{made.id}")
    kept = await room.secrets(made.id)

    assert asked.status_code == 200
    assert answer.status_code == (200 if setup.maker == "ours" else 303)
    assert len(kept["secrets"]) == (1 if setup.maker == "ours" else 0)
    assert shown.status_code == 200
    assert (f"/v1/ats/{provider}/{made.id}" in shown.text) is (provider in ADAPTERS)
    for secret in kept["secrets"]:
        assert secret in answer.text
        assert secret not in shown.text


async def test_a_system_we_do_not_speak_to_is_not_there(room: Room) -> None:
    assert (await room.desk.get("/dashboard/ats/new/excel")).status_code == 404
    assert (await room.desk.post("/dashboard/ats/new/excel", name="x")).status_code == 404


# ---- connect ---------------------------------------------------------------------------------


async def test_a_connection_that_could_not_work_is_refused_and_keeps_what_was_entered(
    room: Room,
) -> None:
    before = await rows(room.runtime, room.company, AtsConnection)
    path = "/dashboard/ats/new/"
    nameless = await room.desk.post(path + "greenhouse", name="")
    weak = await room.desk.post(path + "standard-webhooks", name="本社", secret="abc")
    half = await room.desk.post(path + "greenhouse", name="本社", key_0="only-the-id")
    unset = await room.desk.post(
        path + "recruitee", name="本社", key_0="token-0123456789", secret=""
    )
    elsewhere = await room.desk.post(
        path + "workable", name="本社", key_0="token", api_base="evil.example/x?y="
    )

    answers = (nameless, weak, half, unset, elsewhere)
    assert [one.status_code for one in answers] == [422] * 5
    assert "接続の名前を200文字以内で入力してください。" in nameless.text
    assert 'value="本社"' in weak.text
    assert 'value="abc"' not in weak.text
    assert "only-the-id" not in half.text
    assert 'id="setting-company_id-error"' in unset.text
    assert 'id="setting-api_base-error"' in elsewhere.text
    assert await rows(room.runtime, room.company, AtsConnection) == before


async def test_the_parts_of_a_credential_and_its_settings_become_what_the_adapter_reads(
    room: Room,
) -> None:
    await room.desk.post(
        "/dashboard/ats/new/workable", name="Workable", key_0="tok-1", api_base="mirai"
    )
    await room.desk.post(
        "/dashboard/ats/new/bullhorn", name="Bullhorn 2",
        key_0="id", key_1="se", key_2="user", key_3="pass:word",
    )  # fmt: skip
    workable = await one(room.runtime, room.company, AtsConnection, name="Workable")
    bullhorn = await one(room.runtime, room.company, AtsConnection, name="Bullhorn 2")

    assert workable.settings == {"api_base": "https://mirai.workable.com"}
    assert (await room.secrets(workable.id))["api_key"] == "tok-1"
    assert (await room.secrets(bullhorn.id))["api_key"] == "id:se:user:pass:word"


async def test_a_secret_is_replaced_without_a_gap_and_shown_once(room: Room) -> None:
    made = await room.desk.post("/dashboard/ats/new/standard-webhooks", name="取替")
    connection = await one(room.runtime, room.company, AtsConnection, name="取替")
    path = f"/dashboard/ats/connections/{connection.id}"
    first = shown(made)
    rotated = shown(await room.desk.post(f"{path}/secret", secret="", event=""))

    assert (await room.secrets(connection.id))["secrets"] == [rotated, first]
    assert first not in (await room.desk.get(path)).text

    done = await room.desk.post(f"{path}/secret/finish")

    assert done.status_code == 303
    assert (await room.secrets(connection.id))["secrets"] == [rotated]


async def test_lever_has_a_secret_for_each_event_and_keeps_the_old_one_for_a_while(
    room: Room,
) -> None:
    path, event = room.page("lever"), "candidateHired"
    old, new = "token-of-lever-0001", "token-of-lever-0002"
    empty = await room.desk.post(f"{path}/secret", secret="", event=event)
    strange = await room.desk.post(f"{path}/secret", secret=old, event="nothing")
    await room.desk.post(f"{path}/secret", secret=old, event=event)
    await room.desk.post(f"{path}/secret", secret=new, event=event)
    during = await room.secrets(room.made["lever"].id)
    await room.desk.post(f"{path}/secret/finish")
    after = await room.secrets(room.made["lever"].id)

    assert (empty.status_code, strange.status_code) == (422, 422)
    assert (during["by_event"], during["secrets"]) == ({event: new}, [old])
    assert (after["by_event"], after["secrets"]) == ({event: new}, [])


async def test_a_connection_of_others_is_not_there(room: Room) -> None:
    other = await make_world(room.runtime, slug="other")
    theirs = other.connections["greenhouse"]
    path = f"/dashboard/ats/connections/{theirs.id}"
    told = Ats(room.client, room.runtime, other)
    await told.greenhouse(sample("ping"))
    await work(room.runtime)
    delivery = await one(room.runtime, other.company.id, Delivery)
    seen = [
        await room.desk.get(path), await room.desk.get(f"{path}/live"),
        await room.desk.get(f"/dashboard/ats/deliveries/{delivery.id}"),
        *[await room.desk.post(f"{path}/{what}", name="x", key_0="k", key_1="k", word="1",
                               meaning="company", secret="0123456789abcdef", enabled="")
          for what in ("name", "switch", "key", "poll", "settings", "words/reason", "sources",
                       "secret", "secret/finish", "replay")],
        await room.desk.post(f"/dashboard/ats/deliveries/{delivery.id}/replay"),
    ]  # fmt: skip
    after = await one(room.runtime, other.company.id, AtsConnection, id=theirs.id)

    assert [one.status_code for one in seen] == [404] * len(seen)
    assert after == theirs


async def test_who_may_only_read_sees_no_form_and_can_send_none(room: Room) -> None:
    desk = Desk(room.client, room.reader)
    path = room.page("greenhouse")
    page = await desk.get(path)
    refused = [await desk.post(f"{path}/{what}") for what in ("name", "poll", "secret", "sources")]

    assert page.status_code == 200
    assert f'action="{path}/settings"' not in page.text
    assert f'action="{path}/poll"' not in page.text
    assert {one.status_code for one in refused} == {403}


# ---- one connection --------------------------------------------------------------------------


async def test_what_has_not_changed_is_not_drawn_again(room: Room) -> None:
    path = room.page("lever")
    page = (await room.desk.get(path)).text
    found = re.search(r'hx-get="([^"]+/live\?seen=\w+)"', page)
    assert found is not None
    same = await room.desk.get(found[1])
    other = await room.desk.get(f"{path}/live?seen=other")

    assert (same.status_code, same.content) == (204, b"")
    assert 'id="live"' in other.text


async def test_a_connection_is_renamed_switched_off_and_on(room: Room) -> None:
    path = room.page("teamtailor")
    empty = await room.desk.post(f"{path}/name", name="")
    await room.desk.post(f"{path}/name", name="海外拠点")
    await room.desk.post(f"{path}/switch", enabled="off")
    off = await room.connection("teamtailor")
    shown_off = await room.desk.get(path)
    await room.desk.post(f"{path}/switch", enabled="on")

    assert empty.status_code == 422
    assert (off.name, off.enabled) == ("海外拠点", False)
    assert "停止中" in shown_off.text
    assert (await room.connection("teamtailor")).enabled is True


async def test_settings_are_taken_over_and_taken_back(room: Room) -> None:
    path = f"{room.page('teamtailor')}/settings"
    await room.desk.post(
        path, excluded_reasons="反社会的勢力\n\n 9 ", write_back="on", accept_v1="on",
        note_user_id="77",
    )  # fmt: skip
    kept = (await room.connection("teamtailor")).settings
    too_long = await room.desk.post(path, excluded_reasons="x" * 201)
    await room.desk.post(path, excluded_reasons="")

    assert kept == {
        "excluded_reasons": ["反社会的勢力", "9"], "write_back": True, "accept_v1": True,
        "note_user_id": "77",
    }  # fmt: skip
    assert too_long.status_code == 422
    assert (await room.connection("teamtailor")).settings == {}


async def test_a_credential_is_saved_asked_with_and_removed(room: Room) -> None:
    path, number = room.page("bullhorn"), room.made["bullhorn"].id
    malformed = await room.desk.post(f"{path}/key", key_0="a:b", key_1="b", key_2="c", key_3="d")
    saved = await room.desk.post(f"{path}/key", key_0="a", key_1="b", key_2="c", key_3="d")
    polls = await rows(room.runtime, room.company, AtsPoll, connection_id=number)
    page = await room.desk.get(path)
    await room.desk.post(f"{path}/key", remove="1")
    ended = await rows(room.runtime, room.company, AtsPoll, connection_id=number)

    assert malformed.status_code == 422
    assert saved.status_code == 303
    assert {one.kind for one in polls if one.due_at} == {"recent", "full"}
    assert "APIキーは保存されています。" in page.text
    assert [one.due_at for one in ended] == [None, None]
    assert (await room.secrets(number))["api_key"] is None


async def test_asking_goes_well_or_says_in_plain_words_why_not(room: Room) -> None:
    good = await room.desk.get(room.page("talentio"))
    bad = await room.desk.get(room.page("herp-hire"))
    calls = len(room.stub.calls)
    answer = await room.desk.post(f"{room.page('talentio')}/poll")
    await work(room.runtime)

    assert "確認して動作中" in good.text
    assert "APIキーが受け付けられません" in bad.text
    assert answer.status_code == 303
    assert len(room.stub.calls) > calls


async def test_what_words_mean_lets_a_held_application_go(room: Room) -> None:
    path, number = room.page("greenhouse"), room.made["greenhouse"].id
    word = await one(room.runtime, room.company, VendorWord, connection_id=number)
    before = await one(room.runtime, room.company, Application, connection_id=number)
    page = await room.desk.get(path)
    unchanged = (await room.connection("greenhouse")).settings
    undecided = await room.desk.post(f"{path}/words/reason", word=word.word_id, meaning="nonsense")
    await work(room.runtime)
    still = await one(room.runtime, room.company, Application, connection_id=number)
    saved = await room.desk.post(f"{path}/words/reason", word=word.word_id, meaning="company")
    await work(room.runtime)
    after = await one(room.runtime, room.company, Application, connection_id=number)

    assert before.holds == still.holds == ["reason_unclassified"]
    assert word.text in page.text
    assert "reason_map" not in unchanged
    assert (undecided.status_code, saved.status_code) == (303, 303)
    assert after.holds == []
    assert (await room.connection("greenhouse")).settings["reason_map"] == {word.word_id: "company"}


async def test_a_suggestion_is_shown_chosen_and_counts_only_when_saved(room: Room) -> None:
    number = room.made["recruitee"].id
    async with room.runtime.database.transaction(company_id=room.company) as db:
        db.add(VendorWord(
            company_id=room.company, connection_id=number, kind="reason", word_id="31",
            text="候補者都合による辞退", suggestion="candidate", seen_at=room.runtime.clock(),
        ))  # fmt: skip
    page = (await room.desk.get(room.page("recruitee"))).text

    assert '<option value="candidate" selected>' in page
    assert "候補・未確認" in page
    assert (await room.connection("recruitee")).settings == {}


async def test_sources_are_mapped_and_known_applications_follow(room: Room) -> None:
    path, number = room.page("greenhouse"), room.made["greenhouse"].id
    before = await one(room.runtime, room.company, Application, connection_id=number)
    page = await room.desk.get(path)
    await room.desk.post(f"{path}/sources", word="自社採用サイト", meaning="company_site")
    await work(room.runtime)
    after = await one(room.runtime, room.company, Application, connection_id=number)

    assert (before.source, after.source) == ("自社採用サイト", "company_site")
    assert "自社採用サイト" in page.text


# ---- deliveries ------------------------------------------------------------------------------


async def test_a_delivery_tells_what_it_said_and_what_it_did(room: Room) -> None:
    listed = (await room.desk.get("/dashboard/ats/deliveries?show=processed")).text
    numbers = re.findall(r"/dashboard/ats/deliveries/(dlv_\w+)", listed)
    pages = [(await room.desk.get(f"/dashboard/ats/deliveries/{one}")).text for one in numbers]
    told = next(one for one in pages if "法人営業" in one)

    assert "会社(見送り)" in told
    assert "試験 花子" in told
    assert "選考の結果：選考中 → <strong>見送り</strong>" in told
    assert "/dashboard/applications/app_" in told
    assert "&#34;type&#34;: &#34;application.rejected&#34;" in told


async def test_what_failed_is_listed_alone_and_says_what_to_do(room: Room) -> None:
    listed = (await room.desk.get("/dashboard/ats/deliveries?show=failed")).text
    (number,) = set(re.findall(r"/dashboard/ats/deliveries/(dlv_\w+)", listed))
    page = await room.desk.get(f"/dashboard/ats/deliveries/{number}")
    again = await room.desk.post(f"/dashboard/ats/deliveries/{number}/replay")
    waiting = await one(room.runtime, room.company, Delivery, id=number)
    await work(room.runtime)
    many = await room.desk.post(f"{room.page('standard-webhooks')}/replay")
    await work(room.runtime)

    assert "内容の形式が正しくありません" in page.text
    assert "not_json" in page.text
    assert (again.status_code, many.status_code) == (303, 303)
    assert waiting.status == "received"
    assert (await one(room.runtime, room.company, Delivery, id=number)).status == "failed"


async def test_deliveries_of_another_connection_or_page(room: Room) -> None:
    of = room.made["standard-webhooks"].id
    every = (await room.desk.get(f"/dashboard/ats/deliveries?connection={of}")).text
    numbers = re.findall(r"/dashboard/ats/deliveries/(dlv_\w+)", every)
    older = (await room.desk.get(f"/dashboard/ats/deliveries?before={numbers[0]}")).text

    assert "reject_candidate" not in every
    assert f"deliveries/{numbers[0]}" not in older
    assert f"deliveries/{numbers[1]}" in older


def shown(answer: Any) -> str:
    """The secret on a page."""
    found = re.search(r'id="made-secret" readonly value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]


# ---- in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def site(room: Room) -> AsyncIterator[Site]:
    """The room behind a real server, and a browser to look at it."""
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(room.runtime), port=0, log_level="error", lifespan="off", ws="none"
        )
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    seeded = Seeded(None, None, None, room.cookie, "", None)  # type: ignore[arg-type]  # unseen here
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        shots = Path(os.environ["RELAY_SHOTS"]) if "RELAY_SHOTS" in os.environ else None
        url = f"http://127.0.0.1:{port}"
        yield Site(url, browser, room.runtime, room.world, seeded, {}, shots)
        await browser.close()
    server.should_exit = True
    await running


@in_a_browser
@pytest.mark.parametrize(("size", "locale"), MIXES)
async def test_the_pages_of_the_room(site: Site, room: Room, size: str, locale: str) -> None:
    hr = await site.visit(size, locale, room.cookie)
    await site.open(hr, "/dashboard/ats", f"ats-{size}-{locale}")
    for provider in ("greenhouse", "recruitee", "talentio", "lever", "workable"):
        path = f"/dashboard/ats/new/{provider}"
        await site.open(hr, path, f"ats_new_{provider}-{size}-{locale}")
    for name, connection in room.made.items():
        path = f"/dashboard/ats/connections/{connection.id}"
        await site.open(hr, path, f"ats_connection_{name}-{size}-{locale}")
    for show in ("all", "failed"):
        path = f"/dashboard/ats/deliveries?show={show}"
        await site.open(hr, path, f"ats_deliveries_{show}-{size}-{locale}")
    for delivery in await rows(room.runtime, room.company, Delivery):
        path = f"/dashboard/ats/deliveries/{delivery.id}"
        name = f"ats_delivery_{delivery.status}_{delivery.provider}-{size}-{locale}"
        await site.open(hr, path, name)


@in_a_browser
@pytest.mark.parametrize(("size", "locale"), VIEWS)
async def test_forms_that_are_refused_and_a_secret_shown_once(
    site: Site, room: Room, size: str, locale: str
) -> None:
    hr = await site.visit(size, locale, room.cookie)
    site.faults.clear()
    await hr.goto(f"{site.url}/dashboard/ats/new/recruitee")
    await hr.fill("#new-name", "")
    await hr.fill("#new-secret", "short")
    await hr.click("[action='/dashboard/ats/new/recruitee'] button[type=submit]")
    await hr.wait_for_selector("[role=alert]")
    await site.hold(hr, f"ats_new_refused-{size}-{locale}")
    await hr.goto(f"{site.url}{room.page('bullhorn')}")
    await hr.click("[action$='/key'] button[type=submit]")
    await hr.wait_for_selector("[role=alert]")
    await site.hold(hr, f"ats_key_refused-{size}-{locale}")
    await hr.goto(f"{site.url}{room.page('lever')}")
    await hr.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    await site.hold(hr, f"ats_all_open-{size}-{locale}")
    # axe leaves inline styles behind, which htmx would carry over and the CSP complain about.
    await hr.reload()
    await hr.click("[action$='/secret'] button[type=submit]")
    await hr.wait_for_selector("[role=alert]")
    await site.hold(hr, f"ats_secret_refused-{size}-{locale}")
    await hr.goto(f"{site.url}/dashboard/ats/new/greenhouse")
    await hr.click("[action='/dashboard/ats/new/greenhouse'] button[type=submit]")
    await hr.wait_for_selector("#made-secret")
    await site.hold(hr, f"ats_made-{size}-{locale}")
    secret = await hr.input_value("#made-secret")

    assert secret.startswith("whsec_")
    await hr.reload()
    assert await hr.locator("#live").count() == 1
    assert secret not in await hr.content()


@in_a_browser
async def test_the_state_changes_before_somebodys_eyes(site: Site, room: Room) -> None:
    hr = await site.visit("desk", "ja", room.cookie)
    site.faults.clear()
    await hr.goto(f"{site.url}/dashboard/ats/new/greenhouse")
    await hr.fill("#new-name", "目の前で")
    await hr.click("[action='/dashboard/ats/new/greenhouse'] button[type=submit]")
    secret = await hr.input_value("#made-secret")
    made = await one(room.runtime, room.company, AtsConnection, name="目の前で")
    seen = [await _says(hr)]
    body, path = b'{"action":"ping"}', f"/v1/ats/greenhouse/{made.id}"
    await room.client.post(path, content=body, headers=greenhouse_headers(body, "not the secret"))
    await _until(hr, "署名が合わない")
    seen.append(await _says(hr))
    await room.client.post(path, content=body, headers=greenhouse_headers(body, secret))
    await _until(hr, "設定は完了です")
    seen.append(await _says(hr))

    assert [one.split("。")[0] for one in seen] == [
        "最初の受信を待っています", "届きましたが、署名が合わないため受け取っていません",
        "正しく届いています",
    ]  # fmt: skip
    assert await hr.input_value("#made-secret") == secret
    assert site.faults == []


@in_a_browser
async def test_a_button_copies_the_url(site: Site, room: Room) -> None:
    hr = await site.visit("desk", "ja", room.cookie)
    await hr.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await hr.goto(f"{site.url}{room.page('teamtailor')}")
    await hr.click("[data-copy=webhook-url]")
    await hr.wait_for_selector("text=コピーしました")

    copied = await hr.evaluate("navigator.clipboard.readText()")
    assert copied == await hr.input_value("#webhook-url")


@in_a_browser
async def test_everything_works_without_a_script(site: Site, room: Room) -> None:
    context = await site.browser.new_context(java_script_enabled=False, locale="ja-JP")
    await context.add_cookies([{"name": "relay_session", "value": room.cookie, "url": site.url}])
    hr = await context.new_page()
    await hr.goto(f"{site.url}/dashboard/ats")
    await hr.click("[href='/dashboard/ats/new/ashby']")
    await hr.fill("#new-name", "台本なし")
    await hr.click("[action='/dashboard/ats/new/ashby'] button[type=submit]")

    assert (await hr.input_value("#made-secret")).startswith("whsec_")
    assert await hr.locator(".copy").first.is_visible() is False
    await hr.click("[action$='/switch'] button")
    assert "停止中" in await hr.inner_text("#live")
    await context.close()


async def _says(page: Page) -> str:
    return await page.inner_text(".live-say")


async def _until(page: Page, words: str) -> None:
    await page.wait_for_selector(f".live-say:has-text('{words}')", timeout=15_000)
