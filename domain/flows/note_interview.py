"""An interview is planned, moved, called off or held; once held it has a deadline."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import NEVER, Application, Interview
from domain.company import Company
from domain.flows.set_deadline import set_deadline
from domain.ids import new_id
from domain.ports import Tools
from domain.store import add_once

if TYPE_CHECKING:
    from domain.flows.apply_event import Said

_CALLED_OFF = {"cancelled": "cancelled", "canceled": "cancelled", "no_show": "no_show"}


async def note(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    said: "Said",
    now: datetime,
) -> Interview:
    """Take over what is said about an interview, unless something newer was said, and count."""
    told: dict[str, Any] = said.event["interview"] or {}
    external_id = (
        told.get("external_id") or f"at {told.get('starts_at') or said.event['occurred_at']}"
    )
    interview = await _interview(session, application, external_id, now)
    if _is_news(interview, said, now):
        _take_over(interview, application, said, told, now)
        session.add(interview)
        await session.flush()
        await set_deadline(session, tools, company, interview, now)
    return interview


def _is_news(interview: Interview, said: "Said", now: datetime) -> bool:
    told_at = min(said.as_of, now)
    if told_at != interview.told_at:
        return told_at > interview.told_at
    return interview.status == "scheduled" or said.kind == "interview.completed"


def _take_over(
    interview: Interview,
    application: Application,
    said: "Said",
    told: dict[str, Any],
    now: datetime,
) -> None:
    held = "completed" if said.kind == "interview.completed" else "scheduled"
    interview.status = _CALLED_OFF.get(str(told.get("status") or "").lower(), held)
    interview.starts_at = _moment(told.get("starts_at")) or interview.starts_at
    interview.ends_at = _moment(told.get("ends_at"))
    if interview.ends_at is None and interview.status == "completed" and not told:
        interview.ends_at = said.occurred_at
    interview.stage = application.stage
    interview.told_at = min(said.as_of, now)


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


async def _interview(
    session: AsyncSession, application: Application, external_id: str, now: datetime
) -> Interview:
    fresh = Interview(
        company_id=application.company_id, id=new_id("itv"), application_id=application.id,
        external_id=external_id, told_at=NEVER, created_at=now,
    )  # fmt: skip
    await add_once(session, fresh)
    wanted = select(Interview).where(
        col(Interview.company_id) == application.company_id,
        col(Interview.application_id) == application.id,
        col(Interview.external_id) == external_id,
    )
    return (await session.scalars(wanted.with_for_update())).one()
