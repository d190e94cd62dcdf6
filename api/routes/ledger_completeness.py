"""Whether the ledger is whole, and how an agency works: the same for both sides."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from api.auth import Caller
from api.deps import Db, Kit, Now
from api.errors import problems
from api.shapes import Cursor, Limit, Shape, Utc, decode_cursor, encode_cursor, typed_id
from api.sides import EITHER, SIDES, Side
from domain.agreement import Agreement
from domain.errors import Invalid
from domain.ids import pattern
from domain.views import completeness as view
from domain.views.duties import paused
from domain.views.scorecard import scorecard

router = APIRouter(tags=["completeness"])
FindingKind = Literal[
    "confirmed_without_placement", "placement_without_grant", "month_without_attestation",
    "offer_without_outcome", "open_dispute", "expected_placement", "open_relay",
]  # fmt: skip
Bucket = Literal["pending", "frozen", "owed", "reserved"]


class FindingOut(Shape):
    """Something expected, and what is known of it."""

    kind: FindingKind
    relay_id: str | None
    placement_id: str | None
    dispute_id: str | None
    month: str | None = Field(description="The month of an attestation, or of a start: `yyyy-mm`")
    state: str
    since: date | None = Field(description="The hand-over of a relay, or when a dispute began")
    due_on: date | None = Field(description="The last day of what is owed next")
    late: bool = Field(description="It was owed before today")
    last_word_at: Utc | None = Field(description="The agency's last word about the relay")
    confirmed: bool | None = Field(
        description=(
            "The person said that they started. Told to the company alone, as this mark and no more"
        )
    )


class FindingCounts(Shape):
    """How many there are of each kind."""

    confirmed_without_placement: int | None = Field(
        description="The person said that they started, and no placement is reported. Company only"
    )
    placement_without_grant: int = Field(description="The agreement grants and no credit is there")
    month_without_attestation: int
    offer_without_outcome: int = Field(description="Recommended or offered over 60 days ago")
    open_dispute: int
    expected_placement: int = Field(description="The start lies ahead")
    open_relay: int


class PauseOut(Shape):
    """Why nothing new goes to the agency. `since` is null where no day belongs to it."""

    reason: str
    since: date | None


class UnresolvedOut(Shape):
    """Credits that should have left their bucket."""

    bucket: Bucket
    count: int
    oldest_days: int | None


class Reconciliation(Shape):
    """Expected against reported, alarms first."""

    agreement_id: str
    company_id: str
    agency_id: str
    counts: FindingCounts
    unresolved: list[UnresolvedOut] = Field(
        description=(
            "`pending` past the guarantee, `frozen` over 30 days, `owed` over 90, `reserved` past"
            " the hold"
        )
    )
    paused: list[PauseOut] = Field(description="Duties missed that hold back new relays")
    data: list[FindingOut]
    next_cursor: str | None


class MeasureOut(Shape):
    """A number about people. With fewer than five of them it is not shown, and `few` says so."""

    value: float | None
    people: int | None = Field(description="On how many people it rests")
    few: bool


class DisputesOut(Shape):
    """Disputes opened in the period."""

    opened: int
    opened_by_agency: int
    ended: int
    against_agency: int


class ScorecardOut(Shape):
    """How an agency works for a company. Hours are those between 9:00 and 18:00 of open days."""

    company_id: str
    agency_id: str
    first: date
    last: date
    relays: MeasureOut = Field(description="People handed over in the period")
    accept_hours: MeasureOut = Field(description="Hand-over to acceptance, median")
    contact_hours: MeasureOut = Field(description="Hand-over to first contact, median")
    contact_rate: MeasureOut = Field(description="Contacted / accepted")
    meeting_rate: MeasureOut = Field(description="Met / contacted")
    placement_rate: MeasureOut = Field(description="Started / accepted")
    words_in_time: MeasureOut = Field(
        description="Of the words due about relays, those given in time"
    )
    attestations_due: int
    attestations_in_time: int
    disputes: DisputesOut
    stop_hours_p95: MeasureOut = Field(
        description="Withdrawal to acknowledgement, 95th percentile by nearest rank"
    )
    paused: bool
    why: list[PauseOut]


def _doors(side: Side) -> APIRouter:
    doors = APIRouter(prefix=side.prefix)

    @doors.get("/reconciliation", responses=problems(401, 403, 404, 422))
    async def read_reconciliation(
        *,
        db: Db,
        kit: Kit,
        now: Now,
        caller: Annotated[Caller, side.reader],
        counterparty_id: Annotated[str, Query(pattern=EITHER, description="The other side's id")],
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reconciliation:
        """What was expected between the two of you against what was reported."""
        agreement = await side.with_other(db, caller, counterparty_id)
        pair = agreement.company_id, agreement.agency_id
        rows = await view.findings(
            db, *pair, party=side.party, after=_place(cursor), limit=limit + 1, now=now
        )
        shown, more = rows[:limit], len(rows) > limit
        counts = await view.reconciliation_counts(db, *pair, party=side.party, now=now)
        stuck = await view.unresolved(db, now, company_id=pair[0], agency_id=pair[1])
        waits = await paused(db, kit.holidays, *pair, now)
        return Reconciliation(
            agreement_id=agreement.id, company_id=pair[0], agency_id=pair[1],
            counts=FindingCounts(**{view.OF_COMPANY: None, **counts}),
            unresolved=[UnresolvedOut(**vars(one)) for one in stuck],
            paused=[PauseOut(**vars(one)) for one in waits],
            data=[_finding(one) for one in shown],
            next_cursor=encode_cursor(f"{shown[-1].kind} {shown[-1].id}") if more else None,
        )  # fmt: skip

    return doors


@router.get("/v1/company/agencies/{agency_id}/scorecard", responses=problems(401, 403, 404, 422))
async def read_scorecard(
    *,
    db: Db,
    kit: Kit,
    now: Now,
    caller: Annotated[Caller, SIDES[0].reader],
    agency_id: typed_id("agy"),  # type: ignore[valid-type]
) -> ScorecardOut:
    """How an agency works for you, over the last 365 days. The agency sees the same."""
    return await _card(db, kit, await SIDES[0].with_other(db, caller, agency_id), now)


@router.get("/v1/agency/scorecard", responses=problems(401, 403, 404, 422))
async def read_own_scorecard(
    *,
    db: Db,
    kit: Kit,
    now: Now,
    caller: Annotated[Caller, SIDES[1].reader],
    company_id: Annotated[str, Query(pattern=pattern("cmp"))],
) -> ScorecardOut:
    """How you work for a company, over the last 365 days. The company sees the same."""
    return await _card(db, kit, await SIDES[1].with_other(db, caller, company_id), now)


async def _card(db: Db, kit: Kit, agreement: Agreement, now: Now) -> ScorecardOut:
    card = await scorecard(db, kit, agreement, now)
    measures = {
        name: MeasureOut(**vars(getattr(card, name)))
        for name, shape in ScorecardOut.model_fields.items()
        if shape.annotation is MeasureOut
    }
    return ScorecardOut(
        company_id=agreement.company_id, agency_id=agreement.agency_id, first=card.first,
        last=card.last, attestations_due=card.attestations_due,
        attestations_in_time=card.attestations_in_time,
        disputes=DisputesOut(**vars(card.disputes)), paused=bool(card.waits),
        why=[PauseOut(**vars(one)) for one in card.waits], **measures,
    )  # fmt: skip


def _finding(one: view.Finding) -> FindingOut:
    facts = {name: getattr(one, name) for name in FindingOut.model_fields if name != "month"}
    return FindingOut(**facts, month=f"{one.month:%Y-%m}" if one.month is not None else None)


def _place(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    kind, _, last = decode_cursor(cursor).partition(" ")
    if kind not in view.KINDS:
        detail = "the cursor is not one of ours"
        raise Invalid(detail, code="invalid_cursor")
    return kind, last


for one in SIDES:
    router.include_router(_doors(one))
