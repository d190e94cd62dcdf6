"""Erase a person: the key is destroyed, what was kept in the open is emptied, agencies are told.

What the law wants kept stays: consent events (ids and hashes only), records of hand-overs (the
name in them lies under the other key until its own date), ledger and audit.
"""

from datetime import datetime

from sqlalchemy import and_, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.delivery import Delivery
from domain.flows.append_consent_event import lock_candidate
from domain.flows.open_notice import cancel_pending
from domain.flows.withdraw_consent import consents_of, end, stop_relays
from domain.invitation import CandidateLink
from domain.notice import Mail, Notice
from domain.ports import Tools


async def start_erasure(
    session: AsyncSession, tools: Tools, candidate: Candidate, now: datetime
) -> None:
    """From this commit on nobody reads the person's data. Twice is the same as once.

    The caller decides about deadlines: whoever is erased cannot be told a result any more.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if candidate.erased_at is not None:
        return
    await _stop(session, tools, candidate, now)
    await _empty(session, candidate, now)
    await vault.destroy(session, candidate, "profile", now)
    candidate.profile = candidate.email_hmac = candidate.phone_hmac = None
    candidate.kana_birth_hmac, candidate.erased_at = None, now
    session.add(candidate)
    await session.flush()


async def _stop(session: AsyncSession, tools: Tools, candidate: Candidate, now: datetime) -> None:
    """End what goes out and what was agreed; agencies that heard of the person hear of this."""
    company = await session.get_one(Company, candidate.company_id)
    applications = select(Application.id).where(
        col(Application.company_id) == candidate.company_id,
        col(Application.candidate_id) == candidate.id,
    )
    for application_id in (await session.scalars(applications)).all():
        await cancel_pending(session, candidate.company_id, application_id, now)
    for consent in await consents_of(session, candidate):
        if consent.state in {"given", "expired"}:
            await end(session, candidate, consent, now, channel="web", method="erasure")
        await stop_relays(session, tools, company, consent, "erased", now=now)
    await session.flush()


async def _empty(session: AsyncSession, candidate: Candidate, now: datetime) -> None:
    """Mails, deliveries and feedback lose their content; links stop working."""
    company_id, candidate_id = candidate.company_id, candidate.id
    theirs = (col(Mail.tenant_id) == company_id, col(Mail.candidate_id) == candidate_id)
    await session.execute(
        update(Mail)
        .where(*theirs, col(Mail.state).in_(("queued", "sending")))
        .values(state="cancelled", retry_at=None)
    )
    await session.execute(update(Mail).where(*theirs).values(sealed=None))
    for about_them in (
        col(Delivery.candidate_id) == candidate_id,
        and_(
            text("also_about <> '[]'"),
            col(Delivery.also_about).contains([candidate_id]),
        ),
    ):
        await session.execute(
            update(Delivery)
            .where(col(Delivery.company_id) == company_id, about_them)
            .values(body=None, headers=None, events=None)
        )
    await session.execute(
        update(Notice)
        .where(col(Notice.company_id) == company_id, col(Notice.candidate_id) == candidate_id)
        .values(feedback=None)
    )
    await session.execute(
        update(CandidateLink)
        .where(
            col(CandidateLink.company_id) == company_id,
            col(CandidateLink.candidate_id) == candidate_id,
            col(CandidateLink.revoked_at).is_(None),
        )
        .values(revoked_at=now)
    )
