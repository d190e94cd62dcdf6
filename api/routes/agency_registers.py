"""Statutory registers of an agency, as far as we hold what they need (職業安定法 32条の15)."""

import asyncio
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from api.auth import Caller, agency
from api.deps import Db, Now
from api.errors import problems
from api.shapes import Day, Shape
from domain.errors import Invalid
from domain.views.registers import FeeLine, fee_register
from integrations.tables_out import as_csv, as_xlsx

router = APIRouter(prefix="/v1/agency/registers", tags=["registers"])
_LONGEST = timedelta(days=3 * 366)
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TITLE = "手数料管理簿"
_HEADS = (
    "手数料を支払う者の氏名又は名称", "徴収年月日", "手数料の種類", "手数料の額（円）",
    "手数料の算出根拠（賃金、割合等）", "備考",
)  # fmt: skip
_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            _XLSX: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


class FeeLineOut(Shape):
    """A line of 手数料管理簿. The names of the columns stand in the descriptions."""

    payer: str = Field(description="手数料を支払う者の氏名又は名称")
    collected_on: date = Field(description="徴収年月日: the day of the hire")
    fee_kind: str = Field(description="手数料の種類")
    fee_jpy: int = Field(description="手数料の額（円）: nothing, as a credit took its place")
    basis: str = Field(description="手数料の算出根拠")
    remarks: str = Field(description="備考: the credit; 復活 with its day where it came back")
    company_id: str
    credit_id: str
    reservation_id: str
    restored_on: date | None


class FeeRegister(Shape):
    """手数料管理簿 of a period."""

    first_day: date
    last_day: date
    data: list[FeeLineOut]


@router.get(
    "/fees", response_model=FeeRegister, responses={**problems(401, 403, 422, 429), **_FORMS}
)
async def read_fee_register(
    *,
    request: Request,
    db: Db,
    now: Now,
    caller: Annotated[Caller, agency("credits:read")],
    first: Annotated[Day, Query(alias="from", description="The first day of hires listed")],
    last: Annotated[Day, Query(alias="to", description="The last day; at most three years later")],
    format: Annotated[  # noqa: A002 - the caller's word
        Literal["json", "csv", "xlsx"] | None, Query(description="Else by `Accept`")
    ] = None,
) -> Any:
    """The lines of the fee register (手数料管理簿) for hires made with a free referral credit.

    One line per hire, with a fee of 0 and the agreement's number as its basis; a credit that came
    back because the hire left is marked 復活. Fees you charged yourself are not known here. The
    other two registers (求人管理簿, 求職管理簿) are about your own clients' vacancies, and whom you
    introduced to them; we hold neither, and so cannot write them.
    """
    _check(first, last)
    found = await fee_register(db, caller.agency_id or "", first, last)
    wanted = format or _accepted(request)
    name = f"fee-register-{first}-{last}.{wanted}"
    if wanted == "csv":
        return _file(as_csv(_HEADS, map(_row, found)), "text/csv; charset=utf-8", name)
    if wanted == "xlsx":
        rows = [_row(line) for line in found]
        made = await asyncio.to_thread(as_xlsx, _TITLE, _HEADS, rows, made_at=now)
        return _file(made, _XLSX, name)
    return FeeRegister(first_day=first, last_day=last, data=[_line(one) for one in found])


def _check(first: date, last: date) -> None:
    if last < first:
        detail = "the last day lies before the first"
        raise Invalid(detail, code="period_invalid")
    if last - first > _LONGEST:
        detail = "ask for three years at most"
        raise Invalid(detail, code="period_too_long")


def _accepted(request: Request) -> str:
    accepted = request.headers.get("accept", "").lower()
    for media, name in ((_XLSX, "xlsx"), ("text/csv", "csv")):
        if media in accepted:
            return name
    return "json"


def _row(line: FeeLine) -> tuple[str | int | date, ...]:
    return (
        line.payer, line.collected_on, line.fee_kind, line.fee_jpy, line.basis, line.remarks,
    )  # fmt: skip


def _line(one: FeeLine) -> FeeLineOut:
    return FeeLineOut(
        payer=one.payer, collected_on=one.collected_on, fee_kind=one.fee_kind,
        fee_jpy=one.fee_jpy, basis=one.basis, remarks=one.remarks, company_id=one.company_id,
        credit_id=one.credit_id, reservation_id=one.reservation_id, restored_on=one.restored_on,
    )  # fmt: skip


def _file(content: bytes, media: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media, headers=headers)
