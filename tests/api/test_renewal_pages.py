"""The page that asks whether a consent shall go on, and the agency's answers in its portal."""

import re

import pytest

from domain.consent import Consent, ConsentEvent
from domain.relay import Relay, StopNotice
from tests.applications import one, rows
from tests.conftest import api_client, forward
from tests.consents import invited
from tests.factories import work
from tests.own_page import at_own_page, form_in
from tests.pages.seed import enter

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world):
    made = await invited(runtime, world)
    await made.give(world.agency.id, items=("name", "email", "phone"))
    return made


async def two_weeks_before(person):
    consent = await one(person.runtime, person.world.company.id, Consent)
    clock = person.runtime.clock
    forward(clock, seconds=(consent.renew_ask_at - clock()).total_seconds() + 1)
    await work(person.runtime)


class Desk:
    """Somebody of an agency, signed in."""

    def __init__(self, client, cookie):
        self.client = client
        self.headers = {"cookie": f"relay_session={cookie}", "accept": "text/html"}

    async def get(self, path):
        return await self.client.get(path, headers=self.headers)

    async def post(self, path, **fields):
        token = re.search(r'name="csrf" value="([^"]+)"', (await self.get("/agency")).text)
        data = {"csrf": token[1], **fields}
        return await self.client.post(path, headers=self.headers, data=data)


async def at_desk(runtime, client, agency):
    cookie = await enter(runtime, agency.id, agency_id=agency.id, roles=["admin"])
    return Desk(client, cookie)


def boxes(page):
    return [
        (name, value)
        for name, value, kind in form_in(page, "/renew")["fields"]
        if kind == "checkbox"
    ]


async def test_before_it_is_time_there_is_nothing_to_renew(client, person):
    visitor = await at_own_page(client, person)
    page, mine = await visitor.get("/renew"), await visitor.get()

    assert page.status_code == 200
    assert "更新するものはありません" in page.text
    assert "/renew" not in mine.text


async def test_the_page_shows_the_present_text_and_no_box_is_ticked(client, person):
    await two_weeks_before(person)
    visitor = await at_own_page(client, person)
    page, mine = await visitor.get("/renew"), await visitor.get()

    assert "まもなく有効期間が終わる同意があります" in mine.text
    assert "checked" not in page.text
    assert page.text.count("前回選択</span>") == 3
    assert page.text.index("保存期間") < page.text.index('<form method="post"')
    assert {name for name, _ in boxes(page)} == {"agency", f"items.{person.world.agency.id}"}


async def test_looking_at_it_renews_nothing_and_a_press_without_a_tick_does_neither(client, person):
    await two_weeks_before(person)
    visitor = await at_own_page(client, person)
    await visitor.get("/renew")
    refused = await visitor.press("/renew", on="/renew")

    assert refused.status_code == 422
    assert "続ける会社が選択されていません" in refused.text
    assert [e.kind for e in await rows(person.runtime, person.world.company.id, ConsentEvent)] == [
        "given"
    ]


async def test_what_is_ticked_goes_on_and_sent_twice_counts_once(client, person):
    await two_weeks_before(person)
    visitor = await at_own_page(client, person)
    form = await visitor.form("/renew", on="/renew")
    agency_id = person.world.agency.id
    ticks = [("agency", agency_id), *((f"items.{agency_id}", one) for one in ("name", "email"))]
    first = await visitor.send(form, *ticks)
    again = await visitor.send(form, *ticks)
    done = await visitor.get("/renew/done")
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)

    assert (first.status_code, again.status_code, done.status_code) == (303, 303, 200)
    assert [event.kind for event in events] == ["given", "items_changed"]
    assert events[1].items == ["name", "email"]
    assert events[1].identity_check == "mail_link"


async def test_a_form_with_other_words_or_from_elsewhere_renews_nothing(client, person):
    await two_weeks_before(person)
    visitor = await at_own_page(client, person)
    agency_id = person.world.agency.id
    ticks = [("agency", agency_id), *((f"items.{agency_id}", one) for one in ("name", "email"))]
    other_words = await visitor.press("/renew", *ticks, on="/renew", text="0" * 64)
    elsewhere = await visitor.press("/renew", *ticks, on="/renew", csrf="x")

    assert (other_words.status_code, elsewhere.status_code) == (422, 403)
    assert len(await rows(person.runtime, person.world.company.id, ConsentEvent)) == 1


async def test_an_agency_answers_a_stop_in_its_portal_and_the_first_answer_stands(
    runtime, client, person, world
):
    forward(runtime.clock, minutes=31)
    await work(runtime)
    relay = await one(runtime, world.company.id, Relay)
    async with api_client(runtime, world.agency_clients[0]) as agency:
        assert (await agency.get(f"/v1/agency/relays/{relay.id}/package")).status_code == 200
    visitor = await at_own_page(client, person)
    await visitor.press("/withdraw")
    desk = await at_desk(runtime, client, world.agencies[0])
    stranger = await at_desk(runtime, client, world.agencies[1])

    shown = await desk.get("/agency/stops")
    unsaid = await desk.post(f"/agency/stops/{relay.id}", answer="")
    foreign = await stranger.post(f"/agency/stops/{relay.id}", answer="deleted")
    forged = await desk.post(f"/agency/stops/{relay.id}", answer="deleted", csrf="x")
    before = await one(runtime, world.company.id, StopNotice)
    first = await desk.post(f"/agency/stops/{relay.id}", answer="kept_register")
    await desk.post(f"/agency/stops/{relay.id}", answer="deleted")
    after = await one(runtime, world.company.id, StopNotice)

    assert relay.id in shown.text
    assert relay.id not in (await stranger.get("/agency/stops")).text
    assert (unsaid.status_code, foreign.status_code, forged.status_code) == (422, 409, 403)
    assert (before.state, before.answer) == ("notified", None)
    assert first.status_code == 303
    assert (after.state, after.answer) == ("acknowledged", "kept_register")
    assert relay.id not in (await desk.get("/agency/stops")).text
