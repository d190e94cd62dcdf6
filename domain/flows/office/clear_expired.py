"""Throw away what has lost its meaning: tokens, used assertions, old answers, ended sessions."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

KEPT: dict[str, tuple[str, timedelta]] = {
    "oauth_token": ("expires_at", timedelta()),
    "oauth_assertion": ("expires_at", timedelta()),
    # Promised are 24 hours; a client that was down over a weekend is served, too.
    "idempotency": ("created_at", timedelta(hours=72)),
    "sign_in_link": ("expires_at", timedelta(days=1)),
    "login_session": ("expires_at", timedelta()),
}
"""Table → its column of time, and how long after it a row stays."""
MOST_AT_ONCE = 1000


async def clear_expired(session: AsyncSession, now: datetime) -> int:
    """Delete a batch from each table; the number of rows. Cost follows what is due."""
    gone = 0
    for table, (column, stay) in KEPT.items():
        found = await session.execute(
            text(
                f"DELETE FROM {table} WHERE ctid = ANY (ARRAY("  # noqa: S608 - names of ours
                f"SELECT ctid FROM {table} WHERE {column} <= :until "
                f"ORDER BY {column} LIMIT {MOST_AT_ONCE} FOR UPDATE SKIP LOCKED)) RETURNING 1"
            ),
            {"until": now - stay},
        )
        gone += len(found.all())
    return gone
