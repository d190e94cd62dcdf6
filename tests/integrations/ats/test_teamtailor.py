"""Teamtailor: signatures, what a delivery makes us ask, and what the answers mean."""

import base64
import copy
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.ports import (
    Lookup,
    Unreadable,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import ADAPTERS, APIS
from integrations.ats import teamtailor as adapter
from integrations.ats import teamtailor_api as vendor
from tests.deliveries import SAMPLES, incoming, view
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 10, 1, 9, 0, tzinfo=UTC)
KEY = "tt-key-for-tests-0001"
VECTORS = [
    one
    for one in json.loads((SAMPLES / "signatures.json").read_text())
    if one["scheme"].startswith("teamtailor")
]
WINDOW = Window(NOW - timedelta(hours=1), NOW)


def sample(name):
    return json.loads((SAMPLES / "teamtailor" / f"{name}.json").read_text())


def compact(body):
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def v2(text, at=NOW, key=KEY):
    stamp = str(int(at.timestamp()))
    digest = hmac.new(key.encode(), stamp.encode() + b"." + text, hashlib.sha256).hexdigest()
    return base64.b64encode(f"t={stamp},v2={digest}".encode()).decode()


def v1(number, key=KEY):
    digest = hmac.new(key.encode(), number.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(digest.encode()).decode()


def partners(number, at=NOW, key=KEY):
    stamp = int(at.timestamp())
    digest = hmac.new(key.encode(), f"{stamp}.{number}".encode(), hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest},v0=fake"


def verified(body, keys=(KEY,), at=NOW, settings=None, **headers):
    return adapter.verify(
        incoming(body, at, **headers), view(secrets=keys, settings=settings or {})
    )


BODY = compact(sample("job_application_update"))


# ---- signatures -----------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_vectors(vector):
    if vector["scheme"] == "teamtailor-v2":
        stamp, body = vector["signed_utf8"].split(".", 1)
        at = datetime.fromtimestamp(int(stamp), UTC)
        assert (
            verified(body.encode(), [vector["key"]], at=at, tt_signature=vector["expected"])
            is vector["valid"]
        )
        return
    body = compact({"payload": {"data": {"id": vector["signed_utf8"]}}})
    keys, signed = [vector["key"]], {"tt_signature": vector["expected"]}

    assert verified(body, keys, settings={"accept_v1": True}, **signed) is vector["valid"]
    assert verified(body, keys, **signed) is False


def test_both_vectors_are_tried():
    assert [one["name"] for one in VECTORS] == ["teamtailor-v1-legacy", "teamtailor-v2"]


def test_any_of_several_secrets_and_no_empty_one():
    assert verified(BODY, ["another-key-of-someone", KEY], tt_signature=v2(BODY))
    assert not verified(BODY, ["another-key-of-someone"], tt_signature=v2(BODY))
    assert not verified(BODY, [], tt_signature=v2(BODY))
    assert not verified(BODY, [""], tt_signature=v2(BODY, key=""))


@pytest.mark.parametrize("at", range(0, len(BODY), 7))
def test_one_flipped_byte(at):
    flipped = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]

    assert not verified(flipped, tt_signature=v2(BODY))


def test_a_re_serialised_body():
    assert not verified(json.dumps(json.loads(BODY)).encode(), tt_signature=v2(BODY))


@pytest.mark.parametrize(("seconds", "accepted"), [
    (-301, False), (-300, True), (0, True), (300, True), (301, False),
])  # fmt: skip
def test_a_window_of_five_minutes(seconds, accepted):
    signed = v2(BODY, NOW + timedelta(seconds=seconds))

    assert verified(BODY, tt_signature=signed) is accepted


def boxed(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("header", [
    None, "", "x", "=", "t=1,v2=0", v2(BODY)[:-2], v2(BODY) + "=", " " + v2(BODY),
    v2(BODY).rstrip("=") + "\u00e9", boxed("t=,v2="), boxed("v2=abc"), boxed("t=1790000000"),
    boxed("t=\u0661,v2=0"), boxed("t=1e9,v2=0"), boxed("t=-5,v2=0"), boxed(f"t={'9' * 5000},v2=0"),
    boxed(f"t={int(NOW.timestamp())},v2=" + "z" * 64), boxed("t=1,t=1,v2=0"), boxed(","),
])  # fmt: skip
def test_malformed_headers(header):
    headers = {} if header is None else {"tt_signature": header}

    assert verified(BODY, settings={"accept_v1": True}, **headers) is False
    assert verified(b"\xff{", settings={"accept_v1": True}, **headers) is False


def test_a_signature_repeated_in_the_body_is_left_out_of_what_is_signed():
    signed = v2(BODY)
    repeated = BODY[:-1] + f',"signature":"{signed}"}}'.encode()
    forged = BODY[:-1] + b',"signature":"somebody else\'s"}'

    assert verified(repeated, tt_signature=signed)
    assert not verified(forged, tt_signature=signed)
    assert not verified(repeated[:-1] + b',"more":1}', tt_signature=signed)


def test_the_payload_alone_may_be_what_is_signed_as_in_the_vendor_s_samples():
    text = compact(sample("job_application_update")["payload"])
    signed = v2(text)
    around = b'{"payload":' + text

    assert verified(around + b"}", tt_signature=signed)
    assert verified(around + f',"signature":"{signed}"}}'.encode(), tt_signature=signed)
    assert not verified(around.replace(b"4711", b"4712") + b"}", tt_signature=signed)
    assert not verified(b'{"other":1,"payload":' + text + b"}", tt_signature=signed)


def test_the_partners_scheme_only_where_it_is_allowed():
    body = compact(sample("partner_event"))
    number = sample("partner_event")["partner-event"]["id"]
    allowed = {"accept_v1": True}
    late = partners(number, NOW - timedelta(seconds=301))

    assert verified(body, settings=allowed, teamtailor_signature=partners(number))
    assert not verified(body, teamtailor_signature=partners(number))
    assert not verified(body, settings=allowed, teamtailor_signature=partners("other"))
    assert not verified(body, settings=allowed, teamtailor_signature=late)
    assert not verified(body, settings=allowed, teamtailor_signature="t=1,v1")
    assert not verified(body, settings={"accept_v1": "true"}, teamtailor_signature=partners(number))


def test_what_claims_v2_is_let_in_by_no_weaker_scheme():
    body = compact({**sample("candidate_destroy"), **sample("partner_event")})
    number = sample("partner_event")["partner-event"]["id"]
    bogus = boxed(f"t={int(NOW.timestamp())},v2={'0' * 64}")
    signed = {"tt_signature": bogus, "teamtailor_signature": partners(number)}

    assert not verified(body, settings={"accept_v1": True}, **signed)


def test_keys_that_could_never_verify():
    assert adapter.unusable([KEY], []) is None
    assert adapter.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert adapter.unusable([], ["whpk_x"]) == "Teamtailor signs with a shared secret only"


# ---- deliveries -----------------------------------------------------------------------------


def read(body, *, signed=True):
    raw = body if isinstance(body, bytes) else compact(body)
    headers = {"tt_signature": v2(raw)} if signed else {"tt_signature": v1("31")}
    return adapter.read(incoming(raw, NOW, **headers), view())


@pytest.mark.parametrize("name", ["job_application_update", "job_application_update_kebab"])
def test_an_update_only_says_what_to_read(name):
    reading = read(sample(name))

    assert list(reading.events) == []
    assert reading.lookup == Lookup({"kind": "application", "application_id": "4711"})
    assert reading.provider_event == "job_application.update"


def test_a_signed_deletion_counts_by_itself():
    reading = read(sample("candidate_destroy"))

    assert len(reading.events) == 1
    event = reading.events[0]
    assert event["type"] == "candidate.deleted"
    assert event["candidate"]["external_id"] == "31"
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": []}
    assert event["dedupe_key"] == "teamtailor:ats_1:candidate.deleted:31:deleted"
    assert event["holds"] == []


def test_a_deletion_under_a_weaker_signature_is_a_hint():
    reading = read(sample("candidate_destroy"), signed=False)

    assert list(reading.events) == []
    assert reading.lookup == Lookup({"kind": "deletion", "candidate_id": "31"})


def test_a_partner_s_trigger_names_the_person_and_the_job():
    about = {"kind": "application", "candidate_id": "31", "job_id": "88"}

    assert read(sample("partner_event")).lookup == Lookup(about)


@pytest.mark.parametrize(
    "name", ["job_application_destroy", "job_application_create", "candidate_update"]
)
def test_other_events_mean_nothing(name):
    reading = read(sample(name))

    assert (list(reading.events), reading.lookup) == ([], None)
    assert reading.provider_event == sample(name)["payload"]["event_name"]


@pytest.mark.parametrize(("body", "code"), [
    (b"", "not_json"), (b"[]", "not_an_object"), ({}, "payload_missing"),
    ({"payload": []}, "payload_malformed"), ({"payload": {}}, "event_name_missing"),
    ({"payload": {"event_name": 3}}, "event_name_malformed"),
    ({"payload": {"event_name": "candidate.destroy"}}, "data_missing"),
    ({"payload": {"event_name": "candidate.destroy", "data": {}}}, "id_missing"),
    ({"payload": {"event_name": "candidate.destroy", "data": {"id": True}}}, "id_malformed"),
    ({"payload": {"event_name": "job_application.update", "data": {"id": "../jobs"}}},
     "id_malformed"),
    ({"payload": {"event_name": "job_application.update", "data": {"id": "1?x=2"}}},
     "id_malformed"),
    ({"partner-event": 3}, "partner_event_malformed"),
    ({"partner-event": {"candidate": {"job": {}}}}, "candidate_id_missing"),
])  # fmt: skip
def test_what_cannot_be_understood(body, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(body)


# ---- what the API says ----------------------------------------------------------------------


def facts(change=None, document=None):
    told = copy.deepcopy(document or sample("api/job_application"))
    if change:
        change(told)
    found = vendor._facts(told)[0]
    return json.loads(json.dumps(found))


def set_attribute(kind, **values):
    def change(document):
        everything = [document["data"], *document["included"]]
        next(one for one in everything if one["type"] == kind)["attributes"].update(
            {name.replace("_", "-"): value for name, value in values.items()}
        )

    return change


def understood(told, body=b"", event="job_application.update", **settings):
    return vendor.understand(told, incoming(body, NOW), view(settings=settings), event)


def only(told, **more):
    reading = understood(told, **more)

    assert len(reading.events) == 1
    return reading.events[0]


def test_a_rejection_with_all_its_fields():
    told = {**facts(), "places": {
        "department": {"attributes": {"name": "営業部"}},
        "location": {"attributes": {"city": "東京都千代田区"}},
    }}  # fmt: skip
    reading = understood(told, BODY)

    assert reading.as_of == datetime(2026, 10, 1, 8, 0, 2, tzinfo=UTC)
    assert (reading.states, reading.undated) == (False, False)
    assert list(reading.events) == [{
        "type": "application.rejected",
        "schema_version": "1",
        "provider": "teamtailor",
        "connection_id": "ats_1",
        "provider_event": "job_application.update",
        "provider_event_id": None,
        "dedupe_key": "teamtailor:ats_1:application.rejected:4711:2026-10-01T08:00:00Z",
        "supersedes": None,
        "occurred_at": "2026-10-01T08:00:00Z",
        "received_at": "2026-10-01T09:00:00Z",
        "application": {
            "external_id": "4711", "url": None, "status": "rejected",
            "applied_at": "2026-09-01T10:00:00Z", "stage": {"id": "5", "name": "二次面接"},
            "source": "自社採用サイト", "custom_fields": {},
        },
        "candidate": {
            "external_id": "31", "display_name": "花子 試験", "given_name": "花子",
            "family_name": "試験",
            "emails": [
                {"value": "Hanako.Shiken@mail.example", "type": "unknown", "primary": False}
            ],
            "primary_email": "Hanako.Shiken@mail.example",
            "phones": [{"value": "+81 90-1234-5678", "type": None}],
            "url": None, "tags": ["海外営業", "TOEIC 800"], "is_private": False,
            "is_internal": False, "can_email": None, "is_anonymized": False,
            "merged_into_external_id": None,
        },
        "job": {
            "external_id": "88", "title": "法人営業", "department": "営業部",
            "location": "東京都千代田区", "requisition_id": None, "confidential": False,
        },
        "rejection": {
            "initiated_by": "company", "reason_id": "14",
            "reason_text": "経験が求める水準と異なる",
            "reason_type_raw": "rejected-by-company",
            "rejected_at": "2026-10-01T08:00:00Z", "not_before": "2026-10-03T07:00:00Z",
        },
        "interview": None, "deletion": None, "attachments": [], "enrichment": "complete",
        "holds": ["not_before"],
    }]  # fmt: skip


def test_the_time_before_which_nobody_may_be_told_is_the_later_of_both():
    name = "transparent_recruiting_visible_at"
    early = facts(set_attribute("job-applications", **{name: "2026-10-02T00:00:00Z"}))
    past = facts(set_attribute("job-applications", **{name: "2026-09-30T00:00:00Z"}))
    kebab = compact(sample("job_application_update_kebab"))

    assert only(early)["rejection"]["not_before"] == "2026-10-02T00:00:00Z"
    assert only(early, body=kebab)["rejection"]["not_before"] == "2026-10-03T07:00:00Z"
    assert only(past)["holds"] == []
    assert only(past)["rejection"]["not_before"] == "2026-09-30T00:00:00Z"


def test_not_by_the_company_is_a_withdrawal():
    event = only(facts(set_attribute("reject-reasons", rejected_by_company=False)))

    assert event["type"] == "application.withdrawn"
    assert event["application"]["status"] == "withdrawn"
    assert event["rejection"]["initiated_by"] == "candidate"
    assert event["holds"] == []


def without_reason(document):
    document["data"]["relationships"]["reject-reason"] = {"data": None}


def test_without_a_reason_nobody_knows():
    event = only(facts(without_reason))

    assert event["type"] == "application.rejected"
    assert event["rejection"]["initiated_by"] == "unknown"
    assert event["rejection"]["reason_id"] is None
    assert event["holds"] == ["reason_unclassified"]


def test_a_reason_that_does_not_say_is_left_to_the_tenant_s_map():
    unsaid = facts(set_attribute("reject-reasons", rejected_by_company=None))

    assert only(unsaid)["rejection"]["initiated_by"] == "unknown"
    assert only(unsaid, reason_map={"14": "candidate"})["type"] == "application.withdrawn"
    hired = only(unsaid, reason_map={"14": "hired"})
    assert (hired["type"], hired["rejection"]) == ("application.hired", None)
    assert only(facts(), reason_map={"14": "candidate"})["type"] == "application.rejected"


def test_an_application_that_goes_on():
    reading = understood(facts(set_attribute("job-applications", rejected_at=None)))

    assert [one["type"] for one in reading.events] == ["application.rejection_reverted"]
    assert reading.events[0]["occurred_at"] == "2026-10-01T08:00:02Z"
    assert reading.events[0]["rejection"] is None
    assert reading.states is True


def test_without_the_time_of_the_last_change_an_end_has_its_own():
    def change(document):
        for one in [document["data"], *document["included"]]:
            one["attributes"].pop("updated-at", None)

    reading, dated = understood(facts(change)), understood(facts())
    assert list(reading.events) == list(dated.events)
    assert reading.as_of == NOW

    def goes_on(document):
        change(document)
        set_attribute("job-applications", rejected_at=None)(document)

    reading = understood(facts(goes_on))
    assert [one["type"] for one in reading.events] == ["application.rejection_reverted"]
    assert (reading.events[0]["occurred_at"], reading.states) == ("2026-10-01T09:00:00Z", True)


def test_a_stage_of_the_kind_hired_is_a_hire():
    def change(document):
        set_attribute("job-applications", rejected_at=None)(document)
        set_attribute("stages", legacy_stage_type_name="Hired")(document)

    reading = understood(facts(change))

    assert [one["type"] for one in reading.events] == ["application.hired"]
    assert reading.events[0]["occurred_at"] == "2026-09-20T07:00:00Z"
    assert reading.states is True


@pytest.mark.parametrize(("kind", "values", "holds"), [
    ("candidates", {"internal": True}, ["internal_applicant"]),
    ("candidates", {"sourced": True}, ["prospect"]),
    ("job-applications", {"sourced": True}, ["prospect"]),
    ("candidates", {"restricted": True}, ["private_candidate"]),
    ("candidates", {"restricted_at": "2026-09-09T00:00:00Z"}, ["private_candidate"]),
    ("candidates", {"email": None}, ["no_email"]),
    ("candidates", {"email": "nobody@"}, ["no_email"]),
])  # fmt: skip
def test_holds(kind, values, holds):
    assert only(facts(set_attribute(kind, **values)))["holds"] == holds


def test_an_excluded_reason():
    event = only(facts(), excluded_reasons=["経験が求める水準と異なる"])

    assert event["holds"] == ["reason_excluded"]


def test_attributes_may_have_underscores():
    def change(document):
        for one in [document["data"], *document["included"]]:
            one["attributes"] = {k.replace("-", "_"): v for k, v in one["attributes"].items()}

    assert only(facts(change)) == only(facts())


def test_links_to_files_are_not_kept():
    assert "30-seconds" not in json.dumps(facts())


@pytest.mark.parametrize(("kind", "values", "code"), [
    ("job-applications", {"rejected_at": "2026-10-01T10:00:00"}, "rejected_at_malformed"),
    ("job-applications", {"rejected_at": 7}, "rejected_at_malformed"),
    ("job-applications", {"updated_at": "yesterday"}, "updated_at_malformed"),
    ("job-applications", {"sourced": "no"}, "sourced_malformed"),
    ("candidates", {"internal": 1}, "internal_malformed"),
    ("candidates", {"email": ["a@b.example"]}, "email_malformed"),
    ("candidates", {"restricted": "yes"}, "restricted_malformed"),
    ("reject-reasons", {"rejected_by_company": "yes"}, "rejected_by_company_malformed"),
    ("job-applications", {"transparent_recruiting_visible_at": "soon"}, "not_before_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(kind, values, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        only(facts(set_attribute(kind, **values)))


def test_an_application_to_nobody_is_not_understood():
    def change(document):
        document["included"] = document["included"][1:]

    with pytest.raises(Unreadable, match=r"^candidate_missing$"):
        only(facts(change))


@pytest.mark.parametrize(("kind", "values"), [
    ("candidates", {"tags": "x", "phone": 9}),
    ("jobs", {"title": 5}),
    ("stages", {"name": [], "legacy_stage_type_name": 4}),
    ("job-applications", {"referring_site": {}}),
])  # fmt: skip
def test_broken_decoration_keeps_nobody_waiting(kind, values):
    assert only(facts(set_attribute(kind, **values)))["type"] == "application.rejected"


# ---- calls ----------------------------------------------------------------------------------


def test_it_is_registered():
    assert ADAPTERS["teamtailor"] is adapter
    assert APIS["teamtailor"] is vendor
    assert timedelta(minutes=5) == vendor.POLL_EVERY


@pytest.mark.anyio
async def test_looking_up_an_application():
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/job-applications/4711", sample("api/job_application"))
        stub.lay("GET", "/v1/jobs/88", sample("api/job"))
        about = {"kind": "application", "application_id": "4711"}
        told = json.loads(json.dumps(await vendor.look_up(api, connection, about)))

    asked = stub.calls[0]
    assert asked.headers["authorization"] == "Token token=key-for-tests"
    assert asked.headers["x-api-version"] == "20240404"
    assert asked.headers["accept"] == "application/vnd.api+json"
    assert asked.query == {"include": ["candidate,job,stage,reject-reason"]}
    event = only(told)
    assert event["dedupe_key"].endswith("application.rejected:4711:2026-10-01T08:00:00Z")
    assert (event["job"]["department"], event["job"]["location"]) == ("営業部", "東京都千代田区")


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.anyio
async def test_without_the_job_s_extras_the_event_is_complete(status):
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/job-applications/4711", sample("api/job_application"))
        stub.lay("GET", "/v1/jobs/88", Said({}, status))
        about = {"kind": "application", "application_id": "4711"}
        told = await vendor.look_up(api, connection, about)

    assert only(told)["job"]["department"] is None


@pytest.mark.anyio
async def test_an_application_that_is_gone_says_nothing():
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        about = {"kind": "application", "application_id": "4711"}
        told = await vendor.look_up(api, connection, about)

    assert list(understood(told).events) == []


@pytest.mark.anyio
async def test_a_partner_s_hint_finds_the_application_for_its_job():
    other, mine = sample("api/job_application"), sample("api/job_application")
    other["data"].update(id="4000")
    other["data"]["relationships"]["job"] = {"data": {"type": "jobs", "id": "89"}}
    listed = {"data": [other["data"], mine["data"]], "included": mine["included"]}
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/candidates/31/job-applications", listed)
        about = read(sample("partner_event")).lookup.about
        told = await vendor.look_up(api, connection, about)

    assert only(told)["application"]["external_id"] == "4711"


@pytest.mark.parametrize(("answer", "deleted"), [
    (Said({}, 404), True), ({"data": {"id": "31", "type": "candidates"}}, False),
])  # fmt: skip
@pytest.mark.anyio
async def test_a_hinted_deletion_is_believed_when_the_person_is_gone(answer, deleted):
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/candidates/31", answer)
        about = {"kind": "deletion", "candidate_id": "31"}
        told = await vendor.look_up(api, connection, about)

    reading = understood(told, event="candidate.destroy")
    kinds = [one["dedupe_key"] for one in reading.events]
    assert kinds == ["teamtailor:ats_1:candidate.deleted:31:deleted"] * deleted


@pytest.mark.anyio
async def test_nothing_can_be_asked_about_interviews():
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        about = {"kind": "interviews", "application_id": "4711"}
        told = await vendor.look_up(api, connection, about)

    assert stub.calls == []
    assert list(understood(told).events) == []


@pytest.mark.anyio
async def test_polling_follows_the_pages_and_goes_on_where_it_was():
    first, second = sample("api/job_application"), sample("api/job_application")
    first["data"]["id"] = "4710"
    pages = [
        {"data": [first["data"], "?"], "included": first["included"], "links": {"next": "there"}},
        {"data": [second["data"]], "included": second["included"], "links": {}},
    ]
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/job-applications", *pages)
        stub.lay("GET", "/v1/jobs/88", sample("api/job"))
        one = await vendor.page(api, connection, WINDOW, None)
        two = await vendor.page(api, connection, WINDOW, json.loads(json.dumps(one.cursor)))

    asked = [call.query for call in stub.asked("/v1/job-applications")]
    assert asked == [
        {
            "filter[updated-at][from]": ["2026-10-01T08:00:00Z"],
            "include": ["candidate,job,stage,reject-reason"],
            "page[size]": ["30"], "page[number]": [number],
        }
        for number in ("1", "2")
    ]  # fmt: skip
    assert two.cursor is None
    assert [only(one.facts[0])["application"]["external_id"], len(one.facts)] == ["4710", 1]
    polled = only(two.facts[0], event="poll")
    assert polled["dedupe_key"] == only(facts())["dedupe_key"]
    assert polled["job"]["department"] == "営業部"


@pytest.mark.parametrize(("answer", "error"), [
    (Said({}, 429, {"retry-after": "7"}), VendorDown("api_busy")),
    (Said({}, 503), VendorDown("api_unavailable")),
    (Said({}, 401), VendorRefused("api_unauthorised")),
    (Said(raw=b"[]"), VendorDown("api_answer_unreadable")),
])  # fmt: skip
@pytest.mark.anyio
async def test_troubles_of_the_api_go_up(answer, error):
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/job-applications", answer)
        with pytest.raises(type(error), match=f"^{error}$") as caught:
            await vendor.page(api, connection, WINDOW, None)

    if str(error) == "api_busy":
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.anyio
async def test_without_a_key_nothing_is_asked():
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match=r"^setting_missing$"):
            async with api_of(vendor, stub, NOW, api_key=""):
                pass


@pytest.mark.anyio
async def test_words():
    more = {"data": [{"id": "17", "attributes": {"reason": "Compensation"}}], "links": {}}
    first = {**sample("api/reject_reasons"), "links": {"next": "there"}}
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/reject-reasons", first, more)
        found = await vendor.words(api, connection)

    assert found == [
        Word("reason", "14", "経験が求める水準と異なる", "company"),
        Word("reason", "15", "選考辞退", "candidate"),
        Word("reason", "16", "Withdrew", "candidate"),
        Word("reason", "17", "Compensation", None),
    ]


@pytest.mark.anyio
async def test_a_note_and_a_tag_beside_the_others():
    person = {"data": {"id": "31", "type": "candidates", "attributes": {"tags": ["海外営業"]}}}
    async with vendor_stub() as stub, api_of(vendor, stub, NOW, note_user_id="5") as found:
        stub.lay("GET", "/v1/job-applications/4711", sample("api/job_application"))
        stub.lay("GET", "/v1/candidates/31", person)
        stub.lay("PATCH", "/v1/candidates/31", {})
        stub.lay("POST", "/v1/notes", {})
        await vendor.write_back(*found, WriteBack("4711", None, "伝えました", "career-relay"))

    patched, noted = stub.calls[-2:]
    assert patched.json["data"] == {
        "id": "31", "type": "candidates", "attributes": {"tags": ["海外営業", "career-relay"]},
    }  # fmt: skip
    assert noted.headers["content-type"] == "application/vnd.api+json"
    assert noted.json["data"] == {
        "type": "notes",
        "attributes": {"note": "伝えました"},
        "relationships": {
            "candidate": {"data": {"type": "candidates", "id": "31"}},
            "user": {"data": {"type": "users", "id": "5"}},
        },
    }


@pytest.mark.anyio
async def test_a_tag_that_is_there_is_not_set_again():
    person = {"data": {"id": "31", "attributes": {"tags": ["career-relay"]}}}
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        stub.lay("GET", "/v1/candidates/31", person)
        stub.lay("POST", "/v1/notes", {})
        await vendor.write_back(api, connection, WriteBack("4711", "31", "n", "career-relay"))

    assert [call.method for call in stub.calls] == ["GET", "POST"]
    assert "user" not in stub.calls[1].json["data"]["relationships"]


@pytest.mark.anyio
async def test_a_note_for_nobody():
    async with vendor_stub() as stub, api_of(vendor, stub, NOW) as (api, connection):
        with pytest.raises(VendorMissing):
            await vendor.write_back(api, connection, WriteBack("1", None, "n", "t"))
