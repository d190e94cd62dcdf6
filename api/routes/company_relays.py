"""Companies: where their relays stand. Never where anybody works now."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlmodel import col, select

from api.auth import Caller, company
from api.deps import Db
from api.errors import problems
from api.routes.agency_relays import State
from api.shapes import Cursor, Limit, Page, Utc, page_of
from domain.agency import Agency
from domain.ids import pattern
from domain.placement import Placement
from domain.relay import Relay

router = APIRouter(prefix="/v1/company/relays", tags=["company: relays"])


class CompanyRelay(BaseModel):
    """A relay as the company sees it."""

    id: str
    application_id: str
    agency_id: str
    agency_name: str
    state: State
    reason: str | None = Field(description="Why it ended, or why it waits to be forwarded")
    created_at: Utc
    forwarded_at: Utc | None
    closed_at: Utc | None
    placed_month: str | None = Field(description="`yyyy-mm` of the start, nothing finer")


@router.get("", responses=problems(401, 403, 422))
async def list_relays(
    *,
    caller: Annotated[Caller, company("relays:read")],
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    application_id: Annotated[str | None, Query(pattern=pattern("app"))] = None,
    agency_id: Annotated[str | None, Query(pattern=pattern("agy"))] = None,
) -> Page[CompanyRelay]:
    """Your relays, newest first."""
    wanted = select(Relay).where(col(Relay.company_id) == caller.company_id)
    if application_id is not None:
        wanted = wanted.where(col(Relay.application_id) == application_id)
    if agency_id is not None:
        wanted = wanted.where(col(Relay.agency_id) == agency_id)
    rows, following = await page_of(db, wanted, col(Relay.id), cursor=cursor, limit=limit)
    names, months = await _names(db, rows), await _months(db, caller.company_id or "", rows)
    shown = [_shown(relay, names, months) for relay in rows]
    return Page(data=shown, next_cursor=following)


def _shown(relay: Relay, names: dict[str, str], months: dict[str, str]) -> CompanyRelay:
    return CompanyRelay(
        id=relay.id,
        application_id=relay.application_id,
        agency_id=relay.agency_id,
        agency_name=names.get(relay.agency_id, ""),
        state=relay.state,
        reason=relay.reason,
        created_at=relay.created_at,
        forwarded_at=relay.forwarded_at,
        closed_at=relay.closed_at,
        placed_month=months.get(relay.id),
    )


async def _names(db: Db, relays: list[Any]) -> dict[str, str]:
    ids = {relay.agency_id for relay in relays}
    rows = await db.execute(select(Agency.id, Agency.name).where(col(Agency.id).in_(ids)))
    return {row[0]: row[1] for row in rows}


async def _months(db: Db, company_id: str, relays: list[Any]) -> dict[str, str]:
    wanted = select(col(Placement.relay_id), col(Placement.started_on)).where(
        col(Placement.company_id) == company_id,
        col(Placement.relay_id).in_([relay.id for relay in relays]),
        col(Placement.state).not_in(("expected", "withdrawn")),
    )
    return {row[0]: f"{row[1]:%Y-%m}" for row in await db.execute(wanted)}
