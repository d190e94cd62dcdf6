"""The authorization server and the check of its tokens, through the real endpoints."""

import base64
import json
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi import APIRouter
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy import table as sql_table

from api.app import create_app
from api.auth import Caller, agency, company, new_signing_key
from api.deps import Db
from api.runtime import Runtime
from tests.conftest import forward, settings_for, signing_key
from tests.factories import make_world, token_for, work

pytestmark = pytest.mark.anyio

GRANT = {"grant_type": "client_credentials"}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
URL = "http://relay.test"


@pytest.fixture
async def door(runtime):
    """The app with two doors of the simplest kind, told apart only by who may enter."""
    router = APIRouter()

    @router.get("/v1/company/who")
    async def company_who(
        caller: Annotated[Caller, company("credits:read")], db: Db
    ) -> dict[str, Any]:
        seen = await db.execute(text("SELECT id FROM ats_connection"))
        return {"id": caller.company_id, "rows": len(seen.all()), "name": caller.name}

    @router.get("/v1/agency/who")
    async def agency_who(caller: Annotated[Caller, agency("feed:read")]) -> dict[str, Any]:
        return {"id": caller.agency_id}

    app = create_app(runtime)
    app.include_router(router)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as made:
        yield made


async def count(runtime, table):
    async with runtime.database.transaction() as session:
        found = await session.execute(select(func.count()).select_from(sql_table(table)))
        return found.scalar_one()


async def give_keys(runtime, world, *keys):
    jwks = json.dumps({"keys": [key.as_dict(private=False) for key in keys]})
    async with runtime.database.transaction(company_id=world.company.id) as session:
        await session.execute(
            text("UPDATE oauth_client SET jwks = CAST(:jwks AS jsonb) WHERE id = :id"),
            {"jwks": jwks, "id": world.company_client[0]},
        )


def assertion(runtime, world, key, *, header=None, algorithm="ES256", **claims):
    now = int(runtime.clock().timestamp())
    made = {
        "iss": world.company_client[0], "sub": world.company_client[0],
        "aud": f"{URL}/oauth/token", "exp": now + 60, "iat": now, "jti": "one",
        **claims,
    }  # fmt: skip
    made = {name: value for name, value in made.items() if value is not None}
    head = {"alg": algorithm, "kid": key.kid, **(header or {})}
    body = json.dumps(made).encode()
    token = jws.serialize_compact(head, body, key, algorithms=[algorithm])
    return {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


def ec_key() -> ECKey:
    key = ECKey.generate_key("P-256")
    key.ensure_kid()
    return key


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def test_a_token_carries_all_the_client_may_do_unless_it_asks_for_less(client, world):
    everything = await client.post("/oauth/token", data=GRANT, auth=world.agency_clients[0])
    less = await client.post(
        "/oauth/token", data={**GRANT, "scope": "feed:read"}, auth=world.agency_clients[0]
    )

    assert everything.status_code == 200
    assert everything.headers["cache-control"] == "no-store"
    assert everything.json()["token_type"] == "Bearer"
    assert everything.json()["expires_in"] == 900
    assert everything.json()["scope"] == (
        "credits:read credits:write feed:read relays:read relays:write webhooks:read webhooks:write"
    )
    assert less.json()["scope"] == "feed:read"


async def test_a_token_is_a_jwt_that_others_can_check_with_our_published_key(
    client, world, runtime
):
    token = await token_for(client, world.company_client, "credits:read")
    keys = KeySet.import_key_set((await client.get("/oauth/jwks.json")).json())

    read = jwt.decode(token, keys, algorithms=["ES256"])

    now = int(runtime.clock().timestamp())
    assert read.header["typ"] == "at+jwt"
    assert read.header["kid"] == next(iter(keys)).kid
    assert read.claims["iss"] == URL
    assert read.claims["aud"] == URL
    assert read.claims["sub"] == read.claims["client_id"] == world.company_client[0]
    assert read.claims["scope"] == "credits:read"
    assert read.claims["exp"] - read.claims["iat"] == 900
    assert 0 <= now - read.claims["iat"] <= 2
    assert await count(runtime, "oauth_token") == 1


async def test_asking_for_more_than_allowed_is_refused_and_leaves_no_token(client, world, runtime):
    answer = await client.post(
        "/oauth/token", data={**GRANT, "scope": "feed:read"}, auth=world.company_client
    )

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_scope"
    assert await count(runtime, "oauth_token") == 0


@pytest.mark.parametrize("who", ["unknown", "wrong secret", "nobody"])
async def test_strangers_get_no_token(client, world, runtime, who):
    auth = {
        "unknown": ("crc_nobody", "crs_x"),
        "wrong secret": (world.company_client[0], "crs_" + "x" * 43),
        "nobody": None,
    }[who]

    answer = await client.post("/oauth/token", data=GRANT, auth=auth)

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert await count(runtime, "oauth_token") == 0


async def test_a_disabled_client_gets_no_token_and_its_tokens_end(door, world, runtime):
    token = await token_for(door, world.company_client)
    async with runtime.database.transaction(company_id=world.company.id) as session:
        await session.execute(text("UPDATE oauth_client SET enabled = false"))

    again = await door.post("/oauth/token", data=GRANT, auth=world.company_client)
    used = await door.get("/v1/company/who", headers=bearer(token))

    assert again.status_code == 401
    assert used.status_code == 401
    assert used.json()["code"] == "invalid_token"


async def test_two_secrets_work_during_a_rotation(client, world, runtime):
    async with runtime.database.transaction(company_id=world.company.id) as session:
        await session.execute(
            text(
                "UPDATE oauth_client SET secret_hashes = "
                "secret_hashes || jsonb_build_array(encode(sha256('crs_next'), 'hex'))"
            )
        )

    old = await client.post("/oauth/token", data=GRANT, auth=world.company_client)
    new = await client.post("/oauth/token", data=GRANT, auth=(world.company_client[0], "crs_next"))

    assert (old.status_code, new.status_code) == (200, 200)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_a_client_may_sign_in_with_its_own_key(client, world, runtime, algorithm):
    key = ec_key() if algorithm == "ES256" else RSAKey.generate_key(2048, auto_kid=True)
    await give_keys(runtime, world, key)
    form = assertion(runtime, world, key, algorithm=algorithm)

    answer = await client.post("/oauth/token", data=form)
    again = await client.post("/oauth/token", data=form)

    assert answer.status_code == 200
    assert again.status_code == 400
    assert again.json()["error_description"] == "JWT ID is used before."
    assert await count(runtime, "oauth_token") == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"iss": "crc_other"},
        {"sub": "crc_other"},
        {"sub": 7},
        {"sub": None},
        {"exp": None},
        {"exp": 10**18},
        {"exp": -1},
        {"exp": "soon"},
        {"exp": 1e400},
        {"jti": None},
        {"jti": "x" * 256},
        {"jti": "nul\0"},
        {"jti": "\ud800"},
        {"sub": "\ud800", "iss": "\ud800"},
        {"jti": 5},
        {"jti": ["a"]},
        {"nbf": 10**12},
    ],
    ids=str,
)
async def test_an_assertion_out_of_order_is_refused(client, world, runtime, claims):
    key = ec_key()
    await give_keys(runtime, world, key)

    answer = await client.post("/oauth/token", data=assertion(runtime, world, key, **claims))

    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_client", "invalid_request"}
    assert await count(runtime, "oauth_token") == 0
    assert await count(runtime, "oauth_assertion") == 0


async def test_an_assertion_may_live_ten_minutes_and_no_longer(client, world, runtime):
    key = ec_key()
    await give_keys(runtime, world, key)
    now = int(runtime.clock().timestamp())

    good = await client.post(
        "/oauth/token", data=assertion(runtime, world, key, exp=now + 590, jti="a")
    )
    late = await client.post(
        "/oauth/token", data=assertion(runtime, world, key, exp=now + 660, jti="b")
    )

    assert (good.status_code, late.status_code) == (200, 400)


async def test_an_assertion_signed_by_another_key_or_algorithm_is_refused(client, world, runtime):
    key, other = ec_key(), ec_key()
    await give_keys(runtime, world, key)
    forged = assertion(runtime, world, other)
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    body = assertion(runtime, world, key)["client_assertion"].split(".")[1]
    unsigned = {**forged, "client_assertion": f"{head}.{body}."}

    answers = [await client.post("/oauth/token", data=form) for form in (forged, unsigned)]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert await count(runtime, "oauth_token") == 0


async def test_a_client_without_a_registered_key_cannot_sign_in_with_one(client, world, runtime):
    answer = await client.post("/oauth/token", data=assertion(runtime, world, ec_key()))

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client"


FORM = {"content-type": "application/x-www-form-urlencoded"}


def basic(raw: bytes) -> dict[str, str]:
    return {**FORM, "authorization": "Basic " + base64.b64encode(raw).decode()}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (FORM, b"grant_type=client_credentials&grant_type=client_credentials"),
        (FORM, b"grant_type=client_credentials&scope=feed:read&scope=relays:read"),
        (FORM, b"grant_type=client_credentials&scope=%00"),
        (FORM, b"grant_type=%ff"),
        (FORM, b"grant_type=\xff"),
        (FORM, b"grant_type=password"),
        (FORM, b""),
        (FORM, b"&".join(b"a%d=1" % n for n in range(100))),
        ({"content-type": "application/json"}, b'{"grant_type":"client_credentials"}'),
        (basic(b"\xff\xfe:\xff"), b"grant_type=client_credentials"),
        (basic(b"a\0b:c"), b"grant_type=client_credentials"),
        (basic(b"no colon"), b"grant_type=client_credentials"),
        ({**FORM, "authorization": "Basic %%%"}, b"grant_type=client_credentials"),
        ({**FORM, "authorization": "Basic"}, b"grant_type=client_credentials"),
        (
            FORM,
            urlencode(
                {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": "x.y"}
            ).encode(),
        ),
        (
            FORM,
            urlencode(
                {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": "é.é.é"}
            ).encode(),
        ),
        (
            basic(b"a:b"),
            urlencode(
                {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": "a.b.c"}
            ).encode(),
        ),
    ],
)
@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
async def test_no_bytes_break_the_endpoints(client, runtime, endpoint, headers, body):
    answer = await client.post(f"/oauth/{endpoint}", content=body, headers=headers)

    assert answer.status_code in {400, 401}
    assert "error" in answer.json()
    assert await count(runtime, "oauth_token") == 0


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": "x"},
        {"crit": []},
        {"kid": 5},
        {"kid": "unknown"},
        {"b64": False, "crit": ["b64"]},
    ],
    ids=str,
)
async def test_odd_headers_of_an_assertion_are_refused(client, world, runtime, header):
    key = ec_key()
    await give_keys(runtime, world, key, ec_key())
    good = assertion(runtime, world, key)["client_assertion"]
    head = json.dumps({"alg": "ES256", **header}).encode()
    odd = base64.urlsafe_b64encode(head).decode().rstrip("=") + good[good.index(".") :]

    answer = await client.post(
        "/oauth/token",
        data={**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": odd},
    )

    assert answer.status_code == 400
    assert await count(runtime, "oauth_token") == 0


async def test_introspection_tells_the_owner_only(client, world):
    token = await token_for(client, world.company_client, "credits:read")

    mine = await client.post("/oauth/introspect", data={"token": token}, auth=world.company_client)
    others = await client.post(
        "/oauth/introspect", data={"token": token}, auth=world.agency_clients[0]
    )
    garbage = await client.post(
        "/oauth/introspect", data={"token": "a.b.c"}, auth=world.company_client
    )
    nobody = await client.post("/oauth/introspect", data={"token": token})

    assert mine.json()["active"] is True
    assert mine.json()["scope"] == "credits:read"
    assert mine.json()["client_id"] == world.company_client[0]
    assert mine.headers["cache-control"] == "no-store"
    assert (others.json(), garbage.json()) == ({"active": False}, {"active": False})
    assert nobody.status_code == 401


async def test_a_revoked_token_opens_no_door(door, world):
    token = await token_for(door, world.company_client)
    before = await door.get("/v1/company/who", headers=bearer(token))
    foreign = await door.post("/oauth/revoke", data={"token": token}, auth=world.agency_clients[0])
    still = await door.get("/v1/company/who", headers=bearer(token))

    revoked = await door.post("/oauth/revoke", data={"token": token}, auth=world.company_client)
    after = await door.get("/v1/company/who", headers=bearer(token))
    seen = await door.post("/oauth/introspect", data={"token": token}, auth=world.company_client)

    assert [answer.status_code for answer in (before, foreign, still)] == [200, 200, 200]
    assert revoked.status_code == 200
    assert after.status_code == 401
    assert 'error="invalid_token"' in after.headers["www-authenticate"]
    assert seen.json() == {"active": False}


async def test_a_token_ends_after_fifteen_minutes_of_our_clock(door, world, clock):
    token = await token_for(door, world.company_client)
    forward(clock, minutes=14, seconds=50)
    before = await door.get("/v1/company/who", headers=bearer(token))
    forward(clock, seconds=20)
    after = await door.get("/v1/company/who", headers=bearer(token))

    assert (before.status_code, after.status_code) == (200, 401)


async def test_a_door_sets_the_tenant_and_refuses_the_other_kind(door, world, runtime):
    other = await make_world(runtime, slug="other", agencies=0)
    ours = await token_for(door, world.company_client)
    theirs = await token_for(door, other.company_client)
    agencys = await token_for(door, world.agency_clients[0])

    mine = await door.get("/v1/company/who", headers=bearer(ours))
    foreign = await door.get("/v1/company/who", headers=bearer(theirs))
    wrong = await door.get("/v1/company/who", headers=bearer(agencys))
    wrong_too = await door.get("/v1/agency/who", headers=bearer(ours))

    assert mine.json() == {"id": world.company.id, "rows": 2, "name": "hr"}
    assert foreign.json()["id"] == other.company.id
    assert (wrong.status_code, wrong_too.status_code) == (403, 403)


async def test_a_token_without_the_scope_is_told_which_one_is_needed(door, world):
    token = await token_for(door, world.company_client, "relays:read")

    answer = await door.get("/v1/company/who", headers=bearer(token))

    assert answer.status_code == 403
    assert answer.json()["code"] == "insufficient_scope"
    assert 'scope="credits:read"' in answer.headers["www-authenticate"]


async def test_without_a_token_the_door_says_how_to_knock(door):
    answer = await door.get("/v1/company/who")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="career-relay"'
    assert answer.headers["content-type"] == "application/problem+json"


def forge(token, key, *, header=None, **claims):
    read = jwt.decode(token, key, algorithms=["ES256"])
    made = {"alg": "ES256", "kid": key.kid, **({"typ": "at+jwt"} if header is None else header)}
    return jwt.encode(made, {**read.claims, **claims}, key, default_type=None)


@pytest.mark.parametrize("what", ["typ", "no typ", "iss", "aud", "exp", "jti", "tenant", "key"])
async def test_a_token_that_is_not_exactly_ours_is_refused(door, world, runtime, what):
    other = await make_world(runtime, slug="other", agencies=0)
    token = await token_for(door, world.company_client)
    key = ECKey.import_key(signing_key(), {"use": "sig", "alg": "ES256"})
    key.ensure_kid()
    same = await door.get("/v1/company/who", headers=bearer(forge(token, key)))
    made = {
        "typ": lambda: forge(token, key, header={"typ": "JWT"}),
        "no typ": lambda: forge(token, key, header={}),
        "iss": lambda: forge(token, key, iss="https://elsewhere.example"),
        "aud": lambda: forge(token, key, aud="https://elsewhere.example"),
        "exp": lambda: forge(token, key, exp=1),
        "jti": lambda: forge(token, key, jti="tok_unknown"),
        "tenant": lambda: forge(token, key, company_id=other.company.id),
        "key": lambda: jwt.encode(
            {"alg": "ES256", "typ": "at+jwt"}, jwt.decode(token, key).claims, ec_key()
        ),
    }[what]()

    answer = await door.get("/v1/company/who", headers=bearer(made))

    assert same.status_code == 200
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_token"


@pytest.mark.parametrize("token", ["x.y.z", "x", "é", "a.b.c.d.e", "." * 50, "A" * 5000])
async def test_garbage_for_a_token_is_refused(door, token):
    answer = await door.get(
        "/v1/company/who", headers={"authorization": b"Bearer " + token.encode()}
    )

    assert answer.status_code == 401


async def test_after_a_key_rotation_old_tokens_still_work_and_both_keys_are_published(
    door, world, runtime, database_url
):
    token = await token_for(door, world.company_client)
    settings = settings_for(
        database_url, signing_key=SecretStr(new_signing_key()),
        signing_keys_old=SecretStr(signing_key()),
    )  # fmt: skip
    rotated = Runtime.build(settings, runtime.clock)
    transport = httpx2.ASGITransport(create_app(rotated))
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
        keys = (await client.get("/oauth/jwks.json")).json()["keys"]
        seen = await client.post(
            "/oauth/introspect", data={"token": token}, auth=world.company_client
        )
        fresh = await token_for(client, world.company_client)
    old = await door.get("/v1/company/who", headers=bearer(fresh))
    await rotated.database.close()

    assert len(keys) == 2
    assert all("d" not in key for key in keys)
    assert seen.json()["active"] is True
    assert old.status_code == 401


async def test_the_metadata_says_where_everything_is(client):
    told = (await client.get("/.well-known/oauth-authorization-server")).json()

    assert told["issuer"] == URL
    assert told["token_endpoint"] == f"{URL}/oauth/token"
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "private_key_jwt",
    ]


async def test_expired_tokens_and_assertions_are_cleared_away(client, world, runtime, clock):
    key = ec_key()
    await give_keys(runtime, world, key)
    await client.post("/oauth/token", data=assertion(runtime, world, key))
    forward(clock, minutes=10)
    await token_for(client, world.company_client)
    forward(clock, minutes=6)

    await work(runtime)

    assert await count(runtime, "oauth_token") == 1
    assert await count(runtime, "oauth_assertion") == 0


async def test_requests_are_counted_and_the_limit_is_announced(world, database_url, clock):
    runtime = Runtime.build(settings_for(database_url, rate_limit=3), clock)
    router = APIRouter()

    @router.get("/v1/company/who")
    async def who(caller: Annotated[Caller, company("credits:read")]) -> dict[str, Any]:
        return {"id": caller.company_id}

    app = create_app(runtime)
    app.include_router(router)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
        token = await token_for(client, world.company_client)
        answers = [await client.get("/v1/company/who", headers=bearer(token)) for _ in range(4)]
    await runtime.database.close()

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert answers[0].headers["ratelimit"] == '"default";r=2;t=20'
    assert answers[3].json()["code"] == "rate_limited"
    assert answers[3].headers["ratelimit"].startswith('"default";r=0;t=')
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
