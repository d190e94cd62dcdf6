"""Whom an event is about: find the person and the application, or make them known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import data_items, vault
from domain.application import NEVER, OF_PERSON, Application, mapped_source
from domain.candidate import Candidate
from domain.company import Company
from domain.contact import phone_number
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.person.change_person import merge
from domain.flows.relay.spread_correction import ask_to_spread
from domain.ids import new_id
from domain.ports import Tools
from domain.retention import first_look
from domain.store import add_once

if TYPE_CHECKING:
    from domain.flows.hear.apply_event import Said


@dataclass
class Met:
    """A locked application and its candidate."""

    application: Application
    candidate: Candidate


async def meet(
    session: AsyncSession, tools: Tools, company: Company, said: "Said", now: datetime
) -> Met:
    """The application the event names, locked for this transaction, and its candidate.

    Events about one application wait for each other here, so that the first two do not both make
    it known.
    """
    told = said.event["application"]
    await _one_at_a_time(session, company.id, said.connection_id, told["external_id"])
    application = await known_application(
        session, company.id, said.connection_id, told["external_id"]
    )
    if application is not None:
        candidate = await _candidate_of(session, tools, company, application, said)
        return Met(application, candidate)
    candidate = await _applicant(session, tools, company, said, now)
    await add_once(session, _new_application(company, said, candidate, now))
    application = await known_application(
        session, company.id, said.connection_id, told["external_id"]
    )
    assert application is not None
    return Met(application, candidate)


async def known_application(
    session: AsyncSession, company_id: str, connection_id: str, external_id: str
) -> Application | None:
    """The application under the vendor's number, locked; or nothing."""
    wanted = (
        select(Application)
        .where(
            col(Application.company_id) == company_id,
            col(Application.connection_id) == connection_id,
            col(Application.external_id) == external_id,
        )
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(wanted)).first()


async def known_person(
    session: AsyncSession, company_id: str, connection_id: str, external_id: str | None
) -> Candidate | None:
    """The person under the vendor's number, locked; after a merge, whom they were merged into."""
    if external_id is None:
        return None
    wanted = select(Candidate).where(
        col(Candidate.company_id) == company_id,
        col(Candidate.connection_id) == connection_id,
        col(Candidate.external_id) == external_id,
    )
    locked = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
    found: Candidate | None = (await session.scalars(locked)).first()
    while found is not None and found.merged_into_id is not None:
        found = await lock_candidate(session, company_id, found.merged_into_id)
    return found


async def person_under(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    *,
    connection_id: str,
    external_id: str | None,
    now: datetime,
) -> Candidate:
    """The person under the vendor's number, locked; somebody new if we know nobody of it.

    What is told of a person (deleted, merged) counts even if it comes before what makes them known.
    """
    known = await known_person(session, company_id, connection_id, external_id)
    if known is not None:
        return known
    fresh = Candidate(
        company_id=company_id, id=new_id("cnd"), connection_id=connection_id,
        external_id=external_id, review_at=first_look(now), created_at=now,
    )  # fmt: skip
    if await add_once(session, fresh):
        await vault.make_keys(session, tools.sealer, fresh)
        return await lock_candidate(session, company_id, fresh.id)
    found = await known_person(session, company_id, connection_id, external_id)
    assert found is not None
    return found


async def learn(
    session: AsyncSession, tools: Tools, company: Company, met: Met, said: "Said"
) -> None:
    """Take over what the event says about the person and the application."""
    told = said.event["candidate"]
    if told is not None and met.candidate.erased_at is None:
        await _learn_person(session, tools, met.candidate, told)
    _learn_application(company, met.application, said)
    session.add(met.application)
    await session.flush()


async def map_again(
    session: AsyncSession, company: Company, application: Application, said: "Said"
) -> None:
    """A delivery is read again: what has changed since is how its words map to ours."""
    _learn_source(company, application, said)
    session.add(application)
    await session.flush()


def facts_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """The profile fields a canonical candidate fills."""
    numbers = [one["value"] for one in told["phones"]]
    return {
        "display_name": told["display_name"],
        "family_name": told["family_name"],
        "given_name": told["given_name"],
        "email": told["primary_email"],
        "emails": [one["value"] for one in told["emails"]],
        "phone": (phone_number(numbers[0]) or numbers[0]) if numbers else None,
    }


async def _learn_person(
    session: AsyncSession, tools: Tools, candidate: Candidate, told: Mapping[str, Any]
) -> None:
    """What the candidate corrected or emptied stays; what the ATS said gives way to its news."""
    profile = await vault.profile_of(session, tools.sealer, candidate)
    facts = {name: value for name, value in facts_of(told).items() if value}
    before = profile.get("from_ats") or {}
    unchanged = {
        name: value
        for name, value in facts.items()
        if profile.get(name) in (None, "", before.get(name))
        and name not in (profile.get("cleared") or ())
    }
    updated = {**profile, **unchanged, "from_ats": {**before, **facts}}
    if updated != profile:
        await vault.set_profile(session, tools.sealer, candidate, updated)
        await ask_to_spread(session, candidate, data_items.changed(profile, updated))
    if candidate.external_id is None:
        candidate.external_id = told["external_id"]
    session.add(candidate)


def _learn_application(company: Company, application: Application, said: "Said") -> None:
    told, job = said.event["application"], said.event["job"] or {}
    application.job_title = job.get("title") or application.job_title
    application.department = job.get("department") or application.department
    application.stage = (told["stage"] or {}).get("name") or application.stage
    _learn_source(company, application, said)
    if told["applied_at"] is not None:
        application.applied_at = datetime.fromisoformat(told["applied_at"])
    if said.event["candidate"] is not None:
        application.hold_for(said.event["holds"], OF_PERSON)


def _learn_source(company: Company, application: Application, said: "Said") -> None:
    told, known = said.event["application"]["source"], said.settings.get("source_map")
    found = mapped_source(said.provider, told, known, company.allowed_sources)
    application.source = found or application.source


async def _one_at_a_time(
    session: AsyncSession, company_id: str, connection_id: str, external_id: str
) -> None:
    name = f"application {company_id} {connection_id} {external_id}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def _candidate_of(
    session: AsyncSession, tools: Tools, company: Company, application: Application, said: "Said"
) -> Candidate:
    """The application's candidate. A number told late leads to the person who has it already.

    What was noted without the number is the same person's: it is merged, or erasure would miss it.
    """
    there = await lock_candidate(session, company.id, application.candidate_id)
    told = said.event["candidate"]
    if told is None or told["external_id"] is None or there.external_id == told["external_id"]:
        return there
    known = await known_person(session, company.id, said.connection_id, told["external_id"])
    if known is not None and there.external_id is None and known.erased_at is None:
        return await merge(session, tools, there, known)
    return there


async def _applicant(
    session: AsyncSession, tools: Tools, company: Company, said: "Said", now: datetime
) -> Candidate:
    """Who applies: a person we know by the vendor's number, or somebody new."""
    external_id = (said.event["candidate"] or {}).get("external_id")
    known = await known_person(session, company.id, said.connection_id, external_id)
    if known is not None and _comes_back(known, said):
        known.external_id = None  # erased for good; they applied again, and begin anew
        session.add(known)
        await session.flush()
    return await person_under(
        session, tools, company.id,
        connection_id=said.connection_id, external_id=external_id, now=now,
    )  # fmt: skip


def _comes_back(known: Candidate, said: "Said") -> bool:
    applied_at = said.event["application"]["applied_at"]
    if known.erased_at is None or applied_at is None:
        return False
    return datetime.fromisoformat(applied_at) > known.erased_at


def _new_application(
    company: Company, said: "Said", candidate: Candidate, now: datetime
) -> Application:
    return Application(
        company_id=company.id,
        id=new_id("app"),
        connection_id=said.connection_id,
        external_id=said.event["application"]["external_id"],
        candidate_id=candidate.id,
        outcome_at=NEVER,
        told_at=NEVER,
        holds=[hold for hold in said.event["holds"] if hold in OF_PERSON],
        created_at=now,
    )
