"""The pages of monthly statements: what stood there, what moved, and what both sides say to it."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col, select

from api.catalogue import say
from api.deps import Db, Kit, Now
from api.page_forms import Refilled
from api.pages import locale_of
from api.rooms import EITHER, ROOMS, Before, Done, LedgerForm, Room
from api.routes.credit_statements import KEYS
from api.session import SignedIn
from api.statement_pdf import laid_out
from api.statement_shapes import as_table, closed
from domain.business_days import local_day
from domain.errors import Invalid
from domain.flows.earn import answer_statement as flow
from domain.month import Month
from domain.ports import Tools
from domain.statement import Statement
from domain.views.ledger_lists import PAGE, counterparts
from domain.views.statement import Told, statements
from domain.views.statement_document import canonical
from integrations.pdf import render

router = APIRouter(include_in_schema=False)

MonthName = Annotated[str, Path(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$")]
Other = Annotated[str, Query(alias="with", pattern=EITHER)]
_BUCKETS = (
    "pending", "available", "reserved", "frozen", "used", "expired", "reversed", "owed",
)  # fmt: skip
_MEDIA = {
    "pdf": "application/pdf", "csv": "text/csv; charset=utf-8", "json": "application/json",
}  # fmt: skip


def _doors(room: Room) -> APIRouter:
    doors = APIRouter(prefix=f"{room.home}/statements")
    Reads = Annotated[SignedIn, room.reader]  # noqa: N806 - a type, made for this room
    Writes = Annotated[SignedIn, room.writer]  # noqa: N806

    @doors.get("")
    async def list_statements(
        *, request: Request, person: Reads, db: Db, now: Now, before: Before = None
    ) -> Response:
        """Closed months, the one closed last first; and the month that runs."""
        owner = await room.enter(db, person)
        wanted = select(Statement).where(getattr(Statement, f"{room.party}_id") == owner)
        if before is not None:
            wanted = wanted.where(col(Statement.id) < before)
        light = wanted.options(defer(Statement.document))  # type: ignore[arg-type]
        rows = (await db.scalars(light.order_by(col(Statement.id).desc()).limit(PAGE))).all()
        today, locale = local_day(now), locale_of(request)
        return room.page(
            request, person, "statements", Refilled(),
            rows=[(row, _answers(room, row, today)) for row in rows],
            others=await counterparts(db, room.party, owner),
            said=lambda day: Month.of(day).words(locale), this_month=Month.of(today), today=today,
            following=rows[-1].id if len(rows) == PAGE else None,
        )  # fmt: skip

    @doors.get("/{month}")
    async def read_statement(
        *, month: MonthName, other: Other, request: Request, person: Reads, db: Db, now: Now,
        done: Done = "",
    ) -> Response:  # fmt: skip
        """A month with one other side: as it was closed, or as it stands now."""
        return await _page(room, request, person, db, month=month, other=other, now=now, done=done)

    @doors.get("/{month}/file")
    async def read_file(
        *,
        month: MonthName,
        other: Other,
        kind: Annotated[Literal["pdf", "csv", "json"], Query(alias="format")],
        request: Request,
        person: Reads,
        db: Db,
        tools: Kit,
        now: Now,
    ) -> Response:
        """The month as a file: to read (PDF), to count with (CSV), or the signed bytes (JSON)."""
        told = await _told(room, db, person, month, other, now)
        content = await _content(room, told, kind, tools, locale_of(request), now)
        named = f'attachment; filename="credits-{month}.{kind}"'
        return Response(content, media_type=_MEDIA[kind], headers={"content-disposition": named})

    @doors.post("/{month}/answer")
    async def answer(
        *, month: MonthName, other: Other, request: Request, person: Writes, db: Db, now: Now
    ) -> Response:
        """Accept or contest a closed month."""
        form = await LedgerForm.read(request, "answer", "answer", "answer")
        pair = await room.with_other(db, person, other)
        company_id, agency_id, said = pair.company_id, pair.agency_id, form.values["answer"]
        if said not in {"accepted", "contested"}:
            form.refuse("answer_missing")
        else:
            await form.run(
                db,
                lambda: flow.answer(
                    db, company_id, agency_id, Month.named(month), said,
                    party=room.party, actor=person.member_id, now=now,
                ),
            )  # fmt: skip
        if form.refilled is None:
            return room.to(f"/statements/{month}", f"statement_{said}", **{"with": other})
        return await _page(
            room, request, person, db, month=month, other=other, now=now, again=form.refilled
        )

    return doors


async def _told(  # noqa: PLR0917 - which month of whom, and who asks
    room: Room, db: AsyncSession, person: SignedIn, month: str, other: str, now: datetime
) -> Told:
    pair = await room.with_other(db, person, other)
    if Month.named(month).begins > now:
        raise Invalid("this month has not begun", code="month_in_future")
    [told] = await statements(
        db, Month.named(month), now, company_id=pair.company_id, agency_id=pair.agency_id
    )
    return told


async def _page(
    room: Room, request: Request, person: SignedIn, db: AsyncSession, *,
    month: str, other: str, now: datetime, done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    told = await _told(room, db, person, month, other, now)
    owner = await room.enter(db, person)
    others, today, locale = (
        await counterparts(db, room.party, owner),
        local_day(now),
        locale_of(request),
    )
    row, this = told.statement, Month.named(month)
    own = getattr(row, f"{room.party}_answer") if row is not None else None
    return room.page(
        request, person, "statement", again or Refilled(),
        month=this, said=this.words(locale), document=told.document, statement=row,
        other=others[other], buckets=_BUCKETS,
        words=lambda key: say(locale, f"statement.{key}"),
        answers=_answers(room, row, today) if row is not None else None,
        may_answer=row is not None and own is None and today <= row.answer_due_on,
        before=this.before, after=this.next if this.next.begins <= now else None,
        done=done,
    )  # fmt: skip


def _answers(room: Room, row: Statement, today: Any) -> dict[str, str]:
    """What each side has said, seen from this room: a word of the catalogue."""
    found = {
        party: flow.shown(getattr(row, f"{party}_answer"), row.answer_due_on, today) or "open"
        for party in ("company", "agency")
    }
    return {"ours": found[room.party], "theirs": found[room.other]}


async def _content(  # noqa: PLR0917 - what it is made from
    room: Room, told: Told, kind: str, tools: Tools, locale: str, now: datetime
) -> bytes:
    document, row = told.document, told.statement
    if kind == "csv":
        return as_table([document]).encode()
    if kind == "json":
        return row.document if row is not None else canonical(document)
    prefix = f"/v1/{room.party}/credits/statements"
    signed = closed(row, prefix, local_day(now)).document if row is not None else None
    url = f"{tools.public_url}{signed}" if signed is not None else ""
    keys = f"{tools.public_url}{KEYS}"
    lang: Literal["ja", "en"] = "ja" if locale == "ja" else "en"
    pages = laid_out(document, row, lang, url=url, keys_url=keys, now=now)
    return await asyncio.to_thread(render, pages)


for one in ROOMS:
    router.include_router(_doors(one))
