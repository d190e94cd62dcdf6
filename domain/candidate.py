"""The candidate: one person at one company. The personal is sealed; what finds is a keyed hash."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of

KEY_KINDS = ("profile", "record")


class Candidate(Row, table=True):
    """Names, addresses and wishes live in `profile`, sealed with the person's own data key.

    A record the ATS merged into another one stays, for its evidence; `merged_into_id` says whose
    it is now.
    """

    __tablename__ = "candidate"
    __table_args__ = (
        Index(
            "uq_candidate_external", "company_id", "connection_id", "external_id",
            unique=True, postgresql_where="external_id IS NOT NULL",
        ),
        Index("ix_candidate_company_id_email_hmac", "company_id", "email_hmac"),
        Index(
            "ix_candidate_merged_into", "company_id", "merged_into_id",
            postgresql_where="merged_into_id IS NOT NULL",
        ),
        Index(
            "ix_candidate_review_at", "review_at",
            postgresql_where="review_at IS NOT NULL AND erased_at IS NULL",
        ),
        CheckConstraint(
            "restricted_from IS NULL OR restricted_from IN ('provision', 'all')",
            name="restricted_from_known",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    connection_id: str = ""
    external_id: str | None = None
    profile: bytes | None = None
    email_hmac: bytes | None = None
    phone_hmac: bytes | None = None
    kana_birth_hmac: bytes | None = None
    locale: str = "ja"
    guardian_consent_at: datetime | None = instant(default=None)
    restricted_from: str | None = None
    """`provision`: nothing more is handed over; `all`: nothing is done with it but keeping it."""
    restricted_at: datetime | None = instant(default=None)
    opted_out_at: datetime | None = instant(default=None)
    erased_at: datetime | None = instant(default=None)
    merged_into_id: str | None = None
    consent_seq: int = 0
    consent_head: str = "0" * 64
    review_at: datetime | None = instant(default=None)
    """When to look whether the data is still needed."""
    created_at: datetime = instant()


class SubjectKey(Row, table=True):
    """A data key of one person, wrapped by the instance key ring. Destroying it is erasure."""

    __tablename__ = "subject_key"
    __table_args__ = (
        one_of("kind", KEY_KINDS),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("ix_subject_key_destroy_on", "destroy_on", postgresql_where="wrapped IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True)
    candidate_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    wrapped: bytes | None = None
    destroy_on: date | None = None
    """The first day on which nothing needs it any more, as far as is known."""
    destroyed_at: datetime | None = instant(default=None)
