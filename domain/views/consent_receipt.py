"""The consent receipt (fields after ISO/IEC TS 27560) and the file of everything we hold."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.company import Company
from domain.consent import ConsentText
from domain.views.my_data import Held, my_data, my_events

SCHEMA = "career-relay-receipt/1"
DATA_SCHEMA = "career-relay-data/1"


async def receipt(
    session: AsyncSession, company: Company, candidate: Candidate, now: datetime
) -> dict[str, Any]:
    """What the person agreed to, in the words they read, as it stands today."""
    held = await my_data(session, candidate)
    events = await my_events(session, candidate)
    texts = await _texts(session, company.id, {one.text_sha256 for one in held})
    last = events[-1] if events else None
    return {
        "schema_version": SCHEMA,
        "receipt_id": last["hash"] if last else None,
        "made_at": written(now),
        "pii_principal_id": candidate.id,
        "jurisdiction": "JP",
        "language": candidate.locale,
        "authority_party": "個人情報保護委員会",
        "pii_controllers": [_controller(company)],
        "privacy_notices": [_notice(text) for text in texts],
        "purposes": [_purpose(one) for one in held],
        "events": [plain(event) for event in events],
    }


async def everything(
    session: AsyncSession,
    company: Company,
    candidate: Candidate,
    profile: dict[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """The person's data, receipt and every hand-over, for taking along."""
    return {
        "schema_version": DATA_SCHEMA,
        "made_at": written(now),
        "company": company.name,
        "profile": {key: value for key, value in profile.items() if value},
        "receipt": await receipt(session, company, candidate, now),
        "recipients": [_recipient(one) for one in await my_data(session, candidate)],
    }


def written(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(facts: Any) -> dict[str, Any]:
    """A row with its times and dates as text."""
    return {key: _plain_value(value) for key, value in dict(facts).items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return written(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


async def _texts(session: AsyncSession, company_id: str, hashes: set[str]) -> list[ConsentText]:
    wanted = (
        select(ConsentText)
        .where(col(ConsentText.company_id) == company_id, col(ConsentText.sha256).in_(hashes))
        .order_by(col(ConsentText.id))
    )
    return list((await session.scalars(wanted)).all())


def _controller(company: Company) -> dict[str, str]:
    return {
        "party_id": company.id,
        "party_type": "origin_company",
        "name": company.name,
        "address": company.address,
        "representative": company.representative,
        "contact": company.privacy_contact,
    }


def _notice(text: ConsentText) -> dict[str, Any]:
    return {
        "version": text.version,
        "language": text.locale,
        "sha256": text.sha256,
        "effective_on": text.effective_on.isoformat(),
        "content": text.content,
    }


def _purpose(one: Held) -> dict[str, Any]:
    return {
        "code": "relay_to_agencies",
        "lawful_basis": "consent",
        "collection_method": "application documents",
        "record_id": one.consent_id,
        "recipient_third_party": {"party_id": one.agency_id, "name": one.name, "country": "JP"},
        "pii_information": [{"pii_type": code} for code in one.items],
        "privacy_notice_sha256": one.text_sha256,
        "event_state": one.state,
        "given_at": written(one.given_at),
        "valid_until": written(one.expires_at),
        "withdrawn_at": written(one.withdrawn_at) if one.withdrawn_at else None,
        "expression_method": "web_form_checkboxes",
    }


def _recipient(one: Held) -> dict[str, Any]:
    return {
        "agency_id": one.agency_id,
        "name": one.name,
        "consent": one.state,
        "relay": one.relay_state,
        "provisions": [plain(vars(given)) for given in one.provisions],
        "stops": [plain(vars(stop)) for stop in one.stops],
    }
