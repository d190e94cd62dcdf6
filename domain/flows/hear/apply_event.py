"""Apply one canonical event, once: find whom it concerns, decide whether it is news, let it act.

Deliveries come late, twice and out of order. Three things make them converge: the effect's key
(is it news?), the vendor's times kept on the application (has it been overtaken?), and effects
that read the state they find.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, any_, func, literal, or_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.delivery import AtsEvent
from domain.flows.hear import change_outcome, meet_applicant, note_interview
from domain.flows.person import change_person
from domain.flows.tell.set_deadline import void_deadlines
from domain.ports import Tools
from domain.store import add_once
from domain.views.standing import differences, standing

ENDED = {"application.rejected", "application.withdrawn"}
"""Events that end an application without a hire."""

_ABOUT = 8
"""Digits of a meaning that say which interview it is about."""
OUTCOMES = {*ENDED, "application.hired", "application.rejection_reverted"}


@dataclass(frozen=True)
class Said:
    """A canonical event and who said it. `as_of` is the vendor's time of the statement.

    `states` and `undated` as in `domain.ports.Reading`: what was said may be no news at all.
    """

    event: dict[str, Any]
    as_of: datetime
    provider: str
    connection_id: str = ""
    delivery_id: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    states: bool = False
    undated: bool = False
    long_past: bool = False
    """It happened so long before the connection that the company has told the person since."""

    @property
    def kind(self) -> str:
        """The canonical type."""
        kind: str = self.event["type"]
        return kind

    @property
    def occurred_at(self) -> datetime:
        """The vendor's time of the effect."""
        return datetime.fromisoformat(self.event["occurred_at"])


@dataclass(frozen=True)
class Applied:
    """What came of it: the event if it was news (or this delivery's own), and whom it is about.

    `effect` is `applied`, `overtaken` or `known`; `did` lists what stands differently since.
    """

    event: dict[str, Any] | None = None
    candidate: Candidate | None = None
    application: Application | None = None
    effect: str = "known"
    did: list[dict[str, Any]] = field(default_factory=list)


async def apply_event(
    session: AsyncSession, tools: Tools, company: Company, said: Said, now: datetime
) -> Applied:
    """Apply an event unless it was applied, or overtaken, before."""
    if said.kind.startswith("candidate."):
        return await _about_person(session, tools, company, said, now)
    if await _is_no_news(session, company, said):
        return Applied()
    met = await meet_applicant.meet(session, tools, company, said, now)
    anew = await _understood_anew(session, company, met.application, said)
    if said.kind in OUTCOMES:
        overtaken = not anew and change_outcome.is_overtaken(met.application, said, now)
    else:
        overtaken = await note_interview.is_overtaken(session, met.application, said, now)
    row = _row(company, said, met.application.id, now)
    row.effect = "overtaken" if overtaken else "applied"
    if said.kind in ENDED and met.application.outcome in {"rejected", "withdrawn"}:
        row.supersedes = met.application.last_event_key or None
    stands = await note_interview.standing(session, met.application, said)
    noted = await _note(session, row, stands, anew)
    if noted is None:
        return Applied(None, met.candidate, met.application)
    event = {**said.event, "dedupe_key": noted.dedupe_key, "supersedes": noted.supersedes}
    did: list[dict[str, Any]] = []
    if noted is row and not overtaken:
        before = await standing(session, met.application)
        await meet_applicant.learn(session, tools, company, met, said)
        await _act(
            session, tools, company, met.application, said=said, key=noted.dedupe_key, now=now
        )
        if met.candidate.erased_at is not None:  # nobody is left to be told
            await void_deadlines(session, company.id, met.application.id, now)
        did = differences(before, await standing(session, met.application))
    elif noted is not row:
        await meet_applicant.map_again(session, company, met.application, said)
    emitted = event if noted.effect == "applied" else None
    effect = noted.effect if noted is row else "known"
    return Applied(emitted, met.candidate, met.application, effect, did)


async def _understood_anew(
    session: AsyncSession, company: Company, application: Application, said: Said
) -> str:
    """The key of what stands, if this very delivery said it: now that it is read otherwise.

    The vendor has not changed its mind, the company its maps: the newer reading counts.
    """
    if said.kind not in OUTCOMES or not said.delivery_id or not application.last_event_key:
        return ""
    last = await session.get(AtsEvent, (company.id, application.last_event_key))
    if last is None or last.delivery_id != said.delivery_id:
        return ""
    same = (last.type, last.meaning) == (said.kind, _meaning(said.event))
    return "" if same else last.dedupe_key


async def _is_no_news(session: AsyncSession, company: Company, said: Said) -> bool:
    """A vendor says how things stand, and it is how we hold them; a replay shows its own again."""
    if said.kind not in OUTCOMES or not (said.states or said.undated):
        return False
    number = said.event["application"]["external_id"]
    there = await meet_applicant.known_application(session, company.id, said.connection_id, number)
    if not change_outcome.says_what_stands(there, said):
        return False
    own = await session.get(AtsEvent, (company.id, said.event["dedupe_key"]))
    return own is None or own.delivery_id != said.delivery_id


async def _act(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    *,
    said: Said,
    key: str,
    now: datetime,
) -> None:
    if said.kind in OUTCOMES:
        application.last_event_key = key
        await change_outcome.change(session, tools, company, application, said=said, now=now)
    else:
        await note_interview.note(session, tools, company, application, said=said, key=key, now=now)
    await change_outcome.settle(session, tools, company, application, now)


async def _about_person(
    session: AsyncSession, tools: Tools, company: Company, said: Said, now: datetime
) -> Applied:
    candidate = await meet_applicant.person_under(
        session, tools, company.id, connection_id=said.connection_id,
        external_id=said.event["candidate"]["external_id"], now=now,
    )  # fmt: skip
    row = _row(company, said, None, now)
    noted = await _note(session, row)
    if noted is None:
        return Applied(None, candidate)
    did = [{"what": said.kind.removeprefix("candidate."), "from": None, "to": candidate.id}]
    if noted is row:
        if said.kind == "candidate.deleted":
            candidate = await _joined(session, tools, company, said, candidate)
            await change_person.delete(session, tools, candidate, now)
        else:
            survivor = await meet_applicant.person_under(
                session, tools, company.id, connection_id=said.connection_id,
                external_id=said.event["candidate"]["merged_into_external_id"], now=now,
            )  # fmt: skip
            if await _went_with(session, candidate, survivor):
                await change_person.delete(session, tools, candidate, now)
            candidate = await change_person.merge(session, tools, candidate, survivor)
    effect = "applied" if noted is row else "known"
    event = {**said.event, "supersedes": noted.supersedes}
    return Applied(event, candidate, None, effect, did if noted is row else [])


async def _joined(
    session: AsyncSession, tools: Tools, company: Company, said: Said, candidate: Candidate
) -> Candidate:
    """The person with what we noted without the number of applications the vendor names as theirs.

    Who has another number is somebody else to us, whatever the list says; but where the vendor
    names an application instead of a person, its person is meant, who has no other.
    """
    numbers = (said.event["deletion"] or {}).get("application_external_ids") or []
    of_candidate = (col(Application.company_id) == col(Candidate.company_id)) & (
        col(Application.candidate_id) == col(Candidate.id)
    )
    theirs: ColumnElement[bool] = col(Candidate.external_id).is_(None)
    if said.event["candidate"]["external_id"] in numbers:
        other = aliased(Application)
        has_others = select(other.id).where(
            col(other.company_id) == company.id,
            col(other.candidate_id) == col(Candidate.id),
            col(other.external_id).not_in(numbers),
        )
        theirs = or_(theirs, ~has_others.exists())
    wanted = (
        select(Candidate)
        .join(Application, of_candidate)
        .where(
            col(Application.company_id) == company.id,
            col(Application.connection_id) == said.connection_id,
            col(Application.external_id) == any_(literal(numbers, ARRAY(Text))),
            theirs,
            col(Candidate.erased_at).is_(None),
        )
        .order_by(col(Candidate.id))
        .with_for_update(of=Candidate, key_share=True)
    )
    found = (await session.scalars(wanted)).unique().all() if numbers else []
    for nameless in found:
        candidate = await change_person.merge(session, tools, nameless, candidate)
    return candidate


async def _went_with(session: AsyncSession, absorbed: Candidate, survivor: Candidate) -> bool:
    """Whether the survivor was erased, and with it what we hear only now was merged into it.

    Who applied since then has come back.
    """
    if survivor.erased_at is None:
        return False
    since = select(Application.id).where(
        col(Application.company_id) == absorbed.company_id,
        col(Application.candidate_id) == absorbed.id,
        func.coalesce(col(Application.applied_at), col(Application.created_at))
        > survivor.erased_at,
    )
    return (await session.scalars(since.limit(1))).first() is None


def _row(company: Company, said: Said, application_id: str | None, now: datetime) -> AtsEvent:
    return AtsEvent(
        company_id=company.id,
        dedupe_key=said.event["dedupe_key"],
        connection_id=said.connection_id,
        delivery_id=said.delivery_id,
        type=said.kind,
        application_id=application_id,
        effect="applied",
        meaning=_meaning(said.event),
        as_of=min(said.as_of, now),
        occurred_at=said.occurred_at,
        applied_at=now,
    )


def _meaning(event: Mapping[str, Any]) -> str:
    """Which interview it is about, and a digest of what a vendor may correct about an effect."""
    rejection, interview = event["rejection"] or {}, event["interview"] or {}
    decisive = ("initiated_by", "reason_id", "reason_type_raw", "not_before")
    told = [rejection.get(name) for name in decisive]
    told += [interview.get(name) for name in ("ends_at", "status")]
    told.append("reason_excluded" in event["holds"])
    return f"{_digest(interview.get('external_id'))[:_ABOUT]}{_digest(told)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


async def _note(
    session: AsyncSession, row: AtsEvent, stands: str = "", anew: str = ""
) -> AtsEvent | None:
    """Write the event down once. Null: it was told before; another delivery's row is not returned.

    The same effect told differently, and later, is a correction: it gets a key of its own and
    names the event it corrects; so does an interview moved back to where it once was (`stands` is
    the key of what holds now). `anew` is the key of what the same delivery was taken to say so far.
    The application is locked: nobody adds to the chain meanwhile.
    """
    if await add_once(session, row):
        return row
    chain = await _chain(session, row)
    # Two interviews of one application may begin at the same time: the same key, not the same one.
    same = [one for one in chain if one.meaning[:_ABOUT] == row.meaning[:_ABOUT]]
    own = [one for one in same if _same_words(one, row)]
    if own and not anew:
        return own[-1]
    if same and not (anew or _is_correction(same, row) or _moved_back(same, row, stands)):
        return None
    row.dedupe_key = f"{chain[0].dedupe_key}#{len(chain)}"
    row.supersedes = anew or (same[-1].dedupe_key if same else None)
    return row if await add_once(session, row) else None


async def _chain(session: AsyncSession, row: AtsEvent) -> list[AtsEvent]:
    found, key = [], row.dedupe_key
    while (there := await session.get(AtsEvent, (row.company_id, key))) is not None:
        found.append(there)
        key = f"{row.dedupe_key}#{len(found)}"
    return found


def _same_words(one: AtsEvent, row: AtsEvent) -> bool:
    """The same delivery read again, and understood as before: a replay."""
    told_before = bool(row.delivery_id) and one.delivery_id == row.delivery_id
    return told_before and one.meaning == row.meaning


def _is_correction(chain: list[AtsEvent], row: AtsEvent) -> bool:
    """Something else than was said last; what was said before must be said later to count again."""
    last = chain[-1]
    if row.meaning == last.meaning or row.as_of < last.as_of:
        return False
    repeated = any(one.meaning == row.meaning for one in chain)
    return not repeated or row.as_of > last.as_of


def _moved_back(chain: list[AtsEvent], row: AtsEvent, stands: str) -> bool:
    """Said before, overruled by another time since, and now said again later."""
    elsewhere = bool(stands) and stands not in {one.dedupe_key for one in chain}
    return elsewhere and row.as_of > chain[-1].as_of


async def take_hire_back(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    *,
    connection_id: str,
    external_id: str,
    as_of: datetime,
    now: datetime,
) -> bool:
    """A hire was undone: the application is active again. No canonical event says so."""
    application = await meet_applicant.known_application(
        session, company.id, connection_id, external_id
    )
    if application is None or application.outcome != "hired" or as_of < application.outcome_at:
        return False
    await change_outcome.reopen(
        session, tools, company, application, as_of=min(as_of, now), now=now
    )
    return True
