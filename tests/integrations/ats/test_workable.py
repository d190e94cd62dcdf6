"""Workable: deliveries and the API into canonical events, over the same keys."""

import base64
import copy
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from domain.ports import (
    Aside,
    ConnectionView,
    Lookup,
    Unreadable,
    VendorDown,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import ADAPTERS, APIS, workable, workable_api
from integrations.vendor_api import vendor_api
from tests.deliveries import SAMPLES, incoming, view
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
SECRET = "workable-doc-token"
NUMBER = "27273038"
KEY = f"workable:ats_1:application.rejected:{NUMBER}:2026-06-02T00:41:07Z"
VECTORS = [
    one
    for one in json.loads((SAMPLES / "signatures.json").read_text())
    if one["scheme"] == "workable"
]
WINDOW = Window(datetime(2026, 6, 1, 23, 45, tzinfo=UTC), NOW)
NIGHT = Window(NOW - timedelta(days=30), NOW, full=True)
SPI = "/spi/v3"


def sample(name):
    return json.loads((SAMPLES / "workable" / f"{name}.json").read_text())


def answer(name):
    return sample(f"api/{name}")


REASONS = answer("disqualification_reasons")


def delivery(body):
    return incoming(body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)


def read(body, **settings):
    return workable.read(delivery(body), view(settings=settings))


def only(body, **settings):
    (event,) = read(body, **settings).events
    return event


def moved(name="candidate_moved_disqualified", **changes):
    body = sample(name)
    body["data"].update(changes)
    return body


def understood(facts, body=b"", **settings):
    plain = json.loads(json.dumps(facts))
    return workable_api.understand(plain, delivery(body), view(settings=settings), "poll")


def with_reasons(body, reasons=REASONS, **settings):
    return understood({"kind": "reasons", "reasons": reasons}, body, **settings)


# ---- the door -------------------------------------------------------------------------------


def test_it_is_registered():
    assert ADAPTERS["workable"] is workable
    assert APIS["workable"] is workable_api


def digest(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_vectors(vector):
    found = incoming(vector["signed_utf8"].encode(), NOW, x_workable_signature=vector["expected"])

    assert workable.verify(found, view(secrets=[vector["key"]])) is vector["valid"]


def test_the_vector_is_tried():
    assert [one["name"] for one in VECTORS] == ["workable-hex"]


BODY = b'{"id":"wk-1","event_type":"x","data":{}}'
HEX = digest(BODY).hexdigest()
BASE64 = base64.b64encode(digest(BODY).digest()).decode()


@pytest.mark.parametrize("header", [HEX, HEX.upper(), BASE64])
def test_the_digest_may_be_hex_or_base64(header):
    found = incoming(BODY, NOW, x_workable_signature=header)

    assert workable.verify(found, view(secrets=["another-token-xyz", SECRET]))
    assert not workable.verify(found, view(secrets=["another-token-xyz"]))
    assert not workable.verify(found, view(secrets=[]))


def test_an_empty_secret_opens_nothing():
    found = incoming(BODY, NOW, x_workable_signature=digest(BODY, "").hexdigest())

    assert not workable.verify(found, view(secrets=[""]))


@pytest.mark.parametrize("header", [HEX, BASE64])
@pytest.mark.parametrize("at", range(len(BODY)))
def test_one_flipped_byte_is_refused(at, header):
    flipped = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
    found = incoming(flipped, NOW, x_workable_signature=header)

    assert not workable.verify(found, view(secrets=[SECRET]))


def test_the_same_json_in_other_bytes_is_refused():
    again = json.dumps(json.loads(BODY)).encode()

    assert again != BODY
    assert not workable.verify(
        incoming(again, NOW, x_workable_signature=HEX), view(secrets=[SECRET])
    )


@pytest.mark.parametrize("header", [
    None, "", HEX[:-1], HEX + "0", HEX[:-2] + "zz", "sha256=" + HEX, BASE64[:-1], BASE64[:-4],
    BASE64 + "A", " " + HEX, HEX + "\n", "é" * 64, "====", "0" * 64,
    base64.b64encode(HEX.encode()).decode(),
])  # fmt: skip
def test_a_malformed_or_missing_header_is_refused(header):
    headers = {} if header is None else {"x_workable_signature": header}

    assert workable.verify(incoming(BODY, NOW, **headers), view(secrets=[SECRET])) is False


def test_an_account_s_token_may_call_ten_times_in_ten_seconds():
    assert workable_api.PER_SECOND == 1.0


def test_only_200_counts_and_there_is_no_handshake():
    assert (workable.SUCCESS, workable.BAD_SIGNATURE) == (200, 401)
    assert workable.greet(incoming(BODY, NOW), view()) is None


def test_keys_that_could_never_verify_are_named():
    assert workable.unusable([SECRET], []) is None
    assert workable.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert workable.unusable([], ["whpk_x"]) == "Workable signs with a shared secret only"


@pytest.mark.parametrize(("body", "number"), [
    (BODY, "wk-1"), (b"", None), (b"[]", None), (b'{"id": 7}', None),
    (b'{"id": "' + b"a" * 201 + b'"}', None),
])  # fmt: skip
def test_the_delivery_has_the_bodys_id(body, number):
    assert workable.delivery_id(delivery(body)) == number


# ---- ends -----------------------------------------------------------------------------------


def test_a_rejection_with_all_its_fields():
    reading = read(sample("candidate_moved_disqualified"))

    assert reading.provider_event == "candidate_moved"
    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 10, tzinfo=UTC)
    assert (reading.states, reading.undated, reading.lookup) == (False, False, None)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "workable",
            "connection_id": "ats_1",
            "provider_event": "candidate_moved",
            "provider_event_id": "wk-1",
            "dedupe_key": KEY,
            "supersedes": None,
            "occurred_at": "2026-06-02T00:41:07Z",
            "received_at": "2026-06-02T01:00:00Z",
            "application": {
                "external_id": NUMBER,
                "url": "https://company.workable.example/backend/jobs/1/browser/candidate/27273038",
                "status": "rejected",
                "applied_at": "2026-05-12T00:15:31Z",
                "stage": {"id": None, "name": "二次面接"},
                "source": "自社採用サイト",
                "custom_fields": {},
            },
            "candidate": {
                "external_id": NUMBER,
                "display_name": "花子 試験",
                "given_name": "花子",
                "family_name": "試験",
                "emails": [
                    {"value": "Hanako.Shiken@mail.example", "type": "unknown", "primary": True}
                ],
                "primary_email": "Hanako.Shiken@mail.example",
                "phones": [{"value": "090-1234-5678", "type": None}],
                "url": "https://company.workable.example/backend/jobs/1/browser/candidate/27273038",
                "tags": ["海外営業", "TOEIC 800"],
                "is_private": False,
                "is_internal": False,
                "can_email": None,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "9CD658E13E",
                "title": "法人営業 R&D",
                "department": None,
                "location": None,
                "requisition_id": None,
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": "経験が求める水準と異なる",
                "reason_text": "経験が求める水準と異なる",
                "reason_type_raw": None,
                "rejected_at": "2026-06-02T00:41:07Z",
                "not_before": None,
            },
            "interview": None,
            "deletion": None,
            "attachments": [
                {
                    "kind": "resume",
                    "filename": None,
                    "url": "https://files.workable.example/resume/1?expires=1",
                    "expires_at": None,
                }
            ],
            "enrichment": "complete",
            "holds": [],
        }
    ]


@pytest.mark.parametrize("disqualified", [True, False, None])
def test_who_withdrew_withdrew_whatever_else_is_said(disqualified):
    event = only(moved("candidate_moved_withdrew", disqualified=disqualified))

    assert event["type"] == "application.withdrawn"
    assert event["application"]["status"] == "withdrawn"
    assert event["rejection"]["initiated_by"] == "candidate"
    assert event["holds"] == []


def test_a_withdrawal_beats_a_hire_and_the_reason_map():
    body = moved("candidate_moved_withdrew", stage_kind="hired", hired_at="2026-06-01T00:00:00Z")

    assert only(body, reason_map={"他社に決定": "company"})["type"] == "application.withdrawn"


def test_an_end_without_its_own_time_happened_when_it_was_told():
    reading = read(sample("candidate_moved_undated"))

    assert reading.undated is True
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:41:08Z"
    assert reading.events[0]["rejection"]["rejected_at"] is None
    assert read(sample("candidate_moved_withdrew_only")).undated is True


def test_what_is_shown_is_the_request_s_and_not_the_event_s():
    """A retry of an older move shows the end that came since, under that end's own time."""
    old = {**sample("candidate_moved_disqualified"), "fired_at": "2026-05-20T00:00:00Z", "id": "0"}
    reading = read(old)

    assert reading.events[0]["dedupe_key"] == KEY
    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 10, tzinfo=UTC)


def test_a_later_change_keeps_the_key_and_is_newer():
    later = read(moved(updated_at="2026-06-02T12:00:00Z", tags=[]))

    assert later.events[0]["dedupe_key"] == KEY
    assert later.as_of == datetime(2026, 6, 2, 12, 0, tzinfo=UTC)


# ---- the reason alone -----------------------------------------------------------------------


def test_a_reason_alone_is_to_be_looked_up_and_the_end_told_all_the_same():
    reading = read(sample("candidate_moved_reason_only"))
    (event,) = reading.events

    assert reading.lookup == Lookup({"kind": "reasons"})
    assert event["type"] == "application.rejected"
    assert event["rejection"]["initiated_by"] == "unknown"
    assert event["holds"] == ["reason_unclassified"]


@pytest.mark.parametrize(("text", "kind", "initiator", "holds"), [
    ("Accepted another offer", "application.withdrawn", "candidate", []),
    ("  accepted ANOTHER  offer ", "application.withdrawn", "candidate", []),
    ("経験が求める水準と異なる", "application.rejected", "company", []),
    ("Withdrew, in no list", "application.rejected", "unknown", ["reason_unclassified"]),
    ("Location", "application.rejected", "unknown", ["reason_unclassified"]),
])  # fmt: skip
def test_the_vendors_list_says_whose_reason_it_is(text, kind, initiator, holds):
    body = moved("candidate_moved_reason_only", disqualification_reason=text)
    reading = with_reasons(body)
    (event,) = reading.events

    assert (event["type"], event["rejection"]["initiated_by"]) == (kind, initiator)
    assert event["holds"] == holds
    assert event["provider_event_id"] == "wk-1"
    assert (reading.provider_event, reading.lookup) == ("candidate_moved", None)


def test_the_vendors_list_beats_the_reason_map_which_beats_nothing():
    body = sample("candidate_moved_reason_only")
    mapped = {"Accepted another offer": "company"}

    assert only(body, reason_map=mapped)["rejection"]["initiated_by"] == "company"
    assert with_reasons(body, reason_map=mapped).events[0]["type"] == "application.withdrawn"
    assert with_reasons(body, [], reason_map=mapped).events[0]["rejection"]["initiated_by"] == (
        "company"
    )


def test_the_reason_map_may_say_hired():
    body = sample("candidate_moved_reason_only")
    event = with_reasons(body, [], reason_map={"Accepted another offer": "hired"}).events[0]

    assert (event["type"], event["rejection"]) == ("application.hired", None)


def test_without_any_reason_there_is_nothing_to_look_up():
    body = moved("candidate_moved_reason_only", disqualification_reason=None)
    reading = read(body)

    assert reading.lookup is None
    assert reading.events[0]["rejection"]["reason_id"] is None
    assert reading.events[0]["holds"] == ["reason_unclassified"]


def test_the_tenant_may_exclude_a_reason_by_its_text():
    event = only(
        sample("candidate_moved_disqualified"), excluded_reasons=["経験が求める水準と異なる"]
    )

    assert event["holds"] == ["reason_excluded"]


@pytest.mark.parametrize("reasons", [7, {"a": 1}, ["x"]])
def test_a_list_of_another_shape_is_unreadable(reasons):
    with pytest.raises(Unreadable, match=r"^disqualification_reasons_malformed$"):
        with_reasons(sample("candidate_moved_reason_only"), reasons)


# ---- how things stand -----------------------------------------------------------------------


def test_going_on_is_a_statement_and_takes_a_hire_back_too():
    reading = read(sample("candidate_moved_reverted"))
    (event,) = reading.events

    assert event["type"] == "application.rejection_reverted"
    assert event["application"]["status"] == "active"
    assert event["rejection"] is None
    assert event["dedupe_key"] == (
        f"workable:ats_1:application.rejection_reverted:{NUMBER}:2026-06-03T01:00:00Z"
    )
    assert (reading.states, reading.lookup) == (True, None)
    assert list(reading.asides) == [Aside("unhired", NUMBER)]


@pytest.mark.parametrize(("changes", "at"), [
    ({}, "2026-06-04T01:00:00Z"),
    ({"stage_kind": "offer"}, "2026-06-04T01:00:00Z"),
    ({"hired_at": None}, "2026-06-04T01:00:02Z"),
])  # fmt: skip
def test_a_hire_by_its_time_or_by_its_stage(changes, at):
    reading = read(moved("candidate_moved_hired", **changes))
    (event,) = reading.events

    assert event["type"] == "application.hired"
    assert event["application"]["status"] == "hired"
    assert event["occurred_at"] == at
    assert reading.states is True
    assert list(reading.asides) == []


def test_who_was_disqualified_was_not_hired():
    body = moved(stage_kind="hired", hired_at="2026-06-01T00:00:00Z")

    assert only(body)["type"] == "application.rejected"


def test_who_was_sourced_is_a_prospect_and_may_have_no_address():
    event = only(sample("candidate_moved_sourced"))

    assert (event["candidate"]["emails"], event["candidate"]["phones"]) == ([], [])
    assert event["attachments"] == []
    assert event["holds"] == ["no_email", "prospect"]


def test_a_deletion_relies_on_the_number_only():
    event = only(sample("candidate_deleted"))

    assert event["type"] == "candidate.deleted"
    assert event["candidate"]["external_id"] == NUMBER
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": [NUMBER]}
    assert event["dedupe_key"] == f"workable:ats_1:candidate.deleted:{NUMBER}:deleted"
    assert (event["application"], event["holds"]) == (None, [])


@pytest.mark.parametrize("name", ["candidate_created", "employee_created"])
def test_other_events_mean_nothing(name):
    body = sample(name)
    reading = read(body)

    assert (reading.provider_event, list(reading.events)) == (body["event_type"], [])


# ---- what nobody may guess ------------------------------------------------------------------


def change(body, path, value):
    body = copy.deepcopy(body)
    *way, last = path.split(".")
    place = body
    for step in way:
        place = place[step]
    place[last] = value
    return body


@pytest.mark.parametrize(("path", "value", "code"), [
    ("event_type", None, "event_type_missing"),
    ("event_type", 7, "event_type_malformed"),
    ("fired_at", "2026-06-02T00:41:08", "fired_at_malformed"),
    ("fired_at", 1780360868, "fired_at_malformed"),
    ("data", None, "data_missing"),
    ("data", [], "data_malformed"),
    ("data.id", None, "candidate_id_missing"),
    ("data.id", 1.5, "candidate_id_malformed"),
    ("data.withdrew", "false", "withdrew_malformed"),
    ("data.disqualified", 1, "disqualified_malformed"),
    ("data.disqualified", None, "disqualified_missing"),
    ("data.disqualified_at", "2026-06-02", "disqualified_at_malformed"),
    ("data.disqualified_at", "2026-06-02T00:41:07", "disqualified_at_malformed"),
    ("data.hired_at", 7, "hired_at_malformed"),
    ("data.updated_at", "yesterday", "updated_at_malformed"),
    ("data.created_at", {}, "created_at_malformed"),
    ("data.disqualification_reason", {"id": 1}, "reason_text_malformed"),
    ("data.email", ["a@b.example"], "email_malformed"),
    ("data.email", [{"value": "a@b.example"}], "email_malformed"),
    ("data.name", 7, "name_malformed"),
    ("data.sourced", "yes", "sourced_malformed"),
    ("data.job", "9CD658E13E", "job_malformed"),
    ("data.job.shortcode", None, "job_id_missing"),
])  # fmt: skip
def test_what_decides_is_never_guessed(path, value, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(change(sample("candidate_moved_disqualified"), path, value))


def test_a_statement_without_any_time_is_none():
    body = change(moved("candidate_moved_reverted", updated_at=None), "fired_at", None)

    with pytest.raises(Unreadable, match=r"^updated_at_missing$"):
        read(body)


@pytest.mark.parametrize(("path", "value"), [
    ("data.stage", 7), ("data.stage_kind", []), ("data.domain", {}), ("data.phone", 90),
    ("data.profile_url", 7), ("data.tags", "a"), ("data.resume_url", {}), ("data.answers", 7),
    ("data.tags", [None, 7]), ("resource_type", None), ("id", None),
])  # fmt: skip
def test_a_broken_decoration_does_not_keep_the_candidate_waiting(path, value):
    event = only(change(sample("candidate_moved_disqualified"), path, value))

    assert event["type"] == "application.rejected"
    assert event["candidate"]["primary_email"] == "Hanako.Shiken@mail.example"


# ---- the API --------------------------------------------------------------------------------


@pytest.fixture
async def stub():
    async with vendor_stub() as running:
        yield running


BRISK = SimpleNamespace(
    API_BASE=workable_api.API_BASE, PER_SECOND=1000.0, sign_in=workable_api.sign_in
)
"""The vendor as far as the client knows it, at a pace that suits tests."""


async def steps(stub, window, cursor=None):
    """Every step of a poll, its cursors kept as JSON between them."""
    pages = []
    async with api_of(BRISK, stub, NOW) as (api, connection):
        while True:
            found = await workable_api.page(api, connection, window, cursor)
            pages.append(found)
            cursor = json.loads(json.dumps(found.cursor))
            if cursor is None:
                return pages


def lay_out(stub):
    def listed(call):
        return answer("candidates_2" if "since_id" in call.query else "candidates_1")

    def events(call):
        return answer("events_2" if "since_id" in call.query else "events_1")

    stub.lay("GET", f"{SPI}/candidates", listed)
    stub.lay("GET", f"{SPI}/candidates/{NUMBER}", answer("candidate"))
    stub.lay("GET", f"{SPI}/candidates/c2", answer("candidate_active"))
    stub.lay("GET", f"{SPI}/candidates/c3", answer("candidate_reason_only"))
    stub.lay("GET", f"{SPI}/disqualification_reasons", REASONS)
    stub.lay("GET", f"{SPI}/events", events)


def asked(stub):
    return [
        (call.path.removeprefix(SPI), {name: one for name, (one,) in call.query.items()})
        for call in stub.calls
    ]


PLANNED = {
    "type": "interview", "include_cancelled": "true", "limit": "100",
    "start_date": "2026-05-31T23:45:00Z", "end_date": "2026-08-31T01:00:00Z",
}  # fmt: skip


@pytest.mark.anyio
async def test_a_poll_reads_who_changed_and_what_is_planned(stub):
    lay_out(stub)
    await steps(stub, WINDOW)

    assert asked(stub) == [
        ("/candidates", {"updated_after": "2026-06-01T23:45:00Z", "limit": "100"}),
        (f"/candidates/{NUMBER}", {}),
        ("/candidates/c2", {}),
        ("/candidates",
         {"updated_after": "2026-06-01T23:45:00Z", "limit": "100", "since_id": "c2"}),
        ("/candidates/c3", {}),
        ("/disqualification_reasons", {}),
        ("/events", PLANNED),
        ("/events", {"since_id": "ev-5", "limit": "100"}),
    ]  # fmt: skip
    assert {call.headers["authorization"] for call in stub.calls} == {"Bearer key-for-tests"}


@pytest.mark.anyio
async def test_what_a_poll_finds_is_understood_as_a_webhook_is(stub):
    lay_out(stub)
    facts = [one for page in await steps(stub, WINDOW) for one in page.facts]
    readings = [understood(one) for one in facts if one["kind"] == "candidate"]

    assert [one.events[0]["type"] for one in readings] == [
        "application.rejected", "application.rejection_reverted", "application.withdrawn",
    ]  # fmt: skip
    assert readings[0].events[0] == {
        **only(sample("candidate_moved_disqualified")),
        "provider_event": "poll",
        "provider_event_id": None,
    }
    assert not any(one.lookup for one in readings)


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
        NUMBER: (["interview.completed", "interview.scheduled"], []),
        "c2": ([], [Aside("interview_off", "ev-3")]),
        "c3": (["interview.scheduled"], []),
    }
    held, planned = found[NUMBER].events
    assert held["interview"] == {
        "external_id": "ev-1",
        "starts_at": "2026-06-01T01:00:00Z",
        "ends_at": "2026-06-01T02:00:00Z",
        "all_day": False,
        "status": "completed",
    }
    assert held["occurred_at"] == "2026-06-01T02:00:00Z"
    assert held["dedupe_key"] == (
        f"workable:ats_1:interview.completed:{NUMBER}:2026-06-01T01:00:00Z"
    )
    assert planned["occurred_at"] == "2026-06-02T01:00:00Z"
    assert (held["candidate"], held["holds"]) == (None, [])
    assert held["job"]["title"] == "法人営業 R&D"
    assert found[NUMBER].as_of == NOW


@pytest.mark.anyio
async def test_by_night_only_who_ended_is_read_one_by_one(stub):
    lay_out(stub)
    await steps(stub, NIGHT)

    read_in_full = [path for path, _ in asked(stub) if path.startswith("/candidates/")]
    assert read_in_full == [f"/candidates/{NUMBER}", "/candidates/c3"]
    assert asked(stub)[0][1]["updated_after"] == "2026-05-03T01:00:00Z"


@pytest.mark.anyio
async def test_a_list_that_shows_everything_needs_no_second_look(stub):
    whole = [answer("candidate")["candidate"], answer("candidate_active")["candidate"]]
    stub.lay("GET", f"{SPI}/candidates", {"candidates": whole})
    stub.lay("GET", f"{SPI}/events", {"events": []})
    pages = await steps(stub, WINDOW)

    assert [path for path, _ in asked(stub)] == ["/candidates", "/events"]
    assert [one["candidate"]["id"] for one in pages[0].facts] == [NUMBER, "c2"]


@pytest.mark.anyio
async def test_many_are_read_ten_at_a_step_and_who_has_gone_is_left_out(stub):
    numbers = [f"n{at}" for at in range(12)]
    there = answer("candidate")["candidate"]
    for number in numbers[1:]:
        stub.lay("GET", f"{SPI}/candidates/{number}", {"candidate": {**there, "id": number}})
    cursor = {"part": "candidates", "asked": None, "read": numbers}
    async with api_of(BRISK, stub, NOW) as (api, connection):
        first = await workable_api.page(api, connection, WINDOW, cursor)
        second = await workable_api.page(api, connection, WINDOW, first.cursor)
        third = await workable_api.page(api, connection, WINDOW, second.cursor)

    assert [one["candidate"]["id"] for one in first.facts] == numbers[1:10]
    assert first.cursor == {"part": "candidates", "asked": None, "read": ["n10", "n11"]}
    assert [one["candidate"]["id"] for one in second.facts] == ["n10", "n11"]
    assert (list(third.facts), third.cursor) == ([], {"part": "interviews", "asked": PLANNED_FULL})


PLANNED_FULL = {**PLANNED, "limit": 100}


@pytest.mark.anyio
async def test_interviews_of_one_application_are_looked_up_from_the_beginning(stub):
    lay_out(stub)
    async with api_of(BRISK, stub, NOW) as (api, connection):
        facts = await workable_api.look_up(
            api, connection, {"kind": "interviews", "application_id": NUMBER}
        )

    assert asked(stub)[0] == ("/events", {
        "type": "interview", "include_cancelled": "true", "limit": "100",
        "start_date": "2000-01-01T00:00:00Z", "candidate_id": NUMBER,
    })  # fmt: skip
    assert len(stub.calls) == 2
    assert [event["interview"]["external_id"] for event in understood(facts).events] == [
        "ev-1", "ev-2",
    ]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("told", [REASONS, {"disqualification_reasons": REASONS}])
async def test_reasons_are_looked_up_in_either_shape(stub, told):
    stub.lay("GET", f"{SPI}/disqualification_reasons", told)
    async with api_of(BRISK, stub, NOW) as (api, connection):
        facts = await workable_api.look_up(api, connection, {"kind": "reasons"})

    body = sample("candidate_moved_reason_only")
    assert understood(facts, body).events[0]["type"] == "application.withdrawn"


@pytest.mark.anyio
async def test_one_application_is_looked_up_with_its_reason(stub):
    lay_out(stub)
    async with api_of(BRISK, stub, NOW) as (api, connection):
        facts = await workable_api.look_up(
            api, connection, {"kind": "application", "application_id": "c3"}
        )

    assert understood(facts).events[0]["type"] == "application.withdrawn"


@pytest.mark.parametrize("facts", [
    {}, {"kind": "x"}, {"kind": "candidate"}, {"kind": "candidate", "candidate": []},
    {"kind": "interviews", "events": 7}, {"kind": "interviews", "events": [{"id": "1"}]},
    {"kind": "interviews", "events": [
        {"id": "1", "candidate": {"id": "c"}, "starts_at": "2026-06-01T10:00:00"}]},
    {"kind": "interviews", "events": [
        {"id": "1", "candidate": {"id": "c"}, "starts_at": "2026-06-01T10:00:00Z",
         "cancelled": "no"}]},
])  # fmt: skip
def test_facts_of_another_shape_are_unreadable(facts):
    with pytest.raises(Unreadable):
        understood(facts)


@pytest.mark.anyio
@pytest.mark.parametrize(("told", "raised"), [
    (Said({}, 500), VendorDown), (Said({}, 401), VendorRefused), ([], VendorDown),
    ({"candidates": {}}, VendorDown), ({}, VendorDown),
    ({"candidates": [], "paging": {"next": "https://[x/"}}, VendorDown),
])  # fmt: skip
async def test_an_answer_of_another_shape_is_no_answer(stub, told, raised):
    stub.lay("GET", f"{SPI}/candidates", told)
    async with api_of(BRISK, stub, NOW) as (api, connection):
        with pytest.raises(raised):
            await workable_api.page(api, connection, WINDOW, None)


@pytest.mark.anyio
async def test_a_busy_vendor_says_when_to_come_back(stub):
    stub.lay("GET", f"{SPI}/candidates", Said({}, 429, {"retry-after": "11"}))
    async with api_of(BRISK, stub, NOW) as (api, connection):
        with pytest.raises(VendorDown) as raised:
            await workable_api.page(api, connection, WINDOW, None)

    assert raised.value.retry_after == timedelta(seconds=11)


@pytest.mark.anyio
async def test_reasons_are_known_by_their_texts(stub):
    stub.lay("GET", f"{SPI}/disqualification_reasons", REASONS)
    async with api_of(BRISK, stub, NOW) as (api, connection):
        words = await workable_api.words(api, connection)

    assert words == [
        Word("reason", "Accepted another offer", "Accepted another offer", "candidate"),
        Word("reason", "経験が求める水準と異なる", "経験が求める水準と異なる", "company"),
        Word("reason", "Location", "Location", "candidate"),
        Word("reason", "location", "location", "company"),
    ]


TOLD = WriteBack(NUMBER, NUMBER, "伝えました", "relay")


@pytest.mark.anyio
async def test_a_comment_and_a_tag_are_left_and_the_other_tags_stay(stub):
    lay_out(stub)
    stub.lay("PUT", f"{SPI}/candidates/{NUMBER}/tags", {})
    stub.lay("POST", f"{SPI}/candidates/{NUMBER}/comments", {})
    async with api_of(BRISK, stub, NOW, member_id="13e0eb0e") as (api, connection):
        await workable_api.write_back(api, connection, TOLD)

    assert [(call.method, call.json) for call in stub.calls[1:]] == [
        ("PUT", {"tags": ["海外営業", "TOEIC 800", "relay"]}),
        ("POST", {"member_id": "13e0eb0e", "comment": {"body": "伝えました"}}),
    ]


@pytest.mark.anyio
async def test_a_tag_that_is_there_is_left_alone(stub):
    there = answer("candidate")["candidate"]
    stub.lay("GET", f"{SPI}/candidates/{NUMBER}", {"candidate": {**there, "tags": ["relay"]}})
    stub.lay("POST", f"{SPI}/candidates/{NUMBER}/comments", {})
    async with api_of(BRISK, stub, NOW, member_id="13e0eb0e") as (api, connection):
        await workable_api.write_back(api, connection, TOLD)

    assert [call.method for call in stub.calls] == ["GET", "POST"]


@pytest.mark.anyio
async def test_nothing_is_written_without_a_member_or_over_tags_we_cannot_read(stub):
    there = answer("candidate")["candidate"]
    stub.lay("GET", f"{SPI}/candidates/{NUMBER}", {"candidate": {**there, "tags": "a,b"}})
    async with api_of(BRISK, stub, NOW) as (api, connection):
        with pytest.raises(VendorRefused, match=r"^setting_missing$"):
            await workable_api.write_back(api, connection, TOLD)
    assert stub.calls == []

    async with api_of(BRISK, stub, NOW, member_id="13e0eb0e") as (api, connection):
        with pytest.raises(VendorDown):
            await workable_api.write_back(api, connection, TOLD)
    assert [call.method for call in stub.calls] == ["GET"]


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["", None, 7])
async def test_without_a_key_nobody_is_asked(stub, key):
    with pytest.raises(VendorRefused, match=r"^api_key_missing$"):
        async with api_of(BRISK, stub, NOW, api_key=key):
            pass

    assert stub.calls == []


@pytest.mark.anyio
async def test_without_the_accounts_own_host_nobody_is_asked():
    connection = ConnectionView(id="ats_1", settings={"api_key": "key-for-tests"})

    with pytest.raises(VendorRefused, match=r"^setting_missing$"):
        async with vendor_api(workable_api, connection, now=NOW):
            pass
