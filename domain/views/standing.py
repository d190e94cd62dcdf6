"""How an application stands, in few words, so that one can tell what an event has changed."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.deadline import Deadline
from domain.invitation import Invitation
from domain.notice import Notice

Standing = dict[str, Any]


async def standing(session: AsyncSession, application: Application) -> Standing:
    """Outcome, holds, and where the promise, the notice and the invitation stand."""
    found: Standing = {"outcome": application.outcome, "holds": sorted(application.holds)}
    for name, table, state in (
        ("deadline", Deadline, Deadline.state),
        ("notice", Notice, Notice.state),
        ("invitation", Invitation, Invitation.state),
    ):
        wanted = (
            select(state)
            .where(
                col(table.company_id) == application.company_id,
                col(table.application_id) == application.id,
            )
            .order_by(col(table.id).desc())
            .limit(1)
        )
        found[name] = (await session.scalars(wanted)).first()
    return found


def differences(before: Standing, after: Standing) -> list[dict[str, Any]]:
    """What stands differently: `{what, from, to}`, in a fixed order."""
    return [
        {"what": name, "from": before[name], "to": after[name]}
        for name in before
        if before[name] != after[name]
    ]
