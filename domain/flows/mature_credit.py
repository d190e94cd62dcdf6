"""A credit's two dates: from the first it may be used, after the last it may not."""

from datetime import datetime, timedelta

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.credits import (
    CREDIT,
    Book,
    Bucket,
    Credit,
    DateSet,
    Kind,
    LedgerEntry,
    Move,
    Posting,
)
from domain.ledger import today_in_japan
from domain.terms import available_on, expires_on, terms_of

_DAY = timedelta(days=1)


async def make_available(session: AsyncSession, book: Book, credit: Credit, now: datetime) -> None:
    """Post that a credit may be used, with its first and last day; settle a debt with it if any."""
    terms = terms_of(credit.terms)
    first = available_on(terms, credit.started_on, credit.guarantee_end_on)
    last = expires_on(terms, credit.started_on, first)
    day, reason = ledger.dated(book, first, now, None)
    posting = Posting(
        kind=Kind.BECAME_AVAILABLE,
        key=f"available:{credit.id}",
        effective_on=day,
        actor="system",
        reason=reason,
        moves=[Move(credit.id, Bucket.PENDING, Bucket.AVAILABLE)],
        dates=[
            DateSet(credit.id, "available_on", first),
            DateSet(credit.id, "expires_on", last),
        ],
    )
    await ledger.post(session, book, posting, now)
    if terms.settle_owed == "next_credit":
        await _settle_debt(session, book, credit, now)


async def expire_if_over(session: AsyncSession, book: Book, credit_id: str, now: datetime) -> None:
    """A credit that comes free after its last day expires in the same breath."""
    credit = await ledger.credit(session, book.company_id, credit_id)
    if credit.bucket == Bucket.AVAILABLE and is_over(credit, now):
        await expire(session, book, credit, now)


async def expire(session: AsyncSession, book: Book, credit: Credit, now: datetime) -> None:
    """Post that a credit's validity is over, under the day after its last day."""
    last = credit.expires_on or today_in_japan(now)
    day, reason = ledger.dated(book, last + _DAY, now, "validity")
    posting = Posting(
        kind=Kind.EXPIRED,
        key=f"expire:{credit.id}:{last.isoformat()}",
        effective_on=day,
        actor="system",
        reason=reason,
        moves=[Move(credit.id, Bucket.AVAILABLE, Bucket.EXPIRED)],
    )
    await ledger.post(session, book, posting, now)


def is_over(credit: Credit, now: datetime) -> bool:
    """Whether the last day on which the credit could be used has passed."""
    return credit.expires_on is not None and credit.expires_on < today_in_japan(now)


async def _settle_debt(session: AsyncSession, book: Book, credit: Credit, now: datetime) -> None:
    """The oldest debt is paid with the credit that has just become available."""
    debtor = await _oldest_debt(session, book)
    if debtor is None:
        return
    posting = Posting(
        kind=Kind.CLAWBACK_SETTLED,
        key=f"settle:{debtor}:{credit.id}",
        effective_on=today_in_japan(now),
        actor="system",
        moves=[
            Move(debtor, Bucket.REVERSED, Bucket.OWED),
            Move(credit.id, Bucket.AVAILABLE, Bucket.REVERSED),
        ],
    )
    await ledger.post(session, book, posting, now)


async def _oldest_debt(session: AsyncSession, book: Book) -> str | None:
    if await ledger.balance(session, book, Bucket.OWED) == 0:
        return None
    wanted = (
        select(LedgerEntry.credit_id)
        .where(
            col(LedgerEntry.company_id) == book.company_id,
            col(LedgerEntry.book_id) == book.id,
            col(LedgerEntry.unit) == CREDIT,
            col(LedgerEntry.bucket) == Bucket.OWED,
        )
        .group_by(col(LedgerEntry.credit_id))
        .having(func.sum(col(LedgerEntry.qty)) < 0)
        .order_by(func.min(col(LedgerEntry.tx_id)))
        .limit(1)
    )
    return (await session.scalars(wanted)).first()
