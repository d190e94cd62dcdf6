"""Printed documents: plain words, pairs and tables in, one PDF out.

The library is Typst: a wheel without system packages, line breaking that knows Japanese, tagged
PDF/A-2a and PDF/UA-1, and the same bytes for the same document. What a document says is handed over
as data and never read as markup. Nothing is looked up outside the installed packages.
"""

import importlib.resources
import json
import re
import struct
import unicodedata
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typst

_HAN = (
    ("noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf"),
    ("noto_cjk_sans_jp_bold", "NotoSansCJKjp-Bold.otf"),
)
"""All of Japanese, and the Han characters and Hangul of names from elsewhere."""
_LATIN = ("fontpkg_source_sans_3", "files/SourceSans3[wght].ttf")
"""The same Latin, with the letters of all of Europe and Vietnam."""
_NO_LETTERS = re.compile("[\ufe0e\ufe0f]")
"""They only ask for a plain or a coloured picture of the letter before them."""
_NEW_LINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_TAKEN_APART = re.compile("[A-Za-zÀ-ɏḀ-ỿ][\u0300-\u036f]+|[ぁ-ヿ][\u3099\u309a]")
"""A letter and its mark sent as two. Only these are joined: joining Han would change names."""
_CHOSEN_SHAPE = re.compile(
    "[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff][\ufe00-\ufe02\U000e0100-\U000e01ef]"
)
"""A Han character and the selector of its registered shape (葛󠄀)."""
_UNICODE = (3, 10)
"""The platform and encoding of a font's whole list of letters (OpenType `cmap`, format 12)."""

Align = Literal["start", "end"]


@dataclass(frozen=True)
class Column:
    """A column: its head, its side, and its share of the width (none: as wide as its words)."""

    head: str
    align: Align = "start"
    share: int | None = None


@dataclass(frozen=True)
class Table:
    """Rows under heads that are repeated on every page. `total` is a last row that sums up."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    total: tuple[str, ...] | None = None
    empty: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """A row of another length would move every later word into a foreign column."""
        for row in (*self.rows, *([self.total] if self.total is not None else [])):
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in {len(self.columns)} columns")


@dataclass(frozen=True)
class Facts:
    """Labels and what they say, one under the other."""

    pairs: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True)
class Figures:
    """A few numbers that the reader came for, side by side, each under its label."""

    pairs: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Running text. `quiet`: small print."""

    text: str
    title: str = ""
    quiet: bool = False


Block = Table | Facts | Figures | Paragraph


@dataclass(frozen=True)
class Document:
    """What is printed. `made_at` is its date inside the file: no clock is read here."""

    title: str
    lang: Literal["ja", "en"]
    made_at: datetime
    blocks: tuple[Block, ...]
    lead: str = ""
    issuer: str = ""
    foot: str = ""


def render(document: Document) -> bytes:
    """The document as PDF. The same document gives the same bytes with the same libraries.

    A letter that no font has is printed as its code (`[U+1F600]`): visible, and never lost.
    It computes (about 30 ms a page): call it off the event loop.
    """
    return typst.compile(
        _template(),
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"document": _said(document)},
        pdf_standards=["a-2a", "ua-1"],  # for keeping and for reading aloud
        timestamp=document.made_at.astimezone(UTC),
    )


def _said(document: Document) -> str:
    """The document as the template reads it."""
    blocks = [{"kind": type(block).__name__.lower(), **asdict(block)} for block in document.blocks]
    facts = {**asdict(document), "made_at": None, "blocks": blocks}
    return json.dumps(_drawable(facts), ensure_ascii=False, sort_keys=True)


def _drawable(value: Any) -> Any:
    if isinstance(value, str):
        return _words(value)
    if isinstance(value, dict):
        return {name: _drawable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_drawable(one) for one in value]
    return value


def _words(said: str) -> str:
    """The same words in letters that the fonts can draw; all others become their codes.

    Letters without a shape are among these: none can hide, or turn the direction of a line.
    """
    said = _NEW_LINES.sub("\n", _NO_LETTERS.sub("", said))
    said = _TAKEN_APART.sub(lambda found: unicodedata.normalize("NFC", found[0]), said)
    chosen = {found.end() - 1 for found in _CHOSEN_SHAPE.finditer(said)}
    return "".join(one if place in chosen else _letter(one) for place, one in enumerate(said))


def _letter(one: str) -> str:
    if one == "\n" or ord(one) in _letters():
        return one
    return " " if one.isspace() else f"[U+{ord(one):04X}]"


@cache
def _letters() -> frozenset[int]:
    """The letters that can be drawn alone, in both weights."""
    regular, bold = (_letters_of(_font(*one).read_bytes()) for one in _HAN)
    known = (regular & bold) | _letters_of(_font(*_LATIN).read_bytes())
    return frozenset(one for one in known if unicodedata.category(chr(one))[0] not in "CM")


def _letters_of(font: bytes) -> set[int]:
    """The code points a font file has a shape for, alone. One parser less than a font library."""
    tables = {}
    for place in range(struct.unpack_from(">H", font, 4)[0]):
        tag, _, start, _ = struct.unpack_from(">4sIII", font, 12 + 16 * place)
        tables[tag] = start
    cmap = tables[b"cmap"]
    found: set[int] = set()
    for place in range(struct.unpack_from(">H", font, cmap + 2)[0]):
        platform, encoding, start = struct.unpack_from(">HHI", font, cmap + 4 + 8 * place)
        if (platform, encoding) == _UNICODE:
            for group in range(struct.unpack_from(">I", font, cmap + start + 12)[0]):
                first, last = struct.unpack_from(">II", font, cmap + start + 16 + 12 * group)
                found.update(range(first, last + 1))
    return found


def _font(package: str, file: str) -> Path:
    return Path(str(importlib.resources.files(package))) / file


@cache
def _template() -> bytes:
    return importlib.resources.files("integrations").joinpath("pdf.typ").read_bytes()


@cache
def _fonts() -> typst.Fonts:
    """Read once per process."""
    places = [str(_font(*one).parent) for one in (*_HAN, _LATIN)]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=places)
