import pytest

pytestmark = pytest.mark.anyio


async def test_a_token(client, world):
    answer = await client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=world.company_client)
    assert answer.status_code == 200, answer.text
    print(answer.json(), answer.headers)
    token = answer.json()["access_token"]
    a = await client.post("/oauth/introspect", data={"token": token}, auth=world.company_client)
    print(a.json())
