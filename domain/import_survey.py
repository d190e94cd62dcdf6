"""A whole file read once: what can be taken over, what is wrong, what must be asked. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.business_days import local_day
from domain.import_columns import Column
from domain.import_rows import Fault, Reader, Row, Rules, by_plain
from domain.import_table import Book
from domain.import_words import plain, suggested_outcome, suggested_source
from domain.ports import Masked

SAMPLE, MOST_WORDS = 5, 200


@dataclass(frozen=True, repr=False)
class Good(Masked):
    """What the preview keeps of a row that can be taken over."""

    number: int
    external_id: str | None
    identity: tuple[str, str, str]
    digest: str
    part: str
    outcome: str
    history: bool
    unclear: bool
    reachable: bool
    source: str | None
    interview: str | None


@dataclass(frozen=True, repr=False)
class Survey(Masked):
    """A file read once from top to bottom."""

    columns: Sequence[Column]
    sheet: str
    total: int
    good: Sequence[Good]
    faults: Sequence[Fault]
    questions: Sequence[Mapping[str, Any]]
    sample: Sequence[Mapping[str, Any]]
    outcome_words: Sequence[Mapping[str, Any]]
    reason_words: Sequence[Mapping[str, Any]]
    source_words: Sequence[Mapping[str, Any]]
    numbered: bool


def survey(book: Book, rules: Rules, known_width: int = 0) -> Survey:
    """Read a whole file: what each row means, what is wrong, what must be asked.

    `known_width`: how long the company's numbers with leading zeros are, if it has any.
    Raises `Invalid`: `header_missing`, and what the file's own reader raises.
    """
    reader = Reader(book, rules)
    total = 0
    good: list[Good] = []
    faults: list[Fault] = []
    sample: list[dict[str, Any]] = []
    seen: dict[tuple[Any, ...], str] = {}
    clashing: set[tuple[Any, ...]] = set()
    keys: dict[int, tuple[Any, ...]] = {}
    for number, row, wrong in reader.rows():
        total += 1
        faults += wrong
        if row is None:
            continue
        key = (row.external_id,) if row.external_id else row.identity
        if seen.setdefault(key, row.same) != row.same:
            clashing.add(key)
        keys[number] = key
        good.append(_kept(row))
        if len(sample) < SAMPLE:
            sample.append(shown(row))
    faults += [Fault(one.number, "application_id" if one.external_id else None, "told_twice")
               for one in good if keys[one.number] in clashing]  # fmt: skip
    good = [one for one in good if keys[one.number] not in clashing]
    faults.sort(key=lambda one: one.row)
    return Survey(
        columns=reader.columns, sheet=reader.sheet.name, total=total, good=good, faults=faults,
        questions=_questions(reader, known_width), sample=sample,
        outcome_words=_words(reader.marks.outcomes, rules.outcome_map, suggested_outcome),
        reason_words=_words(reader.marks.reasons, rules.reason_map, lambda _: None),
        source_words=_words(reader.marks.sources, rules.source_map, suggested_source),
        numbered=reader.has("application_id"),
    )  # fmt: skip


def _kept(row: Row) -> Good:
    meeting = row.interview
    return Good(
        number=row.number, external_id=row.external_id, identity=row.identity,
        digest=row.digest(), part=row.part,
        outcome=row.outcome, history=row.history, unclear=row.unclear,
        reachable=bool(row.candidate["primary_email"]), source=row.source,
        interview=None if meeting is None else "past" if meeting.past else meeting.status,
    )  # fmt: skip


def shown(row: Row) -> dict[str, Any]:
    """A row as people check it."""
    person, meeting = row.candidate, row.interview
    kana = " ".join(filter(None, (person["family_name_kana"], person["given_name_kana"])))
    return {
        "row": row.number,
        "external_id": row.external_id,
        "name": person["display_name"],
        "kana": kana or None,
        "email": person["primary_email"],
        "phone": person["phones"][0]["value"] if person["phones"] else None,
        "job": row.job["title"],
        "department": row.job["department"],
        "stage": row.stage or None,
        "source": row.source,
        "applied_on": local_day(row.applied_at).isoformat() if row.applied_at else None,
        "interview_at": _utc(meeting.starts_at or meeting.ends_at) if meeting else None,
        "outcome": row.outcome,
        "decided_on": row.decided.day.isoformat() if row.decided else None,
        "history": row.history,
    }


def _utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _questions(reader: Reader, known_width: int) -> list[dict[str, Any]]:
    """What a person must say before this file may be taken over, and what they said."""
    marks, answers, found = reader.marks, reader.rules.answers, []
    for name, columns in reader.conflicts.items():
        found.append({"code": "column_twice", "field": name, "columns": columns, "count": 0,
                      "choices": [], "answer": None})  # fmt: skip
    if not reader.has("email", "phone", "application_id") and not reader.conflicts:
        found.append(_question("column_missing", 0, (), answers))
    if marks.lost_order or "date_order" in answers:
        found.append(_question("date_order", marks.lost_order, ("mdy", "dmy"), answers))
    if marks.lost_zero:
        found.append(_question("leading_zero", marks.lost_zero, ("restore", "keep"), answers))
    width = known_width or max(marks.zero_widths, default=0)
    shorter = sum(count for length, count in marks.id_widths.items() if length < width)
    if shorter:
        found.append({**_question("id_width", shorter, (str(width), "0"), answers), "width": width})
    if marks.undated:
        found.append(_question("undated_rejections", marks.undated, ("history", "now"), answers))
    return found


def _question(
    code: str, count: int, choices: Sequence[str], answers: Mapping[str, str]
) -> dict[str, Any]:
    said = answers.get(code)
    return {"code": code, "field": None, "columns": [], "count": count, "choices": list(choices),
            "answer": said if said in choices else None}  # fmt: skip


def _words(counted: Counter[str], known: Mapping[str, str], suggest: Any) -> list[dict[str, Any]]:
    meanings = by_plain(known)
    return [
        {
            "word": word,
            "count": count,
            "meaning": meanings.get(plain(word)),
            "suggestion": suggest(word),
        }
        for word, count in counted.most_common(MOST_WORDS)
    ]
