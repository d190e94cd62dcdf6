"""Whether the books agree with the business, and what stands where it should no longer stand.

The arithmetic may be right and a fact still missing: a start without its grant, a credit that is
available while its guarantee runs. Nothing here stops a book; people are told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_company, as_system
from domain.ledger import today_in_japan
from domain.recount import Finding

FROZEN_DAYS, OWED_DAYS = 30, 90
"""So long a credit may be frozen, or owed, before somebody has to look (ledger rules 9)."""

_DISAGREE = text("""
    SELECT c.book_id, 'available_early' AS check, c.id AS detail FROM credit c
     WHERE c.company_id = :company AND c.bucket = 2 AND c.guarantee_end_on >= :today
       AND coalesce(c.terms ->> 'available_after', 'guarantee_end') = 'guarantee_end'
       AND c.placement_id IS NOT NULL
    UNION ALL
    SELECT c.book_id, 'available_late', c.id FROM credit c
     WHERE c.company_id = :company AND c.bucket = 2 AND c.expires_on < :yesterday
    UNION ALL
    SELECT c.book_id, 'used_without_hire', c.id FROM credit c
     WHERE c.company_id = :company AND c.bucket = 5 AND NOT EXISTS (
       SELECT FROM reservation r WHERE r.company_id = c.company_id AND r.credit_id = c.id
          AND r.state = 'used' AND r.hired_on IS NOT NULL)
    UNION ALL
    SELECT r.book_id, 'hire_without_credit', r.id FROM reservation r
      JOIN credit c ON c.company_id = r.company_id AND c.id = r.credit_id
     WHERE r.company_id = :company AND r.state = 'used' AND (c.bucket <> 5 OR EXISTS (
       SELECT FROM reservation o WHERE o.company_id = r.company_id AND o.credit_id = r.credit_id
          AND o.state = 'used' AND o.id <> r.id))
    UNION ALL
    SELECT r.book_id, 'reserved_for_nothing', r.id FROM reservation r
     WHERE r.company_id = :company AND r.state = 'reserved' AND btrim(r.opening) = ''
    UNION ALL
    SELECT coalesce(b.id, ''), 'start_without_grant', p.id
      FROM placement p
      JOIN agreement_version v ON v.company_id = p.company_id
       AND v.agreement_id = p.agreement_id AND v.version = p.agreement_version
      LEFT JOIN book b ON b.company_id = p.company_id AND b.agency_id = p.agency_id
     WHERE p.company_id = :company AND p.state IN ('placed', 'guaranteed')
       AND p.started_on < :today
       AND coalesce(v.terms ->> 'accrual_rule', 'on_placement') IN ('on_placement', 'mixed')
       AND NOT EXISTS (SELECT FROM credit c
                        WHERE c.company_id = p.company_id AND c.placement_id = p.id)
     ORDER BY 2, 3 LIMIT 100
""")
_UNRESOLVED = text("""
    SELECT 'pending' AS bucket, count(*) AS number, min(c.guarantee_end_on) AS since
      FROM credit c WHERE c.look_at <= :now AND c.bucket = 1 AND c.guarantee_end_on < :today
    UNION ALL
    SELECT 'reserved', count(*), min(r.holds_until)
      FROM reservation r JOIN credit c ON c.company_id = r.company_id AND c.id = r.credit_id
     WHERE r.state = 'reserved' AND r.holds_until < :today AND c.bucket = 3
    UNION ALL
    SELECT 'frozen', count(*), min(f.since) FROM (
      SELECT (SELECT t.effective_on FROM ledger_entry e
                JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
               WHERE e.company_id = c.company_id AND e.credit_id = c.id AND e.bucket = 4
                 AND e.ord % 2 = 0 ORDER BY e.tx_id DESC LIMIT 1) AS since
        FROM credit c WHERE c.bucket = 4) f
     WHERE f.since < :frozen_before
    UNION ALL
    SELECT 'owed', count(*), min(d.since) FROM (
      SELECT e.company_id, e.credit_id, max(t.effective_on) AS since
        FROM ledger_balance b
        JOIN ledger_entry e ON e.company_id = b.company_id AND e.book_id = b.book_id
         AND e.unit = b.unit AND e.bucket = b.bucket
        JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
       WHERE b.bucket = 8 AND b.unit = 1 AND b.qty < 0
       GROUP BY e.company_id, e.credit_id HAVING sum(e.qty) < 0) d
     WHERE d.since < :owed_before
""")


@dataclass(frozen=True)
class Unresolved:
    """What stands in a bucket longer than it should: how many, and for how long the oldest."""

    bucket: str
    count: int
    oldest_days: int


async def check_credits(session: AsyncSession, company_id: str, now: datetime) -> list[Finding]:
    """Where a company's credits disagree with its placements, hires and days; at most a hundred."""
    await as_company(session, company_id)
    today = today_in_japan(now)
    named = {"company": company_id, "today": today, "yesterday": today - timedelta(days=1)}
    rows = await session.execute(_DISAGREE, named)
    return [Finding(company_id, row.book_id, row.check, None, row.detail) for row in rows]


async def unresolved(session: AsyncSession, now: datetime) -> Sequence[Unresolved]:
    """By bucket: pending past the guarantee, reserved past the hold, frozen or owed for long.

    `oldest_days` counts from the day on which it should have ended, or on which it began.
    """
    today = today_in_japan(now)
    named = {
        "now": now,
        "today": today,
        "frozen_before": today - timedelta(days=FROZEN_DAYS),
        "owed_before": today - timedelta(days=OWED_DAYS),
    }
    async with as_system(session):
        rows = (await session.execute(_UNRESOLVED, named)).all()
    return [Unresolved(row.bucket, row.number, _days(row.since, today)) for row in rows]


def _days(since: date | None, today: date) -> int:
    return (today - since).days if since is not None else 0
