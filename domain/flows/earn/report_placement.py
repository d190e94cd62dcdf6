"""A person an agency was given has started somewhere. Where is never asked and never stored."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import relay_of_agency
from domain.agreement import AgreementVersion
from domain.business_days import local_day
from domain.errors import Conflict, Invalid
from domain.flows.earn.agree_terms import version_on
from domain.flows.earn.attribute import check_attribution
from domain.flows.earn.earn_credits import settle_placement
from domain.flows.relay.announce import announce
from domain.flows.relay.count_relay import count_relay
from domain.flows.relay.watch_relay import note_word
from domain.ids import new_id
from domain.ledger import day_after, today_in_japan
from domain.placement import Placement, PlacementReport
from domain.ports import Tools
from domain.relay import STARTED, Relay, RelayEvent, advance
from domain.store import find, lock
from domain.terms import guarantee_end, ownership_end, terms_of

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Start:
    """What the agency states. `attestation`: its placement manager stands by it."""

    started_on: date
    employment_term: str
    attestation: bool
    actor: str


async def report_placement(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    relay_id: str,
    report: Start,
    *,
    now: datetime,
) -> Placement:
    """Note the placement and post what it earns, in one transaction. One placement per relay.

    A start ahead of today is only expected: it earns when its day has come. A start inside the
    ownership window counts, also when the relay had ended before (rules 12). Raises `NotFound`,
    `Invalid` (`attestation_required`) and `Conflict` (`placement_exists`, `not_attributed`,
    `started_before_forwarding`, `outside_ownership_window`).
    """
    if not report.attestation:
        detail = "the placement manager must attest the report"
        raise Invalid(detail, code="attestation_required")
    found = await relay_of_agency(session, agency_id, relay_id)
    relay = await lock(session, Relay, found.company_id, relay_id)
    await _check_relay(session, relay)
    started_on = told_day(relay, report.started_on)
    version = await check_start(session, relay, started_on)
    placement = _placement(relay, version, started_on, report, now)
    session.add(placement)
    await session.flush()
    keep_report(session, placement, "reported", report.actor, now)
    await stand(session, placement, relay, now)
    await note_word(session, relay, now)
    await settle_placement(session, tools, placement, because="started", now=now)
    await count_relay(session, relay, now)  # nobody starts who was not taken on
    return placement


async def begin_start(
    session: AsyncSession, tools: Tools, company_id: str, placement_id: str, now: datetime
) -> None:
    """Timer `placement.look_at`: an expected start has come, or a guarantee has passed.

    The relay before its placement: everybody locks in this order.
    """
    there = await find(session, Placement, company_id, placement_id)
    if there is None:
        return
    relay = await lock(session, Relay, company_id, there.relay_id)
    placement = await lock(session, Placement, company_id, placement_id)
    if placement.look_at is None or placement.look_at > now:
        return
    began = placement.state == "expected"
    if began:
        await _follow_the_day(session, placement)
    await stand(session, placement, relay, now)
    if began:
        await settle_placement(session, tools, placement, because="started", now=now)


async def _follow_the_day(session: AsyncSession, placement: Placement) -> None:
    """Take the version in force on the first day: a newer one may hold since the report."""
    version = await version_on(
        session, placement.company_id, placement.agency_id, placement.started_on
    )
    placement.agreement_id, placement.agreement_version = version.agreement_id, version.version
    placement.guarantee_end_on = guarantee_end(terms_of(version.terms), placement.started_on)


async def stand(session: AsyncSession, placement: Placement, relay: Relay, now: datetime) -> None:
    """Set the placement's state from its facts and the day, and the relay's with it."""
    placement.state = state_on(placement, today_in_japan(now))
    placement.look_at = _next_look(placement)
    session.add(placement)
    await session.flush()
    before = relay.state
    for fact in _FACTS[placement.state]:
        relay.state = advance(relay.state, fact)
    if relay.state == before:
        return
    note_fact(session, relay, placement.state, placement.agency_id, now)
    relay.closed_at = now if relay.state in STARTED else None
    await announce(session, relay, "relay.updated", now)


_FACTS = {
    "expected": ("not_started",),
    "withdrawn": ("not_started",),
    "placed": ("placed",),
    "guaranteed": ("placed", "guaranteed"),
    "early_left": ("placed", "early_left"),
}


def state_on(placement: Placement, today: date) -> str:
    """Where a placement stands on a day, by its facts alone."""
    if placement.state == "withdrawn":
        return "withdrawn"
    if placement.left_early:
        return "early_left"
    if placement.started_on > today:
        return "expected"
    return "guaranteed" if placement.guarantee_end_on < today else "placed"


def _next_look(placement: Placement) -> datetime | None:
    if placement.state == "expected":
        return day_after(placement.started_on - _DAY)
    return day_after(placement.guarantee_end_on) if placement.state == "placed" else None


async def check_start(session: AsyncSession, relay: Relay, started_on: date) -> AgreementVersion:
    """The agreement version a start follows; refuses one that does not count for this relay."""
    assert relay.forwarded_at is not None
    version = await version_on(session, relay.company_id, relay.agency_id, started_on)
    terms = terms_of(version.terms)
    forwarded_on = local_day(relay.forwarded_at)
    if started_on < forwarded_on:
        detail = "the person started before the relay was forwarded"
        raise Conflict(detail, code="started_before_forwarding")
    if started_on > ownership_end(terms, forwarded_on):
        detail = "the ownership window of the agreement has passed"
        raise Conflict(detail, code="outside_ownership_window")
    await check_attribution(session, relay, terms, started_on)
    return version


def told_day(relay: Relay, day: date) -> date:
    """The day we keep. After a withdrawal only the month may still be told (consent rules 20)."""
    if relay.state != "withdrawn" or relay.forwarded_at is None:
        return day
    return max(day.replace(day=1), min(day, local_day(relay.forwarded_at)))


def keep_report(
    session: AsyncSession,
    placement: Placement,
    kind: str,
    actor: str,
    now: datetime,
    *,
    reason: str | None = None,
) -> None:
    """Add what was just reported to the placement's history."""
    session.add(
        PlacementReport(
            company_id=placement.company_id, id=new_id("plr"), agency_id=placement.agency_id,
            placement_id=placement.id, no=placement.reports, kind=kind,
            started_on=placement.started_on, employment_term=placement.employment_term,
            left_on=placement.left_on, reason=reason, actor=actor, noted_at=now,
        )
    )  # fmt: skip


def note_fact(session: AsyncSession, relay: Relay, fact: str, actor: str, now: datetime) -> None:
    """Add a fact to the relay's history."""
    session.add(
        RelayEvent(
            company_id=relay.company_id, id=new_id("rev"), agency_id=relay.agency_id,
            relay_id=relay.id, type=fact, at=now, actor=actor, noted_at=now,
        )
    )  # fmt: skip


async def _check_relay(session: AsyncSession, relay: Relay) -> None:
    there = select(Placement.id).where(
        col(Placement.company_id) == relay.company_id,
        col(Placement.relay_id) == relay.id,
        col(Placement.state) != "withdrawn",
    )
    if (await session.scalars(there)).first() is not None:
        detail = "a placement was reported for this relay"
        raise Conflict(detail, code="placement_exists")
    if relay.reason == "already_registered":
        detail = "you declared that you knew the person already"
        raise Conflict(detail, code="not_attributed")


def _placement(
    relay: Relay, version: AgreementVersion, started_on: date, report: Start, now: datetime
) -> Placement:
    return Placement(
        company_id=relay.company_id, id=new_id("plc"), agency_id=relay.agency_id,
        relay_id=relay.id, agreement_id=version.agreement_id, agreement_version=version.version,
        started_on=started_on, employment_term=report.employment_term,
        guarantee_end_on=guarantee_end(terms_of(version.terms), started_on), attested_at=now,
        created_at=now,
    )  # fmt: skip
