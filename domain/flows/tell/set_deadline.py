"""Every completed interview has a deadline, whatever its result (domain rules 2)."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application, Interview
from domain.business_days import Calendar, calendar_of
from domain.company import Company
from domain.deadline import OWED, Deadline, next_look
from domain.flows.hear.note_result import note_next_stage
from domain.ids import new_id
from domain.notice import Notice
from domain.ports import Tools
from domain.store import add_once, lock

log = structlog.get_logger()


@dataclass(frozen=True)
class _Promise:
    """A deadline with what it is about."""

    company: Company
    application: Application
    deadline: Deadline


async def set_deadline(
    session: AsyncSession, tools: Tools, company: Company, interview: Interview, now: datetime
) -> Deadline | None:
    """Open, move or void the promise of one interview; null while there is nothing to promise.

    Met at once when the result was told already. A deadline met or missed stays as it was. An
    interview planned for a later day says that the candidate has heard of passing the one before.
    """
    application = await lock(session, Application, company.id, interview.application_id)
    if interview.status == "scheduled" and application.outcome == "active":
        await note_next_stage(session, application, interview, now)
    there = await _deadline_of(session, interview)
    if interview.status != "completed" or application.outcome == "withdrawn":
        return await _owe_nothing(session, there, interview)
    calendar = calendar_of(company.calendar, tools.holidays)
    if there is None:
        there = await _open(session, company, interview, calendar, now)
    elif there.state not in {*OWED, "void"}:
        return there
    there.interview_ended_at = _ended_at(interview)
    await _count(session, _Promise(company, application, there), calendar, now)
    return there


async def recount_deadlines(
    session: AsyncSession, tools: Tools, company: Company, now: datetime
) -> int:
    """Count the open promises again after the company's calendar changed; how many have moved."""
    calendar = calendar_of(company.calendar, tools.holidays)
    owed = select(Deadline.application_id, Deadline.id).where(
        col(Deadline.company_id) == company.id, col(Deadline.state).in_(OWED)
    )
    moved = 0
    for application_id, deadline_id in (await session.execute(owed)).all():
        application = await lock(session, Application, company.id, application_id)
        deadline = await lock(session, Deadline, company.id, deadline_id)
        if deadline.state in OWED:
            before = deadline.due_on
            await _count(session, _Promise(company, application, deadline), calendar, now)
            moved += deadline.due_on != before
    return moved


async def void_deadlines(
    session: AsyncSession, company_id: str, application_id: str, now: datetime
) -> None:
    """The candidate withdrew: what was still owed in time is owed no more; a miss stays."""
    owed = (
        select(Deadline)
        .where(
            col(Deadline.company_id) == company_id,
            col(Deadline.application_id) == application_id,
            col(Deadline.state).in_((*OWED, "missed")),
        )
        .with_for_update()
    )
    for deadline in (await session.scalars(owed)).all():
        if deadline.state in OWED and deadline.due_before <= now:
            deadline.miss()
        if deadline.state in OWED:
            deadline.void()
        deadline.look_at = None
        session.add(deadline)
    await session.flush()


async def _deadline_of(session: AsyncSession, interview: Interview) -> Deadline | None:
    wanted = (
        select(Deadline)
        .where(
            col(Deadline.company_id) == interview.company_id,
            col(Deadline.interview_id) == interview.id,
        )
        .with_for_update()
    )
    return (await session.scalars(wanted)).first()


async def _owe_nothing(
    session: AsyncSession, there: Deadline | None, interview: Interview
) -> Deadline | None:
    """A correction to cancelled or no-show voids; a withdrawal does so in `void_deadlines`."""
    if there is not None and interview.status != "completed":
        there.void()
        session.add(there)
        await session.flush()
    return there


async def _open(
    session: AsyncSession,
    company: Company,
    interview: Interview,
    calendar: Calendar,
    now: datetime,
) -> Deadline:
    ended_at = _ended_at(interview)
    fresh = Deadline(
        company_id=company.id, id=new_id("ddl"), application_id=interview.application_id,
        interview_id=interview.id, created_at=now, look_at=now, state="open",
        interview_ended_at=ended_at, calendar_version=company.calendar_version,
        due_on=ended_at.date(), due_before=ended_at,
    )  # fmt: skip
    fresh.count(calendar, company.calendar_version, ended_at)
    await add_once(session, fresh)
    made = await _deadline_of(session, interview)
    assert made is not None
    return made


async def _count(
    session: AsyncSession, promise: _Promise, calendar: Calendar, now: datetime
) -> None:
    deadline, ended_at = promise.deadline, promise.deadline.interview_ended_at
    before = deadline.due_on
    deadline.count(calendar, promise.company.calendar_version, ended_at)
    if deadline.due_on != before:
        log.warning(
            "deadline_moved", deadline_id=deadline.id, old=str(before), new=str(deadline.due_on),
            earlier=deadline.due_on < before,
        )  # fmt: skip
    coming = next_look(calendar, ended_at, deadline.due_on, now)
    deadline.look_at = coming if now < deadline.due_before else now
    told_at = await _told_at(session, promise.application, ended_at)
    if told_at is not None:
        deadline.tell(told_at)
    session.add(deadline)
    await session.flush()


async def _told_at(
    session: AsyncSession, application: Application, ended_at: datetime
) -> datetime | None:
    """When the result of this interview reached the candidate, if it has.

    A notice from before the interview counts only if it told the decision that still stands.
    """
    if application.outcome == "hired":
        return application.outcome_at
    wanted = select(Notice).where(
        col(Notice.company_id) == application.company_id,
        col(Notice.application_id) == application.id,
        col(Notice.kind) != "interim",
        col(Notice.state) == "sent",
    )
    for notice in (await session.scalars(wanted.order_by(col(Notice.sent_at)))).all():
        assert notice.sent_at is not None
        stands = application.outcome == "rejected" and application.outcome_at <= notice.sent_at
        if notice.sent_at >= ended_at or (notice.kind == "rejected" and stands):
            return notice.sent_at
    return None


def _ended_at(interview: Interview) -> datetime:
    """When the interview ended, as exactly as the ATS knows."""
    return interview.ends_at or interview.starts_at or interview.told_at
