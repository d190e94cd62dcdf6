"""A mail scanner opens every link in every mail and follows every link it finds: nothing changes.

Nobody consents, withdraws, proves an address, signs in or answers by being looked at (domain rules
5.4, invariant C7). The same is walked with the pages of people who are signed in.
"""

import re
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx2
import pytest
from sqlalchemy import URL
from sqlmodel import col, select

from api.clock import Clock
from api.runtime import Runtime
from domain.candidate import Candidate
from domain.consent import Consent
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.office.open_incident import Report, open_incident
from domain.flows.relay.provide_package import provide_package
from domain.notice import Mail
from domain.relay import Relay
from tests.api.test_candidate_pages import snapshot
from tests.applications import an_application, an_interview, mailbox, reject, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import World, work
from tests.pages.seed import enter

pytestmark = pytest.mark.anyio
HOST = "http://relay.test"
MOST_PAGES = 600
MOST_VARIANTS = 3
"""Of one page of somebody signed in: its filters, rows and months combine without end."""
_ROW = re.compile(r"/([a-z]{3}_[0-9A-Za-z]+|\d{4}-\d{2}(-\d{2})?)")
SKIPPED = ("/static/", "/docs", "/openapi.json")
TOLD = {
    "notice_rejected", "invitation_reminder", "consent_receipt", "provision_report",
    "withdrawal_confirmed", "stop_overdue", "placement_question", "sign_in_link", "incident_due",
}  # fmt: skip
"""Mails the story must have sent, so that the walk is worth something."""


class _Links(HTMLParser):
    """Everything on a page that a program might fetch: links, and forms that are sent by GET."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        for name in ("href", "src", "hx-get", "data-href"):
            self.found.append(named.get(name) or "")
        if tag == "form" and (named.get("method") or "get").lower() == "get":
            self.found.append(named.get("action") or "")


class Scanner:
    """Fetches what it is given and what that leads to, by GET and by HEAD."""

    def __init__(self, client: httpx2.AsyncClient, cookie: str | None = None) -> None:
        self.client = client
        self.headers = {"accept": "text/html", "user-agent": "LinkScanner/1.0"}
        if cookie is not None:
            self.headers["cookie"] = f"relay_session={cookie}"
        self.answers: dict[str, int] = {}

    async def walk(self, starts: Iterable[str]) -> None:
        """Each address once, in the order in which they are found."""
        self.answers = {}
        waiting = deque(dict.fromkeys(self._here(HOST, starts)))
        while waiting:
            address = waiting.popleft()
            if address in self.answers or self._seen_enough(address):
                continue
            assert len(self.answers) < MOST_PAGES, "the walk does not end"
            waiting += await self._fetch(address)

    def _seen_enough(self, address: str) -> bool:
        page = _page(address)
        seen = sum(_page(one) == page for one in self.answers)
        return "cookie" in self.headers and seen >= MOST_VARIANTS

    async def _fetch(self, address: str) -> list[str]:
        answer = await self.client.get(address, headers=self.headers)
        bare = await self.client.head(address, headers=self.headers)
        self.answers[address] = answer.status_code
        assert answer.status_code < 500, f"{address}: {answer.status_code}"
        assert bare.status_code < 500, f"HEAD {address}: {bare.status_code}"
        links = _Links()
        if answer.headers.get("content-type", "").startswith("text/html"):
            links.feed(answer.text)
        return self._here(address, [*links.found, answer.headers.get("location", "")])

    def _here(self, base: str, links: Iterable[str]) -> list[str]:
        """The links of our own site, whole, without the part behind the hash.

        The many pages of people who are signed in are walked in one language.
        """
        whole = (urldefrag(urljoin(base, link)).url for link in links if link)
        return [
            one
            for one in whole
            if one.startswith(f"{HOST}/")
            and not urlsplit(one).path.startswith(SKIPPED)
            and not ("cookie" in self.headers and "lang=" in urlsplit(one).query)
        ]


def _page(address: str) -> str:
    """The page, whichever row or month it shows."""
    return _ROW.sub("/*", urlsplit(address).path)


async def a_story(
    runtime: Runtime, world: World, client: httpx2.AsyncClient, clock: Clock
) -> dict[str, str]:
    """People hear, are asked, agree, are handed over, withdraw; officers and agencies are told."""
    cookies = {
        "officer": await enter(
            runtime, "officer", company_id=world.company.id, roles=["admin"]
        ),
        "agency": await enter(
            runtime, "agency", agency_id=world.agencies[1].id, roles=["consultant"]
        ),
    }  # fmt: skip
    told = await an_application(runtime, world)
    await an_interview(runtime, told)
    await reject(runtime, told)
    forward(clock, hours=3)
    await work(runtime)
    person = await invited(runtime, world)
    await person.give(*(agency.id for agency in world.agencies), followup=True)
    forward(clock, minutes=31)
    await work(runtime)
    for relay in await rows(runtime, world.company.id, Relay):
        async with runtime.database.transaction() as db:
            await provide_package(
                db, runtime.tools, relay.agency_id, relay.id, channel="api", client_id="ocl_x",
                now=clock(),
            )  # fmt: skip
    async with runtime.database.transaction(company_id=world.company.id) as db:
        there = await db.get_one(Candidate, (world.company.id, person.application.candidate_id))
        await withdraw(db, runtime.tools, there, [world.agencies[1].id], clock())
        await open_incident(
            db, runtime.tools, world.company.id, _report(clock()), actor="operator:x", now=clock()
        )
    await work(runtime)
    for days in (26, 5):
        forward(clock, days=days)
        await work(runtime)
    await client.post("/join/mirai", data={"email": "hanako@mail.example", "address": "x"})
    await client.post("/login", data={"email": "officer@people.example"})
    await work(runtime)
    cookies["officer"] = await enter(runtime, "head", company_id=world.company.id, roles=["admin"])
    cookies["agency"] = await enter(
        runtime, "desk", agency_id=world.agencies[1].id, roles=["consultant"]
    )
    return cookies


def _report(now: datetime) -> Report:
    return Report(now - timedelta(hours=1), ("special_care",))


async def links_of(runtime: Runtime, *tenants: str) -> list[str]:
    """Every link of every mail, in the text and in the HTML."""
    found: list[str] = []
    for tenant in tenants:
        for mail in await mailbox(runtime, tenant):
            found += mail["links"]
            found += re.findall(r'href="([^"]+)"', mail["html"])
            found += re.findall(r"https?://[^\s<>\"']+", mail["text"])
    return list(dict.fromkeys(found))


async def test_a_scanner_that_opens_everything_changes_nothing(
    runtime: Runtime,
    world: World,
    client: httpx2.AsyncClient,
    clock: Clock,
    database_url: URL,
) -> None:
    cookies = await a_story(runtime, world, client, clock)
    tenants = [world.company.id, *(agency.id for agency in world.agencies)]
    links = await links_of(runtime, *tenants)
    sent = {mail.template for tenant in tenants for mail in await _mails(runtime, tenant)}
    before: dict[str, Any] = await snapshot(database_url)
    scanner = Scanner(client)
    await scanner.walk(links)
    first = dict(scanner.answers)
    await scanner.walk(links)
    assert await snapshot(database_url) == before
    signed_in: dict[str, dict[str, int]] = {}
    for who, start in (("officer", "/dashboard"), ("agency", "/agency")):
        inside = Scanner(client, cookies[who])
        await inside.walk([start])
        signed_in[who] = inside.answers
    after = await snapshot(database_url)

    assert sent >= TOLD
    assert scanner.answers == first
    assert sum("/c/" in address for address in first) > 10
    assert sum(status == 200 for status in first.values()) > 10
    assert f"{HOST}/dashboard/privacy/register" in signed_in["officer"]
    assert len(signed_in["agency"]) > 10
    assert after == before
    given = await rows(runtime, world.company.id, Consent, state="given")
    assert [one.agency_id for one in given] == [world.agencies[0].id]


async def _mails(runtime: Runtime, tenant: str) -> list[Mail]:
    key = {"agency_id": tenant} if tenant.startswith("agy_") else {"company_id": tenant}
    async with runtime.database.transaction(**key) as db:
        found = await db.scalars(select(Mail).where(col(Mail.tenant_id) == tenant))
        return list(found.all())
