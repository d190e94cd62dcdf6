"""Forms on people's pages: what was sent, what is wrong and at which control, what was done.

The words stand in the catalogue of the form's area, as `fault_…` and `done_…`. A refusal without
words of its own is told in the area's `fault_other`; a URL can name a message, never write one.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import status_of
from api.pages import catalogues
from domain.errors import Conflict, Halted, Invalid, Refusal
from domain.feedback import Stopped

_LONGEST_WORD = 60


@dataclass(frozen=True)
class Fault:
    """What is wrong with a form, at which control; `code` is the refusal's."""

    form: str
    control: str
    code: str
    detail: str = ""
    areas: tuple[str, ...] = ("dashboard",)
    """Where its words are looked for, in this order; the first also has those for all others."""

    @property
    def words(self) -> str:
        """The catalogue's key for what to tell the person."""
        key = f"fault_{self.code}"
        area = next((one for one in self.areas if says(one, key)), None)
        return f"{area}.{key}" if area is not None else f"{self.areas[0]}.fault_other"


@dataclass(frozen=True)
class Refilled:
    """A form to show again: what was entered and what is wrong with it."""

    faults: Sequence[Fault] = ()
    values: dict[str, str] = field(default_factory=dict)
    status: int = 200
    made: Any = None
    """Something to show this once: a link, a secret."""

    def of(self, form: str) -> list[Fault]:
        """What is wrong with one form of the page."""
        return [fault for fault in self.faults if fault.form == form]


class Form:
    """One form that was sent: its values, and what the domain says to them.

    Several boxes of one name are kept as one line, with blanks.
    """

    areas: ClassVar[tuple[str, ...]] = ("dashboard",)

    def __init__(self, name: str, control: str, values: dict[str, str]) -> None:
        self.name, self.control, self.values = name, control, values
        self.refilled: Refilled | None = None
        self.result: Any = None

    @classmethod
    async def read(
        cls, request: Request, name: str, control: str, *fields: str, many: Iterable[str] = ()
    ) -> Self:
        """What was sent in these fields; `many`: those that may be ticked more than once."""
        form = await request.form()
        values = {one: str(form.get(one, "")).replace("\x00", "").strip() for one in fields}
        for one in many:
            ticked = [str(value) for value in form.getlist(one)]
            values[one] = " ".join(value for value in ticked if _is_plain(value))
        return cls(name, control, values)

    def chosen(self, name: str) -> list[str]:
        """What was ticked under a name."""
        return self.values[name].split()

    async def run(self, db: AsyncSession, act: Callable[[], Awaitable[Any]]) -> bool:
        """Do it, in a transaction of its own; false when it was refused."""
        try:
            async with db.begin_nested():
                self.result = await act()
        except (Conflict, Invalid, Halted) as refusal:
            self.refuse(refusal.code, status_of(refusal), _harmless(refusal))
            return False
        return True

    def refuse(self, code: str, status: int = 422, detail: str = "") -> None:
        """Show the form again with this fault."""
        fault = Fault(self.name, self.control, code, detail, self.areas)
        kept = {f"{self.name}.{name}": value for name, value in self.values.items()}
        self.refilled = Refilled([fault], kept, status)

    def refuse_at(self, control: str, code: str) -> None:
        """Refuse it for what stands in one control."""
        self.control = control
        self.refuse(code)


def says(area: str, key: str) -> bool:
    """Whether an area of the catalogue has words of its own for this."""
    return key in catalogues()["ja"][area]


def known(area: str, done: str) -> str:
    """A message of ours, never words of the URL."""
    return done if says(area, f"done_{done}") else ""


def _is_plain(value: str) -> bool:
    return (
        value.isascii() and value.isprintable() and " " not in value and len(value) < _LONGEST_WORD
    )


def _harmless(refusal: Refusal) -> str:
    """The words the guard found; other details are for programs."""
    return " / ".join(refusal.words) if isinstance(refusal, Stopped) else ""
