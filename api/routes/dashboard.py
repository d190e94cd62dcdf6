"""HR's pages: what is due, who opted in, what came of it.

Each page reads in one transaction and changes nothing; the forms are in `dashboard_forms`,
and the credits in `ledger_pages`.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Kit, Now
from api.page_forms import Refilled, known
from api.pages import page
from api.session import SignedIn, signed_in
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.eligibility import failing_reasons
from domain.flows.hear import report_application as report
from domain.flows.tell.send_notice import feedback_of
from domain.flows.ways_in.invite import invitation_of, open_links
from domain.ids import pattern
from domain.notice import LIVING, Notice
from domain.ports import Tools
from domain.store import find
from domain.views import credits as credit_view
from domain.views import dashboard as view
from domain.views.ledger_lists import counterparts
from domain.views.privacy import waiting

router = APIRouter(prefix="/dashboard", include_in_schema=False)

Reader = Annotated[SignedIn, signed_in("company")]
Before = Annotated[str | None, Query(pattern=r"^[a-z]{3}_[0-9a-zA-Z]{1,40}$")]
Done = Annotated[str, Query(pattern=r"^[a-z_]{0,40}$")]
ApplicationId = Annotated[str, Path(pattern=pattern("app"))]
CHART = {"wide": (580, 230), "narrow": (320, 200)}
"""About as wide as they are drawn, so that their letters keep their size."""


@router.get("")
async def overview(
    *, request: Request, person: Reader, db: Db, tools: Kit, now: Now, done: Done = ""
) -> Response:
    """What is due, what is late, who opted in, which credits can be used."""
    company_id, today = person.company_id or "", local_day(now)
    company = await db.get_one(Company, company_id)
    due = await view.owed(db, company_id)
    recent = await view.relays(db, company_id, limit=6)
    months = await view.trend(db, company_id, now)
    return page(
        request,
        "dashboard/overview.html",
        company=company,
        due=due,
        sorted_due=_by_urgency(due, today),
        months=months,
        charts={name: chart(months, *size) for name, size in CHART.items()},
        funnel=await view.funnel(db, company_id, today - timedelta(days=365), today),
        credits=await credit_view.balances(db, company_id),
        others=await counterparts(db, "company", company_id),
        relays=recent,
        connections=await view.connections(db, company_id, now),
        names=await names_of(db, tools, company_id, [*due, *recent]),
        waiting=await waiting(db, company, now),
        today=today,
        done=known("dashboard", done),
    )


@router.get("/applications")
async def applications(
    *,
    request: Request,
    person: Reader,
    db: Db,
    tools: Kit,
    show: Literal["all", "active", "rejected", "withdrawn", "hired", "held"] = "all",
    before: Before = None,
) -> Response:
    """Every application, newest first."""
    company_id = person.company_id or ""
    found = await view.applications(db, company_id, show, before=before)
    return page(
        request,
        "dashboard/applications.html",
        rows=found,
        names=await names_of(db, tools, company_id, found),
        shown=show,
        filters=view.FILTERS,
        following=_following(found),
    )


@router.get("/applications/{application_id}")
async def application(
    *,
    application_id: ApplicationId,
    request: Request,
    person: Reader,
    db: Db,
    tools: Kit,
    now: Now,
    done: Done = "",
) -> Response:
    """One application: where it stands, what can be done, and everything that happened."""
    return await application_page(
        request, person, db, tools, now=now, application_id=application_id, done=done
    )


async def application_page(
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    tools: Tools,
    *,
    now: Any,
    application_id: str,
    done: str = "",
    again: Refilled | None = None,
) -> Response:
    """The page of an application, also with a form to correct."""
    company_id, again = person.company_id or "", again or Refilled()
    row = await report.application_of(db, company_id, application_id)
    company = await db.get_one(Company, company_id)
    notices = await view.notices_of(db, company_id, application_id)
    living = next((one for one in notices if _may_edit(one)), None)
    candidate = await db.get_one(Candidate, (company_id, row.candidate_id))
    written = await find(db, Notice, company_id, living.id) if living is not None else None
    reasons = await failing_reasons(db, company, row, now)
    invitation = await invitation_of(db, row)
    return page(
        request,
        "dashboard/application.html",
        status=again.status,
        application=row,
        erased=candidate.erased_at is not None,
        names=await names_of(db, tools, company_id, [row]),
        deadlines=await view.deadlines_of(db, company_id, application_id),
        notices=notices,
        living=living,
        feedback=await feedback_of(db, tools, candidate, written) if written is not None else None,
        relays=await view.relays_of(db, company_id, application_id),
        timeline=await view.timeline(db, company_id, application_id),
        reasons=reasons,
        links=await open_links(db, row, now),
        may_invite=not reasons and (invitation is None or invitation.state != "given"),
        today=local_day(now),
        may_act=person.has("recruiter", "head"),
        again=again,
        done=known("dashboard", done),
    )


@router.get("/deadlines")
async def deadlines(request: Request, person: Reader, db: Db, tools: Kit, now: Now) -> Response:
    """Who is still waiting for an answer, and who was told last."""
    company_id, today = person.company_id or "", local_day(now)
    due, told = await view.owed(db, company_id, 200), await view.answered(db, company_id)
    return page(
        request,
        "dashboard/deadlines.html",
        sorted_due=_by_urgency(due, today),
        told=told,
        names=await names_of(db, tools, company_id, [*due, *told]),
    )


@router.get("/notices")
async def notices(
    request: Request, person: Reader, db: Db, tools: Kit, before: Before = None
) -> Response:
    """Notices that wait to go out, and those that went."""
    company_id = person.company_id or ""
    waiting = await view.notices(db, company_id, waiting=True, before=None)
    gone = await view.notices(db, company_id, waiting=False, before=before)
    return page(
        request,
        "dashboard/notices.html",
        waiting=waiting,
        gone=gone,
        names=await names_of(db, tools, company_id, [*waiting, *gone]),
        following=_following(gone),
    )


@router.get("/relays")
async def relays(
    request: Request, person: Reader, db: Db, tools: Kit, before: Before = None
) -> Response:
    """Who was introduced to which agency, and how far it got."""
    company_id = person.company_id or ""
    found = await view.relays(db, company_id, before=before)
    return page(
        request,
        "dashboard/relays.html",
        rows=found,
        names=await names_of(db, tools, company_id, found),
        following=_following(found),
    )


@router.get("/agencies")
async def agencies(request: Request, person: Reader, db: Db, now: Now) -> Response:
    """The agencies the company works with, what was agreed, and what came of it."""
    found = await view.agencies(db, person.company_id or "", now)
    return page(request, "dashboard/agencies.html", rows=found, today=local_day(now))


def chart(months: Sequence[Row[Any]], width: int, height: int) -> dict[str, Any]:
    """Where the points of the trend lie in a view box; months without interviews leave a gap."""
    left, right, top, bottom = 44, 22, 32, 32
    step = (width - left - right) / max(len(months) - 1, 1)
    lowest = min([100 * m.on_time / m.judged for m in months if m.judged], default=100.0)
    floor = min(90, int(lowest // 10 * 10))

    def height_of(percent: float) -> float:
        return round(top + (100 - percent) / (100 - floor) * (height - top - bottom), 1)

    points = [
        (round(left + place * step, 1), height_of(100 * one.on_time / one.judged), one)
        for place, one in enumerate(months)
        if one.judged
    ]
    labels = [
        (round(left + place * step, 1), one.month)
        for place, one in enumerate(months)
        if (len(months) - 1 - place) % (1 if width > CHART["narrow"][0] else 3) == 0
    ]
    return {
        "width": width, "height": height, "points": points, "labels": labels,
        "left": left, "right": width - right, "base": height - bottom,
        "lines": [(height_of(value), value) for value in (100, (100 + floor) // 2, floor)],
    }  # fmt: skip


def _by_urgency(due: Sequence[Row[Any]], today: date) -> dict[str, list[Row[Any]]]:
    """Broken promises, those of today, and those to come."""
    found: dict[str, list[Row[Any]]] = {"overdue": [], "today": [], "soon": []}
    for one in due:
        late = one.state == "missed" or one.due_on < today
        found["overdue" if late else "today" if one.due_on == today else "soon"].append(one)
    return found


async def names_of(
    db: AsyncSession, tools: Tools, company_id: str, rows: Iterable[Any]
) -> dict[str, str]:
    """The names of the people in these rows, by the candidate's id."""
    return await view.names(db, tools.sealer, company_id, (row.candidate_id for row in rows))


def _following(rows: Sequence[Row[Any]]) -> str | None:
    return rows[-1].id if len(rows) == view.PAGE else None


def _may_edit(notice: Row[Any]) -> bool:
    return notice.state in LIVING and notice.kind == "rejected" and notice.mail_id is None
