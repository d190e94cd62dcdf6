"""A file of applications on its way in: looked at first, taken over row by row, then forgotten."""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Date, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of
from domain.errors import StepNotAllowed

STATES = ("preview", "queued", "running", "done", "failed")
NEXT = {
    ("preview", "start"): "queued",
    ("failed", "start"): "queued",
    ("queued", "work"): "running",
    ("running", "work"): "running",
    ("queued", "finish"): "done",
    ("running", "finish"): "done",
    ("queued", "fail"): "failed",
    ("running", "fail"): "failed",
}
KEPT_UNSTARTED = timedelta(days=7)
"""How long a file nobody started, or that failed, is kept."""
ASK_AGAIN_AFTER = timedelta(seconds=60)
"""An import without news for this long lost its worker: the sweep asks again."""
PART_BYTES = 1024 * 1024
WILL = (
    "tell", "history", "withdraw", "hire", "active", "interviews", "interviews_past",
    "unreachable", "unclear", "unchanged",
)  # fmt: skip
"""What an import will do, in numbers of rows."""


def advance(state: str, step: str) -> str:
    """The state after a step. Raises `StepNotAllowed`."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


class Import(Row, table=True):
    """One uploaded file and how far it has got. `next_row` is the first row not taken over yet.

    What may speak of people is sealed: the file's name, what was said about it (`rules` has its
    words), how it was understood (`view` has rows of it). Rules and view go with the file.
    """

    __tablename__ = "import_run"
    __table_args__ = (
        one_of("state", STATES),
        Index("ix_import_run_file_key", "company_id", "file_key"),
        Index("ix_import_run_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    state: str = "preview"
    connection_id: str = ""
    file_key: bytes
    name: bytes
    format: str
    encoding: str | None = None
    delimiter: str | None = None
    size: int
    rules: bytes | None = None
    view: bytes | None = None
    history_before: date = Field(sa_type=Date)
    questions: list[dict[str, Any]] = document(default_factory=list)
    will: dict[str, int] = document(default_factory=dict)
    rows_total: int = 0
    rows_good: int = 0
    rows_bad: int = 0
    skip_bad: bool = False
    next_row: int = 0
    done: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    error: str | None = None
    actor: str
    duplicate_of: str | None = None
    created_at: datetime = instant()
    started_at: datetime | None = instant(default=None)
    finished_at: datetime | None = instant(default=None)
    look_at: datetime | None = instant(default=None)

    @property
    def open_questions(self) -> list[str]:
        """The questions without an answer: none may be left when it starts."""
        return [one["code"] for one in self.questions if one["answer"] is None]


class ImportPart(Row, table=True):
    """A piece of an uploaded file, sealed. Gone when the file was taken over or given up."""

    __tablename__ = "import_part"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "import_id"], ["import_run.company_id", "import_run.id"]
        ),
    )

    company_id: str = Field(primary_key=True)
    import_id: str = Field(primary_key=True)
    part: int = Field(primary_key=True)
    sealed: bytes


class ImportFault(Row, table=True):
    """What is wrong with a row: its number, the field and a code; never what stands there."""

    __tablename__ = "import_fault"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "import_id"], ["import_run.company_id", "import_run.id"]
        ),
    )

    company_id: str = Field(primary_key=True)
    import_id: str = Field(primary_key=True)
    row: int = Field(primary_key=True)
    field: str = Field(primary_key=True)
    code: str = Field(primary_key=True)


class ImportRow(Row, table=True):
    """What was last taken over about an application: the same row again is passed over quickly.

    `part` names the interview where a file has a row for each. The digest is keyed.
    """

    __tablename__ = "import_row"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
    )

    company_id: str = Field(primary_key=True)
    application_id: str = Field(primary_key=True)
    part: str = Field(primary_key=True)
    digest: bytes
