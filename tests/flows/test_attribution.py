"""One person, two companies, one agency: who earns is decided blindly, and by each agreement."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text

from domain.flows.office import open_account
from tests.conftest import api_client
from tests.factories import make_world
from tests.flows.ledger_story import at, terms_are
from tests.ledger_doors import TODAY, Table
from tests.relays import forwarded

pytestmark = pytest.mark.anyio


@pytest.fixture
async def two(runtime, clock, world):
    """Two companies with agreements with the same agency: tables of both, sharing its client."""
    other = await make_world(runtime, slug="other", agencies=0)
    other.agencies, other.agency_clients = world.agencies, world.agency_clients
    async with runtime.database.transaction(company_id=other.company.id) as db:
        other.agreements = [await agree(db, other.company.id, world.agency.id)]
    async with (
        api_client(runtime, world.company_client) as first,
        api_client(runtime, other.company_client) as second,
        api_client(runtime, world.agency_clients[0]) as agency,
    ):
        yield (
            Table(runtime, clock, world, first, agency),
            Table(runtime, clock, other, second, agency),
        )


async def agree(db, company_id, agency_id):
    return await open_account.agree(
        db, company_id, agency_id, number="B-1", effective_on=date(2026, 1, 1), now=at(TODAY)
    )


async def rule(table, word):
    async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
        await terms_are(db, table.world, attribution=word)


async def both(two):
    """The same person, relayed by the first company and, two days later, by the second."""
    a, b = two
    first = await forwarded(a.runtime, a.world)
    await a.to(TODAY + timedelta(days=2))
    return first, await forwarded(b.runtime, b.world)


async def granted(table):
    found = (await table.company.get("/v1/company/credits")).json()["total"]
    return found["pending"]


async def test_the_first_consent_wins_and_only_the_agency_hears_of_it(two):
    a, b = two
    first, second = await both(two)
    refused = await b.report(second, TODAY + timedelta(days=2))
    earned = await a.report(first, TODAY + timedelta(days=2))
    seen = (await b.company.get("/v1/company/relays")).json()["data"]

    assert (refused.status_code, refused.json()["code"]) == (409, "not_attributed")
    assert first.id in refused.json()["detail"]
    assert earned.status_code == 201
    assert (await granted(a), await granted(b)) == (1, 0)
    assert [(one["state"], one["id"]) for one in seen] == [("forwarded", second.id)]


async def test_the_last_consent_wins_where_that_is_agreed(two):
    a, b = two
    await rule(a, "last_consent")
    await rule(b, "last_consent")
    first, second = await both(two)

    assert (await a.report(first, TODAY + timedelta(days=2))).json()["code"] == "not_attributed"
    assert (await b.report(second, TODAY + timedelta(days=2))).status_code == 201


async def test_each_agreement_decides_for_its_own_book(two):
    """The first says: first consent. The second says: shared. So both earn."""
    a, b = two
    await rule(b, "shared")
    first, second = await both(two)

    assert (await b.report(second, TODAY + timedelta(days=2))).status_code == 201
    assert (await a.report(first, TODAY + timedelta(days=2))).status_code == 201
    assert (await granted(a), await granted(b)) == (1, 1)


async def test_a_window_that_has_passed_owns_nobody(two):
    a, b = two
    first = await forwarded(a.runtime, a.world)
    await a.to(date(2027, 6, 1))
    second = await forwarded(b.runtime, b.world)
    await a.to(date(2027, 6, 3))

    assert (await b.report(second, date(2027, 6, 3))).status_code == 201
    late = await a.report(first, date(2027, 6, 3))
    assert late.json()["code"] == "outside_ownership_window"


async def test_a_proven_earlier_registration_leaves_the_field(two):
    a, b = two
    first, second = await both(two)
    declared = await a.agency.post(
        f"/v1/agency/relays/{first.id}/events",
        json={
            "type": "declined", "reason": "already_registered", "at": a.clock().isoformat(),
            "registered_on": "2025-01-10", "last_contact_on": "2026-05-01",
        },
    )  # fmt: skip

    assert declared.json()["reason"] == "already_registered"
    assert (await a.report(first, TODAY + timedelta(days=2))).json()["code"] == "not_attributed"
    assert (await b.report(second, TODAY + timedelta(days=2))).status_code == 201


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"registered_on": "2025-01-10"},
        {"registered_on": "2025-01-10", "last_contact_on": "2025-12-03"},  # 181 days before
        {"registered_on": "2025-01-10", "last_contact_on": "2026-06-03"},  # after the hand-over
    ],
)
async def test_an_unproven_registration_leaves_the_attribution(table, proof):
    relay = await forwarded(table.runtime, table.world)
    declared = await table.agency.post(
        f"/v1/agency/relays/{relay.id}/events",
        json={
            "type": "declined", "reason": "already_registered", "at": table.clock().isoformat(),
            **proof,
        },
    )  # fmt: skip

    assert declared.json()["reason"] == "already_registered_unproven"
    assert (await table.report(relay, TODAY)).status_code == 201
    assert await table.balance() == {"pending": 1}


async def test_a_proof_may_follow_while_the_time_to_declare_runs(table):
    relay = await forwarded(table.runtime, table.world)
    body = {"type": "declined", "reason": "already_registered", "at": table.clock().isoformat()}
    door = f"/v1/agency/relays/{relay.id}/events"
    await table.agency.post(door, json=body)
    proven = await table.agency.post(
        door, json={**body, "registered_on": "2025-01-10", "last_contact_on": "2025-12-04"}
    )  # exactly 180 days before

    assert proven.json()["reason"] == "already_registered"
    assert (await table.report(relay, TODAY)).json()["code"] == "not_attributed"


async def test_a_proof_after_that_time_is_too_late(table):
    relay = await forwarded(table.runtime, table.world)
    body = {"type": "declined", "reason": "already_registered", "at": table.clock().isoformat()}
    door = f"/v1/agency/relays/{relay.id}/events"
    await table.agency.post(door, json=body)
    await table.to(date(2026, 6, 6))
    late = await table.agency.post(
        door, json={**body, "registered_on": "2025-01-10", "last_contact_on": "2026-05-04"}
    )

    assert (late.status_code, late.json()["code"]) == (409, "declaration_too_late")


async def test_one_start_of_a_person_counts_once_for_a_company(table):
    first = await forwarded(table.runtime, table.world)
    second = await forwarded(table.runtime, table.world)
    placement = await table.start(relay=first)
    again = await table.report(second, TODAY)

    assert (again.status_code, again.json()["code"]) == (409, "placement_exists")
    await table.to(date(2026, 7, 1))
    await table.placement(placement, "early-leave", last_day_employed="2026-06-30")
    assert (await table.report(second, date(2026, 7, 1))).status_code == 201


async def test_marks_are_forgotten_when_the_window_has_passed(table):
    await forwarded(table.runtime, table.world)
    async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
        there = await count(db)
    await table.to(date(2027, 6, 4))
    async with table.runtime.database.transaction(company_id=table.world.company.id) as db:
        left = await count(db)

    assert (there, left) == (3, 0)


async def count(db):
    return (await db.execute(text("SELECT count(*) FROM person_mark"))).scalar_one()
