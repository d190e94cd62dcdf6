"""Packages on their way out: signed with the instance's key, encrypted where the agency asked."""

from typing import Any

from api.auth import issuer
from api.runtime import Runtime
from domain.flows.relay.provide_package import Provided
from domain.relay_package import canonical
from integrations.jwe import seal_to
from integrations.jws import sign_detached

KIND = "relay-package+jws"


def signed(process: Runtime, provided: Provided) -> dict[str, Any]:
    """The package with its detached signature (ES256; public keys at `/oauth/jwks.json`)."""
    signature = sign_detached(issuer(process.settings).key, canonical(provided.package), kind=KIND)
    return {**provided.package, "signature": signature}


def sealed(process: Runtime, provided: Provided, encryption_key: dict[str, Any]) -> str:
    """The signed package as a compact JWE for the endpoint's key."""
    return seal_to(encryption_key, canonical(signed(process, provided)))
