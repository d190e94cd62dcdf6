"""People sign in: by a claim link on the first day, by a link or a code in a mail afterwards.

No passwords. A link works once, in the browser that asked for it; on another device the mail's
six-digit code is typed into the browser that asked. An unknown address gets the same answer.
"""

import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from domain.access import as_agency, as_company, as_system
from domain.caller import (
    LINK_LIFE,
    MOST_LINKS_AN_HOUR,
    MOST_WRONG_CODES,
    MOST_WRONG_CODES_A_DAY,
    SEEN_EVERY,
    SESSION_LIFE,
    LoginSession,
    Member,
    SignInLink,
)
from domain.errors import Gone
from domain.flows.office.open_account import member_by_email, token_hash
from domain.flows.tell.write_mail import write_mail
from domain.ids import is_id, new_id
from domain.ports import Sealer, Tools


@dataclass(frozen=True)
class Asking:
    """What the asking browser keeps in a cookie until the link or the code comes back."""

    link_id: str
    secret: str

    @classmethod
    def fresh(cls) -> "Asking":
        """A new one; it looks the same whether the address is known or not."""
        return cls(new_id("sgn"), secrets.token_urlsafe(24))

    @classmethod
    def read(cls, cookie: str | None) -> "Asking | None":
        """What a cookie says, if it is one of ours."""
        link_id, _, secret = (cookie or "").partition(".")
        return cls(link_id, secret) if is_id(link_id, "sgn") and secret else None

    def cookie(self) -> str:
        """The cookie's value."""
        return f"{self.link_id}.{self.secret}"


async def ask_link(session: AsyncSession, tools: Tools, email: str, *, now: datetime) -> Asking:
    """Mail a link and a code to a known person. The caller cannot tell whether that happened."""
    asking = Asking.fresh()
    member = await member_by_email(session, tools.sealer, email)
    if member is None or not member.enabled or await _asked_too_often(session, member, now):
        return asking
    token, code = secrets.token_urlsafe(32), f"{secrets.randbelow(10**6):06d}"
    session.add(
        SignInLink(
            id=asking.link_id, member_id=member.id, kind="magic", token_hash=token_hash(token),
            browser_hash=token_hash(asking.secret), code_hash=_code_hash(asking, code),
            expires_at=now + LINK_LIFE, created_at=now,
        )
    )  # fmt: skip
    tenant_id = await stand_for(session, member)
    who = facts_of(tools.sealer, member)
    await write_mail(
        session, tools, tenant_id=tenant_id, about=f"sign_in:{asking.link_id}",
        template="sign_in_link", locale=member.locale, to=who["email"], now=now,
        values={
            "name": who["name"], "link": f"{tools.public_url}/login/m/{token}",
            "code": code, "minutes": int(LINK_LIFE.total_seconds()) // 60,
        },
    )  # fmt: skip
    return asking


async def enter_by_claim(session: AsyncSession, token: str, *, now: datetime) -> str:
    """The first sign-in. Returns the new session's cookie; `Gone` if the link lets nobody in."""
    link = await _locked(session, col(SignInLink.token_hash) == token_hash(token))
    if link is None or link.kind != "claim" or not link.open_at(now):
        raise _used()
    return await _enter(session, link, now)


async def enter_by_link(
    session: AsyncSession, token: str, asking: Asking | None, *, now: datetime
) -> str:
    """The link of the mail, in the browser that asked for it."""
    link = await _locked(session, col(SignInLink.token_hash) == token_hash(token))
    if link is None or link.kind != "magic" or not link.open_at(now):
        raise _used()
    if asking is None or not _asked_here(link, asking):
        raise Gone(code="sign_in_other_browser")
    return await _enter(session, link, now)


async def enter_by_code(
    session: AsyncSession, asking: Asking | None, code: str, *, now: datetime
) -> str | None:
    """The mail's code, typed into the browser that asked. Null: wrong, or no code works (any more).

    Which of the two is not told: an unknown address must look like a known one here, too.
    """
    if asking is None:
        return None
    link = await _locked(session, col(SignInLink.id) == asking.link_id)
    if link is None or not link.open_at(now) or not _asked_here(link, asking):
        return None
    if link.tries >= MOST_WRONG_CODES or await _guessed_too_often(session, link, now):
        return None
    if not hmac.compare_digest(link.code_hash or b"", _code_hash(asking, code.strip())):
        link.tries += 1
        session.add(link)
        await session.flush()
        return None
    return await _enter(session, link, now)


async def link_works_here(
    session: AsyncSession, token: str, asking: Asking | None, *, now: datetime
) -> bool:
    """Whether this browser asked for the link and the link is still open. Changes nothing."""
    wanted = select(SignInLink).where(col(SignInLink.token_hash) == token_hash(token))
    link = (await session.scalars(wanted)).first()
    return (
        link is not None and asking is not None and link.open_at(now) and _asked_here(link, asking)
    )


async def session_of(
    session: AsyncSession, cookie: str, *, now: datetime
) -> tuple[LoginSession, Member] | None:
    """The living session behind a cookie and its person; the transaction then works for them."""
    login = await session.get(LoginSession, token_hash(cookie))
    if login is None or not login.alive_at(now):
        return None
    async with as_system(session):
        member = await session.get(Member, login.member_id)
    if member is None or not member.enabled:
        return None
    if now - login.seen_at >= SEEN_EVERY:
        login.seen_at = now
        session.add(login)
    await stand_for(session, member)
    return login, member


async def leave(session: AsyncSession, cookie: str, *, now: datetime) -> None:
    """Sign out: the session is over at once, whoever still has its cookie."""
    await session.execute(
        update(LoginSession)
        .where(col(LoginSession.token_hash) == token_hash(cookie))
        .where(col(LoginSession.revoked_at).is_(None))
        .values(revoked_at=now)
    )


async def stand_for(session: AsyncSession, member: Member) -> str:
    """From here on the transaction works for the person's company or agency; its id."""
    if member.company_id is not None:
        await as_company(session, member.company_id)
        return member.company_id
    agency_id = member.agency_id or ""
    await as_agency(session, agency_id)
    return agency_id


def facts_of(sealer: Sealer, member: Member) -> dict[str, str]:
    """The person's name and address."""
    opened: dict[str, str] = json.loads(sealer.open(member.sealed, about=f"member:{member.id}"))
    return opened


async def _enter(session: AsyncSession, link: SignInLink, now: datetime) -> str:
    async with as_system(session):
        member = await session.get(Member, link.member_id)
    if member is None or not member.enabled:
        raise _used()
    link.used_at = now
    cookie = secrets.token_urlsafe(32)
    login = LoginSession(
        token_hash=token_hash(cookie), member_id=member.id, csrf=secrets.token_urlsafe(24),
        created_at=now, seen_at=now, expires_at=now + SESSION_LIFE,
    )  # fmt: skip
    session.add_all([link, login])
    await session.flush()
    return cookie


async def _locked(session: AsyncSession, which: object) -> SignInLink | None:
    wanted = select(SignInLink).where(which).with_for_update()  # type: ignore[arg-type]
    return (await session.scalars(wanted)).first()


async def _asked_too_often(session: AsyncSession, member: Member, now: datetime) -> bool:
    wanted = select(func.count()).where(
        col(SignInLink.member_id) == member.id,
        col(SignInLink.created_at) > now - timedelta(hours=1),
    )
    return int((await session.execute(wanted)).scalar_one()) >= MOST_LINKS_AN_HOUR


async def _guessed_too_often(session: AsyncSession, link: SignInLink, now: datetime) -> bool:
    wanted = select(func.coalesce(func.sum(col(SignInLink.tries)), 0)).where(
        col(SignInLink.member_id) == link.member_id,
        col(SignInLink.created_at) > now - timedelta(days=1),
    )
    return int((await session.execute(wanted)).scalar_one()) >= MOST_WRONG_CODES_A_DAY


def _asked_here(link: SignInLink, asking: Asking) -> bool:
    same = hmac.compare_digest(link.browser_hash or b"", token_hash(asking.secret))
    return same and link.id == asking.link_id


def _code_hash(asking: Asking, code: str) -> bytes:
    # With the browser's secret in it, six digits cannot be found from the database alone.
    return token_hash(f"{asking.secret}.{code}")


def _used() -> Gone:
    return Gone("The link is used up or too old", code="sign_in_link_gone")
