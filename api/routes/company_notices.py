"""What was promised to candidates and what they were told; the numbers that follow from it."""

from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlmodel import col, select

from api.auth import Caller, company
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Once
from api.shapes import Cursor, Day, Limit, Page, Shape, Text, Utc, page_of
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.deadline import Deadline
from domain.errors import Invalid, NotFound
from domain.flows.hear.note_result import note_result
from domain.flows.tell.send_notice import feedback_of, send_interim_notice, send_notice
from domain.flows.tell.write_feedback import write_feedback
from domain.flows.ways_in.invite import hand_over_link
from domain.ids import pattern
from domain.notice import Notice
from domain.store import find
from domain.views.metrics import Metrics, Rate, Slice, metrics

router = APIRouter(prefix="/v1/company", tags=["notices"])

Reader = Annotated[Caller, company("applications:read")]
Writer = Annotated[Caller, company("applications:write")]
Counter = Annotated[Caller, company("metrics:read")]
NoticeId = Annotated[str, Path(pattern=pattern("ntc"))]
ApplicationId = Annotated[str, Path(pattern=pattern("app"))]
OfApplication = Annotated[str | None, Query(pattern=pattern("app"))]
LONGEST_PERIOD_DAYS = 366


class DeadlineOut(Shape):
    """A promise: a result by the end of `due_on` (Japan), that is before `due_before`."""

    id: str
    application_id: str
    interview_id: str
    interview_ended_at: Utc
    due_on: date
    due_before: Utc
    state: Literal["open", "due_soon", "met", "missed", "void"]
    met_at: Utc | None
    missed_at: Utc | None
    provisional: bool


class NoticeOut(Shape):
    """A message to a candidate. Without its words: those are for the candidate."""

    id: str
    application_id: str
    kind: Literal["rejected", "passed", "interim"]
    state: Literal["draft", "scheduled", "sent", "bounced", "cancelled"]
    send_at: Utc | None
    sent_at: Utc | None
    has_feedback: bool
    supersedes_id: str | None
    created_at: Utc


class NoticeDetail(NoticeOut):
    """A notice with the feedback written for it."""

    feedback: str | None


class FeedbackIn(Shape):
    """Feedback of 30 to 400 letters, or null to remove it."""

    feedback: Text | None


class InterimIn(Shape):
    """Why it takes longer, as it will stand in the mail, and by when the result will come."""

    reason: Annotated[Text, Field(min_length=1, max_length=200)]
    new_date: Day


class ResultIn(Shape):
    """A result the company told the candidate itself."""

    kind: Literal["rejected", "passed"]
    told_at: Utc


class LinkOut(Shape):
    """A link to the opt-in form, to be handed to this candidate only."""

    url: str
    expires_at: Utc


class RateOut(Shape):
    """A part of a whole. `value` is null when `whole` is 0."""

    value: float | None
    part: int
    whole: int


class SliceOut(Shape):
    """One line of a breakdown; `people` is `<5` and `rate` null for small groups."""

    key: str
    people: int | Literal["<5"]
    rate: float | None


class MetricsOut(Shape):
    """The numbers of a period of local dates. Hours are office hours; `…_jpy` is a 参考値."""

    period_from: date
    period_to: date
    notice_on_time_rate: RateOut
    notice_median_business_days: float | None
    notices_due_today: int
    notices_overdue: int
    notices_missed: int
    feedback_rate: RateOut
    invitation_rate: RateOut
    opt_in_rate: RateOut
    withdrawal_rate: RateOut
    stop_ack_p95_hours: float | None
    provisions_without_valid_consent: int
    agency_accept_hours: float | None
    agency_contact_hours: float | None
    agency_contact_rate: RateOut
    meeting_rate: RateOut
    placement_rate: RateOut
    credits_available: int
    credits_expiring_60d: int
    credits_used: int
    avoided_fee_reference_jpy: int
    mail_bounce_rate: RateOut
    requests_open: int
    requests_oldest_days: int
    requests_overdue: int
    erasures_due: int
    erasures_done: int
    licence_expiring_90d: int
    audit_chain_ok_at: Utc | None
    on_time_by_stage: list[SliceOut]
    placement_by_agency: list[SliceOut]
    bounces_by_template: list[SliceOut]


@router.get("/deadlines", responses=problems(401, 403, 422, 429))
async def list_deadlines(
    *,
    caller: Reader,
    db: Db,
    application_id: OfApplication = None,
    state: Literal["open", "due_soon", "met", "missed", "void"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[DeadlineOut]:
    """What was promised, newest first. A miss stays `missed`, also after the result was told."""
    wanted = select(Deadline).where(col(Deadline.company_id) == caller.company_id)
    if application_id is not None:
        wanted = wanted.where(col(Deadline.application_id) == application_id)
    if state is not None:
        wanted = wanted.where(col(Deadline.state) == state)
    rows, following = await page_of(db, wanted, col(Deadline.id), cursor=cursor, limit=limit)
    return Page(data=[_deadline(row) for row in rows], next_cursor=following)


@router.get("/notices", responses=problems(401, 403, 422, 429))
async def list_notices(
    *,
    caller: Reader,
    db: Db,
    application_id: OfApplication = None,
    state: Literal["draft", "scheduled", "sent", "bounced", "cancelled"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[NoticeOut]:
    """What was or will be told to candidates, newest first."""
    wanted = select(Notice).where(col(Notice.company_id) == caller.company_id)
    if application_id is not None:
        wanted = wanted.where(col(Notice.application_id) == application_id)
    if state is not None:
        wanted = wanted.where(col(Notice.state) == state)
    rows, following = await page_of(db, wanted, col(Notice.id), cursor=cursor, limit=limit)
    return Page(data=[_notice(row) for row in rows], next_cursor=following)


@router.get("/notices/{notice_id}", responses=problems(401, 403, 404, 422, 429))
async def read_notice(notice_id: NoticeId, caller: Reader, db: Db, kit: Kit) -> NoticeDetail:
    """One notice with its feedback."""
    return await _detail(db, kit, caller, notice_id)


@router.patch("/notices/{notice_id}", responses=problems(400, 401, 403, 404, 409, 422, 429))
async def change_feedback(
    notice_id: NoticeId,
    body: FeedbackIn,
    caller: Writer,
    db: Db,
    kit: Kit,
) -> NoticeDetail:
    """Write feedback into a notice that has not gone out.

    It passes a guard (公正な採用選考): no private matters, contacts, salary, other people, insults;
    30 to 400 letters. A refusal names the rule in `code`.
    """
    await write_feedback(db, kit, mine(caller), notice_id, body.feedback)
    return await _detail(db, kit, caller, notice_id)


@router.post("/notices/{notice_id}/send", responses=problems(400, 401, 403, 404, 409, 422, 429))
async def send_now(
    *,
    notice_id: NoticeId,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Once,
) -> NoticeOut:
    """Send a draft or scheduled notice now. `state` becomes `sent` when the mail has gone."""

    async def run() -> NoticeOut:
        return _notice(await send_notice(db, kit, mine(caller), notice_id, now))

    return await once(run)


@router.post(
    "/applications/{application_id}/interim-notice",
    status_code=201,
    responses=problems(400, 401, 403, 404, 409, 422, 429),
)
async def tell_interim(
    *,
    application_id: ApplicationId,
    body: InterimIn,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Once,
) -> NoticeOut:
    """Tell a candidate that the decision takes longer. The deadline stays as it is."""

    async def run() -> NoticeOut:
        told = await send_interim_notice(
            db, kit, mine(caller), application_id,
            reason=body.reason, new_date=body.new_date, now=now,
        )  # fmt: skip
        return _notice(told)

    return await once(run)


@router.post(
    "/applications/{application_id}/result-notice",
    status_code=201,
    responses=problems(400, 401, 403, 404, 409, 422, 429),
)
async def tell_result_yourself(
    *,
    application_id: ApplicationId,
    body: ResultIn,
    caller: Writer,
    db: Db,
    now: Now,
    once: Once,
) -> NoticeOut:
    """Note that the company told the result itself (a call, a mail of its own): none is mailed."""

    async def run() -> NoticeOut:
        noted = await note_result(
            db, mine(caller), application_id, kind=body.kind, told_at=body.told_at, now=now
        )
        return _notice(noted)

    return await once(run)


@router.post(
    "/applications/{application_id}/invitation",
    status_code=201,
    responses=problems(400, 401, 403, 404, 409, 422, 429),
)
async def invite_candidate(
    *,
    application_id: ApplicationId,
    caller: Writer,
    db: Db,
    kit: Kit,
    now: Now,
    once: Once,
) -> LinkOut:
    """A link to the opt-in form, to hand to the candidate. Refused with the rules that fail."""

    async def run() -> LinkOut:
        url, expires_at = await hand_over_link(db, kit, mine(caller), application_id, now)
        return LinkOut(url=url, expires_at=expires_at)

    return await once(run)


@router.get("/metrics", responses=problems(401, 403, 422, 429))
async def read_metrics(
    *,
    caller: Counter,
    db: Db,
    kit: Kit,
    now: Now,
    period_from: Annotated[Day | None, Query(alias="from")] = None,
    period_to: Annotated[Day | None, Query(alias="to")] = None,
) -> MetricsOut:
    """The numbers of a period (local dates, both included; the last 90 days unless told)."""
    last = period_to or local_day(now)
    first = period_from or last - timedelta(days=89)
    if not 0 <= (last - first).days <= LONGEST_PERIOD_DAYS:
        detail = f"from must not be after to, nor more than {LONGEST_PERIOD_DAYS} days before it"
        raise Invalid(detail, code="invalid_period")
    there = await db.get_one(Company, caller.company_id)
    return _numbers(await metrics(db, kit, there, period=(first, last), now=now))


def mine(caller: Caller) -> str:
    """The company this program speaks for; the door has made sure that there is one."""
    assert caller.company_id is not None  # noqa: S101
    return caller.company_id


async def _detail(db: Db, kit: Kit, caller: Caller, notice_id: str) -> NoticeDetail:
    notice = await find(db, Notice, mine(caller), notice_id)
    if notice is None:
        raise NotFound
    candidate = await find(db, Candidate, mine(caller), notice.candidate_id)
    assert candidate is not None  # noqa: S101
    feedback = await feedback_of(db, kit, candidate, notice)
    return NoticeDetail(**_notice(notice).model_dump(), feedback=feedback)


def _deadline(row: Deadline) -> DeadlineOut:
    return DeadlineOut.model_validate(
        {name: getattr(row, name) for name in DeadlineOut.model_fields}
    )


def _notice(row: Notice) -> NoticeOut:
    values = {name: getattr(row, name) for name in NoticeOut.model_fields if name != "has_feedback"}
    return NoticeOut.model_validate({**values, "has_feedback": row.feedback is not None})


def _rate(rate: Rate) -> RateOut:
    return RateOut(value=rate.value, part=rate.part, whole=rate.whole)


def _slices(slices: list[Slice]) -> list[SliceOut]:
    return [SliceOut.model_validate(vars(one)) for one in slices]


def _numbers(found: Metrics) -> MetricsOut:
    return MetricsOut(
        period_from=found.first,
        period_to=found.last,
        notice_on_time_rate=_rate(found.on_time),
        notice_median_business_days=found.median_business_days,
        notices_due_today=found.due_today,
        notices_overdue=found.overdue,
        notices_missed=found.missed,
        feedback_rate=_rate(found.feedback),
        invitation_rate=_rate(found.invitation),
        opt_in_rate=_rate(found.opt_in),
        withdrawal_rate=_rate(found.withdrawal),
        stop_ack_p95_hours=found.stop_ack_p95_hours,
        provisions_without_valid_consent=found.provisions_without_valid_consent,
        agency_accept_hours=found.agency_accept_hours,
        agency_contact_hours=found.agency_contact_hours,
        agency_contact_rate=_rate(found.agency_contact),
        meeting_rate=_rate(found.meeting),
        placement_rate=_rate(found.placement),
        credits_available=found.credits_available,
        credits_expiring_60d=found.credits_expiring_60d,
        credits_used=found.credits_used,
        avoided_fee_reference_jpy=found.avoided_fee_reference_jpy,
        mail_bounce_rate=_rate(found.mail_bounce),
        requests_open=found.requests_open,
        requests_oldest_days=found.requests_oldest_days,
        requests_overdue=found.requests_overdue,
        erasures_due=found.erasures_due,
        erasures_done=found.erasures_done,
        licence_expiring_90d=found.licence_expiring_90d,
        audit_chain_ok_at=found.audit_chain_ok_at,
        on_time_by_stage=_slices(found.by_stage),
        placement_by_agency=_slices(found.by_agency),
        bounces_by_template=_slices(found.by_template),
    )
