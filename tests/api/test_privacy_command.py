"""`relay incident` and `relay privacy`: what the operator does for every company."""

import json
from datetime import UTC, datetime, timedelta

import anyio.to_thread
import pytest
from typer.testing import CliRunner

from api.cli import cli
from domain.agency import Agency
from domain.business_days import local_day
from domain.consent import ConsentTextEnd
from domain.consent_text import VERSION
from domain.flows.relay.provide_package import provide_package
from domain.incident import Incident
from tests.applications import one, rows
from tests.conftest import settings_for
from tests.factories import make_world
from tests.relays import forwarded

pytestmark = pytest.mark.anyio
OPEN = (
    "incident", "open", "--known-at", "2020-06-01T10:00:00+09:00", "--outline", "誤送信",
    "--by", "運用", "--kind", "special_care", "--origin", "op-7",
)  # fmt: skip
FACTS = {"country": "Germany", "regime": "GDPR", "measures": "equal"}


@pytest.fixture
def relay(database_url):
    """The command, as its own process would run it."""
    settings = settings_for(database_url)
    told = {
        "RELAY_KEYS": settings.keys, "RELAY_PEPPER": settings.pepper,
        "RELAY_SIGNING_KEY": settings.signing_key, "RELAY_LEDGER_KEY": settings.ledger_key,
        "DATABASE_URL": settings.database_url,
    }  # fmt: skip
    env = {name: value.get_secret_value() for name, value in told.items() if value is not None}

    async def run(*words):
        invoke = CliRunner().invoke
        return await anyio.to_thread.run_sync(lambda: invoke(cli, [*words], env=env))

    return run


async def test_every_company_hears_of_an_incident_once(runtime, world, relay):
    other = await make_world(runtime, slug="betsu", agencies=0)
    nothing = await relay("incident", "list")
    first = await relay(*OPEN, "--all-companies")
    again = await relay(*OPEN, "--all-companies")
    listed = await relay("incident", "list")
    ours = await one(runtime, world.company.id, Incident)
    theirs = await one(runtime, other.company.id, Incident)

    assert nothing.output == "No incident is open.\n"
    assert (first.exit_code, again.exit_code, listed.exit_code) == (0, 0, 0)
    assert first.output.startswith("op-7: 2 companies told.\n")
    assert f"{ours.id} first report 2020-06-03, full report 2020-06-30" in first.output
    assert (ours.origin, theirs.origin, ours.reported_by) == ("op-7", "op-7", "operator:運用")
    assert "誤送信" not in first.output + listed.output


@pytest.mark.parametrize("more", [(), ("--all-companies", "--company", "cmp_x")])
async def test_nobody_is_told_without_saying_who(runtime, world, relay, more):
    answer = await relay(*OPEN, *more)

    assert answer.exit_code == 2
    assert await rows(runtime, world.company.id, Incident) == []


async def test_a_company_nobody_knows_stops_it_before_anybody_is_told(runtime, world, relay):
    unknown = "cmp_" + "0" * 26
    answer = await relay(*OPEN, "--company", world.company.id, "--company", unknown)

    assert (answer.exit_code, answer.output) == (1, f"company_unknown: {unknown}\n")
    assert await rows(runtime, world.company.id, Incident) == []


async def test_words_of_the_past_are_ended_by_whoever_may_and_says_why(runtime, world, relay):
    await forwarded(runtime, world)
    today = local_day(datetime.now(UTC))  # noqa: TID251 - the command reads the real clock

    async def end(*words):
        return await relay("privacy", "end-text", *words, "--reason", "改正", "--by", "運用")

    day = str(today + timedelta(days=1))
    current = await end(VERSION, "--on", day, "--company", world.company.id)
    unknown = await end("1999-01", "--on", day, "--company", world.company.id)
    nobody = await end("2026-06", "--on", day, "--company", "cmp_x")
    passed = await end("2026-06", "--on", str(today - timedelta(days=1)), "--company",
                       world.company.id)  # fmt: skip
    before = await rows(runtime, world.company.id, ConsentTextEnd)
    ended = await end("2026-06", "--on", day, "--company", world.company.id)
    kept = await one(runtime, world.company.id, ConsentTextEnd)

    assert [one.output.partition(":")[0] for one in (current, unknown, nobody, passed)] == [
        "text_current", "text_unknown", "company_unknown", "period_invalid",
    ]  # fmt: skip
    assert {one.exit_code for one in (current, unknown, nobody, passed)} == {1}
    assert before == []
    assert (ended.exit_code, ended.output) == (0, f"2026-06 ends on {day}.\n")
    assert (kept.version, str(kept.ends_on), kept.set_by) == ("2026-06", day, "operator:運用")


async def test_all_hand_overs_are_looked_at_on_demand(runtime, world, relay):
    there = await forwarded(runtime, world)
    async with runtime.database.transaction() as db:
        await provide_package(
            db, runtime.tools, there.agency_id, there.id, channel="api", client_id="ocl_x",
            now=runtime.clock(),
        )  # fmt: skip
    answer = await relay("privacy", "check")

    assert (answer.exit_code, answer.output) == (0, "1 hand-overs looked at.\n")


async def test_an_agency_abroad_is_noted_with_its_grounds(runtime, world, relay, tmp_path):
    whole, half = tmp_path / "whole.json", tmp_path / "half.json"
    facts = {"basis": "designated_country", "ja": FACTS, "en": FACTS}
    whole.write_text(json.dumps(facts))
    half.write_text(json.dumps({**facts, "ja": {}}))
    refused = await relay(
        "privacy", "abroad", world.agency.id, "--country", "DE", "--facts", str(half)
    )
    noted = await relay(
        "privacy", "abroad", world.agency.id, "--country", "de", "--facts", str(whole)
    )
    async with runtime.database.transaction() as db:
        agency = await db.get_one(Agency, world.agency.id)

    assert refused.exit_code == 1
    assert refused.output.startswith("cross_border_incomplete: ja.country")
    assert noted.exit_code == 0
    assert (agency.country, agency.cross_border) == ("DE", facts)
