"""Teamtailor's API: JSON:API over HTTPS, at most 30 records a page.

Settings: `api_key` is a key with the scope "Admin" and reading rights (writing rights too where
notes are to be left). `api_base` is `https://api.na.teamtailor.com` for accounts kept in the US
(APAC: that host). `note_user_id` is the user whose name a note is to bear, where the account asks
for one.

The API has no times of interviews that we could rely on (its `interviews` are the interviewers'
notes), so nothing about interviews is read here.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from domain.ports import (
    Answer,
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
from integrations.ats.teamtailor import PROVIDER, attribute, deleted, not_before_told
from integrations.ats.wording import suggested_reason

API_BASE = "https://api.teamtailor.com/v1"
PER_SECOND = 5.0
POLL_EVERY = timedelta(minutes=5)
WRITES_BACK = True

_VERSION = "20240404"
_JSON_API = "application/vnd.api+json"
_INCLUDE = "candidate,job,stage,reject-reason"
_PER_PAGE = 30
_MOST_PAGES = 100
_HIRED = "hired"
_BY = {True: "company", False: "candidate"}
_APPLICATION = (
    "created-at", "updated-at", "rejected-at", "changed-stage-at", "sourced", "referring-site",
    "transparent-recruiting-visible-at",
)  # fmt: skip
_CANDIDATE = (
    "first-name", "last-name", "email", "phone", "internal", "sourced", "tags", "restricted",
    "restricted-at",
)  # fmt: skip
_OTHERS = ("title", "name", "city", "reason", "rejected-by-company", "legacy-stage-type-name")


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """A key in the vendor's own scheme, and the version our reading is made for."""
    key = connection.settings.get("api_key")
    if not isinstance(key, str) or not key:
        raise VendorRefused("setting_missing")
    api.headers.update(
        {
            "authorization": f"Token token={key}",
            "x-api-version": _VERSION,
            "accept": _JSON_API,
        }
    )


# ---- asking ---------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """An application with its person, job, stage and reason; or whether a person is still there."""
    kind = about.get("kind")
    if kind == "deletion":
        there = await api.get_or_none(f"/candidates/{about['candidate_id']}")
        return {"kind": kind, "about": dict(about), "there": there is not None}
    if kind == "application":
        return await _application(api, about)
    return {"kind": "interviews", "about": dict(about)}


async def _application(api: VendorApi, about: Mapping[str, Any]) -> dict[str, Any]:
    path, wanted = f"/job-applications/{about.get('application_id')}", None
    if "application_id" not in about:
        path, wanted = f"/candidates/{about['candidate_id']}/job-applications", about["job_id"]
    try:
        told = _facts(_document(await api.get(path, {"include": _INCLUDE})))
    except VendorMissing:
        told = []
    if wanted is not None:
        told = [one for one in told if str(_object(one["job"]).get("id")) == wanted]
    await _learn_places(api, told)
    gone: dict[str, Any] = {"kind": "application", "application": None}
    return {**(told[0] if told else gone), "about": dict(about)}


async def page(
    api: VendorApi, _: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """Applications changed since then, ended and going on alike, thirty at a time."""
    number = (cursor or {}).get("page", 1)
    asked = {
        "filter[updated-at][from]": c.written(window.since),
        "include": _INCLUDE,
        "page[size]": _PER_PAGE,
        "page[number]": number,
    }
    document = _document(await api.get("/job-applications", asked))
    told = _facts(document)
    await _learn_places(api, told)
    return Page(told, {"page": number + 1} if told and _goes_on(document) else None)


def _goes_on(document: Mapping[str, Any]) -> bool:
    return bool(_object(document.get("links")).get("next"))


async def _learn_places(api: VendorApi, told: Iterable[dict[str, Any]]) -> None:
    """Department and place of the jobs somebody was turned away from: one call a job."""
    known: dict[str, dict[str, Any]] = {}
    for facts in told:
        number = str(_object(facts["job"]).get("id") or "")
        ended = facts["application"]["attributes"].get("rejected-at")
        if not ended or not number.isalnum():
            continue
        if number not in known:
            known[number] = await _places(api, number)
        facts["places"] = known[number]


async def _places(api: VendorApi, job_id: str) -> dict[str, Any]:
    try:
        answer = await api.get(f"/jobs/{job_id}", {"include": "department,locations"})
    except (VendorMissing, VendorRefused):
        # An extra: without it, or the right to read it, the event is complete enough.
        return {}
    included = _included(_document(answer))
    return {
        name: next((one for one in included if one["type"] == kind), None)
        for name, kind in (("department", "departments"), ("location", "locations"))
    }


# ---- JSON:API -------------------------------------------------------------------------------
# Lenient: a record that cannot be understood must not keep the others of its page waiting.


def _facts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One for each application of a document, with the records it points to.

    Only what is needed is kept: links to files among the rest would be stale in half a minute.
    """
    data = document.get("data")
    included = {(one["type"], str(one["id"])): one for one in _included(document)}
    return [_one(one, included) for one in _listed(data if isinstance(data, list) else [data])]


def _one(
    resource: dict[str, Any], included: Mapping[tuple[str, str], dict[str, Any]]
) -> dict[str, Any]:
    relations = _object(resource.get("relationships"))
    return {
        "kind": "application",
        "application": _kept(resource, _APPLICATION),
        **{
            name.replace("-", "_"): _related(relations.get(name), included)
            for name in ("candidate", "job", "stage", "reject-reason")
        },
    }


def _document(answer: Answer) -> dict[str, Any]:
    if not isinstance(answer.data, dict):
        raise VendorDown("api_answer_unreadable")
    return answer.data


def _included(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        _kept(one, _CANDIDATE if one.get("type") == "candidates" else _OTHERS)
        for one in _listed(document.get("included"))
    ]


def _related(
    relation: Any, included: Mapping[tuple[str, str], dict[str, Any]]
) -> dict[str, Any] | None:
    """The record a relation points to; its id alone where the answer has no more of it."""
    named = _object(relation).get("data")
    if not isinstance(named, dict):
        return None
    bare = _kept(named, ())
    found = included.get((bare["type"], str(bare["id"])))
    return bare if found is None else found


def _kept(resource: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    told = _object(resource.get("attributes"))
    return {
        "type": c.label(resource.get("type")) or "",
        "id": resource.get("id"),
        "attributes": {
            name: value for name in names if (value := attribute(told, name)) is not None
        },
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """What became of an application: rejected, withdrawn, hired, or going on."""
    kind = facts.get("kind")
    if kind == "deletion":
        return _deletion(facts, incoming, connection, provider_event)
    if kind != "application" or facts.get("application") is None:
        return Reading(provider_event)
    told = _Told(facts, incoming)
    if told.rejected_at is not None:
        return _ended(told, told.rejected_at, incoming, connection, provider_event)
    kind, effect_at = "application.rejection_reverted", told.updated_at
    if told.is_hired:
        kind, effect_at = "application.hired", told.moved_at or told.updated_at
    made = _event(
        told, kind, incoming, connection, provider_event=provider_event, effect_at=effect_at
    )
    return Reading(provider_event, [made], told.updated_at, states=True)


def _deletion(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Believed only when the API no longer knows the person: the delivery was a mere hint."""
    about = c.mapping(facts.get("about"), "about")
    candidate_id = c.ident(about.get("candidate_id"), "candidate_id")
    if facts.get("there") is not False:
        return Reading(provider_event)
    made = deleted(candidate_id, incoming, connection, provider_event)
    return Reading(provider_event, [made], incoming.received_at)


def _ended(
    told: "_Told",
    rejected_at: datetime,
    incoming: Incoming,
    connection: ConnectionView,
    provider_event: str,
) -> Reading:
    reason = told.rejection(rejected_at, incoming, connection)
    kind = c.ended_kind(reason["initiated_by"])
    made = _event(
        told, kind, incoming, connection, provider_event=provider_event, effect_at=rejected_at,
        rejection=None if kind == "application.hired" else reason,
    )  # fmt: skip
    return Reading(provider_event, [made], max(told.updated_at, rejected_at))


def _event(
    told: "_Told",
    kind: str,
    incoming: Incoming,
    connection: ConnectionView,
    *,
    provider_event: str,
    effect_at: datetime,
    rejection: dict[str, Any] | None = None,
) -> dict[str, Any]:
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind=kind,
        provider_event=provider_event,
        provider_event_id=None,
        subject=told.id,
        effect_at=effect_at,
        occurred_at=effect_at,
        application=told.application(kind),
        candidate=told.candidate(),
        job=told.job(),
        rejection=rejection,
    )
    made["holds"] = c.holds(made, connection, incoming, prospect=told.prospect)
    return made


class _Told:
    """The facts about one application, field by field."""

    def __init__(self, facts: Mapping[str, Any], incoming: Incoming) -> None:
        self._facts = facts
        self.id = c.ident(c.mapping(facts["application"], "application").get("id"), "id")
        self._application = self._attributes("application")
        self._candidate = self._attributes("candidate")
        updated_at = c.moment_or_none(self._application.get("updated-at"), "updated_at")
        # Without it, things stand so at least since we heard of them.
        self.updated_at = updated_at or incoming.received_at
        self.rejected_at = c.moment_or_none(self._application.get("rejected-at"), "rejected_at")
        self.moved_at = c.moment_or_none(self._application.get("changed-stage-at"), "moved_at")
        self.prospect = any(
            [
                c.flag(self._application.get("sourced"), "sourced"),
                c.flag(self._candidate.get("sourced"), "sourced"),
            ]
        )

    def _attributes(self, name: str) -> dict[str, Any]:
        found = c.mapping_or_none(self._facts.get(name), name) or {}
        return c.mapping_or_none(found.get("attributes"), name) or {}

    def _id(self, name: str) -> str | None:
        found = c.mapping_or_none(self._facts.get(name), name) or {}
        return c.ident_or_none(found.get("id"), f"{name}_id")

    @property
    def is_hired(self) -> bool:
        """The stage is of the kind "Hired", whatever the tenant calls it."""
        kind = c.label(self._attributes("stage").get("legacy-stage-type-name"))
        return kind is not None and kind.casefold() == _HIRED

    def application(self, kind: str) -> dict[str, Any]:
        applied_at = c.moment_or_none(self._application.get("created-at"), "created_at")
        return c.application(
            kind,
            self.id,
            applied_at=c.written(applied_at),
            stage=c.named(self._id("stage"), self._attributes("stage").get("name")),
            source=c.label(self._application.get("referring-site")),
        )

    def candidate(self) -> dict[str, Any]:
        told = self._candidate
        number = self._id("candidate")
        if number is None or not told:
            # Without the person there is nobody to hold anything for, and nobody to tell.
            raise Unreadable("candidate_missing")
        restricted = c.flag(told.get("restricted"), "restricted")
        return c.person(
            number,
            given_name=c.text(told.get("first-name"), "first_name"),
            family_name=c.text(told.get("last-name"), "last_name"),
            emails=c.emails([{"value": c.text(told.get("email"), "email")}]),
            phones=c.phones([{"value": told.get("phone")}]),
            tags=c.tags(told.get("tags")),
            is_private=restricted or told.get("restricted-at") is not None,
            is_internal=c.flag(told.get("internal"), "internal"),
        )

    def job(self) -> dict[str, Any] | None:
        number = self._id("job")
        if number is None:
            return None
        places = self._facts.get("places")
        places = places if isinstance(places, dict) else {}
        return c.job(
            number,
            title=c.label(self._attributes("job").get("title")),
            department=_place(places.get("department")),
            location=_place(places.get("location")),
        )

    def rejection(
        self, rejected_at: datetime, incoming: Incoming, connection: ConnectionView
    ) -> dict[str, Any]:
        """Who ended it: the reason's own flag, else the tenant's map, else nobody knows."""
        reason, reason_id = self._attributes("reject_reason"), self._id("reject_reason")
        by_company = c.flag_or_none(reason.get("rejected-by-company"), "rejected_by_company")
        typed = None if by_company is None else _BY[by_company]
        return c.rejection(
            typed or c.mapped_initiator(reason_id, connection) or "unknown",
            rejected_at,
            reason_id=reason_id,
            reason_text=c.text(reason.get("reason"), "reason_text"),
            reason_type_raw=typed and f"rejected-by-{typed}",
            not_before=c.written(self._not_before(incoming)),
        )

    def _not_before(self, incoming: Incoming) -> datetime | None:
        """The earliest moment the candidate may be told, as the API or the delivery says it."""
        name = "transparent-recruiting-visible-at"
        told = (self._application.get(name), not_before_told(incoming))
        known = [found for one in told if (found := c.moment_or_none(one, "not_before"))]
        return max(known, default=None)


def _place(found: Any) -> str | None:
    told = found.get("attributes") if isinstance(found, dict) else None
    return (
        c.label(told.get("name")) or c.label(told.get("city")) if isinstance(told, dict) else None
    )


# ---- words, notes ---------------------------------------------------------------------------


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """The reasons to reject. Most say themselves whose decision they stand for."""
    found: list[Word] = []
    for number in range(1, _MOST_PAGES):
        asked = {"page[size]": _PER_PAGE, "page[number]": number}
        document = _document(await api.get("/reject-reasons", asked))
        found += [_word(one) for one in _listed(document.get("data")) if one.get("id")]
        if not _goes_on(document):
            break
    return found


def _word(resource: dict[str, Any]) -> Word:
    told = _object(resource.get("attributes"))
    text = c.label(attribute(told, "reason")) or ""
    by_company = attribute(told, "rejected-by-company")
    if isinstance(by_company, bool):
        return Word("reason", str(resource["id"]), text, _BY[by_company])
    return Word("reason", str(resource["id"]), text, suggested_reason(text))


async def write_back(api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
    """A note at the candidate, and a tag beside the tags that are there."""
    candidate_id = told.candidate_external_id
    if candidate_id is None:
        candidate_id = await _person_of(api, told.application_external_id)
    await _tag(api, candidate_id, told.tag)
    note = {
        "type": "notes",
        "attributes": {"note": told.note},
        "relationships": _of_note(candidate_id, connection),
    }
    await _send(api, "POST", "/notes", note)


async def _tag(api: VendorApi, candidate_id: str, tag: str) -> None:
    path = f"/candidates/{candidate_id}"
    person = _object(_document(await api.get(path)).get("data"))
    tags = c.tags(_object(person.get("attributes")).get("tags"))
    if tag not in tags:
        told = {"tags": [*tags, tag]}
        changed = {"id": candidate_id, "type": "candidates", "attributes": told}
        await _send(api, "PATCH", path, changed)


async def _person_of(api: VendorApi, application_id: str) -> str:
    answer = await api.get(f"/job-applications/{application_id}", {"include": "candidate"})
    for facts in _facts(_document(answer)):
        number = _object(facts["candidate"]).get("id")
        if number:
            return str(number)
    raise VendorMissing


def _of_note(candidate_id: str, connection: ConnectionView) -> dict[str, Any]:
    about = {"candidate": {"data": {"type": "candidates", "id": candidate_id}}}
    user = connection.settings.get("note_user_id")
    if user:
        about["user"] = {"data": {"type": "users", "id": str(user)}}
    return about


async def _send(api: VendorApi, method: str, path: str, data: dict[str, Any]) -> None:
    await api.send(method, path, json={"data": data}, headers={"content-type": _JSON_API})
