"""HR's way in for files: upload, check, start, watch. Works without a script."""

import re
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api import imports as files
from api import uploads
from api.deps import Db, Kit, Now
from api.errors import status_of
from api.page_forms import Fault, Refilled
from api.pages import locale_of, page, words
from api.routes.company_imports import errors_csv
from api.routes.dashboard import Before
from api.session import SignedIn, signed_in
from domain.delivery import AtsConnection
from domain.errors import Conflict, Gone, Invalid, NotFound, Refusal
from domain.flows.hear import import_file
from domain.ids import is_id, pattern
from domain.import_words import FIELDS, OUTCOMES, PARTIES, SOURCES
from domain.imports import Import
from domain.ports import Tools
from domain.store import find
from domain.views import imports as view
from integrations.tables import LARGEST

router = APIRouter(prefix="/dashboard/imports", include_in_schema=False)

Reader = Annotated[SignedIn, signed_in("company")]
Actor = Annotated[SignedIn, signed_in("company", "recruiter", "head")]
ImportId = Annotated[str, Path(pattern=pattern("imp"))]
MEANINGS = {"outcome": OUTCOMES, "reason": PARTIES, "source": SOURCES}
_AREAS = ("imports",)
ROW_FAULTS = frozenset({
    "character_invalid", "digits_lost", "email_invalid", "phone_invalid", "date_invalid",
    "date_order", "date_in_the_future", "too_long", "word_unknown", "outcome_unknown",
    "nobody_named", "told_twice", "ends_before_it_begins", "already_ended", "row_broke",
})  # fmt: skip
_WORKING = ("queued", "running")
_SHOWN = 50
_COLUMN = re.compile(r"column\.([1-9][0-9]{0,2})")


@router.get("")
async def overview(
    *, request: Request, person: Reader, db: Db, tools: Kit, before: Before = None
) -> Response:
    """A file to upload, and those that were."""
    return await _overview(request, person, db, tools, before=before)


@router.post("")
async def upload(*, request: Request, person: Actor, db: Db, tools: Kit, now: Now) -> Response:
    """A file is looked at; nothing of it is taken over yet."""
    async with request.form() as form:
        chosen = str(form.get("connection_id", ""))
        file = await uploads.chosen(request, "file", LARGEST)
    if file is None:
        return await _refused_upload(request, person, db, tools, "file_missing", 422)
    if len(file.content) > LARGEST:
        return await _refused_upload(request, person, db, tools, "file_too_large", 413)
    try:
        async with db.begin_nested():
            made = await files.upload(
                db, tools, person.company_id or "", file.content,
                name=file.name, actor=person.member_id, now=now,
                connection_id=chosen if is_id(chosen, "ats") else "",
            )  # fmt: skip
    except (Invalid, NotFound) as refusal:
        return await _refused_upload(request, person, db, tools, refusal.code, status_of(refusal))
    return RedirectResponse(f"/dashboard/imports/{made.id}", 303)


@router.get("/{import_id}")
async def one(
    *, import_id: ImportId, request: Request, person: Reader, db: Db, tools: Kit
) -> Response:
    """The preview of a file, how far it has got, or what came of it."""
    return await _one(request, person, db, tools, import_id)


@router.post("/{import_id}/check")
async def check(
    *, import_id: ImportId, request: Request, person: Actor, db: Db, tools: Kit
) -> Response:
    """The person says how to read the file; it is looked at again."""
    form = await request.form()
    given = {name: str(value).replace("\x00", "") for name, value in form.multi_items()}
    company_id = person.company_id or ""
    run = await _mine(db, company_id, import_id)
    before = _day(given.get("history_before", ""))
    if before is None:
        fault = Fault("check", "history", "history_before_missing", areas=_AREAS)
        return await _one(request, person, db, tools, import_id, Refilled([fault], status=422))
    told = _told(import_file.view_of(tools.sealer, run), given)

    async def act() -> None:
        there = await import_file.say(
            db, tools, company_id, import_id, told=told, history_before=before
        )
        await files.look(db, tools, there)

    return await _acted(request, person, db, tools, import_id, act, "check")


@router.post("/{import_id}/start")
async def start(
    *, import_id: ImportId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Take the rows over."""
    form = await request.form()
    skip = form.get("skip_bad") == "yes"

    async def act() -> None:
        await import_file.start(db, person.company_id or "", import_id, skip_bad=skip, now=now)

    return await _acted(request, person, db, tools, import_id, act, "start")


@router.post("/{import_id}/discard")
async def discard(*, import_id: ImportId, person: Actor, db: Db) -> Response:
    """Forget the file."""
    await import_file.discard(db, person.company_id or "", import_id)
    return RedirectResponse("/dashboard/imports?done=discarded", 303)


@router.get("/{import_id}/errors.csv")
async def errors(*, import_id: ImportId, request: Request, person: Reader, db: Db) -> Response:
    """Every row that was not, or cannot be, taken over, in the person's language."""
    t = words(locale_of(request))
    run = await _mine(db, person.company_id or "", import_id)
    header = [t("imports.col_row"), t("imports.col_field"), t("imports.col_fault")]

    def say(fault: Any) -> tuple[int, str, str]:
        where = t(f"imports.field_{fault.field}") if fault.field else ""
        return fault.row, where, t(_row_words(fault.code))

    return errors_csv(await view.faults(db, run), header, say)


async def _acted(  # noqa: PLR0917 - the page's own needs, in its own order
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, import_id: str, act: Any,
    form: str,
) -> Response:  # fmt: skip
    try:
        async with db.begin_nested():
            await act()
    except (Conflict, Invalid, Gone) as refusal:
        again = Refilled([_fault(form, refusal)], status=status_of(refusal))
        return await _one(request, person, db, tools, import_id, again)
    return RedirectResponse(f"/dashboard/imports/{import_id}", 303)


def _fault(form: str, refusal: Refusal) -> Fault:
    control = {"questions_open": "questions", "rows_bad": "skip-bad"}.get(refusal.code, form)
    return Fault(form, control, refusal.code, areas=_AREAS)


async def _refused_upload(  # noqa: PLR0917 - as above
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, code: str, status: int
) -> Response:
    again = Refilled([Fault("upload", "file", code, areas=_AREAS)], status=status)
    return await _overview(request, person, db, tools, again=again)


async def _overview(
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    tools: Tools,
    *,
    before: str | None = None,
    again: Refilled | None = None,
) -> Response:
    company_id, again = person.company_id or "", again or Refilled()
    rows = await view.imports(db, company_id, before=before)
    wanted = select(AtsConnection).where(col(AtsConnection.company_id) == company_id)
    connections = (await db.scalars(wanted.order_by(col(AtsConnection.id)))).all()
    return page(
        request,
        "dashboard/imports.html",
        status=again.status,
        rows=rows,
        names={one.id: import_file.name_of(tools.sealer, one) for one in rows},
        connections=connections,
        following=rows[-1].id if len(rows) == view.PAGE else None,
        may_act=person.has("recruiter", "head"),
        discarded=request.query_params.get("done") == "discarded",
        again=again,
    )


async def _one(  # noqa: PLR0917 - as above
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    tools: Tools,
    import_id: str,
    again: Refilled | None = None,
) -> Response:
    again = again or Refilled()
    run = await _mine(db, person.company_id or "", import_id)
    return page(
        request,
        "dashboard/import_preview.html" if run.state == "preview" else "dashboard/import_run.html",
        status=again.status,
        run=run,
        name=import_file.name_of(tools.sealer, run),
        view=import_file.view_of(tools.sealer, run),
        faults=await view.faults(db, run, limit=_SHOWN),
        counts=await view.fault_counts(db, run),
        row_words=_row_words,
        fields=tuple(FIELDS),
        meanings=MEANINGS,
        working=run.state in _WORKING,
        may_act=person.has("recruiter", "head"),
        again=again,
    )


async def _mine(db: AsyncSession, company_id: str, import_id: str) -> Import:
    run = await find(db, Import, company_id, import_id)
    if run is None:
        raise NotFound
    return run


def _told(shown: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """What the form says. Words come by their place in the list that was shown."""
    told: dict[str, Any] = {"mapping": {}, "answers": {}}
    headers = {str(one["number"]): one["field"] for one in shown.get("columns", [])}
    for name, value in given.items():
        found = _COLUMN.fullmatch(name)
        if found is not None and found[1] in headers and value in {"", *FIELDS}:
            told["mapping"][found[1]] = value or None
        elif name.startswith("answer."):
            told["answers"][name.removeprefix("answer.")[:40]] = value[:40] or None
    for kind, allowed in MEANINGS.items():
        told[f"{kind}_map"] = {
            one["word"]: given[f"{kind}.{place}"] or None
            for place, one in enumerate(shown.get(f"{kind}_words", []))
            if given.get(f"{kind}.{place}") in {"", *allowed}
        }
    return told


def _row_words(code: str) -> str:
    return f"imports.row_{code if code in ROW_FAULTS else 'row_broke'}"


def _day(given: str) -> date | None:
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None
