from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlmodel import select

from domain.candidate import Candidate
from domain.flows.consent.acknowledge_stop import acknowledge_stop
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.office.open_account import register_member
from domain.flows.person.change_person import delete
from domain.relay import StopNotice
from tests.conftest import forward
from tests.factories import work
from tests.relays import forwarded, queued, reload

pytestmark = pytest.mark.anyio


async def stopped(runtime, world, agency_api, *, erase=False):
    """A relay whose package was read and whose candidate then took the consent back."""
    relay = await forwarded(runtime, world)
    assert (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).status_code == 200
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        candidate = await db.get_one(Candidate, (relay.company_id, relay.candidate_id))
        if erase:
            await delete(db, runtime.tools, candidate, runtime.clock())
        else:
            await withdraw(db, runtime.tools, candidate, None, runtime.clock())
    await work(runtime)
    return relay


async def notice(runtime, relay):
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        return (await db.scalars(select(StopNotice))).one()


async def mails(runtime, tenant):
    async with runtime.database.transaction(**tenant) as db:
        found = await db.execute(
            text("SELECT template FROM mail WHERE template = 'stop_overdue' ORDER BY id")
        )
        return len(found.all())


async def people(runtime, world):
    async with runtime.database.transaction() as db:
        for address, roles, owner in (
            ("privacy@mirai.example", ["privacy_officer"], {"company_id": world.company.id}),
            ("hr@mirai.example", ["recruiter"], {"company_id": world.company.id}),
            ("head@aozora.example", ["consultant"], {"agency_id": world.agency.id}),
        ):
            await register_member(
                db, runtime.tools.sealer, email=address, name="担当", roles=roles,
                now=runtime.clock(), **owner,
            )  # fmt: skip


async def test_silence_is_overdue_after_three_business_days_and_told_daily(
    runtime, clock, world, agency_api
):
    await people(runtime, world)
    company, agency = {"company_id": world.company.id}, {"agency_id": world.agency.id}
    relay = await stopped(runtime, world, agency_api)
    states = []
    for _ in range(5):  # Tuesday the 2nd to Sunday the 7th; due on Friday
        states.append((await notice(runtime, relay)).state)
        forward(clock, days=1)
        await work(runtime)
        await work(runtime)
    found = await notice(runtime, relay)
    told = await mails(runtime, company), await mails(runtime, agency)

    assert found.due_on == date(2026, 6, 5)
    assert states == ["notified"] * 4 + ["overdue"]
    assert (found.state, found.escalated_at) == ("overdue", None)
    assert told == (2, 2)


async def test_two_more_days_and_nothing_new_goes_to_the_agency_until_it_answers(
    runtime, clock, world, agency_api
):
    relay = await stopped(runtime, world, agency_api)
    forward(clock, days=8)  # Wednesday the 10th: due on the 5th, two business days later the 9th
    await work(runtime)
    found = await notice(runtime, relay)
    waiting = await queued(runtime, world)
    await work(runtime)
    held = await reload(runtime, waiting)
    await agency_api.post(f"/v1/agency/relays/{relay.id}/withdrawal-ack", json={})
    forward(clock, minutes=16)
    await work(runtime)

    assert found.escalated_at is not None
    assert (held.state, held.reason) == ("queued", "acknowledgement_overdue")
    assert (await reload(runtime, waiting)).state == "forwarded"
    assert (await notice(runtime, relay)).look_at is None


async def test_whoever_answers_in_time_hears_no_more_of_it(runtime, clock, world, agency_api):
    await people(runtime, world)
    relay = await stopped(runtime, world, agency_api)
    await agency_api.post(f"/v1/agency/relays/{relay.id}/withdrawal-ack", json={})
    forward(clock, days=20)
    await work(runtime)

    assert (await notice(runtime, relay)).state == "acknowledged"
    assert await mails(runtime, {"company_id": world.company.id}) == 0
    assert await mails(runtime, {"agency_id": world.agency.id}) == 0


@pytest.mark.parametrize(("said", "kept"), [(-3, 0), (1, 1), (5, 2)])
async def test_an_answer_is_dated_between_the_question_and_now(
    runtime, world, agency_api, said, kept
):
    """`said` and `kept` in hours after the agency was asked; it answers after two."""
    relay = await stopped(runtime, world, agency_api)
    asked_at = (await notice(runtime, relay)).created_at
    at = asked_at + timedelta(hours=said)
    async with runtime.database.transaction() as db:
        await acknowledge_stop(
            db, relay.agency_id, relay.id, "deleted", at=at, now=asked_at + timedelta(hours=2)
        )

    found = await notice(runtime, relay)
    assert found.acknowledged_at == asked_at + timedelta(hours=kept)


async def test_an_erasure_is_stopped_and_acknowledged_alike(runtime, world, agency_api):
    relay = await stopped(runtime, world, agency_api, erase=True)
    package = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    answer = await agency_api.post(f"/v1/agency/relays/{relay.id}/withdrawal-ack", json={})

    assert (package.status_code, package.json()["code"]) == (410, "candidate_erased")
    assert answer.status_code == 200
    found = await notice(runtime, relay)
    assert (found.kind, found.state, found.answer) == ("erased", "acknowledged", "deleted")
