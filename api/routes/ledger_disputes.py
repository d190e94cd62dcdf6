"""Disputes: opened by either side, answered, conceded, appealed; decided by the operator."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.auth import Caller
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Rehearsable
from api.shapes import Cursor, Limit, Page, Shape, Text, Utc, page_of, typed_id
from api.sides import EITHER, SIDES, Side
from domain.dispute import Dispute, DisputeNote
from domain.flows.earn import dispute_credit as flow
from domain.flows.earn.dispute_credit import Matter
from domain.ids import pattern
from domain.ports import Sealer

router = APIRouter(tags=["disputes"])
_REFUSALS = problems(400, 401, 403, 404, 409, 422, 423)
Words = Annotated[Text, AfterValidator(str.strip), Field(min_length=1, max_length=4000)]
Subject = Literal["placement", "early_leave", "already_registered", "credit"]
Reason = Literal[
    "not_started", "wrong_start", "wrong_leave", "known_before", "not_known_before",
    "wrong_person", "terms", "other",
]  # fmt: skip


class DisputeIn(Shape):
    """What you do not agree with, and why. The credits concerned are frozen at once."""

    counterparty_id: str = Field(pattern=EITHER, description="The other side's id")
    subject: Subject
    reason: Reason
    note: Words = Field(
        description="Both sides and the operator read it: never say where anybody works. Sealed"
    )
    relay_id: str | None = Field(default=None, pattern=pattern("rly"))
    placement_id: str | None = Field(default=None, pattern=pattern("plc"))
    credit_ids: list[Annotated[str, Field(pattern=pattern("crd"))]] = Field(
        default_factory=list, max_length=50
    )


class NoteIn(Shape):
    """An answer, or evidence. Both sides read it: never say where anybody works."""

    note: Words


class DisputeOut(Shape):
    """A dispute and where it stands."""

    id: str
    company_id: str
    agency_id: str
    subject: Subject
    reason: Reason
    relay_id: str | None
    placement_id: str | None
    credit_ids: list[str] = Field(description="The credits that were frozen")
    opened_by: Literal["company", "agency"]
    state: Literal["opened", "evidence", "decided", "appealed", "final"]
    due_on: date = Field(description="The last day of this step, in business days")
    outcome: Literal["for_company", "for_agency"] | None
    appealed_by: Literal["company", "agency"] | None
    created_at: Utc
    ended_at: Utc | None


class NoteOut(Shape):
    """What somebody said."""

    party: Literal["company", "agency", "operator"]
    step: str
    note: str
    at: Utc


class DisputeDetail(DisputeOut):
    """A dispute with everything that was said."""

    notes: list[NoteOut]


def _doors(side: Side) -> APIRouter:  # noqa: C901 - one function per door, none of them branches
    doors = APIRouter(prefix=f"{side.prefix}/disputes")
    Reads = Annotated[Caller, side.reader]  # noqa: N806 - a type, made for this side
    Writes = Annotated[Caller, side.writer]  # noqa: N806

    @doors.get("", responses=problems(401, 403, 422))
    async def list_disputes(
        *,
        db: Db,
        caller: Reads,
        open_only: bool = False,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[DisputeOut]:
        """Your disputes, newest first."""
        column, owner = next(iter(side.whose(caller).items()))
        wanted = select(Dispute).where(getattr(Dispute, column) == owner)
        if open_only:
            wanted = wanted.where(col(Dispute.state) != "final")
        rows, following = await page_of(db, wanted, col(Dispute.id), cursor=cursor, limit=limit)
        return Page(data=[_out(row) for row in rows], next_cursor=following)

    @doors.get("/{dispute_id}", responses=problems(401, 403, 404, 422))
    async def read_dispute(
        db: Db,
        kit: Kit,
        caller: Reads,
        dispute_id: typed_id("dsp"),  # type: ignore[valid-type]
    ) -> DisputeDetail:
        """One dispute with what both sides and the operator said."""
        row = await side.row(db, caller, Dispute, dispute_id)
        return await _detail(db, kit.sealer, row)

    @doors.post("", status_code=201, responses=_REFUSALS)
    async def open_dispute(
        *, given: DisputeIn, db: Db, kit: Kit, now: Now, once: Rehearsable, caller: Writes
    ) -> DisputeDetail:
        """Open a dispute. What is frozen stands still: guarantee, expiry and holds wait with it.

        The other side has five business days to answer, then both have ten for evidence; then the
        operator, who is neither, decides. Either may give way at any time.
        """

        async def run() -> DisputeDetail:
            agreement = await side.with_other(db, caller, given.counterparty_id)
            matter = Matter(
                given.subject, given.reason, given.note, given.relay_id, given.placement_id,
                given.credit_ids,
            )  # fmt: skip
            made = await flow.open_dispute(
                db, kit, agreement.company_id, agreement.agency_id, matter,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return await _detail(db, kit.sealer, made)

        return await once(run)

    @doors.post("/{dispute_id}/notes", responses=_REFUSALS)
    async def add_note(
        *,
        given: NoteIn,
        db: Db,
        kit: Kit,
        now: Now,
        once: Rehearsable,
        caller: Writes,
        dispute_id: typed_id("dsp"),  # type: ignore[valid-type]
    ) -> DisputeDetail:
        """Answer, or bring evidence. Notes are never changed."""

        async def run() -> DisputeDetail:
            row = await side.row(db, caller, Dispute, dispute_id)
            there = await flow.say(
                db, kit, row.company_id, dispute_id, given.note,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return await _detail(db, kit.sealer, there)

        return await once(run)

    @doors.post("/{dispute_id}/concede", responses=_REFUSALS)
    async def concede(
        *,
        db: Db,
        kit: Kit,
        now: Now,
        once: Rehearsable,
        caller: Writes,
        dispute_id: typed_id("dsp"),  # type: ignore[valid-type]
    ) -> DisputeDetail:
        """Give way: it is decided against you, for good."""

        async def run() -> DisputeDetail:
            row = await side.row(db, caller, Dispute, dispute_id)
            there = await flow.concede(
                db, kit, row.company_id, dispute_id,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return await _detail(db, kit.sealer, there)

        return await once(run)

    @doors.post("/{dispute_id}/appeal", responses=_REFUSALS)
    async def appeal(
        *,
        given: NoteIn,
        db: Db,
        kit: Kit,
        now: Now,
        once: Rehearsable,
        caller: Writes,
        dispute_id: typed_id("dsp"),  # type: ignore[valid-type]
    ) -> DisputeDetail:
        """Ask for a second decision by somebody else: once, within ten business days."""

        async def run() -> DisputeDetail:
            row = await side.row(db, caller, Dispute, dispute_id)
            there = await flow.appeal(
                db, kit, row.company_id, dispute_id, given.note,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return await _detail(db, kit.sealer, there)

        return await once(run)

    return doors


def _out(row: Dispute) -> DisputeOut:
    return DisputeOut(**row.model_dump(include=set(DisputeOut.model_fields)))


async def _detail(db: AsyncSession, sealer: Sealer, row: Dispute) -> DisputeDetail:
    wanted = (
        select(DisputeNote)
        .where(col(DisputeNote.company_id) == row.company_id, col(DisputeNote.dispute_id) == row.id)
        .order_by(col(DisputeNote.id))
    )
    notes = [
        NoteOut(
            party=one.party, step=one.step, at=one.created_at,
            note=sealer.open(one.sealed, about=f"dispute-note:{one.id}").decode(),
        )
        for one in (await db.scalars(wanted)).all()
    ]  # fmt: skip
    return DisputeDetail(**_out(row).model_dump(), notes=notes)


for one in SIDES:
    router.include_router(_doors(one))
