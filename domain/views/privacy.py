"""How it stands with the promises around people's data: for the officer's page and for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import and_, or_, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_system
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import ConsentEvent, ConsentText
from domain.incident import Incident
from domain.privacy import PrivacyChange, PrivacyCheck, RegisterExport

LATE_CHECK = timedelta(hours=6)
LICENCE_WARNING = timedelta(days=90)
_DAY = timedelta(days=1)
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
         WHERE state IN ('received', 'verified')) AS oldest_request,
       (SELECT count(*) FROM candidate
         WHERE review_at <= :late AND erased_at IS NULL) AS erasures_late,
       (SELECT count(*) FROM agency
         WHERE state = 'active' AND license_valid_until <= :soon) AS licences_ending,
       c.uncovered, c.broken, c.chains_ok_at
FROM (SELECT coalesce(sum(newest.uncovered), 0) AS uncovered,
             coalesce(sum(newest.broken), 0) AS broken,
             -- Where no look has found them whole, nothing is known since the beginning.
             min(coalesce(whole.finished_at, company.created_at)) AS chains_ok_at
        FROM company
        LEFT JOIN LATERAL (
          SELECT uncovered, broken FROM privacy_check
           WHERE company_id = company.id ORDER BY finished_at DESC, id DESC LIMIT 1) newest ON true
        LEFT JOIN LATERAL (
          SELECT finished_at FROM privacy_check
           WHERE company_id = company.id AND broken = 0 ORDER BY finished_at DESC LIMIT 1
        ) whole ON true) c
""")
_ERASED = text("""
SELECT key_kind, rule, count(*) AS erased FROM erasure
WHERE at > :since AND at <= :now GROUP BY key_kind, rule
""")
_WHOSE = text("""
SELECT f.found, coalesce(p.candidate_id, a.candidate_id, c.id) AS candidate_id
FROM unnest(CAST(:found AS text[])) AS f(found)
LEFT JOIN provision p ON p.company_id = :company AND p.id = f.found
LEFT JOIN file_access a ON a.company_id = :company AND a.id = f.found
LEFT JOIN candidate c ON c.company_id = :company AND c.id = split_part(f.found, ', ', 1)
WHERE coalesce(p.candidate_id, a.candidate_id, c.id) IS NOT NULL
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
    chains_broken: int
    chains_ok_at: datetime | None
    """When every company's chains of evidence were last found whole: the oldest of these."""
    licences_ending: int
    """Agencies whose licence ends within ninety days, or has ended."""
    erasures_late: int
    """People whose time was to be looked at and was not."""
    erased: Mapping[tuple[str, str], int]
    """Keys destroyed within a day, by kind of key and rule."""


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
    values = {"late": now - LATE_CHECK, "today": today, "soon": today + LICENCE_WARNING}
    async with as_system(session):
        row = (await session.execute(_ACROSS, values)).one()
        erased = (await session.execute(_ERASED, {"since": now - _DAY, "now": now})).all()
    return PrivacyHealth(
        uncovered=row.uncovered, checks_late=row.checks_late, requests=row.requests,
        requests_late=row.requests_late, incidents=row.incidents,
        incidents_late=row.incidents_late,
        oldest_days=(today - local_day(row.oldest_request)).days if row.oldest_request else 0,
        chains_broken=row.broken, chains_ok_at=row.chains_ok_at,
        licences_ending=row.licences_ending, erasures_late=row.erasures_late,
        erased={(one.key_kind, one.rule): one.erased for one in erased},
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


async def people_found(session: AsyncSession, check: PrivacyCheck | None) -> dict[str, str]:
    """Whose record each finding of a check is about: where an officer goes on looking."""
    if check is None or not check.findings:
        return {}
    values = {"company": check.company_id, "found": check.findings}
    return {row.found: row.candidate_id for row in await session.execute(_WHOSE, values)}


async def evidence_of(
    session: AsyncSession, candidate: Candidate, *, limit: int = 200
) -> Sequence[tuple[ConsentEvent, str | None]]:
    """What a person said to hand-overs, newest first, each with the version of its words."""
    records = or_(col(Candidate.id) == candidate.id, col(Candidate.merged_into_id) == candidate.id)
    theirs = select(Candidate.id).where(col(Candidate.company_id) == candidate.company_id, records)
    wanted = (
        select(ConsentEvent, ConsentText.version)
        .outerjoin(
            ConsentText,
            and_(
                col(ConsentText.company_id) == col(ConsentEvent.company_id),
                col(ConsentText.id) == col(ConsentEvent.text_id),
            ),
        )
        .where(
            col(ConsentEvent.company_id) == candidate.company_id,
            col(ConsentEvent.candidate_id).in_(theirs),
        )
        .order_by(col(ConsentEvent.at).desc(), col(ConsentEvent.id).desc())
        .limit(limit)
    )
    return [(event, version) for event, version in (await session.execute(wanted)).all()]


async def changes_of(
    session: AsyncSession, company_id: str, *, limit: int = 20
) -> Sequence[PrivacyChange]:
    """Who changed the settings, newest first."""
    wanted = select(PrivacyChange).where(col(PrivacyChange.company_id) == company_id)
    return (await session.scalars(wanted.order_by(col(PrivacyChange.id).desc()).limit(limit))).all()


async def open_incidents(session: AsyncSession, company_id: str) -> Sequence[Incident]:
    """Incidents that are not closed, the oldest first."""
    wanted = select(Incident).where(
        col(Incident.company_id) == company_id, col(Incident.state) != "closed"
    )
    return (await session.scalars(wanted.order_by(col(Incident.known_at), col(Incident.id)))).all()
