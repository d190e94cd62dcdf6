import pytest
from sqlalchemy import text

from tests.factories import make_world, work

pytestmark = pytest.mark.anyio


async def test_the_app_role_has_no_way_around_row_level_security(runtime):
    async with runtime.database.transaction() as session:
        row = (
            await session.execute(
                text(
                    "SELECT current_user, rolsuper, rolbypassrls FROM pg_roles "
                    "WHERE rolname = current_user"
                )
            )
        ).one()

    assert tuple(row) == ("relay_app", False, False)


async def test_unknown_paths_are_problems(client):
    answer = await client.get("/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


async def test_a_world_can_be_made_and_is_invisible_without_its_tenant(runtime):
    world = await make_world(runtime)
    await work(runtime)

    async with runtime.database.transaction() as session:
        seen = (await session.execute(text("SELECT count(*) FROM ats_connection"))).scalar_one()
    async with runtime.database.transaction(company_id=world.company.id) as session:
        own = (await session.execute(text("SELECT count(*) FROM ats_connection"))).scalar_one()

    assert (seen, own) == (0, 2)
