"""The instance's ledger keys: Ed25519 (RFC 8032), named by the SHA-256 of the public key.

They sign checkpoints and statements. A key that was replaced goes on being published and believed,
or nothing signed with it could be checked any more.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

CURVE, ALGORITHM = "Ed25519", "EdDSA"
_NAME = 16  # hex digits
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


def new_key() -> str:
    """A fresh private key in PEM: what `RELAY_LEDGER_KEY` holds."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class LedgerKeys:
    """The present private key, and every public key that was ever used."""

    def __init__(self, present: str, old: str = "") -> None:
        """`present`: a private key in PEM. `old`: PEMs, private or public, one behind the other.

        Raises `ValueError` for anything that is not an Ed25519 key.
        """
        key = _private(present)
        if key is None:
            message = "the present key must be an Ed25519 private key in PEM"
            raise ValueError(message)
        listed = [key.public_key(), *(_public(pem) for pem in _PEM.findall(old))]
        self._key, self._known = key, {_name(one): one for one in listed}
        self.key_id = _name(key.public_key())
        """The present key's name: the first 16 hex digits of the SHA-256 of its 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes. What a message is for stands in its first words."""
        return self._key.sign(message)

    def sign_document(self, payload: bytes, *, kind: str) -> str:
        """A detached compact JWS of a document (RFC 7515, appendix F); `kind` becomes `typ`."""
        first, _, last = self.sign_compact(payload, kind=kind).split(".")
        return f"{first}..{last}"

    def sign_compact(self, payload: bytes, *, kind: str) -> str:
        """A compact JWS with the document inside (RFC 7515, 7.1)."""
        header = {"alg": ALGORITHM, "kid": self.key_id, "typ": kind}
        first = _base64url(json.dumps(header, separators=(",", ":")).encode())
        signed = _signed(first, payload)
        return f"{signed.decode()}.{_base64url(self._key.sign(signed))}"

    def verifies(self, key_id: str, signature: bytes, payload: bytes) -> bool:
        """Whether the key of this name made the signature; false for a key nobody knows."""
        key = self._known.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, payload)
        except InvalidSignature:
            return False
        return True

    def verifies_document(self, signature: str, payload: bytes, *, kind: str) -> bool:
        """Whether a detached JWS over these bytes is ours and says what they are."""
        first, parted, last = signature.partition("..")
        try:
            header, made = json.loads(_bytes(first)), _bytes(last)
        except ValueError:
            return False
        if not parted or not isinstance(header, dict):
            return False
        says = header.get("alg"), header.get("typ")
        known = self.verifies(str(header.get("kid")), made, _signed(first, payload))
        return known and says == (ALGORITHM, kind)

    def public(self) -> dict[str, str]:
        """The public keys by name, 32 bytes in hex each; the present one first."""
        return {name: key.public_bytes_raw().hex() for name, key in self._known.items()}

    def jwks(self) -> dict[str, Sequence[dict[str, str]]]:
        """The public keys as a JWK set (RFC 8037)."""
        return {
            "keys": [
                {"kty": "OKP", "crv": CURVE, "x": _base64url(key.public_bytes_raw()),
                 "kid": name, "use": "sig", "alg": ALGORITHM}
                for name, key in self._known.items()
            ]
        }  # fmt: skip


def _private(pem: str) -> Ed25519PrivateKey | None:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _public(pem: str) -> Ed25519PublicKey:
    private = _private(pem)
    if private is not None:
        return private.public_key()
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError):
        key = None
    if isinstance(key, Ed25519PublicKey):
        return key
    message = "an old key must be an Ed25519 key in PEM"
    raise ValueError(message)


def _name(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_NAME]


def _signed(first: str, payload: bytes) -> bytes:
    return f"{first}.{_base64url(payload)}".encode()


def _base64url(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
