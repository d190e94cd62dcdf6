"""iCIMS. Signs a canonical request with HMAC-SHA256, or sends Basic credentials; may gzip bodies.

iCIMS staff set it up and one notification may serve several customers (`customerId`). A delivery
has ids and links only: the applicant workflow is read. Its statuses are the customer's own, so
that the tenant's status map says which of them is an end, and whose.

A secret is the HMAC key, or `user:password` for Basic. `settings.customer_id`: what is about
another customer is none of ours. The layout of the HMAC is one public client's, unconfirmed by the
vendor. With OAuth iCIMS fetches its token from us: the door knows our own tokens, we do not.
"""

import base64
import hmac
import zlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256

from domain.ports import ConnectionView, Incoming, Lookup, Reading, Unreadable
from integrations.ats import canonical as c
from integrations.ats.signing import hex_digest, shared_only

PROVIDER = "icims"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ("content-encoding",)
ONE_BODY_PER_ID = False
ID_IN_BODY = False

WINDOW = timedelta(minutes=15)
"""How far `x-icims-date` may lie from our clock, either way."""
MOST_UNPACKED = 1024 * 1024
"""How far a body is unpacked: as much as may come unpacked (bytes)."""

_ALGORITHM = "x-icims-v1-hmac-sha256"
_COVERED = {"x-icims-date", "x-icims-content-sha256"}
_GZIP = b"\x1f\x8b"
_STATUS_CHANGED = "workflowstatuschangeevent"


# ---- signature ------------------------------------------------------------------------------


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """Whether `Authorization` holds for any secret, by the way its scheme says."""
    scheme, _, claim = incoming.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "basic":
        return _basic(claim.strip(), connection.secrets)
    return scheme.lower() == _ALGORITHM and _signed(claim, incoming, connection.secrets)


def _basic(claim: str, secrets: Sequence[str]) -> bool:
    matches = [
        hmac.compare_digest(claim.encode(errors="replace"), base64.b64encode(one.encode()))
        for one in secrets
        if ":" in one.strip(":")
    ]
    return any(matches)


def _signed(claim: str, incoming: Incoming, secrets: Sequence[str]) -> bool:
    """`user=U,signedheaders=a;b;c,signature=<hex>`; date and body must be among the signed."""
    parts = dict(_pair(one) for one in claim.split(","))
    names = sorted(parts.get("signedheaders", "").lower().split(";"))
    if not set(names) >= _COVERED or any(name not in incoming.headers for name in names):
        return False
    if not (_in_time(incoming) and _body_as_signed(incoming)):
        return False
    message = _string_to_sign(names, incoming)
    claimed = parts.get("signature", "").encode(errors="replace")
    matches = [hmac.compare_digest(claimed, hex_digest(one, message)) for one in secrets if one]
    return any(matches)


def _pair(written: str) -> tuple[str, str]:
    name, _, value = written.strip().partition("=")
    return name.strip().lower(), value.strip()


def _string_to_sign(names: Sequence[str], incoming: Incoming) -> bytes:
    headers = incoming.headers
    lines = [f"{name}: {headers[name]}" for name in names]
    request = "\n".join(
        ["POST", incoming.path, incoming.query, *lines, "", ";".join(names)]
    ).encode(errors="replace")
    digest = sha256(request).hexdigest()
    return f"{_ALGORITHM}\n{headers['x-icims-date']}\n{digest}".encode(errors="replace")


def _in_time(incoming: Incoming) -> bool:
    try:
        sent_at = c.moment(incoming.headers.get("x-icims-date"), "date")
    except Unreadable:
        return False
    return abs(incoming.received_at - sent_at) <= WINDOW


def _body_as_signed(incoming: Incoming) -> bool:
    """The digest is of the bytes received or, the vendor does not say, of what they unpack to."""
    claimed = incoming.headers.get("x-icims-content-sha256", "").encode(errors="replace")
    if hmac.compare_digest(claimed, sha256(incoming.body).hexdigest().encode()):
        return True
    if not incoming.body.startswith(_GZIP):
        return False
    try:
        unpacked = plain(incoming.body)
    except Unreadable:
        return False
    return hmac.compare_digest(claimed, sha256(unpacked).hexdigest().encode())


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """An HMAC key, or `user:password` with a password as long as a key must be."""
    return shared_only("iCIMS", [one.rpartition(":")[2] for one in secrets], public_keys)


def delivery_id(_: Incoming) -> str | None:
    """None: iCIMS numbers no deliveries. Duplicates happen and are told by their effect."""
    return None


# ---- deliveries -----------------------------------------------------------------------------


def plain(body: bytes) -> bytes:
    """The body unpacked, if it is gzip; a small one that swells beyond reason is refused."""
    if not body.startswith(_GZIP):
        return body
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = stream.decompress(body, MOST_UNPACKED + 1)
    except zlib.error:
        raise Unreadable("gzip_malformed") from None
    if len(unpacked) > MOST_UNPACKED:
        raise Unreadable("gzip_too_large")
    if not stream.eof or stream.unused_data:
        raise Unreadable("gzip_malformed")
    return unpacked


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Name the applicant workflow whose status changed. Other events mean nothing to us."""
    body = c.parse(plain(incoming.body))
    name = c.text(body.get("eventType"), "event_type")
    if name is None:
        raise Unreadable("event_type_missing")
    if name.casefold() != _STATUS_CHANGED:
        return Reading(name)
    customer_id = c.ident(body.get("customerId"), "customer_id")
    about = {"kind": "application", "customer_id": customer_id, **_ids(body)}
    ours = connection.settings.get("customer_id")
    if ours and customer_id != str(ours):
        return Reading(name)
    return Reading(name, lookup=Lookup(about))


def _ids(body: Mapping[str, object]) -> dict[str, str | None]:
    return {
        "application_id": c.ident(body.get("systemId"), "system_id"),
        "person_id": c.ident_or_none(body.get("personId"), "person_id"),
        "job_id": c.ident_or_none(body.get("jobId"), "job_id"),
    }
