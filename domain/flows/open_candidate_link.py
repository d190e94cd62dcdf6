"""A link in a mail: find what it opens without changing anything, and hand out new ones."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_company, as_system
from domain.agency import Agency
from domain.agreement import Agreement, AgreementVersion
from domain.application import Application
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.consent_text import MOST_AGENCIES
from domain.flows.open_account import token_hash
from domain.ids import new_id
from domain.invitation import CandidateLink, Invitation
from domain.ports import Tools
from domain.store import find

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Opened:
    """What a link leads to. The transaction works for the company from here on."""

    link: CandidateLink
    company: Company
    candidate: Candidate
    application: Application | None
    invitation: Invitation | None

    def stands(self, now: datetime) -> str:
        """What to show: `form`, `declined`, `answered`, `expired`, `erased` or `my_page`."""
        if self.candidate.erased_at is not None:
            return "erased"
        if self.link.purpose == "my_page":
            return "my_page" if self.link.revoked_at is None else "expired"
        state = self.invitation.state if self.invitation is not None else "cancelled"
        if state == "given":
            return "answered"
        if not self._alive(now):
            return "expired"
        return {"invited": "form", "declined": "declined"}.get(state, "expired")

    def _alive(self, now: datetime) -> bool:
        """Whether an invitation's link may still be answered at this moment."""
        ends = [self.link.expires_at, self.invitation.expires_at if self.invitation else None]
        return self.link.revoked_at is None and all(end is None or now < end for end in ends)


async def open_candidate_link(session: AsyncSession, token: str) -> Opened | None:
    """What the token opens, if we ever gave it out. Reads only: mail scanners open every link."""
    if _TOKEN.fullmatch(token) is None:
        return None
    hashed = token_hash(token)
    async with as_system(session):
        link = (
            await session.scalars(
                select(CandidateLink).where(col(CandidateLink.token_hash) == hashed)
            )
        ).first()
    if link is None:
        return None
    await as_company(session, link.company_id)
    return await _opened(session, link)


async def new_my_page_link(
    session: AsyncSession, tools: Tools, candidate: Candidate, now: datetime
) -> str:
    """A link to the person's own page. It does not expire; erasure revokes it."""
    token = secrets.token_urlsafe(32)
    session.add(
        CandidateLink(
            company_id=candidate.company_id, id=new_id("lnk"), token_hash=token_hash(token),
            candidate_id=candidate.id, purpose="my_page", created_at=now,
        )
    )  # fmt: skip
    await session.flush()
    return f"{tools.public_url}/c/{token}"


async def agencies_offered(session: AsyncSession, company: Company, now: datetime) -> list[Agency]:
    """Whom one may choose today: agreement in force, licence valid, in Japan; oldest first."""
    today = local_day(now)
    in_force = select(AgreementVersion.agreement_id).where(
        col(AgreementVersion.company_id) == company.id,
        col(AgreementVersion.effective_on) <= today,
    )
    wanted = (
        select(Agency)
        .join(Agreement, col(Agreement.agency_id) == col(Agency.id))
        .where(
            col(Agreement.company_id) == company.id,
            col(Agreement.state) == "active",
            col(Agreement.id).in_(in_force),
            col(Agency.country) == "JP",
        )
        .order_by(col(Agreement.created_at), col(Agreement.id))
    )
    found = (await session.scalars(wanted)).all()
    return [agency for agency in found if agency.may_receive(today)][:MOST_AGENCIES]


async def _opened(session: AsyncSession, link: CandidateLink) -> Opened:
    company = await session.get_one(Company, link.company_id)
    candidate = await session.get_one(Candidate, (link.company_id, link.candidate_id))
    application = invitation = None
    if link.application_id is not None:
        application = await find(session, Application, link.company_id, link.application_id)
        wanted = select(Invitation).where(
            col(Invitation.company_id) == link.company_id,
            col(Invitation.application_id) == link.application_id,
        )
        invitation = (await session.scalars(wanted)).first()
    return Opened(link, company, candidate, application, invitation)
