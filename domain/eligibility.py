"""Who may be relayed (domain rules 4). Every rule that fails is named, not only the first."""

from datetime import datetime

from sqlalchemy import exists
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.agency import Agency, Agreement, AgreementVersion
from domain.application import Application
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.invitation import Invitation
from domain.notice import Notice

REASONS = (
    "decision_not_rejected", "notice_not_sent", "source_not_allowed", "applicant_type_not_allowed",
    "guardian_consent_missing", "opted_out", "data_erased", "no_active_agency", "link_expired",
)  # fmt: skip


async def failing_reasons(
    session: AsyncSession, company: Company, application: Application, now: datetime
) -> list[str]:
    """The codes of all rules that forbid relaying this application; none: it may be relayed."""
    candidate = await _candidate(session, application)
    invitation = await _invitation(session, application)
    failing = {
        "decision_not_rejected": application.outcome != "rejected",
        "notice_not_sent": not await _told(session, application),
        "source_not_allowed": application.source not in company.allowed_sources,
        "applicant_type_not_allowed": application.applicant_type == "high_school",
        "guardian_consent_missing": (
            application.applicant_type == "minor" and candidate.guardian_consent_at is None
        ),
        "opted_out": candidate.opted_out_at is not None or _is(invitation, "declined"),
        "data_erased": candidate.erased_at is not None or candidate.profile is None,
        "no_active_agency": not await _has_agency(session, company, now),
        "link_expired": _expired(invitation, now),
    }
    return [code for code in REASONS if failing[code]]


async def may_be_invited(
    session: AsyncSession, company: Company, application: Application, now: datetime
) -> list[str]:
    """The codes that forbid an invitation; it travels in the notice, which need not be out yet."""
    failing = await failing_reasons(session, company, application, now)
    return [code for code in failing if code != "notice_not_sent"]


def _is(invitation: Invitation | None, state: str) -> bool:
    return invitation is not None and invitation.state == state


def _expired(invitation: Invitation | None, now: datetime) -> bool:
    if invitation is None or invitation.state in {"given", "cancelled"}:
        return False
    return invitation.state == "lapsed" or invitation.expires_at <= now


async def _candidate(session: AsyncSession, application: Application) -> Candidate:
    wanted = select(Candidate).where(
        col(Candidate.company_id) == application.company_id,
        col(Candidate.id) == application.candidate_id,
    )
    return (await session.scalars(wanted)).one()


async def _invitation(session: AsyncSession, application: Application) -> Invitation | None:
    wanted = select(Invitation).where(
        col(Invitation.company_id) == application.company_id,
        col(Invitation.application_id) == application.id,
    )
    return (await session.scalars(wanted)).first()


async def _told(session: AsyncSession, application: Application) -> bool:
    sent = exists().where(
        col(Notice.company_id) == application.company_id,
        col(Notice.application_id) == application.id,
        col(Notice.kind) == "rejected",
        col(Notice.state) == "sent",
        col(Notice.taken_back_at).is_(None),
    )
    return bool((await session.execute(select(sent))).scalar())


async def _has_agency(session: AsyncSession, company: Company, now: datetime) -> bool:
    today = local_day(now)
    wanted = (
        select(Agency)
        .join(Agreement, col(Agreement.agency_id) == col(Agency.id))
        .where(
            col(Agreement.company_id) == company.id,
            col(Agreement.state) == "active",
            exists().where(
                col(AgreementVersion.company_id) == company.id,
                col(AgreementVersion.agreement_id) == col(Agreement.id),
                col(AgreementVersion.effective_on) <= today,
            ),
        )
    )
    return any(agency.may_receive(today) for agency in (await session.scalars(wanted)).all())
