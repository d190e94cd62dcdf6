"""Many applications nobody here has heard of, and from which nothing follows: written together.

Most rows of a first import are of this kind: long decided, or still going on without an interview
of ours. They leave the very rows behind that `apply_event` would leave, one after the other (a
test compares them), at a twentieth of the cost. Whoever is to be told goes the long way.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from domain.application import Application
from domain.candidate import KEY_KINDS, Candidate, SubjectKey
from domain.company import Company
from domain.delivery import AtsEvent
from domain.flows.hear import apply_event, change_outcome, meet_applicant
from domain.flows.hear.apply_event import Said
from domain.ids import new_id
from domain.import_rows import Row
from domain.imports import ImportRow
from domain.ports import Masked, Tools
from domain.retention import first_look

_KANA = ("family_name_kana", "given_name_kana")


@dataclass(frozen=True, repr=False)
class New(Masked):
    """A row about an application we do not know: how it stands, and the event of its end."""

    row: Row
    number: str
    digest: bytes
    known: Said
    end: Said | None


def is_plain(row: Row) -> bool:
    """Whether nothing follows from the row: no promise, nobody to be told."""
    promised = row.interview is not None and not row.interview.past
    held = row.history or row.unclear or not row.candidate["primary_email"]
    return not promised and (row.outcome != "rejected" or held)


async def lock_numbers(
    session: AsyncSession, company_id: str, connection_id: str, numbers: Sequence[str]
) -> None:
    """Let events about these applications wait, as `meet_applicant.meet` does for one."""
    names = sorted({f"application {company_id} {connection_id} {number}" for number in numbers})
    wanted = text(
        "SELECT pg_advisory_xact_lock(hashtextextended(one.name, 0))"
        " FROM unnest(CAST(:names AS text[])) AS one(name)"
    )
    await session.execute(wanted, {"names": names})


async def strangers(
    session: AsyncSession, company_id: str, connection_id: str, rows: Sequence[Row]
) -> set[str]:
    """The numbers of people in these rows whom we know already, or who come up twice."""
    told = [one.candidate["external_id"] for one in rows if one.candidate["external_id"]]
    if not told:
        return set()
    wanted = select(col(Candidate.external_id)).where(
        col(Candidate.company_id) == company_id,
        col(Candidate.connection_id) == connection_id,
        col(Candidate.external_id).in_(set(told)),
    )
    known = {one for one in (await session.scalars(wanted)).all() if one is not None}
    return known | {one for one in told if told.count(one) > 1}


async def write_new(
    session: AsyncSession, tools: Tools, company: Company, rows: Sequence[New], now: datetime
) -> None:
    """Write the applications with their people. The numbers are locked and not taken."""
    written: dict[Any, list[dict[str, Any]]] = {
        one: [] for one in (Candidate, SubjectKey, Application, AtsEvent, ImportRow)
    }
    for one in rows:
        candidate, keys = _person(tools, company, one, now)
        application = _application(company, one, candidate, now)
        written[Candidate].append(candidate.model_dump())
        written[SubjectKey] += [key.model_dump() for key in keys]
        written[Application].append(application.model_dump())
        if one.end is not None:
            row = apply_event._row(company, one.end, application.id, now)  # noqa: SLF001 - its own form
            row.effect = "applied"
            written[AtsEvent].append(row.model_dump())
        written[ImportRow].append({
            "company_id": company.id, "application_id": application.id, "part": one.row.part,
            "digest": one.digest,
        })  # fmt: skip
    for table, values in written.items():
        if values:
            await session.execute(insert(table.__table__), values)


def _person(
    tools: Tools, company: Company, one: New, now: datetime
) -> tuple[Candidate, list[SubjectKey]]:
    """A person with both keys and a profile, as `vault.make_keys` and `set_profile` make them."""
    told, sealer = one.known.event["candidate"], tools.sealer
    candidate = Candidate(
        company_id=company.id, id=new_id("cnd"), connection_id=one.known.connection_id,
        external_id=told["external_id"], review_at=first_look(now), created_at=now,
    )  # fmt: skip
    keys = {
        kind: SubjectKey(
            company_id=company.id, candidate_id=candidate.id, kind=kind,
            wrapped=sealer.new_key(about="data-key"),
        )
        for kind in KEY_KINDS
    }  # fmt: skip
    told_facts = {**meet_applicant.facts_of(told), **{name: told[name] for name in _KANA}}
    facts = {name: value for name, value in told_facts.items() if value}
    if facts:
        profile = json.dumps({**facts, "from_ats": facts}, ensure_ascii=False).encode()
        candidate.profile = sealer.seal(
            profile, about=f"{candidate.id}:profile", key=keys["profile"].wrapped
        )
    email, phone = facts.get("email"), facts.get("phone")
    candidate.email_hmac = sealer.blind("email", email.strip().lower()) if email else None
    candidate.phone_hmac = sealer.blind("phone", phone) if phone else None
    return candidate, list(keys.values())


def _application(company: Company, one: New, candidate: Candidate, now: datetime) -> Application:
    application = meet_applicant._new_application(company, one.known, candidate, now)  # noqa: SLF001
    meet_applicant._learn_application(company, application, one.known)  # noqa: SLF001
    if one.row.applicant_type is not None:
        application.applicant_type = one.row.applicant_type
    if one.end is not None:
        application.last_event_key = one.end.event["dedupe_key"]
        application.outcome = change_outcome.OUTCOME[one.end.kind]
        application.outcome_at = min(one.end.occurred_at, now)
        application.told_at = min(one.end.as_of, now)
        change_outcome._take_reason(application, one.end, "active")  # noqa: SLF001
    return application
