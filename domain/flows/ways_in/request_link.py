"""The holder of an old link asks for a new one. It goes to the address we hold: that is the proof.

At most one an hour of each kind, and five a day: whoever holds an old link may ask, too.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.access import as_company, as_system
from domain.candidate import Candidate
from domain.company import Company
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.tell.write_mail import write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link, newest_form
from domain.notice import Mail
from domain.ports import Tools

NOT_AGAIN_WITHIN = timedelta(hours=1)
MOST_A_DAY = 5
_LINKS = ("my_page_link", "form_link")


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


async def request_form_link(
    session: AsyncSession, tools: Tools, company: Company, candidate: Candidate, now: datetime
) -> bool:
    """Mail a new link to the form to the address we hold: for whoever wants to answer again.

    Somebody who may not be relayed any more gets the link to their own page instead.
    """
    candidate = await lock_candidate(session, company.id, candidate.id)
    if candidate.erased_at is not None or candidate.email_hmac is None:
        return False
    if await _asked_lately(session, candidate, "form_link", now):
        return False
    url = await newest_form(session, tools, candidate, now)
    if url is None:
        return await request_my_page_link(session, tools, company, candidate, now)
    await _mail(
        session, tools, company, candidate, template="form_link", facts={"optin_url": url}, now=now
    )
    return True


async def _asked_lately(
    session: AsyncSession, candidate: Candidate, template: str, now: datetime
) -> bool:
    """Whether this mail went out within the hour, or too many today. The candidate is locked."""
    wanted = select(Mail.template, Mail.created_at).where(
        col(Mail.tenant_id) == candidate.company_id,
        col(Mail.candidate_id) == candidate.id,
        col(Mail.template).in_(_LINKS),
        col(Mail.created_at) > now - timedelta(days=1),
    )
    sent = (await session.execute(wanted)).all()
    lately = now - NOT_AGAIN_WITHIN
    return len(sent) >= MOST_A_DAY or any(
        one.template == template and one.created_at > lately for one in sent
    )


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
    await write_to_candidate(
        session,
        tools,
        company,
        candidate,
        profile,
        about=f"{template}:{candidate.id}:{now.isoformat()}",
        template=template,
        values={
            "privacy_contact": company.privacy_contact,
            **facts,
        },
        now=now,
    )
