"""Files of applications: the upload, its faults, and what was last taken over of each row."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations import tenancy

OF_COMPANY = ("import_run", "import_part", "import_fault", "import_row")

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    runs()
    parts()
    faults()
    rows()
    for table in OF_COMPANY:
        for statement in tenancy.tenant(table, tenancy.COMPANY):
            op.execute(statement)
    for statement in tenancy.system_reads("import_run"):
        op.execute(statement)


def runs() -> None:
    op.create_table(
        "import_run",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("file_key", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=True),
        sa.Column("delimiter", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("rules", sa.LargeBinary(), nullable=True),
        sa.Column("view", sa.LargeBinary(), nullable=True),
        sa.Column("history_before", sa.Date(), nullable=False),
        sa.Column("questions", JSONB(), nullable=False),
        sa.Column("will", JSONB(), nullable=False),
        sa.Column("rows_total", sa.Integer(), nullable=False),
        sa.Column("rows_good", sa.Integer(), nullable=False),
        sa.Column("rows_bad", sa.Integer(), nullable=False),
        sa.Column("skip_bad", sa.Boolean(), nullable=False),
        sa.Column("next_row", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("duplicate_of", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('preview', 'queued', 'running', 'done', 'failed')",
            name=op.f("ck_import_run_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_import_run_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_import_run")),
    )
    op.create_index("ix_import_run_file_key", "import_run", ["company_id", "file_key"])
    op.create_index(
        "ix_import_run_look_at", "import_run", ["look_at"], postgresql_where="look_at IS NOT NULL"
    )


def parts() -> None:
    op.create_table(
        "import_part",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "import_id"],
            ["import_run.company_id", "import_run.id"],
            name=op.f("fk_import_part_company_id_import_id_import_run"),
        ),
        sa.PrimaryKeyConstraint("company_id", "import_id", "part", name=op.f("pk_import_part")),
    )


def faults() -> None:
    op.create_table(
        "import_fault",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "import_id"],
            ["import_run.company_id", "import_run.id"],
            name=op.f("fk_import_fault_company_id_import_id_import_run"),
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "import_id", "row", "field", "code", name=op.f("pk_import_fault")
        ),
    )


def rows() -> None:
    op.create_table(
        "import_row",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_import_row_company_id_application_id_application"),
        ),
        sa.PrimaryKeyConstraint("company_id", "application_id", "part", name=op.f("pk_import_row")),
    )


def downgrade() -> None:
    for table in ("import_row", "import_fault", "import_part", "import_run"):
        op.drop_table(table)
