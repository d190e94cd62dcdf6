"""A person's own notes after an interview. Nobody else's: never shown, never counted."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant

STAGES = ("first", "second", "final")
CHECKS = 5
THREE = 3
LONGEST = 2_000
"""Letters of one note."""
NOTES = ("questions", "reactions", "next")
LISTS = ("good", "improve")
ANSWERS = ("yes", "not_yet")
_NEVER_TYPED = {"Cs", "Co", "Cn"}
_WORDS = (
    ("final", ("最終", "役員", "社長", "final", "executive")),
    ("second", ("二次", "2次", "second", "2nd")),
    ("first", ("一次", "1次", "初回", "first", "1st")),
)  # fmt: skip
"""How companies call their stages. What says nothing is left to the person to choose."""


def stage_of(words: str) -> str | None:
    """Which checklist suits the stage an application reached; null where its name does not say."""
    plain = unicodedata.normalize("NFKC", words).casefold()
    return next((stage for stage, said in _WORDS if any(one in plain for one in said)), None)


def cleaned(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a form: known fields only, each note no longer than `LONGEST`.

    Keys: `stage` (the checklist shown last), `checks` (by stage, then answer by number of the
    question), `questions`, `reactions`, `next` (texts), `good`, `improve` (three lines each).
    """
    checks = {one: _answers(typed.get("checks", {}).get(one, {})) for one in STAGES}
    return {
        "stage": typed.get("stage") if typed.get("stage") in STAGES else None,
        "checks": {stage: answers for stage, answers in checks.items() if answers},
        **{name: _text(typed.get(name, "")) for name in NOTES},
        **{name: _three(typed.get(name, ())) for name in LISTS},
    }


def is_empty(notes: Mapping[str, Any]) -> bool:
    """Whether there is nothing in it worth keeping."""
    said = [notes["checks"], *(notes[name] for name in NOTES), *(notes[name] for name in LISTS)]
    return not any(any(one) if isinstance(one, list) else one for one in said)


def _answers(typed: Mapping[str, str]) -> dict[str, str]:
    numbers = map(str, range(1, CHECKS + 1))
    return {number: typed[number] for number in numbers if typed.get(number) in ANSWERS}


def _text(typed: str) -> str:
    lines = typed.replace("\r\n", "\n").replace("\r", "\n")
    kept = (
        one for one in lines
        if one in "\n\t" or unicodedata.category(one) not in {*_NEVER_TYPED, "Cc"}
    )  # fmt: skip
    return "".join(kept).strip()[:LONGEST]


def _three(typed: Sequence[str]) -> list[str]:
    """Three lines, whatever was sent."""
    return [*(" ".join(_text(one).split()) for one in typed[:THREE]), "", "", ""][:THREE]


class Reflection(Row, table=True):
    """The notes about one application, in one sealed document."""

    __tablename__ = "reflection"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "candidate_id"], ["candidate.company_id", "candidate.id"]
        ),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        Index("uq_reflection_application", "company_id", "application_id", unique=True),
        Index("ix_reflection_candidate", "company_id", "candidate_id"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str
    application_id: str
    sealed: bytes
    updated_at: datetime = instant()
    created_at: datetime = instant()
