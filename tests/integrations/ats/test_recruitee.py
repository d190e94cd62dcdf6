"""Recruitee: the test before the secret, signatures, deliveries, and what the API says."""

import copy
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.ports import (
    Aside,
    Greeting,
    Lookup,
    Unreadable,
    VendorDown,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import ADAPTERS, APIS
from integrations.ats import recruitee as adapter
from integrations.ats import recruitee_api as vendor
from tests.deliveries import SAMPLES, incoming, view
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 10, 1, 9, 0, tzinfo=UTC)
SECRET = "recruitee-doc-secret"
WINDOW = Window(NOW - timedelta(hours=1), NOW)
COMPANY = "89564"
[VECTOR] = [
    one
    for one in json.loads((SAMPLES / "signatures.json").read_text())
    if one["scheme"] == "recruitee"
]


def sample(name):
    return json.loads((SAMPLES / "recruitee" / f"{name}.json").read_text())


def signature(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verified(body, signed, secrets=(SECRET,)):
    headers = {} if signed is None else {"x_recruitee_signature": signed}
    return adapter.verify(incoming(body, NOW, **headers), view(secrets=secrets))


BODY = json.dumps(sample("disqualified")).encode()
GOOD = signature(BODY)


# ---- the test before the secret -------------------------------------------------------------


@pytest.mark.parametrize("body", [b'{"test":true}', BODY, b"", b"\xff"])
def test_before_there_is_a_secret_everything_is_answered_and_nothing_counts(body):
    for secrets in ([], [""]):
        assert adapter.greet(incoming(body, NOW), view(secrets=secrets)) == Greeting(200)
    assert adapter.greet(incoming(body, NOW), view(secrets=[SECRET])) is None


def test_a_test_never_replaces_the_signature():
    body = b'{"test":true}'

    assert not verified(body, None)
    assert not verified(body, "x")
    assert verified(body, signature(body))


@pytest.mark.parametrize("name", ["test", "test_payload"])
def test_a_signed_test_means_nothing(name):
    reading = read(sample(name))

    assert (reading.provider_event, list(reading.events), reading.lookup) == ("test", [], None)


# ---- signatures -----------------------------------------------------------------------------


def test_the_vector():
    body = VECTOR["signed_utf8"].encode()

    assert verified(body, VECTOR["expected"], [VECTOR["key"]]) is VECTOR["valid"]


def test_any_of_several_secrets_and_no_empty_one():
    assert verified(BODY, GOOD, ["another-secret-xyz", SECRET])
    assert not verified(BODY, GOOD, ["another-secret-xyz"])
    assert not verified(BODY, GOOD, [])
    assert not verified(BODY, signature(BODY, ""), [""])


@pytest.mark.parametrize("at", range(0, len(BODY), 11))
def test_one_flipped_byte(at):
    assert not verified(BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :], GOOD)


def test_a_re_serialised_body():
    assert not verified(json.dumps(json.loads(BODY), ensure_ascii=False).encode(), GOOD)


@pytest.mark.parametrize("header", [
    None, "", " ", GOOD[:-1], GOOD + "0", GOOD.upper(), f"sha256={GOOD}", f" {GOOD}", "z" * 64,
    "\u00e9" * 64, f"{GOOD},{GOOD}",
])  # fmt: skip
def test_malformed_headers(header):
    assert verified(BODY, header) is False


def test_keys_that_could_never_verify():
    assert adapter.unusable([SECRET], []) is None
    assert adapter.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert adapter.unusable([], ["whpk_x"]) == "Recruitee signs with a shared secret only"


# ---- deliveries -----------------------------------------------------------------------------


def read(body, **settings):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter.read(incoming(raw, NOW), view(settings=settings))


def only(body, **settings):
    events = read(body, **settings).events

    assert len(events) == 1
    return events[0]


def changed(name="disqualified", **places):
    body = sample(name)
    for way, value in places.items():
        *steps, last = way.split("__")
        place = body
        for step in steps:
            place = place[step]
        place[last] = value
    return body


def test_a_rejection_with_all_its_fields():
    reading = read(sample("disqualified"), reason_map={"31": "company"})

    assert reading.provider_event == "candidate_moved.disqualified"
    assert reading.as_of == datetime(2026, 10, 1, 8, 0, 0, 451549, tzinfo=UTC)
    assert (reading.undated, reading.states) == (True, False)
    assert list(reading.events) == [{
        "type": "application.rejected",
        "schema_version": "1",
        "provider": "recruitee",
        "connection_id": "ats_1",
        "provider_event": "candidate_moved.disqualified",
        "provider_event_id": None,
        "dedupe_key":
            "recruitee:ats_1:application.rejected:9001:501:2026-10-01T08:00:00.451549Z",
        "supersedes": None,
        "occurred_at": "2026-10-01T08:00:00.451549Z",
        "received_at": "2026-10-01T09:00:00Z",
        "application": {
            "external_id": "9001:501", "url": None, "status": "rejected",
            "applied_at": "2026-09-01T03:00:00Z", "stage": None, "source": "career_site",
            "custom_fields": {},
        },
        "candidate": {
            "external_id": "9001", "display_name": "試験 花子", "given_name": None,
            "family_name": None,
            "emails": [{"value": "hanako@mail.example", "type": "unknown", "primary": False}],
            "primary_email": "hanako@mail.example",
            "phones": [{"value": "+81 90-1234-5678", "type": None}],
            "url": "https://app.recruitee.example/#/candidate/9001", "tags": ["海外営業"],
            "is_private": False, "is_internal": False, "can_email": None,
            "is_anonymized": False, "merged_into_external_id": None,
        },
        "job": {
            "external_id": "501", "title": "法人営業", "department": "営業部",
            "location": "東京都千代田区", "requisition_id": None, "confidential": False,
        },
        "rejection": {
            "initiated_by": "company", "reason_id": "31", "reason_text": "経験不足",
            "reason_type_raw": None, "rejected_at": "2026-10-01T08:00:00.451549Z",
            "not_before": None,
        },
        "interview": None, "deletion": None, "attachments": [], "enrichment": "complete",
        "holds": [],
    }]  # fmt: skip


@pytest.mark.parametrize(("reasons", "kind", "initiator", "holds"), [
    ({}, "application.rejected", "unknown", ["reason_unclassified"]),
    ({"31": "other"}, "application.rejected", "other", ["reason_unclassified"]),
    ({"31": "candidate"}, "application.withdrawn", "candidate", []),
    ({"経験不足": "company"}, "application.rejected", "company", []),
    ({"32": "company"}, "application.rejected", "unknown", ["reason_unclassified"]),
])  # fmt: skip
def test_only_the_tenant_s_map_says_whose_decision_it_was(reasons, kind, initiator, holds):
    event = only(sample("disqualified"), reason_map=reasons)

    assert (event["type"], event["holds"]) == (kind, holds)
    assert event["rejection"]["initiated_by"] == initiator


def test_a_reason_that_stands_for_a_hire():
    event = only(sample("disqualified"), reason_map={"31": "hired"})

    assert (event["type"], event["rejection"]) == ("application.hired", None)


def test_without_a_reason_nobody_knows():
    event = only(sample("disqualified_no_reason"))

    assert event["rejection"]["initiated_by"] == "unknown"
    assert event["rejection"]["reason_id"] is None
    assert event["holds"] == ["reason_unclassified"]


@pytest.mark.parametrize("details", [None, {}])
def test_details_may_be_missing_altogether(details):
    assert only(changed(payload__details=details))["holds"] == ["reason_unclassified"]


def test_a_reason_may_be_its_name_alone():
    reading = read(changed(payload__details__disqualify_reason="選考辞退"))

    assert reading.events[0]["rejection"]["reason_text"] == "選考辞退"
    assert list(reading.unmapped) == [Word("reason", "選考辞退", "選考辞退", "candidate")]


def test_the_number_of_the_attempt_changes_nothing():
    retried = read(changed(attempt_count=4, id=700999, level="warn"))

    assert list(retried.events) == list(read(sample("disqualified")).events)


def test_a_requalification_is_an_explicit_reversal():
    reading = read(sample("requalified"))

    assert reading.states is False
    assert reading.events[0]["type"] == "application.rejection_reverted"
    assert reading.events[0]["application"]["status"] == "active"
    assert reading.events[0]["occurred_at"] == "2026-10-02T08:00:00Z"


def test_a_stage_of_the_kind_hire_is_a_hire():
    reading = read(sample("hired"))

    assert reading.states is True
    assert reading.events[0]["type"] == "application.hired"
    assert reading.events[0]["application"]["stage"] == {"id": "5", "name": "入社"}


def test_leaving_it_takes_the_hire_back():
    body = sample("hired")
    told = body["payload"]["details"]
    told["from_stage"], told["to_stage"] = told["to_stage"], told["from_stage"]
    reading = read(body)

    assert list(reading.events) == []
    assert list(reading.asides) == [Aside("unhired", "9001:501")]
    assert reading.as_of == datetime(2026, 10, 1, 8, 0, 0, 451549, tzinfo=UTC)


def test_another_stage_may_mean_interviews():
    reading = read(sample("stage_changed"))

    assert list(reading.events) == []
    about = {"kind": "interviews", "application_id": "9001:501"}
    assert reading.lookup == Lookup(about, needed=False)


def test_somebody_in_a_pool_is_a_prospect():
    mapped = {"reason_map": {"31": "company"}}
    nowhere = only(sample("disqualified_pool"), **mapped)
    pool = only(changed(payload__offer__kind="talent_pool"), **mapped)

    assert nowhere["application"]["external_id"] == "9001:pool"
    assert (nowhere["job"], nowhere["holds"]) == (None, ["prospect"])
    assert pool["holds"] == ["prospect"]


def test_a_deletion():
    event = only(sample("candidate_deleted"))

    assert event["type"] == "candidate.deleted"
    assert event["candidate"]["external_id"] == "9001"
    assert event["candidate"]["display_name"] is None
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": []}
    assert event["dedupe_key"] == "recruitee:ats_1:candidate.deleted:9001:deleted"
    assert event["holds"] == []


def test_other_events_mean_nothing():
    for body in (
        sample("candidate_created"),
        {"event_type": "candidate_assigned"},
        {"event_type": "candidate_moved"},
        {"event_type": "new", "event_subtype": "er"},
    ):
        reading = read(body)
        assert (list(reading.events), reading.lookup) == ([], None)


@pytest.mark.parametrize(("emails", "found"), [
    ([], []),
    (None, []),
    (["a@b.example", "A@B.example", "no address"], ["a@b.example"]),
    ([{"value": "a@b.example"}, {"email": "c@d.example"}], ["a@b.example", "c@d.example"]),
])  # fmt: skip
def test_addresses_bare_or_in_objects(emails, found):
    event = only(changed(payload__candidate__emails=emails), reason_map={"31": "company"})

    assert [one["value"] for one in event["candidate"]["emails"]] == found
    assert event["holds"] == ([] if found else ["no_email"])


@pytest.mark.parametrize(("places", "code"), [
    ({"event_type": None}, "event_type_missing"),
    ({"event_type": 7}, "event_type_malformed"),
    ({"event_subtype": []}, "event_subtype_malformed"),
    ({"test": "yes"}, "test_malformed"),
    ({"created_at": None}, "created_at_missing"),
    ({"created_at": "2026-10-01T08:00:00"}, "created_at_malformed"),
    ({"created_at": 1790000000}, "created_at_malformed"),
    ({"payload": None}, "payload_missing"),
    ({"payload__candidate": []}, "candidate_malformed"),
    ({"payload__candidate__id": None}, "candidate_id_missing"),
    ({"payload__candidate__id": True}, "candidate_id_malformed"),
    ({"payload__candidate__emails": "a@b.example"}, "emails_malformed"),
    ({"payload__candidate__emails": [7]}, "email_malformed"),
    ({"payload__offer": "x"}, "offer_malformed"),
    ({"payload__offer__id": 1.5}, "offer_id_malformed"),
    ({"payload__details": 3}, "details_malformed"),
    ({"payload__details__disqualify_reason": 3}, "reason_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(places, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(changed(**places))


@pytest.mark.parametrize("places", [
    {"payload__candidate__phones": "x"}, {"payload__candidate__tags": {"a": 1}},
    {"payload__offer__department": 5}, {"payload__offer__title": None},
    {"payload__details__to_stage": "x"}, {"payload__candidate__source": 3},
])  # fmt: skip
def test_broken_decoration_keeps_nobody_waiting(places):
    assert only(changed(**places))["type"] == "application.rejected"


# ---- what the API says ----------------------------------------------------------------------


def understood(told, **settings):
    told = json.loads(json.dumps(told))
    return vendor.understand(told, incoming(b"", NOW), view(settings=settings), "poll")


def placed(**placement):
    person = sample("api/hit")
    person["placements"][0].update(placement)
    return vendor._placed(person, person["placements"][0], {"経験不足": 31})


def test_a_polled_end_says_what_the_webhook_said_at_another_time():
    reading = understood(placed(), reason_map={"31": "company"})
    told = read(sample("disqualified"), reason_map={"31": "company"})

    assert (reading.undated, told.undated) == (True, True)
    one, other = reading.events[0], told.events[0]
    assert one["application"]["external_id"] == other["application"]["external_id"]
    for name in ("initiated_by", "reason_id", "reason_text"):
        assert one["rejection"][name] == other["rejection"][name]
    assert one["occurred_at"] == "2026-10-01T08:00:00.398000Z"
    assert reading.as_of == datetime(2026, 10, 1, 8, 5, tzinfo=UTC)


def test_an_end_without_a_time_of_its_own():
    event = understood(placed(disqualified_at=None)).events[0]

    assert event["type"] == "application.rejected"
    assert event["occurred_at"] == "2026-10-01T08:05:00Z"


GOES_ON = {
    "disqualified": False, "disqualified_at": None, "disqualify_kind": None,
    "disqualify_reason": None,
}  # fmt: skip


def test_a_placement_that_goes_on():
    reading = understood(placed(**GOES_ON))

    assert reading.states is True
    assert [one["type"] for one in reading.events] == ["application.rejection_reverted"]


@pytest.mark.parametrize(("told", "at"), [
    ({"hired_at": "2026-10-01T07:00:00Z"}, "2026-10-01T07:00:00Z"),
    ({"is_hired": True}, "2026-10-01T08:05:00Z"),
])  # fmt: skip
def test_a_hire(told, at):
    reading = understood(placed(**GOES_ON, **told))

    assert reading.states is True
    assert [one["type"] for one in reading.events] == ["application.hired"]
    assert reading.events[0]["occurred_at"] == at


def talks(*interviews):
    person = sample("api/hit")
    facts = {"kind": "interviews", "candidate": person, "placement": person["placements"][0]}
    return {**facts, "interviews": [{**sample("api/interview_event"), **one} for one in interviews]}


def test_an_interview_that_is_over():
    reading = understood(talks({}))

    assert reading.as_of == NOW
    event = reading.events[0]
    assert event["type"] == "interview.completed"
    assert event["occurred_at"] == "2026-10-01T06:00:00Z"
    assert event["dedupe_key"].endswith("interview.completed:9001:501:2026-10-01T05:00:00Z")
    assert event["interview"] == {
        "external_id": "61", "starts_at": "2026-10-01T05:00:00Z",
        "ends_at": "2026-10-01T06:00:00Z", "all_day": False, "status": "complete",
    }  # fmt: skip
    assert event["rejection"] is None


def test_an_interview_to_come_has_the_time_it_was_made():
    event = understood(talks({"starts_at": "2026-10-05T05:00:00Z", "ends_at": None,
                              "duration": 45})).events[0]  # fmt: skip

    assert event["type"] == "interview.scheduled"
    assert event["occurred_at"] == "2026-09-25T01:00:00Z"
    assert event["interview"]["ends_at"] == "2026-10-05T05:45:00Z"


@pytest.mark.parametrize(
    "told", [{"status": "Cancelled"}, {"cancelled": True}, {"deleted_at": "2026-10-01T00:00:00Z"}]
)
def test_an_interview_called_off(told):
    reading = understood(talks(told))

    assert list(reading.events) == []
    assert list(reading.asides) == [Aside("interview_off", "61")]


def test_an_interview_without_a_start_says_nothing():
    assert list(understood(talks({"starts_at": None})).events) == []


@pytest.mark.parametrize(("told", "code"), [
    ({"kind": "placement"}, "placement_missing"),
    (placed(hired_at="x", **GOES_ON), "hired_at_malformed"),
    (placed(is_hired="yes", **GOES_ON), "is_hired_malformed"),
    (placed(disqualified_at="2026-10-01"), "disqualified_at_malformed"),
    (talks({"starts_at": "tomorrow"}), "starts_at_malformed"),
    (talks({"id": None}), "interview_id_missing"),
])  # fmt: skip
def test_answers_that_cannot_be_understood(told, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understood(told)


# ---- calls ----------------------------------------------------------------------------------


def test_it_is_registered():
    assert ADAPTERS["recruitee"] is adapter
    assert APIS["recruitee"] is vendor


AT = f"/c/{COMPANY}"


def laid(stub):
    stub.lay("GET", f"{AT}/candidates/9001", sample("api/candidate"))
    stub.lay("GET", f"{AT}/disqualify_reasons", sample("api/disqualify_reasons"))


def recruitee(stub, **settings):
    return api_of(vendor, stub, NOW, **{"company_id": COMPANY, **settings})


@pytest.mark.anyio
async def test_looking_up_interviews():
    past, other = sample("api/interview_event"), sample("api/interview_event")
    other.update(id=62, offer_id=502)
    soon = {**past, "id": 63, "starts_at": "2026-10-05T05:00:00Z", "ends_at": None}

    def answer(call):
        found = [past, other] if call.query.get("status") == ["past"] else [soon]
        return {"interview_events": found}

    async with vendor_stub() as stub, recruitee(stub) as (api, connection):
        laid(stub)
        stub.lay("GET", f"{AT}/interview/events", answer)
        about = {"kind": "interviews", "application_id": "9001:501"}
        told = await vendor.look_up(api, connection, about)

    assert stub.calls[0].headers["authorization"] == "Bearer key-for-tests"
    assert [call.query for call in stub.asked(f"{AT}/interview/events")] == [
        {"candidate_id": ["9001"], "status": ["past"]}, {"candidate_id": ["9001"]},
    ]  # fmt: skip
    events = understood(told).events
    assert [(one["type"], one["interview"]["external_id"]) for one in events] == [
        ("interview.completed", "61"), ("interview.scheduled", "63"),
    ]  # fmt: skip
    assert events[0]["candidate"]["primary_email"] == "hanako@mail.example"


@pytest.mark.anyio
async def test_without_a_list_of_the_past_there_is_still_the_future():
    def answer(call):
        return Said({}, 422) if "status" in call.query else {"interview_events": []}

    async with vendor_stub() as stub, recruitee(stub) as (api, connection):
        laid(stub)
        stub.lay("GET", f"{AT}/interview/events", answer)
        about = {"kind": "interviews", "application_id": "9001:501"}
        told = await vendor.look_up(api, connection, about)

    assert list(understood(told).events) == []


@pytest.mark.anyio
@pytest.mark.parametrize("number", ["9001:pool", "../x:1", "None"])
async def test_nobody_is_asked_about_what_has_no_interviews(number):
    async with vendor_stub() as stub, recruitee(stub) as (api, connection):
        about = {"kind": "interviews", "application_id": number}
        told = await vendor.look_up(api, connection, about)

    assert stub.calls == []
    assert list(understood(told).events) == []


async def polled(api, connection):
    """Every step of a poll, its cursor kept as JSON in between."""
    facts, cursor, steps = [], None, 0
    while True:
        page = await vendor.page(api, connection, WINDOW, cursor)
        facts += page.facts
        steps += 1
        assert steps < 20
        if page.cursor is None:
            return facts
        cursor = json.loads(json.dumps(page.cursor))


@pytest.mark.anyio
async def test_a_poll_reads_ends_those_who_go_on_and_interviews():
    out, on = sample("api/hit"), copy.deepcopy(sample("api/hit"))
    on["id"] = 9002
    on["placements"][0].update(GOES_ON)
    old = copy.deepcopy(out)
    old.update(last_activity_at="2026-09-01T00:00:00Z")
    old["placements"][0]["disqualified_at"] = "2026-09-01T00:00:00Z"
    found = {"disqualified_at_desc": [[out, "?"], [old]], "last_activity_at_desc": [[out, on], []]}

    def search(call):
        at = int(call.query["page"][0]) - 1
        return {"hits": found[call.query["sort_by"][0]][at], "total": 3}

    past = sample("api/interview_event")
    stale = {**past, "id": 60, "starts_at": "2026-09-01T05:00:00Z", "ends_at": None}
    ended_now = {**past, "id": 64, "ends_at": "2026-10-01T08:30:00Z"}

    def agenda(call):
        return {"interview_events": [stale, ended_now] if "status" in call.query else []}

    async with vendor_stub() as stub, recruitee(stub) as (api, connection):
        laid(stub)
        stub.lay("GET", f"{AT}/search/new/candidates", search)
        stub.lay("GET", f"{AT}/interview/events", agenda)
        facts = await polled(api, connection)

    events = [one for told in facts for one in understood(told).events]
    assert [(one["type"], one["application"]["external_id"]) for one in events] == [
        ("application.rejected", "9001:501"),
        ("application.rejection_reverted", "9002:501"),
        ("interview.completed", "9001:501"),
    ]
    assert events[0]["rejection"]["reason_id"] == "31"
    assert len(stub.asked(f"{AT}/disqualify_reasons")) == 1
    dated = stub.asked(f"{AT}/interview/events")[0].query
    assert (dated["start_date"], dated["end_date"]) == (["2026-10-01"], ["2026-10-01"])


@pytest.mark.anyio
@pytest.mark.parametrize(("answer", "error"), [
    (Said({}, 429, {"retry-after": "7"}), VendorDown("api_busy")),
    (Said({}, 403), VendorRefused("api_unauthorised")),
    (Said(raw=b"[]"), VendorDown("api_answer_unreadable")),
])  # fmt: skip
async def test_troubles_of_the_api_go_up(answer, error):
    async with vendor_stub() as stub, recruitee(stub) as (api, connection):
        stub.lay("GET", f"{AT}/search/new/candidates", answer)
        with pytest.raises(type(error), match=f"^{error}$") as caught:
            await vendor.page(api, connection, WINDOW, None)

    if str(error) == "api_busy":
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.anyio
@pytest.mark.parametrize("settings", [{"company_id": ""}, {"company_id": "a/b"}, {"api_key": ""}])
async def test_without_its_settings_nothing_is_asked(settings):
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match=r"^setting_missing$"):
            async with recruitee(stub, **settings):
                pass


@pytest.mark.anyio
async def test_words():
    async with vendor_stub() as stub, recruitee(stub) as (api, connection):
        laid(stub)
        found = await vendor.words(api, connection)

    assert found == [
        Word("reason", "31", "経験不足", "company"),
        Word("reason", "32", "選考辞退", "candidate"),
        Word("reason", "33", "Compensation", None),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("candidate_id", ["9001", None])
async def test_a_note_and_a_tag(candidate_id):
    async with vendor_stub() as stub, recruitee(stub) as (api, connection):
        stub.lay("POST", f"{AT}/candidates/9001/tags", {})
        stub.lay("POST", f"{AT}/candidates/9001/notes", {})
        told = WriteBack("9001:501", candidate_id, "伝えました", "career-relay")
        await vendor.write_back(api, connection, told)

    tagged, noted = stub.calls
    assert tagged.json == {"tags": ["career-relay"]}
    assert noted.json == {"note": {"body": "伝えました", "visibility": {"level": "public"}}}
