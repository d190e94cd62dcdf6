"""Both sides of a book by their own doors: what the ledger's stories have in common."""

from datetime import date
from typing import Any

from domain.flows.earn.verify_ledger import verify
from domain.ids import new_id
from tests.factories import work
from tests.flows.ledger_story import at, terms_are
from tests.relays import forwarded

TODAY = date(2026, 6, 2)
ENDS = date(2026, 12, 1)
"""The guarantee's last day of somebody who starts TODAY."""


class Table:
    """A company and an agency at one table, with a clock that moves."""

    def __init__(self, runtime: Any, clock: Any, world: Any, company: Any, agency: Any) -> None:
        self.runtime, self.clock, self.world = runtime, clock, world
        self.company, self.agency = company, agency

    async def terms(self, **terms: Any) -> None:
        """Other terms than the default ones, from the agreement's first day on."""
        async with self.runtime.database.transaction(company_id=self.world.company.id) as db:
            await terms_are(db, self.world, **terms)

    async def to(self, day: date, hour: int = 10) -> None:
        """Let time pass, with everything that falls due on the way."""
        self.clock.move_to(at(day, hour))
        await work(self.runtime)

    async def start(
        self, started_on: date = TODAY, relay: Any = None, **more: Any
    ) -> dict[str, Any]:
        """Somebody relayed today has started; the placement."""
        relay = relay or await self.somebody()
        answer = await self.report(relay, started_on, **more)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def somebody(self, **options: Any) -> Any:
        """A relay of a person whom nobody relayed before."""
        address = f"{new_id('x')}@mail.example"
        person = {"email": address, "phone": "", "birth_date": ""}
        return await forwarded(self.runtime, self.world, **person, **options)

    async def report(self, relay: Any, started_on: date, **more: Any) -> Any:
        """The agency reports a start."""
        body = {
            "started_on": started_on.isoformat(), "employment_term": "permanent",
            "attestation": True, **more,
        }  # fmt: skip
        return await self.agency.post(f"/v1/agency/relays/{relay.id}/placement", json=body)

    async def placement(self, placement: dict[str, Any], door: str, **body: Any) -> Any:
        """The agency reports more about a placement."""
        return await self.agency.post(f"/v1/agency/placements/{placement['id']}/{door}", json=body)

    async def reserve(self, **more: Any) -> Any:
        """HR holds a credit."""
        body = {"agency_id": self.world.agency.id, "opening": "経理", **more}
        return await self.company.post("/v1/company/credits/reservations", json=body)

    async def hold(self, held: dict[str, Any], door: str, **body: Any) -> Any:
        """HR ends a hold, or a hire made with it ended."""
        path = f"/v1/company/credits/reservations/{held['id']}/{door}"
        return await self.company.post(path, json=body or None)

    async def balance(self) -> dict[str, int]:
        """The buckets that are not empty, as the company sees them; the agency sees the same."""
        seen = []
        for side, api in (("company", self.company), ("agency", self.agency)):
            total = (await api.get(f"/v1/{side}/credits")).json()["total"]
            seen.append({name: count for name, count in total.items() if count})

        assert seen[0] == seen[1]
        return seen[0]

    async def kinds(self) -> list[str]:
        """What was posted, oldest first: `kind` or `kind:reason`."""
        found = (await self.company.get("/v1/company/credits/entries?limit=200")).json()["data"]
        return [
            entry["kind"] + (f":{entry['reason']}" if entry["reason"] else "")
            for entry in reversed(found)
        ]

    async def credits(self) -> list[dict[str, Any]]:
        """Every credit that was ever granted, oldest first."""
        entries = (await self.company.get("/v1/company/credits/entries?limit=200")).json()["data"]
        ids = sorted({entry["credit_id"] for entry in entries if entry["credit_id"]})
        return [(await self.company.get(f"/v1/company/credits/{one}")).json() for one in ids]

    async def sound(self) -> bool:
        """Whether everything, recomputed from the entries, agrees."""
        async with self.runtime.database.transaction() as db:
            report = await verify(db)

        assert report.findings == []
        return True
