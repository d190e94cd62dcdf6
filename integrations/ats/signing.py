"""What the vendors' signatures have in common. A malformed claim fails; it is never an error."""

import hmac
from collections.abc import Iterable, Sequence
from hashlib import sha256

SHORTEST_SECRET = 8
"""Most secrets are made by the vendor, and none states a length: only the absurd is refused."""


def hex_digest(secret: str, message: bytes) -> bytes:
    """Lower hex of HMAC-SHA256."""
    return hmac.new(secret.encode(), message, sha256).hexdigest().encode()


def signed_hex(
    claims: Iterable[str], secrets: Sequence[str], message: bytes, *, prefix: str = ""
) -> bool:
    """Whether any claim is `prefix` and the hex digest of the message by any secret."""
    wanted = [prefix.encode() + hex_digest(one, message) for one in secrets if one]
    return any(
        hmac.compare_digest(claim.encode(errors="replace"), digest)
        for claim in claims
        for digest in wanted
    )


def shared_only(vendor: str, secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """What is wrong with keys for a vendor that signs with a shared secret of any form."""
    if public_keys:
        return f"{vendor} signs with a shared secret only"
    short = any(len(one) < SHORTEST_SECRET for one in secrets)
    return f"a secret needs at least {SHORTEST_SECRET} characters" if short else None
