"""What a person asks about their data: every kind, where it stands, and the answer."""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response

from api.candidate_sections import section
from api.candidate_visit import Link, Visit, day
from api.deps import Process
from domain.business_days import long_date
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.person.answer_rights_request import words_of
from domain.flows.person.open_rights_request import open_request, withdraw_request
from domain.ids import new_id, pattern
from domain.rights_request import KINDS, LONGEST, OPEN, RightsRequest
from domain.views.rights import requests_of

router = APIRouter(include_in_schema=False)

RequestId = Annotated[str, Path(pattern=pattern("rrq"))]
ASKED_HERE = tuple(kind for kind in KINDS if kind != "erase")
"""Erasing has a page of its own: it is done at once."""
DONE = frozenset({"sent", "withdrawn", "held"})
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{8,64}")
_MOST_OPEN = 10


@section("requests", 85)
async def asked(visit: Visit) -> dict[str, Any]:
    """How many requests are open, and the way to them."""
    rows = await requests_of(visit.db, visit.opened.candidate)
    return {"open": sum(row.state in OPEN for row in rows)}


@router.get("/c/{token}/requests")
async def list_requests(visit: Link) -> Response:
    """Everything that was asked, with its day and its answer, and the form to ask more."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    return await _page(visit)


@router.post("/c/{token}/requests")
async def send_request(visit: Link, process: Process) -> Response:
    """Ask. What was asked to stop has stopped when the answer is here; sent twice it is one."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    form = await visit.request.form()
    kind = str(form.get("kind", ""))
    words = str(form.get("words", "")).replace("\x00", "").replace("\r\n", "\n").strip()
    submission = str(form.get("submission_id", ""))
    if _SUBMISSION.fullmatch(submission) is None:
        return visit.stale()
    values = {"kind": kind, "words": words}
    if kind not in ASKED_HERE:
        return await _page(visit, 422, fault="kind_missing", values=values)
    rows = await requests_of(visit.db, visit.opened.candidate)
    again = any(row.submission_id == submission for row in rows)
    if not again and sum(row.state in OPEN for row in rows) >= _MOST_OPEN:
        return await _page(visit, 409, fault="too_many", values=values)
    try:
        await open_request(
            visit.db, visit.tools, visit.opened.candidate, kind, words=words, channel="my_page",
            identity_check="mail_link_plus_code", submission_id=submission, now=visit.now,
        )  # fmt: skip
    except Invalid as refusal:
        return await _page(visit, 422, fault=refusal.code, values=values)
    return visit.back("/requests?done=sent")


@router.post("/c/{token}/requests/{request_id}/withdraw")
async def take_back(visit: Link, process: Process, request_id: RequestId) -> Response:
    """Not wanted any more. Consents that ended with it stay ended."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    try:
        await withdraw_request(visit.db, visit.opened.candidate, request_id, visit.now)
    except (Conflict, NotFound):  # answered meanwhile, or not theirs: the page says how it stands
        return visit.back("/requests")
    return visit.back("/requests?done=withdrawn")


async def _page(
    visit: Visit, status: int = 200, *, fault: str = "", values: dict[str, str] | None = None
) -> Response:
    rows = await requests_of(visit.db, visit.opened.candidate)
    done = visit.request.query_params.get("done", "")
    return visit.show(
        "requests",
        status,
        rows=[await _dressed(visit, row) for row in rows],
        kinds=ASKED_HERE,
        longest=LONGEST,
        submission_id=new_id("sub"),
        fault=fault,
        values=values or {"kind": "", "words": ""},
        done=done if done in DONE and not fault else "",
    )


async def _dressed(visit: Visit, row: RightsRequest) -> dict[str, Any]:
    said = await words_of(visit.db, visit.tools, row)
    return {
        "id": row.id,
        "kind": row.kind,
        "open": row.state in OPEN,
        "state": row.result or row.state,
        "received_on": day(row.received_at, visit.locale),
        "due_on": long_date(row.due_on, visit.locale),
        "answered_on": day(row.answered_at, visit.locale),
        **said,
    }
