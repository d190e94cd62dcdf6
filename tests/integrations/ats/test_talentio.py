"""Talentio: candidates by their own status, stages that are interviews, pages by a total."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ports import (
    ConnectionView,
    Incoming,
    Unreadable,
    VendorDown,
    VendorRefused,
    Window,
    WriteBack,
)
from integrations.ats import APIS, talentio
from tests.deliveries import SAMPLES, view
from tests.vendors import Said, api_of, vendor_stub

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
WINDOW = Window(since=NOW - timedelta(hours=2), until=NOW)
FAST = SimpleNamespace(**{**vars(talentio), "PER_SECOND": 1000.0})


def answer(name):
    return json.loads((SAMPLES / "talentio" / "api" / f"{name}.json").read_text())


def candidate(number, **changes):
    listed = answer("candidates_1") + answer("candidates_2")
    return {**next(one for one in listed if one["id"] == number), **changes}


def understand(number, kind="application", *, tenant=None, **changes):
    told = json.loads(json.dumps({"kind": kind, "candidate": candidate(number, **changes)}))
    return talentio.understand(told, Incoming(b"", {}, NOW), view(settings=tenant or {}), "poll")


def only(number, kind="application", **changes):
    events = understand(number, kind, **changes).events

    assert len(events) == 1
    return events[0]


# ---- what a candidate says ------------------------------------------------------------------


def test_a_rejection_with_all_its_fields():
    reading = understand(1)

    assert reading.as_of == datetime(2026, 6, 2, 0, 31, tzinfo=UTC)
    assert (reading.states, reading.undated) == (False, False)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "talentio",
            "connection_id": "ats_1",
            "provider_event": "poll",
            "provider_event_id": None,
            "dedupe_key": "talentio:ats_1:application.rejected:1:2026-06-02T00:30:00Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:30:00Z",
            "received_at": "2026-06-02T01:00:00Z",
            "application": {
                "external_id": "1",
                "url": "https://talentio.example/r/ats/candidates/1",
                "status": "rejected",
                "applied_at": "2026-04-30T15:00:00Z",
                "stage": None,
                "source": "採用サイト",
                "custom_fields": {},
            },
            "candidate": {
                "external_id": "1",
                "display_name": "花子 試験",
                "given_name": "花子",
                "family_name": "試験",
                "emails": [{"value": "hanako@mail.example", "type": "unknown", "primary": False}],
                "primary_email": "hanako@mail.example",
                "phones": [{"value": "090-1234-5678", "type": None}],
                "url": "https://talentio.example/r/ats/candidates/1",
                "tags": ["海外営業"],
                "is_private": False,
                "is_internal": False,
                "can_email": None,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "71",
                "title": "法人営業",
                "department": None,
                "location": None,
                "requisition_id": None,
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": None,
                "reason_text": None,
                "reason_type_raw": "fail",
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


def test_the_status_says_who_ended_it():
    event = only(2)

    assert event["type"] == "application.withdrawn"
    assert event["rejection"]["initiated_by"] == "candidate"
    assert event["application"]["source"] == "株式会社紹介例"
    assert (event["candidate"]["emails"], event["holds"]) == ([], ["no_email"])


def test_a_hire_and_one_that_goes_on_are_how_things_stand():
    hired, going_on = understand(3), understand(4)

    assert [one["type"] for one in hired.events] == ["application.hired"]
    assert hired.events[0]["rejection"] is None
    assert hired.events[0]["occurred_at"] == "2026-06-02T00:30:00Z"
    assert [one["type"] for one in going_on.events] == ["application.rejection_reverted"]
    assert going_on.events[0]["occurred_at"] == "2026-06-02T00:31:00Z"
    assert (hired.states, going_on.states) == (True, True)


@pytest.mark.parametrize("status", ["poolActive", "poolInactive"])
def test_people_in_a_pool_have_not_applied(status):
    assert list(understand(5, status=status).events) == []


def test_an_end_without_its_time_says_so():
    undated, nothing = understand(1, fixedAt=None), understand(1, fixedAt=None, updatedAt=None)

    assert (undated.undated, nothing.undated) == (True, True)
    assert undated.events[0]["occurred_at"] == "2026-06-02T00:31:00Z"
    assert undated.events[0]["rejection"]["rejected_at"] is None
    assert nothing.events[0]["occurred_at"] == "2026-06-02T01:00:00Z"


def test_the_tenant_may_exclude_an_end():
    assert only(1, tenant={"excluded_reasons": ["fail"]})["holds"] == ["reason_excluded"]


@pytest.mark.parametrize(("told", "values"), [
    ({"email": "a@b.example"}, ["a@b.example"]),
    ({"email": None, "emails": ["a@b.example", "A@b.example"]}, ["a@b.example"]),
    ({"emails": [{"value": "c@b.example"}]}, ["hanako@mail.example", "c@b.example"]),
    ({"emails": [{"email": "c@b.example"}]}, ["hanako@mail.example", "c@b.example"]),
    ({"email": 3, "emails": [None, 7, {"value": []}]}, []),
    ({"email": None, "emails": "x"}, []),
])  # fmt: skip
def test_addresses_are_texts_or_objects(told, values):
    assert [one["value"] for one in only(1, **told)["candidate"]["emails"]] == values


@pytest.mark.parametrize(("change", "code"), [
    ({"id": None}, "application_id_missing"),
    ({"id": 1.5}, "application_id_malformed"),
    ({"status": None}, "status_missing"),
    ({"status": "paused"}, "status_unknown"),
    ({"status": {}}, "status_malformed"),
    ({"fixedAt": "2026-06-02T09:30:00"}, "fixed_at_malformed"),
    ({"fixedAt": 1790000000}, "fixed_at_malformed"),
    ({"updatedAt": "x"}, "updated_at_malformed"),
    ({"appliedAt": "2026-05-01"}, "applied_at_malformed"),
    ({"lastName": 7}, "last_name_malformed"),
    ({"requisition": "x"}, "requisition_malformed"),
    ({"requisition": {"name": "x"}}, "job_id_missing"),
])  # fmt: skip
def test_what_decides_is_never_guessed(change, code):
    told = {"kind": "application", "candidate": candidate(1) | change}
    with pytest.raises(Unreadable, match=rf"^{code}$"):
        talentio.understand(told, Incoming(b"", {}, NOW), view(), "poll")


@pytest.mark.parametrize("change", [
    {"tags": "x"}, {"tags": [None, "a", {"name": 3}]}, {"agentCompany": 3}, {"phoneNumber": []},
    {"channelName": {}}, {"url": 3}, {"requisition": None},
])  # fmt: skip
def test_decoration_that_is_malformed_is_left_out(change):
    assert only(1, **change)["type"] == "application.rejected"


# ---- interviews -----------------------------------------------------------------------------


def test_stages_that_are_interviews():
    over, to_come = only(1, "interviews"), only(4, "interviews")

    assert over["interview"] == {
        "external_id": "1001", "starts_at": "2026-05-20T01:00:00Z", "ends_at": None,
        "all_day": False, "status": "completed",
    }  # fmt: skip
    assert (over["type"], over["occurred_at"]) == ("interview.completed", "2026-05-20T01:00:00Z")
    assert over["dedupe_key"] == "talentio:ats_1:interview.completed:1:2026-05-20T01:00:00Z"
    assert to_come["type"] == "interview.scheduled"
    assert to_come["occurred_at"] == "2026-06-02T01:00:00Z"
    assert to_come["dedupe_key"] == "talentio:ats_1:interview.scheduled:4:2026-06-05T01:00:00Z"


@pytest.mark.parametrize("status", ["pass", "fail", "evaluated_all"])
def test_a_judged_interview_took_place_whatever_its_date(status):
    stage = {**candidate(4)["stages"][0], "status": status}
    event = only(4, "interviews", stages=[stage])

    assert (event["type"], event["occurred_at"]) == ("interview.completed", "2026-06-02T01:00:00Z")


@pytest.mark.parametrize(("change", "code"), [
    ({"id": None}, "interview_id_missing"),
    ({"scheduledAt": "2026-06-05T10:00:00"}, "scheduled_at_malformed"),
])  # fmt: skip
def test_an_interview_s_number_and_time_are_never_guessed(change, code):
    stage = {**candidate(4)["stages"][0], **change}
    with pytest.raises(Unreadable, match=rf"^{code}$"):
        understand(4, "interviews", stages=[stage])


# ---- asking ---------------------------------------------------------------------------------


def lay_out(stub, total="105"):
    stub.lay("GET", "/api/v1/candidates", lambda call: Said(
        answer(f"candidates_{call.query['page'][0]}"), headers={"X-Total": total}
    ))  # fmt: skip


@pytest.mark.anyio
async def test_a_poll_reads_what_changed_page_by_page():
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        lay_out(stub)
        first = await talentio.page(api, connection, WINDOW, None)
        cursor = json.loads(json.dumps(first.cursor))
        second = await talentio.page(api, connection, WINDOW, cursor)

    assert (cursor, second.cursor) == ({"page": 2}, None)
    told = [(one["kind"], one["candidate"]["id"]) for one in (*first.facts, *second.facts)]
    assert told == [
        ("application", 1), ("interviews", 1), ("application", 2), ("interviews", 2),
        ("application", 3), ("interviews", 3), ("application", 4), ("interviews", 4),
        ("application", 5),
    ]  # fmt: skip
    assert [one.query for one in stub.calls] == [
        {"page": [page], "updatedAtFrom": ["2026-06-01T23:00:00"], "sort": ["registeredAt"]}
        for page in ("1", "2")
    ]
    assert {one.headers["authorization"] for one in stub.calls} == {"Bearer key-for-tests"}
    assert not {"description", "customFields", "priority"} & set(first.facts[0]["candidate"])


@pytest.mark.anyio
@pytest.mark.parametrize(("total", "rows", "goes_on"), [
    ("101", 100, True), ("100", 100, False), ("0", 0, False), ("500", 0, False),
    (None, 100, True), (None, 99, False), ("many", 100, True),
])  # fmt: skip
async def test_the_total_says_whether_there_is_more(total, rows, goes_on):
    headers = {"X-Total": total} if total else {}
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        stub.lay("GET", "/api/v1/candidates", Said([candidate(1)] * rows, headers=headers))
        found = await talentio.page(api, connection, WINDOW, None)

    assert found.cursor == ({"page": 2} if goes_on else None)


@pytest.mark.anyio
async def test_a_single_candidate_may_come_without_a_list():
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        stub.lay("GET", "/api/v1/candidates", candidate(5))
        found = await talentio.page(api, connection, WINDOW, None)

    assert [one["candidate"]["id"] for one in found.facts] == [5]


@pytest.mark.anyio
async def test_the_interviews_of_one_candidate():
    about = {"kind": "interviews", "application_id": "4"}
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        stub.lay("GET", "/api/v1/candidates/4", answer("candidate"))
        stub.lay("GET", "/api/v1/candidates/6", [])
        found = await talentio.look_up(api, connection, about)
        gone = await talentio.look_up(api, connection, {**about, "application_id": "5"})
        with pytest.raises(VendorDown):
            await talentio.look_up(api, connection, {**about, "application_id": "6"})
        with pytest.raises(Unreadable, match=r"^lookup_malformed$"):
            await talentio.look_up(api, connection, {"kind": "x", "application_id": "4"})

    reading = talentio.understand(
        json.loads(json.dumps(found)), Incoming(b"", {}, NOW), view(), "poll"
    )
    assert [one["type"] for one in reading.events] == ["interview.completed"]
    assert "evaluations" not in found["candidate"]["stages"][0]
    assert list(talentio.understand(gone, Incoming(b"", {}, NOW), view(), "poll").events) == []


@pytest.mark.anyio
async def test_the_vendor_is_busy_or_says_no():
    async with vendor_stub() as stub, api_of(FAST, stub, NOW) as (api, connection):
        stub.lay(
            "GET", "/api/v1/candidates",
            Said({}, 429, {"retry-after": "1153"}), Said({}, 403), Said("x"), Said([1]),
        )  # fmt: skip
        with pytest.raises(VendorDown) as busy:
            await talentio.page(api, connection, WINDOW, None)
        with pytest.raises(VendorRefused, match=r"^api_unauthorised$"):
            await talentio.page(api, connection, WINDOW, None)
        for _ in range(2):
            with pytest.raises(VendorDown, match=r"^api_answer_unreadable$"):
                await talentio.page(api, connection, WINDOW, None)

    assert busy.value.retry_after == timedelta(seconds=1153)


@pytest.mark.anyio
async def test_without_a_token_somebody_must_act():
    with pytest.raises(VendorRefused, match=r"^setting_missing$"):
        await talentio.sign_in(SimpleNamespace(headers={}), ConnectionView("ats_1"))


@pytest.mark.anyio
async def test_nothing_needs_a_meaning_and_nothing_can_be_left():
    assert await talentio.words(None, view()) == []
    assert APIS["talentio"].WRITES_BACK is False
    with pytest.raises(VendorRefused, match=r"^write_back_unsupported$"):
        await talentio.write_back(None, view(), WriteBack("1", "1", "n", "t"))


def test_its_pace_is_five_thousand_calls_an_hour():
    assert pytest.approx(5000) == APIS["talentio"].PER_SECOND * 3600


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["ongoing", "fail", "2026-06-02T00:00:00Z", "interview"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(
    st.integers(1, 5),
    st.sampled_from(["application", "interviews"]),
    st.dictionaries(st.sampled_from(list(candidate(1))), JSON),
)
@settings(max_examples=300, deadline=None)
def test_nothing_but_unreadable_comes_out(number, kind, change):
    told = {"kind": kind, "candidate": candidate(number) | change}
    try:
        reading = talentio.understand(told, Incoming(b"", {}, NOW), view(), "poll")
    except Unreadable as why:
        assert str(why).isidentifier()  # noqa: PT017 - both ways of ending have their rule
        return
    json.dumps(list(reading.events)).encode()
