"""Sealing with AES-256-GCM under a key ring, and keyed hashes to find things again.

Layout of sealed bytes: form, length and name of the ring key, 12 bytes nonce, ciphertext and tag.
Under a data key the name is empty. Form 1 holds the value itself, form 2 the value deflated: what
is long is packed before it is sealed, because nothing can pack it afterwards.
"""

import base64
import hashlib
import hmac
import os
import zlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PLAIN, _PACKED = 1, 2
_WORTH_PACKING = 1024
_LARGEST = 64 * 1024 * 1024
_NONCE = 12
_KEY_BYTES = 32
_KEY_ABOUT = "data-key"


class KeyRing:
    """Named 256-bit keys, the newest first. New values use the newest, older ones still open."""

    def __init__(self, keys: Mapping[str, bytes], *, pepper: bytes) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys.values()):
            message = "a key ring needs at least one key of 32 bytes"
            raise ValueError(message)
        self._ring = {name: AESGCM(key) for name, key in keys.items()}
        self.newest = next(iter(keys))
        self._pepper = pepper

    @classmethod
    def parse(cls, ring: str, pepper: str) -> "KeyRing":
        """Read `name:base64,name:base64` (newest first), as the settings hold it."""
        pairs = (entry.strip().split(":", 1) for entry in ring.split(","))
        keys = {name: base64.b64decode(value, validate=True) for name, value in pairs}
        return cls(keys, pepper=pepper.encode())

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._ring)}: •••)"

    def seal(self, plain: bytes, *, about: str, key: bytes | None = None) -> bytes:
        """Seal under the newest ring key, or under the wrapped data key given."""
        if key is not None:
            return _close(AESGCM(self._unwrap(key)), "", plain, about)
        return _close(self._ring[self.newest], self.newest, plain, about)

    def open(self, sealed: bytes, *, about: str, key: bytes | None = None) -> bytes:
        """Open what `seal` made; `ValueError` for other bytes, another place or another key."""
        form, name, nonce, body = _split(sealed)
        if key is not None:
            cipher = AESGCM(self._unwrap(key))
        elif name in self._ring:
            cipher = self._ring[name]
        else:
            message = "sealed with a key that is not in the ring"
            raise ValueError(message)
        try:
            plain = cipher.decrypt(nonce, body, _bound_to(form, about))
        except InvalidTag:
            message = "cannot be opened here"
            raise ValueError(message) from None
        return plain if form == _PLAIN else zlib.decompressobj().decompress(plain, _LARGEST)

    def new_key(self, *, about: str = _KEY_ABOUT) -> bytes:
        """A fresh 256-bit data key, wrapped."""
        return self.seal(os.urandom(_KEY_BYTES), about=about)

    def rewrap(self, sealed: bytes, *, about: str) -> bytes | None:
        """The same content under the newest key; null when it is, or lies under a data key."""
        if _split(sealed)[1] in {self.newest, ""}:
            return None
        return self.seal(self.open(sealed, about=about), about=about)

    def blind(self, kind: str, value: str, *, key: bytes | None = None) -> bytes:
        """HMAC-SHA-256 with the pepper, or with a wrapped data key: equal values, equal hashes."""
        secret = self._pepper if key is None else self._unwrap(key)
        return hmac.new(secret, f"{kind}\0{value}".encode(), hashlib.sha256).digest()

    def _unwrap(self, wrapped: bytes) -> bytes:
        return self.open(wrapped, about=_KEY_ABOUT)


def _close(cipher: AESGCM, name: str, plain: bytes, about: str) -> bytes:
    form, nonce = _PLAIN, os.urandom(_NONCE)
    if len(plain) >= _WORTH_PACKING:
        form, plain = _PACKED, zlib.compress(plain, 1)
    head = bytes([form, len(name)]) + name.encode() + nonce
    return head + cipher.encrypt(nonce, plain, _bound_to(form, about))


def _bound_to(form: int, about: str) -> bytes:
    return bytes([form]) + about.encode()


def _split(sealed: bytes) -> tuple[int, str, bytes, bytes]:
    if len(sealed) < 2 + _NONCE or sealed[0] not in {_PLAIN, _PACKED}:
        message = "not a sealed value"
        raise ValueError(message)
    start = 2 + sealed[1]
    name = sealed[2:start].decode("ascii", "replace")
    return sealed[0], name, sealed[start : start + _NONCE], sealed[start + _NONCE :]
