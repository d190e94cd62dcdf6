"""One table of refusals: business code → HTTP status.

Programs get problem+json (RFC 9457), people with a browser a page that says the same kindly.
"""

import re
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from domain import errors

log = structlog.get_logger()

STATUS: dict[type[errors.Refusal], int] = {
    errors.NotFound: 404,
    errors.Gone: 410,
    errors.Conflict: 409,
    errors.Forbidden: 403,
    errors.Invalid: 422,
    errors.Halted: 423,
    errors.TryLater: 503,
    errors.Refusal: 400,
}

TITLES = {
    400: ("bad_request", "The request cannot be understood"),
    401: ("unauthorized", "Sign in or present a valid token"),
    403: ("forbidden", "This caller may not do this"),
    404: ("not_found", "There is nothing here for this caller"),
    405: ("method_not_allowed", "This method is not offered here"),
    409: ("conflict", "The present state does not allow this"),
    410: ("gone", "It is no longer handed out"),
    413: ("too_large", "The request is too large"),
    415: ("unsupported_media_type", "This content type is not read here"),
    422: ("invalid", "The request has the wrong shape"),
    423: ("locked", "The book is halted"),
    429: ("rate_limited", "Too many requests"),
    500: ("internal", "Something went wrong on our side"),
    503: ("try_later", "Please try again in a moment"),
}


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PROGRAMS = ("/v1/", "/oauth/", "/.well-known/", "/openapi.json", "/metrics")
_PASSING = frozenset({"55P03", "57014", "40001", "40P01", "53300", "57P01", "57P02", "57P03"})
"""SQLSTATEs that pass by themselves: a lock, a time-out, a deadlock, a restart."""
_UNSTORABLE = frozenset({"22003", "22008", "22021", "22P05"})
"""Numbers and dates out of range, characters PostgreSQL cannot hold."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_QUOTING = frozenset({"union_tag_invalid", "dataclass_type", "is_instance_of"})
_PAGED = frozenset({403, 404, 405, 409, 410, 413, 422, 429, 503})
_PAGED_CODES = frozenset({"csrf", "role", "sign_in_link_gone", "sign_in_other_browser"})
"""Refusals whose page has words of its own; the others have words by status."""


def problem(
    status: int,
    code: str | None = None,
    detail: str = "",
    *,
    request: Request | None = None,
    headers: dict[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """A problem document. `code` is stable; `detail` is for people and holds no personal data."""
    default_code, title = TITLES.get(status, ("error", "The request was refused"))
    code = code or default_code
    body: dict[str, Any] = {
        "type": f"https://career-relay.example/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail or title,
    }
    if request is not None and (request_id := request.scope.get("relay.request_id")):
        body["request_id"] = request_id
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def status_of(refusal: errors.Refusal) -> int:
    """The HTTP status of a business refusal."""
    return next(STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS)


def install(app: FastAPI) -> None:
    """Answer every refusal, also the framework's own, as a problem document or a page."""
    handlers: dict[Any, Any] = {
        errors.Refusal: _refused,
        HTTPException: _http,
        RequestValidationError: _shape,
        DBAPIError: _database,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _refused(request: Request, error: errors.Refusal) -> Response:
    return _said(request, status_of(error), error.code, error.detail)


async def _http(request: Request, error: HTTPException) -> Response:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == HTTPStatus.SEE_OTHER:
        return Response(status_code=error.status_code, headers=headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = ", ".join(_offered(request))
    code = headers.pop("x-problem-code", None)
    # Without a code of ours the words are the framework's; they differ between versions.
    return _said(request, error.status_code, code, error.detail if code else "", headers)


async def _shape(request: Request, error: RequestValidationError) -> Response:
    if _for_people(request):
        # An address that no link of ours has: for a person there is no such page.
        return _said(request, 404 if request.method == "GET" else 422)
    described = _described(request)
    if described and request.method not in described:
        # The path is one of its own, and was only taken for its neighbour with an id in its place.
        return _said(request, 405, headers={"allow": ", ".join(_offered(request))})
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return problem(400, "malformed_json", "The body is not JSON", request=request)
    return problem(422, request=request, errors=[_fault(one) for one in found])


async def _database(request: Request, error: DBAPIError) -> Response:
    state = getattr(error.orig, "sqlstate", None) or ""
    if state in _PASSING or error.connection_invalidated:
        return _said(request, 503, headers={"retry-after": "1"})
    if state in _UNSTORABLE:
        return _said(request, 422, "unstorable", "A value cannot be stored")
    log.error("database_error", sqlstate=state, exc_info=error)
    return _said(request, 500)


def unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: all of it into the log, nothing of it to the caller.

    Called by the doorway, inside of which every answer gets its headers; Starlette's own handler
    for `Exception` stands outside.
    """
    log.error("unexpected_error", exc_info=error)
    try:
        return _said(request, 500)
    except Exception as second:
        log.exception("error_page_failed", exc_info=second)
        return problem(500, request=request)


def _said(
    request: Request,
    status: int,
    code: str | None = None,
    detail: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    """The refusal as a page for a person with a browser, as a problem document for programs."""
    if not _for_people(request):
        return problem(status, code, detail, request=request, headers=headers)
    from api.pages import page  # noqa: PLC0415 - pages know the errors' shapes, not the reverse

    kind = code if code in _PAGED_CODES else str(status) if status in _PAGED else "other"
    request_id = request.scope.get("relay.request_id", "")
    response = page(request, "sign_in/error.html", status=status, kind=kind, request_id=request_id)
    response.headers.update(headers or {})
    return response


def _for_people(request: Request) -> bool:
    path = request.scope["path"]
    return not path.startswith(_PROGRAMS) and "text/html" in request.headers.get("accept", "")


def _offered(request: Request) -> list[str]:
    """The methods this path has. Starlette names those of the first route that matches only."""
    described = _described(request)
    routes = request.app.router.routes
    return [
        method
        for method in _METHODS
        if (not described or method in described)
        and any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]


def _described(request: Request) -> set[str]:
    """The methods the description names for this path: an id's place beside it is another path."""
    operations = request.app.openapi()["paths"].get(request.scope["path"], {})
    return {method.upper() for method in operations}


def _fault(error: Any) -> dict[str, str]:
    """Where and what, without the value: it may be somebody's name."""
    parts = [str(part) for part in error["loc"]]
    while parts and not _PLAIN_NAME.fullmatch(parts[-1]):
        parts.pop()
    return {"pointer": "/" + "/".join(parts), "detail": _blameless(error)}


def _blameless(error: Any) -> str:
    """The rule that was broken. Rules that quote what they were given are said in our words."""
    told, given = str(error["msg"]), error.get("input")
    if "email address" in told:
        return "Value is not a valid e-mail address"
    quoted = isinstance(given, str) and len(given) > 1 and given.lower() in told.lower()
    return "The value is not valid" if quoted or error["type"] in _QUOTING else told


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI description."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": TITLES[status][1], "content": content} for status in statuses}
