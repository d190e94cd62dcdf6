"""What a book should say, told a second time in the plainest way: dicts, no database, no ledger."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

ORDER = ("pending", "available", "expired", "frozen", "reserved", "used")
"""Which of a placement's credits goes back first."""
DAY = timedelta(days=1)


def months_later(day: date, months: int) -> date:
    """The same day of a later month; stories use days up to the 28th only."""
    number = day.month - 1 + months
    return day.replace(year=day.year + number // 12, month=number % 12 + 1)


@dataclass
class Known:
    """What the model knows of a credit."""

    placement: str | None
    started: date
    state: str = "pending"
    ends: date = date.max
    expires: date | None = None
    held_until: date | None = None
    asked_until: date | None = None
    came_from: str | None = None
    frozen_on: date | None = None
    hired: date | None = None
    owed_for: bool = False
    paid: bool = False
    """It went back for another one's debt: as good as used."""
    struck: bool = False
    """A dispute about it alone took it: no later fact brings it back."""

    @property
    def asked(self) -> bool:
        return self.asked_until is not None


@dataclass
class Fact:
    """A placement: who leaves, or was never there, earns less."""

    started: date
    ends: date
    left: date | None = None
    withdrawn: bool = False


@dataclass
class Model:
    """One book. Two credits per start, one month of guarantee, three of use."""

    share: int
    credits: dict[str, Known] = field(default_factory=dict)
    placements: dict[str, Fact] = field(default_factory=dict)
    owed: list[str] = field(default_factory=list)
    postings: int = 0

    # What the calendar does

    def fall_due(self, today: date) -> None:
        """Everything whose day has come, again and again, until nothing is due."""
        while self._once(today):
            pass

    def _once(self, today: date) -> int:
        before = self.postings
        for name, credit in sorted(self.credits.items(), key=_due_day):
            if credit.state == "pending" and credit.ends < today:
                self._open(name, credit, credit.ends + DAY)
            elif credit.state == "available" and (credit.expires or date.max) < today:
                self._move(credit, "expired")
        for name, credit in self.credits.items():
            ends = min(credit.held_until or date.max, credit.asked_until or date.max)
            if credit.state == "reserved" and ends < today:
                self.release(name, today)
        return self.postings - before

    def _open(self, name: str, credit: Known, first: date) -> None:
        self._move(credit, "available")
        credit.expires = months_later(first, 3) - DAY
        self._pay(name)

    def _pay(self, name: str) -> None:
        """The oldest debt takes the credit that has just come free."""
        if self.owed:
            self.owed.pop(0)
            self.credits[name].paid = True
            self._move(self.credits[name], "reversed")

    def _move(self, credit: Known, state: str) -> None:
        credit.state = state
        self.postings += 1

    # What HR does

    def usable(self, today: date) -> list[str]:
        """Those that may be reserved, that which expires first in front."""
        free = [
            (one.expires, name)
            for name, one in self.credits.items()
            if one.state == "available" and one.expires is not None and one.expires >= today
        ]
        return [name for _, name in sorted(free)]

    def reserve(self, name: str, today: date) -> None:
        self._move(self.credits[name], "reserved")
        self.credits[name].held_until = today + timedelta(days=60)

    def release(self, name: str, today: date) -> None:
        credit = self.credits[name]
        self._move(credit, "available")
        asked, credit.asked_until, credit.held_until = credit.asked, None, None
        if asked:
            self._move(credit, "reversed")
        elif (credit.expires or date.max) < today:
            self._move(credit, "expired")

    def use(self, name: str, today: date) -> None:
        credit = self.credits[name]
        self._move(credit, "used")
        credit.hired, credit.held_until = today, None
        if credit.asked:
            credit.asked_until = None
            self._owe([name])

    def restore(self, name: str, today: date) -> None:
        credit = self.credits[name]
        self._move(credit, "available")
        credit.expires = max(credit.expires or today, months_later(today, 3) - DAY)
        credit.hired = None
        self._pay(name)

    # What the agency reports

    def due(self, placement: str) -> int:
        fact = self.placements[placement]
        if fact.withdrawn:
            return 0
        return 2 - 2 * self.share // 100 if fact.left else 2

    def settle(self, placement: str, asked_until: date) -> int:
        """Bring the credits to what the facts earn; how many new ones must have been granted."""
        mine = {n: c for n, c in self.credits.items() if c.placement == placement}
        standing = [
            n for n, c in mine.items()
            if (c.state != "reversed" or c.paid) and not c.owed_for and not c.asked
        ]  # fmt: skip
        due = self.due(placement)
        if len(standing) > due:
            self._take(standing, len(standing) - due, asked_until)
            return 0
        missing = max(due - len(standing) - len([n for n in mine if mine[n].struck]), 0)
        for name in [n for n in sorted(mine) if mine[n].asked][:missing]:
            mine[name].asked_until = None
            missing -= 1
        self.postings += missing > 0
        return missing

    def _take(self, standing: list[str], count: int, asked_until: date) -> None:
        def place(name: str) -> tuple[int, int, str]:
            credit = self.credits[name]
            late = -(credit.expires or date.max).toordinal()
            return len(ORDER) if credit.paid else ORDER.index(credit.state), late, name

        taken = sorted(standing, key=place)[:count]
        back = [n for n in taken if self.credits[n].state in {"pending", "available", "frozen"}]
        self.postings += bool(back)
        for name in back:
            self.credits[name].state = "reversed"
            self.credits[name].held_until = self.credits[name].asked_until = None
        self._owe([n for n in taken if self.credits[n].paid or self.credits[n].state == "used"])
        for name in taken:
            if self.credits[name].state == "reserved":
                self.credits[name].asked_until = asked_until

    def _owe(self, names: list[str]) -> None:
        self.postings += bool(names)
        for name in names:
            self.credits[name].owed_for = True
        self.owed += names

    def granted(self, names: Iterable[str], placement: str) -> None:
        fact = self.placements[placement]
        for name in names:
            self.credits[name] = Known(placement, fact.started, ends=fact.ends)

    def issued(self, names: Iterable[str], today: date) -> None:
        """Credits given by hand may be used at once."""
        self.postings += 1
        for name in sorted(names):
            last = months_later(today, 3) - DAY
            self.credits[name] = Known(None, today, "available", expires=last)
        for name in sorted(names):
            self._pay(name)

    # Disputes

    def freeze(self, name: str, today: date) -> None:
        credit = self.credits[name]
        credit.came_from, credit.frozen_on = credit.state, today
        self._move(credit, "frozen")

    def thaw(self, name: str, today: date) -> None:
        credit = self.credits[name]
        if credit.state != "frozen" or credit.frozen_on is None or credit.came_from is None:
            return
        waited = today - credit.frozen_on
        self._move(credit, credit.came_from)
        if credit.state == "pending":
            credit.ends += waited
        else:
            credit.expires = (credit.expires or today) + waited
        if credit.state == "reserved":
            credit.held_until = (credit.held_until or today) + waited
            if credit.asked_until is not None:
                credit.asked_until += waited
        if credit.state == "available" and (credit.expires or date.max) < today:
            self._move(credit, "expired")

    def strike(self, name: str) -> None:
        credit = self.credits[name]
        if credit.state == "frozen":
            self._move(credit, "reversed")
            credit.struck = True
            credit.held_until = credit.asked_until = None

    # What is seen

    def balance(self) -> dict[str, int]:
        found = Counter(credit.state for credit in self.credits.values())
        found["reversed"] += len(self.owed)
        found["owed"] = -len(self.owed)
        return {name: count for name, count in found.items() if count}


def _due_day(item: tuple[str, Known]) -> tuple[date, str]:
    name, credit = item
    day = credit.ends if credit.state == "pending" else credit.expires
    return day or date.max, name
