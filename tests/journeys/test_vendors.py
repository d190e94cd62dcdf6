"""The same story in the words of every system: interviewed, turned away, told once, in time.

Against the real app and a real PostgreSQL; the systems' APIs answer over real HTTP. What a system
cannot tell stands, with the reason, in the table (`tests/systems.py`, `cannot`).
"""

from datetime import timedelta

import pytest

from api.app import create_app
from domain.application import Application, Interview
from domain.candidate import Candidate
from domain.deadline import Deadline
from domain.notice import Notice
from integrations.ats import ADAPTERS, APIS
from tests.applications import mailbox, one, rows
from tests.conftest import api_client, forward, httpx2
from tests.factories import work
from tests.systems import ADDRESS, STEPS, SYSTEMS
from tests.vendors import vendor_stub

pytestmark = pytest.mark.anyio

CONNECTIONS = "/v1/company/ats/connections"
DELIVERIES = "/v1/company/ats/deliveries"
REVIEW = timedelta(hours=2)


def all_that(can):
    """The systems that can tell this; the others have their reason in the table."""
    return [name for name, system in SYSTEMS.items() if can not in system.cannot]


class Story:
    """One system, connected, and what happens in it."""

    def __init__(self, system, runtime, world, *, door, api):
        self.system, self.runtime, self.world = system, runtime, world
        self.door, self.api = door, api
        self.clock = runtime.clock

    @property
    def pushes(self):
        return self.system.success is not None

    async def connect(self):
        told = self.system.told()
        if self.system.provider == "recruitee":
            await self._connect_before_the_secret(told)
        else:
            await self._create(told)
        if self.system.provider == "bullhorn":
            self.system.queue(self.system.connection["id"])
        await work(self.runtime)

    async def _create(self, told):
        answer = await self.api.post(CONNECTIONS, json=told)
        assert answer.status_code == 201, answer.text
        self.system.connection = answer.json()
        assert (answer.json()["webhook_url"] is not None) is self.pushes

    async def _connect_before_the_secret(self, told):
        """Recruitee tests the address before it shows the secret."""
        await self._create({**told, "secrets": []})
        assert (await self.post(self.system.test())).status_code == 200
        path = f"{CONNECTIONS}/{self.system.connection['id']}"
        changed = await self.api.patch(path, json={"secrets": told["secrets"]})
        assert changed.status_code == 200, changed.text

    async def post(self, sent):
        return await self.door.post(self.system.path, content=sent.body, headers=sent.headers)

    async def told(self, step):
        """What the system sends about it, and the work that follows; else the next poll."""
        sent = self.system.delivery(step)
        if sent is None:
            await self.polled()
            return
        answer = await self.post(sent)
        assert answer.status_code == self.system.success, answer.text
        await work(self.runtime)

    async def polled(self):
        api = APIS.get(self.system.provider)
        if api is not None:
            forward(self.clock, seconds=api.POLL_EVERY.total_seconds() + 60)
            await work(self.runtime)

    async def interviewed(self):
        """Planned, held, and known to us as held, by whatever way the system has."""
        starts_at = self.clock() + timedelta(minutes=30)
        self.system.plan(starts_at, starts_at + timedelta(minutes=40))
        await self.told("planned")
        forward(self.clock, minutes=80)
        self.system.hold()
        await work(self.runtime)  # the house asks by itself
        if self.system.delivery("held") is not None:
            await self.told("held")

    async def ended(self, by):
        self.system.end(by)
        await self.told("ended")

    async def passes(self, **by):
        """Time, in four steps."""
        for _ in range(4):
            forward(self.clock, seconds=timedelta(**by).total_seconds() / 4)
            await work(self.runtime)

    async def repeated(self, step):
        """The same delivery, and one with other bytes, as the system would send it again."""
        for again in (False, True):
            sent = self.system.delivery(step, again=again)
            if sent is not None:
                answer = await self.post(sent)
                assert answer.status_code == self.system.success
                await work(self.runtime)

    async def all(self, kind):
        return await rows(self.runtime, self.world.company.id, kind)

    async def one(self, kind):
        return await one(self.runtime, self.world.company.id, kind)

    async def mails(self):
        """Those to anybody but the company's own people."""
        sent = await mailbox(self.runtime, self.world.company.id)
        return [mail for mail in sent if not mail["to"].endswith("@mirai.example")]

    async def deliveries(self):
        answer = await self.api.get(DELIVERIES, params={"limit": 100})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def events(self, kind):
        return [
            event
            for row in await self.deliveries()
            for event in row["events"]
            if event["type"] == kind
        ]


@pytest.fixture
async def told(request, runtime, clock, world, monkeypatch):
    """A story in the system named by the parameter; nothing is connected yet."""
    name = request.param
    if name in APIS:
        # The pace is the vendor's; nobody is there to be spared.
        monkeypatch.setattr(APIS[name], "PER_SECOND", 1000.0)
    app = create_app(runtime)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        vendor_stub() as stub,
        httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as door,
        api_client(runtime, world.company_client, app=app) as api,
    ):
        yield Story(SYSTEMS[name](stub, clock), runtime, world, door=door, api=api)


def each(can="", *, unless=()):
    names = [name for name in all_that(can) if name not in unless]
    return pytest.mark.parametrize("told", names, indirect=True)


def test_the_table_names_every_system_and_every_gap_has_a_reason():
    assert set(SYSTEMS) == {*ADAPTERS, *APIS}
    for system in SYSTEMS.values():
        assert set(system.cannot) <= {*STEPS, "lost", "source"}
        assert all(system.cannot.values())
        assert (system.success is None) == (system.provider not in ADAPTERS)


@each()
async def test_a_rejection_is_told_once_in_time_and_a_repetition_changes_nothing(told):
    await told.connect()
    interviews = "planned" not in told.system.cannot
    if interviews:
        await told.interviewed()
        assert (await told.one(Interview)).status == "completed"
        assert (await told.one(Deadline)).state == "open"
        assert len(await told.events("interview.completed")) == 1
    await told.ended("company")

    (event,) = await told.events("application.rejected")
    row = next(one for one in await told.deliveries() if event in one["events"])
    application = await told.one(Application)
    assert (row["status"], row["error"], row["provider"]) == (
        "processed", None, told.system.provider,
    )  # fmt: skip
    assert row["origin"] == ("webhook" if told.pushes else "poll")
    assert row["effects"][0]["effect"] == "applied"
    assert {"what": "notice", "from": None, "to": "scheduled"} in row["effects"][0]["did"]
    assert application.external_id == told.system.application_id
    assert (application.outcome, application.initiated_by) == ("rejected", "company")
    assert event["candidate"]["primary_email"] == ADDRESS
    assert application.holds == []
    assert await told.mails() == []

    await told.passes(hours=3)
    (mail,) = await told.mails()
    assert mail["to"] == ADDRESS
    assert "試験" in mail["text"]
    assert bool(mail["links"]) is ("source" not in told.system.cannot)
    assert [one.state for one in await told.all(Deadline)] == ["met"] * interviews

    await told.repeated("ended")
    await told.polled()
    await told.passes(hours=30)
    assert len(await told.events("application.rejected")) == 1
    assert len(await told.all(Application)) == 1
    assert [one.state for one in await told.all(Notice)] == ["sent"]
    assert await told.mails() == [mail]
    assert {one["status"] for one in await told.deliveries()} <= {"processed", "ignored"}


@each("lost", unless=[name for name, one in SYSTEMS.items() if one.success is None])
async def test_a_lost_delivery_is_found_by_asking_and_its_late_coming_changes_nothing(told):
    await told.connect()
    told.system.end("company")
    await told.polled()
    (event,) = await told.events("application.rejected")
    (row,) = [one for one in await told.deliveries() if one["events"]]
    assert (row["origin"], row["status"]) == ("poll", "processed")

    await told.repeated("ended")
    (known,) = await told.events("application.rejected")
    assert known == event
    await told.passes(hours=4)
    (mail,) = await told.mails()
    assert mail["to"] == ADDRESS
    assert len(await told.all(Notice)) == 1


@each()
async def test_who_withdrew_hears_nothing(told):
    await told.connect()
    if "planned" not in told.system.cannot:
        await told.interviewed()
    await told.ended("candidate")
    application = await told.one(Application)
    assert (application.outcome, application.initiated_by) == ("withdrawn", "candidate")

    await told.repeated("ended")
    await told.polled()
    await told.passes(hours=30)
    assert await told.mails() == []
    assert await told.all(Notice) == []
    assert {one.state for one in await told.all(Deadline)} <= {"void"}
    assert len(await told.events("application.withdrawn")) == 1


@each()
async def test_what_is_taken_back_in_time_is_not_told_and_a_second_end_is(told):
    await told.connect()
    await told.ended("company")
    forward(told.clock, minutes=3)
    told.system.revert()
    await told.told("reverted")
    assert (await told.one(Application)).outcome == "active"
    assert [one.state for one in await told.all(Notice)] == ["cancelled"]
    assert len(await told.events("application.rejection_reverted")) == 1

    await told.repeated("reverted")
    await told.polled()
    await told.passes(hours=4)
    assert await told.mails() == []
    assert len(await told.events("application.rejection_reverted")) == 1

    await told.ended("company")
    await told.passes(hours=26)
    assert (await told.one(Application)).outcome == "rejected"
    assert len(await told.events("application.rejected")) == 2
    assert [mail["to"] for mail in await told.mails()][:1] == [ADDRESS]
    assert [one.state for one in await told.all(Notice)].count("sent") == 1


@each("deleted")
async def test_who_is_deleted_is_erased_and_hears_nothing(told):
    await told.connect()
    await told.ended("company")
    forward(told.clock, minutes=3)
    told.system.delete()
    await told.told("deleted")
    await told.repeated("deleted")
    await told.polled()
    await told.passes(hours=30)

    assert (await told.one(Candidate)).erased_at is not None
    assert await told.mails() == []
    shown = (await told.api.get(DELIVERIES)).text
    assert ADDRESS not in shown
    assert "試験" not in shown


@each(unless=[name for name, one in SYSTEMS.items() if one.success is None])
async def test_a_test_from_the_system_is_answered_and_changes_nothing(told):
    await told.connect()
    sent = None if told.system.provider == "recruitee" else told.system.test()
    if sent is not None:
        answer = await told.post(sent)
        expected = 200 if told.system.provider == "smartrecruiters" else told.system.success
        assert answer.status_code == expected, answer.text
        await work(told.runtime)

    assert await told.all(Application) == []
    assert {one["status"] for one in await told.deliveries()} <= {"ignored"}
