"""SmartRecruiters: thin bodies signed with their headers, and what the API says of them."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.ports import (
    Aside,
    ConnectionView,
    Greeting,
    Incoming,
    Unreadable,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import APIS, smartrecruiters, smartrecruiters_api
from tests.deliveries import SAMPLES
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
KEY = "sr-key-of-the-tests-1"
STAMP = str(int(NOW.timestamp()))
CANDIDATE = "9f6d0b1e-cand-4a7c-9f0e-000000000001"
JOB = "3c1a2b4d-job0-4b6f-8a11-000000000002"
APPLICATION = f"{CANDIDATE}:{JOB}"
INTERVIEW = "1b2c3d4e-int0-4d6f-8a11-000000000004"
OF_PERSON = f"/candidates/{CANDIDATE}"
OF_ONE = f"{OF_PERSON}/jobs/{JOB}"
INTERVIEWS = "/interviews-api/v201904/interviews"
LINK = f'<https://api.smartrecruiters.com{OF_ONE}>; rel="self"'
VECTORS = [
    one
    for one in json.loads((SAMPLES / "signatures.json").read_text())
    if one["scheme"] == "smartrecruiters"
]


def raw_of(name):
    return (SAMPLES / "smartrecruiters" / f"{name}.json").read_bytes()


def answer(name):
    return json.loads((SAMPLES / "smartrecruiters" / "api" / f"{name}.json").read_text())


def seen(**more):
    return ConnectionView(id="ats_1", **more)


def signed(raw, event="application.status.updated", link=LINK, stamp=STAMP, keys=(KEY,), **more):
    """A delivery as the vendor sends it; `more` changes or (null) drops headers afterwards."""
    headers = {
        "smartrecruiters-timestamp": stamp,
        "event-id": "ev-1",
        "event-name": event,
        "event-version": "v201910",
        "link": link,
    }
    parts = [headers["event-id"], event, "v201910", link]
    message = b".".join([stamp.encode(), raw, *(one.encode() for one in parts)])
    digests = [hmac.new(key.encode(), message, hashlib.sha256).hexdigest() for key in keys]
    headers["smartrecruiters-signature"] = ";".join(f"v1={one}" for one in digests)
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return Incoming(raw, {k: v for k, v in headers.items() if v is not None}, NOW)


def ask(name="application_status_updated", event="application.status.updated", link=""):
    return smartrecruiters.read(signed(raw_of(name), event, link), seen())


# ---- handshake and signature ----------------------------------------------------------------


def test_the_handshake_is_echoed():
    found = Incoming(b"", {"x-hook-secret": "abc-123"}, NOW)

    assert smartrecruiters.greet(found, seen()) == Greeting(200, {"X-Hook-Secret": "abc-123"})


@pytest.mark.parametrize("headers", [
    {}, {"x-hook-secret": ""}, {"x-hook-secret": "a b"}, {"x-hook-secret": "a\r\nb: c"},
    {"x-hook-secret": "é"}, {"x-hook-secret": "x" * 501},
    {"x-hook-secret": "abc", "smartrecruiters-signature": "v1=00"},
    {"x-hook-secret": "abc", "smartrecruiters-signature": ""},
])  # fmt: skip
def test_what_is_no_handshake(headers):
    assert smartrecruiters.greet(Incoming(b"{}", headers, NOW), seen()) is None


def of_vector(vector):
    stamp, rest = vector["signed_utf8"].split(".", 1)
    body, end, rest = rest.partition("}")
    event_id, rest = rest.removeprefix(".").split(".", 1)
    event, version, link = (
        (rest[: rest.index(".v201910")], "v201910", rest.split(".v201910.", 1)[1])
    )  # fmt: skip
    headers = {
        "smartrecruiters-timestamp": stamp,
        "smartrecruiters-signature": vector["expected"],
        "event-id": event_id,
        "event-name": event,
        "event-version": version,
        **({"link": link} if link else {}),
    }
    return Incoming((body + end).encode(), headers, datetime.fromtimestamp(int(stamp), UTC))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_vectors(vector):
    found = of_vector(vector)

    assert smartrecruiters.verify(found, seen(secrets=[vector["key"]])) is vector["valid"]
    assert not smartrecruiters.verify(found, seen(secrets=["another-key-entirely"]))


def test_there_are_three_vectors_and_either_key_of_two_is_enough():
    assert len(VECTORS) == 3
    two = next(one for one in VECTORS if one["name"] == "smartrecruiters-two-keys")

    assert smartrecruiters.verify(of_vector(two), seen(secrets=["sr-doc-key-new"]))


RAW = b'{"job_id":"j","candidate_id":"c"}'


def test_any_secret_may_match_any_entry():
    found = signed(RAW, keys=("another-key-1", KEY))

    assert smartrecruiters.verify(found, seen(secrets=["no-key-at-all", KEY]))
    assert not smartrecruiters.verify(found, seen(secrets=["no-key-at-all"]))
    assert not smartrecruiters.verify(found, seen())
    assert not smartrecruiters.verify(signed(RAW, keys=("",)), seen(secrets=[""]))


@pytest.mark.parametrize("at", range(len(RAW)))
def test_one_flipped_byte(at):
    flipped = RAW[:at] + bytes([RAW[at] ^ 1]) + RAW[at + 1 :]
    found = signed(RAW)

    assert not smartrecruiters.verify(Incoming(flipped, found.headers, NOW), seen(secrets=[KEY]))


def test_a_body_written_anew_is_another_body():
    again = json.dumps(json.loads(RAW)).encode()

    assert again != RAW
    assert not smartrecruiters.verify(
        Incoming(again, signed(RAW).headers, NOW), seen(secrets=[KEY])
    )


@pytest.mark.parametrize("name", ["event-id", "event-name", "event-version", "link"])
@pytest.mark.parametrize("value", [None, "", "other", "\u20ac"])
def test_every_header_named_is_signed(name, value):
    headers = {k: v for k, v in {**signed(RAW).headers, name: value}.items() if v is not None}

    assert not smartrecruiters.verify(Incoming(RAW, headers, NOW), seen(secrets=[KEY]))


def test_a_header_keeps_its_bytes():
    link = "<https://api.smartrecruiters.com/candidates/é>"
    message = b".".join([STAMP.encode(), RAW, b"ev-1", b"x", b"v201910", link.encode()])
    digest = hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()
    found = signed(
        RAW, "x", link.encode().decode("latin-1"), smartrecruiters_signature=f"v1={digest}"
    )

    assert smartrecruiters.verify(found, seen(secrets=[KEY]))


GOOD = signed(RAW).headers["smartrecruiters-signature"]


@pytest.mark.parametrize("header", [
    None, "", "v1", "v1=", GOOD[3:], GOOD[:-1], GOOD + "0", GOOD.upper(), GOOD.replace("v1", "v2"),
    "v1=" + "z" * 64, "v1=é", "\ud800", GOOD.replace("v1=", "v1= "), ";;;", "," + GOOD,
])  # fmt: skip
def test_malformed_signatures(header):
    found = signed(RAW, smartrecruiters_signature=header)

    assert smartrecruiters.verify(found, seen(secrets=[KEY])) is False


@pytest.mark.parametrize("header", [f" {GOOD} ", f"v2=ab; {GOOD}", f"{GOOD};"])
def test_entries_of_other_versions_and_blanks_do_no_harm(header):
    assert smartrecruiters.verify(signed(RAW, smartrecruiters_signature=header),
                                  seen(secrets=[KEY]))  # fmt: skip


@pytest.mark.parametrize(("age", "accepted"), [
    (timedelta(hours=26), True), (timedelta(hours=26, seconds=1), False), (timedelta(), True),
    (timedelta(minutes=-5), True), (timedelta(minutes=-5, seconds=-1), False),
])  # fmt: skip
def test_the_window_covers_a_day_of_retries(age, accepted):
    found = signed(RAW, stamp=str(int((NOW - age).timestamp())))

    assert smartrecruiters.verify(found, seen(secrets=[KEY])) is accepted


@pytest.mark.parametrize(
    "stamp", ["", " ", "-1", "1e9", "١٢٣", "9" * 40, f"{STAMP}.0", f"+{STAMP}"]
)
def test_malformed_timestamps(stamp):
    assert smartrecruiters.verify(signed(RAW, stamp=stamp), seen(secrets=[KEY])) is False
    found = signed(RAW, smartrecruiters_timestamp=None)
    assert smartrecruiters.verify(found, seen(secrets=[KEY])) is False


def test_constants_and_keys():
    assert (smartrecruiters.SUCCESS, smartrecruiters.BAD_SIGNATURE) == (202, 401)
    assert smartrecruiters.ONE_BODY_PER_ID is False
    assert smartrecruiters.delivery_id(signed(RAW)) == "ev-1"
    assert smartrecruiters.delivery_id(Incoming(b"", {}, NOW)) is None
    assert smartrecruiters.unusable([KEY], []) is None
    assert smartrecruiters.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert smartrecruiters.unusable([], ["x"]) == "SmartRecruiters signs with a shared secret only"
    kept = set(smartrecruiters.HEADERS)
    assert kept == {"event-id", "event-name", "event-version", "link", "smartrecruiters-timestamp"}


# ---- what a delivery asks -------------------------------------------------------------------


@pytest.mark.parametrize(("name", "link", "job"), [
    ("application_status_updated", "", JOB),
    ("application_status_updated_camel", "", JOB),
    ("application_status_updated_id", LINK, JOB),
    ("application_status_updated_id", "", None),
    ("application_status_updated", "<https://elsewhere.test/candidates/x/jobs/y>", JOB),
])  # fmt: skip
def test_ids_come_from_the_body_in_either_spelling_and_then_from_the_link(name, link, job):
    reading = ask(name, link=link)

    assert (reading.provider_event, list(reading.events)) == ("application.status.updated", [])
    assert reading.lookup.needed is True
    assert reading.lookup.about == {
        "kind": "application", "candidate_id": CANDIDATE, "job_id": job,
        "fired_at": "2026-06-02T01:00:00Z",
    }  # fmt: skip


def test_ids_may_stand_in_the_link_alone():
    found = signed(
        b"{}", link="<https://api.smartrecruiters.com/candidates/a%2Fb/jobs/j>; rel=self"
    )
    about = smartrecruiters.read(found, seen()).lookup.about

    assert (about["candidate_id"], about["job_id"]) == ("a/b", "j")


@pytest.mark.parametrize("link", [
    "", "<>", "nonsense", "<https://[bad/candidates/x>", "<https://api.test/candidates>",
    "<https://api.test/candidates/>",
])  # fmt: skip
def test_without_any_id_there_is_nothing_to_read(link):
    with pytest.raises(Unreadable, match=r"^candidate_id_missing$"):
        smartrecruiters.read(signed(b"{}", link=link), seen())


@pytest.mark.parametrize(("body", "code"), [
    (b"", "not_json"), (b"[]", "not_an_object"), (b'{"id":1.5}', "candidate_id_malformed"),
    (b'{"candidate_id":{}}', "candidate_id_malformed"),
    (b'{"id":"c","jobId":[]}', "job_id_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(body, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        smartrecruiters.read(signed(body), seen())


def test_a_delivery_without_a_name_cannot_be_read():
    with pytest.raises(Unreadable, match=r"^event_name_missing$"):
        smartrecruiters.read(signed(RAW, event_name=None), seen())


@pytest.mark.parametrize(("name", "event"), [
    ("application_created", "application.created"), ("job_updated", "job.updated"),
    ("application_status_updated", "offer.created"), ("job_updated", "something.new"),
])  # fmt: skip
def test_other_events_say_nothing(name, event):
    reading = ask(name, event)

    assert (reading.provider_event, reading.lookup, list(reading.events)) == (event, None, [])


def test_an_interview_is_read_and_a_cancelled_one_need_not_be():
    assert ask("interview_created", "interview.created").lookup.about == {
        "kind": "interviews", "interview_id": INTERVIEW,
    }  # fmt: skip
    assert ask("interview_created", "interview.updated").lookup is not None
    off = ask("interview_canceled", "interview.canceled")
    assert (off.lookup, list(off.asides)) == (None, [Aside("interview_off", INTERVIEW)])
    assert off.as_of == NOW


def test_a_deletion_needs_no_reading():
    reading = ask("candidate_deleted", "candidate.deleted")
    event = reading.events[0]

    assert (reading.lookup, event["type"]) == (None, "candidate.deleted")
    assert event["candidate"]["external_id"] == CANDIDATE
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": []}
    assert event["dedupe_key"] == f"smartrecruiters:ats_1:candidate.deleted:{CANDIDATE}:deleted"
    assert (event["provider_event_id"], event["holds"]) == ("ev-1", [])


# ---- what the API says ----------------------------------------------------------------------


def facts(status="rejected", history="history_rejected", candidate=None, application=None, **about):
    return {
        "kind": "application",
        "about": {"kind": "application", "candidate_id": CANDIDATE, "job_id": JOB, **about},
        "candidate": {**answer("candidate"), **(candidate or {})},
        "applications": [{
            "job_id": JOB,
            "application": {**answer(f"application_{status}"), **(application or {})},
            "history": answer(history)["content"] if history else None,
            "job": answer("job"),
        }],
    }  # fmt: skip


def entries(*told):
    return [{"changedOn": at, "status": status} for at, status in told]


def understand(found, event="application.status.updated", **settings):
    kept = json.loads(json.dumps(found))
    return smartrecruiters_api.understand(kept, signed(RAW), seen(settings=settings), event)


def only(found, **settings):
    events = understand(found, **settings).events

    assert len(events) == 1
    return events[0]


def test_a_rejection_with_all_its_fields():
    reading = understand(facts(fired_at="2026-06-02T01:00:00Z"))

    assert (reading.states, reading.undated, reading.as_of) == (False, False, NOW)
    assert list(reading.asides) == []
    assert list(reading.events) == [{
        "type": "application.rejected",
        "schema_version": "1",
        "provider": "smartrecruiters",
        "connection_id": "ats_1",
        "provider_event": "application.status.updated",
        "provider_event_id": "ev-1",
        "dedupe_key": (
            f"smartrecruiters:ats_1:application.rejected:{APPLICATION}:2026-06-02T00:41:07.412000Z"
        ),
        "supersedes": None,
        "occurred_at": "2026-06-02T00:41:07.412000Z",
        "received_at": "2026-06-02T01:00:00Z",
        "application": {
            "external_id": APPLICATION,
            "url": f"https://www.smartrecruiters.example/app/people/{CANDIDATE}/jobs/{JOB}",
            "status": "rejected",
            "applied_at": "2026-05-12T00:15:31Z",
            "stage": {"id": "REJECTED", "name": "REJECTED"},
            "source": "自社採用サイト",
            "custom_fields": {},
        },
        "candidate": {
            "external_id": CANDIDATE,
            "display_name": "花子 試験",
            "given_name": "花子",
            "family_name": "試験",
            "emails": [
                {"value": "Hanako.Shiken@mail.example", "type": "unknown", "primary": True}
            ],
            "primary_email": "Hanako.Shiken@mail.example",
            "phones": [{"value": "090-0000-0000", "type": None}],
            "url": f"https://www.smartrecruiters.example/app/people/{CANDIDATE}",
            "tags": ["法人営業", "TOEIC 800"],
            "is_private": False,
            "is_internal": False,
            "can_email": None,
            "is_anonymized": False,
            "merged_into_external_id": None,
        },
        "job": {
            "external_id": JOB,
            "title": "法人営業 R&D",
            "department": "営業本部",
            "location": "千代田区",
            "requisition_id": "REF7X",
            "confidential": False,
        },
        "rejection": {
            "initiated_by": "company",
            "reason_id": "0a3cd2",
            "reason_text": "Did not meet desired qualifications",
            "reason_type_raw": "REJECTED",
            "rejected_at": "2026-06-02T00:41:07.412000Z",
            "not_before": None,
        },
        "interview": None,
        "deletion": None,
        "attachments": [],
        "enrichment": "complete",
        "holds": [],
    }]  # fmt: skip


def withdrawn(**more):
    found = facts("withdrawn", **more)
    found["applications"][0]["history"] = entries(("2026-06-02T00:30:00.000Z", "WITHDRAWN"))
    return found


def test_the_status_says_that_the_candidate_ended_it_whatever_the_map_says():
    event = only(withdrawn(), reason_map={"7b1f00": "company"})

    assert (event["type"], event["application"]["status"]) == ("application.withdrawn", "withdrawn")
    assert event["rejection"]["initiated_by"] == "candidate"
    assert event["rejection"]["reason_text"] == "Took another job"
    assert event["holds"] == []


def test_an_end_without_a_reason_is_still_the_company_s():
    event = only(facts(application={"reasonOfRejection": None}))

    assert (event["rejection"]["initiated_by"], event["rejection"]["reason_id"]) == (
        "company", None,
    )  # fmt: skip
    assert event["holds"] == []


def test_a_hire():
    found = facts("hired")
    found["applications"][0]["history"] = entries(("2026-06-02T00:50:00.000Z", "HIRED"))
    reading = understand(found)

    assert [one["type"] for one in reading.events] == ["application.hired"]
    assert reading.events[0]["rejection"] is None
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:50:00Z"
    assert reading.states is False


def test_a_changed_sub_status_does_not_move_the_end():
    found = facts()
    found["applications"][0]["history"] = entries(
        ("2026-06-02T00:50:00.000Z", "REJECTED"), ("2026-06-02T00:41:07.412Z", "REJECTED"),
        ("2026-05-30T00:00:00.000Z", "NEW"), ("2026-05-01T00:00:00.000Z", "REJECTED"),
    )  # fmt: skip

    assert only(found)["dedupe_key"] == only(facts())["dedupe_key"]


def test_active_again_after_an_end():
    reading = understand(facts("active", "history_reopened", application={"status": "INTERVIEW"}))

    assert [one["type"] for one in reading.events] == ["application.rejection_reverted"]
    assert reading.events[0]["occurred_at"] == "2026-06-03T01:00:00Z"
    assert (reading.states, list(reading.asides)) == (True, [Aside("unhired", APPLICATION)])
    assert reading.as_of == datetime(2026, 6, 4, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize("history", [
    [("2026-05-12T00:15:31.000Z", "NEW")],
    [("2026-06-01T01:00:00.000Z", "IN_REVIEW")],
    [("2026-05-12T00:15:31.000Z", "NEW"), ("2026-06-01T00:00:00.000Z", "OFFERED")],
])  # fmt: skip
def test_active_as_of_now_whatever_end_the_history_does_not_know_of(history):
    found = facts("active", fired_at="2026-06-02T00:59:00Z")
    found["applications"][0]["history"] = entries(*history)
    reading = understand(found)

    assert [one["type"] for one in reading.events] == ["application.rejection_reverted"]
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:59:00Z"
    assert reading.states


def test_a_hire_taken_back():
    found = facts("active")
    found["applications"][0]["history"] = entries(
        ("2026-06-01T00:00:00.000Z", "HIRED"), ("2026-06-02T00:00:00.000Z", "IN_REVIEW")
    )
    reading = understand(found)

    assert (reading.states, list(reading.asides)) == (True, [Aside("unhired", APPLICATION)])


def test_without_a_history_the_delivery_s_time_stands_in():
    reading = understand(facts(history=None, fired_at="2026-06-02T01:00:00Z"))

    assert (reading.states, reading.undated) == (True, True)
    assert reading.events[0]["occurred_at"] == "2026-06-02T01:00:00Z"
    polled = understand(facts(history=None))
    assert polled.events[0]["occurred_at"] == "2026-06-02T00:41:08.120000Z"


@pytest.mark.parametrize("status", ["TRANSFERRED", "SOMETHING_NEW"])
def test_other_statuses_say_nothing(status):
    assert list(understand(facts(application={"status": status})).events) == []


def test_a_lead_is_a_prospect():
    found = facts("active", application={"status": "LEAD"})
    found["applications"][0]["history"] = None
    assert only(found)["holds"] == ["prospect"]
    found = facts()
    found["applications"][0]["history"] = entries(
        ("2026-06-01T00:00:00.000Z", "LEAD"), ("2026-06-02T00:00:00.000Z", "REJECTED")
    )
    assert only(found)["holds"] == ["prospect"]


@pytest.mark.parametrize(("changes", "holds"), [
    ({"internal": True}, ["internal_applicant"]),
    ({"email": None}, ["no_email"]),
    ({"email": "none"}, ["no_email"]),
    ({"email": ["a@b.example"]}, ["no_email"]),
    ({"tags": 7, "phoneNumber": {}, "actions": []}, []),
])  # fmt: skip
def test_holds(changes, holds):
    assert only(facts(candidate=changes))["holds"] == holds


def test_the_tenant_may_exclude_a_reason():
    assert only(facts(), excluded_reasons=["0a3cd2"])["holds"] == ["reason_excluded"]


def test_entries_about_another_job_are_not_meant():
    found = facts()
    found["applications"][0]["history"] = [
        *answer("history_rejected")["content"],
        {"changedOn": "2026-06-02T00:59:00.000Z", "status": "HIRED", "jobId": "another"},
    ]

    assert only(found)["dedupe_key"] == only(facts())["dedupe_key"]


@pytest.mark.parametrize(("where", "changes", "code"), [
    ("candidate", {"id": None}, "candidate_id_missing"),
    ("candidate", {"id": "another"}, "candidate_other"),
    ("candidate", {"internal": "no"}, "internal_malformed"),
    ("candidate", {"lastName": 7}, "last_name_malformed"),
    ("candidate", {"updatedOn": "2026-06-02T00:41:08"}, "updated_on_malformed"),
    ("application", {"status": None}, "status_missing"),
    ("application", {"status": 7}, "status_malformed"),
    ("application", {"reasonOfRejection": "x"}, "reason_malformed"),
    ("application", {"reasonOfRejection": {"id": []}}, "reason_id_malformed"),
])  # fmt: skip
def test_an_answer_is_never_guessed_at(where, changes, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understand(facts(**{where: changes}))


@pytest.mark.parametrize(("history", "code"), [
    (7, "history_malformed"), ([7], "history_malformed"),
    (entries(("2026-06-02T00:41:07", "REJECTED")), "changed_on_malformed"),
    (entries((None, "REJECTED")), "changed_on_missing"),
    (entries(("2026-06-02T00:41:07Z", 7)), "history_status_malformed"),
])  # fmt: skip
def test_a_history_is_never_guessed_at(history, code):
    found = facts()
    found["applications"][0]["history"] = history

    with pytest.raises(Unreadable, match=f"^{code}$"):
        understand(found)


def interviews(at, named=None, **changes):
    found = {
        "kind": "interviews",
        "about": {"interview_id": named},
        "interviews": [{**answer("interview"), **changes}],
        "candidate": answer("candidate"),
        "job": answer("job"),
    }
    return smartrecruiters_api.understand(found, Incoming(b"", {}, at), seen(), "poll")


def test_an_interview_lasts_from_its_first_block_to_its_last():
    reading = interviews(NOW)
    event = reading.events[0]

    assert (event["type"], event["occurred_at"]) == ("interview.scheduled", "2026-05-30T04:00:00Z")
    assert event["interview"] == {
        "external_id": INTERVIEW, "starts_at": "2026-06-02T05:00:00Z",
        "ends_at": "2026-06-02T07:00:00Z", "all_day": False, "status": "scheduled",
    }  # fmt: skip
    assert event["dedupe_key"] == (
        f"smartrecruiters:ats_1:interview.scheduled:{APPLICATION}:2026-06-02T05:00:00Z"
    )
    assert event["application"]["external_id"] == APPLICATION
    assert event["job"]["title"] == "法人営業 R&D"
    assert event["holds"] == []
    assert reading.as_of == NOW


def test_an_interview_is_over_at_its_end():
    over = interviews(datetime(2026, 6, 2, 7, 1, tzinfo=UTC)).events[0]

    assert (over["type"], over["occurred_at"]) == ("interview.completed", "2026-06-02T07:00:00Z")
    assert interviews(datetime(2026, 6, 2, 6, 30, tzinfo=UTC)).events[0]["type"] == (
        "interview.scheduled"
    )


def test_nobody_appeared_or_it_was_declined():
    slots = [{**one, "noShow": True} for one in answer("interview")["timeslots"]]
    off = [Aside("interview_off", INTERVIEW)]

    for changes in ({"timeslots": slots}, {"candidate": {"id": CANDIDATE, "status": "declined"}}):
        reading = interviews(NOW, **changes)
        assert (list(reading.events), list(reading.asides)) == ([], off)
    slots[0]["noShow"] = False
    assert len(interviews(NOW, timeslots=slots).events) == 1
    assert list(interviews(NOW, timeslots=[]).events) == []


def test_an_interview_asked_for_and_not_there_was_removed():
    found = {"kind": "interviews", "about": {"interview_id": "gone"}, "interviews": []}
    reading = smartrecruiters_api.understand(found, Incoming(b"", {}, NOW), seen(), "x")

    assert list(reading.asides) == [Aside("interview_off", "gone")]


@pytest.mark.parametrize(("changes", "code"), [
    ({"id": None}, "interview_id_missing"),
    ({"jobId": None}, "job_id_missing"),
    ({"candidate": None}, "interview_candidate_missing"),
    ({"candidate": {"id": "another"}}, "candidate_other"),
    ({"timeslots": {}}, "timeslots_malformed"),
    ({"timeslots": [{"startsOn": "2026-06-02"}]}, "starts_on_malformed"),
    ({"timeslots": [{"startsOn": "2026-06-02T05:00:00Z", "noShow": "x"}]}, "no_show_malformed"),
])  # fmt: skip
def test_interviews_are_never_guessed(changes, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        interviews(NOW, **changes)


# ---- over HTTP ------------------------------------------------------------------------------


def lay_all(stub, status="rejected", history="history_rejected"):
    stub.lay("GET", OF_PERSON, answer("candidate"))
    stub.lay("GET", OF_ONE, answer(f"application_{status}"))
    stub.lay("GET", f"{OF_ONE}/status/history", answer(history))
    stub.lay("GET", f"/jobs/{JOB}", answer("job"))
    stub.lay("GET", f"{INTERVIEWS}/{INTERVIEW}", answer("interview"))
    stub.lay("GET", INTERVIEWS, {"content": [answer("interview")]})


async def looked_up(about, lay=lay_all):
    async with vendor_stub() as stub, api_of(smartrecruiters_api, stub, NOW) as (api, connection):
        lay(stub)
        return await smartrecruiters_api.look_up(api, connection, about), stub


@pytest.mark.anyio
async def test_a_look_up_reads_person_application_history_and_job():
    about = ask().lookup.about
    found, stub = await looked_up(about)

    assert found == json.loads(json.dumps(facts(fired_at="2026-06-02T01:00:00Z")))
    assert [call.path for call in stub.calls] == [
        OF_PERSON, OF_ONE, f"{OF_ONE}/status/history", f"/jobs/{JOB}",
    ]  # fmt: skip
    assert {call.headers["x-smarttoken"] for call in stub.calls} == {"key-for-tests"}


@pytest.mark.anyio
async def test_without_a_job_the_person_s_applications_are_read():
    about = ask("application_status_updated_id").lookup.about
    found, _ = await looked_up(about)

    assert only(found)["dedupe_key"] == only(facts())["dedupe_key"]


@pytest.mark.anyio
async def test_the_candidate_s_history_stands_in_for_the_application_s():
    def lay(stub):
        lay_all(stub)
        stub.lay("GET", f"{OF_ONE}/status/history", Said({}, 404))
        stub.lay("GET", f"{OF_PERSON}/status/history", answer("history_rejected"))

    found, _ = await looked_up(ask().lookup.about, lay)

    assert only(found)["dedupe_key"] == only(facts())["dedupe_key"]


@pytest.mark.anyio
async def test_interviews_by_their_own_id_and_by_the_application():
    named, _ = await looked_up(ask("interview_created", "interview.created").lookup.about)
    asked, stub = await looked_up({"kind": "interviews", "application_id": APPLICATION})
    keys = [
        smartrecruiters_api.understand(one, Incoming(b"", {}, NOW), seen(), "x").events[0][
            "dedupe_key"
        ]
        for one in (named, asked)
    ]

    assert keys[0] == keys[1]
    assert stub.asked(INTERVIEWS)[0].query == {
        "applicationId": ["aa11bb22-app0-4c6f-8a11-000000000003"]
    }


@pytest.mark.anyio
async def test_a_removed_interview_answers_404():
    def lay(_):
        pass

    about = ask("interview_created", "interview.updated").lookup.about
    found, _ = await looked_up(about, lay)

    assert found == {"kind": "interviews", "about": about, "interviews": []}


@pytest.mark.anyio
@pytest.mark.parametrize("number", ["..", "../users", "x"])
async def test_who_is_not_there_is_missing_and_no_id_leads_elsewhere(number):
    def lay(stub):
        stub.lay("GET", "/users", {"id": "u"})

    about = {"kind": "application", "candidate_id": number, "job_id": JOB}
    with pytest.raises(VendorMissing):
        await looked_up(about, lay)
    with pytest.raises(VendorMissing):
        await looked_up({"kind": "interviews", "application_id": "no colon"}, lay)


@pytest.mark.anyio
async def test_a_poll_reads_candidates_page_by_page():
    window = Window(NOW - timedelta(hours=1), NOW)
    talking = {"status": "INTERVIEW", "job": {"id": JOB, "title": "x"}}
    lists = [answer("candidates_page"), {"content": [{"id": CANDIDATE}, {"id": "gone"}]}]
    async with vendor_stub() as stub, api_of(smartrecruiters_api, stub, NOW) as (api, connection):
        lay_all(stub)
        stub.lay("GET", "/candidates", *lists)
        first = await smartrecruiters_api.page(api, connection, window, None)
        stub.lay("GET", OF_PERSON, {**answer("candidate"), "primaryAssignment": talking})
        stub.lay("GET", OF_ONE, answer("application_active"))
        stub.lay("GET", f"{OF_ONE}/status/history", answer("history_reopened"))
        cursor = json.loads(json.dumps(first.cursor))
        second = await smartrecruiters_api.page(api, connection, window, cursor)

    assert first.cursor == {"part": "candidates", "page_id": "page-2"}
    assert second.cursor is None
    polled = smartrecruiters_api.understand(
        first.facts[0], Incoming(b"", {}, NOW), connection, "poll"
    ).events[0]
    assert polled["dedupe_key"] == only(facts())["dedupe_key"]
    assert (polled["provider_event"], polled["provider_event_id"]) == ("poll", None)
    assert [one["kind"] for one in second.facts] == ["application", "interviews"]
    assert [call.query for call in stub.asked("/candidates")] == [
        {"updatedAfter": ["2026-06-02T00:00:00Z"], "limit": ["100"]},
        {"updatedAfter": ["2026-06-02T00:00:00Z"], "limit": ["100"], "pageId": ["page-2"]},
    ]


@pytest.mark.anyio
async def test_a_busy_or_refusing_vendor():
    about = ask().lookup.about
    async with vendor_stub() as stub, api_of(smartrecruiters_api, stub, NOW) as (api, connection):
        stub.lay("GET", OF_PERSON, Said({}, 429, {"retry-after": "9"}), Said({}, 401))
        with pytest.raises(VendorDown) as busy:
            await smartrecruiters_api.look_up(api, connection, about)
        with pytest.raises(VendorRefused, match="api_unauthorised"):
            await smartrecruiters_api.look_up(api, connection, about)
        with pytest.raises(VendorRefused, match="setting_missing"):
            async with api_of(smartrecruiters_api, stub, NOW, api_key=None):
                pass

    assert busy.value.retry_after == timedelta(seconds=9)


@pytest.mark.anyio
async def test_the_reasons_of_both_sides():
    async with vendor_stub() as stub, api_of(smartrecruiters_api, stub, NOW) as (api, connection):
        for side in ("rejection", "withdrawal"):
            stub.lay("GET", f"/configuration/{side}-reasons", answer(f"{side}_reasons"))
        found = await smartrecruiters_api.words(api, connection)

    assert found == [
        Word("reason", "0a3cd2", "Did not meet desired qualifications", "company"),
        Word("reason", "0a3cd3", "Other", "company"),
        Word("reason", "7b1f00", "Took another job", "candidate"),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("candidate_id", [CANDIDATE, None])
async def test_a_tag_and_then_a_note_are_written_back(candidate_id):
    told = WriteBack(APPLICATION, candidate_id, "紹介済み", "career-relay")
    async with vendor_stub() as stub, api_of(smartrecruiters_api, stub, NOW) as (api, connection):
        stub.lay("POST", f"{OF_PERSON}/tags", Said({}, 201))
        stub.lay("POST", "/messages/shares", Said({}, 201))
        await smartrecruiters_api.write_back(api, connection, told)

    assert [(call.path, call.json) for call in stub.calls] == [
        (f"{OF_PERSON}/tags", {"tags": ["career-relay"]}),
        ("/messages/shares", {
            "content": f"#[CANDIDATE:{CANDIDATE}] 紹介済み", "shareWith": {"openNote": True},
        }),
    ]  # fmt: skip


def test_the_api_is_registered():
    assert smartrecruiters_api.API_BASE == "https://api.smartrecruiters.com"
    assert (smartrecruiters_api.PER_SECOND, smartrecruiters_api.WRITES_BACK) == (10, True)
    assert smartrecruiters_api.POLL_EVERY.total_seconds() == 15 * 60
    assert APIS["smartrecruiters"] is smartrecruiters_api
