"""Feedback on a notice: through the guard, then sealed with the person's own key."""

from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.errors import Conflict
from domain.feedback import Stopped, hits
from domain.flows.tell.send_notice import load_notice
from domain.notice import LIVING, Notice
from domain.ports import Tools


async def write_feedback(
    session: AsyncSession, tools: Tools, company_id: str, notice_id: str, text: str | None
) -> Notice:
    """Set or (null) remove the feedback of a notice that has not gone out.

    Raises `Stopped` where the guard finds a rule touched, and `Conflict` (`not_editable`) once the
    notice is on its way, sent or cancelled.
    """
    case, notice = await load_notice(session, tools, company_id, notice_id)
    if notice.kind != "rejected" or notice.state not in LIVING or notice.mail_id is not None:
        detail = "feedback can be written until the notice goes out"
        raise Conflict(detail, code="not_editable")
    if text is None:
        notice.feedback = None
    else:
        names = [
            str(case.profile.get(key) or "")
            for key in ("display_name", "family_name", "given_name")
        ]
        refuse(text, names)
        notice.feedback = await vault.seal(
            session, tools.sealer, case.candidate, "profile", text.strip(),
            about=f"feedback:{notice.id}",
        )  # fmt: skip
    session.add(notice)
    await session.flush()
    return notice


def refuse(text: str, own_names: list[str]) -> None:
    """Turn feedback down that the guard stops; the detail names rules and listed words only."""
    if found := hits(text, own_names):
        raise Stopped(found)
