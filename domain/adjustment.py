"""A correction of a book by hand: two people ask for it, and whom it burdens agrees.

`issue`: credits more. `take`: credits fewer. `extend`: another last day. `settle`: an owed credit
was paid for outside the ledger. The posting function looks for the row itself and refuses a
correction that was not assented to.
"""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.errors import StepNotAllowed

KINDS = ("issue", "take", "extend", "settle")
STATES = ("requested", "approved", "assented", "posted", "declined", "cancelled")
REASONS = (
    "agreed_outside", "correction", "dispute_decided", "goodwill", "invoice_paid", "other",
)  # fmt: skip
MOST_AT_ONCE = 50

NEXT: dict[tuple[str, str], str] = {
    ("requested", "approved"): "approved",
    ("requested", "cancelled"): "cancelled",
    ("requested", "declined"): "declined",
    ("approved", "assented"): "assented",
    ("approved", "cancelled"): "cancelled",
    ("approved", "declined"): "declined",
    ("assented", "posted"): "posted",
}
"""(state, step) → state. What is not listed is refused."""


def advance(state: str, step: str) -> str:
    """The state after a step; raises `StepNotAllowed` (409) where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


def needs_other(kind: str, party: str) -> bool:
    """Whether the other side must agree: when its burden grows, and always for changed terms."""
    if kind == "extend":
        return True
    burdened = "company" if kind == "take" else "agency"
    return party != burdened


class Adjustment(Row, table=True):
    """Who asked, who approved, who agreed. The posting refers to it by its id."""

    __tablename__ = "adjustment"
    __table_args__ = (
        one_of("kind", KINDS),
        one_of("state", STATES),
        one_of("party", ("company", "agency")),
        one_of("reason", REASONS),
        CheckConstraint("approved_by <> requested_by", name="two_persons"),
        CheckConstraint(
            "state NOT IN ('approved', 'assented', 'posted') OR approved_by IS NOT NULL",
            name="approved",
        ),
        CheckConstraint(
            "state NOT IN ('assented', 'posted') OR agreed_by IS NOT NULL"
            " OR (dispute_id IS NOT NULL AND kind <> 'extend')"
            " OR (kind IN ('issue', 'settle') AND party = 'agency')"
            " OR (kind = 'take' AND party = 'company')",
            name="assented",
        ),
        CheckConstraint("(kind = 'issue') = (count IS NOT NULL)", name="count_of_issue"),
        CheckConstraint("(kind = 'extend') = (expires_on IS NOT NULL)", name="day_of_extend"),
        CheckConstraint("count BETWEEN 1 AND 50", name="count_sane"),
        ForeignKeyConstraint(["company_id", "book_id"], ["book.company_id", "book.id"]),
        Index("ix_adjustment_agency", "agency_id", "id"),
        Index(
            "uq_adjustment_dispute",
            "company_id",
            "dispute_id",
            unique=True,
            postgresql_where="dispute_id IS NOT NULL AND state NOT IN ('declined', 'cancelled')",
        ),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    book_id: str
    kind: str
    party: str
    """Whose people ask: `company` or `agency`."""
    count: int | None = None
    credit_ids: list[str] = document(default_factory=list)
    expires_on: date | None = None
    reason: str
    note: bytes
    """Why, in their words, sealed."""
    dispute_id: str | None = None
    state: str = "requested"
    requested_by: str
    requested_at: datetime = instant()
    approved_by: str | None = None
    approved_at: datetime | None = instant(default=None)
    agreed_by: str | None = None
    agreed_at: datetime | None = instant(default=None)
    ended_at: datetime | None = instant(default=None)
