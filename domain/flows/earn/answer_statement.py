"""What a side says to a closed month: that it is right, or that it is not."""

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.business_days import local_day
from domain.errors import Conflict, NotFound
from domain.ledger import book_of
from domain.month import Month
from domain.statement import Statement
from domain.store import lock

SILENT = "silent"
"""Shown for a side that said nothing in time. It is neither a yes nor a no, and not stored."""


async def signed(session: AsyncSession, company_id: str, agency_id: str, month: Month) -> Statement:
    """The statement of a closed month. The caller works for the company.

    Refusals: `statement_not_closed` (409) while the month is open; `NotFound` where it was closed
    with nothing to say, or nothing was ever granted.
    """
    wanted = select(Statement).where(
        col(Statement.company_id) == company_id,
        col(Statement.agency_id) == agency_id,
        col(Statement.month) == month.first,
    )
    found = (await session.scalars(wanted)).first()
    if found is not None:
        return found
    book = await book_of(session, company_id, agency_id)
    if book is not None and book.closed_through and book.closed_through >= month.last:
        raise NotFound
    detail = "a month is closed on the fifth of the next one, in Japan"
    raise Conflict(detail, code="statement_not_closed")


async def answer(
    session: AsyncSession,
    company_id: str,
    agency_id: str,
    month: Month,
    said: str,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Statement:
    """Accept or contest a closed month, once per side and in time. The document stays as it is.

    The same answer again changes nothing. Refusals: those of `signed`; `answered_already`,
    `answer_too_late` (409).
    """
    there = await signed(session, company_id, agency_id, month)
    there = await lock(session, Statement, company_id, there.id)
    before = getattr(there, f"{party}_answer")
    if before == said:
        return there
    if before is not None:
        raise Conflict(f"you have answered: {before}", code="answered_already")
    if local_day(now) > there.answer_due_on:
        detail = "the time to answer is over; open a dispute or ask for a correction"
        raise Conflict(detail, code="answer_too_late")
    setattr(there, f"{party}_answer", said)
    setattr(there, f"{party}_answered_by", actor)
    setattr(there, f"{party}_answered_at", now)
    session.add(there)
    await session.flush()
    return there


def shown(given: str | None, due_on: date, today: date) -> str | None:
    """An answer as it is shown: once the time is over, silence is told as silence."""
    return SILENT if given is None and today > due_on else given
