"""A book, or a stretch of it, in a form that somebody who trusts nobody can check alone.

Lines of JSON (docs/ledger-proof.md): a head, every transaction with all that its hash is made of,
the head's path to a checkpoint, the checkpoints from there to the newest, and an end that counts
them. `docs/verify_proof.py` reads it without any of our code.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_system
from domain.checkpoint import FIRST_CHAIN, LedgerCheckpoint, LedgerCheckpointHead, published
from domain.credits import FIRST_HASH, Book
from domain.errors import Invalid, NotFound

FORMAT = "ledger-proof-v1"
_PAGE = 1000
_TRANSACTIONS = text("""
    SELECT t.seq, t.kind, t.effective_on::text AS effective_on,
           to_char(t.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
             AS recorded_at,
           t.business_key, encode(t.fingerprint, 'hex') AS fingerprint, t.actor, t.reason_code,
           encode(t.hash, 'hex') AS hash,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(e.unit, e.credit_id, given.bucket, e.bucket,
                                      e.qty, e.reference_value_jpy) ORDER BY e.ord), '[]')
              FROM ledger_entry e JOIN ledger_entry given
                ON given.company_id = e.company_id AND given.tx_id = e.tx_id
               AND given.ord = e.ord - 1
             WHERE e.company_id = t.company_id AND e.tx_id = t.id AND e.ord % 2 = 0) AS moves,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(d.credit_id, d.field, d.new_date)
                                      ORDER BY d.ord), '[]')
              FROM credit_date_change d
             WHERE d.company_id = t.company_id AND d.tx_id = t.id) AS dates
      FROM ledger_tx t
     WHERE t.company_id = :company AND t.book_id = :book AND t.seq > :after AND t.seq <= :through
     ORDER BY t.seq LIMIT :page
""")
_NOW = text("""
    SELECT unit, bucket, qty FROM ledger_balance
     WHERE company_id = :company AND book_id = :book AND qty <> 0 ORDER BY unit, bucket
""")
_THEN = text("""
    SELECT e.unit, e.bucket, sum(e.qty)::integer AS qty
      FROM ledger_tx t JOIN ledger_entry e ON e.company_id = t.company_id AND e.tx_id = t.id
     WHERE t.company_id = :company AND t.book_id = :book AND t.seq <= :seq
     GROUP BY e.unit, e.bucket HAVING sum(e.qty) <> 0 ORDER BY e.unit, e.bucket
""")
_HASH = text("""
    SELECT hash FROM ledger_tx WHERE company_id = :company AND book_id = :book AND seq = :seq
""")
_FIRST_OF = text("""
    SELECT min(t.seq) FROM ledger_entry e
      JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
     WHERE e.company_id = :company AND e.book_id = :book AND e.credit_id = :credit
       AND e.ord % 2 = 0
""")


@dataclass(frozen=True)
class Wish:
    """What is to be proved: a book, from one number to another; or since a credit appeared."""

    book_id: str
    first: int | None = None
    last: int | None = None
    credit_id: str | None = None
    since_checkpoint: int | None = None
    """Begin the list of checkpoints here, for somebody who holds this one."""


@dataclass(frozen=True)
class Plan:
    """A wish that can be fulfilled: the book as it stands, and the stretch that is told."""

    book: Book
    first: int
    last: int
    told: int
    """How far the transactions go: to the checkpointed head, where that is later."""
    head: LedgerCheckpointHead | None
    credit_id: str | None
    since_checkpoint: int


async def company_of(session: AsyncSession, book_id: str) -> str:
    """For the operator, who works for nobody: whose book it is; raises `NotFound`."""
    async with as_system(session):
        found = await session.scalar(select(Book.company_id).where(col(Book.id) == book_id))
    if found is None:
        raise NotFound
    return found


async def plan(session: AsyncSession, wish: Wish) -> Plan:
    """Look up what a proof needs. The transaction works for the book's company or its agency.

    Refusals: `NotFound` for a book or a credit that is not this tenant's; 422 `range_invalid`.
    """
    book = (await session.scalars(select(Book).where(col(Book.id) == wish.book_id))).first()
    if book is None:
        raise NotFound
    first = wish.first
    if first is None:
        first = await _first(session, book, wish.credit_id)
    last = book.last_seq if wish.last is None else wish.last
    if not 1 <= first <= last <= book.last_seq:
        detail = f"the book has the transactions 1 to {book.last_seq}"
        raise Invalid(detail, code="range_invalid")
    head = await _head(session, book, first, last)
    told = max(last, head.seq) if head is not None else last
    since = head.n if head is not None else 0
    if wish.since_checkpoint is not None:
        since = min(since, max(wish.since_checkpoint, 1))
    return Plan(book, first, last, told, head, wish.credit_id, since)


async def lines(
    session: AsyncSession, planned: Plan, keys: dict[str, str]
) -> AsyncIterator[dict[str, Any]]:
    """The lines of a proof, in order. `keys`: the public ledger keys by name, in hex.

    The transaction is `steady`: what is posted meanwhile is in none of the lines.
    """
    count = 0
    async for line in _lines(session, planned, keys):
        count += 1
        yield line
    yield {"end": count + 1}


async def _lines(
    session: AsyncSession, planned: Plan, keys: dict[str, str]
) -> AsyncIterator[dict[str, Any]]:
    book = planned.book
    named = {"company": book.company_id, "book": book.id}
    before = await _scalar(session, _HASH, {**named, "seq": planned.first - 1})
    yield {
        "format": FORMAT,
        "book_id": book.id, "company_id": book.company_id, "agency_id": book.agency_id,
        "from": planned.first, "to": planned.last, "told": planned.told,
        "credit_id": planned.credit_id,
        "previous": (before or FIRST_HASH).hex(),
        "opening": await _standing(session, book, planned.first - 1),
        "closing": await _standing(session, book, planned.told),
        "keys": keys,
    }  # fmt: skip
    after = planned.first - 1
    while after < planned.told:
        stretch = {**named, "after": after, "through": planned.told, "page": _PAGE}
        rows = [dict(row) for row in (await session.execute(_TRANSACTIONS, stretch)).mappings()]
        if not rows:
            break  # a transaction is missing: whoever checks will say which
        for row in rows:
            yield row
        after = int(rows[-1]["seq"])
    if planned.head is None:
        return
    yield {"anchor": _anchor(planned.head)}
    async for line in _checkpoints(session, planned.since_checkpoint):
        yield line


def _anchor(head: LedgerCheckpointHead) -> dict[str, Any]:
    path = head.path.hex()
    return {
        "n": head.n, "seq": head.seq, "head_hash": head.head_hash.hex(), "place": head.place,
        "path": [path[at : at + 64] for at in range(0, len(path), 64)],
    }  # fmt: skip


async def _checkpoints(session: AsyncSession, first: int) -> AsyncIterator[dict[str, Any]]:
    """The checkpoints from one to the newest; the first names the chain it rests on."""
    before = await session.get(LedgerCheckpoint, first - 1)
    yield {"checkpoints_rest_on": (before.chain if before is not None else FIRST_CHAIN).hex()}
    after = first - 1
    while True:
        page = select(LedgerCheckpoint).where(col(LedgerCheckpoint.n) > after)
        rows = (await session.scalars(page.order_by(col(LedgerCheckpoint.n)).limit(_PAGE))).all()
        for row in rows:
            yield {"checkpoint": published(row)}
        if len(rows) < _PAGE:
            return
        after = rows[-1].n


async def _first(session: AsyncSession, book: Book, credit_id: str | None) -> int:
    if credit_id is None:
        return 1
    named = {"company": book.company_id, "book": book.id, "credit": credit_id}
    found: int | None = await _scalar(session, _FIRST_OF, named)
    if found is None:
        raise NotFound
    return found


async def _head(
    session: AsyncSession, book: Book, first: int, last: int
) -> LedgerCheckpointHead | None:
    """The first checkpointed head behind the stretch; else the newest one inside it."""
    heads = select(LedgerCheckpointHead).where(
        col(LedgerCheckpointHead.company_id) == book.company_id,
        col(LedgerCheckpointHead.book_id) == book.id,
    )
    behind = heads.where(col(LedgerCheckpointHead.seq) >= last).order_by(
        col(LedgerCheckpointHead.n)
    )
    inside = heads.where(col(LedgerCheckpointHead.seq) >= first).order_by(
        col(LedgerCheckpointHead.n).desc()
    )
    found = (await session.scalars(behind.limit(1))).first()
    return found or (await session.scalars(inside.limit(1))).first()


async def _standing(session: AsyncSession, book: Book, seq: int) -> Sequence[Sequence[int]]:
    """What stood in each bucket: unit, bucket, quantity; now as it is kept, then as it adds up."""
    named = {"company": book.company_id, "book": book.id, "seq": seq}
    rows = (await session.execute(_NOW if seq == book.last_seq else _THEN, named)).all()
    return [[row.unit, row.bucket, row.qty] for row in rows]


async def _scalar(session: AsyncSession, statement: Any, named: dict[str, Any]) -> Any:
    return (await session.execute(statement, named)).scalar()
