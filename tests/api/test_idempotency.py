import asyncio
from typing import Annotated

import pytest
from fastapi import APIRouter
from sqlalchemy import text

from api.app import create_app
from api.auth import Caller, company
from api.deps import Db
from api.errors import problems
from api.idempotency import Once
from api.shapes import Shape
from domain.errors import Conflict
from tests.conftest import api_client

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
    async def wish(
        given: Wish, db: Db, once: Once, caller: Annotated[Caller, company("credits:write")]
    ) -> Done:
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
