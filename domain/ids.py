"""Typed, time-ordered ids: a prefix that tells the kind, then a UUIDv7 (RFC 9562) as 26 letters."""

import os
import re
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32 keeps byte order as text order
_LETTERS = 26
PATTERN = r"^{prefix}_[0-9a-hjkmnp-tv-z]{{26}}$"


def uuid7() -> int:
    """A UUIDv7 as a number: 48 bits of milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10), "big")
    random_a, random_b = noise >> 68, noise & ((1 << 62) - 1)
    return milliseconds << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b


def new_id(prefix: str) -> str:
    """A fresh id such as `rly_01k9…`; ids of one kind sort by when we made them."""
    number = uuid7()
    return id_of(prefix, number)


def id_of(prefix: str, number: int) -> str:
    """The id that stands for a number; greater numbers have greater ids."""
    letters = [_ALPHABET[number >> shift & 31] for shift in range(5 * (_LETTERS - 1), -1, -5)]
    return f"{prefix}_{''.join(letters)}"


def number_of(row_id: str) -> int:
    """The number an id stands for."""
    number = 0
    for letter in row_id.partition("_")[2]:
        number = number << 5 | _ALPHABET.index(letter)
    return number


def pattern(prefix: str) -> str:
    """The regular expression a well-formed id of this kind matches."""
    return PATTERN.format(prefix=prefix)


def is_id(value: str, prefix: str) -> bool:
    """Whether a text from outside has the form of an id of this kind."""
    return re.fullmatch(pattern(prefix), value) is not None
