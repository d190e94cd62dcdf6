"""An invitation's timer: mail it where the ATS told the result, remind once, let it lapse."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.business_days import calendar_of, local_day, long_date
from domain.eligibility import failing_reasons, may_be_invited
from domain.flows.tell.send_notice import Case, letterhead, load_case, reply_to
from domain.flows.tell.write_mail import write_to_candidate
from domain.flows.ways_in.invite import call_off_invitation, new_link
from domain.invitation import Invitation, advance, remind_at
from domain.notice import Suppression
from domain.ports import Tools
from domain.store import find, lock


async def look_at_invitation(
    session: AsyncSession, tools: Tools, company_id: str, invitation_id: str, now: datetime
) -> None:
    """What is due for one invitation; answered ones are left alone."""
    seen = await find(session, Invitation, company_id, invitation_id)
    if seen is None:
        return
    case = await load_case(session, tools, company_id, seen.application_id)
    invitation = await lock(session, Invitation, company_id, invitation_id)
    if invitation.look_at is None or invitation.look_at > now:
        return
    if invitation.state != "invited":
        invitation.look_at = None
    elif now >= invitation.expires_at:
        invitation.state, invitation.look_at = advance(invitation.state, "lapse"), None
    elif invitation.mail_at is not None:
        await _mail(session, tools, case, invitation, now)
    else:
        await _remind(session, tools, case, invitation, now)
    session.add(invitation)
    await session.flush()


async def _mail(
    session: AsyncSession, tools: Tools, case: Case, invitation: Invitation, now: datetime
) -> None:
    """The invitation's own mail, if it may still go; else the invitation is called off."""
    if not await _may_write(session, case) or await may_be_invited(
        session, case.company, case.application, now
    ):
        await call_off_invitation(session, case.company.id, case.application.id, now)
        return
    await _write(session, tools, case, invitation, template="invitation", now=now)
    calendar = calendar_of(case.company.calendar, tools.holidays)
    invitation.mail_at = None
    invitation.look_at = min(remind_at(calendar, now), invitation.expires_at)


async def _remind(
    session: AsyncSession, tools: Tools, case: Case, invitation: Invitation, now: datetime
) -> None:
    """The one reminder, only to someone who heard the result and may still be relayed."""
    invitation.look_at = invitation.expires_at
    if invitation.reminded_at is not None or not await _may_write(session, case):
        return
    if await failing_reasons(session, case.company, case.application, now):
        return
    invitation.reminded_at = now
    await _write(session, tools, case, invitation, template="invitation_reminder", now=now)


async def _may_write(session: AsyncSession, case: Case) -> bool:
    if case.application.holds or not case.profile.get("email"):
        return False
    place = (case.company.id, case.candidate.email_hmac)
    return await session.get(Suppression, place) is None


async def _write(
    session: AsyncSession,
    tools: Tools,
    case: Case,
    invitation: Invitation,
    *,
    template: str,
    now: datetime,
) -> None:
    url = await new_link(session, tools, invitation, now)
    stop_url = f"{url}/stop"
    headers = reply_to(case.company)
    if template == "invitation_reminder":
        headers |= {
            "List-Unsubscribe": f"<{stop_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
    await write_to_candidate(
        session, tools, case.company, case.candidate, case.profile,
        about=f"invitation:{invitation.id}:{template}:{local_day(now)}", template=template,
        values=letterhead(case) | {
            "optin_url": url,
            "optin_expires_on": long_date(local_day(invitation.expires_at), case.locale),
            "stop_url": stop_url,
        },
        now=now, headers=headers,
    )  # fmt: skip
