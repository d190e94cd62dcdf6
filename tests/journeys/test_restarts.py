"""The process is killed at ten random moments of the loop; nothing is lost, nothing is doubled.

The real thing: `relay dev --no-history` as a process of its own, driven over HTTP, its agency a
real receiver on loopback. What a client may see is at-least-once with the same id; what the
product keeps is exactly once.
"""

import asyncio
import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.demo import visitor
from api.demo.visitor import Program
from api.shapes import utc_text

pytestmark = pytest.mark.anyio
KILLS = 10
PEOPLE = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Receiver:
    """An agency's endpoint: remembers every message id with its type and relay."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                relay = body["data"].get("relay_id", "")
                seen.append((self.headers["webhook-id"], body["type"], relay))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"


class Instance:
    """The demo as a process that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        env = {**os.environ, "RELAY_DATA_DIR": str(self.folder), "RELAY_PORT": str(self.port)}
        env.pop("DATABASE_URL", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "dev", "--no-history"], env=env,
            stdout=(self.folder / "out.log").open("ab"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._wait()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=40)

    def _wait(self) -> None:
        for _ in range(600):
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "out.log").read_text()[-3000:]
            try:
                if httpx2.get(f"{self.base}/healthz", timeout=2).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError((self.folder / "out.log").read_text()[-3000:])

    @property
    def demo(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "demo.json").read_text())
        return found


@pytest.fixture
def instance() -> Iterator[Instance]:
    folder = Path(tempfile.mkdtemp(prefix="relay-restarts-"))
    folder.chmod(0o755)
    made = Instance(folder)
    try:
        made.start()
        for _ in range(100):
            if (folder / "demo.json").exists():
                break
            time.sleep(0.1)
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Story:
    """The loop for a few people, each step repeated until it is answered, as good clients do."""

    def __init__(self, instance: Instance, receiver: Receiver) -> None:
        self.instance, self.demo = instance, instance.demo
        self.http = httpx2.AsyncClient(base_url=instance.base, timeout=60)
        company, agency = self.demo["company"], self.demo["agencies"][0]
        self.company = Program(self.http, company["client_id"], company["client_secret"])
        self.agency = Program(self.http, agency["client_id"], agency["client_secret"])
        self.receiver = receiver

    async def again(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Do it until it is answered; a broken connection says nothing about what was done."""
        for _ in range(200):
            try:
                return await act()
            except (httpx2.HTTPError, visitor.Refused):
                await asyncio.sleep(0.2)
        raise AssertionError("no answer")

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        for _ in range(400):
            found = await self.again(look)
            if found:
                return found
            await asyncio.sleep(0.1)
        raise AssertionError("it never came")

    async def now(self) -> datetime:
        async def read() -> datetime:
            answer = await self.http.get("/dev/clock")
            return datetime.fromisoformat(answer.json()["now"])

        moment: datetime = await self.again(read)
        return moment

    async def to(self, moment: datetime) -> None:
        async def move() -> bool:
            answer = await self.http.post("/dev/clock", json={"now": utc_text(moment)})
            return answer.status_code in (200, 422)  # 422: it stands there or later already

        assert await self.again(move)

    async def deliver(self, kind: str, data: dict[str, Any], at: datetime, name: str) -> None:
        there = next(c for c in self.demo["ats"] if c["provider"] == "standard-webhooks")

        async def send() -> None:
            await visitor.deliver_standard(
                self.http, there["webhook_url"], there["secret"], visitor.event(kind, at, data),
                message_id=name, now=datetime.fromisoformat(
                    (await self.http.get("/dev/clock")).json()["now"]
                ),
            )  # fmt: skip

        await self.again(send)

    async def mails(self, address: str) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            return [
                m for m in (await self.http.get("/dev/mailbox.json")).json() if address in m["to"]
            ]

        found: list[dict[str, Any]] = await self.again(read)
        return found


def person(number: int) -> dict[str, Any]:
    return {
        "application": {"external_id": f"A-{number}", "status": "rejected", "source": "company_site"},
        "candidate": {
            "external_id": f"C-{number}", "display_name": "試験 花子", "family_name": "試験",
            "given_name": "花子",
            "emails": [{"value": f"p{number}@mail.example", "type": "personal", "primary": True}],
        },
        "job": {"external_id": "J-1", "title": "法人営業", "department": "営業部"},
    }  # fmt: skip


async def tell_the_story(story: Story) -> list[str]:
    """Deliver, be told, consent, relay, place; the ids of the relays."""
    start = (await story.now()).replace(hour=1, minute=0, second=0, microsecond=0)
    while start.weekday() != 1 or start < await story.now():
        start += timedelta(days=1)
    await story.to(start)
    hook = {"url": story.receiver.url, "event_types": None, "payload_mode": "thin"}
    await story.again(lambda: story.agency.post("/v1/agency/webhook-endpoints", hook, key="hook"))
    for number in range(PEOPLE):
        ended = start - timedelta(hours=1)
        interview = {"external_id": f"I-{number}", "starts_at": utc_text(ended - timedelta(hours=1)),
                     "ends_at": utc_text(ended), "all_day": False, "status": "completed"}  # fmt: skip
        facts = person(number)
        await story.deliver(
            "interview.completed", {**facts, "interview": interview}, ended, f"msg-i-{number}"
        )
        rejection = {"initiated_by": "company", "rejected_at": utc_text(start)}
        await story.deliver(
            "application.rejected", {**facts, "rejection": rejection}, start, f"msg-r-{number}"
        )
    await story.to(start + timedelta(hours=5))
    relays = []
    for number in range(PEOPLE):
        relays.append(await consent_and_relay(story, number))
    await story.to(await story.now() + timedelta(minutes=40))
    for relay in relays:
        await place(story, relay)
    return relays


async def consent_and_relay(story: Story, number: int) -> str:
    address = f"p{number}@mail.example"
    mail = (await story.until(lambda: story.mails(address)))[-1]
    link = next(link for link in mail["links"] if "/c/" in link)
    agency = story.demo["agencies"][0]["id"]

    async def answer() -> None:
        await visitor.answer_form(story.http, link, agencies={agency})

    async def relay() -> str | None:
        found = await story.company.get(f"/v1/company/applications?external_id=A-{number}")
        path = f"/v1/company/relays?application_id={found['data'][0]['id']}"
        rows = (await story.company.get(path))["data"]
        return rows[0]["id"] if rows else None

    await story.again(answer)
    if not await story.again(relay):
        await story.again(answer)
    return str(await story.until(relay))


async def place(story: Story, relay: str) -> None:
    async def forwarded() -> bool:
        return bool((await story.agency.get(f"/v1/agency/relays/{relay}/package")).get("candidate"))

    await story.until(forwarded)
    at = utc_text(await story.now())
    for kind in ("accepted", "contacted", "met", "recommended", "offered"):
        await story.again(
            lambda kind=kind: story.agency.post(
                f"/v1/agency/relays/{relay}/events", {"type": kind, "at": at}, key=f"{kind}-{relay}"
            )
        )
    day = (await story.now() + timedelta(hours=9)).date().isoformat()
    body = {"started_on": day, "employment_term": "permanent", "attestation": True}
    made = await story.again(
        lambda: story.agency.post(
            f"/v1/agency/relays/{relay}/placement", body, key=f"place-{relay}"
        )
    )
    assert made.status_code == 201, made.text


async def test_ten_kills_lose_nothing_and_double_nothing(instance: Instance) -> None:
    receiver, dice = Receiver(), random.Random(20261121)
    story = Story(instance, receiver)
    telling = asyncio.create_task(tell_the_story(story))

    while instance.kills < KILLS and not telling.done():
        await asyncio.sleep(dice.uniform(0.05, 1.2))
        await asyncio.to_thread(instance.kill)
        await asyncio.to_thread(instance.start)
    relays = await telling
    while instance.kills < KILLS:
        await asyncio.to_thread(instance.kill)
        await asyncio.to_thread(instance.start)
        await asyncio.sleep(dice.uniform(0.05, 0.6))

    await everything_came_once(story, relays)


async def everything_came_once(story: Story, relays: list[str]) -> None:
    assert len(set(relays)) == PEOPLE
    for number in range(PEOPLE):
        subjects = Counter(mail["subject"] for mail in await story.mails(f"p{number}@mail.example"))
        assert set(subjects.values()) == {1}, subjects
        assert any("選考結果" in subject for subject in subjects)
        assert any("控え" in subject for subject in subjects)

    async def told() -> bool:
        created = {relay for _, kind, relay in story.receiver.seen if kind == "relay.created"}
        return created >= set(relays)

    await story.until(told)
    ids = {
        (kind, relay): set() for _, kind, relay in story.receiver.seen if kind == "relay.created"
    }
    for message, kind, relay in story.receiver.seen:
        if kind == "relay.created":
            ids[kind, relay].add(message)
    assert all(len(messages) == 1 for messages in ids.values())
    for relay in relays:
        entries = (await story.company.get(f"/v1/company/credits/entries?relay_id={relay}"))["data"]
        assert [entry["kind"] for entry in entries] == ["granted"]
    total = (await story.company.get("/v1/company/credits"))["total"]
    assert (total["pending"], total["available"]) == (PEOPLE, 0)
