"""CloudEvents around our canonical names: three modes, one signature, what it does not cover."""

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ports import Incoming, Unreadable
from integrations.ats import ADAPTERS, cloudevents
from tests.deliveries import SAMPLES, incoming, standard_headers, view

NOW = datetime(2026, 6, 4, 1, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
VECTORS = [
    one
    for one in json.loads((SAMPLES / "signatures.json").read_text())
    if one["scheme"] == "standard-webhooks"
]
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
SOURCE = "/ats/acme/recruiting"


def sample(name):
    return json.loads((SAMPLES / "cloudevents" / f"{name}.json").read_text())


def raw(body):
    return json.dumps(body, ensure_ascii=False).encode()


def sent(body, at=NOW, **headers):
    """A delivery; header names as Python writes them, none where the value is null."""
    kept = {k.replace("_", "-"): v for k, v in headers.items() if v is not None}
    return Incoming(body if isinstance(body, bytes) else raw(body), kept, at)


def structured(body, **headers):
    return sent(body, **{"content_type": STRUCTURED, "webhook_id": "msg_1", **headers})


def binary(data, kind="application.rejected", **headers):
    told = {
        "content_type": "application/json", "ce_specversion": "1.0", "ce_id": "ev-1",
        "ce_source": SOURCE, "ce_type": kind, "ce_time": "2026-06-02T09:30:00+09:00",
        "webhook_id": "ev-1",
    }  # fmt: skip
    return sent(data, **{**told, **headers})


def read(found, **told):
    return cloudevents.read(found, view(settings=told))


def only(found, **told):
    events = read(found, **told).events

    assert len(events) == 1
    return events[0]


def unread(found, **told):
    with pytest.raises(Unreadable) as caught:
        read(found, **told)
    return str(caught.value)


# ---- the three modes ------------------------------------------------------------------------


def test_a_structured_rejection_with_all_its_fields():
    body = sample("application_rejected")
    reading = read(structured(body), type_prefix="com.acme.")

    assert reading.provider_event == "com.acme.application.rejected"
    assert reading.as_of == datetime(2026, 6, 2, 0, 30, tzinfo=UTC)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "cloudevents",
            "connection_id": "ats_1",
            "provider_event": "com.acme.application.rejected",
            "provider_event_id": "/ats/acme/recruiting ev-1",
            "dedupe_key": "cloudevents:ats_1:application.rejected:A-1:2026-06-02T00:20:00Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:20:00Z",
            "received_at": "2026-06-04T01:00:00Z",
            "application": {
                "external_id": "A-1",
                "url": "https://ats.example/a/1",
                "status": "rejected",
                "applied_at": "2026-05-01T00:00:00Z",
                "stage": {"id": "s2", "name": "二次面接"},
                "source": "company_site",
                "custom_fields": {},
            },
            "candidate": {
                "external_id": "C-7",
                "display_name": "試験 花子",
                "given_name": "花子",
                "family_name": "試験",
                "emails": [{"value": "hanako@mail.example", "type": "personal", "primary": True}],
                "primary_email": "hanako@mail.example",
                "phones": [{"value": "090-1234-5678", "type": "mobile"}],
                "url": None,
                "tags": [],
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
                "reason_type_raw": None,
                "rejected_at": "2026-06-02T00:20:00Z",
                "not_before": None,
            },
            "interview": None,
            "deletion": None,
            "attachments": [],
            "enrichment": "complete",
            "holds": [],
        }
    ]


@pytest.mark.parametrize(("name", "kind", "key", "holds"), [
    ("application_withdrawn", "application.withdrawn", "A-1:2026-06-02T00:20:00Z", []),
    ("application_rejected_unclassified", "application.rejected", "A-1:2026-06-02T00:30:00Z",
     ["no_email", "reason_unclassified"]),
    ("application_rejection_reverted", "application.rejection_reverted",
     "A-1:2026-06-03T00:30:00Z", []),
    ("interview_completed", "interview.completed", "A-1:2026-06-01T01:00:00Z", []),
    ("candidate_deleted", "candidate.deleted", "C-7:2026-06-04T00:30:00Z", []),
])  # fmt: skip
def test_each_kind_of_event(name, kind, key, holds):
    event = only(structured(sample(name)))

    assert (event["type"], event["holds"]) == (kind, holds)
    assert event["dedupe_key"] == f"cloudevents:ats_1:{kind}:{key}"


def test_a_batch_only_if_it_was_agreed_on():
    body = [sample("application_withdrawn"), sample("candidate_deleted")]
    found = sent(body, content_type=BATCH, webhook_id="msg_1")

    assert unread(found) == "batch_not_agreed"
    assert unread(found, batched="yes") == "batch_not_agreed"
    reading = read(found, batched=True)
    assert [one["type"] for one in reading.events] == ["application.withdrawn", "candidate.deleted"]
    assert [one["provider_event_id"] for one in reading.events] == [
        "/ats/acme/recruiting ev-2", "/ats/acme/recruiting ev-6",
    ]  # fmt: skip
    assert reading.as_of == datetime(2026, 6, 4, 0, 30, tzinfo=UTC)
    assert list(read(sent([], content_type=BATCH), batched=True).events) == []
    assert unread(sent({}, content_type=BATCH), batched=True) == "not_a_list"
    assert unread(sent([1], content_type=BATCH), batched=True) == "entry_malformed"


@pytest.mark.parametrize("kind", ["com.acme.ping", "application.moved", "application.rejected "])
def test_other_types_make_no_event(kind):
    body = {**sample("application_withdrawn"), "type": kind, "data": None}
    reading = read(structured(body), type_prefix="com.acme.")

    assert (reading.provider_event, list(reading.events)) == (kind.strip(), [])


def test_a_prefix_must_stand_there_once_it_is_agreed_on():
    assert list(read(structured(sample("application_withdrawn")), type_prefix="x.").events) == []
    assert list(read(structured(sample("application_rejected"))).events) == []


def test_who_ended_it_comes_from_the_reason_map_too():
    body = sample("application_rejected_unclassified")
    body["data"]["rejection"] = {"reason_id": "R9"}

    assert only(structured(body), reason_map={"R9": "candidate"})["type"] == "application.withdrawn"


# ---- binary mode: what is not signed --------------------------------------------------------


def data_of(name="application_rejected"):
    return sample(name)["data"]


def test_the_type_and_the_time_may_come_in_headers_alone():
    event = only(binary(data_of()))

    assert event["type"] == "application.rejected"
    assert event["provider_event_id"] == "/ats/acme/recruiting ev-1"
    assert event["holds"] == []


def test_a_body_sent_again_under_another_type_is_the_same_delivery():
    first, second = binary(data_of()), binary(data_of(), "application.hired", ce_id="ev-2")

    assert cloudevents.delivery_id(first) == cloudevents.delivery_id(second)
    assert first.body == second.body


def test_type_and_time_in_the_signed_body_are_none():
    body = {
        "type": "application.rejected", "timestamp": "2026-06-02T00:30:00Z", "data": data_of(),
    }  # fmt: skip

    assert only(binary(body))["holds"] == []
    assert only(binary(body, ce_time=None))["holds"] == []
    assert only(binary({**body, "type": "x.application.rejected"}, "x.application.rejected"),
                type_prefix="x.")["holds"] == []  # fmt: skip


@pytest.mark.parametrize("missing", ["type", "timestamp"])
def test_half_of_it_signed_is_not_enough_to_delete_somebody(missing):
    data = data_of("candidate_deleted")
    body = {"type": "candidate.deleted", "timestamp": "2026-06-02T00:30:00Z", "data": data}
    del body[missing]

    assert unread(binary(body, "candidate.deleted")) == "type_not_signed"


def test_headers_that_contradict_the_signed_body_are_not_believed():
    body = {"type": "application.rejected", "timestamp": "2026-06-02T00:30:00Z", "data": data_of()}

    assert unread(binary(body, "application.hired")) == "type_disagrees"
    assert unread(binary(body, ce_time="2026-06-02T00:30:01Z")) == "time_disagrees"


def test_nobody_is_deleted_on_the_word_of_a_header():
    data = data_of("candidate_deleted")
    signed = {"type": "candidate.deleted", "timestamp": "2026-06-02T00:30:00Z", "data": data}

    assert unread(binary(data, "candidate.deleted")) == "type_not_signed"
    assert only(binary(signed, "candidate.deleted"))["type"] == "candidate.deleted"


def test_a_structured_event_passed_off_as_binary_is_held():
    body = {**sample("application_withdrawn"), "type": "application.rejected"}

    assert unread(binary(body, "application.hired")) == "type_disagrees"


def test_header_values_are_percent_decoded():
    found = binary(data_of(), ce_source=quote("/採用"))

    assert only(found)["provider_event_id"] == "/採用 ev-1"
    assert unread(binary(data_of(), ce_source="%ff")) == "source_malformed"


@pytest.mark.parametrize(("headers", "code"), [
    ({"ce_specversion": "0.3"}, "specversion_unknown"),
    ({"ce_id": None}, "id_missing"),
    ({"ce_source": None}, "source_missing"),
    ({"ce_type": None}, "type_missing"),
    ({"ce_time": None}, "timestamp_missing"),
    ({"ce_time": "2026-06-02T09:30:00"}, "timestamp_malformed"),
    ({"content_type": "text/plain"}, "data_not_json"),
    ({"content_type": None}, "data_not_json"),
])  # fmt: skip
def test_binary_attributes_are_required(headers, code):
    assert unread(binary(data_of(), **headers)) == code


@pytest.mark.parametrize(("change", "code"), [
    ({"specversion": None}, "specversion_unknown"),
    ({"specversion": 1.0}, "specversion_malformed"),
    ({"id": ""}, "id_missing"),
    ({"id": True}, "id_malformed"),
    ({"source": None}, "source_missing"),
    ({"type": None}, "type_missing"),
    ({"type": 7}, "type_malformed"),
    ({"time": None}, "timestamp_missing"),
    ({"time": "2026-06-02T09:30:00"}, "timestamp_malformed"),
    ({"data": None}, "data_missing"),
    ({"data": "x"}, "data_malformed"),
    ({"datacontenttype": "application/xml"}, "data_not_json"),
    ({"datacontenttype": 3}, "datacontenttype_malformed"),
    ({"data_base64": "e30="}, "data_not_json"),
    ({"data": {"application": {"external_id": 1.5}}}, "application_id_malformed"),
    ({"data": {"application": {"external_id": "A"}, "rejection": {"initiated_by": "boss"}}},
     "initiated_by_malformed"),
])  # fmt: skip
def test_structured_attributes_are_required(change, code):
    assert unread(structured({**sample("application_withdrawn"), **change})) == code


# ---- signature ------------------------------------------------------------------------------


def signed(body, message_id="ev-1", **headers):
    told = standard_headers(raw(body), SECRET, NOW, message_id)
    return sent(body, **{**{k.replace("-", "_"): v for k, v in told.items()}, **headers})


BODY = sample("application_rejected")
BINARY = {"content_type": "application/json", "ce_specversion": "1.0", "ce_id": "ev-1"}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_vectors(vector):
    message_id, stamp, body = vector["signed_utf8"].split(".", 2)
    found = incoming(
        body.encode(), datetime.fromtimestamp(int(stamp), UTC), content_type=STRUCTURED,
        webhook_id=message_id, webhook_timestamp=stamp, webhook_signature=vector["expected"],
    )  # fmt: skip
    public = [vector["public_key"]] if "public_key" in vector else []
    secrets = [] if public else [vector["key"]]

    assert cloudevents.verify(found, view(secrets=secrets, public_keys=public)) is vector["valid"]


def test_a_signature_is_required_in_every_mode():
    keys = view(secrets=["whsec_" + base64.b64encode(b"x" * 24).decode(), SECRET])

    assert cloudevents.verify(signed(BODY, content_type=STRUCTURED), keys)
    assert cloudevents.verify(signed(BODY, **BINARY), keys)
    assert not cloudevents.verify(structured(BODY), keys)
    assert not cloudevents.verify(binary(BODY["data"]), keys)
    assert not cloudevents.verify(signed(BODY, content_type=STRUCTURED), view(secrets=[]))


@pytest.mark.parametrize("at", range(0, len(raw(BODY)), 37))
def test_one_flipped_byte_is_refused(at):
    found = signed(BODY, content_type=STRUCTURED)
    flipped = found.body[:at] + bytes([found.body[at] ^ 1]) + found.body[at + 1 :]

    assert not cloudevents.verify(Incoming(flipped, found.headers, NOW), view(secrets=[SECRET]))


def test_the_same_json_written_otherwise_is_refused():
    found = signed(BODY, content_type=STRUCTURED)
    written = json.dumps(BODY, indent=1).encode()

    assert not cloudevents.verify(Incoming(written, found.headers, NOW), view(secrets=[SECRET]))


@pytest.mark.parametrize("name", ["webhook_id", "webhook_timestamp", "webhook_signature"])
@pytest.mark.parametrize("value", [None, "", "é", "v1,", "v1a,AAAA", "-1", "9" * 40])
def test_missing_and_malformed_headers_are_refused(name, value):
    found = signed(BODY, content_type=STRUCTURED, **{name: value})

    assert cloudevents.verify(found, view(secrets=[SECRET])) is False


def test_too_old_is_refused():
    found = signed(BODY, content_type=STRUCTURED)
    late = Incoming(found.body, found.headers, NOW + timedelta(seconds=301))

    assert not cloudevents.verify(late, view(secrets=[SECRET]))


def test_keys_that_could_never_verify_are_named():
    assert cloudevents.unusable([SECRET], []) is None
    assert cloudevents.unusable(["short"], []) is not None


# ---- ids and the handshake ------------------------------------------------------------------


def test_the_signed_id_names_a_delivery_whatever_the_event_calls_itself():
    for found in (structured(BODY), binary(BODY["data"]), structured(b"\xff")):
        assert cloudevents.delivery_id(found) == found.headers["webhook-id"]
    assert cloudevents.delivery_id(sent(b"")) is None


def test_a_sender_asks_and_is_allowed():
    found = cloudevents.options({
        "webhook-request-origin": "events.acme.example", "webhook-request-rate": "5000",
        "webhook-request-callback": "https://events.acme.example/confirm",
    })  # fmt: skip

    assert found.status == 200
    assert found.headers == {
        "allow": "POST, OPTIONS",
        "webhook-allowed-origin": "events.acme.example",
        "webhook-allowed-rate": "600",
    }


@pytest.mark.parametrize("origin", [None, "", " ", "a b", "a\r\nset-cookie: x", "é", "x" * 256])
def test_who_does_not_say_where_they_are_is_not(origin):
    headers = {} if origin is None else {"webhook-request-origin": origin}

    assert (cloudevents.options(headers).status, cloudevents.options(headers).headers) == (400, {})


def test_there_is_no_other_handshake():
    assert cloudevents.greet(structured(BODY), view()) is None
    assert ADAPTERS["cloudevents"].SUCCESS == 202
    assert ADAPTERS["cloudevents"].BAD_SIGNATURE == 401


# ---- whatever arrives -----------------------------------------------------------------------

HEADER = st.sampled_from([
    "content-type", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "webhook-id",
])  # fmt: skip
VALUE = st.text(max_size=20) | st.sampled_from([
    STRUCTURED, BATCH, "application/json", "1.0", "application.rejected", "candidate.deleted",
    "2026-06-02T00:00:00Z", "%", "%ff",
])  # fmt: skip


@given(
    st.sampled_from(sorted((SAMPLES / "cloudevents").glob("*.json"))),
    st.dictionaries(HEADER, VALUE),
    st.dictionaries(
        st.sampled_from(["id", "type", "time", "data", "source"]), st.none() | VALUE, max_size=2
    ),
)
@settings(max_examples=300, deadline=None)
def test_nothing_but_unreadable_comes_out(path, headers, change):
    found = Incoming(raw({**json.loads(path.read_text()), **change}), headers, NOW)
    cloudevents.delivery_id(found)
    assert cloudevents.verify(found, view(secrets=[SECRET])) is False
    try:
        reading = cloudevents.read(found, view(settings={"batched": True}))
    except Unreadable as why:
        assert str(why).isidentifier()  # noqa: PT017 - both ways of ending have their rule
        return
    json.dumps(list(reading.events)).encode()
