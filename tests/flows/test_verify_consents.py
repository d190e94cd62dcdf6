"""The evidence can be recomputed, and tampering with it is found."""

import asyncpg
import pytest

from domain.flows.consent.verify_consents import verify_consents
from tests.consents import invited
from tests.factories import make_world

pytestmark = pytest.mark.anyio


async def _told(runtime, database_url, *statements):
    """What verification says after a superuser has changed rows with the triggers off."""
    world = await make_world(runtime)
    person = await invited(runtime, world)
    await person.give(world.agencies[0].id, world.agencies[1].id)
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    owner = await asyncpg.connect(dsn)
    await owner.execute("SET session_replication_role = replica")
    for statement in statements:
        await owner.execute(statement)
    await owner.close()
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return await verify_consents(db, world.company.id), person.application.candidate_id


async def test_an_untouched_chain_fits(runtime, database_url):
    found, _ = await _told(runtime, database_url)

    assert (found.people, found.broken) == (1, [])
    assert found.events >= 2


async def test_a_changed_event_is_found(runtime, database_url):
    found, person = await _told(
        runtime, database_url, "UPDATE consent_event SET items = '[\"phone\"]' WHERE seq = 2"
    )

    assert found.broken == [f"{person}, 2"]


async def test_a_chain_cut_off_at_its_end_is_found(runtime, database_url):
    found, person = await _told(
        runtime,
        database_url,
        "DELETE FROM consent_event e WHERE seq = (SELECT max(seq) FROM consent_event)",
    )

    assert found.broken == [f"{person}, {found.events + 1}"]


async def test_a_head_taken_away_does_not_hide_its_chain(runtime, database_url):
    found, person = await _told(
        runtime, database_url, "UPDATE candidate SET consent_seq = 0, consent_head = ''"
    )

    assert found.broken == [f"{person}, {found.events + 1}"]


async def test_a_chain_taken_away_leaves_its_head(runtime, database_url):
    found, person = await _told(runtime, database_url, "DELETE FROM consent_event")

    assert (found.broken, found.events) == ([f"{person}, 1"], 0)
