"""The privacy officer opens a person's file: for a reason, and the person sees that it was done."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.candidate import Candidate
from domain.candidate_file import REASONS, CandidateFile, FileAccess, HeldFile
from domain.errors import Conflict, Gone, Invalid, NotFound
from domain.ids import new_id
from domain.ports import Tools
from domain.store import find
from domain.views.files import content_of, held


async def open_file(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    candidate_id: str,
    file_id: str,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> HeldFile:
    """A file with its content; who opened it, when and why is kept before it leaves.

    Raises `Invalid` (`reason_missing`), `NotFound`, `Conflict` (`file_infected`) and `Gone`
    (`file_removed`, `data_erased`).
    """
    if reason not in REASONS:
        raise Invalid(code="reason_missing")
    file = await find(session, CandidateFile, company_id, file_id)
    if file is None or file.candidate_id != candidate_id:
        raise NotFound
    if file.scan == "infected":
        raise Conflict("the scanner found something in the file", code="file_infected")
    content = None if file.removed_at else await content_of(session, tools.sealer, file)
    if content is None:
        raise Gone("the person has taken the file back", code="file_removed")
    session.add(
        FileAccess(
            company_id=company_id, id=new_id("fac"), candidate_id=candidate_id, file_id=file_id,
            reader="officer", actor=actor, reason=reason, at=now,
        )
    )  # fmt: skip
    await session.flush()
    owner = await session.get_one(Candidate, (company_id, candidate_id))
    return await held(session, tools.sealer, owner, file, content)
