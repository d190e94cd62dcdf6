"""Business days of a company's calendar, and the promise counted in them (domain rules 2).

Days are local dates in Japan; instants are UTC. Nothing here reads a clock or a database.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain.errors import Invalid
from domain.ports import Holidays

JST = ZoneInfo("Asia/Tokyo")
PROMISE_DAYS = 3
"""A result is owed by the end of the third business day after the interview."""
OFFICE_OPENS, OFFICE_CLOSES = time(9), time(18)
_DAY = timedelta(days=1)
_LONGEST_CLOSURE = 60
_WEEKDAYS = range(7)

MonthDay = tuple[int, int]


@dataclass(frozen=True)
class Calendar:
    """When the company works. `open_dates` beat `closed_dates`, which beat everything else."""

    holidays: Holidays
    closed_weekdays: frozenset[int] = frozenset({5, 6})
    observe_public_holidays: bool = True
    year_end_closure: tuple[MonthDay, MonthDay] | None = ((12, 29), (1, 3))
    closed_dates: frozenset[date] = frozenset()
    open_dates: frozenset[date] = frozenset()

    def is_open(self, day: date) -> bool:
        """Whether the company works on this day."""
        if day in self.open_dates:
            return True
        return not (
            day in self.closed_dates
            or day.weekday() in self.closed_weekdays
            or (self.observe_public_holidays and self.holidays.is_holiday(day))
            or self._at_year_end(day)
        )

    def _at_year_end(self, day: date) -> bool:
        if self.year_end_closure is None:
            return False
        first, last = self.year_end_closure
        here = (day.month, day.day)
        return first <= here <= last if first <= last else here >= first or here <= last


def calendar_of(rules: Mapping[str, Any], holidays: Holidays) -> Calendar:
    """A company's calendar from its stored rules.

    Raises `Invalid`: `calendar_invalid` (a value of the wrong form), `calendar_date_twice` (a date
    both open and closed), `calendar_never_open` (rules that close every day of the week).
    """
    try:
        made = Calendar(
            holidays,
            closed_weekdays=_weekdays(rules.get("closed_weekdays", [5, 6])),
            observe_public_holidays=bool(rules.get("observe_public_holidays", True)),
            year_end_closure=_closure(rules.get("year_end_closure")),
            closed_dates=_dates(rules.get("closed_dates", [])),
            open_dates=_dates(rules.get("open_dates", [])),
        )
    except (TypeError, ValueError):
        detail = "a weekday is 0 (Monday) to 6, a date YYYY-MM-DD, a closure two MM-DD"
        raise Invalid(detail, code="calendar_invalid") from None
    if made.closed_dates & made.open_dates:
        detail = "a date cannot be open and closed"
        raise Invalid(detail, code="calendar_date_twice")
    return made


def check_calendar(rules: Mapping[str, Any], holidays: Holidays, today: date) -> Calendar:
    """The calendar, if within the coming two years it opens at least every sixty days."""
    calendar = calendar_of(rules, holidays)
    day, end = today, today + timedelta(days=730)
    while day < end:
        day = after(calendar, day, 1)
    return calendar


def local_day(moment: datetime) -> date:
    """The date in Japan at this moment."""
    return moment.astimezone(JST).date()


def at(day: date, hour: time) -> datetime:
    """An hour of a Japanese day, in UTC."""
    return datetime.combine(day, hour, JST).astimezone(UTC)


def after(calendar: Calendar, day: date, count: int) -> date:
    """The day on which `count` business days after `day` are complete; `day` does not count."""
    return _step(calendar, day, count, _DAY)


def before(calendar: Calendar, day: date, count: int) -> date:
    """The `count`-th business day before `day`."""
    return _step(calendar, day, count, -_DAY)


def elapsed(calendar: Calendar, first: date, last: date) -> int:
    """Business days after `first` up to and including `last`; none when `last` is not later."""
    days = (first + timedelta(days=number) for number in range(1, (last - first).days + 1))
    return sum(calendar.is_open(day) for day in days)


def due_on(calendar: Calendar, ended_at: datetime) -> date:
    """The third business day after the interview's date in Japan (民法 140: not that day)."""
    return after(calendar, local_day(ended_at), PROMISE_DAYS)


def due_before(due: date) -> datetime:
    """The end of that day (民法 141): midnight in Japan, in UTC; on time is earlier than this."""
    return at(due + _DAY, time())


def provisional(calendar: Calendar, ended_at: datetime, due: date) -> bool:
    """Whether a day between interview and deadline is beyond the official list of holidays."""
    if not calendar.observe_public_holidays:
        return False
    return any(calendar.holidays.is_provisional(day) for day in _between(local_day(ended_at), due))


def office_moment(calendar: Calendar, moment: datetime) -> datetime:
    """The first moment not before this one between 09:00 and 18:00 of an open day in Japan."""
    local = moment.astimezone(JST)
    if calendar.is_open(local.date()) and local.time() < OFFICE_CLOSES:
        return max(moment, at(local.date(), OFFICE_OPENS))
    return at(after(calendar, local.date(), 1), OFFICE_OPENS)


def office_hours(calendar: Calendar, first: datetime, last: datetime) -> float:
    """Hours between 09:00 and 18:00 of open days that lie between two moments."""
    day, end = local_day(first), local_day(last)
    seconds = 0.0
    while day <= end:
        if calendar.is_open(day):
            start = max(first, at(day, OFFICE_OPENS))
            stop = min(last, at(day, OFFICE_CLOSES))
            seconds += max(0.0, (stop - start).total_seconds())
        day += _DAY
    return seconds / 3600


def long_date(day: date, locale: str = "ja") -> str:
    """A date for people: `2026年11月26日(木)`, `Thu 26 November 2026`."""
    if locale == "ja":
        return f"{day.year}年{day.month}月{day.day}日({'月火水木金土日'[day.weekday()]})"
    months = (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    )  # fmt: skip
    weekday = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day.weekday()]
    return f"{weekday} {day.day} {months[day.month - 1]} {day.year}"


def _step(calendar: Calendar, day: date, count: int, step: timedelta) -> date:
    closed = 0
    while count > 0:
        day += step
        if calendar.is_open(day):
            count, closed = count - 1, 0
        elif (closed := closed + 1) >= _LONGEST_CLOSURE:
            detail = f"no open day in the {_LONGEST_CLOSURE} days around {day}"
            raise Invalid(detail, code="calendar_never_open")
    return day


def _between(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _weekdays(given: Iterable[Any]) -> frozenset[int]:
    days = frozenset(given)
    if not all(isinstance(day, int) and day in _WEEKDAYS for day in days):
        raise ValueError
    return days


def _dates(given: Iterable[str]) -> frozenset[date]:
    return frozenset(date.fromisoformat(day) for day in given)


def _closure(given: Iterable[str] | None) -> tuple[MonthDay, MonthDay] | None:
    if not given:
        return None
    first, last = given
    return _month_day(first), _month_day(last)


def _month_day(text: str) -> MonthDay:
    month, day = (int(part) for part in text.split("-"))
    date(2028, month, day)  # a leap year: 02-29 is a day
    return month, day
