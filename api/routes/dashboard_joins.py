"""HR's side of the public link: its poster, and the people it could not match by their address."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Kit, Now
from api.page_forms import Form, Refilled, known
from api.pages import locale_of, page, words
from api.routes.dashboard import names_of
from api.session import SignedIn, signed_in
from domain.company import Company
from domain.flows.ways_in import join
from domain.ids import pattern
from domain.ports import Sealer, Tools
from domain.views.people import application_by_number
from integrations import qr

router = APIRouter(prefix="/dashboard", include_in_schema=False)
Actor = Annotated[SignedIn, signed_in("company", "recruiter", "head")]
Reader = Annotated[SignedIn, signed_in("company")]
RequestId = Annotated[str, Path(pattern=pattern("jrq"))]
MOST_SHOWN = 50


class JoinForm(Form):
    """A form of these pages."""

    areas = ("dashboard_joins",)


@router.get("/join-link")
async def poster(request: Request, person: Reader, db: Db, tools: Kit) -> Response:
    """The public link to paste into a mail, and its code to print: it is no secret."""
    company = await db.get_one(Company, person.company_id)
    url = f"{tools.public_url}/join/{company.slug}"
    return page(
        request, "dashboard/join_poster.html", company=company, url=url,
        code=qr.svg(url, words(locale_of(request))("dashboard_joins.code")),
    )  # fmt: skip


@router.get("/joins")
async def joins(request: Request, person: Reader, db: Db, tools: Kit, done: str = "") -> Response:
    """Who proved an address and could not be matched, oldest first."""
    return await _page(request, person, db, tools, done=done)


@router.post("/joins/{request_id}/match")
async def match(
    *, request_id: RequestId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """HR found the application: first it sees whose it is, then the form goes to the address."""
    form = await JoinForm.read(request, request_id, f"number-{request_id}", "number", "sure")
    company = await db.get_one(Company, person.company_id)
    if not form.values["number"]:
        form.refuse("number_missing")
    elif form.values["sure"] != "yes":
        await form.run(db, lambda: application_by_number(db, company.id, form.values["number"]))
        if form.refilled is None:
            found = form.result
            names = await names_of(db, tools, company.id, [found])
            name = names.get(found.candidate_id, "")
            shown = Refilled(values={f"{request_id}.number": form.values["number"]},
                             made=(request_id, name, found.job_title))  # fmt: skip
            return await _page(request, person, db, tools, again=shown)
    else:
        await form.run(
            db,
            lambda: join.match_join(
                db, tools, company, request_id, form.values["number"],
                actor=person.member_id, now=now,
            ),
        )  # fmt: skip
    return await _answered(request, person, db, tools, form, "matched")


@router.post("/joins/{request_id}/close")
async def close(
    *, request_id: RequestId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """HR found nobody: a kind mail, and the address is forgotten."""
    form = await JoinForm.read(request, request_id, f"number-{request_id}")
    company = await db.get_one(Company, person.company_id)
    await form.run(
        db,
        lambda: join.refuse_join(
            db, tools, company, request_id, actor=person.member_id, now=now
        ),
    )  # fmt: skip
    return await _answered(request, person, db, tools, form, "closed")


async def _answered(  # noqa: PLR0917 - the page's own needs, in its own order
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, form: JoinForm, done: str
) -> Response:
    if form.refilled is None:
        return RedirectResponse(f"/dashboard/joins?done={done}", 303)
    return await _page(request, person, db, tools, again=form.refilled)


async def _page(
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    tools: Tools,
    *,
    done: str = "",
    again: Refilled | None = None,
) -> Response:
    company_id, again = person.company_id or "", again or Refilled()
    held = await join.held_requests(db, company_id, MOST_SHOWN)
    return page(
        request,
        "dashboard/joins.html",
        status=again.status,
        rows=[_row(tools.sealer, one) for one in held],
        may_act=person.has("recruiter", "head"),
        done=known("dashboard_joins", done),
        again=again,
    )


def _row(sealer: Sealer, one: Any) -> dict[str, Any]:
    facts = join.facts_of(sealer, one)
    return {
        "id": one.id, "email": facts.get("email", ""), "name": facts.get("name", ""),
        "job": facts.get("job", ""), "locale": one.locale, "proven_at": one.proven_at,
        "until": one.look_at,
    }  # fmt: skip
