"""Connect an applicant tracking system, and see what it delivered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.auth import Caller, company
from api.deps import Db, Kit, Now, Process
from api.errors import problems
from api.idempotency import Once
from api.routes.ats import connections
from api.shapes import (
    Cursor,
    Limit,
    Page,
    Shape,
    Text,
    Utc,
    decode_cursor,
    encode_cursor,
    page_of,
)
from domain.delivery import AtsConnection, Delivery
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.hear.change_connection import begin_asking, change_connection, check_keys
from domain.flows.hear.map_words import MAPS
from domain.flows.hear.poll_connection import poll_now
from domain.flows.hear.replay_delivery import replay_delivery
from domain.flows.hear.replay_range import ask_for_replay
from domain.flows.office import open_account
from domain.ids import pattern
from domain.ports import Tools
from domain.store import find
from domain.views import connections as view
from domain.views.deliveries import events_of
from integrations.safe_http import UnsafeAddress, check_target

router = APIRouter(prefix="/v1/company/ats", tags=["ats"])

Reader = Annotated[Caller, company("ats:read")]
Writer = Annotated[Caller, company("ats:write")]
ConnectionId = Annotated[str, Path(pattern=pattern("ats"))]
DeliveryId = Annotated[str, Path(pattern=pattern("dlv"))]
OfConnection = Annotated[str | None, Query(pattern=pattern("ats"))]
Secret = Annotated[Text, Field(min_length=1, max_length=500)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Word = Annotated[Text, Field(max_length=200)]
Status = Literal["received", "processed", "ignored", "failed"]
OfStatus = Annotated[Status | None, Query()]


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


class PollOut(Shape):
    """How asking the vendor's API goes: `recent` every few minutes, `full` every night."""

    kind: Literal["recent", "full"]
    due_at: Utc | None
    """When it is asked next; null while the connection is off or has no credential."""
    finished_at: Utc | None
    failures: int
    """How often in a row it went wrong."""
    error: str | None
    found: int
    """Ends that no webhook had told us."""


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
    greeted_at: Utc | None
    """When the vendor last tried the URL: a handshake, or a test before there was a secret."""
    last_delivery_at: Utc | None
    polls: list[PollOut]
    """Empty where no API is asked."""
    words_open: int
    """The vendor's reasons and statuses that nobody gave a meaning yet."""
    created_at: Utc


class WordOut(Shape):
    """A reason or a status in the vendor's own words, and what it means."""

    kind: Literal["reason", "status"]
    id: str
    text: str
    suggestion: str | None
    """What we would offer. It never counts by itself."""
    meaning: str | None
    """What `settings.reason_map` or `settings.status_map` says; null: nobody has decided."""
    seen_at: Utc


class ReplayIn(Shape):
    """Which deliveries of a connection shall be read again."""

    connection_id: Annotated[str, Field(pattern=pattern("ats"))]
    status: Status | None = None
    received_from: Utc | None = None
    received_until: Utc | None = None
    """Before this moment; now, unless told."""


class ReplayOut(Shape):
    """What was asked for. It goes on in the background, oldest first."""

    connection_id: str
    status: Status | None
    received_from: Utc | None
    received_until: Utc


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
    status: Status
    events: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    """What each event did: `{type, dedupe_key, effect, application_id, did}`. `effect` is
    `applied`, `overtaken` (something newer was told) or `known`; `did` is `[{what, from, to}]`."""
    error: str | None
    attempts: int
    """How often the vendor's API was asked in vain."""


@router.get("/connections", responses=problems(401, 403, 422, 429))
async def list_connections(
    *, caller: Reader, db: Db, tools: Kit, now: Now, limit: Limit = 50, cursor: Cursor = None
) -> Page[ConnectionOut]:
    """Your connections, newest first."""
    wanted = select(AtsConnection).where(col(AtsConnection.company_id) == caller.company_id)
    rows, following = await page_of(db, wanted, col(AtsConnection.id), cursor=cursor, limit=limit)
    return Page(data=await _shown(db, tools, rows, now), next_cursor=following)


@router.get("/connections/{connection_id}", responses=problems(401, 403, 404, 422, 429))
async def read_connection(
    *, connection_id: ConnectionId, caller: Reader, db: Db, tools: Kit, now: Now
) -> ConnectionOut:
    """One connection and how it is."""
    row = await _connection(db, caller, connection_id)
    return (await _shown(db, tools, [row], now))[0]


@router.get("/connections/{connection_id}/words", responses=problems(401, 403, 404, 422, 429))
async def list_words(
    *,
    connection_id: ConnectionId,
    caller: Reader,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[WordOut]:
    """The vendor's reasons and statuses, for your maps. Map them by `settings.reason_map` and
    `settings.status_map`; what waited for a meaning is then read again.
    """  # noqa: D205 - the description needs both sentences
    row = await _connection(db, caller, connection_id)
    kind, _, word = decode_cursor(cursor).partition(" ") if cursor else ("", "", "")
    found = await view.words_of(db, row.company_id, row.id, after=(kind, word), limit=limit + 1)
    shown = [_word(row, one) for one in found[:limit]]
    more = len(found) > limit
    following = encode_cursor(f"{shown[-1].kind} {shown[-1].id}") if more else None
    return Page(data=shown, next_cursor=following)


@router.post(
    "/connections/{connection_id}/poll",
    status_code=202,
    responses=problems(400, 401, 403, 404, 409, 422, 429),
)
async def poll(
    *, connection_id: ConnectionId, caller: Writer, db: Db, tools: Kit, now: Now, once: Once
) -> ConnectionOut:
    """Ask the vendor's API at once, in the background."""

    async def run() -> ConnectionOut:
        await poll_now(db, tools, caller.company_id or "", connection_id, now)
        row = await _connection(db, caller, connection_id)
        shown = (await _shown(db, tools, [row], now))[0]
        if not any(one.due_at for one in shown.polls):
            detail = "the connection is off or has no credential for the vendor's API"
            raise Conflict(detail, code="api_key_missing")
        return shown

    return await once(run)


@router.post("/connections", status_code=201, responses=problems(400, 401, 403, 409, 422, 429))
async def create_connection(
    *,
    told: ConnectionIn,
    caller: Writer,
    db: Db,
    tools: Kit,
    now: Now,
    once: Once,
    process: Process,
) -> ConnectionOut:
    """Connect an ATS. The answer has the URL to configure there; secrets are not shown again.

    An `api_base` that is not https, or whose host has addresses that are not public, is refused
    (`url_refused`).
    """
    await _check_base(process, told.settings)

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
        return (await _shown(db, tools, [made], now))[0]

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
    process: Process,
) -> ConnectionOut:
    """Rotate secrets, rename, switch off or on, map words. Takes effect within seconds."""
    await _check_base(process, told.settings)
    change = told.model_dump(exclude_unset=True)
    change = {name: value for name, value in change.items() if value is not None}
    made = await change_connection(
        db, tools, caller.company_id or "", connection_id, change=change, now=now
    )
    shown = (await _shown(db, tools, [made], now))[0]
    connections(request).forget(connection_id)
    return shown


@router.get("/deliveries", responses=problems(401, 403, 422, 429))
async def list_deliveries(
    *,
    caller: Reader,
    db: Db,
    tools: Kit,
    connection_id: OfConnection = None,
    status: OfStatus = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeliveryOut]:
    """What was delivered, newest first, with the events it brought."""
    wanted = select(Delivery).where(col(Delivery.company_id) == caller.company_id)
    if connection_id is not None:
        wanted = wanted.where(col(Delivery.connection_id) == connection_id)
    if status is not None:
        wanted = wanted.where(col(Delivery.status) == status)
    rows, following = await page_of(db, wanted, col(Delivery.id), cursor=cursor, limit=limit)
    events = await events_of(db, tools.sealer, caller.company_id or "", rows)
    return Page(data=[_delivery(row, events[row.id]) for row in rows], next_cursor=following)


@router.post(
    "/deliveries/replay", status_code=202, responses=problems(400, 401, 403, 404, 422, 429)
)
async def replay_many(*, told: ReplayIn, caller: Writer, db: Db, now: Now, once: Once) -> ReplayOut:
    """Read many deliveries of a connection again, in the background. Effects happen once."""

    async def run() -> ReplayOut:
        until = told.received_until or now
        await ask_for_replay(
            db, caller.company_id or "", told.connection_id,
            status=told.status, span=(told.received_from, until), now=now,
        )  # fmt: skip
        return ReplayOut(
            connection_id=told.connection_id, status=told.status,
            received_from=told.received_from, received_until=until,
        )  # fmt: skip

    return await once(run)


@router.get("/deliveries/{delivery_id}", responses=problems(401, 403, 404, 422, 429))
async def read_delivery(
    *, delivery_id: DeliveryId, caller: Reader, db: Db, tools: Kit
) -> DeliveryOut:
    """One delivery: the events it brought and what they did."""
    row = await find(db, Delivery, caller.company_id or "", delivery_id)
    if row is None:
        raise NotFound
    events = await events_of(db, tools.sealer, row.company_id, [row])
    return _delivery(row, events[row.id])


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


async def _check_base(process: Process, settings: SettingsIn | None) -> None:
    """What `settings.api_base` names is called with the credential: never our own network."""
    if settings is None or not settings.api_base:
        return
    try:
        private = process.settings.allow_private_networks
        await check_target(settings.api_base, allow_private=private)
    except UnsafeAddress as error:
        raise Invalid(str(error), code="url_refused") from None


async def _connection(session: AsyncSession, caller: Caller, connection_id: str) -> AtsConnection:
    row = await find(session, AtsConnection, caller.company_id or "", connection_id)
    if row is None:
        raise NotFound
    return row


def _word(row: AtsConnection, found: Any) -> WordOut:
    known = row.settings.get(MAPS[found.kind]) or {}
    return WordOut(
        kind=found.kind, id=found.word_id, text=found.text, suggestion=found.suggestion,
        meaning=known.get(found.word_id), seen_at=found.seen_at,
    )  # fmt: skip


async def _shown(
    session: AsyncSession, tools: Tools, rows: Sequence[AtsConnection], now: datetime
) -> list[ConnectionOut]:
    if not rows:
        return []
    ids = [row.id for row in rows]
    health = await view.health_of(session, rows[0].company_id, ids, now)
    names = set(PollOut.model_fields)
    return [
        ConnectionOut(
            id=row.id,
            provider=row.provider,
            name=row.name,
            enabled=row.enabled,
            webhook_url=webhook_url(tools, row),
            public_keys=row.public_keys,
            settings=row.settings,
            refused_signatures=row.refused_signatures,
            greeted_at=row.greeted_at,
            last_delivery_at=health[row.id].last_at,
            polls=[
                PollOut(**{name: getattr(one, name) for name in names})
                for one in health[row.id].polls
            ],
            words_open=health[row.id].words_open,
            created_at=row.created_at,
        )
        for row in rows
    ]


def webhook_url(tools: Tools, row: AtsConnection) -> str | None:
    """Where the vendor sends; nothing for a system that we ask instead."""
    if row.provider not in tools.adapters:
        return None
    return f"{tools.public_url}/v1/ats/{row.provider}/{row.id}"
