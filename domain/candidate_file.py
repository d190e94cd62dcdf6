"""Files a person leaves for the agencies they choose: 履歴書, 職務経歴書. Sealed, like the rest."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of

KINDS = ("resume_file", "cv_file")
"""Codes of data items (domain rules 6.5)."""
TYPES = ("pdf", "docx")
MOST_BYTES = 5 * 1024 * 1024
SCANS = ("unscanned", "clean", "infected", "failed")
READERS = ("agency", "candidate", "officer")


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
    at: datetime = instant()
