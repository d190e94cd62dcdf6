"""Recruitee (Tellent). Signs the raw body with HMAC-SHA256; repeats anything not answered 200.

The secret is shown only after the vendor has tested the address, so the test comes before it: as
long as a connection has no secret, everything is answered and nothing is kept.

Bodies are full and count by themselves. A retry says the number of its attempt in the body, so
repetitions are told by their effect. The body has no time of the end beside that of the event, and
the API (`recruitee_api`) has another one: an end is news only where we hold something else
(`Reading.undated`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.ports import (
    Aside,
    ConnectionView,
    Greeting,
    Incoming,
    Lookup,
    Reading,
    Unreadable,
    Word,
)
from integrations.ats import canonical as c
from integrations.ats.signing import shared_only, signed_hex
from integrations.ats.wording import suggested_reason

PROVIDER = "recruitee"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ()
ONE_BODY_PER_ID = False
ID_IN_BODY = False

NO_OFFER = "pool"
"""What stands for the offer in the number of an application to none: somebody in a pool."""
_TALENT_POOL = "talent_pool"
_HIRE = "hire"


def greet(_: Incoming, connection: ConnectionView) -> Greeting | None:
    """Without a secret nothing can be believed, but the vendor's test must get its 200."""
    return None if any(connection.secrets) else Greeting(SUCCESS)


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """`X-Recruitee-Signature: <lower hex>` over the body's exact bytes, by any of the secrets.

    A body that says it is a test needs it as well.
    """
    claimed = incoming.headers.get("x-recruitee-signature", "")
    return signed_hex([claimed], connection.secrets, incoming.body)


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Recruitee makes the secret itself."""
    return shared_only("Recruitee", secrets, public_keys)


def delivery_id(_: Incoming) -> None:
    """The `id` in the body is not known to be one of the delivery: effects tell repetitions."""


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Translate one delivery. Tests and events without a meaning for us make no event."""
    body = c.parse(incoming.body)
    if c.flag(body.get("test"), "test"):
        return Reading("test")
    kind = c.text(body.get("event_type"), "event_type")
    if kind is None:
        raise Unreadable("event_type_missing")
    subtype = c.text(body.get("event_subtype"), "event_subtype")
    name = f"{kind}.{subtype}" if subtype else kind
    reader = _READERS.get(name.removesuffix(f".{subtype}") if kind == "candidate_deleted" else name)
    return reader(name, body, incoming, connection) if reader else Reading(name)


# ---- deliveries -----------------------------------------------------------------------------


def _disqualified(
    name: str, body: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    told = _told(body)
    at = c.moment(body.get("created_at"), "created_at")
    reason = reason_of(_details(body).get("disqualify_reason"))
    return ended(told, reason, at, incoming, connection, provider_event=name)


def _requalified(
    name: str, body: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    at = c.moment(body.get("created_at"), "created_at")
    kind = "application.rejection_reverted"
    made = event(_told(body), kind, incoming, connection, provider_event=name, effect_at=at)
    return Reading(name, [made], at)


def _moved(
    name: str, body: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    """A stage of the kind "hire" hires, leaving it takes that back; others may mean interviews."""
    told = _told(body)
    before, after = (_category(_details(body).get(one)) for one in ("from_stage", "to_stage"))
    if _HIRE not in {before, after}:
        about = {"kind": "interviews", "application_id": told.id}
        return Reading(name, lookup=Lookup(about, needed=False))
    at = c.moment(body.get("created_at"), "created_at")
    if after != _HIRE:
        return Reading(name, as_of=at, asides=[Aside("unhired", told.id)])
    made = event(told, "application.hired", incoming, connection, provider_event=name, effect_at=at)
    return Reading(name, [made], at, states=True)


def _deleted(
    name: str, body: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    """All applications of the person go with it."""
    payload = c.mapping(body.get("payload"), "payload")
    told = c.mapping(payload.get("candidate"), "candidate")
    at = c.moment_or_none(body.get("created_at"), "created_at") or incoming.received_at
    number = c.ident(told.get("id"), "candidate_id")
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind="candidate.deleted",
        provider_event=name,
        provider_event_id=None,
        subject=number,
        effect_at="deleted",
        occurred_at=at,
        candidate=c.person(number),
        deletion={"kind": "deleted", "application_external_ids": []},
    )
    return Reading(name, [made], at)


_READERS = {
    "candidate_moved.disqualified": _disqualified,
    "candidate_moved.requalified": _requalified,
    "candidate_moved.stage_changed": _moved,
    "candidate_deleted": _deleted,
}


def _details(body: Mapping[str, Any]) -> dict[str, Any]:
    payload = c.mapping(body.get("payload"), "payload")
    return c.mapping_or_none(payload.get("details"), "details") or {}


def _told(body: Mapping[str, Any]) -> "Told":
    payload = c.mapping(body.get("payload"), "payload")
    return Told(payload.get("candidate"), payload.get("offer"), _details(body).get("to_stage"))


def _category(stage: Any) -> str | None:
    return c.label(stage.get("category")) if isinstance(stage, dict) else None


# ---- what webhooks and the API have in common -----------------------------------------------


class Told:
    """A person and the offer they applied for, as both the webhooks and the API tell them."""

    def __init__(self, person: Any, offer: Any, stage: Any = None) -> None:
        self._person = c.mapping(person, "candidate")
        self._offer = c.mapping_or_none(offer, "offer")
        self._stage = stage if isinstance(stage, dict) else {}
        self._number = c.ident(self._person.get("id"), "candidate_id")
        kind = c.label((self._offer or {}).get("kind"))
        self.prospect = self._offer is None or kind == _TALENT_POOL
        at = NO_OFFER if self._offer is None else c.ident(self._offer.get("id"), "offer_id")
        self.id = f"{self._number}:{at}"

    def application(self, kind: str) -> dict[str, Any]:
        """Applied when the person was entered: the vendor says nothing more exact."""
        applied_at = c.moment_or_none(self._person.get("created_at"), "created_at")
        return c.application(
            kind,
            self.id,
            applied_at=c.written(applied_at),
            stage=c.named(self._stage.get("id"), self._stage.get("name")),
            source=c.label(self._person.get("source")),
        )

    def candidate(self) -> dict[str, Any]:
        """One field for the name: it is never taken apart."""
        told = self._person
        return c.person(
            self._number,
            display_name=c.text(told.get("name"), "name"),
            emails=c.emails(_values(told.get("emails"))),
            phones=c.phones([{"value": one} for one in _texts(told.get("phones"))]),
            url=c.label(told.get("adminapp_url")),
            tags=_texts(told.get("tags")),
        )

    def job(self) -> dict[str, Any] | None:
        """The offer; a pool is none."""
        if self._offer is None:
            return None
        place = self._offer.get("department")
        return c.job(
            c.ident(self._offer.get("id"), "offer_id"),
            title=c.label(self._offer.get("title")),
            department=c.label(place.get("name")) if isinstance(place, dict) else c.label(place),
            location=c.label(self._offer.get("location")),
        )


def _values(found: Any) -> list[dict[str, Any]]:
    """Addresses: bare texts as the vendor documents them, or objects around them."""
    if found is None:
        return []
    if not isinstance(found, list):
        raise Unreadable("emails_malformed")
    listed = [{"value": one} if isinstance(one, str) else c.mapping(one, "email") for one in found]
    return [{**one, "value": one.get("value") or one.get("email")} for one in listed]


def _texts(found: Any) -> list[str]:
    """Texts, bare or as the name or value of an object."""
    listed = found if isinstance(found, list) else []
    bare = [one.get("name") or one.get("value") if isinstance(one, dict) else one for one in listed]
    return c.tags(bare)


def reason_of(found: Any) -> tuple[str | None, str | None]:
    """Id and name of a reason: an object of both, or the name alone."""
    if found is None or isinstance(found, str):
        return None, c.text(found, "reason_text")
    told = c.mapping(found, "reason")
    return c.ident_or_none(told.get("id"), "reason_id"), c.text(told.get("name"), "reason_text")


def ended(
    told: Told,
    reason: tuple[str | None, str | None],
    at: datetime,
    incoming: Incoming,
    connection: ConnectionView,
    *,
    provider_event: str,
    as_of: datetime | None = None,
) -> Reading:
    """An end. Whose decision a reason stands for only the tenant's map can say, by id or name."""
    reason_id, text = reason
    mapped = c.mapped_initiator(reason_id, connection) or c.mapped_initiator(text, connection)
    initiator = mapped or "unknown"
    kind = c.ended_kind(initiator)
    rejection = c.rejection(initiator, at, reason_id=reason_id, reason_text=text)
    made = event(
        told, kind, incoming, connection, provider_event=provider_event, effect_at=at,
        rejection=None if kind == "application.hired" else rejection,
    )  # fmt: skip
    unmapped = text and not mapped and not reason_id
    words = [Word("reason", text, text, suggested_reason(text))] if text and unmapped else []
    return Reading(provider_event, [made], as_of or at, undated=True, unmapped=words)


def event(
    told: Told,
    kind: str,
    incoming: Incoming,
    connection: ConnectionView,
    *,
    provider_event: str,
    effect_at: datetime,
    **objects: Any,
) -> dict[str, Any]:
    """A canonical event about an application."""
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind=kind,
        provider_event=provider_event,
        provider_event_id=None,
        subject=told.id,
        effect_at=effect_at,
        **{"occurred_at": effect_at, **objects},
        application=told.application(kind),
        candidate=told.candidate(),
        job=told.job(),
    )
    made["holds"] = c.holds(made, connection, incoming, prospect=told.prospect)
    return made
