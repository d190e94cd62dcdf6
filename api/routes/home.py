"""The front door: what this is, for the three kinds of people who come."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.pages import page

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    """What Career Relay does for candidates, companies and agencies, and where to sign in."""
    return page(request, "home.html")
