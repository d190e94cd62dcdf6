"""An interview is planned, moved, called off or held; once held it has a deadline."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import NEVER, Application, Interview
from domain.company import Company
from domain.flows.tell.set_deadline import set_deadline
from domain.ids import new_id
from domain.ports import Aside, Tools
from domain.store import add_once, lock

if TYPE_CHECKING:
    from domain.flows.hear.apply_event import Said

USUAL_LENGTH = timedelta(hours=1)
"""How long an interview lasts whose end nobody tells."""
ASK_AFTER = timedelta(minutes=5)
"""How long after its end the vendor is asked whether an interview took place."""
_CALLED_OFF = {"cancelled": "cancelled", "canceled": "cancelled", "no_show": "no_show"}


async def note(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    said: "Said",
    key: str,
    now: datetime,
) -> Interview:
    """Take over what is said about an interview, unless something newer was said, and count."""
    interview = await _interview(session, application, _number(said), now)
    if _is_news(interview, said, now):
        _take_over(interview, application, said, said.event["interview"] or {}, now)
        interview.last_event_key = key
        interview.ask_at = _ask_at(tools, said, interview)
        session.add(interview)
        await session.flush()
        await set_deadline(session, tools, company, interview, now)
    return interview


async def is_overtaken(
    session: AsyncSession, application: Application, said: "Said", now: datetime
) -> bool:
    """Whether something newer was told about this interview. The application is locked."""
    wanted = select(Interview).where(
        col(Interview.company_id) == application.company_id,
        col(Interview.application_id) == application.id,
        col(Interview.external_id) == _number(said),
    )
    there = (await session.scalars(wanted)).first()
    return there is not None and not _is_news(there, said, now)


async def standing(session: AsyncSession, application: Application, said: "Said") -> str:
    """The key of the event that told the planned time of this interview, if one did."""
    if said.kind != "interview.scheduled":
        return ""
    wanted = select(Interview.last_event_key).where(
        col(Interview.company_id) == application.company_id,
        col(Interview.application_id) == application.id,
        col(Interview.external_id) == _number(said),
        col(Interview.status) == "scheduled",
    )
    return (await session.scalars(wanted)).first() or ""


async def call_off(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    connection_id: str,
    *,
    aside: Aside,
    as_of: datetime,
    now: datetime,
) -> bool:
    """An interview was called off or removed, known by the vendor's number of it.

    False: we know none of that number that is still to come, or something newer was told.
    """
    wanted = (
        select(Interview)
        .join(
            Application,
            (col(Application.company_id) == col(Interview.company_id))
            & (col(Application.id) == col(Interview.application_id)),
        )
        .where(
            col(Interview.company_id) == company.id,
            col(Interview.external_id) == aside.external_id,
            col(Interview.status) == "scheduled",
            col(Application.connection_id) == connection_id,
        )
    )
    if aside.of_application is not None:
        wanted = wanted.where(col(Application.external_id) == aside.of_application)
    changed = False
    for interview in (await session.scalars(wanted)).all():
        await lock(session, Application, company.id, interview.application_id)
        if min(as_of, now) < interview.told_at:
            continue
        interview.status, interview.ask_at, interview.told_at = "cancelled", None, min(as_of, now)
        interview.last_event_key = ""
        session.add(interview)
        await session.flush()
        await set_deadline(session, tools, company, interview, now)
        changed = True
    return changed


def _number(said: "Said") -> str:
    told: dict[str, Any] = said.event["interview"] or {}
    when = told.get("starts_at") or said.event["occurred_at"]
    return told.get("external_id") or f"at {when}"


def _ask_at(tools: Tools, said: "Said", interview: Interview) -> datetime | None:
    """When to ask the vendor whether it took place; never, where nobody can be asked."""
    if interview.status != "scheduled" or said.provider not in tools.apis:
        return None
    ends_at = interview.ends_at or (interview.starts_at and interview.starts_at + USUAL_LENGTH)
    return ends_at + ASK_AFTER if ends_at else None


def _is_news(interview: Interview, said: "Said", now: datetime) -> bool:
    """Whether this is the newer word; where both speak of one meeting, that it was held stands."""
    told_at, told = min(said.as_of, now), said.event["interview"] or {}
    if (interview.status, _status(said)) == ("scheduled", "completed"):
        held_until = _moment(told.get("ends_at") or told.get("starts_at")) or said.occurred_at
        return told_at >= interview.told_at or not _is_after(interview.starts_at, held_until)
    if (interview.status, _status(said)) == ("completed", "scheduled"):
        held_until = interview.ends_at or interview.starts_at or interview.told_at
        plan = _moment(told.get("starts_at"))
        anew = _is_after(plan, told_at) or _is_after(plan, held_until)
        return told_at > interview.told_at and anew
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
    interview.status = _status(said)
    interview.starts_at = _moment(told.get("starts_at")) or interview.starts_at
    interview.ends_at = _moment(told.get("ends_at"))
    if interview.ends_at is None and interview.status == "completed" and not told:
        interview.ends_at = said.occurred_at
    interview.stage = application.stage
    interview.told_at = max(interview.told_at, min(said.as_of, now))


def _status(said: "Said") -> str:
    told = (said.event["interview"] or {}).get("status")
    held = "completed" if said.kind == "interview.completed" else "scheduled"
    return _CALLED_OFF.get(str(told or "").lower(), held)


def _is_after(plan: datetime | None, moment: datetime) -> bool:
    return plan is not None and plan > moment


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
