"""A vendor's API for tests: real HTTP on loopback, answering what a test lays out for it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from domain.ports import AtsApi, ConnectionView
from integrations.vendor_api import HttpVendorApi, vendor_api


@dataclass(frozen=True)
class Call:
    """A request the stub was sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode())


@dataclass(frozen=True)
class Said:
    """An answer that is more than JSON with a 200."""

    data: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


Laid = Any  # JSON, a `Said`, or a function of the call that gives either


@dataclass
class VendorStub:
    """`lay("GET", "/v1/things", …)`; several answers are given in turn, the last one for good.

    What was not laid out is answered 404. `calls` has every request in order.
    """

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    _laid: dict[tuple[str, str], list[Laid]] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lay(self, method: str, path: str, *answers: Laid | Callable[[Call], Laid]) -> None:
        self._laid[method, path] = list(answers)

    def asked(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        call = Call(
            scope["method"],
            scope["path"],
            parse_qs(scope["query_string"].decode(), keep_blank_values=True),
            {name.decode().lower(): value.decode() for name, value in scope["headers"]},
            body,
        )
        self.calls.append(call)
        said = self._answer(call)
        raw = said.raw if said.raw is not None else json.dumps(said.data).encode()
        headers = {"content-type": "application/json", **said.headers}
        await send({
            "type": "http.response.start", "status": said.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        })  # fmt: skip
        await send({"type": "http.response.body", "body": raw})

    def _answer(self, call: Call) -> Said:
        answers = self._laid.get((call.method, call.path))
        if not answers:
            return Said({"error": "not found"}, 404)
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(found):
            found = found(call)
        return found if isinstance(found, Said) else Said(found)


@asynccontextmanager
async def vendor_stub() -> AsyncIterator[VendorStub]:
    """A running stub; its settings for a connection are `{"api_base": stub.base, …}`."""
    stub = VendorStub()
    server = uvicorn.Server(
        uvicorn.Config(stub, port=0, log_level="error", lifespan="off", ws="none")
    )
    socket = server.config.bind_socket()
    stub.port = socket.getsockname()[1]
    running = asyncio.create_task(server.serve(sockets=[socket]))
    try:
        yield stub
    finally:
        server.should_exit = True
        await running
        socket.close()


@asynccontextmanager
async def api_of(
    adapter: AtsApi, stub: VendorStub, now: datetime, **settings: Any
) -> AsyncIterator[tuple[HttpVendorApi, ConnectionView]]:
    """The adapter's API client, signed in against the stub, and the connection it is for."""
    known = {"api_base": stub.base, "api_key": "key-for-tests", **settings}
    connection = ConnectionView(id="ats_1", settings=known)
    async with vendor_api(adapter, connection, now=now, allow_private=True) as api:
        yield api, connection
