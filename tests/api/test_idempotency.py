import asyncio
from typing import Annotated

import pytest
from fastapi import APIRouter
from sqlalchemy import text

from api.app import create_app
from api.auth import Caller, company
from api.errors import problems
from api.idempotency import Once
from api.shapes import Shape
from domain.errors import Conflict
from tests.conftest import api_client, forward
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio


class Wish(Shape):
    text: str


class Done(Shape):
    number: int
    text: str


@pytest.fixture
def ran():
    """What the route below really did."""
    return []


@pytest.fixture
async def door(runtime, world, ran):
    router = APIRouter()

    @router.post("/v1/company/wishes", status_code=201, responses=problems(409))
    async def wish(given: Wish, once: Once, _: Annotated[Caller, company("credits:write")]) -> Done:
        async def run() -> Done:
            ran.append(given.text)
            if given.text == "refuse":
                raise Conflict(code="no_wishes")
            if given.text == "slow":
                await asyncio.sleep(0.3)
            return Done(number=len(ran), text=given.text)

        return await once(run)

    app = create_app(runtime)
    app.include_router(router)
    async with api_client(runtime, world.company_client, app=app) as made:
        made.app = app
        yield made


async def kept(runtime):
    async with runtime.database.transaction() as session:
        return (await session.execute(text("SELECT count(*) FROM idempotency"))).scalar_one()


async def say(door, wish, key):
    headers = {"idempotency-key": key} if key is not None else {}
    return await door.post("/v1/company/wishes", json={"text": wish}, headers=headers)


async def test_a_repeated_request_gets_the_same_answer_and_is_carried_out_once(door, ran):
    first = await say(door, "月", "k-1")
    again = await say(door, "月", '"k-1"')

    assert (first.status_code, first.json()) == (201, {"number": 1, "text": "月"})
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/json"
    assert ran == ["月"]


async def test_the_same_key_for_another_request_is_refused(door, ran):
    await say(door, "月", "k-1")

    other = await say(door, "星", "k-1")
    elsewhere = await door.post(
        "/v1/company/wishes?page=2", json={"text": "月"}, headers={"idempotency-key": "k-1"}
    )

    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"
    assert elsewhere.json()["code"] == "idempotency_key_reused"
    assert ran == ["月"]


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "ø", '"a"b"', "a\tb"])
async def test_without_a_usable_key_nothing_happens(door, ran, runtime, key):
    answer = await door.post(
        "/v1/company/wishes", json={"text": "月"}, headers={"idempotency-key": key.encode()}
    )

    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_missing"
    assert ran == []
    assert await kept(runtime) == 0


async def test_a_key_has_up_to_255_characters(door, ran):
    answer = await say(door, "月", "x" * 255)

    assert answer.status_code == 201
    assert ran == ["月"]


async def test_a_refused_request_may_be_corrected_under_the_same_key(door, ran, runtime):
    refused = await say(door, "refuse", "k-1")
    none_kept = await kept(runtime)
    corrected = await say(door, "月", "k-1")

    assert (refused.status_code, refused.json()["code"]) == (409, "no_wishes")
    assert none_kept == 0
    assert corrected.status_code == 201
    assert ran == ["refuse", "月"]


async def test_two_at_once_are_carried_out_once(door, ran):
    first, second = await asyncio.gather(say(door, "slow", "k-1"), say(door, "slow", "k-1"))
    third = await say(door, "slow", "k-1")

    statuses = sorted([first.status_code, second.status_code])
    late = first if first.status_code == 409 else second
    assert statuses == [201, 409]
    assert late.json()["code"] == "idempotency_in_flight"
    assert late.headers["retry-after"] == "1"
    assert third.status_code == 201
    assert ran == ["slow"]


async def test_two_clients_may_use_the_same_key(door, runtime):
    other = await make_world(runtime, slug="other", agencies=0)
    async with api_client(runtime, other.company_client, app=door.app) as theirs:
        mine = await say(door, "月", "k-1")
        their = await say(theirs, "星", "k-1")

    assert (mine.json()["text"], their.json()["text"]) == ("月", "星")


async def test_answers_are_kept_sealed_for_at_least_a_day_and_then_thrown_away(
    door, runtime, clock, ran
):
    await say(door, "秘密", "k-1")
    async with runtime.database.transaction() as session:
        answer = (await session.execute(text("SELECT answer FROM idempotency"))).scalar_one()
    forward(clock, hours=25)
    await work(runtime)
    again = await say(door, "秘密", "k-1")
    forward(clock, hours=72)
    await work(runtime)

    assert "秘密".encode() not in answer
    assert again.headers["idempotency-replayed"] == "true"
    assert ran == ["秘密"]
    assert await kept(runtime) == 0
