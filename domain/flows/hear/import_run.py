"""Taking a file over: batch by batch, each with its place in one transaction; once each row.

A row goes the way of everything else an ATS tells (`apply_event`): deadlines, notices and
invitations follow by themselves. What ended before the day the preview names is held as history.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.application import Application
from domain.business_days import local_day
from domain.company import Company
from domain.flows.hear import meet_applicant
from domain.flows.hear.apply_event import Said, apply_event
from domain.flows.hear.import_file import (
    JOB,
    Known,
    add_faults,
    content_of,
    digest_for,
    empty,
    known_rows,
    number_for,
    rules_of,
)
from domain.flows.hear.import_new import New, is_plain, lock_numbers, strangers, write_new
from domain.import_rows import Fault, Row, Rules
from domain.import_words import plain
from domain.imports import ASK_AGAIN_AFTER, KEPT_UNSTARTED, Import, ImportFault, ImportRow, advance
from domain.jobs import later
from domain.ports import Masked, Tools
from domain.store import find

log = structlog.get_logger()
PROVIDER = "import"
BATCH = 100
"""Rows of one transaction: who else wants one of them waits about a second at most."""
_KINDS = {
    "rejected": "application.rejected",
    "withdrawn": "application.withdrawn",
    "hired": "application.hired",
}
_MOST_BROKEN = 1_000
"""Rows that may break unexpectedly before the import stops: it is not the rows, then."""


@dataclass(frozen=True, repr=False)
class Task(Masked):
    """What a worker needs to go on with a file."""

    content: bytes
    rules: Rules
    next_row: int


async def take_up(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    import_id: str,
    *,
    next_row: int,
    now: datetime,
) -> Task | None:
    """Begin, or go on at `next_row`; null where somebody else has been here since."""
    run = await _here(session, company_id, import_id, next_row)
    if run is None:
        return None
    run.state, run.look_at = advance(run.state, "work"), now + ASK_AGAIN_AFTER
    run.started_at = run.started_at or now
    session.add(run)
    return Task(
        await content_of(session, tools.sealer, run),
        await rules_of(session, tools.sealer, run),
        run.next_row,
    )


async def run_batch(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    import_id: str,
    rows: Sequence[tuple[int, Row | None]],
    *,
    rules: Rules,
    next_row: int,
    pause: bool,
    now: datetime,
) -> int | None:
    """Take over some rows, and note how far it got; where to go on, or null: somebody else did.

    `pause`: another job shall go on, so that no job lasts long.
    """
    await session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"import {company_id}", 0)))
    )
    run = await _here(session, company_id, import_id, next_row)
    if run is None:
        return None
    company = await session.get_one(Company, company_id)
    batch = _Batch(session, tools, company, run, rules, now)
    await batch.take(rows)
    run.next_row = rows[-1][0] + 1 if rows else next_row
    run.done += len(rows)
    run.look_at = now + ASK_AGAIN_AFTER
    session.add(run)
    await session.flush()
    if pause:
        await later(session, JOB, company_id, import_id, str(run.next_row))
    return run.next_row


async def finish(
    session: AsyncSession, company_id: str, import_id: str, next_row: int, now: datetime
) -> None:
    """The last row was taken over: nothing of the file is kept but numbers."""
    run = await _here(session, company_id, import_id, next_row)
    if run is None:
        return
    run.state = advance(run.state, "finish")
    run.finished_at, run.look_at = now, None
    await empty(session, run)


async def stop(
    session: AsyncSession, company_id: str, import_id: str, code: str, now: datetime
) -> None:
    """It cannot go on by itself. A person may start it again where it stopped, for some days."""
    run = await find(session, Import, company_id, import_id, for_update=True)
    if run is None or run.state not in {"queued", "running"}:
        return
    run.state, run.error = advance(run.state, "fail"), code
    run.look_at = now + KEPT_UNSTARTED
    session.add(run)


async def _here(
    session: AsyncSession, company_id: str, import_id: str, next_row: int
) -> Import | None:
    run = await find(session, Import, company_id, import_id, for_update=True)
    if run is None or run.state not in {"queued", "running"} or run.next_row != next_row:
        return None
    return run


class _Batch:
    """Rows of one transaction."""

    def __init__(  # noqa: PLR0917 - what every row of the batch needs
        self, session: AsyncSession, tools: Tools, company: Company, run: Import, rules: Rules,
        now: datetime,
    ) -> None:  # fmt: skip
        self.session, self.tools, self.company, self.run = session, tools, company, run
        self.rules, self.now = rules, now
        self._sources = {plain(word): code for word, code in rules.source_map.items()}
        self._ours = {code: code for code in company.allowed_sources}

    async def take(self, rows: Sequence[tuple[int, Row | None]]) -> None:
        """Take over each row that may be; one that breaks does not stop the others."""
        bad = await self._bad(rows)
        good = [row for number, row in rows if row is not None and number not in bad]
        sealer, counted = self.tools.sealer, Counter[str]()
        numbers = [number_for(sealer, row) for row in good]
        await lock_numbers(self.session, self.company.id, self.run.connection_id, numbers)
        known = await known_rows(self.session, sealer, self.run, good)
        news, faults = await self._write_plain(good, known), []
        for row, number in zip(good, numbers, strict=True):
            digest = self._digest(row)
            parts = known.setdefault(number, ("", {}))[1]
            if row.number in news:
                counted["changed"] += 1
                parts[row.part] = digest
                continue
            if parts.get(row.part) == digest:
                counted["unchanged"] += 1
                continue
            code = await self._safely(row, number, digest)
            if code is None:
                counted["changed"] += 1
                parts[row.part] = digest
            else:
                counted["failed"] += 1
                faults.append(Fault(row.number, None, code))
        self.run.changed += counted["changed"]
        self.run.unchanged += counted["unchanged"]
        self.run.failed += counted["failed"]
        await add_faults(self.session, self.run, faults)

    async def _write_plain(self, rows: Sequence[Row], known: Known) -> set[int]:
        """Write what is new and has no consequences together; the numbers of those rows.

        Should that break, none of it is written, and each goes the long way by itself.
        """
        seen, news = set(known), []
        met = await strangers(self.session, self.company.id, self.run.connection_id, rows)
        for row in rows:
            number = number_for(self.tools.sealer, row)
            stranger = row.candidate["external_id"] not in met
            if number not in seen and stranger and is_plain(row):
                news.append(self._new(row, number))
            seen.add(number)
        try:
            async with self.session.begin_nested():
                await write_new(self.session, self.tools, self.company, news, self.now)
        except (DataError, IntegrityError, ValueError):
            return set()
        return {one.row.number for one in news}

    def _new(self, row: Row, number: str) -> New:
        return New(
            row=row, number=number, digest=self._digest(row),
            known=self._said(self._told(row, number), "application.known", ""),
            end=self._the_end(row, number) if row.outcome != "active" else None,
        )  # fmt: skip

    def _digest(self, row: Row) -> bytes:
        return digest_for(self.tools.sealer, row, self._sources.get(plain(row.source or "")))

    async def _bad(self, rows: Sequence[tuple[int, Row | None]]) -> set[int]:
        if not rows:
            return set()
        wanted = select(ImportFault.row).where(
            col(ImportFault.company_id) == self.run.company_id,
            col(ImportFault.import_id) == self.run.id,
            col(ImportFault.row).between(rows[0][0], rows[-1][0]),
        )
        return set((await self.session.scalars(wanted)).all())

    async def _safely(self, row: Row, number: str, digest: bytes) -> str | None:
        """Null, or the code of why the row was not taken over."""
        try:
            async with self.session.begin_nested():
                return await self._apply(row, number, digest)
        except Exception as error:
            if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError):
                raise  # the database is in trouble, not the row: the batch is tried again
            if self.run.failed >= _MOST_BROKEN:
                raise
            # Kind only: the message of an error may quote what stands in the row.
            log.error(  # noqa: TRY400 - as said
                "import_row_broke", import_id=self.run.id, row=row.number,
                kind=type(error).__name__,
            )  # fmt: skip
            return "row_broke"

    async def _apply(self, row: Row, number: str, digest: bytes) -> str | None:
        told = self._told(row, number)
        met = await meet_applicant.meet(
            self.session, self.tools, self.company, self._said(told, "application.known", ""),
            self.now,
        )  # fmt: skip
        await meet_applicant.learn(
            self.session, self.tools, self.company, met,
            self._said(told, "application.known", ""),
        )  # fmt: skip
        await self._learn_kana(met.candidate, row)
        application = met.application
        if row.applicant_type is not None and application.applicant_type != row.applicant_type:
            application.applicant_type = row.applicant_type
            self.session.add(application)
        await self._meeting(row, number)
        if row.outcome == "active" and application.outcome != "active":
            return "already_ended"
        if row.outcome != "active" and not _stands(application, row):
            said = self._the_end(row, number)
            await apply_event(self.session, self.tools, self.company, said, self.now)
        await self._remember(application.id, row.part, digest)
        return None

    async def _meeting(self, row: Row, number: str) -> None:
        meeting = row.interview
        if meeting is None or meeting.past:
            return
        held = meeting.status == "completed"
        kind = "interview.completed" if held else "interview.scheduled"
        starts_at = meeting.starts_at or meeting.ends_at
        told = {
            **self._bare(row, number),
            "interview": {
                "external_id": meeting.external_id, "starts_at": starts_at.isoformat(),
                "ends_at": meeting.ends_at.isoformat(), "all_day": meeting.starts_at is None,
                "status": meeting.status,
            },
        }  # fmt: skip
        at = meeting.ends_at if held else self.run.created_at
        effect = f"{meeting.external_id}/{meeting.status}"
        said = self._said(told, kind, effect, min(at, self.run.created_at))
        await apply_event(self.session, self.tools, self.company, said, self.now)

    def _the_end(self, row: Row, number: str) -> Said:
        """The event of how it ended."""
        uploaded = self.run.created_at
        at = min(row.decided.latest(), uploaded) if row.decided else uploaded
        effect = row.decided.text if row.decided else f"undated {local_day(uploaded)}"
        told = {
            **self._bare(row, number),
            "rejection": {
                "initiated_by": row.initiated_by, "reason_id": None, "reason_text": None,
                "reason_type_raw": None, "rejected_at": at.isoformat(), "not_before": None,
            } if row.outcome != "hired" else None,
            "holds": [
                *(["history"] if row.history else []),
                *(["reason_unclassified"] if row.unclear else []),
            ],
        }  # fmt: skip
        return self._said(told, _KINDS[row.outcome], effect, at)

    def _told(self, row: Row, number: str) -> dict[str, Any]:
        told = self._bare(row, number)
        told["candidate"] = dict(row.candidate)
        told["job"] = dict(row.job)
        told["holds"] = [] if row.candidate["primary_email"] else ["no_email"]
        return told

    def _bare(self, row: Row, number: str) -> dict[str, Any]:
        """The canonical application alone: who applied was told with the row's first statement."""
        applied_at = row.applied_at.isoformat() if row.applied_at else None
        return {
            "application": {
                "external_id": number, "url": None, "status": row.outcome,
                "applied_at": applied_at, "source": row.source, "custom_fields": {},
                "stage": {"id": None, "name": row.stage} if row.stage else None,
            },
            "candidate": None, "job": None, "rejection": None, "interview": None, "holds": [],
        }  # fmt: skip

    def _said(
        self, told: Mapping[str, Any], kind: str, effect: str, at: datetime | None = None
    ) -> Said:
        connection, number = self.run.connection_id, told["application"]["external_id"]
        source = told["application"]["source"]
        mapped = self._sources.get(plain(source or ""))
        event = {
            "type": kind, "schema_version": "1", "provider": PROVIDER,
            "provider_event": None, "provider_event_id": None, "connection_id": connection,
            "dedupe_key": f"{PROVIDER}:{connection}:{kind}:{number}:{effect}", "supersedes": None,
            "occurred_at": (at or self.run.created_at).isoformat(),
            "received_at": self.run.created_at.isoformat(),
            "deletion": None, "attachments": [], "enrichment": "complete", **told,
        }  # fmt: skip
        sources = self._ours if mapped is None else {**self._ours, source: mapped}
        return Said(
            event=event, as_of=self.run.created_at, provider=PROVIDER, connection_id=connection,
            settings={"source_map": sources},
        )  # fmt: skip

    async def _learn_kana(self, candidate: Any, row: Row) -> None:
        """Readings of the name: what the candidate corrected stays."""
        told = {name: row.candidate[name] for name in ("family_name_kana", "given_name_kana")}
        told = {name: value for name, value in told.items() if value}
        if not told or candidate.erased_at is not None:
            return
        profile = await vault.profile_of(self.session, self.tools.sealer, candidate)
        before = profile.get("from_ats") or {}
        fresh = {
            name: value
            for name, value in told.items()
            if profile.get(name) in (None, "", before.get(name))
            and name not in (profile.get("cleared") or ())
        }
        updated = {**profile, **fresh, "from_ats": {**before, **told}}
        if updated != profile:
            await vault.set_profile(self.session, self.tools.sealer, candidate, updated)

    async def _remember(self, application_id: str, part: str, digest: bytes) -> None:
        made = insert(ImportRow).values(
            company_id=self.company.id, application_id=application_id, part=part, digest=digest
        )
        await self.session.execute(
            made.on_conflict_do_update(
                index_elements=["company_id", "application_id", "part"],
                set_={"digest": made.excluded.digest},
            )
        )


def _stands(application: Application, row: Row) -> bool:
    """Whether we hold this end already, told by whomever: a day, or no day, is no newer word."""
    if application.outcome != row.outcome:
        return False
    return row.decided is None or row.decided.day <= local_day(application.outcome_at)
