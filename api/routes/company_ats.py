"""Connect an applicant tracking system, and see what it delivered."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from api.auth import Caller, company
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Once
from api.routes.ats import connections
from api.shapes import Cursor, Limit, Page, Shape, Text, Utc, page_of
from domain.delivery import AtsConnection, Delivery
from domain.flows import open_account
from domain.flows.change_connection import begin_asking, change_connection, check_keys
from domain.flows.replay_delivery import replay_delivery
from domain.ids import pattern
from domain.ports import Tools
from domain.views.deliveries import events_of

router = APIRouter(prefix="/v1/company/ats", tags=["ats"])

Reader = Annotated[Caller, company("ats:read")]
Writer = Annotated[Caller, company("ats:write")]
ConnectionId = Annotated[str, Path(pattern=pattern("ats"))]
DeliveryId = Annotated[str, Path(pattern=pattern("dlv"))]
OfConnection = Annotated[str | None, Query(pattern=pattern("ats"))]
Secret = Annotated[Text, Field(min_length=1, max_length=500)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Word = Annotated[Text, Field(max_length=200)]


class SettingsIn(BaseModel):
    """How this ATS's words map to ours; other settings are kept for the provider's adapter."""

    model_config = ConfigDict(extra="allow")

    reason_map: dict[Word, Literal["company", "candidate", "other", "hired"]] | None = None
    """Reason id → who ended it, for reasons the vendor does not classify."""
    status_map: dict[Word, Literal["active", "rejected", "withdrawn", "hired"]] | None = None
    """Status id → how the application stands, for systems whose statuses are the customer's own."""
    write_back: bool | None = None
    """Leave a note and a tag in the ATS when a candidate was told, opted in or withdrew."""
    excluded_reasons: list[Word] | None = None
    """Reasons (ids, texts or types) after which nobody is contacted before a person agrees."""
    source_map: dict[Word, Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]] | None = None
    """The vendor's source name → our code (`company_site`, `direct`, …). Unmapped: not eligible."""
    api_base: Annotated[Text, Field(max_length=500, pattern=r"^https?://")] | None = None
    """Overrides the vendor's API host."""
    api_key: Annotated[Text, Field(max_length=2000)] | None = None
    """The credential for the vendor's API. Sealed, never shown again."""


class ConnectionIn(Shape):
    """A new connection. Secrets are sealed and never shown again."""

    provider: Annotated[str, Field(max_length=40)]
    name: Name
    secrets: Annotated[list[Secret], Field(max_length=10)] = Field(default_factory=list)
    secrets_by_event: Annotated[dict[Word, Secret], Field(max_length=50)] = Field(
        default_factory=dict
    )
    public_keys: Annotated[list[Secret], Field(max_length=10)] = Field(default_factory=list)
    settings: SettingsIn = Field(default_factory=SettingsIn)


class ConnectionChange(Shape):
    """What shall be different. `secrets` is the whole list: new and old while you rotate."""

    name: Name | None = None
    enabled: bool | None = None
    secrets: Annotated[list[Secret], Field(max_length=10)] | None = None
    secrets_by_event: Annotated[dict[Word, Secret], Field(max_length=50)] | None = None
    public_keys: Annotated[list[Secret], Field(max_length=10)] | None = None
    settings: SettingsIn | None = None


class ConnectionOut(Shape):
    """A connection. Configure `webhook_url` in the ATS."""

    id: str
    provider: str
    name: str
    enabled: bool
    webhook_url: str | None
    """Null for systems that send no webhooks: we ask their API."""
    public_keys: list[str]
    settings: dict[str, Any]
    refused_signatures: int
    last_delivery_at: Utc | None
    created_at: Utc


class DeliveryOut(Shape):
    """A kept delivery and the canonical events it brought."""

    id: str
    connection_id: str
    provider: str
    provider_event: str | None
    origin: Literal["webhook", "poll"]
    """`poll`: no webhook told us; we found it by asking the vendor's API."""
    received_at: Utc
    processed_at: Utc | None
    status: Literal["received", "processed", "ignored", "failed"]
    events: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    """What each event did: `{type, dedupe_key, effect, application_id, did}`. `effect` is
    `applied`, `overtaken` (something newer was told) or `known`; `did` is `[{what, from, to}]`."""
    error: str | None
    attempts: int
    """How often the vendor's API was asked in vain."""


@router.get("/connections", responses=problems(401, 403, 422, 429))
async def list_connections(
    *, caller: Reader, db: Db, tools: Kit, limit: Limit = 50, cursor: Cursor = None
) -> Page[ConnectionOut]:
    """Your connections, newest first."""
    wanted = select(AtsConnection).where(col(AtsConnection.company_id) == caller.company_id)
    rows, following = await page_of(db, wanted, col(AtsConnection.id), cursor=cursor, limit=limit)
    return Page(data=[await _shown(db, tools, row) for row in rows], next_cursor=following)


@router.post("/connections", status_code=201, responses=problems(400, 401, 403, 409, 422, 429))
async def create_connection(
    *, told: ConnectionIn, caller: Writer, db: Db, tools: Kit, now: Now, once: Once
) -> ConnectionOut:
    """Connect an ATS. The answer has the URL to configure there; secrets are not shown again."""

    async def run() -> ConnectionOut:
        check_keys(tools, told.provider, told.secrets, told.public_keys)
        made = await open_account.connect_ats(
            db,
            tools.sealer,
            caller.company_id or "",
            provider=told.provider,
            name=told.name,
            secrets=told.secrets,
            secrets_by_event=told.secrets_by_event,
            public_keys=told.public_keys,
            settings=told.settings.model_dump(exclude_none=True),
            now=now,
        )
        await begin_asking(db, tools, made, now)
        return await _shown(db, tools, made)

    return await once(run)


@router.patch("/connections/{connection_id}", responses=problems(401, 403, 404, 422, 429))
async def update_connection(
    *,
    connection_id: ConnectionId,
    told: ConnectionChange,
    caller: Writer,
    db: Db,
    tools: Kit,
    now: Now,
    request: Request,
) -> ConnectionOut:
    """Rotate secrets, rename, switch off or on, map words. Takes effect within seconds."""
    change = told.model_dump(exclude_unset=True)
    change = {name: value for name, value in change.items() if value is not None}
    made = await change_connection(
        db, tools, caller.company_id or "", connection_id, change=change, now=now
    )
    shown = await _shown(db, tools, made)
    connections(request).forget(connection_id)
    return shown


@router.get("/deliveries", responses=problems(401, 403, 422, 429))
async def list_deliveries(
    *,
    caller: Reader,
    db: Db,
    tools: Kit,
    connection_id: OfConnection = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeliveryOut]:
    """What was delivered, newest first, with the events it brought."""
    wanted = select(Delivery).where(col(Delivery.company_id) == caller.company_id)
    if connection_id is not None:
        wanted = wanted.where(col(Delivery.connection_id) == connection_id)
    rows, following = await page_of(db, wanted, col(Delivery.id), cursor=cursor, limit=limit)
    events = await events_of(db, tools.sealer, caller.company_id or "", rows)
    return Page(data=[_delivery(row, events[row.id]) for row in rows], next_cursor=following)


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    responses=problems(400, 401, 403, 404, 409, 422, 429),
)
async def replay(
    *, delivery_id: DeliveryId, caller: Writer, db: Db, tools: Kit, now: Now, once: Once
) -> DeliveryOut:
    """Read a delivery again, for example after a mapping was corrected. Effects happen once."""

    async def run() -> DeliveryOut:
        row = await replay_delivery(db, caller.company_id or "", delivery_id, now)
        events = await events_of(db, tools.sealer, row.company_id, [row])
        return _delivery(row, events[row.id])

    return await once(run)


def _delivery(row: Delivery, events: list[dict[str, Any]]) -> DeliveryOut:
    names = set(DeliveryOut.model_fields) - {"events"}
    return DeliveryOut(events=events, **{name: getattr(row, name) for name in names})


async def _shown(session: AsyncSession, tools: Tools, row: AtsConnection) -> ConnectionOut:
    return ConnectionOut(
        id=row.id,
        provider=row.provider,
        name=row.name,
        enabled=row.enabled,
        webhook_url=webhook_url(tools, row),
        public_keys=row.public_keys,
        settings=row.settings,
        refused_signatures=row.refused_signatures,
        last_delivery_at=await _last_delivery(session, row),
        created_at=row.created_at,
    )


def webhook_url(tools: Tools, row: AtsConnection) -> str | None:
    """Where the vendor sends; nothing for a system that we ask instead."""
    if row.provider not in tools.adapters:
        return None
    return f"{tools.public_url}/v1/ats/{row.provider}/{row.id}"


async def _last_delivery(session: AsyncSession, row: AtsConnection) -> datetime | None:
    """By the newest id of the connection: one step into an index, however many there are."""
    newest = (
        select(func.max(Delivery.id))
        .where(col(Delivery.company_id) == row.company_id, col(Delivery.connection_id) == row.id)
        .scalar_subquery()
    )
    wanted = select(Delivery.received_at).where(
        col(Delivery.company_id) == row.company_id, col(Delivery.id) == newest
    )
    return (await session.scalars(wanted)).first()
