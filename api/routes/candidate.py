"""The opt-in form behind a link in a mail. Opening it changes nothing; only a POST does."""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

from fastapi import APIRouter
from fastapi.responses import Response

from api import candidate_form, my_page
from api.candidate_form import Sent
from api.candidate_visit import Link, Visit, in_words
from api.deps import Process
from domain import consent_text, data_items
from domain.consent_text import Statement
from domain.errors import Gone, Invalid
from domain.flows.consent import record_consent
from domain.flows.consent.keep_consent import Answer
from domain.flows.ways_in.request_link import request_form_link
from domain.views.files import files_of
from domain.views.my_data import my_data

router = APIRouter(include_in_schema=False)
_ANSWERED = ("answered", "declined", "expired", "my_page")


@router.get("/c/{token}")
async def open_link(visit: Link) -> Response:
    """The form, the person's own page, or what became of the link."""
    if visit.stands == "my_page":
        return await my_page.show(visit)
    if visit.stands == "form" or (
        visit.stands == "declined" and "again" in visit.request.query_params
    ):
        return await _form(visit, None)
    return visit.closed()


@router.head("/c/{token}")
async def look_at_link(visit: Link) -> Response:
    """Scanners ask like this: the same headers, and nothing happens."""
    return await open_link(visit)


@router.post("/c/{token}")
async def answer(visit: Link, process: Process) -> Response:
    """The person's decision: look it over, confirm it, decline, or go back to the form."""
    if refused := await visit.refusal("form", "declined", "answered", process=process):
        return refused
    sent = candidate_form.read(await visit.request.form())
    locale = sent.locale if sent.locale in {"ja", "en"} else visit.locale
    statement = await visit.statement(locale)
    if statement is None:
        return visit.no_agency()
    if sent.decision == "decline":
        return await _decline(visit, statement, sent)
    if candidate_form.is_tampered(sent, statement) and sent.text_sha256 == statement.sha256:
        return await _form(visit, sent, changed=True, status=422)
    return await _consent(visit, statement, sent)


async def _consent(visit: Visit, statement: Statement, sent: Sent) -> Response:
    """Towards a consent: the words must be the ones that were shown, and every box on purpose."""
    if sent.decision == "edit":
        return await _form(visit, sent)
    if sent.text_sha256 != statement.sha256:
        return await _form(visit, _only_facts(sent), changed=True, status=422)
    if sent.decision.startswith("screen-"):
        return await _form(visit, sent)
    held = candidate_form.blank(await visit.profile()).facts
    found = candidate_form.faults(sent, statement, held)
    if found or sent.decision not in {"consent", "confirm"}:
        return await _form(visit, sent, found=found, status=422)
    if sent.decision == "consent":
        return await _confirm(visit, statement, sent)
    return await _record(visit, statement, sent)


async def _record(visit: Visit, statement: Statement, sent: Sent) -> Response:
    try:
        async with visit.db.begin_nested():
            await record_consent.give(
                visit.db, visit.tools, visit.opened, statement, _answer(visit, sent), now=visit.now
            )
    except Invalid:
        return await _form(visit, sent, changed=True, status=422)
    except Gone as gone:
        if gone.code == "not_eligible":
            return visit.show("closed", 410, why="not_eligible")
        return visit.closed()
    return visit.back("/done")


async def _decline(visit: Visit, statement: Statement, sent: Sent) -> Response:
    sent.submission_id = sent.submission_id or candidate_form.blank({}).submission_id
    try:
        async with visit.db.begin_nested():
            await record_consent.decline(
                visit.db, visit.tools, visit.opened, statement, _answer(visit, sent), now=visit.now
            )
    except Gone:
        return visit.closed()
    return visit.back("/done")


def _answer(visit: Visit, sent: Sent) -> Answer:
    client = visit.request.client
    return Answer(
        submission_id=sent.submission_id,
        choices=sent.choices,
        followup=sent.followup,
        corrections=sent.facts,
        address=client.host if client is not None else "",
        user_agent=visit.request.headers.get("user-agent", ""),
        identity_check=visit.opened.identity_check(proven=visit.proven),
    )


def _only_facts(sent: Sent) -> Sent:
    """The words have changed meanwhile: what was ticked was ticked for other words."""
    return Sent(sent.facts)


async def _form(
    visit: Visit,
    sent: Sent | None,
    *,
    found: list[candidate_form.Fault] | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response:
    statement = await visit.statement(_language(visit, sent))
    if statement is None:
        return visit.no_agency()
    profile = await visit.profile()
    shown = sent if sent is not None else candidate_form.blank(profile)
    if not shown.submission_id:
        shown.submission_id = candidate_form.blank({}).submission_id
    shown.screen = candidate_form.screen_of(found or [], statement) or shown.screen
    here = candidate_form.on_screen(shown, statement)
    return visit.show(
        "form",
        status,
        statement=statement,
        said=statement.content,
        headings=consent_text.headings(statement.content),
        sent=shown,
        email=profile.get("email", ""),
        faults=found or [],
        faulty=candidate_form.codes_of(found or []),
        changed=changed,
        here=here,
        screens=len(candidate_form.screens(statement)),
        revealing=data_items.REVEALING,
        ends=visit.ends,
    )


def _language(visit: Visit, sent: Sent | None) -> str:
    if sent is not None and sent.locale in {"ja", "en"}:
        return sent.locale
    return visit.locale


async def _confirm(visit: Visit, statement: Statement, sent: Sent) -> Response:
    """Everything once more, before it counts."""
    profile = data_items.corrected(await visit.profile(), sent.facts)
    application = visit.opened.application
    held = await files_of(visit.db, visit.tools.sealer, visit.opened.candidate)
    documents = {one.kind: one.name for one in held}
    values = {code: in_words(code, profile) for code in statement.item_codes} | documents
    values |= {
        "applied_job_title": application.job_title if application is not None else "",
        "stage_reached": application.stage if application is not None else "",
        "interview_feedback": await visit.feedback(),
        "origin_company_name": visit.opened.company.name,
    }
    return visit.show(
        "confirm",
        statement=statement,
        said=statement.content,
        headings=consent_text.headings(statement.content),
        sent=sent,
        values=values,
        documents=documents,
        chosen=[statement.recipient(agency_id) for agency_id in sent.agencies],
        sensitive=candidate_form.sensitive(sent),
    )


@router.get("/c/{token}/again")
async def ask_again(visit: Link) -> Response:
    """Whoever answered before may answer again: one button, and the form comes by mail."""
    if refused := await visit.refusal(*_ANSWERED):
        return refused
    return visit.show("again")


@router.post("/c/{token}/again")
async def mail_form(visit: Link, process: Process) -> Response:
    """Send the form to the address we hold: an old link in other hands opens nothing."""
    if refused := await visit.refusal(*_ANSWERED, process=process):
        return refused
    opened = visit.opened
    await request_form_link(visit.db, visit.tools, opened.company, opened.candidate, visit.now)
    return visit.show("link_sent")


@router.get("/c/{token}/done")
async def done(visit: Link) -> Response:
    """What was recorded, and what happens next."""
    if refused := await visit.refusal(*_ANSWERED):
        return refused
    held = await my_data(visit.db, visit.opened.candidate)
    standing = [one for one in held if one.stands]
    if visit.stands == "expired" and not held:
        return visit.closed()
    quiet = visit.stands == "declined" and (standing or not held)
    outcome = "declined" if quiet else "given" if standing else "withdrawn"
    return visit.show("done", outcome=outcome, held=my_page.dressed(visit, standing))
