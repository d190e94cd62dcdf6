"""HR holds a credit for an opening; a hire uses it, or it is let go."""

from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from domain import ledger
from domain.credits import Book, Bucket, Credit, Kind, Move, Posting, Reservation
from domain.errors import Conflict, Halted, Invalid, NotFound
from domain.flows.mature_credit import expire_if_over
from domain.ids import new_id
from domain.ledger import day_after, today_in_japan
from domain.store import find, lock
from domain.terms import terms_of


async def reserve(
    session: AsyncSession,
    company_id: str,
    *,
    agency_id: str,
    opening: str,
    actor: str,
    now: datetime,
) -> Reservation:
    """Hold the company's oldest usable credit at an agency for an opening.

    Of many who ask for the last one, exactly one gets it. Refusals: `no_credit_available` (409),
    `book_halted` (423).
    """
    book = await _book(session, company_id, agency_id)
    today = today_in_japan(now)
    credit = await ledger.oldest_usable(session, book, today)
    if credit is None:
        raise _none_left()
    held = _held(book, credit, opening, actor, now)
    await ledger.post(session, book, _step(Kind.RESERVED, held, today, actor, None), now)
    session.add(held)
    await session.flush()
    return held


async def release(
    session: AsyncSession, company_id: str, reservation_id: str, *, actor: str, now: datetime
) -> Reservation:
    """Give a held credit back. One whose last day has passed meanwhile expires at once.

    Refusal: `reservation_not_open` (409).
    """
    book, held = await _open(session, company_id, reservation_id)
    await let_go(session, book, held, actor=actor, reason="cancelled", now=now)
    await expire_if_over(session, book, held.credit_id, now)
    return held


async def use(
    session: AsyncSession,
    company_id: str,
    reservation_id: str,
    *,
    hired_on: date,
    actor: str,
    now: datetime,
) -> Reservation:
    """A hire was made without the placement fee: the held credit is spent, for good.

    Refusals: `reservation_not_open`, `reservation_expired` (409); `hired_in_future`,
    `hired_before_available` (422).
    """
    book, held = await _open(session, company_id, reservation_id)
    credit = await ledger.credit(session, company_id, held.credit_id)
    _check_hire(held, credit, hired_on, today_in_japan(now))
    # Not dated before the hold it ends: no day may show a credit used twice over.
    day, reason = ledger.dated(book, max(hired_on, held.reserved_on), now, None)
    await ledger.post(session, book, _step(Kind.USED, held, day, actor, reason), now)
    _end(held, "used", now)
    held.hired_on = hired_on
    session.add(held)
    await session.flush()
    return held


async def let_go(
    session: AsyncSession,
    book: Book,
    held: Reservation,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    """Release a held credit under the book's lock, for whatever reason."""
    posting = _step(Kind.RELEASED, held, today_in_japan(now), actor, reason)
    await ledger.post(session, book, posting, now)
    _end(held, "released", now)
    session.add(held)
    await session.flush()


_MOVES = {
    Kind.RESERVED: (Bucket.AVAILABLE, Bucket.RESERVED, "reserve"),
    Kind.RELEASED: (Bucket.RESERVED, Bucket.AVAILABLE, "release"),
    Kind.USED: (Bucket.RESERVED, Bucket.USED, "use"),
}


def _step(kind: Kind, held: Reservation, day: date, actor: str, reason: str | None) -> Posting:
    source, target, word = _MOVES[kind]
    return Posting(
        kind=kind,
        key=f"{word}:{held.id}",
        effective_on=day,
        actor=actor,
        reason=reason,
        moves=[Move(held.credit_id, source, target)],
    )


def _held(book: Book, credit: Credit, opening: str, actor: str, now: datetime) -> Reservation:
    terms, today = terms_of(credit.terms), today_in_japan(now)
    until = today + timedelta(days=terms.reservation_days)
    if not terms.reservation_stops_expiry and credit.expires_on is not None:
        until = min(until, credit.expires_on)
    return Reservation(
        company_id=book.company_id,
        id=new_id("rsv"),
        agency_id=book.agency_id,
        book_id=book.id,
        credit_id=credit.id,
        opening=opening,
        reserved_on=today,
        holds_until=until,
        actor=actor,
        look_at=day_after(until),
        created_at=now,
    )


def _end(held: Reservation, state: str, now: datetime) -> None:
    held.state, held.look_at, held.ended_at = state, None, now


def _check_hire(held: Reservation, credit: Credit, hired_on: date, today: date) -> None:
    if hired_on > today:
        detail = "the hire lies in the future; use the credit when it has happened"
        raise Invalid(detail, code="hired_in_future")
    if credit.available_on is None or hired_on < credit.available_on:
        detail = "the hire was made before the credit could be used"
        raise Invalid(detail, code="hired_before_available")
    if held.holds_until < today:
        detail = "the hold has ended; reserve a credit again"
        raise Conflict(detail, code="reservation_expired")


async def _book(session: AsyncSession, company_id: str, agency_id: str) -> Book:
    book = await ledger.book_of(session, company_id, agency_id)
    if book is None:
        raise _none_left()
    book = await ledger.lock_book(session, company_id, book.id)
    if book.halted:
        raise Halted
    return book


async def _open(
    session: AsyncSession, company_id: str, reservation_id: str
) -> tuple[Book, Reservation]:
    """The book first, then the reservation: everybody locks in this order."""
    there = await find(session, Reservation, company_id, reservation_id)
    if there is None:
        raise NotFound
    book = await ledger.lock_book(session, company_id, there.book_id)
    held = await lock(session, Reservation, company_id, reservation_id)
    if held.state != "reserved":
        raise Conflict(f"the reservation is {held.state}", code="reservation_not_open")
    return book, held


def _none_left() -> Conflict:
    return Conflict("no credit can be used at this agency today", code="no_credit_available")
