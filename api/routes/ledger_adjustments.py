"""Corrections by hand: two people of one side ask, and the other side agrees if it is burdened."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field
from sqlmodel import col, select

from api.auth import Caller
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Rehearsable
from api.shapes import Cursor, Limit, NearDay, Page, Shape, Text, Utc, page_of, typed_id
from api.sides import EITHER, SIDES, Side
from domain.adjustment import Adjustment
from domain.flows.earn import adjust_credits as flow
from domain.flows.earn.adjust_credits import Wish
from domain.ids import pattern
from domain.ports import Sealer

router = APIRouter(tags=["adjustments"])
_REFUSALS = problems(400, 401, 403, 404, 409, 422, 423)
Kind = Literal["issue", "take", "extend", "settle"]
Reason = Literal[
    "agreed_outside", "correction", "dispute_decided", "goodwill", "invoice_paid", "other"
]
Answer = Literal["approve", "agree", "decline", "cancel"]


class AdjustmentIn(Shape):
    """What is to be corrected. Nothing moves before everybody who must has agreed."""

    counterparty_id: str = Field(pattern=EITHER, description="The other side's id")
    kind: Kind = Field(
        description=(
            "`issue`: more credits (`count`); `take`: fewer (`credit_ids`); `extend`: another last"
            " day (`credit_ids`, `expires_on`); `settle`: an owed credit was paid for outside"
        )
    )
    reason: Reason
    note: Annotated[Text, AfterValidator(str.strip), Field(min_length=1, max_length=2000)]
    count: int | None = Field(default=None, ge=1, le=50)
    credit_ids: list[Annotated[str, Field(pattern=pattern("crd"))]] = Field(
        default_factory=list, max_length=50
    )
    expires_on: NearDay | None = None
    dispute_id: str | None = Field(
        default=None,
        pattern=pattern("dsp"),
        description="Decided for you: no further yes is needed",
    )


class AdjustmentOut(Shape):
    """A correction, who asked, who approved, who agreed."""

    id: str
    company_id: str
    agency_id: str
    kind: Kind
    party: Literal["company", "agency"] = Field(description="Whose people ask")
    count: int | None
    credit_ids: list[str]
    expires_on: date | None
    reason: Reason
    note: str
    dispute_id: str | None
    state: Literal["requested", "approved", "assented", "posted", "declined", "cancelled"]
    requested_by: str
    requested_at: Utc
    approved_by: str | None
    approved_at: Utc | None
    agreed_by: str | None
    agreed_at: Utc | None
    ended_at: Utc | None


def _doors(side: Side) -> APIRouter:
    doors = APIRouter(prefix=f"{side.prefix}/adjustments")
    Reads = Annotated[Caller, side.reader]  # noqa: N806 - a type, made for this side
    Writes = Annotated[Caller, side.writer]  # noqa: N806

    @doors.get("", responses=problems(401, 403, 422))
    async def list_adjustments(
        *, db: Db, kit: Kit, caller: Reads, cursor: Cursor = None, limit: Limit = 50
    ) -> Page[AdjustmentOut]:
        """Corrections asked for, newest first."""
        column, owner = next(iter(side.whose(caller).items()))
        wanted = select(Adjustment).where(getattr(Adjustment, column) == owner)
        rows, following = await page_of(db, wanted, col(Adjustment.id), cursor=cursor, limit=limit)
        return Page(data=[_out(row, kit.sealer) for row in rows], next_cursor=following)

    @doors.get("/{adjustment_id}", responses=problems(401, 403, 404, 422))
    async def read_adjustment(
        db: Db,
        kit: Kit,
        caller: Reads,
        adjustment_id: typed_id("adj"),  # type: ignore[valid-type]
    ) -> AdjustmentOut:
        """One correction."""
        return _out(await side.row(db, caller, Adjustment, adjustment_id), kit.sealer)

    @doors.post("", status_code=201, responses=_REFUSALS)
    async def request_adjustment(
        *, given: AdjustmentIn, db: Db, kit: Kit, now: Now, once: Rehearsable, caller: Writes
    ) -> AdjustmentOut:
        """Ask for a correction. Another client or person of your side approves it."""

        async def run() -> AdjustmentOut:
            agreement = await side.with_other(db, caller, given.counterparty_id)
            wish = Wish(
                given.kind, given.reason, given.note, given.count, given.credit_ids,
                given.expires_on, given.dispute_id,
            )  # fmt: skip
            made = await flow.request_adjustment(
                db, kit, agreement.company_id, agreement.agency_id, wish,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return _out(made, kit.sealer)

        return await once(run)

    @doors.post("/{adjustment_id}/{answer}", responses=_REFUSALS)
    async def answer_adjustment(
        *,
        db: Db,
        kit: Kit,
        now: Now,
        once: Rehearsable,
        caller: Writes,
        adjustment_id: typed_id("adj"),  # type: ignore[valid-type]
        answer: Annotated[Answer, Path()],
    ) -> AdjustmentOut:
        """`approve` as the second of your side, `agree` as the other; `decline`, `cancel`.

        It is posted with the last yes it needs.
        """
        facts: dict[str, Any] = {"party": side.party, "now": now}

        async def run() -> AdjustmentOut:
            row = await side.row(db, caller, Adjustment, adjustment_id)
            if answer == "approve":
                done = await flow.approve(
                    db, kit, row.company_id, adjustment_id, actor=caller.client_id, **facts
                )
            elif answer == "agree":
                done = await flow.agree(
                    db, row.company_id, adjustment_id, actor=caller.client_id, **facts
                )
            else:
                done = await flow.refuse(db, row.company_id, adjustment_id, step=answer, **facts)
            return _out(done, kit.sealer)

        return await once(run)

    return doors


def _out(row: Adjustment, sealer: Sealer) -> AdjustmentOut:
    note = sealer.open(row.note, about=f"adjustment:{row.id}").decode()
    facts = row.model_dump(include=set(AdjustmentOut.model_fields) - {"note"})
    return AdjustmentOut(**facts, note=note)


for one in SIDES:
    router.include_router(_doors(one))
