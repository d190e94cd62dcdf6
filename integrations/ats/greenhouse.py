"""Greenhouse Recruiting. Signs the raw body with HMAC-SHA256; repeats anything not answered 200.

Bodies are full and count by themselves. There is no event for interviews: they come by polling.
The vendor's webhooks carry no time of signing, so a replay is told by its effect.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from domain.ports import Aside, ConnectionView, Incoming, Reading, Unreadable
from integrations.ats import canonical as c

PROVIDER = "greenhouse"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ("greenhouse-event-id",)
ONE_BODY_PER_ID = False

_REASON_TYPES = {
    "we rejected them": "company",
    "they rejected us": "candidate",
    "security concern": "company",
}
_IDENTITY = {"full_name", "email_addresses", "phone_numbers"}
_SHORTEST = 16
_URLS_LIVE = timedelta(days=7)
_ATTACHMENTS = {"resume": "resume", "cover_letter": "cover_letter"}


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """`Signature: sha256 <lower hex>` over the body's exact bytes, by any of the secrets."""
    claimed = incoming.headers.get("signature", "").encode()
    return any(
        hmac.compare_digest(claimed, b"sha256 " + _digest(secret, incoming.body))
        for secret in connection.secrets
        if secret
    )


def _digest(secret: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), body, sha256).hexdigest().encode()


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Greenhouse takes any text as secret (32 characters or more are advised), and no other key."""
    if public_keys:
        return "Greenhouse signs with a shared secret only"
    short = any(len(one) < _SHORTEST for one in secrets)
    return f"a secret needs at least {_SHORTEST} characters" if short else None


def delivery_id(incoming: Incoming) -> str | None:
    """`Greenhouse-Event-ID`; whether a retry keeps it the vendor does not say."""
    return incoming.headers.get("greenhouse-event-id")


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Translate one delivery. Actions without a meaning for us make no event."""
    body = c.parse(incoming.body)
    action = c.text(body.get("action"), "action")
    if action is None:
        raise Unreadable("action_missing")
    reader = _READERS.get(action)
    if reader is None:
        return Reading(action)
    return reader(action, c.mapping(body.get("payload"), "payload"), incoming, connection)


# ---- applications ---------------------------------------------------------------------------


def _rejected(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = _Told(payload)
    reason = told.rejection(connection)
    rejected_at = c.moment(told.body.get("rejected_at"), "rejected_at")
    if reason["initiated_by"] == "hired":
        kind = "application.hired"
        return _one(told, kind, incoming, connection, action=action, effect_at=rejected_at)
    ended_by_candidate = reason["initiated_by"] == "candidate"
    kind = "application.withdrawn" if ended_by_candidate else "application.rejected"
    return _one(
        told, kind, incoming, connection, action=action, effect_at=rejected_at, rejection=reason
    )


def _reverted(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = _Told(payload)
    kind = "application.rejection_reverted"
    when = told.last_activity()
    return _one(told, kind, incoming, connection, action=action, effect_at=when)


def _hired(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = _Told(payload)
    kind = "application.hired"
    when = told.last_activity()
    return _one(told, kind, incoming, connection, action=action, effect_at=when)


def _unhired(action: str, payload: Any, _: Incoming, __: ConnectionView) -> Reading:
    told = _Told(payload)
    return Reading(action, as_of=told.last_activity(), asides=[Aside("unhired", told.id)])


def _one(
    told: "_Told",
    kind: str,
    incoming: Incoming,
    connection: ConnectionView,
    *,
    action: str,
    effect_at: datetime,
    rejection: dict[str, Any] | None = None,
) -> Reading:
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind=kind,
        provider_event=action,
        provider_event_id=_event_id(incoming),
        subject=told.id,
        effect_at=effect_at,
        occurred_at=effect_at,
        application=told.application(kind),
        candidate=told.candidate(),
        job=told.job(),
        rejection=rejection,
        attachments=told.attachments(incoming.received_at),
    )
    made["holds"] = c.holds(
        made, connection, incoming, prospect=told.prospect, excluded=_is_security(rejection)
    )
    as_of = c.moment_or_none(told.body.get("last_activity_at"), "last_activity_at")
    return Reading(action, [made], max(as_of, effect_at) if as_of else effect_at)


class _Told:
    """`payload.application`, field by field."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.body = c.mapping(payload.get("application"), "application")
        self.id = c.ident(self.body.get("id"), "application_id")
        self.person = c.mapping(self.body.get("candidate"), "candidate")
        self.prospect = c.flag(self.body.get("prospect"), "prospect")

    def last_activity(self) -> datetime:
        """The only time an event without its own carries."""
        return c.moment(self.body.get("last_activity_at"), "last_activity_at")

    def application(self, kind: str) -> dict[str, Any]:
        source = self.body.get("source")
        source = source if isinstance(source, dict) else {}
        return {
            "external_id": self.id,
            "url": c.label(self.body.get("url")),
            "status": c.STATUS[kind],
            "applied_at": c.written(c.moment_or_none(self.body.get("applied_at"), "applied_at")),
            "stage": _named(self.body.get("current_stage")),
            "source": c.label(source.get("name")) or c.label(source.get("public_name")),
            "custom_fields": c.plain_json(self.body.get("custom_fields")),
        }

    def candidate(self) -> dict[str, Any]:
        told = self.person
        return c.person(
            c.ident(told.get("id"), "candidate_id"),
            given_name=c.text(told.get("first_name"), "first_name"),
            family_name=c.text(told.get("last_name"), "last_name"),
            emails=c.emails(told.get("email_addresses")),
            phones=c.phones(told.get("phone_numbers")),
            url=c.label(told.get("url")),
            tags=c.tags(told.get("tags")),
            is_private=c.flag(told.get("is_private"), "is_private"),
            can_email=c.flag_or_none(told.get("can_email"), "can_email"),
        )

    def job(self) -> dict[str, Any] | None:
        """The first job; a prospect may have none."""
        jobs = c.rows(self.body.get("jobs"), "jobs")
        if not jobs:
            return None
        first = jobs[0]
        return {
            "external_id": c.ident(first.get("id"), "job_id"),
            "title": c.label(first.get("name")),
            "department": (_first(first.get("departments")) or {}).get("name"),
            "location": _location(first.get("offices")),
            "requisition_id": c.ident_or_none(first.get("requisition_id"), "requisition_id"),
            "confidential": c.flag(first.get("confidential"), "confidential"),
        }

    def rejection(self, connection: ConnectionView) -> dict[str, Any]:
        reason = c.mapping_or_none(self.body.get("rejection_reason"), "rejection_reason") or {}
        kind = c.mapping_or_none(reason.get("type"), "reason_type") or {}
        reason_id = c.ident_or_none(reason.get("id"), "reason_id")
        type_name = c.text(kind.get("name"), "reason_type")
        return {
            "initiated_by": _REASON_TYPES.get(_folded(type_name))
            or c.mapped_initiator(reason_id, connection)
            or "unknown",
            "reason_id": reason_id,
            "reason_text": c.text(reason.get("name"), "reason_text"),
            "reason_type_raw": type_name,
            "rejected_at": c.written(c.moment(self.body.get("rejected_at"), "rejected_at")),
            "not_before": None,
        }

    def attachments(self, received_at: datetime) -> list[dict[str, Any]]:
        listed = self.person.get("attachments")
        return [
            {
                "kind": _ATTACHMENTS.get(str(one.get("type")), "other"),
                "filename": c.label(one.get("filename")),
                "url": url,
                "expires_at": c.written(received_at + _URLS_LIVE),
            }
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and (url := c.label(one.get("url")))
        ]


# ---- people ---------------------------------------------------------------------------------


def _deleted(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = c.mapping(payload.get("person"), "person")
    listed = told.get("deleted_application_ids")
    if listed is not None and not isinstance(listed, list):
        raise Unreadable("deleted_application_ids_malformed")
    gone = [c.ident(one, "deleted_application_ids") for one in listed or []]
    return _about_person(
        _person(told), "candidate.deleted", incoming, connection, action=action, effect="deleted",
        deletion={"kind": "deleted", "application_external_ids": gone},
    )  # fmt: skip


def _anonymized(
    action: str, payload: Any, incoming: Incoming, connection: ConnectionView
) -> Reading:
    """Only the loss of the identity counts as deletion; other fields concern the vendor alone."""
    fields = payload.get("anonymized_fields")
    if not isinstance(fields, list) or not all(isinstance(one, str) for one in fields):
        raise Unreadable("anonymized_fields_malformed")
    candidate_id = c.ident(payload.get("candidate_id"), "candidate_id")
    if not _IDENTITY & set(fields):
        return Reading(action)
    return _about_person(
        c.person(candidate_id, is_anonymized=True), "candidate.deleted", incoming, connection,
        action=action, effect="anonymized",
        deletion={"kind": "anonymized", "application_external_ids": []},
    )  # fmt: skip


def _merged(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = c.mapping(payload.get("person"), "person")
    into = c.ident(told.get("new_candidate_id"), "new_candidate_id")
    absorbed = _person(told)
    absorbed["merged_into_external_id"] = into
    return _about_person(
        absorbed, "candidate.merged", incoming, connection, action=action, effect=into
    )


def _about_person(
    candidate: dict[str, Any],
    kind: str,
    incoming: Incoming,
    connection: ConnectionView,
    *,
    action: str,
    effect: str,
    **objects: Any,
) -> Reading:
    """These deliveries carry no time: it happened when we heard, and happens once."""
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind=kind,
        provider_event=action,
        provider_event_id=_event_id(incoming),
        subject=candidate["external_id"],
        effect_at=effect,
        occurred_at=incoming.received_at,
        candidate=candidate,
        **objects,
    )
    return Reading(action, [made], incoming.received_at)


def _person(told: Mapping[str, Any]) -> dict[str, Any]:
    return c.person(
        c.ident(told.get("id"), "candidate_id"),
        given_name=c.text(told.get("first_name"), "first_name"),
        family_name=c.text(told.get("last_name"), "last_name"),
        is_private=c.flag(told.get("is_private"), "is_private"),
        can_email=c.flag_or_none(told.get("can_email"), "can_email"),
    )


# ---- leaves ---------------------------------------------------------------------------------


def _event_id(incoming: Incoming) -> str | None:
    return c.label(delivery_id(incoming))


def _folded(type_name: str | None) -> str:
    return (type_name or "").casefold().replace("_", " ")


def _is_security(rejection: Mapping[str, Any] | None) -> bool:
    """A security concern is never a case for an outreach, whatever the tenant set."""
    return rejection is not None and _folded(rejection["reason_type_raw"]) == "security concern"


def _named(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    number, name = value.get("id"), c.label(value.get("name"))
    if isinstance(number, bool) or not isinstance(number, int | str):
        number = None
    found = {"id": c.label(str(number)) if number is not None else None, "name": name}
    return found if any(found.values()) else None


def _first(value: Any) -> dict[str, Any] | None:
    """The first named entry of a list; a job may have several departments, or none."""
    first = value[0] if isinstance(value, list) and value else None
    return _named(first)


def _location(offices: Any) -> str | None:
    first = offices[0] if isinstance(offices, list) and offices else None
    if not isinstance(first, dict):
        return None
    place = first.get("location")
    named = place.get("name") if isinstance(place, dict) else place
    return c.label(named) or c.label(first.get("name"))


_READERS = {
    "reject_candidate": _rejected,
    "unreject_candidate": _reverted,
    "hire_candidate": _hired,
    "unhire_candidate": _unhired,
    "delete_candidate": _deleted,
    "candidate_anonymized": _anonymized,
    "merge_candidate": _merged,
}
