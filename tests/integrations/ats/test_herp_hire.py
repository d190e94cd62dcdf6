"""HERP Hire: the list of applications, contacts that are interviews, a comment on the timeline."""

import copy
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from integrations.ats import APIS, herp_hire
from tests.deliveries import SAMPLES, view
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
WINDOW = Window(since=NOW - timedelta(hours=2), until=NOW)
FAST = SimpleNamespace(**{**vars(herp_hire), "PER_SECOND": 1000.0})
NUMBER = "b47754fe-47f0-4cd0-bd43-542d5cf4300"


def answer(name):
    return json.loads((SAMPLES / "herp-hire" / "api" / f"{name}.json").read_text())


def entry(at, **changes):
    listed = answer("candidacies_1")["candidacies"] + answer("candidacies_2")["candidacies"]
    return {**listed[at], **changes}


def facts(at, **changes):
    job = {"id": "4ee22d29-8fde-401e-bf9e-779c8846b001", "name": "法人営業"}
    return {"kind": "application", "application": entry(at, **changes), "job": job}


def understand(told, **settings):
    told = json.loads(json.dumps(told))
    return herp_hire.understand(told, Incoming(b"", {}, NOW), view(settings=settings), "poll")


def only(told, **settings):
    events = understand(told, **settings).events

    assert len(events) == 1
    return events[0]


# ---- what an application says ---------------------------------------------------------------


def test_a_rejection_with_all_its_fields():
    reading = understand(facts(1))

    assert reading.as_of == datetime(2026, 6, 2, 0, 31, 2, tzinfo=UTC)
    assert (reading.states, reading.undated) == (False, False)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "herp-hire",
            "connection_id": "ats_1",
            "provider_event": "poll",
            "provider_event_id": None,
            "dedupe_key": f"herp-hire:ats_1:application.rejected:{NUMBER}1:2026-06-02T00:30:00Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:30:00Z",
            "received_at": "2026-06-02T01:00:00Z",
            "application": {
                "external_id": f"{NUMBER}1",
                "url": None,
                "status": "rejected",
                "applied_at": "2026-05-01T03:10:25Z",
                "stage": {"id": "secondInterview", "name": "二次面接"},
                "source": "careerPage",
                "custom_fields": {},
            },
            "candidate": {
                "external_id": f"{NUMBER}1",
                "display_name": "試験 花子",
                "given_name": None,
                "family_name": None,
                "emails": [{"value": "hanako@mail.example", "type": "unknown", "primary": False}],
                "primary_email": "hanako@mail.example",
                "phones": [{"value": "090-1234-5678", "type": None}],
                "url": None,
                "tags": ["海外営業"],
                "is_private": False,
                "is_internal": False,
                "can_email": None,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "4ee22d29-8fde-401e-bf9e-779c8846b001",
                "title": "法人営業",
                "department": None,
                "location": None,
                "requisition_id": None,
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": "rejected",
                "reason_text": "不採用",
                "reason_type_raw": "rejected",
                "rejected_at": "2026-06-02T00:30:00Z",
                "not_before": None,
            },
            "interview": None,
            "deletion": None,
            "attachments": [],
            "enrichment": "complete",
            "holds": [],
        }
    ]


@pytest.mark.parametrize(("reason", "mapped", "kind", "initiator", "holds"), [
    ("rejected", None, "application.rejected", "company", []),
    ("rejected", "candidate", "application.rejected", "company", []),
    ("refusedByCandidate", None, "application.withdrawn", "candidate", []),
    ("refusedByCandidate", "company", "application.withdrawn", "candidate", []),
    ("notEligible", None, "application.rejected", "other", ["reason_unclassified"]),
    ("notEligible", "company", "application.rejected", "company", []),
    ("somethingNew", None, "application.rejected", "unknown", ["reason_unclassified"]),
    ("somethingNew", "candidate", "application.withdrawn", "candidate", []),
    (None, None, "application.rejected", "unknown", ["reason_unclassified"]),
])  # fmt: skip
def test_who_ended_it(reason, mapped, kind, initiator, holds):
    known = {"reason_map": {reason: mapped}} if mapped else {}
    event = only(facts(1, terminationReason=reason), **known)

    assert (event["type"], event["rejection"]["initiated_by"]) == (kind, initiator)
    assert event["holds"] == holds


def test_somebody_an_agency_brought_has_no_address_here():
    event = only(facts(2))

    assert event["type"] == "application.withdrawn"
    assert (event["candidate"]["emails"], event["holds"]) == ([], ["no_email"])
    assert event["application"]["source"] == "株式会社紹介例"


@pytest.mark.parametrize(("at", "source"), [
    (1, "careerPage"), (2, "株式会社紹介例"), (3, "例メディア"), (4, "社員紹介"), (5, "jobmiru"),
])  # fmt: skip
def test_where_they_came_from(at, source):
    assert only(facts(at))["application"]["source"] == source


@pytest.mark.parametrize("change", [{}, {"status": "hired", "terminationReason": None}])
def test_a_hire_is_how_things_stand(change):
    reading = understand(facts(4, **change))

    assert [one["type"] for one in reading.events] == ["application.hired"]
    assert reading.events[0]["rejection"] is None
    assert reading.events[0]["occurred_at"] == "2026-06-01T23:00:00Z"
    assert reading.states is True


def test_one_that_goes_on_is_how_things_stand():
    reading = understand(facts(5))

    assert [one["type"] for one in reading.events] == ["application.rejection_reverted"]
    assert reading.events[0]["application"]["status"] == "active"
    assert reading.events[0]["dedupe_key"].endswith(f":{NUMBER}5:2026-06-02T00:31:02Z")
    assert reading.states is True


def test_an_end_without_its_time_says_so():
    reading = understand(facts(1, terminatedAt=None))

    assert reading.undated is True
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:31:02Z"
    assert reading.events[0]["rejection"]["rejected_at"] is None


def test_a_corrected_reason_keeps_the_key_of_its_time():
    first, later = only(facts(1)), only(facts(1, terminationReason="notEligible"))

    assert first["dedupe_key"] == later["dedupe_key"]


def test_the_tenant_may_exclude_a_reason():
    assert only(facts(1), excluded_reasons=["不採用"])["holds"] == ["reason_excluded"]


@pytest.mark.parametrize(("change", "code"), [
    ({"id": None}, "application_id_missing"),
    ({"id": 1.5}, "application_id_malformed"),
    ({"status": None}, "status_missing"),
    ({"status": "paused"}, "status_unknown"),
    ({"status": 1}, "status_malformed"),
    ({"terminatedAt": "2026-06-02T09:30:00"}, "terminated_at_malformed"),
    ({"terminatedAt": 1790000000}, "terminated_at_malformed"),
    ({"updatedAt": "x"}, "updated_at_malformed"),
    ({"stepUpdatedAt": "x"}, "step_updated_at_malformed"),
    ({"appliedAt": "2026-05-01"}, "applied_at_malformed"),
    ({"terminationReason": {}}, "termination_reason_malformed"),
    ({"requisitionId": []}, "job_id_malformed"),
    ({"name": 7}, "name_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(change, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understand(facts(1, **change))


@pytest.mark.parametrize("change", [
    {"channel": "x"}, {"channel": {"agent": 3}}, {"tags": "x"}, {"telephoneNumber": 9},
    {"step": 3}, {"email": ["a@b.example"]}, {"requisitionId": None},
])  # fmt: skip
def test_decoration_that_is_malformed_is_left_out(change):
    assert only(facts(1, **change))["type"] == "application.rejected"


# ---- interviews -----------------------------------------------------------------------------


def interviews(**changes):
    told = {"about": {"application_id": f"{NUMBER}5"}, "contacts": answer("contacts")["contacts"]}
    return {"kind": "interviews", **told, **changes}


def test_contacts_at_an_interview_step_with_a_date_are_interviews():
    reading = understand(interviews())

    assert [
        (one["type"], one["interview"], one["occurred_at"], one["dedupe_key"])
        for one in reading.events
    ] == [
        (
            "interview.completed",
            {"external_id": "ct-2", "starts_at": "2026-05-20T01:00:00Z",
             "ends_at": "2026-05-20T02:00:00Z", "all_day": False, "status": "completed"},
            "2026-05-20T02:00:00Z",
            f"herp-hire:ats_1:interview.completed:{NUMBER}5:2026-05-20T01:00:00Z",
        ),
        (
            "interview.scheduled",
            {"external_id": "ct-3", "starts_at": "2026-06-05T01:00:00Z",
             "ends_at": "2026-06-05T02:00:00Z", "all_day": False, "status": "scheduled"},
            "2026-06-02T01:00:00Z",
            f"herp-hire:ats_1:interview.scheduled:{NUMBER}5:2026-06-05T01:00:00Z",
        ),
    ]  # fmt: skip
    assert list(reading.asides) == [Aside("interview_off", "ct-4")]
    assert reading.as_of == NOW
    assert [one["candidate"] for one in reading.events] == [None, None]


def test_with_the_application_beside_them_the_person_is_told():
    reading = understand({**facts(5), **interviews()})

    assert [one["candidate"]["primary_email"] for one in reading.events] == [
        "hanako@mail.example", "hanako@mail.example",
    ]  # fmt: skip
    assert reading.events[0]["job"]["title"] == "法人営業"


def test_an_evaluation_written_down_says_that_it_took_place():
    contact = copy.deepcopy(answer("contacts")["contacts"][3])
    contact["evaluations"][0]["status"] = "completed"
    event = only(interviews(contacts=[contact]))

    assert (event["type"], event["occurred_at"]) == ("interview.completed", "2026-06-02T01:00:00Z")


@pytest.mark.parametrize(("change", "code"), [
    ({"id": None}, "interview_id_missing"),
    ({"assessmentSchedule": 3}, "assessment_schedule_malformed"),
    ({"assessmentSchedule": {"schedule": []}}, "schedule_malformed"),
    ({"assessmentSchedule": {"schedule": {"startsAt": "2026-06-05T10:00:00"}}},
     "starts_at_malformed"),
])  # fmt: skip
def test_an_interview_s_number_and_time_are_never_guessed(change, code):
    contact = {**answer("contacts")["contacts"][3], **change}
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understand(interviews(contacts=[contact]))


# ---- asking ---------------------------------------------------------------------------------


def lay_out(stub):
    stub.lay("GET", "/hire/v1/candidacies", lambda call: answer(
        f"candidacies_{call.query['page'][0]}"
    ))  # fmt: skip
    stub.lay("GET", "/hire/v1/requisitions", answer("requisitions"))
    stub.lay("GET", f"/hire/v1/candidacies/{NUMBER}5/contacts", answer("contacts"))


@pytest.mark.anyio
async def test_a_poll_goes_through_the_whole_list_and_keeps_what_changed():
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        lay_out(stub)
        first = await herp_hire.page(api, connection, WINDOW, None)
        cursor = json.loads(json.dumps(first.cursor))
        second = await herp_hire.page(api, connection, WINDOW, cursor)

    assert cursor == {"page": 2}
    assert second.cursor is None
    assert [(one["kind"], one["application"]["id"][-1]) for one in first.facts] == [
        ("application", "1"), ("application", "2"),
    ]  # fmt: skip
    assert [(one["kind"], one["application"]["id"][-1]) for one in second.facts] == [
        ("application", "3"), ("application", "4"), ("application", "5"), ("interviews", "5"),
    ]  # fmt: skip
    kinds = [event["type"] for one in (*first.facts, *second.facts)
             for event in understand(one).events]  # fmt: skip
    assert kinds == [
        "application.rejected", "application.withdrawn", "application.rejected",
        "application.hired", "application.rejection_reverted", "interview.completed",
        "interview.scheduled",
    ]  # fmt: skip
    assert [one["job"]["name"] for one in second.facts] == [
        "法人営業",
        "経理",
        "法人営業",
        "法人営業",
    ]
    asked = stub.asked("/hire/v1/candidacies")
    assert [one.query for one in asked] == [
        {"page": [page], "sort": ["appliedAt"], "direction": ["asc"]} for page in ("1", "2")
    ]
    assert {one.headers["authorization"] for one in stub.calls} == {"Bearer key-for-tests"}
    assert "note" not in first.facts[0]["application"]
    assert "career" not in first.facts[0]["application"]


@pytest.mark.anyio
async def test_a_crash_resumes_at_the_page_and_says_the_same():
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        lay_out(stub)
        once = await herp_hire.page(api, connection, WINDOW, {"page": 2})
        again = await herp_hire.page(api, connection, WINDOW, {"page": 2})

    assert [understand(one).events for one in once.facts] == [
        understand(one).events for one in again.facts
    ]


@pytest.mark.anyio
async def test_a_night_s_look_keeps_more_and_an_unreadable_time_counts_as_changed():
    listed = answer("candidacies_1")
    listed["candidacies"] += [entry(0, id="x-1", updatedAt="soon"), {"id": "x-2"}]
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        lay_out(stub)
        stub.lay("GET", "/hire/v1/candidacies", {**listed, "hasNextPage": False})
        full = Window(since=NOW - timedelta(days=150), until=NOW, full=True)
        whole = await herp_hire.page(api, connection, full, None)
        recent = await herp_hire.page(api, connection, WINDOW, None)

    assert [one["application"]["id"][-1] for one in whole.facts] == ["0", "1", "2", "1", "2"]
    assert [one["application"]["id"] for one in recent.facts][-2:] == ["x-1", "x-2"]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["id", "requisitionId", "step", "status"])
@pytest.mark.parametrize("value", [None, [], {}, 7, 1.5])
async def test_an_entry_of_odd_types_costs_no_other(name, value):
    listed = answer("candidacies_2")
    odd = {**listed["candidacies"][-1], name: value}
    jobs = answer("requisitions")
    jobs["requisitions"].insert(0, {"id": value, "name": "x"})
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        lay_out(stub)
        stub.lay("GET", "/hire/v1/requisitions", jobs)
        stub.lay("GET", "/hire/v1/candidacies", {
            "candidacies": [odd, *listed["candidacies"]], "hasNextPage": True,
        })  # fmt: skip
        page = await herp_hire.page(api, connection, WINDOW, None)

    kinds = [one["kind"] for one in page.facts if one["application"] != odd]
    assert kinds.count("application") >= len(listed["candidacies"])
    assert page.cursor == {"page": 2}


@pytest.mark.anyio
@pytest.mark.parametrize("status", [404, 403])
async def test_job_titles_are_a_bonus(status):
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        stub.lay("GET", "/hire/v1/candidacies", answer("candidacies_1"))
        stub.lay("GET", "/hire/v1/requisitions", Said({}, status))
        first = await herp_hire.page(api, connection, WINDOW, None)

    assert first.facts[0]["job"] == {"id": "4ee22d29-8fde-401e-bf9e-779c8846b001", "name": None}


@pytest.mark.anyio
async def test_the_interviews_of_one_application():
    about = {"kind": "interviews", "application_id": f"{NUMBER}5"}
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        lay_out(stub)
        found = await herp_hire.look_up(api, connection, about)
        gone = await herp_hire.look_up(api, connection, {**about, "application_id": "../x"})
        with pytest.raises(Unreadable, match=r"^lookup_malformed$"):
            await herp_hire.look_up(api, connection, {"kind": "person"})

    assert len(understand(found).events) == 2
    assert list(understand(gone).events) == []
    assert stub.calls[-1].path == "/hire/v1/candidacies/../x/contacts"  # percent-decoded: one part


@pytest.mark.anyio
async def test_the_vendor_is_busy_or_says_no():
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        stub.lay(
            "GET", "/hire/v1/candidacies",
            Said({}, 429, {"retry-after": "31"}), Said({}, 401), Said([]), Said({"candidacies": 3}),
        )  # fmt: skip
        with pytest.raises(VendorDown) as busy:
            await herp_hire.page(api, connection, WINDOW, None)
        with pytest.raises(VendorRefused) as refused:
            await herp_hire.page(api, connection, WINDOW, None)
        for _ in range(2):
            with pytest.raises(VendorDown, match=r"^api_answer_unreadable$"):
                await herp_hire.page(api, connection, WINDOW, None)

    assert (busy.value.code, busy.value.retry_after) == ("api_busy", timedelta(seconds=31))
    assert refused.value.code == "api_unauthorised"


@pytest.mark.anyio
async def test_without_a_key_somebody_must_act():
    with pytest.raises(VendorRefused, match=r"^setting_missing$"):
        await herp_hire.sign_in(SimpleNamespace(headers={}), ConnectionView("ats_1"))


@pytest.mark.anyio
async def test_a_note_goes_onto_the_timeline():
    told = WriteBack(f"{NUMBER}1", f"{NUMBER}1", "結果をお知らせしました", "career-relay")
    path = f"/hire/v1/candidacies/{NUMBER}1/timeline-comments"
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        stub.lay("POST", path, Said({"id": "c1"}, 201))
        await herp_hire.write_back(api, connection, told)
        with pytest.raises(VendorMissing):
            await herp_hire.write_back(api, connection, WriteBack("x", None, "n", "t"))

    assert stub.calls[0].json == {
        "body": "[career-relay] 結果をお知らせしました", "textType": "text/plain",
    }  # fmt: skip


@pytest.mark.anyio
async def test_one_reason_needs_a_meaning():
    assert await herp_hire.words(None, view()) == [
        Word("reason", "notEligible", "非選考対象", "other")
    ]


def test_its_pace_is_a_hundred_calls_a_minute():
    assert pytest.approx(100) == APIS["herp-hire"].PER_SECOND * 60
    assert timedelta(minutes=15) == APIS["herp-hire"].POLL_EVERY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["active", "terminated", "2026-06-02T00:00:00Z", "firstInterview"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.integers(1, 5), st.dictionaries(st.sampled_from([*entry(1), "terminatedAt"]), JSON))
@settings(max_examples=300, deadline=None)
def test_nothing_but_unreadable_comes_out(at, change):
    try:
        reading = herp_hire.understand(facts(at, **change), Incoming(b"", {}, NOW), view(), "poll")
    except Unreadable as why:
        assert str(why).isidentifier()  # noqa: PT017 - both ways of ending have their rule
        return
    json.dumps(list(reading.events)).encode()
