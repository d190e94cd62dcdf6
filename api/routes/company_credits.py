"""Free referral credits: balances, the ledger behind them, statements, and how to spend one."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, Field
from sqlmodel import col, select

from api.auth import Caller, company
from api.deps import Db, Now
from api.errors import problems
from api.idempotency import Once
from api.shapes import (
    Cursor,
    Day,
    Limit,
    Page,
    Shape,
    Text,
    Utc,
    decode_cursor,
    encode_cursor,
    page_of,
    typed_id,
)
from domain.credits import Reservation
from domain.errors import NotFound
from domain.flows import use_credit
from domain.ids import pattern
from domain.store import find
from domain.views import credits as view

router = APIRouter(prefix="/v1/company/credits", tags=["credits"])

Reader = Annotated[Caller, company("credits:read")]
Spender = Annotated[Caller, company("credits:write")]
Kind = Literal[
    "granted", "became_available", "reserved", "released", "used", "restored", "expired", "frozen",
    "unfrozen", "reversed", "clawback_owed", "clawback_settled", "adjusted", "point_counted",
    "point_removed", "term_changed",
]  # fmt: skip


class Counts(Shape):
    """How many credits stand where. `owed` is negative: taken back after they had been used."""

    pending: int = Field(ge=0, description="Granted; the guarantee period is running")
    available: int = Field(ge=0, description="May be reserved")
    reserved: int = Field(ge=0, description="Held for an opening")
    used: int = Field(ge=0, description="A hire was made with it")
    expired: int = Field(ge=0, description="Lapsed")
    reversed: int = Field(ge=0, description="Taken back, e.g. after an early leave")
    frozen: int = Field(ge=0, description="Under dispute")
    owed: int = Field(le=0, description="Owed back by the company")


class AgreementCounts(Counts):
    """The same for one agreement."""

    agreement_id: str
    agency_id: str


class CreditsOut(Shape):
    """A company's free referral credits (無償紹介枠)."""

    total: Counts
    agreements: list[AgreementCounts]


class EntryOut(Shape):
    """One move of one credit. Nothing here is ever changed; corrections are new entries."""

    id: str
    kind: Kind
    credit_id: str
    agency_id: str
    agreement_id: str
    agreement_version: int
    relay_id: str | None
    placement_id: str | None
    from_bucket: str
    to_bucket: str
    effective_on: date
    at: Utc
    reason: str | None
    actor: str


class StatementBook(Shape):
    """A month at one agency."""

    agreement_id: str
    agency_id: str
    opening: Counts
    closing: Counts
    movements: dict[str, int]
    entries: list[EntryOut]


class StatementOut(Shape):
    """A month of all agreements, by the time of recording in Japan."""

    month: str
    final: bool = Field(description="The month is over; the statement will not change")
    agreements: list[StatementBook]


class ReservationIn(Shape):
    """Which agency's credit is held, and for what. Name the opening, not a person."""

    agency_id: str = Field(pattern=pattern("agy"))
    opening: Annotated[Text, AfterValidator(str.strip), Field(min_length=1, max_length=200)]


class HireIn(Shape):
    """The day of the hire, in Japan."""

    hired_on: Day


class ReservationOut(Shape):
    """A credit held for an opening."""

    id: str
    credit_id: str
    agency_id: str
    opening: str
    state: Literal["reserved", "released", "used"]
    reserved_on: date
    holds_until: date = Field(description="The last day of the hold; then it ends by itself")
    hired_on: date | None
    created_at: Utc


Format = Annotated[
    Literal["json", "csv"] | None, Query(description="`csv` for a table; else by `Accept`")
]
_AS_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}}
}


@router.get("", responses=problems(401, 403, 429))
async def read_credits(db: Db, caller: Reader) -> CreditsOut:
    """Your credits: in all, and per agreement."""
    found = await view.balances(db, caller.company_id or "")
    return CreditsOut(
        total=_counts(found.total),
        agreements=[
            AgreementCounts(
                agreement_id=one.agreement_id, agency_id=one.agency_id, **asdict(one.balance)
            )
            for one in found.agreements
        ],
    )


@router.get(
    "/entries", response_model=Page[EntryOut], responses={**problems(401, 403, 422, 429), **_AS_CSV}
)
async def list_entries(
    *,
    request: Request,
    db: Db,
    caller: Reader,
    relay_id: Annotated[str | None, Query(pattern=pattern("rly"))] = None,
    agency_id: Annotated[str | None, Query(pattern=pattern("agy"))] = None,
    credit_id: Annotated[str | None, Query(pattern=pattern("crd"))] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
    format: Format = None,  # noqa: A002 - the caller's word
) -> Any:
    """The ledger behind the numbers, newest first; as JSON, or as CSV."""
    found = await view.entries(
        db,
        caller.company_id or "",
        relay_id=relay_id,
        agency_id=agency_id,
        credit_id=credit_id,
        before=decode_cursor(cursor) if cursor is not None else None,
        limit=limit + 1,
    )
    shown, more = found[:limit], len(found) > limit
    following = encode_cursor(shown[-1].id) if more else None
    if _wants_csv(request, format):
        return _csv("credit-entries.csv", shown, following)
    return Page[EntryOut](data=[_entry(one) for one in shown], next_cursor=following)


@router.get(
    "/statements/{month}",
    response_model=StatementOut,
    responses={**problems(401, 403, 422, 429), **_AS_CSV},
)
async def read_statement(
    *,
    request: Request,
    db: Db,
    now: Now,
    caller: Reader,
    month: Annotated[str, Path(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$", examples=["2026-10"])],
    format: Format = None,  # noqa: A002 - the caller's word
) -> Any:
    """What a month recorded, between the balances before and after it; as JSON, or as CSV."""
    made = await view.statement(db, caller.company_id or "", month, now)
    if _wants_csv(request, format):
        entries = [entry for one in made.agreements for entry in one.entries]
        return _csv(f"credits-{month}.csv", entries, None)
    return StatementOut(
        month=made.month,
        final=made.final,
        agreements=[
            StatementBook(
                agreement_id=one.agreement_id,
                agency_id=one.agency_id,
                opening=_counts(one.opening),
                closing=_counts(one.closing),
                movements=one.movements,
                entries=[_entry(entry) for entry in one.entries],
            )
            for one in made.agreements
        ],
    )


@router.get("/reservations", responses=problems(401, 403, 422, 429))
async def list_reservations(
    db: Db,
    caller: Reader,
    state: Literal["reserved", "released", "used"] | None = None,
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
    given: ReservationIn, db: Db, now: Now, once: Once, caller: Spender
) -> ReservationOut:
    """Hold a credit for an opening: the one that expires first. 409 when none can be used."""

    async def run() -> ReservationOut:
        held = await use_credit.reserve(
            db,
            caller.company_id or "",
            agency_id=given.agency_id,
            opening=given.opening,
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
    once: Once,
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
    once: Once,
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
            actor=caller.client_id,
            now=now,
        )
        return _reservation(held)

    return await once(run)


def _counts(balance: view.Balance) -> Counts:
    return Counts(**asdict(balance))


def _entry(entry: view.Entry) -> EntryOut:
    return EntryOut(**asdict(entry))


def _reservation(row: Reservation) -> ReservationOut:
    return ReservationOut(
        **row.model_dump(
            include={
                "id", "credit_id", "agency_id", "opening", "state", "reserved_on", "holds_until",
                "hired_on", "created_at",
            }
        )
    )  # fmt: skip


def _wants_csv(request: Request, wanted: str | None) -> bool:
    return wanted == "csv" or (
        wanted is None and "text/csv" in request.headers.get("accept", "").lower()
    )


def _csv(name: str, entries: Iterable[view.Entry], following: str | None) -> Response:
    """One line per entry. Ids, dates and codes only: nothing a spreadsheet could run."""
    made = io.StringIO()
    writer = csv.DictWriter(made, [one.name for one in fields(view.Entry)], lineterminator="\r\n")
    writer.writeheader()
    for entry in entries:
        writer.writerow(_entry(entry).model_dump(mode="json"))
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    if following is not None:
        headers["x-next-cursor"] = following
    return Response(made.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
