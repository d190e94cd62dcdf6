"""What an agreement's version says, and the dates that follow from it (domain rules 11, 13).

Months are counted as 民法143 counts them. Days are local dates in Japan. Terms never change for a
credit that was granted: the terms in force are copied onto it.
"""

import calendar
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from domain.errors import Invalid

MOST_CREDITS = 5
"""Per placement: an agreement that gives more is a mistake."""
_DAY = timedelta(days=1)
_MONTHS = 12
_WHOLE = 100


@dataclass(frozen=True)
class Period:
    """A length agreed in months or in days; one of them is zero."""

    months: int = 0
    days: int = 0


@dataclass(frozen=True)
class Tier:
    """Up to this day or month after the start, this percentage."""

    unit: str
    up_to: int
    percent: int


@dataclass(frozen=True)
class Terms:
    """The terms of one agreement version, with the defaults of a new agreement."""

    accrual_rule: str = "on_placement"
    credits_per_placement: int = 1
    guarantee: Period = Period(months=6)
    available_after: str = "guarantee_end"
    validity_months: int = 12
    validity_from: str = "available"
    value_cap_jpy: int | None = None
    early_leave_tiers: tuple[Tier, ...] = ()
    early_leave_rounding: str = "up"
    reservation_days: int = 60
    reservation_stops_expiry: bool = True
    restore_on_early_leave: bool = True
    restore_min_months: int = 3
    max_open: int | None = None
    settle_owed: str = "next_credit"
    tail_months: int = 6
    ownership_window_months: int = 12
    attribution: str = "first_consent"

    @property
    def grants_on_placement(self) -> bool:
        """Whether a start earns credits by itself."""
        return self.accrual_rule in {"on_placement", "mixed"}


def terms_of(stored: Mapping[str, Any]) -> Terms:
    """The terms from an agreement version's document; what it leaves out has its default.

    Raises `Invalid` (`terms_invalid`) for a value the business cannot mean.
    """
    known = {
        name: check(name, stored[name])
        for name, check in _CHECKS.items()
        if stored.get(name) is not None
    }
    _checked(known.get("credits_per_placement", 1) <= MOST_CREDITS, "credits_per_placement", None)
    return Terms(**known)


def tiers_of(stored: Sequence[Mapping[str, Any]]) -> tuple[Tier, ...]:
    """Tiers from their stored form `[{unit: day|month, up_to, percent}]`."""
    made = []
    for one in stored:
        _checked(one.get("unit") in {"day", "month"}, "unit", one)
        percent = _count("percent", one.get("percent"), 0)
        _checked(percent <= _WHOLE, "percent", percent)
        made.append(Tier(one["unit"], _count("up_to", one.get("up_to"), 1), percent))
    return tuple(made)


def last_day(start: date, *, months: int, count_first_day: bool = True) -> date:
    """The last day of a period of months (民法143).

    It is the day before the day that corresponds to the start; where the last month has no such
    day, that month's last day. Uncounted first days move the start by one.
    """
    first = start if count_first_day else start + _DAY
    month = first.month - 1 + months
    year, month = first.year + month // _MONTHS, month % _MONTHS + 1
    length = calendar.monthrange(year, month)[1]
    if first.day > length:
        return date(year, month, length)
    return date(year, month, first.day) - _DAY


def period_end(start: date, period: Period) -> date:
    """The last day of a period whose first day is the start."""
    if period.months:
        return last_day(start, months=period.months)
    return start + _DAY * (period.days - 1)


def guarantee_end(terms: Terms, started_on: date) -> date:
    """The last day on which leaving counts as early. The start date is day 1."""
    return period_end(started_on, terms.guarantee)


def available_on(terms: Terms, started_on: date, guarantee_end_on: date) -> date:
    """The first day on which a credit may be used."""
    return started_on if terms.available_after == "start" else guarantee_end_on + _DAY


def expires_on(terms: Terms, started_on: date, first_usable: date) -> date:
    """The last day on which a credit may be used."""
    begins = started_on if terms.validity_from == "start" else first_usable
    return last_day(begins, months=terms.validity_months)


def restored_until(terms: Terms, expires: date, today: date) -> date:
    """A credit that comes back stays usable for a while, and never less long than before."""
    if not terms.restore_min_months:
        return expires
    return max(expires, last_day(today, months=terms.restore_min_months))


def ownership_end(terms: Terms, forwarded_on: date) -> date:
    """The last day on which a start still counts for the company that relayed (domain rules 12)."""
    return last_day(forwarded_on, months=terms.ownership_window_months, count_first_day=False)


def percent_of(
    tiers: Sequence[Tier],
    started_on: date,
    last_day_employed: date,
    *,
    count_first_day: bool = True,
) -> int:
    """The percentage of the first tier the last day employed falls into; zero after all of them."""
    ends = sorted((_tier_end(tier, started_on, count_first_day), tier.percent) for tier in tiers)
    return next((percent for end, percent in ends if last_day_employed <= end), 0)


def _tier_end(tier: Tier, started_on: date, count_first_day: bool) -> date:  # noqa: FBT001
    if tier.unit == "month":
        return last_day(started_on, months=tier.up_to, count_first_day=count_first_day)
    return started_on + _DAY * (tier.up_to - (1 if count_first_day else 0))


def taken_back(terms: Terms, granted: int, started_on: date, last_day_employed: date) -> int:
    """How many of a placement's credits an early leave takes back. Without tiers: all of them."""
    percent = _WHOLE
    if terms.early_leave_tiers:
        percent = percent_of(terms.early_leave_tiers, started_on, last_day_employed)
    share = granted * percent
    if terms.early_leave_rounding == "up":
        return -(-share // _WHOLE)
    if terms.early_leave_rounding == "down":
        return share // _WHOLE
    return (2 * share + _WHOLE) // (2 * _WHOLE)


def _period(stored: Any) -> Period:
    _checked(isinstance(stored, Mapping) and len(stored) == 1, "guarantee", stored)
    unit, length = next(iter(stored.items()))
    _checked(unit in {"months", "days"}, "guarantee", stored)
    return Period(**{unit: _count("guarantee", length, 1)})


def _count(name: str, value: Any, least: int) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    number: int = _checked(whole and value >= least, name, value)
    return number


def _checked(fits: bool, name: str, value: Any) -> Any:  # noqa: FBT001
    if not fits:
        detail = f"the agreement's {name} has a value it cannot have"
        raise Invalid(detail, code="terms_invalid")
    return value


def _choice(*choices: str) -> Callable[[str, Any], Any]:
    return lambda name, value: _checked(value in choices, name, value)


def _at_least(least: int) -> Callable[[str, Any], Any]:
    return lambda name, value: _count(name, value, least)


def _flag(name: str, value: Any) -> Any:
    return _checked(isinstance(value, bool), name, value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "accrual_rule": _choice("on_placement", "per_n_relays", "mixed"),
    "credits_per_placement": _at_least(1),
    "guarantee": lambda _, value: _period(value),
    "available_after": _choice("guarantee_end", "start"),
    "validity_months": _at_least(1),
    "validity_from": _choice("available", "start"),
    "value_cap_jpy": _at_least(0),
    "early_leave_tiers": lambda _, value: tiers_of(value),
    "early_leave_rounding": _choice("up", "down", "half_up"),
    "reservation_days": _at_least(1),
    "reservation_stops_expiry": _flag,
    "restore_on_early_leave": _flag,
    "restore_min_months": _at_least(0),
    "max_open": _at_least(0),
    "settle_owed": _choice("next_credit", "invoice"),
    "tail_months": _at_least(0),
    "ownership_window_months": _at_least(1),
    "attribution": _choice("first_consent", "last_consent", "shared"),
}
