"""The foundation: every noun of the loop, its tenancy, the job queue."""

import re
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from domain.base import Xid8
from migrations import tenancy

OF_COMPANY = (
    "application", "ats_connection", "ats_event", "candidate", "candidate_link", "consent",
    "consent_event", "consent_text", "deadline", "delivery", "hold_clearance", "interview",
    "invitation", "notice", "subject_key",
)  # fmt: skip
OF_BOTH = ("feed_item", "member", "oauth_client")
SHOWN_TO_AGENCY = (
    "agreement", "agreement_version", "placement", "provision", "relay_event", "stop_notice",
)  # fmt: skip
OF_AGENCY = ("webhook_endpoint", "webhook_message")
NO_TENANT = (
    "heartbeat", "idempotency", "instance_fact", "login_session", "oauth_assertion", "oauth_token",
    "sign_in_link",
)  # fmt: skip
EXPIRING = ("idempotency", "login_session", "oauth_assertion", "oauth_token", "sign_in_link")
APPEND_ONLY = (
    "agreement_version", "ats_event", "consent_event", "consent_text", "hold_clearance",
    "relay_event",
)  # fmt: skip
SYSTEM_READS = (
    "agency", "application", "ats_connection", "candidate_link", "company", "consent", "deadline", "delivery",
    "feed_item", "invitation", "mail", "member", "notice", "oauth_client", "placement", "relay", "stop_notice",
    "webhook_endpoint", "webhook_message",
)  # fmt: skip
ADDED = "SELECT, INSERT"
MAIL_OF = "tenant_id IN (current_setting('relay.company_id', true), current_setting('relay.agency_id', true))"
PARTNER = (
    "EXISTS (SELECT FROM agreement a WHERE a.company_id = company.id"
    " AND a.agency_id = current_setting('relay.agency_id', true))"
)
# A delivery is kept and its reading asked for in one round trip: the hot path of the whole house.
# The last two statements are PgQueuer's enqueue (1.6) with its `on_conflict="skip"`.
KEEP_DELIVERY = """
CREATE FUNCTION relay_keep_delivery(
  tenant text, delivery_id text, connection text, provider_name text, content_key bytea,
  sealed_body bytea, sealed_headers bytea, received timestamptz, again timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  work text := 'delivery.read';
BEGIN
  -- Quiet: a commit that notifies waits for every other one, and the door must not (api/wake.py).
  PERFORM set_config('relay.company_id', tenant, true), set_config('relay.agency_id', '', true),
          set_config('relay.quiet', 'on', true);
  INSERT INTO delivery (company_id, id, connection_id, provider, key, body, headers, status,
                        received_at, look_at)
  VALUES (tenant, delivery_id, connection, provider_name, content_key, sealed_body, sealed_headers,
          'received', received, again)
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO pgq.pgqueuer (priority, entrypoint, payload, dedupe_key, status)
  VALUES (0, work, convert_to(tenant || ' ' || delivery_id, 'UTF8'),
          work || ' ' || tenant || ' ' || delivery_id, 'queued')
  ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
  DO NOTHING;
  RETURN true;
END $$
"""
QUEUE = Path(__file__).with_name("0001_pgqueuer.sql")

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in (*tenancy.ROLES, tenancy.REFUSE_CHANGE):
        op.execute(statement)
    op.create_table(
        "agency",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("representative", sa.Text(), nullable=False),
        sa.Column("license_number", sa.Text(), nullable=False),
        sa.Column("license_valid_until", sa.Date(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("purpose_en", sa.Text(), nullable=False),
        sa.Column("required_items", JSONB(), nullable=False),
        sa.Column("privacy_url", sa.Text(), nullable=False),
        sa.Column("contact_days", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("feed_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending_verification', 'active', 'suspended', 'expired', 'terminated')",
            name=op.f("ck_agency_state_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agency")),
    )
    op.create_table(
        "company",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("representative", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("sender_name", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("harassment_contact", sa.Text(), nullable=False),
        sa.Column("privacy_officer", sa.Text(), nullable=False),
        sa.Column("privacy_contact", sa.Text(), nullable=False),
        sa.Column("notice_mode", sa.Text(), nullable=False),
        sa.Column("review_minutes", sa.Integer(), nullable=False),
        sa.Column("calendar", JSONB(), nullable=False),
        sa.Column("calendar_version", sa.Integer(), nullable=False),
        sa.Column("reapplication_months", sa.Integer(), nullable=False),
        sa.Column("retention_months", sa.Integer(), nullable=False),
        sa.Column("consent_months", sa.Integer(), nullable=False),
        sa.Column("processors", sa.Text(), nullable=False),
        sa.Column("processors_en", sa.Text(), nullable=False),
        sa.Column("invitation_valid_days", sa.Integer(), nullable=False),
        sa.Column("allowed_sources", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "notice_mode IN ('auto', 'manual', 'ats_sends')",
            name=op.f("ck_company_notice_mode_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
        sa.UniqueConstraint("slug", name=op.f("uq_company_slug")),
    )
    op.create_table(
        "feed_item",
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("op IN ('upsert', 'remove')", name=op.f("ck_feed_item_op_known")),
        sa.PrimaryKeyConstraint("agency_id", "relay_id", name=op.f("pk_feed_item")),
    )
    op.create_index(
        "ix_feed_item_order", "feed_item", ["agency_id", "xid", "position"], unique=False
    )
    op.create_index(
        "ix_feed_item_removed",
        "feed_item",
        ["changed_at"],
        unique=False,
        postgresql_where="op = 'remove'",
    )
    op.create_table(
        "heartbeat",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "instance_fact",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_instance_fact")),
    )
    op.create_table(
        "mail",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'bounced', 'cancelled')",
            name=op.f("ck_mail_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_mail")),
    )
    op.create_index("ix_mail_candidate", "mail", ["tenant_id", "candidate_id"], unique=False)
    op.create_index(
        "ix_mail_retry_at",
        "mail",
        ["retry_at"],
        unique=False,
        postgresql_where="retry_at IS NOT NULL",
    )
    op.create_index("uq_mail_about", "mail", ["tenant_id", "about"], unique=True)
    op.create_table(
        "suppression",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("email_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("reply_code", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "email_hmac", name=op.f("pk_suppression")),
    )
    op.create_table(
        "agreement",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('active', 'ended')", name=op.f("ck_agreement_state_known")),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_agreement_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_agreement_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_agreement")),
    )
    op.create_index("ix_agreement_agency_id", "agreement", ["agency_id"], unique=False)
    op.create_index(
        "uq_agreement_company_id_agency_id", "agreement", ["company_id", "agency_id"], unique=True
    )
    op.create_table(
        "ats_connection",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("public_keys", JSONB(), nullable=False),
        sa.Column("settings", JSONB(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("refused_signatures", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_ats_connection_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_ats_connection")),
    )
    op.create_index("uq_ats_connection_id", "ats_connection", ["id"], unique=True)
    op.create_table(
        "candidate",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("profile", sa.LargeBinary(), nullable=True),
        sa.Column("email_hmac", sa.LargeBinary(), nullable=True),
        sa.Column("phone_hmac", sa.LargeBinary(), nullable=True),
        sa.Column("kana_birth_hmac", sa.LargeBinary(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("guardian_consent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("merged_into_id", sa.Text(), nullable=True),
        sa.Column("consent_seq", sa.Integer(), nullable=False),
        sa.Column("consent_head", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_candidate_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_candidate")),
    )
    op.create_index(
        "ix_candidate_merged_into",
        "candidate",
        ["company_id", "merged_into_id"],
        unique=False,
        postgresql_where="merged_into_id IS NOT NULL",
    )
    op.create_index(
        "ix_candidate_company_id_email_hmac",
        "candidate",
        ["company_id", "email_hmac"],
        unique=False,
    )
    op.create_index(
        "uq_candidate_external",
        "candidate",
        ["company_id", "connection_id", "external_id"],
        unique=True,
        postgresql_where="external_id IS NOT NULL",
    )
    op.create_table(
        "consent_text",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_consent_text_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_consent_text")),
    )
    op.create_index(
        "ix_consent_text_company_id_sha256", "consent_text", ["company_id", "sha256"], unique=True
    )
    op.create_table(
        "member",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=True),
        sa.Column("agency_id", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("email_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("roles", JSONB(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(company_id IS NULL) <> (agency_id IS NULL)", name=op.f("ck_member_one_owner")
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_member_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_member_company_id_company")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
    )
    op.create_index("ix_member_agency_id", "member", ["agency_id"], unique=False)
    op.create_index("ix_member_company_id", "member", ["company_id"], unique=False)
    op.create_index("uq_member_email_hmac", "member", ["email_hmac"], unique=True)
    op.create_table(
        "oauth_client",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=True),
        sa.Column("agency_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hashes", JSONB(), nullable=False),
        sa.Column("jwks", JSONB(), nullable=True),
        sa.Column("scopes", JSONB(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(company_id IS NULL) <> (agency_id IS NULL)", name=op.f("ck_oauth_client_one_owner")
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_oauth_client_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_oauth_client_company_id_company")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_client")),
    )
    op.create_index(op.f("ix_oauth_client_agency_id"), "oauth_client", ["agency_id"], unique=False)
    op.create_index(
        op.f("ix_oauth_client_company_id"), "oauth_client", ["company_id"], unique=False
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", JSONB(), nullable=True),
        sa.Column("payload_mode", sa.Text(), nullable=False),
        sa.Column("encryption_key", JSONB(), nullable=True),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_failure_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "payload_mode IN ('thin', 'sealed')",
            name=op.f("ck_webhook_endpoint_payload_mode_known"),
        ),
        sa.CheckConstraint(
            "state IN ('healthy', 'degraded', 'disabled')",
            name=op.f("ck_webhook_endpoint_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_webhook_endpoint_agency_id_agency")
        ),
        sa.PrimaryKeyConstraint("agency_id", "id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_table(
        "agreement_version",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("terms", JSONB(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "agreement_id"],
            ["agreement.company_id", "agreement.id"],
            name=op.f("fk_agreement_version_company_id_agreement_id_agreement"),
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "agreement_id", "version", name=op.f("pk_agreement_version")
        ),
    )
    op.create_table(
        "application",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("job_title", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("applicant_type", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("initiated_by", sa.Text(), nullable=True),
        sa.Column("rejection_reason", sa.Text(), nullable=True),
        sa.Column("holds", JSONB(), nullable=False),
        sa.Column("cleared_holds", JSONB(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_event_key", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('active', 'rejected', 'withdrawn', 'hired')",
            name=op.f("ck_application_outcome_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_application_company_id_candidate_id_candidate"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_application_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_application")),
    )
    op.create_index(
        "ix_application_company_id_candidate_id",
        "application",
        ["company_id", "candidate_id"],
        unique=False,
    )
    op.create_index(
        "ix_application_not_before",
        "application",
        ["not_before"],
        unique=False,
        postgresql_where="not_before IS NOT NULL",
    )
    op.create_index(
        "ix_application_company_id_external_id",
        "application",
        ["company_id", "external_id"],
        unique=False,
    )
    op.create_index(
        "uq_application_external",
        "application",
        ["company_id", "connection_id", "external_id"],
        unique=True,
    )
    op.create_table(
        "ats_event",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=True),
        sa.Column("supersedes", sa.Text(), nullable=True),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_ats_event_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "dedupe_key", name=op.f("pk_ats_event")),
    )
    op.create_index(
        "ix_ats_event_application", "ats_event", ["company_id", "application_id"], unique=False
    )
    op.create_table(
        "candidate_link",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "purpose IN ('optin', 'my_page', 'join')", name=op.f("ck_candidate_link_purpose_known")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_candidate_link_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_candidate_link")),
    )
    op.create_index(
        "ix_candidate_link_candidate",
        "candidate_link",
        ["company_id", "candidate_id"],
        unique=False,
    )
    op.create_index("uq_candidate_link_token_hash", "candidate_link", ["token_hash"], unique=True)
    op.create_table(
        "consent",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("text_id", sa.Text(), nullable=False),
        sa.Column("items", JSONB(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provision_not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('given', 'declined', 'withdrawn', 'expired', 'superseded')",
            name=op.f("ck_consent_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_consent_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_consent_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_consent")),
    )
    op.create_index(
        "ix_consent_expires_at",
        "consent",
        ["expires_at"],
        unique=False,
        postgresql_where="state = 'given'",
    )
    op.create_index(
        "uq_consent_candidate_agency",
        "consent",
        ["company_id", "candidate_id", "agency_id"],
        unique=True,
    )
    op.create_table(
        "consent_event",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=True),
        sa.Column("agency_id", sa.Text(), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text_id", sa.Text(), nullable=True),
        sa.Column("text_sha256", sa.Text(), nullable=True),
        sa.Column("recipient", JSONB(), nullable=True),
        sa.Column("shown", JSONB(), nullable=False),
        sa.Column("items", JSONB(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("identity_check", sa.Text(), nullable=False),
        sa.Column("ip_hash", sa.Text(), nullable=False),
        sa.Column("user_agent_family", sa.Text(), nullable=False),
        sa.Column("submission_id", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('invited', 'opened', 'given', 'declined', 'withdrawn', 'renewed', 'items_changed', 'superseded', 'expired', 'lapsed', 'invalidated')",
            name=op.f("ck_consent_event_kind_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_consent_event_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_consent_event")),
    )
    op.create_index(
        "uq_consent_event_seq", "consent_event", ["company_id", "candidate_id", "seq"], unique=True
    )
    op.create_index(
        "uq_consent_event_submission",
        "consent_event",
        ["company_id", "candidate_id", "submission_id", "agency_id"],
        unique=True,
        postgresql_where="submission_id IS NOT NULL",
    )
    op.create_table(
        "delivery",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_event", sa.Text(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("headers", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('received', 'processed', 'ignored', 'failed')",
            name=op.f("ck_delivery_status_known"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_delivery")),
    )
    op.create_index(
        "ix_delivery_candidate",
        "delivery",
        ["company_id", "candidate_id"],
        unique=False,
        postgresql_where="candidate_id IS NOT NULL",
    )
    op.create_index(
        "ix_delivery_connection", "delivery", ["company_id", "connection_id", "id"], unique=False
    )
    op.create_index(
        "ix_delivery_look_at",
        "delivery",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_delivery_key", "delivery", ["company_id", "connection_id", "key"], unique=True
    )
    op.create_table(
        "idempotency",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.id"], name=op.f("fk_idempotency_client_id_oauth_client")
        ),
        sa.PrimaryKeyConstraint("client_id", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "login_session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_login_session_member_id_member")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_login_session")),
    )
    op.create_index("ix_login_session_expires_at", "login_session", ["expires_at"], unique=False)
    op.create_index("ix_login_session_member_id", "login_session", ["member_id"], unique=False)
    op.create_table(
        "oauth_assertion",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["oauth_client.id"],
            name=op.f("fk_oauth_assertion_client_id_oauth_client"),
        ),
        sa.PrimaryKeyConstraint("client_id", "jti", name=op.f("pk_oauth_assertion")),
    )
    op.create_index(
        "ix_oauth_assertion_expires_at", "oauth_assertion", ["expires_at"], unique=False
    )
    op.create_table(
        "oauth_token",
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_token_client_id_oauth_client")
        ),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_oauth_token")),
    )
    op.create_index("ix_oauth_token_expires_at", "oauth_token", ["expires_at"], unique=False)
    op.create_table(
        "sign_in_link",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=True),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('claim', 'magic')", name=op.f("ck_sign_in_link_kind_known")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_sign_in_link_member_id_member")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_link")),
    )
    op.create_index("ix_sign_in_link_expires_at", "sign_in_link", ["expires_at"], unique=False)
    op.create_index(
        "ix_sign_in_link_member_id", "sign_in_link", ["member_id", "created_at"], unique=False
    )
    op.create_index("uq_sign_in_link_token_hash", "sign_in_link", ["token_hash"], unique=True)
    op.create_table(
        "subject_key",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('profile', 'record')", name=op.f("ck_subject_key_kind_known")),
        sa.ForeignKeyConstraint(
            ["company_id", "candidate_id"],
            ["candidate.company_id", "candidate.id"],
            name=op.f("fk_subject_key_company_id_candidate_id_candidate"),
        ),
        sa.PrimaryKeyConstraint("company_id", "candidate_id", "kind", name=op.f("pk_subject_key")),
    )
    op.create_table(
        "webhook_message",
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=True),
        sa.Column("relay_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_answer", sa.Text(), nullable=True),
        sa.Column("last_duration_ms", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed', 'cancelled')",
            name=op.f("ck_webhook_message_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id", "endpoint_id"],
            ["webhook_endpoint.agency_id", "webhook_endpoint.id"],
            name=op.f("fk_webhook_message_agency_id_endpoint_id_webhook_endpoint"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("agency_id", "id", name=op.f("pk_webhook_message")),
    )
    op.create_index(
        "ix_webhook_message_claimed",
        "webhook_message",
        ["agency_id", "endpoint_id"],
        unique=False,
        postgresql_where="claimed_until IS NOT NULL",
    )
    op.create_index("uq_webhook_message_key", "webhook_message", ["agency_id", "key"], unique=True)
    op.create_index(
        "ix_webhook_message_due",
        "webhook_message",
        ["next_attempt_at"],
        unique=False,
        postgresql_where="state = 'pending'",
    )
    op.create_index(
        "ix_webhook_message_endpoint",
        "webhook_message",
        ["agency_id", "endpoint_id", "id"],
        unique=False,
    )
    op.create_table(
        "hold_clearance",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_hold_clearance_company_id_application_id_application"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_hold_clearance")),
    )
    op.create_index(
        "ix_hold_clearance_application",
        "hold_clearance",
        ["company_id", "application_id"],
        unique=False,
    )
    op.create_table(
        "interview",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('scheduled', 'completed', 'cancelled', 'no_show')",
            name=op.f("ck_interview_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_interview_company_id_application_id_application"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_interview")),
    )
    op.create_index(
        "uq_interview_external",
        "interview",
        ["company_id", "application_id", "external_id"],
        unique=True,
    )
    op.create_table(
        "invitation",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mail_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('invited', 'given', 'declined', 'lapsed', 'cancelled')",
            name=op.f("ck_invitation_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_invitation_company_id_application_id_application"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_invitation")),
    )
    op.create_index(
        "ix_invitation_look_at",
        "invitation",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_invitation_application", "invitation", ["company_id", "application_id"], unique=True
    )
    op.create_table(
        "notice",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("feedback", sa.LargeBinary(), nullable=True),
        sa.Column("send_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mail_id", sa.Text(), nullable=True),
        sa.Column("taken_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("supersedes_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('rejected', 'passed', 'interim')", name=op.f("ck_notice_kind_known")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'scheduled', 'sent', 'bounced', 'cancelled')",
            name=op.f("ck_notice_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_notice_company_id_application_id_application"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_notice")),
    )
    op.create_index(
        "ix_notice_application", "notice", ["company_id", "application_id"], unique=False
    )
    op.create_index(
        "ix_notice_send_at",
        "notice",
        ["send_at"],
        unique=False,
        postgresql_where="state = 'scheduled' AND mail_id IS NULL",
    )
    op.create_index(
        "uq_notice_living_result",
        "notice",
        ["company_id", "application_id", "kind"],
        unique=True,
        postgresql_where="kind <> 'interim' AND state IN ('draft', 'scheduled')",
    )
    op.create_table(
        "relay",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("forward_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forwarded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'forwarded', 'accepted', 'declined', 'contacted', 'met', 'recommended', 'offered', 'placed', 'guaranteed', 'early_left', 'withdrawn', 'closed_no_placement', 'expired')",
            name=op.f("ck_relay_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_relay_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "application_id"],
            ["application.company_id", "application.id"],
            name=op.f("fk_relay_company_id_application_id_application"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "consent_id"],
            ["consent.company_id", "consent.id"],
            name=op.f("fk_relay_company_id_consent_id_consent"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_relay_company_id_company")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_relay")),
    )
    op.create_index("ix_relay_agency", "relay", ["agency_id", "id"], unique=False)
    op.create_index("ix_relay_application", "relay", ["company_id", "application_id"], unique=False)
    op.create_index("ix_relay_candidate", "relay", ["company_id", "candidate_id"], unique=False)
    op.create_index(
        "ix_relay_waiting",
        "relay",
        ["agency_id"],
        unique=False,
        postgresql_where="state = 'queued'",
    )
    op.create_index(
        "ix_relay_forward_at",
        "relay",
        ["forward_at"],
        unique=False,
        postgresql_where="state = 'queued'",
    )
    op.create_table(
        "deadline",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("interview_id", sa.Text(), nullable=False),
        sa.Column("interview_ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("due_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("calendar_version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("met_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminders_sent", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'due_soon', 'met', 'missed', 'void')",
            name=op.f("ck_deadline_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "interview_id"],
            ["interview.company_id", "interview.id"],
            name=op.f("fk_deadline_company_id_interview_id_interview"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_deadline")),
    )
    op.create_index(
        "ix_deadline_application", "deadline", ["company_id", "application_id"], unique=False
    )
    op.create_index(
        "ix_deadline_company_id_state_due_on",
        "deadline",
        ["company_id", "state", "due_on"],
        unique=False,
    )
    op.create_index(
        "ix_deadline_look_at",
        "deadline",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_deadline_interview", "deadline", ["company_id", "interview_id"], unique=True
    )
    op.create_table(
        "placement",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=False),
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("agreement_version", sa.Integer(), nullable=False),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("employment_term", sa.Text(), nullable=False),
        sa.Column("guarantee_end_on", sa.Date(), nullable=False),
        sa.Column("attested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "employment_term IN ('permanent', 'fixed')",
            name=op.f("ck_placement_employment_term_known"),
        ),
        sa.CheckConstraint(
            "state IN ('placed', 'guaranteed', 'early_left')", name=op.f("ck_placement_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relay_id"],
            ["relay.company_id", "relay.id"],
            name=op.f("fk_placement_company_id_relay_id_relay"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_placement")),
    )
    op.create_index("ix_placement_agency", "placement", ["agency_id", "id"], unique=False)
    op.create_index(
        "ix_placement_look_at",
        "placement",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index("uq_placement_relay", "placement", ["company_id", "relay_id"], unique=True)
    op.create_table(
        "provision",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column("consent_event_id", sa.Text(), nullable=False),
        sa.Column("consent_text_sha256", sa.Text(), nullable=False),
        sa.Column("recipient_name", sa.Text(), nullable=False),
        sa.Column("recipient_address", sa.Text(), nullable=False),
        sa.Column("recipient_representative", sa.Text(), nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=False),
        sa.Column("items", JSONB(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("package_version", sa.Integer(), nullable=False),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("provided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_provided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retention_until", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "relay_id"],
            ["relay.company_id", "relay.id"],
            name=op.f("fk_provision_company_id_relay_id_relay"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_provision")),
    )
    op.create_index("ix_provision_agency", "provision", ["agency_id", "relay_id"], unique=False)
    op.create_index(
        "ix_provision_candidate", "provision", ["company_id", "candidate_id"], unique=False
    )
    op.create_index(
        "uq_provision_package",
        "provision",
        ["company_id", "relay_id", "content_sha256", "channel"],
        unique=True,
    )
    op.create_table(
        "relay_event",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("registered_on", sa.Date(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "relay_id"],
            ["relay.company_id", "relay.id"],
            name=op.f("fk_relay_event_company_id_relay_id_relay"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_relay_event")),
    )
    op.create_index("ix_relay_event_relay", "relay_event", ["company_id", "relay_id"], unique=False)
    op.create_table(
        "stop_notice",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("relay_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("escalated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('withdrawn', 'erased')", name=op.f("ck_stop_notice_kind_known")
        ),
        sa.CheckConstraint(
            "state IN ('notified', 'acknowledged', 'overdue')",
            name=op.f("ck_stop_notice_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relay_id"],
            ["relay.company_id", "relay.id"],
            name=op.f("fk_stop_notice_company_id_relay_id_relay"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_stop_notice")),
    )
    op.create_index("ix_stop_notice_agency", "stop_notice", ["agency_id", "relay_id"], unique=False)
    op.create_index(
        "ix_stop_notice_look_at",
        "stop_notice",
        ["look_at"],
        unique=False,
        postgresql_where="look_at IS NOT NULL",
    )
    op.create_index(
        "uq_stop_notice_relay", "stop_notice", ["company_id", "relay_id", "kind"], unique=True
    )
    for statement in guards():
        op.execute(statement)
    queue()


def guards() -> list[str]:
    """Who may see and change what."""
    company, agency = tenancy.COMPANY, tenancy.AGENCY
    made: list[str] = []
    for table in OF_COMPANY:
        made += tenancy.tenant(table, company, grants=_grants(table))
    for table in OF_BOTH:
        made += tenancy.tenant(table, company, agency, grants=_grants(table))
    for table in OF_AGENCY:
        made += tenancy.tenant(table, agency)
    # What an agency reports is written for the company, through a relay it was given.
    for table in SHOWN_TO_AGENCY:
        made += tenancy.tenant(table, company, grants=_grants(table))
        made += tenancy.agency_reads(table)
    # An agency sees a relay from the moment it was forwarded to it, not while it waits.
    made += tenancy.tenant("relay", company)
    made += tenancy.agency_reads("relay", "forwarded_at IS NOT NULL")
    made += tenancy.tenant("mail", MAIL_OF)
    made += tenancy.tenant("suppression", MAIL_OF)
    made += tenancy.tenant(
        "company", "id = current_setting('relay.company_id', true)", grants="SELECT, INSERT, UPDATE"
    )
    made += [f"CREATE POLICY partner ON company FOR SELECT TO {tenancy.APP} USING ({PARTNER})"]
    made += tenancy.tenant(
        "agency", "id = current_setting('relay.agency_id', true)", grants="SELECT, INSERT, UPDATE"
    )
    made += [f"CREATE POLICY directory ON agency FOR SELECT TO {tenancy.APP} USING (true)"]
    made += [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {t} TO {tenancy.APP}" for t in NO_TENANT]
    for table in SYSTEM_READS:
        made += tenancy.system_reads(table)
    made += [f"GRANT SELECT ON {t} TO {tenancy.SYSTEM}" for t in EXPIRING]
    made += [f"GRANT SELECT ON alembic_version TO {tenancy.APP}"]
    for table in APPEND_ONLY:
        made += tenancy.append_only(table)
    # A repeated read of the same package extends the record (規則 19, 21: three years from the
    # last provision); nothing else of it ever changes.
    made += [f"GRANT UPDATE (last_provided_at, retention_until) ON provision TO {tenancy.APP}"]
    return made


def _grants(table: str) -> str:
    append_only = table in APPEND_ONLY or table == "provision"
    return ADDED if append_only else "SELECT, INSERT, UPDATE, DELETE"


def queue() -> None:
    """PgQueuer's own tables in their own schema (`pgq --schema pgq sql install`)."""
    connection = op.get_bind()
    connection.exec_driver_sql("CREATE SCHEMA pgq")
    for statement in _statements(QUEUE.read_text()):
        connection.exec_driver_sql(statement)
    for grant in (
        "GRANT USAGE ON SCHEMA pgq TO {}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgq TO {}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA pgq TO {}",
    ):
        connection.exec_driver_sql(grant.format(tenancy.APP))
    connection.exec_driver_sql(KEEP_DELIVERY)


def _statements(script: str) -> list[str]:
    """One string per statement; the only body with semicolons inside is the function's."""
    before, function, after = re.split(
        r"(CREATE FUNCTION.*?LANGUAGE plpgsql;)", script, flags=re.DOTALL
    )
    plain = f"{before}\0{after}".split(";\n")
    at = next(number for number, part in enumerate(plain) if "\0" in part)
    ordered = [*plain[:at], function, *plain[at:]]
    return [part.strip("\0\n ") for part in ordered if part.strip("\0\n ")]


def downgrade() -> None:
    op.execute("DROP FUNCTION relay_keep_delivery")
    op.execute("DROP SCHEMA pgq CASCADE")
    op.execute("DROP POLICY partner ON company")
    op.drop_index("uq_stop_notice_relay", table_name="stop_notice")
    op.drop_index(
        "ix_stop_notice_look_at", table_name="stop_notice", postgresql_where="look_at IS NOT NULL"
    )
    op.drop_index("ix_stop_notice_agency", table_name="stop_notice")
    op.drop_table("stop_notice")
    op.drop_index("ix_relay_event_relay", table_name="relay_event")
    op.drop_table("relay_event")
    op.drop_index("uq_provision_package", table_name="provision")
    op.drop_index("ix_provision_candidate", table_name="provision")
    op.drop_index("ix_provision_agency", table_name="provision")
    op.drop_table("provision")
    op.drop_index("uq_placement_relay", table_name="placement")
    op.drop_index(
        "ix_placement_look_at", table_name="placement", postgresql_where="look_at IS NOT NULL"
    )
    op.drop_index("ix_placement_agency", table_name="placement")
    op.drop_table("placement")
    op.drop_index("uq_deadline_interview", table_name="deadline")
    op.drop_index(
        "ix_deadline_look_at", table_name="deadline", postgresql_where="look_at IS NOT NULL"
    )
    op.drop_index("ix_deadline_company_id_state_due_on", table_name="deadline")
    op.drop_index("ix_deadline_application", table_name="deadline")
    op.drop_table("deadline")
    op.drop_index("ix_relay_waiting", table_name="relay", postgresql_where="state = 'queued'")
    op.drop_index("ix_relay_forward_at", table_name="relay", postgresql_where="state = 'queued'")
    op.drop_index("ix_relay_candidate", table_name="relay")
    op.drop_index("ix_relay_application", table_name="relay")
    op.drop_index("ix_relay_agency", table_name="relay")
    op.drop_table("relay")
    op.drop_index(
        "uq_notice_living_result",
        table_name="notice",
        postgresql_where="kind <> 'interim' AND state IN ('draft', 'scheduled')",
    )
    op.drop_index(
        "ix_notice_send_at",
        table_name="notice",
        postgresql_where="state = 'scheduled' AND mail_id IS NULL",
    )
    op.drop_index("ix_notice_application", table_name="notice")
    op.drop_table("notice")
    op.drop_index("uq_invitation_application", table_name="invitation")
    op.drop_index(
        "ix_invitation_look_at", table_name="invitation", postgresql_where="look_at IS NOT NULL"
    )
    op.drop_table("invitation")
    op.drop_index("uq_interview_external", table_name="interview")
    op.drop_table("interview")
    op.drop_index("ix_hold_clearance_application", table_name="hold_clearance")
    op.drop_table("hold_clearance")
    op.drop_index("uq_webhook_message_key", table_name="webhook_message")
    op.drop_index(
        "ix_webhook_message_claimed",
        table_name="webhook_message",
        postgresql_where="claimed_until IS NOT NULL",
    )
    op.drop_index("ix_webhook_message_endpoint", table_name="webhook_message")
    op.drop_index(
        "ix_webhook_message_due", table_name="webhook_message", postgresql_where="state = 'pending'"
    )
    op.drop_table("webhook_message")
    op.drop_table("subject_key")
    op.drop_index("uq_sign_in_link_token_hash", table_name="sign_in_link")
    op.drop_index("ix_sign_in_link_member_id", table_name="sign_in_link")
    op.drop_index("ix_sign_in_link_expires_at", table_name="sign_in_link")
    op.drop_table("sign_in_link")
    op.drop_index("ix_oauth_token_expires_at", table_name="oauth_token")
    op.drop_table("oauth_token")
    op.drop_index("ix_oauth_assertion_expires_at", table_name="oauth_assertion")
    op.drop_table("oauth_assertion")
    op.drop_index("ix_login_session_member_id", table_name="login_session")
    op.drop_index("ix_login_session_expires_at", table_name="login_session")
    op.drop_table("login_session")
    op.drop_index("ix_idempotency_created_at", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_index("uq_delivery_key", table_name="delivery")
    op.drop_index("ix_delivery_look_at", table_name="delivery")
    op.drop_index("ix_delivery_connection", table_name="delivery")
    op.drop_index(
        "ix_delivery_candidate",
        table_name="delivery",
        postgresql_where="candidate_id IS NOT NULL",
    )
    op.drop_table("delivery")
    op.drop_index(
        "uq_consent_event_submission",
        table_name="consent_event",
        postgresql_where="submission_id IS NOT NULL",
    )
    op.drop_index("uq_consent_event_seq", table_name="consent_event")
    op.drop_table("consent_event")
    op.drop_index("uq_consent_candidate_agency", table_name="consent")
    op.drop_index("ix_consent_expires_at", table_name="consent", postgresql_where="state = 'given'")
    op.drop_table("consent")
    op.drop_index("uq_candidate_link_token_hash", table_name="candidate_link")
    op.drop_index("ix_candidate_link_candidate", table_name="candidate_link")
    op.drop_table("candidate_link")
    op.drop_index("ix_ats_event_application", table_name="ats_event")
    op.drop_table("ats_event")
    op.drop_index("uq_application_external", table_name="application")
    op.drop_index(
        "ix_application_not_before",
        table_name="application",
        postgresql_where="not_before IS NOT NULL",
    )
    op.drop_index("ix_application_company_id_external_id", table_name="application")
    op.drop_index("ix_application_company_id_candidate_id", table_name="application")
    op.drop_table("application")
    op.drop_table("agreement_version")
    op.drop_table("webhook_endpoint")
    op.drop_index(op.f("ix_oauth_client_company_id"), table_name="oauth_client")
    op.drop_index(op.f("ix_oauth_client_agency_id"), table_name="oauth_client")
    op.drop_table("oauth_client")
    op.drop_index("uq_member_email_hmac", table_name="member")
    op.drop_index("ix_member_company_id", table_name="member")
    op.drop_index("ix_member_agency_id", table_name="member")
    op.drop_table("member")
    op.drop_index("ix_consent_text_company_id_sha256", table_name="consent_text")
    op.drop_table("consent_text")
    op.drop_index(
        "uq_candidate_external", table_name="candidate", postgresql_where="external_id IS NOT NULL"
    )
    op.drop_index("ix_candidate_merged_into", table_name="candidate")
    op.drop_index("ix_candidate_company_id_email_hmac", table_name="candidate")
    op.drop_table("candidate")
    op.drop_index("uq_ats_connection_id", table_name="ats_connection")
    op.drop_table("ats_connection")
    op.drop_index("uq_agreement_company_id_agency_id", table_name="agreement")
    op.drop_index("ix_agreement_agency_id", table_name="agreement")
    op.drop_table("agreement")
    op.drop_index("uq_mail_about", table_name="mail")
    op.drop_index("ix_mail_retry_at", table_name="mail", postgresql_where="retry_at IS NOT NULL")
    op.drop_index("ix_mail_candidate", table_name="mail")
    op.drop_table("mail")
    op.drop_table("suppression")
    op.drop_table("instance_fact")
    op.drop_table("heartbeat")
    op.drop_index("ix_feed_item_removed", table_name="feed_item", postgresql_where="op = 'remove'")
    op.drop_index("ix_feed_item_order", table_name="feed_item")
    op.drop_table("feed_item")
    op.drop_table("company")
    op.drop_table("agency")
    op.execute("DROP FUNCTION relay_refuse_change")
