# ruff: noqa: INP001 - a script, not a package
"""Look for input that breaks an adapter, guided by what of the adapters it reaches.

    python scripts/fuzz_ats.py SYSTEM [body|shape|facts] [libFuzzer's own options]

`body`: any bytes as a delivery, beginning with the recorded ones. `shape`: a recorded delivery with
values and members changed. `facts`: the same with what the system's API answers. What must hold is
what `tests/integrations/ats/test_fuzz.py` says; the first input that breaks it is printed and kept
(`-artifact_prefix=FOLDER/`), and belongs into that file's lists then.

Needs atheris, which is no dependency of the house (CPython up to 3.13, Linux or macOS):

    python -m venv FOLDER
    FOLDER/bin/pip install -r requirements.lock && FOLDER/bin/pip install atheris
    FOLDER/bin/python scripts/fuzz_ats.py lever shape -max_total_time=300
"""

import contextlib
import copy
import importlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MODES = ("body", "shape", "facts")
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**12, 10**30, -(10**16), 1.5, 1e308, "", "\0", "\ud800", "x", "[]",
    "2026-06-02T00:00:00Z", "2026-06-02T00:00:00", "0001-01-01T00:00:00+09:00", "a@b.example",
    [], [None], [[]], {}, {"id": {}}, {"value": "a@b.example"}, ["a@b.example"], "company",
    "9999-12-31T23:59:59-09:00",
)  # fmt: skip


def _atheris() -> Any:
    try:
        return importlib.import_module("atheris")
    except ImportError:
        raise SystemExit("atheris is not installed: see the head of this file") from None


def _reshaped(read: Any, documents: list[Any]) -> Any:
    """A document with a few changes, all of them told by the fuzzer's bytes."""
    rules = importlib.import_module("tests.integrations.ats.test_fuzz")
    body = copy.deepcopy(documents[read.ConsumeIntInRange(0, len(documents) - 1)])
    for _ in range(read.ConsumeIntInRange(1, 4)):
        ways = list(rules.places(body))
        if not ways:
            break
        way = ways[read.ConsumeIntInRange(0, len(ways) - 1)]
        kind = read.ConsumeIntInRange(0, 3)
        if kind == 0:
            value: Any = _ODD[read.ConsumeIntInRange(0, len(_ODD) - 1)]
        elif kind == 1:
            value = read.ConsumeUnicode(read.ConsumeIntInRange(0, 60))
        elif kind == 2:  # noqa: PLR2004 - one of four kinds
            value = _at(body, ways[read.ConsumeIntInRange(0, len(ways) - 1)])
        else:
            value = read.ConsumeInt(8)
        body = rules.changed(body, way, copy.deepcopy(value))
    return body


def _at(body: Any, way: tuple[Any, ...]) -> Any:
    for step in way:
        body = body[step]
    return body


def _of_bodies(system: str, mode: str, atheris: Any) -> Callable[[bytes], None]:
    rules = importlib.import_module("tests.integrations.ats.test_fuzz")
    headers, documents = rules.told_with(system), rules.BODIES[system]

    def one(data: bytes) -> None:
        read = atheris.FuzzedDataProvider(data)
        with_these = headers[read.ConsumeIntInRange(0, len(headers) - 1)]
        if mode == "shape":
            raw = json.dumps(_reshaped(read, documents)).encode()
        else:
            raw = read.ConsumeBytes(len(data))
        found = rules.Incoming(raw, with_these, rules.NOW)
        if rules.ADAPTERS[system].verify(found, rules.KEYS):
            raise AssertionError("verified")
        rules.check(system, raw, with_these)

    return one


def _of_facts(system: str, atheris: Any) -> Callable[[bytes], None]:
    rules = importlib.import_module("tests.integrations.ats.test_fuzz")
    documents, told = rules.facts_of(system)

    def one(data: bytes) -> None:
        facts = _reshaped(atheris.FuzzedDataProvider(data), documents)
        if isinstance(facts, dict):
            rules.check_facts(system, facts, told)

    return one


def main(words: list[str]) -> None:
    """Fuzz until told to stop (`-max_total_time=`, `-runs=`) or until something breaks."""
    if not words or words[0].startswith("-"):
        raise SystemExit(__doc__)
    system = words.pop(0)
    mode = words.pop(0) if words and words[0] in MODES else "shape"
    atheris = _atheris()
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["integrations.ats"]):
        importlib.import_module("integrations.ats")
    rules = importlib.import_module("tests.integrations.ats.test_fuzz")
    if system not in (rules.APIS if mode == "facts" else rules.ADAPTERS):
        raise SystemExit(f"{system} has no {mode}")
    one = _of_facts(system, atheris) if mode == "facts" else _of_bodies(system, mode, atheris)
    with contextlib.ExitStack() as stack:
        if mode == "body":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for number, body in enumerate(rules.BODIES[system]):
                (folder / str(number)).write_bytes(b"\0" + json.dumps(body).encode())
            words.append(str(folder))
        atheris.Setup([sys.argv[0], *words], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
