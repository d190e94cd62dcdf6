"""Find the person somebody at the company names: by our number, the ATS's, or their address."""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.candidate import Candidate
from domain.errors import Conflict
from domain.ids import is_id
from domain.ports import Sealer
from domain.store import find

LONGEST = 254
"""Letters of a number or an address."""


async def application_by_number(session: AsyncSession, company_id: str, number: str) -> Application:
    """The one application with this number, ours (`app_…`) or the ATS's.

    Raises `Conflict` (`application_unclear`): none, or several, have it.
    """
    column = Application.id if number.startswith("app_") else Application.external_id
    wanted = (
        select(Application)
        .where(col(Application.company_id) == company_id, col(column) == number.replace("\0", ""))
        .limit(2)
    )
    found = (await session.scalars(wanted)).all()
    if len(found) != 1:
        raise Conflict(code="application_unclear")
    return found[0]


async def person_named(
    session: AsyncSession, sealer: Sealer, company_id: str, said: str
) -> Candidate | None:
    """Whom `cnd_…`, the number of an application, or a mail address names; null where unclear."""
    said = said.strip()[:LONGEST]
    if is_id(said, "cnd"):
        return await find(session, Candidate, company_id, said)
    if "@" in said:
        return await _with_address(session, sealer, company_id, said)
    try:
        application = await application_by_number(session, company_id, said)
    except Conflict:
        return None
    return await find(session, Candidate, company_id, application.candidate_id)


async def _with_address(
    session: AsyncSession, sealer: Sealer, company_id: str, address: str
) -> Candidate | None:
    wanted = (
        select(Candidate)
        .where(
            col(Candidate.company_id) == company_id,
            col(Candidate.email_hmac) == sealer.blind("email", address.lower()),
            col(Candidate.merged_into_id).is_(None),
        )
        .limit(2)
    )
    found = (await session.scalars(wanted)).all()
    return found[0] if len(found) == 1 else None
