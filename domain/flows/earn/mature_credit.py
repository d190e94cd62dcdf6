"""A credit's two dates: from the first it may be used, after the last it may not."""

from datetime import date, datetime, timedelta

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.agreement import Agreement
from domain.credits import CREDIT, Book, Bucket, Credit, ExpiryNotice, Kind, LedgerEntry
from domain.ids import new_id
from domain.ledger import cite, day_after, today_in_japan
from domain.posting import DateSet, Move, Posting
from domain.store import add_once
from domain.terms import available_on, expires_on, guarantee_end, tail_end, terms_of

NOTICE_DAYS = (60, 30, 7)
"""Days before a credit's last day at which HR is told."""
_DAY = timedelta(days=1)


async def make_available(session: AsyncSession, book: Book, credit: Credit, now: datetime) -> None:
    """Post that a credit may be used, with its first and last day; settle a debt with it if any."""
    first, last = await usable_days(session, credit)
    dated = ledger.dated(book, first, now, None)
    day = await ledger.no_earlier(session, book, dated.day, [credit.id])
    posting = Posting(
        kind=Kind.BECAME_AVAILABLE,
        key=f"available:{credit.id}",
        effective_on=day,
        actor="system",
        reason=dated.reason,
        moves=[Move(credit.id, Bucket.PENDING, Bucket.AVAILABLE)],
        dates=[
            DateSet(credit.id, "available_on", first),
            DateSet(credit.id, "expires_on", last),
        ],
        request={**cite(credit), **dated.request},
    )
    await ledger.post(session, book, posting, now)
    await announce_expiry(session, book, last, now)
    await settle_debt(session, book, credit, now)


async def usable_days(session: AsyncSession, credit: Credit) -> tuple[date, date]:
    """The first and the last day of use by the credit's terms; no later than the agreement's tail.

    Days on which it was frozen count towards neither. A credit that no placement earned has no
    guarantee to wait for.
    """
    terms = terms_of(credit.terms)
    first = credit.started_on
    if credit.placement_id is not None:
        first = available_on(terms, credit.started_on, credit.guarantee_end_on)
    last = expires_on(terms, credit.started_on, first)
    if terms.validity_from == "start":
        last += _DAY * frozen_days(credit)
    return first, await within_tail(session, credit, last)


def frozen_days(credit: Credit) -> int:
    """How many days a dispute held up the guarantee: the credit's last day against its terms'."""
    ends = guarantee_end(terms_of(credit.terms), credit.started_on)
    return (credit.guarantee_end_on - ends).days


async def within_tail(session: AsyncSession, credit: Credit, last: date) -> date:
    """A last day of use, brought forward to the agreement's tail once its end is known."""
    agreement = await session.get_one(Agreement, (credit.company_id, credit.agreement_id))
    if agreement.ends_on is None:
        return last
    return min(last, tail_end(terms_of(credit.terms), agreement.ends_on))


async def announce_expiry(session: AsyncSession, book: Book, last: date, now: datetime) -> None:
    """Plan to tell HR sixty, thirty and seven days before a last day; what has passed is let be."""
    for days in NOTICE_DAYS:
        moment = day_after(last - _DAY * (days + 1))
        if moment <= now:
            continue
        notice = ExpiryNotice(
            company_id=book.company_id, id=new_id("exp"), agency_id=book.agency_id,
            book_id=book.id, expires_on=last, days_before=days, look_at=moment,
        )  # fmt: skip
        await add_once(session, notice)


async def expire_if_over(session: AsyncSession, book: Book, credit_id: str, now: datetime) -> None:
    """A credit that comes free after its last day expires in the same breath."""
    credit = await ledger.credit(session, book.company_id, credit_id)
    if credit.bucket == Bucket.AVAILABLE and is_over(credit, now):
        await expire(session, book, credit, now)


async def expire(session: AsyncSession, book: Book, credit: Credit, now: datetime) -> None:
    """Post that a credit's validity is over, under the day after its last day."""
    last = credit.expires_on or today_in_japan(now)
    dated = ledger.dated(book, last + _DAY, now, "validity")
    day = await ledger.no_earlier(session, book, dated.day, [credit.id])
    posting = Posting(
        kind=Kind.EXPIRED,
        key=f"expire:{credit.id}:{last.isoformat()}",
        effective_on=day,
        actor="system",
        reason=dated.reason,
        moves=[Move(credit.id, Bucket.AVAILABLE, Bucket.EXPIRED)],
        request={**cite(credit), **dated.request},
    )
    await ledger.post(session, book, posting, now)


def is_over(credit: Credit, now: datetime) -> bool:
    """Whether the last day on which the credit could be used has passed."""
    return credit.expires_on is not None and credit.expires_on < today_in_japan(now)


async def settle_debt(session: AsyncSession, book: Book, credit: Credit, now: datetime) -> None:
    """The oldest debt is paid with a credit that has just become free, if so agreed."""
    if terms_of(credit.terms).settle_owed != "next_credit":
        return
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
        request=cite(credit),
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
