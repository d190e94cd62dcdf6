"""The pages of free referral credits: how many there are, what each of them has lived through.

HR reserves, uses and gives back here; the agency sees the same and acts on what it reports.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.credit_words import sentence
from api.deps import Db, Now
from api.page_forms import Refilled
from api.pages import locale_of
from api.rooms import ROOMS, Before, Done, LedgerForm, Room, With, day, whole
from api.session import SignedIn
from domain.business_days import local_day
from domain.credits import Bucket
from domain.flows.earn import use_credit
from domain.ids import is_id, pattern
from domain.placement import EMPLOYMENT_TERMS
from domain.views import credits as credit_view
from domain.views import ledger_lists as view
from domain.views.credit_life import credit_lives

router = APIRouter(include_in_schema=False)

COMPANY, AGENCY = ROOMS
Actor = Annotated[SignedIn, COMPANY.writer]
ReservationId = Annotated[str, Path(pattern=pattern("rsv"))]
Shown = Annotated[Literal["all", "open", "used", "ended"], Query(alias="show")]
_LONGEST_OPENING = 200
_LONGEST_JOB = 100


def _doors(room: Room) -> APIRouter:
    doors = APIRouter(prefix=room.home)

    @doors.get("/credits")
    async def read_credits(
        *,
        request: Request,
        person: Annotated[SignedIn, room.reader],
        db: Db,
        now: Now,
        shown: Shown = "all",
        other: With = None,
        before: Before = None,
        done: Done = "",
    ) -> Response:
        """Balances, and every credit with its life in sentences."""
        return await credits_page(
            room, request, person, db, now=now, shown=shown, other=other, before=before, done=done
        )

    return doors


async def credits_page(
    room: Room,
    request: Request,
    person: SignedIn,
    db: AsyncSession,
    *,
    now: datetime,
    shown: str = "all",
    other: str | None = None,
    before: str | None = None,
    done: str = "",
    again: Refilled | None = None,
) -> Response:
    """The page of the credits, also with a form to correct."""
    owner, today = await room.enter(db, person), local_day(now)
    rows = await view.credit_rows(db, room.party, owner, shown=shown, other=other, before=before)
    steps = await credit_lives(db, [(row.company_id, row.id) for row in rows])
    locale = locale_of(request)
    return room.page(
        request, person, "credits", again or Refilled(),
        rows=rows,
        lives={one: [sentence(step, locale) for step in lived] for one, lived in steps.items()},
        state=lambda row: Bucket(row.bucket).name.lower(),
        others=await view.counterparts(db, room.party, owner),
        balances=await _balances(room, db, owner, today),
        asked_back=await view.asked_back(db, room.party, owner),
        terms=EMPLOYMENT_TERMS,
        filters=view.CREDIT_STATES,
        shown=shown,
        chosen=other,
        today=today,
        done=done,
        following=rows[-1].id if len(rows) == view.PAGE else None,
    )  # fmt: skip


async def _balances(room: Room, db: AsyncSession, owner: str, today: date) -> Any:
    if room.party == "company":
        return await credit_view.balances(db, owner, today=today)
    return await credit_view.balances(db, agency_id=owner, today=today)


@router.post("/dashboard/credits/reserve")
async def reserve(*, request: Request, person: Actor, db: Db, now: Now) -> Response:
    """Hold a credit for an opening."""
    form = await LedgerForm.read(
        request, "reserve", "reserve-opening",
        "agency_id", "opening", "job_type", "employment_term", "annual_salary",
    )  # fmt: skip
    salary = _salary(form, "reserve-salary")
    opening = _opening(form, salary)
    if opening is not None:
        await form.run(
            db,
            lambda: use_credit.reserve(
                db, person.company_id or "", agency_id=form.values["agency_id"],
                opening=opening, actor=person.member_id, now=now,
            ),
        )  # fmt: skip
    return await _to_credits(request, person, db, now, form, "reserved")


@router.post("/dashboard/credits/reservations/{reservation_id}/release")
async def release(
    *, reservation_id: ReservationId, request: Request, person: Actor, db: Db, now: Now
) -> Response:
    """Give a held credit back."""
    form = await LedgerForm.read(request, f"hold-{reservation_id}", f"use-{reservation_id}")
    await form.run(
        db,
        lambda: use_credit.release(
            db, person.company_id or "", reservation_id, actor=person.member_id, now=now
        ),
    )
    return await _to_credits(request, person, db, now, form, "released")


@router.post("/dashboard/credits/reservations/{reservation_id}/use")
async def use(
    *, reservation_id: ReservationId, request: Request, person: Actor, db: Db, now: Now
) -> Response:
    """The hire was made: the credit is spent."""
    form = await LedgerForm.read(
        request, f"hold-{reservation_id}", f"use-{reservation_id}", "hired_on", "annual_salary"
    )
    hired_on, salary = day(form.values["hired_on"]), _salary(form, f"salary-{reservation_id}")
    if form.refilled is None and hired_on is None:
        form.refuse("hired_on_missing")
    elif form.refilled is None and hired_on is not None:
        await form.run(
            db,
            lambda: use_credit.use(
                db, person.company_id or "", reservation_id, hired_on=hired_on,
                annual_salary_jpy=salary, actor=person.member_id, now=now,
            ),
        )  # fmt: skip
    return await _to_credits(request, person, db, now, form, "used")


@router.post("/dashboard/credits/reservations/{reservation_id}/early-leave")
async def leave_early(
    *, reservation_id: ReservationId, request: Request, person: Actor, db: Db, now: Now
) -> Response:
    """The person hired with the credit left inside the guarantee: it comes back."""
    form = await LedgerForm.read(
        request, f"left-{reservation_id}", f"left-{reservation_id}", "last_day_employed"
    )
    last = day(form.values["last_day_employed"])
    if last is None:
        form.refuse("last_day_missing")
    else:
        await form.run(
            db,
            lambda: use_credit.restore(
                db, person.company_id or "", reservation_id,
                last_day_employed=last, actor=person.member_id, now=now,
            ),
        )  # fmt: skip
    return await _to_credits(request, person, db, now, form, "restored")


def _salary(form: LedgerForm, control: str) -> int | None:
    """The annual salary, where one was given; a slip in it is refused."""
    given = form.values["annual_salary"]
    found = whole(given)
    if given and found is None:
        form.control = control
        form.refuse("salary_unreadable")
    return found


def _opening(form: LedgerForm, salary: int | None) -> use_credit.Opening | None:
    """What HR wants to fill; nothing when the form has to be corrected first."""
    values = form.values
    if form.refilled is not None:
        return None
    if not is_id(values["agency_id"], "agy"):
        form.control = "reserve-agency"
        form.refuse("agency_missing")
        return None
    if (
        not 1 <= len(values["opening"]) <= _LONGEST_OPENING
        or len(values["job_type"]) > _LONGEST_JOB
    ):
        form.refuse("opening_missing")
        return None
    term = values["employment_term"]
    return use_credit.Opening(
        values["opening"], values["job_type"] or None,
        term if term in EMPLOYMENT_TERMS else None, salary,
    )  # fmt: skip


async def _to_credits(  # noqa: PLR0917 - the page's own needs, in its own order
    request: Request, person: SignedIn, db: Any, now: Any, form: LedgerForm, done: str
) -> Response:
    if form.refilled is None:
        return COMPANY.to("/credits", done)
    return await credits_page(COMPANY, request, person, db, now=now, again=form.refilled)


for one in ROOMS:
    router.include_router(_doors(one))
