"""Calls to the API of an applicant tracking system: paced, guarded, JSON in and out.

One client per piece of work. Where it calls is checked like every address people give us
(`safe_http`), and what an answer links to is followed on the same host only. A vendor that is
also at home elsewhere, as where it gives out its tokens, names that in `HOSTS` of its module
(`https://host`, several).
"""

import asyncio
import json
import math
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from domain.ports import (
    Answer,
    AtsApi,
    ConnectionView,
    VendorDown,
    VendorMissing,
    VendorRefused,
)
from integrations.safe_http import UnsafeAddress, check_url, retry_after, safe_client

MOST_BYTES = 8 * 1024 * 1024
CALL_SECONDS = 60.0
"""How long one call may take, however slowly its answer drips in."""
USER_AGENT = "career-relay/1"
_MISSING = (404, 410)
_UNAUTHORISED = (401, 403)
_TOO_MANY, _SERVER_ERROR, _REDIRECT, _REFUSED = 429, 500, 300, 400
_DOWN = {408, 409, 423, 425, _TOO_MANY}
_FULL_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_PORTS = {"https": 443, "http": 80}
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PACKED = {"gzip", "x-gzip", "deflate"}

Origin = tuple[str, str, int | None]


@asynccontextmanager
async def vendor_api(
    adapter: AtsApi, connection: ConnectionView, *, now: datetime, allow_private: bool = False
) -> AsyncIterator["HttpVendorApi"]:
    """The vendor's API for one connection, signed in. Raises what its calls raise."""
    try:
        base = base_of(adapter.API_BASE, connection.settings.get("api_base"))
        check_url(base, allow_private=allow_private)
    except (UnsafeAddress, ValueError):
        raise VendorRefused("api_address_refused") from None
    also: Iterable[str] = getattr(adapter, "HOSTS", ())
    async with safe_client(allow_private=allow_private) as client:
        api = HttpVendorApi(client, base, adapter.PER_SECOND, now, also=also)
        await adapter.sign_in(api, connection)
        yield api


def base_of(default: str, override: Any) -> str:
    """The API's base: the vendor's own, or another host; a path given with it counts too.

    Raises `ValueError` for what cannot be the beginning of a URL.
    """
    if not isinstance(override, str) or not override:
        return default.rstrip("/")
    parts = urlsplit(override)
    if "?" in override or "#" in override:
        raise ValueError
    bare = not parts.path.strip("/")
    return override.rstrip("/") + (urlsplit(default).path.rstrip("/") if bare else "")


class HttpVendorApi:
    """One vendor's API over HTTP (`domain.ports.VendorApi`)."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        base: str,
        per_second: float,
        now: datetime,
        *,
        also: Iterable[str] = (),
    ) -> None:
        self.headers: dict[str, str] = {}
        self.base = base
        self._also = {_origin(one) for one in also}
        self._client, self._pause, self._now = client, 1 / per_second, now
        self._next = 0.0

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Read `path` below the base; a full URL must lead to the same host."""
        return await self.send("GET", path, params=params)

    async def get_or_none(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON there, or nothing where the vendor knows nothing of it."""
        try:
            return (await self.get(path, params)).data
        except VendorMissing:
            return None

    async def get_extra(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The same for what an event can do without: nothing, too, where we may not read it."""
        try:
            return await self.get_or_none(path, params)
        except VendorRefused:
            return None

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any call. What the vendor answers otherwise than with success is an exception."""
        request = self._request(
            method, path, json=json, data=form, params=params, headers=headers or {}
        )
        await self._wait()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                response = await self._client.send(request, stream=True)
                try:
                    return await self._answer(response)
                finally:
                    await response.aclose()
        except UnsafeAddress:
            raise VendorRefused("api_address_refused") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError):
            raise VendorDown from None

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        **content: Any,
    ) -> httpx2.Request:
        sent = {
            "accept": "application/json", "accept-encoding": "gzip", "user-agent": USER_AGENT,
            **self.headers, **headers,
        }  # fmt: skip
        if not all(_HEADER_VALUE.fullmatch(value) for value in sent.values()):
            # A credential with a full-width letter or a line break: no server has given that out.
            raise VendorRefused("api_credential_malformed")
        # No parameters at all, so that those of a full URL stay as they are.
        asked = {k: v for k, v in (params or {}).items() if v is not None} or None
        try:
            return self._client.build_request(
                method, self._url(path), params=asked, headers=sent, **content
            )
        except httpx2.InvalidURL:
            raise VendorRefused("api_request_malformed") from None

    def _url(self, path: str) -> str:
        if not _FULL_URL.match(path):
            return f"{self.base}/{path.lstrip('/')}"
        try:
            known = _origin(path) in {_origin(self.base), *self._also}
        except ValueError:
            known = False
        if not known:
            raise VendorRefused("api_leads_elsewhere")
        return path

    async def _wait(self) -> None:
        """Keep the pace the vendor allows."""
        loop = asyncio.get_running_loop()
        start = max(self._next, loop.time())
        self._next = start + self._pause
        await asyncio.sleep(start - loop.time())

    async def _answer(self, response: httpx2.Response) -> Answer:
        self._judge(response)
        return Answer(
            data=_json(await _body(response)),
            headers={name.lower(): value for name, value in response.headers.items()},
            next=_next_link(response),
        )

    def _judge(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status in _DOWN or status >= _SERVER_ERROR:
            after = retry_after(response.headers.get("retry-after"), self._now)
            raise VendorDown("api_busy" if status == _TOO_MANY else "api_unavailable", after)
        if status in _MISSING:
            raise VendorMissing
        if status in _UNAUTHORISED:
            raise VendorRefused("api_unauthorised", status)
        if status >= _REFUSED:
            raise VendorRefused("api_refused", status)
        if status >= _REDIRECT:
            raise VendorRefused("api_redirected", status)


def _origin(url: str) -> Origin:
    """Scheme, host and port. Raises `ValueError` for a URL without, or with a user in it."""
    parts = urlsplit(url)
    if not parts.hostname or "@" in parts.netloc or "\\" in url:
        raise ValueError
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


async def _body(response: httpx2.Response) -> bytes:
    """The answer's bytes, unpacked no further than we take them: a small one may swell a lot."""
    unpack = _unpacker(response.headers.get("content-encoding", ""))
    read = bytearray()
    async for part in response.aiter_raw():
        read += unpack.decompress(part, MOST_BYTES + 1 - len(read)) if unpack else part
        if len(read) > MOST_BYTES:
            raise VendorRefused("api_answer_too_large")
    if unpack and unpack.is_cut_off:
        raise VendorDown("api_answer_unreadable")
    return bytes(read)


def _unpacker(encoding: str) -> "_Unpacker | None":
    told = encoding.strip().lower()
    if told in {"", "identity"}:
        return None
    if told not in _PACKED:
        raise VendorDown("api_answer_unreadable")
    return _Unpacker()


class _Unpacker:
    """gzip or zlib, piece by piece; what does not unpack is no answer."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False

    @property
    def is_cut_off(self) -> bool:
        """Whether the end is missing of what has begun to come."""
        return self._begun and not self._stream.eof

    def decompress(self, part: bytes, most: int) -> bytes:
        """At most so many bytes. More than that are too many anyway and never asked for."""
        self._begun = self._begun or bool(part)
        try:
            return self._stream.decompress(part, most)
        except zlib.error:
            raise VendorDown("api_answer_unreadable") from None


def _json(body: bytes) -> Any:
    """The answer's JSON; nothing for an empty one. A page of a proxy is no answer."""
    if not body.strip():
        return None
    try:
        return json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise VendorDown("api_answer_unreadable") from None


def _no_number(word: str) -> Any:
    """`NaN` and `Infinity` are no JSON, and nothing we could keep."""
    raise ValueError(word)


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_number(digits)


def _next_link(response: httpx2.Response) -> str | None:
    """`Link: <…>; rel="next"` (RFC 8288)."""
    found = response.links.get("next", {}).get("url")
    return str(response.url.join(found)) if found else None
