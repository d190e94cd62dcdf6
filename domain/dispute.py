"""A company and an agency disagree about a placement or a declaration (domain rules 12).

While they do, the credits concerned are frozen and their clocks stand still. Either side may give
way at any time; otherwise the operator, who is neither, decides, and each may appeal once.
"""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.errors import StepNotAllowed

PARTIES = ("company", "agency")
SUBJECTS = ("placement", "early_leave", "already_registered", "credit")
OUTCOMES = ("for_company", "for_agency")
STATES = ("opened", "evidence", "decided", "appealed", "final")
REASONS = (
    "not_started", "wrong_start", "wrong_leave", "known_before", "not_known_before",
    "wrong_person", "terms", "other",
)  # fmt: skip
ANSWER_DAYS, EVIDENCE_DAYS, DECIDE_DAYS, APPEAL_DAYS = 5, 10, 10, 10
"""Business days: to answer, to bring evidence, for the operator to decide, to appeal."""

NEXT: dict[tuple[str, str], str] = {
    ("opened", "answered"): "evidence",
    ("opened", "silent"): "evidence",
    ("opened", "decided"): "decided",
    ("evidence", "decided"): "decided",
    ("decided", "appealed"): "appealed",
    ("decided", "accepted"): "final",
    ("appealed", "decided"): "final",
    **{(state, "conceded"): "final" for state in ("opened", "evidence", "decided", "appealed")},
}
"""(state, step) → state. What is not listed is refused."""


def advance(state: str, step: str) -> str:
    """The state after a step; raises `StepNotAllowed` (409) where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


def is_open(state: str) -> bool:
    """Whether credits stay frozen."""
    return state != "final"


def against(party: str) -> str:
    """The outcome when this side gives way."""
    return "for_agency" if party == "company" else "for_company"


class Dispute(Row, table=True):
    """One disagreement. It holds ids, codes and days; what the sides say is in its notes."""

    __tablename__ = "dispute"
    __table_args__ = (
        one_of("state", STATES),
        one_of("subject", SUBJECTS),
        one_of("opened_by", PARTIES),
        one_of("reason", REASONS),
        CheckConstraint(
            "outcome IS NULL OR outcome IN ('for_company', 'for_agency')", name="outcome_known"
        ),
        CheckConstraint("state IN ('opened', 'evidence') OR outcome IS NOT NULL", name="decided"),
        CheckConstraint("appealed_by IS NULL OR appealed_by IN ('company', 'agency')",
                        name="appealed_by_known"),
        ForeignKeyConstraint(["company_id", "relay_id"], ["relay.company_id", "relay.id"]),
        Index(
            "uq_dispute_open", "company_id", "relay_id", "subject",
            unique=True, postgresql_where="state <> 'final'",
        ),
        Index("ix_dispute_agency", "agency_id", "id"),
        Index("ix_dispute_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    relay_id: str | None = None
    placement_id: str | None = None
    credit_ids: list[str] = document(default_factory=list)
    """The credits frozen when it was opened."""
    subject: str
    reason: str
    opened_by: str
    actor: str
    frozen_on: date
    state: str = "opened"
    due_on: date
    """The last day of the present step, in business days."""
    outcome: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = instant(default=None)
    appealed_by: str | None = None
    ended_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()


class DisputeNote(Row, table=True):
    """What one side, or the operator, says and shows. Sealed: people write names into it."""

    __tablename__ = "dispute_note"
    __table_args__ = (
        CheckConstraint("party IN ('company', 'agency', 'operator')", name="party_known"),
        ForeignKeyConstraint(["company_id", "dispute_id"], ["dispute.company_id", "dispute.id"]),
        Index("ix_dispute_note_dispute", "company_id", "dispute_id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    dispute_id: str
    party: str
    actor: str
    step: str
    sealed: bytes
    created_at: datetime = instant()
