"""The numbers of the loop, counted from rows each time (domain rules 19); no counter is stored.

A rate is null where there is nothing to divide by. A breakdown shows no number about fewer than
five people: it says `<5`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.business_days import Calendar, at, calendar_of, elapsed, local_day, office_hours
from domain.company import Company
from domain.ports import Tools
from domain.views.privacy import LICENCE_WARNING

FEW = 5
SMALL = "<5"


@dataclass(frozen=True)
class Rate:
    """A part of a whole; `value` is null when the whole is nothing."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """Between 0 and 1, to four places."""
        return round(self.part / self.whole, 4) if self.whole else None


@dataclass(frozen=True)
class Slice:
    """One line of a breakdown. Small groups keep their numbers to themselves."""

    key: str
    people: int | str
    rate: float | None


@dataclass
class Metrics:
    """What the dashboard and `GET /v1/company/metrics` show for a period of local dates."""

    first: date
    last: date
    on_time: Rate
    median_business_days: float | None
    due_today: int
    overdue: int
    missed: int
    feedback: Rate
    invitation: Rate
    opt_in: Rate
    withdrawal: Rate
    stop_ack_p95_hours: float | None
    provisions_without_valid_consent: int
    agency_accept_hours: float | None
    agency_contact_hours: float | None
    agency_contact: Rate
    meeting: Rate
    placement: Rate
    credits_available: int
    credits_expiring_60d: int
    credits_used: int
    avoided_fee_reference_jpy: int
    mail_bounce: Rate
    requests_open: int
    requests_oldest_days: int
    requests_overdue: int
    erasures_due: int
    erasures_done: int
    licence_expiring_90d: int
    audit_chain_ok_at: datetime | None
    by_stage: list[Slice] = field(default_factory=list)
    by_agency: list[Slice] = field(default_factory=list)
    by_template: list[Slice] = field(default_factory=list)


async def metrics(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    *,
    period: tuple[date, date],
    now: datetime,
) -> Metrics:
    """Count a company's numbers for a period of local dates, both included."""
    first, last = period
    count = _Counter(session, company.id, period, now)
    calendar = calendar_of(company.calendar, tools.holidays)
    promise, funnel = await count.one(_PROMISE), await count.one(_FUNNEL)
    relays, earned = await count.one(_RELAYS), await count.one(_CREDITS)
    mails, rights = await count.one(_MAILS), await count.one(_RIGHTS)
    evidence = await count.one(_EVIDENCE)
    return Metrics(
        first=first,
        last=last,
        on_time=Rate(promise.on_time, promise.judged),
        median_business_days=_median_days(calendar, await count.all(_WAITS)),
        due_today=promise.due_today,
        overdue=promise.overdue,
        missed=promise.missed,
        feedback=Rate(funnel.with_feedback, funnel.rejected),
        invitation=Rate(funnel.invited, funnel.eligible),
        opt_in=Rate(funnel.opted_in, funnel.invited),
        withdrawal=Rate(funnel.withdrawn, funnel.given),
        stop_ack_p95_hours=_percentile(_hours(calendar, await count.all(_STOPS)), 95),
        provisions_without_valid_consent=evidence.uncovered,
        agency_accept_hours=_median(_hours(calendar, await count.all(_ACCEPTS))),
        agency_contact_hours=_median(_hours(calendar, await count.all(_CONTACTS))),
        agency_contact=Rate(relays.contacted, relays.accepted),
        meeting=Rate(relays.met, relays.contacted),
        placement=Rate(relays.placed, relays.accepted),
        credits_available=earned.available,
        credits_expiring_60d=earned.expiring,
        credits_used=earned.used,
        avoided_fee_reference_jpy=earned.avoided,
        mail_bounce=Rate(mails.part, mails.whole),
        requests_open=rights.open,
        requests_oldest_days=(local_day(now) - local_day(rights.oldest)).days
        if rights.oldest
        else 0,
        requests_overdue=rights.overdue,
        erasures_due=rights.erasures_due,
        erasures_done=rights.erasures_done,
        licence_expiring_90d=evidence.licences,
        audit_chain_ok_at=evidence.chains_ok_at,
        by_stage=_slices(await count.all(_BY_STAGE)),
        by_agency=_slices(await count.all(_BY_AGENCY)),
        by_template=_slices(await count.all(_BY_TEMPLATE)),
    )


class _Counter:
    """Runs the statements below with one set of parameters."""

    def __init__(
        self, session: AsyncSession, company_id: str, period: tuple[date, date], now: datetime
    ) -> None:
        self._session = session
        first, last = period
        midnight = datetime.min.time()
        self._values = {
            "company": company_id,
            "first": first,
            "last": last,
            "start": at(first, midnight),
            "stop": at(last + timedelta(days=1), midnight),
            "now": now,
            "today": local_day(now),
            "soon": local_day(now) + timedelta(days=60),
            "quarter": local_day(now) + LICENCE_WARNING,
        }

    async def all(self, statement: str) -> Sequence[Row[Any]]:
        used = {name: value for name, value in self._values.items() if f":{name}" in statement}
        return (await self._session.execute(text(statement), used)).all()

    async def one(self, statement: str) -> Row[Any]:
        return (await self.all(statement))[0]


def _median_days(calendar: Calendar, waits: Sequence[Row[Any]]) -> float | None:
    days: list[float] = []
    for wait in waits:
        days += [elapsed(calendar, wait.interviewed_on, wait.told_on)] * wait.people
    return _median(days)


def _hours(calendar: Calendar, spans: Sequence[Row[Any]]) -> list[float]:
    return [office_hours(calendar, span.start, span.stop) for span in spans]


def _median(values: list[float]) -> float | None:
    return round(median(values), 2) if values else None


def _percentile(values: list[float], percent: int) -> float | None:
    """The nearest-rank percentile."""
    ranked = sorted(values)
    return round(ranked[-(-len(ranked) * percent // 100) - 1], 2) if ranked else None


def _slices(rows: Sequence[Row[Any]]) -> list[Slice]:
    return [
        Slice(row.key, SMALL, None)
        if row.whole < FEW
        else Slice(row.key, row.whole, Rate(row.part, row.whole).value)
        for row in rows
    ]


_JUDGED = """
  FROM deadline d
  WHERE d.company_id = :company AND d.due_on BETWEEN :first AND :last AND d.state <> 'void'
    AND (d.due_before <= :now OR d.met_at IS NOT NULL)
"""
_PROMISE = f"""
SELECT j.on_time, j.judged, o.due_today, o.overdue, j.missed
FROM (SELECT count(*) FILTER (WHERE d.met_at < d.due_before) AS on_time, count(*) AS judged,
             count(*) FILTER (WHERE d.met_at IS NULL OR d.met_at >= d.due_before) AS missed
      {_JUDGED}) j,
     (SELECT count(*) FILTER (WHERE due_on = :today) AS due_today,
             count(*) FILTER (WHERE due_on < :today) AS overdue
      FROM deadline
      WHERE company_id = :company AND met_at IS NULL AND look_at IS NOT NULL
        AND state IN ('open', 'due_soon', 'missed')) o
"""  # noqa: S608 - only constants of this file are put together
_WAITS = """
SELECT (d.interview_ended_at AT TIME ZONE 'Asia/Tokyo')::date AS interviewed_on,
       (d.met_at AT TIME ZONE 'Asia/Tokyo')::date AS told_on, count(*) AS people
FROM deadline d
WHERE d.company_id = :company AND d.due_on BETWEEN :first AND :last
  AND d.state <> 'void' AND d.met_at IS NOT NULL
GROUP BY 1, 2
"""
_TOLD = """
  SELECT n.application_id, bool_or(n.feedback IS NOT NULL) AS with_feedback
  FROM notice n
  WHERE n.company_id = :company AND n.kind = 'rejected' AND n.state = 'sent'
    AND n.sent_at >= :start AND n.sent_at < :stop
  GROUP BY 1
"""
_FUNNEL = f"""
WITH told AS ({_TOLD}), person AS (
  SELECT t.with_feedback, i.id IS NOT NULL AS invited,
    i.id IS NOT NULL OR (
      coalesce(c.allowed_sources ? a.source, false) AND a.outcome = 'rejected'
      AND a.applicant_type <> 'high_school'
      AND (a.applicant_type <> 'minor' OR k.guardian_consent_at IS NOT NULL)
      AND k.opted_out_at IS NULL AND k.restricted_from IS NULL AND k.erased_at IS NULL
    ) AS eligible,
    EXISTS (
      SELECT FROM consent_event e
      WHERE e.company_id = a.company_id AND e.candidate_id = a.candidate_id
        AND e.application_id = a.id AND e.kind = 'given'
    ) AS opted_in
  FROM told t
  JOIN application a ON a.company_id = :company AND a.id = t.application_id
  JOIN candidate k ON k.company_id = a.company_id AND k.id = a.candidate_id
  JOIN company c ON c.id = a.company_id
  LEFT JOIN invitation i
    ON i.company_id = a.company_id AND i.application_id = a.id AND i.state <> 'cancelled'
)
SELECT count(*) AS rejected, count(*) FILTER (WHERE with_feedback) AS with_feedback,
       count(*) FILTER (WHERE eligible) AS eligible, count(*) FILTER (WHERE invited) AS invited,
       count(*) FILTER (WHERE invited AND opted_in) AS opted_in, g.given, g.withdrawn
FROM person, (
  SELECT count(*) AS given, count(*) FILTER (WHERE withdrawn_at IS NOT NULL) AS withdrawn
  FROM consent
  WHERE company_id = :company AND given_at >= :start AND given_at < :stop
) g
GROUP BY g.given, g.withdrawn
UNION ALL
SELECT 0, 0, 0, 0, 0, count(*), count(*) FILTER (WHERE withdrawn_at IS NOT NULL)
FROM consent
WHERE company_id = :company AND given_at >= :start AND given_at < :stop
LIMIT 1
"""  # noqa: S608 - only constants of this file are put together
_STOPS = """
SELECT created_at AS start, acknowledged_at AS stop FROM stop_notice
WHERE company_id = :company AND acknowledged_at IS NOT NULL AND kind <> 'corrected'
  AND created_at >= :start AND created_at < :stop
"""
_EVIDENCE = """
SELECT coalesce((SELECT uncovered FROM privacy_check WHERE company_id = :company
                  ORDER BY finished_at DESC, id DESC LIMIT 1), 0) AS uncovered,
       (SELECT max(finished_at) FROM privacy_check
         WHERE company_id = :company AND broken = 0) AS chains_ok_at,
       (SELECT count(*) FROM agency a
         WHERE a.state = 'active' AND a.license_valid_until <= :quarter
           AND EXISTS (SELECT FROM agreement g WHERE g.company_id = :company
                         AND g.agency_id = a.id AND g.state = 'active')) AS licences
"""
_STEP_TIME = """
SELECT r.forwarded_at AS start, min(e.at) AS stop
FROM relay r
JOIN relay_event e ON e.company_id = r.company_id AND e.relay_id = r.id AND e.type = '{step}'
WHERE r.company_id = :company AND r.forwarded_at >= :start AND r.forwarded_at < :stop
GROUP BY r.id, r.forwarded_at
"""
_ACCEPTS, _CONTACTS = _STEP_TIME.format(step="accepted"), _STEP_TIME.format(step="contacted")
_STEPS = """
  SELECT r.agency_id, bool_or(e.type = 'accepted') AS accepted,
         bool_or(e.type = 'contacted') AS contacted, bool_or(e.type = 'met') AS met,
         EXISTS (SELECT FROM placement p
                 WHERE p.company_id = r.company_id AND p.relay_id = r.id
                   AND p.state NOT IN ('expected', 'withdrawn')) AS placed
  FROM relay r
  LEFT JOIN relay_event e ON e.company_id = r.company_id AND e.relay_id = r.id
  WHERE r.company_id = :company AND r.forwarded_at >= :start AND r.forwarded_at < :stop
  GROUP BY r.company_id, r.id, r.agency_id
"""
_RELAYS = f"""
SELECT count(*) FILTER (WHERE accepted) AS accepted,
       count(*) FILTER (WHERE accepted AND contacted) AS contacted,
       count(*) FILTER (WHERE accepted AND contacted AND met) AS met,
       count(*) FILTER (WHERE accepted AND placed) AS placed
FROM ({_STEPS}) s
"""  # noqa: S608 - only constants of this file are put together
_CREDITS = """
SELECT count(*) FILTER (WHERE c.bucket = 2) AS available,
       count(*) FILTER (WHERE c.bucket = 2 AND c.expires_on <= :soon) AS expiring,
       count(*) FILTER (WHERE c.bucket = 5) AS used,
       coalesce(sum(coalesce(r.list_fee_jpy, c.reference_value_jpy))
         FILTER (WHERE c.bucket = 5), 0)::bigint AS avoided
FROM credit c
LEFT JOIN reservation r
  ON r.company_id = c.company_id AND r.credit_id = c.id AND r.state = 'used'
WHERE c.company_id = :company
"""
_MAIL_ROWS = """
  FROM mail
  WHERE tenant_id = :company AND state IN ('sent', 'bounced')
    AND created_at >= :start AND created_at < :stop
"""
_MAILS = f"""
SELECT count(*) FILTER (WHERE state = 'bounced') AS part, count(*) AS whole {_MAIL_ROWS}
"""
_RIGHTS = """
SELECT r.open, r.oldest, r.overdue,
       (SELECT count(*) FROM candidate
         WHERE company_id = :company AND review_at <= :now AND erased_at IS NULL) AS erasures_due,
       (SELECT count(*) FROM erasure
         WHERE company_id = :company AND key_kind = 'profile' AND at >= :start AND at < :stop
       ) AS erasures_done
FROM (SELECT count(*) AS open, min(received_at) AS oldest,
             count(*) FILTER (WHERE due_on < :today) AS overdue
        FROM rights_request
       WHERE company_id = :company AND state IN ('received', 'verified')) r
"""
_BY_TEMPLATE = f"""
SELECT template AS key, count(*) FILTER (WHERE state = 'bounced') AS part,
       count(*) AS whole {_MAIL_ROWS}
GROUP BY 1 ORDER BY 1
"""
_BY_STAGE = """
SELECT i.stage AS key, count(*) FILTER (WHERE d.met_at < d.due_before) AS part,
       count(*) AS whole
FROM deadline d
JOIN interview i ON i.company_id = d.company_id AND i.id = d.interview_id
WHERE d.company_id = :company AND d.due_on BETWEEN :first AND :last AND d.state <> 'void'
  AND (d.due_before <= :now OR d.met_at IS NOT NULL)
GROUP BY 1 ORDER BY 1
"""
_BY_AGENCY = f"""
SELECT agency_id AS key, count(*) FILTER (WHERE accepted AND placed) AS part,
       count(*) FILTER (WHERE accepted) AS whole
FROM ({_STEPS}) s GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - only constants of this file are put together
