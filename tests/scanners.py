"""A scanner for tests: a real server that speaks clamd's INSTREAM and finds one word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

BAD_WORD = b"not-a-virus-but-a-test"


@dataclass
class FakeClamd:
    """What it was sent, and what it says; `answer` instead of its own verdict."""

    address: str = ""
    answer: bytes | None = None
    scanned: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
        content = b""
        while size := int.from_bytes(await reader.readexactly(4), "big"):
            content += await reader.readexactly(size)
        self.scanned.append(content)
        found = b"Test.Word FOUND" if BAD_WORD in content else b"OK"
        writer.write(self.answer if self.answer is not None else b"stream: " + found + b"\0")
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def clamd(socket: Path | None = None) -> AsyncIterator[FakeClamd]:
    """Listening on loopback, or at a Unix socket."""
    made = FakeClamd()
    if socket is not None:
        server = await asyncio.start_unix_server(made.serve, socket)
        made.address = f"clamd://{socket}"
    else:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.address = f"clamd://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made
