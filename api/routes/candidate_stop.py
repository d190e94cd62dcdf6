"""No more invitations by mail: one click for mail programs (RFC 8058), a page for people."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from api.deps import Db, Now
from api.errors import problems
from api.pages import page
from domain.flows.ways_in.open_candidate_link import open_candidate_link
from domain.flows.ways_in.stop_invitations import stop_invitations

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Token = Annotated[str, Path(max_length=200)]


@router.get("/c/{token}/stop", responses=problems(404))
async def ask_to_stop(token: Token, request: Request, db: Db) -> HTMLResponse:
    """Ask whether to stop. Opening the link stops nothing: mail scanners open every link."""
    opened = await open_candidate_link(db, token)
    if opened is None:
        return page(request, "candidate/unknown.html", status=404)
    return page(request, "candidate/stop.html", company=opened.company.name, stopped=False)


@router.post("/c/{token}/stop", responses=problems(404))
async def stop(token: Token, request: Request, db: Db, now: Now) -> HTMLResponse:
    """Stop invitations by mail for this person. Needs no sign-in; again is the same as once."""
    opened = await open_candidate_link(db, token)
    if opened is None or not await stop_invitations(db, token, now):
        return page(request, "candidate/unknown.html", status=404)
    return page(request, "candidate/stop.html", company=opened.company.name, stopped=True)
