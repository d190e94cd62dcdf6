"""A person keeps, changes and throws away their own notes about an application.

They lie under the person's profile key and go with it. Nobody is told that there are any.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from domain import vault
from domain.candidate import Candidate
from domain.flows.consent.append_consent_event import lock_candidate
from domain.ids import new_id
from domain.ports import Sealer
from domain.reflection import Reflection, cleaned, is_empty
from domain.views.reflection import reflection_of


async def reflect(
    session: AsyncSession,
    sealer: Sealer,
    candidate: Candidate,
    application_id: str,
    *,
    typed: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Keep the notes about one application as they are now; false: empty ones, kept no longer.

    A form shows the checklist of one stage: what was answered for the others stays.
    The caller has made sure that the application is the person's. `Gone` after erasure.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    before = await reflection_of(session, sealer, candidate, application_id)
    notes = cleaned({**typed, "checks": {**before["checks"], **typed.get("checks", {})}})
    if is_empty(notes):
        await forget_reflection(session, candidate, application_id)
        return False
    sealed = await vault.seal(
        session, sealer, candidate, "profile", notes, about=f"reflection:{application_id}"
    )
    table: Any = Reflection.__table__  # type: ignore[attr-defined]
    row = Reflection(
        company_id=candidate.company_id, id=new_id("rfl"), candidate_id=candidate.id,
        application_id=application_id, sealed=sealed, updated_at=now, created_at=now,
    )  # fmt: skip
    made = insert(table).values(row.model_dump())
    await session.execute(
        made.on_conflict_do_update(
            index_elements=["company_id", "application_id"],
            set_={
                "sealed": made.excluded.sealed, "updated_at": now,
                "candidate_id": made.excluded.candidate_id,
            },
        )
    )  # fmt: skip
    return True


async def forget_reflection(
    session: AsyncSession, candidate: Candidate, application_id: str
) -> None:
    """Throw the notes about one application away."""
    await session.execute(
        delete(Reflection).where(
            col(Reflection.company_id) == candidate.company_id,
            col(Reflection.candidate_id) == candidate.id,
            col(Reflection.application_id) == application_id,
        )
    )
