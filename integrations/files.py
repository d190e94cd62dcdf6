"""Documents people hand in (履歴書, 職務経歴書): PDF and DOCX, told by what is in them.

Neither the name nor the declared type is asked. Refused is what does more than show text and
pictures: programs, attached files, content fetched from elsewhere when it is opened.
"""

import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from xml.parsers import expat

import anyio
from anyio import CapacityLimiter, to_thread

from domain.errors import Invalid, TryLater
from integrations import archives

SECONDS = 30.0
"""How long to wait for the look into a PDF, which takes five seconds of a processor at the most."""
_PDF_CHECK = Path(__file__).with_name("pdf_check.py")
_AT_ONCE = CapacityLimiter(2)
_MOST_WAITING = 4
"""Whoever asks waits in a transaction: a crowd of slow documents must not hold them all."""
_ENTRIES = 2_000
_ALL_BYTES = 50 * 1024 * 1024
_ELEMENTS = 20_000
"""Parts and links a document may name."""
_LONGEST_FIELD = 50
"""Letters that are looked at of what a field does."""
_RATIO = 100
"""A document is packed to a tenth; what unpacks to a hundred times its size is made to harm."""
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_PROGRAMS = ("macroenabled", "vbaproject", "activex", "vbadata")
_OLE = ("oleobject", "embeddings/")
_BY_LINK = {
    "afchunk": "file_attached", "oleobject": "file_attached", "package": "file_attached",
    "vbaproject": "file_active", "control": "file_active",
}  # fmt: skip
"""Why, by the kind of a link to a part, whatever the part is called."""
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|\\\\", re.IGNORECASE)
_BY_FIELD = {"dde": "file_active", "ddeauto": "file_active"} | dict.fromkeys(
    ("database", "import", "include", "includepicture", "includetext", "link", "rd"), "file_linked"
)
"""Why, by the first word of a field (ECMA-376 17.16.5): the others show what the document holds."""
_DETAILS = {
    "file_empty": "the file is empty",
    "file_type_unknown": "only PDF and DOCX are taken",
    "file_unreadable": "the file is damaged",
    "file_too_large": "at most 5 MiB, and unpacked in proportion",
    "file_too_long": "at most 60 pages",
    "file_protected": "a file with a password: save it without one",
    "file_active": "the file holds a program (JavaScript, macro, form that sends)",
    "file_attached": "another file is attached inside the file",
    "file_linked": "the file fetches content from elsewhere when it is opened",
}


class DocumentReader:
    """Tells what a document is, or why it is not taken."""

    async def check(self, content: bytes) -> Literal["pdf", "docx"]:
        """The kind of a document. Raises `Invalid` with one of the codes of `_DETAILS`.

        Raises `TryLater` when the machine has no time to look into it.
        """
        if not content.strip():
            raise _no("file_empty")
        if content.startswith(b"%PDF-"):
            await _check_pdf(content)
            return "pdf"
        if content.startswith(archives.ZIP):
            async with _turn():
                await to_thread.run_sync(_check_docx, content)
            return "docx"
        raise _no("file_type_unknown")


def _no(code: str) -> Invalid:
    return Invalid(_DETAILS[code], code=code)


@asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    """One of the few that are looked at, or that wait for it. Raises `TryLater`."""
    if _AT_ONCE.statistics().tasks_waiting >= _MOST_WAITING:
        raise TryLater
    async with _AT_ONCE:
        yield


# ---- PDF ------------------------------------------------------------------------------------


async def _check_pdf(content: bytes) -> None:
    """Ask a process that knows none of our keys, may write nothing, and bounds itself."""
    async with _turn():
        try:
            with anyio.fail_after(SECONDS):
                found = await _asked(content)
        except TimeoutError:
            # The machine has no time for it: nothing is known of the document.
            raise TryLater from None
    if found != "ok":
        raise _no(found if found in _DETAILS else "file_unreadable")


async def _asked(content: bytes) -> str:
    command = [sys.executable, "-I", str(_PDF_CHECK)]
    try:
        done = await anyio.run_process(command, input=content, check=False, env={})
    except ExceptionGroup as group:
        # It ended before it had read everything: one of its limits stopped it.
        if group.split(anyio.BrokenResourceError)[1] is not None:
            raise
        return ""
    return done.stdout.decode("ascii", "replace")


# ---- DOCX -----------------------------------------------------------------------------------


def _check_docx(content: bytes) -> None:
    try:
        parts = _parts(content)
    except archives.Damaged as damaged:
        raise _no(damaged.code) from None
    _check_types(parts)
    for name, xml in parts.items():
        if name.endswith(".rels"):
            _check_links(xml)


def _parts(content: bytes) -> dict[str, bytes]:
    """The XML of an archive by its name in lower case; of everything else the bytes are counted."""
    found, parts = archives.entries(content), {}
    names = {one.filename.lower() for one in found}
    if "[content_types].xml" not in names:
        raise _no("file_type_unknown")
    if len(found) > _ENTRIES or len(names) < len(found) or any(map(_leads_out, names)):
        raise archives.Damaged
    left = min(_ALL_BYTES, _RATIO * len(content))
    for one in found:
        name = one.filename.lower()
        if name.endswith((".xml", ".rels")):
            parts[name] = archives.read(content, one, left)
            left -= len(parts[name])
        else:
            parts[name] = b""
            left -= archives.size(content, one, left)
    return parts


def _leads_out(name: str) -> bool:
    return name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")


def _check_types(parts: dict[str, bytes]) -> None:
    """What the archive says its parts are: one Word document, and nothing that runs."""
    declared = [
        (_part_of(attributes), attributes["ContentType"])
        for attributes in _named(parts["[content_types].xml"], "Override", "Default")
        if "ContentType" in attributes
    ]
    everything = [*parts, *(kind.lower() for _, kind in declared)]
    if any(word in one for one in everything for word in _PROGRAMS):
        raise _no("file_active")
    if any(word in one for one in everything for word in _OLE):
        raise _no("file_attached")
    documents = [part for part, kind in declared if kind == _WORD]
    if len(documents) != 1 or documents[0] not in parts:
        raise _no("file_type_unknown")
    if any(_is_xml(kind) and not part.endswith((".xml", ".rels")) for part, kind in declared):
        raise _no("file_unreadable")  # it was not read as what it is
    for name, xml in parts.items():
        if xml and not name.endswith(".rels"):
            _check_fields(xml)


def _part_of(declared: dict[str, str]) -> str:
    """The part a content type is for, or the ending of all that are of it."""
    ending = f".{declared.get('Extension', '')}"
    return declared.get("PartName", ending).lower().removeprefix("/")


def _is_xml(kind: str) -> bool:
    return kind.lower().startswith("application/") and kind.lower().endswith("xml")


def _check_links(xml: bytes) -> None:
    """Only what a reader clicks on may lead outside; no other document is taken in when opened."""
    for link in _named(xml, "Relationship"):
        kind = link.get("Type", "").rpartition("/")[2].lower()
        outside = link.get("TargetMode", "").lower() == "external"
        outside = outside or _ELSEWHERE.match(link.get("Target", "")) is not None
        if outside and kind != "hyperlink":
            raise _no("file_linked")
        if kind in _BY_LINK:
            raise _no(_BY_LINK[kind])


def _check_fields(xml: bytes) -> None:
    """No field starts a program, or fetches what the document does not hold.

    What a field does may be broken up into pieces, with other fields between them.
    """
    said: list[str] = []
    open_ones: list[str] = []
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        inside = name in {"instrText", "delInstrText"}
        if name == "fldSimple":
            said.extend(value for key, value in attributes.items() if key.endswith("instr"))
        kind = next((v for k, v in attributes.items() if k.endswith("fldCharType")), "")
        if name == "fldChar" and kind == "begin":
            open_ones.append("")
        elif name == "fldChar" and kind == "end" and open_ones:
            said.append(open_ones.pop())

    def text(words: str) -> None:
        if inside and open_ones:
            open_ones[-1] = (open_ones[-1] + words).lstrip()[:_LONGEST_FIELD]

    _parsed(xml, start, text)
    for words in (*said, *open_ones):
        does = re.match(r"\s*([a-z]+)", words.lower())
        if does is not None and does[1] in _BY_FIELD:
            raise _no(_BY_FIELD[does[1]])


def _named(xml: bytes, *names: str) -> list[dict[str, str]]:
    """The attributes of the elements of these names."""
    found: list[dict[str, str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name in names:
            found.append(attributes)
            if len(found) > _ELEMENTS:
                raise archives.Damaged

    _parsed(xml, start)
    return found


def _parsed(
    xml: bytes,
    start: Callable[[str, dict[str, str]], None],
    text: Callable[[str], None] | None = None,
) -> None:
    """Walk a part, elements by their local names: it is well-formed, without DOCTYPE."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def doctype(*_: object) -> None:
        raise archives.Damaged

    parser.StartElementHandler = lambda name, told: start(name.rpartition(" ")[2], told)
    parser.StartDoctypeDeclHandler = doctype
    parser.buffer_text = True
    if text is not None:
        parser.CharacterDataHandler = text
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, archives.Damaged):
        raise _no("file_unreadable") from None
