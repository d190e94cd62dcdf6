"""Scanners of files: clamd by its INSTREAM command, over a socket on this machine or the network.

The document goes through the socket in pieces and is never written to a file of ours.
"""

import asyncio
from typing import Literal
from urllib.parse import urlsplit

from domain.ports import Scanner

SECONDS = 60.0
"""How long a scanner may take for one file."""
_CHUNK = 64 * 1024
_LONGEST_ANSWER = 4096
_PORT = 3310


class Clamd:
    """A clamd at a Unix socket (`path`) or at host and port."""

    name = "clamd"

    def __init__(self, *, path: str = "", host: str = "", port: int = _PORT) -> None:
        self._path, self._host, self._port = path, host, port

    async def scan(self, content: bytes) -> Literal["clean", "infected", "failed"]:
        """What the scanner says; `failed` when it cannot be asked or gives no verdict."""
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._ask(content)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return "failed"
        if answer.endswith(b" OK"):
            return "clean"
        return "infected" if answer.endswith(b" FOUND") else "failed"

    async def _ask(self, content: bytes) -> bytes:
        """`zINSTREAM`, then pieces with their length in front, the last of them empty."""
        reader, writer = await self._connect()
        try:
            writer.write(b"zINSTREAM\0")
            for start in range(0, len(content), _CHUNK):
                piece = content[start : start + _CHUNK]
                writer.write(len(piece).to_bytes(4, "big") + piece)
                await writer.drain()
            writer.write(bytes(4))
            await writer.drain()
            return (await reader.read(_LONGEST_ANSWER)).rstrip(b"\0\n")
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._path:
            return await asyncio.open_unix_connection(self._path)
        return await asyncio.open_connection(self._host, self._port)


def scanner_of(address: str) -> Scanner | None:
    """The scanner at an address: `clamd:///run/clamav/clamd.ctl` or `clamd://host:3310`.

    Empty: none is used. Raises `ValueError` for anything else.
    """
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme == "clamd" and parts.hostname:
        return Clamd(host=parts.hostname, port=parts.port or _PORT)
    if parts.scheme == "clamd" and parts.path:
        return Clamd(path=parts.path)
    message = "RELAY_SCANNER is neither clamd:///path/to/socket nor clamd://host:port"
    raise ValueError(message)
