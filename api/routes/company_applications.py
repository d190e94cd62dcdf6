"""Applications: what an ATS told us about them, and the way in for companies without one."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.auth import Caller, company
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Once
from api.shapes import Cursor, Limit, Page, Shape, Text, Utc, page_of, utc_text
from domain.application import HOLDS, NEVER, Application, Interview
from domain.company import Company
from domain.eligibility import failing_reasons, reasons_of
from domain.flows.hear import report_application as report
from domain.ids import new_id, pattern

router = APIRouter(prefix="/v1/company/applications", tags=["applications"])

Reader = Annotated[Caller, company("applications:read")]
Writer = Annotated[Caller, company("applications:write")]
ApplicationId = Annotated[str, Path(pattern=pattern("app"))]
Hold = Annotated[str, Path(pattern=f"^({'|'.join(HOLDS)})$")]
Outcome = Literal["active", "rejected", "withdrawn", "hired"]
Number = Annotated[Text, Field(min_length=1, max_length=200)]
Words = Annotated[Text, Field(max_length=200)]
Address = Annotated[Text, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class Eligibility(Shape):
    """Whether the candidate may be relayed now; `reasons` are the rules that fail."""

    eligible: bool
    reasons: list[str]


class ApplicationOut(Shape):
    """An application. Names and addresses are not shown here."""

    id: str
    external_id: str
    connection_id: str | None
    candidate_id: str
    outcome: Outcome
    outcome_at: Utc | None
    initiated_by: Literal["company", "candidate", "other", "unknown"] | None
    rejection_reason: str | None
    holds: list[str]
    cleared_holds: list[str]
    not_before: Utc | None
    relay_eligibility: Eligibility
    job_title: str
    department: str
    stage: str
    source: str | None
    applicant_type: str
    applied_at: Utc | None
    created_at: Utc


class CandidateIn(Shape):
    """Who applies."""

    external_id: Number | None = None
    display_name: Words | None = None
    family_name: Words | None = None
    given_name: Words | None = None
    email: Address | None = None
    phone: Words | None = None


class JobIn(Shape):
    """What they apply for."""

    external_id: Number | None = None
    title: Words
    department: Words | None = None


class ApplicationIn(Shape):
    """An application by a candidate of a company without an ATS."""

    external_id: Number | None = None
    candidate: CandidateIn
    job: JobIn
    source: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = None
    applicant_type: Literal["general", "student", "minor", "high_school"] = "general"
    stage: Words | None = None
    applied_at: Utc | None = None


class InterviewIn(Shape):
    """A planned, moved, cancelled or held interview. `ends_at` of a held one starts the promise."""

    external_id: Number | None = None
    status: Literal["scheduled", "completed", "cancelled", "no_show"] = "scheduled"
    starts_at: Utc | None = None
    ends_at: Utc | None = None


class InterviewOut(Shape):
    """An interview as it is known now."""

    id: str
    application_id: str
    external_id: str
    status: Literal["scheduled", "completed", "cancelled", "no_show"]
    starts_at: Utc | None
    ends_at: Utc | None
    stage: str


class DecisionIn(Shape):
    """How the application ended, or that it is active again. `at` defaults to now."""

    outcome: Outcome
    at: Utc | None = None
    reason_id: Number | None = None
    not_before: Utc | None = None
    """Do not tell the candidate before this moment."""


class ClearanceIn(Shape):
    """Why the hold does not stand in the way."""

    reason: Annotated[Text, Field(min_length=1, max_length=1000)]


@router.get("", responses=problems(401, 403, 422, 429))
async def list_applications(
    *,
    caller: Reader,
    db: Db,
    now: Now,
    external_id: Annotated[Text | None, Query(max_length=200)] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ApplicationOut]:
    """Your applications, newest first."""
    wanted = select(Application).where(col(Application.company_id) == caller.company_id)
    if external_id is not None:
        wanted = wanted.where(col(Application.external_id) == external_id)
    if outcome is not None:
        wanted = wanted.where(col(Application.outcome) == outcome)
    rows, following = await page_of(db, wanted, col(Application.id), cursor=cursor, limit=limit)
    there = await db.get_one(Company, caller.company_id)
    reasons = await reasons_of(db, there, rows, now)
    return Page(data=[_out(row, reasons[row.id]) for row in rows], next_cursor=following)


@router.get("/{application_id}", responses=problems(401, 403, 404, 422, 429))
async def read_application(
    *, application_id: ApplicationId, caller: Reader, db: Db, now: Now
) -> ApplicationOut:
    """One application."""
    row = await report.application_of(db, caller.company_id or "", application_id)
    return await _shown(db, await db.get_one(Company, caller.company_id), row, now)


@router.post("", status_code=201, responses=problems(400, 401, 403, 409, 422, 429))
async def create_application(
    *, told: ApplicationIn, caller: Writer, db: Db, tools: Kit, now: Now, once: Once
) -> ApplicationOut:
    """Make an application known. Not needed where an ATS is connected."""

    async def run() -> ApplicationOut:
        there = await db.get_one(Company, caller.company_id)
        row = await report.report_application(db, tools, there, _canonical(told), now)
        return await _shown(db, there, row, now)

    return await once(run)


@router.post(
    "/{application_id}/interviews",
    status_code=201,
    responses=problems(400, 401, 403, 404, 409, 422, 429),
)
async def create_interview(
    *,
    application_id: ApplicationId,
    told: InterviewIn,
    caller: Writer,
    db: Db,
    tools: Kit,
    now: Now,
    once: Once,
) -> InterviewOut:
    """Report an interview. A completed one has a deadline for its result."""

    async def run() -> InterviewOut:
        there = await db.get_one(Company, caller.company_id)
        row = await report.application_of(db, there.id, application_id)
        interview = {
            "external_id": told.external_id,
            "starts_at": utc_text(told.starts_at) if told.starts_at else None,
            "ends_at": utc_text(told.ends_at) if told.ends_at else None,
            "all_day": False,
            "status": told.status,
        }
        made = await report.report_interview(db, tools, there, row, told=interview, now=now)
        return _interview(made)

    return await once(run)


@router.post("/{application_id}/decision", responses=problems(400, 401, 403, 404, 409, 422, 429))
async def decide(
    *,
    application_id: ApplicationId,
    told: DecisionIn,
    caller: Writer,
    db: Db,
    tools: Kit,
    now: Now,
    once: Once,
) -> ApplicationOut:
    """Report how an application ended. A rejection leads to the notice; a withdrawal to nothing."""

    async def run() -> ApplicationOut:
        there = await db.get_one(Company, caller.company_id)
        row = await report.application_of(db, there.id, application_id)
        at = min(told.at or now, now)
        rejection = {
            "initiated_by": "candidate" if told.outcome == "withdrawn" else "company",
            "reason_id": told.reason_id,
            "rejected_at": utc_text(at),
            "not_before": utc_text(told.not_before) if told.not_before else None,
        }
        row = await report.report_decision(
            db, tools, there, row, outcome=told.outcome, at=at, now=now, rejection=rejection
        )
        return await _shown(db, there, row, now)

    return await once(run)


@router.post(
    "/{application_id}/holds/{hold}/clear",
    responses=problems(400, 401, 403, 404, 409, 422, 429),
)
async def clear_hold(
    *,
    application_id: ApplicationId,
    hold: Hold,
    told: ClearanceIn,
    caller: Writer,
    db: Db,
    tools: Kit,
    now: Now,
    once: Once,
) -> ApplicationOut:
    """Take it upon you that a hold does not stand in the way. The last one lets the notice go."""

    async def run() -> ApplicationOut:
        there = await db.get_one(Company, caller.company_id)
        row = await report.clear_hold(
            db, tools, there, application_id,
            hold=hold, reason=told.reason, actor=caller.client_id, now=now,
        )  # fmt: skip
        return await _shown(db, there, row, now)

    return await once(run)


def _canonical(told: ApplicationIn) -> dict[str, Any]:
    """The canonical objects of what was told."""
    person = told.candidate
    parts = (person.given_name, person.family_name)
    mails = [{"value": person.email, "type": "personal", "primary": True}] if person.email else []
    return {
        "application": {
            "external_id": told.external_id or new_id("ext"),
            "applied_at": utc_text(told.applied_at) if told.applied_at else None,
            "stage": {"id": None, "name": told.stage} if told.stage else None,
            "source": told.source,
        },
        "candidate": {
            "external_id": person.external_id,
            "display_name": person.display_name
            or " ".join(part for part in reversed(parts) if part)
            or None,
            "given_name": person.given_name,
            "family_name": person.family_name,
            "emails": mails,
            "primary_email": person.email,
            "phones": [{"value": person.phone, "type": None}] if person.phone else [],
        },
        "job": told.job.model_dump(),
        "holds": [] if mails else ["no_email"],
        "applicant_type": told.applicant_type,
    }


def _interview(row: Interview) -> InterviewOut:
    return InterviewOut(**{name: getattr(row, name) for name in InterviewOut.model_fields})


async def _shown(
    session: AsyncSession, there: Company, row: Application, now: Any
) -> ApplicationOut:
    return _out(row, await failing_reasons(session, there, row, now))


def _out(row: Application, reasons: list[str]) -> ApplicationOut:
    plain = set(ApplicationOut.model_fields) - {"relay_eligibility", "connection_id", "outcome_at"}
    return ApplicationOut(
        relay_eligibility=Eligibility(eligible=not reasons, reasons=reasons),
        connection_id=row.connection_id or None,
        outcome_at=row.outcome_at if row.outcome_at != NEVER else None,
        **{name: getattr(row, name) for name in plain},
    )
