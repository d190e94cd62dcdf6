"""Every system we connect, seen from its side: one application whose story it tells.

A `System` holds how things stand there, answers its API by that (`lay`) and signs what it sends.
A story is told by changing how things stand (`plan`, `hold`, `end`, `revert`, `delete`); what the
system sends about it is in `delivery`: nothing for what it leaves to be asked for.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.deliveries import SAMPLES, escaped, greenhouse_headers, standard_headers
from tests.vendors import Call, Said, VendorStub

ADDRESS = "hanako@mail.example"
MAILED_BY = ("company", "candidate")
STEPS = ("planned", "held", "ended", "reverted", "deleted")
Clock = Callable[[], datetime]
Row = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A delivery as it goes out."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Talk:
    """An interview."""

    starts_at: datetime
    ends_at: datetime
    planned_at: datetime


def answer(provider: str, name: str) -> Any:
    """A recorded answer of a vendor's API."""
    return json.loads((SAMPLES / provider / "api" / f"{name}.json").read_text())


def body_of(provider: str, name: str) -> Any:
    """A recorded delivery."""
    return json.loads((SAMPLES / provider / f"{name}.json").read_text())


def written(at: datetime, *, spec: str = "milliseconds") -> str:
    return at.astimezone(UTC).isoformat(timespec=spec).replace("+00:00", "Z")


def millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def seconds(at: datetime) -> str:
    return str(int(at.timestamp()))


def packed(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def digest(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


class System:
    """One system and the one application in it.

    `cannot` says what it cannot tell, and why: `planned`, `deleted`, `lost` (nothing to poll).
    """

    provider: ClassVar[str]
    secret: ClassVar[str] = "secret-for-journeys-0123456789"
    success: ClassVar[int | None] = 200
    """What its webhook counts as received; null: it sends none."""
    refusal: ClassVar[int] = 401
    api_key: ClassVar[str | None] = "key-for-journeys"
    settings: ClassVar[Row] = {}
    source: ClassVar[str | None] = "自社採用サイト"
    application_id: ClassVar[str]
    cannot: ClassVar[MappingProxyType[str, str]] = MappingProxyType({})

    def __init__(self, stub: VendorStub, clock: Clock) -> None:
        self.stub, self.clock = stub, clock
        self.connection: Row = {}
        self.applied_at = clock() - timedelta(days=20)
        self.changed_at = clock() - timedelta(days=1)
        self.log = [(self.applied_at, "active")]
        self.talk: Talk | None = None
        self.gone = False
        self.lay()

    # -- how it stands ------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """`active`, `company` or `candidate` (who ended it)."""
        return self.log[-1][1]

    @property
    def ended(self) -> bool:
        return self.status != "active"

    @property
    def since(self) -> datetime:
        """Since when it stands so."""
        return self.log[-1][0]

    def plan(self, starts_at: datetime, ends_at: datetime) -> None:
        self._touch()
        self.talk = Talk(starts_at, ends_at, self.changed_at)

    def hold(self) -> None:
        """The interview is over; somebody notes that."""
        self._touch()

    def end(self, by: str) -> None:
        self._touch()
        self.log.append((self.changed_at, by))

    def revert(self) -> None:
        self._touch()
        self.log.append((self.changed_at, "active"))

    def delete(self) -> None:
        self._touch()
        self.gone = True

    def _touch(self) -> None:
        self.changed_at = self.clock()

    @property
    def is_over(self) -> bool:
        return self.talk is not None and self.talk.ends_at < self.clock()

    # -- what it is made of -------------------------------------------------------------------

    def lay(self) -> None:
        """Let the stub answer as the system's API."""

    def on(self, method: str, path: str, said: Any) -> None:
        self.stub.lay(method, path, said)

    def there(self, make: Callable[[], Any]) -> Callable[[Call], Any]:
        """The record, or 404 once it is gone."""
        return lambda _: Said({}, 404) if self.gone else make()

    def maps(self) -> Row:
        """What HR says the system's words mean."""
        return {}

    def told(self) -> Row:
        """What HR enters."""
        settings: Row = {**self.settings, **self.maps()}
        if self.source is not None:
            settings["source_map"] = {self.source: "company_site"}
        if self.api_key is not None:
            settings |= {"api_key": self.api_key, "api_base": self.stub.base}
        return {
            "provider": self.provider, "name": self.provider, "settings": settings,
            "secrets": [] if self.success is None else [self.secret],
        }  # fmt: skip

    @property
    def path(self) -> str:
        """Where it delivers."""
        url: str = self.connection["webhook_url"]
        return url.removeprefix("http://relay.test")

    def delivery(self, step: str, *, again: bool = False) -> Sent | None:
        """What it sends about a step; `again`: as a repetition looks, where that differs."""
        make = getattr(self, f"say_{step}", None)
        body = None if make is None else make(again=again)
        return None if body is None else self.sign(body, again=again)

    def test(self) -> Sent | None:
        """What it sends to try the address; it must change nothing."""

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002 - as the others
        """How it goes out; a system that is only asked has no way."""
        message = f"{self.provider} sends nothing"
        raise TypeError(message)


# ---- Greenhouse -----------------------------------------------------------------------------


class Greenhouse(System):
    provider = "greenhouse"
    api_key = "client-1:secret-1"
    settings: ClassVar[Row] = {"api_user": "92"}
    application_id = "48206133001"
    _REASONS: ClassVar[Row] = {
        "company": (14, "経験が求める水準と異なる", "We rejected them"),
        "candidate": (21, "他社に決定", "They rejected us"),
    }

    def lay(self) -> None:
        self.on("POST", "/token", {"access_token": "token-1"})
        self.on("GET", "/v3/applications", self._applications)
        self.on("GET", "/v3/candidates", [
            {**answer("greenhouse", "candidates")[0],
             "email_addresses": [{"value": ADDRESS, "type": "personal"}]}
        ])  # fmt: skip
        for name in ("jobs", "sources", "departments", "offices", "rejection_reasons"):
            self.on("GET", f"/v3/{name}", answer("greenhouse", name))
        self.on("GET", "/v3/rejection_details", lambda _: self._details())
        self.on("GET", "/v3/interviews", lambda _: self._interviews())

    def _applications(self, call: Call) -> list[Row]:
        asked = call.query.get("status", [None])[0]
        status = "rejected" if self.ended else "active"
        if self.gone or asked not in {None, status}:
            return []
        return [{
            **answer("greenhouse", "applications_rejected")[0],
            "status": "rejected" if self.ended else "in_process",
            "rejected_at": written(self.since) if self.ended else None,
            "last_activity_at": written(self.changed_at),
            "updated_at": written(self.changed_at),
        }]  # fmt: skip

    def _details(self) -> list[Row]:
        if not self.ended:
            return []
        told = answer("greenhouse", "rejection_details")[0]
        return [{**told, "rejection_reason_id": self._REASONS[self.status][0],
                 "rejected_at": written(self.since)}]  # fmt: skip

    def _interviews(self) -> list[Row]:
        if self.talk is None or self.gone:
            return []
        return [{
            **answer("greenhouse", "interviews")[0],
            "starts_at": written(self.talk.starts_at), "ends_at": written(self.talk.ends_at),
            "status": "awaiting_feedback" if self.is_over else "scheduled",
            "scheduled_at": written(self.talk.planned_at), "updated_at": written(self.changed_at),
        }]  # fmt: skip

    def _application(self, action: str) -> Row:
        body: Row = body_of("greenhouse", action)
        told = body["payload"]["application"]
        told["last_activity_at"] = written(self.changed_at)
        told["candidate"]["email_addresses"] = [{"value": ADDRESS, "type": "personal"}]
        return body

    def say_planned(self, **_: Any) -> Row:
        return self._application("candidate_stage_change")

    def say_ended(self, **_: Any) -> Row:
        body = self._application("reject_candidate")
        number, name, kind = self._REASONS[self.status]
        body["payload"]["application"] |= {
            "rejected_at": written(self.since),
            "rejection_reason": {"id": number, "name": name, "type": {"id": 2, "name": kind}},
        }
        return body

    def say_reverted(self, **_: Any) -> Row:
        return self._application("unreject_candidate")

    def say_deleted(self, **_: Any) -> Row:
        return body_of("greenhouse", "delete_candidate")

    def test(self) -> Sent:
        return self.sign(body_of("greenhouse", "ping"), again=False)

    def sign(self, body: Any, *, again: bool) -> Sent:
        raw = escaped(body)
        return Sent(raw, greenhouse_headers(raw, self.secret, "gh-2" if again else "gh-1"))


# ---- Lever ----------------------------------------------------------------------------------


class Lever(System):
    provider = "lever"
    source = "company_site"
    application_id = "o-1"

    def maps(self) -> Row:
        return {"reason_map": {"reason-company": "company", "reason-candidate": "candidate"}}

    def lay(self) -> None:
        self._count = 0
        reasons = [
            {"id": f"reason-{one}", "text": one, "status": "active", "type": "non-hired"}
            for one in MAILED_BY
        ]
        self.on("GET", "/v1/archive_reasons", {"data": reasons, "hasNext": False})
        self.on("GET", "/v1/opportunities", self._listed)
        self.on("GET", "/v1/opportunities/o-1", self.there(lambda: {"data": self._opportunity()}))
        self.on(
            "GET", "/v1/opportunities/o-1/interviews",
            self.there(lambda: {"data": self._interviews(), "hasNext": False}),
        )  # fmt: skip

    def _listed(self, call: Call) -> Row:
        ended = "archived_at_start" in call.query
        found = not self.gone and ("contact_id" in call.query or ended is self.ended)
        return {"data": [self._opportunity()] if found else [], "hasNext": False}

    def _opportunity(self) -> Row:
        return {
            "id": "o-1", "name": "試験 花子", "contact": "person-1", "emails": [ADDRESS],
            "phones": [], "origin": "applied", "archived": self._archived(),
            "createdAt": millis(self.applied_at), "updatedAt": millis(self.changed_at),
            "stage": {"id": "s", "text": "一次面接"}, "tags": [], "sources": ["company_site"],
            "applications": [{"id": "a", "posting": None}], "urls": {},
            "confidentiality": "non-confidential", "isAnonymized": False,
        }  # fmt: skip

    def _archived(self) -> Row | None:
        if not self.ended:
            return None
        return {"archivedAt": millis(self.since), "reason": f"reason-{self.status}"}

    def _interviews(self) -> list[Row]:
        if self.talk is None:
            return []
        length = (self.talk.ends_at - self.talk.starts_at).total_seconds() / 60
        return [{
            "id": "i-1", "date": millis(self.talk.starts_at), "duration": length,
            "canceledAt": None, "createdAt": millis(self.talk.planned_at),
        }]  # fmt: skip

    def _of(self, event: str, **data: Any) -> Row:
        told = {"opportunityId": "o-1", "contactId": "person-1", **data}
        return {"event": event, "triggeredAt": millis(self.changed_at), "data": told}

    def say_planned(self, **_: Any) -> Row:
        return self._of("interviewCreated", interviewId="i-1")

    def say_ended(self, **_: Any) -> Row:
        changes = {"fromArchived": None, "toArchived": self._archived()}
        return self._of("candidateArchiveChange", **changes)

    def say_reverted(self, **_: Any) -> Row:
        before = {"archivedAt": millis(self.log[-2][0]), "reason": f"reason-{self.log[-2][1]}"}
        return self._of("candidateArchiveChange", fromArchived=before, toArchived=None)

    def say_deleted(self, **_: Any) -> Row:
        return self._of("candidateDeleted")

    def test(self) -> Sent:
        return self.sign(body_of("lever", "verify_connection"), again=False)

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002
        """A repetition with a token of its own: whether retries keep theirs nobody says."""
        self._count += 1
        at = body["triggeredAt"]
        token = f"token-{self._count}"
        signature = digest(self.secret, f"{token}{at}".encode())
        return Sent(packed({**body, "token": token, "signature": signature}), {})


# ---- Ashby ----------------------------------------------------------------------------------


class Ashby(System):
    provider = "ashby"
    refusal = 400
    application_id = "1f0c2a54-7d0f-4a3e-9a31-0d4f0b9c1a01"
    _TYPES: ClassVar[Row] = {"company": "RejectedByOrg", "candidate": "RejectedByCandidate"}

    def lay(self) -> None:
        self.on("POST", "/application.list", self._listed)
        self.on("POST", "/interviewSchedule.list", lambda _: self._found(self._schedules()))
        self.on("POST", "/archiveReason.list", answer("ashby", "archive_reasons"))

    def _found(self, rows: list[Row]) -> Row:
        return {"success": True, "results": rows, "moreDataAvailable": False}

    def _listed(self, call: Call) -> Row:
        wanted = call.json["status"] == ("Archived" if self.ended else "Active")
        return self._found([self._application()] if wanted and not self.gone else [])

    def _application(self) -> Row:
        name = "stage_change_archived" if self.ended else "application_update_active"
        told: Row = body_of("ashby", name)["data"]["application"]
        address = {"value": ADDRESS, "type": "Personal", "isPrimary": True}
        told["candidate"]["primaryEmailAddress"] = address
        told["updatedAt"] = written(self.changed_at)
        if self.ended:
            kind = self._TYPES[self.status]
            told["archivedAt"] = written(self.since)
            told["archiveReason"] |= {"id": f"ar-{self.status}", "reasonType": kind}
        return told

    def _schedules(self) -> list[Row]:
        if self.talk is None or self.gone:
            return []
        told: Row = body_of("ashby", "schedule_create")["data"]["interviewSchedule"]
        one = told["interviewEvents"][0] | {
            "startTime": written(self.talk.starts_at),
            "endTime": written(self.talk.ends_at),
        }
        status = "Complete" if self.is_over else "Scheduled"
        changes = {"interviewEvents": [one], "status": status}
        return [{**told, **changes, "updatedAt": written(self.changed_at)}]

    def _of(self, action: str, **data: Any) -> Row:
        return {"action": action, "webhookActionId": f"act-{millis(self.changed_at)}", "data": data}

    def say_planned(self, **_: Any) -> Row:
        return self._of("interviewScheduleCreate", interviewSchedule=self._schedules()[0])

    def say_held(self, **_: Any) -> Row:
        return self._of("interviewScheduleUpdate", interviewSchedule=self._schedules()[0])

    def say_ended(self, *, again: bool) -> Row:
        """A stage change is told a second time as an update, under the same id."""
        action = "applicationUpdate" if again else "candidateStageChange"
        return self._of(action, application=self._application())

    def say_reverted(self, **_: Any) -> Row:
        return self._of("applicationUpdate", application=self._application())

    def say_deleted(self, **_: Any) -> Row:
        return body_of("ashby", "candidate_delete")

    def test(self) -> Sent:
        return self.sign(body_of("ashby", "ping"), again=False)

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002
        raw = packed(body)
        return Sent(raw, {"ashby-signature": "sha256=" + digest(self.secret, raw)})


# ---- Workable -------------------------------------------------------------------------------


class Workable(System):
    provider = "workable"
    application_id = "27273038"
    _BRIEF = ("withdrew", "disqualified_at")

    def lay(self) -> None:
        base, number = "/spi/v3", self.application_id
        self.on("GET", f"{base}/candidates", lambda _: {"candidates": self._listed()})
        self.on(
            "GET", f"{base}/candidates/{number}",
            self.there(lambda: {"candidate": self._candidate()}),
        )  # fmt: skip
        self.on("GET", f"{base}/events", lambda _: {"events": self._events()})
        reasons = answer("workable", "disqualification_reasons")
        self.on("GET", f"{base}/disqualification_reasons", reasons)

    def _listed(self) -> list[Row]:
        told = {k: v for k, v in self._candidate().items() if k not in self._BRIEF}
        return [] if self.gone else [told]

    def _candidate(self) -> Row:
        told: Row = answer("workable", "candidate")["candidate"]
        mine = {
            "email": ADDRESS, "updated_at": written(self.changed_at),
            "disqualified": self.ended, "withdrew": self.status == "candidate",
            "disqualified_at": written(self.since, spec="seconds") if self.ended else None,
        }  # fmt: skip
        if not self.ended:
            mine["disqualification_reason"] = None
        return {**told, **mine}

    def _events(self) -> list[Row]:
        if self.talk is None or self.gone:
            return []
        told = answer("workable", "events_1")["events"][0]
        times = {"starts_at": self.talk.starts_at, "ends_at": self.talk.ends_at}
        return [{**told, **{name: written(at) for name, at in times.items()}}]

    def _moved(self, *, again: bool) -> Row:
        """The body shows the candidate as of the request: a repetition may show them later."""
        told = self._candidate()
        if again:
            told["updated_at"] = written(self.clock())
        return {
            "id": f"wk-{millis(self.changed_at)}", "event_type": "candidate_moved",
            "fired_at": written(self.changed_at), "resource_type": "candidate", "data": told,
        }  # fmt: skip

    say_ended = _moved
    say_reverted = _moved

    def say_deleted(self, **_: Any) -> Row:
        return body_of("workable", "candidate_deleted")

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002
        raw = packed(body)
        return Sent(raw, {"x-workable-signature": digest(self.secret, raw)})


# ---- SmartRecruiters ------------------------------------------------------------------------


class SmartRecruiters(System):
    provider = "smartrecruiters"
    success = 202
    _PERSON = "9f6d0b1e-cand-4a7c-9f0e-000000000001"
    _JOB = "3c1a2b4d-job0-4b6f-8a11-000000000002"
    _TALK = "1b2c3d4e-int0-4d6f-8a11-000000000004"
    application_id = f"{_PERSON}:{_JOB}"
    _STATUS: ClassVar[Row] = {
        "active": "INTERVIEW", "company": "REJECTED", "candidate": "WITHDRAWN"
    }  # fmt: skip

    def lay(self) -> None:
        person = f"/candidates/{self._PERSON}"
        job, talks = f"{person}/jobs/{self._JOB}", "/interviews-api/v201904/interviews"
        self.on("GET", "/candidates", lambda _: {"content": [] if self.gone else [self._person()]})
        self.on("GET", person, self.there(self._person))
        self.on("GET", job, self.there(self._application))
        self.on("GET", f"{job}/status/history", self.there(self._history))
        self.on("GET", f"/jobs/{self._JOB}", answer("smartrecruiters", "job"))
        self.on("GET", talks, lambda _: {"content": self._interviews()})
        self.on("GET", f"{talks}/{self._TALK}", self.there(lambda: self._interviews()[0]))
        for side in ("rejection", "withdrawal"):
            reasons = answer("smartrecruiters", f"{side}_reasons")
            self.on("GET", f"/configuration/{side}-reasons", reasons)

    def _person(self) -> Row:
        told: Row = answer("smartrecruiters", "candidate")
        told |= {"email": ADDRESS, "updatedOn": written(self.changed_at)}
        told["primaryAssignment"]["status"] = self._STATUS[self.status]
        return told

    def _application(self) -> Row:
        names = {"active": "active", "company": "rejected", "candidate": "withdrawn"}
        told = answer("smartrecruiters", f"application_{names[self.status]}")
        return {**told, "status": self._STATUS[self.status]}

    def _history(self) -> Row:
        rows = [{"changedOn": written(self.applied_at), "status": "NEW"}]
        rows += [
            {"changedOn": written(at + timedelta(seconds=at == self.applied_at)),
             "status": self._STATUS[status]}
            for at, status in self.log
        ]  # fmt: skip
        return {"content": rows[::-1]}

    def _interviews(self) -> list[Row]:
        if self.talk is None:
            return []
        told = answer("smartrecruiters", "interview")
        slot = told["timeslots"][0] | {
            "startsOn": written(self.talk.starts_at),
            "endsOn": written(self.talk.ends_at),
        }
        return [{**told, "timeslots": [slot], "createdOn": written(self.talk.planned_at)}]

    def say_planned(self, **_: Any) -> tuple[str, Row]:
        return "interview.created", {"interview_id": self._TALK}

    def say_ended(self, **_: Any) -> tuple[str, Row]:
        told = {"job_id": self._JOB, "candidate_id": self._PERSON}
        return "application.status.updated", told

    say_reverted = say_ended

    def say_deleted(self, **_: Any) -> tuple[str, Row]:
        return "candidate.deleted", {"id": self._PERSON}

    def test(self) -> Sent:
        return Sent(b"", {"x-hook-secret": "handshake-1"})

    def sign(self, body: Any, *, again: bool) -> Sent:
        """A repetition is signed anew, at a later time: so may the vendor do it."""
        event, told = body
        raw, link = packed(told), '<https://api.smartrecruiters.example/candidates/1>; rel="self"'
        stamp = seconds(self.clock() if again else self.changed_at)
        headers = {
            "smartrecruiters-timestamp": stamp, "event-id": f"ev-{millis(self.changed_at)}",
            "event-name": event, "event-version": "v201907", "link": link,
        }  # fmt: skip
        parts = (stamp, raw.decode(), headers["event-id"], event, "v201907", link)
        signature = digest(self.secret, ".".join(parts).encode())
        claims = f"v1={'0' * 64};v1={signature}"
        return Sent(raw, {**headers, "smartrecruiters-signature": claims})


# ---- Teamtailor -----------------------------------------------------------------------------


class Teamtailor(System):
    provider = "teamtailor"
    application_id = "4711"
    cannot = MappingProxyType({
        "planned": "its API has no times of interviews that could be relied on"
    })  # fmt: skip

    def lay(self) -> None:
        self.on("GET", "/v1/job-applications", lambda _: self._listed())
        self.on("GET", "/v1/job-applications/4711", self.there(self._document))
        self.on("GET", "/v1/jobs/88", answer("teamtailor", "job"))
        self.on("GET", "/v1/reject-reasons", answer("teamtailor", "reject_reasons"))
        self.on("GET", "/v1/candidates/31", self.there(lambda: {"data": {"id": "31"}}))

    def _document(self) -> Row:
        told: Row = answer("teamtailor", "job_application")
        told["data"]["attributes"] |= {
            "created-at": written(self.applied_at), "updated-at": written(self.changed_at),
            "rejected-at": written(self.since) if self.ended else None,
        }  # fmt: skip
        for one in told["included"]:
            if one["type"] == "candidates":
                one["attributes"]["email"] = ADDRESS
            if one["type"] == "reject-reasons":
                one["attributes"]["rejected-by-company"] = self.status == "company"
        return told

    def _listed(self) -> Row:
        told = self._document()
        data = [] if self.gone else [told["data"]]
        return {"data": data, "included": told["included"], "links": {}}

    def _updated(self, **_: Any) -> Row:
        body: Row = body_of("teamtailor", "job_application_update")
        body["payload"]["data"]["attributes"] |= {
            "updated_at": written(self.changed_at), "transparent_recruiting_visible_at": None,
            "rejected_at": written(self.since) if self.ended else None,
        }  # fmt: skip
        return body

    say_ended = _updated
    say_reverted = _updated

    def say_deleted(self, **_: Any) -> Row:
        return body_of("teamtailor", "candidate_destroy")

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002
        raw, stamp = packed(body), seconds(self.clock())
        signature = digest(self.secret, f"{stamp}.".encode() + raw)
        claim = base64.b64encode(f"t={stamp},v2={signature}".encode()).decode()
        return Sent(raw, {"tt-signature": claim})


# ---- Recruitee ------------------------------------------------------------------------------


class Recruitee(System):
    provider = "recruitee"
    settings: ClassVar[Row] = {"company_id": "example"}
    source = "career_site"
    application_id = "9001:501"
    _REASONS: ClassVar[Row] = {"company": (31, "経験不足"), "candidate": (32, "選考辞退")}

    def maps(self) -> Row:
        return {"reason_map": {"31": "company", "32": "candidate"}}

    def lay(self) -> None:
        base = "/c/example"
        self.on("GET", f"{base}/search/new/candidates", self._search)
        self.on("GET", f"{base}/candidates/9001", self.there(lambda: {"candidate": self._person()}))
        self.on("GET", f"{base}/interview/events", self._events)
        reasons = answer("recruitee", "disqualify_reasons")
        self.on("GET", f"{base}/disqualify_reasons", reasons)

    def _person(self) -> Row:
        told: Row = answer("recruitee", "hit")
        told |= {"emails": [ADDRESS], "last_activity_at": written(self.changed_at)}
        reason = self._REASONS[self.status][1] if self.ended else None
        told["placements"][0] |= {
            "disqualified": self.ended, "disqualify_reason": reason,
            "disqualify_kind": "admin" if self.ended else None,
            "disqualified_at": written(self.since) if self.ended else None,
            "updated_at": written(self.changed_at),
        }  # fmt: skip
        return told

    def _search(self, call: Call) -> Row:
        first = call.query["page"] == ["1"] and not self.gone
        return {"hits": [self._person()] if first else []}

    def _events(self, call: Call) -> Row:
        past = call.query.get("status") == ["past"]
        if self.talk is None or self.gone or past is not self.is_over:
            return {"interview_events": []}
        told = answer("recruitee", "interview_event")
        times = {
            "starts_at": self.talk.starts_at, "ends_at": self.talk.ends_at,
            "created_at": self.talk.planned_at, "updated_at": self.changed_at,
        }  # fmt: skip
        return {"interview_events": [{**told, **{name: written(at) for name, at in times.items()}}]}

    def _moved(self, name: str, *, again: bool) -> Row:
        """Sent a moment after what it tells; a repetition counts its attempts in the body."""
        body: Row = body_of("recruitee", name)
        body["created_at"] = written(self.changed_at + timedelta(milliseconds=53))
        body["attempt_count"] = 2 if again else 1
        body["payload"]["candidate"]["emails"] = [ADDRESS]
        return body

    def say_planned(self, *, again: bool) -> Row:
        return self._moved("stage_changed", again=again)

    def say_ended(self, *, again: bool) -> Row:
        body = self._moved("disqualified", again=again)
        number, name = self._REASONS[self.status]
        body["payload"]["details"] = {"disqualify_reason": {"id": number, "name": name}}
        return body

    def say_reverted(self, *, again: bool) -> Row:
        return self._moved("requalified", again=again)

    def say_deleted(self, *, again: bool) -> Row:
        return self._moved("candidate_deleted", again=again)

    def test(self) -> Sent:
        """Unsigned, before anybody has the secret."""
        return Sent(packed(body_of("recruitee", "test")), {})

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002
        raw = packed(body)
        return Sent(raw, {"x-recruitee-signature": digest(self.secret, raw)})


# ---- Merge ----------------------------------------------------------------------------------


class Merge(System):
    provider = "merge"
    api_key = "key-1:account-1"
    application_id = "29eb9867-ce2a-403f-b8ce-f2844b89f078"

    def maps(self) -> Row:
        return {"reason_map": {"reason-company": "company", "reason-candidate": "candidate"}}

    def lay(self) -> None:
        base = "/api/ats/v1"
        self.on("GET", f"{base}/applications", lambda _: self._page([self._application()]))
        self.on("GET", f"{base}/applications/{self.application_id}", self.there(self._application))
        self.on("GET", f"{base}/interviews", lambda _: self._page(self._interviews()))
        self.on("GET", f"{base}/candidates", lambda _: self._page([]))
        self.on("GET", f"{base}/reject-reasons", answer("merge", "reject_reasons"))
        self.on("GET", f"{base}/job-interview-stages", answer("merge", "stages"))

    def _page(self, rows: list[Row]) -> Row:
        return {"next": None, "previous": None, "results": [] if self.gone else rows}

    def _application(self) -> Row:
        told: Row = answer("merge", "application")
        told["candidate"]["email_addresses"] = [
            {"value": ADDRESS, "email_address_type": "PERSONAL"}
        ]
        reason = {"id": f"reason-{self.status}", "name": self.status} if self.ended else None
        return told | {
            "modified_at": written(self.changed_at), "reject_reason": reason,
            "rejected_at": written(self.since) if self.ended else None,
        }  # fmt: skip

    def _interviews(self) -> list[Row]:
        if self.talk is None:
            return []
        told = answer("merge", "interviews")["results"][0]
        return [{
            **told, "start_at": written(self.talk.starts_at), "end_at": written(self.talk.ends_at),
            "remote_updated_at": written(self.talk.planned_at),
            "status": "AWAITING_FEEDBACK" if self.is_over else "SCHEDULED",
        }]  # fmt: skip

    def _of(self, event: str, data: Row) -> Row:
        told = body_of("merge", "application_changed")
        told["hook"]["event"] = event
        return {**told, "data": data}

    def say_planned(self, **_: Any) -> Row:
        return self._of("ScheduledInterview.added", self._interviews()[0])

    def say_held(self, **_: Any) -> Row:
        return self._of("ScheduledInterview.changed", self._interviews()[0])

    def say_ended(self, *, again: bool) -> Row:
        """Once with the person, the second time by its ids alone, after another sync."""
        told = self._application()
        if again:
            told |= {"candidate": told["candidate"]["id"], "modified_at": written(self.clock())}
        return self._of("Application.changed", told)

    def say_reverted(self, **_: Any) -> Row:
        return self._of("Application.changed", self._application())

    def say_deleted(self, **_: Any) -> Row:
        return body_of("merge", "candidate_removed")

    def test(self) -> Sent:
        return self.sign(body_of("merge", "test_post"), again=False)

    def sign(self, body: Any, *, again: bool) -> Sent:
        raw = packed(body)
        made = base64.urlsafe_b64encode(hmac.digest(self.secret.encode(), raw, "sha256")).decode()
        return Sent(raw, {"x-merge-webhook-signature": made.rstrip("=") if again else made})


# ---- iCIMS ----------------------------------------------------------------------------------


class Icims(System):
    provider = "icims"
    api_key = "relay:password-1"
    settings: ClassVar[Row] = {"customer_id": "6268"}
    source = None
    application_id = "900"
    cannot = MappingProxyType({
        "planned": "no call reads interviews for certain",
        "deleted": "no event tells that a person was deleted",
        "source": "no field tells where somebody applied",
    })  # fmt: skip
    _STATUS: ClassVar[Row] = {
        "active": ("C2014", "Hiring Manager Review"),
        "company": ("C2028", "Rejected: Not Selected"),
        "candidate": ("C51218", "Withdrawn by Candidate"),
    }

    def maps(self) -> Row:
        known = {"C2014": "active", "C2028": "rejected", "C51218": "withdrawn"}
        return {"status_map": known}

    def lay(self) -> None:
        base = "/customers/6268"
        self.on("GET", f"{base}/applicantworkflows/900", lambda _: self._workflow())
        person = {**answer("icims", "person"), "email": ADDRESS}
        self.on("GET", f"{base}/people/244", person)
        self.on("GET", f"{base}/jobs/1181", answer("icims", "job"))
        found = {"searchResults": [{"id": 900}]}
        self.on("POST", f"{base}/search/applicantworkflows", found)

    def _workflow(self) -> Row:
        def named(status: str) -> Row:
            number, text = self._STATUS[status]
            return {"id": number, "value": text, "formattedvalue": text}

        log = [
            {"status": named(status), "updatedDate": self._minute(at), "updatedBy": {"id": 1566}}
            for at, status in self.log
        ]
        return answer("icims", "workflow") | {
            "status": named(self.status), "submittalstatuslog": log,
            "updateddate": self._minute(self.changed_at),
            "createddate": self._minute(self.applied_at),
        }  # fmt: skip

    def _minute(self, at: datetime) -> str:
        return at.astimezone(UTC).strftime("%Y-%m-%d %I:%M %p")

    def _changed(self, *, again: bool) -> Row:
        body: Row = body_of("icims", "workflow_status_change")
        body["newStatus"] = self._STATUS[self.status][0]
        return {**body, "oldStatus": body["newStatus"]} if again else body

    say_ended = _changed
    say_reverted = _changed

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002
        raw = packed(body)
        headers = {
            "content-type": "application/json", "host": "relay.test",
            "x-icims-content-sha256": hashlib.sha256(raw).hexdigest(),
            "x-icims-date": self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000"),
        }  # fmt: skip
        names, lines = ";".join(headers), [f"{k}: {v}" for k, v in headers.items()]
        request = "\n".join(["POST", self.path, "", *lines, "", names])
        algorithm = "x-icims-v1-hmac-sha256"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"{algorithm}\n{headers['x-icims-date']}\n{hashed}"
        signature = digest(self.secret, text.encode())
        claim = f"{algorithm} user=U,signedheaders={names},signature={signature}"
        return Sent(raw, {**headers, "authorization": claim})


# ---- Zoho Recruit ---------------------------------------------------------------------------


class ZohoRecruit(System):
    provider = "zoho-recruit"
    api_key = "client-1:secret-1:refresh-1"
    source = "Career Site"
    application_id = "850051000000588062"
    _PERSON, _TALK = "850051000000588001", "850051000000590001"
    _STATUS: ClassVar[Row] = {"active": "Associated", "company": "Rejected", "candidate": "辞退"}

    def maps(self) -> Row:
        known = {"Associated": "active", "Rejected": "rejected", "辞退": "withdrawn"}
        return {"status_map": known}

    def lay(self) -> None:
        base, person = "/recruit/v2", answer("zoho-recruit", "candidate")
        person["data"][0] |= {"Email": ADDRESS, "Secondary_Email": None}
        self.on("POST", "/oauth/v2/token", {"access_token": "token-1"})
        for path in ("", f"/{self.application_id}", "/search"):
            self.on("GET", f"{base}/Applications{path}", lambda _: self._application())
        self.on("GET", f"{base}/Candidates/{self._PERSON}", self.there(lambda: person))
        for path in ("", f"/{self._TALK}", "/search"):
            self.on("GET", f"{base}/Interviews{path}", lambda _: self._interview())
        self.on("GET", f"{base}/settings/fields", answer("zoho-recruit", "fields"))

    def _application(self) -> Any:
        if self.gone:
            return Said(status=204, raw=b"")
        told = answer("zoho-recruit", "application")
        told["data"][0] |= {
            "Email": ADDRESS, "Application_Status": self._STATUS[self.status],
            "Updated_On": written(self.changed_at, spec="seconds"),
            "Created_Time": written(self.applied_at, spec="seconds"),
        }  # fmt: skip
        return told

    def _interview(self) -> Any:
        if self.gone or self.talk is None:
            return Said(status=204, raw=b"")
        told = answer("zoho-recruit", "interview")
        told["data"][0] |= {
            "Start_DateTime": written(self.talk.starts_at, spec="seconds"),
            "End_DateTime": written(self.talk.ends_at, spec="seconds"),
            "Updated_On": written(self.talk.planned_at, spec="seconds"),
        }  # fmt: skip
        return told

    def say_planned(self, **_: Any) -> Row:
        return body_of("zoho-recruit", "notification_interview")

    def say_ended(self, *, again: bool) -> Row | str:
        """By a notification, and by a workflow rule as well."""
        if again:
            return urlencode({"token": self.secret, "application_id": self.application_id})
        return body_of("zoho-recruit", "notification")

    def say_reverted(self, **_: Any) -> Row:
        return body_of("zoho-recruit", "notification")

    def say_deleted(self, **_: Any) -> Row:
        return body_of("zoho-recruit", "notification_candidate_deleted")

    def sign(self, body: Any, *, again: bool) -> Sent:  # noqa: ARG002
        if isinstance(body, str):
            return Sent(body.encode(), {"content-type": "application/x-www-form-urlencoded"})
        return Sent(packed({**body, "token": self.secret}), {"content-type": "application/json"})


# ---- Bullhorn -------------------------------------------------------------------------------


class Bullhorn(System):
    provider = "bullhorn"
    success = None
    api_key = "client-1:secret-1:api.user:pass"
    source = "Web"
    application_id = "501"
    _REST = "/rest-services/e999"
    _STATUS: ClassVar[Row] = {
        "active": "Interview Scheduled", "company": "Client Rejected",
        "candidate": "Candidate Withdrew",
    }  # fmt: skip

    def maps(self) -> Row:
        known = {
            "Interview Scheduled": "active", "Client Rejected": "rejected",
            "Candidate Withdrew": "withdrawn",
        }  # fmt: skip
        return {"status_map": known}

    def lay(self) -> None:
        base, rest = self.stub.base, self._REST
        centre = {"oauthUrl": f"{base}/oauth", "restUrl": f"{base}/rest-services"}
        back = {"location": "https://relay.example/back?code=c1"}
        session = {"BhRestToken": "bh-1", "restUrl": f"{base}{rest}/"}
        names = "jobResponseStatusList,rejectedJobResponseStatus,confirmedJobResponseStatus"
        self.on("GET", "/rest-services/loginInfo", centre)
        self.on("POST", "/oauth/authorize", Said(None, 302, back))
        self.on("POST", "/oauth/token", {"access_token": "t-1", "expires_in": 600})
        self.on("POST", "/rest-services/login", session)
        self.on("GET", f"{rest}/settings/{names}", answer("bullhorn", "settings"))
        one = f"{rest}/entity/JobSubmission/501"
        self.on("GET", one, self.there(lambda: {"data": self._submission()}))
        self.on("GET", f"{one}/appointments", lambda _: {"data": self._appointments()})
        self.on("GET", f"{rest}/query/JobSubmission", lambda _: self._rows([self._submission()]))
        self.on("GET", f"{rest}/query/JobSubmissionHistory", lambda _: self._rows(self._history()))
        self.on("GET", f"{rest}/query/Appointment", lambda _: self._rows(self._appointments()))
        self.on("GET", f"{rest}/query/Candidate", lambda _: {"data": self._lost()})

    def queue(self, connection_id: str) -> None:
        """Its events wait in a queue under the connection's own name; reading removes them."""
        path = f"{self._REST}/event/subscription/CareerRelay-{connection_id}"
        state: Row = {"last": None, "seen": self.changed_at, "batches": {}}

        def subscribe(_: Call) -> Row:
            state["last"] = state["last"] or 0
            return {"subscriptionId": f"CareerRelay-{connection_id}"}

        def last(_: Call) -> Any:
            return Said({}, 404) if state["last"] is None else {"result": state["last"]}

        def events(call: Call) -> Any:
            if "requestId" in call.query:
                return state["batches"].get(int(call.query["requestId"][0]), Said(None, 404))
            if self.changed_at == state["seen"]:
                return {}
            state["seen"], state["last"] = self.changed_at, state["last"] + 1
            told = answer("bullhorn", "events")
            batch = {"requestId": state["last"], "events": told["events"][:1]}
            state["batches"][state["last"]] = batch
            return batch

        self.on("PUT", path, subscribe)
        self.on("GET", f"{path}/lastRequestId", last)
        self.on("GET", path, events)

    def _rows(self, rows: list[Row]) -> Row:
        return {"data": [] if self.gone else rows}

    def _submission(self) -> Row:
        told: Row = answer("bullhorn", "submission")["data"]
        told["candidate"] |= {"email": ADDRESS, "email2": None, "name": "試験 花子"}
        return told | {
            "status": self._STATUS[self.status], "dateLastModified": millis(self.changed_at),
            "dateWebResponse": millis(self.applied_at),
        }  # fmt: skip

    def _history(self) -> list[Row]:
        return [
            {"id": n, "status": self._STATUS[status], "dateAdded": millis(at),
             "jobSubmission": {"id": 501}}
            for n, (at, status) in enumerate(self.log)
        ]  # fmt: skip

    def _appointments(self) -> list[Row]:
        if self.talk is None:
            return []
        told = answer("bullhorn", "appointments")["data"][0]
        times = {
            "dateBegin": self.talk.starts_at, "dateEnd": self.talk.ends_at,
            "dateLastModified": self.talk.planned_at,
        }  # fmt: skip
        return [{**told, **{name: millis(at) for name, at in times.items()}}]

    def _lost(self) -> list[Row]:
        told = {"id": 31, "isDeleted": True, "isAnonymized": False}
        return [{**told, "dateLastModified": millis(self.changed_at)}] if self.gone else []


# ---- HERP Hire, Talentio --------------------------------------------------------------------


class HerpHire(System):
    provider = "herp-hire"
    success = None
    source = "careerPage"
    application_id = "b47754fe-47f0-4cd0-bd43-542d5cf43001"
    cannot = MappingProxyType({"deleted": "the list of applications does not say who was deleted"})
    _REASONS: ClassVar[Row] = {"company": "rejected", "candidate": "refusedByCandidate"}

    def lay(self) -> None:
        base = "/hire/v1"
        self.on("GET", f"{base}/candidacies", lambda _: self._listed())
        self.on("GET", f"{base}/requisitions", answer("herp-hire", "requisitions"))
        self.on(
            "GET", f"{base}/candidacies/{self.application_id}/contacts",
            lambda _: {"contacts": self._contacts()},
        )  # fmt: skip

    def _listed(self) -> Row:
        told = answer("herp-hire", "candidacies_1")["candidacies"][1]
        mine = {
            "status": "terminated" if self.ended else "active", "email": ADDRESS,
            "terminationReason": self._REASONS.get(self.status),
            "terminatedAt": written(self.since) if self.ended else None,
            "updatedAt": written(self.changed_at), "appliedAt": written(self.applied_at),
        }  # fmt: skip
        return {"candidacies": [{**told, **mine}], "hasNextPage": False}

    def _contacts(self) -> list[Row]:
        if self.talk is None:
            return []
        told = answer("herp-hire", "contacts")["contacts"][3]
        told["assessmentSchedule"]["schedule"] = {
            "startsAt": written(self.talk.starts_at),
            "endsAt": written(self.talk.ends_at),
        }
        return [told]


class Talentio(System):
    provider = "talentio"
    success = None
    source = "採用サイト"
    application_id = "4"
    cannot = MappingProxyType({"deleted": "the list of candidates does not say who was deleted"})
    _STATUS: ClassVar[Row] = {"active": "ongoing", "company": "fail", "candidate": "reject"}

    def lay(self) -> None:
        base = "/api/v1/candidates"
        self.on("GET", base, lambda _: [self._candidate()])
        self.on("GET", f"{base}/4", lambda _: self._candidate())

    def _candidate(self) -> Row:
        told: Row = answer("talentio", "candidate")
        told |= {
            "status": self._STATUS[self.status], "email": ADDRESS,
            "fixedAt": written(self.since) if self.ended else None,
            "updatedAt": written(self.changed_at), "appliedAt": written(self.applied_at),
        }  # fmt: skip
        if self.talk is None:
            told["stages"] = []
        else:
            starts_at = written(self.talk.starts_at)
            told["stages"][0] |= {"scheduledAt": starts_at, "status": "ongoing"}
        return told


# ---- our own format -------------------------------------------------------------------------


class StandardWebhooks(System):
    provider = "standard-webhooks"
    success = 202
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    api_key = None
    source = "自社サイト"
    application_id = "A-1"
    cannot = MappingProxyType({"lost": "there is no API to ask what a lost delivery said"})

    def _objects(self) -> Row:
        return {
            "application": {
                "external_id": "A-1", "source": self.source,
                "applied_at": written(self.applied_at),
            },
            "candidate": {
                "external_id": "C-1", "display_name": "試験 花子", "family_name": "試験",
                "given_name": "花子",
                "emails": [{"value": ADDRESS, "type": "personal", "primary": True}],
            },
            "job": {"external_id": "J-1", "title": "法人営業", "department": "営業部"},
        }  # fmt: skip

    def _of(self, kind: str, **data: Any) -> Row:
        told = {**self._objects(), **data}
        return {"type": kind, "timestamp": written(self.changed_at), "data": told}

    def _interview(self) -> Row:
        assert self.talk is not None
        times = {"starts_at": self.talk.starts_at, "ends_at": self.talk.ends_at}
        return {"external_id": "I-1", **{name: written(at) for name, at in times.items()}}

    def say_planned(self, **_: Any) -> Row:
        return self._of("interview.scheduled", interview=self._interview())

    def say_held(self, **_: Any) -> Row:
        return self._of("interview.completed", interview=self._interview())

    def say_ended(self, **_: Any) -> Row:
        told = {"initiated_by": self.status, "rejected_at": written(self.since)}
        return self._of("application.rejected", rejection=told)

    def say_reverted(self, **_: Any) -> Row:
        return self._of("application.rejection_reverted")

    def say_deleted(self, **_: Any) -> Row:
        return self._of("candidate.deleted", deletion={"kind": "deleted"})

    def test(self) -> Sent:
        return self.sign(self._of("webhook.ping"), again=False)

    def sign(self, body: Any, *, again: bool) -> Sent:
        """A retry has the same id and a time, so a signature, of its own."""
        raw, at = packed(body), self.clock() + timedelta(seconds=1 if again else 0)
        number = f"msg_{millis(self.changed_at)}"
        return Sent(raw, standard_headers(raw, self.secret, at, number))


class CloudEvents(StandardWebhooks):
    provider = "cloudevents"
    settings: ClassVar[Row] = {"type_prefix": "com.acme."}

    def sign(self, body: Any, *, again: bool) -> Sent:
        """In structured mode; a repetition writes the same attributes in another order."""
        told = {
            "specversion": "1.0", "id": f"ev-{millis(self.changed_at)}", "source": "/ats/acme",
            "type": f"com.acme.{body['type']}", "time": body["timestamp"],
            "datacontenttype": "application/json", "data": body["data"],
        }  # fmt: skip
        if again:
            told = dict(reversed(told.items()))
        sent = super().sign(told, again=again)
        return Sent(sent.body, {**sent.headers, "content-type": "application/cloudevents+json"})


SYSTEMS: dict[str, type[System]] = {
    one.provider: one
    for one in (
        Greenhouse, Lever, Ashby, Workable, SmartRecruiters, Teamtailor, Recruitee, Merge, Icims,
        ZohoRecruit, Bullhorn, StandardWebhooks, CloudEvents, HerpHire, Talentio,
    )
}  # fmt: skip
