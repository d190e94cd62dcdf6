"""A person's files, and who has looked at them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.candidate import Candidate
from domain.candidate_file import CandidateFile, CandidateFileBody, HeldFile
from domain.data_items import in_order
from domain.ports import Sealer
from domain.store import find

_ACCESSES = text("""
SELECT f.file_id, c.kind, f.reader, a.name AS agency, a.name_en AS agency_en, f.reason, f.actor,
       f.at
FROM file_access f
JOIN candidate_file c ON c.company_id = f.company_id AND c.id = f.file_id
LEFT JOIN agency a ON a.id = f.agency_id
WHERE f.company_id = :company AND f.candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
ORDER BY f.at DESC, f.id DESC
""")


@dataclass(frozen=True)
class Access:
    """Somebody opened a file: which one, who, when. `agency` is empty for anybody else.

    `reason` is an officer's; `actor` is for the company's own people.
    """

    file_id: str
    kind: str
    reader: str
    agency: str
    agency_en: str
    reason: str | None
    actor: str
    at: datetime


async def files_of(session: AsyncSession, sealer: Sealer, candidate: Candidate) -> list[HeldFile]:
    """The files we hold for a person, in the order of the form; without their content."""
    found = {file.kind: file for file in await _standing(session, candidate)}
    return [await held(session, sealer, candidate, found[kind]) for kind in in_order(found)]


async def kinds_of(session: AsyncSession, candidate: Candidate) -> list[str]:
    """Of which kinds there is a file that may be offered to an agency: codes of data items."""
    found = await _standing(session, candidate)
    return in_order(file.kind for file in found if file.scan != "infected")


async def accesses_of(session: AsyncSession, candidate: Candidate) -> list[Access]:
    """Who has opened the person's files, newest first, also those that are gone by now."""
    where = {"company": candidate.company_id, "candidate": candidate.id}
    rows = (await session.execute(_ACCESSES, where)).all()
    return [
        Access(
            row.file_id, row.kind, row.reader, row.agency or "",
            row.agency_en or row.agency or "", row.reason, row.actor, row.at,
        )
        for row in rows
    ]  # fmt: skip


async def held(
    session: AsyncSession, sealer: Sealer, owner: Candidate, file: CandidateFile,
    content: bytes = b"",
) -> HeldFile:  # fmt: skip
    """A file as it may be shown, with its name opened."""
    name = ""
    if file.name is not None:
        name = await vault.unseal(
            session, sealer, owner, "profile", file.name, about=f"file-name:{file.id}"
        )
    return HeldFile(
        id=file.id, kind=file.kind, name=name, type=file.type, size=file.size,
        sha256=file.sha256, scan=file.scan, created_at=file.created_at, content=content,
    )  # fmt: skip


async def content_of(session: AsyncSession, sealer: Sealer, file: CandidateFile) -> bytes | None:
    """What is in a file; null when its content is gone. Raises `Gone` after an erasure."""
    place = (file.company_id, file.id)
    body = await session.get(CandidateFileBody, place, populate_existing=True)
    owner = await find(session, Candidate, file.company_id, file.candidate_id)
    if body is None or owner is None:
        return None
    return await vault.unseal_bytes(
        session, sealer, owner, "profile", body.sealed, about=f"file:{file.id}"
    )


async def _standing(session: AsyncSession, candidate: Candidate) -> list[CandidateFile]:
    wanted = select(CandidateFile).where(
        col(CandidateFile.company_id) == candidate.company_id,
        col(CandidateFile.candidate_id) == candidate.id,
        col(CandidateFile.removed_at).is_(None),
    )
    return list((await session.scalars(wanted)).all())
