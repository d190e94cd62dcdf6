"""Write a mail: render, seal, keep once, and ask a worker to send it."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import data_items
from domain.candidate import Candidate
from domain.company import Company
from domain.consent_text import named
from domain.ids import new_id
from domain.jobs import later
from domain.notice import Mail
from domain.ports import Tools
from domain.store import add_once

SAFETY_NET = timedelta(minutes=10)
"""A queued mail whose job was lost is found again after this long."""


async def write_mail(
    session: AsyncSession,
    tools: Tools,
    *,
    tenant_id: str,
    about: str,
    template: str,
    locale: str,
    to: str,
    values: Mapping[str, Any],
    now: datetime,
    candidate_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    from_name: str = "キャリアリレー",
) -> Mail:
    """Put a mail into the outbox, once per tenant and `about`; the mail that is there otherwise."""
    mail = Mail(
        tenant_id=tenant_id, id=new_id("mai"), candidate_id=candidate_id, about=about,
        template=template, retry_at=now + SAFETY_NET, created_at=now,
    )  # fmt: skip
    words = tools.texts.mail(template, locale, values)
    content = {
        "to": to, "from_name": from_name, "subject": words.subject, "text": words.text,
        "html": words.html, "headers": dict(headers or {}),
    }  # fmt: skip
    mail.sealed = tools.sealer.seal(
        json.dumps(content, ensure_ascii=False).encode(), about=f"mail:{mail.id}"
    )
    if await add_once(session, mail):
        await later(session, "mail.send", tenant_id, mail.id)
    written = select(Mail).where(col(Mail.tenant_id) == tenant_id, col(Mail.about) == about)
    return (await session.scalars(written)).one()


async def write_to_candidate(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    candidate: Candidate,
    profile: Mapping[str, Any],
    *,
    about: str,
    template: str,
    values: Mapping[str, Any],
    now: datetime,
    headers: Mapping[str, str] | None = None,
) -> Mail:
    """A mail in the company's name to a candidate, in the candidate's language.

    Every template may address the person and name the company.
    """
    locale = language(candidate.locale)
    known = {"name": data_items.full_name(profile), "company_name": named(company, locale)}
    return await write_mail(
        session,
        tools,
        tenant_id=company.id,
        about=about,
        template=template,
        locale=locale,
        to=profile["email"],
        values={**known, **values},
        now=now,
        candidate_id=candidate.id,
        headers=headers,
        from_name=known["company_name"],
    )


def open_mail(tools: Tools, mail: Mail) -> dict[str, Any] | None:
    """Address, subject, bodies and headers; null once the mail was emptied."""
    if mail.sealed is None:
        return None
    opened: dict[str, Any] = json.loads(tools.sealer.open(mail.sealed, about=f"mail:{mail.id}"))
    return opened


def language(locale: str) -> str:
    """The language of a mail: Japanese unless the reader chose English."""
    return "en" if locale.startswith("en") else "ja"
