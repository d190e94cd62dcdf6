"""Talentio. No webhooks: we ask its API, five thousand calls an hour.

Settings: `api_key` is the access token (アクセストークン); it sees the workspace of whoever issued
it. A candidate (候補者) belongs to one job, so candidate and application are one and the same. The
status is the vendor's own and says who ended it (辞退 `reject`, お見送り `fail`, 採用 `pass`), so
there is nothing to map. `fixedAt` is when that was decided. People in a talent pool have not
applied and are left alone.

Interviews are stages of the candidate (`type` interview) with a start and no end. The API takes no
comments, and tags only as a complete new list, which could undo somebody's work: nothing is
written back.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.ports import (
    ConnectionView,
    Incoming,
    Page,
    Reading,
    Unreadable,
    VendorApi,
    VendorDown,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import canonical as c

PROVIDER = "talentio"
API_BASE = "https://talentio.com/api/v1"
PER_SECOND = 5000 / 3600
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = False

_PER_PAGE = 100
_INITIATORS = {"fail": "company", "reject": "candidate", "pass": "hired"}
_POOL = {"poolActive", "poolInactive"}
_HELD = {"pass", "fail", "failed", "evaluated_all"}
_KEPT = (
    "id", "firstName", "lastName", "email", "emails", "phoneNumber", "url", "status",
    "requisition", "registeredAt", "appliedAt", "fixedAt", "updatedAt", "channelType",
    "channelName", "customChannelName", "agentCompany", "tags", "stages",
)  # fmt: skip
"""What we keep of a candidate; a description and custom fields are none of our business."""
_KEPT_STAGE = ("id", "type", "status", "scheduledAt", "fixedAt")

Row = dict[str, Any]


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """The access token as a bearer token."""
    key = connection.settings.get("api_key")
    if not isinstance(key, str) or not key.strip():
        raise VendorRefused("setting_missing")
    api.headers["authorization"] = f"Bearer {key.strip()}"


# ---- asking ---------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """The interviews of one candidate."""
    if about.get("kind") != "interviews":
        raise Unreadable("lookup_malformed")
    number = c.ident(about.get("application_id"), "application_id")
    found = await api.get_or_none(f"candidates/{c.path_part(number)}")
    if found is not None and not isinstance(found, dict):
        raise VendorDown("api_answer_unreadable")
    return {"kind": "interviews", "about": dict(about), "candidate": found and _kept(found)}


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """One page of who changed, in the order of registration: what changes meanwhile shifts none."""
    number = int((cursor or {}).get("page", 1))
    # No zone is documented for the filter. Read as Japanese time, UTC's digits lie nine hours
    # earlier: we may see too much, never too little.
    since = window.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    answer = await api.get(
        "candidates", {"page": number, "updatedAtFrom": since, "sort": "registeredAt"}
    )
    listed = _listed(answer.data)
    facts = []
    for one in map(_kept, listed):
        facts.append({"kind": "application", "candidate": one})
        if any(stage.get("type") == "interview" for stage in one["stages"]):
            facts.append({"kind": "interviews", "candidate": one})
    goes_on = _goes_on(answer.headers.get("x-total"), number, len(listed))
    return Page(facts, {"page": number + 1} if goes_on else None)


def _listed(data: Any) -> list[Row]:
    """The list; a single candidate may come without one around it."""
    rows = [data] if isinstance(data, dict) else data
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise VendorDown("api_answer_unreadable")
    return rows


def _goes_on(total: str | None, number: int, length: int) -> bool:
    """By the total the vendor tells; without one, as long as pages are full."""
    if total is not None and total.isascii() and total.isdigit():
        return length > 0 and number * _PER_PAGE < int(total)
    return length >= _PER_PAGE


def _kept(candidate: Row) -> Row:
    stages = candidate.get("stages")
    listed = [one for one in (stages if isinstance(stages, list) else []) if isinstance(one, dict)]
    kept = [_only(one, _KEPT_STAGE) for one in listed]
    return {**_only(candidate, _KEPT), "stages": kept}


def _only(row: Row, names: Sequence[str]) -> Row:
    return {name: row.get(name) for name in names}


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Translate a candidate: how their application stands, or its interviews."""
    if facts.get("kind") == "interviews" and facts.get("candidate") is None:
        return Reading(provider_event)
    told = _Told(facts, incoming, connection, provider_event)
    return told.interviews() if facts.get("kind") == "interviews" else told.outcome()


class _Told:
    """A candidate as the API tells them."""

    def __init__(
        self,
        facts: Mapping[str, Any],
        incoming: Incoming,
        connection: ConnectionView,
        provider_event: str,
    ) -> None:
        self.incoming, self.connection = incoming, connection
        self.provider_event = provider_event
        self.body = c.mapping(facts.get("candidate"), "candidate")
        self.id = c.ident(self.body.get("id"), "application_id")

    def outcome(self) -> Reading:
        """Ended, hired, going on; or in a pool, which is nothing to us."""
        status = c.text(self.body.get("status"), "status")
        if status in _POOL:
            return Reading(self.provider_event)
        updated_at = c.moment_or_none(self.body.get("updatedAt"), "updated_at")
        fixed_at = c.moment_or_none(self.body.get("fixedAt"), "fixed_at")
        as_of = max(filter(None, (updated_at, fixed_at)), default=self.incoming.received_at)
        if status == "ongoing":
            made = self._event("application.rejection_reverted", as_of, as_of)
            return Reading(self.provider_event, [made], as_of, states=True)
        initiator = _INITIATORS.get(status or "")
        if initiator is None:
            raise Unreadable("status_unknown" if status else "status_missing")
        kind, at = c.ended_kind(initiator), fixed_at or as_of
        rejection = c.rejection(initiator, fixed_at, reason_type_raw=status)
        made = self._event(kind, at, at, rejection=rejection if kind in c.ENDED else None)
        hired = kind == "application.hired"
        return Reading(self.provider_event, [made], as_of, states=hired, undated=fixed_at is None)

    def interviews(self) -> Reading:
        """Each interview with a date: to come, or over."""
        events = []
        for stage in c.rows(self.body.get("stages"), "stages"):
            starts_at = c.moment_or_none(stage.get("scheduledAt"), "scheduled_at")
            if stage.get("type") != "interview" or starts_at is None:
                continue
            number = c.ident(stage.get("id"), "interview_id")
            now = self.incoming.received_at
            over = starts_at < now or c.label(stage.get("status")) in _HELD
            kind = "interview.completed" if over else "interview.scheduled"
            status = kind.removeprefix("interview.")
            interview = c.interview(number, starts_at, None, status=status)
            when = min(starts_at, now) if over else now
            events.append(self._event(kind, starts_at, when, interview=interview))
        return Reading(self.provider_event, events, self.incoming.received_at)

    def _event(
        self, kind: str, effect_at: datetime, occurred_at: datetime, **objects: Any
    ) -> dict[str, Any]:
        made = c.event(
            PROVIDER,
            self.connection,
            self.incoming,
            kind=kind,
            provider_event=self.provider_event,
            provider_event_id=None,
            subject=self.id,
            effect_at=effect_at,
            occurred_at=occurred_at,
            application=self._application(kind),
            candidate=self._candidate(),
            job=self._job(),
            **objects,
        )
        made["holds"] = c.holds(made, self.connection, self.incoming)
        return made

    def _application(self, kind: str) -> dict[str, Any]:
        told = self.body.get("appliedAt") or self.body.get("registeredAt")
        return c.application(
            kind,
            self.id,
            url=c.label(self.body.get("url")),
            applied_at=c.written(c.moment_or_none(told, "applied_at")),
            source=self._source(),
        )

    def _source(self) -> str | None:
        company = self.body.get("agentCompany")
        agency = company.get("name") if isinstance(company, dict) else None
        channels = (self.body.get(name) for name in ("channelName", "customChannelName"))
        told = (agency, *channels, self.body.get("channelType"))
        return next(filter(None, map(c.label, told)), None)

    def _candidate(self) -> dict[str, Any]:
        phone = self.body.get("phoneNumber")
        labels = self.body.get("tags")
        return c.person(
            self.id,
            given_name=c.text(self.body.get("firstName"), "first_name"),
            family_name=c.text(self.body.get("lastName"), "last_name"),
            emails=c.emails(self._emails()),
            phones=c.phones([{"value": phone}]),
            url=c.label(self.body.get("url")),
            tags=c.tags([one.get("name") if isinstance(one, dict) else one for one in labels])
            if isinstance(labels, list)
            else [],
        )

    def _emails(self) -> list[Row]:
        """`email`, or a list of them; as texts or as objects."""
        several = self.body.get("emails")
        listed = [self.body.get("email"), *(several if isinstance(several, list) else [])]
        rows = [one if isinstance(one, dict) else {"value": one} for one in listed]
        return [{"value": one.get("value", one.get("email"))} for one in rows]

    def _job(self) -> dict[str, Any] | None:
        told = c.mapping_or_none(self.body.get("requisition"), "requisition")
        if told is None:
            return None
        return c.job(c.ident(told.get("id"), "job_id"), title=c.label(told.get("name")))


# ---- words and notes ------------------------------------------------------------------------


async def words(_: VendorApi, __: ConnectionView) -> list[Word]:
    """Every status has a meaning already."""
    return []


async def write_back(_: VendorApi, __: ConnectionView, ___: WriteBack) -> None:
    """Nothing can be left here."""
    raise VendorRefused("write_back_unsupported")
