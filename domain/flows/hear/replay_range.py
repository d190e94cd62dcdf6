"""Many kept deliveries are read again, a page at a time: for an operator, or for HR as a job."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_company, as_system
from domain.company import Company
from domain.delivery import AtsConnection, Delivery
from domain.errors import NotFound
from domain.flows.hear.replay_delivery import replay_delivery
from domain.jobs import later
from domain.store import find

JOB = "ats.replay"
ANY = "-"
"""Stands in the job for a condition nobody named."""
_PAGE = 200


async def ask_for_replay(
    session: AsyncSession,
    company_id: str,
    connection_id: str,
    *,
    status: str | None,
    span: tuple[datetime | None, datetime | None],
    now: datetime,
) -> None:
    """Have a connection's deliveries of a time be read again. `span` is [from, until), until now.

    The job names them by their conditions: there may be many.
    """
    if await find(session, AtsConnection, company_id, connection_id) is None:
        raise NotFound
    first, last = span
    ends = (first.isoformat() if first else ANY, (last or now).isoformat())
    await later(session, JOB, company_id, connection_id, status or ANY, *ends)


async def replay_one(session: AsyncSession, delivery_id: str, now: datetime) -> None:
    """For an operator, who knows no company: one delivery by its number."""
    async with as_system(session):
        # Through the companies: a number alone leads no index to its delivery.
        same = (col(Delivery.company_id) == col(Company.id)) & (col(Delivery.id) == delivery_id)
        there = select(Company.id).join(Delivery, same)
        company_id = (await session.scalars(there)).first()
    if company_id is None:
        raise NotFound
    await as_company(session, company_id)
    await replay_delivery(session, company_id, delivery_id, now)


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
