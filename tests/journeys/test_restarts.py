"""The process is killed at ten random moments of the loop; nothing is lost, nothing is doubled.

The real thing: `relay dev --no-history` as a process of its own, driven over HTTP, its agency a
real receiver on loopback. What a client may see is at-least-once with the same id; what the
product keeps is exactly once.
"""

import asyncio
import fcntl
import http.server
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api import jobs
from api.database import Database
from api.demo import visitor
from api.demo.visitor import Program
from api.settings import async_url
from api.shapes import utc_text
from domain.flows.earn.verify_ledger import verify
from tests.processes import Running, folder_for, free_port

pytestmark = pytest.mark.anyio
SEED = int(os.environ.get("RESTART_SEED", "20261121"))
KILLS = 10
PEOPLE = 3
STEPS = 8 + PEOPLE * 10
"""Of the story below: the kills are spread over all of them."""
EVENTS = ("accepted", "contacted", "met", "recommended", "offered")


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
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Instance:
    """The demo as a process that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.running: Running | None = None
        self.starts = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> str:
        """The owner's address: past row-level security."""
        return f"postgresql://postgres@/career_relay?host={self.folder / 'postgres'}"

    def launch(self) -> Running:
        env = {"RELAY_DATA_DIR": str(self.folder), "RELAY_PORT": str(self.port)}
        self.running = Running("dev", "--no-history", env=env, log=self.folder / "out.log")
        return self.running

    def start(self) -> None:
        self.launch().until_it_answers(f"{self.base}/healthz")
        self.starts += 1

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self, how: signal.Signals) -> None:
        """It ends by itself, within seconds, and takes its database along."""
        assert self.running is not None
        began = time.monotonic()
        code = self.running.end(how)
        took = time.monotonic() - began

        assert code == 0, self.running.said()
        assert took < 10
        assert not (self.folder / "postgres" / "postmaster.pid").exists()

    async def demo(self) -> dict[str, Any]:
        path = self.folder / "demo.json"
        while not path.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.1)
        found: dict[str, Any] = json.loads(path.read_text())
        return found


@pytest.fixture
def instance() -> Iterator[Instance]:
    with folder_for("restarts") as folder:
        made = Instance(folder)
        try:
            yield made
        finally:
            if made.running is not None and made.running.process.poll() is None:
                made.kill()


class Story:
    """The loop for a few people, each step repeated until it is answered, as good clients do."""

    def __init__(self, instance: Instance, demo: dict[str, Any], receiver: Receiver) -> None:
        self.instance, self.demo, self.receiver = instance, demo, receiver
        self.http = httpx2.AsyncClient(base_url=instance.base, timeout=60)
        company, agency = self.demo["company"], self.demo["agencies"][0]
        self.company = Program(self.http, company["client_id"], company["client_secret"])
        self.agency = Program(self.http, agency["client_id"], agency["client_secret"])
        self.steps = 0

    def step(self) -> None:
        self.steps += 1

    async def again(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Do it until it is answered; a broken connection says nothing about what was done."""
        for _ in range(600):
            try:
                return await act()
            except (httpx2.HTTPError, visitor.Refused):
                await asyncio.sleep(0.1)
        raise AssertionError("no answer")

    async def say(self, path: str, body: dict[str, Any], *, key: str, status: int) -> Any:
        """One POST of the agency, under one key, until it has been carried out."""

        async def send() -> Any:
            answer = await self.agency.post(path, body, key=key)
            if answer.status_code == 409 and answer.json()["code"] == "idempotency_in_flight":
                raise visitor.Refused  # the one that was cut off is still in hand
            assert answer.status_code == status, answer.text
            return answer.json()

        self.step()
        return await self.again(send)

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        self.step()
        for _ in range(600):
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
        async def move() -> None:
            answer = await self.http.post("/dev/clock", json={"now": utc_text(moment)})
            if answer.status_code == 422:  # a move that was cut off had come so far
                assert answer.json()["code"] == "clock_goes_back"
            elif answer.status_code != 200:
                raise visitor.Refused

        self.step()
        await self.again(move)

    async def deliver(self, kind: str, data: dict[str, Any], at: datetime, name: str) -> None:
        there = next(c for c in self.demo["ats"] if c["provider"] == "standard-webhooks")

        async def send() -> None:
            await visitor.deliver_standard(
                self.http, there["webhook_url"], there["secret"], visitor.event(kind, at, data),
                message_id=name, now=datetime.fromisoformat(
                    (await self.http.get("/dev/clock")).json()["now"]
                ),
            )  # fmt: skip

        self.step()
        await self.again(send)

    async def mails(self, address: str) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            return [
                m for m in (await self.http.get("/dev/mailbox.json")).json() if address in m["to"]
            ]

        found: list[dict[str, Any]] = await self.again(read)
        return found


@pytest.fixture
async def story(instance: Instance) -> AsyncIterator[Story]:
    receiver = Receiver()
    instance.start()
    made = Story(instance, await instance.demo(), receiver)
    yield made
    await made.http.aclose()
    receiver.close()


def person(number: int) -> dict[str, Any]:
    return {
        "application": {
            "external_id": f"A-{number}", "status": "rejected", "source": "company_site",
        },
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
    await story.say("/v1/agency/webhook-endpoints", hook, key="hook", status=201)
    for number in range(PEOPLE):
        await interview_and_reject(story, number, start)
    await story.to(start + timedelta(hours=5))
    relays = [await consent_and_relay(story, number) for number in range(PEOPLE)]
    await story.to(await story.now() + timedelta(minutes=40))
    for relay in relays:
        await place(story, relay)
    # What a killed worker had in hand is its own for a minute; then another one may have it.
    await story.to(await story.now() + timedelta(minutes=15))
    return relays


async def interview_and_reject(story: Story, number: int, at: datetime) -> None:
    ended, facts = at - timedelta(hours=1), person(number)
    interview = {
        "external_id": f"I-{number}", "starts_at": utc_text(ended - timedelta(hours=1)),
        "ends_at": utc_text(ended), "all_day": False, "status": "completed",
    }  # fmt: skip
    await story.deliver(
        "interview.completed", {**facts, "interview": interview}, ended, f"msg-i-{number}"
    )
    rejection = {"initiated_by": "company", "rejected_at": utc_text(at)}
    await story.deliver(
        "application.rejected", {**facts, "rejection": rejection}, at, f"msg-r-{number}"
    )


async def consent_and_relay(story: Story, number: int) -> str:
    address = f"p{number}@mail.example"
    mail = (await story.until(lambda: story.mails(address)))[-1]
    link = next(link for link in mail["links"] if "/c/" in link)
    agency = story.demo["agencies"][0]["id"]

    async def relay() -> str | None:
        found = await story.company.get(f"/v1/company/applications?external_id=A-{number}")
        path = f"/v1/company/relays?application_id={found['data'][0]['id']}"
        rows = (await story.company.get(path))["data"]
        return rows[0]["id"] if rows else None

    async def answer() -> str | None:
        await visitor.answer_form(story.http, link, agencies={agency})
        return await relay()

    return str(await story.until(answer))


async def place(story: Story, relay: str) -> None:
    async def forwarded() -> bool:
        return bool((await story.agency.get(f"/v1/agency/relays/{relay}/package")).get("candidate"))

    await story.until(forwarded)
    at = utc_text(await story.now())
    for kind in EVENTS:
        path = f"/v1/agency/relays/{relay}/events"
        await story.say(path, {"type": kind, "at": at}, key=f"{kind}-{relay}", status=200)
    day = (await story.now() + timedelta(hours=9)).date().isoformat()
    body = {"started_on": day, "employment_term": "permanent", "attestation": True}
    path = f"/v1/agency/relays/{relay}/placement"
    await story.say(path, body, key=f"place-{relay}", status=201)


async def kill_along(story: Story, dice: random.Random) -> None:
    """Ten kills, spread over the steps of the story; each a little after its step began."""
    for moment in sorted(dice.sample(range(1, STEPS), KILLS)):
        while story.steps < moment:  # noqa: ASYNC110 - the story is told beside this
            await asyncio.sleep(0.01)
        await asyncio.sleep(dice.uniform(0, 0.3))
        await asyncio.to_thread(story.instance.restart)


async def test_ten_kills_lose_nothing_and_double_nothing(story: Story) -> None:
    dice = random.Random(SEED)  # noqa: S311
    async with asyncio.TaskGroup() as both:
        telling = both.create_task(tell_the_story(story))
        both.create_task(kill_along(story, dice))
    relays = telling.result()

    await everything_came_once(story, relays)
    await everything_is_kept_once(story.instance, relays)
    assert story.instance.starts == 1 + KILLS
    story.instance.stop(signal.SIGTERM)
    story.instance.start()
    assert (await story.company.get("/v1/company/credits"))["total"]["pending"] == PEOPLE
    story.instance.stop(signal.SIGINT)


async def everything_came_once(story: Story, relays: list[str]) -> None:
    """What those outside saw and see."""

    async def told() -> bool:
        created = {relay for _, kind, relay in story.receiver.seen if kind == "relay.created"}
        return created == set(relays)

    await story.until(told)

    assert len(set(relays)) == PEOPLE
    ids = {message for message, kind, _ in story.receiver.seen if kind == "relay.created"}
    assert len(ids) == PEOPLE
    for number in range(PEOPLE):
        subjects = Counter(mail["subject"] for mail in await story.mails(f"p{number}@mail.example"))
        assert set(subjects.values()) == {1}, subjects
        assert sum("選考結果" in subject for subject in subjects) == 1
        assert sum("控え" in subject for subject in subjects) == 1
    for relay in relays:
        entries = (await story.company.get(f"/v1/company/credits/entries?relay_id={relay}"))["data"]
        assert [entry["kind"] for entry in entries] == ["granted"]
    total = (await story.company.get("/v1/company/credits"))["total"]
    assert (total["pending"], total["available"]) == (PEOPLE, 0)


ONCE_A_PERSON = {
    "application": "SELECT external_id FROM application",
    "candidate": "SELECT id FROM candidate",
    "interview": "SELECT external_id FROM interview",
    "consent": "SELECT candidate_id FROM consent WHERE state = 'given'",
    "consent given": "SELECT candidate_id FROM consent_event WHERE kind = 'given'",
    "relay": "SELECT consent_id FROM relay WHERE state = 'placed'",
    "forwarded": "SELECT relay_id FROM relay_event WHERE type = 'forwarded'",
    **{kind: f"SELECT relay_id FROM relay_event WHERE type = '{kind}'" for kind in EVENTS},  # noqa: S608
    "provision": "SELECT relay_id FROM provision",
    "placement": "SELECT relay_id FROM placement",
    "credit": "SELECT placement_id FROM credit",
    "posting": "SELECT business_key FROM ledger_tx",
    "told of": "SELECT relay_id FROM webhook_message WHERE type = 'relay.created'",
    "notice": "SELECT application_id FROM notice WHERE state = 'sent'",
    "invitation": "SELECT application_id FROM invitation",
    "mail read": "SELECT about FROM mail WHERE about LIKE 'notice:%' AND state = 'sent'",
}


async def everything_is_kept_once(instance: Instance, relays: list[str]) -> None:
    """What the database holds, seen by its owner: rows, queue and ledger."""
    database = Database(async_url(instance.database))
    try:
        await nothing_left_to_do(database)
        async with database.transaction() as session:
            for what, query in ONCE_A_PERSON.items():
                found = [str(row[0]) for row in await session.execute(text(query))]
                assert (what, len(found), len(set(found))) == (what, PEOPLE, PEOPLE)
            rows = await session.execute(text("SELECT DISTINCT relay_id FROM provision"))
            assert {row[0] for row in rows} == set(relays)
            unsent = "SELECT about FROM mail WHERE state <> 'sent'"
            assert (await session.execute(text(unsent))).all() == []
            undelivered = "SELECT type, last_error FROM webhook_message WHERE state <> 'delivered'"
            assert (await session.execute(text(undelivered))).all() == []
            unread = "SELECT id FROM delivery WHERE status <> 'processed'"
            assert (await session.execute(text(unread))).all() == []
            kept = await session.execute(text("SELECT count(*) FROM delivery"))
            assert kept.scalar_one() == 2 * PEOPLE
            failed = "SELECT entrypoint FROM pgq.pgqueuer WHERE status = 'failed'"
            assert (await session.execute(text(failed))).all() == []
            report = await verify(session)
        assert report.ok, report.findings
        assert (report.books, report.transactions) == (1, PEOPLE)
    finally:
        await database.close()


async def nothing_left_to_do(database: Database) -> None:
    for _ in range(300):
        async with database.transaction() as session:
            if await jobs.waiting(session) == 0:
                return
        await asyncio.sleep(0.1)
    raise AssertionError("jobs are left")


def has_begun(instance: Instance) -> bool:
    """Whether it has taken its folder: from here on it writes."""
    with (instance.folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_a_first_start_killed_anywhere_is_finished_by_the_next(instance: Instance) -> None:
    dice = random.Random(SEED)  # noqa: S311
    for _ in range(4):
        instance.launch()
        while not has_begun(instance):  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.02)
        await asyncio.sleep(dice.uniform(0, 1.2))
        instance.kill()
    instance.start()
    demo = await instance.demo()

    database = Database(async_url(instance.database))
    try:
        async with database.transaction() as session:
            companies = (await session.execute(text("SELECT id FROM company"))).scalars().all()
            agencies = (await session.execute(text("SELECT id FROM agency"))).scalars().all()
            clients = (await session.execute(text("SELECT id FROM oauth_client"))).scalars().all()
            ats = (await session.execute(text("SELECT id FROM ats_connection"))).scalars().all()
    finally:
        await database.close()
    assert companies == [demo["company"]["id"]]
    assert set(agencies) == {agency["id"] for agency in demo["agencies"]}
    assert len(agencies) == 2
    assert set(clients) == {
        demo["company"]["client_id"], *(agency["client_id"] for agency in demo["agencies"]),
    }  # fmt: skip
    assert set(ats) == {one["connection_id"] for one in demo["ats"]}
    assert [p.name for p in instance.folder.glob("making-*")] == []
    instance.stop(signal.SIGTERM)
