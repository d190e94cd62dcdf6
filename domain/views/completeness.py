"""Whether the ledger is whole: what was expected against what was reported, and what has got stuck.

Both sides see the same, except what a person confirmed: that is told to the company alone, as a
mark on the relay. Neither the day of an answer nor an employer is in any of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_system
from domain.business_days import local_day
from domain.completeness import WORDS
from domain.credits import Kind

OFFER_DAYS = 60
"""An offer or a recommendation older than this without an outcome is asked about."""
FROZEN_DAYS, OWED_DAYS = 30, 90
"""From here on a bucket that should empty itself is an alarm (ledger rules 9)."""

_OPEN = "r.state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended', 'offered')"
_PAIR = "{0}.company_id = :company AND {0}.agency_id = :agency"
_LIVE = (
    "SELECT FROM placement p WHERE p.company_id = r.company_id AND p.relay_id = r.id"
    " AND p.state <> 'withdrawn'"
)
_STARTED = (
    "SELECT FROM placement_question q WHERE q.company_id = r.company_id"
    " AND q.agency_id = r.agency_id AND q.relay_id = r.id AND q.answer = 'started'"
)
_RELAY = f"""
  r.id, r.id AS relay_id, NULL AS placement_id, NULL AS dispute_id, NULL::date AS month, r.state,
  (r.forwarded_at AT TIME ZONE 'Asia/Tokyo')::date AS since, r.status_due_on AS due_on,
  r.status_missed_on IS NOT NULL AS late, EXISTS ({_STARTED}) AS confirmed,
  (SELECT max(e.noted_at) FROM relay_event e WHERE e.company_id = r.company_id
     AND e.relay_id = r.id AND e.type = ANY(:words)) AS last_word_at
"""  # noqa: S608 - only constants of this file are put together
_PLACEMENT = """
  p.id, p.relay_id, p.id AS placement_id, NULL AS dispute_id,
  date_trunc('month', p.started_on)::date AS month, p.state, NULL::date AS since,
  NULL::date AS due_on, false AS late, NULL::boolean AS confirmed, NULL::timestamptz AS last_word_at
"""
_ATTESTATION = """
  a.id, NULL AS relay_id, NULL AS placement_id, NULL AS dispute_id, a.month, a.state,
  NULL::date AS since, a.due_on, a.state = 'overdue' AS late, NULL::boolean AS confirmed,
  NULL::timestamptz AS last_word_at
"""
_DISPUTE = """
  d.id, d.relay_id, d.placement_id, d.id AS dispute_id, NULL::date AS month, d.state,
  d.frozen_on AS since, d.due_on, d.due_on < :today AS late, NULL::boolean AS confirmed,
  NULL::timestamptz AS last_word_at
"""


@dataclass(frozen=True)
class _Kind:
    """One kind of finding: what to show of a row, and the rows it is about."""

    columns: str
    rows: str
    key: str


KINDS: Mapping[str, _Kind] = {
    "confirmed_without_placement": _Kind(
        _RELAY,
        "(SELECT DISTINCT q.relay_id FROM placement_question q"  # noqa: S608
        f" WHERE {_PAIR.format('q')} AND q.answer = 'started') AS said"
        " JOIN relay r ON r.company_id = :company AND r.id = said.relay_id"
        f" WHERE NOT EXISTS ({_LIVE})",
        "r.id",
    ),
    "placement_without_grant": _Kind(
        _PLACEMENT,
        "placement p JOIN agreement_version v ON v.company_id = p.company_id"
        " AND v.agreement_id = p.agreement_id AND v.version = p.agreement_version"
        f" WHERE {_PAIR.format('p')} AND p.state IN ('placed', 'guaranteed')"
        " AND coalesce(v.terms->>'accrual_rule', 'on_placement') IN ('on_placement', 'mixed')"
        " AND NOT EXISTS (SELECT FROM credit c WHERE c.company_id = p.company_id"
        " AND c.placement_id = p.id)",
        "p.id",
    ),
    "month_without_attestation": _Kind(
        _ATTESTATION,
        f"attestation a WHERE {_PAIR.format('a')} AND a.state <> 'given'",
        "a.id",
    ),
    "offer_without_outcome": _Kind(
        _RELAY,
        f"relay r WHERE {_PAIR.format('r')} AND {_OPEN}"  # noqa: S608
        f" AND r.state IN ('recommended', 'offered') AND NOT EXISTS ({_LIVE})"
        " AND coalesce((SELECT min(e.at) FROM relay_event e WHERE e.company_id = r.company_id"
        " AND e.relay_id = r.id AND e.type = r.state), r.forwarded_at) < :before",
        "r.id",
    ),
    "open_dispute": _Kind(
        _DISPUTE, f"dispute d WHERE {_PAIR.format('d')} AND d.state <> 'final'", "d.id"
    ),
    "expected_placement": _Kind(
        _PLACEMENT, f"placement p WHERE {_PAIR.format('p')} AND p.state = 'expected'", "p.id"
    ),
    "open_relay": _Kind(_RELAY, f"relay r WHERE {_PAIR.format('r')} AND {_OPEN}", "r.id"),
}
"""What a reconciliation lists, alarms first.

`confirmed_without_placement`: the person said that they started, and no placement is reported;
`placement_without_grant`: a placement whose agreement grants has no credit (there must be none);
`month_without_attestation`: owed, or overdue; `offer_without_outcome`: recommended or offered more
than sixty days ago, and nothing since; `open_dispute`; `expected_placement`: its start lies ahead;
`open_relay`: at work on it, with its last word and the day of the next one.
"""
OF_COMPANY = "confirmed_without_placement"
"""What the agency is not shown: the answer of a person is not for it."""

_STUCK = f"""
SELECT 'pending' AS bucket, count(*) AS credits,
       max(CAST(:today AS date) - c.guarantee_end_on) AS days
  FROM credit c
 WHERE c.bucket = 1 AND c.look_at <= CAST(:today AS date)::timestamp AT TIME ZONE 'Asia/Tokyo'
   {{credit}}
UNION ALL
SELECT 'frozen', count(*), max(CAST(:today AS date) - f.since)
  FROM credit c CROSS JOIN LATERAL (
    SELECT max(t.effective_on) AS since
      FROM ledger_entry e JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
     WHERE e.company_id = c.company_id AND e.credit_id = c.id AND e.ord % 2 = 0
       AND t.kind = {int(Kind.FROZEN)}) f
 WHERE c.bucket = 4 AND f.since < CAST(:today AS date) - {FROZEN_DAYS} {{credit}}
UNION ALL
SELECT 'owed', count(*), max(CAST(:today AS date) - o.since)
  FROM (
    SELECT max(t.effective_on) FILTER (WHERE t.kind = {int(Kind.CLAWBACK_OWED)}) AS since
      FROM ledger_entry e JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
     WHERE e.unit = 1 AND e.bucket = 8 {{entry}}
     GROUP BY e.company_id, e.credit_id HAVING sum(e.qty) < 0) o
 WHERE o.since < CAST(:today AS date) - {OWED_DAYS}
UNION ALL
SELECT 'reserved', count(*), max(CAST(:today AS date) - h.holds_until)
  FROM reservation h JOIN credit c ON c.company_id = h.company_id AND c.id = h.credit_id
 WHERE h.state = 'reserved' AND h.holds_until < :today AND c.bucket = 3 {{credit}}
"""  # noqa: S608 - only constants of this file are put together


@dataclass(frozen=True)
class Unresolved:
    """Credits that should have left a bucket: how many, and for how many days the oldest one.

    `pending` past the end of its guarantee, `frozen` for more than 30 days, `owed` for more than
    90, `reserved` past its hold. Days count from that end, that freezing, that debt, that hold.
    """

    bucket: str
    count: int
    oldest_days: int | None


@dataclass(frozen=True)
class Finding:
    """One line of a reconciliation. `confirmed` is null where it does not apply or is not shown."""

    kind: str
    id: str
    relay_id: str | None
    placement_id: str | None
    dispute_id: str | None
    month: date | None
    """The attested month, or the month of a start: nothing finer."""
    state: str
    since: date | None
    """The hand-over of a relay, or the first day of a dispute."""
    due_on: date | None
    late: bool
    confirmed: bool | None
    last_word_at: datetime | None


async def unresolved(
    session: AsyncSession,
    now: datetime,
    *,
    company_id: str | None = None,
    agency_id: str | None = None,
) -> list[Unresolved]:
    """The buckets by age: of one book or one company, or of the whole system when none is named.

    Every bucket is there, with nothing in it when all is well. For one book the transaction works
    for its company already.
    """
    own = {"company": company_id, "agency": agency_id}
    named = {name: value for name, value in own.items() if value is not None}
    statement = _STUCK.format(
        **{
            place: "".join(f" AND {alias}.{name}_id = :{name}" for name in named)
            for place, alias in (("credit", "c"), ("entry", "e"))
        }
    )
    values = {"today": local_day(now), **named}
    if named:
        rows = (await session.execute(text(statement), values)).all()
    else:
        async with as_system(session):
            rows = (await session.execute(text(statement), values)).all()
    return [Unresolved(row.bucket, row.credits, row.days) for row in rows]


async def reconciliation_counts(
    session: AsyncSession, company_id: str, agency_id: str, *, party: str, now: datetime
) -> dict[str, int]:
    """How many findings of each kind there are between the two; we work for the company."""
    parts = " UNION ALL ".join(
        f"SELECT '{name}' AS kind, count(*) FROM {kind.rows}"  # noqa: S608
        for name, kind in _shown_to(party).items()
    )
    values = _values(parts, company_id, agency_id, now)
    rows = (await session.execute(text(parts), values)).all()
    return {row[0]: row[1] for row in rows}


async def findings(
    session: AsyncSession,
    company_id: str,
    agency_id: str,
    *,
    party: str,
    after: tuple[str, str] | None,
    limit: int,
    now: datetime,
) -> list[Finding]:
    """The findings between the two, alarms first, behind a (kind, id) or from the beginning."""
    shown = _shown_to(party)
    names = list(shown)
    kind, last = after if after is not None and after[0] in shown else (names[0], "")
    found: list[Finding] = []
    for name in names[names.index(kind) :]:
        wanted = shown[name]
        joined = "AND" if " WHERE " in wanted.rows else "WHERE"
        statement = (
            f"SELECT {wanted.columns} FROM {wanted.rows} {joined} {wanted.key} > :after"  # noqa: S608
            f" ORDER BY {wanted.key} LIMIT :limit"
        )
        values = _values(statement, company_id, agency_id, now)
        values |= {"after": last if name == kind else "", "limit": limit - len(found)}
        rows = (await session.execute(text(statement), values)).mappings().all()
        found += [_finding(name, dict(row), party) for row in rows]
        if len(found) >= limit:
            break
    return found


def _finding(kind: str, row: dict[str, Any], party: str) -> Finding:
    confirmed = row.pop("confirmed")
    return Finding(kind=kind, confirmed=confirmed if party == "company" else None, **row)


def _shown_to(party: str) -> dict[str, _Kind]:
    return {name: kind for name, kind in KINDS.items() if party == "company" or name != OF_COMPANY}


def _values(statement: str, company_id: str, agency_id: str, now: datetime) -> dict[str, Any]:
    known = {
        "company": company_id, "agency": agency_id, "today": local_day(now), "words": list(WORDS),
        "before": now - timedelta(days=OFFER_DAYS),
    }  # fmt: skip
    return {name: value for name, value in known.items() if f":{name}" in statement}
