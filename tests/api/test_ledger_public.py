"""What everybody may see of the ledger, and the operator's commands."""

import json
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import SecretStr
from typer.testing import CliRunner

from api.auth import new_signing_key
from api.cli import cli
from api.ledger_keys import ledger_keys
from api.runtime import Runtime
from domain.flows.earn.build_checkpoint import build_checkpoint
from integrations.ed25519 import LedgerKeys, new_key
from tests.conftest import ledger_key, settings_for
from tests.flows.ledger_story import at, earn
from tests.flows.tampering import APRIL, a_book, owner, tamper

pytestmark = pytest.mark.anyio
KEYS = LedgerKeys(ledger_key())
SCRIPT = Path(__file__).parents[2] / "docs" / "verify_proof.py"


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


async def checkpoints(runtime, world, count):
    for _ in range(count):
        await earn(runtime, world, APRIL)
        async with runtime.database.transaction() as db:
            await build_checkpoint(db, KEYS, runtime.clock())


async def test_checkpoints_are_public_newest_first_and_name_nobody(runtime, world, client):
    await checkpoints(runtime, world, 5)
    first = await client.get("/.well-known/ledger-checkpoints", params={"limit": 2})
    pages = [first.json()]
    while pages[-1]["next_cursor"]:
        cursor = {"limit": 2, "cursor": pages[-1]["next_cursor"]}
        pages.append((await client.get("/.well-known/ledger-checkpoints", params=cursor)).json())
    listed = [one for page in pages for one in page["data"]]

    assert first.status_code == 200
    assert first.headers["cache-control"] == "public, max-age=60"
    assert [one["n"] for one in listed] == [5, 4, 3, 2, 1]
    assert {tuple(sorted(one)) for one in listed} == {
        ("built_at", "chain", "key_id", "leaf_count", "n", "root", "signature"),
    }
    assert {one["key_id"] for one in listed} == {KEYS.key_id}


@pytest.mark.parametrize("cursor", ["x", "LTE", "4pGi", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
async def test_a_cursor_that_is_not_ours_is_refused(client, cursor):
    answer = await client.get("/.well-known/ledger-checkpoints", params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_before_the_first_there_is_an_empty_page(client):
    answer = await client.get("/.well-known/ledger-checkpoints")

    assert answer.json() == {"data": [], "next_cursor": None}


async def test_the_keys_are_public_and_hold_nothing_private(client):
    answer = await client.get("/.well-known/ledger-keys.json")

    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.json() == {
        "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KEYS.key_id,
            "x": KEYS.jwks()["keys"][0]["x"],
        }]
    }  # fmt: skip


async def test_no_process_starts_without_a_ledger_key(database_url):
    with pytest.raises(SystemExit, match="RELAY_LEDGER_KEY"):
        Runtime.build(settings_for(database_url, ledger_key=None))


@pytest.mark.parametrize("wrong", ["", "no key", "signing"])
async def test_a_key_of_another_kind_is_refused_and_not_printed(database_url, wrong):
    settings = settings_for(database_url)
    told = settings.signing_key if wrong == "signing" else SecretStr(wrong)

    with pytest.raises(SystemExit, match="must be an Ed25519 private key") as refused:
        ledger_keys(settings.model_copy(update={"ledger_key": told}))
    assert "BEGIN" not in str(refused.value)


async def test_a_document_is_signed_apart_from_itself():
    key = new_key()
    keys, document = LedgerKeys(key), b'{"month":"2026-04"}'
    signature = keys.sign_document(document, kind="statement+jws")
    known = LedgerKeys(new_key(), key)

    assert signature.count(".") == 2
    assert signature.split(".")[1] == ""
    assert known.verifies_document(signature, document, kind="statement+jws")
    assert not known.verifies_document(signature, document + b" ", kind="statement+jws")
    assert not known.verifies_document(signature, document, kind="receipt+jws")
    assert not LedgerKeys(new_key()).verifies_document(signature, document, kind="statement+jws")
    for other in ("x", "", "..", "e30..AA", "bnVsbA..AA", "é..é", signature[:-4]):
        assert not known.verifies_document(other, document, kind="statement+jws")


async def test_an_old_key_may_be_private_or_public_but_nothing_else():
    old = new_key()
    present = new_key()
    public = load_pem_private_key(old.encode(), None).public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip
    named = LedgerKeys(old).key_id

    assert list(LedgerKeys(present, old).public())[1:] == [named]
    assert list(LedgerKeys(present, f"{public}\n{old}").public())[1:] == [named]
    with pytest.raises(ValueError, match="an old key must be"):
        LedgerKeys(present, new_signing_key())


# The operator's commands


@pytest.fixture
def relay(database_url, tmp_path):
    """A command, as its own process would run it."""
    settings = settings_for(database_url)
    told = {
        "RELAY_KEYS": settings.keys, "RELAY_PEPPER": settings.pepper,
        "RELAY_SIGNING_KEY": settings.signing_key, "RELAY_LEDGER_KEY": settings.ledger_key,
        "DATABASE_URL": settings.database_url,
    }  # fmt: skip
    env = {name: value.get_secret_value() for name, value in told.items() if value is not None}
    env["RELAY_CHECKPOINT_DIR"] = str(tmp_path / "copies")

    async def run(*words, said=""):
        def invoke():
            return CliRunner().invoke(cli, ["ledger", *words], env=env, input=said)

        return await anyio.to_thread.run_sync(invoke)

    return run


async def the_book(database_url):
    async with owner(database_url) as connection:
        return await connection.fetchrow("SELECT id, halted FROM book ORDER BY last_seq DESC")


async def test_verify_tells_by_its_exit_code(runtime, world, clock, relay, database_url):
    await a_book(runtime, world, clock)
    sound = await relay("verify")
    nobody = await relay("verify", "--company", "cmp_" + "0" * 26)
    await tamper(database_url, "UPDATE ledger_tx SET actor = 'me' WHERE seq = 2")
    broken = await relay("verify", "--book", (await the_book(database_url))["id"])
    since = await relay("verify", "--since", "1")
    ahead = await relay("verify", "--since", "99")

    assert (sound.exit_code, sound.stdout) == (0, "1 books, 6 postings verified.\n")
    assert (nobody.exit_code, nobody.stdout) == (0, "0 books, 0 postings verified.\n")
    book = await the_book(database_url)
    assert broken.exit_code == 1
    assert broken.stdout.splitlines()[0] == (
        f"chain: {world.company.id} {book['id']} seq 2: the transaction does not have its hash"
    )
    assert book["halted"] is False
    assert (since.exit_code, since.stdout) == (0, "1 books, 3 postings verified.\n")
    assert ahead.exit_code == 2


async def test_a_halted_book_goes_on_when_the_operator_says_so(
    runtime, world, clock, relay, database_url
):
    await a_book(runtime, world, clock)
    await tamper(database_url, "UPDATE ledger_tx SET actor = 'me' WHERE seq = 2")
    halted = await relay("verify", "--halt")
    stands = await the_book(database_url)
    no = await relay("resume", "--book", stands["id"], said="n\n")
    still = await the_book(database_url)
    yes = await relay("resume", "--book", stands["id"], said="y\n")
    unknown = await relay("resume", "--book", "bok_" + "0" * 26)

    assert (halted.exit_code, stands["halted"]) == (1, True)
    assert (no.exit_code, still["halted"]) == (1, True)
    assert yes.exit_code == 0, yes.output
    assert (await the_book(database_url))["halted"] is False
    assert unknown.exit_code == 1


async def test_a_proof_from_the_command_line_is_checked_offline(
    *, runtime, world, clock, relay, database_url, tmp_path
):
    await a_book(runtime, world, clock)
    await relay("checkpoints", "--build")
    book, path = (await the_book(database_url))["id"], tmp_path / "proof.ndjson"
    written = await relay("proof", "--book", book, "--out", str(path))
    printed = await relay("proof", "--book", book)
    none = await relay("proof", "--book", "bok_" + "0" * 26)
    wrong = await relay("proof", "--book", book, "--from", "5", "--to", "4")
    command = [sys.executable, "-I", str(SCRIPT), str(path), "--key", KEYS.public()[KEYS.key_id]]
    checked = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, check=False)
    )

    assert (written.exit_code, none.exit_code, wrong.exit_code) == (0, 1, 1)
    assert checked.returncode == 0, checked.stderr
    assert printed.stdout == path.read_text()
    assert json.loads(printed.stdout.splitlines()[0])["format"] == "ledger-proof-v1"


async def test_checkpoints_are_listed_with_their_copies(runtime, world, relay, tmp_path):
    before = await relay("checkpoints")
    await checkpoints(runtime, world, 2)
    listed = await relay("checkpoints")
    copies = sorted(path.name for path in (tmp_path / "copies").iterdir())

    assert "There is no checkpoint yet." in before.stdout
    assert listed.exit_code == 0
    assert copies == ["checkpoint-00000001.json", "checkpoint-00000002.json"]
