"""A person asks something about their data: noted with its clock, and what must stop, stops."""

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.business_days import calendar_of, local_day, long_date
from domain.candidate import Candidate
from domain.company import Company
from domain.errors import Conflict, Gone, Invalid
from domain.flows.consent.append_consent_event import lock_candidate, surviving
from domain.flows.consent.withdraw_consent import records_of
from domain.flows.person.restrict_person import lift, restrict
from domain.flows.tell.tell_members import tell_company
from domain.flows.tell.write_mail import language, write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.ids import new_id
from domain.ports import Tools
from domain.retention import after_months
from domain.rights_request import (
    CHANNELS,
    IDENTITY,
    KEPT_YEARS,
    KINDS,
    LONGEST,
    OPEN,
    SCOPES,
    RightsRequest,
    advance,
    due_on,
    next_look,
)
from domain.store import add_once, find, lock

HANDLERS = ("privacy_officer", "head", "admin")
"""Roles that are told of requests, and answer them: nobody else may be there to hear of one."""
NEEDS_WORDS = frozenset({"correction"})


async def open_request(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    kind: str,
    *,
    words: str,
    channel: str,
    identity_check: str | None,
    submission_id: str | None,
    now: datetime,
) -> RightsRequest:
    """Note a request; sent twice (`submission_id`) it is one.

    With an identity check it is verified at once, and a request to stop has stopped when this
    returns; without one it waits for HR. Raises `Invalid` (`kind_unknown`, `channel_unknown`,
    `identity_unknown`, `words_missing`, `words_too_long`), `Gone` (`data_erased`).
    """
    _check(kind, words, channel, identity_check)
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if candidate.erased_at is not None:
        raise Gone(code="data_erased")
    due = due_on(now)
    row = RightsRequest(
        company_id=candidate.company_id, id=new_id("rrq"), candidate_id=candidate.id, kind=kind,
        channel=channel, received_at=now, due_on=due, submission_id=submission_id,
        look_at=await _next_look(session, tools, candidate.company_id, due, now), created_at=now,
    )  # fmt: skip
    if words:
        row.words = await vault.seal(
            session, tools.sealer, candidate, "record", words, about=f"request:{row.id}:words"
        )
    if not await add_once(session, row):
        return await _sent_before(session, candidate, submission_id)
    made = await lock(session, RightsRequest, row.company_id, row.id)
    if identity_check is not None:
        await _recognised(session, tools, candidate, made, identity_check=identity_check, now=now)
    await write_about(session, tools, candidate, made, template="rights_received", now=now)
    await remind(session, tools, made, "new", now)
    return made


async def verify(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    request_id: str,
    *,
    identity_check: str,
    now: datetime,
) -> RightsRequest:
    """HR has made sure who asks: what was asked to stop stops now.

    Raises `StepNotAllowed`, `Invalid` (`identity_unknown`), `NotFound`.
    """
    if identity_check not in IDENTITY:
        raise Invalid(code="identity_unknown")
    candidate, row = await locked(session, company_id, request_id)
    await _recognised(session, tools, candidate, row, identity_check=identity_check, now=now)
    return row


async def withdraw_request(
    session: AsyncSession, candidate: Candidate, request_id: str, now: datetime
) -> RightsRequest:
    """The person does not want it any more. Raises `StepNotAllowed`, `NotFound`."""
    there, row = await locked(session, candidate.company_id, request_id)
    if there.id not in await records_of(session, candidate):
        raise Conflict(code="not_yours")
    row.state = advance(row.state, "withdraw")
    close(row, now)
    session.add(row)
    await session.flush()
    if row.kind in SCOPES:
        await lift(session, candidate, now)
    return row


async def watch_request(
    session: AsyncSession, tools: Tools, company_id: str, request_id: str, now: datetime
) -> None:
    """Timer `rights_request.look_at`: the answer is due soon, today, or overdue."""
    row = await find(session, RightsRequest, company_id, request_id, for_update=True)
    if row is None or row.look_at is None or now < row.look_at:
        return
    if row.state not in OPEN:
        row.look_at = None
        session.add(row)
        return
    row.look_at = await _next_look(session, tools, company_id, row.due_on, now)
    session.add(row)
    await session.flush()
    await remind(session, tools, row, "soon" if local_day(now) <= row.due_on else "late", now)


async def remind(
    session: AsyncSession, tools: Tools, row: RightsRequest, stage: str, now: datetime
) -> None:
    """Tell whoever answers requests; by number, never by person. At most once a day and stage."""
    await session.flush()
    await tell_company(
        session,
        tools,
        row.company_id,
        "rights_due",
        lambda locale: {
            "stage": stage,
            "kind": row.kind,
            "request_id": row.id,
            "due_on": long_date(row.due_on, locale),
            "url": f"{tools.public_url}/dashboard/privacy/requests/{row.id}",
        },
        roles=HANDLERS,
        about=f"rights_due:{row.id}:{stage}:{local_day(now).isoformat()}",
        now=now,
    )


def close(row: RightsRequest, now: datetime) -> None:
    """It needs no look any more; what was written is kept as proof for three years."""
    row.look_at = None
    row.retention_until = after_months(local_day(now), 12 * KEPT_YEARS)


async def locked(
    session: AsyncSession, company_id: str, request_id: str
) -> tuple[Candidate, RightsRequest]:
    """The request and whose it is, both locked, the person first. Raises `NotFound`."""
    seen = await find(session, RightsRequest, company_id, request_id)
    if seen is not None:
        await lock_candidate(session, company_id, seen.candidate_id)
    row = await lock(session, RightsRequest, company_id, request_id)
    return await session.get_one(Candidate, (company_id, row.candidate_id)), row


async def write_about(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    row: RightsRequest,
    *,
    template: str,
    now: datetime,
) -> None:
    """A mail about a request: what was asked and when, never the words of either side."""
    person = await surviving(session, candidate)
    profile = await vault.profile_of(session, tools.sealer, person)
    if not profile.get("email"):
        return
    company = await session.get_one(Company, row.company_id)
    locale = language(person.locale)
    await write_to_candidate(
        session,
        tools,
        company,
        person,
        profile,
        about=f"{template}:{row.id}",
        template=template,
        values={
            "kind": row.kind,
            "result": row.result,
            "received_on": long_date(local_day(row.received_at), locale),
            "due_on": long_date(row.due_on, locale),
            "verified": row.identity_verified_at is not None,
            "stopped": row.kind in SCOPES and row.identity_verified_at is not None,
            "my_page": await new_my_page_link(session, tools, person, now),
            "privacy_contact": company.privacy_contact,
        },
        now=now,
    )


async def _next_look(
    session: AsyncSession, tools: Tools, company_id: str, due: date, now: datetime
) -> datetime:
    company = await session.get_one(Company, company_id)
    return next_look(calendar_of(company.calendar, tools.holidays), due, now)


def _check(kind: str, words: str, channel: str, identity_check: str | None) -> None:
    for wrong, code in (
        (kind not in KINDS, "kind_unknown"),
        (channel not in CHANNELS, "channel_unknown"),
        (identity_check is not None and identity_check not in IDENTITY, "identity_unknown"),
        (kind in NEEDS_WORDS and not words.strip(), "words_missing"),
        (len(words) > LONGEST, "words_too_long"),
    ):
        if wrong:
            raise Invalid(code=code)


async def _recognised(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    row: RightsRequest,
    *,
    identity_check: str,
    now: datetime,
) -> None:
    row.state = advance(row.state, "verify")
    row.identity_check, row.identity_verified_at = identity_check, now
    session.add(row)
    await session.flush()
    scope = SCOPES.get(row.kind)
    person = await surviving(session, candidate)
    if scope == "all":
        await restrict(session, tools, person, scope="all", now=now)
    elif scope == "provision":
        await restrict(session, tools, person, scope="provision", now=now)


async def _sent_before(
    session: AsyncSession, candidate: Candidate, submission_id: str | None
) -> RightsRequest:
    wanted = select(RightsRequest).where(
        col(RightsRequest.company_id) == candidate.company_id,
        col(RightsRequest.candidate_id) == candidate.id,
        col(RightsRequest.submission_id) == submission_id,
    )
    return (await session.scalars(wanted)).one()
