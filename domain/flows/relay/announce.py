"""Tell an agency that a relay changed: its feed at this commit, its webhooks soon after."""

from datetime import datetime
from typing import Any

from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.jobs import later
from domain.relay import URGENT_KINDS, FeedItem, Relay

URGENT_PRIORITY = 10
"""Stops go before everything else that waits in the queue."""
_REMOVING_KINDS = ("relay.withdrawn", "relay.erased")
_REMOVING_STATES = ("withdrawn", "expired")


async def announce(session: AsyncSession, relay: Relay, kind: str, now: datetime) -> None:
    """The caller has set `relay.state` and works for the relay's company.

    `kind` is one of `domain.relay.EVENT_KINDS`. The version grows (a created relay keeps its
    first), the feed line moves to the end, and the job `relay.announce` writes to the endpoints.
    An agency hears nothing of a relay that never reached it: then this does nothing.
    """
    if relay.forwarded_at is None:
        return
    if kind != "relay.created":
        relay.version += 1
    session.add(relay)
    await session.flush()
    await rewrite_feed_item(session, relay, kind, now)
    # The version is part of the job: news during a running job must not be taken for the same.
    await later(
        session, "relay.announce", relay.agency_id, relay.id, kind, str(relay.version),
        priority=URGENT_PRIORITY if kind in URGENT_KINDS else 0,
    )  # fmt: skip


async def rewrite_feed_item(session: AsyncSession, relay: Relay, kind: str, now: datetime) -> None:
    """The relay's one line in the agency's feed gets a new place, without a webhook."""
    removed = kind in _REMOVING_KINDS or relay.state in _REMOVING_STATES
    table: Any = FeedItem.__table__  # type: ignore[attr-defined]
    line = insert(table).values(
        agency_id=relay.agency_id,
        relay_id=relay.id,
        company_id=relay.company_id,
        op="remove" if removed else "upsert",
        version=relay.version,
        reason=(kind.removeprefix("relay.") if kind in _REMOVING_KINDS else relay.state)
        if removed
        else None,
        changed_at=now,
    )
    new, old = line.excluded, table.c
    await session.execute(
        line.on_conflict_do_update(
            index_elements=["agency_id", "relay_id"],
            set_={
                "xid": new.xid,
                "position": new.position,
                "version": new.version,
                "changed_at": new.changed_at,
                # Once taken away it stays away: a guarantee that passes later brings nobody back.
                "op": case((old.op == "remove", old.op), else_=new.op),
                "reason": case((new.op == "remove", new.reason), else_=old.reason),
            },
        )
    )
