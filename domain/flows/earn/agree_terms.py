"""The agreement of a company and an agency: one side proposes terms, the other says yes or no.

A yes makes the next version. Versions are never changed; what was granted keeps its own terms.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.agreement import Agreement, AgreementVersion, TermProposal
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.earn.tell_sides import other, tell_side
from domain.ids import new_id
from domain.ledger import day_after, today_in_japan
from domain.ports import Tools
from domain.store import lock
from domain.terms import terms_of, unknown_terms

_MOST_NAMES, _LONGEST_NAME = 20, 100


async def version_on(
    session: AsyncSession, company_id: str, agency_id: str, day: date
) -> AgreementVersion:
    """The agreement's version in force on a day; its first one for an earlier day."""
    known = await versions(session, company_id, agency_id)
    in_force = [version for version in known if version.effective_on <= day]
    return in_force[-1] if in_force else known[0]


async def versions(
    session: AsyncSession, company_id: str, agency_id: str
) -> list[AgreementVersion]:
    """Every version of the agreement, oldest first; raises `NotFound` where there is none."""
    wanted = (
        select(AgreementVersion)
        .join(
            Agreement,
            (col(Agreement.company_id) == col(AgreementVersion.company_id))
            & (col(Agreement.id) == col(AgreementVersion.agreement_id)),
        )
        .where(col(Agreement.company_id) == company_id, col(Agreement.agency_id) == agency_id)
        .order_by(col(AgreementVersion.version))
    )
    found = list((await session.scalars(wanted)).all())
    if not found:
        raise NotFound
    return found


async def propose_terms(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    agreement_id: str,
    terms: Mapping[str, Any],
    *,
    effective_on: date,
    party: str,
    actor: str,
    now: datetime,
) -> TermProposal:
    """Offer terms for the next version; what they leave out stays as it is now.

    Refusals: `terms_unknown`, `terms_invalid`, `effective_in_past` (422); `agreement_ended`,
    `proposal_open` (409).
    """
    agreement = await lock(session, Agreement, company_id, agreement_id)
    _check_active(agreement)
    whole = await _whole(session, agreement, terms)
    if effective_on < today_in_japan(now):
        detail = "terms hold from today or a later day on; what was granted keeps its own"
        raise Invalid(detail, code="effective_in_past")
    if await _open_proposal(session, agreement) is not None:
        detail = "another proposal waits for an answer"
        raise Conflict(detail, code="proposal_open")
    made = TermProposal(
        company_id=company_id, id=new_id("prp"), agreement_id=agreement_id,
        agency_id=agreement.agency_id, party=party, terms=whole, effective_on=effective_on,
        proposed_by=actor, proposed_at=now,
    )  # fmt: skip
    session.add(made)
    await tell_side(
        session, tools, other(party), company_id=company_id, agency_id=agreement.agency_id,
        kind="proposal_waiting", about=f"proposal:{made.id}",
        path=f"/agreements/{agreement_id}", now=now,
    )  # fmt: skip
    return made


async def answer_proposal(
    session: AsyncSession,
    company_id: str,
    proposal_id: str,
    answer: str,
    *,
    party: str,
    actor: str,
    now: datetime,
) -> TermProposal:
    """`accept` or `decline` by the other side, `cancel` by one's own. Said again: the same.

    Refusals: `proposal_answered`, `agreement_ended` (409); `not_yours_to_answer` (422).
    """
    found = await session.get(TermProposal, (company_id, proposal_id))
    if found is None:
        raise NotFound
    agreement = await lock(session, Agreement, company_id, found.agreement_id)
    proposal = await lock(session, TermProposal, company_id, proposal_id)
    state = {"accept": "accepted", "decline": "declined", "cancel": "cancelled"}[answer]
    if (party == proposal.party) != (answer == "cancel"):
        detail = "one side proposes, the other answers"
        raise Invalid(detail, code="not_yours_to_answer")
    if proposal.state == state:
        return proposal
    if proposal.state != "proposed":
        raise Conflict(f"the proposal is {proposal.state}", code="proposal_answered")
    if state == "accepted":
        _check_active(agreement)
        proposal.version = await _next_version(session, agreement, proposal, now)
    proposal.state, proposal.answered_by, proposal.answered_at = state, actor, now
    session.add(proposal)
    await session.flush()
    return proposal


async def end_agreement(
    session: AsyncSession,
    company_id: str,
    agreement_id: str,
    *,
    ends_on: date,
    actor: str,
    now: datetime,
) -> Agreement:
    """Give notice: nothing new is relayed after the last day; credits live on for the agreed tail.

    Either side may, and either may bring the day forward: notice for a far day binds nobody longer.
    Refusals: `ends_in_past` (422), `agreement_ended` (409) once it has, or for a later day.
    """
    agreement = await lock(session, Agreement, company_id, agreement_id)
    if agreement.ends_on == ends_on:
        return agreement
    if agreement.ends_on is not None and (
        agreement.state != "active" or ends_on > agreement.ends_on
    ):
        raise Conflict("notice was given before", code="agreement_ended")
    if ends_on < today_in_japan(now):
        detail = "an agreement ends today or later"
        raise Invalid(detail, code="ends_in_past")
    agreement.ends_on, agreement.ended_by = ends_on, actor
    agreement.look_at = day_after(ends_on)
    session.add(agreement)
    await session.flush()
    return agreement


def _check_active(agreement: Agreement) -> None:
    if agreement.state != "active" or agreement.ends_on is not None:
        raise Conflict("the agreement has ended or is about to", code="agreement_ended")


async def _whole(
    session: AsyncSession, agreement: Agreement, terms: Mapping[str, Any]
) -> dict[str, Any]:
    unknown = unknown_terms(terms)
    if unknown:
        raise Invalid(f"no such terms: {_told(unknown)}", code="terms_unknown")
    newest = (await versions(session, agreement.company_id, agreement.agency_id))[-1]
    whole = {**newest.terms, **terms}
    terms_of(whole)
    return whole


def _told(unknown: Sequence[str]) -> str:
    """The first of these names, as far as they can be told: they come from outside."""
    shown = (name[:_LONGEST_NAME].encode(errors="replace").decode() for name in unknown)
    return ", ".join(islice(shown, _MOST_NAMES))


async def _open_proposal(session: AsyncSession, agreement: Agreement) -> TermProposal | None:
    wanted = select(TermProposal).where(
        col(TermProposal.company_id) == agreement.company_id,
        col(TermProposal.agreement_id) == agreement.id,
        col(TermProposal.state) == "proposed",
    )
    return (await session.scalars(wanted)).first()


async def _next_version(
    session: AsyncSession, agreement: Agreement, proposal: TermProposal, now: datetime
) -> int:
    """Terms accepted late hold from the day of the yes, never before it."""
    newest = (await versions(session, agreement.company_id, agreement.agency_id))[-1]
    made = AgreementVersion(
        company_id=agreement.company_id, agreement_id=agreement.id, version=newest.version + 1,
        agency_id=agreement.agency_id, terms=proposal.terms,
        effective_on=max(proposal.effective_on, today_in_japan(now), newest.effective_on),
        created_at=now,
    )  # fmt: skip
    session.add(made)
    await session.flush()
    return made.version
