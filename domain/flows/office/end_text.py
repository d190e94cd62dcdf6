"""A version of the consent's words ends: what was agreed to under it carries nothing from then on.

The law changed, or the words were found wanting. The gate stays closed for these consents; whose
relay still waits is asked anew (`flows/relay/forward_relay`).
"""

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.business_days import local_day
from domain.consent import ConsentText, ConsentTextEnd
from domain.consent_text import VERSION
from domain.errors import Conflict, Invalid, NotFound
from domain.ids import new_id

LONGEST = 300


async def end_text(
    session: AsyncSession,
    company_id: str,
    version: str,
    ends_on: date,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> ConsentTextEnd:
    """From the start of `ends_on` in Japan; only added to, and the earliest end of a version holds.

    Raises `NotFound` (`text_unknown`: nobody was ever shown it), `Conflict` (`text_current`: the
    form shows it today, so nothing could follow it) and `Invalid` (`reason_missing`,
    `period_invalid`: the day has passed).
    """
    if not 1 <= len(reason.strip()) <= LONGEST:
        raise Invalid(code="reason_missing")
    if ends_on < local_day(now):
        raise Invalid(code="period_invalid")
    if version == VERSION:
        raise Conflict("the form shows this version", code="text_current")
    shown = select(ConsentText.id).where(
        col(ConsentText.company_id) == company_id, col(ConsentText.version) == version
    )
    if (await session.scalars(shown.limit(1))).first() is None:
        raise NotFound(version, code="text_unknown")
    row = ConsentTextEnd(
        company_id=company_id, id=new_id("cte"), version=version, ends_on=ends_on,
        reason=reason.strip(), set_by=actor, created_at=now,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    return row
