"""What a company or an agency sees of its credits: balances, and the entries behind them.

Each reads as the tenant its transaction works for; the numbers are the ledger's own rows.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.credits import CREDIT, POINT, Bucket, Kind
from domain.errors import Invalid
from domain.ids import id_of, is_id, number_of
from domain.terms import terms_of

_SHOWN = tuple(bucket for bucket in Bucket if bucket != Bucket.ISSUED)
_MOVES_BITS = 16
"""An entry's id is its transaction's number and its place in it, as one number."""

_BALANCES = """
    SELECT a.id AS agreement_id, a.company_id, a.agency_id, k.id AS book_id, k.last_seq,
           k.head_hash, k.halted, k.closed_through, b.unit, b.bucket, b.qty
      FROM agreement a
      LEFT JOIN book k ON k.company_id = a.company_id AND k.agency_id = a.agency_id
      LEFT JOIN ledger_balance b ON b.company_id = k.company_id AND b.book_id = k.id
     WHERE {whose}
     ORDER BY a.id, b.bucket
"""
_AS_OF = """
    SELECT a.id AS agreement_id, a.company_id, a.agency_id, k.id AS book_id, t.last_seq,
           NULL AS head_hash, k.halted, k.closed_through, t.unit, t.bucket, t.qty
      FROM agreement a
      LEFT JOIN book k ON k.company_id = a.company_id AND k.agency_id = a.agency_id
      LEFT JOIN LATERAL (
        SELECT e.unit, e.bucket, sum(e.qty)::integer AS qty, max(x.seq) AS last_seq
          FROM ledger_tx x
          JOIN ledger_entry e ON e.company_id = x.company_id AND e.tx_id = x.id
         WHERE x.company_id = k.company_id AND x.book_id = k.id
           AND (CAST(:as_of AS date) IS NULL OR x.effective_on <= :as_of)
           AND (CAST(:known_at AS timestamptz) IS NULL OR x.recorded_at <= :known_at)
         GROUP BY e.unit, e.bucket
      ) t ON true
     WHERE {whose}
     ORDER BY a.id, t.bucket
"""
_SOON = """
    SELECT c.company_id, c.agency_id, c.expires_on - CAST(:today AS date) AS days
      FROM credit c
     WHERE c.{whose} AND c.bucket = 2 AND c.expires_on <= CAST(:today AS date) + 90
"""
_EXPECTED = """
    SELECT p.company_id, p.agency_id, v.terms FROM placement p
      JOIN agreement_version v ON v.company_id = p.company_id AND v.agreement_id = p.agreement_id
       AND v.version = p.agreement_version
     WHERE p.{whose} AND p.state = 'expected'
"""
_MOVES = """
    SELECT e.tx_id, e.ord, t.seq, t.kind, t.effective_on, t.recorded_at, t.reason_code, t.actor,
           t.company_id, t.agency_id, t.request, e.unit, e.credit_id, e.bucket AS target,
           given.bucket AS source, e.qty, c.relay_id, c.placement_id, c.agreement_id,
           c.agreement_version
      FROM ledger_entry e
      JOIN ledger_entry given
        ON given.company_id = e.company_id AND given.tx_id = e.tx_id AND given.ord = e.ord - 1
      JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
      LEFT JOIN credit c ON c.company_id = e.company_id AND c.id = e.credit_id
"""
_ENTRIES = f"{_MOVES} WHERE e.company_id = :company AND e.ord % 2 = 0"
_IN_BOOKS = """
      JOIN unnest(CAST(:companies AS text[]), CAST(:books AS text[])) AS w (company_id, book_id)
        ON w.company_id = t.company_id AND w.book_id = t.book_id
     WHERE e.ord % 2 = 0 AND t.effective_on BETWEEN :first AND :last
     ORDER BY e.tx_id, e.ord
"""
_OF_RELAY = """
 AND (c.relay_id = :relay OR e.credit_id IS NULL) AND e.tx_id IN (
        SELECT x.tx_id FROM ledger_entry x JOIN credit y
          ON y.company_id = x.company_id AND y.id = x.credit_id
         WHERE x.company_id = :company AND y.relay_id = :relay AND x.ord % 2 = 0
        UNION
        SELECT x.id FROM ledger_tx x JOIN book k ON k.company_id = x.company_id AND k.id = x.book_id
         WHERE x.company_id = :company
           AND x.business_key IN ('point:' || :relay, 'point_out:' || :relay))
"""
_HERE = text("""
    SELECT n.agency_id, n.book_id, n.seq, n.kind, n.effective_on, n.reason_code
      FROM (SELECT * FROM ledger_tx
             WHERE company_id = current_setting('relay.company_id', true)
             ORDER BY id DESC LIMIT 500) AS n
     WHERE n.xid = pg_current_xact_id() ORDER BY n.id
""")
_STAND = text("""
    SELECT agency_id, unit, bucket, qty FROM ledger_balance
     WHERE company_id = current_setting('relay.company_id', true) AND book_id = ANY(:books)
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
    company_id: str
    agency_id: str
    balance: Balance
    book_id: str | None = None
    seq: int = 0
    head_hash: str | None = None
    halted: bool = False
    closed_through: date | None = None
    points: int = 0
    """Relays counted towards the next credit, where so agreed."""
    expected: int = 0
    """Credits that reported, not yet begun starts will earn. Not part of the ledger."""
    expiring: tuple[int, int, int] = (0, 0, 0)
    """Available ones whose last day is within 30, 60, 90 days."""


@dataclass(frozen=True)
class Balances:
    """Credits in all, and agreement by agreement."""

    total: Balance
    agreements: Sequence[AgreementBalance]


@dataclass(frozen=True)
class AsOf:
    """A look back: facts true by the end of `day`, recorded by `known_at`. Null: no limit."""

    day: date | None = None
    known_at: datetime | None = None

    def __bool__(self) -> bool:
        return self.day is not None or self.known_at is not None


@dataclass(frozen=True)
class Entry:
    """A credit, or some points, moved: which way, when, why, by whom, what it goes back to."""

    id: str
    kind: str
    seq: int
    unit: str
    quantity: int
    credit_id: str | None
    company_id: str
    agency_id: str
    agreement_id: str | None
    agreement_version: int | None
    relay_id: str | None
    placement_id: str | None
    from_bucket: str
    to_bucket: str
    effective_on: date
    at: datetime
    reason: str | None
    actor: str
    request: dict[str, Any]


async def balances(
    session: AsyncSession,
    company_id: str | None = None,
    *,
    agency_id: str | None = None,
    today: date | None = None,
    as_of: AsOf | None = None,
) -> Balances:
    """The balance of every agreement of a company, or of an agency, and their sum.

    Stored rows now, or sums of entries for a look back (`as_of`). With `today` also what is
    expected and what expires soon. Works as the tenant whose id is given.
    """
    column, owner = ("company_id", company_id) if company_id else ("agency_id", agency_id)
    sql = (_AS_OF if as_of else _BALANCES).format(whose=f"a.{column} = :owner")
    values: dict[str, Any] = {"owner": owner}
    if as_of:
        values |= {"as_of": as_of.day, "known_at": as_of.known_at}
    rows = (await session.execute(text(sql), values)).all()
    more = await _ahead(session, column, owner, today) if today and not as_of else {}
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.agreement_id, []).append(row)
    agreements = [_agreement(listed, more) for listed in found.values()]
    return Balances(sum((one.balance for one in agreements), Balance()), agreements)


def _agreement(rows: Sequence[Any], more: Mapping[tuple[str, str], "_Ahead"]) -> AgreementBalance:
    first = rows[0]
    ahead = more.get((first.company_id, first.agency_id), _Ahead())
    points = sum(r.qty for r in rows if r.unit == POINT and r.bucket == Bucket.AVAILABLE)
    return AgreementBalance(
        agreement_id=first.agreement_id,
        company_id=first.company_id,
        agency_id=first.agency_id,
        balance=_balance({r.bucket: r.qty for r in rows if r.unit == CREDIT}),
        book_id=first.book_id,
        seq=max((r.last_seq or 0) for r in rows),
        head_hash=bytes(first.head_hash).hex() if first.head_hash else None,
        halted=bool(first.halted),
        closed_through=first.closed_through,
        points=points,
        expected=ahead.expected,
        expiring=(ahead.within(30), ahead.within(60), ahead.within(90)),
    )


@dataclass
class _Ahead:
    expected: int = 0
    days: list[int] = field(default_factory=list)

    def within(self, most: int) -> int:
        return sum(1 for days in self.days if 0 <= days <= most)


async def _ahead(
    session: AsyncSession, column: str, owner: str | None, today: date
) -> dict[tuple[str, str], _Ahead]:
    found: dict[tuple[str, str], _Ahead] = defaultdict(_Ahead)
    whose = f"{column} = :owner"
    soon = text(_SOON.format(whose=whose))
    for row in (await session.execute(soon, {"owner": owner, "today": today})).all():
        found[row.company_id, row.agency_id].days.append(row.days)
    expected = text(_EXPECTED.format(whose=whose))
    for row in (await session.execute(expected, {"owner": owner})).all():
        terms = terms_of(row.terms)
        if terms.grants_on_placement:
            found[row.company_id, row.agency_id].expected += terms.credits_per_placement
    return found


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
    if relay_id is not None:
        wanted, values["relay"] = wanted + _OF_RELAY, relay_id
    for name, value in (("t.agency_id", agency_id), ("e.credit_id", credit_id)):
        if value is not None:
            key = name.replace(".", "_")
            wanted += f" AND {name} = :{key}"
            values[key] = value
    if before is not None:
        values["tx"], values["ord"] = _place(before)
        wanted += " AND (e.tx_id, e.ord) < (:tx, :ord)"
    wanted += " ORDER BY e.tx_id DESC, e.ord DESC LIMIT :limit"
    return [_entry(row) for row in (await session.execute(text(wanted), values)).all()]


async def posted_here(session: AsyncSession) -> dict[str, Any]:
    """What this transaction has posted so far, and how the books it touched stand (a rehearsal)."""
    rows = (await session.execute(_HERE)).all()
    books = sorted({row.book_id for row in rows})
    after: dict[str, dict[int, int]] = {}
    for row in (await session.execute(_STAND, {"books": books})).all():
        if row.unit == CREDIT:
            after.setdefault(row.agency_id, {})[row.bucket] = row.qty
    return {
        "postings": [
            {
                "kind": Kind(row.kind).name.lower(), "seq": row.seq, "agency_id": row.agency_id,
                "effective_on": row.effective_on, "reason": row.reason_code,
            }
            for row in rows
        ],
        "balances_after": [
            {"agency_id": agency, **asdict(_balance(buckets))} for agency, buckets in after.items()
        ],
    }  # fmt: skip


async def moved_in(
    session: AsyncSession, books: Sequence[tuple[str, str]], first: date, last: date
) -> list[Entry]:
    """Every move that is true within these days, in these books (company and id), oldest first."""
    wanted = _MOVES + _IN_BOOKS
    values = {"companies": [one for one, _ in books], "books": [one for _, one in books],
              "first": first, "last": last}  # fmt: skip
    return [_entry(row) for row in (await session.execute(text(wanted), values)).all()]


def _balance(quantities: dict[int, int]) -> Balance:
    return Balance(**{bucket.name.lower(): quantities.get(bucket, 0) for bucket in _SHOWN})


def _entry(row: Any) -> Entry:
    cited = row.request or {}
    return Entry(
        id=id_of("lte", row.tx_id << _MOVES_BITS | row.ord),
        kind=Kind(row.kind).name.lower(),
        seq=row.seq,
        unit="credit" if row.unit == CREDIT else "point",
        quantity=row.qty,
        credit_id=row.credit_id,
        company_id=row.company_id,
        agency_id=row.agency_id,
        agreement_id=cited.get("agreement_id") or row.agreement_id,
        agreement_version=cited.get("agreement_version") or row.agreement_version,
        relay_id=row.relay_id or cited.get("relay_id"),
        placement_id=row.placement_id,
        from_bucket=Bucket(row.source).name.lower(),
        to_bucket=Bucket(row.target).name.lower(),
        effective_on=row.effective_on,
        at=row.recorded_at,
        reason=row.reason_code,
        actor=row.actor,
        request=cited,
    )


def _place(entry_id: str) -> tuple[int, int]:
    number = number_of(entry_id) if is_id(entry_id, "lte") else -1
    if not 0 <= number < 1 << 63 + _MOVES_BITS:
        detail = "the cursor is not one of ours"
        raise Invalid(detail, code="invalid_cursor")
    return number >> _MOVES_BITS, number & ((1 << _MOVES_BITS) - 1)
