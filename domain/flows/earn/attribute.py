"""Recognise a person whom two companies relayed to one agency, without telling either (rules 12).

The one place that looks across companies: it reads keyed hashes, days and relay ids, nothing else.
"""

from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_system
from domain.attribution import Claim, PersonMark, owner
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.consent import Consent
from domain.errors import Conflict
from domain.flows.earn.agree_terms import version_on
from domain.ports import Sealer
from domain.relay import Relay
from domain.store import add_once
from domain.terms import Terms, ownership_end, terms_of

_CLAIMS = text("""
    SELECT DISTINCT m.company_id, m.relay_id, m.consented_at, m.owned_from, m.owned_until
      FROM person_mark mine
      JOIN person_mark m ON m.agency_id = mine.agency_id AND m.mark = mine.mark
      JOIN relay r ON r.company_id = m.company_id AND r.id = m.relay_id
     WHERE mine.company_id = :company AND mine.relay_id = :relay
       AND r.reason IS DISTINCT FROM 'already_registered'
""")
_AT_WORK = text("""
    SELECT id FROM placement
     WHERE company_id = :company AND relay_id = ANY(:others) AND relay_id <> :relay
       AND state <> 'withdrawn' AND (left_on IS NULL OR left_on >= :day)
""")
_FORGET = text(
    "DELETE FROM person_mark WHERE company_id = :company AND relay_id = :relay"
    " AND owned_until < :today"
)


async def mark_person(
    session: AsyncSession, sealer: Sealer, relay: Relay, candidate: Candidate, consent: Consent
) -> None:
    """Leave the person's marks for this agency when a relay reaches it; once per relay."""
    assert relay.forwarded_at is not None
    day = local_day(relay.forwarded_at)
    version = await version_on(session, relay.company_id, relay.agency_id, day)
    until = ownership_end(terms_of(version.terms), day)
    for known in (candidate.email_hmac, candidate.phone_hmac, candidate.kana_birth_hmac):
        if known is None:
            continue
        mark = PersonMark(
            company_id=relay.company_id, relay_id=relay.id, agency_id=relay.agency_id,
            mark=sealer.blind(f"person-mark:{relay.agency_id}", known.hex()),
            consented_at=consent.given_at, owned_from=day, owned_until=until,
        )  # fmt: skip
        await add_once(session, mark)


async def check_attribution(
    session: AsyncSession, relay: Relay, terms: Terms, started_on: date
) -> None:
    """Refuse a start that does not count for this relay's company.

    `not_attributed` (409): by the agreement it belongs to another company's relay. The agency holds
    both, so it is told which; neither company hears of the other. `placement_exists` (409): the
    person's start was reported for another relay of this company.
    """
    async with as_system(session):
        rows = (
            await session.execute(_CLAIMS, {"company": relay.company_id, "relay": relay.id})
        ).all()
    claims = [Claim(*row) for row in rows]
    mine = next((claim for claim in claims if claim.relay_id == relay.id), None)
    if mine is None:
        return
    found = owner(terms.attribution, mine, claims, started_on)
    if found.company_id != relay.company_id:
        detail = f"by the agreement this start belongs to your relay {found.relay_id}"
        raise Conflict(detail, code="not_attributed")
    others = [one.relay_id for one in claims if one.company_id == relay.company_id]
    values = {"company": relay.company_id, "relay": relay.id, "others": others, "day": started_on}
    if (await session.execute(_AT_WORK, values)).first() is not None:
        detail = "this person's start was reported for another relay of the company"
        raise Conflict(detail, code="placement_exists")


async def forget_marks(
    session: AsyncSession, _tools: object, company_id: str, relay_id: str, now: datetime
) -> None:
    """Timer `person_mark.owned_until`: the window has passed, nobody is recognised any more."""
    values = {"company": company_id, "relay": relay_id, "today": local_day(now)}
    await session.execute(_FORGET, values)
