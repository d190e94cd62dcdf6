"""CloudEvents 1.0 over HTTP around our own canonical names, signed as Standard Webhooks.

CloudEvents has no signature of its own, so the three `webhook-*` headers are required as well.
Structured mode signs everything. In binary mode type, source and time travel in headers that no
signature covers. Nobody gains by sending a body again under another type: a delivery is known by
its signed `webhook-id` and its bytes, and counts once. Somebody on the way could still change the
first one, so

- what the signed body says of type and time itself (`{type, timestamp, data}`, as in our generic
  format) must agree with the headers, and counts;
- where it does not say its type, what cannot be taken back (`candidate.*`) is refused.

Settings: `type_prefix` stands before our canonical type (`com.example.` for
`com.example.application.rejected`); `batched` (true) allows several events in one delivery.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from domain.ports import ConnectionView, Greeting, Incoming, Reading, Unreadable
from integrations.ats import canonical as c
from integrations.ats import standard_webhooks as standard

PROVIDER = "cloudevents"
SUCCESS = standard.SUCCESS
BAD_SIGNATURE = standard.BAD_SIGNATURE
HEADERS = (
    "content-type", "webhook-id", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time",
)  # fmt: skip
ONE_BODY_PER_ID = False
ID_IN_BODY = False

RATE_PER_MINUTE = 600
"""What a sender who asks is granted; more than any applicant tracking system has to say."""

_STRUCTURED = "application/cloudevents+json"
_BATCHED = "application/cloudevents-batch+json"
_ORIGIN = re.compile(r"[A-Za-z0-9.:*\[\]-]{1,255}")
_JSON = re.compile(r"(application|text)/([a-z0-9.+-]+\+)?json", re.ASCII)
_ATTRIBUTES = ("specversion", "id", "source", "type", "time")

Attributes = dict[str, Any]


# ---- the door -------------------------------------------------------------------------------


def greet(_: Incoming, __: ConnectionView) -> None:
    """The handshake is an `OPTIONS` request: see `options`."""


def options(headers: Mapping[str, str]) -> Greeting:
    """Allow a sender to deliver (CloudEvents webhook profile, 4). A signature is needed anyway.

    `WebHook-Request-Callback` names an address to call instead of answering; we just answer.
    """
    origin = headers.get("webhook-request-origin", "").strip()
    if not _ORIGIN.fullmatch(origin):
        return Greeting(400)
    return Greeting(
        200,
        {
            "allow": "POST, OPTIONS",
            "webhook-allowed-origin": origin,
            "webhook-allowed-rate": str(RATE_PER_MINUTE),
        },
    )


verify = standard.verify
unusable = standard.unusable


delivery_id = standard.delivery_id


# ---- modes ----------------------------------------------------------------------------------


def _mode(incoming: Incoming) -> str:
    return incoming.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_binary(incoming: Incoming) -> bool:
    return "ce-specversion" in incoming.headers and _mode(incoming) not in {_STRUCTURED, _BATCHED}


def _header(incoming: Incoming, name: str) -> str | None:
    """An attribute as a header: percent-encoded where it is not plain ASCII."""
    value = incoming.headers.get(f"ce-{name}")
    if value is None:
        return None
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable(f"{name}_malformed") from None


def _events(incoming: Incoming) -> Iterator[tuple[Attributes, Any]]:
    """Each event's attributes and data."""
    if _mode(incoming) == _BATCHED:
        for one in c.parse_rows(incoming.body):
            yield one, _data(one)
    elif _is_binary(incoming):
        if not _JSON.fullmatch(_mode(incoming)):
            raise Unreadable("data_not_json")
        yield {name: _header(incoming, name) for name in _ATTRIBUTES}, c.parse(incoming.body)
    else:
        found = c.parse(incoming.body)
        yield found, _data(found)


def _data(event: Attributes) -> Any:
    kind = c.text(event.get("datacontenttype"), "datacontenttype") or "application/json"
    if "data_base64" in event or not _JSON.fullmatch(kind.partition(";")[0].strip().lower()):
        raise Unreadable("data_not_json")
    return event.get("data")


def _number(event: Attributes) -> str:
    """`source` and `id` together are unique (CloudEvents 1.0, 3.1.1)."""
    return f"{c.ident(event.get('source'), 'source')} {c.ident(event.get('id'), 'id')}"


# ---- body -----------------------------------------------------------------------------------


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Translate one delivery. Types that are not ours make no event."""
    if _mode(incoming) == _BATCHED and connection.settings.get("batched") is not True:
        raise Unreadable("batch_not_agreed")
    name, made, times = None, [], {}
    for attributes, data in _events(incoming):
        name, told = _told(attributes, data, connection, binary=_is_binary(incoming))
        if told is not None:
            event = told.event(incoming)
            made.append(event)
            times[event["dedupe_key"]] = told.at
    return Reading(name, made, max(times.values(), default=None), said_at=times)


def _told(
    attributes: Attributes, data: Any, connection: ConnectionView, *, binary: bool
) -> tuple[str, "standard.Told | None"]:
    """The sender's name of the event, and what it says if it concerns us."""
    if c.text(attributes.get("specversion"), "specversion") != "1.0":
        raise Unreadable("specversion_unknown")
    number, name = _number(attributes), c.text(attributes.get("type"), "type")
    if name is None:
        raise Unreadable("type_missing")
    kind = _kind(name, connection)
    if kind is None:
        return name, None
    body = {"timestamp": attributes.get("time"), "data": data}
    signed = not binary
    if binary:
        body, signed = _signed(name, kind, attributes.get("time"), data)
    names = {"provider": PROVIDER, "provider_event": name, "number": number}
    if kind.startswith("candidate.") and not signed:
        raise Unreadable("type_not_signed")
    return name, standard.Told(kind, body, connection, **names)


def _kind(name: str, connection: ConnectionView) -> str | None:
    """Our canonical type in the sender's; null for anything else."""
    prefix = connection.settings.get("type_prefix")
    prefix = prefix if isinstance(prefix, str) else ""
    kind = name.removeprefix(prefix)
    return kind if name.startswith(prefix) and kind in standard.KINDS else None


def _signed(name: str, kind: str, time: Any, data: Any) -> tuple[dict[str, Any], bool]:
    """The body in our generic format, and whether its type and its time are signed."""
    body = c.mapping(data, "data")
    if "data" not in body:
        return {"timestamp": time, "data": body}, False
    said, at = c.text(body.get("type"), "type"), body.get("timestamp", body.get("time"))
    if said is not None and said not in {name, kind}:
        raise Unreadable("type_disagrees")
    if time is not None and at is not None and _moment(time) != _moment(at):
        raise Unreadable("time_disagrees")
    return {**body, "timestamp": time if at is None else at}, said is not None and at is not None


def _moment(value: Any) -> datetime:
    return c.moment(value, "timestamp")
