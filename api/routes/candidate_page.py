"""A person's own page: its parts, and what they do there: take back, put right, take along, erase.

The list of agencies and taking a consent back need the link alone; the rest needs the second step.
"""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from api import candidate_form, my_page, session
from api.candidate_sections import section
from api.candidate_visit import Link, Visit, as_file, in_words
from api.data_pdf import laid_out
from api.deps import Process
from api.pages import LOCALE_COOKIE, LOCALES
from domain import data_items
from domain.business_days import local_day, long_date
from domain.errors import Conflict
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.hear.keep_settings import allow_invitations, end_links, keep_language
from domain.flows.person.answer_rights_request import ask_erasure
from domain.flows.person.correct_profile import correct_profile
from domain.flows.relay.ask_candidate import may_be_asked, stop_asking
from domain.flows.tell.write_mail import language
from domain.flows.ways_in import request_link
from domain.views import consent_receipt
from domain.views.my_data import my_data
from domain.views.my_file import my_file
from domain.views.passport import passport
from integrations.pdf import render

router = APIRouter(include_in_schema=False)

SHOWN = ("name", "name_kana", "email", "phone", "birth_date", *data_items.WISHES)
"""What the page says we hold; everything else is in the file to take along."""
_LANGUAGES = (("ja", "日本語"), ("en", "English"))
_YEAR = 365 * 24 * 3600


@section("agencies", 10)
async def agencies(visit: Visit) -> dict[str, Any]:
    """Who may have what, who got what and by which path, who was asked to stop."""
    held = await my_data(visit.db, visit.opened.candidate)
    return {
        "held": my_page.dressed(visit, held),
        "standing": [one.agency_id for one in held if one.stands],
    }


@section("locked", 20)
async def locked(visit: Visit) -> dict[str, Any] | None:
    """What a code opens."""
    return None if visit.proven else {}


@section("correct", 30, proven=True)
async def mine(visit: Visit) -> dict[str, Any]:
    """What we hold about the person."""
    profile = await visit.profile()
    known = [(code, in_words(code, profile)) for code in SHOWN]
    return {
        "facts": [
            {"label": data_items.label(code, visit.locale), "value": value}
            for code, value in known
            if value or code in data_items.FACTS
        ]
    }


@section("passport", 50, proven=True)
async def stamps(visit: Visit) -> dict[str, Any] | None:
    """When one may apply again, and for what."""
    opened, today = visit.opened, local_day(visit.now)
    found = await passport(visit.db, opened.company, opened.candidate)
    return {
        "stamps": [
            {
                "job_title": one.job_title,
                "told_on": long_date(one.told_on, visit.locale),
                "again_from": long_date(one.again_from, visit.locale),
                "open": one.open_on(today),
            }
            for one in found
        ]
    } if found else None  # fmt: skip


@section("downloads", 80, proven=True)
async def downloads(_: Visit) -> dict[str, Any]:
    """What may be taken along, and the way to have everything erased."""
    return {}


@section("settings", 90)
async def settings(visit: Visit) -> dict[str, Any]:
    """The language of mails, what may be asked, links."""
    candidate = visit.opened.candidate
    return {
        "language": language(candidate.locale),
        "languages": _LANGUAGES,
        "followup": await may_be_asked(visit.db, candidate),
        "opted_out": candidate.opted_out_at is not None,
    }


@router.post("/c/{token}/withdraw")
async def take_back(visit: Link, process: Process) -> Response:
    """Withdraw one agency or all, in one step and without a reason; twice is the same as once."""
    if refused := await visit.refusal(
        "my_page", "answered", "expired", "declined", process=process
    ):
        return refused
    wanted = [str(value) for value in (await visit.request.form()).getlist("agency")]
    known = {one.agency_id for one in await my_data(visit.db, visit.opened.candidate)}
    if not wanted or not set(wanted) <= {"all", *known}:
        return visit.stale()
    agencies = None if "all" in wanted else wanted
    await withdraw(visit.db, visit.tools, visit.opened.candidate, agencies, visit.now)
    return visit.back("?withdrawn=1" if visit.stands == "my_page" else "/done")


@router.post("/c/{token}/followup")
async def stop_followup(visit: Link, process: Process) -> Response:
    """Not to be asked any more whether one has started: one step, and twice is the same as once."""
    if refused := await visit.refusal("my_page", process=process):
        return refused
    await stop_asking(visit.db, visit.opened.candidate, visit.now, method="my_page_button")
    return visit.back("?unasked=1")


@router.post("/c/{token}/invitations")
async def be_invited_again(visit: Link, process: Process) -> Response:
    """Take back the wish for no more invitations by mail."""
    if refused := await visit.refusal("my_page", process=process):
        return refused
    await allow_invitations(visit.db, visit.opened.candidate)
    return visit.back("?done=invited_again")


@router.post("/c/{token}/language")
async def choose_language(visit: Link, process: Process) -> Response:
    """The language of this page and of every later mail."""
    if refused := await visit.refusal("my_page", process=process):
        return refused
    wanted = str((await visit.request.form()).get("locale", ""))
    if wanted not in LOCALES:
        return visit.stale()
    await keep_language(visit.db, visit.opened.candidate, wanted)
    answer = visit.back("?done=language")
    session.keep(answer, process.settings, LOCALE_COOKIE, wanted, _YEAR)
    return answer


@router.post("/c/{token}/links")
async def end_all_links(visit: Link, process: Process) -> Response:
    """End every link that was ever sent, this one too; a new one goes out by mail."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    opened = visit.opened
    try:
        await end_links(visit.db, visit.tools, opened.company, opened.candidate, visit.now)
    except Conflict:  # without an address the person would be locked out
        return visit.stale()
    return visit.show("links_ended")


@router.post("/c/{token}/my-page")
async def mail_my_page(visit: Link, process: Process) -> Response:
    """Send the link to the person's own page to the address we hold, at most once an hour."""
    if refused := await visit.refusal("answered", "expired", "declined", process=process):
        return refused
    await request_link.request_my_page_link(
        visit.db, visit.tools, visit.opened.company, visit.opened.candidate, visit.now
    )
    return visit.show("link_sent")


@router.get("/c/{token}/correct")
async def ask_corrections(visit: Link) -> Response:
    """What we hold, ready to be put right and completed."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    profile = await visit.profile()
    return _correct(visit, candidate_form.blank(profile), profile)


@router.post("/c/{token}/correct")
async def correct(visit: Link, process: Process) -> Response:
    """Take over what was typed; agencies that were handed it hear of it."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    form, profile = await visit.request.form(), await visit.profile()
    sent, held = candidate_form.read(form), candidate_form.blank(profile).facts
    sent.facts = {code: sent.facts[code] if code in form else held[code] for code in held}
    if found := candidate_form.fact_faults(sent, held):
        return _correct(visit, sent, profile, found=found, status=422)
    if candidate_form.sensitive(sent) and form.get("seen") != "yes":
        return _correct(visit, sent, profile, sensitive=candidate_form.sensitive(sent))
    items = await correct_profile(
        visit.db, visit.tools, visit.opened.candidate, sent.facts, visit.now
    )
    return visit.back("?done=corrected" if items else "?done=unchanged")


def _correct(
    visit: Visit,
    sent: candidate_form.Sent,
    profile: dict[str, Any],
    *,
    found: list[candidate_form.Fault] | None = None,
    sensitive: dict[str, list[str]] | None = None,
    status: int = 200,
) -> Response:
    return visit.show(
        "correct",
        status,
        sent=sent,
        email=profile.get("email") or "",
        faults=found or [],
        faulty=candidate_form.codes_of(found or []),
        sensitive=sensitive or {},
    )


@router.get("/c/{token}/erase")
async def ask_erase(visit: Link) -> Response:
    """What erasing means, before it is done."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    return visit.show("erase", unsure=False)


@router.post("/c/{token}/erase")
async def erase(visit: Link, process: Process) -> Response:
    """Erase the person's data. The link stops working with it."""
    if refused := await visit.refusal("my_page", process=process, proven=True):
        return refused
    if (await visit.request.form()).get("erase") != "yes":
        return visit.show("erase", 422, unsure=True)
    candidate = visit.opened.candidate
    done = await ask_erasure(visit.db, visit.tools, candidate, now=visit.now)
    return visit.show("erased") if done else visit.back("/requests?done=held")


@router.get("/c/{token}/receipt.json")
async def receipt(visit: Link) -> Response:
    """The consent receipt as a file (fields after ISO/IEC TS 27560)."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    opened = visit.opened
    content = await consent_receipt.receipt(
        visit.db, opened.company, opened.candidate, visit.now, public_url=visit.tools.public_url
    )
    return as_file(content, "consent-receipt.json")


@router.get("/c/{token}/data.json")
async def data(visit: Link) -> Response:
    """Everything we hold about the person, in one file for programs."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    return as_file(await _file(visit), "my-data.json")


@router.get("/c/{token}/data.pdf")
async def data_as_pdf(visit: Link) -> Response:
    """The same for reading and printing."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    document = laid_out(await _file(visit), visit.locale, visit.now)
    content = await asyncio.to_thread(render, document)
    headers = {"content-disposition": 'attachment; filename="my-data.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)


async def _file(visit: Visit) -> dict[str, Any]:
    opened = visit.opened
    return await my_file(visit.db, visit.tools.sealer, opened.company, opened.candidate, visit.now)
