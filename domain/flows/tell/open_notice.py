"""A rejection leads to a notice: a draft, or a date to send it, unless something holds it."""

from datetime import datetime

from sqlalchemy import exists
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import OF_DECISION, Application
from domain.business_days import calendar_of, office_moment
from domain.candidate import Candidate
from domain.company import Company
from domain.deadline import OWED, Deadline
from domain.flows.ways_in.invite import call_off_invitation, invite_by_mail
from domain.ids import new_id
from domain.notice import LIVING, Mail, Notice, Suppression, advance
from domain.ports import Tools
from domain.store import add_once, find, lock


async def open_notice(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> Notice | None:
    """The notice this rejection leads to, made or dated if need be; null while it must wait.

    It waits for holds, for an address that takes mail, and is not made when the standing decision
    was told already. `auto` sends after the review window in office hours and never later than the
    deadline; `manual` leaves a draft; with `ats_sends` the ATS told, and only an invitation goes.
    """
    if application.outcome != "rejected":
        return None
    if company.notice_mode == "ats_sends":
        return await _ats_told(session, tools, company, application, now)
    if application.holds or await _told(session, application):
        return None
    if not await _can_be_reached(session, application):
        return None
    notice = await living_notice(session, application) or await _draft(session, application, now)
    if company.notice_mode == "auto" and notice.state == "draft":
        notice.state = advance(notice.state, "schedule")
        notice.send_at = await _when(session, tools, company, application, now)
        session.add(notice)
    await session.flush()
    return notice


async def cancel_pending(
    session: AsyncSession, company_id: str, application_id: str, now: datetime
) -> None:
    """Nothing more goes out about this application: notices, their mails, the open invitation.

    A rejection that was told and then taken back is marked, so that a later one is told again.
    """
    application = await lock(session, Application, company_id, application_id)
    wanted = (
        select(Notice)
        .where(
            col(Notice.company_id) == company_id,
            col(Notice.application_id) == application_id,
            col(Notice.state).in_((*LIVING, "sent")),
        )
        .with_for_update()
    )
    for notice in (await session.scalars(wanted)).all():
        if notice.state in LIVING:
            await cancel_notice(session, notice)
        elif notice.kind == "rejected" and application.outcome == "active":
            notice.taken_back_at = notice.taken_back_at or now
            session.add(notice)
    await call_off_invitation(session, company_id, application_id, now)
    await session.flush()


async def cancel_notice(session: AsyncSession, notice: Notice) -> None:
    """Take a notice back, and its mail if no server has it yet."""
    if notice.mail_id is not None:
        mail = await session.get(Mail, (notice.company_id, notice.mail_id), with_for_update=True)
        assert mail is not None
        if mail.state != "queued":
            return  # it is on its way: what happened to it decides
        mail.state, mail.sealed, mail.retry_at = "cancelled", None, None
        session.add(mail)
    notice.state, notice.send_at = advance(notice.state, "cancel"), None
    session.add(notice)


async def lift_not_before(
    session: AsyncSession, tools: Tools, company_id: str, application_id: str, now: datetime
) -> None:
    """The moment before which the ATS forbade telling the candidate has passed."""
    application = await lock(session, Application, company_id, application_id)
    if application.not_before is None or application.not_before > now:
        return
    application.holds = [hold for hold in application.holds if hold != "not_before"]
    application.not_before = None
    session.add(application)
    company = await session.get_one(Company, company_id)
    await open_notice(session, tools, company, application, now)


async def _told(session: AsyncSession, application: Application) -> bool:
    """Told: the standing decision went out, and since then no new one on a new interview came."""
    sent = select(Notice).where(
        col(Notice.company_id) == application.company_id,
        col(Notice.application_id) == application.id,
        col(Notice.kind) == "rejected",
        col(Notice.state) == "sent",
        col(Notice.taken_back_at).is_(None),
    )
    last = (await session.scalars(sent.order_by(col(Notice.sent_at).desc()))).first()
    if last is None or last.sent_at is None:
        return False
    if application.outcome_at <= last.sent_at:
        return True
    owed_again = exists().where(
        col(Deadline.company_id) == application.company_id,
        col(Deadline.application_id) == application.id,
        col(Deadline.state) != "void",
        col(Deadline.met_at).is_(None),
        col(Deadline.interview_ended_at) > last.sent_at,
    )
    return not (await session.execute(select(owed_again))).scalar()


async def _can_be_reached(session: AsyncSession, application: Application) -> bool:
    """Whether the person is still there and their address, if known, takes mail."""
    candidate = await find(session, Candidate, application.company_id, application.candidate_id)
    assert candidate is not None
    if candidate.erased_at is not None or candidate.email_hmac is None:
        return False
    place = (application.company_id, candidate.email_hmac)
    return await session.get(Suppression, place) is None


async def living_notice(session: AsyncSession, application: Application) -> Notice | None:
    """The draft or scheduled notice of the rejection, locked."""
    wanted = (
        select(Notice)
        .where(
            col(Notice.company_id) == application.company_id,
            col(Notice.application_id) == application.id,
            col(Notice.kind) == "rejected",
            col(Notice.state).in_(LIVING),
        )
        .with_for_update()
    )
    return (await session.scalars(wanted)).first()


async def _draft(session: AsyncSession, application: Application, now: datetime) -> Notice:
    earlier = (
        select(Notice.id)
        .where(
            col(Notice.company_id) == application.company_id,
            col(Notice.application_id) == application.id,
            col(Notice.kind) == "rejected",
            col(Notice.state).in_(("sent", "bounced")),
        )
        .order_by(col(Notice.id).desc())
    )
    await add_once(
        session,
        Notice(
            company_id=application.company_id, id=new_id("ntc"), application_id=application.id,
            candidate_id=application.candidate_id, kind="rejected", created_at=now,
            supersedes_id=(await session.scalars(earlier)).first(),
        ),
    )  # fmt: skip
    made = await living_notice(session, application)
    assert made is not None
    return made


async def _when(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> datetime:
    """After the review window, in office hours; at once if that would miss the deadline."""
    calendar = calendar_of(company.calendar, tools.holidays)
    planned = office_moment(calendar, now + company.review_window)
    owed = (
        select(Deadline.due_before)
        .where(
            col(Deadline.company_id) == company.id,
            col(Deadline.application_id) == application.id,
            col(Deadline.state).in_((*OWED, "missed")),
            col(Deadline.met_at).is_(None),
        )
        .order_by(col(Deadline.due_before))
    )
    limit = (await session.scalars(owed)).first()
    return planned if limit is None or planned < limit else now


async def _ats_told(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> Notice | None:
    """The ATS mailed the result when it rejected: noted as sent; the invitation is to go.

    Holds on the person forbid the invitation, not what the ATS has done; holds on the decision
    leave open whether there was a rejection at all.
    """
    if OF_DECISION & set(application.holds):
        return None
    notice = None
    if not await _told(session, application):
        notice = await living_notice(session, application) or await _draft(
            session, application, now
        )
        notice.state, notice.send_at = advance(notice.state, "told_elsewhere"), None
        notice.sent_at = min(application.outcome_at, now)
        session.add(notice)
        await session.flush()
        await meet_deadlines(session, notice)
    if not application.holds and await _can_be_reached(session, application):
        await invite_by_mail(session, tools, company, application, now)
    return notice


async def meet_deadlines(session: AsyncSession, notice: Notice) -> None:
    """A result notice has gone out: what was promised before it is kept."""
    assert notice.sent_at is not None
    owed = (
        select(Deadline)
        .where(
            col(Deadline.company_id) == notice.company_id,
            col(Deadline.application_id) == notice.application_id,
            col(Deadline.state) != "void",
            col(Deadline.met_at).is_(None),
        )
        .with_for_update()
    )
    for deadline in (await session.scalars(owed)).all():
        if notice.kind == "passed" and deadline.interview_ended_at > notice.sent_at:
            continue  # having passed one stage says nothing about the next
        deadline.tell(notice.sent_at)
        session.add(deadline)
    await session.flush()
