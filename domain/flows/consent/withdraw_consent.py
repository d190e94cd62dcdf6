"""A consent ends: taken back by the person, or by its date. Nothing more is handed over.

Locks in one order everywhere: candidate, consents, relays. A hand-over locks consent and relay, so
it comes before the withdrawal as a whole or not at all.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text, vault
from domain.agency import Agency
from domain.business_days import after, calendar_of, due_before, local_day, long_date
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, advance
from domain.flows.consent.append_consent_event import append, lock_candidate, surviving
from domain.flows.hear.leave_note import note_for_vendor
from domain.flows.relay.announce import announce
from domain.flows.relay.count_relay import uncount_relay
from domain.flows.relay.watch_relay import note_word
from domain.flows.tell.write_mail import language, write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link, newest_form
from domain.ids import new_id
from domain.ports import Tools
from domain.relay import Provision, Relay, RelayEvent, StopNotice
from domain.relay import advance as advance_relay
from domain.store import add_once, find, lock

ACKNOWLEDGE_DAYS = 3
"""Business days an agency has to say that it has stopped (domain rules 5.5)."""
WITHDRAWABLE = frozenset({"given", "expired", "superseded"})
"""What an agency got before a consent ended by itself is stopped as well when the person asks."""


async def withdraw(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    agency_ids: Collection[str] | None,
    now: datetime,
    *,
    channel: str = "web",
) -> list[str]:
    """Take back the consent to these agencies, or to all (null). Twice is the same as once.

    No reason is asked. Returns the ids of the agencies whose consent ended by this call.
    """
    company = await session.get_one(Company, candidate.company_id)
    ended: list[Consent] = []
    for number in await records_of(session, candidate):
        record = await lock_candidate(session, candidate.company_id, number)
        for consent in await consents_of(session, record, agency_ids):
            if consent.state in WITHDRAWABLE:
                at = await end(
                    session, record, consent, now, channel=channel, method="withdrawal_form"
                )
                await stop_relays(session, tools, company, consent, "withdrawn", now=at)
                ended.append(consent)
    for application_id in {consent.application_id for consent in ended}:
        await note_for_vendor(
            session, tools, company.id, application_id,
            kind="withdrew", about=now.isoformat(), now=now,
        )  # fmt: skip
    if ended:
        await _confirm(session, tools, company, candidate, ended, now=now)
    return list(dict.fromkeys(consent.agency_id for consent in ended))


async def records_of(session: AsyncSession, candidate: Candidate) -> list[str]:
    """The person's record and those merged into it, in one order: consents stand under each."""
    wanted = select(Candidate.id).where(
        col(Candidate.company_id) == candidate.company_id,
        or_(col(Candidate.id) == candidate.id, col(Candidate.merged_into_id) == candidate.id),
    )
    return list((await session.scalars(wanted.order_by(col(Candidate.id)))).all())


async def expire(
    session: AsyncSession, tools: Tools, company_id: str, consent_id: str, now: datetime
) -> None:
    """Timer `consent.expires_at`: the agreed time is over, and what is still under way ends."""
    del tools
    seen = await find(session, Consent, company_id, consent_id)
    if seen is None:
        return
    candidate = await lock_candidate(session, company_id, seen.candidate_id)
    consent = await lock(session, Consent, company_id, consent_id)
    if consent.state != "given" or now < consent.expires_at:
        return
    await append(
        session, candidate, "expired", now, agency_id=consent.agency_id,
        application_id=consent.application_id, text_id=consent.text_id, items=consent.items,
        locale=candidate.locale, method="timer", channel="system", identity_check="none",
    )  # fmt: skip
    consent.state = advance(consent.state, "expired")
    session.add(consent)
    await _let_go(session, consent, now)


async def supersede(
    session: AsyncSession,
    tools: Tools,
    consent: Consent,
    now: datetime,
    *,
    why: str,
    by: str | None = None,
) -> None:
    """A consent carries nothing more, because what it was given for is not what it was.

    `why`: `recipient_changed`, `text_ended` (the person is asked anew, once) or `merged` (`by`: the
    consent of the same person that stands in its place). The caller holds the person's lock.
    """
    if consent.state != "given":
        return
    now = await after_last_read(session, consent, now)
    candidate = await session.get_one(Candidate, (consent.company_id, consent.candidate_id))
    await append(
        session, candidate, "superseded", now, agency_id=consent.agency_id,
        application_id=consent.application_id, text_id=consent.text_id, items=consent.items,
        locale=candidate.locale, method=why, channel="system", identity_check="none",
        superseded_by=by,
    )  # fmt: skip
    consent.state, consent.superseded_by = advance(consent.state, "superseded"), by
    session.add(consent)
    await _let_go(session, consent, now)
    if by is None:
        await _ask_anew(session, tools, candidate, consent, now)


async def invalidate(
    session: AsyncSession, tools: Tools, consent: Consent, now: datetime, *, actor: str
) -> None:
    """What was recorded as a consent was none: an officer found the evidence wrong.

    It ends, and whoever received anything is told to stop. The officer writes to the person: the
    ready-made words would say that it was their wish. The caller holds the person's lock.
    """
    if consent.state != "given":
        return
    now = await after_last_read(session, consent, now)
    company = await session.get_one(Company, consent.company_id)
    candidate = await session.get_one(Candidate, (consent.company_id, consent.candidate_id))
    await append(
        session, candidate, "invalidated", now, agency_id=consent.agency_id,
        application_id=consent.application_id, text_id=consent.text_id, items=consent.items,
        locale=candidate.locale, method="officer", channel="dashboard", identity_check="none",
        actor=actor,
    )  # fmt: skip
    consent.state, consent.withdrawn_at = advance(consent.state, "invalidated"), now
    session.add(consent)
    await stop_relays(session, tools, company, consent, "withdrawn", now=now)


async def _let_go(session: AsyncSession, consent: Consent, now: datetime) -> None:
    """The relays of a consent that ended by itself end with it; the agencies hear of it."""
    for relay in await relays_of(session, consent):
        state = advance_relay(relay.state, "expired")
        if state != relay.state:
            relay.state, relay.closed_at = state, now
            await _note(session, relay, "expired", "system", now)
            await note_word(session, relay, now)
            await announce(session, relay, "relay.updated", now)


async def _ask_anew(
    session: AsyncSession, tools: Tools, record: Candidate, consent: Consent, now: datetime
) -> None:
    """One mail: why nothing more is handed over, and the way to a new consent, if wanted."""
    candidate = await surviving(session, record)
    company = await session.get_one(Company, consent.company_id)
    agency = await session.get_one(Agency, consent.agency_id)
    profile = await vault.profile_of(session, tools.sealer, candidate)
    if not profile.get("email"):
        return
    locale = language(candidate.locale)
    await session.flush()
    await write_to_candidate(
        session,
        tools,
        company,
        candidate,
        profile,
        about=f"superseded:{consent.id}:{consent.event_id}",
        template="consent_superseded",
        values={
            "agency_name": consent_text.named(agency, locale),
            "ended_on": long_date(local_day(now), locale),
            "form": await newest_form(session, tools, candidate, now),
            "my_page": await new_my_page_link(session, tools, candidate, now),
            "privacy_contact": company.privacy_contact,
        },
        now=now,
    )


async def end(
    session: AsyncSession,
    candidate: Candidate,
    consent: Consent,
    now: datetime,
    *,
    channel: str,
    method: str,
) -> datetime:
    """The fact that a consent was taken back, and the row that says so; from which moment on."""
    now = await after_last_read(session, consent, now)
    await append(
        session, candidate, "withdrawn", now, agency_id=consent.agency_id,
        application_id=consent.application_id, text_id=consent.text_id, items=consent.items,
        locale=candidate.locale, method=method, channel=channel,
    )  # fmt: skip
    consent.state, consent.withdrawn_at = advance(consent.state, "withdrawn"), now
    session.add(consent)
    return now


async def after_last_read(session: AsyncSession, consent: Consent, now: datetime) -> datetime:
    """Now; or, where a read began later and had the consent's lock first, right after that read.

    Evidence and hand-overs have one order by their times. The caller holds the consent's lock.
    """
    wanted = select(func.max(Provision.last_provided_at)).where(
        col(Provision.company_id) == consent.company_id,
        col(Provision.candidate_id) == consent.candidate_id,
        col(Provision.consent_id) == consent.id,
    )
    last = (await session.scalars(wanted)).one()
    return now if last is None else max(now, last + timedelta(microseconds=1))


async def was_stopped(session: AsyncSession, relay: Relay) -> bool:
    """Whether the agency was told to stop using what came by this relay, whatever state it has.

    A consent given again later is carried out by another relay: else it would be handed over
    without a word that could stop it a second time.
    """
    wanted = select(RelayEvent.id).where(
        col(RelayEvent.company_id) == relay.company_id,
        col(RelayEvent.relay_id) == relay.id,
        col(RelayEvent.type).in_(("withdrawn", "erased")),
    )
    return (await session.scalars(wanted.limit(1))).first() is not None


async def stop_relays(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    consent: Consent,
    kind: str,
    *,
    now: datetime,
) -> None:
    """Stop everything under a consent; `kind` is `withdrawn` or `erased`.

    An agency that never heard of a relay hears nothing. One that did is told at once; if it read
    the person's data, it has three business days to acknowledge.
    """
    for relay in await relays_of(session, consent):
        await uncount_relay(session, relay, now)
        if relay.forwarded_at is None:
            relay.state, relay.closed_at = advance_relay(relay.state, "withdrawn"), now
            session.add(relay)
        elif await _is_news(session, tools, company, relay, kind, now=now):
            relay.state = advance_relay(relay.state, "withdrawn")
            relay.closed_at = relay.closed_at or now
            await _note(session, relay, kind, "candidate", now)
            await announce(session, relay, f"relay.{kind}", now)
        await note_word(session, relay, now)


async def consents_of(
    session: AsyncSession, candidate: Candidate, agency_ids: Collection[str] | None = None
) -> Sequence[Consent]:
    """The person's consents, locked, in one order."""
    wanted = select(Consent).where(
        col(Consent.company_id) == candidate.company_id, col(Consent.candidate_id) == candidate.id
    )
    if agency_ids is not None:
        wanted = wanted.where(col(Consent.agency_id).in_(agency_ids))
    locked = wanted.order_by(col(Consent.id)).with_for_update()
    return (await session.scalars(locked.execution_options(populate_existing=True))).all()


async def relays_of(session: AsyncSession, consent: Consent) -> Sequence[Relay]:
    """Every relay under a consent, locked, in one order."""
    wanted = (
        select(Relay)
        .where(col(Relay.company_id) == consent.company_id, col(Relay.consent_id) == consent.id)
        .order_by(col(Relay.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(wanted)).all()


async def _is_news(
    session: AsyncSession, tools: Tools, company: Company, relay: Relay, kind: str, *, now: datetime
) -> bool:
    """Whether the agency has to hear of this stop. A relay withdrawn before was told of then."""
    provided = select(Provision.id).where(
        col(Provision.company_id) == relay.company_id, col(Provision.relay_id) == relay.id
    )
    if (await session.scalars(provided)).first() is not None:
        return await write_stop(session, tools, company, relay, kind, now=now)
    return kind == "erased" or relay.state != "withdrawn"


async def write_stop(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    relay: Relay,
    kind: str,
    *,
    now: datetime,
    version: int = 0,
) -> bool:
    """Ask the agency for its word, once per relay, kind and `version` (of a correction)."""
    calendar = calendar_of(company.calendar, tools.holidays)
    due = after(calendar, local_day(now), ACKNOWLEDGE_DAYS)
    return await add_once(
        session,
        StopNotice(
            company_id=relay.company_id, id=new_id("stp"), agency_id=relay.agency_id,
            relay_id=relay.id, candidate_id=relay.candidate_id, kind=kind, version=version,
            due_on=due, look_at=due_before(due), created_at=now,
        ),
    )  # fmt: skip


async def _note(session: AsyncSession, relay: Relay, fact: str, actor: str, now: datetime) -> None:
    session.add(
        RelayEvent(
            company_id=relay.company_id, id=new_id("rev"), agency_id=relay.agency_id,
            relay_id=relay.id, type=fact, at=now, actor=actor, noted_at=now,
        )
    )  # fmt: skip
    session.add(relay)
    await session.flush()


async def _confirm(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    candidate: Candidate,
    ended: Sequence[Consent],
    *,
    now: datetime,
) -> None:
    """Say what was stopped, who was told, and what cannot be undone (domain rules 17.6)."""
    profile = await vault.profile_of(session, tools.sealer, candidate)
    if not profile.get("email"):
        return
    locale = language(candidate.locale)
    await session.flush()
    await write_to_candidate(
        session,
        tools,
        company,
        candidate,
        profile,
        about=f"withdrawal:{candidate.id}:{candidate.consent_seq}",
        template="withdrawal_confirmed",
        values={
            "withdrawn_on": long_date(local_day(now), locale),
            "agencies": [await _told(session, group, locale) for group in _by_agency(ended)],
            "acknowledge_days": ACKNOWLEDGE_DAYS,
            "form": await newest_form(session, tools, candidate, now),
            "my_page": await new_my_page_link(session, tools, candidate, now),
            "privacy_contact": company.privacy_contact,
        },
        now=now,
    )


def _by_agency(ended: Sequence[Consent]) -> list[list[Consent]]:
    """The consents of each agency: after a merge there may be more than one."""
    found: dict[str, list[Consent]] = {}
    for consent in ended:
        found.setdefault(consent.agency_id, []).append(consent)
    return list(found.values())


async def _told(
    session: AsyncSession, consents: Sequence[Consent], locale: str
) -> dict[str, object]:
    agency = await session.get_one(Agency, consents[0].agency_id)
    relays = [relay for consent in consents for relay in await relays_of(session, consent)]
    reached = any(relay.forwarded_at is not None for relay in relays)
    return {"name": consent_text.named(agency, locale), "told": reached}
