"""HR answers a request: granted, in part, nothing held, or refused with its reason (APPI 36).

What the answer means is done with it: a person whose erasure is granted is erased, a restriction
whose ground was refused is lifted.
"""

from contextlib import suppress
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain import vault
from domain.business_days import local_day
from domain.candidate import Candidate
from domain.company import Company
from domain.errors import Conflict, Gone, Invalid, StepNotAllowed
from domain.flows.consent.append_consent_event import lock_candidate, surviving
from domain.flows.person.change_person import delete
from domain.flows.person.erase_candidate import plan_record_end
from domain.flows.person.hold import is_held
from domain.flows.person.open_rights_request import (
    close,
    locked,
    open_request,
    write_about,
)
from domain.flows.person.restrict_person import lift
from domain.flows.person.retain import kept_for
from domain.ids import new_id
from domain.ports import Tools
from domain.retention import after_months, rules_of
from domain.rights_request import (
    CHANNELS,
    LONGEST,
    OPEN,
    RESULTS,
    SCOPES,
    RightsRequest,
    advance,
    due_on,
)

_GRANTED = frozenset({"granted", "partly"})
_TOLD_IN_WORDS = frozenset({"purpose_notice"})
"""What is given here is the answer itself (個人情報保護法 32(2)), no document and no deed."""
_NEEDS_REASON = frozenset({"partly", "refused"})
_NOT_DONE = frozenset({"refused", "nothing_held"})
_ENDS_USE = frozenset({"stop_use", "erase"})


async def answer_request(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    request_id: str,
    *,
    result: str,
    reason: str,
    answer: str,
    channel: str,
    actor: str,
    now: datetime,
    content_sha256: str | None = None,
) -> RightsRequest:
    """Answer it, for good. Whoever was not recognised can only be refused.

    `content_sha256` is of what is handed over with it. Raises `Invalid`
    (`result_unknown`, `channel_unknown`, `reason_missing`, `answer_missing`: the purpose of use is
    told in words, `answer_too_long`), `Conflict` (`legal_hold`: nothing is erased while it stands;
    `must_be_granted`), `StepNotAllowed`, `NotFound`.
    """
    _check(result, reason, answer, channel)
    candidate, row = await locked(session, company_id, request_id)
    if row.kind in _TOLD_IN_WORDS and result in _GRANTED and not answer.strip():
        raise Invalid(code="answer_missing")
    if row.state == "received" and result != "refused":
        raise StepNotAllowed(row.state, "answer")
    erases = row.kind == "erase" and result in _GRANTED
    if erases and await is_held(session, candidate):
        raise Conflict(code="legal_hold")
    if result in _NOT_DONE and await _must_be_granted(session, candidate, row, now):
        raise Conflict(code="must_be_granted")
    state = advance(row.state, "refuse" if row.state == "received" else "answer")
    # The words first: the database knows no refusal without its reason.
    await _keep_words(session, tools, candidate, row, reason=reason, answer=answer)
    row.state, row.result, row.answered_at, row.answered_by = state, result, now, actor
    row.answer_channel, row.answer_sha256 = channel, content_sha256
    close(row, now)
    session.add(row)
    await session.flush()
    person = await surviving(session, candidate)
    if erases:
        await delete(session, tools, person, now, rule="request", actor=actor)
    elif row.kind in SCOPES and result in _NOT_DONE:
        await lift(session, person, now)
    if candidate.erased_at is not None:  # the evidence of this was all that had no end
        await plan_record_end(session, candidate, now)
    # To whoever is erased the last mail told it: there is no page any more to read an answer on.
    await write_about(session, tools, candidate, row, template="rights_answered", now=now)
    return row


async def ask_erasure(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    *,
    now: datetime,
) -> bool:
    """A proven person asks for it on their own page: done at once, request and answer in one.

    False: a legal hold stands. Then everything but the keeping stops, and the request waits for HR.
    """
    candidate = await lock_candidate(session, candidate.company_id, candidate.id)
    if await is_held(session, candidate):
        if not await _waits(session, candidate, "erase"):
            await open_request(
                session, tools, candidate, "erase", words="", channel="my_page",
                identity_check="mail_link_plus_code", submission_id=None, now=now,
            )  # fmt: skip
        return False
    row = RightsRequest(
        company_id=candidate.company_id, id=new_id("rrq"), candidate_id=candidate.id, kind="erase",
        channel="my_page", state="answered", received_at=now, due_on=due_on(now),
        identity_check="mail_link_plus_code", identity_verified_at=now, result="granted",
        answered_at=now, answered_by="system", answer_channel="my_page",
        created_at=now,
    )  # fmt: skip
    close(row, now)
    session.add(row)
    await delete(session, tools, candidate, now, rule="request", actor="candidate")
    return True


async def _must_be_granted(
    session: AsyncSession, candidate: Candidate, row: RightsRequest, now: datetime
) -> bool:
    """Whether the time is over in which a company may still need the data of who was turned down.

    Within a reasonable period after the result a company may refuse to stop using it; after that
    it must stop (個人情報保護委員会 Q&A 9-20). The period is the one the company itself tells.
    """
    if row.kind not in _ENDS_USE or row.state == "received" or candidate.erased_at is not None:
        return False
    person = await surviving(session, candidate)
    if row.kind == "erase" and await is_held(session, person):
        return False
    company = await session.get_one(Company, candidate.company_id)
    months = rules_of(company.retention, company.retention_months)["application_months"]
    kept = await kept_for(session, person, local_day(now))
    needed_until = after_months(kept.final_on or kept.since, months)
    return not kept.open_application and needed_until < local_day(now)


async def _waits(session: AsyncSession, candidate: Candidate, kind: str) -> bool:
    """Whether such a request is open already: asking again is the same request."""
    wanted = select(RightsRequest.id).where(
        col(RightsRequest.company_id) == candidate.company_id,
        col(RightsRequest.candidate_id) == candidate.id,
        col(RightsRequest.kind) == kind,
        col(RightsRequest.state).in_(OPEN),
    )
    return (await session.scalars(wanted.limit(1))).first() is not None


async def words_of(
    session: AsyncSession, tools: Tools, row: RightsRequest
) -> dict[str, str | None]:
    """What was asked, why it was refused, what was answered; null where nothing was written."""
    candidate = await session.get_one(Candidate, (row.company_id, row.candidate_id))
    found: dict[str, str | None] = dict.fromkeys(("words", "reason", "answer"))
    for name in found:
        sealed, about = getattr(row, name), f"request:{row.id}:{name}"
        if sealed is not None:
            with suppress(Gone):  # the time of the records is over
                found[name] = await vault.unseal(
                    session, tools.sealer, candidate, "record", sealed, about=about
                )
    return found


async def _keep_words(
    session: AsyncSession,
    tools: Tools,
    candidate: Candidate,
    row: RightsRequest,
    *,
    reason: str,
    answer: str,
) -> None:
    for name, said in (("reason", reason), ("answer", answer)):
        if said:
            sealed = await vault.seal(
                session, tools.sealer, candidate, "record", said, about=f"request:{row.id}:{name}"
            )
            setattr(row, name, sealed)


def _check(result: str, reason: str, answer: str, channel: str) -> None:
    for wrong, code in (
        (result not in RESULTS, "result_unknown"),
        (channel not in CHANNELS, "channel_unknown"),
        (result in _NEEDS_REASON and not reason.strip(), "reason_missing"),
        (max(len(reason), len(answer)) > LONGEST, "answer_too_long"),
    ):
        if wrong:
            raise Invalid(code=code)
