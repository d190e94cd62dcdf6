"""A detached signature over a document: who made it, and that nothing was changed since.

`header..signature` (RFC 7515, appendix F). What is signed is the document's canonical JSON without
its `signature`: sorted keys, no spaces, UTF-8. The key is one of `/oauth/jwks.json`.
"""

from joserfc import jws
from joserfc.jwk import ECKey

ALGORITHM = "ES256"


def sign_detached(key: ECKey, payload: bytes, *, kind: str) -> str:
    """The detached compact JWS of a payload; `kind` becomes `typ`."""
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
    first, _, last = jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM]).split(".")
    return f"{first}..{last}"
