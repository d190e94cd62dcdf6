"""Zoho Recruit: a token and a hint; what counts is read."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from domain.ports import (
    Aside,
    ConnectionView,
    Incoming,
    Unreadable,
    VendorDown,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import zoho_recruit, zoho_recruit_api
from tests.deliveries import SAMPLES
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 4, 0, tzinfo=UTC)
POLLED = Incoming(b"", {}, NOW)
WINDOW = Window(NOW - timedelta(hours=4), NOW)
QUICK = SimpleNamespace(**{**vars(zoho_recruit_api), "PER_SECOND": 1000.0})
TOKEN = "zoho-token-for-tests"
APPLICATION, CANDIDATE = "850051000000588062", "850051000000588001"
JOB, INTERVIEW = "850051000000560065", "850051000000590001"
BASE = "/recruit/v2"
MAP = {"Rejected": "rejected", "辞退": "withdrawn", "Hired": "hired", "Associated": "active"}
KEY_OF_END = f"zoho-recruit:ats_1:application.rejected:{APPLICATION}:2026-06-02T00:41:07Z"


def body_of(name):
    return json.loads((SAMPLES / "zoho-recruit" / f"{name}.json").read_text())


def answer(name):
    return json.loads((SAMPLES / "zoho-recruit" / "api" / f"{name}.json").read_text())


def seen(*secrets, **settings):
    return ConnectionView(id="ats_1", secrets=secrets, settings=settings)


def delivery(body, query="", at=NOW):
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Incoming(raw, {}, at, path="/v1/ats/zoho-recruit/ats_1", query=query)


def form(**fields):
    return urlencode(fields).encode()


def read(body):
    return zoho_recruit.read(delivery(body), seen())


# ---- token ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [
    body_of("notification"), form(token=TOKEN, application_id=APPLICATION, status="Rejected"),
])  # fmt: skip
def test_the_token_in_the_body_is_any_of_ours(body):
    assert zoho_recruit.verify(delivery(body), seen("another-token-0000", TOKEN))
    assert not zoho_recruit.verify(delivery(body), seen("another-token-0000"))
    assert not zoho_recruit.verify(delivery(body), seen())


@pytest.mark.parametrize("at", range(len(TOKEN)))
def test_one_flipped_byte_of_the_token_is_refused(at):
    flipped = TOKEN[:at] + chr(ord(TOKEN[at]) ^ 1) + TOKEN[at + 1 :]

    assert not zoho_recruit.verify(delivery(form(token=flipped)), seen(TOKEN))
    assert not zoho_recruit.verify(delivery({"token": flipped}), seen(TOKEN))


def test_a_token_in_the_url_is_not_looked_at():
    body = form(application_id=APPLICATION)

    assert not zoho_recruit.verify(delivery(body, f"token={TOKEN}"), seen(TOKEN))


@pytest.mark.parametrize("body", [
    b"", b"{}", b"[]", b"null", b"\xff\xfe", b"{", b"token", b"token=", b"token=%ff",
    form(token=TOKEN) + b"&token=" + TOKEN.encode(),
    b'{"token": "' + TOKEN.encode() + b'", "token": "x"}',
    b'{"token": ["' + TOKEN.encode() + b'"]}', b'{"token": null}', b'{"token": 7}',
    b'{"token": "\\ud800"}', form(Token=TOKEN), b"&".join(b"a%d=1" % one for one in range(60)),
    b'{"token":' + b"[" * 100_000, TOKEN.encode(),
])  # fmt: skip
def test_a_body_without_one_token_is_refused(body):
    assert zoho_recruit.verify(delivery(body), seen(TOKEN, "")) is False


def test_a_body_written_anew_still_holds_since_only_the_token_counts():
    body = json.dumps(body_of("notification"), indent=3).encode()

    assert zoho_recruit.verify(delivery(body), seen(TOKEN))


def test_tokens_nobody_could_use():
    assert zoho_recruit.unusable([TOKEN], []) is None
    assert zoho_recruit.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert zoho_recruit.unusable([], ["k"]) == "Zoho Recruit signs with a shared secret only"


def test_the_same_form_again_is_another_hint():
    body = form(token=TOKEN, application_id=APPLICATION)
    later = delivery(body, at=NOW + timedelta(seconds=1))

    assert zoho_recruit.delivery_id(delivery(body)) != zoho_recruit.delivery_id(later)
    assert zoho_recruit.greet(later, seen()) is None


# ---- hints ----------------------------------------------------------------------------------


def test_a_notification_names_what_must_be_read():
    reading = read(body_of("notification"))

    assert (reading.provider_event, list(reading.events)) == ("Applications.update", [])
    assert reading.lookup.needed
    assert reading.lookup.about == {"kind": "applications", "ids": [APPLICATION]}


@pytest.mark.parametrize("name", ["application_id", "Application_Id", "applicationId", "id"])
def test_so_does_a_workflow_s_form_which_decides_nothing(name):
    reading = read(form(token=TOKEN, status="Rejected", **{name: APPLICATION}))

    assert (reading.provider_event, list(reading.events)) == ("workflow", [])
    assert reading.lookup.about == {"kind": "applications", "ids": [APPLICATION]}


@pytest.mark.parametrize(("module", "operation", "kind"), [
    ("Interviews", "insert", "interviews"), ("Interviews", "delete", "interviews"),
    ("Candidates", "delete", "candidates"), ("Candidates", "update", None),
    ("Applications", "delete", None), ("Job_Openings", "update", None),
])  # fmt: skip
def test_what_a_notification_is_about(module, operation, kind):
    body = {**body_of("notification"), "module": module, "operation": operation}
    lookup = read(body).lookup

    assert (lookup and lookup.about["kind"]) == kind


@pytest.mark.parametrize(("body", "code"), [
    ({"module": 7}, "module_malformed"),
    ({"module": "Applications"}, "ids_malformed"),
    ({"module": "Applications", "ids": []}, "ids_malformed"),
    ({"module": "Applications", "ids": "1"}, "ids_malformed"),
    ({"module": "Applications", "ids": ["1"] * 51}, "ids_malformed"),
    ({"module": "Applications", "ids": [None]}, "application_id_missing"),
    ({"module": "Applications", "ids": ["../Candidates"]}, "application_id_malformed"),
    ({"module": "Applications", "ids": ["１２"]}, "application_id_malformed"),
    ({"module": "Applications", "ids": [1.5]}, "application_id_malformed"),
    (form(token=TOKEN), "application_id_missing"),
    (form(token=TOKEN, application_id="1) or (1"), "application_id_malformed"),
    (b"", "not_a_form"), (b"\xff=1", "not_utf8"), (b"a=%ff", "not_utf8"),
    (b"id=1&id=2", "duplicate_key"), (b"{", "not_json"), (b"[]", "not_an_object"),
    (b"&".join(b"a%d=1" % one for one in range(60)), "not_a_form"),
])  # fmt: skip
def test_hints_that_name_nothing(body, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        read(body)


# ---- understanding --------------------------------------------------------------------------


def record(name, **changes):
    return {**answer(name)["data"][0], **changes}


def facts(candidate=None, **changes):
    return {
        "kind": "application", "application": record("application", **changes),
        "candidate": record("candidate") if candidate is None else candidate,
    }  # fmt: skip


def understood(found, **settings):
    known = {"status_map": MAP, **settings}
    return zoho_recruit_api.understand(found, POLLED, seen(**known), "poll")


def test_a_rejection_with_all_its_fields():
    reading = understood(facts())

    assert (reading.states, reading.undated) == (False, True)
    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 7, tzinfo=UTC)
    assert list(reading.events) == [{
        "type": "application.rejected", "schema_version": "1", "provider": "zoho-recruit",
        "connection_id": "ats_1", "provider_event": "poll", "provider_event_id": None,
        "dedupe_key": KEY_OF_END, "supersedes": None, "occurred_at": "2026-06-02T00:41:07Z",
        "received_at": "2026-06-02T04:00:00Z",
        "application": {
            "external_id": APPLICATION, "url": None, "status": "rejected",
            "applied_at": "2026-05-12T00:15:31Z", "stage": {"id": None, "name": "Rejected"},
            "source": "Career Site", "custom_fields": {},
        },
        "candidate": {
            "external_id": CANDIDATE, "display_name": "花子 試験", "given_name": "花子",
            "family_name": "試験",
            "emails": [
                {"value": "Hanako.Shiken@mail.example", "type": "unknown", "primary": False},
                {"value": "hanako2@mail.example", "type": "unknown", "primary": False},
            ],
            "primary_email": "Hanako.Shiken@mail.example",
            "phones": [{"value": "090-1234-5678", "type": "mobile"}], "url": None, "tags": [],
            "is_private": False, "is_internal": False, "can_email": True, "is_anonymized": False,
            "merged_into_external_id": None,
        },
        "job": {
            "external_id": JOB, "title": "法人営業", "department": "営業部", "location": None,
            "requisition_id": None, "confidential": False,
        },
        "rejection": {
            "initiated_by": "company", "reason_id": "Rejected", "reason_text": "Rejected",
            "reason_type_raw": None, "rejected_at": "2026-06-02T00:41:07Z", "not_before": None,
        },
        "interview": None, "deletion": None, "attachments": [], "enrichment": "complete",
        "holds": [],
    }]  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "initiator", "states"), [
    ("辞退", "application.withdrawn", "candidate", False),
    ("Hired", "application.hired", None, True),
    ("Associated", "application.rejection_reverted", None, True),
])  # fmt: skip
def test_the_status_map_says_what_a_status_means(status, kind, initiator, states):
    reading = understood(facts(Application_Status=status))
    event = reading.events[0]

    assert (event["type"], (event["rejection"] or {}).get("initiated_by")) == (kind, initiator)
    assert (reading.states, reading.undated) == (states, True)


def test_a_status_nobody_mapped_is_put_to_a_person():
    reading = understood(facts(), status_map={})

    assert list(reading.events) == []
    assert list(reading.unmapped) == [Word("status", "Rejected", "Rejected", "rejected")]


def test_who_opted_out_and_who_has_no_address():
    person = {"Email": None, "Secondary_Email": "", "Email_Opt_Out": True}
    event = understood(facts(record("candidate", **person))).events[0]

    assert event["holds"] == ["no_email", "can_email_false"]


def test_without_the_candidate_s_record_the_application_tells():
    event = understood(facts(candidate={})).events[0]

    assert event["candidate"]["primary_email"] == "Hanako.Shiken@mail.example"
    assert event["candidate"]["can_email"] is None


@pytest.mark.parametrize(("changes", "code"), [
    ({"id": None}, "application_id_missing"), ({"Application_Status": None}, "status_missing"),
    ({"Application_Status": 7}, "status_malformed"),
    ({"Updated_On": "2026-06-02T09:41:07"}, "updated_on_malformed"),
    ({"Updated_On": 7}, "updated_on_malformed"),
    ({"Created_Time": "yesterday"}, "created_time_malformed"),
    ({"$Candidate_Id": None}, "candidate_id_missing"),
    ({"$Candidate_Id": {"id": True}}, "candidate_id_missing"),
])  # fmt: skip
def test_what_decides_is_never_guessed(changes, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understood(facts(**changes))


@pytest.mark.parametrize(("changes", "code"), [
    ({"Email_Opt_Out": "no"}, "email_opt_out_malformed"),
    ({"Email": ["a@b.example"]}, "email_malformed"),
    ({"First_Name": "a\0"}, "first_name_malformed"),
])  # fmt: skip
def test_nor_about_the_person(changes, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understood(facts(record("candidate", **changes)))


def test_facts_of_nothing():
    with pytest.raises(Unreadable, match="application_missing"):
        understood({})
    with pytest.raises(Unreadable, match="candidate_ids_malformed"):
        understood({"kind": "gone"})


def interview(**changes):
    found = {"kind": "interviews", "application_id": APPLICATION,
             "interviews": [record("interview", **changes)]}  # fmt: skip
    return understood(found)


@pytest.mark.parametrize(("changes", "kind", "occurred_at"), [
    ({}, "interview.scheduled", "2026-06-01T03:00:00Z"),
    ({"Updated_On": None}, "interview.scheduled", "2026-06-02T04:00:00Z"),
    ({"Interview_Status": "Completed"}, "interview.completed", "2026-06-05T02:00:00Z"),
    ({"Start_DateTime": "2026-06-01T10:00:00+09:00", "End_DateTime": "2026-06-01T11:00:00+09:00"},
     "interview.completed", "2026-06-01T02:00:00Z"),
    ({"Start_DateTime": "2026-06-01T10:00:00+09:00", "End_DateTime": None},
     "interview.completed", "2026-06-01T01:00:00Z"),
])  # fmt: skip
def test_what_became_of_an_interview(changes, kind, occurred_at):
    reading = interview(**changes)
    event = reading.events[0]

    assert (event["type"], event["occurred_at"], reading.as_of) == (kind, occurred_at, NOW)
    assert event["interview"]["external_id"] == INTERVIEW
    assert event["application"]["external_id"] == APPLICATION


@pytest.mark.parametrize("status", ["Cancelled", "Interview Canceled", "No-Show", "No show"])
def test_an_interview_that_did_not_take_place(status):
    reading = interview(Interview_Status=status)

    assert (list(reading.events), list(reading.asides)) == (
        [], [Aside("interview_off", INTERVIEW)],
    )  # fmt: skip


# ---- the API --------------------------------------------------------------------------------


async def asked(stub, work, **more):
    known = {"api_key": "client-1:secret-1:refresh-1", "status_map": MAP, **more}
    stub.lay("POST", "/oauth/v2/token", {"access_token": "access-1", "expires_in": 3600})
    async with api_of(QUICK, stub, NOW, **known) as (api, connection):
        return await work(api, connection)


def lay(stub, **changes):
    stub.lay(
        "GET", f"{BASE}/Applications/{APPLICATION}", {"data": [record("application", **changes)]}
    )
    stub.lay("GET", f"{BASE}/Candidates/{CANDIDATE}", answer("candidate"))
    stub.lay("GET", f"{BASE}/Interviews/{INTERVIEW}", answer("interview"))


def looked_up(about):
    return lambda api, at: zoho_recruit_api.look_up(api, at, about)


@pytest.mark.anyio
async def test_a_refresh_token_becomes_an_access_token_and_the_application_is_read():
    async with vendor_stub() as stub:
        lay(stub)
        found = await asked(stub, looked_up(read(body_of("notification")).lookup.about))

    assert stub.calls[0].form == {
        "grant_type": ["refresh_token"], "client_id": ["client-1"],
        "client_secret": ["secret-1"], "refresh_token": ["refresh-1"],
    }  # fmt: skip
    assert stub.calls[0].query == {}
    assert stub.calls[1].headers["authorization"] == "Zoho-oauthtoken access-1"
    reading = understood(json.loads(json.dumps(found)))
    assert [event["dedupe_key"] for event in reading.events] == [KEY_OF_END]
    assert reading.undated


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "error"), [
    ({"error": "invalid_code"}, VendorRefused), (Said(status=400), VendorRefused),
    ([], VendorRefused), (Said(status=500), VendorDown),
])  # fmt: skip
async def test_a_refresh_token_that_was_revoked(said, error):
    async with vendor_stub() as stub:
        stub.lay("POST", "/oauth/v2/token", said)
        with pytest.raises(error):
            async with api_of(QUICK, stub, NOW, api_key="a:b:c"):
                pass


@pytest.mark.anyio
@pytest.mark.parametrize(("settings", "code"), [
    ({"api_key": None}, "setting_missing"), ({"api_key": "a:b"}, "setting_missing"),
    ({"api_key": "a::c"}, "setting_missing"), ({"region": "evil.example/"}, "setting_malformed"),
])  # fmt: skip
async def test_settings_that_are_needed(settings, code):
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match=code):
            await asked(stub, zoho_recruit_api.words, **settings)


@pytest.mark.parametrize(("settings", "accounts", "there"), [
    ({}, "https://accounts.zoho.com", "Applications"),
    ({"region": "jp"}, "https://accounts.zoho.jp",
     "https://recruit.zoho.jp/recruit/v2/Applications"),
    ({"region": "jp", "api_base": "https://zoho.test/x"}, "https://zoho.test", "Applications"),
])  # fmt: skip
def test_where_a_data_centre_is(settings, accounts, there):
    connection = seen(**settings)

    assert zoho_recruit_api._accounts(connection) == accounts
    assert zoho_recruit_api._at(connection, "Applications") == there
    if "api_base" not in settings:
        assert accounts in zoho_recruit_api.HOSTS
        assert accounts.replace("accounts", "recruit") in zoho_recruit_api.HOSTS


@pytest.mark.anyio
async def test_what_goes_on_costs_one_call():
    async with vendor_stub() as stub:
        lay(stub, Application_Status="Associated")
        await asked(stub, looked_up({"kind": "applications", "ids": [APPLICATION]}))

    assert len(stub.calls) == 2


@pytest.mark.anyio
async def test_an_application_that_is_gone_says_nothing():
    async with vendor_stub() as stub:
        stub.lay("GET", f"{BASE}/Applications/{APPLICATION}", Said(status=204, raw=b""))
        found = await asked(stub, looked_up({"kind": "applications", "ids": [APPLICATION, "404"]}))

    reading = understood(found)
    assert (list(reading.events), list(reading.asides)) == ([], [])


@pytest.mark.anyio
async def test_a_deletion_is_believed_only_if_the_candidate_is_gone():
    about = read(body_of("notification_candidate_deleted")).lookup.about
    async with vendor_stub() as stub:
        there = await asked(stub, looked_up(about))
        lay(stub)
        alive = await asked(stub, looked_up(about))

    event = understood(there).events[0]
    assert event["dedupe_key"] == f"zoho-recruit:ats_1:candidate.deleted:{CANDIDATE}:deleted"
    assert event["deletion"] == {"kind": "deleted", "application_external_ids": []}
    assert event["holds"] == []
    assert list(understood(alive).events) == []


@pytest.mark.anyio
async def test_an_interview_leads_to_its_application():
    about = read(body_of("notification_interview")).lookup.about
    async with vendor_stub() as stub:
        lay(stub)
        stub.lay("GET", f"{BASE}/Applications/search", answer("application"))
        found = await asked(stub, looked_up(about))
        stub.lay("GET", f"{BASE}/Interviews/{INTERVIEW}", Said(status=404))
        gone = await asked(stub, looked_up(about))

    assert stub.asked(f"{BASE}/Applications/search")[0].query["criteria"] == [
        f"(($Candidate_Id:equals:{CANDIDATE})and($Job_Opening_Id:equals:{JOB}))"
    ]
    assert understood(found).events[0]["dedupe_key"] == (
        f"zoho-recruit:ats_1:interview.scheduled:{APPLICATION}:2026-06-05T01:00:00Z"
    )
    assert list(understood(gone).asides) == [Aside("interview_off", INTERVIEW)]


@pytest.mark.anyio
async def test_interviews_of_an_application_are_those_for_its_job():
    other = record("interview", id="2", Posting_Title={"id": "7", "name": "x"})
    async with vendor_stub() as stub:
        lay(stub)
        stub.lay(
            "GET",
            f"{BASE}/Interviews/search",
            {"data": [record("interview")], "info": {"more_records": True}},
            {"data": [other, record("interview", id="3")], "info": {"more_records": False}},
        )
        about = {"kind": "interviews", "application_id": APPLICATION}
        found = await asked(stub, looked_up(about))

    assert [one["interview"]["external_id"] for one in understood(found).events] == [INTERVIEW, "3"]
    calls = stub.asked(f"{BASE}/Interviews/search")
    assert [call.query["page"] for call in calls] == [["1"], ["2"]]
    assert calls[0].query["criteria"] == [f"(Candidate_Name:equals:{CANDIDATE})"]


@pytest.mark.anyio
async def test_a_poll_reads_down_to_the_window_and_resumes_at_any_page():
    old = record("application", id="9", Updated_On="2026-06-01T00:00:00+09:00")
    more = {"more_records": True}
    async with vendor_stub() as stub:
        lay(stub)
        stub.lay(
            "GET",
            f"{BASE}/Applications",
            {"data": [record("application")], "info": more},
            {"data": [record("application", id="8"), old], "info": more},
        )
        stub.lay(
            "GET",
            f"{BASE}/Interviews",
            {"data": [record("interview", Updated_On="2026-06-02T12:00:00+09:00")]},
        )
        stub.lay("GET", f"{BASE}/Applications/search", answer("application"))
        cursor, found, cursors = None, [], []
        for _ in range(9):
            page = await asked(
                stub, lambda api, at, c=cursor: zoho_recruit_api.page(api, at, WINDOW, c)
            )
            found += json.loads(json.dumps(page.facts))
            cursor = json.loads(json.dumps(page.cursor))
            if cursor is None:
                break
            cursors.append(cursor)

    assert cursors == [{"part": "Applications", "page": 2}, {"part": "Interviews"}]
    keys = [event["dedupe_key"] for one in found for event in understood(one).events]
    assert keys == [
        KEY_OF_END, KEY_OF_END.replace(APPLICATION, "8"),
        f"zoho-recruit:ats_1:interview.scheduled:{APPLICATION}:2026-06-05T01:00:00Z",
    ]  # fmt: skip
    first = stub.asked(f"{BASE}/Applications")[0]
    assert (first.query["sort_by"], first.query["sort_order"]) == (["Updated_On"], ["desc"])
    assert stub.asked(f"{BASE}/actions/watch") == []


@pytest.mark.anyio
@pytest.mark.parametrize("said", [{"watch": [{"status": "success"}]}, Said(status=400)])
async def test_each_poll_renews_the_channel_and_goes_on_if_it_cannot(said):
    async with vendor_stub() as stub:
        stub.lay("PATCH", f"{BASE}/actions/watch", said)
        stub.lay("GET", f"{BASE}/Applications", Said(status=204, raw=b""))
        page = await asked(
            stub, lambda api, at: zoho_recruit_api.page(api, at, WINDOW, None),
            channel_id="1000000068001",
        )  # fmt: skip

    assert (page.facts, page.cursor) == ([], {"part": "Interviews"})
    assert stub.asked(f"{BASE}/actions/watch")[0].json == {"watch": [{
        "channel_id": "1000000068001",
        "events": ["Applications.edit", "Candidates.delete", "Interviews.all"],
        "channel_expiry": "2026-06-03T03:00:00+00:00",
    }]}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "error"), [
    (Said(status=429, headers={"retry-after": "30"}), VendorDown), (Said(status=503), VendorDown),
    (Said(status=401), VendorRefused), (Said({"data": "x"}), VendorDown),
    (Said({"data": [7]}), VendorDown), (Said([]), VendorDown),
])  # fmt: skip
async def test_answers_that_are_none(said, error):
    async with vendor_stub() as stub:
        stub.lay("GET", f"{BASE}/Applications", said)
        with pytest.raises(error) as raised:
            await asked(stub, lambda api, at: zoho_recruit_api.page(api, at, WINDOW, None))

    if said.status == 429:
        assert raised.value.retry_after == timedelta(seconds=30)


@pytest.mark.anyio
async def test_words_are_the_values_of_the_field():
    async with vendor_stub() as stub:
        stub.lay("GET", f"{BASE}/settings/fields", answer("fields"))
        found = await asked(stub, zoho_recruit_api.words)

    assert [(one.kind, one.id, one.suggestion) for one in found] == [
        ("status", "Rejected", "rejected"), ("status", "辞退", "withdrawn"),
        ("status", "Hired", "hired"),
    ]  # fmt: skip
    assert stub.calls[1].query == {"module": ["Applications"]}


@pytest.mark.anyio
@pytest.mark.parametrize("listed", [None, True, 7, "x", {}, [7]])
async def test_a_field_without_values_has_no_words(listed):
    told = answer("fields")
    for one in told["fields"]:
        one["pick_list_values"] = listed
    async with vendor_stub() as stub:
        stub.lay("GET", f"{BASE}/settings/fields", told)
        assert await asked(stub, zoho_recruit_api.words) == []


@pytest.mark.anyio
async def test_a_tag_and_a_note():
    told = WriteBack(APPLICATION, CANDIDATE, "Consent was given.", "career-relay")
    async with vendor_stub() as stub:
        stub.lay("POST", f"{BASE}/Candidates/{CANDIDATE}/actions/add_tags", {"data": []})
        stub.lay("POST", f"{BASE}/Applications/{APPLICATION}/Notes", Said({"data": []}, 201))
        await asked(stub, lambda api, at: zoho_recruit_api.write_back(api, at, told))

    assert stub.calls[1].query == {"tag_names": ["career-relay"]}
    assert stub.calls[2].json == {
        "data": [{"Note_Title": "career-relay", "Note_Content": "Consent was given."}]
    }
