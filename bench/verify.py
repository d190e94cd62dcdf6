"""How many postings a second `relay ledger verify` recounts, in a ledger written by COPY.

The rows are consistent: hashes, balances, dates and credits fit, so that everything is looked at
and nothing is found. Each credit lives through four postings (granted, available with its two
dates, reserved, used), as most do.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from api import serve
from api.runtime import Runtime
from api.verification import read_company
from bench.stage import Stage
from domain.credits import FIRST_HASH, Bucket, Kind
from domain.flows.earn.verify_ledger import EVERYTHING, companies
from domain.ids import id_of, number_of
from domain.posting import DateSet, Move, NewCredit, Posting, chain_hash

_COLUMNS = {
    "ledger_tx": "company_id id agency_id book_id seq kind effective_on recorded_at business_key"
                 " fingerprint actor reason_code hash xid request",
    "ledger_entry": "company_id tx_id ord agency_id book_id unit bucket credit_id qty"
                    " reference_value_jpy balance_after",
    "credit_date_change": "company_id tx_id ord agency_id book_id credit_id field old_date"
                          " new_date",
    "credit": "company_id id agency_id book_id grant_key agreement_id agreement_version"
              " placement_id relay_id terms bucket started_on guarantee_end_on available_on"
              " expires_on value_cap_jpy reference_value_jpy look_at",
    "book": "company_id id agency_id last_seq head_hash recorded_at halted close_at",
    "ledger_balance": "company_id book_id unit bucket agency_id qty reference_value_jpy version",
}  # fmt: skip
_BEGAN = datetime(2024, 4, 1, tzinfo=UTC)
_STARTED, _ENDS = date(2024, 4, 1), date(2024, 9, 30)
_USABLE, _LAST = date(2024, 10, 1), date(2025, 9, 30)
_TERMS: dict[str, Any] = {"guarantee": {"months": 6}}
_STEPS = (
    (Kind.GRANTED, Bucket.ISSUED, Bucket.PENDING, "granted"),
    (Kind.BECAME_AVAILABLE, Bucket.PENDING, Bucket.AVAILABLE, "available"),
    (Kind.RESERVED, Bucket.AVAILABLE, Bucket.RESERVED, "reserve"),
    (Kind.USED, Bucket.RESERVED, Bucket.USED, "use"),
)
_OWNERS = """INSERT INTO company SELECT (jsonb_populate_record(c, jsonb_build_object(
    'id', made.id, 'slug', made.id))).* FROM company c, unnest($1::text[]) AS made (id)"""
_PIECE = 100_000
_CHAINED, _ASKED = 420, 330  # bytes of the two canonical forms, about


def recount(stage: Stage, postings: int) -> float:
    """Seconds in which one process recounts everything; something amiss ends the measurement."""
    return serve.run(_recount(stage, postings))


def hashed(number: int = 200_000) -> float:
    """Postings a second whose two hashes alone are computed, of forms as long as theirs."""
    chained, asked = b"x" * _CHAINED, b"x" * _ASKED
    begun = time.perf_counter()
    for _ in range(number):
        hashlib.sha256(chained).hexdigest()
        hashlib.sha256(asked).hexdigest()
    return number / (time.perf_counter() - begun)


async def fill(stage: Stage, postings: int, books: int = 200, owners: int = 20) -> None:
    """Write a ledger of this many postings into an empty one, over books of several companies."""
    connection = await asyncpg.connect(stage.dsn)
    try:
        # As a superuser, past the triggers: only the posting function may write, and it is what
        # another measurement is about.
        await connection.execute("SET session_replication_role = replica")
        made = [_Book.of(number, owners) for number in range(books)]
        rows: dict[str, list[Sequence[Any]]] = {table: [] for table in _COLUMNS}
        for tx_id, (book, step, turn) in enumerate(_order(made, postings), start=1):
            book.post(tx_id, step, turn, rows)
            if tx_id % _PIECE == 0:
                await _write(connection, rows)
        for book in made:
            book.close(rows)
        await _write(connection, rows)
        await connection.execute(_OWNERS, sorted({book.company_id for book in made}))
        await connection.execute(
            "SELECT setval(pg_get_serial_sequence('ledger_tx', 'id'), $1)", postings
        )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _recount(stage: Stage, postings: int) -> float:
    runtime = Runtime.build(stage.settings)
    try:
        async with runtime.database.transaction() as session:
            chosen = await companies(session)
        begun, counted = time.perf_counter(), 0
        for company_id, _ in chosen:
            report = await read_company(runtime, company_id, EVERYTHING)
            counted += report.transactions
            if report.findings:
                raise SystemExit(f"the measured ledger does not agree: {report.findings[0]}")
        if counted != postings:
            raise SystemExit(f"recounted {counted} of {postings}")
        return time.perf_counter() - begun
    finally:
        await runtime.database.close()


@dataclass
class _Book:
    """A book and where its chain, its balances and its credits stand."""

    company_id: str
    id: str
    agency_id: str
    seq: int = 0
    head: bytes = FIRST_HASH
    at: datetime = _BEGAN
    held: list[int] = field(default_factory=lambda: [0] * 9)
    credits: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, number: int, owners: int) -> "_Book":
        return cls(_id("cmp", number % owners), _id("bok", number), _id("agy", number // owners))

    def post(self, tx_id: int, step: int, turn: int, rows: dict[str, list[Sequence[Any]]]) -> None:
        """One posting in the life of the book's `turn`-th credit."""
        kind, source, target, word = _STEPS[step]
        own = number_of(self.id) & 0xFFFFFFFF
        credit = NewCredit(
            id=_id("crd", own << 32 | turn), agreement_id=_id("agr", own), agreement_version=1,
            placement_id=_id("plc", own << 32 | turn), relay_id=_id("rly", own << 32 | turn),
            terms=_TERMS, started_on=_STARTED, guarantee_end_on=_ENDS,
        )  # fmt: skip
        dates = [
            DateSet(credit.id, "available_on", _USABLE),
            DateSet(credit.id, "expires_on", _LAST),
        ]
        self.at = _BEGAN + timedelta(seconds=tx_id, microseconds=tx_id * 7919 % 1_000_000)
        posting = Posting(
            kind=kind, key=f"{word}:{credit.placement_id}", effective_on=self.at.date(),
            actor="system" if step == 1 else self.agency_id,
            moves=[Move(credit.id, source, target)], dates=dates if step == 1 else [],
            credits=[credit] if step == 0 else [],
            request={"agreement_id": credit.agreement_id, "agreement_version": 1,
                     "placement_id": credit.placement_id, "report": 1},
        )  # fmt: skip
        self._write(tx_id, posting, credit, rows)

    def _write(
        self, tx_id: int, posting: Posting, credit: NewCredit, rows: dict[str, list[Sequence[Any]]]
    ) -> None:
        self.seq += 1
        move, fingerprint = posting.moves[0], posting.fingerprint()
        head = [self.id, self.seq, int(posting.kind), posting.effective_on, self.at, posting.key,
                fingerprint, posting.actor, posting.reason]  # fmt: skip
        changed = [[one.credit_id, one.field, one.day] for one in posting.dates]
        moved = [1, credit.id, int(move.source), int(move.target), 1, 0]
        self.head = chain_hash(self.head, head, [moved], changed)
        self.held[move.source] -= 1
        self.held[move.target] += 1
        place = self.company_id, tx_id
        rows["ledger_tx"].append((
            *place, self.agency_id, self.id, *head[1:], self.head, 1, json.dumps(posting.request),
        ))  # fmt: skip
        for order, bucket, count in ((1, move.source, -1), (2, move.target, 1)):
            rows["ledger_entry"].append((
                *place, order, self.agency_id, self.id, 1, int(bucket), credit.id, count, 0,
                self.held[bucket],
            ))  # fmt: skip
        for order, one in enumerate(posting.dates, start=1):
            rows["credit_date_change"].append((
                *place, order, self.agency_id, self.id, credit.id, one.field, None, one.day,
            ))  # fmt: skip
        self._credit(posting, credit)

    def _credit(self, posting: Posting, credit: NewCredit) -> None:
        if posting.credits:
            self.credits[credit.id] = [
                self.company_id, credit.id, self.agency_id, self.id, posting.key,
                credit.agreement_id, 1, credit.placement_id, credit.relay_id, json.dumps(_TERMS),
                0, _STARTED, _ENDS, None, None, None, 0, None,
            ]  # fmt: skip
        row = self.credits[credit.id]
        row[10] = int(posting.moves[0].target)
        if posting.dates:
            row[13], row[14] = _USABLE, _LAST
        due = {Bucket.PENDING: _ENDS, Bucket.AVAILABLE: _LAST}.get(posting.moves[0].target)
        row[17] = None if due is None else datetime(due.year, due.month, due.day, 15, tzinfo=UTC)

    def close(self, rows: dict[str, list[Sequence[Any]]]) -> None:
        """The book's own row, its balances and its credits, as they stand at the end."""
        rows["book"].append((
            self.company_id, self.id, self.agency_id, self.seq, self.head, self.at, False,
            _BEGAN + timedelta(days=36_500),
        ))  # fmt: skip
        rows["ledger_balance"] += [
            (self.company_id, self.id, unit, int(bucket), self.agency_id,
             self.held[bucket] if unit == 1 else 0, 0, 1)
            for unit in (1, 2) for bucket in Bucket
        ]  # fmt: skip
        rows["credit"] += self.credits.values()


def _order(books: Sequence[_Book], postings: int) -> Iterator[tuple[_Book, int, int]]:
    """Every book in turn, as time goes by: a book's rows do not lie side by side."""
    for number in range(postings):
        rest, book = divmod(number, len(books))
        turn, step = divmod(rest, len(_STEPS))
        yield books[book], step, turn


async def _write(connection: Any, rows: dict[str, list[Sequence[Any]]]) -> None:
    for table, listed in rows.items():
        if listed:
            columns = _COLUMNS[table].split()
            await connection.copy_records_to_table(table, records=listed, columns=columns)
            listed.clear()


def _id(prefix: str, number: int) -> str:
    """An id as irregular as a real one, always the same for a number."""
    return id_of(prefix, (number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))
