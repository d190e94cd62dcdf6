"""An agency answers a relay and reports how it goes on. Reports may come late and out of order."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import relay_of_agency
from domain.business_days import after, calendar_of, local_day
from domain.company import DEFAULT_CALENDAR
from domain.errors import Conflict, Invalid
from domain.flows.announce import announce
from domain.ids import new_id
from domain.ports import Tools
from domain.relay import DECLINE_REASONS, Relay, RelayEvent, advance
from domain.store import lock

CLOCK_SKEW = timedelta(minutes=10)
DECLARE_DAYS = 3
"""Business days after the hand-over in which an agency may say that it knew the person already."""
_ENDS = ("declined", "closed_no_placement")


@dataclass(frozen=True)
class Report:
    """One fact about a relay, as an agency's program states it."""

    type: str
    at: datetime
    actor: str
    reason: str | None = None
    registered_on: date | None = None


async def answer_relay(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    relay_id: str,
    report: Report,
    *,
    now: datetime,
) -> Relay:
    """Take a report; the furthest one reported is the state. A repetition changes nothing.

    Raises `NotFound`, `Invalid` (`reason_required`, `at_in_future`, `at_before_forwarding`) and
    `Conflict` (`relay_withdrawn`, `step_not_allowed`, `reported_differently`,
    `declaration_too_late`, `registered_after_forwarding`).
    """
    found = await relay_of_agency(session, agency_id, relay_id)
    relay = await lock(session, Relay, found.company_id, relay_id)
    _check_shape(relay, report, now)
    if await _said_before(session, relay, report):
        return relay
    if relay.state == "withdrawn":
        detail = "the candidate withdrew; acknowledge it and stop"
        raise Conflict(detail, code="relay_withdrawn")
    before, relay.state = relay.state, advance(relay.state, report.type)
    if report.reason == "already_registered":
        _check_declaration(tools, relay, report, now)
    _note(session, relay, report, now)
    if relay.state != before:
        relay.reason = report.reason
        relay.closed_at = now if relay.state in _ENDS else None
        await announce(session, relay, "relay.updated", now)
    return relay


def _check_shape(relay: Relay, report: Report, now: datetime) -> None:
    if report.type == "declined" and report.reason not in DECLINE_REASONS:
        detail = "say why: " + ", ".join(DECLINE_REASONS)
        raise Invalid(detail, code="reason_required")
    if report.at > now + CLOCK_SKEW:
        detail = "`at` lies in the future"
        raise Invalid(detail, code="at_in_future")
    if relay.forwarded_at is not None and report.at < relay.forwarded_at - CLOCK_SKEW:
        detail = "`at` lies before the relay was forwarded"
        raise Invalid(detail, code="at_before_forwarding")


async def _said_before(session: AsyncSession, relay: Relay, report: Report) -> bool:
    """The relay is locked, so looking first is safe here."""
    same = select(RelayEvent).where(
        col(RelayEvent.company_id) == relay.company_id,
        col(RelayEvent.relay_id) == relay.id,
        col(RelayEvent.type) == report.type,
    )
    there = (await session.scalars(same)).first()
    if there is not None and there.reason != report.reason:
        detail = "this was reported before with another reason"
        raise Conflict(detail, code="reported_differently")
    return there is not None


def _check_declaration(tools: Tools, relay: Relay, report: Report, now: datetime) -> None:
    """既登録: declared in three business days, for a registration from before (rules 12)."""
    assert relay.forwarded_at is not None
    forwarded_on = local_day(relay.forwarded_at)
    if report.registered_on is not None and report.registered_on >= forwarded_on:
        detail = "only a registration from before the hand-over counts"
        raise Conflict(detail, code="registered_after_forwarding")
    calendar = calendar_of(DEFAULT_CALENDAR, tools.holidays)
    if local_day(now) > after(calendar, forwarded_on, DECLARE_DAYS):
        detail = "the time to declare an earlier registration has passed; the attribution stands"
        raise Conflict(detail, code="declaration_too_late")


def _note(session: AsyncSession, relay: Relay, report: Report, now: datetime) -> None:
    session.add(
        RelayEvent(
            company_id=relay.company_id, id=new_id("rev"), agency_id=relay.agency_id,
            relay_id=relay.id, type=report.type, reason=report.reason,
            registered_on=report.registered_on, at=report.at, actor=report.actor, noted_at=now,
        )
    )  # fmt: skip
