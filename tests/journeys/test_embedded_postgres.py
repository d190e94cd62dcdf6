"""The demo's own PostgreSQL: whatever its last run left behind, the next one starts and ends it."""

import os

import asyncpg
import pytest

from api.demo import place, postgres
from tests.processes import folder_for

pytestmark = pytest.mark.anyio


async def value(server: postgres.Embedded) -> int:
    connection = await asyncpg.connect(server.uri)
    try:
        return int(await connection.fetchval("SELECT 42"))
    finally:
        await connection.close()


async def test_a_file_naming_somebody_elses_process_is_not_believed() -> None:
    with folder_for("stale") as folder:
        server = postgres.find(folder / "postgres")
        server.start()
        named = folder / "postgres" / "postmaster.pid"
        lines = named.read_text().split("\n")
        server.stop()
        assert not named.exists()
        named.write_text("\n".join([str(os.getpid()), *lines[1:]]))

        again = postgres.find(folder / "postgres")
        again.start()

        assert await value(again) == 42
        assert named.read_text().split("\n")[0] != str(os.getpid())
        again.stop()
        assert not named.exists()


async def test_a_server_left_running_is_taken_over() -> None:
    with folder_for("left") as folder:
        postgres.find(folder / "postgres").start()
        number = (folder / "postgres" / "postmaster.pid").read_text().split("\n")[0]

        found = postgres.find(folder / "postgres")
        found.start()

        assert (folder / "postgres" / "postmaster.pid").read_text().split("\n")[0] == number
        assert await value(found) == 42


async def test_any_folder_will_do() -> None:
    with folder_for("odd") as folder:
        deep = folder / ("とても長い 名前's" * 8)
        deep.mkdir()
        server = postgres.find(deep / "postgres")
        server.start()

        assert await value(server) == 42
        assert server.sockets.stat().st_mode & 0o077 == 0
        server.stop()
        assert not (deep / "postgres" / "postmaster.pid").exists()
        server.sockets.rmdir()


def test_only_one_demo_uses_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_PATIENCE_SECONDS", 1)
    with folder_for("alone") as folder, place.alone(folder):
        with pytest.raises(SystemExit, match="Another `relay dev` runs"), place.alone(folder):
            pass
        assert list(folder.iterdir()) == [folder / "lock"]
    with folder_for("after") as folder:
        with place.alone(folder):
            pass
        with place.alone(folder):
            pass
