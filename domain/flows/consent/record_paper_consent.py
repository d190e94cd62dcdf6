"""A consent given on paper: the privacy officer records it, word by word as it was printed.

The person was there in person and signed the printed statement. What is recorded is the same
evidence as the form makes, by the same way, with the way it came (`paper`) and who recorded it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain import consent_text, data_items, vault
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.consent_text import Statement
from domain.errors import Conflict, Invalid, NotFound
from domain.flows.consent import record_consent
from domain.flows.consent.keep_consent import Answer, check_choices
from domain.flows.tell.send_notice import feedback_told
from domain.flows.ways_in.invite import invite_again
from domain.flows.ways_in.open_candidate_link import agencies_offered, open_candidate_link
from domain.ports import Tools
from domain.store import find

FILED_AS = re.compile(r"[0-9A-Za-z-]{1,40}")
"""The number a paper is filed under: letters, digits and hyphens, so that it names nobody."""


@dataclass(frozen=True)
class Paper:
    """What was signed: under which filing number, which wording, and what was ticked on it."""

    filed_as: str
    text_sha256: str
    choices: Mapping[str, Sequence[str]]


async def paper_statement(
    session: AsyncSession,
    tools: Tools,
    company: Company,
    application: Application,
    now: datetime,
    *,
    locale: str = "ja",
) -> Statement:
    """The statement to print for an application: what the form would show today.

    Raises `Invalid` as `consent_text.build` does, and `Conflict` (`no_agency`).
    """
    agencies = await agencies_offered(session, company, now)
    if not agencies:
        raise Conflict("nobody to choose from", code="no_agency")
    candidate = await session.get_one(Candidate, (company.id, application.candidate_id))
    profile = await vault.profile_of(session, tools.sealer, candidate)
    told = {"interview_feedback": await feedback_told(session, tools, candidate, application.id)}
    items = data_items.offered(
        profile | told, job_title=application.job_title, stage=application.stage
    )
    return consent_text.build(company, agencies, items, locale)


async def record_paper_consent(
    session: AsyncSession,
    tools: Tools,
    company_id: str,
    application_id: str,
    paper: Paper,
    *,
    actor: str,
    now: datetime,
    locale: str = "ja",
) -> bool:
    """Record it as given now; the thirty minutes of grace begin. False: this paper was recorded.

    Raises `NotFound`; `Invalid` (`paper_unnamed`, and what `check_choices` raises); `Conflict`
    (`text_changed`: the wording printed is no longer the wording of today, `no_agency`,
    `not_eligible`) and `Gone` as `record_consent.give` does.
    """
    if FILED_AS.fullmatch(paper.filed_as) is None:
        raise Invalid("letters, digits and hyphens", code="paper_unnamed")
    application = await find(session, Application, company_id, application_id)
    if application is None:
        raise NotFound
    company = await session.get_one(Company, company_id)
    statement = await paper_statement(session, tools, company, application, now, locale=locale)
    if statement.sha256 != paper.text_sha256:
        raise Conflict("print the statement of today and have it signed", code="text_changed")
    check_choices(statement, paper.choices)
    link = await invite_again(session, tools, company, application, now)
    opened = await open_candidate_link(session, link.rpartition("/")[2])
    assert opened is not None  # it was made a line above
    answer = Answer(
        f"paper-{paper.filed_as}", paper.choices, identity_check="in_person", channel="paper",
        method="paper_form", actor=actor,
    )  # fmt: skip
    return await record_consent.give(session, tools, opened, statement, answer, now=now)
