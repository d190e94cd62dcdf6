"""What operators see: liveness, readiness, metrics, logs."""

import io
import json
import logging
import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import structlog
from pydantic import SecretStr

from api import logs
from api.app import create_app
from api.auth import new_signing_key
from api.rate_limit import RateLimiter
from api.runtime import Runtime
from domain.access import as_agency
from domain.agency import Agency
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.flows.person.change_person import delete
from domain.instance import Heartbeat
from domain.jobs import later
from tests.applications import an_application
from tests.conftest import forward, settings_for

pytestmark = pytest.mark.anyio


async def beat(runtime, ago):
    async with runtime.database.transaction() as db:
        at = datetime.now(UTC) - ago  # noqa: TID251 - heartbeats are wall clock
        await db.merge(Heartbeat(worker="w", at=at))


async def test_a_process_that_answers_is_healthy(client):
    answer = await client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_needs_a_worker_that_was_heard_within_a_minute(client, runtime):
    silent = await client.get("/readyz")
    await beat(runtime, timedelta(seconds=61))
    late = await client.get("/readyz")
    await beat(runtime, timedelta(seconds=5))
    ready = await client.get("/readyz")

    assert (silent.status_code, silent.json()["checks"]["worker"]) == (503, "silent")
    assert (late.status_code, late.json()["status"]) == (503, "not_ready")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "schema": "ok", "worker": "ok"}


async def test_without_its_database_an_instance_is_not_ready(database_url):
    lost = Runtime.build(settings_for(database_url.set(port=1)))
    transport = httpx2.ASGITransport(create_app(lost))
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as client:
        answer = await client.get("/readyz")
        alive = await client.get("/healthz")
    await lost.database.close()

    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "unreachable")
    assert alive.status_code == 200


async def test_metrics_count_by_route_and_show_the_backlog(client, runtime):
    secret = "A" * 43
    await client.get(f"/login/m/{secret}", headers={"accept": "text/html"})
    async with runtime.database.transaction() as db:
        await later(db, "mail.send", "cmp_x", "mai_x")
        await later(db, "mail.send", "cmp_x", "mai_y")

    told = (await client.get("/metrics")).text

    assert 'relay_http_requests_total{method="GET",route="/login/m/{token}",status="200"}' in told
    assert 'relay_jobs{job="mail.send",status="queued"} 2.0' in told
    assert 'relay_timers_due{timer="housekeeping"} 0.0' in told
    assert secret not in told
    assert "cmp_x" not in told


async def test_metrics_tell_of_erasures_of_the_last_day_and_of_nobody(client, runtime, world):
    application = await an_application(runtime, world, outcome="rejected")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        person = await db.get_one(Candidate, (world.company.id, application.candidate_id))
        person.review_at = runtime.clock() - timedelta(hours=7)
        db.add(person)
    before = (await client.get("/metrics")).text
    async with runtime.database.transaction(company_id=world.company.id) as db:
        person = await db.get_one(Candidate, (world.company.id, application.candidate_id))
        await delete(db, runtime.tools, person, runtime.clock(), rule="retention")
    done = (await client.get("/metrics")).text
    forward(runtime.clock, days=1)
    later_on = (await client.get("/metrics")).text

    retained = 'relay_erasures_last_day{key="profile",rule="retention"}'
    assert [line for line in before.splitlines() if line.startswith("relay_erasures_last_day")] == [
        f'relay_erasures_last_day{{key="{key}",rule="{rule}"}} 0.0'
        for key in ("profile", "record")
        for rule in ("request", "ats", "retention", "record_end")
    ]
    assert 'relay_privacy_late{kind="erasures"} 1.0' in before
    assert f"{retained} 1.0" in done
    assert 'relay_privacy_late{kind="erasures"} 0.0' in done
    assert f"{retained} 0.0" in later_on
    assert application.candidate_id not in done


async def test_metrics_warn_of_licences_that_end(client, runtime, world, company_api):
    today = local_day(runtime.clock())
    told = []
    for days in (91, 90, -1):
        async with runtime.database.transaction() as db:
            await as_agency(db, world.agencies[0].id)
            agency = await db.get_one(Agency, world.agencies[0].id)
            agency.license_valid_until = today + timedelta(days=days)
            db.add(agency)
        ours = (await company_api.get("/v1/company/metrics")).json()["licence_expiring_90d"]
        page = (await client.get("/metrics")).text
        told.append((ours, re.search(r"^relay_licence_expiring_90d (\S+)$", page, re.MULTILINE)[1]))

    assert told == [(0, "0.0"), (1, "1.0"), (1, "1.0")]


async def test_metrics_may_ask_for_a_token(database_url, clock):
    guarded = Runtime.build(settings_for(database_url, metrics_token=SecretStr("m-1")), clock)
    transport = httpx2.ASGITransport(create_app(guarded))
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as client:
        refused = await client.get("/metrics")
        wrong = await client.get("/metrics", headers={"authorization": "Bearer m-2"})
        let_in = await client.get("/metrics", headers={"authorization": "Bearer m-1"})
    await guarded.database.close()

    assert (refused.status_code, wrong.status_code, let_in.status_code) == (401, 401, 200)
    assert refused.headers["content-type"] == "application/problem+json"
    assert "relay_" not in refused.text


async def test_no_process_starts_without_a_signing_key(database_url):
    runtime = Runtime.build(settings_for(database_url, signing_key=None))

    with pytest.raises(SystemExit, match="RELAY_SIGNING_KEY"):
        create_app(runtime)

    await runtime.database.close()


def test_a_new_signing_key_is_a_private_pem():
    assert new_signing_key().startswith("-----BEGIN PRIVATE KEY-----")


@pytest.fixture
def lines():
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers, root.level
    logs.set_up(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before
    structlog.reset_defaults()


async def test_a_request_is_logged_by_its_route_never_by_its_path_or_query(client, lines):
    await client.get("/login/m/" + "S" * 43 + "?email=hanako@mail.example")

    written = [line for line in lines() if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in written] == [("/login/m/{token}", 200)]
    assert "SSS" not in json.dumps(written)
    assert "hanako" not in json.dumps(written)


def test_libraries_exceptions_are_logged_without_their_words(lines):
    try:
        {}["hanako@mail.example"]
    except KeyError:
        logging.getLogger("some.package").exception("it failed")

    written = lines()
    assert [line["event"] for line in written] == ["it failed"]
    assert written[0]["exception"] == ["builtins.KeyError"]
    assert "hanako" not in json.dumps(written)


def test_a_steady_rate_is_let_through_and_a_burst_is_not():
    limiter = RateLimiter(60)
    burst = [limiter.ask("a", 0.0) for _ in range(61)]
    other = limiter.ask("b", 0.0)
    later_one = limiter.ask("a", 1.0)
    steady = [limiter.ask("c", float(second)).remaining for second in range(100)]

    assert [one.allowed for one in burst] == [True] * 60 + [False]
    assert [burst[0].remaining, burst[59].remaining, burst[60].remaining] == [59, 0, 0]
    assert (burst[60].retry_seconds, burst[60].reset_seconds) == (1, 60)
    assert other.remaining == 59
    assert (later_one.allowed, later_one.remaining) == (True, 0)
    assert set(steady) == {59}
