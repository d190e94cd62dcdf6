"""What a file of rows is, whoever read it: sheets of cells, not yet understood."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from domain.ports import Masked

Cell = str | int | float | date | datetime
"""A cell as its file has it. A number of a spreadsheet is a number, whatever it stands for."""
Rows = Callable[[], Iterator[tuple[int, Sequence[Cell]]]]
"""Begins anew each time: (number as a spreadsheet shows it, cells) of each row that is not empty.

May raise `Invalid`.
"""


@dataclass(frozen=True, repr=False)
class Sheet(Masked):
    """One table of a file."""

    name: str
    rows: Rows
    height: int = 0


@dataclass(frozen=True, repr=False)
class Book(Masked):
    """A file of tables: a CSV has one. `format` is `csv` or `xlsx`."""

    format: str
    sheets: Sequence[Sheet]
    encoding: str | None = None
    delimiter: str | None = None
