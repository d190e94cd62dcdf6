"""A month of a book, closed: what both sides are told, signed, and what they say to it."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant

ANSWER_DAYS = 10
"""Business days in which each side accepts or contests; silence is recorded as silence."""


class Statement(Row, table=True):
    """The document of a closed month, as it was signed. Only the answers to it come later."""

    __tablename__ = "statement"
    __table_args__ = (
        CheckConstraint(
            "company_answer IS NULL OR company_answer IN ('accepted', 'contested')",
            name="company_answer_known",
        ),
        CheckConstraint(
            "agency_answer IS NULL OR agency_answer IN ('accepted', 'contested')",
            name="agency_answer_known",
        ),
        ForeignKeyConstraint(["company_id", "book_id"], ["book.company_id", "book.id"]),
        Index("uq_statement_month", "company_id", "book_id", "month", unique=True),
        Index("ix_statement_agency", "agency_id", "month"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    book_id: str
    month: date
    """Its first day."""
    seq: int = Field(sa_type=BigInteger)
    """The book's newest transaction when the month was closed."""
    head_hash: bytes
    document: bytes
    """Canonical JSON (sorted keys, no spaces, UTF-8): the bytes that were signed."""
    sha256: str
    signature: str
    """Detached JWS (Ed25519, keys at `/.well-known/ledger-keys.json`)."""
    answer_due_on: date
    company_answer: str | None = None
    company_answered_by: str | None = None
    company_answered_at: datetime | None = instant(default=None)
    agency_answer: str | None = None
    agency_answered_by: str | None = None
    agency_answered_at: datetime | None = instant(default=None)
    closed_at: datetime = instant()
