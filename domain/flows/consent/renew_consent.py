"""Before a consent ends, the person is asked once whether it shall go on. Silence is a no."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text, data_items, vault
from domain.agency import Agency
from domain.business_days import long_date
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, last_day
from domain.consent_text import Statement
from domain.errors import Gone
from domain.flows.consent.append_consent_event import lock_candidate, surviving
from domain.flows.consent.keep_consent import (
    Answer,
    case_of,
    check_choices,
    keep_consent,
    recorded,
    rest_on_guardian,
)
from domain.flows.consent.mail_receipt import mail_receipt
from domain.flows.consent.withdraw_consent import consents_of, records_of
from domain.flows.tell.write_mail import language, write_to_candidate
from domain.flows.ways_in.open_candidate_link import Opened, agencies_offered, new_my_page_link
from domain.notice import Suppression
from domain.ports import Tools
from domain.store import find

TOGETHER = timedelta(days=7)
"""Consents that end within this of each other are asked about in one mail."""


async def ask_renewal(
    session: AsyncSession, tools: Tools, company_id: str, consent_id: str, now: datetime
) -> None:
    """Timer `consent.renew_ask_at`: one mail, ever, about the consents that end about now.

    Nobody is asked about an agency that could not be chosen today, nor who wants no more of it.
    """
    seen = await find(session, Consent, company_id, consent_id)
    if seen is None:
        return
    record = await session.get_one(Candidate, (company_id, seen.candidate_id))
    candidate = await surviving(session, record)
    held = [
        consent
        for one in await _records(session, candidate)
        for consent in await consents_of(session, one)
    ]
    if not any(one.id == consent_id and _is_due(one, now) for one in held):
        return
    asked = [one for one in held if _is_due(one, now + TOGETHER)]
    for one in asked:
        one.renew_ask_at, one.renewal_asked_at = None, now
        session.add(one)
    await session.flush()
    company = await session.get_one(Company, company_id)
    offered = {agency.id: agency for agency in await agencies_offered(session, company, now)}
    ending = [one for one in asked if one.agency_id in offered and now < one.expires_at]
    if ending and await _may_write(session, candidate):
        await _ask(session, tools, company, candidate, _named(ending, offered), now=now)


async def renewable(session: AsyncSession, candidate: Candidate, now: datetime) -> list[Consent]:
    """The consents the person has been asked about and may still go on with."""
    wanted = select(Consent).where(
        col(Consent.company_id) == candidate.company_id,
        col(Consent.candidate_id).in_(await records_of(session, candidate)),
        col(Consent.state) == "given",
        col(Consent.renewal_asked_at).is_not(None),
        col(Consent.expires_at) > now,
    )
    return list((await session.scalars(wanted.order_by(col(Consent.id)))).all())


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
    records = await _records(session, opened.candidate)
    if any([await recorded(session, one, answer.submission_id) for one in records]):
        return False
    check_choices(statement, answer.choices)
    standing = await _standing(session, records, answer.choices, now)
    cases = {
        one.id: await case_of(
            session, tools, opened, one, statement=statement, answer=answer, now=now
        )
        for one in records
    }
    for case in cases.values():
        await rest_on_guardian(session, case)
    given = [
        await keep_consent(
            session, tools, cases[standing[agency_id].candidate_id], agency_id,
            data_items.in_order(items),
            application_id=standing[agency_id].application_id, now=now,
        )
        for agency_id, items in answer.choices.items()
    ]  # fmt: skip
    case = cases[opened.candidate.id]
    await mail_receipt(session, tools, case, given, followup=False, now=now)
    return True


async def _records(session: AsyncSession, candidate: Candidate) -> list[Candidate]:
    """The person's record and those merged into it, locked: a consent goes on where it stands."""
    numbers = await records_of(session, candidate)
    return [await lock_candidate(session, candidate.company_id, number) for number in numbers]


async def _standing(
    session: AsyncSession,
    records: Sequence[Candidate],
    choices: Mapping[str, Sequence[str]],
    now: datetime,
) -> dict[str, Consent]:
    """The consent that stands with each agency chosen, under whichever record."""
    found = {
        consent.agency_id: consent
        for record in records
        for consent in await consents_of(session, record, choices)
        if consent.state == "given" and now < consent.expires_at
    }
    if found.keys() != choices.keys():
        raise Gone(code="consent_ended")
    return found


def _is_due(consent: Consent, now: datetime) -> bool:
    return (
        consent.state == "given"
        and consent.renew_ask_at is not None
        and consent.renew_ask_at <= now
    )


def _named(ending: Sequence[Consent], offered: dict[str, Agency]) -> list[tuple[Agency, Consent]]:
    return [(offered[one.agency_id], one) for one in ending]


async def _may_write(session: AsyncSession, candidate: Candidate) -> bool:
    if candidate.erased_at is not None or candidate.restricted_from is not None:
        return False
    place = (candidate.company_id, candidate.email_hmac)
    known = candidate.email_hmac is not None
    return known and await session.get(Suppression, place) is None


async def _ask(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    candidate: Candidate,
    ending: Sequence[tuple[Agency, Consent]],
    *,
    now: datetime,
) -> None:
    profile = await vault.profile_of(session, tools.sealer, candidate)
    if not profile.get("email"):
        return
    locale = language(candidate.locale)
    my_page = await new_my_page_link(session, tools, candidate, now)
    await write_to_candidate(
        session, tools, company, candidate, profile,
        about=f"renewal:{ending[0][1].event_id}", template="consent_ending",
        values={
            "agencies": [
                {
                    "name": consent_text.named(agency, locale),
                    "last_day": long_date(last_day(consent.expires_at), locale),
                }
                for agency, consent in ending
            ],
            "renew": f"{my_page}/renew",
            "my_page": my_page,
            "privacy_contact": company.privacy_contact,
        },
        now=now,
    )  # fmt: skip
