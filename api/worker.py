"""The worker: runs jobs from the queue and sweeps due rows. Any number of them, anywhere.

Jobs and timers stand in `api/duties/`, one module per step of the loop. In `relay dev` the worker
lives in the API's process, in production in its own (`relay worker`).
"""

import asyncio
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.domain.types import QueueExecutionMode

from api import duties, erasure_files, jobs, timers
from api.runtime import Runtime, app_url
from domain.instance import Heartbeat
from domain.jobs import SETTINGS, queries

log = structlog.get_logger()
duties.load()
_HEARTBEAT_SECONDS = 10
_LEASE = timedelta(seconds=10)  # a dead worker's job is taken over after this long


class Worker:
    """One worker over one process's parts."""

    def __init__(self, runtime: Runtime, *, patience_seconds: float = 10) -> None:
        self.runtime = runtime
        self._patience_seconds = patience_seconds
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._stop = asyncio.Event()
        self._sweeping = asyncio.Lock()
        self._queues: list[PgQueuer] = []

    async def run(self) -> None:
        """Work until `stop`; a lost connection ends the run, and the caller starts a new one.

        Before anything else, whom a restored backup brought back is erased again.
        """
        await erasure_files.reapply(self.runtime, self.runtime.clock())
        connections: list[Any] = []
        try:
            for _ in jobs.Lane:
                connections.append(await _connect(self.runtime))  # noqa: PERF401 - closed if one fails
            tasks = [
                asyncio.create_task(one)
                for one in (
                    *map(self._take, jobs.Lane, connections),
                    self._sweep_forever(),
                    self._beat(),
                )
            ]
            done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            await self._cut_off(others, connections)
            for task in done:
                task.result()
        finally:
            for connection in connections:
                with suppress(Exception):
                    await connection.close(timeout=2)

    async def _take(self, lane: jobs.Lane, connection: Any) -> None:
        """Take the jobs of one lane, no more than are soon done: the rest is for other workers."""
        queue = _queue(connection)
        jobs.register(queue, self.runtime, {lane})
        self._queues.append(queue)
        settings = self.runtime.settings
        await queue.run(
            timedelta(seconds=5),
            batch_size=settings.worker_batch,
            max_concurrent_tasks=max(2 * settings.worker_batch, settings.pool_size),
            heartbeat_timeout=_LEASE,
        )

    async def _cut_off(self, tasks: set[asyncio.Task[None]], connections: list[Any]) -> None:
        """Give what is in hand its time, then end without it.

        The queue would note a job that was cut off as cancelled, and nobody would do it. Without
        its connection it cannot: the job stays taken until the lease is over, then it is run again.
        """
        _, late = await asyncio.wait(tasks, timeout=self._patience_seconds)
        if late:
            for connection in connections:
                connection.terminate()
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=2)

    def stop(self) -> None:
        """Finish what is in hand and end."""
        self._stop.set()
        for queue in self._queues:
            queue.shutdown.set()

    async def sweep(self) -> int:
        """Act on everything due now; the number of rows acted on."""
        async with self._sweeping:
            return await timers.sweep(self.runtime, self.runtime.clock())

    async def _sweep_forever(self) -> None:
        while not self._stop.is_set():
            try:
                await self.sweep()
            except Exception as error:
                log.exception("sweep_failed", kind=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self.runtime.settings.sweep_seconds)

    async def _beat(self) -> None:
        while not self._stop.is_set():
            async with self.runtime.database.transaction() as session:
                await session.merge(Heartbeat(worker=self.name, at=datetime.now(UTC)))  # noqa: TID251
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _HEARTBEAT_SECONDS)


async def drain(runtime: Runtime) -> None:
    """Run every waiting job in this task and return (tests; no worker needed)."""
    connection = await _connect(runtime)
    try:
        queue = _queue(connection)
        jobs.register(queue, runtime, jobs.Lane)
        await queue.qm.run(
            timedelta(milliseconds=50),
            batch_size=runtime.settings.worker_batch,
            mode=QueueExecutionMode.drain,
        )
    finally:
        await connection.close()


async def _connect(runtime: Runtime) -> Any:
    url = app_url(runtime.settings).set(drivername="postgresql")
    return await asyncpg.connect(url.render_as_string(hide_password=False))


def _queue(connection: Any) -> PgQueuer:
    driver = AsyncpgDriver(connection)
    return PgQueuer(driver, channel=SETTINGS.channel, queries=queries(driver))
