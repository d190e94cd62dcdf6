"""The description is exact, complete and checked in."""

import json
from pathlib import Path

import pytest

from api import openapi

CHECKED_IN = Path(__file__).parents[2] / "openapi" / "openapi.json"


@pytest.fixture(scope="module")
def described():
    return openapi.build(openapi.nowhere())


def operations(described):
    return [
        (method.upper(), path, item[method])
        for path, item in described["paths"].items()
        for method in openapi.OPERATION_METHODS
        if method in item
    ]


def test_the_checked_in_description_is_up_to_date(described):
    assert CHECKED_IN.read_text(encoding="utf-8") == openapi.as_text(described), (
        "run `make openapi`"
    )


def test_dump_writes_it(tmp_path, described):
    openapi.dump(tmp_path / "deep" / "openapi.json")

    assert (tmp_path / "deep" / "openapi.json").read_text() == openapi.as_text(described)


@pytest.mark.anyio
async def test_the_app_serves_its_description(client, described):
    answer = await client.get("/openapi.json")

    assert answer.json() == json.loads(openapi.as_text(described))
    assert answer.json()["openapi"] == "3.1.0"


def test_operation_ids_are_there_and_unique(described):
    ids = [operation["operationId"] for _, _, operation in operations(described)]

    assert len(ids) == len(set(ids))
    assert all(name.isidentifier() for name in ids)


def test_every_operation_says_what_it_is_for(described):
    silent = [
        (method, path)
        for method, path, operation in operations(described)
        if not operation.get("description")
    ]

    assert silent == []


def test_refusals_are_problems_everywhere(described):
    text = openapi.as_text(described)

    assert "HTTPValidationError" not in text
    wrong = [
        (method, path, status)
        for method, path, operation in operations(described)
        for status, response in operation["responses"].items()
        if path.startswith("/v1/")
        and status >= "400"
        and "application/problem+json" not in response.get("content", {})
    ]
    assert wrong == []


def test_every_reference_leads_somewhere(described):
    text = openapi.as_text(described)
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}

    assert names <= set(described["components"]["schemas"])


def test_the_webhooks_we_send_are_described(described):
    assert set(described["webhooks"]) == {
        "relay.created", "relay.updated", "relay.withdrawn", "relay.corrected", "relay.erased",
        "webhook.ping",
    }  # fmt: skip
    body = described["webhooks"]["relay.created"]["post"]["requestBody"]["content"]
    assert body["application/json"]["schema"] == {"$ref": "#/components/schemas/RelayWebhook"}


def test_the_two_kinds_of_clients_have_their_own_scopes(described):
    schemes = described["components"]["securitySchemes"]

    def scopes(name):
        return set(schemes[name]["flows"]["clientCredentials"]["scopes"])

    assert "credits:read" in scopes("company_client")
    assert "feed:read" in scopes("agency_client")
    assert "feed:read" not in scopes("company_client")


@pytest.mark.anyio
async def test_the_docs_page_needs_nothing_from_elsewhere(client):
    answer = await client.get("/docs")

    assert answer.status_code == 200
    assert "http" not in answer.text.replace("openapi", "")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
