"""Agencies: placements they report, and what they report about them later."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlmodel import col, select

from api.auth import Caller, agency
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Rehearsable
from api.shapes import Cursor, Limit, NearDay, Page, Shape, Utc, page_of
from domain.access import shared_row
from domain.errors import Invalid
from domain.flows.earn import correct_placement as correct
from domain.flows.earn.report_placement import Start, report_placement
from domain.ids import pattern
from domain.placement import Placement, PlacementReport

router = APIRouter(prefix="/v1/agency", tags=["agency: placements"])

Reader = Annotated[Caller, agency("relays:read")]
Writer = Annotated[Caller, agency("relays:write")]
RelayId = Annotated[str, Path(pattern=pattern("rly"))]
PlacementId = Annotated[str, Path(pattern=pattern("plc"))]
Term = Literal["permanent", "fixed"]
Reason = Literal["correction", "postponed", "cancelled", "wrong_person", "other"]
_REFUSALS = problems(400, 401, 403, 404, 409, 422, 423)


class PlacementIn(Shape):
    """The person has started, or will on a day ahead. Never say where."""

    started_on: NearDay = Field(description="First day of employment, in Japan")
    employment_term: Term
    attestation: bool = Field(description="True: the placement manager stands by this report")


class PlacementOut(BaseModel):
    """A placement and the last day of its guarantee."""

    id: str
    relay_id: str
    state: Literal["expected", "placed", "guaranteed", "early_left", "withdrawn"] = Field(
        description="`expected`: the start lies ahead, and nothing is earned yet"
    )
    started_on: date
    employment_term: Term
    guarantee_end_on: date
    left_on: date | None
    agreement_version: int
    reports: int = Field(description="How many reports it rests on")


class ReportOut(BaseModel):
    """One report about a placement, as it was made."""

    no: int
    kind: Literal[
        "reported", "started", "corrected", "postponed", "withdrawn", "early_leave",
        "leave_corrected",
    ]  # fmt: skip
    started_on: date
    employment_term: Term
    left_on: date | None
    reason: str | None
    noted_at: Utc


class PlacementDetail(PlacementOut):
    """A placement with its history."""

    history: list[ReportOut]


class CorrectionIn(Shape):
    """The facts as they are. What is left out stays as it was."""

    started_on: NearDay | None = None
    employment_term: Term | None = None
    reason: Reason = "correction"


class WithdrawalIn(Shape):
    """There was no such start."""

    reason: Reason


class EarlyLeaveIn(Shape):
    """The person has left."""

    last_day_employed: NearDay
    reason_code: str | None = Field(
        default=None, pattern=r"^[a-z][a-z_]{0,39}$",
        description="Why, in a word of your agreement; kept with the report, no share rests on it",
        examples=["voluntary_leave", "dismissal_for_cause"],
    )  # fmt: skip


class LeaveCorrectionIn(Shape):
    """The leave as it was; null: nobody left."""

    last_day_employed: NearDay | None
    reason: Reason = "correction"


@router.get("/placements", responses=problems(401, 403, 422))
async def list_placements(
    *,
    caller: Reader,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Literal["expected", "placed", "guaranteed", "early_left", "withdrawn"] | None = None,
) -> Page[PlacementOut]:
    """Your placements, newest first."""
    wanted = select(Placement).where(col(Placement.agency_id) == caller.agency_id)
    if state is not None:
        wanted = wanted.where(col(Placement.state) == state)
    rows, following = await page_of(db, wanted, col(Placement.id), cursor=cursor, limit=limit)
    return Page(data=[_out(row) for row in rows], next_cursor=following)


@router.get("/placements/{placement_id}", responses=problems(401, 403, 404, 422))
async def read_placement(placement_id: PlacementId, caller: Reader, db: Db) -> PlacementDetail:
    """One placement, and every report it rests on."""
    row = await shared_row(db, Placement, placement_id, agency_id=caller.agency_id)
    reports = (
        select(PlacementReport)
        .where(
            col(PlacementReport.company_id) == row.company_id,
            col(PlacementReport.placement_id) == placement_id,
        )
        .order_by(col(PlacementReport.no))
    )
    history = [
        ReportOut.model_validate(one, from_attributes=True)
        for one in (await db.scalars(reports)).all()
    ]
    return PlacementDetail(**_out(row).model_dump(), history=history)


@router.post("/relays/{relay_id}/placement", status_code=201, responses=_REFUSALS)
async def place(
    *,
    relay_id: RelayId,
    placement: PlacementIn,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Rehearsable,
) -> PlacementOut:
    """Report that the person has started. A start inside the ownership window counts.

    It earns the company what your agreement says, once. One placement per relay. A start ahead of
    today is expected and earns on its day. After the candidate's withdrawal only the month is kept.
    """

    async def run() -> PlacementOut:
        report = Start(
            started_on=placement.started_on, employment_term=placement.employment_term,
            attestation=placement.attestation, actor=caller.client_id,
        )  # fmt: skip
        made = await report_placement(db, kit, caller.agency_id or "", relay_id, report, now=now)
        return _out(made)

    return await once(run)


@router.post("/placements/{placement_id}/corrections", responses=_REFUSALS)
async def correct_report(
    *,
    placement_id: PlacementId,
    correction: CorrectionIn,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Rehearsable,
) -> PlacementOut:
    """The first day or the contract was another one; a day ahead of today postpones the start.

    Nothing posted is changed: untouched credits are taken back and granted with the right dates.
    """
    if correction.started_on is None and correction.employment_term is None:
        detail = "say what was wrong: `started_on` or `employment_term`"
        raise Invalid(detail, code="nothing_corrected")

    async def run() -> PlacementOut:
        facts = correct.Correction(
            correction.started_on, correction.employment_term, correction.reason
        )
        made = await correct.correct_placement(
            db, kit, caller.agency_id or "", placement_id, facts, actor=caller.client_id, now=now
        )
        return _out(made)

    return await once(run)


@router.post("/placements/{placement_id}/withdraw", responses=_REFUSALS)
async def withdraw_report(
    *,
    placement_id: PlacementId,
    withdrawal: WithdrawalIn,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Rehearsable,
) -> PlacementOut:
    """There was no such start. What it earned is taken back; the company may dispute that."""

    async def run() -> PlacementOut:
        made = await correct.withdraw_placement(
            db, kit, caller.agency_id or "", placement_id,
            reason=withdrawal.reason, actor=caller.client_id, now=now,
        )  # fmt: skip
        return _out(made)

    return await once(run)


@router.post("/placements/{placement_id}/early-leave", responses=_REFUSALS)
async def leave_early(
    *,
    placement_id: PlacementId,
    leave: EarlyLeaveIn,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Rehearsable,
) -> PlacementOut:
    """Report that the person left inside the guarantee. The agreed share is taken back.

    A credit that is held for a hire is asked back: the company has five business days.
    """

    async def run() -> PlacementOut:
        left = await correct.report_early_leave(
            db, kit, caller.agency_id or "", placement_id, leave.last_day_employed,
            actor=caller.client_id, now=now, reason=leave.reason_code,
        )  # fmt: skip
        return _out(left)

    return await once(run)


@router.post("/placements/{placement_id}/early-leave/corrections", responses=_REFUSALS)
async def correct_leave(
    *,
    placement_id: PlacementId,
    correction: LeaveCorrectionIn,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Rehearsable,
) -> PlacementOut:
    """The last day employed was another one, or nobody left: the share is counted anew."""

    async def run() -> PlacementOut:
        made = await correct.correct_leave(
            db, kit, caller.agency_id or "", placement_id, correction.last_day_employed,
            reason=correction.reason, actor=caller.client_id, now=now,
        )  # fmt: skip
        return _out(made)

    return await once(run)


def _out(row: Placement) -> PlacementOut:
    return PlacementOut.model_validate(row, from_attributes=True)
