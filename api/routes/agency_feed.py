"""Agencies: the change feed and its snapshot."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from api.auth import Caller, agency
from api.deps import Db, Kit, Now, Process
from api.errors import problems
from api.packages import signed
from api.routes.agency_relays import CompanyRef, RelayPackage, State, package_url
from api.runtime import Runtime
from api.shapes import Cursor, Utc, utc_text
from domain.errors import Forbidden, Refusal
from domain.flows.relay.forward_relay import note_feed_read
from domain.flows.relay.provide_package import provide_package
from domain.views.feed import (
    FeedPage,
    Line,
    current_lines,
    make_cursor,
    read_feed,
    snapshot_start,
)

router = APIRouter(prefix="/v1/agency/feed", tags=["agency: feed"])

NDJSON = "application/x-ndjson"
FeedLimit = Annotated[int, Query(ge=1, le=1000, description="Lines per page")]
_NO_STORE = {"cache-control": "no-store", "vary": "accept, authorization"}


class FeedRelay(BaseModel):
    """A relay in the feed: ids and states, no data about the person."""

    id: str
    company: CompanyRef
    state: State
    version: int
    reason: str | None
    forwarded_at: Utc | None
    closed_at: Utc | None


class FeedLine(BaseModel):
    """The newest about one relay. `relay.removed`: delete what you hold about it."""

    type: Literal["relay.upserted", "relay.removed"]
    relay_id: str
    version: int
    changed_at: Utc
    reason: str | None = Field(description="Why it was removed")
    relay: FeedRelay | None
    package_url: str | None
    package: RelayPackage | None = Field(default=None, description="With `include=package`")
    package_unavailable: str | None = Field(
        default=None, description="With `include=package`: why there is no package, as a code"
    )


class Feed(BaseModel):
    """A page of the feed. Keep `next_cursor` also on the last page: ask with it again later."""

    data: list[FeedLine]
    next_cursor: str
    has_more: bool


@router.get(
    "",
    response_model=Feed,
    responses={
        200: {"content": {NDJSON: {"schema": {"type": "string"}}}},
        304: {"description": "Nothing has changed since the answer with this ETag"},
        **problems(400, 401, 403, 410, 422),
    },
)
async def read(
    *,
    caller: Annotated[Caller, agency("feed:read")],
    db: Db,
    kit: Kit,
    process: Process,
    now: Now,
    limit: FeedLimit = 200,
    cursor: Cursor = None,
    include: Annotated[
        Literal["package"] | None, Query(description="`package` hands the packages over as well")
    ] = None,
    accept: Annotated[str, Header()] = "application/json",
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:
    """Everything that changed after a cursor, in commit order: the newest state of each relay.

    Without a cursor it starts at the beginning. `relay.removed` lines say that you must delete.
    With `Accept: application/x-ndjson` there is a line per relay and a last line
    `{"type": "feed.cursor", "next_cursor": …, "has_more": …}`; an answer without its end was cut
    off and must be asked for again. `include=package` (scope `relays:read`) records a hand-over
    per line. 410 (`cursor_expired`, `cursor_reset`): read `/v1/agency/feed/snapshot`. Poll at most
    every ten seconds.
    """
    agency_id = caller.agency_id or ""
    if include is not None and "relays:read" not in caller.scopes:
        detail = "include=package needs the scope relays:read"
        raise Forbidden(detail, code="insufficient_scope")
    page = await read_feed(db, kit.sealer, agency_id, cursor=cursor, limit=limit, now=now)
    await note_feed_read(db, agency_id, now)
    following = make_cursor(kit.sealer, agency_id, page.epoch, page.end, now)
    ndjson = NDJSON in accept
    if include is not None and page.lines:
        return _with_packages(process, caller, page, following, ndjson=ndjson)
    etag = _etag(page, cursor, ndjson=ndjson)
    headers = {**_NO_STORE, "etag": etag}
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers=headers)
    rows = [shown(line, kit.public_url) for line in page.lines]
    if ndjson:
        text = "".join(_text(row) for row in [*rows, _end(following, page)])
        return Response(text, media_type=NDJSON, headers=headers)
    body = {"data": rows, "next_cursor": following, "has_more": page.has_more}
    return JSONResponse(body, headers=headers)


@router.get(
    "/snapshot",
    response_class=StreamingResponse,
    responses={200: {"content": {NDJSON: {}}}, **problems(401, 403)},
)
async def snapshot(
    caller: Annotated[Caller, agency("feed:read")], db: Db, kit: Kit, process: Process, now: Now
) -> Any:
    """Every relay that is current, as NDJSON, with the cursor to go on from.

    The first line is `{"type": "snapshot.begin", "resume_cursor": …}`, the last one
    `{"type": "snapshot.end", "count": n, "complete": true}`. Delete whatever you hold that is not
    in a complete snapshot; throw a download without its last line away.
    """
    agency_id = caller.agency_id or ""
    epoch, place = await snapshot_start(db)
    await note_feed_read(db, agency_id, now)
    resume = make_cursor(kit.sealer, agency_id, epoch, place, now)
    head = {
        "type": "snapshot.begin",
        "resume_cursor": resume,
        "feed_epoch": epoch,
        "taken_at": utc_text(now),
    }
    stream = _snapshot_lines(process, agency_id, head)
    return StreamingResponse(stream, media_type=NDJSON, headers=_NO_STORE)


def shown(line: Line, public_url: str) -> dict[str, Any]:
    """A line as it leaves. A removed relay shows nothing but that it is gone."""
    kept = line.op == "upsert" and line.state is not None
    return {
        "type": "relay.upserted" if kept else "relay.removed",
        "relay_id": line.relay_id,
        "version": line.version,
        "changed_at": utc_text(line.changed_at),
        "reason": line.reason,
        "relay": _relay(line) if kept else None,
        "package_url": package_url(line.relay_id, public_url) if kept else None,
    }


def _relay(line: Line) -> dict[str, Any]:
    return {
        "id": line.relay_id,
        "company": {"id": line.company_id, "name": line.company_name},
        "state": line.state,
        "version": line.version,
        "reason": line.relay_reason,
        "forwarded_at": utc_text(line.forwarded_at) if line.forwarded_at else None,
        "closed_at": utc_text(line.closed_at) if line.closed_at else None,
    }


def _with_packages(
    process: Runtime, caller: Caller, page: FeedPage, following: str, *, ndjson: bool
) -> StreamingResponse:
    rows = _rows_with_packages(process, caller, page)
    body = _as_ndjson(rows, _end(following, page)) if ndjson else _as_json(rows, page, following)
    media = NDJSON if ndjson else "application/json"
    return StreamingResponse(body, media_type=media, headers=_NO_STORE)


async def _rows_with_packages(
    process: Runtime, caller: Caller, page: FeedPage
) -> AsyncIterator[dict[str, Any]]:
    """Each package in a transaction of its own: recorded and committed before its line leaves."""
    for line in page.lines:
        row = shown(line, process.tools.public_url)
        if row["relay"] is not None:
            row |= await _package(process, caller, line.relay_id)
        yield row


async def _package(process: Runtime, caller: Caller, relay_id: str) -> dict[str, Any]:
    agency_id = caller.agency_id or ""
    try:
        async with process.database.transaction(agency_id=agency_id) as session:
            provided = await provide_package(
                session, process.tools, agency_id, relay_id,
                channel="feed", client_id=caller.client_id, now=process.clock(),
            )  # fmt: skip
    except Refusal as refusal:
        return {"package": None, "package_unavailable": refusal.code}
    return {"package": signed(process, provided), "package_unavailable": None}


async def _as_ndjson(
    rows: AsyncIterator[dict[str, Any]], end: dict[str, Any]
) -> AsyncIterator[str]:
    async for row in rows:
        yield _text(row)
    yield _text(end)


async def _as_json(
    rows: AsyncIterator[dict[str, Any]], page: FeedPage, following: str
) -> AsyncIterator[str]:
    yield '{"data":['
    first = True
    async for row in rows:
        yield ("" if first else ",") + _text(row)
        first = False
    yield f'],"next_cursor":{json.dumps(following)},"has_more":{json.dumps(page.has_more)}}}'


async def _snapshot_lines(
    process: Runtime, agency_id: str, head: dict[str, Any]
) -> AsyncIterator[str]:
    """Page by page in short transactions: a slow reader holds nothing open."""
    yield _text(head)
    count, after = 0, ""
    while True:
        async with process.database.transaction(agency_id=agency_id) as session:
            lines = await current_lines(session, agency_id, after)
        if not lines:
            break
        yield "".join(_text(shown(line, process.tools.public_url)) for line in lines)
        count, after = count + len(lines), lines[-1].relay_id
    yield _text({"type": "snapshot.end", "count": count, "complete": True})


def _end(following: str, page: FeedPage) -> dict[str, Any]:
    return {"type": "feed.cursor", "next_cursor": following, "has_more": page.has_more}


def _etag(page: FeedPage, cursor: str | None, *, ndjson: bool) -> str:
    """Names what the page says; the cursor's own date is not part of it."""
    end = page.end
    said = f"{page.epoch}:{cursor}:{end.xid}:{end.position}:{len(page.lines)}:{page.has_more}"
    return f'W/"{sha256(f"{said}:{ndjson}".encode()).hexdigest()[:32]}"'


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
