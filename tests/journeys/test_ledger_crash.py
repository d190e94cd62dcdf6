"""Postings while connections are cut and the server crashes: nothing acknowledged is lost.

A PostgreSQL of its own with everything durable, sixteen people at work in four books.
"""

import asyncio
import contextlib
import random
from datetime import UTC, date, datetime

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from api import schema
from api.clock import Clock
from api.database import Database
from api.demo import postgres
from api.runtime import Runtime, app_password, app_url
from domain import ledger
from domain.credits import Bucket, Kind
from domain.errors import Refusal
from domain.flows.earn import use_credit
from domain.flows.earn.mature_credit import make_available
from domain.flows.earn.verify_ledger import verify
from domain.ids import new_id
from domain.posting import Move, NewCredit, Posting
from tests.conftest import settings_for
from tests.factories import make_world
from tests.processes import folder_for

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 10, 1, 1, tzinfo=UTC)
TODAY = date(2026, 10, 1)
PEOPLE, SECONDS = 16, 8


class Load:
    """Sixteen who grant, hold, use and release as fast as they can, and note what was promised."""

    def __init__(self, runtime, worlds):
        self.database = Database(app_url(runtime.settings), pool_size=PEOPLE)
        self.worlds, self.over = worlds, False
        self.promised: set[tuple[str, str]] = set()
        self.troubles = 0

    async def work(self, seed):
        chance = random.Random(seed)  # noqa: S311 - a story, not a secret
        while not self.over:
            world = chance.choice(self.worlds)
            try:
                await self.step(world, chance)
            except Refusal:
                continue
            except (SQLAlchemyError, asyncpg.PostgresError, OSError):
                self.troubles += 1
                await asyncio.sleep(0.02)

    async def step(self, world, chance):
        company = world.company.id
        if chance.random() < 0.4:
            done = f"granted:{new_id('plc')}"
            async with self.database.transaction(company_id=company) as db:
                await grant(db, world, done)
        else:
            async with self.database.transaction(company_id=company) as db:
                held = await use_credit.reserve(
                    db, company, agency_id=world.agency.id, opening=use_credit.Opening("経理"),
                    actor="crc_1", now=NOW,
                )  # fmt: skip
            self.promised.add((company, f"reserve:{held.id}"))
            used = chance.random() < 0.5
            done = f"{'use' if used else 'release'}:{held.id}"
            async with self.database.transaction(company_id=company) as db:
                if used:
                    await use_credit.use(
                        db, company, held.id, hired_on=TODAY, actor="crc_1", now=NOW
                    )
                else:
                    await use_credit.release(db, company, held.id, actor="crc_1", now=NOW)
        self.promised.add((company, done))


async def grant(db, world, key):
    """A credit that may be used at once."""
    terms = {"available_after": "start"}
    credit = NewCredit(
        id=new_id("crd"), agreement_id=world.agreements[0].id, agreement_version=1, terms=terms,
        started_on=TODAY, guarantee_end_on=date(2027, 3, 31),
    )  # fmt: skip
    book = await ledger.open_book(db, world.company.id, world.agency.id, NOW)
    posting = Posting(
        kind=Kind.GRANTED, key=key, effective_on=TODAY, actor="agy_1", credits=[credit],
        moves=[Move(credit.id, Bucket.ISSUED, Bucket.PENDING)],
    )  # fmt: skip
    await ledger.post(db, book, posting, NOW)
    there = await ledger.credit(db, world.company.id, credit.id)
    await make_available(db, book, there, NOW)


async def cut_connections(server, seconds):
    """Every now and then some back ends are ended."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.2)
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            owner = await asyncpg.connect(server.uri)
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'relay_app' AND random() < 0.3"
            )
            await owner.close()


def crash(server):
    """The server dies without a word, and starts again from its log."""
    server._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", server.folder)
    server.start()


async def test_a_ledger_that_was_cut_off_and_crashed_lost_nothing_and_is_sound():
    with folder_for("crash") as folder:
        server = postgres.find(folder / "postgres")
        server.start()
        try:
            await story(server)
        finally:
            server.stop()


async def story(server):
    url = make_url(server.uri).set(drivername="postgresql+asyncpg")
    settings = settings_for(url)
    await schema.upgrade(url, app_password(settings))
    runtime = Runtime.build(settings, Clock(NOW - Clock()()))
    worlds = [await make_world(runtime, slug=f"c{n}", agencies=1) for n in range(4)]
    load = Load(runtime, worlds)
    people = [asyncio.create_task(load.work(seed)) for seed in range(PEOPLE)]
    await cut_connections(server, SECONDS / 2)
    before = len(load.promised)
    await asyncio.to_thread(crash, server)
    await asyncio.sleep(SECONDS / 2)
    load.over = True
    await asyncio.gather(*people)
    await load.database.close()
    await runtime.database.engine.dispose()
    async with runtime.database.transaction() as db:
        report = await verify(db)
    owner = await asyncpg.connect(server.uri)
    kept = {(row[0], row[1]) for row in await owner.fetch(_KEYS)}
    await owner.close()
    await runtime.database.close()

    assert report.findings == []
    assert load.promised - kept == set()
    assert load.troubles > 0
    assert len(load.promised) > before > 20


_KEYS = "SELECT company_id, business_key FROM ledger_tx"
