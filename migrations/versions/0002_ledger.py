"""The ledger of credits: tables, the one function that writes them, and the guards around it."""

import re
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from domain.base import Xid8
from migrations import tenancy

LEDGER = "relay_ledger"
TABLES = (
    "book", "credit", "ledger_tx", "ledger_entry", "ledger_balance", "credit_date_change",
)  # fmt: skip
APPEND_ONLY = ("ledger_tx", "ledger_entry", "credit_date_change")
WRITES = {
    "book": "SELECT, INSERT, UPDATE",
    "credit": "SELECT, INSERT, UPDATE",
    "ledger_balance": "SELECT, INSERT, UPDATE",
    "ledger_tx": "SELECT, INSERT",
    "ledger_entry": "SELECT, INSERT",
    "credit_date_change": "SELECT, INSERT",
}
FUNCTIONS = {
    "ledger_open_book": "text, text, text, timestamptz",
    "ledger_lock": "text, text",
    "ledger_post": (
        "text, text, smallint, date, timestamptz, text, bytea, text, text, jsonb, jsonb, jsonb"
    ),
    "ledger_halt": "text, text",
    "ledger_resume": "text, text",
}
FOR_THE_APP = ("ledger_open_book", "ledger_lock", "ledger_post", "ledger_halt")
ROLE = f"""DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LEDGER}') THEN
    CREATE ROLE {LEDGER} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
  -- Who makes a role may grant it, to oneself too, but since 16 is not yet allowed to hand over to it.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('GRANT {LEDGER} TO %I', current_user);
  END IF;
END $$"""
# kind, unit, from, to, touches_state, only_reason (domain/credits.py names the numbers)
RULES = (
    (1, 1, 0, 1, True, None),
    (2, 1, 1, 2, True, None),
    (3, 1, 2, 3, True, None),
    (4, 1, 3, 2, True, None),
    (5, 1, 3, 5, True, None),
    (6, 1, 5, 2, True, None),
    (7, 1, 2, 6, True, None),
    (7, 1, 1, 6, True, "cap"),
    (8, 1, 1, 4, True, None),
    (8, 1, 2, 4, True, None),
    (8, 1, 3, 4, True, None),
    (9, 1, 4, 1, True, None),
    (9, 1, 4, 2, True, None),
    (9, 1, 4, 3, True, None),
    (10, 1, 1, 7, True, None),
    (10, 1, 2, 7, True, None),
    (10, 1, 4, 7, True, None),
    (11, 1, 8, 7, False, None),
    (12, 1, 7, 8, False, None),
    (12, 1, 2, 7, True, None),
    (14, 2, 0, 2, False, None),
    (15, 2, 2, 7, False, None),
    (1, 2, 2, 5, False, None),
)
ZERO_SUM = (
    "CREATE TRIGGER ledger_entry_zero_sum AFTER INSERT ON ledger_entry"
    " REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_zero_sum()"
)
SCRIPT = Path(__file__).with_name("0002_ledger.sql")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    tables()
    run = op.get_bind().exec_driver_sql
    for statement in (ROLE, f"GRANT USAGE, CREATE ON SCHEMA public TO {LEDGER}"):
        run(statement)
    for part in re.split(r"^-{20,}$", SCRIPT.read_text(), flags=re.MULTILINE):
        run(part)
    for statement in guards():
        run(statement)
    op.bulk_insert(
        sa.table("ledger_rule", *(sa.column(name) for name in _RULE)),
        [dict(zip(_RULE, rule, strict=True)) for rule in RULES],
    )


_RULE = ("kind", "unit", "from_bucket", "to_bucket", "touches_state", "only_reason")


def guards() -> list[str]:
    """Who may see, who may write, and what nobody may."""
    company, agency = tenancy.COMPANY, tenancy.AGENCY
    made: list[str] = []
    for table in TABLES:
        made += tenancy.tenant(table, company, agency, grants="SELECT")
        made += [
            f"CREATE POLICY ledger ON {table} TO {LEDGER} USING ({company} OR {agency}) WITH CHECK ({company} OR {agency})",
            f"GRANT {WRITES[table]} ON {table} TO {LEDGER}",
            *tenancy.system_reads(table),
        ]
        events = "INSERT" if table in APPEND_ONLY else "INSERT OR UPDATE OR DELETE OR TRUNCATE"
        made += [
            f"CREATE TRIGGER {table}_ledger_only BEFORE {events} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ledger_only()"
        ]
    for table in APPEND_ONLY:
        made += tenancy.append_only(table)
    made += [
        ZERO_SUM,
        "ALTER TABLE book SET (fillfactor = 70)",
        "ALTER TABLE ledger_balance SET (fillfactor = 70)",
        f"GRANT SELECT ON ledger_rule TO {tenancy.APP}, {tenancy.SYSTEM}, {LEDGER}",
    ]
    # A reservation is HR's own row: it may be written, and what it does to credits is posted.
    made += tenancy.tenant("reservation", company, grants="SELECT, INSERT, UPDATE")
    made += [
        f"CREATE POLICY agency_reads ON reservation FOR SELECT TO {tenancy.APP} USING ({agency})"
    ]
    made += tenancy.system_reads("reservation")
    for name, arguments in FUNCTIONS.items():
        made += [
            f"ALTER FUNCTION {name}({arguments}) OWNER TO {LEDGER}",
            f"REVOKE ALL ON FUNCTION {name}({arguments}) FROM PUBLIC",
        ]
    made += [
        f"GRANT EXECUTE ON FUNCTION {name}({FUNCTIONS[name]}) TO {tenancy.APP}"
        for name in FOR_THE_APP
    ]
    made += [f"REVOKE CREATE ON SCHEMA public FROM {LEDGER}"]
    return made


def tables() -> None:
    """As autogenerated from the models."""
    op.create_table(
        "book",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("closed_through", sa.Date(), nullable=True),
        sa.CheckConstraint("octet_length(head_hash) = 32", name=op.f("ck_book_head_hash_length")),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_book_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_book_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_book")),
    )
    op.create_index("ix_book_agency_id", "book", ["agency_id"], unique=False)
    op.create_index(
        "uq_book_company_id_agency_id", "book", ["company_id", "agency_id"], unique=True
    )
    op.create_table(
        "credit",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("grant_key", sa.Text(), nullable=False),
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("agreement_version", sa.Integer(), nullable=False),
        sa.Column("placement_id", sa.Text(), nullable=True),
        sa.Column("relay_id", sa.Text(), nullable=True),
        sa.Column("terms", JSONB(), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("frozen_from", sa.SmallInteger(), nullable=True),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("guarantee_end_on", sa.Date(), nullable=False),
        sa.Column("available_on", sa.Date(), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("value_cap_jpy", sa.BigInteger(), nullable=True),
        sa.Column("reference_value_jpy", sa.BigInteger(), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("bucket BETWEEN 1 AND 7", name=op.f("ck_credit_bucket_known")),
        sa.CheckConstraint("reference_value_jpy >= 0", name=op.f("ck_credit_reference_value_sign")),
        sa.ForeignKeyConstraint(
            ["company_id", "book_id"],
            ["book.company_id", "book.id"],
            name=op.f("fk_credit_company_id_book_id_book"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_credit")),
    )
    op.create_index(
        "ix_credit_look_at",
        "credit",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "ix_credit_pick",
        "credit",
        ["company_id", "book_id", "expires_on", "available_on", "id"],
        unique=False,
        postgresql_where="bucket = 2",
    )
    op.create_index("ix_credit_placement", "credit", ["company_id", "placement_id"], unique=False)
    op.create_index("ix_credit_relay", "credit", ["company_id", "relay_id"], unique=False)
    op.create_index("uq_credit_book", "credit", ["company_id", "id", "book_id"], unique=True)
    op.create_table(
        "ledger_rule",
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("unit", sa.SmallInteger(), nullable=False),
        sa.Column("from_bucket", sa.SmallInteger(), nullable=False),
        sa.Column("to_bucket", sa.SmallInteger(), nullable=False),
        sa.Column("touches_state", sa.Boolean(), nullable=False),
        sa.Column("only_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "kind", "unit", "from_bucket", "to_bucket", name=op.f("pk_ledger_rule")
        ),
    )
    op.create_table(
        "ledger_tx",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("business_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.CheckConstraint(
            "octet_length(fingerprint) = 32", name=op.f("ck_ledger_tx_fingerprint_length")
        ),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_ledger_tx_hash_length")),
        sa.ForeignKeyConstraint(
            ["company_id", "book_id"],
            ["book.company_id", "book.id"],
            name=op.f("fk_ledger_tx_company_id_book_id_book"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_ledger_tx")),
    )
    op.create_index(
        "ix_ledger_tx_recorded_at", "ledger_tx", ["company_id", "recorded_at"], unique=False
    )
    op.create_index(
        "uq_ledger_tx_key", "ledger_tx", ["company_id", "book_id", "business_key"], unique=True
    )
    op.create_index("uq_ledger_tx_seq", "ledger_tx", ["company_id", "book_id", "seq"], unique=True)
    op.create_table(
        "ledger_entry",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("tx_id", sa.BigInteger(), nullable=False),
        sa.Column("ord", sa.SmallInteger(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.SmallInteger(), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("credit_id", sa.Text(), nullable=True),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("reference_value_jpy", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(unit = 1) = (credit_id IS NOT NULL)", name=op.f("ck_ledger_entry_credit_named")
        ),
        sa.CheckConstraint("bucket BETWEEN 0 AND 8", name=op.f("ck_ledger_entry_bucket_known")),
        sa.CheckConstraint("qty <> 0", name=op.f("ck_ledger_entry_qty_not_zero")),
        sa.CheckConstraint("unit <> 1 OR abs(qty) = 1", name=op.f("ck_ledger_entry_credit_whole")),
        sa.ForeignKeyConstraint(
            ["company_id", "credit_id", "book_id"],
            ["credit.company_id", "credit.id", "credit.book_id"],
            name=op.f("fk_ledger_entry_company_id_credit_id_book_id_credit"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "tx_id"],
            ["ledger_tx.company_id", "ledger_tx.id"],
            name=op.f("fk_ledger_entry_company_id_tx_id_ledger_tx"),
        ),
        sa.PrimaryKeyConstraint("company_id", "tx_id", "ord", name=op.f("pk_ledger_entry")),
    )
    op.create_index(
        "ix_ledger_entry_bucket",
        "ledger_entry",
        ["company_id", "book_id", "unit", "bucket", "tx_id"],
        unique=False,
    )
    op.create_index(
        "ix_ledger_entry_credit", "ledger_entry", ["company_id", "credit_id", "tx_id"], unique=False
    )
    op.create_table(
        "ledger_balance",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.SmallInteger(), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("reference_value_jpy", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "CASE WHEN bucket IN (0, 8) THEN qty <= 0 ELSE qty >= 0 END",
            name=op.f("ck_ledger_balance_qty_sign"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "book_id"],
            ["book.company_id", "book.id"],
            name=op.f("fk_ledger_balance_company_id_book_id_book"),
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "book_id", "unit", "bucket", name=op.f("pk_ledger_balance")
        ),
    )
    op.create_table(
        "credit_date_change",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("tx_id", sa.BigInteger(), nullable=False),
        sa.Column("ord", sa.SmallInteger(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("credit_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("old_date", sa.Date(), nullable=True),
        sa.Column("new_date", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "field IN ('guarantee_end_on', 'available_on', 'expires_on')",
            name=op.f("ck_credit_date_change_field_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "credit_id", "book_id"],
            ["credit.company_id", "credit.id", "credit.book_id"],
            name=op.f("fk_credit_date_change_company_id_credit_id_book_id_credit"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "tx_id"],
            ["ledger_tx.company_id", "ledger_tx.id"],
            name=op.f("fk_credit_date_change_company_id_tx_id_ledger_tx"),
        ),
        sa.PrimaryKeyConstraint("company_id", "tx_id", "ord", name=op.f("pk_credit_date_change")),
    )
    op.create_index(
        "ix_credit_date_change_credit",
        "credit_date_change",
        ["company_id", "credit_id"],
        unique=False,
    )
    op.create_table(
        "reservation",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("credit_id", sa.Text(), nullable=False),
        sa.Column("opening", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reserved_on", sa.Date(), nullable=False),
        sa.Column("holds_until", sa.Date(), nullable=False),
        sa.Column("hired_on", sa.Date(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'used') = (hired_on IS NOT NULL)", name=op.f("ck_reservation_used_by_a_hire")
        ),
        sa.CheckConstraint(
            "state IN ('reserved', 'released', 'used')", name=op.f("ck_reservation_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "credit_id", "book_id"],
            ["credit.company_id", "credit.id", "credit.book_id"],
            name=op.f("fk_reservation_company_id_credit_id_book_id_credit"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_reservation")),
    )
    op.create_index("ix_reservation_agency", "reservation", ["agency_id", "id"], unique=False)
    op.create_index(
        "ix_reservation_look_at",
        "reservation",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_reservation_open",
        "reservation",
        ["company_id", "credit_id"],
        unique=True,
        postgresql_where="state = 'reserved'",
    )


def downgrade() -> None:
    for name, arguments in FUNCTIONS.items():
        op.execute(f"DROP FUNCTION {name}({arguments})")
    for table in (
        "reservation",
        "credit_date_change",
        "ledger_balance",
        "ledger_entry",
        "ledger_tx",
        "ledger_rule",
        "credit",
        "book",
    ):
        op.drop_table(table)
    for name in ("ledger_zero_sum()", "ledger_only()"):
        op.execute(f"DROP FUNCTION {name}")
    op.execute(
        "DROP FUNCTION ledger_hash(bytea, text, bigint, integer, date, timestamptz, text, bytea, text, text, text[], text[])"
    )
    op.execute("DROP FUNCTION ledger_canon(text[])")
    op.execute(f"REVOKE ALL ON SCHEMA public FROM {LEDGER}")
