"""The API's description: what FastAPI knows of the routes, made exact where it guesses.

Written to `openapi/openapi.json` by `relay openapi`; a test keeps the two the same.
"""

import json
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, SecretStr

from api.auth import new_signing_key
from api.errors import TITLES
from api.shapes import Utc
from domain.relay import STATES
from domain.webhook import PING
from integrations.ed25519 import new_key

OPERATION_METHODS = ("get", "post", "put", "patch", "delete")
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_CONTENT = {"application/problem+json": {"schema": _PROBLEM}}
_ABOUT = """\
Career Relay (キャリアリレー) sees to it that everybody who was interviewed hears the result within
three business days, and relays those who wish it to partner placement agencies.

- Authenticate with an access token from `POST /oauth/token` (client credentials, 15 minutes).
- Every `POST` under `/v1/company` and `/v1/agency` takes an `Idempotency-Key`.
- JSON bodies need `Content-Type: application/json`.
- Times are UTC with `Z`; a time you send may have any zone, but needs one.
- Lists are pages: pass `next_cursor` back as `cursor`.
- Every refusal is a problem document (RFC 9457) whose `code` never changes its meaning.
- How often you may ask is told in `RateLimit-Policy` and `RateLimit`.
"""


class OriginCompany(BaseModel):
    """The company that referred the candidate."""

    id: str
    name: str


class RelayNews(BaseModel):
    """What happened to a relay. Fetch the rest at `url` with an access token."""

    relay_id: str
    company: OriginCompany
    state: Literal[STATES]  # type: ignore[valid-type]
    version: int = Field(description="Counts up; a lower one than you know is old news")
    url: str = Field(description="The relay in this API")
    package: str | None = Field(
        None, description="Sealed mode only: the relay package as a compact JWE to your key"
    )


class RelayWebhook(BaseModel):
    """A webhook's body: thin by default, it carries no personal data."""

    type: str
    timestamp: Utc
    data: RelayNews


class PingWebhook(BaseModel):
    """A test event: answer it with 2xx."""

    type: Literal["webhook.ping"]
    timestamp: Utc
    data: dict[str, Any]


_EVENTS = {
    "relay.created": "A candidate has been relayed to you.",
    "relay.updated": "The state of a relay has changed.",
    "relay.withdrawn": "The candidate has withdrawn: stop using the data and acknowledge it.",
    "relay.corrected": "The candidate's data has been corrected: fetch the package again.",
    "relay.erased": "The candidate asks for erasure: erase what you hold and acknowledge it.",
}
_SIGNED = (
    "\n\nStandard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature` "
    "(`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`). Answer with 2xx within seconds; "
    "anything else is sent again over days. The same `webhook-id` may come twice."
)


def install(app: FastAPI) -> None:
    """Let the app describe itself our way."""
    app.openapi = lambda: build(app)  # type: ignore[method-assign]


def operation_id(route: APIRoute) -> str:
    """Stable and readable: the function's name, after its area (`company_list_relays`)."""
    parts = route.path_format.split("/")
    area = parts[2] if len(parts) > 2 and parts[1] == "v1" else ""  # noqa: PLR2004
    return f"{area}_{route.name}" if area in {"company", "agency"} else route.name


def build(app: FastAPI) -> dict[str, Any]:
    """The whole description, OpenAPI 3.1. Built once per app."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=_ABOUT,
            routes=app.routes,
            webhooks=_webhooks().routes,
            servers=[{"url": "/", "description": "This instance"}],
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        app.openapi_schema = _exact(made)
    return app.openapi_schema


def dump(path: Path) -> None:
    """Write the description, keys sorted, so that a change shows as the lines it changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(build(nowhere())), encoding="utf-8")


def as_text(described: dict[str, Any]) -> str:
    """The description as it is checked in."""
    return json.dumps(described, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def nowhere() -> FastAPI:
    """The app of an instance that is nowhere: describing needs no database."""
    from api.app import create_app  # noqa: PLC0415 - the app imports this module
    from api.runtime import Runtime  # noqa: PLC0415
    from api.settings import Settings  # noqa: PLC0415

    settings = Settings(
        DATABASE_URL=SecretStr("postgresql://nobody@localhost/nothing"),
        keys=SecretStr("k1:" + "A" * 43 + "="),
        pepper=SecretStr("describes only"),
        signing_key=SecretStr(new_signing_key()),
        ledger_key=SecretStr(new_key()),
        public_url="https://relay.example",
    )
    return create_app(Runtime.build(settings))


def _exact(described: dict[str, Any]) -> dict[str, Any]:
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _problem()
    described["components"].setdefault("securitySchemes", {})["client_basic"] = {
        "type": "http", "scheme": "basic", "description": "`client_id` and `client_secret`",
    }  # fmt: skip
    for path, item in described["paths"].items():
        for method in OPERATION_METHODS:
            if method in item:
                item[method]["tags"] = [_area(path)]
                _refusals(path, item[method])
                _parameters(item[method])
    areas = {_area(path) for path in described["paths"]}
    described["tags"] = [{"name": area} for area in sorted(areas)]
    for item in described.get("webhooks", {}).values():
        item["post"]["responses"].pop("422", None)
        item["post"].pop("operationId", None)
    return described


def _area(path: str) -> str:
    """Whose door it is and what it is about: `company: credits`."""
    parts = path.strip("/").split("/")
    if parts[0] != "v1":
        return "oauth" if parts[0] in {"oauth", ".well-known"} else "operations"
    return "ats" if parts[1] == "ats" else f"{parts[1]}: {parts[2]}"


def _refusals(path: str, operation: dict[str, Any]) -> None:
    """FastAPI's own 422 is not what we answer; every door may also refuse in general terms."""
    responses = operation["responses"]
    if "HTTPValidationError" in json.dumps(responses.get("422", {})):
        responses["422"] = {"description": TITLES[422][1], "content": _CONTENT}
    if path.startswith("/v1/"):
        for status in (400, 413, 503):
            responses.setdefault(
                str(status), {"description": TITLES[status][1], "content": _CONTENT}
            )
    if "security" in operation and path.startswith("/v1/"):
        responses.setdefault("429", {"description": TITLES[429][1], "content": _CONTENT})
        responses["429"]["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }


def _parameters(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "idempotency-key":
            # Missing is answered with a 400 of its own, so FastAPI believes it optional.
            parameter["name"] = "Idempotency-Key"
            parameter["required"] = True
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 255}


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    fault = {
        "type": "object",
        "required": ["pointer", "detail"],
        "properties": {"pointer": text, "detail": text},
    }
    return {
        "title": "Problem",
        "description": "A refusal (RFC 9457). `code` is stable; it never quotes what was sent.",
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"type": "integer"},
            "code": text,
            "detail": text,
            "request_id": text,
            "errors": {"type": "array", "items": fault},
        },
    }


def _webhooks() -> APIRouter:
    router = APIRouter()
    for name, about in _EVENTS.items():
        router.add_api_route(
            name, _receiver(RelayWebhook), methods=["POST"], status_code=204, summary=name,
            description=about + _SIGNED, name=name,
        )  # fmt: skip
    router.add_api_route(
        PING, _receiver(PingWebhook), methods=["POST"], status_code=204, summary=PING,
        description="A test of your endpoint." + _SIGNED, name=PING,
    )  # fmt: skip
    return router


def _receiver(kind: type[BaseModel]) -> Any:
    def receive(body: Any) -> None:
        """Yours to write."""

    receive.__annotations__["body"] = kind
    return receive
