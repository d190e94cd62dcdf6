"""The front door: polling, the vendors' words, notes left with them, what each delivery did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations import tenancy

OF_COMPANY = ("ats_poll", "vendor_word", "vendor_note")
SYSTEM_READS = ("ats_poll", "vendor_note", "interview")

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    connections()
    deliveries()
    interviews()
    op.create_index(
        "ix_application_unclassified", "application", ["company_id", "connection_id", "id"],
        postgresql_where="holds @> '[\"reason_unclassified\"]'::jsonb",
    )  # fmt: skip
    polls()
    words()
    notes()
    for table in OF_COMPANY:
        for statement in tenancy.tenant(table, tenancy.COMPANY):
            op.execute(statement)
    for table in SYSTEM_READS:
        for statement in tenancy.system_reads(table):
            op.execute(statement)


def connections() -> None:
    op.add_column("ats_connection", sa.Column("greeted_at", sa.DateTime(timezone=True)))


def deliveries() -> None:
    op.add_column(
        "delivery", sa.Column("origin", sa.Text(), nullable=False, server_default="webhook")
    )
    op.add_column("delivery", sa.Column("nonce", sa.LargeBinary()))
    op.add_column("delivery", sa.Column("effects", JSONB(), nullable=False, server_default="[]"))
    op.add_column(
        "delivery", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("delivery", sa.Column("also_about", JSONB(), nullable=False, server_default="[]"))
    op.create_index(
        "ix_delivery_also_about", "delivery", ["also_about"], postgresql_using="gin",
        postgresql_ops={"also_about": "jsonb_path_ops"}, postgresql_where="also_about <> '[]'",
    )  # fmt: skip
    op.create_check_constraint("origin", "delivery", "origin IN ('webhook', 'poll')")
    op.create_index(
        "ix_delivery_nonce", "delivery", ["company_id", "connection_id", "nonce"],
        postgresql_where="nonce IS NOT NULL",
    )  # fmt: skip
    op.create_index(
        "ix_delivery_failed", "delivery", ["company_id", "connection_id", "id"],
        postgresql_where="status = 'failed'",
    )  # fmt: skip


def interviews() -> None:
    op.add_column(
        "interview", sa.Column("last_event_key", sa.Text(), nullable=False, server_default="")
    )
    op.add_column("interview", sa.Column("ask_at", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_interview_company_id_external_id", "interview", ["company_id", "external_id"]
    )
    op.create_index(
        "ix_interview_ask_at", "interview", ["ask_at"], postgresql_where="ask_at IS NOT NULL"
    )


def polls() -> None:
    op.create_table(
        "ats_poll",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("since", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("cursor", JSONB()),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('recent', 'full')", name=op.f("ck_ats_poll_kind")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_ats_poll_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_ats_poll")),
    )
    op.create_index(
        "uq_ats_poll_connection", "ats_poll", ["company_id", "connection_id", "kind"], unique=True
    )
    op.create_index(
        "ix_ats_poll_due_at", "ats_poll", ["due_at"], postgresql_where="due_at IS NOT NULL"
    )


def words() -> None:
    op.create_table(
        "vendor_word",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("word_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("suggestion", sa.Text()),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('reason', 'status')", name=op.f("ck_vendor_word_kind")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_vendor_word_company_id_company")
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "connection_id", "kind", "word_id", name=op.f("pk_vendor_word")
        ),
    )


def notes() -> None:
    op.create_table(
        "vendor_note",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('told', 'opted_in', 'withdrew')", name=op.f("ck_vendor_note_kind")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'failed', 'cancelled')", name=op.f("ck_vendor_note_state")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_vendor_note_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_vendor_note")),
    )
    op.create_index(
        "uq_vendor_note_about", "vendor_note", ["company_id", "application_id", "kind", "about"],
        unique=True,
    )  # fmt: skip
    op.create_index(
        "ix_vendor_note_due_at", "vendor_note", ["due_at"], postgresql_where="state = 'pending'"
    )
    op.create_index(
        "ix_vendor_note_connection", "vendor_note", ["company_id", "connection_id", "id"]
    )


def downgrade() -> None:
    op.execute(f"REVOKE SELECT ON interview FROM {tenancy.SYSTEM}")
    op.execute("DROP POLICY system_reads ON interview")
    for table in OF_COMPANY:
        op.drop_table(table)
    op.drop_index("ix_application_unclassified", table_name="application")
    op.drop_index("ix_interview_ask_at", table_name="interview")
    op.drop_index("ix_interview_company_id_external_id", table_name="interview")
    op.drop_column("interview", "ask_at")
    op.drop_column("interview", "last_event_key")
    op.drop_index("ix_delivery_failed", table_name="delivery")
    op.drop_index("ix_delivery_also_about", table_name="delivery")
    op.drop_index("ix_delivery_nonce", table_name="delivery")
    op.drop_constraint("ck_delivery_origin", "delivery")
    for column in ("origin", "nonce", "effects", "attempts", "also_about"):
        op.drop_column("delivery", column)
    op.drop_column("ats_connection", "greeted_at")
