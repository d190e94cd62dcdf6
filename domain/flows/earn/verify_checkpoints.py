"""Look whether every checkpoint still holds: root, chain, signature, heads, and copies elsewhere.

A chain that was rewritten as a whole agrees with itself; here it is found, because a checkpoint
holds another head for the same number.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import as_system
from domain.checkpoint import (
    FIRST_CHAIN,
    Head,
    LedgerCheckpoint,
    LedgerCheckpointHead,
    Verifier,
    chained,
    leads_to,
    published,
    signed_form,
    tree,
)
from domain.recount import Finding

_PAGE = 500
_REWRITTEN = text("""
    SELECT h.company_id, h.book_id, h.n, h.seq,
           coalesce((SELECT max(o.seq) FROM ledger_checkpoint_head o
                      WHERE o.company_id = h.company_id AND o.book_id = h.book_id AND o.n < h.n), 0)
             AS sound
      FROM ledger_checkpoint_head h
      LEFT JOIN ledger_tx t ON t.company_id = h.company_id AND t.book_id = h.book_id
       AND t.seq = h.seq AND t.agency_id = h.agency_id
     WHERE h.n > :after AND t.hash IS DISTINCT FROM h.head_hash
       AND (CAST(:company AS text) IS NULL OR h.company_id = :company)
       AND (CAST(:book AS text) IS NULL OR h.book_id = :book)
     ORDER BY h.company_id, h.book_id, h.n
""")


async def verify_checkpoints(
    session: AsyncSession,
    verifier: Verifier,
    copies: Mapping[int, Mapping[str, Any]] | None = None,
    after: int = 0,
) -> list[Finding]:
    """Recompute the checkpoints behind `after`, and compare copies kept outside of the database.

    What concerns no book in particular has no company and no book; `seq` is then the checkpoint's
    number.
    """
    found: list[Finding] = []
    kept = dict(copies or {})
    async with as_system(session):
        last = await session.get(LedgerCheckpoint, after) if after else None
        previous, n = (last.chain, last.n) if last is not None else (FIRST_CHAIN, 0)
        while page := await _page(session, n):
            for row in page:
                found += [
                    Finding("", "", check, row.n, detail)
                    for check, detail in _check(row, previous, n, verifier)
                ]
                found += _heads(row, await _of(session, row.n))
                copy = kept.pop(row.n, None)
                if copy is not None and dict(copy) != published(row):
                    found.append(Finding("", "", "checkpoint_copy", row.n, "differs from its copy"))
                previous, n = row.chain, row.n
    found += [
        Finding("", "", "checkpoint_copy", lost, "there is a copy of a checkpoint that is gone")
        for lost in sorted(kept)
        if lost > n
    ]
    return found


async def rewritten(
    session: AsyncSession,
    *,
    company_id: str | None = None,
    book_id: str | None = None,
    after: int = 0,
) -> list[Finding]:
    """Books whose chain is not the one a checkpoint holds; the first place of each."""
    named = {"company": company_id, "book": book_id, "after": after}
    async with as_system(session):
        rows = (await session.execute(_REWRITTEN, named)).all()
    first: dict[str, Finding] = {}
    for row in rows:
        detail = f"not what checkpoint {row.n} holds; changed behind {row.sound}"
        first.setdefault(
            row.book_id, Finding(row.company_id, row.book_id, "rewritten", row.seq, detail)
        )
    return list(first.values())


async def _page(session: AsyncSession, after: int) -> Sequence[LedgerCheckpoint]:
    wanted = select(LedgerCheckpoint).where(col(LedgerCheckpoint.n) > after)
    page = wanted.order_by(col(LedgerCheckpoint.n)).limit(_PAGE)
    return (await session.scalars(page.execution_options(populate_existing=True))).all()


async def _of(session: AsyncSession, n: int) -> Sequence[LedgerCheckpointHead]:
    heads = select(LedgerCheckpointHead).where(col(LedgerCheckpointHead.n) == n)
    ordered = heads.order_by(col(LedgerCheckpointHead.place))
    return (await session.scalars(ordered.execution_options(populate_existing=True))).all()


def _check(
    row: LedgerCheckpoint, previous: bytes, before: int, verifier: Verifier
) -> Iterator[tuple[str, str]]:
    if row.n != before + 1:
        yield "checkpoint_chain", "a checkpoint is missing before it"
    elif row.chain != chained(previous, row.n, row.built_at, row.leaf_count, row.root):
        yield "checkpoint_chain", "the checkpoint does not have its hash"
    if not verifier.verifies(row.key_id, row.signature, signed_form(row.n, row.chain)):
        yield "checkpoint_signature", "the signature is not of a key we know"


def _heads(row: LedgerCheckpoint, heads: Sequence[LedgerCheckpointHead]) -> Iterator[Finding]:
    leaves = [Head(head.book_id, head.seq, head.head_hash).leaf() for head in heads]
    places = [head.place for head in heads]
    if places != list(range(row.leaf_count)) or tree(leaves)[0] != row.root:
        yield Finding("", "", "checkpoint_root", row.n, "its heads do not lead to its root")
    for head, leaf in zip(heads, leaves, strict=True):
        if not leads_to(row.root, leaf, place=head.place, count=row.leaf_count, path=head.path):
            detail = f"the head does not lead to the root of checkpoint {row.n}"
            yield Finding(head.company_id, head.book_id, "checkpoint_head", head.seq, detail)
