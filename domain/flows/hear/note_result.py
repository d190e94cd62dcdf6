"""A person told the candidate: by phone, or with a mail of the company's own."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application, Interview
from domain.business_days import local_day
from domain.deadline import Deadline
from domain.errors import Conflict, Invalid
from domain.flows.tell.open_notice import living_notice, meet_deadlines
from domain.ids import new_id
from domain.notice import Notice, advance
from domain.store import lock

TOLD_BY = {"rejected": ("rejected",), "passed": ("active", "hired")}
"""Kind of result → the outcomes of the application it can be about."""


async def note_result(
    session: AsyncSession,
    company_id: str,
    application_id: str,
    *,
    kind: str,
    told_at: datetime,
    now: datetime,
) -> Notice:
    """Note a result told elsewhere: it keeps the promise, and nothing is mailed any more.

    Raises `Conflict` (`outcome_differs`; `not_sendable` while our own notice is on its way) and
    `Invalid` (`time_in_the_future`).
    """
    application = await lock(session, Application, company_id, application_id)
    if application.outcome not in TOLD_BY[kind]:
        detail = f"the application is {application.outcome}"
        raise Conflict(detail, code="outcome_differs")
    if told_at > now:
        detail = "told_at lies in the future"
        raise Invalid(detail, code="time_in_the_future")
    notice = await living_notice(session, application) if kind == "rejected" else None
    if notice is not None and notice.mail_id is not None:
        detail = "the notice is on its way"
        raise Conflict(detail, code="not_sendable")
    notice = notice or Notice(
        company_id=company_id, id=new_id("ntc"), application_id=application_id, kind=kind,
        candidate_id=application.candidate_id, created_at=now,
    )  # fmt: skip
    notice.state, notice.send_at = advance(notice.state, "told_elsewhere"), None
    notice.sent_at = told_at
    session.add(notice)
    await session.flush()
    await meet_deadlines(session, notice)
    return notice


async def note_next_stage(
    session: AsyncSession, application: Application, planned: Interview, now: datetime
) -> None:
    """A further interview was arranged after one was held: with that the candidate has passed it.

    Only what was arranged after the earlier interview, and for a later day, says so: interviews of
    one day, or booked together from the start, say nothing.
    """
    told_at = min(planned.told_at, now)
    if planned.starts_at is None:
        return
    owed = select(Deadline.interview_ended_at).where(
        col(Deadline.company_id) == application.company_id,
        col(Deadline.application_id) == application.id,
        col(Deadline.state) != "void",
        col(Deadline.met_at).is_(None),
        col(Deadline.interview_ended_at) < told_at,
    )
    held = [local_day(ended_at) for ended_at in (await session.scalars(owed)).all()]
    if held and max(held) < local_day(planned.starts_at):
        notice = Notice(
            company_id=application.company_id, id=new_id("ntc"), kind="passed", state="sent",
            application_id=application.id, candidate_id=application.candidate_id,
            sent_at=told_at, created_at=now,
        )  # fmt: skip
        session.add(notice)
        await session.flush()
        await meet_deadlines(session, notice)
