"""What HR sees on its pages, and what an agency sees on its own: lists and counts, in SQL.

Every statement names its tenant; row-level security stands behind it. Names are opened by the
caller's vault look-up (`names`), never joined. Where somebody works now is in no row.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.business_days import local_day
from domain.credits import Kind
from domain.ports import Sealer

PAGE = 50
TREND_MONTHS = 12
_QUIET_DAYS = 7
_NEWEST = 1000

_CREDIT_STEP = " ".join((
    "CASE t.kind", *(f"WHEN {kind.value} THEN '{kind.name.lower()}'" for kind in Kind), "END",
))  # fmt: skip
"""What happened to a credit, as the word of the glossary."""

_DEADLINE = """
SELECT d.id, d.application_id, d.due_on, d.due_before, d.state, d.met_at, d.missed_at,
       d.interview_ended_at, d.provisional, i.stage, a.job_title, a.outcome, a.holds,
       a.candidate_id, n.id AS notice_id, n.state AS notice_state, n.send_at
FROM deadline d
JOIN interview i ON i.company_id = d.company_id AND i.id = d.interview_id
JOIN application a ON a.company_id = d.company_id AND a.id = d.application_id
LEFT JOIN LATERAL (
  SELECT id, state, send_at FROM notice
  WHERE notice.company_id = d.company_id AND notice.application_id = d.application_id
    AND kind <> 'interim' AND state IN ('draft', 'scheduled')
  ORDER BY id DESC LIMIT 1
) n ON true
WHERE d.company_id = :company
"""
_OWED = """ AND d.met_at IS NULL AND d.look_at IS NOT NULL
  AND d.state IN ('open', 'due_soon', 'missed') ORDER BY d.due_before, d.id LIMIT :limit"""
_ANSWERED = """ AND d.met_at IS NOT NULL AND d.state <> 'void'
  ORDER BY d.met_at DESC, d.id DESC LIMIT :limit"""
_TREND = """
SELECT m.month::date AS month, count(d.id) AS judged,
       count(d.id) FILTER (WHERE d.met_at < d.due_before) AS on_time
FROM generate_series(CAST(:first AS date), CAST(:today AS date), interval '1 month') m(month)
LEFT JOIN deadline d ON d.company_id = :company AND d.state <> 'void'
  AND d.due_on >= m.month AND d.due_on < m.month + interval '1 month'
  AND (d.due_before <= :now OR d.met_at IS NOT NULL)
GROUP BY 1 ORDER BY 1
"""
_FUNNEL = """
WITH heard AS (
  SELECT application_id, bool_or(met_at IS NOT NULL) AS told
  FROM deadline
  WHERE company_id = :company AND state <> 'void' AND due_on BETWEEN :first AND :last
  GROUP BY 1
), step AS (
  SELECT h.told,
    EXISTS (SELECT FROM invitation i WHERE i.company_id = :company
      AND i.application_id = h.application_id AND i.state <> 'cancelled') AS invited,
    EXISTS (SELECT FROM consent_event e JOIN application a
      ON a.company_id = e.company_id AND a.candidate_id = e.candidate_id
      WHERE a.company_id = :company AND a.id = h.application_id
        AND e.application_id = a.id AND e.kind = 'given') AS opted_in,
    EXISTS (SELECT FROM relay r WHERE r.company_id = :company
      AND r.application_id = h.application_id AND r.forwarded_at IS NOT NULL) AS relayed,
    EXISTS (SELECT FROM relay r JOIN placement p
      ON p.company_id = r.company_id AND p.relay_id = r.id
      WHERE r.company_id = :company AND r.application_id = h.application_id) AS placed
  FROM heard h
)
SELECT count(*) AS interviewed, count(*) FILTER (WHERE told) AS told,
       count(*) FILTER (WHERE invited) AS invited, count(*) FILTER (WHERE opted_in) AS opted_in,
       count(*) FILTER (WHERE relayed) AS relayed, count(*) FILTER (WHERE placed) AS placed
FROM step
"""
_AGENCIES = """
SELECT g.id AS agreement_id, g.number, g.state AS agreement_state, a.id, a.name, a.name_en,
       a.license_number, a.license_valid_until, a.state, a.contact_days, v.terms, v.version,
       count(r.id) FILTER (WHERE r.forwarded_at IS NOT NULL) AS relayed,
       count(r.id) FILTER (WHERE r.state IN ('accepted', 'contacted', 'met', 'recommended',
         'offered')) AS at_work,
       count(r.id) FILTER (WHERE r.state IN ('placed', 'guaranteed', 'early_left')) AS placed
FROM agreement g
JOIN agency a ON a.id = g.agency_id
LEFT JOIN LATERAL (
  SELECT terms, version FROM agreement_version
  WHERE company_id = g.company_id AND agreement_id = g.id AND effective_on <= :today
  ORDER BY version DESC LIMIT 1
) v ON true
LEFT JOIN relay r ON r.company_id = g.company_id AND r.agency_id = a.id
WHERE g.company_id = :company
GROUP BY g.id, g.number, g.state, a.id, v.terms, v.version ORDER BY a.name, a.id
"""
_RELAYS = """
SELECT r.id, r.application_id, r.candidate_id, r.state, r.forward_at, r.forwarded_at, r.closed_at,
       r.created_at, r.reason, g.name AS agency, g.name_en AS agency_en, a.job_title,
       coalesce(e.at, r.forwarded_at, r.created_at) AS changed_at, s.state AS stop_state,
       s.due_on AS stop_due_on
FROM relay r
JOIN agency g ON g.id = r.agency_id
JOIN application a ON a.company_id = r.company_id AND a.id = r.application_id
LEFT JOIN LATERAL (
  SELECT at FROM relay_event
  WHERE relay_event.company_id = r.company_id AND relay_event.relay_id = r.id
  ORDER BY id DESC LIMIT 1
) e ON true
LEFT JOIN LATERAL (
  SELECT state, due_on FROM stop_notice
  WHERE stop_notice.company_id = r.company_id AND stop_notice.relay_id = r.id
  ORDER BY id DESC LIMIT 1
) s ON true
WHERE r.company_id = :company
"""
_CONNECTIONS = """
SELECT c.id, c.provider, c.name, c.enabled, c.refused_signatures, n.last_at, n.lately, n.failed,
       n.unread
FROM ats_connection c
CROSS JOIN LATERAL (
  SELECT max(received_at) AS last_at, count(*) FILTER (WHERE received_at >= :since) AS lately,
         count(*) FILTER (WHERE status = 'failed' AND received_at >= :since) AS failed,
         count(*) FILTER (WHERE status = 'received') AS unread
  FROM (
    SELECT received_at, status FROM delivery
    WHERE delivery.company_id = c.company_id AND delivery.connection_id = c.id
    ORDER BY id DESC LIMIT :most
  ) newest
) n
WHERE c.company_id = :company
ORDER BY c.id
"""
_APPLICATIONS = """
SELECT a.id, a.candidate_id, a.external_id, a.job_title, a.stage, a.outcome, a.holds, a.created_at,
       d.due_on, d.due_before, d.state AS deadline_state, d.met_at, n.kind AS notice_kind,
       n.state AS notice_state, i.state AS invitation_state
FROM application a
LEFT JOIN LATERAL (
  SELECT due_on, due_before, state, met_at FROM deadline
  WHERE deadline.company_id = a.company_id AND deadline.application_id = a.id
    AND deadline.state <> 'void'
  ORDER BY due_before DESC LIMIT 1
) d ON true
LEFT JOIN LATERAL (
  SELECT kind, state FROM notice
  WHERE notice.company_id = a.company_id AND notice.application_id = a.id
  ORDER BY id DESC LIMIT 1
) n ON true
LEFT JOIN invitation i ON i.company_id = a.company_id AND i.application_id = a.id
WHERE a.company_id = :company
"""
_FILTERS = {
    "all": "",
    "active": " AND a.outcome = 'active'",
    "rejected": " AND a.outcome = 'rejected'",
    "withdrawn": " AND a.outcome = 'withdrawn'",
    "hired": " AND a.outcome = 'hired'",
    "held": " AND a.holds <> '[]' AND a.outcome IN ('active', 'rejected')",
}
FILTERS = tuple(_FILTERS)
_NOTICES = """
SELECT n.id, n.application_id, n.candidate_id, n.kind, n.state, n.send_at, n.sent_at, n.mail_id,
       n.feedback IS NOT NULL AS has_feedback, n.created_at, a.job_title, a.outcome, a.holds
FROM notice n
JOIN application a ON a.company_id = n.company_id AND a.id = n.application_id
WHERE n.company_id = :company
"""
_DELIVERIES = """
SELECT d.id, d.connection_id, c.name, d.provider, d.provider_event, d.status, d.error,
       d.received_at, d.processed_at
FROM delivery d
JOIN ats_connection c ON c.company_id = d.company_id AND c.id = d.connection_id
WHERE d.company_id = :company
ORDER BY d.id DESC LIMIT :limit
"""
_TIMELINE = """
SELECT at, kind, detail, agency, agency_en FROM (
  SELECT applied_at AS at, 'applied' AS kind, '' AS detail, '' AS agency, '' AS agency_en
  FROM application WHERE company_id = :company AND id = :application
  UNION ALL
  SELECT outcome_at, 'outcome_' || outcome, coalesce(rejection_reason, ''), '', ''
  FROM application
  WHERE company_id = :company AND id = :application AND outcome <> 'active'
  UNION ALL
  SELECT coalesce(ends_at, starts_at, told_at), 'interview_' || status, stage, '', ''
  FROM interview WHERE company_id = :company AND application_id = :application
  UNION ALL
  SELECT met_at, CASE WHEN met_at < due_before THEN 'told_in_time' ELSE 'told_late' END, '', '', ''
  FROM deadline WHERE company_id = :company AND application_id = :application
  UNION ALL
  SELECT missed_at, 'deadline_missed', '', '', ''
  FROM deadline WHERE company_id = :company AND application_id = :application
  UNION ALL
  SELECT at, 'hold_cleared', hold, '', ''
  FROM hold_clearance WHERE company_id = :company AND application_id = :application
  UNION ALL
  SELECT created_at, 'notice_made_' || kind, '', '', ''
  FROM notice WHERE company_id = :company AND application_id = :application AND kind <> 'passed'
  UNION ALL
  SELECT sent_at, 'notice_sent_' || kind, '', '', ''
  FROM notice WHERE company_id = :company AND application_id = :application
  UNION ALL
  SELECT created_at, 'invited', '', '', ''
  FROM invitation WHERE company_id = :company AND application_id = :application
  UNION ALL
  SELECT reminded_at, 'reminded', '', '', ''
  FROM invitation WHERE company_id = :company AND application_id = :application
  UNION ALL
  SELECT answered_at, 'declined', '', '', ''
  FROM invitation
  WHERE company_id = :company AND application_id = :application AND state = 'declined'
  UNION ALL
  SELECT c.given_at, 'opted_in', '', g.name, g.name_en
  FROM consent c JOIN agency g ON g.id = c.agency_id
  WHERE c.company_id = :company AND c.application_id = :application
  UNION ALL
  SELECT c.withdrawn_at, 'consent_withdrawn', '', g.name, g.name_en
  FROM consent c JOIN agency g ON g.id = c.agency_id
  WHERE c.company_id = :company AND c.application_id = :application
  UNION ALL
  SELECT r.forwarded_at, 'relayed', '', g.name, g.name_en
  FROM relay r JOIN agency g ON g.id = r.agency_id
  WHERE r.company_id = :company AND r.application_id = :application
  UNION ALL
  SELECT e.at, 'agency_' || e.type, '', g.name, g.name_en
  FROM relay_event e
  JOIN relay r ON r.company_id = e.company_id AND r.id = e.relay_id
  JOIN agency g ON g.id = r.agency_id
  WHERE e.company_id = :company AND r.application_id = :application AND e.type = ANY(:reported)
  UNION ALL
  SELECT s.acknowledged_at, 'stop_acknowledged', '', g.name, g.name_en
  FROM stop_notice s
  JOIN relay r ON r.company_id = s.company_id AND r.id = s.relay_id
  JOIN agency g ON g.id = r.agency_id
  WHERE s.company_id = :company AND r.application_id = :application
  UNION ALL
  SELECT t.recorded_at, 'credit_' || :step, '', g.name, g.name_en
  FROM credit c
  JOIN relay r ON r.company_id = c.company_id AND r.id = c.relay_id
  JOIN ledger_entry e ON e.company_id = c.company_id AND e.credit_id = c.id AND e.ord % 2 = 0
  JOIN ledger_tx t ON t.company_id = e.company_id AND t.id = e.tx_id
  JOIN agency g ON g.id = c.agency_id
  WHERE c.company_id = :company AND r.application_id = :application
) happened
WHERE at IS NOT NULL
ORDER BY at DESC, kind
""".replace(":step", _CREDIT_STEP)
_REPORTED = [
    "accepted",
    "declined",
    "contacted",
    "met",
    "recommended",
    "offered",
    "closed",
    "placed",
]
_AGENCY_RELAYS = """
SELECT r.id, r.state, r.version, r.forwarded_at, r.created_at, r.company_id,
       coalesce(e.at, r.forwarded_at, r.created_at) AS changed_at,
       s.state AS stop_state, s.due_on AS stop_due_on, s.kind AS stop_kind
FROM relay r
LEFT JOIN LATERAL (
  SELECT at FROM relay_event
  WHERE relay_event.agency_id = r.agency_id AND relay_event.relay_id = r.id
  ORDER BY id DESC LIMIT 1
) e ON true
LEFT JOIN LATERAL (
  SELECT state, due_on, kind FROM stop_notice
  WHERE stop_notice.agency_id = r.agency_id AND stop_notice.relay_id = r.id
  ORDER BY id DESC LIMIT 1
) s ON true
WHERE r.agency_id = :agency AND (r.forwarded_at IS NOT NULL OR r.state = 'queued')
  AND (CAST(:before AS text) IS NULL OR r.id < :before)
ORDER BY r.id DESC LIMIT :limit
"""
_ENDPOINTS = """
SELECT p.id, p.url, p.state, p.failures, p.last_success_at, p.payload_mode,
       count(m.id) FILTER (WHERE m.state = 'pending') AS waiting,
       count(m.id) FILTER (WHERE m.state = 'failed' AND m.created_at >= :since) AS failed
FROM webhook_endpoint p
LEFT JOIN webhook_message m ON m.agency_id = p.agency_id AND m.endpoint_id = p.id
WHERE p.agency_id = :agency
GROUP BY p.agency_id, p.id ORDER BY p.id
"""


async def owed(session: AsyncSession, company_id: str, limit: int = PAGE) -> Sequence[Row[Any]]:
    """Interviewees who have not heard yet, the most urgent first; missed promises included."""
    return await _all(session, _DEADLINE + _OWED, company=company_id, limit=limit)


async def answered(session: AsyncSession, company_id: str, limit: int = 20) -> Sequence[Row[Any]]:
    """The promises most recently kept, in time or late."""
    return await _all(session, _DEADLINE + _ANSWERED, company=company_id, limit=limit)


async def trend(session: AsyncSession, company_id: str, now: datetime) -> Sequence[Row[Any]]:
    """Month by month (twelve, oldest first): promises that fell due or were kept, and in time."""
    today = local_day(now)
    months = today.year * 12 + today.month - TREND_MONTHS
    first = date(months // 12, months % 12 + 1, 1)
    return await _all(session, _TREND, company=company_id, first=first, today=today, now=now)


async def funnel(session: AsyncSession, company_id: str, first: date, last: date) -> Row[Any]:
    """People from interview to placement: how many of them reached each step."""
    return (await _all(session, _FUNNEL, company=company_id, first=first, last=last))[0]


async def agencies(session: AsyncSession, company_id: str, now: datetime) -> Sequence[Row[Any]]:
    """The agencies the company works with, the terms in force and what became of its people."""
    return await _all(session, _AGENCIES, company=company_id, today=local_day(now))


async def relays(
    session: AsyncSession, company_id: str, *, before: str | None = None, limit: int = PAGE
) -> Sequence[Row[Any]]:
    """Relays, newest first."""
    return await _paged(session, _RELAYS, "r.id", company_id, before=before, limit=limit)


async def applications(
    session: AsyncSession, company_id: str, shown: str, *, before: str | None, limit: int = PAGE
) -> Sequence[Row[Any]]:
    """Applications of one of `FILTERS`, newest first."""
    return await _paged(
        session, _APPLICATIONS + _FILTERS[shown], "a.id", company_id, before=before, limit=limit
    )


async def notices(
    session: AsyncSession, company_id: str, *, waiting: bool, before: str | None, limit: int = PAGE
) -> Sequence[Row[Any]]:
    """Notices that still have to go out, or those that are done, newest first."""
    chosen = "IN ('draft', 'scheduled')" if waiting else "IN ('sent', 'bounced', 'cancelled')"
    wanted = f"{_NOTICES} AND n.state {chosen}"
    return await _paged(session, wanted, "n.id", company_id, before=before, limit=limit)


async def notices_of(
    session: AsyncSession, company_id: str, application_id: str
) -> Sequence[Row[Any]]:
    """One application's notices, newest first."""
    wanted = _NOTICES + " AND n.application_id = :application ORDER BY n.id DESC"
    return await _all(session, wanted, company=company_id, application=application_id)


async def relays_of(
    session: AsyncSession, company_id: str, application_id: str
) -> Sequence[Row[Any]]:
    """One application's relays, newest first."""
    wanted = _RELAYS + " AND r.application_id = :application ORDER BY r.id DESC"
    return await _all(session, wanted, company=company_id, application=application_id)


async def deadlines_of(
    session: AsyncSession, company_id: str, application_id: str
) -> Sequence[Row[Any]]:
    """One application's promises, newest first."""
    wanted = _DEADLINE + " AND d.application_id = :application ORDER BY d.due_before DESC"
    return await _all(session, wanted, company=company_id, application=application_id)


async def timeline(
    session: AsyncSession, company_id: str, application_id: str
) -> Sequence[Row[Any]]:
    """Everything that happened to an application, newest first. `kind` names what."""
    return await _all(
        session, _TIMELINE,
        company=company_id, application=application_id, reported=_REPORTED,
    )  # fmt: skip


async def connections(session: AsyncSession, company_id: str, now: datetime) -> Sequence[Row[Any]]:
    """ATS connections and how they have been these seven days (their newest thousand deliveries).

    Looking costs the same however many deliveries are kept.
    """
    since = now - timedelta(days=_QUIET_DAYS)
    values = {"company": company_id, "since": since, "most": _NEWEST}
    return await _all(session, _CONNECTIONS, **values)


async def deliveries(session: AsyncSession, company_id: str, limit: int = 15) -> Sequence[Row[Any]]:
    """What the ATSs delivered last, newest first; without its contents."""
    return await _all(session, _DELIVERIES, company=company_id, limit=limit)


async def names(
    session: AsyncSession, sealer: Sealer, company_id: str, candidate_ids: Iterable[str]
) -> dict[str, str]:
    """The names of these candidates by id; empty where the person was erased."""
    people = sorted(set(candidate_ids))
    found = await _all(
        session,
        "SELECT id, profile FROM candidate WHERE company_id = :company AND id = ANY(:people)"
        " AND profile IS NOT NULL AND erased_at IS NULL",
        company=company_id,
        people=people,
    )
    sealed = [(row.id, row.profile, "profile") for row in found]
    opened = await vault.open_each(session, sealer, company_id, sealed)
    shown = {one[0]: _name(profile or {}) for one, profile in zip(sealed, opened, strict=True)}
    return {one: shown.get(one, "") for one in people}


async def agency_relays(
    session: AsyncSession, agency_id: str, *, before: str | None = None, limit: int = PAGE
) -> Sequence[Row[Any]]:
    """An agency's relays, newest first: ids and states only."""
    return await _all(session, _AGENCY_RELAYS, agency=agency_id, before=before, limit=limit)


async def endpoints(session: AsyncSession, agency_id: str, now: datetime) -> Sequence[Row[Any]]:
    """An agency's webhook endpoints and how they are."""
    since = now - timedelta(days=_QUIET_DAYS)
    return await _all(session, _ENDPOINTS, agency=agency_id, since=since)


def _name(profile: dict[str, Any]) -> str:
    parts = (profile.get("family_name"), profile.get("given_name"))
    return profile.get("display_name") or " ".join(part for part in parts if part)


async def _paged(
    session: AsyncSession,
    wanted: str,
    key: str,
    company_id: str,
    *,
    before: str | None,
    limit: int,
) -> Sequence[Row[Any]]:
    values: dict[str, Any] = {"company": company_id, "limit": limit}
    if before is not None:
        wanted, values["before"] = f"{wanted} AND {key} < :before", before
    return await _all(session, f"{wanted} ORDER BY {key} DESC LIMIT :limit", **values)


async def _all(session: AsyncSession, wanted: str, **values: Any) -> Sequence[Row[Any]]:
    return (await session.execute(text(wanted), values)).all()
