"""The pages of corrections by hand: two people of one side ask, the other side agrees."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.deps import Db, Kit, Now
from api.page_forms import Refilled
from api.rooms import ROOMS, Before, Done, LedgerForm, Room, With, day, people, whole
from api.session import SignedIn
from domain.adjustment import KINDS, MOST_AT_ONCE, REASONS, Adjustment, needs_other
from domain.business_days import local_day
from domain.credits import Bucket
from domain.dispute import Dispute
from domain.flows.earn import adjust_credits as flow
from domain.flows.earn.adjust_credits import Wish
from domain.ids import is_id, pattern
from domain.ports import Tools
from domain.views import ledger_lists as view
from domain.views.ledger_lists import PAGE

router = APIRouter(include_in_schema=False)

AdjustmentId = Annotated[str, Path(pattern=pattern("adj"))]
Kind = Literal["issue", "take", "extend", "settle"]
Answer = Literal["approve", "agree", "decline", "cancel"]
_LONGEST = 2000
_MOST_LISTED = 200
_FITTING = {
    "take": (Bucket.PENDING, Bucket.AVAILABLE), "extend": (Bucket.AVAILABLE, Bucket.RESERVED),
}  # fmt: skip


def _doors(room: Room) -> APIRouter:  # noqa: C901 - one function per door, none of them branches
    doors = APIRouter(prefix=f"{room.home}/corrections")
    Reads = Annotated[SignedIn, room.reader]  # noqa: N806 - a type, made for this room
    Agrees = Annotated[SignedIn, room.head]  # noqa: N806

    @doors.get("")
    async def list_corrections(
        *,
        request: Request,
        person: Reads,
        db: Db,
        tools: Kit,
        before: Before = None,
        done: Done = "",
    ) -> Response:
        """Corrections asked for, newest first, and whose turn it is."""
        return await _page(room, request, person, db, tools, before=before, done=done)

    @doors.get("/new")
    async def new_correction(
        *,
        request: Request,
        person: Agrees,
        db: Db,
        now: Now,
        kind: Annotated[Kind, Query()] = "issue",
        other: With = None,
    ) -> Response:
        """The form to ask for a correction of one kind."""
        return await _new_page(room, request, person, db, kind=kind, other=other, now=now)

    @doors.post("")
    async def request_correction(
        *, request: Request, person: Agrees, db: Db, tools: Kit, now: Now
    ) -> Response:
        """Ask for it. Nothing moves before everybody who must has agreed."""
        form = await LedgerForm.read(
            request, "ask", "ask-note",
            "kind", "other", "count", "expires_on", "reason", "note", "dispute_id",
            many=("credit_ids",),
        )  # fmt: skip
        kind = form.values["kind"] if form.values["kind"] in KINDS else "issue"
        other = form.values["other"]
        wish = _wish(form, kind)
        if wish is not None:
            pair = await room.with_other(db, person, other)
            company_id, agency_id = pair.company_id, pair.agency_id
            await form.run(
                db,
                lambda: flow.request_adjustment(
                    db, tools, company_id, agency_id, wish,
                    party=room.party, actor=person.member_id, now=now,
                ),
            )  # fmt: skip
        if form.refilled is None:
            return room.to("/corrections", "correction_asked")
        return await _new_page(
            room, request, person, db, kind=kind, other=other, now=now, again=form.refilled
        )

    @doors.post("/{adjustment_id}/{answer}")
    async def answer_correction(
        *,
        adjustment_id: AdjustmentId,
        answer: Annotated[Answer, Path()],
        request: Request,
        person: Agrees,
        db: Db,
        tools: Kit,
        now: Now,
    ) -> Response:
        """Approve as the second of one's own side, agree as the other; decline, cancel."""
        row = await room.row(db, person, Adjustment, adjustment_id)
        company_id = row.company_id
        form = await LedgerForm.read(request, f"answer-{adjustment_id}", f"answer-{adjustment_id}")
        facts: dict[str, Any] = {"party": room.party, "now": now}

        async def act() -> Adjustment:
            if answer == "approve":
                return await flow.approve(
                    db, tools, company_id, adjustment_id, actor=person.member_id, **facts
                )
            if answer == "agree":
                return await flow.agree(
                    db, company_id, adjustment_id, actor=person.member_id, **facts
                )
            return await flow.refuse(db, company_id, adjustment_id, step=answer, **facts)

        await form.run(db, act)
        if form.refilled is None:
            posted = form.result.state == "posted"
            return room.to(
                "/corrections", "correction_posted" if posted else f"correction_{answer}"
            )
        return await _page(room, request, person, db, tools, again=form.refilled)

    return doors


async def _page(
    room: Room, request: Request, person: SignedIn, db: AsyncSession, tools: Tools, *,
    before: str | None = None, done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    owner = await room.enter(db, person)
    wanted = select(Adjustment).where(getattr(Adjustment, f"{room.party}_id") == owner)
    if before is not None:
        wanted = wanted.where(col(Adjustment.id) < before)
    rows = (await db.scalars(wanted.order_by(col(Adjustment.id).desc()).limit(PAGE))).all()
    actors = [one for row in rows for one in (row.requested_by, row.approved_by, row.agreed_by)]
    return room.page(
        request, person, "corrections", again or Refilled(),
        rows=rows,
        notes={
            row.id: tools.sealer.open(row.note, about=f"adjustment:{row.id}").decode()
            for row in rows
        },
        turn=lambda row: _turn(room, person, row),
        others=await view.counterparts(db, room.party, owner),
        names=await people(db, tools.sealer, actors),
        following=rows[-1].id if len(rows) == PAGE else None,
        done=done,
    )  # fmt: skip


async def _new_page(
    room: Room, request: Request, person: SignedIn, db: AsyncSession, *,
    kind: str, other: str | None, now: datetime, again: Refilled | None = None,
) -> Response:  # fmt: skip
    owner = await room.enter(db, person)
    others = await view.counterparts(db, room.party, owner)
    chosen = others.get(other or "") or next(iter(others.values()), None)
    listed: list[Any] = []
    decided: Sequence[Dispute] = []
    if chosen is not None:
        found = await view.credit_rows(db, room.party, owner, other=chosen.id, limit=_MOST_LISTED)
        listed = [row for row in found if _fits(kind, row)]
        decided = await _decided(room, db, owner, chosen.id)
    return room.page(
        request, person, "correction_new", again or Refilled(),
        kind=kind, kinds=KINDS, others=others, chosen=chosen, credits=listed, decided=decided,
        reasons=REASONS, most=MOST_AT_ONCE, today=local_day(now),
        asks_other=needs_other(kind, room.party),
        state=lambda row: Bucket(row.bucket).name.lower(),
        ticked=(again.values.get("ask.credit_ids", "") if again else "").split(),
    )  # fmt: skip


async def _decided(room: Room, db: AsyncSession, owner: str, other: str) -> Sequence[Dispute]:
    """Disputes decided for this side: they take the place of the other side's yes."""
    wanted = select(Dispute).where(
        getattr(Dispute, f"{room.party}_id") == owner,
        getattr(Dispute, f"{room.other}_id") == other,
        col(Dispute.state) == "final",
        col(Dispute.outcome) == f"for_{room.party}",
    )
    return (await db.scalars(wanted.order_by(col(Dispute.id).desc()).limit(PAGE))).all()


def _fits(kind: str, row: Any) -> bool:
    """Whether this could be done to the credit as it stands."""
    return bool(row.owed) if kind == "settle" else Bucket(row.bucket) in _FITTING.get(kind, ())


def _wish(form: LedgerForm, kind: str) -> Wish | None:
    """What is asked for; nothing when the form has to be corrected first."""
    values = form.values
    count, expires_on = whole(values["count"], most=MOST_AT_ONCE), day(values["expires_on"])
    chosen = [one for one in form.chosen("credit_ids") if is_id(one, "crd")]
    faults = (
        (not is_id(values["other"], "(cmp|agy)"), "ask-other", "other_missing"),
        (kind == "issue" and not count, "ask-count", "count_missing"),
        (kind != "issue" and not chosen, "ask-credits", "credits_missing"),
        (kind == "extend" and expires_on is None, "ask-day", "expires_missing"),
        (values["reason"] not in REASONS, "ask-reason", "reason_missing"),
        (not 1 <= len(values["note"]) <= _LONGEST, "ask-note", "correction_note_missing"),
    )
    for wrong, control, code in faults:
        if wrong:
            form.control = control
            form.refuse(code)
            return None
    dispute = values["dispute_id"]
    return Wish(
        kind, values["reason"], values["note"],
        count=count if kind == "issue" else None,
        credit_ids=[] if kind == "issue" else chosen,
        expires_on=expires_on if kind == "extend" else None,
        dispute_id=dispute if is_id(dispute, "dsp") else None,
    )  # fmt: skip


def _turn(room: Room, person: SignedIn, row: Adjustment) -> str:
    """What the person in front of it can do, or what it waits for: a word of the catalogue."""
    own = row.party == room.party
    if row.state == "requested":
        if not own:
            return "their_approval"
        return "other_person" if row.requested_by == person.member_id else "approve"
    if row.state == "approved":
        return "their_assent" if own else "agree"
    return "ended"


for one in ROOMS:
    router.include_router(_doors(one))
