"""Erasure by destroying keys, and what stops it. The certificate holds ids and counts, no person.

(個人情報保護法 22, 35; domain rules 8, consent rules 21.)
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

KEYS = ("profile", "record")
RULES = ("request", "ats", "retention", "record_end")
"""Why: the person asked, the company's system deleted them, the time was over, the records' was."""


class Erasure(Row, table=True):
    """The certificate: what was destroyed, when, by which rule (append-only)."""

    __tablename__ = "erasure"
    __table_args__ = (
        one_of("key_kind", KEYS),
        one_of("rule", RULES),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("uq_erasure_key", "company_id", "candidate_id", "key_kind", unique=True),
        Index("ix_erasure_at", "at"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    key_kind: str
    rule: str
    actor: str
    counts: dict[str, Any] = document(default_factory=dict)
    """Rows emptied or removed, by table."""
    at: datetime = instant()
    records_until: date | None = None
    """The day after which the statutory records' key is destroyed as well."""


class LegalHold(Row, table=True):
    """Nothing of this person is erased while it stands: who said so, and why (sealed)."""

    __tablename__ = "legal_hold"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index(
            "uq_legal_hold_standing", "company_id", "candidate_id",
            unique=True, postgresql_where="released_at IS NULL",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    reason: bytes
    set_by: str
    set_at: datetime = instant()
    released_by: str | None = None
    released_at: datetime | None = instant(default=None)
