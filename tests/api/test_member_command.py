"""`relay member`: colleagues and consultants who sign in, with their roles."""

import anyio.to_thread
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from api.cli import cli
from domain.caller import Member
from tests.applications import one, rows
from tests.conftest import settings_for

pytestmark = pytest.mark.anyio
PERSON = ("--email", "ni@people.example", "--name", "人事 二郎")


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


async def member_of(runtime, company_id):
    return await one(runtime, company_id, Member, company_id=company_id)


async def test_a_colleague_gets_roles_and_a_link_and_later_other_roles(runtime, world, relay):
    made = await relay(
        "member", "--owner", world.company.id, *PERSON, "--role", "recruiter",
        "--role", "feedback_approver",
    )  # fmt: skip
    first = await member_of(runtime, world.company.id)
    again = await relay("member", "--owner", world.company.id, *PERSON, "--role", "privacy_officer")
    second = await member_of(runtime, world.company.id)

    assert (made.exit_code, again.exit_code) == (0, 0)
    assert "/login/claim#" in made.output
    assert first.roles == ["recruiter", "feedback_approver"]
    assert (second.id, second.roles) == (first.id, ["privacy_officer"])


async def test_a_consultant_signs_in_for_the_agency(runtime, world, relay):
    made = await relay("member", "--owner", world.agency.id, *PERSON, "--role", "consultant")
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        there = (await db.scalars(select(Member).filter_by(agency_id=world.agency.id))).one()

    assert made.exit_code == 0
    assert there.roles == ["consultant"]


@pytest.mark.parametrize(
    ("owner", "role", "said"),
    [
        ("ours", "boss", "recruiter, head, privacy_officer"),
        ("cmp_00000000000000000000000000", "head", "not_found"),
        ("nobody", "head", "not_found"),
        ("agency", "consultant", "signs in for somebody else"),
    ],
)
async def test_what_cannot_be_is_said_and_nothing_is_kept(  # noqa: PLR0917
    runtime, world, relay, owner, role, said
):
    await relay("member", "--owner", world.company.id, *PERSON, "--role", "recruiter")
    owner = {"ours": world.company.id, "agency": world.agency.id}.get(owner, owner)
    refused = await relay("member", "--owner", owner, *PERSON, "--role", role)
    there = await rows(runtime, world.company.id, Member, company_id=world.company.id)

    assert refused.exit_code == 1
    assert said in refused.output
    assert [one.roles for one in there] == [["recruiter"]]
