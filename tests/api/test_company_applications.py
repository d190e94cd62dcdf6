"""Applications over the API: what is shown, and what a company without an ATS may say itself."""

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import select

from domain import vault
from domain.application import HoldClearance
from domain.candidate import Candidate
from domain.deadline import Deadline
from domain.notice import Mail, Notice
from tests.conftest import forward
from tests.deliveries import Ats, person, rejection
from tests.factories import make_world, token_for, work

pytestmark = pytest.mark.anyio

APPLICATIONS = "/v1/company/applications"
UNKNOWN = "app_01m7yvdx9te5v8ptw0ctdy44xm"
HANAKO = {
    "candidate": {
        "family_name": "試験", "given_name": "花子", "email": "hanako@mail.example",
        "phone": "090-1234-5678",
    },
    "job": {"title": "法人営業", "department": "営業部"},
    "source": "direct",
}  # fmt: skip


@pytest.fixture
async def ats(runtime, client):
    return Ats(client, runtime, await make_world(runtime))


class Hr:
    """A program of the company."""

    def __init__(self, ats, token):
        self.ats, self.client = ats, ats.client
        self.headers = {"authorization": f"Bearer {token}"}

    async def get(self, path="", **params):
        return await self.client.get(
            APPLICATIONS + path, params=params or None, headers=self.headers
        )

    async def post(self, path, body, key=None):
        headers = {**self.headers, "idempotency-key": key or secrets.token_hex(8)}
        answer = await self.client.post(APPLICATIONS + path, json=body, headers=headers)
        await work(self.ats.runtime)
        return answer

    async def rows(self, kind):
        ats = self.ats
        async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
            return list((await db.scalars(select(kind).order_by(kind.id))).all())


@pytest.fixture
async def hr(ats):
    return Hr(ats, await token_for(ats.client, ats.world.company_client))


# ---- what is shown --------------------------------------------------------------------------


async def test_an_application_an_ats_told_of(ats, hr):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now, None)})
    await ats.told("application.rejected", {**person("2"), **rejection(now)})
    (found,) = (await hr.get(external_id="A-1")).json()["data"]
    one = await hr.get("/" + found["id"])

    assert one.json() == found
    assert {name: found[name] for name in found if not name.endswith(("_at", "id"))} == {
        "outcome": "rejected",
        "initiated_by": "unknown",
        "rejection_reason": None,
        "holds": ["reason_unclassified"],
        "cleared_holds": [],
        "not_before": None,
        "relay_eligibility": {"eligible": False, "reasons": ["notice_not_sent"]},
        "job_title": "法人営業",
        "department": "営業部",
        "stage": "",
        "source": "company_site",
        "applicant_type": "general",
    }
    assert found["external_id"] == "A-1"
    assert found["connection_id"] == ats.world.connections["standard-webhooks"].id
    assert found["candidate_id"].startswith("cnd_")


async def test_eligible_once_the_notice_is_out(ats, hr):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now)})
    before = (await hr.get()).json()["data"][0]["relay_eligibility"]
    forward(ats.runtime.clock, hours=4)
    await work(ats.runtime)
    hr.headers["authorization"] = f"Bearer {await token_for(ats.client, ats.world.company_client)}"

    assert before == {"eligible": False, "reasons": ["notice_not_sent"]}
    assert (await hr.get()).json()["data"][0]["relay_eligibility"] == {
        "eligible": True, "reasons": [],
    }  # fmt: skip


async def test_nobody_s_name_or_address_is_in_the_list(ats, hr):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now)})
    answer = await hr.get()

    assert len(answer.json()["data"]) == 1
    for word in ("試験", "花子", "mail.example"):
        assert word not in answer.text


async def test_the_list_narrows_and_pages(ats, hr):
    now = ats.runtime.clock()
    for number in range(3):
        await ats.told("application.rejected", {**person(str(number)), **rejection(now)})
    await ats.told("application.withdrawn", {**person("9"), **rejection(now, "candidate")})
    withdrawn = (await hr.get(outcome="withdrawn")).json()["data"]
    first = (await hr.get(limit=3)).json()
    second = (await hr.get(limit=3, cursor=first["next_cursor"])).json()

    assert [row["external_id"] for row in withdrawn] == ["A-9"]
    assert [row["external_id"] for row in first["data"]] == ["A-9", "A-2", "A-1"]
    assert [row["external_id"] for row in second["data"]] == ["A-0"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(("path", "status"), [
    ("/nonsense", 422), ("/app_%00", 422), ("/" + UNKNOWN, 404), ("?outcome=lost", 422),
    ("?external_id=%00", 422), ("?limit=0", 422), ("?cursor=*", 422),
])  # fmt: skip
async def test_what_is_not_there_is_a_problem(hr, path, status):
    answer = await hr.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


# ---- a company without an ATS ---------------------------------------------------------------


async def test_from_the_application_to_the_mail_without_an_ats(ats, hr):
    now = ats.runtime.clock()
    made = await hr.post("", HANAKO)
    path = "/" + made.json()["id"]
    ended = (now - timedelta(hours=1)).isoformat()
    held = await hr.post(f"{path}/interviews", {"status": "completed", "ends_at": ended})
    decided = await hr.post(f"{path}/decision", {"outcome": "rejected", "reason_id": "R-1"})
    (deadline,) = await hr.rows(Deadline)
    forward(ats.runtime.clock, hours=4)
    await work(ats.runtime)

    assert (made.status_code, held.status_code, decided.status_code) == (201, 201, 200)
    assert (made.json()["outcome"], made.json()["outcome_at"]) == ("active", None)
    assert made.json()["connection_id"] is None
    assert held.json()["status"] == "completed"
    assert str(deadline.due_on) == "2026-06-05"
    assert (decided.json()["outcome"], decided.json()["initiated_by"]) == ("rejected", "company")
    assert decided.json()["rejection_reason"] == "R-1"
    assert [mail.state for mail in await hr.rows(Mail)] == ["sent"]
    assert [row.state for row in await hr.rows(Deadline)] == ["met"]
    (candidate,) = await hr.rows(Candidate)
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        profile = await vault.profile_of(db, ats.runtime.tools.sealer, candidate)
    assert profile["display_name"] == "試験 花子"
    assert profile["phone"] == "+819012345678"


async def test_a_withdrawal_calls_everything_off(ats, hr):
    now = ats.runtime.clock()
    path = "/" + (await hr.post("", HANAKO)).json()["id"]
    ended = now.isoformat()
    await hr.post(f"{path}/interviews", {"status": "completed", "ends_at": ended})
    await hr.post(f"{path}/decision", {"outcome": "rejected"})
    answer = await hr.post(f"{path}/decision", {"outcome": "withdrawn"})
    forward(ats.runtime.clock, days=10)
    await work(ats.runtime)

    assert (answer.json()["outcome"], answer.json()["initiated_by"]) == ("withdrawn", "candidate")
    assert [row.state for row in await hr.rows(Deadline)] == ["void"]
    assert [row.state for row in await hr.rows(Notice)] == ["cancelled"]
    assert await hr.rows(Mail) == []


async def test_a_decision_that_was_overtaken_is_refused(hr, ats):
    path = "/" + (await hr.post("", HANAKO)).json()["id"]
    await hr.post(f"{path}/decision", {"outcome": "hired"})
    earlier = (ats.runtime.clock() - timedelta(days=1)).isoformat()
    answer = await hr.post(f"{path}/decision", {"outcome": "rejected", "at": earlier})

    assert (answer.status_code, answer.json()["code"]) == (409, "overtaken")
    assert (await hr.get(path)).json()["outcome"] == "hired"
    assert await hr.rows(Notice) == []


async def test_a_decision_may_have_to_wait(ats, hr):
    path = "/" + (await hr.post("", HANAKO)).json()["id"]
    until = ats.runtime.clock() + timedelta(days=1)
    held = await hr.post(
        f"{path}/decision", {"outcome": "rejected", "not_before": until.isoformat()}
    )
    notices = await hr.rows(Notice)
    forward(ats.runtime.clock, days=1, minutes=1)
    await work(ats.runtime)

    assert (held.json()["holds"], notices) == (["not_before"], [])
    assert [row.state for row in await hr.rows(Notice)] == ["scheduled"]


async def test_an_interview_moves_and_is_called_off(hr, ats):
    later = ats.runtime.clock() + timedelta(days=1)
    path = "/" + (await hr.post("", HANAKO)).json()["id"]
    plan = {"external_id": "I-1", "starts_at": later.isoformat()}
    first = await hr.post(f"{path}/interviews", plan)
    forward(ats.runtime.clock, minutes=1)
    moved = {**plan, "starts_at": (later + timedelta(days=1)).isoformat()}
    second = await hr.post(f"{path}/interviews", moved)
    forward(ats.runtime.clock, minutes=1)
    third = await hr.post(f"{path}/interviews", {**moved, "status": "cancelled"})

    assert {first.json()["id"]} == {second.json()["id"], third.json()["id"]}
    assert second.json()["starts_at"] > first.json()["starts_at"]
    assert third.json()["status"] == "cancelled"


async def test_a_number_is_taken_once(hr):
    first = await hr.post("", {**HANAKO, "external_id": "M-1"}, key="k-1")
    again = await hr.post("", {**HANAKO, "external_id": "M-1"}, key="k-1")
    taken = await hr.post("", {**HANAKO, "external_id": "M-1"})

    assert first.json() == again.json()
    assert (taken.status_code, taken.json()["code"]) == (409, "application_known")
    assert len((await hr.get()).json()["data"]) == 1


async def test_somebody_without_an_address_is_held(hr):
    made = await hr.post("", {**HANAKO, "candidate": {"family_name": "試験"}})
    decided = await hr.post(f"/{made.json()['id']}/decision", {"outcome": "rejected"})

    assert made.json()["holds"] == ["no_email"]
    assert decided.json()["holds"] == ["no_email"]
    assert await hr.rows(Notice) == []


@pytest.mark.parametrize("change", [
    {"candidate": {"email": "nonsense"}},
    {"candidate": {"email": "a@b.example\r\nBcc: x@y.example"}},
    {"candidate": {"family_name": "a\0b"}}, {"job": {}}, {"source": "Not A Code"},
    {"applicant_type": "child"}, {"applied_at": "2026-06-02T00:00:00"}, {"more": 1},
    {"external_id": "x" * 201},
])  # fmt: skip
async def test_a_malformed_application_is_refused(hr, change):
    answer = await hr.post("", {**HANAKO, **change})

    assert answer.status_code == 422
    assert await hr.rows(Candidate) == []


# ---- holds ----------------------------------------------------------------------------------


async def test_a_person_clears_a_hold_and_says_why(ats, hr):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now, None)})
    number = (await hr.get()).json()["data"][0]["id"]
    before = await hr.rows(Notice)
    answer = await hr.post(
        f"/{number}/holds/reason_unclassified/clear", {"reason": "花子さんに確認した"}
    )

    (clearance,) = await hr.rows(HoldClearance)
    assert before == []
    assert answer.status_code == 200
    assert (answer.json()["holds"], answer.json()["cleared_holds"]) == (
        [], ["reason_unclassified"],
    )  # fmt: skip
    assert [row.state for row in await hr.rows(Notice)] == ["scheduled"]
    assert clearance.actor == ats.world.company_client[0]
    assert "花子".encode() not in clearance.reason


async def test_a_cleared_hold_does_not_come_back_with_the_same_words(ats, hr):
    now = ats.runtime.clock()
    quiet = person()
    quiet["candidate"]["can_email"] = False
    await ats.told("application.rejected", {**quiet, **rejection(now)})
    number = (await hr.get()).json()["data"][0]["id"]
    await hr.post(f"/{number}/holds/can_email_false/clear", {"reason": "本人の希望"})
    await ats.told("interview.completed", quiet)

    assert (await hr.get("/" + number)).json()["holds"] == []
    assert [row.state for row in await hr.rows(Notice)] == ["scheduled"]


@pytest.mark.parametrize(("hold", "reason", "status", "code"), [
    ("no_email", "x", 409, "hold_not_set"), ("nonsense", "x", 422, "invalid"),
    ("reason_unclassified", "", 422, "invalid"),
])  # fmt: skip
async def test_only_a_hold_that_stands_can_be_cleared(*, ats, hr, hold, reason, status, code):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now, None)})
    number = (await hr.get()).json()["data"][0]["id"]
    answer = await hr.post(f"/{number}/holds/{hold}/clear", {"reason": reason})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await hr.get("/" + number)).json()["holds"] == ["reason_unclassified"]
    assert await hr.rows(Notice) == []


# ---- who may --------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [
    ("GET", ""), ("GET", "/{id}"), ("POST", ""), ("POST", "/{id}/interviews"),
    ("POST", "/{id}/decision"), ("POST", "/{id}/holds/no_email/clear"),
])  # fmt: skip
async def test_only_the_company_s_programs_with_the_scope_come_in(ats, hr, method, path):
    made = (await hr.post("", HANAKO)).json()
    other = await make_world(ats.runtime, slug="other")
    bodies = {"": HANAKO, "/{id}/interviews": {}, "/{id}/decision": {"outcome": "rejected"}}
    tokens = {
        "nobody": None,
        "agency": await token_for(ats.client, ats.world.agency_clients[0]),
        "no scope": await token_for(ats.client, ats.world.company_client, "credits:read"),
        "another company": await token_for(ats.client, other.company_client),
    }
    statuses = {}
    for who, token in tokens.items():
        headers = {"idempotency-key": "k"} | ({"authorization": f"Bearer {token}"} if token else {})
        answer = await ats.client.request(
            method, APPLICATIONS + path.format(id=made["id"]), headers=headers,
            json=bodies.get(path, {"reason": "x"}) if method == "POST" else None,
        )  # fmt: skip
        statuses[who] = answer.status_code

    elsewhere = 404 if path else {"GET": 200, "POST": 201}[method]
    assert statuses == {"nobody": 401, "agency": 403, "no scope": 403, "another company": elsewhere}
    assert (await hr.get()).json()["data"] == [made]
