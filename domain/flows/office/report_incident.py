"""What is done about an incident: it becomes clearer, it is reported, the people are told."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import Conflict
from domain.flows.office.open_incident import (
    Report,
    call_officers,
    check_report,
    items_of,
    note,
    set_facts,
)
from domain.incident import ITEMS, Incident, advance, next_look
from domain.ports import Tools
from domain.store import find, lock

NOT_NEEDED = ("secondary_damage", "publication", "other")
"""Items of the report that may be empty: there was none, or nothing more is to be said."""


async def amend(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    incident_id: str,
    report: Report,
    *,
    actor: str,
    now: datetime,
) -> Incident:
    """More is known. The clocks still begin with the day of knowing (`known_at` of the row).

    Raises `NotFound`, `Conflict` (`incident_closed`) and what `check_report` raises.
    """
    incident = await _open(session, company_id, incident_id)
    check_report(report, now)
    set_facts(tools, incident, report, now)
    session.add(incident)
    await note(session, incident, "amended", actor, now)
    return incident


async def reported(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    incident_id: str,
    which: str,
    *,
    actor: str,
    now: datetime,
) -> Incident:
    """A report (`preliminary` or `final`) was made to the commission. With the final it is closed.

    Raises `NotFound`, `Conflict`: `incident_closed`, `report_incomplete` (the final one lacks an
    item; the detail names them), `step_not_allowed`.
    """
    incident = await _open(session, company_id, incident_id)
    said = items_of(tools.sealer, incident)
    missing = [item for item in ITEMS if not said.get(item) and item not in NOT_NEEDED]
    if which == "final" and missing:
        raise Conflict(", ".join(missing), code="report_incomplete")
    incident.state = advance(incident.state, which)
    if which == "final":
        incident.final_at = now
    else:
        incident.preliminary_at = now
    incident.look_at = next_look(incident, now)
    session.add(incident)
    await note(session, incident, f"reported_{which}", actor, now)
    return incident


async def people_told(
    session: AsyncSession, company_id: str, incident_id: str, *, actor: str, now: datetime
) -> Incident:
    """The people concerned were told: outline, items, cause, secondary damage, other (規則 10).

    Raises `NotFound`. Said twice, the first day stays.
    """
    incident = await lock(session, Incident, company_id, incident_id)
    if incident.persons_told_at is None:
        incident.persons_told_at = now
        session.add(incident)
        await note(session, incident, "persons_told", actor, now)
    return incident


async def remind(
    session: AsyncSession, tools: Tools, company_id: str, incident_id: str, now: datetime
) -> None:
    """Timer `incident.look_at`: a report is due, or late."""
    if await find(session, Incident, company_id, incident_id) is None:
        return
    incident = await lock(session, Incident, company_id, incident_id)
    if incident.look_at is None or incident.look_at > now:
        return
    incident.look_at = next_look(incident, now)
    session.add(incident)
    await session.flush()
    if incident.look_at is not None:
        await call_officers(session, tools, incident, "due", now)


async def _open(session: AsyncSession, company_id: str, incident_id: str) -> Incident:
    incident = await lock(session, Incident, company_id, incident_id)
    if incident.state == "closed":
        raise Conflict("the incident is closed", code="incident_closed")
    return incident
