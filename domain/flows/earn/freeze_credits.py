"""Credits under dispute stand still: frozen, and later thawed or taken back. Their clocks wait."""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.credits import Book, Bucket, Credit, Kind, LedgerEntry, LedgerTx
from domain.flows.earn.mature_credit import announce_expiry, expire_if_over
from domain.flows.hear.ask_back import end_hold_of, open_hold
from domain.ledger import cite, day_after, today_in_japan
from domain.periods import extended
from domain.posting import DateSet, Move, Posting

FREEZABLE = (Bucket.PENDING, Bucket.AVAILABLE, Bucket.RESERVED)


async def freeze(
    session: AsyncSession,
    book: Book,
    credits_: Collection[Credit],
    dispute_id: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Post that these credits are frozen. A hold on one of them waits with it."""
    for credit in credits_:
        posting = Posting(
            kind=Kind.FROZEN,
            key=f"freeze:{dispute_id}:{credit.id}",
            effective_on=today_in_japan(now),
            actor=actor,
            reason="dispute",
            moves=[Move(credit.id, Bucket(credit.bucket), Bucket.FROZEN)],
            request={**cite(credit), "dispute_id": dispute_id},
        )
        held = credit.bucket == Bucket.RESERVED
        await ledger.post(session, book, posting, now)
        if held:
            await _stop_hold(session, credit)


async def thaw(
    session: AsyncSession,
    book: Book,
    credit: Credit,
    dispute_id: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    """The dispute ended for the company: back to where it was, its dates later by the frozen days.

    A credit that is no longer frozen (an early leave took it) is let be.
    """
    credit = await ledger.credit(session, book.company_id, credit.id)
    if credit.bucket != Bucket.FROZEN or credit.frozen_from is None:
        return
    back, since = Bucket(credit.frozen_from), await _frozen_on(session, credit)
    days = (today_in_japan(now) - since).days
    dates = _moved(credit, back, days)
    posting = Posting(
        kind=Kind.UNFROZEN,
        key=f"unfreeze:{dispute_id}:{credit.id}",
        effective_on=today_in_japan(now),
        actor=actor,
        reason="dispute",
        moves=[Move(credit.id, Bucket.FROZEN, back)],
        dates=dates,
        request={**cite(credit), "dispute_id": dispute_id, "frozen_days": days},
    )
    await ledger.post(session, book, posting, now)
    if back == Bucket.RESERVED:
        await _go_on(session, credit, days)
    for one in dates:
        if one.field == "expires_on":
            await announce_expiry(session, book, one.day, now)
    await expire_if_over(session, book, credit.id, now)


async def take_frozen(
    session: AsyncSession,
    book: Book,
    credit: Credit,
    dispute_id: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    """The dispute ended for the agency: the credit goes back for good, and a hold on it ends."""
    credit = await ledger.credit(session, book.company_id, credit.id)
    if credit.bucket != Bucket.FROZEN:
        return
    posting = Posting(
        kind=Kind.REVERSED,
        key=f"unfreeze:{dispute_id}:{credit.id}",
        effective_on=today_in_japan(now),
        actor=actor,
        reason="dispute",
        moves=[Move(credit.id, Bucket.FROZEN, Bucket.REVERSED)],
        request={**cite(credit), "dispute_id": dispute_id},
    )
    await ledger.post(session, book, posting, now)
    await end_hold_of(session, book.company_id, credit.id, now)


async def _frozen_on(session: AsyncSession, credit: Credit) -> date:
    """The day on which it was frozen last, by its newest entry there."""
    wanted = (
        select(col(LedgerTx.effective_on))
        .join(
            LedgerEntry,
            (col(LedgerEntry.company_id) == col(LedgerTx.company_id))
            & (col(LedgerEntry.tx_id) == col(LedgerTx.id)),
        )
        .where(
            col(LedgerEntry.company_id) == credit.company_id,
            col(LedgerEntry.credit_id) == credit.id,
            col(LedgerTx.kind) == Kind.FROZEN,
        )
        .order_by(col(LedgerTx.id).desc())
        .limit(1)
    )
    day: date = (await session.execute(wanted)).scalar_one()
    return day


def _moved(credit: Credit, back: Bucket, days: int) -> list[DateSet]:
    """Frozen time counts towards neither the guarantee nor the validity."""
    if days == 0:
        return []
    if back == Bucket.PENDING:
        day = extended(credit.guarantee_end_on, days)
        return [DateSet(credit.id, "guarantee_end_on", day)]
    assert credit.expires_on is not None
    return [DateSet(credit.id, "expires_on", extended(credit.expires_on, days))]


async def _stop_hold(session: AsyncSession, credit: Credit) -> None:
    held = await open_hold(session, credit.company_id, credit.id)
    if held is not None:
        held.look_at = None
        session.add(held)
        await session.flush()


async def _go_on(session: AsyncSession, credit: Credit, days: int) -> None:
    held = await open_hold(session, credit.company_id, credit.id)
    if held is None:
        return
    held.holds_until += timedelta(days=days)
    if held.release_by is not None:
        held.release_by += timedelta(days=days)
    held.look_at = day_after(min(held.holds_until, held.release_by or held.holds_until))
    session.add(held)
    await session.flush()
