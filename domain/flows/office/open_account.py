"""Open accounts: a company, an agency, their agreement, their clients and people.

Used by `relay bootstrap`, by the demo and by tests: one way in.
"""

import hashlib
import json
import secrets
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_agency, as_company, as_system
from domain.agency import Agency
from domain.agreement import Agreement, AgreementVersion
from domain.ats_secrets import seal_secrets, split_settings
from domain.caller import AGENCY_SCOPES, COMPANY_SCOPES, ROLES, Member, OAuthClient, SignInLink
from domain.company import Company
from domain.delivery import AtsConnection
from domain.errors import Conflict, Invalid, NotFound
from domain.ids import is_id, new_id
from domain.ports import Sealer

DEFAULT_TERMS: dict[str, Any] = {
    "accrual_rule": "on_placement",
    "credits_per_placement": 1,
    "guarantee": {"months": 6},
    "available_after": "guarantee_end",
    "validity_months": 12,
    "validity_from": "available",
    "reservation_days": 60,
    "ownership_window_months": 12,
    "attribution": "first_consent",
}
CLAIM_LINK_LIFE = timedelta(hours=1)


def token_hash(token: str) -> bytes:
    """How links, cookies and tokens are stored: never themselves, only their SHA-256."""
    return hashlib.sha256(token.encode()).digest()


async def open_company(session: AsyncSession, *, now: datetime, **facts: Any) -> Company:
    """A new company; the transaction works for it from here on."""
    company = Company(id=new_id("cmp"), created_at=now, **facts)
    await as_company(session, company.id)
    session.add(company)
    await session.flush()
    return company


async def open_agency(session: AsyncSession, *, now: datetime, **facts: Any) -> Agency:
    """A new agency with its licence; the transaction works for it from here on."""
    agency = Agency(id=new_id("agy"), created_at=now, **facts)
    await as_agency(session, agency.id)
    session.add(agency)
    await session.flush()
    return agency


async def agree(
    session: AsyncSession,
    company_id: str,
    agency_id: str,
    *,
    number: str,
    effective_on: date,
    now: datetime,
    terms: dict[str, Any] | None = None,
) -> Agreement:
    """An agreement with its first version. `terms` overrides the defaults."""
    await as_company(session, company_id)
    agreement = Agreement(
        company_id=company_id, id=new_id("agr"), agency_id=agency_id, number=number, created_at=now
    )
    session.add(agreement)
    await session.flush()
    session.add(
        AgreementVersion(
            company_id=company_id,
            agreement_id=agreement.id,
            version=1,
            agency_id=agency_id,
            terms={**DEFAULT_TERMS, **(terms or {})},
            effective_on=effective_on,
            created_at=now,
        )
    )
    await session.flush()
    return agreement


async def register_client(
    session: AsyncSession,
    *,
    name: str,
    now: datetime,
    company_id: str | None = None,
    agency_id: str | None = None,
    scopes: list[str] | None = None,
) -> tuple[OAuthClient, str]:
    """An OAuth2 client with every scope of its kind unless told; its secret is shown once."""
    secret = "crs_" + secrets.token_urlsafe(32)  # URL-safe: Basic encodes it the same everywhere
    offered = COMPANY_SCOPES if company_id else AGENCY_SCOPES
    client = OAuthClient(
        id="crc_" + secrets.token_urlsafe(12),
        company_id=company_id,
        agency_id=agency_id,
        name=name,
        secret_hashes=[token_hash(secret).hex()],
        scopes=list(scopes or offered),
        created_at=now,
    )
    await _as_owner(session, company_id, agency_id)
    session.add(client)
    await session.flush()
    return client, secret


async def register_member(
    session: AsyncSession,
    sealer: Sealer,
    *,
    email: str,
    name: str,
    roles: list[str],
    now: datetime,
    company_id: str | None = None,
    agency_id: str | None = None,
) -> Member:
    """A person who may sign in."""
    member = Member(
        id=new_id("mbr"), company_id=company_id, agency_id=agency_id, sealed=b"", roles=roles,
        email_hmac=sealer.blind("member-email", email.strip().lower()), created_at=now,
    )  # fmt: skip
    plain = json.dumps({"email": email, "name": name}, ensure_ascii=False).encode()
    member.sealed = sealer.seal(plain, about=f"member:{member.id}")
    await _as_owner(session, company_id, agency_id)
    session.add(member)
    await session.flush()
    return member


async def let_in(
    session: AsyncSession,
    sealer: Sealer,
    owner_id: str,
    *,
    email: str,
    name: str,
    roles: list[str],
    now: datetime,
) -> Member:
    """Somebody who may sign in for a company or an agency; the same address again: other roles.

    Raises `Invalid` (`role_unknown`), `NotFound` (nobody with this id) and `Conflict`
    (`address_taken`: the person signs in for somebody else).
    """
    if not roles or not set(roles) <= set(ROLES):
        raise Invalid(", ".join(ROLES), code="role_unknown")
    there = await member_by_email(session, sealer, email)
    company_id = owner_id if is_id(owner_id, "cmp") else None
    agency_id = owner_id if company_id is None else None
    await _as_owner(session, company_id, agency_id)
    if await session.get(Company if company_id else Agency, owner_id) is None:
        raise NotFound
    if there is None:
        return await register_member(
            session, sealer, email=email, name=name, roles=roles, now=now,
            company_id=company_id, agency_id=agency_id,
        )  # fmt: skip
    if owner_id not in {there.company_id, there.agency_id}:
        detail = "this address signs in for somebody else"
        raise Conflict(detail, code="address_taken")
    there.roles = roles
    session.add(there)
    await session.flush()
    return there


async def member_by_email(session: AsyncSession, sealer: Sealer, email: str) -> Member | None:
    """The person with this address, whoever they work for (sign-in happens before the tenant)."""
    hashed = sealer.blind("member-email", email.strip().lower())
    async with as_system(session):
        return (
            await session.scalars(select(Member).where(col(Member.email_hmac) == hashed))
        ).first()


async def claim_link(
    session: AsyncSession, member: Member, *, now: datetime, life: timedelta = CLAIM_LINK_LIFE
) -> str:
    """A single-use token for the first sign-in. It goes into a URL fragment, never into a log."""
    token = secrets.token_urlsafe(32)
    session.add(
        SignInLink(
            id=new_id("sgn"), member_id=member.id, kind="claim", token_hash=token_hash(token),
            expires_at=now + life, created_at=now,
        )
    )  # fmt: skip
    await session.flush()
    return token


async def connect_ats(
    session: AsyncSession,
    sealer: Sealer,
    company_id: str,
    *,
    provider: str,
    name: str,
    secrets: list[str],
    now: datetime,
    secrets_by_event: dict[str, str] | None = None,
    public_keys: list[str] | None = None,
    settings: dict[str, Any] | None = None,
) -> AtsConnection:
    """A connection to an ATS. Secrets and the API credential are sealed as one document."""
    open_settings, api_key = split_settings(settings or {})
    connection = AtsConnection(
        company_id=company_id, id=new_id("ats"), provider=provider, name=name, secrets=b"",
        public_keys=public_keys or [], settings=open_settings, created_at=now,
    )  # fmt: skip
    connection.secrets = seal_secrets(
        sealer, connection.id, secrets, secrets_by_event or {}, api_key=api_key
    )
    await as_company(session, company_id)
    session.add(connection)
    await session.flush()
    return connection


async def _as_owner(session: AsyncSession, company_id: str | None, agency_id: str | None) -> None:
    if company_id is not None:
        await as_company(session, company_id)
    else:
        await as_agency(session, agency_id or "")
