"""The partner placement agency (人材紹介会社)."""

from datetime import date, datetime
from typing import Any

from sqlmodel import Field

from domain.base import Row, document, instant, one_of

AGENCY_STATES = ("pending_verification", "active", "suspended", "expired", "terminated")


class Agency(Row, table=True):
    """A licensed placement business. The directory is the same for every company."""

    __tablename__ = "agency"
    __table_args__ = (one_of("state", AGENCY_STATES),)

    id: str = Field(primary_key=True)
    name: str
    name_en: str = ""
    address: str
    representative: str
    license_number: str
    license_valid_until: date
    country: str = "JP"
    purpose: str = "求人のご紹介および就職・転職のご支援"
    purpose_en: str = "Introducing vacancies and supporting you in finding a job"
    required_items: list[str] = document(default_factory=lambda: ["name", "email"])
    """Item codes without which it cannot work for a person; marked as such on the form."""
    privacy_url: str
    contact_days: int = 3
    cross_border: dict[str, Any] | None = document(default=None)
    """For a recipient abroad (個人情報保護法 28): `basis`, and per language `country`, `regime`,
    `measures`. Null: nobody is offered to it."""
    state: str = "active"
    feed_read_at: datetime | None = instant(default=None)
    """When it last looked at its feed: with a webhook endpoint the other way it hears of a stop."""
    created_at: datetime = instant()

    def may_receive(self, today: date) -> bool:
        """Whether new people may be handed over on this day (職業安定法 30: a licence in force)."""
        return self.state == "active" and self.license_valid_until >= today
