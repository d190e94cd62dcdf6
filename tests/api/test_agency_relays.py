import base64
from datetime import timedelta

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from sqlalchemy import text, update
from sqlmodel import select

from domain import vault
from domain.agency import Agency
from domain.candidate import Candidate
from domain.consent import Consent
from domain.placement import Placement
from domain.relay import FeedItem, Provision, RelayEvent, StopNotice
from domain.relay_package import canonical
from tests.conftest import api_client, forward
from tests.factories import make_world, work
from tests.relays import ITEMS, PROFILE, forwarded, queued, reload, take_back

pytestmark = pytest.mark.anyio


async def rows(runtime, relay, kind):
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        return (await db.scalars(select(kind))).all()


def report(api, relay, kind, **more):
    body = {"type": kind, "at": more.pop("at"), **more}
    return api.post(f"/v1/agency/relays/{relay.id}/events", json=body)


async def test_a_relay_is_seen_from_the_hand_over_on(runtime, clock, world, agency_api):
    relay = await queued(runtime, world, minutes=30)
    before = await agency_api.get(f"/v1/agency/relays/{relay.id}")
    none = await agency_api.get("/v1/agency/relays")
    forward(clock, minutes=31)
    await work(runtime)
    after = await agency_api.get(f"/v1/agency/relays/{relay.id}")
    listed = await agency_api.get("/v1/agency/relays")

    assert (before.status_code, before.json()["code"]) == (404, "not_found")
    assert none.json() == {"data": [], "next_cursor": None}
    assert after.status_code == 200
    found = after.json()
    assert found["company"] == {"id": world.company.id, "name": world.company.name}
    assert (found["state"], found["version"], found["placement_id"]) == ("forwarded", 1, None)
    assert found["package_url"] == f"http://relay.test/v1/agency/relays/{relay.id}/package"
    assert [event["type"] for event in found["events"]] == ["forwarded"]
    assert [one["id"] for one in listed.json()["data"]] == [relay.id]


async def test_the_package_holds_the_consented_items_only(runtime, world, agency_api):
    relay = await forwarded(runtime, world)
    answer = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")

    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    package = answer.json()
    assert package["candidate"] == {
        "name": "試験 花子",
        "name_kana": "シケン ハナコ",
        "email": PROFILE["email"],
        "phone": PROFILE["phone"],
        "desired_job": "法人営業",
    }
    assert package["provider"] == {
        "id": world.company.id,
        "name": world.company.name,
        "address": world.company.address,
        "representative": world.company.representative,
    }
    assert package["consent"]["data_items"] == list(ITEMS)
    assert len(package["consent"]["text_sha256"]) == 64
    assert package["schema"] == "career-relay-package/1"
    assert package["record_retention_until"] == "2029-06-02"


async def test_other_items_come_from_where_they_belong(runtime, world, agency_api):
    items = ("name", "email", "birth_date", "applied_job_title", "stage_reached",
             "origin_company_name", "current_salary")  # fmt: skip
    relay = await forwarded(runtime, world, items=items)
    answer = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")

    assert answer.json()["candidate"] == {
        "name": "試験 花子",
        "email": PROFILE["email"],
        "birth_date": "1998-04-05",
        "applied_job_title": "法人営業",
        "stage_reached": "second",
        "origin_company_name": world.company.name,
    }


async def test_the_signature_verifies_with_the_published_keys(runtime, world, agency_api):
    relay = await forwarded(runtime, world)
    package = (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).json()
    keys = KeySet.import_key_set((await agency_api.get("/oauth/jwks.json")).json())
    first, _, last = package.pop("signature").split(".")
    middle = base64.urlsafe_b64encode(canonical(package)).decode().rstrip("=")

    found = jws.deserialize_compact(f"{first}.{middle}.{last}", keys)
    assert found.headers()["typ"] == "relay-package+jws"
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(f"{first}.{middle[:-4]}AAAA.{last}", keys)


async def test_every_read_is_on_record_and_repeated_reads_extend_it(
    runtime, clock, world, agency_api
):
    relay = await forwarded(runtime, world)
    first = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    forward(clock, days=10)
    again = await agency_api.get(
        f"/v1/agency/relays/{relay.id}/package", headers={"if-none-match": first.headers["etag"]}
    )
    once_more = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    (record,) = await rows(runtime, relay, Provision)

    assert (first.status_code, again.status_code, once_more.status_code) == (200, 304, 200)
    assert again.content == b""
    assert once_more.json()["package_id"] == first.json()["package_id"] == record.id
    assert once_more.json()["provided_at"] == first.json()["provided_at"]
    assert once_more.json()["use_until"] > first.json()["use_until"]
    assert timedelta(days=10) <= record.last_provided_at - record.provided_at
    assert (record.retention_until.isoformat(), record.channel) == ("2029-06-12", "api")
    assert (record.recipient_name, record.recipient_address) == (
        world.agency.name, world.agency.address,
    )  # fmt: skip
    assert record.recipient_representative == world.agency.representative
    assert record.consent_id == relay.consent_id
    assert record.items == list(ITEMS)
    assert record.client_id == world.agency_clients[0][0]
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        candidate = await db.get_one(Candidate, (relay.company_id, relay.candidate_id))
        name = await vault.unseal(
            db, runtime.tools.sealer, candidate, "record", record.person,
            about=f"provision:{relay.id}",
        )  # fmt: skip
    assert name == "試験 花子"


async def test_the_candidate_is_told_of_the_hand_over_once(runtime, world, agency_api):
    relay = await forwarded(runtime, world)
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        before = (await db.execute(text("SELECT count(*) FROM mail"))).scalar_one()
    await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    await agency_api.get("/v1/agency/feed?include=package")
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        mails = (await db.execute(text("SELECT template FROM mail"))).all()

    assert before == 0
    assert [row[0] for row in mails] == ["provision_report"]
    channels = {one.channel for one in await rows(runtime, relay, Provision)}
    assert channels == {"api", "feed"}


async def test_a_changed_content_is_a_new_hand_over(runtime, world, agency_api):
    relay = await forwarded(runtime, world)
    first = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        candidate = await db.get_one(Candidate, (relay.company_id, relay.candidate_id))
        await vault.set_profile(
            db, runtime.tools.sealer, candidate, {**PROFILE, "phone": "+819099999999"}
        )
    second = await agency_api.get(
        f"/v1/agency/relays/{relay.id}/package", headers={"if-none-match": first.headers["etag"]}
    )

    assert second.status_code == 200
    assert second.headers["etag"] != first.headers["etag"]
    assert len(await rows(runtime, relay, Provision)) == 2


async def test_after_a_withdrawal_nothing_more_is_handed_over(runtime, world, agency_api):
    relay = await forwarded(runtime, world)
    await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    await take_back(runtime, relay)
    package = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    fed = (await agency_api.get("/v1/agency/feed?include=package")).json()["data"]

    assert (package.status_code, package.json()["code"]) == (410, "consent_withdrawn")
    assert PROFILE["email"] not in package.text
    assert [(one["type"], one["relay"], one["package_url"]) for one in fed] == [
        ("relay.removed", None, None)
    ]
    assert len(await rows(runtime, relay, Provision)) == 1


@pytest.mark.parametrize(
    ("table", "values", "status", "code"),
    [
        (Consent, "state = 'expired'", 410, "consent_expired"),
        (Agency, "state = 'suspended'", 403, "agency_not_licensed"),
        (Agency, "license_valid_until = '2026-06-01'", 403, "agency_not_licensed"),
        (Candidate, "erased_at = now()", 410, "candidate_erased"),
    ],
)
async def test_a_closed_gate_hands_nothing_over(  # noqa: PLR0917
    runtime, world, agency_api, table, values, status, code
):
    relay = await forwarded(runtime, world)
    whose = {"agency_id": world.agency.id} if table is Agency else {"company_id": relay.company_id}
    async with runtime.database.transaction(**whose) as db:
        await db.execute(text(f"UPDATE {table.__tablename__} SET {values}"))  # noqa: S608
    answer = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await rows(runtime, relay, Provision) == []


async def test_reports_move_the_relay_forward_and_repetitions_do_not(
    runtime, clock, world, agency_api
):
    relay = await forwarded(runtime, world)
    at = clock().isoformat()
    met = await report(agency_api, relay, "met", at=at)
    late = await report(agency_api, relay, "accepted", at=at)
    again = await report(agency_api, relay, "met", at=at)

    assert met.json() == {
        "id": relay.id, "state": "met", "version": 2, "reason": None, "status_due_on": "2026-07-02",
    }  # fmt: skip
    assert late.json() == met.json()
    assert again.json() == met.json()
    facts = [event.type for event in await rows(runtime, relay, RelayEvent)]
    assert facts == ["forwarded", "met", "accepted"]
    (item,) = await rows(runtime, relay, FeedItem)
    assert item.version == 2


@pytest.mark.parametrize(
    ("before", "body", "status", "code"),
    [
        ([], {"type": "declined"}, 422, "reason_required"),
        ([], {"type": "hired"}, 422, "invalid"),
        ([], {"type": "declined", "reason": "too old"}, 422, "invalid"),
        (["accepted"], {"type": "declined", "reason": "other"}, 409, "step_not_allowed"),
        ([], {"type": "met", "at": "2026-06-09T00:00:00Z"}, 422, "at_in_future"),
        ([], {"type": "met", "at": "2026-05-01T00:00:00Z"}, 422, "at_before_forwarding"),
        ([], {"type": "met", "at": "2026-06-02T10:00:00"}, 422, "invalid"),
        ([], {"type": "declined", "reason": "already_registered", "registered_on": "2026-06-02"},
         409, "registered_after_forwarding"),
    ],
)  # fmt: skip
async def test_reports_that_are_turned_down_change_nothing(  # noqa: PLR0917
    runtime, clock, world, agency_api, before, body, status, code
):
    relay = await forwarded(runtime, world)
    at = clock().isoformat()
    for kind in before:
        await report(agency_api, relay, kind, at=at)
    state = (await reload(runtime, relay)).version
    answer = await agency_api.post(f"/v1/agency/relays/{relay.id}/events", json={"at": at, **body})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await reload(runtime, relay)).version == state
    assert len(await rows(runtime, relay, RelayEvent)) == 1 + len(before)


async def test_already_registered_ends_the_relay_when_declared_in_time(
    runtime, clock, world, agency_api
):
    relay = await forwarded(runtime, world)
    late = await forwarded(runtime, world)
    body = {
        "reason": "already_registered", "registered_on": "2026-01-15",
        "last_contact_on": "2026-05-20",
    }  # fmt: skip
    in_time = await report(agency_api, relay, "declined", at=clock().isoformat(), **body)
    forward(clock, days=4)
    too_late = await report(agency_api, late, "declined", at=clock().isoformat(), **body)
    package = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")

    assert in_time.json()["state"] == "declined"
    assert (too_late.status_code, too_late.json()["code"]) == (409, "declaration_too_late")
    assert (package.status_code, package.json()["code"]) == (410, "relay_ended")
    assert (await reload(runtime, relay)).reason == "already_registered"


def place(api, relay, started_on="2026-06-02", **more):
    body = {"started_on": started_on, "employment_term": "permanent", "attestation": True, **more}
    return api.post(f"/v1/agency/relays/{relay.id}/placement", json=body)


async def test_a_placement_is_reported_once_and_earns(runtime, world, agency_api, company_api):
    relay = await forwarded(runtime, world)
    key = {"idempotency-key": "place-1"}
    body = {"started_on": "2026-06-02", "employment_term": "permanent", "attestation": True}
    url = f"/v1/agency/relays/{relay.id}/placement"
    made = await agency_api.post(url, json=body, headers=key)
    again = await agency_api.post(url, json=body, headers=key)
    other = await place(agency_api, relay)
    await work(runtime)
    entries = await company_api.get(f"/v1/company/credits/entries?relay_id={relay.id}")
    listed = await company_api.get("/v1/company/relays")

    assert made.status_code == 201, made.text
    assert made.json() == {
        "id": made.json()["id"], "relay_id": relay.id, "state": "placed",
        "started_on": "2026-06-02", "guarantee_end_on": "2026-12-01", "left_on": None,
        "employment_term": "permanent", "agreement_version": 1, "reports": 1,
    }  # fmt: skip
    assert again.json() == made.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (409, "placement_exists")
    assert [entry["kind"] for entry in entries.json()["data"]] == ["granted"]
    (shown,) = listed.json()["data"]
    assert (shown["state"], shown["placed_month"]) == ("placed", "2026-06")
    assert len(await rows(runtime, relay, Placement)) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"attestation": False}, 422, "attestation_required"),
        ({"started_on": "2026-06-01"}, 409, "started_before_forwarding"),
        ({"employment_term": "casual"}, 422, "invalid"),
        ({"employer": "株式会社どこか"}, 422, "invalid"),
    ],
)
async def test_placements_that_cannot_be(runtime, world, agency_api, body, status, code):  # noqa: PLR0917
    relay = await forwarded(runtime, world)
    answer = await place(agency_api, relay, **body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await reload(runtime, relay)).state == "forwarded"
    assert await rows(runtime, relay, Placement) == []


async def test_the_ownership_window_ends_after_twelve_months(runtime, clock, world, agency_api):
    relay = await forwarded(runtime, world)
    forward(clock, days=400)
    outside = await place(agency_api, relay, started_on="2027-06-03")
    inside = await place(agency_api, relay, started_on="2027-06-02")

    assert (outside.status_code, outside.json()["code"]) == (409, "outside_ownership_window")
    assert inside.status_code == 201, inside.text


async def test_no_placement_after_a_proven_declaration(runtime, clock, world, agency_api):
    known = await forwarded(runtime, world)
    proof = {"registered_on": "2026-01-15", "last_contact_on": "2026-05-20"}
    body = {"at": clock().isoformat(), "reason": "already_registered", **proof}
    await report(agency_api, known, "declined", **body)
    answer = await place(agency_api, known)

    assert answer.json()["code"] == "not_attributed"
    assert await rows(runtime, known, Placement) == []


async def test_an_early_leave_takes_back_once(runtime, clock, world, agency_api, company_api):
    relay = await forwarded(runtime, world)
    made = (await place(agency_api, relay)).json()
    forward(clock, days=30)
    url = f"/v1/agency/placements/{made['id']}/early-leave"
    left = await agency_api.post(url, json={"last_day_employed": "2026-06-20"})
    again = await agency_api.post(url, json={"last_day_employed": "2026-06-20"})
    other = await agency_api.post(url, json={"last_day_employed": "2026-06-21"})
    totals = (await company_api.get("/v1/company/credits")).json()["total"]

    assert (left.status_code, left.json()["state"]) == (200, "early_left")
    assert again.json() == left.json()
    assert (other.status_code, other.json()["code"]) == (409, "reported_differently")
    assert (totals["pending"], totals["reversed"]) == (0, 1)
    assert (await reload(runtime, relay)).state == "early_left"


@pytest.mark.parametrize(
    ("day", "code"),
    [("2026-06-01", "left_before_start"), ("2026-12-02", "outside_guarantee"),
     ("2027-12-02", "not_left_yet")],
)  # fmt: skip
async def test_leaves_that_cannot_be(runtime, clock, world, agency_api, day, code):  # noqa: PLR0917
    relay = await forwarded(runtime, world)
    made = (await place(agency_api, relay)).json()
    forward(clock, days=200)
    answer = await agency_api.post(
        f"/v1/agency/placements/{made['id']}/early-leave", json={"last_day_employed": day}
    )

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert (await reload(runtime, relay)).state == "placed"


async def test_a_withdrawal_is_acknowledged_and_the_first_answer_stands(
    runtime, clock, world, agency_api
):
    relay = await forwarded(runtime, world)
    url = f"/v1/agency/relays/{relay.id}/withdrawal-ack"
    await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    nothing = await agency_api.post(url, json={})
    await take_back(runtime, relay)
    first = await agency_api.post(
        url, json={"at": clock().isoformat(), "answer": "kept_own_registration"}
    )
    second = await agency_api.post(url, json={})
    (notice,) = await rows(runtime, relay, StopNotice)

    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_acknowledge")
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["answer"] == second.json()["answer"] == "kept_own_registration"
    assert (notice.state, notice.answer, notice.look_at) == (
        "acknowledged", "kept_own_registration", None,
    )  # fmt: skip


async def test_an_agency_that_never_read_may_acknowledge_too(runtime, world, agency_api):
    relay = await forwarded(runtime, world)
    await take_back(runtime, relay)
    answer = await agency_api.post(f"/v1/agency/relays/{relay.id}/withdrawal-ack", json={})

    assert answer.status_code == 200
    assert answer.json() == {
        "relay_id": relay.id, "state": "acknowledged", "answer": None, "acknowledged_at": None,
    }  # fmt: skip


async def test_another_agency_gets_nothing_by_any_door(runtime, clock, world):
    relay = await forwarded(runtime, world)
    made = await forwarded(runtime, world)
    async with api_client(runtime, world.agency_clients[0]) as own:
        placement = (await place(own, made)).json()
    async with api_client(runtime, world.agency_clients[1]) as stranger:
        at = clock().isoformat()
        base = f"/v1/agency/relays/{relay.id}"
        answers = [
            await stranger.get(base),
            await stranger.get(f"{base}/package"),
            await stranger.post(f"{base}/events", json={"type": "met", "at": at}),
            await place(stranger, relay),
            await stranger.post(f"{base}/withdrawal-ack", json={}),
            await stranger.post(
                f"/v1/agency/placements/{placement['id']}/early-leave",
                json={"last_day_employed": "2026-06-02"},
            ),
        ]
        listed = await stranger.get("/v1/agency/relays")
        fed = await stranger.get("/v1/agency/feed?include=package")
        snapshot = await stranger.get("/v1/agency/feed/snapshot")

    assert [one.status_code for one in answers] == [404] * 6
    assert listed.json()["data"] == fed.json()["data"] == []
    assert relay.id not in snapshot.text
    assert (await reload(runtime, relay)).state == "forwarded"
    assert await rows(runtime, relay, Provision) == []


async def test_a_company_sees_its_own_relays_only(runtime, world, company_api):
    relay = await forwarded(runtime, world)
    other = await make_world(runtime, slug="other")
    foreign = await queued(runtime, other)
    mine = await company_api.get(f"/v1/company/relays?application_id={relay.application_id}")
    none = await company_api.get(f"/v1/company/relays?application_id={foreign.application_id}")
    waiting = await queued(runtime, world, minutes=30)
    listed = await company_api.get(f"/v1/company/relays?agency_id={world.agency.id}")

    (shown,) = mine.json()["data"]
    assert (shown["id"], shown["agency_id"], shown["state"]) == (
        relay.id, world.agency.id, "forwarded",
    )  # fmt: skip
    assert shown["application_id"] == relay.application_id
    assert shown["forwarded_at"].endswith("Z")
    assert none.json()["data"] == []
    assert [one["id"] for one in listed.json()["data"]] == [waiting.id, relay.id]


async def test_a_withdrawal_in_another_transaction_waits_for_a_read_under_way(runtime, world):
    """C3: the hand-over is before the withdrawal as a whole, or it does not happen."""
    relay = await forwarded(runtime, world)
    async with runtime.database.transaction(company_id=relay.company_id) as first:
        await first.execute(update(Consent).values(state="withdrawn"))
        async with api_client(runtime, world.agency_clients[0]) as api:
            import anyio  # noqa: PLC0415

            seen = []

            async def read():
                seen.append(await api.get(f"/v1/agency/relays/{relay.id}/package"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await anyio.sleep(0.5)
                still_waiting = not seen
                await first.commit()

    assert still_waiting
    assert (seen[0].status_code, seen[0].json()["code"]) == (410, "consent_withdrawn")
