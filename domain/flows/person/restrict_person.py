"""Stop at once what a person asked to stop, before anybody has decided about it (APPI 35)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.consent import Consent
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.withdraw_consent import records_of, withdraw
from domain.ports import Tools
from domain.rights_request import OPEN, SCOPES, RightsRequest

Scope = Literal["provision", "all"]
_GRANTED = ("granted", "partly")


async def restrict(
    session: AsyncSession, tools: Tools, candidate: Candidate, *, scope: Scope, now: datetime
) -> None:
    """From this commit on nothing more is handed over, and agencies that hold data are told.

    `all`: besides, nothing is done with the data but keeping it. A wider restriction stays.
    """
    for number in await records_of(session, candidate):
        record = await lock_candidate(session, candidate.company_id, number)
        if record.restricted_from != "all":
            record.restricted_at = record.restricted_at or now
            record.restricted_from = scope
            session.add(record)
    await session.flush()
    await withdraw(session, tools, candidate, None, now, channel="rights_request")


async def lift(session: AsyncSession, candidate: Candidate, now: datetime) -> None:
    """Take the restriction back as far as no request of the person still rests on it.

    Consents that ended with it stay ended: the person may give them anew.
    """
    records = await records_of(session, candidate)
    scope = await _still_wanted(session, candidate.company_id, records)
    for number in records:
        record = await lock_candidate(session, candidate.company_id, number)
        if record.restricted_from is not None:
            record.restricted_from = scope
            record.restricted_at = now if scope is not None else None
            session.add(record)
    await session.flush()


def _stands(row: RightsRequest) -> bool:
    return row.result in _GRANTED or (row.state in OPEN and row.identity_verified_at is not None)


async def _still_wanted(
    session: AsyncSession, company_id: str, records: Sequence[str]
) -> str | None:
    """The widest restriction a request that is open or was granted asks for.

    Whoever agreed to a hand-over since then has taken the earlier wish back.
    """
    agreed = select(func.max(Consent.given_at)).where(
        col(Consent.company_id) == company_id, col(Consent.candidate_id).in_(records)
    )
    since = (await session.scalars(agreed)).first()
    asked = select(RightsRequest).where(
        col(RightsRequest.company_id) == company_id,
        col(RightsRequest.candidate_id).in_(records),
        col(RightsRequest.kind).in_(list(SCOPES)),
    )
    scopes = {
        SCOPES[row.kind]
        for row in (await session.scalars(asked)).all()
        if _stands(row) and (since is None or row.received_at > since)
    }
    return "all" if "all" in scopes else "provision" if scopes else None
