"""The one way to write the ledger: open a book, lock it, post to it.

The database function checks tenant, key, rules, balances and chain, and writes everything in one
round trip. Here its refusals get the house's words.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import func, text, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.agreement import AgreementVersion
from domain.business_days import JST
from domain.credits import CREDIT, Book, Bucket, Credit, LedgerBalance, LedgerEntry, LedgerTx
from domain.errors import Conflict, Halted, Invalid, NotFound, Refusal
from domain.ids import new_id
from domain.posting import Posting

LATE_FACT = "late_fact"
"""The reason of a fact that belongs to a closed month and is dated today instead."""
_PAGE = 50
_OPEN = text("SELECT ledger_open_book(:id, :company, :agency, :now)")
_LOCK = text("SELECT ledger_lock(:company, :book)")
_HALT = text("SELECT ledger_halt(:company, :book)")
_CLOSE = text("SELECT ledger_close(:company, :book, :through, :now)")
_POST = text(
    "SELECT posted_id, posted_seq, was_there FROM ledger_post(:company, :book,"
    " CAST(:kind AS smallint), :effective_on, :now, :key, :fingerprint, :actor, :reason,"
    " CAST(:units AS smallint[]), CAST(:credits AS text[]), CAST(:sources AS smallint[]),"
    " CAST(:targets AS smallint[]), CAST(:qtys AS integer[]), CAST(:date_credits AS text[]),"
    " CAST(:date_fields AS text[]), CAST(:date_days AS date[]), CAST(:new AS jsonb),"
    " CAST(:request AS jsonb))"
)
_REFUSALS: dict[str, tuple[type[Refusal], str]] = {
    "RL404": (NotFound, "not_found"),
    "RL409": (Conflict, "key_reused"),
    "RL410": (Invalid, "effective_on_refused"),
    "RL411": (Conflict, "credit_moved"),
    "RL422": (Invalid, "move_not_allowed"),
    "RL423": (Halted, "book_halted"),
    "RL424": (Conflict, "not_assented"),
    "23514": (Conflict, "balance_refused"),
}


@dataclass(frozen=True)
class Posted:
    """A transaction of the ledger: the one just written, or the one written before."""

    tx_id: int
    seq: int
    replayed: bool


@dataclass(frozen=True)
class Dated:
    """The day and the reason a fact is posted with, and what its request says of its own day."""

    day: date
    reason: str | None
    request: Mapping[str, str]


def today_in_japan(now: datetime) -> date:
    """The business date of a moment."""
    return now.astimezone(JST).date()


def day_after(day: date) -> datetime:
    """The first moment, in Japan, of the day after: when a last day has passed."""
    return datetime.combine(day + timedelta(days=1), time(), JST).astimezone(UTC)


async def open_book(session: AsyncSession, company_id: str, agency_id: str, now: datetime) -> Book:
    """The book of a company at an agency, locked; opened with its first use."""
    named = {"id": new_id("bok"), "company": company_id, "agency": agency_id, "now": now}
    book_id = (await _call(session, _OPEN, named)).scalar_one()
    return await lock_book(session, company_id, book_id)


async def book_of(session: AsyncSession, company_id: str, agency_id: str) -> Book | None:
    """The book of a company at an agency, if anything was ever granted there."""
    wanted = select(Book).where(
        col(Book.company_id) == company_id, col(Book.agency_id) == agency_id
    )
    return (await session.scalars(wanted)).first()


async def lock_book(session: AsyncSession, company_id: str, book_id: str) -> Book:
    """The book, with nobody else posting to it until this transaction ends.

    Books are locked before anything that belongs to them, several in the order of their ids.
    """
    found = (await _call(session, _LOCK, {"company": company_id, "book": book_id})).scalar_one()
    if not found:
        raise NotFound
    wanted = select(Book).where(col(Book.company_id) == company_id, col(Book.id) == book_id)
    return (await session.scalars(wanted.execution_options(populate_existing=True))).one()


async def post(session: AsyncSession, book: Book, posting: Posting, now: datetime) -> Posted:
    """Write a business event once. The same key with the same request is the same transaction.

    Refusals: 409 `key_reused`, `credit_moved`, `balance_refused`, `not_assented`; 422
    `move_not_allowed`, `effective_on_refused`; 423 `book_halted`. The caller's transaction is over
    after any of them.
    """
    row = (await _call(session, _POST, _values(book, posting, now))).one()
    return Posted(row.posted_id, row.posted_seq, row.was_there)


async def posted(session: AsyncSession, book: Book, key: str) -> bool:
    """Whether this event stands in the book. Certain only while the book is locked.

    Asked so that no plan reads the book by its numbers: the next key from this one on is it or not.
    """
    wanted = (
        select(LedgerTx.business_key)
        .where(
            col(LedgerTx.company_id) == book.company_id,
            col(LedgerTx.book_id) == book.id,
            col(LedgerTx.business_key) >= key,
        )
        .order_by(col(LedgerTx.business_key))
        .limit(1)
    )
    return (await session.scalars(wanted)).first() == key


async def halt(session: AsyncSession, company_id: str, book_id: str) -> None:
    """Let nothing more be posted to a book until an operator has looked."""
    await _call(session, _HALT, {"company": company_id, "book": book_id})


async def close(session: AsyncSession, book: Book, through: date, now: datetime) -> bool:
    """Close a book's month whose last day this is; false when it was closed before.

    Refuses (`effective_on_refused`, 422) a month that is not over.
    """
    values = {"company": book.company_id, "book": book.id, "through": through, "now": now}
    closed: bool = (await _call(session, _CLOSE, values)).scalar_one()
    return closed


def dated(book: Book, day: date, now: datetime, reason: str | None) -> "Dated":
    """When a fact is posted: on its own day, or, if that month is closed, today as a late fact."""
    if book.closed_through is not None and day <= book.closed_through:
        return Dated(today_in_japan(now), LATE_FACT, {"fact_on": day.isoformat()} | _why(reason))
    return Dated(day, reason, {})


async def no_earlier(
    session: AsyncSession, book: Book, day: date, credit_ids: Iterable[str]
) -> date:
    """The day of a fact about these credits, or the day on which they came to where they are.

    A fact may be told after others that followed it; but no day may show a credit taken from a
    place it had not reached by then.
    """
    wanted = (
        select(func.max(col(LedgerTx.effective_on)))
        .join(
            LedgerEntry,
            (col(LedgerEntry.company_id) == col(LedgerTx.company_id))
            & (col(LedgerEntry.tx_id) == col(LedgerTx.id)),
        )
        .where(
            col(LedgerEntry.company_id) == book.company_id,
            col(LedgerEntry.credit_id).in_(list(credit_ids)),
            text("ledger_entry.ord % 2 = 0"),
        )
    )
    newest: date | None = (await session.execute(wanted)).scalar_one()
    return day if newest is None else max(day, newest)


def cite(source: Credit | AgreementVersion) -> dict[str, str | int]:
    """The agreement version a posting follows, as its request names it."""
    version = source.version if isinstance(source, AgreementVersion) else source.agreement_version
    return {"agreement_id": source.agreement_id, "agreement_version": version}


def _why(reason: str | None) -> dict[str, str]:
    return {"fact": reason} if reason else {}


async def owes(session: AsyncSession, book: Book, credit_id: str) -> bool:
    """Whether the company still owes for this credit, which was taken back after its use."""
    wanted = select(func.coalesce(func.sum(col(LedgerEntry.qty)), 0)).where(
        col(LedgerEntry.company_id) == book.company_id,
        col(LedgerEntry.book_id) == book.id,
        col(LedgerEntry.credit_id) == credit_id,
        col(LedgerEntry.bucket) == Bucket.OWED,
    )
    return bool((await session.execute(wanted)).scalar_one() < 0)


async def credits_of(
    session: AsyncSession, company_id: str, *, placement_id: str
) -> Sequence[Credit]:
    """A placement's credits as they stand now, oldest id first."""
    wanted = select(Credit).where(
        col(Credit.company_id) == company_id, col(Credit.placement_id) == placement_id
    )
    fresh = wanted.order_by(col(Credit.id)).execution_options(populate_existing=True)
    return (await session.scalars(fresh)).all()


async def credit(session: AsyncSession, company_id: str, credit_id: str) -> Credit:
    """A credit as it stands now; raises `NotFound`."""
    wanted = select(Credit).where(col(Credit.company_id) == company_id, col(Credit.id) == credit_id)
    found = (await session.scalars(wanted.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound
    return found


async def usable(session: AsyncSession, book: Book, today: date) -> AsyncIterator[Credit]:
    """The credits that may be used today, that which expires first in front.

    The date guard makes a late expiry harmless. Certain only while the book is locked.
    """
    order = (col(Credit.expires_on), col(Credit.available_on), col(Credit.id))
    wanted = (
        select(Credit)
        .where(
            col(Credit.company_id) == book.company_id,
            col(Credit.book_id) == book.id,
            col(Credit.bucket) == Bucket.AVAILABLE,
            col(Credit.expires_on) >= today,
            col(Credit.available_on) <= today,
        )
        .order_by(*order)
        .execution_options(populate_existing=True)
    )
    # The first nearly always fits; where scopes differ, the next ones are read page by page.
    last: Credit | None = None
    while True:
        page = wanted if last is None else wanted.where(tuple_(*order) > _place_of(last))
        found = (await session.scalars(page.limit(_PAGE if last else 1))).all()
        for last in found:
            yield last
        if not found:
            return


def _place_of(credit: Credit) -> Any:
    return tuple_(credit.expires_on, credit.available_on, credit.id)


async def balance(session: AsyncSession, book: Book, *buckets: Bucket, unit: int = CREDIT) -> int:
    """How many credits (or points) stand in these buckets together."""
    wanted = select(LedgerBalance.qty).where(
        col(LedgerBalance.company_id) == book.company_id,
        col(LedgerBalance.book_id) == book.id,
        col(LedgerBalance.unit) == unit,
        col(LedgerBalance.bucket).in_(buckets),
    )
    return sum((await session.scalars(wanted)).all())


async def _call(session: AsyncSession, statement: Any, values: dict[str, Any]) -> Any:
    try:
        return await session.execute(statement, values)
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state not in _REFUSALS:
            raise
        kind, code = _REFUSALS[state]
        raise kind(code=code) from None


def _values(book: Book, posting: Posting, now: datetime) -> dict[str, Any]:
    moves, dates = posting.moves, posting.dates
    return {
        "company": book.company_id,
        "book": book.id,
        "kind": int(posting.kind),
        "effective_on": posting.effective_on,
        "now": now,
        "key": posting.key,
        "fingerprint": posting.fingerprint(),
        "actor": posting.actor,
        "reason": posting.reason,
        "units": [move.unit for move in moves],
        "credits": [move.credit_id for move in moves],
        "sources": [int(move.source) for move in moves],
        "targets": [int(move.target) for move in moves],
        "qtys": [move.qty for move in moves],
        "date_credits": [one.credit_id for one in dates],
        "date_fields": [one.field for one in dates],
        "date_days": [one.day for one in dates],
        "new": json.dumps([_new(one) for one in posting.credits]),
        "request": json.dumps(dict(posting.request)),
    }


def _new(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "agreement_id": one.agreement_id,
        "agreement_version": one.agreement_version,
        "placement_id": one.placement_id,
        "relay_id": one.relay_id,
        "terms": dict(one.terms),
        "started_on": one.started_on.isoformat(),
        "guarantee_end_on": one.guarantee_end_on.isoformat(),
        "value_cap_jpy": one.value_cap_jpy,
        "reference_value_jpy": one.reference_value_jpy,
    }
