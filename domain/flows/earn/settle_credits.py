"""What the calendar does to credits: a guarantee passes, a validity ends, a hold runs out."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain import ledger
from domain.credits import Bucket, Reservation
from domain.flows.earn import use_credit
from domain.flows.earn.mature_credit import expire, is_over, make_available
from domain.ledger import today_in_japan
from domain.ports import Tools
from domain.store import find, lock


async def look_at_credit(
    session: AsyncSession, _tools: Tools, company_id: str, credit_id: str, now: datetime
) -> None:
    """A date of this credit has passed: it becomes available, or it expires.

    Posted under the day on which it took effect, however late the look is. A halted book waits.
    """
    credit = await ledger.credit(session, company_id, credit_id)
    book = await ledger.lock_book(session, company_id, credit.book_id)
    if book.halted:
        return
    credit = await ledger.credit(session, company_id, credit_id)
    today = today_in_japan(now)
    if credit.bucket == Bucket.PENDING and credit.guarantee_end_on < today:
        await make_available(session, book, credit, now)
    elif credit.bucket == Bucket.AVAILABLE and is_over(credit, now):
        await expire(session, book, credit, now)


async def end_hold(
    session: AsyncSession, _tools: Tools, company_id: str, reservation_id: str, now: datetime
) -> None:
    """Nobody was hired in time, or the credit was asked back: it is free again, or goes back.

    While the credit is frozen the hold waits with it.
    """
    reservation = await find(session, Reservation, company_id, reservation_id)
    if reservation is None:
        return
    book = await ledger.lock_book(session, company_id, reservation.book_id)
    reservation = await lock(session, Reservation, company_id, reservation_id)
    credit = await ledger.credit(session, company_id, reservation.credit_id)
    if book.halted or reservation.state != "reserved" or credit.bucket != Bucket.RESERVED:
        return
    today = today_in_japan(now)
    if reservation.release_by is not None and reservation.release_by < today:
        reason = "asked_back"
    elif reservation.holds_until < today:
        reason = "hold_ended"
    else:
        return
    await use_credit.let_go(session, book, reservation, actor="system", reason=reason, now=now)
