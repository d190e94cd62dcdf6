"""After a no: the person's own notes, and a polite request for feedback.

The notes are the person's alone. No page of a company or an agency, no list and no number reads
them.
"""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response
from starlette.datastructures import FormData

from api.candidate_sections import section
from api.candidate_visit import Link, Visit, day, moment_of
from api.deps import Process
from domain.errors import Conflict
from domain.flows.person.reflect import forget_reflection, reflect
from domain.flows.tell.ask_feedback import ask_feedback
from domain.ids import pattern
from domain.views.feedback_requests import feedback_of_person
from domain.views.reflection import (
    CHECKS,
    LONGEST,
    STAGES,
    THREE,
    Noted,
    applications_to_reflect,
    reflection_of,
)

router = APIRouter(include_in_schema=False)
ApplicationId = Annotated[str, Path(pattern=pattern("app"))]
_MOST_LINES = 10


@section("feedback", 55, proven=True)
async def feedback(visit: Visit) -> dict[str, Any] | None:
    """What may be asked, and what was answered."""
    opened = visit.opened
    found = await feedback_of_person(visit.db, visit.tools.sealer, opened.company, opened.candidate)
    return {
        "requests": [
            {
                "application_id": one.application_id,
                "job_title": one.job_title,
                "may_ask": one.may_ask,
                "state": one.state,
                "asked_on": day(one.asked_at, visit.locale),
                "answered_on": day(one.answered_at, visit.locale),
                "answer": one.answer,
            }
            for one in found
        ]
    } if found else None  # fmt: skip


@section("reflection", 60, proven=True)
async def notes(visit: Visit) -> dict[str, Any] | None:
    """The applications one may look back at."""
    found = await applications_to_reflect(visit.db, visit.opened.candidate)
    return {
        "applications": [
            {
                "id": one.id,
                "job_title": one.job_title,
                "saved": moment_of(one.updated_at, visit.locale) if one.updated_at else "",
            }
            for one in found
        ]
    } if found else None  # fmt: skip


@router.post("/c/{token}/feedback")
async def ask(visit: Link, process: Process) -> Response:
    """Ask for feedback on one application: one press, once."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    wanted = str((await visit.request.form()).get("application", ""))
    try:
        await ask_feedback(visit.db, visit.tools, visit.opened.candidate, wanted, visit.now)
    except Conflict:
        return visit.stale()
    return visit.back("?done=feedback_asked")


@router.get("/c/{token}/reflection/{application_id}")
async def open_notes(visit: Link, application_id: ApplicationId) -> Response:
    """The notes about one application, with the checklist of the stage it reached."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    about = await _about(visit, application_id)
    if about is None:
        return visit.stale()
    kept = await reflection_of(visit.db, visit.tools.sealer, visit.opened.candidate, application_id)
    asked = visit.request.query_params.get("stage")
    stage = asked if asked in STAGES else kept["stage"] or about.checklist
    return visit.show(
        "reflection",
        about=about,
        notes=kept,
        stage=stage,
        stages=STAGES,
        checks=range(1, CHECKS + 1),
        lines=range(THREE),
        longest=LONGEST,
        saved=moment_of(about.updated_at, visit.locale) if about.updated_at else "",
        kept="kept" in visit.request.query_params,
    )


@router.post("/c/{token}/reflection/{application_id}")
async def keep_notes(visit: Link, process: Process, application_id: ApplicationId) -> Response:
    """Keep the notes as they are now."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    about = await _about(visit, application_id)
    if about is None:
        return visit.stale()
    typed = _typed(await visit.request.form())
    kept = await reflect(
        visit.db, visit.tools.sealer, visit.opened.candidate, application_id,
        typed=typed, now=visit.now,
    )  # fmt: skip
    if not kept:
        return visit.back("?done=reflection_gone" if about.updated_at else "?done=unchanged")
    return visit.back(f"/reflection/{application_id}?kept=1")


@router.post("/c/{token}/reflection/{application_id}/delete")
async def throw_away(visit: Link, process: Process, application_id: ApplicationId) -> Response:
    """Throw the notes about one application away."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    await forget_reflection(visit.db, visit.opened.candidate, application_id)
    return visit.back("?done=reflection_gone")


async def _about(visit: Visit, application_id: str) -> Noted | None:
    """The person's own application; nothing for anybody else's."""
    known = await applications_to_reflect(visit.db, visit.opened.candidate)
    return next((one for one in known if one.id == application_id), None)


def _typed(form: FormData) -> dict[str, Any]:
    def lines(name: str) -> list[str]:
        return [str(one) for one in form.getlist(name)][:_MOST_LINES]

    stage, numbers = str(form.get("stage", "")), range(1, CHECKS + 1)
    answers = {str(number): str(form.get(f"check-{number}", "")) for number in numbers}
    return {
        "stage": stage,
        "checks": {stage: answers},
        **{name: str(form.get(name, "")) for name in ("questions", "reactions", "next")},
        **{name: lines(name) for name in ("good", "improve")},
    }
