"""Japanese public holidays from the `holidays` library, and until when the official list is out."""

from datetime import date

import holidays

OFFICIAL_UNTIL = date(2027, 12, 31)
"""The Cabinet Office publishes the next year each February; later years are computed."""


class JapaneseHolidays:
    """National holidays with 振替休日 and 国民の休日 (祝日法 3)."""

    def __init__(self) -> None:
        self._days = holidays.country_holidays("JP")

    def is_holiday(self, day: date) -> bool:
        """Whether the day is a public holiday in Japan."""
        return day in self._days

    def is_provisional(self, day: date) -> bool:
        """Whether the official list for this day is not published yet."""
        return day > OFFICIAL_UNTIL
