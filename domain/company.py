"""The origin company: it interviews, it says no, it promises an answer in three business days."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

NOTICE_MODES = ("auto", "manual", "ats_sends")
DEFAULT_CALENDAR: dict[str, Any] = {
    "closed_weekdays": [5, 6],
    "observe_public_holidays": True,
    "year_end_closure": ["12-29", "01-03"],
    "closed_dates": [],
    "open_dates": [],
}


class Company(Row, table=True):
    """A tenant. Everything a mail or a consent form must say about the company stands here."""

    __tablename__ = "company"
    __table_args__ = (
        one_of("notice_mode", NOTICE_MODES),
        Index("ix_company_privacy_look_at", "privacy_look_at"),
    )

    id: str = Field(primary_key=True)
    slug: str = Field(unique=True)
    name: str
    name_en: str = ""
    address: str
    representative: str
    department: str = "人事部"
    sender_name: str = "採用担当"
    contact: str
    harassment_contact: str
    privacy_officer: str
    privacy_contact: str
    notice_mode: str = "auto"
    review_minutes: int = 120
    calendar: dict[str, Any] = document(default_factory=lambda: dict(DEFAULT_CALENDAR))
    calendar_version: int = 1
    reapplication_months: int = 6
    retention_months: int = 6
    consent_months: int = 6
    processors: str = (
        "本システムは当社が日本国内で運用し、個人データの取扱いを他社に委託していません。"
    )
    """Who handles the data for the company, and where: stands on every consent form."""
    processors_en: str = (
        "The company runs this system itself, in Japan; no other company handles your data for it."
    )
    invitation_valid_days: int = 30
    allowed_sources: list[str] = document(
        default_factory=lambda: ["direct", "company_site", "employee_referral", "event"]
    )
    retention: dict[str, int] = document(
        default_factory=dict, sa_column_kwargs={"server_default": "{}"}
    )
    """Months or days that differ from the defaults, by rule (`domain/retention.py`)."""
    feedback_requests: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Whether a candidate may ask for feedback with one press."""
    job_reapplication: dict[str, int] = document(
        default_factory=dict, sa_column_kwargs={"server_default": "{}"}
    )
    """Months until one may apply again, by job title, where they differ."""
    privacy_look_at: datetime | None = instant(default=None)
    """When every hand-over is checked next."""
    created_at: datetime = instant()

    def months_to_reapply(self, job_title: str) -> int:
        """Months from the no until one may apply for this job again; zero: at any time.

        Notice and passport ask here, so that they say the same.
        """
        return self.job_reapplication.get(job_title, self.reapplication_months)

    @property
    def review_window(self) -> timedelta:
        """How long a rejection waits before the automatic notice may go."""
        return timedelta(minutes=self.review_minutes)
