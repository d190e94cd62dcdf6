"""The company's public link: prove the address by mail, and go on to the form from there."""

# ruff: noqa: FAST003 - the company is read by the dependency every route here asks for

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import session
from api.candidate_form import clean
from api.deps import Db, Kit, Now, Process
from api.pages import locale_of, page
from api.rate_limit import RateLimiter
from domain.company import Company
from domain.consent_text import named
from domain.contact import LONGEST_ADDRESS, mail_address
from domain.errors import Conflict, Gone
from domain.flows.ways_in import join
from domain.flows.ways_in.request_link import company_by_slug
from domain.join_request import JoinRequest

router = APIRouter(include_in_schema=False)
ASKS_A_MINUTE = 20
"""From one network address, per process."""
LONGEST_WORDS = 200
Slug = Annotated[str, Path(alias="company_slug")]
Token = Annotated[str, Path(max_length=200)]


class Asked:
    """A visit to a company's public link."""

    def __init__(self, request: Request, company: Company) -> None:
        self.request, self.company = request, company

    @property
    def locale(self) -> str:
        """The reader's language."""
        return locale_of(self.request)

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of this link."""
        company = self.company
        return page(
            self.request, f"candidate/{template}.html", status=status,
            company=named(company, self.locale), privacy_contact=company.privacy_contact,
            slug=company.slug, **values,
        )  # fmt: skip

    def over(self) -> Response:
        """The mailed link has served its turn, or never was one: the way to a new one."""
        return self.show("join_over", 410)


async def _asked(company_slug: Slug, request: Request, db: Db) -> Asked | None:
    company = await company_by_slug(db, company_slug)
    return Asked(request, company) if company is not None else None


At = Annotated[Asked | None, Depends(_asked)]


@router.get("/join/{company_slug}")
async def ask(request: Request, at: At) -> Response:
    """One question: the address the application was made with."""
    if at is None:
        return _unknown(request)
    return at.show("join", email="", wrong=False)


@router.post("/join/{company_slug}")
async def send(
    request: Request, at: At, db: Db, *, tools: Kit, now: Now, process: Process
) -> Response:
    """The same answer for every address: a mail with a link that proves it."""
    await session.check_form(request, process.settings, None, nameless=True)
    _count(request)
    if at is None:
        return _unknown(request)
    typed = clean(str((await request.form()).get("email", "")))
    email = mail_address(typed)
    if email is None:
        return at.show("join", 422, email=typed[:LONGEST_ADDRESS], wrong=True)
    await join.ask_to_join(db, tools, at.company, email, locale=at.locale, now=now)
    return at.show("join_sent")


@router.get("/join/{company_slug}/{token}")
async def look(request: Request, token: Token, at: At, db: Db, *, now: Now) -> Response:
    """The mailed link: a button. Opening it proves nothing, for mail scanners open every link."""
    if at is None:
        return _unknown(request)
    asked = await join.find_request(db, at.company, token)
    if asked is None or asked.expires_at <= now:
        return at.over()
    return at.show("join_held" if asked.state == "held" else "join_prove", **_blank(token))


@router.post("/join/{company_slug}/{token}")
async def prove(
    request: Request,
    token: Token,
    at: At,
    db: Db,
    *,
    tools: Kit,
    now: Now,
    process: Process,
) -> Response:
    """The button: on to the form, or to the words that HR needs to find the application."""
    await session.check_form(request, process.settings, None, nameless=True)
    if at is None:
        return _unknown(request)
    asked = await join.find_request(db, at.company, token)
    if asked is None:
        return at.over()
    try:
        if "name" in await request.form():
            return await _tell(at, db, tools, asked, token=token, now=now)
        url = await join.prove_join(db, tools, asked, now)
    except (Conflict, Gone):
        return at.over()
    if url is not None:
        return RedirectResponse(url.removeprefix(tools.public_url), 303)
    return at.show("join_held", **_blank(token))


async def _tell(
    at: Asked, db: AsyncSession, tools: Kit, asked: JoinRequest, *, token: str, now: Now
) -> Response:
    """Name and job, so that HR finds the application."""
    form = await at.request.form()
    name, job = (clean(str(form.get(field, ""))) for field in ("name", "job"))
    if not name or max(len(name), len(job)) > LONGEST_WORDS:
        said = {"name": name[:LONGEST_WORDS], "job": job[:LONGEST_WORDS]}
        return at.show("join_held", 422, token=token, said=said, wrong=True, told=False)
    await join.tell_who(db, tools, asked, name=name, job=job, now=now)
    return at.show("join_held", **(_blank(token) | {"told": True}))


def _blank(token: str) -> dict[str, Any]:
    return {"token": token, "said": {"name": "", "job": ""}, "wrong": False, "told": False}


def _count(request: Request) -> None:
    """A network that asks too often waits; its address is kept in memory only."""
    state = request.app.state
    if not hasattr(state, "joins"):
        state.joins = RateLimiter(ASKS_A_MINUTE)
    allowance = state.joins.ask(request.client.host if request.client is not None else "")
    if not allowance.allowed:
        raise HTTPException(429, headers={"retry-after": str(allowance.retry_seconds)})


def _unknown(request: Request) -> Response:
    return page(request, "candidate/unknown.html", status=404)
