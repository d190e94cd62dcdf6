"""Recompute every book from its entries and say where it differs. It repairs nothing.

A company's transactions stream out of the database as text (COPY), in the order in which they were
written, each with both sides of its moves; `domain/recount.py` counts them again. This is about ten
times as fast as loading rows, and faster than letting the database hash. A book that does not agree
can be halted, so that nothing is built on it until somebody has looked.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain import ledger
from domain.access import as_company, as_system
from domain.credits import RULES
from domain.recount import BookCount, Finding, Recount

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
    "ledger_entry.ck_ledger_entry_bucket_known",
    "credit.ck_credit_bucket_known",
    "credit.ck_credit_reference_value_sign",
    "credit.uq_credit_book",
    "credit.fk_credit_company_id_book_id_book",
    "ledger_tx.fk_ledger_tx_company_id_book_id_book",
    "ledger_entry.fk_ledger_entry_company_id_tx_id_ledger_tx",
    "ledger_entry.fk_ledger_entry_company_id_credit_id_book_id_credit",
    "ledger_balance.fk_ledger_balance_company_id_book_id_book",
    "book.ck_book_head_hash_length",
    "ledger_tx.ck_ledger_tx_hash_length",
    "ledger_tx.ck_ledger_tx_fingerprint_length",
    "ledger_tx.uq_ledger_tx_seq",
    "ledger_tx.uq_ledger_tx_key",
    "book.uq_book_company_id_agency_id",
    "reservation.uq_reservation_open",
    *(f"adjustment.ck_adjustment_{rule}" for rule in ("two_persons", "approved", "assented")),
    *(f"placement_report.placement_report_{guard}" for guard in ("append_only", "no_truncate")),
    "statement.statement_stands",
    "statement.statement_not_removed",
    *(
        f"{table}.{table}_{guard}"
        for table in ("ledger_checkpoint", "ledger_checkpoint_head")
        for guard in ("append_only", "no_truncate", "notary_only")
    ),
)
"""What must stand in the database, enabled, before the ledger may be served."""

_RULES = text("""
    SELECT kind, unit, from_bucket, to_bucket, touches_state, only_reason FROM ledger_rule
""")
_KNOWN_RULES = {
    (int(one.kind), one.unit, int(one.source), int(one.target), one.touches_state, one.only_reason)
    for one in RULES
}
_STEADY = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_READING = text("""
    SELECT set_config('statement_timeout', '0', true), set_config('timezone', 'UTC', true),
           set_config('datestyle', 'ISO, YMD', true), set_config('bytea_output', 'hex', true),
           set_config('jit', 'off', true), set_config('enable_nestloop', 'off', true),
           set_config('enable_hashjoin', 'off', true), set_config('enable_sort', 'off', true),
           set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)
""")
# Everything stands in its key's order already: merged row by row, nothing is held or sorted.
# A company whose only book is gone still has its transactions, and is looked at.
_COMPANIES = text("""
    SELECT c.id AS company_id, coalesce(k.transactions, 0) AS transactions
      FROM company c LEFT JOIN (
        SELECT b.company_id, sum(b.last_seq)::bigint AS transactions FROM book b
         WHERE CAST(:book AS text) IS NULL OR b.id = :book GROUP BY b.company_id
      ) k ON k.company_id = c.id
     WHERE (CAST(:company AS text) IS NULL OR c.id = :company)
       AND (k.company_id IS NOT NULL OR (CAST(:book AS text) IS NULL
            AND EXISTS (SELECT FROM ledger_tx t WHERE t.company_id = c.id)))
     ORDER BY c.id
""")
_BOOKS = text("""
    SELECT b.id, b.agency_id, b.last_seq, encode(b.head_hash, 'hex') AS head,
           b.last_seq > 0 AND b.recorded_at IS DISTINCT FROM (
             SELECT t.recorded_at FROM ledger_tx t
              WHERE t.company_id = b.company_id AND t.book_id = b.id AND t.seq = b.last_seq) AS late
      FROM book b
     WHERE b.company_id = :company AND (CAST(:book AS text) IS NULL OR b.id = :book)
     ORDER BY b.id
""")
_STARTS = text("""
    SELECT b.id, b.agency_id, b.last_seq, encode(b.head_hash, 'hex') AS head, false AS late,
           coalesce(h.seq, 0) AS seq, encode(h.head_hash, 'hex') AS previous,
           (SELECT min(t.id) FROM ledger_tx t
             WHERE t.company_id = b.company_id AND t.book_id = b.id
               AND t.seq > coalesce(h.seq, 0)) AS first_id
      FROM book b
      LEFT JOIN LATERAL (
        SELECT c.seq, c.head_hash FROM ledger_checkpoint_head c
         WHERE c.company_id = b.company_id AND c.book_id = b.id AND c.n <= :since
         ORDER BY c.n DESC LIMIT 1) h ON true
     WHERE b.company_id = :company AND (CAST(:book AS text) IS NULL OR b.id = :book)
     ORDER BY b.id
""")
_STOOD = text("""
    SELECT b.book_id, b.unit, b.bucket, coalesce(f.stood, b.qty) AS stood
      FROM ledger_balance b
      LEFT JOIN (
        SELECT DISTINCT ON (e.book_id, e.unit, e.bucket)
               e.book_id, e.unit, e.bucket, e.balance_after - e.qty AS stood
          FROM ledger_entry e
          JOIN unnest(CAST(:books AS text[]), CAST(:firsts AS bigint[])) AS n (id, first_id)
            ON n.id = e.book_id AND e.tx_id >= n.first_id
         WHERE e.company_id = :company AND e.tx_id > :after
         ORDER BY e.book_id, e.unit, e.bucket, e.tx_id, e.ord
      ) f ON f.book_id = b.book_id AND f.unit = b.unit AND f.bucket = b.bucket
     WHERE b.company_id = :company AND b.book_id = ANY(:books)
""")
_BALANCES = text("""
    SELECT book_id || agency_id, unit, bucket, qty, reference_value_jpy FROM ledger_balance
     WHERE company_id = :company AND book_id = ANY(:books)
""")
_HELD = text("""
    SELECT credit_id, count(*) AS number FROM reservation
     WHERE company_id = :company AND book_id = ANY(:books) AND state = 'reserved' GROUP BY credit_id
""")
_COUNTS = text("""
    SELECT (SELECT count(*) FROM ledger_entry e
             WHERE e.company_id = :company AND e.tx_id > :after
               AND (:all OR e.book_id = ANY(:books))) AS entries,
           (SELECT count(*) FROM credit_date_change d
             WHERE d.company_id = :company AND d.tx_id > :after
               AND (:all OR d.book_id = ANY(:books))) AS changes
""")
_STRAYS = text("""
    SELECT coalesce(t.book_id, e.book_id) AS book_id, t.seq,
           CASE WHEN t.id IS NULL THEN 'orphan' ELSE 'zero_sum' END AS check,
           'an entry without its transaction or its other side' AS detail
      FROM ledger_entry e
      LEFT JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
      LEFT JOIN ledger_entry o ON o.company_id = e.company_id AND o.tx_id = e.tx_id
       AND o.ord = e.ord + CASE e.ord % 2 WHEN 1 THEN 1 ELSE -1 END
       AND o.unit = e.unit AND o.credit_id IS NOT DISTINCT FROM e.credit_id AND o.qty = -e.qty
       AND o.reference_value_jpy = -e.reference_value_jpy AND (e.qty < 0) = (e.ord % 2 = 1)
     WHERE e.company_id = :company AND e.tx_id > :after
       AND (t.id IS NULL OR o.tx_id IS NULL OR e.book_id <> t.book_id OR e.agency_id <> t.agency_id)
    UNION ALL
    SELECT coalesce(t.book_id, d.book_id), t.seq,
           CASE WHEN t.id IS NULL THEN 'orphan' ELSE 'date_change' END,
           'a date without its transaction'
      FROM credit_date_change d
      LEFT JOIN ledger_tx t ON t.company_id = d.company_id AND t.id = d.tx_id
     WHERE d.company_id = :company AND d.tx_id > :after
       AND (t.id IS NULL OR d.book_id <> t.book_id OR d.agency_id <> t.agency_id)
     LIMIT 100
""")
_CREDITS = """
    SELECT c.id, c.book_id || c.agency_id, c.grant_key, c.agreement_id, c.agreement_version,
           coalesce(c.placement_id, ''), coalesce(c.relay_id, ''), c.started_on,
           coalesce(c.value_cap_jpy::text, ''), c.reference_value_jpy, c.bucket,
           coalesce(c.frozen_from::text, ''), c.guarantee_end_on,
           coalesce(c.available_on::text, ''), coalesce(c.expires_on::text, ''),
           c.look_at IS NOT DISTINCT FROM (
             CASE c.bucket WHEN 1 THEN c.guarantee_end_on WHEN 2 THEN c.expires_on END + 1
           )::timestamp AT TIME ZONE 'Asia/Tokyo',
           c.terms
      FROM credit c
     WHERE c.company_id = $1 AND ($3::text[] IS NULL OR c.book_id = ANY($3))
       AND ($2::bigint = 0 OR c.id IN (
             SELECT e.credit_id FROM ledger_entry e WHERE e.company_id = $1 AND e.tx_id > $2
             UNION
             SELECT d.credit_id FROM credit_date_change d
              WHERE d.company_id = $1 AND d.tx_id > $2))
"""
_TRANSACTIONS = """
    SELECT t.id, t.book_id || t.agency_id, t.seq, t.effective_on, t.recorded_at, t.business_key,
           t.fingerprint, t.actor, coalesce(t.reason_code, ''), t.hash, t.request,
           coalesce(several.moves, CASE WHEN taker.qty <> 1 THEN 1 END, 0) * 1000000
             + t.kind * 1000
             + coalesce(taker.unit * 100 + giver.bucket * 10 + taker.bucket, 0),
           coalesce(taker.credit_id, ''), coalesce(taker.qty, 0),
           coalesce(taker.reference_value_jpy, 0), coalesce(giver.balance_after, 0),
           coalesce(taker.balance_after, 0), coalesce(dated.words, '')
      FROM ledger_tx t
      LEFT JOIN (
        ledger_entry giver JOIN ledger_entry taker
          ON taker.company_id = giver.company_id AND taker.tx_id = giver.tx_id
         AND taker.ord = giver.ord + 1 AND taker.unit = giver.unit
         AND taker.credit_id IS NOT DISTINCT FROM giver.credit_id AND taker.qty = -giver.qty
         AND taker.reference_value_jpy = -giver.reference_value_jpy AND taker.qty > 0
         AND taker.book_id = giver.book_id AND taker.agency_id = giver.agency_id
         AND giver.tx_id > $2 AND taker.tx_id > $2
      ) ON giver.company_id = t.company_id AND giver.tx_id = t.id AND giver.ord % 2 = 1
       AND giver.book_id = t.book_id AND giver.agency_id = t.agency_id
      LEFT JOIN (
        SELECT e.tx_id, max(e.ord) / 2 AS moves FROM ledger_entry e
         WHERE e.company_id = $1 AND e.tx_id > $2 AND e.ord > 2 GROUP BY e.tx_id
      ) several ON several.tx_id = t.id
      LEFT JOIN (
        SELECT d.tx_id, min(d.book_id || d.agency_id) AS place,
               min(d.book_id || d.agency_id) = max(d.book_id || d.agency_id) AS alike,
               string_agg(
                 concat_ws(' ', d.credit_id, d.field, coalesce(d.old_date::text, '-'), d.new_date),
                 ' ' ORDER BY d.ord) AS words
          FROM credit_date_change d WHERE d.company_id = $1 AND d.tx_id > $2 GROUP BY d.tx_id
      ) dated ON dated.tx_id = t.id AND dated.alike AND dated.place = t.book_id || t.agency_id
     WHERE t.company_id = $1 AND t.id > $2 AND ($3::text[] IS NULL OR t.book_id = ANY($3))
     ORDER BY t.id, giver.ord
"""


@dataclass
class Report:
    """What was looked at, and what was found."""

    books: int = 0
    transactions: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that was looked at agrees."""
        return not self.findings

    def add(self, other: "Report") -> None:
        """Take over what another look found."""
        self.books += other.books
        self.transactions += other.transactions
        self.findings += other.findings


@dataclass(frozen=True)
class Scope:
    """What to look at: everything, a company, a book; from the start, or since a checkpoint."""

    company_id: str | None = None
    book_id: str | None = None
    since: int | None = None
    """The number of a checkpoint: what it holds is taken as true."""


EVERYTHING = Scope()
Tell = Callable[[int], None]
"""Told how many more transactions were recounted."""


async def steady(session: AsyncSession) -> None:
    """Let every statement of this transaction see the same moment. The first thing asked in it."""
    await session.execute(_STEADY)


async def companies(session: AsyncSession, scope: Scope = EVERYTHING) -> list[tuple[str, int]]:
    """Whose books are concerned, and how many transactions they have."""
    async with as_system(session):
        named = {"company": scope.company_id, "book": scope.book_id}
        rows = await session.execute(_COMPANIES, named)
        return [(row.company_id, row.transactions) for row in rows]


async def verify(
    session: AsyncSession,
    *,
    company_id: str | None = None,
    scope: Scope | None = None,
    halting: bool = False,
) -> Report:
    """Check books company by company in one transaction; `halting` stops those that do not agree.

    While others post, each company wants a transaction of its own that was made `steady`.
    """
    report, chosen = Report(), scope or Scope(company_id)
    for company, _ in await companies(session, chosen):
        report.add(await verify_company(session, company, chosen))
    if halting:
        await halt_broken(session, report.findings)
    return report


async def verify_company(
    session: AsyncSession, company_id: str, scope: Scope = EVERYTHING, tell: Tell | None = None
) -> Report:
    """Check one company's books, or those of them in scope. Reads only, and locks nothing."""
    async with as_system(session):
        await session.execute(_READING)
        count, after, late = await _begin(session, company_id, scope)
        if not count.books and scope != Scope(scope.company_id):
            return Report(0, 0, count.findings)
        books = [book.id for book in count.books.values()]
        chosen = None if scope.book_id is None and after == 0 else books
        place = company_id, after, chosen
        await _stream(session, _CREDITS, place, count.add_credits)
        await _stream(session, _TRANSACTIONS, place, _telling(count, tell))
        named = {"company": company_id, "books": books}
        held = (await session.execute(_HELD, named)).all()
        rows = (await session.execute(_BALANCES, named)).all()
        count.finish(
            [tuple(row) for row in rows], {row.credit_id: row.number for row in held}, late
        )
        await _strays(session, count, place)
    return Report(len(books), count.transactions, count.findings)


async def halt_broken(session: AsyncSession, findings: Collection[Finding]) -> None:
    """Let nothing more be posted to the books in which something does not agree."""
    for company_id, book_id in sorted({(one.company_id, one.book_id) for one in findings}):
        await as_company(session, company_id)
        await ledger.halt(session, company_id, book_id)


async def missing_guards(session: AsyncSession) -> list[str]:
    """Triggers, constraints and policies that should stand in the database and do not."""
    there = set((await session.scalars(_GUARDS)).all())
    rules = {tuple(row) for row in (await session.execute(_RULES)).all()}
    return sorted({*(set(GUARDS) - there), *(_rule(one) for one in rules ^ _KNOWN_RULES)})


def _rule(rule: tuple[Any, ...]) -> str:
    """A line of the rules that is in the database or in the code, and not in both."""
    return f"ledger_rule.{'_'.join(map(str, rule[:4]))}"


async def _begin(
    session: AsyncSession, company_id: str, scope: Scope
) -> tuple[Recount, int, set[str]]:
    """The books to count, the transaction behind which to begin, and books with an odd moment."""
    named = {"company": company_id, "book": scope.book_id}
    if scope.since is None:
        rows = (await session.execute(_BOOKS, named)).all()
        books = [BookCount(row.id, row.agency_id, row.last_seq, row.head) for row in rows]
        late = {row.id for row in rows if row.late}
        return Recount(company_id, _by_place(books)), 0, late
    rows = (await session.execute(_STARTS, {**named, "since": scope.since})).all()
    count = Recount(company_id, {}, partly=True)
    count.findings += [
        Finding(company_id, row.id, "checkpoint", row.seq, "the head is not what was checkpointed")
        for row in rows
        if row.last_seq < row.seq or (row.last_seq == row.seq > 0 and row.head != row.previous)
    ]
    # A transaction behind the checkpoint counts even where the book's row denies it.
    changed = [row for row in rows if row.last_seq > row.seq or row.first_id is not None]
    books = [
        BookCount(row.id, row.agency_id, row.last_seq, row.head, row.seq,
                  *([row.previous] if row.previous else []))
        for row in changed
    ]  # fmt: skip
    count.books = _by_place(books)
    begins = {row.id: row.first_id for row in changed if row.first_id is not None}
    after = min(begins.values(), default=1) - 1
    await _stood(session, company_id, books, begins, after)
    return count, after, set()


async def _stood(
    session: AsyncSession,
    company_id: str,
    books: Sequence[BookCount],
    begins: dict[str, int],
    after: int,
) -> None:
    """What stood in each bucket where the count begins: what the first entry behind it says."""
    named = {
        "company": company_id, "books": list(begins), "firsts": list(begins.values()),
        "after": after,
    }  # fmt: skip
    by_id = {book.id: book for book in books}
    for book_id, unit, bucket, quantity in (await session.execute(_STOOD, named)).all():
        by_id[book_id].quantity[bucket + 9 * (unit - 1)] = quantity


def _by_place(books: Iterable[BookCount]) -> dict[str, BookCount]:
    return {book.id + book.agency_id: book for book in books}


def _telling(count: Recount, tell: Tell | None) -> Callable[[str], None]:
    def add(lines: str) -> None:
        before = count.transactions
        count.add(lines)
        if tell is not None:
            tell(count.transactions - before)

    return add


async def _stream(
    session: AsyncSession,
    query: str,
    place: tuple[str, int, list[str] | None],
    take: Callable[[str], None],
) -> None:
    """Hand over the lines of a query's COPY as they come, whole lines at a time."""
    raw: Any = (await (await session.connection()).get_raw_connection()).driver_connection
    rest = b""

    async def keep(data: bytes) -> None:
        nonlocal rest
        end = data.rfind(b"\n") + 1
        if end:
            take((rest + data[:end]).decode())
            rest = data[end:]
        else:
            rest += data

    sink: Callable[[bytes], Awaitable[None]] = keep
    await raw.copy_from_query(query, *place, output=sink, format="text")


async def _strays(
    session: AsyncSession, count: Recount, place: tuple[str, int, list[str] | None]
) -> None:
    """Rows that no transaction counted. Looked for only where the numbers do not agree."""
    company_id, after, books = place
    named = {"company": company_id, "after": after, "all": books is None, "books": books or []}
    there = (await session.execute(_COUNTS, named)).one()
    if (there.entries, there.changes) == (2 * count.moves, count.changes):
        return
    rows = await session.execute(_STRAYS, {"company": company_id, "after": after})
    known = set(books or [book.id for book in count.books.values()])
    count.findings += [
        Finding(company_id, row.book_id, row.check, row.seq, row.detail)
        for row in rows
        if books is None or row.book_id in known
    ]
