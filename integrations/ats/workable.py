"""Workable. Signs the raw body with HMAC-SHA256 (`X-Workable-Signature`); only 200 counts.

The key is the account's API token, or the OAuth application's secret: whoever renews the token
renews the key. A candidate belongs to one job, so its number is the application's too. Bodies are
full, but show the candidate as of the request, not of the event; an end, a withdrawal, a hire and
a reversal all arrive as `candidate_moved`. There is no event for interviews.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from domain.ports import Aside, ConnectionView, Incoming, Lookup, Reading, Unreadable
from integrations.ats import canonical as c
from integrations.ats import signing

PROVIDER = "workable"
SUCCESS = 200
BAD_SIGNATURE = 401
HEADERS = ()
ONE_BODY_PER_ID = False
ID_IN_BODY = True

_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_MOST_ID = 200


# ---- the door -------------------------------------------------------------------------------


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """Whether the header is the digest of the body's exact bytes by any of the secrets."""
    claimed = _digest(incoming.headers.get("x-workable-signature", ""))
    wanted = [hmac.digest(one.encode(), incoming.body, sha256) for one in connection.secrets if one]
    return any(hmac.compare_digest(claimed, one) for one in wanted)


def _digest(claimed: str) -> bytes:
    """The vendor does not say how it writes the digest: as hex, else it must be base64."""
    if _HEX.fullmatch(claimed):
        return bytes.fromhex(claimed)
    try:
        return base64.b64decode(claimed, validate=True)
    except (binascii.Error, ValueError):
        return b""


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """The secret is the account's API token."""
    return signing.shared_only("Workable", secrets, public_keys)


def delivery_id(incoming: Incoming) -> str | None:
    """The body's `id`."""
    try:
        found = c.label(c.parse(incoming.body).get("id"))
    except Unreadable:
        return None
    return found if found and len(found) <= _MOST_ID else None


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Translate one delivery. Where only a reason tells who ended it, its meaning is looked up.

    Such a reading has its events all the same, as far as they can be told without: the vendor's
    list is an extra, and an end must not wait for it.
    """
    return read_with(incoming, connection, None)


def read_with(incoming: Incoming, connection: ConnectionView, reasons: Any) -> Reading:
    """The same with the vendor's list of reasons; null: it was not read yet."""
    body = c.parse(incoming.body)
    name = c.text(body.get("event_type"), "event_type")
    if name is None:
        raise Unreadable("event_type_missing")
    if name == "candidate_deleted":
        return _deleted(name, c.mapping(body.get("data"), "data"), incoming, connection)
    if name != "candidate_moved":
        return Reading(name)
    fired_at = c.moment_or_none(body.get("fired_at"), "fired_at")
    told = Candidate(body.get("data"), reasons, fired_at=fired_at)
    return told.reading(incoming, connection, name)


# ---- candidates -----------------------------------------------------------------------------


class Candidate:
    """A candidate as it stands, by webhook or API: both send the same object."""

    def __init__(self, told: Any, reasons: Any = None, *, fired_at: datetime | None = None) -> None:
        self.body = c.mapping(told, "data")
        self.id = c.ident(self.body.get("id"), "candidate_id")
        self.disqualified = c.flag_or_none(self.body.get("disqualified"), "disqualified")
        self.withdrew = c.flag_or_none(self.body.get("withdrew"), "withdrew")
        self.reason = c.text(self.body.get("disqualification_reason"), "reason_text")
        self.reasons = reasons
        self.updated_at = c.moment_or_none(self.body.get("updated_at"), "updated_at")
        self.fired_at = fired_at
        self.hired_at = c.moment_or_none(self.body.get("hired_at"), "hired_at")
        self.disqualified_at = c.moment_or_none(self.body.get("disqualified_at"), "disqualified_at")

    def reading(
        self, incoming: Incoming, connection: ConnectionView, provider_event: str
    ) -> Reading:
        """What it says: ended, hired, or going on. Raises `Unreadable`."""
        if self.disqualified is None and not self.withdrew:
            raise Unreadable("disqualified_missing")
        if self.withdrew or self.disqualified:
            return self._ended(incoming, connection, provider_event)
        kind, at = "application.rejection_reverted", self._told_at()
        if self.hired_at is not None or c.label(self.body.get("stage_kind")) == "hired":
            kind, at = "application.hired", self.hired_at or at
        made = self._event(kind, incoming, connection, provider_event, at=at)
        reverted = kind == "application.rejection_reverted"
        asides = [Aside("unhired", self.id)] if reverted else []
        return Reading(provider_event, [made], self._as_of(at), asides, states=True)

    def _ended(
        self, incoming: Incoming, connection: ConnectionView, provider_event: str
    ) -> Reading:
        at = self.disqualified_at or self.fired_at or self._told_at()
        rejection = self._rejection(connection)
        kind = c.ended_kind(rejection["initiated_by"])
        made = self._event(
            kind, incoming, connection, provider_event, at=at,
            rejection=rejection if kind in c.ENDED else None,
        )  # fmt: skip
        ask = self.needs_reasons() and self.reasons is None
        return Reading(
            provider_event,
            [made],
            self._as_of(at),
            lookup=Lookup({"kind": "reasons"}) if ask else None,
            undated=self.disqualified_at is None,
        )

    def needs_reasons(self) -> bool:
        """Whether only the vendor's list of reasons can tell who ended it."""
        return bool(self.disqualified) and self.withdrew is None and self.reason is not None

    def _rejection(self, connection: ConnectionView) -> dict[str, Any]:
        """The reason's text is all there is of it: the tenant's map knows it by that."""
        by_whom = self._by_whom() or c.mapped_initiator(self.reason, connection)
        return c.rejection(
            by_whom or "unknown",
            self.disqualified_at,
            reason_id=self.reason[:_MOST_ID] if self.reason else None,
            reason_text=self.reason,
        )

    def _by_whom(self) -> str | None:
        if self.withdrew is not None:
            return "candidate" if self.withdrew else "company"
        sides = {
            c.flag_or_none(one.get("candidate_withdrew"), "candidate_withdrew")
            for one in c.rows(self.reasons, "disqualification_reasons")
            if self.reason and _folded(one.get("description")) == _folded(self.reason)
        }
        # Two entries of one name that mean different sides say nothing.
        side = sides.pop() if len(sides) == 1 else None
        return None if side is None else "candidate" if side else "company"

    def _told_at(self) -> datetime:
        """When it came to stand so: the only time what has none of its own carries."""
        return self.updated_at or self.fired_at or c.moment(None, "updated_at")

    def _as_of(self, at: datetime) -> datetime:
        """The statement is as new as the candidate's record: it is written at the request."""
        return max(at, self.updated_at or at)

    def _event(
        self,
        kind: str,
        incoming: Incoming,
        connection: ConnectionView,
        provider_event: str,
        *,
        at: datetime,
        rejection: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        made = c.event(
            PROVIDER,
            connection,
            incoming,
            kind=kind,
            provider_event=provider_event,
            provider_event_id=delivery_id(incoming),
            subject=self.id,
            effect_at=at,
            occurred_at=at,
            application=self._application(kind),
            candidate=self._person(),
            job=job_of(self.body),
            rejection=rejection,
            attachments=self._attachments(),
        )
        prospect = c.flag(self.body.get("sourced"), "sourced")
        made["holds"] = c.holds(made, connection, incoming, prospect=prospect)
        return made

    def _application(self, kind: str) -> dict[str, Any]:
        return c.application(
            kind,
            self.id,
            url=c.label(self.body.get("profile_url")),
            applied_at=c.written(c.moment_or_none(self.body.get("created_at"), "created_at")),
            stage=c.named(None, self.body.get("stage")),
            source=c.label(self.body.get("domain")),
        )

    def _person(self) -> dict[str, Any]:
        email = c.text(self.body.get("email"), "email")
        return c.person(
            self.id,
            display_name=c.text(self.body.get("name"), "name"),
            given_name=c.text(self.body.get("firstname"), "firstname"),
            family_name=c.text(self.body.get("lastname"), "lastname"),
            emails=c.emails([{"value": email, "primary": True}]),
            phones=c.phones([{"value": self.body.get("phone")}]),
            url=c.label(self.body.get("profile_url")),
            tags=c.tags(self.body.get("tags")),
        )

    def _attachments(self) -> list[dict[str, Any]]:
        url = c.label(self.body.get("resume_url"))
        if url is None:
            return []
        return [{"kind": "resume", "filename": None, "url": url, "expires_at": None}]


def job_of(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """`job {shortcode, title}` of a candidate or an interview."""
    job = c.mapping_or_none(told.get("job"), "job")
    if job is None:
        return None
    return c.job(c.ident(job.get("shortcode"), "job_id"), title=c.label(job.get("title")))


def _folded(value: Any) -> str:
    return " ".join(value.split()).casefold() if isinstance(value, str) else ""


def _deleted(
    name: str, data: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    """Only the number can be relied on. The application went with the candidate."""
    number = c.ident(data.get("id"), "candidate_id")
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind="candidate.deleted",
        provider_event=name,
        provider_event_id=delivery_id(incoming),
        subject=number,
        effect_at="deleted",
        occurred_at=incoming.received_at,
        candidate=c.person(number),
        deletion={"kind": "deleted", "application_external_ids": [number]},
    )
    return Reading(name, [made], incoming.received_at)
