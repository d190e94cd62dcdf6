"""What the database refuses by itself, whoever asks, and what shows when it was made not to."""

import hashlib
from contextlib import asynccontextmanager
from datetime import UTC, date

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from domain import ledger
from domain.credits import RULES, Book, Bucket, Credit, Kind
from domain.errors import Conflict, Halted, Invalid, NotFound
from domain.flows.earn import use_credit
from domain.flows.earn.verify_ledger import GUARDS, missing_guards, verify
from domain.ids import new_id
from domain.posting import DateSet, Move, NewCredit, Posting
from tests.factories import make_world, work
from tests.flows.ledger_story import at, balance, count, earn

pytestmark = pytest.mark.anyio

APRIL = date(2026, 4, 1)
REMOVE = "DELETE FROM {}"
COPY = "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM {}"
TABLES = ("book", "credit", "ledger_tx", "ledger_entry", "ledger_balance", "credit_date_change")


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


@asynccontextmanager
async def owner(database_url):
    """The migrations' owner, a superuser here: the strongest hand there is."""
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def the_book(db, world):
    return await ledger.open_book(db, world.company.id, world.agency.id, at(APRIL))


def posting(*moves, kind=Kind.GRANTED, key="k", day=APRIL, **more):
    return Posting(kind=kind, key=key, effective_on=day, actor="system", moves=moves, **more)


def new_credit(**more):
    return NewCredit(
        id=new_id("crd"), agreement_id="agr_1", agreement_version=1, placement_id="plc_1",
        relay_id="rly_1", terms={}, started_on=APRIL, guarantee_end_on=date(2026, 9, 30), **more,
    )  # fmt: skip


def grant(credit, key="k"):
    return posting(
        Move(credit.id, Bucket.ISSUED, Bucket.PENDING), key=key, credits=[credit]
    )  # fmt: skip


# The canonical form


async def test_the_golden_vectors_hold_in_sql(runtime):
    canon = text("SELECT ledger_canon(ARRAY['a', NULL, '日本'])")
    hashed = text("""
        WITH one AS (SELECT ledger_hash(decode(repeat('00', 32), 'hex'), '7', 1, 1, '2026-04-01',
            '2026-04-01T00:00:00Z', 'granted:p-1', decode('ab', 'hex'), 'system', NULL,
            ARRAY['1', '42', '0', '1', '1', '1500000'], ARRAY[]::text[]) AS hash)
        SELECT encode(one.hash, 'hex'), encode(ledger_hash(one.hash, '7', 2, 2, '2026-10-01',
            '2026-10-01T00:10:00Z', 'available:42', decode('ab', 'hex'), 'system', NULL,
            ARRAY['1', '42', '1', '2', '1', '1500000'],
            ARRAY['42', 'available_on', '2026-10-01', '42', 'expires_on', '2027-09-30']), 'hex')
        FROM one
    """)
    async with runtime.database.transaction() as db:
        await db.execute(text("SET LOCAL datestyle = 'German, DMY'"))
        form = (await db.execute(canon)).scalar_one()
        first, second = (await db.execute(hashed)).one()

    assert form == "1:a,0:,6:日本,"
    assert first == "52bf7579a8598c832bebaf15583fe69900fa41428a84a0d08da44d598efabb75"
    assert second == "8bd838e92bfe6e22b7583f2f19a9a951629b15dd9d7be1e83b8dd68384bcb76d"


async def test_the_rules_in_the_database_are_the_rules_in_the_code(runtime):
    async with runtime.database.transaction() as db:
        rows = (await db.execute(text("SELECT * FROM ledger_rule"))).all()

    assert {tuple(row) for row in rows} == {
        (int(r.kind), r.unit, int(r.source), int(r.target), r.touches_state, r.only_reason)
        for r in RULES
    }


# Nobody writes but the posting function


async def refused_as_app(runtime, world, change):
    with pytest.raises(DBAPIError) as refused:
        async with runtime.database.transaction(company_id=world.company.id) as db:
            await db.execute(text(change))
    return refused.value.orig.sqlstate


async def test_the_app_may_read_the_ledger_and_nothing_else(runtime, world):
    await earn(runtime, world, APRIL)
    changes = [
        *(COPY.format(table, table) for table in TABLES),
        *(REMOVE.format(table) for table in TABLES),
        "UPDATE book SET halted = false",
        "UPDATE credit SET bucket = 2",
        "UPDATE ledger_balance SET qty = 5 WHERE bucket = 2",
        "UPDATE ledger_tx SET actor = 'me'",
        "UPDATE ledger_entry SET qty = 2",
        "UPDATE ledger_rule SET touches_state = false",
        "SELECT ledger_resume('c', 'b')",
        "SET LOCAL ROLE relay_ledger",
    ]

    assert {await refused_as_app(runtime, world, change) for change in changes} == {"42501"}
    assert await balance(runtime, world) == {"pending": 1}
    assert await count(runtime, world, "ledger_tx") == 1


async def test_not_even_the_owner_writes_past_the_function(runtime, world, clock, database_url):
    await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 10, 1)))
    await work(runtime)
    refusals = (asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)
    async with owner(database_url) as connection:
        for table in TABLES:
            for change in (COPY, "UPDATE {} SET company_id = company_id", REMOVE,
                           "TRUNCATE {} CASCADE"):  # fmt: skip
                with pytest.raises(refusals):
                    await connection.execute(change.format(table, table))

    assert await balance(runtime, world) == {"available": 1}
    assert await count(runtime, world, "ledger_tx") == 2


async def as_ledger_role(database_url, world, change):
    """What only somebody with the posting function's own role could try."""
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE relay_ledger")
        setting = "SELECT set_config('relay.company_id', $1, true)"
        await connection.execute(setting, world.company.id)
        await connection.execute(change)


ADD = """
    INSERT INTO ledger_entry (company_id, tx_id, ord, agency_id, book_id, unit, bucket, credit_id,
        qty, reference_value_jpy, balance_after)
    SELECT company_id, tx_id, ord + 2, agency_id, book_id, unit, bucket, credit_id, qty, {}, 0
      FROM ledger_entry {}
"""


@pytest.mark.parametrize(
    ("value", "which", "state"),
    [
        ("0", "WHERE ord = 2", "RL001"),
        ("CASE ord WHEN 1 THEN 5 ELSE 0 END", "", "RL001"),
        ("0", "", "RL002"),
    ],
    ids=["one side only", "reference value", "an old transaction"],
)
async def test_entries_balance_and_belong_to_a_transaction_of_now(
    *, runtime, world, database_url, value, which, state
):
    await earn(runtime, world, APRIL)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await as_ledger_role(database_url, world, ADD.format(value, which))

    assert refused.value.sqlstate == state
    assert await count(runtime, world, "ledger_entry") == 2


async def test_even_the_functions_own_role_changes_no_row_of_the_past(runtime, world, database_url):
    await earn(runtime, world, APRIL)
    for change in ("UPDATE ledger_tx SET actor = 'me'", "DELETE FROM ledger_entry"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_ledger_role(database_url, world, change)


# What the posting function refuses


async def try_posting(runtime, world, wrong, now):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await ledger.post(db, await the_book(db, world), wrong, now)


async def refusal(runtime, world, wrong, now=None):
    with pytest.raises((Conflict, Invalid, Halted, NotFound)) as refused:
        await try_posting(runtime, world, wrong, now or at(APRIL))
    return refused.value.code


@pytest.mark.parametrize(
    ("kind", "source", "target", "reason"),
    [
        (Kind.GRANTED, Bucket.ISSUED, Bucket.USED, None),
        (Kind.USED, Bucket.PENDING, Bucket.USED, None),
        (Kind.EXPIRED, Bucket.PENDING, Bucket.EXPIRED, None),
        (Kind.EXPIRED, Bucket.PENDING, Bucket.EXPIRED, "validity"),
        (Kind.BECAME_AVAILABLE, Bucket.AVAILABLE, Bucket.PENDING, None),
    ],
)
async def test_a_balanced_move_without_a_rule_is_refused(
    *, runtime, world, kind, source, target, reason
):
    await earn(runtime, world, APRIL)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        credit = (await db.scalars(select(Credit))).one()
    wrong = posting(Move(credit.id, source, target), kind=kind, reason=reason)

    assert await refusal(runtime, world, wrong) == "move_not_allowed"
    assert await balance(runtime, world) == {"pending": 1}
    assert await count(runtime, world, "ledger_tx") == 1


async def test_a_correction_nobody_assented_to_is_refused(runtime, world):
    await earn(runtime, world, APRIL)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        credit = (await db.scalars(select(Credit))).one()
    wrong = posting(Move(credit.id, Bucket.PENDING, Bucket.REVERSED), kind=Kind.ADJUSTED)

    assert await refusal(runtime, world, wrong) == "not_assented"
    assert await balance(runtime, world) == {"pending": 1}


@pytest.mark.parametrize(
    ("kind", "moves", "code"),
    [
        (Kind.TERM_CHANGED, [], "not_assented"),
        (Kind.CLAWBACK_SETTLED, [(Bucket.REVERSED, Bucket.OWED)], "not_assented"),
        (Kind.RELEASED, [(Bucket.RESERVED, Bucket.AVAILABLE)], "not_assented"),
        (
            Kind.CLAWBACK_SETTLED,
            [(Bucket.REVERSED, Bucket.OWED), (Bucket.AVAILABLE, Bucket.REVERSED)],
            "credit_moved",
        ),
    ],
    ids=["a later last day", "half a payment", "dates with a release", "a debt nobody has"],
)
async def test_only_the_moves_of_a_kind_carry_its_dates_and_debts(
    runtime, world, kind, moves, code
):
    await earn(runtime, world, APRIL)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        credit = (await db.scalars(select(Credit))).one()
    dates = [] if kind == Kind.CLAWBACK_SETTLED else [
        DateSet(credit.id, "expires_on", date(2099, 12, 31))
    ]  # fmt: skip
    wrong = posting(*(Move(credit.id, *move) for move in moves), kind=kind, dates=dates)

    assert await refusal(runtime, world, wrong) == code
    assert await count(runtime, world, "ledger_tx") == 1


async def test_a_credit_is_taken_from_where_it_stands(runtime, world):
    await earn(runtime, world, APRIL)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        credit = (await db.scalars(select(Credit))).one()

    assert await refusal(
        runtime, world, posting(Move(credit.id, Bucket.RESERVED, Bucket.USED), kind=Kind.USED)
    ) == "credit_moved"  # fmt: skip
    assert await refusal(
        runtime, world, posting(Move(new_id("crd"), Bucket.RESERVED, Bucket.USED), kind=Kind.USED)
    ) == "credit_moved"  # fmt: skip
    assert await balance(runtime, world) == {"pending": 1}


async def test_a_date_is_set_for_a_credit_of_this_book_only(runtime, world):
    credit = new_credit()
    wrong = posting(
        Move(credit.id, Bucket.ISSUED, Bucket.PENDING), credits=[credit],
        dates=[DateSet(new_id("crd"), "expires_on", APRIL)],
    )  # fmt: skip

    assert await refusal(runtime, world, wrong) == "credit_moved"
    assert await count(runtime, world, "credit") == 0


async def test_a_grant_brings_its_own_credit(runtime, world):
    wrong = posting(Move(new_id("crd"), Bucket.ISSUED, Bucket.PENDING), credits=[new_credit()])

    assert await refusal(runtime, world, wrong) == "credit_moved"


async def test_nothing_is_posted_ahead_of_time_or_without_a_move(runtime, world):
    credit = new_credit()
    ahead = posting(
        Move(credit.id, Bucket.ISSUED, Bucket.PENDING), credits=[credit], day=date(2026, 4, 2)
    )

    assert await refusal(runtime, world, ahead) == "effective_on_refused"
    assert await refusal(runtime, world, posting()) == "move_not_allowed"
    assert await count(runtime, world, "ledger_tx") == 0


async def test_points_never_fall_below_zero(runtime, world):
    wrong = posting(
        Move(None, Bucket.AVAILABLE, Bucket.REVERSED, unit=2, qty=1), kind=Kind.POINT_REMOVED
    )

    assert await refusal(runtime, world, wrong) == "balance_refused"


async def test_points_count_without_naming_a_credit(runtime, world):
    counted = posting(
        Move(None, Bucket.ISSUED, Bucket.AVAILABLE, unit=2, qty=3), kind=Kind.POINT_COUNTED
    )
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await the_book(db, world)
        await ledger.post(db, book, counted, at(APRIL))
    async with runtime.database.transaction() as db:
        report = await verify(db)

    assert (report.findings, report.transactions) == ([], 1)
    assert await balance(runtime, world) == {}


async def test_a_reference_value_rides_along_and_balances(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await the_book(db, world)
        await ledger.post(db, book, grant(new_credit(reference_value_jpy=1_500_000)), at(APRIL))
        values = text("SELECT bucket, reference_value_jpy FROM ledger_balance"
                      " WHERE reference_value_jpy <> 0 ORDER BY bucket")  # fmt: skip
        rows = (await db.execute(values)).all()

    assert [tuple(row) for row in rows] == [(0, -1_500_000), (1, 1_500_000)]


async def test_the_recorded_time_never_runs_backwards_in_a_book(runtime, world):
    later, earlier = at(APRIL, hour=12), at(APRIL, hour=11)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await the_book(db, world)
        await ledger.post(db, book, grant(new_credit(), "one"), later)
        await ledger.post(db, book, grant(new_credit(), "two"), earlier)
        times = (await db.execute(text("SELECT recorded_at FROM ledger_tx ORDER BY seq"))).scalars()

    assert [moment.astimezone(UTC) for moment in times] == [later, later]


async def test_a_halted_book_is_read_and_not_written(runtime, world, clock, database_url):
    await earn(runtime, world, APRIL)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await the_book(db, world)
        await ledger.halt(db, world.company.id, book.id)
    clock.move_to(at(date(2026, 10, 1)))
    await work(runtime)
    waiting = await balance(runtime, world)
    code = await refusal(runtime, world, grant(new_credit()))
    with pytest.raises(Halted):
        async with runtime.database.transaction(company_id=world.company.id) as db:
            await use_credit.reserve(
                db, world.company.id, agency_id=world.agency.id,
                opening=use_credit.Opening("経理"), actor="crc_1",
                now=clock(),
            )  # fmt: skip
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute(
            "SELECT set_config('relay.company_id', $1, true)", world.company.id
        )
        await connection.execute("SELECT ledger_resume($1, $2)", world.company.id, book.id)
    await work(runtime)

    assert (waiting, code) == ({"pending": 1}, "book_halted")
    assert await balance(runtime, world) == {"available": 1}


# Tenants


async def test_a_book_of_another_company_cannot_be_posted_to_or_opened(runtime, world):
    await earn(runtime, world, APRIL)
    other = await make_world(runtime, slug="other")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await the_book(db, world)
    for step in (
        lambda db: ledger.post(db, book, grant(new_credit()), at(APRIL)),
        lambda db: ledger.lock_book(db, book.company_id, book.id),
        lambda db: ledger.open_book(db, world.company.id, world.agencies[1].id, at(APRIL)),
    ):
        with pytest.raises(NotFound):
            async with runtime.database.transaction(company_id=other.company.id) as db:
                await step(db)
        with pytest.raises(NotFound):
            async with runtime.database.transaction() as db:
                await step(db)
    async with runtime.database.transaction(company_id=other.company.id) as db:
        await ledger.halt(db, book.company_id, book.id)

    assert await count(runtime, world, "ledger_tx") == 1
    assert await count(runtime, world, "book") == 1
    async with runtime.database.transaction(company_id=world.company.id) as db:
        assert (await db.scalars(select(Book.halted))).one() is False


async def test_company_and_agency_see_the_same_book_and_others_nothing(runtime, world, clock):
    await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 10, 1)))
    await work(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await use_credit.reserve(
            db, world.company.id, agency_id=world.agency.id,
            opening=use_credit.Opening("経理"), actor="crc_1",
            now=clock(),
        )  # fmt: skip
    other = await make_world(runtime, slug="other")
    seen = {}
    for name, tenant in {
        "company": {"company_id": world.company.id},
        "agency": {"agency_id": world.agency.id},
        "second agency": {"agency_id": world.agencies[1].id},
        "other company": {"company_id": other.company.id},
        "other agency": {"agency_id": other.agency.id},
        "nobody": {},
    }.items():
        async with runtime.database.transaction(**tenant) as db:
            seen[name] = [
                (await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()  # noqa: S608
                for table in (*TABLES, "reservation")
            ]

    assert seen["company"] == seen["agency"] == [1, 1, 3, 6, 18, 2, 1]
    assert [seen[name] for name in seen if name not in {"company", "agency"}] == [[0] * 7] * 4


async def test_an_agency_reads_reservations_and_writes_none(runtime, world, clock):
    await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 10, 1)))
    await work(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await use_credit.reserve(
            db, world.company.id, agency_id=world.agency.id,
            opening=use_credit.Opening("経理"), actor="crc_1",
            now=clock(),
        )  # fmt: skip
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        changed = await db.execute(text("UPDATE reservation SET opening = 'x' RETURNING id"))

        assert changed.all() == []


# What shows afterwards


async def a_year(runtime, world, clock):
    await earn(runtime, world, APRIL)
    clock.move_to(at(date(2026, 10, 1)))
    await work(runtime)
    now = clock()
    async with runtime.database.transaction(company_id=world.company.id) as db:
        held = await use_credit.reserve(
            db,
            world.company.id,
            agency_id=world.agency.id,
            opening=use_credit.Opening("経理"),
            actor="crc_1",
            now=now,
        )
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await use_credit.use(
            db, world.company.id, held.id, hired_on=now.date(), actor="crc_1", now=now
        )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE ledger_tx SET actor = 'me' WHERE seq = 2", {("chain", 2)}),
        ("UPDATE ledger_tx SET effective_on = '2026-09-01' WHERE seq = 3", {("chain", 3)}),
        ("UPDATE ledger_tx SET reason_code = 'x' WHERE seq = 4", {("chain", 4)}),
        ("UPDATE credit_date_change SET new_date = '2030-01-01' WHERE field = 'expires_on'",
         {("chain", 2), ("credit_dates", None)}),
        ("DELETE FROM credit_date_change", {("chain", 2), ("credit_dates", None)}),
        ("DELETE FROM ledger_entry WHERE tx_id = (SELECT id FROM ledger_tx WHERE seq = 4)",
         {("chain", 4), ("balance", None), ("credit_bucket", None)}),
        ("UPDATE ledger_entry SET balance_after = 7 WHERE bucket = 5", {("balance_after", 4)}),
        ("UPDATE ledger_balance SET qty = 3 WHERE unit = 1 AND bucket = 5", {("balance", None)}),
        ("UPDATE credit SET bucket = 2", {("credit_bucket", None)}),
        ("UPDATE credit SET bucket = 3", {("credit_bucket", None), ("reservation", None)}),
        ("UPDATE credit SET expires_on = '2030-01-01'", {("credit_dates", None)}),
        ("UPDATE credit SET guarantee_end_on = '2026-05-01'", {("credit_dates", None)}),
        ("UPDATE credit SET terms = terms || '{\"validity_months\": 99}'", {("grant", 1)}),
        ("UPDATE credit SET placement_id = 'plc_other'", {("grant", 1)}),
        ("UPDATE reservation SET state = 'reserved', hired_on = NULL", {("reservation", None)}),
        ("UPDATE book SET last_seq = 9", {("head", 9)}),
        ("DELETE FROM ledger_tx WHERE seq = 2", {("sequence", 2), ("orphan", None)}),
    ],
)  # fmt: skip
async def test_verification_names_what_a_superuser_changed_with_the_triggers_off(
    *, runtime, world, clock, database_url, change, found
):
    await a_year(runtime, world, clock)
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        assert not (await connection.execute(change)).endswith(" 0")
    async with runtime.database.transaction() as db:
        report = await verify(db)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = (await db.scalars(select(Book))).one()

    assert {(one.check, one.seq) for one in report.findings} >= found
    assert {(one.company_id, one.book_id) for one in report.findings} == {
        (world.company.id, book.id)
    }
    assert book.halted is False


async def test_verification_can_halt_the_books_that_do_not_agree_and_only_those(
    runtime, world, clock, database_url
):
    await a_year(runtime, world, clock)
    other = await make_world(runtime, slug="other")
    await earn(runtime, other, date(2026, 10, 1))
    async with runtime.database.transaction() as db:
        whole = await verify(db, halting=True)
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE ledger_tx SET actor = 'me' WHERE seq = 3 AND company_id = $1", world.company.id
        )
    async with runtime.database.transaction() as db:
        report = await verify(db, halting=True)
    halted = {}
    for one in (world, other):
        async with runtime.database.transaction(company_id=one.company.id) as db:
            halted[one.company.slug] = (await db.scalars(select(Book.halted))).one()

    assert (whole.ok, whole.books, whole.transactions) == (True, 2, 5)
    assert [(one.check, one.seq) for one in report.findings] == [("chain", 3)]
    assert halted == {"mirai": True, "other": False}


async def test_a_rewritten_transaction_breaks_the_chain_after_it_too(
    runtime, world, clock, database_url
):
    """Whoever recomputes one hash must recompute all that follow, and the head."""
    await a_year(runtime, world, clock)
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        row = await connection.fetchrow("SELECT * FROM ledger_tx WHERE seq = 4")
        forged = hashlib.sha256(b"forged").digest()
        await connection.execute("UPDATE ledger_tx SET hash = $1 WHERE id = $2", forged, row["id"])
    async with runtime.database.transaction() as db:
        report = await verify(db)

    assert [(one.check, one.seq) for one in report.findings] == [("chain", 4)]


async def test_every_guard_is_missed_when_it_is_gone(runtime, database_url):
    async with runtime.database.transaction() as db:
        assert await missing_guards(db) == []
    drops = {
        "ledger_entry.ledger_entry_zero_sum":
            "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_zero_sum",
        "ledger_tx.ledger_tx_append_only": "DROP TRIGGER ledger_tx_append_only ON ledger_tx",
        "ledger_tx.ledger_tx_ledger_only":
            "ALTER TABLE ledger_tx ENABLE REPLICA TRIGGER ledger_tx_ledger_only",
        "ledger_balance.ck_ledger_balance_qty_sign":
            "ALTER TABLE ledger_balance DROP CONSTRAINT ck_ledger_balance_qty_sign",
        "ledger_tx.uq_ledger_tx_key": "DROP INDEX uq_ledger_tx_key",
        "credit.row_security": "ALTER TABLE credit NO FORCE ROW LEVEL SECURITY",
    }  # fmt: skip
    async with owner(database_url) as connection:
        for change in drops.values():
            await connection.execute(change)
    async with runtime.database.transaction() as db:
        missing = await missing_guards(db)

    assert missing == sorted(drops)
    assert len(GUARDS) == len(set(GUARDS))


async def test_a_closed_month_receives_nothing_and_a_late_fact_is_dated_today(
    runtime, world, database_url
):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await the_book(db, world)
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("UPDATE book SET closed_through = '2026-04-30'")
    code = await refusal(runtime, world, grant(new_credit()), at(date(2026, 5, 2)))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await ledger.lock_book(db, world.company.id, book.id)
        late = ledger.dated(book, APRIL, at(date(2026, 5, 2)), None)
        open_month = ledger.dated(book, date(2026, 5, 1), at(date(2026, 5, 2)), "early_leave")

    assert code == "effective_on_refused"
    assert late == ledger.Dated(date(2026, 5, 2), "late_fact", {"fact_on": "2026-04-01"})
    assert open_month == ledger.Dated(date(2026, 5, 1), "early_leave", {})
    assert await count(runtime, world, "ledger_tx") == 0
