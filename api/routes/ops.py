"""For operators and their machines: does it live, may it get traffic, how is it doing."""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import func, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from api import metrics, schema
from api.deps import Process
from api.errors import problems
from api.runtime import Runtime
from domain.instance import Heartbeat

router = APIRouter(tags=["operations"])
_SILENCE = timedelta(seconds=60)
"""A worker that said nothing for so long, by the wall clock, counts as gone."""


@router.get("/healthz")
async def check_process() -> dict[str, str]:
    """The process answers. Restart it when it does not."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    responses={
        200: {"description": "Ready"},
        503: {"description": "Not ready: one of the checks says why"},
    },
)
async def check_ready(process: Process) -> JSONResponse:
    """Database reachable, schema up to date, a worker alive. Send traffic only then."""
    checks = await _checks(process)
    ready = all(found == "ok" for found in checks.values())
    body: dict[str, Any] = {"status": "ok" if ready else "not_ready", "checks": checks}
    return JSONResponse(body, 200 if ready else 503, {"cache-control": "no-store"})


@router.get(
    "/metrics",
    responses={
        200: {"content": {"text/plain": {}}, "description": "Prometheus text"},
        **problems(401),
    },
)
async def read_metrics(request: Request, process: Process) -> Response:
    """Counters of this process and the backlog of the instance. No personal data.

    With `RELAY_METRICS_TOKEN` set, send it as a bearer token.
    """
    wanted = process.settings.metrics_token
    given = request.headers.get("authorization", "")
    if wanted is not None and not hmac.compare_digest(
        given.encode(), f"Bearer {wanted.get_secret_value()}".encode()
    ):
        raise HTTPException(401, headers={"www-authenticate": 'Bearer realm="metrics"'})
    return Response(await metrics.render(process), media_type=CONTENT_TYPE_LATEST)


async def _checks(process: Runtime) -> dict[str, str]:
    try:
        async with process.database.transaction() as session:
            at = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar()
            beat = (await session.execute(select(func.max(col(Heartbeat.at))))).scalar()
    except (SQLAlchemyError, OSError):
        return {"database": "unreachable", "schema": "unknown", "worker": "unknown"}
    return {
        "database": "ok",
        "schema": "ok" if at == schema.head() else "not_at_head",
        "worker": "ok" if beat is not None and _wall_clock() - beat < _SILENCE else "silent",
    }


def _wall_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - heartbeats are about processes, not about the business
