"""What a statement says, as one plain document: the same rows always make the same bytes."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from domain.business_days import local_day
from domain.credits import CREDIT, Bucket, Kind
from domain.month import Month
from domain.views.credits import NAMES, Balance, Entry

FORM = "credit-statement-v1"
"""Named in every document, so that a later form can be told from this one."""
REFERENCE = "参考値"
"""The label of every amount in yen: for comparison only; no rule asks for it (domain rules 13)."""
AHEAD_DAYS = 90
"""Credits whose last day is no further away than this are listed as expiring."""
_OPEN = (Bucket.PENDING, Bucket.AVAILABLE, Bucket.RESERVED, Bucket.FROZEN)
_BUCKETS = {name: Bucket[name.upper()] for name in NAMES}


@dataclass
class BookMonth:
    """What was read of one book: sums up to the month, and what lies in it."""

    opening: dict[int, int] = field(default_factory=dict)
    closing: dict[int, int] = field(default_factory=dict)
    value: dict[int, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=lambda: {"opening": 0, "closing": 0})
    entries: list[Entry] = field(default_factory=list)
    credits: list[Any] = field(default_factory=list)
    dates: list[Any] = field(default_factory=list)
    """Changes of dates: all of the credits listed, and all of the month; in their order."""
    disputes: list[Any] = field(default_factory=list)
    fees: dict[str, int] = field(default_factory=dict)
    """By reservation, what a hire made with a credit would have cost, where its pay was given."""
    checkpoint: int | None = None

    def note_sum(self, row: Any) -> None:
        """Take in one bucket's sums."""
        if row.unit == CREDIT:
            self.opening[row.bucket] = int(row.opening)
            self.closing[row.bucket] = int(row.closing)
            self.value[row.bucket] = int(row.reference_value_jpy)
        elif row.bucket == Bucket.AVAILABLE:
            self.points = {"opening": int(row.opening), "closing": int(row.closing)}

    def hires(self) -> list[str]:
        """The reservations whose credits were used in the month."""
        return [
            entry.request["reservation_id"]
            for entry in self.entries
            if entry.kind == "used" and "reservation_id" in entry.request
        ]


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys, without spaces, in UTF-8."""
    return json.dumps(
        document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def says_something(document: Mapping[str, Any]) -> bool:
    """Whether a month is worth a statement: anything moved, is open, is owed or is disputed."""
    closing = document["closing"]
    standing = any(closing[bucket.name.lower()] for bucket in (*_OPEN, Bucket.OWED))
    lists = ("entries", "date_changes", "owed", "disputes")
    return standing or document["points"]["closing"] != 0 or any(document[name] for name in lists)


def document_of(
    pair: Any, month: Month, read: BookMonth, *, closed_at: datetime | None
) -> dict[str, Any]:
    """Everything the month says, as plain JSON values."""
    through = pair.closed_through
    changes = defaultdict(list)
    for row in read.dates:
        changes[row.credit_id, row.field].append(row)
    credits_ = [_credit(row, changes, month.last) for row in read.credits]
    return {
        "form": FORM,
        "month": month.name,
        "first_day": month.first.isoformat(),
        "last_day": month.last.isoformat(),
        "final": closed_at is not None or (through is not None and through >= month.last),
        "closed_at": _plain(closed_at),
        "company_id": pair.company_id,
        "agency_id": pair.agency_id,
        "agreement_id": pair.agreement_id,
        "book_id": pair.book_id,
        "company": {"name": pair.company_name, "name_en": pair.company_name_en},
        "agency": {
            "name": pair.agency_name, "name_en": pair.agency_name_en,
            "license_number": pair.license_number,
        },
        "agreement": {"number": pair.number, "versions_cited": _versions(read, credits_)},
        "opening": _counts(read.opening),
        "closing": _counts(read.closing),
        "movements": _movements(read, month),
        "points": _points(read),
        "entries": [_plain(asdict(entry)) for entry in read.entries],
        "date_changes": [_date_change(row) for row in read.dates if _within(row, month)],
        "credits": credits_,
        "expiring": _expiring(credits_, month.last),
        "owed": [row.id for row in read.credits if row.owed < 0],
        "adjustments": _adjustments(read, month),
        "disputes": [_dispute(row, month) for row in read.disputes],
        "reference_value": {
            "label": REFERENCE,
            "closing_jpy": {name: read.value.get(bucket, 0) for name, bucket in _BUCKETS.items()},
            "avoided_fees_jpy": sum(read.fees.values()),
            "avoided_fees_known": len(read.fees),
        },
        "head": {
            "seq": pair.last_seq or 0,
            "hash": bytes(pair.head_hash).hex() if pair.head_hash else None,
        },
        "checkpoint": read.checkpoint,
    }  # fmt: skip


def _counts(quantities: Mapping[int, int]) -> dict[str, int]:
    return asdict(Balance(**{name: quantities.get(at, 0) for name, at in _BUCKETS.items()}))


def _movements(read: BookMonth, month: Month) -> dict[str, int]:
    """Credits moved by each kind of event; where terms changed, credits that got another date."""
    moved = Counter(entry.kind for entry in read.entries if entry.unit == "credit")
    changed = {
        (row.seq, row.credit_id)
        for row in read.dates
        if row.kind == Kind.TERM_CHANGED and _within(row, month)
    }
    if changed:
        moved[Kind.TERM_CHANGED.name.lower()] = len(changed)
    return dict(sorted(moved.items()))


def _points(read: BookMonth) -> dict[str, int]:
    """Relays counted towards a credit, where it was so agreed."""
    moved: Counter[str] = Counter()
    for entry in read.entries:
        if entry.unit == "point":
            moved[entry.kind] += entry.quantity
    return {
        **read.points, "counted": moved["point_counted"], "removed": moved["point_removed"],
        "converted": moved["granted"],
    }  # fmt: skip


def _versions(read: BookMonth, listed: Sequence[Mapping[str, Any]]) -> list[int]:
    cited = {entry.agreement_version for entry in read.entries}
    cited |= {one["agreement_version"] for one in listed}
    return sorted(version for version in cited if version is not None)


def _credit(row: Any, changes: Mapping[Any, Sequence[Any]], last: date) -> dict[str, Any]:
    """A credit as it stood at the end of the month's last day."""
    days = {
        name: _as_of(getattr(row, name), changes.get((row.id, name), ()), last)
        for name in ("guarantee_end_on", "available_on", "expires_on")
    }
    return {
        "id": row.id,
        "state": Bucket(row.bucket).name.lower(),
        "agreement_version": row.agreement_version,
        "relay_id": row.relay_id,
        "placement_id": row.placement_id,
        **{name: _plain(day) for name, day in days.items()},
        "reference_value_jpy": row.reference_value_jpy,
    }


def _as_of(now_is: date | None, changes: Sequence[Any], last: date) -> Any:
    """A date at a day: as it was set last by then, or as the first later change found it."""
    by_then = [row for row in changes if row.effective_on <= last]
    if by_then:
        return by_then[-1].new_date
    return changes[0].old_date if changes else now_is


def _expiring(listed: Sequence[Mapping[str, Any]], last: date) -> list[dict[str, Any]]:
    """Available credits whose last day is near, by that day."""
    until = (last + timedelta(days=AHEAD_DAYS)).isoformat()
    days = Counter(
        one["expires_on"]
        for one in listed
        if one["state"] == "available" and one["expires_on"] and one["expires_on"] <= until
    )
    return [{"expires_on": day, "credits": days[day]} for day in sorted(days)]


def _within(row: Any, month: Month) -> bool:
    inside: bool = month.first <= row.effective_on <= month.last
    return inside


def _date_change(row: Any) -> dict[str, Any]:
    return {
        "seq": row.seq, "kind": Kind(row.kind).name.lower(), "credit_id": row.credit_id,
        "field": row.field, "old": _plain(row.old_date), "new": _plain(row.new_date),
        "effective_on": _plain(row.effective_on), "at": _plain(row.recorded_at),
        "reason": row.reason_code,
    }  # fmt: skip


def _adjustments(read: BookMonth, month: Month) -> list[dict[str, Any]]:
    """Corrections by hand: who asked for them, approved and agreed, and what they touched."""
    found: dict[int, dict[str, Any]] = {}
    touched: dict[int, set[str]] = defaultdict(set)
    moved = [(one.seq, one.credit_id, one.request, one.reason, one.actor, one.effective_on)
             for one in read.entries]  # fmt: skip
    dated = [(row.seq, row.credit_id, row.request, row.reason_code, row.actor, row.effective_on)
             for row in read.dates if _within(row, month)]  # fmt: skip
    for seq, credit, request, reason, actor, day in moved + dated:
        if "adjustment_id" not in request:
            continue
        touched[seq].add(credit or "")
        found[seq] = {
            "id": request["adjustment_id"], "kind": request.get("adjustment"), "reason": reason,
            "requested_by": request.get("requested_by"), "approved_by": actor,
            "agreed_by": request.get("agreed_by") or None, "effective_on": _plain(day), "seq": seq,
        }  # fmt: skip
    return [{**found[seq], "credit_ids": sorted(touched[seq] - {""})} for seq in sorted(found)]


def _dispute(row: Any, month: Month) -> dict[str, Any]:
    """A dispute that was open on a day of the month, as it stood at the end of its last day."""
    ended = local_day(row.ended_at) if row.ended_at is not None else None
    over = ended is not None and ended <= month.last
    return {
        "id": row.id, "subject": row.subject, "reason": row.reason, "opened_by": row.opened_by,
        "opened_on": _plain(row.frozen_on), "ended_on": _plain(ended) if over else None,
        "outcome": row.outcome if over else None, "credit_ids": row.credit_ids,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """A value as JSON writes it: instants in UTC with `Z`, days as they are."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value
