"""The demo's own doors: its clock and its mailbox. They do not exist in production."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, model_validator
from sqlalchemy import text

from api.demo import clock
from api.deps import Db, Kit, Now, Process
from api.errors import problems
from api.pages import page
from api.shapes import Shape, Utc, utc_text
from domain.access import as_company, as_system
from domain.errors import Invalid
from domain.views.mailbox import mails

router = APIRouter(tags=["demo"], include_in_schema=False)
MOVING = asyncio.Lock()


class ClockMove(Shape):
    """Where the clock shall stand, or by how much it shall move. It never goes back."""

    now: Utc | None = None
    advance_seconds: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one(self) -> "ClockMove":
        if (self.now is None) == (self.advance_seconds is None):
            message = "say either `now` or `advance_seconds`"
            raise ValueError(message)
        return self

    def target(self, now: datetime) -> datetime:
        """The moment meant; a moment that has passed is refused."""
        if self.now is not None and self.now < now:
            raise Invalid("the clock never goes back", code="clock_goes_back")
        return self.now or now + timedelta(seconds=self.advance_seconds or 0)


class MailShown(Shape):
    """A mail as its reader gets it."""

    id: str
    to: str
    subject: str
    text: str
    html: str
    sent_at: Utc
    links: list[str]


@router.get("/dev/clock")
async def read_clock(now: Now) -> dict[str, str]:
    """The demo's present moment."""
    return {"now": utc_text(now)}


@router.post("/dev/clock", responses=problems(422))
async def move_clock(move: ClockMove, process: Process) -> dict[str, str]:
    """Move the clock forward; the answer comes when everything due by then has been done."""
    await clock.advance(process, move.target(process.clock()), MOVING)
    return {"now": utc_text(process.clock())}


@router.get("/dev/mailbox.json")
async def mailbox_json(db: Db, kit: Kit) -> list[MailShown]:
    """Every mail the demo sent, newest first."""
    return [MailShown(**mail) for mail in await _all_mails(db, kit)]


@router.get("/dev/mailbox")
async def mailbox(request: Request, db: Db, kit: Kit) -> Response:
    """The same as a page."""
    return page(request, "dev/mailbox.html", mails=(await _all_mails(db, kit))[:200])


async def _all_mails(db: Db, kit: Kit) -> list[dict[str, Any]]:
    async with as_system(db):
        rows = await db.execute(text("SELECT DISTINCT tenant_id FROM mail"))
        tenants = [row[0] for row in rows]
    found: list[dict[str, Any]] = []
    for tenant in tenants:
        # A mail's tenant is a company or an agency; its policy accepts either setting.
        await as_company(db, tenant)
        found += await mails(db, kit, tenant)
    return sorted(found, key=lambda mail: (mail["sent_at"], mail["id"]), reverse=True)
