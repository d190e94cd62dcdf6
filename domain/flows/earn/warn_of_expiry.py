"""HR hears of credits that are about to expire: sixty, thirty and seven days before."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.agency import Agency
from domain.business_days import long_date
from domain.consent_text import named
from domain.credits import Bucket, Credit, ExpiryNotice
from domain.flows.tell.tell_members import tell_company
from domain.ports import Tools
from domain.store import find, lock


async def warn_of_expiry(
    session: AsyncSession, tools: Tools, company_id: str, notice_id: str, now: datetime
) -> None:
    """Timer `expiry_notice.look_at`: one mail for all credits of a book with the same last day.

    Nothing is said when all of them were used, or their day has changed, meanwhile.
    """
    if await find(session, ExpiryNotice, company_id, notice_id) is None:
        return
    notice = await lock(session, ExpiryNotice, company_id, notice_id)
    if notice.look_at is None or notice.look_at > now:
        return
    notice.look_at = None
    session.add(notice)
    await session.flush()
    wanted = select(func.count()).where(
        col(Credit.company_id) == company_id,
        col(Credit.book_id) == notice.book_id,
        col(Credit.bucket) == Bucket.AVAILABLE,
        col(Credit.expires_on) == notice.expires_on,
    )
    count = (await session.execute(wanted)).scalar_one()
    if count == 0:
        return
    agency = await session.get_one(Agency, notice.agency_id)
    day, days = notice.expires_on, notice.days_before
    await tell_company(
        session, tools, company_id, "credits_expiring",
        lambda locale: {
            "agency_name": named(agency, locale), "count": count, "days": days,
            "expires_on": long_date(day, locale),
            "credits_url": f"{tools.public_url}/dashboard/credits",
        },
        roles=("admin", "head", "recruiter"), about=f"expiring:{notice_id}", now=now,
    )  # fmt: skip
