"""A person's own notes, for that person's page alone. No other view reads them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.candidate import Candidate
from domain.ports import Sealer
from domain.reflection import ANSWERS, CHECKS, LONGEST, STAGES, THREE, Reflection, cleaned, stage_of

_APPLICATIONS = text("""
SELECT a.id, a.job_title, a.stage, a.outcome, r.updated_at
FROM application a
LEFT JOIN reflection r ON r.company_id = a.company_id AND r.application_id = a.id
  AND r.candidate_id = :candidate
WHERE a.company_id = :company AND a.candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
ORDER BY a.id DESC
""")


@dataclass(frozen=True)
class Noted:
    """An application one may take notes about, and when one last did."""

    id: str
    job_title: str
    stage: str
    outcome: str
    updated_at: datetime | None

    @property
    def checklist(self) -> str | None:
        """The checklist its stage suggests."""
        return stage_of(self.stage)


async def applications_to_reflect(session: AsyncSession, candidate: Candidate) -> list[Noted]:
    """The person's applications, newest first."""
    values = {"company": candidate.company_id, "candidate": candidate.id}
    rows = (await session.execute(_APPLICATIONS, values)).mappings().all()
    return [Noted(**row) for row in rows]


async def reflection_of(
    session: AsyncSession, sealer: Sealer, candidate: Candidate, application_id: str
) -> dict[str, Any]:
    """The notes about one application; empty ones where there are none."""
    found = (await session.scalars(_of(candidate, application_id))).first()
    return cleaned({}) if found is None else await _opened(session, sealer, candidate, found)


async def reflections_of(
    session: AsyncSession, sealer: Sealer, candidate: Candidate
) -> list[dict[str, Any]]:
    """All the person's notes, for the file they take along."""
    return [
        {
            "application_id": one.application_id, "updated_at": one.updated_at,
            **await _opened(session, sealer, candidate, one),
        }
        for one in (await session.scalars(_of(candidate))).all()
    ]  # fmt: skip


def _of(candidate: Candidate, application_id: str | None = None) -> Any:
    wanted = select(Reflection).where(
        col(Reflection.company_id) == candidate.company_id,
        col(Reflection.candidate_id) == candidate.id,
    )
    if application_id is not None:
        wanted = wanted.where(col(Reflection.application_id) == application_id)
    return wanted.order_by(col(Reflection.id))


async def _opened(
    session: AsyncSession, sealer: Sealer, candidate: Candidate, one: Reflection
) -> dict[str, Any]:
    opened: dict[str, Any] = await vault.unseal(
        session, sealer, candidate, "profile", one.sealed, about=f"reflection:{one.application_id}"
    )
    return opened


__all__ = [
    "ANSWERS", "CHECKS", "LONGEST", "STAGES", "THREE", "Noted",
    "applications_to_reflect", "reflection_of", "reflections_of",
]  # fmt: skip
