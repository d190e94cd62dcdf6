"""A person an agency was given has started somewhere. Where is never asked and never stored."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_agency, as_company, relay_of_agency
from domain.agency import Agreement, AgreementVersion
from domain.business_days import local_day
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.announce import announce
from domain.flows.post_credits import grant_for_placement, take_back_for_early_leave
from domain.ids import new_id
from domain.relay import Placement, Relay, RelayEvent, advance
from domain.store import lock
from domain.terms import Terms, guarantee_end, ownership_end, terms_of


@dataclass(frozen=True)
class PlacementReport:
    """What the agency states. `attestation`: its placement manager stands by it."""

    started_on: date
    employment_term: str
    attestation: bool
    actor: str


async def report_placement(
    session: AsyncSession, agency_id: str, relay_id: str, report: PlacementReport, now: datetime
) -> Placement:
    """Note the placement and post what it earns, in one transaction. One placement per relay.

    A start inside the ownership window counts, also when the relay had ended before (rules 12).
    Raises `NotFound`, `Invalid` (`attestation_required`) and `Conflict` (`relay_withdrawn`,
    `placement_exists`, `not_attributed`, `not_started_yet`, `started_before_forwarding`,
    `outside_ownership_window`).
    """
    if not report.attestation:
        detail = "the placement manager must attest the report"
        raise Invalid(detail, code="attestation_required")
    found = await relay_of_agency(session, agency_id, relay_id)
    relay = await lock(session, Relay, found.company_id, relay_id)
    await _check_relay(session, relay)
    version = await _version_on(session, relay, report.started_on)
    terms = terms_of(version.terms)
    _check_start(relay, terms, report.started_on, local_day(now))
    placement = _placement(relay, version, terms, report, now)
    session.add(placement)
    _note(session, relay, "placed", report.actor, now)
    relay.state, relay.closed_at = advance(relay.state, "placed"), now
    await announce(session, relay, "relay.updated", now)
    await session.flush()
    await grant_for_placement(session, placement, version, now)
    return placement


async def report_early_leave(
    session: AsyncSession,
    agency_id: str,
    placement_id: str,
    last_day: date,
    *,
    actor: str,
    now: datetime,
) -> Placement:
    """The person left inside the guarantee: what was earned is taken back, once.

    Raises `NotFound` and `Conflict` (`left_before_start`, `not_left_yet`, `outside_guarantee`,
    `reported_differently`).
    """
    relay = await _relay_of_placement(session, agency_id, placement_id)
    placement = await lock(session, Placement, relay.company_id, placement_id)
    if placement.left_on is not None:
        return _said_before(placement, last_day)
    _check_leave(placement, last_day, local_day(now))
    placement.left_on, placement.state = last_day, "early_left"
    session.add(placement)
    _note(session, relay, "early_left", actor, now)
    relay.state = advance(relay.state, "early_left")
    await announce(session, relay, "relay.updated", now)
    await take_back_for_early_leave(session, placement, last_day, now)
    return placement


async def _check_relay(session: AsyncSession, relay: Relay) -> None:
    there = select(Placement.id).where(
        col(Placement.company_id) == relay.company_id, col(Placement.relay_id) == relay.id
    )
    if (await session.scalars(there)).first() is not None:
        detail = "a placement was reported for this relay"
        raise Conflict(detail, code="placement_exists")
    if relay.state == "withdrawn":
        detail = "the candidate withdrew; acknowledge it and stop"
        raise Conflict(detail, code="relay_withdrawn")
    if relay.reason == "already_registered":
        detail = "you declared that you knew the person already"
        raise Conflict(detail, code="not_attributed")


async def _version_on(session: AsyncSession, relay: Relay, day: date) -> AgreementVersion:
    """The agreement's version in force on a day; its first one for an earlier day."""
    versions = (
        select(AgreementVersion)
        .join(
            Agreement,
            (col(Agreement.company_id) == col(AgreementVersion.company_id))
            & (col(Agreement.id) == col(AgreementVersion.agreement_id)),
        )
        .where(
            col(Agreement.company_id) == relay.company_id,
            col(Agreement.agency_id) == relay.agency_id,
        )
        .order_by(col(AgreementVersion.version))
    )
    known = (await session.scalars(versions)).all()
    in_force = [version for version in known if version.effective_on <= day]
    return in_force[-1] if in_force else known[0]


def _check_start(relay: Relay, terms: Terms, started_on: date, today: date) -> None:
    assert relay.forwarded_at is not None
    forwarded_on = local_day(relay.forwarded_at)
    if started_on > today:
        detail = "report a placement once the person has started"
        raise Conflict(detail, code="not_started_yet")
    if started_on < forwarded_on:
        detail = "the person started before the relay was forwarded"
        raise Conflict(detail, code="started_before_forwarding")
    if started_on > ownership_end(terms, forwarded_on):
        detail = "the ownership window of the agreement has passed"
        raise Conflict(detail, code="outside_ownership_window")


def _placement(
    relay: Relay, version: AgreementVersion, terms: Terms, report: PlacementReport, now: datetime
) -> Placement:
    return Placement(
        company_id=relay.company_id, id=new_id("plc"), agency_id=relay.agency_id,
        relay_id=relay.id, agreement_id=version.agreement_id, agreement_version=version.version,
        started_on=report.started_on, employment_term=report.employment_term,
        guarantee_end_on=guarantee_end(terms, report.started_on), attested_at=now,
        created_at=now,
    )  # fmt: skip


async def _relay_of_placement(session: AsyncSession, agency_id: str, placement_id: str) -> Relay:
    """The relay behind an agency's placement, locked; the transaction works for its company."""
    await as_agency(session, agency_id)
    wanted = select(Placement).where(col(Placement.id) == placement_id)
    placement = (await session.scalars(wanted)).first()
    if placement is None:
        raise NotFound
    await as_company(session, placement.company_id)
    return await lock(session, Relay, placement.company_id, placement.relay_id)


def _said_before(placement: Placement, last_day: date) -> Placement:
    if placement.left_on != last_day:
        detail = "an early leave was reported with another last day"
        raise Conflict(detail, code="reported_differently")
    return placement


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


def _note(session: AsyncSession, relay: Relay, fact: str, actor: str, now: datetime) -> None:
    session.add(
        RelayEvent(
            company_id=relay.company_id, id=new_id("rev"), agency_id=relay.agency_id,
            relay_id=relay.id, type=fact, at=now, actor=actor, noted_at=now,
        )
    )  # fmt: skip
