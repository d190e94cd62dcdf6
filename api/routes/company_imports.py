"""Files of applications: for every system without an adapter, and for years that went before."""

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, HTTPException, Path, UploadFile
from fastapi.responses import Response
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api import imports as files
from api.auth import Caller, TokenFirst, company
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Once
from api.shapes import Cursor, Day, Limit, Page, Shape, Text, Utc, page_of
from domain.errors import NotFound
from domain.flows.hear import import_file
from domain.ids import pattern
from domain.import_words import FIELDS, PARTIES
from domain.imports import WILL, Import, ImportFault
from domain.ports import Tools
from domain.store import find
from domain.views.imports import faults
from integrations.tables import LARGEST

router = APIRouter(prefix="/v1/company/imports", tags=["imports"], route_class=TokenFirst)

Reader = Annotated[Caller, company("applications:read")]
Writer = Annotated[Caller, company("applications:write")]
ImportId = Annotated[str, Path(pattern=pattern("imp"))]


def _field(name: str) -> str:
    if name not in FIELDS:
        message = "not one of our fields"
        raise ValueError(message)
    return name


State = Literal["preview", "queued", "running", "done", "failed"]
FieldName = Annotated[str, Field(json_schema_extra={"enum": [*FIELDS]}), AfterValidator(_field)]
Word = Annotated[Text, Field(min_length=1, max_length=200)]
ColumnNumber = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}$")]
Source = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
Answer = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
_SHOWN = 200
"""Faults in the answer; `errors.csv` has them all."""


class FileOut(Shape):
    """The file as it was read."""

    name: str
    format: Literal["csv", "xlsx"]
    encoding: str | None = Field(description="`utf-8`, `utf-8-bom`, `utf-16` or `cp932`; CSV only")
    delimiter: str | None
    sheet: str | None
    size: int


class ColumnOut(Shape):
    """A column, counted from 1, and what it is taken for; null: it is not used."""

    column: int
    header: str
    field: FieldName | None


class FaultOut(Shape):
    """Why a row cannot be taken over. Rows are counted as a spreadsheet shows them."""

    row: int
    column: str | None = Field(description="The field")
    code: str


class QuestionOut(Shape):
    """What must be answered before the import may start. `column_twice`: by the mapping."""

    code: str
    field: FieldName | None
    columns: list[int]
    count: int = Field(description="Rows it is about")
    choices: list[str]
    answer: str | None
    width: int | None = Field(None, description="`id_width`: digits of the other numbers")


class WordOut(Shape):
    """A word of the file that needs a meaning, or has been given one."""

    word: str
    count: int
    meaning: str | None
    suggestion: str | None


class RowOut(Shape):
    """A row as it was understood."""

    row: int
    external_id: str | None
    name: str | None
    kana: str | None
    email: str | None
    phone: str | None
    job: str | None
    department: str | None
    stage: str | None
    source: str | None
    applied_on: str | None
    interview_at: str | None
    outcome: Literal["active", "rejected", "withdrawn", "hired"]
    decided_on: str | None
    history: bool


class WillOut(Shape):
    """What it will do, in applications. `tell`: rejections whose candidates will be told."""

    tell: int
    history: int = Field(description="Rejected before `history_before`: nobody is told")
    withdraw: int
    hire: int
    active: int
    interviews: int = Field(description="Interviews that count for a deadline")
    interviews_past: int = Field(description="Interviews left aside: long ago, or not held")
    unreachable: int = Field(description="Rejected, without an address")
    unclear: int = Field(description="Ended, nobody has told by whom: a person decides")
    unchanged: int = Field(description="Known already")


class ImportOut(Shape):
    """A file: how it is understood, what taking it over will do, how far it has got."""

    id: str
    state: State
    connection_id: str | None
    duplicate_of: str | None = Field(description="The same file was imported before")
    file: FileOut
    history_before: Day
    numbered: bool | None = Field(description="False: without numbers, rows get one made of them")
    columns: list[ColumnOut]
    sample: list[RowOut]
    outcome_words: list[WordOut]
    reason_words: list[WordOut]
    source_words: list[WordOut]
    questions: list[QuestionOut]
    will: WillOut
    rows_total: int
    rows_good: int
    rows_bad: int
    next_row: int
    done: int
    changed: int
    unchanged: int
    failed: int
    errors: list[FaultOut] = Field(description=f"The first {_SHOWN}; all in `errors.csv`")
    error: str | None
    created_at: Utc
    started_at: Utc | None
    finished_at: Utc | None


class ImportListed(Shape):
    """A file in the list."""

    id: str
    state: State
    connection_id: str | None
    duplicate_of: str | None
    rows_total: int
    done: int
    changed: int
    unchanged: int
    failed: int
    created_at: Utc
    finished_at: Utc | None


class ImportChange(Shape):
    """How the file is to be read. Entries are added to what was said before; null takes one back.

    `mapping`: column number → field, or null for a column that is not used.
    """

    mapping: Annotated[dict[ColumnNumber, FieldName | None], Field(max_length=200)] | None = None
    outcome_map: (
        Annotated[
            dict[Word, Literal["rejected", "withdrawn", "hired", "active", "ended"] | None],
            Field(max_length=500),
        ]
        | None
    ) = None
    reason_map: (
        Annotated[dict[Word, Literal[PARTIES] | None], Field(max_length=500)] | None  # type: ignore[valid-type]
    ) = None
    source_map: Annotated[dict[Word, Source | None], Field(max_length=500)] | None = None
    answers: (
        Annotated[
            dict[
                Literal["leading_zero", "id_width", "date_order", "undated_rejections"],
                Answer | None,
            ],
            Field(max_length=10),
        ]
        | None
    ) = None
    history_before: Day | None = None


class StartIn(Shape):
    """Whether rows that cannot be taken over are left out."""

    skip_bad: bool = False


@router.get("", responses=problems(401, 403, 422, 429))
async def list_imports(
    *, caller: Reader, db: Db, limit: Limit = 50, cursor: Cursor = None
) -> Page[ImportListed]:
    """Your files, newest first."""
    wanted = select(Import).where(col(Import.company_id) == caller.company_id)
    rows, following = await page_of(db, wanted, col(Import.id), cursor=cursor, limit=limit)
    return Page(data=[_listed(row) for row in rows], next_cursor=following)


@router.post("", status_code=201, responses=problems(400, 401, 403, 404, 409, 413, 422, 429))
async def create_import(
    *,
    file: Annotated[UploadFile, File(description="CSV or XLSX, at most 32 MiB and 100,000 rows")],
    caller: Writer,
    db: Db,
    tools: Kit,
    now: Now,
    once: Once,
    connection_id: Annotated[
        str | None,
        Form(pattern=pattern("ats"), description="The ATS the numbers are of, if connected"),
    ] = None,
) -> ImportOut:
    """Upload a file and see what it would do. Nothing is taken over before you start it."""

    async def run() -> ImportOut:
        made = await files.upload(
            db, tools, caller.company_id or "", await read_upload(file),
            name=file.filename or "", connection_id=connection_id or "", actor=caller.client_id,
            now=now,
        )  # fmt: skip
        return await _shown(db, tools, made)

    return await once(run)


@router.get("/{import_id}", responses=problems(401, 403, 404, 422, 429))
async def read_import(*, import_id: ImportId, caller: Reader, db: Db, tools: Kit) -> ImportOut:
    """One file: the preview, or how far it has got."""
    return await _shown(db, tools, await _mine(db, caller, import_id))


@router.patch("/{import_id}", responses=problems(400, 401, 403, 404, 409, 410, 422, 429))
async def change_import(
    *, import_id: ImportId, told: ImportChange, caller: Writer, db: Db, tools: Kit
) -> ImportOut:
    """Say how to read the file, and see the preview again."""
    run = await import_file.say(
        db, tools, caller.company_id or "", import_id,
        told=told.model_dump(exclude={"history_before"}, exclude_unset=True),
        history_before=told.history_before,
    )  # fmt: skip
    return await _shown(db, tools, await files.look(db, tools, run))


@router.post("/{import_id}/start", responses=problems(400, 401, 403, 404, 409, 422, 429))
async def start_import(
    *,
    import_id: ImportId,
    told: StartIn,
    caller: Writer,
    db: Db,
    tools: Kit,
    now: Now,
    once: Once,
) -> ImportOut:
    """Take the rows over, in the background; a failed import goes on where it stopped."""

    async def run() -> ImportOut:
        there = await import_file.start(
            db, caller.company_id or "", import_id, skip_bad=told.skip_bad, now=now
        )
        return await _shown(db, tools, there)

    return await once(run)


@router.delete("/{import_id}", status_code=204, responses=problems(401, 403, 404, 409, 422, 429))
async def delete_import(*, import_id: ImportId, caller: Writer, db: Db) -> None:
    """Forget a file that was not started."""
    await import_file.discard(db, caller.company_id or "", import_id)


@router.get(
    "/{import_id}/errors.csv",
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        **problems(401, 403, 404, 422, 429),
    },
)
async def read_errors(*, import_id: ImportId, caller: Reader, db: Db) -> Response:
    """Every row that cannot be, or was not, taken over: row, column, code. UTF-8 with BOM."""
    return errors_csv(await faults(db, await _mine(db, caller, import_id)))


async def read_upload(file: UploadFile) -> bytes:
    """The bytes of an upload that is not too large."""
    content = await file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise HTTPException(413, "At most 32 MiB", {"x-problem-code": "file_too_large"})
    return content


def errors_csv(
    found: Sequence[ImportFault],
    header: Sequence[str] = ("row", "column", "code"),
    say: Any = None,
) -> Response:
    """Faults as a table for a spreadsheet."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerow(header)
    for one in found:
        writer.writerow(say(one) if say is not None else (one.row, one.field, one.code))
    headers = {"content-disposition": 'attachment; filename="import-errors.csv"'}
    content = made.getvalue().encode("utf-8-sig")
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


async def _mine(db: AsyncSession, caller: Caller, import_id: str) -> Import:
    run = await find(db, Import, caller.company_id or "", import_id)
    if run is None:
        raise NotFound
    return run


async def _shown(db: AsyncSession, tools: Tools, run: Import) -> ImportOut:
    view = import_file.view_of(tools.sealer, run)
    plain = {
        name: getattr(run, name)
        for name in (
            "id", "state", "duplicate_of", "history_before", "rows_total", "rows_good", "rows_bad",
            "next_row", "done", "changed", "unchanged", "failed", "error", "created_at",
            "started_at", "finished_at",
        )
    }  # fmt: skip
    return ImportOut(
        **plain,
        connection_id=run.connection_id or None,
        file=FileOut(
            name=import_file.name_of(tools.sealer, run), format=run.format, encoding=run.encoding,
            delimiter=run.delimiter, sheet=view.get("sheet") or None, size=run.size,
        ),
        numbered=view.get("numbered"),
        columns=[
            ColumnOut(column=one["number"], header=one["header"], field=one["field"])
            for one in view.get("columns", [])
        ],
        sample=[RowOut(**one) for one in view.get("sample", [])],
        questions=[QuestionOut(**one) for one in run.questions],
        will=WillOut(**{name: run.will.get(name, 0) for name in WILL}),
        errors=[
            FaultOut(row=one.row, column=one.field or None, code=one.code)
            for one in await faults(db, run, limit=_SHOWN)
        ],
        **{
            name: [WordOut(**one) for one in view.get(name, [])]
            for name in ("outcome_words", "reason_words", "source_words")
        },
    )  # fmt: skip


def _listed(run: Import) -> ImportListed:
    plain = {name: getattr(run, name) for name in ImportListed.model_fields}
    return ImportListed(**{**plain, "connection_id": run.connection_id or None})
