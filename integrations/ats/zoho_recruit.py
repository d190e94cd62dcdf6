"""Zoho Recruit. Signs nothing: a workflow webhook or a notification brings a token we gave it.

Both are hints, and what they name is read. A workflow's form has the parameters `token` and
`application_id` (a notification's JSON has `token`, `module` and `ids`). A token in the URL is
not looked at: URLs end up in logs. Statuses are the tenant's own, so the status map decides.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from domain.ports import ConnectionView, Incoming, Lookup, Reading, Unreadable
from integrations.ats import canonical as c
from integrations.ats.signing import shared_only

PROVIDER = "zoho-recruit"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ()
ONE_BODY_PER_ID = False
ID_IN_BODY = False

MOST_IDS = 50
"""Records one notification may name; it is sent per change, with few."""

_MOST_FIELDS = 50
_ID_NAMES = ("application_id", "Application_Id", "applicationId", "id")
_MODULES = {"Applications": "applications", "Candidates": "candidates", "Interviews": "interviews"}


# ---- token ----------------------------------------------------------------------------------


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """Whether the body's one `token` is any of the secrets."""
    try:
        token = _body(incoming.body).get("token")
    except Unreadable:
        return False
    claimed = token.encode(errors="replace") if isinstance(token, str) else b""
    matches = [
        hmac.compare_digest(claimed, one.encode(errors="replace"))
        for one in connection.secrets
        if one
    ]
    return any(matches)


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Any text we made up, long enough not to be guessed."""
    return shared_only("Zoho Recruit", secrets, public_keys)


def delivery_id(incoming: Incoming) -> str | None:
    """When the hint came: Zoho numbers none, and an application that changes twice sends the very
    same form twice. The second must be read too; what a repetition says is known by its effect.
    """  # noqa: D205 - the reason is the summary
    return incoming.received_at.isoformat()


# ---- hints ----------------------------------------------------------------------------------


def read(incoming: Incoming, _: ConnectionView) -> Reading:
    """Name what must be read. Other modules mean nothing to us."""
    body = _body(incoming.body)
    module = c.text(body.get("module"), "module")
    if module is None:
        number = next((body[name] for name in _ID_NAMES if body.get(name)), None)
        about = {"kind": "applications", "ids": [_number(number)]}
        return Reading("workflow", lookup=Lookup(about))
    operation = c.text(body.get("operation"), "operation") or "edit"
    name = f"{module}.{operation}"
    kind = _MODULES.get(module)
    if kind is None or (kind == "candidates" and operation != "delete"):
        return Reading(name)
    listed = body.get("ids")
    if not isinstance(listed, list) or not listed or len(listed) > MOST_IDS:
        raise Unreadable("ids_malformed")
    ids = [_number(one) for one in listed]
    if operation == "delete" and kind == "applications":
        return Reading(name)  # the person is still there
    return Reading(name, lookup=Lookup({"kind": kind, "ids": ids}))


def _number(value: Any) -> str:
    """Zoho's ids are long integers, written as texts; anything else asks for something else."""
    number = c.ident(value, "application_id")
    if not number.isascii() or not number.isdigit():
        raise Unreadable("application_id_malformed")
    return number


def _body(raw: bytes) -> Mapping[str, Any]:
    """The JSON of a notification, or the form of a workflow webhook."""
    if raw.lstrip()[:1] in {b"{", b"["}:
        return c.parse(raw)
    try:
        pairs = parse_qsl(
            raw.decode("utf-8"), keep_blank_values=True, errors="strict",
            max_num_fields=_MOST_FIELDS,
        )  # fmt: skip
    except UnicodeDecodeError:
        raise Unreadable("not_utf8") from None
    except ValueError:
        raise Unreadable("not_a_form") from None
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("duplicate_key")
    if not made:
        raise Unreadable("not_a_form")
    return made
