"""Merge.dev, one API and one webhook for many systems. Signs the raw body, base64url HMAC-SHA256.

Bodies are Merge's unified model. Their relations are ids unless Merge expanded them, so that an
application is told by its body only where the person comes with it; otherwise it is read. Reject
reasons have no type: the tenant's reason map decides, by the reason's id or by its name. There is
no hired status: a stage the tenant's status map calls `hired` says so.

`settings.api_key` is `<API key>:<account token>`. `settings.linked_account_id`: one webhook of
Merge's serves all accounts linked to it, and only this one is ours. `settings.remote_user_id`:
as whom a note is written.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from domain.ports import Aside, ConnectionView, Incoming, Lookup, Reading, Unreadable, Word
from integrations.ats import canonical as c
from integrations.ats.signing import shared_only
from integrations.ats.wording import suggested_status

PROVIDER = "merge"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ("x-merge-webhook-signature",)
ONE_BODY_PER_ID = False
ID_IN_BODY = False

_KINDS_OF_PHONE = {"HOME": "home", "WORK": "work", "MOBILE": "mobile", "SKYPE": "skype"}
_GONE = {"removed", "deleted"}
_HELD = {"COMPLETE", "AWAITING_FEEDBACK"}
_ENDED = {"rejected": "company", "withdrawn": "candidate"}


# ---- signature ------------------------------------------------------------------------------


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake; "Send test POST" is a signed delivery like any other."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """Base64url HMAC-SHA256 of the body's exact bytes; whether it is padded, sources disagree."""
    claimed = incoming.headers.get("x-merge-webhook-signature", "").rstrip("=")
    matches = [
        hmac.compare_digest(claimed.encode(errors="replace"), _digest(secret, incoming.body))
        for secret in connection.secrets
        if secret
    ]
    return any(matches)


def _digest(secret: str, body: bytes) -> bytes:
    made = hmac.digest(secret.encode(), body, sha256)
    return base64.urlsafe_b64encode(made).rstrip(b"=")


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Merge makes the key itself; it signs with no other kind."""
    return shared_only("Merge", secrets, public_keys)


def delivery_id(incoming: Incoming) -> str | None:
    """The signature: what tells two deliveries apart (`hook.id` names the subscription)."""
    claimed = c.label(incoming.headers.get("x-merge-webhook-signature"))
    return (claimed or "").rstrip("=") or None


# ---- deliveries -----------------------------------------------------------------------------


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Translate one delivery: an application, a scheduled interview or a lost candidate."""
    body = c.parse(incoming.body)
    if "hook" not in body:
        return Reading(None)  # the dashboard's test has no event at all
    hook = c.mapping(body["hook"], "hook")
    name = c.text(hook.get("event"), "event")
    if name is None:
        raise Unreadable("event_missing")
    model, _, verb = name.partition(".")
    reader = _READERS.get(model.lower().replace("_", ""))
    if reader is None or _of_another(body, connection):
        return Reading(name)
    told = c.mapping(body.get("data"), "data")
    return reader(told, incoming, connection, (name, verb.lower()))


def _of_another(body: Mapping[str, Any], connection: ConnectionView) -> bool:
    """Whether it is about an account of somebody else's."""
    ours = connection.settings.get("linked_account_id")
    account = c.mapping(body.get("linked_account"), "linked_account") if ours else {}
    return bool(ours) and c.ident(account.get("id"), "linked_account_id") != ours


def _application(
    told: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, event: tuple[str, str]
) -> Reading:
    name, verb = event
    number = c.ident(told.get("id"), "application_id")
    if verb in _GONE or c.flag(told.get("remote_was_deleted"), "remote_was_deleted"):
        return Reading(name)
    lookup = Lookup({"kind": "application", "application_id": number})
    if not isinstance(told.get("candidate"), dict):
        return Reading(name, lookup=lookup)
    # With the person in it the body says enough; the names of the rest are worth asking for.
    reading = application_reading(told, incoming, connection, name)
    named = (told.get("job"), told.get("reject_reason"))
    return (
        replace(reading, lookup=lookup) if any(isinstance(one, str) for one in named) else reading
    )


def _interview(
    told: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, event: tuple[str, str]
) -> Reading:
    name, verb = event
    if verb in _GONE:
        number = c.ident(told.get("id"), "interview_id")
        off = Aside("interview_off", number)
        return Reading(name, as_of=incoming.received_at, asides=[off])
    application_id = related(told.get("application"), "application")
    if application_id is None:
        return Reading(name)  # an interview of nobody's application is nothing to us
    reading = interviews_reading(application_id, [told], incoming, connection, name)
    # A delivery may come late: an older one must not move the interview back.
    modified_at = c.moment_or_none(told.get("modified_at"), "modified_at")
    return replace(reading, as_of=modified_at or incoming.received_at)


def _candidate(
    told: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, event: tuple[str, str]
) -> Reading:
    name, verb = event
    if verb in _GONE or c.flag(told.get("remote_was_deleted"), "remote_was_deleted"):
        return deletion_reading(told, incoming, connection, name)
    return Reading(name)


_READERS = {
    "application": _application,
    "scheduledinterview": _interview,
    "candidate": _candidate,
}


# ---- Merge's model in canonical events ------------------------------------------------------


def application_reading(
    told: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, name: str
) -> Reading:
    """How an application with its relations in it stands: ended, hired or going on."""
    if c.flag(told.get("remote_was_deleted"), "remote_was_deleted"):
        return Reading(name)
    modified_at = c.moment_or_none(told.get("modified_at"), "modified_at")
    rejected_at = c.moment_or_none(told.get("rejected_at"), "rejected_at")
    now = modified_at or incoming.received_at
    reason = _reason(told.get("reject_reason"))
    stage = c.named(*_pair(told.get("current_stage")))
    mapped = _stage_meaning(stage, connection)
    ended = rejected_at is not None or reason != (None, None) or mapped in _ENDED
    kind, rejection = _outcome(reason, mapped, connection, rejected_at or now, ended=ended)
    made = c.event(
        PROVIDER, connection, incoming, kind=kind, provider_event=name,
        provider_event_id=delivery_id(incoming),
        subject=c.ident(told.get("id"), "application_id"),
        effect_at=rejected_at or now, occurred_at=rejected_at or now,
        application=_canonical_application(told, kind, stage),
        candidate=_person(c.mapping(told.get("candidate"), "candidate")),
        job=_job(told.get("job")),
        rejection=rejection,
    )  # fmt: skip
    made["holds"] = c.holds(made, connection, incoming)
    return Reading(
        name, [made], max(now, rejected_at) if rejected_at else now,
        states=not ended, undated=ended and rejected_at is None,
        unmapped=_unmapped(stage, mapped),
    )  # fmt: skip


def _outcome(
    reason: tuple[str | None, str | None],
    mapped: str | None,
    connection: ConnectionView,
    at: datetime,
    *,
    ended: bool,
) -> tuple[str, dict[str, Any] | None]:
    if not ended:
        going_on = "application.rejection_reverted"
        return ("application.hired" if mapped == "hired" else going_on), None
    reason_id, text = reason
    initiator = (
        c.mapped_initiator(reason_id, connection)
        or c.mapped_initiator(text, connection)
        or _ENDED.get(mapped or "", "unknown")
    )
    kind = c.ended_kind(initiator)
    if kind not in c.ENDED:
        return kind, None
    # Without an id the name stands for the reason, as it does in the tenant's map.
    told = c.rejection(initiator, at, reason_id=reason_id or text, reason_text=text)
    return kind, told


def _reason(value: Any) -> tuple[str | None, str | None]:
    """Id and name of a reject reason; Merge gives an id alone where it does not expand."""
    if value is None:
        return None, None
    if isinstance(value, str):
        return c.ident_or_none(value, "reject_reason"), None
    told = c.mapping(value, "reject_reason")
    name = c.text(told.get("name"), "reject_reason")
    return c.ident_or_none(told.get("id"), "reject_reason_id"), name


def _pair(value: Any) -> tuple[Any, Any]:
    return (value.get("id"), value.get("name")) if isinstance(value, dict) else (value, None)


def _stage_meaning(stage: Mapping[str, Any] | None, connection: ConnectionView) -> str | None:
    known = stage or {}
    return c.mapped_status(known.get("id"), connection) or c.mapped_status(
        known.get("name"), connection
    )


def _unmapped(stage: Mapping[str, Any] | None, mapped: str | None) -> list[Word]:
    """A stage nobody has given a meaning, where its name sounds like the end of the way."""
    if stage is None or mapped or not stage["id"] or not stage["name"]:
        return []
    suggestion = suggested_status(stage["name"])
    decides = suggestion in {"hired", "rejected", "withdrawn"}
    return [Word("status", stage["id"], stage["name"], suggestion)] if decides else []


def _canonical_application(
    told: Mapping[str, Any], kind: str, stage: dict[str, Any] | None
) -> dict[str, Any]:
    return c.application(
        kind,
        c.ident(told.get("id"), "application_id"),
        applied_at=c.written(c.moment_or_none(told.get("applied_at"), "applied_at")),
        stage=stage,
        source=c.label(told.get("source")),
        custom_fields=c.plain_json(told.get("field_mappings")),
    )


def _person(told: Mapping[str, Any]) -> dict[str, Any]:
    mails = c.rows(told.get("email_addresses"), "emails")
    numbers = told.get("phone_numbers")
    return c.person(
        c.ident(told.get("id"), "candidate_id"),
        given_name=c.text(told.get("first_name"), "first_name"),
        family_name=c.text(told.get("last_name"), "last_name"),
        emails=c.emails([
            {"value": one.get("value"), "type": _lower(one.get("email_address_type"))}
            for one in mails
        ]),
        phones=c.phones([
            {**one, "type": _KINDS_OF_PHONE.get(str(one.get("phone_number_type")))}
            for one in (numbers if isinstance(numbers, list) else [])
            if isinstance(one, dict)
        ]),
        tags=c.tags(told.get("tags")),
        is_private=c.flag(told.get("is_private"), "is_private"),
        can_email=c.flag_or_none(told.get("can_email"), "can_email"),
    )  # fmt: skip


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _job(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return c.job(c.ident(value, "job_id"))
    told = c.mapping(value, "job")
    return c.job(
        c.ident(told.get("id"), "job_id"),
        title=c.label(told.get("name")),
        department=_first_name(told.get("departments")),
        location=_first_name(told.get("offices")),
        requisition_id=c.label(told.get("code")),
        confidential=c.flag(told.get("confidential"), "confidential"),
    )


def _first_name(value: Any) -> str | None:
    """The first department or office that came with its name."""
    first = value[0] if isinstance(value, list) and value else None
    return c.label(first.get("name")) if isinstance(first, dict) else None


def interviews_reading(
    application_id: str,
    listed: Sequence[Mapping[str, Any]],
    incoming: Incoming,
    connection: ConnectionView,
    name: str,
) -> Reading:
    """The interviews of one application: planned, held, or called off."""
    events, asides = [], []
    for told in listed:
        number = c.ident(told.get("id"), "interview_id")
        if _is_off(told):
            asides.append(Aside("interview_off", number))
            continue
        made = _interview_event(number, application_id, told, incoming, connection, name)
        events += [made] if made else []
    return Reading(name, events, incoming.received_at, asides=asides)


def _is_off(told: Mapping[str, Any]) -> bool:
    """Removed, or under a status of the vendor's own that Merge passes on as it is."""
    status = (c.text(told.get("status"), "interview_status") or "").casefold()
    gone = c.flag(told.get("remote_was_deleted"), "remote_was_deleted")
    return gone or "cancel" in status


def _interview_event(  # noqa: PLR0917 - one row of a list, and what every event needs
    number: str,
    application_id: str,
    told: Mapping[str, Any],
    incoming: Incoming,
    connection: ConnectionView,
    name: str,
) -> dict[str, Any] | None:
    starts_at = c.moment_or_none(told.get("start_at"), "start_at")
    ends_at = c.moment_or_none(told.get("end_at"), "end_at")
    over_at = ends_at or starts_at
    if starts_at is None or over_at is None:
        return None
    status = c.text(told.get("status"), "interview_status") or ""
    held = status.upper() in _HELD or over_at < incoming.received_at
    kind = "interview.completed" if held else "interview.scheduled"
    planned_at = c.moment_or_none(
        told.get("remote_updated_at") or told.get("remote_created_at"), "interview_updated_at"
    )
    return c.event(
        PROVIDER, connection, incoming, kind=kind, provider_event=name,
        provider_event_id=delivery_id(incoming), subject=application_id, effect_at=starts_at,
        occurred_at=over_at if held else planned_at or incoming.received_at,
        application=c.application(kind, application_id),
        interview=c.interview(
            number, starts_at, ends_at, status="completed" if held else "scheduled"
        ),
    )  # fmt: skip


def deletion_reading(
    told: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, name: str
) -> Reading:
    """A candidate is gone from the vendor's system, and the applications with the person."""
    number = c.ident(told.get("id"), "candidate_id")
    listed = told.get("applications")
    gone = [related(one, "applications") for one in (listed if isinstance(listed, list) else [])]
    made = c.event(
        PROVIDER, connection, incoming, kind="candidate.deleted", provider_event=name,
        provider_event_id=delivery_id(incoming), subject=number, effect_at="deleted",
        occurred_at=incoming.received_at, candidate=c.person(number),
        deletion={"kind": "deleted", "application_external_ids": [one for one in gone if one]},
    )  # fmt: skip
    return Reading(name, [made], incoming.received_at)


def related(value: Any, what: str) -> str | None:
    """The id of a related object, whether Merge expanded it or not."""
    number = value.get("id") if isinstance(value, dict) else value
    return c.ident_or_none(number, f"{what}_id")
