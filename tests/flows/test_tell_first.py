import pytest
from tests.applications import an_application, an_interview, mailbox, one, reject
from tests.conftest import forward
from tests.factories import make_world, work
from domain.deadline import Deadline
from domain.notice import Notice

pytestmark = pytest.mark.anyio

async def test_a_rejection_is_told(runtime, clock):
    world = await make_world(runtime)
    a = await an_application(runtime, world)
    await an_interview(runtime, a)
    await reject(runtime, a)
    print(await one(runtime, world.company.id, Notice))
    forward(clock, hours=3)
    await work(runtime)
    for m in await mailbox(runtime, world.company.id): print(m["to"], m["subject"], m["text"], m["links"], m["html"])
    print(await one(runtime, world.company.id, Deadline))
    print(await one(runtime, world.company.id, Notice))
    assert (await one(runtime, world.company.id, Notice)).state == "sent"
