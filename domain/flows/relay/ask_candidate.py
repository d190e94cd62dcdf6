"""A person who agreed to it is asked whether they started: 30, 90 and 180 days after a hand-over.

Nobody but the person learns an answer. The company learns of a start that it was confirmed, on the
relay, and no more (ledger rules 22, domain rules 19).

Locks in the order of every flow of a person: the candidate first.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import consent_text, vault
from domain.access import as_company, as_system
from domain.agency import Agency
from domain.business_days import at, local_day, long_date
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentEvent
from domain.consent_text import FOLLOWUP
from domain.duty import ANSWERS, QUESTION_DAYS, PlacementQuestion
from domain.errors import Gone, Invalid
from domain.flows.consent.append_consent_event import append, lock_candidate
from domain.flows.consent.withdraw_consent import records_of
from domain.flows.office.open_account import token_hash
from domain.flows.tell.send_notice import reply_to
from domain.flows.tell.write_mail import language, write_to_candidate
from domain.ids import is_id, new_id
from domain.placement import Placement
from domain.ports import Tools
from domain.relay import Relay
from domain.store import add_once, find, lock

ANSWER_TIME = timedelta(days=30)
"""How long a link can be answered."""
TOGETHER = timedelta(days=7)
"""Questions about several agencies that fall due within this time go out in one mail."""
_MORNING = time(10)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_ENDED = ("withdrawn", "expired")


@dataclass(frozen=True)
class Asked:
    """What a link leads to: the person, and the questions that can still be answered."""

    company: Company
    candidate: Candidate
    link: PlacementQuestion
    questions: Sequence[PlacementQuestion]
    agencies: dict[str, Agency]
    now: datetime

    @property
    def stands(self) -> str:
        """What to show: `ask`, `answered`, `expired` or `erased`."""
        if self.candidate.erased_at is not None:
            return "erased"
        if self.questions:
            return "ask"
        return "answered" if self.link.state == "answered" else "expired"


async def plan_questions_for(
    session: AsyncSession, relay: Relay, consent: Consent, now: datetime
) -> None:
    """A relay was forwarded: plan its questions, if the person agreed to be asked with the consent.

    The caller holds the relay. Said again it changes nothing.
    """
    evidence = await _evidence_of(session, consent)
    if evidence is not None:
        await plan_questions(session, relay, evidence, now)


async def plan_questions(
    session: AsyncSession, relay: Relay, evidence: ConsentEvent, now: datetime
) -> None:
    """One question per day agreed, in the morning; a day that has passed is not made up for."""
    assert relay.forwarded_at is not None
    for days in QUESTION_DAYS:
        moment = at(local_day(relay.forwarded_at) + timedelta(days=days), _MORNING)
        if moment <= now:
            continue
        planned = PlacementQuestion(
            company_id=relay.company_id, id=new_id("pqn"), agency_id=relay.agency_id,
            candidate_id=relay.candidate_id, relay_id=relay.id, consent_event_id=evidence.id,
            days=days, look_at=moment, created_at=now,
        )  # fmt: skip
        await add_once(session, planned)


async def ask_candidate(
    session: AsyncSession, tools: Tools, company_id: str, question_id: str, now: datetime
) -> None:
    """Timer `placement_question.look_at`: ask, if it still makes sense; or a link has expired."""
    seen = await find(session, PlacementQuestion, company_id, question_id)
    if seen is None or seen.look_at is None or seen.look_at > now:
        return
    candidate = await lock_candidate(session, company_id, seen.candidate_id)
    question = await lock(session, PlacementQuestion, company_id, question_id)
    if question.look_at is None or question.look_at > now:
        return
    if question.state != "planned" or await _is_moot(session, candidate, question):
        await _void(session, [question])
        return
    others = await _questions(session, candidate, "planned")
    soon = [one for one in others if one.look_at is not None and one.look_at <= now + TOGETHER]
    asked = [one for one in soon if not await _is_moot(session, candidate, one)]
    token = secrets.token_urlsafe(32)
    question.token_hash = token_hash(token)
    for one in asked:  # the question itself among them
        one.state, one.look_at = "asked", now + ANSWER_TIME
        session.add(one)
    await session.flush()
    await _mail(session, tools, candidate, question, asked=asked, token=token, now=now)


async def open_question(session: AsyncSession, token: str, now: datetime) -> Asked | None:
    """What the token opens, if we ever gave it out. Reads only: mail scanners open every link."""
    if _TOKEN.fullmatch(token) is None:
        return None
    async with as_system(session):
        wanted = select(PlacementQuestion).where(
            col(PlacementQuestion.token_hash) == token_hash(token)
        )
        link = (await session.scalars(wanted)).first()
    if link is None:
        return None
    await as_company(session, link.company_id)
    return await _opened(session, link, now)


async def answer_question(
    session: AsyncSession, token: str, answer: str, question_id: str, now: datetime
) -> None:
    """Take an answer. `started` and `stop_asking` end the questions; `not_started` this one.

    The first answer to a question stands; the same again is the same. Raises `Invalid`
    (`answer_unknown`) and `Gone` (`question_closed`) for a link that cannot be answered.
    """
    if answer not in ANSWERS:
        detail = "one of the three buttons is the answer"
        raise Invalid(detail, code="answer_unknown")
    seen = await open_question(session, token, now)
    if seen is None:
        raise Gone(code="question_closed")
    candidate = await lock_candidate(session, seen.company.id, seen.candidate.id)
    asked = await _opened(session, seen.link, now)
    question = next((one for one in asked.questions if one.id == question_id), None)
    if question is None:
        await _check_said(session, asked, question_id, answer)
        return
    question.state, question.answer, question.answered_at = "answered", answer, now
    question.look_at = None
    session.add(question)
    await session.flush()
    if answer == "stop_asking":
        await stop_asking(session, candidate, now, method="question_button")
    elif answer == "started":
        await _void(session, await _questions(session, candidate, "planned", "asked"))


async def may_be_asked(session: AsyncSession, candidate: Candidate) -> bool:
    """Whether the person's agreement to be asked stands, under any of their records."""
    for number in await records_of(session, candidate):
        if _standing(await _said(session, candidate.company_id, number)):
            return True
    return False


async def stop_asking(
    session: AsyncSession, candidate: Candidate, now: datetime, *, method: str
) -> None:
    """The person does not want to be asked any more. Twice is the same as once.

    `method` names the control, for the evidence. Consents to hand-overs are left as they are.
    """
    for number in await records_of(session, candidate):
        record = await lock_candidate(session, candidate.company_id, number)
        stands = _standing(await _said(session, record.company_id, record.id))
        if stands:
            await append(
                session, record, "withdrawn", now, application_id=stands[-1].application_id,
                text_id=stands[-1].text_id, text_sha256=stands[-1].text_sha256, items=[FOLLOWUP],
                locale=record.locale, method=method,
            )  # fmt: skip
        await _void(session, await _questions(session, record, "planned", "asked"))


async def _opened(session: AsyncSession, link: PlacementQuestion, now: datetime) -> Asked:
    company = await session.get_one(Company, link.company_id)
    candidate = await session.get_one(Candidate, (link.company_id, link.candidate_id))
    fresh = await session.get_one(
        PlacementQuestion, (link.company_id, link.id), populate_existing=True
    )
    questions = [
        one
        for one in await _questions(session, candidate, "asked")
        if one.look_at is not None and now < one.look_at
    ]
    wanted = select(Agency).where(col(Agency.id).in_({one.agency_id for one in questions}))
    agencies = {agency.id: agency for agency in (await session.scalars(wanted)).all()}
    return Asked(company, candidate, fresh, questions, agencies, now)


async def _check_said(session: AsyncSession, asked: Asked, question_id: str, answer: str) -> None:
    """The candidate is locked, so looking first is safe here."""
    said = None
    if is_id(question_id, "pqn"):
        said = await find(session, PlacementQuestion, asked.company.id, question_id)
    same = said is not None and said.candidate_id == asked.candidate.id and said.answer == answer
    if not same:
        raise Gone(code="question_closed")


async def _is_moot(
    session: AsyncSession, candidate: Candidate, question: PlacementQuestion
) -> bool:
    """Whether it is not asked any more: withdrawn, erased, ended, or answered by a report."""
    if candidate.erased_at is not None:
        return True
    relay = await session.get_one(Relay, (question.company_id, question.relay_id))
    consent = await session.get_one(Consent, (question.company_id, relay.consent_id))
    if relay.state in _ENDED or consent.state == "withdrawn":
        return True
    evidence = await _evidence_of(session, consent)
    if evidence is None:
        return True
    reported = select(Placement.id).where(
        col(Placement.company_id) == question.company_id,
        col(Placement.relay_id) == question.relay_id,
        col(Placement.state) != "withdrawn",
    )
    return (await session.scalars(reported)).first() is not None


async def _evidence_of(session: AsyncSession, consent: Consent) -> ConsentEvent | None:
    """The event that says the person may be asked, from the form the consent rests on."""
    given = await find(session, ConsentEvent, consent.company_id, consent.event_id)
    if given is None or given.submission_id is None:
        return None
    stands = _standing(await _said(session, consent.company_id, consent.candidate_id))
    same_form = (one for one in stands if one.submission_id == given.submission_id)
    return next(same_form, None)


async def _said(session: AsyncSession, company_id: str, candidate_id: str) -> list[ConsentEvent]:
    """What the person said about being asked, oldest first."""
    wanted = (
        select(ConsentEvent)
        .where(
            col(ConsentEvent.company_id) == company_id,
            col(ConsentEvent.candidate_id) == candidate_id,
            col(ConsentEvent.agency_id).is_(None),
            col(ConsentEvent.kind).in_(("given", "withdrawn")),
        )
        .order_by(col(ConsentEvent.seq))
    )
    return [one for one in (await session.scalars(wanted)).all() if one.items == [FOLLOWUP]]


def _standing(said: Sequence[ConsentEvent]) -> list[ConsentEvent]:
    """Every agreement since the person last took it back."""
    ends = [number for number, one in enumerate(said, start=1) if one.kind == "withdrawn"]
    return list(said[max(ends, default=0) :])


async def _questions(
    session: AsyncSession, candidate: Candidate, *states: str
) -> list[PlacementQuestion]:
    wanted = (
        select(PlacementQuestion)
        .where(
            col(PlacementQuestion.company_id) == candidate.company_id,
            col(PlacementQuestion.candidate_id) == candidate.id,
            col(PlacementQuestion.state).in_(states),
        )
        .order_by(col(PlacementQuestion.id))
        .execution_options(populate_existing=True)
    )
    return list((await session.scalars(wanted)).all())


async def _void(session: AsyncSession, questions: Sequence[PlacementQuestion]) -> None:
    """Not asked any more. The link is kept, so that it still says kindly that it is closed."""
    for one in questions:
        one.state, one.look_at = "void", None
        session.add(one)
    await session.flush()


async def _mail(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    question: PlacementQuestion,
    *,
    asked: Sequence[PlacementQuestion],
    token: str,
    now: datetime,
) -> None:
    company = await session.get_one(Company, candidate.company_id)
    profile = await vault.profile_of(session, tools.sealer, candidate)
    if not profile.get("email"):
        await _void(session, asked)
        return
    locale, url = language(candidate.locale), f"{tools.public_url}/c/{token}/started"
    agencies = [await session.get_one(Agency, one.agency_id) for one in asked]
    await write_to_candidate(
        session,
        tools,
        company,
        candidate,
        profile,
        about=f"placement-question:{question.id}",
        template="placement_question",
        values={
            "agencies": [consent_text.named(agency, locale) for agency in agencies],
            "question_url": url,
            "ends_on": long_date(local_day(now + ANSWER_TIME), locale),
            "privacy_contact": company.privacy_contact,
        },
        headers={
            **reply_to(company),
            "List-Unsubscribe": f"<{url}/stop>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
        now=now,
    )
