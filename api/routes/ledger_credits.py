"""Free referral credits as both sides see them: balances, entries, and each credit's life."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from api.auth import Caller
from api.credit_words import sentence
from api.deps import Db, Now
from api.errors import problems
from api.ledger_shapes import (
    AS_CSV,
    CreditsOut,
    EntryOut,
    Format,
    as_csv,
    credits_out,
    entry_out,
    wants_csv,
)
from api.shapes import Cursor, Day, Limit, Page, Shape, Utc, decode_cursor, encode_cursor, typed_id
from api.sides import SIDES, Side
from domain.business_days import local_day
from domain.credits import Bucket, Credit
from domain.errors import Invalid
from domain.ids import pattern
from domain.views import credits as view
from domain.views.credit_life import Step, credit_lives

router = APIRouter(tags=["credits"])
State = Literal["pending", "available", "reserved", "frozen", "used", "expired", "reversed"]


class DateOut(Shape):
    """A date of the credit that a step set."""

    field: Literal["guarantee_end_on", "available_on", "expires_on"]
    old: date | None
    new: date


class StepOut(Shape):
    """One thing that happened to a credit, with the sentence for it."""

    seq: int
    kind: str
    reason: str | None
    effective_on: date
    at: Utc
    actor: str
    dates: list[DateOut]
    text_ja: str
    text_en: str


class CreditOut(Shape):
    """One credit: what it was granted for, where it stands, and its whole life."""

    id: str
    state: State
    company_id: str
    agency_id: str
    agreement_id: str
    agreement_version: int
    terms: dict[str, Any] = Field(description="As they were when it was granted")
    relay_id: str | None
    placement_id: str | None
    guarantee_end_on: date
    available_on: date | None
    expires_on: date | None
    reference_value_jpy: int = Field(description="参考値: no rule depends on it")
    life: list[StepOut]


def _doors(side: Side) -> APIRouter:
    doors = APIRouter(prefix=f"{side.prefix}/credits")

    @doors.get("", responses=problems(401, 403, 422, 429))
    async def read_credits(
        *,
        db: Db,
        now: Now,
        caller: Annotated[Caller, side.reader],
        as_of: Annotated[Day | None, Query(description="Facts true by the end of this day")] = None,
        known_at: Annotated[Utc | None, Query(description="Facts recorded by then")] = None,
    ) -> CreditsOut:
        """Credits in all and per agreement: now, or as they were by either of the two times."""
        look = view.AsOf(as_of, known_at)
        found = await view.balances(
            db, **side.whose(caller), today=local_day(now), as_of=look or None
        )
        return credits_out(found, look)

    @doors.get(
        "/entries",
        response_model=Page[EntryOut],
        responses={**problems(401, 403, 404, 422, 429), **AS_CSV},
    )
    async def list_entries(
        *,
        request: Request,
        db: Db,
        caller: Annotated[Caller, side.reader],
        relay_id: Annotated[str | None, Query(pattern=pattern("rly"))] = None,
        company_id: Annotated[
            str | None, Query(pattern=pattern("cmp"), description="Agencies name the company")
        ] = None,
        agency_id: Annotated[str | None, Query(pattern=pattern("agy"))] = None,
        credit_id: Annotated[str | None, Query(pattern=pattern("crd"))] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        format: Format = None,  # noqa: A002 - the caller's word
    ) -> Any:
        """The ledger behind the numbers, newest first; as JSON, or as CSV."""
        own = caller.company_id
        if own is None:
            if company_id is None:
                detail = "an agency names the company whose book it reads: `company_id`"
                raise Invalid(detail, code="company_id_required")
            await side.with_other(db, caller, company_id)
        found = await view.entries(
            db,
            own or company_id or "",
            relay_id=relay_id,
            agency_id=caller.agency_id or agency_id,
            credit_id=credit_id,
            before=decode_cursor(cursor) if cursor is not None else None,
            limit=limit + 1,
        )
        shown, more = found[:limit], len(found) > limit
        following = encode_cursor(shown[-1].id) if more else None
        if wants_csv(request, format):
            return as_csv("credit-entries.csv", shown, following)
        return Page[EntryOut](data=[entry_out(one) for one in shown], next_cursor=following)

    @doors.get("/{credit_id}", responses=problems(401, 403, 404, 422, 429))
    async def read_credit(
        db: Db,
        caller: Annotated[Caller, side.reader],
        credit_id: typed_id("crd"),  # type: ignore[valid-type]
    ) -> CreditOut:
        """One credit, and every step of its life in words."""
        row = await side.row(db, caller, Credit, credit_id)
        life = (await credit_lives(db, [(row.company_id, credit_id)]))[credit_id]
        facts = row.model_dump(include=set(CreditOut.model_fields))
        return CreditOut(**facts, state=_state(row), life=[_step(one) for one in life])

    return doors


def _state(row: Credit) -> Any:
    return Bucket(row.bucket).name.lower()


def _step(step: Step) -> StepOut:
    return StepOut(
        seq=step.seq, kind=step.kind, reason=step.reason, effective_on=step.effective_on,
        at=step.at, actor=step.actor,
        dates=[DateOut(field=one.field, old=one.old, new=one.new) for one in step.dates],
        text_ja=sentence(step, "ja"), text_en=sentence(step, "en"),
    )  # fmt: skip


for one in SIDES:
    router.include_router(_doors(one))
