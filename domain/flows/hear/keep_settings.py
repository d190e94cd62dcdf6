"""What a person sets on their own page: the language of mails, invitations, the links they hold."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from domain import vault
from domain.candidate import Candidate
from domain.company import Company
from domain.errors import Conflict, Invalid
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.tell.write_mail import write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.invitation import CandidateLink
from domain.ports import Tools

LOCALES = ("ja", "en")


async def keep_language(session: AsyncSession, candidate: Candidate, locale: str) -> None:
    """From here on mails to the person are in this language; `Invalid` for one we do not write."""
    if locale not in LOCALES:
        detail = "mails are written in Japanese and English"
        raise Invalid(detail, code="language_unknown")
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    candidate.locale = locale
    session.add(candidate)
    await session.flush()


async def allow_invitations(session: AsyncSession, candidate: Candidate) -> None:
    """Take back the wish for no more invitations. It invites nobody by itself."""
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    candidate.opted_out_at = None
    session.add(candidate)
    await session.flush()


async def end_links(
    session: AsyncSession, tools: Tools, company: Company, candidate: Candidate, now: datetime
) -> None:
    """Every link the person was ever sent stops working; a new one goes to the address we hold.

    Raises `Conflict` (`no_address`) where there is none: the person would be locked out.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if candidate.email_hmac is None:
        detail = "there is no address to send a new link to"
        raise Conflict(detail, code="no_address")
    await session.execute(
        update(CandidateLink)
        .where(
            col(CandidateLink.company_id) == candidate.company_id,
            col(CandidateLink.candidate_id) == candidate.id,
            col(CandidateLink.revoked_at).is_(None),
        )
        .values(revoked_at=now)
    )
    url = await new_my_page_link(session, tools, candidate, now)
    profile = await vault.profile_of(session, tools.sealer, candidate)
    await write_to_candidate(
        session, tools, company, candidate, profile,
        about=f"my_page_link:{candidate.id}:{now.isoformat()}", template="my_page_link", now=now,
        values={
            "my_page": url,
            "privacy_contact": company.privacy_contact,
        },
    )  # fmt: skip
