"""The one form in which evidence is hashed: every value with its length in front.

`length:value,` (length in UTF-8 bytes; a missing value is `0:,`) leaves no two readings of the same
bytes, in any language, for ever. A first word names the form, so that a later one can follow.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def canon(*values: str | int | None) -> str:
    """The values one after the other: `canon("a", None, "日本")` is `1:a,0:,6:日本,`."""
    return "".join(_framed("" if value is None else str(value)) for value in values)


def moment(at: datetime | None) -> str | None:
    """An instant as it enters a hash: `2026-06-02T01:00:00.000000Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at is not None else None


def sha256(text: str) -> str:
    """The SHA-256 of a canonical text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def flat(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A document as (path, value) pairs: keys in the order of their letters, lists by number."""
    if isinstance(content, Mapping):
        for key in sorted(content):
            yield from flat(content[key], f"{path}.{key}" if path else key)
    elif isinstance(content, Sequence) and not isinstance(content, str):
        for number, one in enumerate(content):
            yield from flat(one, f"{path}[{number}]")
    else:
        yield path, _word(content)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _framed(text: str) -> str:
    return f"{len(text.encode())}:{text},"
