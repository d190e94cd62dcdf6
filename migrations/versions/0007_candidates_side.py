"""The candidate's side: ways in, files, proofs, rights, retention, notes, the officer's evidence."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations import tenancy

OF_COMPANY = (
    "access_proof",
    "candidate_file",
    "candidate_file_body",
    "consent_text_end",
    "erasure",
    "feedback_request",
    "file_access",
    "guardian_consent",
    "incident",
    "incident_event",
    "join_request",
    "legal_hold",
    "privacy_change",
    "privacy_check",
    "reflection",
    "register_export",
    "rights_request",
    "source_override",
)
APPEND_ONLY = (
    "consent_text_end",
    "erasure",
    "file_access",
    "incident_event",
    "privacy_change",
    "privacy_check",
    "register_export",
    "source_override",
)
REMOVABLE = ("access_proof", "candidate_file_body", "join_request", "reflection")
"""What is removed when it has served, or when its person says so."""
LOOKED_AT = ("candidate_file", "feedback_request", "incident", "join_request", "rights_request")
"""Found by a sweep across tenants when it is due: ids and times; what is personal is sealed."""
NEVER_REMOVED = ("candidate", "consent", "relay", "stop_notice", "subject_key")
NEW_TABLES = (
    "consent_text_end",
    "incident",
    "join_request",
    "privacy_change",
    "privacy_check",
    "register_export",
    "source_override",
    "access_proof",
    "candidate_file",
    "erasure",
    "guardian_consent",
    "incident_event",
    "legal_hold",
    "rights_request",
    "candidate_file_body",
    "feedback_request",
    "file_access",
    "reflection",
)
"""In the order in which they are made."""
ONLY_EXTENDED = """
CREATE FUNCTION relay_provision_only_extends() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  v_fixed text[] := ARRAY['last_provided_at', 'retention_until', 'use_until'];
BEGIN
  -- A repeated read of the same package extends the record; nothing else of it ever changes (規則 19, 21).
  IF to_jsonb(NEW) - v_fixed <> to_jsonb(OLD) - v_fixed OR NEW.last_provided_at < OLD.last_provided_at
     OR NEW.retention_until < OLD.retention_until OR NEW.use_until < OLD.use_until THEN
    RAISE EXCEPTION 'a provision record is only extended' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$
"""
# Many people open a link in the hour of their no: whose it is and for whom we work is one round trip.
WORK_FOR_LINK = f"""
CREATE FUNCTION relay_work_for_link(hashed bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  tenant text;
BEGIN
  SET LOCAL ROLE {tenancy.SYSTEM};  -- reads across tenants, and only what migrations name
  SELECT l.company_id INTO tenant FROM public.candidate_link l WHERE l.token_hash = hashed;
  RESET ROLE;
  PERFORM set_config('relay.company_id', coalesce(tenant, ''), true), set_config('relay.agency_id', '', true);
  RETURN tenant;
END $$
"""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    tables()
    columns()
    run = op.get_bind().exec_driver_sql
    for statement in guards():
        run(statement)


def guards() -> list[str]:
    """Who may see and change what."""
    made: list[str] = []
    for table in OF_COMPANY:
        made += tenancy.tenant(table, tenancy.COMPANY, grants=_grants(table))
    made += tenancy.agency_reads("file_access")
    for table in LOOKED_AT:
        made += tenancy.system_reads(table)
    for table in APPEND_ONLY:
        made += tenancy.append_only(table)
    made += [f"REVOKE DELETE ON {table} FROM {tenancy.APP}" for table in NEVER_REMOVED]
    return [
        *made,
        # A sweep finds whom to look at, and nothing of who they are.
        f"CREATE POLICY system_reads ON candidate FOR SELECT TO {tenancy.SYSTEM} USING (true)",
        f"GRANT SELECT (company_id, id, review_at, erased_at) ON candidate TO {tenancy.SYSTEM}",
        f"CREATE POLICY system_reads ON subject_key FOR SELECT TO {tenancy.SYSTEM} USING (true)",
        f"GRANT SELECT (company_id, candidate_id, kind, destroy_on) ON subject_key TO {tenancy.SYSTEM}",
        # Operators' machines: numbers and times, nobody's id.
        f"CREATE POLICY system_reads ON erasure FOR SELECT TO {tenancy.SYSTEM} USING (true)",
        f"GRANT SELECT (key_kind, rule, at) ON erasure TO {tenancy.SYSTEM}",
        f"CREATE POLICY system_reads ON privacy_check FOR SELECT TO {tenancy.SYSTEM} USING (true)",
        "GRANT SELECT (company_id, id, finished_at, uncovered, broken) ON privacy_check"
        f" TO {tenancy.SYSTEM}",
        f"GRANT UPDATE (use_until) ON provision TO {tenancy.APP}",
        WORK_FOR_LINK,
        ONLY_EXTENDED,
        "CREATE TRIGGER provision_only_extends BEFORE UPDATE ON provision"
        " FOR EACH ROW EXECUTE FUNCTION relay_provision_only_extends()",
        "CREATE TRIGGER provision_no_delete BEFORE DELETE ON provision"
        " FOR EACH ROW EXECUTE FUNCTION relay_refuse_change()",
        "CREATE TRIGGER provision_no_truncate BEFORE TRUNCATE ON provision"
        " FOR EACH STATEMENT EXECUTE FUNCTION relay_refuse_change()",
    ]


def _grants(table: str) -> str:
    if table in APPEND_ONLY:
        return "SELECT, INSERT"
    return "SELECT, INSERT, UPDATE" + (", DELETE" if table in REMOVABLE else "")


def columns() -> None:
    """What older tables learn."""
    op.add_column("agency", sa.Column("cross_border", JSONB(), nullable=True))
    op.add_column("candidate", sa.Column("restricted_from", sa.Text(), nullable=True))
    op.add_column(
        "candidate", sa.Column("restricted_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("candidate", sa.Column("review_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_candidate_review_at",
        "candidate",
        ["review_at"],
        unique=False,
        postgresql_where="review_at IS NOT NULL AND erased_at IS NULL",
    )
    # Who is known already is looked at like everybody else, a month after we met them.
    op.execute("ALTER TABLE candidate NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE candidate SET review_at = created_at + interval '30 days'"
        " WHERE erased_at IS NULL AND merged_into_id IS NULL"
    )
    op.execute("ALTER TABLE candidate FORCE ROW LEVEL SECURITY")
    op.create_check_constraint(
        op.f("ck_candidate_restricted_from_known"),
        "candidate",
        "restricted_from IS NULL OR restricted_from IN ('provision', 'all')",
    )
    op.add_column(
        "candidate_link",
        sa.Column("handed_over", sa.Boolean(), server_default="false", nullable=False),
    )
    op.add_column("company", sa.Column("retention", JSONB(), server_default="{}", nullable=False))
    op.add_column(
        "company",
        sa.Column("feedback_requests", sa.Boolean(), server_default="false", nullable=False),
    )
    op.add_column(
        "company", sa.Column("job_reapplication", JSONB(), server_default="{}", nullable=False)
    )
    op.add_column(
        "company", sa.Column("privacy_look_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_index("ix_company_privacy_look_at", "company", ["privacy_look_at"], unique=False)
    op.add_column("consent", sa.Column("renew_ask_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "consent", sa.Column("renewal_asked_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("consent", sa.Column("superseded_by", sa.Text(), nullable=True))
    op.create_index(
        "ix_consent_renew_ask_at",
        "consent",
        ["renew_ask_at"],
        unique=False,
        postgresql_where="state = 'given' AND renew_ask_at IS NOT NULL",
    )
    op.add_column(
        "consent_event", sa.Column("form", sa.Text(), server_default="consent-v1", nullable=False)
    )
    op.add_column("consent_event", sa.Column("actor", sa.Text(), nullable=True))
    op.add_column("consent_event", sa.Column("purpose_code", sa.Text(), nullable=True))
    op.add_column("consent_event", sa.Column("guardian_consent_id", sa.Text(), nullable=True))
    op.add_column("consent_event", sa.Column("cross_border_basis", sa.Text(), nullable=True))
    op.add_column("consent_event", sa.Column("superseded_by", sa.Text(), nullable=True))
    op.create_index(
        "ix_invitation_candidate", "invitation", ["company_id", "candidate_id"], unique=False
    )
    op.create_index("ix_notice_candidate", "notice", ["company_id", "candidate_id"], unique=False)
    op.add_column("provision", sa.Column("use_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "provision", sa.Column("recipient_license", sa.Text(), server_default="", nullable=False)
    )
    op.add_column(
        "provision", sa.Column("file_sha256", JSONB(), server_default="[]", nullable=False)
    )
    op.create_index(
        "ix_provision_retention", "provision", ["company_id", "retention_until"], unique=False
    )
    op.add_column(
        "stop_notice", sa.Column("version", sa.Integer(), server_default="0", nullable=False)
    )
    op.drop_index(op.f("uq_stop_notice_relay"), table_name="stop_notice")
    op.create_index(
        "uq_stop_notice_relay",
        "stop_notice",
        ["company_id", "relay_id", "kind", "version"],
        unique=True,
    )
    op.drop_constraint(op.f("ck_stop_notice_kind_known"), "stop_notice", type_="check")
    op.create_check_constraint(
        op.f("ck_stop_notice_kind_known"),
        "stop_notice",
        "kind IN ('withdrawn', 'erased', 'corrected')",
    )
    op.add_column("subject_key", sa.Column("destroy_on", sa.Date(), nullable=True))
    op.create_index(
        "ix_subject_key_destroy_on",
        "subject_key",
        ["destroy_on"],
        unique=False,
        postgresql_where="wrapped IS NOT NULL",
    )


def tables() -> None:
    """As autogenerated from the models."""
    op.create_table(
        "consent_text_end",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_consent_text_end_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_consent_text_end")),
    )
    op.create_index(
        "ix_consent_text_end_version", "consent_text_end", ["company_id", "version"], unique=False
    )
    op.create_table(
        "incident",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kinds", JSONB(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("reportable", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("preliminary_due_on", sa.Date(), nullable=False),
        sa.Column("final_due_on", sa.Date(), nullable=False),
        sa.Column("preliminary_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("final_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("persons_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("items", sa.LargeBinary(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("reported_by", sa.Text(), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'preliminary', 'closed')", name=op.f("ck_incident_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_incident_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_incident")),
    )
    op.create_index(
        "ix_incident_look_at",
        "incident",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_table(
        "join_request",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("email_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=True),
        sa.Column("application_id", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('asked', 'matched', 'held', 'refused', 'expired')",
            name=op.f("ck_join_request_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_join_request_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_join_request")),
    )
    op.create_index(
        "ix_join_request_address",
        "join_request",
        ["company_id", "email_hmac", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_join_request_held",
        "join_request",
        ["company_id", "id"],
        unique=False,
        postgresql_where="state = 'held'",
    )
    op.create_index(
        "ix_join_request_look_at",
        "join_request",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index("uq_join_request_token_hash", "join_request", ["token_hash"], unique=True)
    op.create_table(
        "privacy_change",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("changes", JSONB(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_privacy_change_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_privacy_change")),
    )
    op.create_table(
        "privacy_check",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provisions", sa.Integer(), nullable=False),
        sa.Column("uncovered", sa.Integer(), nullable=False),
        sa.Column("consent_events", sa.Integer(), nullable=False),
        sa.Column("broken", sa.Integer(), nullable=False),
        sa.Column("findings", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_privacy_check_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_privacy_check")),
    )
    op.create_index(
        "ix_privacy_check_finished", "privacy_check", ["company_id", "finished_at"], unique=False
    )
    op.create_table(
        "register_export",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("register_name", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("first_on", sa.Date(), nullable=False),
        sa.Column("last_on", sa.Date(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "form IN ('csv', 'xlsx', 'pdf', 'json')", name=op.f("ck_register_export_form_known")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_register_export_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_register_export")),
    )
    op.create_table(
        "source_override",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clause", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_source_override_company_id_company")
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "source", "created_at", name=op.f("pk_source_override")
        ),
    )
    op.create_table(
        "access_proof",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("link_id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("session_hash", sa.LargeBinary(), nullable=True),
        sa.Column("session_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_access_proof_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_access_proof")),
    )
    op.create_index(
        "ix_access_proof_candidate",
        "access_proof",
        ["company_id", "candidate_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "candidate_file",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("scan", sa.Text(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('resume_file', 'cv_file')", name=op.f("ck_candidate_file_kind_known")
        ),
        sa.CheckConstraint(
            "scan IN ('unscanned', 'clean', 'infected', 'failed')",
            name=op.f("ck_candidate_file_scan_known"),
        ),
        sa.CheckConstraint("type IN ('pdf', 'docx')", name=op.f("ck_candidate_file_type_known")),
        sa.CheckConstraint(
            "size BETWEEN 1 AND 5242880", name=op.f("ck_candidate_file_size_allowed")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_candidate_file_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_candidate_file")),
    )
    op.create_index(
        "ix_candidate_file_look_at",
        "candidate_file",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_candidate_file_kind",
        "candidate_file",
        ["company_id", "candidate_id", "kind"],
        unique=True,
        postgresql_where="removed_at IS NULL",
    )
    op.create_table(
        "erasure",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("key_kind", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("counts", JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("records_until", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "key_kind IN ('profile', 'record')", name=op.f("ck_erasure_key_kind_known")
        ),
        sa.CheckConstraint(
            "rule IN ('request', 'ats', 'retention', 'record_end')",
            name=op.f("ck_erasure_rule_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_erasure_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_erasure")),
    )
    op.create_index("ix_erasure_at", "erasure", ["at"], unique=False)
    op.create_index(
        "uq_erasure_key", "erasure", ["company_id", "candidate_id", "key_kind"], unique=True
    )
    op.create_table(
        "guardian_consent",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "method IN ('paper', 'phone_recorded', 'mail')",
            name=op.f("ck_guardian_consent_method_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_guardian_consent_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_guardian_consent")),
    )
    op.create_index(
        "ix_guardian_consent_candidate",
        "guardian_consent",
        ["company_id", "candidate_id"],
        unique=False,
    )
    op.create_table(
        "incident_event",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "incident_id"],
            ["incident.company_id", "incident.id"],
            name=op.f("fk_incident_event_company_id_incident_id_incident"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_incident_event")),
    )
    op.create_index(
        "ix_incident_event_incident",
        "incident_event",
        ["company_id", "incident_id", "id"],
        unique=False,
    )
    op.create_table(
        "legal_hold",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_legal_hold_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_legal_hold")),
    )
    op.create_index(
        "uq_legal_hold_standing",
        "legal_hold",
        ["company_id", "candidate_id"],
        unique=True,
        postgresql_where="released_at IS NULL",
    )
    op.create_table(
        "rights_request",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("identity_check", sa.Text(), nullable=True),
        sa.Column("identity_verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("answer_sha256", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer_channel", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("retention_until", sa.Date(), nullable=True),
        sa.Column("submission_id", sa.Text(), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'answered') = (result IS NOT NULL)",
            name=op.f("ck_rights_request_answered_with"),
        ),
        sa.CheckConstraint(
            "channel IN ('my_page', 'mail', 'phone', 'paper')",
            name=op.f("ck_rights_request_channel_known"),
        ),
        sa.CheckConstraint(
            "kind IN ('disclosure', 'disclosure_provision_records', 'purpose_notice', 'correction', 'stop_use', 'erase', 'stop_provision')",
            name=op.f("ck_rights_request_kind_known"),
        ),
        sa.CheckConstraint(
            "result IS NULL OR result IN ('granted', 'partly', 'refused', 'nothing_held')",
            name=op.f("ck_rights_request_result_known"),
        ),
        sa.CheckConstraint(
            "result NOT IN ('partly', 'refused') OR reason IS NOT NULL",
            name=op.f("ck_rights_request_refused_with_reason"),
        ),
        sa.CheckConstraint(
            "state IN ('received', 'verified', 'answered', 'withdrawn')",
            name=op.f("ck_rights_request_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_rights_request_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_rights_request")),
    )
    op.create_index(
        "ix_rights_request_candidate",
        "rights_request",
        ["company_id", "candidate_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_rights_request_look_at",
        "rights_request",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "ix_rights_request_open",
        "rights_request",
        ["company_id", "due_on"],
        unique=False,
        postgresql_where="state IN ('received', 'verified')",
    )
    op.create_index(
        "uq_rights_request_submission",
        "rights_request",
        ["company_id", "candidate_id", "submission_id"],
        unique=True,
        postgresql_where="submission_id IS NOT NULL",
    )
    op.create_table(
        "candidate_file_body",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "file_id"],
            ["candidate_file.company_id", "candidate_file.id"],
            name=op.f("fk_candidate_file_body_company_id_file_id_candidate_file"),
        ),
        sa.PrimaryKeyConstraint("company_id", "file_id", name=op.f("pk_candidate_file_body")),
    )
    op.create_table(
        "feedback_request",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("draft", sa.LargeBinary(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("drafted_by", sa.Text(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('asked', 'to_approve', 'answered', 'standard', 'void')",
            name=op.f("ck_feedback_request_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_feedback_request_company_id_application_id_application"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_feedback_request_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_feedback_request")),
    )
    op.create_index(
        "ix_feedback_request_candidate",
        "feedback_request",
        ["company_id", "candidate_id"],
        unique=False,
    )
    op.create_index(
        "ix_feedback_request_look_at",
        "feedback_request",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "ix_feedback_request_open",
        "feedback_request",
        ["company_id", "id"],
        unique=False,
        postgresql_where="state IN ('asked', 'to_approve')",
    )
    op.create_index(
        "uq_feedback_request_application",
        "feedback_request",
        ["company_id", "application_id"],
        unique=True,
    )
    op.create_table(
        "file_access",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=True),
        sa.Column("relay_id", sa.Text(), nullable=True),
        sa.Column("provision_id", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "reason IN ('rights_request', 'person_asked', 'incident', 'legal_claim')",
            name=op.f("ck_file_access_reason_known"),
        ),
        sa.CheckConstraint(
            "(reader = 'officer') = (reason IS NOT NULL)",
            name=op.f("ck_file_access_reason_given"),
        ),
        sa.CheckConstraint(
            "(reader = 'agency') = (agency_id IS NOT NULL AND relay_id IS NOT NULL)",
            name=op.f("ck_file_access_agency_named"),
        ),
        sa.CheckConstraint(
            "reader IN ('agency', 'candidate', 'officer')", name=op.f("ck_file_access_reader_known")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "file_id"],
            ["candidate_file.company_id", "candidate_file.id"],
            name=op.f("fk_file_access_company_id_file_id_candidate_file"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_file_access")),
    )
    op.create_index(
        "ix_file_access_candidate",
        "file_access",
        ["company_id", "candidate_id", "id"],
        unique=False,
    )
    op.create_table(
        "reflection",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_reflection_company_id_application_id_application"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_reflection_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_reflection")),
    )
    op.create_index(
        "ix_reflection_candidate", "reflection", ["company_id", "candidate_id"], unique=False
    )
    op.create_index(
        "uq_reflection_application", "reflection", ["company_id", "application_id"], unique=True
    )


def downgrade() -> None:
    for trigger in ("only_extends", "no_delete", "no_truncate"):
        op.execute(f"DROP TRIGGER provision_{trigger} ON provision")
    op.execute("DROP FUNCTION relay_provision_only_extends()")
    op.execute("DROP FUNCTION relay_work_for_link(bytea)")
    op.execute(f"REVOKE UPDATE (use_until) ON provision FROM {tenancy.APP}")
    op.execute(
        f"REVOKE SELECT (company_id, id, review_at, erased_at) ON candidate FROM {tenancy.SYSTEM}"
    )
    op.execute(
        f"REVOKE SELECT (company_id, candidate_id, kind, destroy_on) ON subject_key FROM {tenancy.SYSTEM}"
    )
    for table in ("candidate", "subject_key"):
        op.execute(f"DROP POLICY system_reads ON {table}")
    for table in NEVER_REMOVED:
        op.execute(f"GRANT DELETE ON {table} TO {tenancy.APP}")
    op.drop_index(
        "ix_subject_key_destroy_on",
        table_name="subject_key",
        postgresql_where="wrapped IS NOT NULL",
    )
    op.drop_column("subject_key", "destroy_on")
    op.drop_index("uq_stop_notice_relay", table_name="stop_notice")
    op.create_index(
        op.f("uq_stop_notice_relay"), "stop_notice", ["company_id", "relay_id", "kind"], unique=True
    )
    op.drop_constraint(op.f("ck_stop_notice_kind_known"), "stop_notice", type_="check")
    op.create_check_constraint(
        op.f("ck_stop_notice_kind_known"), "stop_notice", "kind IN ('withdrawn', 'erased')"
    )
    op.drop_column("stop_notice", "version")
    op.drop_index("ix_provision_retention", table_name="provision")
    op.drop_column("provision", "file_sha256")
    op.drop_column("provision", "recipient_license")
    op.drop_column("provision", "use_until")
    op.drop_index("ix_notice_candidate", table_name="notice")
    op.drop_index("ix_invitation_candidate", table_name="invitation")
    op.drop_column("consent_event", "superseded_by")
    op.drop_column("consent_event", "cross_border_basis")
    op.drop_column("consent_event", "guardian_consent_id")
    op.drop_column("consent_event", "purpose_code")
    op.drop_column("consent_event", "actor")
    op.drop_column("consent_event", "form")
    op.drop_index(
        "ix_consent_renew_ask_at",
        table_name="consent",
        postgresql_where="state = 'given' AND renew_ask_at IS NOT NULL",
    )
    op.drop_column("consent", "superseded_by")
    op.drop_column("consent", "renewal_asked_at")
    op.drop_column("consent", "renew_ask_at")
    op.drop_index("ix_company_privacy_look_at", table_name="company")
    op.drop_column("company", "privacy_look_at")
    op.drop_column("company", "job_reapplication")
    op.drop_column("company", "feedback_requests")
    op.drop_column("company", "retention")
    op.drop_column("candidate_link", "handed_over")
    op.drop_index(
        "ix_candidate_review_at",
        table_name="candidate",
        postgresql_where="review_at IS NOT NULL AND erased_at IS NULL",
    )
    op.drop_column("candidate", "review_at")
    op.drop_column("candidate", "restricted_at")
    op.drop_column("candidate", "restricted_from")
    op.drop_column("agency", "cross_border")
    for table in reversed(NEW_TABLES):
        op.drop_table(table)
