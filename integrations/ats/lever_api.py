"""Lever's API (v1): what an opportunity, its interviews and its posting really are.

`settings.api_key` is an API key (Basic, as user name) that may read opportunities, postings,
interviews and archive reasons, and write notes and tags. `settings.include_confidential` true: the
key was made with access to confidential data, which lists then include. `settings.perform_as`: the
user id in whose name notes and tags are written. Sandbox: `settings.api_base`.

An application is an opportunity, a person is a contact. Lever does not type its archive reasons
(but for `hired`): the tenant's reason map says who ended it.
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
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
from integrations.ats.lever import PROVIDER, delivery_id
from integrations.ats.wording import suggested_reason

API_BASE = "https://api.lever.co/v1"
PER_SECOND = 10
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_EXPAND = ["applications", "stage", "contact"]
_PAGE = 100


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """Basic authentication with the key as user name and no password."""
    api_key = connection.settings.get("api_key")
    if not isinstance(api_key, str) or not api_key:
        raise VendorRefused("setting_missing")
    basic = base64.b64encode(f"{api_key}:".encode()).decode()
    api.headers["authorization"] = f"Basic {basic}"


# ---- asking ---------------------------------------------------------------------------------


async def look_up(
    api: VendorApi, connection: ConnectionView, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Read an application, its interviews, or whether it is gone."""
    if about["kind"] == "deletion":
        return await _gone(api, connection, about)
    opportunity = await _opportunity(api, about["application_id"])
    asked = _Asked(api, connection)
    if about["kind"] == "interviews":
        return await asked.interviews(opportunity, about)
    return await asked.application(opportunity, about)


async def _opportunity(api: VendorApi, number: Any) -> Any:
    """One opportunity. Raises `VendorMissing`."""
    answer = await api.get(f"/opportunities/{c.path_part(number)}", {"expand": _EXPAND})
    return _data(answer.data)


async def _gone(
    api: VendorApi, connection: ConnectionView, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Whether the opportunity is gone, and with it the last one of the person named.

    The body that names the person is not signed: somebody who still has opportunities is there.
    """
    facts: dict[str, Any] = {"kind": "deletion", "about": dict(about)}
    facts |= {"opportunity": None, "others": []}
    try:
        facts["opportunity"] = await _opportunity(api, about["application_id"])
    except VendorMissing:
        if about.get("candidate_id") is not None:
            params = {"contact_id": about["candidate_id"], "limit": _PAGE, **_scope(connection)}
            found = await api.get_or_none("/opportunities", params)
            facts["others"] = [one for one in _listed(found) if _is_another(one, about)]
    return facts


def _is_another(opportunity: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
    """Whether it is another one of the same person, as far as it says whose it is.

    A list may still show the one that is gone.
    """
    contact = opportunity.get("contact")
    owner = contact.get("id") if isinstance(contact, dict) else contact
    gone = opportunity.get("id") == about["application_id"]
    return not gone and owner in {None, about["candidate_id"]}


class _Asked:
    """What one piece of work has read; reasons and postings are the same for many."""

    def __init__(self, api: VendorApi, connection: ConnectionView) -> None:
        self.api, self.connection = api, connection
        self._reasons: dict[str, Any] | None = None
        self._postings: dict[str, Any] = {}

    async def application(self, opportunity: Any, about: Mapping[str, Any]) -> dict[str, Any]:
        """An opportunity with the reason it ended for and its posting."""
        before = about.get("reason_before")
        return {
            "kind": "application",
            "about": dict(about),
            "opportunity": opportunity,
            "reason": await self._reason(_reason_id(opportunity)),
            "reason_before": await self._reason(before),
            "posting": await self._posting(opportunity),
        }

    async def interviews(self, opportunity: Any, about: Mapping[str, Any]) -> dict[str, Any]:
        """All interviews of an opportunity."""
        path = f"/opportunities/{c.path_part(about['application_id'])}/interviews"
        return {
            "kind": "interviews",
            "about": dict(about),
            "opportunity": opportunity,
            "interviews": await _all(self.api, path),
            "posting": await self._posting(opportunity),
        }

    async def _reason(self, number: Any) -> Any:
        if number is None:
            return None
        if self._reasons is None:
            # Without the list we only miss that a reason may mean "hired": the map knows the rest.
            listed = []
            with suppress(VendorMissing, VendorRefused):
                listed = await _all(self.api, "/archive_reasons")
            self._reasons = {str(one.get("id")): one for one in listed}
        return self._reasons.get(str(number))

    async def _posting(self, opportunity: Any) -> Any:
        number = (_first_application(opportunity) or {}).get("posting")
        if not isinstance(number, str) or not number:
            return None
        if number not in self._postings:
            found = await self.api.get_extra(f"/postings/{c.path_part(number)}")
            self._postings[number] = None if found is None else _data(found)
        return self._postings[number]


def _reason_id(opportunity: Any) -> Any:
    archived = opportunity.get("archived") if isinstance(opportunity, dict) else None
    return archived.get("reason") if isinstance(archived, dict) else None


def _first_application(opportunity: Any) -> dict[str, Any] | None:
    listed = opportunity.get("applications") if isinstance(opportunity, dict) else None
    first = listed[0] if isinstance(listed, list) and listed else None
    return first if isinstance(first, dict) else None


async def _all(api: VendorApi, path: str) -> list[dict[str, Any]]:
    """A whole list, page by page."""
    found: list[dict[str, Any]] = []
    offset: str | None = None
    while True:
        body = (await api.get(path, {"limit": _PAGE, "offset": offset})).data
        found += _listed(body)
        offset = _next(body)
        if offset is None:
            return found


def _data(body: Any) -> Any:
    return body.get("data") if isinstance(body, dict) else None


def _listed(body: Any) -> list[dict[str, Any]]:
    data = _data(body)
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def _next(body: Any) -> str | None:
    """The opaque offset of the next page."""
    if not isinstance(body, dict) or not body.get("hasNext"):
        return None
    offset = body.get("next")
    return offset if isinstance(offset, str) and offset else None


def _scope(connection: ConnectionView) -> dict[str, str]:
    """Lists leave confidential opportunities out unless asked, and a key may not ask."""
    asked = connection.settings.get("include_confidential") is True
    return {"confidentiality": "all"} if asked else {}


# ---- polling --------------------------------------------------------------------------------


async def page(
    api: VendorApi, connection: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """First what was archived in the window, then what changed and goes on, with its interviews."""
    part = (cursor or {}).get("part", "ended")
    since = int(window.since.timestamp() * 1000)
    filters: dict[str, Any] = {"archived_at_start": since}
    if part == "active":
        filters = {"updated_at_start": since, "archived": "false"}
    paging = {"limit": _PAGE, "offset": (cursor or {}).get("offset")}
    params = {**filters, "expand": _EXPAND, **paging, **_scope(connection)}
    body = (await api.get("/opportunities", params)).data
    asked = _Asked(api, connection)
    facts = []
    for one in _listed(body):
        about = {"application_id": str(one.get("id"))}
        facts.append(await asked.application(one, {"kind": "application", **about}))
        if part == "active":
            with suppress(VendorMissing):  # deleted since the list was made
                facts.append(await asked.interviews(one, {"kind": "interviews", **about}))
    return Page(facts, _step(part, _next(body)))


def _step(part: str, offset: str | None) -> dict[str, Any] | None:
    if offset is not None:
        return {"part": part, "offset": offset}
    return {"part": "active", "offset": None} if part == "ended" else None


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Translate what the API said. What it does not confirm makes no event."""
    about = c.mapping(facts.get("about"), "about")
    if facts.get("kind") == "deletion":
        return _Maker(incoming, connection, provider_event).deletion(facts, about)
    told = _Told(facts, incoming.received_at)
    if told.id != about.get("application_id"):
        raise Unreadable("opportunity_other")
    maker = _Maker(incoming, connection, provider_event)
    if facts.get("kind") == "interviews":
        return maker.interviews(told, facts, about)
    if told.erased:
        return maker.erased(told)
    return maker.ended(told, about) if told.archived else maker.goes_on(told, about)


class _Told:
    """An opportunity as the API gives it."""

    def __init__(self, facts: Mapping[str, Any], now: datetime) -> None:
        self.body = c.mapping(facts.get("opportunity"), "opportunity")
        self.now = now
        self.id = c.ident(self.body.get("id"), "opportunity_id")
        self.archived = c.mapping_or_none(self.body.get("archived"), "archived")
        self.updated_at = c.millis_or_none(self.body.get("updatedAt"), "updated_at")
        self.origin = c.text(self.body.get("origin"), "origin")
        self.reason = c.mapping_or_none(facts.get("reason"), "archive_reason") or {}
        self.reason_before = c.mapping_or_none(facts.get("reason_before"), "archive_reason") or {}
        self.posting = c.mapping_or_none(facts.get("posting"), "posting")
        contact = self.body.get("contact")
        self.contact = contact if isinstance(contact, dict) else {"id": contact}

    @property
    def erased(self) -> bool:
        """Whether the person was anonymised; of one opportunity among several, only that one."""
        told = self.contact if "isAnonymized" in self.contact else self.body
        return c.flag(told.get("isAnonymized"), "is_anonymized")

    @property
    def nameless(self) -> bool:
        """Whether this opportunity has nobody's name left in it."""
        return c.flag(self.body.get("isAnonymized"), "is_anonymized")

    @property
    def candidate_id(self) -> str:
        """The contact; an opportunity without one stands for its person."""
        return c.ident_or_none(self.contact.get("id"), "contact_id") or self.id

    @property
    def prospect(self) -> bool:
        """Somebody found by a recruiter who never applied."""
        listed = self.body.get("applications")
        if listed is not None and not isinstance(listed, list):
            raise Unreadable("applications_malformed")
        return self.origin == "sourced" and not listed

    def application(self, kind: str) -> dict[str, Any]:
        """The canonical application."""
        urls, stage = self.body.get("urls"), self.body.get("stage")
        sources = c.tags(self.body.get("sources"))
        if not isinstance(stage, dict):
            stage = {"id": stage}
        known = {} if kind in c.STATUS or self.archived else {"status": "active"}
        return c.application(
            kind,
            self.id,
            url=c.label(urls.get("show")) if isinstance(urls, dict) else None,
            applied_at=c.written(c.millis_or_none(self.body.get("createdAt"), "created_at")),
            stage=c.named(stage.get("id"), stage.get("text")),
            source=sources[0] if sources else None,
            **known,
        )

    def candidate(self) -> dict[str, Any]:
        """The canonical person."""
        urls = self.body.get("urls")
        return c.person(
            self.candidate_id,
            display_name=c.text(self.body.get("name"), "name"),
            emails=_emails(self.body.get("emails")),
            phones=_phones(self.body.get("phones")),
            url=c.label(urls.get("show")) if isinstance(urls, dict) else None,
            tags=c.tags(self.body.get("tags")),
            is_private=_is_confidential(self.body),
            is_internal=self.origin == "internal",
            can_email=self._can_email(),
            is_anonymized=self.nameless,
        )

    def _can_email(self) -> bool | None:
        """The person's consent to be contacted: not given, or run out, forbids it."""
        protection = c.mapping_or_none(self.body.get("dataProtection"), "data_protection") or {}
        contact = c.mapping_or_none(protection.get("contact"), "data_protection") or {}
        allowed = c.flag_or_none(contact.get("allowed"), "contact_allowed")
        until = c.millis_or_none(contact.get("expiresAt"), "contact_expires_at")
        return False if allowed and until is not None and until <= self.now else allowed

    def job(self) -> dict[str, Any] | None:
        """The posting of the first application."""
        posting = self.posting or {}
        application = _first_application(self.body) or {}
        confidential = _is_confidential(self.body) or _is_confidential(posting)
        number = c.ident_or_none(posting.get("id") or application.get("posting"), "posting_id")
        if number is None and not confidential:
            return None
        placed = posting.get("categories")
        placed = placed if isinstance(placed, dict) else {}
        codes = c.tags(posting.get("requisitionCodes"))
        return c.job(
            number,
            title=c.label(posting.get("text")),
            department=c.label(placed.get("department")) or c.label(placed.get("team")),
            location=c.label(placed.get("location")),
            requisition_id=codes[0] if codes else c.label(posting.get("reqCode")),
            confidential=confidential,
        )


class _Maker:
    """Makes events of what was told, for one connection and one delivery."""

    def __init__(self, incoming: Incoming, connection: ConnectionView, event: str) -> None:
        self.incoming, self.connection, self.event = incoming, connection, event

    def ended(self, told: _Told, about: Mapping[str, Any]) -> Reading:
        """Archived: hired, or ended by whom the tenant's map says."""
        archived = told.archived or {}
        at = c.millis(archived.get("archivedAt"), "archived_at")
        reason_id = c.ident_or_none(archived.get("reason"), "archive_reason")
        initiator = c.mapped_initiator(reason_id, self.connection) or "unknown"
        if _is_hire(told.reason):
            initiator = "hired"
        kind = c.ended_kind(initiator)
        rejection = c.rejection(
            initiator,
            at,
            reason_id=reason_id,
            reason_text=c.label(told.reason.get("text")),
            reason_type_raw=c.label(told.reason.get("type")),
        )
        made = self._made(told, kind, at, at, rejection=rejection if kind in c.ENDED else None)
        return Reading(self.event, [made], max(self._as_of(told, about), at))

    def goes_on(self, told: _Told, about: Mapping[str, Any]) -> Reading:
        """Active: taken back if it had ended, or if it was a hire.

        Lever has no time of the return but that of the latest change.
        """
        at = self._as_of(told, about)
        made = self._made(told, "application.rejection_reverted", at, at)
        explicit = about.get("reopened") is True and not _is_hire(told.reason_before)
        asides = [Aside("unhired", told.id)]
        return Reading(self.event, [made], at, asides=asides, states=not explicit)

    def interviews(
        self, told: _Told, facts: Mapping[str, Any], about: Mapping[str, Any]
    ) -> Reading:
        """Each interview as it stands; one named and not there any more was removed."""
        found = [_Interview(one) for one in c.rows(facts.get("interviews"), "interviews")]
        named = c.ident_or_none(about.get("interview_id"), "interview_id")
        off = [one.id for one in found if one.cancelled]
        if named is not None and named not in {one.id for one in found}:
            off.append(named)
        events = [
            self._interview(told, one, one.starts_at)
            for one in found
            if not one.cancelled and one.starts_at is not None
        ]
        asides = [Aside("interview_off", one, told.id) for one in off]
        return Reading(self.event, events, self.incoming.received_at, asides=asides)

    def _interview(self, told: _Told, one: "_Interview", starts_at: datetime) -> dict[str, Any]:
        over_at = one.ends_at or starts_at
        held = over_at < self.incoming.received_at
        status = "completed" if held else "scheduled"
        planned_at = one.created_at or self.incoming.received_at
        return self._made(
            told, f"interview.{status}", starts_at, over_at if held else planned_at,
            interview=c.interview(one.id, starts_at, one.ends_at, status=status),
        )  # fmt: skip

    def deletion(self, facts: Mapping[str, Any], about: Mapping[str, Any]) -> Reading:
        """Believed when neither the opportunity nor another one of the same person is there."""
        if facts.get("opportunity") is not None or facts.get("others"):
            return Reading(self.event)
        opportunity_id = c.ident(about.get("application_id"), "opportunity_id")
        contact_id = c.ident_or_none(about.get("candidate_id"), "contact_id")
        candidate = c.person(contact_id or opportunity_id)
        return self._removed(candidate, "deleted", [opportunity_id])

    def erased(self, told: _Told) -> Reading:
        """Lever anonymised the person."""
        candidate = c.person(told.candidate_id, is_anonymized=True)
        return self._removed(candidate, "anonymized", [told.id])

    def _removed(self, candidate: dict[str, Any], kind: str, gone: list[str]) -> Reading:
        made = c.about_person(
            PROVIDER, self.connection, self.incoming, candidate, kind="candidate.deleted",
            effect=kind, provider_event=self.event, provider_event_id=delivery_id(self.incoming),
            deletion={"kind": kind, "application_external_ids": gone},
        )  # fmt: skip
        return Reading(self.event, [made], self.incoming.received_at)

    def _as_of(self, told: _Told, about: Mapping[str, Any]) -> datetime:
        triggered_at = c.moment_or_none(about.get("triggered_at"), "triggered_at")
        return told.updated_at or triggered_at or self.incoming.received_at

    def _made(
        self, told: _Told, kind: str, effect_at: datetime, occurred_at: datetime, **more: Any
    ) -> dict[str, Any]:
        made = c.event(
            PROVIDER,
            self.connection,
            self.incoming,
            kind=kind,
            provider_event=self.event,
            provider_event_id=delivery_id(self.incoming),
            subject=told.id,
            effect_at=effect_at,
            occurred_at=occurred_at,
            application=told.application(kind),
            candidate=told.candidate(),
            job=told.job(),
            **more,
        )
        made["holds"] = c.holds(made, self.connection, self.incoming, prospect=told.prospect)
        return made


class _Interview:
    """An interview as the API gives it: a start, a length in minutes, perhaps called off."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.id = c.ident(body.get("id"), "interview_id")
        self.cancelled = c.millis_or_none(body.get("canceledAt"), "canceled_at") is not None
        self.created_at = c.millis_or_none(body.get("createdAt"), "created_at")
        self.starts_at = c.millis_or_none(body.get("date"), "interview_date")
        self.ends_at = self._ends_at(body.get("duration"))

    def _ends_at(self, minutes: Any) -> datetime | None:
        if minutes is None or self.starts_at is None:
            return None
        if isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes < 0:
            raise Unreadable("interview_duration_malformed")
        try:
            return self.starts_at + timedelta(minutes=minutes)
        except (OverflowError, ValueError):
            raise Unreadable("interview_duration_malformed") from None


def _is_hire(reason: Mapping[str, Any]) -> bool:
    return reason.get("type") == "hired"


def _is_confidential(body: Mapping[str, Any]) -> bool:
    """Only the plain opposite is taken for one."""
    return c.text(body.get("confidentiality"), "confidentiality") not in {None, "non-confidential"}


def _emails(found: Any) -> list[dict[str, Any]]:
    """Plain addresses; the first is the one to use."""
    if found is not None and not isinstance(found, list):
        raise Unreadable("emails_malformed")
    return c.emails([
        {"value": one, "primary": place == 0} if isinstance(one, str) else one
        for place, one in enumerate(found or [])
    ])  # fmt: skip


def _phones(found: Any) -> list[dict[str, Any]]:
    listed = found if isinstance(found, list) else []
    return c.phones([{"value": one} if isinstance(one, str) else one for one in listed])


# ---- the tenant's words, and ours for them --------------------------------------------------


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """The archive reasons, those no longer used too: old applications name them."""
    return [
        Word("reason", str(one["id"]), text, "hired" if _is_hire(one) else suggested_reason(text))
        for one in await _all(api, "/archive_reasons")
        if isinstance(one.get("id"), str) and (text := c.label(one.get("text")))
    ]


async def write_back(api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
    """The tag first: setting it twice changes nothing, a second note would be a second note."""
    path = f"/opportunities/{c.path_part(told.application_external_id)}"
    user = connection.settings.get("perform_as")
    params = {"perform_as": user} if isinstance(user, str) and user else None
    await api.send("POST", f"{path}/addTags", json={"tags": [told.tag]}, params=params)
    await api.send("POST", f"{path}/notes", json={"value": told.note}, params=params)
