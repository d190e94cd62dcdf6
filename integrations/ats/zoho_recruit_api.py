"""Zoho Recruit's API, version 2: applications, candidates and interviews as records.

An application has a status, the tenant's own, but no time of its end: it counts from its last
change, and an end is news only where we hold something else. Lists are sorted by the last change,
newest first, and read down to the window: what changes meanwhile moves to the front, so that none
is missed. No records are answered 204, without a body.

`settings.api_key` is `<client id>:<client secret>:<refresh token>` of a self client;
`settings.region` the end of the data centre's domain (`com`, `eu`, `in`, `jp` …, else `com`).
`settings.channel_id`: the notification channel, which expires and is renewed with every poll.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from domain.ports import (
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
from integrations.ats import zoho_recruit
from integrations.ats.wording import suggested_status

PROVIDER = zoho_recruit.PROVIDER
API_BASE = "https://recruit.zoho.com/recruit/v2"
REGIONS = ("com", "eu", "in", "jp", "com.au", "com.cn", "ca", "sa")
HOSTS = tuple(
    f"https://{name}.zoho.{region}" for region in REGIONS for name in ("accounts", "recruit")
)
"""Where the data centres are: a call may lead to any of them."""
PER_SECOND = 5.0
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_PER_PAGE = 50
_ENDS = {"rejected": "company", "withdrawn": "candidate"}
_NEEDS_PERSON = {*_ENDS, "hired"}
_KINDS = {
    "rejected": "application.rejected",
    "withdrawn": "application.withdrawn",
    "hired": "application.hired",
    "active": "application.rejection_reverted",
}
_CHANNEL_LIVES = timedelta(hours=23)
"""The vendor lets a channel live for a day at most."""


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """An access token for the refresh token; it lives for an hour, longer than our work."""
    parts = str(connection.settings.get("api_key") or "").split(":")
    if len(parts) != len(("id", "secret", "token")) or not all(parts):
        raise VendorRefused("setting_missing")
    form = {
        "grant_type": "refresh_token", "client_id": parts[0], "client_secret": parts[1],
        "refresh_token": parts[2],
    }  # fmt: skip
    answer = await api.send("POST", f"{_accounts(connection)}/oauth/v2/token", form=form)
    token = answer.data.get("access_token") if isinstance(answer.data, dict) else None
    if not isinstance(token, str):
        # Zoho answers a wrong client or a revoked token with 200 and `error`.
        raise VendorRefused("api_unauthorised")
    api.headers["authorization"] = f"Zoho-oauthtoken {token}"


def _region(connection: ConnectionView) -> str:
    region = connection.settings.get("region") or "com"
    if region not in REGIONS:
        raise VendorRefused("setting_malformed")
    return str(region)


def _accounts(connection: ConnectionView) -> str:
    """The accounts server of the data centre, or of the host that stands in for Zoho."""
    override = connection.settings.get("api_base")
    if isinstance(override, str) and override:
        parts = urlsplit(override)
        return f"{parts.scheme}://{parts.netloc}"
    return f"https://accounts.zoho.{_region(connection)}"


def _at(connection: ConnectionView, path: str) -> str:
    """A path below the API's base, in the tenant's data centre."""
    region = _region(connection)
    if connection.settings.get("api_base") or region == "com":
        return path
    return f"https://recruit.zoho.{region}/recruit/v2/{path}"


# ---- reading --------------------------------------------------------------------------------


async def look_up(
    api: VendorApi, connection: ConnectionView, about: Mapping[str, Any]
) -> dict[str, Any]:
    """What a hint names: applications with their people, interviews, or people that are gone."""
    reader = _Reader(api, connection)
    if about["kind"] == "interviews" and "application_id" in about:
        return await reader.interviews_of(str(about["application_id"]))
    listed = [str(one) for one in about["ids"]]
    if about["kind"] == "candidates":
        gone = [one for one in listed if await reader.record("Candidates", one) is None]
        return {"kind": "gone", "candidate_ids": gone}
    if about["kind"] == "interviews":
        return {"kind": "several", "facts": [await reader.of_interview(one) for one in listed]}
    facts = [await reader.application(one) for one in listed]
    return {"kind": "several", "facts": [one for one in facts if one is not None]}


class _Reader:
    """Reads records; what was read once in a piece of work is not read again."""

    def __init__(self, api: VendorApi, connection: ConnectionView) -> None:
        self.api, self.connection = api, connection
        self._numbers: dict[tuple[str, str], str | None] = {}

    async def rows(
        self, path: str, params: Mapping[str, Any] | None = None
    ) -> tuple[list[dict[str, Any]], bool]:
        """The records of a page, and whether there are more. Nothing is an empty page."""
        data = (await self.api.get(_at(self.connection, path), params)).data
        if data is None:
            return [], False
        told = data if isinstance(data, dict) else {}
        found, info = told.get("data"), told.get("info")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise VendorDown("api_answer_unreadable")
        return found, isinstance(info, dict) and info.get("more_records") is True

    async def record(self, module: str, number: str) -> dict[str, Any] | None:
        data = await self.api.get_or_none(_at(self.connection, f"{module}/{c.path_part(number)}"))
        found = data.get("data") if isinstance(data, dict) else None
        first = found[0] if isinstance(found, list) and found else None
        return first if isinstance(first, dict) else None

    async def application(self, number: str) -> dict[str, Any] | None:
        """An application; one that is gone says nothing about anybody."""
        told = await self.record("Applications", number)
        return None if told is None else await self.with_person(told)

    async def with_person(self, told: dict[str, Any]) -> dict[str, Any]:
        """Facts of an application; who must not be written to stands with the candidate."""
        number = _related(told, "$Candidate_Id", "Candidate", "Candidate_Name")
        needed = _meaning(told, self.connection) in _NEEDS_PERSON and number is not None
        person = await self.record("Candidates", number) if needed and number else None
        return {"kind": "application", "application": told, "candidate": person}

    async def interviews_of(self, application_id: str) -> dict[str, Any]:
        told = await self.record("Applications", application_id)
        found: list[dict[str, Any]] = []
        person = _related(told or {}, "$Candidate_Id", "Candidate", "Candidate_Name")
        job = _related(told or {}, "$Job_Opening_Id", "Job_Opening", "Posting_Title")
        more, number = person is not None, 1
        while more:
            listed, more = await self.rows(
                "Interviews/search",
                {"criteria": f"(Candidate_Name:equals:{person})", "page": number,
                 "per_page": _PER_PAGE},
            )  # fmt: skip
            found += [one for one in listed if job in {None, _related(one, "Posting_Title")}]
            number += 1
        return {"kind": "interviews", "application_id": application_id, "interviews": found}

    async def of_interview(self, number: str) -> dict[str, Any]:
        """The application of one interview; an interview that is gone was called off."""
        told = await self.record("Interviews", number)
        if told is None:
            return {"kind": "interview_gone", "interview_id": number}
        return await self.under_application(told)

    async def under_application(self, told: dict[str, Any]) -> dict[str, Any]:
        number = _related(told, "Application", "Application_Name", "$Application_Id")
        if number is None:
            number = await self._application_of(
                _related(told, "Candidate_Name"), _related(told, "Posting_Title")
            )
        return {"kind": "interviews", "application_id": number, "interviews": [told]}

    async def _application_of(self, person: str | None, job: str | None) -> str | None:
        """The application of a person for a job: an interview names these two."""
        if person is None or job is None:
            return None
        if (person, job) not in self._numbers:
            criteria = f"(($Candidate_Id:equals:{person})and($Job_Opening_Id:equals:{job}))"
            found, _ = await self.rows("Applications/search", {"criteria": criteria})
            self._numbers[person, job] = _plain(found[0].get("id")) if found else None
        return self._numbers[person, job]


def _related(told: Mapping[str, Any], *names: str) -> str | None:
    """The id in the first of these fields that has one; a look-up field is `{id, name}`."""
    for name in names:
        found = told.get(name)
        number = _plain(found.get("id") if isinstance(found, dict) else found)
        if number is not None:
            return number
    return None


def _plain(value: Any) -> str | None:
    """An id, which is digits: a criterion must not be more than one."""
    number = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return number if number.isascii() and number.isdigit() else None


# ---- polling --------------------------------------------------------------------------------


async def page(
    api: VendorApi, connection: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """Applications, then interviews, newest change first, down to the window."""
    part = str((cursor or {}).get("part") or "Applications")
    number = int((cursor or {}).get("page") or 1)
    if cursor is None:
        await _renew_channel(api, connection, window)
    reader = _Reader(api, connection)
    listed, more = await reader.rows(part, {
        "sort_by": "Updated_On", "sort_order": "desc", "page": number, "per_page": _PER_PAGE,
    })  # fmt: skip
    fresh = [one for one in listed if _is_fresh(one, window.since)]
    ask = reader.with_person if part == "Applications" else reader.under_application
    facts = [await ask(one) for one in fresh]
    known = [one for one in facts if one["kind"] == "application" or one["application_id"]]
    if more and len(fresh) == len(listed):
        return Page(known, {"part": part, "page": number + 1})
    return Page(known, {"part": "Interviews"} if part == "Applications" else None)


def _is_fresh(told: Mapping[str, Any], since: datetime) -> bool:
    """Changed in the window. What does not say when is looked at."""
    try:
        at = _updated_at(told)
    except Unreadable:
        return True
    return at is None or at >= since


async def _renew_channel(api: VendorApi, connection: ConnectionView, window: Window) -> None:
    """Let the notification channel live on, if the tenant has one.

    A channel that cannot be renewed costs time, not candidates: the poll finds what it would have
    told, so the poll goes on.
    """
    number = connection.settings.get("channel_id")
    if not number:
        return
    channel = {
        "channel_id": str(number),
        "events": ["Applications.edit", "Candidates.delete", "Interviews.all"],
        "channel_expiry": (window.until + _CHANNEL_LIVES).isoformat(timespec="seconds"),
    }
    path = _at(connection, "actions/watch")
    with suppress(VendorRefused, VendorMissing):
        await api.send("PATCH", path, json={"watch": [channel]})


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Records in canonical events."""
    told = _Told(incoming, connection, provider_event)
    if facts.get("kind") == "several":
        return _together([told.one(one) for one in c.rows(facts.get("facts"), "facts")], told)
    return told.one(facts)


def _together(readings: list[Reading], told: "_Told") -> Reading:
    """What one hint named, in one reading."""
    times = {
        event["dedupe_key"]: one.as_of for one in readings for event in one.events if one.as_of
    }
    return Reading(
        told.name,
        [event for one in readings for event in one.events],
        min((one.as_of for one in readings if one.as_of is not None), default=None),
        [aside for one in readings for aside in one.asides],
        states=any(one.states for one in readings),
        undated=any(one.undated for one in readings),
        unmapped=[word for one in readings for word in one.unmapped],
        said_at=times,
    )


class _Told:
    """The records of one delivery or page."""

    def __init__(self, incoming: Incoming, connection: ConnectionView, name: str) -> None:
        self.incoming, self.connection, self.name = incoming, connection, name

    def one(self, facts: Mapping[str, Any]) -> Reading:
        kind = facts.get("kind")
        if kind == "gone":
            return self.gone(facts.get("candidate_ids"))
        if kind == "interview_gone":
            off = Aside("interview_off", c.ident(facts.get("interview_id"), "interview_id"))
            return Reading(self.name, as_of=self.incoming.received_at, asides=[off])
        if kind == "interviews":
            return self.interviews(facts)
        return self.application(facts)

    def event(self, kind: str, subject: str, **more: Any) -> dict[str, Any]:
        return c.event(
            PROVIDER, self.connection, self.incoming, kind=kind, provider_event=self.name,
            provider_event_id=None, subject=subject, **more,
        )  # fmt: skip

    def application(self, facts: Mapping[str, Any]) -> Reading:
        told = c.mapping(facts.get("application"), "application")
        number = c.ident(told.get("id"), "application_id")
        status = c.text(told.get("Application_Status"), "status")
        meaning = _meaning(told, self.connection)
        if status is None:
            raise Unreadable("status_missing")
        if meaning is None:
            word = Word("status", status, status, suggested_status(status))
            return Reading(self.name, unmapped=[word])
        at = _updated_at(told) or self.incoming.received_at
        kind = _KINDS[meaning]
        rejection = c.rejection(
            _ENDS[meaning], at, reason_id=status, reason_text=status
        ) if meaning in _ENDS else None  # fmt: skip
        made = self.event(
            kind, number, effect_at=at, occurred_at=at,
            application=c.application(
                kind, number, stage=c.named(None, status), source=c.label(told.get("Source")),
                applied_at=c.written(_moment(told.get("Created_Time"), "created_time")),
            ),
            candidate=_person(told, facts.get("candidate")) if meaning in _NEEDS_PERSON else None,
            job=_job(told),
            rejection=rejection,
        )  # fmt: skip
        made["holds"] = c.holds(made, self.connection, self.incoming)
        return Reading(self.name, [made], at, states=meaning not in _ENDS, undated=True)

    def interviews(self, facts: Mapping[str, Any]) -> Reading:
        if facts.get("application_id") is None:
            return Reading(self.name)
        application_id = c.ident(facts.get("application_id"), "application_id")
        events, asides = [], []
        for told in c.rows(facts.get("interviews"), "interviews"):
            number = c.ident(told.get("id"), "interview_id")
            status = (c.text(told.get("Interview_Status"), "interview_status") or "").casefold()
            if "cancel" in status or "no show" in status.replace("-", " "):
                asides.append(Aside("interview_off", number))
            elif (starts_at := _moment(told.get("Start_DateTime"), "start")) is not None:
                events.append(self.interview(told, number, application_id, starts_at))
        return Reading(self.name, events, self.incoming.received_at, asides)

    def interview(
        self, told: Mapping[str, Any], number: str, application_id: str, starts_at: datetime
    ) -> dict[str, Any]:
        ends_at = _moment(told.get("End_DateTime"), "end")
        status = (c.label(told.get("Interview_Status")) or "").casefold()
        over_at = ends_at or starts_at
        held = "complete" in status or over_at < self.incoming.received_at
        kind = "interview.completed" if held else "interview.scheduled"
        planned_at = _updated_at(told) or self.incoming.received_at
        return self.event(
            kind, application_id, effect_at=starts_at,
            occurred_at=over_at if held else planned_at,
            application=c.application(kind, application_id),
            interview=c.interview(
                number, starts_at, ends_at, status="completed" if held else "scheduled"
            ),
        )  # fmt: skip

    def gone(self, listed: Any) -> Reading:
        """Candidates the API no longer knows; a hint alone would be anybody's word."""
        if not isinstance(listed, list):
            raise Unreadable("candidate_ids_malformed")
        events = [
            self.event(
                "candidate.deleted", number, effect_at="deleted",
                occurred_at=self.incoming.received_at, candidate=c.person(number),
                deletion={"kind": "deleted", "application_external_ids": []},
            )
            for number in (c.ident(one, "candidate_id") for one in listed)
        ]  # fmt: skip
        return Reading(self.name, events, self.incoming.received_at)


def _meaning(told: Mapping[str, Any], connection: ConnectionView) -> str | None:
    """What the tenant's map says of the status, which has no id but its text."""
    return c.mapped_status(c.label(told.get("Application_Status")), connection)


def _updated_at(told: Mapping[str, Any]) -> datetime | None:
    return _moment(told.get("Updated_On"), "updated_on") or _moment(
        told.get("Modified_Time"), "modified_time"
    )


def _moment(value: Any, what: str) -> datetime | None:
    return c.moment_or_none(value or None, what)


def _person(told: Mapping[str, Any], candidate: Any) -> dict[str, Any]:
    """The candidate's own record where it was read, else what the application repeats of it."""
    known = {**told, **c.mapping(candidate or {}, "candidate")}
    number = _related(told, "$Candidate_Id", "Candidate", "Candidate_Name")
    opted_out = c.flag_or_none(known.get("Email_Opt_Out"), "email_opt_out")
    return c.person(
        c.ident(number, "candidate_id"),
        display_name=c.text(known.get("Full_Name"), "full_name"),
        given_name=c.text(known.get("First_Name"), "first_name"),
        family_name=c.text(known.get("Last_Name"), "last_name"),
        emails=c.emails([
            {"value": c.text(known.get(name), "email")} for name in ("Email", "Secondary_Email")
        ]),
        phones=c.phones([
            {"value": known.get("Mobile"), "type": "mobile"},
            {"value": known.get("Phone"), "type": None},
        ]),
        can_email=None if opted_out is None else not opted_out,
    )  # fmt: skip


def _job(told: Mapping[str, Any]) -> dict[str, Any] | None:
    number = _related(told, "$Job_Opening_Id", "Job_Opening", "Posting_Title")
    if number is None:
        return None
    title = told.get("Job_Opening_Name") or told.get("Posting_Title")
    return c.job(
        number,
        title=c.label(title.get("name") if isinstance(title, dict) else title),
        department=c.label(told.get("Department_Name")),
        requisition_id=c.label(told.get("Job_Opening_ID")),
    )


# ---- words and notes ------------------------------------------------------------------------


async def words(api: VendorApi, connection: ConnectionView) -> list[Word]:
    """The values the field for the status may have, as the tenant made them."""
    data = (await api.get(_at(connection, "settings/fields"), {"module": "Applications"})).data
    fields = data.get("fields") if isinstance(data, dict) else None
    found: list[Word] = []
    for field in fields if isinstance(fields, list) else []:
        if isinstance(field, dict) and field.get("api_name") == "Application_Status":
            listed = field.get("pick_list_values")
            listed = listed if isinstance(listed, list) else []
            values = [one for one in listed if isinstance(one, dict)]
            texts = [c.label(one.get("actual_value") or one.get("display_value")) for one in values]
            found += [Word("status", one, one, suggested_status(one)) for one in texts if one]
    return found


async def write_back(api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
    """A tag first, which may be given twice, then a note with the application."""
    number = c.path_part(told.application_external_id)
    if told.candidate_external_id is not None:
        person = c.path_part(told.candidate_external_id)
        await api.send(
            "POST", _at(connection, f"Candidates/{person}/actions/add_tags"),
            params={"tag_names": told.tag},
        )  # fmt: skip
    note = {"Note_Title": told.tag, "Note_Content": told.note}
    await api.send("POST", _at(connection, f"Applications/{number}/Notes"), json={"data": [note]})
