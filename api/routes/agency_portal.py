"""The front page of the agency's portal: what is new, what is late, whether our calls arrive."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import Row

from api.deps import Db, Now
from api.pages import page
from api.session import SignedIn, signed_in
from domain.business_days import local_day
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


def _following(rows: Sequence[Row[Any]]) -> str | None:
    return rows[-1].id if len(rows) == view.PAGE else None
