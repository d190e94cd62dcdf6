"""Leave a note and a tag in the company's ATS when something happened here that it cannot see.

Only where the company switched it on for the connection, and never more about the person than the
ATS has already: that they were told, that they opted in, that they took it back, and the day.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from domain.application import Application
from domain.ats_secrets import api_view
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.delivery import AtsConnection
from domain.ids import new_id
from domain.jobs import later
from domain.ports import ConnectionView, Masked, Tools, WriteBack
from domain.store import add_once, find, lock
from domain.vendor import LEASE, VendorNote, back_off

JOB = "ats.note"
TRIED_FOR = timedelta(days=3)
_NOTES = {
    "told": "Career Relay: 選考結果を候補者に通知しました / the candidate was told the result",
    "opted_in": (
        "Career Relay: 候補者が他社紹介を希望しました / the candidate opted in to being introduced"
    ),
    "withdrew": (
        "Career Relay: 候補者が他社紹介の希望を撤回しました / the candidate withdrew the opt-in"
    ),
}


@dataclass(frozen=True, repr=False)
class ToLeave(Masked):
    """A claimed note: with whom to leave what."""

    provider: str
    connection: ConnectionView
    told: WriteBack


async def note_for_vendor(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    application_id: str,
    *,
    kind: str,
    about: str,
    now: datetime,
) -> None:
    """Have a note left, once per application, kind and occasion (`about`), if it is wanted."""
    application = await find(session, Application, company_id, application_id)
    if application is None or not application.connection_id:
        return
    connection = await find(session, AtsConnection, company_id, application.connection_id)
    if connection is None or not wants_notes(tools, connection):
        return
    await add_once(
        session,
        VendorNote(
            company_id=company_id, id=new_id("nte"), connection_id=connection.id,
            application_id=application_id, kind=kind, about=about, due_at=now, happened_at=now,
            created_at=now,
        ),
    )  # fmt: skip


def wants_notes(tools: Tools, connection: AtsConnection) -> bool:
    """Whether the company switched notes on, and the vendor takes any."""
    api = tools.apis.get(connection.provider)
    wanted = connection.enabled and connection.settings.get("write_back") is True
    return api is not None and api.WRITES_BACK and wanted


async def ask_for_note(
    session: AsyncSession, _: Tools, company_id: str, note_id: str, now: datetime
) -> None:
    """Timer `vendor_note.due_at`: time to leave it."""
    note = await lock(session, VendorNote, company_id, note_id)
    if note.state == "pending" and note.due_at is not None and note.due_at <= now:
        await later(session, JOB, company_id, note_id)


async def take_note(
    session: AsyncSession, tools: Tools, company_id: str, note_id: str, now: datetime
) -> ToLeave | None:
    """Claim a note that is due; null when it is not, or when it is no longer wanted."""
    note = await lock(session, VendorNote, company_id, note_id)
    if note.state != "pending" or note.due_at is None or note.due_at > now:
        return None
    application = await find(session, Application, company_id, note.application_id)
    connection = await find(session, AtsConnection, company_id, note.connection_id)
    assert application is not None
    candidate = await find(session, Candidate, company_id, application.candidate_id)
    gone = candidate is None or candidate.erased_at is not None
    if connection is None or gone or not wants_notes(tools, connection):
        note.state, note.due_at = "cancelled", None
        session.add(note)
        return None
    note.attempts, note.due_at = note.attempts + 1, now + LEASE
    session.add(note)
    told = WriteBack(
        application_external_id=application.external_id,
        candidate_external_id=candidate.external_id if candidate else None,
        note=f"{_NOTES[note.kind]} ({local_day(note.happened_at).isoformat()})",
        tag=f"career-relay:{note.kind}",
    )
    return ToLeave(connection.provider, api_view(tools.sealer, connection), told)


async def note_left(session: AsyncSession, company_id: str, note_id: str, now: datetime) -> None:
    """The vendor has it."""
    note = await lock(session, VendorNote, company_id, note_id)
    note.state, note.sent_at, note.due_at, note.error = "sent", now, None, None
    session.add(note)


async def note_refused(
    session: AsyncSession,
    company_id: str,
    note_id: str,
    *,
    code: str,
    again: bool,
    retry_after: timedelta | None,
    now: datetime,
) -> None:
    """The vendor did not take it: later again, for three days at most; HR sees why."""
    note = await lock(session, VendorNote, company_id, note_id)
    note.error = code
    if again and now - note.created_at < TRIED_FOR:
        note.due_at = now + back_off(note.attempts, retry_after)
    else:
        note.state, note.due_at = "failed", None
    session.add(note)
