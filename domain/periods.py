"""Lengths of time as agreements state them: months as 民法143 counts them, days, and tiers.

Days are local dates in Japan. A period is named by its last day, which still belongs to it.
"""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

_DAY = timedelta(days=1)
_MONTHS = 12


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


def extended(day: date, frozen_days: int) -> date:
    """A last day moved by the days on which the clock stood still (a dispute)."""
    return day + _DAY * frozen_days


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
