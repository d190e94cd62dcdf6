"""A leak or loss, and the clocks that begin with knowing of it (個人情報保護法 26, 規則 7-8)."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Protocol

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.business_days import JST, OFFICE_OPENS, local_day
from domain.errors import StepNotAllowed

KINDS = ("special_care", "property_damage", "wrongful_purpose", "over_1000_persons")
STATES = ("open", "preliminary", "closed")
ITEMS = (
    "outline", "data_items", "persons", "cause", "secondary_damage", "towards_persons",
    "publication", "prevention", "other",
)  # fmt: skip
"""The nine items of a report (規則 8)."""
TO_PEOPLE = ("outline", "data_items", "cause", "secondary_damage", "other")
"""What the people concerned are told (規則 10)."""
PRELIMINARY_DAYS, FINAL_DAYS, FINAL_DAYS_WRONGFUL = 3, 30, 60
MANY = 1000
WARNING_DAYS = 7
"""So long before the last day for the whole report people hear of it."""
NEXT = {
    ("open", "preliminary"): "preliminary",
    ("preliminary", "final"): "closed",
    # A whole report in time needs no first one before it.
    ("open", "final"): "closed",
}
"""(state, report made) → state. What need not be reported is closed the same way, when it ends."""
_SATURDAY = 5
_YEAR_END = ((12, 29), (12, 30), (12, 31), (1, 1), (1, 2), (1, 3))


class _Holidays(Protocol):
    def is_holiday(self, day: date) -> bool: ...


def advance(state: str, report: str) -> str:
    """The state after a report was made; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, report]
    except KeyError:
        raise StepNotAllowed(state, report) from None


def kinds_of(kinds: Iterable[str], persons: int) -> list[str]:
    """The kinds as the law lists them; that it concerns many is counted, never ticked."""
    said = {*kinds} - {"over_1000_persons"} | ({"over_1000_persons"} if persons > MANY else set())
    return [kind for kind in KINDS if kind in said]


def is_reportable(kinds: list[str], *, encrypted: bool) -> bool:
    """Whether it must be reported: one of four kinds, unless encrypted to a high standard."""
    return bool(kinds) and not encrypted


def preliminary_due(known_at: datetime) -> date:
    """Our own target for the first report: three calendar days, the day of knowing included."""
    return local_day(known_at) + timedelta(days=PRELIMINARY_DAYS - 1)


def final_due(known_at: datetime, kinds: list[str], holidays: _Holidays) -> date:
    """The last day for the whole report: day 30, or 60 for a wrongful purpose.

    The day of knowing is day 1; a last day on a Saturday, Sunday, holiday or 12-29 to 01-03 moves
    to the next other one (行政機関の休日に関する法律 2).
    """
    days = FINAL_DAYS_WRONGFUL if "wrongful_purpose" in kinds else FINAL_DAYS
    day = local_day(known_at) + timedelta(days=days - 1)
    while (
        day.weekday() >= _SATURDAY or (day.month, day.day) in _YEAR_END or holidays.is_holiday(day)
    ):
        day += timedelta(days=1)
    return day


def due_days(incident: "Incident", today: date) -> int | None:
    """Days left for the report that is owed next, negative when it is late; null: none is owed."""
    due_on = _owed_on(incident)
    return None if due_on is None else (due_on - today).days


def next_look(incident: "Incident", now: datetime) -> datetime | None:
    """When people are reminded next: before the last day, on it, and daily after it."""
    due_on = _owed_on(incident)
    if due_on is None:
        return None
    warned_on = due_on - timedelta(days=WARNING_DAYS)
    days = [warned_on, due_on] if incident.state == "preliminary" else [due_on]
    planned = [_opening(day) for day in days]
    return next((at for at in planned if at > now), _opening(local_day(now) + timedelta(days=1)))


def _owed_on(incident: "Incident") -> date | None:
    if not incident.reportable or incident.state == "closed":
        return None
    return incident.preliminary_due_on if incident.state == "open" else incident.final_due_on


def _opening(day: date) -> datetime:
    return datetime.combine(day, time(OFFICE_OPENS.hour), JST)


class Incident(Row, table=True):
    """One incident at one company. The report's nine items are sealed with the instance's keys."""

    __tablename__ = "incident"
    __table_args__ = (
        one_of("state", STATES),
        Index("ix_incident_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    kinds: list[str] = document(default_factory=list)
    known_at: datetime = instant()
    encrypted: bool = False
    persons: int = 0
    reportable: bool = False
    state: str = "open"
    preliminary_due_on: date
    final_due_on: date
    preliminary_at: datetime | None = instant(default=None)
    final_at: datetime | None = instant(default=None)
    persons_told_at: datetime | None = instant(default=None)
    items: bytes | None = None
    origin: str | None = None
    """The operator's own number, when one incident concerns many companies."""
    reported_by: str
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()


class IncidentEvent(Row, table=True):
    """What was done about it, by whom and when (append-only)."""

    __tablename__ = "incident_event"
    __table_args__ = (
        ForeignKeyConstraint(["company_id", "incident_id"], ["incident.company_id", "incident.id"]),
        Index("ix_incident_event_incident", "company_id", "incident_id", "id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    incident_id: str
    kind: str
    actor: str
    at: datetime = instant()
