"""An operator lets many kept deliveries be read again, a page at a time."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_company, as_system
from domain.delivery import AtsConnection, Delivery
from domain.errors import NotFound
from domain.flows.replay_delivery import replay_delivery

_PAGE = 200


async def replay_range(
    session: AsyncSession,
    connection_id: str,
    *,
    status: str | None,
    span: tuple[datetime | None, datetime | None],
    after: str,
    now: datetime,
) -> list[str]:
    """The ids of the next page of deliveries (oldest first, behind `after`), asked to be read.

    Those whose contents are no longer kept are passed over. `span` is [from, until).
    """
    async with as_system(session):
        there = select(AtsConnection.company_id).where(col(AtsConnection.id) == connection_id)
        company_id = (await session.scalars(there)).first()
    if company_id is None:
        raise NotFound
    await as_company(session, company_id)
    wanted = select(Delivery.id).where(
        col(Delivery.company_id) == company_id,
        col(Delivery.connection_id) == connection_id,
        col(Delivery.id) > after,
        col(Delivery.body).is_not(None),
    )
    first, last = span
    if status is not None:
        wanted = wanted.where(col(Delivery.status) == status)
    if first is not None:
        wanted = wanted.where(col(Delivery.received_at) >= first)
    if last is not None:
        wanted = wanted.where(col(Delivery.received_at) < last)
    page = list((await session.scalars(wanted.order_by(col(Delivery.id)).limit(_PAGE))).all())
    for delivery_id in page:
        await replay_delivery(session, company_id, delivery_id, now)
    return page
