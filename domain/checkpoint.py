"""Checkpoints: one signed number that stands for the heads of all books that changed (rules 8).

The heads are the leaves of a Merkle tree in the form of RFC 9162 (2.1.1); each checkpoint is
chained to the one before it and signed. Whoever holds one can see later whether anything before it
was rewritten. A checkpoint itself names nobody: the heads are rows of their own, each with its path
to the root, and seen only by the two sides of its book.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, LargeBinary
from sqlmodel import Field

from domain.base import Row, document, instant
from domain.posting import canon

FIRST_CHAIN = bytes(32)
"""What the first checkpoint is chained to."""
EMPTY_ROOT = hashlib.sha256().digest()
"""The root over no leaves (RFC 9162). Only the checkpoint at the turn of a month may have none:
it says that nothing changed, where silence could also mean that nobody looked."""
_SIZE = 32
_LEAF, _NODE, _LINK = b"\x00", b"\x01", b"\x02"


class Verifier(Protocol):
    """Knows the public keys: the present one and those before it."""

    def verifies(self, key_id: str, signature: bytes, payload: bytes) -> bool:
        """Whether the key of this name made the signature; false for a key nobody knows."""
        ...

    def verifies_document(self, signature: str, payload: bytes, *, kind: str) -> bool:
        """Whether a detached JWS over these bytes is ours and says what they are."""
        ...


class LedgerCheckpoint(Row, table=True):
    """The heads of all books changed since the one before, as one root (append-only)."""

    __tablename__ = "ledger_checkpoint"
    __table_args__ = (
        CheckConstraint(
            "octet_length(root) = 32 AND octet_length(chain) = 32", name="hash_length"
        ),
        CheckConstraint("octet_length(signature) = 64", name="signature_length"),
        CheckConstraint("n >= 1 AND leaf_count >= 0", name="counts"),
    )  # fmt: skip

    n: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    built_at: datetime = instant()
    leaf_count: int
    root: bytes = Field(sa_type=LargeBinary)
    chain: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)
    key_id: str
    through_tx: int = Field(sa_type=BigInteger)
    """No transaction that began after this checkpoint has a smaller id."""
    ended_before: int = Field(sa_type=BigInteger)
    """Database transactions with a smaller number had ended, and were seen."""
    begun_before: int = Field(sa_type=BigInteger)
    """Database transactions with this number or a greater one had not begun."""


class LedgerCheckpointHead(Row, table=True):
    """One book's head in a checkpoint, and its way to the root (append-only)."""

    __tablename__ = "ledger_checkpoint_head"
    __table_args__ = (
        CheckConstraint("octet_length(head_hash) = 32", name="head_hash_length"),
        CheckConstraint("octet_length(path) % 32 = 0", name="path_length"),
        ForeignKeyConstraint(["company_id", "book_id"], ["book.company_id", "book.id"]),
        Index("ix_ledger_checkpoint_head_place", "n", "place"),
        Index("ix_ledger_checkpoint_head_agency", "agency_id", "book_id", "n"),
    )

    company_id: str = Field(primary_key=True)
    book_id: str = Field(primary_key=True)
    n: int = Field(primary_key=True, sa_type=BigInteger)
    agency_id: str
    place: int
    """Its number among the leaves, from zero: the leaves stand in the order of their books."""
    seq: int = Field(sa_type=BigInteger)
    head_hash: bytes = Field(sa_type=LargeBinary)
    path: bytes = Field(sa_type=LargeBinary)
    """The siblings from the leaf to the root, one behind the other."""


class LedgerVerification(Row, table=True):
    """What a look at the ledger found (append-only). It names ids only."""

    __tablename__ = "ledger_verification"
    __table_args__ = (
        CheckConstraint("scope IN ('changed', 'whole')", name="scope_known"),
        Index("ix_ledger_verification_finished_at", "finished_at"),
    )

    id: str = Field(primary_key=True)
    started_at: datetime = instant()
    finished_at: datetime = instant()
    scope: str
    checkpoint: int = Field(sa_type=BigInteger)
    """The newest checkpoint at the time; the next look at what changed begins there."""
    books: int
    transactions: int = Field(sa_type=BigInteger)
    mismatches: int
    findings: list[dict[str, Any]] = document(default_factory=list)
    """At most a hundred of them."""
    unresolved: dict[str, Any] = document(default_factory=dict)
    """By bucket, what should not stand there any more: how many, and the age of the oldest."""


class LedgerWatch(Row, table=True):
    """When the ledger's own duties are due again: one row each, locked by whoever does it."""

    __tablename__ = "ledger_watch"

    name: str = Field(primary_key=True)
    due_at: datetime = instant()


@dataclass(frozen=True)
class Head:
    """Where a book's chain stands."""

    book_id: str
    seq: int
    hash: bytes

    def leaf(self) -> bytes:
        """The hash of its leaf."""
        form = canon("head-v1", self.book_id, self.seq, self.hash)
        return hashlib.sha256(_LEAF + form).digest()


def tree(leaves: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The root over leaf hashes, and each one's path to it.

    Splitting at the largest power of two below n is the same as pairing neighbours level by level,
    where the last of an odd number goes up as it is.
    """
    if not leaves:
        return EMPTY_ROOT, []
    level, places, paths = list(leaves), list(range(len(leaves))), [bytearray() for _ in leaves]
    while len(level) > 1:
        for leaf, place in enumerate(places):
            if place ^ 1 < len(level):
                paths[leaf] += level[place ^ 1]
            places[leaf] = place // 2
        pairs = [level[n : n + 2] for n in range(0, len(level), 2)]
        level = [_node(*pair) if len(pair) > 1 else pair[0] for pair in pairs]
    return level[0], [bytes(path) for path in paths]


def leads_to(root: bytes, leaf: bytes, *, place: int, count: int, path: bytes) -> bool:
    """Whether a leaf hash at this place among `count` leaves has this path to the root."""
    if not 0 <= place < count:
        return False
    made, left, last = leaf, place, count - 1
    siblings = [path[n : n + _SIZE] for n in range(0, len(path), _SIZE)]
    while last:
        if left % 2 or left < last:
            if not siblings:
                return False
            sibling = siblings.pop(0)
            made = _node(sibling, made) if left % 2 else _node(made, sibling)
        left, last = left // 2, last // 2
    return not siblings and made == root


def chained(previous: bytes, n: int, built_at: datetime, leaf_count: int, root: bytes) -> bytes:
    """The hash of a checkpoint over the one before it (form `cp-v1`)."""
    form = canon("cp-v1", n, built_at, leaf_count, root)
    return hashlib.sha256(_LINK + previous + form).digest()


def signed_form(n: int, chain: bytes) -> bytes:
    """The bytes that are signed: what they are for stands in front, the key signs other things."""
    return canon("ledger-checkpoint-v1", n, chain)


def published(row: LedgerCheckpoint) -> dict[str, Any]:
    """A checkpoint as everybody may see it: hashes in hex, no book, no company, no agency."""
    return {
        "n": row.n,
        "built_at": row.built_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "leaf_count": row.leaf_count,
        "root": row.root.hex(),
        "chain": row.chain.hex(),
        "signature": row.signature.hex(),
        "key_id": row.key_id,
    }


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
