"""An application (candidate × job) and its interviews, as the company's ATS tells them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.errors import Conflict

OUTCOMES = ("active", "rejected", "withdrawn", "hired")
INTERVIEW_STATES = ("scheduled", "completed", "cancelled", "no_show")
OUR_WORDS = ("standard-webhooks", "api")
"""Doors whose senders use our own codes."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The vendor's time of an outcome nobody has told us yet: older than any statement."""

OF_PERSON = frozenset({
    "no_email", "work_email_only", "private_candidate", "can_email_false", "prospect",
    "internal_applicant", "confidential_job",
})  # fmt: skip
"""Holds that follow from who the person is and for which job: every later event says them anew."""

OF_DECISION = frozenset({"reason_unclassified", "reason_excluded", "not_before", "history"})
"""Holds that follow from a decision: the next decision says them anew."""

HOLDS = (
    "no_email", "work_email_only", "private_candidate", "can_email_false", "prospect",
    "internal_applicant", "confidential_job", "reason_unclassified", "reason_excluded",
    "not_before", "unsigned_body", "enrichment_pending", "history",
)  # fmt: skip
"""Reasons not to contact a candidate until a person, or later news, clears them.

`history`: it ended before we were connected, or before the day an import names, and the company
has told the candidate in its own way, if at all.
"""


class Application(Row, table=True):
    """Where one person stands with one job.

    `outcome_at` is the vendor's time of the latest change of outcome, `told_at` the vendor's time
    of the latest statement we took in: what is older than both has been overtaken. `holds` forbid
    contact; `cleared_holds` are those a person has cleared, which the same statement does not
    bring back.
    """

    __tablename__ = "application"
    __table_args__ = (
        one_of("outcome", OUTCOMES),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index("uq_application_external", "company_id", "connection_id", "external_id", unique=True),
        Index("ix_application_company_id_external_id", "company_id", "external_id"),
        Index("ix_application_not_before", "not_before", postgresql_where="not_before IS NOT NULL"),
        Index("ix_application_company_id_candidate_id", "company_id", "candidate_id"),
        Index(
            "ix_application_unclassified", "company_id", "connection_id", "id",
            postgresql_where="holds @> '[\"reason_unclassified\"]'::jsonb",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    connection_id: str = ""
    external_id: str
    candidate_id: str
    job_title: str = ""
    department: str = ""
    stage: str = ""
    source: str | None = None
    applicant_type: str = "general"
    outcome: str = "active"
    outcome_at: datetime = instant()
    told_at: datetime = instant(default=NEVER)
    initiated_by: str | None = None
    rejection_reason: str | None = None
    holds: list[str] = document(default_factory=list)
    cleared_holds: list[str] = document(default_factory=list)
    not_before: datetime | None = instant(default=None)
    last_event_key: str = ""
    applied_at: datetime | None = instant(default=None)
    created_at: datetime = instant()

    def hold_for(self, told: Iterable[str], among: frozenset[str]) -> None:
        """Take over the holds an event says, of one sort; those a person cleared stay cleared."""
        others = [hold for hold in self.holds if hold not in among]
        new = [hold for hold in told if hold in among and hold not in self.cleared_holds]
        self.holds = list(dict.fromkeys([*others, *new]))

    def clear_hold(self, hold: str) -> None:
        """A person has decided that this does not stand in the way."""
        if hold not in self.holds:
            detail = f"the application has no hold {hold}"
            raise Conflict(detail, code="hold_not_set")
        self.holds = [one for one in self.holds if one != hold]
        self.cleared_holds = [*self.cleared_holds, hold]


class HoldClearance(Row, table=True):
    """A person decided that a hold does not stand in the way, and said why (append-only).

    The reason is sealed with the candidate's own key: it may speak of the person.
    """

    __tablename__ = "hold_clearance"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("ix_hold_clearance_application", "company_id", "application_id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    hold: str
    reason: bytes
    actor: str
    at: datetime = instant()


def mapped_source(
    provider: str, told: str | None, known: Any, allowed: Iterable[str]
) -> str | None:
    """Our code for where an application came from; what nobody mapped is shown but not eligible.

    Our own codes count only where the sender speaks our language (generic deliveries); elsewhere a
    vendor's word that happens to look like one of them is marked as unmapped.
    """
    if told is None:
        return None
    if isinstance(known, dict) and isinstance(known.get(told), str):
        mapped: str = known[told]
        return mapped
    return f"unmapped:{told}" if provider not in OUR_WORDS and told in allowed else told


class Interview(Row, table=True):
    """A meeting. Once completed it has a deadline, whatever the result.

    `ask_at` is when we ask the vendor's API whether it took place. `last_event_key` names the
    event that told its present time and status.
    """

    __tablename__ = "interview"
    __table_args__ = (
        one_of("status", INTERVIEW_STATES),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("uq_interview_external", "company_id", "application_id", "external_id", unique=True),
        Index("ix_interview_company_id_external_id", "company_id", "external_id"),
        Index("ix_interview_ask_at", "ask_at", postgresql_where="ask_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    external_id: str
    stage: str = ""
    starts_at: datetime | None = instant(default=None)
    ends_at: datetime | None = instant(default=None)
    status: str = "scheduled"
    told_at: datetime = instant()
    last_event_key: str = ""
    ask_at: datetime | None = instant(default=None)
    created_at: datetime = instant()
