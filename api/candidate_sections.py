"""The parts of a person's own page. Each is registered where its doors are, in a file of its own.

    @section("files", 40, proven=True)
    async def files(visit: Visit) -> dict[str, Any] | None: ...

shows `candidate/page/files.html` with the answer as `it`; null leaves the part out. A part that is
`proven` is shown only after the second step.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from api.candidate_visit import Visit

Section = Callable[[Visit], Awaitable[dict[str, Any] | None]]


@dataclass(frozen=True)
class Part:
    """A part of the page: its template's name, its place, and what it shows."""

    name: str
    order: int
    proven: bool
    make: Section


PARTS: dict[str, Part] = {}


def section(name: str, order: int, *, proven: bool = False) -> Callable[[Section], Section]:
    """Register a part; smaller orders stand higher."""

    def register(make: Section) -> Section:
        if name in PARTS and PARTS[name].make is not make:
            message = f"two parts are called {name}"
            raise ValueError(message)
        PARTS[name] = Part(name, order, proven, make)
        return make

    return register


async def parts_of(visit: Visit) -> list[tuple[str, dict[str, Any]]]:
    """What this visit sees, from top to bottom: the template of each part and its values."""
    shown = []
    for part in sorted(PARTS.values(), key=lambda one: (one.order, one.name)):
        if part.proven and not visit.proven:
            continue
        values = await part.make(visit)
        if values is not None:
            shown.append((f"candidate/page/{part.name}.html", values))
    return shown
