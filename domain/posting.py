"""What a business event does to a book: moves, dates and new credits; hashed in one fixed form.

Pure: which moves an event makes is decided in the flows, and written by `domain/ledger.py`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from domain.credits import CREDIT, Bucket, Credit, Kind


@dataclass(frozen=True)
class Move:
    """One unit, or several points, from one bucket to another."""

    credit_id: str | None
    source: Bucket
    target: Bucket
    unit: int = CREDIT
    qty: int = 1


@dataclass(frozen=True)
class DateSet:
    """A date of a credit that a transaction sets."""

    credit_id: str
    field: str
    day: date


@dataclass(frozen=True)
class NewCredit:
    """A credit that a grant brings into the world."""

    id: str
    agreement_id: str
    agreement_version: int
    terms: Mapping[str, Any]
    started_on: date
    guarantee_end_on: date
    placement_id: str | None = None
    relay_id: str | None = None
    value_cap_jpy: int | None = None
    reference_value_jpy: int = 0


@dataclass(frozen=True)
class Posting:
    """What one business event does to a book. `key` names the event, once and for all."""

    kind: Kind
    key: str
    effective_on: date
    actor: str
    moves: Sequence[Move]
    dates: Sequence[DateSet] = ()
    credits: Sequence[NewCredit | Credit] = ()
    reason: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for beyond the moves, in ids, codes and days: kept and hashed."""

    def fingerprint(self) -> bytes:
        """SHA-256 of the request, without the ids it made: a repetition makes others."""
        new = {credit.id for credit in self.credits}
        parts: list[object] = ["credit-request-v1", int(self.kind), self.reason, len(self.moves)]
        for move in self.moves:
            name = None if move.credit_id in new else move.credit_id
            parts += [move.unit, name, int(move.source), int(move.target), move.qty]
        parts.append(len(self.dates))
        for one in self.dates:
            parts += [None if one.credit_id in new else one.credit_id, one.field, one.day]
        parts.append(len(self.credits))
        for credit in self.credits:
            parts += grant_parts(credit)
        parts += flat(self.request) if self.request else []
        return hashlib.sha256(canon(*parts)).digest()


def grant_parts(credit: NewCredit | Credit) -> list[object]:
    """What a grant says about a credit: everything that will never change, and no id of it."""
    terms = flat(credit.terms)
    return [
        credit.agreement_id, credit.agreement_version, credit.placement_id, credit.relay_id,
        credit.started_on, credit.value_cap_jpy, credit.reference_value_jpy, len(terms), *terms,
    ]  # fmt: skip


def flat(value: Any, path: str = "") -> list[str]:
    """A document as path and value, in the order of its keys: JSON text is never hashed."""
    if isinstance(value, Mapping) and value:
        named = ((f"{path}{step(key)}", value[key]) for key in sorted(value))
        return [part for name, inner in named for part in flat(inner, name)]
    if isinstance(value, list | tuple) and value:
        numbered = ((f"{path}[{number}]", inner) for number, inner in enumerate(value))
        return [part for name, inner in numbered for part in flat(inner, name)]
    return [path, "" if value is None else str(value)]


def step(key: str) -> str:
    """A key's part of a path. What parts a path is marked inside a key: no two paths look alike."""
    return f".{key}" if key.isidentifier() else f".{_PARTING.sub(_MARKED, key)}"


_PARTING, _MARKED = re.compile(r"[.\[\\]"), r"\\\g<0>"


# The chain


def canon(*parts: object) -> bytes:
    """Parts as `length:value,`; the length, in bytes, removes every ambiguity."""
    made = bytearray()
    for part in parts:
        value = _plain(part).encode()
        made += f"{len(value)}:".encode() + value + b","
    return bytes(made)


def _plain(part: object) -> str:
    if part is None:
        return ""
    if isinstance(part, datetime):
        return part.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(part, bytes):
        return part.hex()
    return part.isoformat() if isinstance(part, date) else str(part)


def chain_hash(
    previous: bytes,
    head: Sequence[object],
    moves: Iterable[Sequence[object]],
    dates: Iterable[Sequence[object]],
) -> bytes:
    """The hash of a transaction over the one before it (form `credit-ledger-v1`).

    `head`: book, seq, kind, effective_on, recorded_at, business_key, fingerprint, actor, reason.
    A move: unit, credit, from, to, quantity, reference value. A date: credit, field, new date.
    """
    listed, changed = list(moves), list(dates)
    parts: list[object] = ["credit-ledger-v1", previous, *head, len(listed)]
    parts += [part for move in listed for part in move]
    parts.append(len(changed))
    parts += [part for change in changed for part in change]
    return hashlib.sha256(canon(*parts)).digest()


# Decisions


_TAKING_ORDER = (
    Bucket.PENDING, Bucket.AVAILABLE, Bucket.EXPIRED, Bucket.FROZEN, Bucket.RESERVED, Bucket.USED,
    Bucket.REVERSED,
)  # fmt: skip


def to_take_back(granted: Sequence[Credit], count: int) -> list[Credit]:
    """Which of a placement's credits an early leave takes.

    First what costs the company least: pending, available, expired (counts as taken, nothing
    moves), frozen, reserved, used, and last what was reversed for a debt, as good as used. Inside a
    group the latest expiry first, so that what stays can be used sooner. What was taken back before
    is not among those granted here.
    """
    there = [credit for credit in granted if credit.bucket in _TAKING_ORDER]
    there.sort(key=lambda credit: credit.id)
    there.sort(key=lambda credit: credit.expires_on or date.max, reverse=True)
    there.sort(key=lambda credit: _TAKING_ORDER.index(Bucket(credit.bucket)))
    return there[:count]
