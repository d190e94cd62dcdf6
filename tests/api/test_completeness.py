"""Completeness at the doors: attestations, reconciliation, scorecard; both sides, nobody else."""

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import text, update

from domain.duty import Attestation, PlacementQuestion
from domain.flows.office.open_account import agree
from domain.ids import new_id
from domain.relay import StopNotice
from tests.applications import one
from tests.conftest import api_client, forward
from tests.factories import make_world, work
from tests.flows.ledger_story import at, place, terms_are
from tests.relays import forwarded, queued

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(runtime):
    """Agreements in which new relays pause when a duty is missed."""
    made = await make_world(runtime)
    async with runtime.database.transaction(company_id=made.company.id) as db:
        await terms_are(db, made, duties={"pause": True})
    return made


JUNE = "/v1/agency/attestations/2026-06"
SAID = {"statement": True, "manager": "見本 三郎"}


async def to(runtime, clock, day, hour=10):
    clock.move_to(at(day, hour))
    await work(runtime)


async def said(agency_api, relay, kind, moment):
    answer = await agency_api.post(
        f"/v1/agency/relays/{relay.id}/events", json={"type": kind, "at": moment.isoformat()}
    )
    assert answer.status_code == 200, answer.text


async def says_started(runtime, relay):
    """The person pressed the button; how they got there is told in the flow's tests."""
    now = runtime.clock()
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        db.add(
            PlacementQuestion(
                company_id=relay.company_id, id=new_id("pqn"), agency_id=relay.agency_id,
                candidate_id=relay.candidate_id, relay_id=relay.id, consent_event_id="cev_x",
                days=30, state="answered", answer="started", answered_at=now, created_at=now,
            )
        )  # fmt: skip


@pytest.fixture
async def owed(runtime, world, clock):
    """A relay of June, and its attestation due in July."""
    relay = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 2))
    return relay


# ---- attestations


@pytest.mark.usefixtures("owed")
async def test_the_agency_attests_and_both_sides_see_it(world, company_api, agency_api):
    before = (await agency_api.get("/v1/agency/attestations")).json()["data"]
    answer = await agency_api.post(JUNE, json=SAID)
    mine = (await agency_api.get("/v1/agency/attestations")).json()
    theirs = (await company_api.get("/v1/company/attestations")).json()

    assert [(one["month"], one["state"], one["due_on"], one["manager"]) for one in before] == [
        ("2026-06", "due", "2026-07-07", None)
    ]
    assert answer.status_code == 200, answer.text
    (given,) = answer.json()["data"]
    assert given == {
        "id": before[0]["id"], "month": "2026-06", "company_id": world.company.id,
        "agency_id": world.agency.id, "state": "given", "due_on": "2026-07-07",
        "given_at": given["given_at"], "manager": "見本 三郎", "open_relays": 1, "placements": 0,
    }  # fmt: skip
    assert mine == theirs == {"data": [given], "next_cursor": None}


@pytest.mark.usefixtures("owed")
async def test_the_manager_is_nowhere_in_the_clear(runtime, world, agency_api):
    await agency_api.post(JUNE, json=SAID)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        lines = (await db.execute(text("SELECT a::text FROM attestation a"))).scalars().all()

    assert len(lines) == 1
    assert "見本" not in lines[0]
    assert "見本".encode().hex() not in lines[0]


@pytest.mark.usefixtures("owed")
async def test_the_same_again_is_the_same_and_anything_else_is_refused(agency_api):
    first = await agency_api.post(JUNE, json=SAID)
    again = await agency_api.post(JUNE, json=SAID)
    other = await agency_api.post(JUNE, json={**SAID, "manager": "別人 四郎"})

    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "attested_differently")


@pytest.mark.usefixtures("owed")
@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        (JUNE, {**SAID, "statement": False}, (422, "invalid")),
        (JUNE, {"manager": "見本 三郎"}, (422, "invalid")),
        (JUNE, {"statement": True}, (422, "invalid")),
        (JUNE, {**SAID, "manager": "  "}, (422, "invalid")),
        (JUNE, {**SAID, "manager": "a\0b"}, (422, "invalid")),
        (JUNE, {**SAID, "company_id": "cmp_1"}, (422, "invalid")),
        (JUNE, {**SAID, "company_id": "cmp_" + "0" * 26}, (404, "not_found")),
        (JUNE, {**SAID, "more": 1}, (422, "invalid")),
        ("/v1/agency/attestations/2026-05", SAID, (404, "not_found")),
        ("/v1/agency/attestations/2026-07", SAID, (409, "month_not_over")),
        ("/v1/agency/attestations/2026-13", SAID, (422, "invalid")),
        ("/v1/agency/attestations/0000-01", SAID, (422, "invalid")),
    ],
)
async def test_what_cannot_be_attested_is_refused_and_nothing_is_written(  # noqa: PLR0917
    runtime, world, agency_api, path, body, refusal
):
    answer = await agency_api.post(path, json=body)

    assert (answer.status_code, answer.json()["code"]) == refusal
    assert (await one(runtime, world.company.id, Attestation)).state == "due"


async def test_one_company_or_all_that_wait(runtime, clock, world, agency_api):
    other = await make_world(runtime, slug="other", agencies=0)
    async with runtime.database.transaction() as db:
        await agree(
            db, other.company.id, world.agency.id, number="o-1", effective_on=date(2025, 1, 1),
            now=clock(),
        )  # fmt: skip
    other.agencies = world.agencies
    await forwarded(runtime, world)
    await forwarded(runtime, other)
    await to(runtime, clock, date(2026, 7, 2))
    first = await agency_api.post(JUNE, json={**SAID, "company_id": other.company.id})
    waiting = (await one(runtime, world.company.id, Attestation)).state
    rest = await agency_api.post(JUNE, json=SAID)
    async with api_client(runtime, other.company_client) as api:
        seen = (await api.get("/v1/company/attestations")).json()["data"]

    assert [row["company_id"] for row in first.json()["data"]] == [other.company.id]
    assert waiting == "due"
    assert {row["company_id"]: row["state"] for row in rest.json()["data"]} == {
        world.company.id: "given", other.company.id: "given",
    }  # fmt: skip
    assert [row["company_id"] for row in seen] == [other.company.id]


@pytest.mark.usefixtures("owed")
async def test_another_agency_attests_nothing_of_ours(runtime, world):
    async with api_client(runtime, world.agency_clients[1]) as stranger:
        answer = await stranger.post(JUNE, json=SAID)
        listed = (await stranger.get("/v1/agency/attestations")).json()["data"]

    assert (answer.status_code, listed) == (404, [])
    assert (await one(runtime, world.company.id, Attestation)).state == "due"


@pytest.mark.usefixtures("owed")
async def test_a_company_does_not_attest(company_api):
    answer = await company_api.post(JUNE, json=SAID)

    assert answer.status_code == 403


@pytest.mark.usefixtures("owed")
async def test_lists_can_be_narrowed_and_paged(runtime, clock, agency_api):
    await to(runtime, clock, date(2026, 8, 3))
    await agency_api.post(JUNE, json=SAID)
    given = (await agency_api.get("/v1/agency/attestations?state=given")).json()["data"]
    page = (await agency_api.get("/v1/agency/attestations?limit=1")).json()
    rest = (
        await agency_api.get(f"/v1/agency/attestations?limit=1&cursor={page['next_cursor']}")
    ).json()
    nobody = "cmp_" + "0" * 26
    none = (await agency_api.get(f"/v1/agency/attestations?counterparty_id={nobody}")).json()

    assert [row["month"] for row in given] == ["2026-06"]
    assert [row["month"] for row in page["data"] + rest["data"]] == ["2026-07", "2026-06"]
    assert rest["next_cursor"] is None
    assert none["data"] == []


# ---- reconciliation


async def reconciled(world, api, side, query=""):
    other = world.agency.id if side == "company" else world.company.id
    answer = await api.get(f"/v1/{side}/reconciliation?counterparty_id={other}{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_nothing_to_reconcile_is_said_as_nothing(world, company_api, agency_api):
    seen = await reconciled(world, company_api, "company")
    theirs = await reconciled(world, agency_api, "agency")

    assert set(seen["counts"].values()) == {0}
    assert theirs["counts"]["confirmed_without_placement"] is None
    assert (seen["data"], seen["next_cursor"], seen["paused"]) == ([], None, [])
    assert seen["unresolved"] == [
        {"bucket": bucket, "count": 0, "oldest_days": None}
        for bucket in ("pending", "frozen", "owed", "reserved")
    ]
    assert (seen["company_id"], seen["agency_id"]) == (world.company.id, world.agency.id)


async def test_an_open_relay_is_listed_with_its_last_word(
    runtime, clock, world, company_api, agency_api
):
    relay = await forwarded(runtime, world)
    forward(clock, days=3)
    await said(agency_api, relay, "accepted", clock())
    found = await reconciled(world, company_api, "company")

    (row,) = found["data"]
    assert found["counts"]["open_relay"] == 1
    assert (row["kind"], row["relay_id"], row["state"], row["since"], row["due_on"]) == (
        "open_relay", relay.id, "accepted", "2026-06-02", "2026-07-05",
    )  # fmt: skip
    assert (row["late"], row["confirmed"]) == (False, False)
    assert abs(datetime.fromisoformat(row["last_word_at"]) - clock()) < timedelta(minutes=1)
    assert (await reconciled(world, agency_api, "agency"))["data"] == [{**row, "confirmed": None}]


async def test_an_unreported_start_the_person_confirmed_is_an_alarm_for_the_company_alone(
    runtime, clock, world, company_api, agency_api
):
    relay = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 2))
    await says_started(runtime, relay)
    mine = await reconciled(world, company_api, "company")
    theirs = await reconciled(world, agency_api, "agency")
    alarm = mine["data"][0]

    assert mine["counts"]["confirmed_without_placement"] == 1
    assert (alarm["kind"], alarm["relay_id"], alarm["confirmed"]) == (
        "confirmed_without_placement", relay.id, True,
    )  # fmt: skip
    assert alarm["since"] == "2026-06-02"  # the hand-over, never the day of the answer
    assert "2026-07-02" not in str({**alarm, "due_on": None})
    assert theirs["counts"]["confirmed_without_placement"] is None
    assert {row["kind"] for row in theirs["data"]} == {"open_relay", "month_without_attestation"}
    assert {row["confirmed"] for row in theirs["data"]} == {None}


async def test_the_alarm_ends_with_the_placement(runtime, world, company_api, agency_api):
    relay = await forwarded(runtime, world)
    await says_started(runtime, relay)
    answer = await agency_api.post(
        f"/v1/agency/relays/{relay.id}/placement",
        json={"started_on": "2026-06-02", "employment_term": "permanent", "attestation": True},
    )
    found = await reconciled(world, company_api, "company")

    assert answer.status_code == 201, answer.text
    assert set(found["counts"].values()) == {0}


async def test_other_answers_are_never_shown(runtime, world, company_api):
    relay = await forwarded(runtime, world)
    await says_started(runtime, relay)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(update(PlacementQuestion).values(answer="not_started"))
    found = await reconciled(world, company_api, "company")

    assert found["counts"]["confirmed_without_placement"] == 0
    assert [row["confirmed"] for row in found["data"]] == [False]


async def test_expected_against_reported(runtime, clock, world, company_api, agency_api):
    offered, expected, lost = [await forwarded(runtime, world) for _ in range(3)]
    forward(clock, hours=1)
    await said(agency_api, offered, "recommended", clock())
    await agency_api.post(
        f"/v1/agency/relays/{expected.id}/placement",
        json={"started_on": "2026-09-01", "employment_term": "permanent", "attestation": True},
    )
    async with runtime.database.transaction(company_id=world.company.id) as db:
        ungranted = await place(db, world, date(2026, 6, 1))
    answer = await agency_api.post(
        f"/v1/agency/relays/{lost.id}/events", json={"type": "closed", "at": clock().isoformat()}
    )
    assert answer.status_code == 200
    await to(runtime, clock, date(2026, 8, 2))
    found = await reconciled(world, company_api, "company")
    theirs = await reconciled(world, agency_api, "agency")

    assert found["counts"] == {
        "confirmed_without_placement": 0, "placement_without_grant": 1,
        "month_without_attestation": 2, "offer_without_outcome": 1, "open_dispute": 0,
        "expected_placement": 1, "open_relay": 2,
    }  # fmt: skip
    assert [(row["kind"], row["month"], row["state"]) for row in found["data"]] == [
        ("placement_without_grant", "2026-06", "placed"),
        ("month_without_attestation", "2026-06", "overdue"),
        ("month_without_attestation", "2026-07", "due"),
        ("offer_without_outcome", None, "recommended"),
        ("expected_placement", "2026-09", "expected"),
        ("open_relay", None, "recommended"),
        ("open_relay", None, "offered"),
    ]
    assert found["data"][0]["placement_id"] == ungranted.id
    assert found["data"][3]["relay_id"] == offered.id
    assert [pause["reason"] for pause in found["paused"]] == [
        "status_missing", "attestation_missing",
    ]  # fmt: skip
    assert {**theirs, "data": None, "counts": None} == {**found, "data": None, "counts": None}


async def test_the_hiring_company_and_the_day_of_the_start_are_nowhere(
    runtime, world, company_api, agency_api
):
    relay = await forwarded(runtime, world)
    await agency_api.post(
        f"/v1/agency/relays/{relay.id}/placement",
        json={"started_on": "2026-09-17", "employment_term": "permanent", "attestation": True},
    )
    seen = await company_api.get(f"/v1/company/reconciliation?counterparty_id={world.agency.id}")

    assert "2026-09-17" not in seen.text
    assert '"month":"2026-09"' in seen.text


async def test_an_open_dispute_is_listed(world, runtime, company_api, agency_api):
    relay = await forwarded(runtime, world)
    answer = await agency_api.post(
        f"/v1/agency/relays/{relay.id}/placement",
        json={"started_on": "2026-06-02", "employment_term": "permanent", "attestation": True},
    )
    opened = await company_api.post(
        "/v1/company/disputes",
        json={
            "counterparty_id": world.agency.id, "subject": "placement", "reason": "wrong_start",
            "note": "日付が違います", "placement_id": answer.json()["id"],
        },
    )  # fmt: skip
    found = await reconciled(world, company_api, "company")

    assert opened.status_code == 201, opened.text
    assert found["counts"]["open_dispute"] == 1
    assert [(row["kind"], row["dispute_id"], row["state"]) for row in found["data"]] == [
        ("open_dispute", opened.json()["id"], "opened")
    ]


async def test_pages_go_through_all_kinds_and_end(runtime, clock, world, company_api):
    for _ in range(3):
        await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 8, 2))
    whole = (await reconciled(world, company_api, "company"))["data"]
    seen, cursor = [], ""
    while cursor is not None:
        page = await reconciled(
            world, company_api, "company", f"&limit=2{f'&cursor={cursor}' if cursor else ''}"
        )
        seen += page["data"]
        cursor = page["next_cursor"]

    assert len(whole) == 5
    assert seen == whole


@pytest.mark.parametrize("cursor", ["x", "bm90X2Ffa2luZCB4", "AA"])
async def test_a_cursor_that_is_not_ours_is_refused(world, company_api, cursor):
    answer = await company_api.get(
        f"/v1/company/reconciliation?counterparty_id={world.agency.id}&cursor={cursor}"
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/company/reconciliation?counterparty_id={agency}",
        "/v1/company/agencies/{agency}/scorecard",
        "/v1/agency/reconciliation?counterparty_id={company}",
        "/v1/agency/scorecard?company_id={company}",
    ],
)
async def test_where_there_is_no_agreement_there_is_nothing(runtime, world, path):
    stranger = await make_world(runtime, slug="stranger")
    ours = {"agency": world.agency.id, "company": world.company.id}
    side = "company" if path.startswith("/v1/company/") else "agency"
    own = {"company": stranger.company_client, "agency": stranger.agency_clients[0]}
    async with api_client(runtime, own[side]) as theirs:
        foreign = await theirs.get(path.format(**ours))
    mine = {"company": world.company_client, "agency": world.agency_clients[0]}
    async with api_client(runtime, mine[side]) as us:
        allowed = await us.get(path.format(**ours))
    wrong = {"company": world.agency_clients[0], "agency": world.company_client}
    async with api_client(runtime, wrong[side]) as other_side:
        refused = await other_side.get(path.format(**ours))

    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert allowed.status_code == 200
    assert refused.status_code == 403


# ---- scorecard


async def card(world, api, side="company"):
    path = (
        f"/v1/company/agencies/{world.agency.id}/scorecard"
        if side == "company"
        else f"/v1/agency/scorecard?company_id={world.company.id}"
    )
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_new_agency_has_nothing_to_show(world, company_api, agency_api):
    found = await card(world, company_api)

    assert (found["first"], found["last"]) == ("2025-06-02", "2026-06-02")
    assert found["accept_hours"] == {"value": None, "people": 0, "few": False}
    assert found["disputes"] == {
        "opened": 0, "opened_by_agency": 0, "ended": 0, "against_agency": 0,
    }  # fmt: skip
    assert (found["attestations_due"], found["paused"], found["why"]) == (0, False, [])
    assert found == await card(world, agency_api, "agency")


async def test_times_and_rates_over_people(runtime, clock, world, company_api, agency_api):
    relays = [await forwarded(runtime, world) for _ in range(6)]
    begun = clock()
    for number, relay in enumerate(relays[:5]):  # accepted after 1 to 5 working hours
        clock.move_to(begun + timedelta(hours=number + 1))
        await said(agency_api, relay, "accepted", begun + timedelta(hours=number + 1))
    for relay in relays[:5]:
        await said(agency_api, relay, "contacted", begun + timedelta(hours=5))
    for relay in relays[:3]:
        await said(agency_api, relay, "met", clock())
    await agency_api.post(
        f"/v1/agency/relays/{relays[0].id}/placement",
        json={"started_on": "2026-06-02", "employment_term": "permanent", "attestation": True},
    )
    found = await card(world, company_api)

    assert found["relays"] == {"value": 6.0, "people": 6, "few": False}
    assert found["accept_hours"]["value"] == pytest.approx(3, abs=0.1)
    assert found["contact_hours"]["value"] == pytest.approx(5, abs=0.1)
    assert found["contact_rate"] == {"value": 1.0, "people": 5, "few": False}
    assert found["meeting_rate"] == {"value": 0.6, "people": 5, "few": False}
    assert found["placement_rate"] == {"value": 0.2, "people": 5, "few": False}


async def test_numbers_about_fewer_than_five_people_are_not_shown(
    runtime, clock, world, company_api, agency_api
):
    for _ in range(4):
        relay = await forwarded(runtime, world)
        forward(clock, minutes=1)
        await said(agency_api, relay, "accepted", clock())
    found = await card(world, company_api)

    few = {"value": None, "people": None, "few": True}
    assert [found[name] for name in ("relays", "accept_hours", "contact_rate")] == [few] * 3
    assert found["placement_rate"] == few
    assert found["meeting_rate"] == {"value": None, "people": 0, "few": False}


async def test_words_given_in_time_are_counted_from_what_was_said(
    runtime, clock, world, company_api, agency_api
):
    relays = [await forwarded(runtime, world) for _ in range(5)]
    await to(runtime, clock, date(2026, 6, 20))
    for relay in relays[:4]:
        answer = await agency_api.post(f"/v1/agency/relays/{relay.id}/status", json={})
        assert answer.status_code == 200, answer.text
    await to(runtime, clock, date(2026, 7, 2))
    on_the_last_day = (await card(world, company_api))["words_in_time"]
    await to(runtime, clock, date(2026, 7, 3))

    assert on_the_last_day == {"value": None, "people": 0, "few": False}
    assert (await card(world, company_api))["words_in_time"] == {
        "value": 0.8, "people": 5, "few": False,
    }  # fmt: skip


@pytest.mark.usefixtures("owed")
async def test_attestations_in_time(runtime, clock, world, company_api, agency_api):
    await agency_api.post(JUNE, json=SAID)
    await to(runtime, clock, date(2026, 8, 10))
    await agency_api.post("/v1/agency/attestations/2026-07", json=SAID)
    late = await card(world, company_api)

    assert (late["attestations_due"], late["attestations_in_time"]) == (2, 1)


async def test_a_pause_and_its_reasons(runtime, clock, world, company_api, agency_api):
    await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 8, 2))
    found = await card(world, company_api)

    assert found["paused"] is True
    assert found["why"] == [
        {"reason": "status_missing", "since": "2026-07-10"},
        {"reason": "attestation_missing", "since": "2026-07-15"},
    ]
    assert (await card(world, agency_api, "agency"))["why"] == found["why"]


async def test_an_agency_nothing_goes_to_is_shown_as_such(runtime, world, clock, company_api):
    relay = await queued(runtime, world, minutes=10**6)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        db.add(
            StopNotice(
                company_id=world.company.id, id="stp_1", agency_id=world.agency.id,
                relay_id=relay.id, candidate_id=relay.candidate_id, kind="withdrawn",
                state="overdue", due_on=date(2026, 5, 1), escalated_at=clock(), created_at=clock(),
            )
        )  # fmt: skip
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        await db.execute(text("UPDATE agency SET license_valid_until = '2026-06-01'"))
    found = await card(world, company_api)

    assert found["why"] == [
        {"reason": "acknowledgement_overdue", "since": None},
        {"reason": "agency_not_licensed", "since": None},
    ]


async def test_stops_are_acknowledged_within_hours(runtime, clock, world, company_api):
    relays = [await forwarded(runtime, world) for _ in range(5)]
    begun = clock()
    async with runtime.database.transaction(company_id=world.company.id) as db:
        for number, relay in enumerate(relays):
            db.add(
                StopNotice(
                    company_id=world.company.id, id=f"stp_{number}", agency_id=world.agency.id,
                    relay_id=relay.id, candidate_id=relay.candidate_id, kind="withdrawn",
                    state="acknowledged", answer="deleted", due_on=date(2026, 6, 5),
                    created_at=begun, acknowledged_at=begun + timedelta(hours=number + 1),
                )
            )  # fmt: skip
    found = await card(world, company_api)

    assert found["stop_hours_p95"] == {"value": 5.0, "people": 5, "few": False}
