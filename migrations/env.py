"""Alembic's way in. The connection (the owner's) is handed over by `api/cli.py` or by a test."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from domain.base import Instant, Xid8
from domain.tables import METADATA


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write plain types into migrations: they must not depend on tomorrow's code."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Xid8):
        autogen.imports.add("from domain.base import Xid8")
        return "Xid8()"
    if kind == "type" and isinstance(item, JSONB):
        autogen.imports.add("from sqlalchemy.dialects.postgresql import JSONB")
        return "JSONB()"
    if kind == "type" and type(item).__name__ == "AutoString":
        return "sa.Text()"
    return False


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Compare our own schema only; the queue's tables belong to PgQueuer."""
    return kind != "schema" or name in (None, "public")


def run(connection: Connection) -> None:
    """Upgrade, downgrade or compare on this connection, one transaction for all."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_item=render_item,
        include_name=include_name,
        compare_type=False,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
