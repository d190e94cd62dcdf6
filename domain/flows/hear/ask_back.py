"""A credit that is taken back while it is held for a hire: HR is asked to let it go.

After five business days it goes by itself. If the hire is made first, the credit is owed.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.business_days import after, calendar_of, local_day, long_date
from domain.company import Company
from domain.credits import Book, Bucket, Credit, Kind, Reservation
from domain.flows.tell.tell_members import tell_company
from domain.ledger import cite, day_after, today_in_japan
from domain.placement import Placement
from domain.ports import Tools
from domain.posting import Move, Posting

RELEASE_DAYS = 5
"""Business days in which the company lets a credit go that is asked back."""


async def ask_back(
    session: AsyncSession,
    tools: Tools,
    book: Book,
    credit: Credit,
    placement: Placement,
    *,
    now: datetime,
) -> None:
    """Mark the open hold of a credit as asked back, and tell HR until when it may let go."""
    held = await open_hold(session, book.company_id, credit.id)
    assert held is not None  # a reserved credit has its hold: one transaction makes both
    company = await session.get_one(Company, book.company_id)
    calendar = calendar_of(company.calendar, tools.holidays)
    held.asked_back_for = placement.id
    held.release_by = after(calendar, local_day(now), RELEASE_DAYS)
    held.look_at = min(day_after(held.release_by), day_after(held.holds_until))
    session.add(held)
    await session.flush()
    by, number = held.release_by, held.id
    await tell_company(
        session, tools, book.company_id, "credit_asked_back",
        lambda locale: {
            "opening": held.opening, "release_by": long_date(by, locale),
            "credits_url": f"{tools.public_url}/dashboard/credits",
        },
        roles=("admin", "head", "recruiter"), about=f"asked-back:{number}", now=now,
    )  # fmt: skip


async def asked_back(session: AsyncSession, placement: Placement) -> Sequence[Reservation]:
    """The open holds whose credits this placement takes back, locked."""
    wanted = select(Reservation).where(
        col(Reservation.company_id) == placement.company_id,
        col(Reservation.asked_back_for) == placement.id,
        col(Reservation.state) == "reserved",
    )
    return (await session.scalars(wanted.order_by(col(Reservation.id)).with_for_update())).all()


async def let_stay(session: AsyncSession, placement: Placement, most: int) -> int:
    """The placement earns again: up to so many holds are no longer asked back. How many."""
    kept = (await asked_back(session, placement))[:most]
    for held in kept:
        held.asked_back_for, held.release_by = None, None
        held.look_at = day_after(held.holds_until)
        session.add(held)
    await session.flush()
    return len(kept)


async def take_asked_back(
    session: AsyncSession, book: Book, held: Reservation, bucket: Bucket, now: datetime
) -> None:
    """The hold of an asked-back credit has ended: what is free goes back, what was used is owed."""
    if held.asked_back_for is None:
        return
    placement = await session.get_one(Placement, (held.company_id, held.asked_back_for))
    credit = await ledger.credit(session, book.company_id, held.credit_id)
    owed = bucket == Bucket.USED
    posting = Posting(
        kind=Kind.CLAWBACK_OWED if owed else Kind.REVERSED,
        key=f"{'owed' if owed else 'asked_back'}:{placement.id}:{held.id}",
        effective_on=today_in_japan(now),
        actor=placement.agency_id,
        reason="asked_back",
        moves=[Move(credit.id, Bucket.OWED if owed else bucket, Bucket.REVERSED)],
        request={**cite(credit), "placement_id": placement.id, "report": placement.reports},
    )
    await ledger.post(session, book, posting, now)


async def end_hold_of(
    session: AsyncSession, company_id: str, credit_id: str, now: datetime
) -> None:
    """A frozen credit goes back for good: what hold there was on it has ended."""
    held = await open_hold(session, company_id, credit_id)
    if held is not None:
        held.state, held.look_at, held.ended_at = "released", None, now
        session.add(held)
        await session.flush()


async def open_hold(session: AsyncSession, company_id: str, credit_id: str) -> Reservation | None:
    """The open hold of a credit, locked, if there is one."""
    wanted = select(Reservation).where(
        col(Reservation.company_id) == company_id,
        col(Reservation.credit_id) == credit_id,
        col(Reservation.state) == "reserved",
    )
    return (await session.scalars(wanted.with_for_update())).first()
