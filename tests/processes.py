"""The product as processes of their own: started, killed, stopped, and looked into."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

from api.demo import postgres

RELAY = (sys.executable, "-m", "api.cli")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Ours, without any setting of the product but those given."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("RELAY_")}
    ours.pop("DATABASE_URL", None)
    return {**ours, **given}


@contextmanager
def folder_for(name: str) -> Iterator[Path]:
    """A new folder, and no database left running in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"relay-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if (folder / "postgres" / "postmaster.pid").exists():
            postgres.find(folder / "postgres").stop()
        shutil.rmtree(folder, ignore_errors=True)


class Running:
    """A command that is running; what it says goes to a file."""

    def __init__(self, *words: str, env: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*RELAY, *words], env=environment(env), stdout=out, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        return self._log.read_text()[-3000:]

    def until_it_answers(self, url: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said()
            try:
                if httpx2.get(url, timeout=2).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(0.03)
        raise AssertionError(self.said())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, how: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(how)
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
