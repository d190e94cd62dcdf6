"""One table of refusals: business code → HTTP status. Everything leaves as problem+json (RFC 9457)."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from domain import errors

log = structlog.get_logger()

STATUS: dict[type[errors.Refusal], int] = {
    errors.NotFound: 404,
    errors.Gone: 410,
    errors.Conflict: 409,
    errors.Forbidden: 403,
    errors.Invalid: 422,
    errors.TryLater: 503,
    errors.Refusal: 400,
}

_TITLES = {
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
    default_code, title = _TITLES.get(status, ("error", "The request was refused"))
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
    """Answer every refusal, also the framework's own, as a problem document."""

    @app.exception_handler(errors.Refusal)
    async def refused(request: Request, error: errors.Refusal) -> JSONResponse:
        return problem(status_of(error), error.code, error.detail, request=request)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        code = headers.pop("x-problem-code", None)
        detail = error.detail if code else ""
        return problem(error.status_code, code, detail, request=request, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def shape(request: Request, error: RequestValidationError) -> JSONResponse:
        found = [
            {"pointer": "/" + "/".join(str(part) for part in one["loc"]), "detail": one["msg"]}
            for one in error.errors()
        ]
        return problem(422, request=request, errors=found)

    @app.exception_handler(DBAPIError)
    async def database(request: Request, error: DBAPIError) -> JSONResponse:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state in {"55P03", "57014", "40001", "40P01"}:
            return problem(503, request=request, headers={"retry-after": "1"})
        log.error("database_error", sqlstate=state, kind=type(error.orig).__name__)
        return problem(500, request=request)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected_error", kind=type(error).__name__, exc_info=error)
        return problem(500, request=request)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI description."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _TITLES[status][1], "content": content} for status in statuses}
