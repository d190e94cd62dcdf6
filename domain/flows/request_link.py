"""Somebody asks for a link by mail: the address is the proof. The answer tells nobody anything.

Whether an address is known is never said; what happens is only a mail to that address, at most one
an hour.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text, data_items, vault
from domain.access import as_company, as_system
from domain.application import Application
from domain.business_days import long_date
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import last_day
from domain.eligibility import failing_reasons
from domain.errors import Conflict
from domain.flows.append_consent_event import lock_candidate
from domain.flows.invite import invitation_of, invite
from domain.flows.open_candidate_link import new_my_page_link
from domain.flows.write_mail import language, write_to_candidate
from domain.notice import Mail
from domain.ports import Tools

NOT_AGAIN_WITHIN = timedelta(hours=1)


async def company_by_slug(session: AsyncSession, slug: str) -> Company | None:
    """The company a public link names; the transaction works for it from here on."""
    if "\0" in slug:
        return None
    async with as_system(session):
        wanted = select(Company.id).where(col(Company.slug) == slug)
        found = (await session.scalars(wanted)).first()
    if found is None:
        return None
    await as_company(session, found)
    return await session.get_one(Company, found)


async def request_optin_link(
    session: AsyncSession, tools: Tools, company: Company, email: str, now: datetime
) -> bool:
    """Mail a link to the form if this is the address of somebody who may be relayed."""
    for candidate in await _with_address(session, tools, company, email):
        application = await _eligible(session, company, candidate, now)
        if application is None or await _asked_lately(session, candidate, "join_proof", now):
            continue
        try:
            url = await invite(session, tools, company, application, now)
        except Conflict:  # answered before: the receipt mail has the way to the person's own page
            continue
        invitation = await invitation_of(session, application)
        assert invitation is not None
        ends = long_date(last_day(invitation.expires_at), language(candidate.locale))
        facts = {"optin_url": url, "optin_expires_on": ends}
        await _mail(session, tools, company, candidate, template="join_proof", facts=facts, now=now)
        return True
    return False


async def request_my_page_link(
    session: AsyncSession, tools: Tools, company: Company, candidate: Candidate, now: datetime
) -> bool:
    """Mail a new link to the person's own page to the address we hold."""
    candidate = await lock_candidate(session, company.id, candidate.id)
    if candidate.erased_at is not None or candidate.email_hmac is None:
        return False
    if await _asked_lately(session, candidate, "my_page_link", now):
        return False
    url = await new_my_page_link(session, tools, candidate, now)
    await _mail(
        session, tools, company, candidate, template="my_page_link", facts={"my_page": url}, now=now
    )
    return True


async def _with_address(
    session: AsyncSession, tools: Tools, company: Company, email: str
) -> list[Candidate]:
    hashed = tools.sealer.blind("email", email.strip().lower())
    wanted = (
        select(Candidate)
        .where(
            col(Candidate.company_id) == company.id,
            col(Candidate.email_hmac) == hashed,
            col(Candidate.erased_at).is_(None),
        )
        .order_by(col(Candidate.id).desc())
        .with_for_update(key_share=True)
    )
    return list((await session.scalars(wanted)).all())


async def _eligible(
    session: AsyncSession, company: Company, candidate: Candidate, now: datetime
) -> Application | None:
    """The newest rejected application that may be relayed."""
    wanted = (
        select(Application)
        .where(
            col(Application.company_id) == company.id,
            col(Application.candidate_id) == candidate.id,
            col(Application.outcome) == "rejected",
        )
        .order_by(col(Application.id).desc())
    )
    for application in (await session.scalars(wanted)).all():
        if not await failing_reasons(session, company, application, now):
            return application
    return None


async def _asked_lately(
    session: AsyncSession, candidate: Candidate, template: str, now: datetime
) -> bool:
    """Whether this mail went to the person within the hour. The candidate row is locked."""
    wanted = select(Mail.id).where(
        col(Mail.tenant_id) == candidate.company_id,
        col(Mail.candidate_id) == candidate.id,
        col(Mail.template) == template,
        col(Mail.created_at) > now - NOT_AGAIN_WITHIN,
    )
    return (await session.scalars(wanted)).first() is not None


async def _mail(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    candidate: Candidate,
    *,
    template: str,
    facts: dict[str, Any],
    now: datetime,
) -> None:
    profile = await vault.profile_of(session, tools.sealer, candidate)
    locale = language(candidate.locale)
    await write_to_candidate(
        session,
        tools,
        company,
        candidate,
        profile,
        about=f"{template}:{candidate.id}:{now.isoformat()}",
        template=template,
        values={
            "name": data_items.full_name(profile),
            "company_name": consent_text.named(company, locale),
            "privacy_contact": company.privacy_contact,
            **facts,
        },
        now=now,
    )
