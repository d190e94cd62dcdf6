"""Agreements: what is in force, what is proposed, how it ends, and what a fee would be."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from sqlmodel import col, select

from api.auth import Caller
from api.deps import Db, Kit, Now
from api.errors import problems
from api.idempotency import Rehearsable
from api.shapes import Cursor, Limit, NearDay, Page, Shape, Utc, page_of, typed_id
from api.sides import SIDES, Side
from domain import fees
from domain.agreement import Agreement, AgreementVersion, TermProposal
from domain.business_days import local_day
from domain.errors import Conflict, NotFound
from domain.flows.earn import agree_terms as flow
from domain.terms import Terms, guarantee_end, terms_of

router = APIRouter(tags=["agreements"])
_REFUSALS = problems(400, 401, 403, 404, 409, 422)
Yen = Annotated[int, Field(ge=0, le=1_000_000_000)]
PER_N_WARNING = (
    "This agreement grants credits by the number of relayed people. That rewards volume of personal"
    " data: never offer or urge a relay for the count's sake."
)


class VersionOut(Shape):
    """Terms from a day on. Never changed."""

    version: int
    effective_on: date
    terms: dict[str, Any]
    warning: str | None = Field(description="Where credits are granted by the number of relays")


class ProposalOut(Shape):
    """Terms one side offers."""

    id: str
    agreement_id: str
    party: Literal["company", "agency"]
    terms: dict[str, Any]
    warning: str | None
    effective_on: date
    state: Literal["proposed", "accepted", "declined", "cancelled"]
    version: int | None
    proposed_by: str
    proposed_at: Utc
    answered_by: str | None
    answered_at: Utc | None


class AgreementOut(Shape):
    """An agreement and its newest version in force."""

    id: str
    company_id: str
    agency_id: str
    number: str
    state: Literal["active", "ended"]
    ends_on: date | None
    in_force: VersionOut


class AgreementDetail(AgreementOut):
    """An agreement with all its versions, and the proposal that waits."""

    versions: list[VersionOut]
    proposal: ProposalOut | None


class TermsIn(Shape):
    """The next version. What is left out stays as it is."""

    terms: dict[str, Any] = Field(max_length=50)
    effective_on: NearDay


class EndIn(Shape):
    """The last day."""

    ends_on: NearDay


class PayIn(Shape):
    """理論年収: an annual salary, or its parts. Commuting and one-off payments never count."""

    annual_salary: Yen | None = None
    base_monthly: Yen = 0
    fixed_allowances_monthly: Yen = 0
    fixed_overtime_monthly: Yen = 0
    expected_full_year_bonus: Yen = 0
    expected_incentive: Yen = 0


class LeaveIn(Shape):
    """A leave the refund is asked for."""

    last_day_employed: NearDay
    reason: str = Field(max_length=100, examples=["voluntary"])
    employment_term: Literal["permanent", "fixed"] = "permanent"
    claimed_on: NearDay


class QuoteIn(Shape):
    """A hire, and what came of it."""

    pay: PayIn
    started_on: NearDay
    leave: LeaveIn | None = None


class FeeOut(Shape):
    """Yen."""

    without_tax: int
    tax: int
    total: int


class RefundOut(FeeOut):
    """The refund, and why it is what it is."""

    percent: int
    why: str


class QuoteOut(Shape):
    """What the list fee would be by the version in force on the first day. 参考値."""

    agreement_version: int
    theoretical_salary: int
    tax_percent: int
    fee: FeeOut
    guarantee_end_on: date
    refund: RefundOut | None


def _doors(side: Side) -> APIRouter:  # noqa: C901 - one function per door, none of them branches
    doors = APIRouter(prefix=f"{side.prefix}/agreements")
    Reads = Annotated[Caller, side.reader]  # noqa: N806 - a type, made for this side
    Writes = Annotated[Caller, side.writer]  # noqa: N806

    @doors.get("", responses=problems(401, 403, 422))
    async def list_agreements(
        *, db: Db, now: Now, caller: Reads, cursor: Cursor = None, limit: Limit = 50
    ) -> Page[AgreementOut]:
        """Your agreements, newest first, with the terms in force."""
        column, owner = next(iter(side.whose(caller).items()))
        wanted = select(Agreement).where(getattr(Agreement, column) == owner)
        rows, following = await page_of(db, wanted, col(Agreement.id), cursor=cursor, limit=limit)
        shown = [_out(row, await _versions(db, row), local_day(now)) for row in rows]
        return Page(data=shown, next_cursor=following)

    @doors.get("/{agreement_id}", responses=problems(401, 403, 404, 422))
    async def read_agreement(
        db: Db,
        now: Now,
        caller: Reads,
        agreement_id: typed_id("agr"),  # type: ignore[valid-type]
    ) -> AgreementDetail:
        """One agreement: every version, and what is proposed."""
        row = await side.row(db, caller, Agreement, agreement_id)
        known = await _versions(db, row)
        waiting = select(TermProposal).where(
            col(TermProposal.company_id) == row.company_id,
            col(TermProposal.agreement_id) == row.id,
            col(TermProposal.state) == "proposed",
        )
        proposal = (await db.scalars(waiting)).first()
        return AgreementDetail(
            **_out(row, known, local_day(now)).model_dump(),
            versions=[_version(one) for one in known],
            proposal=_proposal(proposal) if proposal else None,
        )

    @doors.get("/{agreement_id}/versions/{version}", responses=problems(401, 403, 404, 422))
    async def read_version(
        db: Db,
        caller: Reads,
        agreement_id: typed_id("agr"),  # type: ignore[valid-type]
        version: Annotated[int, Path(ge=1, le=100_000)],
    ) -> VersionOut:
        """One version, as postings cite it."""
        row = await side.row(db, caller, Agreement, agreement_id)
        found = [one for one in await _versions(db, row) if one.version == version]
        if not found:
            raise NotFound("no such version", code="unknown_agreement_version")
        return _version(found[0])

    @doors.post("/{agreement_id}/proposals", status_code=201, responses=_REFUSALS)
    async def propose(
        *,
        given: TermsIn,
        db: Db,
        kit: Kit,
        now: Now,
        once: Rehearsable,
        caller: Writes,
        agreement_id: typed_id("agr"),  # type: ignore[valid-type]
    ) -> ProposalOut:
        """Offer terms for the next version. The other side's yes makes it; nothing else does."""

        async def run() -> ProposalOut:
            row = await side.row(db, caller, Agreement, agreement_id)
            made = await flow.propose_terms(
                db, kit, row.company_id, agreement_id, given.terms, effective_on=given.effective_on,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return _proposal(made)

        return await once(run)

    @doors.post("/proposals/{proposal_id}/{answer}", responses=_REFUSALS)
    async def answer_proposal(
        *,
        db: Db,
        now: Now,
        once: Rehearsable,
        caller: Writes,
        proposal_id: typed_id("prp"),  # type: ignore[valid-type]
        answer: Annotated[Literal["accept", "decline", "cancel"], Path()],
    ) -> ProposalOut:
        """`accept` or `decline` what the other side offers; `cancel` what you offered."""

        async def run() -> ProposalOut:
            row = await side.row(db, caller, TermProposal, proposal_id)
            done = await flow.answer_proposal(
                db, row.company_id, proposal_id, answer,
                party=side.party, actor=caller.client_id, now=now,
            )  # fmt: skip
            return _proposal(done)

        return await once(run)

    @doors.post("/{agreement_id}/end", responses=_REFUSALS)
    async def end_agreement(
        *,
        given: EndIn,
        db: Db,
        now: Now,
        once: Rehearsable,
        caller: Writes,
        agreement_id: typed_id("agr"),  # type: ignore[valid-type]
    ) -> AgreementOut:
        """Give notice. Nothing new is relayed after the last day; credits live on for the tail."""

        async def run() -> AgreementOut:
            row = await side.row(db, caller, Agreement, agreement_id)
            ended = await flow.end_agreement(
                db, row.company_id, agreement_id,
                ends_on=given.ends_on, actor=caller.client_id, now=now,
            )  # fmt: skip
            return _out(ended, await _versions(db, ended), local_day(now))

        return await once(run)

    @doors.post("/{agreement_id}/quotes", responses=_REFUSALS)
    async def quote(
        *,
        given: QuoteIn,
        db: Db,
        once: Rehearsable,
        caller: Reads,
        agreement_id: typed_id("agr"),  # type: ignore[valid-type]
    ) -> QuoteOut:
        """What a hire would cost by the agreement, and what an early leave would give back.

        Computed, not kept. 409 `no_fee_terms` where the agreement names no fee.
        """

        async def run() -> QuoteOut:
            row = await side.row(db, caller, Agreement, agreement_id)
            known = await flow.version_on(db, row.company_id, row.agency_id, given.started_on)
            return _quote(known, terms_of(known.terms), given)

        return await once(run)

    return doors


async def _versions(db: Db, row: Agreement) -> list[AgreementVersion]:
    return await flow.versions(db, row.company_id, row.agency_id)


def _version(row: AgreementVersion) -> VersionOut:
    return VersionOut(
        version=row.version, effective_on=row.effective_on, terms=row.terms,
        warning=_warning(row.terms),
    )  # fmt: skip


def _warning(terms: dict[str, Any]) -> str | None:
    return PER_N_WARNING if terms_of(terms).counts_relays else None


def _out(row: Agreement, known: list[AgreementVersion], today: date) -> AgreementOut:
    in_force = [one for one in known if one.effective_on <= today] or known[:1]
    facts = row.model_dump(include={"id", "company_id", "agency_id", "number", "state", "ends_on"})
    return AgreementOut(**facts, in_force=_version(in_force[-1]))


def _proposal(row: TermProposal) -> ProposalOut:
    facts = row.model_dump(include=set(ProposalOut.model_fields) - {"warning"})
    return ProposalOut(**facts, warning=_warning(row.terms))


def _quote(version: AgreementVersion, terms: Terms, given: QuoteIn) -> QuoteOut:
    if terms.fee is None:
        raise Conflict("the agreement names no fee", code="no_fee_terms")
    pay = fees.Pay(**given.pay.model_dump())
    salary = fees.theoretical_salary(pay, terms.fee)
    fee = fees.fee(salary, terms.fee, given.started_on)
    return QuoteOut(
        agreement_version=version.version,
        theoretical_salary=salary,
        tax_percent=fees.tax_percent_on(given.started_on),
        fee=FeeOut(without_tax=fee.without_tax, tax=fee.tax, total=fee.total),
        guarantee_end_on=guarantee_end(terms, given.started_on),
        refund=_refund(fee, terms, given),
    )


def _refund(fee: fees.Fee, terms: Terms, given: QuoteIn) -> RefundOut | None:
    leave = given.leave
    if leave is None or terms.refund is None:
        return None
    made = fees.refund(
        fee, terms.refund, given.started_on, leave.last_day_employed, reason=leave.reason,
        employment_term=leave.employment_term, claimed_on=leave.claimed_on,
    )  # fmt: skip
    return RefundOut(
        without_tax=made.without_tax, tax=made.tax, total=made.total, percent=made.percent,
        why=made.why,
    )  # fmt: skip


for one in SIDES:
    router.include_router(_doors(one))
