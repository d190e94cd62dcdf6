"""A source of applications is allowed by a contract; its clause is named."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.company import Company
from domain.errors import Conflict, Invalid, NotFound
from domain.import_words import SOURCES
from domain.privacy import SourceOverride
from domain.sources import overrides_of

LONGEST = 300


@dataclass(frozen=True)
class Allowance:
    """What the contract says, where it lies, and from when until when (inclusive)."""

    source: str
    clause: str
    contract: str
    effective_on: date
    ends_on: date | None = None


async def override_source(
    session: AsyncSession, company_id: str, wish: Allowance, *, actor: str, now: datetime
) -> SourceOverride:
    """Only added to: a new row of the same source takes the place of the one before.

    Raises `Invalid`: `source_unknown`, `source_allowed` (it needs no exception), `clause_missing`,
    `period_invalid`.
    """
    company = await session.get_one(Company, company_id)
    faults = {
        "source_unknown": wish.source not in SOURCES,
        "source_allowed": wish.source in company.allowed_sources,
        "clause_missing": not all(1 <= len(one) <= LONGEST for one in (wish.clause, wish.contract)),
        "period_invalid": wish.ends_on is not None and wish.ends_on < wish.effective_on,
    }
    wrong = next((code for code, found in faults.items() if found), None)
    if wrong is not None:
        raise Invalid(code=wrong)
    row = SourceOverride(
        company_id=company_id, source=wish.source, clause=wish.clause, contract=wish.contract,
        set_by=actor, effective_on=wish.effective_on, ends_on=wish.ends_on, created_at=now,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    return row


async def end_override(
    session: AsyncSession, company_id: str, source: str, ends_on: date, *, actor: str, now: datetime
) -> SourceOverride:
    """The contract ends, or the exception was a mistake: a further row with a last day.

    Raises `NotFound` and `Conflict` (`override_ended`).
    """
    rows = [one for one in await overrides_of(session, company_id) if one.source == source]
    if not rows:
        raise NotFound
    newest = rows[0]
    if newest.ends_on is not None and newest.ends_on <= ends_on:
        raise Conflict("it ends already", code="override_ended")
    row = SourceOverride(
        company_id=company_id, source=source, clause=newest.clause, contract=newest.contract,
        set_by=actor, effective_on=newest.effective_on, ends_on=ends_on, created_at=now,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    return row
