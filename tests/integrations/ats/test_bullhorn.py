"""Bullhorn: signing in, a queue that forgets what it gave out, statuses only the customer knows."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ports import (
    Aside,
    Incoming,
    Unreadable,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import APIS, bullhorn, bullhorn_api
from tests.deliveries import SAMPLES, view
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
WINDOW = Window(since=NOW - timedelta(hours=2), until=NOW)
FULL = Window(since=NOW - timedelta(days=30), until=NOW, full=True)
FAST = SimpleNamespace(**{**vars(bullhorn_api), "PER_SECOND": 1000.0})
KEY = "client-1:secret-1:api.user:pass:with:colons"
MAP = {
    "New Lead": "active", "Interview Scheduled": "active", "Rejected by us": "rejected",
    "Client Rejected": "rejected", "Candidate Withdrew": "withdrawn", "Placed": "hired",
}  # fmt: skip
REST = "/rest-services/e999"
QUEUE = f"{REST}/event/subscription/CareerRelay-ats_1"


def answer(name):
    return json.loads((SAMPLES / "bullhorn" / "api" / f"{name}.json").read_text())


def submission(**changes):
    return {**answer("submission")["data"], **changes}


def history(*rows):
    return [{"id": at, "status": status, "dateAdded": when} for at, (status, when) in
            enumerate(rows)]  # fmt: skip


def facts(**changes):
    told = [one for one in answer("history")["data"] if one["jobSubmission"]["id"] == 501]
    return {"kind": "application", "submission": submission(**changes), "history": told}


def understand(told, *, known=None, **more):
    told = json.loads(json.dumps(told))
    tenant = {"status_map": MAP if known is None else known, **more}
    return APIS["bullhorn"].understand(told, Incoming(b"", {}, NOW), view(settings=tenant), "poll")


def only(told, **more):
    events = understand(told, **more).events

    assert len(events) == 1
    return events[0]


# ---- what a submission says -----------------------------------------------------------------


def test_a_rejection_with_all_its_fields():
    reading = understand(facts())

    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 7, 412000, tzinfo=UTC)
    assert (reading.states, reading.undated) == (False, False)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "bullhorn",
            "connection_id": "ats_1",
            "provider_event": "poll",
            "provider_event_id": None,
            "dedupe_key": "bullhorn:ats_1:application.rejected:501:2026-06-02T00:40:00.500000Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:40:00.500000Z",
            "received_at": "2026-06-02T01:00:00Z",
            "application": {
                "external_id": "501",
                "url": None,
                "status": "rejected",
                "applied_at": "2026-05-01T00:00:00Z",
                "stage": {"id": None, "name": "Client Rejected"},
                "source": "Web",
                "custom_fields": {},
            },
            "candidate": {
                "external_id": "31",
                "display_name": "Hanako Shiken",
                "given_name": "Hanako",
                "family_name": "Shiken",
                "emails": [
                    {"value": "hanako@mail.example", "type": "unknown", "primary": True},
                    {"value": "hanako@work.example", "type": "unknown", "primary": False},
                ],
                "primary_email": "hanako@mail.example",
                "phones": [
                    {"value": "090-1234-5678", "type": "mobile"},
                    {"value": "03-1234-5678", "type": "home"},
                ],
                "url": None,
                "tags": [],
                "is_private": False,
                "is_internal": False,
                "can_email": True,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "204",
                "title": "Account Executive",
                "department": None,
                "location": "Tokyo",
                "requisition_id": "REQ-7",
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": "Client Rejected",
                "reason_text": "Client Rejected",
                "reason_type_raw": None,
                "rejected_at": "2026-06-02T00:40:00.500000Z",
                "not_before": None,
            },
            "interview": None,
            "deletion": None,
            "attachments": [],
            "enrichment": "complete",
            "holds": [],
        }
    ]


@pytest.mark.parametrize(("meaning", "kind", "initiator", "states"), [
    ("rejected", "application.rejected", "company", False),
    ("withdrawn", "application.withdrawn", "candidate", False),
    ("hired", "application.hired", None, True),
    ("active", "application.rejection_reverted", None, True),
])  # fmt: skip
def test_the_status_map_decides(meaning, kind, initiator, states):
    reading = understand(facts(), known={"Client Rejected": meaning})
    event = reading.events[0]

    assert (event["type"], reading.states) == (kind, states)
    assert (event["rejection"] or {}).get("initiated_by") == initiator
    assert event["occurred_at"] == "2026-06-02T00:41:07Z"


@pytest.mark.parametrize(("status", "suggestion"), [
    ("Client Rejected", "rejected"), ("Candidate Withdrew", "withdrawn"),
    ("Interview Scheduled", "active"), ("Stage 3", None),
])  # fmt: skip
def test_a_status_without_a_meaning_is_asked_about(status, suggestion):
    reading = understand(facts(status=status), known={})

    assert list(reading.events) == []
    assert list(reading.unmapped) == [Word("status", status, status, suggestion)]


def test_two_statuses_for_rejected_are_one_end():
    earlier = {**facts(status="Rejected by us"), "history": facts()["history"][:3]}

    assert only(earlier)["dedupe_key"] == only(facts())["dedupe_key"]


def test_back_and_rejected_again_is_another_end():
    rows = [("Client Rejected", 1_780_000_000_000), ("New Lead", 1_780_000_100_000),
            ("Client Rejected", 1_780_000_200_000)]  # fmt: skip
    again = only({**facts(), "history": history(*rows)})
    back = only({**facts(status="New Lead"), "history": history(*rows[:2])})
    first = only({**facts(), "history": history(*rows[:1])})

    assert again["occurred_at"] == "2026-05-28T20:30:00Z"
    assert (back["type"], back["occurred_at"]) == (
        "application.rejection_reverted", "2026-05-28T20:28:20Z",
    )  # fmt: skip
    assert first["dedupe_key"] != again["dedupe_key"]


@pytest.mark.parametrize("rows", [[], [("New Lead", 1_780_000_000_000)]])
def test_an_end_the_history_does_not_have_says_so(rows):
    reading = understand({**facts(), "history": history(*rows)})

    assert reading.undated is True
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:41:07.412000Z"
    assert reading.events[0]["rejection"]["rejected_at"] is None


def test_a_removed_submission_means_nothing():
    assert list(understand(facts(isDeleted=True)).events) == []


def person(**changes):
    return {"candidate": {**submission()["candidate"], **changes}}


def test_what_we_may_not_see_is_left_out():
    hidden = dict.fromkeys(("name", "firstName", "email", "mobile", "phone"), "**CONFIDENTIAL**")
    told = only(facts(**person(**hidden)))

    assert (told["candidate"]["display_name"], told["candidate"]["given_name"]) == ("Shiken", None)
    assert [one["value"] for one in told["candidate"]["emails"]] == ["hanako@work.example"]
    assert told["candidate"]["phones"] == []


def test_no_address_and_no_mass_mail_are_holds():
    nothing = {"email": None, "email2": "", "email3": None, "massMailOptOut": True}

    assert only(facts(**person(**nothing)))["holds"] == ["no_email", "can_email_false"]


@pytest.mark.parametrize(("change", "code"), [
    ({"id": None}, "application_id_missing"),
    ({"id": True}, "application_id_malformed"),
    ({"status": None}, "status_missing"),
    ({"status": 3}, "status_malformed"),
    ({"isDeleted": "no"}, "is_deleted_malformed"),
    ({"dateLastModified": None}, "date_last_modified_missing"),
    ({"dateLastModified": "2026-06-02"}, "date_last_modified_malformed"),
    ({"dateAdded": 10**30, "dateWebResponse": None}, "date_added_malformed"),
    ({"candidate": None}, "candidate_missing"),
    ({"candidate": {"id": None}}, "candidate_id_missing"),
    ({"candidate": {"id": 1, "massMailOptOut": 1}}, "mass_mail_opt_out_malformed"),
    ({"jobOrder": "x"}, "job_malformed"),
    ({"jobOrder": {"title": "x"}}, "job_id_missing"),
])  # fmt: skip
def test_what_decides_is_never_guessed(change, code):
    with pytest.raises(Unreadable, match=rf"^{code}$"):
        understand(facts(**change))


@pytest.mark.parametrize("rows", [[{"status": "x"}], [{"status": 3, "dateAdded": 1}], [3], "x"])
def test_a_malformed_history_is_not_guessed_at(rows):
    with pytest.raises(Unreadable):
        understand({**facts(), "history": rows})


def test_a_person_who_is_gone():
    listed = answer("candidates_gone")["data"]
    deleted, anonymized = (only({"kind": "person", "candidate": one}) for one in listed)

    assert (deleted["type"], anonymized["type"]) == ("candidate.deleted", "candidate.deleted")
    assert deleted["deletion"] == {"kind": "deleted", "application_external_ids": []}
    assert deleted["dedupe_key"] == "bullhorn:ats_1:candidate.deleted:41:deleted"
    assert deleted["occurred_at"] == "2026-06-01T00:00:00Z"
    assert deleted["holds"] == []
    assert anonymized["dedupe_key"] == "bullhorn:ats_1:candidate.deleted:42:anonymized"
    assert anonymized["candidate"]["is_anonymized"] is True


def test_somebody_who_is_still_there_is_not():
    told = {"kind": "person", "candidate": {"id": 41, "isDeleted": False, "isAnonymized": None}}

    assert list(understand(told).events) == []


# ---- interviews -----------------------------------------------------------------------------


def interviews(**changes):
    told = {"about": {"application_id": "501"}, "submission": submission()}
    return {"kind": "interviews", **told, "appointments": answer("appointments")["data"], **changes}


def test_appointments_that_are_interviews():
    reading = understand(interviews())

    assert [
        (one["type"], one["interview"], one["occurred_at"], one["dedupe_key"])
        for one in reading.events
    ] == [
        (
            "interview.completed",
            {"external_id": "801", "starts_at": "2026-05-20T01:00:00Z",
             "ends_at": "2026-05-20T02:00:00Z", "all_day": False, "status": "completed"},
            "2026-05-20T02:00:00Z",
            "bullhorn:ats_1:interview.completed:501:2026-05-20T01:00:00Z",
        ),
        (
            "interview.scheduled",
            {"external_id": "802", "starts_at": "2026-06-05T01:00:00Z",
             "ends_at": "2026-06-05T02:00:00Z", "all_day": False, "status": "scheduled"},
            "2026-05-13T00:00:00Z",
            "bullhorn:ats_1:interview.scheduled:501:2026-06-05T01:00:00Z",
        ),
    ]  # fmt: skip
    assert list(reading.asides) == [Aside("interview_off", "803")]
    assert reading.as_of == NOW
    assert list(understand(interviews(submission=None)).events) == []


@pytest.mark.parametrize(("change", "code"), [
    ({"id": None}, "interview_id_missing"),
    ({"dateBegin": None}, "date_begin_missing"),
    ({"dateBegin": "x"}, "date_begin_malformed"),
    ({"isAllDay": 1}, "is_all_day_malformed"),
])  # fmt: skip
def test_an_interview_s_number_and_time_are_never_guessed(change, code):
    one = {**answer("appointments")["data"][0], **change}
    with pytest.raises(Unreadable, match=rf"^{code}$"):
        understand(interviews(appointments=[one]))


# ---- signing in -----------------------------------------------------------------------------


def open_doors(stub, **told):
    """Data centre, authorisation and session, as the vendor gives them."""
    centre = {"oauthUrl": f"{stub.base}/oauth", "restUrl": f"{stub.base}/rest-services"}
    stub.lay("GET", "/rest-services/loginInfo", told.get("centre", centre))
    back = {"location": "https://relay.example/back?code=c%3A1&client_id=client-1"}
    stub.lay("POST", "/oauth/authorize", told.get("code", Said(None, 302, back)))
    stub.lay("POST", "/oauth/token", told.get("token", {"access_token": "t-1", "expires_in": 600}))
    session = {"BhRestToken": "bh-1", "restUrl": f"{stub.base}{REST}/"}
    stub.lay("POST", "/rest-services/login", told.get("session", session))


def calls_after(stub, doors=4):
    return [(one.method, one.path.removeprefix(REST)) for one in stub.calls[doors:]]


@pytest.mark.anyio
async def test_signing_in_takes_four_steps_and_names_the_customer_s_server():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, _):
            stub.lay("GET", f"{REST}/ping", {"sessionExpires": 1})
            await api.get("ping")

    assert [(one.method, one.path) for one in stub.calls] == [
        ("GET", "/rest-services/loginInfo"), ("POST", "/oauth/authorize"), ("POST", "/oauth/token"),
        ("POST", "/rest-services/login"), ("GET", f"{REST}/ping"),
    ]  # fmt: skip
    assert stub.calls[0].query == {"username": ["api.user"]}
    assert stub.calls[1].form == {
        "client_id": ["client-1"], "response_type": ["code"], "action": ["Login"],
        "username": ["api.user"], "password": ["pass:with:colons"],
    }  # fmt: skip
    assert stub.calls[2].form == {
        "grant_type": ["authorization_code"], "code": ["c:1"], "client_id": ["client-1"],
        "client_secret": ["secret-1"],
    }  # fmt: skip
    assert stub.calls[3].query == {"version": ["*"], "ttl": ["10"], "access_token": ["t-1"]}
    assert stub.calls[4].headers["bhresttoken"] == "bh-1"


@pytest.mark.anyio
@pytest.mark.parametrize(("told", "code"), [
    ({"code": Said("<html>", 200)}, "api_unauthorised"),
    ({"code": Said(None, 302, {"location": "https://relay.example/?error=x"})}, "api_unauthorised"),
    ({"token": Said({"error": "invalid_client"}, 400)}, "api_refused"),
    ({"session": Said({}, 401)}, "api_unauthorised"),
    ({"centre": {"oauthUrl": "https://evil.example/oauth", "restUrl": "https://evil.example"}},
     "api_leads_elsewhere"),
    ({"centre": {"oauthUrl": "https://auth.bullhornstaffing.com/oauth", "restUrl": "x"}},
     "api_leads_elsewhere"),
    ({"session": {"BhRestToken": "b", "restUrl": "https://rest9.bullhornstaffing.com/r/"}},
     "api_leads_elsewhere"),
])  # fmt: skip
async def test_what_somebody_must_change(told, code):
    async with vendor_stub() as stub:
        open_doors(stub, **told)
        with pytest.raises(VendorRefused, match=rf"^{code}$"):
            async with api_of(FAST, stub, NOW, api_key=KEY):
                pass


@pytest.mark.anyio
@pytest.mark.parametrize("told", [
    {"code": Said(None, 503)}, {"code": Said(None, 429)}, {"token": {}}, {"session": []},
    {"session": {"restUrl": "x"}}, {"centre": {"oauthUrl": 3}}, {"centre": Said({}, 500)},
])  # fmt: skip
async def test_what_may_work_later(told):
    async with vendor_stub() as stub:
        open_doors(stub, **told)
        with pytest.raises((VendorDown, VendorRefused)) as caught:
            async with api_of(FAST, stub, NOW, api_key=KEY):
                pass

    assert isinstance(caught.value, VendorDown) or told == {"session": {"restUrl": "x"}}


@pytest.mark.anyio
@pytest.mark.parametrize("key", [None, "", "a:b:c", "a:b::d", 7])
async def test_a_credential_has_four_parts(key):
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match=r"^setting_missing$"):
            async with api_of(FAST, stub, NOW, api_key=key):
                pass

    assert stub.calls == []


def test_without_an_override_only_the_vendor_s_own_hosts_are_trusted():
    start = bullhorn_api.API_BASE

    def trusted(url):
        return bullhorn_api._trusted({"restUrl": url}, "restUrl", start)

    assert trusted("https://rest42.bullhornstaffing.com/rest-services/e999/").endswith("/e999")
    for url in (
        "http://rest42.bullhornstaffing.com/x", "https://bullhornstaffing.com.evil.example/x",
        "https://evilbullhornstaffing.com/x", "https://rest.bullhornstaffing.com@evil.example/x",
    ):  # fmt: skip
        with pytest.raises(VendorRefused, match=r"^api_leads_elsewhere$"):
            trusted(url)


# ---- the queue ------------------------------------------------------------------------------


class Queue:
    """The vendor's queue: fetching removes, a number repeats. `stub` answers from it."""

    def __init__(self, stub, *batches):
        self.waiting, self.given = list(batches), {}
        stub.lay("GET", QUEUE, self.fetch)
        stub.lay("GET", f"{QUEUE}/lastRequestId", lambda _: {"result": len(self.given)})

    def fetch(self, call):
        assert call.query["maxEvents"] == ["100"]
        if "requestId" in call.query:
            number = int(call.query["requestId"][0])
        elif self.waiting:
            number = len(self.given) + 1
            self.given[number] = self.waiting.pop(0)
        else:
            return Said(raw=b"")
        events = [{**answer("events")["events"][0], "entityId": one} for one in self.given[number]]
        return {"requestId": number, "events": events}


def lay_out(stub):
    """Records as the queue and the queries name them."""

    def records(call):
        numbers = call.path.rpartition("/")[2].split(",")
        found = [submission(id=int(one)) for one in numbers]
        return {"data": found[0] if len(found) == 1 else found}

    for some in ("501", "502", "503", "501,502"):
        stub.lay("GET", f"{REST}/entity/JobSubmission/{some}", records)
    stub.lay("GET", f"{REST}/query/JobSubmissionHistory", answer("history"))
    stub.lay("GET", f"{REST}/query/Appointment", {"data": []})
    stub.lay("GET", f"{REST}/query/Candidate", {"data": []})


def ids(page):
    return [one["submission"]["id"] for one in page.facts]


async def step(api, connection, cursor, window=WINDOW):
    found = await bullhorn_api.page(api, connection, window, cursor)
    json.dumps(list(found.facts))
    return found, json.loads(json.dumps(found.cursor))


@pytest.mark.anyio
async def test_a_poll_fetches_batch_after_batch_then_looks_at_interviews_and_people():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            Queue(stub, [501, 502, 501], [503])
            seen, cursor, cursors = [], None, []
            while True:
                found, cursor = await step(api, connection, cursor)
                seen.append(ids(found))
                cursors.append(cursor)
                if cursor is None:
                    break

    assert seen == [[], [501, 502], [503], [], [], []]
    assert cursors == [
        {"part": "events", "after": 0}, {"part": "events", "after": 1},
        {"part": "events", "after": 2}, {"part": "interviews", "start": 0},
        {"part": "people", "start": 0}, None,
    ]  # fmt: skip


@pytest.mark.anyio
async def test_a_batch_whose_answer_was_lost_is_asked_for_again():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            Queue(stub, [501], [502], [503])
            _, cursor = await step(api, connection, None)
            _, cursor = await step(api, connection, cursor)
            lost, _ = await step(api, connection, cursor)
            again, cursor = await step(api, connection, cursor)
            following, _ = await step(api, connection, cursor)

    assert (ids(lost), ids(again), ids(following)) == ([502], [502], [503])


@pytest.mark.anyio
async def test_a_new_poll_begins_with_the_last_batch_of_the_one_before():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            queue = Queue(stub, [501], [502])
            _, cursor = await step(api, connection, None)
            lost, _ = await step(api, connection, cursor)
            begun, cursor = await step(api, connection, None)
            following, _ = await step(api, connection, cursor)

    assert (ids(lost), ids(begun), ids(following)) == ([501], [501], [502])
    assert queue.waiting == []


@pytest.mark.anyio
async def test_nothing_is_taken_from_the_queue_before_a_cursor_is_kept():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            queue = Queue(stub, [501])
            await step(api, connection, None)
            await step(api, connection, None, FULL)

    assert queue.waiting == [[501]]


@pytest.mark.anyio
@pytest.mark.parametrize("unknown", [Said({}, 404), Said({"errorMessage": "no such"}, 400)])
async def test_without_a_subscription_one_is_made_and_the_window_is_queried(unknown):
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            stub.lay("GET", f"{QUEUE}/lastRequestId", unknown)
            stub.lay("PUT", QUEUE, {"lastRequestId": 0, "subscriptionId": "CareerRelay-ats_1"})
            stub.lay("GET", f"{REST}/query/JobSubmission", {"data": [{"id": 501}, {"id": 502}]})
            found, cursor = await step(api, connection, None)
            changed, after = await step(api, connection, cursor)

    made = next(one for one in stub.calls if one.method == "PUT")
    assert made.query == {
        "type": ["entity"], "names": ["JobSubmission"],
        "eventTypes": ["INSERTED,UPDATED,DELETED"],
    }  # fmt: skip
    assert (ids(found), cursor) == ([], {"part": "changed", "start": 0})
    assert (ids(changed), after) == ([501, 502], {"part": "interviews", "start": 0})


@pytest.mark.anyio
async def test_what_is_no_missing_subscription_makes_none():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            stub.lay(
                "GET", f"{QUEUE}/lastRequestId",
                Said({}, 403), Said({}, 429, {"retry-after": "7"}), {"result": "x"},
            )  # fmt: skip
            with pytest.raises(VendorRefused, match=r"^api_unauthorised$"):
                await step(api, connection, None)
            with pytest.raises(VendorDown) as busy:
                await step(api, connection, None)
            with pytest.raises(VendorDown, match=r"^api_answer_unreadable$"):
                await step(api, connection, None)

    assert busy.value.retry_after == timedelta(seconds=7)
    assert "PUT" not in {one.method for one in stub.calls}


@pytest.mark.anyio
async def test_after_a_long_silence_events_are_gone_and_the_window_is_queried():
    silent = Window(since=NOW - timedelta(days=8), until=NOW)
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            Queue(stub)
            _, cursor = await step(api, connection, None, silent)
            _, cursor = await step(api, connection, cursor, silent)

    assert cursor == {"part": "changed", "start": 0}


@pytest.mark.anyio
async def test_a_removed_submission_is_not_asked_for():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            stub.lay("GET", f"{QUEUE}/lastRequestId", {"result": 6})
            stub.lay("GET", QUEUE, answer("events"))
            found, cursor = await step(api, connection, {"part": "events", "after": 6})

    assert (ids(found), cursor) == ([501, 502], {"part": "events", "after": 7})
    assert [path for _, path in calls_after(stub)] == [
        "/event/subscription/CareerRelay-ats_1/lastRequestId",
        "/event/subscription/CareerRelay-ats_1",
        "/entity/JobSubmission/501,502", "/query/JobSubmissionHistory",
    ]  # fmt: skip
    assert [one["id"] for one in found.facts[0]["history"]] == [1, 2, 3, 4]
    assert only(found.facts[0])["dedupe_key"] == only(facts())["dedupe_key"]


# ---- queries --------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_nightly_look_pages_through_what_changed():
    def pages(call):
        start = int(call.query["start"][0])
        return {"data": [{"id": 501}] * (200 if start == 0 else 1)}

    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            lay_out(stub)
            stub.lay("GET", f"{REST}/query/JobSubmission", pages)
            _, first = await step(api, connection, None, FULL)
            _, second = await step(api, connection, first, FULL)
            found, third = await step(api, connection, second, FULL)

    since = int(FULL.since.timestamp() * 1000)
    asked = stub.asked(f"{REST}/query/JobSubmission")[0].query
    assert (first, second, third) == (
        {"part": "changed", "start": 0}, {"part": "changed", "start": 200},
        {"part": "interviews", "start": 0},
    )  # fmt: skip
    assert asked["where"] == [f"dateLastModified>={since} AND isDeleted=false"]
    assert (asked["orderBy"], asked["count"], asked["start"]) == (["id"], ["200"], ["0"])
    assert ids(found) == [501]


@pytest.mark.anyio
async def test_interviews_are_told_for_the_submission_of_their_person_and_job():
    other = submission(id=777, jobOrder={"id": 999, "title": "x"})
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            stub.lay("GET", f"{REST}/query/Appointment", answer("appointments"))
            stub.lay("GET", f"{REST}/query/JobSubmission", {"data": [submission(), other]})
            found, cursor = await step(api, connection, {"part": "interviews", "start": 0})

    asked = stub.asked(f"{REST}/query/JobSubmission")[0].query
    assert asked["where"] == ["candidate.id IN (31) AND jobOrder.id IN (204) AND isDeleted=false"]
    where = stub.asked(f"{REST}/query/Appointment")[0].query["where"]
    assert where == [
        f"type='Interview' AND dateLastModified>={int(WINDOW.since.timestamp()) * 1000}"
    ]
    assert ids(found) == [501]
    assert [one["type"] for one in understand(found.facts[0]).events] == [
        "interview.completed", "interview.scheduled",
    ]  # fmt: skip
    assert cursor == {"part": "people", "start": 0}


@pytest.mark.anyio
async def test_people_who_are_gone_are_asked_for():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            stub.lay("GET", f"{REST}/query/Candidate", answer("candidates_gone"))
            found, cursor = await step(api, connection, {"part": "people", "start": 0})

    assert [only(one)["type"] for one in found.facts] == ["candidate.deleted"] * 2
    assert cursor is None


@pytest.mark.anyio
async def test_the_interviews_of_one_submission():
    about = {"kind": "interviews", "application_id": "501"}
    path = f"{REST}/entity/JobSubmission/501"
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            stub.lay("GET", path, answer("submission"))
            stub.lay("GET", f"{path}/appointments", answer("appointments"))
            found = await bullhorn_api.look_up(api, connection, about)
            gone = await bullhorn_api.look_up(api, connection, {**about, "application_id": "9"})
            with pytest.raises(Unreadable, match=r"^lookup_malformed$"):
                await bullhorn_api.look_up(api, connection, {**about, "kind": "x"})

    assert len(understand(found).events) == 2
    assert list(understand(gone).events) == []


@pytest.mark.anyio
async def test_answers_of_another_shape_are_no_answers():
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            stub.lay("GET", f"{REST}/query/Candidate", {"data": 3}, {"data": [3]}, [], "x")
            for _ in range(4):
                with pytest.raises(VendorDown, match=r"^api_answer_unreadable$"):
                    await step(api, connection, {"part": "people", "start": 0})
            with pytest.raises(VendorRefused, match=r"^cursor_malformed$"):
                await step(api, connection, {"part": "elsewhere"})


# ---- words and notes ------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_customer_s_statuses_with_what_the_vendor_knows_of_them():
    names = "jobResponseStatusList,rejectedJobResponseStatus,confirmedJobResponseStatus"
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY) as (api, connection):
            stub.lay("GET", f"{REST}/settings/{names}", answer("settings"))
            found = await bullhorn_api.words(api, connection)

    assert [(one.kind, one.id, one.suggestion) for one in found] == [
        ("status", "New Lead", "active"), ("status", "Interview Scheduled", "active"),
        ("status", "Client Rejected", "rejected"), ("status", "Candidate Withdrew", "withdrawn"),
        ("status", "Placed", "hired"), ("status", "Client Submission", None),
    ]  # fmt: skip


@pytest.mark.anyio
async def test_a_note_on_the_person_about_the_job():
    told = WriteBack("501", "31", "Told <them>\n& thanked", "career-relay")
    async with vendor_stub() as stub:
        open_doors(stub)
        async with api_of(FAST, stub, NOW, api_key=KEY, note_action="Email") as (api, connection):
            stub.lay("GET", f"{REST}/entity/JobSubmission/501", answer("submission"))
            stub.lay("PUT", f"{REST}/entity/Note", {"changedEntityId": 9, "changeType": "INSERT"})
            await bullhorn_api.write_back(api, connection, told)
            with pytest.raises(VendorMissing):
                await bullhorn_api.write_back(api, connection, WriteBack("502", "31", "n", "t"))

    assert stub.asked(f"{REST}/entity/Note")[0].json == {
        "personReference": {"id": 31}, "jobOrder": {"id": 204}, "action": "Email",
        "comments": "[career-relay] Told &lt;them&gt;<br>&amp; thanked",
    }  # fmt: skip


# ---- whatever arrives -----------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["Client Rejected", 1_780_000_000_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(
    st.sampled_from(["application", "interviews", "person", None]),
    st.dictionaries(st.sampled_from(list(submission())), JSON),
    st.dictionaries(st.sampled_from(["history", "appointments", "candidate", "about"]), JSON),
)
@settings(max_examples=400, deadline=None)
def test_nothing_but_unreadable_comes_out(kind, change, more):
    told = {**facts(**change), **interviews(submission=submission(**change)), **more, "kind": kind}
    tenant = view(settings={"status_map": MAP})
    try:
        reading = bullhorn.understand(told, Incoming(b"", {}, NOW), tenant, "poll")
    except Unreadable as why:
        assert str(why).isidentifier()  # noqa: PT017 - both ways of ending have their rule
        return
    json.dumps(list(reading.events)).encode()
