"""Lever's webhooks. A token and a time are signed, the rest of a body is not: it is but a hint.

Anyone who has seen one delivery can put its three signed fields into another body. So a delivery
only says where to look, and events are made of what the API answers (`lever_api`). Each event has
a signature token of its own (`secrets_by_event`); the plain secrets are tried after it, but for
the tokens of other events. There is no time window: the token is the delivery's id, and one seen
before with another body is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.ports import ConnectionView, Incoming, Lookup, Reading, Unreadable
from integrations.ats import canonical as c
from integrations.ats.signing import shared_only, signed_hex

PROVIDER = "lever"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS: Sequence[str] = ()
ONE_BODY_PER_ID = True
ID_IN_BODY = True

_FIRST_MS, _LAST_MS = 10**12, 10**13 - 1
"""Thirteen digits (2001 to 2286): otherwise digits could move between the token and the time."""


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake; "Verify connection" sends a signed test like any delivery."""


# ---- signature ------------------------------------------------------------------------------


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """`signature` is the lower hex HMAC-SHA256 of `token` and `triggeredAt` written together."""
    told = _signed(incoming.body)
    if told is None:
        return False
    event, token, triggered_at, claim = told
    secrets = _secrets_for(event, connection)
    return signed_hex([claim], secrets, f"{token}{triggered_at}".encode())


def _secrets_for(event: str | None, connection: ConnectionView) -> list[str]:
    """The event's own token first. Where it is known, no other event's token will do."""
    tokens = connection.secrets_by_event
    own = tokens.get(event) if event is not None else None
    foreign = set(tokens.values()) if own else set()
    return [one for one in (own, *(s for s in connection.secrets if s not in foreign)) if one]


def _signed(body: bytes) -> tuple[str | None, str, int, str] | None:
    """Event, token, time and signature; nothing where one of the signed three is not one."""
    try:
        told = c.parse(body)
        token = c.ident(told.get("token"), "token")
    except Unreadable:
        return None
    event, at, claim = (told.get(name) for name in ("event", "triggeredAt", "signature"))
    if isinstance(at, bool) or not isinstance(at, int) or not _FIRST_MS <= at <= _LAST_MS:
        return None
    # What `ident` would trim or write differently is not what was signed.
    if token != told["token"] or not isinstance(claim, str):
        return None
    return event if isinstance(event, str) else None, token, at, claim


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Signature tokens are texts Lever makes; there is no other kind of key."""
    return shared_only("Lever", secrets, public_keys)


def delivery_id(incoming: Incoming) -> str | None:
    """The body's `token`. What a poll found has none."""
    told = _signed(incoming.body)
    return told[1] if told is not None else None


# ---- body -----------------------------------------------------------------------------------


def read(incoming: Incoming, _: ConnectionView) -> Reading:
    """Say what to read. A test has no opportunity; other events have no meaning for us."""
    body = c.parse(incoming.body)
    event = c.text(body.get("event"), "event")
    if event is None:
        raise Unreadable("event_missing")
    if event not in _QUESTIONS:
        return Reading(event)
    data = c.mapping_or_none(body.get("data"), "data") or {}
    opportunity_id = c.ident_or_none(data.get("opportunityId"), "opportunity_id")
    if opportunity_id is None:
        return Reading(event)
    triggered_at = c.written(c.millis(body.get("triggeredAt"), "triggered_at"))
    about = {"application_id": opportunity_id, "triggered_at": triggered_at}
    return Reading(event, lookup=Lookup({**about, **_QUESTIONS[event](data)}))


def _archive(data: Mapping[str, Any]) -> dict[str, Any]:
    """`toArchived` null says that it goes on again; the API must confirm that like all else."""
    before = c.mapping_or_none(data.get("fromArchived"), "from_archived") or {}
    after = c.mapping_or_none(data.get("toArchived"), "to_archived")
    return {
        "kind": "application",
        "reopened": "toArchived" in data and after is None,
        "reason_before": c.ident_or_none(before.get("reason"), "archive_reason"),
    }


def _hire(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "application"}


def _deletion(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "deletion",
        "candidate_id": c.ident_or_none(data.get("contactId"), "contact_id"),
    }


def _interviews(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "interviews",
        "interview_id": c.ident_or_none(data.get("interviewId"), "interview_id"),
    }


_QUESTIONS = {
    "candidateArchiveChange": _archive,
    "candidateHired": _hire,
    "candidateDeleted": _deletion,
    "interviewCreated": _interviews,
    "interviewUpdated": _interviews,
    "interviewDeleted": _interviews,
}
