"""A system that signs nothing may present an access token of ours (iCIMS)."""

import pytest

from domain.flows.office import open_account
from tests.conftest import forward
from tests.factories import make_world, token_for

pytestmark = pytest.mark.anyio

BODY = b'{"eventType":"PersonCreatedEvent"}'


@pytest.fixture
async def path(company_api):
    answer = await company_api.post(
        "/v1/company/ats/connections", json={"provider": "icims", "name": "iCIMS"}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["webhook_url"].removeprefix("http://relay.test")


async def deliver(client, path, token):
    headers = {"authorization": f"Bearer {token}"}
    return (await client.post(path, content=BODY, headers=headers)).status_code


async def test_our_own_token_with_the_scope_opens_the_door(client, path, world):
    token = await token_for(client, world.company_client, "ats:deliver")

    assert await deliver(client, path, token) == 200


async def test_no_other_token_does(client, path, world, runtime, clock):
    other = await make_world(runtime, slug="other")
    wrong_scope = await token_for(client, world.company_client, "ats:read")
    of_another = await token_for(client, other.company_client, "ats:deliver")
    of_an_agency = await token_for(client, world.agency_clients[0])
    once_valid = await token_for(client, world.company_client, "ats:deliver")

    for token in (wrong_scope, of_another, of_an_agency, once_valid[:-2], "", "x.y.z"):
        assert await deliver(client, path, token) == 401
    forward(clock, minutes=20)
    assert await deliver(client, path, once_valid) == 401


async def test_for_systems_that_sign_a_token_is_no_signature(client, world):
    token = await token_for(client, world.company_client, "ats:deliver")
    greenhouse = f"/v1/ats/greenhouse/{world.connections['greenhouse'].id}"

    assert await deliver(client, greenhouse, token) == 401


async def test_a_token_for_deliveries_only_opens_nothing_else(client, runtime, world):
    async with runtime.database.transaction() as db:
        made, secret = await open_account.register_client(
            db, name="icims", now=runtime.clock(), company_id=world.company.id,
            scopes=["ats:deliver"],
        )  # fmt: skip
    token = await token_for(client, (made.id, secret))
    headers = {"authorization": f"Bearer {token}"}

    for door in ("ats/connections", "ats/deliveries", "applications", "credits"):
        assert (await client.get(f"/v1/company/{door}", headers=headers)).status_code == 403
