"""Standard Webhooks 1.0: signing, and one attempt at sending.

`webhook-signature` carries one `v1,<base64>` per secret over `id.timestamp.body`; during a rotation
there are two. Only 2xx is success; a redirect is a failure; 410 says that nobody lives there.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx2

from domain.webhook import Outcome
from integrations.safe_http import TOTAL_SECONDS, UnsafeAddress, read_some, retry_after

USER_AGENT = "career-relay-webhooks/1"
_SHOWN = 1024


def sign(secret: str, message_id: str, stamp: int, body: bytes) -> str:
    """`v1,<base64 of HMAC-SHA-256>` by one `whsec_…` secret. `ValueError` for a malformed one."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        message = "a webhook secret is whsec_ and base64"
        raise ValueError(message) from None
    digest = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def headers_for(
    secrets: Sequence[str], message_id: str, at: datetime, body: bytes
) -> dict[str, str]:
    """The headers of one attempt: the id stays, the timestamp and so the signatures are new."""
    stamp = int(at.timestamp())
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": " ".join(sign(one, message_id, stamp, body) for one in secrets),
    }


async def send(
    client: httpx2.AsyncClient,
    url: str,
    headers: dict[str, str],
    body: bytes,
    *,
    seconds: float = TOTAL_SECONDS,
) -> Outcome:
    """Try once. Whatever goes wrong is an outcome, never an exception."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(seconds):
            outcome = await _call(client, url, headers, body)
    except TimeoutError:
        outcome = Outcome(error="timeout")
    except UnsafeAddress as error:
        outcome = Outcome(error=f"refused: {error}")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        outcome = Outcome(error=_kind(error))
    return _timed(outcome, int((loop.time() - began) * 1000))


async def _call(
    client: httpx2.AsyncClient, url: str, headers: dict[str, str], body: bytes
) -> Outcome:
    request = client.build_request("POST", url, headers=headers, content=body)
    response = await client.send(request, stream=True)
    try:
        read = await read_some(response)
    finally:
        await response.aclose()
    return Outcome(
        status=response.status_code,
        error=None if response.is_success else f"http_{response.status_code}",
        answer=read[:_SHOWN].decode("utf-8", "replace").replace("\0", ""),
        retry_after=retry_after(
            response.headers.get("retry-after"),
            datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC),
        ),
        asked=response.headers.get("webhook-delivery", "").strip().lower(),
    )


def _timed(outcome: Outcome, milliseconds: int) -> Outcome:
    return Outcome(
        outcome.status, outcome.error, outcome.answer, outcome.retry_after, outcome.asked,
        milliseconds,
    )  # fmt: skip


def _kind(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "timeout"
    if isinstance(error, httpx2.ConnectError):
        return "connect_failed"
    return "connection_lost" if isinstance(error, httpx2.TransportError) else "bad_response"
