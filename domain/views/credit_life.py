"""The lives of credits: every step they took, and when, as codes a page turns into sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.credits import Bucket, Kind

_THESE = "unnest(CAST(:companies AS text[]), CAST(:credits AS text[])) AS w (company_id, credit_id)"
_STEPS = f"""
SELECT e.credit_id, t.seq, t.kind, t.effective_on, t.recorded_at, t.reason_code, t.actor, t.request,
       given.bucket AS source, e.bucket AS target
  FROM {_THESE}
  JOIN ledger_entry e ON e.company_id = w.company_id AND e.credit_id = w.credit_id
  JOIN ledger_entry given
    ON given.company_id = e.company_id AND given.tx_id = e.tx_id AND given.ord = e.ord - 1
  JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
 WHERE e.ord % 2 = 0
 UNION ALL
SELECT DISTINCT d.credit_id, t.seq, t.kind, t.effective_on, t.recorded_at, t.reason_code, t.actor,
       t.request, CAST(NULL AS smallint), CAST(NULL AS smallint)
  FROM {_THESE}
  JOIN credit_date_change d ON d.company_id = w.company_id AND d.credit_id = w.credit_id
  JOIN ledger_tx t ON t.company_id = d.company_id AND t.id = d.tx_id
 WHERE t.kind = {int(Kind.TERM_CHANGED)}
 ORDER BY 1, 2
"""  # noqa: S608 - only constants of this file are put together
_DATES = f"""
SELECT d.credit_id, t.seq, d.field, d.old_date, d.new_date
  FROM {_THESE}
  JOIN credit_date_change d ON d.company_id = w.company_id AND d.credit_id = w.credit_id
  JOIN ledger_tx t ON t.company_id = d.company_id AND t.id = d.tx_id
 ORDER BY t.seq, d.ord
"""  # noqa: S608 - as above


@dataclass(frozen=True)
class DateMoved:
    """A date of the credit that this step set."""

    field: str
    old: date | None
    new: date


@dataclass(frozen=True)
class Step:
    """One thing that happened to the credit. A step without buckets changed dates only."""

    seq: int
    kind: str
    reason: str | None
    effective_on: date
    at: datetime
    actor: str
    from_bucket: str | None
    to_bucket: str | None
    dates: Sequence[DateMoved]
    request: dict[str, Any]


async def credit_lives(
    session: AsyncSession, credits_: Sequence[tuple[str, str]]
) -> dict[str, list[Step]]:
    """Every step of each credit (company, credit), oldest first: two queries however many."""
    named = {"companies": [one[0] for one in credits_], "credits": [one[1] for one in credits_]}
    moved: dict[tuple[str, int], list[DateMoved]] = {}
    for row in (await session.execute(text(_DATES), named)).all():
        change = DateMoved(row.field, row.old_date, row.new_date)
        moved.setdefault((row.credit_id, row.seq), []).append(change)
    found: dict[str, list[Step]] = {credit_id: [] for _, credit_id in credits_}
    for row in (await session.execute(text(_STEPS), named)).all():
        dates = moved.get((row.credit_id, row.seq), [])
        found[row.credit_id].append(_step(row, dates))
    return found


def _step(row: Any, dates: Sequence[DateMoved]) -> Step:
    return Step(
        seq=row.seq,
        kind=Kind(row.kind).name.lower(),
        reason=row.reason_code,
        effective_on=row.effective_on,
        at=row.recorded_at,
        actor=row.actor,
        from_bucket=_name(row.source),
        to_bucket=_name(row.target),
        dates=dates,
        request=row.request,
    )


def _name(bucket: int | None) -> str | None:
    return None if bucket is None else Bucket(bucket).name.lower()
