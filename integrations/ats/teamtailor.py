"""Teamtailor. Signs with HMAC-SHA256 (v2) and never repeats a delivery: what is lost, polls find.

A delivery names a job application; who it is about, who ended it and why stands in the API only
(`teamtailor_api`). So everything but a deletion is read there before it counts.

Settings: `accept_v1` lets the older signatures in: v1, which covers nothing but the record's id,
and the one of marketplace partners, which covers nothing but the event's. Both are mere hints.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

from domain.ports import ConnectionView, Incoming, Lookup, Reading, Unreadable
from integrations.ats import canonical as c
from integrations.ats.signing import shared_only, signed_hex

PROVIDER = "teamtailor"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ("tt-signature", "teamtailor-signature")
ONE_BODY_PER_ID = False
ID_IN_BODY = False

TOLERANCE_SECONDS = 300
"""How far a delivery's own time may lie from ours; there are no retries to allow for."""

_NUMBER = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_STAMP = re.compile(r"\d{1,12}", re.ASCII)
_SIGNATURE_MEMBER = re.compile(rb',\s*"signature"\s*:\s*"((?:[^"\\]|\\/)*)"(\s*\}\s*)', re.DOTALL)
_PAYLOAD_ALONE = re.compile(rb'\s*\{\s*"payload"\s*:\s*(\{.*\})\s*\}\s*', re.DOTALL)


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake."""


# ---- signatures -----------------------------------------------------------------------------


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """`TT-Signature` v2 by any of the secrets; older schemes only where the tenant allows them.

    A delivery that claims v2 is never let in by a weaker scheme: `read` relies on it.
    """
    claimed = _parts(incoming)
    if "v2" in claimed:
        return _is_v2(incoming, claimed, connection.secrets)
    if connection.settings.get("accept_v1") is not True:
        return False
    if "tt-signature" in incoming.headers:
        return _is_v1(incoming, connection.secrets)
    return _is_partners(incoming, connection.secrets)


def _parts(incoming: Incoming) -> dict[str, str]:
    """`t=…,v2=…` inside the base64 of `TT-Signature`; nothing where it is not of that form."""
    return _pairs(_decoded(incoming.headers.get("tt-signature", "")))


def _decoded(header: str) -> str:
    try:
        return base64.b64decode(header, validate=True).decode("ascii")
    except ValueError:
        return ""


def _pairs(listed: str) -> dict[str, str]:
    """`name=value` parted by commas; a name given twice is no signature of Teamtailor's."""
    found = [one.strip().partition("=") for one in listed.split(",")]
    made = {name: value for name, _, value in found}
    return made if len(made) == len(found) else {}


def _is_v2(incoming: Incoming, claimed: dict[str, str], secrets: Sequence[str]) -> bool:
    stamp = claimed.get("t", "")
    if not _is_recent(stamp, incoming):
        return False
    return any(
        signed_hex([claimed["v2"]], secrets, stamp.encode() + b"." + text)
        for text in _signed_texts(incoming)
    )


def _signed_texts(incoming: Incoming) -> Iterator[bytes]:
    """What the digest may cover: the body as it came, without itself, or the payload alone.

    The vendor's documentation shows a `signature` inside the body, which no digest can cover, and
    signs the text of `payload` in its samples. Each covers everything that `read` looks at.
    """
    yield incoming.body
    bare = _without_signature(incoming.body, incoming.headers.get("tt-signature", ""))
    if bare is not None:
        yield bare
    alone = _PAYLOAD_ALONE.fullmatch(incoming.body if bare is None else bare)
    if alone is not None:
        yield alone[1]


def _without_signature(body: bytes, header: str) -> bytes | None:
    """The body without a trailing member `signature` that repeats the header."""
    at = body.rfind(b'"signature"')
    start = body.rfind(b",", 0, max(at, 0))
    found = _SIGNATURE_MEMBER.fullmatch(body, start) if start >= 0 else None
    if found is None or found[1].replace(b"\\/", b"/") != header.encode(errors="replace"):
        return None
    return body[:start] + found[2]


def _is_v1(incoming: Incoming, secrets: Sequence[str]) -> bool:
    """Base64 of the hex digest of `payload.data.id`. Nothing else is covered."""
    number = _inner_id(incoming.body, "payload", "data")
    claimed = _decoded(incoming.headers.get("tt-signature", ""))
    return number is not None and signed_hex([claimed], secrets, number.encode())


def _is_partners(incoming: Incoming, secrets: Sequence[str]) -> bool:
    """`t=…,v1=…,v0=fake` over the time and the partner event's id. Nothing else is covered."""
    claimed = _pairs(incoming.headers.get("teamtailor-signature", ""))
    number = _inner_id(incoming.body, "partner-event")
    stamp = claimed.get("t", "")
    if number is None or not _is_recent(stamp, incoming):
        return False
    return signed_hex([claimed.get("v1", "")], secrets, f"{stamp}.{number}".encode())


def _is_recent(stamp: str, incoming: Incoming) -> bool:
    if not _STAMP.fullmatch(stamp):
        return False
    return abs(incoming.received_at.timestamp() - int(stamp)) <= TOLERANCE_SECONDS


def _inner_id(body: bytes, *way: str) -> str | None:
    """The id the weaker schemes sign; nothing where there is none."""
    try:
        place = c.parse(body)
        for step in way:
            place = c.mapping(place.get(step), step)
        return c.ident(place.get("id"), "id")
    except Unreadable:
        return None


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Teamtailor makes the key itself."""
    return shared_only("Teamtailor", secrets, public_keys)


def delivery_id(_: Incoming) -> None:
    """Deliveries have no id of their own."""


# ---- deliveries -----------------------------------------------------------------------------


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Say what to read of the API. A deletion under a v2 signature counts by itself."""
    body = c.parse(incoming.body)
    if "payload" not in body and "partner-event" in body:
        return _of_partner(body)
    payload = c.mapping(body.get("payload"), "payload")
    event = c.text(payload.get("event_name"), "event_name")
    if event is None:
        raise Unreadable("event_name_missing")
    if event not in {"job_application.update", "candidate.destroy"}:
        return Reading(event)
    number = _number(c.mapping(payload.get("data"), "data").get("id"), "id")
    if event == "job_application.update":
        return Reading(event, lookup=Lookup({"kind": "application", "application_id": number}))
    if "v2" in _parts(incoming):
        return Reading(event, [deleted(number, incoming, connection, event)], incoming.received_at)
    return Reading(event, lookup=Lookup({"kind": "deletion", "candidate_id": number}))


def _of_partner(body: dict[str, Any]) -> Reading:
    """A trigger of a partner's: it names the person and the job, never the application."""
    candidate = c.mapping(
        c.mapping(body["partner-event"], "partner_event").get("candidate"), "candidate"
    )
    job = c.mapping_or_none(candidate.get("job"), "job")
    if job is None:
        return Reading("partner-event")
    about = {
        "kind": "application",
        "candidate_id": _number(candidate.get("id"), "candidate_id"),
        "job_id": _number(job.get("id"), "job_id"),
    }
    return Reading("partner-event", lookup=Lookup(about))


def _number(value: Any, what: str) -> str:
    """An id that becomes part of an address: nothing else of an address may be in it."""
    found = c.ident(value, what)
    if not _NUMBER.fullmatch(found):
        raise Unreadable(f"{what}_malformed")
    return found


def deleted(
    candidate_id: str, incoming: Incoming, connection: ConnectionView, event: str
) -> dict[str, Any]:
    """`candidate.deleted`, with all applications of the person. Only its id is left to say."""
    return c.event(
        PROVIDER,
        connection,
        incoming,
        kind="candidate.deleted",
        provider_event=event,
        provider_event_id=None,
        subject=candidate_id,
        effect_at="deleted",
        occurred_at=incoming.received_at,
        candidate=c.person(candidate_id),
        deletion={"kind": "deleted", "application_external_ids": []},
    )


def not_before_told(incoming: Incoming) -> Any:
    """`transparent_recruiting_visible_at` as the delivery itself says it; nothing for a poll."""
    if not incoming.body:
        return None
    payload = c.parse(incoming.body).get("payload")
    data = payload.get("data") if isinstance(payload, dict) else None
    told = data.get("attributes") if isinstance(data, dict) else None
    return attribute(told, "transparent-recruiting-visible-at") if isinstance(told, dict) else None


def attribute(attributes: dict[str, Any], name: str) -> Any:
    """An attribute under its name with hyphens, or with underscores: the vendor writes both."""
    found = attributes.get(name)
    return attributes.get(name.replace("-", "_")) if found is None else found
