"""An agreement's last day has passed: what is there expires no later than its tail allows."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.agreement import Agreement
from domain.credits import Book, Bucket, Credit, Kind
from domain.flows.earn.mature_credit import announce_expiry
from domain.ledger import cite, today_in_japan
from domain.ports import Tools
from domain.posting import DateSet, Posting
from domain.store import find, lock
from domain.terms import tail_end, terms_of

_USABLE = (Bucket.AVAILABLE, Bucket.RESERVED, Bucket.FROZEN)


async def end_agreement_now(
    session: AsyncSession, _tools: Tools, company_id: str, agreement_id: str, now: datetime
) -> None:
    """Timer `agreement.look_at`: the notice period is over. Pending credits keep their guarantee.

    Their last day follows when they become available (`mature_credit.usable_days`). A halted book
    waits.
    """
    if await find(session, Agreement, company_id, agreement_id) is None:
        return
    agreement = await lock(session, Agreement, company_id, agreement_id)
    if agreement.look_at is None or agreement.look_at > now:
        return
    book = await ledger.book_of(session, company_id, agreement.agency_id)
    if book is not None:
        book = await ledger.lock_book(session, company_id, book.id)
        if book.halted:
            return
    agreement.state, agreement.look_at = "ended", None  # its last month is still attested
    session.add(agreement)
    await session.flush()
    if book is None:
        return
    for credit in await _with_a_last_day(session, book):
        await _shorten(session, book, credit, agreement, now)


async def _with_a_last_day(session: AsyncSession, book: Book) -> list[Credit]:
    wanted = select(Credit).where(
        col(Credit.company_id) == book.company_id,
        col(Credit.book_id) == book.id,
        col(Credit.bucket).in_(_USABLE),
        col(Credit.expires_on).is_not(None),
    )
    fresh = wanted.order_by(col(Credit.id)).execution_options(populate_existing=True)
    return list((await session.scalars(fresh)).all())


async def _shorten(
    session: AsyncSession, book: Book, credit: Credit, agreement: Agreement, now: datetime
) -> None:
    assert agreement.ends_on is not None
    assert credit.expires_on is not None
    last = tail_end(terms_of(credit.terms), agreement.ends_on)
    if credit.expires_on <= last:
        return
    posting = Posting(
        kind=Kind.TERM_CHANGED,
        key=f"tail:{credit.id}",
        effective_on=today_in_japan(now),
        actor="system",
        reason="agreement_ended",
        moves=[],
        dates=[DateSet(credit.id, "expires_on", last)],
        request={
            **cite(credit), "ends_on": agreement.ends_on.isoformat(),
            "expired_on": credit.expires_on.isoformat(),
        },
    )  # fmt: skip
    await ledger.post(session, book, posting, now)
    await announce_expiry(session, book, last, now)
