"""Greenhouse Recruiting. Signs the raw body with HMAC-SHA256; repeats anything not answered 200.

Bodies are full and count by themselves. There is no event for interviews: they come by polling,
and a change of stage is a good moment to ask for them. The vendor's webhooks carry no time of
signing, so a replay is told by its effect. Its API is in `greenhouse_api`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from domain.ports import Aside, ConnectionView, Incoming, Lookup, Reading, Unreadable, Word
from integrations.ats import canonical as c
from integrations.ats.signing import shared_only, signed_hex
from integrations.ats.wording import suggested_reason

PROVIDER = "greenhouse"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ("greenhouse-event-id",)
ONE_BODY_PER_ID = False
ID_IN_BODY = False

_REASON_TYPES = {
    "we rejected them": "company",
    "they rejected us": "candidate",
    "security concern": "company",
}
_SECURITY = "security concern"
_IDENTITY = {"full_name", "email_addresses", "phone_numbers"}
_URLS_LIVE = timedelta(days=7)
_ATTACHMENTS = {"resume": "resume", "cover_letter": "cover_letter"}


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake: the ping on saving a webhook is signed like everything else."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """`Signature: sha256 <lower hex>` over the body's exact bytes, by any of the secrets."""
    claim = incoming.headers.get("signature", "")
    return signed_hex([claim], connection.secrets, incoming.body, prefix="sha256 ")


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Greenhouse takes any text as secret (32 characters or more are advised), and no other key."""
    return shared_only("Greenhouse", secrets, public_keys)


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


# ---- what webhooks and the API have in common -----------------------------------------------


def rejection(
    reason: Mapping[str, Any], rejected_at: datetime | None, connection: ConnectionView
) -> dict[str, Any]:
    """Why it ended, by the vendor's reason `{id, name, type {key, name}}`, which may be empty.

    The type decides: by its key, which only the API gives, else by its name. Its id differs from
    one organisation to the next.
    """
    kind = c.mapping_or_none(reason.get("type"), "reason_type") or {}
    reason_id = c.ident_or_none(reason.get("id"), "reason_id")
    type_key, type_name = (c.text(kind.get(part), "reason_type") for part in ("key", "name"))
    return c.rejection(
        _REASON_TYPES.get(_folded(type_key or type_name))
        or c.mapped_initiator(reason_id, connection)
        or "unknown",
        rejected_at,
        reason_id=reason_id,
        reason_text=c.text(reason.get("name"), "reason_text"),
        # The name, in which a webhook and the API agree: the same end told by both is no news.
        reason_type_raw=type_name or type_key,
    )


def typed_initiator(type_word: str | None) -> str | None:
    """Who ends it with a reason of this type (its key or name): company, candidate or null."""
    return _REASON_TYPES.get(_folded(type_word))


def is_security(reason: Mapping[str, Any]) -> bool:
    """A security concern is never a case for an outreach, whatever the tenant set."""
    kind = reason.get("type")
    told = (kind.get("key"), kind.get("name")) if isinstance(kind, Mapping) else ()
    return any(_folded(c.label(one)) == _SECURITY for one in told)


def unmapped(made: Mapping[str, Any] | None, connection: ConnectionView) -> list[Word]:
    """The reason, where neither its type nor the tenant's map says who ended it."""
    told = made or {}
    reason_id, text = told.get("reason_id"), told.get("reason_text")
    if told.get("initiated_by") != "unknown" or c.mapped_initiator(reason_id, connection):
        return []
    return (
        [Word("reason", reason_id, text or "", suggested_reason(text or ""))] if reason_id else []
    )


def moment_of(at: datetime) -> datetime:
    """An effect's time to the second: a webhook and the API may write it with other precision."""
    return at.replace(microsecond=0)


def first_named(value: Any) -> str | None:
    """The name of the first of several; a job may have several departments, or none."""
    first = value[0] if isinstance(value, list) and value else None
    return (named_of(first) or {}).get("name")


def named_of(value: Any) -> dict[str, Any] | None:
    """`{id, name}` of an object that may be missing."""
    return c.named(value.get("id"), value.get("name")) if isinstance(value, dict) else None


def place_of(office: Any) -> str | None:
    """An office's place, else its own name."""
    if not isinstance(office, dict):
        return None
    place = office.get("location")
    named = place.get("name") if isinstance(place, dict) else place
    return c.label(named) or c.label(office.get("name"))


# ---- applications ---------------------------------------------------------------------------


def _rejected(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = _Told(payload)
    reason = c.mapping_or_none(told.body.get("rejection_reason"), "rejection_reason") or {}
    rejected_at = c.moment(told.body.get("rejected_at"), "rejected_at")
    made = rejection(reason, rejected_at, connection)
    kind = c.ended_kind(made["initiated_by"])
    return _one(
        told, kind, incoming, connection, action=action, happened_at=rejected_at,
        rejection=made if kind in c.ENDED else None, excluded=is_security(reason),
    )  # fmt: skip


def _reverted(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = _Told(payload)
    kind = "application.rejection_reverted"
    when = told.last_activity()
    return _one(told, kind, incoming, connection, action=action, happened_at=when)


def _hired(action: str, payload: Any, incoming: Incoming, connection: ConnectionView) -> Reading:
    told = _Told(payload)
    kind = "application.hired"
    when = told.last_activity()
    return _one(told, kind, incoming, connection, action=action, happened_at=when)


def _unhired(action: str, payload: Any, _: Incoming, __: ConnectionView) -> Reading:
    told = _Told(payload)
    return Reading(action, as_of=told.last_activity(), asides=[Aside("unhired", told.id)])


def _moved(action: str, payload: Any, _: Incoming, __: ConnectionView) -> Reading:
    """A new stage is no event; its interviews carry no times here, so they are asked for."""
    about = {"kind": "interviews", "application_id": _application_id(payload)}
    return Reading(action, lookup=Lookup(about, needed=False))


def _interview_off(action: str, payload: Any, incoming: Incoming, _: ConnectionView) -> Reading:
    """Called off or deleted; only its id is told, and it happened when we heard."""
    told = c.mapping(payload.get("interview"), "interview")
    gone = Aside("interview_off", c.ident(told.get("id"), "interview_id"))
    return Reading(action, as_of=incoming.received_at, asides=[gone])


def _one(
    told: "_Told",
    kind: str,
    incoming: Incoming,
    connection: ConnectionView,
    *,
    action: str,
    happened_at: datetime,
    rejection: dict[str, Any] | None = None,
    excluded: bool = False,
) -> Reading:
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind=kind,
        provider_event=action,
        provider_event_id=_event_id(incoming),
        subject=told.id,
        effect_at=moment_of(happened_at),
        occurred_at=moment_of(happened_at),
        application=told.application(kind),
        candidate=told.candidate(),
        job=told.job(),
        rejection=rejection,
        attachments=told.attachments(incoming.received_at),
    )
    made["holds"] = c.holds(made, connection, incoming, prospect=told.prospect, excluded=excluded)
    as_of = c.moment_or_none(told.body.get("last_activity_at"), "last_activity_at")
    return Reading(
        action,
        [made],
        max(as_of, happened_at) if as_of else happened_at,
        unmapped=unmapped(rejection, connection),
    )


def _application_id(payload: Mapping[str, Any]) -> str:
    body = c.mapping(payload.get("application"), "application")
    return c.ident(body.get("id"), "application_id")


class _Told:
    """`payload.application`, field by field."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.id = _application_id(payload)
        self.body: dict[str, Any] = payload["application"]
        self.person = c.mapping(self.body.get("candidate"), "candidate")
        self.prospect = c.flag(self.body.get("prospect"), "prospect")

    def last_activity(self) -> datetime:
        """The only time an event without its own carries."""
        return c.moment(self.body.get("last_activity_at"), "last_activity_at")

    def application(self, kind: str) -> dict[str, Any]:
        source = self.body.get("source")
        source = source if isinstance(source, dict) else {}
        return c.application(
            kind,
            self.id,
            url=c.label(self.body.get("url")),
            applied_at=c.written(c.moment_or_none(self.body.get("applied_at"), "applied_at")),
            stage=named_of(self.body.get("current_stage")),
            source=c.label(source.get("name")) or c.label(source.get("public_name")),
            custom_fields=c.plain_json(self.body.get("custom_fields")),
        )

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
        offices = first.get("offices")
        return c.job(
            c.ident(first.get("id"), "job_id"),
            title=c.label(first.get("name")),
            department=first_named(first.get("departments")),
            location=place_of(offices[0]) if isinstance(offices, list) and offices else None,
            requisition_id=c.ident_or_none(first.get("requisition_id"), "requisition_id"),
            confidential=c.flag(first.get("confidential"), "confidential"),
        )

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
    made = c.about_person(
        PROVIDER, connection, incoming, candidate, kind=kind, effect=effect,
        provider_event=action, provider_event_id=_event_id(incoming), **objects,
    )  # fmt: skip
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


def _folded(type_word: str | None) -> str:
    return (type_word or "").casefold().replace("_", " ")


_READERS = {
    "reject_candidate": _rejected,
    "unreject_candidate": _reverted,
    "hire_candidate": _hired,
    "unhire_candidate": _unhired,
    "candidate_stage_change": _moved,
    "interview_deleted": _interview_off,
    "delete_candidate": _deleted,
    "candidate_anonymized": _anonymized,
    "merge_candidate": _merged,
}
"""`application_updated`, `delete_application`, the ping and whatever else comes mean nothing."""
