"""The agency reports that a person it was given has started somewhere. Where is never stored."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of

PLACEMENT_STATES = ("expected", "placed", "guaranteed", "early_left", "withdrawn")
EMPLOYMENT_TERMS = ("permanent", "fixed")
REPORT_KINDS = (
    "reported", "started", "corrected", "postponed", "withdrawn", "early_leave", "leave_corrected",
)  # fmt: skip


class Placement(Row, table=True):
    """What the reports about it add up to. One per relay, unless an earlier one was taken back."""

    __tablename__ = "placement"
    __table_args__ = (
        one_of("state", PLACEMENT_STATES),
        one_of("employment_term", EMPLOYMENT_TERMS),
        ForeignKeyConstraint(["company_id", "relay_id"], ["relay.company_id", "relay.id"]),
        Index(
            "uq_placement_relay", "company_id", "relay_id",
            unique=True, postgresql_where="state <> 'withdrawn'",
        ),
        Index("ix_placement_agency", "agency_id", "id"),
        Index("ix_placement_started", "company_id", "agency_id", "started_on"),
        Index("ix_placement_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    relay_id: str
    agreement_id: str
    agreement_version: int
    started_on: date
    """The first day of employment; ahead of today while the start is only expected."""
    employment_term: str
    guarantee_end_on: date
    attested_at: datetime = instant()
    left_on: date | None = None
    state: str = "placed"
    reports: int = 1
    """How many reports it rests on: the number of the newest."""
    look_at: datetime | None = instant(default=None)
    """When the start has come, or the guarantee has passed: a first moment of a day in Japan."""
    created_at: datetime = instant()

    @property
    def left_early(self) -> bool:
        """Whether the person left inside the guarantee, as start and leave are known now.

        A corrected start moves the guarantee; a leave that lies behind it is no early one.
        """
        return self.left_on is not None and self.left_on <= self.guarantee_end_on


class PlacementReport(Row, table=True):
    """One statement about a placement, as it was made (append-only)."""

    __tablename__ = "placement_report"
    __table_args__ = (
        one_of("kind", REPORT_KINDS),
        CheckConstraint("no >= 1", name="no_counts"),
        ForeignKeyConstraint(
            ["company_id", "placement_id"], ["placement.company_id", "placement.id"]
        ),
        Index("uq_placement_report_no", "company_id", "placement_id", "no", unique=True),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    placement_id: str
    no: int
    kind: str
    started_on: date
    employment_term: str
    left_on: date | None = None
    reason: str | None = None
    actor: str
    noted_at: datetime = instant()
