"""Recruitee's API.

Settings: `api_key` is a company token (personal ones end on 10 February 2027), `company_id` the
number or subdomain in the addresses of the API.

The search silently ignores what it does not understand, so what it gives is checked here again.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import groupby
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
from integrations.ats.recruitee import NO_OFFER, PROVIDER, Told, ended, event, reason_of
from integrations.ats.wording import suggested_reason

__all__ = ["PROVIDER"]

API_BASE = "https://api.recruitee.com"
PER_SECOND = 5.0
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_COMPANY = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_PER_PAGE = 100
_BAD_REQUESTS = (400, 422)
_CANDIDATE = (
    "id", "name", "emails", "phones", "source", "tags", "created_at", "adminapp_url",
    "last_activity_at", "updated_at",
)  # fmt: skip
_PLACEMENT = (
    "id", "offer_id", "offer", "stage", "disqualified", "disqualified_at", "disqualify_kind",
    "disqualify_reason", "disqualify_reason_id", "hired_at", "is_hired",
    "hired_in_this_placement", "created_at", "updated_at",
)  # fmt: skip
_INTERVIEW = (
    "id", "candidate_id", "offer_id", "starts_at", "start_time", "ends_at", "end_time", "duration",
    "all_day", "status", "cancelled", "canceled", "deleted_at", "created_at", "updated_at",
)  # fmt: skip
_CALLED_OFF = {"cancelled", "canceled", "deleted"}
_NEXT = {"ended": "going_on", "going_on": "past", "past": "upcoming"}
_SORTED_BY = {"ended": "disqualified_at", "going_on": "last_activity_at"}


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """A bearer token."""
    key = connection.settings.get("api_key")
    if not isinstance(key, str) or not key:
        raise VendorRefused("setting_missing")
    _at(connection, "")
    api.headers["authorization"] = f"Bearer {key}"


def _at(connection: ConnectionView, path: str) -> str:
    """An address below the company's."""
    company = str(connection.settings.get("company_id") or "")
    if not _COMPANY.fullmatch(company):
        raise VendorRefused("setting_missing")
    return f"/c/{company}{path}"


async def _read(
    api: VendorApi, connection: ConnectionView, path: str, **params: Any
) -> dict[str, Any]:
    answer = await api.get(_at(connection, path), params or None)
    if not isinstance(answer.data, dict):
        raise VendorDown("api_answer_unreadable")
    return answer.data


# ---- asking ---------------------------------------------------------------------------------


async def look_up(
    api: VendorApi, connection: ConnectionView, about: Mapping[str, Any]
) -> dict[str, Any]:
    """The interviews of one application, and whose they are."""
    candidate_id, _, offer_id = str(about.get("application_id")).partition(":")
    facts: dict[str, Any] = {"kind": "interviews", "about": dict(about), "interviews": []}
    if not candidate_id.isdecimal() or offer_id == NO_OFFER:
        return facts
    found = await _both_kinds(api, connection, candidate_id)
    mine = [one for one in found if str(one.get("offer_id")) == offer_id]
    return {**facts, **await _whose(api, connection, candidate_id, offer_id), "interviews": mine}


async def _both_kinds(
    api: VendorApi, connection: ConnectionView, candidate_id: str
) -> list[dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = {}
    for status in ("past", "upcoming"):
        for one in await _interviews(api, connection, status, candidate_id=candidate_id):
            kept[str(one.get("id"))] = one
    return list(kept.values())


async def _interviews(
    api: VendorApi, connection: ConnectionView, status: str, **params: Any
) -> list[dict[str, Any]]:
    """Interviews of the past, or to come (what the vendor gives unless told otherwise)."""
    asked = params if status == "upcoming" else {**params, "status": status}
    try:
        found = await _read(api, connection, "/interview/events", **asked)
    except VendorRefused as why:
        if status == "upcoming" or why.status not in _BAD_REQUESTS:
            raise
        # The vendor's list of statuses is not public: without the past, there is still the future.
        return []
    return [_only(one, _INTERVIEW) for one in _listed(found.get("interview_events"))]


async def _whose(
    api: VendorApi, connection: ConnectionView, candidate_id: str, offer_id: str
) -> dict[str, Any]:
    found = await api.get_or_none(_at(connection, f"/candidates/{candidate_id}"))
    person = found.get("candidate") if isinstance(found, dict) else None
    if not isinstance(person, dict):
        return {"candidate": None, "placement": None}
    mine = (one for one in _listed(person.get("placements")) if _offer_of(one) == offer_id)
    placement = next(mine, {"offer_id": offer_id})
    return {"candidate": _only(person, _CANDIDATE), "placement": _only(placement, _PLACEMENT)}


async def page(
    api: VendorApi, connection: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """Who was turned away since then; who goes on or was hired; past and coming interviews."""
    at = {"part": "ended", "page": 1, "reasons": None, **(cursor or {})}
    if at["part"] in _SORTED_BY:
        return await _people(api, connection, window, at)
    return await _agenda(api, connection, window, at)


async def _people(
    api: VendorApi, connection: ConnectionView, window: Window, at: dict[str, Any]
) -> Page:
    """Newest first, until a whole page is older than the window."""
    order = _SORTED_BY[at["part"]]
    found = await _read(
        api, connection, "/search/new/candidates",
        sort_by=f"{order}_desc", limit=_PER_PAGE, page=at["page"],
    )  # fmt: skip
    everyone = [(one, placement) for one in _listed(found.get("hits")) for placement in _of(one)]
    recent = [
        (person, placement)
        for person, placement in everyone
        if _is_since((placement if order == "disqualified_at" else person).get(order), window)
    ]
    if any(_is_out(one) for _, one in recent) and at["reasons"] is None:
        at["reasons"] = await _reasons(api, connection)
    facts = [
        _placed(person, placement, at["reasons"] or {})
        for person, placement in recent
        if _is_dated_end(placement) == (at["part"] == "ended")
    ]
    onward = {**at, "page": at["page"] + 1} if recent else _next_part(at)
    return Page(facts, onward)


def _of(person: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _listed(person.get("placements"))


def _is_out(placement: Mapping[str, Any]) -> bool:
    return any(placement.get(one) for one in ("disqualified", "disqualified_at", "disqualify_kind"))


def _is_dated_end(placement: Mapping[str, Any]) -> bool:
    return _is_out(placement) and bool(placement.get("disqualified_at"))


def _is_since(value: Any, window: Window) -> bool:
    try:
        found = c.moment_or_none(value, "time")
    except Unreadable:
        return False
    return found is not None and found >= window.since


async def _reasons(api: VendorApi, connection: ConnectionView) -> dict[str, Any]:
    """Ids of the reasons by name: the search knows the name alone, a webhook both."""
    found = await _read(api, connection, "/disqualify_reasons")
    listed = _listed(found.get("disqualify_reasons"))
    return {name: one.get("id") for one in listed if (name := c.label(one.get("name")))}


def _placed(
    person: Mapping[str, Any], placement: Mapping[str, Any], reasons: Mapping[str, Any]
) -> dict[str, Any]:
    told = placement.get("disqualify_reason")
    if isinstance(told, str):
        number = placement.get("disqualify_reason_id") or reasons.get(told.strip())
        told = {"id": number, "name": told}
    return {
        "kind": "placement",
        "candidate": _only(person, _CANDIDATE),
        "placement": _only(placement, _PLACEMENT),
        "reason": told,
    }


async def _agenda(
    api: VendorApi, connection: ConnectionView, window: Window, at: dict[str, Any]
) -> Page:
    """Interviews made, moved or over since then, those of one application together."""
    days = {
        "start_date": window.since.date().isoformat(),
        "end_date": window.until.date().isoformat(),
    }
    found = await _interviews(
        api, connection, at["part"], **(days if at["part"] == "past" else {}),
        limit=_PER_PAGE, page=at["page"],
    )  # fmt: skip
    news = sorted((one for one in found if _is_news(one, window)), key=_owner)
    facts = []
    for (candidate_id, offer_id), mine in groupby(news, key=_owner):
        if candidate_id.isdecimal() and offer_id.isdecimal():
            whose = await _whose(api, connection, candidate_id, offer_id)
            facts.append({"kind": "interviews", **whose, "interviews": list(mine)})
    full = len(found) == _PER_PAGE
    return Page(facts, {**at, "page": at["page"] + 1} if full else _next_part(at))


def _owner(interview: Mapping[str, Any]) -> tuple[str, str]:
    return str(interview.get("candidate_id")), str(interview.get("offer_id"))


def _is_news(interview: Mapping[str, Any], window: Window) -> bool:
    """Touched since then, or over since then; without any time of the kind: maybe."""
    touched = [interview.get(one) for one in ("updated_at", "created_at", "deleted_at")]
    if not any(touched) or any(_is_since(one, window) for one in touched):
        return True
    times = [interview.get(one) for one in ("ends_at", "end_time", "starts_at", "start_time")]
    known = [one for one in times if one]
    return any(_is_since(one, window) and not _is_later(one, window) for one in known)


def _is_later(value: Any, window: Window) -> bool:
    return _is_since(value, Window(window.until, window.until))


def _next_part(at: Mapping[str, Any]) -> dict[str, Any] | None:
    part = _NEXT.get(at["part"])
    return None if part is None else {"part": part, "page": 1, "reasons": at["reasons"]}


def _offer_of(placement: Mapping[str, Any]) -> str | None:
    offer = placement.get("offer")
    number = offer.get("id") if isinstance(offer, dict) else placement.get("offer_id")
    return None if number is None else str(number)


def _only(found: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: found[name] for name in names if found.get(name) is not None}


def _listed(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """What became of a placement, or of the interviews of one."""
    if facts.get("kind") == "interviews":
        return _talks(facts, incoming, connection, provider_event)
    told, placement = _told(facts)
    as_of = _latest(facts) or incoming.received_at
    if _is_out(placement):
        at = c.moment_or_none(placement.get("disqualified_at"), "disqualified_at")
        return ended(
            told, reason_of(facts.get("reason")), at or as_of, incoming, connection,
            provider_event=provider_event, as_of=max(as_of, at or as_of),
        )  # fmt: skip
    hired_at = c.moment_or_none(placement.get("hired_at"), "hired_at")
    hired = hired_at is not None or any(
        c.flag(placement.get(one), one) for one in ("is_hired", "hired_in_this_placement")
    )
    kind = "application.hired" if hired else "application.rejection_reverted"
    made = event(
        told, kind, incoming, connection,
        provider_event=provider_event, effect_at=hired_at or as_of,
    )  # fmt: skip
    return Reading(provider_event, [made], as_of, states=True)


def _told(facts: Mapping[str, Any]) -> tuple[Told, dict[str, Any]]:
    placement = c.mapping(facts.get("placement"), "placement")
    offer = placement.get("offer")
    if offer is None and placement.get("offer_id") is not None:
        offer = {"id": placement["offer_id"]}
    return Told(facts.get("candidate"), offer, placement.get("stage")), placement


def _latest(facts: Mapping[str, Any]) -> datetime | None:
    """The newest time the vendor gives with its statement."""
    person = c.mapping(facts.get("candidate"), "candidate")
    placement = c.mapping(facts.get("placement"), "placement")
    told = (person.get("last_activity_at"), placement.get("updated_at"))
    known = [found for one in told if (found := c.moment_or_none(one, "updated_at"))]
    return max(known, default=None)


def _talks(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    listed = c.rows(facts.get("interviews"), "interviews")
    if not listed or facts.get("candidate") is None:
        return Reading(provider_event)
    told, _ = _told(facts)
    off = [one for one in listed if _is_off(one)]
    made = [
        found
        for one in listed
        if one not in off
        and (found := _talk(told, one, incoming, connection, provider_event)) is not None
    ]
    asides = [Aside("interview_off", c.ident(one.get("id"), "interview_id")) for one in off]
    return Reading(provider_event, made, incoming.received_at, asides)


def _is_off(interview: Mapping[str, Any]) -> bool:
    said = any(c.flag(interview.get(one), one) for one in ("cancelled", "canceled"))
    status = c.label(interview.get("status"))
    return said or bool(interview.get("deleted_at")) or (status or "").casefold() in _CALLED_OFF


def _talk(
    told: Told,
    interview: Mapping[str, Any],
    incoming: Incoming,
    connection: ConnectionView,
    provider_event: str,
) -> dict[str, Any] | None:
    """Over when its end has passed: the vendor says no more about it. None without a start."""
    starts_at, ends_at = _times(interview)
    if starts_at is None:
        return None
    until = ends_at or starts_at
    over = until < incoming.received_at
    made_at = c.moment_or_none(interview.get("created_at"), "created_at")
    return event(
        told, "interview.completed" if over else "interview.scheduled", incoming, connection,
        provider_event=provider_event,
        effect_at=starts_at,
        occurred_at=until if over else made_at or incoming.received_at,
        interview=c.interview(
            c.ident(interview.get("id"), "interview_id"), starts_at, ends_at,
            status="complete" if over else "scheduled",
            all_day=c.flag(interview.get("all_day"), "all_day"),
        ),
    )  # fmt: skip


def _times(interview: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Start and end; the end by the duration in minutes where it is given so."""
    starts_at = _first_time(interview, "starts_at", "start_time")
    ends_at = _first_time(interview, "ends_at", "end_time")
    minutes = interview.get("duration")
    usable = isinstance(minutes, int) and 0 < minutes <= 24 * 60
    if starts_at is not None and ends_at is None and usable and not isinstance(minutes, bool):
        ends_at = starts_at + timedelta(minutes=minutes or 0)
    return starts_at, ends_at


def _first_time(interview: Mapping[str, Any], *names: str) -> datetime | None:
    found = (c.moment_or_none(interview.get(name), name) for name in names)
    return next((one for one in found if one is not None), None)


# ---- words, notes ---------------------------------------------------------------------------


async def words(api: VendorApi, connection: ConnectionView) -> list[Word]:
    """The reasons to disqualify. The vendor does not say whose decision they stand for."""
    found = await _read(api, connection, "/disqualify_reasons")
    return [
        Word("reason", str(one["id"]), text, suggested_reason(text))
        for one in _listed(found.get("disqualify_reasons"))
        if one.get("id") and (text := c.label(one.get("name")))
    ]


async def write_back(api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
    """A note the whole team sees, and a tag."""
    candidate_id = told.candidate_external_id or told.application_external_id.partition(":")[0]
    place = _at(connection, f"/candidates/{candidate_id}")
    await api.send("POST", f"{place}/tags", json={"tags": [told.tag]})
    note = {"body": told.note, "visibility": {"level": "public"}}
    await api.send("POST", f"{place}/notes", json={"note": note})
