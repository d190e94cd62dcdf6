"""An incident becomes known: the clocks of 個人情報保護法 26 begin, and the officers hear of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.business_days import long_date
from domain.errors import Invalid
from domain.flows.tell.tell_members import tell_company
from domain.ids import new_id
from domain.incident import (
    ITEMS,
    KINDS,
    Incident,
    IncidentEvent,
    final_due,
    is_reportable,
    kinds_of,
    next_look,
    preliminary_due,
)
from domain.ports import Masked, Sealer, Tools
from domain.privacy import OFFICERS

LONGEST_ITEM = 4000
MOST_PERSONS = 1_000_000_000


@dataclass(frozen=True, repr=False)
class Report(Masked):
    """What is known of it. `items`: the nine items of the report, as far as they can be said."""

    known_at: datetime
    kinds: tuple[str, ...] = ()
    encrypted: bool = False
    persons: int = 0
    items: Mapping[str, str] = field(default_factory=dict)


def check_report(report: Report, now: datetime) -> None:
    """Whether it can be kept.

    Raises `Invalid`: `known_later`, `kind_unknown`, `item_unknown`, `item_too_long`,
    `persons_out_of_range`.
    """
    faults = {
        "known_later": report.known_at > now,
        "kind_unknown": not set(report.kinds) <= set(KINDS),
        "item_unknown": not set(report.items) <= set(ITEMS),
        "item_too_long": any(len(said) > LONGEST_ITEM for said in report.items.values()),
        "persons_out_of_range": not 0 <= report.persons <= MOST_PERSONS,
    }
    wrong = next((code for code, found in faults.items() if found), None)
    if wrong is not None:
        raise Invalid(code=wrong)


async def open_incident(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    report: Report,
    *,
    actor: str,
    now: datetime,
    origin: str | None = None,
) -> Incident:
    """One row, one event, one mail to each officer. An `origin` is taken over once per company.

    Raises what `check_report` raises.
    """
    check_report(report, now)
    if origin is not None and (there := await _of_origin(session, company_id, origin)) is not None:
        return there
    incident = Incident(
        company_id=company_id, id=new_id("inc"), known_at=report.known_at, reported_by=actor,
        origin=origin, created_at=now,
        preliminary_due_on=preliminary_due(report.known_at),
        final_due_on=final_due(report.known_at, [], tools.holidays),
    )  # fmt: skip
    set_facts(tools, incident, report, now)
    session.add(incident)
    await session.flush()
    await note(session, incident, "opened", actor, now)
    await call_officers(session, tools, incident, "opened", now)
    return incident


def set_facts(tools: Tools, incident: Incident, report: Report, now: datetime) -> None:
    """What is known now, and what follows from it. When it became known never changes."""
    incident.kinds = kinds_of(report.kinds, report.persons)
    incident.encrypted, incident.persons = report.encrypted, report.persons
    incident.reportable = is_reportable(incident.kinds, encrypted=report.encrypted)
    incident.final_due_on = final_due(incident.known_at, incident.kinds, tools.holidays)
    said = {name: report.items[name] for name in ITEMS if report.items.get(name)}
    incident.items = tools.sealer.seal(
        json.dumps(said, ensure_ascii=False).encode(), about=f"incident:{incident.id}"
    )
    incident.look_at = next_look(incident, now)


def items_of(sealer: Sealer, incident: Incident) -> dict[str, str]:
    """The nine items as far as they were said."""
    if incident.items is None:
        return {}
    opened: dict[str, str] = json.loads(
        sealer.open(incident.items, about=f"incident:{incident.id}")
    )
    return opened


async def note(
    session: AsyncSession, incident: Incident, kind: str, actor: str, now: datetime
) -> None:
    """One line of the incident's history."""
    session.add(
        IncidentEvent(
            company_id=incident.company_id, id=new_id("ine"), incident_id=incident.id, kind=kind,
            actor=actor, at=now,
        )
    )  # fmt: skip
    await session.flush()


async def call_officers(
    session: AsyncSession, tools: Tools, incident: Incident, why: str, now: datetime
) -> None:
    """A mail to the officers: what is owed, and by when. It says nothing of what happened."""
    first, whole, owed = (
        incident.preliminary_due_on, incident.final_due_on, incident.reportable,
    )  # fmt: skip
    url = f"{tools.public_url}/dashboard/privacy/incidents/{incident.id}"
    late = incident.state
    await tell_company(
        session, tools, incident.company_id, "incident_due",
        lambda locale: {
            "why": why, "reportable": owed, "state": late, "url": url,
            "preliminary_due_on": long_date(first, locale),
            "final_due_on": long_date(whole, locale),
        },
        roles=OFFICERS, about=f"incident:{incident.id}:{why}:{now:%Y%m%d}", now=now,
    )  # fmt: skip


async def _of_origin(session: AsyncSession, company_id: str, origin: str) -> Incident | None:
    wanted = select(Incident).where(
        col(Incident.company_id) == company_id, col(Incident.origin) == origin
    )
    return (await session.scalars(wanted)).first()
