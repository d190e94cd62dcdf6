"""Words that end: nothing rests on them from their day on."""

from datetime import timedelta

import pytest

from domain.business_days import local_day
from domain.consent import Consent, ConsentTextEnd
from domain.errors import Forbidden, Invalid
from domain.flows.office.end_text import end_text
from domain.flows.relay.provide_package import provide_package
from domain.relay import Provision
from tests.applications import one, rows
from tests.conftest import forward
from tests.factories import work
from tests.relays import forwarded

pytestmark = pytest.mark.anyio


async def read(runtime, relay):
    async with runtime.database.transaction() as db:
        await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel="api", client_id="ocl_x",
            now=runtime.clock(),
        )  # fmt: skip


async def end(runtime, world, *, days=1, reason="改正"):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await end_text(
            db, world.company.id, "2026-06", local_day(runtime.clock()) + timedelta(days=days),
            reason=reason, actor="operator:x", now=runtime.clock(),
        )  # fmt: skip


async def test_a_hand_over_rests_on_words_until_they_end(runtime, world, clock):
    relay = await forwarded(runtime, world)
    await end(runtime, world)
    await read(runtime, relay)
    forward(clock, days=1)
    with pytest.raises(Forbidden) as refusal:
        await read(runtime, relay)
    await work(runtime)

    assert refusal.value.code == "text_ended"
    assert len(await rows(runtime, world.company.id, Provision)) == 1


@pytest.mark.parametrize(("wish", "code"), [
    ({"days": -1}, "period_invalid"), ({"reason": " "}, "reason_missing"),
])  # fmt: skip
async def test_words_do_not_end_in_the_past_or_without_a_reason(runtime, world, wish, code):
    await forwarded(runtime, world)
    with pytest.raises(Invalid) as refusal:
        await end(runtime, world, **wish)

    assert refusal.value.code == code
    assert await rows(runtime, world.company.id, ConsentTextEnd) == []
    assert (await one(runtime, world.company.id, Consent)).state == "given"
