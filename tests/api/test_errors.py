"""Every refusal leaves in one form, says nothing about what was sent, and breaks nothing."""

import asyncio
import io
import json
import logging
from datetime import date
from typing import Annotated, Any, Literal

import httpx2
import pytest
import structlog
from fastapi import APIRouter, Query
from pydantic import EmailStr, Field
from sqlalchemy import text

from api import logs
from api.app import create_app
from api.deps import Db
from api.shapes import Shape, Utc
from domain import errors

pytestmark = pytest.mark.anyio


class Cat(Shape):
    kind: Literal["cat"]


class Dog(Shape):
    kind: Literal["dog"]


class Application(Shape):
    email: EmailStr | None = None
    born_on: date | None = None
    at: Utc | None = None
    stage: Literal["first", "final"] | None = None
    name: Annotated[str, Field(pattern="^[a-z]+$")] | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None


REFUSALS = {
    "NotFound": (errors.NotFound(), 404, "not_found"),
    "Gone": (errors.Gone(code="link_gone"), 410, "link_gone"),
    "Conflict": (errors.Conflict("no"), 409, "conflict"),
    "StepNotAllowed": (errors.StepNotAllowed("a", "b"), 409, "step_not_allowed"),
    "Forbidden": (errors.Forbidden(), 403, "forbidden"),
    "Invalid": (errors.Invalid(code="bad_cursor"), 422, "bad_cursor"),
    "TryLater": (errors.TryLater(), 503, "try_later"),
    "Refusal": (errors.Refusal(), 400, "refused"),
}


@pytest.fixture
async def door(runtime):
    router = APIRouter()

    @router.post("/v1/x/people")
    async def people(given: Application) -> dict[str, Any]:
        return given.model_dump()

    @router.get("/v1/x/people/{number}")
    async def person(number: int) -> int:
        return number

    @router.delete("/v1/x/people/{number}")
    async def remove(number: int) -> int:
        return number

    @router.get("/v1/x/refuse")
    async def refuse(how: str) -> None:
        raise REFUSALS[how][0]

    @router.get("/v1/x/break")
    async def break_down(secret: str) -> None:
        message = f"{secret} broke"
        raise ValueError(message)

    @router.get("/v1/x/sql")
    async def sql(db: Db, statement: Annotated[str, Query()]) -> None:
        await db.execute(text(statement))

    app = create_app(runtime)
    app.include_router(router)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as made:
        yield made


@pytest.mark.parametrize("name", REFUSALS)
async def test_business_refusals_have_a_status_and_a_stable_code(door, name):
    _, status, code = REFUSALS[name]

    answer = await door.get("/v1/x/refuse", params={"how": name}, headers={"x-request-id": "r-1"})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["code"], told["request_id"]) == (status, code, "r-1")
    assert told["type"].endswith(f"/problems/{code}")
    assert told["title"]
    assert told["detail"]


SECRETS = ["hanako", "山田", "1990-13-45", "yesterday", "third", "HANAKO", "parrot", "家族"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "hanako@@mail"}, "/body/email"),
        ({"email": "hanako 山田"}, "/body/email"),
        ({"born_on": "1990-13-45"}, "/body/born_on"),
        ({"at": "yesterday"}, "/body/at"),
        ({"at": "2026-06-02T10:00:00"}, "/body/at"),
        ({"stage": "third"}, "/body/stage"),
        ({"name": "HANAKO"}, "/body/name"),
        ({"pet": {"kind": "parrot"}}, "/body/pet"),
        ({"家族": "山田"}, "/body"),
        ({"unknown": "山田"}, "/body/unknown"),
        ("山田", "/body"),
    ],
)
async def test_a_wrong_shape_is_explained_without_what_was_sent(door, body, pointer):
    answer = await door.post("/v1/x/people", json=body)

    assert answer.status_code == 422
    told = answer.json()
    assert told["code"] == "invalid"
    assert [fault["pointer"] for fault in told["errors"]] == [pointer]
    assert not [secret for secret in SECRETS if secret in answer.text]


async def test_what_is_not_json_is_a_bad_request(door):
    answer = await door.post(
        "/v1/x/people", content=b'{"email": hanako', headers={"content-type": "application/json"}
    )

    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_json"
    assert "hanako" not in answer.text


async def test_a_wrong_method_is_told_all_the_right_ones(door):
    answer = await door.put("/v1/x/people/1")

    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, DELETE"


@pytest.fixture
def real_logs():
    """The lines a process writes, read back."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers, root.level
    logs.set_up(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before
    structlog.reset_defaults()


async def test_a_fault_of_ours_says_nothing_of_it_to_the_caller_or_the_log(door, real_logs):
    answer = await door.get("/v1/x/break", params={"secret": "hanako"})
    lines = real_logs()

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal"
    assert "hanako" not in answer.text + json.dumps(lines)
    broken = next(line for line in lines if line["event"] == "unexpected_error")
    assert broken["exception"] == ["builtins.ValueError"]
    assert broken["frames"][-1].endswith("break_down")
    assert broken["request_id"] == answer.headers["x-request-id"]
    asked = next(line for line in lines if line["event"] == "request")
    assert (asked["route"], asked["status"]) == ("/v1/x/break", 500)


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("SELECT 'a' || chr(0)", 500),
        ("SELECT 10::int2 * 10000::int2", 422),
        ("SELECT pg_advisory_xact_lock(77)", 503),
        ("SELECT nothing", 500),
    ],
)
async def test_the_databases_refusals_are_sorted(door, runtime, statement, status):
    async with runtime.database.transaction() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(77)"))
        wait = "SET LOCAL lock_timeout = '50ms'; " if "lock" in statement else ""
        if wait:
            statement = f"DO $$ BEGIN {wait} PERFORM pg_advisory_xact_lock(77); END $$"
        answer = await door.get("/v1/x/sql", params={"statement": statement})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 503:
        assert answer.headers["retry-after"] == "1"


async def test_too_much_is_refused_whether_it_was_announced_or_not(door):
    async def drops():
        for _ in range(1100):
            yield b" " * 1024
            await asyncio.sleep(0)

    headers = {"content-type": "application/json"}
    announced = await door.post("/v1/x/people", content=b" " * 1_100_000, headers=headers)
    silent = await door.post("/v1/x/people", content=drops(), headers=headers)

    for answer in (announced, silent):
        assert answer.status_code == 413
        assert answer.json()["code"] == "too_large"
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", ""])
async def test_a_request_id_that_is_not_safe_is_replaced(door, given):
    answer = await door.get("/healthz", headers={"x-request-id": given})

    assert answer.headers["x-request-id"].startswith("req_")


async def test_every_answer_carries_safe_headers(door):
    for path in ("/healthz", "/nothing", "/v1/x/refuse?how=Gone"):
        answer = await door.get(path)

        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["a%00b", "..%2fapp.py", "%2e%2e/pages.py", "vendor", ""])
async def test_a_strange_static_path_is_not_found(door, path):
    answer = await door.get(f"/static/{path}")

    assert answer.status_code == 404


async def test_a_path_of_its_own_does_not_offer_what_its_neighbour_with_an_id_does(client):
    answer = await client.request("OPTIONS", "/v1/company/ats/deliveries/replay")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_wrong_method_is_not_taken_for_a_wrong_id(company_api):
    answer = await company_api.get("/v1/company/ats/deliveries/replay")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
