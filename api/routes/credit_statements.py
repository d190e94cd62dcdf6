"""Monthly statements of free referral credits, the same for both sides: told, signed, answered."""

import asyncio
import base64
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col, select

from api.auth import Caller
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Rehearsable
from api.shapes import Cursor, Limit, Page, Shape, page_of
from api.sides import EITHER, SIDES, Side
from api.statement_pdf import laid_out
from api.statement_shapes import Closed, Said, StatementOut, as_table, closed
from domain.business_days import local_day
from domain.errors import Invalid
from domain.flows.earn import answer_statement as flow
from domain.ids import pattern
from domain.month import Month
from domain.ports import Tools
from domain.statement import Statement
from domain.views.statement import Told, statements
from integrations.pdf import render

router = APIRouter(tags=["credits"])
KEYS = "/.well-known/ledger-keys.json"
MonthName = Annotated[str, Path(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$", examples=["2026-10"])]
CompanyId = Annotated[
    str | None, Query(pattern=pattern("cmp"), description="For agencies: the company of one book")
]
AgencyId = Annotated[
    str | None, Query(pattern=pattern("agy"), description="For companies: the agency of one book")
]
_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
        }
    }
}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The exact bytes that were signed",
        "content": {"application/json": {"schema": {"type": "object"}}},
        "headers": {
            "x-jws-signature": {
                "description": "Detached JWS (RFC 7515 appendix F)",
                "schema": {"type": "string"},
            },
            "repr-digest": {
                "description": "SHA-256 (RFC 9530)",
                "schema": {"type": "string"},
            },
        },
    }
}


class AnswerIn(Shape):
    """What you say to a closed month."""

    counterparty_id: str = Field(pattern=EITHER, description="The other side's id")
    answer: Said


def _doors(side: Side) -> APIRouter:  # noqa: C901 - one function per door, none of them branches
    here = f"{side.prefix}/credits/statements"
    doors = APIRouter(prefix=here)
    Reads = Annotated[Caller, side.reader]  # noqa: N806 - a type, made for this side
    Writes = Annotated[Caller, side.writer]  # noqa: N806

    @doors.get("", responses=problems(401, 403, 422, 429))
    async def list_statements(
        *,
        db: Db,
        now: Now,
        caller: Reads,
        company_id: CompanyId = None,
        agency_id: AgencyId = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[Closed]:
        """Closed months, the one closed last first, with what both sides said to them."""
        whose = {**side.whose(caller), **_named(_other(side, company_id, agency_id))}
        wanted = select(Statement).options(defer(Statement.document))  # type: ignore[arg-type]
        for column, owner in whose.items():
            wanted = wanted.where(getattr(Statement, column) == owner)
        rows, following = await page_of(db, wanted, col(Statement.id), cursor=cursor, limit=limit)
        today = local_day(now)
        return Page(data=[closed(row, here, today) for row in rows], next_cursor=following)

    @doors.get(
        "/{month}",
        response_model=StatementOut,
        responses={**problems(401, 403, 404, 422, 429), **_FORMS},
    )
    async def read_statement(
        *,
        request: Request,
        db: Db,
        kit: Kit,
        now: Now,
        caller: Reads,
        month: MonthName,
        company_id: CompanyId = None,
        agency_id: AgencyId = None,
        format: Annotated[  # noqa: A002 - the caller's word
            Literal["json", "csv", "pdf"] | None, Query(description="Else by `Accept`")
        ] = None,
        lang: Annotated[Literal["ja", "en"], Query(description="Of the PDF")] = "ja",
    ) -> Any:
        """A month as it was closed, or, `final` being false, as it stands now.

        By the day on which things are true: the opening of a month is the closing of the one before
        it, always. A month is closed on the fifth of the next one; what is heard later belongs to
        the day it is heard. As JSON or CSV for all agreements or one; as PDF for one.
        """
        other = _other(side, company_id, agency_id)
        told = await _told(side, db, caller, month, other=other, now=now)
        wanted = format or _accepted(request)
        if wanted == "pdf":
            if other is None:
                detail = "a PDF is made of one book: name the other side"
                raise Invalid(detail, code="counterparty_required")
            return await _as_pdf(told[0], here, kit, lang, now)
        if wanted == "csv":
            table = as_table(one.document for one in told)
            return _file(table.encode(), "text/csv; charset=utf-8", f"credits-{month}.csv")
        return JSONResponse(_shown(month, told, here, now))

    @doors.get("/{month}/document", responses={**problems(401, 403, 404, 409, 422, 429), **_BYTES})
    async def read_document(
        *,
        db: Db,
        caller: Reads,
        month: MonthName,
        company_id: CompanyId = None,
        agency_id: AgencyId = None,
    ) -> Response:
        """The document of a closed month, byte for byte as it was signed, and its signature.

        409 `statement_not_closed` before the closing; 404 where there was nothing to say.
        """
        other = _other(side, company_id, agency_id)
        if other is None:
            detail = "a document is of one book: name the other side"
            raise Invalid(detail, code="counterparty_required")
        pair = await side.with_other(db, caller, other)
        row = await flow.signed(db, pair.company_id, pair.agency_id, Month.named(month))
        digest = base64.b64encode(bytes.fromhex(row.sha256)).decode()
        more = {"x-jws-signature": row.signature, "repr-digest": f"sha-256=:{digest}:"}
        return _file(row.document, "application/json", f"credits-{month}-{row.id}.json", **more)

    @doors.post("/{month}/answer", responses=problems(400, 401, 403, 404, 409, 422, 429))
    async def answer_statement(
        *, given: AnswerIn, db: Db, now: Now, once: Rehearsable, caller: Writes, month: MonthName
    ) -> Closed:
        """Accept or contest a closed month, once, within ten business days of its closing.

        The statement does not change: a contested one may be followed by a dispute or a correction.
        409 `answer_too_late` afterwards: silence has been recorded as silence.
        """

        async def run() -> Closed:
            pair = await side.with_other(db, caller, given.counterparty_id)
            row = await flow.answer(
                db, pair.company_id, pair.agency_id, Month.named(month), given.answer,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return closed(row, here, local_day(now))

        return await once(run)

    return doors


def _other(side: Side, company_id: str | None, agency_id: str | None) -> str | None:
    return agency_id if side.party == "company" else company_id


def _named(other: str | None) -> dict[str, str]:
    if other is None:
        return {}
    return {"company_id" if other.startswith("cmp_") else "agency_id": other}


async def _told(
    side: Side, db: AsyncSession, caller: Caller, month: str, *, other: str | None, now: datetime
) -> list[Told]:
    """All agreements of the caller, or the one with this other side."""
    if other is None:
        return await statements(db, Month.named(month), now, **side.whose(caller))
    pair = await side.with_other(db, caller, other)
    return await statements(
        db, Month.named(month), now, company_id=pair.company_id, agency_id=pair.agency_id
    )


def _shown(month: str, told: list[Told], here: str, now: datetime) -> dict[str, Any]:
    today = local_day(now)
    return {
        "month": month,
        "final": _closed_everywhere(told),
        "agreements": [
            {
                **one.document,
                "signed": closed(one.statement, here, today).model_dump(mode="json")
                if one.statement is not None
                else None,
            }
            for one in told
        ],
    }


def _closed_everywhere(told: list[Told]) -> bool:
    books = [one.document["final"] for one in told if one.document["book_id"] is not None]
    return bool(books) and all(books)


def _accepted(request: Request) -> str:
    accepted = request.headers.get("accept", "").lower()
    for media, name in (("application/pdf", "pdf"), ("text/csv", "csv")):
        if media in accepted:
            return name
    return "json"


async def _as_pdf(
    told: Told, here: str, kit: Tools, lang: Literal["ja", "en"], now: datetime
) -> Response:
    month = told.document["month"]
    row = told.statement
    url = "" if row is None else f"{kit.public_url}{closed(row, here, local_day(now)).document}"
    pages = laid_out(told.document, row, lang, url=url, keys_url=f"{kit.public_url}{KEYS}", now=now)
    made = await asyncio.to_thread(render, pages)
    return _file(made, "application/pdf", f"credits-{month}-{lang}.pdf")


def _file(content: bytes, media: str, name: str, **headers: str) -> Response:
    named = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media, headers={**named, **headers})


for one in SIDES:
    router.include_router(_doors(one))
