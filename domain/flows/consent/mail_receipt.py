"""The copy of a consent for the person."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import consent_text, data_items, vault
from domain.business_days import JST, local_day, long_date
from domain.consent import (
    Consent,
    last_day,
)
from domain.consent_text import GRACE_MINUTES, Statement
from domain.flows.consent.keep_consent import Case
from domain.flows.tell.write_mail import write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.ports import Tools


async def mail_receipt(
    session: AsyncSession,
    tools: Tools,
    case: Case,
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
