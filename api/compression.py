"""Answers for people on the move leave compressed: the candidate's pages and what they load.

Only where it was asked for, only text, only whole answers of a known size; what is streamed passes
as it is. Forms on these pages carry a masked word (`api/masked.py`), so that their length tells
nothing.
"""

import functools
import gzip
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIXES = ("/c/", "/join/", "/static/")
_TEXT = ("text/", "application/json", "image/svg+xml")
_SHORTEST = 500
"""Below this the wrapping costs more than it saves."""
_LONGEST = 4 * 1024 * 1024
_LEVEL = 6
_KEPT = 64


class Compressed:
    """Gzip for the answers under some paths. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIXES):
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Answer(scope, send))


class _Answer:
    """One answer: held back until it is whole, then sent smaller where that was asked for."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send, self._scope = send, scope
        self._start: dict[str, Any] | None = None
        self._parts: list[bytes] = []
        self._passes = False

    async def __call__(self, message: Message) -> None:
        if self._passes:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body" and self._start is not None:
            await self._go_on(self._start, message)
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        kind = headers.get("content-type", "")
        size = int(headers.get("content-length", "0"))
        whole = _SHORTEST <= size <= _LONGEST
        if not kind.startswith(_TEXT) or not whole or "content-encoding" in headers:
            self._passes = True
            await self._send(message)
            return
        headers.add_vary_header("Accept-Encoding")
        if not _takes_gzip(self._scope) or self._scope["method"] == "HEAD":
            self._passes = True
            await self._send(message)
            return
        self._start = dict(message)

    async def _go_on(self, start: dict[str, Any], message: Message) -> None:
        self._parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        body = _packed(b"".join(self._parts), kept=self._scope["path"].startswith("/static/"))
        headers = MutableHeaders(scope=start)
        headers["content-encoding"], headers["content-length"] = "gzip", str(len(body))
        if (tag := headers.get("etag", "")).startswith('"'):
            headers["etag"] = f"W/{tag}"  # the same words in other bytes
        self._passes = True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _takes_gzip(scope: Scope) -> bool:
    said = Headers(scope=scope).get("accept-encoding", "").lower()
    for part in said.split(","):
        name, _, quality = part.replace(" ", "").partition(";q=")
        if name == "gzip":
            return quality.rstrip("0").rstrip(".") not in {"0", ""} if quality else True
    return False


def _packed(body: bytes, *, kept: bool) -> bytes:
    """Static files are packed once; a page is packed for the one who reads it and forgotten."""
    return _packed_once(body) if kept else gzip.compress(body, _LEVEL, mtime=0)


@functools.lru_cache(_KEPT)
def _packed_once(body: bytes) -> bytes:
    return gzip.compress(body, 9, mtime=0)
