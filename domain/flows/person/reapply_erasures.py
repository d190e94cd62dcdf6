"""After a restored backup: erase again whom the log outside of the database names.

The log holds ids and times. A person the backup does not know was never in it; one whose key is
destroyed needs nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.erasure import RULES, Erasure
from domain.flows.person.erase_candidate import erase_again
from domain.ids import is_id
from domain.store import find

FORM = "career-relay-erasure/1"
_WORDS = ("id", "company_id", "candidate_id", "key_kind", "rule", "actor")


def logged(row: Erasure) -> dict[str, Any]:
    """A certificate as it is noted outside: ids, rule and times, nobody's data."""
    return {
        "form": FORM,
        "id": row.id,
        "company_id": row.company_id,
        "candidate_id": row.candidate_id,
        "key_kind": row.key_kind,
        "rule": row.rule,
        "actor": row.actor,
        "at": row.at.isoformat(),
    }


def read(told: Mapping[str, Any]) -> Erasure | None:
    """The certificate a note tells of; null for what is none."""
    try:
        said = {name: str(told[name]) for name in _WORDS}
        made = Erasure.model_validate({**said, "at": datetime.fromisoformat(str(told["at"]))})
    except (KeyError, ValueError):
        return None
    ids = ((made.id, "era"), (made.company_id, "cmp"), (made.candidate_id, "cnd"))
    fits = all(is_id(value, prefix) for value, prefix in ids)
    known = made.key_kind in {"profile", "record"} and made.rule in RULES
    return made if fits and known and made.at.tzinfo is not None else None


async def still_readable(
    session: AsyncSession, company_id: str, kept: Sequence[Erasure]
) -> list[Erasure]:
    """Of these certificates of one company, those whose key is there (again), in their order."""
    wanted = text(
        "SELECT candidate_id, kind FROM subject_key WHERE company_id = :company"
        " AND candidate_id = ANY(CAST(:people AS text[])) AND wrapped IS NOT NULL"
    )
    values = {"company": company_id, "people": [one.candidate_id for one in kept]}
    there = {(row[0], row[1]) for row in (await session.execute(wanted, values)).all()}
    return [one for one in kept if (one.candidate_id, one.key_kind) in there]


async def reapply(session: AsyncSession, kept: Erasure, now: datetime) -> bool:
    """Erase one person again; true when there was something to erase."""
    candidate = await find(session, Candidate, kept.company_id, kept.candidate_id)
    return candidate is not None and await erase_again(session, candidate, kept, now)


async def unlogged(
    session: AsyncSession, company_id: str, *, after: str, limit: int
) -> Sequence[Erasure]:
    """Certificates behind an id, oldest first."""
    wanted = select(Erasure).where(col(Erasure.company_id) == company_id, col(Erasure.id) > after)
    return (await session.scalars(wanted.order_by(col(Erasure.id)).limit(limit))).all()
