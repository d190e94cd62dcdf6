"""Recompute the evidence: every person's chain of consent events, and the head it ends in."""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.consent import ConsentEvent, broken_at

_PAGE = 500


@dataclass
class Evidence:
    """What was looked at, and what was found."""

    people: int = 0
    events: int = 0
    broken: list[str] = field(default_factory=list)
    """`candidate id, place`: the first event that does not fit, or the place of the missing end."""


async def verify_consents(session: AsyncSession, company_id: str) -> Evidence:
    """Check the chains of one company's candidates; the transaction works for that company."""
    found, after = Evidence(), ""
    while page := await _people(session, company_id, after):
        for candidate in page:
            events = await _events(session, candidate)
            found.people, found.events = found.people + 1, found.events + len(events)
            place = broken_at(events) or _missing_end(candidate, events)
            if place is not None:
                found.broken.append(f"{candidate.id}, {place}")
        after = page[-1].id
        session.expunge_all()
    return found


def _missing_end(candidate: Candidate, events: list[ConsentEvent]) -> int | None:
    """Events cut off at the end leave a chain that fits: the person's row remembers its head."""
    whole = candidate.consent_seq == len(events) and (
        not events or events[-1].hash == candidate.consent_head
    )
    return None if whole else len(events) + 1


async def _people(session: AsyncSession, company_id: str, after: str) -> list[Candidate]:
    wanted = select(Candidate).where(
        col(Candidate.company_id) == company_id,
        col(Candidate.id) > after,
        col(Candidate.consent_seq) > 0,
    )
    return list((await session.scalars(wanted.order_by(col(Candidate.id)).limit(_PAGE))).all())


async def _events(session: AsyncSession, candidate: Candidate) -> list[ConsentEvent]:
    wanted = select(ConsentEvent).where(
        col(ConsentEvent.company_id) == candidate.company_id,
        col(ConsentEvent.candidate_id) == candidate.id,
    )
    return list((await session.scalars(wanted.order_by(col(ConsentEvent.seq)))).all())
