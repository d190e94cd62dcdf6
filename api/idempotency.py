"""`Idempotency-Key`: a POST that is repeated is answered again, not carried out again.

(Internet-Draft httpapi-idempotency-key-header-07.) The key, the request's fingerprint and the
answer stand in one row, written in the same transaction as what was done. A refusal rolls the row
back with the rest, so a corrected request may use the key again.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update
from starlette.datastructures import UploadFile

from api.auth import Caller, caller_of
from api.deps import Db, Kit, Now
from domain.caller import Idempotency
from domain.ports import Tools
from domain.store import add_once
from domain.views.credits import posted_here

T = TypeVar("T")
_KEY = re.compile(r'"?([\x21\x23-\x7e][\x20\x21\x23-\x7e]{0,254})"?')
_DRY = (
    "Carry it out by the real path, show the postings and the balances after them, and take"
    " everything back. The key is not used up"
)
_HINT = "Send an Idempotency-Key: 1 to 255 printable ASCII characters, new for every new request"


class Repeatable:
    """Carries a request out once per client and key."""

    def __init__(
        self,
        request: Request,
        db: AsyncSession,
        tools: Tools,
        now: datetime,
        key: str | None,
        *,
        dry_run: bool = False,
    ) -> None:
        self._request = request
        self._db = db
        self._tools = tools
        self._now = now
        self._key = key
        self._dry_run = dry_run

    async def __call__(self, run: Callable[[], Awaitable[T]]) -> T:
        """Do the work, or hand out the answer it got before.

        What comes back is the finished answer: FastAPI sends it as it is.
        """
        caller, key = caller_of(self._request), _read(self._key)
        if self._dry_run:
            return cast("T", await self._rehearse(run))
        fingerprint = await _fingerprint(self._request)
        await self._stand_alone(caller, key)
        row = Idempotency(
            client_id=caller.client_id, key=key, request_sha256=fingerprint,
            status=0, answer=b"", created_at=self._now,
        )  # fmt: skip
        if await add_once(self._db, row):
            return cast("T", await self._first(row, await run()))
        return cast("T", await self._again(row))

    async def _rehearse(self, run: Callable[[], Awaitable[Any]]) -> Response:
        """Do everything by the real path, show what it would leave behind, and take it all back."""
        async with self._db.begin_nested() as attempt:
            answer = _response(self._request, await run())
            postings = await posted_here(self._db)
            await attempt.rollback()
        shown = {"dry_run": True, "would_answer": json.loads(bytes(answer.body)), **postings}
        return JSONResponse(jsonable_encoder(shown), 200, {"dry-run": "true"})

    async def _stand_alone(self, caller: Caller, key: str) -> None:
        """Only one request with this key is in hand; a second one is told so, not kept waiting."""
        number = func.hashtextextended(f"idempotency {caller.client_id} {key}", 0)
        mine = (await self._db.execute(select(func.pg_try_advisory_xact_lock(number)))).scalar_one()
        if not mine:
            raise _refuse(409, "idempotency_in_flight", "A request with this key is in hand", "1")

    async def _first(self, row: Idempotency, result: object) -> Response:
        response = _response(self._request, result)
        sealed = self._tools.sealer.seal(bytes(response.body), about=_about(row))
        await self._db.execute(
            update(Idempotency)
            .where(col(Idempotency.client_id) == row.client_id, col(Idempotency.key) == row.key)
            .values(status=response.status_code, answer=sealed)
        )
        return response

    async def _again(self, row: Idempotency) -> Response:
        kept = await self._db.get_one(Idempotency, (row.client_id, row.key))
        if kept.request_sha256 != row.request_sha256:
            detail = "This key was used for another request"
            raise _refuse(422, "idempotency_key_reused", detail)
        body = self._tools.sealer.open(kept.answer, about=_about(row))
        headers = {"idempotency-replayed": "true"}
        media = "application/json" if body else None
        return Response(body, kept.status, headers, media_type=media)


def _response(request: Request, result: object) -> Response:
    if isinstance(result, Response):
        return result
    status = request.scope["route"].status_code or 200
    return JSONResponse(jsonable_encoder(result), status)


def _about(row: Idempotency) -> str:
    return f"idempotency:{row.client_id}:{row.key}"


def _read(header: str | None) -> str:
    found = _KEY.fullmatch((header or "").strip())
    if found is None:
        raise _refuse(400, "idempotency_key_missing", _HINT)
    return found[1]


async def _fingerprint(request: Request) -> str:
    """Method, path, query and content. An upload counts by its parts: boundaries are random."""
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    form = getattr(request, "_form", None)
    if form is None:
        digest.update(await request.body())
        return digest.hexdigest()
    for name, value in form.multi_items():
        content = str(value).encode()
        if isinstance(value, UploadFile):
            content = await value.read()
            await value.seek(0)
        digest.update(f"{len(name)}:{name}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def _refuse(status: int, code: str, detail: str, retry: str | None = None) -> HTTPException:
    headers = {"x-problem-code": code}
    if retry is not None:
        headers["retry-after"] = retry
    return HTTPException(status, detail, headers)


async def _once(
    request: Request,
    db: Db,
    tools: Kit,
    now: Now,
    idempotency_key: Annotated[str | None, Header(description=_HINT)] = None,
) -> Repeatable:
    return Repeatable(request, db, tools, now, idempotency_key)


async def _rehearsable(
    *,
    request: Request,
    db: Db,
    tools: Kit,
    now: Now,
    dry_run: Annotated[bool, Query(description=_DRY)] = False,
    idempotency_key: Annotated[str | None, Header(description=_HINT)] = None,
) -> Repeatable:
    return Repeatable(request, db, tools, now, idempotency_key, dry_run=dry_run)


Once = Annotated[Repeatable, Depends(_once)]
"""In a route: `return await once(run)`."""

Rehearsable = Annotated[Repeatable, Depends(_rehearsable)]
"""The same for a route that posts to the ledger: with `dry_run=true` it is all taken back."""
