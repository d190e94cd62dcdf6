"""The pages of agreements: what is agreed, in words; what is proposed; how it ends."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.deps import Db, Kit, Now
from api.page_forms import Refilled
from api.pages import locale_of
from api.rooms import ROOMS, Done, LedgerForm, Room, day, people, whole
from api.session import SignedIn
from api.term_words import changes, sections
from domain.agreement import Agreement, AgreementVersion, TermProposal
from domain.business_days import local_day
from domain.flows.earn import agree_terms as flow
from domain.ids import pattern
from domain.ports import Tools
from domain.terms import MOST_CREDITS, Terms, tail_end, terms_of
from domain.views import ledger_lists as view

router = APIRouter(include_in_schema=False)

AgreementId = Annotated[str, Path(pattern=pattern("agr"))]
ProposalId = Annotated[str, Path(pattern=pattern("prp"))]
_RULES = ("on_placement", "per_n_relays", "mixed")
_EVENTS = ("accepted", "met")
_UNITS = ("months", "days")
_NUMBERS: Mapping[str, tuple[int, int]] = {
    "credits_per_placement": (1, MOST_CREDITS), "validity_months": (1, 1_200),
    "reservation_days": (1, 36_500), "tail_months": (0, 1_200),
    "ownership_window_months": (1, 1_200),
}  # fmt: skip
"""The usual terms that are one number, and between which numbers it lies."""


def _doors(room: Room) -> APIRouter:  # noqa: C901 - one function per door, none of them branches
    doors = APIRouter(prefix=f"{room.home}/agreements")
    Reads = Annotated[SignedIn, room.reader]  # noqa: N806 - a type, made for this room
    Agrees = Annotated[SignedIn, room.head]  # noqa: N806

    @doors.get("")
    async def list_agreements(*, request: Request, person: Reads, db: Db, now: Now) -> Response:
        """Every agreement, what it grants, and whether something waits."""
        owner = await room.enter(db, person)
        others = await view.counterparts(db, room.party, owner)
        rows = await _all(db, room, owner, local_day(now), locale_of(request))
        return room.page(request, person, "agreements", Refilled(), rows=rows, others=others)

    @doors.get("/{agreement_id}")
    async def read_agreement(
        *,
        agreement_id: AgreementId,
        request: Request,
        person: Reads,
        db: Db,
        tools: Kit,
        now: Now,
        done: Done = "",
    ) -> Response:
        """One agreement: its terms, all versions, what is proposed."""
        return await _page(
            room, request, person, db, tools, agreement_id=agreement_id, now=now, done=done
        )

    @doors.get("/{agreement_id}/propose")
    async def new_proposal(
        *, agreement_id: AgreementId, request: Request, person: Agrees, db: Db, now: Now
    ) -> Response:
        """The form to propose other terms."""
        return await _propose_page(room, request, person, db, agreement_id, now, Refilled())

    @doors.post("/{agreement_id}/propose")
    async def propose(
        *, agreement_id: AgreementId, request: Request, person: Agrees, db: Db, tools: Kit, now: Now
    ) -> Response:
        """Offer terms for the next version. The other side's yes makes it."""
        row = await room.row(db, person, Agreement, agreement_id)
        company_id = row.company_id
        newest = terms_of((await flow.versions(db, company_id, row.agency_id))[-1].terms)
        form = await LedgerForm.read(
            request, "propose", "propose-day", "accrual_rule", "n", "counted_event",
            "guarantee_number", "guarantee_unit", "effective_on", *_NUMBERS,
        )  # fmt: skip
        offered, begins = _offered(form, newest), day(form.values["effective_on"])
        if form.refilled is None and begins is None:
            form.refuse("effective_missing")
        elif form.refilled is None and not offered:
            form.control = "propose-accrual_rule"
            form.refuse("nothing_changed")
        elif form.refilled is None and begins is not None:
            await form.run(
                db,
                lambda: flow.propose_terms(
                    db, tools, company_id, agreement_id, offered, effective_on=begins,
                    party=room.party, actor=person.member_id, now=now,
                ),
            )  # fmt: skip
        if form.refilled is None:
            return room.to(f"/agreements/{agreement_id}", "terms_proposed")
        return await _propose_page(room, request, person, db, agreement_id, now, form.refilled)

    @doors.post("/proposals/{proposal_id}/{answer}")
    async def answer_proposal(
        *,
        proposal_id: ProposalId,
        answer: Annotated[Literal["accept", "decline", "cancel"], Path()],
        request: Request,
        person: Agrees,
        db: Db,
        tools: Kit,
        now: Now,
    ) -> Response:
        """Accept or decline what the other side offers; cancel what one's own side offered."""
        row = await room.row(db, person, TermProposal, proposal_id)
        company_id, agreement_id = row.company_id, row.agreement_id
        form = await LedgerForm.read(request, "answer", "proposal")
        await form.run(
            db,
            lambda: flow.answer_proposal(
                db, company_id, proposal_id, answer,
                party=room.party, actor=person.member_id, now=now,
            ),
        )  # fmt: skip
        if form.refilled is None:
            return room.to(f"/agreements/{agreement_id}", f"terms_{answer}")
        return await _page(
            room, request, person, db, tools,
            agreement_id=agreement_id, now=now, again=form.refilled,
        )  # fmt: skip

    @doors.get("/{agreement_id}/end")
    async def confirm_end(
        *, agreement_id: AgreementId, request: Request, person: Agrees, db: Db, now: Now
    ) -> Response:
        """What giving notice means, before it is done."""
        return await _end_page(room, request, person, db, agreement_id, now, Refilled())

    @doors.post("/{agreement_id}/end")
    async def end(
        *, agreement_id: AgreementId, request: Request, person: Agrees, db: Db, now: Now
    ) -> Response:
        """Give notice: nothing new is relayed after the last day."""
        row = await room.row(db, person, Agreement, agreement_id)
        company_id = row.company_id
        form = await LedgerForm.read(request, "end", "end-day", "ends_on", "sure")
        last = day(form.values["ends_on"])
        if last is None:
            form.refuse("ends_missing")
        elif form.values["sure"] != "yes":
            form.control = "end-sure"
            form.refuse("not_sure")
        else:
            await form.run(
                db,
                lambda: flow.end_agreement(
                    db, company_id, agreement_id,
                    ends_on=last, actor=person.member_id, now=now,
                ),
            )  # fmt: skip
        if form.refilled is None:
            return room.to(f"/agreements/{agreement_id}", "agreement_ended")
        return await _end_page(room, request, person, db, agreement_id, now, form.refilled)

    return doors


async def _all(
    db: AsyncSession, room: Room, owner: str, today: date, locale: str
) -> list[dict[str, Any]]:
    """Every agreement with its version in force and what waits, as the tenant."""
    whose = f"{room.party}_id"
    agreements = select(Agreement).where(getattr(Agreement, whose) == owner)
    versions = select(AgreementVersion).where(getattr(AgreementVersion, whose) == owner)
    waiting = select(TermProposal).where(
        getattr(TermProposal, whose) == owner, col(TermProposal.state) == "proposed"
    )
    known: dict[str, list[AgreementVersion]] = {}
    for one in (await db.scalars(versions.order_by(col(AgreementVersion.version)))).all():
        known.setdefault(one.agreement_id, []).append(one)
    proposed = {one.agreement_id: one for one in (await db.scalars(waiting)).all()}
    return [
        {
            "agreement": row,
            "version": _in_force(known[row.id], today),
            "said": _short(_in_force(known[row.id], today).terms, locale),
            "warns": terms_of(_in_force(known[row.id], today).terms).counts_relays,
            "proposal": proposed.get(row.id),
        }
        for row in (await db.scalars(agreements.order_by(col(Agreement.id)))).all()
    ]


def _short(terms: Mapping[str, Any], locale: str) -> list[Any]:
    """The three things of an agreement that people ask for first."""
    said = {line.key: line for lines in sections(terms, locale).values() for line in lines}
    return [said[key] for key in ("rule", "guarantee", "validity")]


def _in_force(known: list[AgreementVersion], today: date) -> AgreementVersion:
    return ([one for one in known if one.effective_on <= today] or known[:1])[-1]


async def _page(
    room: Room, request: Request, person: SignedIn, db: AsyncSession, tools: Tools, *,
    agreement_id: str, now: datetime, done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    row = await room.row(db, person, Agreement, agreement_id)
    known = await flow.versions(db, row.company_id, row.agency_id)
    waiting = select(TermProposal).where(
        col(TermProposal.company_id) == row.company_id,
        col(TermProposal.agreement_id) == row.id,
        col(TermProposal.state) == "proposed",
    )
    proposal = (await db.scalars(waiting)).first()
    await room.enter(db, person)
    others = await view.counterparts(db, room.party, room.owner(person))
    locale, in_force = locale_of(request), _in_force(known, local_day(now))
    return room.page(
        request, person, "agreement", again or Refilled(),
        agreement=row, version=in_force, sections=sections(in_force.terms, locale),
        warns=terms_of(in_force.terms).counts_relays,
        versions=[
            (one, changes(before.terms, one.terms, locale) if before else [])
            for before, one in zip([None, *known], known, strict=False)
        ][::-1],
        proposal=proposal,
        proposed=changes(known[-1].terms, proposal.terms, locale) if proposal else [],
        proposal_warns=proposal is not None and terms_of(proposal.terms).counts_relays,
        names=await people(db, tools.sealer, [proposal.proposed_by] if proposal else []),
        other=others[row.agency_id if room.party == "company" else row.company_id],
        tail_until=tail_end(terms_of(in_force.terms), row.ends_on) if row.ends_on else None,
        done=done,
    )  # fmt: skip


async def _propose_page(  # noqa: PLR0917 - the page's own needs, in its own order
    room: Room, request: Request, person: SignedIn, db: AsyncSession, agreement_id: str,
    now: datetime, again: Refilled,
) -> Response:  # fmt: skip
    row = await room.row(db, person, Agreement, agreement_id)
    newest = (await flow.versions(db, row.company_id, row.agency_id))[-1]
    await room.enter(db, person)
    others = await view.counterparts(db, room.party, room.owner(person))
    return room.page(
        request, person, "agreement_propose", again,
        agreement=row, version=newest, terms=terms_of(newest.terms), rules=_RULES, events=_EVENTS,
        units=_UNITS, numbers=_NUMBERS, today=local_day(now),
        other=others[row.agency_id if room.party == "company" else row.company_id],
    )  # fmt: skip


async def _end_page(  # noqa: PLR0917 - as above
    room: Room, request: Request, person: SignedIn, db: AsyncSession, agreement_id: str,
    now: datetime, again: Refilled,
) -> Response:  # fmt: skip
    row = await room.row(db, person, Agreement, agreement_id)
    known = await flow.versions(db, row.company_id, row.agency_id)
    terms = terms_of(_in_force(known, local_day(now)).terms)
    await room.enter(db, person)
    others = await view.counterparts(db, room.party, room.owner(person))
    return room.page(
        request, person, "agreement_end", again,
        agreement=row, terms=terms, today=local_day(now),
        other=others[row.agency_id if room.party == "company" else row.company_id],
    )  # fmt: skip


def _offered(form: LedgerForm, now_are: Terms) -> dict[str, Any]:
    """What differs from the terms of today; a value that cannot be read is refused."""
    values, found = form.values, {}
    for name, (least, most) in _NUMBERS.items():
        number = whole(values[name], most=most)
        if number is None or number < least:
            form.control = f"propose-{name}"
            form.refuse("number_unreadable")
            return {}
        if number != getattr(now_are, name):
            found[name] = number
    return found | _rule(form, now_are) | _guarantee(form, now_are)


def _rule(form: LedgerForm, now_are: Terms) -> dict[str, Any]:
    values = form.values
    rule, event, n = values["accrual_rule"], values["counted_event"], whole(values["n"])
    if rule not in _RULES or event not in _EVENTS:
        form.control = "propose-accrual_rule"
        form.refuse("rule_missing")
        return {}
    found: dict[str, Any] = {} if rule == now_are.accrual_rule else {"accrual_rule": rule}
    if rule == "on_placement":
        return found
    if not n:
        form.control = "propose-n"
        form.refuse("number_unreadable")
        return {}
    if (n, event) != (now_are.per_n.n, now_are.per_n.counted_event) or found:
        found["per_n_relays"] = {"n": n, "counted_event": event}
    return found


def _guarantee(form: LedgerForm, now_are: Terms) -> dict[str, Any]:
    unit, number = form.values["guarantee_unit"], whole(form.values["guarantee_number"])
    if unit not in _UNITS or not number:
        form.control = "propose-guarantee_number"
        form.refuse("number_unreadable")
        return {}
    if getattr(now_are.guarantee, unit) == number:
        return {}
    return {"guarantee": {unit: number}}


for one in ROOMS:
    router.include_router(_doors(one))
