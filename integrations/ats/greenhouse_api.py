"""Greenhouse's Harvest API, version 3: what ended lately, interviews, reasons, a note and a tag.

Settings: `api_key` is `client_id:client_secret` of a "Harvest V3 (OAuth)" credential, exchanged for
a token at each piece of work; without a colon it is a token already. `api_user` is the id of the
user we act for: lists need a Site Admin. `time_zone` (default `Asia/Tokyo`) is where an interview
without a time of day takes place.

Lists are paged by a cursor that stands for every parameter of the first call. At most fifty ids
fit into a call. Who may read a job decides whether we see it: one we cannot see is confidential.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from domain.ports import (
    Answer,
    Aside,
    ConnectionView,
    Incoming,
    Page,
    Reading,
    Unreadable,
    VendorApi,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import canonical as c
from integrations.ats import greenhouse as webhooks
from integrations.ats.wording import suggested_reason

PROVIDER = webhooks.PROVIDER
API_BASE = "https://harvest.greenhouse.io/v3"
SIGN_IN_AT = "https://auth.greenhouse.io"
HOSTS = (SIGN_IN_AT,)
PER_SECOND = 5.0
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_PER_PAGE = 500
_IDS_PER_CALL = 50
_PARTS = ("rejected", "hired", "active", "interviews")
"""A poll's parts: applications by the status asked for, then interviews."""
_HELD = {"complete", "awaiting_feedback"}
_TAKE_HOME = {"to_be_sent", "sent", "received"}
_DAY = timedelta(days=1)
_DEFAULT_ZONE = "Asia/Tokyo"

_APPLICATION = (
    "id", "candidate_id", "job_id", "prospective_job_ids", "source_id", "stage_id", "stage_name",
    "status", "prospect", "created_at", "updated_at", "rejected_at", "last_activity_at",
    "custom_fields",
)  # fmt: skip
_CANDIDATE = (
    "id", "first_name", "last_name", "email_addresses", "phone_numbers", "tags", "private",
    "can_email",
)  # fmt: skip
_JOB = ("id", "name", "requisition_id", "confidential", "department_id", "office_ids")
_INTERVIEW = (
    "id", "application_id", "status", "starts_at", "ends_at", "all_day_start_on", "all_day_end_on",
    "scheduled_at", "updated_at",
)  # fmt: skip
"""What we read of each; a candidate's answers and addresses are none of our business."""

Row = dict[str, Any]


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """OAuth client credentials, for the user `api_user`; or the token that was configured."""
    key = connection.settings.get("api_key")
    if not isinstance(key, str) or not key.strip():
        raise VendorRefused("setting_missing")
    token = key.strip()
    if ":" in token:
        token = await _token(api, token, connection)
    api.headers["authorization"] = f"Bearer {token}"


async def _token(api: VendorApi, key: str, connection: ConnectionView) -> str:
    form = {"grant_type": "client_credentials"}
    user = connection.settings.get("api_user")
    if isinstance(user, int | str) and str(user).strip():
        form["sub"] = str(user).strip()
    basic = base64.b64encode(key.encode()).decode()
    answer = await api.send(
        "POST", _token_url(connection), form=form, headers={"authorization": f"Basic {basic}"}
    )
    found = answer.data.get("access_token") if isinstance(answer.data, dict) else None
    if not isinstance(found, str) or not found:
        raise VendorDown("api_answer_unreadable")
    return found


def _token_url(connection: ConnectionView) -> str:
    """Another host for the API gives out its own tokens."""
    override = connection.settings.get("api_base")
    if not isinstance(override, str) or not override:
        return f"{SIGN_IN_AT}/token"
    parts = urlsplit(override)
    return f"{parts.scheme}://{parts.netloc}/token"


# ---- lists ----------------------------------------------------------------------------------


async def _page_of(
    api: VendorApi, path: str, params: Mapping[str, Any], cursor: str | None
) -> tuple[list[Row], str | None]:
    """One page of a list, and the cursor of the next."""
    asked = {"cursor": cursor} if cursor else {**params, "per_page": _PER_PAGE}
    answer = await api.get(path, asked)
    if not isinstance(answer.data, list) or not all(isinstance(one, dict) for one in answer.data):
        raise VendorDown("api_answer_unreadable")
    following = _cursor(answer)
    if following is not None and following == cursor:
        raise VendorDown("api_paging_stuck")
    return answer.data, following


def _cursor(answer: Answer) -> str | None:
    if answer.next is None:
        return None
    found = parse_qs(urlsplit(answer.next).query).get("cursor")
    if not found:
        raise VendorDown("api_answer_unreadable")
    return found[0]


async def _all(api: VendorApi, path: str, **params: Any) -> list[Row]:
    """A whole list."""
    rows, cursor = await _page_of(api, path, params, None)
    while cursor:
        more, cursor = await _page_of(api, path, params, cursor)
        rows += more
    return rows


async def _by(
    api: VendorApi, path: str, ids: Iterable[Any], *, ask: str = "ids", key: str = "id"
) -> dict[str, Row]:
    """Rows of a list for these ids, fifty to a call, under the id in `key`."""
    wanted = sorted({str(one) for one in ids if _is_id(one)})
    found: dict[str, Row] = {}
    for start in range(0, len(wanted), _IDS_PER_CALL):
        some = ",".join(wanted[start : start + _IDS_PER_CALL])
        for row in await _all(api, path, **{ask: some}):
            found[str(row.get(key))] = row
    return found


async def _extras(api: VendorApi, path: str, ids: Iterable[Any]) -> dict[str, Row]:
    """The same for what an event can do without: the credential may not reach that far."""
    try:
        return await _by(api, path, ids)
    except (VendorMissing, VendorRefused):
        return {}


def _is_id(value: Any) -> bool:
    known = isinstance(value, int | str) and not isinstance(value, bool)
    return known and str(value).isascii() and str(value).isalnum()


def _kept(row: Row | None, names: Sequence[str]) -> Row | None:
    return None if row is None else {name: row.get(name) for name in names}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _job_id(application: Row) -> Any:
    """The job applied for; a prospect may be considered for several, or for none."""
    told = application.get("job_id")
    return _first(application.get("prospective_job_ids")) if told is None else told


# ---- reading --------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """The interviews of one application, and the application with its person and job."""
    number = c.ident(about.get("application_id"), "application_id")
    if about.get("kind") != "interviews" or not _is_id(number):
        raise Unreadable("lookup_malformed")
    applications = await _by(api, "applications", [number])
    if number not in applications:
        return {"kind": "interviews", "about": dict(about), "application": None, "interviews": []}
    interviews = await _all(api, "interviews", application_ids=number)
    found = (await _with_people(api, [applications[number]]))[0]
    listed = [_kept(one, _INTERVIEW) for one in interviews]
    return {**found, "kind": "interviews", "about": dict(about), "interviews": listed}


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """One page of one part of a poll; every part looks at the same window."""
    part, at = (cursor or {}).get("part", _PARTS[0]), (cursor or {}).get("at")
    since = f"gte|{c.written(webhooks.moment_of(window.since))}"
    if part == "interviews":
        rows, following = await _page_of(api, "interviews", {"updated_at": since}, at)
        facts = await _with_applications(api, rows)
    else:
        asked = {"status": part, "last_activity_at": since}
        rows, following = await _page_of(api, "applications", asked, at)
        facts = await _with_people(api, rows)
        # By what they say of themselves: a list may hold more than the status asked for.
        ended = [one for one in facts if one["application"].get("status") == "rejected"]
        await _add_reasons(api, ended)
    return Page(facts, _onwards(part, following))


def _onwards(part: str, following: str | None) -> dict[str, Any] | None:
    if following:
        return {"part": part, "at": following}
    after = _PARTS.index(part) + 1
    return {"part": _PARTS[after], "at": None} if after < len(_PARTS) else None


async def _with_people(api: VendorApi, applications: Sequence[Row]) -> list[dict[str, Any]]:
    """Applications with their person, job and the names of what a webhook would have named."""
    people = await _by(api, "candidates", (one.get("candidate_id") for one in applications))
    jobs = await _by(api, "jobs", map(_job_id, applications))
    sources = await _extras(api, "sources", (one.get("source_id") for one in applications))
    departments = await _extras(
        api, "departments", (one.get("department_id") for one in jobs.values())
    )
    offices = await _extras(
        api, "offices", (_first(one.get("office_ids")) for one in jobs.values())
    )
    facts = []
    for one in applications:
        job = jobs.get(str(_job_id(one)))
        facts.append({
            "kind": "application",
            "application": _kept(one, _APPLICATION),
            "candidate": _kept(people.get(str(one.get("candidate_id"))), _CANDIDATE),
            "job": _kept(job, _JOB),
            "source": _kept(sources.get(str(one.get("source_id"))), ("id", "name")),
            "department": _kept(departments.get(str((job or {}).get("department_id"))), ("name",)),
            "office": _kept(
                offices.get(str(_first((job or {}).get("office_ids")))), ("name", "location")
            ),
        })  # fmt: skip
    return facts


async def _add_reasons(api: VendorApi, facts: Sequence[dict[str, Any]]) -> None:
    """Why each of them was rejected; the list of reasons is asked for once."""
    numbers = [one["application"].get("id") for one in facts]
    details = await _by(
        api, "rejection_details", numbers, ask="application_ids", key="application_id"
    )
    told = any(one.get("rejection_reason_id") is not None for one in details.values())
    listed = await _all(api, "rejection_reasons", include_defaults="true") if told else []
    reasons = {str(one.get("id")): one for one in listed}
    for one, number in zip(facts, numbers, strict=True):
        detail = _kept(details.get(str(number)), ("rejection_reason_id", "rejected_at"))
        reason = reasons.get(str((detail or {}).get("rejection_reason_id")))
        one["detail"], one["reason"] = detail, _kept(reason, ("id", "name", "type"))


async def _with_applications(api: VendorApi, interviews: Sequence[Row]) -> list[dict[str, Any]]:
    """Interviews by application; an application split over two pages comes twice."""
    grouped: dict[str, list[Any]] = {}
    for one in interviews:
        grouped.setdefault(str(one.get("application_id")), []).append(_kept(one, _INTERVIEW))
    applications = await _by(api, "applications", grouped)
    known = [applications[number] for number in grouped if number in applications]
    facts = await _with_people(api, known)
    return [
        {**one, "kind": "interviews", "interviews": grouped[str(one["application"]["id"])]}
        for one in facts
    ]


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any],
    incoming: Incoming,
    connection: ConnectionView,
    provider_event: str,
) -> Reading:
    """What an application's state, or its interviews, mean; on the keys a webhook would make."""
    kind = c.label(facts.get("kind"))
    if kind not in {"application", "interviews"}:
        raise Unreadable("facts_malformed")
    if kind == "interviews" and facts.get("application") is None:
        return Reading(provider_event)
    told = _Told(facts, incoming, connection, provider_event)
    return told.interviews() if kind == "interviews" else told.outcome()


@dataclass(frozen=True)
class _When:
    """When an interview takes place."""

    starts_at: datetime | None
    ends_at: datetime | None
    all_day: bool = False

    @property
    def over_at(self) -> datetime | None:
        """Its end; its start where the end is not told."""
        return self.ends_at or self.starts_at


class _Told:
    """An application as the API tells it, with what was read beside it."""

    def __init__(
        self,
        facts: Mapping[str, Any],
        incoming: Incoming,
        connection: ConnectionView,
        provider_event: str,
    ) -> None:
        self.facts, self.incoming, self.connection = facts, incoming, connection
        self.provider_event = provider_event
        self.body = c.mapping(facts.get("application"), "application")
        self.id = c.ident(self.body.get("id"), "application_id")
        self.prospect = c.flag(self.body.get("prospect"), "prospect")

    def outcome(self) -> Reading:
        """Asked for as `active`, an application under way is answered as `in_process`."""
        status = c.label(self.body.get("status"))
        if status == "rejected":
            return self._ended()
        if status == "hired":
            return self._stands("application.hired")
        if status in {"in_process", "active"}:
            return self._stands("application.rejection_reverted")
        return Reading(self.provider_event)

    def _ended(self) -> Reading:
        detail = c.mapping_or_none(self.facts.get("detail"), "rejection_details") or {}
        reason = c.mapping_or_none(self.facts.get("reason"), "rejection_reason")
        if reason is None:
            # A reason missing in the list still has its id, which the tenant may have mapped.
            reason = {"id": detail.get("rejection_reason_id")}
        dated = c.moment_or_none(self.body.get("rejected_at"), "rejected_at") or c.moment_or_none(
            detail.get("rejected_at"), "rejected_at"
        )
        when = dated or self._last_activity()
        made = webhooks.rejection(reason, dated, self.connection)
        kind = c.ended_kind(made["initiated_by"])
        rejection = made if kind in c.ENDED else None
        event = self._event(kind, when, when, rejection=rejection, reason=reason)
        return self._reading(
            [event], when, undated=dated is None,
            unmapped=webhooks.unmapped(rejection, self.connection),
        )  # fmt: skip

    def _stands(self, kind: str) -> Reading:
        when = self._last_activity()
        return self._reading([self._event(kind, when, when)], when, states=True)

    def _reading(self, events: list[dict[str, Any]], when: datetime, **more: Any) -> Reading:
        said_at = c.moment_or_none(self.body.get("last_activity_at"), "last_activity_at")
        return Reading(self.provider_event, events, max(said_at or when, when), **more)

    def _last_activity(self) -> datetime:
        """`last_activity_at` as in a webhook; the vendor leaves it out where nothing happened."""
        told = self.body.get("last_activity_at")
        return c.moment(self.body.get("updated_at") if told is None else told, "last_activity_at")

    def interviews(self) -> Reading:
        events, asides = [], []
        for one in c.rows(self.facts.get("interviews"), "interviews"):
            number = c.ident(one.get("id"), "interview_id")
            status, when = c.label(one.get("status")), self._times(one)
            if status in _TAKE_HOME:
                continue
            unplanned = status == "to_be_scheduled" and when.starts_at is None
            if status == "skipped" or unplanned:
                asides.append(Aside("interview_off", number))
            elif event := self._interview(one, number, status, when):
                events.append(event)
        return Reading(self.provider_event, events, self.incoming.received_at, asides)

    def _interview(
        self, told: Row, number: str, status: str | None, when: _When
    ) -> dict[str, Any] | None:
        now = self.incoming.received_at
        held = status in _HELD or (when.over_at is not None and when.over_at < now)
        if not held and when.starts_at is None:
            return None
        word, told_at = ("completed", "updated_at") if held else ("scheduled", "scheduled_at")
        happened_at = (when.over_at if held else None) or (
            c.moment_or_none(told.get(told_at), told_at) or now
        )
        return self._event(
            f"interview.{word}",
            when.starts_at or f"interview-{number}",
            happened_at,
            interview=c.interview(
                number, when.starts_at, when.ends_at, status=word, all_day=when.all_day
            ),
        )

    def _times(self, told: Row) -> _When:
        starts_at = c.moment_or_none(told.get("starts_at"), "starts_at")
        if starts_at is not None or told.get("all_day_start_on") is None:
            return _When(starts_at, c.moment_or_none(told.get("ends_at"), "ends_at"))
        first = _day(told["all_day_start_on"])
        last = first if told.get("all_day_end_on") is None else _day(told["all_day_end_on"])
        start, end = _midnight(first, self.connection), _midnight(last, self.connection, later=_DAY)
        return _When(start, end, all_day=True)

    def _event(
        self,
        kind: str,
        effect_at: datetime | str,
        occurred_at: datetime,
        *,
        reason: Mapping[str, Any] | None = None,
        **objects: Any,
    ) -> dict[str, Any]:
        made = c.event(
            PROVIDER,
            self.connection,
            self.incoming,
            kind=kind,
            provider_event=self.provider_event,
            provider_event_id=webhooks.delivery_id(self.incoming),
            subject=self.id,
            effect_at=effect_at if isinstance(effect_at, str) else webhooks.moment_of(effect_at),
            occurred_at=webhooks.moment_of(occurred_at),
            application=self._application(kind),
            candidate=self._candidate(),
            job=self._job(),
            **objects,
        )
        made["holds"] = c.holds(
            made, self.connection, self.incoming, prospect=self.prospect,
            excluded=webhooks.is_security(reason or {}),
        )  # fmt: skip
        return made

    def _application(self, kind: str) -> dict[str, Any]:
        source = self.facts.get("source")
        applied_at = None if self.prospect else self.body.get("created_at")
        return c.application(
            kind,
            self.id,
            applied_at=c.written(c.moment_or_none(applied_at, "created_at")),
            stage=c.named(self.body.get("stage_id"), self.body.get("stage_name")),
            source=c.label(source.get("name")) if isinstance(source, dict) else None,
            custom_fields=c.plain_json(self.body.get("custom_fields")),
        )

    def _candidate(self) -> dict[str, Any]:
        """Whom we cannot see may be private, or must not be written to: nothing is said then."""
        told = c.mapping(self.facts.get("candidate"), "candidate")
        return c.person(
            c.ident(told.get("id"), "candidate_id"),
            given_name=c.text(told.get("first_name"), "first_name"),
            family_name=c.text(told.get("last_name"), "last_name"),
            emails=c.emails(told.get("email_addresses")),
            phones=c.phones(told.get("phone_numbers")),
            tags=c.tags(told.get("tags")),
            is_private=c.flag(told.get("private"), "private"),
            can_email=c.flag_or_none(told.get("can_email"), "can_email"),
        )

    def _job(self) -> dict[str, Any] | None:
        number = c.ident_or_none(_job_id(self.body), "job_id")
        told = c.mapping_or_none(self.facts.get("job"), "job")
        if number is None:
            return None
        if told is None:
            return c.job(number, confidential=True)
        department = self.facts.get("department")
        return c.job(
            number,
            title=c.label(told.get("name")),
            department=c.label(department.get("name")) if isinstance(department, dict) else None,
            location=webhooks.place_of(self.facts.get("office")),
            requisition_id=c.ident_or_none(told.get("requisition_id"), "requisition_id"),
            confidential=c.flag(told.get("confidential"), "confidential"),
        )


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Unreadable("all_day_malformed") from None


def _midnight(day: date, connection: ConnectionView, *, later: timedelta = timedelta()) -> datetime:
    """When the day, or the one after it, begins where the interview takes place."""
    try:
        return datetime.combine(day + later, time(), _zone(connection)).astimezone(UTC)
    except OverflowError:
        raise Unreadable("all_day_malformed") from None


def _zone(connection: ConnectionView) -> ZoneInfo:
    named = connection.settings.get("time_zone")
    try:
        return ZoneInfo(named if isinstance(named, str) and named else _DEFAULT_ZONE)
    except (ValueError, OSError, KeyError):
        return ZoneInfo(_DEFAULT_ZONE)


# ---- the tenant's map, and writing back -----------------------------------------------------


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """Every rejection reason, the vendor's own included; what its type says is proposed."""
    found = await _all(api, "rejection_reasons", include_defaults="true")
    return [
        Word("reason", number, name, _meaning(one, name))
        for one in found
        if (number := c.ident_or_none(one.get("id"), "reason_id"))
        and (name := c.label(one.get("name")))
    ]


def _meaning(reason: Row, name: str) -> str | None:
    kind = reason.get("type")
    told = (kind.get("key"), kind.get("name")) if isinstance(kind, dict) else ()
    typed = (webhooks.typed_initiator(c.label(one)) for one in told)
    return next((one for one in typed if one), None) or suggested_reason(name)


async def write_back(api: VendorApi, _: ConnectionView, told: WriteBack) -> None:
    """Tag the candidate, then leave a note with the application.

    The tag first: setting it twice does nothing, a note written twice is two notes.
    """
    candidate_id = told.candidate_external_id or await _candidate_of(api, told)
    people = await _by(api, "candidates", [candidate_id])
    if candidate_id not in people:
        raise VendorMissing
    if told.tag not in c.tags(people[candidate_id].get("tags")):
        body = {"candidate_id": _number(candidate_id), "candidate_tag_id": await _tag(api, told)}
        await api.send("POST", "applied_candidate_tags", json=body)
    note = {
        "candidate_id": _number(candidate_id),
        "application_id": _number(told.application_external_id),
        "body": told.note,
        "note_type": "NOTE",
        "visibility": "private",
    }
    await api.send("POST", "notes", json=note)


async def _candidate_of(api: VendorApi, told: WriteBack) -> str:
    found = await _by(api, "applications", [told.application_external_id])
    application = found.get(told.application_external_id)
    if application is None:
        raise VendorMissing
    return str(application.get("candidate_id"))


async def _tag(api: VendorApi, told: WriteBack) -> Any:
    """The tag's id in the organisation's list; a new tag is added to it."""
    for one in await _all(api, "candidate_tags"):
        if one.get("name") == told.tag:
            return one.get("id")
    made = (await api.send("POST", "candidate_tags", json={"name": told.tag})).data
    if not isinstance(made, dict) or made.get("id") is None:
        raise VendorDown("api_answer_unreadable")
    return made["id"]


def _number(value: str) -> int | str:
    """The vendor's ids are numbers."""
    return int(value) if value.isascii() and value.isdigit() else value
