"""The pages of disputes: what is not agreed, whose turn it is, and what both sides have said."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.deps import Db, Kit, Now
from api.page_forms import Refilled
from api.rooms import ROOMS, Before, Done, LedgerForm, Room, people
from api.session import SignedIn
from domain.business_days import local_day
from domain.credits import Credit
from domain.dispute import REASONS, Dispute, DisputeNote, is_open
from domain.errors import NotFound
from domain.flows.earn import dispute_credit as flow
from domain.flows.earn.dispute_credit import Matter
from domain.ids import is_id, pattern
from domain.placement import Placement
from domain.ports import Sealer, Tools
from domain.relay import Relay
from domain.views import ledger_lists as view

router = APIRouter(include_in_schema=False)

DisputeId = Annotated[str, Path(pattern=pattern("dsp"))]
_LONGEST = 4000
_FITTING = {
    "placement": ("not_started", "wrong_start", "wrong_person", "terms", "other"),
    "early_leave": ("wrong_leave", "wrong_person", "terms", "other"),
    "already_registered": ("not_known_before", "wrong_person", "other"),
    "credit": ("terms", "wrong_start", "wrong_leave", "other"),
}
"""The reasons that can be meant by a subject."""


def _doors(room: Room) -> APIRouter:  # noqa: C901 - one function per door, none of them branches
    doors = APIRouter(prefix=f"{room.home}/disputes")
    Reads = Annotated[SignedIn, room.reader]  # noqa: N806 - a type, made for this room
    Writes = Annotated[SignedIn, room.writer]  # noqa: N806

    @doors.get("")
    async def list_disputes(
        *, request: Request, person: Reads, db: Db, before: Before = None
    ) -> Response:
        """Disputes, newest first; for HR also the declarations that may be disputed."""
        owner = await room.enter(db, person)
        rows = await view.disputes(db, room.party, owner, before=before)
        declared = await view.declared(db, owner) if room.party == "company" else []
        return room.page(
            request, person, "disputes", Refilled(),
            rows=rows, declared=declared, turn=lambda row: _turn(room, row),
            others=await view.counterparts(db, room.party, owner),
            following=rows[-1].id if len(rows) == view.PAGE else None,
        )  # fmt: skip

    @doors.get("/new")
    async def new_dispute(
        *,
        request: Request,
        person: Writes,
        db: Db,
        credit: Annotated[str, Query(pattern=f"{pattern('crd')}|^$")] = "",
        placement: Annotated[str, Query(pattern=f"{pattern('plc')}|^$")] = "",
        relay: Annotated[str, Query(pattern=f"{pattern('rly')}|^$")] = "",
    ) -> Response:
        """The form to open a dispute about a credit, a placement or a declaration."""
        about = {"credit_id": credit, "placement_id": placement, "relay_id": relay}
        return await _new_page(room, request, person, db, about, Refilled())

    @doors.post("")
    async def open_dispute(
        *, request: Request, person: Writes, db: Db, tools: Kit, now: Now
    ) -> Response:
        """Open it: the credits concerned are frozen at once."""
        form = await LedgerForm.read(
            request, "open", "open-note",
            "credit_id", "placement_id", "relay_id", "subject", "reason", "note",
        )  # fmt: skip
        values = form.values
        about = {one: values[one] for one in ("credit_id", "placement_id", "relay_id")}
        if values["subject"] not in _FITTING:
            form.control = "open-subject"
            form.refuse("subject_missing")
        elif values["reason"] not in REASONS:
            form.control = "open-reason"
            form.refuse("reason_missing")
        elif not 1 <= len(values["note"]) <= _LONGEST:
            form.refuse("note_missing")
        else:
            there = await _about(room, person, db, about)
            company_id, agency_id = there.company_id, there.agency_id
            await form.run(
                db,
                lambda: flow.open_dispute(
                    db, tools, company_id, agency_id, _matter(values, there),
                    party=room.party, actor=person.member_id, now=now,
                ),
            )  # fmt: skip
        if form.refilled is None:
            return room.to(f"/disputes/{form.result.id}", "dispute_opened")
        return await _new_page(room, request, person, db, about, form.refilled)

    @doors.get("/{dispute_id}")
    async def read_dispute(
        *,
        dispute_id: DisputeId,
        request: Request,
        person: Reads,
        db: Db,
        tools: Kit,
        now: Now,
        done: Done = "",
    ) -> Response:
        """One dispute: what it is about, where it stands, and everything that was said."""
        return await _page(
            room, request, person, db, tools, dispute_id=dispute_id, now=now, done=done
        )

    @doors.get("/{dispute_id}/concede")
    async def confirm_concession(
        *, dispute_id: DisputeId, request: Request, person: Writes, db: Db
    ) -> Response:
        """What giving way means, before it is done."""
        row = await room.row(db, person, Dispute, dispute_id)
        await room.enter(db, person)
        return room.page(request, person, "dispute_concede", Refilled(), dispute=row)

    @doors.post("/{dispute_id}/concede")
    async def concede(
        *, dispute_id: DisputeId, request: Request, person: Writes, db: Db, tools: Kit, now: Now
    ) -> Response:
        """Give way: it is decided against one's own side, for good."""
        row = await room.row(db, person, Dispute, dispute_id)
        company_id = row.company_id
        form = await LedgerForm.read(request, "concede", "concede")
        await form.run(
            db,
            lambda: flow.concede(
                db, tools, company_id, dispute_id,
                party=room.party, actor=person.member_id, now=now,
            ),
        )  # fmt: skip
        return await _to_dispute(
            room, request, person, db, tools, dispute_id=dispute_id, now=now, form=form,
            done="dispute_conceded",
        )  # fmt: skip

    @doors.post("/{dispute_id}/notes")
    async def add_note(
        *, dispute_id: DisputeId, request: Request, person: Writes, db: Db, tools: Kit, now: Now
    ) -> Response:
        """Answer, or bring evidence."""
        return await _say(room, request, person, db, tools, dispute_id, "note", now)

    @doors.post("/{dispute_id}/appeal")
    async def appeal(
        *, dispute_id: DisputeId, request: Request, person: Writes, db: Db, tools: Kit, now: Now
    ) -> Response:
        """Ask for a second decision by somebody else."""
        return await _say(room, request, person, db, tools, dispute_id, "appeal", now)

    return doors


async def _say(  # noqa: PLR0917 - the door's own needs, in its own order
    room: Room, request: Request, person: SignedIn, db: AsyncSession, tools: Tools,
    dispute_id: str, name: str, now: datetime,
) -> Response:  # fmt: skip
    row = await room.row(db, person, Dispute, dispute_id)
    company_id = row.company_id
    form = await LedgerForm.read(request, name, f"{name}-note", "note")
    words = form.values["note"]
    act = flow.appeal if name == "appeal" else flow.say
    if not 1 <= len(words) <= _LONGEST:
        form.refuse("note_missing")
    else:
        await form.run(
            db,
            lambda: act(
                db, tools, company_id, dispute_id, words,
                party=room.party, actor=person.member_id, now=now,
            ),
        )  # fmt: skip
    return await _to_dispute(
        room, request, person, db, tools, dispute_id=dispute_id, now=now, form=form,
        done="dispute_appealed" if name == "appeal" else "dispute_noted",
    )  # fmt: skip


async def _to_dispute(
    room: Room, request: Request, person: SignedIn, db: AsyncSession, tools: Tools, *,
    dispute_id: str, now: datetime, form: LedgerForm, done: str,
) -> Response:  # fmt: skip
    if form.refilled is None:
        return room.to(f"/disputes/{dispute_id}", done)
    return await _page(
        room, request, person, db, tools, dispute_id=dispute_id, now=now, again=form.refilled
    )


async def _page(
    room: Room, request: Request, person: SignedIn, db: AsyncSession, tools: Tools, *,
    dispute_id: str, now: datetime, done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    row = await room.row(db, person, Dispute, dispute_id)
    notes = await _notes(db, tools.sealer, row)
    await room.enter(db, person)
    names = await people(db, tools.sealer, [note.actor for note, _ in notes])
    others = await view.counterparts(db, room.party, room.owner(person))
    return room.page(
        request, person, "dispute", again or Refilled(),
        dispute=row, notes=notes, names=names, turn=_turn(room, row), is_open=is_open(row.state),
        other=others[row.agency_id if room.party == "company" else row.company_id],
        may_appeal=row.state == "decided" and row.outcome != f"for_{room.party}",
        late=row.due_on < local_day(now), done=done,
    )  # fmt: skip


async def _notes(db: AsyncSession, sealer: Sealer, row: Dispute) -> list[tuple[DisputeNote, str]]:
    wanted = (
        select(DisputeNote)
        .where(col(DisputeNote.company_id) == row.company_id, col(DisputeNote.dispute_id) == row.id)
        .order_by(col(DisputeNote.id))
    )
    return [
        (one, sealer.open(one.sealed, about=f"dispute-note:{one.id}").decode())
        for one in (await db.scalars(wanted)).all()
    ]


async def _new_page(  # noqa: PLR0917 - the page's own needs, in its own order
    room: Room, request: Request, person: SignedIn, db: AsyncSession, about: dict[str, str],
    again: Refilled,
) -> Response:  # fmt: skip
    row = await _about(room, person, db, about)
    company_id, agency_id = row.company_id, row.agency_id
    subjects = await _subjects(room, db, row)
    reasons = [one for one in REASONS if any(one in _FITTING[subject] for subject in subjects)]
    await room.enter(db, person)
    others = await view.counterparts(db, room.party, room.owner(person))
    return room.page(
        request, person, "dispute_new", again,
        about=about, row=row, subjects=subjects, reasons=reasons,
        other=others[agency_id if room.party == "company" else company_id],
    )  # fmt: skip


async def _about(room: Room, person: SignedIn, db: AsyncSession, about: dict[str, str]) -> Any:
    """What the dispute would be about; from here on the transaction works for its company."""
    kinds: tuple[tuple[str, Any, str], ...] = (
        ("credit_id", Credit, "crd"),
        ("placement_id", Placement, "plc"),
        ("relay_id", Relay, "rly"),
    )
    for name, kind, prefix in kinds:
        if is_id(about[name], prefix):
            return await room.row(db, person, kind, about[name])
    raise NotFound


async def _subjects(room: Room, db: AsyncSession, row: Any) -> list[str]:
    """What may be disputed about it by this side."""
    if isinstance(row, Relay):
        return ["already_registered"]
    found = ["credit"] if isinstance(row, Credit) else []
    placement = row if isinstance(row, Placement) else None
    if isinstance(row, Credit) and row.placement_id is not None:
        placement = await db.get(Placement, (row.company_id, row.placement_id))
    if placement is not None:
        found.append("placement")
        if placement.left_on is not None and room.party == "company":
            found.append("early_leave")
    return found


def _matter(values: dict[str, str], row: Any) -> Matter:
    subject, credit = values["subject"], isinstance(row, Credit)
    placement_id = row.placement_id if credit else values["placement_id"] or None
    return Matter(
        subject, values["reason"], values["note"],
        relay_id=row.id if isinstance(row, Relay) else None,
        placement_id=placement_id if subject in {"placement", "early_leave"} else None,
        credit_ids=[row.id] if credit and subject == "credit" else [],
    )  # fmt: skip


def _turn(room: Room, row: Any) -> str:
    """Whose turn it is: a word of the catalogue."""
    if row.state == "opened":
        return "theirs_to_answer" if row.opened_by == room.party else "yours_to_answer"
    if row.state == "evidence":
        return "both_to_show"
    if row.state == "decided":
        return "theirs_to_appeal" if row.outcome == f"for_{room.party}" else "yours_to_appeal"
    return "operators" if row.state == "appealed" else "over"


for one in ROOMS:
    router.include_router(_doors(one))
