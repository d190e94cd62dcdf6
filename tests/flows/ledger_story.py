"""What the tests of the ledger share: placements to grant for, and the numbers that follow."""

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select

from domain.agreement import AgreementVersion
from domain.application import Application
from domain.candidate import Candidate
from domain.consent import Consent
from domain.flows.earn.correct_placement import restate
from domain.flows.earn.earn_credits import settle_placement
from domain.ids import new_id
from domain.ledger import day_after
from domain.placement import Placement
from domain.relay import Relay
from domain.store import lock
from domain.terms import guarantee_end, terms_of
from domain.views import credits as view


def at(day: date, hour: int = 10) -> datetime:
    """A moment of a day in Japan."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - timedelta(hours=9)


async def terms_are(db: Any, world: Any, **terms: Any) -> AgreementVersion:
    """A further version of the first agency's agreement, with these terms."""
    agreement = world.agreements[0]
    versions = select(AgreementVersion).where(
        col(AgreementVersion.agreement_id) == agreement.id
    ).order_by(col(AgreementVersion.version).desc())  # fmt: skip
    newest = (await db.scalars(versions)).first()
    made = AgreementVersion(
        company_id=agreement.company_id, agreement_id=agreement.id, version=newest.version + 1,
        agency_id=agreement.agency_id, terms={**newest.terms, **terms},
        effective_on=newest.effective_on, created_at=newest.created_at,
    )  # fmt: skip
    db.add(made)
    await db.flush()
    return made


async def newest_terms(db: Any, world: Any, agency: int = 0) -> AgreementVersion:
    agreement = world.agreements[agency]
    wanted = select(AgreementVersion).where(
        col(AgreementVersion.agreement_id) == agreement.id
    ).order_by(col(AgreementVersion.version).desc())  # fmt: skip
    return (await db.scalars(wanted)).first()


async def place(db: Any, world: Any, started_on: date, *, agency: int = 0) -> Placement:
    """Somebody relayed by the company started through an agency; nothing is granted yet."""
    company, agency_id = world.company.id, world.agencies[agency].id
    now = at(started_on)
    version = await newest_terms(db, world, agency)
    candidate = Candidate(company_id=company, id=new_id("cnd"), created_at=now)
    db.add(candidate)
    await db.flush()
    application = Application(
        company_id=company, id=new_id("app"), external_id=candidate.id, candidate_id=candidate.id,
        outcome="rejected", outcome_at=now, created_at=now,
    )  # fmt: skip
    consent = Consent(
        company_id=company, id=new_id("cns"), candidate_id=candidate.id, agency_id=agency_id,
        application_id=application.id, state="given", event_id=new_id("cev"), text_id="text",
        given_at=now, expires_at=now, provision_not_before=now,
    )  # fmt: skip
    db.add_all([application, consent])
    await db.flush()
    relay = Relay(
        company_id=company, id=new_id("rly"), agency_id=agency_id, application_id=application.id,
        candidate_id=candidate.id, consent_id=consent.id, state="placed", forward_at=now,
        forwarded_at=now, created_at=now,
    )  # fmt: skip
    db.add(relay)
    await db.flush()
    placement = Placement(
        company_id=company, id=new_id("plc"), agency_id=agency_id, relay_id=relay.id,
        agreement_id=version.agreement_id, agreement_version=version.version,
        started_on=started_on, employment_term="permanent",
        guarantee_end_on=guarantee_end(terms_of(version.terms), started_on),
        attested_at=now, created_at=now,
    )  # fmt: skip
    db.add(placement)
    await db.flush()
    return placement


async def earn(runtime: Any, world: Any, started_on: date, *, agency: int = 0) -> str:
    """A placement that was granted its credits on its first day; the placement's id."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        placement = await place(db, world, started_on, agency=agency)
        placement.look_at = day_after(placement.guarantee_end_on)
        await settle_placement(db, runtime.tools, placement, because="started", now=at(started_on))
        return placement.id


async def leave(runtime: Any, world: Any, placement_id: str, last_day: date, now: datetime) -> None:
    """The agency reports an early leave; told again it changes nothing."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        wanted = select(Placement).where(col(Placement.id) == placement_id)
        placement = (await db.scalars(wanted.with_for_update())).one()
        if placement.left_on is not None:
            return
        placement.left_on = last_day
        relay = await lock(db, Relay, world.company.id, placement.relay_id)
        await restate(
            db, runtime.tools, relay, placement, "early_leave", actor="crc_a", reason=None, now=now
        )


async def balance(runtime: Any, world: Any) -> dict[str, int]:
    """The buckets that are not empty."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        found = await view.balances(db, world.company.id)
    return {name: count for name, count in asdict(found.total).items() if count}


async def kinds(runtime: Any, world: Any) -> list[str]:
    """Every entry's kind, oldest first."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        found = await view.entries(db, world.company.id, limit=1000)
    return [entry.kind for entry in found][::-1]


async def count(runtime: Any, world: Any, table: str) -> int:
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return int((await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())  # noqa: S608
