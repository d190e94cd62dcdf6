"""A company spends its free referral credits."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, Field
from sqlmodel import col, select

from api.auth import Caller, company
from api.deps import Db, Now
from api.errors import problems
from api.idempotency import Rehearsable
from api.shapes import Cursor, Limit, NearDay, Page, Shape, Text, Utc, page_of, typed_id
from domain.credits import Reservation
from domain.errors import NotFound
from domain.flows.earn import use_credit
from domain.flows.earn.use_credit import Opening
from domain.ids import pattern
from domain.store import find

router = APIRouter(prefix="/v1/company/credits", tags=["credits"])

Reader = Annotated[Caller, company("credits:read")]
Spender = Annotated[Caller, company("credits:write")]


Yen = Annotated[int, Field(ge=0, le=1_000_000_000)]


class ReservationIn(Shape):
    """Which agency's credit is held, and for what. Name the opening, not a person."""

    agency_id: str = Field(pattern=pattern("agy"))
    opening: Annotated[Text, AfterValidator(str.strip), Field(min_length=1, max_length=200)]
    job_type: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Where the agreement's scope asks for it"
    )
    employment_term: Literal["permanent", "fixed"] | None = None
    annual_salary_jpy: Yen | None = Field(
        default=None, description="理論年収 of the opening; also for the 参考値 of the fee"
    )


class HireIn(Shape):
    """The day of the hire, in Japan."""

    hired_on: NearDay
    annual_salary_jpy: Yen | None = Field(default=None, description="If it became another one")


class LeaveIn(Shape):
    """The person hired with the credit has left."""

    last_day_employed: NearDay


class ReservationOut(Shape):
    """A credit held for an opening."""

    id: str
    credit_id: str
    agency_id: str
    opening: str
    job_type: str | None
    employment_term: str | None
    annual_salary_jpy: int | None
    list_fee_jpy: int | None = Field(description="参考値: the fee, without tax, it stands for")
    state: Literal["reserved", "released", "used", "restored"]
    reserved_on: date
    holds_until: date = Field(description="The last day of the hold; then it ends by itself")
    release_by: date | None = Field(
        description="The credit is asked back: let it go by the end of this day"
    )
    hired_on: date | None
    left_on: date | None
    created_at: Utc


@router.get("/reservations", responses=problems(401, 403, 422, 429))
async def list_reservations(
    db: Db,
    caller: Reader,
    state: Literal["reserved", "released", "used", "restored"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ReservationOut]:
    """Credits held, used and given back, newest first."""
    wanted = select(Reservation).where(col(Reservation.company_id) == caller.company_id)
    if state is not None:
        wanted = wanted.where(col(Reservation.state) == state)
    rows, following = await page_of(db, wanted, col(Reservation.id), cursor=cursor, limit=limit)
    return Page(data=[_reservation(row) for row in rows], next_cursor=following)


@router.get("/reservations/{reservation_id}", responses=problems(401, 403, 404, 422, 429))
async def read_reservation(
    db: Db,
    caller: Reader,
    reservation_id: typed_id("rsv"),  # type: ignore[valid-type]
) -> ReservationOut:
    """One reservation."""
    found = await find(db, Reservation, caller.company_id or "", reservation_id)
    if found is None:
        raise NotFound
    return _reservation(found)


@router.post(
    "/reservations", status_code=201, responses=problems(400, 401, 403, 409, 422, 423, 429)
)
async def reserve(
    given: ReservationIn, db: Db, now: Now, once: Rehearsable, caller: Spender
) -> ReservationOut:
    """Hold a credit for an opening: the one that expires first among those whose scope it fits.

    409 `no_credit_available` when none can be used, `out_of_scope` when none fits.
    """

    async def run() -> ReservationOut:
        opening = Opening(
            given.opening, given.job_type, given.employment_term, given.annual_salary_jpy
        )
        held = await use_credit.reserve(
            db,
            caller.company_id or "",
            agency_id=given.agency_id,
            opening=opening,
            actor=caller.client_id,
            now=now,
        )
        return _reservation(held)

    return await once(run)


@router.post(
    "/reservations/{reservation_id}/release",
    responses=problems(400, 401, 403, 404, 409, 422, 423, 429),
)
async def release(
    db: Db,
    now: Now,
    once: Rehearsable,
    caller: Spender,
    reservation_id: typed_id("rsv"),  # type: ignore[valid-type]
) -> ReservationOut:
    """Give the held credit back. 409 when the reservation is not open any more."""

    async def run() -> ReservationOut:
        held = await use_credit.release(
            db, caller.company_id or "", reservation_id, actor=caller.client_id, now=now
        )
        return _reservation(held)

    return await once(run)


@router.post(
    "/reservations/{reservation_id}/use",
    responses=problems(400, 401, 403, 404, 409, 422, 423, 429),
)
async def use(
    *,
    given: HireIn,
    db: Db,
    now: Now,
    once: Rehearsable,
    caller: Spender,
    reservation_id: typed_id("rsv"),  # type: ignore[valid-type]
) -> ReservationOut:
    """The hire was made: the credit is spent. 409 when the reservation is not open any more."""

    async def run() -> ReservationOut:
        held = await use_credit.use(
            db,
            caller.company_id or "",
            reservation_id,
            hired_on=given.hired_on,
            annual_salary_jpy=given.annual_salary_jpy,
            actor=caller.client_id,
            now=now,
        )
        return _reservation(held)

    return await once(run)


@router.post(
    "/reservations/{reservation_id}/early-leave",
    responses=problems(400, 401, 403, 404, 409, 422, 423, 429),
)
async def leave_early(
    *,
    given: LeaveIn,
    db: Db,
    now: Now,
    once: Rehearsable,
    caller: Spender,
    reservation_id: typed_id("rsv"),  # type: ignore[valid-type]
) -> ReservationOut:
    """The person hired with the credit left inside the guarantee: the credit comes back.

    It stays usable for the agreed time at least. 409 where the agreement does not give it back.
    """

    async def run() -> ReservationOut:
        held = await use_credit.restore(
            db,
            caller.company_id or "",
            reservation_id,
            last_day_employed=given.last_day_employed,
            actor=caller.client_id,
            now=now,
        )
        return _reservation(held)

    return await once(run)


def _reservation(row: Reservation) -> ReservationOut:
    return ReservationOut(**row.model_dump(include=set(ReservationOut.model_fields)))
