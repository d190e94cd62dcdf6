"""Whoever is under eighteen needs a guardian's consent before they are relayed (民法 5)."""

from datetime import date, datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of

ADULT_AT = 18
METHODS = ("paper", "phone_recorded", "mail")


def is_minor(birth_date: date | None, applicant_type: str, today: date) -> bool:
    """Whether a guardian must agree: by what the company said, or by the day of birth.

    A year of age is complete at the end of the day before the birthday (年齢計算ニ関スル法律).
    """
    if birth_date is None:
        return applicant_type == "minor"
    return today < _birthday(birth_date, ADULT_AT)


def _birthday(born: date, years: int) -> date:
    try:
        return born.replace(year=born.year + years)
    except ValueError:  # born on 29 February
        return date(born.year + years, 3, 1)


class GuardianConsent(Row, table=True):
    """Recorded by the privacy officer: who agreed, and where the paper lies (sealed)."""

    __tablename__ = "guardian_consent"
    __table_args__ = (
        one_of("method", METHODS),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("ix_guardian_consent_candidate", "company_id", "candidate_id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    sealed: bytes
    method: str
    recorded_by: str
    at: datetime = instant()
    revoked_at: datetime | None = instant(default=None)
    revoked_by: str | None = None
