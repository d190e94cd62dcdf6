"""HR says which of the vendor's sources are which of ours; applications known so far follow."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.delivery import AtsConnection
from domain.jobs import later
from domain.store import find
from domain.views.connections import UNMAPPED

JOB = "ats.sources"
_PAGE = 200


async def map_sources(
    session: AsyncSession, connection: AtsConnection, meanings: Mapping[str, str | None]
) -> None:
    """Take the meanings over (null: none). The caller holds the connection's lock.

    An application that took a meaning over keeps it until the vendor tells its source again.
    """
    known = {**(connection.settings.get("source_map") or {}), **meanings}
    kept = {word: code for word, code in known.items() if code is not None}
    connection.settings = {**connection.settings, "source_map": kept}
    session.add(connection)
    await session.flush()
    await later(session, JOB, connection.company_id, connection.id)


async def follow_sources(
    session: AsyncSession, company_id: str, connection_id: str, after: str
) -> str | None:
    """Let one page of applications take their source's meaning over; null: that was all."""
    connection = await find(session, AtsConnection, company_id, connection_id)
    known = dict((connection.settings.get("source_map") or {}) if connection else {})
    told = {**known, **{f"{UNMAPPED}{word}": code for word, code in known.items()}}
    wanted = (
        select(Application)
        .where(
            col(Application.company_id) == company_id,
            col(Application.connection_id) == connection_id,
            col(Application.id) > after,
            col(Application.source).in_(told),
        )
        .order_by(col(Application.id))
        .limit(_PAGE)
        .with_for_update()
    )
    page = (await session.scalars(wanted)).all()
    for application in page:
        application.source = told[application.source or ""]
        session.add(application)
    return page[-1].id if page else None
