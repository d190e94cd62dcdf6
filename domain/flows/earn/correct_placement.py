"""A report about a placement was wrong, or things went otherwise: the next report says so.

Nothing that was posted is changed. The facts are, and the book is brought to what they earn.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_agency, as_company
from domain.business_days import local_day
from domain.dispute import Dispute
from domain.errors import Conflict, NotFound
from domain.flows.earn.earn_credits import settle_placement
from domain.flows.earn.report_placement import check_start, keep_report, stand, told_day
from domain.flows.earn.tell_sides import tell_side
from domain.flows.relay.watch_relay import note_word
from domain.ledger import today_in_japan
from domain.placement import Placement
from domain.ports import Tools
from domain.relay import Relay
from domain.store import lock
from domain.terms import guarantee_end, terms_of


@dataclass(frozen=True)
class Correction:
    """The facts as they are. What is null stays as it was."""

    started_on: date | None = None
    employment_term: str | None = None
    reason: str = "correction"


async def correct_placement(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    placement_id: str,
    correction: Correction,
    *,
    actor: str,
    now: datetime,
) -> Placement:
    """Another first day, or another kind of contract. A day ahead of today postpones the start.

    Untouched credits are taken back and granted anew with the right dates; what is held or used
    stays. Raises `NotFound` and `Conflict` (`placement_withdrawn`, `left_before_start`,
    `decided_in_dispute`, and the refusals of a report).
    """
    relay, placement = await _both(session, agency_id, placement_id)
    _check_stands(placement)
    started_on = placement.started_on
    if correction.started_on is not None:
        started_on = told_day(relay, correction.started_on)
    term = correction.employment_term or placement.employment_term
    if (started_on, term) == (placement.started_on, placement.employment_term):
        return placement
    if placement.left_on is not None and started_on > placement.left_on:
        detail = "the last day employed lies before this start"
        raise Conflict(detail, code="left_before_start")
    if started_on > today_in_japan(now) and placement.state != "expected":
        await _check_undecided(session, placement, "placement")
    version = await check_start(session, relay, started_on)
    placement.started_on, placement.employment_term = started_on, term
    placement.agreement_id, placement.agreement_version = version.agreement_id, version.version
    placement.guarantee_end_on = guarantee_end(terms_of(version.terms), started_on)
    kind = "postponed" if started_on > today_in_japan(now) else "corrected"
    return await restate(
        session, tools, relay, placement, kind, actor=actor, reason=correction.reason, now=now
    )


async def withdraw_placement(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    placement_id: str,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> Placement:
    """There was no such start after all. What it earned is taken back; a new one may be reported.

    Raises `NotFound` and `Conflict` (`decided_in_dispute`). Said again it changes nothing.
    """
    relay, placement = await _both(session, agency_id, placement_id)
    if placement.state == "withdrawn":
        return placement
    await _check_undecided(session, placement, "placement")
    placement.state = "withdrawn"
    return await restate(
        session, tools, relay, placement, "withdrawn", actor=actor, reason=reason, now=now
    )


async def report_early_leave(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    placement_id: str,
    last_day: date,
    *,
    actor: str,
    now: datetime,
    reason: str | None = None,
) -> Placement:
    """The person left inside the guarantee: the agreed share of what was earned is taken back.

    Raises `NotFound` and `Conflict` (`placement_withdrawn`, `left_before_start`, `not_left_yet`,
    `outside_guarantee`, `reported_differently`, `decided_in_dispute`).
    """
    relay, placement = await _both(session, agency_id, placement_id)
    _check_stands(placement)
    if placement.left_on == last_day:
        return placement
    if placement.left_on is not None:
        detail = "an early leave was reported with another last day; correct that report"
        raise Conflict(detail, code="reported_differently")
    _check_leave(placement, last_day, today_in_japan(now))
    await _check_undecided(session, placement, "early_leave", last_day)
    placement.left_on = last_day
    return await restate(
        session, tools, relay, placement, "early_leave", actor=actor, reason=reason, now=now
    )


async def correct_leave(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    placement_id: str,
    last_day: date | None,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> Placement:
    """The last day employed was another one, or (null) nobody left: the share is counted anew.

    Raises `NotFound` and `Conflict` (`placement_withdrawn`, `no_leave_reported`, and the refusals
    of an early leave).
    """
    relay, placement = await _both(session, agency_id, placement_id)
    _check_stands(placement)
    if placement.left_on == last_day:
        return placement
    if placement.left_on is None:
        detail = "no early leave was reported"
        raise Conflict(detail, code="no_leave_reported")
    if last_day is not None:
        _check_leave(placement, last_day, today_in_japan(now))
        await _check_undecided(session, placement, "early_leave", last_day)
    placement.left_on = last_day
    return await restate(
        session, tools, relay, placement, "leave_corrected", actor=actor, reason=reason, now=now
    )


async def restate(
    session: AsyncSession,
    tools: Tools,
    relay: Relay,
    placement: Placement,
    kind: str,
    *,
    actor: str,
    reason: str | None,
    now: datetime,
    because: str | None = None,
) -> Placement:
    """Keep the report, let relay and placement stand by the new facts, and settle the book."""
    placement.reports += 1
    keep_report(session, placement, kind, actor, now, reason=reason)
    await stand(session, placement, relay, now)
    await note_word(session, relay, now)
    await settle_placement(session, tools, placement, because=because or kind, now=now)
    if kind in _NEWS and because is None:
        await tell_side(
            session, tools, "company",
            company_id=placement.company_id, agency_id=placement.agency_id, kind=_NEWS[kind],
            about=f"placement:{placement.id}:{placement.reports}", path="/credits", now=now,
        )  # fmt: skip
    return placement


_NEWS = {
    "corrected": "placement_corrected",
    "postponed": "placement_corrected",
    "leave_corrected": "placement_corrected",
    "withdrawn": "placement_withdrawn",
}
"""What the company is told of: reports that change what it had been told before."""


async def _both(
    session: AsyncSession, agency_id: str, placement_id: str
) -> tuple[Relay, Placement]:
    """An agency's placement and its relay, locked; the transaction works for their company."""
    await as_agency(session, agency_id)
    wanted = select(Placement).where(col(Placement.id) == placement_id)
    found = (await session.scalars(wanted)).first()
    if found is None:
        raise NotFound
    await as_company(session, found.company_id)
    relay = await lock(session, Relay, found.company_id, found.relay_id)
    return relay, await lock(session, Placement, found.company_id, placement_id)


def _check_stands(placement: Placement) -> None:
    if placement.state == "withdrawn":
        detail = "this report was taken back; report the placement again"
        raise Conflict(detail, code="placement_withdrawn")


async def _check_undecided(
    session: AsyncSession, placement: Placement, subject: str, day: date | None = None
) -> None:
    """What a dispute decided for the company is final: the agency does not report it away again.

    A leave on a day behind the opening of the dispute is a new fact.
    """
    wanted = select(Dispute.created_at).where(
        col(Dispute.company_id) == placement.company_id,
        col(Dispute.placement_id) == placement.id,
        col(Dispute.subject) == subject,
        col(Dispute.state) == "final",
        col(Dispute.outcome) == "for_company",
    )
    opened = (await session.scalars(wanted)).all()
    if any(day is None or day <= local_day(moment) for moment in opened):
        detail = "a dispute decided this for the company; a correction of the book needs its yes"
        raise Conflict(detail, code="decided_in_dispute")


def _check_leave(placement: Placement, last_day: date, today: date) -> None:
    if last_day < placement.started_on:
        detail = "the last day employed lies before the first"
        raise Conflict(detail, code="left_before_start")
    if last_day > today:
        detail = "report a leave once the last day has come"
        raise Conflict(detail, code="not_left_yet")
    if last_day > placement.guarantee_end_on:
        detail = "the guarantee had ended by then"
        raise Conflict(detail, code="outside_guarantee")
