"""The log of erasures outside of the database: one file each, written once, ids and times alone.

Put the folder (`RELAY_ERASURE_LOG_DIR`) where the database's backups do not reach: a backup that is
restored brings people back, and what lies here erases them again.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path

from sqlalchemy import text

from api.runtime import Runtime
from api.settings import Settings
from domain.access import as_system
from domain.erasure import Erasure
from domain.flows.person import reapply_erasures as log
from domain.ids import pattern
from domain.store import find

_NAME = re.compile(rf"erasure-({pattern('era')[1:-1]})\.json")
_PAGE = 500


def folder(settings: Settings) -> Path:
    """Where the log lies."""
    return settings.erasure_log_dir or settings.data_dir / "erasures"


def write(where: Path, row: Erasure) -> None:
    """Exclusively: a file that is there stays as it is. Half a file never has its name."""
    path = where / f"erasure-{row.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(log.logged(row), indent=1) + "\n", encoding="utf-8")
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def read(where: Path) -> Iterator[Erasure]:
    """Every certificate in the log, in the order of the erasures. What is none is passed over."""
    for path in sorted(path for path in where.glob("erasure-*.json") if _NAME.fullmatch(path.name)):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        found = log.read(told) if isinstance(told, dict) else None
        if found is not None:
            yield found


async def note(runtime: Runtime, company_id: str, erasure_id: str) -> None:
    """Write one certificate into the log."""
    async with runtime.database.transaction(company_id=company_id) as session:
        row = await find(session, Erasure, company_id, erasure_id)
    if row is not None:
        write(folder(runtime.settings), row)


async def write_missing(runtime: Runtime, company_id: str) -> int:
    """Write what the log lacks, e.g. because its disk was full; how many there were."""
    where = folder(runtime.settings)
    there = {path.name for path in where.glob("erasure-*.json")}
    after, done = "", 0
    while True:
        async with runtime.database.transaction(company_id=company_id) as session:
            rows = await log.unlogged(session, company_id, after=after, limit=_PAGE)
        for row in rows:
            after = row.id
            if f"erasure-{row.id}.json" not in there:
                write(where, row)
                done += 1
        if len(rows) < _PAGE:
            return done


async def reapply(runtime: Runtime, now: datetime) -> int:
    """Erase again whom the database knows and the log says was erased; how many there were.

    One transaction per person: the next begins without the keys of the one before.
    """
    companies, done = await _companies(runtime), 0
    kept = sorted(read(folder(runtime.settings)), key=lambda one: (one.company_id, one.id))
    for company_id, of_company in groupby(kept, key=lambda one: one.company_id):
        if company_id not in companies:
            continue
        rows = list(of_company)
        for start in range(0, len(rows), _PAGE):
            async with runtime.database.transaction(company_id=company_id) as session:
                back = await log.still_readable(session, company_id, rows[start : start + _PAGE])
            for one in back:
                async with runtime.database.transaction(company_id=company_id) as session:
                    done += await log.reapply(session, one, now)
    return done


async def _companies(runtime: Runtime) -> set[str]:
    async with runtime.database.transaction() as session, as_system(session):
        return set((await session.execute(text("SELECT id FROM company"))).scalars())
