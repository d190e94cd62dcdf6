"""What a company says and does about people's data: who handles it, how long, what may be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.company import Company
from domain.consent_text import FORBIDDEN
from domain.errors import Invalid
from domain.retention import rules_of

LONGEST = 500
MOST_MONTHS = 60
MOST_JOBS = 50
_LONGEST_JOB = 200


@dataclass(frozen=True)
class Settings:
    """What the privacy officer decides. Texts stand on every form from then on."""

    privacy_officer: str
    privacy_contact: str
    processors: str
    processors_en: str
    retention_months: int
    retention: Mapping[str, int] = field(default_factory=dict)
    """Rules that differ from the defaults (`domain/retention.py`)."""
    feedback_requests: bool = False
    reapplication_months: int = 6
    job_reapplication: Mapping[str, int] = field(default_factory=dict)
    """Months until one may apply again, by job title, where they differ; 0: at any time."""


async def change_privacy_settings(
    session: AsyncSession, company_id: str, wish: Settings, now: datetime
) -> Company:
    """Take them over. What was consented to before keeps the words it was given under.

    Raises `Invalid`: `text_missing`, `reward_offered`, `months_invalid`, `retention_invalid`,
    `jobs_invalid`.
    """
    del now
    check(wish)
    wanted = select(Company).where(col(Company.id) == company_id).with_for_update()
    company = (await session.scalars(wanted)).one()
    for name in (
        "privacy_officer", "privacy_contact", "processors", "processors_en", "retention_months",
        "feedback_requests", "reapplication_months",
    ):  # fmt: skip
        setattr(company, name, getattr(wish, name))
    company.retention = dict(wish.retention)
    company.job_reapplication = dict(wish.job_reapplication)
    session.add(company)
    await session.flush()
    return company


def check(wish: Settings) -> None:
    """Whether it can be said and kept; the refusals of `change_privacy_settings`."""
    texts = (wish.privacy_officer, wish.privacy_contact, wish.processors, wish.processors_en)
    months = (wish.retention_months, *wish.job_reapplication.values(), wish.reapplication_months)
    faults = {
        "text_missing": not all(1 <= len(one.strip()) <= LONGEST for one in texts),
        "reward_offered": any(word in "".join(texts) for word in FORBIDDEN),
        "months_invalid": not all(0 <= one <= MOST_MONTHS for one in months)
        or wish.retention_months < 1,
        "jobs_invalid": len(wish.job_reapplication) > MOST_JOBS
        or not all(1 <= len(job) <= _LONGEST_JOB for job in wish.job_reapplication),
    }
    wrong = next((code for code, found in faults.items() if found), None)
    if wrong is not None:
        raise Invalid(code=wrong)
    rules_of(wish.retention, wish.retention_months)
