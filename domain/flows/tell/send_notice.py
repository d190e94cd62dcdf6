"""Send a notice: look again whether it may go, check its blocks, write its mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.application import Application, Interview
from domain.business_days import local_day, long_date
from domain.candidate import Candidate
from domain.company import Company
from domain.consent_text import named
from domain.data_items import full_name
from domain.eligibility import may_be_invited
from domain.errors import Conflict, Invalid
from domain.flows.tell.open_notice import cancel_notice
from domain.flows.tell.write_mail import language, write_to_candidate
from domain.flows.ways_in.invite import invitation_of, invite
from domain.ids import new_id
from domain.notice import LIVING, Mail, Notice, advance, missing_blocks
from domain.ports import Tools
from domain.store import find, lock

log = structlog.get_logger()


@dataclass(frozen=True)
class Case:
    """What a notice is about, loaded and locked."""

    company: Company
    application: Application
    candidate: Candidate
    profile: Mapping[str, Any]

    @property
    def locale(self) -> str:
        """The language the candidate reads."""
        return language(self.candidate.locale)


async def send_due_notice(
    session: AsyncSession, tools: Tools, company_id: str, notice_id: str, now: datetime
) -> None:
    """The sweep's way: a notice whose time has come is sent, held back or called off."""
    case, notice = await load_notice(session, tools, company_id, notice_id)
    if notice.state != "scheduled" or notice.mail_id is not None:
        return
    if notice.send_at is None or notice.send_at > now:
        return
    if case.application.outcome != "rejected" or case.candidate.erased_at is not None:
        await cancel_notice(session, notice)
    elif obstacles := await _obstacles(session, tools, case, notice):
        log.warning("notice_held_back", notice_id=notice.id, obstacles=obstacles)
        notice.state, notice.send_at = advance(notice.state, "hold"), None
        session.add(notice)
    else:
        await _write(session, tools, case, notice, now)
    await session.flush()


async def send_notice(
    session: AsyncSession, tools: Tools, company_id: str, notice_id: str, now: datetime
) -> Notice:
    """A person presses send: the notice goes now.

    Raises `Conflict` (`not_sendable`: sent, cancelled or on its way; `not_rejected`; `on_hold`, the
    detail lists the holds) and `Invalid` (`missing_blocks`, the detail lists them).
    """
    case, notice = await load_notice(session, tools, company_id, notice_id)
    if notice.state not in LIVING or notice.mail_id is not None:
        detail = "this notice was sent, cancelled, or is on its way"
        raise Conflict(detail, code="not_sendable")
    if case.application.outcome != "rejected":
        detail = f"the application is {case.application.outcome}"
        raise Conflict(detail, code="not_rejected")
    refuse_holds(case)
    refuse_missing("rejected", await _texts(session, tools, case, notice))
    notice.state, notice.send_at = advance(notice.state, "schedule"), now
    await _write(session, tools, case, notice, now)
    await session.flush()
    return notice


async def send_interim_notice(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    application_id: str,
    *,
    reason: str,
    new_date: date,
    now: datetime,
) -> Notice:
    """Tell the candidate that it takes longer. It helps, and it does not keep the promise."""
    case = await load_case(session, tools, company_id, application_id)
    if case.application.outcome != "active":
        detail = "an interim notice is for applications still under decision"
        raise Conflict(detail, code="not_undecided")
    if new_date < local_day(now):
        detail = "new_date lies in the past"
        raise Invalid(detail, code="date_in_the_past")
    refuse_holds(case)
    values = letterhead(case) | {
        "interim_reason": reason.strip(), "new_date": long_date(new_date, case.locale),
    }  # fmt: skip
    refuse_missing("interim", values)
    notice = Notice(
        company_id=company_id, id=new_id("ntc"), application_id=application_id, kind="interim",
        candidate_id=case.candidate.id, state="scheduled", send_at=now, created_at=now,
    )  # fmt: skip
    mail = await write_to_candidate(
        session, tools, case.company, case.candidate, case.profile, about=f"notice:{notice.id}",
        template="notice_interim", values=values, now=now, headers=reply_to(case.company),
    )  # fmt: skip
    notice.mail_id = mail.id
    session.add(notice)
    await session.flush()
    return notice


async def load_notice(
    session: AsyncSession, tools: Tools, company_id: str, notice_id: str
) -> tuple[Case, Notice]:
    """A notice and what it is about; the application is locked first, as everywhere."""
    seen = await find(session, Notice, company_id, notice_id)
    if seen is None:
        await lock(session, Notice, company_id, notice_id)  # raises NotFound
    assert seen is not None
    case = await load_case(session, tools, company_id, seen.application_id)
    return case, await lock(session, Notice, company_id, notice_id)


async def load_case(
    session: AsyncSession, tools: Tools, company_id: str, application_id: str
) -> Case:
    """An application, locked, with its company and its candidate's profile."""
    application = await lock(session, Application, company_id, application_id)
    company = await session.get_one(Company, company_id)
    candidate = await find(session, Candidate, company_id, application.candidate_id)
    assert candidate is not None
    profile = await vault.profile_of(session, tools.sealer, candidate)
    return Case(company, application, candidate, profile)


def letterhead(case: Case) -> dict[str, Any]:
    """Who writes to whom: what every mail of a company to a candidate says."""
    company = case.company
    return {
        "candidate_name": full_name(case.profile),
        "company_name": named(company, case.locale),
        "department": company.department,
        "sender_name": company.sender_name,
        "contact": company.contact,
        "harassment_contact": company.harassment_contact,
        "privacy_contact": company.privacy_contact,
        "job_title": case.application.job_title,
    }


def reply_to(company: Company) -> dict[str, str]:
    """Answers go to the company, if its contact is an address."""
    contact = company.contact.strip()
    is_address = "@" in contact and contact.isascii() and not any(map(str.isspace, contact))
    return {"Reply-To": contact} if is_address else {}


def refuse_holds(case: Case) -> None:
    """No mail to a candidate the ATS holds, who is erased, or who has no address."""
    obstacles = _unreachable(case)
    if obstacles:
        raise Conflict(", ".join(obstacles), code="on_hold")


def refuse_missing(kind: str, values: Mapping[str, Any]) -> None:
    """A notice without its required blocks is not sent."""
    missing = missing_blocks(kind, values)
    if missing:
        raise Invalid(", ".join(missing), code="missing_blocks")


async def _obstacles(session: AsyncSession, tools: Tools, case: Case, notice: Notice) -> list[str]:
    values = await _texts(session, tools, case, notice)
    return _unreachable(case) + missing_blocks("rejected", values)


def _unreachable(case: Case) -> list[str]:
    if case.profile.get("email"):
        return list(case.application.holds)
    return list(case.application.holds) or ["no_email"]


async def _write(
    session: AsyncSession, tools: Tools, case: Case, notice: Notice, now: datetime
) -> Mail:
    values = await _texts(session, tools, case, notice) | await _invitation(
        session, tools, case, now
    )
    mail = await write_to_candidate(
        session, tools, case.company, case.candidate, case.profile, about=f"notice:{notice.id}",
        template="notice_rejected", values=values, now=now, headers=reply_to(case.company),
    )  # fmt: skip
    notice.mail_id = mail.id
    session.add(notice)
    await session.flush()
    return mail


async def _texts(session: AsyncSession, tools: Tools, case: Case, notice: Notice) -> dict[str, Any]:
    company, ja = case.company, case.locale == "ja"
    return letterhead(case) | {
        "interview_date": await _interview_date(session, case),
        "feedback_text": await feedback_of(session, tools, case.candidate, notice),
        "reapplication_text": _reapplication(
            company.months_to_reapply(case.application.job_title), case.locale
        ),
        "documents_text": (
            f"お預かりした応募書類および個人情報は、{company.retention_months}か月後に弊社にて"
            "責任をもって廃棄いたします。\n"
            "返却・早期の削除をご希望の場合は下記窓口までお申し付けください。"
            if ja
            else f"We will securely destroy your documents and personal data after "
            f"{company.retention_months} months.\n"
            "If you would like them returned or deleted sooner, please contact us below."
        ),
    }


def _reapplication(months: int, locale: str) -> str:
    """When one may apply again: what the person's passport says, in a sentence."""
    if locale == "ja":
        if not months:
            return "同じ職種、別の職種のいずれも、いつでもご応募を歓迎いたします。"
        return f"{months}か月後以降、または別の職種につきましては、いつでもご応募を歓迎いたします。"
    if not months:
        return "You are welcome to apply again at any time, for this or another position."
    after = "1 month" if months == 1 else f"{months} months"
    return f"You are welcome to apply again after {after}, or for another position at any time."


async def _invitation(
    session: AsyncSession, tools: Tools, case: Case, now: datetime
) -> dict[str, Any]:
    """The relay block, only for those who may be relayed and have not answered yet."""
    there = await invitation_of(session, case.application)
    answered = there is not None and there.state in {"given", "declined"}
    if answered or await may_be_invited(session, case.company, case.application, now):
        return {"optin_url": None, "optin_expires_on": None}
    url = await invite(session, tools, case.company, case.application, now)
    made = await invitation_of(session, case.application)
    assert made is not None
    return {
        "optin_url": url,
        "optin_expires_on": long_date(local_day(made.expires_at), case.locale),
    }


async def _interview_date(session: AsyncSession, case: Case) -> str | None:
    held = (
        select(Interview)
        .where(
            col(Interview.company_id) == case.company.id,
            col(Interview.application_id) == case.application.id,
            col(Interview.status) == "completed",
        )
    )  # fmt: skip
    days = [
        local_day(interview.ends_at or interview.starts_at or interview.told_at)
        for interview in (await session.scalars(held)).all()
    ]
    return long_date(max(days), case.locale) if days else None


async def feedback_of(
    session: AsyncSession, tools: Tools, candidate: Candidate, notice: Notice
) -> str | None:
    """The feedback of a notice, opened; null when there is none or the person was erased."""
    if notice.feedback is None or candidate.erased_at is not None:
        return None
    text: str = await vault.unseal(
        session, tools.sealer, candidate, "profile", notice.feedback, about=f"feedback:{notice.id}"
    )
    return text


async def feedback_told(
    session: AsyncSession, tools: Tools, candidate: Candidate, application_id: str
) -> str | None:
    """The feedback the person was sent with the result, in those words and never others."""
    sent = (
        select(Notice)
        .where(
            col(Notice.company_id) == candidate.company_id,
            col(Notice.application_id) == application_id,
            col(Notice.kind) == "rejected",
            col(Notice.state) == "sent",
            col(Notice.feedback).is_not(None),
        )
        .order_by(col(Notice.sent_at).desc())
    )
    notice = (await session.scalars(sent)).first()
    return await feedback_of(session, tools, candidate, notice) if notice is not None else None
