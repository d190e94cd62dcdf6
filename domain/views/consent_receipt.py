"""The consent receipt (fields after ISO/IEC TS 27560) and the file of everything we hold."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import GIVING, PURPOSE, Consent, ConsentEvent, ConsentText, last_day
from domain.consent_text import required_of
from domain.flows.consent.withdraw_consent import records_of
from domain.ports import Signer
from domain.relay_package import canonical

SCHEMA = "career-relay-receipt/1"
"""Its fields are written down in `schemas/consent-receipt.schema.json`."""
KIND = "consent-receipt+jwt"


async def receipt(
    session: AsyncSession,
    company: Company,
    candidate: Candidate,
    now: datetime,
    *,
    submission_id: str | None = None,
    public_url: str = "",
) -> dict[str, Any]:
    """What the person agreed to, in the words they read; who was shown, who was chosen, till when.

    As it stands today, or of one submission. `receipt_id` is the head of the person's chain of
    events, so a receipt proves everything before it; `previous_receipt_id` is the one before.
    `public_url` is this system's address, under which the company's own page stands.
    """
    chain = await _chain(session, candidate)
    told = [event for event in chain if submission_id in {None, event.submission_id}]
    consents = await _consents(session, candidate)
    texts = await _texts(session, company.id, {event.text_sha256 or "" for event in told})
    by_id = {text.id: text for text in texts}
    last = told[-1] if told else None
    return {
        "schema_version": SCHEMA,
        "receipt_id": last.hash if last else None,
        "record_id": last.id if last else None,
        "previous_receipt_id": _before(chain, told),
        "made_at": written(now),
        "pii_principal_id": candidate.id,
        "jurisdiction": "JP",
        "language": last.locale if last else candidate.locale,
        "authority_party": "個人情報保護委員会",
        "pii_controllers": [_controller(company)],
        "privacy_notices": [_notice(text, company, public_url) for text in texts],
        "purposes": [
            _purpose(event, by_id.get(event.text_id or ""), consents, company, public_url)
            for event in _standing(told)
        ],
        "events": [_event(event) for event in told],
    }


def signed(signer: Signer, receipt: Mapping[str, Any]) -> str:
    """The receipt as a compact JWS (RFC 7515, `EdDSA`), which stands alone and can be checked."""
    return signer.sign_compact(canonical(receipt), kind=KIND)


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


def _notice(text: ConsentText, company: Company, public_url: str) -> dict[str, Any]:
    return {
        "url": _own_page(company, public_url),
        "version": text.version,
        "language": text.locale,
        "sha256": text.sha256,
        "effective_on": text.effective_on.isoformat(),
        "content": text.content,
    }


def _own_page(company: Company, public_url: str) -> str:
    """Where anybody can have the way to their own page mailed to them. It holds no key."""
    return f"{public_url}/join/{company.slug}"


def _standing(told: Sequence[ConsentEvent]) -> list[ConsentEvent]:
    """The last giving event of each agency, in the order in which they were given."""
    last = {
        (event.candidate_id, event.agency_id): event
        for event in told
        if event.agency_id is not None and event.kind in GIVING
    }
    return list(last.values())


def _purpose(
    event: ConsentEvent,
    text: ConsentText | None,
    consents: Mapping[tuple[str, str], Consent],
    company: Company,
    public_url: str,
) -> dict[str, Any]:
    consent = consents[event.candidate_id, event.agency_id or ""]
    current = consent.event_id == event.id
    content = text.content if text is not None else {}
    needed = required_of(content, event.agency_id or "") if content.get("data_items") else []
    return {
        "code": event.purpose_code or PURPOSE,
        "text": content.get("purpose", ""),
        "lawful_basis": "consent",
        "collection_method": "application documents",
        "record_id": consent.id,
        "privacy_notice_sha256": event.text_sha256,
        "pii_information": [
            {"pii_type": code, "pii_optional": code not in needed} for code in event.items
        ],
        "recipients_shown": list(event.shown),
        "recipient_third_parties": [_third_party(event)],
        "storage_locations": ["JP"],
        "retention_period": _lasts(event),
        "withdrawal_method": {
            "url": _own_page(company, public_url),
            "text": content.get("withdrawal", ""),
        },
        "expression_method": "web_form_checkboxes" if event.channel == "web" else event.method,
        "event_state": consent.state if current else "superseded",
        "given_at": written(event.at),
        "valid_until": written(event.expires_at) if event.expires_at else None,
        "withdrawn_at": written(consent.withdrawn_at) if consent.withdrawn_at else None,
    }


def _third_party(event: ConsentEvent) -> dict[str, Any]:
    """The agency as it was shown, not as it calls itself today."""
    shown = event.recipient or {}
    known = {key: shown.get(key, "") for key in ("name", "address", "representative", "licence")}
    basis = {"cross_border_basis": event.cross_border_basis} if event.cross_border_basis else {}
    return {
        "party_id": event.agency_id, **known, "country": shown.get("country", "JP"),
        "privacy_url": shown.get("privacy_url", ""), **basis,
    }  # fmt: skip


def _event(event: ConsentEvent) -> dict[str, Any]:
    # What an officer recorded from a signed paper was given by the person all the same.
    theirs = event.kind in GIVING or event.actor in {None, "candidate"}
    return {
        "event_id": event.id,
        "event_type": "explicit" if theirs else "implicit",
        "event_state": event.kind,
        "event_time": written(event.at),
        "validity_duration": _lasts(event),
        "entity_id": event.candidate_id if theirs else event.actor,
        "expression_method": event.method,
        "channel": event.channel,
        "identity_check": event.identity_check,
        "kind": event.kind,
        "seq": event.seq,
        "agency_id": event.agency_id,
        "purpose_code": event.purpose_code,
        "items": list(event.items),
        "shown": list(event.shown),
        "locale": event.locale,
        "text_sha256": event.text_sha256,
        "expires_at": written(event.expires_at) if event.expires_at else None,
        "form": event.form,
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    }


def _lasts(event: ConsentEvent) -> str | None:
    """For how long it was given (ISO 8601), in months in Japan; null for what has no end.

    The end (exclusive) is the midnight after the same day.
    """
    if event.expires_at is None:
        return None
    first, last = local_day(event.at), last_day(event.expires_at)
    return f"P{(last.year - first.year) * 12 + last.month - first.month}M"


def _before(chain: Sequence[ConsentEvent], told: Sequence[ConsentEvent]) -> str | None:
    """The receipt before this one: the chain's head when the submission before was recorded."""
    last = told[-1] if told else None
    if last is None:
        return None
    same = last.submission_id
    earlier = [
        event
        for event in chain
        if event.candidate_id == last.candidate_id and event.seq < last.seq
        and event.submission_id is not None and event.submission_id != same
    ]  # fmt: skip
    return earlier[-1].hash if earlier else None


async def _chain(session: AsyncSession, candidate: Candidate) -> Sequence[ConsentEvent]:
    """The events of the person's record, after those of records merged into it."""
    wanted = (
        select(ConsentEvent)
        .where(
            col(ConsentEvent.company_id) == candidate.company_id,
            col(ConsentEvent.candidate_id).in_(await records_of(session, candidate)),
        )
        .order_by(
            col(ConsentEvent.candidate_id) == candidate.id,
            col(ConsentEvent.candidate_id),
            col(ConsentEvent.seq),
        )
    )
    return (await session.scalars(wanted)).all()


async def _consents(session: AsyncSession, candidate: Candidate) -> dict[tuple[str, str], Consent]:
    wanted = select(Consent).where(
        col(Consent.company_id) == candidate.company_id,
        col(Consent.candidate_id).in_(await records_of(session, candidate)),
    )
    found = (await session.scalars(wanted)).all()
    return {(one.candidate_id, one.agency_id): one for one in found}
