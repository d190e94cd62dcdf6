"""Agencies: the relays they were given, the packages, and what they report back."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, Field
from sqlmodel import col, select

from api.auth import Caller, agency
from api.deps import Db, Kit, Now, Process
from api.errors import problems
from api.idempotency import Once, Rehearsable
from api.packages import signed
from api.shapes import Cursor, Day, Limit, Page, Shape, Utc, page_of
from domain.access import relay_of_agency
from domain.company import Company
from domain.flows.consent.acknowledge_stop import acknowledge_stop
from domain.flows.relay.answer_relay import Report, answer_relay, say_unchanged
from domain.flows.relay.provide_package import provide_package
from domain.ids import pattern
from domain.placement import Placement
from domain.relay import Relay, RelayEvent

router = APIRouter(prefix="/v1/agency", tags=["agency: relays"])

RelayId = Annotated[str, Path(pattern=pattern("rly"))]
State = Literal[
    "queued", "forwarded", "accepted", "declined", "contacted", "met", "recommended", "offered",
    "placed", "guaranteed", "early_left", "withdrawn", "closed_no_placement", "expired",
]  # fmt: skip
ReportType = Literal["accepted", "declined", "contacted", "met", "recommended", "offered", "closed"]
Reason = Literal[
    "already_registered", "out_of_scope", "no_capacity", "unreachable", "candidate_declined",
    "other",
]  # fmt: skip
Answer = Literal["deleted", "kept_own_registration", "kept_register", "kept_selection", "corrected"]
"""`corrected` acknowledges a correction; it stops nothing."""


class CompanyRef(BaseModel):
    """The company that relayed the person."""

    id: str
    name: str


class AgencyRelay(BaseModel):
    """A relay as its agency sees it. It holds no data about the person: that is the package."""

    id: str
    company: CompanyRef
    state: State
    version: int = Field(description="Grows with every change; drop what is older than you know")
    reason: str | None
    forwarded_at: Utc
    closed_at: Utc | None
    package_url: str


class RelayFact(BaseModel):
    """Something that was reported or noted."""

    type: str
    reason: str | None
    at: Utc
    noted_at: Utc


class AgencyRelayDetail(AgencyRelay):
    """A relay with its history."""

    events: list[RelayFact]
    placement_id: str | None


class RelayPackage(BaseModel):
    """What is handed over: provider, consent, and only the items the person consented to.

    Fields are added, never renamed; ignore what you do not know.
    """

    schema_: str = Field(alias="schema", examples=["career-relay-package/1"])
    package_id: str
    relay_id: str
    version: int
    provider: dict[str, str]
    acquisition_background: str
    consent: dict[str, Any]
    candidate: dict[str, str] = Field(description="Consented items only, by item code")
    files: list[dict[str, Any]] = Field(
        default_factory=list,
        description=(
            "Consented files: `code`, `id`, `name`, `type`, `size`, `sha256`, and `url`, which is"
            " for you alone and good until `expires_at`"
        ),
    )
    provided_at: Utc
    use_until: Utc = Field(description="Read again or delete by then")
    record_retention_until: date
    signature: str = Field(
        description=(
            "Detached JWS (ES256, keys at /oauth/jwks.json) over this document without "
            "`signature`: keys sorted, no spaces, UTF-8"
        )
    )


class RelayEventIn(Shape):
    """A fact about a relay. Facts may arrive late and out of order: the furthest one stands."""

    type: ReportType
    reason: Reason | None = Field(default=None, description="Needed with `declined`")
    registered_on: Day | None = Field(
        default=None, description="With `already_registered`: since when you know the person"
    )
    last_contact_on: Day | None = Field(
        default=None,
        description=(
            "With `already_registered`: the last two-way contact before the hand-over. Without both"
            " days, or if it is too long ago, the relay is declined and the attribution stands"
        ),
    )
    at: Utc = Field(description="When it happened")


class RelayState(BaseModel):
    """Where the relay stands now."""

    id: str
    state: State
    version: int
    reason: str | None
    status_due_on: date | None = Field(description="By then an open relay needs the next word")


class AcknowledgementIn(Shape):
    """You have stopped: what you did with the data."""

    at: Utc | None = Field(default=None, description="When you stopped; now, if left out")
    answer: Answer = "deleted"


class Acknowledgement(BaseModel):
    """The acknowledgement that stands."""

    relay_id: str
    state: Literal["acknowledged"] = "acknowledged"
    answer: Answer | None
    acknowledged_at: Utc | None


@router.get("/relays", responses=problems(401, 403, 422))
async def list_relays(
    *,
    caller: Annotated[Caller, agency("relays:read")],
    db: Db,
    kit: Kit,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Annotated[State | None, Query(description="Only relays in this state")] = None,
) -> Page[AgencyRelay]:
    """Your relays, newest first. To follow changes, use the feed instead."""
    wanted = select(Relay).where(col(Relay.agency_id) == caller.agency_id)
    if state is not None:
        wanted = wanted.where(col(Relay.state) == state)
    rows, following = await page_of(db, wanted, col(Relay.id), cursor=cursor, limit=limit)
    names = await _names(db, rows)
    shown = [AgencyRelay(**_facts(row, names, kit.public_url)) for row in rows]
    return Page(data=shown, next_cursor=following)


@router.get("/relays/{relay_id}", responses=problems(401, 403, 404, 422))
async def read_relay(
    relay_id: RelayId, caller: Annotated[Caller, agency("relays:read")], db: Db, kit: Kit
) -> AgencyRelayDetail:
    """One relay with its history. The person's data is in its package."""
    relay = await relay_of_agency(db, caller.agency_id or "", relay_id)
    events = (
        await db.scalars(
            select(RelayEvent)
            .where(
                col(RelayEvent.company_id) == relay.company_id,
                col(RelayEvent.relay_id) == relay_id,
            )
            .order_by(col(RelayEvent.id))
        )
    ).all()
    placed = select(Placement.id).where(
        col(Placement.company_id) == relay.company_id,
        col(Placement.relay_id) == relay_id,
        col(Placement.state) != "withdrawn",
    )
    return AgencyRelayDetail(
        **_facts(relay, await _names(db, [relay]), kit.public_url),
        events=[RelayFact.model_validate(event, from_attributes=True) for event in events],
        placement_id=(await db.scalars(placed)).first(),
    )


@router.get(
    "/relays/{relay_id}/package",
    response_model=RelayPackage,
    responses={
        304: {"description": "You hold the current content"},
        **problems(401, 403, 404, 410, 422),
    },
)
async def read_package(
    *,
    relay_id: RelayId,
    caller: Annotated[Caller, agency("relays:read")],
    db: Db,
    kit: Kit,
    process: Process,
    now: Now,
    response: Response,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:
    """The person's data. Reading is the hand-over: it is recorded, and the person is told.

    Reading again extends `use_until`, also when the answer is 304. After a withdrawal, an erasure
    or the end of the relay the answer is 410: delete what you hold. 403 means "not at present".
    """
    provided = await provide_package(
        db, kit, caller.agency_id or "", relay_id,
        channel="api", client_id=caller.client_id, now=now,
    )  # fmt: skip
    etag = f'W/"{provided.etag}"'
    headers = {"etag": etag, "cache-control": "no-store"}
    if _matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return signed(process, provided)


@router.post("/relays/{relay_id}/events", responses=problems(400, 401, 403, 404, 409, 422))
async def report_event(
    *,
    relay_id: RelayId,
    event: RelayEventIn,
    caller: Annotated[Caller, agency("relays:write")],
    db: Db,
    kit: Kit,
    now: Now,
    once: Rehearsable,
) -> RelayState:
    """Report how it goes on. The same report again gets the same answer.

    Reports may come late and with steps left out: the furthest one stands. `declined` answers a
    relay you have not taken up; later the word is `closed`. `already_registered` can be declared
    within three business days.
    """

    async def run() -> RelayState:
        report = Report(
            type=event.type, at=event.at, actor=caller.client_id, reason=event.reason,
            registered_on=event.registered_on, last_contact_on=event.last_contact_on,
        )  # fmt: skip
        relay = await answer_relay(db, kit, caller.agency_id or "", relay_id, report, now=now)
        return RelayState.model_validate(relay, from_attributes=True)

    return await once(run)


@router.post("/relays/{relay_id}/status", responses=problems(400, 401, 403, 404, 409, 422))
async def report_status(
    *,
    relay_id: RelayId,
    caller: Annotated[Caller, agency("relays:write")],
    db: Db,
    now: Now,
    once: Rehearsable,
) -> RelayState:
    """Nothing new, still at work on it: the word an open relay needs every so often.

    Any report about a relay is such a word, too. How often one is due stands in your agreement.
    """

    async def run() -> RelayState:
        relay = await say_unchanged(
            db, caller.agency_id or "", relay_id, actor=caller.client_id, now=now
        )
        return RelayState.model_validate(relay, from_attributes=True)

    return await once(run)


@router.post("/relays/{relay_id}/withdrawal-ack", responses=problems(400, 401, 403, 404, 409, 422))
async def acknowledge(
    *,
    relay_id: RelayId,
    acknowledgement: AcknowledgementIn,
    caller: Annotated[Caller, agency("relays:write")],
    db: Db,
    now: Now,
    once: Once,
) -> Acknowledgement:
    """Acknowledge a withdrawal, an erasure or a correction (`corrected`). The first answer stands.

    The person sees it.
    """

    async def run() -> Acknowledgement:
        notices = await acknowledge_stop(
            db, caller.agency_id or "", relay_id, acknowledgement.answer,
            at=acknowledgement.at, now=now,
        )  # fmt: skip
        last = notices[-1] if notices else None
        return Acknowledgement(
            relay_id=relay_id,
            answer=last.answer if last else None,
            acknowledged_at=last.acknowledged_at if last else None,
        )

    return await once(run)


def package_url(relay_id: str, public_url: str) -> str:
    """Where a relay's package is read."""
    return f"{public_url}/v1/agency/relays/{relay_id}/package"


def _facts(relay: Relay, names: dict[str, str], public_url: str) -> dict[str, Any]:
    return {
        "id": relay.id,
        "company": {"id": relay.company_id, "name": names.get(relay.company_id, "")},
        "state": relay.state,
        "version": relay.version,
        "reason": relay.reason,
        "forwarded_at": relay.forwarded_at,
        "closed_at": relay.closed_at,
        "package_url": package_url(relay.id, public_url),
    }


async def _names(db: Db, relays: list[Any]) -> dict[str, str]:
    ids = {relay.company_id for relay in relays}
    rows = await db.execute(select(Company.id, Company.name).where(col(Company.id).in_(ids)))
    return {row[0]: row[1] for row in rows}


def _matches(header: str | None, etag: str) -> bool:
    """`If-None-Match` compares weakly (RFC 9110 13.1.2)."""
    if header is None:
        return False
    given = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in given or etag.removeprefix("W/") in given
