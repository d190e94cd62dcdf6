"""Copies of checkpoints outside of the database: one file each, written once, never over another.

Put the folder (`RELAY_CHECKPOINT_DIR`) on storage that only takes additions. What was rewritten in
the database differs from what lies here.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.settings import Settings
from domain.checkpoint import LedgerCheckpoint, published

_NAME = re.compile(r"checkpoint-([0-9]{8,})\.json")
_PAGE = 1000


def folder(settings: Settings) -> Path:
    """Where the copies lie."""
    return settings.checkpoint_dir or settings.data_dir / "checkpoints"


def read(where: Path) -> dict[int, Mapping[str, Any]]:
    """Every copy by its number. What is no JSON object counts as a copy that says nothing."""
    found: dict[int, Mapping[str, Any]] = {}
    for number, path in _listed(where).items():
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            told = None
        found[number] = told if isinstance(told, dict) else {}
    return found


async def write_missing(session: AsyncSession, where: Path) -> int:
    """Copy every checkpoint newer than the newest copy; how many there were."""
    after, done = max(_listed(where), default=0), 0
    while True:
        page = select(LedgerCheckpoint).where(col(LedgerCheckpoint.n) > after)
        rows = (await session.scalars(page.order_by(col(LedgerCheckpoint.n)).limit(_PAGE))).all()
        for row in rows:
            _write(where / f"checkpoint-{row.n:08d}.json", published(row))
            after, done = row.n, done + 1
        if len(rows) < _PAGE:
            return done


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Exclusively: a file that is there stays as it is. Half a file never has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _listed(where: Path) -> dict[int, Path]:
    names = ((path, _NAME.fullmatch(path.name)) for path in where.glob("checkpoint-*.json"))
    return {int(found[1]): path for path, found in names if found}
