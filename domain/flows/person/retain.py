"""The end of a person's time: look whether the data is still needed, and erase where it is not."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentEvent, last_day
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.withdraw_consent import records_of
from domain.flows.person.change_person import delete as delete_person
from domain.flows.person.hold import is_held
from domain.invitation import CandidateLink, Invitation
from domain.notice import Notice
from domain.ports import Tools
from domain.retention import Kept, keep_until, look_on, rules_of
from domain.rights_request import OPEN, RightsRequest
from domain.store import find

NIGHT_JOB = "retention.night"
"""Asked for with the nightly look at hand-overs (`check_provisions.ask_check`)."""
_FINAL = ("rejected", "passed")
_UNCLAIMED_DAYS = 90
"""So long the content of a delivery stays that nobody could be found for."""
_BATCH = 1000
_DELETED_WHILE_HELD = text("""
SELECT 1 FROM legal_hold h
JOIN candidate c ON c.company_id = h.company_id AND c.id = ANY(:people)
JOIN ats_event e ON e.company_id = c.company_id AND e.connection_id = c.connection_id
  AND e.type = 'candidate.deleted' AND e.applied_at BETWEEN h.set_at AND h.released_at
  AND strpos(e.dedupe_key, e.type || ':' || c.external_id || ':') > 0
WHERE h.company_id = :company AND h.candidate_id = ANY(:people)
  AND NOT EXISTS (
    SELECT FROM application a
    WHERE a.company_id = h.company_id AND a.candidate_id = ANY(:people)
      AND coalesce(a.applied_at, a.created_at) > e.applied_at)
LIMIT 1
""")


async def review(
    session: AsyncSession, tools: Tools, company_id: str, candidate_id: str, now: datetime
) -> None:
    """Timer `candidate.review_at`: erase the person, or say when to look again."""
    if await find(session, Candidate, company_id, candidate_id) is None:
        return
    candidate = await lock_candidate(session, company_id, candidate_id)
    if candidate.erased_at is not None or candidate.review_at is None or now < candidate.review_at:
        return
    if candidate.merged_into_id is not None:  # their time is the surviving record's
        candidate.review_at = None
        session.add(candidate)
        return
    if await _deleted_while_held(session, candidate):
        await delete_person(session, tools, candidate, now, rule="ats", actor="system")
        return
    company = await session.get_one(Company, company_id)
    rules, today = rules_of(company.retention, company.retention_months), local_day(now)
    last, _ = keep_until(await kept_for(session, candidate, today), rules, today)
    if last < today:
        await delete_person(session, tools, candidate, now, rule="retention", actor="system")
        return
    kept = timedelta(days=rules["invitation_days"])
    next_link = await _forget_links(session, candidate, now - kept)
    looks = [look_on(last), next_link and look_on(local_day(next_link + kept))]
    candidate.review_at = min((look for look in looks if look is not None), default=None)
    session.add(candidate)
    await session.flush()


async def _deleted_while_held(session: AsyncSession, candidate: Candidate) -> bool:
    """Whether the company's own system deleted the person while a hold stood that is released now.

    Who applied since then has come back.
    """
    if await is_held(session, candidate):
        return False
    values = {"company": candidate.company_id, "people": await records_of(session, candidate)}
    return (await session.execute(_DELETED_WHILE_HELD, values)).first() is not None


async def kept_for(session: AsyncSession, candidate: Candidate, today: date) -> Kept:
    """What decides how long the person's data is needed, over all of their records."""
    records = await records_of(session, candidate)

    def theirs(table: Any) -> tuple[Any, Any]:
        return col(table.company_id) == candidate.company_id, col(table.candidate_id).in_(records)

    applied = (await session.scalars(select(Application).where(*theirs(Application)))).all()
    told = (
        await session.scalars(
            select(Notice.sent_at).where(
                *theirs(Notice), col(Notice.kind).in_(_FINAL), col(Notice.sent_at).is_not(None)
            )
        )
    ).all()
    consents = (await session.scalars(select(Consent).where(*theirs(Consent)))).all()
    invited = (
        await session.scalars(
            select(Invitation.expires_at).where(
                *theirs(Invitation), col(Invitation.state) == "invited"
            )
        )
    ).all()
    asked = select(RightsRequest.id).where(
        *theirs(RightsRequest), col(RightsRequest.state).in_(OPEN)
    )
    superseded = await session.scalars(
        select(ConsentEvent.at).where(*theirs(ConsentEvent), col(ConsentEvent.kind) == "superseded")
    )
    ended = [one.outcome_at for one in applied if one.outcome != "active"]
    return Kept(
        since=local_day(candidate.created_at),
        held=await is_held(session, candidate),
        open_application=any(one.outcome == "active" for one in applied),
        final_on=_latest(local_day(at) for at in [*ended, *told] if at is not None),
        consent_stands=any(one.state == "given" for one in consents),
        consent_ended_on=_latest(
            [*(_ended_on(one) for one in consents if one.state in {"withdrawn", "expired"}),
             *(local_day(at) for at in superseded.all())]
        ),
        answer_until=_latest(
            day for day in (last_day(at) for at in invited) if day >= today
        ),
        open_request=(await session.scalars(asked.limit(1))).first() is not None,
    )  # fmt: skip


async def record_keys_due(session: AsyncSession, company_id: str, today: date) -> list[str]:
    """Whose statutory records may have come to their end, a batch of them."""
    due = text(
        "SELECT candidate_id FROM subject_key WHERE company_id = :company AND kind = 'record'"
        " AND wrapped IS NOT NULL AND destroy_on <= :today ORDER BY destroy_on LIMIT :batch"
    )
    values = {"company": company_id, "today": today, "batch": _BATCH}
    found = await session.execute(due, values)
    return list(found.scalars())


async def forget_unclaimed(session: AsyncSession, company_id: str, now: datetime) -> int:
    """Empty a batch of old deliveries nobody could be found for; how many there were.

    Whose they are we never learned, so no erasure would ever reach them.
    """
    emptied = text(
        "UPDATE delivery SET body = NULL, headers = NULL, events = NULL WHERE ctid = ANY (ARRAY("
        "SELECT ctid FROM delivery WHERE company_id = :company AND candidate_id IS NULL"
        " AND status IN ('failed', 'ignored') AND body IS NOT NULL AND received_at <= :until"
        " LIMIT :batch FOR UPDATE SKIP LOCKED)) RETURNING 1"
    )
    until = now - timedelta(days=_UNCLAIMED_DAYS)
    values = {"company": company_id, "until": until, "batch": _BATCH}
    return len((await session.execute(emptied, values)).all())


async def _forget_links(
    session: AsyncSession, candidate: Candidate, until: datetime
) -> datetime | None:
    """Links to the form that led to no consent, some time after their end; when the next one ends.

    Whoever consented before keeps them: an old link still leads to the withdrawal.
    """
    if candidate.consent_seq:
        return None
    unused = (
        col(CandidateLink.company_id) == candidate.company_id,
        col(CandidateLink.candidate_id) == candidate.id,
        col(CandidateLink.purpose) != "my_page",
    )
    await session.execute(
        delete(CandidateLink).where(*unused, col(CandidateLink.expires_at) <= until)
    )
    return await session.scalar(select(func.min(CandidateLink.expires_at)).where(*unused))


def _ended_on(consent: Consent) -> date:
    return local_day(consent.withdrawn_at) if consent.withdrawn_at else last_day(consent.expires_at)


def _latest(days: Iterable[date]) -> date | None:
    return max(days, default=None)
