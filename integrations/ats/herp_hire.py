"""HERP Hire (HERP). No webhooks: we ask its API, a hundred calls a minute for the whole tenant.

Settings: `api_key` is the key an administrator issues (APIキー). The list of applications (応募)
has no filter by the time of the end, so a poll goes through all of it and keeps what changed in
the window. A list entry carries the person; an application read by itself does not.

Why a selection ended (選考終了理由) is one of four fixed words; 非選考対象 alone leaves open who
ended it. Interviews are contacts (コンタクト) at an interview step with a date; a casual talk
(カジュアル面談) is no part of the selection. There are no tags to set and contacts would invite
people, so a note goes onto the application's timeline, with the tag in front of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from domain.ports import (
    Aside,
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

PROVIDER = "herp-hire"
API_BASE = "https://public-api.herp.cloud/hire/v1"
PER_SECOND = 100 / 60
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_REASONS = {"rejected": "company", "refusedByCandidate": "candidate", "hired": "hired"}
_OPEN_REASON = "notEligible"
_STEPS = frozenset({"firstInterview", "secondInterview", "thirdInterview", "finalInterview"})
_LONGEST_NOTE = 20_000
_MOST_PAGES = 10_000
_KEPT = (
    "id", "name", "status", "requisitionId", "appliedAt", "step", "stepUpdatedAt", "email",
    "telephoneNumber", "channel", "tags", "terminationReason", "terminatedAt", "updatedAt",
)  # fmt: skip
"""What we keep of an application; a career and an interviewer's memo are none of our business."""
_KEPT_CONTACT = ("id", "step", "type", "createdAt", "assessmentSchedule", "evaluations")

Row = dict[str, Any]


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """The key as a bearer token."""
    key = connection.settings.get("api_key")
    if not isinstance(key, str) or not key.strip():
        raise VendorRefused("setting_missing")
    api.headers["authorization"] = f"Bearer {key.strip()}"


# ---- asking ---------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """The interviews of one application."""
    if about.get("kind") != "interviews":
        raise Unreadable("lookup_malformed")
    return await _contacts(api, c.ident(about.get("application_id"), "application_id"))


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """One page of the list, oldest application first so that new ones do not shift it."""
    number = int((cursor or {}).get("page", 1))
    answer = await api.get("candidacies", {"page": number, "sort": "appliedAt", "direction": "asc"})
    listed = [one for one in _listed(answer.data, "candidacies") if _in_window(one, window.since)]
    jobs = await _jobs(api, [one.get("requisitionId") for one in listed]) if listed else {}
    facts: list[dict[str, Any]] = [
        {"kind": "application", "application": _only(one, _KEPT), "job": _job_of(one, jobs)}
        for one in listed
    ]
    facts += [
        {**await _contacts(api, its_id), **one, "kind": "interviews"}
        for one in list(facts)
        if one["application"]["status"] == "active"
        and c.label(one["application"]["step"]) in _STEPS
        and (its_id := c.label(one["application"]["id"]))
    ]
    goes_on = _goes_on(answer.data) and number < _MOST_PAGES
    return Page(facts, {"page": number + 1} if goes_on else None)


def _in_window(application: Row, since: datetime) -> bool:
    """Whether anything about it may have changed since; what we cannot tell counts as changed."""
    told = [application.get(name) for name in ("updatedAt", "terminatedAt", "stepUpdatedAt")]
    try:
        times = [c.moment(one, "time") for one in told if one is not None]
    except Unreadable:
        return True
    return not times or max(times) >= since


async def _contacts(api: VendorApi, number: str) -> dict[str, Any]:
    found = await api.get_or_none(f"candidacies/{c.path_part(number)}/contacts")
    listed = _listed(found, "contacts") if found is not None else []
    return {
        "kind": "interviews",
        "about": {"application_id": number},
        "contacts": [_only(one, _KEPT_CONTACT) for one in listed],
    }


async def _jobs(api: VendorApi, wanted: Iterable[Any]) -> dict[str, str]:
    """Titles of the jobs asked for: the list has no filter either."""
    missing, titles, number = {one for one in wanted if isinstance(one, str)}, {}, 1
    while missing:
        found = await api.get_extra("requisitions", {"page": number})
        if found is None:
            break
        for one in _listed(found, "requisitions"):
            title, job_id = c.label(one.get("name")) or c.label(one.get("title")), one.get("id")
            if title and isinstance(job_id, str) and job_id in missing:
                titles[job_id] = title
        missing -= titles.keys()
        if not _goes_on(found) or number >= _MOST_PAGES:
            break
        number += 1
    return titles


def _job_of(application: Row, titles: Mapping[str, str]) -> Row:
    number = application.get("requisitionId")
    return {"id": number, "name": titles.get(number) if isinstance(number, str) else None}


def _listed(data: Any, name: str) -> list[Row]:
    rows = data.get(name) if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise VendorDown("api_answer_unreadable")
    return rows


def _goes_on(data: Any) -> bool:
    return isinstance(data, dict) and data.get("hasNextPage") is True


def _only(row: Row, names: Sequence[str]) -> Row:
    return {name: row.get(name) for name in names}


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Translate an application as the list has it, or the contacts of one."""
    if facts.get("kind") == "interviews":
        return _interviews(facts, incoming, connection, provider_event)
    told = _Told(facts, connection)
    made = told.event(incoming, provider_event)
    # An application that goes on, or was hired, just stands in the list like any other.
    states = made["type"] in {"application.rejection_reverted", "application.hired"}
    return Reading(provider_event, [made], told.as_of, states=states, undated=told.undated)


class _Told:
    """An entry of the list of applications."""

    def __init__(self, facts: Mapping[str, Any], connection: ConnectionView) -> None:
        self.connection = connection
        self.body = c.mapping(facts.get("application"), "application")
        self.id = c.ident(self.body.get("id"), "application_id")
        self.named_job = c.mapping_or_none(facts.get("job"), "job") or {}
        self.status = c.text(self.body.get("status"), "status")
        updated_at = c.moment_or_none(self.body.get("updatedAt"), "updated_at")
        self.ended_at = c.moment_or_none(self.body.get("terminatedAt"), "terminated_at")
        step_at = c.moment_or_none(self.body.get("stepUpdatedAt"), "step_updated_at")
        self.as_of = max(filter(None, (updated_at, self.ended_at, step_at)), default=None)
        self.initiator = self._initiator()
        self.undated = self.initiator is not None and self.ended_at is None

    def _initiator(self) -> str | None:
        """Who ended it; null while it goes on."""
        if self.status == "active":
            return None
        if self.status == "hired":
            return "hired"
        if self.status != "terminated":
            raise Unreadable("status_unknown" if self.status else "status_missing")
        reason = c.text(self.body.get("terminationReason"), "termination_reason")
        otherwise = "other" if reason == _OPEN_REASON else "unknown"
        known = _REASONS.get(reason or "") or c.mapped_initiator(reason, self.connection)
        return known or otherwise

    def event(self, incoming: Incoming, provider_event: str) -> dict[str, Any]:
        kind = c.ended_kind(self.initiator) if self.initiator else "application.rejection_reverted"
        at = self._at(incoming) if self.initiator else self.as_of or incoming.received_at
        made = c.event(
            PROVIDER,
            self.connection,
            incoming,
            kind=kind,
            provider_event=provider_event,
            provider_event_id=None,
            subject=self.id,
            effect_at=at,
            occurred_at=at,
            rejection=self._rejection() if kind in c.ENDED else None,
            **self.objects(kind),
        )
        made["holds"] = c.holds(made, self.connection, incoming)
        return made

    def _at(self, incoming: Incoming) -> datetime:
        return self.ended_at or self.as_of or incoming.received_at

    def objects(self, kind: str) -> dict[str, Any]:
        """The application after an event of this kind, its person and its job."""
        return {
            "application": self._application(kind),
            "candidate": self._candidate(),
            "job": self._job(),
        }

    def _rejection(self) -> dict[str, Any]:
        reason = c.text(self.body.get("terminationReason"), "termination_reason")
        return c.rejection(
            self.initiator or "unknown",
            self.ended_at,
            reason_id=reason,
            reason_text=_JAPANESE.get(reason or "", reason),
            reason_type_raw=reason,
        )

    def _application(self, kind: str) -> dict[str, Any]:
        step = c.label(self.body.get("step"))
        return c.application(
            kind,
            self.id,
            applied_at=c.written(c.moment_or_none(self.body.get("appliedAt"), "applied_at")),
            stage=c.named(step, _STEP_NAMES.get(step or "", step)),
            source=_source(self.body.get("channel")),
        )

    def _candidate(self) -> dict[str, Any]:
        """A person has no number of their own: each application is one."""
        mail, phone = self.body.get("email"), self.body.get("telephoneNumber")
        return c.person(
            self.id,
            display_name=c.text(self.body.get("name"), "name"),
            emails=c.emails([{"value": mail}] if isinstance(mail, str) else []),
            phones=c.phones([{"value": phone}]),
            tags=c.tags(self.body.get("tags")),
        )

    def _job(self) -> dict[str, Any] | None:
        number = c.ident_or_none(self.body.get("requisitionId"), "job_id")
        return c.job(number, title=c.label(self.named_job.get("name"))) if number else None


def _source(channel: Any) -> str | None:
    """Where they came from, by the name the company knows it under."""
    if not isinstance(channel, dict):
        return None
    agent = channel.get("agent")
    company = agent.get("company") if isinstance(agent, dict) else None
    told = (company, channel.get("mediaName"), channel.get("description"), channel.get("kind"))
    return next(filter(None, map(c.label, told)), None) or c.label(channel.get("type"))


_JAPANESE = {
    "rejected": "不採用", "refusedByCandidate": "応募者辞退", "hired": "入社決定",
    _OPEN_REASON: "非選考対象",
}  # fmt: skip
_STEP_NAMES = {
    "entry": "エントリー", "casualInterview": "カジュアル面談", "resumeScreening": "書類選考",
    "firstInterview": "一次面接", "secondInterview": "二次面接", "thirdInterview": "三次面接",
    "finalInterview": "最終面接", "offered": "内定", "offerAccepted": "内定承諾",
}  # fmt: skip


# ---- interviews -----------------------------------------------------------------------------


def _interviews(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    about = c.mapping(facts.get("about"), "about")
    number = c.ident(about.get("application_id"), "application_id")
    # By itself a contact says nothing of the person, so then nothing is said of them.
    told = _Told(facts, connection) if facts.get("application") is not None else None
    events, asides = [], []
    for contact in c.rows(facts.get("contacts"), "contacts"):
        if c.label(contact.get("step")) not in _STEPS:
            continue
        interview_id = c.ident(contact.get("id"), "interview_id")
        starts_at, ends_at = _times(contact)
        if starts_at is None:
            # Its date was taken away again, or is still to be found.
            asides.append(Aside("interview_off", interview_id))
            continue
        over_at, now = ends_at or starts_at, incoming.received_at
        over = over_at < now or _judged(contact)
        kind = "interview.completed" if over else "interview.scheduled"
        status = kind.removeprefix("interview.")
        made = c.event(
            PROVIDER,
            connection,
            incoming,
            kind=kind,
            provider_event=provider_event,
            provider_event_id=None,
            subject=number,
            effect_at=starts_at,
            occurred_at=min(over_at, now) if over else now,
            interview=c.interview(interview_id, starts_at, ends_at, status=status),
            **(told.objects(kind) if told else {"application": c.application(kind, number)}),
        )
        made["holds"] = c.holds(made, connection, incoming) if told else []
        events.append(made)
    return Reading(provider_event, events, incoming.received_at, asides)


def _times(contact: Row) -> tuple[datetime | None, datetime | None]:
    told = c.mapping_or_none(contact.get("assessmentSchedule"), "assessment_schedule") or {}
    when = c.mapping_or_none(told.get("schedule"), "schedule") or {}
    starts_at = c.moment_or_none(when.get("startsAt"), "starts_at")
    return starts_at, c.moment_or_none(when.get("endsAt"), "ends_at")


def _judged(contact: Row) -> bool:
    """Somebody has written down what they thought: it took place."""
    listed = contact.get("evaluations")
    listed = listed if isinstance(listed, list) else []
    return any(isinstance(one, dict) and one.get("status") == "completed" for one in listed)


# ---- words and notes ------------------------------------------------------------------------


async def words(_: VendorApi, __: ConnectionView) -> list[Word]:
    """The one reason that does not say who ended it; the others are fixed."""
    return [Word("reason", _OPEN_REASON, _JAPANESE[_OPEN_REASON], "other")]


async def write_back(api: VendorApi, _: ConnectionView, told: WriteBack) -> None:
    """A comment on the application's timeline."""
    note = f"[{told.tag}] {told.note}"[:_LONGEST_NOTE]
    path = f"candidacies/{c.path_part(told.application_external_id)}/timeline-comments"
    await api.send("POST", path, json={"body": note, "textType": "text/plain"})
