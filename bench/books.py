"""Books to post to: a hundred companies at ten agencies, empty or with years of postings."""

from datetime import UTC, date, datetime
from typing import Any

from api.runtime import Runtime
from bench.stage import Stage
from domain.flows.office import open_account

AGENCIES = 10
BOOKS = 100 * AGENCIES
"""Those that are posted to: a hundred companies'. One more company has books that are only read."""
READ = BOOKS
"""The book whose balance is read."""
POSTINGS_OF_A_CREDIT, ENTRIES_OF_A_CREDIT = 4, 8
"""Granted, became available, reserved, used: a whole life, two entries each."""
STARTED = date(2024, 4, 1)
_AGENCY: dict[str, Any] = {
    "name": "bench", "name_en": "bench", "address": "bench", "representative": "bench",
    "license_number": "13-ユ-300001", "license_valid_until": date(2030, 3, 31),
    "privacy_url": "https://agency.example/privacy",
}  # fmt: skip

# Companies, agencies and agreements are copies of one that was opened through the front door, so
# that a new column needs no word here. Ids are numbers, as long as real ones.
_MULTIPLY = """
DO $$ BEGIN
  INSERT INTO company SELECT (jsonb_populate_record(c, jsonb_build_object(
      'id', 'cmp_' || lpad(n::text, 26, '0'), 'slug', 'bench-' || n))).*
    FROM company c, generate_series(0, {books} / {agencies}) AS n WHERE c.slug = 'bench';
  INSERT INTO agency SELECT (jsonb_populate_record(a, jsonb_build_object(
      'id', 'agy_' || lpad(n::text, 26, '0')))).*
    FROM agency a, generate_series(0, {agencies} - 1) AS n;
  INSERT INTO agreement SELECT (jsonb_populate_record(a, jsonb_build_object(
      'company_id', 'cmp_' || lpad((n / {agencies})::text, 26, '0'),
      'id', 'agr_' || lpad(n::text, 26, '0'),
      'agency_id', 'agy_' || lpad((n % {agencies})::text, 26, '0')))).*
    FROM agreement a, generate_series(0, {books} + {agencies} - 1) AS n;
  PERFORM set_config('relay.company_id', 'cmp_' || lpad((n / {agencies})::text, 26, '0'), true),
          ledger_open_book('bok_' || lpad(n::text, 26, '0'),
                           'cmp_' || lpad((n / {agencies})::text, 26, '0'),
                           'agy_' || lpad((n % {agencies})::text, 26, '0'), '2024-04-01')
     FROM generate_series(0, {books} + {agencies} - 1) AS n;
END $$
"""

# Rows that would take hours to post are written beside the posting function, its guards switched
# off for this one transaction. Everything adds up; only the hashes are stand-ins.
_FILL = """
DO $$ BEGIN
  SET LOCAL session_replication_role = replica;
  CREATE TEMP TABLE filled ON COMMIT DROP AS
    SELECT b.company_id, b.agency_id, b.id AS book_id, (right(b.id, 6))::bigint AS number, w.credits
      FROM book b JOIN (SELECT 'bok_' || lpad(n::text, 26, '0') AS id, credits FROM {wanted}) AS w
        ON w.id = b.id ORDER BY b.company_id, b.id;
  CREATE TEMP TABLE life (step, kind, source, target) ON COMMIT DROP AS
    VALUES (1, 1, 0, 1), (2, 2, 1, 2), (3, 3, 2, 3), (4, 5, 3, 5);
  INSERT INTO credit (company_id, id, agency_id, book_id, grant_key, agreement_id,
      agreement_version, placement_id, relay_id, terms, bucket, started_on, guarantee_end_on,
      available_on, expires_on, reference_value_jpy)
  SELECT f.company_id, 'crd_' || c.name, f.agency_id, f.book_id, 'granted:plc_' || c.name,
         'agr_' || right(f.book_id, 26), 1, 'plc_' || c.name, 'rly_' || c.name, '{{}}', 5,
         '2024-04-01', '2024-09-30', '2024-10-01', '2025-09-30', 0
    FROM filled f, generate_series(1, f.credits) AS n,
         LATERAL (SELECT lpad(f.number::text, 10, '0') || lpad(n::text, 16, '0') AS name) AS c;
  CREATE TEMP TABLE posted ON COMMIT DROP AS
    SELECT row_number() OVER () AS id, f.*, n, s.*, lpad(f.number::text, 10, '0')
           || lpad(n::text, 16, '0') AS name
      FROM filled f, generate_series(1, f.credits) AS n, life s;
  INSERT INTO ledger_tx (company_id, id, agency_id, book_id, seq, kind, effective_on, recorded_at,
      business_key, fingerprint, actor, request, hash)
  OVERRIDING SYSTEM VALUE
  SELECT p.company_id, (SELECT coalesce(max(id), 0) FROM ledger_tx) + p.id, p.agency_id, p.book_id,
         {postings} * (p.n - 1) + p.step, p.kind, '2024-04-01',
         timestamptz '2024-04-01' + p.id * interval '1 millisecond',
         (ARRAY['granted:plc_', 'available:crd_', 'reserved:rsv_', 'used:rsv_'])[p.step] || p.name,
         sha256(p.name::bytea), 'agy_' || right(p.book_id, 26), '{{}}', sha256(p.name::bytea)
    FROM posted p ORDER BY p.id;
  INSERT INTO ledger_entry (company_id, tx_id, ord, agency_id, book_id, unit, bucket, credit_id,
      qty, reference_value_jpy, balance_after)
  SELECT p.company_id, (SELECT max(id) FROM ledger_tx) - (SELECT count(*) FROM posted) + p.id,
         side, p.agency_id, p.book_id, 1, CASE side WHEN 1 THEN p.source ELSE p.target END,
         'crd_' || p.name, CASE side WHEN 1 THEN -1 ELSE 1 END, 0,
         CASE CASE side WHEN 1 THEN p.source ELSE p.target END
           WHEN 0 THEN -p.n WHEN 5 THEN p.n ELSE side - 1 END
    FROM posted p, generate_series(1, 2) AS side ORDER BY p.id, side;
  UPDATE ledger_balance b SET qty = CASE b.bucket WHEN 0 THEN -f.credits ELSE f.credits END,
         version = f.credits
    FROM filled f WHERE b.company_id = f.company_id AND b.book_id = f.book_id AND b.unit = 1
     AND b.bucket IN (0, 5);
  UPDATE book b SET last_seq = {postings} * f.credits, head_hash = sha256(
         (lpad(f.number::text, 10, '0') || lpad(f.credits::text, 16, '0'))::bytea)
    FROM filled f WHERE b.company_id = f.company_id AND b.id = f.book_id AND f.credits > 0;
  PERFORM setval(pg_get_serial_sequence('ledger_tx', 'id'), (SELECT max(id) FROM ledger_tx));
END $$
"""
_TABLES = ("company", "agency", "agreement", "book", "credit", "ledger_tx", "ledger_entry",
           "ledger_balance")  # fmt: skip


async def open_books(stage: Stage) -> None:
    """A thousand empty books and ten to read, with their companies, agencies and agreements."""
    runtime = Runtime.build(stage.settings)
    now = datetime(2024, 4, 1, tzinfo=UTC)
    async with runtime.database.transaction() as db:
        agency = await open_account.open_agency(db, now=now, **_AGENCY)
        await open_account.agree(
            db, stage.company_id, agency.id, number="bench", effective_on=STARTED, now=now
        )
    await runtime.database.close()
    await stage.run(_MULTIPLY.format(agencies=AGENCIES, books=BOOKS))
    await settle(stage)


async def fill(stage: Stage, credits_of: dict[int, int]) -> None:
    """Let whole lives of so many credits stand in these books, which were empty."""
    rows = ", ".join(f"({book}, {count})" for book, count in credits_of.items())
    wanted = f"(VALUES {rows}) AS v (n, credits)"
    await stage.run(_FILL.format(wanted=wanted, postings=POSTINGS_OF_A_CREDIT))
    await settle(stage)


async def settle(stage: Stage) -> None:
    """Known statistics and nothing left to tidy up."""
    for table in _TABLES:
        await stage.run(f"VACUUM (ANALYZE) {table}")
    await stage.run("CHECKPOINT")


def company_of(book: int) -> str:
    """The id of the company a book is of."""
    return f"cmp_{book // AGENCIES:026d}"


def book_id(book: int) -> str:
    """The id of a book."""
    return f"bok_{book:026d}"
