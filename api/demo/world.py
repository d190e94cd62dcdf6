"""The demo as its invented people know it: the doors they use, and the mail that reaches them."""

import re
from datetime import datetime
from typing import Any

import httpx2

from api.demo import clock, visitor
from api.demo.people import Person
from api.demo.visitor import Browser, Program
from api.runtime import Runtime

_CODE = re.compile(r"確認コード: (\d{6})\b")


class World:
    """One company, its agencies and everybody's mailbox."""

    def __init__(self, runtime: Runtime, demo: dict[str, Any]) -> None:
        self.runtime, self.demo = runtime, demo
        self.base: str = demo["base_url"]
        self.http = httpx2.AsyncClient(base_url=self.base, timeout=60)
        company = demo["company"]
        self.company = Program(self.http, company["client_id"], company["client_secret"])
        self.agencies = [
            Program(self.http, a["client_id"], a["client_secret"]) for a in demo["agencies"]
        ]

    @property
    def now(self) -> datetime:
        """The demo's present moment."""
        return self.runtime.clock()

    async def deliver(self, kind: str, at: datetime, data: dict[str, Any], *, name: str) -> None:
        """The company's ATS delivers one event."""
        there = self.connection("standard-webhooks")
        await visitor.deliver_standard(
            self.http, there["webhook_url"], there["secret"], visitor.event(kind, at, data),
            message_id=name, now=self.now,
        )  # fmt: skip

    def connection(self, provider: str) -> dict[str, Any]:
        """The company's connection to a system."""
        found: dict[str, Any] = next(c for c in self.demo["ats"] if c["provider"] == provider)
        return found

    async def agency_says(
        self, number: int, relay: str, key: str, what: str, body: dict[str, Any] | None
    ) -> None:
        """An agency reports about a relay, once."""
        await self.agencies[number].post(
            f"/v1/agency/relays/{relay}/{what}", body, key=f"history-{key}"
        )

    async def application(self, person: Person) -> dict[str, Any] | None:
        """The person's application, if the company knows it."""
        found = await self.company.get(f"/v1/company/applications?external_id={person.external_id}")
        return found["data"][0] if found["data"] else None

    async def relay(self, person: Person, number: int) -> str | None:
        """The number of the person's relay at an agency."""
        application = await self.application(person)
        if application is None:
            return None
        path = f"/v1/company/relays?application_id={application['id']}"
        agency = self.demo["agencies"][number]["id"]
        relays = (await self.company.get(path))["data"]
        return next((str(r["id"]) for r in relays if r["agency_id"] == agency), None)

    async def link(self, address: str, part: str, *, subject: str = "") -> str | None:
        """The first such link in the newest mail to an address that holds one."""
        links = (link for mail in await self._mails(address, subject) for link in mail["links"])
        return next((link for link in links if part in link), None)

    async def code(self, address: str) -> str:
        """The newest code that was mailed to an address; empty where there is none."""
        await clock.settle(self.runtime)
        found = (_CODE.search(mail["text"]) for mail in await self._mails(address, ""))
        return next((one[1] for one in found if one is not None), "")

    async def at_own_page(self, browser: Browser, person: Person) -> str | None:
        """The person opens their own page and takes the second step; the page's address."""
        link = await self.link(person.email, "/c/", subject="控え")
        if link is None:
            return None
        await browser.open(link)
        if not await browser.press("/code"):
            return None
        return link if await self._enter_code(browser, person.email) else None

    async def sign_in(self, browser: Browser, address: str) -> None:
        """Somebody of the company comes in."""
        await browser.open(f"{self.base}/login")
        await browser.press("/login", ("email", address))
        await self._enter_code(browser, address)

    async def _enter_code(self, browser: Browser, address: str) -> bool:
        action = "/code/enter" if "/c/" in str(browser.page.url) else "/login/code"
        return await browser.press(action, ("code", await self.code(address)))

    async def _mails(self, address: str, subject: str) -> list[dict[str, Any]]:
        mails = (await self.http.get("/dev/mailbox.json")).json()
        return [mail for mail in mails if address in mail["to"] and subject in mail["subject"]]
