"""The front page of the agency's portal: what is new, what is late, whether our calls arrive."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Now
from api.pages import page
from api.session import SignedIn, signed_in
from domain.access import as_agency
from domain.business_days import local_day
from domain.errors import Conflict, NotFound
from domain.flows.consent.acknowledge_stop import ANSWERS, acknowledge_stop, open_stops
from domain.views import dashboard as view
from domain.views.ledger_lists import duties

router = APIRouter(prefix="/agency", include_in_schema=False)

Reader = Annotated[SignedIn, signed_in("agency")]
Before = Annotated[str | None, Query(pattern=r"^rly_[0-9a-zA-Z]{1,40}$")]


@router.get("")
async def portal(
    request: Request, person: Reader, db: Db, now: Now, before: Before = None
) -> Response:
    """The agency's relays, newest first, and the health of its endpoints. No personal data."""
    agency_id = person.agency_id or ""
    rows = await view.agency_relays(db, agency_id, before=before)
    return page(
        request,
        "agency_portal/portal.html",
        rows=rows,
        waiting=[one for one in rows if one.state == "forwarded"],
        stops=[one for one in rows if one.stop_state in {"notified", "overdue"}],
        duties=await duties(db, agency_id, local_day(now)),
        endpoints=await view.endpoints(db, agency_id, now),
        following=_following(rows),
    )


@router.get("/stops")
async def stops(request: Request, person: Reader, db: Db) -> Response:
    """What the agency was asked to stop or to correct and has not answered: one form each."""
    return await _stops(request, person, db, status=200)


@router.post("/stops/{relay_id}")
async def acknowledge(
    request: Request,
    person: Reader,
    db: Db,
    now: Now,
    relay_id: Annotated[str, Path(pattern=r"^rly_[0-9a-zA-Z]{1,40}$")],
) -> Response:
    """The agency's word on one of them. The first answer stands; twice is the same as once."""
    said = str((await request.form()).get("answer", ""))
    if said not in ANSWERS:
        return await _stops(request, person, db, status=422, fault=relay_id)
    try:
        async with db.begin_nested():
            await acknowledge_stop(db, person.agency_id or "", relay_id, said, at=None, now=now)
    except (NotFound, Conflict):
        await as_agency(db, person.agency_id or "")
        return await _stops(request, person, db, status=409, fault="gone")
    return RedirectResponse("/agency/stops?answered=1", 303)


async def _stops(
    request: Request, person: SignedIn, db: AsyncSession, *, status: int, fault: str = ""
) -> Response:
    return page(
        request,
        "agency_portal/stops.html",
        status,
        open_stops=await open_stops(db, person.agency_id or ""),
        fault=fault,
        answered="answered" in request.query_params,
        answers=ANSWERS,
    )


def _following(rows: Sequence[Row[Any]]) -> str | None:
    return rows[-1].id if len(rows) == view.PAGE else None
