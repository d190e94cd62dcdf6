"""Recompute the evidence: every person's chain of consent events, and the head it ends in."""

from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from sqlalchemy import and_, exists, or_
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
    while page := await _chains(session, company_id, after):
        for candidate, events in page:
            found.people, found.events = found.people + 1, found.events + len(events)
            place = broken_at(events) or _missing_end(candidate, events)
            if place is not None:
                found.broken.append(f"{candidate.id}, {place}")
        after = page[-1][0].id
        session.expunge_all()
    return found


def _missing_end(candidate: Candidate, events: list[ConsentEvent]) -> int | None:
    """Events cut off at the end leave a chain that fits: the person's row remembers its head."""
    whole = candidate.consent_seq == len(events) and (
        not events or events[-1].hash == candidate.consent_head
    )
    return None if whole else len(events) + 1


async def _chains(
    session: AsyncSession, company_id: str, after: str
) -> list[tuple[Candidate, list[ConsentEvent]]]:
    """The next people with their events.

    In one statement: whoever adds to a chain meanwhile leaves us its head and its end of one
    moment.
    """
    theirs = and_(
        col(ConsentEvent.company_id) == col(Candidate.company_id),
        col(ConsentEvent.candidate_id) == col(Candidate.id),
    )
    people = (
        select(Candidate.id)
        .where(
            col(Candidate.company_id) == company_id,
            col(Candidate.id) > after,
            # A head that was taken away does not hide its chain.
            or_(col(Candidate.consent_seq) > 0, exists().where(theirs)),
        )
        .order_by(col(Candidate.id))
        .limit(_PAGE)
    )
    wanted = (
        select(Candidate, ConsentEvent)
        .outerjoin(ConsentEvent, theirs)
        .where(col(Candidate.company_id) == company_id, col(Candidate.id).in_(people))
        .order_by(col(Candidate.id), col(ConsentEvent.seq))
        # What the transaction has seen before is read again: heads and ends of one moment.
        .execution_options(populate_existing=True)
    )
    rows = (await session.execute(wanted)).all()
    return [
        (candidate, [event for _, event in group if event is not None])
        for candidate, group in groupby(rows, key=itemgetter(0))
    ]
