"""Browser sessions of people: who is signed in, and that a form was sent from our own page.

The cookie is 256 random bits; the database holds its hash. Forms carry the session's token in a
hidden field `csrf`, and the browser's own word on where the request comes from must agree.
"""

import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.responses import Response

from api.deps import Db, Now, Process
from api.settings import Settings
from domain.caller import SESSION_LIFE
from domain.flows.office.sign_in import facts_of, session_of

SAFE = ("GET", "HEAD", "OPTIONS")
_LONGEST_PATH = 500


@dataclass(frozen=True)
class SignedIn:
    """The person in front of the browser."""

    member_id: str
    company_id: str | None
    agency_id: str | None
    roles: tuple[str, ...]
    name: str
    locale: str
    csrf: str
    """Goes into every form as the hidden field `csrf`."""

    def has(self, *roles: str) -> bool:
        """Whether the person has one of these roles; an admin has them all."""
        return "admin" in self.roles or any(role in self.roles for role in roles)


def signed_in(kind: str, *roles: str) -> Any:
    """A person of a "company" or an "agency" (with one of the roles, if any are named).

    The transaction works for their tenant from here on. Nobody signed in: off to `/login`, and
    back here afterwards. A form without the session's token is refused.
    """

    async def person(request: Request, db: Db, process: Process, now: Now) -> SignedIn:
        cookie = request.cookies.get(cookie_name(process.settings))
        found = await session_of(db, cookie, now=now) if cookie else None
        if found is None:
            raise HTTPException(303, headers={"location": login_url(request)})
        login, member = found
        who = SignedIn(
            member_id=member.id, company_id=member.company_id, agency_id=member.agency_id,
            roles=tuple(member.roles), name=facts_of(process.tools.sealer, member)["name"],
            locale=member.locale, csrf=login.csrf,
        )  # fmt: skip
        request.scope["relay.person"] = who
        if (who.company_id if kind == "company" else who.agency_id) is None:
            raise HTTPException(403, "This page is for others", {"x-problem-code": "forbidden"})
        if roles and not who.has(*roles):
            raise HTTPException(403, "Your role does not do this", {"x-problem-code": "role"})
        if request.method not in SAFE:
            await check_form(request, process.settings, who.csrf)
        return who

    return Depends(person)


async def check_form(
    request: Request, settings: Settings, csrf: str | None, *, nameless: bool = False
) -> None:
    """Refuse a form another site sent, or one without this session's token (if there is one).

    `nameless`: taken as well from a browser that is too old for `Sec-Fetch-Site` and, because our
    pages send no referrer, calls its origin `null` (Fetch 3.2). The form's own word decides then,
    or nothing of the browser's is at stake.
    """
    refused = HTTPException(
        403, "This form is too old or was not sent from our page", {"x-problem-code": "csrf"}
    )
    if not _from_here(request, settings, nameless=nameless):
        raise refused
    if csrf is not None:
        sent = str((await request.form()).get("csrf", ""))
        if not hmac.compare_digest(sent.encode(), csrf.encode()):
            raise refused


def _from_here(request: Request, settings: Settings, *, nameless: bool) -> bool:
    """What the browser says of the sender. Old browsers say nothing; the token then decides."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    if origin is None or (nameless and origin == "null"):
        return True
    base = urlsplit(settings.base_url)
    return origin.lower() == f"{base.scheme}://{base.netloc}".lower()


def cookie_name(settings: Settings) -> str:
    """`__Host-` makes browsers insist on https, this host and the whole site."""
    return "__Host-relay_session" if settings.secure else "relay_session"


def keep(response: Response, settings: Settings, name: str, value: str, seconds: int) -> None:
    """Set a cookie no script and no other site can use."""
    response.set_cookie(
        name, value, max_age=seconds, path="/", secure=settings.secure, httponly=True,
        samesite="lax",
    )  # fmt: skip


def start(response: Response, settings: Settings, cookie: str) -> None:
    """Sign the browser in with a new id: one it had before is worth nothing."""
    seconds = int(SESSION_LIFE.total_seconds())
    keep(response, settings, cookie_name(settings), cookie, seconds)


def login_url(request: Request) -> str:
    """Where to sign in; afterwards back to this page, if looking at it changes nothing."""
    if request.method not in SAFE:
        return "/login"
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/login?next={quote(request.url.path + query, safe='')}"


def local_path(wanted: str | None) -> str | None:
    """A path on this site to go on to, or nothing: no way to send people elsewhere."""
    found = wanted or ""
    plain = found.isascii() and found.isprintable() and " " not in found and "\\" not in found
    local = found.startswith("/") and not found.startswith("//") and plain
    return found if local and len(found) <= _LONGEST_PATH else None


def forget(response: Response, settings: Settings, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(name, path="/", secure=settings.secure, httponly=True, samesite="lax")
