"""The floor: a bare Starlette route that checks the same HMAC and does one asyncpg INSERT."""

import hashlib
import hmac
import os
import sys

import asyncpg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TABLE = """
CREATE TABLE IF NOT EXISTS bench_floor (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key bytea NOT NULL, body bytea NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(), UNIQUE (key)
)"""
INSERT = "INSERT INTO bench_floor (key, body) VALUES ($1, $2) ON CONFLICT DO NOTHING"


async def serve(dsn: str, secret: bytes, port: int) -> None:
    """Serve the bare route until killed."""
    pool = await asyncpg.create_pool(dsn, min_size=16, max_size=16)

    async def receive(request: Request) -> Response:
        body = await request.body()
        claimed = request.headers.get("signature", "").removeprefix("sha256 ")
        if not hmac.compare_digest(hmac.new(secret, body, hashlib.sha256).hexdigest(), claimed):
            return Response(status_code=401)
        await pool.execute(INSERT, hashlib.sha256(body).digest(), body)
        return Response(status_code=200)

    app = Starlette(routes=[Route("/hook", receive, methods=["POST"])])
    config = uvicorn.Config(app, port=port, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(
        serve(os.environ["FLOOR_DSN"], os.environ["FLOOR_SECRET"].encode(), int(sys.argv[1]))
    )
