"""Deliveries in our generic format into canonical events."""

import json
from datetime import UTC, datetime

import pytest

from domain.ports import Unreadable
from integrations.ats import standard_webhooks
from tests.deliveries import incoming, view

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
AT = "2026-06-02T09:30:00+09:00"


def read(kind, data, *, at=AT, settings=None):
    body = json.dumps({"type": kind, "timestamp": at, "data": data}).encode()
    found = incoming(body, NOW, webhook_id="msg_1")
    return standard_webhooks.read(found, view(settings=settings or {}))


def only(kind, data, **more):
    events = read(kind, data, **more).events

    assert len(events) == 1
    return events[0]


def someone(**changes):
    return {
        "application": {"external_id": "A-1", "source": "company_site"},
        "candidate": {
            "external_id": "C-1",
            "emails": [{"value": "hanako@mail.example", "type": "personal", "primary": True}],
        },
        **changes,
    }


def ended(initiated_by, **more):
    return {"rejection": {"initiated_by": initiated_by, "rejected_at": AT, **more}}


def test_a_rejection_with_all_its_fields():
    data = {
        "application": {
            "external_id": "A-1", "url": "https://ats.example/a/1", "status": "rejected",
            "applied_at": "2026-05-01T00:00:00Z", "stage": {"id": 2, "name": "二次面接"},
            "source": "company_site", "custom_fields": {"k": [1, None, "v"]},
        },
        "candidate": {
            "external_id": 7, "display_name": "試験 花子", "given_name": "花子",
            "family_name": "試験",
            "emails": [
                {"value": "work@corp.example", "type": "work"},
                {"value": "hanako@mail.example", "type": "personal"},
                {"value": "main@mail.example", "type": "??", "primary": True},
            ],
            "phones": [{"value": "090-1234-5678", "type": "mobile"}],
            "url": "https://ats.example/c/7", "tags": ["a"], "is_private": False,
            "is_internal": False, "can_email": None, "is_anonymized": False,
        },
        "job": {
            "external_id": "J-1", "title": "法人営業", "department": "営業部", "location": "東京",
            "requisition_id": 12, "confidential": False,
        },
        "rejection": {
            "initiated_by": "company", "reason_id": "R1", "reason_text": "経験",
            "reason_type_raw": "org", "rejected_at": "2026-06-02T09:20:00+09:00",
            "not_before": "2026-06-02T00:59:59Z",
        },
    }  # fmt: skip
    reading = read("application.rejected", data)

    assert reading.as_of == datetime(2026, 6, 2, 0, 30, tzinfo=UTC)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "standard-webhooks",
            "connection_id": "ats_1",
            "provider_event": "application.rejected",
            "provider_event_id": "msg_1",
            "dedupe_key": "standard-webhooks:ats_1:application.rejected:A-1:2026-06-02T00:20:00Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:20:00Z",
            "received_at": "2026-06-02T01:00:00Z",
            "application": {
                "external_id": "A-1",
                "url": "https://ats.example/a/1",
                "status": "rejected",
                "applied_at": "2026-05-01T00:00:00Z",
                "stage": {"id": "2", "name": "二次面接"},
                "source": "company_site",
                "custom_fields": {"k": [1, None, "v"]},
            },
            "candidate": {
                "external_id": "7",
                "display_name": "試験 花子",
                "given_name": "花子",
                "family_name": "試験",
                "emails": [
                    {"value": "work@corp.example", "type": "work", "primary": False},
                    {"value": "hanako@mail.example", "type": "personal", "primary": False},
                    {"value": "main@mail.example", "type": "unknown", "primary": True},
                ],
                "primary_email": "main@mail.example",
                "phones": [{"value": "090-1234-5678", "type": "mobile"}],
                "url": "https://ats.example/c/7",
                "tags": ["a"],
                "is_private": False,
                "is_internal": False,
                "can_email": None,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "J-1",
                "title": "法人営業",
                "department": "営業部",
                "location": "東京",
                "requisition_id": "12",
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": "R1",
                "reason_text": "経験",
                "reason_type_raw": "org",
                "rejected_at": "2026-06-02T00:20:00Z",
                "not_before": "2026-06-02T00:59:59Z",
            },
            "interview": None,
            "deletion": None,
            "attachments": [],
            "enrichment": "complete",
            "holds": [],
        }
    ]


@pytest.mark.parametrize(("kind", "initiated_by", "becomes", "initiator"), [
    ("application.rejected", "company", "application.rejected", "company"),
    ("application.rejected", "candidate", "application.withdrawn", "candidate"),
    ("application.rejected", "other", "application.rejected", "other"),
    ("application.rejected", "unknown", "application.rejected", "unknown"),
    ("application.rejected", None, "application.rejected", "unknown"),
    ("application.withdrawn", None, "application.withdrawn", "candidate"),
    ("application.withdrawn", "candidate", "application.withdrawn", "candidate"),
    ("application.withdrawn", "company", "application.rejected", "company"),
])  # fmt: skip
def test_who_ended_it_beats_what_the_delivery_is_called(kind, initiated_by, becomes, initiator):
    event = only(kind, someone(**ended(initiated_by)))

    assert (event["type"], event["rejection"]["initiated_by"]) == (becomes, initiator)
    assert event["application"]["status"] == becomes.removeprefix("application.")
    unclassified = initiator in {"other", "unknown"}
    assert event["holds"] == (["reason_unclassified"] if unclassified else [])


def test_the_reason_map_decides_where_nobody_says_who_ended_it():
    known = {"reason_map": {"R1": "candidate", "R2": "hired", "R3": "company"}}
    kinds = {
        reason: only(
            "application.rejected", someone(**ended(None, reason_id=reason)), settings=known
        )
        for reason in ("R1", "R2", "R3", "R4")
    }

    assert {reason: event["type"] for reason, event in kinds.items()} == {
        "R1": "application.withdrawn",
        "R2": "application.hired",
        "R3": "application.rejected",
        "R4": "application.rejected",
    }
    assert kinds["R3"]["holds"] == []
    assert kinds["R4"]["holds"] == ["reason_unclassified"]


def test_an_end_without_a_rejection_object_has_the_delivery_s_time():
    event = only("application.rejected", someone())

    assert event["occurred_at"] == "2026-06-02T00:30:00Z"
    assert event["rejection"] == {
        "initiated_by": "unknown", "reason_id": None, "reason_text": None,
        "reason_type_raw": None, "rejected_at": "2026-06-02T00:30:00Z", "not_before": None,
    }  # fmt: skip


def test_not_before_holds_while_it_lies_ahead():
    event = only(
        "application.rejected", someone(**ended("company", not_before="2026-06-02T01:00:01Z"))
    )

    assert event["holds"] == ["not_before"]


def test_flags_of_the_person_and_the_job_are_holds():
    data = someone(
        candidate={"external_id": "C", "emails": [], "is_private": True, "is_internal": True,
                   "can_email": False},
        job={"external_id": "J", "confidential": True},
        **ended("company"),
    )  # fmt: skip

    assert only("application.rejected", data)["holds"] == [
        "no_email", "private_candidate", "can_email_false", "internal_applicant",
        "confidential_job",
    ]  # fmt: skip


@pytest.mark.parametrize(("emails", "stated", "found"), [
    ([], "A@Mail.EXAMPLE", [("A@mail.example", "unknown", True)]),
    (None, "a@mail.example", [("a@mail.example", "unknown", True)]),
    ([{"value": "b@corp.example", "type": "work"}, {"value": "A@mail.example"}], "a@mail.example",
     [("b@corp.example", "work", False), ("A@mail.example", "unknown", True)]),
    ([{"value": "b@corp.example", "type": "work"}], "a@mail.example",
     [("b@corp.example", "work", False), ("a@mail.example", "unknown", True)]),
    ([{"value": "b@mail.example", "primary": True}, {"value": "a@mail.example"}], "a@mail.example",
     [("b@mail.example", "unknown", True), ("a@mail.example", "unknown", False)]),
    ([{"value": "b@mail.example"}], "nobody@", [("b@mail.example", "unknown", False)]),
    ([], ["a@mail.example"], []),
])  # fmt: skip
def test_the_primary_address_may_be_told_beside_the_list(emails, stated, found):
    data = someone(candidate={"external_id": "C", "emails": emails, "primary_email": stated})
    event = only("application.rejected", {**data, **ended("company")})

    told = [(one["value"], one["type"], one["primary"]) for one in event["candidate"]["emails"]]
    assert told == found
    first = next((value for value, _, primary in found if primary), None)
    assert event["candidate"]["primary_email"] == (first or (found[0][0] if found else None))
    assert event["holds"] == ([] if found else ["no_email"])


@pytest.mark.parametrize("nothing", [{}, {"external_id": None, "title": None, "status": None}])
def test_an_object_with_nothing_in_it_is_none(nothing):
    data = someone(candidate=nothing, job=nothing, interview=nothing)
    rejected = only("application.rejected", {**data, **ended("company")})
    held = only("interview.completed", data)

    assert (rejected["candidate"], rejected["job"], rejected["holds"]) == (None, None, ["no_email"])
    assert (held["interview"], held["occurred_at"]) == (None, "2026-06-02T00:30:00Z")


def test_an_interview():
    data = someone(interview={
        "external_id": "I-1", "starts_at": "2026-06-01T10:00:00+09:00",
        "ends_at": "2026-06-01T11:00:00+09:00", "all_day": False, "status": "completed",
    })  # fmt: skip
    event = only("interview.completed", data)

    assert event["interview"] == {
        "external_id": "I-1", "starts_at": "2026-06-01T01:00:00Z",
        "ends_at": "2026-06-01T02:00:00Z", "all_day": False, "status": "completed",
    }  # fmt: skip
    assert event["application"]["status"] == "unknown"
    assert event["rejection"] is None
    assert event["occurred_at"] == "2026-06-02T00:30:00Z"
    assert event["dedupe_key"] == (
        "standard-webhooks:ats_1:interview.completed:A-1:2026-06-01T01:00:00Z"
    )


def test_an_interview_s_status_defaults_to_its_event():
    event = only("interview.scheduled", someone(interview={"external_id": "I-1"}))

    assert event["interview"]["status"] == "scheduled"
    assert event["dedupe_key"].endswith(":A-1:2026-06-02T00:30:00Z")


def test_a_hire_and_a_reversal():
    hired = only("application.hired", someone(**ended("company")))
    reverted = only("application.rejection_reverted", someone())

    assert (hired["application"]["status"], hired["rejection"]) == ("hired", None)
    assert (reverted["application"]["status"], reverted["rejection"]) == ("active", None)


@pytest.mark.parametrize(("deletion", "expected"), [
    (None, {"kind": "deleted", "application_external_ids": []}),
    ({"kind": "anonymized"}, {"kind": "anonymized", "application_external_ids": []}),
    ({"application_external_ids": [1, "A-2"]},
     {"kind": "deleted", "application_external_ids": ["1", "A-2"]}),
])  # fmt: skip
def test_a_deletion_needs_the_candidate_only(deletion, expected):
    event = only("candidate.deleted", {"candidate": {"external_id": "C-1"}, "deletion": deletion})

    assert event["application"] is None
    assert event["deletion"] == expected
    assert event["holds"] == []
    assert event["dedupe_key"] == (
        "standard-webhooks:ats_1:candidate.deleted:C-1:2026-06-02T00:30:00Z"
    )


def test_a_merge():
    data = {"candidate": {"external_id": "C-1", "merged_into_external_id": "C-2"}}

    assert only("candidate.merged", data)["candidate"]["merged_into_external_id"] == "C-2"


@pytest.mark.parametrize("kind", ["webhook.ping", "application.moved", "x"])
def test_unknown_types_make_no_event(kind):
    reading = read(kind, None, at=None)

    assert (reading.provider_event, list(reading.events)) == (kind, [])


@pytest.mark.parametrize(("kind", "data", "at", "code"), [
    (None, {}, AT, "type_missing"),
    (7, {}, AT, "type_malformed"),
    ("application.rejected", None, AT, "data_missing"),
    ("application.rejected", [], AT, "data_malformed"),
    ("application.rejected", someone(), None, "timestamp_missing"),
    ("application.rejected", someone(), "2026-06-02T09:30:00", "timestamp_malformed"),
    ("application.rejected", someone(application=None), AT, "application_id_missing"),
    ("application.rejected", someone(application={"external_id": ""}), AT,
     "application_id_missing"),
    ("application.rejected", someone(application="A-1"), AT, "application_malformed"),
    ("application.rejected", someone(candidate="C-1"), AT, "candidate_malformed"),
    ("application.rejected", someone(rejection=[]), AT, "rejection_malformed"),
    ("application.rejected", someone(**ended("recruiter")), AT, "initiated_by_malformed"),
    ("application.rejected", someone(**ended(True)), AT, "initiated_by_malformed"),
    ("application.rejected", someone(rejection={"rejected_at": "x"}), AT, "rejected_at_malformed"),
    ("interview.completed", someone(interview=3), AT, "interview_malformed"),
    ("interview.completed", someone(interview={"ends_at": "x"}), AT, "ends_at_malformed"),
    ("candidate.deleted", {}, AT, "candidate_id_missing"),
    ("candidate.deleted", {"candidate": {"external_id": "C"}, "deletion": {"kind": "x"}}, AT,
     "deletion_malformed"),
    ("candidate.merged", {"candidate": {"external_id": "C"}}, AT,
     "merged_into_external_id_missing"),
])  # fmt: skip
def test_what_decides_is_never_guessed(kind, data, at, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(kind, data, at=at)
