"""What a company or an agency sees of its credits: balances, the entries behind them, statements.

Each reads as the tenant its transaction works for; the numbers are the ledger's own rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.business_days import JST
from domain.credits import Bucket, Kind
from domain.errors import Invalid
from domain.ids import id_of, is_id, number_of

_SHOWN = tuple(bucket for bucket in Bucket if bucket != Bucket.ISSUED)
_MOVES_BITS = 16
"""An entry's id is its transaction's number and its place in it, as one number."""

_BALANCES = text("""
    SELECT a.id AS agreement_id, a.agency_id, b.bucket, b.qty
      FROM agreement a
      LEFT JOIN book k ON k.company_id = a.company_id AND k.agency_id = a.agency_id
      LEFT JOIN ledger_balance b ON b.company_id = k.company_id AND b.book_id = k.id AND b.unit = 1
     WHERE a.company_id = :company
     ORDER BY a.id, b.bucket
""")
_ENTRIES = """
    SELECT e.tx_id, e.ord, t.kind, t.effective_on, t.recorded_at, t.reason_code, t.actor,
           t.agency_id, e.credit_id, e.bucket AS target, given.bucket AS source, e.qty,
           c.relay_id, c.placement_id, c.agreement_id, c.agreement_version
      FROM ledger_entry e
      JOIN ledger_entry given
        ON given.company_id = e.company_id AND given.tx_id = e.tx_id AND given.ord = e.ord - 1
      JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
      JOIN credit c ON c.company_id = e.company_id AND c.id = e.credit_id
     WHERE e.company_id = :company AND e.ord % 2 = 0
"""
_OPENING = text("""
    SELECT e.agency_id, e.bucket, sum(e.qty) AS qty
      FROM ledger_entry e JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
     WHERE e.company_id = :company AND e.unit = 1 AND t.recorded_at < :before
     GROUP BY e.agency_id, e.bucket
""")


@dataclass(frozen=True)
class Balance:
    """How many credits stand where. `owed` is what was taken back after use, as a negative."""

    pending: int = 0
    available: int = 0
    reserved: int = 0
    frozen: int = 0
    used: int = 0
    expired: int = 0
    reversed: int = 0
    owed: int = 0

    def __add__(self, other: "Balance") -> "Balance":
        return Balance(**{name: getattr(self, name) + getattr(other, name) for name in NAMES})


NAMES = tuple(bucket.name.lower() for bucket in _SHOWN)


@dataclass(frozen=True)
class AgreementBalance:
    """The balance of one agreement: zeros before anything was granted."""

    agreement_id: str
    agency_id: str
    balance: Balance


@dataclass(frozen=True)
class Balances:
    """A company's credits: in all, and agency by agency."""

    total: Balance
    agreements: Sequence[AgreementBalance]


@dataclass(frozen=True)
class Entry:
    """One credit moved: which way, when, why, by whom, and what it goes back to."""

    id: str
    kind: str
    credit_id: str
    agency_id: str
    agreement_id: str
    agreement_version: int
    relay_id: str | None
    placement_id: str | None
    from_bucket: str
    to_bucket: str
    effective_on: date
    at: datetime
    reason: str | None
    actor: str


@dataclass(frozen=True)
class BookStatement:
    """A month at one agency: what stood there before, what moved, what stood there after."""

    agreement_id: str
    agency_id: str
    opening: Balance
    closing: Balance
    movements: dict[str, int]
    entries: Sequence[Entry] = field(default_factory=tuple)


@dataclass(frozen=True)
class Statement:
    """A company's month. `final` when the month is over: then it never changes again."""

    month: str
    final: bool
    agreements: Sequence[BookStatement]


async def balances(session: AsyncSession, company_id: str) -> Balances:
    """The stored balance of every agreement, and their sum."""
    rows = (await session.execute(_BALANCES, {"company": company_id})).all()
    found: dict[tuple[str, str], dict[int, int]] = {}
    for row in rows:
        found.setdefault((row.agreement_id, row.agency_id), {})[row.bucket] = row.qty
    agreements = [
        AgreementBalance(agreement_id, agency_id, _balance(quantities))
        for (agreement_id, agency_id), quantities in found.items()
    ]
    return Balances(sum((one.balance for one in agreements), Balance()), agreements)


async def entries(
    session: AsyncSession,
    company_id: str,
    *,
    relay_id: str | None = None,
    agency_id: str | None = None,
    credit_id: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> Sequence[Entry]:
    """The ledger behind the numbers, newest first. `before` is the id of an entry already seen."""
    wanted, values = _ENTRIES, {"company": company_id, "limit": limit}
    for name, value in (("c.relay_id", relay_id), ("t.agency_id", agency_id), ("c.id", credit_id)):
        if value is not None:
            key = name.replace(".", "_")
            wanted += f" AND {name} = :{key}"
            values[key] = value
    if before is not None:
        values["tx"], values["ord"] = _place(before)
        wanted += " AND (e.tx_id, e.ord) < (:tx, :ord)"
    wanted += " ORDER BY e.tx_id DESC, e.ord DESC LIMIT :limit"
    return [_entry(row) for row in (await session.execute(text(wanted), values)).all()]


async def statement(session: AsyncSession, company_id: str, month: str, now: datetime) -> Statement:
    """What was recorded in a month (Japan time), between the balances before and after it.

    By the time of recording: a fact that arrives late belongs to the month in which it was heard,
    so a month that is over never changes. Refuses a month that has not begun (`month_in_future`).
    """
    first, following = _month(month)
    if first > now:
        detail = "this month has not begun"
        raise Invalid(detail, code="month_in_future")
    opening = await _opening(session, company_id, first)
    moved = await _moved(session, company_id, first, following)
    agreements = [
        _book_statement(one, opening.get(one.agency_id, {}), moved)
        for one in (await balances(session, company_id)).agreements
    ]
    return Statement(month, following <= now, agreements)


async def _opening(
    session: AsyncSession, company_id: str, first: datetime
) -> dict[str, dict[int, int]]:
    values = {"company": company_id, "before": first}
    found: dict[str, dict[int, int]] = {}
    for row in (await session.execute(_OPENING, values)).all():
        found.setdefault(row.agency_id, {})[row.bucket] = int(row.qty)
    return found


async def _moved(
    session: AsyncSession, company_id: str, first: datetime, following: datetime
) -> list[Entry]:
    wanted = _ENTRIES + (
        " AND t.recorded_at >= :first AND t.recorded_at < :following ORDER BY e.tx_id, e.ord"
    )
    values = {"company": company_id, "first": first, "following": following}
    return [_entry(row) for row in (await session.execute(text(wanted), values)).all()]


def _book_statement(
    one: AgreementBalance, opening: dict[int, int], moved: Sequence[Entry]
) -> BookStatement:
    mine = [entry for entry in moved if entry.agency_id == one.agency_id]
    closing, movements = dict(opening), dict[str, int]()
    for entry in mine:
        source, target = Bucket[entry.from_bucket.upper()], Bucket[entry.to_bucket.upper()]
        closing[source] = closing.get(source, 0) - 1
        closing[target] = closing.get(target, 0) + 1
        movements[entry.kind] = movements.get(entry.kind, 0) + 1
    return BookStatement(
        one.agreement_id, one.agency_id, _balance(opening), _balance(closing), movements, mine
    )


def _month(month: str) -> tuple[datetime, datetime]:
    """The first moment, in Japan, of a month and of the next."""
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        detail = "a month is written YYYY-MM"
        raise Invalid(detail, code="invalid_month") from None
    following = (first + timedelta(days=31)).replace(day=1)
    return datetime.combine(first, time(), JST), datetime.combine(following, time(), JST)


def _balance(quantities: dict[int, int]) -> Balance:
    return Balance(**{bucket.name.lower(): quantities.get(bucket, 0) for bucket in _SHOWN})


def _entry(row: Any) -> Entry:
    return Entry(
        id=id_of("lte", row.tx_id << _MOVES_BITS | row.ord),
        kind=Kind(row.kind).name.lower(),
        credit_id=row.credit_id,
        agency_id=row.agency_id,
        agreement_id=row.agreement_id,
        agreement_version=row.agreement_version,
        relay_id=row.relay_id,
        placement_id=row.placement_id,
        from_bucket=Bucket(row.source).name.lower(),
        to_bucket=Bucket(row.target).name.lower(),
        effective_on=row.effective_on,
        at=row.recorded_at,
        reason=row.reason_code,
        actor=row.actor,
    )


def _place(entry_id: str) -> tuple[int, int]:
    number = number_of(entry_id) if is_id(entry_id, "lte") else -1
    if not 0 <= number < 1 << 63 + _MOVES_BITS:
        detail = "the cursor is not one of ours"
        raise Invalid(detail, code="invalid_cursor")
    return number >> _MOVES_BITS, number & ((1 << _MOVES_BITS) - 1)
