"""Ashby's API: calls by POST, each named after what it does.

Settings: `api_key` (read permissions for candidates, interviews and hiring process metadata; to
write back, write permissions for candidates and hiring process metadata).

The vendor's lists can be asked for what changed since a token, but not since a time. Ours keep no
token between polls: they read the lists and take what was updated in the window. Between nights
only applications begun within half a year are looked through; the nightly look goes through all.
"""

import base64
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
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import ashby
from integrations.ats import canonical as c
from integrations.ats.wording import suggested_reason

PROVIDER = ashby.PROVIDER
API_BASE = "https://api.ashbyhq.com"
PER_SECOND = 5.0
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

BETWEEN_NIGHTS = timedelta(days=182)
"""How long ago an application may have begun that an ordinary poll still looks at."""

_PER_PAGE = 100
_MOST_PAGES = 1000
_PARTS = ("Archived", "Hired", "Active", "Lead", "interviews")
"""A poll's parts; leads, who are many and rarely ended before, by night alone."""
_AGAIN = {"next_cursor_expired", "cursor_invalid", "invalid_next_cursor"}
_DOWN = ("rate_limit", "too_many", "internal", "unavailable", "timeout")
_TOOK_PLACE = {"Complete", "WaitingOnFeedback"}
_TYPES = {"rejectedbyorg": "company", "rejectedbycandidate": "candidate"}


class _Refusal(Exception):  # noqa: N818
    """Ashby answered 200 and `success: false`: the code it gave."""


# ---- calling --------------------------------------------------------------------------------


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """Basic, with the key as user name and no password."""
    key = connection.settings.get("api_key")
    if not isinstance(key, str) or not key:
        raise VendorRefused("api_key_missing")
    api.headers["authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()


async def _call(api: VendorApi, name: str, **given: Any) -> dict[str, Any]:
    """One call's answer. Raises `_Refusal` for an error told with a 200."""
    told = (await api.send("POST", name, json=given)).data
    if not isinstance(told, dict):
        raise VendorDown("api_answer_unreadable")
    if told.get("success") is True:
        return told
    raise _Refusal(_code(told))


async def _must(api: VendorApi, name: str, **given: Any) -> dict[str, Any]:
    """One call's answer, its errors in the house's terms."""
    try:
        return await _call(api, name, **given)
    except _Refusal as why:
        raise _judged(str(why)) from None


def _code(told: Mapping[str, Any]) -> str:
    info, errors = told.get("errorInfo"), told.get("errors")
    listed = [info] + (errors if isinstance(errors, list) else [])
    codes = (one.get("code") if isinstance(one, dict) else one for one in listed)
    return next((one for one in codes if isinstance(one, str) and one), "")


def _judged(code: str) -> Exception:
    if code.endswith("_not_found"):
        return VendorMissing()
    if any(word in code for word in _DOWN):
        return VendorDown()
    return VendorRefused("api_unauthorised" if "permission" in code else "api_refused")


async def _everything(api: VendorApi, name: str, **given: Any) -> list[dict[str, Any]]:
    """All pages of a list that is short by nature. Raises `VendorDown` if it never ends."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        told = await _must(api, name, limit=_PER_PAGE, **_with(cursor), **given)
        found += _results(told)
        cursor = _next(told)
        if cursor is None:
            return found
    raise VendorDown("api_answer_unreadable")


def _with(cursor: str | None) -> dict[str, str]:
    return {"cursor": cursor} if cursor else {}


def _results(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = told.get("results")
    if not isinstance(listed, list):
        raise VendorDown("api_answer_unreadable")
    return [one for one in listed if isinstance(one, dict)]


def _next(told: Mapping[str, Any]) -> str | None:
    cursor = told.get("nextCursor")
    goes_on = told.get("moreDataAvailable") is True and isinstance(cursor, str) and cursor
    return cursor if goes_on else None


# ---- asking ---------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """`{"kind": "interviews" | "application", "application_id": …}`."""
    number = about["application_id"]
    if about["kind"] == "interviews":
        found = await _everything(api, "interviewSchedule.list", applicationId=number)
        return {"kind": "interviews", "about": dict(about), "schedules": found}
    told = await _must(api, "application.info", applicationId=number)
    return {"kind": "application", "about": dict(about), "application": told.get("results")}


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """One page of applications by status, then of interview schedules."""
    parts = [one for one in _PARTS if window.full or one != "Lead"]
    part = cursor["part"] if cursor else parts[0]
    name, given = _asked(part, window)
    try:
        told = await _call(api, name, **given, **_with(cursor.get("cursor") if cursor else None))
    except _Refusal as why:
        if str(why) in _AGAIN and cursor and cursor.get("cursor"):
            # A cursor kept too long: this part is read again from its beginning.
            return Page([], {"part": part})
        raise _judged(str(why)) from None
    facts = _facts(part, _results(told), window)
    following = _next(told)
    if following:
        return Page(facts, {"part": part, "cursor": following})
    after = parts.index(part) + 1
    return Page(facts, {"part": parts[after]} if after < len(parts) else None)


def _asked(part: str, window: Window) -> tuple[str, dict[str, Any]]:
    given: dict[str, Any] = {"limit": _PER_PAGE}
    if not window.full:
        given["createdAfter"] = int((window.since - BETWEEN_NIGHTS).timestamp() * 1000)
    if part == "interviews":
        return "interviewSchedule.list", given
    return "application.list", {**given, "status": part}


def _facts(part: str, found: Sequence[dict[str, Any]], window: Window) -> list[dict[str, Any]]:
    if part != "interviews":
        return [
            {"kind": "application", "application": one} for one in found if _lies_in(one, window)
        ]
    by_application: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        if _lies_in(one, window) or _ended_in(one, window):
            by_application.setdefault(str(one.get("applicationId")), []).append(one)
    return [
        {"kind": "interviews", "about": {"kind": "interviews", "application_id": number},
         "schedules": schedules}
        for number, schedules in by_application.items()
    ]  # fmt: skip


def _lies_in(one: Mapping[str, Any], window: Window) -> bool:
    """Whether it was updated since; what gives no readable time is looked at, not passed over."""
    try:
        updated_at = c.moment(one.get("updatedAt"), "updated_at")
    except Unreadable:
        return True
    return updated_at >= window.since


def _ended_in(one: Mapping[str, Any], window: Window) -> bool:
    """An interview ends without anybody touching its record."""
    try:
        over_at = ashby.Schedule(one).over_at()
    except Unreadable:
        return True
    return over_at is not None and window.since <= over_at <= window.until


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """An application's outcome, or what is known of its interviews."""
    if facts.get("kind") == "application":
        return ashby.of_application(facts.get("application"), incoming, connection, provider_event)
    if facts.get("kind") != "interviews":
        raise Unreadable("facts_malformed")
    events: list[dict[str, Any]] = []
    asides: list[Aside] = []
    for one in c.rows(facts.get("schedules"), "interview_schedules"):
        told = ashby.Schedule(one)
        kind = _kind(told, incoming.received_at)
        if kind is not None:
            events.append(told.event(kind, incoming, connection, provider_event))
        elif told.status == "Cancelled":
            asides.append(Aside("interview_off", told.id))
    return Reading(provider_event, events, incoming.received_at, asides)


def _kind(told: ashby.Schedule, now: datetime) -> str | None:
    """Nobody marks every interview as held: one that was planned and is over took place."""
    over_at = told.over_at()
    if told.status in _TOOK_PLACE:
        return "interview.completed"
    if told.status != "Scheduled" or over_at is None:
        return None
    return "interview.completed" if over_at < now else "interview.scheduled"


# ---- words and write-back -------------------------------------------------------------------


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """The archive reasons, archived ones too. Their type says the side, unless it is `Other`."""
    found = await _everything(api, "archiveReason.list", includeArchived=True)
    return [
        Word("reason", number, text, _suggestion(one, text))
        for one in found
        if (number := c.label(one.get("id"))) and (text := c.label(one.get("text")))
    ]


def _suggestion(reason: Mapping[str, Any], text: str) -> str | None:
    kind = reason.get("reasonType")
    known = _TYPES.get(kind.casefold()) if isinstance(kind, str) else None
    return known or suggested_reason(text)


async def write_back(api: VendorApi, _: ConnectionView, told: WriteBack) -> None:
    """A note and a tag on the candidate, silently. A tag of that name is used if there is one."""
    number = told.candidate_external_id or await _candidate_of(api, told.application_external_id)
    made = await _must(api, "candidateTag.create", title=told.tag)
    tag = made.get("results")
    tag_id = c.label(tag.get("id")) if isinstance(tag, dict) else None
    if tag_id is None:
        raise VendorDown("api_answer_unreadable")
    await _must(api, "candidate.addTag", candidateId=number, tagId=tag_id)
    # Last, because it alone would stand there twice if all of this had to be done again.
    await _must(
        api, "candidate.createNote", candidateId=number, note=told.note, isPrivate=False,
        sendNotifications=False,
    )  # fmt: skip


async def _candidate_of(api: VendorApi, application_id: str) -> str:
    told = (await _must(api, "application.info", applicationId=application_id)).get("results")
    candidate = told.get("candidate") if isinstance(told, dict) else None
    number = c.label(candidate.get("id")) if isinstance(candidate, dict) else None
    if number is None:
        raise VendorDown("api_answer_unreadable")
    return number
