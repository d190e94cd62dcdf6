"""Migrations as a library call: upgrade, downgrade, compare, and the app role's password."""

import asyncio
import importlib.resources
import re
from collections.abc import Callable
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from api.runtime import APP_ROLE


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, wherever the package is installed."""
    made = Config()
    made.set_main_option("script_location", str(importlib.resources.files("migrations")))
    made.attributes["connection"] = connection
    return made


async def with_owner(url: URL, work: Callable[[Connection], Any]) -> Any:
    """Run something on one owner connection, committed at the end."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def upgrade(url: URL, password: str, revision: str = "head") -> None:
    """Bring the schema up to date and let the app role sign in with this password."""
    await with_owner(url, lambda connection: command.upgrade(config(connection), revision))
    await with_owner(url, lambda connection: _let_app_in(connection, password))


async def downgrade(url: URL, revision: str = "base") -> None:
    """Take the schema back."""
    await with_owner(url, lambda connection: command.downgrade(config(connection), revision))


async def check(url: URL) -> None:
    """Raise when tables and migrations differ."""
    await with_owner(url, lambda connection: command.check(config(connection)))


def head() -> str | None:
    """The newest revision this code knows."""
    return ScriptDirectory.from_config(config()).get_current_head()


def current(connection: Connection) -> str | None:
    """The revision the database stands at."""
    return MigrationContext.configure(connection).get_current_revision()


def _let_app_in(connection: Connection, password: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", password):
        message = "the app role's password must be URL-safe"
        raise ValueError(message)
    connection.execute(text(f"ALTER ROLE {APP_ROLE} LOGIN PASSWORD '{password}'"))


def run_upgrade(url: URL, password: str) -> None:
    """`upgrade` for callers without an event loop."""
    asyncio.run(upgrade(url, password))
