"""Build a checkpoint over the heads of all books that changed, and publish it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_system
from domain.checkpoint import (
    FIRST_CHAIN,
    Head,
    LedgerCheckpoint,
    LedgerWatch,
    chained,
    signed_form,
    tree,
)
from domain.ledger import today_in_japan
from domain.ports import Signer

NAME = "checkpoint"
"""Its row in `ledger_watch`."""
_HOUR = timedelta(hours=1)
_NEWEST = select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.n).desc()).limit(1)
_ALONE = select(LedgerWatch.name).where(col(LedgerWatch.name) == NAME).with_for_update()
# What was still under way when the newest checkpoint looked may have committed since, under a
# smaller id than one that was seen. So we look back to a checkpoint made before any of that began.
_LOOK_BACK = text("""
    SELECT c.through_tx FROM ledger_checkpoint c
     WHERE c.begun_before <= :ended_before ORDER BY c.n DESC LIMIT 1
""")
_HEADS = text("""
    WITH seen AS MATERIALIZED (
      SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS begun_before,
             (SELECT min(x.id::text::bigint) FROM pg_snapshot_xip(pg_current_snapshot()) AS x (id)
               WHERE x.id IS DISTINCT FROM pg_current_xact_id_if_assigned()) AS oldest
    ), changed AS MATERIALIZED (
      SELECT t.company_id, t.book_id, max(t.id) AS id
        FROM company c CROSS JOIN LATERAL (
          SELECT l.company_id, l.book_id, l.id FROM ledger_tx l
           WHERE l.company_id = c.id AND l.id > :through_tx) t
       GROUP BY t.company_id, t.book_id
    ), heads AS (
      SELECT b.company_id, b.id, b.agency_id, b.last_seq, b.head_hash
        FROM changed d JOIN book b ON b.company_id = d.company_id AND b.id = d.book_id
       WHERE NOT EXISTS (SELECT FROM ledger_checkpoint_head h
                          WHERE h.company_id = b.company_id AND h.book_id = b.id
                            AND h.seq >= b.last_seq)
    )
    SELECT s.begun_before, coalesce(s.oldest, s.begun_before) AS ended_before,
           greatest((SELECT max(id) FROM changed), :through_tx) AS through_tx, h.*
      FROM seen s LEFT JOIN heads h ON true ORDER BY h.id COLLATE "C"
""")
_WRITE = text("""
    SELECT ledger_checkpoint_write(:n, :built_at, :root, :chain, :signature, :key_id, :through_tx,
           :ended_before, :begun_before, CAST(:companies AS text[]), CAST(:books AS text[]),
           CAST(:agencies AS text[]), CAST(:seqs AS bigint[]), CAST(:hashes AS bytea[]),
           CAST(:paths AS bytea[]))
""")


@dataclass(frozen=True)
class _Looked:
    """What changed, and how far one has looked."""

    rows: list[Any]
    through_tx: int
    ended_before: int
    begun_before: int


def next_hour(now: datetime) -> datetime:
    """The next full hour. A month in Japan begins at one, too."""
    return now.replace(minute=0, second=0, microsecond=0) + _HOUR


async def build_checkpoint(
    session: AsyncSession, signer: Signer, now: datetime
) -> LedgerCheckpoint | None:
    """A checkpoint over what changed since the last one; nothing if nothing did.

    The first one of a month in Japan is made all the same. Two at once make one. Its cost follows
    what changed: per company, the transactions behind the last ones seen.
    """
    await session.execute(_ALONE)
    async with as_system(session):
        last = (await session.scalars(_NEWEST)).first()
        looked = await _look(session, last)
    if not looked.rows and last is not None and _same_month(last.built_at, now):
        return None
    built_at = max(now, last.built_at) if last is not None else now
    made = _seal(looked, last, signer, built_at)
    written = (await session.execute(_WRITE, made)).scalar_one()
    return await session.get(LedgerCheckpoint, made["n"]) if written else None


async def newest_checkpoint(session: AsyncSession) -> int:
    """The number of the newest checkpoint; zero before the first."""
    return (await session.scalars(select(LedgerCheckpoint.n).order_by(
        col(LedgerCheckpoint.n).desc()).limit(1))).first() or 0  # fmt: skip


async def _look(session: AsyncSession, last: LedgerCheckpoint | None) -> _Looked:
    before = None
    if last is not None:
        ended = {"ended_before": last.ended_before}
        before = (await session.execute(_LOOK_BACK, ended)).scalar()
    rows = (await session.execute(_HEADS, {"through_tx": before or 0})).all()
    first = rows[0]
    through = max(first.through_tx, last.through_tx if last is not None else 0)
    heads = [row for row in rows if row.id is not None]
    return _Looked(heads, through, first.ended_before, first.begun_before)


def _same_month(one: datetime, other: datetime) -> bool:
    return today_in_japan(one).replace(day=1) == today_in_japan(other).replace(day=1)


def _seal(
    looked: _Looked, last: LedgerCheckpoint | None, signer: Signer, built_at: datetime
) -> dict[str, Any]:
    rows = looked.rows
    root, paths = tree([Head(row.id, row.last_seq, row.head_hash).leaf() for row in rows])
    n, previous = (last.n + 1, last.chain) if last is not None else (1, FIRST_CHAIN)
    chain = chained(previous, n, built_at, len(rows), root)
    return {
        "n": n,
        "built_at": built_at,
        "root": root,
        "chain": chain,
        "signature": signer.sign(signed_form(n, chain)),
        "key_id": signer.key_id,
        "through_tx": looked.through_tx,
        "ended_before": looked.ended_before,
        "begun_before": looked.begun_before,
        "companies": [row.company_id for row in rows],
        "books": [row.id for row in rows],
        "agencies": [row.agency_id for row in rows],
        "seqs": [row.last_seq for row in rows],
        "hashes": [row.head_hash for row in rows],
        "paths": paths,
    }
