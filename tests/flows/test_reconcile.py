"""Asking the vendors: thin deliveries completed, lost ones found, notes left. Lever as example."""

import gzip
import hashlib
import hmac
import json
from datetime import timedelta

import pytest

from domain.application import Application, Interview
from domain.candidate import Candidate
from domain.deadline import Deadline
from domain.delivery import Delivery
from domain.notice import Notice
from domain.vendor import AtsPoll, VendorNote, VendorWord
from integrations.ats import APIS
from tests.applications import one, rows
from tests.conftest import START, forward
from tests.factories import work
from tests.vendors import Said, vendor_stub

pytestmark = pytest.mark.anyio

KEY = "1f0e2d3c4b5a69788796a5b4c3d2e1f0"
OURS, THEIRS, ELSE = "reason-company", "reason-candidate", "reason-else"
NOW_MS = int(START.timestamp() * 1000)
CONNECTIONS = "/v1/company/ats/connections"
DELIVERIES = "/v1/company/ats/deliveries"


def minutes(number):
    return number * 60_000


def opportunity(number="o-1", *, archived=None):
    return {
        "id": number, "name": "試験 花子", "contact": f"person-{number}",
        "emails": [f"{number}@mail.example"], "phones": [], "origin": "applied",
        "archived": archived, "createdAt": NOW_MS - minutes(60 * 24 * 20),
        "updatedAt": NOW_MS, "stage": {"id": "s", "text": "一次面接"}, "tags": [],
        "sources": ["company_site"], "applications": [{"id": "a", "posting": None}],
        "urls": {}, "confidentiality": "non-confidential", "isAnonymized": False,
    }  # fmt: skip


JUST_NOW = NOW_MS - minutes(5)


def ended(reason=OURS, at=JUST_NOW):
    return {"archivedAt": at, "reason": reason}


@pytest.fixture
async def stub():
    async with vendor_stub() as made:
        listed = [
            {"id": one, "text": one, "status": "active", "type": "non-hired"}
            for one in (OURS, THEIRS, ELSE)
        ]
        made.lay("GET", "/v1/archive_reasons", {"data": listed, "hasNext": False})
        made.lay("GET", "/v1/opportunities", {"data": [], "hasNext": False})
        yield made


async def connect(api, stub, **settings):
    """A Lever connection, and the path of its door."""
    body = {
        "provider": "lever", "name": "Lever", "secrets": [KEY],
        "settings": {
            "api_base": stub.base, "api_key": "lever-key",
            "reason_map": {OURS: "company", THEIRS: "candidate"},
            "source_map": {"company_site": "company_site"}, **settings,
        },
    }  # fmt: skip
    answer = await api.post(CONNECTIONS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def deliver(
    client, connection, number="o-1", nonce="t-1", event="candidateArchiveChange", **data
):
    at = NOW_MS
    signature = hmac.new(KEY.encode(), f"{nonce}{at}".encode(), hashlib.sha256).hexdigest()
    body = {
        "event": event, "triggeredAt": at, "token": nonce,
        "signature": signature,
        "data": {
            "opportunityId": number, "contactId": f"person-{number}",
            "fromArchived": None, "toArchived": ended(), **data,
        },
    }  # fmt: skip
    path = connection["webhook_url"].removeprefix("http://relay.test")
    answer = await client.post(path, content=json.dumps(body).encode())
    assert answer.status_code == 200, answer.text


async def delivered(api):
    return (await api.get(DELIVERIES)).json()["data"]


# ---- thin deliveries ------------------------------------------------------------------------


async def test_a_thin_delivery_is_completed_by_the_api(client, company_api, runtime, world, stub):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended())})
    connection = await connect(company_api, stub)
    await deliver(client, connection)
    await work(runtime)
    (row,) = await delivered(company_api)

    assert (row["status"], row["origin"]) == ("processed", "webhook")
    assert row["events"][0]["type"] == "application.rejected"
    assert row["events"][0]["candidate"]["primary_email"] == "o-1@mail.example"
    assert row["effects"] == [
        {
            "type": "application.rejected",
            "dedupe_key": row["events"][0]["dedupe_key"],
            "effect": "applied",
            "application_id": (await one(runtime, world.company.id, Application)).id,
            "did": [
                {"what": "outcome", "from": "active", "to": "rejected"},
                {"what": "notice", "from": None, "to": "scheduled"},
            ],
        }
    ]


async def test_without_an_answer_the_delivery_waits_as_long_as_it_is_told_to(
    client, *, company_api, runtime, clock, world, stub
):
    stub.lay(
        "GET", "/v1/opportunities/o-1",
        Said({}, 429, {"retry-after": "1200"}), Said({}, 503),
        {"data": opportunity(archived=ended())},
    )  # fmt: skip
    connection = await connect(company_api, stub)
    await deliver(client, connection)
    await work(runtime)
    (row,) = await delivered(company_api)
    waiting = await one(runtime, world.company.id, Delivery)

    assert (row["status"], row["error"], row["attempts"]) == ("received", "api_busy", 1)
    assert row["events"] == []
    assert waiting.look_at - clock() >= timedelta(minutes=19)

    forward(clock, minutes=10)
    await work(runtime)
    assert len(stub.asked("/v1/opportunities/o-1")) == 1

    forward(clock, minutes=10, seconds=5)
    await work(runtime)
    forward(clock, minutes=5)
    await work(runtime)
    (row,) = await delivered(company_api)

    assert (row["status"], row["error"]) == ("processed", None)


async def test_after_three_days_it_has_failed_and_can_be_replayed(
    client, company_api, runtime, clock, stub
):
    stub.lay("GET", "/v1/opportunities/o-1", Said({}, 500))
    connection = await connect(company_api, stub)
    await deliver(client, connection)
    for _ in range(80):
        await work(runtime)
        forward(clock, hours=1)
    (row,) = await delivered(company_api)
    assert (row["status"], row["error"]) == ("failed", "api_unavailable")

    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended())})
    await company_api.post(f"{DELIVERIES}/{row['id']}/replay")
    await work(runtime)

    assert (await delivered(company_api))[0]["status"] == "processed"


async def test_a_body_spliced_together_emits_nothing(client, company_api, runtime, world, stub):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended())})
    stub.lay("GET", "/v1/opportunities/o-2", {"data": opportunity("o-2", archived=ended())})
    connection = await connect(company_api, stub)
    await deliver(client, connection, "o-1", "t-1")
    await work(runtime)
    await deliver(client, connection, "o-2", "t-1")
    await work(runtime)
    spliced, first = await delivered(company_api)

    assert (spliced["status"], spliced["error"], spliced["events"]) == ("failed", "id_reused", [])
    assert first["status"] == "processed"
    assert len(await rows(runtime, world.company.id, Application)) == 1

    await company_api.post(f"{DELIVERIES}/{first['id']}/replay")
    await work(runtime)
    assert (await delivered(company_api))[1]["status"] == "processed"


async def test_what_the_api_does_not_confirm_emits_nothing(client, company_api, runtime, stub):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=None)})
    connection = await connect(company_api, stub)
    await deliver(client, connection)
    await work(runtime)
    (row,) = await delivered(company_api)

    assert (row["status"], row["events"]) == ("ignored", [])


async def test_without_a_credential_it_waits_for_one(client, company_api, runtime, stub):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended())})
    connection = await connect(company_api, stub, api_key=None)
    await deliver(client, connection)
    await work(runtime)
    (row,) = await delivered(company_api)
    assert (row["status"], row["error"]) == ("failed", "api_key_missing")

    changed = await company_api.patch(
        f"{CONNECTIONS}/{connection['id']}", json={"settings": {"api_key": "lever-key"}}
    )
    await work(runtime)

    assert "lever-key" not in changed.text
    assert (await delivered(company_api))[-1]["status"] == "processed"


async def test_a_reason_that_gets_its_meaning_lets_the_notice_go(
    client, company_api, runtime, world, stub
):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended(ELSE))})
    connection = await connect(company_api, stub)
    await deliver(client, connection, toArchived=ended(ELSE))
    await work(runtime)
    application = await one(runtime, world.company.id, Application)
    words = await rows(runtime, world.company.id, VendorWord)

    assert application.holds == ["reason_unclassified"]
    assert await rows(runtime, world.company.id, Notice) == []
    assert {(word.kind, word.word_id, word.text) for word in words} >= {("reason", ELSE, ELSE)}

    known = {OURS: "company", THEIRS: "candidate", ELSE: "company"}
    await company_api.patch(
        f"{CONNECTIONS}/{connection['id']}", json={"settings": {"reason_map": known}}
    )
    await work(runtime)
    application = await one(runtime, world.company.id, Application)
    event = (await delivered(company_api))[0]["events"][0]

    assert application.holds == []
    assert (await one(runtime, world.company.id, Notice)).state == "scheduled"
    assert event["supersedes"] == event["dedupe_key"].removesuffix("#1")


async def test_a_reason_that_means_withdrawal_lets_nothing_go(
    client, company_api, runtime, world, stub
):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended(ELSE))})
    connection = await connect(company_api, stub)
    await deliver(client, connection, toArchived=ended(ELSE))
    await work(runtime)
    await company_api.patch(
        f"{CONNECTIONS}/{connection['id']}", json={"settings": {"reason_map": {ELSE: "candidate"}}}
    )
    await work(runtime)

    assert (await one(runtime, world.company.id, Application)).outcome == "withdrawn"
    assert await rows(runtime, world.company.id, Notice) == []


# ---- polling --------------------------------------------------------------------------------


def listed(call, *found):
    """Lever lists what ended and what goes on by different filters."""
    wants_ended = "archived_at_start" in call.query
    return {
        "data": [one for one in found if bool(one["archived"]) is wants_ended], "hasNext": False,
    }  # fmt: skip


def found_by_polling(stub, *found):
    stub.lay("GET", "/v1/opportunities", lambda call: listed(call, *found))
    for one_ in found:
        stub.lay("GET", f"/v1/opportunities/{one_['id']}", {"data": one_})


async def test_a_lost_webhook_is_found_within_a_quarter_of_an_hour(
    client, *, company_api, runtime, clock, world, stub
):
    connection = await connect(company_api, stub)
    await work(runtime)
    assert await delivered(company_api) == []

    lost = opportunity(archived=ended(at=NOW_MS + minutes(1)))
    found_by_polling(stub, lost)
    forward(clock, minutes=16)
    await work(runtime)
    (row,) = await delivered(company_api)
    recent = next(
        poll for poll in await rows(runtime, world.company.id, AtsPoll) if poll.kind == "recent"
    )

    assert (row["status"], row["origin"], row["provider_event"]) == ("processed", "poll", "poll")
    assert row["events"][0]["type"] == "application.rejected"
    assert (recent.found, recent.error, recent.cursor) == (1, None, None)
    assert (await one(runtime, world.company.id, Notice)).state == "scheduled"

    # The webhook that comes late after all lands on the same key, and so does the next poll.
    await deliver(client, connection, toArchived=lost["archived"])
    await work(runtime)
    forward(clock, minutes=16)
    await work(runtime)
    late, polled = await delivered(company_api)

    assert (late["status"], late["events"]) == ("ignored", [])
    assert polled["id"] == row["id"]
    assert late["effects"][0]["dedupe_key"] == row["events"][0]["dedupe_key"]
    assert late["effects"][0]["effect"] == "known"
    assert len(await rows(runtime, world.company.id, Notice)) == 1


async def test_each_poll_looks_back_an_hour_over_the_last(company_api, runtime, clock, stub):
    await connect(company_api, stub)
    await work(runtime)
    first = clock()
    forward(clock, minutes=20)
    await work(runtime)
    since = [
        int(call.query["archived_at_start"][0])
        for call in stub.asked("/v1/opportunities")
        if "archived_at_start" in call.query
    ]

    assert len(since) == 2
    assert 0 <= first.timestamp() * 1000 - minutes(60) - since[1] < 60_000


async def test_every_night_thirty_days_are_looked_through(company_api, runtime, clock, stub):
    await connect(company_api, stub)
    await work(runtime)
    forward(clock, hours=24)
    await work(runtime)
    since = min(
        int(call.query["archived_at_start"][0])
        for call in stub.asked("/v1/opportunities")
        if "archived_at_start" in call.query
    )

    assert abs(clock().timestamp() * 1000 - since - 30 * minutes(60 * 24)) < minutes(60)


async def test_what_ended_before_we_were_connected_is_known_and_not_told(
    company_api, runtime, clock, world, stub
):
    old = opportunity(archived=ended(at=NOW_MS - 10 * minutes(60 * 24)))
    found_by_polling(stub, old)
    await connect(company_api, stub)
    await work(runtime)
    forward(clock, hours=24)
    await work(runtime)
    application = await one(runtime, world.company.id, Application)

    assert (application.outcome, application.holds) == ("rejected", ["history"])
    assert await rows(runtime, world.company.id, Notice) == []


async def test_a_poll_cut_off_goes_on_where_it_stood(company_api, runtime, clock, world, stub):
    one_, two = (
        opportunity(number, archived=ended(at=NOW_MS - minutes(2))) for number in ("o-1", "o-2")
    )
    asked = []

    def answer(call):
        if "archived_at_start" not in call.query:
            return {"data": [], "hasNext": False}
        offset = call.query.get("offset", [""])[0]
        asked.append(offset)
        if offset == "":
            return {"data": [one_], "hasNext": True, "next": "behind-one"}
        return Said({}, 503) if len(asked) == 2 else {"data": [two], "hasNext": False}

    stub.lay("GET", "/v1/opportunities", answer)
    await connect(company_api, stub)
    await work(runtime)
    halted = await rows(runtime, world.company.id, AtsPoll)
    recent = next(poll for poll in halted if poll.kind == "recent")

    assert (recent.failures, recent.error) == (1, "api_unavailable")
    assert recent.cursor == {"part": "ended", "offset": "behind-one"}
    assert len(await rows(runtime, world.company.id, Application)) == 1

    forward(clock, minutes=2)
    await work(runtime)

    assert asked[:3] == ["", "behind-one", "behind-one"]
    assert len(await rows(runtime, world.company.id, Application)) == 2


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_a_cursor_the_vendor_has_forgotten_is_not_asked_for_ever(
    company_api, *, runtime, clock, world, stub, status
):
    first, second = (
        opportunity(number, archived=ended(at=NOW_MS - minutes(2))) for number in ("o-1", "o-2")
    )
    forgotten = []

    def answer(call):
        if "archived_at_start" not in call.query:
            return {"data": [], "hasNext": False}
        if "offset" not in call.query:
            return {"data": [first], "hasNext": True, "next": f"after {len(forgotten)}"}
        if call.query["offset"] == ["after 0"]:
            forgotten.append(call)
            return Said({}, status)
        return {"data": [second], "hasNext": False}

    stub.lay("GET", "/v1/opportunities", answer)
    await connect(company_api, stub)
    await work(runtime)
    forward(clock, minutes=5)
    await work(runtime)

    assert len(forgotten) == 1
    assert len(await rows(runtime, world.company.id, Application)) == 2


async def test_one_fact_that_cannot_be_read_does_not_keep_the_others_waiting(
    company_api, runtime, stub
):
    broken = opportunity("o-1", archived={"archivedAt": "soon", "reason": OURS})
    found_by_polling(stub, broken, opportunity("o-2", archived=ended()))
    await connect(company_api, stub)
    await work(runtime)
    by_status = {row["status"]: row for row in await delivered(company_api)}

    assert by_status["failed"]["error"] == "archived_at_malformed"
    assert by_status["processed"]["events"][0]["application"]["external_id"] == "o-2"


async def test_half_a_letter_in_one_fact_does_not_keep_the_others_waiting(
    company_api, runtime, stub
):
    """As systems write it that cut long texts short: `\\ud83d`, the first half of an emoji."""
    odd = {**opportunity("o-1", archived=ended()), "tags": ["\ud83d"]}
    raw = {"data": [odd, opportunity("o-2", archived=ended())], "hasNext": False}
    stub.lay("GET", "/v1/opportunities", Said(raw=json.dumps(raw).encode()))
    await connect(company_api, stub)
    await work(runtime)
    known = await rows_of(company_api)

    assert "o-2" in known
    assert len(await delivered(company_api)) == 2


async def rows_of(api):
    found = (await api.get("/v1/company/applications")).json()["data"]
    return {one["external_id"] for one in found}


async def test_a_part_that_is_forbidden_does_not_end_the_search_for_the_others(
    company_api, runtime, clock, world, stub
):
    """The first page is answered, the second never: what is new is on the first."""
    asked = []

    def first_or_second(call):
        if call.query.get("offset"):
            return Said({}, 403)
        asked.append(clock())
        return {"data": [], "hasNext": True, "next": "second"}

    stub.lay("GET", "/v1/opportunities", first_or_second)
    await connect(company_api, stub)
    for _ in range(4):
        await work(runtime)
        forward(clock, hours=3)
    recent = next(
        poll for poll in await rows(runtime, world.company.id, AtsPoll) if poll.kind == "recent"
    )

    assert len(asked) >= 4
    assert (recent.error, recent.failures) == ("api_unauthorised", 4)
    assert (recent.started_at, recent.until) == (None, None)  # the next one begins anew


async def test_a_page_that_breaks_us_is_shown_and_asked_for_again(
    *, company_api, runtime, clock, world, stub, monkeypatch
):
    broken = monkeypatch.context
    await connect(company_api, stub)
    with broken() as patched:
        patched.setattr(APIS["lever"], "page", None)  # whatever it is that breaks
        await work(runtime)
        (recent,) = [
            one for one in await rows(runtime, world.company.id, AtsPoll) if one.kind == "recent"
        ]
        assert (recent.error, recent.failures) == ("internal_error", 1)
    forward(clock, hours=1)
    await work(runtime)
    (recent,) = [
        one for one in await rows(runtime, world.company.id, AtsPoll) if one.kind == "recent"
    ]

    assert (recent.error, recent.failures) == (None, 0)


async def test_a_lever_deletion_that_names_no_person_reaches_the_person(
    client, *, company_api, runtime, world, stub
):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended())})
    connection = await connect(company_api, stub)
    await deliver(client, connection)
    await work(runtime)
    stub.lay("GET", "/v1/opportunities/o-1", Said({}, 404))
    await deliver(
        client, connection, nonce="t-2", event="candidateDeleted", contactId=None, toArchived=None
    )
    await work(runtime)

    (person,) = [
        one
        for one in await rows(runtime, world.company.id, Candidate)
        if one.merged_into_id is None
    ]
    assert person.erased_at is not None
    assert [one.state for one in await rows(runtime, world.company.id, Notice)] == ["cancelled"]


async def test_without_a_credential_or_switched_off_nobody_is_asked(
    company_api, runtime, clock, stub
):
    connection = await connect(company_api, stub)
    await work(runtime)
    seen = len(stub.calls)
    await company_api.patch(f"{CONNECTIONS}/{connection['id']}", json={"enabled": False})
    forward(clock, days=2)
    await work(runtime)

    assert seen > 0
    assert len(stub.calls) == seen


async def test_a_refused_credential_is_shown_and_tried_again_later(
    company_api, runtime, clock, world, stub
):
    stub.lay("GET", "/v1/opportunities", Said({}, 401))
    await connect(company_api, stub)
    await work(runtime)
    recent = next(
        poll for poll in await rows(runtime, world.company.id, AtsPoll) if poll.kind == "recent"
    )

    assert recent.error == "api_unauthorised"
    assert recent.due_at > clock()


# ---- interviews -----------------------------------------------------------------------------


async def test_an_interview_is_known_by_polling_and_counted_after_its_end(
    company_api, runtime, clock, world, stub
):
    found_by_polling(stub, opportunity())
    starts = NOW_MS + minutes(60 * 5)
    meeting = {
        "id": "i-1", "subject": "一次面接", "createdAt": NOW_MS, "date": starts, "duration": 60,
        "canceledAt": None,
    }  # fmt: skip
    stub.lay("GET", "/v1/opportunities/o-1/interviews", {"data": [meeting], "hasNext": False})
    await connect(company_api, stub)
    await work(runtime)
    interview = await one(runtime, world.company.id, Interview)

    assert interview.status == "scheduled"
    assert interview.ask_at == interview.ends_at + timedelta(minutes=5)
    assert await rows(runtime, world.company.id, Deadline) == []

    found_by_polling(stub)  # nothing changes any more on Lever's side
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity()})
    forward(clock, hours=6, minutes=10)
    await work(runtime)
    interview = await one(runtime, world.company.id, Interview)
    deadline = await one(runtime, world.company.id, Deadline)

    assert (interview.status, interview.ask_at) == ("completed", None)
    assert deadline.interview_ended_at == interview.ends_at


async def test_an_interview_called_off_meanwhile_has_no_deadline(
    company_api, runtime, clock, world, stub
):
    found_by_polling(stub, opportunity())
    meeting = {
        "id": "i-1", "createdAt": NOW_MS, "date": NOW_MS + minutes(60), "duration": 30,
        "canceledAt": None,
    }  # fmt: skip
    path = "/v1/opportunities/o-1/interviews"
    stub.lay("GET", path, {"data": [meeting], "hasNext": False})
    await connect(company_api, stub)
    await work(runtime)
    called_off = {**meeting, "canceledAt": NOW_MS + minutes(30)}
    stub.lay("GET", path, {"data": [called_off], "hasNext": False})
    forward(clock, hours=2)
    await work(runtime)

    assert (await one(runtime, world.company.id, Interview)).status == "cancelled"
    assert await rows(runtime, world.company.id, Deadline) == []


# ---- notes ----------------------------------------------------------------------------------


async def test_a_note_is_left_when_the_candidate_was_told(
    client, *, company_api, runtime, clock, world, stub
):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended())})
    stub.lay("POST", "/v1/opportunities/o-1/notes", Said({}, 503), {"data": {}})
    stub.lay("POST", "/v1/opportunities/o-1/addTags", {"data": {}})
    connection = await connect(company_api, stub, write_back=True)
    await deliver(client, connection)
    await work(runtime)
    forward(clock, hours=3)
    await work(runtime)
    refused = await one(runtime, world.company.id, VendorNote)
    assert (refused.kind, refused.state, refused.error) == ("told", "pending", "api_unavailable")

    forward(clock, minutes=5)
    await work(runtime)
    left = await one(runtime, world.company.id, VendorNote)
    sent = stub.asked("/v1/opportunities/o-1/notes")[-1].json["value"]

    assert left.state == "sent"
    assert sent.startswith("Career Relay: 選考結果を候補者に通知しました")
    assert "2026-06-02" in sent
    assert "花子" not in sent
    assert "mail.example" not in sent
    assert stub.asked("/v1/opportunities/o-1/addTags")[0].json == {"tags": ["career-relay:told"]}


async def test_no_note_is_left_unless_it_was_switched_on(
    client, *, company_api, runtime, clock, world, stub
):
    stub.lay("GET", "/v1/opportunities/o-1", {"data": opportunity(archived=ended())})
    connection = await connect(company_api, stub)
    await deliver(client, connection)
    await work(runtime)
    forward(clock, hours=3)
    await work(runtime)

    assert (await one(runtime, world.company.id, Notice)).state == "sent"
    assert await rows(runtime, world.company.id, VendorNote) == []


# ---- words without a meaning ----------------------------------------------------------------


async def test_a_status_nobody_gave_a_meaning_waits_for_it(client, company_api, runtime, world):
    async with vendor_stub() as icims:
        workflow = {
            "status": {"id": "C51218", "value": "不採用"},
            "associatedprofile": {"id": 244, "value": "試験 花子"},
            "baseprofile": {"id": 1181, "value": "法人営業"},
        }
        icims.lay("GET", "/customers/6268/applicantworkflows/900", workflow)
        icims.lay(
            "GET", "/customers/6268/people/244",
            {"firstname": "花子", "lastname": "試験", "email": "hanako@mail.example"},
        )  # fmt: skip
        made = await company_api.post(
            CONNECTIONS,
            json={
                "provider": "icims", "name": "iCIMS", "secrets": ["user:a-long-password-here"],
                "settings": {
                    "api_base": icims.base, "api_key": "user:password", "customer_id": "6268",
                },
            },
        )  # fmt: skip
        body = {
            "eventType": "WorkFlowStatusChangeEvent", "systemId": "900", "customerId": "6268",
            "personId": "244", "jobId": "1181", "newStatus": "C51218", "oldStatus": "C2014",
        }  # fmt: skip
        path = made.json()["webhook_url"].removeprefix("http://relay.test")
        raw = gzip.compress(json.dumps(body).encode())
        answer = await client.post(
            path, content=raw, auth=("user", "a-long-password-here"),
            headers={"content-encoding": "gzip"},
        )  # fmt: skip
        await work(runtime)
        (row,) = await delivered(company_api)
        words = await rows(runtime, world.company.id, VendorWord)

        assert answer.status_code == 200
        assert (row["status"], row["error"]) == ("failed", "word_unmapped")
        assert [(word.kind, word.word_id) for word in words] == [("status", "C51218")]

        await company_api.patch(
            f"{CONNECTIONS}/{made.json()['id']}",
            json={"settings": {"status_map": {"C51218": "rejected"}}},
        )
        await work(runtime)
        row = (await delivered(company_api))[-1]

    assert (row["status"], row["error"]) == ("processed", None)
    assert row["events"][0]["type"] == "application.rejected"
    assert (await one(runtime, world.company.id, Notice)).state == "scheduled"
