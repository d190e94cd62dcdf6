"""Agencies: where their webhooks go (Standard Webhooks), and what became of each delivery."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlmodel import col, select

from api.auth import Caller, agency
from api.deps import Db, Kit, Now, Process
from api.errors import problems
from api.idempotency import Once
from api.runtime import Runtime
from api.shapes import Cursor, Limit, Page, Shape, Text, Utc, page_of
from domain.errors import Invalid, NotFound
from domain.flows.relay.manage_endpoint import (
    EndpointWish,
    change_endpoint,
    redeliver,
    register_endpoint,
    remove_endpoint,
    rotate_secret,
)
from domain.ids import pattern
from domain.webhook import WebhookEndpoint, WebhookMessage
from integrations.jwe import UnfitKey, check_key
from integrations.safe_http import UnsafeAddress, check_target

router = APIRouter(prefix="/v1/agency/webhook-endpoints", tags=["agency: webhooks"])

EndpointId = Annotated[str, Path(pattern=pattern("whe"))]
MessageId = Annotated[str, Path(pattern=pattern("msg"))]
EventType = Literal[
    "relay.created", "relay.updated", "relay.withdrawn", "relay.corrected", "relay.erased"
]
Url = Annotated[
    Text, Field(min_length=1, max_length=2000, examples=["https://hooks.aozora.example/relay"])
]
_KEY_HINT = "Public JWK: RSA (2048 bits or more, RSA-OAEP-256), EC or X25519 (ECDH-ES); A256GCM"


class EndpointIn(Shape):
    """A new endpoint."""

    url: Url
    event_types: list[EventType] | None = Field(
        default=None,
        description="Null: all. Withdrawals, corrections and erasures come in any case",
    )
    payload_mode: Literal["thin", "sealed"] = "thin"
    encryption_key: dict[str, Any] | None = Field(default=None, description=_KEY_HINT)


class EndpointChange(Shape):
    """What shall change; what is left out stays."""

    url: Url | None = None
    event_types: list[EventType] | None = None
    payload_mode: Literal["thin", "sealed"] | None = None
    encryption_key: dict[str, Any] | None = Field(default=None, description=_KEY_HINT)
    enabled: bool | None = Field(default=None, description="`true` brings a disabled one back")


class Endpoint(BaseModel):
    """An endpoint. Its secret is shown only when it is made."""

    id: str
    url: str
    event_types: list[str] | None
    payload_mode: Literal["thin", "sealed"]
    encryption_key: dict[str, Any] | None
    state: Literal["healthy", "degraded", "disabled"]
    failures: int = Field(description="In a row, since the last success")
    last_success_at: Utc | None
    previous_secret_until: Utc | None = Field(description="Until then two secrets sign")
    created_at: Utc


class EndpointMade(Endpoint):
    """An endpoint with its secret, shown this once."""

    secret: str = Field(examples=["whsec_…"])


class WebhookDelivery(BaseModel):
    """One event for one endpoint, and how its tries went."""

    id: str
    type: str
    relay_id: str | None
    urgent: bool
    state: Literal["pending", "delivered", "failed", "cancelled"]
    attempts: int
    next_attempt_at: Utc | None
    last_attempt_at: Utc | None
    last_status: int | None
    last_error: str | None
    last_answer: str | None = Field(description="The beginning of what your receiver said")
    last_duration_ms: int | None
    created_at: Utc
    delivered_at: Utc | None


@router.get("", responses=problems(401, 403, 422))
async def list_endpoints(
    caller: Annotated[Caller, agency("webhooks:read")],
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Endpoint]:
    """Your endpoints, newest first."""
    wanted = select(WebhookEndpoint).where(col(WebhookEndpoint.agency_id) == caller.agency_id)
    rows, following = await page_of(db, wanted, col(WebhookEndpoint.id), cursor=cursor, limit=limit)
    return Page(data=[_shown(row) for row in rows], next_cursor=following)


@router.post("", status_code=201, responses=problems(400, 401, 403, 409, 422))
async def register(
    *,
    wish: EndpointIn,
    caller: Annotated[Caller, agency("webhooks:write")],
    db: Db,
    kit: Kit,
    process: Process,
    now: Now,
    once: Once,
) -> EndpointMade:
    """Register an endpoint. It is used at once; the first thing it gets is a `webhook.ping`.

    The `secret` is shown in this answer only. Deliveries are signed as Standard Webhooks say. Only
    2xx counts as received, 410 disables the endpoint; redirects are failures. Addresses that are
    not public are refused (`url_refused`).
    """

    async def run() -> EndpointMade:
        await _check_url(process, wish.url)
        key = _check_key(wish.encryption_key)
        asked = EndpointWish(wish.url, _listed(wish.event_types), wish.payload_mode, key)
        made, secret = await register_endpoint(db, kit.sealer, caller.agency_id or "", asked, now)
        return EndpointMade(**_shown(made).model_dump(), secret=secret)

    return await once(run)


@router.get("/{endpoint_id}", responses=problems(401, 403, 404, 422))
async def read_endpoint(
    endpoint_id: EndpointId, caller: Annotated[Caller, agency("webhooks:read")], db: Db
) -> Endpoint:
    """One endpoint and its health."""
    return _shown(await _endpoint(db, caller, endpoint_id))


@router.patch("/{endpoint_id}", responses=problems(401, 403, 404, 409, 422))
async def change(
    *,
    endpoint_id: EndpointId,
    wish: EndpointChange,
    caller: Annotated[Caller, agency("webhooks:write")],
    db: Db,
    process: Process,
    now: Now,
) -> Endpoint:
    """Change an endpoint, or enable a disabled one. A new URL is pinged like a new endpoint.

    After a pause, follow the feed from your last cursor: it holds everything you missed.
    """
    changes = wish.model_dump(exclude_unset=True)
    if changes.get("url") is not None:
        await _check_url(process, changes["url"])
    for name in ("url", "payload_mode", "enabled"):
        if name in changes and changes[name] is None:
            del changes[name]
    if changes.get("encryption_key") is not None:
        changes["encryption_key"] = _check_key(changes["encryption_key"])
    return _shown(await change_endpoint(db, caller.agency_id or "", endpoint_id, changes, now=now))


@router.delete("/{endpoint_id}", status_code=204, responses=problems(401, 403, 404, 422))
async def remove(
    endpoint_id: EndpointId, caller: Annotated[Caller, agency("webhooks:write")], db: Db
) -> None:
    """Remove an endpoint and what waits for it. The feed still tells everything."""
    await remove_endpoint(db, caller.agency_id or "", endpoint_id)


@router.post("/{endpoint_id}/rotate-secret", responses=problems(400, 401, 403, 404, 409, 422))
async def rotate(
    *,
    endpoint_id: EndpointId,
    caller: Annotated[Caller, agency("webhooks:write")],
    db: Db,
    kit: Kit,
    now: Now,
    once: Once,
) -> EndpointMade:
    """A new secret, shown this once. For 24 hours the old one signs too."""

    async def run() -> EndpointMade:
        made, secret = await rotate_secret(db, kit.sealer, caller.agency_id or "", endpoint_id, now)
        return EndpointMade(**_shown(made).model_dump(), secret=secret)

    return await once(run)


@router.get("/{endpoint_id}/deliveries", responses=problems(401, 403, 404, 422))
async def list_deliveries(
    *,
    endpoint_id: EndpointId,
    caller: Annotated[Caller, agency("webhooks:read")],
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[WebhookDelivery]:
    """What was sent or waits to be sent, newest first. Bodies are not kept."""
    await _endpoint(db, caller, endpoint_id)
    wanted = select(WebhookMessage).where(
        col(WebhookMessage.agency_id) == caller.agency_id,
        col(WebhookMessage.endpoint_id) == endpoint_id,
    )
    rows, following = await page_of(db, wanted, col(WebhookMessage.id), cursor=cursor, limit=limit)
    shown = [WebhookDelivery.model_validate(row, from_attributes=True) for row in rows]
    return Page(data=shown, next_cursor=following)


@router.post(
    "/{endpoint_id}/deliveries/{message_id}/redeliver",
    status_code=202,
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def send_again(
    *,
    endpoint_id: EndpointId,
    message_id: MessageId,
    caller: Annotated[Caller, agency("webhooks:write")],
    db: Db,
    now: Now,
    once: Once,
) -> WebhookDelivery:
    """Send an event again under its id, with what is true now."""

    async def run() -> WebhookDelivery:
        message = await redeliver(db, caller.agency_id or "", endpoint_id, message_id, now)
        return WebhookDelivery.model_validate(message, from_attributes=True)

    return await once(run)


async def _endpoint(db: Db, caller: Caller, endpoint_id: str) -> WebhookEndpoint:
    found = await db.get(WebhookEndpoint, (caller.agency_id, endpoint_id))
    if found is None:
        raise NotFound
    return found


def _shown(endpoint: WebhookEndpoint) -> Endpoint:
    return Endpoint.model_validate(endpoint, from_attributes=True)


def _listed(types: list[EventType] | None) -> list[str] | None:
    return None if types is None else [str(one) for one in types]


async def _check_url(process: Runtime, url: str) -> None:
    private = process.settings.allow_private_networks
    ours = urlsplit(process.settings.base_url).hostname
    try:
        await check_target(url, allow_private=private)
    except UnsafeAddress as error:
        raise Invalid(str(error), code="url_refused") from None
    if not private and urlsplit(url).hostname == ours:
        detail = "this is our own address"
        raise Invalid(detail, code="url_refused")


def _check_key(key: dict[str, Any] | None) -> dict[str, Any] | None:
    if key is None:
        return None
    try:
        return check_key(key)
    except UnfitKey as error:
        raise Invalid(str(error), code="encryption_key_refused") from None
