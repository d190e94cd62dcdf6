"""`relay erasures`: what the operator runs after a backup was restored."""

import anyio.to_thread
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner

from api import erasure_files
from api.cli import cli
from domain.candidate import Candidate, SubjectKey
from domain.flows.person.erase_candidate import erase
from tests.applications import rows
from tests.conftest import settings_for
from tests.consents import invited

pytestmark = pytest.mark.anyio
_BACK = (
    "ALTER TABLE erasure DISABLE TRIGGER ALL",
    "DELETE FROM erasure",
    "ALTER TABLE erasure ENABLE TRIGGER ALL",
    "UPDATE candidate SET erased_at = NULL",
)


@pytest.fixture
def reapply(database_url, tmp_path):
    """The command, as its own process would run it."""
    settings = settings_for(database_url)
    told = {
        "RELAY_KEYS": settings.keys, "RELAY_PEPPER": settings.pepper,
        "RELAY_SIGNING_KEY": settings.signing_key, "RELAY_LEDGER_KEY": settings.ledger_key,
        "DATABASE_URL": settings.database_url,
    }  # fmt: skip
    env = {name: value.get_secret_value() for name, value in told.items() if value is not None}
    env["RELAY_ERASURE_LOG_DIR"] = str(tmp_path)

    async def run():
        words = ["erasures", "reapply"]
        return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(cli, words, env=env))

    return run


async def test_whom_a_backup_brought_back_is_erased_again(runtime, world, database_url, reapply,
                                                          tmp_path):  # fmt: skip
    person = await invited(runtime, world)
    company_id, candidate_id = world.company.id, person.application.candidate_id
    keys = {key.kind: key.wrapped for key in await rows(runtime, company_id, SubjectKey)}
    async with runtime.database.transaction(company_id=company_id) as db:
        candidate = await db.get_one(Candidate, (company_id, candidate_id))
        made = await erase(
            db, runtime.tools, candidate, rule="request", actor="candidate", now=runtime.clock()
        )
    erasure_files.write(tmp_path, made)
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        for statement in _BACK:
            await connection.execute(text(statement))
        back = "UPDATE subject_key SET wrapped = :key, destroyed_at = NULL WHERE kind = 'profile'"
        await connection.execute(text(back), {"key": keys["profile"]})
    await engine.dispose()

    first, again = await reapply(), await reapply()
    key = next(one for one in await rows(runtime, company_id, SubjectKey) if one.kind == "profile")

    assert first.output == (
        "1 people were erased again.\n"
        "The database was restored: let the agencies' feeds begin anew, with instance_fact "
        "feed_epoch = 2.\n"
    )
    assert again.output == "0 people were erased again.\n"
    assert key.wrapped is None
