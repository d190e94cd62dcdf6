"""A believable delivery of every vendor that sends webhooks: full size, new each time, signed.

The bodies are the shape and size of the vendors' own rejections (invented people). What differs
from one to the next is put into the finished bytes, so that making a delivery costs little beside
receiving it.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SECRET = "bench-0123456789abcdef0123456789abcdef"  # noqa: S105 - of connections that live a minute
WHSEC = "whsec_" + base64.b64encode(SECRET.encode()).decode()

Signed = tuple[bytes, dict[str, str]]
_NUMBER = "NUMBER"
_MILLISECOND = 1000


@dataclass(frozen=True)
class Sent:
    """When and where to a delivery is sent: some vendors sign that too."""

    number: int
    path: str
    at: datetime

    @property
    def stamp(self) -> str:
        """The time in whole seconds."""
        return str(int(self.at.timestamp()))


@dataclass(frozen=True)
class Sample:
    """One vendor's delivery. `secrets` is what its connection is set up with."""

    provider: str
    template: bytes
    sign: Callable[[bytes, Sent], Signed]
    secrets: tuple[str, ...] = (SECRET,)
    accepted: int = 200

    def body(self, number: int) -> bytes:
        """The body before anything is signed."""
        return self.template.replace(_NUMBER.encode(), b"%012d" % number)

    def make(self, number: int, path: str, at: datetime | None = None) -> Signed:
        """The delivery of this number: body and headers."""
        sent = Sent(number, path, at or datetime.now(UTC))  # noqa: TID251 - vendors have clocks
        body, headers = self.sign(self.body(number), sent)
        return body, {"content-type": "application/json", **headers}


# ---- signatures -----------------------------------------------------------------------------


def _hex(message: bytes) -> str:
    return hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()


def _in_header(name: str, prefix: str = "") -> Callable[[bytes, Sent], Signed]:
    return lambda body, _: (body, {name: prefix + _hex(body)})


def greenhouse(body: bytes, sent: Sent) -> Signed:
    """Body and number of the event."""
    headers = {"signature": f"sha256 {_hex(body)}", "greenhouse-event-id": str(sent.number)}
    return body, headers


def _standard(body: bytes, sent: Sent) -> Signed:
    number = f"msg_{sent.number}"
    digest = hmac.digest(SECRET.encode(), f"{number}.{sent.stamp}.".encode() + body, "sha256")
    return body, {
        "webhook-id": number,
        "webhook-timestamp": sent.stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _cloudevents(body: bytes, sent: Sent) -> Signed:
    signed, headers = _standard(body, sent)
    return signed, {"content-type": "application/cloudevents+json", **headers}


def _icims(body: bytes, sent: Sent) -> Signed:
    at = sent.at.strftime("%Y-%m-%dT%H:%M:%S+0000")
    digest = hashlib.sha256(body).hexdigest()
    names = "x-icims-content-sha256;x-icims-date"
    lines = [f"x-icims-content-sha256: {digest}", f"x-icims-date: {at}"]
    request = "\n".join(["POST", sent.path, "", *lines, "", names]).encode()
    scheme = "x-icims-v1-hmac-sha256"
    told = _hex(f"{scheme}\n{at}\n{hashlib.sha256(request).hexdigest()}".encode())
    return body, {
        "x-icims-content-sha256": digest,
        "x-icims-date": at,
        "authorization": f"{scheme} user=bench,signedheaders={names},signature={told}",
    }


def _lever(body: bytes, sent: Sent) -> Signed:
    """Token and time are signed, and stand with their signature in the body."""
    token, at = f"{sent.number:032d}", int(sent.at.timestamp() * _MILLISECOND)
    head = f'{{"token":"{token}","triggeredAt":{at},"signature":"{_hex(f"{token}{at}".encode())}",'
    return head.encode() + body[1:], {}


def _merge(body: bytes, _: Sent) -> Signed:
    digest = hmac.digest(SECRET.encode(), body, "sha256")
    return body, {"x-merge-webhook-signature": base64.urlsafe_b64encode(digest).decode()}


def _smartrecruiters(body: bytes, sent: Sent) -> Signed:
    event, link = "application.status.updated", '<https://api.example/candidates/1>; rel="self"'
    signed = f".{sent.number}.{event}.v201910.{link}".encode()
    return body, {
        "smartrecruiters-timestamp": sent.stamp,
        "event-id": str(sent.number),
        "event-name": event,
        "event-version": "v201910",
        "link": link,
        "smartrecruiters-signature": "v1=" + _hex(sent.stamp.encode() + b"." + body + signed),
    }


def _teamtailor(body: bytes, sent: Sent) -> Signed:
    told = f"t={sent.stamp},v2={_hex(sent.stamp.encode() + b'.' + body)}"
    return body, {"tt-signature": base64.b64encode(told.encode()).decode()}


def _unsigned(body: bytes, _: Sent) -> Signed:
    """The body holds the secret itself."""
    return body, {}


# ---- bodies ---------------------------------------------------------------------------------

_MAIL = f"hanako.{_NUMBER}@mail.example"
_AT = "2026-10-01T08:00:00.000Z"
_DETAILS = [{"id": f"f{n}", "name": f"項目{n}", "value": "希望と経歴の覚え書き"} for n in range(10)]

_GREENHOUSE = {
    "action": "reject_candidate",
    "payload": {
        "application": {
            "id": _NUMBER, "status": "rejected", "prospect": False,
            "rejected_at": _AT, "last_activity_at": _AT,
            "rejection_reason": {
                "id": 1, "name": "他候補者との比較", "type": {"id": 1, "name": "We rejected them"},
            },
            "source": {"id": 1, "name": "Company site"},
            "candidate": {
                "id": _NUMBER, "first_name": "花子", "last_name": "試験",
                "is_private": False, "can_email": True,
                "email_addresses": [{"value": _MAIL, "type": "personal"}],
                "phone_numbers": [], "tags": [], "attachments": [], "custom_fields": {},
            },
            "jobs": [{"id": 9, "name": "法人営業", "departments": [{"id": 3, "name": "営業部"}]}],
            "custom_fields": {
                f"field_{n}": {"name": f"項目{n}", "type": "short_text", "value": "あ" * 12}
                for n in range(12)
            },
        },
    },
}  # fmt: skip
_ASHBY = {
    "action": "applicationUpdate", "webhookActionId": f"5f9a1d3e-0000-4000-8000-{_NUMBER}",
    "data": {
        "application": {
            "id": _NUMBER, "createdAt": _AT, "updatedAt": _AT, "status": "Archived",
            "archivedAt": _AT, "customFields": _DETAILS,
            "candidate": {
                "id": _NUMBER, "name": "試験 花子",
                "primaryEmailAddress": {"value": _MAIL, "type": "Personal", "isPrimary": True},
            },
            "currentInterviewStage": {"id": "st-9", "title": "Archived", "type": "Archived"},
            "source": {"id": "src-1", "title": "自社採用サイト", "isArchived": False},
            "archiveReason": {
                "id": "ar-1", "text": "他候補者との比較", "reasonType": "RejectedByOrg",
                "isArchived": False, "customFields": [],
            },
            "job": {"id": "job-204", "title": "法人営業", "locationId": "l1", "departmentId": "d1"},
            "hiringTeam": [], "creditedToUser": None,
        },
    },
}  # fmt: skip
_OURS = {
    "application": {"external_id": _NUMBER, "source": "company_site"},
    "candidate": {
        "external_id": _NUMBER, "display_name": "試験 花子",
        "emails": [{"value": _MAIL, "type": "personal", "primary": True}],
    },
    "job": {"external_id": "J-1", "title": "法人営業", "department": "営業部"},
    "rejection": {
        "initiated_by": "company", "rejected_at": _AT, "reason_text": "他候補者との比較",
    },
}  # fmt: skip
_ICIMS = {
    "eventType": "WorkFlowStatusChangeEvent", "systemId": _NUMBER, "customerId": "6268",
    "personId": _NUMBER, "jobId": "1181", "userId": "1566", "newStatus": "C2028",
    "oldStatus": "C2014",
    "links": [
        {"rel": one, "title": one, "url": f"https://api.example/customers/6268/{one}/{_NUMBER}"}
        for one in ("applicantWorkflow", "person", "job")
    ],
}  # fmt: skip
_LEVER = {
    "event": "candidateArchiveChange", "id": f"e0b6f7a4-0000-4000-8000-{_NUMBER}",
    "data": {
        "opportunityId": f"250d8f03-738a-4bba-a671-{_NUMBER}",
        "candidateId": f"250d8f03-738a-4bba-a671-{_NUMBER}",
        "contactId": f"7f23e772-f2cb-4ebb-b33f-{_NUMBER}",
        "fromArchived": None,
        "toArchived": {"archivedAt": 1790000000000, "reason": "63dd55b2-a99f-4e7b-985f"},
    },
}  # fmt: skip
_MERGE = {
    "hook": {"id": "7d7d1f0a", "event": "Application.changed", "target": "https://relay.example/"},
    "linked_account": {
        "id": "0f9f2a60", "integration": "Greenhouse", "category": "ats", "status": "COMPLETE",
        "end_user_organization_name": "試験商事", "end_user_email_address": "hr@company.example",
    },
    "data": {
        "id": _NUMBER, "remote_id": _NUMBER, "created_at": _AT, "modified_at": _AT,
        "candidate": {
            "id": _NUMBER, "first_name": "花子", "last_name": "試験", "can_email": True,
            "email_addresses": [{"value": _MAIL, "email_address_type": "PERSONAL"}],
            "phone_numbers": [], "tags": [], "attachments": [],
            "field_mappings": {"organization_defined_targets": {}}, "notes": _DETAILS,
        },
        "job": {"id": "022a", "name": "法人営業", "departments": [{"id": "d1", "name": "営業部"}]},
        "applied_at": _AT, "rejected_at": _AT, "source": "自社採用サイト", "offers": [],
        "current_stage": {"id": "d578", "name": "二次面接", "stage_order": 2},
        "reject_reason": {"id": "59b2", "name": "他候補者との比較"},
        "screening_question_answers": _DETAILS,
    },
}  # fmt: skip
_RECRUITEE = {
    "id": 1, "event_type": "candidate_moved", "event_subtype": "disqualified", "created_at": _AT,
    "attempt_count": 1, "level": "info",
    "payload": {
        "candidate": {
            "id": _NUMBER, "name": "試験 花子", "emails": [_MAIL], "phones": [],
            "source": "career_site", "tags": [], "created_at": _AT,
        },
        "company": {"id": 89564, "name": "試験商事"},
        "offer": {"id": 501, "title": "法人営業", "department": {"id": 7, "name": "営業部"}},
        "details": {"disqualify_reason": {"id": 31, "name": "他候補者との比較"}},
    },
}  # fmt: skip
_TEAMTAILOR = {
    "payload": {
        "event_name": "job_application.update",
        "data": {
            "id": _NUMBER, "type": "job_applications",
            "attributes": {
                "updated_at": _AT, "job_id": 88, "job_title": "法人営業", "last_moved_at": _AT,
                "stage_name": "二次面接", "referring_site": "自社採用サイト", "rejected_at": _AT,
                "company_uuid": "vAXspNm0J2Y", "promotion_id": None, "referer_id": None,
            },
        },
    },
}  # fmt: skip
_WORKABLE = {
    "id": _NUMBER, "event_type": "candidate_moved", "fired_at": _AT, "resource_type": "candidate",
    "data": {
        "id": _NUMBER, "name": "花子 試験", "firstname": "花子", "lastname": "試験",
        "account": {"subdomain": "company", "name": "Company Example"},
        "job": {"shortcode": "9CD658E13E", "title": "法人営業"},
        "stage": "二次面接", "stage_kind": "interview", "disqualified": True, "withdrew": False,
        "disqualification_reason": "他候補者との比較", "disqualified_at": _AT, "hired_at": None,
        "email": _MAIL, "domain": "自社採用サイト", "created_at": _AT, "updated_at": _AT,
        "education_entries": [], "experience_entries": [], "skills": [], "answers": _DETAILS,
    },
}  # fmt: skip


def _written(body: Mapping[str, Any]) -> bytes:
    """As most vendors write it; Greenhouse escapes everything beyond ASCII."""
    ascii_only = body is _GREENHOUSE
    return json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":")).encode()


_EVENT = {"type": "application.rejected", "timestamp": _AT, "data": _OURS}
_CLOUDEVENT = {
    "specversion": "1.0", "id": f"ev-{_NUMBER}", "source": "/ats/acme",
    "type": "application.rejected", "time": _AT, "datacontenttype": "application/json",
    "data": _OURS,
}  # fmt: skip
_FORM = f"token={SECRET}&application_id=850051{_NUMBER}&status=Rejected&job=1181".encode()

SAMPLES = {
    one.provider: one
    for one in (
        Sample("greenhouse", _written(_GREENHOUSE), greenhouse),
        Sample("ashby", _written(_ASHBY), _in_header("ashby-signature", "sha256=")),
        Sample("cloudevents", _written(_CLOUDEVENT), _cloudevents, (WHSEC,), 202),
        Sample("icims", _written(_ICIMS), _icims),
        Sample("lever", _written(_LEVER), _lever),
        Sample("merge", _written(_MERGE), _merge),
        Sample("recruitee", _written(_RECRUITEE), _in_header("x-recruitee-signature")),
        Sample(
            "smartrecruiters", b'{"job_id":"3c1a","candidate_id":"NUMBER"}', _smartrecruiters,
            accepted=202,
        ),
        Sample("standard-webhooks", _written(_EVENT), _standard, (WHSEC,), 202),
        Sample("teamtailor", _written(_TEAMTAILOR), _teamtailor),
        Sample("workable", _written(_WORKABLE), _in_header("x-workable-signature")),
        Sample("zoho-recruit", _FORM, _unsigned),
    )
}  # fmt: skip
