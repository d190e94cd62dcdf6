"""HR's side of persons' requests: the queue with its days, answers, and legal holds.

Looking changes nothing. What a person wrote is opened for whoever answers, and for nobody else.
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import candidate_form
from api.data_pdf import laid_out
from api.deps import Db, Kit, Now
from api.errors import status_of
from api.officer_room import Handler, Officer, RightsForm, show, to
from api.page_forms import Fault, Refilled
from api.pages import locale_of
from api.rooms import people as names_of_members
from api.routes.dashboard import Before, Done, names_of
from api.session import SignedIn
from domain import vault
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.errors import Gone, NotFound
from domain.flows.consent.append_consent_event import surviving
from domain.flows.person import hold as holds
from domain.flows.person.answer_rights_request import answer_request, words_of
from domain.flows.person.correct_profile import correct_profile
from domain.flows.person.open_rights_request import open_request, verify
from domain.ids import pattern
from domain.ports import Tools
from domain.rights_request import CHANNELS, IDENTITY, KINDS, OPEN, RESULTS, RightsRequest
from domain.store import find
from domain.views import dashboard as view
from domain.views.people import person_named
from domain.views.rights import PAGE, Which, disclosure, queue
from integrations.pdf import render

router = APIRouter(prefix="/dashboard/privacy", include_in_schema=False)

RequestId = Annotated[str, Path(pattern=pattern("rrq"))]
HoldId = Annotated[str, Path(pattern=pattern("hld"))]
Person = Annotated[str, Query(pattern=f"{pattern('cnd')}|^$")]
_DONE = frozenset({"granted", "partly"})
DISCLOSES = frozenset({"disclosure", "disclosure_provision_records"})
RECORDED = tuple(channel for channel in CHANNELS if channel != "my_page")


@router.get("/requests")
async def list_requests(
    *,
    request: Request,
    person: Handler,
    db: Db,
    tools: Kit,
    now: Now,
    which: Which = "open",
    before: Before = None,
    done: Done = "",
) -> Response:
    """Open requests, the one due first on top; or those that were answered."""
    company_id = person.company_id or ""
    rows = await queue(db, company_id, which, before=before)
    return show(
        request, "rights", "requests",
        rows=rows, which=which, today=local_day(now), done=done,
        names=await names_of(db, tools, company_id, rows),
        following=rows[-1].id if which == "done" and len(rows) == PAGE else None,
    )  # fmt: skip


@router.get("/requests/new")
async def new_request(
    *, request: Request, person: Handler, db: Db, tools: Kit, candidate: Person = ""
) -> Response:
    """The form for what came by mail, by phone or on paper."""
    return await _new(request, person, db, tools, candidate)


@router.post("/requests")
async def record_request(
    *, request: Request, person: Handler, db: Db, tools: Kit, now: Now
) -> Response:
    """Note what a person asked in another way. Its clock runs from now."""
    form = await RightsForm.read(
        request, "request", "request-kind",
        "candidate", "kind", "channel", "words", "identity", "submission_id",
    )  # fmt: skip
    values, company_id = form.values, person.company_id or ""
    there = await _person(db, tools, company_id, values["candidate"])
    if there is None:
        form.control = "request-candidate"
        form.refuse("person_unknown")
    elif values["channel"] not in RECORDED:
        form.control = "request-channel"
        form.refuse("channel_unknown")
    else:
        subject = there
        await _run(
            form, db,
            lambda: open_request(
                db, tools, subject, values["kind"], words=values["words"],
                channel=values["channel"], identity_check=values["identity"] or None,
                submission_id=values["submission_id"] or None, now=now,
            ),
        )  # fmt: skip
    if form.refilled is None:
        return to(f"/requests/{form.result.id}", "recorded")
    return await _new(request, person, db, tools, values["candidate"], again=form.refilled)


@router.get("/requests/{request_id}")
async def one_request(
    *, request_id: RequestId, request: Request, person: Handler, db: Db, tools: Kit, now: Now,
    done: Done = "",
) -> Response:  # fmt: skip
    """One request: what was asked, by when, and how it was answered."""
    return await _one(request, person, db, tools, request_id, now=now, done=done)


@router.post("/requests/{request_id}/verify")
async def recognise(
    *, request_id: RequestId, request: Request, person: Handler, db: Db, tools: Kit, now: Now
) -> Response:
    """It is made sure who asks: what was asked to stop stops now."""
    form = await RightsForm.read(request, "verify", "verify-identity", "identity")
    company_id = person.company_id or ""
    await _run(
        form, db,
        lambda: verify(
            db, tools, company_id, request_id, identity_check=form.values["identity"], now=now
        ),
    )  # fmt: skip
    if form.refilled is None:
        return to(f"/requests/{request_id}", "verified")
    return await _one(request, person, db, tools, request_id, now=now, again=form.refilled)


@router.post("/requests/{request_id}/answer")
async def answer(
    *, request_id: RequestId, request: Request, person: Handler, db: Db, tools: Kit, now: Now
) -> Response:
    """Answer it, for good; a refusal says why."""
    form = await RightsForm.read(
        request, "answer", "answer-result", "result", "reason", "answer", "channel", "sure",
    )  # fmt: skip
    values, company_id = form.values, person.company_id or ""
    row, _ = await _both(db, company_id, request_id)
    if row.kind == "erase" and values["result"] in _DONE and values["sure"] != "yes":
        form.control = "answer-sure"
        form.refuse("not_sure")
        return await _one(request, person, db, tools, request_id, now=now, again=form.refilled)
    digest = await _digest(db, tools, company_id, request_id, now)
    await _run(
        form, db,
        lambda: answer_request(
            db, tools, company_id, request_id, result=values["result"], reason=values["reason"],
            answer=values["answer"], channel=values["channel"], actor=person.member_id, now=now,
            content_sha256=digest if values["result"] in _DONE else None,
        ),
        {"reason_missing": "answer-reason", "channel_unknown": "answer-channel",
         "answer_missing": "answer-words"},
    )  # fmt: skip
    if form.refilled is None:
        return to(f"/requests/{request_id}", "answered")
    return await _one(request, person, db, tools, request_id, now=now, again=form.refilled)


@router.post("/requests/{request_id}/correct")
async def correct(
    *, request_id: RequestId, request: Request, person: Handler, db: Db, tools: Kit, now: Now
) -> Response:
    """Put right what was found to be wrong; agencies that were handed it are told (34)."""
    row, there = await _both(db, person.company_id or "", request_id)
    if row.kind != "correction" or row.state != "verified" or there.erased_at is not None:
        raise NotFound
    facts = candidate_form.read(await request.form())
    held = candidate_form.blank(await vault.profile_of(db, tools.sealer, there))
    faults = candidate_form.fact_faults(facts, held.facts)
    if faults:
        again = Refilled(
            [
                Fault("correct", f"correct-{one.control}", one.code, areas=("candidate",))
                for one in faults
            ],
            {f"correct.{code}": value for code, value in facts.facts.items()}, 422,
        )  # fmt: skip
        return await _one(request, person, db, tools, request_id, now=now, again=again)
    items = await correct_profile(db, tools, there, facts.facts, now)
    return to(f"/requests/{request_id}", "corrected" if items else "unchanged")


@router.get("/requests/{request_id}/document.pdf")
async def document(
    *, request_id: RequestId, request: Request, person: Handler, db: Db, tools: Kit, now: Now
) -> Response:
    """What is disclosed, made for printing: to be handed over where no mail reaches the person."""
    row, there = await _both(db, person.company_id or "", request_id)
    if row.kind not in DISCLOSES or row.state == "received" or there.erased_at is not None:
        raise NotFound
    company = await db.get_one(Company, row.company_id)
    content = await disclosure(db, tools.sealer, company, there, now)
    drawn = await asyncio.to_thread(render, laid_out(content, locale_of(request), now))
    headers = {
        "content-disposition": f'attachment; filename="{row.id}.pdf"', "cache-control": "no-store",
    }  # fmt: skip
    return Response(drawn, media_type="application/pdf", headers=headers)


@router.get("/holds")
async def list_holds(
    *, request: Request, person: Officer, db: Db, tools: Kit, candidate: Person = "",
    done: Done = "",
) -> Response:  # fmt: skip
    """Whose data must not be erased, why, and who said so."""
    return await _holds(request, person, db, tools, candidate=candidate, done=done)


@router.post("/holds")
async def set_hold(*, request: Request, person: Officer, db: Db, tools: Kit, now: Now) -> Response:
    """Let nothing of a person be erased, by nobody and no clock."""
    form = await RightsForm.read(request, "hold", "hold-reason", "candidate", "reason")
    values = form.values
    there = await _person(db, tools, person.company_id or "", values["candidate"])
    if there is None:
        form.control = "hold-candidate"
        form.refuse("person_unknown")
    else:
        subject = there
        await _run(
            form, db,
            lambda: holds.hold(
                db, tools, subject, reason=values["reason"], actor=person.member_id, now=now
            ),
        )  # fmt: skip
    if form.refilled is None:
        return to("/holds", "held")
    return await _holds(request, person, db, tools, candidate="", again=form.refilled)


@router.post("/holds/{hold_id}/release")
async def release_hold(
    *, hold_id: HoldId, request: Request, person: Officer, db: Db, tools: Kit, now: Now
) -> Response:
    """The reason is gone: what is due is erased soon."""
    form = await RightsForm.read(request, f"release-{hold_id}", f"sure-{hold_id}", "sure")
    company_id = person.company_id or ""
    if form.values["sure"] != "yes":
        form.refuse("not_sure")
    else:
        await _run(
            form, db,
            lambda: holds.release(db, company_id, hold_id, actor=person.member_id, now=now),
        )  # fmt: skip
    if form.refilled is None:
        return to("/holds", "released")
    return await _holds(request, person, db, tools, candidate="", again=form.refilled)


async def _run(
    form: RightsForm, db: AsyncSession, act: Any, controls: dict[str, str] | None = None
) -> None:
    """Do it; a person who was erased meanwhile is a fault of the form, too."""
    try:
        await form.run(db, act)
    except Gone as refusal:
        form.refuse(refusal.code, status_of(refusal))
    if form.refilled is not None and controls:
        code = form.refilled.faults[0].code
        if code in controls:
            form.control = controls[code]
            form.refuse(code, form.refilled.status)


async def _new(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, candidate: str, *,
    again: Refilled | None = None,
) -> Response:  # fmt: skip
    company_id = person.company_id or ""
    there = await _person(db, tools, company_id, candidate)
    return show(
        request, "rights", "new", again,
        candidate=there.id if there is not None else candidate,
        name=await _name(db, tools, there),
        kinds=KINDS, channels=RECORDED, identities=[one for one in IDENTITY if "code" not in one],
    )  # fmt: skip


async def _one(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, request_id: str, *,
    now: datetime, done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    row, there = await _both(db, person.company_id or "", request_id)
    actors = [row.answered_by] if row.answered_by else []
    corrects = row.kind == "correction" and row.state == "verified" and there.erased_at is None
    return show(
        request, "rights", "request", again, done=done,
        row=row, there=there, said=await words_of(db, tools, row), today=local_day(now),
        name=await _name(db, tools, there), is_open=row.state in OPEN,
        held=await holds.is_held(db, there),
        discloses=row.kind in DISCLOSES and row.state != "received" and there.erased_at is None,
        facts=await _facts(db, tools, there) if corrects else None,
        results=RESULTS if row.state == "verified" else ("refused",),
        channels=CHANNELS, identities=[one for one in IDENTITY if "code" not in one],
        members=await names_of_members(db, tools.sealer, actors),
    )  # fmt: skip


async def _holds(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, *, candidate: str,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    company_id = person.company_id or ""
    rows = await holds.holds_of(db, company_id)
    actors = [actor for row in rows for actor in (row.set_by, row.released_by) if actor]
    return show(
        request, "rights", "holds", again, done=done,
        rows=rows, candidate=candidate,
        name=await _name(db, tools, await _person(db, tools, company_id, candidate)),
        reasons={row.id: await holds.reason_of(db, tools.sealer, row) for row in rows},
        names=await names_of(db, tools, company_id, rows),
        members=await names_of_members(db, tools.sealer, actors),
    )  # fmt: skip


async def _digest(
    db: AsyncSession, tools: Tools, company_id: str, request_id: str, now: datetime
) -> str | None:
    """What is disclosed, by its SHA-256: every copy of it names the same one."""
    row, there = await _both(db, company_id, request_id)
    if row.kind not in DISCLOSES or there.erased_at is not None:
        return None
    company = await db.get_one(Company, company_id)
    content = await disclosure(db, tools.sealer, company, there, now)
    return str(content["content_sha256"])


async def _both(
    db: AsyncSession, company_id: str, request_id: str
) -> tuple[RightsRequest, Candidate]:
    """The request, and the record the person has today."""
    row = await find(db, RightsRequest, company_id, request_id)
    if row is None:
        raise NotFound
    there = await db.get_one(Candidate, (company_id, row.candidate_id))
    return row, await surviving(db, there)


async def _facts(db: AsyncSession, tools: Tools, there: Candidate) -> dict[str, str]:
    """What may be put right here, as we hold it."""
    return candidate_form.blank(await vault.profile_of(db, tools.sealer, there)).facts


async def _person(db: AsyncSession, tools: Tools, company_id: str, said: str) -> Candidate | None:
    found = await person_named(db, tools.sealer, company_id, said) if said else None
    return await surviving(db, found) if found is not None else None


async def _name(db: AsyncSession, tools: Tools, there: Candidate | None) -> str | None:
    if there is None:
        return None
    return (await view.names(db, tools.sealer, there.company_id, [there.id])).get(there.id)
