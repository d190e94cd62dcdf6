"""What HR does on its pages: with a token, with a role, with values kept when it is refused."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import URL

from api.clock import Clock
from api.pages import words
from api.runtime import Runtime
from domain.application import Application, HoldClearance
from domain.business_days import local_day
from domain.credits import Kind
from domain.invitation import CandidateLink
from domain.notice import Notice
from tests.applications import one, rows
from tests.conftest import START, own_database, settings_for
from tests.factories import World, make_world, work
from tests.pages.seed import Seeded, enter, seed

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def runtime(server: URL, template: str, worker_id: str) -> AsyncIterator[Runtime]:
    """One office for all tests of this file: each leaves alone what others ask about."""
    url = await own_database(server, template, f"relay_forms_{worker_id}")
    made = Runtime.build(settings_for(url), Clock(START - Clock()()))
    yield made
    await made.database.close()


@pytest.fixture(scope="module")
async def world(runtime: Runtime) -> World:
    return await make_world(runtime)


@pytest.fixture(scope="module")
async def seeded(runtime: Runtime, world: World) -> Seeded:
    return await seed(runtime, world)


class Desk:
    """Somebody signed in at the company."""

    def __init__(self, client: httpx2.AsyncClient, cookie: str) -> None:
        self.client, self.headers = client, {"cookie": f"relay_session={cookie}",
                                             "accept": "text/html"}  # fmt: skip

    async def get(self, path: str) -> Any:
        return await self.client.get(path, headers=self.headers)

    async def post(self, path: str, **fields: str) -> Any:
        page = await self.get("/dashboard/deadlines")
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token is not None
        return await self.client.post(path, headers=self.headers, data={"csrf": token[1], **fields})


async def test_a_hold_is_released_with_a_reason_and_not_without(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    desk, company = Desk(client, seeded.company_cookie), world.company.id
    path = f"/dashboard/applications/{seeded.held.id}/holds"

    refused = await desk.post(path, hold="reason_unclassified", reason="")

    assert refused.status_code == 422
    assert "理由を入力してください。" in refused.text
    assert await rows(runtime, company, HoldClearance) == []

    done = await desk.post(path, hold="reason_unclassified", reason="面接官に確認済み")

    assert done.status_code == 303
    assert (await one(runtime, company, HoldClearance)).hold == "reason_unclassified"
    assert (await one(runtime, company, Application, id=seeded.held.id)).holds == []


async def test_feedback_the_guard_stops_is_kept_in_the_form_and_not_stored(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    desk, company = Desk(client, seeded.company_cookie), world.company.id
    notice = await one(runtime, company, Notice, application_id=seeded.open.id)
    said = "ご家族のお話がとても印象に残りました。次の面接でもその調子でお話しください。"
    path = f"/dashboard/applications/{seeded.open.id}/notices/{notice.id}/feedback"

    answer = await desk.post(path, feedback=said)

    assert answer.status_code == 422
    assert said in answer.text
    assert (await one(runtime, company, Notice, id=notice.id)).feedback is None


async def test_a_form_without_the_sessions_token_does_nothing(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    desk = Desk(client, seeded.company_cookie)
    before = await rows(runtime, world.company.id, HoldClearance)

    answer = await client.post(
        f"/dashboard/applications/{seeded.held.id}/holds", headers=desk.headers,
        data={"hold": "reason_unclassified", "reason": "x"},
    )  # fmt: skip

    assert answer.status_code == 403
    assert len(await rows(runtime, world.company.id, HoldClearance)) == len(before)


async def test_a_privacy_officer_reads_and_does_not_act(
    runtime: Runtime, world: World, client: httpx2.AsyncClient
) -> None:
    cookie = await enter(runtime, "privacy", company_id=world.company.id, roles=["privacy_officer"])
    desk = Desk(client, cookie)

    assert (await desk.get("/dashboard/credits")).status_code == 200
    answer = await desk.post("/dashboard/credits/reserve", agency_id=world.agency.id, opening="x")
    assert answer.status_code == 403


async def test_nobody_sees_a_dashboard_without_signing_in_or_from_the_other_side(
    client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    stranger = await client.get("/dashboard/relays")
    agency = await Desk(client, seeded.agency_cookie).get("/dashboard")
    company = await Desk(client, seeded.company_cookie).get("/agency")

    assert stranger.status_code == 303
    assert stranger.headers["location"] == "/login?next=%2Fdashboard%2Frelays"
    assert (agency.status_code, company.status_code) == (403, 403)


async def test_the_whole_life_of_a_reservation(
    world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    desk = Desk(client, seeded.company_cookie)

    kept = await desk.post("/dashboard/credits/reserve", agency_id=world.agency.id, opening="総務")
    page = (await desk.get("/dashboard/credits")).text
    holds = re.findall(r"/dashboard/credits/reservations/(rsv_\w+)/release", page)
    future = await desk.post(f"/dashboard/credits/reservations/{holds[0]}/use",
                             hired_on="2099-01-01")  # fmt: skip
    given_back = await desk.post(f"/dashboard/credits/reservations/{holds[0]}/release")
    again = await desk.post(f"/dashboard/credits/reservations/{holds[0]}/release")

    assert kept.status_code == 303
    assert len(holds) == 2
    assert future.status_code == 422
    assert 'value="2099-01-01"' in future.text
    assert given_back.status_code == 303
    assert again.status_code == 409


async def test_static_files_are_kept_for_ever_only_under_their_own_hash(
    client: httpx2.AsyncClient,
) -> None:
    page = (await client.get("/")).text
    address = re.search(r'href="(/static/app\.css\?v=\w+)"', page)
    assert address is not None

    hashed = await client.get(address[1])
    plain = await client.get("/static/app.css")
    known = await client.get("/static/app.css", headers={"if-none-match": plain.headers["etag"]})

    assert "immutable" in hashed.headers["cache-control"]
    assert plain.headers["cache-control"] == "no-cache"
    assert known.status_code == 304
    for path in ("../pages.py", "%2e%2e/pages.py", "no.css", ""):
        assert (await client.get(f"/static/{path}")).status_code == 404


async def test_an_interim_notice_needs_a_reason_and_a_date_to_come(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    desk, company = Desk(client, seeded.company_cookie), world.company.id
    path = f"/dashboard/applications/{seeded.undecided.id}/interim"
    reason, soon = "社内での検討に時間を要している", local_day(runtime.clock() + timedelta(days=3))

    nothing = await desk.post(path, reason="", new_date=soon.isoformat())
    undated = await desk.post(path, reason=reason, new_date="")
    past = await desk.post(path, reason=reason, new_date="2020-01-01")

    assert [one.status_code for one in (nothing, undated, past)] == [422, 422, 422]
    assert "理由を200文字以内で入力してください。" in nothing.text
    assert "結果をお伝えする日を入力してください。" in undated.text
    assert "今日以降の日付を入力してください。" in past.text
    assert reason in past.text
    assert await rows(runtime, company, Notice, application_id=seeded.undecided.id) == []

    done = await desk.post(path, reason=reason, new_date=soon.isoformat())
    await work(runtime)

    assert done.status_code == 303
    told = await one(runtime, company, Notice, application_id=seeded.undecided.id)
    assert (told.kind, told.state) == ("interim", "sent")


async def test_a_link_to_hand_over_is_shown_once_and_works(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    desk = Desk(client, seeded.company_cookie)
    told = (await rows(runtime, world.company.id, Notice, state="sent", kind="rejected"))[-1]
    path = f"/dashboard/applications/{told.application_id}"

    answer = await desk.post(f"{path}/invitation")
    later = await desk.get(path)

    link = re.search(r'value="http://relay.test(/c/[\w-]{43})"', answer.text)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert link is not None
    assert link[1] not in later.text
    assert (await client.get(link[1])).status_code == 200


async def test_nobody_is_handed_a_link_before_the_result_was_told(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    desk = Desk(client, seeded.company_cookie)
    before = await rows(runtime, world.company.id, CandidateLink)

    answer = await desk.post(f"/dashboard/applications/{seeded.open.id}/invitation")

    assert answer.status_code == 409
    assert len(await rows(runtime, world.company.id, CandidateLink)) == len(before)


async def test_every_step_of_a_credit_has_words(client: httpx2.AsyncClient, seeded: Seeded) -> None:
    for kind in Kind:
        for locale in ("ja", "en"):
            assert words(locale)(f"dashboard.event_credit_{kind.name.lower()}", agency="A")
    page = await Desk(client, seeded.company_cookie).get("/dashboard/credits")

    assert "求人のために予約されました。" in page.text


async def test_a_breakdown_never_says_how_few_people_there_are(
    client: httpx2.AsyncClient, seeded: Seeded
) -> None:
    page = await Desk(client, seeded.company_cookie).get("/dashboard/agencies")

    people = re.findall(r"(?:紹介した方|対応中|就職が決まった方)</dt><dd>([^<]+)<", page.text)
    assert len(people) == 6
    assert set(people) == {"&lt;5"}
