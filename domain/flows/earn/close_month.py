"""A month of a book is closed: told, signed, kept, and nothing is dated into it any more."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import ledger
from domain.agency import Agency
from domain.business_days import after, calendar_of, local_day, long_date
from domain.company import DEFAULT_CALENDAR, Company
from domain.consent_text import named
from domain.credits import Book
from domain.flows.tell.tell_members import tell_agency, tell_company
from domain.ids import new_id
from domain.month import Month
from domain.ports import Tools
from domain.statement import ANSWER_DAYS, Statement
from domain.views.statement import first_day, to_be_signed
from domain.views.statement_document import canonical, says_something

DOCUMENT_TYPE = "credit-statement+json"
"""The `typ` of the signature: a statement can be passed off for nothing else."""
READERS = ("admin", "head", "recruiter")


async def close_month(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    book_id: str,
    now: datetime,
) -> Statement | None:
    """Timer `book.close_at`: close the month before, on the fifth, and tell both sides.

    Months that fell behind are closed one by one, oldest first: the timer stands for the next one
    at once. A month with nothing to say is closed without a statement. A halted book waits.
    """
    book = await ledger.lock_book(session, company_id, book_id)
    if book.halted or book.close_at > now:
        return None
    month = await _month_to_close(session, book)
    document = await to_be_signed(session, book.company_id, book.agency_id, month, now)
    made = _signed(tools, book, document, now) if says_something(document) else None
    if made is not None:
        session.add(made)
        await session.flush()
    await ledger.close(session, book, month.last, now)
    if made is not None:
        await _tell(session, tools, made, now)
    return made


async def _month_to_close(session: AsyncSession, book: Book) -> Month:
    """The month before the timer's; but a book that was never closed may know older facts."""
    due = Month.of(local_day(book.close_at)).before
    if book.closed_through is not None:
        return due
    earliest = await first_day(session, book.company_id, book.id)
    return min(due, Month.of(earliest)) if earliest is not None else due


def _signed(tools: Tools, book: Book, document: dict[str, Any], now: datetime) -> Statement:
    content = canonical(document)
    calendar = calendar_of(DEFAULT_CALENDAR, tools.holidays)
    return Statement(
        company_id=book.company_id,
        id=new_id("stm"),
        agency_id=book.agency_id,
        book_id=book.id,
        month=Month.named(document["month"]).first,
        seq=book.last_seq,
        head_hash=book.head_hash,
        document=content,
        sha256=sha256(content).hexdigest(),
        signature=tools.signer.sign_document(content, kind=DOCUMENT_TYPE),
        answer_due_on=after(calendar, local_day(now), ANSWER_DAYS),
        closed_at=now,
    )


async def _tell(session: AsyncSession, tools: Tools, made: Statement, now: datetime) -> None:
    """One mail to each side. It names the two, the month and the day, and no person."""
    company = await session.get_one(Company, made.company_id)
    agency = await session.get_one(Agency, made.agency_id)
    month, due = Month(made.month), made.answer_due_on

    def words(other: Company | Agency, room: str) -> Any:
        return lambda locale: {
            "month": month.words(locale),
            "other_name": named(other, locale),
            "due_on": long_date(due, locale),
            "statement_id": made.id,
            "url": f"{tools.public_url}/{room}/statements/{month.name}?with={other.id}",
        }

    about, template = f"statement:{made.id}", "statement_ready"
    to_company, to_agency = words(agency, "dashboard"), words(company, "agency")
    await tell_company(
        session, tools, made.company_id, template, to_company,
        roles=READERS, about=about, now=now,
    )  # fmt: skip
    await tell_agency(session, tools, made.agency_id, template, to_agency, about=about, now=now)
