"""What became of a mail: taken for sending, sent, refused for now, refused for good.

A mail is sent at least once and, short of one gap, exactly once. The row is claimed (`sending`)
before the server is called and closed after it answered. A worker that dies before the server said
"250" has sent nothing; one that dies between that answer and our commit leaves a claimed row, which
is sent again after `LEASE` with the same Message-ID, by which servers and mail programs know a
repetition. SMTP offers no way to close this gap; the other choice, never sending again, would let a
deadline pass in silence. Without a mail server (demo, tests) claim and result are one transaction.
"""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.deadline import Deadline
from domain.flows.hear.leave_note import note_for_vendor
from domain.flows.tell.open_notice import cancel_notice, meet_deadlines
from domain.flows.tell.say_too_late import say_too_late
from domain.flows.tell.write_mail import SAFETY_NET, open_mail
from domain.invitation import Invitation
from domain.jobs import later
from domain.notice import LIVING, Mail, Notice, Suppression, advance
from domain.ports import Letter, Tools, Undeliverable
from domain.store import add_once, find, lock

LEASE = timedelta(minutes=5)
"""How long a worker may take over one mail: longer than a call to the server is allowed to take."""
BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 60, 180, 360, 720, 1440))
"""After each refusal for now; when it is used up, two days have passed and the mail has bounced."""


async def claim_mail(
    session: AsyncSession, tools: Tools, tenant_id: str, mail_id: str, now: datetime
) -> Letter | None:
    """Take a queued mail for sending; null when it is not ours to send (any more)."""
    mail = await _locked(session, tenant_id, mail_id)
    content = open_mail(tools, mail) if mail and mail.state == "queued" else None
    if mail is None or content is None:
        return None
    if not await _stands(session, mail):
        await _call_off(session, mail)
        return None
    if await session.get(Suppression, (tenant_id, _hashed(tools, content["to"]))) is not None:
        await _bounced(session, tools, mail, "suppressed", now)
        return None
    mail.state, mail.attempts, mail.retry_at = "sending", mail.attempts + 1, now + LEASE
    session.add(mail)
    await session.flush()
    return Letter(id=mail.id, at=now, **content)


async def mail_sent(
    session: AsyncSession, tools: Tools, tenant_id: str, mail_id: str, now: datetime
) -> None:
    """A server has taken the mail: its content is emptied, and what it was about is told.

    Also when the worker was so slow that the mail is queued again: it has gone.
    """
    mail = await _locked(session, tenant_id, mail_id)
    if mail is None or mail.state not in {"sending", "queued"}:
        return
    mail.state, mail.sent_at, mail.retry_at, mail.error = "sent", now, None, None
    if not tools.keep_mail:
        mail.sealed = None
    session.add(mail)
    await session.flush()
    notice = await _notice_of(session, mail)
    if notice is not None and notice.state == "scheduled":
        notice.state, notice.sent_at = advance(notice.state, "sent"), now
        session.add(notice)
        await session.flush()
        if notice.kind != "interim":
            await meet_deadlines(session, notice)
            await note_for_vendor(
                session, tools, tenant_id, notice.application_id,
                kind="told", about=notice.id, now=now,
            )  # fmt: skip
        if notice.kind == "rejected":
            await _too_late(session, tools, notice, now)


async def _too_late(session: AsyncSession, tools: Tools, notice: Notice, now: datetime) -> None:
    """The decision was taken back while the mail was under way."""
    application = await find(session, Application, notice.company_id, notice.application_id)
    if application is not None and application.outcome != "rejected":
        company = await session.get_one(Company, notice.company_id)
        await say_too_late(session, tools, company, application, now)


async def mail_refused(
    session: AsyncSession,
    tools: Tools,
    tenant_id: str,
    mail_id: str,
    *,
    refusal: Undeliverable,
    now: datetime,
) -> None:
    """The server said no: later again while it may help, else the mail has bounced."""
    mail = await _locked(session, tenant_id, mail_id)
    if mail is None or mail.state != "sending":
        return
    reason = f"{refusal.code} {refusal.reason}" if refusal.code else refusal.reason
    if refusal.permanent:
        await _suppress(session, tools, mail, refusal.code, now)
        await _bounced(session, tools, mail, reason, now)
    elif mail.attempts > len(BACK_OFF):
        await _bounced(session, tools, mail, f"gave up: {reason}", now)
    else:
        mail.state, mail.error = "queued", reason
        mail.retry_at = now + BACK_OFF[mail.attempts - 1]
        session.add(mail)
        await session.flush()


async def bounce_mail(
    session: AsyncSession, tools: Tools, tenant_id: str, mail_id: str, *, code: int, now: datetime
) -> None:
    """A mail that was taken came back later (a report to `bounce+<mail id>@…`)."""
    mail = await _locked(session, tenant_id, mail_id)
    if mail is None or mail.state != "sent":
        return
    await _suppress(session, tools, mail, code, now)
    await _bounced(session, tools, mail, f"{code} returned", now)


async def retry_mail(
    session: AsyncSession, _: Tools, tenant_id: str, mail_id: str, now: datetime
) -> None:
    """A mail is due again: refused for now, its job was lost, or its worker died."""
    mail = await _locked(session, tenant_id, mail_id)
    if mail is None or mail.retry_at is None or mail.retry_at > now:
        return
    mail.state, mail.retry_at = "queued", now + SAFETY_NET
    session.add(mail)
    await session.flush()
    await later(session, "mail.send", tenant_id, mail.id)


async def _locked(session: AsyncSession, tenant_id: str, mail_id: str) -> Mail | None:
    """The mail, locked after the application it is about: always in this order."""
    wanted = select(Mail).where(col(Mail.tenant_id) == tenant_id, col(Mail.id) == mail_id)
    seen = (await session.scalars(wanted)).first()
    notice = await _notice_of(session, seen) if seen is not None else None
    if notice is not None:
        await lock(session, Application, notice.company_id, notice.application_id)
        await session.refresh(notice, with_for_update=True)
    fresh = wanted.with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(fresh)).first()


async def _stands(session: AsyncSession, mail: Mail) -> bool:
    """Whether what the mail says may still be said.

    A mail that was with its server when its reason ended is not called off then; refused for now,
    or left by a dead worker, it comes back here.
    """
    notice = await _notice_of(session, mail)
    if notice is not None:
        about = await find(session, Application, notice.company_id, notice.application_id)
        assert about is not None
        told = about.outcome == "rejected" or (notice.kind, about.outcome) == ("interim", "active")
        return notice.state == "scheduled" and told and not about.holds
    kind, _, rest = mail.about.partition(":")
    if kind != "invitation":
        return True
    invitation = await find(session, Invitation, mail.tenant_id, rest.partition(":")[0])
    return invitation is None or invitation.state == "invited"


async def _call_off(session: AsyncSession, mail: Mail) -> None:
    notice = await _notice_of(session, mail)
    if notice is not None and notice.state in LIVING:
        await cancel_notice(session, notice)
    else:
        mail.state, mail.sealed, mail.retry_at = "cancelled", None, None
        session.add(mail)
    await session.flush()


async def _notice_of(session: AsyncSession, mail: Mail) -> Notice | None:
    kind, _, notice_id = mail.about.partition(":")
    return await find(session, Notice, mail.tenant_id, notice_id) if kind == "notice" else None


async def _bounced(
    session: AsyncSession, tools: Tools, mail: Mail, reason: str, now: datetime
) -> None:
    mail.state, mail.retry_at, mail.error = "bounced", None, reason
    if not tools.keep_mail:
        mail.sealed = None
    session.add(mail)
    await session.flush()
    notice = await _notice_of(session, mail)
    if notice is None or notice.state not in {"scheduled", "sent"}:
        return
    told = notice.sent_at
    notice.state = advance(notice.state, "bounce")
    session.add(notice)
    await session.flush()
    if notice.kind != "interim":
        await _reopen(session, notice, told, now)


async def _reopen(
    session: AsyncSession, notice: Notice, told: datetime | None, now: datetime
) -> None:
    """The result did not arrive: what this notice had met is owed again, and people look now."""
    touched = (
        select(Deadline)
        .where(
            col(Deadline.company_id) == notice.company_id,
            col(Deadline.application_id) == notice.application_id,
            col(Deadline.state) != "void",
        )
        .with_for_update()
    )
    for deadline in (await session.scalars(touched)).all():
        if deadline.met_at is None or deadline.met_at == told:
            deadline.bounce(now)
            session.add(deadline)
    await session.flush()


async def _suppress(
    session: AsyncSession, tools: Tools, mail: Mail, code: int, now: datetime
) -> None:
    hashed = await _address_of(session, tools, mail)
    if hashed is not None:
        await add_once(
            session,
            Suppression(tenant_id=mail.tenant_id, email_hmac=hashed, reply_code=code, at=now),
        )


async def _address_of(session: AsyncSession, tools: Tools, mail: Mail) -> bytes | None:
    content = open_mail(tools, mail)
    if content is not None:
        return _hashed(tools, content["to"])
    if mail.candidate_id is None:
        return None
    candidate = await find(session, Candidate, mail.tenant_id, mail.candidate_id)
    return candidate.email_hmac if candidate is not None else None


def _hashed(tools: Tools, address: str) -> bytes:
    return tools.sealer.blind("email", address.strip().lower())
