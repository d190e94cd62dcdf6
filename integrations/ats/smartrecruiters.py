"""SmartRecruiters' webhooks: thin, signed over body and headers; only 202 counts as received.

Activating a subscription sends a handshake: a POST with `X-Hook-Secret`, to be echoed with 200.
Up to sixteen keys sign at once. Whether retries, which go on for a day, are signed anew the vendor
does not say. What a delivery is about is read from the API (`smartrecruiters_api`); the link it
names is never fetched, only its path is read where the body lacks an id.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlsplit

from domain.ports import (
    Aside,
    ConnectionView,
    Greeting,
    Incoming,
    Lookup,
    Reading,
    Unreadable,
)
from integrations.ats import canonical as c
from integrations.ats.signing import shared_only, signed_hex

PROVIDER = "smartrecruiters"
SUCCESS = 202
BAD_SIGNATURE = 401
HEADERS = ("event-id", "event-name", "event-version", "link", "smartrecruiters-timestamp")
ONE_BODY_PER_ID = False
ID_IN_BODY = False

TOLERANCE = timedelta(hours=26)
"""How old a delivery may be: retries go on for a day and may carry the first one's time."""
AHEAD = timedelta(minutes=5)
"""How far a delivery's time may lie ahead of ours."""

_SIGNED_HEADERS = ("event-id", "event-name", "event-version", "link")
_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_HOOK_SECRET = re.compile(r"[!-~]{1,500}", re.ASCII)
_LINK = re.compile(r"\s*<([^<>]*)>")
_IN_PATH = {"candidates": "candidate", "jobs": "job", "interviews": "interview"}


def greet(incoming: Incoming, _: ConnectionView) -> Greeting | None:
    """Echo the hook's secret. Whatever claims to be signed is no handshake."""
    secret = incoming.headers.get("x-hook-secret", "")
    if "smartrecruiters-signature" in incoming.headers or not _HOOK_SECRET.fullmatch(secret):
        return None
    return Greeting(200, {"X-Hook-Secret": secret})


# ---- signature ------------------------------------------------------------------------------


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """`v1=<lower hex>`, one per key: any of them by any of our secrets, within the window.

    Signed are the timestamp, the body, id, name and version of the event and the whole link,
    joined with dots; a header that is absent is an empty text.
    """
    stamp = incoming.headers.get("smartrecruiters-timestamp", "")
    if not _in_time(stamp, incoming.received_at):
        return False
    headers = [_bytes(incoming.headers.get(name, "")) for name in _SIGNED_HEADERS]
    message = b".".join([stamp.encode(), incoming.body, *headers])
    claims = incoming.headers.get("smartrecruiters-signature", "").split(";")
    return signed_hex([one.strip() for one in claims], connection.secrets, message, prefix="v1=")


def _in_time(stamp: str, received_at: datetime) -> bool:
    if not _STAMP.fullmatch(stamp):
        return False
    seconds = received_at.timestamp() - int(stamp)
    return -AHEAD.total_seconds() <= seconds <= TOLERANCE.total_seconds()


def _bytes(header: str) -> bytes:
    """The header's bytes as they came: headers are read as Latin-1."""
    return header.encode("latin-1", errors="replace")


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """SmartRecruiters makes the keys; there is no other kind."""
    return shared_only("SmartRecruiters", secrets, public_keys)


def delivery_id(incoming: Incoming) -> str | None:
    """`event-id`, the same on every retry."""
    return incoming.headers.get("event-id")


# ---- body -----------------------------------------------------------------------------------


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Say what to read; a deletion and a cancellation say it all themselves."""
    event = c.text(incoming.headers.get("event-name"), "event_name")
    if event is None:
        raise Unreadable("event_name_missing")
    if event not in _READERS:
        return Reading(event)
    body = c.parse(incoming.body)
    return _READERS[event](event, _Ids(body, incoming), incoming, connection)


class _Ids:
    """Whom a delivery is about: by the body in either spelling, else by the link's path."""

    def __init__(self, body: Mapping[str, Any], incoming: Incoming) -> None:
        self._body, self._path = body, _path_ids(incoming.headers.get("link", ""))
        self.fired_at = _fired_at(incoming)

    def find(self, what: str, *, plain: bool = False) -> str | None:
        """The id of a candidate, job, interview or application; `plain`: `id` may stand for it."""
        names = (f"{what}_id", f"{what}Id", *(["id"] if plain else []))
        told = (c.ident_or_none(self._body.get(name), f"{what}_id") for name in names)
        return next((one for one in told if one), None) or c.ident_or_none(
            self._path.get(what), f"{what}_id"
        )

    def need(self, what: str) -> str:
        """An id there is nothing to say without."""
        found = self.find(what, plain=True)
        if found is None:
            raise Unreadable(f"{what}_id_missing")
        return found


def _path_ids(link: str) -> dict[str, str]:
    """`…/candidates/{id}/jobs/{id}`; the host is nothing to us."""
    found = _LINK.match(link)
    try:
        parts = urlsplit(found[1]).path.split("/") if found else []
    except ValueError:
        return {}
    return {_IN_PATH[name]: unquote(value) for name, value in pairwise(parts) if name in _IN_PATH}


def _fired_at(incoming: Incoming) -> datetime:
    """When the delivery was signed, else when it came."""
    stamp = incoming.headers.get("smartrecruiters-timestamp", "")
    if not _STAMP.fullmatch(stamp):
        return incoming.received_at
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        raise Unreadable("timestamp_malformed") from None


def _status(event: str, ids: _Ids, _: Incoming, __: ConnectionView) -> Reading:
    about = {
        "kind": "application",
        "candidate_id": ids.need("candidate"),
        "job_id": ids.find("job"),
        "fired_at": c.written(ids.fired_at),
    }
    return Reading(event, lookup=Lookup(about))


def _interview(event: str, ids: _Ids, _: Incoming, __: ConnectionView) -> Reading:
    return Reading(
        event, lookup=Lookup({"kind": "interviews", "interview_id": ids.need("interview")})
    )


def _interview_off(event: str, ids: _Ids, _: Incoming, __: ConnectionView) -> Reading:
    aside = Aside("interview_off", ids.need("interview"))
    return Reading(event, as_of=ids.fired_at, asides=[aside])


def _deleted(event: str, ids: _Ids, incoming: Incoming, connection: ConnectionView) -> Reading:
    """The record answers 404 from now on: there is nothing to read, and nothing to wait for."""
    candidate = c.person(ids.need("candidate"))
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind="candidate.deleted",
        provider_event=event,
        provider_event_id=delivery_id(incoming),
        subject=candidate["external_id"],
        effect_at="deleted",
        occurred_at=ids.fired_at,
        candidate=candidate,
        deletion={"kind": "deleted", "application_external_ids": []},
    )
    return Reading(event, [made], ids.fired_at)


_READERS = {
    "application.status.updated": _status,
    "interview.created": _interview,
    "interview.updated": _interview,
    "interview.canceled": _interview_off,
    "candidate.deleted": _deleted,
}
