"""How people come in and go out. Opening a link changes nothing; pressing the button does."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import session as sessions
from api.deps import Db, Now, Process
from api.pages import page
from api.rate_limit import RateLimiter
from api.runtime import Runtime
from domain.caller import LINK_LIFE
from domain.flows.office import sign_in

router = APIRouter(include_in_schema=False)

_ASKING, _NEXT = "relay_asking", "relay_next"
_TRIES_A_MINUTE = 30
"""Sign-in attempts from one address. Guessing is stopped per person (`domain/caller.py`)."""

_ADDRESS = re.compile(r"[^@\s\0]{1,64}@[^@\s\0]{1,190}")

Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,100}$")]


@router.get("/login")
async def ask_for_address(
    request: Request, wanted: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The page that asks for the mail address."""
    return _login(request, wanted)


@router.post("/login")
async def send_link(
    request: Request,
    db: Db,
    process: Process,
    email: Annotated[str, Form()] = "",
    wanted: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Mail a link to a known address; say the same for any other."""
    await _guard(request, process)
    if not _ADDRESS.fullmatch(email.strip()):
        return _login(request, wanted, status=422, email=email, wrong=True)
    asking = await sign_in.ask_link(db, process.tools, email.strip(), now=process.clock())
    response = RedirectResponse("/login/sent", 303)
    seconds = int(LINK_LIFE.total_seconds())
    sessions.keep(response, process.settings, _ASKING, asking.cookie(), seconds)
    sessions.keep(response, process.settings, _NEXT, sessions.local_path(wanted) or "", seconds)
    return response


@router.get("/login/sent")
async def say_sent(request: Request) -> Response:
    """Look into the mailbox; here is the field for the code."""
    return _sent(request)


@router.post("/login/code")
async def enter_by_code(
    request: Request,
    db: Db,
    process: Process,
    now: Now,
    code: Annotated[str, Form()] = "",
) -> Response:
    """The code of the mail, typed into the browser that asked."""
    await _guard(request, process)
    cookie = await sign_in.enter_by_code(db, _asking(request), code, now=now)
    if cookie is None:
        return _sent(request, status=422, wrong=True)
    return await _welcome(request, db, process, cookie)


@router.get("/login/m/{token}")
async def show_link(token: Token, request: Request, db: Db, now: Now) -> Response:
    """The mail's link: a page with a button. Mail scanners open links; that must do nothing."""
    here = await sign_in.link_works_here(db, token, _asking(request), now=now)
    return page(request, "sign_in/link.html", token=token, here=here)


@router.post("/login/m/{token}")
async def enter_by_link(
    token: Token, request: Request, db: Db, process: Process, now: Now
) -> Response:
    """The button of that page."""
    await _guard(request, process)
    cookie = await sign_in.enter_by_link(db, token, _asking(request), now=now)
    return await _welcome(request, db, process, cookie)


@router.get("/login/claim")
async def show_claim(request: Request) -> Response:
    """The claim link of the first run. Its token is in the fragment: no server ever logs it."""
    return page(request, "sign_in/claim.html")


@router.post("/login/claim")
async def enter_by_claim(
    request: Request,
    db: Db,
    process: Process,
    now: Now,
    token: Annotated[str, Form()] = "",
) -> Response:
    """Use the claim link up. The whole link may be pasted, too."""
    await _guard(request, process)
    found = token.strip().rpartition("#")[2]
    cookie = await sign_in.enter_by_claim(db, found, now=now)
    return await _welcome(request, db, process, cookie)


@router.post("/logout")
async def sign_out(request: Request, db: Db, process: Process, now: Now) -> Response:
    """End this browser's session."""
    name = sessions.cookie_name(process.settings)
    cookie = request.cookies.get(name)
    found = await sign_in.session_of(db, cookie, now=now) if cookie else None
    await sessions.check_form(request, process.settings, found[0].csrf if found else None)
    if cookie:
        await sign_in.leave(db, cookie, now=now)
    response = RedirectResponse("/login", 303)
    sessions.forget(response, process.settings, name)
    return response


async def _welcome(request: Request, db: AsyncSession, process: Runtime, cookie: str) -> Response:
    """Into the house: the page they wanted, or their own first page."""
    settings, now = process.settings, process.clock()
    before = request.cookies.get(sessions.cookie_name(settings))
    if before:
        await sign_in.leave(db, before, now=now)
    found = await sign_in.session_of(db, cookie, now=now)
    home = "/agency" if found and found[1].agency_id else "/dashboard"
    response = RedirectResponse(sessions.local_path(request.cookies.get(_NEXT)) or home, 303)
    sessions.start(response, settings, cookie)
    for name in (_ASKING, _NEXT):
        sessions.forget(response, settings, name)
    return response


async def _guard(request: Request, process: Runtime) -> None:
    """Our own pages only, and not too often from one address."""
    await sessions.check_form(request, process.settings, None)
    state = request.app.state
    if not hasattr(state, "sign_in_limiter"):
        state.sign_in_limiter = RateLimiter(_TRIES_A_MINUTE)
    allowance = state.sign_in_limiter.ask(request.client.host if request.client else "")
    if not allowance.allowed:
        raise HTTPException(429, headers=allowance.headers())


def _login(
    request: Request, wanted: str, *, status: int = 200, email: str = "", wrong: bool = False
) -> Response:
    onward = sessions.local_path(wanted) or ""
    values = {"next": onward, "email": email, "wrong": wrong}
    return page(request, "sign_in/login.html", status=status, **values)


def _sent(request: Request, *, status: int = 200, wrong: bool = False) -> Response:
    minutes = int(LINK_LIFE.total_seconds()) // 60
    return page(request, "sign_in/sent.html", status=status, wrong=wrong, minutes=minutes)


def _asking(request: Request) -> sign_in.Asking | None:
    return sign_in.Asking.read(request.cookies.get(_ASKING))
