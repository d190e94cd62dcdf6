"""One unmistakable person goes round the whole loop; then everything that was written is searched.

Row-level security is walked in the same story: after it another company and another agency look
into every table without a filter.
"""

import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
import structlog
from httpx2 import AsyncClient
from sqlalchemy import URL, select, text
from sqlalchemy import table as sql_table
from sqlalchemy.exc import DBAPIError

from api import logs
from api.runtime import Runtime
from domain.application import Application
from domain.relay import Relay
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.consents import Person
from tests.deliveries import Ats, interview, rejection
from tests.factories import World, make_world, work
from tests.own_page import Visitor
from tests.relays import receiver

pytestmark = pytest.mark.anyio

PLANTED = ("薔薇乃小路", "zzbaranokoji", "9087651234", "87651234", "杜若町八丁目")
EMAIL = "zzbaranokoji.kakitsubata@mail.example"
TELLING = {
    "application": {"external_id": "A-1", "source": "company_site",
                    "custom_fields": {"住所": "杜若町八丁目"}},
    "candidate": {
        "external_id": "C-1", "display_name": "薔薇乃小路 杜若", "family_name": "薔薇乃小路",
        "given_name": "杜若", "phones": [{"value": "090-8765-1234", "type": "mobile"}],
        "emails": [{"value": EMAIL, "type": "personal", "primary": True}],
        "addresses": [{"value": "杜若町八丁目"}],
    },
    "job": {"external_id": "J-1", "title": "法人営業", "department": "営業部"},
}  # fmt: skip
NOT_FOREIGN = {"agency", "alembic_version", "heartbeat", "idempotency", "instance_fact",
               "ledger_checkpoint", "ledger_rule", "ledger_verification", "ledger_watch",
               "login_session", "oauth_assertion", "oauth_token",
               "sign_in_link"}  # fmt: skip
"""Tables that belong to nobody, and the directory of agencies (test_house.py has the reasons)."""


REFUSED = {"42501", "23001", "428C9"}
"""No right or no row; append-only; a number only the database gives."""


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Every log line, at INFO, in the form production writes."""
    root, kept = logging.getLogger(), io.StringIO()
    before, level = root.handlers, root.level
    logs.set_up("INFO", kept)
    structlog.configure(cache_logger_on_first_use=False)
    yield kept
    structlog.reset_defaults()
    root.handlers = before
    root.setLevel(level)


@pytest.fixture
async def owner(database_url: URL) -> AsyncIterator[Any]:
    """A superuser: sees every row."""
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def everything(owner: Any) -> dict[str, str]:
    """Table → all of its rows as text; bytes are shown as far as they are text."""
    tables = await owner.fetch(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
        " WHERE table_schema IN ('public', 'pgq') AND table_type = 'BASE TABLE'"
    )
    found = {}
    for one_table in tables:
        lines = await owner.fetch(f"SELECT * FROM {one_table['name']}")  # noqa: S608
        found[one_table["name"]] = "\n".join(_shown(value) for line in lines for value in line)
    return found


def _shown(value: Any) -> str:
    plain = bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    try:
        return f"{plain} {json.loads(plain)}"  # JSON may hide letters behind escapes
    except ValueError:
        return plain


def traces(found: dict[str, str]) -> list[tuple[str, str]]:
    return [(where, word) for where, said in found.items() for word in PLANTED if word in said]


async def test_a_person_is_nowhere_in_the_clear_and_nobody_elses(  # noqa: PLR0917
    runtime: Runtime, client: AsyncClient, world: World, clock: Any, owner: Any,
    written: io.StringIO, agency_api: AsyncClient, company_api: AsyncClient,
) -> None:  # fmt: skip
    strangers = await make_world(runtime, slug="stranger")
    ats = Ats(client, runtime, world)
    async with receiver() as there:
        await agency_api.post("/v1/agency/webhook-endpoints", json={"url": there.url})
        ended = clock() - timedelta(minutes=30)
        await ats.told("interview.completed", {**TELLING, **interview(ended)}, ended)
        await ats.told("application.rejected", {**TELLING, **rejection(clock())})
        await ats.tell_raw(b'{"type": "' + PLANTED[0].encode() + b'", "data": [')
        await work(runtime)
        forward(clock, hours=30)
        await work(runtime)
        (notice,) = await mailbox(runtime, world.company.id, EMAIL)
        assert PLANTED[0] in notice["text"]

        application = await one(runtime, world.company.id, Application)
        link = next(url for url in notice["links"] if "/c/" in url)
        person = Person(runtime, world, application, link.rpartition("/")[2])
        await person.give(world.agency.id, items=("name", "email", "phone"))
        forward(clock, minutes=31)
        await work(runtime)
        (relay,) = await rows(runtime, world.company.id, Relay)
        package = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
        feed = await agency_api.get("/v1/agency/feed?include=package")
        assert package.json()["candidate"]["email"] == feed.json()["data"][0]["package"][
            "candidate"]["email"] == EMAIL  # fmt: skip
        at = clock().isoformat()
        for kind in ("accepted", "contacted", "met", "recommended", "offered"):
            path = f"/v1/agency/relays/{relay.id}/events"
            assert (await agency_api.post(path, json={"type": kind, "at": at})).status_code == 200
        placed = await agency_api.post(
            f"/v1/agency/relays/{relay.id}/placement",
            json={"started_on": _today(clock()), "employment_term": "permanent",
                  "attestation": True},
        )  # fmt: skip
        assert placed.status_code == 201, placed.text
        await work(runtime)
        lists = [
            (await company_api.get(f"/v1/company/{name}")).text
            for name in ("applications", "deadlines", "notices", "relays", "metrics", "credits")
        ]
        metrics = (await client.get("/metrics")).text
        assert traces({"lists": "\n".join(lists), "metrics": metrics}) == []
        assert traces(await everything(owner)) == []

        await _nobody_else_sees_or_touches(runtime, owner, world, strangers)
        await _no_agency_writes_what_it_is_shown(runtime, owner, world, strangers)

        await _erase(runtime, client, world)
        await work(runtime)
    assert traces(await everything(owner)) == []
    assert list(await owner.fetch(
        "SELECT id FROM candidate WHERE profile IS NOT NULL OR email_hmac IS NOT NULL"
        " OR phone_hmac IS NOT NULL OR kana_birth_hmac IS NOT NULL"
    )) == []  # fmt: skip
    assert (await owner.fetchval("SELECT count(*) FROM mail WHERE sealed IS NOT NULL"
                                 " AND candidate_id IS NOT NULL")) == 0  # fmt: skip
    assert len(there.received) > 3
    sent = "\n".join(f"{hook.path} {hook.headers} {hook.body.decode()}" for hook in there.received)
    assert traces({"webhooks": sent}) == []
    assert len(written.getvalue().splitlines()) > 15
    assert traces({"logs": written.getvalue()}) == []
    assert "/c/" not in re.sub(r"/c/\{token\}", "", written.getvalue())


def _today(now: Any) -> str:
    return date.isoformat((now + timedelta(hours=9)).date())


async def _erase(runtime: Runtime, client: AsyncClient, world: World) -> None:
    mails = await mailbox(runtime, world.company.id, EMAIL)
    receipt = next(mail for mail in mails if "控え" in mail["subject"])
    path = next(u for u in receipt["links"] if "/c/" in u).removeprefix("http://relay.test")
    application = (await rows(runtime, world.company.id, Application))[0]
    visitor = Visitor(client, Person(runtime, world, application, ""), path, EMAIL)
    await visitor.prove()
    done = await visitor.press("/erase", ("erase", "yes"), on="/erase")
    assert done.status_code == 200


async def _nobody_else_sees_or_touches(
    runtime: Runtime, owner: Any, world: World, strangers: World
) -> None:
    """Every table, without a filter, by the other company and the other agency."""
    names = {row["relname"] for row in await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p')")} - NOT_FOREIGN  # fmt: skip
    ours = {world.company.id, world.agency.id}
    tenants: list[dict[str, str]] = [
        {"company_id": strangers.company.id}, {"agency_id": strangers.agency.id}, {},
    ]  # fmt: skip
    filled = {name for name in names if await owner.fetchval(f"SELECT count(*) FROM {name}")}  # noqa: S608
    wrong = []
    for tenant in tenants:
        for name in sorted(names):
            async with runtime.database.transaction(**tenant) as session:
                found = await session.execute(select(text("*")).select_from(sql_table(name)))
                seen = [row for row in found.mappings() if ours & set(map(str, row.values()))]
            if seen:
                wrong.append((name, tenant, "sees", len(seen)))
        wrong += await _writes(runtime, owner, filled, tenant)

    assert len(filled) > 25
    assert wrong == []


async def _writes(
    runtime: Runtime, owner: Any, filled: set[str], tenant: dict[str, str]
) -> list[Any]:
    """Rows of others that could be changed, removed or put in again."""
    wrong = []
    own = next(iter(tenant.values()), "")
    for name in sorted(filled):
        line = await owner.fetchrow(
            f"SELECT * FROM {name} t WHERE t::text NOT LIKE '%{own}%'"  # noqa: S608
            if own
            else f"SELECT * FROM {name}"  # noqa: S608
        )
        if line is None:
            continue
        column = next(iter(line.keys()))
        copied = (f"INSERT INTO {name} SELECT * FROM jsonb_populate_record(NULL::{name},"  # noqa: S608
                  " CAST(:row AS jsonb))")  # fmt: skip
        whole = await owner.fetchval(
            f"SELECT to_jsonb(t)::text FROM {name} t WHERE {column} = $1 LIMIT 1",  # noqa: S608
            line[column],
        )
        for what, statement, values in (
            ("updates", f"UPDATE {name} SET {column} = {column} WHERE {column} = :x",  # noqa: S608
             {"x": line[column]}),
            ("deletes", f"DELETE FROM {name} WHERE {column} = :x", {"x": line[column]}),  # noqa: S608
            ("inserts", copied, {"row": whole}),
        ):  # fmt: skip
            try:
                async with runtime.database.transaction(**tenant) as session:
                    done: Any = await session.execute(text(statement), values)
                    if done.rowcount:
                        wrong.append((name, tenant, what, done.rowcount))
                    await session.rollback()
            except DBAPIError as error:
                state = getattr(error.orig, "sqlstate", "")
                if state not in REFUSED:
                    wrong.append((name, tenant, what, state))
    return wrong


async def _no_agency_writes_what_it_is_shown(
    runtime: Runtime, owner: Any, world: World, strangers: World
) -> None:
    """An agency cannot put itself into another company's rows, nor change its own ones there."""
    for name in ("agreement", "placement", "provision", "relay", "relay_event", "stop_notice"):
        row = await owner.fetchval(f"SELECT to_jsonb(t)::text FROM {name} t LIMIT 1")  # noqa: S608
        if row is None:
            continue
        forged = {**json.loads(row), "agency_id": strangers.agency.id, "id": "forged_1"}
        with pytest.raises(DBAPIError, match="row-level security"):
            async with runtime.database.transaction(agency_id=strangers.agency.id) as session:
                await session.execute(
                    text(f"INSERT INTO {name} SELECT * FROM jsonb_populate_record(NULL::{name},"  # noqa: S608
                         " CAST(:row AS jsonb))"), {"row": json.dumps(forged)},
                )  # fmt: skip
    async with runtime.database.transaction(agency_id=world.agency.id) as session:
        done: Any = await session.execute(text("UPDATE agreement SET number = 'mine'"))
    assert done.rowcount == 0
