"""HR holds a credit for an opening; a hire uses it, or it is let go."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from domain import fees, ledger
from domain.credits import Book, Bucket, Credit, Kind, Reservation
from domain.errors import Conflict, Halted, Invalid, NotFound
from domain.flows.earn.mature_credit import (
    announce_expiry,
    expire_if_over,
    settle_debt,
    within_tail,
)
from domain.flows.hear.ask_back import take_asked_back
from domain.ids import new_id
from domain.ledger import cite, day_after, today_in_japan
from domain.posting import DateSet, Move, Posting
from domain.store import find, lock
from domain.terms import guarantee_end, restored_until, terms_of


@dataclass(frozen=True)
class Opening:
    """What HR wants to fill, and what an agreement's scope may ask about it."""

    title: str
    job_type: str | None = None
    employment_term: str | None = None
    annual_salary_jpy: int | None = None


async def reserve(
    session: AsyncSession,
    company_id: str,
    *,
    agency_id: str,
    opening: Opening,
    actor: str,
    now: datetime,
) -> Reservation:
    """Hold the credit that expires first among the company's usable ones at an agency.

    Of many who ask for the last one, exactly one gets it. Refusals: `no_credit_available`,
    `out_of_scope`, `credit_owed` (409), `book_halted` (423).
    """
    book = await _book(session, company_id, agency_id)
    today = today_in_japan(now)
    credit = await _pick(session, book, opening, today)
    await _check_debt(session, book, credit)
    held = _held(book, credit, opening, actor, now)
    await ledger.post(session, book, _step(Kind.RESERVED, held, credit, today, actor=actor), now)
    session.add(held)
    await session.flush()
    return held


async def release(
    session: AsyncSession, company_id: str, reservation_id: str, *, actor: str, now: datetime
) -> Reservation:
    """Give a held credit back. One whose last day has passed meanwhile expires at once.

    Refusals: `reservation_not_open`, `credit_frozen` (409).
    """
    book, held, _ = await _open(session, company_id, reservation_id)
    await let_go(session, book, held, actor=actor, reason="cancelled", now=now)
    return held


async def use(
    session: AsyncSession,
    company_id: str,
    reservation_id: str,
    *,
    hired_on: date,
    actor: str,
    now: datetime,
    annual_salary_jpy: int | None = None,
) -> Reservation:
    """A hire was made without the placement fee: the held credit is spent, for good.

    Refusals: `reservation_not_open`, `reservation_expired`, `credit_frozen`, `out_of_scope` (409);
    `hired_in_future`, `hired_before_available` (422).
    """
    book, held, credit = await _open(session, company_id, reservation_id)
    _check_hire(held, credit, hired_on, today_in_japan(now))
    if annual_salary_jpy is not None:
        held.annual_salary_jpy = annual_salary_jpy
        _check_scope(credit, _opening_of(held))
        held.list_fee_jpy = _list_fee(credit, annual_salary_jpy, hired_on)
    # Not dated before the hold it ends: no day may show a credit used twice over.
    dated = ledger.dated(book, max(hired_on, held.reserved_on), now, None)
    step = _step(
        Kind.USED, held, credit, dated.day,
        actor=actor, reason=dated.reason, hired_on=hired_on.isoformat(), **dated.request,
    )  # fmt: skip
    await ledger.post(session, book, step, now)
    _end(held, "used", now)
    held.hired_on = hired_on
    session.add(held)
    await session.flush()
    await take_asked_back(session, book, held, Bucket.USED, now)
    return held


async def restore(
    session: AsyncSession,
    company_id: str,
    reservation_id: str,
    *,
    last_day_employed: date,
    actor: str,
    now: datetime,
) -> Reservation:
    """The free hire left inside the agency's guarantee: the credit comes back, usable for a while.

    Refusals: `reservation_not_used`, `restore_not_agreed`, `outside_guarantee`,
    `left_before_start`, `not_left_yet` (409).
    """
    book, held, credit = await _there(session, company_id, reservation_id)
    if held.state != "used" or held.hired_on is None:
        raise Conflict(f"the reservation is {held.state}", code="reservation_not_used")
    today = today_in_japan(now)
    _check_leave(credit, held.hired_on, last_day_employed, today)
    expires = await within_tail(session, credit, credit.expires_on or today)
    last = restored_until(terms_of(credit.terms), expires, today)
    posting = Posting(
        kind=Kind.RESTORED,
        key=f"restore:{held.id}",
        effective_on=today,
        actor=actor,
        reason="early_leave",
        moves=[Move(credit.id, Bucket.USED, Bucket.AVAILABLE)],
        dates=[DateSet(credit.id, "expires_on", last)],
        request={
            **cite(credit), "reservation_id": held.id,
            "hired_on": held.hired_on.isoformat(), "left_on": last_day_employed.isoformat(),
        },
    )  # fmt: skip
    await ledger.post(session, book, posting, now)
    held.state, held.left_on = "restored", last_day_employed
    session.add(held)
    await session.flush()
    await announce_expiry(session, book, last, now)
    await settle_debt(session, book, credit, now)
    await expire_if_over(session, book, credit.id, now)
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
    """Release a held credit under the book's lock, for whatever reason.

    One that was asked back goes back; one whose last day has passed expires.
    """
    credit = await ledger.credit(session, book.company_id, held.credit_id)
    step = _step(Kind.RELEASED, held, credit, today_in_japan(now), actor=actor, reason=reason)
    await ledger.post(session, book, step, now)
    _end(held, "released", now)
    session.add(held)
    await session.flush()
    await take_asked_back(session, book, held, Bucket.AVAILABLE, now)
    await expire_if_over(session, book, held.credit_id, now)


async def _pick(session: AsyncSession, book: Book, opening: Opening, today: date) -> Credit:
    """The credit that expires first among those whose scope the opening fits."""
    why = None
    async for credit in ledger.usable(session, book, today):
        problem = _problem(credit, opening)
        if problem is None:
            return credit
        why = why or problem
    if why is None:
        raise _none_left()
    raise _out_of_scope(why)


async def _check_debt(session: AsyncSession, book: Book, credit: Credit) -> None:
    owing = await ledger.balance(session, book, Bucket.OWED) < 0
    if owing and not terms_of(credit.terms).reserve_while_owed:
        detail = "a credit is owed back; by the agreement none is reserved until it is settled"
        raise Conflict(detail, code="credit_owed")


def _problem(credit: Credit, opening: Opening) -> str | None:
    return terms_of(credit.terms).scope.problem(
        opening.job_type, opening.employment_term, opening.annual_salary_jpy
    )


def _check_scope(credit: Credit, opening: Opening) -> None:
    problem = _problem(credit, opening)
    if problem is not None:
        raise _out_of_scope(problem)


def _out_of_scope(why: str) -> Conflict:
    return Conflict(f"the agreement's scope does not cover this: {why}", code="out_of_scope")


def _list_fee(credit: Credit, annual_salary_jpy: int | None, on: date) -> int | None:
    """参考値: the fee, without tax, that the credit takes the place of."""
    terms = terms_of(credit.terms)
    if terms.fee is None or annual_salary_jpy is None:
        return None
    return fees.waived(fees.fee(annual_salary_jpy, terms.fee, on), terms.value_cap_jpy)


def _opening_of(held: Reservation) -> Opening:
    return Opening(held.opening, held.job_type, held.employment_term, held.annual_salary_jpy)


_MOVES = {
    Kind.RESERVED: (Bucket.AVAILABLE, Bucket.RESERVED, "reserve"),
    Kind.RELEASED: (Bucket.RESERVED, Bucket.AVAILABLE, "release"),
    Kind.USED: (Bucket.RESERVED, Bucket.USED, "use"),
}


def _step(
    kind: Kind,
    held: Reservation,
    credit: Credit,
    day: date,
    *,
    actor: str,
    reason: str | None = None,
    **more: str,
) -> Posting:
    source, target, word = _MOVES[kind]
    return Posting(
        kind=kind,
        key=f"{word}:{held.id}",
        effective_on=day,
        actor=actor,
        reason=reason,
        moves=[Move(held.credit_id, source, target)],
        request={**cite(credit), "reservation_id": held.id, **more},
    )


def _held(book: Book, credit: Credit, opening: Opening, actor: str, now: datetime) -> Reservation:
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
        opening=opening.title,
        job_type=opening.job_type,
        employment_term=opening.employment_term,
        annual_salary_jpy=opening.annual_salary_jpy,
        list_fee_jpy=_list_fee(credit, opening.annual_salary_jpy, today),
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
    over = credit.expires_on is not None and credit.expires_on < today
    stops = terms_of(credit.terms).reservation_stops_expiry
    if held.holds_until < today or (over and not stops):
        detail = "the hold has ended; reserve a credit again"
        raise Conflict(detail, code="reservation_expired")


def _check_leave(credit: Credit, hired_on: date, last_day: date, today: date) -> None:
    terms = terms_of(credit.terms)
    if last_day < hired_on:
        detail = "the last day employed lies before the hire"
        raise Conflict(detail, code="left_before_start")
    if last_day > today:
        detail = "report a leave once the last day has come"
        raise Conflict(detail, code="not_left_yet")
    if last_day > guarantee_end(terms, hired_on):
        detail = "the guarantee had ended by then"
        raise Conflict(detail, code="outside_guarantee")
    if not terms.restore_on_early_leave:
        detail = "by the agreement a used credit does not come back"
        raise Conflict(detail, code="restore_not_agreed")


async def _book(session: AsyncSession, company_id: str, agency_id: str) -> Book:
    book = await ledger.book_of(session, company_id, agency_id)
    if book is None:
        raise _none_left()
    book = await ledger.lock_book(session, company_id, book.id)
    if book.halted:
        raise Halted
    return book


async def _there(
    session: AsyncSession, company_id: str, reservation_id: str
) -> tuple[Book, Reservation, Credit]:
    """The book first, then the reservation: everybody locks in this order."""
    there = await find(session, Reservation, company_id, reservation_id)
    if there is None:
        raise NotFound
    book = await ledger.lock_book(session, company_id, there.book_id)
    held = await lock(session, Reservation, company_id, reservation_id)
    return book, held, await ledger.credit(session, company_id, held.credit_id)


async def _open(
    session: AsyncSession, company_id: str, reservation_id: str
) -> tuple[Book, Reservation, Credit]:
    book, held, credit = await _there(session, company_id, reservation_id)
    if held.state != "reserved":
        raise Conflict(f"the reservation is {held.state}", code="reservation_not_open")
    if credit.bucket == Bucket.FROZEN:
        detail = "the credit is under dispute; the hold goes on when that has ended"
        raise Conflict(detail, code="credit_frozen")
    return book, held, credit


def _none_left() -> Conflict:
    return Conflict("no credit can be used at this agency today", code="no_credit_available")
