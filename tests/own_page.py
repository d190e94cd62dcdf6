"""A person at their own page, through the real doors: look, press buttons, take the second step."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2

from api.demo.visitor import _Forms
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from tests.applications import mailbox
from tests.consents import Person
from tests.factories import work
from tests.relays import PROFILE


@dataclass
class Visitor:
    """Somebody with a link to a person's page, in a browser of their own."""

    client: httpx2.AsyncClient
    person: Person
    path: str
    email: str = PROFILE["email"]

    async def get(self, place: str = "", **more: Any) -> httpx2.Response:
        return await self.client.get(f"{self.path}{place}", **more)

    async def form(self, action: str, *, on: str = "") -> dict[str, Any]:
        """The first form of a page whose action ends so."""
        page = await self.get(on)
        return form_in(page, action)

    async def press(
        self, action: str, *more: tuple[str, str], on: str = "", **changed: str
    ) -> httpx2.Response:
        """Send a form of a page as it stands, but for what is changed or added."""
        return await self.send(await self.form(action, on=on), *more, **changed)

    async def send(
        self, form: dict[str, Any], *more: tuple[str, str], **changed: str
    ) -> httpx2.Response:
        names = {name for name, _ in more}
        kept = [
            (name, changed.pop(name, value))
            for name, value, kind in form["fields"]
            if kind not in {"radio", "checkbox"} and name not in names
        ]
        return await post(self.client, form["action"], [*kept, *changed.items(), *more])

    async def ask_code(self, to: str = "") -> httpx2.Response:
        """Have a code mailed; the page where it is typed."""
        return await self.press("/code", to=to)

    async def codes(self) -> list[str]:
        """Every code that was mailed to the person, oldest first."""
        await work(self.person.runtime)
        mails = await mailbox(self.person.runtime, self.person.world.company.id, self.email)
        found = (re.search(r"(?:確認コード|Code): (\d{6})\n", mail["text"]) for mail in mails)
        return [one[1] for one in found if one is not None]

    async def prove(self, to: str = "") -> httpx2.Response:
        """Take the second step."""
        shown = await self.ask_code(to)
        assert shown.status_code == 200, shown.text
        code = (await self.codes())[-1]
        answer = await self.send(form_in(shown, "/code/enter"), code=code)
        assert answer.status_code == 303, answer.text
        return answer


def form_in(page: httpx2.Response, action: str) -> dict[str, Any]:
    """The first form of a page whose action ends so."""
    found = (form for form in _Forms(page.text).forms if form["action"].endswith(action))
    form = next(found, None)
    assert form is not None, f"no form {action}: {page.status_code} {page.text[:2000]}"
    return form


async def post(
    client: httpx2.AsyncClient, path: str, data: list[tuple[str, str]]
) -> httpx2.Response:
    return await client.post(
        path, content=urlencode(data).encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )  # fmt: skip


async def at_own_page(client: httpx2.AsyncClient, person: Person) -> Visitor:
    """With a fresh link, as a mail would hold it."""
    runtime = person.runtime
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        candidate = await person.reload()
        url = await new_my_page_link(db, runtime.tools, candidate, runtime.clock())
    return Visitor(client, person, url.removeprefix(runtime.tools.public_url))
