"""A book with something of everything in it, and the strongest hand there is to change it with."""

from contextlib import asynccontextmanager
from datetime import date

import asyncpg

from domain.flows.earn import use_credit
from domain.posting import chain_hash
from tests.factories import work
from tests.flows.ledger_story import at, earn, leave, terms_are

APRIL = date(2026, 4, 1)
_OFF = "SET LOCAL session_replication_role = replica"


@asynccontextmanager
async def owner(database_url):
    """The migrations' owner, a superuser here."""
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def tamper(database_url, *changes):
    """As a superuser with the triggers off; each change must hit something."""
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute(_OFF)
        for change in changes:
            assert not (await connection.execute(change)).endswith(" 0"), change


async def a_book(runtime, world, clock):
    """Two credits granted (1), one leaves early (2), the other becomes available (3), is held (4)
    and used (5); one more is granted (6). Six transactions."""
    tiers = [{"unit": "month", "up_to": 6, "percent": 50}]
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, credits_per_placement=2, early_leave_tiers=tiers)
    placement = await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 6, 20)))
    await leave(runtime, world, placement, date(2026, 6, 15), clock())
    clock.move_to(at(date(2026, 10, 1)))
    await work(runtime)
    await a_hire(runtime, world, clock)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, credits_per_placement=1)
    await earn(runtime, world, clock().date())


async def a_hire(runtime, world, clock):
    """A credit is held, and used by a hire of today."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        held = await use_credit.reserve(
            db, world.company.id, agency_id=world.agency.id,
            opening=use_credit.Opening("経理"), actor="crc_1", now=clock(),
        )  # fmt: skip
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await use_credit.use(
            db, world.company.id, held.id, hired_on=clock().date(), actor="crc_1", now=clock()
        )


async def rewrite(database_url, seq, actor):
    """Give one transaction another actor, and all that follow, and the head, hashes that fit."""
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute(_OFF)
        await connection.execute("UPDATE ledger_tx SET actor = $1 WHERE seq = $2", actor, seq)
        previous = await connection.fetchval("SELECT hash FROM ledger_tx WHERE seq = $1", seq - 1)
        for tx in await connection.fetch(
            "SELECT * FROM ledger_tx WHERE seq >= $1 ORDER BY seq", seq
        ):
            sides = await connection.fetch(
                "SELECT * FROM ledger_entry WHERE tx_id = $1 ORDER BY ord", tx["id"]
            )
            dates = await connection.fetch(
                "SELECT * FROM credit_date_change WHERE tx_id = $1 ORDER BY ord", tx["id"]
            )
            previous = chain_hash(
                previous,
                [tx[name] for name in ("book_id", "seq", "kind", "effective_on", "recorded_at",
                                       "business_key", "fingerprint", "actor", "reason_code")],
                [[to["unit"], to["credit_id"], giver["bucket"], to["bucket"], to["qty"],
                  to["reference_value_jpy"]]
                 for giver, to in zip(sides[::2], sides[1::2], strict=True)],
                [[one["credit_id"], one["field"], one["new_date"]] for one in dates],
            )  # fmt: skip
            await connection.execute(
                "UPDATE ledger_tx SET hash = $1 WHERE id = $2", previous, tx["id"]
            )
        await connection.execute("UPDATE book SET head_hash = $1", previous)
