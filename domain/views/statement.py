"""The statement of a book and a month: what stood there, what moved and why, what stands there now.

Told by the day on which things are true. One reading serves the month that still runs and the
document that is signed when it is closed; the same rows always make the same bytes. The number of
queries is the same for one book and for all books of a company; each reads those books alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.errors import Invalid
from domain.month import Month
from domain.statement import Statement
from domain.views.credits import moved_in
from domain.views.statement_document import BookMonth, document_of

_PAIRS = """
    SELECT a.id AS agreement_id, a.number, a.company_id, a.agency_id, k.id AS book_id, k.last_seq,
           k.head_hash, k.closed_through, c.name AS company_name, c.name_en AS company_name_en,
           g.name AS agency_name, g.name_en AS agency_name_en, g.license_number
      FROM agreement a
      JOIN company c ON c.id = a.company_id
      JOIN agency g ON g.id = a.agency_id
      LEFT JOIN book k ON k.company_id = a.company_id AND k.agency_id = a.agency_id
     WHERE {whose}
     ORDER BY a.id
"""
_THESE = """
      FROM unnest(CAST(:companies AS text[]), CAST(:books AS text[])) AS w (company_id, book_id)
      JOIN ledger_tx t ON t.company_id = w.company_id AND t.book_id = w.book_id
"""
_SUMS = text(f"""
    SELECT w.book_id, e.unit, e.bucket, sum(e.qty) AS closing,
           sum(e.reference_value_jpy) AS reference_value_jpy,
           coalesce(sum(e.qty) FILTER (WHERE t.effective_on < :first), 0) AS opening
    {_THESE}
      JOIN ledger_entry e ON e.company_id = t.company_id AND e.tx_id = t.id
     WHERE t.effective_on <= :last
     GROUP BY w.book_id, e.unit, e.bucket
""")
_CREDITS = text(f"""
    SELECT s.book_id, s.bucket, s.owed, c.id, c.agreement_version, c.relay_id, c.placement_id,
           c.guarantee_end_on, c.available_on, c.expires_on, c.reference_value_jpy
      FROM (
        SELECT w.company_id, w.book_id, e.credit_id, max(t.effective_on) AS moved_on,
               coalesce(sum(e.qty) FILTER (WHERE e.bucket = 8), 0) AS owed,
               (array_agg(e.bucket ORDER BY t.seq DESC, e.ord DESC)
                 FILTER (WHERE e.ord % 2 = 0 AND t.kind <> 11 AND e.bucket <> 8))[1] AS bucket
        {_THESE}
          JOIN ledger_entry e ON e.company_id = t.company_id AND e.tx_id = t.id AND e.unit = 1
         WHERE t.effective_on <= :last
         GROUP BY w.company_id, w.book_id, e.credit_id
      ) s
      JOIN credit c ON c.company_id = s.company_id AND c.id = s.credit_id
     WHERE s.bucket BETWEEN 1 AND 4 OR s.owed < 0 OR s.moved_on >= :first
     ORDER BY c.id
""")  # noqa: S608 - our own words
_DATES = text(f"""
    SELECT w.book_id, t.seq, t.kind, t.effective_on, t.recorded_at, t.reason_code, t.request,
           t.actor, d.credit_id, d.field, d.old_date, d.new_date
    {_THESE}
      JOIN credit_date_change d ON d.company_id = t.company_id AND d.tx_id = t.id
     WHERE t.effective_on BETWEEN :first AND :last
        OR d.credit_id = ANY(CAST(:credits AS text[]))
     ORDER BY t.seq, d.ord
""")
_DISPUTES = text("""
    SELECT d.company_id, d.agency_id, d.id, d.subject, d.reason, d.opened_by, d.credit_ids,
           d.frozen_on, d.ended_at, d.outcome
      FROM unnest(CAST(:companies AS text[]), CAST(:agencies AS text[]))
           AS w (company_id, agency_id)
      JOIN dispute d ON d.company_id = w.company_id AND d.agency_id = w.agency_id
     WHERE d.frozen_on <= :last AND (d.ended_at IS NULL OR d.ended_at >= :begins)
     ORDER BY d.id
""")
_FEES = text("""
    SELECT r.id, r.list_fee_jpy
      FROM unnest(CAST(:companies AS text[]), CAST(:reservations AS text[])) AS w (company_id, id)
      JOIN reservation r ON r.company_id = w.company_id AND r.id = w.id
     WHERE r.list_fee_jpy IS NOT NULL
""")
_CHECKPOINT = text("SELECT max(n) FROM ledger_checkpoint WHERE built_at <= :now")
_EARLIEST = text("""
    SELECT min(effective_on) FROM ledger_tx WHERE company_id = :company AND book_id = :book
""")


@dataclass(frozen=True)
class Told:
    """A month of one agreement: what is said, and the row in which it was signed, if it was."""

    document: dict[str, Any]
    statement: Statement | None = None


async def statements(
    session: AsyncSession,
    month: Month,
    now: datetime,
    *,
    company_id: str | None = None,
    agency_id: str | None = None,
) -> list[Told]:
    """A month of every agreement of a company, of an agency, or of the two together.

    A closed month as it was signed; another one as it stands now. Refuses a month that has not
    begun (`month_in_future`). Works as the tenant whose id is given, or as the company of both.
    """
    if month.begins > now:
        detail = "this month has not begun"
        raise Invalid(detail, code="month_in_future")
    whose = {"company_id": company_id, "agency_id": agency_id}
    pairs = await _pairs(session, whose)
    signed = await _signed(session, month, whose)
    read = await _read(session, [one for one in pairs if one.book_id not in signed], month, now)
    return [_told(one, month, signed.get(one.book_id), read.get(one.book_id)) for one in pairs]


async def to_be_signed(
    session: AsyncSession, company_id: str, agency_id: str, month: Month, now: datetime
) -> dict[str, Any]:
    """The document of a month that is about to be closed. Certain while the book is locked."""
    [pair] = await _pairs(session, {"company_id": company_id, "agency_id": agency_id})
    read = await _read(session, [pair], month, now)
    return document_of(pair, month, read[pair.book_id], closed_at=now)


async def first_day(session: AsyncSession, company_id: str, book_id: str) -> date | None:
    """The earliest day on which anything in a book is true; it may lie before its opening."""
    values = {"company": company_id, "book": book_id}
    found: date | None = (await session.execute(_EARLIEST, values)).scalar()
    return found


# Reading


async def _pairs(session: AsyncSession, whose: Mapping[str, str | None]) -> Sequence[Any]:
    named = {column: owner for column, owner in whose.items() if owner is not None}
    where = " AND ".join(f"a.{column} = :{column}" for column in named)
    return (await session.execute(text(_PAIRS.format(whose=where)), named)).all()


async def _signed(
    session: AsyncSession, month: Month, whose: Mapping[str, str | None]
) -> dict[str, Statement]:
    wanted = select(Statement).where(col(Statement.month) == month.first)
    for column, owner in whose.items():
        if owner is not None:
            wanted = wanted.where(getattr(Statement, column) == owner)
    return {one.book_id: one for one in (await session.scalars(wanted)).all()}


async def _read(
    session: AsyncSession, pairs: Sequence[Any], month: Month, now: datetime
) -> dict[str, BookMonth]:
    pairs = [one for one in pairs if one.book_id is not None]
    if not pairs:
        return {}
    checkpoint = await _checkpoint(session, now)
    found = {one.book_id: BookMonth(checkpoint=checkpoint) for one in pairs}
    of_pair = {(one.company_id, one.agency_id): found[one.book_id] for one in pairs}
    values: dict[str, Any] = {
        "companies": [one.company_id for one in pairs], "books": [one.book_id for one in pairs],
        "first": month.first, "last": month.last,
    }  # fmt: skip
    for row in (await session.execute(_SUMS, values)).all():
        found[row.book_id].note_sum(row)
    listed = (await session.execute(_CREDITS, values)).all()
    for row in listed:
        found[row.book_id].credits.append(row)
    named = {**values, "credits": [row.id for row in listed]}
    for row in (await session.execute(_DATES, named)).all():
        found[row.book_id].dates.append(row)
    books = [(one.company_id, one.book_id) for one in pairs]
    for entry in await moved_in(session, books, month.first, month.last):
        of_pair[entry.company_id, entry.agency_id].entries.append(entry)
    for row in await _disputes(session, pairs, month):
        of_pair[row.company_id, row.agency_id].disputes.append(row)
    await _note_fees(session, {one.book_id: one.company_id for one in pairs}, found)
    return found


async def _disputes(session: AsyncSession, pairs: Sequence[Any], month: Month) -> Sequence[Any]:
    values = {
        "companies": [one.company_id for one in pairs],
        "agencies": [one.agency_id for one in pairs],
        "begins": month.begins, "last": month.last,
    }  # fmt: skip
    return (await session.execute(_DISPUTES, values)).all()


async def _note_fees(
    session: AsyncSession, companies: Mapping[str, str], found: Mapping[str, BookMonth]
) -> None:
    held = {hire: book_id for book_id, one in found.items() for hire in one.hires()}
    if not held:
        return
    values = {
        "companies": [companies[book_id] for book_id in held.values()],
        "reservations": list(held),
    }
    for row in (await session.execute(_FEES, values)).all():
        found[held[row.id]].fees[row.id] = row.list_fee_jpy


async def _checkpoint(session: AsyncSession, now: datetime) -> int | None:
    """The newest checkpoint by then: whoever keeps the statement keeps an anchor of the chain."""
    found: int | None = (await session.execute(_CHECKPOINT, {"now": now})).scalar()
    return found


def _told(pair: Any, month: Month, signed: Statement | None, read: BookMonth | None) -> Told:
    if signed is not None:
        return Told(json.loads(signed.document), signed)
    return Told(document_of(pair, month, read or BookMonth(), closed_at=None))
