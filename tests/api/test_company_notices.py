"""Deadlines, notices, links and numbers over HTTP."""

from datetime import timedelta

import pytest

from domain.invitation import CandidateLink, Invitation
from domain.notice import Mail, Notice
from tests.applications import HANAKO, an_application, an_interview, mailbox, one, reject, rows
from tests.conftest import api_client, forward
from tests.domain.test_feedback import GOOD
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio


async def told(runtime, world, clock, **facts):
    """An application that was interviewed, rejected and told."""
    application = await an_application(runtime, world, **facts)
    await an_interview(runtime, application)
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    return application


async def drafted(runtime, world):
    """A draft of a rejection, as manual mode leaves it."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.merge(world.company)
        company.notice_mode = "manual"
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    await reject(runtime, application)
    return await one(runtime, world.company.id, Notice, application_id=application.id)


async def test_a_deadline_as_others_see_it(runtime, world, company_api):
    application = await an_application(runtime, world)
    interview = await an_interview(runtime, application)
    answer = await company_api.get(f"/v1/company/deadlines?application_id={application.id}")

    assert answer.status_code == 200
    (shown,) = answer.json()["data"]
    assert answer.json()["next_cursor"] is None
    assert shown.pop("id").startswith("ddl_")
    assert shown.pop("interview_ended_at").endswith("Z")
    assert shown == {
        "application_id": application.id,
        "interview_id": interview.id,
        "due_on": "2026-06-05",
        "due_before": "2026-06-05T15:00:00Z",
        "state": "open",
        "met_at": None,
        "missed_at": None,
        "provisional": False,
    }


async def test_a_notice_as_others_see_it(runtime, world, clock, company_api):
    application = await told(runtime, world, clock)
    answer = await company_api.get(f"/v1/company/notices?application_id={application.id}")
    (shown,) = answer.json()["data"]

    assert (shown["kind"], shown["state"], shown["has_feedback"]) == ("rejected", "sent", False)
    assert shown["sent_at"] > shown["send_at"]
    assert set(shown) == {
        "id", "application_id", "kind", "state", "send_at", "sent_at", "has_feedback",
        "supersedes_id", "created_at",
    }  # fmt: skip


async def test_lists_are_filtered_and_paged(runtime, world, clock, company_api):
    for _ in range(3):
        await an_interview(runtime, await an_application(runtime, world))
    await told(runtime, world, clock)
    first = (await company_api.get("/v1/company/deadlines?limit=2&state=open")).json()
    rest = (
        await company_api.get(
            f"/v1/company/deadlines?limit=2&state=open&cursor={first['next_cursor']}"
        )
    ).json()
    met = (await company_api.get("/v1/company/deadlines?state=met")).json()

    assert [len(first["data"]), len(rest["data"]), len(met["data"])] == [2, 1, 1]
    assert rest["next_cursor"] is None
    ids = [row["id"] for row in first["data"] + rest["data"]]
    assert ids == sorted(ids, reverse=True)


async def test_another_company_sees_and_changes_nothing(runtime, world):
    notice = await drafted(runtime, world)
    other = await make_world(runtime, slug="other", agencies=0)
    async with api_client(runtime, other.company_client) as stranger:
        lists = [
            (await stranger.get(f"/v1/company/{what}")).json()["data"]
            for what in ("deadlines", "notices")
        ]
        answers = [
            await stranger.get(f"/v1/company/notices/{notice.id}"),
            await stranger.patch(f"/v1/company/notices/{notice.id}", json={"feedback": GOOD}),
            await stranger.post(f"/v1/company/notices/{notice.id}/send"),
            await stranger.post(f"/v1/company/applications/{notice.application_id}/invitation"),
            await stranger.post(
                f"/v1/company/applications/{notice.application_id}/interim-notice",
                json={"reason": "x", "new_date": "2026-06-10"},
            ),
            await stranger.post(
                f"/v1/company/applications/{notice.application_id}/result-notice",
                json={"kind": "rejected", "told_at": "2026-06-02T00:00:00Z"},
            ),
        ]

    assert lists == [[], []]
    assert [answer.status_code for answer in answers] == [404] * 6
    unchanged = await one(runtime, world.company.id, Notice)
    assert (unchanged.state, unchanged.feedback) == ("draft", None)


async def test_an_agency_and_a_stranger_are_turned_away(client, agency_api):
    assert (await client.get("/v1/company/deadlines")).status_code == 401
    assert (await agency_api.get("/v1/company/deadlines")).status_code == 403
    assert (await agency_api.get("/v1/company/metrics")).status_code == 403


async def test_feedback_is_written_read_sent_and_then_fixed(runtime, world, company_api):
    notice = await drafted(runtime, world)
    path = f"/v1/company/notices/{notice.id}"
    written = await company_api.patch(path, json={"feedback": GOOD})
    read = await company_api.get(path)
    sent = await company_api.post(f"{path}/send")
    await work(runtime)
    late = await company_api.patch(path, json={"feedback": None})
    (mail,) = await mailbox(runtime, world.company.id)

    assert (written.status_code, written.json()["has_feedback"]) == (200, True)
    assert read.json()["feedback"] == GOOD
    assert (sent.status_code, sent.json()["state"]) == (200, "scheduled")
    assert GOOD in mail["text"]
    assert (late.status_code, late.json()["code"]) == (409, "not_editable")


@pytest.mark.parametrize(
    ("feedback", "code"),
    [
        (GOOD + "ご家族のことも伺いました。", "feedback_topic"),
        (GOOD + "090-1234-5678", "feedback_contact"),
        ("よかったです。", "feedback_length"),
    ],
)
async def test_feedback_the_guard_stops_is_not_kept(runtime, world, company_api, feedback, code):
    notice = await drafted(runtime, world)
    answer = await company_api.patch(
        f"/v1/company/notices/{notice.id}", json={"feedback": feedback}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await one(runtime, world.company.id, Notice)).feedback is None


async def test_pressing_send_twice_sends_once(runtime, world, company_api):
    notice = await drafted(runtime, world)
    path, key = f"/v1/company/notices/{notice.id}/send", {"idempotency-key": "send-1"}
    first = await company_api.post(path, headers=key)
    again = await company_api.post(path, headers=key)
    other = await company_api.post(path)
    await work(runtime)

    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert again.headers["idempotency-replayed"] == "true"
    assert other.json()["code"] == "not_sendable"
    assert len(await mailbox(runtime, world.company.id)) == 1


async def test_an_interim_notice_over_http(runtime, world, company_api):
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    path = f"/v1/company/applications/{application.id}/interim-notice"
    past = await company_api.post(path, json={"reason": "社内調整", "new_date": "2026-06-01"})
    made = await company_api.post(path, json={"reason": "社内調整", "new_date": "2026-06-10"})
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)
    deadlines = (await company_api.get("/v1/company/deadlines")).json()["data"]

    assert (past.status_code, past.json()["code"]) == (422, "date_in_the_past")
    assert (made.status_code, made.json()["kind"]) == (201, "interim")
    assert "社内調整のため" in mail["text"]
    assert [row["state"] for row in deadlines] == ["open"]


async def test_a_result_told_by_phone_keeps_the_promise_and_no_mail_goes(
    runtime, world, clock, company_api
):
    notice = await drafted(runtime, world)
    path = f"/v1/company/applications/{notice.application_id}/result-notice"
    told_at = (clock() - timedelta(minutes=5)).isoformat()
    passed = await company_api.post(path, json={"kind": "passed", "told_at": told_at})
    noted = await company_api.post(path, json={"kind": "rejected", "told_at": told_at})
    forward(clock, days=5)
    await work(runtime)
    (deadline,) = (await company_api.get("/v1/company/deadlines")).json()["data"]

    assert (passed.status_code, passed.json()["code"]) == (409, "outcome_differs")
    assert (noted.status_code, noted.json()["state"]) == (201, "sent")
    assert noted.json()["id"] == notice.id
    assert (deadline["state"], deadline["met_at"]) == ("met", noted.json()["sent_at"])
    assert await rows(runtime, world.company.id, Mail) == []


async def test_a_link_to_hand_over(runtime, world, clock, company_api):
    application = await told(runtime, world, clock)
    answer = await company_api.post(f"/v1/company/applications/{application.id}/invitation")
    invitation = await one(runtime, world.company.id, Invitation)

    assert answer.status_code == 201
    assert answer.json()["url"].startswith("http://relay.test/c/")
    assert answer.json()["expires_at"] == invitation.expires_at.isoformat().replace("+00:00", "Z")
    assert len(await rows(runtime, world.company.id, CandidateLink)) == 2


async def test_no_link_before_the_result_was_told(runtime, world, company_api):
    application = await an_application(runtime, world, source="agency")
    answer = await company_api.post(f"/v1/company/applications/{application.id}/invitation")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_eligible")
    assert answer.json()["detail"] == "decision_not_rejected, notice_not_sent, source_not_allowed"
    assert await rows(runtime, world.company.id, CandidateLink) == []


async def test_the_numbers_of_an_empty_company(company_api):
    numbers = (await company_api.get("/v1/company/metrics")).json()

    assert numbers["notice_on_time_rate"] == {"value": None, "part": 0, "whole": 0}
    assert numbers["notice_median_business_days"] is None
    assert (numbers["notices_due_today"], numbers["notices_overdue"]) == (0, 0)
    assert numbers["provisions_without_valid_consent"] == 0
    assert (numbers["requests_open"], numbers["requests_oldest_days"]) == (0, 0)
    assert (numbers["requests_overdue"], numbers["erasures_done"]) == (0, 0)
    assert (numbers["period_from"], numbers["period_to"]) == ("2026-03-05", "2026-06-02")
    assert numbers["on_time_by_stage"] == []


async def test_the_numbers_follow_the_rows(runtime, world, clock, company_api):
    for _ in range(5):  # told on the day of the interview
        application = await an_application(runtime, world)
        await an_interview(runtime, application)
        await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    missed = await an_application(runtime, world, source="agency")
    await an_interview(runtime, missed, ended_at=clock(), stage="最終")
    forward(clock, days=5)
    await work(runtime)
    open_one = await an_application(runtime, world)
    await an_interview(runtime, open_one)
    forward(clock, days=3)
    await work(runtime)
    numbers = (await company_api.get("/v1/company/metrics?to=2026-06-30")).json()

    assert numbers["notice_on_time_rate"] == {"value": 0.8333, "part": 5, "whole": 6}
    assert numbers["notices_missed"] == 1
    assert numbers["notice_median_business_days"] == 0.0
    assert (numbers["notices_due_today"], numbers["notices_overdue"]) == (1, 1)
    assert numbers["feedback_rate"] == {"value": 0.0, "part": 0, "whole": 5}
    assert numbers["invitation_rate"] == {"value": 1.0, "part": 5, "whole": 5}
    assert numbers["opt_in_rate"] == {"value": 0.0, "part": 0, "whole": 5}
    assert numbers["on_time_by_stage"] == [
        {"key": "", "people": 5, "rate": 1.0},
        {"key": "最終", "people": "<5", "rate": None},
    ]
    assert {row["key"] for row in numbers["bounces_by_template"]} >= {"notice_rejected"}


@pytest.mark.parametrize("period", ["from=2026-06-02&to=2026-06-01", "from=2020-01-01"])
async def test_a_period_that_cannot_be(company_api, period):
    answer = await company_api.get(f"/v1/company/metrics?{period}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_period")


async def test_no_answer_names_the_candidate(runtime, world, clock, company_api):
    await told(runtime, world, clock)
    paths = ("deadlines", "notices", "metrics")
    seen = "".join([(await company_api.get(f"/v1/company/{path}")).text for path in paths])

    for personal in (HANAKO["email"], "花子", "試験"):
        assert personal not in seen
