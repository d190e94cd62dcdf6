"""Wakes the workers for deliveries the door kept quietly.

A commit that notifies waits for every other such commit in PostgreSQL, so a burst of deliveries
would go through one at a time. The door commits without a word and says once, a moment later, that
there is work. A process that dies in that moment costs nothing: workers look by themselves.
"""

import asyncio
import json

import asyncpg
import structlog

from api.database import Database
from domain.jobs import SETTINGS

log = structlog.get_logger()
_MOMENT = 0.02
_BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_NEWS = json.dumps({
    "channel": SETTINGS.channel,
    "operation": "insert",
    "sent_at": "1970-01-01T00:00:00+00:00",
    "table": SETTINGS.queue_table,
    "type": "table_changed_event",
})  # fmt: skip


class Waker:
    """One call to the workers for all that came in a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waking: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """There is work; the workers hear of it within a moment."""
        if self._waking is None:
            self._waking = asyncio.create_task(self._wake())

    async def _wake(self) -> None:
        await asyncio.sleep(_MOMENT)
        self._waking = None  # what comes in from here on needs a call of its own
        try:
            await self._database.run("SELECT pg_notify($1, $2)", str(SETTINGS.channel), _NEWS)
        except _BROKEN as error:
            log.warning("nobody_was_woken", kind=type(error).__name__)
