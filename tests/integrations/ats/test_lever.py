"""Lever: a body is a hint, the API's answer is what counts."""

import copy
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.ports import (
    Aside,
    ConnectionView,
    Incoming,
    Unreadable,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import APIS, lever, lever_api
from tests.deliveries import SAMPLES
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 3, 9, 0, tzinfo=UTC)
KEY = "1f0e2d3c4b5a69788796a5b4c3d2e1f0"
OPPORTUNITY = "250d8f03-738a-4bba-a671-8a3d73477145"
CONTACT = "7f23e772-f2cb-4ebb-b33f-54b872999992"
INTERVIEW = "5a7fe7e2-1111-4aaa-9bbb-0c0d0e0f1011"
POSTING = "/v1/postings/730e37db-93d3-4acf-b9de-7cfc397cef1d"
OF_ONE = f"/v1/opportunities/{OPPORTUNITY}"
REASONS = {
    "company": "63dd55b2-a99f-4e7b-985f-22c7bf80ab42",
    "candidate": "be0c1f4a-3a70-4ad9-8d0a-7a2f3c1b9d55",
    "hired": "c0ffee00-0000-4000-8000-bbbbbbbbbbbb",
}
VECTORS = [
    one for one in json.loads((SAMPLES / "signatures.json").read_text()) if one["scheme"] == "lever"
]


def body_of(name):
    return json.loads((SAMPLES / "lever" / f"{name}.json").read_text())


def answer(name):
    return json.loads((SAMPLES / "lever" / "api" / f"{name}.json").read_text())


def delivery(body, at=NOW):
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Incoming(raw, {}, at)


def seen(**more):
    return ConnectionView(id="ats_1", **more)


def ask(name, **changes):
    """What a delivery asks the API."""
    body = body_of(name)
    body["data"].update(changes)
    return lever.read(delivery(body), seen()).lookup


def opportunity(name="opportunity_archived", **changes):
    return {**answer(name)["data"], **changes}


def facts(told=None, reason="company", about=None, **more):
    told = opportunity() if told is None else told
    listed = {one["id"]: one for one in answer("archive_reasons")["data"]}
    return {
        "kind": "application",
        "about": {"application_id": OPPORTUNITY, **(about or {})},
        "opportunity": told,
        "reason": listed.get(REASONS.get(reason)),
        "reason_before": None,
        "posting": answer("posting")["data"],
        **more,
    }


def understand(found, name="candidate_archive_change", event="candidateArchiveChange", **settings):
    incoming = delivery(body_of(name)) if name else Incoming(b"", {}, NOW)
    kept = json.loads(json.dumps(found))
    return lever_api.understand(kept, incoming, seen(settings=settings), event)


def only(found, **settings):
    events = understand(found, **settings).events

    assert len(events) == 1
    return events[0]


def archived(reason, at=1780360867000):
    return opportunity(archived={"archivedAt": at, "reason": REASONS.get(reason, reason)})


# ---- signature ------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_vectors(vector):
    found = delivery(vector["body"].encode())

    assert lever.verify(found, seen(secrets=[vector["key"]])) is vector["valid"]
    assert not lever.verify(found, seen(secrets=["another-token-entirely"]))


def test_there_are_two_vectors():
    assert len(VECTORS) == 2


FIXTURES = sorted(path.stem for path in (SAMPLES / "lever").glob("*.json"))


@pytest.mark.parametrize("name", FIXTURES)
def test_every_fixture_is_signed(name):
    assert lever.verify(delivery(body_of(name)), seen(secrets=[KEY]))


def test_each_event_has_a_token_of_its_own():
    found = delivery(body_of("candidate_hired"))
    other = "another-token-entirely"

    assert lever.verify(found, seen(secrets_by_event={"candidateHired": KEY}))
    assert not lever.verify(found, seen(secrets_by_event={"candidateDeleted": KEY}))
    assert not lever.verify(found, seen(secrets_by_event={"candidateHired": other}))
    assert lever.verify(found, seen(secrets_by_event={"candidateHired": other}, secrets=[KEY]))
    assert lever.verify(found, seen(secrets=[other, KEY]))
    assert not lever.verify(found, seen())
    assert not lever.verify(found, seen(secrets=[""]))


def test_another_event_s_token_among_the_plain_secrets_does_not_replace_the_own_one():
    found, own = delivery(body_of("candidate_hired")), "the-token-of-its-own-event"
    tokens = {"candidateHired": own, "candidateDeleted": KEY}

    assert not lever.verify(found, seen(secrets_by_event=tokens, secrets=[own, KEY]))
    assert lever.verify(found, seen(secrets_by_event={"candidateDeleted": KEY}, secrets=[KEY]))
    same = dict.fromkeys(tokens, KEY)
    assert lever.verify(found, seen(secrets_by_event=same, secrets=[KEY]))


@pytest.mark.parametrize("what", ["token", "signature", "triggeredAt"])
def test_one_flipped_byte_in_a_signed_field(what):
    raw = delivery(body_of("candidate_hired")).body
    start = raw.index(b'"%s":' % what.encode()) + len(what) + 5
    for at in range(start, start + 12):
        flipped = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]

        assert not lever.verify(delivery(flipped), seen(secrets=[KEY]))


def test_the_same_fields_written_differently_still_verify():
    body = dict(reversed(body_of("candidate_hired").items()))

    assert lever.verify(delivery(json.dumps(body, indent=3).encode()), seen(secrets=[KEY]))


@pytest.mark.parametrize("field", ["token", "triggeredAt", "signature"])
@pytest.mark.parametrize("value", [
    KeyError, None, "", 7, 1.5, True, [], {}, "x" * 300, "\0", "\ud800", -1, 10**12 - 1, 10**13,
    "1780534800150", "é" * 64, "0" * 64, "0" * 63,
])  # fmt: skip
def test_malformed_fields_are_refused_and_never_raise(field, value):
    body = body_of("candidate_hired")
    if value is KeyError:
        del body[field]
    else:
        body[field] = value
    raw = json.dumps(body).encode()

    assert lever.verify(delivery(raw), seen(secrets=[KEY])) is False


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"{", b'{"token":1,"token":2}', b"[" * 9999])
def test_what_is_no_object_is_refused(raw):
    assert lever.verify(delivery(raw), seen(secrets=[KEY])) is False
    assert lever.delivery_id(delivery(raw)) is None


def test_digits_cannot_move_between_token_and_time():
    token, at = "abc1", 1780534800150
    signature = hmac.new(KEY.encode(), f"{token}{at}".encode(), hashlib.sha256).hexdigest()
    body = {"event": "x", "token": token, "triggeredAt": at, "signature": signature}
    moved = {**body, "token": "abc", "triggeredAt": int(f"1{at}")}

    assert lever.verify(delivery(body), seen(secrets=[KEY]))
    assert not lever.verify(delivery(moved), seen(secrets=[KEY]))


@pytest.mark.parametrize("event", [None, 7, [], {}])
def test_a_token_is_not_looked_for_under_what_is_no_name(event):
    body = {**body_of("candidate_hired"), "event": event}

    assert lever.verify(delivery(body), seen(secrets=[KEY], secrets_by_event={"7": KEY}))


def test_the_token_is_the_delivery_s_id():
    assert lever.ONE_BODY_PER_ID is True
    assert lever.delivery_id(delivery(body_of("candidate_hired"))) == (
        "ab1c6e90a4f84b0f9d3e5b2a18c7f644"
    )
    assert lever.delivery_id(Incoming(b"", {}, NOW)) is None


def test_constants_and_keys():
    assert (lever.SUCCESS, lever.BAD_SIGNATURE, list(lever.HEADERS)) == (200, 401, [])
    assert lever.greet(delivery(b""), seen()) is None
    assert lever.unusable([KEY], []) is None
    assert lever.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert lever.unusable([], ["key"]) == "Lever signs with a shared secret only"


# ---- what a delivery asks -------------------------------------------------------------------


def test_an_archive_change_asks_for_the_opportunity():
    found = ask("candidate_archive_change")

    assert found.needed is True
    assert found.about == {
        "application_id": OPPORTUNITY,
        "triggered_at": "2026-06-02T00:41:07.412000Z",
        "kind": "application",
        "reopened": False,
        "reason_before": None,
    }


@pytest.mark.parametrize(("name", "kind", "more"), [
    ("candidate_archive_change_corrected", "application",
     {"reopened": False, "reason_before": REASONS["company"]}),
    ("candidate_unarchived", "application",
     {"reopened": True, "reason_before": REASONS["company"]}),
    ("candidate_hired", "application", {}),
    ("candidate_deleted", "deletion", {"candidate_id": CONTACT}),
    ("interview_created", "interviews", {"interview_id": INTERVIEW}),
    ("interview_updated", "interviews", {"interview_id": INTERVIEW}),
    ("interview_deleted", "interviews", {"interview_id": INTERVIEW}),
])  # fmt: skip
def test_what_is_asked(name, kind, more):
    about = dict(ask(name).about)
    del about["triggered_at"]

    assert about == {"application_id": OPPORTUNITY, "kind": kind, **more}


@pytest.mark.parametrize("name", [
    "candidate_stage_change", "application_created", "contact_updated", "verify_connection",
])  # fmt: skip
def test_a_test_and_other_events_say_nothing(name):
    reading = lever.read(delivery(body_of(name)), seen())

    assert reading.provider_event == body_of(name)["event"]
    assert (reading.lookup, list(reading.events), list(reading.asides)) == (None, [], [])


def test_an_event_nobody_knows_is_not_looked_into():
    body = {**body_of("candidate_hired"), "event": "somethingNew", "data": 7}

    assert lever.read(delivery(body), seen()).lookup is None


@pytest.mark.parametrize(("field", "value", "code"), [
    ("event", None, "event_missing"),
    ("event", 7, "event_malformed"),
    ("data", [], "data_malformed"),
    ("triggeredAt", None, "triggered_at_missing"),
    ("triggeredAt", "soon", "triggered_at_malformed"),
    ("triggeredAt", 10**30, "triggered_at_malformed"),
    ("opportunityId", 1.5, "opportunity_id_malformed"),
    ("opportunityId", {}, "opportunity_id_malformed"),
    ("toArchived", "yes", "to_archived_malformed"),
    ("fromArchived", [], "from_archived_malformed"),
    ("fromArchived", {"reason": []}, "archive_reason_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(field, value, code):
    body = body_of("candidate_archive_change")
    place = body["data"] if field in {"opportunityId", "toArchived", "fromArchived"} else body
    place[field] = value

    with pytest.raises(Unreadable, match=f"^{code}$"):
        lever.read(delivery(body), seen())


# ---- what the API says ----------------------------------------------------------------------


def test_a_rejection_with_all_its_fields():
    reading = understand(facts(), reason_map={REASONS["company"]: "company"})

    assert (reading.provider_event, reading.states, reading.undated) == (
        "candidateArchiveChange", False, False,
    )  # fmt: skip
    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 8, 15000, tzinfo=UTC)
    assert list(reading.events) == [{
        "type": "application.rejected",
        "schema_version": "1",
        "provider": "lever",
        "connection_id": "ats_1",
        "provider_event": "candidateArchiveChange",
        "provider_event_id": "9d1c6e90a4f84b0f9d3e5b2a18c7f641",
        "dedupe_key": f"lever:ats_1:application.rejected:{OPPORTUNITY}:2026-06-02T00:41:07Z",
        "supersedes": None,
        "occurred_at": "2026-06-02T00:41:07Z",
        "received_at": "2026-06-03T09:00:00Z",
        "application": {
            "external_id": OPPORTUNITY,
            "url": f"https://hire.lever.example/candidates/{OPPORTUNITY}",
            "status": "rejected",
            "applied_at": "2026-05-12T00:15:31Z",
            "stage": {"id": "00922a60-7c15-422b-b086-f62000824fd7", "name": "二次面接"},
            "source": "自社採用サイト",
            "custom_fields": {},
        },
        "candidate": {
            "external_id": CONTACT,
            "display_name": "試験 花子",
            "given_name": None,
            "family_name": None,
            "emails": [
                {"value": "Hanako.Shiken@mail.example", "type": "unknown", "primary": True},
                {"value": "hanako@second.example", "type": "unknown", "primary": False},
            ],
            "primary_email": "Hanako.Shiken@mail.example",
            "phones": [{"value": "090-0000-0000", "type": "mobile"}],
            "url": f"https://hire.lever.example/candidates/{OPPORTUNITY}",
            "tags": ["法人営業", "TOEIC 800"],
            "is_private": False,
            "is_internal": False,
            "can_email": True,
            "is_anonymized": False,
            "merged_into_external_id": None,
        },
        "job": {
            "external_id": "730e37db-93d3-4acf-b9de-7cfc397cef1d",
            "title": "法人営業 R&D",
            "department": "営業本部",
            "location": "東京都千代田区",
            "requisition_id": "REQ-7",
            "confidential": False,
        },
        "rejection": {
            "initiated_by": "company",
            "reason_id": REASONS["company"],
            "reason_text": "経験が求める水準と異なる",
            "reason_type_raw": "non-hired",
            "rejected_at": "2026-06-02T00:41:07Z",
            "not_before": None,
        },
        "interview": None,
        "deletion": None,
        "attachments": [],
        "enrichment": "complete",
        "holds": [],
    }]  # fmt: skip


@pytest.mark.parametrize(("mapped", "kind", "initiator", "holds"), [
    ("company", "application.rejected", "company", []),
    ("candidate", "application.withdrawn", "candidate", []),
    ("other", "application.rejected", "other", ["reason_unclassified"]),
    ("nonsense", "application.rejected", "unknown", ["reason_unclassified"]),
])  # fmt: skip
def test_the_reason_map_says_who_ended_it(mapped, kind, initiator, holds):
    event = only(facts(), reason_map={REASONS["company"]: mapped})

    assert (event["type"], event["rejection"]["initiated_by"]) == (kind, initiator)
    assert event["holds"] == holds


def test_nobody_guesses_from_the_reason_s_text():
    event = only(facts(archived("candidate"), "candidate"))

    assert event["rejection"]["reason_text"] == "Withdrew"
    assert event["rejection"]["initiated_by"] == "unknown"
    assert event["holds"] == ["reason_unclassified"]


def test_a_reason_of_type_hired_is_a_hire_by_either_event():
    told = facts(archived("hired"), "hired")
    by_archive, by_hire = only(told), only(told, name="candidate_hired", event="candidateHired")

    assert by_archive["type"] == by_hire["type"] == "application.hired"
    assert by_archive["dedupe_key"] == by_hire["dedupe_key"]
    assert (by_hire["rejection"], by_hire["application"]["status"]) == (None, "hired")


def test_the_map_may_call_a_reason_a_hire():
    event = only(facts(), reason_map={REASONS["company"]: "hired"})

    assert (event["type"], event["rejection"]) == ("application.hired", None)


def test_the_api_decides_and_not_what_the_delivery_claims():
    reading = understand(facts(), "candidate_hired", "candidateHired")

    assert [one["type"] for one in reading.events] == ["application.rejected"]


def test_a_corrected_reason_has_the_same_key_and_is_newer():
    before = understand(facts(), reason_map={REASONS["company"]: "company"})
    told = archived("candidate") | {"updatedAt": 1780364467100}
    after = understand(
        facts(told, "candidate"), "candidate_archive_change_corrected",
        reason_map={REASONS["candidate"]: "company"},
    )  # fmt: skip

    assert before.events[0]["dedupe_key"] == after.events[0]["dedupe_key"]
    assert before.events[0]["rejection"]["reason_id"] != after.events[0]["rejection"]["reason_id"]
    assert after.as_of > before.as_of


def active(**about):
    return facts(opportunity("opportunity_active"), None, about)


def test_active_again_confirmed_by_the_api_is_an_explicit_reversal():
    about = dict(ask("candidate_unarchived").about)
    reading = understand(active(**about), "candidate_unarchived")

    assert (reading.states, reading.as_of) == (
        False, datetime(2026, 6, 3, 1, 0, 0, 120000, tzinfo=UTC),
    )  # fmt: skip
    assert [one["type"] for one in reading.events] == ["application.rejection_reverted"]
    assert reading.events[0]["application"]["status"] == "active"
    assert reading.events[0]["rejection"] is None
    assert reading.events[0]["dedupe_key"].endswith(
        f"application.rejection_reverted:{OPPORTUNITY}:2026-06-03T01:00:00.120000Z"
    )


def test_a_reversal_the_api_does_not_confirm_is_none():
    about = dict(ask("candidate_unarchived").about)
    reading = understand(facts(about=about), "candidate_unarchived")

    assert [one["type"] for one in reading.events] == ["application.rejected"]


def test_found_active_without_being_told_is_news_only_after_an_end():
    reading = understand(active())

    assert reading.states is True
    assert list(reading.asides) == [Aside("unhired", OPPORTUNITY)]


def test_a_hire_taken_back_is_no_reversal_of_a_rejection():
    about = dict(ask("candidate_unarchived").about)
    hired = {"id": REASONS["hired"], "type": "hired", "text": "Hired"}
    reading = understand({**active(**about), "reason_before": hired}, "candidate_unarchived")

    assert reading.states is True
    assert list(reading.asides) == [Aside("unhired", OPPORTUNITY)]


def test_without_a_time_of_change_the_signed_time_counts():
    about = dict(ask("candidate_unarchived").about)
    found = active(**about)
    del found["opportunity"]["updatedAt"]

    assert understand(found).as_of == datetime(2026, 6, 3, 1, 0, 0, 120000, tzinfo=UTC)
    del found["about"]["triggered_at"]
    assert understand(found).as_of == NOW


def test_a_prospect_who_may_not_be_contacted_in_a_confidential_search():
    event = only(facts(opportunity("opportunity_prospect"), posting=None))

    assert event["job"]["confidential"] is True
    assert event["candidate"]["can_email"] is False
    assert event["holds"] == [
        "no_email", "private_candidate", "can_email_false", "prospect", "confidential_job",
        "reason_unclassified",
    ]  # fmt: skip


@pytest.mark.parametrize(("changes", "hold"), [
    ({"origin": "internal"}, "internal_applicant"),
    ({"origin": "sourced", "applications": []}, "prospect"),
    ({"origin": "sourced", "applications": None}, "prospect"),
    ({"emails": []}, "no_email"),
    ({"emails": ["not an address"]}, "no_email"),
    ({"dataProtection": {"contact": {"allowed": False}}}, "can_email_false"),
    ({"dataProtection": {"contact": {"allowed": True, "expiresAt": 1}}}, "can_email_false"),
    ({"confidentiality": "confidential"}, "confidential_job"),
    ({"confidentiality": "something new"}, "confidential_job"),
])  # fmt: skip
def test_holds(changes, hold):
    event = only(facts(opportunity(**changes)), reason_map={REASONS["company"]: "company"})

    assert hold in event["holds"]


@pytest.mark.parametrize("changes", [
    {"origin": "sourced"}, {"origin": "agency"}, {"origin": None}, {"dataProtection": None},
    {"dataProtection": {"contact": None}}, {"confidentiality": None}, {"sources": 7},
    {"stage": None}, {"stage": "x"}, {"urls": None}, {"tags": {}}, {"phones": ["090"]},
])  # fmt: skip
def test_no_holds(changes):
    event = only(facts(opportunity(**changes)), reason_map={REASONS["company"]: "company"})

    assert event["holds"] == []


def test_a_confidential_posting_is_enough():
    posting = {**answer("posting")["data"], "confidentiality": "confidential"}

    assert "confidential_job" in only(facts(posting=posting))["holds"]


def test_the_tenant_may_exclude_a_reason():
    event = only(
        facts(), reason_map={REASONS["company"]: "company"}, excluded_reasons=[REASONS["company"]]
    )

    assert event["holds"] == ["reason_excluded"]


def test_without_a_contact_the_opportunity_is_the_person():
    assert only(facts(opportunity(contact=None)))["candidate"]["external_id"] == OPPORTUNITY
    assert only(facts(opportunity(contact={"id": "C-2"})))["candidate"]["external_id"] == "C-2"


def test_a_posting_not_read_leaves_its_number():
    event = only(facts(posting=None))

    assert event["job"]["external_id"] == "730e37db-93d3-4acf-b9de-7cfc397cef1d"
    assert event["job"]["title"] is None
    assert only(facts(opportunity(applications=[]), posting=None))["job"] is None


def test_an_anonymised_person_is_deleted():
    event = only(facts(opportunity(contact={"id": CONTACT, "isAnonymized": True})))

    assert event["type"] == "candidate.deleted"
    assert event["candidate"]["external_id"] == CONTACT
    assert event["candidate"]["is_anonymized"] is True
    assert event["deletion"] == {
        "kind": "anonymized", "application_external_ids": [OPPORTUNITY],
    }  # fmt: skip
    assert event["holds"] == []
    assert only(facts(opportunity(isAnonymized=True)))["type"] == "candidate.deleted"


def test_one_anonymised_opportunity_of_a_person_who_is_not():
    told = opportunity(isAnonymized=True, contact={"id": CONTACT, "isAnonymized": False})

    assert only(facts(told))["type"] == "application.rejected"


def deletion(**more):
    about = dict(ask("candidate_deleted").about)
    return {"kind": "deletion", "about": about, "opportunity": None, "others": [], **more}


def test_a_deletion_the_api_confirms():
    event = only(deletion(), name="candidate_deleted", event="candidateDeleted")

    assert event["type"] == "candidate.deleted"
    assert (event["candidate"]["external_id"], event["application"]) == (CONTACT, None)
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": [OPPORTUNITY]}
    assert event["dedupe_key"] == f"lever:ats_1:candidate.deleted:{CONTACT}:deleted"
    assert event["holds"] == []


@pytest.mark.parametrize("there", [
    {"opportunity": {"id": OPPORTUNITY}}, {"others": [{"id": "another"}]},
])  # fmt: skip
def test_nobody_is_deleted_who_is_still_there(there):
    reading = understand(deletion(**there), "candidate_deleted", "candidateDeleted")

    assert list(reading.events) == []


def test_a_deletion_without_a_contact_names_the_opportunity():
    found = deletion()
    found["about"]["candidate_id"] = None

    assert only(found)["candidate"]["external_id"] == OPPORTUNITY


def interviews(at=NOW, named=None, **changes):
    listed = answer("interviews")["data"]
    listed[0].update(changes)
    found = {
        "kind": "interviews",
        "about": {"application_id": OPPORTUNITY, "interview_id": named},
        "opportunity": opportunity("opportunity_active"),
        "interviews": listed,
        "posting": answer("posting")["data"],
    }
    incoming = Incoming(b"", {}, at)
    return lever_api.understand(json.loads(json.dumps(found)), incoming, seen(), "poll")


def test_interviews_as_they_stand():
    reading = interviews(datetime(2026, 6, 2, 6, 30, tzinfo=UTC))

    assert reading.as_of == datetime(2026, 6, 2, 6, 30, tzinfo=UTC)
    assert [(e["type"], e["interview"], e["occurred_at"]) for e in reading.events] == [
        ("interview.scheduled", {
            "external_id": INTERVIEW, "starts_at": "2026-06-02T06:00:00Z",
            "ends_at": "2026-06-02T07:00:00Z", "all_day": False, "status": "scheduled",
        }, "2026-05-31T04:00:00Z"),
        ("interview.completed", {
            "external_id": "5a7fe7e2-1111-4aaa-9bbb-0c0d0e0f2022",
            "starts_at": "2026-05-25T09:06:40Z", "ends_at": "2026-05-25T09:51:40Z",
            "all_day": False, "status": "completed",
        }, "2026-05-25T09:51:40Z"),
    ]  # fmt: skip
    assert reading.events[0]["dedupe_key"] == (
        f"lever:ats_1:interview.scheduled:{OPPORTUNITY}:2026-06-02T06:00:00Z"
    )
    assert reading.events[0]["candidate"]["primary_email"] == "Hanako.Shiken@mail.example"
    assert reading.events[0]["application"]["status"] == "active"
    assert reading.events[0]["provider_event_id"] is None
    assert list(reading.asides) == [
        Aside("interview_off", "5a7fe7e2-1111-4aaa-9bbb-0c0d0e0f3033", OPPORTUNITY)
    ]


def test_an_interview_is_over_at_its_end_or_without_one_at_its_start():
    half_past = datetime(2026, 6, 2, 6, 30, tzinfo=UTC)

    assert interviews(half_past).events[0]["type"] == "interview.scheduled"
    assert interviews(half_past, duration=None).events[0]["type"] == "interview.completed"
    assert interviews(NOW).events[0]["type"] == "interview.completed"
    assert len(interviews(NOW, date=None).events) == 1


def test_a_removed_interview_is_one_the_list_lacks():
    assert Aside("interview_off", "gone", OPPORTUNITY) in interviews(named="gone").asides
    assert Aside("interview_off", INTERVIEW, OPPORTUNITY) not in interviews(named=INTERVIEW).asides


@pytest.mark.parametrize(("changes", "code"), [
    ({"id": None}, "interview_id_missing"),
    ({"date": "2026-06-02"}, "interview_date_malformed"),
    ({"duration": "60"}, "interview_duration_malformed"),
    ({"duration": -1}, "interview_duration_malformed"),
    ({"duration": 10**30}, "interview_duration_malformed"),
    ({"duration": True}, "interview_duration_malformed"),
    ({"canceledAt": "yes"}, "canceled_at_malformed"),
])  # fmt: skip
def test_interviews_are_never_guessed(changes, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        interviews(**changes)


@pytest.mark.parametrize(("changes", "code"), [
    ({"id": "another"}, "opportunity_other"),
    ({"id": None}, "opportunity_id_missing"),
    ({"archived": "yes"}, "archived_malformed"),
    ({"archived": {"reason": "x"}}, "archived_at_missing"),
    ({"archived": {"archivedAt": "2026-06-02"}}, "archived_at_malformed"),
    ({"archived": {"archivedAt": 1, "reason": {}}}, "archive_reason_malformed"),
    ({"updatedAt": "now"}, "updated_at_malformed"),
    ({"emails": "a@b.example"}, "emails_malformed"),
    ({"emails": [7]}, "emails_malformed"),
    ({"isAnonymized": "no"}, "is_anonymized_malformed"),
    ({"confidentiality": 7}, "confidentiality_malformed"),
    ({"origin": []}, "origin_malformed"),
    ({"applications": {}}, "applications_malformed"),
    ({"dataProtection": "no"}, "data_protection_malformed"),
    ({"dataProtection": {"contact": {"allowed": "no"}}}, "contact_allowed_malformed"),
    ({"dataProtection": {"contact": {"allowed": True, "expiresAt": "x"}}},
     "contact_expires_at_malformed"),
    ({"contact": 1.5}, "contact_id_malformed"),
])  # fmt: skip
def test_an_answer_is_never_guessed_at(changes, code):
    told = {"origin": "sourced", **opportunity(), **changes}
    if "applications" in changes:
        told["origin"] = "sourced"

    with pytest.raises(Unreadable, match=f"^{code}$"):
        understand(facts(told))


def test_addresses_may_be_objects_too():
    event = only(facts(opportunity(emails=[{"value": "a@b.example", "type": "personal"}])))

    assert event["candidate"]["primary_email"] == "a@b.example"


# ---- over HTTP ------------------------------------------------------------------------------


def lay_all(stub, name="opportunity_archived"):
    stub.lay("GET", OF_ONE, answer(name))
    stub.lay("GET", POSTING, answer("posting"))
    stub.lay("GET", "/v1/archive_reasons", answer("archive_reasons"))
    stub.lay("GET", f"{OF_ONE}/interviews", answer("interviews"))


@pytest.mark.anyio
async def test_a_look_up_reads_the_opportunity_its_posting_and_its_reason():
    about = ask("candidate_archive_change").about
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        lay_all(stub)
        found = await lever_api.look_up(api, connection, about)

    assert found == json.loads(json.dumps(facts(about=about)))
    assert [call.path for call in stub.calls] == [OF_ONE, "/v1/archive_reasons", POSTING]
    assert {call.headers["authorization"] for call in stub.calls} == {"Basic a2V5LWZvci10ZXN0czo="}
    assert stub.calls[0].query["expand"] == ["applications", "stage", "contact"]


@pytest.mark.anyio
async def test_reasons_are_read_to_the_last_page():
    listed = answer("archive_reasons")["data"]
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        lay_all(stub)
        stub.lay(
            "GET", "/v1/archive_reasons",
            {"data": listed[:3], "hasNext": True, "next": "%5Bopaque%5D"},
            {"data": listed[3:], "hasNext": False},
        )  # fmt: skip
        stub.lay("GET", OF_ONE, {"data": archived("hired")})
        found = await lever_api.look_up(api, connection, ask("candidate_hired").about)

    assert found["reason"]["type"] == "hired"
    assert [call.query.get("offset") for call in stub.asked("/v1/archive_reasons")] == [
        None, ["%5Bopaque%5D"],
    ]  # fmt: skip


@pytest.mark.anyio
async def test_an_opportunity_nobody_has_is_missing():
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        with pytest.raises(VendorMissing):
            await lever_api.look_up(api, connection, ask("candidate_hired").about)


@pytest.mark.anyio
@pytest.mark.parametrize("number", ["..", ".", "../users", "a/b?c#d", "\ud800"])
async def test_an_id_of_an_unsigned_body_leads_nowhere_else(number):
    about = {**ask("candidate_hired").about, "application_id": number}
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/users", {"data": {"id": "u"}})
        with pytest.raises(VendorMissing):
            await lever_api.look_up(api, connection, about)

    assert all(call.path.startswith("/v1/opportunities/") for call in stub.calls)


@pytest.mark.anyio
async def test_a_deletion_is_looked_into():
    about = ask("candidate_deleted").about
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        gone = await lever_api.look_up(api, connection, about)
        stub.lay("GET", "/v1/opportunities", {"data": [{"id": "another"}], "hasNext": False})
        elsewhere = await lever_api.look_up(api, connection, about)
        lay_all(stub)
        there = await lever_api.look_up(api, connection, about)

    assert gone == deletion()
    assert (elsewhere["opportunity"], elsewhere["others"]) == (None, [{"id": "another"}])
    assert there["opportunity"]["id"] == OPPORTUNITY
    assert stub.asked("/v1/opportunities")[0].query["contact_id"] == [CONTACT]


@pytest.mark.anyio
@pytest.mark.parametrize(("listed", "there"), [
    ({"id": "another", "contact": CONTACT}, True),
    ({"id": "another", "contact": {"id": CONTACT}}, True),
    ({"id": "another", "contact": "somebody-else"}, False),
    ({"id": "another", "contact": {"id": "somebody-else"}}, False),
    ({"id": OPPORTUNITY, "contact": CONTACT}, False),
])  # fmt: skip
async def test_only_what_is_left_of_the_same_person_speaks_against_a_deletion(listed, there):
    about = ask("candidate_deleted").about
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/opportunities", {"data": [listed], "hasNext": False})
        found = await lever_api.look_up(api, connection, about)

    assert found["others"] == ([listed] if there else [])


@pytest.mark.anyio
async def test_interviews_can_be_asked_for_by_the_house():
    about = {"kind": "interviews", "application_id": OPPORTUNITY}
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        lay_all(stub, "opportunity_active")
        found = await lever_api.look_up(api, connection, about)
    reading = lever_api.understand(found, Incoming(b"", {}, NOW), connection, "poll")

    assert [one["type"] for one in reading.events] == ["interview.completed"] * 2


@pytest.mark.anyio
async def test_a_poll_goes_through_what_ended_and_what_goes_on():
    window = Window(NOW - timedelta(hours=1), NOW)
    one, two = opportunity(), opportunity(id="second")
    lists = [
        {"data": [one], "hasNext": True, "next": "o2"},
        {"data": [two], "hasNext": False},
        {"data": [opportunity("opportunity_active")], "hasNext": False},
    ]
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        lay_all(stub)
        stub.lay("GET", "/v1/opportunities", *lists)
        pages, cursor = [], None
        while True:
            page = await lever_api.page(api, connection, window, cursor)
            pages.append(page)
            cursor = json.loads(json.dumps(page.cursor))
            if cursor is None:
                break

    assert [len(page.facts) for page in pages] == [1, 1, 2]
    assert [page.cursor for page in pages] == [
        {"part": "ended", "offset": "o2"}, {"part": "active", "offset": None}, None,
    ]  # fmt: skip
    calls = stub.asked("/v1/opportunities")
    since = str(int((NOW - timedelta(hours=1)).timestamp() * 1000))
    assert [call.query.get("archived_at_start") for call in calls] == [[since], [since], None]
    assert [call.query.get("updated_at_start") for call in calls] == [None, None, [since]]
    assert [call.query.get("archived") for call in calls] == [None, None, ["false"]]
    assert [call.query.get("offset") for call in calls] == [None, ["o2"], None]
    assert {tuple(call.query["limit"]) for call in calls} == {("100",)}
    assert "confidentiality" not in calls[0].query
    polled = lever_api.understand(
        pages[0].facts[0], Incoming(b"", {}, NOW), connection, "poll"
    ).events[0]
    assert polled["dedupe_key"] == only(facts())["dedupe_key"]
    assert (polled["provider_event"], polled["provider_event_id"]) == ("poll", None)
    again = lever_api.understand(pages[2].facts[0], Incoming(b"", {}, NOW), connection, "poll")
    told = understand(active(**ask("candidate_unarchived").about), "candidate_unarchived")
    assert again.events[0]["dedupe_key"] == told.events[0]["dedupe_key"]
    assert pages[2].facts[1]["kind"] == "interviews"


@pytest.mark.anyio
async def test_confidential_ones_are_listed_where_the_key_may_see_them():
    window = Window(NOW, NOW)
    async with (
        vendor_stub() as stub,
        api_of(lever_api, stub, NOW, include_confidential=True) as (api, connection),
    ):
        stub.lay("GET", "/v1/opportunities", {"data": []})
        await lever_api.page(api, connection, window, None)

    assert stub.calls[0].query["confidentiality"] == ["all"]


@pytest.mark.anyio
async def test_one_deleted_meanwhile_does_not_stop_the_poll():
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/opportunities", {"data": [opportunity("opportunity_active")]})
        cursor = {"part": "active", "offset": None}
        page = await lever_api.page(api, connection, Window(NOW, NOW), cursor)

    assert [one["kind"] for one in page.facts] == ["application"]


@pytest.mark.anyio
async def test_a_busy_or_refusing_vendor():
    about = ask("candidate_hired").about
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        stub.lay("GET", OF_ONE, Said({}, 429, {"retry-after": "7"}), Said({}, 403))
        with pytest.raises(VendorDown) as busy:
            await lever_api.look_up(api, connection, about)
        with pytest.raises(VendorRefused, match="api_unauthorised"):
            await lever_api.look_up(api, connection, about)

    assert busy.value.retry_after == timedelta(seconds=7)


@pytest.mark.anyio
async def test_without_a_key_a_person_must_act():
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match="setting_missing"):
            async with api_of(lever_api, stub, NOW, api_key=""):
                pass


@pytest.mark.anyio
async def test_the_tenant_s_reasons_with_a_cautious_suggestion():
    async with vendor_stub() as stub, api_of(lever_api, stub, NOW) as (api, connection):
        lay_all(stub)
        found = await lever_api.words(api, connection)

    assert found[1:] == [
        Word("reason", REASONS["candidate"], "Withdrew", "candidate"),
        Word("reason", "f1f2f3f4-0000-4000-8000-aaaaaaaaaaaa", "Compensation", None),
        Word("reason", REASONS["hired"], "Hired", "hired"),
    ]
    assert (found[0].id, found[0].text) == (REASONS["company"], "経験が求める水準と異なる")


@pytest.mark.anyio
async def test_a_tag_and_then_a_note_are_written_back():
    told = WriteBack(OPPORTUNITY, CONTACT, "紹介済み", "career-relay")
    async with (
        vendor_stub() as stub,
        api_of(lever_api, stub, NOW, perform_as="user-1") as (api, connection),
    ):
        stub.lay("POST", f"{OF_ONE}/addTags", {"data": {}})
        stub.lay("POST", f"{OF_ONE}/notes", Said({"data": {}}, 201))
        await lever_api.write_back(api, connection, told)

    assert [(call.path, call.json, call.query) for call in stub.calls] == [
        (f"{OF_ONE}/addTags", {"tags": ["career-relay"]}, {"perform_as": ["user-1"]}),
        (f"{OF_ONE}/notes", {"value": "紹介済み"}, {"perform_as": ["user-1"]}),
    ]


def test_the_api_is_registered():
    assert (lever_api.API_BASE, lever_api.PER_SECOND) == ("https://api.lever.co/v1", 10)
    assert lever_api.POLL_EVERY.total_seconds() == 15 * 60
    assert lever_api.WRITES_BACK is True
    assert APIS["lever"] is lever_api


def test_facts_are_left_as_they_were():
    found = facts()
    before = copy.deepcopy(found)
    lever_api.understand(found, Incoming(b"", {}, NOW), seen(), "poll")

    assert found == before
