"""The outbox against a real mail server: taken, refused for now, refused for good, worker gone."""

from datetime import timedelta

import pytest

from api import jobs, timers
from api.runtime import Runtime
from domain.candidate import Candidate
from domain.deadline import Deadline
from domain.flows.tell.record_mail_result import BACK_OFF, LEASE, claim_mail, mail_sent
from domain.invitation import Invitation
from domain.notice import Mail, Notice, Suppression
from tests.applications import HANAKO, an_application, an_interview, one, reject, rows
from tests.conftest import forward, settings_for
from tests.factories import make_world, work
from tests.post_office import PostOffice

pytestmark = pytest.mark.anyio


@pytest.fixture
def office():
    with PostOffice() as running:
        yield running


@pytest.fixture
async def runtime(database_url, clock, office):
    """As in production: a mail server, and mails are emptied once they have gone."""
    settings = settings_for(
        database_url, mode="production", smtp_host="127.0.0.1", smtp_port=office.port,
        smtp_security="none", mail_from="no-reply@relay.example",
    )  # fmt: skip
    made = Runtime.build(settings, clock)
    yield made
    await made.database.close()


async def a_notice_on_its_way(runtime, clock):
    """A world in which one notice is due to be mailed now."""
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    await reject(runtime, application)
    forward(clock, hours=3)
    return world


def to_hanako(office):
    return [taken for taken in office.taken if taken.recipients == [HANAKO["email"]]]


async def test_a_notice_reaches_a_real_server_and_leaves_no_words_behind(runtime, clock, office):
    world = await a_notice_on_its_way(runtime, clock)
    await work(runtime)
    mail = await one(runtime, world.company.id, Mail)
    (taken,) = office.taken

    assert (mail.state, mail.sealed, mail.retry_at, mail.attempts) == ("sent", None, None, 1)
    assert taken.sender == f"bounce+{mail.id}@relay.example"
    assert taken.message["Message-ID"] == f"<{mail.id}@relay.example>"
    assert taken.message["Reply-To"] == "jinji@mirai.example"
    assert taken.message["List-Unsubscribe"] is None
    assert "http://relay.test/c/" in taken.message.get_body(("plain",)).get_content()
    assert (await one(runtime, world.company.id, Notice)).state == "sent"
    assert (await one(runtime, world.company.id, Deadline)).state == "met"


async def test_refused_for_now_is_tried_again_later_with_the_same_name(runtime, clock, office):
    office.recipient_answers = ["451 4.7.1 greylisted", "451 4.7.1 greylisted"]
    world = await a_notice_on_its_way(runtime, clock)
    await work(runtime)
    mail = await one(runtime, world.company.id, Mail)

    assert (mail.state, mail.attempts, mail.error) == ("queued", 1, "451 recipient refused")
    assert (await one(runtime, world.company.id, Notice)).state == "scheduled"
    assert (await one(runtime, world.company.id, Deadline)).state == "open"

    forward(clock, minutes=4)
    await work(runtime)
    assert (await one(runtime, world.company.id, Mail)).attempts == 1

    forward(clock, minutes=2)
    await work(runtime)
    assert (await one(runtime, world.company.id, Mail)).attempts == 2

    forward(clock, minutes=16)
    await work(runtime)
    (taken,) = office.taken

    assert taken.message["Message-ID"] == f"<{mail.id}@relay.example>"
    assert (await one(runtime, world.company.id, Mail)).attempts == 3
    assert (await one(runtime, world.company.id, Deadline)).state == "met"


async def test_refused_for_good_suppresses_the_address_and_reopens(runtime, clock, office):
    office.recipient_answers = ["550 5.1.1 no such user"]
    world = await a_notice_on_its_way(runtime, clock)
    await work(runtime)
    mail, *others = await rows(runtime, world.company.id, Mail)
    notice = await one(runtime, world.company.id, Notice)
    deadline = await one(runtime, world.company.id, Deadline)

    assert (mail.state, mail.error, mail.sealed) == ("bounced", "550 recipient refused", None)
    assert (notice.state, notice.sent_at) == ("bounced", None)
    assert (deadline.state, deadline.met_at) == ("open", None)
    assert (await one(runtime, world.company.id, Suppression)).reply_code == 550
    assert [other.template for other in others] == ["deadline_reminder"]

    forward(clock, days=6)
    await work(runtime)

    assert to_hanako(office) == []
    assert len(await rows(runtime, world.company.id, Notice)) == 1


async def test_what_is_refused_for_two_days_has_bounced_without_blaming_the_address(
    runtime, clock, office
):
    office.data_answers = ["451 later"] * 100
    world = await a_notice_on_its_way(runtime, clock)
    await work(runtime)
    mail = await one(runtime, world.company.id, Mail, template="notice_rejected")
    for wait in BACK_OFF:
        forward(clock, minutes=wait.total_seconds() / 60 + 1)
        await work(runtime)
    mail = (await rows(runtime, world.company.id, Mail, id=mail.id))[0]

    assert (mail.state, mail.attempts) == ("bounced", len(BACK_OFF) + 1)
    assert mail.error == "gave up: 451 content refused"
    assert await rows(runtime, world.company.id, Suppression) == []


async def test_a_worker_that_dies_before_the_server_answered_delays_and_loses_nothing(
    runtime, clock, office
):
    world = await a_notice_on_its_way(runtime, clock)
    await timers.sweep(runtime, clock())
    mail = await one(runtime, world.company.id, Mail)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        letter = await claim_mail(db, runtime.tools, world.company.id, mail.id, clock())
    # … and here the worker's machine goes away. Another one finds the job first:
    await work(runtime)

    assert letter.to == HANAKO["email"]
    assert office.taken == []
    assert (await one(runtime, world.company.id, Mail)).state == "sending"

    clock.move_to(clock() + LEASE + timedelta(seconds=1))
    await work(runtime)

    assert len(office.taken) == 1
    assert (await one(runtime, world.company.id, Mail)).state == "sent"
    assert (await one(runtime, world.company.id, Deadline)).state == "met"


async def test_a_worker_that_was_only_slow_has_sent_it(runtime, clock, office):
    world = await a_notice_on_its_way(runtime, clock)
    await timers.sweep(runtime, clock())
    mail = await one(runtime, world.company.id, Mail)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await claim_mail(db, runtime.tools, world.company.id, mail.id, clock())
    clock.move_to(clock() + LEASE + timedelta(seconds=1))
    await timers.sweep(runtime, clock())  # queued again, and asked for again …
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await mail_sent(db, runtime.tools, world.company.id, mail.id, clock())
    await work(runtime)  # … but by now the slow one has reported

    assert office.taken == []
    assert (await one(runtime, world.company.id, Mail)).state == "sent"
    assert (await one(runtime, world.company.id, Deadline)).state == "met"


async def test_two_workers_with_the_same_job_send_once(runtime, clock, office):
    world = await a_notice_on_its_way(runtime, clock)
    await timers.sweep(runtime, clock())
    mail = await one(runtime, world.company.id, Mail)
    for _ in range(3):
        await jobs.run_now(runtime, "mail.send", world.company.id, mail.id)
    await work(runtime)

    assert len(office.taken) == 1


async def test_without_a_mail_server_production_keeps_trying_and_says_why(
    database_url, clock, runtime
):
    settings = settings_for(database_url, mode="production")
    without = Runtime.build(settings, clock)
    world = await a_notice_on_its_way(without, clock)
    await work(without)
    mail = await one(without, world.company.id, Mail)
    await without.database.close()

    assert (mail.state, mail.error) == ("queued", "RELAY_SMTP_HOST is not set")
    assert (await one(runtime, world.company.id, Notice)).state == "scheduled"


async def test_a_reminder_can_be_stopped_with_one_click(runtime, clock, office, client):
    world = await a_notice_on_its_way(runtime, clock)
    await work(runtime)
    forward(clock, days=9)
    await work(runtime)
    _, reminder = to_hanako(office)
    link = reminder.message["List-Unsubscribe"]

    assert link.startswith("<http://relay.test/c/")
    assert link.endswith("/stop>")
    assert reminder.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    path = link.strip("<>").removeprefix("http://relay.test")
    asked = await client.get(path)
    assert asked.status_code == 200
    assert (await one(runtime, world.company.id, Candidate)).opted_out_at is None

    said = [
        await client.post(path, data={"List-Unsubscribe": "One-Click"}, headers={"origin": "null"})
        for _ in range(2)
    ]
    invitation = await one(runtime, world.company.id, Invitation)

    assert [answer.status_code for answer in said] == [200, 200]
    assert "停止しました" in said[0].text
    assert (await one(runtime, world.company.id, Candidate)).opted_out_at is not None
    assert (invitation.state, invitation.look_at) == ("invited", invitation.expires_at)


async def test_who_said_stop_is_not_invited_again(runtime, clock, office, client):
    world = await a_notice_on_its_way(runtime, clock)
    await work(runtime)
    path = "/c/" + office.taken[0].message.get_body(("plain",)).get_content().split("/c/")[1][:43]
    assert (await client.post(f"{path}/stop")).status_code == 200
    forward(clock, days=9)
    await work(runtime)

    assert len(to_hanako(office)) == 1
    assert (await one(runtime, world.company.id, Invitation)).reminded_at is None


async def test_a_stop_link_we_never_gave_out(client):
    answer = await client.post("/c/" + "A" * 43 + "/stop")

    assert answer.status_code == 404
