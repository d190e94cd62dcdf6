"""How it stands with the promises around people's data: for the officer's page and for machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_system
from domain.business_days import local_day
from domain.company import Company
from domain.incident import Incident
from domain.privacy import PrivacyChange, PrivacyCheck, RegisterExport

UNCOVERED_FACT = "uncovered_provisions:"
"""With the company's id behind it; the row is there only while something is uncovered."""
LATE_CHECK = timedelta(hours=6)
_OPEN = text("""
SELECT (SELECT coalesce(sum(CAST(value AS integer)), 0) FROM instance_fact
         WHERE name LIKE :fact) AS uncovered
""")
_ACROSS = text("""
SELECT (SELECT count(*) FROM company WHERE privacy_look_at < :late) AS checks_late,
       (SELECT count(*) FROM rights_request WHERE state IN ('received', 'verified')) AS requests,
       (SELECT count(*) FROM rights_request
         WHERE state IN ('received', 'verified') AND due_on < :today) AS requests_late,
       (SELECT count(*) FROM incident WHERE reportable AND state <> 'closed') AS incidents,
       (SELECT count(*) FROM incident WHERE reportable AND state <> 'closed'
          AND CASE state WHEN 'open' THEN preliminary_due_on ELSE final_due_on END < :today
       ) AS incidents_late,
       (SELECT min(received_at) FROM rights_request
         WHERE state IN ('received', 'verified')) AS oldest_request
""")
_WAITING = text("""
SELECT r.requests, r.requests_late, i.incidents, i.incidents_late, j.joins, f.feedback, f.approvals
FROM (SELECT count(*) AS requests, count(*) FILTER (WHERE due_on < :today) AS requests_late
        FROM rights_request
       WHERE company_id = :company AND state IN ('received', 'verified')) r,
     (SELECT count(*) AS incidents,
             count(*) FILTER (WHERE :today > CASE state WHEN 'open' THEN preliminary_due_on
                                                        ELSE final_due_on END) AS incidents_late
        FROM incident WHERE company_id = :company AND reportable AND state <> 'closed') i,
     (SELECT count(*) AS joins
        FROM join_request WHERE company_id = :company AND state = 'held') j,
     (SELECT count(*) FILTER (WHERE state = 'asked') AS feedback,
             count(*) FILTER (WHERE state = 'to_approve') AS approvals
        FROM feedback_request
       WHERE company_id = :company AND state IN ('asked', 'to_approve')) f
""")


@dataclass(frozen=True)
class PrivacyHealth:
    """Over all companies: what must be nothing, and what is owed."""

    uncovered: int
    checks_late: int
    requests: int
    requests_late: int
    incidents: int
    incidents_late: int
    oldest_days: int
    """Of the requests that wait for an answer: the age of the oldest."""


@dataclass(frozen=True)
class Waiting:
    """What waits for a company's people, and what of it is late. Numbers only."""

    requests: int
    requests_late: int
    incidents: int
    incidents_late: int
    joins: int
    feedback: int
    approvals: int
    check: PrivacyCheck | None
    """The last nightly look at hand-overs."""
    check_late: bool
    """It did not run: nobody knows whether every hand-over is covered."""

    @property
    def late(self) -> bool:
        """Whether a promise is broken already."""
        return bool(self.requests_late or self.incidents_late or self.check_late)


async def privacy_health(session: AsyncSession, now: datetime, today: date) -> PrivacyHealth:
    """For operators' machines: numbers only."""
    uncovered = await session.scalar(_OPEN, {"fact": f"{UNCOVERED_FACT}%"})
    async with as_system(session):
        values = {"late": now - LATE_CHECK, "today": today}
        row = (await session.execute(_ACROSS, values)).one()
    return PrivacyHealth(
        uncovered=int(uncovered or 0), checks_late=row.checks_late, requests=row.requests,
        requests_late=row.requests_late, incidents=row.incidents,
        incidents_late=row.incidents_late,
        oldest_days=(today - local_day(row.oldest_request)).days if row.oldest_request else 0,
    )  # fmt: skip


async def waiting(session: AsyncSession, company: Company, now: datetime) -> Waiting:
    """What waits at one company: found by what is open, whatever is stored besides."""
    values = {"company": company.id, "today": local_day(now)}
    row = (await session.execute(_WAITING, values)).mappings().one()
    due = company.privacy_look_at
    return Waiting(
        **row,
        check=await last_check(session, company.id),
        check_late=due is not None and due < now - LATE_CHECK,
    )


async def last_check(session: AsyncSession, company_id: str) -> PrivacyCheck | None:
    """What the last nightly look found."""
    wanted = select(PrivacyCheck).where(col(PrivacyCheck.company_id) == company_id)
    newest = wanted.order_by(col(PrivacyCheck.finished_at).desc(), col(PrivacyCheck.id).desc())
    return (await session.scalars(newest.limit(1))).first()


async def exports_of(
    session: AsyncSession, company_id: str, *, limit: int = 20
) -> Sequence[RegisterExport]:
    """Who took a register out of the house, newest first."""
    wanted = select(RegisterExport).where(col(RegisterExport.company_id) == company_id)
    return (
        await session.scalars(wanted.order_by(col(RegisterExport.id).desc()).limit(limit))
    ).all()


async def changes_of(
    session: AsyncSession, company_id: str, *, limit: int = 20
) -> Sequence[PrivacyChange]:
    """Who changed the settings, newest first."""
    wanted = select(PrivacyChange).where(col(PrivacyChange.company_id) == company_id)
    return (
        await session.scalars(wanted.order_by(col(PrivacyChange.id).desc()).limit(limit))
    ).all()


async def open_incidents(session: AsyncSession, company_id: str) -> Sequence[Incident]:
    """Incidents that are not closed, the oldest first."""
    wanted = select(Incident).where(
        col(Incident.company_id) == company_id, col(Incident.state) != "closed"
    )
    return (await session.scalars(wanted.order_by(col(Incident.known_at), col(Incident.id)))).all()
