"""What anybody may know of the ledger: its checkpoints and the keys they are signed with.

Neither names a company, an agency or a book. Who keeps a copy can prove later what it held.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from sqlmodel import col, select

from api.deps import Db, Process
from api.errors import problems
from api.ledger_keys import ledger_keys
from api.shapes import Cursor, Page, Shape, decode_cursor, encode_cursor
from domain.checkpoint import LedgerCheckpoint, published
from domain.errors import Invalid

router = APIRouter(tags=["ledger"])


class PublishedCheckpoint(Shape):
    """One checkpoint. Hashes and the Ed25519 signature are in hex."""

    n: int
    built_at: str
    leaf_count: int
    root: str
    chain: str
    signature: str
    key_id: str


@router.get(
    "/.well-known/ledger-checkpoints",
    response_model=Page[PublishedCheckpoint],
    responses=problems(422),
)
async def list_checkpoints(
    db: Db, cursor: Cursor = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> JSONResponse:
    """Every checkpoint of the ledger, newest first. Each rests on the one before it.

    `chain` is SHA-256 over 0x02, the chain before and the checkpoint's canonical form; `signature`
    is over the canonical form of `ledger-checkpoint-v1`, `n` and `chain`.
    """
    wanted = select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.n).desc()).limit(limit + 1)
    if cursor is not None:
        wanted = wanted.where(col(LedgerCheckpoint.n) < _number(cursor))
    rows = (await db.scalars(wanted)).all()
    shown = rows[:limit]
    more = encode_cursor(str(shown[-1].n)) if len(rows) > limit else None
    body = {"data": [published(row) for row in shown], "next_cursor": more}
    return JSONResponse(body, headers={"cache-control": "public, max-age=60"})


@router.get("/.well-known/ledger-keys.json")
async def list_ledger_keys(process: Process) -> JSONResponse:
    """The public Ed25519 keys that sign checkpoints and statements, former ones included."""
    keys: dict[str, Any] = dict(ledger_keys(process.settings).jwks())
    return JSONResponse(keys, headers={"cache-control": "public, max-age=300"})


def _number(cursor: str) -> int:
    told = decode_cursor(cursor)
    if not (told.isascii() and told.isdigit() and len(told) < 19):  # noqa: PLR2004 - a bigint
        detail = "the cursor is not one of ours"
        raise Invalid(detail, code="invalid_cursor")
    return int(told)
