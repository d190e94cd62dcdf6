"""A delivery is kept, sealed, before anybody reads it, and its reading is asked for with it."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from domain.delivery import READ_AGAIN_AFTER
from domain.ids import new_id
from domain.ports import AtsAdapter, Incoming, Sealer

Statement = Callable[..., Awaitable[Any]]
"""Runs one SQL statement as a transaction of its own and gives its value back."""

_KEEP = "SELECT relay_keep_delivery($1, $2, $3, $4, $5, $6, $7, $8, $9)"


@dataclass(frozen=True)
class Arrival:
    """A verified delivery and the connection it came through."""

    company_id: str
    connection_id: str
    provider: str
    incoming: Incoming


async def keep_delivery(
    run: Statement, sealer: Sealer, adapter: AtsAdapter, arrival: Arrival
) -> bool:
    """Keep a delivery once. False: the very same one is there already.

    One statement, one transaction, one round trip: the row and the job that will read it.
    """
    incoming, delivery_id = arrival.incoming, new_id("dlv")
    vendor_id = None if adapter.ID_IN_BODY else adapter.delivery_id(incoming)
    kept: bool = await run(
        _KEEP,
        arrival.company_id,
        delivery_id,
        arrival.connection_id,
        arrival.provider,
        content_key(incoming.body, vendor_id),
        sealer.seal(incoming.body, about=f"delivery:{delivery_id}"),
        sealer.seal(_kept_headers(adapter, incoming), about=f"delivery-headers:{delivery_id}"),
        incoming.received_at,
        incoming.received_at + READ_AGAIN_AFTER,
    )
    return kept


def content_key(body: bytes, vendor_id: str | None) -> bytes:
    """What tells a repeated delivery from a new one: the exact bytes, and an id beside them."""
    digest = hashlib.sha256((vendor_id or "").encode())
    digest.update(b"\0")
    digest.update(body)
    return digest.digest()


def _kept_headers(adapter: AtsAdapter, incoming: Incoming) -> bytes:
    found = {name: incoming.headers[name] for name in adapter.HEADERS if name in incoming.headers}
    return json.dumps(found).encode()
