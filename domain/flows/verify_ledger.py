"""Recompute every book from its entries and say where it differs. It repairs nothing.

Everything is computed here a second time, from the rows alone: the chain by the canonical form,
the balances and the credits by adding up. A book that does not agree can be halted, so that
nothing is built on it until somebody has looked.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.access import as_company, as_system
from domain.credits import (
    CREDIT,
    FIRST_HASH,
    RULES,
    Book,
    Bucket,
    Credit,
    CreditDateChange,
    Kind,
    LedgerBalance,
    LedgerEntry,
    LedgerTx,
    Move,
    Posting,
    Reservation,
    chain_hash,
)
from domain.terms import guarantee_end, terms_of

_PAGE = 200
_RULES = {(rule.kind, rule.unit, rule.source, rule.target): rule for rule in RULES}
_GUARDS = text("""
    SELECT c.relname || '.' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE t.tgenabled = 'O' AND NOT t.tgisinternal
    UNION ALL
    SELECT c.relname || '.' || k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE k.convalidated
    UNION ALL
    SELECT c.relname || '.row_security' FROM pg_class c
     WHERE c.relrowsecurity AND c.relforcerowsecurity
    UNION ALL
    SELECT c.relname || '.' || i.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
      JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indisunique AND x.indisvalid
""")
_TABLES = (
    "book", "credit", "ledger_tx", "ledger_entry", "ledger_balance", "credit_date_change",
)  # fmt: skip
GUARDS = (
    *(f"{table}.row_security" for table in (*_TABLES, "reservation")),
    *(f"{table}.{table}_ledger_only" for table in _TABLES),
    *(
        f"{table}.{table}_{guard}"
        for table in ("ledger_tx", "ledger_entry", "credit_date_change")
        for guard in ("append_only", "no_truncate")
    ),
    "ledger_entry.ledger_entry_zero_sum",
    "ledger_balance.ck_ledger_balance_qty_sign",
    "ledger_entry.ck_ledger_entry_qty_not_zero",
    "ledger_entry.ck_ledger_entry_credit_named",
    "ledger_entry.ck_ledger_entry_credit_whole",
    "ledger_tx.uq_ledger_tx_seq",
    "ledger_tx.uq_ledger_tx_key",
    "book.uq_book_company_id_agency_id",
    "reservation.uq_reservation_open",
)
"""What must stand in the database, enabled, before the ledger may be served."""


@dataclass(frozen=True)
class Finding:
    """One thing that does not agree. `seq` is the first transaction concerned, if it is one."""

    company_id: str
    book_id: str
    check: str
    seq: int | None = None
    detail: str = ""


@dataclass
class Report:
    """What was looked at, and what was found."""

    books: int = 0
    transactions: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every book agrees with its entries."""
        return not self.findings


async def verify(
    session: AsyncSession, *, company_id: str | None = None, halting: bool = False
) -> Report:
    """Check the books of one company, or of all; `halting` stops those that do not agree.

    Reads book by book, so that memory follows the largest book and not the ledger.
    """
    report, place = Report(), ("", "")
    while True:
        async with as_system(session):
            books = await _books(session, company_id, place)
            for book in books:
                read = await _read(session, book)
                report.books += 1
                report.transactions += len(read.transactions)
                report.findings += _check(read)
        if not books:
            break
        place = (books[-1].company_id, books[-1].id)
    if halting:
        for company, book_id in sorted({(one.company_id, one.book_id) for one in report.findings}):
            await as_company(session, company)
            await ledger.halt(session, company, book_id)
    return report


async def missing_guards(session: AsyncSession) -> list[str]:
    """Triggers, constraints and policies that should stand in the database and do not."""
    there = set((await session.scalars(_GUARDS)).all())
    return sorted(set(GUARDS) - there)


@dataclass(frozen=True)
class _Read:
    """All rows of a book."""

    book: Book
    transactions: Sequence[LedgerTx]
    entries: dict[int, list[LedgerEntry]]
    dates: dict[int, list[CreditDateChange]]
    balances: Sequence[LedgerBalance]
    credits: dict[str, Credit]
    held: frozenset[str]


async def _books(
    session: AsyncSession, company_id: str | None, after: tuple[str, str]
) -> Sequence[Book]:
    wanted = select(Book).where(tuple_(col(Book.company_id), col(Book.id)) > after)
    if company_id is not None:
        wanted = wanted.where(col(Book.company_id) == company_id)
    page = wanted.order_by(col(Book.company_id), col(Book.id)).limit(_PAGE)
    return (await session.scalars(page.execution_options(populate_existing=True))).all()


async def _read(session: AsyncSession, book: Book) -> _Read:
    async def rows(kind: Any, *order: Any) -> list[Any]:
        wanted = select(kind).where(
            col(kind.company_id) == book.company_id, col(kind.book_id) == book.id
        )
        fresh = wanted.order_by(*order).execution_options(populate_existing=True)
        return list((await session.scalars(fresh)).all())

    held = await rows(Reservation)
    return _Read(
        book,
        await rows(LedgerTx, col(LedgerTx.seq)),
        _by_tx(await rows(LedgerEntry, col(LedgerEntry.tx_id), col(LedgerEntry.ord))),
        _by_tx(
            await rows(CreditDateChange, col(CreditDateChange.tx_id), col(CreditDateChange.ord))
        ),
        await rows(LedgerBalance),
        {credit.id: credit for credit in await rows(Credit)},
        frozenset(one.credit_id for one in held if one.state == "reserved"),
    )


def _by_tx(rows: list[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.tx_id].append(row)
    return found


def _check(read: _Read) -> list[Finding]:
    checks = (_chain, _entries, _balances, _credits, _grants, _reservations)
    return [
        Finding(read.book.company_id, read.book.id, check, seq, detail)
        for one in checks
        for check, seq, detail in one(read)
    ]


_Found = Iterator[tuple[str, int | None, str]]


def _chain(read: _Read) -> _Found:
    """Numbers without a gap, every hash over the one before it, the head at the end."""
    previous = FIRST_HASH
    for number, tx in enumerate(read.transactions, start=1):
        if tx.seq != number:
            yield "sequence", number, "a transaction is missing"
            return
        if tx.hash != chain_hash(previous, _head(tx), _moves(read, tx), _changes(read, tx)):
            yield "chain", tx.seq, "the transaction does not have its hash"
            return
        previous = tx.hash
    if (len(read.transactions), previous) != (read.book.last_seq, read.book.head_hash):
        yield "head", read.book.last_seq, "the book's head is not its last transaction"


def _head(tx: LedgerTx) -> list[object]:
    return [
        tx.book_id, tx.seq, tx.kind, tx.effective_on, tx.recorded_at, tx.business_key,
        tx.fingerprint, tx.actor, tx.reason_code,
    ]  # fmt: skip


def _moves(read: _Read, tx: LedgerTx) -> list[list[object]]:
    return [
        [to.unit, to.credit_id, giver.bucket, to.bucket, to.qty, to.reference_value_jpy]
        for giver, to in _pairs(read, tx)
    ]


def _pairs(read: _Read, tx: LedgerTx) -> list[tuple[LedgerEntry, LedgerEntry]]:
    sides = read.entries.get(tx.id, [])
    return list(zip(sides[::2], sides[1::2], strict=False))


def _changes(read: _Read, tx: LedgerTx) -> list[list[object]]:
    return [[one.credit_id, one.field, one.new_date] for one in read.dates.get(tx.id, [])]


def _entries(read: _Read) -> _Found:
    """Both sides of every move, by a rule; nothing that belongs to no transaction."""
    known = {tx.id for tx in read.transactions}
    if any(tx_id not in known for tx_id in read.entries):
        yield "orphan", None, "entries without their transaction"
    for tx in read.transactions:
        pairs = _pairs(read, tx)
        if len(read.entries.get(tx.id, [])) != 2 * len(pairs) or not all(
            _mirrored(*pair) for pair in pairs
        ):
            yield "zero_sum", tx.seq, "a move takes what it does not give"
        elif not all(_allowed(tx, *pair) for pair in pairs):
            yield "rule", tx.seq, f"a move that {Kind(tx.kind).name.lower()} may not make"


def _mirrored(giver: LedgerEntry, taker: LedgerEntry) -> bool:
    return (
        (giver.unit, giver.credit_id) == (taker.unit, taker.credit_id)
        and giver.qty == -taker.qty < 0
        and giver.reference_value_jpy == -taker.reference_value_jpy
        and (giver.ord % 2, taker.ord) == (1, giver.ord + 1)
    )


def _allowed(tx: LedgerTx, giver: LedgerEntry, taker: LedgerEntry) -> bool:
    rule = _RULES.get((Kind(tx.kind), giver.unit, Bucket(giver.bucket), Bucket(taker.bucket)))
    return rule is not None and rule.only_reason in {None, tx.reason_code}


def _balances(read: _Read) -> _Found:
    """A balance is the sum of its entries and the last `balance_after`, at every step."""
    quantity: dict[tuple[int, int], int] = defaultdict(int)
    value: dict[tuple[int, int], int] = defaultdict(int)
    for tx in read.transactions:
        for side in read.entries.get(tx.id, []):
            where = side.unit, side.bucket
            quantity[where] += side.qty
            value[where] += side.reference_value_jpy
            if side.balance_after != quantity[where]:
                yield "balance_after", tx.seq, Bucket(side.bucket).name.lower()
    there = {(one.unit, one.bucket): one for one in read.balances}
    for where in sorted(set(there) | set(quantity)):
        stored = there.get(where)
        if stored is None or (stored.qty, stored.reference_value_jpy) != (
            quantity[where],
            value[where],
        ):
            yield "balance", None, Bucket(where[1]).name.lower()


def _credits(read: _Read) -> _Found:
    """A credit stands where its last move put it, and has the dates it was last given."""
    bucket: dict[str | None, int] = {}
    dates: dict[str, dict[str, date]] = defaultdict(dict)
    for tx in read.transactions:
        for giver, taker in _pairs(read, tx):
            rule = _RULES.get(
                (Kind(tx.kind), taker.unit, Bucket(giver.bucket), Bucket(taker.bucket))
            )
            if taker.unit == CREDIT and rule is not None and rule.touches_state:
                if bucket.get(taker.credit_id, Bucket.ISSUED) != giver.bucket:
                    yield "history", tx.seq, f"{taker.credit_id} was not there to be moved"
                bucket[taker.credit_id] = taker.bucket
        for one in read.dates.get(tx.id, []):
            dates[one.credit_id][one.field] = one.new_date
    for credit in read.credits.values():
        if bucket.get(credit.id) != credit.bucket:
            yield "credit_bucket", None, credit.id
        if _dates_of(credit) != {**_granted_dates(credit), **dates[credit.id]}:
            yield "credit_dates", None, credit.id


def _dates_of(credit: Credit) -> dict[str, date | None]:
    return {
        "guarantee_end_on": credit.guarantee_end_on,
        "available_on": credit.available_on,
        "expires_on": credit.expires_on,
    }


def _granted_dates(credit: Credit) -> dict[str, date | None]:
    ends = guarantee_end(terms_of(credit.terms), credit.started_on)
    return {"guarantee_end_on": ends, "available_on": None, "expires_on": None}


def _grants(read: _Read) -> _Found:
    """What a credit was granted with (terms, placement, value) is what was hashed then."""
    for tx in read.transactions:
        moves = [Move(to.credit_id, Bucket.ISSUED, Bucket(to.bucket)) for _, to in _pairs(read, tx)]
        if tx.kind != Kind.GRANTED or not all(move.credit_id in read.credits for move in moves):
            continue
        request = Posting(
            kind=Kind.GRANTED,
            key=tx.business_key,
            effective_on=tx.effective_on,
            actor=tx.actor,
            reason=tx.reason_code,
            request=tx.request,
            moves=moves,
            credits=[read.credits[move.credit_id or ""] for move in moves],
        )
        if request.fingerprint() != tx.fingerprint:
            yield "grant", tx.seq, "a credit is not what was granted"


def _reservations(read: _Read) -> _Found:
    """A credit is held exactly while a reservation of it is open."""
    reserved = {
        credit.id
        for credit in read.credits.values()
        if Bucket.RESERVED in {credit.bucket, credit.frozen_from}
    }
    for credit_id in sorted(reserved ^ read.held):
        yield "reservation", None, credit_id
