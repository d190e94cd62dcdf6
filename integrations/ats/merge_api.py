"""Merge's unified API: what it has synced from the system behind it, by when it synced it.

`modified_after` is Merge's own clock, so that nothing is lost that a slow sync brought late. Lists
give the cursor of the next page with each page. The free plan allows a hundred calls a minute.
"""

from collections.abc import Mapping
from datetime import timedelta
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
from integrations.ats import merge
from integrations.ats.wording import suggested_reason, suggested_status

PROVIDER = merge.PROVIDER
API_BASE = "https://api.merge.dev/api/ats/v1"
PER_SECOND = 100 / 60
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_EXPAND = "candidate,current_stage,job,reject_reason"
_PAGE_SIZE = 100
_PARTS = ("applications", "interviews", "candidates")


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """Bearer key and the token of the linked account (`settings.api_key` has both)."""
    key, colon, token = str(connection.settings.get("api_key") or "").partition(":")
    if not (key and colon and token):
        raise VendorRefused("setting_missing")
    api.headers |= {"authorization": f"Bearer {key}", "x-account-token": token}


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """An application with its relations, or its interviews."""
    number = str(about["application_id"])
    if about["kind"] == "interviews":
        found = await _all(api, "interviews", {"application_id": number})
        return {"kind": "interviews", "application_id": number, "interviews": found}
    path = f"applications/{c.path_part(number)}"
    told = (await api.get(path, {"expand": _EXPAND})).data
    return {"kind": "application", "about": dict(about), "application": told}


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """Applications, then interviews, then lost candidates, a page at a time."""
    part = str((cursor or {}).get("part") or _PARTS[0])
    answer = await api.get(part, {
        **_LISTS[part],
        "modified_after": c.written(window.since),
        "page_size": _PAGE_SIZE,
        "cursor": (cursor or {}).get("next"),
    })  # fmt: skip
    rows, then = _page(answer.data)
    if then is not None:
        return Page(_FACTS[part](rows), {"part": part, "next": then})
    left = _PARTS[_PARTS.index(part) + 1 :]
    return Page(_FACTS[part](rows), {"part": left[0]} if left else None)


_LISTS: dict[str, dict[str, Any]] = {
    "applications": {"expand": _EXPAND},
    # What was removed elsewhere is only listed when asked for.
    "interviews": {"include_deleted_data": "true"},
    "candidates": {"include_deleted_data": "true"},
}


def _applications(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"kind": "application", "application": one} for one in rows]


def _interviews(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The page's interviews, by application; those of none are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in rows:
        named = one.get("application")
        number = c.label(named.get("id") if isinstance(named, dict) else named)
        if number is not None:
            found.setdefault(number, []).append(one)
    return [
        {"kind": "interviews", "application_id": number, "interviews": listed}
        for number, listed in found.items()
    ]


def _candidates(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Only the deleted ones: a living person comes with the application."""
    return [
        {"kind": "candidate", "candidate": one}
        for one in rows
        if one.get("remote_was_deleted") is True
    ]


_FACTS = {"applications": _applications, "interviews": _interviews, "candidates": _candidates}


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Facts of `look_up` and `page` in canonical events."""
    if facts.get("kind") == "interviews":
        return merge.interviews_reading(
            c.ident(facts.get("application_id"), "application_id"),
            c.rows(facts.get("interviews"), "interviews"),
            incoming, connection, provider_event,
        )  # fmt: skip
    if facts.get("kind") == "candidate":
        told = c.mapping(facts.get("candidate"), "candidate")
        return merge.deletion_reading(told, incoming, connection, provider_event)
    told = c.mapping(facts.get("application"), "application")
    if isinstance(told.get("candidate"), str):
        raise Unreadable("candidate_not_expanded")
    return merge.application_reading(told, incoming, connection, provider_event)


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """The reject reasons, and the stages for the one that means hired."""
    kept = {"include_deleted_data": "true"}
    reasons = await _all(api, "reject-reasons", kept)
    stages = await _all(api, "job-interview-stages", kept)
    return [
        *_words("reason", reasons, suggested_reason),
        *_words("status", stages, suggested_status),
    ]


def _words(kind: Any, rows: list[dict[str, Any]], suggested: Any) -> list[Word]:
    """One for each row that says which it is."""
    told = [
        (number, c.label(one.get("name")) or number)
        for one in rows
        if (number := c.label(one.get("id")))
    ]
    return [Word(kind, number, text, suggested(text)) for number, text in told]


async def write_back(api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
    """A note under the tag as its subject: Merge can write tags in few of the systems behind it."""
    user = connection.settings.get("remote_user_id")
    if not user or told.candidate_external_id is None:
        raise VendorRefused("setting_missing" if not user else "candidate_unknown")
    note = {
        "candidate": told.candidate_external_id,
        "activity_type": "NOTE",
        "subject": told.tag,
        "body": told.note,
        "visibility": "PUBLIC",
    }
    await api.send("POST", "activities", json={"model": note, "remote_user_id": str(user)})


async def _all(api: VendorApi, path: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every page of a list."""
    found: list[dict[str, Any]] = []
    then: str | None = None
    while True:
        answer = await api.get(path, {**params, "page_size": _PAGE_SIZE, "cursor": then})
        rows, then = _page(answer.data)
        found += rows
        if then is None:
            return found


def _page(data: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of a page and the cursor of the next one."""
    told = data if isinstance(data, dict) else {}
    rows, then = told.get("results"), told.get("next")
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise VendorDown("api_answer_unreadable")
    return rows, then if isinstance(then, str) and then else None
