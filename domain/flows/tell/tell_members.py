"""Mail the people of a company or an agency. Such mails name cases by number, never by person."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_agency, as_company
from domain.caller import Member
from domain.flows.office.sign_in import facts_of
from domain.flows.tell.write_mail import language, write_mail
from domain.ports import Tools

Words = Callable[[str], dict[str, Any]]
"""The values of the template for a reader's language."""


async def tell_company(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    template: str,
    words: Words,
    *,
    roles: Collection[str],
    about: str,
    now: datetime,
) -> None:
    """One mail to everyone of a company with one of these roles, once per person and `about`.

    The transaction works for the company afterwards; flush before calling.
    """
    await as_company(session, company_id)
    members = await _enabled(session, col(Member.company_id) == company_id)
    told = [member for member in members if set(roles) & set(member.roles)]
    await _tell(session, tools, company_id, template, words, members=told, about=about, now=now)


async def tell_agency(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    template: str,
    words: Words,
    *,
    about: str,
    now: datetime,
) -> None:
    """One mail to everyone of an agency, once per person and `about`.

    The transaction works for the agency afterwards; flush before calling.
    """
    await as_agency(session, agency_id)
    members = await _enabled(session, col(Member.agency_id) == agency_id)
    await _tell(session, tools, agency_id, template, words, members=members, about=about, now=now)


async def _tell(
    session: AsyncSession,
    tools: Tools,
    tenant_id: str,
    template: str,
    words: Words,
    *,
    members: Sequence[Member],
    about: str,
    now: datetime,
) -> None:
    for member in members:
        locale = language(member.locale)
        await write_mail(
            session,
            tools,
            tenant_id=tenant_id,
            about=f"{about}:{member.id}",
            template=template,
            locale=locale,
            to=facts_of(tools.sealer, member)["email"],
            values=words(locale),
            now=now,
        )


async def _enabled(session: AsyncSession, whose: Any) -> Sequence[Member]:
    wanted = select(Member).where(whose, col(Member.enabled)).order_by(col(Member.id))
    return (await session.scalars(wanted)).all()
