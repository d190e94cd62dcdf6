import os

import pytest

from integrations.scanning import scanner_of
from tests.scanners import BAD_WORD, clamd

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("over_a_socket", [False, True])
async def test_a_file_goes_to_the_scanner_whole_and_its_verdict_comes_back(tmp_path, over_a_socket):
    large = os.urandom(300_000)
    async with clamd(tmp_path / "clamd.ctl" if over_a_socket else None) as there:
        scanner = scanner_of(there.address)
        verdicts = [await scanner.scan(one) for one in (large, b"a" + BAD_WORD, b"")]

    assert verdicts == ["clean", "infected", "clean"]
    assert there.scanned == [large, b"a" + BAD_WORD, b""]


@pytest.mark.parametrize(
    "answer", [b"", b"INSTREAM size limit exceeded. ERROR\0", b"HTTP/1.1 200 OK?\r\n\r\n"]
)
async def test_no_verdict_is_a_failure_and_never_clean(answer):
    async with clamd() as there:
        there.answer = answer
        verdict = await scanner_of(there.address).scan(b"content")

    assert verdict == "failed"


async def test_a_scanner_that_is_not_there_is_a_failure(tmp_path):
    assert await scanner_of(f"clamd://{tmp_path}/nothing").scan(b"content") == "failed"


def test_the_address_says_which_scanner():
    assert scanner_of("") is None
    assert scanner_of("clamd://scanner.example").name == "clamd"
    for wrong in ("http://scanner.example", "clamd://", "/run/clamd.ctl", "clamd://host:port"):
        with pytest.raises(ValueError, match=r"RELAY_SCANNER|Port"):
            scanner_of(wrong)
