"""A person answers the form: yes to some agencies and items, or no. Evidence is only ever added."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import data_items, vault
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.consent import (
    Consent,
)
from domain.consent_text import FOLLOWUP, Statement
from domain.eligibility import birth_date_of, failing_now
from domain.errors import Gone
from domain.flows.consent.append_consent_event import append, lock_candidate
from domain.flows.consent.join_consents import ask_to_join_new
from domain.flows.consent.keep_consent import (
    Answer,
    Case,
    case_of,
    check_choices,
    keep_consent,
    recorded,
    rest_on_guardian,
)
from domain.flows.consent.mail_receipt import mail_receipt
from domain.flows.hear.leave_note import note_for_vendor
from domain.flows.relay.ask_candidate import plan_questions
from domain.flows.relay.spread_correction import spread_correction
from domain.flows.ways_in.open_candidate_link import Opened
from domain.invitation import Invitation
from domain.invitation import advance as advance_invitation
from domain.ports import Tools
from domain.relay import Relay, is_open
from domain.sources import allowed_sources
from domain.store import lock


async def give(
    session: AsyncSession,
    tools: Tools,
    opened: Opened,
    statement: Statement,
    answer: Answer,
    *,
    now: datetime,
) -> bool:
    """Record a consent per agency chosen and queue its relay. False: recorded before.

    Raises what `check_choices` raises, and `Gone` (`invitation_answered`, `invitation_expired`;
    `not_eligible`: what made the person eligible has changed since the invitation).
    """
    check_choices(statement, answer.choices)
    case = await _case(session, tools, opened, statement, answer, now=now)
    if case is None:
        return False
    assert case.application is not None
    assert case.invitation is not None
    await _still_eligible(session, tools, case, now)
    _hand_over_again(session, case.candidate)
    await _correct(session, tools, case.candidate, answer.corrections, now)
    given = [
        await keep_consent(
            session, tools, case, agency_id, data_items.in_order(items),
            application_id=case.application.id, now=now,
        )
        for agency_id, items in answer.choices.items()
    ]  # fmt: skip
    if answer.followup:
        await _ask_later(session, case, given, now)
    _answered(session, case.invitation, "give", now)
    await ask_to_join_new(session, case.candidate)
    await note_for_vendor(
        session, tools, case.company.id, case.application.id,
        kind="opted_in", about=given[0].event_id, now=now,
    )  # fmt: skip
    await mail_receipt(session, tools, case, given, followup=answer.followup, now=now)
    return True


async def decline(
    session: AsyncSession,
    tools: Tools,
    opened: Opened,
    statement: Statement,
    answer: Answer,
    *,
    now: datetime,
) -> bool:
    """Record the no: quiet, no mail, final unless the person comes back. False: known already.

    Raises `Gone` (`invitation_answered`, `invitation_expired`).
    """
    case = await _case(session, tools, opened, statement, answer, now=now)
    if case is None:
        return False
    assert case.invitation is not None
    if case.invitation.state == "declined":
        return False
    await append(session, case.candidate, "declined", now, **case.evidence)
    _answered(session, case.invitation, "decline", now)
    return True


async def _case(
    session: AsyncSession,
    tools: Tools,
    opened: Opened,
    statement: Statement,
    answer: Answer,
    *,
    now: datetime,
) -> Case | None:
    """Lock what the answer is about; null when this very answer was recorded before."""
    company_id = opened.company.id
    candidate = await lock_candidate(session, company_id, opened.candidate.id)
    if await recorded(session, candidate, answer.submission_id):
        return None
    if opened.invitation is None or opened.application is None:
        raise Gone(code="invitation_expired")
    invitation = await lock(session, Invitation, company_id, opened.invitation.id)
    stands = Opened(opened.link, opened.company, candidate, opened.application, invitation).stands(
        now
    )
    if stands not in {"form", "declined"}:
        raise Gone(code=f"invitation_{'answered' if stands == 'answered' else 'expired'}")
    return await case_of(
        session, tools, opened, candidate,
        statement=statement, answer=answer, invitation=invitation, now=now,
    )  # fmt: skip


async def _still_eligible(session: AsyncSession, tools: Tools, case: Case, now: datetime) -> None:
    assert case.application is not None
    born = birth_date_of(await vault.profile_of(session, tools.sealer, case.candidate))
    today = local_day(now)
    sources = await allowed_sources(session, case.company, today)
    failing = failing_now(sources, case.application, case.candidate, born, today)
    if failing:
        raise Gone(", ".join(failing), code="not_eligible")
    await rest_on_guardian(session, case)


def _hand_over_again(session: AsyncSession, candidate: Candidate) -> None:
    """Who once asked for an end of all hand-overs, and agrees to new ones, has changed their mind.

    Who wants nothing done with the data at all takes that back first: the receipt would promise
    what the gate refuses.
    """
    if candidate.restricted_from == "all":
        raise Gone("restricted", code="not_eligible")
    if candidate.restricted_from is not None:
        candidate.restricted_from = candidate.restricted_at = None
        session.add(candidate)


async def _correct(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    facts: Mapping[str, str],
    now: datetime,
) -> None:
    """Take over what the person put right; agencies that hold it otherwise are told."""
    before = await vault.profile_of(session, tools.sealer, candidate)
    after = data_items.corrected(before, facts)
    if after != before:
        await vault.set_profile(session, tools.sealer, candidate, after)
        items = data_items.changed(before, after)
        await spread_correction(session, tools, candidate, items, now)


def _answered(session: AsyncSession, invitation: Invitation, step: str, now: datetime) -> None:
    invitation.state = advance_invitation(invitation.state, step)
    invitation.answered_at, invitation.look_at, invitation.mail_at = now, None, None
    session.add(invitation)


async def _ask_later(
    session: AsyncSession, case: Case, given: Sequence[Consent], now: datetime
) -> None:
    """The person may be asked whether they started: evidence of its own, apart from the consents.

    A relay that is at work already is asked about from here on; another one when it is forwarded.
    """
    evidence = {
        **case.evidence, "items": [FOLLOWUP], "method": "followup_box", "purpose_code": FOLLOWUP,
    }  # fmt: skip
    event = await append(session, case.candidate, "given", now, **evidence)
    wanted = select(Relay).where(
        col(Relay.company_id) == case.company.id,
        col(Relay.consent_id).in_([consent.id for consent in given]),
    )
    for relay in (await session.scalars(wanted)).all():
        if is_open(relay.state):
            await plan_questions(session, relay, event, now)
