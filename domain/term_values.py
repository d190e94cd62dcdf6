"""How the single values of an agreement's document are read, and which ones are refused.

A reader takes the value's name (for the refusal) and the value. A `Shape` reads a part that has
names of its own, so one table says what may stand in a document and what nobody knows. All refusals
are `Invalid` (`terms_invalid`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from domain.errors import Invalid
from domain.periods import Period, Tier

Reader = Callable[[str, Any], Any]

EMPLOYMENT_TERMS = ("permanent", "fixed")
MOST_YEN = 10**12
"""No single amount of this business comes near; above it somebody counted in another unit."""
_MOST_MONTHS = 1_200
_MOST_DAYS = 36_500
"""A hundred years: beyond it dates end before agreements do."""
_MOST_ENTRIES = 200
_LONGEST_TEXT = 100
_WHOLE = 100
_PERCENT = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,6})?")
"""Plain digits. What else `Decimal` would read (1e3, NaN, blanks, other scripts) is a slip."""


def accepted(fits: bool, name: str) -> None:  # noqa: FBT001
    """Refuse the named value unless it fits."""
    if not fits:
        detail = f"the agreement's {name} has a value it cannot have"
        raise Invalid(detail, code="terms_invalid")


@dataclass(frozen=True)
class Shape:
    """A part of the document: the names it knows, those it needs, and what is made of them."""

    make: Callable[..., Any]
    fields: Mapping[str, Reader]
    needs: tuple[str, ...] = ()

    def __call__(self, name: str, stored: Any) -> Any:
        """The part from its stored form. What it leaves out, or leaves null, has its default."""
        accepted(isinstance(stored, Mapping), name)
        accepted(all(stored.get(field) is not None for field in self.needs), name)
        return self.make(
            **{
                field: read(f"{name}.{field}" if name else field, stored[field])
                for field, read in self.fields.items()
                if stored.get(field) is not None
            }
        )

    def unknown(self, stored: Any, prefix: str = "") -> list[str]:
        """The names in a stored part that nobody reads, in its order."""
        if not isinstance(stored, Mapping):
            return []
        names = []
        for name, value in stored.items():
            reader = self.fields.get(name)
            if reader is None:
                names.append(f"{prefix}{name}")
            elif isinstance(reader, Shape | Several):
                names += reader.unknown(value, f"{prefix}{name}.")
        return names


@dataclass(frozen=True)
class Several:
    """A list of parts of one shape."""

    shape: Shape
    least: int = 0

    def __call__(self, name: str, stored: Any) -> tuple[Any, ...]:
        """The parts in their order."""
        accepted(isinstance(stored, list | tuple) and len(stored) <= _MOST_ENTRIES, name)
        accepted(len(stored) >= self.least, name)
        return tuple(self.shape(f"{name}.{place}", one) for place, one in enumerate(stored))

    def unknown(self, stored: Any, prefix: str = "") -> list[str]:
        """The names nobody reads, each with the place of its part."""
        if not isinstance(stored, list | tuple):
            return []
        return [
            name
            for place, one in enumerate(stored)
            for name in self.shape.unknown(one, f"{prefix}{place}.")
        ]


def count(least: int, most: int) -> Reader:
    """A whole number between two others; true and false are none."""

    def read(name: str, value: Any) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        accepted(whole and least <= value <= most, name)
        number: int = value
        return number

    return read


def months(least: int) -> Reader:
    """A number of months."""
    return count(least, _MOST_MONTHS)


def days(least: int) -> Reader:
    """A number of days."""
    return count(least, _MOST_DAYS)


def yen(least: int) -> Reader:
    """An amount in whole yen."""
    return count(least, MOST_YEN)


def choice(*choices: str) -> Reader:
    """One of these words."""

    def read(name: str, value: Any) -> str:
        accepted(isinstance(value, str) and value in choices, name)
        word: str = value
        return word

    return read


def flag(name: str, value: Any) -> bool:
    """True or false, and nothing that merely looks like it."""
    accepted(isinstance(value, bool), name)
    return value is True


def percent(name: str, value: Any) -> Decimal:
    """A percentage above 0 and up to 100, written as text (`"32.5"`) or as a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        accepted(0 < value <= _WHOLE, name)
        return Decimal(value)
    accepted(isinstance(value, str) and _PERCENT.fullmatch(value) is not None, name)
    number = Decimal(value)
    accepted(0 < number <= _WHOLE, name)
    return number


def text(name: str, value: Any) -> str:
    """A short line of words."""
    accepted(isinstance(value, str) and value.isprintable() and value.strip() != "", name)
    accepted(len(value) <= _LONGEST_TEXT, name)
    line: str = value
    return line


def every(read: Reader) -> Reader:
    """A list, possibly empty, of values of one kind."""

    def read_all(name: str, value: Any) -> tuple[Any, ...]:
        accepted(isinstance(value, list | tuple) and len(value) <= _MOST_ENTRIES, name)
        return tuple(read(f"{name}.{place}", one) for place, one in enumerate(value))

    return read_all


def distinct_tiers(least: int) -> Reader:
    """Tiers; two percentages for one end would leave open which of them holds."""
    return _Tiers(TIER, least)


class _Tiers(Several):
    def __call__(self, name: str, stored: Any) -> tuple[Any, ...]:
        tiers = super().__call__(name, stored)
        accepted(len({(tier.unit, tier.up_to) for tier in tiers}) == len(tiers), name)
        return tiers


def _period(months: int = 0, days: int = 0) -> Period:
    accepted((months == 0) != (days == 0), "period")
    return Period(months, days)


TIER = Shape(
    Tier,
    {"unit": choice("day", "month"), "up_to": days(1), "percent": count(0, _WHOLE)},
    needs=("unit", "up_to", "percent"),
)
PERIOD = Shape(_period, {"months": months(1), "days": days(1)})
