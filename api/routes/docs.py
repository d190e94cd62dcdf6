"""The API's description to read and to try: Swagger UI, vendored, nothing from elsewhere."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.pages import asset

router = APIRouter(include_in_schema=False)

_HTML = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · Career Relay</title>
<link rel="icon" href="{asset("mark.svg")}" type="image/svg+xml">
<link rel="stylesheet" href="{asset("vendor/swagger-ui/swagger-ui.css")}">
</head>
<body>
<main id="docs"><noscript><a href="/openapi.json">openapi.json</a></noscript></main>
<script src="{asset("vendor/swagger-ui/swagger-ui-bundle.js")}"></script>
<script src="{asset("docs.js")}"></script>
</body>
</html>
"""
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""As everywhere, but Swagger UI writes style attributes."""


@router.get("/docs")
async def read_docs() -> HTMLResponse:
    """The API's description as a page."""
    return HTMLResponse(_HTML, headers={"content-security-policy": _CSP})
