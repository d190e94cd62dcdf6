"""A link in a mail: find what it opens without changing anything, and hand out new ones."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_
from sqlalchemy import select as rows
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.agency import Agency
from domain.agreement import Agreement, AgreementVersion
from domain.application import Application
from domain.business_days import local_day
from domain.candidate import Candidate, SubjectKey
from domain.company import Company
from domain.consent import Consent
from domain.eligibility import may_be_told_of
from domain.errors import Conflict
from domain.flows.office.open_account import token_hash
from domain.flows.ways_in.invite import invite_again
from domain.ids import new_id
from domain.invitation import CandidateLink, Invitation
from domain.ports import Tools

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
MY_PAGE_LIFE = timedelta(days=180)
"""Whoever comes later has a fresh link mailed to the address we hold."""


def _of(table: Any) -> ColumnElement[bool]:
    """Rows of the link's own company: the tenant key leads every key."""
    same: ColumnElement[bool] = table.company_id == CandidateLink.company_id
    return same


# Many people open a link in the hour of their no: both statements are put together once.
_OPENED = (
    rows(CandidateLink, Company, Candidate, Application, Invitation, SubjectKey)
    .join(Company, col(Company.id) == CandidateLink.company_id)
    .join(Candidate, _of(Candidate) & (col(Candidate.id) == CandidateLink.candidate_id))
    .outerjoin(
        Application, _of(Application) & (col(Application.id) == CandidateLink.application_id)
    )
    .outerjoin(
        Invitation,
        _of(Invitation) & (col(Invitation.application_id) == CandidateLink.application_id),
    )
    .outerjoin(
        SubjectKey,
        _of(SubjectKey)
        & (col(SubjectKey.candidate_id) == CandidateLink.candidate_id)
        & (col(SubjectKey.kind) == "profile"),
    )
    .where(
        col(CandidateLink.company_id) == bindparam("company"),
        col(CandidateLink.token_hash) == bindparam("hashed"),
    )
)
_PARTNERS = (
    select(Agency)
    .join(Agreement, col(Agreement.agency_id) == col(Agency.id))
    .where(
        col(Agreement.company_id) == bindparam("company"),
        col(Agreement.state) == "active",
        col(Agreement.id).in_(
            select(AgreementVersion.agreement_id).where(
                col(AgreementVersion.company_id) == bindparam("company"),
                col(AgreementVersion.effective_on) <= bindparam("today"),
            )
        ),
    )
    .order_by(col(Agreement.created_at), col(Agreement.id))
)


@dataclass(frozen=True)
class Opened:
    """What a link leads to. The transaction works for the company from here on."""

    link: CandidateLink
    company: Company
    candidate: Candidate
    application: Application | None
    invitation: Invitation | None
    consents: bool = False
    """Whether a consent of the person stands: their own page stays open as long as that."""

    def stands(self, now: datetime) -> str:
        """What to show: `form`, `declined`, `answered`, `expired`, `erased` or `my_page`.

        Whoever asks for a form again gets a link made after their last answer: it leads to the form
        although the invitation was answered.
        """
        if self.candidate.erased_at is not None:
            return "erased"
        if self.link.purpose == "my_page":
            return "my_page" if self._leads_to_page(now) else "expired"
        state = self.invitation.state if self.invitation is not None else "cancelled"
        if self._made_to_answer_again():
            return "form" if self.link.revoked_at is None and now < self._ends() else "expired"
        if state == "given":
            return "answered"
        if not self._alive(now):
            return "expired"
        return {"invited": "form", "declined": "declined"}.get(state, "expired")

    def identity_check(self, *, proven: bool) -> str:
        """How whoever holds the link is known (domain rules 5.3); `proven`: by the second step."""
        way = "handed_link" if self.link.handed_over else "mail_link"
        return f"{way}_plus_code" if proven else way

    def _leads_to_page(self, now: datetime) -> bool:
        """A link to the own page ends after its time, but never before the last consent does."""
        over = self.link.expires_at is not None and now >= self.link.expires_at
        return self.link.revoked_at is None and (self.consents or not over)

    def _made_to_answer_again(self) -> bool:
        answered_at = self.invitation.answered_at if self.invitation is not None else None
        return answered_at is not None and self.link.created_at > answered_at

    def _ends(self) -> datetime:
        assert self.link.expires_at is not None  # every link to a form ends
        return self.link.expires_at

    def _alive(self, now: datetime) -> bool:
        """Whether an invitation's link may still be answered at this moment."""
        ends = [self.link.expires_at, self.invitation.expires_at if self.invitation else None]
        return self.link.revoked_at is None and all(end is None or now < end for end in ends)


async def open_candidate_link(session: AsyncSession, token: str) -> Opened | None:
    """What the token opens, if we ever gave it out. Reads only: mail scanners open every link."""
    if TOKEN.fullmatch(token) is None:
        return None
    hashed = token_hash(token)
    company_id = await session.scalar(select(func.relay_work_for_link(hashed)))
    return await _opened(session, company_id, hashed) if company_id is not None else None


async def new_my_page_link(
    session: AsyncSession, tools: Tools, candidate: Candidate, now: datetime
) -> str:
    """A link to the person's own page: for 180 days, and while a consent stands (rules 17.6).

    A record that was merged has no page of its own: the surviving record's shows everything.
    """
    token = secrets.token_urlsafe(32)
    session.add(
        CandidateLink(
            company_id=candidate.company_id, id=new_id("lnk"), token_hash=token_hash(token),
            candidate_id=candidate.merged_into_id or candidate.id, purpose="my_page",
            created_at=now, expires_at=now + MY_PAGE_LIFE,
        )
    )  # fmt: skip
    await session.flush()
    return f"{tools.public_url}/c/{token}"


async def newest_form(
    session: AsyncSession, tools: Tools, candidate: Candidate, now: datetime
) -> str | None:
    """A fresh link to the form for the person's newest application that may be relayed; or nothing.

    For whoever has proven who they are and asks: also after an answer, a withdrawal, or a no.
    """
    company = await session.get_one(Company, candidate.company_id)
    wanted = (
        select(Application)
        .where(
            col(Application.company_id) == company.id,
            col(Application.candidate_id) == (candidate.merged_into_id or candidate.id),
            col(Application.outcome) == "rejected",
        )
        .order_by(col(Application.id).desc())
    )
    for application in (await session.scalars(wanted)).all():
        try:
            return await invite_again(session, tools, company, application, now)
        except Conflict:  # this one may not be relayed
            continue
    return None


async def agencies_offered(session: AsyncSession, company: Company, now: datetime) -> list[Agency]:
    """Whom one may choose today: agreement in force, licence valid; oldest first.

    All of them: the form shows eight on a screen. One abroad only with what a person must be told
    of it (個人情報保護法 28).
    """
    today = local_day(now)
    found = (await session.scalars(_PARTNERS, {"company": company.id, "today": today})).all()
    return [agency for agency in found if agency.may_receive(today) and may_be_told_of(agency)]


async def _opened(session: AsyncSession, company_id: str, hashed: bytes) -> Opened:
    """What the link is about, in one statement: many people open it in the hour of their no."""
    where = {"company": company_id, "hashed": hashed}
    link, company, candidate, application, invitation, key = (
        await session.execute(_OPENED, where)
    ).one()
    vault.remember(session, key)
    consents = link.purpose == "my_page" and await _consents(session, candidate)
    return Opened(link, company, candidate, application, invitation, consents)


async def _consents(session: AsyncSession, candidate: Candidate) -> bool:
    """Whether any consent of the person stands, under this record or one merged into it."""
    merged = select(Candidate.id).where(
        col(Candidate.company_id) == candidate.company_id,
        col(Candidate.merged_into_id) == candidate.id,
    )
    wanted = select(Consent.id).where(
        col(Consent.company_id) == candidate.company_id,
        col(Consent.state) == "given",
        or_(col(Consent.candidate_id) == candidate.id, col(Consent.candidate_id).in_(merged)),
    )
    return (await session.scalars(wanted.limit(1))).first() is not None
