"""Which row of a file names its columns, and what each column is taken for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.errors import Invalid
from domain.import_table import Book, Cell, Sheet
from domain.import_values import Unclear, text_of
from domain.import_words import FIELDS, field_of, plain
from domain.ports import Masked

CRITICAL = frozenset({
    "application_id", "candidate_id", "name", "email", "phone", "outcome", "interview_at",
})  # fmt: skip
"""Where two columns claim the same, a person chooses."""
FIRST_FILLED = frozenset({"decided_at", "reason"})
"""Exports have one column for refusals and one for withdrawals: a row fills one of them."""
_HEADER_WITHIN = 30
_FEW = 2


@dataclass(frozen=True, repr=False)
class Column(Masked):
    """A column of the file and what it is taken for."""

    number: int
    header: str
    field: str | None


def header_of(book: Book) -> tuple[Sheet, int, list[str]]:
    """The first sheet with a header we know words of; else the first that looks like a table.

    With the header's row and its words. Raises `Invalid` (`header_missing`).
    """
    fallback = None
    for sheet in book.sheets:
        best: tuple[int, int, list[str]] | None = None
        for _, (number, cells) in zip(range(_HEADER_WITHIN), sheet.rows(), strict=False):
            words = [_shown(one) for one in cells]
            known = len({field_of(one) for one in words} - {None})
            if known >= _FEW and (best is None or known > best[0]):
                best = known, number, words
            if fallback is None and _looks_like_words(cells):
                fallback = sheet, number, words
        if best is not None:
            return sheet, best[1], best[2]
    if fallback is None:
        detail = "no row names the columns"
        raise Invalid(detail, code="header_missing")
    return fallback


def _shown(cell: Cell) -> str:
    try:
        return text_of(cell)[:200]
    except Unclear:
        return ""


def _looks_like_words(cells: Sequence[Cell]) -> bool:
    """Words only, each once: no address, no digits, as people's rows have them."""
    words = [one.strip() for one in cells if isinstance(one, str) and one.strip()]
    plain_ = all(not any(letter.isdigit() or letter == "@" for letter in one) for one in words)
    return len(words) == len(cells) == len(set(words)) >= _FEW and plain_


def columns_of(header: list[str], mapping: Mapping[int, str | None]) -> list[Column]:
    """Each column by its header, unless a person said what it is (`mapping`, counted from 1)."""
    found, claimed = [], {one for one in mapping.values() if one}
    for number, words in enumerate(header, 1):
        if number in mapping:
            meaning = mapping[number]
        else:
            meaning = field_of(words)
            meaning = None if meaning in claimed else meaning
        found.append(Column(number, words, meaning))
    return _preferred(found, mapping)


def _preferred(columns: list[Column], mapping: Mapping[int, str | None]) -> list[Column]:
    """Of several columns for something that decides nothing, the better known word counts."""
    best: dict[str, tuple[int, int]] = {}
    for one in columns:
        if one.field is not None:
            words = [plain(word) for word in FIELDS[one.field]]
            rank = -1 if one.number in mapping else _rank(words, one.header)
            best[one.field] = min(best.get(one.field, (rank, one.number)), (rank, one.number))
    return [
        one
        if one.field is None
        or one.field in CRITICAL | FIRST_FILLED
        or best[one.field][1] == one.number
        else Column(one.number, one.header, None)
        for one in columns
    ]


def _rank(words: list[str], header: str) -> int:
    return words.index(plain(header)) if plain(header) in words else len(words)


def conflicts_of(columns: list[Column]) -> dict[str, list[int]]:
    """Fields two columns claim: field → columns."""
    claims: dict[str, list[int]] = {}
    for one in columns:
        if one.field is not None and one.field not in FIRST_FILLED:
            claims.setdefault(one.field, []).append(one.number)
    return {name: numbers for name, numbers in claims.items() if len(numbers) > 1}
