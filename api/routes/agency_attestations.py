"""Attestations: month by month an agency stands by it that no placement is unreported."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, Field
from sqlmodel import col, select

from api.auth import Caller, agency, company
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Rehearsable
from api.shapes import Cursor, Limit, Page, Shape, Text, Utc, page_of
from api.sides import SIDES, Side
from domain.duty import Attestation
from domain.flows.earn.attest import attest, manager_of
from domain.ids import pattern
from domain.month import Month
from domain.ports import Sealer

router = APIRouter(tags=["attestations"])
State = Literal["due", "given", "overdue"]
MonthName = Annotated[str, Path(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$", examples=["2026-10"])]
Manager = Annotated[Text, AfterValidator(str.strip), Field(min_length=1, max_length=200)]


class AttestationIn(Shape):
    """「未報告の成約はありません」: no placement of people from this company is unreported."""

    company_id: str | None = Field(
        default=None,
        pattern=pattern("cmp"),
        description="Towards this company; left out: towards all that still wait for the month",
    )
    statement: Literal[True] = Field(description="True: there are no unreported placements")
    manager: Manager = Field(
        description="The placement manager (職業紹介責任者) who stands by it. Stored sealed"
    )


class AttestationOut(Shape):
    """What is owed, or was given, for one month and one company."""

    id: str
    month: str = Field(description="`yyyy-mm`")
    company_id: str
    agency_id: str
    state: State
    due_on: date = Field(description="The last day to give it")
    given_at: Utc | None
    manager: str | None
    open_relays: int | None = Field(description="Relays open when it was given")
    placements: int | None = Field(
        description="Starts in the month that had been reported when it was given"
    )


class AttestationsOut(Shape):
    """Every attestation the answer covers."""

    data: list[AttestationOut]


def _lists(side: Side) -> APIRouter:
    doors = APIRouter(prefix=f"{side.prefix}/attestations")
    reader = company("relays:read") if side.party == "company" else agency("relays:read")

    @doors.get("", responses=problems(401, 403, 422))
    async def list_attestations(
        *,
        db: Db,
        kit: Kit,
        caller: Annotated[Caller, reader],
        state: Annotated[State | None, Query(description="Only those in this state")] = None,
        counterparty_id: Annotated[
            str | None, Query(pattern=pattern("(cmp|agy)"), description="Only with this side")
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[AttestationOut]:
        """Attestations owed and given, newest first."""
        column, owner = next(iter(side.whose(caller).items()))
        wanted = select(Attestation).where(getattr(Attestation, column) == owner)
        if state is not None:
            wanted = wanted.where(col(Attestation.state) == state)
        if counterparty_id is not None:
            other = "agency_id" if side.party == "company" else "company_id"
            wanted = wanted.where(getattr(Attestation, other) == counterparty_id)
        rows, following = await page_of(db, wanted, col(Attestation.id), cursor=cursor, limit=limit)
        return Page(data=[_out(kit.sealer, row) for row in rows], next_cursor=following)

    return doors


@router.post("/v1/agency/attestations/{month}", responses=problems(400, 401, 403, 404, 409, 422))
async def give_attestation(
    *,
    month: MonthName,
    given: AttestationIn,
    caller: Annotated[Caller, agency("relays:write")],
    db: Db,
    kit: Kit,
    now: Now,
    once: Rehearsable,
) -> AttestationsOut:
    """Attest that every placement which started has been reported. Given once, never changed.

    The same again is the same; with another name for the manager it is refused. A month can be
    attested when it is over and something was owed for it.
    """

    async def run() -> AttestationsOut:
        rows = await attest(
            db, kit, caller.agency_id or "", Month.named(month), company_id=given.company_id,
            manager=given.manager, actor=caller.client_id, now=now,
        )  # fmt: skip
        return AttestationsOut(data=[_out(kit.sealer, row) for row in rows])

    return await once(run)


def _out(sealer: Sealer, row: Attestation) -> AttestationOut:
    was_given = row.state == "given"
    return AttestationOut(
        id=row.id, month=Month(row.month).name, company_id=row.company_id,
        agency_id=row.agency_id, state=row.state, due_on=row.due_on, given_at=row.given_at,
        manager=manager_of(sealer, row),
        open_relays=row.open_relays if was_given else None,
        placements=row.placements if was_given else None,
    )  # fmt: skip


for one in SIDES:
    router.include_router(_lists(one))
