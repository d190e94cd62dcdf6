"""Files a person leaves for the agencies they choose: 履歴書, 職務経歴書. Sealed, like the rest."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.ports import Masked

KINDS = ("resume_file", "cv_file")
"""Codes of data items (domain rules 6.5)."""
TYPES = ("pdf", "docx")
MOST_BYTES = 5 * 1024 * 1024
SCANS = ("unscanned", "clean", "infected", "failed")
READERS = ("agency", "candidate", "officer")
REASONS = ("rights_request", "person_asked", "incident", "legal_claim")
"""Why an officer may open a file; the person sees which. Nobody browses."""
SCAN_JOB = "file.scan"
LINK_LIFE = timedelta(minutes=15)
"""How long a link of a package leads to a file; a new read of the package has a new one."""
SCAN_AGAIN = timedelta(minutes=15)
"""When a scan that gave no verdict is asked for again."""
RESCAN = timedelta(days=7)
"""What was clean is looked at again with newer signatures."""
_LONGEST_NAME = 80
_FALLBACK = {"resume_file": "rirekisho", "cv_file": "shokumukeirekisho"}


@dataclass(frozen=True, repr=False)
class HeldFile(Masked):
    """A file as it may be shown, to its owner or to an agency that may have it."""

    id: str
    kind: str
    name: str
    type: str
    size: int
    sha256: str
    scan: str
    created_at: datetime
    content: bytes = b""
    """Only where the content itself was asked for."""


def plain_name(given: str, kind: str, file_type: str) -> str:
    """A file's name without anything that hides, leads elsewhere or lies about its type.

    Directories, control characters and marks that turn the reading direction (`exe.txt` shown as
    `txt.exe`) are left out; the ending is that of what the file was found to be.
    """
    last = given.replace("\\", "/").rpartition("/")[2]
    visible = (one for one in last if unicodedata.category(one)[0] != "C" and one not in '<>:"|?*')
    stem, dot, ending = unicodedata.normalize("NFC", "".join(visible)).rpartition(".")
    name = stem if dot and ending.lower() in {"pdf", "docx", "doc"} else f"{stem}{dot}{ending}"
    kept = " ".join(name.split()).strip(". ")[:_LONGEST_NAME].strip()
    return f"{kept or _FALLBACK[kind]}.{file_type}"


def may_leave(scan: str, *, has_scanner: bool) -> bool:
    """Whether an agency may have the file. With a scanner, only what it found clean."""
    return scan == "clean" or (not has_scanner and scan in {"unscanned", "failed"})


def link_message(agency_id: str, relay_id: str, file_id: str, expires: int) -> str:
    """What the signature of a link covers: one agency, one relay, one file, until one second."""
    return f"{agency_id}:{relay_id}:{file_id}:{expires}"


class CandidateFile(Row, table=True):
    """What is known of a file: never its content, and its name only sealed."""

    __tablename__ = "candidate_file"
    __table_args__ = (
        one_of("kind", KINDS),
        one_of("type", TYPES),
        one_of("scan", SCANS),
        CheckConstraint(f"size BETWEEN 1 AND {MOST_BYTES}", name="size_allowed"),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index(
            "uq_candidate_file_kind", "company_id", "candidate_id", "kind",
            unique=True, postgresql_where="removed_at IS NULL",
        ),
        Index("ix_candidate_file_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    kind: str
    name: bytes | None = None
    type: str
    size: int
    sha256: str
    scan: str = "unscanned"
    scanner: str = ""
    scanned_at: datetime | None = instant(default=None)
    removed_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
    """When it is to be scanned (again)."""
    created_at: datetime = instant()


class CandidateFileBody(Row, table=True):
    """The content, sealed with the person's profile key; gone when the file is removed."""

    __tablename__ = "candidate_file_body"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "file_id"], ["candidate_file.company_id", "candidate_file.id"]
        ),
    )

    company_id: str = Field(primary_key=True)
    file_id: str = Field(primary_key=True)
    sealed: bytes


class FileAccess(Row, table=True):
    """Somebody opened a file: the person can see who, and when (append-only)."""

    __tablename__ = "file_access"
    __table_args__ = (
        one_of("reader", READERS),
        one_of("reason", REASONS),
        CheckConstraint("(reader = 'officer') = (reason IS NOT NULL)", name="reason_given"),
        CheckConstraint(
            "(reader = 'agency') = (agency_id IS NOT NULL AND relay_id IS NOT NULL)",
            name="agency_named",
        ),
        ForeignKeyConstraint(
            ["company_id", "file_id"], ["candidate_file.company_id", "candidate_file.id"]
        ),
        Index("ix_file_access_candidate", "company_id", "candidate_id", "id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    file_id: str
    reader: str
    agency_id: str | None = None
    relay_id: str | None = None
    provision_id: str | None = None
    actor: str
    reason: str | None = None
    at: datetime = instant()
