"""Where a person's data is: every agreement, every hand-over, every answer to a stop.

Records the ATS merged into this person's are the same person: what was agreed under them stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.candidate import Candidate

_CONSENTS = text("""
SELECT c.id, c.agency_id, a.name, a.name_en, a.privacy_url, a.contact_days, c.state, c.items,
       c.given_at, c.expires_at, c.provision_not_before, c.withdrawn_at, t.version AS text_version,
       t.sha256 AS text_sha256, r.id AS relay_id, r.state AS relay_state, r.forwarded_at
FROM consent c
JOIN agency a ON a.id = c.agency_id
JOIN consent_text t ON t.company_id = c.company_id AND t.id = c.text_id
LEFT JOIN LATERAL (
  SELECT id, state, forwarded_at FROM relay
  WHERE relay.company_id = c.company_id AND relay.consent_id = c.id
  ORDER BY id DESC LIMIT 1
) r ON true
WHERE c.company_id = :company AND c.candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
ORDER BY (c.state = 'given') DESC, a.name, c.id
""")
_PROVISIONS = text("""
SELECT p.consent_id, p.id, p.recipient_name, p.recipient_address, p.recipient_representative,
       p.recipient_license, p.items, p.file_sha256, p.consent_text_sha256, p.channel,
       p.provided_at, p.last_provided_at, p.retention_until, p.use_until
FROM provision p
WHERE p.company_id = :company AND p.candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
ORDER BY p.provided_at DESC, p.id DESC
""")
_STOPS = text("""
SELECT r.consent_id, s.kind, s.state, s.due_on, s.answer, s.created_at, s.acknowledged_at
FROM stop_notice s
JOIN relay r ON r.company_id = s.company_id AND r.id = s.relay_id
WHERE s.company_id = :company AND s.candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
ORDER BY s.created_at DESC, s.id DESC
""")
_EVENTS = text("""
SELECT seq, kind, agency_id, items, shown, locale, channel, method, text_sha256, at, expires_at,
       hash
FROM consent_event
WHERE company_id = :company AND candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
ORDER BY candidate_id, seq
""")


@dataclass(frozen=True)
class Held:
    """One agency and what it may have, has had, and was asked to do."""

    consent_id: str
    agency_id: str
    name: str
    name_en: str
    privacy_url: str
    contact_days: int
    state: str
    items: list[str]
    given_at: datetime
    expires_at: datetime
    provision_not_before: datetime
    withdrawn_at: datetime | None
    text_version: str
    text_sha256: str
    relay_id: str | None
    relay_state: str | None
    forwarded_at: datetime | None
    provisions: list["Provided"] = field(default_factory=list)
    stops: list["Stopped"] = field(default_factory=list)

    @property
    def stands(self) -> bool:
        """Whether the consent may still be withdrawn."""
        return self.state == "given"


@dataclass(frozen=True)
class Provided:
    """A hand-over: what went to whom, as they were called then, on what consent, and when."""

    id: str
    recipient_name: str
    recipient_address: str
    recipient_representative: str
    recipient_license: str
    items: list[str]
    file_sha256: list[str]
    consent_text_sha256: str
    channel: str
    provided_at: datetime
    last_provided_at: datetime
    retention_until: date
    use_until: datetime | None


@dataclass(frozen=True)
class Stopped:
    """A request to stop, and the agency's answer."""

    kind: str
    state: str
    due_on: date
    answer: str | None
    created_at: datetime
    acknowledged_at: datetime | None


async def my_data(session: AsyncSession, candidate: Candidate) -> list[Held]:
    """Every agency the person ever agreed to, standing consents first."""
    provisions = await _by_consent(session, _PROVISIONS, candidate, Provided)
    stops = await _by_consent(session, _STOPS, candidate, Stopped)
    rows = (await session.execute(_CONSENTS, _whose(candidate))).mappings().all()
    return [_held(row, provisions, stops) for row in rows]


async def my_events(session: AsyncSession, candidate: Candidate) -> list[dict[str, Any]]:
    """The person's chain of consent events, oldest first."""
    rows = (await session.execute(_EVENTS, _whose(candidate))).mappings().all()
    return [dict(row) for row in rows]


def _held(
    row: Mapping[Any, Any],
    provisions: Mapping[str, list[Any]],
    stops: Mapping[str, list[Any]],
) -> Held:
    facts = dict(row)
    consent_id = facts.pop("id")
    return Held(
        consent_id=consent_id,
        provisions=provisions.get(consent_id, []),
        stops=stops.get(consent_id, []),
        **facts,
    )


async def _by_consent(
    session: AsyncSession, wanted: Any, candidate: Candidate, kind: type[Any]
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in (await session.execute(wanted, _whose(candidate))).mappings().all():
        facts = dict(row)
        found.setdefault(facts.pop("consent_id"), []).append(kind(**facts))
    return found


def _whose(candidate: Candidate) -> dict[str, str]:
    return {"company": candidate.company_id, "candidate": candidate.id}
