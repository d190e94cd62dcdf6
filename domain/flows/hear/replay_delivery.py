"""A kept delivery is read again, for example after a mapping was corrected."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.delivery import READ_AGAIN_AFTER, Delivery
from domain.errors import Conflict
from domain.jobs import later
from domain.store import lock

JOB = "delivery.read"


async def replay_delivery(
    session: AsyncSession, company_id: str, delivery_id: str, now: datetime
) -> Delivery:
    """Read a delivery again. What took effect before takes none again."""
    delivery = await lock(session, Delivery, company_id, delivery_id)
    if delivery.body is None:
        detail = "the delivery's contents are no longer kept"
        raise Conflict(detail, code="contents_gone")
    if delivery.status != "received":
        delivery.status, delivery.error, delivery.processed_at = "received", None, None
        delivery.attempts = 0
        delivery.look_at = now + READ_AGAIN_AFTER
        session.add(delivery)
    await session.flush()
    await later(session, JOB, company_id, delivery_id)
    return delivery
