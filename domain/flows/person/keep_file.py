"""Keep a person's 履歴書 or 職務経歴書: checked by content, sealed, one of a kind."""

from datetime import datetime
from hashlib import sha256

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.candidate import Candidate
from domain.candidate_file import (
    KINDS,
    MOST_BYTES,
    SCAN_AGAIN,
    SCAN_JOB,
    CandidateFile,
    CandidateFileBody,
    plain_name,
)
from domain.errors import Gone, Invalid, NotFound
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.relay.spread_correction import spread_correction
from domain.ids import new_id
from domain.jobs import later
from domain.ports import Tools


async def keep_file(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    kind: str,
    content: bytes,
    *,
    name: str,
    now: datetime,
) -> CandidateFile:
    """Keep a file in the place of the one of its kind. The same content again changes nothing.

    Agencies that hold the former one are told, as of any correction. Raises `Invalid` with a code
    (`file_kind_unknown`, `file_too_large` and those of `FileReader.check`), and `Gone` after an
    erasure.
    """
    if kind not in KINDS:
        raise Invalid(code="file_kind_unknown")
    if len(content) > MOST_BYTES:
        raise Invalid(code="file_too_large")
    file_type = await tools.files.check(content)
    # From here on two uploads at once come one after the other.
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if candidate.erased_at is not None:
        raise Gone(code="data_erased")
    former = await _standing(session, candidate, kind)
    digest = sha256(content).hexdigest()
    if former is not None and former.sha256 == digest and former.scan != "infected":
        return former
    if former is not None:
        await remove_file(session, candidate, former.id, now)
    kept = CandidateFile(
        company_id=candidate.company_id, id=new_id("fil"), candidate_id=candidate.id, kind=kind,
        type=file_type, size=len(content), sha256=digest, created_at=now,
    )  # fmt: skip
    await _write(session, tools, candidate, kept, name=name, content=content)
    await spread_correction(session, tools, candidate, [kind], now)
    return kept


async def remove_file(
    session: AsyncSession, candidate: Candidate, file_id: str, now: datetime
) -> None:
    """Let go of a file: its content and its name are gone, that there was one stays on record.

    Raises `NotFound` for a file that is not this person's. Removing twice is removing once.
    """
    file = await _locked(session, candidate, file_id)
    await session.execute(
        delete(CandidateFileBody).where(
            col(CandidateFileBody.company_id) == candidate.company_id,
            col(CandidateFileBody.file_id) == file_id,
        )
    )
    if file.removed_at is None:
        file.removed_at = now
    file.name = file.look_at = None
    session.add(file)
    await session.flush()


async def _locked(session: AsyncSession, candidate: Candidate, file_id: str) -> CandidateFile:
    """A file to change. An agency's read may be noted meanwhile: it names the file, no more."""
    wanted = (
        select(CandidateFile)
        .where(
            col(CandidateFile.company_id) == candidate.company_id,
            col(CandidateFile.id) == file_id,
            col(CandidateFile.candidate_id) == candidate.id,
        )
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    file = (await session.scalars(wanted)).first()
    if file is None:
        raise NotFound
    return file


async def _standing(session: AsyncSession, candidate: Candidate, kind: str) -> CandidateFile | None:
    wanted = select(CandidateFile).where(
        col(CandidateFile.company_id) == candidate.company_id,
        col(CandidateFile.candidate_id) == candidate.id,
        col(CandidateFile.kind) == kind,
        col(CandidateFile.removed_at).is_(None),
    )
    return (await session.scalars(wanted)).first()


async def _write(
    session: AsyncSession, tools: Tools, candidate: Candidate, file: CandidateFile, *,
    name: str, content: bytes,
) -> None:  # fmt: skip
    shown, sealer = plain_name(name, file.kind, file.type), tools.sealer
    file.name = await vault.seal(
        session, sealer, candidate, "profile", shown, about=f"file-name:{file.id}"
    )
    if tools.scanner is not None:
        file.look_at = file.created_at + SCAN_AGAIN  # should the job get lost
        await later(session, SCAN_JOB, file.company_id, file.id)
    session.add(file)
    await session.flush()
    body = await vault.seal_bytes(
        session, sealer, candidate, "profile", content, about=f"file:{file.id}"
    )
    session.add(CandidateFileBody(company_id=file.company_id, file_id=file.id, sealed=body))
    await session.flush()
