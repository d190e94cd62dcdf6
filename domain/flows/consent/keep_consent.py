"""An answer becomes evidence: the words as shown, an event per agency, the row of today."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text, vault
from domain.application import Application
from domain.business_days import calendar_of
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import (
    GRACE,
    Consent,
    ConsentEvent,
    ConsentText,
    advance,
    expires_at,
    renew_ask_at,
)
from domain.consent_text import Statement
from domain.errors import Invalid
from domain.flows.consent.append_consent_event import append
from domain.flows.consent.carry_out_consent import carry_out
from domain.flows.consent.record_guardian import guardian_of
from domain.flows.consent.withdraw_consent import after_last_read
from domain.flows.ways_in.open_candidate_link import Opened
from domain.ids import new_id
from domain.invitation import Invitation
from domain.ports import Holidays, Tools
from domain.store import add_once

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
    """How the person was known: by a mailed link, a link HR handed over, and a code mailed too."""
    channel: str = "web"
    method: str = "web_form"
    actor: str = "candidate"
    """The person; or who recorded what the person gave on paper."""


@dataclass(frozen=True)
class Case:
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


async def case_of(
    session: AsyncSession,
    tools: Tools,
    opened: Opened,
    candidate: Candidate,
    *,
    statement: Statement,
    answer: Answer,
    now: datetime,
    invitation: Invitation | None = None,
) -> Case:
    """What an answer of this person is about, with the evidence every event of it carries."""
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
    return Case(
        opened.company, candidate, opened.application, invitation, text, statement, evidence,
        tools.holidays,
    )  # fmt: skip


async def keep_consent(
    session: AsyncSession,
    tools: Tools,
    case: Case,
    agency_id: str,
    items: list[str],
    *,
    application_id: str,
    now: datetime,
) -> Consent:
    """One agency: the event, the current row, the relay that carries it out."""
    consent = await consent_with(session, case.candidate, agency_id)
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
    await carry_out(session, tools, case.company, consent, taken_back, now=now)
    return consent


def _kind(consent: Consent | None, items: list[str]) -> str:
    if consent is None or consent.state != "given":
        return "given"
    return "renewed" if consent.items == items else "items_changed"


async def consent_with(
    session: AsyncSession, candidate: Candidate, agency_id: str
) -> Consent | None:
    """The person's consent with an agency as it is today, locked."""
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


async def rest_on_guardian(session: AsyncSession, case: Case) -> None:
    """A minor's consent names the guardian's word it rests on; nothing for whoever needs none."""
    guardian = await guardian_of(session, case.candidate)
    case.evidence["guardian_consent_id"] = guardian.id if guardian is not None else None


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
