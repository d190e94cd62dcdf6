"""Sealed mode: a relay package encrypted to the agency's own public key (compact JWE, RFC 7516)."""

import base64
from collections.abc import Mapping
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

ENCRYPTION = "A256GCM"
RSA, ECDH = "RSA-OAEP-256", "ECDH-ES"
_LEAST_RSA_BITS = 2048
_CURVES = frozenset({"P-256", "P-384", "P-521", "X25519"})
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class UnfitKey(Exception):  # noqa: N818
    """A key we do not encrypt to. The message says why."""


def check_key(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """A public JWK we can encrypt to: RSA of 2048 bits or more, P-256/384/521 or X25519."""
    if _PRIVATE & set(jwk):
        raise UnfitKey("send the public key only")
    if jwk.get("use", "enc") != "enc":
        raise UnfitKey("the key's `use` must be `enc`")
    key = _key(jwk)
    if jwk.get("alg") not in {None, _algorithm(key)}:
        raise UnfitKey(f"the key's `alg` must be {_algorithm(key)}")
    return dict(jwk)


def seal_to(jwk: Mapping[str, Any], plain: bytes) -> str:
    """A compact JWE for the holder of the private key."""
    key = _key(jwk)
    header = {"alg": _algorithm(key), "enc": ENCRYPTION, "cty": "application/json"}
    if jwk.get("kid"):
        header["kid"] = str(jwk["kid"])
    return jwe.encrypt_compact(header, plain, key, algorithms=[_algorithm(key), ENCRYPTION])


def _key(jwk: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey:
    try:
        _weigh(jwk)
        key = import_key({name: value for name, value in jwk.items() if name != "alg"})
    except (JoseError, ValueError, TypeError, KeyError):
        raise UnfitKey("this is not a public RSA, EC or X25519 key") from None
    assert isinstance(key, RSAKey | ECKey | OKPKey)  # noqa: S101
    return key


def _weigh(jwk: Mapping[str, Any]) -> None:
    """Strong enough, and of a kind that can be encrypted to; looked at before it is parsed."""
    if jwk["kty"] == "RSA":
        modulus = int.from_bytes(base64.urlsafe_b64decode(jwk["n"] + "==="))
        strong = modulus.bit_length() >= _LEAST_RSA_BITS
    else:
        strong = jwk["kty"] in {"EC", "OKP"} and jwk["crv"] in _CURVES
    if not strong:
        raise ValueError


def _algorithm(key: RSAKey | ECKey | OKPKey) -> str:
    return RSA if isinstance(key, RSAKey) else ECDH
