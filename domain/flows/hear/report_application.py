"""A company without an ATS says itself what an ATS would say; it takes effect in the same way."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.application import Application, HoldClearance, Interview
from domain.candidate import Candidate
from domain.company import Company
from domain.errors import Conflict, NotFound
from domain.flows.hear import change_outcome, meet_applicant
from domain.flows.hear.apply_event import Said, apply_event
from domain.ids import new_id
from domain.ports import Tools
from domain.store import find, lock

PROVIDER = "api"
DECISIONS = {
    "rejected": "application.rejected",
    "withdrawn": "application.withdrawn",
    "hired": "application.hired",
    "active": "application.rejection_reverted",
}


async def report_application(
    session: AsyncSession, tools: Tools, company: Company, told: Mapping[str, Any], now: datetime
) -> Application:
    """Make an application known. `told` has the canonical `application`, `candidate` and `job`.

    Raises `Conflict` (`application_known`) when the number is taken.
    """
    number = told["application"]["external_id"]
    if await meet_applicant.known_application(session, company.id, "", number) is not None:
        raise Conflict(code="application_known")
    said = _said("application.known", now, now, told)
    met = await meet_applicant.meet(session, tools, company, said, now)
    await meet_applicant.learn(session, tools, company, met, said)
    met.application.applicant_type = told["applicant_type"]
    session.add(met.application)
    await session.flush()
    return met.application


async def report_interview(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    told: Mapping[str, Any],
    now: datetime,
) -> Interview:
    """An interview is planned, moved, called off or was held (`told`: canonical interview)."""
    held = told["status"] == "completed"
    kind = "interview.completed" if held else "interview.scheduled"
    told = {**told, "external_id": told["external_id"] or new_id("itv")}
    await _say(session, tools, company, application, kind=kind, at=now, now=now, interview=told)
    wanted = select(Interview).where(
        col(Interview.company_id) == company.id,
        col(Interview.application_id) == application.id,
        col(Interview.external_id) == told["external_id"],
    )
    return (await session.scalars(wanted)).one()


async def report_decision(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    outcome: str,
    at: datetime,
    now: datetime,
    rejection: Mapping[str, Any],
) -> Application:
    """The application ends, is hired or is active again. Said twice is said once.

    Raises `Conflict` (`overtaken`) when something newer was told already.
    """
    said_holds = []
    if outcome == "rejected" and rejection["initiated_by"] in {"other", "unknown"}:
        said_holds.append("reason_unclassified")
    if rejection["not_before"] and datetime.fromisoformat(rejection["not_before"]) > now:
        said_holds.append("not_before")
    ended = outcome in {"rejected", "withdrawn"}
    await _say(
        session, tools, company, application, kind=DECISIONS[outcome], at=at, now=now,
        rejection=rejection if ended else None, holds=said_holds,
    )  # fmt: skip
    if application.outcome != outcome:
        raise Conflict(code="overtaken")
    return application


async def clear_hold(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application_id: str,
    *,
    hold: str,
    reason: str,
    actor: str,
    now: datetime,
) -> Application:
    """A person takes it upon them that a hold does not stand in the way; the last one lets go.

    Raises `Conflict` (`hold_not_set`).
    """
    application = await lock(session, Application, company.id, application_id)
    candidate = await find(session, Candidate, company.id, application.candidate_id)
    assert candidate is not None
    application.clear_hold(hold)
    if hold == "not_before":
        application.not_before = None
    number = new_id("hcl")
    sealed = await vault.seal(
        session, tools.sealer, candidate, "profile", reason, about=f"hold:{number}"
    )
    session.add(
        HoldClearance(
            company_id=company.id, id=number, application_id=application.id, hold=hold,
            reason=sealed, actor=actor, at=now,
        )
    )  # fmt: skip
    session.add(application)
    await session.flush()
    await change_outcome.settle(session, tools, company, application, now)
    return application


async def application_of(session: AsyncSession, company_id: str, number: str) -> Application:
    """The company's application by its id. Raises `NotFound`."""
    found = await find(session, Application, company_id, number)
    if found is None:
        raise NotFound
    return found


async def _say(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    kind: str,
    at: datetime,
    now: datetime,
    **objects: Any,
) -> None:
    told = {
        "application": {
            "external_id": application.external_id, "url": None, "status": "unknown",
            "applied_at": None, "stage": None, "source": None, "custom_fields": {},
        },
        "holds": [],
        **objects,
    }  # fmt: skip
    said = _said(kind, at, now, told, application.connection_id)
    await apply_event(session, tools, company, said, now)
    await session.refresh(application)


def _said(
    kind: str, at: datetime, now: datetime, told: Mapping[str, Any], connection_id: str = ""
) -> Said:
    number = told["application"]["external_id"]
    effect = (told.get("interview") or {}).get("starts_at") or at.isoformat()
    subject = (told.get("interview") or {}).get("external_id")
    about = f"{number}/{subject}" if subject else number
    event = {
        "type": kind,
        "provider": PROVIDER,
        "connection_id": connection_id,
        "dedupe_key": f"{PROVIDER}:{connection_id}:{kind}:{about}:{effect}",
        "supersedes": None,
        "occurred_at": at.isoformat(),
        "candidate": None,
        "job": None,
        "rejection": None,
        "interview": None,
        **told,
    }
    return Said(event=event, as_of=now, provider=PROVIDER, connection_id=connection_id)
