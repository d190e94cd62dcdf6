"""What a person does on their own page: take back, take along, erase."""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

from fastapi import APIRouter
from fastapi.responses import Response

from api.candidate_visit import Link, as_file
from api.deps import Process
from domain.flows import request_link
from domain.flows.ask_candidate import stop_asking
from domain.flows.change_person import delete
from domain.flows.withdraw_consent import withdraw
from domain.views import consent_receipt
from domain.views.my_data import my_data

router = APIRouter(include_in_schema=False)


@router.post("/c/{token}/withdraw")
async def take_back(visit: Link, process: Process) -> Response:
    """Withdraw one agency or all, in one step and without a reason; twice is the same as once."""
    if refused := await visit.refusal("my_page", "answered", process=process):
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


@router.post("/c/{token}/my-page")
async def mail_my_page(visit: Link, process: Process) -> Response:
    """Send the link to the person's own page to the address we hold, at most once an hour."""
    if refused := await visit.refusal("answered", process=process):
        return refused
    await request_link.request_my_page_link(
        visit.db, visit.tools, visit.opened.company, visit.opened.candidate, visit.now
    )
    return visit.show("link_sent")


@router.get("/c/{token}/erase")
async def ask_erase(visit: Link) -> Response:
    """What erasing means, before it is done."""
    if refused := await visit.refusal("my_page"):
        return refused
    return visit.show("erase", unsure=False)


@router.post("/c/{token}/erase")
async def erase(visit: Link, process: Process) -> Response:
    """Erase the person's data. The link stops working with it."""
    if refused := await visit.refusal("my_page", process=process):
        return refused
    if (await visit.request.form()).get("erase") != "yes":
        return visit.show("erase", 422, unsure=True)
    await delete(visit.db, visit.tools, visit.opened.candidate, visit.now)
    return visit.show("erased")


@router.get("/c/{token}/receipt.json")
async def receipt(visit: Link) -> Response:
    """The consent receipt as a file (fields after ISO/IEC TS 27560)."""
    if refused := await visit.refusal("my_page"):
        return refused
    opened = visit.opened
    content = await consent_receipt.receipt(visit.db, opened.company, opened.candidate, visit.now)
    return as_file(content, "consent-receipt.json")


@router.get("/c/{token}/data.json")
async def data(visit: Link) -> Response:
    """Everything we hold about the person, in one file."""
    if refused := await visit.refusal("my_page"):
        return refused
    opened = visit.opened
    content = await consent_receipt.everything(
        visit.db, opened.company, opened.candidate, await visit.profile(), visit.now
    )
    return as_file(content, "my-data.json")
