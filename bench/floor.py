"""The floors: what cannot be left out, written as plainly as it goes.

- `serve`: a bare Starlette route that checks one HMAC over the body and does one asyncpg INSERT.
- `read`: each row locked, changed and committed by itself over plain asyncpg, sixteen at a time.
"""

import asyncio
import hashlib
import hmac
import os
import sys
import time

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
  received_at timestamptz NOT NULL DEFAULT now(), status text NOT NULL DEFAULT 'received',
  UNIQUE (key)
)"""
INSERT = "INSERT INTO bench_floor (key, body) VALUES ($1, $2) ON CONFLICT DO NOTHING"
LOCK = "SELECT body FROM bench_floor WHERE id = $1 FOR UPDATE"
WRITE = "UPDATE bench_floor SET status = 'processed' WHERE id = $1"
SIZE = 16


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The header the bare route asks for."""
    return {"signature": "sha256 " + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


async def serve(dsn: str, secret: bytes, port: int) -> None:
    """Serve the bare route until killed."""
    pool = await asyncpg.create_pool(dsn, min_size=SIZE, max_size=SIZE)

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


async def read(dsn: str) -> float:
    """Rows a second that are locked, changed and committed one by one."""
    pool = await asyncpg.create_pool(dsn, min_size=SIZE, max_size=SIZE)
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM bench_floor ORDER BY id")]
    waiting = iter(ids)

    async def one_by_one() -> None:
        for row_id in waiting:
            async with pool.acquire() as connection, connection.transaction():
                await connection.fetchval(LOCK, row_id)
                await connection.execute(WRITE, row_id)

    begun = time.perf_counter()
    await asyncio.gather(*(one_by_one() for _ in range(SIZE)))
    took = time.perf_counter() - begun
    await pool.close()
    return len(ids) / took


if __name__ == "__main__":
    uvloop.run(
        serve(os.environ["FLOOR_DSN"], os.environ["FLOOR_SECRET"].encode(), int(sys.argv[1]))
    )
