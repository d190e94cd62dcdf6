"""Every sentence people read, in Japanese and English: `locale/{ja,en}/{area}.toml`."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

LOCALES = ("ja", "en")
_FOLDER = Path(__file__).parent / "locale"


@cache
def catalogue(locale: str) -> dict[str, str]:
    """All sentences of a language by `area.key`; nested tables join their names with dots."""
    found: dict[str, str] = {}
    for path in sorted((_FOLDER / locale).glob("*.toml")):
        found |= _flat(tomllib.loads(path.read_text("utf-8")), path.stem)
    return found


def say(locale: str, key: str, /, **values: Any) -> str:
    """The sentence under a key, filled in. A missing key or value is an error, never a blank."""
    return catalogue(locale)[key].format(**values)


def has(locale: str, key: str) -> bool:
    """Whether there is such a sentence."""
    return key in catalogue(locale)


def _flat(table: dict[str, Any], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in table.items():
        name = f"{prefix}.{key}"
        if isinstance(value, dict):
            found |= _flat(value, name)
        else:
            found[name] = value
    return found
