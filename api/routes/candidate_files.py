"""A person's 履歴書 and 職務経歴書: send them, replace them, take them back, see who read them."""

# ruff: noqa: FAST003 - the token is read by the dependency every route here asks for

from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from api import uploads
from api.candidate_sections import section
from api.candidate_visit import Link, Visit, moment_of
from api.deps import Process
from api.errors import status_of
from api.rate_limit import RateLimiter
from api.runtime import Runtime
from domain import data_items
from domain.candidate_file import KINDS, MOST_BYTES, CandidateFile, HeldFile
from domain.errors import Gone, Invalid, NotFound, TryLater
from domain.flows.person.keep_file import keep_file, remove_file
from domain.flows.relay.spread_correction import spread_correction
from domain.ids import pattern
from domain.store import find
from domain.views.files import accesses_of, content_of, files_of, held

router = APIRouter(include_in_schema=False)

FileId = Annotated[str, Path(pattern=pattern("fil"))]
FAULTS = frozenset({
    "file_missing", "file_empty", "file_too_large", "file_too_long", "file_type_unknown",
    "file_unreadable", "file_protected", "file_active", "file_attached", "file_linked",
    "too_many",
})  # fmt: skip
"""Refusals that have words of their own."""
_A_MINUTE = 12
"""Files one link may send in a minute, per process: each is looked into."""
_KIB = 1024
_STANDS = ("form", "my_page")


@router.get("/c/{token}/files")
async def show_files(visit: Link) -> Response:
    """The documents we hold, and where to send one."""
    if refused := await _refusal(visit):
        return refused
    return await _page(visit)


@router.post("/c/{token}/files")
async def send_file(visit: Link, process: Process) -> Response:
    """Take a document in the place of the one of its kind; it is checked before it is kept."""
    if visit.stands not in _STANDS:
        return visit.closed()
    try:
        return await _sent(visit, process)
    finally:
        await visit.request.close()  # what was sent leaves the memory


async def _sent(visit: Visit, process: Runtime) -> Response:
    try:
        form = await visit.request.form()
    except HTTPException as error:
        if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # What did not arrive carries no word of ours: only what may be seen is shown.
            seen = await _refusal(visit)
            return seen or await _page(visit, fault="file_too_large", status=error.status_code)
        raise
    if refused := await _refusal(visit, process):
        return refused
    kind = str(form.get("kind", ""))
    if kind not in KINDS:
        return visit.stale()
    if (fault := await _keep(visit, kind)) is not None:
        return await _page(visit, kind=kind, fault=fault[0], status=fault[1])
    return visit.back(f"/files?kept={kind}")


@router.post("/c/{token}/files/{file_id}/remove")
async def take_file_back(visit: Link, process: Process, file_id: FileId) -> Response:
    """Take a document back: it is gone here at once, and agencies that hold it are told."""
    if refused := await _refusal(visit, process):
        return refused
    file = await _mine(visit, file_id)
    if file is None:
        return visit.stale()
    standing = file.removed_at is None
    await remove_file(visit.db, visit.opened.candidate, file_id, visit.now)
    if standing:
        await spread_correction(
            visit.db, visit.tools, visit.opened.candidate, [file.kind], visit.now
        )
    return visit.back(f"/files?removed={file.kind}")


@router.get("/c/{token}/files/{file_id}")
async def take_along(visit: Link, file_id: FileId) -> Response:
    """One's own document, as it was sent. That is not noted: a GET changes nothing."""
    if refused := await visit.refusal("my_page", proven=True):
        return refused
    file = await _mine(visit, file_id)
    if file is None or file.removed_at is not None:
        raise NotFound
    content = await content_of(visit.db, visit.tools.sealer, file)
    if content is None:
        raise Gone(code="file_removed")
    shown = await held(visit.db, visit.tools.sealer, visit.opened.candidate, file, content)
    return as_attachment(shown)


@section("files", 40, proven=True)
async def files_part(visit: Visit) -> dict[str, Any] | None:
    """The documents we hold."""
    return {"files": await _dressed(visit)}


@section("readers", 45)
async def readers_part(visit: Visit) -> dict[str, Any] | None:
    """Who has looked at them; left out while nobody has."""
    found = await accesses_of(visit.db, visit.opened.candidate)
    if not found:
        return None
    return {
        "readers": [
            {
                "kind": data_items.label(one.kind, visit.locale),
                "reader": one.reader,
                "reason": one.reason,
                "agency": one.agency if visit.locale == "ja" else one.agency_en,
                "at": moment_of(one.at, visit.locale),
            }
            for one in found
        ]
    }


def as_attachment(file: HeldFile) -> Response:
    """A document to keep; never shown by the browser, whatever it may hold."""
    plain = f"{file.kind}.{file.type}"
    named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}"
    headers = {
        "content-disposition": named,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return Response(file.content, headers=headers, media_type="application/octet-stream")


async def _keep(visit: Visit, kind: str) -> tuple[str, int] | None:
    """Why the file that was sent is not kept, and the status of saying so; null when it is."""
    if not _limiter(visit.request).ask(visit.opened.link.id).allowed:
        return "too_many", HTTPStatus.TOO_MANY_REQUESTS
    file = await uploads.chosen(visit.request, "file", MOST_BYTES)
    if file is None:
        return "file_missing", HTTPStatus.UNPROCESSABLE_ENTITY
    if len(file.content) > MOST_BYTES:
        return "file_too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    try:
        async with visit.db.begin_nested():
            await keep_file(
                visit.db, visit.tools, visit.opened.candidate, kind, file.content,
                name=file.name, now=visit.now,
            )  # fmt: skip
    except Invalid as refusal:
        return refusal.code, status_of(refusal)
    except TryLater as refusal:  # many documents are being looked at
        return "too_many", status_of(refusal)
    return None


async def _refusal(visit: Visit, process: Runtime | None = None) -> Response | None:
    """On the form's link without a second step: nothing is shown there that the form does not.

    On one's own page only after it.
    """
    proven = visit.stands == "my_page"
    return await visit.refusal(*_STANDS, process=process, proven=proven)


async def _page(visit: Visit, *, kind: str = "", fault: str = "", status: int = 200) -> Response:
    asked = visit.request.query_params
    return visit.show(
        "files",
        status,
        rooms=await _rooms(visit),
        kind=kind,
        fault=fault if fault in FAULTS or not fault else "file_unreadable",
        kept=_label(visit, asked.get("kept", "")),
        removed=_label(visit, asked.get("removed", "")),
        on_form=visit.stands == "form",
        most=MOST_BYTES // _KIB // _KIB,
    )


async def _rooms(visit: Visit) -> list[dict[str, Any]]:
    """One place for each kind of document, with what lies there."""
    there = {one["kind"]: one for one in await _dressed(visit)}
    return [
        {"kind": kind, "label": data_items.label(kind, visit.locale), "file": there.get(kind)}
        for kind in KINDS
    ]


async def _dressed(visit: Visit) -> list[dict[str, Any]]:
    found = await files_of(visit.db, visit.tools.sealer, visit.opened.candidate)
    return [
        {
            "id": one.id,
            "kind": one.kind,
            "label": data_items.label(one.kind, visit.locale),
            "name": one.name,
            "size": f"{max(1, round(one.size / _KIB)):,} KB",
            "sent": moment_of(one.created_at, visit.locale),
            "state": one.scan if one.scan != "unscanned" or visit.tools.scanner else "kept",
        }
        for one in found
    ]


async def _mine(visit: Visit, file_id: str) -> CandidateFile | None:
    candidate = visit.opened.candidate
    file = await find(visit.db, CandidateFile, candidate.company_id, file_id)
    return file if file is not None and file.candidate_id == candidate.id else None


def _label(visit: Visit, kind: str) -> str:
    return data_items.label(kind, visit.locale) if kind in KINDS else ""


def _limiter(request: Request) -> RateLimiter:
    state = request.app.state
    if not hasattr(state, "upload_limiter"):
        state.upload_limiter = RateLimiter(_A_MINUTE)
    limiter: RateLimiter = state.upload_limiter
    return limiter
