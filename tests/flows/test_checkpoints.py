"""Checkpoints: built over what changed, by one of many, written by the notary, checked again."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from api import checkpoint_files
from domain.checkpoint import (
    EMPTY_ROOT,
    Head,
    LedgerCheckpoint,
    LedgerCheckpointHead,
    chained,
    leads_to,
    published,
    signed_form,
)
from domain.flows.earn import build_checkpoint as flow
from domain.flows.earn.earn_credits import settle_placement
from domain.flows.earn.verify_checkpoints import verify_checkpoints
from integrations.ed25519 import LedgerKeys, new_key
from tests.conftest import ledger_key
from tests.factories import make_world, work
from tests.flows.ledger_story import at, earn, place
from tests.flows.tampering import APRIL, owner, tamper

pytestmark = pytest.mark.anyio
KEYS = LedgerKeys(ledger_key())
WRITE = f"SELECT ledger_checkpoint_write({', '.join(f'${n}' for n in range(1, 16))})"


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


async def build(runtime, keys=KEYS):
    async with runtime.database.transaction() as db:
        return await flow.build_checkpoint(db, keys, runtime.clock())


async def heads(runtime, **tenant):
    async with runtime.database.transaction(**tenant) as db:
        rows = await db.scalars(select(LedgerCheckpointHead).order_by(
            LedgerCheckpointHead.n, LedgerCheckpointHead.place))  # fmt: skip
        return list(rows.all())


async def findings(runtime, keys=KEYS, copies=None, after=0):
    async with runtime.database.transaction() as db:
        found = await verify_checkpoints(db, keys, copies, after)
    return {(one.check, one.seq) for one in found}


async def test_a_checkpoint_holds_the_heads_that_changed_since_the_last(runtime, world):
    other = await make_world(runtime, slug="other")
    await earn(runtime, world, APRIL)
    await earn(runtime, other, APRIL)
    await earn(runtime, other, APRIL, agency=1)
    first = await build(runtime)
    nothing = await build(runtime)
    await earn(runtime, other, APRIL)
    second = await build(runtime)

    assert (first.n, first.leaf_count, nothing) == (1, 3, None)
    assert (second.n, second.leaf_count) == (2, 1)
    ours, theirs = await heads(runtime, company_id=world.company.id), await heads(
        runtime, company_id=other.company.id)  # fmt: skip
    assert [(one.n, one.seq) for one in ours] == [(1, 1)]
    assert [(one.n, one.seq) for one in theirs] == [(1, 1), (1, 1), (2, 2)]
    for one in (*ours, *theirs):
        made = first if one.n == 1 else second
        leaf = Head(one.book_id, one.seq, one.head_hash).leaf()
        assert leads_to(made.root, leaf, place=one.place, count=made.leaf_count, path=one.path)
    in_order = sorted(await all_heads(runtime, 1), key=lambda one: one[1])
    assert [place for place, _ in in_order] == [0, 1, 2]
    assert second.chain == chained(first.chain, 2, second.built_at, 1, second.root)
    assert KEYS.verifies(second.key_id, second.signature, signed_form(2, second.chain))
    assert await findings(runtime) == set()


async def all_heads(runtime, n):
    async with runtime.database.transaction() as db:
        await db.execute(text("SET LOCAL ROLE relay_system"))
        rows = await db.execute(
            text("SELECT place, book_id FROM ledger_checkpoint_head WHERE n = :n"), {"n": n}
        )
        return [tuple(row) for row in rows]


async def test_a_posting_that_was_under_way_is_in_the_next_one(runtime, world):
    """Its transaction has a smaller id than one that was seen, and commits later."""
    other = await make_world(runtime, slug="other")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        placement = await place(db, world, APRIL)
        await settle_placement(db, runtime.tools, placement, because="started", now=at(APRIL))
        await earn(runtime, other, APRIL)
        first = await build(runtime)
    await earn(runtime, other, APRIL)
    second = await build(runtime)
    third = await build(runtime)

    assert (first.leaf_count, second.leaf_count, third) == (1, 2, None)
    assert [one.n for one in await heads(runtime, company_id=world.company.id)] == [2]


async def test_many_at_once_make_one(runtime, world):
    await earn(runtime, world, APRIL)
    made = await asyncio.gather(*(build(runtime) for _ in range(6)))

    assert [one.n for one in made if one is not None] == [1]
    assert len(await heads(runtime, company_id=world.company.id)) == 1


async def test_the_turn_of_a_month_in_japan_is_marked_even_when_nothing_changed(
    runtime, world, clock
):
    await earn(runtime, world, APRIL)
    await build(runtime)
    clock.offset += datetime(2026, 4, 30, 14, 30, tzinfo=UTC) - clock()  # 23:30 in Tokyo
    before = await build(runtime)
    clock.offset += timedelta(minutes=31)
    turned = await build(runtime)
    again = await build(runtime)

    assert (before, again) == (None, None)
    assert (turned.n, turned.leaf_count, turned.root) == (2, 0, EMPTY_ROOT)
    assert await findings(runtime) == set()


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 4, 1, 1, 0, tzinfo=UTC), datetime(2026, 4, 1, 2, 0, tzinfo=UTC)),
        (datetime(2026, 4, 30, 14, 59, 59, 9, tzinfo=UTC), datetime(2026, 4, 30, 15, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_it_is_due_at_every_full_hour_and_so_at_midnight_in_japan(now, due):
    assert flow.next_hour(now) == due


async def test_time_never_runs_backwards_in_the_chain(runtime, world, clock):
    await earn(runtime, world, APRIL)
    first = await build(runtime)
    await earn(runtime, world, APRIL)
    clock.offset -= timedelta(hours=1)
    second = await build(runtime)

    assert second.built_at == first.built_at


async def test_both_sides_of_a_book_see_its_heads_and_nobody_else_does(runtime, world):
    other = await make_world(runtime, slug="other")
    await earn(runtime, world, APRIL)
    await build(runtime)
    seen = {
        "company": await heads(runtime, company_id=world.company.id),
        "agency": await heads(runtime, agency_id=world.agency.id),
        "second agency": await heads(runtime, agency_id=world.agencies[1].id),
        "other company": await heads(runtime, company_id=other.company.id),
        "nobody": await heads(runtime),
    }

    assert {name: len(rows) for name, rows in seen.items()} == {
        "company": 1, "agency": 1, "second agency": 0, "other company": 0, "nobody": 0,
    }  # fmt: skip


# Nobody writes but the notary


async def refused(runtime, change, **tenant):
    with pytest.raises(DBAPIError) as error:
        async with runtime.database.transaction(**tenant) as db:
            await db.execute(text(change))
    return error.value.orig.sqlstate


SET, REMOVE = "UPDATE {} SET n = 9", "DELETE FROM {}"
COPY = "INSERT INTO {0} SELECT * FROM {0}"
GUARDED = ("ledger_checkpoint", "ledger_checkpoint_head")


async def test_the_app_writes_no_checkpoint_of_its_own(runtime, world):
    await earn(runtime, world, APRIL)
    await build(runtime)
    changes = [
        *(COPY.format(table) for table in GUARDED),
        *(SET.format(table) for table in GUARDED),
        *(REMOVE.format(table) for table in GUARDED),
        "SET LOCAL ROLE relay_notary",
        "UPDATE ledger_verification SET mismatches = 0",
        "DELETE FROM ledger_verification",
        "INSERT INTO ledger_watch VALUES ('x', now())",
    ]

    assert {await refused(runtime, change, company_id=world.company.id) for change in changes} == {
        "42501"
    }


async def test_not_even_the_owner_writes_or_changes_one(runtime, world, database_url):
    await earn(runtime, world, APRIL)
    await build(runtime)
    refusals = (asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)
    async with owner(database_url) as connection:
        for table in GUARDED:
            for change in (COPY, SET, REMOVE, "TRUNCATE {}"):
                with pytest.raises(refusals):
                    await connection.execute(change.format(table))


async def forged(runtime, world, **changes):
    """The call that writes a checkpoint, with one of its values changed."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = (await db.execute(text("SELECT * FROM book"))).mappings().one()
    leaf = Head(book["id"], book["last_seq"], book["head_hash"])
    values = {
        "n": 1, "built_at": at(APRIL), "root": leaf.leaf(), "through": 1, "ended": 1, "begun": 1,
        "company": book["company_id"], "book": book["id"], "agency": book["agency_id"],
        "seq": book["last_seq"], "hash": book["head_hash"], **changes,
    }  # fmt: skip
    chain = chained(bytes(32), 1, values["built_at"], 1, values["root"])
    chain = changes.get("chain", chain)
    return await runtime.database.run(
        WRITE, values["n"], values["built_at"], values["root"], chain,
        KEYS.sign(signed_form(1, chain)), KEYS.key_id, values["through"], values["ended"],
        values["begun"], [values["company"]], [values["book"]], [values["agency"]],
        [values["seq"]], [values["hash"]], [b""],
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"root": hashlib.sha256(b"x").digest()},
        {"chain": hashlib.sha256(b"x").digest()},
        {"hash": hashlib.sha256(b"x").digest()},
        {"seq": 2},
        {"agency": "agy_x"},
        {"book": "bok_x"},
        {"through": 2**63 - 1},
        {"ended": 2**62},
        {"begun": 2**62},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_the_notary_computes_everything_again_and_refuses_what_is_not_so(
    runtime, world, changes
):
    await earn(runtime, world, APRIL)
    with pytest.raises(asyncpg.PostgresError) as error:
        await forged(runtime, world, **changes)

    assert error.value.sqlstate == "RL425"
    assert await heads(runtime, company_id=world.company.id) == []


async def test_the_notary_writes_what_is_so_and_each_number_once(runtime, world):
    await earn(runtime, world, APRIL)
    late = await forged(runtime, world, n=2)
    first = await forged(runtime, world)
    again = await forged(runtime, world)

    assert (late, first, again) == (False, True, False)
    assert await findings(runtime) == set()


async def test_the_tree_in_sql_is_the_tree_in_python(runtime, world):
    """Odd numbers of leaves, on several levels."""
    for number in range(6):
        await earn(runtime, await make_world(runtime, slug=f"c{number}", agencies=1), APRIL)
    await earn(runtime, world, APRIL)
    made = await build(runtime)

    assert made.leaf_count == 7
    assert await findings(runtime) == set()


# Looked at again


async def three(runtime, world):
    for _ in range(3):
        await earn(runtime, world, APRIL)
        await build(runtime)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE ledger_checkpoint SET root = sha256('x') WHERE n = 2",
         {("checkpoint_chain", 2), ("checkpoint_root", 2), ("checkpoint_head", 2)}),
        ("UPDATE ledger_checkpoint SET built_at = built_at + interval '1 second' WHERE n = 2",
         {("checkpoint_chain", 2)}),
        ("UPDATE ledger_checkpoint SET chain = sha256('x') WHERE n = 2",
         {("checkpoint_chain", 2), ("checkpoint_chain", 3), ("checkpoint_signature", 2)}),
        ("UPDATE ledger_checkpoint SET signature = sha512('x') WHERE n = 2",
         {("checkpoint_signature", 2)}),
        ("UPDATE ledger_checkpoint SET key_id = 'another' WHERE n = 2",
         {("checkpoint_signature", 2)}),
        ("UPDATE ledger_checkpoint SET leaf_count = 2 WHERE n = 2",
         {("checkpoint_chain", 2), ("checkpoint_root", 2)}),
        ("DELETE FROM ledger_checkpoint WHERE n = 2", {("checkpoint_chain", 3)}),
        ("UPDATE ledger_checkpoint_head SET seq = 9 WHERE n = 2",
         {("checkpoint_root", 2), ("checkpoint_head", 9)}),
        ("UPDATE ledger_checkpoint_head SET head_hash = sha256('x') WHERE n = 2",
         {("checkpoint_root", 2), ("checkpoint_head", 2)}),
        ("UPDATE ledger_checkpoint_head SET path = sha256('x') WHERE n = 2",
         {("checkpoint_head", 2)}),
        ("DELETE FROM ledger_checkpoint_head WHERE n = 2", {("checkpoint_root", 2)}),
    ],
    ids=range(11),
)  # fmt: skip
async def test_every_change_of_a_checkpoint_is_found(
    *, runtime, world, database_url, change, found
):
    await three(runtime, world)
    before = await findings(runtime)
    await tamper(database_url, change)

    assert before == set()
    assert await findings(runtime) >= found


async def test_only_those_behind_a_number_are_looked_at_when_asked(runtime, world, database_url):
    await three(runtime, world)
    await tamper(database_url, "UPDATE ledger_checkpoint SET signature = sha512('x') WHERE n = 1")

    assert await findings(runtime) == {("checkpoint_signature", 1)}
    assert await findings(runtime, after=1) == set()


async def test_what_an_old_key_signed_stays_valid_while_the_key_is_known(runtime, world):
    await earn(runtime, world, APRIL)
    await build(runtime)
    newer = new_key()
    rotated = LedgerKeys(newer, ledger_key())
    await earn(runtime, world, APRIL)
    made = await build(runtime, rotated)

    assert made.key_id == rotated.key_id != KEYS.key_id
    assert await findings(runtime, rotated) == set()
    assert await findings(runtime, LedgerKeys(newer)) == {("checkpoint_signature", 1)}
    assert [key["kid"] for key in rotated.jwks()["keys"]] == [rotated.key_id, KEYS.key_id]


# Outside of the database


async def copied(runtime):
    where = checkpoint_files.folder(runtime.settings)
    async with runtime.database.transaction() as db:
        done = await checkpoint_files.write_missing(db, where)
    return done, where


async def test_copies_are_written_once_and_never_over_another(runtime, world):
    await three(runtime, world)
    done, where = await copied(runtime)
    names = sorted(path.name for path in where.iterdir())
    first = where / "checkpoint-00000001.json"
    first.write_text("{}")
    again, _ = await copied(runtime)
    async with runtime.database.transaction() as db:
        third = await db.get(LedgerCheckpoint, 3)

    assert (done, again) == (3, 0)
    assert names == [f"checkpoint-0000000{n}.json" for n in (1, 2, 3)]
    assert first.read_text() == "{}"
    assert json.loads((where / names[2]).read_text()) == published(third)
    assert set(published(third)) == {
        "n", "built_at", "leaf_count", "root", "chain", "signature", "key_id",
    }  # fmt: skip


async def test_a_copy_shows_what_was_rewritten_or_removed(runtime, world, database_url):
    await three(runtime, world)
    _, where = await copied(runtime)
    sound = await findings(runtime, copies=checkpoint_files.read(where))
    (where / "checkpoint-00000001.json").write_text("no json")
    spoilt = await findings(runtime, copies=checkpoint_files.read(where))
    await tamper(database_url, "DELETE FROM ledger_checkpoint_head WHERE n = 3",
                 "DELETE FROM ledger_checkpoint WHERE n = 3")  # fmt: skip
    cut = await findings(runtime, copies=checkpoint_files.read(where))

    assert sound == set()
    assert spoilt == {("checkpoint_copy", 1)}
    assert cut == {("checkpoint_copy", 1), ("checkpoint_copy", 3)}


async def test_the_worker_builds_and_copies_one_every_hour_in_which_something_changed(
    runtime, world, clock
):
    await earn(runtime, world, APRIL)
    await work(runtime)
    clock.offset += timedelta(hours=2)
    await work(runtime)
    await earn(runtime, world, APRIL)
    clock.offset += timedelta(minutes=20)
    await work(runtime)
    clock.offset += timedelta(hours=1)
    await work(runtime)
    async with runtime.database.transaction() as db:
        rows = (await db.scalars(select(LedgerCheckpoint).order_by(LedgerCheckpoint.n))).all()

    assert [(one.n, one.leaf_count) for one in rows] == [(1, 1), (2, 1)]
    assert set(checkpoint_files.read(checkpoint_files.folder(runtime.settings))) == {1, 2}
