"""Which duties an agency has let pass towards a company, and whether new relays pause for it."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.business_days import calendar_of, local_day
from domain.company import DEFAULT_CALENDAR
from domain.completeness import Overdue, Pause, pauses
from domain.flows.earn.agree_terms import version_on
from domain.ports import Holidays
from domain.terms import terms_of

_OVERDUE = text("""
SELECT (SELECT min(status_missed_on) - 1 FROM relay
         WHERE company_id = :company AND agency_id = :agency AND status_missed_on IS NOT NULL
           AND state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended', 'offered')
       ) AS status_due_on,
       (SELECT min(due_on) FROM attestation
         WHERE company_id = :company AND agency_id = :agency AND state = 'overdue'
       ) AS attestation_due_on
""")


async def overdue_duties(session: AsyncSession, company_id: str, agency_id: str) -> Overdue:
    """The oldest word and the oldest attestation that are missing: two looks into small indexes."""
    values = {"company": company_id, "agency": agency_id}
    found = (await session.execute(_OVERDUE, values)).one()
    return Overdue(found.status_due_on, found.attestation_due_on)


async def paused(
    session: AsyncSession, holidays: Holidays, company_id: str, agency_id: str, now: datetime
) -> list[Pause]:
    """Why new relays of this company wait at present; empty: they do not.

    Business days are those of the default calendar, the same for both sides. Raises `NotFound`
    where the two have no agreement.
    """
    overdue = await overdue_duties(session, company_id, agency_id)
    if not overdue:
        return []
    today = local_day(now)
    version = await version_on(session, company_id, agency_id, today)
    calendar = calendar_of(DEFAULT_CALENDAR, holidays)
    return pauses(overdue, terms_of(version.terms).duties, calendar, today)
