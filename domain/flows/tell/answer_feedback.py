"""HR answers a request for feedback: in its own words through the guard, or with the kind reply.

What the guard stops goes out only when a second person finds the use harmless (domain rules 16:
宗教法人 as an employer's name). The length is no matter of opinion: it is never waived.

Locks: the person, then the request.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.application import Application
from domain.company import Company
from domain.errors import Conflict, Forbidden, Invalid
from domain.feedback import Hit, hits
from domain.feedback_request import FeedbackRequest, advance
from domain.flows.consent.append_consent_event import lock_candidate
from domain.flows.tell.send_notice import Case, letterhead, reply_to
from domain.flows.tell.tell_members import tell_company
from domain.flows.tell.write_feedback import refuse
from domain.flows.tell.write_mail import write_to_candidate
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.ports import Tools
from domain.store import find, lock


@dataclass(frozen=True)
class _Open:
    """A request that can still be answered, and whom it is about."""

    request: FeedbackRequest
    case: Case


async def answer_feedback(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    request_id: str,
    words: str,
    *,
    actor: str,
    now: datetime,
) -> str:
    """Send these words; the request's state afterwards.

    Raises `Stopped` where the guard finds a rule touched. `void`: the person is not turned down any
    more, or was erased, and nothing was sent.
    """
    there = await _open(session, tools, company_id, request_id)
    if there is None:
        return "void"
    refuse(words, _names(there.case))
    there.request.drafted_by = actor
    await _send(session, tools, there, step="answer", words=words.strip(), now=now)
    return there.request.state


async def propose_feedback(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    request_id: str,
    words: str,
    *,
    actor: str,
    now: datetime,
) -> str:
    """Put words before a second person, who is told by mail; the request's state afterwards.

    Raises `Invalid` (`feedback_length`) for what nobody can approve.
    """
    there = await _open(session, tools, company_id, request_id)
    if there is None:
        return "void"
    _refuse_length(hits(words, _names(there.case)))
    request = there.request
    request.state, request.drafted_by = advance(request.state, "propose"), actor
    request.draft = await vault.seal(
        session, tools.sealer, there.case.candidate, "profile", words.strip(),
        about=f"feedback_request:{request.id}:draft",
    )  # fmt: skip
    session.add(request)
    await session.flush()
    await tell_company(
        session, tools, company_id, "feedback_to_approve",
        lambda _: {
            "job_title": there.case.application.job_title,
            "url": f"{tools.public_url}/dashboard/feedback-requests",
        },
        roles=("feedback_approver",), about=f"feedback_to_approve:{request.id}:{now.isoformat()}",
        now=now,
    )  # fmt: skip
    return request.state


async def approve_feedback(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    request_id: str,
    *,
    actor: str,
    now: datetime,
) -> str:
    """A second person finds the draft harmless: it is sent. The request's state afterwards.

    Raises `Forbidden` (`second_person`) for whoever wrote it. The caller has the role
    `feedback_approver`.
    """
    there = await _open(session, tools, company_id, request_id)
    if there is None:
        return "void"
    request = there.request
    if request.draft is None:
        detail = "there is no draft to approve"
        raise Conflict(detail, code="step_not_allowed")
    if request.drafted_by == actor:
        detail = "somebody else must approve it"
        raise Forbidden(detail, code="second_person")
    words: str = await vault.unseal(
        session, tools.sealer, there.case.candidate, "profile", request.draft,
        about=f"feedback_request:{request.id}:draft",
    )  # fmt: skip
    request.approved_by = actor
    await _send(session, tools, there, step="approve", words=words, now=now)
    return request.state


async def return_feedback(
    session: AsyncSession, tools: Tools, company_id: str, request_id: str
) -> str:
    """The second person, or whoever wrote it, hands the draft back; it stays to be changed."""
    there = await _open(session, tools, company_id, request_id)
    if there is None:
        return "void"
    there.request.state = advance(there.request.state, "return")
    session.add(there.request)
    await session.flush()
    return there.request.state


async def reply_kindly(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    request_id: str,
    *,
    actor: str,
    now: datetime,
) -> str:
    """Send the kind standard reply; the request's state afterwards."""
    there = await _open(session, tools, company_id, request_id)
    if there is None:
        return "void"
    there.request.drafted_by = actor
    await _send(session, tools, there, step="standard", words=None, now=now)
    return there.request.state


async def _open(
    session: AsyncSession, tools: Tools, company_id: str, request_id: str
) -> _Open | None:
    """The request, locked after its person; null, and void, when there is nobody to tell it."""
    seen = await find(session, FeedbackRequest, company_id, request_id)
    if seen is None:
        await lock(session, FeedbackRequest, company_id, request_id)  # raises NotFound
    assert seen is not None
    candidate = await lock_candidate(session, company_id, seen.candidate_id)
    request = await lock(session, FeedbackRequest, company_id, request_id)
    application = await find(session, Application, company_id, request.application_id)
    company = await session.get_one(Company, company_id)
    assert application is not None
    if candidate.erased_at is not None or application.outcome != "rejected":
        await _void(session, request)
        return None
    profile = await vault.profile_of(session, tools.sealer, candidate)
    return _Open(request, Case(company, application, candidate, profile))


async def _void(session: AsyncSession, request: FeedbackRequest) -> None:
    request.state, request.look_at = advance(request.state, "void"), None
    request.draft = None
    session.add(request)
    await session.flush()


async def _send(
    session: AsyncSession,
    tools: Tools,
    there: _Open,
    *,
    step: str,
    words: str | None,
    now: datetime,
) -> None:
    """The answer stands on the person's page, and goes out by mail where nothing forbids it."""
    request, case = there.request, there.case
    request.state = advance(request.state, step)
    request.answered_at, request.look_at, request.draft = now, None, None
    if words is not None:
        request.answer = await vault.seal(
            session, tools.sealer, case.candidate, "profile", words,
            about=f"feedback_request:{request.id}:answer",
        )  # fmt: skip
    session.add(request)
    await session.flush()
    if case.profile.get("email") and not case.application.holds:
        await _mail(session, tools, there, words, now)


async def _mail(
    session: AsyncSession, tools: Tools, there: _Open, words: str | None, now: datetime
) -> None:
    case = there.case
    values: dict[str, Any] = letterhead(case) | {
        "feedback_text": words,
        "my_page": await new_my_page_link(session, tools, case.candidate, now),
    }
    await write_to_candidate(
        session, tools, case.company, case.candidate, case.profile,
        about=f"feedback_request:{there.request.id}",
        template="feedback_standard" if words is None else "feedback_answered",
        values=values, now=now, headers=reply_to(case.company),
    )  # fmt: skip


def _names(case: Case) -> list[str]:
    """The person's own names: they may stand in the feedback."""
    names = ("display_name", "family_name", "given_name")
    return [str(case.profile.get(name) or "") for name in names]


def _refuse_length(found: list[Hit]) -> None:
    for hit in found:
        if hit.code == "feedback_length":
            raise Invalid(hit.by, code=hit.code)
