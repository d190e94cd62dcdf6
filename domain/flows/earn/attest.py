"""Month by month an agency attests that no placement is unreported (ledger rules 22).

An agreement wakes up when a month ends in Japan; it sleeps until the first relay was forwarded.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_agency, as_company
from domain.agency import Agency
from domain.agreement import Agreement
from domain.business_days import after, calendar_of, local_day, long_date
from domain.company import DEFAULT_CALENDAR
from domain.duty import Attestation
from domain.errors import Conflict, NotFound
from domain.flows.earn.agree_terms import version_on
from domain.flows.tell.tell_members import tell_agency, tell_company
from domain.ids import new_id
from domain.jobs import later
from domain.ledger import day_after
from domain.month import Month
from domain.ports import Sealer, Tools
from domain.relay import Relay
from domain.store import add_once, find, lock
from domain.terms import Duties, terms_of

_WATCHERS = ("head", "admin")
_COUNTS = text("""
SELECT c.id AS company_id,
  (SELECT count(*) FROM relay r
    WHERE r.company_id = c.id AND r.agency_id = :agency AND r.forwarded_at IS NOT NULL
      AND r.state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended', 'offered')
  ) AS open_relays,
  (SELECT count(*) FROM placement p
    WHERE p.company_id = c.id AND p.agency_id = :agency AND p.state <> 'withdrawn'
      AND p.started_on BETWEEN :first AND :last
  ) AS placements
FROM unnest(CAST(:companies AS text[])) AS c (id)
""")


async def expect_attestation(session: AsyncSession, relay: Relay, now: datetime) -> None:
    """A relay was forwarded: from the end of this month on its agency owes attestations."""
    await session.execute(
        update(Agreement)
        .where(
            col(Agreement.company_id) == relay.company_id,
            col(Agreement.agency_id) == relay.agency_id,
            col(Agreement.state) == "active",
            col(Agreement.attest_at).is_(None),
        )
        .values(attest_at=Month.of(local_day(now)).next.begins)
    )


async def ask_for_attestation(
    session: AsyncSession, tools: Tools, company_id: str, agreement_id: str, now: datetime
) -> None:
    """Timer `agreement.attest_at`: a month has ended, and its attestation is owed from now on.

    Months that passed while nobody looked are asked for one after the other. The month in which an
    agreement ends is the last one.
    """
    there = await find(session, Agreement, company_id, agreement_id)
    if there is None or there.attest_at is None or there.attest_at > now:
        return
    agreement = await lock(session, Agreement, company_id, agreement_id)
    if agreement.attest_at is None or agreement.attest_at > now:
        return
    month = Month.of(local_day(agreement.attest_at)).before
    ends_on = agreement.ends_on
    is_last = agreement.state == "ended" and ends_on is not None and ends_on <= month.last
    agreement.attest_at = None if is_last else month.next.next.begins
    session.add(agreement)
    await session.flush()
    if ends_on is not None and ends_on < month.first:
        return
    version = await version_on(session, company_id, agreement.agency_id, month.last)
    duties = terms_of(version.terms).duties
    if duties.attestation:
        await _owe(session, tools, agreement, month, duties=duties, now=now)


async def _owe(
    session: AsyncSession,
    tools: Tools,
    agreement: Agreement,
    month: Month,
    *,
    duties: Duties,
    now: datetime,
) -> None:
    calendar = calendar_of(DEFAULT_CALENDAR, tools.holidays)
    due = after(calendar, month.last, duties.attestation_business_days)
    owed = Attestation(
        company_id=agreement.company_id, id=new_id("att"), agency_id=agreement.agency_id,
        month=month.first, due_on=due, look_at=day_after(due), created_at=now,
    )  # fmt: skip
    if await add_once(session, owed):
        await _remind(session, tools, owed, "attestation_due", now)


async def miss_attestation(
    session: AsyncSession, tools: Tools, company_id: str, attestation_id: str, now: datetime
) -> None:
    """Timer `attestation.look_at`: the last day has passed. Both sides are told, once."""
    if await find(session, Attestation, company_id, attestation_id) is None:
        return
    owed = await lock(session, Attestation, company_id, attestation_id)
    if owed.look_at is None or owed.look_at > now:
        return
    owed.look_at = None
    if owed.state == "due":
        owed.state = "overdue"
    session.add(owed)
    await session.flush()
    if owed.state != "overdue":
        return
    agency = await session.get_one(Agency, owed.agency_id)
    month, due = Month(owed.month), owed.due_on
    await tell_company(
        session, tools, company_id, "attestation_missing",
        lambda locale: {
            "agency_name": agency.name if locale == "ja" else agency.name_en or agency.name,
            "month": month.words(locale), "due_on": long_date(due, locale),
            "url": f"{tools.public_url}/dashboard/agencies",
        },
        roles=_WATCHERS, about=f"attestation-missing:{attestation_id}", now=now,
    )  # fmt: skip
    await _remind(session, tools, owed, "attestation_missing", now)


async def _remind(
    session: AsyncSession, tools: Tools, owed: Attestation, template: str, now: datetime
) -> None:
    """One mail for all companies of a month whose attestations are due on the same day."""
    agency = await session.get_one(Agency, owed.agency_id)
    month, due = Month(owed.month), owed.due_on
    await tell_agency(
        session, tools, agency.id, template,
        lambda locale: {
            "agency_name": agency.name if locale == "ja" else agency.name_en or agency.name,
            "month": month.words(locale), "due_on": long_date(due, locale),
            "url": f"{tools.public_url}/agency/attestations",
        },
        about=f"{template}:{month.name}:{due}", now=now,
    )  # fmt: skip


async def attest(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    month: Month,
    *,
    company_id: str | None,
    manager: str,
    actor: str,
    now: datetime,
) -> list[Attestation]:
    """「未報告の成約はありません」 for a month: towards one company, or all that still wait for it.

    Given once and never changed; the same again is the same. Counts stand as they were when it was
    given. Raises `NotFound` (nothing is owed for the month) and `Conflict` (`month_not_over`,
    `attested_differently`).
    """
    if month.next.begins > now:
        detail = "a month is attested when it is over"
        raise Conflict(detail, code="month_not_over")
    await as_agency(session, agency_id)
    owed = await _owed(session, agency_id, month, company_id)
    waiting = [one for one in owed if one.state != "given"]
    if not waiting:
        _check_same(tools.sealer, owed, manager)
        return owed
    counts = await _counts(session, agency_id, month, [one.company_id for one in waiting])
    for one in waiting:
        await _give(
            session, tools, one, counts[one.company_id], manager=manager, actor=actor, now=now
        )
    await as_agency(session, agency_id)
    return await _owed(session, agency_id, month, company_id)


async def _owed(
    session: AsyncSession, agency_id: str, month: Month, company_id: str | None
) -> list[Attestation]:
    wanted = select(Attestation).where(
        col(Attestation.agency_id) == agency_id, col(Attestation.month) == month.first
    )
    if company_id is not None:
        wanted = wanted.where(col(Attestation.company_id) == company_id)
    fresh = wanted.order_by(col(Attestation.company_id)).execution_options(populate_existing=True)
    found = list((await session.scalars(fresh)).all())
    if not found:
        raise NotFound
    return found


async def _counts(
    session: AsyncSession, agency_id: str, month: Month, companies: Sequence[str]
) -> dict[str, Any]:
    values = {
        "agency": agency_id, "companies": list(companies),
        "first": month.first, "last": month.last,
    }  # fmt: skip
    return {row.company_id: row for row in await session.execute(_COUNTS, values)}


async def _give(
    session: AsyncSession,
    tools: Tools,
    seen: Attestation,
    counts: Any,
    *,
    manager: str,
    actor: str,
    now: datetime,
) -> None:
    await as_company(session, seen.company_id)
    owed = await lock(session, Attestation, seen.company_id, seen.id)
    if owed.state == "given":  # by another request, meanwhile
        _check_same(tools.sealer, [owed], manager)
        return
    if owed.state == "overdue":
        await later(session, "relay.look_again", owed.agency_id)
    owed.state, owed.given_at, owed.given_by, owed.look_at = "given", now, actor, None
    owed.open_relays, owed.placements = counts.open_relays, counts.placements
    owed.manager = tools.sealer.seal(manager.encode(), about=f"attestation:{owed.id}")
    session.add(owed)
    await session.flush()


def _check_same(sealer: Sealer, given: Sequence[Attestation], manager: str) -> None:
    if any(manager_of(sealer, one) != manager for one in given):
        detail = "this month was attested by somebody else, and an attestation is never changed"
        raise Conflict(detail, code="attested_differently")


def manager_of(sealer: Sealer, given: Attestation) -> str | None:
    """The placement manager (職業紹介責任者) who signed; sealed, because it is a person's name."""
    if given.manager is None:
        return None
    return sealer.open(given.manager, about=f"attestation:{given.id}").decode()
