"""The company's public link: prove the address by mail, then the form, or a wait for HR.

Whoever types an address gets the same answer, and the same work is done, whether we know the
address or not: nothing is looked up before the address is proven.
"""

import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent
from domain.errors import Conflict
from domain.flows.office.open_account import token_hash
from domain.flows.tell.write_mail import write_mail
from domain.flows.ways_in.invite import hand_over_link
from domain.flows.ways_in.open_candidate_link import TOKEN, new_my_page_link, newest_form
from domain.ids import new_id
from domain.join_request import HELD_DAYS, PROVE_WITHIN, JoinRequest, advance
from domain.notice import Suppression
from domain.ports import Sealer, Tools
from domain.store import lock
from domain.views.people import application_by_number

NOT_AGAIN_WITHIN = timedelta(hours=1)
MOST_A_DAY = 5
"""Mails to one address, whoever asks for them."""
KEPT_AFTER_END = timedelta(days=30)
"""So long the empty row still says what became of a request."""


async def ask_to_join(
    session: AsyncSession, tools: Tools, company: Company, email: str, *, locale: str, now: datetime
) -> None:
    """Mail a link that proves the address: at most one an hour, to an address that exists."""
    hashed = tools.sealer.blind("email", email.strip().lower())
    await _one_at_a_time(session, company.id, hashed)
    if await _asked_enough(session, company.id, hashed, now):
        return
    token = secrets.token_urlsafe(32)
    asked = JoinRequest(
        company_id=company.id, id=new_id("jrq"), token_hash=token_hash(token), email_hmac=hashed,
        locale=locale, expires_at=now + PROVE_WITHIN, look_at=now + PROVE_WITHIN, created_at=now,
    )  # fmt: skip
    _keep(tools.sealer, asked, {"email": email})
    session.add(asked)
    await session.flush()
    if await session.get(Suppression, (company.id, hashed)) is None:
        url = f"{tools.public_url}/join/{company.slug}/{token}"
        await _mail(session, tools, company, asked, template="join_proof", url=url, now=now)


async def find_request(session: AsyncSession, company: Company, token: str) -> JoinRequest | None:
    """The request a mailed link belongs to. Reads only: mail scanners open every link."""
    if TOKEN.fullmatch(token) is None:
        return None
    wanted = select(JoinRequest).where(
        col(JoinRequest.company_id) == company.id,
        col(JoinRequest.token_hash) == token_hash(token),
    )
    found: JoinRequest | None = (await session.scalars(wanted)).first()
    return found


async def prove_join(
    session: AsyncSession, tools: Tools, asked: JoinRequest, now: datetime
) -> str | None:
    """The button behind the mailed link: where it leads, or nothing: HR has to find the person.

    A person with an application that may be relayed is led to the form; one who has answered
    before, to their own page. Pressed again it leads there again, as long as the link lives.
    Raises `Conflict` (`join_over`).
    """
    asked = await lock(session, JoinRequest, asked.company_id, asked.id)
    if asked.expires_at <= now or asked.state not in {"asked", "matched", "held"}:
        raise Conflict(code="join_over")
    if asked.state == "held":
        return None
    asked.proven_at = asked.proven_at or now
    for candidate in await _with_address(session, asked):
        if url := await _way_of(session, tools, candidate, now):
            _end(asked, "match", candidate.id, now)
            session.add(asked)
            return url
    if asked.state == "asked":
        asked.state = advance(asked.state, "hold")
        asked.look_at = now + timedelta(days=HELD_DAYS)
    session.add(asked)
    await session.flush()
    return None


async def tell_who(
    session: AsyncSession, tools: Tools, asked: JoinRequest, *, name: str, job: str, now: datetime
) -> None:
    """What the person tells HR to be found by; only while the request waits for HR."""
    asked = await lock(session, JoinRequest, asked.company_id, asked.id)
    if asked.state != "held" or asked.expires_at <= now:
        raise Conflict(code="join_over")
    _keep(tools.sealer, asked, facts_of(tools.sealer, asked) | {"name": name, "job": job})
    session.add(asked)
    await session.flush()


async def match_join(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    request_id: str,
    number: str,
    *,
    actor: str,
    now: datetime,
) -> str:
    """HR found the application: its form is mailed to the proven address. The candidate's id.

    `number` is our number of the application or the ATS's. Raises `NotFound`, `Conflict`:
    `join_over`, `application_unclear` (none, or several, have the number), `not_eligible`,
    `already_answered`.
    """
    asked = await _held(session, company, request_id)
    application = await application_by_number(session, company.id, number)
    url, _ = await hand_over_link(session, tools, company.id, application.id, now, mailed=True)
    await _mail(session, tools, company, asked, template="join_matched", url=url, now=now)
    asked.application_id, asked.answered_by = application.id, actor
    _end(asked, "match", application.candidate_id, now)
    session.add(asked)
    await session.flush()
    return application.candidate_id


async def refuse_join(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    request_id: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    """HR found nobody: the person hears it kindly, and the address is forgotten."""
    asked = await _held(session, company, request_id)
    await _mail(session, tools, company, asked, template="join_closed", url="", now=now)
    asked.answered_by = actor
    _end(asked, "refuse", None, now)
    session.add(asked)
    await session.flush()


async def look_at_join(
    session: AsyncSession, tools: Tools, company_id: str, request_id: str, now: datetime
) -> None:
    """Its timer: an unproven or unmatched request expires; an ended one is removed."""
    del tools
    asked = await lock(session, JoinRequest, company_id, request_id)
    if asked.look_at is None or asked.look_at > now:
        return
    if asked.ended_at is not None:
        await session.delete(asked)
        return
    _end(asked, "expire", None, now)
    session.add(asked)


async def held_requests(session: AsyncSession, company_id: str, limit: int) -> list[JoinRequest]:
    """The proven addresses that wait for HR, oldest first."""
    wanted = (
        select(JoinRequest)
        .where(col(JoinRequest.company_id) == company_id, col(JoinRequest.state) == "held")
        .order_by(col(JoinRequest.id))
        .limit(limit)
    )
    return list((await session.scalars(wanted)).all())


def facts_of(sealer: Sealer, asked: JoinRequest) -> dict[str, str]:
    """The address, and what the person told HR; empty once the request has ended."""
    if asked.sealed is None:
        return {}
    opened: dict[str, str] = json.loads(sealer.open(asked.sealed, about=f"join:{asked.id}"))
    return opened


def _keep(sealer: Sealer, asked: JoinRequest, facts: dict[str, str]) -> None:
    plain = json.dumps(facts, ensure_ascii=False).encode()
    asked.sealed = sealer.seal(plain, about=f"join:{asked.id}")


def _end(asked: JoinRequest, step: str, candidate_id: str | None, now: datetime) -> None:
    if asked.state == "matched":  # the button pressed again
        return
    asked.state = advance(asked.state, step)
    asked.candidate_id, asked.sealed, asked.ended_at = candidate_id, None, now
    asked.look_at = now + KEPT_AFTER_END


async def _one_at_a_time(session: AsyncSession, company_id: str, hashed: bytes) -> None:
    name = f"join {company_id} {hashed.hex()}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def _asked_enough(
    session: AsyncSession, company_id: str, hashed: bytes, now: datetime
) -> bool:
    wanted = select(JoinRequest.created_at).where(
        col(JoinRequest.company_id) == company_id,
        col(JoinRequest.email_hmac) == hashed,
        col(JoinRequest.created_at) > now - timedelta(days=1),
    )
    asked = (await session.scalars(wanted)).all()
    return len(asked) >= MOST_A_DAY or any(at > now - NOT_AGAIN_WITHIN for at in asked)


async def _with_address(session: AsyncSession, asked: JoinRequest) -> list[Candidate]:
    wanted = (
        select(Candidate)
        .where(
            col(Candidate.company_id) == asked.company_id,
            col(Candidate.email_hmac) == asked.email_hmac,
            col(Candidate.erased_at).is_(None),
            col(Candidate.merged_into_id).is_(None),
        )
        .order_by(col(Candidate.id).desc())
        .with_for_update(key_share=True)
    )
    return list((await session.scalars(wanted)).all())


async def _way_of(
    session: AsyncSession, tools: Tools, candidate: Candidate, now: datetime
) -> str | None:
    """The form; for who has answered it with a yes, their own page (a new form is one press on)."""
    wanted = select(Consent.id).where(
        col(Consent.company_id) == candidate.company_id, col(Consent.candidate_id) == candidate.id
    )
    if (await session.scalars(wanted)).first() is not None:
        return await new_my_page_link(session, tools, candidate, now)
    return await newest_form(session, tools, candidate, now)


async def _held(session: AsyncSession, company: Company, request_id: str) -> JoinRequest:
    asked = await lock(session, JoinRequest, company.id, request_id)
    if asked.state != "held":
        raise Conflict(code="join_over")
    return asked


async def _mail(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    asked: JoinRequest,
    *,
    template: str,
    url: str,
    now: datetime,
) -> None:
    values: dict[str, Any] = {
        "company_name": consent_text.named(company, asked.locale),
        "privacy_contact": company.privacy_contact,
        "url": url,
    }
    await write_mail(
        session, tools, tenant_id=company.id, about=f"{template}:{asked.id}", template=template,
        locale=asked.locale, to=facts_of(tools.sealer, asked)["email"], values=values, now=now,
        from_name=consent_text.named(company, asked.locale),
    )  # fmt: skip
