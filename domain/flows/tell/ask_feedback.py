"""A person asks why, once per application, with one press. HR is asked politely and reminded once.

No promise is made: many companies cannot answer in detail, and the page says so.
"""

from datetime import datetime, time

from sqlalchemy.ext.asyncio import AsyncSession

from domain.application import Application
from domain.business_days import after, at, calendar_of, local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.errors import Conflict
from domain.feedback_request import REMIND_DAYS, FeedbackRequest
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.tell.tell_members import tell_company
from domain.ids import new_id
from domain.ports import Tools
from domain.store import add_once, find, lock
from domain.views.feedback_requests import feedback_of_person

ROLES = ("recruiter", "head")
"""Who is reminded."""
_MORNING = time(10)


async def ask_feedback(
    session: AsyncSession, tools: Tools, candidate: Candidate, application_id: str, now: datetime
) -> bool:
    """Ask for feedback on an application; false when it was asked before.

    Raises `Conflict` (`feedback_not_offered`) where the company takes no requests, the application
    is not the person's, or its no was not told yet or told with feedback.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    company = await session.get_one(Company, candidate.company_id)
    known = {
        one.application_id: one
        for one in await feedback_of_person(session, tools.sealer, company, candidate)
    }
    there = known.get(application_id)
    if there is not None and there.state is not None:
        return False
    if there is None or not there.may_ask:
        detail = "feedback cannot be asked for here"
        raise Conflict(detail, code="feedback_not_offered")
    calendar = calendar_of(company.calendar, tools.holidays)
    return await add_once(
        session,
        FeedbackRequest(
            company_id=company.id, id=new_id("fbr"), application_id=application_id,
            candidate_id=candidate.id, asked_at=now,
            look_at=at(after(calendar, local_day(now), REMIND_DAYS), _MORNING),
        ),
    )  # fmt: skip


async def remind_of_feedback(
    session: AsyncSession, tools: Tools, company_id: str, request_id: str, now: datetime
) -> None:
    """Timer `feedback_request.look_at`: a request waits since ten business days. Said once."""
    there = await find(session, FeedbackRequest, company_id, request_id)
    if there is None or there.look_at is None or there.look_at > now:
        return
    request = await lock(session, FeedbackRequest, company_id, request_id)
    request.look_at = None
    session.add(request)
    await session.flush()
    application = await find(session, Application, company_id, request.application_id)
    if request.state not in {"asked", "to_approve"} or application is None:
        return
    await tell_company(
        session, tools, company_id, "feedback_waiting",
        lambda _: {
            "job_title": application.job_title, "days": REMIND_DAYS,
            "url": f"{tools.public_url}/dashboard/feedback-requests",
        },
        roles=ROLES, about=f"feedback_waiting:{request_id}", now=now,
    )  # fmt: skip


async def allow_feedback_requests(
    session: AsyncSession, company_id: str, *, allowed: bool
) -> Company:
    """Whether the company takes requests from now on. Those that wait keep waiting."""
    company = await session.get_one(Company, company_id, with_for_update=True)
    company.feedback_requests = allowed
    session.add(company)
    await session.flush()
    return company
