"""The company's public link: prove the address by mail, and get the form there."""

from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Request
from fastapi.responses import Response

from api import session
from api.candidate_form import clean
from api.candidate_visit import guarded
from api.deps import Db, Kit, Now, Process
from api.pages import locale_of, page
from domain.company import Company
from domain.consent_text import named
from domain.flows.request_link import company_by_slug, request_optin_link

router = APIRouter(include_in_schema=False)
_LONGEST_ADDRESS = 254


@router.get("/join/{company_slug}")
async def ask(request: Request, company_slug: str, db: Db) -> Response:
    """One question: the address the application was made with."""
    company = await company_by_slug(db, company_slug)
    if company is None:
        return guarded(page(request, "candidate/unknown.html", status=404))
    return _show(request, company, "join")


@router.post("/join/{company_slug}")
async def send(
    request: Request, company_slug: str, db: Db, *, tools: Kit, now: Now, process: Process
) -> Response:
    """The same answer for every address; a mail only to those it may concern."""
    await session.check_form(request, process.settings, None)
    company = await company_by_slug(db, company_slug)
    if company is None:
        return guarded(page(request, "candidate/unknown.html", status=404))
    email = clean(str((await request.form()).get("email", "")))
    if not _is_address(email):
        return _show(request, company, "join", 422, email=email, wrong=True)
    await request_optin_link(db, tools, company, email, now)
    return _show(request, company, "join_sent")


def _is_address(email: str) -> bool:
    if len(email) > _LONGEST_ADDRESS:
        return False
    try:
        validate_email(email, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        # Reserved names (.example, .test) are addresses here; people try the product with them.
        local, _, domain = email.rpartition("@")
        return bool(local) and domain.endswith((".example", ".test")) and email.isascii()
    return True


def _show(
    request: Request,
    company: Company,
    template: str,
    status: int = 200,
    *,
    email: str = "",
    wrong: bool = False,
) -> Response:
    return guarded(
        page(
            request,
            f"candidate/{template}.html",
            status=status,
            company=named(company, locale_of(request)),
            privacy_contact=company.privacy_contact,
            slug=company.slug,
            email=email,
            wrong=wrong,
        )
    )
