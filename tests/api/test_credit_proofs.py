"""A proof fetched by either side, checked by the script that knows nothing of us."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from domain.flows.earn.build_checkpoint import build_checkpoint
from tests.ledger_doors import ENDS

pytestmark = pytest.mark.anyio
SCRIPT = Path(__file__).parents[2] / "docs" / "verify_proof.py"


def check(tmp_path, content):
    proof = tmp_path / "proof.ndjson"
    proof.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(proof)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


async def test_both_sides_get_a_proof_that_holds_and_a_changed_one_does_not(table, tmp_path):
    await table.start()
    await table.to(ENDS + timedelta(days=1))
    async with table.runtime.database.transaction() as db:
        await build_checkpoint(db, table.runtime.tools.signer, table.clock())
    company = await table.company.get(
        f"/v1/company/credits/proof?counterparty_id={table.world.agency.id}"
    )
    agency = await table.agency.get(
        f"/v1/agency/credits/proof?counterparty_id={table.world.company.id}"
    )

    assert company.status_code == 200, company.text
    assert company.content == agency.content
    code, said = check(tmp_path, company.content)
    assert (code, "OK" in said) == (0, True), said
    code, said = check(tmp_path, company.content.replace(b"2026-06-02", b"2026-06-01"))
    assert code == 1, said


async def test_no_book_no_proof_and_none_for_strangers(table):
    none = await table.company.get(
        f"/v1/company/credits/proof?counterparty_id={table.world.agency.id}"
    )
    await table.start()
    beyond = await table.company.get(
        f"/v1/company/credits/proof?counterparty_id={table.world.agency.id}&first=9"
    )

    assert (none.status_code, none.json()["code"]) == (404, "not_found")
    assert (beyond.status_code, beyond.json()["code"]) == (422, "range_invalid")
