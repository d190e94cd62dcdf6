"""Erase a person: the key is destroyed, what was kept in the open is emptied, agencies are told.

What the law wants kept stays: consent events (ids and hashes only), records of hand-overs (the
name in them lies under the other key until its own date), ledger and audit. The certificate
(`Erasure`) says what was destroyed, by which rule, and until when the records stay.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import and_, case, delete, func, or_, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text, data_items, vault
from domain.access_proof import AccessProof
from domain.agency import Agency
from domain.application import Application
from domain.business_days import local_day, long_date
from domain.candidate import Candidate, SubjectKey
from domain.candidate_file import CandidateFile
from domain.company import Company
from domain.consent import ConsentEvent
from domain.delivery import Delivery
from domain.erasure import Erasure
from domain.feedback_request import FeedbackRequest
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.consent.withdraw_consent import consents_of, end, relays_of, stop_relays
from domain.flows.person.hold import is_held
from domain.flows.person.keep_file import remove_file
from domain.flows.relay.announce import rewrite_feed_item
from domain.flows.relay.count_relay import uncount_relay
from domain.flows.tell.open_notice import cancel_pending
from domain.flows.tell.set_deadline import void_deadlines
from domain.flows.tell.write_mail import language, write_mail
from domain.guardian import GuardianConsent
from domain.ids import new_id
from domain.invitation import CandidateLink
from domain.jobs import later
from domain.join_request import JoinRequest
from domain.notice import Mail, Notice, Suppression
from domain.ports import Tools
from domain.reflection import Reflection
from domain.relay import Provision, Relay
from domain.relay import advance as advance_relay
from domain.retention import after_months, record_until, rules_of
from domain.rights_request import OPEN, RightsRequest

_MONTHS = 12
_SEEN_BEFORE = ("given", "expired", "superseded")
"""Consents an erasure ends: what an agency got under an ended one is stopped as well."""


async def erase(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    *,
    rule: str,
    actor: str,
    now: datetime,
) -> Erasure | None:
    """From this commit on nobody reads the person's data. Null: held, or erased before.

    `rule` is one of `domain.erasure.RULES`. Agencies that hold data are told and must answer,
    except where only the time was over (`retention`): the consents had ended before, and what an
    agency keeps since then is its own. A person who asked for it gets a last mail.
    Nothing is owed any more: whoever is erased cannot be told a result.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if candidate.erased_at is not None or await is_held(session, candidate):
        return None
    company = await session.get_one(Company, candidate.company_id)
    tells = rule == "request" and candidate.merged_into_id is None
    known = await vault.profile_of(session, tools.sealer, candidate) if tells else {}
    await call_off(session, candidate, now)
    if rule != "retention":
        await _stop(session, tools, company, candidate, now)
    counts = await _empty(session, candidate, now)
    made = await _destroy(
        session, candidate, Erasure(
            company_id=company.id, id=new_id("era"), candidate_id=candidate.id, key_kind="profile",
            rule=rule, actor=actor, counts=counts, at=now,
        ),
    )  # fmt: skip
    if known.get("email"):
        await _say_farewell(session, tools, company, candidate, known=known, made=made)
    return made


async def erase_again(
    session: AsyncSession, candidate: Candidate, kept: Erasure, now: datetime
) -> bool:
    """Erase once more whom a restored backup has brought back; true when there was something to do.

    `kept` is the certificate as it was noted outside of the database. No mail is written and no
    agency is told a second time: its feed no longer shows the person, and that is all.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    key = await session.get(SubjectKey, (candidate.company_id, candidate.id, kept.key_kind))
    if key is None or key.wrapped is None:
        return False
    if kept.key_kind == "record":
        await _end_record(session, candidate, kept)
        return True
    await call_off(session, candidate, kept.at)
    if kept.rule != "retention":
        await _stop_silently(session, candidate, kept.at)
    kept.counts = await _empty(session, candidate, now)
    await _destroy(session, candidate, kept)
    return True


async def end_records(
    session: AsyncSession, company_id: str, candidate_id: str, now: datetime
) -> Erasure | None:
    """The statutory records' time is over: their key is destroyed as well. Null: not yet.

    Looked at again under lock: a hold, an open request, or a later date stops it.
    """
    candidate = await lock_candidate(session, company_id, candidate_id)
    if candidate.erased_at is None or await is_held(session, candidate):
        return None
    await plan_record_end(session, candidate, now)
    key = await session.get_one(SubjectKey, (company_id, candidate_id, "record"))
    if key.wrapped is None or key.destroy_on is None or local_day(now) < key.destroy_on:
        return None
    return await _end_record(
        session, candidate, Erasure(
            company_id=company_id, id=new_id("era"), candidate_id=candidate_id, key_kind="record",
            rule="record_end", actor="system", at=now,
        ),
    )  # fmt: skip


async def plan_record_end(
    session: AsyncSession, candidate: Candidate, now: datetime
) -> date | None:
    """Set the day on which the record key of an erased person is destroyed; the last day it stays.

    Null: nothing needs it any more, or something of it has no end yet (then no day is set).
    """
    company = await session.get_one(Company, candidate.company_id)
    dates, unfinished = await _record_dates(session, company, candidate)
    last = record_until(dates)
    key = await session.get_one(SubjectKey, (candidate.company_id, candidate.id, "record"))
    if key.wrapped is not None:
        key.destroy_on = None if unfinished else _day_after(last) or local_day(now)
        session.add(key)
        await session.flush()
    return last


async def call_off(session: AsyncSession, candidate: Candidate, now: datetime) -> None:
    """Nothing more goes out about the person's applications, and nothing is owed."""
    applications = select(Application.id).where(
        col(Application.company_id) == candidate.company_id,
        col(Application.candidate_id) == candidate.id,
    )
    for application_id in (await session.scalars(applications)).all():
        await cancel_pending(session, candidate.company_id, application_id, now)
        await void_deadlines(session, candidate.company_id, application_id, now)


async def _stop(
    session: AsyncSession, tools: Tools, company: Company, candidate: Candidate, now: datetime
) -> None:
    """End what was agreed; agencies that heard of the person hear of this."""
    for consent in await consents_of(session, candidate):
        at = now
        if consent.state in _SEEN_BEFORE:
            at = await end(session, candidate, consent, now, channel="web", method="erasure")
        await stop_relays(session, tools, company, consent, "erased", now=at)
    await session.flush()


async def _stop_silently(session: AsyncSession, candidate: Candidate, at: datetime) -> None:
    """The same for whom the agencies were asked before, in a time the database has forgotten."""
    for consent in await consents_of(session, candidate):
        if consent.state in _SEEN_BEFORE:
            await end(session, candidate, consent, at, channel="system", method="erasure_again")
        for relay in await relays_of(session, consent):
            await uncount_relay(session, relay, at)
            relay.state, relay.closed_at = (
                advance_relay(relay.state, "withdrawn"), relay.closed_at or at
            )  # fmt: skip
            session.add(relay)
            await session.flush()
            if relay.forwarded_at is not None:
                relay.version += 1
                await rewrite_feed_item(session, relay, "relay.erased", at)
    await session.flush()


async def _empty(session: AsyncSession, candidate: Candidate, now: datetime) -> dict[str, int]:
    """Mails, deliveries, files, notes and feedback lose their content; links stop working.

    Every statement finds its rows by an index on the person. Gives the rows touched, by table.
    """
    company_id, candidate_id = candidate.company_id, candidate.id
    counts: dict[str, int] = {}

    async def run(table: str, statement: Any) -> None:
        done: Any = await session.execute(statement)
        counts[table] = counts.get(table, 0) + int(done.rowcount)

    def theirs(table: Any) -> tuple[Any, Any]:
        return col(table.company_id) == company_id, col(table.candidate_id) == candidate_id

    mails = (col(Mail.tenant_id) == company_id, col(Mail.candidate_id) == candidate_id)
    await session.execute(
        update(Mail)
        .where(*mails, col(Mail.state).in_(("queued", "sending")))
        .values(state="cancelled", retry_at=None)
    )
    await run("mail", update(Mail).where(*mails).values(sealed=None))
    for about_them in (
        col(Delivery.candidate_id) == candidate_id,
        and_(text("also_about <> '[]'"), col(Delivery.also_about).contains([candidate_id])),
    ):
        emptied = update(Delivery).where(col(Delivery.company_id) == company_id, about_them)
        await run("delivery", emptied.values(body=None, headers=None, events=None))
    await run("notice", update(Notice).where(*theirs(Notice)).values(feedback=None))
    await run(
        "feedback_request",
        update(FeedbackRequest)
        .where(*theirs(FeedbackRequest))
        .values(
            draft=None, answer=None, look_at=None,
            state=case(
                (col(FeedbackRequest.state).in_(("asked", "to_approve")), "void"),
                else_=col(FeedbackRequest.state),
            ),
        ),
    )  # fmt: skip
    await run("reflection", delete(Reflection).where(*theirs(Reflection)))
    await run("access_proof", delete(AccessProof).where(*theirs(AccessProof)))
    await _remove_files(session, candidate, counts, now)
    if candidate.email_hmac is not None:
        address = candidate.email_hmac
        asked = (col(JoinRequest.company_id) == company_id, col(JoinRequest.email_hmac) == address)
        await run("join_request", delete(JoinRequest).where(*asked))
        dead = (col(Suppression.tenant_id) == company_id, col(Suppression.email_hmac) == address)
        await run("suppression", delete(Suppression).where(*dead))
    standing = update(CandidateLink).where(
        *theirs(CandidateLink), col(CandidateLink.revoked_at).is_(None)
    )
    await run("candidate_link", standing.values(revoked_at=now))
    return {table: count for table, count in counts.items() if count}


async def _remove_files(
    session: AsyncSession, candidate: Candidate, counts: dict[str, int], now: datetime
) -> None:
    """Files lose their content and their names; that they were there, and who read them, stays."""
    wanted = select(CandidateFile.id).where(
        col(CandidateFile.company_id) == candidate.company_id,
        col(CandidateFile.candidate_id) == candidate.id,
        or_(col(CandidateFile.removed_at).is_(None), col(CandidateFile.name).is_not(None)),
    )
    found = (await session.scalars(wanted.order_by(col(CandidateFile.id)))).all()
    for file_id in found:
        await remove_file(session, candidate, file_id, now)
    counts["candidate_file"] = len(found)


async def _destroy(session: AsyncSession, candidate: Candidate, made: Erasure) -> Erasure:
    """The profile key, what finds the person, and the certificate of it."""
    await vault.destroy(session, candidate, "profile", made.at)
    candidate.profile = candidate.email_hmac = candidate.phone_hmac = None
    candidate.kana_birth_hmac, candidate.review_at = None, None
    candidate.erased_at = made.at
    session.add(candidate)
    await session.flush()
    made.records_until = await plan_record_end(session, candidate, made.at)
    return await _certify(session, made)


async def _end_record(session: AsyncSession, candidate: Candidate, made: Erasure) -> Erasure:
    await vault.destroy(session, candidate, "record", made.at)
    return await _certify(session, made)


async def _certify(session: AsyncSession, made: Erasure) -> Erasure:
    """Write the certificate, and ask for its copy outside of the database."""
    there = await session.get(Erasure, (made.company_id, made.id))
    if there is None:
        session.add(made)
    await session.flush()
    await later(session, "erasure.log", made.company_id, made.id)
    return made


async def _record_dates(
    session: AsyncSession, company: Company, candidate: Candidate
) -> tuple[list[date], bool]:
    """The last days of what lies under the record key; whether something has no end yet."""
    years = rules_of(company.retention, company.retention_months)["evidence_years"]

    def theirs(table: Any) -> tuple[Any, Any]:
        return col(table.company_id) == candidate.company_id, col(
            table.candidate_id
        ) == candidate.id

    provided = select(func.max(Provision.retention_until)).where(*theirs(Provision))
    answered = select(func.max(RightsRequest.retention_until)).where(*theirs(RightsRequest))
    agreed = (
        select(ConsentEvent.at)
        .where(*theirs(ConsentEvent))
        .order_by(col(ConsentEvent.seq).desc())
        .limit(1)
    )
    guarded = select(func.max(GuardianConsent.at)).where(*theirs(GuardianConsent))
    days = [(await session.scalars(one)).first() for one in (provided, answered)]
    moments = [(await session.scalars(one)).first() for one in (agreed, guarded)]
    ends = [after_months(local_day(at), _MONTHS * years) for at in moments if at is not None]
    waiting = select(RightsRequest.id).where(
        *theirs(RightsRequest), col(RightsRequest.state).in_(OPEN)
    )
    unfinished = (await session.scalars(waiting.limit(1))).first() is not None
    return [*(day for day in days if day is not None), *ends], unfinished


def _day_after(last: date | None) -> date | None:
    return None if last is None else date.fromordinal(last.toordinal() + 1)


async def _say_farewell(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    candidate: Candidate,
    *,
    known: dict[str, Any],
    made: Erasure,
) -> None:
    """The last mail: what is gone, who was asked to erase, what stays and until when.

    It is nobody's any more (no `candidate_id`), sealed by the ring, and emptied once it was sent.
    """
    locale = language(candidate.locale)
    await write_mail(
        session,
        tools,
        tenant_id=company.id,
        about=f"erased:{made.id}",
        template="erased_farewell",
        locale=locale,
        to=known["email"],
        values={
            "name": data_items.full_name(known),
            "company_name": consent_text.named(company, locale),
            "erased_on": long_date(local_day(made.at), locale),
            "agencies": [
                consent_text.named(agency, locale) for agency in await _reached(session, candidate)
            ],
            "records_until": long_date(made.records_until, locale) if made.records_until else "",
            "certificate": made.id,
            "privacy_contact": company.privacy_contact,
        },
        now=made.at,
        from_name=consent_text.named(company, locale),
    )


async def _reached(session: AsyncSession, candidate: Candidate) -> Sequence[Agency]:
    """Agencies that ever heard of the person."""
    heard = select(Relay.agency_id).where(
        col(Relay.company_id) == candidate.company_id,
        col(Relay.candidate_id) == candidate.id,
        col(Relay.forwarded_at).is_not(None),
    )
    wanted = select(Agency).where(col(Agency.id).in_(heard)).order_by(col(Agency.name))
    return (await session.scalars(wanted)).all()
