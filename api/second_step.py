"""The second step in the browser: its cookie, and where to go on when the code was right."""

import re
from datetime import datetime

from fastapi import Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import session
from api.deps import runtime
from api.settings import Settings
from domain.access_proof import SESSION
from domain.flows.person.prove_person import is_proven
from domain.flows.ways_in.open_candidate_link import Opened

_PLACE = re.compile(r"[a-z][a-z-]*(/[a-z0-9_-]+)*(\.(json|jws|pdf))?")
_LONGEST_PLACE = 80


def cookie_name(settings: Settings) -> str:
    """`__Host-` makes browsers insist on https, this host and the whole site."""
    return "__Host-relay_proof" if settings.secure else "relay_proof"


async def proven(request: Request, db: AsyncSession, opened: Opened | None, now: datetime) -> bool:
    """Whether this browser has taken the second step for this link."""
    if opened is None:
        return False
    cookie = request.cookies.get(cookie_name(runtime(request).settings))
    return await is_proven(db, opened, cookie, now)


def remember(response: Response, settings: Settings, cookie: str) -> Response:
    """Note in the browser that it took the step. Lax: a link in a mail leads back into it."""
    seconds = int(SESSION.total_seconds())
    session.keep(response, settings, cookie_name(settings), cookie, seconds)
    return response


def forget(response: Response, settings: Settings) -> Response:
    """The visit is over in this browser."""
    session.forget(response, settings, cookie_name(settings))
    return response


def place(wanted: str | None) -> str:
    """A page of the same link to go on to (`data.json`); empty for anything else."""
    found = wanted or ""
    return found if len(found) <= _LONGEST_PLACE and _PLACE.fullmatch(found) else ""
