"""Whether the ledger was looked at and what was found: numbers for operators' machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.checkpoint import LedgerVerification


@dataclass(frozen=True)
class LedgerHealth:
    """What the scheduled verifications say. Ages in days, by bucket."""

    mismatches: int
    """Found in all runs so far."""
    verified_through: datetime | None
    """When the last run that found nothing began: everything before it agreed."""
    unresolved_days: Mapping[str, int]


async def ledger_health(session: AsyncSession) -> LedgerHealth:
    """From the kept results alone: reading it costs nothing, however large the ledger."""
    mismatches = await session.scalar(select(func.sum(col(LedgerVerification.mismatches))))
    clean = select(func.max(col(LedgerVerification.started_at))).where(
        col(LedgerVerification.mismatches) == 0
    )
    newest = select(LedgerVerification.unresolved).order_by(
        col(LedgerVerification.finished_at).desc()
    )
    ages = (await session.scalars(newest.limit(1))).first() or {}
    return LedgerHealth(
        mismatches=int(mismatches or 0),
        verified_through=await session.scalar(clean),
        unresolved_days={bucket: told["oldest_days"] for bucket, told in ages.items()},
    )
