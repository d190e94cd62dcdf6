"""The page behind a question mail: have you started? Opening it changes nothing; a button does."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import RedirectResponse, Response

from api.candidate_visit import is_ours
from api.deps import Db, Kit, Now, Process
from api.masked import masked
from api.pages import locale_of, page
from domain import consent_text
from domain.errors import Gone, Invalid
from domain.flows.relay.ask_candidate import Asked, answer_question, open_question, stop_asking
from domain.ports import Sealer

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

router = APIRouter(include_in_schema=False)
Token = Annotated[str, Path(max_length=200)]


@dataclass(frozen=True)
class _Visit:
    """One request by whoever holds a link."""

    request: Request
    token: str
    asked: Asked | None
    sealer: Sealer

    def word(self, asked: Asked) -> str:
        """The hidden word of this link's forms: only somebody who has seen the page knows it."""
        return self.sealer.blind("form", asked.link.id).hex()

    def show(self, asked: Asked, status: int = 200, *, unsure: bool = False) -> Response:
        """The question, or what became of it."""
        locale = locale_of(self.request)
        return page(
            self.request,
            "candidate/started.html",
            status=status,
            token=self.token,
            csrf=masked(self.word(asked)),
            company=consent_text.named(asked.company, locale),
            privacy_contact=asked.company.privacy_contact,
            stands=asked.stands,
            unsure=unsure,
            questions=[
                {
                    "id": one.id,
                    "agency": consent_text.named(asked.agencies[one.agency_id], locale),
                }
                for one in asked.questions
            ],
        )

    def unknown(self) -> Response:
        """One neutral answer for every link we never gave out."""
        return page(self.request, "candidate/unknown.html", status=404)

    def back(self) -> Response:
        """Off to the page (303: a GET that changes nothing)."""
        return RedirectResponse(f"/c/{self.token}/started", 303)


async def _visit(token: Token, request: Request, db: Db, *, tools: Kit, now: Now) -> _Visit:
    return _Visit(request, token, await open_question(db, token, now), tools.sealer)


Link = Annotated[_Visit, Depends(_visit)]


@router.get("/c/{token}/started")
async def look(visit: Link) -> Response:
    """Ask, or say kindly that the question is closed."""
    if visit.asked is None:
        return visit.unknown()
    closed = visit.asked.stands in {"expired", "erased"}
    return visit.show(visit.asked, 410 if closed else 200)


@router.head("/c/{token}/started")
async def look_at_link(visit: Link) -> Response:
    """Scanners ask like this: the same headers, and nothing happens."""
    return await look(visit)


@router.post("/c/{token}/started")
async def answer(visit: Link, db: Db, process: Process, now: Now) -> Response:
    """One of three buttons. The first answer stands; the same again is the same."""
    asked = visit.asked
    if asked is None:
        return visit.unknown()
    if not await is_ours(visit.request, process.settings, visit.word(asked)):
        return visit.show(asked, 403, unsure=True)
    form = await visit.request.form()
    try:
        async with db.begin_nested():
            await answer_question(
                db, visit.token, str(form.get("answer", "")), str(form.get("question", "")), now
            )
    except Invalid:
        return visit.show(asked, 422, unsure=True)
    except Gone:
        return visit.show(asked, 410)
    return visit.back()


@router.get("/c/{token}/started/stop")
async def ask_to_stop(visit: Link) -> Response:
    """Where a mail program leads a person who wants to unsubscribe: to the page with the button."""
    return visit.unknown() if visit.asked is None else visit.back()


@router.post("/c/{token}/started/stop")
async def stop(visit: Link, db: Db, now: Now) -> Response:
    """One click in the mail program (RFC 8058): not asked any more. Needs no sign-in."""
    if visit.asked is None:
        return visit.unknown()
    if visit.asked.candidate.erased_at is None:
        await stop_asking(db, visit.asked.candidate, now, method="list_unsubscribe")
    return visit.back()
