"""The promise: a result by the end of the third business day after the interview (rules 2)."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.business_days import (
    JST,
    Calendar,
    after,
    at,
    due_before,
    due_on,
    local_day,
    provisional,
)
from domain.errors import StepNotAllowed

STATES = ("open", "due_soon", "met", "missed", "void")
OWED = ("open", "due_soon")
"""States in which an answer is still owed in time."""
EVENING, MORNING, LAST_CALL = time(18), time(10), time(17)

NEXT = {
    ("open", "last_day"): "due_soon",
    ("due_soon", "last_day"): "due_soon",
    ("open", "tell"): "met",
    ("due_soon", "tell"): "met",
    ("missed", "tell"): "missed",  # told late: the miss stays, `met_at` says when
    ("open", "pass"): "missed",
    ("due_soon", "pass"): "missed",
    ("met", "bounce"): "open",
    ("missed", "bounce"): "missed",
    ("open", "bounce"): "open",
    ("due_soon", "bounce"): "due_soon",
    ("open", "void"): "void",
    ("due_soon", "void"): "void",
    ("met", "void"): "void",  # the interview turns out not to have taken place
    ("missed", "void"): "void",
    ("void", "void"): "void",
    ("open", "count"): "open",
    ("due_soon", "count"): "open",
    ("void", "count"): "open",
}


def advance(state: str, step: str) -> str:
    """The state after a step; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


class Deadline(Row, table=True):
    """One per completed interview. `look_at` is when the sweep has to look again; null: never."""

    __tablename__ = "deadline"
    __table_args__ = (
        one_of("state", STATES),
        ForeignKeyConstraint(
            ["company_id", "interview_id"], ["interview.company_id", "interview.id"]
        ),
        Index("uq_deadline_interview", "company_id", "interview_id", unique=True),
        Index("ix_deadline_application", "company_id", "application_id"),
        Index("ix_deadline_company_id_state_due_on", "company_id", "state", "due_on"),
        Index("ix_deadline_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    interview_id: str
    interview_ended_at: datetime = instant()
    due_on: date
    due_before: datetime = instant()
    provisional: bool = False
    calendar_version: int
    state: str = "open"
    met_at: datetime | None = instant(default=None)
    missed_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)
    reminders_sent: int = 0
    created_at: datetime = instant()

    def count(self, calendar: Calendar, version: int, ended_at: datetime) -> None:
        """Count the promise anew: the interview ended at this moment, in this calendar."""
        self.state = advance(self.state, "count")
        self.interview_ended_at, self.calendar_version = ended_at, version
        self.due_on = due_on(calendar, ended_at)
        self.due_before = due_before(self.due_on)
        self.provisional = provisional(calendar, ended_at, self.due_on)

    def tell(self, told_at: datetime) -> None:
        """A result reached the candidate. Too late is `missed` for good; `met_at` says when."""
        if self.state in OWED and told_at >= self.due_before:
            self.miss()
        self.state = advance(self.state, "tell")
        self.met_at, self.look_at = told_at, None

    def miss(self) -> None:
        """The day has passed without a result: recorded for good, at the moment it happened."""
        self.state = advance(self.state, "pass")
        self.missed_at = self.due_before

    def bounce(self, now: datetime) -> None:
        """The result did not arrive after all: the promise is open again, people look at once."""
        self.state = advance(self.state, "bounce")
        self.met_at, self.look_at = None, now

    def void(self) -> None:
        """Nothing is owed: no interview took place, or the candidate withdrew."""
        self.state = advance(self.state, "void")
        self.look_at = None


def looks(calendar: Calendar, ended_at: datetime, due: date) -> Sequence[tuple[str, datetime]]:
    """When people are reminded, in order (domain rules 2.1-8), until the promise is broken."""
    day = local_day(ended_at)
    return (
        ("first_evening", at(after(calendar, day, 1), EVENING)),
        ("second_morning", at(after(calendar, day, 2), MORNING)),
        ("last_morning", at(due, MORNING)),
        ("last_call", at(due, LAST_CALL)),
        ("passed", due_before(due)),
    )


def next_look(calendar: Calendar, ended_at: datetime, due: date, now: datetime) -> datetime:
    """The next moment to look after `now`: the steps above, then every morning."""
    coming = [moment for _, moment in looks(calendar, ended_at, due) if moment > now]
    return coming[0] if coming else _next_morning(now)


def step_at(calendar: Calendar, ended_at: datetime, due: date, now: datetime) -> str | None:
    """The latest step that has come by `now`; null before the first."""
    come = [name for name, moment in looks(calendar, ended_at, due) if moment <= now]
    return come[-1] if come else None


def _next_morning(now: datetime) -> datetime:
    today = now.astimezone(JST).date()
    this_morning = at(today, MORNING)
    return this_morning if this_morning > now else at(today + timedelta(days=1), MORNING)
