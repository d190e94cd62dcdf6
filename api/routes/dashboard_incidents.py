"""Incidents: what happened, what is owed to the commission and to the people, and by when."""

from datetime import datetime, time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.deps import Db, Kit, Now
from api.officer_room import Done, Officer, PrivacyForm, show, to
from api.page_forms import Refilled
from api.rooms import people as names_of_people
from api.rooms import whole
from api.routes.dashboard import Before
from api.session import SignedIn
from domain.business_days import JST, local_day
from domain.errors import NotFound
from domain.flows.office import report_incident as flow
from domain.flows.office.open_incident import LONGEST_ITEM, Report, items_of, open_incident
from domain.ids import pattern
from domain.incident import ITEMS, KINDS, MANY, TO_PEOPLE, Incident, IncidentEvent, due_days
from domain.ports import Tools
from domain.store import find

router = APIRouter(prefix="/dashboard/privacy/incidents", include_in_schema=False)

IncidentId = Annotated[str, Path(pattern=pattern("inc"))]
TICKED = tuple(kind for kind in KINDS if kind != "over_1000_persons")
"""The fourth kind is counted from the number of people."""
_PAGE = 50
_FIELDS = ("known_on", "known_time", "encrypted", "persons", *(f"item_{one}" for one in ITEMS))


@router.get("")
async def list_incidents(
    *, request: Request, person: Officer, db: Db, now: Now, before: Before = None
) -> Response:
    """Every incident, newest first, with the days that are left."""
    wanted = select(Incident).where(col(Incident.company_id) == person.company_id)
    if before is not None:
        wanted = wanted.where(col(Incident.id) < before)
    rows = (await db.scalars(wanted.order_by(col(Incident.id).desc()).limit(_PAGE))).all()
    return show(
        request, "privacy", "incidents", rows=rows, today=local_day(now), days=due_days,
        following=rows[-1].id if len(rows) == _PAGE else None,
    )  # fmt: skip


@router.get("/new")
async def new_incident(*, request: Request, person: Officer, now: Now) -> Response:
    """The form to register one."""
    del person
    return _new(request, now)


@router.post("")
async def open_one(*, request: Request, person: Officer, db: Db, tools: Kit, now: Now) -> Response:
    """It is registered: the clocks begin with the day of knowing."""
    form = await PrivacyForm.read(request, "incident", "incident-known", *_FIELDS, many=("kinds",))
    report = _report(form, now)
    if report is not None:
        known = report
        await form.run(
            db,
            lambda: open_incident(
                db, tools, person.company_id or "", known, actor=person.member_id, now=now
            ),
        )
    if form.refilled is None:
        return to(f"/incidents/{form.result.id}", "incident_opened")
    return _new(request, now, again=form.refilled)


@router.get("/{incident_id}")
async def one_incident(
    *, incident_id: IncidentId, request: Request, person: Officer, db: Db, tools: Kit, now: Now,
    done: Done = "",
) -> Response:  # fmt: skip
    """What is known of it, its days, and what was done."""
    return await _one(request, person, db, tools, now, incident_id=incident_id, done=done)


@router.post("/{incident_id}")
async def amend(
    *, incident_id: IncidentId, request: Request, person: Officer, db: Db, tools: Kit, now: Now
) -> Response:
    """More is known."""
    form = await PrivacyForm.read(
        request, "incident", "incident-persons", *_FIELDS, many=("kinds",)
    )
    row = await find(db, Incident, person.company_id or "", incident_id)
    if row is None:
        raise NotFound
    report = _report(form, now, known_at=row.known_at)
    if report is not None:
        known = report
        await form.run(
            db,
            lambda: flow.amend(
                db, tools, row.company_id, incident_id, known, actor=person.member_id, now=now
            ),
        )
    if form.refilled is None:
        return to(f"/incidents/{incident_id}", "incident_amended")
    return await _one(request, person, db, tools, now, incident_id=incident_id, again=form.refilled)


@router.post("/{incident_id}/{step}")
async def take_step(
    *,
    incident_id: IncidentId,
    step: Annotated[Literal["preliminary", "final", "told"], Path()],
    request: Request,
    person: Officer,
    db: Db,
    tools: Kit,
    now: Now,
) -> Response:
    """A report was made, or the people concerned were told."""
    form = await PrivacyForm.read(request, f"step-{step}", f"step-{step}", "sure")
    company_id, actor = person.company_id or "", person.member_id

    async def act() -> Incident:
        if step == "told":
            return await flow.people_told(db, company_id, incident_id, actor=actor, now=now)
        return await flow.reported(db, tools, company_id, incident_id, step, actor=actor, now=now)

    if step == "final" and form.values["sure"] != "yes":
        form.refuse_at("sure-final", "final_unsure")
    else:
        await form.run(db, act)
    if form.refilled is None:
        return to(f"/incidents/{incident_id}", f"incident_{step}")
    return await _one(request, person, db, tools, now, incident_id=incident_id, again=form.refilled)


def _new(request: Request, now: datetime, *, again: Refilled | None = None) -> Response:
    local = now.astimezone(JST)
    return show(
        request, "privacy", "incident_new", again,
        kinds=TICKED, items=ITEMS, most=LONGEST_ITEM, many=MANY,
        known_on=local.date().isoformat(), known_time=f"{local:%H:%M}",
        ticked=(again.values.get("incident.kinds", "") if again else "").split(),
        said={}, persons="", encrypted=False,
    )  # fmt: skip


async def _one(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, now: datetime, *,
    incident_id: str, done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    row = await find(db, Incident, person.company_id or "", incident_id)
    if row is None:
        raise NotFound
    wanted = select(IncidentEvent).where(
        col(IncidentEvent.company_id) == row.company_id,
        col(IncidentEvent.incident_id) == incident_id,
    )
    events = (await db.scalars(wanted.order_by(col(IncidentEvent.id)))).all()
    shown: dict[str, Any] = {
        "row": row, "said": items_of(tools.sealer, row), "events": events,
        "names": await names_of_people(db, tools.sealer, [one.actor for one in events]),
        "left": due_days(row, local_day(now)),
    }  # fmt: skip
    ticked = again.values.get("incident.kinds") if again else None
    return show(
        request, "privacy", "incident", again, done=done, **shown,
        kinds=TICKED, items=ITEMS, to_people=TO_PEOPLE, most=LONGEST_ITEM, many=MANY,
        ticked=row.kinds if ticked is None else ticked.split(),
        persons=str(row.persons), encrypted=row.encrypted,
    )  # fmt: skip


def _report(form: PrivacyForm, now: datetime, *, known_at: datetime | None = None) -> Report | None:
    """What was entered; nothing when the form has to be corrected first.

    The day of knowing is entered once (`known_at` of the row afterwards).
    """
    values = form.values
    persons = whole(values["persons"] or "0")
    if persons is None:
        form.refuse_at("incident-persons", "persons_out_of_range")
        return None
    known_at = known_at or _moment(form)
    if known_at is None or known_at > now:
        form.refuse_at("incident-known", "known_later" if known_at else "day_missing")
        return None
    return Report(
        known_at=known_at,
        kinds=tuple(kind for kind in values["kinds"].split() if kind in TICKED),
        encrypted=values["encrypted"] == "yes",
        persons=persons,
        items={one: values[f"item_{one}"] for one in ITEMS},
    )


def _moment(form: PrivacyForm) -> datetime | None:
    day = form.day("known_on")
    try:
        at = time.fromisoformat(form.values["known_time"] or "00:00")
    except ValueError:
        return None
    return None if day is None else datetime.combine(day, at.replace(tzinfo=None), JST)
