"""Tell: mails go out, notices and invitations when their time has come, deadlines are watched."""

import structlog

from api.jobs import Lane, job
from api.runtime import Runtime
from api.timers import timer
from domain.flows.tell.open_notice import lift_not_before
from domain.flows.tell.record_mail_result import claim_mail, mail_refused, mail_sent, retry_mail
from domain.flows.tell.send_notice import send_due_notice
from domain.flows.tell.watch_deadline import watch_deadline
from domain.flows.ways_in.remind_invitation import look_at_invitation
from domain.ports import Letter, Mailer, Undeliverable
from integrations.mail.smtp import SmtpMailer

log = structlog.get_logger()


@job("mail.send", Lane.MAIL)
async def send_mail(runtime: Runtime, ids: list[str]) -> None:
    """Send one mail. Safe to run twice: the row says whether it is still to go."""
    tenant_id, mail_id = ids
    if not runtime.settings.smtp_host and runtime.settings.mode != "production":
        await _keep_in_mailbox(runtime, tenant_id, mail_id)
        return
    async with runtime.database.transaction(**_tenant(tenant_id)) as session:
        letter = await claim_mail(session, runtime.tools, tenant_id, mail_id, runtime.clock())
    if letter is None:
        return
    refusal = await _hand_over(mailer_of(runtime), letter)
    async with runtime.database.transaction(**_tenant(tenant_id)) as session:
        now = runtime.clock()
        if refusal is None:
            await mail_sent(session, runtime.tools, tenant_id, mail_id, now)
        else:
            log.warning("mail_refused", mail_id=mail_id, code=refusal.code, reason=refusal.reason)
            await mail_refused(session, runtime.tools, tenant_id, mail_id, refusal=refusal, now=now)


def mailer_of(runtime: Runtime) -> Mailer | None:
    """The mail server of the settings, if there is one."""
    settings = runtime.settings
    if not settings.smtp_host:
        return None
    secret = settings.smtp_password
    return SmtpMailer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.mail_from,
        user=settings.smtp_user,
        password=secret.get_secret_value() if secret is not None else "",
        security=settings.smtp_security,
    )


async def _hand_over(mailer: Mailer | None, letter: Letter) -> Undeliverable | None:
    if mailer is None:
        return Undeliverable("RELAY_SMTP_HOST is not set")
    try:
        await mailer.send(letter)
    except Undeliverable as refusal:
        return refusal
    return None


async def _keep_in_mailbox(runtime: Runtime, tenant_id: str, mail_id: str) -> None:
    """Without a mail server the outbox is the mailbox: claim and result are one transaction."""
    now = runtime.clock()
    async with runtime.database.transaction(**_tenant(tenant_id)) as session:
        if await claim_mail(session, runtime.tools, tenant_id, mail_id, now) is not None:
            await mail_sent(session, runtime.tools, tenant_id, mail_id, now)


def _tenant(tenant_id: str) -> dict[str, str]:
    return {"agency_id" if tenant_id.startswith("agy_") else "company_id": tenant_id}


timer(
    "mail.retry_at", table="mail", column="retry_at", where="retry_at IS NOT NULL",
    act=retry_mail, tenant="tenant",
)  # fmt: skip
timer(
    "application.not_before", table="application", column="not_before",
    where="not_before IS NOT NULL", act=lift_not_before,
)  # fmt: skip
timer(
    "notice.send_at", table="notice", column="send_at",
    where="state = 'scheduled' AND mail_id IS NULL", act=send_due_notice,
)  # fmt: skip
timer(
    "deadline.look_at", table="deadline", column="look_at", where="look_at IS NOT NULL",
    act=watch_deadline,
)  # fmt: skip
timer(
    "invitation.look_at", table="invitation", column="look_at", where="look_at IS NOT NULL",
    act=look_at_invitation,
)  # fmt: skip
