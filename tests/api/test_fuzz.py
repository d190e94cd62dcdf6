"""No input gives a 500, and every answer is one the description names.

The real app on loopback, driven by schemathesis from its own description with valid tokens.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from sqlalchemy import URL

from api import openapi
from api.app import create_app
from api.clock import Clock
from api.runtime import Runtime
from domain.instance import Heartbeat
from tests.conftest import START, _admin, settings_for
from tests.factories import make_world
from tests.relays import forwarded

SCHEMA = schemathesis.openapi.from_dict(openapi.build(openapi.nowhere()))
EXAMPLES = 12
_TOO_STRICT = [
    positive_data_acceptance,  # the business may refuse a request of the right shape (422)
    negative_data_rejection,  # `0` is read as false, `"7"` as a number: harmless, and handy
]
GUARDED = ("/v1/company/", "/v1/agency/")


@dataclass
class Running:
    """The app under test and a token for each kind of program."""

    url: str
    tokens: dict[str, str]
    ids: dict[str, str]
    """Path parameter → the id of a row that is there."""

    def headers(self, path: str) -> dict[str, str]:
        kind = "agency" if path.startswith("/v1/agency/") else "company"
        return {"authorization": f"Bearer {self.tokens[kind]}"} if path.startswith(GUARDED) else {}


@pytest.fixture(scope="module")
def running(server: URL, template: str, worker_id: str) -> Iterator[Running]:
    name = f"relay_fuzz_{worker_id}"
    asyncio.run(
        _admin(
            server,
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} TEMPLATE {template}",
        )
    )
    url = server.set(database=name, drivername="postgresql+asyncpg")
    made = settings_for(url, rate_limit=1_000_000)
    credentials, ids = asyncio.run(_world(made))
    config = uvicorn.Config(
        create_app(Runtime.build(made, _clock())), port=0, log_config=None, access_log=False
    )
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    base = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    tokens = {kind: _token(base, one) for kind, one in credentials.items()}
    yield Running(base, tokens, ids)
    web.should_exit = True
    thread.join(timeout=20)


def _clock() -> Clock:
    return Clock(START - Clock()())


async def _world(made: Any) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Clients, and one row of most kinds to be found under its id."""
    runtime = Runtime.build(made, _clock())
    world = await make_world(runtime)
    relay = await forwarded(runtime, world)
    async with runtime.database.transaction() as db:
        beat = datetime.now(UTC) + timedelta(days=1)  # noqa: TID251 - a worker that never tires
        db.add(Heartbeat(worker="fuzz", at=beat))
    await runtime.database.close()
    clients = {"company": world.company_client, "agency": world.agency_clients[0]}
    ids = {
        "relay_id": relay.id,
        "application_id": relay.application_id,
        "connection_id": world.connections["greenhouse"].id,
        "agency_id": world.agency.id,
    }
    return clients, ids


def _token(base: str, credentials: tuple[str, str]) -> str:
    form = {"grant_type": "client_credentials"}
    answer = httpx2.post(f"{base}/oauth/token", data=form, auth=credentials)
    token: str = answer.json()["access_token"]
    return token


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_we_described(case: schemathesis.Case, running: Running) -> None:
    _hold_to_its_word(case, running)
    known = {name: value for name, value in running.ids.items() if name in case.path_parameters}
    if known:
        case.path_parameters.update(known)
        _hold_to_its_word(case, running)


def _hold_to_its_word(case: schemathesis.Case, running: Running) -> None:
    response = case.call(base_url=running.url, headers=running.headers(case.path))

    assert response.status_code != 500, response.text
    case.validate_response(response, excluded_checks=_TOO_STRICT)
