"""A guardian agrees that a minor is relayed; the privacy officer notes it and its evidence."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.candidate import Candidate
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.consent.append_consent_event import lock_candidate, surviving
from domain.flows.consent.withdraw_consent import records_of, withdraw
from domain.guardian import METHODS, GuardianConsent
from domain.ids import new_id
from domain.ports import Masked, Sealer, Tools
from domain.store import find, lock

LONGEST = 200


@dataclass(frozen=True, repr=False)
class Guardian(Masked):
    """Who agreed, how they are related, and where the paper or the recording lies."""

    name: str
    relation: str
    document: str


async def record_guardian(
    session: AsyncSession,
    sealer: Sealer,
    company_id: str,
    candidate_id: str,
    guardian: Guardian,
    *,
    method: str,
    actor: str,
    now: datetime,
) -> GuardianConsent:
    """Keep it under the person's record key, as the evidence it is; who is a minor may be relayed.

    Raises `NotFound`, `Invalid` (`guardian_incomplete`, `method_unknown`), `Conflict`
    (`guardian_recorded`: one stands already) and `Gone` (`data_erased`).
    """
    if method not in METHODS:
        raise Invalid(code="method_unknown")
    said = (guardian.name, guardian.relation, guardian.document)
    if not all(1 <= len(one) <= LONGEST for one in said):
        raise Invalid("name, relation and place of the document", code="guardian_incomplete")
    candidate = await surviving(session, await _person(session, company_id, candidate_id))
    if await guardian_of(session, candidate) is not None:
        raise Conflict("a guardian's consent stands already", code="guardian_recorded")
    row = GuardianConsent(
        company_id=company_id, id=new_id("grd"), candidate_id=candidate.id, sealed=b"",
        method=method, recorded_by=actor, at=now,
    )  # fmt: skip
    facts = {"name": guardian.name, "relation": guardian.relation, "document": guardian.document}
    row.sealed = await vault.seal(
        session, sealer, candidate, "record", facts, about=f"guardian:{row.id}"
    )
    candidate.guardian_consent_at = now
    session.add_all([row, candidate])
    await session.flush()
    return row


async def revoke_guardian(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    guardian_id: str,
    *,
    actor: str,
    now: datetime,
) -> list[str]:
    """The guardian takes it back: what stood on it ends, and agencies that hold data are told.

    Returns the agencies whose consent ended. Twice is the same as once. Raises `NotFound`.
    """
    seen = await find(session, GuardianConsent, company_id, guardian_id)
    candidate = await _person(session, company_id, seen.candidate_id if seen else "")
    row = await lock(session, GuardianConsent, company_id, guardian_id)
    if row.revoked_at is not None:
        return []
    row.revoked_at, row.revoked_by = now, actor
    person = await surviving(session, candidate)
    candidate.guardian_consent_at = person.guardian_consent_at = None
    session.add_all([row, candidate, person])
    await session.flush()
    return await withdraw(session, tools, person, None, now, channel="guardian")


async def guardian_of(session: AsyncSession, candidate: Candidate) -> GuardianConsent | None:
    """The guardian's consent that stands for a person, under whichever of their merged records."""
    wanted = select(GuardianConsent).where(
        col(GuardianConsent.company_id) == candidate.company_id,
        col(GuardianConsent.candidate_id).in_(await records_of(session, candidate)),
        col(GuardianConsent.revoked_at).is_(None),
    )
    newest = wanted.order_by(col(GuardianConsent.id).desc()).limit(1)
    return (await session.scalars(newest)).first()


async def guardian_facts(session: AsyncSession, sealer: Sealer, row: GuardianConsent) -> Guardian:
    """What was noted of it, for the officer. Raises `Gone` once the record's time has passed."""
    candidate = await session.get_one(Candidate, (row.company_id, row.candidate_id))
    opened = await vault.unseal(
        session, sealer, candidate, "record", row.sealed, about=f"guardian:{row.id}"
    )
    return Guardian(**opened)


async def _person(session: AsyncSession, company_id: str, candidate_id: str) -> Candidate:
    if await find(session, Candidate, company_id, candidate_id) is None:
        raise NotFound
    return await lock_candidate(session, company_id, candidate_id)
