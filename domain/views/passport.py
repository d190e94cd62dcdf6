"""The re-application passport: for what, and from when, one may apply here again."""

import calendar
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company

_MONTHS = 12
_TOLD = text("""
SELECT a.id AS application_id, a.job_title, max(n.sent_at) AS told_at
FROM application a
JOIN notice n ON n.company_id = a.company_id AND n.application_id = a.id
WHERE a.company_id = :company AND a.outcome = 'rejected' AND n.kind = 'rejected'
  AND n.sent_at IS NOT NULL AND n.taken_back_at IS NULL AND a.candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
GROUP BY a.id, a.job_title
ORDER BY told_at DESC, a.id
""")


@dataclass(frozen=True)
class Stamp:
    """One application that ended with a no: since when the person knows, and when to try again.

    Another job is open to them at any time.
    """

    application_id: str
    job_title: str
    told_on: date
    again_from: date

    def open_on(self, day: date) -> bool:
        """Whether one may apply for the same job again."""
        return day >= self.again_from


async def passport(session: AsyncSession, company: Company, candidate: Candidate) -> list[Stamp]:
    """Every job whose no was told, newest first; of several noes to one job the last counts.

    Jobs without a title may be different ones: each has a stamp of its own.
    """
    values = {"company": company.id, "candidate": candidate.id}
    rows = (await session.execute(_TOLD, values)).mappings().all()
    last: dict[str, RowMapping] = {}
    for row in rows:
        last.setdefault(row["job_title"] or row["application_id"], row)
    return [_stamp(company, row["application_id"], row["job_title"], row["told_at"])
            for row in last.values()]  # fmt: skip


def again_from(company: Company, job_title: str, told_on: date) -> date:
    """The day that many months later; where the month has no such day, its last."""
    months = company.months_to_reapply(job_title)
    month = told_on.month - 1 + months
    year, month = told_on.year + month // _MONTHS, month % _MONTHS + 1
    return date(year, month, min(told_on.day, calendar.monthrange(year, month)[1]))


def _stamp(company: Company, application_id: str, job_title: str, told_at: datetime) -> Stamp:
    told_on = local_day(told_at)
    return Stamp(application_id, job_title, told_on, again_from(company, job_title, told_on))
