"""The door of applicant tracking systems: verify, keep, answer. A worker reads later."""

import time
from dataclasses import dataclass
from typing import Any

import asyncpg
from fastapi import APIRouter, Request, Response
from sqlalchemy import exc, update
from sqlmodel import col, select
from starlette.routing import Route

from api import deps
from api.auth import BadToken, recognise
from api.errors import problem, problems
from api.runtime import Runtime
from domain.access import as_system
from domain.ats_secrets import open_secrets
from domain.delivery import AtsConnection
from domain.errors import NotFound, TryLater
from domain.flows.hear.keep_delivery import Arrival, keep_delivery
from domain.ids import is_id
from domain.ports import AtsAdapter, ConnectionView, Incoming, Sealer
from integrations.ats import cloudevents, icims

router = APIRouter(tags=["ats"])
PATH = "/v1/ats/{provider}/{connection_id}"

_SECONDS = 2.0
"""For how long a process may use a connection it looked up: it refuses an old secret that much
later. A new one counts at once, because what is not proven is looked up again."""
_MOST = 10_000
_BROKEN = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection cut off in mid-release calls itself
    exc.SQLAlchemyError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True)
class Known:
    """A connection as the door needs it: whose it is, and its secrets in the clear."""

    company_id: str
    provider: str
    enabled: bool
    view: ConnectionView


class Connections:
    """The connections this process looked up in the last seconds."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[str, tuple[float, Known]] = {}

    async def find(self, connection_id: str) -> Known | None:
        """The connection; nothing when there is none of this id."""
        kept = self._known.get(connection_id)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        found = await self._look_up(connection_id)
        if found is None:
            self._known.pop(connection_id, None)
            return None
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[connection_id] = (time.monotonic() + _SECONDS, found)
        return found

    def forget(self, connection_id: str) -> None:
        """It was changed: look it up again at once."""
        self._known.pop(connection_id, None)

    async def _look_up(self, connection_id: str) -> Known | None:
        async with self._runtime.database.transaction() as session, as_system(session):
            wanted = select(AtsConnection).where(col(AtsConnection.id) == connection_id)
            found = (await session.scalars(wanted)).first()
        return None if found is None else _opened(self._runtime.tools.sealer, found)


def connections(request: Request) -> Connections:
    """What this process looked up."""
    state = request.app.state
    if not hasattr(state, "ats_connections"):
        state.ats_connections = Connections(deps.runtime(request))
    found: Connections = state.ats_connections
    return found


def _opened(sealer: Sealer, found: AtsConnection) -> Known:
    kept = open_secrets(sealer, found)
    view = ConnectionView(
        id=found.id,
        secrets=kept["secrets"],
        secrets_by_event=kept["by_event"],
        public_keys=found.public_keys,
        settings={**found.settings, "api_key": kept.get("api_key")},
    )
    return Known(found.company_id, found.provider, found.enabled, view)


@router.post(
    PATH,
    status_code=200,
    response_class=Response,
    responses={
        200: {"description": "Received (most systems)"},
        202: {"description": "Received (SmartRecruiters, Standard Webhooks, CloudEvents)"},
        **problems(400, 401, 404, 413, 503),
    },
    openapi_extra={
        "security": [],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in ("provider", "connection_id")
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"description": "The vendor's own body"}}},
        },
    },
)
async def receive(request: Request) -> Response:
    """Deliver an event. It is verified, kept and answered at once, and understood afterwards.

    The answer is the status your system takes for "received"; a repeated delivery gets the same.
    """
    request.scope["route"] = HOT  # what metrics and logs call this door
    runtime = deps.runtime(request)
    provider, connection_id = (request.path_params[name] for name in ("provider", "connection_id"))
    try:
        known = await _door(request, provider, connection_id)
        adapter = runtime.tools.adapters[provider]
        incoming = Incoming(
            await request.body(), request.headers, runtime.clock(),
            path=request.url.path, query=request.url.query,
        )  # fmt: skip
        if not adapter.verify(incoming, known.view):
            # Another process may have changed the connection a moment ago: what stands counts.
            connections(request).forget(connection_id)
            known = await _door(request, provider, connection_id)
            answer = await _unproven(request, adapter, incoming, known)
            if answer is not None:
                return answer
        arrival = Arrival(known.company_id, connection_id, provider, incoming)
        if await keep_delivery(runtime.database.run, runtime.tools.sealer, adapter, arrival):
            runtime.waker.soon()
    except _BROKEN:
        raise TryLater from None
    return Response(status_code=adapter.SUCCESS)


async def _door(request: Request, provider: str, connection_id: str) -> Known:
    known = await connections(request).find(connection_id) if is_id(connection_id, "ats") else None
    listens = known is not None and provider in deps.runtime(request).tools.adapters
    if known is None or not listens or known.provider != provider or not known.enabled:
        raise NotFound
    return known


async def _unproven(
    request: Request, adapter: AtsAdapter, incoming: Incoming, known: Known
) -> Response | None:
    """A handshake is answered, anything else refused; null if it is proven after all."""
    runtime = deps.runtime(request)
    greeting = adapter.greet(incoming, known.view)
    if greeting is not None:
        await _note(runtime, known, greeted_at=runtime.clock())
        return Response(status_code=greeting.status, headers=dict(greeting.headers))
    if adapter.verify(incoming, known.view) or await _by_our_token(request, known):
        return None
    await _note(runtime, known, refused_signatures=col(AtsConnection.refused_signatures) + 1)
    return problem(adapter.BAD_SIGNATURE, "bad_signature", request=request)


async def _by_our_token(request: Request, known: Known) -> bool:
    """A system may present an access token of our own token endpoint instead (iCIMS does)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if known.provider != icims.PROVIDER or scheme.lower() != "bearer":
        return False
    runtime = deps.runtime(request)
    async with runtime.database.transaction() as session:
        try:
            caller = await recognise(session, runtime, token.strip(), runtime.clock())
        except BadToken:
            return False
    return caller.company_id == known.company_id and "ats:deliver" in caller.scopes


async def _note(runtime: Runtime, known: Known, **values: Any) -> None:
    async with runtime.database.transaction(company_id=known.company_id) as session:
        await session.execute(
            update(AtsConnection)
            .where(
                col(AtsConnection.company_id) == known.company_id,
                col(AtsConnection.id) == known.view.id,
            )
            .values(**values)
        )


@router.options(PATH + "/", status_code=200, response_class=Response, include_in_schema=False)
@router.options(PATH, status_code=200, response_class=Response, include_in_schema=False)
async def ask_permission(request: Request) -> Response:
    """A sender of CloudEvents asks whether it may deliver (HTTP webhook profile 4)."""
    provider, connection_id = (request.path_params[name] for name in ("provider", "connection_id"))
    await _door(request, provider, connection_id)
    if provider != cloudevents.PROVIDER:
        return Response(status_code=405, headers={"allow": "POST"})
    greeting = cloudevents.options(request.headers)
    return Response(status_code=greeting.status, headers=dict(greeting.headers))


HOT = Route(PATH, receive, methods=["POST"])
PASTED = Route(PATH + "/", receive, methods=["POST"])
"""The same door without the framework's parsing of parameters, of which it has none: deliveries
come in bursts. The description and every other method stay with the route above. Somebody may
paste the URL with a slash behind it: that is the same door, for no vendor follows a redirect."""
