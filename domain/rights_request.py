"""What a person may ask of the company about their data (個人情報保護法 32-39, domain rules 7).

The law says "without delay"; fourteen days are our own target. A refusal is answered too, with its
reason (36).
"""

from datetime import date, datetime, time, timedelta

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.business_days import Calendar, at, before, local_day
from domain.errors import StepNotAllowed

KINDS = (
    "disclosure", "disclosure_provision_records", "purpose_notice", "correction", "stop_use",
    "erase", "stop_provision",
)  # fmt: skip
CHANNELS = ("my_page", "mail", "phone", "paper")
STATES = ("received", "verified", "answered", "withdrawn")
RESULTS = ("granted", "partly", "refused", "nothing_held")
IDENTITY = ("mail_link_plus_code", "document", "in_person")
AT_ONCE = frozenset({"stop_use", "erase", "stop_provision"})
"""Asked for by a proven person: what was asked to stop stops before anybody has read it."""
ANSWER_DAYS = 14
KEPT_YEARS = 3
LONGEST = 2_000
"""Letters of a request, a reason or an answer."""
OPEN = ("received", "verified")
SCOPES = {"stop_provision": "provision", "stop_use": "all", "erase": "all"}
"""What stops at once, by kind: nothing more is handed over; nothing more is done with it at all."""
_SOON_DAYS = 4
_MORNING = time(10)

NEXT = {
    ("received", "verify"): "verified",
    ("received", "withdraw"): "withdrawn",
    ("verified", "withdraw"): "withdrawn",
    ("verified", "answer"): "answered",
    # Whoever cannot be recognised is told so; nothing is given to them.
    ("received", "refuse"): "answered",
}


def advance(state: str, step: str) -> str:
    """The state after a step; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


def due_on(received_at: datetime) -> date:
    """The day by which we answer: fourteen days after the one on which it came."""
    return local_day(received_at) + timedelta(days=ANSWER_DAYS)


def next_look(calendar: Calendar, due: date, now: datetime) -> datetime:
    """When HR is reminded next: four days before, on the day itself, then every day.

    The first of them on a day on which somebody is there: a due day may lie in the holidays.
    """
    soon = before(calendar, due - timedelta(days=_SOON_DAYS - 1), 1)
    looks = (at(soon, _MORNING), at(due, _MORNING))
    later = [look for look in looks if look > now]
    return later[0] if later else at(local_day(now) + timedelta(days=1), _MORNING)


class RightsRequest(Row, table=True):
    """One request with its clock. What was written in it is sealed with the record key."""

    __tablename__ = "rights_request"
    __table_args__ = (
        one_of("kind", KINDS),
        one_of("channel", CHANNELS),
        one_of("state", STATES),
        CheckConstraint(
            "result IS NULL OR result IN ('granted', 'partly', 'refused', 'nothing_held')",
            name="result_known",
        ),
        CheckConstraint("(state = 'answered') = (result IS NOT NULL)", name="answered_with"),
        CheckConstraint(
            "result NOT IN ('partly', 'refused') OR reason IS NOT NULL", name="refused_with_reason"
        ),
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        Index(
            "uq_rights_request_submission", "company_id", "candidate_id", "submission_id",
            unique=True, postgresql_where="submission_id IS NOT NULL",
        ),
        Index("ix_rights_request_candidate", "company_id", "candidate_id", "id"),
        Index(
            "ix_rights_request_open", "company_id", "due_on",
            postgresql_where="state IN ('received', 'verified')",
        ),
        Index("ix_rights_request_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    kind: str
    channel: str
    state: str = "received"
    words: bytes | None = None
    received_at: datetime = instant()
    identity_check: str | None = None
    identity_verified_at: datetime | None = instant(default=None)
    due_on: date
    result: str | None = None
    reason: bytes | None = None
    answer: bytes | None = None
    answer_sha256: str | None = None
    """Of what was handed over: the documents are made on demand, and each names its content so."""
    answered_at: datetime | None = instant(default=None)
    answer_channel: str | None = None
    answered_by: str | None = None
    retention_until: date | None = None
    submission_id: str | None = None
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()
