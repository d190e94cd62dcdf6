"""Tables out of files: CSV in the encodings of Japanese offices, and XLSX. Bytes in, cells out.

What cannot be read is refused with a stable code (`Invalid`), whatever the bytes are. Formulas are
never evaluated (a cell has the value its program stored); macros and other archives are refused.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from domain.errors import Invalid
from domain.import_table import Book, Cell, Sheet
from integrations import archives

LARGEST = 32 * 1024 * 1024
"""Bytes a file may have."""
MOST_ROWS, MOST_COLUMNS = 100_000, 200
"""Rows with anything in them, and columns."""
LAST_ROW = 1_048_576
"""Where an Excel sheet ends."""

_LOOKED_AT = 200
"""Rows that decide about the delimiter."""
_LONGEST_CELL = 32_767
"""Characters Excel puts into one cell."""
_END = "\0"
"""A last row of our own: no text that is read has this letter in it."""
_DELIMITERS = (",", "\t", ";")
_ENTRIES = 2_000
_ENTRY_BYTES, _ALL_BYTES = 256 * 1024 * 1024, 400 * 1024 * 1024
_CELLS = 20_000_000
"""Cells of the rectangle a sheet spans: its reader lays the rectangle out in memory."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CELL = re.compile(
    rb"<(?:[A-Za-z_][\w.-]*:)?c((?:\s+[\w:.-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*)\s*(/?)>"
)
_ANY_CELL = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?c[\s/>]")
_PLACE = re.compile(rb"\sr\s*=\s*[\"']([A-Za-z]{1,4})([0-9]{1,8})[\"']")


def read_book(content: bytes) -> Book:
    """The tables of a file.

    Raises `Invalid`: `file_empty`, `file_too_large`, `file_unreadable`, `file_type_unknown`,
    `file_protected`, `file_macros`, `encoding_unknown`, `too_many_columns`, `too_many_rows`.
    """
    if not content.strip():
        raise _no("file_empty")
    if len(content) > LARGEST:
        raise _no("file_too_large")
    if content.startswith(_OLE):
        raise _no("file_protected")
    if content.startswith(archives.ZIP):
        return _xlsx(content)
    return _csv(content)


def _no(code: str) -> Invalid:
    return Invalid(_DETAILS[code], code=code)


_DETAILS = {
    "file_empty": "the file has no rows",
    "file_too_large": f"at most {LARGEST // 1024 // 1024} MiB, and unpacked in proportion",
    "file_unreadable": "the file is damaged",
    "file_type_unknown": "only CSV and XLSX are read",
    "file_protected": "an old .xls or a file with a password: save it as .xlsx or CSV without one",
    "file_macros": "a workbook with macros: save it as .xlsx",
    "encoding_unknown": "neither UTF-8 nor UTF-16 nor CP932 (Shift_JIS)",
    "too_many_columns": f"at most {MOST_COLUMNS} columns",
    "too_many_rows": f"at most {MOST_ROWS:,} rows",
}


# ---- CSV ------------------------------------------------------------------------------------


def _csv(content: bytes) -> Book:
    text, encoding = _decoded(content)
    if not text.strip():
        raise _no("file_empty")
    delimiter = _delimiter(text)
    _look_through(text, delimiter)
    sheet = Sheet("", lambda: _records(text, delimiter))
    return Book("csv", [sheet], encoding=encoding, delimiter=delimiter)


def _decoded(content: bytes) -> tuple[str, str]:
    """The text and the name of its encoding. CP932, not Shift_JIS: 髙 and ① are in it."""
    for mark, codec, name in (
        (b"\xef\xbb\xbf", "utf-8", "utf-8-bom"),
        (b"\xff\xfe", "utf-16-le", "utf-16"),
        (b"\xfe\xff", "utf-16-be", "utf-16"),
    ):
        if content.startswith(mark):
            return _plain(content.removeprefix(mark), codec), name
    if wide := _wide(content):
        return _plain(content, wide), "utf-16"
    for codec in ("utf-8", "cp932"):
        try:
            return _plain(content, codec), codec
        except Invalid:
            continue
    raise _no("encoding_unknown")


def _plain(content: bytes, codec: str) -> str:
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        raise _no("encoding_unknown") from None
    if "\0" in text:
        # Neither a text nor one in this encoding.
        raise _no("encoding_unknown")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _wide(content: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of its commas, digits and line ends is zero."""
    sample = content[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(content) % 2 or max(even, odd) * 20 < len(sample):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _delimiter(text: str) -> str:
    """The one that makes the most rows of one width, and the widest."""
    sample = text[: 256 * 1024]

    def fit(delimiter: str) -> tuple[int, int]:
        first = itertools.islice(_split(sample, delimiter), _LOOKED_AT)
        widths = [len(one) for one in first if len(one) > 1]
        usual = max(set(widths), key=widths.count, default=0)
        return widths.count(usual), usual

    return max(_DELIMITERS, key=fit)


def _split(text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        raise _no("file_unreadable") from None


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each row with anything in it, numbered as a spreadsheet shows them."""
    for number, cells in enumerate(_split(text, delimiter), 1):
        if any(map(str.strip, cells)):
            yield number, cells


def _look_through(text: str, delimiter: str) -> None:
    for count, (_, cells) in enumerate(_records(f"{text}\n{_END}", delimiter)):
        if cells == [_END]:
            return
        if any(map(str.strip, cells[MOST_COLUMNS:])):
            raise _no("too_many_columns")
        if count > MOST_ROWS:
            raise _no("too_many_rows")
        if any(len(one) > _LONGEST_CELL for one in cells):
            raise _no("file_unreadable")
    raise _no("file_unreadable")  # a quotation that never ends has swallowed the rest


# ---- XLSX -----------------------------------------------------------------------------------


def _xlsx(content: bytes) -> Book:
    _guard(content)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = workbook.sheet_names
        sheets = [_sheet(workbook.get_sheet_by_name(name)) for name in names[:20]]
    except (CalamineError, OSError, ValueError):
        raise _no("file_unreadable") from None
    except BaseException as error:
        # The reader is written in Rust: what it did not foresee comes as a panic.
        if type(error).__name__ == "PanicException":
            raise _no("file_unreadable") from None
        raise
    if not any(sheet.height for sheet in sheets):
        raise _no("file_empty")
    return Book("xlsx", [sheet for sheet in sheets if sheet.height])


def _sheet(found: CalamineSheet) -> Sheet:
    """A sheet's rows. They are laid out when they are asked for, and not kept."""
    first = found.start[0] + 1 if found.start is not None else 1
    left = found.start[1] if found.start is not None else 0
    if found.height > 0 and left + found.width > MOST_COLUMNS:
        raise _no("too_many_columns")

    def rows() -> Iterator[tuple[int, Sequence[Cell]]]:
        count = 0
        for number, cells in enumerate(found.iter_rows(), first):
            # Whether the reader begins at the first filled row or at the sheet's is its own affair.
            if all(cell == "" for cell in cells):
                continue
            count += 1
            if count > MOST_ROWS + 1:
                raise _no("too_many_rows")
            yield number, [_cell(one) for one in cells]

    return Sheet(found.name, rows, height=found.height)


def _cell(value: Any) -> Cell:
    """What a cell holds; a length of time as its words, as nothing here asks for one."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str | int | float | datetime | date):
        return value
    if isinstance(value, time):
        return value.strftime("%H:%M")
    return str(value) if isinstance(value, timedelta) else ""


def _guard(content: bytes) -> None:
    """Refuse what would not fit into memory, before a reader lays it out; and other archives."""
    try:
        _look_into(content)
    except archives.Damaged as damaged:
        raise _no(damaged.code) from None


def _look_into(content: bytes) -> None:
    entries = archives.entries(content)
    names = {one.filename.lower() for one in entries}
    if "[content_types].xml" not in names or "xl/workbook.xml" not in names:
        raise _no("file_type_unknown")
    if any("vbaproject" in name for name in names):
        raise _no("file_macros")
    if len(entries) > _ENTRIES or len(names) < len(entries):
        raise _no("file_unreadable")
    left = _ALL_BYTES
    for one in entries:
        limit = min(left, _ENTRY_BYTES)
        if one.filename.lower().startswith("xl/worksheets/"):
            sheet = archives.read(content, one, limit)
            left -= len(sheet)
            _guard_sheet(sheet)
        else:
            left -= archives.size(content, one, limit)


def _guard_sheet(xml: bytes) -> None:
    """Where the outermost cell with a value lies: the rectangle up to there must be reasonable."""
    found = _CELL.findall(xml)
    if len(found) != sum(1 for _ in _ANY_CELL.finditer(xml)):
        raise _no("file_unreadable")
    widest, lowest = 1, 1
    for attributes, closed in found:
        place = _PLACE.search(attributes)
        if closed or place is None:
            continue
        widest, lowest = max(widest, _column(place[1])), max(lowest, int(place[2]))
    if widest > MOST_COLUMNS:
        raise _no("too_many_columns")
    if lowest > LAST_ROW:
        raise _no("file_unreadable")
    if widest * lowest > _CELLS:
        raise _no("too_many_rows")


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
