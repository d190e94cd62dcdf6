"""The operator notes what hand-overs to an agency abroad rest on, and what people are told."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_agency
from domain.agency import Agency
from domain.cross_border import missing
from domain.errors import Invalid, NotFound


async def set_cross_border(
    session: AsyncSession, agency_id: str, country: str, facts: Mapping[str, Any] | None
) -> Agency:
    """The agency's country with its basis and statements; null facts: nobody is offered to it.

    The transaction works for the agency from here on: the directory is the agency's own row.
    Raises `NotFound` and `Invalid` (`cross_border_incomplete`; the detail names what is missing).
    """
    await as_agency(session, agency_id)
    wanted = select(Agency).where(col(Agency.id) == agency_id).with_for_update()
    agency = (await session.scalars(wanted)).first()
    if agency is None:
        raise NotFound
    gaps = missing(country, facts) if facts is not None else []
    if gaps:
        raise Invalid(", ".join(gaps), code="cross_border_incomplete")
    agency.country, agency.cross_border = country, dict(facts) if facts is not None else None
    session.add(agency)
    await session.flush()
    return agency
