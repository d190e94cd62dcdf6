"""A rejection is taken back after the candidate was told: only a person can mend that."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.business_days import local_day, long_date
from domain.company import Company
from domain.flows.tell.tell_members import tell_company
from domain.invitation import Invitation
from domain.notice import Notice
from domain.ports import Tools

ROLES = ("recruiter", "head")


async def say_too_late(
    session: AsyncSession, tools: Tools, company: Company, application: Application, now: datetime
) -> None:
    """Mail the recruiters, once per notice and outcome, if the rejection was told already."""
    notice = await _last_told(session, application)
    if notice is None or notice.sent_at is None:
        return
    told_on, answered = local_day(notice.sent_at), await _answered(session, application)

    def words(locale: str) -> dict[str, Any]:
        return {
            "company_name": company.name,
            "application_no": application.external_id,
            "job_title": application.job_title,
            "told_on": long_date(told_on, locale),
            "outcome": application.outcome,
            "answered": answered,
            "link": f"{tools.public_url}/dashboard/applications/{application.id}",
        }

    about = f"too_late:{notice.id}:{application.outcome}"
    await tell_company(
        session, tools, company.id, "decision_taken_back", words, roles=ROLES, about=about, now=now
    )


async def _last_told(session: AsyncSession, application: Application) -> Notice | None:
    wanted = select(Notice).where(
        col(Notice.company_id) == application.company_id,
        col(Notice.application_id) == application.id,
        col(Notice.kind) == "rejected",
        col(Notice.state) == "sent",
    )
    return (await session.scalars(wanted.order_by(col(Notice.id).desc()).limit(1))).first()


async def _answered(session: AsyncSession, application: Application) -> bool:
    wanted = select(Invitation.state).where(
        col(Invitation.company_id) == application.company_id,
        col(Invitation.application_id) == application.id,
    )
    return (await session.scalars(wanted)).first() == "given"
