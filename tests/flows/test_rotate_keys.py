import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.cli import _rotate
from api.demo.place import new_ring_key
from api.runtime import Runtime
from tests.factories import make_world

pytestmark = pytest.mark.anyio


async def test_everything_opens_without_the_old_key_after_a_rotation(runtime):
    world = await make_world(runtime)
    old, new = runtime.settings.keys, new_ring_key()
    both = SecretStr(f"{new},{old.get_secret_value()}")

    rotated = Runtime.build(runtime.settings.model_copy(update={"keys": both}), runtime.clock)
    assert await _rotate(rotated) == 2
    without = runtime.settings.model_copy(update={"keys": SecretStr(new)})
    only = Runtime.build(without, runtime.clock)
    async with only.database.transaction(company_id=world.company.id) as db:
        rows = (await db.execute(text("SELECT id, secrets FROM ats_connection"))).all()
    await only.database.close()

    for row in rows:
        opened = only.tools.sealer.open(bytes(row.secrets), about=f"connection:{row.id}")
        assert b'"secrets"' in opened
    again = Runtime.build(runtime.settings.model_copy(update={"keys": both}), runtime.clock)
    assert await _rotate(again) == 0
