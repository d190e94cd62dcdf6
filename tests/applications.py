"""Applications, interviews and rejections as rows, for tests that start after the ATS was heard."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from api.runtime import Runtime
from domain import vault
from domain.application import Application, Interview
from domain.candidate import Candidate
from domain.company import Company
from domain.flows.tell.open_notice import open_notice
from domain.flows.tell.set_deadline import set_deadline
from domain.ids import new_id
from domain.notice import Mail
from domain.store import find, lock
from domain.views.mailbox import mails
from tests.factories import World

HANAKO: dict[str, Any] = {
    "display_name": "試験 花子",
    "family_name": "試験",
    "given_name": "花子",
    "email": "hanako@mail.example",
}


async def an_application(
    runtime: Runtime, world: World, *, locale: str = "ja", profile: dict[str, Any] | None = None,
    **facts: Any,
) -> Application:  # fmt: skip
    """An application under decision, from the company's own site."""
    now = runtime.clock()
    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = Candidate(
            company_id=world.company.id, id=new_id("cnd"), locale=locale, created_at=now
        )
        db.add(candidate)
        await db.flush()
        await vault.make_keys(db, runtime.tools.sealer, candidate)
        await vault.set_profile(db, runtime.tools.sealer, candidate, profile or HANAKO)
        values: dict[str, Any] = {
            "external_id": new_id("A"), "job_title": "法人営業", "source": "company_site",
            "outcome_at": now, **facts,
        }  # fmt: skip
        application = Application(
            company_id=world.company.id, id=new_id("app"), candidate_id=candidate.id,
            created_at=now, **values,
        )  # fmt: skip
        db.add(application)
    return application


async def an_interview(
    runtime: Runtime, application: Application, *, ended_at: datetime | None = None, **facts: Any
) -> Interview:
    """An interview that took place (half an hour ago unless told), with its deadline."""
    now = runtime.clock()
    ended_at = ended_at or now - timedelta(minutes=30)
    async with runtime.database.transaction(company_id=application.company_id) as db:
        values = {"status": "completed", "told_at": now, **facts}
        interview = Interview(
            company_id=application.company_id, id=new_id("itv"), application_id=application.id,
            external_id=new_id("I"), starts_at=ended_at - timedelta(hours=1), ends_at=ended_at,
            created_at=now, **values,
        )  # fmt: skip
        db.add(interview)
        await db.flush()
        company = await db.get_one(Company, application.company_id)
        await set_deadline(db, runtime.tools, company, interview, now)
    return interview


async def reject(runtime: Runtime, application: Application, **facts: Any) -> None:
    """The company says no, and the notice takes its course."""
    now = runtime.clock()
    async with runtime.database.transaction(company_id=application.company_id) as db:
        there = await lock(db, Application, application.company_id, application.id)
        there.outcome, there.outcome_at, there.initiated_by = "rejected", now, "company"
        for name, value in facts.items():
            setattr(there, name, value)
        db.add(there)
        await db.flush()
        company = await db.get_one(Company, application.company_id)
        await open_notice(db, runtime.tools, company, there, now)


async def rows(runtime: Runtime, company_id: str, kind: Any, /, **where: Any) -> list[Any]:
    """The company's rows of a table, oldest first."""
    async with runtime.database.transaction(company_id=company_id) as db:
        wanted = select(kind).filter_by(**where).order_by(*kind.__table__.primary_key)
        return list((await db.scalars(wanted)).all())


async def one(runtime: Runtime, company_id: str, kind: Any, /, **where: Any) -> Any:
    """The only such row."""
    found = await rows(runtime, company_id, kind, **where)
    assert len(found) == 1, f"{len(found)} rows of {kind.__name__}"
    return found[0]


async def mailbox(runtime: Runtime, tenant_id: str, to: str | None = None) -> list[dict[str, Any]]:
    """Sent mails, oldest first."""
    async with runtime.database.transaction(company_id=tenant_id) as db:
        sent = await mails(db, runtime.tools, tenant_id)
    return [mail for mail in reversed(sent) if to is None or mail["to"] == to]


__all__ = [
    "HANAKO", "Mail", "an_application", "an_interview", "find", "mailbox", "one", "reject", "rows",
]  # fmt: skip
