"""Merge.dev: one unified model, told in full or by ids."""

import base64
import copy
import hmac
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

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
from integrations.ats import merge, merge_api
from tests.deliveries import SAMPLES
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 3, 9, 0, tzinfo=UTC)
POLLED = Incoming(b"", {}, NOW)
WINDOW = Window(NOW - timedelta(hours=1), NOW)
QUICK = SimpleNamespace(**{**vars(merge_api), "PER_SECOND": 1000.0})
KEY = "merge-key-for-tests"
APPLICATION = "29eb9867-ce2a-403f-b8ce-f2844b89f078"
CANDIDATE = "521b18c2-4d01-4297-b451-19858d07c133"
INTERVIEW = "3fa1b2c3-0000-4000-8000-000000000001"
REASON = "59b25f2b-da02-40f5-9656-9fa0db555784"
REASON_NAME = "経験が求める水準と異なる"
STAGE = "d578dfdc-7b0a-4ab6-a2b0-4b40f20eb9ea"
KEY_OF_END = f"merge:ats_1:application.rejected:{APPLICATION}:2026-06-02T00:41:07Z"
VECTORS = [
    one for one in json.loads((SAMPLES / "signatures.json").read_text()) if one["scheme"] == "merge"
]


def body_of(name):
    return json.loads((SAMPLES / "merge" / f"{name}.json").read_text())


def answer(name):
    return json.loads((SAMPLES / "merge" / "api" / f"{name}.json").read_text())


def raw_of(body):
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def signature(raw, key=KEY):
    return base64.urlsafe_b64encode(hmac.digest(key.encode(), raw, "sha256")).decode()


def delivery(body, sign="sig-1=", at=NOW):
    return Incoming(raw_of(body), {"x-merge-webhook-signature": sign}, at)


def seen(*secrets, **settings):
    return ConnectionView(id="ats_1", secrets=secrets, settings=settings)


def read(body, **settings):
    return merge.read(delivery(body), seen(**settings))


def only(body, **settings):
    events = read(body, **settings).events

    assert len(events) == 1
    return events[0]


def changed(name="application_changed", **changes):
    body = body_of(name)
    body["data"].update(changes)
    return body


def person(**changes):
    body = body_of("application_changed")
    body["data"]["candidate"].update(changes)
    return body


# ---- signature ------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_the_vector_with_and_without_padding(vector):
    raw, keys = vector["signed_utf8"].encode(), seen("another-key-000000", vector["key"])

    assert merge.verify(delivery(raw, vector["expected"]), keys) is vector["valid"]
    assert merge.verify(delivery(raw, vector["expected"].rstrip("=")), keys) is vector["valid"]


def test_there_is_a_vector():
    assert [one["name"] for one in VECTORS] == ["merge-base64url"]


RAW = b'{"hook":{"event":"Application.changed"}}'
GOOD = signature(RAW)


@pytest.mark.parametrize("at", range(len(RAW)))
def test_one_flipped_byte_is_refused(at):
    flipped = RAW[:at] + bytes([RAW[at] ^ 1]) + RAW[at + 1 :]

    assert not merge.verify(delivery(flipped, GOOD), seen(KEY))


def test_the_same_json_in_other_bytes_is_refused():
    assert not merge.verify(delivery(json.dumps(json.loads(RAW)).encode(), GOOD), seen(KEY))


STANDARD = next(
    (raw, base64.b64encode(base64.urlsafe_b64decode(signature(raw))).decode())
    for raw in (b"%d" % one for one in range(1000))
    if set("-_") & set(signature(raw))
)


@pytest.mark.parametrize("claim", [
    "", "=", GOOD[:-2], "x" + GOOD, GOOD + "x", " " + GOOD, GOOD.swapcase(), "sha256=" + GOOD,
    "é" * 44, "\ud800", hmac.new(KEY.encode(), RAW, "sha256").hexdigest(),
])  # fmt: skip
def test_a_malformed_signature_is_refused(claim):
    assert merge.verify(delivery(RAW, claim), seen(KEY)) is False


def test_plain_base64_is_another_alphabet():
    raw, claim = STANDARD

    assert merge.verify(delivery(raw, signature(raw)), seen(KEY))
    assert not merge.verify(delivery(raw, claim), seen(KEY))


def test_without_header_or_key_nothing_is_accepted():
    assert not merge.verify(Incoming(RAW, {}, NOW), seen(KEY))
    assert not merge.verify(delivery(RAW, GOOD), seen())
    assert not merge.verify(delivery(RAW, signature(RAW, "")), seen(""))


def test_keys_nobody_could_use():
    assert merge.unusable([KEY], []) is None
    assert merge.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert merge.unusable([], ["whpk_x"]) == "Merge signs with a shared secret only"


def test_the_signature_is_the_id_however_it_is_padded():
    assert merge.delivery_id(delivery(RAW, "abc=")) == merge.delivery_id(delivery(RAW, "abc"))
    assert merge.delivery_id(Incoming(RAW, {}, NOW)) is None
    assert merge.HEADERS == ("x-merge-webhook-signature",)
    assert merge.greet(delivery(RAW), seen()) is None


# ---- applications ---------------------------------------------------------------------------


def test_a_rejection_with_all_its_fields():
    reading = read(body_of("application_changed"), reason_map={REASON: "company"})

    assert reading.provider_event == "Application.changed"
    assert reading.as_of == datetime(2026, 6, 2, 0, 50, 11, 412345, tzinfo=UTC)
    assert (reading.states, reading.undated) == (False, False)
    assert list(reading.events) == [{
        "type": "application.rejected",
        "schema_version": "1",
        "provider": "merge",
        "connection_id": "ats_1",
        "provider_event": "Application.changed",
        "provider_event_id": "sig-1",
        "dedupe_key": KEY_OF_END,
        "supersedes": None,
        "occurred_at": "2026-06-02T00:41:07Z",
        "received_at": "2026-06-03T09:00:00Z",
        "application": {
            "external_id": APPLICATION, "url": None, "status": "rejected",
            "applied_at": "2026-05-12T00:15:31Z", "stage": {"id": STAGE, "name": "二次面接"},
            "source": "自社採用サイト",
            "custom_fields": {"linked_account_defined_targets": {"custom_key": "custom_value"}},
        },
        "candidate": {
            "external_id": CANDIDATE, "display_name": "花子 試験", "given_name": "花子",
            "family_name": "試験",
            "emails": [
                {"value": "hanako@work.example", "type": "work", "primary": False},
                {"value": "Hanako.Shiken@mail.example", "type": "personal", "primary": False},
            ],
            "primary_email": "Hanako.Shiken@mail.example",
            "phones": [{"value": "+81 90 1234 5678", "type": "mobile"}],
            "url": None, "tags": ["海外営業"], "is_private": False, "is_internal": False,
            "can_email": True, "is_anonymized": False, "merged_into_external_id": None,
        },
        "job": {
            "external_id": "022a2bef-57e5-4def-8ed2-7c41bd9a5ed8", "title": "法人営業",
            "department": "営業部", "location": "東京本社", "requisition_id": "REQ-7",
            "confidential": False,
        },
        "rejection": {
            "initiated_by": "company", "reason_id": REASON, "reason_text": REASON_NAME,
            "reason_type_raw": None, "rejected_at": "2026-06-02T00:41:07Z", "not_before": None,
        },
        "interview": None, "deletion": None, "attachments": [], "enrichment": "complete",
        "holds": [],
    }]  # fmt: skip


@pytest.mark.parametrize("word", [REASON, REASON_NAME])
@pytest.mark.parametrize(("meaning", "kind", "initiator", "holds"), [
    ("company", "application.rejected", "company", []),
    ("candidate", "application.withdrawn", "candidate", []),
    ("other", "application.rejected", "other", ["reason_unclassified"]),
    ("nonsense", "application.rejected", "unknown", ["reason_unclassified"]),
])  # fmt: skip
def test_the_reason_map_decides_by_id_or_by_name(word, meaning, kind, initiator, holds):
    event = only(changed(), reason_map={word: meaning})

    assert (event["type"], event["rejection"]["initiated_by"]) == (kind, initiator)
    assert event["holds"] == holds


def test_a_reason_may_mean_hired():
    event = only(changed(), reason_map={REASON: "hired"})

    assert (event["type"], event["rejection"]) == ("application.hired", None)


@pytest.mark.parametrize("reason", [None, {"id": "r9", "name": None}])
def test_without_a_reason_that_says_so_nobody_knows_who_ended_it(reason):
    event = only(changed(reject_reason=reason))

    assert event["rejection"]["initiated_by"] == "unknown"
    assert event["holds"] == ["reason_unclassified"]


def test_a_reason_without_an_id_is_known_by_its_name():
    event = only(
        changed(reject_reason={"id": None, "name": "辞退"}), reason_map={"辞退": "candidate"}
    )

    assert event["type"] == "application.withdrawn"
    assert event["rejection"]["reason_id"] == "辞退"


def test_a_running_application_only_states_how_things_stand():
    reading = read(body_of("application_changed_active"))

    assert (reading.states, reading.undated) == (True, False)
    assert reading.events[0]["type"] == "application.rejection_reverted"
    assert reading.events[0]["occurred_at"] == "2026-06-03T01:00:00Z"
    assert reading.events[0]["rejection"] is None


@pytest.mark.parametrize(("meaning", "kind", "initiator", "undated"), [
    ("hired", "application.hired", None, False),
    ("rejected", "application.rejected", "company", True),
    ("withdrawn", "application.withdrawn", "candidate", True),
    ("active", "application.rejection_reverted", None, False),
])  # fmt: skip
@pytest.mark.parametrize("word", [STAGE, "二次面接"])
def test_a_stage_may_have_a_meaning(meaning, kind, initiator, undated, word):
    reading = read(body_of("application_changed_active"), status_map={word: meaning})
    event = reading.events[0]

    assert (event["type"], (event["rejection"] or {}).get("initiated_by")) == (kind, initiator)
    assert (reading.states, reading.undated) == (not undated, undated)


def test_a_stage_that_sounds_like_the_end_is_put_to_a_person():
    stage = {"id": "s9", "name": "Hired"}
    body = changed("application_changed_active", current_stage=stage)

    assert list(read(body).unmapped) == [Word("status", "s9", "Hired", "hired")]
    assert list(read(body_of("application_changed_active")).unmapped) == []


def test_ids_instead_of_relations_must_be_read():
    reading = read(body_of("application_changed_thin"))

    assert list(reading.events) == []
    assert reading.lookup.needed
    assert reading.lookup.about == {"kind": "application", "application_id": APPLICATION}


@pytest.mark.parametrize("changes", [{"job": "j"}, {"reject_reason": "r"}, {"candidate": None}])
def test_one_id_among_the_relations_is_enough_to_read(changes):
    assert read(changed(**changes)).lookup is not None


def test_with_the_person_in_it_a_body_counts_by_itself():
    reading = read(changed(job="j", reject_reason=REASON), reason_map={REASON: "candidate"})

    assert [event["type"] for event in reading.events] == ["application.withdrawn"]
    assert (reading.events[0]["job"]["external_id"], reading.events[0]["job"]["title"]) == (
        "j",
        None,
    )
    assert reading.lookup.about == {"kind": "application", "application_id": APPLICATION}
    unknown = read(changed(job="j", reject_reason=REASON)).events[0]
    assert unknown["holds"] == ["reason_unclassified"]
    assert list(read(changed(candidate=CANDIDATE)).events) == []


def test_a_removed_application_is_no_statement_about_the_person():
    body = body_of("application_changed")
    body["hook"]["event"] = "Application.removed"

    assert list(read(body).events) == []
    assert list(read(changed(remote_was_deleted=True)).events) == []


def test_flags_and_addresses_hold():
    body = person(is_private=True, can_email=False, email_addresses=[])
    body["data"]["job"]["confidential"] = True

    assert only(body, reason_map={REASON: "company"})["holds"] == [
        "no_email", "private_candidate", "can_email_false", "confidential_job",
    ]  # fmt: skip


def test_another_account_s_delivery_is_not_ours():
    ours = "0f9f2a60-4a9f-4b1e-9d3a-1d2f3a4b5c6d"

    assert len(read(changed(), linked_account_id=ours).events) == 1
    assert list(read(changed(), linked_account_id="another").events) == []


@pytest.mark.parametrize("name", ["test_post", "linked_account_synced"])
def test_what_has_no_meaning_for_us(name):
    reading = read(body_of(name))

    assert (list(reading.events), reading.lookup) == ([], None)


@pytest.mark.parametrize(
    "name", ["Application.changed", "application.updated", "Application.added"]
)
def test_names_of_events_in_either_spelling(name):
    body = body_of("application_changed")
    body["hook"]["event"] = name

    assert len(read(body).events) == 1


# ---- interviews and people ------------------------------------------------------------------


def test_a_scheduled_interview():
    reading = read(body_of("scheduled_interview_changed"))
    event = reading.events[0]

    assert reading.as_of == datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
    assert event["type"] == "interview.scheduled"
    assert event["dedupe_key"] == (
        f"merge:ats_1:interview.scheduled:{APPLICATION}:2026-06-05T01:00:00Z"
    )
    assert event["occurred_at"] == "2026-06-01T03:00:00Z"
    assert event["candidate"] is None
    assert event["interview"] == {
        "external_id": INTERVIEW, "starts_at": "2026-06-05T01:00:00Z",
        "ends_at": "2026-06-05T02:00:00Z", "all_day": False, "status": "scheduled",
    }  # fmt: skip


def test_of_two_deliveries_about_an_interview_the_later_changed_counts():
    late = changed("scheduled_interview_changed", modified_at="2026-06-01T09:00:00+09:00")
    unsaid = changed("scheduled_interview_changed", modified_at=None)

    assert read(late).as_of == datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
    assert read(unsaid).as_of == NOW
    with pytest.raises(Unreadable, match=r"^modified_at_malformed$"):
        read(changed("scheduled_interview_changed", modified_at="2026-06-01T09:00:00"))


@pytest.mark.parametrize(("changes", "kind", "occurred_at"), [
    ({"status": "COMPLETE"}, "interview.completed", "2026-06-05T02:00:00Z"),
    ({"status": "AWAITING_FEEDBACK"}, "interview.completed", "2026-06-05T02:00:00Z"),
    ({"start_at": "2026-06-01T01:00:00Z", "end_at": "2026-06-01T02:00:00Z"},
     "interview.completed", "2026-06-01T02:00:00Z"),
    ({"start_at": "2026-06-01T01:00:00Z", "end_at": None, "status": None},
     "interview.completed", "2026-06-01T01:00:00Z"),
    ({"status": "something new"}, "interview.scheduled", "2026-06-01T03:00:00Z"),
    ({"remote_updated_at": None, "remote_created_at": None},
     "interview.scheduled", "2026-06-03T09:00:00Z"),
])  # fmt: skip
def test_what_became_of_an_interview(changes, kind, occurred_at):
    event = only(changed("scheduled_interview_changed", **changes))

    assert (event["type"], event["occurred_at"]) == (kind, occurred_at)


@pytest.mark.parametrize("body", [
    body_of("scheduled_interview_removed"),
    changed("scheduled_interview_changed", remote_was_deleted=True),
    changed("scheduled_interview_changed", status="Cancelled"),
])  # fmt: skip
def test_an_interview_called_off(body):
    reading = read(body)

    assert list(reading.events) == []
    assert list(reading.asides) == [Aside("interview_off", INTERVIEW)]


def test_an_interview_without_a_time_or_an_application_is_none():
    assert list(read(changed("scheduled_interview_changed", start_at=None)).events) == []
    assert list(read(changed("scheduled_interview_changed", application=None)).events) == []


def test_a_deleted_candidate():
    event = only(body_of("candidate_removed"))

    assert event["dedupe_key"] == f"merge:ats_1:candidate.deleted:{CANDIDATE}:deleted"
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": []}
    assert (event["application"], event["holds"]) == (None, [])


def test_a_candidate_marked_as_deleted_names_the_applications():
    body = body_of("candidate_removed")
    body["hook"]["event"] = "Candidate.changed"
    body["data"] = {**answer("application")["candidate"], "remote_was_deleted": True}

    assert only(body)["deletion"]["application_external_ids"] == [
        APPLICATION, "b4d08e5c-de00-4d64-a29f-66addac9af99",
    ]  # fmt: skip
    body["data"]["remote_was_deleted"] = False
    assert list(read(body).events) == []


# ---- what is not guessed --------------------------------------------------------------------


def change(body, path, value):
    body = copy.deepcopy(body)
    *way, last = path.split(".")
    place = body
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = value
    return body


@pytest.mark.parametrize(("path", "value", "code"), [
    ("hook", None, "hook_missing"), ("hook", [], "hook_malformed"),
    ("hook.event", None, "event_missing"), ("hook.event", 7, "event_malformed"),
    ("data", None, "data_missing"), ("data", [], "data_malformed"),
    ("data.id", None, "application_id_missing"), ("data.id", 1.5, "application_id_malformed"),
    ("data.rejected_at", "2026-06-02T00:41:07", "rejected_at_malformed"),
    ("data.rejected_at", 1790000000, "rejected_at_malformed"),
    ("data.modified_at", "yesterday", "modified_at_malformed"),
    ("data.applied_at", [], "applied_at_malformed"),
    ("data.remote_was_deleted", "no", "remote_was_deleted_malformed"),
    ("data.reject_reason", 7, "reject_reason_malformed"),
    ("data.reject_reason.name", 7, "reject_reason_malformed"),
    ("data.candidate.id", None, "candidate_id_missing"),
    ("data.candidate.is_private", "no", "is_private_malformed"),
    ("data.candidate.can_email", 0, "can_email_malformed"),
    ("data.candidate.email_addresses", ["a@b.example"], "emails_malformed"),
    ("data.candidate.email_addresses", {}, "emails_malformed"),
    ("data.candidate.first_name", "a\0", "first_name_malformed"),
    ("data.job", 7, "job_malformed"),
    ("data.job.confidential", "yes", "confidential_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(path, value, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(change(body_of("application_changed"), path, value))


@pytest.mark.parametrize(("path", "value"), [
    ("data.source", 7), ("data.current_stage", []), ("data.field_mappings", "x"),
    ("data.candidate.tags", {}), ("data.candidate.phone_numbers", "090"),
    ("data.job.departments", ["d1"]), ("data.job.offices", [None]), ("data.job.name", 7),
])  # fmt: skip
def test_a_broken_decoration_is_left_out(path, value):
    assert only(change(body_of("application_changed"), path, value))["dedupe_key"] == KEY_OF_END


# ---- the API --------------------------------------------------------------------------------


def settings(**more):
    return {"api_key": "key-1:account-token-1", **more}


async def asked(stub, work, **more):
    async with api_of(QUICK, stub, NOW, **settings(**more)) as (api, connection):
        return await work(api, connection)


@pytest.mark.anyio
async def test_the_key_and_the_account_s_token_are_sent():
    async with vendor_stub() as stub:
        stub.lay("GET", f"/api/ats/v1/applications/{APPLICATION}", answer("application"))
        about = {"kind": "application", "application_id": APPLICATION}
        facts = await asked(stub, lambda api, at: merge_api.look_up(api, at, about))

    headers = stub.calls[0].headers
    assert headers["authorization"] == "Bearer key-1"
    assert headers["x-account-token"] == "account-token-1"
    assert stub.calls[0].query["expand"] == ["candidate,current_stage,job,reject_reason"]
    facts = json.loads(json.dumps(facts))
    reading = merge_api.understand(facts, POLLED, seen(), "Application.changed")
    assert reading.events[0]["dedupe_key"] == KEY_OF_END


@pytest.mark.anyio
@pytest.mark.parametrize("key", [None, "", "key-alone", ":token", "key:"])
async def test_half_a_credential_is_none(key):
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match="setting_missing"):
            async with api_of(QUICK, stub, NOW, api_key=key):
                pass


@pytest.mark.anyio
async def test_a_poll_goes_through_all_pages_and_parts_and_resumes_anywhere():
    gone = {**answer("application")["candidate"], "remote_was_deleted": True}
    async with vendor_stub() as stub:
        stub.lay(
            "GET",
            "/api/ats/v1/applications",
            {"next": "cursor-2", "results": [answer("application")]},
            {"next": None, "results": [{**answer("application"), "id": "a2"}]},
        )
        stub.lay("GET", "/api/ats/v1/interviews", answer("interviews"))
        stub.lay(
            "GET",
            "/api/ats/v1/candidates",
            {"next": None, "results": [gone, answer("application")["candidate"]]},
        )
        cursor, kinds, keys = None, [], []
        for _ in range(9):
            # Each page with a client of its own: nothing but the cursor is needed to go on.
            page = await asked(stub, lambda api, at, c=cursor: merge_api.page(api, at, WINDOW, c))
            for facts in json.loads(json.dumps(page.facts)):
                kinds.append(facts["kind"])
                reading = merge_api.understand(facts, POLLED, seen(), "poll")
                keys += [event["dedupe_key"] for event in reading.events]
            cursor = json.loads(json.dumps(page.cursor))
            if cursor is None:
                break

    assert kinds == ["application", "application", "interviews", "candidate"]
    assert keys[0] == KEY_OF_END
    assert keys[2] == only(body_of("scheduled_interview_changed"))["dedupe_key"]
    assert keys[3] == only(body_of("candidate_removed"))["dedupe_key"]
    assert {call.query["modified_after"][0] for call in stub.calls} == {"2026-06-03T08:00:00Z"}
    assert [call.query.get("cursor") for call in stub.asked("/api/ats/v1/applications")] == [
        None, ["cursor-2"],
    ]  # fmt: skip


@pytest.mark.anyio
async def test_interviews_of_an_application_are_read_page_by_page():
    other = {**answer("interviews")["results"][0], "id": "i2"}
    async with vendor_stub() as stub:
        stub.lay(
            "GET",
            "/api/ats/v1/interviews",
            {"next": "n", "results": answer("interviews")["results"]},
            {"next": None, "results": [other]},
        )
        about = {"kind": "interviews", "application_id": APPLICATION}
        facts = await asked(stub, lambda api, at: merge_api.look_up(api, at, about))

    reading = merge_api.understand(facts, POLLED, seen(), "poll")
    assert [one["interview"]["external_id"] for one in reading.events] == [INTERVIEW, "i2"]
    assert stub.calls[0].query["application_id"] == [APPLICATION]


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "error"), [
    (Said(status=429, headers={"retry-after": "30"}), VendorDown),
    (Said(status=503), VendorDown), (Said(status=401), VendorRefused),
    (Said(status=404), VendorMissing), (Said([]), VendorDown), (Said({"results": [7]}), VendorDown),
])  # fmt: skip
async def test_answers_that_are_none(said, error):
    async with vendor_stub() as stub:
        stub.lay("GET", "/api/ats/v1/applications", said)
        with pytest.raises(error) as raised:
            await asked(stub, lambda api, at: merge_api.page(api, at, WINDOW, None))

    if said.status == 429:
        assert raised.value.retry_after == timedelta(seconds=30)


def test_facts_without_the_person_are_not_understood():
    facts = {"kind": "application", "application": {**answer("application"), "candidate": "c"}}

    with pytest.raises(Unreadable, match="candidate_not_expanded"):
        merge_api.understand(facts, POLLED, seen(), "poll")


@pytest.mark.anyio
async def test_words_are_reasons_and_stages():
    async with vendor_stub() as stub:
        stub.lay("GET", "/api/ats/v1/reject-reasons", answer("reject_reasons"))
        stub.lay("GET", "/api/ats/v1/job-interview-stages", answer("stages"))
        found = await asked(stub, merge_api.words)

    assert [(one.kind, one.id, one.suggestion) for one in found] == [
        ("reason", REASON, None), ("reason", "r2", "candidate"),
        ("status", STAGE, "active"), ("status", "s9", "hired"),
    ]  # fmt: skip
    assert stub.calls[0].query["include_deleted_data"] == ["true"]


@pytest.mark.anyio
async def test_a_row_that_says_nothing_costs_no_other_word():
    rows = [{}, {"id": None, "name": "x"}, {"id": {}}, {"id": "r-1", "name": "辞退"}]
    async with vendor_stub() as stub:
        stub.lay("GET", "/api/ats/v1/reject-reasons", {"next": None, "results": rows})
        stub.lay("GET", "/api/ats/v1/job-interview-stages", {"next": None, "results": []})
        found = await asked(stub, merge_api.words)

    assert found == [Word("reason", "r-1", "辞退", "candidate")]


TOLD = WriteBack(APPLICATION, CANDIDATE, "Consent was given.", "career-relay")


@pytest.mark.anyio
async def test_a_note_has_the_tag_as_its_subject():
    async with vendor_stub() as stub:
        stub.lay("POST", "/api/ats/v1/activities", Said({"model": {}}, 201))
        await asked(stub, lambda api, at: merge_api.write_back(api, at, TOLD), remote_user_id="u-1")

    assert stub.calls[0].json == {
        "model": {"candidate": CANDIDATE, "activity_type": "NOTE", "subject": "career-relay",
                  "body": "Consent was given.", "visibility": "PUBLIC"},
        "remote_user_id": "u-1",
    }  # fmt: skip


@pytest.mark.anyio
async def test_a_note_needs_somebody_who_writes_it():
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match="setting_missing"):
            await asked(stub, lambda api, at: merge_api.write_back(api, at, TOLD))

    assert stub.calls == []
