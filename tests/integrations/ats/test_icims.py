"""iCIMS: two ways of signing, packed bodies, and statuses only the tenant can explain."""

import base64
import gzip
import hmac
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace

import pytest

from domain.ports import (
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
from integrations.ats import icims, icims_api
from tests.deliveries import SAMPLES
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 4, 0, tzinfo=UTC)
POLLED = Incoming(b"", {}, NOW)
WINDOW = Window(datetime(2026, 6, 2, 0, 5, tzinfo=UTC), NOW)
QUICK = SimpleNamespace(**{**vars(icims_api), "PER_SECOND": 1000.0})
KEY = "icims-key-for-tests"
MAP = {"C2028": "rejected", "C51218": "withdrawn", "C3": "hired", "C2014": "active"}
KEY_OF_END = "icims:ats_1:application.rejected:900:2026-06-02T00:41:00Z"
CUSTOMER = "/customers/6268"
VECTORS = [
    one for one in json.loads((SAMPLES / "signatures.json").read_text()) if one["scheme"] == "icims"
]


def body_of(name):
    return json.loads((SAMPLES / "icims" / f"{name}.json").read_text())


def answer(name):
    return json.loads((SAMPLES / "icims" / "api" / f"{name}.json").read_text())


def seen(*secrets, **settings):
    return ConnectionView(id="ats_1", secrets=secrets, settings=settings)


def read(body, **settings):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return icims.read(Incoming(raw, {}, NOW), seen(**settings))


# ---- signature ------------------------------------------------------------------------------


RAW = json.dumps(body_of("workflow_status_change")).encode()
NAMES = "content-type;host;x-icims-content-sha256;x-icims-date"


def signed(body=RAW, *, key=KEY, at="2026-06-02T04:00:00+0000", covers=None, names=NAMES, **over):
    headers = {
        "content-type": "application/json", "host": "hooks.example.com",
        "x-icims-content-sha256": sha256(body if covers is None else covers).hexdigest(),
        "x-icims-date": at,
    }  # fmt: skip
    lines = [f"{name}: {headers[name]}" for name in names.split(";") if name in headers]
    request = "\n".join(["POST", "/v1/ats/icims/ats_1", "a=b", *lines, "", names])
    text = f"x-icims-v1-hmac-sha256\n{at}\n{sha256(request.encode()).hexdigest()}"
    digest = hmac.new(key.encode(), text.encode(), "sha256").hexdigest()
    headers["authorization"] = (
        f"x-icims-v1-hmac-sha256 user=U, signedheaders={names}, signature={digest}"
    )
    headers |= {name.replace("_", "-"): value for name, value in over.items()}
    kept = {name: value for name, value in headers.items() if value is not None}
    return Incoming(body, kept, NOW, path="/v1/ats/icims/ats_1", query="a=b")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_the_vector(vector):
    lines = vector["canonical_request"].split("\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    headers["authorization"] = (
        f"x-icims-v1-hmac-sha256 user=U,signedheaders={lines[-1]},signature={vector['expected']}"
    )
    at = datetime(2026, 10, 1, 8, 5, tzinfo=UTC)
    found = Incoming(vector["body"].encode(), headers, at, path=lines[1], query=lines[2])

    assert icims.verify(found, seen("another-key-000000", vector["key"])) is vector["valid"]
    assert not icims.verify(found, seen("another-key-000000"))


def test_there_is_a_vector():
    assert [one["name"] for one in VECTORS] == ["icims-hmac-unverified"]


def test_a_signed_request_holds_by_any_of_the_keys():
    assert icims.verify(signed(), seen("another-key-000000", KEY))
    assert not icims.verify(signed(), seen())
    assert not icims.verify(signed(key=""), seen(""))


@pytest.mark.parametrize("at", range(0, len(RAW), 7))
def test_one_flipped_byte_is_refused(at):
    flipped = RAW[:at] + bytes([RAW[at] ^ 1]) + RAW[at + 1 :]
    found = signed()

    assert not icims.verify(
        Incoming(flipped, found.headers, NOW, path=found.path, query=found.query), seen(KEY)
    )


@pytest.mark.parametrize(
    ("path", "query"), [("/v1/ats/icims/ats_2", "a=b"), ("/v1/ats/icims/ats_1", "")]
)
def test_path_and_query_are_signed_too(path, query):
    found = signed()

    assert not icims.verify(Incoming(RAW, found.headers, NOW, path=path, query=query), seen(KEY))


def test_the_same_json_in_other_bytes_is_refused():
    found = signed()
    again = json.dumps(json.loads(RAW), indent=1).encode()

    assert not icims.verify(
        Incoming(again, found.headers, NOW, path=found.path, query=found.query), seen(KEY)
    )


@pytest.mark.parametrize(("minutes", "holds"), [
    (-16, False), (-15, True), (0, True), (15, True), (16, False),
])  # fmt: skip
def test_the_date_may_lie_a_quarter_of_an_hour_away(minutes, holds):
    at = (NOW + timedelta(minutes=minutes)).isoformat()

    assert icims.verify(signed(at=at), seen(KEY)) is holds


@pytest.mark.parametrize("at", ["", "yesterday", "2026-06-02T04:00:00", "1790000000"])
def test_a_date_without_a_meaning_is_refused(at):
    assert icims.verify(signed(at=at), seen(KEY)) is False


@pytest.mark.parametrize("names", [
    "x-icims-date", "x-icims-content-sha256", "content-type;host", "",
    "x-icims-content-sha256;x-icims-date;x-missing",
])  # fmt: skip
def test_date_and_body_must_be_among_what_is_signed(names):
    assert icims.verify(signed(names=names), seen(KEY)) is False


@pytest.mark.parametrize("header", [
    None, "", "x-icims-v1-hmac-sha256", "x-icims-v1-hmac-sha256 ", "Bearer abc",
    f"x-icims-v1-hmac-sha256 user=U,signedheaders={NAMES}",
    f"x-icims-v1-hmac-sha256 user=U,signedheaders={NAMES},signature=",
    f"x-icims-v1-hmac-sha256 user=U,signedheaders={NAMES},signature=é",
    f"x-icims-v1-hmac-sha256 signature={'0' * 64},,=,",
    "x-icims-v2-hmac-sha256 " + signed().headers["authorization"].partition(" ")[2],
    signed().headers["authorization"] + "0", "Basic", "Basic é", "Basic \ud800",
])  # fmt: skip
def test_a_malformed_header_is_refused(header):
    assert icims.verify(signed(authorization=header), seen(KEY, "user:password")) is False


@pytest.mark.parametrize("missing", ["host", "x_icims_date", "x_icims_content_sha256"])
def test_a_missing_header_is_refused(missing):
    assert icims.verify(signed(**{missing: None}), seen(KEY)) is False


def basic(pair, body=RAW):
    claim = base64.b64encode(pair.encode()).decode()
    return Incoming(body, {"authorization": f"Basic {claim}"}, NOW)


def test_basic_credentials_by_any_of_the_secrets():
    keys = seen(KEY, "relay:a-long-password-1", "relay:一番長いパスワード一二三四五六")

    assert icims.verify(basic("relay:a-long-password-1"), keys)
    assert icims.verify(basic("relay:一番長いパスワード一二三四五六"), keys)
    for wrong in ("relay:a-long-password-2", "other:a-long-password-1", KEY, "", ":"):
        assert not icims.verify(basic(wrong), keys)
    assert not icims.verify(basic(":"), seen(":"))


def test_secrets_nobody_could_use():
    assert icims.unusable([KEY, "relay:a-long-password-1"], []) is None
    assert icims.unusable(["a-long-user-name-1:"], []) is not None
    assert icims.unusable(["relay:short"], []) == "a secret needs at least 8 characters"
    assert icims.unusable([], ["whpk_x"]) == "iCIMS signs with a shared secret only"


# ---- packed bodies --------------------------------------------------------------------------


PACKED = gzip.compress(RAW, mtime=0)


def test_a_packed_body_is_signed_as_received_or_as_unpacked():
    assert icims.verify(signed(PACKED), seen(KEY))
    assert icims.verify(signed(PACKED, covers=RAW), seen(KEY))
    assert not icims.verify(signed(PACKED, covers=b"something else"), seen(KEY))


def test_a_packed_body_is_read_like_a_plain_one():
    assert read(PACKED).lookup.about == read(RAW).lookup.about


BOMB = gzip.compress(b" " * (64 * 1024 * 1024), mtime=0)


@pytest.mark.parametrize(("body", "code"), [
    (BOMB, "gzip_too_large"), (PACKED[:-9], "gzip_malformed"), (PACKED + b"x", "gzip_malformed"),
    (PACKED + PACKED, "gzip_malformed"), (b"\x1f\x8b", "gzip_malformed"),
    (b"\x1f\x8b" + b"\0" * 20, "gzip_malformed"), (gzip.compress(b"[]", mtime=0), "not_an_object"),
    (gzip.compress(PACKED, mtime=0), "not_utf8"), (b"", "not_json"),
])  # fmt: skip
def test_a_body_that_does_not_unpack_or_swells(body, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(body)
    assert icims.verify(signed(body, covers=b"something else"), seen(KEY)) is False


def test_a_bomb_is_never_unpacked_in_full():
    tracemalloc.start()
    with pytest.raises(Unreadable, match="gzip_too_large"):
        icims.plain(BOMB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * icims.MOST_UNPACKED


def test_what_may_come_unpacked_may_also_come_packed():
    assert icims.plain(gzip.compress(b" " * icims.MOST_UNPACKED)) == b" " * icims.MOST_UNPACKED


# ---- deliveries -----------------------------------------------------------------------------


def test_a_change_of_status_must_be_read():
    reading = read(body_of("workflow_status_change"))

    assert (reading.provider_event, list(reading.events)) == ("WorkFlowStatusChangeEvent", [])
    assert reading.lookup.needed
    assert reading.lookup.about == {
        "kind": "application", "customer_id": "6268", "application_id": "900",
        "person_id": "244", "job_id": "1181",
    }  # fmt: skip


def test_one_endpoint_may_be_told_of_several_customers():
    assert read(body_of("workflow_status_change"), customer_id="6268").lookup is not None
    other = read(body_of("workflow_status_change"), customer_id="1771")
    assert (other.lookup, list(other.events)) == (None, [])


def test_other_events_mean_nothing():
    assert read(body_of("person_created")).lookup is None


@pytest.mark.parametrize(("name", "value", "code"), [
    ("eventType", None, "event_type_missing"), ("eventType", 7, "event_type_malformed"),
    ("systemId", None, "system_id_missing"), ("systemId", 1.5, "system_id_malformed"),
    ("customerId", "", "customer_id_missing"), ("customerId", True, "customer_id_malformed"),
    ("personId", [], "person_id_malformed"), ("jobId", {}, "job_id_malformed"),
])  # fmt: skip
def test_ids_are_never_guessed(name, value, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read({**body_of("workflow_status_change"), name: value})


def test_no_delivery_has_a_number_of_its_own():
    assert icims.delivery_id(signed()) is None
    assert icims.greet(signed(), seen()) is None


# ---- understanding --------------------------------------------------------------------------


def facts(status=None, **changes):
    workflow = {**answer("workflow"), **changes}
    if status is not None:
        workflow["status"] = status
    return {
        "kind": "application", "about": {"application_id": "900"}, "workflow": workflow,
        "person": answer("person"), "job": answer("job"),
    }  # fmt: skip


def understood(found, **settings):
    known = {"status_map": MAP, **settings}
    return icims_api.understand(found, POLLED, seen(**known), "WorkFlowStatusChangeEvent")


def test_a_rejection_with_all_its_fields():
    reading = understood(facts())

    assert (reading.states, reading.undated) == (False, False)
    assert reading.as_of == datetime(2026, 6, 2, 0, 50, tzinfo=UTC)
    assert list(reading.events) == [{
        "type": "application.rejected", "schema_version": "1", "provider": "icims",
        "connection_id": "ats_1", "provider_event": "WorkFlowStatusChangeEvent",
        "provider_event_id": None, "dedupe_key": KEY_OF_END, "supersedes": None,
        "occurred_at": "2026-06-02T00:41:00Z", "received_at": "2026-06-02T04:00:00Z",
        "application": {
            "external_id": "900", "url": None, "status": "rejected",
            "applied_at": "2026-05-12T12:15:00Z",
            "stage": {"id": "C2028", "name": "Rejected: Not Selected"}, "source": None,
            "custom_fields": {},
        },
        "candidate": {
            "external_id": "244", "display_name": "花子 試験", "given_name": "花子",
            "family_name": "試験",
            "emails": [{"value": "Hanako.Shiken@mail.example", "type": "unknown",
                        "primary": False}],
            "primary_email": "Hanako.Shiken@mail.example",
            "phones": [{"value": "090-1234-5678", "type": "Mobile"}], "url": None, "tags": [],
            "is_private": False, "is_internal": False, "can_email": None, "is_anonymized": False,
            "merged_into_external_id": None,
        },
        "job": {
            "external_id": "1181", "title": "法人営業", "department": "営業部",
            "location": "東京都千代田区", "requisition_id": "REQ-7", "confidential": False,
        },
        "rejection": {
            "initiated_by": "company", "reason_id": "C2028",
            "reason_text": "Rejected: Not Selected", "reason_type_raw": None,
            "rejected_at": "2026-06-02T00:41:00Z", "not_before": None,
        },
        "interview": None, "deletion": None, "attachments": [], "enrichment": "complete",
        "holds": [],
    }]  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "initiator", "states"), [
    ("C51218", "application.withdrawn", "candidate", False),
    ("C3", "application.hired", None, True),
    ("C2014", "application.rejection_reverted", None, True),
])  # fmt: skip
def test_the_status_map_says_what_a_status_means(status, kind, initiator, states):
    log = [{"status": {"id": status}, "updatedDate": "2026-06-02T03:00:00Z"}]
    reading = understood(facts({"id": status, "value": "x"}, submittalstatuslog=log))
    event = reading.events[0]

    assert (event["type"], (event["rejection"] or {}).get("initiated_by")) == (kind, initiator)
    assert (reading.states, event["occurred_at"]) == (states, "2026-06-02T03:00:00Z")


def test_a_status_may_be_mapped_by_its_words():
    reading = understood(facts(), status_map={"Rejected: Not Selected": "withdrawn"})

    assert reading.events[0]["type"] == "application.withdrawn"


def test_a_status_nobody_mapped_is_put_to_a_person():
    reading = understood(facts(), status_map={})

    assert list(reading.events) == []
    assert list(reading.unmapped) == [Word("status", "C2028", "Rejected: Not Selected", "rejected")]


@pytest.mark.parametrize(
    "log", [None, [], [{"status": {"id": "C2014"}, "updatedDate": "2026-06-02T03:00:00Z"}]]
)
def test_without_the_log_nobody_knows_since_when(log):
    reading = understood(facts(submittalstatuslog=log))

    assert reading.undated
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:50:00Z"
    bare = understood(facts(submittalstatuslog=log, updateddate=None))
    assert bare.events[0]["occurred_at"] == "2026-06-02T04:00:00Z"


def test_an_end_after_another_end_counts_from_the_last_change():
    log = [
        {"status": {"id": "C2028"}, "updatedDate": "2026-05-01 12:00 AM"},
        {"status": {"id": "C2014"}, "updatedDate": "2026-05-02 12:00 PM"},
        {"status": {"id": "C2028"}, "updatedDate": "2026-05-03 01:30 PM"},
    ]

    assert understood(facts(submittalstatuslog=log)).events[0]["occurred_at"] == (
        "2026-05-03T13:30:00Z"
    )


def test_missing_permissions_leave_fields_out():
    bare = {**facts(), "person": None, "job": None}
    event = understood(bare).events[0]

    assert event["candidate"]["external_id"] == "244"
    assert event["job"]["title"] == "法人営業"
    assert event["holds"] == ["no_email"]


@pytest.mark.parametrize(("change", "code"), [
    ({"workflow": None}, "workflow_missing"), ({"workflow": []}, "workflow_malformed"),
    ({"about": {}}, "application_id_missing"), ({"person": []}, "person_malformed"),
])  # fmt: skip
def test_facts_that_are_none(change, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understood({**facts(), **change})


@pytest.mark.parametrize(("changes", "code"), [
    ({"status": {}}, "status_id_missing"), ({"status": "C2028"}, "status_malformed"),
    ({"status": {"value": "x"}}, "status_id_missing"),
    ({"associatedprofile": None}, "person_id_missing"),
    ({"updateddate": "2026-06-02 13:00"}, "updateddate_malformed"),
    ({"updateddate": "2026-06-02T04:00:00"}, "updateddate_malformed"),
    ({"submittalstatuslog": [{"status": {"id": "C2028"}}]}, "log_time_missing"),
    ({"submittalstatuslog": "x"}, "status_log_malformed"),
    ({"submittalstatuslog": [{"status": {"id": "C2028"}, "updatedDate": "2026-06-02 99:99 PM"}]},
     "log_time_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(changes, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understood(facts(**changes))


# ---- the API --------------------------------------------------------------------------------


async def asked(stub, work, **more):
    known = {"api_key": "relay:password", "customer_id": "6268", "status_map": MAP, **more}
    async with api_of(QUICK, stub, NOW, **known) as (api, connection):
        return await work(api, connection)


def lay(stub, **changes):
    stub.lay("GET", f"{CUSTOMER}/applicantworkflows/900", {**answer("workflow"), **changes})
    stub.lay("GET", f"{CUSTOMER}/people/244", answer("person"))
    stub.lay("GET", f"{CUSTOMER}/jobs/1181", answer("job"))


ABOUT = {"kind": "application", "customer_id": "6268", "application_id": "900"}


@pytest.mark.anyio
async def test_an_end_is_read_with_person_and_job():
    async with vendor_stub() as stub:
        lay(stub)
        found = await asked(stub, lambda api, at: icims_api.look_up(api, at, ABOUT))

    assert stub.calls[0].headers["authorization"] == "Basic cmVsYXk6cGFzc3dvcmQ="
    reading = understood(json.loads(json.dumps(found)))
    assert reading.events[0]["dedupe_key"] == KEY_OF_END
    assert reading.events[0]["candidate"]["primary_email"] == "Hanako.Shiken@mail.example"


@pytest.mark.anyio
async def test_a_job_we_may_not_read_keeps_nobody_waiting():
    async with vendor_stub() as stub:
        lay(stub)
        stub.lay("GET", f"{CUSTOMER}/jobs/1181", Said(status=403))
        found = await asked(stub, lambda api, at: icims_api.look_up(api, at, ABOUT))
        stub.lay("GET", f"{CUSTOMER}/people/244", Said(status=403))
        with pytest.raises(VendorRefused):
            await asked(stub, lambda api, at: icims_api.look_up(api, at, ABOUT))

    event = understood(json.loads(json.dumps(found))).events[0]
    assert event["dedupe_key"] == KEY_OF_END
    assert (event["job"]["external_id"], event["job"]["title"]) == ("1181", "法人営業")


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["C2014", "C404"])
async def test_what_goes_on_costs_one_call(status):
    async with vendor_stub() as stub:
        lay(stub, status={"id": status, "value": "x"})
        found = await asked(stub, lambda api, at: icims_api.look_up(api, at, ABOUT))

    assert len(stub.calls) == 1
    assert [event["candidate"] for event in understood(found).events] in ([], [None])


@pytest.mark.anyio
async def test_a_poll_searches_then_reads_a_few_at_a_time_and_resumes():
    ids = [str(900 + one) for one in range(12)]
    async with vendor_stub() as stub:
        lay(stub)
        for number in ids[1:-1]:
            stub.lay("GET", f"{CUSTOMER}/applicantworkflows/{number}", answer("workflow"))
        stub.lay(
            "POST",
            f"{CUSTOMER}/search/applicantworkflows",
            {"searchResults": [{"id": one, "self": "x"} for one in ids]},
        )
        cursor, found, steps = None, [], 0
        for _ in range(9):
            page = await asked(stub, lambda api, at, c=cursor: icims_api.page(api, at, WINDOW, c))
            found += json.loads(json.dumps(page.facts))
            cursor, steps = json.loads(json.dumps(page.cursor)), steps + 1
            if cursor is None:
                break

    assert steps == 3
    # The last one was removed between the search and its reading.
    assert [one["about"]["application_id"] for one in found] == ids[:-1]
    assert understood(found[0]).events[0]["dedupe_key"] == KEY_OF_END
    assert stub.calls[0].json == {
        "filters": [{"name": "applicantworkflow.updateddate",
                     "value": ["2026-06-02 12:05 AM"], "operator": ">="}],
        "operator": "&",
    }  # fmt: skip


@pytest.mark.anyio
async def test_a_thousand_ids_are_followed_by_the_next_and_the_night_asks_for_ends():
    full = Window(WINDOW.since, NOW, full=True)
    async with vendor_stub() as stub:
        stub.lay(
            "POST",
            f"{CUSTOMER}/search/applicantworkflows",
            {"searchResults": [{"id": one} for one in range(1, 1001)]},
            {"searchResults": []},
        )
        first = await asked(stub, lambda api, at: icims_api.page(api, at, full, None))
        then = {"ids": [], "after": first.cursor["after"]}
        last = await asked(stub, lambda api, at: icims_api.page(api, at, full, then))

    assert len(first.cursor["ids"]) == 1000
    assert last.cursor is None
    narrow = {"name": "applicantworkflow.status", "value": ["C2028", "C51218", "C3"],
              "operator": "="}  # fmt: skip
    assert stub.calls[0].json["filters"][1] == narrow
    assert stub.calls[1].json["filters"][2] == {
        "name": "applicantworkflow.id", "value": ["1000"], "operator": ">",
    }  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "error"), [
    (Said(status=429, headers={"retry-after": "30"}), VendorDown), (Said(status=503), VendorDown),
    (Said(status=403), VendorRefused), (Said(status=404), VendorMissing),
])  # fmt: skip
async def test_answers_that_are_none(said, error):
    async with vendor_stub() as stub:
        stub.lay("GET", f"{CUSTOMER}/applicantworkflows/900", said)
        with pytest.raises(error) as raised:
            await asked(stub, lambda api, at: icims_api.look_up(api, at, ABOUT))

    if said.status == 429:
        assert raised.value.retry_after == timedelta(seconds=30)


@pytest.mark.anyio
async def test_a_search_that_answers_errors_is_none():
    async with vendor_stub() as stub:
        stub.lay("POST", f"{CUSTOMER}/search/applicantworkflows", {"errors": []})
        with pytest.raises(VendorDown):
            await asked(stub, lambda api, at: icims_api.page(api, at, WINDOW, None))


@pytest.mark.anyio
@pytest.mark.parametrize("settings", [{"api_key": "no-colon"}, {"api_key": None},
                                      {"customer_id": None}])  # fmt: skip
async def test_settings_that_are_needed(settings):
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match="setting_missing"):
            await asked(stub, lambda api, at: icims_api.page(api, at, WINDOW, None), **settings)

    assert stub.calls == []


@pytest.mark.anyio
async def test_words_are_the_statuses_in_use():
    async with vendor_stub() as stub:
        lay(stub)
        stub.lay(
            "POST", f"{CUSTOMER}/search/applicantworkflows", {"searchResults": [{"id": "900"}]}
        )
        found = await asked(stub, icims_api.words)

    assert [(one.kind, one.id, one.text, one.suggestion) for one in found] == [
        ("status", "C2028", "Rejected: Not Selected", "rejected"),
        ("status", "C2014", "Hiring Manager Review", None),
    ]  # fmt: skip


@pytest.mark.anyio
async def test_nothing_is_asked_for_interviews_and_nothing_is_written():
    about, told = {"kind": "interviews", "application_id": "900"}, WriteBack("900", "244", "n", "t")
    async with vendor_stub() as stub:
        found = await asked(stub, lambda api, at: icims_api.look_up(api, at, about))
        with pytest.raises(VendorRefused, match="write_back_unsupported"):
            await asked(stub, lambda api, at: icims_api.write_back(api, at, told))

    assert (list(understood(found).events), stub.calls) == ([], [])
    assert icims_api.WRITES_BACK is False
