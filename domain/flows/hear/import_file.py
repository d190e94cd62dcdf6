"""A file of applications is looked at before anything of it is stored: kept sealed, asked about."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.application import Application
from domain.delivery import AtsConnection
from domain.errors import Conflict, Gone, Invalid, NotFound
from domain.ids import new_id
from domain.import_rows import Fault, Rules, default_history
from domain.import_survey import Good, Survey
from domain.import_table import Book
from domain.import_words import plain
from domain.imports import (
    ASK_AGAIN_AFTER,
    KEPT_UNSTARTED,
    PART_BYTES,
    WILL,
    Import,
    ImportPart,
    ImportRow,
    advance,
)
from domain.jobs import later
from domain.ports import Sealer, Tools
from domain.store import find, lock

JOB = "import.run"
_CHUNK = 1000
_MAPS = ("outcome_map", "reason_map", "source_map", "answers")
_MOST_KEPT_WORDS = 2_000

Known = dict[str, tuple[str, dict[str, bytes]]]
"""Number of an application → its outcome, and what was last taken over of it."""


async def keep_file(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    book: Book,
    content: bytes,
    *,
    name: str,
    connection_id: str,
    actor: str,
    now: datetime,
) -> Import:
    """Keep an upload, sealed, until it is taken over or given up.

    Raises `NotFound` where the connection is not the company's.
    """
    if connection_id and await find(session, AtsConnection, company_id, connection_id) is None:
        raise NotFound
    number, sealer = new_id("imp"), tools.sealer
    digest = hashlib.sha256(content).hexdigest()
    run = Import(
        company_id=company_id, id=number, connection_id=connection_id, actor=actor,
        file_key=sealer.blind("import-file", f"{connection_id}:{digest}"),
        name=sealer.seal(name.encode(), about=f"import-name:{number}"),
        format=book.format, encoding=book.encoding, delimiter=book.delimiter, size=len(content),
        history_before=default_history(now), created_at=now, look_at=now + KEPT_UNSTARTED,
    )  # fmt: skip
    run.duplicate_of = await _same_file(session, run)
    session.add(run)
    await session.flush()
    set_rules(sealer, run, {})
    for part, start in enumerate(range(0, len(content), PART_BYTES)):
        piece = content[start : start + PART_BYTES]
        sealed = sealer.seal(piece, about=f"import-part:{number}:{part}")
        session.add(ImportPart(company_id=company_id, import_id=number, part=part, sealed=sealed))
    await session.flush()
    return run


async def content_of(session: AsyncSession, sealer: Sealer, run: Import) -> bytes:
    """The uploaded bytes. Raises `Gone` (`file_gone`) once they are emptied."""
    wanted = (
        select(ImportPart)
        .where(col(ImportPart.company_id) == run.company_id, col(ImportPart.import_id) == run.id)
        .order_by(col(ImportPart.part))
    )
    parts = (await session.scalars(wanted)).all()
    if not parts:
        detail = "the file was emptied"
        raise Gone(detail, code="file_gone")
    return b"".join(
        sealer.open(one.sealed, about=f"import-part:{run.id}:{one.part}") for one in parts
    )


def name_of(sealer: Sealer, run: Import) -> str:
    """The file's name, as it was uploaded."""
    return sealer.open(run.name, about=f"import-name:{run.id}").decode()


def view_of(sealer: Sealer, run: Import) -> dict[str, Any]:
    """How the file was understood: columns, words, the first rows; empty once it is gone."""
    if run.view is None:
        return {}
    opened: dict[str, Any] = json.loads(sealer.open(run.view, about=f"import-view:{run.id}"))
    return opened


def said_of(sealer: Sealer, run: Import) -> dict[str, Any]:
    """What a person has said about the file so far."""
    if run.rules is None:
        return {}
    opened: dict[str, Any] = json.loads(sealer.open(run.rules, about=f"import-rules:{run.id}"))
    return opened


def set_rules(sealer: Sealer, run: Import, said: Mapping[str, Any]) -> None:
    """Seal what a person has said."""
    run.rules = sealer.seal(json.dumps(said).encode(), about=f"import-rules:{run.id}")


async def rules_of(session: AsyncSession, sealer: Sealer, run: Import) -> Rules:
    """All that decides how the rows are read: what was said here, and the connection's own maps."""
    said, settings = said_of(sealer, run), await settings_of(session, run)
    return Rules(
        uploaded_at=run.created_at,
        history_before=run.history_before,
        mapping={int(number): name for number, name in said.get("mapping", {}).items()},
        outcome_map={**(settings.get("status_map") or {}), **said.get("outcome_map", {})},
        reason_map={
            **{word: one for word, one in (settings.get("reason_map") or {}).items()
               if one in {"company", "candidate", "other"}},
            **said.get("reason_map", {}),
        },
        source_map={**(settings.get("source_map") or {}), **said.get("source_map", {})},
        answers=said.get("answers", {}),
    )  # fmt: skip


async def settings_of(session: AsyncSession, run: Import) -> Mapping[str, Any]:
    """The settings of the connection the file belongs to, if it belongs to one."""
    if not run.connection_id:
        return {}
    there = await find(session, AtsConnection, run.company_id, run.connection_id)
    return there.settings if there is not None else {}


async def known_width(session: AsyncSession, run: Import) -> int:
    """How long the company's own numbers are, where they begin with 0; else none."""
    wanted = select(func.max(func.length(col(Application.external_id)))).where(
        col(Application.company_id) == run.company_id,
        col(Application.connection_id) == run.connection_id,
        col(Application.external_id).op("~")("^0[0-9]{2,19}$"),
        col(Application.external_id) >= "0",
        col(Application.external_id) < "1",
    )
    return (await session.scalars(wanted)).first() or 0


async def take_look(
    session: AsyncSession, tools: Tools, run: Import, rules: Rules, found: Survey
) -> None:
    """Note what was found in the file: what it will do, what is asked, what is wrong."""
    known = await known_rows(session, tools.sealer, run, found.good)
    run.rows_total, run.rows_good = found.total, len(found.good)
    run.rows_bad = found.total - len(found.good)
    run.questions = [dict(one) for one in found.questions]
    run.will = _will(tools.sealer, rules, found.good, known)
    view = {
        "sheet": found.sheet,
        "numbered": found.numbered,
        "columns": [
            {"number": one.number, "header": one.header, "field": one.field}
            for one in found.columns
        ],
        "sample": list(found.sample),
        "outcome_words": list(found.outcome_words),
        "reason_words": list(found.reason_words),
        "source_words": list(found.source_words),
    }
    run.view = tools.sealer.seal(
        json.dumps(view, ensure_ascii=False).encode(), about=f"import-view:{run.id}"
    )
    session.add(run)
    await session.flush()
    await _replace_faults(session, run, found.faults)


async def say(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    import_id: str,
    *,
    told: Mapping[str, Any],
    history_before: date | None,
) -> Import:
    """A person says how to read the file; the caller looks at it again.

    `told` has any of `mapping`, `outcome_map`, `reason_map`, `source_map`, `answers`; a null takes
    an entry back (in `mapping`: the column is not used). Raises `Conflict` (`already_started`).
    """
    run = await waiting(session, company_id, import_id)
    said = said_of(tools.sealer, run)
    said["mapping"] = {**said.get("mapping", {}), **(told.get("mapping") or {})}
    for name in _MAPS:
        merged = {**said.get(name, {}), **(told.get(name) or {})}
        said[name] = {word: meaning for word, meaning in merged.items() if meaning is not None}
        if len(said[name]) > _MOST_KEPT_WORDS:
            detail = f"at most {_MOST_KEPT_WORDS} words"
            raise Invalid(detail, code="too_many_words")
    set_rules(tools.sealer, run, said)
    run.history_before = history_before or run.history_before
    session.add(run)
    return run


async def waiting(session: AsyncSession, company_id: str, import_id: str) -> Import:
    """A file nobody has started yet, locked. Raises `Conflict` (`already_started`)."""
    run = await lock(session, Import, company_id, import_id)
    if run.state != "preview":
        detail = f"the import is {run.state}"
        raise Conflict(detail, code="already_started")
    return run


async def start(
    session: AsyncSession,
    company_id: str,
    import_id: str,
    *,
    skip_bad: bool,
    now: datetime,
    ask: bool = True,
) -> Import:
    """Let it be taken over, or go on where it stopped. `ask`: a worker shall do it.

    Raises `Conflict`: `questions_open`, `rows_bad` (unless they are to be skipped), `rows_none`,
    `file_gone`; `already_started`.
    """
    run = await lock(session, Import, company_id, import_id)
    if run.state not in {"preview", "failed"}:
        detail = f"the import is {run.state}"
        raise Conflict(detail, code="already_started")
    if run.rules is None:
        detail = "the file was emptied"
        raise Conflict(detail, code="file_gone")
    if run.open_questions:
        detail = f"to be answered: {', '.join(run.open_questions)}"
        raise Conflict(detail, code="questions_open")
    if run.rows_bad and not (skip_bad or run.skip_bad):
        detail = f"{run.rows_bad} rows cannot be taken over"
        raise Conflict(detail, code="rows_bad")
    if not run.rows_good:
        detail = "no row can be taken over"
        raise Conflict(detail, code="rows_none")
    run.state, run.error = advance(run.state, "start"), None
    run.skip_bad, run.look_at = skip_bad or run.skip_bad, now + ASK_AGAIN_AFTER
    session.add(run)
    await session.flush()
    if ask:
        await later(session, JOB, company_id, run.id, str(run.next_row))
    return run


async def discard(session: AsyncSession, company_id: str, import_id: str) -> None:
    """Forget a file nobody started. Raises `Conflict` (`already_started`)."""
    run = await waiting(session, company_id, import_id)
    await _forget(session, run)


async def look_again(
    session: AsyncSession, _: Tools, company_id: str, import_id: str, now: datetime
) -> None:
    """A worker died, or nobody came back for a file."""
    run = await find(session, Import, company_id, import_id, for_update=True)
    if run is None or run.look_at is None or run.look_at > now:
        return
    if run.state in {"queued", "running"}:
        run.look_at = now + ASK_AGAIN_AFTER
        session.add(run)
        await later(session, JOB, company_id, run.id, str(run.next_row))
    elif run.state == "preview":
        await _forget(session, run)
    else:
        await empty(session, run)
        run.look_at = None
        session.add(run)


async def empty(session: AsyncSession, run: Import) -> None:
    """Nothing of the file is left but its name, numbers and codes."""
    run.rules = run.view = None
    session.add(run)
    await session.flush()
    await session.execute(
        delete(ImportPart).where(
            col(ImportPart.company_id) == run.company_id, col(ImportPart.import_id) == run.id
        )
    )


def number_for(sealer: Sealer, row: Any) -> str:
    """The application's number; where the file has none, one made of whom and what it is about."""
    if row.external_id:
        made: str = row.external_id
        return made
    return "row-" + sealer.blind("import-identity", "\0".join(row.identity)).hex()[:32]


def digest_for(sealer: Sealer, row: Any, source: str | None) -> bytes:
    """A keyed digest of what a row says, in our words."""
    told = row.digest if isinstance(row.digest, str) else row.digest()
    return sealer.blind("import-row", f"{told}\0{source or ''}")[:16]


async def known_rows(
    session: AsyncSession, sealer: Sealer, run: Import, rows: Sequence[Any]
) -> Known:
    """What we hold of these rows' applications."""
    known: Known = {}
    numbers = [number_for(sealer, one) for one in rows]
    for start_ in range(0, len(numbers), _CHUNK):
        wanted = (
            select(
                col(Application.external_id), col(Application.outcome),
                col(ImportRow.part), col(ImportRow.digest),
            )
            .outerjoin(
                ImportRow,
                (col(ImportRow.company_id) == col(Application.company_id))
                & (col(ImportRow.application_id) == col(Application.id)),
            )
            .where(
                col(Application.company_id) == run.company_id,
                col(Application.connection_id) == run.connection_id,
                col(Application.external_id).in_(numbers[start_ : start_ + _CHUNK]),
            )
        )  # fmt: skip
        for number, outcome, part, digest in (await session.execute(wanted)).all():
            parts = known.setdefault(number, (outcome, {}))[1]
            if part is not None:
                parts[part] = digest
    return known


def _will(sealer: Sealer, rules: Rules, rows: Sequence[Good], known: Known) -> dict[str, int]:
    """What taking over will do. Rows we hold already, word for word, do nothing."""
    will = dict.fromkeys(WILL, 0)
    sources = {plain(word): code for word, code in rules.source_map.items()}
    counted: set[str] = set()
    for row in rows:
        number = number_for(sealer, row)
        outcome, parts = known.get(number, ("", {}))
        source = sources.get(plain(row.source or ""))
        if parts.get(row.part) == digest_for(sealer, row, source):
            will["unchanged"] += 1
            continue
        if row.interview in {"completed", "scheduled"}:
            will["interviews"] += 1
        elif row.interview == "past":
            will["interviews_past"] += 1
        if number not in counted:
            counted.add(number)
            will[_course(row, outcome)] += 1
    return will


def _course(row: Good, outcome: str) -> str:
    """What becomes of an application by this row."""
    if row.outcome == outcome and outcome != "active":
        return "unchanged"
    if row.outcome != "rejected":
        return {"withdrawn": "withdraw", "hired": "hire", "active": "active"}[row.outcome]
    if row.history:
        return "history"
    if row.unclear:
        return "unclear"
    return "tell" if row.reachable else "unreachable"


async def _replace_faults(session: AsyncSession, run: Import, faults: Sequence[Fault]) -> None:
    place = {"company": run.company_id, "run": run.id}
    await session.execute(
        text("DELETE FROM import_fault WHERE company_id = :company AND import_id = :run"), place
    )
    await add_faults(session, run, faults)


async def add_faults(session: AsyncSession, run: Import, faults: Sequence[Fault]) -> None:
    """Note what is wrong with rows, once each."""
    if not faults:
        return
    await session.execute(
        text(
            'INSERT INTO import_fault (company_id, import_id, "row", field, code) '
            "SELECT :company, :run, * FROM "
            "unnest(CAST(:rows AS int[]), CAST(:fields AS text[]), CAST(:codes AS text[])) "
            "ON CONFLICT DO NOTHING"
        ),
        {
            "company": run.company_id,
            "run": run.id,
            "rows": [one.row for one in faults],
            "fields": [one.field or "" for one in faults],
            "codes": [one.code for one in faults],
        },
    )


async def _forget(session: AsyncSession, run: Import) -> None:
    place = {"company": run.company_id, "run": run.id}
    for table in ("import_part", "import_fault"):
        await session.execute(
            text(f"DELETE FROM {table} WHERE company_id = :company AND import_id = :run"),  # noqa: S608
            place,
        )
    await session.delete(run)
    await session.flush()


async def _same_file(session: AsyncSession, run: Import) -> str | None:
    wanted = (
        select(Import.id)
        .where(
            col(Import.company_id) == run.company_id,
            col(Import.file_key) == run.file_key,
            col(Import.state).in_(("queued", "running", "done")),
        )
        .order_by(col(Import.id).desc())
    )
    return (await session.scalars(wanted)).first()
