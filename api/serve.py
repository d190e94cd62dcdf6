"""Running processes: the API, the worker, or both in one (the demo)."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
import uvicorn
import uvloop

from api.app import create_app
from api.runtime import Runtime
from api.worker import Worker

log = structlog.get_logger()
T = TypeVar("T")
_RESTART_SECONDS = 1.0


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on uvloop: about twice as many requests as on the standard event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def http_server(runtime: Runtime) -> uvicorn.Server:
    """Uvicorn over the app, without its own access log: paths may hold links."""
    config = uvicorn.Config(
        create_app(runtime),
        host=runtime.settings.host,
        port=runtime.settings.port,
        log_level="warning",
        log_config=None,  # its lines go where ours go (api/logs.py), exceptions without their words
        access_log=False,
        proxy_headers=True,
        timeout_graceful_shutdown=10,
        server_header=False,
    )
    return uvicorn.Server(config)


async def keep_working(runtime: Runtime, stop: asyncio.Event) -> None:
    """Run a worker; when its database connection breaks, begin again until told to stop."""
    while not stop.is_set():
        worker = Worker(runtime)
        ending = asyncio.create_task(_end_with(worker, stop))
        try:
            await worker.run()
        except Exception as error:
            log.exception("worker_fell", kind=type(error).__name__)
        finally:
            ending.cancel()
        if not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RESTART_SECONDS)


async def _end_with(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    worker.stop()


async def serve(runtime: Runtime) -> None:
    """The API alone; Ctrl-C or SIGTERM ends it when open requests are answered."""
    await http_server(runtime).serve()


async def work(runtime: Runtime) -> None:
    """A worker alone; Ctrl-C or SIGTERM ends it when jobs in hand are done."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    try:
        await keep_working(runtime, stop)
    finally:
        await runtime.database.close()


async def both(runtime: Runtime, ready: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """API and worker in one process; `ready` runs once the doors are open."""
    server, stop = http_server(runtime), asyncio.Event()
    serving = asyncio.create_task(server.serve())
    working = asyncio.create_task(keep_working(runtime, stop))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.02)
    telling = asyncio.create_task(ready())
    telling.add_done_callback(lambda task: _end_if_failed(task, server))
    try:
        await serving
    finally:
        stop.set()
        telling.cancel()
        await asyncio.gather(working, telling, return_exceptions=True)
    if telling.done() and not telling.cancelled():
        telling.result()


def _end_if_failed(task: asyncio.Task[None], server: uvicorn.Server) -> None:
    if not task.cancelled() and task.exception() is not None:
        server.should_exit = True
