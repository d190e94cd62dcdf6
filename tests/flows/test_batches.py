"""Deliveries about several people: each statement has its own time, each person own rights."""

import base64
import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from domain.application import Application
from domain.delivery import Delivery
from domain.flows.office import open_account
from domain.views.deliveries import events_of
from tests.deliveries import Ats, person, rejection, standard_headers
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Batches:
    """A connection that is sent CloudEvents, one or many at a time."""

    def __init__(self, ats, connection_id):
        self.ats, self.path = ats, f"/v1/ats/cloudevents/{connection_id}"
        self.sent = 0

    async def tell(self, *events):
        self.sent += 1
        several = len(events) > 1
        raw = json.dumps(list(events) if several else events[0]).encode()
        kind = "cloudevents-batch" if several else "cloudevents"
        now = self.ats.runtime.clock()
        headers = {
            **standard_headers(raw, SECRET, now, f"m{self.sent}"),
            "content-type": f"application/{kind}+json",
        }
        answer = await self.ats.client.post(self.path, content=raw, headers=headers)
        assert answer.status_code == 202, answer.text
        await work(self.ats.runtime)

    def event(self, kind, data, at):
        number = f"e{self.sent}-{data['candidate']['external_id']}"
        return {
            "specversion": "1.0", "id": number, "source": "/s", "type": kind,
            "time": at.isoformat(), "data": data,
        }  # fmt: skip

    async def shown(self):
        """(delivery, the addresses in its events), oldest first."""
        async with self.ats.runtime.database.transaction(
            company_id=self.ats.world.company.id
        ) as db:
            found = (await db.scalars(select(Delivery).order_by(Delivery.id))).all()
            events = await events_of(
                db, self.ats.runtime.tools.sealer, self.ats.world.company.id, found
            )
        return [
            (one, [event["candidate"]["primary_email"] for event in events[one.id]])
            for one in found
        ]


@pytest.fixture
async def ats(runtime, client):
    return Ats(client, runtime, await make_world(runtime))


@pytest.fixture
async def batches(ats):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        made = await open_account.connect_ats(
            db, ats.runtime.tools.sealer, ats.world.company.id, provider="cloudevents",
            name="own", secrets=[SECRET], settings={"batched": True}, now=ats.runtime.clock(),
        )  # fmt: skip
    return Batches(ats, made.id)


@pytest.mark.parametrize("gone", ["C-1", "C-2"])
async def test_erasing_any_of_them_empties_the_delivery(ats, batches, gone):
    now = ats.runtime.clock()
    ends = [
        batches.event("application.rejected", {**person(one), **rejection(now)}, now)
        for one in ("1", "2")
    ]
    await batches.tell(*ends)
    await batches.tell(
        batches.event("application.rejected", {**person("3"), **rejection(now)}, now)
    )
    (_, before), _ = await batches.shown()
    await batches.tell(
        batches.event("candidate.deleted", {"candidate": {"external_id": gone}}, now)
    )
    (batch, after), (single, others), _ = await batches.shown()

    assert before == ["hanako.1@mail.example", "hanako.2@mail.example"]
    assert (batch.body, batch.headers, batch.events, after) == (None, None, None, [])
    assert single.body is not None
    assert others == ["hanako.3@mail.example"]


async def test_what_comes_after_the_erasure_names_nobody(ats, batches):
    now = ats.runtime.clock()
    await batches.tell(
        batches.event("application.rejected", {**person("1"), **rejection(now)}, now)
    )
    await batches.tell(
        batches.event("candidate.deleted", {"candidate": {"external_id": "C-1"}}, now)
    )
    later = now + timedelta(seconds=1)
    ends = [
        batches.event("application.rejected", {**person(one), **rejection(later)}, later)
        for one in ("1", "2")
    ]
    await batches.tell(*ends)
    *_, (batch, told) = await batches.shown()

    assert batch.body is None
    assert set(told) == {None}


async def test_each_statement_is_as_old_as_it_says(ats, batches):
    now = ats.runtime.clock()
    ended, corrected = now - timedelta(hours=1), now - timedelta(minutes=20)
    one, two = person("1"), person("2")
    await batches.tell(
        batches.event("application.rejected", {**one, **rejection(ended, "candidate")}, corrected)
    )
    await batches.tell(
        batches.event("application.rejected", {**one, **rejection(ended)}, ended),
        batches.event("application.rejected", {**two, **rejection(now)}, now),
    )
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        found = (await db.scalars(select(Application).order_by(Application.external_id))).all()

    assert [one.outcome for one in found] == ["withdrawn", "rejected"]
