"""A form's hidden word, written differently on every page: compressed pages must not give it away.

The length of a compressed answer tells what repeats in it (BREACH); a word under a fresh pad never
repeats.
"""

import hmac
import secrets


def masked(word: str) -> str:
    """The word (hex) behind a pad of its own length: other letters every time."""
    plain = bytes.fromhex(word)
    pad = secrets.token_bytes(len(plain))
    return (pad + _mixed(plain, pad)).hex()


def carries(sent: str, word: str) -> bool:
    """Whether what was sent is the word under any pad."""
    plain = bytes.fromhex(word)
    try:
        given = bytes.fromhex(sent)
    except ValueError:
        return False
    if len(given) != 2 * len(plain):
        return False
    return hmac.compare_digest(_mixed(given[: len(plain)], given[len(plain) :]), plain)


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
