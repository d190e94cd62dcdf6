"""The measurements measure the real thing: what they send is what the adapters verify and read."""

import asyncio
import io
import json
from datetime import UTC, datetime

import asyncpg
import pytest
from rich.console import Console

from bench import books, ingest, ledger
from bench.samples import SAMPLES
from bench.stage import stage
from domain.ports import ConnectionView, Incoming
from integrations.ats import ADAPTERS

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SHORT, LONG = 10, 11


def delivered(provider, number=1):
    path = f"/v1/ats/{provider}/ats_1"
    body, headers = SAMPLES[provider].make(number, path, NOW)
    seen = ConnectionView("ats_1", secrets=SAMPLES[provider].secrets)
    return Incoming(body, headers, NOW, path=path), seen


def test_every_vendor_that_sends_is_measured():
    assert set(SAMPLES) == set(ADAPTERS)


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
def test_a_sample_is_verified_read_and_unlike_the_next(provider):
    adapter, (incoming, seen) = ADAPTERS[provider], delivered(provider)
    reading = adapter.read(incoming, seen)
    changed = Incoming(b"x" + incoming.body, incoming.headers, NOW, path=incoming.path)

    assert adapter.verify(incoming, seen)
    assert not adapter.verify(changed, seen)
    assert SAMPLES[provider].accepted == adapter.SUCCESS
    assert reading.events or reading.lookup is not None
    assert incoming.body != delivered(provider, 2)[0].body


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
def test_an_id_the_door_does_not_look_for_stands_in_the_body(provider):
    adapter, (incoming, _) = ADAPTERS[provider], delivered(provider)
    number = adapter.delivery_id(incoming)

    assert not adapter.ID_IN_BODY or (number or "").encode() in incoming.body


def test_every_part_runs(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    plan = ingest.Plan(seconds=0.1, rounds=1, only=("lever",), burst=5, few=10, many=100)
    told = io.StringIO()

    found = ingest.measure(plan, Console(file=told, width=160))

    assert set(found) == {"throughput", "latency", "burst", "stored", "pages"}
    assert "5 deliveries at once" in told.getvalue()


def test_every_part_of_the_ledgers_runs(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    plan = ledger.Plan(
        seconds=1,
        rounds=1,
        warm_up=1,
        connections=(2,),
        entries=8_800,
        scale=1,
        memory="64MB",
        recounted=2_000,
    )
    told = io.StringIO()

    found = ledger.measure(plan, Console(file=told, width=160))

    assert found["filled"] == 1_000 * books.ENTRIES_OF_A_CREDIT + 880
    assert {name for name, _ in found["posting"]} == {*ledger.SCRIPTS, ledger.THROUGH_PYTHON}
    assert all(ours > 0 and bank > 0 for ((ours, bank),) in found["posting"].values())
    assert "with 8,880 entries" in told.getvalue()
    assert all(ours > 0 and floor > 0 for ours, floor in found["verification"])


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A thousand books with one credit's life in each, but the long one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("DATABASE_URL", raising=False)
        with stage(tmp_path_factory.mktemp("books")) as there:
            asyncio.run(books.open_books(there))
            credits_of = dict.fromkeys(range(books.BOOKS), 1) | {LONG: 2_000}
            asyncio.run(books.fill(there, credits_of))
            yield there


def test_the_books_that_were_filled_add_up(filled):
    wrong = {name: filled.ask(asked) for name, asked in _WRONG.items()}

    assert wrong == dict.fromkeys(_WRONG, 0)
    assert filled.ask("SELECT count(*) FROM ledger_entry") == (
        (books.BOOKS - 1 + 2_000) * books.ENTRIES_OF_A_CREDIT
    )


def test_a_posting_reads_as_little_of_a_long_book_as_of_a_short_one(filled):
    short, long = (asyncio.run(_blocks(filled, book)) for book in (SHORT, LONG))

    assert long < short + 50


async def _blocks(there, book):
    """How many blocks of 8 kB one more posting to a book touches, its plans made for any book."""
    connection = await asyncpg.connect(there.dsn)
    await connection.execute("BEGIN")
    tenant = "SELECT set_config('relay.company_id', $1, true)"
    await connection.execute(tenant, books.company_of(book))
    for number in range(8):
        told = await connection.fetchval(
            _EXPLAINED, books.company_of(book), books.book_id(book), f"point:{number}"
        )
    await connection.execute("ROLLBACK")
    await connection.close()
    plan = json.loads(told)[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


_EXPLAINED = """EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT ledger_post(
    $1, $2, 14::smallint, '2024-04-01', now(), $3::text, sha256($3::text::bytea), 'system', NULL,
    ARRAY[2]::smallint[], ARRAY[NULL]::text[], ARRAY[0]::smallint[], ARRAY[2]::smallint[], ARRAY[1],
    ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::date[], '[]', '{}')"""
_WRONG = {
    "entries of a transaction": "SELECT count(*) FROM (SELECT FROM ledger_entry"
    " GROUP BY company_id, tx_id, credit_id HAVING sum(qty) <> 0 OR count(*) <> 2) AS wrong",
    "balances": "SELECT count(*) FROM ledger_balance b WHERE b.unit = 1 AND b.qty <> (SELECT"
    " coalesce(sum(e.qty), 0) FROM ledger_entry e WHERE e.company_id = b.company_id"
    " AND e.book_id = b.book_id AND e.bucket = b.bucket)",
    "balances after": "SELECT count(*) FROM (SELECT balance_after, sum(qty) OVER (PARTITION BY"
    " company_id, book_id, bucket ORDER BY tx_id, ord) AS summed FROM ledger_entry) AS run"
    " WHERE balance_after <> summed",
    "numbers": "SELECT count(*) FROM book b WHERE last_seq <> (SELECT count(*) FROM ledger_tx t"
    " WHERE t.company_id = b.company_id AND t.book_id = b.id)",
    "buckets": "SELECT count(*) FROM credit c WHERE bucket <> (SELECT e.bucket FROM ledger_entry e"
    " WHERE e.company_id = c.company_id AND e.credit_id = c.id ORDER BY e.tx_id DESC, e.ord DESC"
    " LIMIT 1)",
}
