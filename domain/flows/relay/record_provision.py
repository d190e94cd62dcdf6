"""The statutory record of a hand-over, and the word to the person that there was one.

Reading is the hand-over (個人情報保護法 29): the record is written in the transaction that answers,
for every read; reads of the same content on the same channel extend one record (規則 19).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain import relay_package, vault
from domain.business_days import local_day, long_date
from domain.company import Company
from domain.data_items import full_name, label
from domain.flows.consent.append_consent_event import surviving
from domain.flows.tell.write_mail import language, write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.gate import Facts
from domain.ids import new_id
from domain.ports import Tools
from domain.relay import Provision
from domain.retention import rules_of

_EXTENDED = ("last_provided_at", "retention_until", "use_until")


async def profile_today(session: AsyncSession, tools: Tools, facts: Facts) -> dict[str, Any]:
    """What is handed over is what the person last put right, also under a record merged since."""
    person = await surviving(session, facts.candidate)
    return await vault.profile_of(session, tools.sealer, person)


async def record_provision(
    session: AsyncSession,
    tools: Tools,
    facts: Facts,
    profile: Mapping[str, Any],
    *,
    items: Sequence[str],
    digest: str,
    channel: str,
    client_id: str,
    now: datetime,
    file_sha256: Sequence[str] = (),
) -> tuple[Provision, bool]:
    """Write the record, or extend the one of the same content; true when it is a new one.

    `digest` names the content, `file_sha256` the documents that were part of it. A record is of one
    recipient as it was: once its address or representative is another, it is another record.
    """
    relay, consent, agency = facts.relay, facts.consent, facts.agency
    company = await session.get_one(Company, relay.company_id)
    rules = rules_of(company.retention, company.retention_months)
    recipient = (agency.name, agency.address, agency.representative, agency.license_number)
    # Whoever had to wait for a lock, or whose clock is behind, comes after what they waited for.
    now = max(now, consent.given_at, relay.forwarded_at or now)
    assert facts.text is not None
    row = Provision(
        company_id=relay.company_id, id=new_id("prv"), agency_id=agency.id, relay_id=relay.id,
        candidate_id=relay.candidate_id, consent_id=consent.id, consent_event_id=consent.event_id,
        consent_text_sha256=facts.text.sha256, recipient_name=agency.name,
        recipient_address=agency.address, recipient_representative=agency.representative,
        recipient_license=agency.license_number,
        person=await vault.seal(
            session, tools.sealer, facts.candidate, "record",
            full_name(profile), about=f"provision:{relay.id}",
        ),
        items=list(items), channel=channel, client_id=client_id, package_version=relay.version,
        content_sha256=tools.sealer.blind("provision", json.dumps([digest, *recipient])).hex(),
        provided_at=now, last_provided_at=now,
        retention_until=relay_package.record_retention_until(now, rules["evidence_years"]),
        use_until=relay_package.use_until(now, consent.expires_at), file_sha256=list(file_sha256),
    )  # fmt: skip
    table: Any = Provision.__table__  # type: ignore[attr-defined]
    line = insert(table).values(row.model_dump())
    key = ["company_id", "relay_id", "content_sha256", "channel"]
    kept = await session.scalars(
        line.on_conflict_do_update(
            index_elements=key,
            set_={name: func.greatest(table.c[name], line.excluded[name]) for name in _EXTENDED},
        ).returning(table.c.id)
    )
    record = await session.get_one(
        Provision, (relay.company_id, kept.one()), populate_existing=True
    )
    return record, record.id == row.id


async def report_provision(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    facts: Facts,
    profile: Mapping[str, Any],
    *,
    record: Provision,
    digest: str,
    now: datetime,
) -> None:
    """Report the hand-over (domain rules 17.5), once per content, whatever channel it left by."""
    if not profile.get("email"):
        return
    person, agency = await surviving(session, facts.candidate), facts.agency
    locale = language(person.locale)
    await write_to_candidate(
        session,
        tools,
        company,
        person,
        profile,
        about=f"provision:{record.relay_id}:{digest[:16]}",
        template="provision_report",
        values={
            "agency_name": agency.name if locale == "ja" else agency.name_en or agency.name,
            "provided_on": long_date(local_day(now), locale),
            "items": [label(item, locale) for item in record.items],
            "contact_days": agency.contact_days,
            "my_page": await new_my_page_link(session, tools, person, now),
            "privacy_contact": company.privacy_contact,
        },
        now=now,
    )
