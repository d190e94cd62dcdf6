"""The mails a tenant has sent, opened: only where bodies are kept (the demo's mailbox)."""

import re
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.flows.tell.write_mail import open_mail
from domain.notice import Mail
from domain.ports import Tools

_LINK = re.compile(r"https?://[^\s<>\"'()、。()「」]+")


async def mails(session: AsyncSession, tools: Tools, tenant_id: str) -> list[dict[str, Any]]:
    """`{id, to, subject, text, html, sent_at, links}` of every sent mail, newest first."""
    sent = (
        select(Mail)
        .where(
            col(Mail.tenant_id) == tenant_id,
            col(Mail.state) == "sent",
            col(Mail.sealed).is_not(None),
        )
        .order_by(col(Mail.sent_at).desc(), col(Mail.id).desc())
    )
    return [_shown(tools, mail) for mail in (await session.scalars(sent)).all()]


def _shown(tools: Tools, mail: Mail) -> dict[str, Any]:
    content = open_mail(tools, mail) or {}
    assert isinstance(mail.sent_at, datetime)
    return {
        "id": mail.id,
        "to": content["to"],
        "subject": content["subject"],
        "text": content["text"],
        "html": content["html"],
        "sent_at": mail.sent_at,
        "links": list(dict.fromkeys(_LINK.findall(content["text"]))),
    }
