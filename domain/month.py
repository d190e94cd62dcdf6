"""A calendar month in Japan: statements, closings and registers are told by it."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from domain.business_days import at, long_date

_DAY = timedelta(days=1)
_LONGEST = timedelta(days=31)


@dataclass(frozen=True, order=True)
class Month:
    """A month by its first day."""

    first: date

    @classmethod
    def of(cls, day: date) -> "Month":
        """The month a day lies in."""
        return cls(day.replace(day=1))

    @classmethod
    def named(cls, name: str) -> "Month":
        """The month of `2026-10`. Anything else is a `ValueError`: doors have a pattern for it."""
        return cls(date.fromisoformat(f"{name}-01"))

    @property
    def name(self) -> str:
        """As it is written, `2026-10`."""
        return f"{self.first:%Y-%m}"

    @property
    def last(self) -> date:
        """Its last day."""
        return self.next.first - _DAY

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month.of(self.first + _LONGEST)

    @property
    def before(self) -> "Month":
        """The month in front of it."""
        return Month.of(self.first - _DAY)

    @property
    def begins(self) -> datetime:
        """Its first moment in Japan, in UTC."""
        return at(self.first, time())

    def words(self, locale: str) -> str:
        """As people say it: `2026年10月`, `October 2026`."""
        if locale == "ja":
            return f"{self.first.year}年{self.first.month}月"
        return long_date(self.first, locale).split(" ", 2)[2]
