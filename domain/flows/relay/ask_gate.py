"""Ask the gate: read, under the consent's lock, everything that decides about a hand-over.

The consent is locked before the relay, here as in every flow that withdraws: so a withdrawal and a
hand-over come one after the other, whichever is first.
"""

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_system
from domain.agency import Agency
from domain.agreement import Agreement
from domain.application import Application
from domain.base import Row
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.consent import Consent, ConsentEvent, ConsentText, ConsentTextEnd
from domain.flows.consent.withdraw_consent import was_stopped
from domain.gate import Facts, Hearing, closed_because
from domain.guardian import GuardianConsent
from domain.ports import Holidays
from domain.relay import STARTED, Relay
from domain.store import find
from domain.views.duties import paused

R = TypeVar("R", bound=Row)
_AGENCY_WIDE = text("""
SELECT (SELECT count(*) FROM webhook_endpoint WHERE agency_id = :agency) AS endpoints,
       (SELECT count(*) FROM webhook_endpoint WHERE agency_id = :agency AND state <> 'disabled')
         AS working,
       (SELECT count(*) FROM oauth_client WHERE agency_id = :agency AND enabled) AS clients,
       EXISTS (SELECT FROM stop_notice WHERE agency_id = :agency AND state = 'overdue'
         AND escalated_at IS NOT NULL) AS escalated
""")


async def ask_gate(
    session: AsyncSession,
    relay: Relay,
    now: datetime,
    *,
    to_change: bool = False,
    holidays: Holidays | None = None,
) -> tuple[Facts, str | None]:
    """The facts, and why the gate is closed (null: open). Works for the relay's company.

    `to_change` locks the rows for the caller to write; else others may read at the same time.
    `holidays` ask about the agency's duties as well: they hold back what is not forwarded yet.
    """
    company_id = relay.company_id
    consent = await _locked(session, Consent, company_id, relay.consent_id, to_change=to_change)
    relay = await _locked(session, Relay, company_id, relay.id, to_change=to_change)
    wanted = select(Agreement).where(
        col(Agreement.company_id) == company_id, col(Agreement.agency_id) == relay.agency_id
    )
    agreement = (await session.scalars(wanted)).first()
    hearing, escalated = await _hearing(session, relay.agency_id)
    evidence = await find(session, ConsentEvent, company_id, consent.event_id)
    words = await find(session, ConsentText, company_id, consent.text_id)
    application = await _fresh(session, Application, (company_id, relay.application_id))
    candidate = await _fresh(session, Candidate, (company_id, relay.candidate_id))
    facts = Facts(
        relay=relay,
        consent=consent,
        evidence=evidence,
        text=words,
        candidate=candidate,
        agency=await _fresh(session, Agency, relay.agency_id),
        agreement=agreement,
        hearing=hearing,
        stop_escalated=escalated,
        duty_missed=await _duty_missed(session, holidays, relay, agreement, now),
        text_ended=await _has_ended(session, words, now),
        rejected=application.outcome == "rejected",
        guardian=await _guardian(session, evidence),
        survivor=await _survivor(session, candidate),
        # Where somebody had started, the state alone does not tell that it was stopped.
        stopped=relay.state in STARTED and await was_stopped(session, relay),
    )
    return facts, closed_because(facts, now, local_day(now))


async def _has_ended(session: AsyncSession, words: ConsentText | None, now: datetime) -> bool:
    if words is None:
        return False
    wanted = select(ConsentTextEnd.id).where(
        col(ConsentTextEnd.company_id) == words.company_id,
        col(ConsentTextEnd.version) == words.version,
        col(ConsentTextEnd.ends_on) <= local_day(now),
    )
    return (await session.scalars(wanted)).first() is not None


async def _guardian(session: AsyncSession, evidence: ConsentEvent | None) -> GuardianConsent | None:
    if evidence is None or evidence.guardian_consent_id is None:
        return None
    place = (evidence.company_id, evidence.guardian_consent_id)
    return await _fresh(session, GuardianConsent, place)


async def _survivor(session: AsyncSession, candidate: Candidate) -> Candidate | None:
    if candidate.merged_into_id is None:
        return None
    return await _fresh(session, Candidate, (candidate.company_id, candidate.merged_into_id))


async def _duty_missed(
    session: AsyncSession,
    holidays: Holidays | None,
    relay: Relay,
    agreement: Agreement | None,
    now: datetime,
) -> bool:
    if holidays is None or agreement is None or relay.state != "queued":
        return False
    return bool(await paused(session, holidays, relay.company_id, relay.agency_id, now))


async def _locked(
    session: AsyncSession, kind: type[R], company_id: str, row_id: str, *, to_change: bool
) -> R:
    table: Any = kind
    wanted = (
        select(kind)
        .where(col(table.company_id) == company_id, col(table.id) == row_id)
        .with_for_update(read=not to_change)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(wanted)).one()


async def _fresh(session: AsyncSession, kind: type[R], key: Any) -> R:
    return await session.get_one(kind, key, populate_existing=True)


async def _hearing(session: AsyncSession, agency_id: str) -> tuple[Hearing, bool]:
    """Across tenants: a company does not see an agency's endpoints, nor other companies' stops."""
    agency = await _fresh(session, Agency, agency_id)
    async with as_system(session):
        found = (await session.execute(_AGENCY_WIDE, {"agency": agency_id})).one()
    hearing = Hearing(
        endpoints=found.endpoints,
        working_endpoints=found.working,
        feed_read_at=agency.feed_read_at,
        clients=found.clients,
    )
    return hearing, found.escalated
