"""Invite an eligible rejected candidate to opt in: one invitation per application."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.business_days import calendar_of, office_moment
from domain.company import Company
from domain.eligibility import OWN_WISH, failing_reasons, may_be_invited
from domain.errors import Conflict, NotFound
from domain.flows.office.open_account import token_hash
from domain.ids import new_id
from domain.invitation import CandidateLink, Invitation, advance
from domain.notice import Mail
from domain.ports import Tools
from domain.store import add_once, find, lock

_ANSWERED = frozenset({"given", "declined"})


async def invite(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> str:
    """A link to the opt-in form, valid as long as the invitation (thirty days by default).

    Asked again, the same invitation gets another link. Raises `Conflict`: `not_eligible` (the
    detail lists the failing rules) or `already_answered`.
    """
    invitation = await open_invitation(session, tools, company, application, now)
    return await new_link(session, tools, invitation, now)


async def hand_over_link(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    application_id: str,
    now: datetime,
    *,
    mailed: bool = False,
) -> tuple[str, datetime]:
    """A link HR hands over itself, and until when it works: only after the result was told.

    `mailed`: it goes to an address the person has proven.
    """
    application = await lock(session, Application, company_id, application_id)
    company = await session.get_one(Company, company_id)
    failing = await failing_reasons(session, company, application, now)
    if failing:
        raise Conflict(", ".join(failing), code="not_eligible")
    invitation = await open_invitation(session, tools, company, application, now)
    url = await new_link(session, tools, invitation, now, handed_over=not mailed)
    return url, invitation.expires_at


async def invite_again(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> str:
    """A link to the form for somebody who asks for it, whatever they answered or stopped before.

    An answered invitation stays answered until the next answer; the link alone is new, and as
    long-lived as a new invitation. Raises `Conflict` (`not_eligible`).
    """
    failing = await failing_reasons(session, company, application, now)
    if set(failing) - OWN_WISH:
        raise Conflict(", ".join(failing), code="not_eligible")
    invitation = await invitation_of(session, application)
    if invitation is None or invitation.state not in {"given", "declined"}:
        opened = await open_invitation(session, tools, company, application, now, wished=True)
        return await new_link(session, tools, opened, now)
    ends = now + timedelta(days=company.invitation_valid_days)
    return await new_link(session, tools, invitation, now, ends=ends)


async def open_invitation(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    now: datetime,
    *,
    wished: bool = False,
) -> Invitation:
    """The open invitation of this application, made if need be; refused as `invite` says.

    `wished`: the person asks for it, so that they once wanted no more mails is no reason against.
    """
    failing = await may_be_invited(session, company, application, now)
    if set(failing) - (OWN_WISH if wished else set()):
        raise Conflict(", ".join(failing), code="not_eligible")
    invitation = await invitation_of(session, application) or await _make(session, application, now)
    if invitation.state == "given":
        detail = "the candidate has answered this invitation"
        raise Conflict(detail, code="already_answered")
    if invitation.state == "cancelled" or invitation.look_at is None:
        calendar = calendar_of(company.calendar, tools.holidays)
        invitation.open(calendar, now, timedelta(days=company.invitation_valid_days))
        session.add(invitation)
        await session.flush()
    return invitation


async def invite_by_mail(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> Invitation | None:
    """Where the ATS told the result, the invitation has a mail of its own, in office hours."""
    if await may_be_invited(session, company, application, now):
        return None
    there = await invitation_of(session, application)
    if there is not None and there.state != "cancelled":
        return there
    invitation = await open_invitation(session, tools, company, application, now)
    calendar = calendar_of(company.calendar, tools.holidays)
    invitation.mail_at = office_moment(calendar, now + company.review_window)
    invitation.look_at = invitation.mail_at
    session.add(invitation)
    await session.flush()
    return invitation


async def new_link(
    session: AsyncSession,
    tools: Tools,
    invitation: Invitation,
    now: datetime,
    *,
    ends: datetime | None = None,
    handed_over: bool = False,
) -> str:
    """A fresh link to the form, as long-lived as the invitation. Only its hash is stored."""
    token = secrets.token_urlsafe(32)
    session.add(
        CandidateLink(
            company_id=invitation.company_id, id=new_id("lnk"), token_hash=token_hash(token),
            candidate_id=invitation.candidate_id, application_id=invitation.application_id,
            purpose="optin", handed_over=handed_over, expires_at=ends or invitation.expires_at,
            created_at=now,
        )
    )  # fmt: skip
    await session.flush()
    return f"{tools.public_url}/c/{token}"


async def open_links(
    session: AsyncSession, application: Application, now: datetime
) -> Sequence[CandidateLink]:
    """Links to the form that still work while nobody has answered, newest first."""
    invitation = await invitation_of(session, application)
    if invitation is None or invitation.state in _ANSWERED:
        return []
    wanted = select(CandidateLink).where(
        *_links_of(application.company_id, application.candidate_id, application.id),
        col(CandidateLink.expires_at) > now,
    )
    return (await session.scalars(wanted.order_by(col(CandidateLink.id).desc()))).all()


async def revoke_link(
    session: AsyncSession, company_id: str, application_id: str, link_id: str, now: datetime
) -> None:
    """Take one link back, e.g. because it reached the wrong person; the invitation stays.

    Twice is the same as once. Raises `NotFound`, and `Conflict` (`already_answered`): from then on
    a link is the person's own way back to what they answered.
    """
    application = await find(session, Application, company_id, application_id)
    if application is None:
        raise NotFound
    invitation = await invitation_of(session, application)
    link = await lock(session, CandidateLink, company_id, link_id)
    if link.application_id != application_id or link.purpose != "optin":
        raise NotFound
    if invitation is not None and invitation.state in _ANSWERED:
        raise Conflict("the candidate has answered this invitation", code="already_answered")
    link.revoked_at = link.revoked_at or now
    session.add(link)
    await session.flush()


async def call_off_invitation(
    session: AsyncSession, company_id: str, application_id: str, now: datetime
) -> None:
    """Take an unanswered invitation back: its links stop working, its waiting mails stay here."""
    wanted = (
        select(Invitation)
        .where(
            col(Invitation.company_id) == company_id,
            col(Invitation.application_id) == application_id,
            col(Invitation.state) == "invited",
        )
        .with_for_update()
    )
    for invitation in (await session.scalars(wanted)).all():
        invitation.state = advance(invitation.state, "cancel")
        invitation.look_at, invitation.mail_at = None, None
        session.add(invitation)
        await _revoke_links(session, invitation, now)
        await _cancel_mails(session, invitation)
    await session.flush()


async def invitation_of(session: AsyncSession, application: Application) -> Invitation | None:
    """The application's invitation, locked."""
    wanted = (
        select(Invitation)
        .where(
            col(Invitation.company_id) == application.company_id,
            col(Invitation.application_id) == application.id,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(wanted)).first()


async def _make(session: AsyncSession, application: Application, now: datetime) -> Invitation:
    await add_once(
        session,
        Invitation(
            company_id=application.company_id, id=new_id("inv"), application_id=application.id,
            candidate_id=application.candidate_id, expires_at=now + timedelta(days=1),
            created_at=now,
        ),
    )  # fmt: skip
    made = await invitation_of(session, application)
    assert made is not None
    return made


async def _revoke_links(session: AsyncSession, invitation: Invitation, now: datetime) -> None:
    links = select(CandidateLink).where(
        *_links_of(invitation.company_id, invitation.candidate_id, invitation.application_id)
    )
    for link in (await session.scalars(links)).all():
        link.revoked_at = now
        session.add(link)


def _links_of(company_id: str, candidate_id: str, application_id: str) -> tuple[Any, ...]:
    """Links to the form of one application that were not taken back."""
    return (
        col(CandidateLink.company_id) == company_id,
        col(CandidateLink.candidate_id) == candidate_id,
        col(CandidateLink.application_id) == application_id,
        col(CandidateLink.purpose) == "optin",
        col(CandidateLink.revoked_at).is_(None),
    )


async def _cancel_mails(session: AsyncSession, invitation: Invitation) -> None:
    mails = (
        select(Mail)
        .where(
            col(Mail.tenant_id) == invitation.company_id,
            col(Mail.candidate_id) == invitation.candidate_id,
            col(Mail.about).startswith(f"invitation:{invitation.id}", autoescape=True),
            col(Mail.state) == "queued",
        )
        .with_for_update()
    )
    for mail in (await session.scalars(mails)).all():
        mail.state, mail.sealed, mail.retry_at = "cancelled", None, None
        session.add(mail)
