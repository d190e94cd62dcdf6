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
    """Outcome, holds, and where the promise, the notice and the invitation stand: one statement."""
    newest = [_newest(table, application) for table in (Deadline, Notice, Invitation)]
    deadline, notice, invitation = (await session.execute(select(*newest))).one()
    return {
        "outcome": application.outcome, "holds": sorted(application.holds),
        "deadline": deadline, "notice": notice, "invitation": invitation,
    }  # fmt: skip


def _newest(table: type[Deadline | Notice | Invitation], application: Application) -> Any:
    """The state of an application's newest row; null when there is none."""
    wanted = select(table.state).where(
        col(table.company_id) == application.company_id,
        col(table.application_id) == application.id,
    )
    return wanted.order_by(col(table.id).desc()).limit(1).scalar_subquery()


def differences(before: Standing, after: Standing) -> list[dict[str, Any]]:
    """What stands differently: `{what, from, to}`, in a fixed order."""
    return [
        {"what": name, "from": before[name], "to": after[name]}
        for name in before
        if before[name] != after[name]
    ]
