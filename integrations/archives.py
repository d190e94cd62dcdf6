"""Archives (XLSX, DOCX) looked into without trusting them: what they say of themselves may lie.

Nothing is laid out in memory before its bytes were counted, and nothing is written anywhere.
"""

import io
import zipfile
import zlib

ZIP = b"PK\x03\x04"
_CHUNK = 1024 * 1024
_LOCAL = 30
"""Bytes of an entry's own header, up to its name."""


class Damaged(Exception):  # noqa: N818 - a finding, as the refusals of the domain are
    """An archive that is not read on: `file_unreadable`, `file_protected` or `file_too_large`."""

    def __init__(self, code: str = "file_unreadable") -> None:
        super().__init__(code)
        self.code = code


def entries(content: bytes) -> list[zipfile.ZipInfo]:
    """What an archive says it holds. Raises `Damaged`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError):
        # NotImplementedError is how `zipfile` says that an archive is newer than it can read.
        raise Damaged from None


def read(content: bytes, entry: zipfile.ZipInfo, limit: int) -> bytes:
    """An entry's bytes, of which there are `limit` at the most. Raises `Damaged`."""
    return _unpacked(content, entry, limit, keep=True)[0]


def size(content: bytes, entry: zipfile.ZipInfo, limit: int) -> int:
    """How many bytes an entry has, counted; none of them is kept. Raises `Damaged`."""
    return _unpacked(content, entry, limit, keep=False)[1]


def _unpacked(
    content: bytes, entry: zipfile.ZipInfo, limit: int, *, keep: bool
) -> tuple[bytes, int]:
    start = entry.header_offset
    head = content[start : start + _LOCAL]
    if entry.flag_bits & 1:
        raise Damaged("file_protected")
    if len(head) < _LOCAL or not head.startswith(ZIP):
        raise Damaged
    name, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    start += _LOCAL + name + extra
    packed = content[start : start + entry.compress_size]
    if entry.compress_type == zipfile.ZIP_STORED:
        made, count = packed, len(packed)
    elif entry.compress_type == zipfile.ZIP_DEFLATED:
        made, count = _inflated(packed, limit, keep=keep)
    else:
        raise Damaged
    if count > limit:
        raise Damaged("file_too_large")
    return made, count


def _inflated(packed: bytes, limit: int, *, keep: bool) -> tuple[bytes, int]:
    engine, parts, count = zlib.decompressobj(-15), [], 0
    try:
        while packed and not engine.eof:
            part = engine.decompress(packed, _CHUNK)
            packed, count = engine.unconsumed_tail, count + len(part)
            if keep:
                parts.append(part)
            if count > limit:
                raise Damaged("file_too_large")
    except zlib.error:
        raise Damaged from None
    return b"".join(parts), count
