"""Deliveries as people see them: with the canonical events they brought, opened for the reader."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.delivery import Delivery
from domain.ports import Sealer


def events_about(delivery_id: str) -> str:
    """Where a delivery's events lie, for sealing."""
    return f"delivery-events:{delivery_id}"


async def events_of(
    session: AsyncSession, sealer: Sealer, company_id: str, deliveries: Sequence[Delivery]
) -> dict[str, list[dict[str, Any]]]:
    """The canonical events of each delivery by its id; none where the person was erased since."""
    found: dict[str, list[dict[str, Any]]] = {one.id: [] for one in deliveries}
    personal: list[tuple[str, str, bytes]] = []
    for one in deliveries:
        if one.events is None:
            continue
        if one.candidate_id is None:
            found[one.id] = json.loads(sealer.open(one.events, about=events_about(one.id)))
        else:
            personal.append((one.id, one.candidate_id, one.events))
    opened = await vault.open_each(
        session,
        sealer,
        company_id,
        [(owner, sealed, events_about(number)) for number, owner, sealed in personal],
    )
    for (number, _, _), events in zip(personal, opened, strict=True):
        found[number] = events or []
    return found
