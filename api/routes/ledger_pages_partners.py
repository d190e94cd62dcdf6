"""The pages about the other side: how the agency works, and what is expected against reported."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Kit, Now
from api.page_forms import Refilled
from api.rooms import ROOMS, Room
from api.session import SignedIn
from domain.business_days import local_day
from domain.ids import pattern
from domain.views import completeness as view
from domain.views.credits import balances
from domain.views.ledger_lists import counterparts
from domain.views.scorecard import scorecard

router = APIRouter(include_in_schema=False)

COMPANY, AGENCY = ROOMS
_MOST_FINDINGS = 100
_HOURS = ("accept_hours", "contact_hours", "stop_hours_p95")
_RATES = ("contact_rate", "meeting_rate", "placement_rate", "words_in_time")


@router.get("/agency/companies")
async def list_companies(
    *, request: Request, person: Annotated[SignedIn, AGENCY.reader], db: Db, now: Now
) -> Response:
    """Every company the agency has an agreement with, and the balance with each."""
    agency_id = await AGENCY.enter(db, person)
    return AGENCY.page(
        request, person, "companies", Refilled(),
        others=await counterparts(db, "agency", agency_id),
        balances=await balances(db, agency_id=agency_id, today=local_day(now)),
    )  # fmt: skip


def _doors(room: Room, place: str) -> APIRouter:
    doors = APIRouter(prefix=f"{room.home}/{place}")
    prefix = "agy" if room.party == "company" else "cmp"

    @doors.get("/{other_id}")
    async def read_partner(
        *,
        other_id: Annotated[str, Path(pattern=pattern(prefix))],
        request: Request,
        person: Annotated[SignedIn, room.reader],
        db: Db,
        tools: Kit,
        now: Now,
    ) -> Response:
        """The scorecard and the reconciliation of the two; both sides see the same numbers."""
        agreement = await room.with_other(db, person, other_id)
        pair = agreement.company_id, agreement.agency_id
        found = {
            "card": await scorecard(db, tools, agreement, now),
            "counts": await view.reconciliation_counts(db, *pair, party=room.party, now=now),
            "findings": await view.findings(
                db, *pair, party=room.party, after=None, limit=_MOST_FINDINGS, now=now
            ),
            "stuck": await _stuck(db, pair, now),
        }
        owner = await room.enter(db, person)
        others = await counterparts(db, room.party, owner)
        return room.page(
            request, person, "partner", Refilled(),
            other=others[other_id], kinds=view.KINDS, hours=_HOURS, rates=_RATES,
            place=place, most=_MOST_FINDINGS, **found,
        )  # fmt: skip

    return doors


async def _stuck(db: AsyncSession, pair: tuple[str, str], now: Any) -> list[view.Unresolved]:
    found = await view.unresolved(db, now, company_id=pair[0], agency_id=pair[1])
    return [one for one in found if one.count]


router.include_router(_doors(COMPANY, "agencies"))
router.include_router(_doors(AGENCY, "companies"))
