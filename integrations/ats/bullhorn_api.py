"""Bullhorn's REST API. It pushes nothing: a subscription of ours collects events, we fetch them.

Settings: `api_key` is `client_id:client_secret:username:password` of an API user who has accepted
the terms of service once in a browser. `api_base` replaces the vendor's hosts; what the sign-in
names then must lie on that same host. `note_action` is the action of the notes we leave, one of
the customer's own list.

Fetching events removes them. The vendor numbers each batch and repeats it on request, so a batch
is fetched anew only when the one before is known to be dealt with: the cursor has the number of
the last batch that is, and where the vendor has given out a later one, a crash lost its answer and
it is asked for again. A poll begins by repeating the last batch of the one before, for the same
reason; what was applied before changes nothing. Events not fetched within seven days are gone,
hence a query for everything changed after a long silence, after subscribing, and every night.
"""

import html
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, urlsplit

import httpx2

from domain.ports import (
    ConnectionView,
    Page,
    Unreadable,
    VendorApi,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import bullhorn
from integrations.ats import canonical as c
from integrations.ats.wording import suggested_status
from integrations.safe_http import UnsafeAddress, safe_client

PROVIDER = bullhorn.PROVIDER
API_BASE = "https://rest.bullhornstaffing.com/rest-services"
PER_SECOND = 5.0
POLL_EVERY = timedelta(minutes=15)
WRITES_BACK = True

_VENDOR = ".bullhornstaffing.com"
_SESSION_MINUTES = 10
_BATCH = 100
"""The most events, and the most records by id, in one call."""
_PER_PAGE = 200
_KEPT_FOR = timedelta(days=6)
"""Events wait seven days; a day less, so that a poll which is late misses none."""
_BAD_REQUEST = 400

_SUBMISSION = (
    "id,status,dateAdded,dateWebResponse,dateLastModified,isDeleted,source,"
    "candidate(id,name,firstName,lastName,email,email2,email3,phone,mobile,workPhone,"
    "massMailOptOut,isDeleted),jobOrder(id,title,externalID,address(city))"
)
_APPOINTMENT = (
    "id,type,dateBegin,dateEnd,dateAdded,dateLastModified,isAllDay,isDeleted,"
    "parentAppointment(id),candidateReference(id),jobOrder(id)"
)
_PARTS = ("changed", "interviews", "people")

understand = bullhorn.understand

Row = dict[str, Any]


# ---- signing in -----------------------------------------------------------------------------


class _Movable(VendorApi, Protocol):
    """A client whose base the vendor tells at sign-in: every customer has a server of their own."""

    base: str


async def sign_in(api: VendorApi, connection: ConnectionView) -> None:
    """Find the customer's data centre, authorise, and open a session (`BhRestToken`)."""
    client_id, client_secret, username, password = _credential(connection)
    client, start = cast("_Movable", api), cast("_Movable", api).base
    centre = (await api.get("loginInfo", {"username": username})).data
    oauth, rest = (_trusted(centre, name, start) for name in ("oauthUrl", "restUrl"))
    code = await _code(oauth, client_id, username, password)
    client.base = oauth
    granted = await api.send(
        "POST", "token",
        form={
            "grant_type": "authorization_code", "code": code,
            "client_id": client_id, "client_secret": client_secret,
        },
    )  # fmt: skip
    client.base = rest
    asked = {
        "version": "*", "ttl": _SESSION_MINUTES,
        "access_token": _text(granted.data, "access_token"),
    }  # fmt: skip
    session = (await api.send("POST", "login", params=asked)).data
    client.base = _trusted(session, "restUrl", start)
    api.headers["bhresttoken"] = _text(session, "BhRestToken")


def _credential(connection: ConnectionView) -> list[str]:
    """Four parts; a password may have colons of its own."""
    key = connection.settings.get("api_key")
    parts = key.strip().split(":", 3) if isinstance(key, str) else []
    if len(parts) != 4 or not all(parts):  # noqa: PLR2004 - the four named above
        raise VendorRefused("setting_missing")
    return parts


def _text(data: Any, name: str) -> str:
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, str) or not found:
        raise VendorDown("api_answer_unreadable")
    return found


def _trusted(data: Any, name: str, start: str) -> str:
    """An address the vendor names: on its own hosts, or where we began if that was set by hand."""
    url = _text(data, name).rstrip("/")
    here, there = urlsplit(start), urlsplit(url)
    same = (there.scheme, there.netloc) == (here.scheme, here.netloc)
    vendors = start == API_BASE and there.scheme == "https" and there.netloc.endswith(_VENDOR)
    if not same and not vendors:
        raise VendorRefused("api_leads_elsewhere")
    return url


async def _code(oauth: str, client_id: str, username: str, password: str) -> str:
    """The one-time code. The vendor puts it into a redirect, which we read and do not follow."""
    form = {
        "client_id": client_id, "response_type": "code", "action": "Login",
        "username": username, "password": password,
    }  # fmt: skip
    # Without TLS only a demo gets this far: everybody else's base was refused before.
    async with safe_client(allow_private=urlsplit(oauth).scheme == "http") as client:
        try:
            answer = await client.post(f"{oauth}/authorize", data=form)
        except UnsafeAddress:
            raise VendorRefused("api_address_refused") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError):
            raise VendorDown from None
    if answer.is_server_error or answer.status_code == httpx2.codes.TOO_MANY_REQUESTS:
        raise VendorDown
    code = parse_qs(urlsplit(answer.headers.get("location", "")).query).get("code")
    if not code:
        # The sign-in form again, or the terms of service: somebody has to act.
        raise VendorRefused("api_unauthorised", answer.status_code)
    return code[0]


# ---- asking ---------------------------------------------------------------------------------


async def look_up(api: VendorApi, _: ConnectionView, about: Mapping[str, Any]) -> dict[str, Any]:
    """The interviews of one submission, and the submission."""
    if about.get("kind") != "interviews":
        raise Unreadable("lookup_malformed")
    number = c.ident(about.get("application_id"), "application_id")
    path = f"entity/JobSubmission/{c.path_part(number)}"
    found = await _records(api, path, fields=_SUBMISSION)
    listed = await _records(
        api, f"{path}/appointments", fields=_APPOINTMENT, count=_PER_PAGE
    ) if found else []  # fmt: skip
    return {
        "kind": "interviews",
        "about": dict(about),
        "submission": found[0] if found else None,
        "appointments": listed,
    }


async def page(
    api: VendorApi, connection: ConnectionView, window: Window, cursor: dict[str, Any] | None
) -> Page:
    """One batch of events, or one page of what changed, of interviews or of deleted people."""
    if cursor is None:
        return await _begin(api, connection, window)
    if cursor.get("part") == "events":
        return await _fetch(api, connection, window, int(cursor["after"]))
    start = int(cursor.get("start", 0))
    return await _query(api, window, str(cursor.get("part")), start)


async def _begin(api: VendorApi, connection: ConnectionView, window: Window) -> Page:
    """Nothing is taken from the queue before there is a cursor that says so."""
    if window.full:
        return Page([], {"part": "changed", "start": 0})
    last = await _last_batch(api, connection)
    if last is None:
        await _subscribe(api, connection)
        return Page([], {"part": "changed", "start": 0})
    events = await _events(api, connection, requestId=last) if last else []
    return Page(await _submissions(api, _named(events)), {"part": "events", "after": last})


async def _fetch(api: VendorApi, connection: ConnectionView, window: Window, after: int) -> Page:
    """The batch that was given out and not dealt with, or else the next."""
    last = await _last_batch(api, connection)
    if last is None:
        return await _begin(api, connection, window)
    if last > after:
        events = await _events(api, connection, requestId=last)
        return Page(await _submissions(api, _named(events)), {"part": "events", "after": last})
    found = (await api.get(_queue(connection), {"maxEvents": _BATCH})).data
    if not found or not _rows(found, "events"):
        silent = window.until - window.since > _KEPT_FOR
        return Page([], {"part": "changed" if silent else "interviews", "start": 0})
    number = found.get("requestId")
    if isinstance(number, bool) or not isinstance(number, int):
        raise VendorDown("api_answer_unreadable")
    named = _named(_rows(found, "events"))
    return Page(await _submissions(api, named), {"part": "events", "after": number})


async def _query(api: VendorApi, window: Window, part: str, start: int) -> Page:
    since = f"dateLastModified>={int(window.since.timestamp() * 1000)}"
    ask = {"changed": _changed, "interviews": _interviewed, "people": _gone}.get(part)
    if ask is None:
        raise VendorRefused("cursor_malformed")
    facts, length = await ask(api, since, start)
    if length >= _PER_PAGE:
        return Page(facts, {"part": part, "start": start + length})
    after = _PARTS.index(part) + 1
    return Page(facts, {"part": _PARTS[after], "start": 0} if after < len(_PARTS) else None)


async def _changed(api: VendorApi, since: str, start: int) -> tuple[list[Row], int]:
    listed = await _page_of(api, "JobSubmission", f"{since} AND isDeleted=false", "id", start)
    return await _submissions(api, [one.get("id") for one in listed]), len(listed)


async def _interviewed(api: VendorApi, since: str, start: int) -> tuple[list[Row], int]:
    """Appointments name a person and a job; together these are a submission."""
    where = f"type='Interview' AND {since}"
    listed = await _page_of(api, "Appointment", where, _APPOINTMENT, start)
    grouped: dict[tuple[str, str], list[Row]] = {}
    for one in listed:
        about = (_id_of(one.get("candidateReference")), _id_of(one.get("jobOrder")))
        if about[0] and about[1]:
            grouped.setdefault((about[0], about[1]), []).append(one)
    if not grouped:
        return [], len(listed)
    people, jobs = (",".join(sorted({pair[at] for pair in grouped})) for at in (0, 1))
    where = f"candidate.id IN ({people}) AND jobOrder.id IN ({jobs}) AND isDeleted=false"
    submissions = await _everything(api, "JobSubmission", where, _SUBMISSION)
    facts = [
        {
            "kind": "interviews",
            "about": {"application_id": _id_of(one)},
            "submission": one,
            "appointments": grouped[pair],
        }
        for one in submissions
        if (pair := (_id_of(one.get("candidate")), _id_of(one.get("jobOrder")))) in grouped
    ]
    return facts, len(listed)


async def _gone(api: VendorApi, since: str, start: int) -> tuple[list[Row], int]:
    where = f"(isDeleted=true OR isAnonymized=true) AND {since}"
    fields = "id,isDeleted,isAnonymized,dateLastModified"
    listed = await _page_of(api, "Candidate", where, fields, start)
    return [{"kind": "person", "candidate": one} for one in listed], len(listed)


# ---- the queue ------------------------------------------------------------------------------


def _queue(connection: ConnectionView) -> str:
    return f"event/subscription/CareerRelay-{c.path_part(connection.id)}"


async def _last_batch(api: VendorApi, connection: ConnectionView) -> int | None:
    """The number of the batch given out last, 0 before the first; null: we are not subscribed."""
    try:
        found = (await api.get(f"{_queue(connection)}/lastRequestId")).data
    except VendorMissing:
        return None
    except VendorRefused as why:
        if why.status != _BAD_REQUEST:
            raise
        return None  # an unknown subscription is a bad request to some of the vendor's servers
    number = found.get("result") if isinstance(found, dict) else None
    if isinstance(number, bool) or not isinstance(number, int):
        raise VendorDown("api_answer_unreadable")
    return number


async def _subscribe(api: VendorApi, connection: ConnectionView) -> None:
    asked = {
        "type": "entity", "names": "JobSubmission", "eventTypes": "INSERTED,UPDATED,DELETED",
    }  # fmt: skip
    await api.send("PUT", _queue(connection), params=asked)


async def _events(api: VendorApi, connection: ConnectionView, **which: int) -> list[Row]:
    """A batch once more. One the vendor no longer has is empty; the nightly look finds the rest."""
    found = await api.get_or_none(_queue(connection), {"maxEvents": _BATCH, **which})
    return _rows(found, "events") if found else []


def _named(events: Iterable[Row]) -> list[Any]:
    """The submissions the events are about. A removed one can no longer be read, nor need it be."""
    return [
        one.get("entityId")
        for one in events
        if one.get("entityName") == "JobSubmission" and one.get("entityEventType") != "DELETED"
    ]


# ---- records --------------------------------------------------------------------------------


async def _submissions(api: VendorApi, numbers: Iterable[Any]) -> list[Row]:
    """Submissions by number, each with the statuses it has had."""
    wanted = sorted({one for one in numbers if isinstance(one, int) and not isinstance(one, bool)})
    facts = []
    for start in range(0, len(wanted), _BATCH):
        some = ",".join(map(str, wanted[start : start + _BATCH]))
        found = await _records(
            api, f"entity/JobSubmission/{some}", fields=_SUBMISSION, count=_BATCH
        )
        where = f"jobSubmission.id IN ({some})"
        fields = "id,status,dateAdded,jobSubmission(id)"
        told: dict[str | None, list[Row]] = {}
        for one in await _everything(api, "JobSubmissionHistory", where, fields):
            told.setdefault(_id_of(one.get("jobSubmission")), []).append(one)
        facts += [
            {"kind": "application", "submission": one, "history": told.get(_id_of(one), [])}
            for one in found
        ]
    return facts


async def _everything(api: VendorApi, entity: str, where: str, fields: str) -> list[Row]:
    rows = more = await _page_of(api, entity, where, fields, 0)
    while len(more) >= _PER_PAGE:
        more = await _page_of(api, entity, where, fields, len(rows))
        rows = [*rows, *more]
    return rows


async def _page_of(api: VendorApi, entity: str, where: str, fields: str, start: int) -> list[Row]:
    """By number, so that what changes meanwhile shifts nothing already passed."""
    asked = {
        "where": where, "fields": fields, "orderBy": "id", "count": _PER_PAGE, "start": start,
    }  # fmt: skip
    return _rows((await api.get(f"query/{entity}", asked)).data, "data")


async def _records(api: VendorApi, path: str, **asked: Any) -> list[Row]:
    """Records by number: one comes alone, several as a list, none as a 404."""
    found = await api.get_or_none(path, asked)
    if found is None:
        return []
    alone = found.get("data") if isinstance(found, dict) else None
    return [alone] if isinstance(alone, dict) else _rows(found, "data")


def _rows(data: Any, name: str) -> list[Row]:
    rows = data.get(name) if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise VendorDown("api_answer_unreadable")
    return rows


def _id_of(value: Any) -> str | None:
    number = value.get("id") if isinstance(value, dict) else None
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else None


# ---- words and notes ------------------------------------------------------------------------


async def words(api: VendorApi, _: ConnectionView) -> list[Word]:
    """The customer's statuses; the vendor knows which of them are for rejections and for hires."""
    names = ("jobResponseStatusList", "rejectedJobResponseStatus", "confirmedJobResponseStatus")
    found = (await api.get(f"settings/{','.join(names)}")).data
    if not isinstance(found, dict):
        raise VendorDown("api_answer_unreadable")
    statuses, rejected, confirmed = (_texts(found.get(name)) for name in names)
    typed = {**dict.fromkeys(confirmed, "hired"), **dict.fromkeys(rejected, "rejected")}
    listed = dict.fromkeys([*statuses, *typed])
    return [Word("status", one, one, typed.get(one) or suggested_status(one)) for one in listed]


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one for each in listed if (one := c.label(each))]


async def write_back(api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
    """A note on the person, about the job. There are no tags: it stands in front of the note."""
    number = told.candidate_external_id
    path = f"entity/JobSubmission/{c.path_part(told.application_external_id)}"
    found = await _records(api, path, fields="id,candidate(id),jobOrder(id)")
    if not found:
        raise VendorMissing
    person = number or _id_of(found[0].get("candidate"))
    if person is None or not person.isdigit():
        raise VendorMissing
    note: dict[str, Any] = {
        "personReference": {"id": int(person)},
        "comments": html.escape(f"[{told.tag}] {told.note}").replace("\n", "<br>"),
    }
    job, action = _id_of(found[0].get("jobOrder")), connection.settings.get("note_action")
    if job is not None:
        note["jobOrder"] = {"id": int(job)}
    if isinstance(action, str) and action:
        note["action"] = action
    await api.send("PUT", "entity/Note", json=note)
