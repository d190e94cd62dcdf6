"""Apply what a delivery or a poll was understood to say, and tell what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain.candidate import Candidate
from domain.company import Company
from domain.delivery import AtsConnection
from domain.flows.hear.apply_event import Said, apply_event, take_hire_back
from domain.flows.hear.note_interview import call_off
from domain.ports import Aside, Reading, Tools
from domain.vendor import OVERLAP

LONG_PAST = timedelta(days=30)
"""Vendors send an application again when anything about it is edited, also one that ended long ago.
"""


@dataclass
class Done:
    """The events that count, whom they are about, and what each of them did.

    `effects` has, for each event understood, `{type, dedupe_key, effect, application_id, did}`:
    the effect is `applied`, `overtaken` or `known`; `did` lists what stands differently since.
    """

    emitted: list[dict[str, Any]] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)
    people: list[Candidate] = field(default_factory=list)
    changed: bool = False

    def meet(self, person: Candidate | None) -> None:
        """Whom one of the events is about."""
        if person is not None and all(one.id != person.id for one in self.people):
            self.people.append(person)

    @property
    def news(self) -> bool:
        """Whether anything stands differently since."""
        return self.changed or any(one["effect"] == "applied" for one in self.effects)


async def apply_reading(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    connection: AtsConnection,
    reading: Reading,
    *,
    provider: str,
    delivery_id: str,
    at: datetime,
    now: datetime,
) -> Done:
    """Let each event and each aside of a reading act, once. `at` is when we heard of it."""
    done = Done()
    for event in reading.events:
        said = Said(
            event=event,
            as_of=reading.said_at.get(event["dedupe_key"]) or reading.as_of or at,
            provider=provider,
            connection_id=connection.id,
            delivery_id=delivery_id,
            settings=connection.settings,
            states=reading.states,
            undated=reading.undated,
            long_past=connection.created_at - LONG_PAST > _when(event),
        )
        applied = await apply_event(session, tools, company, said, now)
        done.meet(applied.candidate)
        done.emitted += [applied.event] if applied.event else []
        done.effects.append(_effect(said, applied))
    for aside in reading.asides:
        as_of = reading.as_of or at
        changed = await _note(session, tools, company, connection, aside, as_of=as_of, now=now)
        done.changed = done.changed or changed
    return done


def since_connected(reading: Reading, connection: AtsConnection) -> Reading:
    """Polling must not tell people what the company told them before it connected.

    An end from before that is kept with a hold; an interview from before it is not counted.
    """
    first = connection.created_at - OVERLAP
    events = []
    for event in reading.events:
        before = _when(event) < first
        if before and event["type"] == "interview.completed":
            continue
        held = before and event["type"] == "application.rejected"
        events.append({**event, "holds": [*event["holds"], "history"]} if held else event)
    return replace(reading, events=events)


def _when(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(event["occurred_at"])


def _effect(said: Said, applied: Any) -> dict[str, Any]:
    event = applied.event or said.event
    return {
        "type": said.kind,
        "dedupe_key": event["dedupe_key"],
        "effect": applied.effect,
        "application_id": applied.application.id if applied.application else None,
        "did": applied.did,
    }


async def _note(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    connection: AtsConnection,
    aside: Aside,
    *,
    as_of: datetime,
    now: datetime,
) -> bool:
    if aside.kind == "interview_off":
        return await call_off(
            session, tools, company, connection.id, aside=aside, as_of=as_of, now=now
        )
    return await take_hire_back(
        session, tools, company, connection_id=connection.id, external_id=aside.external_id,
        as_of=as_of, now=now,
    )  # fmt: skip
