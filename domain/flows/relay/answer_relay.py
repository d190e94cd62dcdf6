"""An agency answers a relay and reports how it goes on. Reports may come late and out of order."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import relay_of_agency
from domain.business_days import after, calendar_of, local_day
from domain.company import DEFAULT_CALENDAR
from domain.errors import Conflict, Invalid
from domain.flows.earn.agree_terms import version_on
from domain.flows.relay.announce import announce
from domain.flows.relay.count_relay import count_relay
from domain.flows.relay.watch_relay import note_word
from domain.ids import new_id
from domain.ports import Tools
from domain.relay import (
    DECLINE_REASONS,
    Relay,
    RelayEvent,
    advance,
    declaration_stands,
    is_open,
)
from domain.store import lock
from domain.terms import terms_of

CLOCK_SKEW = timedelta(minutes=10)
UNPROVEN = "already_registered_unproven"
"""The reason of a relay declined with a declaration that does not stand: the attribution does."""
_ENDS = ("declined", "closed_no_placement")


@dataclass(frozen=True)
class Report:
    """One fact about a relay, as an agency's program states it."""

    type: str
    at: datetime
    actor: str
    reason: str | None = None
    registered_on: date | None = None
    last_contact_on: date | None = None


async def answer_relay(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    relay_id: str,
    report: Report,
    *,
    now: datetime,
) -> Relay:
    """Take a report; the furthest one reported is the state. A repetition is a word, no more.

    「既登録」 ends the attribution only if it is proven (rules 12): registered before the
    hand-over and in touch not long before it. Else the relay is declined and the
    attribution stands.

    Raises `NotFound`, `Invalid` (`reason_required`, `at_in_future`, `at_before_forwarding`) and
    `Conflict` (`relay_withdrawn`, `step_not_allowed`, `reported_differently`,
    `declaration_too_late`, `registered_after_forwarding`).
    """
    found = await relay_of_agency(session, agency_id, relay_id)
    relay = await lock(session, Relay, found.company_id, relay_id)
    _check_shape(relay, report, now)
    if await _said_before(session, relay, report):
        await note_word(session, relay, now)
        return relay
    if relay.state == "withdrawn":
        detail = "the candidate withdrew; acknowledge it and stop"
        raise Conflict(detail, code="relay_withdrawn")
    before, relay.state = relay.state, advance(relay.state, report.type)
    reason = report.reason
    if reason == "already_registered":
        reason = await _declared(session, tools, relay, report, now)
    _note(session, relay, report, now)
    if relay.state != before or reason != relay.reason:
        relay.reason = reason
        relay.closed_at = now if relay.state in _ENDS else None
        await announce(session, relay, "relay.updated", now)
    await note_word(session, relay, now)
    await count_relay(session, relay, now)
    return relay


async def say_unchanged(
    session: AsyncSession, agency_id: str, relay_id: str, *, actor: str, now: datetime
) -> Relay:
    """Nothing new, still at work on it: the word an open relay needs (ledger rules 22).

    Raises `NotFound`, `Conflict` (`relay_not_open`).
    """
    found = await relay_of_agency(session, agency_id, relay_id)
    relay = await lock(session, Relay, found.company_id, relay_id)
    if not is_open(relay.state):
        raise Conflict(f"the relay is {relay.state}", code="relay_not_open")
    _note(session, relay, Report("unchanged", now, actor), now)
    await note_word(session, relay, now)
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
    """The relay is locked, so looking first is safe here. A proof may be handed in later."""
    same = (
        select(RelayEvent)
        .where(
            col(RelayEvent.company_id) == relay.company_id,
            col(RelayEvent.relay_id) == relay.id,
            col(RelayEvent.type) == report.type,
        )
        .order_by(col(RelayEvent.id).desc())
    )
    there = (await session.scalars(same)).first()
    if there is None:
        return False
    if there.reason != report.reason:
        detail = "this was reported before with another reason"
        raise Conflict(detail, code="reported_differently")
    told = report.registered_on, report.last_contact_on
    return None in told or told == (there.registered_on, there.last_contact_on)


async def _declared(
    session: AsyncSession, tools: Tools, relay: Relay, report: Report, now: datetime
) -> str:
    """既登録: declared in time, and proven or not (rules 12)."""
    assert relay.forwarded_at is not None
    forwarded_on = local_day(relay.forwarded_at)
    version = await version_on(session, relay.company_id, relay.agency_id, forwarded_on)
    terms = terms_of(version.terms)
    if report.registered_on is not None and report.registered_on >= forwarded_on:
        detail = "only a registration from before the hand-over counts"
        raise Conflict(detail, code="registered_after_forwarding")
    calendar = calendar_of(DEFAULT_CALENDAR, tools.holidays)
    days = terms.already_registered_declare_days
    if local_day(now) > after(calendar, forwarded_on, days):
        detail = "the time to declare an earlier registration has passed; the attribution stands"
        raise Conflict(detail, code="declaration_too_late")
    proven = declaration_stands(
        forwarded_on, report.registered_on, report.last_contact_on,
        terms.already_registered_contact_days,
    )  # fmt: skip
    return "already_registered" if proven else UNPROVEN


def _note(session: AsyncSession, relay: Relay, report: Report, now: datetime) -> None:
    session.add(
        RelayEvent(
            company_id=relay.company_id, id=new_id("rev"), agency_id=relay.agency_id,
            relay_id=relay.id, type=report.type, reason=report.reason,
            registered_on=report.registered_on,
            last_contact_on=report.last_contact_on, at=report.at, actor=report.actor, noted_at=now,
        )
    )  # fmt: skip
