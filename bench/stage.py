"""What is measured: a PostgreSQL with its schema, one connection of every vendor, our processes."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import SecretStr
from sqlalchemy import URL

from api import schema
from api.demo import place
from api.runtime import Runtime, app_password, owner_url
from api.settings import Settings
from bench import floor
from bench.load import CONNECTIONS, Target, request_bytes
from bench.samples import SAMPLES, SECRET
from domain.flows.office import open_account

COMPANY = {
    "slug": "bench", "name": "bench", "address": "bench", "representative": "bench",
    "contact": "bench", "harassment_contact": "bench", "privacy_officer": "bench",
    "privacy_contact": "bench",
}  # fmt: skip
_LONGEST_START, _LONGEST_END = 90.0, 20.0


@dataclass(frozen=True)
class Stage:
    """One database and how to reach it; `paths` has the door of every vendor."""

    settings: Settings
    company_id: str
    paths: dict[str, str]

    @property
    def dsn(self) -> str:
        """The owner's address as asyncpg takes it."""
        url = owner_url(self.settings).set(drivername="postgresql")
        return url.render_as_string(hide_password=False)

    def door(self, provider: str, port: int) -> Target:
        """Our door for a vendor."""
        sample, path = SAMPLES[provider], self.paths[provider]
        return Target(
            port, lambda number: request_bytes(path, *sample.make(number, path)), sample.accepted
        )

    @contextmanager
    def api(self) -> Iterator[int]:
        """One API process; its port."""
        with _process([sys.executable, "-m", "api.cli", "serve"], self._env()) as port:
            yield port

    @contextmanager
    def worker(self) -> Iterator[None]:
        """One worker process."""
        with _process([sys.executable, "-m", "api.cli", "worker"], self._env(), listens=False):
            yield

    @contextmanager
    def bare(self) -> Iterator[int]:
        """The bare route; its port."""
        port = free_port()
        command = [sys.executable, "-m", "bench.floor", str(port)]
        with _process(command, {"FLOOR_DSN": self.dsn, "FLOOR_SECRET": SECRET}, port=port) as found:
            yield found

    def _env(self) -> dict[str, str]:
        def plain(value: SecretStr | None) -> str:
            return value.get_secret_value() if value else ""

        return {
            "DATABASE_URL": plain(self.settings.database_url),
            "RELAY_KEYS": plain(self.settings.keys),
            "RELAY_PEPPER": plain(self.settings.pepper),
            "RELAY_SIGNING_KEY": plain(self.settings.signing_key),
            "RELAY_LEDGER_KEY": plain(self.settings.ledger_key),
            "RELAY_POOL_SIZE": str(CONNECTIONS),
        }

    async def run(self, statement: str, *values: Any) -> list[Any]:
        """One statement as the owner."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    def ask(self, statement: str, *values: Any) -> Any:
        """The first value of a statement's answer."""
        rows = asyncio.run(self.run(statement, *values))
        return rows[0][0] if rows else None

    def twin(self, suffix: str) -> "Stage":
        """A copy of the whole database on the same server."""
        url = owner_url(self.settings)
        name = f"{url.database}_{suffix}"
        copy = f"CREATE DATABASE {name} TEMPLATE {url.database}"
        asyncio.run(_execute(url.set(database="postgres"), copy))
        url = url.set(database=name)
        there = SecretStr(url.render_as_string(hide_password=False))
        settings = self.settings.model_copy(update={"database_url": there})
        return Stage(settings, self.company_id, self.paths)

    def rest(self) -> None:
        """Forget what waits, and write out what is dirty: the next part begins with neither."""
        for statement in ("TRUNCATE pgq.pgqueuer", "TRUNCATE bench_floor", "CHECKPOINT"):
            self.ask(statement)


def bare_target(provider: str, port: int) -> Target:
    """The bare route with the same bodies, each with one HMAC over it."""
    sample = SAMPLES[provider]

    def request(number: int) -> bytes:
        body, _ = sample.make(number, "/hook")
        return request_bytes("/hook", body, floor.signed(body, SECRET))

    return Target(port, request, 200)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Set everything up; with the embedded PostgreSQL unless `DATABASE_URL` names a server.

    On a server named, the measurement works in a database of its own and drops it again.
    """
    settings = place.with_keys(Settings(mode="demo", data_dir=folder, pool_size=CONNECTIONS))
    settings, server = place.with_database(settings)
    dropped = ""
    if server is None:
        settings, dropped = asyncio.run(_own_database(settings))
    try:
        schema_url = owner_url(settings)
        asyncio.run(schema.upgrade(schema_url, app_password(settings)))
        made = asyncio.run(_connections(settings))
        asyncio.run(made.run(floor.TABLE))
        yield made
    finally:
        if server is not None:
            server.stop()
        elif dropped:
            asyncio.run(_drop(owner_url(settings), dropped))


async def _own_database(settings: Settings) -> tuple[Settings, str]:
    url, name = owner_url(settings), f"relay_bench_{os.getpid()}"
    await _execute(url, f"CREATE DATABASE {name}")
    there = url.set(database=name).render_as_string(hide_password=False)
    return settings.model_copy(update={"database_url": SecretStr(there)}), name


async def _drop(url: URL, name: str) -> None:
    for one in (name, f"{name}_many", f"{name}_few", f"{name}_recounted"):
        drop = f"DROP DATABASE IF EXISTS {one} WITH (FORCE)"
        await _execute(url.set(database="postgres"), drop)


async def _execute(url: URL, statement: str) -> None:
    there = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(there)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _connections(settings: Settings) -> Stage:
    runtime, paths = Runtime.build(settings), dict[str, str]()
    now, sealer = runtime.clock(), runtime.tools.sealer
    async with runtime.database.transaction() as db:
        company = await open_account.open_company(db, now=now, **COMPANY)
        for sample in SAMPLES.values():
            made = await open_account.connect_ats(
                db, sealer, company.id, provider=sample.provider, name="bench",
                secrets=list(sample.secrets), now=now,
            )  # fmt: skip
            paths[sample.provider] = f"/v1/ats/{sample.provider}/{made.id}"
    await runtime.database.close()
    return Stage(settings, company.id, paths)


@contextmanager
def _process(
    command: list[str], env: dict[str, str], *, listens: bool = True, port: int = 0
) -> Iterator[int]:
    port = port or free_port()
    told = {**os.environ, **env, "RELAY_PORT": str(port)}
    running = subprocess.Popen(command, env=told, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        if listens:
            _wait_for(port, running)
        yield port
    finally:
        running.terminate()
        try:
            running.wait(timeout=_LONGEST_END)
        except subprocess.TimeoutExpired:
            running.kill()


def _wait_for(port: int, running: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _LONGEST_START
    while time.monotonic() < end and running.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on {port}")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
