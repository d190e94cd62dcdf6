"""A person's consent over time: go on with it before it ends, and take its receipt along."""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from api import candidate_form
from api.candidate_form import Sent
from api.candidate_sections import section
from api.candidate_visit import Link, Visit
from api.deps import Process
from api.receipt_pdf import Lang, laid_out
from domain import consent_text, data_items
from domain.agency import Agency
from domain.business_days import long_date
from domain.consent import Consent, last_day
from domain.consent_text import Statement
from domain.errors import Gone, Invalid
from domain.flows.consent.keep_consent import Answer, recorded
from domain.flows.consent.renew_consent import renew, renewable
from domain.flows.ways_in.open_candidate_link import agencies_offered
from domain.views import consent_receipt
from integrations.pdf import render

router = APIRouter(include_in_schema=False)
KEYS = "/.well-known/ledger-keys.json"


@section("consents", 5)
async def ending(visit: Visit) -> dict[str, Any] | None:
    """Consents that end soon: the one question, where the person sees who holds what."""
    asked = await _asked(visit)
    if not asked:
        return None
    soonest = min((consent for _, consent in asked), key=lambda one: one.expires_at)
    return {"ends": _ends(visit, soonest)}


@router.get("/c/{token}/renew")
async def ask(visit: Link) -> Response:
    """The present text, the same agencies and items, and no box ticked."""
    if refused := await visit.refusal("my_page"):
        return refused
    return await _page(visit, None)


@router.post("/c/{token}/renew")
async def go_on(visit: Link, process: Process) -> Response:
    """Renew what was ticked. What was not ends on its day."""
    if refused := await visit.refusal("my_page", process=process):
        return refused
    sent = candidate_form.read(await visit.request.form())
    if await recorded(visit.db, visit.opened.candidate, sent.submission_id):
        return visit.back("/renew/done")  # sent twice: the first time counted
    return await _go_on(visit, sent)


async def _go_on(visit: Visit, sent: Sent) -> Response:
    """The words must be the ones that were shown, and every box ticked on purpose."""
    statement = await _statement(visit, sent.locale if sent.locale in {"ja", "en"} else None)
    if statement is None:
        return visit.back()
    if sent.text_sha256 != statement.sha256 or not sent.submission_id:
        return await _page(visit, None, fault="changed", status=422)
    try:
        async with visit.db.begin_nested():
            await renew(
                visit.db, visit.tools, visit.opened, statement, _answer(visit, sent), now=visit.now
            )
    except Invalid as refusal:
        return await _page(visit, sent, fault=refusal.code, status=422)
    except Gone:
        return visit.back()
    return visit.back("/renew/done")


@router.get("/c/{token}/renew/done")
async def renewed(visit: Link) -> Response:
    """That it was recorded, and what comes next."""
    if refused := await visit.refusal("my_page"):
        return refused
    return visit.show("renewed")


@router.get("/c/{token}/receipt.jws")
async def as_jws(visit: Link) -> Response:
    """The receipt, signed (JWS, EdDSA): it stands alone and can be checked by anybody."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    made = consent_receipt.signed(visit.tools.signer, await _receipt(visit))
    return _file(made.encode(), "application/jose", "consent-receipt.jws")


@router.get("/c/{token}/receipt.pdf")
async def as_pdf(visit: Link) -> Response:
    """The same as a page to print."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    lang: Lang = "en" if visit.locale == "en" else "ja"
    keys = f"{visit.tools.public_url}{KEYS}"
    pages = laid_out(await _receipt(visit), lang, keys_url=keys, now=visit.now)
    made = await asyncio.to_thread(render, pages)
    return _file(made, "application/pdf", f"consent-receipt-{lang}.pdf")


async def _receipt(visit: Visit) -> dict[str, Any]:
    opened = visit.opened
    return await consent_receipt.receipt(
        visit.db, opened.company, opened.candidate, visit.now, public_url=visit.tools.public_url
    )


def _file(content: bytes, media: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media, headers=headers)


async def _asked(visit: Visit) -> list[tuple[Agency, Consent]]:
    """Whom the question is about: consents asked about, at agencies one could choose today."""
    consents = await renewable(visit.db, visit.opened.candidate, visit.now)
    if not consents:
        return []
    offered = await agencies_offered(visit.db, visit.opened.company, visit.now)
    by_agency = {consent.agency_id: consent for consent in consents}
    return [(one, by_agency[one.id]) for one in offered if one.id in by_agency]


async def _statement(visit: Visit, locale: str | None = None) -> Statement | None:
    """What the person reads today: the agencies asked about, and the items chosen before."""
    asked = await _asked(visit)
    if not asked:
        return None
    chosen = {code for agency, one in asked for code in (*one.items, *agency.required_items)}
    return consent_text.build(
        visit.opened.company,
        [agency for agency, _ in asked],
        data_items.in_order(chosen),
        locale or visit.locale,
    )


def _answer(visit: Visit, sent: Sent) -> Answer:
    client = visit.request.client
    return Answer(
        submission_id=sent.submission_id,
        choices=sent.choices,
        address=client.host if client is not None else "",
        user_agent=visit.request.headers.get("user-agent", ""),
        identity_check=visit.opened.identity_check(proven=visit.proven),
    )


async def _page(visit: Visit, sent: Sent | None, *, fault: str = "", status: int = 200) -> Response:
    asked = await _asked(visit)
    statement = await _statement(visit)
    if statement is None:
        return visit.show("renewed_not")
    shown = sent if sent is not None else Sent({})
    if not shown.submission_id:
        shown.submission_id = Sent({}).submission_id
    return visit.show(
        "renew",
        status,
        statement=statement,
        said=statement.content,
        headings=consent_text.headings(statement.content),
        sent=shown,
        before={consent.agency_id: consent.items for _, consent in asked},
        ends={consent.agency_id: _ends(visit, consent) for _, consent in asked},
        fault=fault,
    )


def _ends(visit: Visit, consent: Consent) -> str:
    return long_date(last_day(consent.expires_at), visit.locale)
