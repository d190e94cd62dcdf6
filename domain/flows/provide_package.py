"""Hand a package over: ask the gate, write the statutory record, then let the body leave.

Reading is the hand-over (個人情報保護法 29): the record is written in the transaction that answers,
for every read; reads of the same content on the same channel extend one record (規則 19).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import relay_package, vault
from domain.access import relay_of_agency
from domain.application import Application
from domain.business_days import local_day, long_date
from domain.company import Company
from domain.data_items import full_name, label
from domain.errors import Forbidden, Gone
from domain.flows.ask_gate import ask_gate
from domain.flows.open_candidate_link import new_my_page_link
from domain.flows.send_notice import feedback_of
from domain.flows.write_mail import language, write_to_candidate
from domain.gate import PERMANENT, Facts
from domain.ids import new_id
from domain.notice import Notice
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
    company = await session.get_one(Company, facts.relay.company_id)
    profile = await vault.profile_of(session, tools.sealer, facts.candidate)
    items = await _items(session, tools, facts, company, profile)
    assert facts.text is not None
    content = relay_package.content(relay.id, company, facts.consent, facts.text, items)
    # Keyed, so that nobody without the pepper can try names and addresses against it.
    digest = tools.sealer.blind("package", relay_package.canonical(content).decode()).hex()
    record, new = await _record(
        session, tools, facts, profile, items=list(items), digest=digest,
        channel=channel, client_id=client_id, now=now,
    )  # fmt: skip
    if new:
        await _tell_candidate(session, tools, company, facts, profile, record=record, now=now)
    return Provided({**content, **_dates(facts, record, now)}, digest[:32])


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
    profile: Mapping[str, Any],
) -> dict[str, Any]:
    application = await session.get_one(
        Application, (facts.relay.company_id, facts.relay.application_id)
    )
    consented = facts.consent.items
    feedback = None
    if "interview_feedback" in consented:
        feedback = await _feedback(session, tools, facts)
    return relay_package.candidate_items(
        consented, profile, company=company, job_title=application.job_title,
        stage=application.stage, feedback=feedback,
    )  # fmt: skip


async def _feedback(session: AsyncSession, tools: Tools, facts: Facts) -> str | None:
    """The text the candidate was shown, never another one."""
    sent = (
        select(Notice)
        .where(
            col(Notice.company_id) == facts.relay.company_id,
            col(Notice.application_id) == facts.relay.application_id,
            col(Notice.kind) == "rejected",
            col(Notice.state) == "sent",
            col(Notice.feedback).is_not(None),
        )
        .order_by(col(Notice.sent_at).desc())
    )
    notice = (await session.scalars(sent)).first()
    if notice is None:
        return None
    return await feedback_of(session, tools, facts.candidate, notice)


async def _record(
    session: AsyncSession,
    tools: Tools,
    facts: Facts,
    profile: Mapping[str, Any],
    *,
    items: list[str],
    digest: str,
    channel: str,
    client_id: str,
    now: datetime,
) -> tuple[Provision, bool]:
    """Write the record, or extend the one of the same content; true when it is a new one."""
    relay, consent, agency = facts.relay, facts.consent, facts.agency
    assert facts.text is not None
    row = Provision(
        company_id=relay.company_id, id=new_id("prv"), agency_id=agency.id, relay_id=relay.id,
        candidate_id=relay.candidate_id, consent_id=consent.id, consent_event_id=consent.event_id,
        consent_text_sha256=facts.text.sha256, recipient_name=agency.name,
        recipient_address=agency.address, recipient_representative=agency.representative,
        person=await vault.seal(
            session, tools.sealer, facts.candidate, "record",
            full_name(profile), about=f"provision:{relay.id}",
        ),
        items=items, channel=channel, client_id=client_id, package_version=relay.version,
        content_sha256=digest, provided_at=now, last_provided_at=now,
        retention_until=relay_package.record_retention_until(now),
    )  # fmt: skip
    table: Any = Provision.__table__  # type: ignore[attr-defined]
    line = insert(table).values(row.model_dump())
    key = ["company_id", "relay_id", "content_sha256", "channel"]
    kept = await session.scalars(
        line.on_conflict_do_update(
            index_elements=key,
            set_={
                name: func.greatest(table.c[name], line.excluded[name])
                for name in ("last_provided_at", "retention_until")
            },
        ).returning(table.c.id)
    )
    record = await session.get_one(
        Provision, (relay.company_id, kept.one()), populate_existing=True
    )
    return record, record.id == row.id


def _dates(facts: Facts, record: Provision, now: datetime) -> dict[str, Any]:
    return {
        "package_id": record.id,
        "version": record.package_version,
        "provided_at": relay_package.instant_text(record.provided_at),
        "use_until": relay_package.instant_text(
            relay_package.use_until(now, facts.consent.expires_at)
        ),
        "record_retention_until": record.retention_until.isoformat(),
    }


async def _tell_candidate(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    facts: Facts,
    profile: Mapping[str, Any],
    *,
    record: Provision,
    now: datetime,
) -> None:
    """Report the hand-over (domain rules 17.5), once per content, whatever channel it left by."""
    if not profile.get("email"):
        return
    locale = language(facts.candidate.locale)
    agency = facts.agency
    await write_to_candidate(
        session,
        tools,
        company,
        facts.candidate,
        profile,
        about=f"provision:{record.relay_id}:{record.content_sha256[:16]}",
        template="provision_report",
        values={
            "name": full_name(profile),
            "company_name": company.name,
            "agency_name": agency.name if locale == "ja" else agency.name_en or agency.name,
            "provided_on": long_date(local_day(now), locale),
            "items": [label(item, locale) for item in record.items],
            "contact_days": agency.contact_days,
            "my_page": await new_my_page_link(session, tools, facts.candidate, now),
            "privacy_contact": company.privacy_contact,
        },
        now=now,
    )
