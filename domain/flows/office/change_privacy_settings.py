"""What a company says and does about people's data: who handles it, how long, what may be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.consent_text import FORBIDDEN
from domain.errors import Invalid
from domain.ids import new_id
from domain.privacy import PrivacyChange
from domain.retention import look_on, rules_of

TEXTS = ("privacy_officer", "privacy_contact", "processors", "processors_en")
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
    session: AsyncSession, company_id: str, wish: Settings, *, actor: str, now: datetime
) -> Company:
    """Take them over, and keep who did. What was consented to before keeps its words.

    Other times to keep data hold for everybody from the next night on; until then a slip can be
    put right. Raises `Invalid`: `text_missing`, `reward_offered`, `months_invalid`,
    `retention_invalid`, `jobs_invalid`.
    """
    check(wish)
    wanted = select(Company).where(col(Company.id) == company_id).with_for_update()
    company = (await session.scalars(wanted)).one()
    before = _told(company)
    if rules_of(wish.retention, wish.retention_months) != _rules(company):
        await _look_again(session, company_id, now)
    for name in (*TEXTS, "retention_months", "feedback_requests", "reapplication_months"):
        setattr(company, name, getattr(wish, name))
    company.retention = dict(wish.retention)
    company.job_reapplication = dict(wish.job_reapplication)
    session.add(company)
    changes = _changes(before, _told(company))
    if changes:
        session.add(
            PrivacyChange(
                company_id=company_id, id=new_id("pch"), changes=changes, actor=actor, at=now
            )
        )
    await session.flush()
    return company


def shortens(company: Company, wish: Settings) -> bool:
    """Whether data would be kept for less long than now: people may be erased for it.

    Raises `Invalid` (`retention_invalid`).
    """
    before = _rules(company)
    after = rules_of(wish.retention, wish.retention_months)
    return any(after[rule] < kept for rule, kept in before.items())


def _told(company: Company) -> dict[str, Any]:
    """Everything that is decided here, by its name."""
    rules = _rules(company)
    del rules["application_months"]  # it is `retention_months`
    names = (*TEXTS, "retention_months", "feedback_requests", "reapplication_months")
    others = {name: getattr(company, name) for name in names}
    return {**others, **rules, "jobs": dict(company.job_reapplication)}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is different. Numbers and switches are kept; texts may name somebody, and are not."""
    changed = [name for name in after if after[name] != before[name]]
    return [
        {"name": name, "before": before[name], "after": after[name]}
        if isinstance(after[name], int)
        else {"name": name}
        for name in changed
    ]


def _rules(company: Company) -> dict[str, int]:
    return rules_of(company.retention, company.retention_months)


async def _look_again(session: AsyncSession, company_id: str, now: datetime) -> None:
    """Everybody's time is counted anew in the coming night; who is held back has no look."""
    tonight = look_on(local_day(now))
    await session.execute(
        update(Candidate)
        .where(
            col(Candidate.company_id) == company_id,
            col(Candidate.review_at) > tonight,
            col(Candidate.erased_at).is_(None),
        )
        .values(review_at=tonight)
    )


def check(wish: Settings) -> None:
    """Whether it can be said and kept; refusals as of `change_privacy_settings`, naming the field.

    Jobs are the field `jobs`.
    """
    texts = {name: getattr(wish, name) for name in TEXTS}
    months = {name: getattr(wish, name) for name in ("retention_months", "reapplication_months")}
    jobs = wish.job_reapplication
    faults = [
        *(("text_missing", name, not 1 <= len(one.strip()) <= LONGEST)
          for name, one in texts.items()),
        *(("reward_offered", name, any(word in one for word in FORBIDDEN))
          for name, one in texts.items()),
        ("months_invalid", "retention_months", wish.retention_months < 1),
        *(("months_invalid", name, not 0 <= one <= MOST_MONTHS) for name, one in months.items()),
        ("months_invalid", "jobs", not all(0 <= one <= MOST_MONTHS for one in jobs.values())),
        ("jobs_invalid", "jobs",
         len(jobs) > MOST_JOBS or not all(1 <= len(job) <= _LONGEST_JOB for job in jobs)),
    ]  # fmt: skip
    wrong = next(((code, name) for code, name, found in faults if found), None)
    if wrong is not None:
        raise Invalid(wrong[1], code=wrong[0])
    rules_of(wish.retention, wish.retention_months)
