"""The register of hand-overs (第三者提供記録, 個人情報保護法 29): one line per record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.candidate import Candidate
from domain.duty import first_moment
from domain.ports import Masked, Sealer
from domain.relay import Provision

REGISTER = "provision"
PAGE = 50


@dataclass(frozen=True)
class Wish:
    """Which lines: hand-overs of these days in Japan, of one agency, about one person.

    Records merged into the person's are the same person.
    """

    first: date
    last: date
    agency_id: str | None = None
    candidate_id: str | None = None


@dataclass(frozen=True, repr=False)
class Line(Masked):
    """A record, and the person's name as it was when the record was made.

    `person` is null once the record's own key was destroyed: its time has passed then.
    """

    record: Provision
    person: str | None


async def provision_register(
    session: AsyncSession,
    company_id: str,
    wish: Wish,
    *,
    before: str | None = None,
    limit: int = PAGE,
) -> Sequence[Provision]:
    """The records of a period, newest first; a record of repeated reads counts for all of them."""
    wanted = select(Provision).where(*_of(company_id, wish))
    if before is not None:
        wanted = wanted.where(col(Provision.id) < before)
    return (await session.scalars(wanted.order_by(col(Provision.id).desc()).limit(limit))).all()


async def count_lines(session: AsyncSession, company_id: str, wish: Wish) -> int:
    """How many records the whole register of the period holds."""
    counted = select(func.count()).select_from(Provision).where(*_of(company_id, wish))
    return int((await session.execute(counted)).scalar_one())


async def with_names(
    session: AsyncSession, sealer: Sealer, company_id: str, records: Sequence[Provision]
) -> list[Line]:
    """The records with their names opened: for the privacy officer, at an export."""
    sealed = [(one.candidate_id, one.person, f"provision:{one.relay_id}") for one in records]
    names = await vault.open_each(session, sealer, company_id, sealed, "record")
    return [Line(one, name) for one, name in zip(records, names, strict=True)]


def _of(company_id: str, wish: Wish) -> list[Any]:
    rules = [
        col(Provision.company_id) == company_id,
        col(Provision.provided_at) < first_moment(wish.last + timedelta(days=1)),
        col(Provision.last_provided_at) >= first_moment(wish.first),
    ]
    if wish.agency_id is not None:
        rules.append(col(Provision.agency_id) == wish.agency_id)
    if wish.candidate_id is not None:
        same = or_(
            col(Candidate.id) == wish.candidate_id,
            col(Candidate.merged_into_id) == wish.candidate_id,
        )
        theirs = select(Candidate.id).where(col(Candidate.company_id) == company_id, same)
        rules.append(col(Provision.candidate_id).in_(theirs))
    return rules
