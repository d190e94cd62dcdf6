"""Our generic door: Standard Webhooks 1.0 around events in our own canonical names.

For an ATS without an adapter, an integration platform or a customer's own script. `v1` is
HMAC-SHA256 with a shared secret, `v1a` ed25519 with a registered public key.
"""

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from domain.ports import ConnectionView, Incoming, Reading, Unreadable
from integrations.ats import canonical as c

PROVIDER = "standard-webhooks"
SUCCESS = 202
BAD_SIGNATURE = 401
HEADERS = ("webhook-id",)
ONE_BODY_PER_ID = False
ID_IN_BODY = False

TOLERANCE_SECONDS = 300
"""How far a delivery's own time may lie from ours, either way (Standard Webhooks 1.0)."""

_MAX_DIGITS = 12
_PUBLIC_KEY_BYTES = 32
_SECRET_BYTES = (24, 64)


# ---- signature ------------------------------------------------------------------------------


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """Whether any entry of a known version verifies by any key held, within five minutes."""
    message_id = incoming.headers.get("webhook-id", "")
    stamp = incoming.headers.get("webhook-timestamp", "")
    # A dot in the id would let one signature stand for two readings of `id.timestamp.body`.
    if not message_id or "." in message_id or not _in_time(stamp, incoming.received_at):
        return False
    signed = f"{message_id}.{stamp}.".encode() + incoming.body
    entries = incoming.headers.get("webhook-signature", "").split(" ")
    shared = [claim.encode() for version, claim in _split(entries) if version == "v1"]
    public = [claim for version, claim in _split(entries) if version == "v1a"]
    return _by_secret(shared, signed, connection) or _by_public_key(public, signed, connection)


def _in_time(stamp: str, received_at: datetime) -> bool:
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > _MAX_DIGITS:
        return False
    return abs(received_at.timestamp() - int(stamp)) <= TOLERANCE_SECONDS


def _split(entries: list[str]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        version, comma, claim = entry.partition(",")
        if comma:
            yield version, claim


def _by_secret(claims: list[bytes], signed: bytes, connection: ConnectionView) -> bool:
    matches = [
        hmac.compare_digest(claim, base64.b64encode(hmac.digest(key, signed, sha256)))
        for key in _keys(connection.secrets, "whsec_")
        for claim in claims
    ]
    return any(matches)


def _by_public_key(claims: list[str], signed: bytes, connection: ConnectionView) -> bool:
    for key in _keys(connection.public_keys, "whpk_"):
        for claim in claims:
            signature = _decoded(claim)
            if len(key) == _PUBLIC_KEY_BYTES and signature and _signs(key, signature, signed):
                return True
    return False


def _signs(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _keys(configured: Any, prefix: str) -> list[bytes]:
    """The keys as bytes; what is not base64 is no key."""
    return [key for one in configured if (key := _decoded(one.removeprefix(prefix)))]


def _decoded(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """`whsec_` and base64 of 24 to 64 bytes; `whpk_` and base64 of an ed25519 public key."""
    lengths = [len(_decoded(one.removeprefix("whsec_")) or b"") for one in secrets]
    if not all(_SECRET_BYTES[0] <= length <= _SECRET_BYTES[1] for length in lengths):
        return "a secret is whsec_ and the base64 of 24 to 64 random bytes"
    keys = [len(_decoded(one.removeprefix("whpk_")) or b"") for one in public_keys]
    if any(length != _PUBLIC_KEY_BYTES for length in keys):
        return "a public key is whpk_ and the base64 of 32 bytes"
    return None


def delivery_id(incoming: Incoming) -> str | None:
    """`webhook-id`, the same on every retry."""
    return incoming.headers.get("webhook-id")


# ---- body -----------------------------------------------------------------------------------


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Translate one delivery. An unknown type makes no event."""
    body = c.parse(incoming.body)
    kind = c.text(body.get("type"), "type")
    if kind is None:
        raise Unreadable("type_missing")
    if kind not in KINDS:
        return Reading(kind)
    told = Told(
        kind, body, connection,
        provider=PROVIDER, provider_event=kind, number=delivery_id(incoming),
    )  # fmt: skip
    return Reading(kind, [told.event(incoming)], told.at)


class Told:
    """`{timestamp, data}` in our own names about an event of this kind, whoever wraps it.

    `provider_event` and `number` are what the sender calls the event and this delivery of it.
    """

    def __init__(
        self,
        kind: str,
        body: Mapping[str, Any],
        connection: ConnectionView,
        *,
        provider: str,
        provider_event: str,
        number: str | None,
    ) -> None:
        self.provider, self.provider_event, self.number = provider, provider_event, number
        self.connection = connection
        self.at = c.moment(body.get("timestamp"), "timestamp")
        self.data = c.mapping(body.get("data"), "data")
        self.rejection = self._rejection(kind)
        self.kind = self._kind(kind)

    def event(self, incoming: Incoming) -> dict[str, Any]:
        """The canonical event."""
        application = self._application()
        candidate = self._candidate()
        occurred_at = self._occurred_at()
        made = c.event(
            self.provider,
            self.connection,
            incoming,
            kind=self.kind,
            provider_event=self.provider_event,
            provider_event_id=self.number,
            subject=self._subject(application, candidate),
            effect_at=self._effect_at(occurred_at),
            occurred_at=occurred_at,
            application=application,
            candidate=candidate,
            job=self._job(),
            rejection=self.rejection if self.kind in c.ENDED else None,
            interview=self._interview(),
            deletion=self._deletion(),
        )
        if not self.kind.startswith("candidate."):
            made["holds"] = c.holds(made, self.connection, incoming)
        return made

    def _kind(self, told: str) -> str:
        """Who ended it beats what the delivery is called."""
        if told not in c.ENDED or self.rejection is None:
            return told
        initiator = self.rejection["initiated_by"]
        # Somebody else, or nobody we know: then the delivery's own name is all there is.
        return told if initiator in {"other", "unknown"} else c.ended_kind(initiator)

    def _rejection(self, kind: str) -> dict[str, Any] | None:
        if kind not in c.ENDED:
            return None
        told = c.mapping_or_none(self.data.get("rejection"), "rejection") or {}
        rejected_at = c.moment_or_none(told.get("rejected_at"), "rejected_at") or self.at
        not_before = c.moment_or_none(told.get("not_before"), "not_before")
        reason_id = c.ident_or_none(told.get("reason_id"), "reason_id")
        return c.rejection(
            self._initiator(kind, told, reason_id),
            rejected_at,
            reason_id=reason_id,
            reason_text=c.text(told.get("reason_text"), "reason_text"),
            reason_type_raw=c.text(told.get("reason_type_raw"), "reason_type_raw"),
            not_before=c.written(not_before),
        )

    def _initiator(self, kind: str, told: Mapping[str, Any], reason_id: str | None) -> str:
        stated = c.text(told.get("initiated_by"), "initiated_by")
        if stated is not None and stated not in c.INITIATORS:
            raise Unreadable("initiated_by_malformed")
        if stated in {"company", "candidate", "other"}:
            return stated
        # A withdrawal says by its own name who ended it.
        otherwise = "candidate" if kind == "application.withdrawn" else "unknown"
        return c.mapped_initiator(reason_id, self.connection) or otherwise

    def _occurred_at(self) -> datetime:
        told = self.data.get("rejection")
        stated = told.get("rejected_at") if isinstance(told, dict) else None
        return c.moment_or_none(stated, "rejected_at") or self.at

    def _effect_at(self, occurred_at: datetime) -> datetime:
        interview = c.mapping_or_none(self.data.get("interview"), "interview") or {}
        starts_at = c.moment_or_none(interview.get("starts_at"), "starts_at")
        return starts_at or occurred_at if self.kind.startswith("interview.") else occurred_at

    def _subject(self, application: dict[str, Any] | None, candidate: dict[str, Any] | None) -> str:
        about = candidate if self.kind.startswith("candidate.") else application
        what = "candidate_id" if self.kind.startswith("candidate.") else "application_id"
        return c.ident((about or {}).get("external_id"), what)

    def _application(self) -> dict[str, Any] | None:
        told = c.mapping_or_none(self.data.get("application"), "application")
        if told is None:
            return None
        status = c.label(told.get("status"))
        known = status if status in {*c.STATUS.values()} else "unknown"
        stage = told.get("stage")
        return c.application(
            self.kind,
            c.ident(told.get("external_id"), "application_id"),
            url=c.label(told.get("url")),
            status=c.STATUS.get(self.kind, known),
            applied_at=c.written(c.moment_or_none(told.get("applied_at"), "applied_at")),
            stage=c.named(stage.get("id"), stage.get("name")) if isinstance(stage, dict) else None,
            source=c.label(told.get("source")),
            custom_fields=c.plain_json(told.get("custom_fields")),
        )

    def _object(self, name: str) -> dict[str, Any] | None:
        """One of the objects; none where it is not there, or has nothing in it."""
        told = c.mapping_or_none(self.data.get(name), name) or {}
        return told if any(one is not None for one in told.values()) else None

    def _candidate(self) -> dict[str, Any] | None:
        told = self._object("candidate")
        if told is None:
            return None
        into = c.ident_or_none(told.get("merged_into_external_id"), "merged_into_external_id")
        if self.kind == "candidate.merged" and into is None:
            raise Unreadable("merged_into_external_id_missing")
        return c.person(
            c.ident_or_none(told.get("external_id"), "candidate_id"),
            display_name=c.text(told.get("display_name"), "display_name"),
            given_name=c.text(told.get("given_name"), "given_name"),
            family_name=c.text(told.get("family_name"), "family_name"),
            emails=_emails(told),
            phones=c.phones(told.get("phones")),
            url=c.label(told.get("url")),
            tags=c.tags(told.get("tags")),
            is_private=c.flag(told.get("is_private"), "is_private"),
            is_internal=c.flag(told.get("is_internal"), "is_internal"),
            can_email=c.flag_or_none(told.get("can_email"), "can_email"),
            is_anonymized=c.flag(told.get("is_anonymized"), "is_anonymized"),
            merged_into_external_id=into,
        )

    def _job(self) -> dict[str, Any] | None:
        told = self._object("job")
        if told is None:
            return None
        return c.job(
            c.ident_or_none(told.get("external_id"), "job_id"),
            title=c.label(told.get("title")),
            department=c.label(told.get("department")),
            location=c.label(told.get("location")),
            requisition_id=c.ident_or_none(told.get("requisition_id"), "requisition_id"),
            confidential=c.flag(told.get("confidential"), "confidential"),
        )

    def _interview(self) -> dict[str, Any] | None:
        told = self._object("interview")
        if told is None or not self.kind.startswith("interview."):
            return None
        return c.interview(
            c.ident_or_none(told.get("external_id"), "interview_id"),
            c.moment_or_none(told.get("starts_at"), "starts_at"),
            c.moment_or_none(told.get("ends_at"), "ends_at"),
            all_day=c.flag(told.get("all_day"), "all_day"),
            status=c.text(told.get("status"), "interview_status")
            or self.kind.removeprefix("interview."),
        )

    def _deletion(self) -> dict[str, Any] | None:
        if self.kind != "candidate.deleted":
            return None
        told = c.mapping_or_none(self.data.get("deletion"), "deletion") or {}
        kind = c.text(told.get("kind"), "deletion_kind") or "deleted"
        listed = told.get("application_external_ids")
        if kind not in {"deleted", "anonymized"} or not isinstance(listed, list | None):
            raise Unreadable("deletion_malformed")
        gone = [c.ident(one, "application_external_ids") for one in listed or []]
        return {"kind": kind, "application_external_ids": gone}


def _emails(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The list, and the primary address, which may be told beside it or be the only one told."""
    found, stated = c.emails(told.get("emails")), c.address(told.get("primary_email"))
    if stated is None or any(one["primary"] for one in found):
        return found
    found = [{**one, "primary": one["value"].lower() == stated.lower()} for one in found]
    if any(one["primary"] for one in found):
        return found
    return [*found, {"value": stated, "type": "unknown", "primary": True}]


KINDS = frozenset({
    "interview.scheduled", "interview.completed", "candidate.deleted", "candidate.merged",
    *c.STATUS,
})  # fmt: skip
