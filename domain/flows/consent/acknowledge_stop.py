"""An agency that holds data was told to stop: it says that it has, or people are told that not."""

from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_company, relay_of_agency
from domain.agency import Agency
from domain.business_days import after, calendar_of, due_before, local_day, long_date
from domain.business_days import at as moment
from domain.company import Company
from domain.errors import Conflict
from domain.flows.tell.tell_members import tell_agency, tell_company
from domain.ports import Tools
from domain.relay import StopNotice
from domain.store import find

ANSWERS = ("deleted", "kept_own_registration", "kept_register", "kept_selection", "corrected")
"""Deleted; or kept: own registration from before, statutory register, the person's own request.
`corrected` answers a correction, and nothing else: what was to stop has not stopped by it."""
ESCALATION_DAYS = 2
"""Due after three business days; two more, and nothing new goes to this agency until it answers."""
_MORNING = time(9)
_WATCHERS = ("privacy_officer", "head", "admin")


async def acknowledge_stop(
    session: AsyncSession,
    agency_id: str,
    relay_id: str,
    answer: str,
    *,
    at: datetime | None,
    now: datetime,
) -> list[StopNotice]:
    """The agency has stopped (`at`; now, if it does not say). The first answer stands.

    Nobody answers before being asked, nor ahead of today: a time outside of these is set to them.
    An agency that never read the package has nothing to delete: then the list is empty. Raises
    `NotFound`, and `Conflict` (`nothing_to_acknowledge`) while nobody asked it to stop.
    """
    relay = await relay_of_agency(session, agency_id, relay_id)
    notices = await _notices(session, relay.company_id, relay_id)
    if answer == "corrected":
        notices = [notice for notice in notices if notice.kind == "corrected"]
    if not notices and (answer == "corrected" or relay.state not in {"withdrawn", "expired"}):
        detail = "nobody has asked you to stop"
        raise Conflict(detail, code="nothing_to_acknowledge")
    for notice in notices:
        if notice.state != "acknowledged":
            notice.state, notice.answer = "acknowledged", answer
            notice.acknowledged_at = max(notice.created_at, min(at or now, now))
            notice.look_at = None
            session.add(notice)
    await session.flush()
    return notices


async def open_stops(session: AsyncSession, agency_id: str) -> list[StopNotice]:
    """What an agency was asked to stop or to correct and has not answered, most urgent first.

    The transaction works for the agency.
    """
    wanted = (
        select(StopNotice)
        .where(col(StopNotice.agency_id) == agency_id, col(StopNotice.state) != "acknowledged")
        .order_by(col(StopNotice.due_on), col(StopNotice.id))
        .limit(100)
    )
    return list((await session.scalars(wanted)).all())


async def watch_stop(
    session: AsyncSession, tools: Tools, company_id: str, notice_id: str, now: datetime
) -> None:
    """Timer `stop_notice.look_at`: overdue since the end of the due day, then told every day."""
    notice = await find(session, StopNotice, company_id, notice_id, for_update=True)
    if notice is None or notice.look_at is None or notice.look_at > now:
        return
    if notice.state == "acknowledged":
        notice.look_at = None
    elif now < due_before(notice.due_on):
        notice.look_at = due_before(notice.due_on)
    else:
        await _overdue(session, tools, notice, now)
    session.add(notice)
    await session.flush()


async def _overdue(session: AsyncSession, tools: Tools, notice: StopNotice, now: datetime) -> None:
    company = await session.get_one(Company, notice.company_id)
    calendar = calendar_of(company.calendar, tools.holidays)
    today = local_day(now)
    notice.state = "overdue"
    if notice.escalated_at is None and today > after(calendar, notice.due_on, ESCALATION_DAYS):
        notice.escalated_at = now
    notice.look_at = moment(today + timedelta(days=1), _MORNING)
    session.add(notice)
    await session.flush()  # before the transaction turns to the agency's side
    await _tell_people(session, tools, company, notice, today, now=now)


async def _tell_people(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    notice: StopNotice,
    today: date,
    *,
    now: datetime,
) -> None:
    """A mail a day to the people of both sides. It names the relay, never the person."""
    agency = await session.get_one(Agency, notice.agency_id)

    def words(locale: str) -> dict[str, Any]:
        return {
            "relay_id": notice.relay_id,
            "agency_name": agency.name,
            "company_name": company.name,
            "due_on": long_date(notice.due_on, locale),
            "escalated": notice.escalated_at is not None,
            "corrected": notice.kind == "corrected",
            "url": tools.public_url,
        }

    about = f"stop-overdue:{notice.id}:{today}"
    await tell_company(
        session, tools, company.id, "stop_overdue", words, roles=_WATCHERS, about=about, now=now
    )
    await tell_agency(session, tools, agency.id, "stop_overdue", words, about=about, now=now)
    await as_company(session, company.id)


async def _notices(session: AsyncSession, company_id: str, relay_id: str) -> list[StopNotice]:
    wanted = (
        select(StopNotice)
        .where(col(StopNotice.company_id) == company_id, col(StopNotice.relay_id) == relay_id)
        .order_by(col(StopNotice.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list((await session.scalars(wanted)).all())
