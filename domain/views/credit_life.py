"""The life of one credit: every step it took, and when, as codes a page turns into sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.credits import Bucket, Kind

_STEPS = text("""
    SELECT t.seq, t.kind, t.effective_on, t.recorded_at, t.reason_code, t.actor, t.request,
           given.bucket AS source, e.bucket AS target
      FROM ledger_entry e
      JOIN ledger_entry given
        ON given.company_id = e.company_id AND given.tx_id = e.tx_id AND given.ord = e.ord - 1
      JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
     WHERE e.company_id = :company AND e.credit_id = :credit AND e.ord % 2 = 0
     UNION ALL
    SELECT DISTINCT t.seq, t.kind, t.effective_on, t.recorded_at, t.reason_code, t.actor, t.request,
           CAST(NULL AS smallint), CAST(NULL AS smallint)
      FROM credit_date_change d
      JOIN ledger_tx t ON t.company_id = d.company_id AND t.id = d.tx_id
     WHERE d.company_id = :company AND d.credit_id = :credit AND t.kind = 16
     ORDER BY 1
""")
_DATES = text("""
    SELECT t.seq, d.field, d.old_date, d.new_date FROM credit_date_change d
      JOIN ledger_tx t ON t.company_id = d.company_id AND t.id = d.tx_id
     WHERE d.company_id = :company AND d.credit_id = :credit ORDER BY t.seq, d.ord
""")


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


async def credit_life(session: AsyncSession, company_id: str, credit_id: str) -> list[Step]:
    """Every step of a credit, oldest first. Works for the credit's company."""
    values = {"company": company_id, "credit": credit_id}
    moved: dict[int, list[DateMoved]] = {}
    for row in (await session.execute(_DATES, values)).all():
        moved.setdefault(row.seq, []).append(DateMoved(row.field, row.old_date, row.new_date))
    rows = (await session.execute(_STEPS, values)).all()
    return [_step(row, moved.get(row.seq, [])) for row in rows]


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
