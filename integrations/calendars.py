"""Japanese public holidays from the `holidays` library, and until when the official list is out."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import holidays

OFFICIAL_UNTIL = date(2027, 12, 31)
"""The Cabinet Office publishes the next year each February; later years are computed."""


class JapaneseHolidays:
    """National holidays with 振替休日 and 国民の休日 (祝日法 3).

    Special laws move days (2019, 2020, 2021) before a library knows: `overrides` win over it.
    """

    def __init__(self, overrides: Mapping[date, Literal["add", "remove"]] | None = None) -> None:
        self._days = holidays.country_holidays("JP")
        self._overrides = dict(overrides or {})

    def is_holiday(self, day: date) -> bool:
        """Whether the day is a public holiday in Japan."""
        corrected = self._overrides.get(day)
        return day in self._days if corrected is None else corrected == "add"

    def is_provisional(self, day: date) -> bool:
        """Whether the official list for this day is not published yet."""
        return day > OFFICIAL_UNTIL
