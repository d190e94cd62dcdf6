"""A person's record is deleted, by the ATS or by the person; or merged into another one."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from domain import data_items, vault
from domain.application import Application
from domain.candidate import Candidate
from domain.candidate_file import CandidateFile, CandidateFileBody
from domain.erasure import Erasure
from domain.errors import Gone
from domain.feedback_request import FeedbackRequest
from domain.flows.consent.join_consents import ask_to_join
from domain.flows.person.erase_candidate import call_off, erase
from domain.flows.person.keep_file import remove_file
from domain.flows.relay.spread_correction import ask_to_spread
from domain.invitation import CandidateLink, Invitation
from domain.notice import Notice
from domain.ports import Tools
from domain.reflection import Reflection


async def delete(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    now: datetime,
    *,
    rule: str = "ats",
    actor: str = "system",
) -> Erasure | None:
    """Nothing goes out any more, nothing is owed any more, and the person's data is erased.

    Records merged into this person are the same person. Gives the certificate; null: erased
    before, or a legal hold stands. Then nothing is done with the data but keeping it, until the
    hold is released and `retain.review` looks again.
    """
    made: Erasure | None = None
    for one in [candidate, *await _absorbed(session, candidate)]:
        certificate = await erase(session, tools, one, rule=rule, actor=actor, now=now)
        made = made or certificate
        if certificate is None:
            await call_off(session, one, now)
            await _only_keep(session, one, now)
    return made


async def _only_keep(session: AsyncSession, candidate: Candidate, now: datetime) -> None:
    """Who is held, and was to be erased: nothing is done with the data but keeping it."""
    if candidate.erased_at is None:
        candidate.restricted_from = "all"
        candidate.restricted_at = candidate.restricted_at or now
        session.add(candidate)
        await session.flush()


async def merge(
    session: AsyncSession, tools: Tools, absorbed: Candidate, survivor: Candidate
) -> Candidate:
    """Let one record have the applications, under the surviving number; gives that record.

    Nothing that proves a consent is moved: consents are evidence about the record they were given
    for. Where only the absorbed record has any, or only it is known to us at all, it lives on here.
    """
    if survivor.id == absorbed.id:
        return survivor
    kept, other = survivor, absorbed
    if survivor.profile is None or (absorbed.consent_seq and not survivor.consent_seq):
        await _swap_numbers(session, absorbed, survivor)
        kept, other = absorbed, survivor
        await _take_profile(session, tools, kept, other)
    await _hand_over(session, tools, other, kept)
    other.merged_into_id = kept.id
    session.add(other)
    await session.flush()
    await ask_to_join(session, kept, other)
    return kept


async def _swap_numbers(session: AsyncSession, one: Candidate, two: Candidate) -> None:
    mine, yours = one.external_id, two.external_id
    one.external_id = None  # the two numbers may not be the same at any moment
    session.add(one)
    await session.flush()
    two.external_id = mine
    session.add(two)
    await session.flush()
    one.external_id = yours
    session.add(one)
    await session.flush()


async def _take_profile(
    session: AsyncSession, tools: Tools, kept: Candidate, other: Candidate
) -> None:
    """The surviving record's facts; where it has none, what was known before."""
    if kept.erased_at is not None or other.erased_at is not None:
        return
    newer = await vault.profile_of(session, tools.sealer, other)
    older = await vault.profile_of(session, tools.sealer, kept)
    both = {**older, **newer}
    await vault.set_profile(session, tools.sealer, kept, both)
    await ask_to_spread(session, kept, data_items.changed(older, both))


async def _hand_over(
    session: AsyncSession, tools: Tools, other: Candidate, kept: Candidate
) -> None:
    """Applications and what hangs on them name the surviving record from here on.

    Rights requests, holds and a guardian's consent stay: they are evidence about the record they
    were written for, sealed with its record key, and found over all of a person's records.
    """
    await _reseal_feedback(session, tools, other, kept)
    await _reseal_requests(session, tools, other, kept)
    await _reseal_notes(session, tools, other, kept)
    await _reseal_files(session, tools, other, kept)
    if other.restricted_from is not None and kept.restricted_from != "all":
        kept.restricted_from, kept.restricted_at = other.restricted_from, other.restricted_at
    kept.opted_out_at = kept.opted_out_at or other.opted_out_at
    kept.guardian_consent_at = kept.guardian_consent_at or other.guardian_consent_at
    kept.review_at, other.review_at = kept.review_at or other.review_at, None
    session.add_all([kept, other])
    for table in (Application, Invitation, CandidateLink, Notice):
        await session.execute(
            update(table)
            .where(col(table.company_id) == other.company_id, col(table.candidate_id) == other.id)
            .values(candidate_id=kept.id)
        )
    await session.execute(
        update(Candidate)
        .where(
            col(Candidate.company_id) == other.company_id,
            col(Candidate.merged_into_id) == other.id,
        )
        .values(merged_into_id=kept.id)
    )


async def _reseal_feedback(
    session: AsyncSession, tools: Tools, other: Candidate, kept: Candidate
) -> None:
    wanted = (
        select(Notice)
        .where(
            col(Notice.company_id) == other.company_id,
            col(Notice.candidate_id) == other.id,
            col(Notice.feedback).is_not(None),
        )
        .with_for_update()
    )
    for notice in (await session.scalars(wanted)).all():
        about = f"feedback:{notice.id}"
        try:
            words = await vault.unseal(
                session, tools.sealer, other, "profile", notice.feedback or b"", about=about
            )
            notice.feedback = await vault.seal(
                session, tools.sealer, kept, "profile", words, about=about
            )
        except Gone:  # one of the two was erased: so are the words
            notice.feedback = None
        session.add(notice)
    await session.flush()


async def _reseal_requests(
    session: AsyncSession, tools: Tools, other: Candidate, kept: Candidate
) -> None:
    """Requests for feedback, with drafts and answers."""
    wanted = select(FeedbackRequest).where(*_whose(FeedbackRequest, other)).with_for_update()
    for row in (await session.scalars(wanted)).all():
        for column in ("draft", "answer"):
            sealed = getattr(row, column)
            about = f"feedback_request:{row.id}:{column}"
            moved = await _resealed(session, tools, other, kept, sealed, about=about)
            setattr(row, column, moved)
        row.candidate_id = kept.id
        session.add(row)
    await session.flush()


async def _reseal_notes(
    session: AsyncSession, tools: Tools, other: Candidate, kept: Candidate
) -> None:
    """The person's own notes: those nobody can open any more are gone."""
    wanted = select(Reflection).where(*_whose(Reflection, other)).with_for_update()
    for row in (await session.scalars(wanted)).all():
        about = f"reflection:{row.application_id}"
        moved = await _resealed(session, tools, other, kept, row.sealed, about=about)
        if moved is None:
            await session.delete(row)
            continue
        row.sealed, row.candidate_id = moved, kept.id
        session.add(row)
    await session.flush()


async def _reseal_files(
    session: AsyncSession, tools: Tools, other: Candidate, kept: Candidate
) -> None:
    """Files. Of two of a kind the one that was left last stays."""
    newest = {row.kind: row for row in await _files(session, kept)}
    for row in await _files(session, other):
        there = newest.get(row.kind)
        if there is not None and there.id > row.id:
            await remove_file(session, other, row.id, there.created_at)
            continue
        if there is not None:
            await remove_file(session, kept, there.id, row.created_at)
        body = await session.get(CandidateFileBody, (row.company_id, row.id))
        row.name = await _resealed(
            session, tools, other, kept, row.name, about=f"file-name:{row.id}"
        )
        if body is not None:
            moved = await _resealed(
                session, tools, other, kept, body.sealed, about=f"file:{row.id}"
            )
            if moved is None:
                await session.delete(body)
            else:
                body.sealed = moved
                session.add(body)
        row.candidate_id = kept.id
        session.add(row)
        await session.flush()


async def _files(session: AsyncSession, candidate: Candidate) -> list[CandidateFile]:
    wanted = select(CandidateFile).where(
        *_whose(CandidateFile, candidate), col(CandidateFile.removed_at).is_(None)
    )
    return list((await session.scalars(wanted.with_for_update())).all())


async def _resealed(
    session: AsyncSession,
    tools: Tools,
    other: Candidate,
    kept: Candidate,
    sealed: bytes | None,
    *,
    about: str,
) -> bytes | None:
    """The same bytes under the surviving record's profile key; null where one was erased."""
    if sealed is None:
        return None
    try:
        plain = await vault.unseal_bytes(
            session, tools.sealer, other, "profile", sealed, about=about
        )
        return await vault.seal_bytes(session, tools.sealer, kept, "profile", plain, about=about)
    except Gone:
        return None


def _whose(table: Any, candidate: Candidate) -> tuple[Any, Any]:
    return (
        col(table.company_id) == candidate.company_id,
        col(table.candidate_id) == candidate.id,
    )


async def _absorbed(session: AsyncSession, candidate: Candidate) -> list[Candidate]:
    wanted = select(Candidate).where(
        col(Candidate.company_id) == candidate.company_id,
        col(Candidate.merged_into_id) == candidate.id,
    )
    return list((await session.scalars(wanted.with_for_update(key_share=True))).all())
