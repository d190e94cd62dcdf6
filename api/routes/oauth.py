"""The authorization server's doors (RFC 6749, 7662, 7009, 8414)."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from api import oauth
from api.auth import issuer
from api.deps import Process

router = APIRouter(tags=["oauth"])

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
_CLIENT_AUTH = {
    "client_assertion_type": {
        "type": "string",
        "description": "`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, "
        "instead of HTTP Basic",
    },
    "client_assertion": {"type": "string", "description": "A JWT signed by the client's own key"},
}
_TOKEN_FIELD = {
    "token": {"type": "string"},
    "token_type_hint": {"type": "string", "enum": ["access_token"]},
}


def _form(required: list[str], fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": {**fields, **_CLIENT_AUTH}}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": schema}},
        },
        "security": [{"client_basic": []}, {}],
    }


def _answers(description: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    refused = {"content": {"application/json": {"schema": _ERROR}}}
    return {
        200: {"description": description, "content": {"application/json": {"schema": schema}}},
        400: {"description": "The request is refused (RFC 6749, 5.2)", **refused},
        401: {"description": "The client could not be authenticated", **refused},
    }


@router.post(
    "/oauth/token",
    responses=_answers(
        "An access token",
        {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in", "scope"],
            "properties": {
                "access_token": {"type": "string"},
                "token_type": {"const": "Bearer"},
                "expires_in": {"type": "integer", "description": "Seconds"},
                "scope": {"type": "string", "description": "Granted scopes, separated by spaces"},
            },
        },
    ),
    openapi_extra=_form(
        ["grant_type"],
        {
            "grant_type": {"type": "string", "enum": ["client_credentials"]},
            "scope": {"type": "string"},
        },
    ),
)
async def create_token(request: Request, process: Process) -> Response:
    """Exchange the client's credentials for an access token that lives 15 minutes.

    Authenticate with HTTP Basic or with `private_key_jwt`. Without `scope` the token carries
    everything the client may do.
    """
    return await oauth.answer(process, request, "token")


@router.post(
    "/oauth/introspect",
    responses=_answers(
        "What the token is worth now",
        {
            "type": "object",
            "required": ["active"],
            "properties": {"active": {"type": "boolean"}, "scope": {"type": "string"}},
        },
    ),
    openapi_extra=_form(["token"], _TOKEN_FIELD),
)
async def introspect_token(request: Request, process: Process) -> Response:
    """Ask whether one of the client's own tokens is still active. Others' look inactive."""
    return await oauth.answer(process, request, "introspect")


@router.post(
    "/oauth/revoke",
    responses=_answers("Revoked, or it was none of this client's", {"type": "object"}),
    openapi_extra=_form(["token"], _TOKEN_FIELD),
)
async def revoke_token(request: Request, process: Process) -> Response:
    """Give a token back: from now on every door refuses it."""
    return await oauth.answer(process, request, "revoke")


@router.get("/.well-known/oauth-authorization-server")
async def describe_server(process: Process) -> dict[str, Any]:
    """What this authorization server offers and where (RFC 8414)."""
    return oauth.metadata(process.settings.base_url)


@router.get("/oauth/jwks.json")
async def list_keys(process: Process) -> JSONResponse:
    """The public keys that sign access tokens, the previous one included during rotation."""
    keys = issuer(process.settings).jwks()
    return JSONResponse(keys, headers={"cache-control": "public, max-age=300"})
