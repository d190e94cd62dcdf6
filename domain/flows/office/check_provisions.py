"""Every night: each hand-over rests on a consent, and the evidence fits, or an officer is called.

The evidence is read again from the events, not from what the gate decided when it handed over.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import or_, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from domain.business_days import local_day, long_date
from domain.company import Company
from domain.flows.consent.verify_consents import verify_consents
from domain.flows.person.retain import NIGHT_JOB
from domain.flows.tell.tell_members import tell_company
from domain.ids import new_id
from domain.jobs import later
from domain.ports import Tools
from domain.privacy import OFFICERS, PrivacyCheck, next_check

JOB = "privacy.check"
MOST_FINDINGS = 100
_WINDOW = 5_000
_LOOK = text("""
WITH looked AS (
  SELECT * FROM provision WHERE company_id = :company AND id > :after ORDER BY id LIMIT :window
)
SELECT (SELECT count(*) FROM looked) AS seen, (SELECT max(id) FROM looked) AS last,
       array(
         SELECT p.id FROM looked p
         WHERE NOT EXISTS (
           SELECT FROM consent_event e
           JOIN consent_text t ON t.company_id = e.company_id AND t.id = e.text_id
           LEFT JOIN consent c ON c.company_id = e.company_id AND c.event_id = e.id
           WHERE e.company_id = p.company_id AND e.id = p.consent_event_id
             AND e.candidate_id = p.candidate_id AND e.agency_id = p.agency_id
             AND e.kind IN ('given', 'renewed', 'items_changed')
             AND p.items <@ e.items
             AND t.sha256 = p.consent_text_sha256
             AND coalesce(e.text_sha256, t.sha256) = p.consent_text_sha256
             AND e.at <= p.provided_at
             -- The grace after a yes, as far as the present row still tells it.
             AND (c.id IS NULL OR c.provision_not_before <= p.provided_at)
             AND (e.expires_at IS NULL OR e.expires_at > p.last_provided_at)
             AND NOT EXISTS (
               SELECT FROM consent_event w
               WHERE w.company_id = e.company_id AND w.candidate_id = e.candidate_id
                 AND w.agency_id = e.agency_id
                 AND w.kind IN ('withdrawn', 'invalidated', 'superseded', 'expired')
                 AND w.seq > e.seq AND w.at <= p.last_provided_at))
         ORDER BY p.id
       ) AS uncovered
""")
_FILES = text("""
SELECT f.id FROM file_access f
WHERE f.company_id = :company AND f.reader = 'agency'
  AND NOT EXISTS (
    SELECT FROM provision p
    WHERE p.company_id = f.company_id AND p.id = f.provision_id AND p.relay_id = f.relay_id
      AND p.agency_id = f.agency_id AND p.candidate_id = f.candidate_id)
ORDER BY f.id
""")


async def ask_check(
    session: AsyncSession, tools: Tools, company_id: str, _: str, now: datetime
) -> None:
    """Timer `company.privacy_look_at`: ask for tonight's look, once, whoever comes first."""
    del tools
    looks = col(Company.privacy_look_at)
    due = (
        update(Company)
        .where(col(Company.id) == company_id, or_(looks.is_(None), looks <= now))
        .values(privacy_look_at=next_check(now))
        .returning(col(Company.id))
    )
    if (await session.execute(due)).first() is not None:
        await later(session, JOB, company_id)
        await later(session, NIGHT_JOB, company_id)


async def check_provisions(session: AsyncSession, company_id: str, now: datetime) -> PrivacyCheck:
    """Look at every record of a company and keep what was found. It changes no record.

    Covered means: the consent event named is about this person and agency, allowed these items
    under the text named, was given before (and past its grace) and not over at the last reading.
    A file an agency took needs its record as well. The chains of evidence are recomputed, for
    what is compared with them is worth no more than they are. Findings are ids.
    """
    provisions, found, after = 0, [], ""
    while True:
        values = {"company": company_id, "after": after, "window": _WINDOW}
        window = (await session.execute(_LOOK, values)).one()
        provisions += window.seen
        found += window.uncovered
        if window.seen < _WINDOW:
            break
        after = window.last
    found += (await session.scalars(_FILES, {"company": company_id})).all()
    evidence = await verify_consents(session, company_id)
    check = PrivacyCheck(
        company_id=company_id, id=new_id("pck"), started_at=now, finished_at=now,
        provisions=provisions, uncovered=len(found),
        consent_events=evidence.events, broken=len(evidence.broken),
        findings=[*found, *evidence.broken][:MOST_FINDINGS],
    )  # fmt: skip
    session.add(check)
    await session.flush()
    return check


async def call_officers(
    session: AsyncSession, tools: Tools, check: PrivacyCheck, now: datetime
) -> None:
    """A mail to those who answer for it; nothing when the check found nothing."""
    if not check.alarming:
        return
    said: dict[str, Any] = {
        "uncovered": check.uncovered, "provisions": check.provisions, "broken": check.broken,
        "privacy_url": f"{tools.public_url}/dashboard/privacy",
    }  # fmt: skip
    await tell_company(
        session, tools, check.company_id, "check_failed",
        lambda locale: {**said, "checked_on": long_date(local_day(now), locale)},
        roles=OFFICERS, about=f"privacy-check:{check.id}", now=now,
    )  # fmt: skip
