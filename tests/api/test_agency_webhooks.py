import json
from datetime import timedelta

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlmodel import select

from api.app import create_app
from api.jobs import run_now
from api.runtime import Runtime
from domain.candidate import Candidate
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.office.open_account import register_member
from domain.relay import Provision
from domain.webhook import WebhookEndpoint, WebhookMessage
from tests.conftest import api_client, forward, settings_for
from tests.factories import work
from tests.relays import PROFILE, Answer, forwarded, receiver, reload, verifies

pytestmark = pytest.mark.anyio

URL = "/v1/agency/webhook-endpoints"


async def register(api, url, **more):
    answer = await api.post(URL, json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def messages(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        wanted = select(WebhookMessage).order_by(WebhookMessage.id)
        return (await db.scalars(wanted)).all()


async def endpoint(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        return (await db.scalars(select(WebhookEndpoint))).one()


async def take_back(runtime, relay):
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        candidate = await db.get_one(Candidate, (relay.company_id, relay.candidate_id))
        await withdraw(db, runtime.tools, candidate, None, runtime.clock())


async def test_a_new_endpoint_is_pinged_and_then_told(runtime, clock, world, agency_api):
    async with receiver() as there:
        made = await register(agency_api, there.url)
        relay = await forwarded(runtime, world)
    listed = (await agency_api.get(URL)).json()["data"]

    assert made["secret"].startswith("whsec_")
    assert all("secret" not in one for one in listed)
    assert [one.json["type"] for one in there.received] == ["webhook.ping", "relay.created"]
    ping, told = there.received
    assert ping.json["data"] == {"endpoint_id": made["id"]}
    assert verifies(made["secret"], ping)
    assert verifies(made["secret"], told)
    assert told.json["data"] == {
        "relay_id": relay.id,
        "company": {"id": world.company.id, "name": world.company.name},
        "state": "forwarded",
        "version": 1,
        "url": f"http://relay.test/v1/agency/relays/{relay.id}",
    }
    assert set(told.json) == {"type", "timestamp", "data"}
    assert abs(int(told.headers["webhook-timestamp"]) - clock().timestamp()) < 60
    for value in PROFILE.values():
        assert value not in told.body.decode()


async def test_events_follow_the_subscription_but_stops_reach_everyone(runtime, world, agency_api):
    async with receiver() as some, receiver() as everything:
        await register(agency_api, some.url, event_types=["relay.created"])
        await register(agency_api, everything.url)
        relay = await forwarded(runtime, world)
        at = runtime.clock().isoformat()
        await agency_api.post(
            f"/v1/agency/relays/{relay.id}/events", json={"type": "accepted", "at": at}
        )
        await work(runtime)
        await take_back(runtime, relay)
        await work(runtime)

    kinds = [one.json["type"] for one in some.received]
    assert kinds == ["webhook.ping", "relay.created", "relay.withdrawn"]
    all_kinds = [one.json["type"] for one in everything.received]
    assert all_kinds == ["webhook.ping", "relay.created", "relay.updated", "relay.withdrawn"]
    assert everything.received[-1].json["data"]["state"] == "withdrawn"


async def test_each_try_is_signed_anew_under_one_id_until_it_is_taken(
    runtime, clock, world, agency_api
):
    async with receiver() as there:
        made = await register(agency_api, there.url)
        await work(runtime)
        there.answers = [Answer(status=500), Answer(status=503), Answer(reset=True)]
        await forwarded(runtime, world)
        waits = []
        for _ in range(3):
            (waiting,) = [one for one in await messages(runtime, world) if one.state == "pending"]
            waits.append((waiting.next_attempt_at - waiting.last_attempt_at).total_seconds())
            clock.move_to(waiting.next_attempt_at)
            await work(runtime)
    tries = there.of("relay.created")

    assert len(tries) == 4
    assert len({one.headers["webhook-id"] for one in tries}) == 1
    assert len({one.headers["webhook-timestamp"] for one in tries}) == 4
    assert all(verifies(made["secret"], one) for one in tries)
    for wait, planned in zip(waits, [5, 300, 1800], strict=True):
        assert planned * 0.85 <= wait <= planned * 1.15 + 1
    last = (await messages(runtime, world))[-1]
    assert (last.state, last.attempts, last.last_status) == ("delivered", 4, 204)


async def test_retry_after_is_kept(runtime, clock, world, agency_api):
    async with receiver() as there:
        await register(agency_api, there.url)
        await work(runtime)
        there.answers = [Answer(status=429, headers={"retry-after": "7200"})]
        await forwarded(runtime, world)
        (waiting,) = [one for one in await messages(runtime, world) if one.state == "pending"]
        forward(clock, hours=1)
        await work(runtime)
        early = len(there.of("relay.created"))
        forward(clock, hours=1, minutes=1)
        await work(runtime)

    assert timedelta(hours=1, minutes=59) < waiting.next_attempt_at - waiting.created_at
    assert (early, len(there.of("relay.created"))) == (1, 2)


async def test_what_is_true_at_the_attempt_is_sent(runtime, clock, world, agency_api):
    async with receiver(always=Answer(status=500)) as there:
        await register(agency_api, there.url)
        relay = await forwarded(runtime, world)
        await take_back(runtime, relay)
        there.always = Answer()
        forward(clock, minutes=10)
        await work(runtime)
    created = there.of("relay.created")

    assert created[0].json["data"]["state"] == "forwarded"
    assert created[-1].json["data"]["state"] == "withdrawn"


async def test_a_redirect_is_a_failure_and_is_not_followed(runtime, world, agency_api):
    async with receiver() as inside:
        to_inside = Answer(status=307, headers={"location": inside.url})
        async with receiver(always=to_inside) as there:
            await register(agency_api, there.url)
            await work(runtime)

    (ping,) = await messages(runtime, world)
    assert (ping.state, ping.last_status, ping.last_error) == ("pending", 307, "http_307")
    assert inside.received == []


async def test_gone_disables_the_endpoint_and_closes_the_gate(runtime, world, agency_api):
    async with receiver(always=Answer(status=410)) as there:
        made = await register(agency_api, there.url)
        await work(runtime)
        relay = await forwarded(runtime, world)
        before = (await endpoint(runtime, world)).state
        held = await reload(runtime, relay)
        there.always = Answer()
        changed = await agency_api.patch(f"{URL}/{made['id']}", json={"enabled": True})
        await work(runtime)
        after = await reload(runtime, relay)

    assert before == "disabled"
    assert (held.state, held.reason) == ("queued", "no_stop_channel")
    assert changed.json()["state"] == "healthy"
    assert (after.state, after.reason) == ("forwarded", None)
    kinds = [one.json["type"] for one in there.received]
    assert sorted(kinds) == ["relay.created", "webhook.ping", "webhook.ping"]


async def test_people_are_told_of_a_disabled_endpoint_and_of_a_stop_nobody_took(
    runtime, clock, world, agency_api
):
    async with runtime.database.transaction() as db:
        await register_member(
            db, runtime.tools.sealer, email="tech@aozora.example", name="技術",
            roles=["integrator"], now=clock(), agency_id=world.agency.id,
        )  # fmt: skip
    async with receiver() as there:
        await register(agency_api, there.url)
        relay = await forwarded(runtime, world)
        there.always = Answer(status=500)
        await take_back(runtime, relay)
        for _ in range(12):
            await work(runtime)
            forward(clock, minutes=10)
        there.always = Answer(status=410)
        forward(clock, hours=2)
        await work(runtime)
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        found = (await db.execute(text("SELECT template FROM mail ORDER BY id"))).all()

    assert [row[0] for row in found] == ["endpoint_degraded", "stop_request", "endpoint_disabled"]
    assert len(there.of("relay.withdrawn")) >= 6


async def test_a_receiver_may_ask_us_to_stop_but_not_to_keep_a_stop_back(
    runtime, world, agency_api
):
    polite = Answer(status=500, headers={"webhook-delivery": "abort-message"})
    async with receiver() as there:
        await register(agency_api, there.url)
        await work(runtime)
        there.always = polite
        relay = await forwarded(runtime, world)
        await take_back(runtime, relay)
        await work(runtime)
    states = {one.type: one.state for one in await messages(runtime, world)}

    assert states == {
        "webhook.ping": "delivered", "relay.created": "cancelled", "relay.withdrawn": "pending",
    }  # fmt: skip


async def test_two_secrets_sign_for_a_day_after_a_rotation(runtime, clock, world, agency_api):
    async with receiver() as there:
        made = await register(agency_api, there.url)
        new = (await agency_api.post(f"{URL}/{made['id']}/rotate-secret")).json()
        await forwarded(runtime, world)
        during = there.of("relay.created")[-1]
        forward(clock, hours=24, minutes=1)
        await forwarded(runtime, world)
        later = there.of("relay.created")[-1]

    assert new["secret"] != made["secret"]
    assert verifies(new["secret"], during)
    assert verifies(made["secret"], during)
    assert verifies(new["secret"], later)
    assert not verifies(made["secret"], later)


async def test_sealed_mode_hands_the_package_over_and_records_it_first(runtime, world, agency_api):
    key = ECKey.generate_key("P-256")
    on_record = []

    async def look(_):
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            on_record.append(len((await db.scalars(select(Provision))).all()))

    async with receiver(on_receive=look) as there:
        made = await register(
            agency_api, there.url, payload_mode="sealed",
            encryption_key=key.as_dict(private=False),
        )  # fmt: skip
        relay = await forwarded(runtime, world)
        await take_back(runtime, relay)
        await work(runtime)
    (told,), (stop,) = there.of("relay.created"), there.of("relay.withdrawn")
    opened = jwe.decrypt_compact(told.json["data"]["package"], key)
    package = json.loads(opened.plaintext)

    assert package["candidate"]["email"] == PROFILE["email"]
    assert package["relay_id"] == relay.id
    assert package["signature"]
    assert PROFILE["email"] not in told.body.decode()
    assert "package" not in stop.json["data"]
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        (record,) = (await db.scalars(select(Provision))).all()
    assert (record.channel, record.client_id) == ("webhook", made["id"])
    assert on_record == [0, 1, 1]


async def test_sealed_mode_sends_no_package_after_a_withdrawal(runtime, clock, world, agency_api):
    key = ECKey.generate_key("P-256")
    async with receiver() as there:
        await register(
            agency_api, there.url, payload_mode="sealed",
            encryption_key=key.as_dict(private=False),
        )  # fmt: skip
        await work(runtime)
        there.answers = [Answer(status=500)]
        relay = await forwarded(runtime, world)
        await take_back(runtime, relay)
        forward(clock, minutes=1)
        await work(runtime)
    first, second = there.of("relay.created")

    assert "package" in first.json["data"]
    assert "package" not in second.json["data"]
    assert second.json["data"]["state"] == "withdrawn"


async def test_running_a_job_twice_sends_once(runtime, world, agency_api):
    async with receiver() as there:
        await register(agency_api, there.url)
        await work(runtime)
        (ping,) = await messages(runtime, world)
        for _ in range(2):
            await run_now(runtime, "webhook.send", world.agency.id, ping.id)

    assert len(there.received) == 1


async def test_a_worker_that_dies_during_the_call_only_means_later(
    runtime, clock, world, agency_api
):
    async with receiver() as there:
        await register(agency_api, there.url)
        (ping,) = await messages(runtime, world)
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            held = await db.get_one(WebhookMessage, (world.agency.id, ping.id))
            held.claim(clock())
        await work(runtime)
        during = len(there.received)
        forward(clock, seconds=61)
        await work(runtime)

    assert (during, len(there.received)) == (0, 1)
    assert (await messages(runtime, world))[0].state == "delivered"


async def test_only_five_deliveries_are_under_way_at_once(runtime, clock, world, agency_api):
    async with receiver() as there:
        made = await register(agency_api, there.url)
        await work(runtime)
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            for number in range(5):
                one = WebhookMessage(
                    agency_id=world.agency.id, id=f"msg_{number}", endpoint_id=made["id"],
                    type="webhook.ping", key=f"k{number}", created_at=clock(),
                )  # fmt: skip
                one.claim(clock())
                db.add(one)
        relay = await forwarded(runtime, world)
        waiting = next(one for one in await messages(runtime, world) if one.relay_id == relay.id)
        held_back = len(there.of("relay.created"))
        for _ in range(2):  # the five may be sent first, all at once, and hold it back once more
            forward(clock, seconds=61)
            await work(runtime)

    assert (held_back, waiting.attempts) == (0, 0)
    assert len(there.of("relay.created")) == 1


async def test_deliveries_are_listed_and_can_be_sent_again(runtime, agency_api):
    async with receiver(always=Answer(status=200, body=b"thank you")) as there:
        made = await register(agency_api, there.url)
        await work(runtime)
        path = f"{URL}/{made['id']}/deliveries"
        (listed,) = (await agency_api.get(path)).json()["data"]
        again = await agency_api.post(f"{path}/{listed['id']}/redeliver")
        twice = await agency_api.post(f"{path}/{listed['id']}/redeliver")
        await work(runtime)
        unknown = await agency_api.post(f"{path}/msg_{'0' * 26}/redeliver")

    assert (listed["type"], listed["state"], listed["attempts"]) == ("webhook.ping", "delivered", 1)
    assert (listed["last_status"], listed["last_answer"]) == (200, "thank you")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert (twice.status_code, twice.json()["code"]) == (409, "delivery_pending")
    assert unknown.status_code == 404
    assert len({one.headers["webhook-id"] for one in there.received}) == 1
    assert len(there.received) == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "https://hooks.aozora.example/", "event_types": ["relay.lost"]}, "invalid"),
        ({"url": "https://user:pw@hooks.aozora.example/"}, "url_refused"),
        ({"url": "gopher://hooks.aozora.example/"}, "url_refused"),
        ({"url": "https://a.example/", "payload_mode": "sealed"}, "encryption_key_required"),
        ({"url": "https://a.example/", "payload_mode": "sealed", "encryption_key": {"kty": "oct"}},
         "encryption_key_refused"),
        ({"url": "https://a.example/", "more": 1}, "invalid"),
    ],
)  # fmt: skip
async def test_endpoints_that_cannot_be(runtime, world, agency_api, body, code):
    answer = await agency_api.post(URL, json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await messages(runtime, world) == []


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/", "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/",
     "http://hooks.aozora.example/", "https://169.254.169.254/latest/meta-data/"],
)  # fmt: skip
async def test_private_addresses_are_refused_unless_the_instance_allows_them(
    runtime, clock, world, database_url, url
):
    strict = Runtime.build(settings_for(database_url, allow_private_networks=False), clock)
    try:
        async with api_client(strict, world.agency_clients[0], app=create_app(strict)) as api:
            answer = await api.post(URL, json={"url": url})
    finally:
        await strict.database.close()

    assert (answer.status_code, answer.json()["code"]) == (422, "url_refused")
    assert await messages(runtime, world) == []


async def test_an_address_that_became_private_is_refused_at_the_attempt(
    runtime, clock, world, agency_api, database_url
):
    async with receiver() as there:
        await register(agency_api, there.url)
        strict = Runtime.build(settings_for(database_url, allow_private_networks=False), clock)
        try:
            (ping,) = await messages(runtime, world)
            await run_now(strict, "webhook.send", world.agency.id, ping.id)
        finally:
            await strict.database.close()
    (ping,) = await messages(runtime, world)

    assert (ping.state, ping.attempts, ping.last_error) == (
        "pending", 1, "refused: only https is called",
    )  # fmt: skip
    assert there.received == []


async def test_an_endpoint_belongs_to_its_agency(runtime, world, agency_api):
    made = await register(agency_api, "http://127.0.0.1:9/")
    base = f"{URL}/{made['id']}"
    async with api_client(runtime, world.agency_clients[1]) as other:
        answers = [
            await other.get(base),
            await other.patch(base, json={"url": "http://127.0.0.1:10/"}),
            await other.delete(base),
            await other.post(f"{base}/rotate-secret"),
            await other.get(f"{base}/deliveries"),
        ]
        listed = (await other.get(URL)).json()

    assert [one.status_code for one in answers] == [404] * 5
    assert listed["data"] == []
    assert (await endpoint(runtime, world)).url == "http://127.0.0.1:9/"


async def test_a_removed_endpoint_takes_its_messages_along(runtime, world, agency_api):
    made = await register(agency_api, "http://127.0.0.1:9/")
    gone = await agency_api.delete(f"{URL}/{made['id']}")
    await work(runtime)
    after = await agency_api.get(f"{URL}/{made['id']}")

    assert (gone.status_code, after.status_code) == (204, 404)
    assert await messages(runtime, world) == []


async def test_secrets_lie_sealed(runtime, world, agency_api):
    made = await register(agency_api, "http://127.0.0.1:9/")
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        stored = (await db.execute(text("SELECT secrets FROM webhook_endpoint"))).scalar_one()

    assert made["secret"].removeprefix("whsec_").encode() not in stored


async def test_a_degraded_endpoint_gets_one_request_a_second_and_stops_at_once(
    runtime, clock, world, agency_api
):
    async with receiver() as there:
        await register(agency_api, there.url)
        await work(runtime)
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            await db.execute(
                text("UPDATE webhook_endpoint SET state = 'degraded', next_slot_at = :slot"),
                {"slot": clock() + timedelta(hours=1)},
            )
        relay = await forwarded(runtime, world)
        told = len(there.of("relay.created"))
        (waiting,) = [one for one in await messages(runtime, world) if one.state == "pending"]
        await take_back(runtime, relay)
        await work(runtime)
        stops = len(there.of("relay.withdrawn"))
        forward(clock, hours=1)
        await work(runtime)

    assert (told, waiting.attempts) == (0, 0)
    assert timedelta(minutes=59) < waiting.next_attempt_at - waiting.created_at
    assert stops == 1
    assert len(there.of("relay.created")) == 1
    assert (await endpoint(runtime, world)).state == "healthy"
