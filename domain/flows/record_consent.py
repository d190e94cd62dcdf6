"""A person answers the form: yes to some agencies and items, or no. Evidence is only ever added."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text, data_items, vault
from domain.application import Application
from domain.business_days import JST, calendar_of, local_day, long_date
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import (
    GRACE,
    Consent,
    ConsentEvent,
    ConsentText,
    advance,
    expires_at,
    last_day,
    renew_ask_at,
)
from domain.consent_text import FOLLOWUP, GRACE_MINUTES, Statement
from domain.eligibility import birth_date_of, failing_now
from domain.errors import Gone, Invalid
from domain.flows.announce import announce
from domain.flows.append_consent_event import append, lock_candidate
from domain.flows.ask_candidate import plan_questions
from domain.flows.join_consents import ask_to_join_new
from domain.flows.leave_note import note_for_vendor
from domain.flows.open_candidate_link import Opened, new_my_page_link
from domain.flows.spread_correction import held_by, spread_correction, tell_corrected
from domain.flows.withdraw_consent import after_last_read
from domain.flows.write_mail import write_to_candidate
from domain.guardian import GuardianConsent
from domain.ids import new_id
from domain.invitation import Invitation
from domain.invitation import advance as advance_invitation
from domain.ports import Holidays, Tools
from domain.relay import Relay, is_open
from domain.sources import allowed_sources
from domain.store import add_once, lock

_BROWSERS = ("Edg", "Firefox", "OPR", "Chrome", "Safari")


@dataclass(frozen=True)
class Answer:
    """What the person sent: once per `submission_id`, whatever happens on the way."""

    submission_id: str
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Agency id → item codes ticked for it."""
    followup: bool = False
    """Whether the person may be asked later if they started. On its own it is no consent."""
    corrections: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    """The network address the answer came from; kept as a keyed hash only."""
    user_agent: str = ""
    identity_check: str = "mail_link"
    """How the person was known: by the link in a mail, or by a code mailed as well."""
    channel: str = "web"
    method: str = "web_form"
    actor: str = "candidate"
    """The person; or who recorded what the person gave on paper."""


@dataclass(frozen=True)
class _Case:
    """Everything an answer is about, locked."""

    company: Company
    candidate: Candidate
    application: Application | None
    invitation: Invitation | None
    """None where a standing consent is renewed: it needs no invitation."""
    text: ConsentText
    statement: Statement
    evidence: dict[str, Any]
    holidays: Holidays


def check_choices(statement: Statement, choices: Mapping[str, Sequence[str]]) -> None:
    """What may be consented to: agencies and items that were shown, required items included.

    Raises `Invalid`: `nothing_chosen`, `agency_not_offered`, `item_not_offered`,
    `required_item_missing`.
    """
    if not choices:
        detail = "no agency was chosen"
        raise Invalid(detail, code="nothing_chosen")
    for agency_id, items in choices.items():
        statement.recipient(agency_id)
        if not set(items) <= set(statement.item_codes):
            detail = "an item was not on the form"
            raise Invalid(detail, code="item_not_offered")
        if not set(consent_text.required_of(statement.content, agency_id)) <= set(items):
            detail = "an item this agency needs was not chosen"
            raise Invalid(detail, code="required_item_missing")


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
        await _consent_to(
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
    await _receipt(session, tools, case, given, followup=answer.followup, now=now)
    return True


async def renew(
    session: AsyncSession,
    tools: Tools,
    opened: Opened,
    statement: Statement,
    answer: Answer,
    *,
    now: datetime,
) -> bool:
    """Go on with consents that stand, from the person's own page. False: recorded before.

    The same items make `renewed`, others `items_changed`. Raises what `check_choices` raises, and
    `Gone` (`consent_ended`) for an agency whose consent stands no longer.
    """
    candidate = await lock_candidate(session, opened.company.id, opened.candidate.id)
    if await recorded(session, candidate, answer.submission_id):
        return False
    check_choices(statement, answer.choices)
    standing = await _standing(session, candidate, answer.choices, now)
    case = await _case_of(
        session, tools, opened, candidate, statement=statement, answer=answer, now=now
    )
    case.evidence["guardian_consent_id"] = await _guardian_consent(session, candidate)
    given = [
        await _consent_to(
            session, tools, case, agency_id, data_items.in_order(items),
            application_id=standing[agency_id].application_id, now=now,
        )
        for agency_id, items in answer.choices.items()
    ]  # fmt: skip
    await _receipt(session, tools, case, given, followup=False, now=now)
    return True


async def _standing(
    session: AsyncSession, candidate: Candidate, choices: Mapping[str, Sequence[str]], now: datetime
) -> dict[str, Consent]:
    found = {}
    for agency_id in choices:
        consent = await _consent_with(session, candidate, agency_id)
        if consent is None or consent.state != "given" or now >= consent.expires_at:
            raise Gone(code="consent_ended")
        found[agency_id] = consent
    return found


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
) -> _Case | None:
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
    return await _case_of(
        session, tools, opened, candidate,
        statement=statement, answer=answer, invitation=invitation, now=now,
    )  # fmt: skip


async def _case_of(
    session: AsyncSession,
    tools: Tools,
    opened: Opened,
    candidate: Candidate,
    *,
    statement: Statement,
    answer: Answer,
    now: datetime,
    invitation: Invitation | None = None,
) -> _Case:
    text = await _keep_text(session, candidate.company_id, statement, now)
    evidence = {
        "text_id": text.id,
        "text_sha256": text.sha256,
        "shown": statement.agency_ids,
        "locale": statement.locale,
        "method": answer.method,
        "channel": answer.channel,
        "actor": answer.actor,
        "identity_check": answer.identity_check,
        "ip_hash": await _hashed(session, tools, candidate, answer.address),
        "user_agent_family": browser(answer.user_agent),
        "submission_id": answer.submission_id,
    }
    if invitation is not None:
        evidence["application_id"] = invitation.application_id
    return _Case(
        opened.company, candidate, opened.application, invitation, text, statement, evidence,
        tools.holidays,
    )  # fmt: skip


async def _still_eligible(session: AsyncSession, tools: Tools, case: _Case, now: datetime) -> None:
    assert case.application is not None
    born = birth_date_of(await vault.profile_of(session, tools.sealer, case.candidate))
    today = local_day(now)
    sources = await allowed_sources(session, case.company, today)
    failing = failing_now(sources, case.application, case.candidate, born, today)
    if failing:
        raise Gone(", ".join(failing), code="not_eligible")
    case.evidence["guardian_consent_id"] = await _guardian_consent(session, case.candidate)


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


async def _guardian_consent(session: AsyncSession, candidate: Candidate) -> str | None:
    """The guardian's word a minor's consent rests on; null for whoever needs none."""
    wanted = (
        select(GuardianConsent.id)
        .where(
            col(GuardianConsent.company_id) == candidate.company_id,
            col(GuardianConsent.candidate_id) == candidate.id,
            col(GuardianConsent.revoked_at).is_(None),
        )
        .order_by(col(GuardianConsent.id).desc())
    )
    return (await session.scalars(wanted)).first()


async def recorded(session: AsyncSession, candidate: Candidate, submission_id: str) -> bool:
    """Whether this very answer was recorded before: a form that is sent twice counts once."""
    wanted = select(ConsentEvent.id).where(
        col(ConsentEvent.company_id) == candidate.company_id,
        col(ConsentEvent.candidate_id) == candidate.id,
        col(ConsentEvent.submission_id) == submission_id,
    )
    return (await session.scalars(wanted)).first() is not None


async def _keep_text(
    session: AsyncSession, company_id: str, statement: Statement, now: datetime
) -> ConsentText:
    await add_once(
        session,
        ConsentText(
            company_id=company_id, id=new_id("ctx"), sha256=statement.sha256,
            version=consent_text.VERSION, locale=statement.locale, content=statement.content,
            effective_on=consent_text.EFFECTIVE_ON, created_at=now,
        ),
    )  # fmt: skip
    wanted = select(ConsentText).where(
        col(ConsentText.company_id) == company_id, col(ConsentText.sha256) == statement.sha256
    )
    return (await session.scalars(wanted)).one()


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


async def _consent_to(
    session: AsyncSession,
    tools: Tools,
    case: _Case,
    agency_id: str,
    items: list[str],
    *,
    application_id: str,
    now: datetime,
) -> Consent:
    """One agency: the event, the current row, the relay that carries it out."""
    consent = await _consent_with(session, case.candidate, agency_id)
    if consent is not None:
        now = await after_last_read(session, consent, now)
    kind = _kind(consent, items)
    ends = expires_at(now, case.company.consent_months)
    evidence = {**case.evidence, "application_id": application_id}
    event = await append(
        session, case.candidate, kind, now, agency_id=agency_id, items=items, expires_at=ends,
        recipient=case.statement.recipient(agency_id),
        cross_border_basis=case.statement.basis(agency_id), **evidence,
    )  # fmt: skip
    if consent is None:
        consent = Consent(
            company_id=case.company.id, id=new_id("cns"), candidate_id=case.candidate.id,
            agency_id=agency_id, application_id=application_id, state="invited",
            event_id=event.id, text_id=case.text.id, given_at=now, expires_at=ends,
            provision_not_before=now + GRACE,
        )  # fmt: skip
    if kind == "given" or not set(items) <= set(consent.items):
        consent.provision_not_before = now + GRACE
    taken_back = set(consent.items) - set(items) if kind == "items_changed" else set()
    consent.state = advance(consent.state, kind)
    consent.event_id, consent.text_id, consent.items = event.id, case.text.id, items
    consent.given_at, consent.expires_at, consent.withdrawn_at = now, ends, None
    consent.application_id, consent.superseded_by = application_id, None
    calendar = calendar_of(case.company.calendar, case.holidays)
    consent.renew_ask_at, consent.renewal_asked_at = renew_ask_at(calendar, ends), None
    session.add(consent)
    await session.flush()
    if not await _goes_on(session, tools, case.company, consent, taken_back, now=now):
        await _new_relay(session, consent, now)
    return consent


def _kind(consent: Consent | None, items: list[str]) -> str:
    if consent is None or consent.state != "given":
        return "given"
    return "renewed" if consent.items == items else "items_changed"


async def _consent_with(
    session: AsyncSession, candidate: Candidate, agency_id: str
) -> Consent | None:
    wanted = (
        select(Consent)
        .where(
            col(Consent.company_id) == candidate.company_id,
            col(Consent.candidate_id) == candidate.id,
            col(Consent.agency_id) == agency_id,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(wanted)).first()


async def _goes_on(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    consent: Consent,
    taken_back: set[str],
    *,
    now: datetime,
) -> bool:
    """Whether a relay carries the consent on as it is now: one that waits, or one at work.

    Its agency is told. An item it holds and may have no longer is told like a correction: it says
    that it has let go of it.
    """
    wanted = (
        select(Relay)
        .where(col(Relay.company_id) == consent.company_id, col(Relay.consent_id) == consent.id)
        .with_for_update()
    )
    for relay in (await session.scalars(wanted)).all():
        if relay.state == "queued":
            relay.forward_at = max(relay.forward_at, consent.provision_not_before)
            return True
        if is_open(relay.state):
            if taken_back & await held_by(session, relay):
                await tell_corrected(session, tools, company, relay, now)
            else:
                await announce(session, relay, "relay.updated", now)
            return True
    return False


async def _new_relay(session: AsyncSession, consent: Consent, now: datetime) -> None:
    """It waits for the grace."""
    session.add(
        Relay(
            company_id=consent.company_id, id=new_id("rly"), agency_id=consent.agency_id,
            application_id=consent.application_id, candidate_id=consent.candidate_id,
            consent_id=consent.id, forward_at=consent.provision_not_before, created_at=now,
        )
    )  # fmt: skip
    await session.flush()


def _answered(session: AsyncSession, invitation: Invitation, step: str, now: datetime) -> None:
    invitation.state = advance_invitation(invitation.state, step)
    invitation.answered_at, invitation.look_at, invitation.mail_at = now, None, None
    session.add(invitation)


async def _ask_later(
    session: AsyncSession, case: _Case, given: Sequence[Consent], now: datetime
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


async def _receipt(
    session: AsyncSession,
    tools: Tools,
    case: _Case,
    given: Sequence[Consent],
    *,
    followup: bool,
    now: datetime,
) -> None:
    """The copy for the person: what, to whom, until when, the words as shown, and the way back."""
    profile = await vault.profile_of(session, tools.sealer, case.candidate)
    content, locale = case.statement.content, case.statement.locale
    case.candidate.locale = locale
    if not profile.get("email"):
        return
    not_before = max(consent.provision_not_before for consent in given).astimezone(JST)
    await write_to_candidate(
        session,
        tools,
        case.company,
        case.candidate,
        profile,
        about=f"receipt:{given[0].event_id}",
        template="consent_receipt",
        values={
            "name": data_items.full_name(profile),
            "company_name": content["provider_name"],
            "given_on": long_date(local_day(now), locale),
            "agencies": [_as_shown(case.statement, consent) for consent in given],
            "last_day": long_date(last_day(given[0].expires_at), locale),
            "minutes": GRACE_MINUTES,
            "not_before": f"{long_date(not_before.date(), locale)} {not_before:%H:%M}",
            "my_page": await new_my_page_link(session, tools, case.candidate, now),
            "privacy_contact": case.company.privacy_contact,
            "statement": consent_text.as_text(content, followup=followup),
            "version": content["version"],
            "effective_on": content["effective_on"],
            "sha256": case.statement.sha256,
        },
        now=now,
    )


def _as_shown(statement: Statement, consent: Consent) -> dict[str, Any]:
    recipient = statement.recipient(consent.agency_id)
    return {
        **recipient,
        "items": [data_items.label(code, statement.locale) for code in consent.items],
    }


async def _hashed(session: AsyncSession, tools: Tools, candidate: Candidate, value: str) -> str:
    """Under the person's own record key: once that is destroyed, nobody can try addresses."""
    if not value:
        return ""
    return await vault.blind(
        session, tools.sealer, candidate, "record", value, what="consent-evidence"
    )


def browser(user_agent: str) -> str:
    """The family of a browser; nothing finer is kept."""
    found = (name for name in _BROWSERS if re.search(rf"\b{name}", user_agent))
    return next(found, "other").lower()
