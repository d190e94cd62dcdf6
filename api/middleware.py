"""What happens to every request: an id, a size limit, safe headers. Pure ASGI."""

import re
import secrets
import time
from collections import deque
from http import HTTPStatus
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import metrics
from api.errors import problem, unexpected
from api.runtime import Runtime

log = structlog.get_logger()

MAX_BODY = 1024 * 1024
MAX_UPLOAD = 33 * 1024 * 1024
"""A file of the largest size we read (32 MiB) and the form around it."""
MAX_DOCUMENT = 6 * 1024 * 1024
"""A person's document of the largest size (5 MiB) and the form around it."""
_PIECE = 64 * 1024
"""Bytes a body is handed on in, however small the pieces were in which it came."""
_UPLOADS = frozenset({"/v1/company/imports", "/dashboard/imports"})
_DOCUMENTS = re.compile(r"/c/[A-Za-z0-9_-]{43}/files")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^"';\s]*)""", re.IGNORECASE)
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_KEYS = ("/c/", "/join/", "/login/m/")
_NEVER_KEPT = {"cache-control": "no-store", "x-robots-tag": "noindex"}
"""Where the address itself is a key, refusals and faults are kept by nobody either."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics", "/static/{path:path}"})
_DOOR = "/v1/ats/{provider}/{connection_id}"  # a delivery that was kept is a row; it needs no line
_HSTS = "max-age=31536000; includeSubDomains"


class Doorway:
    """Request id in and out, body limit before anything reads, security headers on every answer."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["relay.request_id"] = request_id = _request_id(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        limit, patience = _limits(scope["path"])
        begun, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(MutableHeaders(scope=message), scope)
            await send(message)

        try:
            if _foreign_letters(scope):
                await problem(415, request=Request(scope))(scope, receive, answer)
            elif _declared(scope) > patience:
                await problem(413, request=Request(scope))(scope, receive, answer)
            else:
                body = _limited(receive, limit, patience)
                # A file of HR's is read by its route, once it knows who sends it.
                body = body if scope["path"] in _UPLOADS else await _taken_in(body)
                await self.app(scope, body, answer)
        except Exception as error:
            if status:  # half an answer is out: only breaking off tells the caller so
                raise
            await unexpected(Request(scope, receive), error)(scope, receive, answer)
        finally:
            _note(scope, status or 500, time.perf_counter() - begun)

    def _dress(self, headers: MutableHeaders, scope: Scope) -> None:
        headers["x-request-id"] = scope["relay.request_id"]
        for name, value in {**scope.get("relay.headers", {}), **_HEADERS}.items():
            headers.setdefault(name, value)
        if scope["path"].startswith(_KEYS):
            headers.update(_NEVER_KEPT)
        if self.runtime.settings.secure:
            headers["strict-transport-security"] = _HSTS


def _note(scope: Scope, status: int, seconds: float) -> None:
    """One line and one count per request: the route's template, never the path or the query."""
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.observe(method, route, status, seconds)
    if route not in _QUIET_ROUTES and not (route == _DOOR and status < HTTPStatus.BAD_REQUEST):
        milliseconds = round(seconds * 1000, 1)
        log.info("request", method=method, route=route, status=status, milliseconds=milliseconds)


def _request_id(scope: Scope) -> str:
    given = _header(scope, b"x-request-id")
    return given if given and _SAFE_ID.fullmatch(given) else f"req_{secrets.token_hex(8)}"


def _foreign_letters(scope: Scope) -> bool:
    """Whether a form names a code page: the parser would use any codec Python knows for it."""
    kind = _header(scope, b"content-type") or ""
    named = _CHARSET.search(kind) if kind.lower().startswith("multipart/") else None
    return named is not None and named[1].lower() not in {"utf-8", "utf8", "us-ascii"}


def _declared(scope: Scope) -> int:
    value = _header(scope, b"content-length") or ""
    return int(value) if value.isascii() and value.isdigit() else 0


def _header(scope: Scope, name: bytes) -> str | None:
    found: Any = next((v for k, v in scope["headers"] if k == name), None)
    return found.decode("latin-1") if found is not None else None


def _limits(path: str) -> tuple[int, int]:
    """Bytes a body may have, and bytes of it that are taken in to be refused kindly.

    A browser hears no answer before it has sent its form: a page that explains a refusal needs the
    rest of a photograph too large, thrown away; what is larger still is cut off.
    """
    if _DOCUMENTS.fullmatch(path):
        return MAX_DOCUMENT, MAX_UPLOAD
    limit = MAX_UPLOAD if path in _UPLOADS else MAX_BODY
    return limit, limit


def _limited(receive: Receive, limit: int, patience: int) -> Receive:
    read = 0

    async def inner() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            while message.get("more_body", False) and read <= patience:
                message = await receive()
                read += len(message.get("body", b""))
            # An HTTPException passes FastAPI's body parsing as what it is.
            raise HTTPException(413)
        return message

    return inner


async def _taken_in(receive: Receive) -> Receive:
    """The whole body, before anything is opened for it: a slow sender holds no connection of ours.

    Routes work in a transaction. One that waited in it for a body would keep it from everybody
    else, and the database ends a transaction that idles: no telephone on a slow line got through.
    """
    pieces = deque([bytearray()])
    message: Message = {"more_body": True}
    refused: HTTPException | None = None
    while message.get("more_body", False):
        try:
            message = await receive()
        except HTTPException as error:
            refused = error
            break
        if len(pieces[-1]) >= _PIECE:
            pieces.append(bytearray())
        pieces[-1] += message.get("body", b"")

    async def inner() -> Message:
        if refused is not None:
            raise refused
        if not pieces or message["type"] != "http.request":
            return await receive()
        piece = bytes(pieces.popleft())
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    return inner
