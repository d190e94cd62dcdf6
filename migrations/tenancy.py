"""The SQL of tenancy, shared by migrations: roles, policies, grants, append-only guards.

Frozen like a migration: a later change of the rules is a new function beside the old one.
"""

APP, SYSTEM = "relay_app", "relay_system"
COMPANY = "company_id = current_setting('relay.company_id', true)"
AGENCY = "agency_id = current_setting('relay.agency_id', true)"

ROLES = (
    f"""DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP}') THEN
    CREATE ROLE {APP} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SYSTEM}') THEN
    CREATE ROLE {SYSTEM} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;  -- roles belong to the whole server: another database's migration was quicker
END $$""",
    f"GRANT {SYSTEM} TO {APP}",
    f"GRANT USAGE ON SCHEMA public TO {APP}, {SYSTEM}",
)

REFUSE_CHANGE = """
CREATE FUNCTION relay_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
"""


def tenant(table: str, *rules: str, grants: str = "SELECT, INSERT, UPDATE, DELETE") -> list[str]:
    """Row-level security, forced, with one policy per way of belonging."""
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        *(
            f"CREATE POLICY tenant_{number} ON {table} TO {APP} USING ({rule}) WITH CHECK ({rule})"
            for number, rule in enumerate(rules)
        ),
        f"GRANT {grants} ON {table} TO {APP}",
    ]


def agency_reads(table: str, *more: str) -> list[str]:
    """The agency named in a row may look at it (if `more` holds), and do nothing else."""
    rule = " AND ".join((AGENCY, *more))
    return [f"CREATE POLICY agency_reads ON {table} FOR SELECT TO {APP} USING ({rule})"]


def system_reads(table: str) -> list[str]:
    """The system role may look at this table across tenants, and do nothing else."""
    return [
        f"CREATE POLICY system_reads ON {table} FOR SELECT TO {SYSTEM} USING (true)",
        f"GRANT SELECT ON {table} TO {SYSTEM}",
    ]


def append_only(table: str) -> list[str]:
    """Nobody, the owner included, changes or removes a row."""
    return [
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION relay_refuse_change()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION relay_refuse_change()",
    ]
