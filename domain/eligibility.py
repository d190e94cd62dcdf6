"""Who may be relayed (domain rules 4). Every rule that fails is named, not only the first."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import and_, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from domain.agency import Agency
from domain.agreement import Agreement, AgreementVersion
from domain.application import Application
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.consent_text import may_be_abroad
from domain.guardian import is_minor
from domain.invitation import Invitation
from domain.notice import Notice
from domain.sources import allowed_sources

REASONS = (
    "decision_not_rejected", "notice_not_sent", "source_not_allowed", "applicant_type_not_allowed",
    "guardian_consent_missing", "opted_out", "data_erased", "no_active_agency", "link_expired",
)  # fmt: skip

OWN_WISH = frozenset({"opted_out"})
"""What the person wanted themselves: no reason against a form they ask for."""
AT_SUBMISSION = (
    "decision_not_rejected", "source_not_allowed", "applicant_type_not_allowed",
    "guardian_consent_missing",
)  # fmt: skip
"""What may have changed between the invitation and the answer (domain rules 4)."""


async def failing_reasons(
    session: AsyncSession, company: Company, application: Application, now: datetime
) -> list[str]:
    """The codes of all rules that forbid relaying this application; none: it may be relayed."""
    return (await reasons_of(session, company, [application], now))[application.id]


async def reasons_of(
    session: AsyncSession, company: Company, applications: Sequence[Application], now: datetime
) -> dict[str, list[str]]:
    """The same for a page of a company's applications, in three statements: id → codes."""
    has_agency = await _has_agency(session, company, now)
    sources = await allowed_sources(session, company, local_day(now))
    facts = await _facts(session, company, applications)
    found = {}
    for application in applications:
        failing = _failing(sources, application, facts[application.id], now)
        failing["no_active_agency"] = not has_agency
        found[application.id] = [code for code in REASONS if failing[code]]
    return found


async def may_be_invited(
    session: AsyncSession, company: Company, application: Application, now: datetime
) -> list[str]:
    """The codes that forbid an invitation; it travels in the notice, which need not be out yet."""
    failing = await failing_reasons(session, company, application, now)
    return [code for code in failing if code != "notice_not_sent"]


def failing_now(
    sources: Collection[str],
    application: Application,
    candidate: Candidate,
    birth_date: date | None,
    today: date,
) -> list[str]:
    """The codes that forbid a consent at the moment it is given, of what may have changed since.

    `sources`: those the company may use today (`domain/sources.py`).
    Whether somebody is a minor is asked anew: by the day of birth where it is known.
    """
    minor = is_minor(birth_date, application.applicant_type, today)
    failing = _of_application(sources, application)
    failing["guardian_consent_missing"] = minor and candidate.guardian_consent_at is None
    return [code for code in AT_SUBMISSION if failing[code]]


def birth_date_of(profile: Mapping[str, Any]) -> date | None:
    """The day of birth, where it is known and written as a date."""
    try:
        return date.fromisoformat(str(profile.get("birth_date") or ""))
    except ValueError:
        return None


@dataclass(frozen=True)
class _Facts:
    candidate: Candidate
    invitation: Invitation | None
    told: bool


def _failing(
    sources: Collection[str], application: Application, facts: _Facts, now: datetime
) -> dict[str, bool]:
    candidate, invitation = facts.candidate, facts.invitation
    return {
        **_of_application(sources, application),
        "notice_not_sent": not facts.told,
        "guardian_consent_missing": (
            application.applicant_type == "minor" and candidate.guardian_consent_at is None
        ),
        "opted_out": _wants_no_more(candidate, invitation),
        "data_erased": candidate.erased_at is not None or candidate.profile is None,
        "link_expired": _expired(invitation, now),
    }


def _of_application(sources: Collection[str], application: Application) -> dict[str, bool]:
    return {
        "decision_not_rejected": application.outcome != "rejected",
        "source_not_allowed": application.source not in sources,
        "applicant_type_not_allowed": application.applicant_type == "high_school",
    }


def _wants_no_more(candidate: Candidate, invitation: Invitation | None) -> bool:
    """No invitations, no hand-overs (個人情報保護法 35), or a no to this very form."""
    declined = invitation is not None and invitation.state == "declined"
    return declined or bool(candidate.opted_out_at or candidate.restricted_from)


def _expired(invitation: Invitation | None, now: datetime) -> bool:
    if invitation is None or invitation.state in {"given", "cancelled"}:
        return False
    return invitation.state == "lapsed" or invitation.expires_at <= now


async def _facts(
    session: AsyncSession, company: Company, applications: Sequence[Application]
) -> dict[str, _Facts]:
    told = exists().where(
        col(Notice.company_id) == col(Application.company_id),
        col(Notice.application_id) == col(Application.id),
        col(Notice.kind) == "rejected",
        col(Notice.state) == "sent",
        col(Notice.taken_back_at).is_(None),
    )
    of_candidate = and_(
        col(Candidate.company_id) == col(Application.company_id),
        col(Candidate.id) == col(Application.candidate_id),
    )
    of_invitation = and_(
        col(Invitation.company_id) == col(Application.company_id),
        col(Invitation.application_id) == col(Application.id),
    )
    wanted = (
        select(col(Application.id), Candidate, Invitation, told)
        .join(Candidate, of_candidate)
        .outerjoin(Invitation, of_invitation)
        .where(
            col(Application.company_id) == company.id,
            col(Application.id).in_([application.id for application in applications]),
        )
    )
    rows = (await session.execute(wanted)).all()
    return {row[0]: _Facts(candidate=row[1], invitation=row[2], told=row[3]) for row in rows}


async def _has_agency(session: AsyncSession, company: Company, now: datetime) -> bool:
    """Whether the form would offer anybody: an agreement in force, a valid licence."""
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
    found = (await session.scalars(wanted)).all()
    return any(agency.may_receive(today) and may_be_told_of(agency) for agency in found)


def may_be_told_of(agency: Agency) -> bool:
    """Whether the form can say all that a person must read of this agency."""
    return agency.country == "JP" or may_be_abroad(agency)
