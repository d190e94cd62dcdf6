"""Whose rows a transaction may see, and the few ways to reach a row from a request.

Row-level security is the guard: a transaction that did not say for whom it works sees nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.agreement import Agreement
from domain.base import Row
from domain.errors import NotFound
from domain.relay import Relay

R = TypeVar("R", bound=Row)

_SET = text(
    "SELECT set_config('relay.company_id', :company, true),"
    " set_config('relay.agency_id', :agency, true)"
)


async def as_company(session: AsyncSession, company_id: str) -> None:
    """From here on this transaction works for one company and sees only its rows."""
    await session.execute(_SET, {"company": company_id, "agency": ""})


async def as_agency(session: AsyncSession, agency_id: str) -> None:
    """From here on this transaction works for one agency and sees only its rows."""
    await session.execute(_SET, {"company": "", "agency": agency_id})


@asynccontextmanager
async def as_system(session: AsyncSession) -> AsyncIterator[None]:
    """Look across tenants: sweeps, sign-in, links and connections before their tenant is known.

    The role behind it may only read, and only the tables a migration names.
    """
    await session.execute(text("SET LOCAL ROLE relay_system"))
    try:
        yield
    except DBAPIError:
        raise  # the transaction is broken, and the role ends with it
    except BaseException:
        await session.execute(text("RESET ROLE"))
        raise
    await session.execute(text("RESET ROLE"))


async def relay_of_agency(session: AsyncSession, agency_id: str, relay_id: str) -> Relay:
    """The relay, if it is this agency's; then the transaction works for the relay's company.

    The company's side (consent, package, ledger) is only ever reached through a relay the agency
    was given.
    """
    await as_agency(session, agency_id)
    relay = (await session.scalars(select(Relay).where(col(Relay.id) == relay_id))).first()
    if relay is None:
        raise NotFound
    await as_company(session, relay.company_id)
    return relay


async def shared_row(
    session: AsyncSession, kind: type[R], row_id: str, *, agency_id: str | None
) -> R:
    """A row a company and an agency share, for the one who asks; then we work for its company.

    Row-level security decides what the caller may see: with an agency's id only that agency's own
    rows are in sight. Raises `NotFound`.
    """
    table: Any = kind
    if agency_id is not None:
        await as_agency(session, agency_id)
    found: R | None = (await session.scalars(select(kind).where(col(table.id) == row_id))).first()
    if found is None:
        raise NotFound
    await as_company(session, found.company_id)  # type: ignore[attr-defined]
    return found


async def pair_of(
    session: AsyncSession, *, company_id: str, agency_id: str, asked_by: str
) -> Agreement:
    """The agreement of a company and an agency, whichever asks; then we work for the company.

    Raises `NotFound` where the two have none.
    """
    if asked_by == "agency":
        await as_agency(session, agency_id)
    wanted = select(Agreement).where(
        col(Agreement.company_id) == company_id, col(Agreement.agency_id) == agency_id
    )
    found = (await session.scalars(wanted)).first()
    if found is None:
        raise NotFound
    await as_company(session, company_id)
    return found
