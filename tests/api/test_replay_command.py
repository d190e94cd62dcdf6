"""`relay replay`: an operator has kept deliveries read again."""

import anyio.to_thread
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from api.cli import cli
from domain.delivery import Delivery
from tests.conftest import settings_for
from tests.deliveries import Ats, person, rejection
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ats(runtime, client):
    return Ats(client, runtime, await make_world(runtime))


@pytest.fixture
def relay(database_url):
    """The command, as its own process would run it."""
    settings = settings_for(database_url)
    told = {
        "RELAY_KEYS": settings.keys, "RELAY_PEPPER": settings.pepper,
        "RELAY_SIGNING_KEY": settings.signing_key, "RELAY_LEDGER_KEY": settings.ledger_key,
        "DATABASE_URL": settings.database_url,
    }  # fmt: skip
    env = {name: value.get_secret_value() for name, value in told.items() if value is not None}

    async def run(*words):
        invoke = CliRunner().invoke
        return await anyio.to_thread.run_sync(lambda: invoke(cli, ["replay", *words], env=env))

    return run


async def deliveries(ats):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        return list((await db.scalars(select(Delivery).order_by(Delivery.id))).all())


async def states(ats):
    return [one.status for one in await deliveries(ats)]


async def test_one_delivery_or_a_connection_s_is_read_again(ats, relay):
    await ats.tell_raw(b"{")
    await ats.tell_raw(b"[")
    await ats.told("application.rejected", {**person(), **rejection(ats.runtime.clock())})
    before = await states(ats)
    first, *_ = await deliveries(ats)
    one = await relay(first.id)
    after_one = await states(ats)
    await work(ats.runtime)
    all_failed = await relay(ats.world.connections["standard-webhooks"].id)
    after_all = await states(ats)
    everything = await relay(
        ats.world.connections["standard-webhooks"].id, "--status", "all",
        "--since", "2020-01-01T00:00:00+09:00",
    )  # fmt: skip

    assert before == ["failed", "failed", "processed"]
    assert (one.exit_code, one.output) == (0, "Read again: 1\n")
    assert after_one == ["received", "failed", "processed"]
    assert (all_failed.exit_code, all_failed.output) == (0, "Read again: 2\n")
    assert after_all == ["received", "received", "processed"]
    assert everything.output == "Read again: 3\n"


@pytest.mark.parametrize(("words", "code"), [
    (["dlv_01m7zcq7pgf7wtnaxz2rzdaa9p"], 1),
    (["ats_01m7zcq7pgf7wtnaxz2rzdaa9p"], 1),
    (["nonsense"], 1),
    (["{connection}", "--status", "bogus"], 2),
    (["{connection}", "--since", "nonsense"], 2),
    (["{connection}", "--since", "2026-01-01"], 2),
    (["{connection}", "--until", "2026-01-01T00:00:00"], 2),
])  # fmt: skip
async def test_what_cannot_be_meant_is_refused(ats, relay, words, code):
    connection = ats.world.connections["standard-webhooks"].id
    told = await relay(*(word.format(connection=connection) for word in words))

    assert told.exit_code == code
    assert "Traceback" not in told.output
