"""The vendor's own words for reasons and statuses, and what HR says they mean."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import cast, col, select

from domain.application import Application
from domain.delivery import AtsConnection, AtsEvent, Delivery
from domain.flows.hear.replay_delivery import replay_delivery
from domain.jobs import later
from domain.ports import Reading, Word
from domain.store import find
from domain.vendor import VendorWord

JOB = "ats.read_again"
MEANINGS = {
    "reason": ("company", "candidate", "other", "hired"),
    "status": ("active", "rejected", "withdrawn", "hired"),
}
MAPS = {"reason": "reason_map", "status": "status_map"}
_PAGE = 100


async def note_words(
    session: AsyncSession, connection: AtsConnection, reading: Reading, now: datetime
) -> None:
    """Keep the words of a reading that nobody has given a meaning yet, for the maps."""
    words = [*reading.unmapped, *_reasons(reading)]
    if words:
        await keep_words(session, connection, words, now)


async def keep_words(
    session: AsyncSession, connection: AtsConnection, words: Sequence[Word], now: datetime
) -> None:
    """Keep words of the vendor's; a newer wording or suggestion replaces the older."""
    fresh = {(one.kind, one.id): one for one in words if one.id}
    for one in fresh.values():
        made = insert(VendorWord).values(
            company_id=connection.company_id, connection_id=connection.id, kind=one.kind,
            word_id=one.id[:200], text=(one.text or one.id)[:500], suggestion=one.suggestion,
            seen_at=now,
        )  # fmt: skip
        await session.execute(
            made.on_conflict_do_update(
                index_elements=["company_id", "connection_id", "kind", "word_id"],
                set_={
                    "text": made.excluded.text,
                    "suggestion": func.coalesce(made.excluded.suggestion, VendorWord.suggestion),
                },
            )
        )


def _reasons(reading: Reading) -> list[Word]:
    told = [event["rejection"] for event in reading.events if event["rejection"]]
    return [
        Word("reason", one["reason_id"], one["reason_text"] or one["reason_id"])
        for one in told
        if one["reason_id"] and one["initiated_by"] in {"other", "unknown"}
    ]


async def map_words(
    session: AsyncSession,
    connection: AtsConnection,
    kind: str,
    meanings: Mapping[str, str | None],
) -> None:
    """HR says what words mean (null: nothing yet); what waited for that is read again.

    The caller holds the connection's lock.
    """
    name = MAPS[kind]
    known = {**(connection.settings.get(name) or {}), **meanings}
    connection.settings = {
        **connection.settings,
        name: {word: meaning for word, meaning in known.items() if meaning is not None},
    }
    session.add(connection)
    await session.flush()
    await later(session, JOB, connection.company_id, connection.id)


async def read_again(
    session: AsyncSession, company_id: str, connection_id: str, after: str, now: datetime
) -> str | None:
    """Ask for one page of what waited: unclassified ends, and deliveries that failed.

    Gives where the next page begins; null: that was all. `after` has the application's id and the
    delivery's behind which to go on, joined by a blank.
    """
    application_id, _, delivery_id = after.partition(" ")
    held = await _unclassified(session, company_id, connection_id, application_id)
    for application in held:
        await _replay_last(session, application, now)
    failed = await _failed(session, company_id, connection_id, delivery_id)
    for one in failed:
        await replay_delivery(session, company_id, one, now)
    if not held and not failed:
        return None
    return f"{held[-1].id if held else application_id} {failed[-1] if failed else delivery_id}"


async def _unclassified(
    session: AsyncSession, company_id: str, connection_id: str, after: str
) -> list[Application]:
    wanted = (
        select(Application)
        .where(
            col(Application.company_id) == company_id,
            col(Application.connection_id) == connection_id,
            col(Application.id) > after,
            col(Application.holds).op("@>")(cast(["reason_unclassified"], JSONB)),
        )
        .order_by(col(Application.id))
        .limit(_PAGE)
    )
    return list((await session.scalars(wanted)).all())


async def _failed(
    session: AsyncSession, company_id: str, connection_id: str, after: str
) -> list[str]:
    wanted = (
        select(Delivery.id)
        .where(
            col(Delivery.company_id) == company_id,
            col(Delivery.connection_id) == connection_id,
            col(Delivery.status) == "failed",
            col(Delivery.body).is_not(None),
            col(Delivery.id) > after,
        )
        .order_by(col(Delivery.id))
        .limit(_PAGE)
    )
    return list((await session.scalars(wanted)).all())


async def _replay_last(session: AsyncSession, application: Application, now: datetime) -> None:
    """The delivery of the end that stands is read again, with the maps as they are now."""
    said = await session.get(AtsEvent, (application.company_id, application.last_event_key))
    if said is None or not said.delivery_id:
        return
    delivery = await find(session, Delivery, application.company_id, said.delivery_id)
    if delivery is not None and delivery.body is not None:
        await replay_delivery(session, application.company_id, delivery.id, now)
