"""Calls to the API of an applicant tracking system: paced, guarded, JSON in and out.

One client per piece of work. Where it calls is checked like every address people give us
(`safe_http`), and what an answer links to is followed on the same host only.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
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
USER_AGENT = "career-relay/1"
_MISSING = (404, 410)
_UNAUTHORISED = (401, 403)
_TOO_MANY, _SERVER_ERROR, _REDIRECT, _REFUSED = 429, 500, 300, 400
_DOWN = {408, 409, 423, 425, _TOO_MANY}


@asynccontextmanager
async def vendor_api(
    adapter: AtsApi, connection: ConnectionView, *, now: datetime, allow_private: bool = False
) -> AsyncIterator["HttpVendorApi"]:
    """The vendor's API for one connection, signed in. Raises what its calls raise."""
    base = base_of(adapter.API_BASE, connection.settings.get("api_base"))
    try:
        check_url(base, allow_private=allow_private)
    except UnsafeAddress:
        raise VendorRefused("api_address_refused") from None
    async with safe_client(allow_private=allow_private) as client:
        api = HttpVendorApi(client, base, adapter.PER_SECOND, now)
        await adapter.sign_in(api, connection)
        yield api


def base_of(default: str, override: Any) -> str:
    """The API's base: the vendor's own, or another host; a path given with it counts too."""
    if not isinstance(override, str) or not override:
        return default.rstrip("/")
    bare = not urlsplit(override).path.strip("/")
    return override.rstrip("/") + (urlsplit(default).path.rstrip("/") if bare else "")


class HttpVendorApi:
    """One vendor's API over HTTP (`domain.ports.VendorApi`)."""

    def __init__(
        self, client: httpx2.AsyncClient, base: str, per_second: float, now: datetime
    ) -> None:
        self.headers: dict[str, str] = {}
        self.base = base
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
        request = self._client.build_request(
            method,
            self._url(path),
            params={k: v for k, v in params.items() if v is not None} if params else None,
            json=json,
            data=form,
            headers={
                "accept": "application/json", "user-agent": USER_AGENT,
                **self.headers, **(headers or {}),
            },
        )  # fmt: skip
        await self._wait()
        try:
            response = await self._client.send(request, stream=True)
            try:
                return await self._answer(response)
            finally:
                await response.aclose()
        except UnsafeAddress:
            raise VendorRefused("api_address_refused") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError):
            raise VendorDown from None

    def _url(self, path: str) -> str:
        if "://" not in path:
            return f"{self.base}/{path.lstrip('/')}"
        here, there = urlsplit(self.base), urlsplit(path)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
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


async def _body(response: httpx2.Response) -> bytes:
    read = bytearray()
    async for part in response.aiter_bytes():
        read += part
        if len(read) > MOST_BYTES:
            raise VendorRefused("api_answer_too_large")
    return bytes(read)


def _json(body: bytes) -> Any:
    """The answer's JSON; nothing for an empty one. A page of a proxy is no answer."""
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise VendorDown("api_answer_unreadable") from None


def _next_link(response: httpx2.Response) -> str | None:
    """`Link: <…>; rel="next"` (RFC 8288)."""
    found = response.links.get("next", {}).get("url")
    return str(response.url.join(found)) if found else None
