"""HR's room for applicant tracking systems: connect one, see that it works, say what words mean.

Pages read in one transaction and change nothing. The forms are in `dashboard_ats_forms`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Kit, Now
from api.page_forms import Refilled, known
from api.pages import catalogues, page
from api.routes.dashboard import Before, Done, Reader, names_of
from api.session import SignedIn
from domain.ats_secrets import open_secrets
from domain.company import Company
from domain.delivery import AtsConnection, Delivery
from domain.errors import NotFound
from domain.flows.hear.map_words import MAPS, MEANINGS
from domain.ids import pattern
from domain.ports import Tools
from domain.store import find
from domain.views import connections as view
from domain.views.deliveries import events_of
from integrations.ats.setup import SETUPS, Setup

router = APIRouter(prefix="/dashboard/ats", include_in_schema=False)

ConnectionId = Annotated[str, Path(pattern=pattern("ats"))]
DeliveryId = Annotated[str, Path(pattern=pattern("dlv"))]
Provider = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,40}$")]
OfConnection = Annotated[str, Query(pattern=f"^$|{pattern('ats')}")]
"""Empty: of all of them."""
Seen = Annotated[str, Query(max_length=40)]
GROUPS = ("world", "japan", "other")
SOURCES = ("company_site", "direct", "employee_referral", "event", "agency")
"""Our codes for where people apply; a company's own allowed ones come on top."""
_BADGES = {
    "off": "disabled", "waiting": "queued", "greeted": "scheduled", "refused": "failed",
    "verified": "healthy", "keyless": "queued", "starting": "scheduled", "asking": "healthy",
    "trouble": "failed",
}  # fmt: skip
_LIVELY = ("waiting", "greeted", "refused", "starting")
"""States somebody is watching: looked at again every few seconds, the others more rarely."""


@dataclass(frozen=True)
class Sight:
    """A connection as its pages show it: the row, how it is, and how its system is connected."""

    row: AtsConnection
    health: view.Health
    setup: Setup
    listens: bool
    asks: bool
    key: bool
    secrets: int
    """How many are valid: two while one is being replaced."""
    of_events: tuple[str, ...]
    """The events that have a secret of their own (Lever)."""
    url: str

    @property
    def state(self) -> view.State:
        """In one word."""
        return self.health.state(self.row, listens=self.listens, key=self.key)

    @property
    def badge(self) -> str:
        """The badge's colour for it."""
        return _BADGES[self.state]

    @property
    def pace(self) -> int:
        """Seconds between two looks."""
        return 3 if self.state in _LIVELY else 15

    @property
    def sign(self) -> str:
        """Stands for everything the live part shows: another one means it has changed."""
        shown = (self.row, self.health, self.key, self.secrets, self.of_events)
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


@router.get("")
async def overview(
    *, request: Request, person: Reader, db: Db, tools: Kit, now: Now, done: Done = ""
) -> Response:
    """Every connection and how it is, and every system that can be connected."""
    company_id = person.company_id or ""
    connections = await view.connections_of(db, company_id)
    return page(
        request,
        "dashboard/ats.html",
        connections=await sights(db, tools, connections, now),
        known_words=_written(),
        systems={group: systems(tools, group) for group in GROUPS},
        failed=await view.deliveries(db, company_id, status="failed", limit=3),
        may_act=person.has("recruiter", "head"),
        done=known("ats", done),
    )


@router.get("/new/{provider}")
async def new(*, provider: Provider, request: Request, person: Reader, tools: Kit) -> Response:
    """What this system needs to be connected."""
    return new_page(request, person, tools, provider)


def new_page(
    request: Request,
    person: SignedIn,
    tools: Tools,
    provider: str,
    again: Refilled | None = None,
) -> Response:
    """The page of a new connection, also with a form to correct."""
    again = again or Refilled()
    return page(
        request,
        "dashboard/ats_new.html",
        status=again.status,
        provider=provider,
        setup=setup_of(tools, provider),
        listens=provider in tools.adapters,
        asks=provider in tools.apis,
        may_act=person.has("recruiter", "head"),
        again=again,
    )


@router.get("/connections/{connection_id}")
async def connection(
    *,
    connection_id: ConnectionId,
    request: Request,
    person: Reader,
    db: Db,
    tools: Kit,
    now: Now,
    done: Done = "",
) -> Response:
    """One connection: the steps, whether it works, the words to map, its settings."""
    return await connection_page(
        request, person, db, tools, now=now, connection_id=connection_id, done=known("ats", done)
    )


async def connection_page(
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    tools: Tools,
    *,
    now: Any,
    connection_id: str,
    done: str = "",
    again: Refilled | None = None,
) -> Response:
    """The page of a connection, also with a form to correct or a secret to show this once."""
    company_id, again = person.company_id or "", again or Refilled()
    row = await find(db, AtsConnection, company_id, connection_id)
    if row is None:
        raise NotFound
    company = await db.get_one(Company, company_id)
    ours = sorted({*SOURCES, *company.allowed_sources})
    sight = (await sights(db, tools, [row], now))[0]
    command = sight.setup.command.format(url=sight.url) if sight.setup.command else ""
    return page(
        request,
        "dashboard/ats_connection.html",
        status=again.status,
        one=sight,
        command=command,
        known_words=_written(),
        words=await _words(db, row),
        meanings=MEANINGS,
        sources=await _sources(db, row, ours),
        ours=ours,
        allowed=company.allowed_sources,
        notes=await view.notes_of(db, company_id, connection_id) if sight.asks else None,
        writes_back=sight.asks and tools.apis[row.provider].WRITES_BACK,
        minutes=int(tools.apis[row.provider].POLL_EVERY.total_seconds() // 60) if sight.asks else 0,
        recent=await view.deliveries(db, company_id, connection_id=connection_id, limit=5),
        may_act=person.has("recruiter", "head"),
        again=again,
        done=done,
    )


@router.get("/connections/{connection_id}/live")
async def live(
    *,
    connection_id: ConnectionId,
    request: Request,
    person: Reader,
    db: Db,
    tools: Kit,
    now: Now,
    seen: Seen = "",
) -> Response:
    """How a connection is at this moment; the page asks for it every few seconds.

    Nothing where it is as it was `seen`: what has not changed is neither drawn nor read out again.
    """
    row = await find(db, AtsConnection, person.company_id or "", connection_id)
    if row is None:
        raise NotFound
    sight = (await sights(db, tools, [row], now))[0]
    if seen == sight.sign:
        return Response(status_code=204, headers={"cache-control": "no-store"})
    return page(
        request,
        "dashboard/ats_live.html",
        one=sight,
        known_words=_written(),
        may_act=person.has("recruiter", "head"),
    )


@router.get("/deliveries")
async def deliveries(
    *,
    request: Request,
    person: Reader,
    db: Db,
    tools: Kit,
    show: Literal["all", "failed", "received", "processed", "ignored"] = "all",
    connection: OfConnection = "",
    before: Before = None,
    done: Done = "",
) -> Response:
    """What was delivered or found, newest first."""
    company_id = person.company_id or ""
    rows = await view.deliveries(
        db, company_id,
        status=None if show == "all" else show, connection_id=connection or None, before=before,
    )  # fmt: skip
    return page(
        request,
        "dashboard/ats_deliveries.html",
        rows=rows,
        names=await names_of(db, tools, company_id, [one for one in rows if one.candidate_id]),
        shown=show,
        connection=connection,
        connections=await view.connections_of(db, company_id),
        following=rows[-1].id if len(rows) == view.PAGE else None,
        may_act=person.has("recruiter", "head"),
        done=known("ats", done),
    )


@router.get("/deliveries/{delivery_id}")
async def delivery(
    *,
    delivery_id: DeliveryId,
    request: Request,
    person: Reader,
    db: Db,
    tools: Kit,
    done: Done = "",
) -> Response:
    """One delivery: what it said, and what that did."""
    return await delivery_page(request, person, db, tools, delivery_id, done=known("ats", done))


async def delivery_page(
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    tools: Tools,
    delivery_id: str,
    *,
    done: str = "",
    again: Refilled | None = None,
) -> Response:
    """The page of a delivery, also after it could not be read again."""
    company_id, again = person.company_id or "", again or Refilled()
    row = await find(db, Delivery, company_id, delivery_id)
    if row is None:
        raise NotFound
    events = (await events_of(db, tools.sealer, company_id, [row]))[row.id]
    return page(
        request,
        "dashboard/ats_delivery.html",
        status=again.status,
        row=row,
        connection=await find(db, AtsConnection, company_id, row.connection_id),
        told=[_told(event, row.effects) for event in events],
        untold=[one for one in row.effects if not _among(one, events)],
        events_json=json.dumps(events, ensure_ascii=False, indent=2),
        kept=row.body is not None,
        moment=_moment,
        known_words=_written(),
        may_act=person.has("recruiter", "head"),
        again=again,
        done=done,
    )


def setup_of(tools: Tools, provider: str) -> Setup:
    """How a system is connected, if we speak to it."""
    if provider not in {*tools.adapters, *tools.apis}:
        raise NotFound
    return SETUPS[provider]


def systems(tools: Tools, group: str) -> list[str]:
    """The systems of a group, by name."""
    known = {*tools.adapters, *tools.apis}
    return sorted(one for one, setup in SETUPS.items() if one in known and setup.group == group)


async def sights(
    db: AsyncSession, tools: Tools, rows: Sequence[AtsConnection], now: Any
) -> list[Sight]:
    """Connections as their pages show them."""
    if not rows:
        return []
    health = await view.health_of(db, rows[0].company_id, [row.id for row in rows], now)
    return [_sight(tools, row, health[row.id]) for row in rows]


def _sight(tools: Tools, row: AtsConnection, health: view.Health) -> Sight:
    kept = open_secrets(tools.sealer, row)
    return Sight(
        row=row,
        health=health,
        setup=SETUPS[row.provider],
        listens=row.provider in tools.adapters,
        asks=row.provider in tools.apis,
        key=bool(kept.get("api_key")),
        secrets=len(kept["secrets"]) + len(row.public_keys),
        of_events=tuple(kept["by_event"]),
        url=f"{tools.public_url}/v1/ats/{row.provider}/{row.id}",
    )


async def _words(db: AsyncSession, row: AtsConnection) -> dict[str, list[dict[str, Any]]]:
    """The vendor's words by kind, those without a meaning first; each with what HR said of it."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in MAPS}
    for word in await view.words_of(db, row.company_id, row.id):
        meaning = (row.settings.get(MAPS[word.kind]) or {}).get(word.word_id)
        found[word.kind].append({
            "id": word.word_id, "text": word.text, "suggestion": word.suggestion,
            "meaning": meaning,
        })  # fmt: skip
    for told in found.values():
        told.sort(key=lambda one: (one["meaning"] is not None, one["text"]))
    return found


async def _sources(
    db: AsyncSession, row: AtsConnection, ours: Sequence[str]
) -> list[dict[str, Any]]:
    """The vendor's words for where people came from: those seen without a meaning, then the map."""
    seen = await view.sources_of(db, row.company_id, row.id, ours)
    known: Mapping[str, str] = row.settings.get("source_map") or {}
    fresh = [{"word": one, "people": n, "meaning": None} for one, n in seen.items()]
    return [
        *(one for one in fresh if one["word"] not in known),
        *({"word": word, "people": 0, "meaning": code} for word, code in sorted(known.items())),
    ]


def _told(event: Mapping[str, Any], effects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An event and what it did."""
    same = (one for one in effects if one["dedupe_key"] == event["dedupe_key"])
    return {"event": event, "effect": next(same, None)}


def _among(effect: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bool:
    return any(one["dedupe_key"] == effect["dedupe_key"] for one in events)


def _moment(told: str | None) -> datetime | None:
    """A time of a canonical event."""
    return datetime.fromisoformat(told) if told else None


def _written() -> Mapping[str, str]:
    """The words of this room: some codes have their own, the others share a sentence."""
    return catalogues()["ja"]["ats"]
