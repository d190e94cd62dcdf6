"""Checkpoints over the heads of all books, written by a notary; and what verification found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations import tenancy

NOTARY = "relay_notary"
ROLE = f"""DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{NOTARY}') THEN
    CREATE ROLE {NOTARY} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
  -- As for relay_ledger: whoever hands a function over to a role must be a member of it.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('GRANT {NOTARY} TO %I', current_user);
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;  -- roles belong to the whole server: another database's migration was quicker
END $$"""
ARGUMENTS = (
    "bigint, timestamptz, bytea, bytea, bytea, text, bigint, bigint, bigint,"
    " text[], text[], text[], bigint[], bytea[], bytea[]"
)
WRITE = """
CREATE FUNCTION ledger_checkpoint_write(
  p_n bigint, p_built_at timestamptz, p_root bytea, p_chain bytea, p_signature bytea, p_key_id text,
  p_through_tx bigint, p_ended_before bigint, p_begun_before bigint,
  p_companies text[], p_books text[], p_agencies text[], p_seqs bigint[], p_hashes bytea[], p_paths bytea[]
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_last ledger_checkpoint%ROWTYPE;
  v_level bytea[];
  v_true bigint;
BEGIN
  -- Everything but the signature is computed here a second time: a checkpoint holds what the books hold, or it is refused.
  SELECT * INTO v_last FROM ledger_checkpoint c ORDER BY c.n DESC LIMIT 1;
  IF p_n <> coalesce(v_last.n, 0) + 1 THEN
    RETURN false;  -- somebody else was quicker
  END IF;
  SELECT count(*) INTO v_true
    FROM unnest(p_companies, p_books, p_agencies, p_seqs, p_hashes) AS h (company_id, book_id, agency_id, seq, hash)
    JOIN ledger_tx t ON t.company_id = h.company_id AND t.book_id = h.book_id AND t.seq = h.seq
                    AND t.agency_id = h.agency_id AND t.hash = h.hash;
  IF v_true <> cardinality(p_books) OR p_built_at < v_last.built_at OR p_through_tx < v_last.through_tx
     OR p_through_tx > coalesce((SELECT max(t.id) FROM ledger_tx t), 0)
     OR greatest(p_ended_before, p_begun_before) > pg_snapshot_xmax(pg_current_snapshot())::text::bigint THEN
    RAISE EXCEPTION 'not the heads of the books' USING ERRCODE = 'RL425';
  END IF;
  SELECT coalesce(array_agg(sha256('\\x00'::bytea || convert_to(ledger_canon(
           ARRAY['head-v1', h.book_id, h.seq::text, encode(h.hash, 'hex')]), 'UTF8')) ORDER BY h.place), '{}') INTO v_level
    FROM unnest(p_books, p_seqs, p_hashes) WITH ORDINALITY AS h (book_id, seq, hash, place);
  WHILE cardinality(v_level) > 1 LOOP
    SELECT array_agg(CASE WHEN pair.next IS NULL THEN pair.node ELSE sha256('\\x01'::bytea || pair.node || pair.next) END
                     ORDER BY pair.place) INTO v_level
      FROM (SELECT l.node, l.place, lead(l.node) OVER (ORDER BY l.place) AS next
              FROM unnest(v_level) WITH ORDINALITY AS l (node, place)) AS pair
     WHERE pair.place % 2 = 1;
  END LOOP;
  IF p_root <> coalesce(v_level[1], sha256('')) OR p_chain <> sha256('\\x02'::bytea
       || coalesce(v_last.chain, decode(repeat('00', 32), 'hex')) || convert_to(ledger_canon(ARRAY['cp-v1', p_n::text,
          to_char(p_built_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), cardinality(p_books)::text,
          encode(p_root, 'hex')]), 'UTF8')) THEN
    RAISE EXCEPTION 'not the root or the chain of these heads' USING ERRCODE = 'RL425';
  END IF;
  INSERT INTO ledger_checkpoint (n, built_at, leaf_count, root, chain, signature, key_id, through_tx, ended_before, begun_before)
  VALUES (p_n, p_built_at, cardinality(p_books), p_root, p_chain, p_signature, p_key_id, p_through_tx, p_ended_before, p_begun_before);
  INSERT INTO ledger_checkpoint_head (company_id, book_id, n, agency_id, place, seq, head_hash, path)
  SELECT h.company_id, h.book_id, p_n, h.agency_id, h.place - 1, h.seq, h.hash, h.path
    FROM unnest(p_companies, p_books, p_agencies, p_seqs, p_hashes, p_paths) WITH ORDINALITY
           AS h (company_id, book_id, agency_id, seq, hash, path, place);
  RETURN true;
END $$
"""
NOTARY_ONLY = f"""
CREATE FUNCTION ledger_notary_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF current_user <> '{NOTARY}' THEN
    RAISE EXCEPTION '% is written by the notary only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$
"""
CHECKPOINTS = ("ledger_checkpoint", "ledger_checkpoint_head")
NOBODYS = ("ledger_checkpoint", "ledger_verification", "ledger_watch")
DUTIES = ("checkpoint", "verify_changed", "verify_whole")

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    tables()
    run = op.get_bind().exec_driver_sql
    for statement in (ROLE, f"GRANT USAGE, CREATE ON SCHEMA public TO {NOTARY}", WRITE):
        run(statement)
    for statement in guards():
        run(statement)
    run(
        "INSERT INTO ledger_watch (name, due_at) VALUES "
        + ", ".join(f"('{name}', to_timestamp(0))" for name in DUTIES)
    )


def guards() -> list[str]:
    """Who may see, who may write, and what nobody may."""
    made = tenancy.tenant(
        "ledger_checkpoint_head", tenancy.COMPANY, tenancy.AGENCY, grants="SELECT"
    )
    made += tenancy.system_reads("ledger_checkpoint_head")
    for table in NOBODYS:
        made += [f"GRANT SELECT ON {table} TO {tenancy.APP}, {tenancy.SYSTEM}"]
    made += [
        f"GRANT INSERT ON ledger_verification TO {tenancy.APP}",
        f"GRANT UPDATE ON ledger_watch TO {tenancy.APP}",
        *tenancy.append_only("ledger_verification"),
        NOTARY_ONLY,
    ]
    for table in CHECKPOINTS:
        made += tenancy.append_only(table)
        made += [
            f"GRANT SELECT, INSERT ON {table} TO {NOTARY}",
            f"CREATE TRIGGER {table}_notary_only BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ledger_notary_only()",
        ]
    made += [
        f"CREATE POLICY notary ON ledger_checkpoint_head TO {NOTARY} USING (true) WITH CHECK (true)",
        f"CREATE POLICY notary ON ledger_tx FOR SELECT TO {NOTARY} USING (true)",
        f"GRANT SELECT ON ledger_tx TO {NOTARY}",
        # A head names its book: the foreign key is looked up as the table's owner, so nothing more is granted.
        f"ALTER FUNCTION ledger_checkpoint_write({ARGUMENTS}) OWNER TO {NOTARY}",
        f"REVOKE ALL ON FUNCTION ledger_checkpoint_write({ARGUMENTS}) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION ledger_checkpoint_write({ARGUMENTS}) TO {tenancy.APP}",
        f"REVOKE CREATE ON SCHEMA public FROM {NOTARY}",
    ]
    return made


def tables() -> None:
    """As autogenerated from the models."""
    op.create_table(
        "ledger_checkpoint",
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leaf_count", sa.Integer(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("through_tx", sa.BigInteger(), nullable=False),
        sa.Column("ended_before", sa.BigInteger(), nullable=False),
        sa.Column("begun_before", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "octet_length(root) = 32 AND octet_length(chain) = 32",
            name=op.f("ck_ledger_checkpoint_hash_length"),
        ),
        sa.CheckConstraint(
            "octet_length(signature) = 64", name=op.f("ck_ledger_checkpoint_signature_length")
        ),
        sa.CheckConstraint("n >= 1 AND leaf_count >= 0", name=op.f("ck_ledger_checkpoint_counts")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_ledger_checkpoint")),
    )
    op.create_table(
        "ledger_checkpoint_head",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "octet_length(head_hash) = 32", name=op.f("ck_ledger_checkpoint_head_head_hash_length")
        ),
        sa.CheckConstraint(
            "octet_length(path) % 32 = 0", name=op.f("ck_ledger_checkpoint_head_path_length")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "book_id"],
            ["book.company_id", "book.id"],
            name=op.f("fk_ledger_checkpoint_head_company_id_book_id_book"),
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "book_id", "n", name=op.f("pk_ledger_checkpoint_head")
        ),
    )
    op.create_index(
        "ix_ledger_checkpoint_head_agency", "ledger_checkpoint_head", ["agency_id", "book_id", "n"]
    )
    op.create_index("ix_ledger_checkpoint_head_place", "ledger_checkpoint_head", ["n", "place"])
    op.create_table(
        "ledger_verification",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("checkpoint", sa.BigInteger(), nullable=False),
        sa.Column("books", sa.Integer(), nullable=False),
        sa.Column("transactions", sa.BigInteger(), nullable=False),
        sa.Column("mismatches", sa.Integer(), nullable=False),
        sa.Column("findings", JSONB(), nullable=False),
        sa.Column("unresolved", JSONB(), nullable=False),
        sa.CheckConstraint(
            "scope IN ('changed', 'whole')", name=op.f("ck_ledger_verification_scope_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_verification")),
    )
    op.create_index("ix_ledger_verification_finished_at", "ledger_verification", ["finished_at"])
    op.create_table(
        "ledger_watch",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ledger_watch")),
    )


def downgrade() -> None:
    op.execute(f"DROP FUNCTION ledger_checkpoint_write({ARGUMENTS})")
    op.execute("DROP POLICY notary ON ledger_tx")
    op.execute(f"REVOKE ALL ON ledger_tx FROM {NOTARY}")
    for table in (
        "ledger_watch",
        "ledger_verification",
        "ledger_checkpoint_head",
        "ledger_checkpoint",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION ledger_notary_only()")
    op.execute(f"REVOKE ALL ON SCHEMA public FROM {NOTARY}")
