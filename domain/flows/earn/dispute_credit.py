"""A dispute, step by step: opened, answered, conceded, decided, appealed (domain rules 12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import cast, func
from sqlalchemy.dialects.postgresql import JSONB, array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import dispute, ledger
from domain.business_days import after, calendar_of, local_day
from domain.company import DEFAULT_CALENDAR
from domain.credits import Bucket, Credit
from domain.dispute import Dispute, DisputeNote
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.earn.end_dispute import end, tell
from domain.flows.earn.freeze_credits import FREEZABLE, freeze
from domain.flows.earn.tell_sides import other
from domain.flows.hear.ask_back import asked_back
from domain.ids import new_id
from domain.ledger import day_after, today_in_japan
from domain.placement import Placement, PlacementReport
from domain.ports import Tools
from domain.relay import Relay
from domain.store import find, lock

_DECLARED = ("already_registered", "already_registered_unproven")


@dataclass(frozen=True)
class Matter:
    """What the dispute is about: a placement, a relay's declaration, or credits by their ids."""

    subject: str
    reason: str
    note: str
    relay_id: str | None = None
    placement_id: str | None = None
    credit_ids: Sequence[str] = ()


@dataclass(frozen=True)
class Said:
    """Who said what, and at which step."""

    party: str
    actor: str
    step: str
    words: str


async def open_dispute(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    agency_id: str,
    matter: Matter,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Dispute:
    """Open a dispute: the credits concerned are frozen in the same transaction.

    The caller works for the company. Refusals: `NotFound`; `dispute_open`, `dispute_decided`,
    `nothing_to_dispute` (409); `not_yours_to_dispute` (422).
    """
    placement, relay = await _subject(session, company_id, agency_id, matter)
    if party == "agency" and matter.subject in {"early_leave", "already_registered"}:
        detail = "this is your own report: correct it"
        raise Invalid(detail, code="not_yours_to_dispute")
    made = Dispute(
        company_id=company_id, id=new_id("dsp"), agency_id=agency_id,
        relay_id=relay.id if relay else None, placement_id=placement.id if placement else None,
        subject=matter.subject, reason=matter.reason, opened_by=party, actor=actor,
        frozen_on=today_in_japan(now), due_on=_due(tools, now, dispute.ANSWER_DAYS),
        created_at=now,
    )  # fmt: skip
    made.look_at = day_after(made.due_on)
    await _one_at_a_time(session, made)
    await _check_not_lost(session, made, matter)
    frozen = await _freeze(session, made, placement, matter, now)
    if matter.subject == "credit" and not frozen:
        detail = "none of these credits can be disputed any more"
        raise Conflict(detail, code="nothing_to_dispute")
    made.credit_ids = [credit.id for credit in frozen]
    session.add(made)
    await session.flush()
    _note(session, tools, made, Said(party, actor, "opened", matter.note), now)
    await tell(session, tools, made, other(party), "dispute_opened", now)
    return made


async def say(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    dispute_id: str,
    note: str,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Dispute:
    """Answer, or bring evidence. The first word of the other side opens the time for evidence.

    Refusal: `dispute_ended` (409).
    """
    there = await lock(session, Dispute, company_id, dispute_id)
    _check_open(there)
    if there.state == "opened" and party != there.opened_by:
        await _step(session, tools, there, "answered", days=dispute.EVIDENCE_DAYS, now=now)
    _note(session, tools, there, Said(party, actor, "evidence", note), now)
    await session.flush()
    return there


async def concede(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    dispute_id: str,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Dispute:
    """One side gives way, at any time: decided against it, for good. Refusal: `dispute_ended`."""
    there = await _whole(session, company_id, dispute_id)
    _check_open(there)
    there.outcome = dispute.against(party)
    there.decided_by, there.decided_at = actor, now
    await end(session, tools, there, "conceded", now)
    return there


async def decide(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    dispute_id: str,
    outcome: str,
    *,
    note: str,
    actor: str,
    now: datetime,
) -> Dispute:
    """The operator, who is neither side, decides; after an appeal for good.

    Refusals: `dispute_ended`; `step_not_allowed` (409) while the time to appeal runs;
    `another_person_needed` (409) when the same person decides the appeal.
    """
    there = await _whole(session, company_id, dispute_id)
    _check_open(there)
    if there.state == "appealed" and there.decided_by == actor:
        detail = "an appeal is decided by somebody else"
        raise Conflict(detail, code="another_person_needed")
    appealed = there.state == "appealed"
    there.outcome, there.decided_by, there.decided_at = outcome, actor, now
    _note(session, tools, there, Said("operator", actor, "decided", note), now)
    if appealed:
        await end(session, tools, there, "decided", now)
        return there
    await _step(session, tools, there, "decided", days=dispute.APPEAL_DAYS, now=now)
    for party in dispute.PARTIES:
        await tell(session, tools, there, party, "dispute_decided", now)
    return there


async def appeal(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    dispute_id: str,
    note: str,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> Dispute:
    """The side that lost asks for a second decision, once and in time.

    Refusals: `dispute_ended`, `step_not_allowed` (409); `not_yours_to_appeal` (422).
    """
    there = await lock(session, Dispute, company_id, dispute_id)
    _check_open(there)
    if there.outcome == f"for_{party}":
        detail = "it was decided for you"
        raise Invalid(detail, code="not_yours_to_appeal")
    await _step(session, tools, there, "appealed", days=dispute.DECIDE_DAYS, now=now)
    there.appealed_by = party
    _note(session, tools, there, Said(party, actor, "appealed", note), now)
    await session.flush()
    return there


async def watch_dispute(
    session: AsyncSession, tools: Tools, company_id: str, dispute_id: str, now: datetime
) -> None:
    """Timer `dispute.look_at`: a step's time is over. Silence opens the evidence, or accepts."""
    if await find(session, Dispute, company_id, dispute_id) is None:
        return
    there = await _whole(session, company_id, dispute_id)
    if there.look_at is None or there.look_at > now:
        return
    if there.state == "opened":
        await _step(session, tools, there, "silent", days=dispute.EVIDENCE_DAYS, now=now)
    elif there.state == "decided":
        await end(session, tools, there, "accepted", now)
    else:
        # The evidence is in: from here on the operator's decision is what is late.
        there.due_on, there.look_at = _due(tools, now, dispute.DECIDE_DAYS), None
        session.add(there)


async def _subject(
    session: AsyncSession, company_id: str, agency_id: str, matter: Matter
) -> tuple[Placement | None, Relay | None]:
    """What is disputed, locked in the house's order; it must be this agency's."""
    placement = None
    relay_id = matter.relay_id
    if matter.placement_id is not None:
        placement = await find(session, Placement, company_id, matter.placement_id)
        relay_id = placement.relay_id if placement else relay_id
    relay = await lock(session, Relay, company_id, relay_id) if relay_id else None
    if matter.placement_id is not None:
        placement = await lock(session, Placement, company_id, matter.placement_id)
    if any(row is not None and row.agency_id != agency_id for row in (relay, placement)):
        raise NotFound
    if not _disputable(matter, placement, relay):
        detail = "there is nothing of this kind to dispute"
        raise Conflict(detail, code="nothing_to_dispute")
    return placement, relay


def _disputable(matter: Matter, placement: Placement | None, relay: Relay | None) -> bool:
    if matter.subject == "already_registered":
        return relay is not None and relay.reason in _DECLARED
    if matter.subject == "early_leave":
        return placement is not None and placement.left_on is not None
    if matter.subject == "placement":
        return placement is not None
    return bool(matter.credit_ids)


async def _one_at_a_time(session: AsyncSession, made: Dispute) -> None:
    if made.relay_id is None:
        return
    wanted = select(Dispute.id).where(
        col(Dispute.company_id) == made.company_id,
        col(Dispute.relay_id) == made.relay_id,
        col(Dispute.subject) == made.subject,
        col(Dispute.state) != "final",
    )
    if (await session.scalars(wanted)).first() is not None:
        raise Conflict("this is under dispute already", code="dispute_open")


async def _check_not_lost(session: AsyncSession, made: Dispute, matter: Matter) -> None:
    """Who lost does not freeze the same again; the company may if more was reported since."""
    if matter.subject == "credit":
        same = cast(Dispute.credit_ids, JSONB).has_any(array(list(matter.credit_ids)))
    elif made.placement_id is not None:
        same = col(Dispute.placement_id) == made.placement_id
    else:
        same = col(Dispute.relay_id) == made.relay_id
    lost = select(func.max(Dispute.ended_at)).where(
        col(Dispute.company_id) == made.company_id,
        col(Dispute.agency_id) == made.agency_id,
        col(Dispute.subject) == made.subject,
        col(Dispute.state) == "final",
        col(Dispute.outcome) == dispute.against(made.opened_by),
        same,
    )
    ended_at = await session.scalar(lost)
    if ended_at is None:
        return
    since = select(PlacementReport.id).where(
        col(PlacementReport.company_id) == made.company_id,
        col(PlacementReport.placement_id) == made.placement_id,
        col(PlacementReport.noted_at) > ended_at,
    )
    if made.opened_by == "agency" or (await session.scalars(since)).first() is None:
        detail = "a dispute about this was decided, and that is final"
        raise Conflict(detail, code="dispute_decided")


async def _freeze(
    session: AsyncSession, made: Dispute, placement: Placement | None, matter: Matter, now: datetime
) -> list[Credit]:
    book = await ledger.book_of(session, made.company_id, made.agency_id)
    if book is None:
        return []
    book = await ledger.lock_book(session, book.company_id, book.id)
    ids: set[str] = set(matter.credit_ids) if matter.subject == "credit" else set()
    if placement is not None and matter.subject == "placement":
        there = await ledger.credits_of(session, book.company_id, placement_id=placement.id)
        ids = {credit.id for credit in there}
    if placement is not None and matter.subject == "early_leave":
        ids = {held.credit_id for held in await asked_back(session, placement)}
    found = [await ledger.credit(session, book.company_id, credit_id) for credit_id in sorted(ids)]
    if any(credit.book_id != book.id for credit in found):
        raise NotFound
    free = [credit for credit in found if credit.bucket in FREEZABLE]
    await freeze(session, book, free, made.id, actor=made.actor, now=now)
    if matter.subject == "credit":
        return free
    # What another dispute froze before stays frozen until both are over.
    return [credit for credit in found if credit in free or credit.bucket == Bucket.FROZEN]


async def _whole(session: AsyncSession, company_id: str, dispute_id: str) -> Dispute:
    """The dispute locked behind its relay and placement: everybody locks in this order."""
    there = await find(session, Dispute, company_id, dispute_id)
    if there is None:
        raise NotFound
    if there.relay_id is not None:
        await lock(session, Relay, company_id, there.relay_id)
    if there.placement_id is not None:
        await lock(session, Placement, company_id, there.placement_id)
    return await lock(session, Dispute, company_id, dispute_id)


async def _step(
    session: AsyncSession, tools: Tools, there: Dispute, step: str, *, days: int, now: datetime
) -> None:
    there.state = dispute.advance(there.state, step)
    there.due_on = _due(tools, now, days)
    there.look_at = day_after(there.due_on)
    session.add(there)
    await session.flush()


def _check_open(there: Dispute) -> None:
    if not dispute.is_open(there.state):
        raise Conflict("the dispute has ended", code="dispute_ended")


def _due(tools: Tools, now: datetime, days: int) -> date:
    """Business days of the calendar both sides share."""
    return after(calendar_of(DEFAULT_CALENDAR, tools.holidays), local_day(now), days)


def _note(session: AsyncSession, tools: Tools, there: Dispute, said: Said, now: datetime) -> None:
    note_id = new_id("dsn")
    session.add(
        DisputeNote(
            company_id=there.company_id, id=note_id, agency_id=there.agency_id,
            dispute_id=there.id, party=said.party, actor=said.actor, step=said.step,
            sealed=tools.sealer.seal(said.words.encode(), about=f"dispute-note:{note_id}"),
            created_at=now,
        )
    )  # fmt: skip
