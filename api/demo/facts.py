"""What the demo remembers of itself between starts."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.runtime import Runtime
from domain.instance import InstanceFact


async def read(runtime: Runtime, name: str) -> str | None:
    """A kept text, or nothing."""
    async with runtime.database.transaction() as session:
        kept = await session.get(InstanceFact, name)
    return kept.value if kept is not None else None


async def keep(runtime: Runtime, name: str, value: str) -> None:
    """Keep a text under a name; the newest wins."""
    async with runtime.database.transaction() as session:
        await note(session, name, value)


async def note(session: AsyncSession, name: str, value: str) -> None:
    """The same in a transaction that also does what the text tells of."""
    await session.execute(
        text(
            "INSERT INTO instance_fact (name, value) VALUES (:name, :value) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        ),
        {"name": name, "value": value},
    )
