"""A placement earns credits; an early leave takes them back."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.agency import AgreementVersion
from domain.credits import (
    Book,
    Bucket,
    Credit,
    Kind,
    Move,
    NewCredit,
    Posting,
    Reservation,
    to_take_back,
)
from domain.errors import Invalid
from domain.flows.mature_credit import make_available
from domain.flows.use_credit import let_go
from domain.ids import new_id
from domain.ledger import credits_of, day_after, today_in_japan
from domain.relay import Placement
from domain.terms import Terms, taken_back, terms_of

_OPEN = (Bucket.PENDING, Bucket.AVAILABLE, Bucket.RESERVED, Bucket.FROZEN)


async def grant_for_placement(
    session: AsyncSession, placement: Placement, agreement_version: AgreementVersion, now: datetime
) -> Sequence[Credit]:
    """The credits a start earns by the agreement's rule; once, however often it is called.

    The caller works for the placement's company, has written the placement and checked that it is
    attributed to this company. Sets when the placement's guarantee is looked at. No credits, where
    the agreement does not grant by placement. Refuses (`starts_in_future`, 422) a start that has
    not happened: what is recorded is what is true.
    """
    if placement.started_on > today_in_japan(now):
        detail = "the start lies in the future; report it when it has happened"
        raise Invalid(detail, code="starts_in_future")
    if placement.state == "placed":
        placement.look_at = day_after(placement.guarantee_end_on)
        session.add(placement)
        await session.flush()
    terms = terms_of(agreement_version.terms)
    if not terms.grants_on_placement:
        return []
    book = await ledger.open_book(session, placement.company_id, placement.agency_id, now)
    granted = await ledger.post(session, book, _grant(book, placement, agreement_version, now), now)
    if not granted.replayed:
        await _cap(session, book, placement, terms, now)
        if terms.available_after == "start":
            await _open_at_once(session, book, placement, now)
    return await credits_of(session, placement.company_id, placement_id=placement.id)


def _grant(book: Book, placement: Placement, version: AgreementVersion, now: datetime) -> Posting:
    terms = terms_of(version.terms)
    made = [
        NewCredit(
            id=new_id("crd"),
            agreement_id=version.agreement_id,
            agreement_version=version.version,
            placement_id=placement.id,
            relay_id=placement.relay_id,
            terms=version.terms,
            started_on=placement.started_on,
            guarantee_end_on=placement.guarantee_end_on,
            value_cap_jpy=terms.value_cap_jpy,
        )
        for _ in range(terms.credits_per_placement)
    ]
    day, reason = ledger.dated(book, placement.started_on, now, None)
    return Posting(
        kind=Kind.GRANTED,
        key=f"granted:{placement.id}",
        effective_on=day,
        actor=placement.agency_id,
        reason=reason,
        moves=[Move(credit.id, Bucket.ISSUED, Bucket.PENDING) for credit in made],
        credits=made,
    )


async def _cap(
    session: AsyncSession, book: Book, placement: Placement, terms: Terms, now: datetime
) -> None:
    """More than the agreement lets stand open expires at once: visible, not silent."""
    if terms.max_open is None:
        return
    over = await ledger.balance(session, book, *_OPEN) - terms.max_open
    there = await credits_of(session, placement.company_id, placement_id=placement.id)
    for credit in list(there)[::-1][: max(over, 0)]:
        posting = Posting(
            kind=Kind.EXPIRED,
            key=f"expire:{credit.id}:cap",
            effective_on=today_in_japan(now),
            actor="system",
            reason="cap",
            moves=[Move(credit.id, Bucket.PENDING, Bucket.EXPIRED)],
        )
        await ledger.post(session, book, posting, now)


async def _open_at_once(
    session: AsyncSession, book: Book, placement: Placement, now: datetime
) -> None:
    for credit in await credits_of(session, placement.company_id, placement_id=placement.id):
        if credit.bucket == Bucket.PENDING:
            await make_available(session, book, credit, now)


async def take_back_for_early_leave(
    session: AsyncSession, placement: Placement, last_day_employed: date, now: datetime
) -> None:
    """Somebody left inside the guarantee: the agreed share of the placement's credits goes back.

    Recorded, never refused for lack of balance: what was used already becomes owed. The caller
    works for the placement's company, holds the placement locked and sets its state. Said again it
    changes nothing. Refuses (`outside_guarantee`, 422) a last day outside the guarantee.
    """
    if not placement.started_on <= last_day_employed <= placement.guarantee_end_on:
        detail = "the last day employed does not lie inside the guarantee"
        raise Invalid(detail, code="outside_guarantee")
    placement.look_at = None
    session.add(placement)
    await session.flush()
    book = await ledger.book_of(session, placement.company_id, placement.agency_id)
    if book is None:
        return
    book = await ledger.lock_book(session, book.company_id, book.id)
    if await ledger.posted(
        session, book, f"early_leave:{placement.id}:1", f"owed:{placement.id}:1"
    ):
        return
    there = await credits_of(session, placement.company_id, placement_id=placement.id)
    if not there:
        return
    count = taken_back(
        terms_of(there[0].terms), len(there), placement.started_on, last_day_employed
    )
    taken = {credit.id for credit in to_take_back(there, count)}
    for credit in there:
        if credit.id in taken and credit.bucket == Bucket.RESERVED:
            await _free(session, book, credit, now)
    there = await credits_of(session, placement.company_id, placement_id=placement.id)
    for posting in _take(
        book, placement, [credit for credit in there if credit.id in taken], last_day_employed, now
    ):
        await ledger.post(session, book, posting, now)


async def _free(session: AsyncSession, book: Book, credit: Credit, now: datetime) -> None:
    """A reserved credit is released before it goes back, so that its history explains itself."""
    wanted = select(Reservation).where(
        col(Reservation.company_id) == book.company_id,
        col(Reservation.credit_id) == credit.id,
        col(Reservation.state) == "reserved",
    )
    held = (await session.scalars(wanted.with_for_update())).one()
    await let_go(session, book, held, actor="system", reason="early_leave", now=now)


def _take(
    book: Book,
    placement: Placement,
    taken: Sequence[Credit],
    last_day_employed: date,
    now: datetime,
) -> list[Posting]:
    """What expired counts as taken and does not move; what was used is owed from here on."""
    day, reason = ledger.dated(book, last_day_employed, now, "early_leave")
    used = [credit for credit in taken if credit.bucket == Bucket.USED]
    back = [credit for credit in taken if credit.bucket not in {Bucket.USED, Bucket.EXPIRED}]
    moves = (
        (
            Kind.REVERSED,
            "early_leave",
            [Move(c.id, Bucket(c.bucket), Bucket.REVERSED) for c in back],
        ),
        (Kind.CLAWBACK_OWED, "owed", [Move(c.id, Bucket.OWED, Bucket.REVERSED) for c in used]),
    )
    return [
        Posting(
            kind=kind,
            key=f"{word}:{placement.id}:1",
            effective_on=day,
            actor=placement.agency_id,
            reason=reason,
            moves=listed,
            meaning=[last_day_employed.isoformat()],
        )
        for kind, word, listed in moves
        if listed
    ]
