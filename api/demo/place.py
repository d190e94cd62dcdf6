"""The demo's own place: its folder, its keys, its embedded PostgreSQL."""

import asyncio
import base64
import contextlib
import fcntl
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from api.settings import Settings, async_url
from integrations.ed25519 import new_key

if TYPE_CHECKING:
    from api.demo.postgres import Embedded

_KEYS_FILE = "keys.json"
_DATABASE = "career_relay"
_IS_THERE = "SELECT 1 FROM pg_database WHERE datname = $1"
_BEING_MADE = (
    asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError, asyncpg.ObjectInUseError,
)  # fmt: skip
_PATIENCE_SECONDS = 20
"""How long a start waits for the last one on the same data to end."""


def new_signing_key() -> str:
    """A fresh EC P-256 private key in PEM: what `RELAY_SIGNING_KEY` holds."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def new_ring_key() -> str:
    """A fresh entry for `RELAY_KEYS`."""
    name = "k" + secrets.token_hex(4)
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def with_keys(settings: Settings) -> Settings:
    """Fill in what is not set from the data folder's key file, made on the first start."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    kept = _kept_keys(settings.data_dir / _KEYS_FILE)
    missing = {
        name: SecretStr(value) for name, value in kept.items() if not getattr(settings, name)
    }
    return settings.model_copy(update=missing)


def _kept_keys(path: Path) -> dict[str, str]:
    if not path.exists():
        made = {
            "keys": new_ring_key(),
            "pepper": secrets.token_urlsafe(32),
            "signing_key": new_signing_key(),
            "ledger_key": new_key(),
        }
        _keep_keys(path, made)
    kept: dict[str, str] = json.loads(path.read_text())
    if "ledger_key" not in kept:  # a folder from before there were checkpoints
        kept["ledger_key"] = new_key()
        _keep_keys(path, kept)
    return kept


def _keep_keys(path: Path, keys: dict[str, str]) -> None:
    """Written beside and moved into place: a start that is killed leaves no half a file."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(keys, indent=1))
    draft.replace(path)


@contextlib.contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """One demo per folder. The system lets go of the lock with the process, however it ends."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a") as lock:
        for _ in range(_PATIENCE_SECONDS * 10):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)  # the last one is ending
        else:
            raise SystemExit(f"Another `relay dev` runs with {data_dir}.")
        yield


def start_postgres(data_dir: Path) -> tuple["Embedded", str]:
    """Start the embedded PostgreSQL (or find it running); its handle and the owner's address."""
    from api.demo import postgres  # noqa: PLC0415 - only the demo needs the wheel's server

    server = postgres.find(data_dir / "postgres")
    try:
        server.start()
        asyncio.run(_make_database(server.uri))
    except BaseException:  # also Ctrl-C: nothing that was begun is left running
        time.sleep(0.3)  # a server that was only just begun has not yet left its number
        server.stop()
        raise
    return server, server.uri.replace("/postgres?", f"/{_DATABASE}?")


async def _make_database(uri: str) -> None:
    connection = await asyncpg.connect(uri)
    try:
        while not await connection.fetchval(_IS_THERE, _DATABASE):
            try:
                await connection.execute(f"CREATE DATABASE {_DATABASE}")
            except _BEING_MADE:  # by a start that was killed: its server process goes on
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def with_database(settings: Settings) -> tuple[Settings, "Embedded | None"]:
    """The settings with a database: the one named, or the embedded one (and its handle)."""
    if settings.database_url is not None:
        return settings, None
    server, uri = start_postgres(settings.data_dir.resolve())
    url = async_url(uri).render_as_string(hide_password=False)
    return settings.model_copy(update={"database_url": SecretStr(url)}), server
