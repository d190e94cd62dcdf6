"""What a row of a file means: canonical objects, or what is wrong with it. Pure.

Nothing is guessed that would matter: a lost 0, an unknown word, an end without a day are asked.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from domain.business_days import JST, local_day
from domain.import_columns import columns_of, conflicts_of, header_of
from domain.import_table import Book, Cell
from domain.import_values import (
    Unclear,
    When,
    clock_of,
    kana_of,
    lost_zero,
    mail_of,
    number_text,
    phone_of,
    text_of,
    when_of,
)
from domain.import_words import (
    applicant_type_of,
    interview_status_of,
    outcome_of,
    party_of,
    plain,
)
from domain.ports import Masked

HISTORY_DAYS = 7
"""What ended longer ago than this before an upload is history, unless a person says otherwise."""

_LONGEST = 200
"""Characters of a value; a reason may be longer, as nothing of it is kept."""
_FAMILY_AND_GIVEN = 2
_WIDTHS = frozenset(str(width) for width in range(21))


@dataclass(frozen=True, repr=False)
class Rules(Masked):
    """What a person has said about a file. Words are compared by `plain`."""

    uploaded_at: datetime
    history_before: date
    mapping: Mapping[int, str | None] = field(default_factory=dict)
    """Column (counted from 1) → field; null: not used. The others go by their headers."""
    outcome_map: Mapping[str, str] = field(default_factory=dict)
    reason_map: Mapping[str, str] = field(default_factory=dict)
    source_map: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A row that cannot be taken over as it is: where, and why, without the value."""

    row: int
    field: str | None
    code: str


@dataclass(frozen=True, repr=False)
class Interview(Masked):
    """An interview of a row. `past`: too long ago for a promise of ours, or not held at all."""

    external_id: str
    starts_at: datetime | None
    ends_at: datetime
    ends_text: str
    status: str
    past: bool


@dataclass(frozen=True, repr=False)
class Row(Masked):
    """One row as we understand it."""

    number: int
    external_id: str | None
    identity: tuple[str, str, str]
    """Where there is no number: the person's address, the job, the day of applying."""
    candidate: Mapping[str, Any]
    job: Mapping[str, Any]
    stage: str
    source: str | None
    applicant_type: str | None
    applied_at: datetime | None
    outcome: str
    initiated_by: str | None
    decided: When | None
    history: bool
    undated: bool
    interview: Interview | None

    @property
    def unclear(self) -> bool:
        """It is over, and nobody has told who ended it."""
        return self.outcome == "rejected" and self.initiated_by in {"other", "unknown"}

    @cached_property
    def same(self) -> str:
        """A digest of all but the interview: what two rows of one application must agree on."""
        return _hash([
            self.candidate, self.job, self.source, self.applicant_type, self.outcome,
            self.initiated_by, self.applied_at.isoformat() if self.applied_at else None,
            self.decided.text if self.decided else None,
        ])  # fmt: skip

    def digest(self) -> str:
        """The same for the same statement, whenever it is made."""
        meeting = self.interview
        told = [self.same, self.stage]
        if meeting is not None and not meeting.past:
            told += [meeting.external_id, meeting.ends_text, meeting.status]
        return _hash(told)

    @property
    def part(self) -> str:
        """Which of several rows of one application this is: there may be one per interview."""
        meeting = self.interview
        return meeting.external_id if meeting is not None and not meeting.past else ""


@dataclass
class _Marks:
    """What asks for a person: seen while rows are read."""

    lost_zero: int = 0
    undated: int = 0
    lost_order: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    id_widths: Counter[int] = field(default_factory=Counter)
    zero_widths: Counter[int] = field(default_factory=Counter)


class Reader:
    """Reads the rows of one file by one set of rules."""

    def __init__(self, book: Book, rules: Rules) -> None:
        self.rules = rules
        self.sheet, self._header_at, header = header_of(book)
        self.columns = columns_of(header, rules.mapping)
        self.conflicts = conflicts_of(self.columns)
        self._places: dict[str, list[int]] = {}
        for column in self.columns:
            if column.field is not None and column.field not in self.conflicts:
                self._places.setdefault(column.field, []).append(column.number - 1)
        self._outcome_map = by_plain(rules.outcome_map)
        self._reason_map = by_plain(rules.reason_map)
        self._words: dict[str, str | None] = {}
        self._today = local_day(rules.uploaded_at)
        width = rules.answers.get("id_width", "")
        self._width = int(width) if width in _WIDTHS else 0
        order = rules.answers.get("date_order")
        self.order = order if order in {"mdy", "dmy"} else None
        self.marks = _Marks()

    def has(self, *fields: str) -> bool:
        """Whether any of these has a column."""
        return any(one in self._places for one in fields)

    def rows(self, first: int = 0) -> Iterator[tuple[int, Row | None, list[Fault]]]:
        """Each row below the header, from `first` on: what it means, or what is wrong with it."""
        for number, cells in self.sheet.rows():
            if number > self._header_at and number >= first:
                yield number, *self._read(number, cells)

    def _read(self, number: int, cells: Sequence[Cell]) -> tuple[Row | None, list[Fault]]:
        at = _Values(self, number, cells)
        person, numbers = _person(at), _numbers(at)
        outcome, initiated_by = self._outcome(at)
        decided = at.when("decided_at")
        applied = at.when("applied_at")
        undated = outcome == "rejected" and decided is None
        if undated and not at.faults:
            self.marks.undated += 1
        meeting = self._meeting(at, decided if outcome != "active" else None)
        if decided is not None and decided.day > self._today:
            at.fault("decided_at", "date_in_the_future")
        if numbers is None and not person["primary_email"] and not person["phones"]:
            at.fault(None, "nobody_named")
        source = at.text("source") or None
        if source:
            self.marks.sources[source] += 1
        job, department = at.text("job"), at.text("department")
        if at.faults:
            return None, at.faults
        contact = person["primary_email"] or (person["phones"] or [{"value": ""}])[0]["value"]
        row = Row(
            number=number, external_id=numbers,
            identity=(contact.lower(), plain(job), applied.text if applied else ""),
            candidate=person, stage=at.text("stage"), source=source,
            job={"external_id": None, "title": job or None, "department": department or None},
            applicant_type=at.word("applicant_type", applicant_type_of),
            applied_at=_first(applied), outcome=outcome, initiated_by=initiated_by,
            decided=decided if outcome != "active" else None,
            history=outcome == "rejected" and self._is_history(decided),
            undated=undated, interview=meeting,
        )  # fmt: skip
        return (None, at.faults) if at.faults else (row, [])

    def _outcome(self, at: "_Values") -> tuple[str, str | None]:
        word, reason, party = at.text("outcome"), at.text("reason"), at.text("ended_by")
        known = self._known_outcome(word)
        if word and (known is None or plain(word) in self._outcome_map):
            self.marks.outcomes[word] += 1
        if word and known is None:
            at.fault("outcome", "outcome_unknown")
            return "active", None
        outcome = known or "active"
        if outcome in {"active", "hired"}:
            return outcome, None
        if reason:
            self.marks.reasons[reason] += 1
        told = party_of(party) if party else None
        if party and told is None:
            at.fault("ended_by", "word_unknown")
        told = told or (self._reason_map.get(plain(reason)) if reason else None)
        if outcome == "withdrawn":
            return "withdrawn", "candidate"
        if told == "candidate":
            return "withdrawn", "candidate"
        return "rejected", told or ("company" if outcome == "rejected" else "unknown")

    def _known_outcome(self, word: str) -> str | None:
        if word not in self._words:
            self._words[word] = self._outcome_map.get(plain(word)) or outcome_of(word)
        return self._words[word]

    def _is_history(self, decided: When | None) -> bool:
        if decided is None:
            return self.rules.answers.get("undated_rejections") != "now"
        return decided.day < self.rules.history_before

    def _meeting(self, at: "_Values", ended: When | None) -> Interview | None:
        begins = at.when("interview_at")
        ends = at.end(begins)
        status = at.word("interview_status", interview_status_of)
        if begins is None and ends is None:
            return None
        start, finish = begins or ends, ends or begins
        assert start is not None
        assert finish is not None
        if finish.latest() < (start.at or start.latest()) and finish.day < start.day:
            at.fault("interview_end_at", "ends_before_it_begins")
        over = finish.latest() <= self.rules.uploaded_at
        if status == "completed" and finish.day > self._today:
            at.fault("interview_at", "date_in_the_future")
        held = over and (ended is None or ended.day >= finish.day)
        return Interview(
            external_id=f"import {start.text}",
            starts_at=start.at,
            ends_at=finish.latest() if status != "completed" else self._by_now(finish),
            ends_text=finish.text,
            status=status or ("completed" if held else "scheduled"),
            past=finish.day < self.rules.history_before or (over and not held and status is None),
        )

    def _by_now(self, finish: When) -> datetime:
        return min(finish.latest(), self.rules.uploaded_at)

    def number(self, said: str) -> str:
        """An application's number; with its zeros, where a person said how long it is."""
        if not said.isdecimal():
            return said
        (self.marks.zero_widths if said[0] == "0" else self.marks.id_widths)[len(said)] += 1
        return said.zfill(self._width) if self._width else said

    def phone(self, said: str) -> str:
        """A phone number; with its zero, where a person said that it lost it."""
        if not lost_zero(said):
            return said
        self.marks.lost_zero += 1
        return f"0{said}" if self.rules.answers.get("leading_zero") == "restore" else said


class _Values:
    """The cells of one row by field, and what is wrong with them."""

    def __init__(self, reader: Reader, row: int, cells: Sequence[Cell]) -> None:
        self.reader, self.row, self._cells = reader, row, cells
        self.faults: list[Fault] = []

    def fault(self, name: str | None, code: str) -> None:
        """Note what is wrong."""
        self.faults.append(Fault(self.row, name, code))

    def cell(self, name: str) -> Cell:
        """The field's cell, or an empty text."""
        for place in self.reader._places.get(name, ()):  # noqa: SLF001 - the reader's own row
            if place < len(self._cells):
                found = self._cells[place]
                if found != "" and not (isinstance(found, str) and not found.strip()):
                    return found
        return ""

    def text(self, name: str) -> str:
        """The field as typed."""
        return str(self._clear(name, text_of) or "")

    def cleared(self, name: str, how: Any) -> Any:
        """The field through one of the functions of `import_values`."""
        return self._clear(name, how)

    def word(self, name: str, meaning: Any) -> str | None:
        """A word with a meaning of ours; any other is a fault."""
        said = self.text(name)
        found: str | None = meaning(said) if said else None
        if said and found is None:
            self.fault(name, "word_unknown")
        return found

    def when(self, name: str) -> When | None:
        """A day or a moment."""
        cell = self.cell(name)
        if isinstance(cell, str) and not cell:
            return None
        try:
            return when_of(cell, self.reader.order)
        except Unclear as why:
            if why.code == "date_order":
                self.reader.marks.lost_order += 1
            self.fault(name, why.code)
            return None

    def end(self, begins: When | None) -> When | None:
        """When an interview ended: a moment, or a time of the day it began on."""
        cell = self.cell("interview_end_at")
        if begins is not None and isinstance(cell, str) and (clock := clock_of(cell)) is not None:
            at = datetime.combine(begins.day, clock, JST)
            return When(begins.day, at.astimezone(self.reader.rules.uploaded_at.tzinfo))
        return self.when("interview_end_at")

    def _clear(self, name: str, how: Any) -> Any:
        cell = self.cell(name)
        if isinstance(cell, str) and not cell:
            return None
        try:
            found = how(cell)
        except Unclear as why:
            self.fault(name, why.code)
            return None
        if isinstance(found, str) and len(found) > _LONGEST and name != "reason":
            self.fault(name, "too_long")
        return found


def _numbers(at: _Values) -> str | None:
    said = at.cleared("application_id", number_text)
    return at.reader.number(said) if said else None


def _person(at: _Values) -> dict[str, Any]:
    """The canonical candidate: names exactly as typed, kana in one form."""
    email = at.cleared("email", mail_of)
    phone = at.cleared("phone", phone_of)
    family, given, whole = at.text("family_name"), at.text("given_name"), at.text("name")
    kana = at.cleared("kana", kana_of) or ""
    parts = kana.split(" ")
    if len(parts) != _FAMILY_AND_GIVEN:
        parts = [kana, ""]
    return {
        "external_id": at.cleared("candidate_id", number_text),
        "display_name": whole or " ".join(one for one in (family, given) if one) or None,
        "family_name": family or None,
        "given_name": given or None,
        "family_name_kana": at.cleared("family_kana", kana_of) or parts[0] or None,
        "given_name_kana": at.cleared("given_kana", kana_of) or parts[1] or None,
        "emails": [{"value": email, "type": "unknown", "primary": True}] if email else [],
        "primary_email": email,
        "phones": [{"value": at.reader.phone(phone), "type": None}] if phone else [],
    }


def _hash(told: Any) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _first(when: When | None) -> datetime | None:
    return None if when is None else when.at or datetime.combine(when.day, datetime.min.time(), JST)


def by_plain(words: Mapping[str, str]) -> dict[str, str]:
    """A person's map of words, found however a file writes them."""
    return {plain(word): meaning for word, meaning in words.items()}


def default_history(uploaded_at: datetime) -> date:
    """The day before which an end is history."""
    return local_day(uploaded_at) - timedelta(days=HISTORY_DAYS)
