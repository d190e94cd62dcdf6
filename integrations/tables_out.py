"""Tables into files for offices: CSV that Excel reads as UTF-8, and XLSX. No cell is ever run.

XLSX is written by XlsxWriter: every text as a text, so that none can be taken for a formula.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import xlsxwriter  # type: ignore[import-untyped]

Cell = str | int | date
BOM = "\ufeff"
_RUNS = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
"""How a cell begins that a spreadsheet would run; also in the wide letters of Japanese keyboards,
and behind blanks."""
_WIDEST, _NARROWEST = 60, 8
_WIDE = 0x1100
"""From here on letters take two columns of a screen, near enough for the width of a cell."""


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """UTF-8 with a byte-order mark, CRLF. A text that could be run is led by an apostrophe."""
    made = io.StringIO(newline="")
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerow(heads)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return (BOM + made.getvalue()).encode()


def as_xlsx(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, made_at: datetime
) -> bytes:
    """One sheet with its heads in bold and frozen. `made_at`: no clock is read here."""
    made = io.BytesIO()
    book = xlsxwriter.Workbook(made, {"in_memory": True})
    book.set_properties({"title": title, "created": made_at.replace(tzinfo=None)})
    sheet = book.add_worksheet(title)
    bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
    for place, head in enumerate(heads):
        sheet.write_string(0, place, head, bold)
        sheet.set_column(place, place, _width([head, *(row[place] for row in rows)]))
    for number, row in enumerate(rows, 1):
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, place, cell)
            elif isinstance(cell, int):
                sheet.write_number(number, place, cell)
            else:
                sheet.write_datetime(number, place, cell, day)
    sheet.freeze_panes(1, 0)
    book.close()
    return made.getvalue()


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and _RUNS.match(cell) else cell


def _width(cells: Iterable[Cell]) -> int:
    longest = max(sum(2 if ord(one) >= _WIDE else 1 for one in str(cell)) for cell in cells)
    return min(max(longest + 2, _NARROWEST), _WIDEST)
