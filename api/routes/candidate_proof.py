"""The second step: a code by mail before anything of a person is shown in full or changed."""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

import unicodedata

from fastapi import APIRouter
from fastapi.responses import Response

from api import second_step
from api.candidate_visit import Link, Visit
from api.deps import Process
from domain.errors import Conflict, TryLater
from domain.flows.person.prove_person import end_visits, send_code, take_code

router = APIRouter(include_in_schema=False)

STANDS = ("my_page", "form")


@router.get("/c/{token}/code")
async def ask_for_code(visit: Link) -> Response:
    """What the code is for, and the button that has it mailed. Opening the page mails nothing."""
    if refused := await visit.refusal(*STANDS):
        return refused
    if visit.proven:
        return visit.back(_onward(visit.request.query_params.get("to")))
    return _page(visit, to=visit.request.query_params.get("to"))


@router.post("/c/{token}/code")
async def mail_code(visit: Link, process: Process) -> Response:
    """Mail a code to the address we hold, and show where to type it."""
    if refused := await visit.refusal(*STANDS, process=process):
        return refused
    to = str((await visit.request.form()).get("to", ""))
    try:
        await send_code(visit.db, visit.tools, visit.opened, visit.now)
    except (TryLater, Conflict) as refusal:
        return _page(visit, 429 if refusal.code == "codes_used_up" else 409, fault=refusal.code,
                     to=to)  # fmt: skip
    return _page(visit, sent=True, to=to)


@router.post("/c/{token}/code/enter")
async def enter_code(visit: Link, process: Process) -> Response:
    """The code, typed in: thirty minutes, in this browser and for this link."""
    if refused := await visit.refusal(*STANDS, process=process):
        return refused
    form = await visit.request.form()
    to, code = str(form.get("to", "")), _digits(str(form.get("code", "")))
    if visit.proven:  # sent twice: the first time opened the visit
        return visit.back(_onward(to))
    cookie = await take_code(visit.db, visit.tools, visit.opened, code, visit.now)
    if cookie is None:
        return _page(visit, 422, sent=True, fault="code_wrong", to=to)
    return second_step.remember(visit.back(_onward(to)), process.settings, cookie)


@router.post("/c/{token}/code/end")
async def end(visit: Link, process: Process) -> Response:
    """End the visit here and in every other browser."""
    if refused := await visit.refusal(*STANDS, process=process):
        return refused
    if visit.proven:
        await end_visits(visit.db, visit.opened, visit.now)
    return second_step.forget(visit.back(), process.settings)


def _page(
    visit: Visit, status: int = 200, *, sent: bool = False, fault: str = "", to: str | None
) -> Response:
    return visit.show("code", status, sent=sent, fault=fault, late=False, to=second_step.place(to))


def _digits(typed: str) -> str:
    """A Japanese keyboard types wide digits, and people copy blanks along."""
    return "".join(unicodedata.normalize("NFKC", typed).split())


def _onward(to: str | None) -> str:
    """The page the person wanted, or their own page."""
    place = second_step.place(to)
    return f"/{place}" if place else ""
