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
from domain.ats_secrets import seal_secrets
from domain.delivery import AtsConnection, Delivery
from domain.flows.office import open_account
from integrations.ats import ADAPTERS, APIS
from tests.conftest import forward
from tests.deliveries import Ats, greenhouse_headers, person, rejection, sample, standard_headers
from tests.factories import make_world, work
from tests.systems import SYSTEMS
from tests.vendors import VendorStub

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


# ---- every system at its door ---------------------------------------------------------------

ANSWERS = {
    "greenhouse": (200, 401), "lever": (200, 401), "ashby": (200, 400), "workable": (200, 401),
    "smartrecruiters": (202, 401), "teamtailor": (200, 401), "recruitee": (200, 401),
    "merge": (200, 401), "icims": (200, 401), "zoho-recruit": (200, 401),
    "standard-webhooks": (202, 401), "cloudevents": (202, 401),
}  # fmt: skip
"""What each system takes for "received", and what it is told about a bad signature."""
PULLED = sorted({*APIS} - {*ADAPTERS})
CLAIMS = {
    "greenhouse": ("signature", "greenhouse-event-id"),
    "lever": ("signature",),
    "ashby": ("ashby-signature",),
    "workable": ("x-workable-signature",),
    "smartrecruiters": (
        "smartrecruiters-signature", "smartrecruiters-timestamp", "event-id", "event-name",
        "event-version", "link",
    ),
    "teamtailor": ("tt-signature", "teamtailor-signature"),
    "recruitee": ("x-recruitee-signature",),
    "merge": ("x-merge-webhook-signature",),
    "icims": ("authorization", "x-icims-date", "x-icims-content-sha256", "content-encoding"),
    "zoho-recruit": ("content-type",),
    "standard-webhooks": ("webhook-id", "webhook-timestamp", "webhook-signature"),
    "cloudevents": (
        "webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "ce-specversion",
        "ce-id", "ce-source", "ce-type", "ce-time",
    ),
}  # fmt: skip
"""The headers a check looks at."""
HOSTILE = (
    b"", b" ", b"\xe9" * 64, b"\xff\xfe", "署名".encode(), b"A" * 10_240, b"," * 10_000,
    b";" * 10_000, b"=" * 10_000, b"v1," + b"\xff" * 44, b"sha256=" + b"\xe9" * 64, b"%ff%fe",
    b"Basic \xff", b"Bearer \xff", b"Bearer " + b"a.b.c" * 900, b"x-icims-v1-hmac-sha256 ,,,===",
    b"<http://[>; rel=next", b"9" * 400, b"-1",
    b"1e9", "٣".encode(),
)  # fmt: skip
BODIES = (
    b"", b"\xff\xfe", b"null", b"[]", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000,
    b'{"token": "\\ud800", "triggeredAt": 1e999, "signature": "x"}', b"token=%ff&token=",
    b"\x1f\x8b" + b"\0" * 40, b'{"payload": {"data": {"id": [[]]}}}',
)  # fmt: skip


async def connect(ats, provider):
    """A system with a connection of its own, nothing of it at work yet."""
    made = SYSTEMS[provider](VendorStub(), ats.runtime.clock)
    told = made.told()
    settings = {k: v for k, v in told["settings"].items() if not k.startswith("api_")}
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        row = await open_account.connect_ats(
            db, ats.runtime.tools.sealer, ats.world.company.id, provider=provider,
            name="its own", secrets=told["secrets"], settings=settings, now=ats.runtime.clock(),
        )  # fmt: skip
    made.connection = {"id": row.id, "webhook_url": f"/v1/ats/{provider}/{row.id}"}
    return made


@pytest.fixture
async def system(request, ats):
    """The system named by the parameter."""
    return await connect(ats, request.param)


@pytest.fixture
async def systems(ats):
    """All of them, those without a door too."""
    return {name: await connect(ats, name) for name in SYSTEMS}


@pytest.fixture
def senders(systems):
    """Those with a door."""
    return {name: one for name, one in systems.items() if name in ANSWERS}


def every(providers):
    return pytest.mark.parametrize("system", providers, indirect=True)


async def send(ats, system, body=b"", headers=None, **more):
    found = {"content-type": "application/json"} if headers is None else headers
    return await ats.client.post(system.path, content=body, headers=found, **more)


def test_the_table_has_every_system_that_sends():
    assert set(ANSWERS) == set(CLAIMS) == set(ADAPTERS)
    assert {
        name: (adapter.SUCCESS, adapter.BAD_SIGNATURE) for name, adapter in ADAPTERS.items()
    } == ANSWERS
    assert set(PULLED) == {"bullhorn", "herp-hire", "talentio"}


@every(ANSWERS)
async def test_each_system_gets_the_answer_it_waits_for(ats, system):
    success, refusal = ANSWERS[system.provider]
    system.end("company")
    sent = system.delivery("ended")
    received = await send(ats, system, sent.body, sent.headers)
    repeated = await send(ats, system, sent.body, sent.headers)

    assert (received.status_code, received.content) == (success, b"")
    assert repeated.status_code == success
    (row, *more) = await kept(ats)
    assert (row.provider, row.status) == (system.provider, "received")
    # Zoho repeats nothing that could tell a repetition from a second change.
    assert len(more) == (system.provider == "zoho-recruit")

    forged = sent.body.replace(system.secret.encode(), b"x" * len(system.secret))
    if system.provider == "lever":  # signs three fields and not the body
        forged = json.dumps({**json.loads(sent.body), "token": "another"}).encode()
    elif forged == sent.body:
        forged = sent.body.replace(b'"', b' "', 1)
    refused = await send(ats, system, forged, sent.headers)
    assert refused.status_code == refusal
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "bad_signature"
    assert len(await kept(ats)) == 1 + len(more)


@every(ANSWERS)
async def test_no_header_and_no_body_breaks_a_door(ats, system):
    _, refusal = ANSWERS[system.provider]
    system.end("company")
    sent = system.delivery("ended")
    answers = []
    for name in CLAIMS[system.provider]:
        for value in HOSTILE:
            told = {**{k: v.encode() for k, v in sent.headers.items()}, name: value}
            answers.append(await send(ats, system, sent.body, told))
    for value in HOSTILE:
        told = dict.fromkeys(CLAIMS[system.provider], value)
        answers += [await send(ats, system, body, told) for body in BODIES[:4]]
    for body in BODIES:
        answers.append(await send(ats, system, body, sent.headers))
        answers.append(await send(ats, system, body, {}))
    for query in ("?a=%ff", "?" + "a&" * 2000, "?%00"):
        url = system.path + query
        answers.append(await ats.client.post(url, content=sent.body, headers={}))

    found = {one.status_code for one in answers}
    # What a system does not sign it may send as it likes.
    assert found <= {refusal, ANSWERS[system.provider][0]}
    assert refusal in found


async def test_no_host_breaks_a_door(ats, senders):
    for system in senders.values():
        system.end("company")
        sent = system.delivery("ended")
        for host in (b"[", b"relay.test:99999", b"a]b", b"\xff", b"", b"x/y?z#"):
            headers = {**{k: v.encode() for k, v in sent.headers.items()}, "host": host}
            answer = await send(ats, system, sent.body, headers)
            assert answer.status_code in {*ANSWERS[system.provider], 400}, (system.provider, host)


async def test_no_door_takes_more_than_a_mebibyte(ats, senders):
    raw = b"{" + b" " * (1024 * 1024) + b"}"

    async def pieces():
        yield raw[:1000]
        yield raw[1000:]

    for system in senders.values():
        for content in (raw, pieces()):
            answer = await ats.client.post(system.path, content=content)
            assert answer.status_code == 413, system.provider
    assert await kept(ats) == []


async def test_no_door_leads_elsewhere(ats, senders):
    for system in senders.values():
        for path in (f"/{system.path}", f"{system.path}//", f"{system.path}/x"):
            for method in ("POST", "GET", "OPTIONS"):
                answer = await ats.client.request(method, path)
                assert answer.status_code in {307, 404, 405}, (method, path)
        for path in (system.path, f"{system.path}/"):
            for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
                answer = await ats.client.request(method, path)
                assert answer.status_code == 405, (method, path)


async def test_an_address_pasted_with_a_slash_is_the_same_door(ats, senders):
    for system in senders.values():
        success, refusal = ANSWERS[system.provider]
        system.connection["webhook_url"] += "/"
        system.end("company")
        sent = system.delivery("ended")
        assert (await send(ats, system, sent.body, sent.headers)).status_code == success
        assert (await send(ats, system, b"{}", {})).status_code == refusal
        asked = {"webhook-request-origin": "ats.example"}
        answer = await ats.client.options(system.path, headers=asked)
        assert answer.status_code == (200 if system.provider == "cloudevents" else 405)

    assert len(await kept(ats)) == len(senders)


async def test_a_system_that_is_asked_has_no_door(ats, systems):
    for provider in PULLED:
        for method in ("POST", "OPTIONS"):
            headers = {"webhook-request-origin": "ats.example", "x-hook-secret": "s"}
            answer = await ats.client.request(
                method, systems[provider].path, content=b"{}", headers=headers
            )
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/problem+json"
    assert await kept(ats) == []


# ---- handshakes -----------------------------------------------------------------------------


@every(["cloudevents"])
async def test_a_sender_of_cloudevents_may_ask_whether_it_may(ats, system):
    asked = {"webhook-request-origin": "ats.example", "webhook-request-rate": "1000"}
    answer = await ats.client.options(system.path, headers=asked)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["webhook-allowed-origin"] == "ats.example"
    assert int(answer.headers["webhook-allowed-rate"]) > 0
    assert answer.headers["allow"] == "POST, OPTIONS"
    for origin in (b"", b"\xff", b"a b", b"x" * 300, b"a\xe9"):
        asked = {"webhook-request-origin": origin}
        assert (await ats.client.options(system.path, headers=asked)).status_code == 400
    assert (await ats.client.options(system.path)).status_code == 400
    assert await kept(ats) == []


async def test_nobody_else_may_ask(ats, senders):
    asked = {"webhook-request-origin": "ats.example"}
    for provider in {*senders} - {"cloudevents"}:
        answer = await ats.client.options(senders[provider].path, headers=asked)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert "webhook-allowed-origin" not in answer.headers


@every(["smartrecruiters"])
async def test_the_handshake_is_echoed_and_nothing_is_kept(ats, system):
    answer = await send(ats, system, b"", {"x-hook-secret": "hand-shake~1"})

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-hook-secret"] == "hand-shake~1"
    for secret in (b"", b"a b", b"\xff", b"x" * 501, b"a\te"):
        refused = await send(ats, system, b"", {"x-hook-secret": secret})
        assert refused.status_code == 401
        assert "x-hook-secret" not in refused.headers
    told = {"x-hook-secret": "s", "smartrecruiters-signature": "v1="}
    assert (await send(ats, system, b"", told)).status_code == 401
    assert await kept(ats) == []


async def test_nobody_else_shakes_hands(ats, senders):
    for provider in {*senders} - {"smartrecruiters"}:
        answer = await send(ats, senders[provider], b"", {"x-hook-secret": "hand-shake-1"})
        assert answer.status_code == ANSWERS[provider][1]
        assert "x-hook-secret" not in answer.headers


@every(["recruitee"])
async def test_a_secret_another_process_has_stored_counts_at_once(ats, system):
    """No vendor sends again what was answered with 200, and some send nothing a second time."""
    system.end("company")
    sent = system.delivery("ended")
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        bare = await open_account.connect_ats(
            db, ats.runtime.tools.sealer, ats.world.company.id, provider="recruitee",
            name="no secret yet", secrets=[], settings={}, now=ats.runtime.clock(),
        )  # fmt: skip
    path = f"/v1/ats/recruitee/{bare.id}"
    test = await ats.client.post(path, content=b'{"test":true}')
    sealed = seal_secrets(ats.runtime.tools.sealer, bare.id, [system.secret], {})
    await change(ats, "recruitee", secrets=sealed)  # this process remembers it without one
    believed = await ats.client.post(path, content=sent.body, headers=sent.headers)
    unsigned = await ats.client.post(path, content=b'{"test":true}')

    assert (test.status_code, believed.status_code, unsigned.status_code) == (200, 200, 401)
    assert len(await kept(ats)) == 1


@every(["recruitee"])
async def test_before_there_is_a_secret_a_test_is_answered_and_nothing_believed(ats, system):
    system.end("company")
    sent = system.delivery("ended")
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        bare = await open_account.connect_ats(
            db, ats.runtime.tools.sealer, ats.world.company.id, provider="recruitee",
            name="no secret yet", secrets=[], settings={}, now=ats.runtime.clock(),
        )  # fmt: skip
    path = f"/v1/ats/recruitee/{bare.id}"
    for body, headers in ((b'{"test":true}', {}), (sent.body, sent.headers), (b"\xff", {})):
        answer = await ats.client.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
    assert await kept(ats) == []

    test = system.test()
    assert (await send(ats, system, test.body, test.headers)).status_code == 401
