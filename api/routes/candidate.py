"""The candidate's pages behind a link in a mail. Opening them changes nothing; only a POST does."""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import candidate_form, session
from api.candidate_form import Sent
from api.deps import Db, Kit, Now, Process
from api.pages import locale_of, page
from api.runtime import Runtime
from domain import consent_text, data_items, vault
from domain.business_days import JST, local_day, long_date
from domain.consent import last_day
from domain.consent_text import Statement
from domain.errors import Gone, Invalid, NotFound
from domain.flows import record_consent, request_link
from domain.flows.ask_candidate import may_be_asked, stop_asking
from domain.flows.change_person import delete
from domain.flows.open_candidate_link import Opened, agencies_offered, open_candidate_link
from domain.flows.withdraw_consent import withdraw
from domain.ports import Tools
from domain.views import consent_receipt
from domain.views.my_data import Held, my_data

router = APIRouter(include_in_schema=False)
NEVER_KEPT = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}


class Visit:
    """One request by whoever holds a link."""

    def __init__(
        self,
        request: Request,
        db: AsyncSession,
        tools: Tools,
        *,
        now: datetime,
        opened: Opened | None,
    ) -> None:
        self.request, self.db, self.tools, self.now = request, db, tools, now
        self.token = request.path_params["token"]
        self.stands = opened.stands(now) if opened is not None else "unknown"
        self._opened = opened

    @property
    def opened(self) -> Opened:
        """What the link leads to; only for links we gave out."""
        if self._opened is None:
            raise NotFound
        return self._opened

    async def refusal(self, *stands: str, process: Runtime | None = None) -> Response | None:
        """The page to show instead, unless the link stands so; a form must come from our page."""
        if self.stands not in stands:
            return self.closed()
        if process is None:
            return None
        try:
            await session.check_form(self.request, process.settings, self.csrf)
        except HTTPException:
            return self.stale()
        return None

    @property
    def csrf(self) -> str:
        """The hidden word of this link's forms: only somebody who has seen the page knows it."""
        return self.tools.sealer.blind("form", self.opened.link.id).hex()

    @property
    def locale(self) -> str:
        """The reader's language."""
        return locale_of(self.request)

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of this link, never kept by a browser or a proxy."""
        company = self.opened.company
        made = page(
            self.request,
            f"candidate/{template}.html",
            status=status,
            token=self.token,
            csrf=self.csrf,
            company=consent_text.named(company, self.locale),
            privacy_contact=company.privacy_contact,
            slug=company.slug,
            **values,
        )
        return guarded(made)

    def back(self, where: str = "") -> Response:
        """Off to another page of the same link (303: a GET that changes nothing)."""
        return guarded(RedirectResponse(f"/c/{self.token}{where}", 303))

    def closed(self) -> Response:
        """A kind page for a link that has served its turn: what happened, what to do now.

        A link that is good for something else leads there.
        """
        if self._opened is None:
            return guarded(page(self.request, "candidate/unknown.html", status=404))
        if self.stands in {"form", "my_page"}:
            return self.back()
        return self.show("closed", 410, why=self.stands)

    def stale(self) -> Response:
        """The form was not sent from this link's page, or says what that page never offered."""
        return self.show("stale", 403)

    def no_agency(self) -> Response:
        """There is nobody to hand anything over to: nothing to decide."""
        return self.show("closed", 410, why="no_agency")

    @property
    def ends(self) -> str:
        """The last day to answer, in words."""
        invitation = self.opened.invitation
        if invitation is None:
            return ""
        return long_date(last_day(invitation.expires_at), self.locale)

    async def statement(self, locale: str) -> Statement | None:
        """What this person reads today; null when there is no agency to choose."""
        agencies = await agencies_offered(self.db, self.opened.company, self.now)
        if not agencies or self.opened.application is None:
            return None
        items = data_items.offered(
            await self.profile(),
            job_title=self.opened.application.job_title,
            stage=self.opened.application.stage,
        )
        return consent_text.build(self.opened.company, agencies, items, locale)

    async def profile(self) -> dict[str, Any]:
        """What we hold about the person."""
        return await vault.profile_of(self.db, self.tools.sealer, self.opened.candidate)


def guarded(response: Response) -> Response:
    """No cache, no referrer, no index: the address itself is a key."""
    for name, value in NEVER_KEPT.items():
        response.headers[name] = value
    return response


async def _visit(token: str, request: Request, db: Db, *, tools: Kit, now: Now) -> Visit:
    opened = await open_candidate_link(db, token)
    return Visit(request, db, tools, now=now, opened=opened)


Link = Annotated[Visit, Depends(_visit)]


@router.get("/c/{token}")
async def open_link(visit: Link) -> Response:
    """The form, the person's own page, or what became of the link."""
    if visit.stands == "my_page":
        return await _my_page(visit)
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
    found = candidate_form.faults(sent, statement)
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
    except Gone:
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


def _answer(visit: Visit, sent: Sent) -> record_consent.Answer:
    client = visit.request.client
    return record_consent.Answer(
        submission_id=sent.submission_id,
        choices=sent.choices,
        followup=sent.followup,
        corrections=sent.facts,
        address=client.host if client is not None else "",
        user_agent=visit.request.headers.get("user-agent", ""),
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
    values = {code: data_items.value_of(code, profile) for code in statement.item_codes}
    values |= {
        "applied_job_title": application.job_title if application is not None else "",
        "stage_reached": application.stage if application is not None else "",
        "origin_company_name": visit.opened.company.name,
    }
    return visit.show(
        "confirm",
        statement=statement,
        said=statement.content,
        headings=consent_text.headings(statement.content),
        sent=sent,
        values=values,
        chosen=[statement.recipient(agency_id) for agency_id in sent.agencies],
        labels={item["code"]: item["label"] for item in statement.content["data_items"]},
    )


@router.get("/c/{token}/done")
async def done(visit: Link) -> Response:
    """What was recorded, and what happens next."""
    if refused := await visit.refusal("answered", "declined", "my_page"):
        return refused
    held = await my_data(visit.db, visit.opened.candidate)
    standing = [one for one in held if one.stands]
    outcome = "declined" if visit.stands == "declined" else "given" if standing else "withdrawn"
    return visit.show("done", outcome=outcome, held=_dressed(visit, standing))


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
    return _file(content, "consent-receipt.json")


@router.get("/c/{token}/data.json")
async def data(visit: Link) -> Response:
    """Everything we hold about the person, in one file."""
    if refused := await visit.refusal("my_page"):
        return refused
    opened = visit.opened
    content = await consent_receipt.everything(
        visit.db, opened.company, opened.candidate, await visit.profile(), visit.now
    )
    return _file(content, "my-data.json")


async def _my_page(visit: Visit) -> Response:
    """Where is my data: who may have it, who got it, who has been asked to stop."""
    held = await my_data(visit.db, visit.opened.candidate)
    profile = await visit.profile()
    return visit.show(
        "my_page",
        name=data_items.full_name(profile),
        held=_dressed(visit, held),
        standing=[one.agency_id for one in held if one.stands],
        withdrawn="withdrawn" in visit.request.query_params,
        followup=await may_be_asked(visit.db, visit.opened.candidate),
        unasked="unasked" in visit.request.query_params,
    )


def _dressed(visit: Visit, held: list[Held]) -> list[dict[str, Any]]:
    """Dates and items in the reader's language."""
    return [
        {
            "agency_id": one.agency_id,
            "name": one.name if visit.locale == "ja" else one.name_en or one.name,
            "privacy_url": one.privacy_url,
            "contact_days": one.contact_days,
            "state": one.state,
            "stands": one.stands,
            "items": _labels(one.items, visit.locale),
            "given_on": _day(one.given_at, visit.locale),
            "last_day": long_date(last_day(one.expires_at), visit.locale),
            "withdrawn_on": _day(one.withdrawn_at, visit.locale),
            "not_before": _moment(one.provision_not_before, visit.locale),
            "waits": visit.now < one.provision_not_before,
            "relay": one.relay_state,
            "provisions": [
                {
                    "items": _labels(given.items, visit.locale),
                    "first": _moment(given.provided_at, visit.locale),
                    "last": _moment(given.last_provided_at, visit.locale),
                }
                for given in one.provisions
            ],
            "stops": [
                {
                    "kind": stop.kind,
                    "state": stop.state,
                    "answer": stop.answer,
                    "asked_on": _day(stop.created_at, visit.locale),
                    "due_on": long_date(stop.due_on, visit.locale),
                    "answered_on": _day(stop.acknowledged_at, visit.locale),
                }
                for stop in one.stops
            ],
        }
        for one in held
    ]


def _labels(codes: list[str], locale: str) -> list[str]:
    return [data_items.label(code, locale) for code in codes]


def _day(moment: datetime | None, locale: str) -> str:
    return long_date(local_day(moment), locale) if moment is not None else ""


def _moment(moment: datetime, locale: str) -> str:
    return f"{_day(moment, locale)} {moment.astimezone(JST):%H:%M}"


def _file(content: dict[str, Any], name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return guarded(JSONResponse(content, headers=headers))
