"""What every adapter shares: reading JSON without guessing, and the canonical event it makes.

Strict about what decides (ids, times, who ended it, flags that forbid contact): a wrong type there
is `Unreadable`. Lenient about decoration (tags, links, custom fields): the malformed is left out.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import quote

from domain.contact import mail_address
from domain.ports import ConnectionView, Incoming, Unreadable, VendorMissing

ENDED = {"application.rejected": "rejected", "application.withdrawn": "withdrawn"}
STATUS = {
    **ENDED,
    "application.hired": "hired",
    "application.rejection_reverted": "active",
}
"""The status an application has after an event, whatever the vendor's body calls it."""

INITIATORS = ("company", "candidate", "other", "unknown")
EMAIL_TYPES = ("personal", "work", "other")

_MAX_ID = 200
_MAX_DEPTH = 40
_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII
)


# ---- reading --------------------------------------------------------------------------------


def parse(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Anything ambiguous or beyond reason is `Unreadable`."""
    found = _loaded(body)
    if not isinstance(found, dict):
        raise Unreadable("not_an_object")
    return found


def parse_rows(body: bytes) -> list[dict[str, Any]]:
    """The body as a JSON list of objects, as strictly."""
    found = _loaded(body)
    if not isinstance(found, list):
        raise Unreadable("not_a_list")
    return rows(found, "entry")


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_once_each,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise Unreadable("not_utf8") from None
    except (ValueError, RecursionError):
        raise Unreadable("not_json") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        # Two readers may take different ones; whichever we took would be a guess.
        raise Unreadable("duplicate_key")
    return made


def _no_constant(_: str) -> NoReturn:
    raise Unreadable("not_json")


def _finite(digits: str) -> float:
    """A number too large to be one would be read as infinity, which no JSON of ours may hold."""
    value = float(digits)
    return value if math.isfinite(value) else _no_constant(digits)


def mapping(value: Any, what: str) -> dict[str, Any]:
    """An object that must be there."""
    if not isinstance(value, dict):
        raise Unreadable(f"{what}_missing" if value is None else f"{what}_malformed")
    return value


def mapping_or_none(value: Any, what: str) -> dict[str, Any] | None:
    """An object, or nothing; another type is not guessed at."""
    return None if value is None else mapping(value, what)


def rows(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects; nothing is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(f"{what}_malformed")
    return [mapping(one, what) for one in value]


def ident(value: Any, what: str) -> str:
    """An id that must be there: a text or an integer, never a float or a boolean."""
    if value is None or value == "":
        raise Unreadable(f"{what}_missing")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Unreadable(f"{what}_malformed")
    written = text(str(value), what)
    if written is None or len(written) > _MAX_ID:
        raise Unreadable(f"{what}_malformed")
    return written


def ident_or_none(value: Any, what: str) -> str | None:
    """An id, or nothing."""
    return None if value is None or value == "" else ident(value, what)


def path_part(external_id: Any) -> str:
    """An id as one part of a URL's path: nothing in it may lead elsewhere.

    `VendorMissing` for what cannot be the id of anything.
    """
    if not isinstance(external_id, str) or not external_id.strip("."):
        raise VendorMissing
    return quote(external_id, safe="", errors="replace")


def text(value: Any, what: str) -> str | None:
    """A text without surrounding blanks; nothing for an empty one."""
    if value is None:
        return None
    if not isinstance(value, str) or not storable(value):
        raise Unreadable(f"{what}_malformed")
    return value.strip() or None


def storable(value: str) -> bool:
    """Whether the text is real Unicode that a database can hold: no NUL, no half a surrogate."""
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def label(value: Any) -> str | None:
    """A text nobody decides by: left out when it is something else."""
    return value.strip() or None if isinstance(value, str) and storable(value) else None


def flag(value: Any, what: str) -> bool:
    """A yes or no; nothing is no."""
    return flag_or_none(value, what) or False


def flag_or_none(value: Any, what: str) -> bool | None:
    """A yes, a no, or not said."""
    if value is not None and not isinstance(value, bool):
        raise Unreadable(f"{what}_malformed")
    return value


def moment(value: Any, what: str) -> datetime:
    """A time that must be there: RFC 3339 with its zone."""
    found = moment_or_none(value, what)
    if found is None:
        raise Unreadable(f"{what}_missing")
    return found


def moment_or_none(value: Any, what: str) -> datetime | None:
    """A time with its zone, or nothing. A time without a zone would be a guess."""
    if value is None:
        return None
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise Unreadable(f"{what}_malformed")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(f"{what}_malformed") from None


def millis(value: Any, what: str) -> datetime:
    """A time that must be there, in milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable(f"{what}_missing" if value is None else f"{what}_malformed")
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
    except OverflowError:
        raise Unreadable(f"{what}_malformed") from None


def millis_or_none(value: Any, what: str) -> datetime | None:
    """A time in milliseconds, or nothing."""
    return None if value is None else millis(value, what)


def written(value: datetime | None) -> str | None:
    """RFC 3339 in UTC with a trailing Z."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain_json(value: Any) -> dict[str, Any]:
    """Custom fields as the vendor sends them, if we can keep them; else none."""
    return value if isinstance(value, dict) and _keepable(value, _MAX_DEPTH) else {}


def _keepable(value: Any, depth: int) -> bool:
    if depth == 0:
        return False
    if isinstance(value, dict):
        return all(storable(k) and _keepable(v, depth - 1) for k, v in value.items())
    if isinstance(value, list):
        return all(_keepable(one, depth - 1) for one in value)
    return storable(value) if isinstance(value, str) else True


# ---- people ---------------------------------------------------------------------------------


def address(value: Any) -> str | None:
    """A usable e-mail address, as `mail_address` says; nothing if it is none."""
    return mail_address(value) if isinstance(value, str) and storable(value) else None


def emails(found: Any) -> list[dict[str, Any]]:
    """Addresses in the vendor's order, without invalid ones and repetitions."""
    kept: dict[str, dict[str, Any]] = {}
    for one in rows(found, "emails"):
        value = address(one.get("value"))
        if value is not None and value.lower() not in kept:
            kept[value.lower()] = {
                "value": value,
                "type": one.get("type") if one.get("type") in EMAIL_TYPES else "unknown",
                "primary": flag(one.get("primary"), "email_primary"),
            }
    return list(kept.values())


def primary(found: Sequence[dict[str, Any]]) -> str | None:
    """The vendor's primary address; else the first personal; else not work; else the first."""
    ways = (
        lambda one: one["primary"],
        lambda one: one["type"] == "personal",
        lambda one: one["type"] != "work",
        lambda _: True,
    )
    for way in ways:
        for one in found:
            if way(one):
                value: str = one["value"]
                return value
    return None


def phones(found: Any) -> list[dict[str, Any]]:
    """Numbers as the vendor writes them; what is no text is left out."""
    listed = found if isinstance(found, list) else []
    return [
        {"value": number, "type": label(one.get("type"))}
        for one in listed
        if isinstance(one, dict) and (number := label(one.get("value")))
    ]


def tags(found: Any) -> list[str]:
    """Tags that are texts."""
    listed = found if isinstance(found, list) else []
    return [tag for one in listed if (tag := label(one))]


def person(external_id: str | None, **known: Any) -> dict[str, Any]:
    """A canonical candidate. The name is the vendor's full one; else given and family, in order."""
    given, family = known.pop("given_name", None), known.pop("family_name", None)
    found = known.pop("emails", [])
    return {
        "external_id": external_id,
        "display_name": known.pop("display_name", None)
        or " ".join(part for part in (given, family) if part)
        or None,
        "given_name": given,
        "family_name": family,
        "emails": found,
        "primary_email": primary(found),
        "phones": [],
        "url": None,
        "tags": [],
        "is_private": False,
        "is_internal": False,
        "can_email": None,
        "is_anonymized": False,
        "merged_into_external_id": None,
        **known,
    }


# ---- objects --------------------------------------------------------------------------------


def application(kind: str, external_id: str, **known: Any) -> dict[str, Any]:
    """A canonical application after an event of this kind."""
    return {
        "external_id": external_id,
        "url": None,
        "status": STATUS.get(kind, "unknown"),
        "applied_at": None,
        "stage": None,
        "source": None,
        "custom_fields": {},
        **known,
    }


def named(number: Any, name: Any) -> dict[str, Any] | None:
    """`{id, name}` of a stage or the like, as far as it is known."""
    known = isinstance(number, int | str) and not isinstance(number, bool)
    found = {"id": label(str(number)) if known else None, "name": label(name)}
    return found if any(found.values()) else None


def job(external_id: str | None, **known: Any) -> dict[str, Any]:
    """A canonical job."""
    return {
        "external_id": external_id,
        "title": None,
        "department": None,
        "location": None,
        "requisition_id": None,
        "confidential": False,
        **known,
    }


def rejection(initiated_by: str, rejected_at: datetime | None, **known: Any) -> dict[str, Any]:
    """Why and by whom an application ended."""
    return {
        "initiated_by": initiated_by,
        "reason_id": None,
        "reason_text": None,
        "reason_type_raw": None,
        "rejected_at": written(rejected_at),
        "not_before": None,
        **known,
    }


def ended_kind(initiated_by: str) -> str:
    """The event an end is, by who ended it (`hired`: what a reason map may say of a reason)."""
    kinds = {"candidate": "application.withdrawn", "hired": "application.hired"}
    return kinds.get(initiated_by, "application.rejected")


def interview(
    external_id: str | None,
    starts_at: datetime | None,
    ends_at: datetime | None,
    *,
    status: str,
    all_day: bool = False,
) -> dict[str, Any]:
    """A canonical interview."""
    return {
        "external_id": external_id,
        "starts_at": written(starts_at),
        "ends_at": written(ends_at),
        "all_day": all_day,
        "status": status,
    }


# ---- events ---------------------------------------------------------------------------------


def event(
    provider: str,
    connection: ConnectionView,
    incoming: Incoming,
    *,
    kind: str,
    provider_event: str,
    provider_event_id: str | None,
    subject: str,
    effect_at: datetime | str,
    occurred_at: datetime,
    **objects: Any,
) -> dict[str, Any]:
    """A canonical event (schema version 1).

    `subject` is the application's or the candidate's id. `effect_at` is the vendor's time of the
    effect: a retry, a second event for the same change and a poll all make the same key of it. An
    effect without a vendor's time has a word that holds for good.
    """
    effect = effect_at if isinstance(effect_at, str) else written(effect_at)
    made: dict[str, Any] = {
        "type": kind,
        "schema_version": "1",
        "provider": provider,
        "connection_id": connection.id,
        "provider_event": provider_event,
        "provider_event_id": provider_event_id,
        "dedupe_key": f"{provider}:{connection.id}:{kind}:{subject}:{effect}",
        "supersedes": None,
        "occurred_at": written(occurred_at),
        "received_at": written(incoming.received_at),
        "application": None,
        "candidate": None,
        "job": None,
        "rejection": None,
        "interview": None,
        "deletion": None,
        "attachments": [],
        "enrichment": "complete",
        "holds": [],
        **objects,
    }
    return made


def about_person(
    provider: str,
    connection: ConnectionView,
    incoming: Incoming,
    candidate: dict[str, Any],
    *,
    kind: str,
    effect: str,
    **facts: Any,
) -> dict[str, Any]:
    """A deletion or a merge told without a time: it happened when we heard, and happens once."""
    return event(
        provider, connection, incoming, kind=kind, subject=candidate["external_id"],
        effect_at=effect, occurred_at=incoming.received_at, candidate=candidate, **facts,
    )  # fmt: skip


def holds(
    made: Mapping[str, Any],
    connection: ConnectionView,
    incoming: Incoming,
    *,
    prospect: bool = False,
    excluded: bool = False,
) -> list[str]:
    """Why nobody may be contacted on account of this event, until something clears it."""
    candidate, job = made["candidate"] or {}, made["job"] or {}
    rejection = made["rejection"] or {}
    found = candidate.get("emails", [])
    hold_until = moment_or_none(rejection.get("not_before"), "not_before")
    rejected = made["type"] == "application.rejected"
    conditions = {
        "no_email": not found,
        "work_email_only": bool(found) and all(one["type"] == "work" for one in found),
        "private_candidate": bool(candidate.get("is_private")),
        "can_email_false": candidate.get("can_email") is False,
        "prospect": prospect,
        "internal_applicant": bool(candidate.get("is_internal")),
        "confidential_job": bool(job.get("confidential")),
        "reason_unclassified": rejected and rejection.get("initiated_by") in {"other", "unknown"},
        "reason_excluded": rejected and (excluded or is_excluded(rejection, connection)),
        "not_before": hold_until is not None and hold_until > incoming.received_at,
    }
    return [name for name, holds_now in conditions.items() if holds_now]


def is_excluded(rejection: Mapping[str, Any], connection: ConnectionView) -> bool:
    """Whether the tenant excluded this reason (by id or text) or its type."""
    listed = {_folded(one) for one in listing(connection.settings, "excluded_reasons")}
    named = (rejection.get(key) for key in ("reason_id", "reason_text", "reason_type_raw"))
    return any(_folded(one) in listed for one in named if one)


def mapped_status(status_id: str | None, connection: ConnectionView) -> str | None:
    """What the tenant's status map says of a status: active, rejected, withdrawn or hired."""
    known = connection.settings.get("status_map")
    found = known.get(status_id) if isinstance(known, dict) and status_id else None
    return found if found in {*STATUS.values()} else None


def mapped_initiator(reason_id: str | None, connection: ConnectionView) -> str | None:
    """What the tenant's reason map says of a reason: company, candidate, other or hired."""
    known = connection.settings.get("reason_map")
    found = known.get(reason_id) if isinstance(known, dict) and reason_id else None
    return found if found in {*INITIATORS, "hired"} else None


def listing(settings: Mapping[str, Any], name: str) -> Iterable[str]:
    """A setting that is a list of texts."""
    found = settings.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _folded(value: str) -> str:
    return value.strip().casefold()
