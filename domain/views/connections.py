"""Connections as HR sees them: how each of them is, the words to map, and what was delivered.

Looking costs the same however much was delivered: counts are over the newest of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.delivery import AtsConnection

PAGE = 50
QUIET_DAYS = 7
_NEWEST = 1000
_NEWEST_APPLICATIONS = 5000
_MOST_WORDS = 500
_MOST_SOURCES = 100
UNMAPPED = "unmapped:"

State = Literal[
    "off", "waiting", "greeted", "refused", "verified", "keyless", "starting", "asking", "trouble"
]

_WORDS_OPEN = """
SELECT w.connection_id, count(*) AS words_open
FROM vendor_word w
JOIN ats_connection c ON c.company_id = w.company_id AND c.id = w.connection_id
WHERE w.company_id = :company AND w.connection_id = ANY(:connections)
  AND NOT coalesce(c.settings -> (w.kind || '_map') ? w.word_id, false)
GROUP BY 1
"""
_POLLS = """
SELECT connection_id, kind, due_at, started_at, finished_at, failures, error, found
FROM ats_poll
WHERE company_id = :company AND connection_id = ANY(:connections)
ORDER BY connection_id, kind DESC
"""
_DELIVERED = """
SELECT c.id AS connection_id, n.last_at, n.lately, n.failed, n.unread, f.first_at
FROM unnest(CAST(:connections AS text[])) AS c(id)
CROSS JOIN LATERAL (
  SELECT max(received_at) FILTER (WHERE origin = 'webhook') AS last_at,
         count(*) FILTER (WHERE origin = 'webhook' AND received_at >= :since) AS lately,
         count(*) FILTER (WHERE status = 'failed' AND received_at >= :since) AS failed,
         count(*) FILTER (WHERE status = 'received') AS unread
  FROM (
    SELECT received_at, status, origin FROM delivery
    WHERE delivery.company_id = :company AND delivery.connection_id = c.id
    ORDER BY id DESC LIMIT :most
  ) newest
) n
CROSS JOIN LATERAL (
  SELECT min(received_at) FILTER (WHERE origin = 'webhook') AS first_at
  FROM (
    SELECT received_at, origin FROM delivery
    WHERE delivery.company_id = :company AND delivery.connection_id = c.id
    ORDER BY id LIMIT :most
  ) oldest
) f
"""
_WORDS = """
SELECT kind, word_id, text, suggestion, seen_at
FROM vendor_word
WHERE company_id = :company AND connection_id = :connection
  AND (kind, word_id) > (:kind, :word)
ORDER BY kind, word_id LIMIT :limit
"""
_SOURCES = """
SELECT source, count(*) AS people
FROM (
  SELECT source, connection_id FROM application
  WHERE company_id = :company ORDER BY id DESC LIMIT :most
) newest
WHERE connection_id = :connection AND source <> '' AND source <> ALL(:ours)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT :limit
"""
_DELIVERIES = """
SELECT d.id, d.connection_id, c.name, d.provider, d.provider_event, d.origin, d.status, d.error,
       d.received_at, d.processed_at, d.attempts, d.look_at, d.effects, d.candidate_id
FROM delivery d
JOIN ats_connection c ON c.company_id = d.company_id AND c.id = d.connection_id
WHERE d.company_id = :company
"""
_NOTES = """
SELECT count(*) FILTER (WHERE state = 'sent') AS sent,
       count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       max(error) FILTER (WHERE state = 'failed') AS error
FROM (
  SELECT state, error FROM vendor_note
  WHERE company_id = :company AND connection_id = :connection
  ORDER BY id DESC LIMIT :most
) newest
"""


@dataclass(frozen=True)
class Health:
    """How a connection has been: what it delivered, and how asking the vendor's API went.

    `lately` and `failed` count seven days; `last_at` and `first_at` are of webhooks alone.
    """

    first_at: datetime | None = None
    last_at: datetime | None = None
    lately: int = 0
    failed: int = 0
    unread: int = 0
    words_open: int = 0
    polls: tuple[Row[Any], ...] = ()

    @property
    def asked_at(self) -> datetime | None:
        """When the vendor's API was last asked, to the end."""
        return max((one.finished_at for one in self.polls if one.finished_at), default=None)

    @property
    def asks_at(self) -> datetime | None:
        """When it is asked next."""
        return min((one.due_at for one in self.polls if one.due_at), default=None)

    @property
    def error(self) -> str | None:
        """Why asking goes wrong at present."""
        return next((one.error for one in self.polls if one.error), None)

    @property
    def failures(self) -> int:
        """How often in a row it went wrong."""
        return max((one.failures for one in self.polls), default=0)

    @property
    def found(self) -> int:
        """Ends that no webhook had told us."""
        return sum(one.found for one in self.polls)

    def state(self, connection: Any, *, listens: bool, key: bool) -> State:
        """In one word. `listens`: the vendor can send; `key`: there is a credential to ask with."""
        if not connection.enabled:
            return "off"
        if self.error or self.failed:
            return "trouble"
        if self.last_at is not None:
            return "verified"
        if self.asked_at is not None:
            return "asking"
        if not listens:
            return "starting" if key else "keyless"
        return _before_the_first(connection)


def _before_the_first(connection: Any) -> State:
    if connection.refused_signatures:
        return "refused"
    return "greeted" if connection.greeted_at is not None else "waiting"


async def connections_of(session: AsyncSession, company_id: str) -> Sequence[AtsConnection]:
    """A company's connections, in the order they were made."""
    wanted = select(AtsConnection).where(col(AtsConnection.company_id) == company_id)
    return (await session.scalars(wanted.order_by(col(AtsConnection.id)))).all()


async def health_of(
    session: AsyncSession, company_id: str, connection_ids: Iterable[str], now: datetime
) -> dict[str, Health]:
    """How each of these connections has been."""
    ids = list(connection_ids)
    known: dict[str, Any] = {"company": company_id, "connections": ids}
    since = now - timedelta(days=QUIET_DAYS)
    delivered = {
        row.connection_id: row
        for row in await _all(session, _DELIVERED, **known, since=since, most=_NEWEST)
    }
    words = {row.connection_id: row.words_open for row in await _all(session, _WORDS_OPEN, **known)}
    polls = await _all(session, _POLLS, **known)
    return {
        one: Health(
            first_at=delivered[one].first_at,
            last_at=delivered[one].last_at,
            lately=delivered[one].lately,
            failed=delivered[one].failed,
            unread=delivered[one].unread,
            words_open=words.get(one, 0),
            polls=tuple(row for row in polls if row.connection_id == one),
        )
        for one in ids
    }


async def words_of(
    session: AsyncSession,
    company_id: str,
    connection_id: str,
    *,
    after: tuple[str, str] = ("", ""),
    limit: int = _MOST_WORDS,
) -> Sequence[Row[Any]]:
    """The vendor's words, reasons before statuses, behind a (kind, id)."""
    return await _all(
        session, _WORDS,
        company=company_id, connection=connection_id, kind=after[0], word=after[1], limit=limit,
    )  # fmt: skip


async def sources_of(
    session: AsyncSession, company_id: str, connection_id: str, ours: Iterable[str]
) -> dict[str, int]:
    """Where recent applications came from in words that are not ours: word → applications."""
    found = await _all(
        session, _SOURCES,
        company=company_id, connection=connection_id, ours=list(ours),
        most=_NEWEST_APPLICATIONS, limit=_MOST_SOURCES,
    )  # fmt: skip
    return {row.source.removeprefix(UNMAPPED): row.people for row in found}


async def notes_of(session: AsyncSession, company_id: str, connection_id: str) -> Row[Any]:
    """How many of the newest notes the vendor has, and what is wrong with the others."""
    values = {"company": company_id, "connection": connection_id, "most": _NEWEST}
    return (await _all(session, _NOTES, **values))[0]


async def deliveries(
    session: AsyncSession,
    company_id: str,
    *,
    status: str | None = None,
    connection_id: str | None = None,
    delivery_id: str | None = None,
    before: str | None = None,
    limit: int = PAGE,
) -> Sequence[Row[Any]]:
    """Deliveries, newest first, without their contents."""
    wanted = {
        "status": ("d.status = :status", status),
        "connection": ("d.connection_id = :connection", connection_id),
        "delivery": ("d.id = :delivery", delivery_id),
        "before": ("d.id < :before", before),
    }
    said = {name: value for name, (_, value) in wanted.items() if value is not None}
    also = "".join(f" AND {condition}" for condition, value in wanted.values() if value is not None)
    statement = f"{_DELIVERIES}{also} ORDER BY d.id DESC LIMIT :limit"
    return await _all(session, statement, company=company_id, limit=limit, **said)


async def _all(session: AsyncSession, wanted: str, **values: Any) -> Sequence[Row[Any]]:
    return (await session.execute(text(wanted), values)).all()
