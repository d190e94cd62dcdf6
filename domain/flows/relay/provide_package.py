"""Hand a package over: ask the gate, write the statutory record, then let the body leave.

Reading is the hand-over (個人情報保護法 29): the record is written in the transaction that answers,
for every read; reads of the same content on the same channel extend one record (規則 19).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import relay_package
from domain.access import relay_of_agency
from domain.application import Application
from domain.company import Company
from domain.errors import Forbidden, Gone
from domain.flows.consent.append_consent_event import surviving
from domain.flows.relay.ask_gate import ask_gate
from domain.flows.relay.provide_file import refs_for
from domain.flows.relay.record_provision import (
    profile_today,
    record_provision,
    report_provision,
)
from domain.flows.tell.send_notice import feedback_told
from domain.gate import PERMANENT, Facts
from domain.ports import Tools
from domain.relay import Provision

CHANNELS = ("api", "feed", "webhook")


@dataclass(frozen=True)
class Provided:
    """A package that may leave, and the name of its content (`etag`, without quotes)."""

    package: dict[str, Any]
    etag: str


async def provide_package(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    relay_id: str,
    *,
    channel: str,
    client_id: str,
    now: datetime,
) -> Provided:
    """The package of a relay for its agency, with its record written.

    Raises `NotFound` for a relay that is not this agency's, `Gone` when it will never be handed out
    again (`consent_withdrawn`, `consent_expired`, `candidate_erased`, `relay_ended`, ...) and
    `Forbidden` while the gate is closed for another reason (its code).
    """
    relay = await relay_of_agency(session, agency_id, relay_id)
    facts, closed = await ask_gate(session, relay, now)
    if closed is not None:
        raise _refusal(closed)
    place = (facts.relay.company_id, facts.relay.application_id)
    application = await session.get_one(Application, place)
    company = await session.get_one(Company, facts.relay.company_id)
    profile = await profile_today(session, tools, facts)
    items = await _items(session, tools, facts, company, application, profile=profile)
    assert facts.text is not None
    files = await refs_for(session, tools, facts.relay, facts.consent, now)
    content = relay_package.content(
        relay.id, company, facts.consent, facts.text, items,
        source=application.source, files=files,
    )  # fmt: skip
    # Keyed, so that nobody without the pepper can try names and addresses against it.
    digest = tools.sealer.blind("package", relay_package.canonical(content).decode()).hex()
    record, new = await record_provision(
        session, tools, facts, profile, items=list(items), digest=digest,
        channel=channel, client_id=client_id, now=now,
    )  # fmt: skip
    if new:
        await report_provision(
            session, tools, company, facts, profile, record=record, digest=digest, now=now
        )
    return Provided({**content, "files": files, **_dates(facts, record, now)}, digest[:32])


def _refusal(closed: str) -> Gone | Forbidden:
    if closed in PERMANENT:
        detail = "the package is no longer handed out; delete what you hold unless you may keep it"
        return Gone(detail, code=closed)
    detail = "the package cannot be handed out at present"
    return Forbidden(detail, code=closed)


async def _items(
    session: AsyncSession,
    tools: Tools,
    facts: Facts,
    company: Company,
    application: Application,
    *,
    profile: Mapping[str, Any],
) -> dict[str, Any]:
    consented = facts.consent.items
    feedback = None
    if "interview_feedback" in consented:
        person = await surviving(session, facts.candidate)
        feedback = await feedback_told(session, tools, person, application.id)
    return relay_package.candidate_items(
        consented, profile, company=company, job_title=application.job_title,
        stage=application.stage, feedback=feedback,
    )  # fmt: skip


def _dates(facts: Facts, record: Provision, now: datetime) -> dict[str, Any]:
    return {
        "package_id": record.id,
        "version": record.package_version,
        "provided_at": relay_package.instant_text(record.provided_at),
        "use_until": relay_package.instant_text(
            record.use_until or relay_package.use_until(now, facts.consent.expires_at)
        ),
        "record_retention_until": record.retention_until.isoformat(),
    }
