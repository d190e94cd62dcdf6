"""What the end of a dispute does: credits go where they belong, and the facts stand as decided."""

from datetime import datetime

from sqlalchemy import cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import dispute, ledger
from domain.dispute import Dispute
from domain.flows.earn.correct_placement import restate
from domain.flows.earn.earn_credits import settle_placement
from domain.flows.earn.freeze_credits import take_frozen, thaw
from domain.flows.earn.tell_sides import tell_side
from domain.placement import Placement
from domain.ports import Tools
from domain.relay import Relay
from domain.store import find

OVERTURNED = "declaration_overturned"
"""The reason of a relay whose 「既登録」 did not hold: the attribution stands."""
_NEWS = {
    ("placement", "for_company"): "corrected",
    ("placement", "for_agency"): "withdrawn",
    ("early_leave", "for_company"): "leave_corrected",
}


async def end(
    session: AsyncSession, tools: Tools, there: Dispute, step: str, now: datetime
) -> None:
    """The dispute, locked as a whole, is over by this step; both sides are told."""
    there.state = dispute.advance(there.state, step)
    there.look_at, there.ended_at = None, now
    session.add(there)
    await session.flush()
    await _settle_frozen(session, there, now)
    await _settle_facts(session, tools, there, now)
    for party in dispute.PARTIES:
        await tell(session, tools, there, party, "dispute_ended", now)


async def _settle_frozen(session: AsyncSession, there: Dispute, now: datetime) -> None:
    if not there.credit_ids:
        return
    book = await ledger.book_of(session, there.company_id, there.agency_id)
    assert book is not None
    book = await ledger.lock_book(session, book.company_id, book.id)
    for credit_id in there.credit_ids:
        credit = await ledger.credit(session, book.company_id, credit_id)
        if there.outcome == "for_agency":
            await take_frozen(session, book, credit, there.id, actor="system", now=now)
        elif not await _disputed_otherwise(session, there, credit_id):
            await thaw(session, book, credit, there.id, actor="system", now=now)


async def _disputed_otherwise(session: AsyncSession, there: Dispute, credit_id: str) -> bool:
    """Whether another dispute that is not over holds this credit. The book is locked."""
    wanted = select(Dispute.id).where(
        col(Dispute.company_id) == there.company_id,
        col(Dispute.agency_id) == there.agency_id,
        col(Dispute.id) != there.id,
        col(Dispute.state) != "final",
        cast(Dispute.credit_ids, JSONB).contains([credit_id]),
    )
    return (await session.scalars(wanted)).first() is not None


async def _settle_facts(session: AsyncSession, tools: Tools, there: Dispute, now: datetime) -> None:
    relay = await find(session, Relay, there.company_id, there.relay_id or "")
    if relay is None:
        return
    if there.subject == "already_registered" and there.outcome == "for_company":
        relay.reason = OVERTURNED
        session.add(relay)
    placement = await find(session, Placement, there.company_id, there.placement_id or "")
    if placement is None or await _replaced(session, placement):
        return
    if not _facts_change(there, placement):
        # Corrected meanwhile: what was frozen still rests on the facts of before.
        await settle_placement(session, tools, placement, because="decided", now=now)
        return
    await restate(
        session, tools, relay, placement, _NEWS[there.subject, there.outcome or ""],
        because="decided", actor="system", reason="dispute", now=now,
    )  # fmt: skip


async def _replaced(session: AsyncSession, placement: Placement) -> bool:
    """Whether another placement was reported for the relay since this one was taken back."""
    wanted = select(Placement.id).where(
        col(Placement.company_id) == placement.company_id,
        col(Placement.relay_id) == placement.relay_id,
        col(Placement.id) != placement.id,
        col(Placement.state) != "withdrawn",
    )
    return (await session.scalars(wanted)).first() is not None


def _facts_change(there: Dispute, placement: Placement) -> bool:
    """Write the decided facts; whether they are others than before."""
    before = placement.state, placement.left_on
    if (there.subject, there.outcome) == ("placement", "for_agency"):
        placement.state = "withdrawn"
    elif (there.subject, there.outcome) == ("placement", "for_company"):
        placement.state = "placed" if placement.state == "withdrawn" else placement.state
    elif (there.subject, there.outcome) == ("early_leave", "for_company"):
        placement.left_on = None
    return before != (placement.state, placement.left_on)


async def tell(  # noqa: PLR0917 - whom, and of what
    session: AsyncSession, tools: Tools, there: Dispute, party: str, kind: str, now: datetime
) -> None:
    """Tell a side's people about the dispute, once for each kind of news."""
    await tell_side(
        session, tools, party, company_id=there.company_id, agency_id=there.agency_id, kind=kind,
        about=f"{kind}:{there.id}", path=f"/disputes/{there.id}", now=now,
    )  # fmt: skip
