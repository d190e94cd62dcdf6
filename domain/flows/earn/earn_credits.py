"""What a placement's facts earn, brought into the book: credits are granted, or taken back.

Facts may change: a start is postponed, a report corrected or taken back, somebody leaves early, a
dispute is decided. Each time the book is brought to what the facts now earn, by new postings only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import ledger
from domain.agreement import AgreementVersion
from domain.credits import Book, Bucket, Credit, Kind, LedgerEntry
from domain.flows.earn.mature_credit import frozen_days, make_available
from domain.flows.hear.ask_back import ask_back, asked_back, end_hold_of, let_stay
from domain.ids import new_id
from domain.ledger import cite, credits_of, today_in_japan
from domain.periods import extended
from domain.placement import Placement
from domain.ports import Tools
from domain.posting import DateSet, Move, NewCredit, Posting, to_take_back
from domain.terms import Terms, taken_back, terms_of

_SPOKEN_FOR = text("""
    SELECT e.credit_id, t.kind
      FROM ledger_entry e
      JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
      LEFT JOIN dispute d ON d.company_id = t.company_id AND d.id = t.request ->> 'dispute_id'
     WHERE e.company_id = :company AND e.credit_id = ANY(:credits) AND e.ord % 2 = 0
       AND e.bucket = 7 AND (t.kind IN (12, 13) OR (t.kind = 10 AND d.subject = 'credit'))
""")
_OPEN = (Bucket.PENDING, Bucket.AVAILABLE, Bucket.RESERVED, Bucket.FROZEN)
_REPLACEABLE = (Bucket.PENDING, Bucket.AVAILABLE)


@dataclass(frozen=True)
class _Case:
    """A placement, what its agreement says, its locked book, and why we look at it now."""

    session: AsyncSession
    tools: Tools
    book: Book
    placement: Placement
    version: AgreementVersion
    because: str
    now: datetime

    @property
    def terms(self) -> Terms:
        return terms_of(self.version.terms)

    def request(self, **more: str | int) -> dict[str, str | int]:
        """What a posting of this case cites."""
        return {
            **cite(self.version), "placement_id": self.placement.id,
            "report": self.placement.reports, **more,
        }  # fmt: skip


async def settle_placement(
    session: AsyncSession, tools: Tools, placement: Placement, *, because: str, now: datetime
) -> Sequence[Credit]:
    """Post what the placement's facts earn and what they no longer earn; its credits as they stand.

    The caller works for the placement's company, holds the placement locked, and has written its
    facts. `because` names the event: `started`, `early_leave`, `leave_corrected`, `corrected`,
    `postponed`, `withdrawn`, `decided`. Recorded, never refused for lack of balance: what was used
    already becomes owed. Said again it changes nothing.
    """
    version = await session.get_one(
        AgreementVersion,
        (placement.company_id, placement.agreement_id, placement.agreement_version),
    )
    due = earned(terms_of(version.terms), placement)
    await session.flush()
    book = await ledger.book_of(session, placement.company_id, placement.agency_id)
    if book is None and due == 0:
        return []
    book = await ledger.open_book(session, placement.company_id, placement.agency_id, now)
    case = _Case(session, tools, book, placement, version, because, now)
    await _bring_to(case, due)
    return await credits_of(session, placement.company_id, placement_id=placement.id)


def earned(terms: Terms, placement: Placement) -> int:
    """How many credits the facts earn: none before the start, fewer after an early leave."""
    if not terms.grants_on_placement or placement.state in {"expected", "withdrawn"}:
        return 0
    if not placement.left_early or placement.left_on is None:
        return terms.credits_per_placement
    gone = taken_back(terms, terms.credits_per_placement, placement.started_on, placement.left_on)
    return terms.credits_per_placement - gone


async def _bring_to(case: _Case, due: int) -> None:
    there = await credits_of(case.session, case.book.company_id, placement_id=case.placement.id)
    stale = [credit for credit in there if due and _is_stale(credit, case.placement)]
    paid, agreed = await _spoken_for(case, there)
    gone = await _gone(case, there) - paid | {credit.id for credit in stale}
    standing = [credit for credit in there if credit.id not in gone]
    taken = to_take_back(standing, max(len(standing) - due, 0))
    await _take(case, [*stale, *taken])  # one report, one posting
    missing = due - len(standing) - len(agreed)
    if missing > 0:
        missing -= await let_stay(case.session, case.placement, missing)
        waited = sorted((frozen_days(credit) for credit in stale), reverse=True)
        await _grant(case, missing, waited, first=not there)


def _is_stale(credit: Credit, placement: Placement) -> bool:
    """Whether a credit that nobody has touched rests on facts that no longer hold."""
    facts = credit.started_on, credit.agreement_id, credit.agreement_version
    now_so = placement.started_on, placement.agreement_id, placement.agreement_version
    return credit.bucket in _REPLACEABLE and facts != now_so


async def _gone(case: _Case, there: Sequence[Credit]) -> set[str]:
    """Credits that were taken back already: reversed, owed for, or asked back."""
    reversed_ = {credit.id for credit in there if credit.bucket == Bucket.REVERSED}
    asked = {held.credit_id for held in await asked_back(case.session, case.placement)}
    return reversed_ | asked | await _owed_for(case, [credit.id for credit in there])


async def _spoken_for(case: _Case, there: Sequence[Credit]) -> tuple[set[str], set[str]]:
    """Reversed credits that no fact of the placement took, and none brings back.

    Those that paid a debt, which is like a use; and those the two sides, or the decision of a
    dispute about them, took away.
    """
    ids = [credit.id for credit in there if credit.bucket == Bucket.REVERSED]
    if not ids:
        return set(), set()
    values = {"company": case.book.company_id, "credits": ids}
    rows = (await case.session.execute(_SPOKEN_FOR, values)).all()
    owed = await _owed_for(case, ids)
    paid = {row.credit_id for row in rows if row.kind == Kind.CLAWBACK_SETTLED} - owed
    return paid, {row.credit_id for row in rows if row.kind != Kind.CLAWBACK_SETTLED}


async def _owed_for(case: _Case, ids: Collection[str]) -> set[str]:
    """Credits that became owed at some time, settled since or not."""
    wanted = select(LedgerEntry.credit_id).where(
        col(LedgerEntry.company_id) == case.book.company_id,
        col(LedgerEntry.book_id) == case.book.id,
        col(LedgerEntry.credit_id).in_(ids),
        col(LedgerEntry.bucket) == Bucket.OWED,
    )
    return {found for found in (await case.session.scalars(wanted)).all() if found is not None}


# More is earned


async def _grant(case: _Case, count: int, waited: Sequence[int], *, first: bool) -> None:
    """`waited`: days on which the credits these replace stood frozen; they do not count."""
    if count <= 0:
        return
    placement, terms = case.placement, case.terms
    key = f"granted:{placement.id}" + ("" if first else f":{placement.reports}")
    made = [_new(case) for _ in range(count)]
    dated = ledger.dated(case.book, placement.started_on, case.now, None if first else case.because)
    posting = Posting(
        kind=Kind.GRANTED,
        key=key,
        effective_on=dated.day,
        actor=placement.agency_id,
        reason=dated.reason,
        moves=[Move(credit.id, Bucket.ISSUED, Bucket.PENDING) for credit in made],
        dates=[
            DateSet(one.id, "guarantee_end_on", extended(one.guarantee_end_on, days))
            for one, days in zip(made, waited, strict=False)
            if days
        ],
        credits=made,
        request=case.request(**dated.request),
    )
    if (await ledger.post(case.session, case.book, posting, case.now)).replayed:
        return
    ids = {credit.id for credit in made}
    await cap(case.session, case.book, terms, ids, case.now)
    if terms.available_after == "start":
        await _open_at_once(case, ids)


def _new(case: _Case) -> NewCredit:
    placement, terms = case.placement, case.terms
    return NewCredit(
        id=new_id("crd"),
        agreement_id=case.version.agreement_id,
        agreement_version=case.version.version,
        placement_id=placement.id,
        relay_id=placement.relay_id,
        terms=case.version.terms,
        started_on=placement.started_on,
        guarantee_end_on=placement.guarantee_end_on,
        value_cap_jpy=terms.value_cap_jpy,
        reference_value_jpy=terms.reference_value_jpy,
    )


async def cap(
    session: AsyncSession, book: Book, terms: Terms, granted: Collection[str], now: datetime
) -> None:
    """More than the agreement lets stand open expires at once: visible, not silent."""
    if terms.max_open is None:
        return
    over = await ledger.balance(session, book, *_OPEN) - terms.max_open
    for credit_id in sorted(granted, reverse=True)[: max(over, 0)]:
        credit = await ledger.credit(session, book.company_id, credit_id)
        posting = Posting(
            kind=Kind.EXPIRED,
            key=f"expire:{credit_id}:cap",
            effective_on=today_in_japan(now),
            actor="system",
            reason="cap",
            moves=[Move(credit_id, Bucket.PENDING, Bucket.EXPIRED)],
            request=cite(credit),
        )
        await ledger.post(session, book, posting, now)


async def _open_at_once(case: _Case, granted: Collection[str]) -> None:
    for credit_id in sorted(granted):
        credit = await ledger.credit(case.session, case.book.company_id, credit_id)
        if credit.bucket == Bucket.PENDING:
            await make_available(case.session, case.book, credit, case.now)


# Less is earned


async def _take(case: _Case, taken: Sequence[Credit]) -> None:
    """What expired counts as taken and does not move; what is held is asked back first.

    What was used, or paid a debt, is owed.
    """
    held = [credit for credit in taken if credit.bucket == Bucket.RESERVED]
    used = [one for one in taken if one.bucket in {Bucket.USED, Bucket.REVERSED}]
    ending = {Bucket.RESERVED, Bucket.USED, Bucket.EXPIRED, Bucket.REVERSED}
    await _reverse(case, [credit for credit in taken if credit.bucket not in ending])
    await _owe(case, used)
    for credit in held:
        await ask_back(case.session, case.tools, case.book, credit, case.placement, now=case.now)


async def _reverse(case: _Case, back: Sequence[Credit]) -> None:
    moves = [Move(credit.id, Bucket(credit.bucket), Bucket.REVERSED) for credit in back]
    await _post_back(case, Kind.REVERSED, case.because, moves)
    for credit in back:
        if credit.bucket == Bucket.FROZEN:
            await end_hold_of(case.session, credit.company_id, credit.id, case.now)


async def _owe(case: _Case, used: Sequence[Credit]) -> None:
    moves = [Move(credit.id, Bucket.OWED, Bucket.REVERSED) for credit in used]
    await _post_back(case, Kind.CLAWBACK_OWED, "owed", moves)


async def _post_back(case: _Case, kind: Kind, word: str, moves: Sequence[Move]) -> None:
    if not moves:
        return
    placement = case.placement
    ids = [move.credit_id for move in moves if move.credit_id is not None]
    dated = ledger.dated(case.book, _fact_day(case), case.now, case.because)
    day = await ledger.no_earlier(case.session, case.book, dated.day, ids)
    left = {"left_on": placement.left_on.isoformat()} if placement.left_on else {}
    posting = Posting(
        kind=kind,
        key=f"{word}:{placement.id}:{placement.reports}",
        effective_on=day,
        actor="system" if case.because == "decided" else placement.agency_id,
        reason=dated.reason,
        moves=moves,
        request=case.request(**left, **dated.request),
    )
    await ledger.post(case.session, case.book, posting, case.now)


def _fact_day(case: _Case) -> date:
    """An early leave is true on the last day employed; everything else when it is said."""
    if case.because == "early_leave" and case.placement.left_on is not None:
        return case.placement.left_on
    return today_in_japan(case.now)
