"""Look at a deadline when its next look is due: remind, tell at once, escalate, record the miss."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.business_days import calendar_of, local_day, long_date
from domain.caller import Member
from domain.company import Company
from domain.deadline import OWED, Deadline, advance, next_look, step_at
from domain.flows.tell.open_notice import open_notice
from domain.flows.tell.write_mail import language, write_mail
from domain.notice import Notice
from domain.ports import Tools
from domain.store import find, lock

RECIPIENTS = {
    "first_evening": ("recruiter",),
    "second_morning": ("recruiter",),
    "last_morning": ("recruiter", "head"),
    "last_call": ("recruiter", "head"),
    "passed": ("head", "recruiter", "admin"),
}
"""Step → the roles that are told (domain rules 2.1-8)."""
LAST_DAY = frozenset({"last_morning", "last_call"})


async def watch_deadline(
    session: AsyncSession, tools: Tools, company_id: str, deadline_id: str, now: datetime
) -> None:
    """One look, and the date of the next. What is no longer owed is left alone."""
    seen = await find(session, Deadline, company_id, deadline_id)
    if seen is None:
        return
    application = await lock(session, Application, company_id, seen.application_id)
    deadline = await lock(session, Deadline, company_id, deadline_id)
    if deadline.look_at is None or deadline.look_at > now:
        return
    if _settle(deadline, application):
        session.add(deadline)
        await session.flush()
        return
    company = await session.get_one(Company, company_id)
    calendar = calendar_of(company.calendar, tools.holidays)
    counted = (calendar, deadline.interview_ended_at, deadline.due_on, now)
    deadline.look_at = next_look(*counted)
    look = _Look(company, application, deadline, step_at(*counted), now)
    await _act(session, tools, look)


def _settle(deadline: Deadline, application: Application) -> bool:
    """Whether nothing is owed any more: told, void, withdrawn, or hired (who hears that knows)."""
    if deadline.met_at is None and deadline.state != "void":
        if application.outcome == "hired":
            deadline.tell(application.outcome_at)
        elif application.outcome == "withdrawn" and deadline.state in OWED:
            deadline.void()
        elif application.outcome != "withdrawn":
            return False
    deadline.look_at = None
    return True


@dataclass(frozen=True)
class _Look:
    """One look at one deadline: what it is about, which step has come, when."""

    company: Company
    application: Application
    deadline: Deadline
    step: str | None
    now: datetime


async def _act(session: AsyncSession, tools: Tools, look: _Look) -> None:
    """Record a miss, tell what can be told, and write to people where nobody has heard."""
    deadline = look.deadline
    if deadline.state in OWED and look.now >= deadline.due_before:
        deadline.miss()
    elif deadline.state in OWED and look.step in LAST_DAY:
        deadline.state = advance(deadline.state, "last_day")
    session.add(deadline)
    await session.flush()
    await _tell_rather_than_miss(session, tools, look)
    concern = await _concern(session, look.application, deadline)
    if concern is not None and _worth_a_mail(look.step, concern):
        await _remind(session, tools, look, concern)


async def _tell_rather_than_miss(session: AsyncSession, tools: Tools, look: _Look) -> None:
    """In `auto` mode a rejection never misses its day for want of a person: it goes at once."""
    if look.company.notice_mode == "manual":
        return
    notice = await open_notice(session, tools, look.company, look.application, look.now)
    if notice is None or notice.state != "scheduled" or notice.mail_id is not None:
        return
    late = notice.send_at is None or notice.send_at >= look.deadline.due_before
    if look.step in {"last_call", "passed"} or late:
        notice.send_at = min(notice.send_at or look.now, look.now)
        session.add(notice)
        await session.flush()


async def _concern(
    session: AsyncSession, application: Application, deadline: Deadline
) -> str | None:
    """Why nobody has heard a result yet; null when it is on its way in time."""
    if application.outcome == "active":
        return "undecided"
    if application.holds:
        return "on_hold"
    wanted = select(Notice).where(
        col(Notice.company_id) == application.company_id,
        col(Notice.application_id) == application.id,
        col(Notice.kind) == "rejected",
        col(Notice.state) != "cancelled",
    )
    last = (await session.scalars(wanted.order_by(col(Notice.id).desc()))).first()
    if last is None:
        return "no_notice"
    if last.state == "scheduled":
        on_its_way = last.send_at is not None and last.send_at < deadline.due_before
        return None if on_its_way else "late"
    return last.state if last.state in {"draft", "bounced"} else None


def _worth_a_mail(step: str | None, concern: str) -> bool:
    """Before and on the first evening, only what needs a person now."""
    if step is None:
        return concern == "bounced"
    return step != "first_evening" or concern in {"undecided", "bounced"}


async def _remind(session: AsyncSession, tools: Tools, look: _Look, concern: str) -> None:
    """Tell the people in charge, once per step and day, with numbers instead of names."""
    deadline, application = look.deadline, look.application
    step, day = look.step or concern, local_day(look.now)
    roles = RECIPIENTS.get(step, ("recruiter",))
    for key, address, locale in await _people(session, tools, look.company, roles):
        await write_mail(
            session,
            tools,
            tenant_id=look.company.id,
            about=f"deadline:{deadline.id}:{step}:{day}:{key}",
            template="deadline_missed" if deadline.state == "missed" else "deadline_reminder",
            locale=locale,
            to=address,
            values={
                "company_name": look.company.name,
                "application_no": application.external_id,
                "job_title": application.job_title,
                "due_on": long_date(deadline.due_on, locale),
                "concern": concern,
                "link": f"{tools.public_url}/dashboard/applications/{application.id}",
            },
            now=look.now,
        )
    deadline.reminders_sent += 1
    session.add(deadline)
    await session.flush()


async def _people(
    session: AsyncSession, tools: Tools, company: Company, roles: tuple[str, ...]
) -> list[tuple[str, str, str]]:
    """Key, address and language of who is told: by role, else who administers, else the contact."""
    wanted = select(Member).where(
        col(Member.company_id) == company.id, col(Member.enabled).is_(True)
    )
    members = (await session.scalars(wanted.order_by(col(Member.id)))).all()
    told = [member for member in members if set(roles) & set(member.roles)]
    told = told or [member for member in members if "admin" in member.roles]
    people = [(member.id, _address(tools, member), language(member.locale)) for member in told]
    if not people and "@" in company.contact:
        people = [("contact", company.contact.strip(), "ja")]
    return people


def _address(tools: Tools, member: Member) -> str:
    opened = json.loads(tools.sealer.open(member.sealed, about=f"member:{member.id}"))
    return str(opened["email"])
