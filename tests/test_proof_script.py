"""The stand-alone verifier, as an auditor runs it: a process of its own, isolated, offline."""

import hashlib
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

from api.proof import stream
from domain.checkpoint import LedgerCheckpoint, published
from domain.errors import Invalid, NotFound
from domain.flows.earn.build_checkpoint import build_checkpoint
from domain.views.proof import Wish
from integrations.ed25519 import LedgerKeys, new_key
from tests.conftest import ledger_key
from tests.factories import make_world
from tests.flows.ledger_story import at, earn
from tests.flows.tampering import APRIL, a_book, owner, tamper

pytestmark = pytest.mark.anyio
SCRIPT = Path(__file__).parents[1] / "docs" / "verify_proof.py"
KEYS = LedgerKeys(ledger_key())


@pytest.fixture(autouse=True)
def spring(clock):
    clock.offset += at(APRIL) - clock()


async def checkpoint(runtime, keys=KEYS):
    async with runtime.database.transaction() as db:
        return await build_checkpoint(db, keys, runtime.clock())


async def book_of(database_url, world):
    async with owner(database_url) as connection:
        return await connection.fetchval(
            "SELECT id FROM book WHERE company_id = $1", world.company.id
        )


@pytest.fixture
async def proof(runtime, world, clock, database_url):
    """Makes a proof; the book has six transactions, of which five are in a checkpoint."""
    await a_book(runtime, world, clock)
    other = await make_world(runtime, slug="other")
    await earn(runtime, other, clock().date())
    await earn(runtime, other, clock().date(), agency=1)
    book = await book_of(database_url, world)
    await checkpoint(runtime)
    await earn(runtime, other, clock().date())
    await checkpoint(runtime)

    async def made(**wish):
        tenant = {"company_id": world.company.id}
        told = Wish(wish.pop("book_id", book), **wish)
        return [json.loads(line) async for line in stream(runtime, told, **tenant)]

    return made


@pytest.fixture
def check(tmp_path):
    """What the script says of these lines, and its exit code."""

    async def run(lines, *options, raw=None):
        path = tmp_path / "proof.ndjson"
        content = raw if raw is not None else "".join(json.dumps(one) + "\n" for one in lines)
        path.write_text(content, encoding="utf-8")
        command = [sys.executable, "-I", str(SCRIPT), str(path), *map(str, options)]
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(command, capture_output=True, text=True, check=False)
        )
        return done.returncode, done.stdout + done.stderr

    return run


def public_pem():
    key = load_pem_private_key(ledger_key().encode(), None).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def hex_key(keys=KEYS):
    return keys.public()[keys.key_id]


async def test_a_whole_book_is_shown(proof, check):
    lines = await proof()
    code, said = await check(lines, "--key", hex_key())

    assert code == 0, said
    assert said.splitlines() == [
        f"OK: book {lines[0]['book_id']}, seq 1 to 6, in a checkpoint through seq 6",
        "balances: issued -3, pending 1, used 1, reversed 1",
        f"newest checkpoint 3, signed by {hex_key()}",
    ]


async def test_without_a_key_it_says_what_to_compare(proof, check):
    code, said = await check(await proof())

    assert code == 0
    assert said.endswith(f"signed by {hex_key()}: compare it with /.well-known/ledger-keys.json\n")


async def test_a_key_may_be_a_file(proof, check, tmp_path):
    path = tmp_path / "public.pem"
    path.write_text(public_pem())
    code, _ = await check(await proof(), "--key", path)

    assert code == 0


async def test_a_stretch_names_what_it_rests_on(proof, check):
    lines = await proof(first=3, last=4)
    code, said = await check(lines, "--key", hex_key())
    whole = await proof()

    assert code == 0, said
    # Through the checkpointed head behind the stretch, or it would hang in the air.
    assert (lines[0]["from"], lines[0]["to"], lines[0]["told"]) == (3, 4, 6)
    assert lines[0]["previous"] == whole[2]["hash"]
    assert lines[0]["opening"] == [[1, 0, -2], [1, 1, 1], [1, 7, 1]]


async def test_a_credits_life_is_told(proof, check):
    whole = await proof()
    credit = whole[3]["moves"][0][1]
    lines = await proof(credit_id=credit)
    code, said = await check(lines, "--key", hex_key())

    assert code == 0
    assert said.splitlines()[:4] == [
        f"  2026-04-01 seq 1: {credit} issued -> pending",
        f"  2026-10-01 seq 3: {credit} pending -> available",
        f"  2026-10-01 seq 4: {credit} available -> reserved",
        f"  2026-10-01 seq 5: {credit} reserved -> used",
    ]


async def test_what_is_not_yet_in_a_checkpoint_is_said(*, runtime, world, check, database_url):
    await earn(runtime, world, APRIL)
    book = await book_of(database_url, world)
    tenant = {"agency_id": world.agency.id}
    fresh = [json.loads(line) async for line in stream(runtime, Wish(book), **tenant)]
    await checkpoint(runtime)
    await earn(runtime, world, APRIL)
    partly = [json.loads(line) async for line in stream(runtime, Wish(book), **tenant)]

    code, said = await check(fresh)
    assert (code, said.splitlines()[0]) == (
        0, f"OK: book {book}, seq 1 to 1, not yet in a checkpoint",
    )  # fmt: skip
    code, said = await check(fresh, "--key", hex_key())
    assert code == 1
    code, said = await check(partly, "--key", hex_key())
    assert (code, said.splitlines()[0]) == (
        0, f"OK: book {book}, seq 1 to 2, in a checkpoint through seq 1",
    )  # fmt: skip


async def test_checkpoints_that_do_not_hold_the_book_prove_nothing(proof, check):
    """Or a rewritten book would only have to leave its anchor out."""
    lines = await proof()
    without = [one for one in lines[:-1] if "anchor" not in one]
    code, said = await check([*without, {"end": len(lines) - 1}], "--key", hex_key())

    assert (code, said) == (1, "BROKEN: there are checkpoints, and none of them holds this book\n")


async def test_numbers_in_disguise_are_refused(proof, check):
    """As text a unit or a bucket has the same hash, and would be counted as something else."""
    lines = await proof()
    (unit, credit, source, target, *more), *others = lines[1]["moves"]
    for move in ([str(unit), credit, source, target], [unit, credit, source, str(target)]):
        code, said = await check(changed(lines, 1, moves=[[*move, *more], *others]))
        assert (code, said) == (1, "BROKEN: seq 1: a move is not in numbers\n")


def changed(lines, at, **values):
    return [{**one, **values} if number == at else one for number, one in enumerate(lines)]


def place_of(lines, name):
    return next(number for number, one in enumerate(lines) if name in one)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 5), ("effective_on", "2026-04-02"), ("recorded_at", "2026-04-01T01:00:00.000000Z"),
        ("business_key", "x"), ("fingerprint", "00" * 32), ("actor", "me"), ("reason_code", "x"),
        ("hash", "00" * 32), ("moves", []), ("dates", []),
        ("moves", [[1, "crd_x", 1, 2, 1, 0]]), ("dates", [["crd_x", "expires_on", "2030-01-01"]]),
    ],
)  # fmt: skip
async def test_a_changed_field_is_named_by_its_number(proof, check, field, value):
    lines = await proof()
    code, said = await check(changed(lines, 3, **{field: value}))

    assert (code, said) == (1, "BROKEN: seq 3 does not have its hash\n")


async def test_a_removed_transaction_is_named(proof, check):
    lines = await proof()
    without = [*lines[:3], *lines[4:-1], {"end": len(lines) - 1}]
    last = [*lines[:6], *lines[7:-1], {"end": len(lines) - 1}]

    assert await check(without) == (1, "BROKEN: seq 3 is missing\n")
    assert await check(last) == (1, "BROKEN: seq 6 is missing\n")


async def test_a_file_that_was_cut_off_is_refused(proof, check):
    lines = await proof()
    text = "".join(json.dumps(one) + "\n" for one in lines)

    assert await check(lines[:-1]) == (1, "BROKEN: the file is cut off\n")
    assert await check([], raw="") == (1, "BROKEN: the file is cut off\n")
    code, said = await check([], raw=text[:-30])
    assert (code, said.startswith("BROKEN: ")) == (1, True)
    code, said = await check([], raw="\x00 not a proof")
    assert (code, said.startswith("BROKEN: cannot be read")) == (1, True)
    assert await check([{"format": "x"}, {"end": 2}]) == (1, "BROKEN: not a ledger proof\n")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("closing", [], "seq 6: the balances are not what the moves make"),
        ("closing", [[1, 0, -3], [1, 1, 1], [1, 2, 1], [1, 7, 1]],
         "seq 6: the balances are not what the moves make"),
        ("opening", [[1, 2, 1]], "seq 1 must rest on nothing"),
        ("previous", "11" * 32, "seq 1 must rest on nothing"),
        ("book_id", "bok_" + "0" * 26, "seq 1 does not have its hash"),
        ("told", 7, "seq 7 is missing"),
        ("to", 9, "seq 7 is missing"),
        ("from", 2, "seq 2 is missing"),
        ("keys", {}, "checkpoint 2 is not signed by its key"),
    ],
)  # fmt: skip
async def test_a_changed_head_is_refused(proof, check, field, value, said):
    lines = await proof()

    assert await check(changed(lines, 0, **{field: value})) == (1, f"BROKEN: {said}\n")


@pytest.mark.parametrize(
    ("field", "value"),
    [("root", "00" * 32), ("built_at", "2026-04-01T01:00:00.000000Z"), ("leaf_count", 9),
     ("chain", "00" * 32)],
)  # fmt: skip
async def test_a_changed_checkpoint_is_named(proof, check, field, value):
    lines = await proof()
    at_line = place_of(lines, "checkpoint")
    row = {**lines[at_line]["checkpoint"], field: value}
    code, said = await check(changed(lines, at_line, checkpoint=row))

    assert (code, said) == (1, "BROKEN: checkpoint 2 does not have its hash\n")


async def test_a_missing_or_unsigned_checkpoint_is_named(proof, check):
    lines = await proof()
    first = place_of(lines, "checkpoint")
    without = [*lines[: first + 1], *lines[first + 2 : -1], {"end": len(lines) - 1}]
    row = lines[first]["checkpoint"]
    signature = bytearray(bytes.fromhex(row["signature"]))
    said = []
    for place in (0, 31, 32, 63):
        twisted = bytearray(signature)
        twisted[place] ^= 1
        forged = changed(lines, first, checkpoint={**row, "signature": twisted.hex()})
        said.append(await check(forged))

    assert said == [(1, "BROKEN: checkpoint 2 is not signed by its key\n")] * 4
    assert (await check(without))[0] == 0  # the newest is simply not told
    short = changed(lines, first, checkpoint={**row, "signature": row["signature"][:-2]})
    assert await check(short) == (1, "BROKEN: checkpoint 2 is not signed by its key\n")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("n", 9, "checkpoint 9 is missing"),
        ("seq", 5, "seq 5 is not what checkpoint 2 holds"),
        ("head_hash", "00" * 32, "seq 6 is not what checkpoint 2 holds"),
        ("path", [], "seq 6 does not lead to the root of checkpoint 2"),
        ("path", ["00" * 32, "11" * 32, "22" * 32],
         "seq 6 does not lead to the root of checkpoint 2"),
        ("place", 2, "seq 6 does not lead to the root of checkpoint 2"),
        ("place", 8, "seq 6 does not lead to the root of checkpoint 2"),
    ],
)  # fmt: skip
async def test_a_changed_way_to_the_root_is_refused(proof, check, field, value, said):
    lines = await proof()
    at_line = place_of(lines, "anchor")
    anchor = {**lines[at_line]["anchor"], field: value}

    assert await check(changed(lines, at_line, anchor=anchor)) == (1, f"BROKEN: {said}\n")


async def test_another_key_than_the_one_named_is_refused(proof, check):
    other = LedgerKeys(new_key())
    code, said = await check(await proof(), "--key", hex_key(other))

    assert code == 1
    assert said.startswith("BROKEN: the newest checkpoint is signed by ")


async def test_keys_of_a_forger_do_not_help_against_a_key_that_is_known(proof, check):
    """The bundle may bring its own keys; the auditor's decides."""
    forger = LedgerKeys(new_key())
    lines = await proof()
    for number, one in enumerate(lines):
        if row := one.get("checkpoint"):
            form = f"20:ledger-checkpoint-v1,{len(str(row['n']))}:{row['n']},64:{row['chain']},"
            signature = forger.sign(form.encode()).hex()
            lines[number] = {"checkpoint": {**row, "signature": signature, "key_id": forger.key_id}}
    lines = changed(lines, 0, keys=forger.public())

    assert (await check(lines))[0] == 0
    assert (await check(lines, "--key", hex_key()))[0] == 1


async def test_a_rewritten_chain_is_caught_by_its_own_checkpoint(proof, check):
    lines = await proof()
    rehashed, previous = list(lines), lines[1]["hash"]
    for number in range(2, 7):
        row = {**lines[number], **({"actor": "me"} if number == 2 else {})}
        parts = ["credit-ledger-v1", previous, lines[0]["book_id"], row["seq"], row["kind"],
                 row["effective_on"], row["recorded_at"], row["business_key"],
                 row["fingerprint"], row["actor"], row["reason_code"] or "", len(row["moves"]),
                 *(part for move in row["moves"] for part in move), len(row["dates"]),
                 *(part for one in row["dates"] for part in one)]  # fmt: skip
        form = "".join(f"{len(str(part).encode())}:{part}," for part in parts)
        previous = row["hash"] = hashlib.sha256(form.encode()).hexdigest()
        rehashed[number] = row

    assert await check(rehashed) == (1, "BROKEN: seq 6 is not what checkpoint 2 holds\n")


async def test_a_checkpoint_that_was_kept_decides(proof, check, tmp_path, database_url):
    newest = json.loads(json.dumps((await proof(since_checkpoint=1))[-2]["checkpoint"]))
    async with owner(database_url) as connection:
        first = await connection.fetchrow("SELECT * FROM ledger_checkpoint WHERE n = 1")
    kept, other = tmp_path / "kept.json", tmp_path / "other.json"
    kept.write_text(json.dumps(newest))
    other.write_text(json.dumps({**newest, "chain": "00" * 32}))
    oldest = tmp_path / "oldest.json"

    oldest.write_text(json.dumps(published(LedgerCheckpoint(**dict(first)))))

    assert (await check(await proof(), "--checkpoint", kept))[0] == 0
    assert await check(await proof(), "--checkpoint", other) == (
        1, "BROKEN: checkpoint 3 is not the one you kept\n",
    )  # fmt: skip
    assert await check(await proof(), "--checkpoint", oldest) == (
        1, "BROKEN: checkpoint 1 is not the one you kept\n",
    )  # fmt: skip
    whole = await proof(since_checkpoint=1)
    assert (await check(whole, "--checkpoint", kept, "--checkpoint", oldest))[0] == 0


async def test_what_the_database_was_made_to_say_shows_in_the_proof(proof, check, database_url):
    await tamper(database_url, "UPDATE ledger_balance SET qty = 9 WHERE unit = 1 AND bucket = 5")
    balances = await check(await proof())
    await tamper(database_url, "UPDATE ledger_tx SET reason_code = 'x' WHERE kind = 10")
    reason = await check(await proof())

    assert balances == (1, "BROKEN: seq 6: the balances are not what the moves make\n")
    assert reason == (1, "BROKEN: seq 2 does not have its hash\n")


async def test_nobody_gets_a_proof_of_what_is_not_theirs(runtime, world, proof):
    other = await make_world(runtime, slug="third")
    book = (await proof())[0]["book_id"]
    for tenant in ({"company_id": other.company.id}, {"agency_id": world.agencies[1].id}, {}):
        with pytest.raises(NotFound):
            await anext(stream(runtime, Wish(book), **tenant))
    with pytest.raises(NotFound):
        await proof(credit_id="crd_" + "0" * 26)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (4, 3), (1, 7), (7, 7), (7, None)])
async def test_a_stretch_that_is_not_there_is_refused(proof, first, last):
    with pytest.raises(Invalid) as refused:
        await proof(first=first, last=last)

    assert refused.value.code == "range_invalid"
