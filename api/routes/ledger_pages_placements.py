"""An agency's pages about who has started: report it, correct it, and attest month by month."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.deps import Db, Kit, Now
from api.page_forms import Refilled
from api.pages import locale_of
from api.rooms import ROOMS, Before, Done, LedgerForm, day
from api.session import SignedIn
from domain.access import relay_of_agency
from domain.business_days import local_day
from domain.duty import Attestation
from domain.flows.earn import correct_placement as correct
from domain.flows.earn.attest import attest, manager_of
from domain.flows.earn.report_placement import Start, report_placement
from domain.flows.relay.answer_relay import say_unchanged
from domain.ids import pattern
from domain.month import Month
from domain.placement import EMPLOYMENT_TERMS, Placement, PlacementReport
from domain.ports import Tools
from domain.relay import Relay, is_open
from domain.views import ledger_lists as view

router = APIRouter(prefix="/agency", include_in_schema=False)

_, AGENCY = ROOMS
Person = Annotated[SignedIn, AGENCY.reader]
RelayId = Annotated[str, Path(pattern=pattern("rly"))]
PlacementId = Annotated[str, Path(pattern=pattern("plc"))]
MonthName = Annotated[str, Path(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$")]
_REASONS = ("correction", "postponed", "cancelled", "wrong_person", "other")
_MOST_MONTHS = 60
_LONGEST_NAME = 200


@router.get("/placements")
async def list_placements(
    *, request: Request, person: Person, db: Db, now: Now, before: Before = None
) -> Response:
    """Who has started, and the open introductions about which a word is due."""
    agency_id = await AGENCY.enter(db, person)
    rows = await view.placements(db, agency_id, before=before)
    return AGENCY.page(
        request, person, "placements", Refilled(),
        rows=rows, at_work=await view.at_work(db, agency_id), today=local_day(now),
        following=rows[-1].id if len(rows) == view.PAGE else None,
    )  # fmt: skip


@router.get("/relays/{relay_id}")
async def read_relay(
    *, relay_id: RelayId, request: Request, person: Person, db: Db, now: Now, done: Done = ""
) -> Response:
    """One introduction: where it stands, and the form to report a start."""
    return await _relay_page(request, person, db, relay_id, now, done=done)


@router.post("/relays/{relay_id}/unchanged")
async def nothing_new(
    *, relay_id: RelayId, request: Request, person: Person, db: Db, now: Now
) -> Response:
    """Nothing new, still at work on it."""
    form = await LedgerForm.read(request, "unchanged", "unchanged")
    await form.run(
        db,
        lambda: say_unchanged(
            db, person.agency_id or "", relay_id, actor=person.member_id, now=now
        ),
    )
    return await _to_relay(request, person, db, relay_id, now, form, "word_given")


@router.post("/relays/{relay_id}/placement")
async def report(
    *, relay_id: RelayId, request: Request, person: Person, db: Db, tools: Kit, now: Now
) -> Response:
    """The person has started, or will on a day ahead."""
    form = await LedgerForm.read(
        request, "start", "start-day", "started_on", "employment_term", "attestation", "preview"
    )
    values, started_on = form.values, day(form.values["started_on"])
    if started_on is None:
        form.refuse("started_on_missing")
    elif values["employment_term"] not in EMPLOYMENT_TERMS:
        form.control = "start-term"
        form.refuse("term_missing")
    elif values["attestation"] != "yes":
        form.control = "start-attestation"
        form.refuse("attestation_required")
    else:
        start = Start(started_on, values["employment_term"], True, person.member_id)
        await form.run(
            db,
            lambda: report_placement(db, tools, person.agency_id or "", relay_id, start, now=now),
        )
    if form.refilled is None:
        return AGENCY.to(f"/placements/{form.result.id}", "placement_reported")
    return await _relay_page(request, person, db, relay_id, now, again=form.refilled)


@router.get("/placements/{placement_id}")
async def read_placement(
    *, placement_id: PlacementId, request: Request, person: Person, db: Db, now: Now,
    done: Done = "",
) -> Response:  # fmt: skip
    """One placement with its history, and what can still be said about it."""
    return await _placement_page(request, person, db, placement_id, now, done=done)


@router.post("/placements/{placement_id}/corrections")
async def correct_report(
    *, placement_id: PlacementId, request: Request, person: Person, db: Db, tools: Kit, now: Now
) -> Response:
    """The first day or the contract was another one."""
    form = await LedgerForm.read(
        request, "correct", "correct-day", "started_on", "employment_term", "reason", "preview"
    )
    values, started_on = form.values, day(form.values["started_on"])
    if started_on is None:
        form.refuse("started_on_missing")
    elif values["employment_term"] not in EMPLOYMENT_TERMS or values["reason"] not in _REASONS:
        form.control = "correct-reason"
        form.refuse("reason_missing")
    else:
        facts = correct.Correction(started_on, values["employment_term"], values["reason"])
        await _run(form, db, lambda agency_id: correct.correct_placement(
            db, tools, agency_id, placement_id, facts, actor=person.member_id, now=now
        ), person)  # fmt: skip
    return await _to_placement(request, person, db, placement_id, now, form, "placement_corrected")


@router.post("/placements/{placement_id}/early-leave")
async def leave_early(
    *, placement_id: PlacementId, request: Request, person: Person, db: Db, tools: Kit, now: Now
) -> Response:
    """The person left inside the guarantee."""
    form = await LedgerForm.read(request, "leave", "leave-day", "last_day_employed", "preview")
    last = day(form.values["last_day_employed"])
    if last is None:
        form.refuse("last_day_missing")
    else:
        await _run(form, db, lambda agency_id: correct.report_early_leave(
            db, tools, agency_id, placement_id, last, actor=person.member_id, now=now
        ), person)  # fmt: skip
    return await _to_placement(request, person, db, placement_id, now, form, "leave_reported")


@router.post("/placements/{placement_id}/leave-corrections")
async def correct_leave(
    *, placement_id: PlacementId, request: Request, person: Person, db: Db, tools: Kit, now: Now
) -> Response:
    """The last day was another one; without a day: nobody left."""
    form = await LedgerForm.read(
        request, "leave", "leave-day", "last_day_employed", "nobody", "preview"
    )
    last = day(form.values["last_day_employed"])
    nobody = form.values["nobody"] == "yes"
    if last is None and not nobody:
        form.refuse("last_day_or_nobody")
    else:
        await _run(form, db, lambda agency_id: correct.correct_leave(
            db, tools, agency_id, placement_id, None if nobody else last,
            reason="correction", actor=person.member_id, now=now,
        ), person)  # fmt: skip
    return await _to_placement(request, person, db, placement_id, now, form, "leave_corrected")


@router.post("/placements/{placement_id}/withdraw")
async def withdraw(
    *, placement_id: PlacementId, request: Request, person: Person, db: Db, tools: Kit, now: Now
) -> Response:
    """There was no such start."""
    form = await LedgerForm.read(
        request, "withdraw", "withdraw-reason", "reason", "sure", "preview"
    )
    reason = form.values["reason"]
    if reason not in _REASONS:
        form.refuse("reason_missing")
    elif form.values["sure"] != "yes" and not form.values["preview"]:
        form.control = "withdraw-sure"
        form.refuse("not_sure")
    else:
        await _run(form, db, lambda agency_id: correct.withdraw_placement(
            db, tools, agency_id, placement_id, reason=reason, actor=person.member_id, now=now
        ), person)  # fmt: skip
    return await _to_placement(request, person, db, placement_id, now, form, "placement_withdrawn")


@router.get("/attestations")
async def list_attestations(
    *, request: Request, person: Person, db: Db, tools: Kit, done: Done = ""
) -> Response:
    """Months for which it is owed that no placement is unreported, and those given."""
    return await _attestations(request, person, db, tools, done=done)


@router.post("/attestations/{month}")
async def give_attestation(
    *, month: MonthName, request: Request, person: Person, db: Db, tools: Kit, now: Now
) -> Response:
    """Stand by a month: every start in it has been reported."""
    name = f"attest-{month}"
    form = await LedgerForm.read(request, name, f"{name}-manager", "manager", "statement")
    manager = form.values["manager"]
    if not 1 <= len(manager) <= _LONGEST_NAME or not manager.isprintable():
        form.refuse("manager_missing")
    elif form.values["statement"] != "yes":
        form.control = f"{name}-statement"
        form.refuse("statement_missing")
    else:
        await _run(form, db, lambda agency_id: attest(
            db, tools, agency_id, Month.named(month), company_id=None, manager=manager,
            actor=person.member_id, now=now,
        ), person)  # fmt: skip
    if form.refilled is None:
        return AGENCY.to("/attestations", "attested")
    return await _attestations(request, person, db, tools, again=form.refilled)


async def _run(
    form: LedgerForm, db: AsyncSession, act: Callable[[str], Awaitable[Any]], person: SignedIn
) -> None:
    await form.run(db, lambda: act(person.agency_id or ""))


async def _relay_page(
    request: Request, person: SignedIn, db: AsyncSession, relay_id: str, now: datetime, *,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    relay = await relay_of_agency(db, person.agency_id or "", relay_id)
    wanted = select(Placement).where(
        col(Placement.company_id) == relay.company_id,
        col(Placement.relay_id) == relay_id,
        col(Placement.state) != "withdrawn",
    )
    placement = (await db.scalars(wanted)).first()
    agency_id = await AGENCY.enter(db, person)
    others = await view.counterparts(db, "agency", agency_id)
    return AGENCY.page(
        request, person, "relay", again or Refilled(),
        relay=relay, placement=placement, other=others[relay.company_id],
        is_open=is_open(relay.state),
        may_report=placement is None and relay.reason != "already_registered"
        and relay.forwarded_at is not None,
        terms=EMPLOYMENT_TERMS, today=local_day(now), done=done,
    )  # fmt: skip


async def _to_relay(  # noqa: PLR0917 - as above
    request: Request, person: SignedIn, db: AsyncSession, relay_id: str, now: datetime,
    form: LedgerForm, done: str,
) -> Response:  # fmt: skip
    if form.refilled is None:
        return AGENCY.to(f"/relays/{relay_id}", done)
    return await _relay_page(request, person, db, relay_id, now, again=form.refilled)


async def _placement_page(
    request: Request, person: SignedIn, db: AsyncSession, placement_id: str, now: datetime, *,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    row = await AGENCY.row(db, person, Placement, placement_id)
    reports = (
        select(PlacementReport)
        .where(
            col(PlacementReport.company_id) == row.company_id,
            col(PlacementReport.placement_id) == placement_id,
        )
        .order_by(col(PlacementReport.no).desc())
    )
    history = (await db.scalars(reports)).all()
    relay = await db.get_one(Relay, (row.company_id, row.relay_id))
    agency_id = await AGENCY.enter(db, person)
    others = await view.counterparts(db, "agency", agency_id)
    return AGENCY.page(
        request, person, "placement", again or Refilled(),
        placement=row, relay=relay, history=history, other=others[row.company_id],
        terms=EMPLOYMENT_TERMS, reasons=_REASONS, today=local_day(now),
        past_guarantee=row.guarantee_end_on < local_day(now), done=done,
    )  # fmt: skip


async def _to_placement(  # noqa: PLR0917 - as above
    request: Request, person: SignedIn, db: AsyncSession, placement_id: str, now: datetime,
    form: LedgerForm, done: str,
) -> Response:  # fmt: skip
    if form.refilled is None:
        return AGENCY.to(f"/placements/{placement_id}", done)
    return await _placement_page(request, person, db, placement_id, now, again=form.refilled)


async def _attestations(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, *,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    agency_id = await AGENCY.enter(db, person)
    wanted = (
        select(Attestation)
        .where(col(Attestation.agency_id) == agency_id)
        .order_by(col(Attestation.month).desc(), col(Attestation.company_id))
    )
    rows = (await db.scalars(wanted.limit(_MOST_MONTHS * 10))).all()
    months = [
        (Month(first), list(of_month)) for first, of_month in groupby(rows, lambda row: row.month)
    ][:_MOST_MONTHS]
    locale = locale_of(request)
    return AGENCY.page(
        request, person, "attestations", again or Refilled(),
        waiting=[one for one in months if any(row.state != "given" for row in one[1])],
        given=[one for one in months if all(row.state == "given" for row in one[1])],
        said=lambda month: month.words(locale),
        manager=lambda row: manager_of(tools.sealer, row) or "",
        others=await view.counterparts(db, "agency", agency_id), done=done,
    )  # fmt: skip
