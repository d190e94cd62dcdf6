"""Recounting the ledger: what agrees, what was changed behind its back, and where that is."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlmodel import select

from api.verification import verify_everything
from domain import ledger
from domain.checkpoint import LedgerVerification
from domain.credits import Book, Bucket, Kind
from domain.flows.earn import adjust_credits
from domain.flows.earn.build_checkpoint import build_checkpoint
from domain.flows.earn.check_credits import check_credits, unresolved
from domain.flows.earn.verify_checkpoints import rewritten
from domain.flows.earn.verify_ledger import Scope, steady, verify, verify_company
from domain.ids import new_id
from domain.posting import Move, NewCredit, Posting
from integrations.ed25519 import LedgerKeys
from tests.conftest import ledger_key
from tests.factories import make_world, work
from tests.flows.ledger_story import at, earn
from tests.flows.tampering import APRIL, a_book, a_hire, owner, rewrite, tamper

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


async def recount(runtime, scope=None):
    async with runtime.database.transaction() as db:
        return await verify(db, scope=scope)


async def the_book(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return (await db.scalars(select(Book))).one()


async def checkpoint(runtime):
    async with runtime.database.transaction() as db:
        return await build_checkpoint(db, LedgerKeys(ledger_key()), runtime.clock())


async def test_a_ledger_that_nobody_touched_agrees(runtime, world, clock):
    await a_book(runtime, world, clock)
    other = await make_world(runtime, slug="other")
    await earn(runtime, other, date(2026, 10, 1))

    report = await recount(runtime)
    one = await recount(runtime, Scope(company_id=other.company.id))
    book = await recount(runtime, Scope(book_id=(await the_book(runtime, world)).id))

    assert (report.findings, report.books, report.transactions) == ([], 2, 7)
    assert (one.findings, one.books, one.transactions) == ([], 1, 1)
    assert (book.findings, book.books, book.transactions) == ([], 1, 6)


TX, ENTRY = "UPDATE ledger_tx SET {} WHERE seq = {}", "UPDATE ledger_entry SET {} WHERE {}"
OF = "tx_id = (SELECT id FROM ledger_tx WHERE seq = {})"
REMOVE = "DELETE FROM ledger_entry WHERE {}{}"
LATER = "recorded_at = recorded_at + interval '1 second'"
ANOTHER = (
    "UPDATE {} t SET credit_id ="
    " (SELECT c.id FROM credit c WHERE c.id <> t.credit_id ORDER BY c.id LIMIT 1) {}"
)
TAMPERED = {
    TX.format("kind = 8", 4): {("chain", 4), ("request", 4), ("rule", 4)},
    TX.format("effective_on = '2026-09-01'", 5): {("chain", 5)},
    TX.format(LATER, 2): {("chain", 2)},
    TX.format("business_key = 'use:another'", 5): {("chain", 5)},
    TX.format("business_key = 'granted:another'", 1): {("chain", 1), ("grant", 1)},
    TX.format("fingerprint = sha256('x')", 3): {("chain", 3), ("request", 3)},
    TX.format("actor = 'me'", 1): {("chain", 1)},
    TX.format("actor = '私'", 3): {("chain", 3)},
    TX.format("actor = E'tab\\tline\\nback\\\\'", 3): {("chain", 3)},
    TX.format("reason_code = 'x'", 4): {("chain", 4)},
    TX.format("request = '{\"agreement_version\": 7}'", 4): {("request", 4)},
    TX.format("request = request || '{\"note\": \"名\"}'", 1): {("grant", 1)},
    TX.format("hash = sha256('x')", 3): {("chain", 3)},
    TX.format("agency_id = 'agy_" + "0" * 26 + "'", 3): {("stray", 3), ("sequence", 3)},
    TX.format("seq = 9", 3): {("sequence", 3)},
    "DELETE FROM ledger_tx WHERE seq = 3": {("sequence", 3), ("orphan", None)},
    "DELETE FROM ledger_tx WHERE seq = 6": {("head", 6), ("orphan", None)},
    REMOVE.format("", OF.format(4)): {("chain", 4), ("balance", None)},
    REMOVE.format("ord = 2 AND ", OF.format(4)): {("chain", 4), ("zero_sum", 4)},
    REMOVE.format("ord > 2 AND ", OF.format(1)): {("chain", 1), ("balance", None)},
    REMOVE.format("ord = 4 AND ", OF.format(1)): {("chain", 1), ("zero_sum", 1)},
    ENTRY.format("bucket = 5", "ord = 2 AND " + OF.format(4)): {("chain", 4), ("rule", 4)},
    ENTRY.format("bucket = 5 - bucket", OF.format(4)): {("chain", 4), ("rule", 4)},
    ENTRY.format("qty = -qty", OF.format(4)): {("chain", 4), ("zero_sum", 4)},
    ENTRY.format("ord = ord + 2", OF.format(4)): {("zero_sum", 4)},
    ENTRY.format("reference_value_jpy = 5", "ord = 2 AND " + OF.format(4)):
        {("chain", 4), ("zero_sum", 4)},
    ENTRY.format("reference_value_jpy = CASE ord WHEN 1 THEN -5 ELSE 5 END", OF.format(4)):
        {("chain", 4), ("balance", None)},
    ENTRY.format("balance_after = 7", "ord = 1 AND " + OF.format(4)): {("balance_after", 4)},
    ENTRY.format("balance_after = 7", "ord = 4 AND " + OF.format(1)): {("balance_after", 1)},
    ENTRY.format("agency_id = 'agy_x'", "ord = 1 AND " + OF.format(4)):
        {("chain", 4), ("zero_sum", 4)},
    ENTRY.format("book_id = 'bok_x'", "ord = 2 AND " + OF.format(5)):
        {("chain", 5), ("zero_sum", 5)},
    ANOTHER.format("ledger_entry", "WHERE " + OF.format(4)):
        {("chain", 4), ("request", 4), ("history", 4)},
    "UPDATE ledger_balance SET qty = 3 WHERE unit = 1 AND bucket = 5": {("balance", None)},
    "UPDATE ledger_balance SET qty = 3 WHERE unit = 2 AND bucket = 2": {("balance", None)},
    "UPDATE ledger_balance SET reference_value_jpy = 3 WHERE unit = 1 AND bucket = 5":
        {("balance", None)},
    "UPDATE ledger_balance SET agency_id = 'agy_x' WHERE unit = 1 AND bucket = 5":
        {("stray", None), ("balance", None)},
    "DELETE FROM ledger_balance WHERE unit = 2 AND bucket = 8": {("balance", None)},
    "UPDATE credit_date_change SET new_date = '2030-01-01' WHERE field = 'expires_on'":
        {("chain", 3), ("request", 3), ("credit_dates", None)},
    "UPDATE credit_date_change SET old_date = '2030-01-01' WHERE field = 'expires_on'":
        {("date_change", 3)},
    "UPDATE credit_date_change SET field = 'guarantee_end_on' WHERE field = 'expires_on'":
        {("chain", 3), ("credit_dates", None)},
    ANOTHER.format("credit_date_change", ""):
        {("chain", 3), ("request", 3), ("credit_dates", None)},
    "UPDATE credit_date_change SET agency_id = 'agy_x' WHERE field = 'expires_on'":
        {("chain", 3), ("date_change", 3)},
    "UPDATE credit_date_change SET ord = ord + 5 WHERE field = 'available_on'": {("chain", 3)},
    "DELETE FROM credit_date_change": {("chain", 3), ("credit_dates", None)},
    "UPDATE credit SET bucket = 2 WHERE bucket = 5": {("credit_bucket", None)},
    "UPDATE credit SET bucket = 3 WHERE bucket = 5":
        {("credit_bucket", None), ("reservation", None)},
    "UPDATE credit SET frozen_from = 2 WHERE bucket = 5": {("credit_frozen", None)},
    "UPDATE credit SET agreement_id = 'agr_x' WHERE bucket = 5": {("grant", 1)},
    "UPDATE credit SET agreement_version = 9 WHERE bucket = 5": {("grant", 1)},
    "UPDATE credit SET placement_id = 'plc_x' WHERE bucket = 5": {("grant", 1)},
    "UPDATE credit SET relay_id = NULL WHERE bucket = 1": {("grant", 6)},
    "UPDATE credit SET terms = terms || '{\"validity_months\": 99}' WHERE bucket = 1":
        {("grant", 6)},
    "UPDATE credit SET terms = terms || '{\"guarantee\": {\"weeks\": 1}}' WHERE bucket = 1":
        {("grant", 6), ("grant", None)},
    "UPDATE credit SET terms = terms - 'guarantee' || '{\"guarantee.months\": 6}' WHERE bucket = 1":
        {("grant", 6)},
    "UPDATE credit SET started_on = '2026-01-01' WHERE bucket = 1":
        {("grant", 6), ("credit_dates", None)},
    "UPDATE credit SET value_cap_jpy = 5 WHERE bucket = 1": {("grant", 6)},
    "UPDATE credit SET reference_value_jpy = reference_value_jpy + 5 WHERE bucket = 1":
        {("grant", 6)},
    "UPDATE credit SET grant_key = 'granted:x' WHERE bucket = 5": {("grant", 1)},
    "UPDATE credit SET grant_key = 'granted:x' WHERE bucket = 1": {("grant", 6)},
    "UPDATE credit SET guarantee_end_on = '2026-05-01' WHERE bucket = 1": {("credit_dates", None)},
    "UPDATE credit SET available_on = NULL WHERE bucket = 5": {("credit_dates", None)},
    "UPDATE credit SET expires_on = '2030-01-01' WHERE bucket = 5": {("credit_dates", None)},
    "UPDATE credit SET look_at = NULL WHERE bucket = 1": {("credit_look", None)},
    "UPDATE credit SET agency_id = 'agy_x' WHERE bucket = 5":
        {("stray", None), ("credit_missing", 3)},
    "DELETE FROM credit WHERE bucket = 5": {("credit_missing", 1), ("credit_missing", 4)},
    "UPDATE reservation SET state = 'reserved', hired_on = NULL": {("reservation", None)},
    "UPDATE book SET last_seq = 9": {("head", 9)},
    "UPDATE book SET head_hash = sha256('x')": {("head", 6)},
    "UPDATE book SET recorded_at = '2020-01-01'": {("head", 6)},
    "UPDATE book SET agency_id = 'agy_x'": {("stray", 1)},
}  # fmt: skip
"""What a superuser changed with the triggers off, and what must at least be said of it."""


@pytest.mark.parametrize("change", TAMPERED, ids=range(len(TAMPERED)))
async def test_every_change_is_found_and_located(*, runtime, world, clock, database_url, change):
    await a_book(runtime, world, clock)
    before = await recount(runtime)
    book = await the_book(runtime, world)
    await tamper(database_url, change)
    report = await recount(runtime)
    alone = await recount(runtime, Scope(book_id=book.id))

    assert before.findings == []
    found = {(one.check, one.seq) for one in report.findings}
    assert found >= TAMPERED[change]
    assert {(one.company_id, one.book_id) for one in report.findings} == {
        (world.company.id, book.id)
    }
    assert {(one.check, one.seq) for one in alone.findings} == found


@pytest.mark.parametrize(("seq", "others"), [(2, set()), (3, set()), (6, set())])
async def test_one_changed_transaction_is_one_finding(
    *, runtime, world, clock, database_url, seq, others
):
    """Those behind it rest on the stored hash, and are as they were."""
    await a_book(runtime, world, clock)
    await tamper(database_url, TX.format("actor = 'me'", seq))
    report = await recount(runtime)

    assert [(one.check, one.seq) for one in report.findings] == [("chain", seq), *others]


async def test_a_forged_hash_is_told_once_and_what_follows_is_not(
    runtime, world, clock, database_url
):
    await a_book(runtime, world, clock)
    await tamper(database_url, TX.format("hash = sha256('forged')", 3))
    report = await recount(runtime)

    assert [(one.check, one.seq) for one in report.findings] == [("chain", 3)]


async def test_a_chain_rewritten_as_a_whole_is_found_by_its_checkpoint(
    runtime, world, clock, database_url
):
    await a_book(runtime, world, clock)
    await checkpoint(runtime)
    book = await the_book(runtime, world)
    await rewrite(database_url, 2, "somebody else")
    recounted = await recount(runtime)
    async with runtime.database.transaction() as db:
        found = await rewritten(db)

    assert recounted.findings == []
    # The first checkpoint was made by itself, when there were three.
    assert [(one.check, one.book_id, one.seq) for one in found] == [("rewritten", book.id, 3)]
    assert found[0].detail.endswith("changed behind 0")


async def test_where_it_was_rewritten_lies_between_two_checkpoints(
    runtime, world, clock, database_url
):
    placed = await earn(runtime, world, APRIL)
    await checkpoint(runtime)
    clock.move_to(at(date(2026, 10, 1)))
    await work(runtime)
    await a_hire(runtime, world, clock)
    await checkpoint(runtime)
    await rewrite(database_url, 3, "somebody else")
    async with runtime.database.transaction() as db:
        found = await rewritten(db)

    assert placed
    assert [(one.seq, one.detail.rpartition(" ")[2]) for one in found] == [(4, "2")]


# Since a checkpoint


async def test_since_a_checkpoint_only_what_came_after_is_looked_at(
    runtime, world, clock, database_url
):
    await a_book(runtime, world, clock)
    other = await make_world(runtime, slug="other")
    await earn(runtime, other, date(2026, 10, 1))
    made = await checkpoint(runtime)
    clock.offset += timedelta(days=1)
    await earn(runtime, world, clock().date())
    await earn(runtime, world, clock().date())
    since = Scope(since=made.n)
    whole, after = await recount(runtime), await recount(runtime, since)
    await tamper(database_url, TX.format("actor = 'me'", 2))
    before_it = await recount(runtime, since)
    await tamper(database_url, TX.format("actor = 'me'", 7))
    behind_it = await recount(runtime, since)

    assert (whole.findings, whole.books, whole.transactions) == ([], 2, 9)
    assert (after.findings, after.books, after.transactions) == ([], 1, 2)
    assert before_it.findings == []
    assert [(one.check, one.seq) for one in behind_it.findings] == [("chain", 7)]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (ENTRY.format("balance_after = 9", "ord = 1 AND " + OF.format(7)),
         {("balance_after", 8), ("balance", None)}),
        ("UPDATE ledger_balance SET qty = 9 WHERE unit = 1 AND bucket = 1", {("balance", None)}),
        (REMOVE.format("", OF.format(7)), {("chain", 7), ("request", 7)}),
        ("DELETE FROM ledger_tx WHERE seq = 7", {("sequence", 7)}),
        ("UPDATE credit SET bucket = 2 WHERE bucket = 1", {("credit_bucket", None)}),
        ("UPDATE credit SET terms = '{}' WHERE bucket = 1", {("grant", 7), ("grant", 8)}),
    ],
    ids=range(6),
)  # fmt: skip
async def test_what_came_after_is_looked_at_as_closely(
    *, runtime, world, clock, database_url, change, found
):
    await a_book(runtime, world, clock)
    made = await checkpoint(runtime)
    await earn(runtime, world, clock().date())
    await earn(runtime, world, clock().date())
    await tamper(database_url, change)
    report = await recount(runtime, Scope(since=made.n))

    assert {(one.check, one.seq) for one in report.findings} >= found


async def test_a_book_that_denies_what_came_after_is_found(runtime, world, clock, database_url):
    await a_book(runtime, world, clock)
    made = await checkpoint(runtime)
    await earn(runtime, world, clock().date())
    cut = "UPDATE book SET last_seq = 6, head_hash = (SELECT hash FROM ledger_tx WHERE seq = 6)"
    await tamper(database_url, cut)
    report = await recount(runtime, Scope(since=made.n))

    assert ("head", 6) in {(one.check, one.seq) for one in report.findings}


async def test_a_companys_only_book_is_missed(runtime, world, clock, database_url):
    await a_book(runtime, world, clock)
    book = await the_book(runtime, world)
    await tamper(database_url, "DELETE FROM book")
    report = await recount(runtime)

    found = {(one.company_id, one.book_id, one.check) for one in report.findings}
    assert found == {(world.company.id, book.id, "stray")}


async def test_a_correction_of_one_person_is_found_though_the_chain_agrees(
    runtime, world, clock, database_url
):
    await a_book(runtime, world, clock)
    await a_gift(runtime, world, clock)
    before = await recount(runtime)
    await rewrite(database_url, 7, "usr_1")
    report = await recount(runtime)

    assert before.findings == []
    assert [(one.check, one.seq) for one in report.findings] == [("two_persons", 7)]


async def a_gift(runtime, world, clock):
    """The agency gives a credit by hand: asked for by one of its people, approved by another."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        asked = await adjust_credits.request_adjustment(
            db, runtime.tools, world.company.id, world.agency.id,
            adjust_credits.Wish("issue", "goodwill", "x", count=1),
            party="agency", actor="usr_1", now=clock(),
        )  # fmt: skip
        await adjust_credits.approve(
            db, runtime.tools, world.company.id, asked.id, party="agency", actor="usr_2",
            now=clock(),
        )  # fmt: skip


async def test_a_book_cut_back_behind_its_checkpoint_is_found(runtime, world, clock, database_url):
    await a_book(runtime, world, clock)
    made = await checkpoint(runtime)
    cut = "UPDATE book SET last_seq = 5, head_hash = (SELECT hash FROM ledger_tx WHERE seq = 5)"
    await tamper(database_url, "DELETE FROM ledger_tx WHERE seq = 6", cut)
    report = await recount(runtime, Scope(since=made.n))

    assert [(one.check, one.seq) for one in report.findings] == [("checkpoint", 6)]


# What is not plain


async def test_texts_that_are_not_plain_are_counted_the_same(runtime, world):
    awkward = "名\t前\\ \"'\n\\x{}é🎉"
    credit = NewCredit(
        id=new_id("crd"), agreement_id="agr_1", agreement_version=1, placement_id="plc_1",
        relay_id="rly_1", terms={"scope": {"job_types": ["経理", "営業"]}, "max_open": None},
        started_on=APRIL, guarantee_end_on=date(2026, 9, 30), reference_value_jpy=1_500_000,
    )  # fmt: skip
    grant = Posting(
        kind=Kind.GRANTED, key="k" + awkward, effective_on=APRIL, actor=awkward, reason=awkward,
        moves=[Move(credit.id, Bucket.ISSUED, Bucket.PENDING)], credits=[credit],
        request={awkward: awkward, "deep": {"list": [1, None, True], "none": None}, "n": 7},
    )  # fmt: skip
    points = Posting(
        kind=Kind.POINT_COUNTED, key="p", effective_on=APRIL, actor="system",
        moves=[Move(None, Bucket.ISSUED, Bucket.AVAILABLE, unit=2, qty=3)],
    )  # fmt: skip
    changed = Posting(
        kind=Kind.TERM_CHANGED, key="tail:t", effective_on=APRIL, actor="system", moves=[],
        request={"old": {"validity_months": 12}, "new": {"validity_months": 18}},
    )  # fmt: skip
    second = replace(credit, id=new_id("crd"), placement_id=None, relay_id=None)
    converted = Posting(
        kind=Kind.GRANTED, key="c", effective_on=APRIL, actor="system", credits=[second],
        moves=[Move(None, Bucket.AVAILABLE, Bucket.USED, unit=2, qty=3),
               Move(second.id, Bucket.ISSUED, Bucket.PENDING)],
    )  # fmt: skip
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await ledger.open_book(db, world.company.id, world.agency.id, at(APRIL))
        for one in (grant, points, changed, converted):
            await ledger.post(db, book, one, at(APRIL))
    report = await recount(runtime)

    assert (report.findings, report.transactions) == ([], 4)


async def test_many_transactions_are_counted_across_the_pieces_they_come_in(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        book = await ledger.open_book(db, world.company.id, world.agency.id, at(APRIL))
        for number in range(600):
            counted = Posting(
                kind=Kind.POINT_COUNTED, key=f"point:{number}", effective_on=APRIL, actor="次",
                moves=[Move(None, Bucket.ISSUED, Bucket.AVAILABLE, unit=2)],
            )  # fmt: skip
            await ledger.post(db, book, counted, at(APRIL))
    report, told = await recount(runtime), []
    async with runtime.database.transaction() as db:
        await verify_company(db, world.company.id, tell=told.append)

    assert (report.findings, report.transactions) == ([], 600)
    assert sum(told) == 600


async def test_it_waits_for_nobody_and_keeps_nobody_waiting(runtime, world, clock):
    await a_book(runtime, world, clock)
    book = await the_book(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await ledger.lock_book(db, world.company.id, book.id)
        report = await recount(runtime)

    assert report.findings == []


# The business, and what stands too long


async def business(runtime, world):
    async with runtime.database.transaction() as db:
        found = await check_credits(db, world.company.id, runtime.clock())
    return {one.check for one in found}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("UPDATE credit SET guarantee_end_on = '2026-12-31', bucket = 2 WHERE bucket = 5",
         "available_early"),
        ("UPDATE credit SET expires_on = '2026-09-29', bucket = 2 WHERE bucket = 5",
         "available_late"),
        ("DELETE FROM reservation", "used_without_hire"),
        ("UPDATE credit SET bucket = 2 WHERE bucket = 5", "hire_without_credit"),
        ("UPDATE reservation SET state = 'reserved', hired_on = NULL, opening = ' '",
         "reserved_for_nothing"),
        ("UPDATE credit SET placement_id = 'plc_x' WHERE bucket <> 1", "start_without_grant"),
    ],
)  # fmt: skip
async def test_a_book_that_adds_up_may_still_disagree_with_the_business(
    *, runtime, world, clock, database_url, change, check
):
    await a_book(runtime, world, clock)
    before = await business(runtime, world)
    await tamper(
        database_url, change, "UPDATE placement SET state = 'guaranteed' WHERE state = 'early_left'"
    )
    after = await business(runtime, world)

    assert before == set()
    assert check in after


async def test_what_stands_too_long_is_counted_with_its_age(runtime, world, clock, database_url):
    await a_book(runtime, world, clock)
    async with runtime.database.transaction() as db:
        before = {one.bucket: (one.count, one.oldest_days) for one in await unresolved(db, clock())}
    # Midnight in Japan of the day after: the sweep has not come yet.
    guarantee_end = date(2027, 3, 31)
    clock.move_to(at(guarantee_end + timedelta(days=4)))
    async with runtime.database.transaction() as db:
        after = {one.bucket: (one.count, one.oldest_days) for one in await unresolved(db, clock())}
    await tamper(database_url, "UPDATE credit SET bucket = 4 WHERE bucket = 1",
                 ENTRY.format("bucket = 4", "ord = 2 AND " + OF.format(6)))  # fmt: skip
    async with runtime.database.transaction() as db:
        frozen = {one.bucket: (one.count, one.oldest_days) for one in await unresolved(db, clock())}

    assert before == {"pending": (0, 0), "reserved": (0, 0), "frozen": (0, 0), "owed": (0, 0)}
    assert after["pending"] == (1, 4)
    assert (frozen["pending"], frozen["frozen"]) == ((0, 0), (1, 185))


# By itself


async def kept(runtime):
    async with runtime.database.transaction() as db:
        rows = await db.scalars(select(LedgerVerification).order_by(LedgerVerification.id))
        return list(rows.all())


async def test_it_happens_by_itself_after_each_checkpoint_and_every_night(runtime, world, clock):
    await earn(runtime, world, APRIL)
    await work(runtime)  # the first look is a whole one, by both duties
    first = {(one.scope, one.books, one.transactions) for one in await kept(runtime)}
    clock.offset += timedelta(hours=1, minutes=10)
    await work(runtime)
    so_far = len(await kept(runtime))
    clock.offset += timedelta(hours=1)
    await work(runtime)
    nothing_new = len(await kept(runtime))
    await earn(runtime, world, APRIL)
    clock.offset += timedelta(hours=1)
    await work(runtime)
    clock.offset += timedelta(hours=1)
    await work(runtime)
    changed = (await kept(runtime))[nothing_new:]
    clock.offset += timedelta(days=1)
    await work(runtime)
    night = (await kept(runtime))[nothing_new + len(changed) :]

    assert first == {("whole", 1, 1)}
    assert nothing_new == so_far
    assert [(one.scope, one.transactions, one.mismatches) for one in changed] == [("changed", 1, 0)]
    assert ("whole", 2, 0) in [(one.scope, one.transactions, one.mismatches) for one in night]


async def test_what_it_finds_is_halted_kept_and_logged_without_a_word_too_many(
    *, runtime, world, clock, database_url, capsys, caplog
):  # fmt: skip
    await a_book(runtime, world, clock)
    other = await make_world(runtime, slug="other")
    await earn(runtime, other, date(2026, 10, 1))
    book = await the_book(runtime, world)
    await tamper(database_url, TX.format("actor = 'me'", f"2 AND book_id = '{book.id}'"))
    clock.offset += timedelta(days=1)
    await work(runtime)
    newest = (await kept(runtime))[-1]
    halted = {one.company.slug: (await the_book(runtime, one)).halted for one in (world, other)}

    assert newest.mismatches == 1
    assert newest.findings == [{
        "company_id": world.company.id, "book_id": book.id, "check": "chain", "seq": 2,
        "detail": "the transaction does not have its hash",
    }]  # fmt: skip
    assert halted == {"mirai": True, "other": False}
    # Whichever way this process logs by now.
    assert "ledger_mismatch" in capsys.readouterr().out + caplog.text


async def test_a_business_finding_halts_nothing(runtime, world, clock, database_url):
    await a_book(runtime, world, clock)
    await tamper(database_url, "UPDATE reservation SET state = 'released', hired_on = NULL")
    outcome = await verify_everything(runtime, Scope(), halting=True)

    assert [one.check for one in outcome.business] == ["used_without_hire"]
    assert outcome.report.findings == []
    assert (await the_book(runtime, world)).halted is False


async def test_a_missing_guard_is_said(runtime, world, database_url):
    await earn(runtime, world, APRIL)
    async with owner(database_url) as connection:
        await connection.execute("DROP TRIGGER ledger_tx_append_only ON ledger_tx")
    outcome = await verify_everything(runtime, Scope(), halting=False)

    assert (outcome.guards, outcome.ok) == (["ledger_tx.ledger_tx_append_only"], False)


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO ledger_rule VALUES (3, 1, 1, 3, true, NULL)",
        "DELETE FROM ledger_rule WHERE kind = 3",
        "UPDATE ledger_rule SET touches_state = false WHERE kind = 3",
    ],
)
async def test_a_rule_that_is_not_the_codes_is_said(*, runtime, database_url, change):
    await tamper(database_url, change)
    outcome = await verify_everything(runtime, Scope(), halting=False)

    assert {one.rpartition("_")[0] for one in outcome.guards} <= {
        "ledger_rule.3_1_1", "ledger_rule.3_1_2",
    }  # fmt: skip
    assert (len(outcome.guards), outcome.ok) == (1, False)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE statement SET document = 'x', sha256 = encode(sha256('x'), 'hex')",
         {"statement_signature"}),
        ("UPDATE statement SET sha256 = 'x'", {"statement_signature"}),
        ("UPDATE statement SET head_hash = sha256('x')", {"statement_head"}),
        ("UPDATE book SET closed_through = NULL", {"month_reopened"}),
        ("UPDATE book SET closed_through = '2026-05-31'", {"month_reopened"}),
    ],
)  # fmt: skip
async def test_a_statement_stands_as_it_was_signed(
    *, runtime, world, clock, database_url, change, found
):
    await a_book(runtime, world, clock)
    clock.move_to(at(date(2026, 10, 6)))
    await work(runtime)
    before = await verify_everything(runtime, Scope(), halting=True)
    await tamper(database_url, change)
    after = await verify_everything(runtime, Scope(), halting=True)

    assert (before.business, before.ok) == ([], True)
    assert {one.check for one in after.business} == found
    assert (await the_book(runtime, world)).halted is False


async def test_every_book_is_read_at_one_moment(runtime, world, clock):
    """Somebody posts between two statements of the look: it sees neither half of that."""
    await a_book(runtime, world, clock)
    async with runtime.database.transaction() as db:
        await steady(db)
        await db.execute(text("SELECT 1"))
        await earn(runtime, world, clock().date())
        report = await verify_company(db, world.company.id)

    assert (report.findings, report.transactions) == ([], 6)
