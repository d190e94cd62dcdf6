"""Requests for feedback that wait for HR: answered through the guard, or with the kind reply.

What the guard stops goes to a second person with the role `feedback_approver`.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Kit, Now
from api.errors import status_of
from api.page_forms import Form, Refilled, known
from api.pages import page
from api.routes.dashboard import Done
from api.session import SignedIn, signed_in
from domain.company import Company
from domain.errors import Forbidden
from domain.feedback import hits, touching
from domain.flows.tell import answer_feedback as answering
from domain.flows.tell.ask_feedback import allow_feedback_requests
from domain.ids import pattern
from domain.views import dashboard as view
from domain.views.feedback_requests import drafts, queue

router = APIRouter(prefix="/dashboard/feedback-requests", include_in_schema=False)

Reader = Annotated[SignedIn, signed_in("company", "recruiter", "head", "feedback_approver")]
Writer = Annotated[SignedIn, signed_in("company", "recruiter", "head")]
Approver = Annotated[SignedIn, signed_in("company", "feedback_approver")]
Head = Annotated[SignedIn, signed_in("company", "head")]
RequestId = Annotated[str, Path(pattern=pattern("fbr"))]
_GUARD = frozenset({
    "feedback_topic", "feedback_contact", "feedback_salary", "feedback_comparison",
    "feedback_insult", "feedback_other_person",
})  # fmt: skip
"""What a second person may find harmless; a length is no matter of opinion."""


class QueueForm(Form):
    """A form of this page; what the guard says is said as on an application's page."""

    areas = ("dashboard_feedback", "dashboard")


@router.get("")
async def requests(
    request: Request, person: Reader, db: Db, tools: Kit, done: Done = ""
) -> Response:
    """What waits for an answer, oldest first."""
    return await _page(request, person, db, tools, done=done)


@router.post("/switch")
async def switch(request: Request, person: Head, db: Db) -> Response:
    """Whether candidates may ask for feedback from now on."""
    allowed = (await request.form()).get("allowed") == "yes"
    await allow_feedback_requests(db, person.company_id or "", allowed=allowed)
    return _back("switched_on" if allowed else "switched_off")


@router.post("/{request_id}/answer")
async def answer(
    *, request_id: RequestId, request: Request, person: Writer, db: Db, tools: Kit, now: Now
) -> Response:
    """Send one's own words, or put words the guard stopped before a second person."""
    form = await QueueForm.read(request, request_id, f"words-{request_id}", "words", "step")
    words, company_id = form.values["words"], person.company_id or ""
    if form.values["step"] == "propose":
        await form.run(db, lambda: answering.propose_feedback(
            db, tools, company_id, request_id, words, actor=person.member_id, now=now
        ))  # fmt: skip
    else:
        await form.run(db, lambda: answering.answer_feedback(
            db, tools, company_id, request_id, words, actor=person.member_id, now=now
        ))  # fmt: skip
    return await _after(request, person, db, tools, form)


@router.post("/{request_id}/standard")
async def reply_kindly(
    *, request_id: RequestId, request: Request, person: Writer, db: Db, tools: Kit, now: Now
) -> Response:
    """Send the kind standard reply."""
    form = await QueueForm.read(request, request_id, f"words-{request_id}")
    await form.run(db, lambda: answering.reply_kindly(
        db, tools, person.company_id or "", request_id, actor=person.member_id, now=now
    ))  # fmt: skip
    return await _after(request, person, db, tools, form)


@router.post("/{request_id}/approve")
async def approve(
    *, request_id: RequestId, request: Request, person: Approver, db: Db, tools: Kit, now: Now
) -> Response:
    """A second person finds the words harmless, and they are sent."""
    form = await QueueForm.read(request, request_id, f"words-{request_id}")
    await _run(form, db, lambda: answering.approve_feedback(
        db, tools, person.company_id or "", request_id, actor=person.member_id, now=now
    ))  # fmt: skip
    return await _after(request, person, db, tools, form)


@router.post("/{request_id}/return")
async def hand_back(
    *, request_id: RequestId, request: Request, person: Reader, db: Db, tools: Kit
) -> Response:
    """The second person, or whoever wrote them, hands the words back to be changed."""
    form = await QueueForm.read(request, request_id, f"words-{request_id}")
    await form.run(db, lambda: answering.return_feedback(
        db, tools, person.company_id or "", request_id
    ))  # fmt: skip
    return await _after(request, person, db, tools, form)


async def _run(form: Form, db: AsyncSession, act: Callable[[], Awaitable[Any]]) -> None:
    """As every form; whoever wrote the words is told that somebody else must approve them."""
    try:
        await form.run(db, act)
    except Forbidden as refusal:
        form.refuse(refusal.code, status_of(refusal))


async def _after(
    request: Request, person: SignedIn, db: AsyncSession, tools: Kit, form: Form
) -> Response:
    if form.refilled is None:
        return _back(str(form.result))
    return await _page(request, person, db, tools, again=form.refilled)


def _back(done: str) -> Response:
    return RedirectResponse(f"/dashboard/feedback-requests?done={done}", 303)


async def _page(
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    tools: Kit,
    *,
    done: str = "",
    again: Refilled | None = None,
) -> Response:
    company = await db.get_one(Company, person.company_id)
    rows, shown = await queue(db, company.id), again or Refilled()
    names = await view.names(db, tools.sealer, company.id, [row.candidate_id for row in rows])
    words = await drafts(db, tools.sealer, company.id, rows)
    return page(
        request,
        "dashboard/feedback_requests.html",
        shown.status,
        rows=rows,
        names=names,
        drafts=words,
        found={
            row.id: hits(words[row.id], [names[row.candidate_id]])
            for row in rows
            if row.id in words
        },
        touching=touching,
        allowed=company.feedback_requests,
        again=shown,
        stopped=[one.form for one in shown.faults if one.code in _GUARD],
        done=known("dashboard_feedback", done),
        may_answer=person.has("recruiter", "head"),
        may_approve=person.has("feedback_approver"),
        may_switch=person.has("head"),
        me=person.member_id,
    )
