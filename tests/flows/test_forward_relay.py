from datetime import date, timedelta

import pytest
from sqlalchemy import text, update
from sqlmodel import col, select

from api.jobs import run_now
from domain.agency import Agency
from domain.agreement import Agreement
from domain.consent import Consent
from domain.flows.relay.forward_relay import note_feed_read
from domain.relay import FeedItem, Relay, RelayEvent, StopNotice
from domain.webhook import WebhookEndpoint
from tests.conftest import forward
from tests.factories import make_world, work
from tests.relays import queued, reload

pytestmark = pytest.mark.anyio


async def feed_items(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        return (await db.scalars(select(FeedItem))).all()


async def test_a_relay_waits_for_its_time_and_is_then_forwarded_once(runtime, clock, world):
    relay = await queued(runtime, world, minutes=30)
    await work(runtime)
    early = await reload(runtime, relay)
    forward(clock, minutes=31)
    await work(runtime)
    await work(runtime)
    late = await reload(runtime, relay)

    assert (early.state, early.forwarded_at) == ("queued", None)
    assert (late.state, late.version, late.reason) == ("forwarded", 1, None)
    assert clock() - late.forwarded_at < timedelta(minutes=1)
    items = await feed_items(runtime, world)
    assert [(one.relay_id, one.op, one.version) for one in items] == [(relay.id, "upsert", 1)]
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        facts = (await db.scalars(select(RelayEvent))).all()
    assert [fact.type for fact in facts] == ["forwarded"]


async def test_a_waiting_relay_is_invisible_to_its_agency(runtime, world):
    relay = await queued(runtime, world, minutes=30)
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        before = (await db.scalars(select(Relay))).all()
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        own = (await db.scalars(select(Relay))).all()

    assert (before, [one.id for one in own]) == ([], [relay.id])


async def change(runtime, world, kind, *where, **values):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(update(kind).where(*where).values(**values))


async def close_by_licence(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        await db.execute(update(Agency).values(license_valid_until=date(2026, 6, 1)))


async def close_by_suspension(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        await db.execute(update(Agency).values(state="suspended"))


async def close_by_country(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        await db.execute(update(Agency).values(country="SG"))


async def close_by_agreement(runtime, world):
    await change(
        runtime,
        world,
        Agreement,
        col(Agreement.agency_id) == world.agency.id,
        state="ended",
        ends_on=date(2026, 6, 1),
    )


async def close_by_items(runtime, world):
    await change(runtime, world, Consent, items=["name", "email", "current_salary"])


async def close_by_endpoint(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        db.add(
            WebhookEndpoint(
                agency_id=world.agency.id, id="whe_1", url="https://a.example", secrets=b"",
                state="disabled", created_at=runtime.clock(),
            )
        )  # fmt: skip


async def close_by_overdue_stop(runtime, world):
    """Overdue at another company: the agency is not trusted by any."""
    other = await make_world(runtime, slug="other", agencies=0)
    now = runtime.clock()
    from tests.relays import queued as queue  # noqa: PLC0415

    other.agencies = world.agencies
    relay = await queue(runtime, other, minutes=10**6)
    async with runtime.database.transaction(company_id=other.company.id) as db:
        db.add(
            StopNotice(
                company_id=other.company.id, id="stp_1", agency_id=world.agency.id,
                relay_id=relay.id, candidate_id=relay.candidate_id, kind="withdrawn",
                state="overdue", due_on=date(2026, 5, 1), escalated_at=now, created_at=now,
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    ("close", "reason"),
    [
        (close_by_licence, "agency_not_licensed"),
        (close_by_suspension, "agency_not_licensed"),
        (close_by_country, "recipient_abroad"),
        (close_by_agreement, "agreement_ended"),
        (close_by_items, "consent_mismatch"),
        (close_by_endpoint, "no_stop_channel"),
        (close_by_overdue_stop, "acknowledgement_overdue"),
    ],
)
async def test_a_closed_gate_keeps_the_relay_with_its_reason(runtime, clock, world, close, reason):
    relay = await queued(runtime, world)
    await close(runtime, world)
    await work(runtime)
    found = await reload(runtime, relay)

    assert (found.state, found.reason, found.forwarded_at) == ("queued", reason, None)
    assert timedelta(minutes=14) < found.forward_at - clock() <= timedelta(minutes=15)
    assert await feed_items(runtime, world) == []


async def test_it_goes_on_by_itself_when_the_gate_opens(runtime, clock, world):
    relay = await queued(runtime, world)
    await close_by_licence(runtime, world)
    await work(runtime)
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        await db.execute(update(Agency).values(license_valid_until=date(2031, 6, 1)))
    forward(clock, minutes=16)
    await work(runtime)

    found = await reload(runtime, relay)
    assert (found.state, found.reason) == ("forwarded", None)


async def test_a_feed_read_reopens_the_gate_at_once(runtime, clock, world):
    relay = await queued(runtime, world)
    await close_by_endpoint(runtime, world)
    await work(runtime)
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        await note_feed_read(db, world.agency.id, clock())
    await work(runtime)
    reopened = await reload(runtime, relay)
    forward(clock, hours=25)
    second = await queued(runtime, world)
    await work(runtime)

    assert reopened.state == "forwarded"
    assert (await reload(runtime, second)).reason == "no_stop_channel"


async def test_a_closed_gate_is_looked_at_ever_more_seldom(runtime, clock, world):
    await queued(runtime, world)
    await close_by_agreement(runtime, world)
    looks = 0
    for _ in range(30 * 96):
        async with runtime.database.transaction(company_id=world.company.id) as db:
            due = (await db.scalars(select(col(Relay.forward_at)))).one()
        if due - clock() > timedelta(days=30):
            break
        clock.move_to(due)
        await work(runtime)
        looks += 1
        if looks == 60:
            break
    async with runtime.database.transaction(company_id=world.company.id) as db:
        relay = (await db.scalars(select(Relay))).one()

    assert looks == 60
    assert clock() - relay.created_at > timedelta(days=30)


@pytest.mark.parametrize(
    ("values", "state"),
    [({"state": "withdrawn"}, "withdrawn"), ({"state": "expired"}, "expired")],
)
async def test_a_consent_that_has_ended_ends_the_relay_unheard(runtime, world, values, state):
    relay = await queued(runtime, world)
    await change(runtime, world, Consent, **values)
    await work(runtime)
    found = await reload(runtime, relay)

    assert (found.state, found.forwarded_at) == (state, None)
    assert await feed_items(runtime, world) == []


async def test_announcing_twice_writes_each_message_once(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        for number in range(2):
            db.add(
                WebhookEndpoint(
                    agency_id=world.agency.id, id=f"whe_{number}", url="https://a.example",
                    secrets=b"", created_at=runtime.clock(),
                )
            )  # fmt: skip
    relay = await queued(runtime, world, minutes=10**6)
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        await db.execute(
            update(Relay).values(state="forwarded", forwarded_at=runtime.clock(), version=3)
        )
    for _ in range(3):
        await run_now(runtime, "relay.announce", relay.agency_id, relay.id, "relay.updated", "3")
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        messages = (
            await db.execute(text("SELECT endpoint_id, version FROM webhook_message ORDER BY 1"))
        ).all()

    assert [tuple(row) for row in messages] == [("whe_0", 3), ("whe_1", 3)]
