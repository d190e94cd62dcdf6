"""An agency's feed: one current line per relay, in an order that loses nothing.

Lines are read in (xid, position) order below the snapshot's xmin: every transaction below it has
ended, so nothing can still appear behind a place that was read. A change gives a line a new place.
A cursor is signed and names epoch, place and day; the epoch grows when a database is restored,
because transaction ids start again then.
"""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import Gone, Refusal
from domain.ports import Sealer

CURSOR_LIFE = timedelta(days=180)
TOMBSTONE_LIFE = timedelta(days=400)
"""A removed line stays this long: longer than any cursor that has not seen it."""
SNAPSHOT_PAGE = 1000
EPOCH_FACT = "feed_epoch"

REMOVED_LONG_AGO = (
    "SELECT agency_id, relay_id FROM feed_item WHERE op = 'remove'"  # noqa: S608
    f" AND changed_at <= CAST(:now AS timestamptz) - interval '{TOMBSTONE_LIFE.days} days'"
    " ORDER BY changed_at LIMIT 500"
)
"""(agency, relay) of lines nobody needs any more, across agencies."""

_FORM = struct.Struct(">BIIQQ")
_VERSION = 1
_MAC = 16

_COLUMNS = """
  i.relay_id, i.company_id, i.op, i.version, i.reason, i.changed_at,
  i.xid::text::bigint AS xid, i.position,
  r.state, r.forwarded_at, r.closed_at, r.reason AS relay_reason,
  c.name AS company_name
FROM feed_item i
LEFT JOIN relay r ON r.company_id = i.company_id AND r.id = i.relay_id
LEFT JOIN company c ON c.id = i.company_id
WHERE i.agency_id = :agency
"""
_PAGE = text(
    f"SELECT {_COLUMNS} AND (i.xid, i.position) > (CAST(CAST(:xid AS text) AS xid8), :position)"
    " AND i.xid < pg_snapshot_xmin(pg_current_snapshot())"
    " ORDER BY i.xid, i.position LIMIT :limit"
)
_CURRENT = text(
    f"SELECT {_COLUMNS} AND i.op = 'upsert' AND i.relay_id > :after"
    " ORDER BY i.relay_id LIMIT :limit"
)
_FORGET = text(
    "DELETE FROM feed_item WHERE agency_id = :agency AND relay_id = :relay"
    " AND op = 'remove' AND changed_at <= :until"
)
_BOUNDS = text(
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS safe,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,"
    " (SELECT value FROM instance_fact WHERE name = 'feed_epoch') AS epoch"
)


class BadCursor(Refusal):
    """The cursor is not one of ours, or was made for somebody else."""

    code = "invalid_cursor"


@dataclass(frozen=True)
class Place:
    """Where a reader stands: everything up to here was read."""

    xid: int = 0
    position: int = 0


@dataclass(frozen=True)
class Line:
    """One row of the feed. A removed relay has no content any more."""

    relay_id: str
    company_id: str
    company_name: str
    op: str
    version: int
    reason: str | None
    changed_at: datetime
    place: Place
    state: str | None
    forwarded_at: datetime | None
    closed_at: datetime | None
    relay_reason: str | None


@dataclass(frozen=True)
class FeedPage:
    """Lines in order, where the reader stands after them, and whether there are more right now."""

    lines: list[Line]
    end: Place
    has_more: bool
    epoch: int


async def read_feed(
    session: AsyncSession,
    sealer: Sealer,
    agency_id: str,
    *,
    cursor: str | None,
    limit: int,
    now: datetime,
) -> FeedPage:
    """The lines after a cursor (null: from the beginning). The transaction works for the agency.

    Raises `BadCursor`, or `Gone`: `cursor_reset` after a restore, `cursor_expired` after 180 days;
    both are answered by the snapshot.
    """
    bounds = (await session.execute(_BOUNDS)).one()
    epoch = int(bounds.epoch or 1)
    start = _open(sealer, agency_id, cursor, epoch, now) if cursor is not None else Place()
    if start.xid > bounds.next:
        raise _reset()
    values = {"agency": agency_id, "xid": str(start.xid), "position": start.position}
    rows = (await session.execute(_PAGE, {**values, "limit": limit + 1})).all()
    lines = [_line(row) for row in rows[:limit]]
    return FeedPage(lines, lines[-1].place if lines else start, len(rows) > limit, epoch)


async def snapshot_start(session: AsyncSession) -> tuple[int, Place]:
    """Epoch, and where to go on after a snapshot that begins now: nothing later is missed."""
    bounds = (await session.execute(_BOUNDS)).one()
    return int(bounds.epoch or 1), Place(bounds.safe, 0)


async def current_lines(session: AsyncSession, agency_id: str, after: str) -> list[Line]:
    """A page of the relays that are current, by id.

    A line that changes meanwhile comes again by the feed, so pages may be read one by one.
    """
    values = {"agency": agency_id, "after": after, "limit": SNAPSHOT_PAGE}
    return [_line(row) for row in (await session.execute(_CURRENT, values)).all()]


async def forget_line(session: AsyncSession, agency_id: str, relay_id: str, now: datetime) -> None:
    """Drop a removed line that no cursor in force can have missed."""
    await session.execute(
        _FORGET, {"agency": agency_id, "relay": relay_id, "until": now - TOMBSTONE_LIFE}
    )


def make_cursor(sealer: Sealer, agency_id: str, epoch: int, place: Place, now: datetime) -> str:
    """An opaque, signed place in one agency's feed."""
    minutes = int(now.timestamp()) // 60
    plain = _FORM.pack(_VERSION, epoch, minutes, place.xid, place.position)
    return base64.urlsafe_b64encode(plain + _mac(sealer, agency_id, plain)).decode().rstrip("=")


def _open(sealer: Sealer, agency_id: str, cursor: str, epoch: int, now: datetime) -> Place:
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        plain, mac = raw[: _FORM.size], raw[_FORM.size :]
        version, made_in, minutes, xid, position = _FORM.unpack(plain)
    except (binascii.Error, ValueError, struct.error):
        raise BadCursor from None
    if version != _VERSION or not hmac.compare_digest(mac, _mac(sealer, agency_id, plain)):
        raise BadCursor
    if made_in != epoch:
        raise _reset()
    if now - datetime.fromtimestamp(minutes * 60, UTC) > CURSOR_LIFE:
        detail = "the cursor is older than 180 days; read the snapshot"
        raise Gone(detail, code="cursor_expired")
    return Place(xid, position)


def _reset() -> Gone:
    detail = "the feed was restored; read the snapshot"
    return Gone(detail, code="cursor_reset")


def _mac(sealer: Sealer, agency_id: str, plain: bytes) -> bytes:
    return sealer.blind("feed-cursor", f"{agency_id}:{plain.hex()}")[:_MAC]


def _line(row: Any) -> Line:
    return Line(
        relay_id=row.relay_id,
        company_id=row.company_id,
        company_name=row.company_name or "",
        op=row.op,
        version=row.version,
        reason=row.reason,
        changed_at=row.changed_at,
        place=Place(row.xid, row.position),
        state=row.state,
        forwarded_at=row.forwarded_at,
        closed_at=row.closed_at,
        relay_reason=row.relay_reason,
    )
