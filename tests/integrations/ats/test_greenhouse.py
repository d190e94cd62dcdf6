"""Greenhouse deliveries into canonical events, field by field."""

import copy
from datetime import UTC, datetime

import pytest

from domain.ports import Aside, Unreadable, Word
from integrations.ats import greenhouse
from tests.deliveries import escaped, incoming, sample, view

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)


def read(body, **settings):
    found = incoming(body, NOW, greenhouse_event_id="ev-1")
    return greenhouse.read(found, view(settings=settings))


def only(body, **settings):
    events = read(body, **settings).events

    assert len(events) == 1
    return events[0]


def rejected(**changes):
    body = sample("reject_candidate")
    body["payload"]["application"].update(changes)
    return body


def of_person(**changes):
    body = sample("reject_candidate")
    body["payload"]["application"]["candidate"].update(changes)
    return body


def test_a_rejection_with_all_its_fields():
    reading = read(sample("reject_candidate"))

    assert reading.provider_event == "reject_candidate"
    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 7, 412000, tzinfo=UTC)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "greenhouse",
            "connection_id": "ats_1",
            "provider_event": "reject_candidate",
            "provider_event_id": "ev-1",
            "dedupe_key": "greenhouse:ats_1:application.rejected:48206133001:2026-06-02T00:41:07Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:41:07Z",
            "received_at": "2026-06-02T01:00:00Z",
            "application": {
                "external_id": "48206133001",
                "url": "https://app.greenhouse.example/people/31?application_id=48206133001",
                "status": "rejected",
                "applied_at": "2026-05-12T00:15:31Z",
                "stage": {"id": "71", "name": "二次面接"},
                "source": "自社採用サイト",
                "custom_fields": {
                    "desired_start": {
                        "name": "Desired start",
                        "type": "date",
                        "value": "2026-09-01",
                    }
                },
            },
            "candidate": {
                "external_id": "31",
                "display_name": "花子 試験",
                "given_name": "花子",
                "family_name": "試験",
                "emails": [
                    {"value": "hanako@work.example", "type": "work", "primary": False},
                    {"value": "Hanako.Shiken@mail.example", "type": "personal", "primary": False},
                ],
                "primary_email": "Hanako.Shiken@mail.example",
                "phones": [{"value": "０９０−１２３４−５６７８", "type": "mobile"}],
                "url": "https://app.greenhouse.example/people/31",
                "tags": ["海外営業", "TOEIC 800"],
                "is_private": False,
                "is_internal": False,
                "can_email": True,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "204",
                "title": "法人営業 R&D",
                "department": "営業部",
                "location": "東京都千代田区",
                "requisition_id": "REQ-7",
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": "14",
                "reason_text": "経験が求める水準と異なる",
                "reason_type_raw": "We rejected them",
                "rejected_at": "2026-06-02T00:41:07Z",
                "not_before": None,
            },
            "interview": None,
            "deletion": None,
            "attachments": [
                {
                    "kind": "resume",
                    "filename": "職務経歴書.pdf",
                    "url": "https://files.greenhouse.example/a/1",
                    "expires_at": "2026-06-09T01:00:00Z",
                },
                {
                    "kind": "other",
                    "filename": "test.zip",
                    "url": "https://files.greenhouse.example/a/2",
                    "expires_at": "2026-06-09T01:00:00Z",
                },
            ],
            "enrichment": "complete",
            "holds": [],
        }
    ]


def test_ended_by_the_candidate_is_a_withdrawal():
    event = only(sample("reject_candidate_withdrew"))

    assert event["type"] == "application.withdrawn"
    assert event["application"]["status"] == "withdrawn"
    assert event["rejection"]["initiated_by"] == "candidate"
    assert event["rejection"]["reason_text"] == "他社に決定"
    assert event["holds"] == []


@pytest.mark.parametrize(("name", "initiator", "holds"), [
    ("We rejected them", "company", []),
    ("WE REJECTED THEM", "company", []),
    ("WE_REJECTED_THEM", "company", []),
    ("None specified", "unknown", ["reason_unclassified"]),
    ("NONE_SPECIFIED", "unknown", ["reason_unclassified"]),
    ("Wrong skill set", "unknown", ["reason_unclassified"]),
    ("Location", "unknown", ["reason_unclassified"]),
    ("SECURITY_CONCERN", "company", ["reason_excluded"]),
])  # fmt: skip
def test_who_ended_it_follows_the_type_s_name_not_the_reason_s_text(name, initiator, holds):
    reason = {"id": 1, "name": "They rejected us", "type": {"id": 2, "name": name}}
    event = only(rejected(rejection_reason=reason))

    assert event["type"] == "application.rejected"
    assert event["rejection"]["initiated_by"] == initiator
    assert event["holds"] == holds


def test_without_a_reason_it_is_unclassified():
    event = only(sample("reject_candidate_no_reason"))

    assert event["rejection"] == {
        "initiated_by": "unknown",
        "reason_id": None,
        "reason_text": None,
        "reason_type_raw": None,
        "rejected_at": "2026-06-02T00:41:07Z",
        "not_before": None,
    }
    assert event["holds"] == ["reason_unclassified"]


@pytest.mark.parametrize(("mapped", "kind", "initiator"), [
    ("company", "application.rejected", "company"),
    ("candidate", "application.withdrawn", "candidate"),
    ("other", "application.rejected", "other"),
    ("nonsense", "application.rejected", "unknown"),
])  # fmt: skip
def test_the_reason_map_decides_where_the_type_does_not(mapped, kind, initiator):
    reason = {"id": 9, "name": "条件", "type": {"id": 5, "name": "None specified"}}
    event = only(rejected(rejection_reason=reason), reason_map={"9": mapped})

    assert (event["type"], event["rejection"]["initiated_by"]) == (kind, initiator)


def test_the_reason_map_may_say_that_a_reason_means_hired():
    reason = {"id": 9, "name": "別求人で採用", "type": {"id": 5, "name": "None specified"}}
    event = only(rejected(rejection_reason=reason), reason_map={"9": "hired"})

    assert event["type"] == "application.hired"
    assert (event["rejection"], event["holds"]) == (None, [])


def test_a_typed_end_beats_the_reason_map():
    event = only(sample("reject_candidate_withdrew"), reason_map={"21": "company"})

    assert event["type"] == "application.withdrawn"


@pytest.mark.parametrize("excluded", ["14", "経験が求める水準と異なる", "we rejected them"])
def test_the_tenant_may_exclude_a_reason_by_id_text_or_type(excluded):
    assert only(sample("reject_candidate"), excluded_reasons=[excluded])["holds"] == [
        "reason_excluded"
    ]


def test_a_prospect_may_have_neither_job_nor_address():
    event = only(sample("reject_prospect"))

    assert event["job"] is None
    assert event["application"]["stage"] is None
    assert event["application"]["source"] is None
    assert event["candidate"]["emails"] == []
    assert event["candidate"]["primary_email"] is None
    assert event["holds"] == [
        "no_email", "private_candidate", "can_email_false", "prospect", "reason_unclassified",
    ]  # fmt: skip


def test_only_a_work_address_is_a_hold():
    event = only(of_person(email_addresses=[{"value": "a@work.example", "type": "work"}]))

    assert event["candidate"]["primary_email"] == "a@work.example"
    assert event["holds"] == ["work_email_only"]


def test_a_confidential_job_is_a_hold():
    body = sample("reject_candidate")
    body["payload"]["application"]["jobs"][0].update(confidential=True, departments=[], offices=[])
    event = only(body)

    assert event["job"]["confidential"] is True
    assert (event["job"]["department"], event["job"]["location"]) == (None, None)
    assert event["holds"] == ["confidential_job"]


@pytest.mark.parametrize(("source", "expected"), [
    ({"id": 1, "name": "A"}, "A"),
    ({"id": 1, "public_name": "B"}, "B"),
    ({"id": 1, "name": "A", "public_name": "B"}, "A"),
    (None, None), ("x", None), ({"id": 1}, None),
])  # fmt: skip
def test_either_key_of_the_source_occurs(source, expected):
    assert only(rejected(source=source))["application"]["source"] == expected


def test_a_reversal_has_the_time_of_the_last_activity():
    event = only(sample("unreject_candidate"))

    assert event["type"] == "application.rejection_reverted"
    assert event["application"]["status"] == "active"
    assert event["rejection"] is None
    assert event["occurred_at"] == "2026-06-03T01:00:00Z"
    assert event["dedupe_key"] == (
        "greenhouse:ats_1:application.rejection_reverted:48206133001:2026-06-03T01:00:00Z"
    )


def test_a_hire():
    event = only(sample("hire_candidate"))

    assert event["type"] == "application.hired"
    assert event["application"]["status"] == "hired"
    assert event["occurred_at"] == "2026-06-04T01:00:00Z"


def test_a_hire_taken_back_has_no_event_of_its_own():
    reading = read(sample("unhire_candidate"))

    assert list(reading.events) == []
    assert [(one.kind, one.external_id) for one in reading.asides] == [("unhired", "48206133001")]
    assert reading.as_of == datetime(2026, 6, 5, 1, 0, tzinfo=UTC)


def test_a_deletion_names_the_applications_that_went_with_it():
    event = only(sample("delete_candidate"))

    assert event["type"] == "candidate.deleted"
    assert event["application"] is None
    assert event["candidate"]["external_id"] == "31"
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": ["48206133001"]}
    assert event["dedupe_key"] == "greenhouse:ats_1:candidate.deleted:31:deleted"
    assert event["occurred_at"] == "2026-06-02T01:00:00Z"
    assert event["holds"] == []


def test_losing_the_identity_is_a_deletion():
    event = only(sample("candidate_anonymized"))

    assert event["type"] == "candidate.deleted"
    assert event["candidate"]["external_id"] == "31"
    assert event["candidate"]["is_anonymized"] is True
    assert event["deletion"] == {"kind": "anonymized", "application_external_ids": []}


def test_losing_other_fields_is_not():
    assert list(read(sample("candidate_anonymized_partly")).events) == []


def test_a_merge_names_both_records():
    event = only(sample("merge_candidate"))

    assert event["type"] == "candidate.merged"
    assert event["candidate"]["external_id"] == "31"
    assert event["candidate"]["merged_into_external_id"] == "32"
    assert event["dedupe_key"] == "greenhouse:ats_1:candidate.merged:31:32"


@pytest.mark.parametrize(
    "action", ["ping", "application_updated", "delete_application", "offer_created", "new to us"]
)
def test_other_actions_make_no_event(action):
    reading = read({"action": action, "payload": {}})

    assert (reading.provider_event, list(reading.events)) == (action, [])
    assert (list(reading.asides), reading.lookup) == ([], None)


@pytest.mark.parametrize("name", ["ping", "application_updated", "delete_application"])
def test_recorded_deliveries_that_mean_nothing(name):
    reading = read(sample(name))

    assert (reading.provider_event, list(reading.events)) == (name, [])
    assert (list(reading.asides), reading.lookup) == ([], None)


def test_a_new_stage_is_no_event_but_a_moment_to_ask_for_its_interviews():
    """The interviews of the stage carry no times (reference 4.1 d), so they must be read."""
    reading = read(sample("candidate_stage_change"))

    assert (list(reading.events), list(reading.asides)) == ([], [])
    assert reading.lookup.about == {"kind": "interviews", "application_id": "48206133001"}
    assert reading.lookup.needed is False


def test_a_deleted_interview_is_known_by_its_number_alone():
    reading = read(sample("interview_deleted"))

    assert list(reading.events) == []
    assert list(reading.asides) == [Aside("interview_off", "31087450")]
    assert reading.as_of == NOW


@pytest.mark.parametrize(("body", "code"), [
    ({"action": "candidate_stage_change"}, "payload_missing"),
    ({"action": "candidate_stage_change", "payload": {}}, "application_missing"),
    ({"action": "candidate_stage_change", "payload": {"application": {}}},
     "application_id_missing"),
    ({"action": "interview_deleted", "payload": {}}, "interview_missing"),
    ({"action": "interview_deleted", "payload": {"interview": []}}, "interview_malformed"),
    ({"action": "interview_deleted", "payload": {"interview": {"id": 1.5}}},
     "interview_id_malformed"),
    ({"action": "candidate_anonymized", "payload": {"candidate_id": 31}},
     "anonymized_fields_malformed"),
    ({"action": "delete_candidate", "payload": {"person": {"id": 31,
      "deleted_application_ids": "1"}}}, "deleted_application_ids_malformed"),
    ({"action": "merge_candidate", "payload": {"person": {"id": 31}}}, "new_candidate_id_missing"),
    ({"action": "unhire_candidate", "payload": {"application": {"id": 1, "candidate": {}}}},
     "last_activity_at_missing"),
])  # fmt: skip
def test_other_deliveries_that_miss_what_decides(body, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(body)


@pytest.mark.parametrize("field", ["full_name", "email_addresses", "phone_numbers"])
def test_each_part_of_the_identity_counts(field):
    body = sample("candidate_anonymized_partly")
    body["payload"]["anonymized_fields"].append(field)

    assert only(body)["deletion"]["kind"] == "anonymized"


def test_a_bulk_rejection_is_one_delivery_for_each():
    first, second = only(sample("reject_candidate")), only(rejected(id=48206133002))

    assert first["dedupe_key"] != second["dedupe_key"]
    assert second["application"]["external_id"] == "48206133002"


def test_of_a_prospect_s_jobs_the_first_counts_and_custom_fields_keep_their_shapes():
    body = sample("reject_prospect_two_jobs")
    event = only(body)

    assert event["job"]["external_id"] == "204"
    assert event["application"]["source"] == "展示会"
    told = body["payload"]["application"]["custom_fields"]
    assert event["application"]["custom_fields"] == told
    assert {type(one["value"]) for one in told.values()} == {str, dict, list, bool, type(None)}


def test_a_second_job_without_department_or_office():
    body = sample("reject_prospect_two_jobs")
    body["payload"]["application"]["jobs"].reverse()
    event = only(body)

    assert event["job"]["external_id"] == "205"
    assert (event["job"]["department"], event["job"]["location"]) == (None, None)


@pytest.mark.parametrize(("kind", "mapped", "asked"), [
    ({"id": 5, "name": "None specified"}, {}, [Word("reason", "9", "本人都合", "candidate")]),
    (None, {}, [Word("reason", "9", "本人都合", "candidate")]),
    ({"id": 5, "name": "None specified"}, {"9": "unknown"}, []),
    ({"id": 5, "name": "None specified"}, {"9": "other"}, []),
    ({"id": 5, "name": "We rejected them"}, {}, []),
])  # fmt: skip
def test_a_reason_nobody_has_given_a_meaning_is_named(kind, mapped, asked):
    reason = {"id": 9, "name": "本人都合", "type": kind}
    reading = read(rejected(rejection_reason=reason), reason_map=mapped)

    assert list(reading.unmapped) == asked


def test_without_a_reason_there_is_nothing_to_give_a_meaning_to():
    assert list(read(sample("reject_candidate_no_reason")).unmapped) == []


def test_a_retry_and_a_second_delivery_of_the_same_end_have_one_key():
    first = only(sample("reject_candidate"))
    later = only(rejected(last_activity_at="2026-06-02T12:00:00Z", status="rejected"))

    assert first["dedupe_key"] == later["dedupe_key"]


@pytest.mark.parametrize("written", [
    "2026-06-02T09:41:07+09:00", "2026-06-02T09:41:07.412+09:00", "2026-06-02T00:41:07.412931Z",
])  # fmt: skip
def test_the_precision_of_its_time_does_not_make_another_end(written):
    """The API may write a time with more or fewer digits than the webhook did."""
    event = only(rejected(rejected_at=written))

    assert event["dedupe_key"] == only(sample("reject_candidate"))["dedupe_key"]
    assert event["occurred_at"] == "2026-06-02T00:41:07Z"


def change(body, path, value):
    body = copy.deepcopy(body)
    *way, last = path.split(".")
    place = body
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is KeyError:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return body


APPLICATION = "payload.application"


@pytest.mark.parametrize(("path", "value", "code"), [
    ("action", None, "action_missing"),
    ("action", 7, "action_malformed"),
    ("payload", [], "payload_malformed"),
    (f"{APPLICATION}", None, "application_missing"),
    (f"{APPLICATION}.id", None, "application_id_missing"),
    (f"{APPLICATION}.id", KeyError, "application_id_missing"),
    (f"{APPLICATION}.id", True, "application_id_malformed"),
    (f"{APPLICATION}.id", 1.0, "application_id_malformed"),
    (f"{APPLICATION}.id", {}, "application_id_malformed"),
    (f"{APPLICATION}.id", "a\0b", "application_id_malformed"),
    (f"{APPLICATION}.id", "\ud800", "application_id_malformed"),
    (f"{APPLICATION}.id", "9" * 201, "application_id_malformed"),
    (f"{APPLICATION}.rejected_at", None, "rejected_at_missing"),
    (f"{APPLICATION}.rejected_at", "2026-06-02T09:41:07", "rejected_at_malformed"),
    (f"{APPLICATION}.rejected_at", "2026-06-02", "rejected_at_malformed"),
    (f"{APPLICATION}.rejected_at", "yesterday", "rejected_at_malformed"),
    (f"{APPLICATION}.rejected_at", 1790000000, "rejected_at_malformed"),
    (f"{APPLICATION}.rejected_at", "2026-02-30T00:00:00Z", "rejected_at_malformed"),
    (f"{APPLICATION}.rejected_at", "0001-01-01T00:00:00+14:00", "rejected_at_malformed"),
    (f"{APPLICATION}.prospect", "no", "prospect_malformed"),
    (f"{APPLICATION}.rejection_reason", "no", "rejection_reason_malformed"),
    (f"{APPLICATION}.rejection_reason.type", 3, "reason_type_malformed"),
    (f"{APPLICATION}.rejection_reason.type.name", 3, "reason_type_malformed"),
    (f"{APPLICATION}.candidate", None, "candidate_missing"),
    (f"{APPLICATION}.candidate.id", None, "candidate_id_missing"),
    (f"{APPLICATION}.candidate.is_private", "true", "is_private_malformed"),
    (f"{APPLICATION}.candidate.can_email", 0, "can_email_malformed"),
    (f"{APPLICATION}.candidate.last_name", "a\0", "last_name_malformed"),
    (f"{APPLICATION}.candidate.email_addresses", {}, "emails_malformed"),
    (f"{APPLICATION}.candidate.email_addresses", ["a@b.example"], "emails_malformed"),
    (f"{APPLICATION}.jobs.0.confidential", "yes", "confidential_malformed"),
    (f"{APPLICATION}.jobs", "x", "jobs_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(path, value, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(change(sample("reject_candidate"), path, value))


@pytest.mark.parametrize(("path", "value"), [
    (f"{APPLICATION}.url", 7),
    (f"{APPLICATION}.source", "x"),
    (f"{APPLICATION}.current_stage", []),
    (f"{APPLICATION}.custom_fields", {"a": "\0"}),
    (f"{APPLICATION}.candidate.tags", {"a": 1}),
    (f"{APPLICATION}.candidate.phone_numbers", "090"),
    (f"{APPLICATION}.candidate.attachments", [None, 7, {"url": 3}]),
    (f"{APPLICATION}.jobs.0.departments", [None]),
    (f"{APPLICATION}.jobs.0.name", None),
])  # fmt: skip
def test_a_broken_decoration_does_not_keep_the_candidate_waiting(path, value):
    event = only(change(sample("reject_candidate"), path, value))

    assert event["type"] == "application.rejected"
    assert event["candidate"]["primary_email"] == "Hanako.Shiken@mail.example"


@pytest.mark.parametrize(("body", "code"), [
    (b"", "not_json"),
    (b"\xff\xfe", "not_utf8"),
    (escaped({"action": "ping"}).decode().encode("utf-16"), "not_utf8"),
    (b"[]", "not_an_object"),
    (b"null", "not_an_object"),
    (b'{"action": NaN}', "not_json"),
    (b'{"action": "ping"', "not_json"),
    (b'{"action": "ping", "action": "reject_candidate"}', "duplicate_key"),
    (b'{"action":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "not_json"),
    (b'{"action":' + b"9" * 5000 + b"}", "not_json"),
])  # fmt: skip
def test_bodies_that_are_no_json_object(body, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(body)
