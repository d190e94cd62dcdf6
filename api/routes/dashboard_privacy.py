"""The privacy officer's room: the register of hand-overs, the nightly check, exceptions, people.

Looking changes nothing. An export is a form that is sent: that it left the house is kept.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.deps import Db, Kit, Now
from api.errors import status_of
from api.officer_room import HOME, Done, Officer, PrivacyForm, show, to
from api.page_forms import Refilled
from api.pages import DEFAULT_LOCALE, LOCALES, locale_of, words
from api.register_out import MEDIA, register_file
from api.rooms import day as a_day
from api.rooms import people as names_of_people
from api.routes.candidate_files import as_attachment
from api.routes.dashboard import ApplicationId, Before, names_of
from api.session import SignedIn
from domain.application import Application
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.candidate_file import REASONS
from domain.company import Company
from domain.consent import last_day
from domain.consent_text import headings, said
from domain.errors import Gone, NotFound
from domain.flows.consent import record_guardian as guardians
from domain.flows.consent.append_consent_event import surviving
from domain.flows.consent.record_paper_consent import Paper, paper_statement, record_paper_consent
from domain.flows.office import open_file as files
from domain.flows.office import override_source as sources
from domain.flows.office.export_register import MOST_LINES, export_register
from domain.flows.person.hold import is_held
from domain.guardian import METHODS, GuardianConsent
from domain.ids import is_id, pattern
from domain.import_words import SOURCES
from domain.incident import due_days
from domain.ports import Tools
from domain.sources import allowed_sources, overrides_of
from domain.store import find
from domain.views.files import accesses_of, files_of
from domain.views.ledger_lists import counterparts
from domain.views.people import person_named
from domain.views.privacy import (
    evidence_of,
    exports_of,
    open_incidents,
    people_found,
    waiting,
)
from domain.views.provision_register import PAGE, Wish, count_lines, provision_register
from domain.views.rights import requests_of

router = APIRouter(prefix="/dashboard/privacy", include_in_schema=False)

CandidateId = Annotated[str, Path(pattern=pattern("cnd"))]
FileId = Annotated[str, Path(pattern=pattern("fil"))]
GuardianId = Annotated[str, Path(pattern=pattern("grd"))]
Wording = Annotated[Literal["ja", "en"], Query()]
DayText = Annotated[str, Query(pattern=r"^[0-9-]{0,10}$")]
IdText = Annotated[str, Query(pattern=r"^[a-z0-9_]{0,40}$")]
_USUAL = timedelta(days=90)


@router.get("")
async def room(
    *, request: Request, person: Officer, db: Db, tools: Kit, now: Now, done: Done = ""
) -> Response:
    """How it stands: the last check, incidents with their days, what left the house."""
    return await _room(request, person, db, tools, now, done=done)


async def _room(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, now: datetime, *,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    company = await db.get_one(Company, person.company_id)
    exports, found = await exports_of(db, company.id), await waiting(db, company, now)
    return show(
        request, "privacy", "room", again, done=done,
        waiting=found, check=found.check, exports=exports,
        found=await people_found(db, found.check),
        incidents=await open_incidents(db, company.id),
        days=due_days, today=local_day(now),
        names=await names_of_people(db, tools.sealer, [one.actor for one in exports]),
    )  # fmt: skip


@router.get("/register")
async def register(
    *,
    request: Request,
    person: Officer,
    db: Db,
    now: Now,
    first: DayText = "",
    last: DayText = "",
    agency: IdText = "",
    candidate: IdText = "",
    before: Before = None,
) -> Response:
    """Hand-overs of a period, newest first, without names: those are opened at an export."""
    wish = _wish(first, last, agency, candidate, local_day(now))
    return await _register(request, person, db, wish, before=before)


@router.post("/register/export")
async def export(*, request: Request, person: Officer, db: Db, tools: Kit, now: Now) -> Response:
    """The register as a file with the names. Who took it, and when, is kept."""
    form = await PrivacyForm.read(
        request, "export", "export-first", "first", "last", "agency", "candidate", "form",
    )  # fmt: skip
    values, company_id = form.values, person.company_id or ""
    first, last = form.day("first"), form.day("last")
    if first is None or last is None:
        form.refuse("day_missing")
    elif values["form"] not in MEDIA:
        form.refuse_at("export-form", "form_missing")
    else:
        wish = _narrowed(first, last, values["agency"], values["candidate"])
        await form.run(
            db,
            lambda: export_register(
                db, tools.sealer, company_id, wish, form=values["form"], actor=person.member_id,
                now=now,
            ),
        )  # fmt: skip
    if form.refilled is not None:
        wish = _wish(values["first"], values["last"], values["agency"], values["candidate"],
                     local_day(now))  # fmt: skip
        return await _register(request, person, db, wish, again=form.refilled)
    company = await db.get_one(Company, company_id)
    lang: Any = locale_of(request)
    content = await register_file(
        values["form"], form.result, wish, company=company.name, lang=lang, now=now
    )
    named = f'attachment; filename="provision-register-{wish.first}-{wish.last}.{values["form"]}"'
    return Response(
        content,
        media_type=MEDIA[values["form"]],
        headers={"content-disposition": named, "cache-control": "no-store"},
    )


@router.get("/sources")
async def list_sources(
    *, request: Request, person: Officer, db: Db, tools: Kit, now: Now, done: Done = ""
) -> Response:
    """Sources of applications a contract allows, with its clause."""
    return await _sources(request, person, db, tools, now, done=done)


@router.post("/sources")
async def allow_source(
    *, request: Request, person: Officer, db: Db, tools: Kit, now: Now
) -> Response:
    """A further exception, or a new version of one."""
    form = await PrivacyForm.read(
        request, "source", "source-source",
        "source", "clause", "contract", "effective_on", "ends_on",
    )  # fmt: skip
    values, company_id = form.values, person.company_id or ""
    effective_on, ends_on = form.day("effective_on"), form.day("ends_on")
    if effective_on is None:
        form.refuse_at("source-effective", "day_missing")
    elif values["ends_on"] and ends_on is None:
        form.refuse_at("source-ends", "day_missing")
    else:
        wish = sources.Allowance(
            values["source"], values["clause"], values["contract"], effective_on, ends_on
        )
        await form.run(
            db, lambda: sources.override_source(db, company_id, wish, actor=person.member_id,
                                                now=now)
        )  # fmt: skip
    if form.refilled is None:
        return to("/sources", "source_allowed")
    return await _sources(request, person, db, tools, now, again=form.refilled)


@router.post("/sources/end")
async def end_source(
    *, request: Request, person: Officer, db: Db, tools: Kit, now: Now
) -> Response:
    """An exception ends today."""
    form = await PrivacyForm.read(request, "end", "source-source", "source")
    company_id, yesterday = person.company_id or "", local_day(now) - timedelta(days=1)
    await form.run(
        db,
        lambda: sources.end_override(
            db, company_id, form.values["source"], yesterday, actor=person.member_id, now=now
        ),
    )
    if form.refilled is None:
        return to("/sources", "source_ended")
    return await _sources(request, person, db, tools, now, again=form.refilled)


@router.post("/people")
async def find_person(
    *, request: Request, person: Officer, db: Db, tools: Kit, now: Now
) -> Response:
    """To the page of a person, by a number or the mail address; sent, so that no URL names it."""
    form = await PrivacyForm.read(request, "find", "find-person", "person")
    found = await person_named(db, tools.sealer, person.company_id or "", form.values["person"])
    if found is not None:
        return RedirectResponse(f"{HOME}/people/{(await surviving(db, found)).id}", 303)
    form.refuse("person_unknown")
    return await _room(request, person, db, tools, now, again=form.refilled)


@router.get("/people/{candidate_id}")
async def one_person(
    *, candidate_id: CandidateId, request: Request, person: Officer, db: Db, tools: Kit,
    done: Done = "",
) -> Response:  # fmt: skip
    """One person: documents, guardian, what they said to hand-overs, and what was handed over."""
    return await _person(request, person, db, tools, candidate_id, done=done)


@router.post("/people/{candidate_id}/guardian")
async def record_guardian(
    *, candidate_id: CandidateId, request: Request, person: Officer, db: Db, tools: Kit, now: Now
) -> Response:
    """A guardian agreed, on paper or on a recorded call."""
    form = await PrivacyForm.read(
        request, "guardian", "guardian-name", "name", "relation", "document", "method",
    )  # fmt: skip
    values = form.values
    guardian = guardians.Guardian(values["name"], values["relation"], values["document"])

    async def act() -> GuardianConsent:
        return await guardians.record_guardian(
            db, tools.sealer, person.company_id or "", candidate_id, guardian,
            method=values["method"], actor=person.member_id, now=now,
        )  # fmt: skip

    try:
        await form.run(db, act)
    except Gone as refusal:
        form.refuse(refusal.code, status_of(refusal))
    if form.refilled is None:
        return to(f"/people/{candidate_id}", "guardian_recorded")
    return await _person(request, person, db, tools, candidate_id, again=form.refilled)


@router.post("/people/{candidate_id}/guardian/{guardian_id}/revoke")
async def revoke_guardian(
    *, candidate_id: CandidateId, guardian_id: GuardianId, request: Request, person: Officer,
    db: Db, tools: Kit, now: Now,
) -> Response:  # fmt: skip
    """The guardian takes it back: what stood on it ends."""
    company_id = person.company_id or ""
    row = await find(db, GuardianConsent, company_id, guardian_id)
    if row is None:
        raise NotFound
    owner = await db.get_one(Candidate, (company_id, row.candidate_id))
    if candidate_id not in {owner.id, (await surviving(db, owner)).id}:
        raise NotFound
    form = await PrivacyForm.read(request, "revoke", "revoke", "sure")
    if form.values["sure"] != "yes":
        form.refuse_at("revoke", "not_sure")
        return await _person(request, person, db, tools, candidate_id, again=form.refilled)
    await guardians.revoke_guardian(
        db, tools, company_id, guardian_id, actor=person.member_id, now=now
    )
    return to(f"/people/{candidate_id}", "guardian_revoked")


@router.post("/people/{candidate_id}/files/{file_id}")
async def open_file(
    *, candidate_id: CandidateId, file_id: FileId, request: Request, person: Officer, db: Db,
    tools: Kit, now: Now,
) -> Response:  # fmt: skip
    """A document of the person, for a reason; the person sees who opened it, when and why."""
    form = await PrivacyForm.read(request, "file", f"reason-{file_id}", "reason")
    try:
        await form.run(
            db,
            lambda: files.open_file(
                db, tools, person.company_id or "", candidate_id, file_id,
                reason=form.values["reason"], actor=person.member_id, now=now,
            ),
        )  # fmt: skip
    except Gone as refusal:
        form.refuse(refusal.code, status_of(refusal))
    if form.refilled is None:
        return as_attachment(form.result)
    return await _person(request, person, db, tools, candidate_id, again=form.refilled)


@router.get("/people/{candidate_id}/paper/{application_id}")
async def print_paper(
    *, candidate_id: CandidateId, application_id: ApplicationId, request: Request, person: Officer,
    db: Db, tools: Kit, now: Now, wording: Wording = "ja",
) -> Response:  # fmt: skip
    """The statement to print and have signed, and below it the form to record what was signed."""
    return await _paper(
        request, person, db, tools, now, ids=(candidate_id, application_id), wording=wording
    )


@router.post("/people/{candidate_id}/paper/{application_id}")
async def record_paper(
    *, candidate_id: CandidateId, application_id: ApplicationId, request: Request, person: Officer,
    db: Db, tools: Kit, now: Now,
) -> Response:  # fmt: skip
    """The person signed: record it as evidence, with the number the paper is filed under."""
    form = await PrivacyForm.read(
        request, "paper", "paper-filed", "filed_as", "text", "signed", "wording"
    )
    given = await request.form()
    choices = {
        str(one): [str(item) for item in given.getlist(f"items.{one}")]
        for one in given.getlist("agency")
    }
    wording = form.values["wording"] if form.values["wording"] in LOCALES else DEFAULT_LOCALE
    paper = Paper(form.values["filed_as"], form.values["text"], choices)
    if form.values["signed"] != "yes":
        form.refuse_at("paper-signed", "not_signed")
    else:
        try:
            await form.run(
                db,
                lambda: record_paper_consent(
                    db, tools, person.company_id or "", application_id, paper,
                    actor=person.member_id, now=now, locale=wording,
                ),
            )  # fmt: skip
        except Gone as refusal:
            form.refuse(refusal.code, status_of(refusal))
    if form.refilled is None:
        return to(f"/people/{candidate_id}", "paper_recorded")
    return await _paper(
        request, person, db, tools, now, ids=(candidate_id, application_id), wording=wording,
        ticked=choices, again=form.refilled,
    )  # fmt: skip


async def _paper(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, now: datetime, *,
    ids: tuple[str, str], wording: str, ticked: Mapping[str, Sequence[str]] | None = None,
    again: Refilled | None = None,
) -> Response:  # fmt: skip
    candidate_id, application_id = ids
    company = await db.get_one(Company, person.company_id)
    application = await find(db, Application, company.id, application_id)
    if application is None or application.candidate_id != candidate_id:
        raise NotFound
    statement = await paper_statement(db, tools, company, application, now, locale=wording)
    names = await names_of(db, tools, company.id, [application])
    return show(
        request, "privacy", "paper", again,
        application=application, candidate_id=candidate_id, name=names.get(candidate_id),
        statement=statement, content=statement.content, headings=headings(statement.content),
        said=said, wording=wording, wordings=LOCALES, w=words(wording), ticked=ticked or {},
    )  # fmt: skip


async def _register(
    request: Request, person: SignedIn, db: AsyncSession, wish: Wish, *,
    before: str | None = None, again: Refilled | None = None,
) -> Response:  # fmt: skip
    company_id = person.company_id or ""
    rows = await provision_register(db, company_id, wish, before=before)
    return show(
        request, "privacy", "register", again,
        rows=rows, wish=wish, count=await count_lines(db, company_id, wish), most=MOST_LINES,
        agencies=await counterparts(db, "company", company_id), forms=list(MEDIA),
        following=rows[-1].id if len(rows) == PAGE else None,
    )  # fmt: skip


async def _sources(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, now: datetime, *,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    company = await db.get_one(Company, person.company_id)
    rows = await overrides_of(db, company.id)
    today = local_day(now)
    return show(
        request, "privacy", "sources", again, done=done,
        rows=rows, company=company, today=today,
        choices=[one for one in SOURCES if one not in company.allowed_sources],
        allowed=await allowed_sources(db, company, today),
        newest={one.source: one.created_at for one in reversed(rows)},
        names=await names_of_people(db, tools.sealer, [one.set_by for one in rows]),
    )  # fmt: skip


async def _person(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, candidate_id: str, *,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    company_id = person.company_id or ""
    candidate = await find(db, Candidate, company_id, candidate_id)
    if candidate is None:
        raise NotFound
    wanted = select(Application).where(
        col(Application.company_id) == company_id, col(Application.candidate_id) == candidate_id
    )
    applications = (await db.scalars(wanted.order_by(col(Application.id).desc()))).all()
    standing = await guardians.guardian_of(db, candidate)
    wish = Wish(date(2000, 1, 1), date(2199, 12, 31), candidate_id=candidate_id)
    names = await names_of(db, tools, company_id, applications)
    readings = await accesses_of(db, candidate)
    return show(
        request, "privacy", "person", again, done=done,
        files=await files_of(db, tools.sealer, candidate), reasons=REASONS, readings=readings,
        readers=await names_of_people(db, tools.sealer, [one.actor for one in readings]),
        evidence=await evidence_of(db, candidate), last_day=last_day,
        agencies=await counterparts(db, "company", company_id),
        candidate=candidate, applications=applications, methods=METHODS,
        name=names.get(candidate_id),
        minor=any(one.applicant_type == "minor" for one in applications),
        standing=standing, guardian=await _facts(db, tools, standing),
        rows=await provision_register(db, company_id, wish),
        requests=await requests_of(db, candidate), held=await is_held(db, candidate),
    )  # fmt: skip


async def _facts(
    db: AsyncSession, tools: Tools, row: GuardianConsent | None
) -> guardians.Guardian | None:
    """What was noted of a guardian; nothing once the record's key is gone."""
    if row is None:
        return None
    try:
        return await guardians.guardian_facts(db, tools.sealer, row)
    except Gone:
        return None


def _wish(first: str, last: str, agency: str, candidate: str, today: date) -> Wish:
    """What was asked for; the last ninety days where the days are missing or no period."""
    begins, ends = a_day(first), a_day(last)
    ends = ends or today
    begins = begins or ends - _USUAL
    if begins > ends:
        begins, ends = ends, begins
    return _narrowed(begins, ends, agency, candidate)


def _narrowed(first: date, last: date, agency: str, candidate: str) -> Wish:
    return Wish(
        first, last,
        agency_id=agency if is_id(agency, "agy") else None,
        candidate_id=candidate if is_id(candidate, "cnd") else None,
    )  # fmt: skip
