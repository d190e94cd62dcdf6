"""Have a file scanned: its content leaves for the scanner with no transaction open."""

from datetime import datetime
from typing import Literal

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from domain import vault
from domain.candidate import Candidate
from domain.candidate_file import (
    RESCAN,
    SCAN_AGAIN,
    SCAN_JOB,
    CandidateFile,
    CandidateFileBody,
)
from domain.company import Company
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.relay.spread_correction import spread_correction
from domain.flows.tell.write_mail import write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link
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
    session: AsyncSession, tools: Tools, company_id: str, file_id: str, verdict: Verdict, *,
    by: str, now: datetime,
) -> None:  # fmt: skip
    """Note what the scanner said. What is infected is destroyed, and the person is told by mail.

    Agencies that were handed it before hear of it as of any correction. A scan without a verdict
    is asked for again, and does not take back an earlier one.
    """
    seen = await find(session, CandidateFile, company_id, file_id)
    if seen is None:
        return
    # The person first, as whoever replaces or removes a file does.
    owner = await lock_candidate(session, company_id, seen.candidate_id)
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
    if verdict == "infected":
        await spread_correction(session, tools, owner, [file.kind], now)
        await _tell(session, tools, owner, file, now)


async def _tell(
    session: AsyncSession, tools: Tools, owner: Candidate, file: CandidateFile, now: datetime
) -> None:
    """Who sent it may have the virus at home, and can send another file."""
    profile = await vault.profile_of(session, tools.sealer, owner)
    if not profile.get("email"):
        return
    company = await session.get_one(Company, owner.company_id)
    await write_to_candidate(
        session, tools, company, owner, profile,
        about=f"file_infected:{file.id}", template="file_infected",
        values={
            "kind": file.kind,
            "my_page": await new_my_page_link(session, tools, owner, now),
            "privacy_contact": company.privacy_contact,
        },
        now=now,
    )  # fmt: skip


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
