"""A person's record is deleted, by the ATS or by the person; or merged into another one."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.errors import Gone
from domain.flows.erase_candidate import start_erasure
from domain.flows.open_notice import cancel_pending
from domain.flows.set_deadline import void_deadlines
from domain.invitation import CandidateLink, Invitation
from domain.notice import Notice
from domain.ports import Tools


async def delete(session: AsyncSession, tools: Tools, candidate: Candidate, now: datetime) -> None:
    """Nothing goes out any more, nothing is owed any more, and the person's data is erased.

    Records merged into this person are the same person.
    """
    for one in [candidate, *await _absorbed(session, candidate)]:
        for application_id in await _applications(session, one):
            await cancel_pending(session, one.company_id, application_id, now)
            await void_deadlines(session, one.company_id, application_id, now)
        if one.erased_at is None:
            await start_erasure(session, tools, one, now)


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
    await vault.set_profile(session, tools.sealer, kept, {**older, **newer})


async def _hand_over(
    session: AsyncSession, tools: Tools, other: Candidate, kept: Candidate
) -> None:
    """Applications and what hangs on them name the surviving record from here on."""
    await _reseal_feedback(session, tools, other, kept)
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


async def _absorbed(session: AsyncSession, candidate: Candidate) -> list[Candidate]:
    wanted = select(Candidate).where(
        col(Candidate.company_id) == candidate.company_id,
        col(Candidate.merged_into_id) == candidate.id,
    )
    return list((await session.scalars(wanted.with_for_update())).all())


async def _applications(session: AsyncSession, candidate: Candidate) -> list[str]:
    wanted = select(Application.id).where(
        col(Application.company_id) == candidate.company_id,
        col(Application.candidate_id) == candidate.id,
    )
    return list((await session.scalars(wanted.order_by(col(Application.id)))).all())
