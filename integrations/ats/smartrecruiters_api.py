"""SmartRecruiters' Customer API: candidates, their applications, status histories, interviews.

`settings.api_key` is an API key (`X-SmartToken`). An application has no number of its own in most
of the API: it is `candidate:job`. Who ended it the status says (REJECTED, WITHDRAWN); when, its
history does. Interviews are only those made through the vendor's Interview API.
"""

from collections.abc import Mapping, Sequence
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
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import canonical as c
from integrations.ats.smartrecruiters import PROVIDER, delivery_id

API_BASE = "https://api.smartrecruiters.com"
PER_SECOND = 10
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_INTERVIEWS = "/interviews-api/v201904/interviews"
_INITIATORS = {"REJECTED": "company", "WITHDRAWN": "candidate"}
_ACTIVE = ("LEAD", "NEW", "IN_REVIEW", "INTERVIEW", "OFFERED")
_TALKING = ("INTERVIEW", "OFFERED")
"""Statuses in which there may be interviews to come."""
_REASONS = {"REJECTED": "reasonOfRejection", "WITHDRAWN": "reasonOfWithdrawal"}
_WORDS = {"rejection": "company", "withdrawal": "candidate"}
_PAGE = 100


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """The key in its own header."""
    api_key = connection.settings.get("api_key")
    if not isinstance(api_key, str) or not api_key:
        raise VendorRefused("setting_missing")
    api.headers["x-smarttoken"] = api_key


# ---- asking ---------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a candidate's applications are, or their interviews."""
    asked = _Asked(api)
    if about["kind"] == "interviews":
        return await asked.named_interviews(about)
    candidate = await asked.candidate(about["candidate_id"])
    # Without a job in the delivery, every application of the person may be meant.
    told = about.get("job_id")
    jobs = [told] if told else [job for job, _ in _assignments(candidate)]
    found = [await asked.application(about["candidate_id"], job) for job in jobs]
    return {
        "kind": "application",
        "about": dict(about),
        "candidate": candidate,
        "applications": found,
    }


class _Asked:
    """What one piece of work has read; a job is the same for many."""

    def __init__(self, api: VendorApi) -> None:
        self.api = api
        self._jobs: dict[str, Any] = {}

    async def candidate(self, number: Any) -> Any:
        """One candidate. Raises `VendorMissing`."""
        return (await self.api.get(f"/candidates/{c.path_part(number)}")).data

    async def application(self, candidate_id: str, job_id: str) -> dict[str, Any]:
        """One application with its history and its job. Raises `VendorMissing`."""
        path = f"/candidates/{c.path_part(candidate_id)}/jobs/{c.path_part(job_id)}"
        return {
            "job_id": job_id,
            "application": (await self.api.get(path)).data,
            "history": await self._history(candidate_id, path),
            "job": await self.job(job_id),
        }

    async def _history(self, candidate_id: str, path: str) -> Any:
        """By the application; where that is not known, the candidate's (of the main one only)."""
        found = await self.api.get_extra(f"{path}/status/history")
        if found is None:
            found = await self.api.get_extra(
                f"/candidates/{c.path_part(candidate_id)}/status/history"
            )
        return _content(found)

    async def job(self, number: Any) -> Any:
        """One job; nothing where we may not know it."""
        if number not in self._jobs:
            self._jobs[number] = await self.api.get_extra(f"/jobs/{c.path_part(number)}")
        return self._jobs[number]

    async def named_interviews(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """An interview by its id, or all of an application of ours."""
        interview_id = about.get("interview_id")
        if interview_id is None:
            candidate_id, job_id = _parts(about["application_id"])
            read = await self.application(candidate_id, job_id)
            return await self.interviews(about, await self.candidate(candidate_id), read)
        found = await self.api.get_or_none(f"{_INTERVIEWS}/{c.path_part(interview_id)}")
        facts: dict[str, Any] = {"kind": "interviews", "about": dict(about), "interviews": []}
        if not isinstance(found, dict):
            return facts
        person = found.get("candidate")
        number = person.get("id") if isinstance(person, dict) else None
        return {
            **facts,
            "interviews": [found],
            "candidate": await self.candidate(number),
            "job": await self.job(found.get("jobId")),
        }

    async def interviews(
        self, about: Mapping[str, Any], candidate: Any, read: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The interviews of an application, by the number only this part of the API knows."""
        told = read["application"]
        number = told.get("applicationId") if isinstance(told, dict) else None
        found = None
        if number:
            found = await self.api.get_or_none(_INTERVIEWS, {"applicationId": number})
        return {
            "kind": "interviews",
            "about": dict(about),
            "interviews": _content(found) or [],
            "candidate": candidate,
            "job": read["job"],
        }


def _parts(application_id: Any) -> tuple[str, str]:
    """Candidate and job of an application of ours."""
    candidate_id, colon, job_id = str(application_id).partition(":")
    if not colon:
        raise VendorMissing
    return candidate_id, job_id


def _content(body: Any) -> Any:
    """The rows of a list, with or without a page around them."""
    return body.get("content") if isinstance(body, dict) else body


def _assignments(candidate: Any) -> list[tuple[str, str | None]]:
    """The jobs of a candidate and the status with each, the main one first."""
    told = candidate if isinstance(candidate, dict) else {}
    others = told.get("secondaryAssignments")
    listed = [told.get("primaryAssignment"), *(others if isinstance(others, list) else [])]
    found: dict[str, str | None] = {}
    for one in listed:
        job = one.get("job") if isinstance(one, dict) else None
        number = job.get("id") if isinstance(job, dict) else None
        if isinstance(number, str) and number:
            found.setdefault(number, c.label(one.get("status")))
    return list(found.items())


# ---- polling --------------------------------------------------------------------------------


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """Every application of the candidates that changed, and interviews where there may be some."""
    params = {
        "updatedAfter": c.written(window.since),
        "limit": _PAGE,
        "pageId": (cursor or {}).get("page_id"),
    }
    body = (await api.get("/candidates", params)).data
    asked = _Asked(api)
    facts = []
    for one in _rows(_content(body)):
        try:
            facts += await _of_candidate(asked, one.get("id"))
        except VendorMissing:  # deleted since the list was made
            continue
    following = body.get("nextPageId") if isinstance(body, dict) else None
    return Page(facts, {"part": "candidates", "page_id": following} if following else None)


async def _of_candidate(asked: _Asked, number: Any) -> list[dict[str, Any]]:
    candidate = await asked.candidate(number)
    facts = []
    for job_id, status in _assignments(candidate):
        about = {"candidate_id": number, "job_id": job_id}
        read = await asked.application(number, job_id)
        facts.append({
            "kind": "application", "about": {"kind": "application", **about},
            "candidate": candidate, "applications": [read],
        })  # fmt: skip
        if status in _TALKING:
            about = {"kind": "interviews", "application_id": f"{number}:{job_id}"}
            facts.append(await asked.interviews(about, candidate, read))
    return facts


def _rows(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Translate what the API said."""
    maker = _Maker(incoming, connection, provider_event)
    about = c.mapping(facts.get("about"), "about")
    if facts.get("kind") == "interviews":
        return maker.interviews(facts, about)
    person = _Person(c.mapping(facts.get("candidate"), "candidate"))
    if person.id != about.get("candidate_id"):
        raise Unreadable("candidate_other")
    found = [_Told(person, one) for one in c.rows(facts.get("applications"), "applications")]
    fired_at = c.moment_or_none(about.get("fired_at"), "fired_at")
    return maker.outcomes(found, fired_at or person.updated_at or incoming.received_at)


class _Person:
    """A candidate as the API gives it."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.id = c.ident(body.get("id"), "candidate_id")
        self.updated_at = c.moment_or_none(body.get("updatedOn"), "updated_on")

    def candidate(self) -> dict[str, Any]:
        """The canonical person."""
        told = self.body
        web = told.get("actions")
        return c.person(
            self.id,
            given_name=c.text(told.get("firstName"), "first_name"),
            family_name=c.text(told.get("lastName"), "last_name"),
            emails=c.emails([{"value": told.get("email"), "primary": True}]),
            phones=c.phones([{"value": told.get("phoneNumber")}]),
            url=c.label(web.get("profileUrl")) if isinstance(web, dict) else None,
            tags=c.tags(told.get("tags")),
            is_internal=c.flag(told.get("internal"), "internal"),
        )


class _Told:
    """An application with its history and its job as the API gives them."""

    def __init__(self, person: _Person, facts: Mapping[str, Any]) -> None:
        self.person = person
        self.body = c.mapping(facts.get("application"), "application")
        self.job_body = c.mapping_or_none(facts.get("job"), "job") or {}
        named = self.body.get("job")
        self.named_job = named if isinstance(named, dict) else {}
        self.job_id = c.ident(facts.get("job_id"), "job_id")
        self.id = f"{person.id}:{self.job_id}"
        status = c.text(self.body.get("status"), "status")
        if status is None:
            raise Unreadable("status_missing")
        self.status = status
        self.history = _history(facts.get("history"), self.job_id)

    @property
    def since(self) -> datetime | None:
        """Since when it has stood as it does: the first of the latest entries that say so."""
        return _since(self.history, lambda status: status == self.status)

    @property
    def active_since(self) -> datetime | None:
        """Since when it has been under way."""
        return _since(self.history, _ACTIVE.__contains__)

    @property
    def ended_before(self) -> bool:
        """Whether the history knows of an end."""
        return any(status in _INITIATORS for _, status in self.history)

    @property
    def prospect(self) -> bool:
        """Somebody found by a recruiter who has not applied, so far as the latest active entry."""
        active = [status for _, status in self.history if status in _ACTIVE]
        return self.status == "LEAD" or bool(active and active[-1] == "LEAD")

    def application(self, kind: str) -> dict[str, Any]:
        """The canonical application."""
        applied = [at for at, status in self.history if status == "NEW"]
        sub_status = c.label(self.body.get("subStatus"))
        return c.application(
            kind,
            self.id,
            url=c.label(self.body.get("url")),
            applied_at=c.written(applied[0]) if applied else None,
            stage=c.named(self.status, sub_status or self.status),
            source=_source(self.body.get("source")),
        )

    def job(self) -> dict[str, Any]:
        """The canonical job."""
        return _job(self.job_id, self.job_body, self.named_job)

    def rejection(self, at: datetime) -> dict[str, Any]:
        """Who ended it is in the status; why, in the reason of that side."""
        name = _REASONS[self.status]
        reason = c.mapping_or_none(self.body.get(name), "reason") or {}
        return c.rejection(
            _INITIATORS[self.status],
            at,
            reason_id=c.ident_or_none(reason.get("id"), "reason_id"),
            reason_text=c.text(reason.get("label"), "reason_text"),
            reason_type_raw=self.status,
        )


def _history(value: Any, job_id: str) -> list[tuple[datetime, str]]:
    """When which status was taken on, oldest first; entries about other jobs are not meant."""
    found = []
    for one in c.rows(value, "history"):
        about = one.get("jobId")
        if about is not None and about != job_id:
            continue
        status = c.text(one.get("status"), "history_status")
        if status is not None:
            found.append((c.moment(one.get("changedOn"), "changed_on"), status))
    return sorted(found, key=lambda entry: entry[0])


def _since(history: Sequence[tuple[datetime, str]], is_so: Any) -> datetime | None:
    since = None
    for at, status in reversed(history):
        if not is_so(status):
            break
        since = at
    return since


def _source(value: Any) -> str | None:
    """A text, or an object with a label."""
    return c.label(value.get("label")) if isinstance(value, dict) else c.label(value)


def _job(
    number: str | None, told: Mapping[str, Any], named: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    department, place = told.get("department"), told.get("location")
    place = place if isinstance(place, dict) else {}
    where = (place.get("city"), place.get("region"), place.get("country"))
    return c.job(
        number,
        title=c.label(told.get("title")) or c.label((named or {}).get("title")),
        department=c.label(department.get("label")) if isinstance(department, dict) else None,
        location=next((found for one in where if (found := c.label(one))), None),
        requisition_id=c.label(told.get("refNumber")),
    )


class _Maker:
    """Makes events of what was told, for one connection and one delivery."""

    def __init__(self, incoming: Incoming, connection: ConnectionView, event: str) -> None:
        self.incoming, self.connection, self.event = incoming, connection, event

    def outcomes(self, found: Sequence[_Told], at: datetime) -> Reading:
        """How each application stands. What has no history is told as of the delivery."""
        events, asides = [], []
        for told in found:
            if told.status in _ACTIVE:
                events.append(self._active(told, at))
                asides.append(Aside("unhired", told.id))
            elif told.status in _INITIATORS or told.status == "HIRED":
                events.append(self._ended(told, told.since or at))
        known = [told.since for told in found if told.since]
        as_of = max([at, *known])
        return Reading(
            self.event,
            events,
            as_of,
            asides=asides,
            states=any(told.status in _ACTIVE or not told.since for told in found),
            undated=any(not told.since for told in found),
        )

    def _active(self, told: _Told, at: datetime) -> dict[str, Any]:
        """News only after an end, of which the history may know nothing (any more, or yet)."""
        since = told.active_since if told.ended_before else None
        return self._outcome(told, "application.rejection_reverted", since or at)

    def _ended(self, told: _Told, at: datetime) -> dict[str, Any]:
        if told.status == "HIRED":
            return self._outcome(told, "application.hired", at)
        kind = c.ended_kind(_INITIATORS[told.status])
        return self._outcome(told, kind, at, rejection=told.rejection(at))

    def _outcome(self, told: _Told, kind: str, at: datetime, **more: Any) -> dict[str, Any]:
        return self._made(
            kind, told.id, at, at, prospect=told.prospect, application=told.application(kind),
            candidate=told.person.candidate(), job=told.job(), **more,
        )  # fmt: skip

    def interviews(self, facts: Mapping[str, Any], about: Mapping[str, Any]) -> Reading:
        """Each interview as it stands; one asked for and not there was removed."""
        found = [_Interview(one) for one in c.rows(facts.get("interviews"), "interviews")]
        named = c.ident_or_none(about.get("interview_id"), "interview_id")
        off = [one.id for one in found if one.missed]
        if named is not None and named not in {one.id for one in found}:
            off.append(named)
        events = [
            self._interview(facts, one, one.starts_at)
            for one in found
            if not one.missed and one.starts_at is not None
        ]
        asides = [Aside("interview_off", one) for one in off]
        return Reading(self.event, events, self.incoming.received_at, asides=asides)

    def _interview(
        self, facts: Mapping[str, Any], one: "_Interview", starts_at: datetime
    ) -> dict[str, Any]:
        person = _Person(c.mapping(facts.get("candidate"), "candidate"))
        if person.id != one.candidate_id:
            raise Unreadable("candidate_other")
        over_at = one.ends_at or starts_at
        held = over_at < self.incoming.received_at
        status = "completed" if held else "scheduled"
        kind, number = f"interview.{status}", f"{person.id}:{one.job_id}"
        return self._made(
            kind, number, starts_at,
            over_at if held else one.created_at or self.incoming.received_at,
            application=c.application(kind, number), candidate=person.candidate(),
            job=_job(one.job_id, c.mapping_or_none(facts.get("job"), "job") or {}),
            interview=c.interview(one.id, starts_at, one.ends_at, status=status),
        )  # fmt: skip

    def _made(
        self,
        kind: str,
        subject: str,
        effect_at: datetime,
        occurred_at: datetime,
        *,
        prospect: bool = False,
        **objects: Any,
    ) -> dict[str, Any]:
        made = c.event(
            PROVIDER,
            self.connection,
            self.incoming,
            kind=kind,
            provider_event=self.event,
            provider_event_id=delivery_id(self.incoming),
            subject=subject,
            effect_at=effect_at,
            occurred_at=occurred_at,
            **objects,
        )
        made["holds"] = c.holds(made, self.connection, self.incoming, prospect=prospect)
        return made


class _Interview:
    """An interview as the API gives it: one or more blocks of time, from the first to the last.

    `missed`: the candidate declined it, or appeared at none of them.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.id = c.ident(body.get("id"), "interview_id")
        person = c.mapping(body.get("candidate"), "interview_candidate")
        self.candidate_id = c.ident(person.get("id"), "candidate_id")
        self.job_id = c.ident(body.get("jobId"), "job_id")
        self.created_at = c.moment_or_none(body.get("createdOn"), "created_on")
        slots = c.rows(body.get("timeslots"), "timeslots")
        starts = [c.moment(one.get("startsOn"), "starts_on") for one in slots]
        ends = [c.moment_or_none(one.get("endsOn"), "ends_on") for one in slots]
        known = [one for one in ends if one is not None]
        self.starts_at = min(starts) if starts else None
        self.ends_at = max(known) if known else None
        absent = [c.flag(one.get("noShow"), "no_show") for one in slots]
        declined = c.text(person.get("status"), "candidate_status") == "declined"
        self.missed = declined or (bool(absent) and all(absent))


# ---- the tenant's words, and ours for them --------------------------------------------------


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """The reasons of both sides. The status decides; the words are there to be excluded."""
    found = []
    for side, suggestion in _WORDS.items():
        body = (await api.get(f"/configuration/{side}-reasons")).data
        found += [
            Word("reason", str(one["id"]), text, suggestion)
            for one in _rows(_content(body))
            if isinstance(one.get("id"), str) and (text := c.label(one.get("label")))
        ]
    return found


async def write_back(api: VendorApi, _: ConnectionView, told: WriteBack) -> None:
    """The tag first: setting it twice changes nothing, a second note would be a second note.

    The note is a message on the candidate's profile for all who may see the candidate.
    """
    candidate_id = told.candidate_external_id or _parts(told.application_external_id)[0]
    path = f"/candidates/{c.path_part(candidate_id)}/tags"
    await api.send("POST", path, json={"tags": [told.tag]})
    note = {
        "content": f"#[CANDIDATE:{candidate_id}] {told.note}",
        "shareWith": {"openNote": True},
    }
    await api.send("POST", "/messages/shares", json=note)
