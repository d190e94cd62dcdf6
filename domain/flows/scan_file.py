"""Have a file scanned: its content leaves for the scanner with no transaction open."""

from datetime import datetime
from typing import Literal

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from domain.candidate_file import (
    RESCAN,
    SCAN_AGAIN,
    SCAN_JOB,
    CandidateFile,
    CandidateFileBody,
)
from domain.jobs import later
from domain.ports import Tools
from domain.store import find
from domain.views.files import content_of

Verdict = Literal["clean", "infected", "failed"]


async def to_scan(
    session: AsyncSession, tools: Tools, company_id: str, file_id: str
) -> bytes | None:
    """What is to be scanned; null when there is nothing left to scan."""
    file = await find(session, CandidateFile, company_id, file_id)
    if file is None or file.removed_at is not None or file.scan == "infected":
        return None
    return await content_of(session, tools.sealer, file)


async def note_scan(
    session: AsyncSession, company_id: str, file_id: str, verdict: Verdict, *, by: str,
    now: datetime,
) -> None:  # fmt: skip
    """Note what the scanner said. What is infected is destroyed; that it was, the person sees.

    A scan without a verdict is asked for again, and does not take back an earlier one.
    """
    file = await find(session, CandidateFile, company_id, file_id, for_update=True)
    if file is None or file.removed_at is not None or file.scan == "infected":
        return
    if not (verdict == "failed" and file.scan == "clean"):
        file.scan, file.scanner, file.scanned_at = verdict, by, now
    file.look_at = {"clean": now + RESCAN, "failed": now + SCAN_AGAIN}.get(verdict)
    session.add(file)
    if verdict == "infected":
        await session.execute(
            delete(CandidateFileBody).where(
                col(CandidateFileBody.company_id) == company_id,
                col(CandidateFileBody.file_id) == file_id,
            )
        )
    await session.flush()


async def ask_for_scan(
    session: AsyncSession, tools: Tools, company_id: str, file_id: str, now: datetime
) -> None:
    """The sweep's look at a file: have it scanned (again), if there is a scanner."""
    file = await find(session, CandidateFile, company_id, file_id, for_update=True)
    if file is None or file.look_at is None or file.look_at > now:
        return
    file.look_at = None
    if tools.scanner is not None and file.removed_at is None and file.scan != "infected":
        file.look_at = now + SCAN_AGAIN
        await later(session, SCAN_JOB, company_id, file_id)
    session.add(file)
    await session.flush()
