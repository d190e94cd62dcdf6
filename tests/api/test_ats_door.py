"""The door of the ATS: what is verified is kept and answered; everything else leaves no trace."""

import base64
import gzip
import json
from datetime import timedelta

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, text, update

from api.app import create_app
from api.routes import ats as door
from domain.delivery import AtsConnection, Delivery
from tests.conftest import forward
from tests.deliveries import Ats, greenhouse_headers, person, rejection, sample, standard_headers
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ats(runtime, client):
    return Ats(client, runtime, await make_world(runtime))


async def kept(ats):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        return list((await db.scalars(select(Delivery).order_by(Delivery.id))).all())


async def jobs(ats):
    async with ats.runtime.database.transaction() as db:
        found = await db.execute(text("SELECT entrypoint, payload FROM pgq.pgqueuer"))
        return [(row.entrypoint, row.payload.decode()) for row in found]


async def refused(ats):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        found = (await db.scalars(select(AtsConnection))).all()
        return {one.provider: one.refused_signatures for one in found}


async def test_a_delivery_is_sealed_and_its_reading_asked_for(ats):
    body = sample("reject_candidate")
    answer = await ats.greenhouse(body, "ev-1")

    (row,) = await kept(ats)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (row.status, row.provider) == ("received", "greenhouse")
    assert ats.runtime.clock() - row.received_at < timedelta(seconds=10)
    assert b"Shiken" not in row.body
    assert await jobs(ats) == [("delivery.read", f"{row.company_id} {row.id}")]


async def test_the_generic_door_answers_accepted(ats):
    answer = await ats.tell("webhook.ping", {})

    assert (answer.status_code, answer.content) == (202, b"")


async def test_a_signature_by_public_key_opens_the_generic_door(ats):
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    await change(ats, "standard-webhooks", public_keys=["whpk_" + public])
    stamp, body = str(int(ats.runtime.clock().timestamp())), b'{"type":"x"}'
    signed = base64.b64encode(private.sign(f"msg_1.{stamp}.".encode() + body)).decode()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1a,{signed}",
    }
    answer = await ats.client.post(ats.url("standard-webhooks"), content=body, headers=headers)

    assert answer.status_code == 202


@pytest.mark.parametrize("headers", [
    {}, {"signature": ""}, {"signature": "sha256 " + "0" * 64}, {"signature": "sha256 \xe9"},
])  # fmt: skip
async def test_a_bad_signature_leaves_a_count_and_nothing_else(ats, headers):
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = await ats.client.post(ats.url("greenhouse"), content=b"{}", headers=encoded)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "bad_signature"
    assert await kept(ats) == []
    assert await jobs(ats) == []
    assert await refused(ats) == {"greenhouse": 1, "standard-webhooks": 0}


async def test_a_delivery_signed_too_long_ago_is_refused(ats):
    raw, secret = b'{"type":"x"}', ats.world.secrets["standard-webhooks"]
    headers = standard_headers(raw, secret, ats.runtime.clock())
    forward(ats.runtime.clock, seconds=302)
    answer = await ats.client.post(ats.url("standard-webhooks"), content=raw, headers=headers)

    assert answer.status_code == 401
    assert await kept(ats) == []


async def test_a_body_written_anew_is_refused(ats):
    raw = json.dumps(sample("ping"), indent=1).encode()
    headers = greenhouse_headers(raw, ats.world.secrets["greenhouse"])
    again = json.dumps(json.loads(raw)).encode()
    answer = await ats.client.post(ats.url("greenhouse"), content=again, headers=headers)

    assert answer.status_code == 401


@pytest.mark.parametrize("path", [
    "/v1/ats/greenhouse/ats_01m7yvdx9te5v8ptw0ctdy44xm",
    "/v1/ats/greenhouse/nonsense",
    "/v1/ats/greenhouse/%00",
    "/v1/ats/nobody/{connection}",
    "/v1/ats/standard-webhooks/{connection}",
])  # fmt: skip
async def test_unknown_connections_and_other_providers_are_not_there(ats, path):
    raw = b"{}"
    headers = greenhouse_headers(raw, ats.world.secrets["greenhouse"])
    number = ats.world.connections["greenhouse"].id
    answer = await ats.client.post(path.format(connection=number), content=raw, headers=headers)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert await kept(ats) == []


async def test_more_than_a_mebibyte_is_too_large(ats):
    raw = b"{" + b" " * (1024 * 1024) + b"}"
    headers = greenhouse_headers(raw, ats.world.secrets["greenhouse"])

    async def pieces():
        yield raw[:1000]
        yield raw[1000:]

    whole = await ats.client.post(ats.url("greenhouse"), content=raw, headers=headers)
    streamed = await ats.client.post(ats.url("greenhouse"), content=pieces(), headers=headers)

    assert (whole.status_code, streamed.status_code) == (413, 413)
    assert await kept(ats) == []


async def test_a_packed_body_is_taken_as_the_bytes_it_is(ats):
    raw = gzip.compress(b'{"action":"ping"}')
    answer = await ats.greenhouse(raw)
    await work(ats.runtime)

    (row,) = await kept(ats)
    assert answer.status_code == 200
    assert (row.status, row.error) == ("failed", "not_utf8")


async def test_the_same_id_with_another_body_is_another_delivery(ats):
    await ats.greenhouse(sample("ping"), "ev-1")
    await ats.greenhouse({**sample("ping"), "more": 1}, "ev-1")

    assert len(await kept(ats)) == 2


async def change(ats, provider, **values):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        await db.execute(
            update(AtsConnection).where(AtsConnection.provider == provider).values(**values)
        )


async def test_what_another_process_changed_counts_within_seconds(ats, monkeypatch):
    assert (await ats.greenhouse(sample("ping"))).status_code == 200
    await change(ats, "greenhouse", enabled=False)
    soon = (await ats.greenhouse(sample("ping"))).status_code
    monkeypatch.setattr(door, "_SECONDS", -1.0)  # whatever is looked up from here on is old at once
    later = Ats(ats.client, ats.runtime, ats.world)
    later.client._transport.app = create_app(ats.runtime)

    assert soon == 200
    assert (await later.greenhouse(sample("ping"))).status_code == 404


async def test_when_the_database_does_not_answer_the_vendor_is_asked_to_come_again(
    ats, monkeypatch
):
    async def broken(*_args):
        raise asyncpg.ConnectionDoesNotExistError

    monkeypatch.setattr(ats.runtime.database, "run", broken)
    answer = await ats.greenhouse(sample("ping"))

    assert answer.status_code == 503
    assert answer.json()["code"] == "try_later"


async def test_a_connection_that_broke_is_not_used_again(ats):
    assert (await ats.greenhouse(sample("ping"), "1")).status_code == 200
    async with ats.runtime.database.transaction() as db:
        await db.execute(text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = current_user AND pid <> pg_backend_pid()"
        ))  # fmt: skip
    answers = [(await ats.greenhouse(sample("ping"), str(n))).status_code for n in range(2, 30)]

    assert set(answers) <= {200, 503}
    assert answers[-1] == 200


async def test_a_rejection_by_one_company_never_touches_another(ats):
    other = Ats(ats.client, ats.runtime, await make_world(ats.runtime, slug="other"))
    now = ats.runtime.clock()
    raw = json.dumps({
        "type": "application.rejected", "timestamp": now.isoformat(),
        "data": {**person(), **rejection(now)},
    }).encode()  # fmt: skip
    headers = standard_headers(raw, other.world.secrets["standard-webhooks"], now)
    answer = await ats.client.post(ats.url("standard-webhooks"), content=raw, headers=headers)

    assert answer.status_code == 401
    assert await kept(ats) == []
    assert await kept(other) == []
