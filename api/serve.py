"""Running processes: the API, the worker, or both in one (the demo)."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
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
_ENDINGS = (signal.SIGINT, signal.SIGTERM)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on uvloop: about twice as many requests as on the standard event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class Server(uvicorn.Server):
    """Uvicorn that ends when it is told to and leaves the rest of the process to us.

    Its own raises the signal again after the last answer: that would end the process before its
    worker, or leave the demo's database behind.
    """

    told_to_end = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to Ctrl-C and SIGTERM while serving; the second Ctrl-C does not wait."""
        before = {name: signal.signal(name, self.handle_exit) for name in _ENDINGS}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Remember that the end was wanted."""
        self.told_to_end = True
        super().handle_exit(sig, frame)


def http_server(runtime: Runtime) -> Server:
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
    return Server(config)


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
    try:
        await http_server(runtime).serve()
    finally:
        await runtime.database.close()


async def work(runtime: Runtime) -> None:
    """A worker alone; Ctrl-C or SIGTERM ends it when jobs in hand are done."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in _ENDINGS:
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
    telling = asyncio.create_task(_once_open(server, ready))
    telling.add_done_callback(lambda task: _end_if_failed(task, server))
    try:
        await asyncio.wait([serving])
    finally:
        server.should_exit = True
        stop.set()
        telling.cancel()
        await asyncio.gather(serving, working, telling, return_exceptions=True)
        await runtime.database.close()
    serving.result()
    if telling.done() and not telling.cancelled() and not server.told_to_end:
        telling.result()


async def _once_open(server: Server, ready: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.02)
    await ready()


def _end_if_failed(task: asyncio.Task[None], server: Server) -> None:
    if not task.cancelled() and task.exception() is not None:
        server.should_exit = True
