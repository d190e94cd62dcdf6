"""Ashby: deliveries and the API into canonical events, over the same keys."""

import base64
import copy
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.ports import (
    Aside,
    Unreadable,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import ADAPTERS, APIS, ashby, ashby_api
from tests.deliveries import SAMPLES, incoming, view
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
SECRET = "ashby-doc-secret"
APP = "1f0c2a54-7d0f-4a3e-9a31-0d4f0b9c1a01"
CANDIDATE = "6b1d9b3e-0c55-4c0c-8a5b-2f4a7be3aa10"
ACTION = "5f9a1d3e-2222-4000-8000-000000000001"
VECTORS = [
    one for one in json.loads((SAMPLES / "signatures.json").read_text()) if one["scheme"] == "ashby"
]
WINDOW = Window(datetime(2026, 6, 1, 23, 45, tzinfo=UTC), NOW)
NIGHT = Window(NOW - timedelta(days=30), NOW, full=True)


def sample(name):
    return json.loads((SAMPLES / "ashby" / f"{name}.json").read_text())


def answer(name):
    return sample(f"api/{name}")


def read(body, **settings):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ashby.read(incoming(raw, NOW), view(settings=settings))


def only(body, **settings):
    (event,) = read(body, **settings).events
    return event


def application(name="application_update_archived", **changes):
    body = sample(name)
    body["data"]["application"].update(changes)
    return body


def schedule(name="schedule_create", **changes):
    body = sample(name)
    body["data"]["interviewSchedule"].update(changes)
    return body


def understood(facts, **settings):
    plain = json.loads(json.dumps(facts))
    return ashby_api.understand(plain, incoming(b"", NOW), view(settings=settings), "poll")


# ---- the door -------------------------------------------------------------------------------


def test_it_is_registered():
    assert ADAPTERS["ashby"] is ashby
    assert APIS["ashby"] is ashby_api


def signed(body, secret=SECRET):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_vectors(vector):
    found = incoming(vector["signed_utf8"].encode(), NOW, ashby_signature=vector["expected"])

    assert ashby.verify(found, view(secrets=[vector["key"]])) is vector["valid"]


def test_both_vectors_are_tried():
    assert [one["name"] for one in VECTORS] == ["ashby", "ashby-ping"]


BODY = json.dumps(sample("ping"), separators=(",", ":")).encode()
GOOD = signed(BODY)


def test_any_of_several_secrets_verifies():
    found = incoming(BODY, NOW, ashby_signature=GOOD)

    assert ashby.verify(found, view(secrets=["another-secret-xyz", SECRET]))
    assert not ashby.verify(found, view(secrets=["another-secret-xyz"]))
    assert not ashby.verify(found, view(secrets=[]))


def test_an_empty_secret_opens_nothing():
    found = incoming(BODY, NOW, ashby_signature=signed(BODY, ""))

    assert not ashby.verify(found, view(secrets=[""]))


@pytest.mark.parametrize("at", range(len(BODY)))
def test_one_flipped_byte_is_refused(at):
    flipped = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]

    assert not ashby.verify(incoming(flipped, NOW, ashby_signature=GOOD), view(secrets=[SECRET]))


def test_the_same_json_in_other_bytes_is_refused():
    again = json.dumps(json.loads(BODY)).encode()

    assert again != BODY
    assert not ashby.verify(incoming(again, NOW, ashby_signature=GOOD), view(secrets=[SECRET]))


@pytest.mark.parametrize("header", [
    None, "", "sha256", "sha256=", "sha256=zz", GOOD[:-1], GOOD + "0", GOOD.upper(),
    GOOD.replace("=", " "), GOOD.removeprefix("sha256="), " " + GOOD, GOOD + " ",
    GOOD.replace("sha256", "sha1"), "sha256=" + "é" * 64, f"{GOOD},{GOOD}",
])  # fmt: skip
def test_a_malformed_or_missing_header_is_refused(header):
    headers = {} if header is None else {"ashby_signature": header}

    assert ashby.verify(incoming(BODY, NOW, **headers), view(secrets=[SECRET])) is False


def test_a_bad_signature_is_answered_so_that_ashby_tries_again():
    """No retry after 401, 403, 404, 405 or 410: a wrongly rotated secret must lose nothing."""
    assert ashby.BAD_SIGNATURE == 400
    assert ashby.SUCCESS == 200


def test_the_ping_is_understood_and_means_nothing():
    reading = read(BODY)

    assert (reading.provider_event, list(reading.events)) == ("ping", [])
    assert ashby.greet(incoming(BODY, NOW), view()) is None
    assert ashby.delivery_id(incoming(BODY, NOW)) is None


def test_the_action_id_is_the_changes_and_shared_by_its_deliveries():
    bodies = [sample("application_update_archived"), sample("stage_change_archived")]
    ids = [ashby.delivery_id(incoming(json.dumps(one).encode(), NOW)) for one in bodies]

    assert ids == [ACTION, ACTION]
    assert ashby.ONE_BODY_PER_ID is False


@pytest.mark.parametrize("body", [
    b"", b"[]", b"\xff", b'{"webhookActionId": 7}', b'{"webhookActionId": "a\\u0000"}',
    b'{"webhookActionId": "' + b"a" * 201 + b'"}',
])  # fmt: skip
def test_a_body_without_a_usable_id_has_none(body):
    assert ashby.delivery_id(incoming(body, NOW)) is None


def test_keys_that_could_never_verify_are_named():
    assert ashby.unusable([SECRET], []) is None
    assert ashby.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert ashby.unusable([], ["whpk_x"]) == "Ashby signs with a shared secret only"


# ---- ends -----------------------------------------------------------------------------------


def test_a_rejection_with_all_its_fields():
    reading = read(sample("application_update_archived"))

    assert reading.provider_event == "applicationUpdate"
    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 9, 870000, tzinfo=UTC)
    assert (reading.states, reading.undated, reading.lookup) == (False, False, None)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "ashby",
            "connection_id": "ats_1",
            "provider_event": "applicationUpdate",
            "provider_event_id": ACTION,
            "dedupe_key": f"ashby:ats_1:application.rejected:{APP}:2026-06-02T00:41:07.412000Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:41:07.412000Z",
            "received_at": "2026-06-02T01:00:00Z",
            "application": {
                "external_id": APP,
                "url": None,
                "status": "rejected",
                "applied_at": "2026-05-12T00:15:31.201000Z",
                "stage": {"id": "st-9", "name": "Archived"},
                "source": "自社採用サイト",
                "custom_fields": {"cf-1": {"name": "Desired start", "value": "2026-09-01"}},
            },
            "candidate": {
                "external_id": CANDIDATE,
                "display_name": "試験 花子",
                "given_name": None,
                "family_name": None,
                "emails": [
                    {"value": "Hanako.Shiken@mail.example", "type": "personal", "primary": True}
                ],
                "primary_email": "Hanako.Shiken@mail.example",
                "phones": [{"value": "090-1234-5678", "type": "Personal"}],
                "url": None,
                "tags": [],
                "is_private": False,
                "is_internal": False,
                "can_email": None,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "job-204",
                "title": "法人営業 R&D",
                "department": None,
                "location": None,
                "requisition_id": None,
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": "ar-company",
                "reason_text": "経験が求める水準と異なる",
                "reason_type_raw": "RejectedByOrg",
                "rejected_at": "2026-06-02T00:41:07.412000Z",
                "not_before": None,
            },
            "interview": None,
            "deletion": None,
            "attachments": [],
            "enrichment": "complete",
            "holds": [],
        }
    ]


def test_one_change_told_by_several_types_has_one_key():
    keys = {
        only(sample(name))["dedupe_key"]
        for name in ("application_update_archived", "stage_change_archived")
    }
    hires = {
        only({**sample("candidate_hire"), "action": action})["dedupe_key"]
        for action in ("candidateHire", "candidateStageChange", "applicationUpdate")
    }

    assert len(keys) == 1
    assert len(hires) == 1


def test_a_later_change_of_an_ended_application_keeps_the_key_and_is_newer():
    later = application(updatedAt="2026-06-02T12:00:00.000Z")

    assert only(later)["dedupe_key"] == only(sample("stage_change_archived"))["dedupe_key"]
    assert read(later).as_of == datetime(2026, 6, 2, 12, 0, tzinfo=UTC)


def test_ended_by_the_candidate_is_a_withdrawal():
    event = only(sample("application_update_withdrawn"))

    assert event["type"] == "application.withdrawn"
    assert event["application"]["status"] == "withdrawn"
    assert event["rejection"]["initiated_by"] == "candidate"
    assert event["holds"] == []


@pytest.mark.parametrize(("reason_type", "initiator", "holds"), [
    ("RejectedByOrg", "company", []),
    ("Other", "other", ["reason_unclassified"]),
    ("SomethingNew", "unknown", ["reason_unclassified"]),
    (None, "unknown", ["reason_unclassified"]),
])  # fmt: skip
def test_who_ended_it_is_the_reasons_type_and_never_its_text(reason_type, initiator, holds):
    reason = {"id": "r", "text": "Candidate withdrew 辞退", "reasonType": reason_type}
    event = only(application(archiveReason=reason))

    assert event["type"] == "application.rejected"
    assert event["rejection"]["initiated_by"] == initiator
    assert event["rejection"]["reason_type_raw"] == reason_type
    assert event["holds"] == holds


def test_without_a_reason_it_is_unclassified():
    event = only(sample("application_update_no_reason"))

    assert event["rejection"]["initiated_by"] == "unknown"
    assert event["rejection"]["reason_id"] is None
    assert event["holds"] == ["reason_unclassified"]


@pytest.mark.parametrize(("mapped", "kind", "initiator"), [
    ("company", "application.rejected", "company"),
    ("candidate", "application.withdrawn", "candidate"),
    ("other", "application.rejected", "other"),
    ("nonsense", "application.rejected", "other"),
])  # fmt: skip
def test_the_reason_map_decides_where_the_type_is_other(mapped, kind, initiator):
    event = only(sample("application_update_other"), reason_map={"ar-other": mapped})

    assert (event["type"], event["rejection"]["initiated_by"]) == (kind, initiator)


def test_the_reason_map_may_say_hired():
    event = only(sample("application_update_other"), reason_map={"ar-other": "hired"})

    assert (event["type"], event["rejection"], event["holds"]) == ("application.hired", None, [])


def test_a_typed_end_beats_the_reason_map():
    mapped = {"ar-candidate": "company", "ar-company": "candidate"}

    assert only(sample("application_update_withdrawn"), reason_map=mapped)["type"] == (
        "application.withdrawn"
    )
    assert only(sample("application_update_archived"), reason_map=mapped)["type"] == (
        "application.rejected"
    )


def test_the_tenant_may_exclude_a_reason():
    event = only(sample("application_update_archived"), excluded_reasons=["ar-company"])

    assert event["holds"] == ["reason_excluded"]


def test_an_end_without_its_own_time_is_dated_by_the_update_and_says_so():
    body = sample("application_update_archived")
    del body["data"]["application"]["archivedAt"]
    reading = read(body)

    assert reading.undated is True
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:41:09.870000Z"
    assert reading.events[0]["rejection"]["rejected_at"] is None


def test_a_missing_address_is_a_hold():
    event = only(sample("application_update_no_address"))

    assert (event["candidate"]["emails"], event["candidate"]["phones"]) == ([], [])
    assert event["holds"] == ["no_email"]


def test_only_a_work_address_is_a_hold():
    body = sample("application_update_archived")
    told = body["data"]["application"]["candidate"]["primaryEmailAddress"]
    told["type"] = "Work"

    assert only(body)["holds"] == ["work_email_only"]


# ---- how things stand -----------------------------------------------------------------------


def test_active_after_archived_is_a_statement_and_takes_a_hire_back_too():
    reading = read(sample("application_update_active"))
    (event,) = reading.events

    assert event["type"] == "application.rejection_reverted"
    assert event["application"]["status"] == "active"
    assert event["application"]["stage"] == {"id": "st-3", "name": "二次面接"}
    assert event["rejection"] is None
    assert event["occurred_at"] == "2026-06-03T01:00:00Z"
    assert (reading.states, reading.as_of) == (True, datetime(2026, 6, 3, 1, 0, tzinfo=UTC))
    assert list(reading.asides) == [Aside("unhired", APP)]


def test_a_lead_is_a_prospect():
    reading = read(sample("application_update_lead"))

    assert reading.states is True
    assert reading.events[0]["holds"] == ["prospect"]


def test_a_hire():
    reading = read(sample("candidate_hire"))
    (event,) = reading.events

    assert event["type"] == "application.hired"
    assert event["application"]["status"] == "hired"
    assert event["dedupe_key"] == f"ashby:ats_1:application.hired:{APP}:2026-06-04T01:00:00Z"
    assert reading.states is True
    assert list(reading.asides) == []


def test_a_status_we_do_not_know_makes_no_event():
    assert list(read(application(status="Frozen")).events) == []


@pytest.mark.parametrize("name", ["application_submit", "offer_create", "ping"])
def test_other_actions_make_no_event(name):
    body = sample(name)
    reading = read(body)

    assert (reading.provider_event, list(reading.events)) == (body["action"], [])
    assert reading.lookup is None


# ---- interviews -----------------------------------------------------------------------------


def test_a_schedule_spans_its_interview_events():
    reading = read(sample("schedule_create"))
    (event,) = reading.events

    assert event["type"] == "interview.scheduled"
    assert event["interview"] == {
        "external_id": "sch-1",
        "starts_at": "2026-06-01T01:00:00Z",
        "ends_at": "2026-06-01T03:00:00Z",
        "all_day": False,
        "status": "scheduled",
    }
    assert event["application"]["external_id"] == APP
    assert (event["candidate"], event["holds"]) == (None, [])
    assert event["occurred_at"] == "2026-05-25T02:30:00Z"
    assert event["dedupe_key"] == f"ashby:ats_1:interview.scheduled:{APP}:2026-06-01T01:00:00Z"
    assert reading.as_of == datetime(2026, 5, 25, 2, 30, tzinfo=UTC)


def test_its_creation_fires_an_update_too_under_one_key():
    again = {**sample("schedule_create"), "action": "interviewScheduleUpdate"}

    assert only(again)["dedupe_key"] == only(sample("schedule_create"))["dedupe_key"]


def test_a_complete_schedule_took_place_when_it_ended():
    event = only(sample("schedule_update_complete"))

    assert event["type"] == "interview.completed"
    assert event["occurred_at"] == "2026-06-01T03:00:00Z"
    assert event["interview"]["status"] == "completed"
    assert event["dedupe_key"] == f"ashby:ats_1:interview.completed:{APP}:2026-06-01T01:00:00Z"


def test_a_cancelled_schedule_forgets_its_times():
    reading = read(sample("schedule_update_cancelled"))

    assert list(reading.events) == []
    assert list(reading.asides) == [Aside("interview_off", "sch-1")]
    assert reading.as_of == datetime(2026, 5, 30, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [
    "NeedsScheduling", "WaitingOnCandidateBooking", "WaitingOnCandidateAvailability",
    "CandidateAvailabilitySubmitted", "WaitingOnFeedback", "OnHold", "Unknown", "Novel", None,
])  # fmt: skip
def test_the_other_states_of_a_schedule_emit_nothing(status):
    reading = read(schedule(status=status))

    assert (list(reading.events), list(reading.asides)) == ([], [])


def test_a_schedule_without_interview_events_has_no_time_to_tell():
    assert list(read(schedule(interviewEvents=[])).events) == []


def test_a_complete_schedule_without_times_counts_once_however_often_it_is_updated():
    told = {"status": "Complete", "interviewEvents": []}
    events = [
        read(schedule(**told, updatedAt=at)).events[0]
        for at in ("2026-06-01T08:00:00.000Z", "2026-06-01T09:00:00.000Z")
    ]

    assert [one["type"] for one in events] == ["interview.completed"] * 2
    assert events[0]["dedupe_key"] == events[1]["dedupe_key"]


# ---- people ---------------------------------------------------------------------------------


def test_a_deletion():
    event = only(sample("candidate_delete"))

    assert event["type"] == "candidate.deleted"
    assert event["candidate"]["external_id"] == CANDIDATE
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": []}
    assert event["dedupe_key"] == f"ashby:ats_1:candidate.deleted:{CANDIDATE}:deleted"
    assert (event["application"], event["holds"]) == (None, [])


def test_a_merge_goes_from_the_deleted_to_the_merged_record():
    event = only(sample("candidate_merge"))

    assert event["type"] == "candidate.merged"
    assert event["candidate"]["external_id"] == CANDIDATE
    assert event["candidate"]["merged_into_external_id"] == "6b1d9b3e-0c55-4c0c-8a5b-2f4a7be3aa11"


# ---- what nobody may guess ------------------------------------------------------------------


def change(body, path, value):
    body = copy.deepcopy(body)
    *way, last = path.split(".")
    place = body
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = value
    return body


A = "data.application"


@pytest.mark.parametrize(("path", "value", "code"), [
    ("action", None, "action_missing"),
    ("action", 7, "action_malformed"),
    ("data", None, "data_missing"),
    (A, None, "application_missing"),
    (A, "x", "application_malformed"),
    (f"{A}.id", None, "application_id_missing"),
    (f"{A}.id", 1.5, "application_id_malformed"),
    (f"{A}.status", None, "status_missing"),
    (f"{A}.status", 3, "status_malformed"),
    (f"{A}.archivedAt", "2026-06-02T00:41:07", "archived_at_malformed"),
    (f"{A}.archivedAt", 1780360867412, "archived_at_malformed"),
    (f"{A}.updatedAt", "yesterday", "updated_at_malformed"),
    (f"{A}.createdAt", "2026-06-02", "created_at_malformed"),
    (f"{A}.archiveReason", "declined", "archive_reason_malformed"),
    (f"{A}.archiveReason.reasonType", 1, "reason_type_malformed"),
    (f"{A}.archiveReason.id", [], "reason_id_malformed"),
    (f"{A}.candidate", None, "candidate_missing"),
    (f"{A}.candidate.id", True, "candidate_id_malformed"),
    (f"{A}.candidate.name", 7, "name_malformed"),
    (f"{A}.candidate.primaryEmailAddress", "a@b.example", "primary_email_malformed"),
    (f"{A}.candidate.primaryEmailAddress", ["a@b.example"], "primary_email_malformed"),
    (f"{A}.candidate.primaryEmailAddress.isPrimary", "yes", "email_primary_malformed"),
    (f"{A}.job", "x", "job_malformed"),
    (f"{A}.job.id", None, "job_id_missing"),
])  # fmt: skip
def test_what_decides_is_never_guessed(path, value, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(change(sample("application_update_archived"), path, value))


def test_a_statement_without_a_time_is_none():
    with pytest.raises(Unreadable, match=r"^updated_at_missing$"):
        read(application("application_update_active", updatedAt=None))
    with pytest.raises(Unreadable, match=r"^updated_at_missing$"):
        read(application(archivedAt=None, updatedAt=None))


@pytest.mark.parametrize(("path", "value", "code"), [
    ("data.interviewSchedule", None, "interview_schedule_missing"),
    ("data.interviewSchedule.id", None, "interview_schedule_id_missing"),
    ("data.interviewSchedule.applicationId", None, "application_id_missing"),
    ("data.interviewSchedule.interviewEvents", {}, "interview_events_malformed"),
    ("data.interviewSchedule.interviewEvents", [{"id": "1"}], "start_time_missing"),
    ("data.interviewSchedule.interviewEvents", [{"startTime": "10:00"}], "start_time_malformed"),
    ("data.interviewSchedule.updatedAt", 7, "updated_at_malformed"),
])  # fmt: skip
def test_an_interviews_ids_and_times_are_never_guessed(path, value, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(change(sample("schedule_create"), path, value))


@pytest.mark.parametrize(("path", "value"), [
    (f"{A}.currentInterviewStage", "x"),
    (f"{A}.source", []),
    (f"{A}.customFields", {"a": 1}),
    (f"{A}.customFields", [None, {"id": 7}, {"id": "a", "value": "\0"}]),
    (f"{A}.candidate.primaryPhoneNumber", "090"),
    (f"{A}.candidate.primaryEmailAddress.type", 7),
    (f"{A}.hiringTeam", 7),
])  # fmt: skip
def test_a_broken_decoration_does_not_keep_the_candidate_waiting(path, value):
    event = only(change(sample("application_update_archived"), path, value))

    assert event["type"] == "application.rejected"
    assert event["candidate"]["primary_email"] == "Hanako.Shiken@mail.example"


# ---- the API --------------------------------------------------------------------------------


@pytest.fixture
async def stub():
    async with vendor_stub() as running:
        yield running


async def steps(stub, window, cursor=None):
    """Every step of a poll, and the cursors between them, as they are kept."""
    pages = []
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        while True:
            found = await ashby_api.page(api, connection, window, cursor)
            pages.append(found)
            cursor = json.loads(json.dumps(found.cursor))
            if cursor is None:
                return pages


def lay_out(stub):
    def applications(call):
        asked = call.json
        if asked["status"] == "Archived":
            second = asked.get("cursor") == "page-2"
            return answer("applications_archived_2" if second else "applications_archived_1")
        empty = {"success": True, "results": [], "moreDataAvailable": False}
        names = {"Hired": "applications_hired", "Active": "applications_active"}
        return answer(names[asked["status"]]) if asked["status"] in names else empty

    stub.lay("POST", "/application.list", applications)
    stub.lay("POST", "/interviewSchedule.list", answer("schedules"))


@pytest.mark.anyio
async def test_a_poll_follows_every_page_and_takes_what_changed(stub):
    lay_out(stub)
    pages = await steps(stub, WINDOW)
    facts = [one for page in pages for one in page.facts]

    assert [one["application"]["id"] for one in facts if one["kind"] == "application"] == [
        APP, "app-2", "app-3", "app-4",
    ]  # fmt: skip
    assert [page.cursor for page in pages] == [
        {"part": "Archived", "cursor": "page-2"}, {"part": "Hired"}, {"part": "Active"},
        {"part": "interviews"}, None,
    ]  # fmt: skip
    half_a_year_before = int((WINDOW.since - timedelta(days=182)).timestamp() * 1000)
    assert [call.json for call in stub.calls] == [
        {"limit": 100, "createdAfter": half_a_year_before, **more}
        for more in (
            {"status": "Archived"}, {"status": "Archived", "cursor": "page-2"},
            {"status": "Hired"}, {"status": "Active"}, {},
        )
    ]  # fmt: skip
    key = "Basic " + base64.b64encode(b"key-for-tests:").decode()
    assert {call.headers["authorization"] for call in stub.calls} == {key}


@pytest.mark.anyio
async def test_what_a_poll_finds_is_understood_as_a_webhook_is(stub):
    lay_out(stub)
    facts = [one for page in await steps(stub, WINDOW) for one in page.facts]
    readings = [understood(one) for one in facts]
    told = only(sample("application_update_archived"))

    assert [one.events[0]["type"] for one in readings[:4]] == [
        "application.rejected", "application.withdrawn", "application.hired",
        "application.rejection_reverted",
    ]  # fmt: skip
    assert readings[0].events[0] == {
        **told, "provider_event": "poll", "provider_event_id": None,
    }  # fmt: skip
    assert [one.states for one in readings[:4]] == [False, False, True, True]


@pytest.mark.anyio
async def test_a_poll_tells_what_became_of_interviews(stub):
    lay_out(stub)
    facts = [one for page in await steps(stub, WINDOW) for one in page.facts]
    found = {
        one["about"]["application_id"]: understood(one)
        for one in facts
        if one["kind"] == "interviews"
    }

    assert {
        number: ([event["type"] for event in one.events], list(one.asides))
        for number, one in found.items()
    } == {
        APP: ([], [Aside("interview_off", "sch-2")]),
        "app-9": (["interview.scheduled"], []),
        "app-10": (["interview.completed"], []),
        "app-11": ([], []),
    }
    assert found["app-9"].as_of == NOW
    assert found["app-9"].events[0]["occurred_at"] == "2026-06-02T00:20:00Z"


@pytest.mark.anyio
async def test_the_nightly_look_goes_through_all_and_leads_too(stub):
    lay_out(stub)
    await steps(stub, NIGHT)

    asked = [call.json for call in stub.calls]
    assert [one.get("status") for one in asked] == [
        "Archived", "Archived", "Hired", "Active", "Lead", None,
    ]  # fmt: skip
    assert not any("createdAfter" in one for one in asked)


@pytest.mark.anyio
async def test_a_poll_goes_on_where_it_was(stub):
    lay_out(stub)
    pages = await steps(stub, WINDOW, {"part": "Archived", "cursor": "page-2"})

    assert stub.calls[0].json["cursor"] == "page-2"
    assert [one["application"]["id"] for one in pages[0].facts] == ["app-2"]
    assert len(pages) == 4


@pytest.mark.anyio
@pytest.mark.parametrize("code", ["next_cursor_expired", "cursor_invalid"])
async def test_a_cursor_kept_too_long_begins_its_part_again(stub, code):
    refused = {"success": False, "errors": [code], "errorInfo": {"code": code, "message": "x"}}
    stub.lay("POST", "/application.list", refused)
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        found = await ashby_api.page(api, connection, WINDOW, {"part": "Hired", "cursor": "page-9"})

    assert (list(found.facts), found.cursor) == ([], {"part": "Hired"})


@pytest.mark.anyio
@pytest.mark.parametrize(("told", "raised"), [
    ({"success": False, "errors": ["application_not_found"]}, VendorMissing),
    ({"success": False, "errors": [{"code": "invalid_input"}]}, VendorRefused),
    ({"success": False, "errorInfo": {"code": "missing_endpoint_permission"}}, VendorRefused),
    ({"success": False, "errors": ["internal_server_error"]}, VendorDown),
    ({"success": False, "errors": [7]}, VendorRefused),
    ({"success": False}, VendorRefused),
    ({"success": True, "results": {}}, VendorDown),
    ([], VendorDown),
    (Said(status=500), VendorDown),
    (Said(status=401), VendorRefused),
])  # fmt: skip
async def test_errors_told_with_a_200_are_errors(stub, told, raised):
    stub.lay("POST", "/application.list", told)
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        with pytest.raises(raised):
            await ashby_api.page(api, connection, WINDOW, None)


@pytest.mark.anyio
async def test_a_busy_vendor_says_when_to_come_back(stub):
    stub.lay("POST", "/application.list", Said({}, 429, {"retry-after": "30"}))
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        with pytest.raises(VendorDown) as raised:
            await ashby_api.page(api, connection, WINDOW, None)

    assert raised.value.retry_after == timedelta(seconds=30)


@pytest.mark.anyio
async def test_interviews_of_one_application_are_looked_up(stub):
    first, second = sample("schedule_create"), sample("schedule_update_cancelled")
    one = first["data"]["interviewSchedule"]
    two = {**second["data"]["interviewSchedule"], "id": "sch-2"}
    stub.lay("POST", "/interviewSchedule.list",
        {"success": True, "results": [one], "moreDataAvailable": True, "nextCursor": "n"},
        {"success": True, "results": [two], "moreDataAvailable": False})  # fmt: skip
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        facts = await ashby_api.look_up(
            api, connection, {"kind": "interviews", "application_id": APP}
        )
    reading = understood(facts)

    assert [call.json for call in stub.calls] == [
        {"limit": 100, "applicationId": APP},
        {"limit": 100, "cursor": "n", "applicationId": APP},
    ]
    # Nobody marked it as held: it was planned, is over and was not cancelled.
    assert [event["type"] for event in reading.events] == ["interview.completed"]
    assert (
        reading.events[0]["dedupe_key"] == (only(sample("schedule_update_complete"))["dedupe_key"])
    )
    assert list(reading.asides) == [Aside("interview_off", "sch-2")]
    assert reading.as_of == NOW


@pytest.mark.anyio
async def test_one_application_is_looked_up(stub):
    told = sample("application_update_withdrawn")["data"]["application"]
    stub.lay("POST", "/application.info", {"success": True, "results": told})
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        facts = await ashby_api.look_up(
            api, connection, {"kind": "application", "application_id": APP}
        )

    assert stub.calls[0].json == {"applicationId": APP}
    assert understood(facts).events[0]["type"] == "application.withdrawn"


@pytest.mark.parametrize("facts", [
    {}, {"kind": "x"}, {"kind": "application"}, {"kind": "application", "application": []},
    {"kind": "interviews", "schedules": [7]}, {"kind": "interviews", "schedules": [{}]},
])  # fmt: skip
def test_facts_of_another_shape_are_unreadable(facts):
    with pytest.raises(Unreadable):
        understood(facts)


@pytest.mark.anyio
async def test_reasons_come_with_the_vendors_own_type_as_suggestion(stub):
    stub.lay("POST", "/archiveReason.list", answer("archive_reasons"))
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        words = await ashby_api.words(api, connection)

    assert stub.calls[0].json == {"limit": 100, "includeArchived": True}
    assert words == [
        Word("reason", "ar-company", "条件", "company"),
        Word("reason", "ar-candidate", "他社に決定", "candidate"),
        Word("reason", "ar-other", "辞退", "candidate"),
        Word("reason", "ar-other-2", "Timing", None),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("known", [CANDIDATE, None])
async def test_a_note_and_a_tag_are_left(stub, known):
    told = sample("application_update_archived")["data"]["application"]
    stub.lay("POST", "/application.info", {"success": True, "results": told})
    stub.lay("POST", "/candidateTag.create", {"success": True, "results": {"id": "tag-1"}})
    stub.lay("POST", "/candidate.addTag", {"success": True, "results": {}})
    stub.lay("POST", "/candidate.createNote", {"success": True, "results": {}})
    async with api_of(ashby_api, stub, NOW) as (api, connection):
        await ashby_api.write_back(api, connection, WriteBack(APP, known, "伝えました", "relay"))

    asked = [(call.path, call.json) for call in stub.calls if call.path != "/application.info"]
    assert asked == [
        ("/candidateTag.create", {"title": "relay"}),
        ("/candidate.addTag", {"candidateId": CANDIDATE, "tagId": "tag-1"}),
        ("/candidate.createNote", {
            "candidateId": CANDIDATE, "note": "伝えました", "isPrivate": False,
            "sendNotifications": False,
        }),
    ]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["", None, 7])
async def test_without_a_key_nobody_is_asked(stub, key):
    with pytest.raises(VendorRefused, match=r"^api_key_missing$"):
        async with api_of(ashby_api, stub, NOW, api_key=key):
            pass

    assert stub.calls == []
