"""What HR does on its pages. Forms work without a script; a refusal shows them again, filled."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response

from api.deps import Db, Kit, Now
from api.page_forms import Form
from api.pages import locale_of, page, words
from api.routes.dashboard import (
    ApplicationId,
    application_page,
)
from api.session import SignedIn, signed_in
from api.shapes import utc_text
from domain.application import HOLDS
from domain.business_days import local_day
from domain.company import Company
from domain.flows.hear import report_application as report
from domain.flows.tell.send_notice import send_interim_notice, send_notice
from domain.flows.tell.write_feedback import write_feedback
from domain.flows.ways_in.invite import hand_over_link, revoke_link
from domain.ids import pattern
from integrations import qr

router = APIRouter(prefix="/dashboard", include_in_schema=False)

Actor = Annotated[SignedIn, signed_in("company", "recruiter", "head")]
NoticeId = Annotated[str, Path(pattern=pattern("ntc"))]
LinkId = Annotated[str, Path(pattern=pattern("lnk"))]
_LONGEST = 1000
_LONGEST_REASON = 200
_DECISIONS = ("rejected", "withdrawn", "hired", "active")


@router.post("/applications/{application_id}/holds")
async def clear_hold(
    *, application_id: ApplicationId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """A person says why a hold does not stand in the way."""
    form = await Form.read(request, "hold", "hold-reason", "hold", "reason")
    hold, reason = form.values["hold"], form.values["reason"]
    if hold not in HOLDS or not 1 <= len(reason) <= _LONGEST:
        form.refuse("reason_missing")
    else:
        company = await db.get_one(Company, person.company_id)
        await form.run(
            db,
            lambda: report.clear_hold(
                db, tools, company, application_id,
                hold=hold, reason=reason, actor=person.member_id, now=now,
            ),
        )  # fmt: skip
    return await _to_application(request, person, db, tools, now, application_id, form,
                                 "hold_cleared")  # fmt: skip


@router.post("/applications/{application_id}/decision")
async def decide(
    *, application_id: ApplicationId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """How the application ended, or that it goes on."""
    form = await Form.read(request, "decision", "decision-outcome", "outcome")
    outcome = form.values["outcome"]
    if outcome not in _DECISIONS:
        form.refuse("outcome_missing")
    else:
        company = await db.get_one(Company, person.company_id)
        row = await report.application_of(db, company.id, application_id)
        rejection = {
            "initiated_by": "candidate" if outcome == "withdrawn" else "company",
            "reason_id": None, "rejected_at": utc_text(now), "not_before": None,
        }  # fmt: skip
        await form.run(
            db,
            lambda: report.report_decision(
                db, tools, company, row, outcome=outcome, at=now, now=now, rejection=rejection
            ),
        )
    return await _to_application(request, person, db, tools, now, application_id, form,
                                 "decided")  # fmt: skip


@router.post("/applications/{application_id}/notices/{notice_id}/send")
async def send(
    *,
    application_id: ApplicationId,
    notice_id: NoticeId,
    request: Request,
    person: Actor,
    db: Db,
    tools: Kit,
    now: Now,
) -> Response:
    """The notice goes out now."""
    form = await Form.read(request, "notice", "send-now")
    await form.run(db, lambda: send_notice(db, tools, person.company_id or "", notice_id, now))
    return await _to_application(request, person, db, tools, now, application_id, form,
                                 "notice_sent")  # fmt: skip


@router.post("/applications/{application_id}/notices/{notice_id}/feedback")
async def feedback(
    *,
    application_id: ApplicationId,
    notice_id: NoticeId,
    request: Request,
    person: Actor,
    db: Db,
    tools: Kit,
    now: Now,
) -> Response:
    """Words for the candidate, through the guard; empty removes them."""
    form = await Form.read(request, "feedback", "feedback", "feedback")
    said = form.values["feedback"] or None
    await form.run(db, lambda: write_feedback(db, tools, person.company_id or "", notice_id, said))
    done = "feedback_saved" if said else "feedback_removed"
    return await _to_application(request, person, db, tools, now, application_id, form, done)


@router.post("/applications/{application_id}/interim")
async def tell_interim(
    *, application_id: ApplicationId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """The candidate hears that it takes longer. The promise stays."""
    form = await Form.read(request, "interim", "interim-reason", "reason", "new_date")
    reason, new_date = form.values["reason"], _day(form.values["new_date"])
    if not 1 <= len(reason) <= _LONGEST_REASON:
        form.refuse("interim_reason_missing")
    elif new_date is None:
        form.control = "interim-date"
        form.refuse("new_date_missing")
    else:
        form.control = "interim-date" if new_date < local_day(now) else form.control
        await form.run(
            db,
            lambda: send_interim_notice(
                db, tools, person.company_id or "", application_id,
                reason=reason, new_date=new_date, now=now,
            ),
        )  # fmt: skip
    return await _to_application(request, person, db, tools, now, application_id, form,
                                 "interim_sent")  # fmt: skip


@router.post("/applications/{application_id}/invitation")
async def hand_over(
    *, application_id: ApplicationId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """A link to the opt-in form, with its code to print, shown this once for HR to hand over."""
    form = await Form.read(request, "link", "link-make")
    company_id = person.company_id or ""
    await form.run(db, lambda: hand_over_link(db, tools, company_id, application_id, now))
    if form.refilled is not None:
        return await application_page(
            request, person, db, tools, now=now, application_id=application_id, again=form.refilled
        )
    url, until = form.result
    return page(
        request, "dashboard/handed_link.html", application_id=application_id, url=url, until=until,
        company=await db.get_one(Company, company_id),
        code=qr.svg(url, words(locale_of(request))("dashboard_joins.code")),
    )  # fmt: skip


@router.post("/applications/{application_id}/links/{link_id}/revoke")
async def take_link_back(
    *, application_id: ApplicationId, link_id: LinkId, request: Request, person: Actor, db: Db,
    tools: Kit, now: Now,
) -> Response:  # fmt: skip
    """A link reached the wrong person, or is not to be used: it stops working."""
    form = await Form.read(request, "link", f"revoke-{link_id}")
    await form.run(
        db, lambda: revoke_link(db, person.company_id or "", application_id, link_id, now)
    )
    return await _to_application(request, person, db, tools, now, application_id, form,
                                 "link_revoked")  # fmt: skip


async def _to_application(  # noqa: PLR0917 - the page's own needs, in its own order
    request: Request, person: SignedIn, db: Any, tools: Any, now: Any, application_id: str,
    form: Form, done: str,
) -> Response:  # fmt: skip
    if form.refilled is None:
        return RedirectResponse(f"/dashboard/applications/{application_id}?done={done}", 303)
    return await application_page(
        request, person, db, tools, now=now, application_id=application_id, again=form.refilled
    )


def _day(given: str) -> date | None:
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None
