"""A correction by hand, from the request to the posting. `domain/adjustment.py`: who agrees."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import adjustment, ledger
from domain.adjustment import MOST_AT_ONCE, Adjustment
from domain.agreement import AgreementVersion
from domain.credits import Book, Bucket, Credit, Kind
from domain.dispute import Dispute
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.earn.agree_terms import version_on
from domain.flows.earn.mature_credit import announce_expiry, expire_if_over, settle_debt
from domain.flows.earn.tell_sides import other, tell_side
from domain.ids import new_id
from domain.ledger import cite, today_in_japan
from domain.ports import Tools
from domain.posting import DateSet, Move, NewCredit, Posting
from domain.store import find, lock
from domain.terms import expires_on, guarantee_end, terms_of

_TAKEABLE = (Bucket.PENDING, Bucket.AVAILABLE)
_EXTENDABLE = (Bucket.AVAILABLE, Bucket.RESERVED)


@dataclass(frozen=True)
class Wish:
    """What is to be corrected, and why. `count` for `issue`, `credit_ids` for the others."""

    kind: str
    reason: str
    note: str
    count: int | None = None
    credit_ids: Sequence[str] = ()
    expires_on: date | None = None
    dispute_id: str | None = None


async def request_adjustment(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    agency_id: str,
    wish: Wish,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Adjustment:
    """The first of two people asks. Nothing moves yet.

    The caller works for the company. Refusals: `NotFound`; `adjustment_invalid` (422);
    `credit_moved`, `dispute_not_decided`, `dispute_used`, `beyond_dispute` (409).
    """
    _check_wish(wish)
    book = await ledger.open_book(session, company_id, agency_id, now)
    await _check_credits(session, book, wish, now)
    await _check_dispute(session, book, wish, party, now)
    row_id = new_id("adj")
    made = Adjustment(
        company_id=company_id, id=row_id, agency_id=agency_id, book_id=book.id, kind=wish.kind,
        party=party, count=wish.count, credit_ids=sorted(set(wish.credit_ids)),
        expires_on=wish.expires_on, reason=wish.reason,
        note=tools.sealer.seal(wish.note.encode(), about=f"adjustment:{row_id}"),
        dispute_id=wish.dispute_id, requested_by=actor, requested_at=now,
    )  # fmt: skip
    session.add(made)
    await session.flush()
    return made


async def approve(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    adjustment_id: str,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Adjustment:
    """The second person of the same side. Where nobody else is burdened, it is posted at once.

    Refusals: `second_person_needed`, `step_not_allowed` (409), `not_yours_to_answer` (422).
    """
    book, there = await _locked(session, company_id, adjustment_id)
    _check_side(there, party, own=True)
    if there.requested_by == actor:
        detail = "another person of your side approves what you asked for"
        raise Conflict(detail, code="second_person_needed")
    there.state = adjustment.advance(there.state, "approved")
    there.approved_by, there.approved_at = actor, now
    session.add(there)
    await session.flush()
    by_decision = there.dispute_id is not None and there.kind != "extend"
    if by_decision or not adjustment.needs_other(there.kind, there.party):
        await _post(session, book, there, now)
        return there
    await tell_side(
        session, tools, other(party), company_id=company_id, agency_id=there.agency_id,
        kind="adjustment_waiting", about=f"adjustment:{there.id}",
        path="/corrections", now=now,
    )  # fmt: skip
    return there


async def agree(
    session: AsyncSession,
    company_id: str,
    adjustment_id: str,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Adjustment:
    """The other side agrees to what burdens it, and it is posted.

    Refusals: `step_not_allowed` (409) before the second person approved, `not_yours_to_answer`.
    """
    book, there = await _locked(session, company_id, adjustment_id)
    _check_side(there, party, own=False)
    if there.state != "approved":
        adjustment.advance(there.state, "assented")
    there.agreed_by, there.agreed_at = actor, now
    await _post(session, book, there, now)
    return there


async def refuse(
    session: AsyncSession,
    company_id: str,
    adjustment_id: str,
    *,
    step: str,
    party: str,
    now: datetime,
) -> Adjustment:
    """The other side may `decline`, one's own may `cancel`, until it is posted.

    Refusals: `step_not_allowed` (409), `not_yours_to_answer` (422).
    """
    _, there = await _locked(session, company_id, adjustment_id)
    _check_side(there, party, own=step == "cancel")
    done = {"cancel": "cancelled", "decline": "declined"}[step]
    there.state, there.ended_at = adjustment.advance(there.state, done), now
    session.add(there)
    await session.flush()
    return there


def _check_wish(wish: Wish) -> None:
    issue = wish.kind == "issue"
    fits = (
        (wish.count is not None and 1 <= wish.count <= MOST_AT_ONCE) == issue
        and (not wish.credit_ids) == issue
        and (wish.expires_on is not None) == (wish.kind == "extend")
        and len(set(wish.credit_ids)) <= MOST_AT_ONCE
    )
    if not fits:
        detail = (
            "`issue` needs `count`; `take` and `settle` need `credit_ids`; `extend` needs"
            " `credit_ids` and `expires_on`"
        )
        raise Invalid(detail, code="adjustment_invalid")


async def _check_credits(session: AsyncSession, book: Book, wish: Wish, now: datetime) -> None:
    for credit_id in wish.credit_ids:
        credit = await ledger.credit(session, book.company_id, credit_id)
        if credit.book_id != book.id:
            raise NotFound
        await _check_there(session, book, credit, wish.kind)
    if wish.expires_on is not None and wish.expires_on < today_in_japan(now):
        detail = "a new last day is today or later"
        raise Invalid(detail, code="adjustment_invalid")


async def _check_there(session: AsyncSession, book: Book, credit: Credit, kind: str) -> None:
    if not await _is_there(session, book, credit, kind):
        detail = f"credit {credit.id} does not stand where this could be done"
        raise Conflict(detail, code="credit_moved")


async def _is_there(session: AsyncSession, book: Book, credit: Credit, kind: str) -> bool:
    if kind == "take":
        return credit.bucket in _TAKEABLE
    if kind == "extend":
        return credit.bucket in _EXTENDABLE
    return await ledger.owes(session, book, credit.id)


async def _check_dispute(
    session: AsyncSession, book: Book, wish: Wish, party: str, now: datetime
) -> None:
    """A decided dispute takes the place of the other side's yes: once, for what it was about."""
    if wish.dispute_id is None:
        return
    decided = await find(session, Dispute, book.company_id, wish.dispute_id)
    if decided is None or decided.agency_id != book.agency_id:
        raise NotFound
    if decided.state != "final" or decided.outcome != f"for_{party}":
        detail = "this dispute was not decided for you"
        raise Conflict(detail, code="dispute_not_decided")
    if await _rests_on(session, decided):
        detail = "another correction rests on this dispute"
        raise Conflict(detail, code="dispute_used")
    if not await _is_about(session, book, decided, wish, today_in_japan(now)):
        detail = "the dispute was not about so much; the other side has to agree to this"
        raise Conflict(detail, code="beyond_dispute")


async def _rests_on(session: AsyncSession, decided: Dispute) -> bool:
    """The book is locked, so looking first is safe here."""
    wanted = select(Adjustment.id).where(
        col(Adjustment.company_id) == decided.company_id,
        col(Adjustment.dispute_id) == decided.id,
        col(Adjustment.state).not_in(("declined", "cancelled")),
    )
    return (await session.scalars(wanted)).first() is not None


async def _is_about(
    session: AsyncSession, book: Book, decided: Dispute, wish: Wish, today: date
) -> bool:
    """Credits that were disputed, or those of the placement; new ones no more than one start's."""
    if wish.kind == "issue":
        version = await version_on(session, book.company_id, book.agency_id, today)
        most = max(len(decided.credit_ids), terms_of(version.terms).credits_per_placement)
        return (wish.count or 0) <= most
    earned: Sequence[Credit] = []
    if decided.placement_id is not None:
        earned = await ledger.credits_of(
            session, book.company_id, placement_id=decided.placement_id
        )
    return set(wish.credit_ids) <= {*decided.credit_ids, *(one.id for one in earned)}


def _check_side(there: Adjustment, party: str, *, own: bool) -> None:
    if (party == there.party) != own:
        detail = "one side asks and approves, the other agrees"
        raise Invalid(detail, code="not_yours_to_answer")


async def _locked(
    session: AsyncSession, company_id: str, adjustment_id: str
) -> tuple[Book, Adjustment]:
    found = await find(session, Adjustment, company_id, adjustment_id)
    if found is None:
        raise NotFound
    book = await ledger.lock_book(session, company_id, found.book_id)
    return book, await lock(session, Adjustment, company_id, adjustment_id)


async def _post(session: AsyncSession, book: Book, there: Adjustment, now: datetime) -> None:
    there.state = adjustment.advance(there.state, "assented")
    session.add(there)
    await session.flush()
    today = today_in_japan(now)
    version = await version_on(session, book.company_id, book.agency_id, today)
    credits_ = [await ledger.credit(session, book.company_id, one) for one in there.credit_ids]
    for one in credits_:  # it may have moved, or been paid for, since it was asked for
        await _check_there(session, book, one, there.kind)
    posting = _posting(there, version, credits_, today)
    await ledger.post(session, book, posting, now)
    await _after(session, book, posting, now)
    there.state, there.ended_at = adjustment.advance(there.state, "posted"), now
    session.add(there)
    await session.flush()


def _posting(
    there: Adjustment, version: AgreementVersion, credits_: Sequence[Credit], today: date
) -> Posting:
    made: list[NewCredit] = []
    moves: list[Move] = []
    dates: list[DateSet] = []
    if there.kind == "issue":
        made = sorted(
            (_new(version, today) for _ in range(there.count or 0)), key=lambda one: one.id
        )
        moves = [Move(one.id, Bucket.ISSUED, Bucket.AVAILABLE) for one in made]
        last = expires_on(terms_of(version.terms), today, today)
        for one in made:
            dates += [DateSet(one.id, "available_on", today), DateSet(one.id, "expires_on", last)]
    elif there.kind == "take":
        moves = [Move(one.id, Bucket(one.bucket), Bucket.REVERSED) for one in credits_]
    elif there.kind == "settle":
        moves = [Move(one.id, Bucket.REVERSED, Bucket.OWED) for one in credits_]
    elif there.expires_on is not None:
        dates = [DateSet(one.id, "expires_on", there.expires_on) for one in credits_]
    before = {one.id: one.expires_on.isoformat() for one in credits_ if one.expires_on}
    return Posting(
        kind=_KINDS[there.kind],
        key=f"adjust:{there.id}",
        effective_on=today,
        actor=there.approved_by or there.requested_by,
        reason=there.reason,
        moves=moves,
        dates=dates,
        credits=made,
        request={
            **cite(version), "adjustment_id": there.id, "adjustment": there.kind,
            "requested_by": there.requested_by, "agreed_by": there.agreed_by or "",
            **({"expired_on": before} if there.kind == "extend" else {}),
        },
    )  # fmt: skip


_KINDS = {
    "issue": Kind.ADJUSTED,
    "take": Kind.ADJUSTED,
    "extend": Kind.TERM_CHANGED,
    "settle": Kind.CLAWBACK_SETTLED,
}


def _new(version: AgreementVersion, today: date) -> NewCredit:
    terms = terms_of(version.terms)
    return NewCredit(
        id=new_id("crd"),
        agreement_id=version.agreement_id,
        agreement_version=version.version,
        terms=version.terms,
        started_on=today,
        guarantee_end_on=guarantee_end(terms, today),
        value_cap_jpy=terms.value_cap_jpy,
        reference_value_jpy=terms.reference_value_jpy,
    )


async def _after(session: AsyncSession, book: Book, posting: Posting, now: datetime) -> None:
    """What follows wherever a credit becomes free or its last day changes."""
    for one in posting.dates:
        if one.field == "expires_on":
            await announce_expiry(session, book, one.day, now)
            await expire_if_over(session, book, one.credit_id, now)
    for move in posting.moves:
        if move.target == Bucket.AVAILABLE and move.credit_id is not None:
            credit = await ledger.credit(session, book.company_id, move.credit_id)
            await settle_debt(session, book, credit, now)
