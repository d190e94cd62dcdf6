"""The nightly look at every hand-over: covered by a consent, or somebody is called."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import update
from sqlmodel import col

from api.duties.privacy import check as check_job
from domain.company import Company
from domain.consent import Consent
from domain.flows.consent.append_consent_event import append, lock_candidate
from domain.flows.office import open_account
from domain.flows.office.check_provisions import check_provisions
from domain.flows.relay.provide_package import provide_package
from domain.privacy import PrivacyCheck
from domain.relay import Provision
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.factories import work
from tests.relays import forwarded, take_back

pytestmark = pytest.mark.anyio
OFFICER = "hogo@mirai.example"


@pytest.fixture
async def officer(runtime, world):
    async with runtime.database.transaction() as db:
        return await open_account.register_member(
            db, runtime.tools.sealer, email=OFFICER, name="保護 守", roles=["privacy_officer"],
            now=runtime.clock(), company_id=world.company.id,
        )  # fmt: skip


async def read(runtime, relay, channel="api"):
    async with runtime.database.transaction() as db:
        await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel=channel, client_id="ocl_x",
            now=runtime.clock(),
        )  # fmt: skip


async def check(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return await check_provisions(db, world.company.id, runtime.clock())


async def falsified(database_url, statement, *values):
    """What nobody can do by any door: the owner writes past the guards."""
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def told(client, name):
    """A number without labels as operators' machines read it."""
    lines = (await client.get("/metrics")).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


async def test_whoever_consented_is_covered(runtime, world, clock):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    await read(runtime, relay, "feed")
    forward(clock, days=3)
    await read(runtime, relay)

    found = await check(runtime, world)

    assert (found.provisions, found.uncovered, found.findings) == (2, 0, [])


async def test_a_later_withdrawal_uncovers_nothing(runtime, world, clock):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    forward(clock, days=1)
    await take_back(runtime, relay)
    forward(clock, days=400)

    found = await check(runtime, world)

    assert (found.provisions, found.uncovered) == (1, 0)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("agency_id", "'agy_somebodyelse'"),
        ("candidate_id", "'cnd_somebodyelse'"),
        ("consent_event_id", "'cev_neverwas'"),
        ("consent_text_sha256", "repeat('0', 64)"),
        ("items", """items || '["birth_date"]'"""),
        ("provided_at", "provided_at - interval '1 hour'"),
        ("last_provided_at", "last_provided_at + interval '181 days'"),
    ],
)
async def test_each_way_of_not_being_covered_is_found(runtime, world, database_url, column, value):
    relay = await forwarded(runtime, world)
    other = await forwarded(runtime, world, agency=1)
    await read(runtime, relay)
    await read(runtime, other)
    record = await one(runtime, world.company.id, Provision, relay_id=relay.id)

    await falsified(
        database_url,
        f"UPDATE provision SET {column} = {value} WHERE id = $1",  # noqa: S608
        record.id,
    )
    found = await check(runtime, world)

    assert (found.provisions, found.uncovered, found.findings) == (2, 1, [record.id])


@pytest.mark.parametrize("kind", ["withdrawn", "invalidated", "superseded", "expired"])
async def test_a_hand_over_after_the_consent_ended_is_found(runtime, world, clock, kind):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = await lock_candidate(db, relay.company_id, relay.candidate_id)
        await append(db, candidate, kind, clock() - timedelta(days=1), agency_id=relay.agency_id)

    found = await check(runtime, world)

    assert found.uncovered == 1


async def test_a_hand_over_inside_the_grace_is_found(runtime, world):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        consent = await db.get_one(Consent, (world.company.id, relay.consent_id))
        consent.provision_not_before += timedelta(hours=1)
        db.add(consent)

    found = await check(runtime, world)

    assert found.uncovered == 1


@pytest.mark.usefixtures("officer")
async def test_every_night_it_runs_once_and_calls_the_officer(
    runtime, world, clock, database_url, client
):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    clock.move_to(datetime(2026, 6, 3, 18, 30, tzinfo=UTC))  # 03:30 in Japan
    await work(runtime)
    await work(runtime)
    first = await rows(runtime, world.company.id, PrivacyCheck)
    metrics = (await client.get("/metrics")).text
    record = await one(runtime, world.company.id, Provision)
    await falsified(database_url, "UPDATE provision SET items = '[\"education\"]'")
    forward(clock, days=1)
    await work(runtime)
    await work(runtime)
    second = await rows(runtime, world.company.id, PrivacyCheck)
    mails = await mailbox(runtime, world.company.id, OFFICER)
    alarmed = (await client.get("/metrics")).text

    assert [one.uncovered for one in first] == [0, 0]
    assert [one.uncovered for one in second] == [0, 0, 1]
    assert second[-1].findings == [record.id]
    assert [mail["subject"] for mail in mails] == ["同意の確認できない第三者提供が見つかりました"]
    assert "1件" in mails[0]["text"]
    assert relay.candidate_id not in mails[0]["text"] + mails[0]["html"]
    assert "relay_provisions_without_valid_consent 0.0" in metrics
    assert "relay_provisions_without_valid_consent 1.0" in alarmed


async def test_what_is_mended_ends_the_alarm(runtime, world, database_url, client):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    await falsified(database_url, "UPDATE provision SET agency_id = 'agy_x'")
    await check_job(runtime, [world.company.id])
    alarmed = (await client.get("/metrics")).text
    await falsified(database_url, "UPDATE provision SET agency_id = $1", relay.agency_id)
    await check_job(runtime, [world.company.id])
    quiet = (await client.get("/metrics")).text

    assert "relay_provisions_without_valid_consent 1.0" in alarmed
    assert "relay_provisions_without_valid_consent 0.0" in quiet


async def test_a_check_that_did_not_run_is_told(runtime, world, clock, client):
    await work(runtime)
    there: Any = update(Company).where(col(Company.id) == world.company.id)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(there.values(privacy_look_at=clock() - timedelta(hours=7)))

    assert 'relay_privacy_late{kind="checks"} 1.0' in (await client.get("/metrics")).text


async def test_it_looks_at_one_company_only(runtime, world):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    async with runtime.database.transaction() as db:
        other = await open_account.open_company(
            db, now=runtime.clock(), name="別", slug="betsu", address="a", representative="r",
            contact="c", harassment_contact="h", privacy_officer="p", privacy_contact="q",
        )  # fmt: skip
    async with runtime.database.transaction(company_id=other.id) as db:
        found = await check_provisions(db, other.id, runtime.clock())

    assert (found.provisions, found.uncovered) == (0, 0)


@pytest.mark.usefixtures("officer")
async def test_evidence_that_was_changed_calls_the_officer_and_ends_the_time_known_whole(
    runtime, world, clock, database_url, client
):
    relay = await forwarded(runtime, world)
    await check_job(runtime, [world.company.id])
    whole = await told(client, "relay_audit_chain_ok_at")
    await falsified(database_url, "UPDATE consent_event SET method = 'somehow'")
    forward(clock, days=1)
    await work(runtime)
    *_, first, second = sorted(
        await rows(runtime, world.company.id, PrivacyCheck), key=lambda one: one.finished_at
    )
    mails = await mailbox(runtime, world.company.id, OFFICER)

    assert (first.consent_events, first.broken, first.alarming) == (1, 0, False)
    assert (second.uncovered, second.broken, second.findings) == (
        0, 1, [f"{relay.candidate_id}, 1"],
    )  # fmt: skip
    assert second.alarming
    assert [mail["subject"] for mail in mails] == ["同意の証跡に不一致が見つかりました"]
    assert "1名" in mails[0]["text"]
    assert "提供記録" not in mails[0]["text"]
    assert relay.candidate_id not in mails[0]["text"] + mails[0]["html"]
    assert whole == pytest.approx(first.finished_at.timestamp(), abs=0.001)
    assert await told(client, "relay_audit_chain_ok_at") == whole
    assert await told(client, "relay_audit_chains_broken") == 1


async def test_evidence_nobody_has_looked_at_is_known_whole_since_nothing_was_there(world, client):
    ok_at = await told(client, "relay_audit_chain_ok_at")

    assert ok_at == pytest.approx(world.company.created_at.timestamp(), abs=0.001)
    assert await told(client, "relay_audit_chains_broken") == 0


async def test_the_companys_numbers_are_those_of_the_last_check(
    runtime, world, clock, database_url, company_api
):
    before = (await company_api.get("/v1/company/metrics")).json()
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    await check_job(runtime, [world.company.id])
    whole = max(one.finished_at for one in await rows(runtime, world.company.id, PrivacyCheck))
    await falsified(database_url, "UPDATE provision SET items = '[\"education\"]'")
    await falsified(database_url, "UPDATE consent_event SET method = 'somehow'")
    forward(clock, days=1)
    await check_job(runtime, [world.company.id])
    after = (await company_api.get("/v1/company/metrics")).json()

    assert (before["provisions_without_valid_consent"], before["audit_chain_ok_at"]) == (0, None)
    assert after["provisions_without_valid_consent"] == 1
    assert datetime.fromisoformat(after["audit_chain_ok_at"]) == whole
