"""A person's own notes after an interview. Nobody else's: never shown, never counted."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant

STAGES = ("first", "second", "final")
CHECKS = 5
THREE = 3
LONGEST = 2_000
"""Letters of one note."""


class Reflection(Row, table=True):
    """The notes about one application, in one sealed document."""

    __tablename__ = "reflection"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("uq_reflection_application", "company_id", "application_id", unique=True),
        Index("ix_reflection_candidate", "company_id", "candidate_id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    application_id: str
    sealed: bytes
    updated_at: datetime = instant()
    created_at: datetime = instant()
