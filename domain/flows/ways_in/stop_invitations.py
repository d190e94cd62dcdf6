"""A person wants no more invitations by mail. It stops mail and never changes a consent."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import Candidate
from domain.flows.ways_in.open_candidate_link import open_candidate_link
from domain.invitation import Invitation
from domain.store import lock


async def stop_invitations(session: AsyncSession, token: str, now: datetime) -> bool:
    """Note it for the person behind this link; false for a link we never gave out.

    Saying it again changes nothing. Open invitations stay open, without a reminder.
    """
    opened = await open_candidate_link(session, token)
    if opened is None:
        return False
    candidate = await lock(session, Candidate, opened.company.id, opened.candidate.id)
    candidate.opted_out_at = candidate.opted_out_at or now
    session.add(candidate)
    waiting = (
        select(Invitation)
        .where(
            col(Invitation.company_id) == candidate.company_id,
            col(Invitation.candidate_id) == candidate.id,
            col(Invitation.state) == "invited",
        )
        .with_for_update()
    )
    for invitation in (await session.scalars(waiting)).all():
        invitation.mail_at, invitation.look_at = None, invitation.expires_at
        session.add(invitation)
    await session.flush()
    return True
