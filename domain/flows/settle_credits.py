"""What the calendar does to credits: a guarantee passes, a validity ends, a hold runs out."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain import ledger
from domain.credits import Bucket, Reservation
from domain.flows import use_credit
from domain.flows.announce import announce
from domain.flows.mature_credit import expire, expire_if_over, is_over, make_available
from domain.ledger import today_in_japan
from domain.ports import Tools
from domain.relay import Placement, Relay, advance
from domain.store import find, lock


async def settle_guarantee(
    session: AsyncSession, _tools: Tools, company_id: str, placement_id: str, now: datetime
) -> None:
    """The guarantee of a placement has passed without an early leave: the relay has succeeded."""
    there = await find(session, Placement, company_id, placement_id)
    if there is None:
        return
    # The relay before its placement: everybody locks in this order.
    relay = await lock(session, Relay, company_id, there.relay_id)
    placement = await lock(session, Placement, company_id, placement_id)
    if placement.state != "placed" or placement.guarantee_end_on >= today_in_japan(now):
        return
    placement.state, placement.look_at = "guaranteed", None
    session.add(placement)
    before, relay.state = relay.state, advance(relay.state, "guaranteed")
    if relay.state != before:
        await announce(session, relay, "relay.updated", now)


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
    """Nobody was hired in time: the credit is free again, or expires if its time is over."""
    reservation = await find(session, Reservation, company_id, reservation_id)
    if reservation is None:
        return
    book = await ledger.lock_book(session, company_id, reservation.book_id)
    reservation = await lock(session, Reservation, company_id, reservation_id)
    due = reservation.holds_until < today_in_japan(now)
    if book.halted or reservation.state != "reserved" or not due:
        return
    await use_credit.let_go(
        session, book, reservation, actor="system", reason="hold_ended", now=now
    )
    await expire_if_over(session, book, reservation.credit_id, now)
