"""Style sheets, scripts and pictures: kept for ever under a hashed address, else asked again."""

import mimetypes

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

from api.pages import STATIC, digest

router = APIRouter(include_in_schema=False)
_LONGEST_PATH = 200
"""Longer than any of ours; file systems refuse names of some length loudly."""
_FOR_EVER = "public, max-age=31536000, immutable"
mimetypes.add_type("text/javascript", ".js")


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"])
async def static_file(path: str, request: Request) -> Response:
    """One file of `api/static`, never anything outside of it."""
    strange = "\x00" in path or len(path) > _LONGEST_PATH
    found = STATIC if strange else (STATIC / path).resolve()
    if not found.is_relative_to(STATIC) or not found.is_file():
        raise HTTPException(404)
    version = digest(str(found.relative_to(STATIC)))
    tag = f'"{version}"'
    kept = _FOR_EVER if request.query_params.get("v") == version else "no-cache"
    headers = {"etag": tag, "cache-control": kept}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(found, headers=headers)
