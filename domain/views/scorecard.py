"""How an agency works for a company, over the last 365 days. Both see the same numbers.

Rates and times are about people: one that rests on fewer than five of them is not shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_system
from domain.agency import Agency
from domain.agreement import Agreement
from domain.business_days import Calendar, at, calendar_of, local_day, office_hours
from domain.company import Company
from domain.completeness import WORDS, words_kept
from domain.flows.earn.agree_terms import version_on
from domain.ports import Tools
from domain.terms import terms_of
from domain.views.duties import paused
from domain.views.metrics import FEW

PERIOD = timedelta(days=365)

_RELAYS = text("""
SELECT r.forwarded_at, r.closed_at,
       min(e.at) FILTER (WHERE e.type = 'accepted') AS accepted_at,
       min(e.at) FILTER (WHERE e.type = 'contacted') AS contacted_at,
       coalesce(bool_or(e.type = 'met'), false) AS met,
       coalesce(array_agg((e.noted_at AT TIME ZONE 'Asia/Tokyo')::date)
         FILTER (WHERE e.type = ANY(:words)), '{}') AS words,
       EXISTS (SELECT FROM placement p WHERE p.company_id = r.company_id AND p.relay_id = r.id
         AND p.state IN ('placed', 'guaranteed', 'early_left')) AS placed
  FROM relay r
  LEFT JOIN relay_event e ON e.company_id = r.company_id AND e.relay_id = r.id
 WHERE r.company_id = :company AND r.agency_id = :agency AND r.forwarded_at >= :start
 GROUP BY r.company_id, r.id
""")
_STOPS = text("""
SELECT s.created_at, s.acknowledged_at
  FROM relay r JOIN stop_notice s ON s.company_id = r.company_id AND s.relay_id = r.id
 WHERE r.company_id = :company AND r.agency_id = :agency AND r.forwarded_at >= :start
   AND s.acknowledged_at IS NOT NULL AND s.kind <> 'corrected'
""")
_ATTESTATIONS = text("""
SELECT count(*) AS due,
       count(*) FILTER (
         WHERE (given_at AT TIME ZONE 'Asia/Tokyo')::date <= due_on) AS in_time
  FROM attestation
 WHERE company_id = :company AND agency_id = :agency AND due_on >= :first
   AND (due_on < :today OR state = 'given')
""")
_DISPUTES = text("""
SELECT count(*) AS opened, count(*) FILTER (WHERE opened_by = 'agency') AS opened_by_agency,
       count(*) FILTER (WHERE state = 'final') AS ended,
       count(*) FILTER (WHERE state = 'final' AND outcome = 'for_company') AS against_agency
  FROM dispute
 WHERE company_id = :company AND agency_id = :agency AND created_at >= :start
""")
_STOPS_IGNORED = text("""
SELECT EXISTS (SELECT FROM stop_notice
  WHERE agency_id = :agency AND state = 'overdue' AND escalated_at IS NOT NULL)
""")


@dataclass(frozen=True)
class Measure:
    """A number, and on how many people it rests. Both are null where they are fewer than five."""

    value: float | None
    people: int | None
    few: bool


@dataclass(frozen=True)
class Disputes:
    """Disputes opened in the period, and of those how many ended against the agency."""

    opened: int
    opened_by_agency: int
    ended: int
    against_agency: int


@dataclass(frozen=True)
class Wait:
    """Why nothing new goes to the agency at present. `since` is null where no day belongs to it."""

    reason: str
    since: date | None


@dataclass(frozen=True)
class Scorecard:
    """One agency for one company. Times are hours between 9:00 and 18:00 of the company's days.

    - `accept_hours`, `contact_hours`: median from the hand-over to the first report of it;
    - `contact_rate`: contacted / accepted; `meeting_rate`: met / contacted (of the accepted);
      `placement_rate`: started / accepted, whatever became of it afterwards;
    - `words_in_time`: of the words that were due about relays, those given in time. A word is due
      as often as today's terms say (`duties.status_days`), counted from the hand-over or the last
      word; a long silence counts as often as a word was missing. It rests on relays about which
      a word was due;
    - `attestations_in_time` of `attestations_due`: months whose last day to attest has passed, or
      that were attested, in the period;
    - `stop_hours_p95`: from a withdrawal or erasure to the agency's acknowledgement, the 95th
      percentile by nearest rank, of those it has acknowledged.
    """

    first: date
    last: date
    relays: Measure
    accept_hours: Measure
    contact_hours: Measure
    contact_rate: Measure
    meeting_rate: Measure
    placement_rate: Measure
    words_in_time: Measure
    attestations_due: int
    attestations_in_time: int
    disputes: Disputes
    stop_hours_p95: Measure
    waits: list[Wait]


async def scorecard(
    session: AsyncSession, tools: Tools, agreement: Agreement, now: datetime
) -> Scorecard:
    """Count it from rows: people handed over in the period, and what was due in it.

    The transaction works for the company of the agreement.
    """
    today = local_day(now)
    first = today - PERIOD
    values = {
        "company": agreement.company_id, "agency": agreement.agency_id,
        "start": at(first, time()),
    }  # fmt: skip
    company = await session.get_one(Company, agreement.company_id)
    calendar = calendar_of(company.calendar, tools.holidays)
    relays = (await session.execute(_RELAYS, {**values, "words": list(WORDS)})).all()
    stops = (await session.execute(_STOPS, values)).all()
    disputes = (await session.execute(_DISPUTES, values)).one()
    del values["start"]
    attested = (
        await session.execute(_ATTESTATIONS, {**values, "first": first, "today": today})
    ).one()
    accepted = [relay for relay in relays if relay.accepted_at is not None]
    contacted = [relay for relay in accepted if relay.contacted_at is not None]
    version = await version_on(session, agreement.company_id, agreement.agency_id, today)
    every = terms_of(version.terms).duties.status_days
    return Scorecard(
        first=first,
        last=today,
        relays=_measure(float(len(relays)), len(relays)),
        accept_hours=_typical(_hours(calendar, relays, "accepted_at")),
        contact_hours=_typical(_hours(calendar, relays, "contacted_at")),
        contact_rate=_share(contacted, accepted),
        meeting_rate=_share([relay for relay in contacted if relay.met], contacted),
        placement_rate=_share([relay for relay in accepted if relay.placed], accepted),
        words_in_time=_words(relays, every, today),
        attestations_due=attested.due,
        attestations_in_time=attested.in_time,
        disputes=Disputes(*disputes),
        stop_hours_p95=_percentile(
            [office_hours(calendar, one.created_at, one.acknowledged_at) for one in stops], 95
        ),
        waits=await _waits(session, tools, agreement, now),
    )


async def _waits(
    session: AsyncSession, tools: Tools, agreement: Agreement, now: datetime
) -> list[Wait]:
    company_id, agency_id = agreement.company_id, agreement.agency_id
    if agreement.state != "active":
        return [Wait("agreement_ended", agreement.ends_on)]
    duties = await paused(session, tools.holidays, company_id, agency_id, now)
    found = [Wait(pause.reason, pause.since) for pause in duties]
    agency = await session.get_one(Agency, agency_id)
    async with as_system(session):
        ignored = (await session.execute(_STOPS_IGNORED, {"agency": agency_id})).scalar_one()
    if ignored:
        found.append(Wait("acknowledgement_overdue", None))
    if not agency.may_receive(local_day(now)):
        found.append(Wait("agency_not_licensed", None))
    return found


def _words(relays: Sequence[Row[Any]], every: int, today: date) -> Measure:
    judged = [
        words_kept(
            relay.words,
            local_day(relay.forwarded_at),
            ended=local_day(relay.closed_at) if relay.closed_at is not None else None,
            every=every,
            today=today,
        )
        for relay in relays
    ]
    judged = [one for one in judged if one[1]]
    kept, due = (sum(one[place] for one in judged) for place in (0, 1))
    return _measure(kept / due if due else None, len(judged))


def _hours(calendar: Calendar, relays: Sequence[Row[Any]], step: str) -> list[float]:
    reached = [(relay.forwarded_at, getattr(relay, step)) for relay in relays]
    return [office_hours(calendar, first, last) for first, last in reached if last is not None]


def _typical(hours: list[float]) -> Measure:
    return _measure(median(hours) if hours else None, len(hours), places=2)


def _percentile(hours: list[float], percent: int) -> Measure:
    """The nearest-rank percentile."""
    ranked = sorted(hours)
    place = -(-len(ranked) * percent // 100) - 1
    return _measure(ranked[place] if ranked else None, len(ranked), places=2)


def _share(part: Sequence[Any], whole: Sequence[Any]) -> Measure:
    return _measure(len(part) / len(whole) if whole else None, len(whole))


def _measure(value: float | None, people: int, *, places: int = 4) -> Measure:
    if 0 < people < FEW:
        return Measure(None, None, few=True)
    return Measure(round(value, places) if value is not None else None, people, few=False)
