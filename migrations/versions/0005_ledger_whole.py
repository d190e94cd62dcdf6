"""The whole ledger: agreements proposed, placements corrected, disputes, corrections, months closed.

Also what makes it complete: duties of the agencies, and whose relay a placement belongs to.
"""

import re
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations import tenancy

LEDGER = "relay_ledger"
OF_BOTH = (
    "placement_report", "attestation", "term_proposal", "statement", "dispute", "dispute_note", "adjustment",
)  # fmt: skip
OF_COMPANY = ("person_mark", "placement_question", "expiry_notice")
APPEND_ONLY = ("placement_report",)
TIMED = (
    "agreement",
    "attestation",
    "dispute",
    "expiry_notice",
    "person_mark",
    "placement_question",
)
POST = "text, text, smallint, date, timestamptz, text, bytea, text, text, smallint[], text[], smallint[], smallint[], integer[], text[], text[], date[], jsonb, jsonb"
FUNCTIONS = {
    "ledger_open_book": "text, text, text, timestamptz",
    "ledger_close": "text, text, date, timestamptz",
    "ledger_post": POST,
    "ledger_assent": "text, text, smallint, text, text[], smallint[], text[], date[]",
}
FOR_THE_APP = ("ledger_open_book", "ledger_close", "ledger_post")
# kind, unit, from, to, touches_state, only_reason
RULES = ((13, 1, 0, 2, True, None), (13, 1, 1, 7, True, None), (13, 1, 2, 7, True, None))
STATES = {
    "placement": "state IN ('expected', 'placed', 'guaranteed', 'early_left', 'withdrawn')",
    "reservation": "state IN ('reserved', 'released', 'used', 'restored')",
}
STATEMENT_STANDS = """
CREATE FUNCTION statement_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  -- What was signed stays; each side answers once.
  IF to_jsonb(NEW) - ARRAY['company_answer', 'company_answered_by', 'company_answered_at',
                           'agency_answer', 'agency_answered_by', 'agency_answered_at']
     <> to_jsonb(OLD) - ARRAY['company_answer', 'company_answered_by', 'company_answered_at',
                              'agency_answer', 'agency_answered_by', 'agency_answered_at']
     OR (OLD.company_answer IS NOT NULL AND NEW.company_answer IS DISTINCT FROM OLD.company_answer)
     OR (OLD.agency_answer IS NOT NULL AND NEW.agency_answer IS DISTINCT FROM OLD.agency_answer) THEN
    RAISE EXCEPTION 'a statement stands as it was signed' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$
"""
SCRIPT = Path(__file__).with_name("0005_ledger_whole.sql")
BEFORE = Path(__file__).with_name("0002_ledger.sql")

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    columns()
    ways_to_look()
    states(STATES, "state IN ('used', 'restored')")
    for make in TABLES:
        make()
    run = op.get_bind().exec_driver_sql
    run(f"GRANT USAGE, CREATE ON SCHEMA public TO {LEDGER}")
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
    made: list[str] = []
    for table in OF_BOTH:
        grants = "SELECT, INSERT" if table in APPEND_ONLY else "SELECT, INSERT, UPDATE"
        made += tenancy.tenant(table, tenancy.COMPANY, grants=grants)
        made += tenancy.agency_reads(table)
    for table in OF_COMPANY:
        made += tenancy.tenant(table, tenancy.COMPANY)
    for table in APPEND_ONLY:
        made += tenancy.append_only(table)
    for table in TIMED:
        made += tenancy.system_reads(table)
    made += [
        STATEMENT_STANDS,
        "CREATE TRIGGER statement_stands BEFORE UPDATE ON statement FOR EACH ROW EXECUTE FUNCTION statement_stands()",
        "CREATE TRIGGER statement_not_removed BEFORE DELETE OR TRUNCATE ON statement"
        " FOR EACH STATEMENT EXECUTE FUNCTION relay_refuse_change()",
        # What somebody said in a dispute is never said otherwise; its sealing may be made anew.
        f"REVOKE UPDATE ON dispute_note FROM {tenancy.APP}",
        f"GRANT UPDATE (sealed) ON dispute_note TO {tenancy.APP}",
        "CREATE TRIGGER dispute_note_not_removed BEFORE DELETE OR TRUNCATE ON dispute_note"
        " FOR EACH STATEMENT EXECUTE FUNCTION relay_refuse_change()",
        f"ALTER FUNCTION ledger_close_at(date) OWNER TO {LEDGER}",
    ]
    for table in ("adjustment", "dispute"):
        made += [
            f"CREATE POLICY ledger ON {table} FOR SELECT TO {LEDGER} USING ({tenancy.COMPANY} OR {tenancy.AGENCY})",
            f"GRANT SELECT ON {table} TO {LEDGER}",
        ]
    for name, arguments in FUNCTIONS.items():
        made += [
            f"ALTER FUNCTION {name}({arguments}) OWNER TO {LEDGER}",
            f"REVOKE ALL ON FUNCTION {name}({arguments}) FROM PUBLIC",
        ]
    made += [
        f"GRANT EXECUTE ON FUNCTION {name}({FUNCTIONS[name]}) TO {tenancy.APP}"
        for name in FOR_THE_APP
    ]
    return [*made, f"REVOKE CREATE ON SCHEMA public FROM {LEDGER}"]


def states(known: dict[str, str], used: str, *, valid: bool = True) -> None:
    """The states a placement and a reservation may have."""
    more = "" if valid else " NOT VALID"
    for table, rule in known.items():
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_state_known")
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_state_known CHECK ({rule}){more}"
        )
    op.execute("ALTER TABLE reservation DROP CONSTRAINT ck_reservation_used_by_a_hire")
    op.execute(
        "ALTER TABLE reservation ADD CONSTRAINT ck_reservation_used_by_a_hire"
        f" CHECK (({used}) = (hired_on IS NOT NULL)){more}"
    )


def columns() -> None:
    op.add_column("agreement", sa.Column("ends_on", sa.Date(), nullable=True))
    op.add_column("agreement", sa.Column("ended_by", sa.Text(), nullable=True))
    op.add_column("agreement", sa.Column("look_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("agreement", sa.Column("attest_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_agreement_attest_at",
        "agreement",
        ["attest_at"],
        unique=False,
        postgresql_where="attest_at IS NOT NULL",
    )
    op.create_index(
        "ix_agreement_look_at",
        "agreement",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.add_column(
        "book",
        sa.Column(
            "close_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now() + interval '1 month'"),
        ),
    )
    op.create_index("ix_book_close_at", "book", ["close_at"], unique=False)
    op.add_column("ledger_tx", sa.Column("request", JSONB(), nullable=False, server_default="{}"))
    op.add_column(
        "placement", sa.Column("reports", sa.Integer(), nullable=False, server_default="1")
    )
    op.add_column("relay", sa.Column("status_due_on", sa.Date(), nullable=True))
    op.add_column("relay", sa.Column("status_missed_on", sa.Date(), nullable=True))
    op.add_column("relay", sa.Column("look_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_relay_look_at",
        "relay",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "ix_relay_missed",
        "relay",
        ["company_id", "agency_id"],
        unique=False,
        postgresql_where="status_missed_on IS NOT NULL",
    )
    op.add_column("relay_event", sa.Column("last_contact_on", sa.Date(), nullable=True))
    op.add_column("reservation", sa.Column("job_type", sa.Text(), nullable=True))
    op.add_column("reservation", sa.Column("employment_term", sa.Text(), nullable=True))
    op.add_column("reservation", sa.Column("annual_salary_jpy", sa.BigInteger(), nullable=True))
    op.add_column("reservation", sa.Column("list_fee_jpy", sa.BigInteger(), nullable=True))
    op.add_column("reservation", sa.Column("asked_back_for", sa.Text(), nullable=True))
    op.add_column("reservation", sa.Column("release_by", sa.Date(), nullable=True))
    op.add_column("reservation", sa.Column("left_on", sa.Date(), nullable=True))
    op.create_index(
        "ix_reservation_credit", "reservation", ["company_id", "credit_id"], unique=False
    )
    op.create_check_constraint(
        op.f("ck_reservation_restored_by_a_leave"),
        "reservation",
        "(state = 'restored') = (left_on IS NOT NULL)",
    )
    op.create_check_constraint(
        op.f("ck_agreement_ended_on_a_day"), "agreement", "state = 'active' OR ends_on IS NOT NULL"
    )
    op.drop_index("uq_placement_relay", table_name="placement")
    op.create_index(
        "uq_placement_relay",
        "placement",
        ["company_id", "relay_id"],
        unique=True,
        postgresql_where="state <> 'withdrawn'",
    )
    op.alter_column("book", "close_at", server_default=None)
    indexes()
    op.alter_column("placement", "reports", server_default=None)


def indexes() -> None:
    """Fewer, and smaller ones: every posting pays for each of them."""
    op.drop_index("ix_ledger_tx_recorded_at", table_name="ledger_tx")
    op.drop_index("ix_ledger_entry_bucket", table_name="ledger_entry")
    op.drop_index("ix_ledger_entry_credit", table_name="ledger_entry")
    op.create_index(
        "ix_ledger_entry_owed",
        "ledger_entry",
        ["company_id", "book_id", "credit_id", "tx_id"],
        postgresql_where="bucket = 8",
    )
    op.create_index(
        "ix_ledger_entry_credit",
        "ledger_entry",
        ["company_id", "credit_id", "tx_id"],
        postgresql_where="ord % 2 = 0",
    )


def indexes_of_before() -> None:
    op.drop_index("ix_ledger_entry_owed", table_name="ledger_entry")
    op.drop_index("ix_ledger_entry_credit", table_name="ledger_entry")
    op.create_index("ix_ledger_tx_recorded_at", "ledger_tx", ["company_id", "recorded_at"])
    op.create_index(
        "ix_ledger_entry_bucket",
        "ledger_entry",
        ["company_id", "book_id", "unit", "bucket", "tx_id"],
    )
    op.create_index("ix_ledger_entry_credit", "ledger_entry", ["company_id", "credit_id", "tx_id"])


LOOKED_INTO = {
    "ix_relay_open": (
        "relay", ("company_id", "agency_id", "id"),
        "state IN ('forwarded', 'accepted', 'contacted', 'met', 'recommended', 'offered')",
    ),
    "ix_relay_forwarded": ("relay", ("company_id", "agency_id", "forwarded_at"), None),
    "ix_placement_started": ("placement", ("company_id", "agency_id", "started_on"), None),
    "ix_credit_frozen": ("credit", ("company_id", "id"), "bucket = 4"),
}  # fmt: skip


def ways_to_look() -> None:
    """What reconciliation, scorecard and the alarms read, at a cost that does not grow."""
    for name, (table, columns, where) in LOOKED_INTO.items():
        op.create_index(name, table, list(columns), unique=False, postgresql_where=where)


def placement_report() -> None:
    op.create_table(
        "placement_report",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("placement_id", sa.Text(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("employment_term", sa.Text(), nullable=False),
        sa.Column("left_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('reported', 'started', 'corrected', 'postponed', 'withdrawn', 'early_leave', 'leave_corrected')",
            name=op.f("ck_placement_report_kind_known"),
        ),
        sa.CheckConstraint("no >= 1", name=op.f("ck_placement_report_no_counts")),
        sa.ForeignKeyConstraint(
            ["company_id", "placement_id"],
            ["placement.company_id", "placement.id"],
            name=op.f("fk_placement_report_company_id_placement_id_placement"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_placement_report")),
    )
    op.create_index(
        "uq_placement_report_no",
        "placement_report",
        ["company_id", "placement_id", "no"],
        unique=True,
    )


def person_mark() -> None:
    op.create_table(
        "person_mark",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owned_from", sa.Date(), nullable=False),
        sa.Column("owned_until", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "relay_id"],
            ["relay.company_id", "relay.id"],
            name=op.f("fk_person_mark_company_id_relay_id_relay"),
        ),
        sa.PrimaryKeyConstraint("company_id", "relay_id", "mark", name=op.f("pk_person_mark")),
    )
    op.create_index("ix_person_mark_mark", "person_mark", ["agency_id", "mark"], unique=False)
    op.create_index("ix_person_mark_owned_until", "person_mark", ["owned_until"], unique=False)


def attestation() -> None:
    op.create_table(
        "attestation",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("open_relays", sa.Integer(), nullable=False),
        sa.Column("placements", sa.Integer(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=True),
        sa.Column("manager", sa.LargeBinary(), nullable=True),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'given') = (given_at IS NOT NULL)", name=op.f("ck_attestation_given_once")
        ),
        sa.CheckConstraint(
            "state IN ('due', 'given', 'overdue')", name=op.f("ck_attestation_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_attestation_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_attestation_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_attestation")),
    )
    op.create_index("ix_attestation_agency", "attestation", ["agency_id", "month"], unique=False)
    op.create_index(
        "ix_attestation_look_at",
        "attestation",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_attestation_month", "attestation", ["company_id", "agency_id", "month"], unique=True
    )


def placement_question() -> None:
    op.create_table(
        "placement_question",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=False),
        sa.Column("consent_event_id", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'answered') = (answer IS NOT NULL)",
            name=op.f("ck_placement_question_answered"),
        ),
        sa.CheckConstraint(
            "answer IS NULL OR answer IN ('started', 'not_started', 'stop_asking')",
            name=op.f("ck_placement_question_answer_known"),
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'asked', 'answered', 'void')",
            name=op.f("ck_placement_question_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relay_id"],
            ["relay.company_id", "relay.id"],
            name=op.f("fk_placement_question_company_id_relay_id_relay"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_placement_question")),
    )
    op.create_index(
        "ix_placement_question_started",
        "placement_question",
        ["company_id", "agency_id", "relay_id"],
        unique=False,
        postgresql_where="answer = 'started'",
    )
    op.create_index(
        "ix_placement_question_candidate",
        "placement_question",
        ["company_id", "candidate_id"],
        unique=False,
    )
    op.create_index(
        "ix_placement_question_look_at",
        "placement_question",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_placement_question",
        "placement_question",
        ["company_id", "relay_id", "days"],
        unique=True,
    )
    op.create_index(
        "uq_placement_question_token", "placement_question", ["token_hash"], unique=True
    )


def term_proposal() -> None:
    op.create_table(
        "term_proposal",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("terms", JSONB(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'accepted') = (version IS NOT NULL)",
            name=op.f("ck_term_proposal_accepted_version"),
        ),
        sa.CheckConstraint(
            "party IN ('company', 'agency')", name=op.f("ck_term_proposal_party_known")
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'accepted', 'declined', 'cancelled')",
            name=op.f("ck_term_proposal_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "agreement_id"],
            ["agreement.company_id", "agreement.id"],
            name=op.f("fk_term_proposal_company_id_agreement_id_agreement"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_term_proposal")),
    )
    op.create_index("ix_term_proposal_agency", "term_proposal", ["agency_id", "id"], unique=False)
    op.create_index(
        "uq_term_proposal_open",
        "term_proposal",
        ["company_id", "agreement_id"],
        unique=True,
        postgresql_where="state = 'proposed'",
    )


def expiry_notice() -> None:
    op.create_table(
        "expiry_notice",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("days_before", sa.Integer(), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id", "book_id"],
            ["book.company_id", "book.id"],
            name=op.f("fk_expiry_notice_company_id_book_id_book"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_expiry_notice")),
    )
    op.create_index(
        "ix_expiry_notice_look_at",
        "expiry_notice",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_expiry_notice",
        "expiry_notice",
        ["company_id", "book_id", "expires_on", "days_before"],
        unique=True,
    )


def statement() -> None:
    op.create_table(
        "statement",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("answer_due_on", sa.Date(), nullable=False),
        sa.Column("company_answer", sa.Text(), nullable=True),
        sa.Column("company_answered_by", sa.Text(), nullable=True),
        sa.Column("company_answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("agency_answer", sa.Text(), nullable=True),
        sa.Column("agency_answered_by", sa.Text(), nullable=True),
        sa.Column("agency_answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "agency_answer IS NULL OR agency_answer IN ('accepted', 'contested')",
            name=op.f("ck_statement_agency_answer_known"),
        ),
        sa.CheckConstraint(
            "company_answer IS NULL OR company_answer IN ('accepted', 'contested')",
            name=op.f("ck_statement_company_answer_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "book_id"],
            ["book.company_id", "book.id"],
            name=op.f("fk_statement_company_id_book_id_book"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_statement")),
    )
    op.create_index("ix_statement_agency", "statement", ["agency_id", "month"], unique=False)
    op.create_index(
        "uq_statement_month", "statement", ["company_id", "book_id", "month"], unique=True
    )


def dispute() -> None:
    op.create_table(
        "dispute",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=True),
        sa.Column("placement_id", sa.Text(), nullable=True),
        sa.Column("credit_ids", JSONB(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("frozen_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("appealed_by", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "appealed_by IS NULL OR appealed_by IN ('company', 'agency')",
            name=op.f("ck_dispute_appealed_by_known"),
        ),
        sa.CheckConstraint(
            "opened_by IN ('company', 'agency')", name=op.f("ck_dispute_opened_by_known")
        ),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome IN ('for_company', 'for_agency')",
            name=op.f("ck_dispute_outcome_known"),
        ),
        sa.CheckConstraint(
            "reason IN ('not_started', 'wrong_start', 'wrong_leave', 'known_before', 'not_known_before', 'wrong_person', 'terms', 'other')",
            name=op.f("ck_dispute_reason_known"),
        ),
        sa.CheckConstraint(
            "state IN ('opened', 'evidence') OR outcome IS NOT NULL",
            name=op.f("ck_dispute_decided"),
        ),
        sa.CheckConstraint(
            "state IN ('opened', 'evidence', 'decided', 'appealed', 'final')",
            name=op.f("ck_dispute_state_known"),
        ),
        sa.CheckConstraint(
            "subject IN ('placement', 'early_leave', 'already_registered', 'credit')",
            name=op.f("ck_dispute_subject_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relay_id"],
            ["relay.company_id", "relay.id"],
            name=op.f("fk_dispute_company_id_relay_id_relay"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_dispute")),
    )
    op.create_index("ix_dispute_agency", "dispute", ["agency_id", "id"], unique=False)
    op.create_index(
        "ix_dispute_look_at",
        "dispute",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_dispute_open",
        "dispute",
        ["company_id", "relay_id", "subject"],
        unique=True,
        postgresql_where="state <> 'final'",
    )


def dispute_note() -> None:
    op.create_table(
        "dispute_note",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "party IN ('company', 'agency', 'operator')", name=op.f("ck_dispute_note_party_known")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "dispute_id"],
            ["dispute.company_id", "dispute.id"],
            name=op.f("fk_dispute_note_company_id_dispute_id_dispute"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_dispute_note")),
    )
    op.create_index(
        "ix_dispute_note_dispute", "dispute_note", ["company_id", "dispute_id"], unique=False
    )


def adjustment() -> None:
    op.create_table(
        "adjustment",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=True),
        sa.Column("credit_ids", JSONB(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("agreed_by", sa.Text(), nullable=True),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(kind = 'extend') = (expires_on IS NOT NULL)", name=op.f("ck_adjustment_day_of_extend")
        ),
        sa.CheckConstraint(
            "(kind = 'issue') = (count IS NOT NULL)", name=op.f("ck_adjustment_count_of_issue")
        ),
        sa.CheckConstraint(
            "kind IN ('issue', 'take', 'extend', 'settle')", name=op.f("ck_adjustment_kind_known")
        ),
        sa.CheckConstraint(
            "party IN ('company', 'agency')", name=op.f("ck_adjustment_party_known")
        ),
        sa.CheckConstraint(
            "reason IN ('agreed_outside', 'correction', 'dispute_decided', 'goodwill', 'invoice_paid', 'other')",
            name=op.f("ck_adjustment_reason_known"),
        ),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'assented', 'posted', 'declined', 'cancelled')",
            name=op.f("ck_adjustment_state_known"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('approved', 'assented', 'posted') OR approved_by IS NOT NULL",
            name=op.f("ck_adjustment_approved"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('assented', 'posted') OR agreed_by IS NOT NULL OR (dispute_id IS NOT NULL AND kind <> 'extend') OR (kind IN ('issue', 'settle') AND party = 'agency') OR (kind = 'take' AND party = 'company')",
            name=op.f("ck_adjustment_assented"),
        ),
        sa.CheckConstraint("approved_by <> requested_by", name=op.f("ck_adjustment_two_persons")),
        sa.CheckConstraint("count BETWEEN 1 AND 50", name=op.f("ck_adjustment_count_sane")),
        sa.ForeignKeyConstraint(
            ["company_id", "book_id"],
            ["book.company_id", "book.id"],
            name=op.f("fk_adjustment_company_id_book_id_book"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_adjustment")),
    )
    op.create_index("ix_adjustment_agency", "adjustment", ["agency_id", "id"], unique=False)
    op.create_index(
        "uq_adjustment_dispute",
        "adjustment",
        ["company_id", "dispute_id"],
        unique=True,
        postgresql_where="dispute_id IS NOT NULL AND state NOT IN ('declined', 'cancelled')",
    )


TABLES = (
    placement_report, person_mark, attestation, placement_question, term_proposal, expiry_notice, statement, dispute, dispute_note, adjustment,
)  # fmt: skip


def downgrade() -> None:
    for name, arguments in FUNCTIONS.items():
        op.execute(f"DROP FUNCTION {name}({arguments})")
    for table in (
        "adjustment", "dispute_note", "dispute", "statement", "expiry_notice", "term_proposal", "placement_question",
        "attestation", "person_mark", "placement_report",
    ):  # fmt: skip
        op.drop_table(table)
    op.execute("DROP FUNCTION statement_stands()")
    op.execute("DELETE FROM ledger_rule WHERE kind = 13")
    op.execute("DROP POLICY system_reads ON agreement")
    op.execute(f"REVOKE SELECT ON agreement FROM {tenancy.SYSTEM}")
    without_columns()
    # Rows in a state that did not exist then stay; no new one is made.
    states(
        {
            "placement": "state IN ('placed', 'guaranteed', 'early_left')",
            "reservation": "state IN ('reserved', 'released', 'used')",
        },
        "state = 'used'",
        valid=False,
    )
    op.execute("DROP FUNCTION ledger_close_at(date)")
    functions_of_before()


def without_columns() -> None:
    for name, (table, *_) in LOOKED_INTO.items():
        op.drop_index(name, table_name=table)
    indexes_of_before()
    op.drop_constraint("ck_reservation_restored_by_a_leave", "reservation")
    op.drop_constraint("ck_agreement_ended_on_a_day", "agreement")
    op.drop_index("uq_placement_relay", table_name="placement")
    op.create_index("uq_placement_relay", "placement", ["company_id", "relay_id"], unique=True)
    for table, column in (
        *(("agreement", name) for name in ("ends_on", "ended_by", "look_at", "attest_at")),
        ("book", "close_at"),
        ("ledger_tx", "request"),
        ("placement", "reports"),
        *(("relay", name) for name in ("status_due_on", "status_missed_on", "look_at")),
        ("relay_event", "last_contact_on"),
        *(
            ("reservation", name)
            for name in (
                "job_type", "employment_term", "annual_salary_jpy", "list_fee_jpy", "asked_back_for",
                "release_by", "left_on",
            )
        ),
    ):  # fmt: skip
        op.drop_column(table, column)
    op.drop_index("ix_reservation_credit", table_name="reservation")


def functions_of_before() -> None:
    """Opening and posting as 0002 wrote them."""
    run = op.get_bind().exec_driver_sql
    run(f"GRANT USAGE, CREATE ON SCHEMA public TO {LEDGER}")
    before = {
        "ledger_open_book": "text, text, text, timestamptz",
        "ledger_post": "text, text, smallint, date, timestamptz, text, bytea, text, text, jsonb, jsonb, jsonb",
    }
    for part in re.split(r"^-{20,}$", BEFORE.read_text(), flags=re.MULTILINE):
        if any(f"CREATE FUNCTION {name}(" in part for name in before):
            run(part)
    for name, arguments in before.items():
        run(f"ALTER FUNCTION {name}({arguments}) OWNER TO {LEDGER}")
        run(f"REVOKE ALL ON FUNCTION {name}({arguments}) FROM PUBLIC")
        run(f"GRANT EXECUTE ON FUNCTION {name}({arguments}) TO {tenancy.APP}")
    run(f"REVOKE CREATE ON SCHEMA public FROM {LEDGER}")
