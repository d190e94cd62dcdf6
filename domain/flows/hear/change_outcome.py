"""An application ends, is hired or is active again, and what follows from it."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import OF_DECISION, Application, Interview
from domain.company import Company
from domain.flows.tell.open_notice import cancel_pending, open_notice
from domain.flows.tell.say_too_late import say_too_late
from domain.flows.tell.set_deadline import set_deadline, void_deadlines
from domain.ports import Tools

if TYPE_CHECKING:
    from domain.flows.hear.apply_event import Said

OUTCOME = {
    "application.rejected": "rejected",
    "application.withdrawn": "withdrawn",
    "application.hired": "hired",
    "application.rejection_reverted": "active",
}


def is_overtaken(application: Application, said: "Said", now: datetime) -> bool:
    """Whether something newer was told about this application's outcome.

    Of two statements about the same moment the later said counts; said at once, a rejection never
    outdoes what ends or prevents an outreach. Times ahead of ours count as now, or a vendor's fast
    clock would silence what comes after.
    """
    happened, told = min(said.occurred_at, now), min(said.as_of, now)
    if happened != application.outcome_at:
        return happened < application.outcome_at
    if told != application.told_at:
        return told < application.told_at
    return said.kind == "application.rejected" and application.outcome != "rejected"


def says_what_stands(application: Application | None, said: "Said") -> bool:
    """Whether a statement of how things stand says nothing but what we hold already.

    A hire or an application that goes on has no history of its own in it; an end has none where
    the vendor gives it no time. An unknown application that goes on is nothing we need to know.
    """
    outcome = OUTCOME[said.kind]
    if outcome == "active":
        return application is None or application.outcome not in {"rejected", "withdrawn"}
    if application is None or application.outcome != outcome:
        return False
    if outcome == "hired":
        return said.states
    told = said.event["rejection"] or {}
    same = (application.initiated_by, application.rejection_reason)
    return said.undated and same == (told.get("initiated_by"), told.get("reason_id"))


async def change(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    said: "Said",
    now: datetime,
) -> None:
    """Take over an outcome. A candidate who ended it hears nothing more about it."""
    before = application.outcome
    application.outcome = OUTCOME[said.kind]
    application.outcome_at = min(said.occurred_at, now)
    application.told_at = min(said.as_of, now)
    _take_reason(application, said, before)
    session.add(application)
    await session.flush()
    if application.outcome != "rejected":
        await cancel_pending(session, company.id, application.id, now)
    if before == "rejected" and application.outcome != "rejected":
        await say_too_late(session, tools, company, application, now)
    if application.outcome == "withdrawn":
        await void_deadlines(session, company.id, application.id, now)
    else:
        await _count_again(session, tools, company, application, now)


async def reopen(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    as_of: datetime,
    now: datetime,
) -> None:
    """Active again without an event of its own."""
    application.outcome, application.outcome_at, application.told_at = "active", as_of, as_of
    application.initiated_by = application.rejection_reason = application.not_before = None
    session.add(application)
    await session.flush()
    await _count_again(session, tools, company, application, now)


async def settle(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> None:
    """Let a rejected application have its notice, or none while something forbids contact."""
    if application.outcome != "rejected":
        return
    if application.holds:
        await cancel_pending(session, company.id, application.id, now)
    else:
        await open_notice(session, tools, company, application, now)


def _take_reason(application: Application, said: "Said", before: str) -> None:
    reason = said.event["rejection"] or {}
    application.initiated_by = reason.get("initiated_by")
    application.rejection_reason = reason.get("reason_id")
    until = reason.get("not_before")
    application.not_before = datetime.fromisoformat(until) if until else None
    application.cleared_holds = [one for one in application.cleared_holds if one not in OF_DECISION]
    told = list(said.event["holds"])
    if said.long_past and application.outcome == "rejected":
        told.append("history")
    if before == "withdrawn" and application.outcome == "rejected":
        # Two statements contradict each other about who ended it: a person decides.
        told.append("reason_unclassified")
    application.hold_for(told, OF_DECISION)


async def _count_again(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> None:
    """What the outcome means for the promises of the interviews held so far."""
    held = select(Interview).where(
        col(Interview.company_id) == company.id,
        col(Interview.application_id) == application.id,
        col(Interview.status) == "completed",
    )
    for interview in (await session.scalars(held.order_by(col(Interview.id)))).all():
        await set_deadline(session, tools, company, interview, now)
