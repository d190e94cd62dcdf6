"""Workable's API, version 3 of its SPI.

Settings: `api_key` is an API token (scopes r_jobs, r_candidates; to write back, w_candidates);
`api_base` is `https://<subdomain>.workable.com`; `member_id` is the member in whose name a note is
written, needed for that alone.

Lists show candidates in brief, without who ended it and when, so whoever changed is read one by
one, a few at each step. Interviews cannot be asked for by change: the planned ones are read anew.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

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
from integrations.ats import workable

PROVIDER = workable.PROVIDER
API_BASE = "https://{subdomain}.workable.com/spi/v3"
PER_SECOND = 1.0
"""Ten calls in ten seconds for an account's token."""
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

AHEAD = timedelta(days=90)
"""How far ahead planned interviews are read."""
LONGEST = timedelta(days=1)
"""An interview that began this long before the window may have ended in it."""

_PER_PAGE = 100
_MOST_PAGES = 1000
_AT_A_TIME = 10
_LONG_AGO = "2000-01-01T00:00:00Z"


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """A bearer token, at the account's own host."""
    key = connection.settings.get("api_key")
    if not isinstance(key, str) or not key:
        raise VendorRefused("api_key_missing")
    if not connection.settings.get("api_base"):
        raise VendorRefused("setting_missing")
    api.headers["authorization"] = f"Bearer {key}"


# ---- asking ---------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """`{"kind": "reasons"}`, or `{"kind": "interviews" | "application", "application_id": …}`."""
    if about["kind"] == "reasons":
        return {"kind": "reasons", "reasons": await _reasons(api)}
    number = about["application_id"]
    if about["kind"] == "interviews":
        # From the beginning: what is listed without a date is not documented.
        asked = _interviews_of(start_date=_LONG_AGO, candidate_id=number)
        found = await _everything(api, "events", asked)
        return _interviews(number, [one for one in found if _candidate_of(one) == number])
    told = (await api.get(_path(number))).data
    return (await _facts(api, [_object(told, "candidate")]))[0]


def _path(number: str) -> str:
    return f"candidates/{quote(number, safe='')}"


async def _facts(api: VendorApi, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each candidate, with the list of reasons if only that can tell who ended somebody's."""
    asked = any(_needs_reasons(one) for one in found)
    reasons = await _reasons(api) if asked else None
    return [{"kind": "candidate", "candidate": one, "reasons": reasons} for one in found]


def _needs_reasons(candidate: dict[str, Any]) -> bool:
    try:
        return workable.Candidate(candidate).needs_reasons()
    except Unreadable:
        return False


async def _reasons(api: VendorApi) -> list[dict[str, Any]]:
    found = (await api.get("disqualification_reasons")).data
    listed = found.get("disqualification_reasons") if isinstance(found, dict) else found
    return _objects(listed)


async def _everything(api: VendorApi, name: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All pages of a short list. Raises `VendorDown` if it never ends."""
    found: list[dict[str, Any]] = []
    following: dict[str, Any] | None = dict(asked)
    for _ in range(_MOST_PAGES):
        if following is None:
            return found
        told = (await api.get(name, following)).data
        found += _listed(told, name)
        following = _next(told)
    raise VendorDown("api_answer_unreadable")


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """One page of the list of candidates; the candidates on it, ten at a step; interviews.

    By night only who ended or was hired is read one by one: who goes on was seen when it changed.
    """
    cursor = cursor or {"part": "candidates", "asked": _changed(window), "read": []}
    if cursor["part"] == "interviews":
        return await _interviews_page(api, cursor)
    if cursor["read"]:
        return await _details_step(api, cursor)
    if cursor["asked"] is None:
        return Page([], {"part": "interviews", "asked": _planned(window)})
    told = (await api.get("candidates", cursor["asked"])).data
    listed = _listed(told, "candidates")
    whole = [one for one in listed if _is_whole(one)]
    brief = [one for one in listed if not _is_whole(one) and _matters(one, window)]
    read = [number for one in brief if (number := c.label(one.get("id")))]
    cursor = {"part": "candidates", "asked": _next(told), "read": read}
    return Page(await _facts(api, whole), cursor)


def _changed(window: Window) -> dict[str, Any]:
    return {"updated_after": c.written(window.since), "limit": _PER_PAGE}


def _is_whole(one: Mapping[str, Any]) -> bool:
    """Whether it says by itself who ended it and when."""
    return "withdrew" in one and ("disqualified_at" in one or one.get("disqualified") is False)


def _matters(one: Mapping[str, Any], window: Window) -> bool:
    ended = one.get("disqualified") is not False or one.get("hired_at") is not None
    return ended or not window.full


async def _details_step(api: VendorApi, cursor: dict[str, Any]) -> Page:
    """Read the next few in full. Who has gone meanwhile is told by a delivery of its own."""
    now, later = cursor["read"][:_AT_A_TIME], cursor["read"][_AT_A_TIME:]
    found = [told for one in now if (told := await api.get_or_none(_path(one))) is not None]
    facts = await _facts(api, [_object(one, "candidate") for one in found])
    return Page(facts, {**cursor, "read": later})


def _interviews_of(**given: Any) -> dict[str, Any]:
    return {"type": "interview", "include_cancelled": "true", "limit": _PER_PAGE, **given}


def _planned(window: Window) -> dict[str, Any]:
    return _interviews_of(
        start_date=c.written(window.since - LONGEST), end_date=c.written(window.until + AHEAD)
    )


async def _interviews_page(api: VendorApi, cursor: dict[str, Any]) -> Page:
    told = (await api.get("events", cursor["asked"])).data
    by_candidate: dict[str, list[dict[str, Any]]] = {}
    for one in _listed(told, "events"):
        number = _candidate_of(one)
        if number is not None:
            by_candidate.setdefault(number, []).append(one)
    following = _next(told)
    facts = [_interviews(number, found) for number, found in by_candidate.items()]
    return Page(facts, {"part": "interviews", "asked": following} if following else None)


def _interviews(number: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    about = {"kind": "interviews", "application_id": number}
    return {"kind": "interviews", "about": about, "events": list(found)}


def _candidate_of(one: Mapping[str, Any]) -> str | None:
    """Whose interview it is; meetings and calls, and events without a candidate, are nobody's."""
    candidate = one.get("candidate")
    if one.get("type") != "interview" or not isinstance(candidate, dict):
        return None
    return c.label(candidate.get("id"))


def _listed(told: Any, name: str) -> list[dict[str, Any]]:
    return _objects(told.get(name) if isinstance(told, dict) else None)


def _objects(listed: Any) -> list[dict[str, Any]]:
    if not isinstance(listed, list):
        raise VendorDown("api_answer_unreadable")
    return [one for one in listed if isinstance(one, dict)]


def _object(told: Any, name: str) -> dict[str, Any]:
    """An answer's object, which stands under its name or by itself."""
    found = told.get(name, told) if isinstance(told, dict) else None
    if not isinstance(found, dict):
        raise VendorDown("api_answer_unreadable")
    return found


def _next(told: Any) -> dict[str, Any] | None:
    """What `paging.next` asks for; where it would be asked is ours to say."""
    paging = told.get("paging") if isinstance(told, dict) else None
    link = paging.get("next") if isinstance(paging, dict) else None
    if not isinstance(link, str) or not link:
        return None
    try:
        return dict(parse_qsl(urlsplit(link).query)) or None
    except ValueError:
        raise VendorDown("api_answer_unreadable") from None


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """A delivery with the list of reasons, a candidate's outcome, or a candidate's interviews."""
    kind = facts.get("kind")
    if kind == "reasons":
        return workable.read_with(incoming, connection, facts.get("reasons") or [])
    if kind == "candidate":
        told = workable.Candidate(facts.get("candidate"), facts.get("reasons") or [])
        return told.reading(incoming, connection, provider_event)
    if kind != "interviews":
        raise Unreadable("facts_malformed")
    found = [_Interview(one) for one in c.rows(facts.get("events"), "events")]
    return Reading(
        provider_event,
        [one.event(incoming, connection, provider_event) for one in found if not one.cancelled],
        incoming.received_at,
        [Aside("interview_off", one.id) for one in found if one.cancelled],
    )


class _Interview:
    """An event of the type `interview`."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.id = c.ident(told.get("id"), "interview_id")
        self.about = c.mapping(told.get("candidate"), "candidate")
        self.application_id = c.ident(self.about.get("id"), "candidate_id")
        self.starts_at = c.moment(told.get("starts_at"), "starts_at")
        self.ends_at = c.moment_or_none(told.get("ends_at"), "ends_at")
        self.cancelled = c.flag(told.get("cancelled"), "cancelled")
        self.job = workable.job_of(told)

    def event(
        self, incoming: Incoming, connection: ConnectionView, provider_event: str
    ) -> dict[str, Any]:
        """It took place once it is over. It tells too little of its person for any hold."""
        over_at = self.ends_at or self.starts_at
        is_over = over_at < incoming.received_at
        status = "completed" if is_over else "scheduled"
        kind = f"interview.{status}"
        return c.event(
            PROVIDER,
            connection,
            incoming,
            kind=kind,
            provider_event=provider_event,
            provider_event_id=workable.delivery_id(incoming),
            subject=self.application_id,
            effect_at=self.starts_at,
            occurred_at=over_at if is_over else incoming.received_at,
            application=c.application(kind, self.application_id),
            job=self.job,
            interview=c.interview(self.id, self.starts_at, self.ends_at, status=status),
        )


# ---- words and write-back -------------------------------------------------------------------


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """The reasons, by their texts: deliveries carry no other name of them."""
    found = {
        text: _suggestion(one)
        for one in await _reasons(api)
        if (text := c.label(one.get("description")))
    }
    return [Word("reason", text, text, suggestion) for text, suggestion in found.items()]


def _suggestion(reason: Mapping[str, Any]) -> str | None:
    withdrew = reason.get("candidate_withdrew")
    if not isinstance(withdrew, bool):
        return None
    return "candidate" if withdrew else "company"


async def write_back(api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
    """A comment and a tag. The vendor takes the list of tags as it is given: ours is added to it.

    Raises `VendorRefused("setting_missing")` without the member who comments.
    """
    member = connection.settings.get("member_id")
    if not isinstance(member, str) or not member:
        raise VendorRefused("setting_missing")
    path = _path(told.application_external_id)
    there = _object((await api.get(path)).data, "candidate").get("tags")
    if there is not None and not isinstance(there, list):
        # Tags we cannot read would be lost.
        raise VendorDown("api_answer_unreadable")
    if told.tag not in (there or []):
        await api.send("PUT", f"{path}/tags", json={"tags": [*(there or []), told.tag]})
    # Last, because it alone would stand there twice if all of this had to be done again.
    comment = {"member_id": member, "comment": {"body": told.note}}
    await api.send("POST", f"{path}/comments", json=comment)
