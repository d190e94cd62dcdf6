"""The privacy officer's evidence: exported registers, the nightly check, documented exceptions."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.business_days import JST

CHECKED_AT = time(3, 30)
"""Every night in Japan, when few people wait for the database."""
OFFICERS = ("privacy_officer", "admin")
"""Who hears of what the nightly check finds, and of incidents."""


def next_check(now: datetime) -> datetime:
    """When the hand-overs are looked at again: the next night."""
    local = now.astimezone(JST)
    tonight = datetime.combine(local.date(), CHECKED_AT, JST)
    return tonight if tonight > now else tonight + timedelta(days=1)


def in_force(overrides: Iterable["SourceOverride"], today: date) -> frozenset[str]:
    """The sources a contract allows on this day: of each source the newest row holds."""
    newest: dict[str, SourceOverride] = {}
    for one in overrides:
        if one.source not in newest or newest[one.source].created_at < one.created_at:
            newest[one.source] = one
    return frozenset(
        source
        for source, one in newest.items()
        if one.effective_on <= today and (one.ends_on is None or today <= one.ends_on)
    )


class SourceOverride(Row, table=True):
    """A source of applications the company may relay from by contract, and where that stands.

    People received from an agency or a scouting medium may be used for that selection alone under
    the usual terms: the exception names its clause (append-only; the newest row of a source holds).
    """

    __tablename__ = "source_override"

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    source: str = Field(primary_key=True)
    created_at: datetime = instant(primary_key=True)
    clause: str
    contract: str
    """Where the contract lies; no personal data."""
    set_by: str
    effective_on: date
    ends_on: date | None = None


class RegisterExport(Row, table=True):
    """Somebody took a register out of the house (append-only)."""

    __tablename__ = "register_export"
    __table_args__ = (one_of("form", ("csv", "xlsx", "pdf", "json")),)

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    register_name: str
    form: str
    first_on: date
    last_on: date
    lines: int
    actor: str
    at: datetime = instant()


class PrivacyCheck(Row, table=True):
    """One night's look: hand-overs rest on consents, their evidence fits, or somebody is called."""

    __tablename__ = "privacy_check"
    __table_args__ = (Index("ix_privacy_check_finished", "company_id", "finished_at"),)

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    started_at: datetime = instant()
    finished_at: datetime = instant()
    provisions: int
    uncovered: int
    consent_events: int = 0
    """Looked at in the chains of evidence."""
    broken: int = 0
    """People whose chain does not fit."""
    findings: list[str] = document(default_factory=list)
    """Ids of provisions, files' readings and people with the place in their chain: a hundred."""

    @property
    def alarming(self) -> bool:
        """Whether somebody has to look at it."""
        return bool(self.uncovered or self.broken)


class PrivacyChange(Row, table=True):
    """Somebody changed what the company says or does about people's data (append-only)."""

    __tablename__ = "privacy_change"

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    changes: list[dict[str, Any]] = document(default_factory=list)
    """`name`, and for numbers and switches `before` and `after`; texts may name somebody."""
    actor: str
    at: datetime = instant()
