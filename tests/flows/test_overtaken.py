"""What ended meanwhile: a mail back from its server, a package on its way, a role left behind."""

import asyncio
from datetime import timedelta

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlmodel import col, select

from api import timers
from api.jobs import run_now
from domain.access import as_system
from domain.application import Application
from domain.candidate import Candidate
from domain.deadline import Deadline
from domain.errors import NotFound
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.person.change_person import delete
from domain.flows.tell.open_notice import cancel_pending
from domain.flows.tell.record_mail_result import claim_mail, mail_refused
from domain.notice import Mail, Notice
from domain.ports import Undeliverable
from domain.store import lock
from domain.webhook import WebhookMessage
from tests.applications import an_application, an_interview, one, reject, rows
from tests.conftest import forward
from tests.deliveries import Ats, person, rejection
from tests.factories import work
from tests.relays import Answer, forwarded, receiver

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("change", [{"outcome": "withdrawn"}, {"outcome": "active"},
                                    {"holds": ["do_not_contact"]}])  # fmt: skip
async def test_a_mail_its_server_refused_for_now_is_not_sent_after_its_reason_ended(
    runtime, clock, world, change
):
    company_id = world.company.id
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    await reject(runtime, application)
    notice = await one(runtime, company_id, Notice)
    forward(clock, hours=3)

    await timers.sweep(runtime, clock())
    mail = await one(runtime, company_id, Mail)
    async with runtime.database.transaction(company_id=company_id) as db:
        assert await claim_mail(db, runtime.tools, company_id, mail.id, clock()) is not None
    async with runtime.database.transaction(company_id=company_id) as db:
        there = await lock(db, Application, company_id, application.id)
        for name, value in change.items():
            setattr(there, name, value)
        db.add(there)
        await db.flush()
        await cancel_pending(db, company_id, application.id, clock())
    async with runtime.database.transaction(company_id=company_id) as db:
        await mail_refused(
            db, runtime.tools, company_id, mail.id, refusal=Undeliverable("greylisted", code=451),
            now=clock(),
        )  # fmt: skip
    forward(clock, minutes=6)
    await work(runtime)

    (kept,) = await rows(runtime, company_id, Mail, id=mail.id)
    (notice,) = await rows(runtime, company_id, Notice, id=notice.id)
    assert (kept.state, kept.sealed, kept.sent_at) == ("cancelled", None, None)
    assert notice.state == "cancelled"


async def test_a_stop_comes_in_after_the_package_that_was_on_its_way(
    runtime, clock, world, agency_api
):
    key = ECKey.generate_key("P-256").as_dict(private=False)
    started, went_on = asyncio.Event(), asyncio.Event()

    async def hold(received):
        if received.json["type"] == "relay.created":
            started.set()
            await went_on.wait()

    async with receiver(always=Answer(), on_receive=hold) as there:
        made = await agency_api.post(
            "/v1/agency/webhook-endpoints",
            json={"url": there.url, "payload_mode": "sealed", "encryption_key": key},
        )
        assert made.status_code == 201
        sending = asyncio.create_task(forwarded(runtime, world))
        await asyncio.wait_for(started.wait(), 20)
        async with runtime.database.transaction(company_id=world.company.id) as db:
            candidate = (await db.scalars(select(Candidate))).one()
            await withdraw(db, runtime.tools, candidate, None, clock())
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            (created,) = (await db.scalars(select(WebhookMessage).where(
                col(WebhookMessage.type) == "relay.created"))).all()  # fmt: skip
        await run_now(
            runtime, "relay.announce", world.agency.id, created.relay_id, "relay.withdrawn", "2"
        )
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            (stop,) = (await db.scalars(select(WebhookMessage).where(
                col(WebhookMessage.type) == "relay.withdrawn"))).all()  # fmt: skip
        await run_now(runtime, "webhook.send", world.agency.id, stop.id)
        await asyncio.sleep(0.5)  # a worker may have taken the stop before us
        early = len(there.of("relay.withdrawn"))
        went_on.set()
        await sending
        forward(clock, seconds=2)
        await work(runtime)

    assert early == 0
    assert len(there.of("relay.withdrawn")) == 1
    assert there.received[-1].json["type"] == "relay.withdrawn"


async def test_erasing_a_person_voids_promises_and_takes_the_merged_records_along(
    runtime, clock, world
):
    company_id = world.company.id
    kept = await an_application(runtime, world)
    other = await an_application(runtime, world)
    await an_interview(runtime, kept)
    async with runtime.database.transaction(company_id=company_id) as db:
        absorbed = await lock(db, Candidate, company_id, other.candidate_id)
        absorbed.merged_into_id = kept.candidate_id
        db.add(absorbed)
    async with runtime.database.transaction(company_id=company_id) as db:
        survivor = await lock(db, Candidate, company_id, kept.candidate_id)
        await delete(db, runtime.tools, survivor, clock())

    people = await rows(runtime, company_id, Candidate)
    assert [(one_of.profile, one_of.email_hmac) for one_of in people] == [(None, None)] * 2
    assert (await one(runtime, company_id, Deadline)).state == "void"


async def test_what_was_noted_before_the_number_was_known_is_erased_with_the_person(
    runtime, client, world
):
    ats = Ats(client, runtime, world)
    now = runtime.clock()
    await ats.told("application.rejected", {**person("1"), **rejection(now)})
    nameless = {**person("2"), "candidate": {**person("2")["candidate"], "external_id": None}}
    await ats.told("application.rejected", {**nameless, **rejection(now)})
    told = {**nameless, "candidate": {**nameless["candidate"], "external_id": "C-1"}}
    await ats.told("application.rejection_reverted", told, now + timedelta(minutes=1))
    before = await rows(runtime, world.company.id, Candidate)
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-1"}})

    after = await rows(runtime, world.company.id, Candidate)
    assert len(before) == 2
    assert [(one_of.profile, one_of.email_hmac) for one_of in after] == [(None, None)] * 2


async def test_the_system_role_ends_with_its_block_also_by_an_exception(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as session:
        with pytest.raises(NotFound):
            async with as_system(session):
                raise NotFound
        role = (await session.execute(text("SELECT current_user"))).scalar_one()

    assert role == "relay_app"
