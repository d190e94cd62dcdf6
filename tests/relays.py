"""Relays for tests: a person who consented, and a receiver that an agency might run."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from api.runtime import Runtime
from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.consent import Consent, ConsentText
from domain.flows.consent.append_consent_event import append
from domain.flows.consent.withdraw_consent import withdraw
from domain.ids import new_id
from domain.relay import Relay
from domain.store import find
from tests.factories import World, work

PROFILE = {
    "display_name": "試験 花子",
    "family_name": "試験",
    "given_name": "花子",
    "family_name_kana": "シケン",
    "given_name_kana": "ハナコ",
    "email": "hanako.shiken@mail.example",
    "phone": "+819012345678",
    "desired_job": "法人営業",
    "birth_date": "1998-04-05",
}
ITEMS = ("name", "name_kana", "email", "phone", "desired_job")


async def queued(
    runtime: Runtime,
    world: World,
    *,
    agency: int = 0,
    items: tuple[str, ...] = ITEMS,
    minutes: int = 0,
    months_valid: int = 6,
    **profile: str,
) -> Relay:
    """A relay that waits; `minutes` until it may be handed over."""
    now = runtime.clock()
    company_id, agency_id = world.company.id, world.agencies[agency].id
    tag = new_id("x")[-8:]
    async with runtime.database.transaction(company_id=company_id) as db:
        candidate = Candidate(company_id=company_id, id=new_id("cnd"), created_at=now)
        db.add(candidate)
        await db.flush()
        await vault.make_keys(db, runtime.tools.sealer, candidate)
        await vault.set_profile(db, runtime.tools.sealer, candidate, {**PROFILE, **profile})
        application = Application(
            company_id=company_id, id=new_id("app"), external_id=f"A-{tag}",
            candidate_id=candidate.id, job_title="法人営業", stage="second", outcome="rejected",
            outcome_at=now, created_at=now,
        )  # fmt: skip
        text = ConsentText(
            company_id=company_id, id=new_id("txt"), version="2026-06", locale="ja", content={},
            sha256=hashlib.sha256(tag.encode()).hexdigest(), effective_on=date(2026, 1, 1),
            created_at=now,
        )  # fmt: skip
        db.add_all([application, text])
        await db.flush()
        event = await append(
            db, candidate, "given", now, application_id=application.id, agency_id=agency_id,
            text_id=text.id, items=list(items), expires_at=now + timedelta(days=30 * months_valid),
        )  # fmt: skip
        consent = Consent(
            company_id=company_id, id=new_id("cns"), candidate_id=candidate.id,
            agency_id=agency_id, application_id=application.id, state="given", event_id=event.id,
            text_id=text.id, items=list(items), given_at=now,
            expires_at=now + timedelta(days=30 * months_valid),
            provision_not_before=now + timedelta(minutes=minutes),
        )  # fmt: skip
        db.add(consent)
        await db.flush()
        relay = Relay(
            company_id=company_id, id=new_id("rly"), agency_id=agency_id,
            application_id=application.id, candidate_id=candidate.id, consent_id=consent.id,
            forward_at=consent.provision_not_before, created_at=now,
        )  # fmt: skip
        db.add(relay)
    return relay


async def forwarded(runtime: Runtime, world: World, **options: Any) -> Relay:
    """A relay the agency has been given."""
    relay = await queued(runtime, world, **options)
    await work(runtime)
    return await reload(runtime, relay)


async def reload(runtime: Runtime, relay: Relay) -> Relay:
    """The relay as it stands now."""
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        found = await find(db, Relay, relay.company_id, relay.id)
    assert found is not None
    return found


@dataclass
class Answer:
    """What a receiver says, and how it behaves while saying it."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    wait: float = 0
    reset: bool = False
    endless: bool = False


@dataclass
class Received:
    """A delivery that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded


@dataclass
class Receiver:
    """An agency's HTTP server on loopback; `answers` are used up one by one, then `always`."""

    always: Answer = field(default_factory=Answer)
    answers: list[Answer] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    on_receive: Callable[[Received], Awaitable[None]] | None = None
    port: int = 0
    sent_bytes: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def of(self, kind: str) -> list[Received]:
        return [one for one in self.received if one.json["type"] == kind]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        received = Received(first.split()[1], headers, body)
        self.received.append(received)
        if self.on_receive is not None:
            await self.on_receive(received)
        answer = self.answers.pop(0) if self.answers else self.always
        await asyncio.sleep(answer.wait)
        if answer.reset:
            writer.transport.abort()
            return
        size = len(answer.body) if not answer.endless else 10**12
        fields = {"content-length": str(size), "connection": "close", **answer.headers}
        writer.write(f"HTTP/1.1 {answer.status} X\r\n".encode())
        writer.write("".join(f"{k}: {v}\r\n" for k, v in fields.items()).encode() + b"\r\n")
        writer.write(answer.body)
        await writer.drain()
        while answer.endless:
            writer.write(b"x" * 65536)
            self.sent_bytes += 65536
            await writer.drain()


@asynccontextmanager
async def receiver(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Receiver]:
    """A running receiver."""
    made = Receiver(**options)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def verifies(secret: str, received: Received) -> bool:
    """Whether one of the signatures is by this secret (Standard Webhooks 1.0)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}."
    digest = hmac.new(key, signed.encode() + received.body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    return expected in received.headers["webhook-signature"].split()


async def take_back(runtime: Runtime, relay: Relay) -> None:
    """The person withdraws every consent."""
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        candidate = await db.get_one(Candidate, (relay.company_id, relay.candidate_id))
        await withdraw(db, runtime.tools, candidate, None, runtime.clock())
    await work(runtime)
