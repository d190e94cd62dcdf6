"""Change a connection to an ATS: rotate its secrets, switch it off, map its words to ours."""

import base64
import secrets as randomness
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain.ats_secrets import open_secrets, seal_secrets, split_settings
from domain.delivery import AtsConnection
from domain.errors import Invalid
from domain.flows.hear.map_words import JOB as READ_AGAIN_JOB
from domain.flows.hear.poll_connection import plan_polls
from domain.jobs import later
from domain.ports import Sealer, Tools
from domain.store import lock

WORDS_JOB = "ats.words"


def check_keys(
    tools: Tools, provider: str, secrets: list[str], public_keys: list[str] | None
) -> None:
    """Refuse a provider we do not speak to, and keys that could never verify anything."""
    adapter = tools.adapters.get(provider)
    if adapter is None and provider not in tools.apis:
        detail = "one of: " + ", ".join(sorted({*tools.adapters, *tools.apis}))
        raise Invalid(detail, code="unknown_provider")
    if adapter is None:
        fault = "this system sends no webhooks" if secrets or public_keys else None
    else:
        fault = adapter.unusable(secrets, public_keys or [])
    if fault is not None:
        raise Invalid(fault, code="unusable_keys")


def made_secret() -> str:
    """A new secret in the form of Standard Webhooks, which every provider here takes."""
    return "whsec_" + base64.b64encode(randomness.token_bytes(32)).decode()


async def begin_rotation(
    session: AsyncSession, tools: Tools, company_id: str, connection_id: str, new: str
) -> AtsConnection:
    """From now on the new secret verifies, and so does the latest one before it."""
    connection = await lock(session, AtsConnection, company_id, connection_id)
    latest = open_secrets(tools.sealer, connection)["secrets"][:1]
    connection.secrets = _with_secrets(tools.sealer, connection, [new, *latest])
    session.add(connection)
    await session.flush()
    return connection


async def finish_rotation(
    session: AsyncSession, tools: Tools, company_id: str, connection_id: str
) -> AtsConnection:
    """Only the newest secret verifies from now on."""
    connection = await lock(session, AtsConnection, company_id, connection_id)
    newest = open_secrets(tools.sealer, connection)["secrets"][:1]
    connection.secrets = _with_secrets(tools.sealer, connection, newest)
    session.add(connection)
    await session.flush()
    return connection


def _with_secrets(sealer: Sealer, connection: AtsConnection, secrets: list[str]) -> bytes:
    kept = open_secrets(sealer, connection)
    return seal_secrets(
        sealer, connection.id, secrets, kept["by_event"], api_key=kept.get("api_key")
    )


async def change_connection(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    connection_id: str,
    *,
    change: dict[str, Any],
    now: datetime,
) -> AtsConnection:
    """Take over what is named in `change`; the rest stays.

    `secrets` is the whole new list (during a rotation the new and the old one). Single `settings`
    are replaced, or removed by null. What could not be understood so far is read again: the words
    may have a meaning now, or the vendor's API a credential.
    """
    connection = await lock(session, AtsConnection, company_id, connection_id)
    for name in ("name", "enabled", "public_keys"):
        if name in change:
            setattr(connection, name, change[name])
    _change_secrets(tools.sealer, connection, change)
    opened = open_secrets(tools.sealer, connection)
    check_keys(tools, connection.provider, opened["secrets"], connection.public_keys)
    session.add(connection)
    await session.flush()
    if "settings" in change or "enabled" in change:
        await begin_asking(session, tools, connection, now)
    return connection


async def begin_asking(
    session: AsyncSession, tools: Tools, connection: AtsConnection, now: datetime
) -> None:
    """After a connection was made or its settings changed: polls, words, and what has waited."""
    await plan_polls(session, tools, connection, now)
    api_key = open_secrets(tools.sealer, connection).get("api_key")
    if connection.enabled and connection.provider in tools.apis and api_key:
        await later(session, WORDS_JOB, connection.company_id, connection.id)
    await later(session, READ_AGAIN_JOB, connection.company_id, connection.id)


def _change_secrets(sealer: Sealer, connection: AtsConnection, change: dict[str, Any]) -> None:
    kept = open_secrets(sealer, connection)
    given, api_key = split_settings(change.get("settings") or {})
    told_key = "api_key" in (change.get("settings") or {})
    merged = {**connection.settings, **given}
    connection.settings = {name: value for name, value in merged.items() if value is not None}
    connection.secrets = seal_secrets(
        sealer,
        connection.id,
        change.get("secrets", kept["secrets"]),
        change.get("secrets_by_event", kept["by_event"]),
        api_key=api_key if told_key else kept.get("api_key"),
    )
