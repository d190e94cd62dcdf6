"""Reconcile: ask the vendors' APIs, leave notes with them, read again what has a meaning now."""

from collections.abc import Mapping
from typing import Any

import structlog

from api.duties.hear import asking
from api.jobs import Lane, job, passes
from api.runtime import Runtime
from api.timers import timer
from domain.ats_secrets import api_view
from domain.delivery import AtsConnection
from domain.flows.hear import leave_note, map_words
from domain.flows.hear.change_connection import WORDS_JOB
from domain.flows.hear.poll_connection import (
    ASK_JOB,
    Step,
    ask_about_interview,
    ask_for_poll,
    end_step,
    interview_question,
    keep_broken,
    keep_found,
    put_off_poll,
    take_step,
)
from domain.flows.hear.poll_connection import JOB as POLL_JOB
from domain.ports import Page, VendorDown, VendorMissing, VendorRefused
from domain.store import find, lock

log = structlog.get_logger()
_NO_ANSWER = (VendorDown, VendorRefused, VendorMissing)

timer(
    "ats_poll.due_at", table="ats_poll", column="due_at", where="due_at IS NOT NULL",
    act=ask_for_poll, steps=False,
)  # fmt: skip
timer(
    "interview.ask_at", table="interview", column="ask_at", where="ask_at IS NOT NULL",
    act=ask_about_interview,
)  # fmt: skip
timer(
    "vendor_note.due_at", table="vendor_note", column="due_at", where="state = 'pending'",
    act=leave_note.ask_for_note,
)  # fmt: skip


@job(POLL_JOB, Lane.VENDORS)
async def poll(runtime: Runtime, ids: list[str]) -> None:
    """Go through a poll page by page. Run twice, the second finds it claimed."""
    company_id, poll_id = ids
    while True:
        async with runtime.database.transaction(company_id=company_id) as session:
            step = await take_step(session, runtime.tools, company_id, poll_id, runtime.clock())
        if step is None:
            return
        try:
            page = await _page(runtime, step)
        except _NO_ANSWER as why:
            async with runtime.database.transaction(company_id=company_id) as session:
                await put_off_poll(
                    session, company_id, poll_id, code=getattr(why, "code", "api_missing"),
                    retry_after=getattr(why, "retry_after", None), now=runtime.clock(),
                )  # fmt: skip
            return
        found = [
            await _keep(runtime, company_id, step.connection.id, facts) for facts in page.facts
        ]
        async with runtime.database.transaction(company_id=company_id) as session:
            if not await end_step(
                session, runtime.tools, company_id, poll_id,
                cursor=page.cursor, found=sum(found), now=runtime.clock(),
            ):  # fmt: skip
                return


async def _page(runtime: Runtime, step: Step) -> Page:
    """The next page. One that breaks us ends this attempt as a refusal would: HR sees it."""
    try:
        async with asking(runtime, step.provider, step.connection) as (adapter, api):
            return await adapter.page(api, step.connection, step.window, step.cursor)
    except _NO_ANSWER:
        raise
    except Exception as error:
        log.exception("poll_broken", connection_id=step.connection.id)
        raise VendorRefused("internal_error") from error


async def _keep(
    runtime: Runtime, company_id: str, connection_id: str, facts: Mapping[str, Any]
) -> bool:
    """What one fact breaks must not keep the others waiting: it is noted and can be replayed."""
    place = (company_id, connection_id)
    try:
        async with runtime.database.transaction(company_id=company_id) as session:
            return await keep_found(
                session, runtime.tools, *place, facts=facts, now=runtime.clock()
            )
    except Exception as error:
        if passes(error):
            raise
        log.exception("polled_unread", connection_id=connection_id)
        async with runtime.database.transaction(company_id=company_id) as session:
            await keep_broken(session, runtime.tools, *place, facts=facts, now=runtime.clock())
    return False


@job(ASK_JOB, Lane.VENDORS)
async def ask_interview(runtime: Runtime, ids: list[str]) -> None:
    """Ask whether an interview took place. No answer: the timer asks again."""
    company_id, interview_id = ids
    async with runtime.database.transaction(company_id=company_id) as session:
        ask = await interview_question(session, runtime.tools, company_id, interview_id)
    if ask is None:
        return
    try:
        async with asking(runtime, ask.provider, ask.connection) as (adapter, api):
            facts = await adapter.look_up(api, ask.connection, ask.lookup.about)
    except _NO_ANSWER:
        return
    await _keep(runtime, company_id, ask.connection.id, facts)


@job(map_words.JOB)
async def read_again(runtime: Runtime, ids: list[str]) -> None:
    """Words have a meaning now, or the API a credential: what waited for that is read again."""
    company_id, connection_id = ids
    after: str | None = ""
    while after is not None:
        async with runtime.database.transaction(company_id=company_id) as session:
            after = await map_words.read_again(
                session, company_id, connection_id, after, runtime.clock()
            )


@job(WORDS_JOB, Lane.VENDORS)
async def fetch_words(runtime: Runtime, ids: list[str]) -> None:
    """Read the vendor's list of reasons or statuses, for the maps; none where it gives none."""
    company_id, connection_id = ids
    async with runtime.database.transaction(company_id=company_id) as session:
        connection = await find(session, AtsConnection, company_id, connection_id)
        if connection is None or connection.provider not in runtime.tools.apis:
            return
        provider, view = connection.provider, api_view(runtime.tools.sealer, connection)
    try:
        async with asking(runtime, provider, view) as (adapter, api):
            words = await adapter.words(api, view)
    except _NO_ANSWER:
        return  # the poll meets the same trouble and shows it
    async with runtime.database.transaction(company_id=company_id) as session:
        connection = await lock(session, AtsConnection, company_id, connection_id)
        await map_words.keep_words(session, connection, words, runtime.clock())


@job(leave_note.JOB, Lane.VENDORS)
async def leave(runtime: Runtime, ids: list[str]) -> None:
    """Leave one note with a vendor. A crash after the vendor took it may leave it twice."""
    company_id, note_id = ids
    async with runtime.database.transaction(company_id=company_id) as session:
        note = await leave_note.take_note(
            session, runtime.tools, company_id, note_id, runtime.clock()
        )
    if note is None:
        return
    try:
        async with asking(runtime, note.provider, note.connection) as (adapter, api):
            await adapter.write_back(api, note.connection, note.told)
    except _NO_ANSWER as why:
        async with runtime.database.transaction(company_id=company_id) as session:
            await leave_note.note_refused(
                session, company_id, note_id, code=getattr(why, "code", "api_missing"),
                again=isinstance(why, VendorDown),
                retry_after=getattr(why, "retry_after", None), now=runtime.clock(),
            )  # fmt: skip
        return
    async with runtime.database.transaction(company_id=company_id) as session:
        await leave_note.note_left(session, company_id, note_id, runtime.clock())
