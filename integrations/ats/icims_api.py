"""iCIMS's API: applicant workflows, their people and jobs. Ten thousand calls a day for everything.

So it is polled by the hour, people and jobs are read for ends alone, and the nightly look asks for
the statuses that end something. A field that is missing usually means a missing permission. Times
without a zone are UTC by the vendor's word. The search gives ids, a thousand at a time.

`settings.api_key` is `<user>:<password>` of an integration user, `settings.customer_id` the
customer's number. Outside the United States `settings.api_base` is `https://api-eu.icims.com` or
`https://api-ca.icims.com`. No call reads interviews or writes a note for certain: none is made.
"""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
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
from integrations.ats import icims
from integrations.ats.wording import suggested_status

PROVIDER = icims.PROVIDER
API_BASE = "https://api.icims.com"
PER_SECOND = 5.0
POLL_EVERY = timedelta(hours=1)
WRITES_BACK = False

_WORKFLOW_FIELDS = "status,baseprofile,associatedprofile,submittalstatuslog,updateddate,createddate"
_PERSON_FIELDS = "firstname,lastname,email,phones"
_JOB_FIELDS = "jobtitle,jobnumber,positioncategory,joblocation"
_MOST_FOUND = 1000
_AT_ONCE = 10
"""Workflows read in one step of a poll."""
_WORDS_FROM = 25
"""Workflows whose history is read for the statuses in use."""
_ENDS = {"rejected": "company", "withdrawn": "candidate"}
_NEEDS_PERSON = {*_ENDS, "hired"}
_PLAIN_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{1,2}):(\d{2}) ([AP])M", re.ASCII)
_HALF_DAY = 12


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """Basic, with the integration user's name and password."""
    key = str(connection.settings.get("api_key") or "")
    if ":" not in key.strip(":"):
        raise VendorRefused("setting_missing")
    api.headers["authorization"] = "Basic " + base64.b64encode(key.encode()).decode()


async def look_up(
    api: VendorApi, connection: ConnectionView, about: Mapping[str, Any]
) -> dict[str, Any]:
    """A workflow as it stands, with person and job where it has ended."""
    if about["kind"] == "interviews":
        return {"kind": "interviews", "application_id": about["application_id"]}
    customer = _customer(connection, about)
    path = f"{customer}/applicantworkflows/{c.path_part(about['application_id'])}"
    workflow = (await api.get(path, {"fields": _WORKFLOW_FIELDS})).data
    return await _facts(api, customer, str(about["application_id"]), workflow, connection)


async def _facts(
    api: VendorApi, customer: str, number: str, workflow: Any, connection: ConnectionView
) -> dict[str, Any]:
    told = workflow if isinstance(workflow, dict) else {}
    found = {
        "kind": "application", "about": {"application_id": number},
        "workflow": workflow, "person": None, "job": None,
    }  # fmt: skip
    if _meaning(told.get("status"), connection) in _NEEDS_PERSON:
        found["person"] = await _read(
            api, f"{customer}/people", told.get("associatedprofile"), _PERSON_FIELDS
        )
        found["job"] = await _read(
            api, f"{customer}/jobs", told.get("baseprofile"), _JOB_FIELDS, extra=True
        )
    return found


async def _read(
    api: VendorApi, path: str, profile: Any, fields: str, *, extra: bool = False
) -> Any:
    """A profile a workflow names; nothing where it names none or the vendor knows none.

    An `extra` we may not read is nothing, too: the workflow itself names the job.
    """
    number = _number(profile)
    if number is None:
        return None
    read = api.get_extra if extra else api.get_or_none
    return await read(f"{path}/{c.path_part(number)}", {"fields": fields})


def _customer(connection: ConnectionView, about: Mapping[str, Any]) -> str:
    number = about.get("customer_id") or connection.settings.get("customer_id")
    if not number:
        raise VendorRefused("setting_missing")
    return f"customers/{c.path_part(str(number))}"


def _number(profile: Any) -> str | None:
    """The id of a profile: `{id, value, profile}`."""
    found = profile.get("id") if isinstance(profile, dict) else profile
    known = isinstance(found, int | str) and not isinstance(found, bool)
    return c.label(str(found)) if known else None


# ---- polling --------------------------------------------------------------------------------


async def page(
    api: VendorApi, connection: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """First the ids of what changed, then the workflows themselves, a few in each step."""
    customer = _customer(connection, {})
    listed = [str(one) for one in (cursor or {}).get("ids", [])]
    after = (cursor or {}).get("after")
    if not listed:
        found = await _search(api, customer, [*_filters(connection, window), *_beyond(after)])
        then = found[-1] if len(found) >= _MOST_FOUND else None
        return Page([], {"ids": found, "after": then} if found else None)
    facts = []
    for number in listed[:_AT_ONCE]:
        path = f"{customer}/applicantworkflows/{c.path_part(number)}"
        workflow = await api.get_or_none(path, {"fields": _WORKFLOW_FIELDS})
        if workflow is not None:
            facts.append(await _facts(api, customer, number, workflow, connection))
    left = listed[_AT_ONCE:]
    return Page(facts, {"ids": left, "after": after} if left or after else None)


def _filters(connection: ConnectionView, window: Window) -> list[dict[str, Any]]:
    since = window.since.astimezone(UTC)
    half = "PM" if since.hour >= _HALF_DAY else "AM"
    written = f"{since:%Y-%m-%d} {since.hour % 12 or 12:02}:{since:%M} {half}"
    changed = {"name": "applicantworkflow.updateddate", "value": [written], "operator": ">="}
    known = connection.settings.get("status_map")
    ends = [
        word for word, meaning in (known.items() if isinstance(known, dict) else ())
        if meaning in _NEEDS_PERSON
    ]  # fmt: skip
    narrow = {"name": "applicantworkflow.status", "value": ends, "operator": "="}
    return [changed, narrow] if window.full and ends else [changed]


def _beyond(after: Any) -> list[dict[str, Any]]:
    """Results come by ascending id: the next thousand lie beyond the last."""
    more = {"name": "applicantworkflow.id", "value": [str(after)], "operator": ">"}
    return [more] if after else []


async def _search(api: VendorApi, customer: str, filters: list[dict[str, Any]]) -> list[str]:
    answer = await api.send(
        "POST", f"{customer}/search/applicantworkflows",
        json={"filters": filters, "operator": "&"},
    )  # fmt: skip
    told = answer.data if isinstance(answer.data, dict) else {}
    if not isinstance(told.get("searchResults"), list):
        raise VendorDown("api_answer_unreadable")
    return [number for one in told["searchResults"] if (number := _number(one))]


# ---- understanding --------------------------------------------------------------------------


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """What the status of a workflow means, and since when it has had it."""
    if facts.get("kind") == "interviews":
        return Reading(provider_event)
    workflow = c.mapping(facts.get("workflow"), "workflow")
    about = c.mapping(facts.get("about"), "about")
    number = c.ident(about.get("application_id"), "application_id")
    status = c.mapping(workflow.get("status"), "status")
    status_id = c.ident(status.get("id"), "status_id")
    text = c.label(status.get("value"))
    meaning = _meaning(status, connection)
    if meaning is None:
        suggestion = suggested_status(text) if text else None
        word = Word("status", status_id, text or status_id, suggestion)
        return Reading(provider_event, unmapped=[word])
    since = _since(workflow, status_id)
    updated_at = _moment_or_none(workflow.get("updateddate"), "updateddate")
    at = since or updated_at or incoming.received_at
    kind = _KINDS[meaning]
    rejection = c.rejection(_ENDS[meaning], at, reason_id=status_id, reason_text=text) \
        if meaning in _ENDS else None  # fmt: skip
    made = c.event(
        PROVIDER, connection, incoming, kind=kind, provider_event=provider_event,
        provider_event_id=None, subject=number, effect_at=at, occurred_at=at,
        application=c.application(
            kind, number, stage=c.named(status_id, text),
            applied_at=c.written(_moment_or_none(workflow.get("createddate"), "createddate")),
        ),
        candidate=_person(workflow, facts.get("person"), meaning),
        job=_job(workflow, facts.get("job")),
        rejection=rejection,
    )  # fmt: skip
    made["holds"] = c.holds(made, connection, incoming)
    return Reading(
        provider_event, [made], max(at, updated_at or at),
        states=meaning not in _ENDS, undated=since is None,
    )  # fmt: skip


_KINDS = {
    "rejected": "application.rejected",
    "withdrawn": "application.withdrawn",
    "hired": "application.hired",
    "active": "application.rejection_reverted",
}


def _meaning(status: Any, connection: ConnectionView) -> str | None:
    """What the tenant's map says of a status, by its id or by its text."""
    told = status if isinstance(status, dict) else {}
    return c.mapped_status(_number(told), connection) or c.mapped_status(
        c.label(told.get("value")), connection
    )


def _since(workflow: Mapping[str, Any], status_id: str) -> datetime | None:
    """Since when the status has been what it is, by the log; saving it again is no change."""
    log = [
        (
            _moment(one.get("updatedDate", one.get("updateddate")), "log_time"),
            _number(one["status"]),
        )
        for one in c.rows(workflow.get("submittalstatuslog"), "status_log")
        if one.get("status") is not None
    ]
    found = None
    for at, number in sorted(log, key=lambda one: one[0], reverse=True):
        if number != status_id:
            break
        found = at
    return found


def _moment(value: Any, what: str) -> datetime:
    found = _moment_or_none(value, what)
    if found is None:
        raise Unreadable(f"{what}_missing")
    return found


def _moment_or_none(value: Any, what: str) -> datetime | None:
    """RFC 3339, or `yyyy-MM-dd hh:mm a`, which is UTC whatever the user's zone."""
    told = _PLAIN_TIME.fullmatch(value) if isinstance(value, str) else None
    if told is None:
        return c.moment_or_none(value, what)
    day, hour, minute, half = told.groups()
    full = int(hour) % _HALF_DAY + (_HALF_DAY if half == "P" else 0)
    return c.moment(f"{day}T{full:02}:{minute}:00Z", what)


def _person(workflow: Mapping[str, Any], person: Any, meaning: str) -> dict[str, Any] | None:
    """The applicant; nobody where the status asks for nobody and none was read."""
    number = _number(workflow.get("associatedprofile"))
    if meaning not in _NEEDS_PERSON:
        return None
    told = c.mapping(person, "person") if person is not None else {}
    numbers = told.get("phones")
    return c.person(
        c.ident(number, "person_id"),
        given_name=c.text(told.get("firstname"), "firstname"),
        family_name=c.text(told.get("lastname"), "lastname"),
        emails=c.emails([{"value": c.text(told.get("email"), "email")}]),
        phones=c.phones([
            {"value": one.get("phonenumber"), "type": _value(one.get("phonetype"))}
            for one in (numbers if isinstance(numbers, list) else [])
            if isinstance(one, dict)
        ]),
    )  # fmt: skip


def _job(workflow: Mapping[str, Any], job: Any) -> dict[str, Any] | None:
    profile = workflow.get("baseprofile")
    number = _number(profile)
    if number is None:
        return None
    told = job if isinstance(job, dict) else {}
    return c.job(
        number,
        title=c.label(told.get("jobtitle")) or _value(profile),
        department=_value(told.get("positioncategory")),
        location=_value(told.get("joblocation")),
        requisition_id=c.label(told.get("jobnumber")),
    )


def _value(told: Any) -> str | None:
    """The words of a list entry: `{id, value}`."""
    return c.label(told.get("value")) if isinstance(told, dict) else None


# ---- words ----------------------------------------------------------------------------------


async def words(api: VendorApi, connection: ConnectionView) -> list[Word]:
    """The statuses in use, out of the histories of some workflows: no call lists them all."""
    customer = _customer(connection, {})
    found = (await _search(api, customer, _beyond("0")))[-_WORDS_FROM:]
    texts: dict[str, str] = {}
    for number in found:
        path = f"{customer}/applicantworkflows/{c.path_part(number)}"
        told = await api.get_or_none(path, {"fields": "status,submittalstatuslog"})
        for status in _statuses(told):
            if (status_id := _number(status)) is not None:
                texts[status_id] = _value(status) or texts.get(status_id) or status_id
    return [Word("status", one, text, suggested_status(text)) for one, text in texts.items()]


def _statuses(workflow: Any) -> list[Any]:
    told = workflow if isinstance(workflow, dict) else {}
    log = told.get("submittalstatuslog")
    entries = log if isinstance(log, list) else []
    return [told.get("status"), *(one.get("status") for one in entries if isinstance(one, dict))]


async def write_back(_: VendorApi, __: ConnectionView, ___: WriteBack) -> None:
    """No call for notes is documented well enough to write into somebody's record by it."""
    raise VendorRefused("write_back_unsupported")
