"""The house's promises that no single story shows: walked over every table, route and text."""

import ast
import re
import tomllib
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy import table as sql_table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from api import openapi, schema
from api.app import create_app
from api.runtime import app_password
from api.settings import Settings
from tests.conftest import _admin, api_client, settings_for
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[1]
FLOORS = ("api", "domain", "integrations", "migrations", "tests", "bench")

NO_TENANT = {
    "alembic_version": "the schema's revision",
    "heartbeat": "workers of the instance",
    "idempotency": "found by its client, sealed",
    "instance_fact": "facts of the instance",
    "ledger_checkpoint": "one root over all books, for everybody to see",
    "ledger_rule": "the moves the ledger knows, the same for everybody",
    "ledger_verification": "what the instance's checks found: ids only",
    "ledger_watch": "when the ledger's own duties are due",
    "login_session": "found by its hash before the tenant is known",
    "oauth_assertion": "used assertions of a client",
    "oauth_token": "found by its id, which only we sign",
    "sign_in_link": "found by its hash before the tenant is known",
}
"""Tables that belong to nobody, and why. None of them holds personal data in the clear."""

TENANTS_THEMSELVES = {"company", "agency"}
FOUND_BY_ID_FIRST = {
    "member": "a person signs in before the tenant is known",
    "oauth_client": "a program signs in before the tenant is known",
}
"""Tables whose key does not begin with the tenant."""

APPEND_ONLY = {
    "agreement_version", "ats_event", "consent_event", "consent_text", "consent_text_end",
    "credit_date_change", "erasure", "file_access", "hold_clearance", "incident_event",
    "ledger_checkpoint", "ledger_checkpoint_head", "ledger_entry", "ledger_tx",
    "ledger_verification", "privacy_change", "privacy_check", "register_export", "relay_event",
    "source_override",
}  # fmt: skip

OPEN_DOORS = {"/v1/ats/{provider}/{connection_id}": "the vendor signs the delivery"}
"""Paths under `/v1` without a token."""

READS_THAT_RECORD = {
    "/v1/agency/feed": "a package in the feed is provided when it is read",
    "/v1/agency/relays/{relay_id}/package": "each reading writes the provision record",
}
"""The law wants the hand-over itself recorded (個人情報保護法 29); nothing else changes."""


@pytest.fixture
async def owner(database_url):
    """A connection of the migrations' role."""
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


async def rows(engine, statement, **values):
    async with engine.connect() as connection:
        return (await connection.execute(text(statement), values)).all()


async def tables(engine):
    found = await rows(
        engine,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p')",
    )
    return {row[0] for row in found}


async def test_every_table_has_its_tenant_or_a_reason(owner):
    guarded = {
        row[0]: row[1:]
        for row in await rows(
            owner,
            "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,"
            " count(p.polname) FILTER (WHERE pg_get_expr(p.polqual, p.polrelid) LIKE"
            " '%current_setting(%')"
            " FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " GROUP BY c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity",
        )
    }
    of_tenant = {
        row[0]
        for row in await rows(
            owner,
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND column_name IN ('company_id', 'agency_id', 'tenant_id')",
        )
    }

    assert set(guarded) - of_tenant - TENANTS_THEMSELVES == set(NO_TENANT)
    unguarded = {
        name
        for name, (enabled, forced, policies) in guarded.items()
        if name not in NO_TENANT and not (enabled and forced and policies)
    }
    assert unguarded == set()


async def test_the_tenant_comes_first_in_every_key(owner):
    first = await rows(
        owner,
        "SELECT t.relname, a.attname FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid"
        " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]"
        " WHERE i.indisprimary AND t.relnamespace = 'public'::regnamespace",
    )

    elsewhere = {
        name for name, column in first if column not in {"company_id", "agency_id", "tenant_id"}
    }
    assert elsewhere == set(NO_TENANT) | TENANTS_THEMSELVES | set(FOUND_BY_ID_FIRST)


async def test_a_transaction_without_a_tenant_or_with_another_sees_nothing(runtime, owner):
    world = await make_world(runtime)
    stranger = await make_world(runtime, slug="stranger", agencies=0)
    await work(runtime)
    ours = {world.company.id, *(agency.id for agency in world.agencies)}
    checked = await tables(owner) - set(NO_TENANT) - {"agency"}

    seen = {}
    for name in sorted(checked):
        async with runtime.database.transaction() as session:
            every = select(func.count()).select_from(sql_table(name))
            nobody = (await session.execute(every)).scalar_one()
        async with runtime.database.transaction(company_id=stranger.company.id) as session:
            found = await session.execute(select(text("*")).select_from(sql_table(name)))
            foreign = [row for row in found.mappings() if ours & set(map(str, row.values()))]
        if nobody or foreign:
            seen[name] = (nobody, len(foreign))

    assert len(checked) > 25
    assert seen == {}


async def test_the_app_cannot_write_for_another_tenant(runtime):
    world = await make_world(runtime)
    stranger = await make_world(runtime, slug="stranger", agencies=0)

    with pytest.raises(DBAPIError, match="row-level security"):
        async with runtime.database.transaction(company_id=stranger.company.id) as session:
            await session.execute(
                text(
                    "INSERT INTO agreement (company_id, id, agency_id, number, state, created_at)"
                    " VALUES (:company, 'agr_x', :agency, 'x', 'active', now())"
                ),
                {"company": world.company.id, "agency": world.agency.id},
            )


async def test_the_system_role_only_reads(owner):
    found = await rows(
        owner,
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = 'relay_system' AND privilege_type <> 'SELECT'",
    )

    assert found == []


async def test_append_only_tables_refuse_the_app_and_the_owner(owner):
    guarded = {
        row[0]
        for row in await rows(
            owner,
            "SELECT t.relname FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid"
            " JOIN pg_proc f ON f.oid = g.tgfoid"
            " WHERE f.proname = 'relay_refuse_change' AND g.tgenabled = 'O'"
            " GROUP BY t.relname HAVING bool_or(g.tgtype & 8 > 0) AND bool_or(g.tgtype & 16 > 0)"
            " AND bool_or(g.tgtype & 32 > 0)",
        )
    }
    writable = {
        row[0]
        for row in await rows(
            owner,
            "SELECT table_name FROM information_schema.role_table_grants"
            " WHERE grantee = 'relay_app' AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')",
        )
    }

    assert guarded >= APPEND_ONLY
    assert guarded & writable == set()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE agreement_version SET version = 2",
        "DELETE FROM agreement_version",
        "TRUNCATE agreement_version",
    ],
)
async def test_not_even_the_owner_changes_what_was_written(runtime, owner, statement):
    await make_world(runtime)

    with pytest.raises(DBAPIError, match="append-only"):
        async with owner.begin() as connection:
            await connection.execute(text(statement))

    assert await rows(owner, "SELECT count(*), max(version) FROM agreement_version") == [(2, 1)]


async def test_migrations_match_the_tables(database_url):
    await schema.check(database_url)


async def test_the_schema_goes_up_from_nothing_and_down_to_nothing(server, worker_id):
    name = f"relay_updown_{worker_id}"
    await _admin(server, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    url = server.set(database=name, drivername="postgresql+asyncpg")
    password = app_password(settings_for(url))

    await schema.upgrade(url, password)
    await schema.downgrade(url)
    engine = create_async_engine(url)
    left = await tables(engine)
    functions = await rows(
        engine, "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    await engine.dispose()
    await schema.upgrade(url, password)
    await schema.check(url)
    await _admin(server, f"DROP DATABASE {name} WITH (FORCE)")

    assert left == {"alembic_version"}
    assert functions == []


@pytest.fixture(scope="module")
def described():
    return openapi.build(openapi.nowhere())


def operations(described):
    return [
        (method, path, item[method])
        for path, item in described["paths"].items()
        for method in openapi.OPERATION_METHODS
        if method in item and path.startswith("/v1/") and path not in OPEN_DOORS
    ]


def test_every_route_names_its_caller_and_the_scope_it_asks_for(described):
    wrong = [
        (method, path)
        for method, path, operation in operations(described)
        if [
            (name, len(scopes) > 0)
            for needed in operation.get("security", [])
            for name, scopes in needed.items()
        ]
        != [("company_client" if path.startswith("/v1/company/") else "agency_client", True)]
    ]

    assert wrong == []


def test_every_route_names_its_refusals(described):
    wrong = [
        (method, path, sorted(missing))
        for method, path, operation in operations(described)
        if (
            missing := {"401", "403"}
            | ({"404"} if "_id}" in path else set())
            | ({"422"} if method != "get" else set())
        )
        - set(operation["responses"])
    ]

    assert wrong == []


def test_every_post_of_a_program_takes_an_idempotency_key(described):
    without = [
        path
        for method, path, operation in operations(described)
        if method == "post"
        and "Idempotency-Key" not in {one["name"] for one in operation.get("parameters", [])}
    ]

    assert without == []


def test_ids_have_a_pattern_at_the_door(described):
    loose = [
        (path, one["name"])
        for _, path, operation in operations(described)
        for one in operation.get("parameters", [])
        if one["in"] == "path" and not {"pattern", "enum", "maximum"} & set(one["schema"])
    ]

    assert loose == []


async def test_reading_changes_nothing(runtime, described):
    """A mail scanner opens every link; a GET must be nothing but a look."""
    world = await make_world(runtime)
    app, written = create_app(runtime), []

    def listen(*args):
        statement = args[2].lstrip().upper()
        if statement.startswith(("INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE")):
            written.append(statement)

    wrong = {}
    async with (
        api_client(runtime, world.company_client, app=app) as company,
        api_client(runtime, world.agency_clients[0], app=app) as agency,
    ):
        for door, probe in ((company, "/v1/company/credits"), (agency, "/v1/agency/relays")):
            await door.get(probe)  # fetches the token before we listen
        event.listen(runtime.database.engine.sync_engine, "before_cursor_execute", listen)
        for path in [p for p, item in described["paths"].items() if "get" in item]:
            door = agency if path.startswith("/v1/agency/") else company
            written.clear()
            answer = await door.get(_plausible(path, described))
            if written and path not in READS_THAT_RECORD:
                wrong[path] = list(written)
            assert answer.status_code != 500, (path, answer.text)

    assert wrong == {}


def _plausible(path, described):
    """The path with well-formed ids of rows that do not exist."""
    for one in described["paths"][path]["get"].get("parameters", []):
        if one["in"] == "path":
            pattern = one["schema"].get("pattern", "")
            prefix = pattern.removeprefix("^").split("_")[0]
            value = f"{prefix}_{'0' * 26}" if "_[" in pattern else "2026-05"
            path = path.replace("{" + one["name"] + "}", value)
    return path


@pytest.mark.parametrize("path", ["/login", "/login/sent", "/login/claim", "/c/" + "A" * 43, "/"])
async def test_opening_a_page_changes_nothing(runtime, path):
    written = []

    def listen(*args):
        if args[2].lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(args[2])

    event.listen(runtime.database.engine.sync_engine, "before_cursor_execute", listen)
    transport = httpx2.ASGITransport(create_app(runtime), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as client:
        answer = await client.get(path, headers={"accept": "text/html"})

    assert answer.status_code in {200, 303, 307, 404, 410}
    assert written == []


def flat(found, prefix=""):
    for name, value in found.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)


def catalogue(locale):
    folder = ROOT / "api" / "locale" / locale
    return {
        f"{path.stem}.{name}": set(re.findall(r"{(\w+)}", words))
        for path in folder.glob("*.toml")
        for name, words in flat(tomllib.loads(path.read_text(encoding="utf-8")))
    }


def test_both_catalogues_say_the_same():
    japanese, english = catalogue("ja"), catalogue("en")

    assert set(japanese) == set(english)
    assert {key for key in japanese if japanese[key] != english[key]} == set()
    assert japanese


def test_every_mail_exists_in_both_languages():
    folder = ROOT / "integrations" / "mail" / "templates"

    japanese = {path.name for path in (folder / "ja").iterdir()}

    assert japanese == {path.name for path in (folder / "en").iterdir()}
    assert japanese


def sources():
    return [path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")]


def test_nobody_imports_the_old_http_client():
    wrong = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] == "httpx" for name in names):
                wrong.append(str(path))

    assert wrong == []


def test_no_tests_folder_is_a_package():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_setting_is_described():
    """What an instance can be told stands in the README."""
    words = (ROOT / "README.md").read_text("utf-8")
    described = {name.lower() for name in re.findall(r"RELAY_([A-Z_]+)", words)}
    described |= {f"smtp_{name.lower()}" for name in re.findall(r"`…_([A-Z]+)`", words)}

    assert set(Settings.model_fields) - {"database_url"} - described == set()
    assert "`DATABASE_URL`" in words
