"""What the pages of the ledger list, for a company or for an agency: the same rows on either side.

Each reads as the tenant whose pages they are; row-level security shows an agency its own rows only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.credits import Bucket

PAGE = 30
"""Lines on one page of a list for people."""
CREDIT_STATES: Mapping[str, tuple[Bucket, ...]] = {
    "all": tuple(bucket for bucket in Bucket if bucket not in {Bucket.ISSUED, Bucket.OWED}),
    "open": (Bucket.PENDING, Bucket.AVAILABLE, Bucket.RESERVED, Bucket.FROZEN),
    "used": (Bucket.USED,),
    "ended": (Bucket.EXPIRED, Bucket.REVERSED),
}
"""The filters of the list of credits."""

_COUNTERPARTS = {
    "company": """
SELECT a.id AS agreement_id, a.number, a.state, a.ends_on, g.id, g.name, g.name_en
  FROM agreement a JOIN agency g ON g.id = a.agency_id
 WHERE a.company_id = :owner ORDER BY g.name, g.id
""",
    "agency": """
SELECT a.id AS agreement_id, a.number, a.state, a.ends_on, c.id, c.name, c.name_en
  FROM agreement a JOIN company c ON c.id = a.company_id
 WHERE a.agency_id = :owner ORDER BY c.name, c.id
""",
}
_CREDITS = """
SELECT c.id, c.company_id, c.agency_id, c.bucket, c.agreement_id, c.agreement_version,
       c.placement_id, c.relay_id, c.guarantee_end_on, c.available_on, c.expires_on,
       c.reference_value_jpy, o.application_id, p.left_on, h.id AS reservation_id, h.opening,
       h.reserved_on, h.holds_until, h.release_by, h.hired_on, h.list_fee_jpy,
       h.state AS reservation_state,
       CASE WHEN c.bucket = 4 THEN (
         SELECT d.id FROM dispute d WHERE d.company_id = c.company_id AND d.state <> 'final'
            AND d.credit_ids @> to_jsonb(c.id) LIMIT 1) END AS dispute_id,
       coalesce((SELECT sum(e.qty) FROM ledger_entry e WHERE e.company_id = c.company_id
         AND e.credit_id = c.id AND e.bucket = 8), 0) < 0 AS owed
  FROM credit c
  LEFT JOIN relay o ON o.company_id = c.company_id AND o.id = c.relay_id
  LEFT JOIN placement p ON p.company_id = c.company_id AND p.id = c.placement_id
  LEFT JOIN LATERAL (
    SELECT * FROM reservation r
     WHERE r.company_id = c.company_id AND r.credit_id = c.id AND r.state IN ('reserved', 'used')
     ORDER BY r.id DESC LIMIT 1
  ) h ON true
 WHERE c.{whose} = :owner AND c.bucket = ANY(CAST(:buckets AS smallint[]))
   AND (CAST(:other AS text) IS NULL OR c.{others} = :other)
   AND (CAST(:before AS text) IS NULL OR c.id < :before)
 ORDER BY c.id DESC LIMIT :limit
"""
_ASKED_BACK = """
SELECT r.id, r.credit_id, r.company_id, r.agency_id, r.opening, r.release_by FROM reservation r
 WHERE r.{whose} = :owner AND r.state = 'reserved' AND r.release_by IS NOT NULL
 ORDER BY r.release_by, r.id
"""
_DISPUTES = """
SELECT d.id, d.company_id, d.agency_id, d.subject, d.reason, d.opened_by, d.state, d.due_on,
       d.outcome, d.appealed_by, d.created_at, d.ended_at
  FROM dispute d
 WHERE d.{whose} = :owner AND (CAST(:before AS text) IS NULL OR d.id < :before)
 ORDER BY d.id DESC LIMIT :limit
"""
_DECLARED = """
SELECT r.id, r.agency_id, r.closed_at FROM relay r
 WHERE r.company_id = :owner AND r.state = 'declined'
   AND r.reason IN ('already_registered', 'already_registered_unproven')
   AND NOT EXISTS (SELECT FROM dispute d WHERE d.company_id = r.company_id AND d.relay_id = r.id
     AND d.subject = 'already_registered')
 ORDER BY r.id DESC LIMIT :limit
"""
_PLACEMENTS = """
SELECT p.id, p.company_id, p.relay_id, p.state, p.started_on, p.employment_term,
       p.guarantee_end_on, p.left_on, p.reports, c.name AS company, c.name_en AS company_en
  FROM placement p JOIN company c ON c.id = p.company_id
 WHERE p.agency_id = :owner AND (CAST(:before AS text) IS NULL OR p.id < :before)
 ORDER BY p.id DESC LIMIT :limit
"""
_AT_WORK = """
SELECT r.id, r.company_id, r.state, r.forwarded_at, r.status_due_on,
       r.status_missed_on IS NOT NULL AS late, c.name AS company, c.name_en AS company_en
  FROM relay r JOIN company c ON c.id = r.company_id
 WHERE r.agency_id = :owner
   AND r.state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended', 'offered')
 ORDER BY r.status_due_on NULLS LAST, r.id LIMIT :limit
"""
_DUTIES = """
SELECT (SELECT count(*) FROM relay r WHERE r.agency_id = :owner AND r.status_missed_on IS NOT NULL
         AND r.state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended', 'offered')
       ) AS words_late,
       (SELECT count(*) FROM relay r WHERE r.agency_id = :owner AND r.status_missed_on IS NULL
         AND r.status_due_on <= CAST(:today AS date) + 7
         AND r.state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended', 'offered')
       ) AS words_soon,
       (SELECT count(DISTINCT t.month) FROM attestation t
         WHERE t.agency_id = :owner AND t.state <> 'given') AS months,
       (SELECT min(t.due_on) FROM attestation t
         WHERE t.agency_id = :owner AND t.state <> 'given') AS month_due_on
"""


@dataclass(frozen=True)
class Counterpart:
    """The other side of an agreement, as its pages name it."""

    id: str
    name: str
    name_en: str
    agreement_id: str
    number: str
    state: str
    ends_on: date | None

    def named(self, locale: str) -> str:
        """Its name in a language, where it has one."""
        return self.name_en if locale == "en" and self.name_en else self.name


async def counterparts(session: AsyncSession, party: str, owner: str) -> dict[str, Counterpart]:
    """Whom a company (or an agency) has an agreement with, by their ids, in the order of names."""
    rows = (await session.execute(text(_COUNTERPARTS[party]), {"owner": owner})).mappings().all()
    return {row["id"]: Counterpart(**row) for row in rows}


async def credit_rows(
    session: AsyncSession,
    party: str,
    owner: str,
    *,
    shown: str = "all",
    other: str | None = None,
    before: str | None = None,
    limit: int = PAGE,
) -> Sequence[Row[Any]]:
    """Credits of one of `CREDIT_STATES`, newest first, with their hold and what stands in dispute.

    `other`: only those with this other side.
    """
    others = "agency_id" if party == "company" else "company_id"
    statement = _CREDITS.format(whose=f"{party}_id", others=others)
    values = {
        "owner": owner, "other": other, "before": before, "limit": limit,
        "buckets": [int(bucket) for bucket in CREDIT_STATES[shown]],
    }  # fmt: skip
    return (await session.execute(text(statement), values)).all()


async def asked_back(session: AsyncSession, party: str, owner: str) -> Sequence[Row[Any]]:
    """Held credits that are asked back, the most urgent first."""
    statement = text(_ASKED_BACK.format(whose=f"{party}_id"))
    return (await session.execute(statement, {"owner": owner})).all()


async def disputes(
    session: AsyncSession, party: str, owner: str, *, before: str | None = None, limit: int = PAGE
) -> Sequence[Row[Any]]:
    """Disputes, newest first."""
    statement = text(_DISPUTES.format(whose=f"{party}_id"))
    values = {"owner": owner, "before": before, "limit": limit}
    return (await session.execute(statement, values)).all()


async def declared(session: AsyncSession, company_id: str, limit: int = PAGE) -> Sequence[Row[Any]]:
    """Relays an agency turned down because it had known the person (既登録), never disputed."""
    return (await session.execute(text(_DECLARED), {"owner": company_id, "limit": limit})).all()


async def placements(
    session: AsyncSession, agency_id: str, *, before: str | None = None, limit: int = PAGE
) -> Sequence[Row[Any]]:
    """An agency's placements, newest first."""
    values = {"owner": agency_id, "before": before, "limit": limit}
    return (await session.execute(text(_PLACEMENTS), values)).all()


async def at_work(session: AsyncSession, agency_id: str, limit: int = 200) -> Sequence[Row[Any]]:
    """An agency's open relays, those first about which a word is due first."""
    return (await session.execute(text(_AT_WORK), {"owner": agency_id, "limit": limit})).all()


async def duties(session: AsyncSession, agency_id: str, today: date) -> Row[Any]:
    """What an agency owes now: words late or due within a week, months without an attestation."""
    return (await session.execute(text(_DUTIES), {"owner": agency_id, "today": today})).one()
