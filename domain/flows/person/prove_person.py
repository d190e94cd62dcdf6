"""The second step: a code to the address we hold, typed back into the browser that asked.

Whoever holds a link sees who holds what and can take a consent back. Everything else needs the code
(consent rules 17.7): a forwarded mail carries the link, and not the person's mailbox.
"""

import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.access_proof import A_DAY, DIGITS, NOT_AGAIN_WITHIN, SESSION, VALID, AccessProof
from domain.errors import Conflict, TryLater
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.office.open_account import token_hash
from domain.flows.tell.write_mail import write_to_candidate
from domain.flows.ways_in.open_candidate_link import Opened
from domain.ids import new_id
from domain.ports import Tools

_DAY = timedelta(days=1)


async def send_code(session: AsyncSession, tools: Tools, opened: Opened, now: datetime) -> None:
    """Mail a code for this link; the one before it works no more. One on its way is not followed.

    Raises `TryLater` (`codes_used_up`) after five in a day, `Conflict` (`no_address`) where we hold
    none. What earlier days left is thrown away on the way.
    """
    candidate = await lock_candidate(session, opened.company.id, opened.candidate.id)
    await session.execute(
        delete(AccessProof).where(
            col(AccessProof.company_id) == candidate.company_id,
            col(AccessProof.candidate_id) == candidate.id,
            col(AccessProof.created_at) <= now - _DAY,
        )
    )
    newest = await _newest(session, opened)
    if newest is not None and newest.works(now) and newest.created_at > now - NOT_AGAIN_WITHIN:
        return
    if await _sent_today(session, opened) >= A_DAY:
        detail = "no more codes today"
        raise TryLater(detail, code="codes_used_up")
    profile = await vault.profile_of(session, tools.sealer, candidate)
    if not profile.get("email"):
        detail = "there is no address to send a code to"
        raise Conflict(detail, code="no_address")
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    proof = AccessProof(
        company_id=candidate.company_id, id=new_id("acp"), candidate_id=candidate.id,
        link_id=opened.link.id, code_hash=b"", expires_at=now + VALID, created_at=now,
    )  # fmt: skip
    proof.code_hash = _code_hash(tools, proof, code)
    session.add(proof)
    await session.flush()
    company = opened.company
    await write_to_candidate(
        session, tools, company, candidate, profile,
        about=f"access_code:{proof.id}", template="access_code", now=now,
        values={
            "code": code,
            "minutes": int(VALID.total_seconds()) // 60,
            "privacy_contact": company.privacy_contact,
        },
    )  # fmt: skip


async def take_code(
    session: AsyncSession, tools: Tools, opened: Opened, code: str, now: datetime
) -> str | None:
    """Open a visit of thirty minutes for this link; its cookie. Null: no such code (any more).

    Which of the two is not told. A code works once; five wrong tries and it works no more.
    """
    proof = await _newest(session, opened)
    if proof is None or not proof.works(now):
        return None
    if not hmac.compare_digest(proof.code_hash, _code_hash(tools, proof, code.strip())):
        proof.tries += 1
        session.add(proof)
        await session.flush()
        return None
    cookie = secrets.token_urlsafe(32)
    proof.proven_at, proof.session_until = now, now + SESSION
    proof.session_hash = token_hash(cookie)
    session.add(proof)
    await session.flush()
    return cookie


async def is_proven(
    session: AsyncSession, opened: Opened, cookie: str | None, now: datetime
) -> bool:
    """Whether this browser has taken the second step for this link. Reads only."""
    if not cookie or opened.candidate.erased_at is not None:
        return False
    wanted = select(AccessProof.id).where(
        *_of_link(opened),
        col(AccessProof.session_hash) == token_hash(cookie),
        col(AccessProof.session_until) > now,
    )
    return (await session.scalars(wanted)).first() is not None


async def end_visits(session: AsyncSession, opened: Opened, now: datetime) -> None:
    """Close every visit of the person, in every browser, at once."""
    wanted = select(AccessProof).where(
        col(AccessProof.company_id) == opened.company.id,
        col(AccessProof.candidate_id) == opened.candidate.id,
        col(AccessProof.session_until) > now,
    )
    for proof in (await session.scalars(wanted.with_for_update())).all():
        proof.session_until = now
        session.add(proof)
    await session.flush()


async def _sent_today(session: AsyncSession, opened: Opened) -> int:
    wanted = (
        select(func.count())
        .select_from(AccessProof)
        .where(
            col(AccessProof.company_id) == opened.company.id,
            col(AccessProof.candidate_id) == opened.candidate.id,
        )
    )
    return (await session.scalars(wanted)).one()


def _of_link(opened: Opened) -> tuple[ColumnElement[bool], ...]:
    return (
        col(AccessProof.company_id) == opened.company.id,
        col(AccessProof.candidate_id) == opened.candidate.id,
        col(AccessProof.link_id) == opened.link.id,
    )


async def _newest(session: AsyncSession, opened: Opened) -> AccessProof | None:
    """The code that was mailed last for this link, locked."""
    wanted = (
        select(AccessProof)
        .where(*_of_link(opened))
        .order_by(col(AccessProof.created_at).desc(), col(AccessProof.id).desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(wanted)).first()


def _code_hash(tools: Tools, proof: AccessProof, code: str) -> bytes:
    """Keyed with the instance's pepper: a million codes are soon tried against a plain hash."""
    return tools.sealer.blind("access-code", f"{proof.id}:{code}")
