"""A rejected person with a link to the form, for tests of what they do with it."""

from dataclasses import dataclass
from typing import Any

from api.runtime import Runtime
from domain import consent_text, data_items, vault
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.consent_text import Statement
from domain.flows.consent import record_consent
from domain.flows.consent.keep_consent import Answer
from domain.flows.ways_in.invite import invite
from domain.flows.ways_in.open_candidate_link import Opened, agencies_offered, open_candidate_link
from tests.applications import an_application
from tests.factories import World
from tests.relays import PROFILE

BASICS = ("name", "email")


@dataclass
class Person:
    """Somebody who was turned down and invited."""

    runtime: Runtime
    world: World
    application: Application
    token: str

    async def open(self, db: Any) -> Opened:
        opened = await open_candidate_link(db, self.token)
        assert opened is not None
        return opened

    async def statement(self, db: Any, locale: str = "ja") -> Statement:
        opened = await self.open(db)
        agencies = await agencies_offered(db, opened.company, self.runtime.clock())
        assert opened.application is not None
        profile = await vault.profile_of(db, self.runtime.tools.sealer, opened.candidate)
        items = data_items.offered(
            profile, job_title=opened.application.job_title, stage=opened.application.stage
        )
        return consent_text.build(opened.company, agencies, items, locale)

    async def give(
        self,
        *agency_ids: str,
        items: tuple[str, ...] = BASICS,
        submission_id: str = "a-submission-of-mine",
        **answer: Any,
    ) -> bool:
        """Consent, in one transaction."""
        choices = {one: list(items) for one in agency_ids}
        return await self.choose(choices, submission_id, **answer)

    async def choose(
        self,
        choices: dict[str, list[str]],
        submission_id: str = "a-submission-of-mine",
        **answer: Any,
    ) -> bool:
        """Consent to exactly this, whatever the form offered."""
        async with self.runtime.database.transaction() as db:
            return await record_consent.give(
                db, self.runtime.tools, await self.open(db), await self.statement(db),
                Answer(submission_id, choices, **answer), now=self.runtime.clock(),
            )  # fmt: skip

    async def decline(self, submission_id: str = "a-submission-of-mine") -> bool:
        async with self.runtime.database.transaction() as db:
            statement = await self.statement(db)
            return await record_consent.decline(
                db, self.runtime.tools, await self.open(db), statement, Answer(submission_id),
                now=self.runtime.clock(),
            )  # fmt: skip

    async def reload(self) -> Candidate:
        async with self.runtime.database.transaction(company_id=self.world.company.id) as db:
            return await db.get_one(
                Candidate, (self.world.company.id, self.application.candidate_id)
            )


async def invited(runtime: Runtime, world: World, **facts: Any) -> Person:
    """An invited person; `facts` are those of the application."""
    known = {"profile": dict(PROFILE), "outcome": "rejected", "stage": "二次面接", **facts}
    application = await an_application(runtime, world, **known)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        there = await db.get_one(Application, (world.company.id, application.id))
        url = await invite(db, runtime.tools, company, there, runtime.clock())
    return Person(runtime, world, application, url.rpartition("/")[2])
